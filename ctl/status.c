/*
 * status and lag: what each stage last said of itself, and how old that word is.
 *
 * Every daemon writes a document to <p>.status once a second. A stage that has stopped says
 * nothing more, so its lag is what it said last plus the time since: lag must keep rising when
 * a stage is down. A document older than CTL_STALE_US is shown as "silent"; of one that is newer
 * than our clock by as much nobody can tell how old it is ("CLOCK"). Where another of the same
 * stage speaks, who is silent was replaced, as after a move to another host: it is shown, and no
 * trouble. Lag in records comes from the consumer groups' offsets, not from the stages; in bytes it
 * is an estimate then. How far capture is behind by those only capture knows, so nobody does when
 * it is silent.
 */
#include "ctl/status.h"
#include "common/estimate.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include "common/tables.h"
#include "ctl/ctl.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct status {
    json_t *stages; /* key "<stage>/<instance>" -> document */
};

static int
take_status(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct status *status = arg;
    char key[256];
    json_t *document;

    (void)err;
    if (!message->key.p || message->key.n >= sizeof key)
        return 0;
    memcpy(key, message->key.p, message->key.n);
    key[message->key.n] = 0;
    if (!message->value.p) {
        json_object_del(status->stages, key);
        return 0;
    }
    document = json_loadb(message->value.p, message->value.n, 0, NULL);
    if (json_is_object(document))
        json_object_set(status->stages, key, document);
    json_decref(document);
    return 0;
}

static json_int_t
int_of(const json_t *document, const char *key)
{
    return json_integer_value(json_object_get(document, key));
}

/* What is done: rows that capture published, records that transform sent, what apply applied. */
static json_int_t
done_of(const char *key, const json_t *document)
{
    const json_t *counters = json_object_get(document, "counters");

    return int_of(counters, strncmp(key, "capture/", 8) == 0      ? "published"
                            : strncmp(key, "transform/", 10) == 0 ? "out"
                                                                  : "applied");
}

static json_int_t
parked_of(const json_t *document)
{
    json_t *object = json_object_get(document, "parked"), *value;
    const char *cause;
    json_int_t sum = 0;

    json_object_foreach(object, cause, value)
    {
        sum += ctl_status_is_parked(cause) ? json_integer_value(value) : 0;
    }
    return sum;
}

/* The partitions of those topics that are there, as ls_group_offsets() wants them; NULL: why is in
 * `err`. */
static struct ls_partition *
partitions_of(const struct ls_config *config, struct ls_consumer *consumer,
              const char *const *topics, size_t n_topics, size_t *ret_n, struct ls_err *err)
{
    struct ls_partition *parts = calloc(1, sizeof *parts), *more;
    size_t n = 0;

    for (size_t t = 0; parts && t < n_topics; t++) {
        const char *topic = ls_config_topic(config, topics[t]);
        int there = 0;

        if (ls_consumer_partitions(consumer, topic, &there, err) < 0) {
            if (strcmp(err->cause, "no-topic") == 0)
                continue; /* it has nothing to read yet */
            free(parts);
            return NULL;
        }
        more = realloc(parts, (n + (size_t)there + 1) * sizeof *parts);
        if (!more)
            free(parts);
        parts = more;
        for (int i = 0; parts && i < there; i++)
            parts[n++] = (struct ls_partition){topic, i, -1};
    }
    if (!parts)
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    *ret_n = n;
    return parts;
}

/* Records between a group's offsets and the ends of its topics; -1 where it cannot be told. */
static int64_t
group_lag(const struct ls_config *config, const char *group_suffix, const char *const *topics,
          size_t n_topics)
{
    struct ls_consumer *consumer = NULL;
    struct ls_partition *parts = NULL;
    char group[256];
    int64_t lag = -1, sum = 0;
    size_t n = 0;
    struct ls_err err = {0};

    snprintf(group, sizeof group, "%s-%s", ls_config_str(config, "lockstep", "prefix"),
             group_suffix);
    if (ls_consumer_new(config, NULL, &consumer, &err) < 0)
        goto out;
    parts = partitions_of(config, consumer, topics, n_topics, &n, &err);
    if (!parts || (n > 0 && ls_group_offsets(config, group, parts, n, &err) < 0))
        goto out;
    for (size_t i = 0; i < n; i++) {
        int64_t first = 0, end = 0, at = parts[i].offset;

        if (ls_consumer_bounds(consumer, parts[i].topic, parts[i].partition, &first, &end, &err) <
            0)
            goto out;
        if (at < first)
            at = first;
        sum += end > at ? end - at : 0;
    }
    lag = sum;
out:
    if (lag < 0)
        ls_log_err(LS_WARN, "group-lag", &err);
    free(parts);
    ls_consumer_free(consumer);
    return lag;
}

/* "capture/a": another "capture/..." that speaks. */
static const char *
replaced_by(json_t *stages, const char *key)
{
    size_t n = strcspn(key, "/") + 1;
    const char *other;
    json_t *document;

    json_object_foreach(stages, other, document)
    {
        if (strncmp(other, key, n) == 0 && strcmp(other, key) != 0 &&
            json_is_false(json_object_get(document, "silent")) &&
            !json_object_get(document, "ahead_us"))
            return other;
    }
    return NULL;
}

void
ctl_status_enrich(json_t *stages, int64_t now_us)
{
    const char *key, *other;
    json_t *document;

    json_object_foreach(stages, key, document)
    {
        json_int_t age = now_us - int_of(document, "time_us");
        json_int_t progress = int_of(document, "last_progress_us");
        bool silent = age > CTL_STALE_US;

        json_object_del(document, "ahead_us");
        json_object_del(document, "replaced_by");
        if (age < -CTL_STALE_US)
            json_object_set_new(document, "ahead_us", json_integer(-age));
        if (age < 0)
            age = 0;
        json_object_set_new(document, "silent", json_boolean(silent));
        json_object_set_new(document, "age_us", json_integer(age));
        json_object_set_new(document, "true_lag_us",
                            json_integer(int_of(document, "lag_us") + (silent ? age : 0)));
        if (silent && strncmp(key, "capture/", 8) == 0) {
            json_object_set_new(document, "lag_records", json_null());
            json_object_set_new(document, "lag_bytes", json_null());
        }
        json_object_set_new(document, "applied", json_integer(done_of(key, document)));
        json_object_set_new(document, "parked_records", json_integer(parked_of(document)));
        json_object_set_new(
            document, "progress_age_us",
            progress <= 0 ? json_null() : json_integer(now_us > progress ? now_us - progress : 0));
    }
    json_object_foreach(stages, key, document)
    {
        if (json_is_true(json_object_get(document, "silent")) &&
            (other = replaced_by(stages, key)) != NULL)
            json_object_set_new(document, "replaced_by", json_string(other));
    }
}

int
ctl_status_load(const struct ls_config *config, json_t **ret_stages, struct ls_err *err)
{
    struct status status = {json_object()};

    if (!status.stages)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    if (ls_topic_read(config, ls_config_topic(config, "status"), take_status, &status, err) < 0) {
        json_decref(status.stages);
        return -1;
    }
    ctl_status_enrich(status.stages, ls_now_us());
    *ret_stages = status.stages;
    return 0;
}

const char *
ctl_status_state(const json_t *document)
{
    if (json_is_true(json_object_get(document, "silent")))
        return "SILENT";
    if (json_object_get(document, "ahead_us"))
        return "CLOCK";
    return json_is_true(json_object_get(document, "ready")) ? "ready" : "NOT READY";
}

const char *
ctl_status_missing(json_t *stages, size_t *at)
{
    static const char *const names[] = {"capture", "transform", "apply"};
    const char *key;
    json_t *document;

    while (*at < sizeof names / sizeof names[0]) {
        const char *name = names[(*at)++];
        size_t n = strlen(name);
        bool there = false;

        json_object_foreach(stages, key, document)
        {
            there |= strncmp(key, name, n) == 0 && key[n] == '/';
        }
        if (!there)
            return name;
    }
    return NULL;
}

int
ctl_status_verdict(json_t *stages)
{
    const char *key;
    json_t *document;
    size_t at = 0;

    json_object_foreach(stages, key, document)
    {
        if (json_object_get(document, "replaced_by"))
            continue;
        if (strcmp(ctl_status_state(document), "ready") != 0 || int_of(document, "balance") != 0)
            return LS_EXIT_DIFFERENT;
    }
    return ctl_status_missing(stages, &at) ? LS_EXIT_DIFFERENT : LS_EXIT_OK;
}

int
ctl_lag_verdict(json_t *stages)
{
    int r = ctl_status_verdict(stages);
    const char *key;
    json_t *document;

    json_object_foreach(stages, key, document)
    {
        if ((strncmp(key, "transform/", 10) == 0 || strncmp(key, "apply/", 6) == 0) &&
            !json_is_integer(json_object_get(document, "lag_records")) && r == LS_EXIT_OK)
            r = LS_EXIT_KAFKA;
    }
    return r;
}

void
ctl_lag_enrich(json_t *stages, int64_t transform, int64_t apply)
{
    const char *key;
    json_t *document;

    json_object_foreach(stages, key, document)
    {
        const json_t *each = json_object_get(document, "record_bytes");
        double records = strncmp(key, "transform/", 10) == 0 ? (double)transform : (double)apply;

        if (strncmp(key, "standby/", 8) == 0) {
            json_object_set_new(document, "lag_records", json_integer(0));
            json_object_set_new(document, "lag_bytes", json_integer(0));
        } else if (strncmp(key, "capture/", 8) != 0) {
            if (records >= 0 && strncmp(key, "apply/", 6) == 0)
                records += (double)int_of(document, "open");
            json_object_set_new(document, "lag_records", ls_estimate_json(ls_estimate(records, 1)));
            json_object_set_new(
                document, "lag_bytes",
                ls_estimate_json(ls_estimate(records, json_is_number(each) ? json_number_value(each)
                                                                           : (double)NAN)));
        }
    }
}

/* Adds to each document what of it is in Kafka. */
static void
add_records(const struct ls_config *config, json_t *stages)
{
    static const char *const cs3_topics[] = {"cs3.resource", "cs3.space", "cs3.person", "cs3.share",
                                             "cs3.annotation"};
    const char *oc10_topics[LS_T_COUNT];
    static char names[LS_T_COUNT][64];
    int64_t transform, apply;

    for (size_t i = 0; i < LS_T_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "oc10.oc_%s", ls_tables[i].name);
        oc10_topics[i] = names[i];
    }
    transform = group_lag(config, "transform", oc10_topics, LS_T_COUNT);
    apply = group_lag(config, "apply", cs3_topics, sizeof cs3_topics / sizeof cs3_topics[0]);
    ctl_lag_enrich(stages, transform, apply);
}

static int
look_once(const struct ls_config *config, const struct ctl_flags *flags, bool lag, FILE *out,
          struct ls_err *err)
{
    json_t *stages = NULL;
    int r;

    if (ctl_status_load(config, &stages, err) < 0) {
        ls_log_err(LS_ERROR, lag ? "lag" : "status", err);
        return LS_EXIT_KAFKA;
    }
    if (lag)
        add_records(config, stages);
    if (flags->watch)
        ctl_redraw(out);
    if (flags->json) {
        json_dumpf(stages, out, JSON_SORT_KEYS | JSON_INDENT(2));
        fputc('\n', out);
    } else if (lag) {
        ctl_lag_print(stages, out);
        ctl_lag_users(stages, flags->user, ls_now_us(), out);
    } else {
        ctl_status_print(stages, out);
    }
    fflush(out);
    r = lag ? ctl_lag_verdict(stages) : ctl_status_verdict(stages);
    json_decref(stages);
    return r;
}

static int
look(const struct ls_config *config, const struct ctl_flags *flags, bool lag, FILE *out)
{
    struct ls_err err;
    int r;

    do {
        err = (struct ls_err){0};
        r = look_once(config, flags, lag, out, &err);
    } while (flags->watch && ctl_again(&err));
    return r;
}

int
ctl_status(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    return look(config, flags, false, out);
}

int
ctl_lag(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    return look(config, flags, true, out);
}
