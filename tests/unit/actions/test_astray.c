/*
 * What the moves of folders of ownCloud 10.8 and later leave behind: rows whose path is wrong, rows
 * in the wrong storage, a second row where a scan made one anew. They go by parent and name, they
 * are counted, and of two rows the one counts that people see.
 */
#include "tests/unit/actions/site.h"

#define SHA1(two) " checksum='SHA1:" two two two two two two two two two two "'"

static void
lines(struct site *s, const char *const *line)
{
    for (; *line; line++)
        site_line(s, *line);
}

/* files/p/files/p/x.txt, where p becomes q: REPLACE() hits the inner one, too */
static const char *const homes[] = {
    "I oc_storages id='home::ann' numeric_id=5",
    "I oc_filecache fileid=7 storage=5 path='' parent=-1 name='' mimetype=2 size=0 mtime=1",
    "I oc_filecache fileid=9 storage=5 path='files' parent=7 name='files' mimetype=2 size=0 "
    "mtime=1",
    "I oc_filecache fileid=11 storage=5 path='files/p' parent=9 name='p' mimetype=2 size=0 mtime=1",
    "I oc_filecache fileid=12 storage=5 path='files/p/files' parent=11 name='files' mimetype=2"
    " size=0 mtime=1",
    "I oc_filecache fileid=13 storage=5 path='files/p/files/p' parent=12 name='p' mimetype=2 size=0"
    " mtime=1",
    "I oc_filecache fileid=105 storage=5 path='files/p/files/p/x.txt' parent=13 name='x.txt'"
    " mimetype=4 size=1 mtime=2 etag='105'" SHA1("0505"),
    "I oc_storages id='home::ben' numeric_id=6",
    "I oc_filecache fileid=20 storage=6 path='' parent=-1 name='' mimetype=2 size=0 mtime=1",
    "I oc_filecache fileid=21 storage=6 path='files' parent=20 name='files' mimetype=2 size=0"
    " mtime=1",
    NULL};
static const char *const p_to_q[] = {
    "U oc_filecache fileid=12 | path: 'files/p/files' -> 'files/q/files'",
    "U oc_filecache fileid=13 | path: 'files/p/files/p' -> 'files/q/files/p'",
    "U oc_filecache fileid=105 | path: 'files/p/files/p/x.txt' -> 'files/q/files/q/x.txt'",
    "U oc_filecache fileid=11 | path: 'files/p' -> 'files/q'; name: 'p' -> 'q'", NULL};
/* the scan finds the file where there is no row by path */
static const char *const second[] = {
    "I oc_filecache fileid=404 storage=5 path='files/q/files/p/x.txt' parent=13 name='x.txt'"
    " mimetype=4 size=1 mtime=2 etag='404'" SHA1("0404"),
    NULL};
static const char *const repair[] = {
    "D oc_filecache fileid=404 path='files/q/files/p/x.txt'",
    "U oc_filecache fileid=105 | path: 'files/q/files/q/x.txt' -> 'files/q/files/p/x.txt'", NULL};

static int64_t
astray(struct site *s)
{
    return ap_astray_count(s->ledger);
}

static void
a_path_that_a_move_has_damaged_is_counted_until_it_is_mended(void **state)
{
    static const char *const mended[] = {
        "U oc_filecache fileid=105 | path: 'files/q/files/q/x.txt' -> 'files/q/files/p/x.txt'",
        NULL};
    struct site *s = *state;

    lines(s, homes);
    site_settle(s, "two homes");
    assert_int_equal(astray(s), 0);
    lines(s, p_to_q);
    site_settle(s, "p becomes q");
    assert_int_equal(astray(s), 1); /* those whose paths followed their folder are not */
    assert_int_equal(s->target.moves, 1);
    lines(s, mended);
    site_settle(s, "scan --repair");
    assert_int_equal(astray(s), 0);
}

static void
a_row_that_stayed_behind_in_another_storage_lies_where_its_parent_lies(void **state)
{
    static const char *const to_ben[] = {
        "U oc_filecache fileid=12 | storage: 5 -> 6; path: 'files/q/files' -> 'files/q/files'",
        "U oc_filecache fileid=13 | storage: 5 -> 6; path: 'files/q/files/p' -> 'files/q/files/p'",
        "U oc_filecache fileid=11 | storage: 5 -> 6; path: 'files/q' -> 'files/q'; parent: 9 -> 21",
        NULL};
    static const char *const gone[] = {"D oc_filecache fileid=105 path='files/q/files/q/x.txt'",
                                       NULL};
    struct site *s = *state;

    lines(s, homes);
    lines(s, p_to_q);
    site_settle(s, "p becomes q");
    lines(s, to_ben);
    site_settle(s, "q goes to ben");
    assert_int_equal(astray(s), 1);
    lines(s, gone);
    site_settle(s, "the row goes");
    assert_int_equal(astray(s), 0);
}

static int64_t
free_of(struct site *s, int64_t fileid)
{
    return ap_number(s->ledger, 0,
                     "SELECT count(*) FROM node n WHERE n.fileid = ? AND n.leftover = 0 AND"
                     " n.name = 'x.txt'",
                     "i", fileid);
}

static void
of_two_rows_at_one_place_the_one_with_the_right_path_counts_however_old(void **state)
{
    static const char *const touched[] = {"U oc_filecache fileid=105 | etag: '105' -> '105b'",
                                          NULL};

    for (unsigned seed = 0; seed < 4; seed++) {
        struct site *s = *state;

        lines(s, homes);
        lines(s, p_to_q);
        if (seed % 2)
            site_settle(s, "p becomes q");
        lines(s, second);
        lines(s, touched);
        for (int i = 0; seed > 1 && i < 1000 && !site_given_all(s); i++)
            site_round(s, (int)seed, (int)seed);
        site_settle(s, "a second row, and the first one is newer");
        assert_int_equal(free_of(s, 404), 1);
        assert_int_equal(free_of(s, 105), 0);
        assert_int_equal(astray(s), 1);
        lines(s, repair);
        site_settle(s, "scan --repair");
        assert_int_equal(free_of(s, 105), 1);
        assert_int_equal(astray(s), 0);
        site_teardown(state);
        site_setup(state);
    }
}

static void
of_two_rows_at_one_place_a_snapshot_takes_the_one_with_the_right_path(void **state)
{
    struct site *s = *state;

    lines(s, homes);
    lines(s, p_to_q);
    lines(s, second);
    site_close_target(s);
    s->n_records = 0;
    site_open_target(s);
    sr_snapshot(&s->src);
    site_settle(s, "a first copy");
    assert_int_equal(free_of(s, 404), 1);
    assert_int_equal(astray(s), 1);
}

/* What comes from a transform of another release says nothing of paths. */
static void
without_a_paths_hash_nothing_is_astray_but_by_its_storage(void **state)
{
    static const struct ap_origin at = {.topic = "cs3.resource"};
    struct site *s = *state;
    struct ls_err err = {0};
    struct cs3_resource r = {.head = {.seq = {1, 900, 0}},
                             .storage = 5,
                             .fileid = 300,
                             .parent = 9,
                             .name = LS_STR("old"),
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};

    lines(s, homes);
    site_settle(s, "two homes");
    assert_int_equal(ap_ledger_begin(s->ledger, &err), 0);
    ap_take_resource(s->core, &at, &r);
    assert_int_equal(astray(s), 0);
    r.head.seq.counter++;
    r.storage = 6;
    ap_take_resource(s->core, &at, &r);
    assert_int_equal(astray(s), 1);
    assert_int_equal(ap_ledger_commit(s->ledger, &err), 0);
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_path_that_a_move_has_damaged_is_counted_until_it_is_mended),
        SITE_TEST(a_row_that_stayed_behind_in_another_storage_lies_where_its_parent_lies),
        SITE_TEST(of_two_rows_at_one_place_the_one_with_the_right_path_counts_however_old),
        SITE_TEST(of_two_rows_at_one_place_a_snapshot_takes_the_one_with_the_right_path),
        SITE_TEST(without_a_paths_hash_nothing_is_astray_but_by_its_storage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
