/*
 * The counters' record on <p>.counters, key "transform/<instance>".
 *
 * The topic is transform's alone: in <p>.position a transaction that one of us died in would hide
 * capture's own position from it for as long as the broker keeps that transaction open.
 *
 * What can go wrong when reading: the other instances write here too, and an open transaction of
 * one hides everything behind it for a moment, also our own last record; the end of the committed
 * part would then be too early. So a mark is written and committed first, and the topic is read up
 * to that mark: what was committed before it has then been seen.
 */
#include "transform/store.h"

#include "common/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALL_MS 90000 /* longer than a dead producer's transaction is kept open */

static void
key_print(const struct ls_config *config, const char *suffix, char *out, size_t size)
{
    snprintf(out, size, "transform/%s%s", ls_config_str(config, "lockstep", "instance"), suffix);
}

int
tf_store_put(const struct ls_config *config, struct ls_producer *producer,
             const struct tf_counts *counts, struct ls_err *err)
{
    json_t *doc = tf_counts_json(counts);
    char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    char key[96];
    int r;

    json_decref(doc);
    if (!text)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    key_print(config, "", key, sizeof(key));
    r = ls_producer_send(producer, ls_config_topic(config, "counters"), 0, ls_str_of(key),
                         ls_str_of(text), NULL, 0, err);
    free(text);
    return r;
}

static int
write_mark(const struct ls_config *config, struct ls_producer *producer, const char *key,
           const char *mark, struct ls_err *err)
{
    if (ls_producer_begin(producer, err) < 0)
        return -1;
    if (ls_producer_send(producer, ls_config_topic(config, "counters"), 0, ls_str_of(key),
                         ls_str_of(mark), NULL, 0, err) < 0) {
        ls_producer_abort(producer, NULL);
        return -1;
    }
    return ls_producer_commit(producer, err);
}

/* What a process's marks begin with. */
static void
mark_begin(const struct tf_mark *mark, char *out, size_t size)
{
    (void)snprintf(out, size, "{\"mark\":\"%s/", mark->process);
}

/* No two are the same: the last one is read up to. */
static void
mark_next(struct tf_mark *mark, char *out, size_t size)
{
    char begin[64];

    if (!mark->process[0])
        (void)snprintf(mark->process, sizeof(mark->process), "%lld-%d", (long long)ls_now_us(),
                       (int)getpid());
    mark_begin(mark, begin, sizeof(begin));
    (void)snprintf(out, size, "%s%u\"}", begin, mark->n++);
}

int
tf_store_get(const struct ls_config *config, struct ls_producer *producer, struct tf_counts *ret,
             struct tf_mark *mark, struct ls_err *err)
{
    struct ls_partition from = {ls_config_topic(config, "counters"), 0, LS_OFFSET_BEGINNING};
    struct ls_consumer *consumer = NULL;
    struct tf_counts counts = {0};
    char key[96], mark_key[104], mark_text[TF_MARK_TEXT];
    int64_t deadline = ls_mono_ms() + STALL_MS;
    bool found = false;
    int r = -1;

    key_print(config, "", key, sizeof(key));
    key_print(config, "/mark", mark_key, sizeof(mark_key));
    mark_next(mark, mark_text, sizeof(mark_text));
    if (write_mark(config, producer, mark_key, mark_text, err) < 0 ||
        ls_consumer_new(config, NULL, &consumer, err) < 0 ||
        ls_consumer_assign(consumer, &from, 1, err) < 0)
        goto out;
    while (!found) {
        struct ls_message *m = NULL;

        if (ls_run_stopping() || ls_mono_ms() > deadline) {
            ls_fail_cause(err, LS_ERR_RETRY, 0, "counters",
                          "the counters cannot be read: an unfinished transaction is in the way");
            goto out;
        }
        if (ls_consumer_poll(consumer, 100, &m, err) < 0) {
            ls_topic_aged_away(err);
            goto out;
        }
        if (!m)
            continue;
        deadline = ls_mono_ms() + STALL_MS;
        r = 0;
        if (ls_str_is(m->key, key) && m->value.p)
            r = tf_counts_parse(m->value, &counts, err);
        found = ls_str_is(m->key, mark_key) && ls_str_is(m->value, mark_text);
        ls_message_free(m);
        if (r < 0)
            goto out;
        r = -1;
    }
    *ret = counts;
    r = 0;
out:
    if (consumer)
        ls_consumer_free(consumer);
    return r;
}

struct last {
    char key[104], text[TF_MARK_TEXT];
};

static int
see_mark(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct last *last = arg;

    (void)err;
    if (ls_str_is(m->key, last->key))
        (void)snprintf(last->text, sizeof(last->text), "%.*s", (int)m->value.n,
                       m->value.p ? m->value.p : "");
    return 0;
}

int
tf_store_last(const struct ls_config *config, char ret[TF_MARK_TEXT], struct ls_err *err)
{
    struct last last = {0};

    key_print(config, "/mark", last.key, sizeof(last.key));
    if (ls_topic_read(config, ls_config_topic(config, "counters"), see_mark, &last, err) < 0)
        return -1;
    memcpy(ret, last.text, TF_MARK_TEXT);
    return 0;
}

bool
tf_mark_is(const struct tf_mark *mark, const char *last)
{
    char begin[64];

    mark_begin(mark, begin, sizeof(begin));
    return strncmp(last, begin, strlen(begin)) == 0;
}
