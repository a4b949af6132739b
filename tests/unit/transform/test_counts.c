/* The counters: their balance, and their way through JSON. */
#include "transform/counts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the four above */
#include <cmocka.h>

static void
rows_in_are_records_filtered_and_dead_letters(void **state)
{
    struct tf_counts counts = {.in = 3};

    (void)state;
    tf_count(&counts, TF_COUNT_OUT, "resource");
    tf_count(&counts, TF_COUNT_FILTERED, "later");
    assert_int_equal(tf_counts_balance(&counts), 1);
    tf_count(&counts, TF_COUNT_DEAD, "name");
    tf_count(&counts, TF_COUNT_WARNING, "checksum");
    assert_int_equal(tf_counts_balance(&counts), 0);
    assert_int_equal(tf_counts_get(&counts, TF_COUNT_DEAD, "name"), 1);
    assert_int_equal(tf_counts_get(&counts, TF_COUNT_DEAD, "other"), 0);
}

static void
counters_survive_their_json(void **state)
{
    struct tf_counts counts = {.in = 1234567890123}, back = {0};
    struct ls_err err = {0};
    json_t *doc;
    char *text;

    (void)state;
    for (int i = 0; i < 7; i++)
        tf_count(&counts, TF_COUNT_OUT, i % 2 ? "space" : "resource");
    tf_count(&counts, TF_COUNT_FILTERED, "storage-external");
    doc = tf_counts_json(&counts);
    text = json_dumps(doc, JSON_COMPACT);
    assert_non_null(text);
    assert_int_equal(tf_counts_parse(ls_str_of(text), &back, &err), 0);
    assert_int_equal(back.in, counts.in);
    assert_int_equal(tf_counts_get(&back, TF_COUNT_OUT, "resource"), 4);
    assert_int_equal(tf_counts_get(&back, TF_COUNT_OUT, "space"), 3);
    assert_int_equal(tf_counts_get(&back, TF_COUNT_FILTERED, "storage-external"), 1);
    free(text);
    json_decref(doc);
}

static void
more_names_than_there_are_places_lose_no_count(void **state)
{
    struct tf_counts counts = {0};
    char name[64];

    (void)state;
    for (int i = 0; i < 3 * TF_COUNT_NAMES; i++) {
        snprintf(name, sizeof(name), "a-name-that-is-longer-than-what-is-kept-%d", i);
        tf_count(&counts, TF_COUNT_DEAD, name);
        snprintf(name, sizeof(name), "n%d", i);
        tf_count(&counts, TF_COUNT_DEAD, name);
    }
    assert_int_equal(tf_counts_sum(&counts, TF_COUNT_DEAD), 6 * TF_COUNT_NAMES);
}

static void
damaged_counters_are_refused_and_the_output_is_untouched(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "{\"in\":\"7\"}", "7", "{\"out\":{}}"};
    struct tf_counts counts = {.in = 42};
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(tf_counts_parse(ls_str_of(bad[i]), &counts, &err), -1);
        assert_int_equal(err.kind, LS_ERR_FATAL);
        assert_int_equal(counts.in, 42);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_are_records_filtered_and_dead_letters),
        cmocka_unit_test(counters_survive_their_json),
        cmocka_unit_test(more_names_than_there_are_places_lose_no_count),
        cmocka_unit_test(damaged_counters_are_refused_and_the_output_is_untouched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
