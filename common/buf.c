/*
 * A buffer that grows by doubling up to its cap, and borrowed strings.
 *
 * What can go wrong: memory or the cap runs out in the middle of many appends.
 * Then `failed` stays set and every later append is refused too, so that the
 * content never has a hole and one check at the end is enough.
 */
#include "common/buf.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ls_str
ls_str_of(const char *s)
{
    return s ? (struct ls_str){s, strlen(s)} : LS_STR_NULL;
}

bool
ls_str_eq(struct ls_str a, struct ls_str b)
{
    if (!a.p || !b.p)
        return !a.p && !b.p;
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

bool
ls_str_is(struct ls_str a, const char *s)
{
    return ls_str_eq(a, ls_str_of(s));
}

bool
ls_str_digits(struct ls_str s, int64_t *ret)
{
    int64_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, s.p[i] - '0', &n))
            return false;
    }
    *ret = n;
    return s.n > 0;
}

size_t
ls_digits_put(int64_t number, char *out)
{
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char digits[LS_DIGITS];
    size_t n = 0;

    do {
        digits[LS_DIGITS - ++n] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        digits[LS_DIGITS - ++n] = '-';
    memcpy(out, digits + LS_DIGITS - n, n);
    return n;
}

void
ls_buf_init(struct ls_buf *buf, size_t cap)
{
    *buf = (struct ls_buf){.cap = cap};
}

void
ls_buf_free(struct ls_buf *buf)
{
    free(buf->p);
    *buf = (struct ls_buf){.cap = buf->cap};
}

void
ls_buf_clear(struct ls_buf *buf)
{
    buf->n = 0;
    buf->failed = false;
}

/* Makes room for `n` bytes more, and always one for a NUL behind them. */
static int
grow(struct ls_buf *buf, size_t n)
{
    size_t size = buf->size ? buf->size : 256;
    uint8_t *p;

    if (buf->failed || n > buf->cap - buf->n)
        goto fail;
    if (buf->p && buf->n + n < buf->size)
        return 0;
    while (size <= buf->n + n)
        size *= 2;
    if (size > buf->cap)
        size = buf->cap + 1;
    p = realloc(buf->p, size);
    if (!p)
        goto fail;
    buf->p = p;
    buf->size = size;
    return 0;
fail:
    buf->failed = true;
    return -1;
}

uint8_t *
ls_buf_room(struct ls_buf *buf, size_t n)
{
    uint8_t *p;

    if (grow(buf, n) < 0)
        return NULL;
    p = buf->p + buf->n;
    buf->n += n;
    return p;
}

int
ls_buf_append(struct ls_buf *buf, const void *p, size_t n)
{
    uint8_t *to = ls_buf_room(buf, n);

    if (!to)
        return -1;
    if (n)
        memcpy(to, p, n);
    return 0;
}

int
ls_buf_printf(struct ls_buf *buf, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || grow(buf, (size_t)n) < 0) {
        buf->failed = true;
        return -1;
    }
    va_start(ap, fmt);
    vsnprintf((char *)buf->p + buf->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->n += (size_t)n;
    return 0;
}

const char *
ls_buf_text(struct ls_buf *buf)
{
    if (grow(buf, 0) < 0)
        return NULL;
    buf->p[buf->n] = '\0';
    return (const char *)buf->p;
}
