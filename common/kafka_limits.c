/*
 * How large a record may be.
 *
 * Three limits exist: the client's message.max.bytes, which librdkafka holds a record to when it is
 * sent; each topic's max.message.bytes; the broker's message.max.bytes, which is the topic's where
 * that has none. The broker holds to the last two, but per batch, and refuses all of a batch
 * without naming a record. So the topics' limits are asked for before a producer is made: no batch
 * becomes larger, and a record that is too large alone is POISON when it is sent.
 *
 * What can go wrong: the broker does not tell (rights on configurations are rare), or a limit is
 * lowered while we run. Then a batch is refused and its transaction aborted; the next producer
 * sends each record alone, the one after it knows which size was refused. That takes three tries
 * for each size that is too large, smaller and smaller ones, and ends.
 */
#include "common/kafka_parts.h"
#include "common/log.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 5000
#define LIMIT_MIN 16384    /* statuses and dead letters without their value fit */
#define POSITION_MIN 65536 /* a position with a long set of GTIDs, and the columns beside it */
#define BATCH_OVERHEAD 96  /* the batch's head, and a record's lengths and numbers */
#define HEADER_OVERHEAD 10

static _Atomic int64_t limit, told;
static atomic_bool one_by_one;

int64_t
kafka_limit(void)
{
    return atomic_load_explicit(&limit, memory_order_relaxed);
}

int64_t
kafka_record_size(size_t key_and_value, const struct ls_header *headers, size_t n)
{
    size_t size = key_and_value + BATCH_OVERHEAD;

    for (size_t i = 0; i < n; i++)
        size += strlen(headers[i].name) + headers[i].value.n + HEADER_OVERHEAD;
    return (int64_t)size;
}

void
kafka_limit_told(int64_t bytes)
{
    /* The same answer again says nothing about what was learned since. */
    if (atomic_exchange(&told, bytes) == bytes)
        return;
    atomic_store(&limit, bytes);
    atomic_store(&one_by_one, false);
}

bool
kafka_limit_batches(rd_kafka_conf_t *conf)
{
    bool alone = atomic_load(&one_by_one);
    int64_t most = alone ? 1 : kafka_limit();
    char text[32] = "";
    size_t n = sizeof(text);

    if (most > 0 && rd_kafka_conf_get(conf, "batch.size", text, &n) == RD_KAFKA_CONF_OK &&
        strtoll(text, NULL, 10) > most) {
        (void)snprintf(text, sizeof(text), "%" PRId64, most);
        kafka_conf_set(conf, "batch.size", text);
    }
    return alone;
}

void
kafka_limit_refused(bool alone, size_t key_and_value)
{
    int64_t size = kafka_record_size(key_and_value, NULL, 0) - 1, known = kafka_limit();

    if (!alone)
        atomic_store(&one_by_one, true);
    else if (known == 0 || size < known)
        atomic_store(&limit, size);
}

/* max.message.bytes of one topic; 0 when it is not among what was told. */
static int64_t
limit_of(const rd_kafka_ConfigResource_t *topic)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(topic, &n);

    for (size_t i = 0; i < n; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (value && strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes") == 0)
            return strtoll(value, NULL, 10);
    }
    return 0;
}

/* A position that becomes too large while we run would stop capture again and again. */
int64_t
ls_topic_takes_least(const char *topic)
{
    const char *dot = strrchr(topic, '.');

    return dot && strcmp(dot, ".position") == 0 ? POSITION_MIN : LIMIT_MIN;
}

/* A topic that takes too little is refused in words. */
int
kafka_limit_check(const char *topic, int64_t bytes, struct ls_err *err)
{
    int64_t least = ls_topic_takes_least(topic);

    if (bytes <= 0 || bytes >= least)
        return 0;
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "topics",
                         "topic %s takes %" PRId64 " bytes at most (max.message.bytes), %" PRId64
                         " are the least",
                         topic, bytes, least);
}

/* The smallest limit; 0 when one of the topics did not tell its own. */
static int
smallest(rd_kafka_event_t *event, int64_t *ret, struct ls_err *err)
{
    const rd_kafka_DescribeConfigs_result_t *all;
    const rd_kafka_ConfigResource_t **topics;
    int64_t least = INT64_MAX;
    size_t n;

    all = rd_kafka_event_DescribeConfigs_result(event);
    topics = rd_kafka_DescribeConfigs_result_resources(all, &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(topics[i]);
        int64_t bytes = code ? 0 : limit_of(topics[i]);

        if (code && code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            return kafka_fail(err, code, "a topic's configuration");
        if (kafka_limit_check(rd_kafka_ConfigResource_name(topics[i]), bytes, err) < 0)
            return -1;
        if (bytes < least)
            least = bytes;
    }
    *ret = least == INT64_MAX ? 0 : least;
    return 0;
}

int
kafka_limits_ask(rd_kafka_t *rk, const struct ls_topic_spec *specs, size_t n, struct ls_err *err)
{
    rd_kafka_ConfigResource_t **topics = calloc(n + 1, sizeof(rd_kafka_ConfigResource_t *));
    rd_kafka_event_t *event;
    struct ls_err why = {0};
    int64_t least = 0;
    int r;

    if (!topics)
        return ls_fail(err, LS_ERR_RETRY, 0, "out of memory");
    for (size_t i = 0; i < n; i++)
        topics[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, specs[i].name);
    event = kafka_describe(rk, topics, n, ASK_MS, &why);
    r = event ? smallest(event, &least, &why) : -1;
    if (r == 0 && least > 0) {
        ls_log(LS_DEBUG, "record-limit", LS_I("bytes", least));
        kafka_limit_told(least);
    } else if (r < 0 && why.kind == LS_ERR_FATAL && strcmp(why.cause, "topics") == 0) {
        if (err)
            *err = why;
    } else {
        ls_log(LS_INFO, "record-limit-unknown", LS_S("why", r < 0 ? why.msg : "not allowed"));
        r = 0;
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy_array(topics, n);
    free(topics);
    return r;
}
