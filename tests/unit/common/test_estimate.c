/*
 * Estimates from means: what is not known is not a number, and nothing is nothing.
 */
#include "common/estimate.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

static bool
is(double a, double b)
{
    return fabs(a - b) < 1e-6 * fabs(b) + 1e-9;
}

static void
nothing_seen_is_no_number_but_nothing_behind_is_nothing(void **state)
{
    struct ls_mean mean = {0};

    (void)state;
    assert_true(isnan(ls_mean_of(&mean)));
    ls_mean_add(&mean, 500, 0); /* a binlog without a row of ours */
    assert_true(isnan(ls_mean_of(&mean)));
    assert_true(isnan(ls_estimate(3, ls_mean_of(&mean))));
    assert_true(ls_estimate(0, ls_mean_of(&mean)) == 0);
    assert_true(isnan(ls_estimate(-1, 10)));
    assert_true(isnan(ls_estimate(NAN, 10)));
    ls_mean_add(&mean, 100, 2);
    assert_true(is(ls_mean_of(&mean), 300));
    assert_true(ls_estimate(3, ls_mean_of(&mean)) == 900);
    ls_mean_add(&mean, -1, 5);
    ls_mean_add(&mean, NAN, 5);
    ls_mean_add(&mean, 5, -5);
    assert_true(is(ls_mean_of(&mean), 300));
}

static void
a_mean_follows_what_came_lately(void **state)
{
    struct ls_mean mean = {0};

    (void)state;
    for (int i = 0; i < 1000000; i++)
        ls_mean_add(&mean, 1000, 1);
    assert_true(is(ls_mean_of(&mean), 1000));
    for (int i = 0; i < 200000; i++)
        ls_mean_add(&mean, 100, 1);
    assert_true(ls_mean_of(&mean) < 101 && ls_mean_of(&mean) > 99);
    ls_mean_add(&mean, 7e12, 1e9); /* much at once */
    assert_true(ls_mean_of(&mean) > 6999);
}

static void
a_number_goes_into_json_whole_and_what_is_none_as_null(void **state)
{
    json_t *some = ls_estimate_json(41.0), *none = ls_estimate_json(NAN);
    json_t *too_much = ls_estimate_json(INFINITY);

    (void)state;
    assert_int_equal(json_integer_value(some), 41);
    assert_true(json_is_integer(some) && json_is_null(none) && json_is_null(too_much));
    json_decref(some);
    json_decref(none);
    json_decref(too_much);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_is_no_number_but_nothing_behind_is_nothing),
        cmocka_unit_test(a_mean_follows_what_came_lately),
        cmocka_unit_test(a_number_goes_into_json_whole_and_what_is_none_as_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
