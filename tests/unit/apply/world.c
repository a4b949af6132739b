/* The steps of a world, and how its two sides are compared. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "world.h"
#include "apply/ledger/mirror_rows.h"
#include "common/run.h"
#include "options.h"
#include "tests/unit/clock.h"
#include <unistd.h>

/* what a round and a call of it take; retries wait for 1 or 2 ms */
enum { ROUND_US = 200, CALL_US = 50 };

void
open_world(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(
        ap_core_new(w->ledger, &w->target.writer, NULL, &usual_options, &w->core, &err), 0);
    assert_int_equal(ap_ledger_begin(w->ledger, &err), 0);
    ap_recover(w->core);
    ap_shares_make_exact(w->core);
    assert_int_equal(ap_ledger_commit(w->ledger, &err), 0);
    if (w->mirror)
        assert_int_equal(ap_ledger_synced_by_mirror(w->ledger, &err), 0);
}

void
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

void
give_person(struct world *w, enum cs3_person_type type, const char *uid, const char *gid,
            enum cs3_kind kind)
{
    struct cs3_person p = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                           .type = type,
                           .uid = ls_str_of(uid),
                           .gid = ls_str_of(gid),
                           .display_name = ls_str_of(uid),
                           .enabled = true};
    ap_take_person(w->core, &person_origin, &p);
}

void
give_space(struct world *w, int64_t storage, const char *owner, enum cs3_kind kind)
{
    struct cs3_space s = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                          .storage = storage,
                          .type = CS3_SPACE_PERSONAL,
                          .owner = ls_str_of(owner)};
    ap_take_space(w->core, &space_origin, &s);
}

static void
give_users(struct world *w)
{
    char owner[8];

    for (int64_t s = 1; s <= MODEL_USERS; s++) {
        snprintf(owner, sizeof(owner), "u%d", (int)s);
        give_space(w, s, owner, CS3_UPSERT);
        give_person(w, CS3_USER, owner, "", CS3_UPSERT);
    }
}

void
start_world(struct world *w)
{
    static int n;

    clock_hold();
    memset(w, 0, sizeof(*w));
    fake_init(&w->target);
    model_init(&w->model);
    w->target.content = model_content_at;
    w->target.content_arg = &w->model;
    snprintf(w->path, sizeof(w->path), "%s/apply-core-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    remove_files(w);
    open_world(w);
    ledger_begin(w->ledger);
    give_users(w);
    ledger_commit(w->ledger);
}

void
stop_world(struct world *w)
{
    close_world(w);
    sqlite3_close(w->mirror);
    remove_files(w);
    fake_free(&w->target);
    model_free(&w->model);
    clock_release();
}

/* ---- records */

bool
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

bool
given_all(struct world *w)
{
    for (int p = 0; p < MODEL_PARTITIONS; p++)
        for (int i = w->next[p]; i < w->model.n_records; i++)
            if (w->model.records[i].partition == p)
                return false;
    return true;
}

void
give_mark(struct world *w, int32_t partition, enum cs3_kind kind, struct ls_seq seq,
          struct ls_seq from)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = partition, .offset = 0};
    struct cs3_head head = {.kind = kind, .seq = seq, .begin = from};
    assert_true(ap_take_mark(w->core, &at, &head, 0));
}

void
give_first_snapshot(struct world *w)
{
    struct ls_seq first = {1, ++w->model.counter, 0};

    ledger_begin(w->ledger);
    give_mark(w, 1, CS3_BEGIN, first, (struct ls_seq){0});
    give_mark(w, 1, CS3_END, (struct ls_seq){1, ++w->model.counter, 0}, first);
    ledger_commit(w->ledger);
}

/* ---- rounds */

void
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
        clock_pass_us(CALL_US);
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

void
mirror_begin(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(sqlite3_open(":memory:", &w->mirror), SQLITE_OK);
    sqlite3_exec(w->mirror, "CREATE TABLE mirror(key PRIMARY KEY, value)", NULL, NULL, NULL);
    ledger_begin(w->ledger);
    assert_int_equal(ap_mirror_watch(w->ledger, &err), 0);
    assert_int_equal(ap_mirror_change_all(w->ledger, &err), 0);
    ledger_commit(w->ledger);
    assert_int_equal(ap_ledger_synced_by_mirror(w->ledger, &err), 0);
    w->mirrored = 0;
}

void
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
    ledger_begin(w->ledger);
    ap_mirror_given(w->ledger, w->mirrored);
    ledger_commit(w->ledger);
}

void
lose_host(struct world *w)
{
    struct ls_err err = {0};
    int64_t seq = w->seq;
    sqlite3_stmt *s;

    run_some(w, (int)(random() % 6)); /* was under way */
    close_world(w);
    remove_files(w);
    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(
        ap_core_new(w->ledger, &w->target.writer, NULL, &usual_options, &w->core, &err), 0);
    ledger_begin(w->ledger);
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
    ledger_commit(w->ledger);
    memset(w->next, 0, sizeof(w->next));
    w->seq = 0;
    ledger_begin(w->ledger);
    assert_int_equal(ap_mirror_watch(w->ledger, &err), 0);
    give_users(w);
    w->seq = seq;
    while (!given_all(w))
        give_next(w, (int32_t)(random() % MODEL_PARTITIONS));
    if (w->others)
        w->others(w);
    ap_mirror_caught_up(w->ledger);
    ap_recover(w->core);
    ledger_commit(w->ledger);
    w->mirrored = 0;
}

void
round_once(struct world *w, int records)
{
    clock_pass_us(ROUND_US);
    ledger_begin(w->ledger);
    ap_settle(w->core);
    for (int i = 0; i < records; i++)
        give_next(w, (int32_t)(random() % MODEL_PARTITIONS));
    ap_plan(w->core);
    ledger_commit(w->ledger);
    if (w->mirror && random() % 3 == 0)
        return; /* it lags, and what is planned is held */
    if (w->mirror)
        mirror_follow(w);
    ap_send(w->core);
}

void
trouble_target(struct world *w)
{
    w->target.lost_answers = 60;
    w->target.lost_calls = 40;
    w->target.busy = 40;
    w->target.down = 5;
}

void
kill_world(struct world *w)
{
    run_some(w, (int)(random() % 6));
    if (random() % 2 == 0) { /* in the middle of a transaction */
        ledger_begin(w->ledger);
        ap_settle(w->core);
        ap_plan(w->core);
    }
    close_world(w);
    open_world(w);
}

void
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

void
finish(struct world *w, int64_t parked)
{
    int64_t until = ls_mono_ms() + 240000, open = -1;

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

int
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
void
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

void
lines_of_model(struct model *m, struct lines *l)
{
    for (int i = 0; i < m->n_rows; i++)
        line_of_row(m, &m->rows[i], l);
}

void
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

void
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

void
assert_replay_is_silent(struct world *w)
{
    int calls = w->target.calls;

    memset(w->next, 0, sizeof(w->next));
    finish(w, 0);
    assert_int_equal(w->target.calls, calls);
}

void
rounds(struct world *w, int n)
{
    for (int i = 0; i < n; i++) {
        round_once(w, 50);
        run_some(w, 100);
        clock_pass_us(500);
    }
}

struct model_row *
add_file(struct world *w, int64_t storage, int64_t parent, const char *name)
{
    struct model_row *file = model_add(&w->model, storage, parent, name, false);

    model_content(&w->model, file);
    model_changed(&w->model, file);
    return file;
}

int
target_has(struct world *w, const char *name)
{
    for (int i = 1; i < w->target.n_nodes; i++)
        if (w->target.nodes[i].used && strcmp(w->target.nodes[i].name, name) == 0)
            return fake_in_trash(&w->target, i) ? 2 : 1;
    return 0;
}

int
env_number(const char *name, int fallback)
{
    return getenv(name) ? atoi(getenv(name)) : fallback;
}
