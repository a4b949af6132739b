/* Where a file went, by rows of the mirror in any order. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "ctl/id.h"

static void
give(struct ctl_id *id, const char *key, const char *value)
{
    struct ls_err err = {0};

    assert_int_equal(ctl_id_row(id, ls_str_of(key), value ? ls_str_of(value) : LS_STR_NULL, &err),
                     0);
}

static const char *
word(json_t *places, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(places, i), key));
}

#define NODE(id, fileid, parent, name, folder, leftover)                                           \
    "{\"id\":" id ",\"fileid\":" fileid ",\"storage\":3,\"target\":\"T" id "\",\"parent\":" parent \
    ",\"name\":\"" name "\",\"folder\":" folder ",\"leftover\":" leftover "}"

static void
a_file_is_found_by_its_number_with_the_folders_around_it(void **state)
{
    struct ctl_id *id = ctl_id_new(7);
    json_t *places;

    (void)state;
    give(id, "node:2", NODE("2", "7", "1", "a.txt", "0", "0"));
    give(id, "node:1", NODE("1", "6", "0", "old name", "1", "0"));
    give(id, "node:1", NODE("1", "6", "0", "Docs", "1", "0")); /* renamed since */
    give(id, "node:5", NODE("5", "8", "1", "b.txt", "0", "0"));
    give(id, "space:3", "{\"storage\":3,\"owner\":\"alice\",\"space_id\":\"S\"}");
    places = ctl_id_places(id);
    assert_int_equal(json_array_size(places), 1);
    assert_string_equal(word(places, 0, "path"), "/Docs/a.txt");
    assert_string_equal(word(places, 0, "node"), "T2");
    assert_string_equal(word(places, 0, "owner"), "alice");
    assert_string_equal(word(places, 0, "state"), "live");
    json_decref(places);
    ctl_id_free(id);
}

static void
what_lies_in_the_trash_what_is_old_and_what_has_lost_a_folder_says_so(void **state)
{
    struct ctl_id *id = ctl_id_new(7);
    json_t *places;

    (void)state;
    give(id, "node:2", NODE("2", "7", "-1", "a.txt", "0", "0"));
    give(id, "node:3", NODE("3", "7", "9", "a.txt", "0", "1"));
    places = ctl_id_places(id);
    assert_int_equal(json_array_size(places), 2);
    assert_string_equal(word(places, 0, "state"), "trash");
    assert_string_equal(word(places, 1, "state"), "old");
    assert_string_equal(word(places, 1, "path"), ".../a.txt");
    json_decref(places);
    give(id, "node:2", NULL);
    give(id, "node:3", NULL);
    give(id, "link:3", "{}");
    places = ctl_id_places(id);
    assert_int_equal(json_array_size(places), 0);
    json_decref(places);
    ctl_id_free(id);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_found_by_its_number_with_the_folders_around_it),
        cmocka_unit_test(what_lies_in_the_trash_what_is_old_and_what_has_lost_a_folder_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
