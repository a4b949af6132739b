/*
 * librdkafka's mock cluster of one broker with topics of the prefix "t". It shows records of
 * transactions that are open or were aborted, and keeps no offsets that were sent to one.
 */
#ifndef TEST_MOCK_H
#define TEST_MOCK_H

#include "common/config.h"
#include "tests/unit/common/unit.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

/* Kinds of requests, for answers that are made to order. */
enum { MOCK_LIST_OFFSETS = 2, MOCK_HEARTBEAT = 12, MOCK_END_TXN = 26, MOCK_TXN_OFFSET_COMMIT = 28 };

struct mock {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct ls_config *config;
};

/* `suffixes`: the topics, each of one partition; ends with NULL. */
static inline void
mock_start(struct mock *m, const char *const *suffixes)
{
    char text[200], servers[300];
    const char *sets[] = {servers,
                          "lockstep.prefix=t",
                          "lockstep.partitions=1",
                          "lockstep.create_topics=false",
                          "log.level=error",
                          "kafka.heartbeat.interval.ms=500"};
    struct ls_err err = {0};

    m->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    m->cluster = rd_kafka_mock_cluster_new(m->host, 1);
    (void)snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
                   rd_kafka_mock_cluster_bootstraps(m->cluster));
    ok(ls_config_load(NULL, (char *const *)sets, sizeof(sets) / sizeof(sets[0]), &m->config, &err));
    for (; *suffixes; suffixes++)
        assert_int_equal(
            rd_kafka_mock_topic_create(m->cluster, ls_config_topic(m->config, *suffixes), 1, 1), 0);
}

static inline void
mock_stop(struct mock *m)
{
    ls_config_free(m->config);
    rd_kafka_mock_cluster_destroy(m->cluster);
    rd_kafka_destroy(m->host);
}

#endif
