/* GTIDs and the state of several domains, as text and back. */
#include "tests/unit/capture/events.h"

#include "capture/gtid.h"

static void
a_gtid_is_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",        "1",       "1-2",   "1-2-",           "-1-2-3", "1-2-3 ",
        " 1-2-3",  "1-2-3-4", "a-2-3", "4294967296-1-1", "1--2-3", "1-2-18446744073709551616",
        "0x1-2-3", "1-2-3,"};
    struct cap_gtid gtid = {7, 7, 7};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(cap_gtid_parse(str(bad[i]), &gtid), -1);
        assert_int_equal(gtid.domain, 7); /* untouched */
    }
    assert_int_equal(cap_gtid_parse(str("4294967295-0-18446744073709551615"), &gtid), 0);
    assert_int_equal(gtid.domain, UINT32_MAX);
    assert_true(gtid.seq == UINT64_MAX);
}

static void
a_state_survives_print_and_parse(void **state)
{
    struct cap_gtid_set set = {0}, again = {0};
    char text[CAP_GTID_SET_TEXT], text2[CAP_GTID_SET_TEXT];
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(cap_gtid_set_parse(str(" 0-1-100,\n5-2-7 , 9-9-9"), &set, &err), 0);
    cap_gtid_set_print(&set, text);
    assert_string_equal(text, "0-1-100,5-2-7,9-9-9");
    assert_int_equal(cap_gtid_set_parse(str(text), &again, &err), 0);
    cap_gtid_set_print(&again, text2);
    assert_string_equal(text, text2);
    assert_int_equal(cap_gtid_set_parse(str(""), &again, &err), 0);
    assert_int_equal(again.n, 0);
    assert_int_equal(cap_gtid_set_parse(str("0-1-1,,2-2-2"), &set, &err), -1);
    assert_int_equal(set.n, 3); /* outputs are untouched on failure */
}

static void
a_domain_keeps_its_last_gtid_and_a_gap_is_told(void **state)
{
    struct cap_gtid_set set = {0};
    char text[CAP_GTID_SET_TEXT];
    bool gap = true;

    (void)state;
    assert_int_equal(cap_gtid_set_add(&set, (struct cap_gtid){0, 1, 10}, &gap, NULL), 0);
    assert_false(gap);
    assert_int_equal(cap_gtid_set_add(&set, (struct cap_gtid){1, 1, 5}, &gap, NULL), 0);
    assert_false(gap);
    assert_int_equal(cap_gtid_set_add(&set, (struct cap_gtid){0, 2, 11}, &gap, NULL), 0);
    assert_false(gap);
    assert_int_equal(cap_gtid_set_add(&set, (struct cap_gtid){0, 2, 13}, &gap, NULL), 0);
    assert_true(gap);
    cap_gtid_set_print(&set, text);
    assert_string_equal(text, "0-2-13,1-1-5");
}

static void
more_domains_than_fit_are_refused(void **state)
{
    struct cap_gtid_set set = {0};
    struct ls_err err = {0};

    (void)state;
    for (uint32_t i = 0; i < CAP_GTID_DOMAINS; i++)
        assert_int_equal(cap_gtid_set_add(&set, (struct cap_gtid){i, 1, 1}, NULL, &err), 0);
    assert_int_equal(cap_gtid_set_add(&set, (struct cap_gtid){99, 1, 1}, NULL, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gtid_is_read_strictly),
        cmocka_unit_test(a_state_survives_print_and_parse),
        cmocka_unit_test(a_domain_keeps_its_last_gtid_and_a_gap_is_told),
        cmocka_unit_test(more_domains_than_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
