/*
 * Packets off a socket: whole, in pieces, of any length; what the source says instead of them; and
 * what silence means.
 */
#include "capture/source/wire.h"
#include "common/run.h"
#include <errmsg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 60000
#define FULL ((size_t)0xffffff)

struct bed {
    int ours, theirs;
    struct cap_wire *wire;
    uint8_t number;
    struct cap_wire_start start;
    unsigned code;
    char text[80];
};

static int
tell(void *arg, unsigned code, const char *text, struct ls_err *err)
{
    struct bed *bed = arg;

    bed->code = code;
    (void)snprintf(bed->text, sizeof(bed->text), "%s", text);
    return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "source", "%s", text);
}

static int
set_up(void **state)
{
    static struct bed bed;
    int ends[2];

    memset(&bed, 0, sizeof(bed));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    bed.ours = ends[0];
    bed.theirs = ends[1];
    bed.number = 1;
    bed.start = (struct cap_wire_start){.fd = bed.ours,
                                        .seq = 1,
                                        .heartbeat_ms = 2 * LONG_MS,
                                        .first_ms = LONG_MS,
                                        .silence_ms = LONG_MS,
                                        .fail = tell,
                                        .arg = &bed};
    *state = &bed;
    return 0;
}

static int
tear_down(void **state)
{
    struct bed *bed = *state;

    cap_wire_free(bed->wire);
    (void)close(bed->ours);
    (void)close(bed->theirs);
    return 0;
}

static void
begin(struct bed *bed)
{
    struct ls_err err = {0};

    assert_int_equal(cap_wire_new(&bed->start, &bed->wire, &err), 0);
}

static void
put(const struct bed *bed, const void *p, size_t n)
{
    assert_int_equal(write(bed->theirs, p, n), (ssize_t)n);
}

static void
put_head(struct bed *bed, size_t n)
{
    uint8_t head[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), bed->number++};

    put(bed, head, sizeof(head));
}

/* An event of these bytes, as the source sends it: behind a byte that says that it is well. */
static void
put_event(struct bed *bed, const char *event)
{
    put_head(bed, strlen(event) + 1);
    put(bed, "", 1);
    put(bed, event, strlen(event));
}

static void
expect_event(struct bed *bed, const char *event)
{
    struct cap_packet packet;
    struct ls_err err = {0};

    assert_int_equal(cap_wire_next(bed->wire, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.n, strlen(event));
    assert_memory_equal(packet.p, event, packet.n);
}

static void
expect_failure(struct bed *bed, unsigned code)
{
    struct cap_packet packet;
    struct ls_err err = {0};
    int r;

    while ((r = cap_wire_next(bed->wire, 5, &packet, &err)) == 0)
        ;
    assert_int_equal(r, -1);
    assert_int_equal(bed->code, code);
    assert_int_equal(err.kind, LS_ERR_RETRY);
}

static void
packets_come_in_their_order(void **state)
{
    struct bed *bed = *state;
    struct cap_packet packet;
    struct ls_err err = {0};

    begin(bed);
    assert_false(cap_wire_at_hand(bed->wire));
    assert_int_equal(cap_wire_next(bed->wire, 0, &packet, &err), 0);
    put_event(bed, "one");
    put_event(bed, "and another");
    expect_event(bed, "one");
    assert_true(cap_wire_at_hand(bed->wire));
    expect_event(bed, "and another");
    assert_false(cap_wire_at_hand(bed->wire));
    assert_int_equal(cap_wire_next(bed->wire, 1, &packet, &err), 0);
}

static void
a_packet_in_pieces_is_given_when_it_is_whole(void **state)
{
    struct bed *bed = *state;
    struct cap_packet packet;
    struct ls_err err = {0};

    begin(bed);
    put_event(bed, "whole");
    put_head(bed, 6);
    expect_event(bed, "whole"); /* what is in front of it is not held back */
    assert_int_equal(cap_wire_next(bed->wire, 1, &packet, &err), 0);
    put(bed, "", 1);
    assert_int_equal(cap_wire_next(bed->wire, 1, &packet, &err), 0);
    assert_false(cap_wire_at_hand(bed->wire));
    put(bed, "piece", 5);
    expect_event(bed, "piece");
}

static void
what_was_read_before_comes_first(void **state)
{
    struct bed *bed = *state;
    static const uint8_t rest[] = {4, 0, 0, 1, 0, 'o', 'l'};

    bed->start.rest = rest;
    bed->start.n_rest = sizeof(rest);
    begin(bed);
    put(bed, "d", 1);
    bed->number = 2;
    put_event(bed, "new");
    expect_event(bed, "old");
    expect_event(bed, "new");
}

/* Writes what the socket does not hold at once. */
static void
put_large(struct bed *bed, const uint8_t *p, size_t n)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child > 0)
        return;
    while (n > 0) {
        size_t part = n < FULL ? n : FULL;
        put_head(bed, part);
        for (size_t at = 0; at < part;) {
            ssize_t r = write(bed->theirs, p + at, part - at);
            if (r <= 0)
                _exit(1);
            at += (size_t)r;
        }
        p += part;
        n -= part;
        if (part == FULL && n == 0)
            put_head(bed, 0);
    }
    put_event(bed, "behind it");
    _exit(0);
}

static void
expect_large(struct bed *bed, size_t n)
{
    uint8_t *p = malloc(n);
    struct cap_packet packet;
    struct ls_err err = {0};

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + i / 251);
    p[0] = 0;
    put_large(bed, p, n);
    assert_int_equal(cap_wire_next(bed->wire, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.n, n - 1);
    assert_memory_equal(packet.p, p + 1, n - 1);
    expect_event(bed, "behind it");
    free(p);
}

static void
an_event_may_be_larger_than_the_buffer(void **state)
{
    begin(*state);
    expect_large(*state, 3000000);
}

static void
an_event_of_several_packets_is_one(void **state)
{
    begin(*state);
    expect_large(*state, 2 * FULL + 5);
}

static void
an_event_that_fills_a_packet_ends_with_an_empty_one(void **state)
{
    begin(*state);
    expect_large(*state, FULL);
}

static void
a_number_out_of_order_is_a_lost_connection(void **state)
{
    struct bed *bed = *state;

    begin(bed);
    put_event(bed, "one");
    bed->number++;
    put_event(bed, "three");
    expect_event(bed, "one");
    expect_failure(bed, CR_SERVER_LOST);
    assert_string_equal(bed->text, "packets out of order");
}

static void
an_error_of_the_source_is_told_with_its_code(void **state)
{
    static const char error[] = "\xff\xd4\x04#HY000Could not find first log file";
    struct bed *bed = *state;

    begin(bed);
    put_event(bed, "one");
    put_head(bed, sizeof(error) - 1);
    put(bed, error, sizeof(error) - 1);
    expect_event(bed, "one"); /* what was sent before it counts */
    expect_failure(bed, 1236);
    assert_string_equal(bed->text, "Could not find first log file");
}

static void
the_end_of_the_dump_is_retry(void **state)
{
    struct bed *bed = *state;

    begin(bed);
    put_head(bed, 5);
    put(bed, "\xfe\0\0\0\0", 5);
    expect_failure(bed, 0);
}

static void
a_closed_connection_is_lost(void **state)
{
    struct bed *bed = *state;

    begin(bed);
    put_event(bed, "last");
    (void)shutdown(bed->theirs, SHUT_WR);
    expect_event(bed, "last");
    expect_failure(bed, CR_SERVER_LOST);
}

static void
a_silent_source_is_lost(void **state)
{
    struct bed *bed = *state;

    bed->start.silence_ms = 20;
    begin(bed);
    put_event(bed, "last");
    expect_event(bed, "last");
    expect_failure(bed, CR_SERVER_LOST);
}

static void
half_a_packet_and_then_silence_is_lost(void **state)
{
    struct bed *bed = *state;

    bed->start.silence_ms = 20;
    begin(bed);
    put_head(bed, 10);
    expect_failure(bed, CR_SERVER_LOST);
}

static void
the_first_word_has_time_of_its_own(void **state)
{
    struct bed *bed = *state;
    struct cap_packet packet;
    struct ls_err err = {0};

    bed->start.silence_ms = 1;
    begin(bed);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cap_wire_next(bed->wire, 5, &packet, &err), 0);
    put_event(bed, "first");
    expect_event(bed, "first");
    expect_failure(bed, CR_SERVER_LOST);
}

static void
only_a_packet_that_was_waited_for_says_that_the_source_was_idle(void **state)
{
    struct bed *bed = *state;
    struct cap_packet packet;
    struct ls_err err = {0};
    int64_t before;

    bed->start.heartbeat_ms = 1000; /* half of it is idle; two puts are never that far apart */
    begin(bed);
    put_event(bed, "lay there");
    ls_run_sleep_ms(15);
    assert_int_equal(cap_wire_next(bed->wire, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.idle_us, 0);
    before = ls_now_us();
    assert_int_equal(cap_wire_next(bed->wire, 0, &packet, &err), 0); /* read to its end */
    ls_run_sleep_ms(600);
    put_event(bed, "waited for");
    put_event(bed, "behind it");
    assert_int_equal(cap_wire_next(bed->wire, LONG_MS, &packet, &err), 1);
    assert_true(packet.idle_us >= before && packet.idle_us <= packet.received_us);
    assert_int_equal(cap_wire_next(bed->wire, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.idle_us, 0);
}

static void
much_that_lies_in_the_socket_is_more(void **state)
{
    struct bed *bed = *state;
    char event[70000];

    begin(bed);
    put_event(bed, "little");
    assert_false(cap_wire_has_more(bed->wire));
    memset(event, 'x', sizeof(event) - 1);
    event[sizeof(event) - 1] = '\0';
    put_event(bed, event);
    assert_true(cap_wire_has_more(bed->wire));
    expect_event(bed, "little");
    assert_true(cap_wire_has_more(bed->wire));
    expect_event(bed, event);
    assert_false(cap_wire_has_more(bed->wire));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packets_come_in_their_order),
        TEST(a_packet_in_pieces_is_given_when_it_is_whole),
        TEST(what_was_read_before_comes_first),
        TEST(an_event_may_be_larger_than_the_buffer),
        TEST(an_event_of_several_packets_is_one),
        TEST(an_event_that_fills_a_packet_ends_with_an_empty_one),
        TEST(a_number_out_of_order_is_a_lost_connection),
        TEST(an_error_of_the_source_is_told_with_its_code),
        TEST(the_end_of_the_dump_is_retry),
        TEST(a_closed_connection_is_lost),
        TEST(a_silent_source_is_lost),
        TEST(half_a_packet_and_then_silence_is_lost),
        TEST(the_first_word_has_time_of_its_own),
        TEST(only_a_packet_that_was_waited_for_says_that_the_source_was_idle),
        TEST(much_that_lies_in_the_socket_is_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
