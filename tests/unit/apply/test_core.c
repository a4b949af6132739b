/*
 * apply's core against a target in memory: random histories of ownCloud 10, records in any order
 * that Kafka allows, lost answers, kills; at the end both trees are equal, the counters balance,
 * and reading everything once more makes no call.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/mirror_rows.h"
#include "apply/status.h"
#include "common/run.h"
#include "fake_target.h"
#include "source_model.h"
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct fake_target target;
    struct model model;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128];
    int next[MODEL_PARTITIONS]; /* record to be delivered */
    int64_t seq;
    sqlite3 *mirror; /* of the ledger, or NULL: nothing is sent before it stands there */
    int64_t mirrored;
};

static const struct ap_options options = {
    .drift_stop = true,
    .workers = 8,
    .retry_first_ms = 1,
    .retry_max_ms = 2,
    .content_tries = 3,
    .content_margin_us = 1000,
    .sweep_max_percent = 100,
    .sweep_max_items = 1000000,
    .disable_deleted = true,
};

static void
open_world(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(ap_core_new(w->ledger, &w->target.writer, NULL, &options, &w->core, &err), 0);
    assert_int_equal(ap_ledger_begin(w->ledger, &err), 0);
    ap_recover(w->core);
    ap_shares_make_exact(w->core);
    assert_int_equal(ap_ledger_commit(w->ledger, &err), 0);
}

static void
close_world(struct world *w)
{
    ap_core_free(w->core);
    ap_ledger_close(w->ledger);
    w->core = NULL;
    w->ledger = NULL;
}

static void
remove_files(struct world *w)
{
    char name[160];
    const char *const ends[] = {"", "-wal", "-shm", ".lock"};

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", w->path, ends[i]);
        unlink(name);
    }
}

static const struct ap_origin people = {.topic = "cs3.person", .partition = 0, .offset = 0},
                              spaces = {.topic = "cs3.space", .partition = 0, .offset = 0},
                              shares = {.topic = "cs3.share", .partition = 0, .offset = 0};

static void
give_person(struct world *w, enum cs3_person_type type, const char *uid, const char *gid,
            enum cs3_kind kind)
{
    struct cs3_person p = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                           .type = type,
                           .uid = ls_str_of(uid),
                           .gid = ls_str_of(gid),
                           .display_name = ls_str_of(uid),
                           .enabled = true};
    ap_take_person(w->core, &people, &p);
}

static void
give_space(struct world *w, int64_t storage, const char *owner)
{
    struct cs3_space s = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->seq, 0}},
                          .storage = storage,
                          .type = CS3_SPACE_PERSONAL,
                          .owner = ls_str_of(owner)};
    ap_take_space(w->core, &spaces, &s);
}

static void
begin(struct world *w)
{
    struct ls_err err = {0};
    assert_int_equal(ap_ledger_begin(w->ledger, &err), 0);
}

static void
commit(struct world *w)
{
    struct ls_err err = {0};
    int r = ap_ledger_commit(w->ledger, &err);
    if (r < 0)
        print_error("%s\n", err.msg);
    assert_int_equal(r, 0);
}

static void
give_users(struct world *w)
{
    char owner[8];

    for (int64_t s = 1; s <= MODEL_USERS; s++) {
        snprintf(owner, sizeof(owner), "u%d", (int)s);
        give_space(w, s, owner);
        give_person(w, CS3_USER, owner, "", CS3_UPSERT);
    }
}

static void
start_world(struct world *w)
{
    static int n;

    memset(w, 0, sizeof(*w));
    fake_init(&w->target);
    model_init(&w->model);
    w->target.content = model_content_at;
    w->target.content_arg = &w->model;
    snprintf(w->path, sizeof(w->path), "%s/apply-core-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    remove_files(w);
    open_world(w);
    begin(w);
    give_users(w);
    commit(w);
}

static void
stop_world(struct world *w)
{
    close_world(w);
    sqlite3_close(w->mirror);
    remove_files(w);
    fake_free(&w->target);
    model_free(&w->model);
}

/* ---- records */

static bool
give_next(struct world *w, int32_t partition)
{
    while (w->next[partition] < w->model.n_records) {
        struct model_record *rec = &w->model.records[w->next[partition]++];
        struct ap_origin at = {
            .topic = "cs3.resource", .partition = partition, .offset = w->next[partition]};
        struct cs3_resource r = rec->r;
        if (rec->partition != partition)
            continue;
        r.name = ls_str_of(rec->name);
        r.sha1 = rec->sha1[0] ? ls_str_of(rec->sha1) : LS_STR_NULL;
        r.etag = ls_str_of(rec->etag);
        r.trash_user = ls_str_of(rec->user);
        r.trash_location = ls_str_of(rec->location);
        ap_take_resource(w->core, &at, &r);
        return true;
    }
    return false;
}

static bool
given_all(struct world *w)
{
    for (int p = 0; p < MODEL_PARTITIONS; p++)
        for (int i = w->next[p]; i < w->model.n_records; i++)
            if (w->model.records[i].partition == p)
                return false;
    return true;
}

static void
give_mark(struct world *w, int32_t partition, enum cs3_kind kind, struct ls_seq seq,
          struct ls_seq from)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = partition, .offset = 0};
    struct cs3_head head = {.kind = kind, .seq = seq, .begin = from};
    assert_true(ap_take_mark(w->core, &at, &head, 0));
}

/* An empty first snapshot, so that the next one is a later one. */
static void
give_first_snapshot(struct world *w)
{
    struct ls_seq first = {1, ++w->model.counter, 0};

    begin(w);
    give_mark(w, 1, CS3_BEGIN, first, (struct ls_seq){0});
    give_mark(w, 1, CS3_END, (struct ls_seq){1, ++w->model.counter, 0}, first);
    commit(w);
}

/* ---- rounds */

static void
run_some(struct world *w, int most)
{
    struct ap_job *job;

    for (int i = 0; i < most && (job = ap_job_next(w->core)) != NULL; i++) {
        ap_job_run(&w->target.writer, job);
        if (getenv("LOCKSTEP_TRACE"))
            print_message(
                "call %d of %d/%lld fileid %lld node %lld (%s) parent %lld (%s) %s%s: %d %s\n",
                (int)job->call, (int)job->who.kind, (long long)job->who.id,
                (long long)job->op.fileid, (long long)job->op.node, job->node_id,
                (long long)job->op.parent, job->parent_id, job->op.name,
                job->doubtful ? " doubtful" : "", job->result, job->err.cause);
        ap_job_back(w->core, job);
    }
}

/* ---- the mirror: a table of keys and values */

static int
mirror_put(void *arg, struct ls_str key, struct ls_str value, struct ls_err *err)
{
    struct world *w = arg;
    sqlite3_stmt *s;

    (void)err;
    assert_int_equal(
        sqlite3_prepare_v2(w->mirror, "REPLACE INTO mirror VALUES(?, ?)", -1, &s, NULL), SQLITE_OK);
    sqlite3_bind_text(s, 1, key.p, (int)key.n, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, value.p, (int)value.n, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
    return 0;
}

static void
mirror_begin(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(sqlite3_open(":memory:", &w->mirror), SQLITE_OK);
    sqlite3_exec(w->mirror, "CREATE TABLE mirror(key PRIMARY KEY, value)", NULL, NULL, NULL);
    begin(w);
    assert_int_equal(ap_mirror_watch(w->ledger, &err), 0);
    assert_int_equal(ap_mirror_change_all(w->ledger, &err), 0);
    commit(w);
    w->mirrored = 0;
}

static void
mirror_follow(struct world *w)
{
    struct ap_mirror_reader *reader = NULL;
    struct ls_err err = {0};
    bool whole = false;

    assert_int_equal(ap_mirror_reader_new(w->path, &reader, &err), 0);
    while (!whole)
        assert_int_equal(ap_mirror_read(reader, w->mirrored, 1 + random() % 500, mirror_put, w,
                                        &w->mirrored, &whole, &err),
                         0);
    ap_mirror_reader_free(reader);
    begin(w);
    ap_mirror_given(w->ledger, w->mirrored);
    commit(w);
}

/* The ledger is gone, and what the mirror did not have; another host makes it anew. */
static void
lose_host(struct world *w)
{
    struct ls_err err = {0};
    int64_t seq = w->seq;
    sqlite3_stmt *s;

    run_some(w, (int)(random() % 6)); /* was under way */
    close_world(w);
    remove_files(w);
    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(ap_core_new(w->ledger, &w->target.writer, NULL, &options, &w->core, &err), 0);
    begin(w);
    assert_int_equal(sqlite3_prepare_v2(w->mirror, "SELECT key, value FROM mirror", -1, &s, NULL),
                     SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct ls_str key = {(const char *)sqlite3_column_text(s, 0),
                             (size_t)sqlite3_column_bytes(s, 0)};
        struct ls_str value = {(const char *)sqlite3_column_text(s, 1),
                               (size_t)sqlite3_column_bytes(s, 1)};
        assert_int_equal(ap_mirror_restore(w->ledger, key, value, &err), 0);
    }
    sqlite3_finalize(s);
    ap_mirror_restored(w->ledger);
    commit(w);
    memset(w->next, 0, sizeof(w->next));
    w->seq = 0;
    begin(w);
    assert_int_equal(ap_mirror_watch(w->ledger, &err), 0);
    give_users(w);
    w->seq = seq;
    while (!given_all(w))
        give_next(w, (int32_t)(random() % MODEL_PARTITIONS));
    ap_mirror_caught_up(w->ledger);
    ap_recover(w->core);
    commit(w);
    w->mirrored = 0;
}

static void
round_once(struct world *w, int records)
{
    begin(w);
    ap_settle(w->core);
    for (int i = 0; i < records; i++)
        give_next(w, (int32_t)(random() % MODEL_PARTITIONS));
    ap_plan(w->core);
    commit(w);
    if (w->mirror && random() % 3 == 0)
        return; /* it lags, and what is planned is held */
    if (w->mirror)
        mirror_follow(w);
    ap_send(w->core);
}

/* The process dies: calls that were sent have happened or not. */
static void
kill_world(struct world *w)
{
    run_some(w, (int)(random() % 6));
    if (random() % 2 == 0) { /* in the middle of a transaction */
        begin(w);
        ap_settle(w->core);
        ap_plan(w->core);
    }
    close_world(w);
    open_world(w);
}

static void
print_open(struct world *w)
{
    sqlite3_stmt *s = ap_query(w->ledger,
                               "SELECT kind, id, state, cause, on_kind, on_id, attempts FROM work"
                               " LIMIT 30",
                               NULL);
    while (ap_step(w->ledger, s))
        print_error("open: kind %d id %lld state %d %s on %d/%lld attempts %d\n",
                    sqlite3_column_int(s, 0), (long long)sqlite3_column_int64(s, 1),
                    sqlite3_column_int(s, 2), sqlite3_column_text(s, 3), sqlite3_column_int(s, 4),
                    (long long)sqlite3_column_int64(s, 5), sqlite3_column_int(s, 6));
}

/* The file that is open, and its ancestors on both sides. */
static void
print_chain(struct world *w, int64_t fileid)
{
    struct ap_desired row;
    struct ap_applied node;

    while (ap_desired_get(w->ledger, fileid, &row)) {
        bool have = ap_node_of(w->ledger, fileid, &node);
        print_error("  %lld %s parent %lld storage %lld%s: node %lld %s parent %lld storage %lld\n",
                    (long long)fileid, row.name, (long long)row.parent, (long long)row.storage,
                    row.deleted ? " deleted" : "", have ? (long long)node.id : 0LL,
                    have ? node.name : "", have ? (long long)node.parent : 0LL,
                    have ? (long long)node.storage : 0LL);
        fileid = row.parent;
    }
}

/* Everything delivered and done; what stays open is parked for a reason (`parked` many). */
static void
finish(struct world *w, int64_t parked)
{
    int64_t until = ls_mono_ms() + 240000, open = -1; /* generous: sanitizers, busy machines */

    do {
        round_once(w, 50);
        run_some(w, 1000);
        open = ap_number(w->ledger, -1, "SELECT count(*) FROM work", NULL);
        if (ls_mono_ms() > until) {
            print_open(w);
            print_chain(w, ap_number(w->ledger, 0, "SELECT id FROM work WHERE kind = 1", NULL));
            fail_msg("%lld entities are still open", (long long)open);
        }
    } while (!given_all(w) || open > parked || w->core->n_jobs > 0);
    assert_int_equal(open, parked);
    assert_int_equal(ap_balance(w->ledger), 0);
}

/* ---- both trees as sorted lines */

struct lines {
    char (*line)[1400];
    int n;
};

static int
line_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void
line_add(struct lines *l, const char *space, const char *path, bool trash, bool folder,
         const char *sha1, int64_t mtime)
{
    snprintf(l->line[l->n++], sizeof(l->line[0]), "%s %s %.1200s %s %lld", space,
             trash ? "trash" : "live", path, folder ? "folder" : sha1,
             folder || trash ? 0LL : (long long)mtime);
}

/* One line, or none for what is not carried. */
static void
line_of_row(struct model *m, const struct model_row *row, struct lines *l)
{
    char path[1300], space[8], *dot, *slash;
    bool trash = !row->deleted && row->fileid != m->trash[row->storage] &&
                 model_within(m, row->fileid, m->trash[row->storage]);

    if (!trash && !model_is_live(m, row))
        return;
    snprintf(space, sizeof(space), "Su%d", (int)row->storage);
    model_path(m, row, trash ? m->trash[row->storage] : m->files[row->storage], path, sizeof(path));
    if (trash) { /* without the time behind the item's name */
        slash = strchr(path, '/');
        dot = slash ? slash : path + strlen(path);
        while (dot > path && *dot != '.')
            dot--;
        memmove(dot, slash ? slash : "", strlen(slash ? slash : "") + 1);
    }
    line_add(l, space, path, trash, row->folder, row->sha1, row->mtime);
}

static void
lines_of_model(struct model *m, struct lines *l)
{
    for (int i = 0; i < m->n_rows; i++)
        line_of_row(m, &m->rows[i], l);
}

static void
lines_of_target(struct fake_target *f, struct lines *l)
{
    char path[1300], *from, *to;

    for (int i = 1; i < f->n_nodes; i++) {
        if (!f->nodes[i].used)
            continue;
        bool trash = fake_in_trash(f, i);
        fake_path(f, i, path, sizeof(path));
        while (trash && (from = strstr(path, " (lockstep ")) && (to = strchr(from, ')')))
            memmove(from, to + 1, strlen(to + 1) + 1);
        line_add(l, f->nodes[i].space, path, trash, f->nodes[i].folder, f->nodes[i].sha1,
                 f->nodes[i].mtime);
    }
}

static void
assert_equal_trees(struct world *w)
{
    struct lines want = {calloc(MODEL_ROWS, 1400), 0}, have = {calloc(MODEL_ROWS, 1400), 0};
    int bad = 0;

    lines_of_model(&w->model, &want);
    lines_of_target(&w->target, &have);
    qsort(want.line, (size_t)want.n, sizeof(want.line[0]), line_compare);
    qsort(have.line, (size_t)have.n, sizeof(have.line[0]), line_compare);
    for (int i = 0, j = 0; (i < want.n || j < have.n) && bad < 20;) {
        int c = i == want.n ? 1 : j == have.n ? -1 : strcmp(want.line[i], have.line[j]);
        if (c != 0) {
            print_error("%s %s\n", c < 0 ? "missing" : "extra",
                        c < 0 ? want.line[i] : have.line[j]);
            bad++;
        }
        i += c <= 0;
        j += c >= 0;
    }
    free(want.line);
    free(have.line);
    assert_int_equal(bad, 0);
    if (w->target.broken > 0)
        print_error("broken: %s\n", w->target.what);
    assert_int_equal(w->target.broken, 0);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
}

/* Everything once more from the start: nothing is called. */
static void
assert_replay_is_silent(struct world *w)
{
    int calls = w->target.calls;

    memset(w->next, 0, sizeof(w->next));
    finish(w, 0);
    assert_int_equal(w->target.calls, calls);
}

static int
env_number(const char *name, int fallback)
{
    return getenv(name) ? atoi(getenv(name)) : fallback;
}

/* ---- histories */

static void
history(struct world *w, unsigned seed, bool kills, bool trouble, bool losses)
{
    srandom(seed);
    start_world(w);
    if (losses)
        mirror_begin(w);
    if (trouble) {
        w->target.lost_answers = 60;
        w->target.lost_calls = 40;
        w->target.busy = 40;
        w->target.down = 5;
    }
    for (int n = 0, actions = 20 + (int)(random() % 120); n < actions; n++) {
        model_act(&w->model);
        if (random() % 3 == 0) {
            round_once(w, (int)(random() % 12));
            run_some(w, (int)(random() % 6));
        }
        if (kills && random() % 15 == 0)
            kill_world(w);
        if (losses && random() % 15 == 0)
            lose_host(w);
    }
    finish(w, 0);
}

static void
histories(int n, bool kills, bool trouble, bool losses, unsigned first)
{
    static struct world w;
    unsigned seed = first + (unsigned)env_number("LOCKSTEP_SEED", 0);

    n = env_number("LOCKSTEP_HISTORIES", n);
    for (int i = 0; i < n; i++, seed++) {
        if (getenv("LOCKSTEP_SEED"))
            print_message("seed %u\n", seed);
        history(&w, seed, kills, trouble, losses);
        assert_equal_trees(&w);
        assert_replay_is_silent(&w);
        stop_world(&w);
    }
}

static void
any_history_ends_with_equal_trees(void **state)
{
    (void)state;
    histories(100, false, false, false, 1000);
}

static void
lost_answers_change_nothing_in_the_end(void **state)
{
    (void)state;
    histories(100, false, true, false, 2000);
}

static void
kills_at_any_moment_change_nothing_in_the_end(void **state)
{
    (void)state;
    histories(100, true, true, false, 3000);
}

static void
a_ledger_made_of_its_mirror_goes_on_where_the_lost_one_was(void **state)
{
    (void)state;
    histories(50, true, true, true, 6000);
}

static void
a_host_that_is_lost_when_all_is_done_costs_no_call(void **state)
{
    static struct world w;
    int calls;

    (void)state;
    srandom(7);
    start_world(&w);
    mirror_begin(&w);
    for (int n = 0; n < 100; n++)
        model_act(&w.model);
    finish(&w, 0);
    while (w.mirrored < ap_mirror_last(w.ledger))
        mirror_follow(&w);
    calls = w.target.calls;
    for (int n = 0; n < 2; n++) { /* the second one's mirror is what the first one made of it */
        lose_host(&w);
        finish(&w, 0);
        assert_int_equal(w.target.calls, calls);
        assert_equal_trees(&w);
    }
    stop_world(&w);
}

static void
a_snapshot_of_any_state_is_copied(void **state)
{
    static struct world w;
    int n = env_number("LOCKSTEP_HISTORIES", 150) / 3;

    (void)state;
    for (int i = 0; i < n; i++) {
        srandom((unsigned)(4000 + i));
        start_world(&w);
        for (int a = 0; a < 150; a++)
            model_act(&w.model);
        /* only the last state of each row, in the order of fileids, between brackets */
        struct model *m = &w.model;
        struct model_record *info = calloc((size_t)m->n_records, sizeof(*info));
        int n_info = 0;
        for (int r = 0; r < m->n_records; r++)
            if (m->records[r].r.what == CS3_TRASH_INFO)
                info[n_info++] = m->records[r];
        m->n_records = 0;
        begin(&w);
        for (int32_t p = 0; p < MODEL_PARTITIONS; p++)
            give_mark(&w, p, CS3_BEGIN, (struct ls_seq){1, ++m->counter, 0}, (struct ls_seq){0});
        commit(&w);
        struct ls_seq first = {1, m->counter, 0};
        for (int r = 0; r < m->n_rows; r++)
            if (!m->rows[r].deleted)
                model_changed(m, &m->rows[r]);
        memcpy(&m->records[m->n_records], info, (size_t)n_info * sizeof(*info));
        m->n_records += n_info;
        free(info);
        while (!given_all(&w)) {
            round_once(&w, 20);
            run_some(&w, 100);
        }
        assert_int_equal(w.target.makes + w.target.puts, 0); /* nothing before the end */
        begin(&w);
        for (int32_t p = 0; p < MODEL_PARTITIONS; p++)
            give_mark(&w, p, CS3_END, (struct ls_seq){1, ++m->counter, 0}, first);
        commit(&w);
        finish(&w, 0);
        assert_equal_trees(&w);
        stop_world(&w);
    }
}

/* ---- somebody else at the target */

/* A node that he can work on; 0: none was hit. */
static int
his_pick(struct fake_target *f, bool trash)
{
    int i = f->n_nodes > 1 ? 1 + (int)(random() % (f->n_nodes - 1)) : 0;

    if (i == 0 || !f->nodes[i].used || (trash ? !f->nodes[i].trashed : fake_in_trash(f, i)))
        return 0;
    return i;
}

/* He writes, renames, moves, deletes, or takes something out of the trash. */
static void
his_act(struct fake_target *f, int n)
{
    int i = his_pick(f, false), to = his_pick(f, false), t = his_pick(f, true);

    if (i != 0 && random() % 2 == 0 && !f->nodes[i].folder) {
        snprintf(f->nodes[i].sha1, sizeof(f->nodes[i].sha1), "his %d", n);
        f->nodes[i].mtime = 1900000000 + n;
    } else if (i != 0 && random() % 3 == 0) {
        snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "his name %d", n);
    } else if (i != 0 && to != 0 && random() % 2 == 0 && f->nodes[to].folder &&
               !fake_within(f, to, i) && strcmp(f->nodes[i].space, f->nodes[to].space) == 0) {
        f->nodes[i].parent = to;
        snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "his move %d", n);
    } else if (i != 0 && random() % 3 == 0) {
        f->nodes[i].trashed = true;
        f->nodes[i].parent = 0;
        f->nodes[i].deleted_at = ++f->clock;
    } else if (t != 0) {
        f->nodes[t].trashed = false;
        snprintf(f->nodes[t].name, sizeof(f->nodes[t].name), "his again %d", n);
    }
}

/* His contents are there, and of what he did last in each of them. */
static void
remember_his(const struct fake_target *f, char (*his)[41])
{
    for (int i = 1; i < f->n_nodes; i++)
        if (strncmp(f->nodes[i].sha1, "his ", 4) == 0)
            memcpy(his[i], f->nodes[i].sha1, sizeof(his[i]));
}

static void
nothing_that_somebody_wrote_at_the_target_is_lost(void **state)
{
    static struct world w;
    static char his[FAKE_NODES][41];
    int n = env_number("LOCKSTEP_HISTORIES", 20), found = 0, letters = 0;

    (void)state;
    for (int i = 0; i < n; i++) {
        srandom((unsigned)(9000 + i + env_number("LOCKSTEP_SEED", 0)));
        memset(his, 0, sizeof(his));
        start_world(&w);
        for (int a = 0; a < 120; a++) {
            model_act(&w.model);
            round_once(&w, (int)(random() % 8));
            run_some(&w, (int)(random() % 8));
            his_act(&w.target, a);
            remember_his(&w.target, his);
        }
        for (int r = 0; r < 300; r++) {
            round_once(&w, 50);
            run_some(&w, 1000);
        }
        assert_true(given_all(&w));
        assert_int_equal(ap_balance(w.ledger), 0);
        for (int k = 1; k < w.target.n_nodes; k++) {
            if (!his[k][0])
                continue;
            found++;
            if (!w.target.nodes[k].used)
                fail_msg("history %d: node %d with '%s' is gone", i, k, his[k]);
            assert_string_equal(w.target.nodes[k].sha1, his[k]);
        }
        letters += (int)ap_number(w.ledger, 0,
                                  "SELECT count(*) FROM dead WHERE cause LIKE '%-at-target'", NULL);
        stop_world(&w);
    }
    assert_true(found > n && letters > n);
}

/* ---- single cases */

static void
rename_of_a_folder_with_10000_rows_is_one_move(void **state)
{
    static struct world w;
    struct model_row *folder, *file;
    char name[32];
    int calls;

    (void)state;
    srandom(1);
    start_world(&w);
    folder = model_add(&w.model, 1, w.model.files[1], "big", true);
    model_changed(&w.model, folder);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        file = model_add(&w.model, 1, folder->fileid, name, false);
        model_content(&w.model, file);
        model_changed(&w.model, file);
    }
    finish(&w, 0);
    calls = w.target.calls;
    model_move(&w.model, folder, 1, w.model.files[1], "renamed");
    finish(&w, 0);
    assert_int_equal(w.target.calls, calls + 1);
    assert_int_equal(w.target.moves, 1);
    model_to_trash(&w.model, folder);
    finish(&w, 0);
    assert_int_equal(w.target.calls, calls + 2);
    assert_int_equal(w.target.trashes, 1);
    model_purge(&w.model, folder);
    finish(&w, 0);
    assert_int_equal(w.target.calls, calls + 3);
    assert_int_equal(w.target.purges, 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* In a ledger that looks at nothing before its window is over. */
static void
what_comes_and_goes_within_a_window_costs_no_call_and_many_changes_one(void **state)
{
    static struct world w;
    struct model_row *gone, *kept;
    int calls;

    (void)state;
    start_world(&w);
    kept = model_add(&w.model, 1, w.model.files[1], "kept", false);
    model_content(&w.model, kept);
    model_changed(&w.model, kept);
    finish(&w, 0);
    calls = w.target.calls;
    w.core->options.window_ms = 3600000;
    gone = model_add(&w.model, 1, w.model.files[1], "gone", false);
    model_content(&w.model, gone);
    model_changed(&w.model, gone);
    for (int i = 0; i < 1000; i++) {
        model_content(&w.model, kept);
        model_changed(&w.model, kept);
    }
    model_purge(&w.model, gone);
    while (!given_all(&w)) {
        round_once(&w, 100);
        run_some(&w, 100);
    }
    assert_int_equal(w.target.calls, calls); /* the window is not over */
    w.core->options.window_ms = 0;
    begin(&w);
    ap_exec(w.ledger, "UPDATE work SET ready_at = 0", NULL);
    commit(&w);
    finish(&w, 0);
    assert_int_equal(w.target.calls, calls + 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
what_a_later_snapshot_does_not_name_is_swept(void **state)
{
    static struct world w;
    struct model_row *a, *b;
    struct ls_seq first;

    (void)state;
    start_world(&w);
    give_first_snapshot(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", false);
    model_content(&w.model, a);
    model_changed(&w.model, a);
    b = model_add(&w.model, 1, w.model.files[1], "b", false);
    model_content(&w.model, b);
    model_changed(&w.model, b);
    finish(&w, 0);
    b->deleted = true; /* behind Lockstep's back */
    first = (struct ls_seq){1, ++w.model.counter, 0};
    begin(&w);
    give_mark(&w, 1, CS3_BEGIN, first, (struct ls_seq){0});
    commit(&w);
    for (int i = 0; i < w.model.n_rows; i++)
        if (!w.model.rows[i].deleted)
            model_changed(&w.model, &w.model.rows[i]);
    finish(&w, 0);
    begin(&w);
    give_mark(&w, 1, CS3_END, (struct ls_seq){1, ++w.model.counter, 0}, first);
    commit(&w);
    finish(&w, 0);
    assert_equal_trees(&w);
    assert_int_equal(w.target.purges, 1);
    stop_world(&w);
}

static void
who_waits_longest_is_told_first_and_the_parked_last(void **state)
{
    static struct world w;
    int64_t n = 0;
    json_t *users, *user;

    (void)state;
    start_world(&w);
    begin(&w);
    ap_exec(w.ledger, "DELETE FROM work", NULL);
    ap_exec(w.ledger,
            "INSERT OR REPLACE INTO space(storage, owner) VALUES(501, 'late'),"
            " (502, 'later'), (503, 'parked'), (504, '')",
            NULL);
    ap_exec(w.ledger,
            "INSERT INTO work(kind, id, storage, state, since_us, counted, trouble) VALUES"
            " (1, 1, 502, 0, 50, 1, 0), (1, 2, 501, 0, 20, 1, 0), (1, 3, 501, 1, 10, 1, 1),"
            " (1, 4, 503, 1, 5, 1, 1), (1, 5, 504, 0, 1, 1, 0), (1, 6, 502, 0, 1, 0, 0)",
            NULL);
    users = ap_open_users(w.core, &n);
    assert_int_equal(n, 3);
    assert_int_equal(json_array_size(users), 3);
    user = json_array_get(users, 0);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "late");
    assert_int_equal(json_integer_value(json_object_get(user, "open")), 2);
    assert_int_equal(json_integer_value(json_object_get(user, "parked")), 1);
    assert_int_equal(json_integer_value(json_object_get(user, "oldest_us")), 20);
    user = json_array_get(users, 1);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "later");
    assert_int_equal(json_integer_value(json_object_get(user, "open")), 1);
    user = json_array_get(users, 2);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "parked");
    assert_int_equal(json_integer_value(json_object_get(user, "oldest_us")), 0);
    json_decref(users);
    commit(&w);
    stop_world(&w);
}

static void
a_sweep_above_the_limit_waits_for_a_word(void **state)
{
    static struct world w;
    struct ls_seq first;
    char name[16];

    (void)state;
    start_world(&w);
    give_first_snapshot(&w);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        struct model_row *a = model_add(&w.model, 1, w.model.files[1], name, false);
        model_content(&w.model, a);
        model_changed(&w.model, a);
    }
    finish(&w, 0);
    for (int i = 0; i < w.model.n_rows; i++)
        if (w.model.rows[i].name[0] == 'f' && w.model.rows[i].name[1] != 'i')
            w.model.rows[i].deleted = true;
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 20;
    first = (struct ls_seq){1, ++w.model.counter, 0};
    begin(&w);
    give_mark(&w, 1, CS3_BEGIN, first, (struct ls_seq){0});
    commit(&w);
    for (int i = 0; i < w.model.n_rows; i++)
        if (!w.model.rows[i].deleted)
            model_changed(&w.model, &w.model.rows[i]);
    finish(&w, 0);
    begin(&w);
    give_mark(&w, 1, CS3_END, (struct ls_seq){1, ++w.model.counter, 0}, first);
    commit(&w);
    finish(&w, 0);
    assert_int_equal(w.target.trashes, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT items FROM bracket WHERE state = 3", NULL), 40);
    json_t *sweeps = ap_open_sweeps(w.core), *sweep = json_array_get(sweeps, 0);
    assert_int_equal(json_array_size(sweeps), 1);
    assert_int_equal(json_integer_value(json_object_get(sweep, "items")), 40);
    assert_int_equal(json_array_size(json_object_get(sweep, "examples")), 10);
    sweep = json_array_get(json_object_get(sweep, "examples"), 0);
    assert_memory_equal(json_string_value(json_object_get(sweep, "path")), "files/f", 7);
    assert_true(json_string_length(json_object_get(sweep, "user")) > 0);
    json_decref(sweeps);
    close_world(&w); /* the next start, with a higher limit */
    open_world(&w);
    begin(&w);
    ap_sweep_waiting(w.core);
    commit(&w);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
content_that_never_matches_is_dead_only_after_the_heartbeat(void **state)
{
    static struct world w;
    struct model_row *a;
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1, .offset = 0};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", false);
    model_content(&w.model, a);
    model_changed(&w.model, a);
    a->sha1[0] = 'x'; /* the disk has something else */
    for (int i = 0; i < 60; i++) {
        round_once(&w, 50);
        run_some(&w, 100);
        usleep(1000);
    }
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    assert_true(ap_number(w.ledger, 0, "SELECT tries FROM work WHERE kind = 1", NULL) >= 3);
    begin(&w);
    beat.source_ts_us = ls_now_us() + 1000000;
    assert_true(ap_take_mark(w.core, &at, &beat, 0));
    commit(&w);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM letter", NULL), 1);
    model_changed(&w.model, a); /* a newer row takes it back */
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
the_verdict_on_content_comes_also_when_the_stream_lags_behind_the_tries(void **state)
{
    static struct world w;
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1, .offset = 0};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    struct model_row *a;
    int64_t until = ls_mono_ms() + 60000;

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", false);
    model_content(&w.model, a);
    model_changed(&w.model, a);
    a->erased = true;
    while (ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL) == 0) {
        assert_true(ls_mono_ms() < until);
        round_once(&w, 50);
        run_some(&w, 100);
        begin(&w);
        beat.source_ts_us = ls_now_us() - 200000; /* a try is made more often than that */
        assert_true(ap_take_mark(w.core, &at, &beat, 0));
        ap_exec(w.ledger, "UPDATE work SET ready_at = 0 WHERE state = 0", NULL);
        commit(&w);
    }
    stop_world(&w);
}

static void
bytes_that_cannot_be_read_are_a_dead_letter_and_the_rest_goes_on(void **state)
{
    static struct world w;
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1, .offset = 7};
    struct ls_err why = {0};

    (void)state;
    start_world(&w);
    ls_fail_cause(&why, LS_ERR_POISON, 0, "malformed-avro", "no Avro");
    begin(&w);
    ap_take_malformed(w.core, &at, LS_STR("k"), LS_STR("\001\002"), &why);
    commit(&w);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT offset FROM letter", NULL), 7);
    stop_world(&w);
}

static void
a_second_apply_is_kept_off_the_ledger(void **state)
{
    static struct world w;
    struct ap_ledger *second = NULL;
    struct ls_err err = {0};

    (void)state;
    start_world(&w);
    assert_int_equal(ap_ledger_open(w.path, &second, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_null(second);
    stop_world(&w);
}

static void
only_apply_may_read_the_ledger(void **state)
{
    static const char *const beside[] = {"", "-wal", "-shm"};
    static struct world w;

    (void)state;
    start_world(&w);
    close_world(&w);
    assert_int_equal(chmod(w.path, 0644), 0); /* as an older version left it */
    open_world(&w);
    for (size_t i = 0; i < 3; i++) {
        char name[4200];
        struct stat st;

        snprintf(name, sizeof(name), "%s%s", w.path, beside[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    stop_world(&w);
}

/* ---- what moves between spaces */

static int64_t no_room_storage; /* puts into the space of this storage's owner answer "quota" */
static const char *bad_owner;   /* ... of this one "no-user" */

static int
put_with_trouble(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                 const char *parent_id, const char *name, const struct ap_blob_want *blob,
                 int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful,
                 struct ap_node *ret, struct ls_err *err)
{
    if (no_room_storage != 0 && atoi(space->owner + 1) == no_room_storage)
        return ls_fail_cause(err, LS_ERR_RETRY, 507, "quota", "full");
    if (bad_owner && strcmp(space->owner, bad_owner) == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "no-user", "nobody of that name");
    return fake_put_file(w, space, node_id, parent_id, name, blob, mtime, mtime_ns, expect,
                         doubtful, ret, err);
}

static struct ap_writer_ops ops_with_trouble;

static void
trouble_on(struct world *w)
{
    ops_with_trouble = *w->target.writer.ops;
    ops_with_trouble.put_file = put_with_trouble;
    w->target.writer.ops = &ops_with_trouble;
}

static void
rounds(struct world *w, int n)
{
    for (int i = 0; i < n; i++) {
        round_once(w, 50);
        run_some(w, 100);
        usleep(500);
    }
}

static struct model_row *
add_file(struct world *w, int64_t storage, int64_t parent, const char *name)
{
    struct model_row *file = model_add(&w->model, storage, parent, name, false);

    model_content(&w->model, file);
    model_changed(&w->model, file);
    return file;
}

static void
the_old_copy_goes_only_when_the_new_one_is_there(void **state)
{
    static struct world w;
    struct model_row *a, *b, *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    b = add_file(&w, 1, folder->fileid, "b");
    finish(&w, 0);
    no_room_storage = 2;
    model_move(&w.model, a, 2, w.model.files[2], "a");
    model_move(&w.model, folder, 2, w.model.files[2], "d");
    rounds(&w, 60);
    assert_int_equal(w.target.trashes + w.target.purges, 0);
    model_move(&w.model, b, 2, w.model.files[2], "c"); /* out of what is left over */
    rounds(&w, 60);
    assert_int_equal(w.target.trashes + w.target.purges, 0);
    model_move(&w.model, a, 1, w.model.files[1], "a"); /* and back again */
    no_room_storage = 0;
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* ---- content that ownCloud itself has lost */

/* Time passes: heartbeats come, and who waits for a timer is due. Ends when all that is left waits
 * for somebody to look into a dead letter. */
static void
given_up(struct world *w)
{
    struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    int64_t until = ls_mono_ms() + 240000, open = -1;

    do {
        round_once(w, 50);
        run_some(w, 1000);
        begin(w);
        beat.source_ts_us = ls_now_us() + 1000000;
        for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++)
            assert_true(ap_take_mark(w->core, &at, &beat, 0));
        ap_exec(w->ledger, "UPDATE work SET ready_at = 0 WHERE state = 0", NULL);
        commit(w);
        open = ap_number(w->ledger, -1,
                         "SELECT count(*) FROM work WHERE state <> 1 OR trouble = 0"
                         " OR cause NOT IN ('copy-kept', 'with-parent')",
                         NULL);
        if (ls_mono_ms() > until) {
            print_open(w);
            fail_msg("%lld entities are still open", (long long)open);
        }
    } while (!given_all(w) || open > 0 || w->core->n_jobs > 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static bool
line_in(const struct lines *l, const char *line)
{
    return bsearch(line, l->line, (size_t)l->n, sizeof(l->line[0]), line_compare) != NULL;
}

static void
without_content(char *line)
{
    for (int i = 0; i < 2; i++)
        *strrchr(line, ' ') = '\0';
}

/* As assert_equal_trees, but files whose content is lost may be missing or have an older content,
 * at their place nevertheless; and a copy that is the last one may lie in the trash where it was.
 */
static void
assert_equal_but_for_lost_content(struct world *w)
{
    struct lines want = {calloc(MODEL_ROWS, 1400), 0}, lost = {calloc(MODEL_ROWS, 1400), 0},
                 have = {calloc(MODEL_ROWS, 1400), 0};
    int bad = 0;

    lines_of_model(&w->model, &want);
    for (int i = 0; i < w->model.n_rows; i++)
        if (w->model.rows[i].erased)
            line_of_row(&w->model, &w->model.rows[i], &lost);
    for (int i = 0; i < lost.n; i++)
        without_content(lost.line[i]);
    lines_of_target(&w->target, &have);
    qsort(want.line, (size_t)want.n, sizeof(want.line[0]), line_compare);
    qsort(lost.line, (size_t)lost.n, sizeof(lost.line[0]), line_compare);
    for (int i = 0; i < have.n; i++) {
        char text[1400], *path;
        memcpy(text, have.line[i], sizeof(text));
        without_content(text);
        path = strstr(text, " trash ");
        if (!line_in(&want, have.line[i]) && !line_in(&lost, text) &&
            !(path &&
              ap_number(w->ledger, 0, "SELECT count(*) FROM node WHERE leftover = 1", NULL) > 0)) {
            print_error("extra %s\n", have.line[i]);
            bad++;
        }
    }
    qsort(have.line, (size_t)have.n, sizeof(have.line[0]), line_compare);
    for (int i = 0; i < want.n; i++) {
        char text[1400];
        memcpy(text, want.line[i], sizeof(text));
        without_content(text);
        if (!line_in(&have, want.line[i]) && !line_in(&lost, text)) {
            print_error("missing %s\n", want.line[i]);
            bad++;
        }
    }
    free(want.line);
    free(lost.line);
    free(have.line);
    assert_int_equal(bad, 0);
    assert_int_equal(w->target.broken, 0);
}

/* Is a node of that name there? 1 live, 2 in the trash. */
static int
target_has(struct world *w, const char *name)
{
    for (int i = 1; i < w->target.n_nodes; i++)
        if (w->target.nodes[i].used && strcmp(w->target.nodes[i].name, name) == 0)
            return fake_in_trash(&w->target, i) ? 2 : 1;
    return 0;
}

static void
the_end_does_not_depend_on_when_content_was_lost(void **state)
{
    static struct world w;
    int n = env_number("LOCKSTEP_HISTORIES", 25);
    unsigned seed = 70000 + (unsigned)env_number("LOCKSTEP_SEED", 0);

    (void)state;
    for (int i = 0; i < n; i++, seed++) {
        if (getenv("LOCKSTEP_SEED"))
            print_message("seed %u\n", seed);
        srandom(seed);
        start_world(&w);
        for (int a = 0, actions = 20 + (int)(random() % 120); a < actions; a++) {
            struct model_row *row = &w.model.rows[random() % w.model.n_rows];
            if (random() % 4 == 0 && row->sha1[0])
                row->erased = true;
            model_act(&w.model);
            if (random() % 3 == 0) {
                round_once(&w, (int)(random() % 12));
                run_some(&w, (int)(random() % 6));
            }
            if (random() % 20 == 0)
                given_up(&w);
        }
        given_up(&w);
        assert_equal_but_for_lost_content(&w);
        stop_world(&w);
    }
}

static void
a_file_moved_to_somebody_else_whose_content_was_erased_in_his_trash_leaves_nothing_behind(
    void **state)
{
    static struct world w;
    struct model_row *a, *folder;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    folder = model_add(&w.model, 2, w.model.files[2], "d", true);
    model_changed(&w.model, folder);
    finish(&w, 0);
    model_move(&w.model, a, 2, folder->fileid, "b");
    model_to_trash(&w.model, folder);
    a->erased = true;
    given_up(&w);
    assert_int_equal(target_has(&w, "a"), 0);
    assert_int_equal(target_has(&w, "d"), 2);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM node WHERE leftover = 1", NULL),
                     0);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    stop_world(&w);
}

static void
the_last_copy_of_a_live_file_waits_in_the_trash_until_its_content_is_found(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    model_move(&w.model, a, 2, w.model.files[2], "b");
    a->erased = true;
    given_up(&w);
    assert_int_equal(target_has(&w, "a"), 2); /* not where its old owner would still see it */
    assert_int_equal(w.target.purges, 0);
    a->erased = false;
    model_changed(&w.model, a);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_file_that_cannot_get_its_new_content_is_moved_trashed_and_deleted_all_the_same(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    model_content(&w.model, a);
    a->erased = true;
    model_changed(&w.model, a);
    given_up(&w);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    model_move(&w.model, a, 1, w.model.files[1], "b");
    given_up(&w);
    assert_int_equal(target_has(&w, "b"), 1);
    model_to_trash(&w.model, a);
    given_up(&w);
    assert_int_equal(target_has(&w, "b"), 2);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    model_purge(&w.model, a);
    finish(&w, 0);
    assert_int_equal(target_has(&w, "b"), 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static const char *refused_name; /* moves to this name are refused for good */

static int
move_refused(struct ap_writer *w, const struct ap_space *space, const char *node_id,
             const char *parent_id, const char *name, const struct ap_expect *expect, bool doubtful,
             struct ls_err *err)
{
    if (refused_name && strcmp(name, refused_name) == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 400, "refused", "no such name");
    return fake_move(w, space, node_id, parent_id, name, expect, doubtful, err);
}

static void
a_name_held_by_a_dead_letter_is_given_to_who_shall_have_it(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.move = move_refused;
    refused_name = "bad";
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    model_move(&w.model, a, 1, w.model.files[1], "bad");
    finish(&w, 0);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    assert_int_equal(target_has(&w, "a"), 1);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    refused_name = NULL;
    model_changed(&w.model, a);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
calls_that_are_made_again_are_counted_by_cause(void **state)
{
    static struct world w;
    int64_t busy = 0, others = 0;
    char name[16];

    (void)state;
    srandom(7);
    start_world(&w);
    w.target.busy = 300;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    finish(&w, 0);
    for (size_t i = 0; i < AP_RETRY_CAUSES; i++) {
        if (strcmp(w.core->retries[i].cause, "busy") == 0)
            busy += w.core->retries[i].n;
        else
            others += w.core->retries[i].n;
    }
    assert_true(busy > 0);
    assert_int_equal(others, 0);
    assert_true(w.core->content_bytes > 0);
    assert_true(ap_ledger_bytes(w.ledger) > 0);
    stop_world(&w);
}

static void
one_who_cannot_sign_in_holds_up_nobody_else(void **state)
{
    static struct world w;
    char name[16];

    (void)state;
    start_world(&w);
    trouble_on(&w);
    finish(&w, 0);
    bad_owner = "u1";
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    rounds(&w, 20);
    add_file(&w, 2, w.model.files[2], "hers");
    rounds(&w, 40);
    assert_int_equal(w.target.puts, 1);
    assert_false(w.core->paused);
    bad_owner = NULL;
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_first_copy_goes_on_when_the_last_trash_item_is_parked(void **state)
{
    static struct world w;
    struct model_row *twin, *other;

    (void)state;
    start_world(&w);
    twin = model_add(&w.model, 1, w.model.trash[1], "t.d1700000000", false);
    model_content(&w.model, twin);
    model_changed(&w.model, twin);
    other = model_add(&w.model, 1, w.model.trash[1], "t.d1700000000", false);
    memcpy(other->sha1, twin->sha1, sizeof(other->sha1)); /* one path, one content */
    model_changed(&w.model, other);
    add_file(&w, 1, w.model.files[1], "live");
    rounds(&w, 200);
    assert_int_equal(w.target.puts, 2);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM work WHERE kind = 1", NULL), 1);
    stop_world(&w);
}

static void
rows_of_a_deleted_storage_without_a_space_cost_nothing_while_they_wait(void **state)
{
    static struct world w;
    struct cs3_space gone = {
        .head = {.kind = CS3_DELETE}, .storage = 9, .type = CS3_SPACE_PERSONAL};
    int busy = 0;

    (void)state;
    start_world(&w);
    begin(&w);
    give_space(&w, 9, "u1");
    gone.head.seq = (struct ls_seq){1, ++w.seq, 0};
    ap_take_space(w.core, &spaces, &gone);
    commit(&w);
    ap_exec(w.ledger, "UPDATE space SET ready = 0, deleted = 1 WHERE storage = 1", NULL);
    add_file(&w, 1, w.model.files[1], "a");
    rounds(&w, 50);
    for (int i = 0; i < 50; i++) {
        busy += ap_idle_ms(w.core, 50) == 0;
        rounds(&w, 1);
    }
    assert_int_equal(busy, 0);
    stop_world(&w);
}

static void
half_a_move_is_a_dead_letter_once_every_partition_was_read_past_it_and_the_copy_stays(void **state)
{
    static struct world w;
    struct model_row *a;
    struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    struct cs3_resource half = {.head = {.kind = CS3_DELETE, .source_ts_us = 1000000},
                                .what = CS3_NODE,
                                .storage = 1,
                                .moved_to = 2,
                                .moved_from = LS_NO_STORAGE};

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    half.fileid = a->fileid;
    half.head.seq = (struct ls_seq){1, ++w.model.counter, 0};
    a->deleted = true;
    begin(&w);
    ap_take_resource(w.core, &at, &half);
    commit(&w);
    beat.source_ts_us = 5000000;
    for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++) {
        ap_exec(w.ledger, "INSERT OR IGNORE INTO offset VALUES('cs3.resource', ?, 1, 0)", "i",
                (int64_t)at.partition);
    }
    for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++) {
        rounds(&w, 5);
        assert_int_equal(w.target.trashes, 0);
        begin(&w);
        assert_true(ap_take_mark(w.core, &at, &beat, 0));
        commit(&w);
        w.core->half_moves_at = 0;
    }
    finish(&w, 0);
    assert_int_equal(w.target.trashes + w.target.purges, 0); /* the only copy stays */
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE cause = 'half-move'", NULL), 1);
    stop_world(&w);
}

static void
encrypted_content_is_a_dead_letter_and_a_newer_row_takes_it_back(void **state)
{
    static struct world w;
    struct ap_key key;

    (void)state;
    start_world(&w);
    key = (struct ap_key){AP_NODE, add_file(&w, 1, w.model.files[1], "a")->fileid};
    begin(&w);
    while (give_next(&w, 1) || give_next(&w, 0))
        ;
    ap_exec(w.ledger, "UPDATE desired SET encrypted = 1 WHERE fileid = ?", "i", key.id);
    commit(&w);
    finish(&w, 0);
    assert_int_equal(w.target.puts, 0);
    assert_true(ap_is_dead(w.ledger, key));
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM letter WHERE message LIKE '%has encrypted%'",
                               NULL),
                     1);
    /* one that stands for no record, as after a look from aside, must not stay either */
    ap_exec(w.ledger, "UPDATE dead SET counted = 0", NULL);
    ap_count(w.ledger, "superseded", 1);
    model_changed(&w.model, model_row(&w.model, key.id));
    finish(&w, 0);
    assert_false(ap_is_dead(w.ledger, key));
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_storage_whose_space_is_taken_is_a_dead_letter(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w);
    finish(&w, 0);
    begin(&w);
    give_space(&w, 9, "u1"); /* object::user:u1 beside home::u1 */
    commit(&w);
    finish(&w, 0);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE cause = 'space-taken'", NULL), 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT ready FROM space WHERE storage = 9", NULL), 0);
    stop_world(&w);
}

/* A file of a storage that nobody watches at the target; all in one partition. */
static void
give_file(struct world *w, int64_t storage, int64_t fileid)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_resource r = {.head = {.seq = {1, ++w->model.counter, 0}},
                             .storage = storage,
                             .fileid = fileid,
                             .parent = fileid + 1,
                             .name = LS_STR("x"),
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};

    ap_take_resource(w->core, &at, &r);
}

/* Returns the seq; `from` is that of the begin. */
static struct ls_seq
give_storage_mark(struct world *w, int64_t storage, enum cs3_kind kind, struct ls_seq from)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_resource r = {
        .head = {.kind = kind, .seq = {1, ++w->model.counter, 0}, .begin = from},
        .storage = storage,
        .name = LS_STR("")};

    ap_take_resource(w->core, &at, &r);
    return r.head.seq;
}

static int64_t
alive(struct world *w, int64_t storage)
{
    return ap_number(w->ledger, -1,
                     "SELECT count(*) FROM desired WHERE storage = ? AND deleted = 0", "i",
                     storage);
}

static void
the_snapshot_of_a_storage_sweeps_that_storage_alone(void **state)
{
    static struct world w;
    struct ls_seq first, none = {0};
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_resource leaving = {.head = {.kind = CS3_DELETE},
                                   .storage = 101,
                                   .fileid = 90003,
                                   .moved_to = 999,
                                   .moved_from = LS_NO_STORAGE};

    (void)state;
    start_world(&w);
    begin(&w);
    for (int64_t id = 90000; id < 90004; id++) {
        give_file(&w, 101, id);
        give_file(&w, 201, id + 1000); /* of the same partition */
    }
    leaving.head.seq = (struct ls_seq){1, ++w.model.counter, 0};
    ap_take_resource(w.core, &at, &leaving);
    first = give_storage_mark(&w, 101, CS3_BEGIN, none);
    give_file(&w, 101, 90000);
    commit(&w);
    assert_int_equal(alive(&w, 101), 3);
    begin(&w);
    give_storage_mark(&w, 101, CS3_END, first);
    commit(&w);
    assert_int_equal(alive(&w, 101), 1);
    assert_int_equal(alive(&w, 201), 4);
    /* the half that waits for its other one waits on */
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT moved_to FROM desired WHERE fileid = 90003", NULL), 999);
    /* brackets of the whole partition know nothing of it */
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM bracket WHERE epoch = 1 AND counter = ?", "i",
                               first.counter),
                     0);
    stop_world(&w);
}

static void
a_begin_without_an_end_sweeps_nothing_and_the_next_one_counts(void **state)
{
    static struct world w;
    struct ls_seq first, second, none = {0};

    (void)state;
    start_world(&w);
    begin(&w);
    give_file(&w, 101, 90000);
    first = give_storage_mark(&w, 101, CS3_BEGIN, none); /* cancelled */
    give_file(&w, 101, 90001);
    second = give_storage_mark(&w, 101, CS3_BEGIN, none);
    give_file(&w, 101, 90002);
    commit(&w);
    assert_int_equal(alive(&w, 101), 3);
    begin(&w);
    give_storage_mark(&w, 101, CS3_END, first); /* read once more */
    commit(&w);
    assert_int_equal(alive(&w, 101), 3);
    begin(&w);
    give_storage_mark(&w, 101, CS3_END, second);
    commit(&w);
    assert_int_equal(alive(&w, 101), 1);
    stop_world(&w);
}

static void
the_sweep_of_a_storage_above_the_limit_waits_for_a_word(void **state)
{
    static struct world w;
    struct ls_seq first, none = {0};

    (void)state;
    start_world(&w);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 1;
    begin(&w);
    for (int64_t id = 90000; id < 90010; id++)
        give_file(&w, 101, id);
    for (int64_t id = 91000; id < 91090; id++)
        give_file(&w, 201, id); /* others do not make it less */
    first = give_storage_mark(&w, 101, CS3_BEGIN, none);
    for (int64_t id = 90002; id < 90010; id++)
        give_file(&w, 101, id);
    give_storage_mark(&w, 101, CS3_END, first);
    commit(&w);
    assert_int_equal(alive(&w, 101), 10);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT items FROM bracket_storage WHERE state = 3", NULL), 2);
    begin(&w);
    give_storage_mark(&w, 101, CS3_END, (struct ls_seq){1, 1, 0}); /* an older one, once more */
    commit(&w);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT items FROM bracket_storage WHERE state = 3", NULL), 2);
    json_t *sweeps = ap_open_sweeps(w.core), *sweep = json_array_get(sweeps, 0);
    assert_int_equal(json_array_size(sweeps), 1);
    assert_int_equal(json_integer_value(json_object_get(sweep, "storage")), 101);
    /* 90000 lies below 90001 */
    assert_int_equal(json_array_size(json_object_get(sweep, "examples")), 1);
    sweep = json_array_get(json_object_get(sweep, "examples"), 0);
    assert_int_equal(json_integer_value(json_object_get(sweep, "fileid")), 90001);
    json_decref(sweeps);
    w.core->options.sweep_max_items = 2;
    begin(&w);
    ap_sweep_waiting(w.core);
    commit(&w);
    assert_int_equal(alive(&w, 101), 8);
    stop_world(&w);
}

static void
a_sweep_of_people_above_the_limit_waits(void **state)
{
    static struct world w;
    struct cs3_head head = {.kind = CS3_BEGIN, .seq = {2, 1, 0}};

    (void)state;
    start_world(&w);
    finish(&w, 0);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 1;
    begin(&w);
    assert_true(ap_take_mark(w.core, &people, &head, 0));
    head = (struct cs3_head){.kind = CS3_END, .seq = {2, 2, 0}, .begin = {2, 1, 0}};
    assert_true(ap_take_mark(w.core, &people, &head, 0));
    commit(&w);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM person WHERE deleted = 1", NULL),
                     0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT items FROM bracket WHERE state = 3", NULL),
                     MODEL_USERS);
    stop_world(&w);
}

static int folders_busy, folders_gone;

static int
make_folder_with_trouble(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                         const char *name, const struct ap_expect *expect, bool doubtful,
                         struct ap_node *ret, struct ls_err *err)
{
    if (folders_busy > 0 && folders_busy-- > 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "busy", "locked");
    if (folders_gone > 0 && folders_gone-- > 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "parent-gone", "no parent for a moment");
    return fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err);
}

static void
a_parent_is_forgotten_after_three_answers_of_that_kind_only(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.make_folder = make_folder_with_trouble;
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    finish(&w, 0);
    folders_busy = 6;
    folders_gone = 2;
    model_changed(&w.model, model_add(&w.model, 1, folder->fileid, "e", true));
    finish(&w, 0);
    assert_int_equal(folders_busy + folders_gone, 0);
    assert_int_equal(w.target.makes, 2); /* the parent was not made anew */
    assert_int_equal(w.core->lost, 0);
    assert_equal_trees(&w);
    folders_gone = 3;
    model_changed(&w.model, model_add(&w.model, 1, folder->fileid, "f", true));
    for (int n = 0; n < 100000 && w.core->lost == 0; n++) {
        round_once(&w, 50);
        run_some(&w, 1000);
    }
    assert_int_equal(w.core->lost, 1);
    stop_world(&w);
}

static int
make_folder_where_a_file_is(struct ap_writer *w, const struct ap_space *space,
                            const char *parent_id, const char *name, const struct ap_expect *expect,
                            bool doubtful, struct ap_node *ret, struct ls_err *err)
{
    if (folders_busy == 0)
        return fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err);
    folders_busy--;
    snprintf(ret->id, sizeof(ret->id), "somebody's-file");
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "taken", "a file has that name");
}

static void
a_file_at_the_target_is_never_taken_for_the_folder_of_that_name(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.make_folder = make_folder_where_a_file_is;
    folders_busy = 1;
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    finish(&w, 0);
    assert_int_equal(folders_busy, 0);
    assert_int_equal(w.target.makes, 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

static int
make_folder_then_nobody(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                        const char *name, const struct ap_expect *expect, bool doubtful,
                        struct ap_node *ret, struct ls_err *err)
{
    if (folders_busy == 0)
        return fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err);
    if (folders_busy-- < 40)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "no-user", "nobody of that name");
    if (fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err) < 0)
        return -1;
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the answer was lost");
}

static void
what_was_made_is_not_forgotten_while_its_owner_cannot_sign_in(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.make_folder = make_folder_then_nobody;
    finish(&w, 0);
    folders_busy = 40;
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    while (folders_busy > 30)
        rounds(&w, 1);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT trouble FROM work WHERE cause = 'no-user'", NULL), 1);
    model_purge(&w.model, folder);
    finish(&w, 0);
    assert_int_equal(w.target.makes, 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* ---- shares */

static void
give_share(struct world *w, int64_t id, enum cs3_share_type type, int64_t parent, int64_t fileid,
           const char *grantee, int64_t permissions, enum cs3_share_state state, enum cs3_kind kind)
{
    struct cs3_share s = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                          .id = id,
                          .type = type,
                          .parent = parent,
                          .fileid = fileid,
                          .owner = LS_STR("u1"),
                          .creator = LS_STR("u1"),
                          .grantee = ls_str_of(grantee),
                          .permissions = permissions,
                          .stime = id,
                          .state = state,
                          .mount_point = LS_STR("/a")};
    begin(w);
    ap_take_share(w->core, &shares, &s);
    commit(w);
}

static void
give_link(struct world *w, int64_t id, int64_t fileid, const char *token, const char *hash)
{
    struct cs3_share s = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->seq, 0}},
                          .id = id,
                          .type = CS3_SHARE_LINK,
                          .fileid = fileid,
                          .owner = LS_STR("u1"),
                          .creator = LS_STR("u1"),
                          .permissions = 1,
                          .stime = 1000 + id,
                          .has_password = hash != NULL,
                          .token = ls_str_of(token),
                          .password_hash = ls_str_of(hash)};
    begin(w);
    ap_take_share(w->core, &shares, &s);
    commit(w);
}

static void
an_exact_writer_is_given_rows_times_and_secrets_and_each_change_of_them(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    model_changed(&w.model, a);
    give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    give_link(&w, 8, a->fileid, "token1", "hash1");
    finish(&w, 0);
    assert_int_equal(w.target.share_sets + w.target.link_sets, 2);
    /* for others a token is no reason to call */
    give_link(&w, 8, a->fileid, "token2", "hash1");
    finish(&w, 0);
    assert_int_equal(w.target.link_sets, 1);
    /* with the credentials of the files everything is given once more, and once only */
    for (int i = 0; i < 2; i++) {
        close_world(&w);
        w.target.writer.exact = true;
        open_world(&w);
        finish(&w, 0);
        assert_int_equal(w.target.share_sets, 2);
        assert_int_equal(w.target.link_sets, 2);
    }
    assert_int_equal(w.target.shares[0].row, 7);
    assert_int_equal(w.target.shares[0].ctime, 7);
    assert_int_equal(w.target.shares[1].row, 8);
    assert_int_equal(w.target.shares[1].ctime, 1008);
    assert_string_equal(w.target.shares[1].token, "token2");
    give_link(&w, 8, a->fileid, "token2", "hash2");
    finish(&w, 0);
    assert_int_equal(w.target.link_sets, 3);
    assert_string_equal(w.target.shares[1].hash, "hash2");
    give_link(&w, 8, a->fileid, "token2", "hash2");
    give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.share_sets + w.target.link_sets, 5);
    /* a link without secrets does not get those of the one looked at before */
    give_link(&w, 9, a->fileid, NULL, NULL);
    finish(&w, 0);
    assert_string_equal(w.target.shares[2].token, "");
    stop_world(&w);
}

static void
what_may_have_been_made_before_a_crash_is_taken_away_when_nobody_wants_it_any_more(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    for (int link = 0; link < 2; link++) {
        start_world(&w);
        w.target.writer.exact = true;
        a = model_add(&w.model, 1, w.model.files[1], "a", true);
        model_changed(&w.model, a);
        finish(&w, 0);
        if (link)
            give_link(&w, 8, a->fileid, "token", NULL);
        else
            give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED,
                       CS3_UPSERT);
        round_once(&w, 10); /* sent; that is the last we hear of it */
        close_world(&w);
        open_world(&w);
        give_share(&w, link ? 8 : 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, a->fileid,
                   link ? NULL : "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        finish(&w, 0);
        assert_string_equal(w.target.removed, link ? "8" : "st:Su1:7");
        assert_int_equal(w.target.share_sets + w.target.link_sets, 0);
        w.target.removed[0] = '\0'; /* and that once */
        give_share(&w, link ? 8 : 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, a->fileid,
                   link ? NULL : "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        finish(&w, 0);
        assert_string_equal(w.target.removed, "");
        stop_world(&w);
    }
}

static void
rows_of_one_recipient_fold_into_one_share(void **state)
{
    static struct world w;
    struct model_row *a;
    int calls;

    (void)state;
    start_world(&w);
    /* before its file and its recipient's group */
    give_share(&w, 1, CS3_SHARE_USER, 0, 100 + w.model.n_rows, "u2", 1, CS3_SHARE_ACCEPTED,
               CS3_UPSERT);
    give_share(&w, 2, CS3_SHARE_USER, 0, 100 + w.model.n_rows, "u2", 4, CS3_SHARE_PENDING,
               CS3_UPSERT);
    give_share(&w, 3, CS3_SHARE_GROUP, 0, 100 + w.model.n_rows, "g", 1, CS3_SHARE_ACCEPTED,
               CS3_UPSERT);
    give_share(&w, 4, CS3_SHARE_MEMBER, 3, 100 + w.model.n_rows, "u3", 1, CS3_SHARE_REJECTED,
               CS3_UPSERT);
    give_share(&w, 5, CS3_SHARE_LINK, 0, 100 + w.model.n_rows, NULL, 1, CS3_SHARE_ACCEPTED,
               CS3_UPSERT);
    give_share(&w, 6, CS3_SHARE_USER, 0, 100 + w.model.n_rows, "u1", 1, CS3_SHARE_ACCEPTED,
               CS3_UPSERT); /* the owner himself */
    for (int i = 0; i < 10; i++) {
        round_once(&w, 10);
        run_some(&w, 10);
    }
    assert_int_equal(w.target.share_sets + w.target.link_sets, 0);
    assert_int_equal(ap_balance(w.ledger), 0);
    begin(&w);
    give_person(&w, CS3_MEMBER, "u3", "g", CS3_UPSERT);
    give_person(&w, CS3_MEMBER, "u2", "g", CS3_UPSERT);
    give_person(&w, CS3_GROUP, "", "g", CS3_UPSERT);
    commit(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    model_changed(&w.model, a);
    finish(&w, 0);
    assert_int_equal(w.target.share_sets, 2);
    assert_int_equal(w.target.link_sets, 1);
    assert_int_equal(w.target.n_shares, 3);
    assert_int_equal(w.target.received_sets, 3);
    for (int i = 0; i < 3; i++)
        if (!w.target.shares[i].group && !w.target.shares[i].link)
            assert_int_equal(w.target.shares[i].permissions, 1); /* the accepted one's */
    for (int i = 0; i < 3; i++)
        if (strcmp(w.target.received[i].uid, "u3") == 0)
            assert_int_equal(w.target.received[i].state, CS3_SHARE_REJECTED);
        else
            assert_int_equal(w.target.received[i].state, CS3_SHARE_ACCEPTED);
    /* dormant in the trash, nothing is called but the deletion */
    calls = w.target.calls;
    model_to_trash(&w.model, a);
    finish(&w, 0);
    assert_int_equal(w.target.calls, calls + 1);
    give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u3", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 2);
    model_move(&w.model, a, 1, w.model.files[1], "a");
    finish(&w, 0);
    assert_int_equal(w.target.n_shares, 4);
    /* moved to another space: made anew there */
    model_move(&w.model, a, 2, w.model.files[2], "a");
    finish(&w, 0);
    /* u2 has it anyway, and row 6 is from u1 himself */
    assert_int_equal(w.target.n_shares, 4 + 3);
    give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u3", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
    give_share(&w, 5, CS3_SHARE_LINK, 0, a->fileid, NULL, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
    finish(&w, 0);
    int alive = 0;
    for (int i = 4; i < w.target.n_shares; i++)
        alive += w.target.shares[i].used;
    assert_int_equal(alive, 1); /* the group's */
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_grant_narrows_when_its_wider_row_ends(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    model_changed(&w.model, a);
    give_share(&w, 1, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    give_share(&w, 2, CS3_SHARE_USER, 0, a->fileid, "u2", 4, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    ap_exec(w.ledger, "UPDATE share SET expires = ? WHERE id = 2", "i", ls_now_us() / 1000000 + 1);
    finish(&w, 0);
    assert_int_equal(w.target.shares[0].permissions, 5);
    for (int64_t until = ls_mono_ms() + 5000;
         w.target.shares[0].permissions != 1 && ls_mono_ms() < until;)
        rounds(&w, 10);
    assert_int_equal(w.target.shares[0].permissions, 1);
    stop_world(&w);
}

static void
a_deleted_user_is_disabled_when_his_rows_are_gone(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    model_changed(&w.model, a);
    finish(&w, 0);
    begin(&w);
    give_person(&w, CS3_USER, "u1", "", CS3_DELETE);
    commit(&w);
    finish(&w, 0);
    assert_int_equal(w.target.users_off, 1);
    model_purge(&w.model, a); /* a row that comes later: he is needed once more */
    finish(&w, 0);
    for (int i = 0; i < 30; i++) { /* the look at whether he is still needed is a second later */
        usleep(50000);
        round_once(&w, 0);
        run_some(&w, 10);
    }
    finish(&w, 0);
    assert_int_equal(w.target.users_off, 1);
    assert_equal_trees(&w);
    begin(&w);
    give_person(&w, CS3_USER, "u1", "", CS3_UPSERT);
    commit(&w);
    finish(&w, 0);
    assert_int_equal(w.target.users_off, 0);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history_ends_with_equal_trees),
        cmocka_unit_test(lost_answers_change_nothing_in_the_end),
        cmocka_unit_test(kills_at_any_moment_change_nothing_in_the_end),
        cmocka_unit_test(a_ledger_made_of_its_mirror_goes_on_where_the_lost_one_was),
        cmocka_unit_test(a_host_that_is_lost_when_all_is_done_costs_no_call),
        cmocka_unit_test(a_snapshot_of_any_state_is_copied),
        cmocka_unit_test(nothing_that_somebody_wrote_at_the_target_is_lost),
        cmocka_unit_test(rename_of_a_folder_with_10000_rows_is_one_move),
        cmocka_unit_test(what_comes_and_goes_within_a_window_costs_no_call_and_many_changes_one),
        cmocka_unit_test(what_a_later_snapshot_does_not_name_is_swept),
        cmocka_unit_test(who_waits_longest_is_told_first_and_the_parked_last),
        cmocka_unit_test(a_sweep_above_the_limit_waits_for_a_word),
        cmocka_unit_test(content_that_never_matches_is_dead_only_after_the_heartbeat),
        cmocka_unit_test(the_verdict_on_content_comes_also_when_the_stream_lags_behind_the_tries),
        cmocka_unit_test(bytes_that_cannot_be_read_are_a_dead_letter_and_the_rest_goes_on),
        cmocka_unit_test(a_second_apply_is_kept_off_the_ledger),
        cmocka_unit_test(only_apply_may_read_the_ledger),
        cmocka_unit_test(the_old_copy_goes_only_when_the_new_one_is_there),
        cmocka_unit_test(the_end_does_not_depend_on_when_content_was_lost),
        cmocka_unit_test(
            a_file_moved_to_somebody_else_whose_content_was_erased_in_his_trash_leaves_nothing_behind),
        cmocka_unit_test(
            the_last_copy_of_a_live_file_waits_in_the_trash_until_its_content_is_found),
        cmocka_unit_test(
            a_file_that_cannot_get_its_new_content_is_moved_trashed_and_deleted_all_the_same),
        cmocka_unit_test(a_name_held_by_a_dead_letter_is_given_to_who_shall_have_it),
        cmocka_unit_test(calls_that_are_made_again_are_counted_by_cause),
        cmocka_unit_test(one_who_cannot_sign_in_holds_up_nobody_else),
        cmocka_unit_test(a_first_copy_goes_on_when_the_last_trash_item_is_parked),
        cmocka_unit_test(rows_of_a_deleted_storage_without_a_space_cost_nothing_while_they_wait),
        cmocka_unit_test(
            half_a_move_is_a_dead_letter_once_every_partition_was_read_past_it_and_the_copy_stays),
        cmocka_unit_test(encrypted_content_is_a_dead_letter_and_a_newer_row_takes_it_back),
        cmocka_unit_test(a_storage_whose_space_is_taken_is_a_dead_letter),
        cmocka_unit_test(the_snapshot_of_a_storage_sweeps_that_storage_alone),
        cmocka_unit_test(a_begin_without_an_end_sweeps_nothing_and_the_next_one_counts),
        cmocka_unit_test(the_sweep_of_a_storage_above_the_limit_waits_for_a_word),
        cmocka_unit_test(a_sweep_of_people_above_the_limit_waits),
        cmocka_unit_test(a_grant_narrows_when_its_wider_row_ends),
        cmocka_unit_test(a_parent_is_forgotten_after_three_answers_of_that_kind_only),
        cmocka_unit_test(a_file_at_the_target_is_never_taken_for_the_folder_of_that_name),
        cmocka_unit_test(what_was_made_is_not_forgotten_while_its_owner_cannot_sign_in),
        cmocka_unit_test(
            what_may_have_been_made_before_a_crash_is_taken_away_when_nobody_wants_it_any_more),
        cmocka_unit_test(rows_of_one_recipient_fold_into_one_share),
        cmocka_unit_test(an_exact_writer_is_given_rows_times_and_secrets_and_each_change_of_them),
        cmocka_unit_test(a_deleted_user_is_disabled_when_his_rows_are_gone),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
