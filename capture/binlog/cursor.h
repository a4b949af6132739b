/*
 * Reading bytes without ever passing their end. After a short read `failed` stays set and every
 * further read gives zero, so a decoder may ask once at its end.
 */
#ifndef CAP_CURSOR_H
#define CAP_CURSOR_H

#include "capture/binlog/decode.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *p, *end;
    bool failed;
};

static inline struct cursor
cur_of(const uint8_t *p, size_t n)
{
    return (struct cursor){p, p ? p + n : p, p == NULL && n > 0};
}

static inline size_t
cur_left(const struct cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->p);
}

/* NULL, and failed, when fewer than `n` bytes are left. */
static inline const uint8_t *
cur_take(struct cursor *c, uint64_t n)
{
    const uint8_t *p = c->p;

    if (c->failed || n > (uint64_t)(c->end - c->p)) {
        c->failed = true;
        return NULL;
    }
    c->p += n;
    return p;
}

static inline void
cur_skip(struct cursor *c, uint64_t n)
{
    (void)cur_take(c, n);
}

static inline uint32_t
cur_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t
cur_le(struct cursor *c, unsigned n)
{
    const uint8_t *p = cur_take(c, n);
    uint64_t v = 0;

    for (unsigned i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint64_t
cur_be(struct cursor *c, unsigned n)
{
    const uint8_t *p = cur_take(c, n);
    uint64_t v = 0;

    for (unsigned i = 0; p && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static inline uint8_t
cur_u8(struct cursor *c)
{
    return (uint8_t)cur_le(c, 1);
}

static inline uint16_t
cur_u16(struct cursor *c)
{
    return (uint16_t)cur_le(c, 2);
}

static inline uint32_t
cur_u32(struct cursor *c)
{
    return (uint32_t)cur_le(c, 4);
}

static inline uint64_t
cur_u48(struct cursor *c)
{
    return cur_le(c, 6);
}

static inline uint64_t
cur_u64(struct cursor *c)
{
    return cur_le(c, 8);
}

/* MySQL's length-encoded integer. */
static inline uint64_t
cur_lenenc(struct cursor *c)
{
    uint8_t first = cur_u8(c);

    if (first < 251)
        return first;
    if (first == 252)
        return cur_le(c, 2);
    if (first == 253)
        return cur_le(c, 3);
    if (first == 254)
        return cur_le(c, 8);
    c->failed = true;
    return 0;
}

/* MariaDB's compressed part of an event, into the scratch buffer (decode.c). */
int cap_unpack(const struct cap_event *event, const uint8_t *p, size_t n, struct ls_buf *scratch,
               struct ls_str *ret, struct ls_err *err);

#endif
