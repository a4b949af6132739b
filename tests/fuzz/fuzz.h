/*
 * What the fuzz targets share. Each target is one file with LLVMFuzzerTestOneInput; it is linked
 * with libFuzzer, and with plain.c as a unit test that feeds it its corpus.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "capture/binlog/cursor.h"
#include "capture/binlog/decode.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of a header. Broken ones end the process, so that the fuzzer keeps the input. */
#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #what);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A failure says what to do and why. Always -1. */
static inline int
fuzz_failed(const struct ls_err *err)
{
    PROMISE(err->kind == LS_ERR_RETRY || err->kind == LS_ERR_POISON || err->kind == LS_ERR_FATAL);
    PROMISE(err->cause[0] && memchr(err->cause, '\0', sizeof(err->cause)));
    PROMISE(err->msg[0] && memchr(err->msg, '\0', sizeof(err->msg)));
    return -1;
}

/* Whether bytes that were borrowed lie in those that were lent. */
static inline bool
fuzz_inside(const void *p, size_t n, const void *lent, size_t n_lent)
{
    const uint8_t *a = p, *b = lent;

    return !a || (a >= b && n <= n_lent && (size_t)(a - b) <= n_lent - n);
}

/* Reads every byte, so that AddressSanitizer looks at all of them. */
static inline void
fuzz_read(const void *p, size_t n)
{
    const volatile uint8_t *bytes = p;

    for (size_t i = 0; i < n; i++)
        (void)bytes[i];
}

/* A copy that ends where its memory ends: the fuzzer's own buffer has bytes behind it. */
static inline uint8_t *
fuzz_copy(const uint8_t *data, size_t n)
{
    uint8_t *copy = calloc(1, n ? n : 1);

    PROMISE(copy);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

/* Makes the length and the CRC of a copied event fit, which no fuzzer would guess. */
static inline void
fuzz_mend(uint8_t *p, size_t n, bool checksum)
{
    uint32_t crc;

    if (n < CAP_EVENT_HEADER + 4)
        return;
    for (int i = 0; i < 4; i++)
        p[9 + i] = (uint8_t)(n >> (8 * i));
    if (!checksum)
        return;
    crc = (uint32_t)crc32(0, p, (uInt)(n - 4));
    for (int i = 0; i < 4; i++)
        p[n - 4 + (size_t)i] = (uint8_t)(crc >> (8 * i));
}

/*
 * The first byte of an input that holds events says how they are read, the rest are the events.
 * Gives the event at *at, mended, in memory of its own that the caller frees; NULL: no more.
 */
static inline uint8_t *
fuzz_next_event(const uint8_t *data, size_t size, size_t *at, bool checksum,
                struct cap_event *ret_event)
{
    struct ls_err err = {0};
    size_t left = size - *at, n = left;
    uint8_t *copy;

    if (left < CAP_EVENT_HEADER + 4)
        return NULL;
    n = cur_le32(data + *at + 9);
    if (n < CAP_EVENT_HEADER + 4 || n > left)
        n = left;
    copy = fuzz_copy(data + *at, n);
    *at += n;
    fuzz_mend(copy, n, checksum);
    if (cap_event_parse(copy, n, checksum, ret_event, &err) == 0)
        return copy;
    (void)fuzz_failed(&err);
    free(copy);
    return NULL;
}

#endif
