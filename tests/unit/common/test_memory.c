/* The arena and the buffer: what they hold, and that they hold no more. */
#include "tests/unit/common/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include <inttypes.h>

static void
an_arena_gives_zeroed_aligned_memory(void **state)
{
    struct ls_arena *arena = ls_arena_new(1 << 20);

    (void)state;
    assert_non_null(arena);
    for (size_t n = 0; n < 200; n++) {
        unsigned char *p = ls_arena_alloc(arena, n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    ls_arena_reset(arena);
    assert_int_equal(ls_arena_used(arena), 0);
    assert_int_equal(*(int *)ls_arena_alloc(arena, sizeof(int)), 0);
    ls_arena_free(arena);
}

static void
an_arena_never_holds_more_than_its_cap(void **state)
{
    struct ls_arena *arena = ls_arena_new(100000);
    size_t got = 0;

    (void)state;
    while (ls_arena_alloc(arena, 1000))
        got += 1000;
    assert_in_range(got, 90000, 100000);
    assert_null(ls_arena_alloc(arena, 100001));
    assert_null(ls_arena_alloc(arena, SIZE_MAX));
    assert_null(ls_arena_strndup(arena, "", SIZE_MAX));
    ls_arena_free(arena);
}

static void
a_large_piece_fits_after_small_batches(void **state)
{
    struct ls_arena *arena = ls_arena_new(200000);

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 150; i++)
            assert_non_null(ls_arena_alloc(arena, 1000));
        ls_arena_reset(arena);
        assert_non_null(ls_arena_alloc(arena, 180000));
        ls_arena_reset(arena);
    }
    ls_arena_free(arena);
}

static void
arena_strings_end_with_a_nul(void **state)
{
    struct ls_arena *arena = ls_arena_new(4096);

    (void)state;
    assert_string_equal(ls_arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(ls_arena_strndup(arena, NULL, 0), "");
    assert_string_equal(ls_arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    assert_null(ls_arena_printf(arena, "%5000d", 1));
    ls_arena_free(arena);
    ls_arena_free(NULL);
}

static void
a_buffer_fails_once_and_keeps_failing(void **state)
{
    struct ls_buf buf;

    (void)state;
    ls_buf_init(&buf, 10);
    assert_string_equal(ls_buf_text(&buf), "");
    assert_int_equal(ls_buf_append(&buf, "12345", 5), 0);
    assert_int_equal(ls_buf_append(&buf, "678901", 6), -1);
    assert_true(buf.failed);
    /* No hole: what would fit is refused, too. */
    assert_int_equal(ls_buf_append(&buf, "6", 1), -1);
    assert_null(ls_buf_text(&buf));
    ls_buf_clear(&buf);
    assert_int_equal(ls_buf_append(&buf, "0123456789", 10), 0);
    assert_string_equal(ls_buf_text(&buf), "0123456789");
    assert_int_equal(ls_buf_printf(&buf, "%d", 1), -1);
    ls_buf_free(&buf);
    assert_null(buf.p);
}

static void
a_buffer_grows_to_its_cap(void **state)
{
    struct ls_buf buf;

    (void)state;
    ls_buf_init(&buf, 100000);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(ls_buf_printf(&buf, "%05d", i), 0);
    assert_int_equal(buf.n, 100000);
    assert_null(ls_buf_room(&buf, 1));
    assert_memory_equal(buf.p + 99995, "19999", 5);
    ls_buf_free(&buf);
}

static void
null_equals_null_only(void **state)
{
    (void)state;
    assert_true(ls_str_eq(LS_STR_NULL, ls_str_of(NULL)));
    assert_false(ls_str_eq(LS_STR_NULL, LS_STR("")));
    assert_true(ls_str_is(LS_STR("ab"), "ab"));
    assert_false(ls_str_is(LS_STR("ab"), "abc"));
}

static void
digits_are_digits_alone(void **state)
{
    static const char *const none[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "0x1", "9223372036854775808", "99999999999999999999"};
    int64_t n = -1;

    (void)state;
    assert_true(ls_str_digits(LS_STR("0"), &n) && n == 0);
    assert_true(ls_str_digits(LS_STR("007"), &n) && n == 7);
    assert_true(ls_str_digits(LS_STR("9223372036854775807"), &n) && n == INT64_MAX);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(ls_str_digits(ls_str_of(none[i]), &n));
    assert_false(ls_str_digits(LS_STR_NULL, &n));
    assert_false(ls_str_digits(LS_STR("1\0002"), &n));
}

static void
numbers_are_put_as_printf_would(void **state)
{
    static const int64_t numbers[] = {0,     7,         10,       -1,        -10,
                                      99999, INT32_MAX, -1234567, INT64_MAX, INT64_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char out[LS_DIGITS], wanted[LS_DIGITS + 1];
        int n = snprintf(wanted, sizeof(wanted), "%" PRId64, numbers[i]);

        assert_true(n > 0);
        assert_int_equal(ls_digits_put(numbers[i], out), (size_t)n);
        assert_memory_equal(out, wanted, (size_t)n);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(an_arena_never_holds_more_than_its_cap),
        cmocka_unit_test(a_large_piece_fits_after_small_batches),
        cmocka_unit_test(arena_strings_end_with_a_nul),
        cmocka_unit_test(a_buffer_fails_once_and_keeps_failing),
        cmocka_unit_test(a_buffer_grows_to_its_cap),
        cmocka_unit_test(null_equals_null_only),
        cmocka_unit_test(digits_are_digits_alone),
        cmocka_unit_test(numbers_are_put_as_printf_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
