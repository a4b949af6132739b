/*
 * Table maps: names, types, metadata, character sets, the names of ENUM and SET.
 *
 * Input: a byte (1: events end with a CRC, 2: the server is MySQL), then one event.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/binlog/types.h"

static bool
lies_in(struct ls_str s, const struct cap_event *event)
{
    return fuzz_inside(s.p, s.n, event->body, event->n);
}

static void
look_at_map(const struct cap_event *event, const struct cap_table_map *map)
{
    const struct ls_str parts[] = {
        map->db,          map->name,         map->meta,      map->signs,
        map->names,       map->text_default, map->text_each, map->choice_default,
        map->choice_each, map->enum_names,   map->set_names,
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        PROMISE(lies_in(parts[i], event));
    PROMISE(map->n_columns > 0 && map->n_columns <= 4096);
    PROMISE(fuzz_inside(map->types, map->n_columns, event->body, event->n));
}

static void
look_at_names(const struct cap_event *event, const struct cap_table_map *map)
{
    struct ls_str rest = map->names, name;
    struct ls_err err = {0};

    while (rest.n > 0) {
        size_t before = rest.n;
        if (cap_names_next(&rest, &name, &err) < 0) {
            (void)fuzz_failed(&err);
            return;
        }
        PROMISE(lies_in(name, event) && name.n < before && rest.n < before);
    }
}

static void
look_at_columns(const struct cap_layout *layout)
{
    for (uint32_t i = 0; i < layout->n_columns; i++) {
        const struct cap_column *column = &layout->columns[i];
        PROMISE(column->prefix <= 4 && column->decimals <= 6);
        PROMISE(!column->prefix || !column->size);
        for (size_t k = 0; column->labels && k < column->labels->n; k++)
            fuzz_read(column->labels->names[k].p, column->labels->names[k].n);
        for (enum ls_value_kind kind = LS_V_INT; kind <= LS_V_TEXT; kind++) {
            const char *why = cap_column_refused(column, kind);
            PROMISE(!why || *why);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_layout layout = {0};
    struct cap_event event;
    struct cap_table_map map;
    struct ls_err err = {0};
    size_t at = 1;
    uint8_t *p;

    if (size < 1 || !(p = fuzz_next_event(data, size, &at, data[0] & 1, &event)))
        return 0;
    if (cap_decode_table_map(&event, &map, &err) < 0) {
        (void)fuzz_failed(&err);
        goto out;
    }
    look_at_map(&event, &map);
    look_at_names(&event, &map);
    if (cap_layout_types(&map, &layout, &err) < 0) {
        (void)fuzz_failed(&err);
        goto out;
    }
    for (uint32_t i = 0; i < layout.n_columns; i++)
        layout.columns[i].want = (int8_t)(i % LS_MAX_COLUMNS);
    if (cap_layout_charsets(&map, !(data[0] & 2), &layout, &err) < 0)
        (void)fuzz_failed(&err);
    else
        look_at_columns(&layout);
out:
    cap_layout_clear(&layout);
    free(p);
    return 0;
}
