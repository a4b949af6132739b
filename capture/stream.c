/*
 * The stream's state between events.
 *
 * A transaction begins with a GTID event (or BEGIN) and ends with XID or COMMIT; the position moves
 * only there. Inside, the ordinal of the watched row says how far it was published, because another
 * server may cut the same transaction into other events. After a restart inside a transaction that
 * many watched rows are passed over.
 *
 * What can go wrong, and what is done: an event of an unknown kind may carry rows (FATAL); a
 * statement names a watched table (FATAL, the rows it changed are not in the binlog); TRUNCATE,
 * DROP, RENAME or a rollback behind rows leave our copy different without rows to show for it (a
 * new snapshot is asked for); a rotate that does not lead to the file that comes next, or an event
 * that begins before the end of the last one: the chain of files is broken (FATAL).
 */
#include "capture/stream.h"
#include "common/log.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYOUTS 64
#define SEEN_IDS 64
#define UNPACKED_CAP ((size_t)1 << 30)

/* The bytes of a table map, which comes again with every statement; n == 0: too many to keep. */
struct kept_map {
    size_t n;
    uint8_t bytes[1024];
};

struct cap_stream {
    struct cap_schema *schema;
    struct cap_publisher *publisher;
    bool checksum;
    struct cap_coords at;
    bool at_exact;       /* all in front of `at` was read; not so behind a reconnect by GTID */
    int64_t groups;      /* ended */
    char rotate_to[512]; /* what the last rotate of the file itself named; "" none */

    bool in_group, standalone;
    bool has_gtid;
    struct cap_gtid gtid;
    char gtid_text[CAP_GTID_TEXT];
    int64_t group_ts_us;
    int64_t group_rows; /* watched rows so far */
    int64_t skip;       /* of the next group: published already */

    struct cap_layout layouts[LAYOUTS]; /* of watched tables, by table id */
    struct kept_map maps[LAYOUTS];      /* what they were made from */
    size_t n_layouts, next_layout;
    uint64_t seen[SEEN_IDS]; /* ids that were mapped in this statement */
    size_t n_seen;

    const struct ls_table *wants; /* its columns */

    int64_t read_us;
    int64_t received_us; /* the event at hand; the source's clock may be ahead of ours */
    int64_t events;
    struct ls_buf scratch;
    struct cap_image before, after;
};

struct cap_stream *
cap_stream_new(struct cap_schema *schema, struct cap_publisher *publisher)
{
    struct cap_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->schema = schema;
    s->publisher = publisher;
    ls_buf_init(&s->scratch, UNPACKED_CAP);
    return s;
}

void
cap_stream_free(struct cap_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < LAYOUTS; i++)
        cap_layout_clear(&s->layouts[i]);
    ls_buf_free(&s->scratch);
    free(s);
}

static void
forget_maps(struct cap_stream *s)
{
    s->n_layouts = s->next_layout = s->n_seen = 0;
}

void
cap_stream_restart(struct cap_stream *s)
{
    const struct cap_position *position = cap_publisher_position(s->publisher);

    s->checksum = false;
    s->at = (struct cap_coords){"", 0};
    s->at_exact = false;
    s->rotate_to[0] = '\0';
    s->in_group = s->standalone = s->has_gtid = false;
    s->group_rows = 0;
    s->skip = position->row;
    /* what was read behind the position may have been thrown away with its Kafka transaction */
    s->read_us = position->ts_us < ls_now_us() ? position->ts_us : ls_now_us();
    forget_maps(s);
}

static int
fail_at(const struct cap_stream *s, struct ls_err *err, const char *cause, const char *what)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, cause, "%s (%.100s:%" PRIu64 ", GTID %s)", what,
                         s->at.file, s->at.pos, s->has_gtid ? s->gtid_text : "none");
}

/* Files may be larger than the 32 bits of a position. */
static int
advance(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    uint64_t end;

    if (event->next_pos == 0 || event->flags & CAP_FLAG_ARTIFICIAL || event->type == CAP_EV_FORMAT)
        return 0;
    end = (s->at.pos & ~(uint64_t)UINT32_MAX) | event->next_pos;
    if (end < s->at.pos && s->at.pos - end > UINT32_MAX / 2)
        end += (uint64_t)UINT32_MAX + 1;
    if (event->type != CAP_EV_HEARTBEAT && end < s->at.pos)
        return fail_at(s, err, "binlog-chain", "an event ends before the one in front of it");
    s->at.pos = end;
    return 0;
}

static int
take_rotate(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct ls_str file;
    uint64_t pos;

    if (cap_decode_rotate(event, &file, &pos, err) < 0)
        return -1;
    if (event->flags & CAP_FLAG_ARTIFICIAL || event->timestamp == 0) {
        if (s->rotate_to[0] && !ls_str_is(file, s->rotate_to))
            return fail_at(s, err, "binlog-chain", "the next file is not the one it names");
        s->rotate_to[0] = '\0';
    } else {
        (void)snprintf(s->rotate_to, sizeof(s->rotate_to), "%.*s", (int)file.n, file.p);
    }
    (void)snprintf(s->at.file, sizeof(s->at.file), "%.*s", (int)file.n, file.p);
    s->at.pos = pos;
    /* asked for by GTID, the source begins at the head of the file and leaves out what we have */
    if (cap_publisher_position(s->publisher)->gtids.n == 0)
        s->at_exact = true;
    forget_maps(s);
    return 0;
}

/* Rows went by that will not be undone by rows. */
static void
lose_rows(struct cap_stream *s, const char *why)
{
    cap_publisher_position(s->publisher)->lost = true;
    ls_log(LS_WARN, "rows-without-events", LS_S("why", why), LS_S("file", s->at.file),
           LS_I("pos", s->at.pos), LS_S("do", "a new snapshot repairs it"));
}

/* The source has something else where the rest of a transaction was to come, for instance a new
 * primary that never got it: its rows are published and will not be undone by rows. */
static void
lose_part(struct cap_stream *s)
{
    struct cap_position *position = cap_publisher_position(s->publisher);

    s->skip = 0;
    position->row = 0;
    position->row_gtid[0] = '\0';
    lose_rows(s, "the source no longer has a transaction that was published in part");
}

static void
drop_group(struct cap_stream *s)
{
    if (s->in_group && s->group_rows > 0)
        lose_rows(s, "a transaction was rolled back behind its rows");
    s->in_group = s->standalone = false;
    s->group_rows = 0;
    s->skip = 0;
    cap_publisher_position(s->publisher)->row = 0;
}

static int
take_format(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    if (cap_decode_format(event, &s->checksum, err) < 0)
        return -1;
    /* a server that crashed leaves half a transaction at a file's end */
    if (s->in_group)
        drop_group(s);
    forget_maps(s);
    return 0;
}

static void
begin_group(struct cap_stream *s, const struct cap_event *event)
{
    s->in_group = true;
    s->group_rows = 0;
    s->group_ts_us = (int64_t)event->timestamp * 1000000;
    s->n_seen = 0;
}

static int
take_gtid(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_gtid_event e;
    const char *expected;

    if (cap_decode_gtid(event, &e, err) < 0)
        return -1;
    if (s->in_group)
        drop_group(s);
    s->has_gtid = true;
    s->gtid = (struct cap_gtid){.domain = e.domain, .server = e.server_id, .seq = e.seq_no};
    cap_gtid_print(&s->gtid, s->gtid_text);
    expected = cap_publisher_position(s->publisher)->row_gtid;
    if (s->skip > 0 && *expected && strcmp(expected, s->gtid_text) != 0)
        lose_part(s);
    begin_group(s, event);
    s->standalone = e.standalone;
    return 0;
}

/* The one place where the stream moves the position. */
static int
end_group(struct cap_stream *s, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    int64_t read_us;
    bool gap = false;

    if (s->has_gtid && cap_gtid_set_add(&position->gtids, &s->gtid, &gap, err) < 0)
        return -1;
    if (gap) {
        position->counters.gtid_gaps++;
        ls_log(LS_DEBUG, "gtid-gap", LS_S("gtid", s->gtid_text));
    }
    if (s->skip > 0)
        lose_part(s); /* it has fewer rows than were published of it */
    memcpy(position->file, s->at.file, sizeof(position->file));
    position->pos = s->at.pos;
    position->row = 0;
    position->row_gtid[0] = '\0';
    position->ts_us = s->group_ts_us;
    s->at_exact = true;
    s->groups++;
    read_us = s->group_ts_us < s->received_us ? s->group_ts_us : s->received_us;
    if (read_us > s->read_us)
        s->read_us = read_us;
    s->in_group = s->standalone = s->has_gtid = false;
    s->group_rows = 0;
    s->skip = 0;
    return 0;
}

static int
take_statement(struct cap_stream *s, const struct cap_query *query, const struct cap_sql *sql,
               struct ls_err *err)
{
    if (!sql->watched)
        return 0;
    if (sql->kind == CAP_SQL_DML) {
        char what[160];
        (void)snprintf(
            what, sizeof(what),
            "a statement changes a watched table (%.*s ...): set binlog_format=ROW, then "
            "take a new snapshot",
            (int)(query->text.n < 24 ? query->text.n : 24), query->text.p);
        return fail_at(s, err, "statement", what);
    }
    if (sql->kind == CAP_SQL_REPLACED)
        lose_rows(s, "a statement replaced the rows of a watched table");
    if (sql->kind == CAP_SQL_DDL || sql->kind == CAP_SQL_REPLACED) {
        ls_log(LS_INFO, "ddl", LS_S("file", s->at.file), LS_I("pos", s->at.pos));
        cap_schema_forget(s->schema, sql->tables);
        forget_maps(s);
    }
    return 0;
}

static int
take_query(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_query query;
    struct cap_sql sql;

    if (cap_decode_query(event, &s->scratch, &query, err) < 0)
        return -1;
    sql = cap_sql_look(query.text, query.db, query.mode, cap_schema_names(s->schema));
    if (sql.kind == CAP_SQL_BEGIN && !s->in_group) {
        begin_group(s, event);
        return 0;
    }
    if (sql.kind == CAP_SQL_ROLLBACK && s->in_group) {
        bool to_savepoint = query.text.n > 8;
        if (s->group_rows > 0)
            lose_rows(s, "a transaction was rolled back behind its rows");
        return to_savepoint ? 0 : end_group(s, err);
    }
    if (take_statement(s, &query, &sql, err) < 0)
        return -1;
    if (sql.kind == CAP_SQL_COMMIT || (s->in_group && s->standalone))
        return end_group(s, err);
    if (!s->in_group) {
        /* a statement without a transaction around it, from a server without GTIDs */
        begin_group(s, event);
        return end_group(s, err);
    }
    return 0;
}

static struct cap_layout *
layout_by_id(struct cap_stream *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_layouts; i++)
        if (s->layouts[i].id == id && s->layouts[i].table)
            return &s->layouts[i];
    return NULL;
}

/* The same map again, byte for byte, is the same layout; all are forgotten when DDL goes by. */
static bool
is_kept(const struct cap_stream *s, const struct cap_layout *layout, const struct cap_event *event)
{
    const struct kept_map *kept = &s->maps[layout - s->layouts];

    return kept->n == event->n && kept->n > 0 && !memcmp(kept->bytes, event->body, kept->n);
}

static void
keep_map(struct cap_stream *s, const struct cap_layout *layout, const struct cap_event *event)
{
    struct kept_map *kept = &s->maps[layout - s->layouts];

    kept->n = event->n <= sizeof(kept->bytes) ? event->n : 0;
    memcpy(kept->bytes, event->body, kept->n);
}

static int
take_table_map(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_table_map map;
    const struct ls_table *table;
    struct cap_layout *layout;

    if (cap_decode_table_map(event, &map, err) < 0)
        return -1;
    if (s->n_seen < SEEN_IDS)
        s->seen[s->n_seen++] = map.id;
    layout = layout_by_id(s, map.id);
    if (layout && is_kept(s, layout, event))
        return 0;
    table = cap_schema_match(s->schema, map.db, map.name);
    if (layout)
        layout->table = NULL;
    if (!table)
        return 0;
    s->wants = table;
    if (cap_schema_needs_columns(s->schema, table, &map))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, CAP_COLUMNS_WANTED,
                             "the columns of %s must be read again", table->name);
    if (!layout) {
        layout = &s->layouts[s->next_layout];
        s->next_layout = (s->next_layout + 1) % LAYOUTS;
        if (s->n_layouts < LAYOUTS)
            s->n_layouts++;
    }
    if (cap_schema_layout(s->schema, table, &map, layout, err) < 0) {
        layout->table = NULL;
        return -1;
    }
    keep_map(s, layout, event);
    return 0;
}

static bool
was_mapped(const struct cap_stream *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_seen; i++)
        if (s->seen[i] == id)
            return true;
    return s->n_seen == SEEN_IDS;
}

static int
take_rows(struct cap_stream *s, const struct cap_event *event, int64_t received_us,
          struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    struct cap_origin origin = {.received_us = received_us, .ts_us = s->group_ts_us};
    const struct cap_layout *layout;
    struct cap_rows rows;
    int r;

    if (cap_rows_head(event, &rows, err) < 0)
        return -1;
    layout = layout_by_id(s, rows.table_id);
    if (!layout && rows.table_id != CAP_DUMMY_TABLE_ID && !was_mapped(s, rows.table_id))
        return fail_at(s, err, "binlog-format", "rows without a table map");
    if (rows.last_of_statement)
        s->n_seen = 0;
    if (!layout)
        return 0;
    if (!s->in_group)
        begin_group(s, event);
    if (cap_rows_open(&rows, layout, &s->scratch, err) < 0)
        return -1;
    origin.ts_us = s->group_ts_us;
    origin.gtid = s->has_gtid ? s->gtid_text : "";
    origin.file = s->at.file;
    origin.pos = s->at.pos;
    while ((r = cap_rows_next(&rows, layout, &s->before, &s->after, err)) > 0) {
        s->group_rows++;
        if (s->skip > 0) {
            s->skip--;
            continue;
        }
        origin.row = s->group_rows;
        if (cap_publish_row(s->publisher, &origin, layout->table,
                            rows.op == CAP_ROWS_WRITE ? NULL : &s->before,
                            rows.op == CAP_ROWS_DELETE ? NULL : &s->after, err) < 0)
            return -1;
        position->row = s->group_rows;
        memcpy(position->row_gtid, origin.gtid, strlen(origin.gtid) + 1);
        /* more than one Kafka transaction can hold: the ordinal says how far it went */
        if (cap_publisher_full(s->publisher) && cap_publisher_commit(s->publisher, err) < 0)
            return -1;
    }
    return r;
}

static int
take_heartbeat(struct cap_stream *s, const struct cap_event *event, int64_t idle_us,
               struct ls_err *err)
{
    struct ls_str file;

    /* it leaves only when the source has nothing more to send; one that nobody waited for may have
     * lain somewhere since, with events behind it */
    if (event->type == CAP_EV_HEARTBEAT) {
        if (cap_decode_heartbeat(event, &file, err) < 0)
            return -1;
        if (file.n > 0 && event->next_pos > 0) {
            uint64_t high = ls_str_is(file, s->at.file) ? s->at.pos & ~(uint64_t)UINT32_MAX : 0;
            (void)snprintf(s->at.file, sizeof(s->at.file), "%.*s", (int)file.n, file.p);
            s->at.pos = high | event->next_pos;
            s->at_exact = true;
        }
    }
    /* it has nothing more, also not the rest that is waited for */
    if (!s->in_group && s->skip > 0 && idle_us > 0)
        lose_part(s);
    if (!s->in_group && s->skip == 0 && idle_us > s->read_us)
        s->read_us = idle_us;
    return 0;
}

int
cap_stream_take(struct cap_stream *s, const struct cap_packet *packet, struct ls_err *err)
{
    struct cap_event event;

    if (cap_event_parse(packet->p, packet->n, s->checksum, &event, err) < 0)
        return -1;
    s->events++;
    s->received_us = packet->received_us;
    switch (cap_event_classify(event.type, event.flags)) {
    case CAP_CLASS_UNKNOWN: {
        char what[80];
        (void)snprintf(what, sizeof(what), "an event of the unknown type %u may carry rows",
                       event.type);
        return fail_at(s, err, "event-type", what);
    }
    case CAP_CLASS_IGNORABLE:
        return advance(s, &event, err);
    case CAP_CLASS_KNOWN:
        break;
    }
    if (event.type == CAP_EV_HEARTBEAT || event.type == CAP_EV_HEARTBEAT_V2)
        return take_heartbeat(s, &event, packet->idle_us, err);
    if (event.type == CAP_EV_ROTATE)
        return take_rotate(s, &event, err);
    if (event.type == CAP_EV_FORMAT)
        return take_format(s, &event, err);
    if (advance(s, &event, err) < 0)
        return -1;
    if (cap_event_is_rows(event.type))
        return take_rows(s, &event, packet->received_us, err);
    switch (event.type) {
    case CAP_EV_GTID:
        return take_gtid(s, &event, err);
    case CAP_EV_QUERY:
    case CAP_EV_QUERY_COMPRESSED:
    case CAP_EV_EXECUTE_LOAD:
        return take_query(s, &event, err);
    case CAP_EV_TABLE_MAP:
        return take_table_map(s, &event, err);
    case CAP_EV_XID:
        return end_group(s, err);
    case CAP_EV_INCIDENT:
        return fail_at(s, err, "incident",
                       "the source says that events are missing here (incident): skip it there, "
                       "then take a new snapshot");
    case CAP_EV_XA_PREPARE:
        if (s->group_rows > 0)
            return fail_at(s, err, "xa", "XA transactions on watched tables cannot be followed");
        return end_group(s, err);
    default: /* MySQL's GTIDs: MySQL is refused at the connection */
        return 0;
    }
}

bool
cap_stream_at_boundary(const struct cap_stream *s)
{
    return !s->in_group && s->skip == 0;
}

const struct cap_coords *
cap_stream_coords(const struct cap_stream *s)
{
    static const struct cap_coords nowhere;

    return s->at_exact ? &s->at : &nowhere;
}

const struct cap_coords *
cap_stream_at(const struct cap_stream *s)
{
    return &s->at;
}

const struct ls_table *
cap_stream_wants(const struct cap_stream *s)
{
    return s->wants;
}

int64_t
cap_stream_groups(const struct cap_stream *s)
{
    return s->groups;
}

int64_t
cap_stream_read_us(const struct cap_stream *s)
{
    return s->read_us;
}

int64_t
cap_stream_events(const struct cap_stream *s)
{
    return s->events;
}
