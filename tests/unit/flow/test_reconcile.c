/* A target that is otherwise than the ledger believes: looked at, and brought into step. */
#include "apply/intake/replay.h"
#include "apply/plan/reconcile.h"
#include "tests/unit/flow/flow.h"

#define KEY LS_STR("0123456789abcdef0123456789abcdef")

static const struct ap_replay_guard guard = {
    .key = {"0123456789abcdef0123456789abcdef", 32}, .prefix = {"p", 1}, .max_ahead_s = 300};

static void
again(struct flow *f, const char *topic, const char *key, bool reconcile)
{
    static int64_t offset;
    struct ls_replay r = {.topic = ls_str_of(topic),
                          .key = ls_str_of(key),
                          .value = LS_STR(""),
                          .reconcile = reconcile,
                          .run = LS_STR("a run"),
                          .n = offset + 1,
                          .time_us = ls_now_us()};
    struct ls_replay_signed s;
    struct ls_message m = {.topic = "p.replay", .offset = offset++, .key = r.key, .value = r.value};
    struct ls_err err = {0};

    assert_int_equal(ls_replay_sign(KEY, guard.prefix, &r, &s, &err), 0);
    memcpy(m.headers, s.headers, s.n * sizeof(*s.headers));
    m.n_headers = s.n;
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    assert_int_equal(ap_take_replay(f->core, &guard, &m, f->arena, &err), 0);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
}

static int64_t
number(struct flow *f, const char *sql)
{
    return ap_number(f->ledger, 0, sql, NULL);
}

/* Every entity, as a replay of all topics names them; children before their parents. */
static void
everything(struct flow *f)
{
    char key[64];

    for (int64_t id = 100; id > 0; id--)
        if (ap_number(f->ledger, 0, "SELECT 1 FROM desired WHERE fileid = ?", "i", id) == 1) {
            snprintf(key, sizeof(key), "%d", (int)id);
            again(f, "cs3.resource", key, true);
        }
    for (int64_t id = 1; id < 100; id++)
        if (ap_number(f->ledger, 0, "SELECT 1 FROM share WHERE id = ?", "i", id) == 1) {
            snprintf(key, sizeof(key), "%d", (int)id);
            again(f, "cs3.share", key, true);
        }
    for (int i = 1; i <= 4; i++) {
        snprintf(key, sizeof(key), "%d", i);
        again(f, "cs3.space", key, true);
    }
    again(f, "cs3.person", "u:alice", true);
    again(f, "cs3.person", "u:bob", true);
    again(f, "cs3.person", "g:staff", true);
    again(f, "cs3.person", "m:staff/bob", true);
    again(f, "cs3.person", "m:staff/carol", true);
    flow_settle(f);
    assert_int_equal(ap_reconcile_open(f->ledger), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM work WHERE state <> 1"), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE fileid = 0"), 0);
}

static int
writes(const struct fake_target *t)
{
    return t->moves + t->puts + t->makes + t->trashes + t->purges + t->restores + t->mtimes +
           t->quota_sets + t->groups_removed;
}

/* Papers/Old/deep.txt (52), Papers/note.txt (51), a trashed file (53), shares and a link. */
static void
a_tree(struct flow *f)
{
    flow_row(f, "I oc_filecache fileid=50 parent=44 name='Old' path='files/Papers/Old'");
    flow_row(f, "I oc_filecache fileid=51 parent=44 name='note.txt' path='files/Papers/note.txt'"
                " mimetype=3 size=5");
    flow_row(f, "I oc_filecache fileid=52 parent=50 name='deep.txt'"
                " path='files/Papers/Old/deep.txt' mimetype=3 size=6");
    flow_row(f, "I oc_filecache fileid=53 parent=22 name='bin.txt.d1600000000'"
                " path='files_trashbin/files/bin.txt.d1600000000' mimetype=3 size=7");
    flow_row(f, "I oc_filecache fileid=54 parent=22 name='Gone.d1600000001'"
                " path='files_trashbin/files/Gone.d1600000001'");
    flow_row(f, "I oc_filecache fileid=55 parent=54 name='in.txt'"
                " path='files_trashbin/files/Gone.d1600000001/in.txt' mimetype=3 size=8");
    flow_row(f, "I oc_share id=7 share_with='bob' file_source=44");
    flow_row(f, "I oc_share id=8 share_type=1 share_with='staff' file_source=46");
    flow_row(f, "I oc_share id=9 share_type=3 share_with=NULL file_source=51 token='abc'"
                " permissions=1 item_type='file'");
    flow_settle(f);
    assert_true(flow_at(f, "Papers/Old/deep.txt") && flow_trashed(f, "bin.txt") &&
                flow_trashed(f, "Gone"));
}

/* The target's nodes as they were: everything made since is not there. */
struct backup {
    struct fake_node nodes[200];
    int n_nodes;
};

static void
back_up(struct flow *f, struct backup *b)
{
    assert_true(f->target.n_nodes < 200);
    memcpy(b->nodes, f->target.nodes, sizeof(b->nodes));
    b->n_nodes = f->target.n_nodes;
}

static void
restore(struct flow *f, const struct backup *b)
{
    for (int i = 1; i < f->target.n_nodes; i++)
        if (i < b->n_nodes)
            f->target.nodes[i] = b->nodes[i];
        else
            f->target.nodes[i].used = false;
}

static void
on_an_unchanged_target_nothing_is_written(void **state)
{
    struct flow *f = *state;
    int64_t in, looked;
    int before;

    a_tree(f);
    in = ap_counted(f->ledger, "in");
    looked = ap_counted(f->ledger, "looked");
    before = writes(&f->target);
    everything(f);
    assert_int_equal(writes(&f->target), before);
    assert_true(ap_counted(f->ledger, "looked") > looked + 9);
    assert_int_equal(ap_counted(f->ledger, "looked-different"), 0);
    assert_int_equal(ap_counted(f->ledger, "in"), in);
}

static void
without_being_asked_to_nobody_looks(void **state)
{
    struct flow *f = *state;

    a_tree(f);
    again(f, "cs3.resource", "51", false);
    flow_settle(f);
    assert_int_equal(f->target.looks, 0);
}

static void
what_was_deleted_at_the_target_comes_out_of_its_trash(void **state)
{
    struct flow *f = *state;
    int old, puts;

    a_tree(f);
    puts = f->target.puts;
    old = flow_at(f, "Papers");
    f->target.nodes[old].trashed = true;
    f->target.nodes[old].parent = 0;
    everything(f);
    assert_int_equal(flow_at(f, "Papers"), old);
    assert_true(flow_at(f, "Papers/Old/deep.txt") && flow_at(f, "Papers/note.txt"));
    assert_int_equal(f->target.restores, 1);
    assert_int_equal(f->target.puts, puts);
}

static void
what_is_gone_is_made_again_with_all_that_was_in_it(void **state)
{
    struct flow *f = *state;
    int puts, makes;

    a_tree(f);
    puts = f->target.puts;
    makes = f->target.makes;
    f->target.nodes[flow_at(f, "Papers/Old/deep.txt")].used = false;
    f->target.nodes[flow_at(f, "Papers/Old")].used = false;
    again(f, "cs3.resource", "50", true); /* the folder alone is named */
    flow_settle(f);
    assert_true(flow_at(f, "Papers/Old/deep.txt"));
    assert_int_equal(f->target.puts, puts + 1);
    assert_int_equal(f->target.makes, makes + 1);
    assert_int_equal(ap_reconcile_open(f->ledger), 0);
}

static void
kept_content(struct flow *f, int64_t fileid)
{
    assert_int_equal(ap_exec(f->ledger,
                             "INSERT INTO revision(node, mtime, size, sha1, etag)"
                             " SELECT id, 5, 5, '', '' FROM node WHERE fileid = ?",
                             "i", fileid),
                     1);
}

static void
old_contents_are_believed_only_of_what_is_as_it_was(void **state)
{
    struct flow *f = *state;

    a_tree(f);
    for (int64_t id = 51; id <= 53; id++)
        kept_content(f, id);
    f->target.nodes[flow_at(f, "Papers/Old/deep.txt")].used = false;
    snprintf(f->target.nodes[flow_at(f, "Papers/note.txt")].sha1, 41, "%040d", 7);
    everything(f);
    assert_int_equal(number(f, "SELECT count(*) FROM revision r JOIN node n ON n.id = r.node"
                               " WHERE n.fileid = 53 AND r.mtime = 5"),
                     1);
    assert_int_equal(number(f, "SELECT count(*) FROM revision WHERE mtime = 5"), 1);
}

static void
what_was_moved_or_renamed_or_written_at_the_target_is_as_the_source_says(void **state)
{
    struct flow *f = *state;
    int note, old, box, puts;

    a_tree(f);
    puts = f->target.puts;
    note = flow_at(f, "Papers/note.txt");
    old = flow_at(f, "Papers/Old");
    box = flow_at(f, "Box");
    f->target.nodes[note].parent = box;
    snprintf(f->target.nodes[note].name, 20, "other.txt");
    f->target.nodes[flow_at(f, "Papers")].parent = old; /* a ring, as the ledger has them */
    f->target.nodes[old].parent = 0;
    snprintf(f->target.nodes[flow_at(f, "plan.txt")].sha1, 41, "%040d", 7);
    everything(f);
    assert_int_equal(flow_at(f, "Papers/note.txt"), note);
    assert_int_equal(flow_at(f, "Papers/Old"), old);
    assert_true(flow_at(f, "Papers/Old/deep.txt"));
    assert_int_equal(f->target.puts, puts + 1); /* plan.txt */
}

static void
what_lies_in_somebody_elses_folder_is_brought_back_and_that_stays(void **state)
{
    struct flow *f = *state;
    struct ap_space space = {.space_id = "Salice"};
    int mine, note, puts;

    a_tree(f);
    puts = f->target.puts;
    mine = fake_add(&f->target, &space, 0, "Made here", true);
    note = flow_at(f, "Papers/note.txt");
    f->target.nodes[note].parent = mine;
    everything(f);
    assert_int_equal(flow_at(f, "Papers/note.txt"), note);
    assert_int_equal(flow_at(f, "Made here"), mine);
    assert_int_equal(f->target.puts, puts);
}

static void
a_target_of_yesterday_is_brought_up_to_date(void **state)
{
    static struct backup yesterday;
    struct flow *f = *state;

    a_tree(f);
    back_up(f, &yesterday);
    /* today: moved into a new folder, overwritten, deleted, purged, a folder purged after what was
     * in it moved out, another user got a file */
    flow_row(f, "I oc_filecache fileid=60 parent=11 name='New' path='files/New'");
    flow_row(f, "U oc_filecache fileid=52 parent=60 path='files/New/deep.txt'");
    flow_settle(f);
    flow_row(f, "U oc_filecache fileid=51 size=6 mtime=1700000009 etag='f'"
                " checksum='SHA1:9999999999999999999999999999999999999999 MD5:0 ADLER32:0'");
    flow_row(f, "U oc_filecache fileid=45 parent=22 name='plan.txt.d1700000010'"
                " path='files_trashbin/files/plan.txt.d1700000010'");
    flow_row(f, "D oc_filecache fileid=53");
    flow_row(f, "D oc_filecache fileid=50");
    flow_row(f, "D oc_filecache fileid=55");
    flow_row(f, "D oc_filecache fileid=54");
    flow_row(f, "U oc_filecache fileid=46 storage=2 parent=12 path='files/Box'");
    flow_settle(f);
    assert_true(flow_at(f, "New/deep.txt") && flow_trashed(f, "plan.txt") &&
                !flow_trashed(f, "bin.txt") && !flow_at(f, "Papers/Old") && !flow_at(f, "Box"));
    restore(f, &yesterday);
    assert_true(flow_at(f, "Papers/Old/deep.txt") && flow_trashed(f, "bin.txt") &&
                flow_at(f, "Box"));
    everything(f);
    assert_true(flow_at(f, "New/deep.txt") && flow_trashed(f, "plan.txt"));
    assert_int_equal(flow_at(f, "Papers/Old"), 0);
    assert_int_equal(flow_at(f, "Box"), 0);
    assert_int_equal(flow_at(f, "plan.txt"), 0);
    assert_int_equal(flow_trashed(f, "bin.txt"), 0);
    assert_int_equal(flow_trashed(f, "Gone"), 0);
    assert_int_equal(f->target.nodes[flow_at(f, "Papers/note.txt")].sha1[0], '9');
    assert_int_equal(f->target.nodes[flow_at(f, "New/deep.txt")].used, true);
}

static void
a_space_that_is_gone_is_made_and_filled_again(void **state)
{
    struct flow *f = *state;

    a_tree(f);
    fake_lose(&f->target, "Salice");
    again(f, "cs3.resource", "51", true); /* one file alone: what is wrong is seen from that */
    for (int i = 0; i < 3; i++)           /* its trash comes first, then what waits for that */
        flow_settle(f);
    assert_true(flow_at(f, "Papers/Old/deep.txt") && flow_at(f, "Papers/note.txt") &&
                flow_trashed(f, "bin.txt"));
    assert_int_equal(number(f, "SELECT ready FROM space WHERE storage = 1"), 1);
    assert_int_equal(ap_reconcile_open(f->ledger), 0);
}

static void
a_user_and_a_group_that_are_gone_are_made_again_with_their_shares(void **state)
{
    struct flow *f = *state;
    int sets;

    a_tree(f);
    sets = f->target.share_sets;
    fake_lose(&f->target, "Ubob");
    fake_lose(&f->target, "Gstaff");
    again(f, "cs3.person", "u:bob", true);
    again(f, "cs3.person", "g:staff", true);
    flow_settle(f);
    assert_int_equal(number(f, "SELECT count(*) FROM person WHERE target IS NULL AND deleted = 0"
                               " AND type < 2"),
                     0);
    assert_int_equal(number(f, "SELECT count(*) FROM person WHERE type = 2 AND applied = 1"), 2);
    assert_true(f->target.share_sets >= sets + 2);
    assert_int_equal(ap_reconcile_open(f->ledger), 0);
}

static void
members_who_are_somewhere_else_are_put_right(void **state)
{
    struct flow *f = *state;

    a_tree(f);
    fake_fact(&f->target, "member Gstaff Ubob")->on = false;
    fake_fact(&f->target, "user Ucarol")->on = false;
    again(f, "cs3.person", "m:staff/bob", true);
    again(f, "cs3.person", "u:carol", true);
    flow_settle(f);
    assert_true(fake_fact(&f->target, "member Gstaff Ubob")->on);
    assert_true(fake_fact(&f->target, "user Ucarol")->on);
}

static void
a_share_that_is_gone_is_made_and_one_that_is_back_is_removed_by_its_id(void **state)
{
    struct flow *f = *state;
    int mine;

    a_tree(f);
    f->target.shares[0].used = false; /* bob's */
    again(f, "cs3.share", "7", true);
    flow_is(f, "made again",
            "Box of alice: bob accepted at /x\nBox of alice: carol accepted at /x\n"
            "Box of alice: group staff edit\nPapers of alice: bob accepted at /x\n"
            "Papers of alice: user bob edit\nPapers/note.txt of alice: link read\n");
    flow_row(f, "D oc_share id=8");
    flow_row(f, "D oc_share id=9");
    flow_settle(f);
    for (int i = 0; i < f->target.n_shares; i++)
        f->target.shares[i].used = true; /* of a backup */
    mine = fake_share_add(&f->target, "n1", false, false, "Udave");
    again(f, "cs3.share", "8", true);
    again(f, "cs3.share", "9", true);
    flow_settle(f);
    for (int i = 0; i < f->target.n_shares; i++)
        if (f->target.shares[i].used && (f->target.shares[i].link || f->target.shares[i].group))
            fail_msg("share %d is still there", i);
    assert_true(f->target.shares[mine].used);
}

static void
a_share_whose_file_lies_in_the_trash_holds_up_no_look(void **state)
{
    struct flow *f = *state;

    a_tree(f);
    flow_row(f, "U oc_filecache fileid=44 parent=22 name='Papers.d1700000010'"
                " path='files_trashbin/files/Papers.d1700000010'");
    flow_row(f, "I oc_share id=10 share_with='carol' file_source=44");
    flow_settle(f);
    again(f, "cs3.share", "7", true);
    again(f, "cs3.share", "10", true);
    flow_settle(f);
    assert_int_equal(ap_reconcile_open(f->ledger), 0);
}

static void
trouble_is_not_absence(void **state)
{
    struct flow *f = *state;
    int before;

    a_tree(f);
    before = writes(&f->target);
    f->target.busy = 300;
    f->target.down = 100;
    f->target.lost_answers = f->target.lost_calls = 200;
    srandom(7);
    everything(f);
    assert_int_equal(writes(&f->target), before);
    assert_int_equal(ap_counted(f->ledger, "looked-different"), 0);
}

static void
a_look_that_a_crash_cut_off_is_made_again(void **state)
{
    struct flow *f = *state;
    struct ls_err err = {0};

    a_tree(f);
    again(f, "cs3.resource", "51", true);
    f->target.nodes[flow_at(f, "Papers/note.txt")].used = false;
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_plan(f->core);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM work WHERE state = 2"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM op"), 0);
    while (f->core->n_jobs > 0)
        ap_job_forget(f->core, f->core->jobs[0]);
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_recover(f->core);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    flow_settle(f);
    assert_true(flow_at(f, "Papers/note.txt"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(on_an_unchanged_target_nothing_is_written),
        FLOW_TEST(without_being_asked_to_nobody_looks),
        FLOW_TEST(what_was_deleted_at_the_target_comes_out_of_its_trash),
        FLOW_TEST(what_is_gone_is_made_again_with_all_that_was_in_it),
        FLOW_TEST(old_contents_are_believed_only_of_what_is_as_it_was),
        FLOW_TEST(what_was_moved_or_renamed_or_written_at_the_target_is_as_the_source_says),
        FLOW_TEST(what_lies_in_somebody_elses_folder_is_brought_back_and_that_stays),
        FLOW_TEST(a_target_of_yesterday_is_brought_up_to_date),
        FLOW_TEST(a_space_that_is_gone_is_made_and_filled_again),
        FLOW_TEST(a_user_and_a_group_that_are_gone_are_made_again_with_their_shares),
        FLOW_TEST(members_who_are_somewhere_else_are_put_right),
        FLOW_TEST(a_share_that_is_gone_is_made_and_one_that_is_back_is_removed_by_its_id),
        FLOW_TEST(a_share_whose_file_lies_in_the_trash_holds_up_no_look),
        FLOW_TEST(trouble_is_not_absence),
        FLOW_TEST(a_look_that_a_crash_cut_off_is_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
