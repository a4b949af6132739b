/*
 * Shares that were made while nobody saw the answer, of which the ledger has no id, or another one
 * than the target; and what becomes of them when the file goes to another space meanwhile.
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
