/*
 * The small topics: read to an end, then followed.
 *
 * What makes "not there" certain: capture writes the row of a storage before (or in the same
 * transaction as) the rows of its files, and a record is acknowledged before its transaction is
 * committed. So when a file's row can be seen, the storage's row has been in its topic, though
 * perhaps not visible yet: commit markers reach the partitions one after another. The end to read
 * to is therefore the high watermark (asked for with read_uncommitted), not the end of the
 * committed part, and it is asked for after the row was seen.
 *
 * The last records before that end are often markers or aborted, and are never delivered; how far
 * the consumer has come is known from its end-of-partition events, which librdkafka sends when the
 * committed part ends there.
 *
 * What can go wrong: a capture that died inside a transaction holds the end back until the broker
 * gives its transaction up. That is RETRY here: the stage waits and does not guess. A start reads
 * the heartbeats of two weeks, one a second and topic, which may take longer than any such wait: so
 * time counts from the last record that came, for a start that began anew would never end.
 */
#include "transform/tail.h"

#include "common/kafka_parts.h" /* our client configuration; kafka.h has no end-of-partition */
#include "common/log.h"
#include "common/run.h"

#include <stdlib.h>
#include <string.h>

#define QUERY_MS 5000
#define STALL_MS 15000 /* without a record that brings the end nearer */
#define ARENA_CAP (16u << 20)

static const struct {
    enum ls_table_id table;
    const char *topic;
} small[] = {
    {LS_T_STORAGES, "oc10.oc_storages"},
    {LS_T_MIMETYPES, "oc10.oc_mimetypes"},
    {LS_T_ACCOUNTS, "oc10.oc_accounts"},
};
#define SMALL (sizeof(small) / sizeof(small[0]))

struct tf_tail {
    struct tf_known *known;
    struct ls_arena *arena;
    rd_kafka_t *reader;
    rd_kafka_t *asker; /* read_uncommitted, for watermarks only */
    const char *topics[SMALL];
    int64_t next[SMALL]; /* everything before this offset has been taken in */
    struct ls_seq highest;
};

static int
client_new(const struct ls_config *config, const char *isolation, rd_kafka_t **ret,
           struct ls_err *err)
{
    rd_kafka_conf_t *conf = NULL;

    if (kafka_conf_new(config, NULL, &conf, err) < 0)
        return -1;
    kafka_conf_set(conf, "isolation.level", isolation);
    kafka_conf_set(conf, "enable.auto.commit", "false");
    kafka_conf_set(conf, "enable.partition.eof", "true");
    /* A topic is read whole at each start: beginning again is the right answer to a lost offset. */
    kafka_conf_set(conf, "auto.offset.reset", "earliest");
    /* assign() wants a group to be named; it is never joined. */
    kafka_conf_set(conf, "group.id", ls_config_topic(config, "transform-tables"));
    /* An end behind a commit marker is seen one empty fetch later: keep that one short. */
    kafka_conf_set(conf, "fetch.wait.max.ms", "20");
    return kafka_client_new(RD_KAFKA_CONSUMER, conf, ret, err);
}

/* Reads on from `next`. What librdkafka has fetched from elsewhere is dropped with its events. */
static int
assign(struct tf_tail *tail, struct ls_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)SMALL);
    rd_kafka_resp_err_t code;

    for (size_t i = 0; i < SMALL; i++)
        rd_kafka_topic_partition_list_add(list, tail->topics[i], 0)->offset =
            tail->next[i] > 0 ? tail->next[i] : RD_KAFKA_OFFSET_BEGINNING;
    code = rd_kafka_assign(tail->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? kafka_fail(err, code, "reading the small topics") : 0;
}

int
tf_tail_new(const struct ls_config *config, struct tf_known *known, struct tf_tail **ret,
            struct ls_err *err)
{
    struct tf_tail *tail = calloc(1, sizeof(*tail));

    if (!tail)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    tail->known = known;
    tail->arena = ls_arena_new(ARENA_CAP);
    for (size_t i = 0; i < SMALL; i++)
        tail->topics[i] = ls_config_topic(config, small[i].topic);
    if (!tail->arena) {
        ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
        goto fail;
    }
    if (client_new(config, "read_committed", &tail->reader, err) < 0 ||
        client_new(config, "read_uncommitted", &tail->asker, err) < 0)
        goto fail;
    rd_kafka_poll_set_consumer(tail->reader);
    if (assign(tail, err) < 0)
        goto fail;
    *ret = tail;
    return 0;
fail:
    tf_tail_free(tail);
    return -1;
}

void
tf_tail_free(struct tf_tail *tail)
{
    if (!tail)
        return;
    if (tail->asker)
        rd_kafka_destroy(tail->asker);
    if (tail->reader) {
        rd_kafka_consumer_close(tail->reader);
        rd_kafka_destroy(tail->reader);
    }
    ls_arena_free(tail->arena);
    free(tail);
}

void
tf_tail_note(struct tf_tail *tail, struct ls_seq seq)
{
    if (ls_seq_cmp(seq, tail->highest) > 0)
        tail->highest = seq;
}

static int
take_row(struct tf_tail *tail, size_t which, const rd_kafka_message_t *m, struct ls_err *err)
{
    struct ls_str value = {m->payload, m->len};
    struct ls_envelope *envelope = NULL;
    struct ls_err why = {0};
    int r = 0;

    if (!m->payload)
        return 0;
    if (ls_envelope_decode(&ls_tables[small[which].table], value, tail->arena, &envelope, &why) <
        0) {
        /* The group's consumer of this topic makes a dead letter of it. */
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            r = -1;
        }
    } else {
        tf_tail_note(tail, envelope->seq);
        r = tf_known_feed(tail->known, envelope, err);
    }
    ls_arena_reset(tail->arena);
    return r;
}

static int
take(struct tf_tail *tail, const rd_kafka_message_t *m, struct ls_err *err)
{
    const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";

    for (size_t i = 0; i < SMALL; i++) {
        if (strcmp(topic, tail->topics[i]) != 0)
            continue;
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            if (m->offset > tail->next[i])
                tail->next[i] = m->offset;
            return 0;
        }
        if (m->err)
            break;
        if (take_row(tail, i, m, err) < 0) {
            /* The row is not known yet, so it must come again. */
            struct ls_err why = {0};

            if (err->kind == LS_ERR_RETRY && assign(tail, &why) < 0)
                *err = why;
            return -1;
        }
        tail->next[i] = m->offset + 1;
        return 0;
    }
    if (m->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        return 0; /* no group is joined, so none need be seen */
    if (m->err && kafka_fail(err, m->err, "reading the small topics") < 0 &&
        err->kind == LS_ERR_FATAL)
        return -1;
    return 0; /* librdkafka tries again by itself */
}

/* Takes one event; *ret_any says whether there was one. */
static int
poll_one(struct tf_tail *tail, int timeout_ms, bool *ret_any, struct ls_err *err)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(tail->reader, timeout_ms);
    int r;

    *ret_any = m != NULL;
    if (!m)
        return 0;
    r = take(tail, m, err);
    rd_kafka_message_destroy(m);
    return r;
}

int
tf_tail_poll(struct tf_tail *tail, struct ls_err *err)
{
    bool any = true;

    while (any) {
        if (poll_one(tail, 0, &any, err) < 0)
            return -1;
    }
    return 0;
}

static int64_t
left_of(const struct tf_tail *tail, const int64_t ends[SMALL], size_t *ret_which)
{
    int64_t left = 0;

    for (size_t i = 0; i < SMALL; i++) {
        if (tail->next[i] >= ends[i])
            continue;
        left += ends[i] - tail->next[i];
        *ret_which = i;
    }
    return left;
}

int
tf_tail_catch_up(struct tf_tail *tail, struct ls_err *err)
{
    struct ls_seq certain = tail->highest;
    int64_t ends[SMALL], least = INT64_MAX, left, deadline = 0;
    size_t which = 0;
    bool any;

    for (size_t i = 0; i < SMALL; i++) {
        int64_t low;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(tail->asker, tail->topics[i], 0,
                                                                    &low, &ends[i], QUERY_MS);

        if (code)
            return kafka_fail(err, code, "asking for the end of a small topic");
    }
    while ((left = left_of(tail, ends, &which)) > 0) {
        int64_t now = ls_mono_ms();

        if (left < least) {
            least = left;
            deadline = now + STALL_MS;
            ls_run_notify_alive();
        }
        if (ls_run_stopping() || now > deadline)
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "tables-behind",
                                 "%s: at %lld, its end is %lld", tail->topics[which],
                                 (long long)tail->next[which], (long long)ends[which]);
        if (poll_one(tail, 50, &any, err) < 0)
            return -1;
    }
    tf_known_set_certain(tail->known, certain);
    return 0;
}
