/*
 * Reading ahead of the loop.
 *
 * The thread reads into one of two buffers while the loop works on the other: the loop can wait
 * with a timeout without guessing what libmariadb and TLS still hold in their own buffers, and a
 * transaction's rows are encoded while the next ones come in.
 *
 * Nine of ten rows of an ownCloud are of no interest, so a packet must cost next to nothing here.
 * libmariadb reads 16 KiB at once and then gives packets from its cache. Whatever needs the kernel
 * (is there more, what time is it, wake the loop) is done once for each such reading, and the lock
 * is held over all packets that came with it. A sleeping loop is woken when nothing more is there
 * to be read, or when enough has come together. A large packet (a transaction in one event) is not
 * copied: the loop works on it where libmariadb has it, and the thread waits for that. What can go
 * wrong: a source that stops in the middle of a packet; what was read before it lies here until the
 * loop's own timeout.
 */
#include "capture/source/readahead.h"
#include "common/buf.h"
#include "common/run.h"
#include <errno.h>
#include <ma_pvio.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_AHEAD ((size_t)1 << 20)
#define ENOUGH ((size_t)256 << 10)
#define LARGE READ_AHEAD /* a packet that is not copied */

/* Packets one behind another: size, time, bytes, padded to 8. */
struct packet_head {
    uint64_t n;
    int64_t received_us, idle_us;
};

/* A large packet, behind all that is in the buffers. */
struct large {
    struct packet_head head;
    const uint8_t *p; /* NULL: there is none */
    bool given;       /* the loop has it */
};

struct cap_readahead {
    MYSQL *mysql;
    int (*fail)(MYSQL *mysql, struct ls_err *err);
    int64_t heartbeat_ms;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t filled, drained;
    struct ls_buf buffers[2];
    struct large large;
    int filling;  /* the buffer that the thread appends to */
    bool waiting; /* the loop, for `filled` */
    bool closing;
    bool ended;
    struct ls_err end; /* why the thread ended */
    size_t at;         /* read position in the other buffer */
};

/* Whether the next packet is in libmariadb's cache to its last byte: reading it does not block. */
static bool
packet_is_here(const MYSQL *mysql)
{
    const MARIADB_PVIO *pvio = mysql->net.pvio;
    const uint8_t *p;
    size_t n;

    if (!pvio || !pvio->cache)
        return false;
    p = pvio->cache_pos;
    n = (size_t)(pvio->cache + pvio->cache_size - p);
    return n >= 4 && n - 4 >= ((size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16);
}

/* In front of a reading that goes to the network. */
static bool
look_at_socket(struct cap_readahead *a)
{
    struct pollfd fd = {.fd = mysql_get_socket(a->mysql), .events = POLLIN};
    bool empty = poll(&fd, 1, 0) == 0;

    (void)pthread_mutex_lock(&a->mutex);
    if (a->waiting && a->buffers[a->filling].n > (empty ? 0 : ENOUGH))
        (void)pthread_cond_signal(&a->filled);
    (void)pthread_mutex_unlock(&a->mutex);
    return empty;
}

/*
 * The next packet from the network, and whether we had to wait for it. A heartbeat says that the
 * source had nothing more when it left there; one that lay in a buffer left some time ago, and what
 * came behind it may lie there too. The socket alone does not tell: libmariadb and TLS read ahead.
 * But the source is silent for a whole period in front of a heartbeat, so who has read everything
 * waits about as long.
 */
static unsigned long
read_from_network(struct cap_readahead *a, struct packet_head *head)
{
    bool empty = look_at_socket(a);
    int64_t before_us = ls_now_us(), before_ms = ls_mono_ms();
    unsigned long n = mysql_net_read_packet(a->mysql);

    head->received_us = ls_now_us();
    head->idle_us = empty && ls_mono_ms() - before_ms >= a->heartbeat_ms / 2 ? before_us : 0;
    return n;
}

static int
append(struct ls_buf *buf, const struct packet_head *head, const uint8_t *packet)
{
    uint8_t *p = ls_buf_room(buf, sizeof(*head) + (((size_t)head->n + 7) & ~(size_t)7));

    if (!p)
        return -1;
    memcpy(p, head, sizeof(*head));
    memcpy(p + sizeof(*head), packet, (size_t)head->n);
    return 0;
}

/* Fails for good, and with why. */
static int
read_packet(struct cap_readahead *a, bool from_network, struct packet_head *head,
            struct ls_err *err)
{
    unsigned long n;

    head->idle_us = 0;
    n = from_network ? read_from_network(a, head) : mysql_net_read_packet(a->mysql);
    if (n == packet_error || n == (unsigned long)-1)
        return a->fail(a->mysql, err);
    if (n == 0 || (a->mysql->net.read_pos[0] == 0xfe && n < 9))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "source", "the source ended the binlog dump");
    head->n = n - 1;
    return 0;
}

/* Lends the packet at hand to the loop until it asks for the next one. */
static void
lend(struct cap_readahead *a, const struct packet_head *head)
{
    a->large = (struct large){.head = *head, .p = a->mysql->net.read_pos + 1};
    (void)pthread_cond_signal(&a->filled);
    while (a->large.p && !a->closing)
        (void)pthread_cond_wait(&a->drained, &a->mutex);
}

/* All packets that come with one reading. The lock is held where no reading can block: these are
 * small, of what libmariadb's cache holds. */
static int
read_some(struct cap_readahead *a, struct ls_err *err)
{
    struct packet_head head = {0};
    int r = read_packet(a, true, &head, err);
    bool large = head.n > LARGE;

    if (r < 0)
        return -1;
    (void)pthread_mutex_lock(&a->mutex);
    while (a->buffers[a->filling].n > READ_AHEAD && !a->closing)
        (void)pthread_cond_wait(&a->drained, &a->mutex);
    if (large)
        lend(a, &head);
    if (a->closing)
        r = ls_fail(err, LS_ERR_RETRY, 0, "the connection is being closed");
    while (r == 0 && !large) {
        if (append(&a->buffers[a->filling], &head, a->mysql->net.read_pos + 1) < 0)
            r = ls_fail_cause(err, LS_ERR_FATAL, ENOMEM, "event-too-large",
                              "no memory for an event of %llu bytes", (unsigned long long)head.n);
        else if (!packet_is_here(a->mysql))
            break;
        else
            r = read_packet(a, false, &head, err);
    }
    (void)pthread_mutex_unlock(&a->mutex);
    return r;
}

/*
 * The first packet has time of its own: a source that was asked by GTID reads its file from the
 * head, up to our place, before it says a word, and who gives up and asks again begins at the head
 * again, for ever. From then on it promises heartbeats.
 */
static int
read_first(struct cap_readahead *a, struct ls_err *err)
{
    MARIADB_PVIO *pvio = a->mysql->net.pvio;
    int silence_ms = pvio ? pvio->timeout[PVIO_READ_TIMEOUT] : 0, r;

    if (silence_ms > 0 && silence_ms < CAP_FIRST_WORD_MS)
        pvio->timeout[PVIO_READ_TIMEOUT] = CAP_FIRST_WORD_MS;
    r = read_some(a, err);
    if (a->mysql->net.pvio == pvio && pvio)
        pvio->timeout[PVIO_READ_TIMEOUT] = silence_ms;
    return r;
}

static void *
read_ahead(void *arg)
{
    struct cap_readahead *a = arg;
    struct ls_err err = {0};

    mysql_thread_init();
    if (read_first(a, &err) == 0)
        while (read_some(a, &err) == 0)
            ;
    (void)pthread_mutex_lock(&a->mutex);
    a->ended = true;
    a->end = err;
    (void)pthread_cond_signal(&a->filled);
    (void)pthread_mutex_unlock(&a->mutex);
    mysql_thread_end();
    return NULL;
}

static void
readahead_free(struct cap_readahead *a)
{
    ls_buf_free(&a->buffers[0]);
    ls_buf_free(&a->buffers[1]);
    (void)pthread_cond_destroy(&a->filled);
    (void)pthread_cond_destroy(&a->drained);
    (void)pthread_mutex_destroy(&a->mutex);
    free(a);
}

int
cap_readahead_start(MYSQL *mysql, int64_t heartbeat_ms,
                    int (*fail)(MYSQL *mysql, struct ls_err *err), struct cap_readahead **ret,
                    struct ls_err *err)
{
    struct cap_readahead *a = calloc(1, sizeof(*a));

    if (!a)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory to read the binlog");
    a->mysql = mysql;
    a->fail = fail;
    a->heartbeat_ms = heartbeat_ms;
    (void)pthread_mutex_init(&a->mutex, NULL);
    (void)pthread_cond_init(&a->filled, NULL);
    (void)pthread_cond_init(&a->drained, NULL);
    ls_buf_init(&a->buffers[0], 4 * READ_AHEAD);
    ls_buf_init(&a->buffers[1], 4 * READ_AHEAD);
    if (pthread_create(&a->thread, NULL, read_ahead, a) != 0) {
        readahead_free(a);
        return ls_fail(err, LS_ERR_RETRY, errno, "no thread to read the binlog");
    }
    (void)pthread_setname_np(a->thread, "binlog");
    *ret = a;
    return 0;
}

void
cap_readahead_stop(struct cap_readahead *a)
{
    if (!a)
        return;
    (void)pthread_mutex_lock(&a->mutex);
    a->closing = true;
    (void)pthread_cond_signal(&a->drained);
    (void)pthread_mutex_unlock(&a->mutex);
    (void)shutdown(mysql_get_socket(a->mysql), SHUT_RDWR);
    (void)pthread_join(a->thread, NULL);
    readahead_free(a);
}

/* Swaps the buffers once the loop's own one is read to its end. 1: there is something in it, or a
 * large packet behind it. */
static int
swap_buffers(struct cap_readahead *a, int timeout_ms, struct ls_err *err)
{
    struct ls_buf *mine = &a->buffers[!a->filling];
    struct timespec until = ls_mono_after(timeout_ms);
    int r = 0;

    ls_buf_clear(mine);
    a->at = 0;
    (void)pthread_mutex_lock(&a->mutex);
    if (a->large.given) { /* the loop is done with it */
        a->large = (struct large){0};
        (void)pthread_cond_signal(&a->drained);
    }
    a->waiting = true;
    while (a->buffers[a->filling].n == 0 && !a->large.p && !a->ended)
        if (pthread_cond_clockwait(&a->filled, &a->mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            break;
    a->waiting = false;
    if (a->buffers[a->filling].n > 0) {
        a->filling = !a->filling;
        (void)pthread_cond_signal(&a->drained);
        r = 1;
    } else if (a->large.p) {
        a->large.given = true;
        r = 1;
    } else if (a->ended) {
        if (err)
            *err = a->end;
        r = -1;
    }
    (void)pthread_mutex_unlock(&a->mutex);
    return r;
}

static struct cap_packet
packet_of(const struct packet_head *head, const uint8_t *p)
{
    return (struct cap_packet){p, (size_t)head->n, head->received_us, head->idle_us};
}

int
cap_readahead_next(struct cap_readahead *a, int timeout_ms, struct cap_packet *ret,
                   struct ls_err *err)
{
    struct ls_buf *mine = &a->buffers[!a->filling];
    struct packet_head head;

    if (a->at == mine->n) {
        int r = swap_buffers(a, timeout_ms, err);
        if (r <= 0)
            return r;
        mine = &a->buffers[!a->filling];
    }
    if (mine->n == 0) {
        *ret = packet_of(&a->large.head, a->large.p);
        return 1;
    }
    memcpy(&head, mine->p + a->at, sizeof(head));
    *ret = packet_of(&head, mine->p + a->at + sizeof(head));
    a->at += sizeof(head) + (((size_t)head.n + 7) & ~(size_t)7);
    return 1;
}

bool
cap_readahead_at_hand(const struct cap_readahead *a)
{
    return a->at < a->buffers[!a->filling].n;
}

bool
cap_readahead_has_more(struct cap_readahead *a)
{
    size_t more;

    (void)pthread_mutex_lock(&a->mutex);
    more = a->buffers[a->filling].n + (a->large.given ? 0 : (size_t)a->large.head.n);
    (void)pthread_mutex_unlock(&a->mutex);
    return more + (a->buffers[!a->filling].n - a->at) > ENOUGH;
}
