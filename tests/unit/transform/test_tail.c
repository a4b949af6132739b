/*
 * The small topics, read from librdkafka's mock cluster. The decoder here is the test's own: it
 * takes "<number> <id>" for a row of oc_storages, and runs out of memory when it is told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "common/kafka.h"
#include "transform/tail.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail_at; /* the number of the decoding that fails, from 1 */
static int decoded;

int
ls_envelope_decode(const struct ls_table *table, struct ls_str value, struct ls_arena *arena,
                   struct ls_envelope **ret, struct ls_err *err)
{
    struct ls_envelope *e = ls_arena_alloc(arena, sizeof(*e));
    const char *space = memchr(value.p, ' ', value.n);

    assert_non_null(e);
    assert_non_null(space);
    if (++decoded == fail_at)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "batch-memory", "no memory for a moment");
    e->table = table;
    e->op = LS_OP_READ;
    e->seq = (struct ls_seq){1, decoded, 0};
    e->has_after = true;
    e->after[ST_NUMERIC_ID] = (struct ls_value){.kind = LS_V_INT, .i = atoll(value.p)};
    e->after[ST_ID] = (struct ls_value){.kind = LS_V_TEXT,
                                        .s = {space + 1, value.n - (size_t)(space + 1 - value.p)}};
    *ret = e;
    return 0;
}

static void
a_row_that_could_not_be_taken_in_for_a_moment_is_not_lost(void **state)
{
    static const char *const topics[] = {"t.oc10.oc_storages", "t.oc10.oc_mimetypes",
                                         "t.oc10.oc_accounts"};
    char text[200], servers[300];
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
    const char *sets[] = {servers, "lockstep.prefix=t", "log.level=error"};
    struct ls_producer *p = NULL;
    struct ls_config *config = NULL;
    struct tf_known *known = tf_known_new();
    struct tf_tail *tail = NULL;
    struct ls_err err = {0};

    (void)state;
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    for (size_t i = 0; i < 3; i++)
        rd_kafka_mock_topic_create(cluster, topics[i], 1, 1);
    assert_int_equal(ls_config_load(NULL, (char *const *)sets, 3, &config, &err), 0);
    assert_int_equal(ls_producer_new(config, NULL, &p, &err), 0);
    for (int i = 1; i <= 5; i++) {
        snprintf(text, sizeof(text), "%d home::u%d", i, i);
        assert_int_equal(
            ls_producer_send(p, topics[0], 0, LS_STR("k"), ls_str_of(text), NULL, 0, &err), 0);
    }
    assert_int_equal(ls_producer_flush(p, 10000, &err), 0);

    fail_at = 3;
    assert_int_equal(tf_tail_new(config, known, &tail, &err), 0);
    assert_int_equal(tf_tail_catch_up(tail, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_int_equal(tf_known_storage(known, 3).class, TF_STORAGE_UNKNOWN);
    err = (struct ls_err){0};
    assert_int_equal(tf_tail_catch_up(tail, &err), 0);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(tf_known_storage(known, i).class, TF_STORAGE_PERSONAL);
    assert_int_equal(decoded, 6); /* five rows, and one of them twice */

    tf_tail_free(tail);
    tf_known_free(known);
    ls_producer_free(p);
    ls_config_free(config);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_that_could_not_be_taken_in_for_a_moment_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
