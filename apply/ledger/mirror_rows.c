/*
 * What of the ledger goes into its mirror, and how a ledger is made of it again.
 *
 * Mirrored is what only apply knows: what it has made at the target, by which ids, what is on its
 * way there, what is in doubt. What ownCloud wants stands in the topics, which are read once more.
 * Triggers write down each change, so that none is forgotten whoever makes it; the row is read when
 * it is given on, in a transaction that sees one moment of the ledger.
 *
 * What can go wrong with a ledger made anew: states that ownCloud left behind long ago come again
 * from the topics; so no call is made until all are read. A number that a deleted file had may
 * name another one by then: of each node is kept how far its file's records had come (`life`), and
 * up to there no such change is believed to be news. Links' tokens and passwords are not mirrored:
 * they come again with their records.
 */
#include "apply/ledger/mirror_rows.h"
#include "common/run.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE 512
#define SQL_MAX 8192

struct table {
    const char *name; /* in the keys */
    const char *from; /* of the ledger */
    const char *only; /* of its rows those where this column is 1; NULL: all */
    int n_key;
    const char *columns[20]; /* the first of them are the key */
};

static const struct table tables[] = {
    {"node",
     "node",
     NULL,
     1,
     {"id", "fileid", "storage", "target", "parent", "name", "folder", "sha1", "size", "mtime",
      "etag", "leftover"}},
    {"trashed", "trashed", NULL, 1, {"node", "at"}},
    {"op",
     "op",
     NULL,
     1,
     {"id", "kind", "entity", "call", "storage", "fileid", "node", "parent", "top", "name",
      "relative", "blob", "size", "mtime", "etag", "sha1", "md5", "adler32"}},
    {"revision", "revision", NULL, 1, {"id", "node", "mtime", "size", "sha1", "etag"}},
    {"space",
     "space",
     NULL,
     1,
     {"storage", "type", "source_id", "owner", "reason", "known", "deleted", "storage_id",
      "space_id", "root_id", "ready", "copied"}},
    {"quota", "quota", NULL, 1, {"storage", "bytes"}},
    {"person",
     "person",
     NULL,
     1,
     {"id", "key", "type", "uid", "gid", "target", "applied", "applied_enabled", "applied_name"}},
    {"mailed", "mailed", NULL, 1, {"person", "address"}},
    {"grant",
     "grants",
     NULL,
     1,
     {"id", "fileid", "type", "grantee", "storage", "node", "share_id", "sharer", "permissions",
      "expires"}},
    {"received", "received", NULL, 1, {"id", "grant_id", "uid", "share_id", "state", "mount"}},
    {"link",
     "link",
     NULL,
     1,
     {"id", "fileid", "storage", "node", "link_id", "sharer", "permissions", "expires",
      "has_password", "label"}},
    {"exact", "exact", NULL, 2, {"kind", "id", "mark"}},
    {"removed", "removed", NULL, 1, {"n", "kind", "id", "target", "storage", "folder"}},
    {"sought", "sought", NULL, 1, {"fileid", "storage", "state", "trash"}},
    {"taken", "taken", NULL, 2, {"run", "partition", "n", "offset", "time_us"}},
    {"bracket",
     "bracket",
     NULL,
     2,
     {"topic", "partition", "state", "ended", "epoch", "counter", "items"}},
    {"sweep",
     "bracket_storage",
     NULL,
     1,
     {"storage", "partition", "state", "epoch", "counter", "items"}},
    /* calls that are not on the tree, and whose answer is not known */
    {"doubt", "work", "doubt", 2, {"kind", "id", "storage", "doubt"}},
};
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))
#define IS_NODE(t) ((t) == &tables[0])

/* ---- SQL */

static void
sql_key(struct ls_buf *sql, const struct table *t, const char *row)
{
    for (int i = 0; i < t->n_key; i++)
        ls_buf_printf(sql, "%s%s.%s", i ? " || ':' || " : "", row, t->columns[i]);
}

static void
sql_columns(struct ls_buf *sql, const struct table *t, int first, const char *row)
{
    for (int c = first; t->columns[c]; c++)
        ls_buf_printf(sql, "%s%s%s", c > first ? ", " : "", row, t->columns[c]);
}

static void
sql_is_key(struct ls_buf *sql, const struct table *t, const char *row)
{
    for (int k = 0; k < t->n_key; k++)
        ls_buf_printf(sql, " %s %s%s = ?", k ? "AND" : "WHERE", row, t->columns[k]);
}

/* Runs what was written, and begins anew. */
static int
sql_run(struct ap_ledger *ledger, struct ls_buf *sql, struct ls_err *err)
{
    const char *text = ls_buf_text(sql);
    int r = text ? ap_ledger_script(ledger, text, err)
                 : ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");

    ls_buf_clear(sql);
    return r;
}

/* ---- what changes */

static const char *const suffixes[] = {"new", "set", "gone"};

static void
sql_trigger(struct ls_buf *sql, const struct table *t, int which)
{
    const char *row = which == 2 ? "old" : "new";

    ls_buf_printf(sql, "CREATE TRIGGER mirror_%s_%s AFTER ", t->name, suffixes[which]);
    if (which == 1) {
        ls_buf_printf(sql, "UPDATE OF ");
        sql_columns(sql, t, t->n_key, "");
    } else {
        ls_buf_printf(sql, which == 0 ? "INSERT" : "DELETE");
    }
    ls_buf_printf(sql, " ON %s", t->from);
    if (t->only && which == 1)
        ls_buf_printf(sql, " WHEN new.%s <> old.%s", t->only, t->only);
    else if (t->only)
        ls_buf_printf(sql, " WHEN %s.%s = 1", row, t->only);
    ls_buf_printf(sql, " BEGIN INSERT INTO changed(kind, id) VALUES('%s', ", t->name);
    sql_key(sql, t, row);
    ls_buf_printf(sql, "); END;");
}

static int
triggers(struct ap_ledger *ledger, bool want, struct ls_err *err)
{
    struct ls_buf sql;
    int r = 0;

    ls_buf_init(&sql, SQL_MAX);
    for (size_t i = 0; i < N_TABLES && r == 0; i++) {
        for (int n = 0; n < 3; n++) {
            ls_buf_printf(&sql, "DROP TRIGGER IF EXISTS mirror_%s_%s;", tables[i].name,
                          suffixes[n]);
            if (want)
                sql_trigger(&sql, &tables[i], n);
        }
        r = sql_run(ledger, &sql, err);
    }
    ls_buf_free(&sql);
    return r;
}

int
ap_mirror_watch(struct ap_ledger *ledger, struct ls_err *err)
{
    return triggers(ledger, true, err);
}

int
ap_mirror_unwatch(struct ap_ledger *ledger, struct ls_err *err)
{
    return triggers(ledger, false, err);
}

int
ap_mirror_change_all(struct ap_ledger *ledger, struct ls_err *err)
{
    struct ls_buf sql;
    int r = 0;

    ls_buf_init(&sql, SQL_MAX);
    for (size_t i = 0; i < N_TABLES && r == 0; i++) {
        const struct table *t = &tables[i];

        ls_buf_printf(&sql, "INSERT INTO changed(kind, id) SELECT '%s', ", t->name);
        sql_key(&sql, t, "t");
        ls_buf_printf(&sql, " FROM %s t", t->from);
        if (t->only)
            ls_buf_printf(&sql, " WHERE t.%s = 1", t->only);
        r = sql_run(ledger, &sql, err);
    }
    ls_buf_free(&sql);
    return r;
}

/* "node:17" -> the table and "17" */
static const struct table *
table_of(struct ls_str key, struct ls_str *ret_id)
{
    for (size_t i = 0; i < N_TABLES; i++) {
        size_t n = strlen(tables[i].name);

        if (key.n > n + 1 && key.n < KEY_SIZE && memcmp(key.p, tables[i].name, n) == 0 &&
            key.p[n] == ':') {
            *ret_id = (struct ls_str){key.p + n + 1, key.n - n - 1};
            return &tables[i];
        }
    }
    return NULL;
}

void
ap_mirror_change(struct ap_ledger *ledger, struct ls_str key)
{
    struct ls_str id;
    const struct table *t = table_of(key, &id);

    if (t)
        ap_exec(ledger, "INSERT INTO changed(kind, id) VALUES(?, ?)", "st", t->name, &id);
}

int64_t
ap_mirror_last(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0, "SELECT seq FROM sqlite_sequence WHERE name = 'changed'", NULL);
}

void
ap_mirror_given(struct ap_ledger *ledger, int64_t upto)
{
    ap_exec(ledger, "DELETE FROM changed WHERE seq <= ?", "i", upto);
}

/* ---- reading rows */

struct ap_mirror_reader {
    sqlite3 *db;
    sqlite3_stmt *changes, *bounds, *rows[N_TABLES];
};

static int
reader_fail(struct ap_mirror_reader *r, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_FATAL, sqlite3_extended_errcode(r->db), "ledger",
                         "reading the ledger for its mirror: %s", sqlite3_errmsg(r->db));
}

static void
sql_row(struct ls_buf *sql, const struct table *t)
{
    ls_buf_printf(sql, "SELECT ");
    sql_columns(sql, t, 0, "t.");
    if (IS_NODE(t))
        ls_buf_printf(sql, ", d.epoch, d.counter, d.part FROM node t LEFT JOIN desired d ON"
                           " d.fileid = t.fileid");
    else
        ls_buf_printf(sql, " FROM %s t", t->from);
    sql_is_key(sql, t, "t.");
    if (t->only)
        ls_buf_printf(sql, " AND t.%s = 1", t->only);
}

int
ap_mirror_reader_new(const char *path, struct ap_mirror_reader **ret, struct ls_err *err)
{
    struct ap_mirror_reader *r = calloc(1, sizeof(*r));
    struct ls_buf sql;
    int code;

    if (!r)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    code = sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        sqlite3_busy_timeout(r->db, 10000);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(r->db,
                                  "SELECT coalesce((SELECT seq FROM"
                                  " sqlite_sequence WHERE name = 'changed'), 0)",
                                  -1, &r->bounds, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(r->db,
                                  "SELECT DISTINCT kind, id FROM changed WHERE seq > ? AND"
                                  " seq <= ?",
                                  -1, &r->changes, NULL);
    ls_buf_init(&sql, SQL_MAX);
    for (size_t i = 0; i < N_TABLES && code == SQLITE_OK; i++) {
        ls_buf_clear(&sql);
        sql_row(&sql, &tables[i]);
        code = ls_buf_text(&sql)
                   ? sqlite3_prepare_v2(r->db, ls_buf_text(&sql), -1, &r->rows[i], NULL)
                   : SQLITE_NOMEM;
    }
    ls_buf_free(&sql);
    if (code != SQLITE_OK) {
        reader_fail(r, err);
        ap_mirror_reader_free(r);
        return -1;
    }
    *ret = r;
    return 0;
}

void
ap_mirror_reader_free(struct ap_mirror_reader *reader)
{
    if (!reader)
        return;
    sqlite3_finalize(reader->bounds);
    sqlite3_finalize(reader->changes);
    for (size_t i = 0; i < N_TABLES; i++)
        sqlite3_finalize(reader->rows[i]);
    sqlite3_close(reader->db);
    free(reader);
}

/* A name that is no UTF-8 (no ownCloud has one) goes as its bytes, each a character. */
static json_t *
text_json(const char *s, size_t n)
{
    json_t *text = json_stringn(s, n), *bytes;

    if (text)
        return text;
    bytes = json_array();
    for (size_t i = 0; bytes && i < n; i++)
        json_array_append_new(bytes, json_integer((unsigned char)s[i]));
    return bytes;
}

static json_t *
column_json(sqlite3_stmt *s, int c)
{
    switch (sqlite3_column_type(s, c)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(s, c));
    case SQLITE_NULL:
        return json_null();
    default:
        return text_json((const char *)sqlite3_column_text(s, c),
                         (size_t)sqlite3_column_bytes(s, c));
    }
}

/* The row that `s` stands on; free it. NULL: out of memory. */
static char *
row_json(const struct table *t, sqlite3_stmt *s)
{
    json_t *row = json_object();
    char *text = NULL;
    int c = 0, bad = row == NULL;

    for (; t->columns[c] && !bad; c++)
        bad = json_object_set_new(row, t->columns[c], column_json(s, c));
    if (!bad && IS_NODE(t) && sqlite3_column_type(s, c) == SQLITE_INTEGER)
        bad = json_object_set_new(row, "life",
                                  json_pack("[I, I, I]", (json_int_t)sqlite3_column_int64(s, c),
                                            (json_int_t)sqlite3_column_int64(s, c + 1),
                                            (json_int_t)sqlite3_column_int64(s, c + 2)));
    if (!bad)
        text = json_dumps(row, JSON_COMPACT);
    json_decref(row);
    return text;
}

/* "<topic>:<partition>": the topic may have colons. */
static void
bind_key(sqlite3_stmt *s, const struct table *t, struct ls_str id)
{
    size_t at = id.n;

    if (t->n_key == 1) {
        sqlite3_bind_text(s, 1, id.p, (int)id.n, SQLITE_TRANSIENT);
        return;
    }
    while (at > 0 && id.p[at - 1] != ':')
        at--;
    sqlite3_bind_text(s, 1, id.p, at > 0 ? (int)at - 1 : 0, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, 2, id.p + at, (int)(id.n - at), SQLITE_TRANSIENT);
}

static int
give_row(struct ap_mirror_reader *r, const char *kind, struct ls_str id, ap_mirror_fn *each,
         void *arg, struct ls_err *err)
{
    char key[KEY_SIZE], *text = NULL;
    const struct table *t;
    struct ls_str found;
    sqlite3_stmt *s;
    int code, result;

    snprintf(key, sizeof(key), "%s:%.*s", kind, (int)id.n, id.p);
    t = table_of(ls_str_of(key), &found);
    if (!t)
        return 0; /* of another version of us */
    s = r->rows[t - tables];
    bind_key(s, t, found);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW && !(text = row_json(t, s)))
        result = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    else if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = reader_fail(r, err);
    else
        result = each(arg, ls_str_of(key), text ? ls_str_of(text) : LS_STR_NULL, err);
    sqlite3_reset(s);
    free(text);
    return result;
}

/* What this connection has read outlives a power cut. The log is that of all connections. */
static int
log_sync(struct ap_mirror_reader *r, struct ls_err *err)
{
    sqlite3_file *log = NULL;
    int code = sqlite3_file_control(r->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);

    if (code == SQLITE_OK)
        code = log && log->pMethods ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : SQLITE_MISUSE;
    if (code == SQLITE_OK)
        return 0;
    return ls_fail_cause(err, LS_ERR_FATAL, code, "ledger", "the ledger's disk did not take it: %s",
                         sqlite3_errstr(code));
}

int
ap_mirror_read(struct ap_mirror_reader *r, int64_t from, int64_t most, ap_mirror_fn *each,
               void *arg, int64_t *upto, bool *whole, struct ls_err *err)
{
    int64_t last;
    int code = SQLITE_ERROR, result = 0;

    if (sqlite3_exec(r->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_step(r->bounds) != SQLITE_ROW) {
        result = reader_fail(r, err);
        goto out;
    }
    last = sqlite3_column_int64(r->bounds, 0);
    *upto = last < from ? from : last > from + most ? from + most : last;
    *whole = *upto >= last;
    sqlite3_bind_int64(r->changes, 1, from);
    sqlite3_bind_int64(r->changes, 2, *upto);
    while (result == 0 && (code = sqlite3_step(r->changes)) == SQLITE_ROW) {
        struct ls_str id = {(const char *)sqlite3_column_text(r->changes, 1),
                            (size_t)sqlite3_column_bytes(r->changes, 1)};

        result = give_row(r, (const char *)sqlite3_column_text(r->changes, 0), id, each, arg, err);
    }
    if (result == 0 && code != SQLITE_DONE)
        result = reader_fail(r, err);
    if (result == 0)
        result = log_sync(r, err);
out:
    sqlite3_reset(r->bounds);
    sqlite3_reset(r->changes);
    sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL);
    return result;
}

/* ---- back */

static int
bind_json(sqlite3_stmt *s, int at, const json_t *value)
{
    char bytes[AP_PATH_SIZE];
    size_t n = 0;

    if (json_is_integer(value))
        return sqlite3_bind_int64(s, at, json_integer_value(value));
    if (json_is_string(value))
        return sqlite3_bind_text(s, at, json_string_value(value), (int)json_string_length(value),
                                 SQLITE_TRANSIENT);
    if (!json_is_array(value))
        return sqlite3_bind_null(s, at);
    for (; n < json_array_size(value) && n < sizeof(bytes); n++)
        bytes[n] = (char)json_integer_value(json_array_get(value, n));
    return sqlite3_bind_text(s, at, bytes, (int)n, SQLITE_TRANSIENT);
}

static int
malformed(struct ls_str key, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, "mirror", "not a row of a ledger's mirror: %.*s",
                         (int)(key.n < 60 ? key.n : 60), key.p ? key.p : "");
}

/* The statement stays with the ledger: its text has to stay where it is. */
static sqlite3_stmt *
statement(struct ap_ledger *ledger, const struct table *t, bool put)
{
    static char texts[N_TABLES][2][SQL_MAX / 8];
    char *text = texts[t - tables][put];
    struct ls_buf sql;

    if (!text[0]) {
        ls_buf_init(&sql, SQL_MAX / 8);
        ls_buf_printf(&sql, put ? "INSERT OR REPLACE INTO %s(" : "DELETE FROM %s", t->from);
        if (put) {
            sql_columns(&sql, t, 0, "");
            for (int c = 0; t->columns[c]; c++)
                ls_buf_printf(&sql, c ? ", ?" : ") VALUES(?");
            ls_buf_printf(&sql, ")");
        } else {
            sql_is_key(&sql, t, "");
        }
        snprintf(text, SQL_MAX / 8, "%s", ls_buf_text(&sql) ? ls_buf_text(&sql) : "");
        ls_buf_free(&sql);
    }
    return ap_query(ledger, text, NULL);
}

static void
put_row(struct ap_ledger *ledger, const struct table *t, const json_t *row)
{
    sqlite3_stmt *s = statement(ledger, t, true);

    for (int i = 0; t->columns[i] && s; i++)
        bind_json(s, i + 1, json_object_get(row, t->columns[i]));
    while (ap_step(ledger, s))
        ;
}

static void
drop_row(struct ap_ledger *ledger, const struct table *t, struct ls_str id)
{
    sqlite3_stmt *s = statement(ledger, t, false);

    if (s)
        bind_key(s, t, id);
    while (ap_step(ledger, s))
        ;
}

static void
put_life(struct ap_ledger *ledger, const json_t *row)
{
    const json_t *life = json_object_get(row, "life");

    if (json_integer_value(json_object_get(row, "leftover")) == 0 && json_array_size(life) == 3)
        ap_exec(ledger,
                "INSERT OR REPLACE INTO life(fileid, epoch, counter, part) VALUES(?, ?, ?, ?)",
                "iiii", (int64_t)json_integer_value(json_object_get(row, "fileid")),
                (int64_t)json_integer_value(json_array_get(life, 0)),
                (int64_t)json_integer_value(json_array_get(life, 1)),
                (int64_t)json_integer_value(json_array_get(life, 2)));
}

int
ap_mirror_restore(struct ap_ledger *ledger, struct ls_str key, struct ls_str value,
                  struct ls_err *err)
{
    struct ls_str id;
    const struct table *t = key.p ? table_of(key, &id) : NULL;
    json_t *row;

    if (!t)
        return malformed(key, err);
    if (!value.p) {
        drop_row(ledger, t, id);
        return 0;
    }
    row = json_loadb(value.p, value.n, 0, NULL);
    if (!json_is_object(row) || !json_object_get(row, t->columns[0])) {
        json_decref(row);
        return malformed(key, err);
    }
    put_row(ledger, t, row);
    if (IS_NODE(t))
        put_life(ledger, row);
    json_decref(row);
    return 0;
}

#define NOT_OPEN " WHERE 1" AP_UNLESS_OPEN

void
ap_mirror_restored(struct ap_ledger *ledger)
{
    int64_t now = ls_now_ms();

    ap_exec(ledger,
            "UPDATE work SET state = 0, ready_at = ?1, since_us = ?1 * 1000, on_kind = 0,"
            " on_id = 0, counted = 0",
            "i", now);
    /* calls on the tree are repeated as they were */
    ap_exec(ledger,
            AP_WORK_OPEN "kind, entity, storage, 2, ?1, ?1 * 1000, 0, 0, 0 FROM op WHERE 1"
                         " ON CONFLICT(kind, id) DO UPDATE SET state = 2",
            "i", now);
    /* until their records come nothing is known of them, but what is at the target */
    ap_exec(ledger, "UPDATE person SET deleted = 1 WHERE epoch IS NULL", NULL);
    ap_exec(ledger, "DELETE FROM changed", NULL);
}

void
ap_mirror_caught_up(struct ap_ledger *ledger)
{
    int64_t now = ls_now_ms();

    ap_exec(ledger,
            AP_WORK_OPEN
            "2, id, storage, 0, ?1, ?1 * 1000, 0, 0, 0 FROM node WHERE leftover = 1" AP_UNLESS_OPEN,
            "i", now);
    ap_exec(ledger, AP_WORK_OPEN "6, id, ?2, 0, ?1, ?1 * 1000, 0, 0, 0 FROM grants" NOT_OPEN, "ii",
            now, (int64_t)AP_LANE_SHARES);
    ap_exec(ledger, AP_WORK_OPEN "8, id, ?2, 0, ?1, ?1 * 1000, 0, 0, 0 FROM link" NOT_OPEN, "ii",
            now, (int64_t)AP_LANE_SHARES);
    ap_exec(ledger, AP_WORK_OPEN "kind, id, ?2, 0, ?1, ?1 * 1000, 0, 0, 0 FROM exact" NOT_OPEN,
            "ii", now, (int64_t)AP_LANE_SHARES);
    ap_exec(ledger, "DELETE FROM life", NULL);
}
