/*
 * The loop against librdkafka's mock cluster: what ends it and what does not. Its rows are no
 * envelopes, so that each becomes a dead letter; without offsets a row may come more than once.
 */
#include "mock.h"
#include "notify.h"

#include "common/kafka.h"
#include "common/run.h"
#include "common/tables.h"
#include "transform/map.h"
#include "transform/pipeline.h"
#include "transform/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define WAIT_MS 60000
#define ROWS 40 /* of one transaction */

static struct mock mock;
static const struct ls_config *config;
static struct tf_pipeline *pipeline;
static struct ls_err ended; /* of the loop */
static atomic_bool has_ended;

/* With all topics that transform wants. */
static void
cluster_make(void)
{
    static const char *const others[] = {"counters", "schemas", "dlq", "status", "replay"};
    enum { OTHERS = sizeof(others) / sizeof(others[0]) };
    static char names[LS_T_COUNT + TF_TOPICS][64];
    const char *all[LS_T_COUNT + TF_TOPICS + OTHERS + 1] = {NULL};
    size_t n = 0;

    for (size_t i = 0; i < LS_T_COUNT; i++, n++)
        (void)snprintf(names[n], sizeof(names[n]), "oc10.oc_%s", ls_tables[i].name);
    for (size_t i = 0; i < TF_TOPICS; i++, n++)
        (void)snprintf(names[n], sizeof(names[n]), "cs3.%s", tf_topic_names[i]);
    for (size_t i = 0; i < n; i++)
        all[i] = names[i];
    for (size_t i = 0; i < OTHERS; i++)
        all[n++] = others[i];
    mock_start(&mock, all);
    config = mock.config;
}

static void *
loop(void *arg)
{
    (void)arg;
    (void)tf_pipeline_run(pipeline, &ended);
    atomic_store(&has_ended, true);
    return NULL;
}

static int
see_letter(void *arg, const struct ls_message *message, struct ls_err *err)
{
    char *wanted = arg;

    (void)err;
    if (ls_str_is(message->value, wanted))
        *wanted = '\0';
    return 0;
}

/* Sends a row; whether its letter comes. */
static bool
goes_through(struct ls_producer *producer, const char *row)
{
    int64_t until = ls_mono_ms() + WAIT_MS;
    char wanted[16];
    struct ls_err err = {0};

    assert_int_equal(ls_producer_send(producer, ls_config_topic(config, "oc10.oc_share"), 0,
                                      LS_STR("k"), ls_str_of(row), NULL, 0, &err),
                     0);
    assert_int_equal(ls_producer_flush(producer, 10000, &err), 0);
    (void)snprintf(wanted, sizeof(wanted), "%s", row);
    while (wanted[0] && !atomic_load(&has_ended) && ls_mono_ms() < until) {
        ls_run_sleep_ms(50);
        (void)ls_topic_read(config, ls_config_topic(config, "dlq"), see_letter, wanted, &err);
    }
    return !wanted[0];
}

/* Another process of the loop's name, which has joined the group. */
static void
end_by_a_rival(pthread_t thread)
{
    int64_t until = ls_mono_ms() + WAIT_MS;
    struct ls_producer *rivals = NULL;
    struct tf_counts counts;
    struct tf_mark mark = {0};
    struct ls_err err = {0};

    ok(ls_producer_new(config, "t-rival", &rivals, &err));
    ok(tf_store_get(config, rivals, &counts, &mark, &err));
    rd_kafka_mock_push_request_errors(mock.cluster, MOCK_HEARTBEAT, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    while (!atomic_load(&has_ended) && ls_mono_ms() < until)
        ls_run_sleep_ms(50);
    assert_true(atomic_load(&has_ended));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ended.kind, LS_ERR_FATAL);
    assert_string_equal(ended.cause, "fenced");
    ls_producer_free(rivals);
}

static void
it_ends_for_one_of_its_name_and_not_for_a_broker_that_cannot_tell(void **state)
{
    struct tf_status *status = NULL;
    struct ls_producer *plain = NULL;
    struct ls_err err = {0};
    pthread_t thread;

    (void)state;
    atomic_store(&has_ended, false);
    cluster_make();
    assert_int_equal(tf_status_new(config, &status, &err), 0);
    if (tf_pipeline_new(config, status, &pipeline, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(pthread_create(&thread, NULL, loop, NULL), 0);
    assert_int_equal(ls_producer_new(config, NULL, &plain, &err), 0);
    assert_true(goes_through(plain, "first"));

    /* its transaction was given up, and who has the name cannot be read for a moment; the letters
     * cannot either, so that we take some of these answers ourselves */
    for (int i = 0; i < 10; i++)
        rd_kafka_mock_push_request_errors(mock.cluster, MOCK_LIST_OFFSETS, 1,
                                          RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    rd_kafka_mock_push_request_errors(mock.cluster, MOCK_END_TXN, 1,
                                      RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    assert_true(goes_through(plain, "second"));
    if (!goes_through(plain, "third"))
        fail_msg("%s", ended.msg);

    end_by_a_rival(thread); /* nothing need be sent */
    ls_producer_free(plain);
    tf_pipeline_free(pipeline);
    tf_status_free(status);
    mock_stop(&mock);
}

static int
see_counters(void *arg, const struct ls_message *message, struct ls_err *err)
{
    return ls_str_is(message->key, "transform/1") ? tf_counts_parse(message->value, arg, err) : 0;
}

static void
the_counters_that_a_transaction_has_last_hold_all_of_its_rows(void **state)
{
    int64_t until = ls_mono_ms() + WAIT_MS;
    struct tf_counts counts = {0};
    struct tf_status *status = NULL;
    struct ls_producer *plain = NULL;
    struct ls_err err = {0};
    pthread_t thread;

    (void)state;
    atomic_store(&has_ended, false);
    cluster_make();
    ok(tf_status_new(config, &status, &err));
    ok(ls_producer_new(config, NULL, &plain, &err));
    for (int i = 0; i < ROWS; i++)
        ok(ls_producer_send(plain, ls_config_topic(config, "oc10.oc_share"), 0, LS_STR("k"),
                            LS_STR("row"), NULL, 0, &err));
    ok(ls_producer_flush(plain, 10000, &err));
    ok(tf_pipeline_new(config, status, &pipeline, &err)); /* it finds them all at once */
    assert_int_equal(pthread_create(&thread, NULL, loop, NULL), 0);
    while (counts.in < ROWS && ls_mono_ms() < until) {
        ls_run_sleep_ms(50);
        (void)ls_topic_read(config, ls_config_topic(config, "counters"), see_counters, &counts,
                            &err);
    }
    assert_int_equal(counts.in, ROWS);
    assert_int_equal(tf_counts_sum(&counts, TF_COUNT_DEAD), ROWS);
    end_by_a_rival(thread);
    ls_producer_free(plain);
    tf_pipeline_free(pipeline);
    tf_status_free(status);
    mock_stop(&mock);
}

static void
a_commit_begins_as_much_before_its_time_as_it_takes_but_not_in_the_first_half(void **state)
{
    (void)state;
    assert_int_equal(tf_gather_ms(20, 0), 20);
    assert_int_equal(tf_gather_ms(20, 7.9), 13);
    assert_int_equal(tf_gather_ms(20, 10), 10);
    assert_int_equal(tf_gather_ms(20, 1e9), 10);
    assert_int_equal(tf_gather_ms(1, 7), 1);
    assert_int_equal(tf_gather_ms(10000, 7), 9993);
}

static atomic_int new_r;

static void *
begin(void *arg)
{
    ended = (struct ls_err){0};
    atomic_store(&new_r, tf_pipeline_new(config, arg, &pipeline, &ended));
    atomic_store(&has_ended, true);
    return NULL;
}

static int
count_mark(void *arg, const struct ls_message *message, struct ls_err *err)
{
    (void)err;
    *(int *)arg += ls_str_is(message->key, "transform/1/mark");
    return 0;
}

static int
marks(void)
{
    struct ls_err err = {0};
    int n = 0;

    ok(ls_topic_read(config, ls_config_topic(config, "counters"), count_mark, &n, &err));
    return n;
}

/* Begins, and is fenced at the end of its first transaction: by a rival, or by nobody. */
static void
begin_and_be_fenced(struct tf_status *status, struct ls_producer *rivals)
{
    struct tf_counts counts;
    struct tf_mark mark = {0};
    struct ls_err err = {0};
    int before = marks();
    pthread_t thread;

    atomic_store(&has_ended, false);
    rd_kafka_mock_broker_push_request_error_rtts(mock.cluster, 1, MOCK_END_TXN, (size_t)1,
                                                 RD_KAFKA_RESP_ERR_PRODUCER_FENCED, 3000);
    assert_int_equal(pthread_create(&thread, NULL, begin, status), 0);
    while (rivals && marks() == before)
        ls_run_sleep_ms(20);
    if (rivals)
        ok(tf_store_get(config, rivals, &counts, &mark, &err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&new_r), -1);
}

static void
a_start_that_is_fenced_ends_for_one_of_its_name_and_not_for_a_transaction_that_timed_out(
    void **state)
{
    struct tf_status *status = NULL;
    struct ls_producer *rivals = NULL;
    struct ls_err err = {0};

    (void)state;
    cluster_make();
    ok(tf_status_new(config, &status, &err));
    ok(ls_producer_new(config, "t-rival", &rivals, &err));

    begin_and_be_fenced(status, NULL);
    assert_int_equal(ended.kind, LS_ERR_RETRY);
    assert_string_equal(ended.cause, "transaction-timeout");
    begin_and_be_fenced(status, rivals);
    assert_int_equal(ended.kind, LS_ERR_FATAL);
    assert_string_equal(ended.cause, "fenced");
    ok(tf_pipeline_new(config, status, &pipeline, &err));

    ls_producer_free(rivals);
    tf_pipeline_free(pipeline);
    tf_status_free(status);
    mock_stop(&mock);
}

static void
it_is_not_ready_while_batches_fail_one_behind_another(void **state)
{
    struct tf_status *status = NULL;
    struct ls_producer *plain = NULL;
    struct ls_err err = {0};
    pthread_t thread;

    (void)state;
    atomic_store(&has_ended, false);
    cluster_make();
    ok(tf_status_new(config, &status, &err));
    ok(tf_pipeline_new(config, status, &pipeline, &err));
    assert_int_equal(pthread_create(&thread, NULL, loop, NULL), 0);
    ok(ls_producer_new(config, NULL, &plain, &err));
    assert_true(goes_through(plain, "good"));
    assert_true(notify_says("STATUS=ready", WAIT_MS));

    for (int i = 0; i < 10000; i++)
        rd_kafka_mock_push_request_errors(mock.cluster, MOCK_TXN_OFFSET_COMMIT, 1,
                                          RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE);
    ok(ls_producer_send(plain, ls_config_topic(config, "oc10.oc_share"), 0, LS_STR("k"),
                        LS_STR("bad"), NULL, 0, &err));
    assert_true(notify_says("send_offsets_to_transaction", WAIT_MS));
    assert_false(notify_says("STATUS=ready", 0));
    rd_kafka_mock_clear_request_errors(mock.cluster, MOCK_TXN_OFFSET_COMMIT);
    assert_true(notify_says("STATUS=ready", WAIT_MS));

    ls_run_stop();
    assert_int_equal(pthread_join(thread, NULL), 0);
    ls_producer_free(plain);
    tf_pipeline_free(pipeline);
    tf_status_free(status);
    mock_stop(&mock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_for_one_of_its_name_and_not_for_a_broker_that_cannot_tell),
        cmocka_unit_test(
            a_commit_begins_as_much_before_its_time_as_it_takes_but_not_in_the_first_half),
        cmocka_unit_test(the_counters_that_a_transaction_has_last_hold_all_of_its_rows),
        cmocka_unit_test(
            a_start_that_is_fenced_ends_for_one_of_its_name_and_not_for_a_transaction_that_timed_out),
        /* the last one: it asks this process to stop */
        cmocka_unit_test(it_is_not_ready_while_batches_fail_one_behind_another),
    };

    notify_listen();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
