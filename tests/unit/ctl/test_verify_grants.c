/*
 * verify and grants: what the target lists as shared, against what opens its nodes.
 */
#include "fake_target.h"
#include "transform/map.h"
#include <string.h>

#define SHA_HELLO "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" /* of "hello" */

/* clang-format off */
#define DIR(id, storage, parent, name, path) \
    {T_FILE, {id, storage, parent, name, path, "2", "0", "50", "0", NULL}}
#define A_FILE(id, storage, parent, name, path) \
    {T_FILE, {id, storage, parent, name, path, "3", "5", "70", "0", "SHA1:" SHA_HELLO}}
#define SHARE(id, type, with, file) \
    {T_SHARE, {id, type, with, "alice", "alice", NULL, file, "1", "1", "0", NULL, NULL}}
/* alice: files/docs (11) with a.txt (12), shared with bob; files/b.txt (13), shared with nobody */
#define ALICE \
    {T_FOLDER_TYPE, {"2"}}, {T_USER, {"alice", "/data/alice", "1"}}, \
    {T_USER, {"bob", "/data/bob", "1"}}, {T_STORAGE, {"1", "home::alice"}}, \
    DIR("1", "1", "-1", "", ""), DIR("10", "1", "1", "files", "files"), \
    DIR("11", "1", "10", "docs", "files/docs"), A_FILE("12", "1", "11", "a.txt", "files/docs/a.txt"), \
    A_FILE("13", "1", "10", "b.txt", "files/b.txt"), SHARE("7", "0", "bob", "12")
#define END {-1, {NULL}}
#define READ 1, 0
/* clang-format on */

static const struct fake_row rows[] = {ALICE, END};
static const struct fake_node nodes[] = {
    {"alice", NULL, "n-docs", "docs", true, 5, 50, NULL},
    {"alice", "n-docs", "n-a", "a.txt", false, 5, 70, SHA_HELLO},
    {"alice", NULL, "n-b", "b.txt", false, 5, 70, SHA_HELLO},
    {0},
};
static struct fake_share received[] = {{"bob", "n-a", 0, 0, CS3_SHARE_ACCEPTED, "s:p:7"}, {0}};

static void
look(struct verify_run *run, const struct fake_grant *grants)
{
    received[0].permissions = cs3_permissions(1, false, true);
    fake.nodes = nodes;
    fake.shares = received;
    fake.grants = grants;
    verify_begin(run, rows);
    verify_all(run);
}

static size_t
left(const struct verify_run *run, enum verify_left what)
{
    size_t kept_n[VK_MAX], left_n[VL_MAX];

    verify_sum_up(&run->verify, kept_n, left_n);
    return left_n[what];
}

static void
a_share_and_its_grant_are_equal(void **state)
{
    static const struct fake_grant grants[] = {
        {"alice", "n-a", "bob", false, READ, "s:p:7"},
        {"alice", "n-a", "bob", false, READ, NULL},
        {"alice", "n-docs", "staff", true, READ, "s:p:web"}, /* made in oCIS */
        {"alice", "n-docs", "staff", true, READ, NULL},
        {0},
    };
    struct verify_run run;

    (void)state;
    look(&run, grants);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_OK);
    verify_end(&run);
}

static void
a_share_whose_grant_is_missing_is_a_difference_that_can_be_sent_again(void **state)
{
    static const struct fake_grant grants[] = {{"alice", "n-a", "bob", false, READ, "s:p:7"}, {0}};
    struct verify_run run;

    (void)state;
    look(&run, grants);
    assert_string_equal(
        verify_difference(&run, 0),
        "alice|share: grant missing|files/docs/a.txt, given to the user bob||in the "
        "list of shares, but opens nothing");
    assert_int_equal(run.verify.differences.n, 1);
    assert_int_equal(run.verify.differences.each[0]->share, 7);
    assert_int_equal(run.verify.differences.each[0]->fileid, 12);
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_DIFFERENT);
    verify_end(&run);
}

static void
a_grant_that_no_share_has_is_a_difference_also_where_nothing_was_ever_shared(void **state)
{
    static const struct fake_grant grants[] = {
        {"alice", "n-a", "bob", false, READ, "s:p:7"}, {"alice", "n-a", "bob", false, READ, NULL},
        {"alice", "n-a", "bob", true, READ, NULL}, /* a group of the same id is somebody else */
        {"alice", "n-b", "eve", false, READ, NULL},    {0},
    };
    struct verify_run run;

    (void)state;
    look(&run, grants);
    assert_int_equal(run.verify.differences.n, 2);
    assert_non_null(strstr(verify_difference(&run, 0),
                           "alice|share: grant without a share|files/b.txt, given to the user eve||"
                           "in no list of shares, but opens it: "));
    assert_non_null(strstr(verify_difference(&run, 1),
                           "alice|share: grant without a share|files/docs/a.txt, given to the "
                           "group g-bob||"));
    assert_int_equal(run.verify.differences.each[0]->share, 0); /* no row is to blame */
    assert_string_equal(run.verify.differences.each[0]->target_id, "n-b");
    verify_end(&run);
}

static void
a_grant_that_gives_something_else_than_its_share_is_a_difference(void **state)
{
    static const struct fake_grant grants[] = {
        {"alice", "n-a", "bob", false, 1, 0, "s:p:7"},
        {"alice", "n-a", "bob", false, 1, 2000000, NULL},
        {0},
    };
    struct verify_run run;

    (void)state;
    look(&run, grants);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "alice|share: grant differs|"));
    assert_non_null(strstr(verify_difference(&run, 0), "until 2000000"));
    assert_int_equal(run.verify.differences.each[0]->share, 7);
    verify_end(&run);
}

static void
a_grant_of_the_owner_or_of_somebody_who_does_not_exist_is_none(void **state)
{
    static const struct fake_grant grants[] = {
        {"alice", "n-a", "bob", false, READ, "s:p:7"},
        {"alice", "n-a", "bob", false, READ, NULL},
        {"alice", "n-a", "alice", false, READ, NULL},
        {"alice", "n-b", "nobody@far", false, READ, NULL},
        {0},
    };
    struct verify_run run;

    (void)state;
    look(&run, grants);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(left(&run, VL_GRANTS_OF_NOBODY), 1);
    verify_end(&run);
}

static void
a_grantee_whose_id_is_longer_than_any_of_ours_is_counted(void **state)
{
    static char far[400];
    const struct fake_grant grants[] = {
        {"alice", "n-a", "bob", false, READ, "s:p:7"},
        {"alice", "n-a", "bob", false, READ, NULL},
        {"alice", "n-b", far, false, READ, NULL},
        {0},
    };
    struct verify_run run;

    (void)state;
    memset(far, 'x', sizeof(far) - 1);
    look(&run, grants);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(left(&run, VL_GRANTS_OF_NOBODY), 1);
    verify_end(&run);
}

static void
nodes_without_shares_and_grants_are_not_asked_about(void **state)
{
    static const struct fake_row none[] = {
        {T_FOLDER_TYPE, {"2"}},
        {T_USER, {"alice", "/data/alice", "1"}},
        {T_STORAGE, {"1", "home::alice"}},
        DIR("1", "1", "-1", "", ""),
        DIR("10", "1", "1", "files", "files"),
        DIR("11", "1", "10", "docs", "files/docs"),
        A_FILE("12", "1", "11", "a.txt", "files/docs/a.txt"),
        A_FILE("13", "1", "10", "b.txt", "files/b.txt"),
        /* a link has no grant */
        {T_SHARE, {"8", "3", NULL, "alice", "alice", NULL, "12", "1", "1", "0", NULL, NULL, "t"}},
        END};
    struct verify_run run;

    (void)state;
    fake.nodes = nodes;
    verify_begin(&run, none);
    verify_all(&run);
    assert_int_equal(fake.asked, 0);
    verify_end(&run);
}

static void
what_is_shared_on_one_side_costs_a_list_and_one_call_for_each_node_with_grants(void **state)
{
    static const struct fake_grant grants[] = {
        {"alice", "n-a", "bob", false, READ, "s:p:7"},
        {"alice", "n-a", "bob", false, READ, NULL},
        {"alice", "n-b", "eve", false, READ, "s:p:9"},
        {"alice", "n-b", "eve", false, READ, NULL},
        {0},
    };
    struct verify_run run;

    (void)state;
    look(&run, grants);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(fake.asked, 3);
    verify_end(&run);
}

static void
what_cannot_be_listed_is_unseen_and_one_who_does_not_sign_in_is_counted(void **state)
{
    static const char *const parts[] = {"shares-on", "grants", "grantee"};
    static const char *const only_bob[] = {"bob", NULL}, *const only_alice[] = {"alice", NULL};
    static const struct fake_grant grants[] = {{"alice", "n-a", "bob", false, READ, NULL}, {0}};
    struct fake_row disabled[] = {ALICE, END};
    struct verify_run run;

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fake.fails = parts[i];
        fake.cause = "internal";
        look(&run, grants);
        assert_int_equal(run.verify.differences.n, 1);
        assert_int_equal(run.verify.differences.each[0]->when, VW_UNSEEN);
        assert_int_equal(verify_verdict(&run.verify), LS_EXIT_UNSEEN);
        verify_end(&run);
    }
    disabled[1].columns[2] = "2";
    fake.users = only_bob;
    fake.served = only_alice;
    fake.nodes = nodes;
    fake.grants = grants;
    verify_begin(&run, disabled);
    verify_all(&run);
    assert_int_equal(fake.asked, 0);
    assert_int_equal(left(&run, VL_GRANTS_UNSEEN), 1);
    verify_end(&run);
}

static void
a_target_that_goes_away_meanwhile_ends_the_command(void **state)
{
    static const char *const parts[] = {"shares-on", "grants", "grantee"};
    static const struct fake_grant grants[] = {{"alice", "n-a", "bob", false, READ, NULL}, {0}};
    struct verify_run run;
    struct ls_err err;

    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        err = (struct ls_err){0};
        fake.fails = parts[i];
        fake.cause = "target-down";
        fake.nodes = nodes;
        fake.grants = grants;
        verify_begin(&run, rows);
        assert_int_equal(verify_compare(&run.verify, &err), -1);
        assert_string_equal(err.cause, "target-down");
        verify_end(&run);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_and_its_grant_are_equal),
        cmocka_unit_test(a_share_whose_grant_is_missing_is_a_difference_that_can_be_sent_again),
        cmocka_unit_test(
            a_grant_that_no_share_has_is_a_difference_also_where_nothing_was_ever_shared),
        cmocka_unit_test(a_grant_that_gives_something_else_than_its_share_is_a_difference),
        cmocka_unit_test(a_grant_of_the_owner_or_of_somebody_who_does_not_exist_is_none),
        cmocka_unit_test(a_grantee_whose_id_is_longer_than_any_of_ours_is_counted),
        cmocka_unit_test(nodes_without_shares_and_grants_are_not_asked_about),
        cmocka_unit_test(
            what_is_shared_on_one_side_costs_a_list_and_one_call_for_each_node_with_grants),
        cmocka_unit_test(what_cannot_be_listed_is_unseen_and_one_who_does_not_sign_in_is_counted),
        cmocka_unit_test(a_target_that_goes_away_meanwhile_ends_the_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
