/*
 * Records described by a table of fields: bytes out and in. Private to
 * common/ and its tests.
 */
#ifndef LS_FIELDS_H
#define LS_FIELDS_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/tables.h"
#include <avro.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum rec_kind {
    REC_INT,      /* int, int32_t */
    REC_LONG,     /* long, int64_t */
    REC_BOOL,     /* boolean, bool */
    REC_STR,      /* string, struct ls_str; null is written as "" */
    REC_OPT_STR,  /* ["null", "string"], struct ls_str */
    REC_OPT_LONG, /* ["null", "long"], int64_t, LS_NO_STORAGE for null */
    REC_ENUM,     /* an int-sized enum */
};

struct rec_symbol {
    const char *name;
    int value;
};

struct rec_field {
    const char *name;
    enum rec_kind kind;
    size_t offset;
    bool required;    /* no default: a writer without it writes something else */
    int64_t fallback; /* the default of numbers, booleans and enums; strings have null or "" */
    const struct rec_symbol *symbols; /* REC_ENUM, in the order of the schema */
    size_t n_symbols;
};

/* A codec's record: the schema's name and the fields of one C struct. */
struct rec_type {
    const char *schema; /* "cs3/share"; NULL in tests: encoding is not wanted */
    const char *record; /* the writer's record must have this name */
    size_t size;
    const struct rec_field *fields;
    size_t n_fields;
};

/* ---- writing. `o` has room for rec_bound() bytes; the end is returned. */
#define REC_HEADER 10 /* C3 01 and the fingerprint; a registry's is shorter */
#define REC_LONG_MAX 10
uint8_t *rec_put_single_object(uint8_t *o, uint64_t fingerprint);
struct schema_head;
uint8_t *rec_put_header(uint8_t *o, const struct schema_head *head);

static inline uint8_t *
rec_put_long(uint8_t *o, int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);

    while (u > 127) {
        *o++ = (uint8_t)(u | 128);
        u >>= 7;
    }
    *o++ = (uint8_t)u;
    return o;
}

static inline uint8_t *
rec_put_str(uint8_t *o, struct ls_str s)
{
    o = rec_put_long(o, (int64_t)s.n);
    if (s.n)
        memcpy(o, s.p, s.n);
    return o + s.n;
}

/* The most that a record may take. */
size_t rec_bound(const struct rec_type *type, const void *record);
/* NULL when an enum has a value without a symbol. */
uint8_t *rec_put(uint8_t *o, const struct rec_type *type, const void *record);

/* Are these bytes exactly one value of this schema? */
bool rec_well_formed(avro_schema_t schema, const void *p, size_t n);

/* ---- reading. A plan is a writer's schema laid beside our fields; kept for the process's life. */
struct rec_plan;
/* Finds the schema of `value`, reads the body, gives the plan holding it until the next call. */
int rec_open(const struct rec_type *type, struct ls_str value, struct rec_plan **ret,
             struct ls_err *err);
/* Fills `record`: defaults first, then what the writer wrote. */
int rec_take(struct rec_plan *plan, struct ls_arena *arena, void *record, struct ls_err *err);
/* A column-wise record in a field of type ["null", record]: *ret_has, and the columns of `table`
 * that are set in the bitmap. */
int rec_take_row(struct rec_plan *plan, const char *field, const char *bitmap,
                 const struct ls_table *table, struct ls_arena *arena, bool *ret_has,
                 struct ls_value *values, struct ls_err *err);

/* For tests and the fuzz target: whether avro-c reads the compiled-in schemas too; gives what was
 * so before. */
bool rec_read_by_avro_c(bool always);

int rec_malformed(struct ls_err *err, const char *what);

#endif
