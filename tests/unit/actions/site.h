/*
 * From ownCloud's rows to oCIS in one process: capture's envelopes, transform's mapping with its
 * encoding, apply's core on a ledger, a target in memory. No server, no thread.
 */
#ifndef ACTIONS_SITE_H
#define ACTIONS_SITE_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/core.h"
#include "common/kafka.h"
#include "common/run.h"
#include "tests/unit/actions/source_rows.h"
#include "tests/unit/apply/fake_target.h"
#include "tests/unit/clock.h"
#include "transform/projects.h"
#include "transform/route.h"
#include <unistd.h>

#define SITE_PARTITIONS 3
/* cs3.resource, then space, person, share, annotation */
#define SITE_STREAMS (SITE_PARTITIONS + 4)
#define SITE_RECORDS 60000
/* 64 characters: ownCloud keeps the md5 of "home::" and this */
#define LONG_UID "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"
#define LONG_HOME "b2cbe80c48af40b1a8e162a6cec452d6"

struct site_record {
    int stream;
    struct ls_str key, value;
};

struct site {
    struct source_rows src;
    struct ls_arena *scratch; /* of one envelope */
    struct tf_known *known;
    struct tf_reach *reach;
    struct tf_projects *projects;
    struct tf_zone zone;
    struct tf_route_state state;
    struct site_record *records;
    int n_records, next[SITE_STREAMS];
    struct fake_target target;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128], dead[32]; /* the ledger; the last dead letter's cause */
    int n_dead, n_accounts;
};

/* ---- transform */

static void
site_queue(struct site *s, int stream, struct ls_str key, struct ls_str value)
{
    struct site_record *r = &s->records[s->n_records++];

    assert_true(s->n_records < SITE_RECORDS);
    *r = (struct site_record){
        stream,
        {ls_arena_strndup(s->src.arena, key.p, key.n), key.n},
        {ls_arena_strndup(s->src.arena, value.p, value.n), value.n},
    };
    assert_non_null(r->key.p);
    assert_non_null(r->value.p);
}

static void
site_map(struct site *s, const struct ls_envelope *e, int32_t partition)
{
    struct tf_world world = {.known = s->known,
                             .zone = &s->zone,
                             .reach = s->reach,
                             .instance = "oc1",
                             .partitions = SITE_PARTITIONS,
                             .partition = partition};
    struct tf_result result;
    enum tf_sort sort;
    struct ls_err err = {0};
    struct ls_buf buf;
    struct ls_str values[TF_MAX_EMITS];

    ls_arena_reset(s->scratch);
    if (tf_route_envelope(&world, &s->state, e, s->scratch, &result, &sort, &err) < 0) {
        snprintf(s->dead, sizeof(s->dead), "%s", err.cause);
        s->n_dead++;
        return;
    }
    ls_buf_init(&buf, 1 << 20);
    assert_int_equal(tf_encode(&result, &buf, values, &err), 0);
    for (size_t i = 0; i < result.n; i++) {
        const struct tf_emit *emit = &result.emits[i];

        for (int32_t p = 0; p < (emit->topic == TF_RESOURCE ? SITE_PARTITIONS : 1); p++) {
            if (emit->topic == TF_RESOURCE && emit->partition != TF_ALL_PARTITIONS &&
                emit->partition != p)
                continue;
            site_queue(
                s,
                emit->topic == TF_RESOURCE ? p : SITE_PARTITIONS + (int)emit->topic - (int)TF_SPACE,
                emit->key, values[i]);
        }
    }
    ls_buf_free(&buf);
}

static void
site_take(void *arg, struct ls_envelope *e)
{
    struct site *s = arg;
    struct ls_err err = {0};
    bool bracket = e->op == LS_OP_BEGIN || e->op == LS_OP_END;
    const struct ls_value *row = e->has_after ? e->after : e->before;

    assert_int_equal(tf_known_feed(s->known, e, &err), 0);
    if (!e->table->by_storage)
        site_map(s, e, 0);
    else if (!bracket)
        site_map(s, e, ls_partition_of_storage(row[FC_STORAGE].i, SITE_PARTITIONS));
    else
        for (int32_t p = 0; p < SITE_PARTITIONS; p++)
            site_map(s, e, p);
}

/* ---- the source */

static const char *
site_owner(struct site *s, int64_t storage)
{
    return sr_owner(&s->src, storage, LONG_HOME " " LONG_UID);
}

static void
site_line(struct site *s, const char *line)
{
    char text[1000];
    const char *uid = strstr(line, "I oc_storages id='home::");

    sr_line(&s->src, line);
    /* Recordings begin in the middle: whoever has a home is somebody. */
    if (uid) {
        const char *end = sr_text_end(uid += strlen("I oc_storages id='home::"));
        bool known = false;

        for (int i = 0; i < s->src.n_rows; i++)
            known = known ||
                    (s->src.rows[i]->table->id == LS_T_ACCOUNTS &&
                     strncmp(sr_text(s->src.rows[i], AC_USER_ID), uid, (size_t)(end - uid)) == 0);
        snprintf(text, sizeof(text),
                 "I oc_accounts id=%d user_id='%.*s' home='/srv/oc10/data/%.*s' state=1",
                 9000 + s->n_accounts++, (int)(end - uid), uid, (int)(end - uid), uid);
        if (!known)
            sr_line(&s->src, text);
    }
}

/* What a home holds at a path; apply asks by parents and names. */
static const char *
site_content(void *arg, const char *owner, const char *relative)
{
    struct site *s = arg;
    struct sr_row *row = NULL;
    char path[4096];

    for (int i = 0; i < s->src.n_rows; i++) {
        struct sr_row *r = s->src.rows[i];
        const char *uid;

        if (r->table->id == LS_T_FILECACHE && !r->deleted && sr_int(r, FC_PARENT) == -1 &&
            (uid = site_owner(s, sr_int(r, FC_STORAGE))) != NULL && strcmp(uid, owner) == 0)
            row = r;
    }
    snprintf(path, sizeof(path), "%s", relative);
    for (char *save = NULL, *part = strtok_r(path, "/", &save); part && row;
         part = strtok_r(NULL, "/", &save))
        row = sr_child(&s->src, sr_int(row, FC_FILEID), part);
    return row ? row->content : NULL;
}

/* ---- life */

static void
site_remove_files(struct site *s)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[160];

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", s->path, ends[i]);
        unlink(name);
    }
}

/* A target and a ledger that know nothing, and all records still to be read. */
static void
site_open_target(struct site *s)
{
    static const struct ap_options options = {.drift_stop = true,
                                              .workers = 8,
                                              .retry_first_ms = 1,
                                              .retry_max_ms = 2,
                                              .content_tries = 1000000,
                                              .content_margin_us = 1000,
                                              .sweep_max_percent = 100,
                                              .sweep_max_items = 1000000,
                                              .versions = true};
    static int n;
    struct ls_err err = {0};

    clock_hold();
    fake_init(&s->target);
    s->target.content = site_content;
    s->target.content_arg = s;
    snprintf(s->path, sizeof(s->path), "%s/actions-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    site_remove_files(s);
    memset(s->next, 0, sizeof(s->next));
    assert_int_equal(ap_ledger_open(s->path, &s->ledger, &err), 0);
    assert_int_equal(ap_core_new(s->ledger, &s->target.writer, NULL, &options, &s->core, &err), 0);
}

static void
site_close_target(struct site *s)
{
    ap_core_free(s->core);
    ap_ledger_close(s->ledger);
    site_remove_files(s);
    fake_free(&s->target);
    clock_release();
}

static int
site_setup(void **state)
{
    static const char *const first[] = {"I oc_mimetypes id=1 mimetype='httpd'",
                                        "I oc_mimetypes id=2 mimetype='httpd/unix-directory'",
                                        "I oc_mimetypes id=3 mimetype='text'",
                                        "I oc_mimetypes id=4 mimetype='text/plain'",
                                        "I oc_storages id='local::/srv/oc10/data/' numeric_id=3",
                                        "I oc_accounts id=8999 user_id='" LONG_UID
                                        "' home='/srv/oc10/data/u' state=1"};
    struct site *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->records = calloc(SITE_RECORDS, sizeof(*s->records));
    s->src.arena = ls_arena_new(256u << 20);
    s->scratch = ls_arena_new(16u << 20);
    s->known = tf_known_new();
    s->reach = tf_reach_new(SITE_PARTITIONS);
    assert_true(s->records && s->src.arena && s->scratch && s->known && s->reach);
    s->src.clock = 1700000000;
    s->src.send = site_take;
    s->src.arg = s;
    site_open_target(s);
    sr_snapshot(&s->src); /* of nothing: what follows is the stream */
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        site_line(s, first[i]);
    *state = s;
    return 0;
}

static int
site_teardown(void **state)
{
    struct site *s = *state;

    site_close_target(s);
    tf_known_free(s->known);
    tf_projects_free(s->projects);
    tf_reach_free(s->reach);
    ls_arena_free(s->scratch);
    ls_arena_free(s->src.arena);
    free(s->records);
    free(s);
    return 0;
}

/* ---- apply */

static bool
site_give(struct site *s, int stream)
{
    static const char *const topics[] = {"cs3.space", "cs3.person", "cs3.share", "cs3.annotation"};
    struct ls_err err = {0};

    while (s->next[stream] < s->n_records) {
        struct site_record *r = &s->records[s->next[stream]++];
        struct ls_message m = {.partition = stream < SITE_PARTITIONS ? stream : 0,
                               .offset = s->next[stream],
                               .key = r->key,
                               .value = r->value};
        if (r->stream != stream)
            continue;
        ls_arena_reset(s->scratch);
        if (ap_take_message(s->core, &m,
                            stream < SITE_PARTITIONS ? "cs3.resource"
                                                     : topics[stream - SITE_PARTITIONS],
                            s->scratch, &err) < 0)
            fail_msg("%s", err.msg);
        return true;
    }
    return false;
}

static bool
site_given_all(struct site *s)
{
    for (int i = 0; i < SITE_STREAMS; i++)
        for (int n = s->next[i]; n < s->n_records; n++)
            if (s->records[n].stream == i)
                return false;
    return true;
}

static void
site_round(struct site *s, int records, int calls)
{
    struct ls_err err = {0};
    struct ap_job *job;

    clock_pass_us(200);
    assert_int_equal(ap_ledger_begin(s->ledger, &err), 0);
    ap_settle(s->core);
    for (int i = 0; i < records; i++)
        site_give(s, (int)(random() % SITE_STREAMS));
    ap_plan(s->core);
    if (ap_ledger_commit(s->ledger, &err) < 0)
        fail_msg("%s", err.msg);
    ap_send(s->core);
    for (int i = 0; i < calls && (job = ap_job_next(s->core)) != NULL; i++) {
        ap_job_run(&s->target.writer, job);
        ap_job_back(s->core, job);
    }
}

/* ---- what shall be, and what is, as sorted lines */

struct lines {
    char **line;
    int n;
};

static void
lines_add(struct lines *l, const char *text)
{
    l->line = realloc(l->line, (size_t)(l->n + 1) * sizeof(*l->line));
    assert_non_null(l->line);
    l->line[l->n++] = strdup(text);
}

static void
lines_free(struct lines *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->line[i]);
    free(l->line);
}

static int
lines_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a.txt.d17" -> "a.txt". */
static void
strip_time(char *name)
{
    char *dot = strrchr(name, '.');

    if (dot && dot[1] == 'd')
        *dot = '\0';
}

static bool
site_is_folder(struct site *s, const struct sr_row *row)
{
    struct ls_value key[LS_MAX_COLUMNS] = {[MT_ID] = row->v[FC_MIMETYPE]};
    struct sr_row *type = sr_find(&s->src, &ls_tables[LS_T_MIMETYPES], key);

    return type && strcmp(sr_text(type, MT_MIMETYPE), "httpd/unix-directory") == 0;
}

/* The nearest time that oCIS can hold. */
static int64_t
held(int64_t mtime)
{
    return mtime > CS3_MTIME_MAX ? CS3_MTIME_MAX : mtime;
}

static void
lines_of_row(struct site *s, struct sr_row *row, struct lines *l)
{
    struct sr_row *chain[SR_DEPTH], *root = NULL;
    char path[3000] = "", part[600], line[3300];
    int n = sr_chain(&s->src, row, chain, &root), from;
    const char *owner = n > 1 ? site_owner(s, sr_int(root, FC_STORAGE)) : NULL;
    bool trash;
    int64_t mtime = sr_int(row, FC_MTIME);

    if (!owner)
        return;
    trash = n > 2 && strcmp(sr_text(chain[0], FC_NAME), "files_trashbin") == 0 &&
            strcmp(sr_text(chain[1], FC_NAME), "files") == 0;
    if (!trash && strcmp(sr_text(chain[0], FC_NAME), "files") != 0)
        return;
    from = trash ? 2 : 1;
    for (int i = from; i < n; i++) {
        /* hidden by its twin */
        if (sr_child(&s->src, sr_int(chain[i], FC_PARENT), sr_text(chain[i], FC_NAME)) != chain[i])
            return;
        snprintf(part, sizeof(part), "%s", sr_text(chain[i], FC_NAME));
        if (trash && i == 2)
            strip_time(part);
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", part);
    }
    mtime = held(mtime);
    snprintf(line, sizeof(line), "S%.40s %s %s %s %" PRId64, owner, trash ? "trash" : "live", path,
             site_is_folder(s, row) ? "folder" : row->content,
             trash || site_is_folder(s, row) ? 0 : mtime);
    lines_add(l, line);
}

/* A row that another one hides keeps the copy that it had, under a free name. */
static bool
is_hidden_copy(struct site *s, const char *name)
{
    const char *mark = strstr(name, " (lockstep ");
    struct sr_row *row = mark ? sr_file(&s->src, atoll(mark + strlen(" (lockstep "))) : NULL;

    return row && sr_child(&s->src, sr_int(row, FC_PARENT), sr_text(row, FC_NAME)) != row;
}

static void
lines_of_target(struct site *s, struct lines *l)
{
    struct fake_target *f = &s->target;
    char path[3000], line[3300], *from, *to;

    for (int i = 1; i < f->n_nodes; i++) {
        bool trash = fake_in_trash(f, i);

        if (!f->nodes[i].used || (!trash && is_hidden_copy(s, f->nodes[i].name)))
            continue;
        fake_path(f, i, path, sizeof(path));
        while (trash && (from = strstr(path, " (lockstep ")) && (to = strchr(from, ')')))
            memmove(from, to + 1, strlen(to + 1) + 1);
        snprintf(line, sizeof(line), "%s %s /%s %s %" PRId64, f->nodes[i].space,
                 trash ? "trash" : "live", path, f->nodes[i].folder ? "folder" : f->nodes[i].sha1,
                 trash || f->nodes[i].folder ? 0 : f->nodes[i].mtime);
        lines_add(l, line);
    }
}

/* How many lines differ; printed with `show`. */
static int
site_differs(struct site *s, bool show)
{
    struct lines want = {0}, have = {0};
    int bad = 0;

    for (int i = 0; i < s->src.n_rows; i++)
        if (s->src.rows[i]->table->id == LS_T_FILECACHE && !s->src.rows[i]->deleted)
            lines_of_row(s, s->src.rows[i], &want);
    lines_of_target(s, &have);
    if (want.n > 0)
        qsort(want.line, (size_t)want.n, sizeof(want.line[0]), lines_compare);
    if (have.n > 0)
        qsort(have.line, (size_t)have.n, sizeof(have.line[0]), lines_compare);
    for (int i = 0, j = 0; i < want.n || j < have.n;) {
        int c = i == want.n ? 1 : j == have.n ? -1 : strcmp(want.line[i], have.line[j]);
        if (c != 0) {
            bad++;
            if (show)
                print_error("%s %s\n", c < 0 ? "missing" : "extra",
                            c < 0 ? want.line[i] : have.line[j]);
        }
        i += c <= 0;
        j += c >= 0;
    }
    lines_free(&want);
    lines_free(&have);
    return bad;
}

/* The file that a row is a version of, by the names around it; -1: it is no version. */
static int64_t
version_of(struct site *s, struct sr_row *row)
{
    struct sr_row *chain[SR_DEPTH], *root = NULL, *at;
    int n = sr_chain(&s->src, row, chain, &root), from = 1;
    char name[600], deleted[60] = "", *dot;

    if (n < 2 || !site_owner(s, sr_int(root, FC_STORAGE)) || site_is_folder(s, row))
        return -1;
    at = root;
    if (strcmp(sr_text(chain[0], FC_NAME), "files_trashbin") == 0 && n > 2 &&
        strcmp(sr_text(chain[1], FC_NAME), "versions") == 0) {
        at = chain[0];
        from = 2;
    } else if (strcmp(sr_text(chain[0], FC_NAME), "files_versions") != 0) {
        return -1;
    }
    snprintf(name, sizeof(name), "%s", sr_text(row, FC_NAME));
    if (strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".json") == 0)
        name[strlen(name) - 5] = '\0';
    if (from == 2 && n == 3 && (dot = strrchr(name, '.')) != NULL) {
        snprintf(deleted, sizeof(deleted), "%s", dot);
        *dot = '\0';
    }
    dot = strrchr(name, '.');
    if (!dot || (dot[1] != 'v' && strcmp(dot, ".current") != 0))
        return -1;
    snprintf(dot, sizeof(deleted), "%s", deleted);
    at = sr_child(&s->src, sr_int(at, FC_FILEID), "files");
    for (int i = from; i < n - 1 && at; i++)
        at = sr_child(&s->src, sr_int(at, FC_FILEID), sr_text(chain[i], FC_NAME));
    if (at)
        at = sr_child(&s->src, sr_int(at, FC_FILEID), name);
    return at ? sr_int(at, FC_FILEID) : 0;
}

/* How many versions the ledger has with another file. */
static int
site_joins_differ(struct site *s, bool show)
{
    int bad = 0;

    for (int i = 0; i < s->src.n_rows; i++) {
        struct sr_row *row = s->src.rows[i];
        int64_t want, have;

        if (row->deleted || row->table->id != LS_T_FILECACHE || (want = version_of(s, row)) < 0)
            continue;
        have = ap_number(s->ledger, -1, "SELECT of FROM version WHERE fileid = ?", "i",
                         sr_int(row, FC_FILEID));
        bad += have != want;
        if (show && have != want)
            print_error("%s is a version of %lld, not of %lld\n", sr_text(row, FC_NAME),
                        (long long)want, (long long)have);
    }
    return bad;
}

/* Does the target have an old content of that time and size, or has the file it now? */
static bool
has_revision(struct fake_target *f, int node, int64_t mtime, int64_t size)
{
    for (int i = 0; i < f->n_revisions; i++)
        if (f->revisions[i].node == node && f->revisions[i].mtime == mtime &&
            f->revisions[i].size == size)
            return true;
    return f->nodes[node].mtime == mtime && f->nodes[node].size == size;
}

/* How many versions of live files the target does not have. */
static int
site_versions_differ(struct site *s, bool show)
{
    int bad = 0;

    for (int i = 0; i < s->src.n_rows; i++) {
        struct sr_row *row = s->src.rows[i];
        struct ap_applied node;
        const char *time;
        int64_t of;

        if (row->deleted || row->table->id != LS_T_FILECACHE || (of = version_of(s, row)) <= 0 ||
            !ap_node_of(s->ledger, of, &node) || fake_in_trash(&s->target, atoi(node.target + 1)))
            continue;
        time = strrchr(sr_text(row, FC_NAME), '.');
        if (strncmp(time, ".v", 2) != 0 ||
            has_revision(&s->target, atoi(node.target + 1), held(strtoll(time + 2, NULL, 10)),
                         sr_int(row, FC_SIZE)))
            continue;
        bad++;
        if (show)
            print_error("the target has no %s (%" PRId64 " bytes) of %" PRId64 "\n",
                        sr_text(row, FC_NAME), sr_int(row, FC_SIZE), of);
    }
    return bad;
}

/* Files and folders that are open for another reason than that the source itself is so. (Shares and
 * people wait for those whose rows came before the recording.) */
static int64_t
site_open_work(struct site *s)
{
    return ap_number(s->ledger, -1,
                     "SELECT count(*) FROM work WHERE kind IN (1, 2, 3) AND cause NOT IN"
                     " ('orphan', 'name-twin', 'space-unknown', 'space-deleted')",
                     NULL);
}

/* All that was sent is done, and the target holds what the source holds. */
static void
site_settle(struct site *s, const char *action)
{
    int64_t until = ls_mono_ms() + 60000;

    do {
        site_round(s, 100, 1000);
        if (ls_mono_ms() > until) {
            sqlite3_stmt *q = ap_query(s->ledger,
                                       "SELECT kind, id, state, cause, on_kind, on_id FROM work"
                                       " LIMIT 30",
                                       NULL);
            while (ap_step(s->ledger, q))
                print_error("open: kind %d id %lld state %d %s on %d/%lld\n",
                            sqlite3_column_int(q, 0), (long long)sqlite3_column_int64(q, 1),
                            sqlite3_column_int(q, 2), sqlite3_column_text(q, 3),
                            sqlite3_column_int(q, 4), (long long)sqlite3_column_int64(q, 5));
            site_differs(s, true);
            site_joins_differ(s, true);
            site_versions_differ(s, true);
            fail_msg("not in step after: %s", action);
        }
    } while (!site_given_all(s) || s->core->n_jobs > 0 || site_open_work(s) > 0 ||
             site_differs(s, false) > 0 || site_joins_differ(s, false) > 0 ||
             site_versions_differ(s, false) > 0);
    if (s->target.broken > 0)
        fail_msg("after %s: what must never be asked for: %s", action, s->target.what);
    assert_int_equal(ap_balance(s->ledger), 0);
}

#endif
