/*
 * Rows of ownCloud 10 through the real mapping, the records' bytes and apply's core, into a target
 * in memory: what an action writes there, and what is at the target when all is done.
 *
 * A row is a line of text, "I oc_share id=7 share_with='bob' file_source=44": I, U, D or R, the
 * table, columns. What an I leaves out has the usual value of its table; a U names the columns that
 * change, a D the key. The site: alice, bob, carol and dave with homes 1 to 4, bob and carol in the
 * group staff; alice has the folders Papers (44) and Box (46), the file plan.txt (45).
 */
#ifndef FLOW_H
#define FLOW_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/core.h"
#include "common/run.h"
#include "tests/unit/apply/fake_target.h"
#include "tests/unit/apply/options.h"
#include "tests/unit/clock.h"
#include "transform/route.h"
#include <unistd.h>

#define FLOW_ROWS 400
#define FLOW_SHA1 "0123456789012345678901234567890123456789"

struct flow_row {
    const struct ls_table *table;
    struct ls_value values[LS_MAX_COLUMNS];
};

struct flow {
    struct ls_arena *arena;
    struct tf_known *known;
    struct tf_reach *reach;
    struct tf_zone zone;
    struct tf_world world;
    struct tf_route_state state;
    struct flow_row rows[FLOW_ROWS]; /* as the database has them */
    int n_rows;
    int64_t counter;
    char dead[64], warning[64]; /* of the last row; "" for none */
    struct fake_target target;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128];
};

static const char *const flow_defaults[LS_T_COUNT] = {
    [LS_T_FILECACHE] = "storage=1 mimetype=2 size=0 mtime=1700000000 encrypted=0 etag='e' "
                       "permissions=31 checksum=''",
    [LS_T_SHARE] = "share_type=0 uid_owner='alice' uid_initiator='alice' item_type='folder' "
                   "permissions=31 stime=1600000000 accepted=0 file_target='/x' mail_send=0",
    [LS_T_ACCOUNTS] = "state=1 backend='Database'",
    [LS_T_SHARE_EXTERNAL] = "remote='far.example' remote_id='5' name='/Far' owner='zoe' "
                            "user='bob' accepted=0 mountpoint='{{TemporaryMountPointName#/Far}}'",
    [LS_T_TRUSTED_SERVERS] = "status=1",
};

/* ---- lines of text into rows */

static struct ls_value
flow_value(struct flow *f, const char **at)
{
    struct ls_value ret = {.kind = LS_V_NULL};
    char *end, *out;

    if (strncmp(*at, "NULL", 4) == 0) {
        *at += 4;
    } else if (**at == '\'') {
        out = ls_arena_alloc(f->arena, strlen(*at));
        ret = (struct ls_value){.kind = LS_V_TEXT, .s = {out, 0}};
        for ((*at)++; **at && (**at != '\'' || (*at)[1] == '\''); (*at)++) {
            *at += **at == '\'';
            out[ret.s.n++] = **at;
        }
        assert_int_equal(**at, '\'');
        (*at)++;
    } else {
        ret = (struct ls_value){.kind = LS_V_INT, .i = strtoll(*at, &end, 10)};
        assert_true(end > *at);
        *at = end;
    }
    return ret;
}

static void
flow_columns(struct flow *f, const struct ls_table *table, const char *at, struct ls_value *values)
{
    for (;;) {
        size_t n, i = 0;

        at += strspn(at, " ");
        if (!*at)
            return;
        n = strcspn(at, "=");
        while (i < table->n_columns &&
               (strlen(table->columns[i].name) != n || strncmp(table->columns[i].name, at, n) != 0))
            i++;
        if (i == table->n_columns)
            fail_msg("no column here: %s", at);
        at += n + 1;
        values[i] = flow_value(f, &at);
    }
}

static bool
flow_same_key(const struct ls_table *table, const struct ls_value *a, const struct ls_value *b)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].key &&
            (a[i].kind != b[i].kind || a[i].i != b[i].i || !ls_str_eq(a[i].s, b[i].s)))
            return false;
    return true;
}

static struct flow_row *
flow_find(struct flow *f, const struct ls_table *table, const struct ls_value *values)
{
    for (int i = 0; i < f->n_rows; i++)
        if (f->rows[i].table == table && flow_same_key(table, f->rows[i].values, values))
            return &f->rows[i];
    return NULL;
}

/* What other columns follow from. */
static void
flow_derive(struct flow *f, const struct ls_table *table, struct ls_value *v)
{
    if (table->id == LS_T_SHARE && v[SH_ITEM_SOURCE].kind == LS_V_ABSENT)
        v[SH_ITEM_SOURCE] = v[SH_FILE_SOURCE];
    if (table->id == LS_T_FILECACHE && v[FC_MIMETYPE].i == 3 && v[FC_CHECKSUM].s.n == 0) {
        char *text = ls_arena_printf(f->arena, "SHA1:%.30s%010lld MD5:%.32s ADLER32:01234567",
                                     FLOW_SHA1, (long long)v[FC_FILEID].i, FLOW_SHA1);
        v[FC_CHECKSUM] = (struct ls_value){.kind = LS_V_TEXT, .s = ls_str_of(text)};
    }
}

/* ---- rows into records, records into the ledger */

static void
flow_take(struct flow *f, const struct tf_emit *emit, struct ls_str value)
{
    static const struct cs3_type *const types[] = {
        [TF_RESOURCE] = &cs3_resource_type,
        [TF_SPACE] = &cs3_space_type_,
        [TF_PERSON] = &cs3_person_type_,
        [TF_SHARE] = &cs3_share_type_,
    };
    static const char *const topics[] = {
        [TF_RESOURCE] = "cs3.resource",
        [TF_SPACE] = "cs3.space",
        [TF_PERSON] = "cs3.person",
        [TF_SHARE] = "cs3.share",
    };
    struct ls_err err = {0};
    struct ap_origin at = {.topic = topics[emit->topic], .partition = 0, .value = value};
    void *record;

    assert_int_equal(cs3_decode(types[emit->topic], value, f->arena, &record, &err), 0);
    if (emit->topic == TF_RESOURCE)
        ap_take_resource(f->core, &at, record);
    else if (emit->topic == TF_SPACE)
        ap_take_space(f->core, &at, record);
    else if (emit->topic == TF_PERSON)
        ap_take_person(f->core, &at, record);
    else
        ap_take_share(f->core, &at, record);
}

static void
flow_give(struct flow *f, struct ls_envelope *e)
{
    struct tf_result result;
    enum tf_sort sort;
    struct ls_err err = {0};
    struct ls_buf buf;
    struct ls_str values[TF_MAX_EMITS];

    f->dead[0] = f->warning[0] = '\0';
    e->seq = (struct ls_seq){1, ++f->counter, 0};
    e->source_ts_us = 1000000;
    assert_int_equal(tf_known_feed(f->known, e, &err), 0);
    if (tf_route_envelope(&f->world, &f->state, e, f->arena, &result, &sort, &err) < 0) {
        assert_int_equal(err.kind, LS_ERR_POISON);
        snprintf(f->dead, sizeof(f->dead), "%s", err.cause);
        return;
    }
    if (result.n_warnings > 0)
        snprintf(f->warning, sizeof(f->warning), "%s", result.warnings[0]);
    ls_buf_init(&buf, 1u << 20);
    assert_int_equal(tf_encode(&result, &buf, values, &err), 0);
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    for (size_t i = 0; i < result.n; i++)
        if (result.emits[i].record)
            flow_take(f, &result.emits[i], values[i]);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    ls_buf_free(&buf);
}

static struct ls_envelope *
flow_envelope(struct flow *f, const struct ls_table *table, enum ls_op op)
{
    struct ls_envelope *e = ls_arena_alloc(f->arena, sizeof(*e));

    assert_non_null(e);
    e->op = op;
    e->table = table;
    e->moved_from = e->moved_to = e->storage = LS_NO_STORAGE;
    return e;
}

/* A row that changes its storage goes as two halves. */
static void
flow_leave(struct flow *f, struct ls_envelope *e, const struct flow_row *row, int64_t to)
{
    struct ls_envelope *gone = flow_envelope(f, e->table, LS_OP_DELETE);

    gone->has_before = true;
    memcpy(gone->before, row->values, sizeof(gone->before));
    gone->moved_to = to;
    e->moved_from = row->values[FC_STORAGE].i;
    flow_give(f, gone);
}

static void
flow_row(struct flow *f, const char *line)
{
    static const enum ls_op ops[] = {
        ['I'] = LS_OP_CREATE, ['U'] = LS_OP_UPDATE, ['D'] = LS_OP_DELETE, ['R'] = LS_OP_READ};
    const char *name = line + 2 + strlen("oc_");
    size_t n = strcspn(name, " ");
    const struct ls_table *table = ls_table_by_name(name, n);
    struct ls_value values[LS_MAX_COLUMNS] = {0};
    struct ls_envelope *e;
    struct flow_row *row;

    if (!table)
        fail_msg("no table here: %s", line);
    e = flow_envelope(f, table, ops[(int)line[0]]);
    flow_columns(f, table, name + n, values);
    row = flow_find(f, table, values);
    if (line[0] == 'I' || line[0] == 'R') {
        if (flow_defaults[table->id])
            flow_columns(f, table, flow_defaults[table->id], values);
        flow_columns(f, table, name + n, values);
        flow_derive(f, table, values);
    } else {
        if (!row) {
            fail_msg("no such row: %s", line);
            return;
        }
        memcpy(values, row->values, sizeof(values));
        if (line[0] == 'U')
            flow_columns(f, table, name + n, values);
    }
    if (line[0] == 'U' && table->by_storage && row->values[FC_STORAGE].i != values[FC_STORAGE].i)
        flow_leave(f, e, row, values[FC_STORAGE].i);
    e->has_after = line[0] != 'D';
    e->has_before = line[0] == 'U' || line[0] == 'D';
    memcpy(e->before, row ? row->values : values, sizeof(e->before));
    memcpy(e->after, values, sizeof(e->after));
    if (line[0] == 'D') {
        *row = f->rows[--f->n_rows];
    } else {
        if (!row)
            row = &f->rows[f->n_rows++];
        assert_true(f->n_rows <= FLOW_ROWS);
        row->table = table;
        memcpy(row->values, values, sizeof(values));
    }
    flow_give(f, e);
}

/* Of one table: begin, whatever `rows` says, end. */
static struct ls_seq __attribute__((unused))
flow_bracket(struct flow *f, enum ls_table_id table, enum ls_op op, struct ls_seq begin)
{
    struct ls_envelope *e = flow_envelope(f, &ls_tables[table], op);

    e->begin = begin;
    flow_give(f, e);
    return e->seq;
}

/* ---- apply until nothing is left to do but to wait */

static void
flow_settle(struct flow *f)
{
    int64_t until = ls_mono_ms() + 120000;
    struct ap_job *job;
    struct ls_err err = {0};

    do {
        clock_pass_us(200);
        assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
        ap_settle(f->core);
        ap_plan(f->core);
        assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
        ap_send(f->core);
        while ((job = ap_job_next(f->core)) != NULL) {
            ap_job_run(&f->target.writer, job);
            ap_job_back(f->core, job);
        }
        assert_true(ls_mono_ms() < until);
    } while (f->core->n_jobs > 0 ||
             ap_number(f->ledger, 0, "SELECT count(*) FROM work WHERE state <> 1", NULL) > 0);
    assert_int_equal(ap_balance(f->ledger), 0);
    assert_int_equal(f->target.broken, 0);
}

/* ---- what is there, as sorted lines */

static const char *
flow_permissions(int64_t permissions)
{
    static const struct {
        int64_t bits;
        bool folder, download;
        const char *name;
    } sets[] = {
        {1, true, true, "read"},
        {1, true, false, "look"},
        {15, true, true, "edit"},
        {3, false, true, "write"},
        {4, true, true, "drop"},
        {5, true, true, "read+drop"},
        {7, true, true, "write+drop"},
        {15, true, false, "edit-unread"},
        {13, true, true, "all-but-change"},
        {9, true, true, "read+delete"},
    };
    static char hex[24];

    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (cs3_permissions(sets[i].bits, sets[i].folder, sets[i].download) == permissions)
            return sets[i].name;
    snprintf(hex, sizeof(hex), "%llx", (unsigned long long)permissions);
    return hex;
}

struct flow_lines {
    char line[200][400];
    int n;
};

static void __attribute__((format(printf, 2, 3)))
flow_line(struct flow_lines *lines, const char *fmt, ...)
{
    va_list args;

    assert_true(lines->n < 200);
    va_start(args, fmt);
    vsnprintf(lines->line[lines->n++], sizeof(lines->line[0]), fmt, args);
    va_end(args);
}

static int
flow_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void
flow_target_lines(struct flow *f, struct flow_lines *lines)
{
    static const char *const states[] = {"accepted", "pending", "rejected"};
    struct fake_target *t = &f->target;
    char path[4000];

    for (int i = 0; i < t->n_shares; i++) {
        const struct fake_share *share = &t->shares[i];

        if (!share->used || !t->nodes[share->node].used)
            continue;
        fake_path(t, share->node, path, sizeof(path));
        flow_line(lines, "%s%s of %s: %s%s %s%s", fake_in_trash(t, share->node) ? "trashed " : "",
                  path, t->nodes[share->node].space + 1, share->link ? "link" : "",
                  share->link    ? ""
                  : share->group ? "group"
                                 : "user",
                  share->link ? "" : share->grantee + 1, share->link ? "" : " ");
        snprintf(lines->line[lines->n - 1] + strlen(lines->line[lines->n - 1]), 60, "%s%s",
                 flow_permissions(share->permissions), share->expires ? " ends" : "");
        for (int k = 0; k < t->n_received; k++)
            if (t->received[k].used && t->received[k].share == i)
                flow_line(lines, "%s%s of %s: %s %s at %s",
                          fake_in_trash(t, share->node) ? "trashed " : "", path,
                          t->nodes[share->node].space + 1, t->received[k].uid,
                          states[t->received[k].state], t->received[k].mount);
    }
}

static void
flow_open_lines(struct flow *f, struct flow_lines *lines)
{
    char cause[64];
    sqlite3_stmt *s =
        ap_query(f->ledger, "SELECT id, cause FROM work WHERE kind = 5 AND counted = 1", NULL);

    while (ap_step(f->ledger, s)) {
        ap_text(s, 1, cause, sizeof(cause));
        flow_line(lines, "share %lld waits: %s", (long long)sqlite3_column_int64(s, 0), cause);
    }
    s = ap_query(f->ledger, "SELECT id, cause FROM dead WHERE kind = 5", NULL);
    while (ap_step(f->ledger, s)) {
        ap_text(s, 1, cause, sizeof(cause));
        flow_line(lines, "share %lld dead: %s", (long long)sqlite3_column_int64(s, 0), cause);
    }
}

/* All of it, sorted, each line with its newline; until the next call. */
static const char *
flow_text(struct flow *f)
{
    static struct flow_lines lines;
    static char text[80000];
    size_t n = 0;

    lines.n = 0;
    flow_settle(f);
    flow_target_lines(f, &lines);
    flow_open_lines(f, &lines);
    qsort(lines.line, (size_t)lines.n, sizeof(lines.line[0]), flow_compare);
    text[0] = '\0';
    for (int i = 0; i < lines.n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\n", lines.line[i]);
    return text;
}

static void
flow_is(struct flow *f, const char *where, const char *expected)
{
    const char *text = flow_text(f);

    if (strcmp(text, expected) != 0)
        fail_msg("%s\n-- is\n%s-- shall be\n%s", where, text, expected);
}

/* ---- the site */

static void
flow_user(struct flow *f, int n, const char *uid)
{
    char line[200];

    snprintf(line, sizeof(line), "I oc_storages numeric_id=%d id='home::%s'", n, uid);
    flow_row(f, line);
    snprintf(line, sizeof(line), "I oc_accounts id=%d user_id='%s' home='/data/%s'", n, uid, uid);
    flow_row(f, line);
    snprintf(line, sizeof(line), "I oc_filecache fileid=%d storage=%d parent=-1 name='' path=''", n,
             n);
    flow_row(f, line);
    snprintf(line, sizeof(line),
             "I oc_filecache fileid=%d storage=%d parent=%d name='files' path='files'", 10 + n, n,
             n);
    flow_row(f, line);
}

static int
flow_setup(void **state)
{
    static const char *const rows[] = {
        "I oc_groups gid='staff'",
        "I oc_group_user gid='staff' uid='bob'",
        "I oc_group_user gid='staff' uid='carol'",
        "I oc_filecache fileid=21 parent=1 name='files_trashbin' path='files_trashbin'",
        "I oc_filecache fileid=22 parent=21 name='files' path='files_trashbin/files'",
        "I oc_filecache fileid=44 parent=11 name='Papers' path='files/Papers'",
        "I oc_filecache fileid=45 parent=11 name='plan.txt' path='files/plan.txt' mimetype=3 "
        "size=9",
        "I oc_filecache fileid=46 parent=11 name='Box' path='files/Box'",
    };
    static int n;
    struct flow *f = calloc(1, sizeof(*f));
    struct ls_err err = {0};

    assert_non_null(f);
    f->arena = ls_arena_new(64u << 20);
    f->known = tf_known_new();
    f->reach = tf_reach_new(1);
    assert_true(f->arena && f->known && f->reach);
    f->world = (struct tf_world){.instance = "oc10",
                                 .known = f->known,
                                 .zone = &f->zone,
                                 .reach = f->reach,
                                 .partitions = 1,
                                 .partition = 0};
    clock_hold();
    fake_init(&f->target);
    snprintf(f->path, sizeof(f->path), "%s/flow-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    assert_int_equal(ap_ledger_open(f->path, &f->ledger, &err), 0);
    assert_int_equal(
        ap_core_new(f->ledger, &f->target.writer, NULL, &usual_options, &f->core, &err), 0);
    flow_row(f, "I oc_mimetypes id=2 mimetype='httpd/unix-directory'");
    flow_row(f, "I oc_mimetypes id=3 mimetype='text/plain'");
    flow_user(f, 1, "alice");
    flow_user(f, 2, "bob");
    flow_user(f, 3, "carol");
    flow_user(f, 4, "dave");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        flow_row(f, rows[i]);
    flow_is(f, "the site", "");
    *state = f;
    return 0;
}

static int
flow_teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct flow *f = *state;
    char name[160];

    ap_core_free(f->core);
    ap_ledger_close(f->ledger);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", f->path, ends[i]);
        unlink(name);
    }
    fake_free(&f->target);
    tf_known_free(f->known);
    tf_reach_free(f->reach);
    ls_arena_free(f->arena);
    free(f);
    clock_release();
    return 0;
}

/* ---- a test as a table: rows, and after some of them what is there then */
struct flow_step {
    const char *row; /* a line, maybe with " -> dead:<cause>" or " -> warns:<word>"; or NULL */
    const char *is;  /* what is there after it; NULL: not looked */
};

static void __attribute__((unused)) flow_run(struct flow *f, const struct flow_step *steps)
{
    char line[8192], *cause;

    for (int i = 0; steps[i].row || steps[i].is; i++) {
        if (steps[i].row) {
            snprintf(line, sizeof(line), "%s", steps[i].row);
            if ((cause = strstr(line, " -> ")) != NULL) {
                *cause = '\0';
                cause += 4;
            }
            flow_row(f, line);
            if (strcmp(f->dead, cause && cause[0] == 'd' ? cause + 5 : "") != 0 ||
                strcmp(f->warning, cause && cause[0] == 'w' ? cause + 6 : "") != 0)
                fail_msg("%s: dead '%s', warns '%s'", steps[i].row, f->dead, f->warning);
        }
        if (steps[i].is)
            flow_is(f, steps[i].row ? steps[i].row : "then", steps[i].is);
    }
}

/* A test that is nothing but its steps. */
#define SEQUENCE(name, ...)                                                                        \
    static void name(void **state)                                                                 \
    {                                                                                              \
        static const struct flow_step steps[] = {__VA_ARGS__, {NULL, NULL}};                       \
        flow_run(*state, steps);                                                                   \
    }

#define FLOW_TEST(t) cmocka_unit_test_setup_teardown(t, flow_setup, flow_teardown)

/* Index of the target's live node of that path in alice's space; 0: there is none. */
static inline int
flow_at(struct flow *f, const char *path)
{
    char is[4000];

    for (int i = 1; i < f->target.n_nodes; i++)
        if (f->target.nodes[i].used && strcmp(f->target.nodes[i].space, "Salice") == 0 &&
            !fake_in_trash(&f->target, i)) {
            fake_path(&f->target, i, is, sizeof(is));
            if (strcmp(is, path) == 0)
                return i;
        }
    return 0;
}

/* The same of the item of that name in the trash. */
static inline int
flow_trashed(struct flow *f, const char *name)
{
    for (int i = 1; i < f->target.n_nodes; i++)
        if (f->target.nodes[i].used && f->target.nodes[i].trashed &&
            strcmp(f->target.nodes[i].name, name) == 0)
            return i;
    return 0;
}

#endif
