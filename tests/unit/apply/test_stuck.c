/* When an upload that the target says it processes is taken for one that it has forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "apply/ocis/ocis_api.h"
#include <cmocka.h>

#define BIG (INT64_C(60) << 30) /* of 16 MiB a second: 65 minutes and a half */
#define NOW INT64_C(100000000)

static void
a_small_one_is_stuck_when_one_that_began_a_minute_later_is_ready(void **state)
{
    (void)state;
    assert_int_equal(ap_processing_stuck(NOW, NOW - 70000, NOW - 10000, 0, 1000), AP_STUCK_NOT);
    assert_int_equal(ap_processing_stuck(NOW, NOW - 80000, NOW - 10000, 0, 1000),
                     AP_STUCK_OVERTAKEN);
}

static void
where_nothing_else_is_ready_one_a_minute_is_stuck_after_ten(void **state)
{
    (void)state;
    assert_int_equal(ap_processing_stuck(NOW, NOW - 599000, 0, 0, 1000), AP_STUCK_NOT);
    assert_int_equal(ap_processing_stuck(NOW, NOW - 601000, 0, 0, 1000), AP_STUCK_LONG);
    assert_int_equal(ap_processing_stuck(NOW, NOW - 601000, 0, NOW - 59000, 1000), AP_STUCK_NOT);
}

static void
a_big_one_is_passed_by_small_ones_and_is_not_stuck(void **state)
{
    (void)state;
    assert_int_equal(ap_processing_stuck(NOW, NOW - 3600000, NOW, 0, BIG), AP_STUCK_NOT);
    assert_int_equal(ap_processing_stuck(NOW, NOW - 4000000, NOW, 0, BIG), AP_STUCK_OVERTAKEN);
    assert_int_equal(ap_processing_stuck(NOW, NOW - 4400000, 0, 0, BIG), AP_STUCK_NOT);
    assert_int_equal(ap_processing_stuck(NOW, NOW - 4540000, 0, 0, BIG), AP_STUCK_LONG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_one_is_stuck_when_one_that_began_a_minute_later_is_ready),
        cmocka_unit_test(where_nothing_else_is_ready_one_a_minute_is_stuck_after_ten),
        cmocka_unit_test(a_big_one_is_passed_by_small_ones_and_is_not_stuck),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
