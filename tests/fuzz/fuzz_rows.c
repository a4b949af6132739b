/*
 * Row images: a table map, then rows events, with every column wanted that can be had.
 *
 * Input: a byte (1: events end with a CRC, 2: the server is MySQL, 4: numbers as text), then the
 * events. A table of ours has 24 columns at most, so of a wider one the wanted ones begin where the
 * table's id says. The same rows are also read with no column wanted: both readings must end each
 * row at the same byte.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/binlog/types.h"

struct reader {
    struct ls_table table;
    struct cap_layout all, none;
    struct cap_image before, after, skipped;
    struct ls_buf scratch, scratch2;
    bool ready;
};

/* All but AddressSanitizer is kept from one input to the next: the structs are large. */
static struct reader r;

static void
want_columns(const struct cap_table_map *map, bool text)
{
    uint32_t first = map->n_columns > LS_MAX_COLUMNS ? (uint32_t)(map->id % map->n_columns) : 0;

    r.table = (struct ls_table){.name = "fuzzed"};
    for (uint32_t i = 0; i < map->n_columns && r.table.n_columns < LS_MAX_COLUMNS; i++) {
        struct cap_column *column = &r.all.columns[(first + i) % map->n_columns];
        column->want = (int8_t)r.table.n_columns++;
        r.table.columns[column->want] = (struct ls_column){.name = "c", .type = LS_V_TEXT};
        cap_column_set_decimals(column, (unsigned)(map->id >> 8) % 7);
        if (!text)
            r.table.columns[column->want].type = LS_V_INT;
    }
}

/* As schema.c does: what gives no value is not wanted. */
static void
refuse_columns(void)
{
    for (uint32_t i = 0; i < r.all.n_columns; i++) {
        struct cap_column *column = &r.all.columns[i];
        struct ls_column *ours;
        if (column->want < 0)
            continue;
        ours = &r.table.columns[column->want];
        if (cap_column_refused(column, ours->type))
            ours->type = LS_V_TEXT;
        if (cap_column_refused(column, ours->type))
            column->want = -1;
    }
}

static void
take_map(const struct cap_event *event, uint8_t how)
{
    struct cap_table_map map;
    struct ls_err err = {0};

    r.ready = false;
    cap_layout_clear(&r.all);
    if (cap_decode_table_map(event, &map, &err) < 0 || cap_layout_types(&map, &r.all, &err) < 0) {
        (void)fuzz_failed(&err);
        return;
    }
    want_columns(&map, how & 4);
    if (cap_layout_charsets(&map, !(how & 2), &r.all, &err) < 0) {
        (void)fuzz_failed(&err);
        return;
    }
    refuse_columns();
    PROMISE(cap_layout_finish(&r.all, &r.table, &err) == 0);
    r.all.table = &r.table;
    r.none = r.all;
    r.none.texts = NULL;
    for (uint32_t i = 0; i < r.none.n_columns; i++)
        r.none.columns[i].want = -1;
    PROMISE(cap_layout_finish(&r.none, &r.table, &err) == 0);
    r.ready = true;
}

static void
look_at_image(const struct cap_image *image)
{
    for (size_t i = 0; i < r.table.n_columns; i++) {
        const struct ls_value *v = &image->values[i];
        PROMISE(v->kind <= LS_V_TEXT);
        PROMISE(v->kind != LS_V_INT || r.table.columns[i].type == LS_V_INT);
        if (v->kind == LS_V_TEXT) {
            PROMISE(v->s.p);
            fuzz_read(v->s.p, v->s.n);
        }
    }
    PROMISE(!image->poison || image->values[image->poison_column].kind == LS_V_ABSENT);
}

static void
take_rows(const struct cap_event *event)
{
    struct cap_rows rows, skip;
    struct ls_err err = {0};
    int k;

    if (cap_rows_head(event, &rows, &err) < 0) {
        (void)fuzz_failed(&err);
        return;
    }
    PROMISE(fuzz_inside(rows.body, rows.n, event->body, event->n));
    skip = rows;
    if (!r.ready)
        return;
    if (cap_rows_open(&rows, &r.all, &r.scratch, &err) < 0) {
        (void)fuzz_failed(&err);
        return;
    }
    PROMISE(cap_rows_open(&skip, &r.none, &r.scratch2, &err) == 0);
    while ((k = cap_rows_next(&rows, &r.all, &r.before, &r.after, &err)) == 1) {
        if (rows.op != CAP_ROWS_WRITE)
            look_at_image(&r.before);
        if (rows.op != CAP_ROWS_DELETE)
            look_at_image(&r.after);
        PROMISE(cap_rows_next(&skip, &r.none, &r.skipped, &r.skipped, &err) == 1);
        PROMISE(rows.end - rows.p == skip.end - skip.p);
    }
    if (k < 0)
        (void)fuzz_failed(&err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_event event;
    size_t at = 1;
    uint8_t *p;

    if (size < 1)
        return 0;
    r.ready = false;
    ls_buf_init(&r.scratch, (size_t)1 << 20);
    ls_buf_init(&r.scratch2, (size_t)1 << 20);
    while (at < size && (p = fuzz_next_event(data, size, &at, data[0] & 1, &event))) {
        if (event.type == CAP_EV_TABLE_MAP)
            take_map(&event, data[0]);
        else if (cap_event_is_rows(event.type))
            take_rows(&event);
        free(p);
    }
    cap_layout_clear(&r.all);
    ls_buf_free(&r.scratch);
    ls_buf_free(&r.scratch2);
    return 0;
}
