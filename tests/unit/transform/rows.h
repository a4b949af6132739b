/*
 * Rows for the tests of the mapping: a small site in memory, and envelopes by a few words.
 */
#ifndef TEST_ROWS_H
#define TEST_ROWS_H

#include "transform/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the four above */
#include <cmocka.h>

#define PARTITIONS 4
enum { HOME = 5, OTHER_HOME = 6, EXTERNAL = 7, UPLOADS = 8, FEDERATED = 9, MD5 = 10 };
enum { MT_FOLDER = 2, MT_TEXT = 3 };

struct site {
    struct ls_arena *arena;
    struct tf_known *known;
    struct tf_reach *reach;
    struct tf_zone zone;
    struct tf_world world;
    struct tf_route_state state;
    struct tf_result result;
    enum tf_sort sort;
    struct ls_err err;
    int64_t counter;
};

static inline struct ls_envelope *
row(struct site *s, enum ls_table_id table, enum ls_op op)
{
    struct ls_envelope *e = ls_arena_alloc(s->arena, sizeof(*e));

    assert_non_null(e);
    e->op = op;
    e->table = &ls_tables[table];
    e->seq = (struct ls_seq){1, ++s->counter, 0};
    e->moved_from = e->moved_to = e->storage = LS_NO_STORAGE;
    e->source_ts_us = 1000000;
    e->has_after = op != LS_OP_DELETE;
    e->has_before = op == LS_OP_DELETE || op == LS_OP_UPDATE;
    return e;
}

static inline struct ls_value *
column(struct ls_envelope *e, int i)
{
    return e->has_after ? &e->after[i] : &e->before[i];
}

static inline void
number(struct ls_envelope *e, int i, int64_t n)
{
    *column(e, i) = (struct ls_value){.kind = LS_V_INT, .i = n};
}

static inline void
text(struct ls_envelope *e, int i, const char *s)
{
    *column(e, i) =
        (struct ls_value){.kind = s ? LS_V_TEXT : LS_V_NULL, .s = s ? ls_str_of(s) : LS_STR_NULL};
}

static inline struct ls_envelope *
storage_row(struct site *s, enum ls_op op, int64_t storage, const char *id)
{
    struct ls_envelope *e = row(s, LS_T_STORAGES, op);

    number(e, ST_NUMERIC_ID, storage);
    text(e, ST_ID, id);
    return e;
}

static inline struct ls_envelope *
account_row(struct site *s, enum ls_op op, int64_t id, const char *uid, const char *home)
{
    struct ls_envelope *e = row(s, LS_T_ACCOUNTS, op);

    number(e, AC_ID, id);
    text(e, AC_USER_ID, uid);
    text(e, AC_HOME, home);
    number(e, AC_STATE, 1);
    return e;
}

static inline struct ls_envelope *
mimetype_row(struct site *s, int64_t id, const char *name)
{
    struct ls_envelope *e = row(s, LS_T_MIMETYPES, LS_OP_CREATE);

    number(e, MT_ID, id);
    text(e, MT_MIMETYPE, name);
    return e;
}

/* A plain text file "a.txt" in HOME. */
static inline struct ls_envelope *
file_row(struct site *s, enum ls_op op, int64_t fileid, const char *path)
{
    struct ls_envelope *e = row(s, LS_T_FILECACHE, op);

    number(e, FC_FILEID, fileid);
    number(e, FC_STORAGE, HOME);
    text(e, FC_PATH, path);
    number(e, FC_PARENT, 2);
    text(e, FC_NAME, "a.txt");
    number(e, FC_MIMETYPE, MT_TEXT);
    number(e, FC_SIZE, 12);
    number(e, FC_MTIME, 1700000000);
    number(e, FC_ENCRYPTED, 0);
    text(e, FC_ETAG, "abc");
    text(e, FC_CHECKSUM, "");
    return e;
}

static inline struct ls_envelope *
share_row(struct site *s, int64_t type, int64_t permissions)
{
    struct ls_envelope *e = row(s, LS_T_SHARE, LS_OP_CREATE);

    number(e, SH_ID, 7);
    number(e, SH_SHARE_TYPE, type);
    text(e, SH_SHARE_WITH, type == 3 ? NULL : "bob");
    text(e, SH_UID_OWNER, "alice");
    text(e, SH_UID_INITIATOR, "alice");
    text(e, SH_ITEM_TYPE, "folder");
    text(e, SH_ITEM_SOURCE, "44");
    number(e, SH_FILE_SOURCE, 44);
    text(e, SH_FILE_TARGET, "/Papers");
    number(e, SH_PERMISSIONS, permissions);
    number(e, SH_STIME, 1600000000);
    number(e, SH_ACCEPTED, 0);
    text(e, SH_EXPIRATION, NULL);
    return e;
}

static inline void
feed(struct site *s, const struct ls_envelope *e)
{
    assert_int_equal(tf_known_feed(s->known, e, &s->err), 0);
}

static inline int
route(struct site *s, const struct ls_envelope *e)
{
    s->err = (struct ls_err){0};
    return tf_route_envelope(&s->world, &s->state, e, s->arena, &s->result, &s->sort, &s->err);
}

/* Maps a row that must become (at least) one record, and returns the first. */
static inline const void *
record(struct site *s, const struct ls_envelope *e)
{
    assert_int_equal(route(s, e), 0);
    assert_null(s->result.filtered);
    assert_true(s->result.n > 0);
    return s->result.emits[0].record;
}

static inline void
assert_filtered(struct site *s, const struct ls_envelope *e, const char *why)
{
    assert_int_equal(route(s, e), 0);
    assert_int_equal(s->result.n, 0);
    assert_non_null(s->result.filtered);
    assert_string_equal(s->result.filtered, why);
}

static inline void
assert_poison(struct site *s, const struct ls_envelope *e, const char *cause)
{
    assert_int_equal(route(s, e), -1);
    assert_int_equal(s->err.kind, LS_ERR_POISON);
    assert_string_equal(s->err.cause, cause);
    assert_int_equal(s->result.n, 0);
}

static inline void
assert_str(struct ls_str s, const char *expected)
{
    assert_true(ls_str_is(s, expected));
}

/* Two homes, an external storage, an upload area, a federated one; oc_storages read whole. */
static inline int
site_setup(void **state)
{
    struct site *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->arena = ls_arena_new(4u << 20);
    s->known = tf_known_new();
    assert_non_null(s->arena);
    assert_non_null(s->known);
    s->reach = tf_reach_new(PARTITIONS);
    assert_non_null(s->reach);
    s->world = (struct tf_world){.known = s->known,
                                 .zone = &s->zone,
                                 .reach = s->reach,
                                 .instance = "oc1",
                                 .partitions = PARTITIONS,
                                 .partition = 1};
    feed(s, storage_row(s, LS_OP_READ, HOME, "home::alice"));
    feed(s, storage_row(s, LS_OP_READ, OTHER_HOME, "object::user:bob"));
    feed(s, storage_row(s, LS_OP_READ, EXTERNAL, "smb::fs@host//share/"));
    feed(s, storage_row(s, LS_OP_READ, UPLOADS, "local::/srv/data/alice/uploads/"));
    feed(s, storage_row(s, LS_OP_READ, FEDERATED, "shared::0123456789abcdef0123456789abcdef"));
    feed(s, mimetype_row(s, MT_FOLDER, "httpd/unix-directory"));
    feed(s, mimetype_row(s, MT_TEXT, "text/plain"));
    feed(s, row(s, LS_T_STORAGES, LS_OP_END));
    *state = s;
    return 0;
}

static inline int
site_teardown(void **state)
{
    struct site *s = *state;

    tf_known_free(s->known);
    tf_reach_free(s->reach);
    ls_arena_free(s->arena);
    free(s);
    return 0;
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)

#endif
