/*
 * The snapshot as a part of the stream.
 *
 * The stream has been read up to Q. A second connection opens a consistent view, which lies at
 * position P >= Q, reads one chunk into memory and closes it. The stream goes on to P; there the
 * chunk's rows are what the tables hold at this very place of the stream, and are emitted between
 * two transactions. So a row's records are in the order of its states, whoever writes meanwhile.
 *
 * What can go wrong: the binlog is ahead of the engine. A transaction's events can be here before
 * the view shows it (P < Q): then the view is opened again, for a chunk of the past would undo rows
 * that are published. A kill: the position record holds the table and the last key, so the next
 * process goes on behind it under the same begin. A failover or DDL between chunks does no harm,
 * each chunk stands alone.
 *
 * Text keys are compared by the server in the column's own collation, both for the order and for
 * "behind the last key", so the walk is complete whatever the collation calls equal.
 */
#include "capture/snapshot.h"
#include "capture/connect.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_CAP ((size_t)64 << 10)
#define VIEW_TRIES 50

/* Storages and people first, so that what depends on them finds them. */
static const enum ls_table_id steps[LS_T_COUNT] = {
    LS_T_STORAGES,
    LS_T_MIMETYPES,
    LS_T_ACCOUNTS,
    LS_T_USERS,
    LS_T_GROUPS,
    LS_T_GROUP_USER,
    LS_T_LDAP_USER_MAPPING,
    LS_T_PREFERENCES,
    LS_T_TRUSTED_SERVERS,
    LS_T_SHARE_EXTERNAL,
    LS_T_PROPERTIES,
    LS_T_VCATEGORY,
    LS_T_VCATEGORY_TO_OBJECT,
    LS_T_FILES_TRASH,
    LS_T_FILECACHE,
    LS_T_SHARE,
};

struct cap_snapshot {
    const struct ls_config *config;
    struct cap_schema *schema;
    struct cap_publisher *publisher;
    MYSQL *mysql;
    struct ls_buf sql;
    int64_t chunk_rows;
    MYSQL_RES *chunk;        /* NULL: none */
    struct cap_coords place; /* P of the chunk */
    int64_t place_us;
    int64_t groups; /* transactions that had ended when the stream was last seen before P */
    int wants[LS_MAX_COLUMNS]; /* our columns, in the order of the SELECT */
    size_t n_wants;
    struct cap_image image;
};

struct cap_snapshot *
cap_snapshot_new(const struct ls_config *config, struct cap_schema *schema,
                 struct cap_publisher *publisher)
{
    struct cap_snapshot *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->config = config;
    s->schema = schema;
    s->publisher = publisher;
    s->chunk_rows = ls_config_int(config, "capture", "snapshot_chunk");
    ls_buf_init(&s->sql, SQL_CAP);
    return s;
}

void
cap_snapshot_drop(struct cap_snapshot *s)
{
    if (s->chunk)
        mysql_free_result(s->chunk);
    s->chunk = NULL;
    if (s->mysql)
        mysql_close(s->mysql);
    s->mysql = NULL;
}

void
cap_snapshot_free(struct cap_snapshot *s)
{
    if (!s)
        return;
    cap_snapshot_drop(s);
    ls_buf_free(&s->sql);
    free(s);
}

const char *
cap_snapshot_table(const struct cap_position *position)
{
    int step = position->snapshot.step;

    if (position->snapshot.phase != CAP_SNAPSHOT_RUNNING || step >= LS_T_COUNT)
        return "";
    return ls_tables[steps[step]].name;
}

/* Opens a view; *ret is its place in the binlog. */
static int
open_view(MYSQL *mysql, struct cap_coords *ret, struct ls_err *err)
{
    char name[64], text[32];

    if (cap_query(mysql, "START TRANSACTION WITH CONSISTENT SNAPSHOT", err) < 0 ||
        cap_query_text(mysql, "SHOW STATUS LIKE 'binlog_snapshot_file'", name, sizeof(name),
                       ret->file, sizeof(ret->file), err) < 0 ||
        cap_query_text(mysql, "SHOW STATUS LIKE 'binlog_snapshot_position'", name, sizeof(name),
                       text, sizeof(text), err) < 0)
        return -1;
    ret->pos = strtoull(text, NULL, 10);
    if (!ret->file[0] || ret->pos < 4)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source does not say where a consistent snapshot lies "
                             "(binlog_snapshot_file): is its binlog on?");
    return 0;
}

static int
connect_reader(const struct ls_config *config, MYSQL **ret, struct ls_err *err)
{
    MYSQL *mysql = NULL;

    if (cap_connect(config, &mysql, err) < 0)
        return -1;
    if (cap_query(mysql, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", err) < 0 ||
        cap_query(mysql, "SET NAMES utf8mb4", err) < 0 ||
        cap_query(mysql, "SET SESSION time_zone='+00:00', sql_mode='', net_write_timeout=600",
                  err) < 0) {
        mysql_close(mysql);
        return -1;
    }
    *ret = mysql;
    return 0;
}

int
cap_snapshot_begin(struct cap_snapshot *s, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    struct cap_snapshot_state *state = &position->snapshot;
    struct ls_seq begin;

    if (cap_publish_begin(s->publisher, LS_NO_STORAGE, &begin, err) < 0)
        return -1;
    cap_snapshot_drop(s);
    memset(state, 0, sizeof(*state));
    position->lost = false;
    state->phase = CAP_SNAPSHOT_RUNNING;
    state->begin = begin;
    state->started_us = ls_now_us();
    for (size_t i = 0; i < LS_T_COUNT; i++)
        state->estimate += cap_schema_table(s->schema, (enum ls_table_id)i)->estimate;
    ls_log(LS_INFO, "snapshot-begin", LS_I("estimate", state->estimate));
    return 0;
}

static void
put_name(struct ls_buf *sql, const char *name)
{
    (void)ls_buf_append(sql, "`", 1);
    for (; *name; name++) {
        if (*name == '`')
            (void)ls_buf_append(sql, "`", 1);
        (void)ls_buf_append(sql, name, 1);
    }
    (void)ls_buf_append(sql, "`", 1);
}

static void
put_key(struct cap_snapshot *s, const struct ls_column *column, const char *text)
{
    char escaped[2 * CAP_KEY_TEXT + 1];

    if (column->type == LS_V_INT) {
        (void)ls_buf_printf(&s->sql, "%lld", strtoll(text, NULL, 10));
        return;
    }
    (void)mysql_real_escape_string(s->mysql, escaped, text, strlen(text));
    (void)ls_buf_printf(&s->sql, "'%s'", escaped);
}

/* (a > x OR (a = x AND (b > y OR ...))): a form for which the server uses the index. */
static void
put_behind_key(struct cap_snapshot *s, const struct ls_table *table,
               const struct cap_snapshot_state *state)
{
    int done = 0;

    for (size_t i = 0; i < table->n_columns && done < state->n_key; i++) {
        if (!table->columns[i].key)
            continue;
        (void)ls_buf_printf(&s->sql, "(");
        put_name(&s->sql, table->columns[i].name);
        (void)ls_buf_printf(&s->sql, " > ");
        put_key(s, &table->columns[i], state->key[done]);
        done++;
        if (done < state->n_key) {
            (void)ls_buf_printf(&s->sql, " OR (");
            put_name(&s->sql, table->columns[i].name);
            (void)ls_buf_printf(&s->sql, " = ");
            put_key(s, &table->columns[i], state->key[done - 1]);
            (void)ls_buf_printf(&s->sql, " AND ");
        }
    }
    for (int i = 0; i < done; i++)
        (void)ls_buf_printf(&s->sql, i + 1 < done ? "))" : ")");
}

static const char *
chunk_sql(struct cap_snapshot *s, const struct ls_table *table,
          const struct cap_snapshot_state *state)
{
    const struct cap_source_table *source = cap_schema_table(s->schema, table->id);
    const struct cap_sql_names *names = cap_schema_names(s->schema);
    char name[128];
    bool first = true;

    ls_buf_clear(&s->sql);
    s->n_wants = 0;
    (void)ls_buf_printf(&s->sql, "SELECT ");
    for (size_t i = 0; i < source->n; i++) {
        int want = cap_schema_want(s->schema, table, ls_str_of(source->columns[i].name));
        if (want < 0)
            continue;
        if (s->n_wants)
            (void)ls_buf_printf(&s->sql, ", ");
        put_name(&s->sql, source->columns[i].name);
        s->wants[s->n_wants++] = want;
    }
    (void)ls_buf_printf(&s->sql, " FROM ");
    put_name(&s->sql, names->database);
    (void)ls_buf_printf(&s->sql, ".");
    (void)snprintf(name, sizeof(name), "%s%s", names->prefix, table->name);
    put_name(&s->sql, name);
    (void)ls_buf_printf(&s->sql, " WHERE 1");
    if (table->id == LS_T_PREFERENCES)
        (void)ls_buf_printf(&s->sql, " AND appid = 'files' AND configkey = 'quota'");
    if (state->n_key > 0) {
        (void)ls_buf_printf(&s->sql, " AND ");
        put_behind_key(s, table, state);
    }
    (void)ls_buf_printf(&s->sql, " ORDER BY ");
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!table->columns[i].key)
            continue;
        (void)ls_buf_printf(&s->sql, "%s", first ? "" : ", ");
        put_name(&s->sql, table->columns[i].name);
        first = false;
    }
    (void)ls_buf_printf(&s->sql, " LIMIT %" PRId64, s->chunk_rows);
    return ls_buf_text(&s->sql);
}

/* A view at or behind `at`, and the next chunk from it. */
static int
read_chunk(struct cap_snapshot *s, const struct ls_table *table,
           const struct cap_snapshot_state *state, const struct cap_coords *at, int64_t groups,
           struct ls_err *err)
{
    const char *sql;

    if (!s->mysql && connect_reader(s->config, &s->mysql, err) < 0)
        return -1;
    for (int i = 0;; i++) {
        if (open_view(s->mysql, &s->place, err) < 0)
            return -1;
        if (cap_coords_cmp(&s->place, at) >= 0)
            break;
        if (cap_query(s->mysql, "ROLLBACK", err) < 0)
            return -1;
        if (i == VIEW_TRIES)
            return 0; /* at the next boundary again */
        ls_run_sleep_ms(1 + i);
    }
    s->place_us = ls_now_us();
    s->groups = groups;
    sql = chunk_sql(s, table, state);
    if (!sql)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "no memory for a query");
    if (cap_query_rows(s->mysql, sql, &s->chunk, err) < 0)
        return -1;
    return cap_query(s->mysql, "COMMIT", err);
}

/* The same values, with the same text, as the stream would give. */
static void
row_values(struct cap_snapshot *s, const struct ls_table *table, MYSQL_ROW row,
           const unsigned long *lengths)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(s->chunk);

    for (size_t i = 0; i < table->n_columns; i++)
        s->image.values[i] = (struct ls_value){.kind = LS_V_ABSENT};
    s->image.poison = false;
    for (size_t i = 0; i < s->n_wants; i++) {
        int want = s->wants[i];
        cap_value_select(&fields[i], table->columns[want].type, row[i], lengths[i],
                         s->image.digits[want], &s->image.values[want]);
        if (s->image.values[want].kind == LS_V_ABSENT) {
            s->image.poison = true;
            s->image.poison_column = want;
        }
    }
}

static int
keep_key(struct cap_snapshot *s, const struct ls_table *table, struct cap_snapshot_state *state,
         struct ls_err *err)
{
    int n = 0;

    for (size_t i = 0; i < table->n_columns; i++) {
        const struct ls_value *value = &s->image.values[i];
        if (!table->columns[i].key)
            continue;
        if (n == CAP_KEY_COLUMNS || (value->kind == LS_V_TEXT && value->s.n >= CAP_KEY_TEXT) ||
            (value->kind != LS_V_TEXT && value->kind != LS_V_INT))
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "snapshot-key",
                                 "a key of %s cannot be walked", table->name);
        if (value->kind == LS_V_INT)
            (void)snprintf(state->key[n], CAP_KEY_TEXT, "%" PRId64, value->i);
        else
            (void)snprintf(state->key[n], CAP_KEY_TEXT, "%.*s", (int)value->s.n, value->s.p);
        n++;
    }
    state->n_key = n;
    return 0;
}

static int
emit_chunk(struct cap_snapshot *s, const struct ls_table *table, struct cap_snapshot_state *state,
           struct ls_err *err)
{
    struct cap_origin origin = {
        .ts_us = s->place_us, .received_us = s->place_us, .gtid = "", .file = "", .snapshot = true};
    int64_t n = (int64_t)mysql_num_rows(s->chunk);
    MYSQL_ROW row;

    while ((row = mysql_fetch_row(s->chunk))) {
        row_values(s, table, row, mysql_fetch_lengths(s->chunk));
        if (cap_publish_row(s->publisher, &origin, table, NULL, &s->image, err) < 0)
            return -1;
        state->rows++;
        if (keep_key(s, table, state, err) < 0)
            return -1;
        /* each row moved the key: the transaction may end at any of them */
        if (cap_publisher_full(s->publisher) && cap_publisher_commit(s->publisher, err) < 0)
            return -1;
    }
    mysql_free_result(s->chunk);
    s->chunk = NULL;
    if (n < s->chunk_rows) {
        state->step++;
        state->n_key = 0;
        ls_log(LS_INFO, "snapshot-table", LS_S("table", table->name), LS_I("rows", state->rows));
    }
    return 0;
}

static int
finish(struct cap_snapshot *s, struct cap_snapshot_state *state, struct ls_err *err)
{
    if (cap_publish_end(s->publisher, LS_NO_STORAGE, state->begin, err) < 0)
        return -1;
    state->phase = CAP_SNAPSHOT_DONE;
    state->ended_us = ls_now_us();
    state->n_key = 0;
    cap_publisher_position(s->publisher)->counters.snapshots++;
    ls_log(LS_INFO, "snapshot-end", LS_I("rows", state->rows),
           LS_D("seconds", (double)(state->ended_us - state->started_us) / 1e6));
    cap_snapshot_drop(s);
    return 0;
}

/* Whether the stream stands at the chunk's place. When a transaction took it from before the place
 * to behind it, the chunk may be older than rows that are published: it is thrown away. */
static bool
arrived(struct cap_snapshot *s, const struct cap_stream *stream, bool *ret_busy)
{
    int r = cap_coords_cmp(cap_stream_coords(stream), &s->place);

    if (r < 0) {
        s->groups = cap_stream_groups(stream);
        return false;
    }
    if (r == 0 || s->groups == cap_stream_groups(stream))
        return true;
    ls_log(LS_DEBUG, "snapshot-chunk-passed", LS_S("file", s->place.file),
           LS_I("pos", s->place.pos));
    mysql_free_result(s->chunk);
    s->chunk = NULL;
    *ret_busy = true; /* it is read again */
    return false;
}

int
cap_snapshot_step(struct cap_snapshot *s, const struct cap_stream *stream, bool *ret_busy,
                  struct ls_err *err)
{
    const struct cap_coords *at = cap_stream_coords(stream);
    struct cap_snapshot_state *state = &cap_publisher_position(s->publisher)->snapshot;
    const struct ls_table *table;

    *ret_busy = false;
    if (state->phase != CAP_SNAPSHOT_RUNNING || !at->file[0])
        return 0;
    while (state->step < LS_T_COUNT &&
           cap_schema_table(s->schema, steps[state->step])->n == 0) /* an app that is not there */
        state->step++;
    if (state->step == LS_T_COUNT)
        return finish(s, state, err);
    table = &ls_tables[steps[state->step]];
    if (!s->chunk && read_chunk(s, table, state, at, cap_stream_groups(stream), err) < 0) {
        cap_snapshot_drop(s);
        return -1;
    }
    if (!s->chunk || !arrived(s, stream, ret_busy))
        return 0;
    *ret_busy = true;
    return emit_chunk(s, table, state, err);
}
