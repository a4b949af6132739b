/*
 * Asks brokers what they have: topics, their copies and their settings.
 *
 * Three answers, each may be refused alone. The metadata of all topics leaves out what the
 * principal may not describe, so a topic that is not in it is asked for by name: then "not there"
 * and "may not" are told apart. Settings need DescribeConfigs on the topic, those of a broker
 * DescribeConfigs on the cluster, which few have: not to be told them is no failure.
 */
#include "common/kafka_look.h"
#include "common/kafka_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 10000

static const char *const settings[LS_LOOK_SETTINGS] = {
    "cleanup.policy",      "retention.ms",
    "retention.bytes",     "min.compaction.lag.ms",
    "delete.retention.ms", "segment.ms",
    "segment.bytes",       "max.message.bytes",
    "min.insync.replicas", "unclean.leader.election.enable",
};

const char *
ls_topic_setting(const struct ls_topic_look *topic, const char *setting)
{
    for (size_t i = 0; i < LS_LOOK_SETTINGS; i++) {
        if (strcmp(settings[i], setting) == 0)
            return topic->value[i];
    }
    return "";
}

static void
take_topic(struct ls_topic_look *topic, const rd_kafka_metadata_topic_t *seen)
{
    if (seen->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return;
    if (seen->err) {
        kafka_fail(&topic->err, seen->err, "its partitions");
        return;
    }
    topic->partitions = seen->partition_cnt;
    for (int i = 0; i < seen->partition_cnt; i++) {
        const rd_kafka_metadata_partition_t *p = &seen->partitions[i];

        if (i == 0 || p->replica_cnt < topic->copies)
            topic->copies = p->replica_cnt;
        if (i == 0 || p->isr_cnt < topic->in_sync)
            topic->in_sync = p->isr_cnt;
        topic->leaderless += p->leader < 0;
    }
}

/* One that the list does not have. */
static void
ask_by_name(rd_kafka_t *rk, struct ls_topic_look *topic)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic->name, NULL);
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code;

    if (!rkt) {
        kafka_fail(&topic->err, rd_kafka_last_error(), "its partitions");
        return;
    }
    code = rd_kafka_metadata(rk, 0, rkt, &md, ASK_MS);
    if (code && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        kafka_fail(&topic->err, code, "its partitions");
    else if (!code && md->topic_cnt == 1)
        take_topic(topic, &md->topics[0]);
    if (md)
        rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(rkt);
}

static int
look_at_topics(rd_kafka_t *rk, struct ls_cluster_look *ret, int32_t *ret_broker,
               struct ls_topic_look *topics, size_t n, struct ls_err *err)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &md, ASK_MS);

    if (code)
        return kafka_fail(err, code, "the list of topics");
    ret->brokers = md->broker_cnt;
    *ret_broker = md->broker_cnt > 0 ? md->brokers[0].id : -1;
    for (size_t i = 0; i < n; i++) {
        int t = 0;

        while (t < md->topic_cnt && strcmp(md->topics[t].topic, topics[i].name) != 0)
            t++;
        if (t < md->topic_cnt)
            take_topic(&topics[i], &md->topics[t]);
        else
            ask_by_name(rk, &topics[i]);
    }
    rd_kafka_metadata_destroy(md);
    return 0;
}

rd_kafka_event_t *
kafka_describe(rd_kafka_t *rk, rd_kafka_ConfigResource_t **asked, size_t n, int most_ms,
               struct ls_err *err)
{
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_event_t *event;
    char text[160];

    rd_kafka_AdminOptions_set_request_timeout(options, most_ms, text, sizeof(text));
    rd_kafka_DescribeConfigs(rk, asked, n, options, queue);
    event = rd_kafka_queue_poll(queue, most_ms + 1000);
    if (!event || rd_kafka_event_error(event)) {
        kafka_fail(err, event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT,
                   "configurations");
        if (event)
            rd_kafka_event_destroy(event);
        event = NULL;
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return event;
}

static void
take_settings(struct ls_topic_look *topic, const rd_kafka_ConfigResource_t *told)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(told, &n);

    for (size_t e = 0; e < n; e++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[e]);

        for (size_t i = 0; value && i < LS_LOOK_SETTINGS; i++) {
            if (strcmp(settings[i], rd_kafka_ConfigEntry_name(entries[e])) == 0)
                (void)snprintf(topic->value[i], sizeof(topic->value[i]), "%s", value);
        }
    }
    topic->told = n > 0;
}

static int
look_at_settings(rd_kafka_t *rk, struct ls_topic_look *topics, size_t n, struct ls_err *err)
{
    rd_kafka_ConfigResource_t **asked = calloc(n + 1, sizeof(rd_kafka_ConfigResource_t *));
    const rd_kafka_ConfigResource_t **told;
    rd_kafka_event_t *event = NULL;
    struct ls_err why = {0};
    size_t n_asked = 0, n_told = 0;

    if (!asked)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (topics[i].partitions > 0)
            asked[n_asked++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i].name);
    }
    if (n_asked > 0 && (event = kafka_describe(rk, asked, n_asked, ASK_MS, &why)) != NULL) {
        told = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &n_told);
        for (size_t t = 0; t < n_told; t++) {
            for (size_t i = 0; i < n && !rd_kafka_ConfigResource_error(told[t]); i++) {
                if (strcmp(topics[i].name, rd_kafka_ConfigResource_name(told[t])) == 0)
                    take_settings(&topics[i], told[t]);
            }
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy_array(asked, n_asked);
    free(asked);
    return 0;
}

static void
take_broker(struct ls_cluster_look *ret, const rd_kafka_ConfigResource_t *told)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(told, &n);
    const struct {
        const char *name;
        char *out;
        size_t size;
    } wanted[] = {
        {"inter.broker.protocol.version", ret->protocol, sizeof(ret->protocol)},
        {"authorizer.class.name", ret->authorizer, sizeof(ret->authorizer)},
        {"super.users", ret->super_users, sizeof(ret->super_users)},
    };

    for (size_t e = 0; e < n; e++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[e]);
        const char *value = rd_kafka_ConfigEntry_value(entries[e]);

        for (size_t i = 0; value && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
            if (strcmp(wanted[i].name, name) == 0)
                (void)snprintf(wanted[i].out, wanted[i].size, "%s", value);
        }
    }
    ret->told = n > 0;
}

static void
look_at_broker(rd_kafka_t *rk, int32_t broker, struct ls_cluster_look *ret)
{
    const rd_kafka_ConfigResource_t **told;
    rd_kafka_ConfigResource_t *asked;
    rd_kafka_event_t *event;
    struct ls_err why = {0};
    size_t n = 0;
    char id[16];

    (void)snprintf(id, sizeof(id), "%d", (int)broker);
    asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, id);
    event = kafka_describe(rk, &asked, 1, ASK_MS, &why);
    if (event) {
        told = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &n);
        if (n == 1 && rd_kafka_ConfigResource_error(told[0]))
            kafka_fail(&why, rd_kafka_ConfigResource_error(told[0]), "configurations");
        else if (n == 1)
            take_broker(ret, told[0]);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy(asked);
    if (!ret->told)
        (void)snprintf(ret->why, sizeof(ret->why), "%.150s", why.msg);
}

int
ls_kafka_look(const struct ls_config *config, struct ls_cluster_look *ret,
              struct ls_topic_look *topics, size_t n, struct ls_err *err)
{
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk = NULL;
    int32_t broker = -1;
    int r = -1;

    memset(ret, 0, sizeof(*ret));
    if (kafka_conf_new(config, NULL, &conf, err) < 0 ||
        kafka_client_new(RD_KAFKA_CONSUMER, conf, &rk, err) < 0 ||
        look_at_topics(rk, ret, &broker, topics, n, err) < 0)
        goto out;
    r = look_at_settings(rk, topics, n, err);
    if (r == 0 && broker >= 0)
        look_at_broker(rk, broker, ret);
out:
    if (rk)
        rd_kafka_destroy(rk);
    return r;
}
