/*
 * The columns of a table map: types, lengths, signs, character sets, names of ENUM and SET.
 *
 * All that is the same for every row of a table is found out here, once a table map. A column
 * outside the allow-list costs its length and nothing more; but its length must be right, for all
 * that stands behind it depends on it. So every type of MySQL and MariaDB that can stand in a table
 * is in column_type(), also those of which we never want the value.
 *
 * What can go wrong: the metadata counts only the columns that it concerns (numbers; text; ENUM and
 * SET), so one column that is counted wrongly shifts all behind it. Who counts what was found out
 * by recording both servers, and the tests hold those recordings against it. Widths come from the
 * table map, never from what ownCloud's schema says: releases differ.
 */
#include "capture/binlog/types.h"
#include "capture/binlog/cursor.h"
#include <string.h>

#define LABELS_CAP ((size_t)16 << 20)
/* A row's text grows at most threefold; a row is at most 1 GiB. */
#define TEXTS_CAP ((size_t)4 << 30)

static bool
is_blob(uint8_t type)
{
    return (type >= CAP_T_TINY_BLOB && type <= CAP_T_BLOB) || type == CAP_T_JSON ||
           type == CAP_T_GEOMETRY || type == CAP_T_BLOB_COMPRESSED || type == CAP_T_VECTOR;
}

static bool
is_integer(uint8_t type)
{
    return type == CAP_T_TINY || type == CAP_T_SHORT || type == CAP_T_LONG ||
           type == CAP_T_LONGLONG || type == CAP_T_INT24;
}

/* Types that have a bit in the signedness metadata. */
static bool
has_sign(uint8_t type)
{
    return is_integer(type) || type == CAP_T_YEAR || type == CAP_T_FLOAT || type == CAP_T_DOUBLE ||
           type == CAP_T_NEWDECIMAL || type == CAP_T_DECIMAL;
}

static bool
has_labels(uint8_t type)
{
    return type == CAP_T_ENUM || type == CAP_T_SET;
}

/* Types that are counted in the metadata about text. */
static bool
has_text(uint8_t type, bool geometry_has_text)
{
    return type == CAP_T_VARCHAR || type == CAP_T_VAR_STRING || type == CAP_T_STRING ||
           (type >= CAP_T_TINY_BLOB && type <= CAP_T_BLOB) || type == CAP_T_BLOB_COMPRESSED ||
           type == CAP_T_VARCHAR_COMPRESSED || (type == CAP_T_GEOMETRY && geometry_has_text);
}

bool
cap_type_is_old_temporal(uint8_t type)
{
    return type == CAP_T_TIMESTAMP || type == CAP_T_DATETIME || type == CAP_T_TIME;
}

void
cap_layout_clear(struct cap_layout *layout)
{
    ls_arena_free(layout->kept);
    ls_arena_free(layout->texts);
    layout->kept = layout->texts = NULL;
    layout->table = NULL;
}

/* CHAR, ENUM and SET share a type byte; the metadata tells them apart and holds the length. */
static void
string_type(struct cap_column *column, uint8_t first, uint8_t second)
{
    unsigned length = second;

    column->type = first | 0x30;
    if ((first & 0x30) != 0x30)
        length |= (unsigned)((first & 0x30) ^ 0x30) << 4;
    if (has_labels(column->type))
        column->size = (uint16_t)length;
    else
        column->prefix = length > 255 ? 2 : 1;
}

/* Bytes of a packed DECIMAL: nine digits in four bytes, the odd ones in as few as they need. */
static unsigned
decimal_bytes(unsigned precision, unsigned scale)
{
    static const uint8_t odd[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
    unsigned whole = precision - scale;

    return whole / 9 * 4 + odd[whole % 9] + scale / 9 * 4 + odd[scale % 9];
}

/* Types of one length. */
static unsigned
fixed_size(uint8_t type)
{
    switch (type) {
    case CAP_T_TINY:
    case CAP_T_YEAR:
        return 1;
    case CAP_T_SHORT:
        return 2;
    case CAP_T_INT24:
    case CAP_T_DATE:
    case CAP_T_NEWDATE:
    case CAP_T_TIME:
    case CAP_T_TIME2:
        return 3;
    case CAP_T_LONG:
    case CAP_T_FLOAT:
    case CAP_T_TIMESTAMP:
    case CAP_T_TIMESTAMP2:
        return 4;
    case CAP_T_DATETIME2:
        return 5;
    case CAP_T_LONGLONG:
    case CAP_T_DOUBLE:
    case CAP_T_DATETIME:
        return 8;
    default:
        return 0;
    }
}

static int
column_type(struct cap_column *column, uint8_t type, struct cursor *meta, struct ls_err *err)
{
    uint8_t first, second;

    column->type = type;
    column->size = (uint16_t)fixed_size(type);
    switch (type) {
    case CAP_T_TINY:
    case CAP_T_SHORT:
    case CAP_T_LONG:
    case CAP_T_LONGLONG:
    case CAP_T_INT24:
    case CAP_T_YEAR:
    case CAP_T_NULL:
    case CAP_T_DATE:
    case CAP_T_NEWDATE:
    case CAP_T_TIME:
    case CAP_T_DATETIME:
    case CAP_T_TIMESTAMP:
        return 0;
    case CAP_T_FLOAT:
    case CAP_T_DOUBLE:
        cur_skip(meta, 1);
        return 0;
    case CAP_T_TIMESTAMP2:
    case CAP_T_DATETIME2:
    case CAP_T_TIME2:
        column->decimals = cur_u8(meta);
        column->size = (uint16_t)(column->size + (column->decimals + 1U) / 2);
        return column->decimals <= 6
                   ? 0
                   : ls_fail_cause(err, LS_ERR_FATAL, type, "binlog-format",
                                   "metadata of a time with %u decimals", column->decimals);
    case CAP_T_VARCHAR:
    case CAP_T_VARCHAR_COMPRESSED:
    case CAP_T_VAR_STRING:
        column->prefix = cur_u16(meta) > 255 ? 2 : 1;
        return 0;
    case CAP_T_STRING:
    case CAP_T_ENUM:
    case CAP_T_SET:
        first = cur_u8(meta), second = cur_u8(meta);
        string_type(column, first, second);
        return column->size <= 8
                   ? 0
                   : ls_fail_cause(err, LS_ERR_FATAL, type, "binlog-format",
                                   "metadata of an ENUM or SET of %u bytes", column->size);
    case CAP_T_NEWDECIMAL:
        first = cur_u8(meta), second = cur_u8(meta);
        column->meta = (uint16_t)(first << 8 | second);
        column->size = (uint16_t)(second <= first ? decimal_bytes(first, second) : 0);
        return second <= first && first <= 65
                   ? 0
                   : ls_fail_cause(err, LS_ERR_FATAL, type, "binlog-format",
                                   "metadata of a DECIMAL(%u,%u)", first, second);
    case CAP_T_BIT:
        first = cur_u8(meta), second = cur_u8(meta);
        column->size = (uint16_t)(second + (first > 0));
        return column->size <= 8 ? 0
                                 : ls_fail_cause(err, LS_ERR_FATAL, type, "binlog-format",
                                                 "metadata of a BIT of %u bytes", column->size);
    default:
        if (is_blob(type)) {
            column->prefix = cur_u8(meta);
            if (column->prefix >= 1 && column->prefix <= 4)
                return 0;
        }
        return ls_fail_cause(err, LS_ERR_FATAL, type, "column-type",
                             "a watched table has a column of type %u, whose length is not known",
                             type);
    }
}

static uint8_t
gives(uint8_t type)
{
    if (is_integer(type))
        return CAP_GIVE_INTEGER;
    return has_text(type, false) ? CAP_GIVE_BYTES : CAP_GIVE_OTHER;
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
        column->give = gives(column->type);
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

/* Walks the collations of the columns that are counted: one number each, or a default and pairs of
 * number and collation for those that differ. */
struct collations {
    struct cursor c;
    bool each;
    uint64_t usual;
    uint64_t next, differs; /* the next pair */
    uint64_t at;            /* columns counted so far */
};

static void
next_pair(struct collations *w)
{
    if (cur_left(&w->c) == 0) {
        w->next = UINT64_MAX;
        return;
    }
    w->next = cur_lenenc(&w->c);
    w->differs = cur_lenenc(&w->c);
}

static struct collations
collations_of(struct ls_str usual, struct ls_str each)
{
    struct collations w = {.each = each.p != NULL};
    struct ls_str bytes = each.p ? each : usual;

    w.c = cur_of((const uint8_t *)bytes.p, bytes.n);
    if (!w.each) {
        w.usual = cur_lenenc(&w.c);
        next_pair(&w);
    }
    return w;
}

static uint64_t
next_collation(struct collations *w)
{
    uint64_t at = w->at++, collation = w->usual;

    if (w->each)
        return cur_lenenc(&w->c);
    if (at == w->next) {
        collation = w->differs;
        next_pair(w);
    }
    return collation;
}

/* One column's names: how many, then each with its length; in UTF-8 afterwards. */
static int
take_labels(struct cursor *c, struct cap_layout *layout, struct cap_column *column,
            struct ls_err *err)
{
    uint64_t n = cur_lenenc(c);
    struct cap_labels *labels = NULL;

    if (!c->failed && n > cur_left(c))
        c->failed = true;
    if (c->failed)
        return 0;
    if (column->want >= 0) {
        if (!layout->kept)
            layout->kept = ls_arena_new(LABELS_CAP);
        if (layout->kept)
            labels = ls_arena_alloc(layout->kept, sizeof(*labels));
        if (labels)
            labels->names = ls_arena_alloc(layout->kept, (size_t)(n + 1) * sizeof(struct ls_str));
        if (!labels || !labels->names)
            return ls_fail(err, LS_ERR_FATAL, 0, "no memory for the names of an ENUM");
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t len = cur_lenenc(c);
        const uint8_t *p = cur_take(c, len);
        char *copy;
        if (!labels || c->failed)
            continue;
        copy = ls_arena_alloc(layout->kept, (size_t)len * 3 + 1);
        if (!copy)
            return ls_fail(err, LS_ERR_FATAL, 0, "no memory for the names of an ENUM");
        if (column->charset == CAP_CHARSET_LATIN1)
            len = cap_latin1_to_utf8(p, (size_t)len, copy);
        else
            memcpy(copy, p, (size_t)len);
        labels->names[labels->n++] = (struct ls_str){copy, (size_t)len};
    }
    if (!c->failed)
        column->labels = labels;
    return 0;
}

int
cap_layout_charsets(const struct cap_table_map *map, bool geometry_has_text,
                    struct cap_layout *layout, struct ls_err *err)
{
    struct collations text = collations_of(map->text_default, map->text_each),
                      choice = collations_of(map->choice_default, map->choice_each);
    struct cursor enums = cur_of((const uint8_t *)map->enum_names.p, map->enum_names.n),
                  sets = cur_of((const uint8_t *)map->set_names.p, map->set_names.n);
    bool text_told = map->text_default.p || map->text_each.p,
         choice_told = map->choice_default.p || map->choice_each.p;

    for (uint32_t i = 0; i < layout->n_columns; i++) {
        struct cap_column *column = &layout->columns[i];
        if (text_told && has_text(column->type, geometry_has_text))
            column->charset = (uint16_t)cap_charset_of_collation(next_collation(&text));
        if (!has_labels(column->type))
            continue;
        if (choice_told)
            column->charset = (uint16_t)cap_charset_of_collation(next_collation(&choice));
        if (column->type == CAP_T_ENUM ? map->enum_names.p != NULL : map->set_names.p != NULL)
            if (take_labels(column->type == CAP_T_ENUM ? &enums : &sets, layout, column, err) < 0)
                return -1;
    }
    if ((text_told && text.c.failed) || (choice_told && choice.c.failed) || enums.failed ||
        sets.failed)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format",
                             "the table map's metadata about text ends in the middle");
    return 0;
}

void
cap_column_set_decimals(struct cap_column *column, unsigned decimals)
{
    static const uint8_t time[7] = {3, 4, 4, 5, 5, 5, 6}, datetime[7] = {8, 6, 6, 7, 7, 7, 8},
                         timestamp[7] = {4, 5, 5, 6, 6, 7, 7};

    if (decimals > 6 || !cap_type_is_old_temporal(column->type))
        return;
    column->decimals = (uint8_t)decimals;
    column->size = (column->type == CAP_T_TIME       ? time
                    : column->type == CAP_T_DATETIME ? datetime
                                                     : timestamp)[decimals];
}

const char *
cap_column_refused(const struct cap_column *column, enum ls_value_kind kind)
{
    switch (column->type) {
    case CAP_T_TINY:
    case CAP_T_SHORT:
    case CAP_T_LONG:
    case CAP_T_LONGLONG:
    case CAP_T_INT24:
    case CAP_T_YEAR:
    case CAP_T_BIT:
        return NULL;
    case CAP_T_NEWDECIMAL:
        return kind == LS_V_INT && (column->meta & 0xff) ? "is a DECIMAL with a fraction" : NULL;
    case CAP_T_FLOAT:
    case CAP_T_DOUBLE:
        return "is FLOAT or DOUBLE, which is not exact";
    case CAP_T_JSON:
        return "is JSON, which the binlog holds in a form of its own";
    case CAP_T_BLOB_COMPRESSED:
    case CAP_T_VARCHAR_COMPRESSED:
        return "is COMPRESSED";
    default:
        break;
    }
    if (kind == LS_V_INT)
        return "is of a type that does not give a number";
    switch (column->type) {
    case CAP_T_DATE:
    case CAP_T_NEWDATE:
    case CAP_T_TIME:
    case CAP_T_TIME2:
    case CAP_T_DATETIME:
    case CAP_T_DATETIME2:
    case CAP_T_TIMESTAMP:
    case CAP_T_TIMESTAMP2:
        return NULL;
    case CAP_T_ENUM:
    case CAP_T_SET:
        if (!column->labels)
            return "is ENUM or SET, which can be followed with binlog_row_metadata=FULL only";
        break;
    case CAP_T_STRING:
        if (column->charset == CAP_CHARSET_BINARY)
            return "is BINARY, UUID or INET, which are not text in the binlog";
        break;
    default:
        if (!has_text(column->type, false))
            return "is of a type that does not give text";
        break;
    }
    return column->charset == CAP_CHARSET_OTHER
               ? "is stored in a character set other than utf8, utf8mb4, ascii and latin1: convert "
                 "the table first"
               : NULL;
}

int
cap_layout_finish(struct cap_layout *layout, const struct ls_table *table, struct ls_err *err)
{
    layout->missing = (uint32_t)((UINT64_C(1) << table->n_columns) - 1);
    for (uint32_t i = 0; i < layout->n_columns; i++) {
        struct cap_column *column = &layout->columns[i];
        column->step = CAP_STEP_SKIP;
        if (column->want < 0)
            continue;
        layout->missing &= ~(UINT32_C(1) << column->want);
        if (column->give == CAP_GIVE_BYTES && column->charset == CAP_CHARSET_LATIN1)
            column->give = CAP_GIVE_OTHER;
        column->step = CAP_STEP_MAKE;
        if (column->give == CAP_GIVE_BYTES)
            column->step = CAP_STEP_BYTES;
        else if (column->give == CAP_GIVE_INTEGER && !column->is_unsigned &&
                 table->columns[column->want].type == LS_V_INT)
            column->step = CAP_STEP_SIGNED;
        if (column->give == CAP_GIVE_OTHER && !layout->texts &&
            !(layout->texts = ls_arena_new(TEXTS_CAP)))
            return ls_fail(err, LS_ERR_RETRY, 0, "no memory for a row's text");
    }
    return 0;
}
