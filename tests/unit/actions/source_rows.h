/*
 * ownCloud 10's rows as text, folded: the tables as they are after each change, the envelopes that
 * capture makes of the changes, and what the home folders hold at the end.
 *
 * A line is a change of one row, as in the recordings' actions-*.txt:
 *     I oc_filecache fileid=9 storage=5 path='files' parent=7 name='files' ...
 *     U oc_filecache fileid=9 path='files' name='files' | size: -1 -> 0; etag: 'a' -> 'b'
 *     D oc_filecache fileid=9 ...
 * "=== words" begins an action; other lines are prose. Columns that are not named are absent. A
 * change of a row that was never inserted is passed over: recordings begin in the middle.
 */
#ifndef SOURCE_ROWS_H
#define SOURCE_ROWS_H

#include "common/records.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SR_ROWS 6000
#define SR_DEPTH 200

struct sr_row {
    const struct ls_table *table;
    bool deleted;
    struct ls_seq seq; /* of its last change */
    struct ls_value v[LS_MAX_COLUMNS];
    char content[48]; /* oc_filecache: what the file holds, as its SHA1 */
};

struct source_rows {
    struct ls_arena *arena; /* everything below, for the test's life */
    struct sr_row *rows[SR_ROWS];
    int n_rows;
    int64_t counter, clock;
    void (*send)(void *arg, struct ls_envelope *e);
    void *arg;
    int passed_over;
};

static void
sr_abort(const char *what, const char *line)
{
    fprintf(stderr, "%s: %.200s\n", what, line);
    abort();
}

/* ---- the tables */

static int64_t
sr_int(const struct sr_row *row, int column)
{
    return row->v[column].kind == LS_V_INT ? row->v[column].i : 0;
}

static const char *
sr_text(const struct sr_row *row, int column)
{
    return row->v[column].kind == LS_V_TEXT ? row->v[column].s.p : "";
}

static bool
sr_same(const struct ls_value *a, const struct ls_value *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == LS_V_INT ? a->i == b->i : a->kind != LS_V_TEXT || ls_str_eq(a->s, b->s);
}

static struct sr_row *
sr_find(struct source_rows *s, const struct ls_table *table, const struct ls_value *key)
{
    for (int i = s->n_rows - 1; i >= 0; i--) {
        struct sr_row *row = s->rows[i];
        bool same = row->table == table && !row->deleted;

        for (size_t c = 0; same && c < table->n_columns; c++)
            same = !table->columns[c].key || sr_same(&row->v[c], &key[c]);
        if (same)
            return row;
    }
    return NULL;
}

static struct sr_row *
sr_file(struct source_rows *s, int64_t fileid)
{
    struct ls_value key[LS_MAX_COLUMNS] = {[FC_FILEID] = {.kind = LS_V_INT, .i = fileid}};

    return sr_find(s, &ls_tables[LS_T_FILECACHE], key);
}

static struct sr_row *
sr_storage(struct source_rows *s, int64_t number)
{
    struct ls_value key[LS_MAX_COLUMNS] = {[ST_NUMERIC_ID] = {.kind = LS_V_INT, .i = number}};

    return sr_find(s, &ls_tables[LS_T_STORAGES], key);
}

/* ---- envelopes, as capture makes them */

static struct ls_envelope *
sr_envelope(struct source_rows *s, const struct ls_table *table, enum ls_op op)
{
    struct ls_envelope *e = ls_arena_alloc(s->arena, sizeof(*e));

    if (!e)
        sr_abort("memory", table->name);
    e->op = op;
    e->table = table;
    e->seq = (struct ls_seq){1, s->counter, 0};
    e->source_ts_us = s->clock * 1000000;
    e->moved_from = e->moved_to = e->storage = LS_NO_STORAGE;
    return e;
}

static void
sr_changed(struct source_rows *s, const struct sr_row *before, struct sr_row *after)
{
    const struct ls_table *table = after->table;
    bool moved = before && !after->deleted && table->by_storage &&
                 sr_int(before, FC_STORAGE) != sr_int(after, FC_STORAGE);
    struct ls_envelope *e;

    s->counter++;
    s->clock++;
    if (moved || after->deleted) {
        e = sr_envelope(s, table, LS_OP_DELETE);
        e->has_before = true;
        memcpy(e->before, before->v, sizeof(e->before));
        if (moved)
            e->moved_to = sr_int(after, FC_STORAGE);
        s->send(s->arg, e);
    }
    after->seq = (struct ls_seq){1, s->counter, moved};
    if (after->deleted)
        return;
    e = sr_envelope(s, table, before ? LS_OP_UPDATE : LS_OP_CREATE);
    e->seq = after->seq;
    e->has_after = true;
    memcpy(e->after, after->v, sizeof(e->after));
    if (moved)
        e->moved_from = sr_int(before, FC_STORAGE);
    e->has_before = before != NULL;
    for (size_t c = 0; before && c < table->n_columns; c++) {
        if (table->columns[c].key || !sr_same(&before->v[c], &after->v[c]))
            e->before[c] = before->v[c];
    }
    s->send(s->arg, e);
}

/* A snapshot: every row as it is, between two brackets of each table. */
static void
sr_snapshot(struct source_rows *s)
{
    struct ls_seq begin = {1, ++s->counter, 0};

    for (size_t t = 0; t < LS_T_COUNT; t++)
        s->send(s->arg, sr_envelope(s, &ls_tables[t], LS_OP_BEGIN));
    for (int i = 0; i < s->n_rows; i++) {
        struct ls_envelope *e;

        if (s->rows[i]->deleted)
            continue;
        s->counter++;
        e = sr_envelope(s, s->rows[i]->table, LS_OP_READ);
        e->has_after = true;
        memcpy(e->after, s->rows[i]->v, sizeof(e->after));
        s->send(s->arg, e);
    }
    s->counter++;
    for (size_t t = 0; t < LS_T_COUNT; t++) {
        struct ls_envelope *e = sr_envelope(s, &ls_tables[t], LS_OP_END);
        e->begin = begin;
        s->send(s->arg, e);
    }
}

/* ---- text */

/* Where a quoted text ends: names may hold quotes, so what follows has to look like it. */
static const char *
sr_text_end(const char *p)
{
    for (;; p++) {
        const char *q = strchr(p, '\'');

        if (!q)
            return NULL;
        p = q;
        if (!q[1] || q[1] == '\n' || strncmp(q, "' | ", 4) == 0 || strncmp(q, "'; ", 3) == 0 ||
            strncmp(q, "' -> ", 5) == 0)
            return q;
        if (q[1] == ' ') {
            size_t n = strspn(q + 2, "abcdefghijklmnopqrstuvwxyz_");
            if (n > 0 && q[2 + n] == '=')
                return q;
        }
    }
}

static const char *
sr_value(struct source_rows *s, const char *p, struct ls_value *ret)
{
    char *end;

    if (*p == '\'') {
        const char *q = sr_text_end(p + 1);
        if (!q)
            sr_abort("text", p);
        ret->kind = LS_V_TEXT;
        ret->s = (struct ls_str){ls_arena_strndup(s->arena, p + 1, (size_t)(q - p - 1)),
                                 (size_t)(q - p - 1)};
        return q + 1;
    }
    if (strncmp(p, "NULL", 4) == 0) {
        ret->kind = LS_V_NULL;
        return p + 4;
    }
    ret->kind = LS_V_INT;
    ret->i = strtoll(p, &end, 10);
    if (end == p)
        sr_abort("value", p);
    if (strncmp(end, " (", 2) == 0) /* "-1 (18446744073709551615)" */
        end = strchr(end, ')') + 1;
    return end;
}

/* The value at p of a column by name, when it is one that is carried. */
static const char *
sr_assign(struct source_rows *s, const struct ls_table *table, const char *name, size_t n,
          const char *p, struct ls_value *values)
{
    struct ls_value value = {0};

    p = sr_value(s, p, &value);
    for (size_t c = 0; c < table->n_columns; c++) {
        if (strlen(table->columns[c].name) == n && memcmp(table->columns[c].name, name, n) == 0)
            values[c] = value;
    }
    return p;
}

/* "a=1 b='x'", up to the end or " | ". */
static const char *
sr_columns(struct source_rows *s, const struct ls_table *table, const char *p,
           struct ls_value *values)
{
    while (*p == ' ' && p[1] != '|') {
        size_t n = strcspn(++p, "=");
        p = sr_assign(s, table, p, n, p + n + 1, values);
    }
    return p;
}

/* "a: 1 -> 2; b: 'x' -> 'y'". */
static void
sr_changes(struct source_rows *s, const struct ls_table *table, const char *p,
           struct ls_value *values)
{
    while (*p) {
        struct ls_value old;
        const char *name = p;
        size_t n = strcspn(p, ":");

        p = sr_value(s, p + n + 2, &old);
        if (strncmp(p, " -> ", 4) != 0)
            sr_abort("change", name);
        p = sr_assign(s, table, name, n, p + 4, values);
        if (strncmp(p, "; ", 2) == 0)
            p += 2;
        else
            break;
    }
}

/* ---- changes */

/* Content is what the checksum says; without one it stays as long as size and time do. */
static void
sr_content(const struct sr_row *before, struct sr_row *row)
{
    const char *sha1 = strstr(sr_text(row, FC_CHECKSUM), "SHA1:");

    if (row->table->id != LS_T_FILECACHE || row->deleted)
        return;
    if (sha1)
        snprintf(row->content, sizeof(row->content), "%.40s", sha1 + 5);
    else if (!before || sr_int(before, FC_SIZE) != sr_int(row, FC_SIZE) ||
             sr_int(before, FC_MTIME) != sr_int(row, FC_MTIME))
        snprintf(row->content, sizeof(row->content), "%010" PRId64 "%015" PRId64 "%015" PRId64,
                 sr_int(row, FC_FILEID), sr_int(row, FC_SIZE), sr_int(row, FC_MTIME));
}

static void
sr_change(struct source_rows *s, char op, const struct ls_table *table, const char *p)
{
    struct ls_value values[LS_MAX_COLUMNS] = {0};
    struct sr_row *row, before;

    p = sr_columns(s, table, p, values);
    row = sr_find(s, table, values);
    if (op == 'I') {
        if (row || s->n_rows == SR_ROWS || !(row = ls_arena_alloc(s->arena, sizeof(*row))))
            sr_abort("insert", p);
        row->table = table;
        s->rows[s->n_rows++] = row;
        memcpy(row->v, values, sizeof(values));
        sr_content(NULL, row);
        sr_changed(s, NULL, row);
        return;
    }
    if (!row) {
        s->passed_over++;
        return;
    }
    before = *row;
    if (op == 'D')
        row->deleted = true;
    else if (strncmp(p, " | ", 3) == 0)
        sr_changes(s, table, p + 3, row->v);
    sr_content(&before, row);
    sr_changed(s, &before, row);
}

/* Takes a line in; false when it is no change of a watched table. */
static bool
sr_line(struct source_rows *s, const char *line)
{
    const struct ls_table *table;
    const char *name;
    size_t n;

    line += strspn(line, " ");
    if (!strchr("IUD", line[0]) || strncmp(line + 1, " oc_", 4) != 0)
        return false;
    name = line + 5;
    n = strcspn(name, " ");
    table = ls_table_by_name(name, n);
    if (!table)
        return false;
    sr_change(s, line[0], table, name + n);
    return true;
}

/* ---- what the home folders hold: by parent and name, never by path */

/* The rows from a row up to its storage's root, the root's child first. Their number, or 0 when the
 * chain is broken. */
static int
sr_chain(struct source_rows *s, struct sr_row *row, struct sr_row **chain, struct sr_row **ret_root)
{
    struct sr_row *up[SR_DEPTH];
    int n = 0;

    while (row && sr_int(row, FC_PARENT) != -1 && n < SR_DEPTH) {
        up[n++] = row;
        row = sr_file(s, sr_int(row, FC_PARENT));
    }
    if (!row || n == SR_DEPTH)
        return 0;
    *ret_root = row;
    for (int i = 0; i < n; i++)
        chain[i] = up[n - 1 - i];
    return n;
}

/* The uid whose home the storage is, or NULL. */
static const char *
sr_owner(struct source_rows *s, int64_t storage, const char *long_uid)
{
    static const char *const homes[] = {"home::", "object::user:"};
    struct sr_row *row = sr_storage(s, storage);
    const char *id = row ? sr_text(row, ST_ID) : "";

    for (int i = 0; i < 2; i++) {
        if (strncmp(id, homes[i], strlen(homes[i])) == 0)
            return id + strlen(homes[i]);
    }
    return long_uid && strncmp(id, long_uid, 32) == 0 ? long_uid + 33 : NULL; /* "<md5> <uid>" */
}

/* Its path and storage are what its parent's row says. */
static bool
sr_path_agrees(struct source_rows *s, const struct sr_row *row)
{
    char path[3000];

    for (int i = 0; i < s->n_rows; i++) {
        struct sr_row *up = s->rows[i];

        if (up->table->id != LS_T_FILECACHE || up->deleted ||
            sr_int(up, FC_FILEID) != sr_int(row, FC_PARENT))
            continue;
        snprintf(path, sizeof(path), "%s%s%s", sr_text(up, FC_PATH),
                 sr_text(up, FC_PATH)[0] ? "/" : "", sr_text(row, FC_NAME));
        return strcmp(path, sr_text(row, FC_PATH)) == 0 &&
               sr_int(up, FC_STORAGE) == sr_int(row, FC_STORAGE);
    }
    return true;
}

/* The row of `parent` by this name: of two the one whose path is right. */
static struct sr_row *
sr_child(struct source_rows *s, int64_t parent, const char *name)
{
    struct sr_row *ret = NULL;

    for (int i = 0; i < s->n_rows; i++) {
        struct sr_row *row = s->rows[i];

        if (row->table->id == LS_T_FILECACHE && !row->deleted && sr_int(row, FC_PARENT) == parent &&
            strcmp(sr_text(row, FC_NAME), name) == 0) {
            /* of two the later one, unless only the other's path is right */
            if (!ret || sr_path_agrees(s, row) || !sr_path_agrees(s, ret))
                ret = row;
        }
    }
    return ret;
}

#endif
