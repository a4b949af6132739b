/*
 * Row images: the column types of a table map, and the values of watched columns.
 *
 * A column outside the allow-list costs its length and nothing more; but its length must be right,
 * for all that stands behind it depends on it. So every type of MySQL and MariaDB that can stand in
 * a table is in skip_column(), also those of which we never want the value. What can go wrong: an
 * image that leaves columns out (binlog_row_image not FULL) is refused in a word, for a guess would
 * write NULLs; a BIGINT UNSIGNED above INT64_MAX fits none of our types and marks the image poison.
 *
 * Widths come from the table map, never from what ownCloud's schema says: releases differ.
 */
#include "capture/cursor.h"
#include "capture/decode.h"
#include <stdio.h>
#include <string.h>

/* Field types on the wire. */
enum {
    T_DECIMAL = 0,
    T_TINY = 1,
    T_SHORT = 2,
    T_LONG = 3,
    T_FLOAT = 4,
    T_DOUBLE = 5,
    T_NULL = 6,
    T_TIMESTAMP = 7,
    T_LONGLONG = 8,
    T_INT24 = 9,
    T_DATE = 10,
    T_TIME = 11,
    T_DATETIME = 12,
    T_YEAR = 13,
    T_NEWDATE = 14,
    T_VARCHAR = 15,
    T_BIT = 16,
    T_TIMESTAMP2 = 17,
    T_DATETIME2 = 18,
    T_TIME2 = 19,
    T_BLOB_COMPRESSED = 140,
    T_VARCHAR_COMPRESSED = 141,
    T_JSON = 245,
    T_NEWDECIMAL = 246,
    T_ENUM = 247,
    T_SET = 248,
    T_TINY_BLOB = 249,
    T_MEDIUM_BLOB = 250,
    T_LONG_BLOB = 251,
    T_BLOB = 252,
    T_VAR_STRING = 253,
    T_STRING = 254,
    T_GEOMETRY = 255,
};

static bool
is_blob(uint8_t type)
{
    return (type >= T_TINY_BLOB && type <= T_BLOB) || type == T_JSON || type == T_GEOMETRY ||
           type == T_BLOB_COMPRESSED;
}

bool
cap_type_is_integer(uint8_t type)
{
    return type == T_TINY || type == T_SHORT || type == T_LONG || type == T_LONGLONG ||
           type == T_INT24 || type == T_YEAR;
}

/* Types that have a bit in the signedness metadata; YEAR does on MariaDB. */
static bool
has_sign(uint8_t type)
{
    return cap_type_is_integer(type) || type == T_FLOAT || type == T_DOUBLE ||
           type == T_NEWDECIMAL || type == T_DECIMAL;
}

/* CHAR, ENUM and SET share a type byte; the metadata tells them apart and holds the length. */
static void
resolve_string(struct cap_column *column, uint8_t first, uint8_t second)
{
    if ((first & 0x30) != 0x30) {
        column->type = first | 0x30;
        column->meta = (uint16_t)(second | ((first & 0x30) ^ 0x30) << 4);
    } else {
        column->type = first;
        column->meta = second;
    }
}

static int
column_type(struct cap_column *column, uint8_t type, struct cursor *meta, struct ls_err *err)
{
    column->type = type;
    switch (type) {
    case T_TINY:
    case T_SHORT:
    case T_LONG:
    case T_LONGLONG:
    case T_INT24:
    case T_YEAR:
    case T_NULL:
    case T_DATE:
    case T_NEWDATE:
    case T_TIME:
    case T_DATETIME:
    case T_TIMESTAMP:
        column->meta = 0;
        return 0;
    case T_FLOAT:
    case T_DOUBLE:
    case T_TIMESTAMP2:
    case T_DATETIME2:
    case T_TIME2:
        column->meta = cur_u8(meta);
        return 0;
    case T_VARCHAR:
    case T_VARCHAR_COMPRESSED:
    case T_VAR_STRING:
        column->meta = cur_u16(meta);
        return 0;
    case T_STRING:
    case T_ENUM:
    case T_SET: {
        uint8_t first = cur_u8(meta), second = cur_u8(meta);
        resolve_string(column, first, second);
        return 0;
    }
    case T_NEWDECIMAL: {
        uint8_t precision = cur_u8(meta), scale = cur_u8(meta);
        column->meta = (uint16_t)(precision << 8 | scale);
        return scale <= precision
                   ? 0
                   : ls_fail_cause(err, LS_ERR_FATAL, type, "binlog-format", "DECIMAL metadata");
    }
    case T_BIT: {
        uint8_t bits = cur_u8(meta), bytes = cur_u8(meta);
        column->meta = (uint16_t)(bytes + (bits > 0));
        return 0;
    }
    default:
        if (is_blob(type)) {
            column->meta = cur_u8(meta);
            if (column->meta >= 1 && column->meta <= 4)
                return 0;
        }
        return ls_fail_cause(err, LS_ERR_FATAL, type, "column-type",
                             "a watched table has a column of type %u, whose length is not known",
                             type);
    }
}

int
cap_layout_types(const struct cap_table_map *map, struct cap_layout *layout, struct ls_err *err)
{
    struct cursor meta = cur_of((const uint8_t *)map->meta.p, map->meta.n);
    size_t numeric = 0;

    if (map->n_columns > CAP_MAX_SOURCE_COLUMNS)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "column-count",
                             "%.*s has %u columns, more than the %d this build can hold",
                             (int)map->name.n, map->name.p, map->n_columns, CAP_MAX_SOURCE_COLUMNS);
    layout->id = map->id;
    layout->n_columns = map->n_columns;
    for (uint32_t i = 0; i < map->n_columns; i++) {
        struct cap_column *column = &layout->columns[i];
        *column = (struct cap_column){.want = -1};
        if (column_type(column, map->types[i], &meta, err) < 0)
            return -1;
        if (meta.failed)
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format",
                                 "the table map's metadata ends in the middle");
        if (map->signs.p && has_sign(map->types[i])) {
            if (numeric / 8 < map->signs.n)
                column->is_unsigned = (uint8_t)map->signs.p[numeric / 8] >> (7 - numeric % 8) & 1;
            numeric++;
        }
    }
    return 0;
}

/* Bytes of a packed DECIMAL: nine digits in four bytes, the odd ones in as few as they need. */
static unsigned
decimal_bytes(uint16_t meta)
{
    static const uint8_t odd[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
    unsigned scale = meta & 0xff, whole = (unsigned)(meta >> 8) - scale;

    return whole / 9 * 4 + odd[whole % 9] + scale / 9 * 4 + odd[scale % 9];
}

/* The content of a column: where it begins, and how long it is. */
static const uint8_t *
take_column(struct cursor *c, const struct cap_column *column, uint64_t *ret_len)
{
    uint64_t n;

    switch (column->type) {
    case T_NULL:
        n = 0;
        break;
    case T_TINY:
    case T_YEAR:
        n = 1;
        break;
    case T_SHORT:
        n = 2;
        break;
    case T_INT24:
    case T_DATE:
    case T_NEWDATE:
    case T_TIME:
        n = 3;
        break;
    case T_LONG:
    case T_FLOAT:
    case T_TIMESTAMP:
        n = 4;
        break;
    case T_LONGLONG:
    case T_DOUBLE:
    case T_DATETIME:
        n = 8;
        break;
    case T_TIMESTAMP2:
        n = 4 + (column->meta + 1U) / 2;
        break;
    case T_DATETIME2:
        n = 5 + (column->meta + 1U) / 2;
        break;
    case T_TIME2:
        n = 3 + (column->meta + 1U) / 2;
        break;
    case T_NEWDECIMAL:
        n = decimal_bytes(column->meta);
        break;
    case T_BIT:
    case T_ENUM:
    case T_SET:
        n = column->meta;
        break;
    case T_VARCHAR:
    case T_VARCHAR_COMPRESSED:
    case T_VAR_STRING:
    case T_STRING:
        n = cur_le(c, column->meta > 255 ? 2 : 1);
        break;
    default: /* column_type() lets nothing but blobs through */
        n = cur_le(c, column->meta);
        break;
    }
    *ret_len = n;
    return cur_take(c, n);
}

static int64_t
integer_value(const uint8_t *p, uint64_t n, bool is_unsigned, bool *ret_poison)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    if (is_unsigned) {
        *ret_poison = v > INT64_MAX;
        return (int64_t)(v & INT64_MAX);
    }
    if (n < 8 && v >> (8 * n - 1) & 1)
        v |= UINT64_MAX << (8 * n);
    return (int64_t)v;
}

static struct ls_str
datetime_text(char *out, size_t size, unsigned year, unsigned month, uint64_t day, uint64_t hms)
{
    int n = snprintf(out, size, "%04u-%02u-%02u %02u:%02u:%02u", year % 10000, month % 100,
                     (unsigned)day % 100, (unsigned)(hms >> 12) % 100, (unsigned)(hms >> 6) & 63,
                     (unsigned)hms & 63);

    return (struct ls_str){out, (size_t)n};
}

static struct ls_str
datetime2_value(const uint8_t *p, char *out, size_t size)
{
    /* sign 1, year*13+month 17, day 5, hour 5, minute 6, second 6; the fraction is left out */
    uint64_t v = 0, ym;

    for (unsigned i = 0; i < 5; i++)
        v = v << 8 | p[i];
    v &= 0x7fffffffffULL;
    ym = v >> 22;
    return datetime_text(out, size, (unsigned)(ym / 13), (unsigned)(ym % 13), v >> 17 & 31,
                         v & 0x1ffff);
}

static struct ls_str
datetime_value(const uint8_t *p, char *out, size_t size)
{
    bool ignored = false;
    uint64_t v = (uint64_t)integer_value(p, 8, false, &ignored), date = v / 1000000,
             time = v % 1000000;

    return datetime_text(out, size, (unsigned)(date / 10000 % 10000), (unsigned)(date / 100 % 100),
                         date % 100,
                         time / 10000 << 12 | (time / 100 % 100 & 63) << 6 | time % 100);
}

/* What a watched column of this type gives; schema.c has refused all other types. */
static void
column_value(const struct cap_column *column, enum ls_value_kind kind, const uint8_t *p, uint64_t n,
             struct cap_image *image)
{
    struct ls_value *value = &image->values[column->want];
    char *digits = image->digits[column->want];
    const size_t size = sizeof(image->digits[0]);
    bool poison = false;

    if (cap_type_is_integer(column->type)) {
        value->i = integer_value(p, n, column->is_unsigned || column->type == T_YEAR, &poison);
        if (column->type == T_YEAR && value->i)
            value->i += 1900;
        if (kind == LS_V_TEXT) {
            int len = snprintf(digits, size, "%lld", (long long)value->i);
            value->s = (struct ls_str){digits, (size_t)len};
        }
        if (poison) {
            image->poison = true;
            image->poison_column = (int)(value - image->values);
        }
    } else if (column->type == T_DATETIME2) {
        value->s = datetime2_value(p, digits, size);
    } else if (column->type == T_DATETIME) {
        value->s = datetime_value(p, digits, size);
    } else {
        value->s = (struct ls_str){(const char *)p, (size_t)n};
    }
    value->kind = poison ? LS_V_ABSENT : kind;
}

bool
cap_event_is_rows(uint8_t type)
{
    return (type >= CAP_EV_WRITE_ROWS_V1 && type <= CAP_EV_DELETE_ROWS_V1) ||
           (type >= CAP_EV_WRITE_ROWS && type <= CAP_EV_DELETE_ROWS) ||
           (type >= CAP_EV_WRITE_ROWS_COMPRESSED_V1 && type <= CAP_EV_DELETE_ROWS_COMPRESSED);
}

int
cap_rows_head(const struct cap_event *event, struct cap_rows *ret, struct ls_err *err)
{
    struct cursor c = cur_of(event->body, event->n);
    struct cap_rows rows = {0};
    uint8_t first = event->type >= CAP_EV_WRITE_ROWS_COMPRESSED ? CAP_EV_WRITE_ROWS_COMPRESSED
                    : event->type >= CAP_EV_WRITE_ROWS_COMPRESSED_V1
                        ? CAP_EV_WRITE_ROWS_COMPRESSED_V1
                    : event->type >= CAP_EV_WRITE_ROWS ? CAP_EV_WRITE_ROWS
                                                       : CAP_EV_WRITE_ROWS_V1;
    bool v2 = first == CAP_EV_WRITE_ROWS || first == CAP_EV_WRITE_ROWS_COMPRESSED;

    rows.op = (enum cap_rows_op)(event->type - first);
    rows.compressed = event->type >= CAP_EV_WRITE_ROWS_COMPRESSED_V1;
    rows.table_id = cur_u48(&c);
    rows.last_of_statement = cur_u16(&c) & 1;
    if (v2) {
        uint16_t extra = cur_u16(&c); /* counts itself */
        if (extra < 2)
            c.failed = true;
        else
            cur_skip(&c, extra - 2U);
    }
    if (c.failed)
        return ls_fail_cause(err, LS_ERR_FATAL, event->type, "binlog-format",
                             "a rows event that ends at %u is too short", event->next_pos);
    rows.body = c.p;
    rows.n = cur_left(&c);
    *ret = rows;
    return 0;
}

static bool
all_present(const uint8_t *bits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!(bits[i / 8] >> (i & 7) & 1))
            return false;
    return true;
}

int
cap_rows_open(struct cap_rows *rows, const struct cap_layout *layout, struct ls_buf *scratch,
              struct ls_err *err)
{
    struct cursor c = cur_of(rows->body, rows->n);
    uint64_t width = cur_lenenc(&c), bytes = (width + 7) / 8;
    const uint8_t *first = cur_take(&c, bytes), *second = first;

    if (rows->op == CAP_ROWS_UPDATE)
        second = cur_take(&c, bytes);
    if (c.failed)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format", "a rows event is too short");
    if (width != layout->n_columns)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "column-count",
                             "rows of %s have %llu columns, its table map has %u",
                             layout->table->name, (unsigned long long)width, layout->n_columns);
    if (!all_present(first, layout->n_columns) || !all_present(second, layout->n_columns))
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "row-image",
                             "a row of %s leaves columns out: set binlog_row_image=FULL, also in "
                             "the sessions that write, then take a new snapshot",
                             layout->table->name);
    rows->width = (uint32_t)width;
    rows->p = c.p;
    rows->end = c.end;
    if (rows->compressed) {
        struct cap_event event = {.type = CAP_EV_WRITE_ROWS_COMPRESSED};
        struct ls_str plain;
        if (cap_unpack(&event, c.p, cur_left(&c), scratch, &plain, err) < 0)
            return -1;
        rows->p = (const uint8_t *)plain.p;
        rows->end = rows->p + plain.n;
    }
    return 0;
}

static int
image_next(struct cursor *c, const struct cap_layout *layout, struct cap_image *image)
{
    const uint8_t *nulls = cur_take(c, (layout->n_columns + 7U) / 8);

    for (size_t i = 0; i < layout->table->n_columns; i++)
        image->values[i] = (struct ls_value){.kind = LS_V_ABSENT};
    image->poison = false;
    if (!nulls)
        return -1;
    for (uint32_t i = 0; i < layout->n_columns; i++) {
        const struct cap_column *column = &layout->columns[i];
        const uint8_t *p;
        uint64_t n;
        if (nulls[i / 8] >> (i & 7) & 1) {
            if (column->want >= 0)
                image->values[column->want].kind = LS_V_NULL;
            continue;
        }
        p = take_column(c, column, &n);
        if (!p)
            return -1;
        if (column->want >= 0)
            column_value(column, layout->table->columns[column->want].type, p, n, image);
    }
    return 0;
}

int
cap_rows_next(struct cap_rows *rows, const struct cap_layout *layout, struct cap_image *before,
              struct cap_image *after, struct ls_err *err)
{
    struct cursor c = cur_of(rows->p, (size_t)(rows->end - rows->p));
    int r = 0;

    if (rows->p == rows->end)
        return 0;
    if (rows->op != CAP_ROWS_WRITE)
        r = image_next(&c, layout, before);
    if (r == 0 && rows->op != CAP_ROWS_DELETE)
        r = image_next(&c, layout, after);
    /* an image of no bytes would never end */
    if (r < 0 || c.p == rows->p)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format",
                             "a row image of %s ends in the middle", layout->table->name);
    rows->p = c.p;
    return 1;
}
