/*
 * When a file that others write, too, may be written by us.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/ocis/still.h"
#include <stdio.h>

#define FILE_A "space/users/a/received.json"

static int
begin(void **state)
{
    *state = ap_still_new();
    return *state ? 0 : -1;
}

static int
end(void **state)
{
    ap_still_free(*state);
    return 0;
}

static void
what_only_we_write_is_written_at_once(void **state)
{
    struct ap_still *s = *state;

    assert_int_equal(ap_still_ms(s, FILE_A, "", false, 1000), 0);
    for (int i = 1; i < 5; i++) {
        char etag[16];
        snprintf(etag, sizeof(etag), "e%d", i);
        ap_still_known(s, FILE_A, etag);
        assert_int_equal(ap_still_ms(s, FILE_A, etag, false, 1000 * i), 0);
    }
}

static void
a_file_of_which_nothing_is_known_is_waited_for_the_shorter_time_and_once(void **state)
{
    struct ap_still *s = *state;

    assert_int_equal(ap_still_ms(s, FILE_A, "e1", false, 1000), AP_STILL_MS);
    assert_int_equal(ap_still_ms(s, FILE_A, "e1", false, 1100), 0);
    ap_still_known(s, FILE_A, ""); /* a write of ours without an answer */
    assert_int_equal(ap_still_ms(s, FILE_A, "e2", false, 1200), AP_STILL_MS);
}

static void
what_others_write_is_waited_for_the_longer_time_until_they_have_stopped(void **state)
{
    struct ap_still *s = *state;
    int64_t now = 5000;

    ap_still_known(s, FILE_A, "e1");
    for (int i = 2; i < 9; i++, now += 300) {
        char etag[16];
        snprintf(etag, sizeof(etag), "e%d", i);
        assert_int_equal(ap_still_ms(s, FILE_A, etag, false, now), AP_STILL_BUSY_MS);
    }
    now -= 300;
    ap_still_known(s, FILE_A, "ours");
    assert_int_equal(ap_still_ms(s, FILE_A, "ours", false, now + AP_STILL_LATELY_MS - 1),
                     AP_STILL_BUSY_MS);
    assert_int_equal(ap_still_ms(s, FILE_A, "ours", false, now + AP_STILL_LATELY_MS), 0);
}

static void
a_lost_race_tells_of_others_too(void **state)
{
    struct ap_still *s = *state;

    ap_still_known(s, FILE_A, "e1");
    ap_still_overtaken(s, FILE_A, 7000);
    assert_int_equal(ap_still_ms(s, FILE_A, "e1", false, 7001), AP_STILL_BUSY_MS);
    assert_int_equal(ap_still_ms(s, "space/users/b/received.json", "e1", false, 7001), AP_STILL_MS);
}

static void
of_the_file_that_the_server_writes_without_a_second_try_more_is_waited(void **state)
{
    struct ap_still *s = *state;

    ap_still_known(s, FILE_A, "e1");
    assert_int_equal(ap_still_ms(s, FILE_A, "e1", true, 1000), 2 * AP_STILL_MS);
    assert_int_equal(ap_still_ms(s, FILE_A, "e2", true, 1000), 2 * AP_STILL_BUSY_MS);
}

static void
of_more_files_than_are_remembered_the_first_are_forgotten(void **state)
{
    struct ap_still *s = *state;
    char file[32];

    for (int i = 0; i <= AP_STILL_FILES; i++) {
        snprintf(file, sizeof(file), "f%d", i);
        ap_still_known(s, file, "e");
    }
    assert_int_equal(ap_still_ms(s, "f1", "e", false, 1), 0);
    assert_int_equal(ap_still_ms(s, "f0", "e", false, 1), AP_STILL_MS); /* f1 goes for it */
    assert_int_equal(ap_still_ms(s, "f1", "e", false, 1), AP_STILL_MS);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(what_only_we_write_is_written_at_once),
        TEST(a_file_of_which_nothing_is_known_is_waited_for_the_shorter_time_and_once),
        TEST(what_others_write_is_waited_for_the_longer_time_until_they_have_stopped),
        TEST(a_lost_race_tells_of_others_too),
        TEST(of_the_file_that_the_server_writes_without_a_second_try_more_is_waited),
        TEST(of_more_files_than_are_remembered_the_first_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
