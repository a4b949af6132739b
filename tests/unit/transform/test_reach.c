/* How far the source was read: what is claimed, and what an abort takes back. */
#include "tests/unit/transform/rows.h"

static void
note(struct site *s, enum ls_table_id table, enum ls_op op, int32_t partition, int64_t us)
{
    struct ls_envelope *e = row(s, table, op);

    e->source_ts_us = us;
    tf_reach_note(s->reach, e, partition);
}

static void
hold_all(struct site *s, int64_t now_us)
{
    for (int32_t p = 0; p < PARTITIONS; p++)
        tf_reach_hold(s->reach, LS_T_FILECACHE, p, true, now_us);
    for (int t = 0; t < LS_T_COUNT; t++) {
        if (t != LS_T_FILECACHE)
            tf_reach_hold(s->reach, (enum ls_table_id)t, 0, true, now_us);
    }
}

static void
beat_all(struct site *s, int64_t us)
{
    for (int32_t p = 0; p < PARTITIONS; p++)
        note(s, LS_T_FILECACHE, LS_OP_HEARTBEAT, p, us);
    for (int t = 0; t < LS_T_COUNT; t++) {
        if (t != LS_T_FILECACHE)
            note(s, (enum ls_table_id)t, LS_OP_HEARTBEAT, 0, us);
    }
}

static void
an_aborted_batch_takes_back_what_it_had_claimed(void **state)
{
    struct site *s = *state;
    bool done;
    int open;
    int64_t rows;

    hold_all(s, 1000);
    assert_int_equal(tf_reach_oldest(s->reach), 1000);
    beat_all(s, 2000);
    assert_int_equal(tf_reach_oldest(s->reach), 1000); /* not committed */
    tf_reach_undo(s->reach);
    tf_reach_keep(s->reach);
    assert_int_equal(tf_reach_oldest(s->reach), 1000);
    beat_all(s, 3000);
    tf_reach_keep(s->reach);
    assert_int_equal(tf_reach_oldest(s->reach), 3000);

    note(s, LS_T_FILECACHE, LS_OP_BEGIN, 0, 4000);
    note(s, LS_T_FILECACHE, LS_OP_READ, 0, 4000);
    tf_reach_undo(s->reach);
    tf_reach_keep(s->reach);
    tf_reach_snapshot(s->reach, &open, &done, &rows);
    assert_int_equal(open, 0);
    assert_false(done);
    assert_int_equal(rows, 0);
}

static void
a_snapshot_is_done_when_no_partition_is_inside_it(void **state)
{
    struct site *s = *state;
    bool done;
    int open;
    int64_t rows;

    hold_all(s, 1000);
    for (int32_t p = 0; p < PARTITIONS; p++)
        note(s, LS_T_FILECACHE, LS_OP_BEGIN, p, 2000);
    note(s, LS_T_FILECACHE, LS_OP_READ, 1, 2000);
    note(s, LS_T_FILECACHE, LS_OP_END, 0, 2000);
    tf_reach_keep(s->reach);
    tf_reach_snapshot(s->reach, &open, &done, &rows);
    assert_int_equal(open, PARTITIONS - 1);
    assert_false(done);
    assert_int_equal(rows, 1);
    /* The same end twice, after an abort, counts once. */
    note(s, LS_T_FILECACHE, LS_OP_END, 0, 2000);
    tf_reach_keep(s->reach);
    tf_reach_snapshot(s->reach, &open, &done, &rows);
    assert_int_equal(open, PARTITIONS - 1);
    /* Nor does the end of one storage end its partition. */
    struct ls_envelope *e = row(s, LS_T_FILECACHE, LS_OP_END);
    e->storage = 5;
    tf_reach_note(s->reach, e, 1);
    tf_reach_keep(s->reach);
    tf_reach_snapshot(s->reach, &open, &done, &rows);
    assert_int_equal(open, PARTITIONS - 1);
    for (int32_t p = 1; p < PARTITIONS; p++)
        note(s, LS_T_FILECACHE, LS_OP_END, p, 2000);
    tf_reach_keep(s->reach);
    tf_reach_snapshot(s->reach, &open, &done, &rows);
    assert_int_equal(open, 0);
    assert_true(done);
}

static void
a_bracket_says_nothing_of_how_far_the_source_was_read(void **state)
{
    struct site *s = *state;

    hold_all(s, 1000);
    beat_all(s, 2000);
    for (int32_t p = 0; p < PARTITIONS; p++)
        note(s, LS_T_FILECACHE, LS_OP_BEGIN, p, 9000);
    note(s, LS_T_SHARE, LS_OP_END, 0, 9000);
    note(s, LS_T_STORAGES, LS_OP_HEARTBEAT, 0, 5000);
    note(s, LS_T_ACCOUNTS, LS_OP_HEARTBEAT, 0, 5000);
    note(s, LS_T_FILES_TRASH, LS_OP_HEARTBEAT, 0, 5000);
    note(s, LS_T_GROUPS, LS_OP_HEARTBEAT, 0, 5000);
    note(s, LS_T_GROUP_USER, LS_OP_HEARTBEAT, 0, 5000);
    tf_reach_keep(s->reach);
    assert_int_equal(tf_reach_oldest(s->reach), 2000);
}

/* What the forwarded heartbeat of `table` says when it comes in with `us`. */
static int64_t
forwarded(struct site *s, enum ls_table_id table, int64_t us)
{
    struct ls_envelope *e = row(s, table, LS_OP_HEARTBEAT);
    const struct cs3_head *head; /* the first member of every record */

    e->source_ts_us = us;
    head = record(s, e);
    assert_int_equal(s->sort, TF_HEARTBEAT);
    assert_int_equal(head->kind, CS3_HEARTBEAT);
    tf_reach_note(s->reach, e, table == LS_T_FILECACHE ? s->world.partition : 0);
    return head->source_ts_us;
}

static void
a_heartbeat_claims_no_more_than_was_read_of_the_lesser_tables(void **state)
{
    struct site *s = *state;

    hold_all(s, 1000);
    beat_all(s, 2000);
    note(s, LS_T_GROUPS, LS_OP_HEARTBEAT, 0, 6000);
    assert_int_equal(forwarded(s, LS_T_FILECACHE, 5000), 2000); /* oc_files_trash is behind */
    assert_int_equal(forwarded(s, LS_T_ACCOUNTS, 5000), 2000);  /* oc_group_user is */
    assert_int_equal(forwarded(s, LS_T_SHARE, 5000), 2000);     /* those of other servers are */
    note(s, LS_T_SHARE_EXTERNAL, LS_OP_HEARTBEAT, 0, 6000);
    note(s, LS_T_TRUSTED_SERVERS, LS_OP_HEARTBEAT, 0, 6000);
    assert_int_equal(forwarded(s, LS_T_SHARE, 5000), 5000);
    assert_int_equal(forwarded(s, LS_T_STORAGES, 5000), 5000);
    assert_int_equal(forwarded(s, LS_T_VCATEGORY, 5000), 2000); /* all others are */
    note(s, LS_T_FILES_TRASH, LS_OP_HEARTBEAT, 0, 4000);
    note(s, LS_T_GROUP_USER, LS_OP_CREATE, 0, 7000);
    note(s, LS_T_USERS, LS_OP_CREATE, 0, 7000);
    note(s, LS_T_LDAP_USER_MAPPING, LS_OP_HEARTBEAT, 0, 6000);
    assert_int_equal(forwarded(s, LS_T_ACCOUNTS, 5001), 2000);
    note(s, LS_T_LDAP_GROUP_MAPPING, LS_OP_HEARTBEAT, 0, 6000);
    note(s, LS_T_PREFERENCES, LS_OP_HEARTBEAT, 0, 6000);
    note(s, LS_T_PROPERTIES, LS_OP_HEARTBEAT, 0, 6000);
    assert_int_equal(forwarded(s, LS_T_VCATEGORY, 5001), 2000);
    note(s, LS_T_VCATEGORY_TO_OBJECT, LS_OP_HEARTBEAT, 0, 4500);
    assert_int_equal(forwarded(s, LS_T_VCATEGORY, 5001), 2000);
    note(s, LS_T_SYSTEMTAG, LS_OP_HEARTBEAT, 0, 6000);
    assert_int_equal(forwarded(s, LS_T_VCATEGORY, 5001), 2000);
    note(s, LS_T_SYSTEMTAG_MAPPING, LS_OP_HEARTBEAT, 0, 6000);
    assert_int_equal(forwarded(s, LS_T_VCATEGORY, 5001), 4500);
    assert_int_equal(forwarded(s, LS_T_FILECACHE, 5001), 4000);
    assert_int_equal(forwarded(s, LS_T_ACCOUNTS, 5001), 5001);
    /* Heartbeats of the lesser tables themselves go nowhere. */
    assert_int_equal(route(s, row(s, LS_T_FILES_TRASH, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 0);
}

static void
behind_a_clock_that_was_set_back_heartbeats_go_back_and_rows_do_not(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_SHARE, LS_OP_HEARTBEAT);

    hold_all(s, 1000);
    beat_all(s, 900000);
    e->source_ts_us = 40000; /* older than what it said, and no older than its clock: sent again */
    e->capture_ts_us = 900001;
    tf_reach_note(s->reach, e, 0);
    tf_reach_keep(s->reach);
    assert_int_equal(tf_reach_oldest(s->reach), 900000);
    e->capture_ts_us = 50000;
    tf_reach_note(s->reach, e, 0);
    note(s, LS_T_SHARE, LS_OP_CREATE, 0, 30000);
    tf_reach_keep(s->reach);
    assert_int_equal(tf_reach_oldest(s->reach), 40000);
}

static void
no_heartbeat_goes_on_before_the_lesser_tables_have_been_heard_of(void **state)
{
    struct site *s = *state;

    hold_all(s, 1000);
    note(s, LS_T_GROUPS, LS_OP_HEARTBEAT, 0, 2000);
    note(s, LS_T_GROUP_USER, LS_OP_CREATE, 0, 2000); /* a row is not enough: more may follow */
    assert_int_equal(route(s, row(s, LS_T_FILECACHE, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 0);
    assert_int_equal(route(s, row(s, LS_T_ACCOUNTS, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 0);
    assert_int_equal(route(s, row(s, LS_T_SHARE, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 0);
    assert_int_equal(forwarded(s, LS_T_STORAGES, 3000), 3000);
    note(s, LS_T_GROUP_USER, LS_OP_HEARTBEAT, 0, 2500);
    assert_int_equal(route(s, row(s, LS_T_ACCOUNTS, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 0);
    note(s, LS_T_USERS, LS_OP_HEARTBEAT, 0, 2500);
    note(s, LS_T_LDAP_USER_MAPPING, LS_OP_HEARTBEAT, 0, 2500);
    note(s, LS_T_LDAP_GROUP_MAPPING, LS_OP_HEARTBEAT, 0, 2500);
    note(s, LS_T_PREFERENCES, LS_OP_HEARTBEAT, 0, 2500);
    assert_int_equal(forwarded(s, LS_T_ACCOUNTS, 3000), 2000);
}

static void
lesser_tables_that_another_instance_holds_do_not_hold_heartbeats_back(void **state)
{
    struct site *s = *state;

    hold_all(s, 1000);
    beat_all(s, 2000);
    tf_reach_hold(s->reach, LS_T_FILES_TRASH, 0, false, 3000);
    assert_int_equal(forwarded(s, LS_T_FILECACHE, 5000), 5000);
    assert_int_equal(tf_reach_oldest(s->reach), 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(an_aborted_batch_takes_back_what_it_had_claimed),
        SITE_TEST(a_snapshot_is_done_when_no_partition_is_inside_it),
        SITE_TEST(a_bracket_says_nothing_of_how_far_the_source_was_read),
        SITE_TEST(a_heartbeat_claims_no_more_than_was_read_of_the_lesser_tables),
        SITE_TEST(behind_a_clock_that_was_set_back_heartbeats_go_back_and_rows_do_not),
        SITE_TEST(no_heartbeat_goes_on_before_the_lesser_tables_have_been_heard_of),
        SITE_TEST(lesser_tables_that_another_instance_holds_do_not_hold_heartbeats_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
