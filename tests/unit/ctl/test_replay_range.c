/*
 * A replay's range by GTID: what is in it, and what is said of a GTID that the topic does not have.
 */
#include "ctl/replay/replay.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static struct replay_args
range(const char *from, const char *to)
{
    struct replay_args a = {
        .topic = "cs3.share", .from = {.offset = -1, .ms = -1}, .to = {.offset = -1, .ms = -1}};

    if (from)
        assert_true(replay_bound_parse(from, &a.from) && a.from.by_gtid);
    if (to)
        assert_true(replay_bound_parse(to, &a.to) && a.to.by_gtid);
    return a;
}

static bool
in(const struct replay_args *a, struct replay_seen *seen, const char *gtid)
{
    struct ls_message m = {.key = LS_STR("44"), .offset = 9, .timestamp_ms = 1000};

    if (gtid)
        m.headers[m.n_headers++] = (struct ls_header){"gtid", ls_str_of(gtid)};
    return replay_in_range(a, &m, seen);
}

/* All notes, one a line. */
static const char *
notes(const struct replay_args *a, const struct replay_seen *seen)
{
    static char text[2048];
    json_t *array = replay_range_notes(a, seen), *note;
    size_t i, n = 0;

    text[0] = '\0';
    json_array_foreach(array, i, note) n +=
        (size_t)snprintf(text + n, sizeof text - n, "%s\n", json_string_value(note));
    json_decref(array);
    return text;
}

static void
a_bound_is_a_gtid_of_either_server_and_a_day_is_a_day(void **state)
{
    struct replay_bound b;

    (void)state;
    assert_true(replay_bound_parse("0-1-100", &b));
    assert_true(b.by_gtid && b.gtid.flavour == CAP_MARIADB && b.gtid.seq == 100);
    assert_int_equal(b.offset, -1);
    assert_int_equal(b.ms, -1);
    assert_true(replay_bound_parse("0-1-10", &b)); /* a day to strptime */
    assert_true(b.by_gtid && b.ms == -1);
    assert_true(replay_bound_parse(UUID ":7", &b));
    assert_true(b.by_gtid && b.gtid.flavour == CAP_MYSQL && b.gtid.seq == 7);
    assert_true(replay_bound_parse("2026-11-22", &b));
    assert_true(!b.by_gtid && b.ms == 1795305600000);
    assert_true(replay_bound_parse("gtid:2026-11-22", &b));
    assert_true(b.by_gtid && b.gtid.domain == 2026 && b.gtid.seq == 22);
    assert_false(replay_bound_parse("2026-13-22", &b));
    assert_false(replay_bound_parse("0-1", &b));
    assert_false(replay_bound_parse("0-1-100,1-1-7", &b));
    assert_false(replay_bound_parse(UUID ":1-7", &b));
    assert_false(replay_bound_parse("gtid:", &b));
}

static void
mariadbs_range_is_within_the_domain_whatever_the_server(void **state)
{
    struct replay_args a = range("0-1-100", "0-2-103");
    struct replay_seen seen = {0};

    (void)state;
    assert_false(in(&a, &seen, "0-1-99"));
    assert_true(in(&a, &seen, "0-1-100"));
    assert_true(in(&a, &seen, "0-7-102"));
    assert_false(in(&a, &seen, "0-2-103"));
    assert_false(in(&a, &seen, "1-1-101"));
    assert_false(in(&a, &seen, NULL));
    assert_false(in(&a, &seen, "nonsense"));
    assert_false(in(&a, &seen, UUID ":101"));
    assert_string_equal(notes(&a, &seen), "2 records have no GTID (of snapshots, or of a source "
                                          "without) and are in no such range\n");
}

static void
mysqls_range_is_of_one_uuid(void **state)
{
    struct replay_args a = range(UUID ":5", NULL);
    struct replay_seen seen = {0};

    (void)state;
    assert_false(in(&a, &seen, UUID ":4"));
    assert_true(in(&a, &seen, UUID ":5"));
    assert_true(in(&a, &seen, UUID ":900"));
    assert_false(in(&a, &seen, "4e11fa47-71ca-11e1-9e33-c80aa9429562:6"));
    assert_string_equal(notes(&a, &seen), "");
}

static void
a_gtid_that_is_not_there_is_told_of(void **state)
{
    struct replay_args a = range("0-1-100", "0-1-200");
    struct replay_seen seen = {0};

    (void)state;
    assert_false(in(&a, &seen, "0-1-90"));
    assert_true(in(&a, &seen, "0-1-120"));
    assert_true(in(&a, &seen, "0-1-110"));
    assert_non_null(strstr(notes(&a, &seen), "0-1-100 is not in cs3.share ("));
    assert_non_null(strstr(notes(&a, &seen), "the first after it there is 0-1-110\n"));
    assert_non_null(
        strstr(notes(&a, &seen), "0-1-200 is not in cs3.share, which ends with 0-1-120"));
}

static void
a_range_that_holds_nothing_says_why(void **state)
{
    struct replay_args late = range("0-1-100", NULL), early = range(NULL, "0-1-5"),
                       other = range("3-1-7", NULL), gap = range("0-1-20", "0-1-30");
    struct replay_seen seen = {0};

    (void)state;
    assert_false(in(&late, &seen, "0-1-90"));
    assert_string_equal(notes(&late, &seen), "0-1-100 and what came after it is not in cs3.share, "
                                             "which ends with 0-1-90\n");
    seen = (struct replay_seen){0};
    assert_false(in(&early, &seen, "0-1-90"));
    assert_string_equal(notes(&early, &seen),
                        "nothing in cs3.share is before 0-1-5: it begins with 0-1-90\n");
    seen = (struct replay_seen){0};
    assert_false(in(&gap, &seen, "0-1-10"));
    assert_false(in(&gap, &seen, "0-1-40"));
    assert_non_null(strstr(notes(&gap, &seen), "cs3.share has nothing between the two\n"));
    seen = (struct replay_seen){0};
    for (int i = 0; i < 90; i++) /* more domains than are kept */
        assert_false(in(&other, &seen, i % 2 ? "0-1-90" : "1-1-5"));
    assert_string_equal(notes(&other, &seen), "3-1-7: cs3.share has no record of its domain; the "
                                              "last of others: 1-1-5, 0-1-90\n");
    seen = (struct replay_seen){0};
    assert_string_equal(notes(&other, &seen), "3-1-7: cs3.share has no record of its domain; no "
                                              "record there has a GTID\n");
}

static void
more_domains_than_are_kept_do_no_harm(void **state)
{
    struct replay_args a = range("999-1-7", NULL);
    struct replay_seen seen = {0};
    char gtid[CAP_GTID_TEXT];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        snprintf(gtid, sizeof gtid, "%u-4294967295-18446744073709551615", 4294967000U + i);
        assert_false(in(&a, &seen, gtid));
    }
    assert_int_equal(seen.n_others, REPLAY_SOURCES);
    assert_non_null(strstr(notes(&a, &seen), "4294967007-4294967295-18446744073709551615"));
}

static void
two_gtids_that_cannot_be_a_range_are_refused(void **state)
{
    struct replay_args a = range("0-1-100", "1-1-200");

    (void)state;
    assert_non_null(strstr(replay_range_wrong(&a), "two domains"));
    a = range("0-1-100", UUID ":200");
    assert_non_null(replay_range_wrong(&a));
    a = range("0-1-100", "0-1-100");
    assert_non_null(strstr(replay_range_wrong(&a), "nothing lies between"));
    a = range("0-1-100", "0-2-101");
    assert_null(replay_range_wrong(&a));
    a = range("0-1-100", NULL);
    a.to.ms = 5; /* a time beside it is fine */
    assert_null(replay_range_wrong(&a));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_is_a_gtid_of_either_server_and_a_day_is_a_day),
        cmocka_unit_test(mariadbs_range_is_within_the_domain_whatever_the_server),
        cmocka_unit_test(mysqls_range_is_of_one_uuid),
        cmocka_unit_test(a_gtid_that_is_not_there_is_told_of),
        cmocka_unit_test(a_range_that_holds_nothing_says_why),
        cmocka_unit_test(more_domains_than_are_kept_do_no_harm),
        cmocka_unit_test(two_gtids_that_cannot_be_a_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
