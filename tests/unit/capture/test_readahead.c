/*
 * Reading ahead of the loop: packets of any size, in order, and little of them in memory; what the
 * source says instead of them; the end, whoever brings it.
 *
 * libmariadb is acted: its reading is from a socket whose other end is the test's, through a cache
 * as its own one.
 */
#include "capture/source/readahead.h"
#include "common/run.h"
#include <errmsg.h>
#include <ma_pvio.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 60000
#define CACHE 16384
#define AHEAD (4 << 20) /* more than is ever read and not taken, but for one packet */
#define LARGEST (3 << 20)

struct bed {
    MYSQL mysql;
    MARIADB_PVIO pvio;
    uint8_t cache[CACHE];
    uint8_t packet[LARGEST + 1]; /* the one that was read last */
    int ours, theirs;
    atomic_long looked; /* how often the thread was about to wait for the network */
    atomic_long read;   /* bytes of events */
    int first_timeout_ms, later_timeout_ms;
    bool fails;
    struct cap_readahead *ahead;
};

static struct bed bed;

/* ---- libmariadb, acted */

my_socket STDCALL
mysql_get_socket(MYSQL *mysql)
{
    (void)mysql;
    return bed.ours;
}

static bool
cached(size_t n)
{
    return bed.pvio.cache_size - (size_t)(bed.pvio.cache_pos - bed.pvio.cache) >= n;
}

/* So many bytes, from the cache or, when they do not fit into it, straight. */
static bool
take(uint8_t *to, size_t n)
{
    while (n > 0) {
        size_t here = bed.pvio.cache_size - (size_t)(bed.pvio.cache_pos - bed.pvio.cache);
        ssize_t r;

        if (here > 0) {
            here = here < n ? here : n;
            memcpy(to, bed.pvio.cache_pos, here);
            bed.pvio.cache_pos += here;
            to += here;
            n -= here;
            continue;
        }
        r = n > CACHE ? read(bed.ours, to, n) : read(bed.ours, bed.cache, CACHE);
        if (r <= 0)
            return false;
        if (n > CACHE) {
            to += r;
            n -= (size_t)r;
        } else {
            bed.pvio.cache_pos = bed.pvio.cache;
            bed.pvio.cache_size = (size_t)r;
        }
    }
    return true;
}

unsigned long STDCALL
mysql_net_read_packet(MYSQL *mysql)
{
    uint8_t head[4];
    size_t n;
    int timeout_ms = bed.pvio.timeout[PVIO_READ_TIMEOUT];

    if (!bed.first_timeout_ms)
        bed.first_timeout_ms = timeout_ms;
    else
        bed.later_timeout_ms = timeout_ms;
    if (!cached(1))
        atomic_fetch_add(&bed.looked, 1);
    if (!take(head, 4))
        return packet_error;
    n = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (n > sizeof(bed.packet) || !take(bed.packet, n))
        return packet_error;
    mysql->net.read_pos = bed.packet;
    atomic_fetch_add(&bed.read, (long)n - 1);
    return (unsigned long)n;
}

static int
fail_dump(MYSQL *mysql, struct ls_err *err)
{
    (void)mysql;
    return ls_fail_cause(err, LS_ERR_RETRY, CR_SERVER_LOST, "source", "the connection is gone");
}

/* ---- the source's side */

static int
set_up(void **state)
{
    int ends[2];

    memset(&bed, 0, sizeof(bed));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    bed.ours = ends[0];
    bed.theirs = ends[1];
    bed.mysql.net.pvio = &bed.pvio;
    bed.pvio.cache = bed.pvio.cache_pos = bed.cache;
    bed.pvio.timeout[PVIO_READ_TIMEOUT] = 1234;
    *state = &bed;
    return 0;
}

static void
begin(int64_t heartbeat_ms)
{
    struct ls_err err = {0};

    assert_int_equal(cap_readahead_start(&bed.mysql, heartbeat_ms, fail_dump, &bed.ahead, &err), 0);
}

static int
tear_down(void **state)
{
    (void)state;
    cap_readahead_stop(bed.ahead);
    (void)close(bed.ours);
    if (bed.theirs >= 0)
        (void)close(bed.theirs);
    return 0;
}

static void
hang_up(void)
{
    (void)close(bed.theirs);
    bed.theirs = -1;
}

static void
put(const void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t r = send(bed.theirs, (const uint8_t *)p + at, n - at, MSG_NOSIGNAL);
        if (r <= 0) /* nobody reads any more */
            return;
        at += (size_t)r;
    }
}

/* The i-th event of a history: its bytes tell which it is. */
static uint8_t
byte_of(long i, size_t at)
{
    return (uint8_t)(i * 31 + (long)at * 7 + (long)(at >> 8));
}

static void
put_event(long i, size_t n)
{
    static uint8_t bytes[LARGEST + 5];

    bytes[0] = (uint8_t)(n + 1);
    bytes[1] = (uint8_t)((n + 1) >> 8);
    bytes[2] = (uint8_t)((n + 1) >> 16);
    bytes[3] = (uint8_t)i;
    bytes[4] = 0;
    for (size_t at = 0; at < n; at++)
        bytes[5 + at] = byte_of(i, at);
    put(bytes, n + 5);
}

static void
expect_event(long i, size_t n)
{
    struct cap_packet packet = {0};
    struct ls_err err = {0};

    assert_int_equal(cap_readahead_next(bed.ahead, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.n, n);
    assert_true(packet.received_us > 0);
    for (size_t at = 0; at < n; at++)
        if (packet.p[at] != byte_of(i, at))
            fail_msg("event %ld: byte %zu is another one", i, at);
}

static void
expect_the_end(const char *words)
{
    for (int i = 0; i < 2; i++) { /* and it stays the end */
        struct cap_packet packet = {0};
        struct ls_err err = {0};

        assert_int_equal(cap_readahead_next(bed.ahead, LONG_MS, &packet, &err), -1);
        assert_int_equal(err.kind, LS_ERR_RETRY);
        assert_string_equal(err.cause, "source");
        assert_non_null(strstr(err.msg, words));
    }
}

/* Small ones, some as large as the cache, some that go around the buffers. */
static size_t
size_of(long i)
{
    static const size_t sizes[] = {1,      19,      20, 4000, CACHE - 5, CACHE,   70000,
                                   0x1000, 1 << 20, 27, 100,  2000000,   LARGEST, 33};

    return sizes[i % 14];
}

static void *
tell(void *arg)
{
    for (long i = 0; i < *(long *)arg; i++)
        put_event(i, size_of(i));
    hang_up();
    return NULL;
}

/* ---- tests */

static void
packets_of_every_size_come_whole_and_in_order_and_little_is_read_ahead(void **state)
{
    pthread_t source;
    long count = 70, taken = 0;

    (void)state;
    begin(LONG_MS);
    assert_int_equal(pthread_create(&source, NULL, tell, &count), 0);
    for (long i = 0; i < count; i++) {
        expect_event(i, size_of(i));
        taken += (long)size_of(i);
        assert_true(atomic_load(&bed.read) - taken <= AHEAD + LARGEST);
    }
    expect_the_end("gone");
    assert_int_equal(pthread_join(source, NULL), 0);
    assert_int_equal(atomic_load(&bed.read), taken);
}

static void
a_large_packet_is_lent_and_behind_it_nothing_is_read_until_it_is_given_back(void **state)
{
    struct cap_packet packet = {0};
    struct ls_err err = {0};
    pthread_t source;
    long count = 14;

    (void)state;
    begin(LONG_MS);
    assert_int_equal(pthread_create(&source, NULL, tell, &count), 0);
    for (long i = 0; i < 12; i++)
        expect_event(i, size_of(i));
    assert_int_equal(cap_readahead_next(bed.ahead, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.n, LARGEST);
    assert_ptr_equal(packet.p, bed.packet + 1); /* where libmariadb has it */
    assert_false(cap_readahead_at_hand(bed.ahead));
    assert_false(cap_readahead_has_more(bed.ahead));
    expect_event(13, 33);
    expect_the_end("gone");
    assert_int_equal(pthread_join(source, NULL), 0);
}

static void
what_came_before_a_failure_is_given_first(void **state)
{
    (void)state;
    for (long i = 0; i < 3; i++)
        put_event(i, 50);
    put("\x40\0\0", 3); /* and the connection breaks in a packet's head */
    hang_up();
    begin(LONG_MS);
    for (long i = 0; i < 3; i++)
        expect_event(i, 50);
    expect_the_end("gone");
}

static void
the_source_s_end_of_the_dump_is_tried_again(void **state)
{
    static const uint8_t end[] = {5, 0, 0, 1, 0xfe, 0, 0, 2, 0};

    (void)state;
    put_event(0, 50);
    put(end, sizeof(end));
    begin(LONG_MS);
    expect_event(0, 50);
    expect_the_end("ended the binlog dump");
}

static void
without_a_word_a_wait_ends_and_the_next_word_is_heard(void **state)
{
    struct cap_packet packet;
    struct ls_err err = {0};

    (void)state;
    begin(LONG_MS);
    assert_int_equal(cap_readahead_next(bed.ahead, 0, &packet, &err), 0);
    assert_int_equal(cap_readahead_next(bed.ahead, 5, &packet, &err), 0);
    put_event(0, 50);
    expect_event(0, 50);
    assert_int_equal(cap_readahead_next(bed.ahead, 0, &packet, &err), 0);
    assert_int_equal(err.kind, LS_ERR_NONE);
}

static void
only_a_wait_as_long_as_the_source_s_silence_says_that_it_had_nothing_more(void **state)
{
    struct cap_packet packet = {0};
    struct ls_err err = {0};

    (void)state;
    begin(0); /* any wait is long enough */
    while (atomic_load(&bed.looked) == 0)
        (void)sched_yield();
    put_event(0, 50);
    assert_int_equal(cap_readahead_next(bed.ahead, LONG_MS, &packet, &err), 1);
    assert_in_range(packet.idle_us, 1, packet.received_us);
    cap_readahead_stop(bed.ahead);
    bed.ahead = NULL;

    (void)tear_down(state);
    (void)set_up(state);
    begin(LONG_MS);
    put_event(0, 50);
    assert_int_equal(cap_readahead_next(bed.ahead, LONG_MS, &packet, &err), 1);
    assert_int_equal(packet.idle_us, 0);
}

static void
the_first_word_has_time_of_its_own(void **state)
{
    (void)state;
    begin(LONG_MS);
    put_event(0, 50);
    expect_event(0, 50);
    put_event(1, 50);
    expect_event(1, 50);
    cap_readahead_stop(bed.ahead);
    bed.ahead = NULL;
    assert_int_equal(bed.first_timeout_ms, CAP_FIRST_WORD_MS);
    assert_int_equal(bed.later_timeout_ms, 1234);
    assert_int_equal(bed.pvio.timeout[PVIO_READ_TIMEOUT], 1234);
}

static void
it_can_be_stopped_wherever_the_thread_waits(void **state)
{
    pthread_t source;
    long count = 14;

    (void)state;
    begin(LONG_MS); /* for the network */
    cap_readahead_stop(bed.ahead);
    bed.ahead = NULL;

    for (int large = 0; large < 2; large++) { /* for room, for its large packet */
        (void)tear_down(state);
        (void)set_up(state);
        begin(LONG_MS);
        assert_int_equal(pthread_create(&source, NULL, tell, &count), 0);
        for (long i = 0; i < (large ? 12 : 1); i++)
            expect_event(i, size_of(i));
        cap_readahead_stop(bed.ahead);
        bed.ahead = NULL;
        assert_int_equal(pthread_join(source, NULL), 0);
    }
    cap_readahead_stop(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(packets_of_every_size_come_whole_and_in_order_and_little_is_read_ahead),
        T(a_large_packet_is_lent_and_behind_it_nothing_is_read_until_it_is_given_back),
        T(what_came_before_a_failure_is_given_first),
        T(the_source_s_end_of_the_dump_is_tried_again),
        T(without_a_word_a_wait_ends_and_the_next_word_is_heard),
        T(only_a_wait_as_long_as_the_source_s_silence_says_that_it_had_nothing_more),
        T(the_first_word_has_time_of_its_own),
        T(it_can_be_stopped_wherever_the_thread_waits),
    };

    return cmocka_run_group_tests_name("readahead", tests, NULL, NULL);
}
