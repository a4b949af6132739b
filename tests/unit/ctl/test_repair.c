/* repair: what of verify's differences is sent again, and which words it takes. */
#include "ctl/replay/repair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct verify_difference
difference(enum verify_kind kind, enum verify_when when, int64_t fileid, int64_t share)
{
    return (struct verify_difference){.kind = kind,
                                      .when = when,
                                      .fileid = fileid,
                                      .share = share,
                                      .target_id = "n",
                                      .user = "bob",
                                      .owner = share ? "alice" : "",
                                      .what = "missing",
                                      .place = "a.txt",
                                      .source = "",
                                      .target = ""};
}

static void
what_the_source_has_a_row_for_is_sent_again_and_what_the_target_alone_has_is_left(void **state)
{
    struct verify_difference d[] = {
        difference(VD_NODE, VW_REAL, 12, 0),    difference(VD_NODE, VW_UNKNOWN, 12, 0),
        difference(VD_TRASH, VW_REAL, 13, 0),   difference(VD_SHARE, VW_REAL, 14, 7),
        difference(VD_LINK, VW_REAL, 14, 8),    difference(VD_NODE, VW_REAL, 0, 0),
        difference(VD_SHARE, VW_REAL, 15, 0),   difference(VD_TRASH, VW_REAL, 0, 0),
        difference(VD_NODE, VW_CARRIED, 16, 0), difference(VD_NODE, VW_CARRIED, 0, 0),
    };
    struct verify_difference *each[sizeof d / sizeof d[0]];
    struct verify_list list = {each, sizeof d / sizeof d[0], sizeof d / sizeof d[0]};
    struct repair_plan *plan;
    struct repair_counts n;

    (void)state;
    for (size_t i = 0; i < list.n; i++)
        each[i] = &d[i];
    plan = repair_plan_new(&list);
    assert_non_null(plan);
    n = repair_plan_counts(plan);
    assert_int_equal(n.again, 5);
    assert_int_equal(n.carried, 2);
    assert_int_equal(n.foreign, 3);
    assert_true(repair_plan_has(plan, "cs3.resource", LS_STR("12")));
    assert_true(repair_plan_has(plan, "cs3.resource", LS_STR("13")));
    assert_true(repair_plan_has(plan, "cs3.share", LS_STR("7")));
    assert_true(repair_plan_has(plan, "cs3.share", LS_STR("8")));
    assert_false(repair_plan_has(plan, "cs3.share", LS_STR("12")));
    assert_false(repair_plan_has(plan, "cs3.resource", LS_STR("14"))); /* the share is otherwise */
    assert_false(repair_plan_has(plan, "cs3.resource", LS_STR("16")));
    assert_false(repair_plan_has(plan, "cs3.resource", LS_STR("0")));
    assert_false(repair_plan_has(plan, "cs3.resource", LS_STR_NULL));
    assert_true(repair_plan_has_user(plan, "bob"));
    assert_true(repair_plan_has_user(plan, "alice"));
    assert_true(repair_plan_has_shares_of(plan, 14)); /* another row may be the one */
    assert_false(repair_plan_has_shares_of(plan, 12));
    assert_false(repair_plan_has_shares_of(plan, 15)); /* too much at the target */
    assert_false(repair_plan_has_user(plan, "carol"));
    repair_plan_free(plan);
}

static void
a_user_of_whom_all_differs_is_sent_with_his_account_alone(void **state)
{
    struct verify_difference d = difference(VD_USER, VW_REAL, 0, 0), *each[] = {&d};
    struct verify_list list = {each, 1, 1};
    struct repair_plan *plan = repair_plan_new(&list);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(repair_plan_counts(plan).again, 1);
    assert_true(repair_plan_has_user(plan, "bob"));
    repair_plan_free(plan);
}

static void
what_could_not_be_compared_is_counted_and_not_sent(void **state)
{
    struct verify_difference d = difference(VD_NODE, VW_UNSEEN, 12, 0), *each[] = {&d};
    struct verify_list list = {each, 1, 1};
    struct repair_plan *plan = repair_plan_new(&list);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(repair_plan_counts(plan).unseen, 1);
    assert_int_equal(repair_plan_counts(plan).again, 0);
    assert_false(repair_plan_has(plan, "cs3.resource", LS_STR("12")));
    assert_false(repair_plan_has_user(plan, "alice"));
    repair_plan_free(plan);
}

static void
what_no_record_was_seen_of_is_absent(void **state)
{
    struct verify_difference d[] = {difference(VD_NODE, VW_REAL, 12, 0),
                                    difference(VD_SHARE, VW_REAL, 14, 7),
                                    difference(VD_NODE, VW_CARRIED, 16, 0)};
    struct verify_difference *each[] = {&d[0], &d[1], &d[2]};
    struct verify_list list = {each, 3, 3};
    struct repair_plan *plan = repair_plan_new(&list);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(repair_plan_absent(plan), 4); /* two rows, two accounts */
    repair_plan_found(plan, "cs3.resource", LS_STR("12"));
    repair_plan_found(plan, "cs3.resource", LS_STR("12"));
    repair_plan_found(plan, "cs3.resource", LS_STR("16"));
    repair_plan_found(plan, "user", LS_STR("alice"));
    assert_int_equal(repair_plan_absent(plan), 2);
    repair_plan_found(plan, "cs3.share", LS_STR("7"));
    repair_plan_found(plan, "user", LS_STR("bob"));
    assert_int_equal(repair_plan_absent(plan), 0);
    repair_plan_free(plan);
}

static int
arguments(struct repair_args *ret, const char **why, int n, const char *const *words)
{
    static char text[8][32];
    static char *argv[9];

    for (int i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "%s", words[i]);
        argv[i] = text[i];
    }
    argv[n] = NULL;
    return ctl_repair_arguments(n, argv, ret, why);
}

#define ARGUMENTS(...)                                                                             \
    arguments(&args, &why, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),          \
              (const char *[]){__VA_ARGS__})

static void
it_wants_somebody_and_takes_no_samples(void **state)
{
    struct repair_args args = {0};
    const char *why = NULL;

    (void)state;
    assert_int_equal(ARGUMENTS("repair"), -1);
    assert_non_null(strstr(why, "whom"));
    assert_int_equal(ARGUMENTS("repair", "--yes", "--dry-run"), -1);
    assert_int_equal(ARGUMENTS("repair", "--user", ""), -1);
    assert_int_equal(ARGUMENTS("repair", "--all", "--user", "bob"), -1);
    assert_int_equal(ARGUMENTS("repair", "--all", "--sample", "5"), -1);
    assert_int_equal(ARGUMENTS("repair", "--all", "--html", "x"), -1);
    assert_int_equal(ARGUMENTS("repair", "--all", "--resume", "x"), -1);
    assert_int_equal(ARGUMENTS("repair", "--user", "bob", "--yes", "--config", "f"), 3);
    assert_true(args.yes && !args.dry_run);
    assert_int_equal(json_array_size(args.verify.users), 1);
    repair_args_free(&args);
    assert_int_equal(ARGUMENTS("repair", "--all", "--deep", "--dry-run"), 1);
    assert_true(args.dry_run && args.verify.all && args.verify.deep);
    repair_args_free(&args);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_the_source_has_a_row_for_is_sent_again_and_what_the_target_alone_has_is_left),
        cmocka_unit_test(what_could_not_be_compared_is_counted_and_not_sent),
        cmocka_unit_test(what_no_record_was_seen_of_is_absent),
        cmocka_unit_test(a_user_of_whom_all_differs_is_sent_with_his_account_alone),
        cmocka_unit_test(it_wants_somebody_and_takes_no_samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
