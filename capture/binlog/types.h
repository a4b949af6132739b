/*
 * Column types: what stands in a row image, how long it is, and what value it gives.
 */
#ifndef CAP_TYPES_H
#define CAP_TYPES_H

#include "capture/binlog/charset.h"
#include "capture/binlog/decode.h"
#include "common/arena.h"
#include <mysql.h>

/* Field types on the wire. */
enum cap_type {
    CAP_T_DECIMAL = 0,
    CAP_T_TINY = 1,
    CAP_T_SHORT = 2,
    CAP_T_LONG = 3,
    CAP_T_FLOAT = 4,
    CAP_T_DOUBLE = 5,
    CAP_T_NULL = 6,
    CAP_T_TIMESTAMP = 7,
    CAP_T_LONGLONG = 8,
    CAP_T_INT24 = 9,
    CAP_T_DATE = 10,
    CAP_T_TIME = 11,
    CAP_T_DATETIME = 12,
    CAP_T_YEAR = 13,
    CAP_T_NEWDATE = 14,
    CAP_T_VARCHAR = 15,
    CAP_T_BIT = 16,
    CAP_T_TIMESTAMP2 = 17,
    CAP_T_DATETIME2 = 18,
    CAP_T_TIME2 = 19,
    CAP_T_BLOB_COMPRESSED = 140,
    CAP_T_VARCHAR_COMPRESSED = 141,
    CAP_T_VECTOR = 242,
    CAP_T_JSON = 245,
    CAP_T_NEWDECIMAL = 246,
    CAP_T_ENUM = 247,
    CAP_T_SET = 248,
    CAP_T_TINY_BLOB = 249,
    CAP_T_MEDIUM_BLOB = 250,
    CAP_T_LONG_BLOB = 251,
    CAP_T_BLOB = 252,
    CAP_T_VAR_STRING = 253,
    CAP_T_STRING = 254,
    CAP_T_GEOMETRY = 255,
};

/* How the value of a watched column is made. */
enum cap_give {
    CAP_GIVE_OTHER, /* cap_value_make knows */
    CAP_GIVE_INTEGER,
    CAP_GIVE_BYTES, /* as they stand */
};

/* What is to be done with a column of a row image: the hot path's word for all of the above. */
enum cap_step {
    CAP_STEP_SKIP = 0,
    CAP_STEP_SIGNED, /* a number from an integer */
    CAP_STEP_BYTES,  /* text as it stands */
    CAP_STEP_MAKE,   /* cap_value_make */
};

/* The names of an ENUM or SET, in UTF-8. */
struct cap_labels {
    size_t n;
    struct ls_str *names;
};

/* A column as the row images hold it, and which of our columns it is. */
struct cap_column {
    uint8_t type;   /* STRING resolved to ENUM and SET where it hides them */
    uint8_t give;   /* enum cap_give */
    uint8_t step;   /* enum cap_step, by cap_layout_finish */
    uint8_t prefix; /* bytes of a length in front of the content; 0: always `size` bytes */
    uint8_t decimals;
    bool is_unsigned;
    int8_t want;                     /* number in the ls_table, -1: only skipped */
    uint16_t size;                   /* without a prefix */
    uint16_t meta;                   /* precision<<8|scale of DECIMAL */
    uint16_t charset;                /* enum cap_charset */
    const struct cap_labels *labels; /* NULL: not ENUM or SET, or not told */
};
#define CAP_MAX_SOURCE_COLUMNS 128
struct cap_layout {
    uint64_t id;
    const struct ls_table *table; /* NULL: the layout is of no use */
    uint32_t n_columns;
    struct cap_column columns[CAP_MAX_SOURCE_COLUMNS];
    uint32_t missing;       /* columns of ours that the source does not have, as bits */
    struct ls_arena *kept;  /* labels; NULL while nothing needs it */
    struct ls_arena *texts; /* of one row; NULL while no column is converted */
};
/* Frees what the layout holds; it may be used for another table then. Zeroed memory is fine. */
void cap_layout_clear(struct cap_layout *layout);

/* Types, lengths and signs of a table map into layout->columns, want = -1. Without signs in the
 * event is_unsigned is false. FATAL cause "column-type" for types whose length is not known. */
int cap_layout_types(const struct cap_table_map *map, struct cap_layout *layout,
                     struct ls_err *err);
/*
 * Character sets and the names of ENUM and SET, as far as the map has them; to be called when
 * `want` is known. `geometry_has_text`: the server counts GEOMETRY among the columns with text
 * (MariaDB does, MySQL does not).
 */
int cap_layout_charsets(const struct cap_table_map *map, bool geometry_has_text,
                        struct cap_layout *layout, struct ls_err *err);
/* TIME, DATETIME and TIMESTAMP of the old kinds, whose length the table map does not tell: MariaDB
 * has them with fractions too (mysql56_temporal_format=OFF). */
bool cap_type_is_old_temporal(uint8_t type);
void cap_column_set_decimals(struct cap_column *column, unsigned decimals);
/* NULL, or why a column like this cannot give a value of the kind: "is of a type that ...". */
const char *cap_column_refused(const struct cap_column *column, enum ls_value_kind kind);
/* When all `want` are known: the steps, and room for the texts of a row when a watched column is
 * converted. */
int cap_layout_finish(struct cap_layout *layout, const struct ls_table *table, struct ls_err *err);

/*
 * The value of a watched column from its bytes, CAP_GIVE_INTEGER and BYTES too. `digits` has room
 * for 24 bytes, other text lives in `texts`. ABSENT when our types cannot hold the number. -1 for
 * bytes that are no value of this type.
 */
int cap_value_make(const struct cap_column *column, enum ls_value_kind kind, const uint8_t *p,
                   uint64_t n, char *digits, struct ls_arena *texts, struct ls_value *ret);
/*
 * The same value from the text of a SELECT (utf8mb4, time_zone +00:00). NULL gives LS_V_NULL. The
 * text is borrowed.
 */
void cap_value_select(const MYSQL_FIELD *field, enum ls_value_kind kind, const char *text,
                      unsigned long n, char *digits, struct ls_value *ret);

/* An integer column's value; its sizes are 1, 2, 3, 4 and 8 bytes. */
static inline int64_t
cap_signed_value(const uint8_t *p, uint64_t n)
{
    uint32_t low, high;

    switch (n) {
    case 1:
        return (int8_t)p[0];
    case 2:
        return (int16_t)(p[0] | p[1] << 8);
    case 3:
        return (int32_t)((uint32_t)p[0] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 24) >> 8;
    case 4:
        return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                         (uint32_t)p[3] << 24);
    default:
        low = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        high = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
        return (int64_t)((uint64_t)high << 32 | low);
    }
}

#endif
