/*
 * Old contents of files against a target in memory that makes a revision of what is written over,
 * as oCIS does: what it keeps at the end are the versions of ownCloud, each once, whatever is lost
 * on the way.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "fake_target.h"
#include "steps.h"

#include "apply/core.h"
#include "apply/ledger/mirror_rows.h"
#include "common/run.h"
#include "tests/unit/clock.h"
#include <unistd.h>

enum { ROOT = 1, FILES, VERSIONS, TRASH, TRASH_FILES, TRASH_VERSIONS, FIRST = 100 };

struct world {
    struct fake_target target;
    struct ap_ledger *ledger;
    struct ap_core *core;
    struct ap_options options;
    char path[128];
    int64_t seq;
};

static const struct ap_origin people = {.topic = "cs3.person"}, spaces = {.topic = "cs3.space"},
                              files = {.topic = "cs3.resource"};
static const char *missing; /* a path below the home where nothing is */
/* what an object holds whose row has another checksum, by its fileid behind FIRST */
static char objects[4][41];

static const char *
content(void *arg, const char *owner, const char *relative)
{
    static char sha1[41];
    char path[500], *save = NULL;
    struct world *w = arg;
    int64_t at = ROOT;

    (void)owner;
    if (missing && strstr(relative, missing))
        return NULL;
    snprintf(path, sizeof(path), "%s", relative);
    for (char *part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save))
        at = ap_child_of(w->core, at, part);
    if (at >= FIRST && at < FIRST + 4 && objects[at - FIRST][0])
        return objects[at - FIRST];
    sqlite3_stmt *s = ap_query(w->ledger, "SELECT sha1 FROM desired WHERE fileid = ?", "i", at);
    if (!ap_step(w->ledger, s))
        return NULL;
    ap_text(s, 0, sha1, sizeof(sha1));
    ap_done(s);
    return sha1;
}

static void
open_world(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(ap_core_new(w->ledger, &w->target.writer, NULL, &w->options, &w->core, &err),
                     0);
    ledger_begin(w->ledger);
    ap_recover(w->core);
}

static void
folder(struct world *w, int64_t fileid, int64_t parent, const char *name)
{
    struct cs3_resource r = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->seq, 0}},
                             .what = CS3_NODE,
                             .storage = 1,
                             .fileid = fileid,
                             .parent = parent,
                             .name = ls_str_of(name),
                             .folder = true,
                             .size = -1,
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};
    ap_take_resource(w->core, &files, &r);
}

static const char *
sha1_of(int64_t content_number)
{
    static char text[4][41];
    static int n;

    n = (n + 1) % 4;
    snprintf(text[n], sizeof(text[n]), "%040llx", (long long)content_number);
    return text[n];
}

/* A file with content number `c`; the etag is another one each time. */
static struct cs3_resource
file(struct world *w, int64_t fileid, int64_t parent, const char *name, int64_t c, int64_t mtime)
{
    static char etags[64][32];
    char *etag = etags[++w->seq % 64];

    snprintf(etag, 32, "e%lld", (long long)w->seq);
    return (struct cs3_resource){.head = {.kind = CS3_UPSERT, .seq = {1, w->seq, 0}},
                                 .what = CS3_NODE,
                                 .storage = 1,
                                 .fileid = fileid,
                                 .parent = parent,
                                 .name = ls_str_of(name),
                                 .size = 10 + c,
                                 .mtime = mtime,
                                 .etag = ls_str_of(etag),
                                 .sha1 = ls_str_of(sha1_of(c)),
                                 .moved_from = LS_NO_STORAGE,
                                 .moved_to = LS_NO_STORAGE};
}

static void
give_file(struct world *w, int64_t fileid, int64_t parent, const char *name, int64_t c,
          int64_t mtime)
{
    struct cs3_resource r = file(w, fileid, parent, name, c, mtime);

    ap_take_resource(w->core, &files, &r);
}

/* "base.v<time>", and ".d<deleted>" when it is not 0; made now, so its own time is another one. */
static void
give_version(struct world *w, int64_t fileid, int64_t parent, const char *base, int64_t time,
             int64_t c, int64_t deleted)
{
    char name[200];
    struct cs3_resource r;

    snprintf(name, sizeof(name), "%s.v%lld", base, (long long)time);
    if (deleted)
        snprintf(name + strlen(name), 40, ".d%lld", (long long)deleted);
    r = file(w, fileid, parent, name, c, 1900000000);
    r.class_hint = deleted ? CS3_CLASS_TRASH : CS3_CLASS_VERSIONS;
    r.version_of = ls_str_of(base);
    r.version_time = time;
    r.trash_time = deleted;
    ap_take_resource(w->core, &files, &r);
}

static void
give_gone(struct world *w, int64_t fileid)
{
    struct cs3_resource r = {.head = {.kind = CS3_DELETE, .seq = {1, ++w->seq, 0}},
                             .what = CS3_NODE,
                             .storage = 1,
                             .fileid = fileid,
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};
    ap_take_resource(w->core, &files, &r);
}

static int
setup(void **state)
{
    static int n;
    struct world *w = calloc(1, sizeof(*w));
    struct cs3_space space = {.head = {.kind = CS3_UPSERT, .seq = {1, 1, 0}},
                              .storage = 1,
                              .type = CS3_SPACE_PERSONAL,
                              .owner = LS_STR("u1")};
    struct cs3_person person = {.head = {.kind = CS3_UPSERT, .seq = {1, 2, 0}},
                                .type = CS3_USER,
                                .uid = LS_STR("u1"),
                                .display_name = LS_STR("u1"),
                                .enabled = true};

    clock_hold();
    srandom(7);
    missing = NULL;
    memset(objects, 0, sizeof(objects));
    fake_init(&w->target);
    w->target.content = content;
    w->target.content_arg = w;
    w->options = (struct ap_options){.workers = 4,
                                     .retry_first_ms = 1,
                                     .retry_max_ms = 2,
                                     .content_tries = 3,
                                     .content_margin_us = 1000,
                                     .sweep_max_percent = 100,
                                     .sweep_max_items = 1000,
                                     .drift_stop = true,
                                     .versions = true};
    snprintf(w->path, sizeof(w->path), "%s/apply-versions-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    open_world(w);
    w->seq = 10;
    ap_take_space(w->core, &spaces, &space);
    ap_take_person(w->core, &people, &person);
    folder(w, ROOT, -1, "");
    folder(w, FILES, ROOT, "files");
    folder(w, VERSIONS, ROOT, "files_versions");
    folder(w, TRASH, ROOT, "files_trashbin");
    folder(w, TRASH_FILES, TRASH, "files");
    folder(w, TRASH_VERSIONS, TRASH, "versions");
    *state = w;
    return 0;
}

static void
close_world(struct world *w)
{
    ap_core_free(w->core);
    ap_ledger_close(w->ledger);
}

static int
teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct world *w = *state;
    char name[160];

    ledger_commit(w->ledger);
    close_world(w);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", w->path, ends[i]);
        unlink(name);
    }
    fake_free(&w->target);
    free(w);
    clock_release();
    return 0;
}

static void
heartbeat(struct world *w)
{
    struct cs3_head head = {.kind = CS3_HEARTBEAT, .source_ts_us = ls_now_us() + 60000000};

    ap_take_mark(w->core, &files, &head, 0);
}

static int
round_once(struct world *w, int calls)
{
    struct ap_job *job;
    int n = 0;

    clock_pass_us(200);
    ap_settle(w->core);
    ap_plan(w->core);
    ledger_commit(w->ledger);
    ap_send(w->core);
    while (n < calls && (job = ap_job_next(w->core)) != NULL) {
        ap_job_run(&w->target.writer, job);
        ap_job_back(w->core, job);
        n++;
    }
    ledger_begin(w->ledger);
    return n;
}

/* Until nothing is open that something can be done about. */
static void
run(struct world *w)
{
    for (int idle = 0, rounds = 0; idle < 20; rounds++) {
        assert_true(rounds < 100000);
        idle = round_once(w, 1000) == 0 ? idle + 1 : 0;
        if (ap_number(w->ledger, 0, "SELECT count(*) FROM work WHERE state = 0 OR state = 2",
                      NULL) > 0 &&
            idle > 0) {
            idle = 1;
            clock_pass_us(200);
        }
    }
    assert_int_equal(w->target.broken, 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

/* ---- what is there: "c@time c@time = c@time", old ones by time, then the content */
static const char *
seen(struct world *w, const char *name)
{
    static char text[2000];
    struct fake_target *f = &w->target;
    struct fake_revision *r;
    int node = 0, n = 0;
    int64_t last = INT64_MIN;

    text[0] = '\0';
    for (int i = 1; i < f->n_nodes; i++)
        if (f->nodes[i].used && strcmp(f->nodes[i].name, name) == 0)
            node = i;
    if (node == 0)
        return "none";
    do {
        r = NULL;
        for (int i = 0; i < f->n_revisions; i++)
            if (f->revisions[i].node == node && f->revisions[i].mtime > last &&
                (!r || f->revisions[i].mtime < r->mtime))
                r = &f->revisions[i];
        if (!r)
            break;
        last = r->mtime;
        for (int i = 0; i < f->n_revisions; i++)
            if (f->revisions[i].node == node && f->revisions[i].mtime == last)
                n += snprintf(text + n, sizeof(text) - (size_t)n, "%lld@%lld ",
                              strtoll(f->revisions[i].sha1, NULL, 16), (long long)last);
    } while (r);
    snprintf(text + n, sizeof(text) - (size_t)n, "= %lld@%lld",
             strtoll(f->nodes[node].sha1, NULL, 16), (long long)f->nodes[node].mtime);
    return text;
}

static int64_t
counted(struct world *w, const char *name)
{
    return ap_counted(w->ledger, name);
}

/* ---- first copy */
static void
versions_go_up_oldest_first_and_then_the_content(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 4, 4000);
    give_version(w, FIRST + 3, VERSIONS, "a", 3000, 3, 0);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 3@3000 = 4@4000");
    assert_int_equal(w->target.puts, 4);
    assert_int_equal(counted(w, "applied"), 4 + 2); /* and the space, the person */
    assert_int_equal(counted(w, "left:version"), 0);
}

static void
of_more_than_512_versions_the_oldest_are_counted_and_not_carried(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1000, 9000);
    for (int i = 1; i <= 514; i++)
        give_version(w, FIRST + i, VERSIONS, "a", 1000 + i, i, 0);
    run(w);
    assert_int_equal(w->target.puts, 513);
    assert_int_equal(counted(w, "left:version-late"), 2);
    for (int i = 0; i < w->target.n_revisions; i++)
        assert_true(w->target.revisions[i].mtime > 1002);
}

static void
a_file_without_versions_costs_one_upload_and_no_question(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 4, 4000);
    give_file(w, FIRST + 1, FILES, "a.v", 5, 5000);
    give_version(w, FIRST + 2, VERSIONS, "b", 1000, 1, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "= 4@4000");
    assert_int_equal(w->target.puts, 2);
    assert_int_equal(w->target.finds, 0);
    assert_int_equal(counted(w, "left:version-alone"), 1);
}

static void
switched_off_they_are_left_and_counted(void **state)
{
    struct world *w = *state;

    w->core->options.versions = false;
    give_file(w, FIRST, FILES, "a", 4, 4000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "= 4@4000");
    assert_int_equal(counted(w, "left:version"), 1);
}

static void
versions_in_folders_and_of_names_alike_find_their_own_file(void **state)
{
    struct world *w = *state;

    folder(w, 50, FILES, "d");
    folder(w, 51, VERSIONS, "d");
    give_file(w, FIRST, 50, "x", 1, 4000);
    give_file(w, FIRST + 1, 50, "x.v1000", 2, 4000);
    give_file(w, FIRST + 2, FILES, "y", 3, 4000);
    give_version(w, FIRST + 3, 51, "x", 1000, 5, 0);
    give_version(w, FIRST + 4, 51, "x.v1000", 1000, 6, 0);
    give_version(w, FIRST + 5, VERSIONS, "y", 1000, 7, 0);
    run(w);
    assert_string_equal(seen(w, "x"), "5@1000 = 1@4000");
    assert_string_equal(seen(w, "x.v1000"), "6@1000 = 2@4000");
    assert_string_equal(seen(w, "y"), "7@1000 = 3@4000");
}

static void
versions_that_are_alike_stay_as_many_as_they_are(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1, 3000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 1, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 1@2000 = 1@3000");
}

static void
a_version_newer_than_the_content_goes_up_before_it(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1, 1000);
    give_version(w, FIRST + 1, VERSIONS, "a", 5000, 2, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "2@5000 = 1@1000");
}

static void
in_a_bucket_a_version_is_its_object_and_not_its_rows_checksum(void **state)
{
    struct world *w = *state;

    for (int i = 1; i < 4; i++)
        snprintf(objects[i], sizeof(objects[i]), "%s", sha1_of(i));
    ap_exec(w->ledger, "UPDATE space SET source_id = 'object::user:u1' WHERE storage = 1", NULL);
    give_file(w, FIRST, FILES, "a", 3, 3000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    give_version(w, FIRST + 3, VERSIONS, "a", 3000, 3, 0); /* the content itself */
    for (int64_t i = 2; i < 4; i++) /* each has the checksum of the one before */
        ap_exec(w->ledger, "UPDATE desired SET sha1 = ? WHERE fileid = ?", "si", sha1_of(i - 1),
                FIRST + i);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 3@3000");
    assert_int_equal(w->target.puts, 3);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
}

/* ---- stream */
static void
what_the_target_made_itself_is_not_uploaded_again(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1, 1000);
    run(w);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_file(w, FIRST, FILES, "a", 2, 2000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 = 2@2000");
    assert_int_equal(w->target.puts, 2);
    assert_int_equal(w->target.finds, 0);
    assert_int_equal(counted(w, "left:version-late") + counted(w, "left:version"), 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0); /* before the content, as it happens */
    run(w);
    give_file(w, FIRST, FILES, "a", 3, 3000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 3@3000");
    assert_int_equal(w->target.puts, 3);
}

static void
contents_that_were_passed_over_go_up_before_the_newest(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1, 1000);
    run(w);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    give_version(w, FIRST + 3, VERSIONS, "a", 3000, 3, 0);
    give_file(w, FIRST, FILES, "a", 4, 4000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 3@3000 = 4@4000");
    assert_int_equal(w->target.puts, 4);
}

static void
the_same_bytes_written_once_more_keep_their_version(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1, 1000);
    run(w);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_file(w, FIRST, FILES, "a", 1, 2000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 = 1@2000");
    give_file(w, FIRST, FILES, "a", 1, 2500); /* a time alone makes none */
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 = 1@2500");
    assert_int_equal(w->target.puts, 2);
}

static void
those_that_come_after_the_content_get_below_it(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 4, 4000);
    run(w);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "2@2000 = 4@4000");
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 3, VERSIONS, "a", 3000, 3, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 3@3000 = 4@4000");
    assert_int_equal(w->target.puts, 4); /* the content was not sent twice */
    assert_int_equal(counted(w, "left:version-late"), 0);
    give_version(w, FIRST + 4, VERSIONS, "a", 4000, 4, 0);
    give_file(w, FIRST, FILES, "a", 5, 5000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 3@3000 4@4000 = 5@5000");
}

static void
one_that_comes_when_its_file_is_in_the_trash_is_counted_and_goes_up_before_the_next_content(
    void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, TRASH_FILES, "a.d5000", 2, 2000);
    run(w);
    give_version(w, FIRST + 1, TRASH_VERSIONS, "a", 1000, 1, 5000);
    run(w);
    assert_string_equal(seen(w, "a"), "= 2@2000");
    assert_int_equal(counted(w, "left:version-late"), 1);
    give_file(w, FIRST, FILES, "a", 3, 3000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 3@3000");
}

static void
a_version_restored_at_the_source_is_a_new_content(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 2, 2000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    run(w);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    give_file(w, FIRST, FILES, "a", 1, 3000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 1@3000");
}

static void
an_expired_version_takes_nothing_with_it(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 2, 2000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    run(w);
    give_gone(w, FIRST + 1);
    give_file(w, FIRST, FILES, "a", 3, 3000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 3@3000");
    assert_int_equal(ap_number(w->ledger, -1, "SELECT count(*) FROM version", NULL), 0);
}

static void
plan(struct world *w)
{
    clock_pass_us(200);
    ap_settle(w->core);
    ap_plan(w->core);
    ledger_commit(w->ledger);
    ap_send(w->core);
    ledger_begin(w->ledger);
}

/* The first upload that is due, its answer held back; all calls before it are made. */
static struct ap_job *
first_upload(struct world *w)
{
    struct ap_job *job = NULL;

    for (int i = 0; i < 1000 && !(job && job->call == AP_PUT_FILE); i++) {
        plan(w);
        job = ap_job_next(w->core);
        if (job && job->call != AP_PUT_FILE) {
            ap_job_run(&w->target.writer, job);
            ap_job_back(w->core, job);
        }
    }
    assert_true(job && job->version);
    return job;
}

/* The first version's upload makes the node; by then nobody is waiting for it any more. */
static void
a_file_deleted_while_its_first_version_goes_up_is_deleted(void **state)
{
    struct world *w = *state;
    struct ap_job *job;

    give_file(w, FIRST, FILES, "a", 2, 2000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    job = first_upload(w);
    give_gone(w, FIRST);
    for (int i = 0; i < 20; i++)
        plan(w);
    ap_job_run(&w->target.writer, job);
    ap_job_back(w->core, job);
    run(w);
    assert_int_equal(w->target.puts, 1);
    assert_string_equal(seen(w, "a"), "none");
}

/* What is trashed and not there yet is made at the top and deleted: not beside the node that the
 * version's upload makes in the folder where the file was. */
static void
a_file_trashed_while_its_first_version_goes_up_is_made_once(void **state)
{
    struct world *w = *state;
    struct ap_job *job, *other;

    folder(w, 50, FILES, "d");
    folder(w, 51, VERSIONS, "d");
    give_file(w, FIRST, 50, "a", 2, 2000);
    give_version(w, FIRST + 1, 51, "a", 1000, 1, 0);
    job = first_upload(w);
    give_file(w, FIRST, TRASH_FILES, "a.d5000", 2, 2000);
    for (int i = 0; i < 20; i++) {
        plan(w);
        other = ap_job_next(w->core);
        if (other) {
            assert_int_not_equal(other->call, AP_PUT_FILE);
            ap_job_run(&w->target.writer, other);
            ap_job_back(w->core, other);
        }
    }
    ap_job_run(&w->target.writer, job);
    ap_job_back(w->core, job);
    run(w);
    assert_int_equal(
        ap_number(w->ledger, -1, "SELECT count(*) FROM node WHERE fileid = ?", "i", FIRST), 1);
    assert_int_equal(w->target.trashes, 1);
    assert_string_equal(seen(w, "a"), "1@1000 = 2@2000");
}

/* ---- snapshots */
static void
mark(struct world *w, enum cs3_kind kind, struct ls_seq from, int64_t storage)
{
    struct cs3_resource r = {
        .head = {.kind = kind, .seq = {1, ++w->seq, 0}, .begin = from, .snapshot = true},
        .what = CS3_NODE,
        .storage = storage};
    ap_take_resource(w->core, &files, &r);
}

static void
read_file(struct world *w, int64_t fileid, const char *name, int64_t c, int64_t mtime)
{
    struct cs3_resource r = file(w, fileid, FILES, name, c, mtime);

    r.head.snapshot = true;
    ap_take_resource(w->core, &files, &r);
}

/* All there is of folders, read again by a snapshot. */
static void
read_folders(struct world *w)
{
    folder(w, ROOT, -1, "");
    folder(w, FILES, ROOT, "files");
    folder(w, VERSIONS, ROOT, "files_versions");
    folder(w, TRASH, ROOT, "files_trashbin");
    folder(w, TRASH_FILES, TRASH, "files");
    folder(w, TRASH_VERSIONS, TRASH, "versions");
}

static void
what_a_snapshot_of_a_storage_brings_waits_for_its_end_and_the_stream_does_not(void **state)
{
    struct world *w = *state;
    struct ls_seq from;

    mark(w, CS3_BEGIN, (struct ls_seq){0}, 1);
    from = (struct ls_seq){1, w->seq, 0};
    read_file(w, FIRST, "a", 4, 4000);
    give_file(w, FIRST + 5, FILES, "live", 5, 5000);
    for (int i = 0; i < 50; i++)
        round_once(w, 10);
    assert_string_equal(seen(w, "a"), "none");
    assert_string_equal(seen(w, "live"), "= 5@5000");
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    read_folders(w);
    mark(w, CS3_END, from, 1);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 = 4@4000");
    assert_int_equal(w->target.reverts, 0);
}

/* Nothing ends the snapshot of a storage that was cancelled but a later one. */
static void
what_a_snapshot_brings_does_not_wait_for_one_that_was_cancelled(void **state)
{
    struct world *w = *state;
    struct ls_seq from;

    for (int n = 0; n < 2; n++) {
        if (n == 1) {
            mark(w, CS3_BEGIN, (struct ls_seq){0}, 1);
            read_file(w, FIRST, "a", 4, 4000);
        }
        mark(w, CS3_BEGIN, (struct ls_seq){0}, LS_NO_STORAGE);
        from = (struct ls_seq){1, w->seq, 0};
        read_folders(w);
        if (n == 1) {
            read_file(w, FIRST, "a", 4, 4000);
            read_file(w, FIRST + 1, "b", 5, 5000);
            for (int i = 0; i < 50; i++)
                round_once(w, 10);
            assert_string_equal(seen(w, "b"), "none");
        }
        mark(w, CS3_END, from, LS_NO_STORAGE);
        run(w);
    }
    assert_string_equal(seen(w, "a"), "= 4@4000");
    assert_string_equal(seen(w, "b"), "= 5@5000");
    assert_int_equal(ap_number(w->ledger, -1, "SELECT count(*) FROM work", NULL), 0);
}

/* ---- the mirror */
static void
what_became_a_revision_is_mirrored(void **state)
{
    struct world *w = *state;
    struct ls_err err = {0};

    assert_int_equal(ap_mirror_watch(w->ledger, &err), 0);
    give_file(w, FIRST, FILES, "a", 2, 2000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    run(w);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT count(DISTINCT id) FROM changed WHERE kind = 'revision'",
                               NULL),
                     1);
}

/* ---- moves, trash */
static void
a_renamed_file_keeps_its_versions_without_a_call(void **state)
{
    struct world *w = *state;
    int puts;

    give_file(w, FIRST, FILES, "a", 2, 2000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    run(w);
    puts = w->target.puts;
    give_file(w, FIRST, FILES, "b", 2, 2000);
    run(w);
    give_version(w, FIRST + 1, VERSIONS, "b", 1000, 1, 0);
    run(w);
    assert_string_equal(seen(w, "b"), "1@1000 = 2@2000");
    assert_int_equal(w->target.puts, puts);
    assert_int_equal(w->target.finds, 0);
}

static void
a_trash_item_gets_its_versions_and_takes_them_back(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, TRASH_FILES, "a.d5000", 3, 3000);
    give_version(w, FIRST + 1, TRASH_VERSIONS, "a", 1000, 1, 5000);
    give_version(w, FIRST + 2, TRASH_VERSIONS, "a", 2000, 2, 5000);
    folder(w, 50, TRASH_FILES, "d.d6000");
    folder(w, 51, TRASH_VERSIONS, "d.d6000");
    give_file(w, FIRST + 3, 50, "x", 4, 4000);
    give_version(w, FIRST + 4, 51, "x", 1000, 5, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 3@3000");
    assert_string_equal(seen(w, "x"), "5@1000 = 4@4000");
    assert_int_equal(w->target.trashes, 2);
    give_file(w, FIRST, FILES, "a", 3, 3000); /* restored, then its versions */
    run(w);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    give_file(w, FIRST, FILES, "a", 6, 6000);
    give_version(w, FIRST + 9, VERSIONS, "a", 3000, 3, 0);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 3@3000 = 6@6000");
    assert_int_equal(w->target.restores, 1);
    assert_int_equal(w->target.puts, 6);
}

static void
a_purged_file_leaves_nothing_in_the_ledger(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, TRASH_FILES, "a.d5000", 3, 3000);
    give_version(w, FIRST + 1, TRASH_VERSIONS, "a", 1000, 1, 5000);
    run(w);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM revision", NULL), 1);
    give_gone(w, FIRST + 1);
    give_gone(w, FIRST);
    run(w);
    assert_string_equal(seen(w, "a"), "none");
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM revision", NULL), 0);
}

/* ---- trouble */
static void
a_version_whose_file_is_missing_becomes_a_dead_letter_and_holds_up_nothing(void **state)
{
    struct world *w = *state;
    int64_t until = ls_mono_ms() + 60000;

    missing = "a.v2000";
    give_file(w, FIRST, FILES, "a", 4, 4000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    give_version(w, FIRST + 3, VERSIONS, "a", 3000, 3, 0);
    while (strcmp(seen(w, "a"), "1@1000 3@3000 = 4@4000") != 0 && ls_mono_ms() < until) {
        round_once(w, 100);
        clock_pass_us(500);
    }
    assert_string_equal(seen(w, "a"), "1@1000 3@3000 = 4@4000");
    while (!ap_is_dead(w->ledger, (struct ap_key){AP_NODE, FIRST + 2}) && ls_mono_ms() < until) {
        heartbeat(w);
        round_once(w, 100);
        clock_pass_us(500);
    }
    assert_true(ap_is_dead(w->ledger, (struct ap_key){AP_NODE, FIRST + 2}));
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead", NULL), 1);
    run(w);
    give_gone(w, FIRST + 2); /* it had expired */
    run(w);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    assert_string_equal(seen(w, "a"), "1@1000 3@3000 = 4@4000");
}

static void
a_file_that_is_written_for_ever_does_not_fill_the_ledger(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 1, 1000);
    give_version(w, FIRST + 1, VERSIONS, "a", 500, 50, 0);
    run(w);
    for (int i = 2; i < 60; i++) { /* ownCloud makes no version of these */
        give_file(w, FIRST, FILES, "a", i, 1000 * i);
        run(w);
    }
    assert_in_range(ap_number(w->ledger, 0, "SELECT count(*) FROM revision", NULL), 2, 20);
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT count(*) FROM revision WHERE mtime = 500", NULL), 1);
    give_version(w, FIRST + 2, VERSIONS, "a", 3000, 3, 0); /* late: the target is asked */
    run(w);
    assert_int_equal(w->target.finds, 1);
    assert_int_equal(w->target.puts, 60);
    assert_int_equal(w->target.n_revisions, 59);
}

static void
what_the_target_has_though_the_ledger_does_not_know_is_not_doubled(void **state)
{
    struct world *w = *state;

    give_file(w, FIRST, FILES, "a", 2, 2000);
    give_version(w, FIRST + 1, VERSIONS, "a", 1000, 1, 0);
    run(w);
    ap_exec(w->ledger, "DELETE FROM revision", NULL);
    give_version(w, FIRST + 2, VERSIONS, "a", 2000, 2, 0);
    give_file(w, FIRST, FILES, "a", 3, 3000);
    run(w);
    assert_string_equal(seen(w, "a"), "1@1000 2@2000 = 3@3000");
    assert_int_equal(w->target.finds, 1);
    assert_int_equal(w->target.puts, 3);
}

/* A life of three files with lost calls, lost answers and kills: at the end each version is there
 * once, and nothing is that never was. */
static void
what_somebody_deleted_at_the_target_is_not_made_again_for_a_version(void **state)
{
    struct world *w = *state;
    int node;

    give_file(w, 100, FILES, "a", 1, 1000);
    run(w);
    node = fake_child(&w->target, w->target.nodes[1].space, w->target.nodes[1].parent, "a");
    assert_true(node > 0);
    w->target.nodes[node].trashed = true;
    w->target.nodes[node].parent = 0;
    give_version(w, 101, VERSIONS, "a", 1000, 1, 0);
    give_version(w, 102, VERSIONS, "a", 1500, 2, 0);
    give_file(w, 100, FILES, "a", 3, 2000);
    run(w);
    assert_true(w->target.nodes[node].trashed);
    assert_int_equal(w->target.makes + w->target.restores, 0);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT count(*) FROM dead WHERE cause = 'deleted-at-target'", NULL),
                     1);
}

static void
random_life_with_kills_keeps_every_version_once(void **state)
{
    struct world *w = *state;
    struct {
        int64_t c, mtime;
        int n;
        struct {
            int64_t c, mtime;
        } old[40];
    } life[3] = {0};
    int64_t next = FIRST + 10, clock = 1000, c = 0, late = 0, late_c = 0;

    w->target.lost_answers = w->target.lost_calls = w->target.busy = 60;
    for (int step = 0; step < 100; step++) {
        int i = (int)(random() % 3);
        char name[16];

        snprintf(name, sizeof(name), "f%d", i);
        clock += 1 + random() % 5;
        if (life[i].c != 0 && life[i].n < 40) {
            int n = life[i].n++;
            life[i].old[n].c = life[i].c;
            life[i].old[n].mtime = life[i].mtime;
            late = random() % 4 == 0 ? life[i].mtime : 0;
            late_c = life[i].c;
            if (!late)
                give_version(w, next++, VERSIONS, name, life[i].mtime, life[i].c, 0);
        } else if (life[i].c != 0) {
            continue;
        }
        life[i].c = random() % 4 && c > 0 ? ++c : c + (c == 0);
        c = life[i].c > c ? life[i].c : c;
        life[i].mtime = clock;
        give_file(w, FIRST + i, FILES, name, life[i].c, clock);
        for (int rounds = (int)(random() % 6); rounds > 0; rounds--)
            round_once(w, (int)(random() % 3));
        if (late)
            give_version(w, next++, VERSIONS, name, late, late_c, 0);
        late = 0;
        if (random() % 8 == 0) { /* killed: what was out may have happened */
            ledger_commit(w->ledger);
            close_world(w);
            open_world(w);
        }
    }
    w->target.lost_answers = w->target.lost_calls = w->target.busy = 0;
    run(w);
    for (int i = 0; i < 3; i++) {
        char name[16], want[2000];
        int n = 0;

        snprintf(name, sizeof(name), "f%d", i);
        for (int k = 0; k < life[i].n; k++)
            n += snprintf(want + n, sizeof(want) - (size_t)n, "%lld@%lld ",
                          (long long)life[i].old[k].c, (long long)life[i].old[k].mtime);
        snprintf(want + n, sizeof(want) - (size_t)n, "= %lld@%lld", (long long)life[i].c,
                 (long long)life[i].mtime);
        assert_string_equal(seen(w, name), want);
    }
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(counted(w, "left:version-late"), 0);
}

/* Its call is planned in the same round as one that had to wait, a version's. */
static void
the_drift_of_a_node_that_is_left_over_is_its_own_and_no_versions(void **state)
{
    struct world *w = *state;
    struct fake_target *f = &w->target;

    folder(w, 50, FILES, "d");
    folder(w, 51, VERSIONS, "d");
    give_file(w, FIRST, 50, "x", 2, 4000);
    give_file(w, FIRST + 1, FILES, "old", 3, 4000);
    run(w);
    for (int i = 1; i < f->n_nodes; i++)
        if (f->nodes[i].used && strcmp(f->nodes[i].name, "old") == 0)
            snprintf(f->nodes[i].sha1, sizeof(f->nodes[i].sha1), "%s", sha1_of(99));
    folder(w, 50, FILES, "e");
    folder(w, 51, VERSIONS, "e");
    f->lost_answers = 1000;
    round_once(w, 1000);
    f->lost_answers = 0;
    round_once(w, 0); /* of the move nobody knows */
    assert_int_equal(w->core->n_jobs, 1);
    w->core->jobs[0]->resend_at = INT64_MAX;
    give_gone(w, FIRST + 1);
    give_file(w, FIRST + 1, FILES, "new", 4, 5000); /* the number once more, for another file */
    round_once(w, 1000);
    give_version(w, FIRST + 2, 51, "x", 1000, 1, 0); /* waits for the move */
    round_once(w, 1000);
    for (int i = 0; i < w->core->n_jobs; i++)
        w->core->jobs[i]->resend_at = 0;
    run(w);
    assert_string_equal(seen(w, "x"), "1@1000 = 2@4000");
    assert_string_equal(seen(w, "new"), "= 4@5000");
    assert_string_equal(seen(w, "old"), "= 99@4000");
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead WHERE kind = 1", NULL), 0);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT count(*) FROM dead WHERE kind = 2 AND cause ="
                               " 'changed-at-target'",
                               NULL),
                     1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(versions_go_up_oldest_first_and_then_the_content),
        T(of_more_than_512_versions_the_oldest_are_counted_and_not_carried),
        T(a_file_without_versions_costs_one_upload_and_no_question),
        T(switched_off_they_are_left_and_counted),
        T(versions_in_folders_and_of_names_alike_find_their_own_file),
        T(versions_that_are_alike_stay_as_many_as_they_are),
        T(a_version_newer_than_the_content_goes_up_before_it),
        T(in_a_bucket_a_version_is_its_object_and_not_its_rows_checksum),
        T(what_the_target_made_itself_is_not_uploaded_again),
        T(contents_that_were_passed_over_go_up_before_the_newest),
        T(the_same_bytes_written_once_more_keep_their_version),
        T(those_that_come_after_the_content_get_below_it),
        T(one_that_comes_when_its_file_is_in_the_trash_is_counted_and_goes_up_before_the_next_content),
        T(a_version_restored_at_the_source_is_a_new_content),
        T(an_expired_version_takes_nothing_with_it),
        T(a_file_deleted_while_its_first_version_goes_up_is_deleted),
        T(a_file_trashed_while_its_first_version_goes_up_is_made_once),
        T(what_a_snapshot_of_a_storage_brings_waits_for_its_end_and_the_stream_does_not),
        T(what_a_snapshot_brings_does_not_wait_for_one_that_was_cancelled),
        T(what_became_a_revision_is_mirrored),
        T(a_renamed_file_keeps_its_versions_without_a_call),
        T(a_trash_item_gets_its_versions_and_takes_them_back),
        T(a_purged_file_leaves_nothing_in_the_ledger),
        T(a_version_whose_file_is_missing_becomes_a_dead_letter_and_holds_up_nothing),
        T(a_file_that_is_written_for_ever_does_not_fill_the_ledger),
        T(what_the_target_has_though_the_ledger_does_not_know_is_not_doubled),
        T(what_somebody_deleted_at_the_target_is_not_made_again_for_a_version),
        T(the_drift_of_a_node_that_is_left_over_is_its_own_and_no_versions),
        T(random_life_with_kills_keeps_every_version_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
