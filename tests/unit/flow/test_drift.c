/*
 * Somebody changes at the target what apply had left there: with apply.drift = stop nothing of it
 * is overwritten, moved or destroyed, and a retried letter lets the source win once.
 */
#include "apply/intake/replay.h"
#include "tests/unit/flow/flow.h"

#define KEY LS_STR("0123456789abcdef0123456789abcdef")

static const struct ap_replay_guard guard = {
    .key = {"0123456789abcdef0123456789abcdef", 32}, .prefix = {"p", 1}, .max_ahead_s = 300};

static int64_t offset; /* of the record that came last */

static void
come(struct flow *f, const char *key, const char *letter)
{
    struct ls_replay r = {.topic = LS_STR("cs3.resource"),
                          .key = ls_str_of(key),
                          .value = LS_STR(""),
                          .letter = ls_str_of(letter),
                          .run = LS_STR("a run"),
                          .n = offset,
                          .time_us = ls_now_us()};
    struct ls_replay_signed s;
    struct ls_message m = {.topic = "p.replay", .offset = offset, .key = r.key, .value = r.value};
    struct ls_err err = {0};

    assert_int_equal(ls_replay_sign(KEY, guard.prefix, &r, &s, &err), 0);
    memcpy(m.headers, s.headers, s.n * sizeof(*s.headers));
    m.n_headers = s.n;
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    assert_int_equal(ap_take_replay(f->core, &guard, &m, f->arena, &err), 0);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    flow_settle(f);
}

/* lockstep replay, or with a letter lockstep dlq retry */
static void
replay(struct flow *f, const char *key, const char *letter)
{
    offset++;
    come(f, key, letter);
}

static void
retry(struct flow *f, const char *key)
{
    replay(f, key, "0/1");
}

static void
give(struct flow *f, const char *line)
{
    flow_row(f, line);
    flow_settle(f);
}

static int64_t
dead(struct flow *f, int64_t fileid, const char *cause)
{
    return ap_number(f->ledger, 0,
                     "SELECT count(*) FROM dead WHERE kind = 1 AND id = ? AND cause = ?", "is",
                     fileid, cause);
}

static int64_t
number(struct flow *f, const char *sql)
{
    return ap_number(f->ledger, 0, sql, NULL);
}

/* The node at the target of a file: 45 plan.txt, 44 Papers, 46 Box. */
static struct fake_node *
node(struct flow *f, int64_t fileid)
{
    struct ap_applied row;

    assert_true(ap_node_of(f->ledger, fileid, &row));
    return &f->target.nodes[fake_index(&f->target, row.target)];
}

static int
index_of(struct flow *f, const struct fake_node *n)
{
    return (int)(n - f->target.nodes);
}

static void
edit(struct fake_node *n, const char *content)
{
    snprintf(n->sha1, sizeof(n->sha1), "%s", content);
    n->size = 77;
    n->mtime = 1800000000;
}

#define NEW_CONTENT                                                                                \
    "U oc_filecache fileid=45 size=12 mtime=1700000100 etag='f'"                                   \
    " checksum='SHA1:9999999999999999999999999999999999999999'"
#define NEW_SHA1 "9999999999999999999999999999999999999999"
#define CHANGED "changed-at-target"
#define MOVED "moved-at-target"
#define DELETED "deleted-at-target"

static void
what_somebody_wrote_is_not_overwritten_until_the_letter_is_retried(void **state)
{
    struct flow *f = *state;

    edit(node(f, 45), "his");
    give(f, NEW_CONTENT);
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_string_equal(node(f, 45)->sha1, "his");
    give(f, "U oc_filecache fileid=45 size=13 etag='g'"
            " checksum='SHA1:8888888888888888888888888888888888888888'");
    assert_int_equal(dead(f, 45, CHANGED), 1); /* a newer row is no word of anybody */
    assert_string_equal(node(f, 45)->sha1, "his");
    retry(f, "45");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_string_equal(node(f, 45)->sha1, "8888888888888888888888888888888888888888");
    edit(node(f, 45), "his again"); /* the word was for one go */
    give(f, NEW_CONTENT);
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_string_equal(node(f, 45)->sha1, "his again");
    assert_int_equal(number(f, "SELECT count(*) FROM allowed"), 0);
}

static void
a_retry_that_a_ledger_made_anew_reads_again_lets_nobody_win(void **state)
{
    struct flow *f = *state;
    struct ls_err err = {0};

    edit(node(f, 45), "his");
    give(f, NEW_CONTENT);
    retry(f, "45");
    assert_string_equal(node(f, 45)->sha1, NEW_SHA1);
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_exec(f->ledger, "UPDATE taken SET again = 0", NULL); /* as it comes from the mirror */
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    edit(node(f, 45), "his again");
    give(f, "U oc_filecache fileid=45 size=13 etag='g'"
            " checksum='SHA1:8888888888888888888888888888888888888888'");
    assert_int_equal(dead(f, 45, CHANGED), 1);
    come(f, "45", "0/1");
    assert_int_equal(ap_counted(f->ledger, "replayed"), 2);
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_string_equal(node(f, 45)->sha1, "his again");
}

static void
a_word_for_the_source_ends_with_its_next_row(void **state)
{
    struct flow *f = *state;
    struct ls_err err = {0};

    edit(node(f, 45), "his");
    give(f, NEW_CONTENT);
    f->target.down = 1000; /* retried, and not done yet */
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_drift_allow(f->core, (struct ap_key){AP_NODE, 45});
    assert_int_equal(number(f, "SELECT count(*) FROM allowed"), 1);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    f->target.down = 0;
    give(f, "U oc_filecache fileid=45 size=13 etag='g'"
            " checksum='SHA1:8888888888888888888888888888888888888888'");
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_string_equal(node(f, 45)->sha1, "his");
}

static void
a_replay_that_is_about_no_letter_lets_nobody_win(void **state)
{
    struct flow *f = *state;

    edit(node(f, 45), "his");
    give(f, NEW_CONTENT);
    replay(f, "45", "");
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_string_equal(node(f, 45)->sha1, "his");
    retry(f, "45");
    assert_string_equal(node(f, 45)->sha1, NEW_SHA1);
}

static void
the_time_of_what_somebody_wrote_stays(void **state)
{
    struct flow *f = *state;

    edit(node(f, 45), "his");
    give(f, "U oc_filecache fileid=45 mtime=1700000200 etag='t'");
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_int_equal(node(f, 45)->mtime, 1800000000);
}

static void
what_somebody_wrote_moves_along_with_the_source(void **state)
{
    struct flow *f = *state;

    edit(node(f, 45), "his");
    give(f, "U oc_filecache fileid=45 parent=46 name='p.txt' path='files/Box/p.txt'");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_string_equal(node(f, 45)->name, "p.txt");
    assert_string_equal(node(f, 45)->sha1, "his");
}

static void
new_content_follows_a_file_that_somebody_renamed(void **state)
{
    struct flow *f = *state;

    snprintf(node(f, 45)->name, sizeof(node(f, 45)->name), "his name");
    give(f, NEW_CONTENT);
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_string_equal(node(f, 45)->sha1, NEW_SHA1);
    assert_string_equal(node(f, 45)->name, "his name");
}

static void
a_name_that_somebody_gave_is_not_taken_back_until_the_letter_is_retried(void **state)
{
    struct flow *f = *state;

    snprintf(node(f, 45)->name, sizeof(node(f, 45)->name), "his name");
    give(f, "U oc_filecache fileid=45 name='mine' path='files/mine'");
    assert_int_equal(dead(f, 45, MOVED), 1);
    assert_string_equal(node(f, 45)->name, "his name");
    retry(f, "45");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_string_equal(node(f, 45)->name, "mine");
}

static void
a_file_that_somebody_changed_or_moved_is_not_deleted(void **state)
{
    struct flow *f = *state;

    edit(node(f, 45), "his");
    give(f, "D oc_filecache fileid=45");
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_int_equal(f->target.trashes + f->target.purges, 0);
    retry(f, "45");
    assert_int_equal(f->target.purges, 1);
    node(f, 44)->parent = index_of(f, node(f, 46));
    give(f, "D oc_filecache fileid=44");
    assert_int_equal(dead(f, 44, MOVED), 1);
    assert_int_equal(f->target.trashes + f->target.purges, 2);
}

static void
a_folder_that_somebody_put_something_into_is_not_deleted(void **state)
{
    struct flow *f = *state;
    struct ap_space space = {.space_id = "", .root_id = ""};
    int box = index_of(f, node(f, 46)), his;

    give(f, "I oc_filecache fileid=60 parent=46 name='a' path='files/Box/a' mimetype=3 size=9");
    give(f, "I oc_filecache fileid=61 parent=46 name='sub' path='files/Box/sub'");
    give(f, "I oc_filecache fileid=62 parent=61 name='b' path='files/Box/sub/b' mimetype=3 size=9");
    snprintf(space.space_id, sizeof(space.space_id), "%s", f->target.nodes[box].space);
    his = fake_add(&f->target, &space, index_of(f, node(f, 61)), "his", false);
    snprintf(f->target.nodes[his].sha1, sizeof(f->target.nodes[his].sha1), "his");
    flow_row(f, "D oc_filecache fileid=62");
    flow_row(f, "D oc_filecache fileid=61");
    flow_row(f, "D oc_filecache fileid=60");
    give(f, "D oc_filecache fileid=46");
    assert_int_equal(number(f, "SELECT count(*) FROM dead WHERE cause = '" CHANGED "'"), 1);
    assert_true(!fake_in_trash(&f->target, his) && f->target.nodes[his].used);
    retry(f, "46");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM work"), 0);
}

static void
a_file_that_somebody_deleted_stays_deleted_until_the_letter_is_retried(void **state)
{
    struct flow *f = *state;
    int plan = index_of(f, node(f, 45));

    f->target.nodes[plan].trashed = true;
    give(f, NEW_CONTENT);
    assert_int_equal(dead(f, 45, DELETED), 1);
    assert_true(f->target.nodes[plan].trashed);
    give(f, "U oc_filecache fileid=45 size=13 etag='g'"
            " checksum='SHA1:8888888888888888888888888888888888888888'");
    assert_int_equal(dead(f, 45, DELETED), 1);
    assert_int_equal(f->target.restores, 0);
    retry(f, "45");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_false(f->target.nodes[plan].trashed);
    assert_string_equal(f->target.nodes[plan].sha1, "8888888888888888888888888888888888888888");
}

static void
a_file_that_both_deleted_is_not_purged(void **state)
{
    struct flow *f = *state;
    int plan = index_of(f, node(f, 45));

    f->target.nodes[plan].trashed = true;
    edit(&f->target.nodes[plan], "his");
    give(f, "D oc_filecache fileid=45");
    assert_int_equal(dead(f, 45, DELETED), 1);
    assert_true(f->target.nodes[plan].used);
    retry(f, "45");
    assert_false(f->target.nodes[plan].used);
}

static void
who_belongs_into_a_folder_that_somebody_deleted_waits_for_its_one_letter(void **state)
{
    struct flow *f = *state;
    int box = index_of(f, node(f, 46));
    char line[200];

    give(f, "I oc_filecache fileid=60 parent=46 name='a' path='files/Box/a' mimetype=3 size=9");
    give(f, "I oc_filecache fileid=61 parent=46 name='sub' path='files/Box/sub'");
    f->target.nodes[box].trashed = true;
    flow_row(f, "U oc_filecache fileid=60 size=13 etag='g'"
                " checksum='SHA1:8888888888888888888888888888888888888888'");
    for (int i = 70; i < 80; i++) {
        snprintf(line, sizeof(line),
                 "I oc_filecache fileid=%d parent=%d name='f%d' path='files/Box/f%d'"
                 " mimetype=3 size=9",
                 i, i < 75 ? 46 : 61, i, i);
        flow_row(f, line);
    }
    flow_settle(f);
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 1);
    assert_int_equal(dead(f, 46, DELETED), 1);
    assert_int_equal(
        number(f, "SELECT count(*) FROM work WHERE trouble = 1 AND cause = '" DELETED "'"), 11);
    assert_int_equal(f->target.restores, 0);
    retry(f, "46");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM work"), 0);
    assert_int_equal(node(f, 79)->parent, index_of(f, node(f, 61)));
    assert_string_equal(node(f, 60)->sha1, "8888888888888888888888888888888888888888");
}

static void
what_somebody_took_out_of_the_trash_changed_and_deleted_again_is_not_purged(void **state)
{
    struct flow *f = *state;
    int plan = index_of(f, node(f, 45));

    give(f, "U oc_filecache fileid=45 parent=22 name='plan.txt.d1700000000'"
            " path='files_trashbin/files/plan.txt.d1700000000'");
    assert_true(f->target.nodes[plan].trashed);
    edit(&f->target.nodes[plan], "his");
    f->target.nodes[plan].deleted_at = ++f->target.clock;
    give(f, "D oc_filecache fileid=45");
    assert_int_equal(dead(f, 45, CHANGED), 1);
    assert_true(f->target.nodes[plan].used);
    retry(f, "45");
    assert_false(f->target.nodes[plan].used);
}

static void
what_somebody_took_out_of_the_trash_is_left_when_the_source_purges(void **state)
{
    struct flow *f = *state;
    int plan = index_of(f, node(f, 45));

    give(f, "U oc_filecache fileid=45 parent=22 name='plan.txt.d1700000000'"
            " path='files_trashbin/files/plan.txt.d1700000000'");
    f->target.nodes[plan].trashed = false;
    give(f, "D oc_filecache fileid=45");
    assert_int_equal(dead(f, 45, MOVED), 1);
    assert_true(f->target.nodes[plan].used && !f->target.nodes[plan].trashed);
}

static void
with_source_wins_the_source_wins(void **state)
{
    struct flow *f = *state;
    int papers = index_of(f, node(f, 44));

    f->core->options.drift_stop = false;
    edit(node(f, 45), "his");
    give(f, NEW_CONTENT);
    assert_string_equal(node(f, 45)->sha1, NEW_SHA1);
    snprintf(f->target.nodes[papers].name, sizeof(f->target.nodes[papers].name), "his");
    give(f, "U oc_filecache fileid=44 name='mine' path='files/mine'");
    assert_string_equal(f->target.nodes[papers].name, "mine");
    assert_int_equal(number(f, "SELECT count(*) FROM dead"), 0);
}

static void
the_mark_of_a_folder_depends_on_each_thing_in_it(void **state)
{
    uint64_t mark = ap_drift_mark("n1", "n2", "a", "s", 1);

    (void)state;
    assert_true(mark == ap_drift_mark("n1", "n2", "a", "s", 1));
    assert_true(mark != ap_drift_mark("n3", "n2", "a", "s", 1));
    assert_true(mark != ap_drift_mark("n1", "n3", "a", "s", 1));
    assert_true(mark != ap_drift_mark("n1", "n2", "b", "s", 1));
    assert_true(mark != ap_drift_mark("n1", "n2", "a", "t", 1));
    assert_true(mark != ap_drift_mark("n1", "n2", "a", "s", 2));
    assert_true(ap_drift_mark("a", "b", "", "", 0) != ap_drift_mark("ab", "", "", "", 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(what_somebody_wrote_is_not_overwritten_until_the_letter_is_retried),
        FLOW_TEST(a_retry_that_a_ledger_made_anew_reads_again_lets_nobody_win),
        FLOW_TEST(a_word_for_the_source_ends_with_its_next_row),
        FLOW_TEST(a_replay_that_is_about_no_letter_lets_nobody_win),
        FLOW_TEST(the_time_of_what_somebody_wrote_stays),
        FLOW_TEST(what_somebody_wrote_moves_along_with_the_source),
        FLOW_TEST(new_content_follows_a_file_that_somebody_renamed),
        FLOW_TEST(a_name_that_somebody_gave_is_not_taken_back_until_the_letter_is_retried),
        FLOW_TEST(a_file_that_somebody_changed_or_moved_is_not_deleted),
        FLOW_TEST(a_folder_that_somebody_put_something_into_is_not_deleted),
        FLOW_TEST(a_file_that_somebody_deleted_stays_deleted_until_the_letter_is_retried),
        FLOW_TEST(a_file_that_both_deleted_is_not_purged),
        FLOW_TEST(who_belongs_into_a_folder_that_somebody_deleted_waits_for_its_one_letter),
        FLOW_TEST(what_somebody_took_out_of_the_trash_changed_and_deleted_again_is_not_purged),
        FLOW_TEST(what_somebody_took_out_of_the_trash_is_left_when_the_source_purges),
        FLOW_TEST(with_source_wins_the_source_wins),
        cmocka_unit_test(the_mark_of_a_folder_depends_on_each_thing_in_it),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
