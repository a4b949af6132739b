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
#include "share_world.h"

/* ---- back to what the ledger holds */

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

/* ---- what waits */

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
            what_is_shared_in_a_folder_is_shared_again_when_the_folder_comes_out_of_the_trash),
        cmocka_unit_test(shares_that_cannot_be_told_take_nobodys_place),
        cmocka_unit_test(nothing_is_done_in_a_space_that_is_to_be_looked_at),
        cmocka_unit_test(permissions_given_in_doubt_are_taken_back),
        cmocka_unit_test(a_share_refused_in_part_is_not_forgotten),
        cmocka_unit_test(the_letter_of_a_refused_share_has_the_words_of_the_target),
        cmocka_unit_test(a_share_removed_in_doubt_is_made_again),
        cmocka_unit_test(what_a_recipient_made_of_it_in_doubt_is_set_back),
        cmocka_unit_test(a_member_made_in_doubt_is_one_no_more_when_the_source_took_it_back),
        cmocka_unit_test(a_user_is_as_the_source_says_whatever_was_in_doubt),
        cmocka_unit_test(a_link_that_is_swept_leaves_no_secrets),
        cmocka_unit_test(a_state_that_was_written_with_the_share_is_not_asked_for_again),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
