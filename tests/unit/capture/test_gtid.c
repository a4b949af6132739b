/* GTIDs and the state of several domains, as text and back. */
#include "tests/unit/capture/events.h"

#include "capture/binlog/gtid.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define B "3e11fa47-71ca-11e1-9e33-c80aa9429563"

static struct cap_gtid
of(const char *text)
{
    struct cap_gtid gtid = {0};

    if (cap_gtid_parse(str(text), &gtid) < 0)
        fail_msg("%s", text);
    return gtid;
}

static struct cap_gtid_set
set_of(const char *text)
{
    struct cap_gtid_set set = {0};
    struct ls_err err = {0};

    if (cap_gtid_set_parse(str(text), &set, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return set;
}

static void
prints(const struct cap_gtid_set *set, const char *expected)
{
    char text[CAP_GTID_SET_TEXT];

    cap_gtid_set_print(set, text);
    assert_string_equal(text, expected);
}

static bool
add(struct cap_gtid_set *set, const char *text)
{
    struct cap_gtid gtid = of(text);
    bool gap = false;

    assert_int_equal(cap_gtid_set_add(set, &gtid, &gap, NULL), 0);
    return gap;
}

static void
a_gtid_is_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",        "1",       "1-2",   "1-2-",           "-1-2-3", "1-2-3 ",
        " 1-2-3",  "1-2-3-4", "a-2-3", "4294967296-1-1", "1--2-3", "1-2-18446744073709551616",
        "0x1-2-3", "1-2-3,"};
    struct cap_gtid gtid = {.domain = 7, .server = 7, .seq = 7};

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

    (void)state;
    assert_false(add(&set, "0-1-10"));
    assert_false(add(&set, "1-1-5"));
    assert_false(add(&set, "0-2-11"));
    assert_true(add(&set, "0-2-13"));
    prints(&set, "0-2-13,1-1-5");
}

static void
more_domains_than_fit_are_refused(void **state)
{
    struct cap_gtid_set set = {0};
    struct cap_gtid gtid = {.server = 1, .seq = 1};
    struct ls_err err = {0};

    (void)state;
    for (gtid.domain = 0; gtid.domain < CAP_GTID_DOMAINS; gtid.domain++)
        assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), 0);
    assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "gtid-set");
}

/* ---- MySQL */

static void
a_gtid_of_mysql_is_a_uuid_and_a_number(void **state)
{
    static const char *const bad[] = {A,
                                      A ":",
                                      A ":0",
                                      A ":1-2",
                                      A ":x",
                                      A ":1 ",
                                      A "-1",
                                      "3e11fa47-71ca-11e1-9e33-c80aa942956:1",
                                      "3e11fa47_71ca-11e1-9e33-c80aa9429562:1",
                                      "3g11fa47-71ca-11e1-9e33-c80aa9429562:1",
                                      A ":9223372036854775807",
                                      A ":tag:1"};
    char text[CAP_GTID_TEXT];
    struct cap_gtid gtid = {.seq = 7};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(cap_gtid_parse(str(bad[i]), &gtid), -1);
        assert_int_equal(gtid.seq, 7);
    }
    gtid = of("3E11FA47-71CA-11E1-9E33-C80AA9429562:9223372036854775806");
    assert_int_equal(gtid.flavour, CAP_MYSQL);
    cap_gtid_print(&gtid, text);
    assert_string_equal(text, A ":9223372036854775806");
    assert_false(cap_gtid_equal(&gtid, &(struct cap_gtid){.seq = gtid.seq}));
}

static void
a_set_of_mysql_is_printed_as_the_server_prints_it(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {A ":1-5", A ":1-5"},
        {B ":7,\n" A ":1-5:7", A ":1-5:7," B ":7"},
        {A ":7:1-5", A ":1-5:7"},
        {A ":1-5:6-7:9", A ":1-7:9"},
        {A ":3-5:1-9:10", A ":1-10"},
        {A ":1:3:5," A ":2:4", A ":1-5"},
        {A ":10-20:1-3:5-11", A ":1-3:5-20"},
        {" " A ":1 , " B ":2 ", A ":1," B ":2"},
    };
    static const char *const bad[] = {A,
                                      A ":",
                                      A ":5-4",
                                      A ":1-",
                                      A ":-1",
                                      A ":0-4",
                                      A ":1:",
                                      A ":1 :2",
                                      A ":1," B,
                                      "x:1",
                                      A ":1,0-1-1",
                                      "0-1-1," A ":1",
                                      A ":1-9223372036854775807"};
    struct cap_gtid_set set;
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set = set_of(cases[i].in);
        prints(&set, cases[i].out);
        set = set_of(cases[i].out);
        prints(&set, cases[i].out);
    }
    set = set_of(A ":1");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cap_gtid_set_parse(str(bad[i]), &set, &err) == 0)
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(err.kind, LS_ERR_FATAL);
    }
    prints(&set, A ":1"); /* outputs are untouched on failure */
}

static void
tags_are_refused_in_words(void **state)
{
    struct cap_gtid_set set;
    struct ls_err err = {0};
    uint8_t binary[9] = {1, 1, 0, 0, 0, 0, 0, 1, 0};

    (void)state;
    assert_int_equal(cap_gtid_set_parse(str(A ":1-5:tag:1-3"), &set, &err), -1);
    assert_string_equal(err.cause, "gtid-tagged");
    assert_non_null(strstr(err.msg, "tagged GTIDs"));
    memset(&err, 0, sizeof(err));
    assert_int_equal(cap_gtid_set_decode(binary, sizeof(binary), &set, &err), -1);
    assert_string_equal(err.cause, "gtid-tagged");
}

static void
numbers_of_mysql_join_and_what_is_left_out_is_a_gap(void **state)
{
    struct cap_gtid_set set = {0};

    (void)state;
    assert_false(add(&set, B ":1"));
    assert_false(add(&set, B ":2"));
    assert_true(add(&set, A ":5"));
    assert_true(add(&set, B ":9"));
    assert_true(add(&set, B ":8")); /* 3 to 7 are not there */
    prints(&set, A ":5," B ":1-2:8-9");
    assert_false(add(&set, B ":3"));
    assert_false(add(&set, B ":3"));
    assert_true(add(&set, B ":5"));
    assert_false(add(&set, B ":4"));
    assert_false(add(&set, A ":1"));
    prints(&set, A ":1:5," B ":1-5:8-9");
}

static void
sets_are_compared_and_subtracted(void **state)
{
    static const struct {
        const char *a, *b, *minus;
    } cases[] = {
        {A ":1-10", A ":3-4", A ":1-2:5-10"},
        {A ":1-10", A ":1-10", ""},
        {A ":1-10", A ":5-20", A ":1-4"},
        {A ":5-10", A ":1-5", A ":6-10"},
        {A ":1-10", B ":1-10", A ":1-10"},
        {A ":1-10:20-30," B ":7", A ":2:4:9-25," B ":1-6", A ":1:3:5-8:26-30," B ":7"},
        {A ":1", "", A ":1"},
        {"", A ":1", ""},
        {"", "", ""},
        {"0-1-10,1-1-5", "0-2-10", "1-1-5"},
        {"0-1-10", "0-2-9,3-3-3", "0-1-10"},
        {"0-1-8", "0-2-9", ""},
        {"0-1-8", A ":1", "0-1-8"},
    };
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cap_gtid_set a = set_of(cases[i].a), b = set_of(cases[i].b), minus;
        assert_int_equal(cap_gtid_set_minus(&a, &b, &minus, &err), 0);
        prints(&minus, cases[i].minus);
        assert_int_equal(cap_gtid_set_contains(&b, &a), minus.n == 0);
        assert_true(cap_gtid_set_contains(&a, &minus));
        assert_true(cap_gtid_set_contains(&a, &a));
    }
}

static void
sets_are_united(void **state)
{
    struct cap_gtid_set set = set_of(""), more = set_of(A ":1-3," B ":5");
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(cap_gtid_set_unite(&set, &more, &err), 0);
    more = set_of(A ":4-6:9," B ":1");
    assert_int_equal(cap_gtid_set_unite(&set, &more, &err), 0);
    prints(&set, A ":1-6:9," B ":1:5");
    assert_int_equal(cap_gtid_set_has(&set, &(struct cap_gtid){.seq = 1}), 0);
    more = set_of("0-1-1");
    assert_int_equal(cap_gtid_set_unite(&set, &more, &err), -1);
    assert_string_equal(err.cause, "gtid-set");
    prints(&set, A ":1-6:9," B ":1:5");
    set = set_of("0-1-10,2-1-5");
    more = set_of("0-2-9,2-1-6,3-1-1");
    assert_int_equal(cap_gtid_set_unite(&set, &more, &err), 0);
    prints(&set, "0-1-10,2-1-6,3-1-1");
}

/* Against a plain array of numbers. */
static void
random_numbers_in_any_order_make_the_same_set(void **state)
{
    unsigned seed = 20261122;

    (void)state;
    for (int round = 0; round < 50; round++) {
        bool taken[102] = {false};
        struct cap_gtid_set set = {0}, low = set_of(A ":1-50"), minus, all;
        struct cap_gtid gtid = of(A ":1");
        for (int i = 0; i < 80; i++) {
            bool gap, expected;
            gtid.seq = 1 + (uint64_t)rand_r(&seed) % 100;
            expected = gtid.seq > 1 && !taken[gtid.seq] && !taken[gtid.seq - 1];
            assert_int_equal(cap_gtid_set_has(&set, &gtid), taken[gtid.seq]);
            assert_int_equal(cap_gtid_set_add(&set, &gtid, &gap, NULL), 0);
            assert_int_equal(gap, expected);
            taken[gtid.seq] = true;
        }
        assert_int_equal(cap_gtid_set_minus(&set, &low, &minus, NULL), 0);
        all = low;
        assert_int_equal(cap_gtid_set_unite(&all, &set, NULL), 0);
        for (gtid.seq = 1; gtid.seq <= 100; gtid.seq++) {
            bool is_low = gtid.seq <= 50, is_in = taken[gtid.seq];
            assert_int_equal(cap_gtid_set_has(&set, &gtid), is_in);
            assert_int_equal(cap_gtid_set_has(&minus, &gtid), is_in && !is_low);
            assert_int_equal(cap_gtid_set_has(&all, &gtid), is_in || is_low);
        }
        for (size_t k = 1; k < set.counts[0]; k++)
            assert_true(set.intervals[k].first > set.intervals[k - 1].last + 1);
    }
}

static void
more_servers_or_intervals_than_fit_are_refused(void **state)
{
    struct cap_gtid_set set = {0}, before;
    struct cap_gtid gtid = of(A ":1");
    char text[CAP_GTID_SET_TEXT];
    struct ls_err err = {0};

    (void)state;
    for (int i = 0; i < CAP_GTID_UUIDS; i++) {
        gtid.uuid[15] = (uint8_t)i;
        assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), 0);
    }
    gtid.uuid[15] = 99;
    assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), -1);
    assert_string_equal(err.cause, "gtid-set");
    gtid.uuid[15] = 7;
    for (uint64_t i = 0; i < CAP_GTID_INTERVALS - CAP_GTID_UUIDS; i++) {
        gtid.seq = 9223372036854770000 + 2 * i;
        assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), 0);
    }
    before = set;
    gtid.seq += 2;
    assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), -1);
    assert_string_equal(err.cause, "gtid-set");
    gtid.seq -= 1; /* it makes one longer */
    assert_int_equal(cap_gtid_set_add(&set, &gtid, NULL, &err), 0);
    cap_gtid_set_print(&before, text);
    assert_true(strlen(text) + 1 < CAP_GTID_SET_TEXT);
    set = set_of(text);
    assert_true(cap_gtid_set_contains(&set, &before));
}

static void
the_binary_form_is_what_the_server_takes(void **state)
{
    static const uint8_t expected[] = {
        2,    0,    0,    0,    0,    0,    0,    0,    /* two uuids */
        0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, /* A */
        0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62, /* */
        2,    0,    0,    0,    0,    0,    0,    0,    /* two intervals */
        1,    0,    0,    0,    0,    0,    0,    0,    /* from 1 */
        6,    0,    0,    0,    0,    0,    0,    0,    /* to in front of 6 */
        7,    0,    0,    0,    0,    0,    0,    0,    /* */
        8,    0,    0,    0,    0,    0,    0,    0,    /* */
        0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, /* B */
        0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x63, /* */
        1,    0,    0,    0,    0,    0,    0,    0,    /* */
        0,    1,    0,    0,    0,    0,    0,    0,    /* 256 */
        1,    1,    0,    0,    0,    0,    0,    0};
    struct cap_gtid_set set = set_of(A ":1-5:7," B ":256"), again = {0};
    struct ls_err err = {0};
    struct ls_buf buf;

    (void)state;
    ls_buf_init(&buf, 4096);
    assert_int_equal(cap_gtid_set_encode(&set, &buf), 0);
    assert_int_equal(buf.n, sizeof(expected));
    assert_memory_equal(buf.p, expected, sizeof(expected));
    assert_int_equal(cap_gtid_set_decode(buf.p, buf.n, &again, &err), 0);
    prints(&again, A ":1-5:7," B ":256");
    for (size_t n = 0; n < buf.n; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* so that reading past it is seen */
        memcpy(cut, buf.p, n);
        assert_int_equal(cap_gtid_set_decode(cut, n, &again, &err), -1);
        free(cut);
    }
    set = set_of("");
    ls_buf_clear(&buf);
    assert_int_equal(cap_gtid_set_encode(&set, &buf), 0);
    assert_int_equal(buf.n, 8);
    ls_buf_free(&buf);
    ls_buf_init(&buf, 20);
    set = set_of(A ":1");
    assert_int_equal(cap_gtid_set_encode(&set, &buf), -1);
    ls_buf_free(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gtid_is_read_strictly),
        cmocka_unit_test(a_state_survives_print_and_parse),
        cmocka_unit_test(a_domain_keeps_its_last_gtid_and_a_gap_is_told),
        cmocka_unit_test(more_domains_than_fit_are_refused),
        cmocka_unit_test(a_gtid_of_mysql_is_a_uuid_and_a_number),
        cmocka_unit_test(a_set_of_mysql_is_printed_as_the_server_prints_it),
        cmocka_unit_test(tags_are_refused_in_words),
        cmocka_unit_test(numbers_of_mysql_join_and_what_is_left_out_is_a_gap),
        cmocka_unit_test(sets_are_compared_and_subtracted),
        cmocka_unit_test(sets_are_united),
        cmocka_unit_test(random_numbers_in_any_order_make_the_same_set),
        cmocka_unit_test(more_servers_or_intervals_than_fit_are_refused),
        cmocka_unit_test(the_binary_form_is_what_the_server_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
