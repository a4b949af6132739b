/*
 * Rows of shares that should not be there, but are: parked or a dead letter with the cause, never
 * dropped, never more than was given.
 */
#include "tests/unit/flow/flow.h"

#define BOB_READS                                                                                  \
    "Papers of alice: bob accepted at /x\n"                                                        \
    "Papers of alice: user bob read\n"

/* ---- the shared file */

SEQUENCE(what_is_shared_from_an_external_storage_waits_by_name,
         {"I oc_storages numeric_id=9 id='smb::fs@host//share/'", NULL},
         {"I oc_filecache fileid=90 storage=9 parent=-1 name='' path=''", NULL},
         {"I oc_filecache fileid=91 storage=9 parent=90 name='Far' path='Far'", NULL},
         {"I oc_share id=1 share_with='bob' file_source=91", "share 1 waits: node\n"},
         {"D oc_share id=1", ""})

SEQUENCE(what_is_shared_from_a_received_federated_share_waits_by_name,
         {"I oc_storages numeric_id=9 id='shared::0123456789abcdef0123456789abcdef'", NULL},
         {"I oc_filecache fileid=90 storage=9 parent=-1 name='' path=''", NULL},
         {"I oc_share id=1 share_with='bob' file_source=90", "share 1 waits: node\n"})

SEQUENCE(a_share_without_a_number_of_its_file_is_a_dead_letter,
         {"I oc_share id=1 share_with='bob' file_source=NULL -> dead:file-source", NULL},
         {"I oc_share id=2 share_with='bob' file_source=0 -> dead:file-source", NULL},
         {"I oc_share id=3 share_with='bob' item_type='calendar' file_source=44 -> dead:item-type",
          ""})

SEQUENCE(file_source_says_which_file_not_item_source,
         {"I oc_share id=1 share_with='bob' file_source=44 item_source='46' permissions=1"
          " -> warns:item-source",
          BOB_READS},
         {"U oc_share id=1 item_source='abc' -> warns:item-source", BOB_READS})

SEQUENCE(files_that_hang_nowhere_hold_up_their_share_alone,
         {"I oc_filecache fileid=70 parent=71 name='a' path='files/b/a'", NULL},
         {"I oc_filecache fileid=71 parent=70 name='b' path='files/a/b'", NULL}, /* a ring */
         {"I oc_filecache fileid=72 parent=999 name='c' path='files/c'", NULL},  /* an orphan */
         {"I oc_share id=1 share_with='bob' file_source=70", NULL},
         {"I oc_share id=2 share_with='bob' file_source=72", NULL},
         {"I oc_share id=3 share_with='bob' file_source=44 permissions=1",
          BOB_READS "share 1 waits: node\n"
                    "share 2 waits: node\n"},
         {"U oc_filecache fileid=71 parent=11", NULL},
         {"U oc_filecache fileid=70 path='files/b/a'",
          NULL}, /* it was a dead letter: its own row */
         {"I oc_filecache fileid=999 parent=11 name='late' path='files/late'",
          BOB_READS "b/a of alice: bob accepted at /x\n"
                    "b/a of alice: user bob edit\n"
                    "late/c of alice: bob accepted at /x\n"
                    "late/c of alice: user bob edit\n"})

/* ---- members' rows */

SEQUENCE(a_members_row_whose_group_share_is_gone_waits_and_ends_with_itself,
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44",
          "share 3 waits: group-share\n"},
         {"D oc_share id=3", ""})

SEQUENCE(a_members_row_may_come_before_its_group_share,
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 accepted=2", NULL},
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 permissions=1",
          "Papers of alice: bob rejected at /x\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: group staff read\n"})

SEQUENCE(a_members_row_below_a_link_or_itself_changes_nothing,
         {"I oc_share id=2 share_type=3 file_source=44 permissions=1", NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44", NULL},
         {"I oc_share id=4 share_type=2 share_with='bob' parent=4 file_source=44"
          " -> dead:share-parent",
          "Papers of alice: link read\n"
          "share 3 waits: group-share\n"})

SEQUENCE(of_two_rows_of_one_member_the_newer_one_counts,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 permissions=1", NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 accepted=2"
          " stime=1700000000",
          NULL},
         {"I oc_share id=4 share_type=2 share_with='bob' parent=2 file_source=44 file_target='/B'",
          "Papers of alice: bob accepted at /B\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: group staff read\n"},
         {"D oc_share id=4", "Papers of alice: bob rejected at /x\n"
                             "Papers of alice: carol accepted at /x\n"
                             "Papers of alice: group staff read\n"})

SEQUENCE(a_row_of_somebody_who_is_no_member_gives_him_nothing,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 permissions=1", NULL},
         {"I oc_share id=3 share_type=2 share_with='dave' parent=2 file_source=44 file_target='/D'",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: group staff read\n"},
         {"D oc_share id=3", "Papers of alice: bob accepted at /x\n"
                             "Papers of alice: carol accepted at /x\n"
                             "Papers of alice: group staff read\n"})

SEQUENCE(two_shares_with_one_group_have_a_row_of_the_member_each,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 permissions=1", NULL},
         {"I oc_share id=3 share_type=1 share_with='staff' file_source=44 permissions=1"
          " stime=1600000001 file_target='/y'",
          NULL},
         {"I oc_share id=4 share_type=2 share_with='bob' parent=2 file_source=44 accepted=2",
          "Papers of alice: bob accepted at /y\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: group staff read\n"})

/* ---- whose, to whom */

SEQUENCE(who_shared_may_be_unknown_or_gone,
         {"I oc_share id=1 share_with='bob' uid_initiator='nobody' file_source=44 permissions=1",
          BOB_READS},
         {"U oc_share id=1 uid_initiator=NULL", BOB_READS})

SEQUENCE(the_owner_is_his_own_recipient,
         {"I oc_share id=1 share_with='alice' file_source=44 permissions=1", ""},
         {"U oc_share id=1 share_with='bob'", BOB_READS},
         /* the row says that bob shares it, though it lies in the home of alice */
         {"U oc_share id=1 uid_owner='bob'", ""}, {"D oc_share id=1", ""})

SEQUENCE(the_owner_is_in_the_group_that_receives, {"I oc_group_user gid='staff' uid='alice'", NULL},
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 permissions=1",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: group staff read\n"},
         {"U oc_share id=2 uid_owner='carol'", "Papers of alice: bob accepted at /x\n"
                                               "Papers of alice: carol rejected at /x\n"
                                               "Papers of alice: group staff read\n"})

SEQUENCE(a_recipient_in_another_spelling_is_nobody,
         {"I oc_share id=1 share_with='BOB' file_source=44", "share 1 waits: grantee\n"},
         {"I oc_share id=2 share_with='bob' file_source=44 permissions=1",
          BOB_READS "share 1 waits: grantee\n"})

SEQUENCE(groups_have_any_name, {"I oc_groups gid='R&D/50%'", NULL},
         {"I oc_group_user gid='R&D/50%' uid='dave'", NULL},
         {"I oc_share id=2 share_type=1 share_with='R&D/50%' file_source=44 permissions=1",
          "Papers of alice: dave accepted at /x\n"
          "Papers of alice: group R&D/50% read\n"})

SEQUENCE(a_share_with_a_group_that_is_unknown_waits_for_it,
         {"I oc_share id=2 share_type=1 share_with=' Süd ' file_source=44 permissions=1",
          "share 2 waits: grantee\n"},
         {"I oc_groups gid=' Süd '", "Papers of alice: group  Süd  read\n"})

/* ---- columns */

SEQUENCE(an_expired_share_gives_nothing_though_its_row_is_there,
         {"I oc_share id=1 share_with='bob' file_source=44 expiration='2001-01-01 00:00:00'", ""},
         {"I oc_share id=2 share_type=3 file_source=44 permissions=1 expiration='2001-01-01'", ""},
         {"U oc_share id=1 expiration='9999-12-31 00:00:00' permissions=1",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: user bob read ends\n"},
         {"U oc_share id=1 expiration='soon' -> dead:expiration",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: user bob read ends\n"},
         {"U oc_share id=1 expiration='0000-00-00 00:00:00'", ""})

SEQUENCE(mount_points_may_be_missing_empty_or_deep,
         {"I oc_share id=1 share_with='bob' file_source=44 permissions=1 file_target=NULL",
          "Papers of alice: bob accepted at \n"
          "Papers of alice: user bob read\n"},
         {"U oc_share id=1 file_target='/a/b/c'", "Papers of alice: bob accepted at /a/b/c\n"
                                                  "Papers of alice: user bob read\n"},
         {"U oc_share id=1 file_target=''", "Papers of alice: bob accepted at \n"
                                            "Papers of alice: user bob read\n"})

SEQUENCE(a_share_that_grants_nothing_is_a_dead_letter_and_what_is_there_stays,
         {"I oc_share id=1 share_with='bob' file_source=44 permissions=0 -> dead:share-permissions",
          ""},
         {"I oc_share id=2 share_with='bob' file_source=44 permissions=16"
          " -> dead:share-permissions",
          ""},
         {"I oc_share id=3 share_with='bob' file_source=44 permissions=1", BOB_READS},
         {"U oc_share id=3 permissions=99 -> dead:share-permissions", BOB_READS})

SEQUENCE(attributes_that_cannot_be_read_deny_nothing_and_are_counted,
         {"I oc_share id=1 share_with='bob' file_source=44 permissions=1 attributes='[[\"perm'"
          " -> warns:attributes",
          BOB_READS},
         {"U oc_share id=1 attributes='[]'", BOB_READS},
         {"U oc_share id=1 attributes='[[\"permissions\",\"download\",null]]'", BOB_READS},
         {"U oc_share id=1 attributes='[[\"other\",\"download\",false]]'", BOB_READS},
         {"U oc_share id=1 attributes='[[\"permissions\",\"download\",false]]'",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: user bob look\n"},
         {"U oc_share id=1 attributes=''", BOB_READS})

static void
a_snapshot_sweeps_shares_that_are_gone_and_leaves_the_others(void **state)
{
    struct flow *f = *state;
    struct ls_seq begin;

    flow_row(f, "I oc_share id=1 share_with='bob' file_source=44 permissions=1");
    flow_row(f, "I oc_share id=2 share_with='carol' file_source=44 permissions=1");
    flow_is(f, "both",
            "Papers of alice: bob accepted at /x\n"
            "Papers of alice: carol accepted at /x\n"
            "Papers of alice: user bob read\n"
            "Papers of alice: user carol read\n");
    begin = flow_bracket(f, LS_T_SHARE, LS_OP_BEGIN, (struct ls_seq){0});
    flow_row(f, "R oc_share id=1 share_with='bob' file_source=44 permissions=1");
    flow_is(f, "not before the end",
            "Papers of alice: bob accepted at /x\n"
            "Papers of alice: carol accepted at /x\n"
            "Papers of alice: user bob read\n"
            "Papers of alice: user carol read\n");
    flow_bracket(f, LS_T_SHARE, LS_OP_END, begin);
    flow_is(f, "one is gone", BOB_READS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(what_is_shared_from_an_external_storage_waits_by_name),
        FLOW_TEST(what_is_shared_from_a_received_federated_share_waits_by_name),
        FLOW_TEST(a_share_without_a_number_of_its_file_is_a_dead_letter),
        FLOW_TEST(file_source_says_which_file_not_item_source),
        FLOW_TEST(files_that_hang_nowhere_hold_up_their_share_alone),
        FLOW_TEST(a_members_row_whose_group_share_is_gone_waits_and_ends_with_itself),
        FLOW_TEST(a_members_row_may_come_before_its_group_share),
        FLOW_TEST(a_members_row_below_a_link_or_itself_changes_nothing),
        FLOW_TEST(of_two_rows_of_one_member_the_newer_one_counts),
        FLOW_TEST(a_row_of_somebody_who_is_no_member_gives_him_nothing),
        FLOW_TEST(two_shares_with_one_group_have_a_row_of_the_member_each),
        FLOW_TEST(who_shared_may_be_unknown_or_gone),
        FLOW_TEST(the_owner_is_his_own_recipient),
        FLOW_TEST(the_owner_is_in_the_group_that_receives),
        FLOW_TEST(a_recipient_in_another_spelling_is_nobody),
        FLOW_TEST(groups_have_any_name),
        FLOW_TEST(a_share_with_a_group_that_is_unknown_waits_for_it),
        FLOW_TEST(an_expired_share_gives_nothing_though_its_row_is_there),
        FLOW_TEST(mount_points_may_be_missing_empty_or_deep),
        FLOW_TEST(a_share_that_grants_nothing_is_a_dead_letter_and_what_is_there_stays),
        FLOW_TEST(attributes_that_cannot_be_read_deny_nothing_and_are_counted),
        FLOW_TEST(a_snapshot_sweeps_shares_that_are_gone_and_leaves_the_others),
    };

    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
