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
#include <time.h>

static int fail_at; /* the number of the decoding that fails, from 1 */
static int decoded;
static int64_t slept_ms; /* how far our clock is ahead */
static int64_t row_ms;   /* that each row takes */
static int64_t look_ms;  /* that each look at the clock takes */

int64_t
ls_mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    slept_ms += look_ms;
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + slept_ms;
}

int64_t
ls_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int
ls_envelope_decode(const struct ls_table *table, struct ls_str value, struct ls_arena *arena,
                   struct ls_envelope **ret, struct ls_err *err)
{
    struct ls_envelope *e = ls_arena_alloc(arena, sizeof(*e));
    const char *space = memchr(value.p, ' ', value.n);

    assert_non_null(e);
    assert_non_null(space);
    slept_ms += row_ms;
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

/* Five rows of oc_storages. */
struct world {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct ls_config *config;
    struct tf_known *known;
    struct tf_tail *tail;
};

static const char *const topics[] = {"t.oc10.oc_storages", "t.oc10.oc_mimetypes",
                                     "t.oc10.oc_accounts"};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char text[200], servers[300];
    const char *sets[] = {servers, "lockstep.prefix=t", "log.level=error"};
    struct ls_producer *p = NULL;
    struct ls_err err = {0};

    w->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    w->cluster = rd_kafka_mock_cluster_new(w->host, 1);
    w->known = tf_known_new();
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(w->cluster));
    for (size_t i = 0; i < 3; i++)
        rd_kafka_mock_topic_create(w->cluster, topics[i], 1, 1);
    assert_int_equal(ls_config_load(NULL, (char *const *)sets, 3, &w->config, &err), 0);
    assert_int_equal(ls_producer_new(w->config, NULL, &p, &err), 0);
    for (int i = 1; i <= 5; i++) {
        snprintf(text, sizeof(text), "%d home::u%d", i, i);
        assert_int_equal(
            ls_producer_send(p, topics[0], 0, LS_STR("k"), ls_str_of(text), NULL, 0, &err), 0);
    }
    assert_int_equal(ls_producer_flush(p, 10000, &err), 0);
    ls_producer_free(p);
    fail_at = decoded = 0;
    row_ms = look_ms = 0;
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    tf_tail_free(w->tail);
    tf_known_free(w->known);
    ls_config_free(w->config);
    rd_kafka_mock_cluster_destroy(w->cluster);
    rd_kafka_destroy(w->host);
    free(w);
    return 0;
}

static void
a_row_that_could_not_be_taken_in_for_a_moment_is_not_lost(void **state)
{
    struct world *w = *state;
    struct ls_err err = {0};

    fail_at = 3;
    assert_int_equal(tf_tail_new(w->config, w->known, &w->tail, &err), 0);
    assert_int_equal(tf_tail_catch_up(w->tail, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_int_equal(tf_known_storage(w->known, 3).class, TF_STORAGE_UNKNOWN);
    err = (struct ls_err){0};
    assert_int_equal(tf_tail_catch_up(w->tail, &err), 0);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(tf_known_storage(w->known, i).class, TF_STORAGE_PERSONAL);
    assert_int_equal(decoded, 6); /* five rows, and one of them twice */
}

/* Two weeks of heartbeats are longer than any patience, and a start that gives up reads them all
 * again. */
static void
a_topic_that_takes_long_to_read_is_read_to_its_end(void **state)
{
    struct world *w = *state;
    struct ls_err err = {0};

    row_ms = 10000;
    assert_int_equal(tf_tail_new(w->config, w->known, &w->tail, &err), 0);
    assert_int_equal(tf_tail_catch_up(w->tail, &err), 0);
    assert_int_equal(tf_known_storage(w->known, 5).class, TF_STORAGE_PERSONAL);
    assert_int_equal(decoded, 5);
}

static void
a_topic_that_brings_nothing_is_given_up_for_now(void **state)
{
    enum { FETCH = 1, MANY = 1000 };
    static rd_kafka_resp_err_t refused[MANY];
    struct world *w = *state;
    struct ls_err err = {0};

    for (size_t i = 0; i < MANY; i++)
        refused[i] = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    rd_kafka_mock_push_request_errors_array(w->cluster, FETCH, MANY, refused);
    look_ms = 1000;
    assert_int_equal(tf_tail_new(w->config, w->known, &w->tail, &err), 0);
    assert_int_equal(tf_tail_catch_up(w->tail, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, "tables-behind");
    assert_false(tf_known_certain(w->known, (struct ls_seq){1, 1, 0}));
    look_ms = 0;
    rd_kafka_mock_clear_request_errors(w->cluster, FETCH);
    err = (struct ls_err){0};
    assert_int_equal(tf_tail_catch_up(w->tail, &err), 0);
    assert_int_equal(decoded, 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_that_could_not_be_taken_in_for_a_moment_is_not_lost,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_topic_that_takes_long_to_read_is_read_to_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_topic_that_brings_nothing_is_given_up_for_now, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
