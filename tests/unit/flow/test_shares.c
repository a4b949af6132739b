/*
 * What people do with shares, as the rows that ownCloud writes for it, one after the other, and
 * what is at the target then. The sequences are those of real recordings; numbers as [S3] name
 * them.
 */
#include "tests/unit/flow/flow.h"

SEQUENCE(a_share_with_a_user_is_made_changed_and_taken_back,
         {"I oc_share id=1 share_with='bob' file_source=44 file_target='/Papers'",
          "Papers of alice: bob accepted at /Papers\n"
          "Papers of alice: user bob edit\n"},
         {"U oc_share id=1 permissions=17", "Papers of alice: bob accepted at /Papers\n"
                                            "Papers of alice: user bob read\n"},
         {"U oc_share id=1 expiration='2099-01-01 00:00:00'",
          "Papers of alice: bob accepted at /Papers\n"
          "Papers of alice: user bob read ends\n"},
         {"U oc_share id=1 expiration=NULL", "Papers of alice: bob accepted at /Papers\n"
                                             "Papers of alice: user bob read\n"},
         {"D oc_share id=1", ""})

SEQUENCE(/* S1b: 31 asked, 19 stored */
         a_file_never_gets_create_and_delete,
         {"I oc_share id=1 share_with='bob' item_type='file' file_source=45 permissions=19 "
          "file_target='/plan.txt'",
          "plan.txt of alice: bob accepted at /plan.txt\n"
          "plan.txt of alice: user bob write\n"},
         {"U oc_share id=1 permissions=31", "plan.txt of alice: bob accepted at /plan.txt\n"
                                            "plan.txt of alice: user bob write\n"})

SEQUENCE(/* auto accept off: accepted 1, then 0 */
         a_pending_share_is_accepted,
         {"I oc_share id=1 share_with='bob' file_source=44 accepted=1",
          "Papers of alice: bob pending at /x\n"
          "Papers of alice: user bob edit\n"},
         {"U oc_share id=1 accepted=0 file_target='/Papers'",
          "Papers of alice: bob accepted at /Papers\n"
          "Papers of alice: user bob edit\n"})

SEQUENCE(/* S8, S9c */
         a_recipient_declines_and_accepts_again_under_another_name,
         {"I oc_share id=1 share_with='bob' file_source=44 file_target='/Papers'", NULL},
         {"U oc_share id=1 accepted=2", "Papers of alice: bob rejected at /Papers\n"
                                        "Papers of alice: user bob edit\n"},
         {"U oc_share id=1 accepted=0 file_target='/Papers (2)'",
          "Papers of alice: bob accepted at /Papers (2)\n"
          "Papers of alice: user bob edit\n"})

SEQUENCE(/* before 10.0.9 the row of a declined user share goes */
         an_old_server_deletes_what_is_declined,
         {"I oc_share id=1 share_with='bob' file_source=44", NULL}, {"D oc_share id=1", ""})

SEQUENCE(/* S3b, S3c, S9: rows of his own, then UPDATEs of it */
         a_member_renames_and_declines_a_group_share,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 file_target='/Papers'",
          "Papers of alice: bob accepted at /Papers\n"
          "Papers of alice: carol accepted at /Papers\n"
          "Papers of alice: group staff edit\n"},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 "
          "file_target='/Akten'",
          "Papers of alice: bob accepted at /Akten\n"
          "Papers of alice: carol accepted at /Papers\n"
          "Papers of alice: group staff edit\n"},
         {"U oc_share id=3 accepted=2", "Papers of alice: bob rejected at /Akten\n"
                                        "Papers of alice: carol accepted at /Papers\n"
                                        "Papers of alice: group staff edit\n"},
         {"U oc_share id=3 accepted=0", "Papers of alice: bob accepted at /Akten\n"
                                        "Papers of alice: carol accepted at /Papers\n"
                                        "Papers of alice: group staff edit\n"})

SEQUENCE(/* before 10.0.9 */
         a_members_row_without_permissions_means_declined,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 file_target='/Papers'",
          NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 permissions=0 "
          "file_target='/Papers'",
          "Papers of alice: bob rejected at /Papers\n"
          "Papers of alice: carol accepted at /Papers\n"
          "Papers of alice: group staff edit\n"})

SEQUENCE(/* S41 */
         a_group_share_with_auto_accept_off_is_accepted_and_declined_one_by_one,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 accepted=1",
          "Papers of alice: bob pending at /x\n"
          "Papers of alice: carol pending at /x\n"
          "Papers of alice: group staff edit\n"},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 "
          "file_target='/Papers'",
          NULL},
         {"I oc_share id=4 share_type=2 share_with='carol' parent=2 file_source=44 accepted=2",
          "Papers of alice: bob accepted at /Papers\n"
          "Papers of alice: carol rejected at /x\n"
          "Papers of alice: group staff edit\n"})

SEQUENCE(/* members who switched auto-accept off get a row each, right after the group's */
         a_member_with_auto_accept_off_has_a_row_of_his_own_at_once,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44 file_target='/Papers'",
          NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 accepted=1 "
          "file_target='/Papers'",
          "Papers of alice: bob pending at /Papers\n"
          "Papers of alice: carol accepted at /Papers\n"
          "Papers of alice: group staff edit\n"},
         {"U oc_share id=3 accepted=0", "Papers of alice: bob accepted at /Papers\n"
                                        "Papers of alice: carol accepted at /Papers\n"
                                        "Papers of alice: group staff edit\n"})

SEQUENCE(/* S4b, S7b: the members' rows follow in a second transaction */
         a_change_of_a_group_share_reaches_the_members_rows_later,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44", NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 file_target='/A'",
          NULL},
         {"U oc_share id=2 permissions=17", "Papers of alice: bob accepted at /A\n"
                                            "Papers of alice: carol accepted at /x\n"
                                            "Papers of alice: group staff read\n"},
         {"U oc_share id=3 permissions=17", "Papers of alice: bob accepted at /A\n"
                                            "Papers of alice: carol accepted at /x\n"
                                            "Papers of alice: group staff read\n"})

SEQUENCE(/* S11b: the group's row and the members' in one statement */
         a_group_share_is_taken_back,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44", NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44", NULL},
         {"D oc_share id=2", NULL}, {"D oc_share id=3", ""})

SEQUENCE(/* U2, U2b: first the group, then the members' rows, then the shares */
         a_group_is_deleted,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44", NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 accepted=2", NULL},
         {NULL, "Papers of alice: bob rejected at /x\n"
                "Papers of alice: carol accepted at /x\n"
                "Papers of alice: group staff edit\n"},
         {"D oc_groups gid='staff'", NULL}, {"D oc_group_user gid='staff' uid='bob'", NULL},
         {"D oc_group_user gid='staff' uid='carol'", NULL}, {"D oc_share id=3", NULL},
         {"D oc_share id=2", ""})

SEQUENCE(/* U1b, U1c: his row stays, and counts again */
         a_member_leaves_and_comes_back,
         {"I oc_share id=2 share_type=1 share_with='staff' file_source=44", NULL},
         {"I oc_share id=3 share_type=2 share_with='bob' parent=2 file_source=44 file_target='/A'",
          NULL},
         {"D oc_group_user gid='staff' uid='bob'", NULL},
         {"U oc_share id=3 file_target='/B'", NULL},
         {"I oc_group_user gid='staff' uid='bob'", "Papers of alice: bob accepted at /B\n"
                                                   "Papers of alice: carol accepted at /x\n"
                                                   "Papers of alice: group staff edit\n"})

SEQUENCE(/* S6, S7, S40: nothing links the two */
         a_reshare_outlives_the_share_it_came_from,
         {"I oc_share id=1 share_with='bob' file_source=44", NULL},
         {"I oc_share id=2 share_with='carol' uid_initiator='bob' file_source=44 permissions=1",
          NULL},
         {"U oc_share id=1 permissions=1", NULL},
         {"D oc_share id=1", "Papers of alice: carol accepted at /x\n"
                             "Papers of alice: user carol read\n"})

SEQUENCE(/* S40: the recipient's link carries parent, and is deleted before it */
         a_link_of_a_recipient_goes_with_what_he_received,
         {"I oc_share id=1 share_with='bob' file_source=44", NULL},
         {"I oc_share id=2 share_type=3 uid_initiator='bob' parent=1 file_source=44 permissions=1",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: link read\n"
          "Papers of alice: user bob edit\n"},
         {"D oc_share id=2", NULL}, {"D oc_share id=1", ""})

SEQUENCE(/* links: forms, password, label, expiry */
         a_link_changes_its_form,
         {"I oc_share id=1 share_type=3 file_source=44 permissions=1",
          "Papers of alice: link read\n"},
         {"U oc_share id=1 permissions=4", "Papers of alice: link drop\n"},
         {"U oc_share id=1 permissions=5", "Papers of alice: link read+drop\n"},
         {"U oc_share id=1 permissions=7", "Papers of alice: link write+drop\n"},
         {"U oc_share id=1 permissions=15", "Papers of alice: link edit\n"},
         {"U oc_share id=1 share_with='*'", "Papers of alice: link edit\n"},
         {"U oc_share id=1 share_name='Presse' expiration='2099-01-01 00:00:00'",
          "Papers of alice: link edit ends\n"},
         {"D oc_share id=1", ""})

SEQUENCE(/* S12: the row unchanged, dormant, and back by itself */
         a_share_sleeps_while_its_folder_is_in_the_trash,
         {"I oc_share id=1 share_with='bob' file_source=44", NULL},
         {NULL, "Papers of alice: bob accepted at /x\n"
                "Papers of alice: user bob edit\n"},
         {"U oc_filecache fileid=44 parent=22 name='Papers.d1700000009' "
          "path='files_trashbin/files/Papers.d1700000009'",
          "trashed Papers of alice: bob accepted at /x\n"
          "trashed Papers of alice: user bob edit\n"},
         {"I oc_share id=2 share_with='carol' file_source=44 permissions=1",
          "share 2 waits: dormant\n"
          "trashed Papers of alice: bob accepted at /x\n"
          "trashed Papers of alice: user bob edit\n"},
         {"U oc_filecache fileid=44 parent=11 name='Papers' path='files/Papers'",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: user bob edit\n"
          "Papers of alice: user carol read\n"})

SEQUENCE(/* J1: purged, and some time later the rows go, all in one statement */
         the_rows_of_a_purged_folder_are_orphans_until_the_job_comes,
         {"I oc_share id=1 share_with='bob' file_source=44", NULL},
         {"I oc_share id=2 share_type=3 file_source=44 permissions=1", NULL},
         {NULL, "Papers of alice: bob accepted at /x\n"
                "Papers of alice: link read\n"
                "Papers of alice: user bob edit\n"},
         {"U oc_filecache fileid=44 parent=22 name='Papers.d1700000009' "
          "path='files_trashbin/files/Papers.d1700000009'",
          NULL},
         {"D oc_filecache fileid=44", ""}, {"D oc_share id=1", NULL}, {"D oc_share id=2", ""})

SEQUENCE(/* the share is read after the file is gone already */
         a_share_of_a_file_that_is_gone_waits_and_ends_with_its_row,
         {"I oc_share id=1 share_with='bob' file_source=999", "share 1 waits: node\n"},
         {"D oc_share id=1", ""})

SEQUENCE(/* S30b: collision, solved at the next mount */
         a_second_share_of_one_name_gets_its_number_later,
         {"I oc_share id=1 share_with='bob' file_source=44 file_target='/Papers'", NULL},
         {"I oc_share id=2 share_with='bob' file_source=46 file_target='/Papers'",
          "Box of alice: bob accepted at /Papers\n"
          "Box of alice: user bob edit\n"
          "Papers of alice: bob accepted at /Papers\n"
          "Papers of alice: user bob edit\n"},
         {"U oc_share id=2 file_target='/Papers (2)'", "Box of alice: bob accepted at /Papers (2)\n"
                                                       "Box of alice: user bob edit\n"
                                                       "Papers of alice: bob accepted at /Papers\n"
                                                       "Papers of alice: user bob edit\n"})

SEQUENCE(/* S43, S44: the folder that holds the mount is renamed, then deleted */
         a_mount_point_moves_with_its_folder_and_is_declined_with_it,
         {"I oc_share id=1 share_with='bob' file_source=44 file_target='/Box/Recv'", NULL},
         {"U oc_share id=1 file_target='/Box2/Recv/'",
          "Papers of alice: bob accepted at /Box2/Recv\n"
          "Papers of alice: user bob edit\n"},
         {"U oc_share id=1 file_target='/Box2/Recv'",
          "Papers of alice: bob accepted at /Box2/Recv\n"
          "Papers of alice: user bob edit\n"},
         {"U oc_share id=1 accepted=2", "Papers of alice: bob rejected at /Box2/Recv\n"
                                        "Papers of alice: user bob edit\n"})

SEQUENCE(/* S42: the file goes to another home, the row's owner follows; B was the recipient: DELETE
          */
         a_shared_file_moves_into_a_folder_of_another_owner,
         {"I oc_share id=1 item_type='file' share_with='carol' file_source=45 permissions=1", NULL},
         {NULL, "plan.txt of alice: carol accepted at /x\n"
                "plan.txt of alice: user carol read\n"},
         {"U oc_filecache fileid=45 storage=2 parent=12 name='plan.txt' path='files/plan.txt'",
          NULL},
         {"U oc_share id=1 uid_owner='bob'", "plan.txt of bob: carol accepted at /x\n"
                                             "plan.txt of bob: user carol read\n"})

SEQUENCE(/* O1: files itself moves; shares keep their numbers, B's own share goes */
         a_transfer_of_ownership_keeps_the_shares,
         {"I oc_share id=1 share_with='carol' file_source=44 permissions=1", NULL},
         {"I oc_share id=2 share_with='bob' file_source=46 permissions=1",
          "Box of alice: bob accepted at /x\n"
          "Box of alice: user bob read\n"
          "Papers of alice: carol accepted at /x\n"
          "Papers of alice: user carol read\n"},
         {"U oc_filecache fileid=44 storage=2 path='files/transferred/Papers'", NULL},
         {"U oc_filecache fileid=45 storage=2 path='files/transferred/plan.txt'", NULL},
         {"U oc_filecache fileid=46 storage=2 path='files/transferred/Box'", NULL},
         {"U oc_filecache fileid=11 storage=2 parent=12 name='transferred' "
          "path='files/transferred'",
          NULL},
         {"I oc_filecache fileid=80 storage=1 parent=1 name='files' path='files'", NULL},
         {"U oc_share id=1 uid_owner='bob' uid_initiator='bob'", NULL},
         {"D oc_share id=2", "transferred/Papers of bob: carol accepted at /x\n"
                             "transferred/Papers of bob: user carol read\n"})

SEQUENCE(/* U3: storage, files, account first, shares last */
         the_shares_of_a_deleted_user_go_last,
         {"I oc_share id=1 share_with='bob' file_source=44", NULL},
         {"I oc_share id=2 uid_owner='bob' uid_initiator='bob' share_with='alice' file_source=12",
          NULL},
         {"D oc_group_user gid='staff' uid='bob'", NULL}, {"D oc_storages numeric_id=2", NULL},
         {"D oc_filecache fileid=2", NULL}, {"D oc_filecache fileid=12", NULL},
         {"D oc_accounts id=2", NULL}, {"D oc_share id=1", NULL}, {"D oc_share id=2", ""})

SEQUENCE(/* a guest (4) is a user as soon as he has an account */
         a_guest_waits_for_his_account,
         {"I oc_share id=1 share_type=4 share_with='guest@far.example' file_source=44 "
          "permissions=1",
          "share 1 waits: grantee\n"},
         {"I oc_accounts id=9 user_id='guest@far.example' home='/data/guest'",
          "Papers of alice: guest@far.example accepted at /x\n"
          "Papers of alice: user guest@far.example read\n"})

SEQUENCE(/* several rows for one recipient and one node */
         rows_of_one_recipient_are_one_share_with_what_all_give,
         {"I oc_share id=1 share_with='bob' file_source=44 permissions=3 file_target='/first' "
          "stime=1600000000",
          NULL},
         {"I oc_share id=2 share_with='bob' file_source=44 permissions=13 file_target='/second' "
          "stime=1600000001",
          "Papers of alice: bob accepted at /first\n"
          "Papers of alice: user bob edit\n"}, /* with rename: all three bits are his */
         {"U oc_share id=1 accepted=2", "Papers of alice: bob accepted at /second\n"
                                        "Papers of alice: user bob all-but-change\n"})

SEQUENCE(/* S19 */
         a_download_is_denied_until_another_row_allows_it_by_name,
         {"I oc_share id=1 share_with='bob' file_source=44 permissions=17 "
          "attributes='[[\"permissions\",\"download\",false]]'",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: user bob look\n"},
         {"I oc_share id=2 share_with='bob' file_source=44 permissions=17",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: user bob look\n"},
         {"U oc_share id=2 attributes='[[\"permissions\",\"download\",true]]'",
          "Papers of alice: bob accepted at /x\n"
          "Papers of alice: user bob read\n"},
         {"U oc_share id=2 accepted=2", "Papers of alice: bob accepted at /x\n"
                                        "Papers of alice: user bob look\n"},
         {"U oc_share id=1 attributes=NULL", "Papers of alice: bob accepted at /x\n"
                                             "Papers of alice: user bob read\n"})

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(a_share_with_a_user_is_made_changed_and_taken_back),
        FLOW_TEST(a_file_never_gets_create_and_delete),
        FLOW_TEST(a_pending_share_is_accepted),
        FLOW_TEST(a_recipient_declines_and_accepts_again_under_another_name),
        FLOW_TEST(an_old_server_deletes_what_is_declined),
        FLOW_TEST(a_member_renames_and_declines_a_group_share),
        FLOW_TEST(a_members_row_without_permissions_means_declined),
        FLOW_TEST(a_group_share_with_auto_accept_off_is_accepted_and_declined_one_by_one),
        FLOW_TEST(a_member_with_auto_accept_off_has_a_row_of_his_own_at_once),
        FLOW_TEST(a_change_of_a_group_share_reaches_the_members_rows_later),
        FLOW_TEST(a_group_share_is_taken_back),
        FLOW_TEST(a_group_is_deleted),
        FLOW_TEST(a_member_leaves_and_comes_back),
        FLOW_TEST(a_reshare_outlives_the_share_it_came_from),
        FLOW_TEST(a_link_of_a_recipient_goes_with_what_he_received),
        FLOW_TEST(a_link_changes_its_form),
        FLOW_TEST(a_share_sleeps_while_its_folder_is_in_the_trash),
        FLOW_TEST(the_rows_of_a_purged_folder_are_orphans_until_the_job_comes),
        FLOW_TEST(a_share_of_a_file_that_is_gone_waits_and_ends_with_its_row),
        FLOW_TEST(a_second_share_of_one_name_gets_its_number_later),
        FLOW_TEST(a_mount_point_moves_with_its_folder_and_is_declined_with_it),
        FLOW_TEST(a_shared_file_moves_into_a_folder_of_another_owner),
        FLOW_TEST(a_transfer_of_ownership_keeps_the_shares),
        FLOW_TEST(the_shares_of_a_deleted_user_go_last),
        FLOW_TEST(a_guest_waits_for_his_account),
        FLOW_TEST(rows_of_one_recipient_are_one_share_with_what_all_give),
        FLOW_TEST(a_download_is_denied_until_another_row_allows_it_by_name),
    };

    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
