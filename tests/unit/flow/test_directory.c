/*
 * Shares with groups of ownCloud's LDAP (people.match_by = ldap-uuid): rows of the mapping and of
 * shares, and what is at the target then. A group there is told by its id without the first letter.
 */
#include "tests/unit/flow/flow.h"

static int
setup(void **state)
{
    int r = flow_setup(state);

    ((struct flow *)*state)->core->options.match_ldap = true;
    return r;
}

#define MAPPED "I oc_ldap_group_mapping owncloud_name='R&D' ldap_dn='cn=rnd' directory_uuid="
#define SHARED "I oc_share id=2 share_type=1 share_with='R&D' file_source=44"
#define CAROLS "I oc_share id=3 share_type=2 share_with='carol' parent=2 file_source=44 "
#define WAITS "share 2 waits: grantee\n"

SEQUENCE(what_is_shared_before_the_mapping_comes_waits_for_it, {SHARED, WAITS},
         {MAPPED "'G74f2'", "Papers of alice: group 74f2 edit\n"},
         {"U oc_share id=2 permissions=17", "Papers of alice: group 74f2 read\n"},
         {"D oc_share id=2", ""})

SEQUENCE(what_is_shared_after_the_mapping_came_is_there_at_once, {MAPPED "'G74f2'", ""},
         {SHARED, "Papers of alice: group 74f2 edit\n"},
         {"U oc_ldap_group_mapping owncloud_name='R&D' ldap_dn='cn=rnd,ou=else'",
          "Papers of alice: group 74f2 edit\n"})

SEQUENCE(/* who is a member the directory says: rows of members' own are enough */
         a_member_renames_and_declines, {MAPPED "'G74f2'", NULL}, {SHARED, NULL},
         {CAROLS "file_target='/R'", "Papers of alice: carol accepted at /R\n"
                                     "Papers of alice: group 74f2 edit\n"},
         {"U oc_share id=3 accepted=2", "Papers of alice: carol rejected at /R\n"
                                        "Papers of alice: group 74f2 edit\n"},
         {"I oc_group_user gid='R&D' uid='bob'", NULL},
         {"D oc_group_user gid='R&D' uid='bob'", "Papers of alice: carol rejected at /R\n"
                                                 "Papers of alice: group 74f2 edit\n"})

SEQUENCE(/* what was shared with the other one goes */
         a_mapping_that_names_another_group_is_followed, {SHARED, NULL},
         {CAROLS "file_target='/R'", NULL},
         {MAPPED "'G74f2'", "Papers of alice: carol accepted at /R\n"
                            "Papers of alice: group 74f2 edit\n"},
         {"U oc_ldap_group_mapping owncloud_name='R&D' directory_uuid='G9d50'",
          "Papers of alice: carol accepted at /R\n"
          "Papers of alice: group 9d50 edit\n"})

SEQUENCE(a_group_whose_mapping_goes_has_nothing_until_it_is_back, {SHARED, NULL},
         {CAROLS "file_target='/R'", NULL},
         {MAPPED "'G74f2'", "Papers of alice: carol accepted at /R\n"
                            "Papers of alice: group 74f2 edit\n"},
         {"D oc_ldap_group_mapping owncloud_name='R&D'", ""},
         {"U oc_share id=2 permissions=17", WAITS},
         {MAPPED "'G74f2'", "Papers of alice: carol accepted at /R\n"
                            "Papers of alice: group 74f2 read\n"},
         {"D oc_ldap_group_mapping owncloud_name='R&D'", NULL}, {"D oc_share id=3", NULL},
         {"D oc_share id=2", ""})

SEQUENCE(a_mapping_without_an_id_is_waited_for, {SHARED, NULL},
         {MAPPED "''", "share 2 waits: unmapped\n"},
         {"U oc_ldap_group_mapping owncloud_name='R&D' directory_uuid='G9d50'",
          "Papers of alice: group 9d50 edit\n"})

SEQUENCE(/* of the database: staff, with bob and carol in it */
         a_group_of_ownclouds_own_is_found_by_its_name_beside_them, {MAPPED "'G74f2'", NULL},
         {"I oc_share id=4 share_type=1 share_with='staff' file_source=46",
          "Box of alice: bob accepted at /x\n"
          "Box of alice: carol accepted at /x\n"
          "Box of alice: group staff edit\n"},
         {"D oc_groups gid='staff'", NULL}, {"D oc_group_user gid='staff' uid='bob'", NULL},
         {"D oc_group_user gid='staff' uid='carol'", NULL}, {"D oc_share id=4", ""})

static void
by_name_a_mapping_changes_nothing(void **state)
{
    static const struct flow_step steps[] = {
        {SHARED, WAITS},
        {MAPPED "'G74f2'", WAITS},
        {"I oc_groups gid='R&D'", "Papers of alice: group R&D edit\n"},
        {"D oc_ldap_group_mapping owncloud_name='R&D'", "Papers of alice: group R&D edit\n"},
        {NULL, NULL}};
    struct flow *f = *state;

    f->core->options.match_ldap = false;
    flow_run(f, steps);
    assert_int_equal(ap_counted(f->ledger, "left:ldap"), 2);
}

/* The end of a snapshot without it says as much as its deletion; all at once are asked about. */
static void
a_sweep_takes_away_what_was_shared_with_groups_that_are_gone(void **state)
{
    struct flow *f = *state;
    struct ls_seq begin;

    f->core->options.sweep_max_percent = 0;
    f->core->options.sweep_max_items = 0;
    flow_row(f, MAPPED "'G74f2'");
    flow_row(f, SHARED);
    flow_is(f, "shared", "Papers of alice: group 74f2 edit\n");
    begin = flow_bracket(f, LS_T_LDAP_GROUP_MAPPING, LS_OP_BEGIN, (struct ls_seq){0});
    flow_bracket(f, LS_T_LDAP_GROUP_MAPPING, LS_OP_END, begin);
    flow_is(f, "asked about", "Papers of alice: group 74f2 edit\n");
    f->core->options.sweep_max_items = 1;
    begin = flow_bracket(f, LS_T_LDAP_GROUP_MAPPING, LS_OP_BEGIN, (struct ls_seq){0});
    flow_bracket(f, LS_T_LDAP_GROUP_MAPPING, LS_OP_END, begin);
    flow_is(f, "swept", "");
    flow_row(f, MAPPED "'G9d50'");
    flow_is(f, "back", "Papers of alice: group 9d50 edit\n");
}

#define GROUP_TEST(t) cmocka_unit_test_setup_teardown(t, setup, flow_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        GROUP_TEST(what_is_shared_before_the_mapping_comes_waits_for_it),
        GROUP_TEST(what_is_shared_after_the_mapping_came_is_there_at_once),
        GROUP_TEST(a_member_renames_and_declines),
        GROUP_TEST(a_mapping_that_names_another_group_is_followed),
        GROUP_TEST(a_group_whose_mapping_goes_has_nothing_until_it_is_back),
        GROUP_TEST(a_mapping_without_an_id_is_waited_for),
        GROUP_TEST(a_group_of_ownclouds_own_is_found_by_its_name_beside_them),
        GROUP_TEST(by_name_a_mapping_changes_nothing),
        GROUP_TEST(a_sweep_takes_away_what_was_shared_with_groups_that_are_gone),
    };

    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
