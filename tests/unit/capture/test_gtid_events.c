/* MySQL's GTID events of several versions, and heartbeats. */
#include "tests/unit/capture/events.h"

#define HERE 1795320002578154
#define FIRST 1795320001000001

static size_t
put(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
    return n;
}

/* flags, uuid, number, and as much of what later versions append as asked for. */
static struct cap_event
gtid_event(uint8_t body[128], uint64_t seq, int times)
{
    size_t n = 0;

    n += put(body + n, 1, 1);
    for (int i = 0; i < 16; i++)
        n += put(body + n, (uint64_t)i, 1);
    n += put(body + n, seq, 8);
    if (times >= 0) {
        n += put(body + n, 2, 1);
        n += put(body + n, 0, 8);
        n += put(body + n, 1, 8);
    }
    if (times > 0)
        n += put(body + n, HERE | (uint64_t)(times > 1) << 55, 7);
    if (times > 1)
        n += put(body + n, times > 2 ? 0 : FIRST, 7);
    if (times > 0)
        n += put(body + n, 0x1388fb, 3); /* the transaction's length, and more */
    return (struct cap_event){.type = CAP_EV_GTID_MYSQL, .body = body, .n = n};
}

static void
the_commit_time_is_that_of_the_server_where_it_was_made(void **state)
{
    static const struct {
        int times;
        int64_t expected;
    } cases[] = {{-1, 0}, {0, 0}, {1, HERE}, {2, FIRST}, {3, HERE}};
    struct cap_gtid_event gtid;
    char text[CAP_GTID_TEXT];
    uint8_t body[128];
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cap_event event = gtid_event(body, 77, cases[i].times);
        assert_int_equal(cap_decode_gtid(&event, &gtid, &err), 0);
        assert_int_equal(gtid.commit_us, cases[i].expected);
        cap_gtid_print(&gtid.gtid, text);
        assert_string_equal(text, "00010203-0405-0607-0809-0a0b0c0d0e0f:77");
        assert_false(gtid.anonymous);
    }
}

static void
an_anonymous_one_has_no_number(void **state)
{
    struct cap_gtid_event gtid;
    uint8_t body[128];
    struct cap_event event = gtid_event(body, 0, 1);
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(cap_decode_gtid(&event, &gtid, &err), -1);
    event.type = CAP_EV_GTID_ANONYMOUS;
    assert_int_equal(cap_decode_gtid(&event, &gtid, &err), 0);
    assert_true(gtid.anonymous);
    assert_int_equal(gtid.commit_us, HERE);
}

static void
a_gtid_event_that_is_cut_is_fatal_or_of_an_older_version(void **state)
{
    struct cap_gtid_event gtid;
    uint8_t body[128];
    struct cap_event event = gtid_event(body, 77, 2);
    size_t n = event.n;

    (void)state;
    for (event.n = 0; event.n < n; event.n++) {
        uint8_t *cut = malloc(event.n ? event.n : 1);
        struct ls_err err = {0};
        memcpy(cut, body, event.n);
        event.body = cut;
        if (cap_decode_gtid(&event, &gtid, &err) < 0)
            assert_string_equal(err.cause, "binlog-format");
        else
            assert_true(event.n >= 25 && (gtid.commit_us == 0 || gtid.commit_us == FIRST));
        free(cut);
    }
}

static void
a_heartbeat_of_the_second_kind_is_read_field_by_field(void **state)
{
    static const uint8_t whole[] = {1, 3, 'b', 'i', 'n', 9, 1, 0, 2, 3, 252, 0, 16, 0, 9, 9};
    struct cap_event event = {.type = CAP_EV_HEARTBEAT_V2, .next_pos = 5};
    struct ls_err err = {0};
    struct ls_str file;
    uint64_t pos;

    (void)state;
    for (event.n = 0; event.n <= sizeof(whole); event.n++) {
        uint8_t *cut = malloc(event.n ? event.n : 1);
        memcpy(cut, whole, event.n);
        event.body = cut;
        if (cap_decode_heartbeat(&event, &file, &pos, &err) == 0 && event.n >= 13) {
            assert_true(ls_str_is(file, "bin"));
            assert_int_equal(pos, 4096);
        } else {
            assert_true(event.n < 13);
        }
        free(cut);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_commit_time_is_that_of_the_server_where_it_was_made),
        cmocka_unit_test(an_anonymous_one_has_no_number),
        cmocka_unit_test(a_gtid_event_that_is_cut_is_fatal_or_of_an_older_version),
        cmocka_unit_test(a_heartbeat_of_the_second_kind_is_read_field_by_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
