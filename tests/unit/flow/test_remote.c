/* Shares with other servers and trusted servers: taken in, left by name, never a share here. */
#include "tests/unit/flow/flow.h"

static int64_t
counted(struct flow *f, const char *name)
{
    return ap_counted(f->ledger, name);
}

static int64_t
remote_rows(struct flow *f, enum cs3_share_type type)
{
    return ap_number(f->ledger, 0,
                     "SELECT count(*) FROM remote_share WHERE type = ? AND deleted = 0", "i",
                     (int64_t)type);
}

static void
what_is_with_other_servers_is_left_by_name_and_makes_no_call(void **state)
{
    struct flow *f = *state;
    int calls = f->target.calls;

    flow_row(f, "I oc_share id=7 share_type=6 share_with='zoe@far.example' file_source=44"
                " file_target=''");
    flow_row(f, "I oc_share id=8 share_type=7 share_with='staff@far.example' file_source=44");
    flow_row(f, "I oc_share_external id=7 user='bob'");
    flow_row(f, "U oc_share_external id=7 accepted=1 mountpoint='/Far'");
    flow_row(f, "I oc_trusted_servers id=7 url='https://far.example'");
    flow_is(f, "other servers", "");
    assert_int_equal(f->target.calls, calls);
    assert_int_equal(counted(f, "left:federated-out"), 2);
    assert_int_equal(counted(f, "left:federated-in"), 2);
    assert_int_equal(counted(f, "left:trusted-server"), 1);
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 2);
    assert_int_equal(remote_rows(f, CS3_SHARE_RECEIVED), 1);
    flow_row(f, "D oc_share_external id=7");
    flow_row(f, "D oc_trusted_servers id=7");
    flow_is(f, "they are gone", "");
    assert_int_equal(remote_rows(f, CS3_SHARE_RECEIVED), 0);
    assert_int_equal(remote_rows(f, CS3_SHARE_TRUSTED), 0);
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 2);
}

static void
a_federated_share_that_is_refused_at_once_leaves_nothing(void **state)
{
    struct flow *f = *state;

    flow_row(f, "I oc_share id=7 share_type=6 share_with='zoe@far.example' file_source=44"
                " file_target=''");
    flow_row(f, "D oc_share id=7");
    flow_is(f, "refused", "");
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 0);
    assert_int_equal(counted(f, "left:federated-out"), 2);
}

/* What bob received and shares on: a token of his own until the other server has answered. */
static void
a_share_that_is_shared_on_with_another_server_is_one_share(void **state)
{
    struct flow *f = *state;

    flow_row(f, "I oc_share id=7 share_type=6 share_with='zoe@far.example' uid_owner='bob'"
                " uid_initiator='bob' file_source=44 file_target='' token='tmp_token_1700000000'");
    flow_row(f, "U oc_share id=7 token='abc' uid_owner='ann@other.example'");
    flow_is(f, "shared on", "");
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 1);
    assert_int_equal(counted(f, "left:federated-out"), 2);
    flow_row(f, "D oc_share id=7");
    flow_is(f, "taken back", "");
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 0);
}

static void
a_number_that_changes_its_kind_is_the_newer_one(void **state)
{
    struct flow *f = *state;

    flow_row(f, "I oc_share id=7 share_with='bob' file_source=44 permissions=1");
    flow_is(f, "here",
            "Papers of alice: bob accepted at /x\n"
            "Papers of alice: user bob read\n");
    flow_row(f, "U oc_share id=7 share_type=6 share_with='zoe@far.example'");
    flow_is(f, "there", "");
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 1);
    flow_row(f, "U oc_share id=7 share_type=0 share_with='carol'");
    flow_is(f, "here again",
            "Papers of alice: carol accepted at /x\n"
            "Papers of alice: user carol read\n");
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 0);
}

static void
an_older_record_of_another_kind_changes_nothing(void **state)
{
    struct flow *f = *state;
    struct ap_origin at = {.topic = "cs3.share"};
    struct cs3_share late = {.head = {.kind = CS3_UPSERT, .seq = {1, 1, 0}},
                             .id = 7,
                             .type = CS3_SHARE_FEDERATED,
                             .fileid = 44};
    struct ls_err err = {0};
    int64_t superseded;

    flow_row(f, "I oc_share id=7 share_with='bob' file_source=44 permissions=1");
    flow_row(f, "I oc_share id=8 share_type=6 share_with='zoe@far.example' file_source=44");
    flow_is(f, "both",
            "Papers of alice: bob accepted at /x\n"
            "Papers of alice: user bob read\n");
    superseded = counted(f, "superseded");
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_take_share(f->core, &at, &late);
    late.id = 8;
    late.type = CS3_SHARE_USER;
    late.grantee = LS_STR("bob");
    ap_take_share(f->core, &at, &late);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    flow_is(f, "the same",
            "Papers of alice: bob accepted at /x\n"
            "Papers of alice: user bob read\n");
    assert_int_equal(counted(f, "superseded"), superseded + 2);
}

static void
a_snapshot_of_one_of_the_three_tables_sweeps_that_one_alone(void **state)
{
    static const char here[] = "Papers of alice: bob accepted at /x\n"
                               "Papers of alice: user bob read\n";
    struct flow *f = *state;
    struct ls_seq begin;

    flow_row(f, "I oc_share id=7 share_with='bob' file_source=44 permissions=1");
    flow_row(f, "I oc_share id=8 share_type=6 share_with='zoe@far.example' file_source=44");
    flow_row(f, "I oc_share_external id=1 user='bob'");
    flow_row(f, "I oc_share_external id=2 user='carol'");
    flow_row(f, "I oc_trusted_servers id=1 url='https://far.example'");
    begin = flow_bracket(f, LS_T_SHARE_EXTERNAL, LS_OP_BEGIN, (struct ls_seq){0});
    flow_row(f, "R oc_share_external id=2 user='carol'");
    flow_bracket(f, LS_T_SHARE_EXTERNAL, LS_OP_END, begin);
    flow_is(f, "received ones swept", here);
    assert_int_equal(remote_rows(f, CS3_SHARE_RECEIVED), 1);
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 1);
    assert_int_equal(remote_rows(f, CS3_SHARE_TRUSTED), 1);
    begin = flow_bracket(f, LS_T_TRUSTED_SERVERS, LS_OP_BEGIN, (struct ls_seq){0});
    flow_bracket(f, LS_T_TRUSTED_SERVERS, LS_OP_END, begin);
    flow_is(f, "trusted servers swept", here);
    assert_int_equal(remote_rows(f, CS3_SHARE_TRUSTED), 0);
    assert_int_equal(remote_rows(f, CS3_SHARE_RECEIVED), 1);
    begin = flow_bracket(f, LS_T_SHARE, LS_OP_BEGIN, (struct ls_seq){0});
    flow_bracket(f, LS_T_SHARE, LS_OP_END, begin);
    flow_is(f, "shares swept", "");
    assert_int_equal(remote_rows(f, CS3_SHARE_FEDERATED), 0);
    assert_int_equal(remote_rows(f, CS3_SHARE_RECEIVED), 1);
    assert_int_equal(counted(f, "swept"), 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(what_is_with_other_servers_is_left_by_name_and_makes_no_call),
        FLOW_TEST(a_federated_share_that_is_refused_at_once_leaves_nothing),
        FLOW_TEST(a_share_that_is_shared_on_with_another_server_is_one_share),
        FLOW_TEST(a_number_that_changes_its_kind_is_the_newer_one),
        FLOW_TEST(an_older_record_of_another_kind_changes_nothing),
        FLOW_TEST(a_snapshot_of_one_of_the_three_tables_sweeps_that_one_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
