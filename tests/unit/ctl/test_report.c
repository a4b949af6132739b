/*
 * Lines, status documents and reference pages: what is printed, and what it means.
 */
#include "common/err.h"
#include "common/records.h"
#include "ctl/lines.h"
#include "ctl/reference.h"
#include "ctl/status.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the four above */
#include <cmocka.h>

/* What `lines` prints; to be freed. */
static char *
printed(const struct ctl_lines *lines, bool json)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    ctl_lines_print(lines, json, out);
    fclose(out);
    return text;
}

static void
lines_as_json_hold_every_line_and_the_counts(void **state)
{
    struct ctl_lines *lines = ctl_lines_new();
    json_t *document, *line;
    char *text;

    (void)state;
    ctl_line(lines, CTL_PASS, "source", NULL, "log_bin = %s", "ON");
    ctl_line(lines, CTL_FAIL, "data", "mount it", "home of %s", "b\xff\xc3");
    text = printed(lines, true);
    document = json_loads(text, 0, NULL);
    assert_non_null(document);
    assert_int_equal(json_integer_value(json_object_get(document, "pass")), 1);
    assert_int_equal(json_integer_value(json_object_get(document, "fail")), 1);
    assert_int_equal(json_integer_value(json_object_get(document, "warn")), 0);
    line = json_array_get(json_object_get(document, "lines"), 1);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "fail");
    assert_string_equal(json_string_value(json_object_get(line, "todo")), "mount it");
    assert_string_equal(json_string_value(json_object_get(line, "found")),
                        "home of b\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(document);
    free(text);
    ctl_lines_free(lines);
}

static void
plain_lines_fit_100_columns_and_hide_control_characters(void **state)
{
    struct ctl_lines *lines = ctl_lines_new();
    char *text, *save = NULL;

    (void)state;
    ctl_line(lines, CTL_WARN, "target",
             "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
             "fifteen sixteen seventeen eighteen",
             "a name with \x1b[31m in it, and %s",
             "word word word word word word word word word "
             "word word word word word word word word");
    text = printed(lines, false);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "\\x1b[31m"));
    assert_non_null(strstr(text, "eighteen"));
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        assert_true(strlen(line) <= 100);
    free(text);
    ctl_lines_free(lines);
}

/* ---- status */

static char *
table_printed(void (*print)(json_t *, FILE *), json_t *stages)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    print(stages, out);
    fclose(out);
    return text;
}

/* Of apply, beside two that are well. */
static json_t *
stage(int64_t time_us, int64_t lag_us, bool ready, int64_t balance)
{
    return json_pack("{s:{s:I, s:I, s:b, s:I}, s:{s:I, s:b}, s:{s:I, s:b}}", "apply/1", "time_us",
                     (json_int_t)time_us, "lag_us", (json_int_t)lag_us, "ready", ready, "balance",
                     (json_int_t)balance, "capture/1", "time_us", (json_int_t)time_us, "ready", 1,
                     "transform/1", "time_us", (json_int_t)time_us, "ready", 1);
}

static int64_t
true_lag(const json_t *stages)
{
    return json_integer_value(json_object_get(json_object_get(stages, "apply/1"), "true_lag_us"));
}

static void
the_lag_of_a_stopped_stage_keeps_rising(void **state)
{
    json_t *stages = stage(1000000000, 2000000, true, 0);

    (void)state;
    ctl_status_enrich(stages, 1000000000 + 1000000); /* it spoke a second ago: its own word */
    assert_int_equal(true_lag(stages), 2000000);
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_OK);
    ctl_status_enrich(stages, 1000000000 + 60000000);
    assert_int_equal(true_lag(stages), 62000000);
    ctl_status_enrich(stages, 1000000000 + 90000000);
    assert_int_equal(true_lag(stages), 92000000);
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_DIFFERENT); /* silent */
    json_decref(stages);
}

static void
a_clock_ahead_of_ours_is_no_negative_age(void **state)
{
    json_t *stages = stage(1000000000, 5, true, 0);

    (void)state;
    ctl_status_enrich(stages, 0);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(stages, "apply/1"), "age_us")), 0);
    assert_int_equal(true_lag(stages), 5);
    json_decref(stages);
}

/* It may have died half an hour ago, by the true time. */
static void
a_word_from_the_future_is_no_sign_of_life(void **state)
{
    json_t *stages = stage(1000000000, 5, true, 0);
    char *text;

    (void)state;
    ctl_status_enrich(stages, 1000000000 - 9000000);
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_OK);
    json_object_set_new(json_object_get(stages, "apply/1"), "time_us", json_integer(1011000000));
    ctl_status_enrich(stages, 1000000000);
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_DIFFERENT);
    text = table_printed(ctl_status_print, stages);
    assert_non_null(strstr(text, "apply/1            CLOCK "));
    assert_non_null(strstr(text, "    its clock is 11 s ahead of this host's"));
    free(text);
    json_decref(stages);
}

static void
a_stage_that_nobody_works_as_is_named_whoever_stands_by(void **state)
{
    json_t *stages = stage(1000000000, 0, true, 0);
    char *text;

    (void)state;
    json_object_set(stages, "standby/1", json_object_get(stages, "apply/1"));
    json_object_del(stages, "apply/1");
    ctl_status_enrich(stages, 1000000000);
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_DIFFERENT);
    text = table_printed(ctl_status_print, stages);
    assert_non_null(strstr(text, "apply              MISSING: nobody works as apply\n"));
    assert_null(strstr(text, "capture            MISSING"));
    free(text);
    text = table_printed(ctl_lag_print, stages);
    assert_non_null(strstr(text, "apply              MISSING: nobody works as apply\n"));
    free(text);
    json_decref(stages);
}

/* The word of the host that was before stays in the topic. */
static void
a_silent_one_whose_stage_speaks_from_elsewhere_is_no_trouble(void **state)
{
    json_t *stages = stage(1000000000, 0, true, 0), *old = stage(1, 0, true, 0);
    char *text;

    (void)state;
    json_object_set(stages, "apply/old", json_object_get(old, "apply/1"));
    ctl_status_enrich(stages, 1000000000);
    text = table_printed(ctl_status_print, stages);
    assert_non_null(strstr(text, "apply/old          SILENT "));
    assert_non_null(strstr(text, "    replaced by apply/1\n"));
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_OK);
    free(text);
    ctl_status_enrich(stages, 2000000000); /* now both are silent */
    assert_int_equal(ctl_status_verdict(stages), LS_EXIT_DIFFERENT);
    json_decref(old);
    json_decref(stages);
}

static void
not_ready_out_of_balance_and_nobody_are_no_good_verdict(void **state)
{
    json_t *unready = stage(1, 0, false, 0), *unbalanced = stage(1, 0, true, -1);
    json_t *nobody = json_object();

    (void)state;
    ctl_status_enrich(unready, 1);
    ctl_status_enrich(unbalanced, 1);
    assert_int_equal(ctl_status_verdict(unready), LS_EXIT_DIFFERENT);
    assert_int_equal(ctl_status_verdict(unbalanced), LS_EXIT_DIFFERENT);
    assert_int_equal(ctl_status_verdict(nobody), LS_EXIT_DIFFERENT);
    json_decref(unready);
    json_decref(unbalanced);
    json_decref(nobody);
}

static void
a_lag_in_records_that_nobody_tells_is_no_good_verdict(void **state)
{
    json_t *stages =
        json_pack("{s:{s:I, s:b}, s:{s:I, s:b}, s:{s:I, s:b}, s:{s:I, s:b}}", "capture/1",
                  "time_us", (json_int_t)60000000, "ready", 1, "transform/1", "time_us",
                  (json_int_t)60000000, "ready", 1, "apply/1", "time_us", (json_int_t)60000000,
                  "ready", 1, "standby/2", "time_us", (json_int_t)60000000, "ready", 1);

    (void)state;
    ctl_status_enrich(stages, 60000000);
    ctl_lag_enrich(stages, 0, 4);
    assert_int_equal(ctl_lag_verdict(stages), LS_EXIT_OK);
    ctl_lag_enrich(stages, -1, 4);
    assert_int_equal(ctl_lag_verdict(stages), LS_EXIT_KAFKA);
    ctl_lag_enrich(stages, 0, -1);
    assert_int_equal(ctl_lag_verdict(stages), LS_EXIT_KAFKA);
    ctl_status_enrich(stages, 90000000);
    assert_int_equal(ctl_lag_verdict(stages), LS_EXIT_DIFFERENT); /* and silent */
    json_decref(stages);
}

/* What is queued or in flight is at work; the rest is parked, and why stands below. */
static void
each_stage_says_what_is_applied_and_why_something_is_parked(void **state)
{
    json_t *stages = json_pack(
        "{s:{s:I, s:b, s:{s:i}, s:{}}, s:{s:I, s:b, s:{s:i, s:i}}, s:{s:I, s:I, s:b, s:I, s:i, s:i,"
        " s:{s:i}, s:{s:i, s:i, s:i, s:i}, s:{s:i}}}",
        "capture/1", "time_us", (json_int_t)60000000, "ready", 1, "counters", "published", 17,
        "parked", "transform/1", "time_us", (json_int_t)60000000, "ready", 1, "counters", "in", 3,
        "out", 18, "apply/1", "time_us", (json_int_t)60000000, "last_progress_us",
        (json_int_t)55500000, "ready", 1, "lag_us", (json_int_t)2000000, "open", 10,
        "sweeps_waiting", 1, "counters", "applied", 19, "parked", "queued", 5, "in-flight", 1,
        "content-missing", 3, "or\x1bphan", 1, "dead", "quota", 2);
    char *text;

    (void)state;
    ctl_status_enrich(stages, 60000000);
    text = table_printed(ctl_status_print, stages);
    assert_non_null(strstr(text, "capture/1          ready          0.0s         -         17"));
    assert_non_null(strstr(text, "transform/1        ready          0.0s         -         18"));
    assert_non_null(strstr(text, "apply/1            ready          2.0s      4.5s         19"
                                 "      10      4     2\n    parked: 3 content-missing, 1 "
                                 "or\\x1bphan\n    dead: 2 quota\n    sweeps that wait"));
    assert_null(strstr(text, "queued"));
    free(text);
    ctl_lag_enrich(stages, 0, -1);
    text = table_printed(ctl_lag_print, stages);
    assert_non_null(strstr(text, "apply/1           ready          2.0   unknown unknown      4.5s"
                                 "       19      4\n    parked: 3 content-missing"));
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    free(text);
    json_decref(stages);
}

static json_t *
of_stage(json_t *stages, const char *stage, const char *what)
{
    return json_object_get(json_object_get(stages, stage), what);
}

/* Of each stage one of the two is counted, the other an estimate, and says so. */
static void
each_stage_says_by_how_many_records_and_bytes_it_is_behind(void **state)
{
    json_t *stages = json_pack(
        "{s:{s:I, s:b, s:I, s:I, s:s}, s:{s:I, s:b, s:I, s:I, s:s, s:I},"
        " s:{s:I, s:b, s:n, s:n, s:s, s:n, s:i}, s:{s:I, s:b}}",
        "capture/1", "time_us", (json_int_t)60000000, "ready", 1, "lag_records", (json_int_t)1234,
        "lag_bytes", (json_int_t)456789, "lag_estimated", "records", "transform/1", "time_us",
        (json_int_t)60000000, "ready", 1, "lag_records", (json_int_t)1, "lag_bytes", (json_int_t)2,
        "lag_estimated", "bytes", "record_bytes", (json_int_t)250, "apply/1", "time_us",
        (json_int_t)60000000, "ready", 1, "lag_records", "lag_bytes", "lag_estimated", "bytes",
        "record_bytes", "open", 3, "standby/1", "time_us", (json_int_t)60000000, "ready", 1);
    char *text;

    (void)state;
    ctl_status_enrich(stages, 60000000);
    text = table_printed(ctl_status_print, stages);
    assert_non_null(strstr(text, "\n    not read yet: ~1234 records, 456.8k bytes\ntransform/1"));
    assert_non_null(strstr(text, "\n    not read yet: 1 records, ~2 bytes\napply/1"));
    assert_null(strstr(text, "unknown"));
    free(text);
    ctl_lag_enrich(stages, 12000000, 4);
    assert_int_equal(json_integer_value(of_stage(stages, "transform/1", "lag_bytes")), 3000000000);
    assert_int_equal(json_integer_value(of_stage(stages, "apply/1", "lag_records")), 7);
    assert_true(json_is_null(of_stage(stages, "apply/1", "lag_bytes"))); /* nothing was read yet */
    assert_int_equal(json_integer_value(of_stage(stages, "standby/1", "lag_bytes")), 0);
    text = table_printed(ctl_lag_print, stages);
    assert_non_null(strstr(text, "capture/1         ready          0.0     ~1234  456.8k "));
    assert_non_null(strstr(text, "transform/1       ready          0.0  12000000   ~3.0G "));
    assert_non_null(strstr(text, "apply/1           ready          0.0         7 unknown "));
    assert_non_null(strstr(text, "standby/1         ready          0.0         0       0 "));
    free(text);
    ctl_lag_enrich(stages, 0, -1);
    assert_int_equal(json_integer_value(of_stage(stages, "transform/1", "lag_bytes")), 0);
    assert_true(json_is_null(of_stage(stages, "apply/1", "lag_records")));
    ctl_status_enrich(stages,
                      90000000); /* all silent: the topics still tell, the binlog does not */
    assert_true(json_is_null(of_stage(stages, "capture/1", "lag_records")));
    assert_true(json_is_null(of_stage(stages, "capture/1", "lag_bytes")));
    assert_true(json_is_integer(of_stage(stages, "transform/1", "lag_records")));
    json_decref(stages);
}

static char *
users_printed(json_t *stages, const char *only)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    ctl_lag_users(stages, only, 100000000, out);
    fclose(out);
    return text;
}

static void
lag_by_user_says_when_it_cannot_tell(void **state)
{
    json_t *stages =
        json_pack("{s:{s:[{s:s, s:I, s:I, s:I, s:{s:i, s:i}}, {s:s, s:I, s:I, s:I}], s:I}}",
                  "apply/1", "users", "user", "alice", "open", (json_int_t)3, "parked",
                  (json_int_t)1, "oldest_us", (json_int_t)90000000, "causes", "content-missing", 1,
                  "quo\x1bta", 2, "user", "b\x1b[2Job", "open", (json_int_t)1, "parked",
                  (json_int_t)1, "oldest_us", (json_int_t)0, "users_open", (json_int_t)2);
    char *text = users_printed(stages, NULL);

    (void)state;
    assert_non_null(strstr(text, "alice                          10.0        3        1 "
                                 "1 content-missing, 2 quo\\x1bta\n"));
    assert_non_null(strstr(text, "b\\x1b[2Job"));
    assert_null(strstr(text, "more"));
    free(text);
    text = users_printed(stages, "carol");
    assert_non_null(strstr(text, "nothing of this user is open in apply"));
    free(text);
    json_object_set_new(json_object_get(stages, "apply/1"), "users_open", json_integer(7));
    text = users_printed(stages, "carol");
    assert_non_null(strstr(text, "not among those who wait longest"));
    free(text);
    text = users_printed(stages, NULL);
    assert_non_null(strstr(text, "and 5 users more"));
    free(text);
    json_decref(stages);
}

static void
a_sweep_that_waits_shows_what_it_would_delete(void **state)
{
    json_t *stages = json_pack("{s:{s:[{s:s, s:i, s:i, s:i, s:[{s:s, s:s}]}]}}", "apply/1",
                               "sweeps", "topic", "cs3.resource", "partition", 3, "storage", 5,
                               "items", 40, "examples", "user", "alice", "path", "files/\x1bx");
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    ctl_sweeps_print(stages, out);
    fclose(out);
    assert_string_equal(text,
                        "a sweep waits: cs3.resource, partition 3, storage 5: it would delete "
                        "40 items of one place\n    alice: files/\\x1bx\n");
    free(text);
    json_decref(stages);
}

static void
a_sweep_of_shares_or_people_names_them(void **state)
{
    json_t *stages = json_pack(
        "{s:{s:[{s:s, s:i, s:i, s:[{s:i, s:s, s:s, s:s, s:s}, {s:i, s:s, s:s, s:s, s:s}]},"
        " {s:s, s:i, s:i, s:[{s:s, s:s}, {s:s}]}, {s:s, s:i, s:i, s:[{s:s}]}]}}",
        "apply/1", "sweeps", "topic", "cs3.share", "partition", 0, "items", 40, "examples", "share",
        7, "type", "link", "user", "alice", "with", "", "path", "files/a", "share", 8, "type",
        "group", "user", "bob", "with", "st\x1b", "path", "files/b", "topic", "cs3.person",
        "partition", CS3_MEMBER, "items", 30, "examples", "user", "alice", "group", "staff",
        "group", "lonely", "topic", "cs3.person", "partition", 99, "items", 3, "examples", "user",
        "carol");
    char *text = table_printed(ctl_sweeps_print, stages);

    (void)state;
    assert_string_equal(text, "a sweep waits: cs3.share: it would delete 40 shares\n"
                              "    share 7, alice: files/a, a link\n"
                              "    share 8, bob: files/b, for the group st\\x1b\n"
                              "a sweep waits: cs3.person: it would delete 30 members of groups\n"
                              "    alice in staff\n    lonely\n"
                              "a sweep waits: cs3.person: it would delete 3 people\n    carol\n");
    free(text);
    json_decref(stages);
}

/* ---- reference pages; tests run in the repository's root */

static void
page_agrees(const char *page, const char *path)
{
    char *text = NULL, *file;
    size_t n = 0, got;
    FILE *out = open_memstream(&text, &n), *in;

    assert_non_null(out);
    assert_int_equal(ctl_reference(page, out), 0);
    fclose(out);
    in = fopen(path, "r");
    if (!in)
        fail_msg("%s is not there", path);
    file = calloc(1, n + 2);
    assert_non_null(file);
    got = fread(file, 1, n + 1, in);
    fclose(in);
    if (got != n || memcmp(file, text, n) != 0)
        fail_msg("%s is not what the tables say: build/bin/lockstep reference %s > %s", path, page,
                 path);
    free(file);
    free(text);
}

static void
reference_pages_are_what_the_tables_say(void **state)
{
    (void)state;
    page_agrees("configuration", "docs/configuration.md");
    page_agrees("metrics", "docs/METRICS.md");
    page_agrees("columns", "docs/columns.md");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_as_json_hold_every_line_and_the_counts),
        cmocka_unit_test(plain_lines_fit_100_columns_and_hide_control_characters),
        cmocka_unit_test(the_lag_of_a_stopped_stage_keeps_rising),
        cmocka_unit_test(a_clock_ahead_of_ours_is_no_negative_age),
        cmocka_unit_test(a_word_from_the_future_is_no_sign_of_life),
        cmocka_unit_test(a_stage_that_nobody_works_as_is_named_whoever_stands_by),
        cmocka_unit_test(a_silent_one_whose_stage_speaks_from_elsewhere_is_no_trouble),
        cmocka_unit_test(not_ready_out_of_balance_and_nobody_are_no_good_verdict),
        cmocka_unit_test(a_lag_in_records_that_nobody_tells_is_no_good_verdict),
        cmocka_unit_test(lag_by_user_says_when_it_cannot_tell),
        cmocka_unit_test(a_sweep_that_waits_shows_what_it_would_delete),
        cmocka_unit_test(a_sweep_of_shares_or_people_names_them),
        cmocka_unit_test(each_stage_says_by_how_many_records_and_bytes_it_is_behind),
        cmocka_unit_test(each_stage_says_what_is_applied_and_why_something_is_parked),
        cmocka_unit_test(reference_pages_are_what_the_tables_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
