/*
 * The topic <p>.schemas: what every program wrote with, by fingerprint.
 *
 * A value is only readable with the schema it was written with; this topic is
 * where a program finds those it was not built with. A writer puts its schemas
 * there before its first record, so a reader that meets an unknown fingerprint
 * and finds nothing there has met something that Lockstep did not write.
 * What can go wrong: a value on the topic is no schema; it is skipped and logged,
 * because the others are still wanted.
 */
#include "common/kafka.h"
#include "common/log.h"
#include "common/records.h"
#include "common/registry.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_MS 60000
#define KEY_SIZE 17

struct seen {
    const struct ls_schema *all;
    size_t n;
    bool *there; /* may be NULL */
};

static void
key_print(uint64_t fingerprint, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%016" PRIx64, fingerprint);
}

static int
on_schema(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct seen *seen = arg;
    struct ls_err why = {0};
    char key[KEY_SIZE];

    (void)err;
    if (!message->value.p)
        return 0;
    for (size_t i = 0; seen->there && i < seen->n; i++) {
        key_print(seen->all[i].fingerprint, key);
        if (ls_str_is(message->key, key) && ls_str_is(message->value, seen->all[i].json))
            seen->there[i] = true;
    }
    if (ls_schema_learn(message->value, &why) < 0)
        ls_log_err(LS_WARN, "schema-skipped", &why);
    return 0;
}

static int
learn(void *arg, uint64_t fingerprint, struct ls_err *err)
{
    struct seen seen = {0};
    char key[KEY_SIZE];

    key_print(fingerprint, key);
    ls_log(LS_INFO, "schema-asked", LS_S("fingerprint", key));
    return ls_topic_read(arg, ls_config_topic(arg, "schemas"), on_schema, &seen, err);
}

void
ls_schemas_attach(const struct ls_config *config)
{
    ls_schema_set_learner(learn, (void *)config);
    ls_registry_attach(config);
}

static int
put_missing(const struct ls_config *config, const char *topic, const struct seen *seen,
            struct ls_err *err)
{
    struct ls_producer *producer = NULL;
    int r = -1;

    if (ls_producer_new(config, NULL, &producer, err) < 0)
        return -1;
    for (size_t i = 0; i < seen->n; i++) {
        char key[KEY_SIZE];

        if (seen->there[i])
            continue;
        key_print(seen->all[i].fingerprint, key);
        if (ls_producer_send(producer, topic, 0, ls_str_of(key), ls_str_of(seen->all[i].json), NULL,
                             0, err) < 0)
            goto out;
    }
    r = ls_producer_flush(producer, FLUSH_MS, err);
out:
    ls_producer_free(producer);
    return r;
}

int
ls_schemas_publish(const struct ls_config *config, struct ls_err *err)
{
    const char *topic = ls_config_topic(config, "schemas");
    struct seen seen = {0};
    bool all = true;
    int r = -1;

    seen.all = ls_schema_all(&seen.n);
    seen.there = calloc(seen.n, sizeof(*seen.there));
    if (!seen.there)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    if (ls_topic_read(config, topic, on_schema, &seen, err) < 0)
        goto out;
    for (size_t i = 0; i < seen.n; i++)
        all = all && seen.there[i];
    r = all ? 0 : put_missing(config, topic, &seen, err);
    if (r == 0)
        ls_schemas_attach(config);
out:
    free(seen.there);
    return r;
}
