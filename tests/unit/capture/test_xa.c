/* XA's xids in statements and events, and the list of what is prepared. */
#include "tests/unit/capture/events.h"

#include "capture/binlog/xa.h"

static struct cap_xid
xid_of(int i)
{
    char text[64];
    struct cap_xid xid = {0};
    bool known;

    snprintf(text, sizeof(text), "XA COMMIT X'%08x',X'',1", i);
    assert_int_equal(cap_xa_look(str(text), &xid, &known), CAP_XA_COMMIT);
    assert_true(known);
    return xid;
}

static void
statements_are_told_apart_and_xids_read(void **state)
{
    static const struct {
        const char *text;
        enum cap_xa_verb verb;
        bool known;
    } cases[] = {
        {"XA START X'6669727374',X'6272616e6368',7", CAP_XA_START, true},
        {"xa begin X'66',X'',1", CAP_XA_START, true},
        {"XA END X'66',X'',1", CAP_XA_OTHER, false},
        {"XA PREPARE X'66',X'',1", CAP_XA_OTHER, false},
        {"XA COMMIT X'66',X'',4294967295", CAP_XA_COMMIT, true},
        {"XA  ROLLBACK  X'6F' , X'6f', 1", CAP_XA_ROLLBACK, true},
        {"XA COMMIT 'a'", CAP_XA_COMMIT, false},
        {"XA COMMIT X'6',X'',1", CAP_XA_COMMIT, false},
        {"XA COMMIT X'zz',X'',1", CAP_XA_COMMIT, false},
        {"XA COMMIT X'66',X''", CAP_XA_COMMIT, false},
        {"XA COMMIT X'66',X'',1 ONE PHASE", CAP_XA_COMMIT, false},
        {"XA COMMIT X'66',X'',4294967296", CAP_XA_COMMIT, false},
        {"XA COMMIT X'66',X'',", CAP_XA_COMMIT, false},
        {"XA COMMIT X'66", CAP_XA_COMMIT, false},
        {"XA COMMIT ", CAP_XA_COMMIT, false},
        {"XAVIER COMMIT X'66',X'',1", CAP_XA_NONE, false},
        {"COMMIT", CAP_XA_NONE, false},
        {"", CAP_XA_NONE, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = strlen(cases[i].text);
        char *copy = malloc(n ? n : 1); /* not terminated, as in an event */
        struct cap_xid xid;
        bool known;
        memcpy(copy, cases[i].text, n);
        if (cap_xa_look((struct ls_str){copy, n}, &xid, &known) != cases[i].verb ||
            known != cases[i].known)
            fail_msg("%s", cases[i].text);
        free(copy);
    }
}

static void
an_xid_is_at_most_64_bytes_a_half(void **state)
{
    char text[400] = "XA COMMIT X'";
    struct cap_xid xid;
    bool known;

    (void)state;
    for (int i = 0; i < 64; i++)
        strcat(text, "6a");
    strcat(text, "',X'");
    for (int i = 0; i < 64; i++)
        strcat(text, "6b");
    strcat(text, "',1");
    assert_int_equal(cap_xa_look(str(text), &xid, &known), CAP_XA_COMMIT);
    assert_true(known);
    assert_int_equal(xid.n_bqual, 64);
    assert_int_equal(xid.data[127], 0x6b);
    memmove(text + 14, text + 12, strlen(text + 12) + 1); /* 65 */
    memcpy(text + 12, "6a", 2);
    assert_int_equal(cap_xa_look(str(text), &xid, &known), CAP_XA_COMMIT);
    assert_false(known);
}

static void
the_event_and_the_statement_name_the_same_xid(void **state)
{
    static const char *const recordings[] = {"xa", "mysql_xa"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct recording rec = recording_open(recordings[i]);
        struct cap_xa_open open = {0};
        struct ls_buf scratch;
        const uint8_t *p;
        size_t n, prepared = 0, ended = 0;

        ls_buf_init(&scratch, 1 << 16);
        while (recording_next(&rec, &p, &n)) {
            struct cap_event event;
            struct cap_query query;
            struct cap_xid xid;
            bool one_phase, known;
            struct ls_err err = {0};
            enum cap_xa_verb verb;
            assert_int_equal(cap_event_parse(p, n, true, &event, &err), 0);
            if (event.type == CAP_EV_XA_PREPARE) {
                assert_int_equal(cap_xa_decode(&event, &xid, &one_phase, &err), 0);
                if (!one_phase)
                    cap_xa_remember(&open, &xid, false);
                prepared += !one_phase;
            }
            if (event.type != CAP_EV_QUERY)
                continue;
            assert_int_equal(cap_decode_query(&event, &scratch, &query, &err), 0);
            verb = cap_xa_look(query.text, &xid, &known);
            if (verb != CAP_XA_COMMIT && verb != CAP_XA_ROLLBACK)
                continue;
            assert_true(known);
            assert_false(cap_xa_forget(&open, &xid)); /* it was remembered, as not ours */
            ended++;
        }
        assert_int_equal(prepared, 2);
        assert_int_equal(ended, 2);
        assert_int_equal(open.n, 0);
        ls_buf_free(&scratch);
        recording_close(&rec);
    }
}

static void
an_event_that_is_cut_is_fatal(void **state)
{
    const uint8_t body[] = {0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 'a', 'b', 'c'};
    struct cap_xid xid;
    bool one_phase;

    (void)state;
    for (size_t n = 0; n <= sizeof(body); n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct cap_event event = {.type = CAP_EV_XA_PREPARE, .body = copy, .n = n};
        struct ls_err err = {0};
        memcpy(copy, body, n);
        assert_int_equal(cap_xa_decode(&event, &xid, &one_phase, &err), n == sizeof(body) ? 0 : -1);
        if (n == sizeof(body)) {
            copy[5] = 65;
            assert_int_equal(cap_xa_decode(&event, &xid, &one_phase, &err), -1);
        }
        free(copy);
    }
}

static void
what_is_not_remembered_counts_as_ours(void **state)
{
    struct cap_xa_open open = {0};
    struct cap_xid a = xid_of(1), b = xid_of(2), c = xid_of(3);

    (void)state;
    cap_xa_remember(&open, &a, true);
    cap_xa_remember(&open, &b, false);
    assert_true(cap_xa_forget(&open, &a));
    assert_true(cap_xa_forget(&open, &c));
    assert_false(cap_xa_forget(&open, &b));
    assert_true(cap_xa_forget(&open, &b)); /* it is out */
    cap_xa_remember(&open, &a, false);
    cap_xa_remember(&open, &a, true); /* an xid may be used again */
    assert_int_equal(open.n, 1);
    assert_true(cap_xa_forget(&open, &a));
}

static void
the_oldest_is_forgotten_when_there_are_too_many(void **state)
{
    struct cap_xa_open open = {0};
    struct cap_xid xid;

    (void)state;
    for (int i = 0; i <= CAP_XA_OPEN; i++) {
        xid = xid_of(i);
        cap_xa_remember(&open, &xid, false);
    }
    assert_int_equal(open.n, CAP_XA_OPEN);
    xid = xid_of(0);
    assert_true(cap_xa_forget(&open, &xid)); /* the safe side */
    xid = xid_of(1);
    assert_false(cap_xa_forget(&open, &xid));
}

static void
the_list_survives_as_text(void **state)
{
    static const char *const bad[] = {"1", "00000000000000zz", "0000000000000001,",
                                      "0000000000000001:x", "00000000000000010"};
    struct cap_xa_open open = {0}, again;
    char text[CAP_XA_OPEN_TEXT], text2[CAP_XA_OPEN_TEXT];

    (void)state;
    for (int i = 0; i < CAP_XA_OPEN; i++) {
        struct cap_xid xid = xid_of(i);
        cap_xa_remember(&open, &xid, i % 2);
        cap_xa_open_print(&open, text);
        assert_int_equal(cap_xa_open_parse(str(text), &again), 0);
        cap_xa_open_print(&again, text2);
        assert_string_equal(text, text2);
        assert_int_equal(again.n, i + 1);
    }
    assert_int_equal(cap_xa_open_parse(str(""), &again), 0);
    assert_int_equal(again.n, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(cap_xa_open_parse(str(bad[i]), &again), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_are_told_apart_and_xids_read),
        cmocka_unit_test(an_xid_is_at_most_64_bytes_a_half),
        cmocka_unit_test(the_event_and_the_statement_name_the_same_xid),
        cmocka_unit_test(an_event_that_is_cut_is_fatal),
        cmocka_unit_test(what_is_not_remembered_counts_as_ours),
        cmocka_unit_test(the_oldest_is_forgotten_when_there_are_too_many),
        cmocka_unit_test(the_list_survives_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
