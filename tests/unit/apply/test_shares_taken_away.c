/*
 * What is taken away, and who does it: an owner who is disabled is enabled for it, and disabled
 * again; where he cannot be, or a look or another's answer is missing, what can go all the same
 * goes.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "share_world.h"

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

/* The folder that is shared, or that around it, is deleted; then the share is. */
static void
share_ends_in_the_trash(struct world *w, bool group, int64_t fileid)
{
    enum cs3_share_type type = group ? CS3_SHARE_GROUP : CS3_SHARE_USER;
    const char *grantee = group ? "g" : "u2";

    give_node(w, 1, 12, 10, "files_trashbin");
    give_node(w, 1, 13, 12, "files");
    give_node(w, 1, 100, 11, "d");
    give_node(w, 1, FILE_ID, 100, "a");
    give_share(w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(w, 0);
    assert_int_equal(in_use(w), 1);
    give_node(w, 1, fileid, 13, "x.d1700000000");
    finish(w, 0);
    give_share(w, 7, type, 0, grantee, 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
}

static void
the_grant_of_a_share_that_ended_in_the_trash_goes_when_the_file_comes_back(void **state)
{
    static struct world w;

    (void)state;
    for (int i = 0; i < 16; i++) {
        bool exact = i & 1, group = i & 2, killed = i & 8;
        int64_t fileid = i & 4 ? 100 : FILE_ID;

        start_world(&w, exact);
        share_ends_in_the_trash(&w, group, fileid);
        if (killed)
            call_and_die(&w);
        else
            finish(&w, 0);
        give_node(&w, 1, fileid, fileid == 100 ? 11 : 100, "x");
        finish(&w, 0);
        assert_int_equal(in_use(&w) + grants_left(&w), 0);
        assert_int_equal(ap_number(w.ledger, 0, "SELECT 1 FROM grants WHERE node <> ''", NULL), 0);
        stop_world(&w);
    }
}

static void
a_share_made_in_oCIS_of_a_file_that_came_back_stays(void **state)
{
    static struct world w;

    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        start_world(&w, exact);
        share_ends_in_the_trash(&w, false, FILE_ID);
        finish(&w, 0);
        give_node(&w, 1, FILE_ID, 100, "a");
        for (int i = 0; w.target.restores == 0; i++) {
            assert_true(i < 10000);
            round_once(&w);
            run_some(&w, 1);
        }
        w.target.shares[0].used = true; /* by somebody, before we look */
        finish(&w, 0);
        assert_int_equal(in_use(&w), 1);
        stop_world(&w);
    }
}

static void
what_was_left_of_a_share_is_forgotten_when_its_file_is_purged(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w, false);
    share_ends_in_the_trash(&w, false, FILE_ID);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM grants WHERE node <> ''", NULL),
                     1);
    tell_node(&w, 1, FILE_ID, 13, "x.d1700000000", CS3_DELETE);
    give_node(&w, 1, 100, 13, "d.d1700000001");
    finish(&w, 0);
    give_node(&w, 1, 100, 11, "d");
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM grants WHERE node <> ''", NULL),
                     0);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_grant_of_a_share_that_ended_in_the_trash_goes_when_the_file_comes_back),
        cmocka_unit_test(a_share_made_in_oCIS_of_a_file_that_came_back_stays),
        cmocka_unit_test(what_was_left_of_a_share_is_forgotten_when_its_file_is_purged),
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
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
