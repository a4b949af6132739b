/*
 * ownCloud 10 in memory: rows of oc_filecache, changed as its actions change them (facts, section
 * 4), and the records that come of it, per partition in order.
 */
#ifndef SOURCE_MODEL_H
#define SOURCE_MODEL_H

#include "apply/core.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_ROWS 30000
#define MODEL_RECORDS 400000
#define MODEL_USERS 3
#define MODEL_PARTITIONS 2

struct model_row {
    int64_t fileid, storage, parent, mtime;
    bool folder, deleted;
    bool erased; /* its content is not on the disk, though the row is there */
    char name[100], sha1[41], etag[40];
};

struct model_record {
    int32_t partition;
    struct cs3_resource r;
    char name[100], sha1[41], etag[40], user[32], location[600];
    bool delivered;
};

struct model {
    struct model_row *rows;
    int n_rows;
    struct model_record *records;
    int n_records;
    int64_t counter, clock, auto_id;
    int64_t root[MODEL_USERS + 1], files[MODEL_USERS + 1], trash[MODEL_USERS + 1];
};

static struct model_row *
model_row(struct model *m, int64_t fileid)
{
    return fileid >= 100 && fileid < 100 + m->n_rows ? &m->rows[fileid - 100] : NULL;
}

static struct model_record *
model_emit(struct model *m, const struct model_row *row, enum cs3_kind kind, int32_t part)
{
    struct model_record *rec = &m->records[m->n_records++];

    if (m->n_records >= MODEL_RECORDS)
        abort();
    memset(rec, 0, sizeof(*rec));
    memcpy(rec->name, row->name, sizeof(rec->name));
    memcpy(rec->sha1, row->sha1, sizeof(rec->sha1));
    memcpy(rec->etag, row->etag, sizeof(rec->etag));
    rec->partition = (int32_t)(row->storage % MODEL_PARTITIONS);
    rec->r = (struct cs3_resource){
        .head = {.kind = kind, .seq = {1, m->counter, part}, .source_ts_us = m->clock * 1000000},
        .what = CS3_NODE,
        .storage = row->storage,
        .fileid = row->fileid,
        .parent = row->parent,
        .folder = row->folder,
        .size = row->folder ? -1 : 10,
        .mtime = row->mtime,
        .moved_from = LS_NO_STORAGE,
        .moved_to = LS_NO_STORAGE,
    };
    return rec;
}

static void
model_changed(struct model *m, const struct model_row *row)
{
    m->counter++;
    m->clock++;
    model_emit(m, row, CS3_UPSERT, 0);
}

static struct model_row *
model_add(struct model *m, int64_t storage, int64_t parent, const char *name, bool folder)
{
    struct model_row *row = &m->rows[m->n_rows];

    if (m->n_rows >= MODEL_ROWS)
        abort();
    *row = (struct model_row){
        .fileid = 100 + m->n_rows, .storage = storage, .parent = parent, .folder = folder};
    m->n_rows++;
    snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

static void
model_content(struct model *m, struct model_row *row)
{
    row->mtime = ++m->clock + 1700000000;
    row->erased = false;
    snprintf(row->sha1, sizeof(row->sha1), "%040llx", (unsigned long long)m->clock);
    snprintf(row->etag, sizeof(row->etag), "e%llx", (unsigned long long)m->clock);
}

static inline void
model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
    m->rows = calloc(MODEL_ROWS, sizeof(*m->rows));
    m->records = calloc(MODEL_RECORDS, sizeof(*m->records));
    if (!m->rows || !m->records)
        abort();
    m->clock = 1000;
    m->counter = 10;
    for (int64_t s = 1; s <= MODEL_USERS; s++) {
        struct model_row *row = model_add(m, s, -1, "", true);
        m->root[s] = row->fileid;
        model_changed(m, row);
        row = model_add(m, s, m->root[s], "files", true);
        m->files[s] = row->fileid;
        model_changed(m, row);
        row = model_add(m, s, m->root[s], "files_trashbin", true);
        model_changed(m, row);
        row = model_add(m, s, row->fileid, "files", true);
        m->trash[s] = row->fileid;
        model_changed(m, row);
    }
}

static inline void
model_free(struct model *m)
{
    free(m->rows);
    free(m->records);
}

static bool
model_within(struct model *m, int64_t fileid, int64_t top)
{
    while (fileid != -1) {
        struct model_row *row = model_row(m, fileid);
        if (fileid == top)
            return true;
        if (!row || row->deleted)
            return false;
        fileid = row->parent;
    }
    return false;
}

static struct model_row *
model_child(struct model *m, int64_t parent, const char *name)
{
    for (int i = 0; i < m->n_rows; i++)
        if (!m->rows[i].deleted && m->rows[i].parent == parent &&
            strcmp(m->rows[i].name, name) == 0)
            return &m->rows[i];
    return NULL;
}

static bool
model_is_live(struct model *m, const struct model_row *row)
{
    return !row->deleted && row->fileid != m->files[row->storage] &&
           model_within(m, row->fileid, m->files[row->storage]);
}

/* A random row: a live one, a live folder (perhaps `files`), or the top of a trash item. */
static struct model_row *
model_pick(struct model *m, bool folder, bool trash)
{
    for (int n = 0; n < 60; n++) {
        struct model_row *row = &m->rows[random() % m->n_rows];
        if (row->deleted)
            continue;
        if (trash ? row->parent == m->trash[row->storage]
                  : (folder && row->fileid == m->files[row->storage]) ||
                        (model_is_live(m, row) && (!folder || row->folder)))
            return row;
    }
    return NULL;
}

/* As oC10 does: all descendants first (their place is the same), the row itself last. */
static void
model_move(struct model *m, struct model_row *row, int64_t storage, int64_t parent,
           const char *name)
{
    int64_t from = row->storage;
    struct model_record *rec;

    for (int i = 0; i < m->n_rows; i++) {
        struct model_row *r = &m->rows[i];
        if (r->deleted || r == row || !model_within(m, r->fileid, row->fileid))
            continue;
        m->counter++;
        if (storage != from) {
            rec = model_emit(m, r, CS3_DELETE, 0);
            rec->r.moved_to = storage;
        }
        r->storage = storage;
        rec = model_emit(m, r, CS3_UPSERT, storage != from);
        rec->r.moved_from = storage != from ? from : LS_NO_STORAGE;
    }
    m->counter++;
    m->clock++;
    if (storage != from) {
        rec = model_emit(m, row, CS3_DELETE, 0);
        rec->r.moved_to = storage;
    }
    row->storage = storage;
    row->parent = parent;
    snprintf(row->name, sizeof(row->name), "%s", name);
    rec = model_emit(m, row, CS3_UPSERT, storage != from);
    rec->r.moved_from = storage != from ? from : LS_NO_STORAGE;
}

static void
model_trash_info(struct model *m, const struct model_row *row, const char *base, int64_t time,
                 const char *location, bool deleted)
{
    struct model_record *rec;

    m->counter++;
    rec = model_emit(m, row, deleted ? CS3_DELETE : CS3_UPSERT, 0);
    rec->r.what = CS3_TRASH_INFO;
    rec->r.fileid = ++m->auto_id;
    rec->r.trash_time = time;
    snprintf(rec->name, sizeof(rec->name), "%s", base);
    snprintf(rec->user, sizeof(rec->user), "u%lld", (long long)row->storage);
    snprintf(rec->location, sizeof(rec->location), "%s", location);
}

static void
model_path(struct model *m, const struct model_row *row, int64_t stop, char *out, size_t size)
{
    char tail[3000] = "", next[3200];

    while (row && row->fileid != stop && row->parent != -1) {
        snprintf(next, sizeof(next), "%s%s%s", row->name, tail[0] ? "/" : "", tail);
        snprintf(tail, sizeof(tail), "%.2999s", next);
        row = model_row(m, row->parent);
    }
    snprintf(out, size, "%.*s", (int)size - 1, tail);
}

static void
model_to_trash(struct model *m, struct model_row *row)
{
    char name[200], base[100], location[600];
    int64_t time = 1700000000 + ++m->clock;

    memcpy(base, row->name, sizeof(base));
    model_path(m, model_row(m, row->parent), m->files[row->storage], location, sizeof(location));
    snprintf(name, sizeof(name), "%s.d%lld", base, (long long)time);
    model_move(m, row, row->storage, m->trash[row->storage], name);
    model_trash_info(m, row, base, time, location[0] ? location : ".", false);
}

/* The row first, then what is below it. */
static void
model_purge(struct model *m, struct model_row *row)
{
    int64_t fileid = row->fileid;

    m->counter++;
    row->deleted = true;
    model_emit(m, row, CS3_DELETE, 0);
    for (int i = 0; i < m->n_rows; i++)
        if (!m->rows[i].deleted && m->rows[i].parent == fileid)
            model_purge(m, &m->rows[i]);
}

static void
model_name(char *out, size_t size)
{
    snprintf(out, size, "%c", (int)('a' + random() % 6)); /* few names: they collide */
}

static void
model_swap(struct model *m, struct model_row *a, struct model_row *b)
{
    char na[100], nb[100];

    memcpy(na, a->name, sizeof(na));
    memcpy(nb, b->name, sizeof(nb));
    model_move(m, a, a->storage, a->parent, "swap.tmp");
    model_move(m, b, b->storage, b->parent, na);
    model_move(m, a, a->storage, a->parent, nb);
}

/* One action of a user. */
static inline void
model_act(struct model *m)
{
    struct model_row *row, *to;
    char name[100];
    int what = (int)(random() % 100);

    model_name(name, sizeof(name));
    if (what < 30) { /* a new file or folder */
        to = model_pick(m, true, false);
        if (!to || model_child(m, to->fileid, name))
            return;
        row = model_add(m, to->storage, to->fileid, name, what < 12);
        if (!row->folder)
            model_content(m, row);
        model_changed(m, row);
    } else if (what < 40) { /* overwritten */
        row = model_pick(m, false, false);
        if (!row || row->folder)
            return;
        model_content(m, row);
        model_changed(m, row);
    } else if (what < 62) { /* renamed, moved, moved to somebody else */
        row = model_pick(m, false, false);
        to = model_pick(m, true, false);
        if (!row || !to || model_within(m, to->fileid, row->fileid) ||
            model_child(m, to->fileid, name) || (what < 58 && to->storage != row->storage))
            return;
        model_move(m, row, to->storage, to->fileid, name);
    } else if (what < 68) { /* two names exchanged */
        row = model_pick(m, false, false);
        to = model_pick(m, false, false);
        if (!row || !to || row == to || row->parent != to->parent)
            return;
        model_swap(m, row, to);
    } else if (what < 71) { /* a folder and its child exchanged: a/b -> b/a */
        row = model_pick(m, true, false);
        if (!row || !model_is_live(m, row))
            return;
        to = model_row(m, row->parent);
        if (!to || !model_is_live(m, to) || model_child(m, to->parent, "turn.tmp") ||
            model_child(m, row->fileid, to->name))
            return;
        int64_t top = to->parent;
        char na[100], nb[100];
        memcpy(na, to->name, sizeof(na));
        memcpy(nb, row->name, sizeof(nb));
        model_move(m, row, row->storage, top, "turn.tmp");
        model_move(m, to, to->storage, row->fileid, na);
        if (!model_child(m, top, nb))
            model_move(m, row, row->storage, top, nb);
    } else if (what < 84) { /* deleted */
        row = model_pick(m, false, false);
        if (row)
            model_to_trash(m, row);
    } else if (what < 92) { /* restored */
        row = model_pick(m, false, true);
        to = model_pick(m, true, false);
        if (!row || !to || to->storage != row->storage || model_child(m, to->fileid, name))
            return;
        model_move(m, row, row->storage, to->fileid, name);
    } else { /* purged */
        row = model_pick(m, false, true);
        if (row)
            model_purge(m, row);
    }
}

/* The content at a path below a home, or NULL. */
static inline const char *
model_content_at(void *arg, const char *owner, const char *relative)
{
    struct model *m = arg;
    struct model_row *row = model_row(m, m->root[atoi(owner + 1)]);
    char path[4096];

    snprintf(path, sizeof(path), "%s", relative);
    for (char *save = NULL, *part = strtok_r(path, "/", &save); part && row;
         part = strtok_r(NULL, "/", &save))
        row = model_child(m, row->fileid, part);
    return row && !row->folder && !row->erased ? row->sha1 : NULL;
}

#endif
