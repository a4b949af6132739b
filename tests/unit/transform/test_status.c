/* What an idle stage knows of Kafka: whether somebody takes its status. */
#include "mock.h"
#include "notify.h"
#include "tests/unit/clock.h"

#include "transform/status.h"

#define DOCUMENTS 600 /* librdkafka is asked for what it gave up at every 256th */
#define WAIT_MS 60000

static void
documents_that_nobody_takes_in_time_are_not_taken(void **state)
{
    static const char *const topics[] = {"status", NULL};
    struct tf_counts counts = {0};
    struct tf_facts facts = {.counts = &counts, .assigned = true, .lag_records = -1};
    struct tf_status *status = NULL;
    struct mock mock;
    struct ls_err err = {0};
    bool back = false;

    (void)state;
    setenv("LOCKSTEP_KAFKA_MESSAGE_TIMEOUT_MS", "100", 1);
    clock_hold();
    mock_start(&mock, topics);
    ok(tf_status_new(mock.config, &status, &err));
    tf_status_tick(status, &facts);
    assert_true(notify_says("STATUS=ready", WAIT_MS));

    rd_kafka_mock_broker_set_down(mock.cluster, 1);
    for (int i = 0; i < DOCUMENTS; i++) {
        clock_pass_us(1000000);
        tf_status_tick(status, &facts);
        usleep(5000);
    }
    assert_true(notify_says("STATUS=no answer from Kafka", WAIT_MS));
    assert_false(notify_says("STATUS=ready", 0));

    rd_kafka_mock_broker_set_up(mock.cluster, 1);
    for (int i = 0; i < WAIT_MS / 20 && !(back = notify_says("STATUS=ready", 0)); i++) {
        clock_pass_us(1000000);
        tf_status_tick(status, &facts);
        usleep(20000);
    }
    assert_true(back);
    clock_release();
    tf_status_free(status);
    mock_stop(&mock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_that_nobody_takes_in_time_are_not_taken),
    };

    notify_listen();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
