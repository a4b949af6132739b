/* How long changes take: which clock, what is measured and what is not. */
#include "apply/latency.h"
#include "common/run.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    int n;
    enum ap_clock clock;
    double seconds;
};

static void
each(void *arg, enum ap_clock clock, double seconds)
{
    struct seen *seen = arg;

    seen->n++;
    seen->clock = clock;
    seen->seconds = seconds;
}

static const struct ap_key file = {AP_NODE, 7};

static void
take(struct ap_latency *latency, int64_t source_us, int64_t capture_us, bool snapshot, bool open)
{
    struct cs3_head head = {
        .source_ts_us = source_us, .capture_ts_us = capture_us, .snapshot = snapshot};

    ap_latency_record(latency, &head);
    ap_latency_begin(latency, file, open);
    ap_latency_record(latency, NULL);
}

static void
microseconds_of_the_source_are_used_else_the_time_at_capture(void **state)
{
    struct seen seen = {0};
    struct ap_latency *latency = ap_latency_new(each, &seen);
    int64_t now = ls_now_us(), whole = now / 1000000 * 1000000;

    (void)state;
    take(latency, whole - 50 * 1000000 + 3, now - 10 * 1000000, false, false);
    ap_latency_end(latency, file, true);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.clock, AP_CLOCK_SOURCE);
    assert_true(seen.seconds > 49 && seen.seconds < 49 + 60);
    take(latency, whole - 50 * 1000000, now - 10 * 1000000, false, false);
    ap_latency_end(latency, file, true);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.clock, AP_CLOCK_CAPTURE);
    assert_true(seen.seconds >= 10 && seen.seconds < 49);
    ap_latency_free(latency);
}

static void
the_oldest_record_that_was_not_done_counts(void **state)
{
    struct seen seen = {0};
    struct ap_latency *latency = ap_latency_new(each, &seen);
    int64_t now = ls_now_us();

    (void)state;
    take(latency, 0, now - 100 * 1000000, false, false);
    take(latency, 0, now - 1 * 1000000, false, true);
    ap_latency_end(latency, file, true);
    assert_int_equal(seen.n, 1);
    assert_true(seen.seconds >= 100);
    ap_latency_end(latency, file, true); /* done once */
    assert_int_equal(seen.n, 1);
    ap_latency_free(latency);
}

static void
snapshots_dead_letters_and_work_of_our_own_are_not_measured(void **state)
{
    struct seen seen = {0};
    struct ap_latency *latency = ap_latency_new(each, &seen);
    int64_t now = ls_now_us();

    (void)state;
    take(latency, 0, now, true, false);
    ap_latency_end(latency, file, true);
    take(latency, 0, now, false, false);
    ap_latency_end(latency, file, false);
    ap_latency_begin(latency, file, false); /* no record: a tombstone, a sweep */
    ap_latency_end(latency, file, true);
    take(latency, 0, now, false, false);
    take(latency, 0, now, true, false); /* the snapshot's row came behind the other was done */
    ap_latency_end(latency, file, true);
    assert_int_equal(seen.n, 0);
    ap_latency_free(latency);
}

static void
a_clock_ahead_of_ours_is_no_negative_latency(void **state)
{
    struct seen seen = {.seconds = -1};
    struct ap_latency *latency = ap_latency_new(each, &seen);

    (void)state;
    take(latency, 0, ls_now_us() + 3600 * INT64_C(1000000), false, false);
    ap_latency_end(latency, file, true);
    assert_int_equal(seen.n, 1);
    assert_true(seen.seconds == 0);
    ap_latency_free(latency);
}

static void
without_anybody_to_tell_nothing_happens(void **state)
{
    (void)state;
    take(NULL, 1, 1, false, false);
    ap_latency_end(NULL, file, true);
    ap_latency_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(microseconds_of_the_source_are_used_else_the_time_at_capture),
        cmocka_unit_test(the_oldest_record_that_was_not_done_counts),
        cmocka_unit_test(snapshots_dead_letters_and_work_of_our_own_are_not_measured),
        cmocka_unit_test(a_clock_ahead_of_ours_is_no_negative_latency),
        cmocka_unit_test(without_anybody_to_tell_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
