/*
 * Shares, and people as far as shares are for them. Above all: a call happened, and apply died
 * before it had the answer. The source may want something else by then, and even what the ledger
 * still holds for true; whatever it is, the target has it in the end.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/core.h"
#include "apply/plan/reconcile.h"
#include "common/run.h"
#include "fake_target.h"
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

#define FILE_ID 101 /* a folder "a" of u1 */

static void
open_world(struct world *w)
{
    struct ls_err err = {0};

    assert_int_equal(ap_ledger_open(w->path, &w->ledger, &err), 0);
    assert_int_equal(ap_core_new(w->ledger, &w->target.writer, NULL, &options, &w->core, &err), 0);
    ledger_begin(w->ledger);
    ap_recover(w->core);
    ledger_commit(w->ledger);
}

static void
close_world(struct world *w)
{
    ap_core_free(w->core);
    ap_ledger_close(w->ledger);
}

static int
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

static void
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
static void
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
static void
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

static void
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
static void
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

static void
give_node(struct world *w, int64_t storage, int64_t fileid, int64_t parent, const char *name)
{
    static const struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_resource r = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->seq, 0}},
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

static void
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

static void
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

static void
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

/* ---- back to what the ledger holds */

static void
give_either(struct world *w, bool link, int64_t permissions)
{
    give_share(w, 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, link ? NULL : "u2", permissions,
               CS3_SHARE_ACCEPTED, CS3_UPSERT);
}

static void
permissions_given_in_doubt_are_taken_back(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool link = i & 1;
        start_world(&w, i & 2);
        give_either(&w, link, 1);
        finish(&w, 0);
        give_either(&w, link, 15);
        call_and_die(&w);
        assert_int_equal(w.target.shares[0].permissions, 15);
        give_either(&w, link, 1);
        finish(&w, 0);
        assert_int_equal(w.target.shares[0].permissions, 1);
        assert_int_equal(w.target.n_shares, 1);
        stop_world(&w);
    }
}

/* How the next calls that set a share end, though it was set. */
static struct {
    int calls;
    enum ls_err_kind kind;
    const char *cause;
} set_ends;

static int
share_set_in_part(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
                  bool doubtful, struct ls_err *err)
{
    char id[AP_ID_SIZE];
    int r;

    memcpy(id, share_id, sizeof(id));
    r = fake_share_set(w, want, id, doubtful, err);
    if (r == 0 && set_ends.calls-- > 0)
        return ls_fail_cause(err, set_ends.kind, 0, set_ends.cause, "and no more");
    if (r == 0)
        memcpy(share_id, id, sizeof(id));
    return r;
}

/* Refused after a part of it was made; trouble of the target's own; refused where an earlier answer
 * was lost. Then the source wants what it wanted before, or nothing. */
static void
a_share_refused_in_part_is_not_forgotten(void **state)
{
    static struct ap_writer_ops ops;

    (void)state;
    for (int i = 0; i < 12; i++) {
        static struct world w;
        bool poison = i % 3 == 2, deleted = i & 1;
        start_world(&w, i >= 6);
        ops = *w.target.writer.ops;
        ops.share_set = share_set_in_part;
        w.target.writer.ops = &ops;
        give_share(&w, 1, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        finish(&w, 0);
        give_share(&w, 1, CS3_SHARE_USER, 0, "u2", 15, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        if (poison)
            call_and_die(&w);
        set_ends.calls = 2;
        set_ends.kind = poison ? LS_ERR_POISON : LS_ERR_RETRY;
        set_ends.cause = poison ? "refused" : i % 3 == 1 ? "internal" : "in-part";
        for (int n = 0; set_ends.calls == 2; n++) {
            assert_true(n < 100000);
            round_once(&w);
            run_some(&w, 1);
        }
        give_share(&w, 1, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED,
                   deleted ? CS3_DELETE : CS3_UPSERT);
        set_ends.calls = 0;
        finish(&w, 0);
        assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
        assert_int_equal(w.target.shares[0].used, !deleted);
        if (!deleted)
            assert_int_equal(w.target.shares[0].permissions, 1);
        assert_int_equal(w.target.n_shares, 1);
        stop_world(&w);
    }
}

static int
share_set_refused(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
                  bool doubtful, struct ls_err *err)
{
    (void)w;
    (void)want;
    (void)share_id;
    (void)doubtful;
    return ls_fail_cause(err, LS_ERR_POISON, 400, "refused", "no shares of that");
}

static void
the_letter_of_a_refused_share_has_the_words_of_the_target(void **state)
{
    static struct ap_writer_ops ops;
    static struct world w;

    (void)state;
    start_world(&w, true);
    ops = *w.target.writer.ops;
    ops.share_set = share_set_refused;
    w.target.writer.ops = &ops;
    give_share(&w, 1, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM letter WHERE topic = 'cs3.share' AND key = '1'"
                               " AND cause = 'share-refused' AND message = 'no shares of that'",
                               NULL),
                     1);
    stop_world(&w);
}

static int
share_set_with_state(struct ap_writer *w, const struct ap_share_want *want,
                     char share_id[AP_ID_SIZE], bool doubtful, struct ls_err *err)
{
    int r = fake_share_set(w, want, share_id, doubtful, err);

    if (r == 0)
        *want->ret_received = true;
    return r;
}

/* What he makes of it later is another matter; and a group's members have each their own. */
static void
a_state_that_was_written_with_the_share_is_not_asked_for_again(void **state)
{
    static struct ap_writer_ops ops;
    static struct world w;

    (void)state;
    start_world(&w, true);
    ops = *w.target.writer.ops;
    ops.share_set = share_set_with_state;
    w.target.writer.ops = &ops;
    give_share(&w, 1, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.share_sets, 1);
    assert_int_equal(w.target.received_sets, 0);
    give_share(&w, 1, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.share_sets, 1);
    assert_int_equal(w.target.received_sets, 1);
    stop_world(&w);
}

static void
a_share_removed_in_doubt_is_made_again(void **state)
{
    static struct world w;

    (void)state;
    for (int link = 0; link < 2; link++) {
        start_world(&w, false);
        give_either(&w, link, 1);
        finish(&w, 0);
        give_share(&w, 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, link ? NULL : "u2", 1,
                   CS3_SHARE_ACCEPTED, CS3_DELETE);
        call_and_die(&w);
        assert_false(w.target.shares[0].used);
        give_either(&w, link, 1);
        finish(&w, 0);
        assert_int_equal(w.target.n_shares, 2);
        assert_true(w.target.shares[1].used);
        stop_world(&w);
    }
}

static void
what_a_recipient_made_of_it_in_doubt_is_set_back(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    give_either(&w, false, 1);
    finish(&w, 0);
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_UPSERT);
    call_and_die(&w);
    assert_int_equal(w.target.received[0].state, CS3_SHARE_REJECTED);
    give_either(&w, false, 1);
    finish(&w, 0);
    assert_int_equal(w.target.received[0].state, CS3_SHARE_ACCEPTED);
    stop_world(&w);
}

static void
a_member_made_in_doubt_is_one_no_more_when_the_source_took_it_back(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    call_and_die(&w);
    assert_true(fake_fact(&w.target, "member Gg Uu2")->on);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_DELETE);
    finish(&w, 0);
    assert_false(fake_fact(&w.target, "member Gg Uu2")->on);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    finish(&w, 0);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_DELETE);
    call_and_die(&w);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    finish(&w, 0);
    assert_true(fake_fact(&w.target, "member Gg Uu2")->on);
    stop_world(&w);
}

static void
a_user_is_as_the_source_says_whatever_was_in_doubt(void **state)
{
    static struct world w;

    (void)state;
    for (int enabled = 0; enabled < 2; enabled++) {
        start_world(&w, false);
        give_account(&w, "u2", enabled, 0);
        finish(&w, 0);
        give_account(&w, "u2", !enabled, 0);
        call_and_die(&w);
        assert_int_equal(fake_fact(&w.target, "user Uu2")->on, !enabled);
        give_account(&w, "u2", enabled, 0);
        finish(&w, 0);
        assert_int_equal(fake_fact(&w.target, "user Uu2")->on, enabled);
        stop_world(&w);
    }
    start_world(&w, false);
    give_account(&w, "u2", true, 1000);
    finish(&w, 0);
    give_account(&w, "u2", true, 2000);
    call_and_die(&w);
    assert_int_equal(w.target.quota, 2000);
    give_account(&w, "u2", true, 1000);
    finish(&w, 0);
    assert_int_equal(w.target.quota, 1000);
    give_person(&w, CS3_USER, "u2", "", "Other Name", CS3_UPSERT);
    call_and_die(&w);
    assert_string_equal(w.target.named, "Other Name");
    give_account(&w, "u2", true, 1000);
    finish(&w, 0);
    assert_string_equal(w.target.named, "u2");
    stop_world(&w);
}

/* ---- made in doubt, then the file goes to another space */

static int
in_use(const struct world *w)
{
    int n = 0;

    for (int i = 0; i < w->target.n_shares; i++)
        n += w->target.shares[i].used;
    return n;
}

/* The calls up to one that makes a share happen; that one's answer is never read. */
static void
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

static void
a_share_made_in_doubt_in_another_space_is_not_forgotten_for_the_old_one(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool known = i & 1, deleted = i & 2; /* known: shared before the first move, too */
        start_world(&w, true);
        if (known) {
            give_share(&w, 7, CS3_SHARE_USER, 0, "u4", 1, CS3_SHARE_PENDING, CS3_UPSERT);
            give_account(&w, "u4", true, 0);
            finish(&w, 0);
        } else {
            give_account(&w, "u4", true, 0);
            finish(&w, 0);
            give_share(&w, 7, CS3_SHARE_USER, 0, "u4", 1, CS3_SHARE_PENDING, CS3_UPSERT);
        }
        give_node(&w, 2, FILE_ID, 21, "a");
        share_and_die(&w);
        if (deleted)
            give_share(&w, 7, CS3_SHARE_USER, 0, "u4", 1, CS3_SHARE_PENDING, CS3_DELETE);
        else
            give_node(&w, 3, FILE_ID, 31, "a");
        finish(&w, 0);
        for (int n = 0; n < w.target.n_shares; n++) {
            const struct fake_share *share = &w.target.shares[n];
            if (share->used && strcmp(w.target.nodes[share->node].space, "Su2") == 0)
                fail_msg("it is open in the second space");
        }
        assert_true(!deleted || in_use(&w) == 0);
        stop_world(&w);
    }
}

/* Over the sharing API it has another id than the one that was removed. */
static void
a_share_made_anew_in_doubt_is_found_and_removed_by_whose_it_is(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        enum cs3_share_type type = i & 1 ? CS3_SHARE_GROUP : CS3_SHARE_USER;
        const char *grantee = i & 1 ? "g" : "u2";
        start_world(&w, i & 2);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        finish(&w, 0);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        call_and_die(&w);
        assert_int_equal(in_use(&w), 0);
        give_share(&w, 8, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        share_and_die(&w);
        assert_int_equal(in_use(&w), 1);
        give_share(&w, 8, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        finish(&w, 0);
        assert_int_equal(in_use(&w), 0);
        stop_world(&w);
    }
}

/* Its id names the first of its rows. */
static void
a_share_made_in_doubt_is_removed_also_when_its_first_row_went_before_the_others(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        enum cs3_share_type type = i & 1 ? CS3_SHARE_GROUP : CS3_SHARE_USER;
        const char *grantee = i & 1 ? "g" : "u2";
        start_world(&w, true);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        give_share(&w, 8, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        share_and_die(&w);
        assert_int_equal(in_use(&w), 1);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        if (i & 2) {
            finish(&w, 0);
            assert_int_equal(in_use(&w), 1);
            assert_int_equal(w.target.shares[w.target.n_shares - 1].made_of, 8);
        }
        for (int64_t until = ls_mono_ms() + 240000; !(i & 2) && w.core->n_jobs == 0;) {
            assert_true(ls_mono_ms() < until);
            round_once(&w);
        }
        close_world(&w); /* planned, and never sent */
        open_world(&w);
        give_share(&w, 8, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        finish(&w, 0);
        assert_int_equal(in_use(&w), 0);
        stop_world(&w);
    }
}

static void
a_share_made_in_doubt_that_nobody_has_the_id_of_is_found_and_removed(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool group = i & 1;
        enum cs3_share_type type = group ? CS3_SHARE_GROUP : CS3_SHARE_USER;
        const char *grantee = group ? "g" : "u2";
        start_world(&w, false);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        call_and_die(&w);
        assert_int_equal(in_use(&w), 1);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        if (i & 2) /* removed, and killed once more */
            call_and_die(&w);
        finish(&w, 0);
        assert_int_equal(in_use(&w), 0);
        stop_world(&w);
    }
}

static int
grants_left(const struct world *w)
{
    int n = 0;

    for (int i = 0; i < w->target.n_shares; i++)
        n += w->target.shares[i].grant_left;
    return n;
}

static void
a_removal_that_was_cut_off_leaves_nobody_what_he_was_given(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 8; i++) {
        bool group = i & 1, known = i & 2, killed = i & 4; /* known: somebody has its id */
        enum cs3_share_type type = group ? CS3_SHARE_GROUP : CS3_SHARE_USER;
        const char *grantee = group ? "g" : "u2";
        start_world(&w, false);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        if (known)
            finish(&w, 0);
        else
            call_and_die(&w);
        assert_int_equal(in_use(&w), 1);
        give_share(&w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        w.target.removals_cut = 1;
        while (w.target.removals_cut) {
            round_once(&w);
            run_some(&w, 1);
        }
        assert_int_equal(grants_left(&w), 1);
        if (killed) {
            close_world(&w);
            open_world(&w);
        }
        finish(&w, 0);
        assert_int_equal(in_use(&w) + grants_left(&w), 0);
        stop_world(&w);
    }
}

/* ---- groups that go before their shares */

static void
what_a_try_may_have_left_of_a_share_is_cleared_when_nobody_wants_it(void **state)
{
    static struct world w;

    (void)state;
    for (int doubt = 0; doubt < 2; doubt++) {
        start_world(&w, true);
        give_either(&w, false, 1);
        if (doubt)
            share_and_die(&w);
        else
            finish(&w, 0);
        give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        finish(&w, 0);
        assert_int_equal(w.target.cleared, doubt);
        stop_world(&w);
    }
}

static void
a_share_goes_with_its_file_to_another_space(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool off = i & 2; /* who had it before cannot act any more: then nothing waits for him */
        start_world(&w, i & 1);
        give_either(&w, false, 1);
        finish(&w, 0);
        if (off)
            give_account(&w, "u1", false, 0);
        give_node(&w, 3, FILE_ID, 31, "a");
        finish(&w, 0);
        assert_int_equal(w.target.n_shares, 2);
        assert_string_equal(w.target.nodes[w.target.shares[1].node].space, "Su3");
        assert_true(w.target.shares[1].used);
        if (!off)
            assert_false(w.target.shares[0].used);
        stop_world(&w);
    }
}

/* A second one could not have its token. */
static void
a_link_made_over_the_api_is_the_same_one_in_another_space_once_links_are_exact(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    give_either(&w, true, 1);
    finish(&w, 0);
    close_world(&w);
    w.target.writer.exact = true;
    open_world(&w);
    finish(&w, 0);
    give_node(&w, 3, FILE_ID, 31, "a");
    w.target.link_sets = 0;
    finish(&w, 0);
    assert_int_equal(w.target.link_sets, 1);
    assert_int_equal(w.target.n_shares, 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT storage FROM link WHERE id = 7", NULL), 3);
    stop_world(&w);
}

static void
a_share_outlives_its_group_on_record_and_is_removed_with_its_row(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_true(w.target.shares[0].used);
    give_person(&w, CS3_GROUP, "", "g", "", CS3_DELETE);
    finish(&w, 0);
    give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
    finish(&w, 0);
    assert_false(w.target.shares[0].used);
    stop_world(&w);
}

static void
a_group_that_came_back_gets_a_share_of_its_own(void **state)
{
    static struct world w;

    (void)state;
    for (int doubt = 0; doubt < 2; doubt++) {
        start_world(&w, false);
        give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
        give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        finish(&w, 0);
        give_person(&w, CS3_GROUP, "", "g", "", CS3_DELETE);
        if (doubt)
            call_and_die(&w);
        else
            finish(&w, 0);
        give_person(&w, CS3_GROUP, "", "g", "", CS3_UPSERT);
        if (!doubt) {
            give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
            give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        }
        finish(&w, 0);
        assert_false(w.target.shares[0].used);
        assert_int_equal(w.target.n_shares, 2);
        assert_string_equal(w.target.shares[1].grantee, "Gg.1");
        assert_true(fake_fact(&w.target, "member Gg.1 Uu2")->on);
        stop_world(&w);
    }
}

/* Nobody has the id of the share, and the group that it is for has none any more. */
static void
a_share_in_doubt_is_removed_although_its_group_went_first(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 8; i++) {
        bool again = i & 1, known = i & 2, killed = i & 4; /* known: made anew, of one on record */
        start_world(&w, false);
        give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        if (known) {
            finish(&w, 0);
            give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
            call_and_die(&w);
            assert_int_equal(in_use(&w), 0);
            give_share(&w, 8, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        }
        share_and_die(&w);
        assert_int_equal(in_use(&w), 1);
        w.target.busy = 1000; /* so that it is tried again, but later */
        do
            round_once(&w);
        while (run_some(&w, 1) == 0);
        round_once(&w);
        w.target.busy = 0;
        give_person(&w, CS3_GROUP, "", "g", "", CS3_DELETE);
        while (w.target.groups_removed == 0) {
            round_once(&w);
            run_some(&w, 1);
        }
        assert_int_equal(in_use(&w), 1);
        if (killed) {
            close_world(&w);
            open_world(&w);
        }
        if (again)
            give_person(&w, CS3_GROUP, "", "g", "", CS3_UPSERT);
        else
            give_share(&w, known ? 8 : 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED,
                       CS3_DELETE);
        finish(&w, 0);
        assert_int_equal(in_use(&w), again);
        if (again)
            assert_string_equal(w.target.shares[w.target.n_shares - 1].grantee, "Gg.1");
        assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM exact WHERE kind = 6", NULL),
                         0);
        stop_world(&w);
    }
}

/* The call to remove it is out when it comes back with its member, who was never taken out. */
static void
a_group_that_came_back_beside_its_removal_has_its_members(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    finish(&w, 0);
    give_person(&w, CS3_GROUP, "", "g", "", CS3_DELETE);
    round_once(&w);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_DELETE);
    give_person(&w, CS3_GROUP, "", "g", "", CS3_UPSERT);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    finish(&w, 0);
    assert_true(fake_fact(&w.target, "member Gg.1 Uu2")->on);
    stop_world(&w);
}

/* The call that takes him out is refused, and he is a member again before it is tried again. */
static void
who_is_a_member_again_has_what_was_shared_with_the_group_meanwhile(void **state)
{
    static struct world w;
    struct ap_job *job;

    (void)state;
    start_world(&w, true);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    finish(&w, 0);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_DELETE);
    round_once(&w);
    job = ap_job_next(w.core);
    assert_int_equal(job->call, AP_MEMBER_SET);
    give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    for (int i = 0; i < 100; i++) {
        round_once(&w);
        run_some(&w, 10);
    }
    assert_int_equal(w.target.share_sets, 1);
    assert_int_equal(w.target.n_received, 0);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    job->result = ls_fail_cause(&job->err, LS_ERR_RETRY, 423, "busy", "locked");
    ap_job_back(w.core, job);
    finish(&w, 0);
    assert_int_equal(w.target.n_received, 1);
    assert_int_equal(w.target.received[0].state, CS3_SHARE_ACCEPTED);
    stop_world(&w);
}

/* What is for the group that comes may be read before it, and before the answer about the old one:
 * a topic has partitions, and there are several topics. */
static void
what_came_before_the_group_it_is_for_is_given_to_it_not_to_the_one_that_goes(void **state)
{
    static struct world w;
    struct ap_job *job;

    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        start_world(&w, exact);
        give_person(&w, CS3_GROUP, "", "g", "", CS3_DELETE);
        round_once(&w);
        job = ap_job_next(w.core);
        assert_int_equal(job->call, AP_GROUP_REMOVE);
        give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
        give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        for (int i = 0; i < 100; i++) {
            round_once(&w);
            run_some(&w, 10);
        }
        assert_int_equal(w.target.share_sets, 1);
        ap_job_run(&w.target.writer, job);
        ap_job_back(w.core, job);
        finish(&w, 0);
        give_person(&w, CS3_GROUP, "", "g", "", CS3_UPSERT);
        finish(&w, 0);
        assert_true(fake_fact(&w.target, "member Gg.1 Uu2")->on);
        assert_string_equal(w.target.shares[w.target.n_shares - 1].grantee, "Gg.1");
        assert_true(w.target.shares[w.target.n_shares - 1].used);
        stop_world(&w);
    }
}

/* ---- several rows for one group */

static void
a_row_for_a_group_counts_once_a_member_accepted_it(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    give_share(&w, 8, CS3_SHARE_GROUP, 0, "g", 4, CS3_SHARE_PENDING, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.shares[0].permissions, 1);
    give_share(&w, 9, CS3_SHARE_MEMBER, 8, "u2", 4, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.shares[0].permissions, 5);
    give_share(&w, 9, CS3_SHARE_MEMBER, 8, "u2", 4, CS3_SHARE_REJECTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.shares[0].permissions, 1);
    give_share(&w, 9, CS3_SHARE_MEMBER, 8, "u2", 4, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    give_share(&w, 9, CS3_SHARE_MEMBER, 8, "u2", 4, CS3_SHARE_ACCEPTED, CS3_DELETE);
    finish(&w, 0);
    assert_int_equal(w.target.shares[0].permissions, 1);
    assert_int_equal(w.target.n_shares, 1);
    stop_world(&w);
}

/* ---- sweeps */

static void
give_mark(struct world *w, enum cs3_kind kind, struct ls_seq from)
{
    static const struct ap_origin at = {.topic = "cs3.share"};
    struct cs3_head head = {.kind = kind, .seq = {1, ++w->seq, 0}, .begin = from};

    ledger_begin(w->ledger);
    assert_true(ap_take_mark(w->core, &at, &head, 0));
    ledger_commit(w->ledger);
}

static void
a_link_that_is_swept_leaves_no_secrets(void **state)
{
    static const struct ap_origin at = {.topic = "cs3.share"};
    static struct world w;

    (void)state;
    start_world(&w, false);
    struct cs3_share s = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w.seq, 0}},
                          .id = 7,
                          .type = CS3_SHARE_LINK,
                          .fileid = FILE_ID,
                          .owner = LS_STR("u1"),
                          .creator = LS_STR("u1"),
                          .permissions = 1,
                          .has_password = true,
                          .token = LS_STR("token"),
                          .password_hash = LS_STR("hash")};
    ledger_begin(w.ledger);
    ap_take_share(w.core, &at, &s);
    ledger_commit(w.ledger);
    assert_int_equal(ap_number(w.ledger, -1, "SELECT count(*) FROM secret", NULL), 1);
    for (int i = 0; i < 2; i++) { /* the first may be the first of all */
        struct ls_seq from = {1, w.seq + 1, 0};
        give_mark(&w, CS3_BEGIN, (struct ls_seq){0});
        give_mark(&w, CS3_END, from);
    }
    finish(&w, 0);
    assert_false(w.target.shares[0].used);
    assert_int_equal(ap_number(w.ledger, -1, "SELECT count(*) FROM secret", NULL), 0);
    assert_int_equal(ap_number(w.ledger, -1, "SELECT count(*) FROM share_bits", NULL), 0);
    stop_world(&w);
}

static const char *nobody; /* shares of his answer "no-user" */

static int
share_set_of_nobody(struct ap_writer *w, const struct ap_share_want *want,
                    char share_id[AP_ID_SIZE], bool doubtful, struct ls_err *err)
{
    if (nobody && strcmp(want->space->owner, nobody) == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "no-user", "nobody of that name");
    return fake_share_set(w, want, share_id, doubtful, err);
}

/* All shares are looked at again, and those of somebody who has left cannot be. */
static void
shares_that_cannot_be_told_take_nobodys_place(void **state)
{
    static struct ap_writer_ops ops;
    static struct world w;
    char uid[16];

    (void)state;
    start_world(&w, true);
    ops = *w.target.writer.ops;
    ops.share_set = share_set_of_nobody;
    w.target.writer.ops = &ops;
    for (int i = 10; i < 30; i++) {
        snprintf(uid, sizeof(uid), "u%d", i);
        give_account(&w, uid, true, 0);
        give_share(&w, i, CS3_SHARE_USER, 0, uid, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    }
    finish(&w, 0);
    nobody = "u1";
    w.core->n_jobs_max = 12;
    ledger_begin(w.ledger);
    for (int i = 10; i < 30; i++)
        ap_reconcile_mark(w.core, (struct ap_key){AP_SHARE, i});
    ledger_commit(w.ledger);
    for (int i = 0; i < 100; i++) {
        round_once(&w);
        run_some(&w, 100);
    }
    give_node(&w, 2, FILE_ID + 1, 21, "hers");
    for (int i = 0; i < 100; i++) {
        round_once(&w);
        run_some(&w, 100);
    }
    assert_int_equal(w.target.makes, 2);
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM work WHERE kind = 6 AND doubt = 1 AND"
                               " cause = 'no-user' AND trouble = 1",
                               NULL),
                     20);
    nobody = NULL;
    finish(&w, 0);
    assert_int_equal(w.target.n_shares, 20);
    stop_world(&w);
}

/* Its share was on its way to the group that was. */
static void
a_group_that_becomes_another_one_while_it_is_given_a_share_gets_it(void **state)
{
    static struct world w;
    int n = 0;

    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        start_world(&w, exact);
        give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        w.target.lost_answers = 1000;
        do
            round_once(&w);
        while (run_some(&w, 1) == 0);
        w.target.lost_answers = 0;
        round_once(&w);
        assert_int_equal(w.core->n_jobs, 1);
        assert_int_equal(w.core->jobs[0]->call, AP_SHARE_SET);
        w.core->jobs[0]->resend_at = INT64_MAX;
        for (int i = 0; i < 2; i++) {
            give_person(&w, CS3_GROUP, "", "g", "", i ? CS3_UPSERT : CS3_DELETE);
            for (n = 0; n < 30; n++) {
                round_once(&w);
                run_some(&w, 100);
            }
        }
        assert_int_equal(w.target.groups_removed, 1);
        for (int i = 0; i < w.core->n_jobs; i++)
            w.core->jobs[i]->resend_at = 0;
        finish(&w, 0);
        for (int i = n = 0; i < w.target.n_shares; i++)
            if (w.target.shares[i].used) {
                assert_string_equal(w.target.shares[i].grantee, "Gg.1");
                n++;
            }
        assert_int_equal(n, 1);
        stop_world(&w);
    }
}

/* ... and who is made its member then is one of the group that is. */
static void
a_group_that_becomes_another_one_while_it_gets_a_member_has_him(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, true);
    give_person(&w, CS3_MEMBER, "u2", "g", "", CS3_UPSERT);
    w.target.lost_answers = 1000;
    do
        round_once(&w);
    while (run_some(&w, 1) == 0);
    w.target.lost_answers = 0;
    round_once(&w);
    assert_int_equal(w.core->n_jobs, 1);
    assert_int_equal(w.core->jobs[0]->call, AP_MEMBER_SET);
    w.core->jobs[0]->resend_at = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        give_person(&w, CS3_GROUP, "", "g", "", i ? CS3_UPSERT : CS3_DELETE);
        for (int n = 0; n < 30; n++) {
            round_once(&w);
            run_some(&w, 100);
        }
    }
    for (int i = 0; i < w.core->n_jobs; i++)
        w.core->jobs[i]->resend_at = 0;
    finish(&w, 0);
    assert_true(fake_said(&w.target, "member Gg.1 Uu2", false));
    stop_world(&w);
}

static bool looks_fail;

static int
space_look_or_not(struct ap_writer *w, const char *uid, struct ap_space_found *ret,
                  struct ls_err *err)
{
    if (looks_fail)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "busy", "not now");
    return fake_space_look(w, uid, ret, err);
}

/* Its owner may be somebody else by now, and the space the one of who was taken for him. */
static void
nothing_is_done_in_a_space_that_is_to_be_looked_at(void **state)
{
    static struct ap_writer_ops ops;
    static struct world w;

    (void)state;
    start_world(&w, true);
    ops = *w.target.writer.ops;
    ops.space_look = space_look_or_not;
    w.target.writer.ops = &ops;
    looks_fail = true;
    ledger_begin(w.ledger);
    ap_reconcile_mark(w.core, (struct ap_key){AP_SPACE, 1});
    ledger_commit(w.ledger);
    give_node(&w, 1, FILE_ID + 1, 11, "b");
    give_either(&w, false, 1);
    for (int n = 0; n < 50; n++) {
        round_once(&w);
        run_some(&w, 100);
    }
    assert_int_equal(w.target.makes, 1);
    assert_int_equal(w.target.share_sets, 0);
    looks_fail = false;
    finish(&w, 0);
    assert_int_equal(w.target.makes, 2);
    assert_int_equal(w.target.n_shares, 1);
    stop_world(&w);
}

/* What the target was asked to do as somebody whom it has disabled, and for a share that is not
 * there. */
static int as_disabled, for_nothing;

static void
act_as(struct fake_target *f, const char *uid)
{
    char what[160];

    snprintf(what, sizeof(what), "user U%s", uid);
    as_disabled += !fake_said(f, what, true);
}

static int is_busy; /* so many times */

static int
set_as_owner(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
             bool doubtful, struct ls_err *err)
{
    act_as(fake_of(w), want->space->owner);
    if (is_busy > 0 && is_busy--)
        return ls_fail_cause(err, LS_ERR_RETRY, 423, "busy", "locked");
    return fake_share_set(w, want, share_id, doubtful, err);
}

static int
remove_as_owner(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                const char *share_id, bool doubtful, struct ls_err *err)
{
    act_as(fake_of(w), space->owner);
    if (is_busy > 0 && is_busy--)
        return ls_fail_cause(err, LS_ERR_RETRY, 423, "busy", "locked");
    return fake_share_remove(w, space, sharer, share_id, doubtful, err);
}

static int
received_of_a_share(struct ap_writer *w, const char *recipient, const char *share_id,
                    enum cs3_share_state state, const char *mount_point, bool doubtful,
                    struct ls_err *err)
{
    struct fake_target *f = fake_of(w);

    act_as(f, recipient);
    for_nothing += !f->shares[fake_share_index(f, share_id)].used;
    return fake_received_set(w, recipient, share_id, state, mount_point, doubtful, err);
}

static void
watch_who_acts(struct world *w)
{
    static struct ap_writer_ops ops;

    ops = *w->target.writer.ops;
    ops.share_set = set_as_owner;
    ops.share_remove = ops.link_remove = remove_as_owner;
    ops.received_set = received_of_a_share;
    w->target.writer.ops = &ops;
    as_disabled = for_nothing = 0;
}

/* He who is killed while he has enabled somebody finds it in his ledger. */
static void
assert_off_in_the_end(struct world *w)
{
    finish(w, 0);
    for (int i = 0; i < 30; i++) { /* the look at whether he is still needed is a second later */
        clock_pass_us(50000);
        round_once(w);
        run_some(w, 10);
    }
    finish(w, 0);
    assert_int_equal(as_disabled, 0);
    assert_false(fake_said(&w->target, "user Uu1", true));
}

static void
what_a_disabled_owner_shared_is_taken_away_while_the_ledger_has_him_enabled(void **state)
{
    static struct world w;

    (void)state;
    for (int link = 0; link < 2; link++) {
        start_world(&w, false);
        watch_who_acts(&w);
        give_either(&w, link, 1);
        finish(&w, 0);
        give_account(&w, "u1", false, 0);
        assert_off_in_the_end(&w);
        give_share(&w, 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, link ? NULL : "u2", 1,
                   CS3_SHARE_ACCEPTED, CS3_DELETE);
        assert_off_in_the_end(&w);
        assert_false(w.target.shares[0].used);
        stop_world(&w);
    }
}

static void
what_a_disabled_owner_shares_is_made_also_when_its_row_came_before_its_file(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    watch_who_acts(&w);
    give_account(&w, "u1", false, 0);
    assert_off_in_the_end(&w);
    give_either(&w, false, 1);
    ledger_begin(w.ledger); /* the lane of a share whose file has no node */
    ap_exec(w.ledger, "UPDATE work SET storage = ? WHERE kind = 6", "i", (int64_t)AP_LANE_SHARES);
    ledger_commit(w.ledger);
    assert_off_in_the_end(&w);
    assert_true(w.target.shares[0].used);
    stop_world(&w);
}

static void
what_a_disabled_owner_shares_is_made_also_when_the_target_was_busy_many_times(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    watch_who_acts(&w);
    give_account(&w, "u1", false, 0);
    assert_off_in_the_end(&w);
    is_busy = 12;
    give_either(&w, false, 1);
    assert_off_in_the_end(&w);
    assert_true(w.target.shares[0].used);
    stop_world(&w);
}

static void
nobody_is_acted_for_while_he_is_being_disabled(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    watch_who_acts(&w);
    give_account(&w, "u1", false, 0);
    for (int i = 0; w.core->n_jobs == 0; i++) {
        assert_true(i < 10000);
        round_once(&w);
    }
    give_either(&w, false, 1);
    round_once(&w);
    run_some(&w, 100);
    assert_off_in_the_end(&w);
    assert_true(w.target.shares[0].used);
    stop_world(&w);
}

static int
enable_refused(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    if (enabled)
        return ls_fail_cause(err, LS_ERR_POISON, 403, "refused", "not that one");
    return fake_user_enable(w, user_id, enabled, err);
}

static int enables_fail;

static int
enable_or_not(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    if (enabled && enables_fail > 0 && enables_fail--)
        return ls_fail_cause(err, LS_ERR_RETRY, 423, "busy", "locked");
    return fake_user_enable(w, user_id, enabled, err);
}

/* Those he shared with see it all as long as it is there. */
static void
a_removal_waits_a_few_tries_for_its_owner_to_be_enabled_and_no_longer(void **state)
{
    static struct ap_writer_ops ops;
    static struct world w;

    (void)state;
    for (int never = 0; never < 2; never++) {
        start_world(&w, false);
        watch_who_acts(&w);
        ops = *w.target.writer.ops;
        ops.user_enable = enable_or_not;
        w.target.writer.ops = &ops;
        give_either(&w, false, 1);
        finish(&w, 0);
        give_account(&w, "u1", false, 0);
        assert_off_in_the_end(&w);
        enables_fail = never ? 1000 : 2;
        give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        for (int i = 0; i < 1000; i++) {
            round_once(&w);
            run_some(&w, 10);
        }
        assert_false(w.target.shares[0].used);
        assert_int_equal(as_disabled, never);
        finish(&w, 0);
        stop_world(&w);
    }
}

/* So long that all which can happen has happened; what waits may wait. */
static void
pass_time(struct world *w)
{
    for (int i = 0; i < 1000; i++) {
        round_once(w);
        run_some(w, 10);
    }
}

/* u1 is disabled, and will not be enabled but by a person who retries his letter. */
static void
refuse_enabling(struct world *w)
{
    static struct ap_writer_ops ops;

    watch_who_acts(w);
    ops = *w->target.writer.ops;
    ops.user_enable = enable_refused;
    w->target.writer.ops = &ops;
    give_account(w, "u1", false, 0);
    assert_off_in_the_end(w);
}

/* What was shared is seen as long as it is there. */
static void
what_is_taken_away_of_an_owner_whom_the_target_refuses_to_enable_does_not_wait_for_it(void **state)
{
    static const enum cs3_share_type types[] = {CS3_SHARE_USER, CS3_SHARE_GROUP, CS3_SHARE_LINK};
    static struct world w;

    (void)state;
    for (int i = 0; i < 12; i++) {
        enum cs3_share_type type = types[i % 3];
        const char *grantee[] = {"u2", "g", NULL};
        bool exact = i / 3 & 1, letter_first = i / 6 & 1;

        start_world(&w, exact);
        give_share(&w, 7, type, 0, grantee[i % 3], 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        give_share(&w, 9, CS3_SHARE_USER, 0, "u3", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        finish(&w, 0);
        refuse_enabling(&w);
        if (letter_first) {
            give_share(&w, 9, CS3_SHARE_USER, 0, "u3", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
            pass_time(&w);
        }
        give_share(&w, 7, type, 0, grantee[i % 3], 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
        finish(&w, 0);
        assert_int_equal(in_use(&w), !letter_first);
        /* an exact writer's links have no need of him */
        assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE kind = 4", NULL),
                         !(exact && type == CS3_SHARE_LINK && !letter_first));
        stop_world(&w);
    }
}

static void
what_is_taken_away_does_not_wait_for_a_look_that_nobody_can_make(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool link = i & 1;

        start_world(&w, i & 2);
        give_either(&w, link, 1);
        finish(&w, 0);
        refuse_enabling(&w);
        ledger_begin(w.ledger);
        ap_reconcile_mark(w.core, (struct ap_key){AP_SPACE, 1});
        ap_reconcile_mark(w.core, (struct ap_key){AP_NODE, FILE_ID});
        ap_reconcile_mark(w.core, (struct ap_key){AP_SHARE, 7});
        ledger_commit(w.ledger);
        pass_time(&w);
        assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE kind = 4", NULL),
                         1);
        assert_int_equal(in_use(&w), 1);
        give_share(&w, 7, link ? CS3_SHARE_LINK : CS3_SHARE_USER, 0, link ? NULL : "u2", 1,
                   CS3_SHARE_ACCEPTED, CS3_DELETE);
        pass_time(&w);
        assert_int_equal(in_use(&w), 0);
        stop_world(&w);
    }
}

/* The new group's share has to wait for the owner; the old one's goes, in a directory it lives on.
 */
static void
what_was_shared_with_another_group_goes_although_the_new_one_has_to_wait(void **state)
{
    static struct world w;

    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        start_world(&w, exact);
        give_share(&w, 7, CS3_SHARE_GROUP, 0, "g", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
        finish(&w, 0);
        refuse_enabling(&w);
        give_person(&w, CS3_GROUP, "", "g", "", CS3_DELETE);
        finish(&w, 0);
        assert_int_equal(in_use(&w), 1);
        give_person(&w, CS3_GROUP, "", "g", "", CS3_UPSERT);
        pass_time(&w);
        assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE kind = 4", NULL),
                         1);
        assert_int_equal(in_use(&w), 0);
        stop_world(&w);
    }
}

/* The share is looked at again so much later. */
static void
remove_later(struct world *w, int64_t ms)
{
    ledger_begin(w->ledger);
    ap_settle(w->core);
    ap_exec(w->ledger, "UPDATE work SET ready_at = ? WHERE kind = 6 AND state = 0", "i",
            ls_now_us() / 1000 + ms);
    ledger_commit(w->ledger);
}

/* The removal was refused for a moment, so that nothing of his was open; it is tried again while he
 * is disabled. He had been waited for before, which is no trouble of his. */
static void
nothing_is_taken_away_for_somebody_while_he_is_being_disabled(void **state)
{
    static struct world w;
    struct ap_job *job = NULL;

    (void)state;
    start_world(&w, false);
    watch_who_acts(&w);
    give_either(&w, false, 1);
    finish(&w, 0);
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
    give_account(&w, "u1", false, 0);
    is_busy = 1;
    for (int i = 0; is_busy > 0; i++) { /* he is drained */
        assert_true(i < 10000);
        round_once(&w);
        run_some(&w, 1);
    }
    remove_later(&w, 60000);
    for (int i = 0; (job = ap_job_next(w.core)) == NULL; i++) {
        assert_true(i < 100000);
        round_once(&w);
    }
    assert_int_equal(job->call, AP_USER_ENABLE);
    assert_false(job->enabled);
    remove_later(&w, 0);
    for (int i = 0; i < 100; i++)
        round_once(&w);
    ap_job_run(&w.target.writer, job);
    ap_job_back(w.core, job);
    assert_off_in_the_end(&w);
    assert_false(w.target.shares[0].used);
    stop_world(&w);
}

static void
the_state_of_a_recipient_that_is_on_its_way_goes_before_the_removal(void **state)
{
    static struct world w;
    struct ap_job *job;

    (void)state;
    start_world(&w, true);
    watch_who_acts(&w);
    give_either(&w, false, 1);
    finish(&w, 0);
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_UPSERT);
    for (int i = 0; (job = ap_job_next(w.core)) == NULL; i++) {
        assert_true(i < 10000);
        round_once(&w);
    }
    assert_int_equal(job->call, AP_RECEIVED_SET);
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_DELETE);
    for (int i = 0; i < 10; i++) {
        round_once(&w);
        run_some(&w, 10);
    }
    assert_true(w.target.shares[0].used);
    ap_job_run(&w.target.writer, job);
    ap_job_back(w.core, job);
    finish(&w, 0);
    assert_false(w.target.shares[0].used);
    assert_int_equal(for_nothing, 0);
    /* one with the same id is another share */
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(w.target.received[w.target.n_received - 1].state, CS3_SHARE_REJECTED);
    assert_true(w.target.shares[w.target.received[w.target.n_received - 1].share].used);
    stop_world(&w);
}

/* The first of two rows goes, so that their share is made anew with the other's number. Killed
 * while the recipient's state is out: that is found again by a look, and waits for the share by
 * then. */
static void
a_share_that_waits_for_a_recipients_state_is_made_anew_after_a_kill(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, true);
    give_either(&w, false, 1);
    give_share(&w, 8, CS3_SHARE_USER, 0, "u2", 4, CS3_SHARE_PENDING, CS3_UPSERT);
    finish(&w, 0);
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_UPSERT);
    for (struct ap_job *job = NULL; !job || job->call != AP_RECEIVED_SET;) {
        round_once(&w);
        if ((job = ap_job_next(w.core)) != NULL && job->call != AP_RECEIVED_SET) {
            ap_job_run(&w.target.writer, job);
            ap_job_back(w.core, job);
        }
    }
    give_share(&w, 7, CS3_SHARE_USER, 0, "u2", 1, CS3_SHARE_REJECTED, CS3_DELETE);
    for (int i = 0; i < 10; i++)
        round_once(&w);
    close_world(&w);
    open_world(&w);
    for (int i = 0; i < 1000; i++) {
        round_once(&w);
        run_some(&w, 10);
    }
    assert_false(w.target.shares[0].used);
    assert_int_equal(w.target.shares[1].permissions, 4);
    finish(&w, 0);
    stop_world(&w);
}

/* ownCloud writes what lies in a folder before the folder itself, and there may be a while between.
 */
static void
what_is_shared_in_a_folder_is_shared_again_when_the_folder_comes_out_of_the_trash(void **state)
{
    static struct world w;

    (void)state;
    for (int link = 0; link < 2; link++) {
        start_world(&w, false);
        give_node(&w, 1, 12, 10, "files_trashbin");
        give_node(&w, 1, 13, 12, "files");
        give_node(&w, 1, 100, 11, "d");
        give_node(&w, 1, FILE_ID, 100, "a");
        finish(&w, 0);
        give_node(&w, 1, 100, 13, "d.d1700000000");
        finish(&w, 0);
        give_either(&w, link, 1);
        finish(&w, 2); /* dormant */
        give_node(&w, 1, FILE_ID, 100, "a");
        finish(&w, 2);
        give_node(&w, 1, 100, 11, "d");
        finish(&w, 0);
        assert_true(w.target.shares[0].used);
        stop_world(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_a_disabled_owner_shared_is_taken_away_while_the_ledger_has_him_enabled),
        cmocka_unit_test(
            what_a_disabled_owner_shares_is_made_also_when_its_row_came_before_its_file),
        cmocka_unit_test(
            what_a_disabled_owner_shares_is_made_also_when_the_target_was_busy_many_times),
        cmocka_unit_test(nobody_is_acted_for_while_he_is_being_disabled),
        cmocka_unit_test(a_removal_waits_a_few_tries_for_its_owner_to_be_enabled_and_no_longer),
        cmocka_unit_test(
            what_is_taken_away_of_an_owner_whom_the_target_refuses_to_enable_does_not_wait_for_it),
        cmocka_unit_test(what_is_taken_away_does_not_wait_for_a_look_that_nobody_can_make),
        cmocka_unit_test(what_was_shared_with_another_group_goes_although_the_new_one_has_to_wait),
        cmocka_unit_test(nothing_is_taken_away_for_somebody_while_he_is_being_disabled),
        cmocka_unit_test(the_state_of_a_recipient_that_is_on_its_way_goes_before_the_removal),
        cmocka_unit_test(a_share_that_waits_for_a_recipients_state_is_made_anew_after_a_kill),
        cmocka_unit_test(
            what_is_shared_in_a_folder_is_shared_again_when_the_folder_comes_out_of_the_trash),
        cmocka_unit_test(shares_that_cannot_be_told_take_nobodys_place),
        cmocka_unit_test(a_group_that_becomes_another_one_while_it_gets_a_member_has_him),
        cmocka_unit_test(nothing_is_done_in_a_space_that_is_to_be_looked_at),
        cmocka_unit_test(a_group_that_becomes_another_one_while_it_is_given_a_share_gets_it),
        cmocka_unit_test(permissions_given_in_doubt_are_taken_back),
        cmocka_unit_test(a_share_refused_in_part_is_not_forgotten),
        cmocka_unit_test(the_letter_of_a_refused_share_has_the_words_of_the_target),
        cmocka_unit_test(a_share_removed_in_doubt_is_made_again),
        cmocka_unit_test(what_a_recipient_made_of_it_in_doubt_is_set_back),
        cmocka_unit_test(a_member_made_in_doubt_is_one_no_more_when_the_source_took_it_back),
        cmocka_unit_test(a_user_is_as_the_source_says_whatever_was_in_doubt),
        cmocka_unit_test(a_share_made_in_doubt_in_another_space_is_not_forgotten_for_the_old_one),
        cmocka_unit_test(
            a_share_made_in_doubt_is_removed_also_when_its_first_row_went_before_the_others),
        cmocka_unit_test(a_share_made_anew_in_doubt_is_found_and_removed_by_whose_it_is),
        cmocka_unit_test(a_share_made_in_doubt_that_nobody_has_the_id_of_is_found_and_removed),
        cmocka_unit_test(a_removal_that_was_cut_off_leaves_nobody_what_he_was_given),
        cmocka_unit_test(what_a_try_may_have_left_of_a_share_is_cleared_when_nobody_wants_it),
        cmocka_unit_test(a_share_goes_with_its_file_to_another_space),
        cmocka_unit_test(
            a_link_made_over_the_api_is_the_same_one_in_another_space_once_links_are_exact),
        cmocka_unit_test(a_share_outlives_its_group_on_record_and_is_removed_with_its_row),
        cmocka_unit_test(a_group_that_came_back_gets_a_share_of_its_own),
        cmocka_unit_test(a_share_in_doubt_is_removed_although_its_group_went_first),
        cmocka_unit_test(a_group_that_came_back_beside_its_removal_has_its_members),
        cmocka_unit_test(who_is_a_member_again_has_what_was_shared_with_the_group_meanwhile),
        cmocka_unit_test(
            what_came_before_the_group_it_is_for_is_given_to_it_not_to_the_one_that_goes),
        cmocka_unit_test(a_row_for_a_group_counts_once_a_member_accepted_it),
        cmocka_unit_test(a_link_that_is_swept_leaves_no_secrets),
        cmocka_unit_test(a_state_that_was_written_with_the_share_is_not_asked_for_again),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
