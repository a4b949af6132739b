/*
 * Table maps and row events of the stream.
 *
 * A map says what the rows behind it hold, and its id is good until the file ends. It comes with
 * every statement, so the bytes of the last one are kept, of tables that are not watched too: the
 * same bytes need no decoding. Rows are numbered in
 * their transaction: after a restart in the middle of it as many are passed over as were published.
 * What can go wrong: rows without a map (the chain is broken: FATAL), columns that are not known
 * any more (RETRY, CAP_COLUMNS_WANTED).
 */
#include "capture/stream/stream_parts.h"
#include <string.h>

void
cap_rows_forget_maps(struct cap_stream *s)
{
    s->n_layouts = s->next_layout = s->n_seen = 0;
    for (size_t i = 0; i < CAP_OTHERS; i++)
        s->others[i].n = 0;
}

static struct cap_layout *
layout_by_id(struct cap_stream *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_layouts; i++)
        if (s->layouts[i].id == id && s->layouts[i].table)
            return &s->layouts[i];
    return NULL;
}

/* The same map again, byte for byte, says the same; all are forgotten when DDL goes by. */
static bool
is_kept(const struct cap_kept_map *kept, const struct cap_event *event)
{
    return kept->n == event->n && kept->n > 0 && !memcmp(kept->bytes, event->body, kept->n);
}

static void
keep_map(struct cap_kept_map *kept, const struct cap_event *event)
{
    kept->n = event->n <= sizeof(kept->bytes) ? event->n : 0;
    memcpy(kept->bytes, event->body, kept->n);
}

/* Where the map of a table that is not watched is kept; its id is a part of its bytes. */
static struct cap_kept_map *
other_by_id(struct cap_stream *s, uint64_t id)
{
    return &s->others[id % CAP_OTHERS];
}

int
cap_rows_take_map(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_table_map map;
    const struct ls_table *table;
    struct cap_layout *layout;

    if (cap_table_map_id(event, &map.id, err) < 0)
        return -1;
    if (s->n_seen < CAP_SEEN_IDS)
        s->seen[s->n_seen++] = map.id;
    layout = layout_by_id(s, map.id);
    if (s->repeated) { /* of a time when the columns may have been others */
        if (layout)
            layout->table = NULL;
        return 0;
    }
    if (is_kept(layout ? &s->maps[layout - s->layouts] : other_by_id(s, map.id), event))
        return 0;
    if (cap_decode_table_map(event, &map, err) < 0)
        return -1;
    table = cap_schema_match(s->schema, map.db, map.name);
    if (layout)
        layout->table = NULL;
    if (!table) {
        keep_map(other_by_id(s, map.id), event);
        return 0;
    }
    s->wants = table;
    if (cap_schema_needs_columns(s->schema, table, &map))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, CAP_COLUMNS_WANTED,
                             "the columns of %s must be read again", table->name);
    if (!layout) {
        layout = &s->layouts[s->next_layout];
        s->next_layout = (s->next_layout + 1) % CAP_LAYOUTS;
        if (s->n_layouts < CAP_LAYOUTS)
            s->n_layouts++;
    }
    if (cap_schema_layout(s->schema, table, &map, layout, err) < 0) {
        layout->table = NULL;
        return -1;
    }
    keep_map(&s->maps[layout - s->layouts], event);
    return 0;
}

static bool
was_mapped(const struct cap_stream *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_seen; i++)
        if (s->seen[i] == id)
            return true;
    return s->n_seen == CAP_SEEN_IDS;
}

/* Of a transaction that is only prepared: not published, for nobody can see it yet. */
static void
count_prepared(struct cap_position *position, const struct ls_table *table)
{
    position->counters.watched++;
    position->counters.tables[table->id]++;
    position->counters.filtered[CAP_FILTER_XA]++;
}

static int
publish_rows(struct cap_stream *s, struct cap_rows *rows, const struct cap_layout *layout,
             struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    struct cap_origin origin = {.ts_us = s->group_ts_us,
                                .received_us = s->received_us,
                                .gtid = cap_group_gtid_text(s),
                                .file = s->at.file,
                                .pos = s->at.pos};
    bool named = false; /* the transaction, in the position */
    int r;

    while ((r = cap_rows_next(rows, layout, &s->before, &s->after, err)) > 0) {
        s->group_rows++;
        s->rows++;
        if (s->skip > 0) {
            s->skip--;
            continue;
        }
        origin.row = s->group_rows;
        if (s->xa)
            count_prepared(position, layout->table);
        else if (cap_publish_row(s->publisher, &origin, layout->table,
                                 rows->op == CAP_ROWS_WRITE ? NULL : &s->before,
                                 rows->op == CAP_ROWS_DELETE ? NULL : &s->after, err) < 0)
            return -1;
        position->row = s->group_rows;
        if (!named)
            memcpy(position->row_gtid, origin.gtid, strlen(origin.gtid) + 1);
        named = true;
        /* more than one Kafka transaction can hold: the ordinal says how far it went */
        if (cap_publisher_full(s->publisher) && cap_publisher_commit(s->publisher, err) < 0)
            return -1;
    }
    return r;
}

int
cap_rows_take(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    const struct cap_layout *layout;
    struct cap_rows rows;

    if (cap_rows_head(event, &rows, err) < 0)
        return -1;
    layout = layout_by_id(s, rows.table_id);
    if (!layout && rows.table_id != CAP_DUMMY_TABLE_ID && !was_mapped(s, rows.table_id))
        return cap_stream_fail(s, err, "binlog-format", "rows without a table map");
    if (rows.last_of_statement)
        s->n_seen = 0;
    if (!layout || s->repeated)
        return 0;
    if (!s->in_group)
        cap_group_begin(s, event);
    if (cap_rows_open(&rows, layout, &s->scratch, err) < 0)
        return -1;
    return publish_rows(s, &rows, layout, err);
}
