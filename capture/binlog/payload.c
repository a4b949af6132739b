/*
 * Transaction payloads (MySQL's binlog_transaction_compression), unpacked event by event.
 *
 * A payload can be hundreds of megabytes and many times that unpacked, so it is never unpacked
 * whole: zstd writes the next event's header, then as much as that header says, into one buffer
 * that grows with what really comes out. What can go wrong: fields that contradict each other, a
 * stream that ends early or holds more than it declares (a bomb may not give more than the declared
 * size, and no event more than the cap), a header inside with a length that is none.
 */
#include "capture/binlog/payload.h"
#include "capture/binlog/cursor.h"
#include <stdlib.h>
#include <zstd.h>

#define PIECE ((size_t)1 << 20) /* a forged length costs no memory before the bytes are there */

enum compression { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

struct cap_payload {
    ZSTD_DCtx *zstd;
    struct ls_buf buf; /* the event at hand, when it had to be unpacked */
    uint64_t compression;
    const uint8_t *p;
    size_t n, at;  /* packed bytes, and how many are used */
    uint64_t left; /* unpacked bytes that have still to come */
};

struct cap_payload *
cap_payload_new(size_t cap)
{
    struct cap_payload *payload = calloc(1, sizeof(*payload));

    if (!payload)
        return NULL;
    ls_buf_init(&payload->buf, cap);
    return payload;
}

void
cap_payload_free(struct cap_payload *payload)
{
    if (!payload)
        return;
    ZSTD_freeDCtx(payload->zstd);
    ls_buf_free(&payload->buf);
    free(payload);
}

static int
broken(struct ls_err *err, const char *what)
{
    return ls_fail_cause(err, LS_ERR_FATAL, CAP_EV_PAYLOAD, "binlog-format",
                         "a transaction payload is broken: %s", what);
}

/* Fields of type, length and value up to the end mark; the content stands behind it. */
static int
take_head(struct cap_payload *payload, const struct cap_event *event, struct ls_err *err)
{
    enum { END = 0, PAYLOAD_SIZE = 1, COMPRESSION_TYPE = 2, UNCOMPRESSED_SIZE = 3 };
    struct cursor c = cur_of(event->body, event->n);
    uint64_t size = 0, unpacked = 0, compression = COMPRESSION_NONE;
    bool has_size = false, has_unpacked = false;

    for (;;) {
        uint64_t type = cur_lenenc(&c), n, number;
        struct cursor value;
        if (c.failed)
            return broken(err, "its head has no end");
        if (type == END)
            break;
        n = cur_lenenc(&c);
        value = cur_of(cur_take(&c, n), (size_t)n);
        if (c.failed)
            return broken(err, "a field's length");
        if (type < PAYLOAD_SIZE || type > UNCOMPRESSED_SIZE)
            continue;
        number = cur_lenenc(&value);
        if (value.failed)
            return broken(err, "a field's value");
        if (type == PAYLOAD_SIZE) {
            size = number;
            has_size = true;
        } else if (type == COMPRESSION_TYPE) {
            compression = number;
        } else {
            unpacked = number;
            has_unpacked = true;
        }
    }
    if (!has_size || size != cur_left(&c))
        return broken(err, "its size is not that of its content");
    if (compression == COMPRESSION_NONE && (!has_unpacked || unpacked == 0))
        unpacked = size;
    else if (!has_unpacked || (compression == COMPRESSION_NONE && unpacked != size))
        return broken(err, "it does not say how large it is unpacked");
    payload->compression = compression;
    payload->p = c.p;
    payload->n = (size_t)size;
    payload->left = unpacked;
    return 0;
}

int
cap_payload_open(struct cap_payload *payload, const struct cap_event *event, struct ls_err *err)
{
    payload->at = 0;
    payload->left = 0;
    if (take_head(payload, event, err) < 0)
        return -1;
    if (payload->compression == COMPRESSION_NONE)
        return 0;
    if (payload->compression != COMPRESSION_ZSTD)
        return ls_fail_cause(err, LS_ERR_FATAL, CAP_EV_PAYLOAD, "event-type",
                             "a transaction payload is compressed in a way not known (%llu)",
                             (unsigned long long)payload->compression);
    if (!payload->zstd)
        payload->zstd = ZSTD_createDCtx();
    if (!payload->zstd)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory");
    (void)ZSTD_DCtx_reset(payload->zstd, ZSTD_reset_session_only);
    return 0;
}

/* So many bytes more into the buffer. */
static int
unpack(struct cap_payload *payload, size_t n, struct ls_err *err)
{
    while (n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        uint8_t *room = ls_buf_room(&payload->buf, piece);
        ZSTD_outBuffer out = {room, piece, 0};
        if (!room)
            return ls_fail_cause(err, LS_ERR_FATAL, CAP_EV_PAYLOAD, "event-too-large",
                                 "an event in a transaction payload does not fit into memory");
        while (out.pos < out.size) {
            ZSTD_inBuffer in = {payload->p, payload->n, payload->at};
            size_t before = out.pos;
            size_t r = ZSTD_decompressStream(payload->zstd, &out, &in);
            if (ZSTD_isError(r))
                return broken(err, ZSTD_getErrorName(r));
            if (out.pos == before && in.pos == payload->at)
                return broken(err, "it ends early");
            payload->at = in.pos;
        }
        n -= piece;
    }
    return 0;
}

/* Where the declared size is reached nothing more may come out, and no packed bytes be left. */
static int
at_end(struct cap_payload *payload, struct ls_err *err)
{
    uint8_t one;
    ZSTD_outBuffer out = {&one, 1, 0};
    bool moves = payload->compression == COMPRESSION_ZSTD;

    while (moves && out.pos == 0) {
        ZSTD_inBuffer in = {payload->p, payload->n, payload->at};
        size_t r = ZSTD_decompressStream(payload->zstd, &out, &in);
        if (ZSTD_isError(r))
            return broken(err, ZSTD_getErrorName(r));
        moves = in.pos > payload->at;
        payload->at = in.pos;
    }
    if (out.pos > 0 || payload->at < payload->n)
        return broken(err, "it holds more than it says");
    return 0;
}

/* The length that an event's header gives it. */
static int
event_size(const struct cap_payload *payload, const uint8_t *header, size_t *ret,
           struct ls_err *err)
{
    uint32_t size = cur_le32(header + 9);

    if (size < CAP_EVENT_HEADER || size > payload->left)
        return broken(err, "the length of an event in it");
    *ret = size;
    return 0;
}

int
cap_payload_next(struct cap_payload *payload, const uint8_t **ret, size_t *ret_n,
                 struct ls_err *err)
{
    size_t size = 0;

    if (payload->left == 0)
        return at_end(payload, err);
    if (payload->left < CAP_EVENT_HEADER)
        return broken(err, "it ends in an event's header");
    if (payload->compression == COMPRESSION_NONE) {
        if (event_size(payload, payload->p + payload->at, &size, err) < 0)
            return -1;
        *ret = payload->p + payload->at;
        payload->at += size;
    } else {
        ls_buf_clear(&payload->buf);
        if (unpack(payload, CAP_EVENT_HEADER, err) < 0 ||
            event_size(payload, payload->buf.p, &size, err) < 0 ||
            unpack(payload, size - CAP_EVENT_HEADER, err) < 0)
            return -1;
        *ret = payload->buf.p;
    }
    payload->left -= size;
    *ret_n = size;
    return 1;
}
