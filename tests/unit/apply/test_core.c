/*
 * apply's core against a target in memory, case by case: what coalesces, who is told first, who may
 * have the ledger, how shares and people become calls. Histories, content, trouble and sweeps have
 * programs of their own; world.h is what they share.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/ledger/mirror_rows.h"
#include "apply/status.h"
#include "common/run.h"
#include "tests/unit/clock.h"
#include "world.h"
#include <sys/stat.h>
#include <unistd.h>

/* ---- single cases */

static void
rename_of_a_folder_with_2000_rows_is_one_move(void **state)
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
    for (int i = 0; i < 2000; i++) {
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
    ledger_begin(w.ledger);
    ap_exec(w.ledger, "UPDATE work SET ready_at = 0", NULL);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(w.target.calls, calls + 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
who_waits_longest_is_told_first_and_the_parked_last(void **state)
{
    static struct world w;
    struct ap_open open = {0};
    json_t *user;

    (void)state;
    start_world(&w);
    ledger_begin(w.ledger);
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
    assert_true(ap_open_count(w.core, &open, true));
    assert_int_equal(open.n_users, 3);
    assert_int_equal(json_array_size(open.users), 3);
    user = json_array_get(open.users, 0);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "late");
    assert_int_equal(json_integer_value(json_object_get(user, "open")), 2);
    assert_int_equal(json_integer_value(json_object_get(user, "parked")), 1);
    assert_int_equal(json_integer_value(json_object_get(user, "oldest_us")), 20);
    user = json_array_get(open.users, 1);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "later");
    assert_int_equal(json_integer_value(json_object_get(user, "open")), 1);
    user = json_array_get(open.users, 2);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "parked");
    assert_int_equal(json_integer_value(json_object_get(user, "oldest_us")), 0);
    ap_open_free(&open);
    ledger_commit(w.ledger);
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
    ledger_begin(w->ledger);
    ap_take_share(w->core, &share_origin, &s);
    ledger_commit(w->ledger);
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
    ledger_begin(w->ledger);
    ap_take_share(w->core, &share_origin, &s);
    ledger_commit(w->ledger);
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

/* How many shares there are; *ret_last is the one made last. */
static int
shares_there(const struct world *w, const struct fake_share **ret_last)
{
    int n = 0;

    for (int i = 0; i < w->target.n_shares; i++)
        if (w->target.shares[i].used) {
            *ret_last = &w->target.shares[i];
            n++;
        }
    return n;
}

static void
a_share_whose_row_is_gone_is_made_anew_with_the_number_of_another(void **state)
{
    static struct world w;
    const struct fake_share *share = NULL;
    struct model_row *a;

    (void)state;
    start_world(&w);
    w.target.writer.exact = true;
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    model_changed(&w.model, a);
    give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(shares_there(&w, &share), 1);
    assert_int_equal(share->made_of, 7);
    /* taken back and shared again, and only then looked at */
    give_share(&w, 7, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
    give_share(&w, 8, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(shares_there(&w, &share), 1);
    assert_int_equal(share->made_of, 8);
    /* of two rows the one goes that gave the number */
    give_share(&w, 9, CS3_SHARE_USER, 0, a->fileid, "u2", 4, CS3_SHARE_ACCEPTED, CS3_UPSERT);
    finish(&w, 0);
    assert_int_equal(shares_there(&w, &share), 1);
    assert_int_equal(share->made_of, 8);
    assert_int_equal(share->permissions, 5);
    give_share(&w, 8, CS3_SHARE_USER, 0, a->fileid, "u2", 1, CS3_SHARE_ACCEPTED, CS3_DELETE);
    finish(&w, 0);
    assert_int_equal(shares_there(&w, &share), 1);
    assert_int_equal(share->made_of, 9);
    assert_int_equal(share->permissions, 4);
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
    ledger_begin(w.ledger);
    give_person(&w, CS3_MEMBER, "u3", "g", CS3_UPSERT);
    give_person(&w, CS3_MEMBER, "u2", "g", CS3_UPSERT);
    give_person(&w, CS3_GROUP, "", "g", CS3_UPSERT);
    ledger_commit(w.ledger);
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
    ledger_begin(w.ledger);
    give_person(&w, CS3_USER, "u1", "", CS3_DELETE);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(w.target.users_off, 1);
    model_purge(&w.model, a); /* a row that comes later: he is needed once more */
    finish(&w, 0);
    for (int i = 0; i < 30; i++) { /* the look at whether he is still needed is a second later */
        clock_pass_us(50000);
        round_once(&w, 0);
        run_some(&w, 10);
    }
    finish(&w, 0);
    assert_int_equal(w.target.users_off, 1);
    assert_equal_trees(&w);
    ledger_begin(w.ledger);
    give_person(&w, CS3_USER, "u1", "", CS3_UPSERT);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(w.target.users_off, 0);
    stop_world(&w);
}

static void
what_was_taken_away_is_forgotten_when_no_backup_is_as_old(void **state)
{
    static struct world w;
    struct model_row *a, *b;

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    model_changed(&w.model, a);
    b = model_add(&w.model, 1, w.model.files[1], "b", true);
    model_changed(&w.model, b);
    finish(&w, 0);
    model_purge(&w.model, a);
    finish(&w, 0);
    for (int day = 0; day < 95; day++) {
        if (day == 50)
            model_purge(&w.model, b);
        finish(&w, 0);
        assert_int_equal(ap_number(w.ledger, -1, "SELECT count(*) FROM removed", NULL),
                         (day <= 90) + (day >= 50));
        clock_pass_us((int64_t)86400 * 1000000);
    }
    assert_in_range(ap_number(w.ledger, 0, "SELECT count(*) FROM removed_day", NULL), 1, 91);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rename_of_a_folder_with_2000_rows_is_one_move),
        cmocka_unit_test(what_comes_and_goes_within_a_window_costs_no_call_and_many_changes_one),
        cmocka_unit_test(who_waits_longest_is_told_first_and_the_parked_last),
        cmocka_unit_test(a_second_apply_is_kept_off_the_ledger),
        cmocka_unit_test(only_apply_may_read_the_ledger),
        cmocka_unit_test(a_grant_narrows_when_its_wider_row_ends),
        cmocka_unit_test(
            what_may_have_been_made_before_a_crash_is_taken_away_when_nobody_wants_it_any_more),
        cmocka_unit_test(rows_of_one_recipient_fold_into_one_share),
        cmocka_unit_test(an_exact_writer_is_given_rows_times_and_secrets_and_each_change_of_them),
        cmocka_unit_test(a_share_whose_row_is_gone_is_made_anew_with_the_number_of_another),
        cmocka_unit_test(a_deleted_user_is_disabled_when_his_rows_are_gone),
        cmocka_unit_test(what_was_taken_away_is_forgotten_when_no_backup_is_as_old),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
