/* Where the counters live, against librdkafka's mock cluster. */
#include "mock.h"

#include "transform/store.h"

static int
count_record(void *arg, const struct ls_message *message, struct ls_err *err)
{
    (void)message;
    (void)err;
    ++*(int *)arg;
    return 0;
}

static int
records_in(const struct ls_config *config, const char *topic)
{
    struct ls_err err = {0};
    int n = 0;

    assert_int_equal(ls_topic_read(config, ls_config_topic(config, topic), count_record, &n, &err),
                     0);
    return n;
}

/* Whether nobody of its name has begun since that process did. */
static bool
is_last(const struct ls_config *config, const struct tf_mark *mark)
{
    struct ls_err err = {0};
    char last[TF_MARK_TEXT];

    ok(tf_store_last(config, last, &err));
    return tf_mark_is(mark, last);
}

static void
counters_come_back_from_their_own_topic_and_nothing_is_written_to_captures(void **state)
{
    static const char *const topics[] = {"position", "counters", NULL};
    struct mock mock;
    struct tf_counts counts = {0}, back = {.in = 99};
    struct tf_mark mark = {0}, other = {0};
    struct ls_producer *p = NULL;
    const struct ls_config *config;
    struct ls_err err = {0};

    (void)state;
    mock_start(&mock, topics);
    config = mock.config;
    assert_int_equal(ls_producer_new(config, "t-transform-1", &p, &err), 0);
    assert_int_equal(tf_store_get(config, p, &back, &mark, &err), 0);
    assert_int_equal(back.in, 0);

    counts.in = 7;
    tf_count(&counts, TF_COUNT_OUT, "resource");
    assert_int_equal(ls_producer_begin(p, &err), 0);
    assert_int_equal(tf_store_put(config, p, &counts, &err), 0);
    assert_int_equal(ls_producer_commit(p, &err), 0);
    assert_int_equal(tf_store_get(config, p, &back, &mark, &err), 0);
    assert_int_equal(back.in, 7);
    assert_int_equal(tf_counts_get(&back, TF_COUNT_OUT, "resource"), 1);
    assert_int_equal(records_in(config, "position"), 0);
    assert_int_equal(records_in(config, "counters"), 3);

    /* the last who began holds the name, also when it failed before it had the counters */
    counts.in = 99;
    rd_kafka_mock_push_request_errors(mock.cluster, MOCK_LIST_OFFSETS, 1,
                                      RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(tf_store_get(config, p, &counts, &mark, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_int_equal(counts.in, 99);
    assert_true(is_last(config, &mark));
    assert_int_equal(tf_store_get(config, p, &back, &other, &err), 0);
    assert_false(is_last(config, &mark));
    assert_true(is_last(config, &other));

    ls_producer_free(p);
    mock_stop(&mock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            counters_come_back_from_their_own_topic_and_nothing_is_written_to_captures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
