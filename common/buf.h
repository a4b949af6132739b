/*
 * A growing buffer with a maximum, and a borrowed string.
 */
#ifndef LS_BUF_H
#define LS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes borrowed from somewhere else; p == NULL means SQL's NULL. Not always NUL-terminated. */
struct ls_str {
    const char *p;
    size_t n;
};

#define LS_STR(literal) ((struct ls_str){(literal), sizeof(literal) - 1})
#define LS_STR_NULL ((struct ls_str){NULL, 0})
struct ls_str ls_str_of(const char *s);           /* strlen; NULL gives LS_STR_NULL */
bool ls_str_eq(struct ls_str a, struct ls_str b); /* NULL equals NULL only */
bool ls_str_is(struct ls_str a, const char *s);
/* Decimal digits alone, at least one, that fit; anything else is false. */
bool ls_str_digits(struct ls_str s, int64_t *ret);
#define LS_DIGITS 20 /* of the longest number, with its sign */
/* The number in decimal at `out`, which has LS_DIGITS bytes, no NUL; returns how many it takes. For
 * what each row needs: printf takes longer than all else about a row's key. */
size_t ls_digits_put(int64_t number, char *out);

struct ls_buf {
    uint8_t *p;
    size_t n;    /* bytes used */
    size_t size; /* bytes allocated */
    size_t cap;  /* the most it may grow to */
    bool failed; /* an append did not fit; checked once at the end */
};

void ls_buf_init(struct ls_buf *buf, size_t cap);
void ls_buf_free(struct ls_buf *buf);
void ls_buf_clear(struct ls_buf *buf); /* n = 0, failed = false, memory kept */
/* Returns where `n` bytes may be written, n advanced; NULL (and failed) beyond the cap. */
uint8_t *ls_buf_room(struct ls_buf *buf, size_t n);
int ls_buf_append(struct ls_buf *buf, const void *p, size_t n); /* 0, or -1 and failed */
int ls_buf_printf(struct ls_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* NUL after the content (not counted); "" for an empty buffer, NULL when failed. */
const char *ls_buf_text(struct ls_buf *buf);

#endif
