/*
 * verify and the versions of files: what is equal, what is missing, what is only counted.
 */
#include "fake_target.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA_A "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SUM_A "SHA1:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709 MD5:x ADLER32:y"

/* clang-format off */
#define DIR(id, parent, name, path) \
    {T_FILE, {id, "1", parent, name, path, "2", "0", "50", "0", NULL}}
#define A_FILE(id, parent, name, path, size, mtime) \
    {T_FILE, {id, "1", parent, name, path, "3", size, mtime, "0", SUM_A}}
/* alice: files/docs/a.txt (12) with versions of 40 and 50, files/b.txt (13) without any */
#define ALICE \
    {T_FOLDER_TYPE, {"2"}}, {T_USER, {"alice", "/data/alice", "1"}}, \
    {T_STORAGE, {"1", "home::alice"}}, DIR("1", "-1", "", ""), DIR("10", "1", "files", "files"), \
    DIR("11", "10", "docs", "files/docs"), \
    A_FILE("12", "11", "a.txt", "files/docs/a.txt", "5", "70"), \
    A_FILE("13", "10", "b.txt", "files/b.txt", "6", "80"), \
    DIR("30", "1", "files_versions", "files_versions"), \
    DIR("31", "30", "docs", "files_versions/docs"), \
    A_FILE("32", "31", "a.txt.v40", "files_versions/docs/a.txt.v40", "3", "99"), \
    A_FILE("33", "31", "a.txt.v50", "files_versions/docs/a.txt.v50", "4", "99"), \
    A_FILE("34", "31", "a.txt.v50.json", "files_versions/docs/a.txt.v50.json", "4", "99"), \
    A_FILE("35", "31", "other.v50", "files_versions/docs/other.v50", "4", "99")
#define END {-1, {NULL}}
/* clang-format on */

static const struct fake_row rows[] = {ALICE, END};
static const struct fake_node nodes[] = {
    {"alice", NULL, "n-docs", "docs", true, 5, 999, NULL},
    {"alice", "n-docs", "n-a", "a.txt", false, 5, 70, SHA_A},
    {"alice", NULL, "n-b", "b.txt", false, 6, 80, SHA_A},
    {0},
};

static void
run_with(struct verify_run *run, const struct fake_version *versions)
{
    fake.nodes = nodes;
    fake.versions = versions;
    verify_begin(run, rows);
    verify_all(run);
}

static void
versions_by_time_and_size_are_equal_and_more_of_them_are_counted(void **state)
{
    static const struct fake_version versions[] = {
        {"alice", "n-a", 50, 4},
        {"alice", "n-a", 30, 4},
        {"alice", "n-a", 40, 3},
        {"alice", "n-b", 20, 1},
        {0},
    };
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    run_with(&run, versions);
    assert_string_equal(verify_difference(&run, 0), "");
    verify_sum_up(&run.verify, kept, left);
    assert_int_equal(kept[VK_EXPIRIES], 1); /* b.txt has no version and is not asked for */
    verify_end(&run);
}

static void
versions_that_could_not_be_listed_are_never_equal(void **state)
{
    static const struct fake_version versions[] = {
        {"alice", "n-a", 50, 4}, {"alice", "n-a", 40, 3}, {0}};
    struct verify_run run;

    (void)state;
    fake.fails = "versions";
    fake.cause = "gone"; /* oCIS says so also when it ran out of time */
    run_with(&run, versions);
    assert_string_equal(verify_difference(&run, 0),
                        "alice|went away while it was read|files/docs/a.txt||versions: gone");
    verify_end(&run);
    fake.fails = "versions";
    fake.cause = "internal";
    run_with(&run, versions);
    assert_string_equal(verify_difference(&run, 0),
                        "alice|versions cannot be listed|files/docs/a.txt||versions: internal");
    verify_end(&run);
}

static void
a_version_that_is_not_there_or_has_another_size_is_a_difference(void **state)
{
    static const struct fake_version versions[] = {{"alice", "n-a", 40, 9}, {0}};
    static const char *const on_disk[] = {"/files_versions", "/files_versions/docs",
                                          "/files_versions/docs/a.txt.v40",
                                          "/files_versions/docs/a.txt.v50"};
    struct verify_run run;
    int found = 0;
    char home[64] = "/tmp/verify-versions-XXXXXX", path[256];

    (void)state;
    assert_non_null(mkdtemp(home));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", home, on_disk[i]);
        assert_true(i < 2 ? mkdir(path, 0700) == 0 : close(creat(path, 0600)) == 0);
    }
    fake.nodes = nodes;
    fake.versions = versions;
    verify_begin(&run, rows);
    run.verify.side->users->home = home;
    verify_all(&run);
    for (size_t i = 0; i < 2; i++) { /* in any order */
        const char *is = verify_difference(&run, i);
        found |= !strcmp(is, "alice|version missing|files/docs/a.txt|of 40, 3 bytes|")   ? 1
                 : !strcmp(is, "alice|version missing|files/docs/a.txt|of 50, 4 bytes|") ? 2
                                                                                         : 0;
    }
    assert_int_equal(found, 3);
    assert_string_equal(verify_difference(&run, 2), "");
    for (int i = 3; i >= 0; i--) {
        snprintf(path, sizeof path, "%s%s", home, on_disk[i]);
        remove(path);
    }
    remove(home);
    verify_end(&run);
}

static void
a_version_from_before_1970_is_compared_as_any_other(void **state)
{
    static const struct fake_row old[] = {
        ALICE, A_FILE("36", "31", "a.txt.v-5", "files_versions/docs/a.txt.v-5", "2", "99"),
        A_FILE("37", "31", "a.txt.v-", "files_versions/docs/a.txt.v-", "2", "99"), END};
    static const struct fake_version versions[] = {
        {"alice", "n-a", -5, 2}, {"alice", "n-a", 50, 4}, {"alice", "n-a", 40, 3}, {0}};
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    for (int without = 0; without < 2; without++) {
        fake.nodes = nodes;
        fake.versions = versions + without;
        verify_begin(&run, old);
        verify_all(&run);
        verify_sum_up(&run.verify, kept, left);
        assert_int_equal(kept[VK_EXPIRIES], 0);
        /* without a home on the disk it may be one whose file is gone */
        assert_int_equal(left[VL_VERSIONS_GONE] + run.verify.differences.n, without);
        verify_end(&run);
    }
}

static void
the_newest_may_be_what_the_file_holds_now(void **state)
{
    static const struct fake_node now[] = {
        {"alice", NULL, "n-docs", "docs", true, 5, 999, NULL},
        {"alice", "n-docs", "n-a", "a.txt", false, 4, 50, SHA_A},
        {"alice", NULL, "n-b", "b.txt", false, 6, 80, SHA_A},
        {0},
    };
    static const struct fake_version versions[] = {{"alice", "n-a", 40, 3}, {0}};
    struct verify_run run;

    (void)state;
    fake.nodes = now;
    fake.versions = versions;
    verify_begin(&run, rows);
    verify_all(&run);
    for (size_t i = 0; i < run.verify.differences.n; i++)
        assert_null(strstr(verify_difference(&run, i), "version"));
    verify_end(&run);
}

static void
a_version_whose_file_is_gone_from_the_disk_is_only_counted(void **state)
{
    char home[64] = "/tmp/verify-versions-XXXXXX", other[80];
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    assert_non_null(mkdtemp(home));
    snprintf(other, sizeof(other), "%s/files", home); /* else it is a disk that is away */
    assert_int_equal(mkdir(other, 0700), 0);
    fake.nodes = nodes;
    verify_begin(&run, rows);
    run.verify.side->users->home = home;
    verify_all(&run);
    verify_sum_up(&run.verify, kept, left);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(left[VL_VERSIONS_GONE], 2);
    verify_end(&run);
    rmdir(other);
    rmdir(home);
}

/* Those of a.txt, deleted at 900, and of a file in a folder deleted at 901. */
static void
versions_in_the_trash_are_counted_as_not_compared(void **state)
{
    static const struct fake_row trashed[] = {
        ALICE,
        DIR("40", "1", "files_trashbin", "files_trashbin"),
        DIR("41", "40", "versions", "files_trashbin/versions"),
        A_FILE("42", "41", "a.txt.v40.d900", "files_trashbin/versions/a.txt.v40.d900", "3", "9"),
        A_FILE("43", "41", "a.txt.v50.d900", "files_trashbin/versions/a.txt.v50.d900", "3", "9"),
        A_FILE("44", "41", "a.txt.v50.json.d900", "files_trashbin/versions/a.txt.v50.json.d900",
               "3", "9"),
        A_FILE("48", "41", "a.txt.v50.d900.json", "files_trashbin/versions/a.txt.v50.d900.json",
               "3", "9"),
        A_FILE("49", "41", "a.txt.v-5.d900", "files_trashbin/versions/a.txt.v-5.d900", "3", "9"),
        A_FILE("45", "41", "odd.d900", "files_trashbin/versions/odd.d900", "3", "9"),
        DIR("46", "41", "box.d901", "files_trashbin/versions/box.d901"),
        A_FILE("47", "46", "in.v7", "files_trashbin/versions/box.d901/in.v7", "3", "9"),
        END};
    static const struct fake_version versions[] = {
        {"alice", "n-a", 50, 4}, {"alice", "n-a", 40, 3}, {0}};
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    fake.nodes = nodes;
    fake.versions = versions;
    verify_begin(&run, trashed);
    verify_all(&run);
    assert_string_equal(verify_difference(&run, 0), "");
    verify_sum_up(&run.verify, kept, left);
    assert_int_equal(left[VL_VERSIONS_TRASHED], 4);
    verify_end(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_by_time_and_size_are_equal_and_more_of_them_are_counted),
        cmocka_unit_test(versions_that_could_not_be_listed_are_never_equal),
        cmocka_unit_test(a_version_that_is_not_there_or_has_another_size_is_a_difference),
        cmocka_unit_test(a_version_from_before_1970_is_compared_as_any_other),
        cmocka_unit_test(the_newest_may_be_what_the_file_holds_now),
        cmocka_unit_test(a_version_whose_file_is_gone_from_the_disk_is_only_counted),
        cmocka_unit_test(versions_in_the_trash_are_counted_as_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
