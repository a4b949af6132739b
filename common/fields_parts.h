/*
 * What the two readers of records share: a field as the writer wrote it. Private to common/'s
 * fields_*.c and their tests.
 */
#ifndef LS_FIELDS_PARTS_H
#define LS_FIELDS_PARTS_H

#include "common/fields.h"

#define REC_MAX_FIELDS 64
#define REC_MAX_ROWS 2

/* What is left of a value's bytes. */
struct rec_cursor {
    const uint8_t *p, *end;
};

/* A zigzag varint; false where the bytes end or hold more than 64 bits. */
static inline bool
rec_long(struct rec_cursor *c, int64_t *ret)
{
    uint64_t u = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;

        if (c->p == c->end)
            return false;
        b = *c->p++;
        if (shift == 63 && b > 1)
            return false;
        u |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *ret = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
            return true;
        }
    }
    return false;
}

struct rec_seen {
    enum { SEEN_NULL, SEEN_INT, SEEN_TEXT, SEEN_BOOL, SEEN_SYMBOL, SEEN_ROW, SEEN_OTHER } kind;
    int64_t i;
    const char *text;           /* SEEN_TEXT, SEEN_SYMBOL; borrowed */
    size_t n;                   /* bytes of a text, columns of a row */
    const struct rec_seen *row; /* SEEN_ROW, from rec_steps_read only */
};

/* A writer's schema as steps; NULL when it has a shape that only avro-c reads (or without memory).
 * The schema is borrowed for the steps' life. */
struct rec_steps;
struct rec_steps *rec_steps_new(avro_schema_t schema);
void rec_steps_free(struct rec_steps *steps); /* NULL is fine */
/* The fields in the writer's order, until the next call; texts lie in the bytes. NULL when these
 * are not exactly one value of the schema. */
const struct rec_seen *rec_steps_read(struct rec_steps *steps, const void *p, size_t n);

#endif
