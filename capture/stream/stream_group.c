/*
 * Transactions of the stream: where they begin and end, which of them were taken before, and the
 * statements in them.
 *
 * MariaDB's GTID event begins a transaction and says whether a single statement follows; MySQL's is
 * followed by BEGIN, XA START, or a statement that is all there is. The position moves at the end
 * and only there. What can go wrong:
 * - a transaction that was published in part when the connection broke does not come next: another
 *   domain's or server's may come before it on another source. It is waited for, until the source
 *   says that it has nothing more, or does not have it, or sends another one in its place;
 * - TRUNCATE, DROP, RENAME, a rollback behind rows, the commit of what XA prepared: our copy is
 *   different without rows to show for it, and a new snapshot is asked for;
 * - GTIDs that are told from the middle on: MySQL's set must hold all there are, so a stream that
 *   began by file and offset has none until the source tells them at the next file's head.
 */
#include "capture/stream/stream_parts.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define GAP_TOLD_MS 60000

/* Rows went by that will not be undone by rows. */
static void
lose_rows(struct cap_stream *s, const char *why)
{
    cap_publisher_position(s->publisher)->lost = true;
    ls_log(LS_WARN, "rows-without-events", LS_S("why", why), LS_S("file", s->at.file),
           LS_I("pos", s->at.pos), LS_S("do", "a new snapshot repairs it"));
}

static const char *const part_lost =
    "the source no longer has a transaction that was published in part";

void
cap_group_lose_parts(struct cap_stream *s)
{
    s->skip = 0;
    cap_position_forget_parts(cap_publisher_position(s->publisher));
    lose_rows(s, part_lost);
}

static void
remove_part(struct cap_position *position, size_t i)
{
    position->n_parts--;
    memmove(&position->parts[i], &position->parts[i + 1],
            (position->n_parts - i) * sizeof(position->parts[0]));
}

void
cap_group_lose_part(struct cap_stream *s, size_t i)
{
    remove_part(cap_publisher_position(s->publisher), i);
    lose_rows(s, part_lost);
}

void
cap_group_expect_parts(struct cap_stream *s)
{
    struct cap_position *position = cap_publisher_position(s->publisher);

    s->skip = 0;
    if (position->row == 0)
        return;
    if (!position->row_gtid[0]) {
        s->skip = position->row; /* asked for by file and offset, it comes first */
        return;
    }
    if (position->n_parts == CAP_PARTS) {
        cap_group_lose_parts(s);
        return;
    }
    memcpy(position->parts[position->n_parts].gtid, position->row_gtid, CAP_GTID_TEXT);
    position->parts[position->n_parts++].row = position->row;
    position->row = 0;
    position->row_gtid[0] = '\0';
}

/* Whether this transaction is one of those in part; or stands where one of them was to come: a
 * domain of MariaDB has one order on all servers. */
static void
find_part(struct cap_stream *s)
{
    struct cap_position *position = cap_publisher_position(s->publisher);

    for (size_t i = 0; s->has_gtid && i < position->n_parts; i++) {
        const struct cap_part *part = &position->parts[i];
        struct cap_gtid gtid;
        if (!strcmp(part->gtid, cap_group_gtid_text(s))) {
            s->skip = position->row = part->row;
            memcpy(position->row_gtid, part->gtid, CAP_GTID_TEXT);
            remove_part(position, i);
            return;
        }
        if (s->gtid.flavour == CAP_MARIADB && cap_gtid_parse(ls_str_of(part->gtid), &gtid) == 0 &&
            cap_gtid_same_source(&gtid, &s->gtid)) {
            cap_group_lose_part(s, i--);
        }
    }
}

void
cap_group_begin(struct cap_stream *s, const struct cap_event *event)
{
    s->in_group = true;
    s->standalone = s->has_gtid = s->anonymous = s->repeated = s->xa = false;
    s->group_rows = 0;
    s->group_ts_us = (int64_t)event->timestamp * 1000000;
    s->n_seen = 0;
}

const char *
cap_group_gtid_text(struct cap_stream *s)
{
    if (s->has_gtid && !s->gtid_text[0])
        cap_gtid_print(&s->gtid, s->gtid_text);
    return s->has_gtid ? s->gtid_text : "";
}

/* Nothing of it counts any more. */
static void
leave_group(struct cap_stream *s)
{
    struct cap_position *position = cap_publisher_position(s->publisher);

    s->in_group = s->standalone = s->has_gtid = s->anonymous = s->repeated = s->xa = false;
    s->group_rows = 0;
    s->skip = 0;
    position->row = 0;
    position->row_gtid[0] = '\0';
}

static bool
published(const struct cap_stream *s)
{
    return s->group_rows > 0 && !s->xa;
}

void
cap_group_drop(struct cap_stream *s)
{
    if (s->in_group && published(s))
        lose_rows(s, "a transaction was rolled back behind its rows");
    leave_group(s);
}

/*
 * MySQL's sets say it. Of a domain of MariaDB only the last GTID is known; a lower number of the
 * same server was in front of it, while one of another server may be a transaction that went
 * astray there (gtid_strict_mode=OFF) and was never seen.
 */
static bool
was_taken(const struct cap_gtid_set *set, const struct cap_gtid *gtid)
{
    if (!cap_gtid_set_has(set, gtid))
        return false;
    for (size_t i = 0; gtid->flavour == CAP_MARIADB && i < set->n; i++)
        if (set->last[i].domain == gtid->domain)
            return set->last[i].server == gtid->server;
    return true;
}

int
cap_group_gtid(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_gtid_event e;

    if (cap_decode_gtid(event, &e, err) < 0)
        return -1;
    if (s->in_group)
        cap_group_drop(s);
    cap_group_begin(s, event);
    s->has_gtid = !e.anonymous;
    s->anonymous = e.anonymous;
    s->gtid = e.gtid;
    s->gtid_text[0] = '\0';
    if (e.commit_us > 0)
        s->group_ts_us = e.commit_us;
    s->standalone = e.standalone || e.gtid.flavour == CAP_MYSQL;
    s->xa = e.xa_prepared;
    s->repeated = s->has_gtid && was_taken(&cap_publisher_position(s->publisher)->gtids, &s->gtid);
    if (!s->repeated)
        find_part(s);
    return 0;
}

static void
note_gap(struct cap_stream *s, const char *gtids)
{
    struct cap_counters *counters = &cap_publisher_position(s->publisher)->counters;
    int64_t now = ls_mono_ms();

    counters->gtid_gaps++;
    if (s->gap_told_ms > 0 && now - s->gap_told_ms < GAP_TOLD_MS)
        return;
    s->gap_told_ms = now;
    ls_log(LS_WARN, "gtid-gap", LS_S("gtid", gtids), LS_I("gaps", counters->gtid_gaps),
           LS_S("file", s->at.file), LS_I("pos", s->at.pos),
           LS_S("why", "numbers in front of it, or these, were never sent; they may come later"));
}

int
cap_group_previous_gtids(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    struct cap_gtid_set previous, missing;
    char text[CAP_GTID_SET_TEXT];

    if (cap_decode_previous_gtids(event, &previous, err) < 0)
        return -1;
    s->whole_gtids = true;
    if (position->gtids.n == 0) {
        position->gtids = previous;
        return 0;
    }
    if (cap_gtid_set_contains(&position->gtids, &previous))
        return 0;
    if (cap_gtid_set_minus(&previous, &position->gtids, &missing, err) < 0 ||
        cap_gtid_set_unite(&position->gtids, &previous, err) < 0)
        return -1;
    cap_gtid_set_print(&missing, text);
    note_gap(s, text);
    return 0;
}

/* The set with this transaction in it. */
static int
add_gtid(struct cap_stream *s, struct cap_position *position, struct ls_err *err)
{
    bool gap = false;

    if (s->anonymous) {
        /* no set can say how far this was; the next file's head tells what it held */
        position->gtids.n = 0;
        s->whole_gtids = position->whole = false;
        return 0;
    }
    if (!s->has_gtid)
        return 0;
    if (s->gtid.flavour == CAP_MYSQL && position->gtids.n == 0 && !s->whole_gtids)
        return 0;
    if (cap_gtid_set_add(&position->gtids, &s->gtid, &gap, err) < 0)
        return -1;
    position->whole = false; /* said of the empty set only */
    if (gap)
        note_gap(s, cap_group_gtid_text(s));
    return 0;
}

/* The one place where the stream moves the position. */
int
cap_group_end(struct cap_stream *s, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    int64_t read_us;

    if (s->repeated)
        position->counters.repeated++;
    else if (add_gtid(s, position, err) < 0)
        return -1;
    if (s->skip > 0)
        lose_rows(s, part_lost); /* it has fewer rows than were published of it */
    if (s->xa && s->group_rows > 0)
        lose_rows(s, "an XA transaction was committed in one phase");
    memcpy(position->file, s->at.file, strlen(s->at.file) + 1);
    position->pos = s->at.pos;
    position->ts_us = s->group_ts_us;
    s->at_exact = true;
    s->groups++;
    read_us = s->group_ts_us < s->received_us ? s->group_ts_us : s->received_us;
    if (read_us > s->read_us)
        s->read_us = read_us;
    leave_group(s);
    return 0;
}

int
cap_group_xa_prepare(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_xid xid;
    bool one_phase;

    if (cap_xa_decode(event, &xid, &one_phase, err) < 0)
        return -1;
    if (published(s))
        return cap_stream_fail(s, err, "xa", "rows are prepared that were not said to be XA's");
    if (!one_phase && !s->repeated) {
        cap_xa_remember(&cap_publisher_position(s->publisher)->xa, &xid, s->group_rows > 0);
        s->xa = false; /* nothing of it is there yet */
    }
    return cap_group_end(s, err);
}

/* What was prepared is there now, or never will be. */
static int
end_prepared(struct cap_stream *s, enum cap_xa_verb verb, const struct cap_xid *xid,
             struct ls_err *err)
{
    struct cap_xa_open *open = &cap_publisher_position(s->publisher)->xa;

    if (!s->repeated) {
        bool watched = !xid || cap_xa_forget(open, xid);
        if (watched && verb == CAP_XA_COMMIT)
            lose_rows(s, "an XA transaction was committed whose rows were held back, or not seen");
    }
    return cap_group_end(s, err);
}

static int
take_statement(struct cap_stream *s, const struct cap_query *query, const struct cap_sql *sql,
               struct ls_err *err)
{
    if (!sql->watched || s->repeated)
        return 0;
    if (sql->kind == CAP_SQL_DML) {
        char what[160];
        (void)snprintf(
            what, sizeof(what),
            "a statement changes a watched table (%.*s ...): set binlog_format=ROW, then "
            "take a new snapshot",
            (int)(query->text.n < 24 ? query->text.n : 24), query->text.p);
        return cap_stream_fail(s, err, "statement", what);
    }
    if (sql->kind == CAP_SQL_REPLACED)
        lose_rows(s, "a statement replaced the rows of a watched table");
    if (sql->kind == CAP_SQL_DDL || sql->kind == CAP_SQL_REPLACED) {
        ls_log(LS_INFO, "ddl", LS_S("file", s->at.file), LS_I("pos", s->at.pos));
        cap_schema_forget(s->schema, sql->tables);
        cap_rows_forget_maps(s);
    }
    return 0;
}

/* BEGIN or XA START, behind a GTID or without one. */
static void
open_group(struct cap_stream *s, const struct cap_event *event, bool xa)
{
    if (!s->in_group)
        cap_group_begin(s, event);
    s->standalone = false;
    s->xa = s->xa || xa;
}

int
cap_group_query(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    struct cap_query query;
    struct cap_sql sql;
    struct cap_xid xid;
    enum cap_xa_verb verb;
    bool known;

    if (cap_decode_query(event, &s->scratch, &query, err) < 0)
        return -1;
    sql = cap_sql_look(query.text, query.db, query.mode, cap_schema_names(s->schema));
    verb = cap_xa_look(query.text, &xid, &known);
    if (sql.kind == CAP_SQL_BEGIN || verb == CAP_XA_START) {
        open_group(s, event, verb == CAP_XA_START);
        return 0;
    }
    if (!s->in_group) { /* from a server without GTIDs */
        cap_group_begin(s, event);
        s->standalone = true;
    }
    if (verb == CAP_XA_COMMIT || verb == CAP_XA_ROLLBACK)
        return end_prepared(s, verb, known ? &xid : NULL, err);
    if (sql.kind == CAP_SQL_ROLLBACK) {
        bool to_savepoint = query.text.n > 8 && !s->standalone;
        if (published(s))
            lose_rows(s, "a transaction was rolled back behind its rows");
        return to_savepoint ? 0 : cap_group_end(s, err);
    }
    if (take_statement(s, &query, &sql, err) < 0)
        return -1;
    return sql.kind == CAP_SQL_COMMIT || s->standalone ? cap_group_end(s, err) : 0;
}
