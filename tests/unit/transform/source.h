/*
 * ownCloud 10's tables in memory, changed as its actions change them, and the envelopes that
 * capture would send of it, in order. Nothing here knows what becomes of them.
 *
 * The sequences are those of the real server in short: descendants of a moved folder go first and
 * the folder last, and their paths are made by replacing the old one wherever it occurs (which is a
 * bug of 10.8.0 and later); trash entries come after the move and go before a purge; a deleted
 * user's storage goes before its files, and his shares last.
 */
#ifndef TEST_SOURCE_H
#define TEST_SOURCE_H

#include "common/records.h"
#include "tests/unit/common/unit.h"

#include <inttypes.h>
#include <stdio.h>

#define SOURCE_ROWS 4000
#define SOURCE_SENT 40000
#define SOURCE_USERS 7
#define SOURCE_PARTITIONS 4
enum { SRC_FOLDER = 2, SRC_TEXT = 3, SRC_STREAM = 4 };

struct source_row {
    enum ls_table_id table;
    bool gone;
    struct ls_value values[LS_MAX_COLUMNS];
};

struct sent {
    enum ls_table_id table;
    int32_t partition;
    struct ls_str bytes;
};

struct source {
    struct ls_arena *arena;
    uint64_t seed;
    struct source_row rows[SOURCE_ROWS];
    int n_rows;
    struct sent sent[SOURCE_SENT];
    int n_sent;
    int64_t counter, next_id, clock;
    struct ls_buf buf;
    struct {
        char uid[80];
        bool there;
        int64_t account, storage, uploads, root, files, trash, versions;
    } users[SOURCE_USERS];
    int64_t external;
};

static inline uint64_t
chance(struct source *s, uint64_t n)
{
    return random_next(&s->seed) % n;
}

/* ---- what capture does */

static inline void
source_send(struct source *s, struct ls_envelope *e)
{
    const struct ls_value *image = e->has_after ? e->after : e->before;
    struct ls_err err = {0};
    char *copy;

    e->source_ts_us = e->capture_ts_us = s->counter * 1000;
    ls_buf_clear(&s->buf);
    ok(ls_envelope_encode(e, &s->buf, &err));
    copy = ls_arena_strndup(s->arena, (const char *)s->buf.p, s->buf.n);
    assert_non_null(copy);
    assert_in_range(s->n_sent, 0, SOURCE_SENT - 1);
    s->sent[s->n_sent++] = (struct sent){
        e->table->id,
        e->table->by_storage ? ls_partition_of_storage(image[FC_STORAGE].i, SOURCE_PARTITIONS) : 0,
        {copy, s->buf.n}};
}

static inline struct ls_envelope
source_envelope(enum ls_table_id table, enum ls_op op, struct ls_seq seq)
{
    return (struct ls_envelope){.op = op,
                                .seq = seq,
                                .table = &ls_tables[table],
                                .moved_from = LS_NO_STORAGE,
                                .moved_to = LS_NO_STORAGE,
                                .storage = LS_NO_STORAGE};
}

static inline bool
same_value(const struct ls_value *a, const struct ls_value *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == LS_V_TEXT ? ls_str_eq(a->s, b->s) : a->kind != LS_V_INT || a->i == b->i;
}

/* One row changed from `before` to `after`; NULL: was not there, is not there any more. */
static inline void
source_changed(struct source *s, enum ls_table_id id, const struct ls_value *before,
               const struct ls_value *after)
{
    const struct ls_table *t = &ls_tables[id];
    bool moved = before && after && t->by_storage && before[FC_STORAGE].i != after[FC_STORAGE].i;
    struct ls_seq seq = {1, ++s->counter, 0};
    struct ls_envelope e;

    if (moved || !after) {
        e = source_envelope(id, LS_OP_DELETE, seq);
        e.has_before = true;
        memcpy(e.before, before, sizeof(e.before));
        if (moved)
            e.moved_to = after[FC_STORAGE].i;
        source_send(s, &e);
        seq.part = 1;
    }
    if (!after)
        return;
    e = source_envelope(id, before ? LS_OP_UPDATE : LS_OP_CREATE, seq);
    e.has_after = true;
    memcpy(e.after, after, sizeof(e.after));
    if (moved)
        e.moved_from = before[FC_STORAGE].i;
    e.has_before = before != NULL;
    for (size_t i = 0; before && i < t->n_columns; i++) {
        if (t->columns[i].key || !same_value(&before[i], &after[i]))
            e.before[i] = before[i];
    }
    source_send(s, &e);
}

/* ---- rows */

static inline struct ls_value
num(int64_t n)
{
    return (struct ls_value){.kind = LS_V_INT, .i = n};
}

static inline struct ls_value
txt(struct source *s, const char *text)
{
    char *copy = ls_arena_strndup(s->arena, text, strlen(text));

    assert_non_null(copy);
    return (struct ls_value){.kind = LS_V_TEXT, .s = ls_str_of(copy)};
}

static inline struct source_row *
insert(struct source *s, enum ls_table_id table, const struct ls_value *values)
{
    struct source_row *row = &s->rows[s->n_rows++];

    assert_in_range(s->n_rows, 1, SOURCE_ROWS - 1);
    *row = (struct source_row){.table = table};
    memcpy(row->values, values, sizeof(row->values));
    source_changed(s, table, NULL, row->values);
    return row;
}

static inline void
update(struct source *s, struct source_row *row, const struct ls_value *values)
{
    struct ls_value before[LS_MAX_COLUMNS];

    memcpy(before, row->values, sizeof(before));
    memcpy(row->values, values, sizeof(before));
    source_changed(s, row->table, before, row->values);
}

static inline void
delete_row(struct source *s, struct source_row *row)
{
    row->gone = true;
    source_changed(s, row->table, row->values, NULL);
}

/* One column of a row that stays. */
static inline void
set(struct source *s, struct source_row *row, int column, struct ls_value value)
{
    struct ls_value values[LS_MAX_COLUMNS];

    memcpy(values, row->values, sizeof(values));
    values[column] = value;
    update(s, row, values);
}

/* A random row of a table, for which a column has this number (any, when column is -1). */
static inline struct source_row *
pick(struct source *s, enum ls_table_id table, int column, int64_t wanted)
{
    struct source_row *found = NULL;
    uint64_t seen = 0;

    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == table && (column < 0 || r->values[column].i == wanted) &&
            chance(s, ++seen) == 0)
            found = r;
    }
    return found;
}

static inline struct source_row *
node(struct source *s, int64_t fileid)
{
    return pick(s, LS_T_FILECACHE, FC_FILEID, fileid);
}

static inline struct source_row *
child(struct source *s, int64_t parent, const char *name)
{
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == LS_T_FILECACHE && r->values[FC_PARENT].i == parent &&
            ls_str_is(r->values[FC_NAME].s, name))
            return r;
    }
    return NULL;
}

static inline const char *
path_of(const struct source_row *r)
{
    return r->values[FC_PATH].s.p; /* the arena's strings end with a NUL */
}

static inline bool
starts(const char *path, const char *with)
{
    return strncmp(path, with, strlen(with)) == 0;
}

/* A file or folder that a user sees; `folder`: also `files` itself. */
static inline struct source_row *
live(struct source *s, bool folder)
{
    struct source_row *found = NULL;
    uint64_t seen = 0;

    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == LS_T_FILECACHE &&
            (starts(path_of(r), "files/") || (folder && !strcmp(path_of(r), "files"))) &&
            (!folder || r->values[FC_MIMETYPE].i == SRC_FOLDER) && chance(s, ++seen) == 0)
            found = r;
    }
    return found;
}

static inline struct source_row *
add_node(struct source *s, int64_t storage, int64_t parent, const char *path, bool folder)
{
    struct ls_value v[LS_MAX_COLUMNS] = {0};
    const char *slash = strrchr(path, '/');
    char etag[32];

    (void)snprintf(etag, sizeof(etag), "%x", (unsigned)random_next(&s->seed));
    v[FC_FILEID] = num(++s->next_id);
    v[FC_STORAGE] = num(storage);
    v[FC_PATH] = txt(s, path);
    v[FC_PARENT] = num(parent);
    v[FC_NAME] = txt(s, slash ? slash + 1 : path);
    v[FC_MIMETYPE] = num(folder ? SRC_FOLDER : SRC_TEXT);
    v[FC_SIZE] = num(folder ? -1 : (int64_t)chance(s, 5000));
    v[FC_MTIME] = num(1700000000 + ++s->clock);
    v[FC_ENCRYPTED] = num(0);
    v[FC_ETAG] = txt(s, etag);
    v[FC_PERMISSIONS] = num(folder ? 31 : 27);
    v[FC_CHECKSUM] =
        txt(s, chance(s, 2) ? "" : "SHA1:0123456789abcdef0123456789abcdef01234567 MD5:x");
    return insert(s, LS_T_FILECACHE, v);
}

/* REPLACE(path, old, new) as MySQL does it: everywhere. */
static inline void
replace_all(const char *path, const char *old, const char *with, char *out, size_t size)
{
    size_t n = 0;

    while (*path && n + 1 < size) {
        if (starts(path, old)) {
            n += (size_t)snprintf(out + n, size - n, "%s", with);
            path += strlen(old);
        } else {
            out[n++] = *path++;
        }
    }
    out[n < size ? n : size - 1] = '\0';
}

/* Renames, moves, also to another storage: what lies below first, the row itself last. */
static inline void
move_node(struct source *s, struct source_row *row, int64_t storage, int64_t parent,
          const char *path)
{
    char from[1200], to[1200], changed[4000];
    int64_t home = row->values[FC_STORAGE].i;
    const char *slash = strrchr(path, '/');
    struct ls_value v[LS_MAX_COLUMNS];

    (void)snprintf(from, sizeof(from), "%s/", path_of(row));
    (void)snprintf(to, sizeof(to), "%s/", path);
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (r->gone || r->table != LS_T_FILECACHE || r->values[FC_STORAGE].i != home ||
            !starts(path_of(r), from))
            continue;
        replace_all(path_of(r), from, to, changed, sizeof(changed));
        memcpy(v, r->values, sizeof(v));
        v[FC_PATH] = txt(s, changed);
        v[FC_STORAGE] = num(storage);
        update(s, r, v);
    }
    memcpy(v, row->values, sizeof(v));
    v[FC_STORAGE] = num(storage);
    v[FC_PARENT] = num(parent);
    v[FC_PATH] = txt(s, path);
    v[FC_NAME] = txt(s, slash ? slash + 1 : path);
    update(s, row, v);
}

/* etag and mtime of the folders above. */
static inline void
propagate(struct source *s, int64_t fileid)
{
    char etag[32];
    struct source_row *r;

    (void)snprintf(etag, sizeof(etag), "p%" PRId64, ++s->clock);
    for (int depth = 0; depth < 20 && (r = node(s, fileid)) != NULL; depth++) {
        set(s, r, FC_ETAG, txt(s, etag));
        fileid = r->values[FC_PARENT].i;
    }
}

#endif
