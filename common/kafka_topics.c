/*
 * Making topics, and refusing those that have another shape.
 *
 * The number of partitions decides which partition a storage is in, so it may
 * never change in a prefix's life; a topic that has another number is FATAL, not
 * something to mend. Records of compacted topics, deletions too, stay for at
 * least 14 days, which is how long a stage may be away. Not so the topics that a
 * stage reads whole when it starts (its position, its counters): written once a
 * second, two weeks of them would be a million records to read, so they are cut
 * into small segments and compacted as soon as one is full. What can go wrong: two
 * stages make the same topic at once (the later finds it there), and a new topic
 * is not known to the whole cluster yet (so it is waited for). Neither does a broker
 * that has just started know of all: what we may not make ourselves is missed only
 * when it has not come for a while, and what is listed with an error is there.
 */
#include "common/kafka_parts.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 30000
#define FIRST_MS 2000 /* of them, before a broker counts as away */
#define AGAIN_MS 100
#define NEWS_MS 5000 /* until a broker that starts knows of all topics */
#define LISTED (-1)
#define KEPT_MS "1209600000" /* 14 days */

/*
 * Asks for longer each time, CALL_MS in all: in between a stop is heard, and a daemon that waits
 * here says that it started (this is the first that it asks of Kafka).
 */
static rd_kafka_resp_err_t
ask(rd_kafka_t *rk, const struct rd_kafka_metadata **ret)
{
    int64_t until = ls_mono_ms() + CALL_MS, ms = FIRST_MS;
    rd_kafka_resp_err_t code;

    for (;;) {
        code = rd_kafka_metadata(rk, 1, NULL, ret, (int)ms);
        if (code != RD_KAFKA_RESP_ERR__TRANSPORT && code != RD_KAFKA_RESP_ERR__TIMED_OUT)
            return code;
        ls_run_notify_ready();
        ls_run_notify_state("waiting for Kafka");
        ls_run_sleep_ms(AGAIN_MS);
        if (ls_run_stopping() || ls_mono_ms() >= until)
            return code;
        ms = ms * 2 < until - ls_mono_ms() ? ms * 2 : until - ls_mono_ms();
        ms = ms > AGAIN_MS ? ms : AGAIN_MS;
    }
}

/* ret_counts[i]: partitions of specs[i], 0 when it is not there, LISTED when it is and they are not
 * told. Asking for all topics, not for one by name, never makes a topic by itself. */
static int
counts_get(rd_kafka_t *rk, const struct ls_topic_spec *specs, size_t n, int *ret_counts,
           struct ls_err *err)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t code = ask(rk, &md);

    if (code)
        return kafka_fail(err, code, "the list of topics");
    for (size_t i = 0; i < n; i++) {
        ret_counts[i] = 0;
        for (int t = 0; t < md->topic_cnt; t++) {
            if (strcmp(md->topics[t].topic, specs[i].name) == 0)
                ret_counts[i] = md->topics[t].err ? LISTED : md->topics[t].partition_cnt;
        }
    }
    rd_kafka_metadata_destroy(md);
    return 0;
}

const char *const *
kafka_topic_settings(enum ls_topic_kept kept)
{
    static const char *const days[] = {"cleanup.policy", "delete", "retention.ms", KEPT_MS, NULL};
    static const char *const last[] = {
        "cleanup.policy", "compact", "min.compaction.lag.ms", KEPT_MS, "delete.retention.ms",
        KEPT_MS,          NULL};
    /* The segment that is written to is never compacted, so its size is what a start reads. */
    static const char *const state[] = {"cleanup.policy",
                                        "compact",
                                        "min.compaction.lag.ms",
                                        "0",
                                        "segment.ms",
                                        "600000",
                                        "segment.bytes",
                                        "8388608",
                                        NULL};

    return kept == LS_KEPT_STATE ? state : kept == LS_KEPT_LAST ? last : days;
}

static rd_kafka_NewTopic_t *
new_topic(const struct ls_topic_spec *spec, int replication)
{
    char why[160];
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(spec->name, spec->partitions, replication, why, sizeof(why));

    if (!t)
        return NULL;
    for (const char *const *s = kafka_topic_settings(spec->kept); *s; s += 2)
        rd_kafka_NewTopic_set_config(t, s[0], s[1]);
    return t;
}

static int
results_check(rd_kafka_event_t *event, struct ls_err *err)
{
    const rd_kafka_topic_result_t **results;
    const rd_kafka_CreateTopics_result_t *all;
    size_t n;

    if (!event)
        return kafka_fail(err, RD_KAFKA_RESP_ERR__TIMED_OUT, "making topics");
    if (rd_kafka_event_error(event))
        return kafka_fail(err, rd_kafka_event_error(event), "making topics");
    all = rd_kafka_event_CreateTopics_result(event);
    results = rd_kafka_CreateTopics_result_topics(all, &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        char what[200];

        if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            continue;
        if (code) {
            snprintf(what, sizeof(what), "making topic %s", rd_kafka_topic_result_name(results[i]));
            return kafka_fail(err, code, what);
        }
        ls_log(LS_INFO, "topic-made", LS_S("topic", rd_kafka_topic_result_name(results[i])));
    }
    return 0;
}

static int
topics_make(const struct ls_config *config, rd_kafka_t *rk, const struct ls_topic_spec *specs,
            size_t n, const int *counts, struct ls_err *err)
{
    int replication = (int)ls_config_int(config, "lockstep", "replication");
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t **list = calloc(n + 1, sizeof(rd_kafka_NewTopic_t *));
    rd_kafka_event_t *event = NULL;
    char why[160];
    size_t made = 0;
    int r = -1;

    if (!list) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        if (counts[i] != 0)
            continue;
        list[made] = new_topic(&specs[i], replication);
        if (!list[made]) {
            ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "topics", "topic %s cannot be made",
                          specs[i].name);
            goto out;
        }
        made++;
    }
    rd_kafka_AdminOptions_set_request_timeout(options, CALL_MS, why, sizeof(why));
    rd_kafka_AdminOptions_set_operation_timeout(options, CALL_MS, why, sizeof(why));
    rd_kafka_CreateTopics(rk, list, made, options, queue);
    event = rd_kafka_queue_poll(queue, CALL_MS + 5000);
    r = results_check(event, err);
out:
    if (event)
        rd_kafka_event_destroy(event);
    if (list)
        rd_kafka_NewTopic_destroy_array(list, made);
    free(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return r;
}

static size_t
missing(const struct ls_topic_spec *specs, size_t n, const int *counts, char *names, size_t size)
{
    size_t m = 0, used = 0;

    names[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (counts[i] > 0)
            continue;
        if (used < size)
            used +=
                (size_t)snprintf(names + used, size - used, "%s%s", m ? ", " : "", specs[i].name);
        m++;
    }
    return m;
}

static bool
is_absent(const int *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (counts[i] == 0)
            return true;
    }
    return false;
}

static int
counts_check(const struct ls_topic_spec *specs, size_t n, const int *counts, struct ls_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (counts[i] != specs[i].partitions)
            return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "topics",
                                 "topic %s has %d partitions, not %d: see lockstep.partitions",
                                 specs[i].name, counts[i], specs[i].partitions);
    }
    return 0;
}

/* Waits for those that are missing. `why`: for what reason we cannot make them; kind NONE: they are
 * made. */
static int
topics_await(rd_kafka_t *rk, const struct ls_topic_spec *specs, size_t n, int *counts,
             const struct ls_err *why, struct ls_err *err)
{
    bool made = why->kind == LS_ERR_NONE;
    int64_t until = ls_mono_ms() + (made ? CALL_MS : NEWS_MS);
    char names[160];

    while (missing(specs, n, counts, names, sizeof(names)) > 0) {
        if (ls_mono_ms() >= until || ls_run_stopping()) {
            if (made || ls_run_stopping() || !is_absent(counts, n))
                return ls_fail_cause(err, LS_ERR_RETRY, ETIMEDOUT, "no-topic",
                                     "topics do not appear: %s", names);
            if (strcmp(why->cause, "topics") == 0)
                return ls_fail_cause(err, LS_ERR_FATAL, ENOENT, "topics", "missing topics: %s",
                                     names);
            return ls_fail_cause(err, why->kind, why->code, why->cause, "%s", why->msg);
        }
        ls_run_sleep_ms(made ? 50 : 250);
        if (counts_get(rk, specs, n, counts, err) < 0)
            return -1;
    }
    return 0;
}

int
ls_topics_ensure(const struct ls_config *config, const struct ls_topic_spec *specs, size_t n,
                 struct ls_err *err)
{
    int *counts = calloc(n + 1, sizeof(*counts));
    struct ls_err why = {0};
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk = NULL;
    char names[160];
    int r = -1;

    if (!counts) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    if (kafka_conf_new(config, NULL, &conf, err) < 0 ||
        kafka_client_new(RD_KAFKA_CONSUMER, conf, &rk, err) < 0 ||
        counts_get(rk, specs, n, counts, err) < 0)
        goto out;
    if (missing(specs, n, counts, names, sizeof(names)) > 0 &&
        !ls_config_bool(config, "lockstep", "create_topics")) {
        ls_fail_cause(&why, LS_ERR_FATAL, ENOENT, "topics", "they are not to be made");
    } else if (is_absent(counts, n) && topics_make(config, rk, specs, n, counts, &why) < 0 &&
               why.kind == LS_ERR_RETRY) {
        ls_fail_cause(err, why.kind, why.code, why.cause, "%s", why.msg);
        goto out;
    }
    if (topics_await(rk, specs, n, counts, &why, err) == 0 &&
        counts_check(specs, n, counts, err) == 0)
        r = kafka_limits_ask(rk, specs, n, err);
out:
    if (rk)
        rd_kafka_destroy(rk);
    free(counts);
    return r;
}
