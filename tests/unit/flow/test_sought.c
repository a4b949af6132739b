/* The ledger is lost, and its mirror: a new one is made of what is at the target. */
#include "apply/plan/sought.h"
#include "tests/unit/flow/flow.h"

static int64_t
number(struct flow *f, const char *sql)
{
    return ap_number(f->ledger, 0, sql, NULL);
}

static int
writes(const struct fake_target *t)
{
    return t->moves + t->puts + t->makes + t->trashes + t->purges + t->restores + t->mtimes +
           t->groups_removed;
}

/* Papers/Old/deep.txt (52), Papers/note.txt (51), trash: bin.txt (53) and Gone with in.txt (54,
 * 55), shares and a link. */
static void
a_tree(struct flow *f)
{
    f->target.clock = 1600000100; /* the target's trash is of the source's time */
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
    flow_settle(f);
    assert_true(flow_at(f, "Papers/Old/deep.txt") && flow_trashed(f, "bin.txt") &&
                flow_trashed(f, "Gone"));
}

static void
core_anew(struct flow *f, bool keep)
{
    struct ap_options options = f->core->options;
    struct ls_err err = {0};

    while (f->core->n_jobs > 0)
        ap_job_forget(f->core, f->core->jobs[0]);
    ap_core_free(f->core);
    ap_ledger_close(f->ledger);
    if (!keep)
        unlink(f->path);
    assert_int_equal(ap_ledger_open(f->path, &f->ledger, &err), 0);
    assert_int_equal(ap_core_new(f->ledger, &f->target.writer, NULL, &options, &f->core, &err), 0);
}

/* Nothing is left of the ledger; all records are taken in once more. */
static void
lose(struct flow *f)
{
    struct ls_err err = {0};

    core_anew(f, false);
    for (int i = 0; i < f->n_rows; i++) {
        struct ls_envelope *e = flow_envelope(f, f->rows[i].table, LS_OP_READ);

        e->has_after = true;
        memcpy(e->after, f->rows[i].values, sizeof(e->after));
        flow_give(f, e);
    }
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_sought_begin(f->core);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    assert_false(ap_sought_rests(f->core));
}

static void
found(struct flow *f)
{
    flow_settle(f);
    assert_int_equal(ap_sought_open(f->ledger), 0);
    assert_true(ap_sought_rests(f->core));
}

static int
shares(const struct fake_target *t)
{
    int n = 0;

    for (int i = 0; i < t->n_shares; i++)
        n += t->shares[i].used;
    return n;
}

static void
what_is_equal_is_taken_in_and_nothing_is_written(void **state)
{
    struct flow *f = *state;
    int before, n_shares;

    a_tree(f);
    before = writes(&f->target);
    n_shares = shares(&f->target);
    lose(f);
    found(f);
    assert_int_equal(writes(&f->target), before);
    assert_int_equal(shares(&f->target), n_shares);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE leftover = 0"), 9);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE target = ''"), 1); /* in.txt */
    /* from now on it is a ledger as any other */
    flow_row(f, "U oc_filecache fileid=51 name='other.txt' path='files/Papers/other.txt'");
    flow_row(f, "D oc_filecache fileid=52");
    flow_row(f, "D oc_share id=7");
    flow_settle(f);
    assert_true(flow_at(f, "Papers/other.txt") && !flow_at(f, "Papers/note.txt"));
    assert_int_equal(f->target.moves, 1);
    assert_false(flow_at(f, "Papers/Old/deep.txt"));
    assert_int_equal(shares(&f->target), n_shares - 1);
}

static void
what_comes_out_of_a_trashed_folder_gets_its_ids_there(void **state)
{
    struct flow *f = *state;
    int puts, in;

    a_tree(f);
    puts = f->target.puts;
    lose(f);
    found(f);
    flow_row(f, "U oc_filecache fileid=54 parent=11 name='Gone' path='files/Gone'");
    flow_row(f, "U oc_filecache fileid=55 path='files/Gone/in.txt'");
    found(f);
    in = flow_at(f, "Gone/in.txt");
    assert_true(in != 0);
    assert_int_equal(f->target.puts, puts);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE target = ''"), 0);
    flow_row(f, "U oc_filecache fileid=55 name='out.txt' parent=11 path='files/out.txt'");
    flow_settle(f);
    assert_int_equal(flow_at(f, "out.txt"), in);
}

static void
one_file_alone_comes_out_of_a_trashed_folder(void **state)
{
    struct flow *f = *state;
    int puts;

    a_tree(f);
    puts = f->target.puts;
    lose(f);
    found(f);
    flow_row(f, "U oc_filecache fileid=55 parent=11 name='in.txt' path='files/in.txt'");
    flow_settle(f);
    assert_true(flow_at(f, "in.txt") && flow_trashed(f, "Gone"));
    assert_int_equal(f->target.puts, puts);
    assert_int_equal(f->target.restores, 1);
}

/* Another content of the same name is there: a letter, or written over. */
static void
changed_there(struct flow *f, bool stop)
{
    int note, puts;

    a_tree(f);
    note = flow_at(f, "Papers/note.txt");
    puts = f->target.puts;
    snprintf(f->target.nodes[note].sha1, sizeof(f->target.nodes[note].sha1), "his own");
    f->core->options.drift_stop = stop;
    lose(f);
    found(f);
    assert_int_equal(flow_at(f, "Papers/note.txt"), note);
    assert_int_equal(f->target.puts, puts + !stop);
    assert_int_equal(strcmp(f->target.nodes[note].sha1, "his own") == 0, stop);
    assert_int_equal(number(f, "SELECT count(*) FROM dead WHERE id = 51 AND cause ="
                               " 'changed-at-target'"),
                     stop);
}

static void
another_content_is_a_letter_and_stays(void **state)
{
    changed_there(*state, true);
}

static void
where_the_source_wins_another_content_is_written_over(void **state)
{
    changed_there(*state, false);
}

static void
what_is_missing_is_made_and_what_nobody_wants_stays(void **state)
{
    struct flow *f = *state;
    int own, puts, makes;

    a_tree(f);
    puts = f->target.puts;
    makes = f->target.makes;
    f->target.nodes[flow_at(f, "Papers/Old/deep.txt")].used = false;
    f->target.nodes[flow_at(f, "Papers/Old")].used = false;
    f->target.nodes[flow_trashed(f, "bin.txt")].used = false;
    own = fake_add(&f->target, &(struct ap_space){.space_id = "Salice"}, flow_at(f, "Papers"),
                   "own", false);
    lose(f);
    found(f);
    assert_true(flow_at(f, "Papers/Old/deep.txt") && flow_trashed(f, "bin.txt"));
    assert_int_equal(f->target.puts, puts + 2);
    assert_int_equal(f->target.makes, makes + 1);
    assert_int_equal(flow_at(f, "Papers/own"), own);
}

static void
a_live_file_is_never_taken_for_a_trash_item_of_its_name(void **state)
{
    struct flow *f = *state;
    int live, gone;

    a_tree(f);
    flow_row(f, "I oc_filecache fileid=60 parent=11 name='bin.txt' path='files/bin.txt'"
                " mimetype=3 size=7 checksum='SHA1:0123456789012345678901234567890000000053'");
    flow_settle(f);
    live = flow_at(f, "bin.txt");
    gone = flow_trashed(f, "bin.txt");
    f->target.nodes[gone].used = false; /* somebody purged it there */
    lose(f);
    found(f);
    assert_int_equal(flow_at(f, "bin.txt"), live);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE fileid = 60 AND parent = 0"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE fileid = 53 AND parent = -1"), 1);
}

static void
what_the_source_deleted_while_nobody_applied_is_found_where_it_was(void **state)
{
    struct flow *f = *state;
    int note, puts;

    a_tree(f);
    note = flow_at(f, "Papers/note.txt");
    puts = f->target.puts;
    flow_row(f, "I oc_files_trash auto_id=1 id='note.txt' user='alice' timestamp='1600000050'"
                " location='Papers'");
    flow_row(f, "U oc_filecache fileid=51 parent=22 name='note.txt.d1600000050'"
                " path='files_trashbin/files/note.txt.d1600000050'");
    lose(f);
    found(f);
    assert_true(f->target.nodes[note].used && f->target.nodes[note].trashed);
    assert_int_equal(f->target.puts, puts);
}

static void
of_several_trash_items_of_one_name_each_is_one(void **state)
{
    struct flow *f = *state;
    int before;

    a_tree(f);
    for (int i = 0; i < 3; i++) {
        char line[200];

        snprintf(line, sizeof(line),
                 "I oc_filecache fileid=%d parent=22 name='bin.txt.d160000001%d'"
                 " path='files_trashbin/files/bin.txt.d160000001%d' mimetype=3 size=7",
                 70 + i, i, i);
        flow_row(f, line);
        flow_settle(f);
    }
    before = writes(&f->target);
    lose(f);
    found(f);
    assert_int_equal(writes(&f->target), before);
    assert_int_equal(number(f, "SELECT count(DISTINCT target) FROM node WHERE parent = -1"), 5);
    assert_int_equal(number(f, "SELECT group_concat(substr(target, 2), '') = (SELECT"
                               " group_concat(substr(target, 2), '') FROM (SELECT target FROM node"
                               " WHERE name = 'bin.txt' ORDER BY CAST(substr(target, 2) AS INT)))"
                               " FROM (SELECT target FROM node WHERE name = 'bin.txt'"
                               " ORDER BY fileid)"),
                     1);
}

static void
a_look_that_fails_is_made_again_and_nothing_is_made_twice(void **state)
{
    struct flow *f = *state;
    int before;

    a_tree(f);
    before = writes(&f->target);
    f->target.busy = 200;
    f->target.lost_calls = 200;
    lose(f);
    found(f);
    assert_int_equal(writes(&f->target), before);
}

static void
a_crash_in_the_midst_costs_a_look(void **state)
{
    struct flow *f = *state;
    struct ls_err err = {0};
    int before;

    a_tree(f);
    before = writes(&f->target);
    lose(f);
    for (int round = 0; round < 4; round++) { /* some answers get into the ledger, some do not */
        struct ap_job *job;

        assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
        ap_settle(f->core);
        ap_plan(f->core);
        assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
        ap_send(f->core);
        while ((job = ap_job_next(f->core)) != NULL) {
            ap_job_run(&f->target.writer, job);
            ap_job_back(f->core, job);
        }
    }
    while (ap_answer(f->core))
        ;
    core_anew(f, true);
    assert_true(f->core->seeking);
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_recover(f->core);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    found(f);
    assert_int_equal(writes(&f->target), before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(what_is_equal_is_taken_in_and_nothing_is_written),
        FLOW_TEST(what_comes_out_of_a_trashed_folder_gets_its_ids_there),
        FLOW_TEST(one_file_alone_comes_out_of_a_trashed_folder),
        FLOW_TEST(another_content_is_a_letter_and_stays),
        FLOW_TEST(where_the_source_wins_another_content_is_written_over),
        FLOW_TEST(what_is_missing_is_made_and_what_nobody_wants_stays),
        FLOW_TEST(a_live_file_is_never_taken_for_a_trash_item_of_its_name),
        FLOW_TEST(what_the_source_deleted_while_nobody_applied_is_found_where_it_was),
        FLOW_TEST(of_several_trash_items_of_one_name_each_is_one),
        FLOW_TEST(a_look_that_fails_is_made_again_and_nothing_is_made_twice),
        FLOW_TEST(a_crash_in_the_midst_costs_a_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
