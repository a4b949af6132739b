/*
 * Row images: which event they stand in, and the values of watched columns.
 *
 * The hottest path of all: no allocation, and nothing is found out here that types.c could find out
 * once a table map. What can go wrong: an image that leaves columns out (binlog_row_image not FULL)
 * is refused in a word, for a guess would write NULLs; a BIGINT UNSIGNED above INT64_MAX fits none
 * of our types and marks the image poison.
 */
#include "capture/binlog/cursor.h"
#include "capture/binlog/types.h"

bool
cap_event_is_rows(uint8_t type)
{
    return (type >= CAP_EV_WRITE_ROWS_V1 && type <= CAP_EV_DELETE_ROWS_V1) ||
           (type >= CAP_EV_WRITE_ROWS && type <= CAP_EV_DELETE_ROWS) ||
           type == CAP_EV_PARTIAL_UPDATE_ROWS ||
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

    rows.partial = event->type == CAP_EV_PARTIAL_UPDATE_ROWS;
    rows.op = rows.partial ? CAP_ROWS_UPDATE : (enum cap_rows_op)(event->type - first);
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
    unsigned last = (1U << (n & 7)) - 1;

    for (uint32_t i = 0; i < n / 8; i++)
        if (bits[i] != 0xff)
            return false;
    return (n & 7) == 0 || (bits[n / 8] & last) == last;
}

int
cap_rows_open(struct cap_rows *rows, const struct cap_layout *layout, struct ls_buf *scratch,
              struct ls_err *err)
{
    struct cursor c = cur_of(rows->body, rows->n);
    uint64_t width = cur_lenenc(&c), bytes = (width + 7) / 8;
    const uint8_t *first = cur_take(&c, bytes), *second = first;

    if (rows->partial)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "row-image",
                             "an update of %s holds JSON values in part: set "
                             "binlog_row_value_options='', also in the sessions that write, then "
                             "take a new snapshot",
                             layout->table->name);
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

/* The value of a column that is not copied as it stands; schema.c has refused all columns that give
 * none. */
static int
make_value(const struct cap_layout *layout, const struct cap_column *column, const uint8_t *p,
           uint64_t n, struct cap_image *image)
{
    enum ls_value_kind kind = layout->table->columns[column->want].type;
    struct ls_value *value = &image->values[column->want];

    value->kind = LS_V_ABSENT;
    if (cap_value_make(column, kind, p, n, image->digits[column->want], layout->texts, value) < 0)
        return -1;
    if (value->kind == LS_V_ABSENT) {
        image->poison = true;
        image->poison_column = column->want;
    }
    return 0;
}

/* The length of the content at *p, which moves behind the prefix; UINT64_MAX: past the end. */
static inline uint64_t
content_length(const struct cap_column *column, const uint8_t **p, const uint8_t *end)
{
    uint64_t n = 0;

    if (column->prefix == 0)
        return column->size;
    if (column->prefix > (uint64_t)(end - *p))
        return UINT64_MAX;
    for (unsigned i = 0; i < column->prefix; i++)
        n |= (uint64_t)(*p)[i] << (8 * i);
    *p += column->prefix;
    return n;
}

static void
leave_out_missing(const struct cap_layout *layout, struct cap_image *image)
{
    for (size_t i = 0; i < layout->table->n_columns; i++)
        if (layout->missing >> i & 1)
            image->values[i].kind = LS_V_ABSENT;
}

static int
image_next(struct cursor *c, const struct cap_layout *layout, struct cap_image *image)
{
    const uint8_t *nulls = cur_take(c, (layout->n_columns + 7U) / 8), *p = c->p;
    const struct cap_column *column = layout->columns;

    if (layout->missing)
        leave_out_missing(layout, image);
    image->poison = false;
    if (!nulls)
        return -1;
    for (uint32_t i = 0; i < layout->n_columns; i++, column++) {
        uint64_t n;
        if (nulls[i / 8] >> (i & 7) & 1) {
            if (column->step != CAP_STEP_SKIP)
                image->values[column->want].kind = LS_V_NULL;
            continue;
        }
        n = content_length(column, &p, c->end);
        if (n > (uint64_t)(c->end - p))
            return -1;
        if (column->step == CAP_STEP_SIGNED) {
            image->values[column->want].kind = LS_V_INT;
            image->values[column->want].i = cap_signed_value(p, n);
        } else if (column->step == CAP_STEP_BYTES) {
            image->values[column->want].kind = LS_V_TEXT;
            image->values[column->want].s = (struct ls_str){(const char *)p, (size_t)n};
        } else if (column->step == CAP_STEP_MAKE && make_value(layout, column, p, n, image) < 0) {
            return -1;
        }
        p += n;
    }
    c->p = p;
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
    if (layout->texts)
        ls_arena_reset(layout->texts);
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
