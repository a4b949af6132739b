/*
 * Each action of a user or admin of ownCloud 10 ends in the right state: the rows that it writes,
 * through transform's mapping and apply's core, make of the target what the home folders hold by
 * then. The rows are those of data/actions.rows, and where LOCKSTEP_RECORDINGS is set those that a
 * running ownCloud wrote (actions-*.txt.zst there).
 */
#include "tests/unit/actions/site.h"

#define ACTIONS "tests/unit/actions/data/actions.rows"

/* Runs `each` behind every action; the last one ends with the file. */
static int
play(struct site *s, FILE *f, void (*each)(struct site *s, const char *action))
{
    char *line = NULL, action[200] = "";
    size_t room = 0;
    int actions = 0;

    while (getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "=== ", 4) != 0) {
            site_line(s, line);
            continue;
        }
        if (action[0] && each)
            each(s, action);
        actions++;
        snprintf(action, sizeof(action), "%s", line + 4);
    }
    if (action[0] && each)
        each(s, action);
    free(line);
    return actions;
}

static FILE *
actions_open(void)
{
    FILE *f = fopen(ACTIONS, "r");

    assert_non_null(f); /* tests run in the repository's root */
    return f;
}

/* A snapshot of what is in step already. */
static void
assert_snapshot_is_silent(struct site *s)
{
    int calls = s->target.calls;

    sr_snapshot(&s->src);
    site_settle(s, "a snapshot of the same state");
    assert_int_equal(s->target.calls, calls);
}

static void
every_action_ends_in_the_right_state(void **state)
{
    struct site *s = *state;
    FILE *f = actions_open();

    assert_true(play(s, f, site_settle) > 50);
    fclose(f);
    assert_int_equal(s->src.passed_over, 1); /* the fileid that is deleted twice */
    assert_int_equal(ap_counted(s->ledger, "left:favorite"), 3);
    assert_int_equal(ap_counted(s->ledger, "left:tag"), 3);
    assert_int_equal(ap_counted(s->ledger, "left:property"), 1);
    assert_int_equal(s->n_dead, 0);
    assert_snapshot_is_silent(s);
}

/* Nothing is in step before all is there: partitions in any order, actions folded into one. */
static void
all_actions_at_once_end_in_the_right_state(void **state)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct site *s = *state;
        FILE *f = actions_open();

        srandom(seed);
        play(s, f, NULL);
        fclose(f);
        while (seed > 1 && !site_given_all(s))
            site_round(s, (int)seed * 4, (int)seed);
        site_settle(s, "all");
        site_teardown(state);
        site_setup(state);
    }
}

static void
a_first_copy_of_what_all_actions_leave_is_right(void **state)
{
    struct site *s = *state;
    FILE *f = actions_open();

    play(s, f, NULL);
    fclose(f);
    /* Somebody who reads from here on: only the snapshot. */
    site_close_target(s);
    s->n_records = 0;
    site_open_target(s);
    sr_snapshot(&s->src);
    site_settle(s, "a first copy");
    assert_snapshot_is_silent(s);
}

/* ---- single things */

static void
lines(struct site *s, const char *const *line)
{
    for (; *line; line++)
        site_line(s, *line);
}

static const char *const home_of_ann[] = {
    "I oc_storages id='home::ann' numeric_id=5",
    "I oc_filecache fileid=7 storage=5 path='' parent=-1 name='' mimetype=2 size=0 mtime=1",
    "I oc_filecache fileid=9 storage=5 path='files' parent=7 name='files' mimetype=2 size=0 "
    "mtime=1",
    "I oc_filecache fileid=11 storage=5 path='files/D' parent=9 name='D' mimetype=2 size=0 mtime=1",
    "I oc_filecache fileid=50 storage=5 path='files/a' parent=9 name='a' mimetype=4 size=1 mtime=2"
    " etag='50' checksum='SHA1:5050505050505050505050505050505050505050'",
    NULL};

static int64_t
node_of(struct site *s, int64_t fileid)
{
    return ap_number(s->ledger, 0, "SELECT id FROM node WHERE fileid = ? AND leftover = 0", "i",
                     fileid);
}

static void
a_fileid_that_comes_back_for_another_file_is_a_new_file(void **state)
{
    static const char *const again[] = {
        "D oc_filecache fileid=50 path='files/a'",
        "I oc_filecache fileid=50 storage=5 path='files/D/b' parent=11 name='b' mimetype=4 size=2"
        " mtime=3 etag='50b' checksum='SHA1:5151515151515151515151515151515151515151'",
        NULL};
    struct site *s = *state;
    int64_t node;

    lines(s, home_of_ann);
    site_settle(s, "a home");
    node = node_of(s, 50);
    lines(s, again);
    site_round(s, 1000, 0); /* both before the first look */
    assert_true(site_given_all(s));
    site_settle(s, "the fileid comes back");
    assert_true(node_of(s, 50) != 0 && node_of(s, 50) != node);
    assert_int_equal(s->target.moves, 0);
    assert_int_equal(s->target.puts, 2);
    assert_int_equal(s->target.purges, 1);
}

static void
a_row_that_is_written_again_as_it_was_is_the_same_file(void **state)
{
    static const char *const again[] = {"D oc_filecache fileid=50 path='files/a'", home_of_ann[4],
                                        NULL};
    struct site *s = *state;
    int calls;

    lines(s, home_of_ann);
    site_settle(s, "a home");
    calls = s->target.calls;
    lines(s, again);
    site_round(s, 1000, 0);
    assert_true(site_given_all(s));
    site_settle(s, "REPLACE INTO oc_filecache");
    assert_int_equal(s->target.calls, calls);
}

static void
brackets(struct site *s, enum ls_op op, enum ls_table_id table, struct ls_seq begin)
{
    struct ls_envelope *e = sr_envelope(&s->src, &ls_tables[table], op);

    e->begin = begin;
    s->src.send(s->src.arg, e);
}

/* transform may be far ahead with the smaller table. */
static void
the_end_of_the_trash_entries_says_nothing_of_files(void **state)
{
    struct site *s = *state;
    struct ls_seq begin;
    int calls;

    lines(s, home_of_ann);
    site_settle(s, "a home");
    calls = s->target.calls;
    begin = (struct ls_seq){1, ++s->src.counter, 0};
    brackets(s, LS_OP_BEGIN, LS_T_FILECACHE, (struct ls_seq){0});
    brackets(s, LS_OP_BEGIN, LS_T_FILES_TRASH, (struct ls_seq){0});
    s->src.counter++;
    brackets(s, LS_OP_END, LS_T_FILES_TRASH, begin);
    site_settle(s, "the end of oc_files_trash");
    assert_int_equal(s->target.calls, calls);
    assert_int_equal(ap_number(s->ledger, -1, "SELECT count(*) FROM desired WHERE deleted", NULL),
                     0);
    brackets(s, LS_OP_END, LS_T_FILECACHE, begin); /* without a row between: all is gone */
    site_round(s, 1000, 0);
    assert_int_equal(ap_number(s->ledger, -1, "SELECT count(*) FROM desired WHERE deleted", NULL),
                     4);
}

static void
what_was_in_the_trash_is_made_only_when_it_is_known_where_it_lay(void **state)
{
    static const char *const trash[] = {
        "I oc_filecache fileid=26 storage=5 path='files_trashbin' parent=7 name='files_trashbin'"
        " mimetype=2 size=0 mtime=1",
        "I oc_filecache fileid=27 storage=5 path='files_trashbin/files' parent=26 name='files'"
        " mimetype=2 size=0 mtime=1",
        "I oc_filecache fileid=60 storage=5 path='files_trashbin/files/t.d17' parent=27 "
        "name='t.d17'"
        " mimetype=4 size=1 mtime=2 etag='60' checksum=''",
        "I oc_files_trash auto_id=1 id='t' user='ann' timestamp='17' location='D'", NULL};
    struct site *s = *state;
    struct ls_seq begin;

    lines(s, home_of_ann);
    lines(s, trash);
    /* A first copy; the entries come last. */
    site_close_target(s);
    s->n_records = 0;
    site_open_target(s);
    begin = (struct ls_seq){1, ++s->src.counter, 0};
    brackets(s, LS_OP_BEGIN, LS_T_FILECACHE, (struct ls_seq){0});
    brackets(s, LS_OP_BEGIN, LS_T_FILES_TRASH, (struct ls_seq){0});
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < s->src.n_rows; i++) {
            struct ls_envelope *e;

            if ((s->src.rows[i]->table->id == LS_T_FILES_TRASH) != (round == 1))
                continue;
            s->src.counter++;
            e = sr_envelope(&s->src, s->src.rows[i]->table, LS_OP_READ);
            e->has_after = true;
            memcpy(e->after, s->src.rows[i]->v, sizeof(e->after));
            s->src.send(s->src.arg, e);
        }
        s->src.counter++;
        brackets(s, LS_OP_END, round ? LS_T_FILES_TRASH : LS_T_FILECACHE, begin);
        if (round == 0) {
            for (int i = 0; i < 50; i++)
                site_round(s, 100, 100);
            assert_true(site_given_all(s));
            assert_int_equal(s->target.makes + s->target.puts, 0);
        }
    }
    site_settle(s, "the entries");
    /* made in D, and there it was when it was deleted */
    assert_int_equal(s->target.trashes, 1);
    assert_string_equal(s->target.trashed_in, "D");
}

static void
what_lies_in_a_project_space_is_left_by_name_and_never_in_a_home(void **state)
{
    static const char *const project[] = {
        "I oc_storages id='smb::fs@host//m/' numeric_id=8",
        "I oc_filecache fileid=70 storage=8 path='' parent=-1 name='' mimetype=2 size=0 mtime=1",
        "I oc_filecache fileid=71 storage=8 path='files' parent=70 name='files' mimetype=2 size=0"
        " mtime=1",
        "I oc_filecache fileid=72 storage=8 path='files/x' parent=71 name='x' mimetype=4 size=1"
        " mtime=1 etag='72' checksum=''",
        NULL};
    static const char *const move[] = {
        "U oc_filecache fileid=50 | storage: 5 -> 8; path: 'files/a' -> 'files/a'; parent: 9 -> 71",
        NULL};
    struct site *s = *state;
    struct ls_err err = {0};

    assert_int_equal(tf_projects_new(NULL, &s->projects, &err), 0);
    assert_int_equal(tf_projects_add(s->projects, "Marketing", "ann", "smb::*"), 0);
    tf_known_set_projects(s->known, s->projects);
    lines(s, home_of_ann);
    lines(s, project);
    site_settle(s, "a project space");
    assert_int_equal(ap_counted(s->ledger, "left:project"), 2);
    assert_int_equal(s->target.makes + s->target.puts, 2); /* ann's D and a */
    lines(s, move);
    site_settle(s, "a file moves there");
    assert_int_equal(ap_counted(s->ledger, "left:project"), 3);
}

/* ---- recordings */

static void
recorded(struct site *s, const char *name, int at_least)
{
    const char *folder = getenv("LOCKSTEP_RECORDINGS");
    char command[1000];
    FILE *f;
    int actions;

    if (!folder) {
        print_message("LOCKSTEP_RECORDINGS names no folder with recordings\n");
        skip();
    }
    snprintf(command, sizeof(command), "zstd -dqc '%s/%s'", folder, name);
    f = popen(command, "r");
    assert_non_null(f);
    actions = play(s, f, site_settle);
    assert_int_equal(pclose(f), 0);
    assert_true(actions >= at_least);
    assert_true(s->src.counter > s->src.passed_over);
    assert_snapshot_is_silent(s);
}

static void
every_recorded_action_of_10_16_ends_in_the_right_state(void **state)
{
    struct site *s = *state;

    recorded(s, "actions-10.16.txt.zst", 100);
    /* A17, A18, P5 to P7, and what is left of them once more in the snapshot: a favourite, a
     * property, a tag that everybody sees */
    assert_int_equal(ap_counted(s->ledger, "left:favorite"), 3 + 1);
    assert_int_equal(ap_counted(s->ledger, "left:property"), 1 + 1);
    assert_int_equal(ap_counted(s->ledger, "left:tag"), 3 + 1);
}

static void
every_recorded_action_of_10_5_ends_in_the_right_state(void **state)
{
    recorded(*state, "actions-10.5.txt.zst", 5);
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(every_action_ends_in_the_right_state),
        SITE_TEST(all_actions_at_once_end_in_the_right_state),
        SITE_TEST(a_first_copy_of_what_all_actions_leave_is_right),
        SITE_TEST(a_fileid_that_comes_back_for_another_file_is_a_new_file),
        SITE_TEST(a_row_that_is_written_again_as_it_was_is_the_same_file),
        SITE_TEST(the_end_of_the_trash_entries_says_nothing_of_files),
        SITE_TEST(what_was_in_the_trash_is_made_only_when_it_is_known_where_it_lay),
        SITE_TEST(what_lies_in_a_project_space_is_left_by_name_and_never_in_a_home),
        SITE_TEST(every_recorded_action_of_10_16_ends_in_the_right_state),
        SITE_TEST(every_recorded_action_of_10_5_ends_in_the_right_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
