/*
 * Packets straight off a socket.
 *
 * libmariadb reads 16 KiB at once and copies each packet twice before it can be looked at, which
 * costs more than to look at it. Where nothing is encrypted this reads in large pieces and gives
 * the packets as they lie there. Nobody reads ahead: the kernel's buffer does. What can go wrong:
 * - a packet comes in pieces, and one of 16 MiB or more in several packets with a head each;
 * - numbers out of order: bytes are missing, and what follows would be taken for events;
 * - the source is silent: time counts from when nothing was there to be read, for while the loop is
 *   busy with Kafka the source's words lie in the kernel;
 * - a heartbeat says that the source had nothing more when it left there. Only one that was waited
 *   for, with everything read, says so about now.
 */
#include "capture/source/wire.h"
#include "common/run.h"
#include <errmsg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define HEAD 4 /* length, number */
#define FULL_PACKET ((size_t)0xffffff)
#define READ_SIZE ((size_t)256 << 10)
#define KEEP_AT_MOST (8 * READ_SIZE) /* a larger buffer is given back after its use */
#define LARGEST ((size_t)1 << 30)
#define ENOUGH ((size_t)64 << 10)
#define STREAMING 4096 /* bytes at once: more will follow */
#define NAP_MS 1       /* for more to come together */

struct cap_wire {
    struct cap_wire_start from;
    uint8_t *p;
    size_t size, at, n; /* read up to n, given up to at */
    size_t whole;       /* what the packet at `at` takes; 0: not known */
    uint8_t seq;
    bool streaming, spoken;
    int64_t received_us, idle_us;
    int64_t dry_ms;   /* since when there is nothing to be read; 0: not so */
    int64_t empty_us; /* the same by the wall clock, with every packet given; 0: not so */
};

int
cap_wire_new(const struct cap_wire_start *start, struct cap_wire **ret, struct ls_err *err)
{
    struct cap_wire *w = calloc(1, sizeof(*w));

    if (w) {
        w->size = start->n_rest > READ_SIZE ? start->n_rest : READ_SIZE;
        w->p = malloc(w->size);
    }
    if (!w || !w->p) {
        free(w);
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory to read the binlog");
    }
    w->from = *start;
    w->seq = start->seq;
    w->n = start->n_rest;
    if (w->n > 0)
        memcpy(w->p, start->rest, w->n);
    w->received_us = ls_now_us();
    *ret = w;
    return 0;
}

void
cap_wire_free(struct cap_wire *w)
{
    if (!w)
        return;
    free(w->p);
    free(w);
}

static int
lost(const struct cap_wire *w, const char *why, struct ls_err *err)
{
    return w->from.fail(w->from.arg, CR_SERVER_LOST, why, err);
}

static size_t
length_at(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
}

bool
cap_wire_at_hand(const struct cap_wire *w)
{
    size_t left = w->n - w->at;

    return left >= HEAD && left - HEAD >= length_at(w->p + w->at);
}

bool
cap_wire_has_more(const struct cap_wire *w)
{
    int more = 0;

    if (ioctl(w->from.fd, FIONREAD, &more) < 0 || more < 0)
        more = 0;
    return w->n - w->at + (size_t)more > ENOUGH;
}

/* The number of the packet whose head is at `p` is the one that comes next. */
static int
check_number(struct cap_wire *w, const uint8_t *p, struct ls_err *err)
{
    if (p[3] != w->seq)
        return lost(w, "packets out of order", err);
    w->seq++;
    return 0;
}

/* A packet that fills its length goes on in the next one: 1 when all of them are there, made one.
 */
static int
join(struct cap_wire *w, size_t *ret_n, struct ls_err *err)
{
    size_t from = w->at, to = w->at + HEAD, part;

    do {
        if (w->n - from < HEAD)
            return 0;
        part = length_at(w->p + from);
        if (w->n - from - HEAD < part)
            return 0;
        from += HEAD + part;
    } while (part == FULL_PACKET);
    w->whole = from - w->at;
    for (from = w->at; from < w->at + w->whole; from += HEAD + part) {
        part = length_at(w->p + from);
        if (check_number(w, w->p + from, err) < 0)
            return -1;
        memmove(w->p + to, w->p + from + HEAD, part);
        to += part;
    }
    *ret_n = to - w->at - HEAD;
    return 1;
}

/* What the source says instead of an event. */
static int
refused(struct cap_wire *w, const uint8_t *p, size_t n, struct ls_err *err)
{
    char text[256];
    unsigned code = (unsigned)p[1] | (unsigned)p[2] << 8;
    size_t skip = n > 3 && p[3] == '#' ? 9 : 3; /* a state of five letters in front */

    (void)snprintf(text, sizeof(text), "%.*s", n > skip ? (int)(n - skip) : 0,
                   n > skip ? (const char *)p + skip : "");
    return w->from.fail(w->from.arg, code, text, err);
}

/* 1 and the packet at hand, 0 when it is not there to its end. */
static int
take(struct cap_wire *w, struct cap_packet *ret, struct ls_err *err)
{
    size_t left = w->n - w->at, n;
    const uint8_t *p = w->p + w->at;

    w->whole = 0;
    if (left < HEAD)
        return 0;
    n = length_at(p);
    if (n == FULL_PACKET) {
        int r = join(w, &n, err);
        if (r <= 0)
            return r;
    } else {
        w->whole = HEAD + n;
        if (left < w->whole)
            return 0;
        if (check_number(w, p, err) < 0)
            return -1;
    }
    w->at += w->whole;
    p += HEAD;
    if (n >= 3 && p[0] == 0xff)
        return refused(w, p, n, err);
    if (n == 0 || (p[0] == 0xfe && n < 9))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "source", "the source ended the binlog dump");
    *ret = (struct cap_packet){p + 1, n - 1, w->received_us, w->idle_us};
    w->idle_us = 0;
    return 1;
}

/* Room to read into, and what is not given yet at the buffer's head. */
static int
make_room(struct cap_wire *w, struct ls_err *err)
{
    size_t want = w->size;
    uint8_t *p;

    if (w->at > 0) {
        memmove(w->p, w->p + w->at, w->n - w->at);
        w->n -= w->at;
        w->at = 0;
    }
    if (w->whole > want)
        want = w->whole;
    else if (w->n == w->size)
        want = 2 * w->size;
    else if (w->n == 0 && w->size > KEEP_AT_MOST)
        want = READ_SIZE;
    if (want == w->size)
        return 0;
    p = want <= LARGEST + READ_SIZE ? realloc(w->p, want) : NULL;
    if (!p)
        return ls_fail_cause(err, LS_ERR_FATAL, ENOMEM, "event-too-large",
                             "no memory for an event of %zu bytes or more", w->n);
    w->p = p;
    w->size = want;
    return 0;
}

/* 1 when bytes came, 0 when none are there. */
static int
receive(struct cap_wire *w, struct ls_err *err)
{
    ssize_t n;

    if (make_room(w, err) < 0)
        return -1;
    n = recv(w->from.fd, w->p + w->n, w->size - w->n, MSG_DONTWAIT);
    if (n == 0)
        return lost(w, "the source closed the connection", err);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return lost(w, strerror(errno), err);
    if (n < 0)
        return 0;
    w->received_us = ls_now_us();
    if (w->empty_us && ls_mono_ms() - w->dry_ms >= w->from.heartbeat_ms / 2)
        w->idle_us = w->empty_us;
    w->dry_ms = w->empty_us = 0;
    w->streaming = n >= STREAMING;
    w->spoken = true;
    w->n += (size_t)n;
    return 1;
}

/* Nothing is there to be read. */
static int
check_silence(struct cap_wire *w, struct ls_err *err)
{
    int64_t now_ms = ls_mono_ms();

    if (w->dry_ms == 0) {
        w->dry_ms = now_ms;
        if (w->n == w->at)
            w->empty_us = ls_now_us();
    }
    if (now_ms - w->dry_ms >= (w->spoken ? w->from.silence_ms : w->from.first_ms))
        return lost(w, "the source is silent", err);
    return 0;
}

/* 1 when bytes came within the time, 0 when not. Behind much, a nap: to be woken for every few
 * packets would cost more than they do. */
static int
fill(struct cap_wire *w, int timeout_ms, struct ls_err *err)
{
    struct pollfd fd = {.fd = w->from.fd, .events = POLLIN};
    int r = receive(w, err);

    if (r == 0 && w->streaming && timeout_ms > NAP_MS) {
        w->streaming = false;
        (void)poll(NULL, 0, NAP_MS);
        r = receive(w, err);
    }
    if (r != 0)
        return r;
    if (check_silence(w, err) < 0)
        return -1;
    if (timeout_ms > 0 && poll(&fd, 1, timeout_ms) > 0)
        return receive(w, err);
    return timeout_ms > 0 ? check_silence(w, err) : 0;
}

int
cap_wire_next(struct cap_wire *w, int timeout_ms, struct cap_packet *ret, struct ls_err *err)
{
    int r = take(w, ret, err);

    while (r == 0 && (r = fill(w, timeout_ms, err)) > 0)
        r = take(w, ret, err);
    return r;
}
