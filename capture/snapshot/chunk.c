/*
 * The SQL of a chunk, and its rows as the stream would show them.
 *
 * A table is walked by its primary key. The files of one storage are walked by (storage,
 * path_hash), oC10's own unique index: the primary key would read every storage's rows, and no
 * index has (storage, fileid). Text keys are compared by the server in the column's own collation,
 * both for the order and for "behind the last key", so the walk is complete whatever the collation
 * calls equal.
 *
 * Where a view's place is not exact, the stream tells of each row that it publishes until the chunk
 * is emitted, and the chunk forgets those it has: so it needs no memory for what the stream touches
 * besides.
 *
 * What can go wrong: a key that is NULL or longer than a position holds (FATAL, the walk would not
 * end or leave rows out).
 */
#include "capture/snapshot/chunk.h"
#include "capture/binlog/types.h"
#include "capture/source/connect.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_CAP ((size_t)256 << 10)
#define KEYS_CAP ((size_t)64 << 20)
#define TOUCH_CAP ((size_t)64 << 10)

/* A row of a chunk that is watched. */
struct row_key {
    struct ls_str key; /* the record's; null: it has none */
    int64_t row;
};

struct cap_chunk {
    struct cap_schema *schema;
    struct ls_buf sql;
    int64_t rows;
    MYSQL_RES *held; /* NULL: none */
    int64_t n;       /* rows in it */
    const struct ls_table *table;
    bool by_path;              /* the last column is the key, path_hash */
    int wants[LS_MAX_COLUMNS]; /* our columns, in the order of the SELECT */
    size_t n_wants;
    MYSQL_ROW row; /* the one that was given out last */
    int64_t at;    /* its number */
    bool watched;
    struct row_key *keys; /* by key */
    bool *touched;        /* by number */
    struct ls_arena *keys_arena, *touch_arena;
    struct ls_envelope envelope;
    const unsigned long *lengths;
    struct cap_image image;
};

struct cap_chunk *
cap_chunk_new(struct cap_schema *schema, int64_t rows)
{
    struct cap_chunk *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->schema = schema;
    c->rows = rows;
    ls_buf_init(&c->sql, SQL_CAP);
    return c;
}

void
cap_chunk_drop(struct cap_chunk *c)
{
    if (c->held)
        mysql_free_result(c->held);
    c->held = NULL;
    c->watched = false;
    free(c->keys);
    free(c->touched);
    c->keys = NULL;
    c->touched = NULL;
    if (c->keys_arena)
        ls_arena_reset(c->keys_arena);
}

void
cap_chunk_free(struct cap_chunk *c)
{
    if (!c)
        return;
    cap_chunk_drop(c);
    ls_arena_free(c->keys_arena);
    ls_arena_free(c->touch_arena);
    ls_buf_free(&c->sql);
    free(c);
}

bool
cap_chunk_held(const struct cap_chunk *c)
{
    return c->held != NULL;
}

bool
cap_chunk_is_last(const struct cap_chunk *c)
{
    return c->n < c->rows;
}

/* ---- the statement */

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
put_text(struct cap_chunk *c, MYSQL *mysql, const char *text)
{
    char escaped[2 * CAP_KEY_TEXT + 1];

    (void)mysql_real_escape_string(mysql, escaped, text, strlen(text));
    (void)ls_buf_printf(&c->sql, "'%s'", escaped);
}

static void
put_key(struct cap_chunk *c, MYSQL *mysql, const struct ls_column *column, const char *text)
{
    if (column->type == LS_V_INT)
        (void)ls_buf_printf(&c->sql, "%lld", strtoll(text, NULL, 10));
    else
        put_text(c, mysql, text);
}

/* (a > x OR (a = x AND (b > y OR ...))): a form for which the server uses the index. */
static void
put_behind_key(struct cap_chunk *c, MYSQL *mysql, const struct ls_table *table,
               const struct cap_snapshot_state *state)
{
    int done = 0;

    for (size_t i = 0; i < table->n_columns && done < state->n_key; i++) {
        if (!table->columns[i].key)
            continue;
        (void)ls_buf_printf(&c->sql, "(");
        put_name(&c->sql, table->columns[i].name);
        (void)ls_buf_printf(&c->sql, " > ");
        put_key(c, mysql, &table->columns[i], state->key[done]);
        done++;
        if (done < state->n_key) {
            (void)ls_buf_printf(&c->sql, " OR (");
            put_name(&c->sql, table->columns[i].name);
            (void)ls_buf_printf(&c->sql, " = ");
            put_key(c, mysql, &table->columns[i], state->key[done - 1]);
            (void)ls_buf_printf(&c->sql, " AND ");
        }
    }
    for (int i = 0; i < done; i++)
        (void)ls_buf_printf(&c->sql, i + 1 < done ? "))" : ")");
}

static void
put_columns(struct cap_chunk *c, const struct cap_walk *walk)
{
    const struct cap_source_table *source = cap_schema_table(c->schema, walk->table->id);

    c->n_wants = 0;
    for (size_t i = 0; i < source->n; i++) {
        int want = cap_schema_want(c->schema, walk->table, ls_str_of(source->columns[i].name));
        if (want < 0)
            continue;
        if (c->n_wants)
            (void)ls_buf_printf(&c->sql, ", ");
        put_name(&c->sql, source->columns[i].name);
        c->wants[c->n_wants++] = want;
    }
    if (c->by_path)
        (void)ls_buf_printf(&c->sql, ", `path_hash`");
}

static void
put_users(struct cap_chunk *c, MYSQL *mysql, const struct cap_selection *chosen, const char *column)
{
    (void)ls_buf_printf(&c->sql, "`%s` IN (", column);
    for (int i = 0; i < chosen->n_users; i++) {
        (void)ls_buf_printf(&c->sql, i ? ", " : "");
        put_text(c, mysql, chosen->users[i]);
    }
    (void)ls_buf_printf(&c->sql, ")");
}

static void
put_chosen(struct cap_chunk *c, MYSQL *mysql, const struct cap_walk *walk)
{
    if (walk->table->id == LS_T_SHARE) {
        (void)ls_buf_printf(&c->sql, " AND (");
        put_users(c, mysql, walk->chosen, "uid_owner");
        (void)ls_buf_printf(&c->sql, " OR ");
        put_users(c, mysql, walk->chosen, "uid_initiator");
        (void)ls_buf_printf(&c->sql, ")");
    } else {
        (void)ls_buf_printf(&c->sql, " AND ");
        put_users(c, mysql, walk->chosen, "user");
    }
}

static void
put_order(struct cap_chunk *c, const struct ls_table *table)
{
    bool first = true;

    (void)ls_buf_printf(&c->sql, " ORDER BY ");
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!table->columns[i].key)
            continue;
        (void)ls_buf_printf(&c->sql, "%s", first ? "" : ", ");
        put_name(&c->sql, table->columns[i].name);
        first = false;
    }
}

const char *
cap_chunk_sql(struct cap_chunk *c, MYSQL *mysql, const struct cap_walk *walk,
              const struct cap_snapshot_state *state)
{
    const struct cap_sql_names *names = cap_schema_names(c->schema);
    char name[128];

    c->table = walk->table;
    c->by_path = walk->chosen && walk->table->by_storage;
    ls_buf_clear(&c->sql);
    (void)ls_buf_printf(&c->sql, "SELECT ");
    put_columns(c, walk);
    (void)ls_buf_printf(&c->sql, " FROM ");
    put_name(&c->sql, names->database);
    (void)ls_buf_printf(&c->sql, ".");
    (void)snprintf(name, sizeof(name), "%s%s", names->prefix, walk->table->name);
    put_name(&c->sql, name);
    if (walk->chosen && c->by_path) {
        (void)ls_buf_printf(&c->sql, " WHERE `storage` = %" PRId64,
                            walk->chosen->storages[state->storage]);
        if (state->n_key > 0) {
            (void)ls_buf_printf(&c->sql, " AND `path_hash` > ");
            put_text(c, mysql, state->key[0]);
        }
        (void)ls_buf_printf(&c->sql, " ORDER BY `path_hash` LIMIT %" PRId64, c->rows);
        return ls_buf_text(&c->sql);
    }
    (void)ls_buf_printf(&c->sql, " WHERE 1");
    if (walk->table->id == LS_T_PREFERENCES)
        (void)ls_buf_printf(&c->sql, " AND appid = 'files' AND configkey = 'quota'");
    if (walk->chosen)
        put_chosen(c, mysql, walk);
    if (state->n_key > 0) {
        (void)ls_buf_printf(&c->sql, " AND ");
        put_behind_key(c, mysql, walk->table, state);
    }
    put_order(c, walk->table);
    (void)ls_buf_printf(&c->sql, " LIMIT %" PRId64, c->rows);
    return ls_buf_text(&c->sql);
}

int
cap_chunk_read(struct cap_chunk *c, MYSQL *mysql, const struct cap_walk *walk,
               const struct cap_snapshot_state *state, struct ls_err *err)
{
    const char *sql = cap_chunk_sql(c, mysql, walk, state);

    if (!sql)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "no memory for a query");
    if (cap_query_rows(mysql, sql, &c->held, err) < 0)
        return -1;
    c->n = (int64_t)mysql_num_rows(c->held);
    c->at = -1;
    return 0;
}

/* ---- the rows */

static void
row_values(struct cap_chunk *c, MYSQL_ROW row, const unsigned long *lengths)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(c->held);

    for (size_t i = 0; i < c->table->n_columns; i++)
        c->image.values[i] = (struct ls_value){.kind = LS_V_ABSENT};
    c->image.poison = false;
    for (size_t i = 0; i < c->n_wants; i++) {
        int want = c->wants[i];
        cap_value_select(&fields[i], c->table->columns[want].type, row[i], lengths[i],
                         c->image.digits[want], &c->image.values[want]);
        if (c->image.values[want].kind == LS_V_ABSENT) {
            c->image.poison = true;
            c->image.poison_column = want;
        }
    }
}

static int
fail_key(const struct cap_chunk *c, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "snapshot-key", "a key of %s cannot be walked",
                         c->table->name);
}

static int
keep_key(struct cap_chunk *c, struct cap_snapshot_state *state, struct ls_err *err)
{
    int n = 0;

    for (size_t i = 0; i < c->table->n_columns; i++) {
        const struct ls_value *value = &c->image.values[i];
        if (!c->table->columns[i].key)
            continue;
        if (n == CAP_KEY_COLUMNS || (value->kind == LS_V_TEXT && value->s.n >= CAP_KEY_TEXT) ||
            (value->kind != LS_V_TEXT && value->kind != LS_V_INT))
            return fail_key(c, err);
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
keep_path(struct cap_chunk *c, struct cap_snapshot_state *state, const char *hash,
          unsigned long length, struct ls_err *err)
{
    if (!hash || length >= CAP_KEY_TEXT)
        return fail_key(c, err);
    memcpy(state->key[0], hash, length);
    state->key[0][length] = '\0';
    state->n_key = 1;
    return 0;
}

int
cap_chunk_keep(struct cap_chunk *c, struct cap_snapshot_state *state, struct ls_err *err)
{
    if (c->by_path)
        return keep_path(c, state, c->row[c->n_wants], c->lengths[c->n_wants], err);
    return keep_key(c, state, err);
}

const struct cap_image *
cap_chunk_next(struct cap_chunk *c)
{
    c->row = mysql_fetch_row(c->held);
    if (!c->row)
        return NULL;
    c->at++;
    c->lengths = mysql_fetch_lengths(c->held);
    row_values(c, c->row, c->lengths);
    return &c->image;
}

/* ---- rows that the stream brings itself */

static int
by_key(const void *a, const void *b)
{
    const struct ls_str *x = &((const struct row_key *)a)->key,
                        *y = &((const struct row_key *)b)->key;
    size_t n = x->n < y->n ? x->n : y->n;
    int r = n ? memcmp(x->p, y->p, n) : 0;

    return r ? r : x->n < y->n ? -1 : x->n > y->n;
}

static int
key_of(struct cap_chunk *c, struct row_key *ret, struct ls_err *err)
{
    struct ls_err why = {0};

    c->envelope.table = c->table;
    c->envelope.has_after = true;
    memcpy(c->envelope.after, c->image.values, sizeof(c->image.values[0]) * c->table->n_columns);
    ret->row = c->at;
    if (ls_envelope_key(&c->envelope, c->keys_arena, &ret->key, &why) == 0)
        return 0;
    if (why.kind == LS_ERR_POISON) {
        ret->key = LS_STR_NULL;
        return 0;
    }
    *err = why;
    return -1;
}

int
cap_chunk_watch(struct cap_chunk *c, struct ls_err *err)
{
    int64_t n = 0;

    if (!c->keys_arena)
        c->keys_arena = ls_arena_new(KEYS_CAP);
    if (!c->touch_arena)
        c->touch_arena = ls_arena_new(TOUCH_CAP);
    c->keys = calloc((size_t)c->n + 1, sizeof(*c->keys));
    c->touched = calloc((size_t)c->n + 1, sizeof(*c->touched));
    if (!c->keys_arena || !c->touch_arena || !c->keys || !c->touched)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a chunk");
    while (n < c->n && cap_chunk_next(c))
        if (key_of(c, &c->keys[n++], err) < 0)
            return -1;
    qsort(c->keys, (size_t)c->n, sizeof(*c->keys), by_key);
    mysql_data_seek(c->held, 0);
    c->at = -1;
    c->watched = true;
    return 0;
}

void
cap_chunk_touch(struct cap_chunk *c, const struct ls_envelope *envelope)
{
    struct row_key wanted = {LS_STR_NULL, 0}, *found;
    struct ls_err ignored;

    if (!c->watched || envelope->table != c->table)
        return;
    ls_arena_reset(c->touch_arena);
    if (ls_envelope_key(envelope, c->touch_arena, &wanted.key, &ignored) < 0)
        return;
    found = bsearch(&wanted, c->keys, (size_t)c->n, sizeof(*c->keys), by_key);
    if (found)
        c->touched[found->row] = true;
}

bool
cap_chunk_is_touched(const struct cap_chunk *c)
{
    return c->watched && c->touched[c->at];
}
