/*
 * Shares with groups: groups that go before what was shared with them, that come back, or become
 * another one while a call is out.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "share_world.h"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_that_becomes_another_one_while_it_gets_a_member_has_him),
        cmocka_unit_test(a_group_that_becomes_another_one_while_it_is_given_a_share_gets_it),
        cmocka_unit_test(a_share_outlives_its_group_on_record_and_is_removed_with_its_row),
        cmocka_unit_test(a_group_that_came_back_gets_a_share_of_its_own),
        cmocka_unit_test(a_share_in_doubt_is_removed_although_its_group_went_first),
        cmocka_unit_test(a_group_that_came_back_beside_its_removal_has_its_members),
        cmocka_unit_test(who_is_a_member_again_has_what_was_shared_with_the_group_meanwhile),
        cmocka_unit_test(
            what_came_before_the_group_it_is_for_is_given_to_it_not_to_the_one_that_goes),
        cmocka_unit_test(a_row_for_a_group_counts_once_a_member_accepted_it),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
