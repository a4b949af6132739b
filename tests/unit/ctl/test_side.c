/*
 * The source's side of verify: rows into trees.
 */
#include "fake_target.h"
#include <string.h>

#define DIR(id, storage, parent, name, path)                                                       \
    {                                                                                              \
        T_FILE,                                                                                    \
        {                                                                                          \
            id, storage, parent, name, path, "2", "0", "50", "0", NULL                             \
        }                                                                                          \
    }
#define HEAD                                                                                       \
    {T_FOLDER_TYPE, {"2"}}, {T_USER, {"alice", "/data/alice", "1"}},                               \
        {T_STORAGE, {"1", "home::alice"}}, DIR("1", "1", "-1", "", ""),                            \
        DIR("10", "1", "1", "files", "files")

static void
places_go_by_parent_and_name_not_by_path(void **state)
{
    /* 12 moved with its parent to another storage, but its own path and storage stayed behind */
    static const struct fake_row rows[] = {HEAD,
                                           DIR("11", "1", "10", "q", "files/q"),
                                           DIR("12", "7", "11", "p", "files/p/files/p"),
                                           {-1, {NULL}}};
    struct verify_run run;
    struct side_node *node;

    (void)state;
    verify_begin(&run, rows);
    node = side_node_by_id(run.verify.side, 12);
    assert_non_null(node);
    assert_string_equal(side_place(run.verify.side, node), "files/q/p");
    assert_string_equal(side_owner(run.verify.side, node, NULL)->uid, "alice");
    verify_end(&run);
}

static void
of_two_rows_of_one_place_the_one_whose_path_agrees_counts(void **state)
{
    static const struct fake_row rows[] = {HEAD,
                                           DIR("11", "1", "10", "a", "files/a"),
                                           DIR("12", "1", "10", "a", "files/wrong"),
                                           {-1, {NULL}}};
    static const struct fake_row other_order[] = {HEAD,
                                                  DIR("11", "1", "10", "a", "files/wrong"),
                                                  DIR("12", "1", "10", "a", "files/a"),
                                                  {-1, {NULL}}};
    struct verify_run run;

    (void)state;
    verify_begin(&run, rows);
    assert_int_equal(side_child(side_node_by_id(run.verify.side, 10), "a")->fileid, 11);
    assert_int_equal(run.verify.side->n_doubled, 1);
    assert_int_equal(verify_below(side_node_by_id(run.verify.side, 10)), 1);
    verify_end(&run);
    verify_begin(&run, other_order);
    assert_int_equal(side_child(side_node_by_id(run.verify.side, 10), "a")->fileid, 12);
    verify_end(&run);
}

static void
loops_and_rows_without_a_parent_are_orphans(void **state)
{
    static const struct fake_row rows[] = {HEAD,
                                           DIR("20", "1", "21", "a", "x"),
                                           DIR("21", "1", "20", "b", "x"),
                                           DIR("22", "1", "22", "c", "x"),
                                           DIR("23", "1", "99", "d", "x"),
                                           {-1, {NULL}}};
    struct verify_run run;
    enum side_where where = SIDE_HOME;

    (void)state;
    verify_begin(&run, rows);
    assert_int_equal(run.verify.side->n_orphans, 4);
    assert_null(side_owner(run.verify.side, side_node_by_id(run.verify.side, 20), &where));
    assert_int_equal(where, SIDE_ORPHAN);
    verify_end(&run);
}

static void
a_home_under_an_md5_name_is_found(void **state)
{
    /* md5("home::" + 64 times 'a') */
    static const char uid[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const struct fake_row rows[] = {{T_FOLDER_TYPE, {"2"}},
                                           {T_USER, {uid, "/data/a", "1"}},
                                           {T_STORAGE, {"5", "2a8f9aa05ccdc184a9194ae8837a0b16"}},
                                           DIR("1", "5", "-1", "", ""),
                                           {-1, {NULL}}};
    struct verify_run run;
    struct side_user *user;

    (void)state;
    verify_begin(&run, rows);
    HASH_FIND_STR(run.verify.side->users, uid, user);
    assert_non_null(user);
    assert_int_equal(user->storage, 5);
    assert_non_null(user->root);
    verify_end(&run);
}

static void
checksums_are_read_in_any_order_and_case_and_bad_ones_are_none(void **state)
{
    static const struct {
        const char *column, *sha1;
    } cases[] = {
        {"SHA1:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709 MD5:x",
         "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"MD5:x sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
         "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"SHA1:x", NULL},
        {"", NULL},
        {NULL, NULL},
        {"SHA1:zz39a3ee5e6b4b0d3255bfef95601890afd80709", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct fake_row rows[] = {
            HEAD,
            {T_FILE, {"11", "1", "10", "a", "files/a", "3", "1", "1", "0", cases[i].column}},
            {-1, {NULL}}};
        struct verify_run run;
        verify_begin(&run, rows);
        if (cases[i].sha1)
            assert_string_equal(side_node_by_id(run.verify.side, 11)->sha1, cases[i].sha1);
        else
            assert_null(side_node_by_id(run.verify.side, 11)->sha1);
        verify_end(&run);
    }
}

static void
the_newest_row_of_a_member_is_his_own(void **state)
{
    static const struct fake_row rows[] = {
        HEAD,
        {T_SHARE, {"1", "1", "staff", "x", "x", NULL, "10", "1", "1", "0", NULL, NULL}},
        {T_SHARE, {"2", "2", "bob", "x", "x", "1", "10", "1", "1", "2", NULL, NULL}},
        {T_SHARE, {"3", "2", "bob", "x", "x", "1", "10", "1", "1", "0", NULL, NULL}},
        {T_MEMBER, {"staff", "bob"}},
        {-1, {NULL}}};
    struct verify_run run;
    struct side_share *group;

    (void)state;
    verify_begin(&run, rows);
    group = side_shares_of(run.verify.side, 'g', "staff");
    assert_non_null(group);
    assert_int_equal(side_entry(run.verify.side, group, "bob")->id, 3);
    assert_null(side_entry(run.verify.side, group, "carol"));
    assert_string_equal(side_groups_of(run.verify.side, "bob")->gid, "staff");
    assert_null(side_groups_of(run.verify.side, "alice"));
    verify_end(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_go_by_parent_and_name_not_by_path),
        cmocka_unit_test(of_two_rows_of_one_place_the_one_whose_path_agrees_counts),
        cmocka_unit_test(loops_and_rows_without_a_parent_are_orphans),
        cmocka_unit_test(a_home_under_an_md5_name_is_found),
        cmocka_unit_test(checksums_are_read_in_any_order_and_case_and_bad_ones_are_none),
        cmocka_unit_test(the_newest_row_of_a_member_is_his_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
