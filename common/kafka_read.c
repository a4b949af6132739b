/*
 * Looking at topics and groups: ends, partitions, offsets, whole topics.
 *
 * "End" is the last stable offset: behind it may be records of a transaction that
 * is still open, and a reader of committed records that waited for them would
 * wait for another process. A read_committed client asks the broker for it by
 * rd_kafka_query_watermark_offsets(), whose request carries the isolation level;
 * the cached rd_kafka_get_watermark_offsets() gives the high watermark instead.
 * Below the end there can be markers and aborted records, so reading up to it
 * ends by position (end-of-partition events move it), never by the last record.
 */
#include "common/kafka_parts.h"
#include "common/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 10000
#define TURN_MS 500
#define READ_STALL_MS 60000

int
ls_consumer_bounds(struct ls_consumer *consumer, const char *topic, int32_t partition,
                   int64_t *ret_first, int64_t *ret_end, struct ls_err *err)
{
    int64_t first, end;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(consumer_handle(consumer), topic,
                                                                partition, &first, &end, CALL_MS);

    if (code)
        return kafka_fail(err, code, topic);
    *ret_first = first;
    *ret_end = end;
    return 0;
}

int
ls_consumer_partitions(struct ls_consumer *consumer, const char *topic, int *ret_n,
                       struct ls_err *err)
{
    rd_kafka_t *rk = consumer_handle(consumer);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code;
    int n = 0;

    if (!rkt)
        return kafka_fail(err, rd_kafka_last_error(), topic);
    code = rd_kafka_metadata(rk, 0, rkt, &md, CALL_MS);
    if (!code && md->topic_cnt != 1)
        code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!code)
        code = md->topics[0].err;
    if (!code) {
        n = md->topics[0].partition_cnt;
        if (n == 0)
            code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    }
    if (md)
        rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(rkt);
    if (code)
        return kafka_fail(err, code, topic);
    *ret_n = n;
    return 0;
}

/* Who may not look at the group hears it as a consumer, when it is polled, while the question for
 * offsets only runs out of time: so that is asked in short turns. */
static int
committed(struct ls_consumer *consumer, rd_kafka_topic_partition_list_t *list, const char *group,
          struct ls_err *err)
{
    int64_t until = ls_mono_ms() + CALL_MS;
    rd_kafka_resp_err_t code;

    do {
        struct ls_message *message = NULL;
        struct ls_err why = {0};

        code = rd_kafka_committed(consumer_handle(consumer), list, TURN_MS);
        if (!code)
            break;
        if (ls_consumer_poll(consumer, 0, &message, &why) < 0 && why.kind == LS_ERR_FATAL)
            return kafka_fail(err, (rd_kafka_resp_err_t)why.code, group);
        if (message)
            ls_message_free(message);
    } while (ls_mono_ms() < until && !ls_run_stopping());
    for (int i = 0; i < list->cnt && !code; i++)
        code = list->elems[i].err;
    return code ? kafka_fail(err, code, group) : 0;
}

int
ls_group_offsets(const struct ls_config *config, const char *group, struct ls_partition *parts,
                 size_t n, struct ls_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    struct ls_consumer *consumer = NULL;
    int r = -1;

    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, parts[i].topic, parts[i].partition);
    if (ls_consumer_new(config, group, &consumer, err) < 0)
        goto out;
    if (committed(consumer, list, group, err) < 0)
        goto out;
    for (size_t i = 0; i < n; i++)
        parts[i].offset = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    r = 0;
out:
    ls_consumer_free(consumer);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

void
ls_topic_aged_away(struct ls_err *err)
{
    if (strcmp(err->cause, "offset-lost") == 0)
        err->kind = LS_ERR_RETRY;
}

/* How many partitions have not been read up to their end. */
static int
unread(const struct ls_consumer *consumer, const int64_t *ends)
{
    const rd_kafka_topic_partition_list_t *at = consumer_positions(consumer);
    int n = 0;

    for (int i = 0; i < at->cnt; i++)
        n += at->elems[i].offset < ends[at->elems[i].partition];
    return n;
}

static int
read_all(struct ls_consumer *consumer, const int64_t *ends,
         int (*each)(void *arg, const struct ls_message *message, struct ls_err *err), void *arg,
         struct ls_err *err)
{
    int64_t until = ls_mono_ms() + READ_STALL_MS;
    struct ls_err last = {.msg = "no more comes"};

    while (unread(consumer, ends) > 0) {
        struct ls_message *message = NULL;
        int r = 0;

        /* What may pass, librdkafka tries again by itself. */
        if (ls_consumer_poll(consumer, 50, &message, &last) < 0 && last.kind != LS_ERR_RETRY) {
            ls_topic_aged_away(&last);
            if (err)
                *err = last;
            return -1;
        }
        if (message) {
            until = ls_mono_ms() + READ_STALL_MS;
            if (message->offset < ends[message->partition])
                r = each(arg, message, err);
            ls_message_free(message);
        } else if (ls_mono_ms() >= until || ls_run_stopping()) {
            r = ls_fail_cause(err, LS_ERR_RETRY, ETIMEDOUT, "kafka-slow",
                              "reading a topic to its end took too long: %s", last.msg);
        }
        if (r < 0)
            return -1;
    }
    return 0;
}

int
ls_topic_read(const struct ls_config *config, const char *topic,
              int (*each)(void *arg, const struct ls_message *message, struct ls_err *err),
              void *arg, struct ls_err *err)
{
    struct ls_consumer *consumer = NULL;
    struct ls_partition *parts = NULL;
    int64_t *ends = NULL;
    size_t n_parts = 0;
    int n = 0, r = -1;

    if (ls_consumer_new(config, NULL, &consumer, err) < 0 ||
        ls_consumer_partitions(consumer, topic, &n, err) < 0)
        goto out;
    parts = calloc((size_t)n + 1, sizeof(*parts));
    ends = calloc((size_t)n + 1, sizeof(*ends));
    if (!parts || !ends) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    for (int i = 0; i < n; i++) {
        int64_t first = 0;

        if (ls_consumer_bounds(consumer, topic, i, &first, &ends[i], err) < 0)
            goto out;
        if (first < ends[i])
            parts[n_parts++] = (struct ls_partition){topic, i, first};
    }
    r = 0;
    if (n_parts > 0)
        r = ls_consumer_assign(consumer, parts, n_parts, err);
    if (r == 0)
        r = read_all(consumer, ends, each, arg, err);
out:
    ls_consumer_free(consumer);
    free(ends);
    free(parts);
    return r;
}
