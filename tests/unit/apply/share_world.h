/*
 * A world of three users, a group and a folder for the tests of shares: records go in, rounds are
 * made one by one, and the fake target is asked what came of them.
 */
#ifndef SHARE_WORLD_H
#define SHARE_WORLD_H

#include "apply/core.h"
#include "apply/plan/reconcile.h"
#include "common/run.h"
#include "fake_target.h"
#include "options.h"
#include "steps.h"
#include "tests/unit/clock.h"
#include <unistd.h>

struct world {
    struct fake_target target;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128];
    int64_t seq;
};

#define FILE_ID 101 /* a folder "a" of u1 */

static inline void
open_world(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(
        ap_core_new(w->ledger, &w->target.writer, NULL, &usual_options, &w->core, &err), 0);
    ledger_begin(w->ledger);
    ap_recover(w->core);
    ledger_commit(w->ledger);
}

static inline void
close_world(struct world *w)
{
    ap_core_free(w->core);
    ap_ledger_close(w->ledger);
}

static inline int
run_some(struct world *w, int most)
{
    struct ap_job *job;
    int n = 0;

    for (; n < most && (job = ap_job_next(w->core)) != NULL; n++) {
        ap_job_run(&w->target.writer, job);
        ap_job_back(w->core, job);
    }
    return n;
}

static inline void
round_once(struct world *w)
{
    clock_pass_us(200);
    ledger_begin(w->ledger);
    ap_settle(w->core);
    ap_plan(w->core);
    ledger_commit(w->ledger);
    ap_send(w->core);
}

/* Everything is done; what waits for a record of its own stays (`parked` many). */
static inline void
finish(struct world *w, int64_t parked)
{
    int64_t until = ls_mono_ms() + 240000;

    do {
        assert_true(ls_mono_ms() < until);
        round_once(w);
        run_some(w, 100);
    } while (w->core->n_jobs > 0 ||
             ap_number(w->ledger, -1, "SELECT count(*) FROM work", NULL) > parked);
    assert_int_equal(ap_balance(w->ledger), 0);
}

/* The next call happens, and its answer is never read. */
static inline void
call_and_die(struct world *w)
{
    int64_t until = ls_mono_ms() + 240000;

    do {
        assert_true(ls_mono_ms() < until);
        round_once(w);
    } while (run_some(w, 1) == 0);
    close_world(w);
    open_world(w);
}

static inline void
give_person(struct world *w, enum cs3_person_type type, const char *uid, const char *gid,
            const char *name, enum cs3_kind kind)
{
    static const struct ap_origin at = {.topic = "cs3.person"};
    struct cs3_person p = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                           .type = type,
                           .uid = ls_str_of(uid),
                           .gid = ls_str_of(gid),
                           .display_name = ls_str_of(name),
                           .enabled = true};
    ledger_begin(w->ledger);
    ap_take_person(w->core, &at, &p);
    ledger_commit(w->ledger);
}

/* An account: enabled or not, with a quota or without a word of one. */
static inline void
give_account(struct world *w, const char *uid, bool enabled, int64_t quota)
{
    static const struct ap_origin at = {.topic = "cs3.person"};
    struct cs3_person p = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->seq, 0}},
                           .type = CS3_USER,
                           .uid = ls_str_of(uid),
                           .display_name = ls_str_of(uid),
                           .quota_kind = quota > 0 ? CS3_QUOTA_BYTES : CS3_QUOTA_UNSET,
                           .quota_bytes = quota,
                           .enabled = enabled};
    ledger_begin(w->ledger);
    ap_take_person(w->core, &at, &p);
    ledger_commit(w->ledger);
}

static inline void
tell_node(struct world *w, int64_t storage, int64_t fileid, int64_t parent, const char *name,
          enum cs3_kind kind)
{
    static const struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_resource r = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                             .what = CS3_NODE,
                             .storage = storage,
                             .fileid = fileid,
                             .parent = parent,
                             .name = ls_str_of(name),
                             .folder = true,
                             .size = -1,
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};
    ledger_begin(w->ledger);
    ap_take_resource(w->core, &at, &r);
    ledger_commit(w->ledger);
}

static inline void
give_node(struct world *w, int64_t storage, int64_t fileid, int64_t parent, const char *name)
{
    tell_node(w, storage, fileid, parent, name, CS3_UPSERT);
}

static inline void
give_share(struct world *w, int64_t id, enum cs3_share_type type, int64_t parent,
           const char *grantee, int64_t permissions, enum cs3_share_state state, enum cs3_kind kind)
{
    static const struct ap_origin at = {.topic = "cs3.share"};
    struct cs3_share s = {.head = {.kind = kind, .seq = {1, ++w->seq, 0}},
                          .id = id,
                          .type = type,
                          .parent = parent,
                          .fileid = FILE_ID,
                          .folder = true,
                          .owner = LS_STR("u1"),
                          .creator = LS_STR("u1"),
                          .grantee = ls_str_of(grantee),
                          .permissions = permissions,
                          .stime = id,
                          .state = state,
                          .mount_point = LS_STR("/a")};
    ledger_begin(w->ledger);
    ap_take_share(w->core, &at, &s);
    ledger_commit(w->ledger);
}

static inline void
start_world(struct world *w, bool exact)
{
    static const struct ap_origin at = {.topic = "cs3.space"};
    static int n;
    char owner[8];

    clock_hold();
    memset(w, 0, sizeof(*w));
    fake_init(&w->target);
    w->target.writer.exact = exact;
    snprintf(w->path, sizeof(w->path), "%s/apply-shares-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    open_world(w);
    for (int64_t s = 1; s <= 3; s++) {
        snprintf(owner, sizeof(owner), "u%d", (int)s);
        struct cs3_space space = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->seq, 0}},
                                  .storage = s,
                                  .type = CS3_SPACE_PERSONAL,
                                  .owner = ls_str_of(owner)};
        ledger_begin(w->ledger);
        ap_take_space(w->core, &at, &space);
        ledger_commit(w->ledger);
        give_account(w, owner, true, 0);
        give_node(w, s, 10 * s, -1, "");
        give_node(w, s, 10 * s + 1, 10 * s, "files");
    }
    give_person(w, CS3_GROUP, "", "g", "", CS3_UPSERT);
    give_node(w, 1, FILE_ID, 11, "a");
    finish(w, 0);
}

static inline void
stop_world(struct world *w)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[160];

    close_world(w);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", w->path, ends[i]);
        unlink(name);
    }
    fake_free(&w->target);
    clock_release();
}

static inline void
give_either(struct world *w, bool link, int64_t permissions)
{
    give_share(w, 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, link ? NULL : "u2", permissions,
               CS3_SHARE_ACCEPTED, CS3_UPSERT);
}

static inline int
in_use(const struct world *w)
{
    int n = 0;

    for (int i = 0; i < w->target.n_shares; i++)
        n += w->target.shares[i].used;
    return n;
}

/* Shares that are gone, and what they had given is not. */
static inline int
grants_left(const struct world *w)
{
    int n = 0;

    for (int i = 0; i < w->target.n_shares; i++)
        n += w->target.shares[i].grant_left;
    return n;
}

/* The calls up to one that makes a share happen; that one's answer is never read. */
static inline void
share_and_die(struct world *w)
{
    int sets = w->target.share_sets;
    int64_t until = ls_mono_ms() + 240000;

    while (w->target.share_sets == sets) {
        assert_true(ls_mono_ms() < until);
        round_once(w);
        run_some(w, 1);
    }
    close_world(w);
    open_world(w);
}

#endif
