/*
 * verify against a target that a test made: what is equal, and what must not be.
 */
#include "fake_target.h"
#include "transform/map.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA_A "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SHA_B "0000000000000000000000000000000000000001"
#define SUM_A "SHA1:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709 MD5:x ADLER32:y"

#define USER(uid, state)                                                                           \
    {                                                                                              \
        T_USER,                                                                                    \
        {                                                                                          \
            uid, "/data/" uid, state                                                               \
        }                                                                                          \
    }
#define HOME(number, uid)                                                                          \
    {                                                                                              \
        T_STORAGE,                                                                                 \
        {                                                                                          \
            number, "home::" uid                                                                   \
        }                                                                                          \
    }
/* fileid, storage, parent, name, path, mimetype (2: folder), size, mtime, encrypted, checksum */
#define DIR(id, storage, parent, name, path)                                                       \
    {                                                                                              \
        T_FILE,                                                                                    \
        {                                                                                          \
            id, storage, parent, name, path, "2", "0", "50", "0", NULL                             \
        }                                                                                          \
    }
#define FILE_ROW(id, storage, parent, name, path, size, mtime)                                     \
    {                                                                                              \
        T_FILE,                                                                                    \
        {                                                                                          \
            id, storage, parent, name, path, "3", size, mtime, "0", SUM_A                          \
        }                                                                                          \
    }
/* id, type, with, owner, initiator, parent, file, permissions, stime, accepted, expiration, name */
#define SHARE(id, type, with, file, permissions, accepted, expiration)                             \
    {                                                                                              \
        T_SHARE,                                                                                   \
        {                                                                                          \
            id, type, with, "alice", "alice", NULL, file, permissions, "1", accepted, expiration,  \
                NULL                                                                               \
        }                                                                                          \
    }
#define END                                                                                        \
    {                                                                                              \
        -1,                                                                                        \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }

/* alice: files/docs/a.txt (id 12), files/b.txt (13), trash old.txt.d100, box.d200 with in.txt */
#define ALICE                                                                                      \
    {T_FOLDER_TYPE, {"2"}}, USER("alice", "1"), HOME("1", "alice"), DIR("1", "1", "-1", "", ""),   \
        DIR("10", "1", "1", "files", "files"), DIR("11", "1", "10", "docs", "files/docs"),         \
        FILE_ROW("12", "1", "11", "a.txt", "files/docs/a.txt", "5", "70"),                         \
        FILE_ROW("13", "1", "10", "b.txt", "files/b.txt", "6", "80"),                              \
        DIR("20", "1", "1", "files_trashbin", "files_trashbin"),                                   \
        DIR("21", "1", "20", "files", "files_trashbin/files"),                                     \
        FILE_ROW("22", "1", "21", "old.txt.d100", "files_trashbin/files/old.txt.d100", "7", "60"), \
        DIR("23", "1", "21", "box.d200", "files_trashbin/files/box.d200"),                         \
        FILE_ROW("24", "1", "23", "in.txt", "files_trashbin/files/box.d200/in.txt", "8", "60"),    \
        {T_TRASH, {"old.txt", "alice", "100", "docs"}},                                            \
    {                                                                                              \
        T_TRASH,                                                                                   \
        {                                                                                          \
            "box", "alice", "200", "."                                                             \
        }                                                                                          \
    }
#define BOB USER("bob", "1"), HOME("2", "bob"), DIR("2", "2", "-1", "", "")

static const struct fake_node alice_nodes[] = {
    {"alice", NULL, "n-docs", "docs", true, 5, 999, NULL},
    {"alice", "n-docs", "n-a", "a.txt", false, 5, 70, SHA_A},
    {"alice", NULL, "n-b", "b.txt", false, 6, 80, SHA_A},
    {0},
};
static const struct fake_trash alice_trash[] = {
    {"alice", NULL, "t-old", "old.txt", "docs", false, 7, 100},
    {"alice", NULL, "t-box", "box", "", true, 4096, 999},
    {"alice", "t-box", "t-box/in.txt", "in.txt", NULL, false, 8, 0},
    {0},
};

static void
run_all(struct verify_run *run, const struct fake_row *rows)
{
    verify_begin(run, rows);
    verify_all(run);
}

static size_t
not_kept(const struct verify_run *run, enum verify_not_kept what)
{
    size_t kept_n[VK_MAX], left_n[VL_MAX];

    verify_sum_up(&run->verify, kept_n, left_n);
    return kept_n[what];
}

static size_t
left(const struct verify_run *run, enum verify_left what)
{
    size_t kept_n[VK_MAX], left_n[VL_MAX];

    verify_sum_up(&run->verify, kept_n, left_n);
    return left_n[what];
}

static void
equal_sides_have_no_difference_and_say_what_is_not_kept(void **state)
{
    static const struct fake_row rows[] = {ALICE, END};
    struct verify_run run;

    (void)state;
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(run.verify.differences.n, 0);
    assert_int_equal(run.verify.users[0].count[VC_FILES], 2);
    assert_int_equal(run.verify.users[0].count[VC_FOLDERS], 1);
    assert_int_equal(run.verify.users[0].count[VC_TRASH], 2);
    assert_int_equal(not_kept(&run, VK_FOLDER_MTIMES), 1);
    assert_int_equal(not_kept(&run, VK_IDS), 3);
    assert_int_equal(not_kept(&run, VK_TRASH_TIMES), 1);
    assert_int_equal(not_kept(&run, VK_TRASH_PLACES), 0);
    verify_end(&run);
}

static void
size_content_and_mtime_are_differences(void **state)
{
    static const struct fake_row rows[] = {ALICE, END};
    static const struct fake_node nodes[] = {
        {"alice", NULL, "n-docs", "docs", true, 5, 999, NULL},
        {"alice", "n-docs", "n-a", "a.txt", false, 4, 71, SHA_A},
        {"alice", NULL, "n-b", "b.txt", false, 6, 80, SHA_B},
        {0},
    };
    struct verify_run run;

    (void)state;
    fake.nodes = nodes;
    fake.trash = alice_trash;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 3);
    assert_string_equal(verify_difference(&run, 0), "alice|content|files/b.txt|" SHA_A "|" SHA_B);
    assert_string_equal(verify_difference(&run, 1), "alice|mtime|files/docs/a.txt|70|71");
    assert_string_equal(verify_difference(&run, 2), "alice|size|files/docs/a.txt|5|4");
    verify_end(&run);
}

static void
missing_extra_and_another_type_are_named(void **state)
{
    static const struct fake_row rows[] = {ALICE, END};
    static const struct fake_node nodes[] = {
        {"alice", NULL, "n-b", "b.txt", true, 6, 80, NULL},
        {"alice", NULL, "n-x", "x", false, 1, 1, SHA_A},
        {0},
    };
    struct verify_run run;

    (void)state;
    fake.nodes = nodes;
    fake.trash = alice_trash;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 3);
    assert_string_equal(verify_difference(&run, 0), "alice|type|files/b.txt|file|folder");
    assert_string_equal(verify_difference(&run, 1), "alice|missing|files/docs|folder, 1 below|");
    assert_string_equal(verify_difference(&run, 2), "alice|extra|files/x||file");
    verify_end(&run);
}

static void
the_copy_of_a_second_row_of_one_place_has_its_free_name_and_is_no_difference(void **state)
{
    /* as ownCloud leaves them when a folder is moved and the file written again */
    static const struct fake_row rows[] = {
        USER("alice", "1"),
        HOME("1", "alice"),
        DIR("1", "1", "-1", "", ""),
        DIR("10", "1", "1", "files", "files"),
        FILE_ROW("12", "1", "10", "x.txt", "files/q/x.txt", "1", "70"),
        FILE_ROW("13", "1", "10", "x.txt", "files/x.txt", "5", "70"),
        DIR("14", "1", "10", "box", "files/q/box"),
        DIR("15", "1", "10", "box", "files/box"),
        {T_FOLDER_TYPE, {"2"}},
        END};
    struct fake_node nodes[] = {{"alice", NULL, "n-x", "x.txt", false, 5, 70, SHA_A},
                                {"alice", NULL, "n-box", "box", true, 0, 0, NULL},
                                {"alice", NULL, "n-2", "x.txt (lockstep 12)", false, 1, 70, SHA_B},
                                {"alice", NULL, "n-3", "box (lockstep 14)", true, 0, 0, NULL},
                                {0}};
    struct verify_run run;

    (void)state;
    fake.nodes = nodes;
    verify_begin(&run, rows);
    verify_all(&run);
    assert_int_equal(run.verify.side->n_doubled, 2);
    assert_string_equal(verify_difference(&run, 0), "");
    verify_end(&run);

    nodes[2].name = "x.txt (lockstep 13)"; /* the row that users see: it has its own name */
    fake.nodes = nodes;
    verify_begin(&run, rows);
    verify_all(&run);
    assert_string_equal(verify_difference(&run, 0), "alice|extra|files/x.txt (lockstep 13)||file");
    assert_int_equal(run.verify.differences.n, 1);
    verify_end(&run);
}

static void
what_is_encrypted_is_missing_and_says_why(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        {T_FILE, {"26", "1", "10", "e.txt", "files/e.txt", "3", "1", "1", "7", SUM_A}},
        {T_FILE,
         {"27", "1", "21", "e.d300", "files_trashbin/files/e.d300", "3", "1", "1", "1", SUM_A}},
        END};
    struct verify_run run;

    (void)state;
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 2);
    assert_string_equal(verify_difference(&run, 0), "alice|missing (encrypted)|files/e.txt|file|");
    assert_string_equal(verify_difference(&run, 1),
                        "alice|trash: missing (encrypted)|files_trashbin/files/e.d300|file|");
    verify_end(&run);
}

static void
a_folder_that_goes_while_it_is_read_is_a_difference(void **state)
{
    static const struct fake_row rows[] = {ALICE, END};
    struct verify_run run;

    (void)state;
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.gone = "n-docs";
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0),
                        "alice|went away while it was read|files/docs|folder|gone");
    verify_end(&run);
}

static void
what_fails_for_one_thing_is_told_and_the_rest_is_compared(void **state)
{
    static const struct {
        const char *fails, *want;
    } cases[] = {
        {"user", "alice|user cannot be looked at||"},
        {"list", "alice|cannot be listed at the target|files|folder|list: internal"},
        {"trash", "alice|trash: cannot be listed|||trash: internal"},
        {"received", "alice|shares: cannot be listed|||received: internal"},
        {"links", "alice|links: cannot be listed|||links: internal"},
    };
    static const struct fake_row rows[] = {ALICE, END};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verify_run run;
        char first[200];

        fake.nodes = alice_nodes;
        fake.trash = alice_trash;
        fake.fails = cases[i].fails;
        fake.cause = "internal";
        run_all(&run, rows);
        snprintf(first, sizeof first, "%.*s", (int)strlen(cases[i].want),
                 verify_difference(&run, 0));
        assert_string_equal(first, cases[i].want);
        verify_end(&run);
    }
}

static void
a_quota_is_the_accounts_or_else_the_preferences_and_the_space_has_it(void **state)
{
    static const struct {
        const char *account, *preference;
        int64_t normal, have;
        const char *want; /* of the difference; "" none, "none", "unseen" */
    } cases[] = {
        {"5 GB", "1 GB", 0, 5368709120, ""},
        {"5 GB", "1 GB", 0, 1073741824, "5368709120 bytes|1073741824 bytes"},
        {NULL, "1 GB", 0, 1073741824, ""},
        {NULL, "1 GB", 0, 0, "1073741824 bytes|no limit"},
        {"0 B", NULL, 0, 1, ""},
        {"0 B", NULL, 0, 0, "1 bytes|no limit"},
        {"none", "1 GB", 0, 7, "none"},
        {"none", "1 GB", 9, 7, "none"},
        {"default", "1 GB", 0, 7, "none"},
        {"default", "1 GB", 9, 7, "9 bytes|7 bytes"},
        {NULL, NULL, 0, 7, "none"},
        {NULL, NULL, 9, 9, ""},
        {"1 GB", NULL, 0, -1, "unseen"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct fake_row rows[] = {{T_FOLDER_TYPE, {"2"}},
                                        {T_USER, {"ann", "/data/ann", "1", cases[i].account}},
                                        HOME("1", "ann"),
                                        {T_PREFERENCE, {"ann", cases[i].preference}},
                                        END};
        char root[] = "data.root=/nonexistent", set[64], *sets[] = {root, set};
        size_t kept[VK_MAX], left[VL_MAX];
        bool differs = strchr(cases[i].want, '|') != NULL;
        struct verify_run run;
        struct ls_err err = {0};

        fake.quota = cases[i].have;
        verify_begin(&run, rows);
        snprintf(set, sizeof set, "people.default_quota=%d", (int)cases[i].normal);
        ls_config_free(run.config);
        assert_int_equal(ls_config_load(NULL, sets, 2, &run.config, &err), 0);
        run.verify.config = run.config;
        verify_all(&run);
        assert_int_equal(run.verify.differences.n, differs);
        if (differs)
            assert_string_equal(strstr(verify_difference(&run, 0), "ann|quota||") + 11,
                                cases[i].want);
        verify_sum_up(&run.verify, kept, left);
        assert_int_equal(left[VL_QUOTA_NONE], strcmp(cases[i].want, "none") == 0);
        assert_int_equal(left[VL_QUOTA_UNSEEN], strcmp(cases[i].want, "unseen") == 0);
        assert_int_equal(left[VL_ACCOUNT], 1);
        verify_end(&run);
    }
}

static void
a_target_that_is_away_or_lets_nobody_in_ends_the_comparison(void **state)
{
    static const char *const parts[] = {"user", "list", "trash", "received", "links"};
    static const char *const causes[] = {"target-down", "sign-in"};
    static const struct fake_row rows[] = {ALICE, END};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof parts / sizeof parts[0]; i++) {
        struct verify_run run;
        struct ls_err err = {0};

        fake.nodes = alice_nodes;
        fake.trash = alice_trash;
        fake.fails = parts[i / 2];
        fake.cause = causes[i % 2];
        verify_begin(&run, rows);
        assert_int_equal(verify_compare(&run.verify, &err), -1);
        assert_string_equal(err.cause, causes[i % 2]);
        verify_end(&run);
    }
}

static void
without_a_checksum_the_disk_is_read_and_a_home_that_is_away_is_unseen(void **state)
{
    static const struct fake_row rows[] = {
        {T_FOLDER_TYPE, {"2"}},
        USER("alice", "1"),
        HOME("1", "alice"),
        DIR("1", "1", "-1", "", ""),
        DIR("10", "1", "1", "files", "files"),
        {T_FILE, {"13", "1", "10", "b.txt", "files/b.txt", "3", "6", "80", "0", ""}},
        END};
    static const struct fake_node nodes[] = {{"alice", NULL, "n-b", "b.txt", false, 6, 80, SHA_A},
                                             {0}};
    struct verify_run run;

    (void)state;
    fake.nodes = nodes;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(
        strstr(verify_difference(&run, 0), "alice|content cannot be read at the source||"));
    assert_int_equal(run.verify.differences.each[0]->when, VW_UNSEEN);
    verify_end(&run);
}

static void
an_mtime_beyond_the_targets_range_is_expected_clamped_and_counted(void **state)
{
    static const struct fake_row rows[] = {
        {T_FOLDER_TYPE, {"2"}},
        USER("alice", "1"),
        HOME("1", "alice"),
        DIR("1", "1", "-1", "", ""),
        DIR("10", "1", "1", "files", "files"),
        FILE_ROW("13", "1", "10", "b.txt", "files/b.txt", "6", "253402300800"),
        END};
    static const struct fake_node nodes[] = {
        {"alice", NULL, "n-b", "b.txt", false, 6, 9223372035, SHA_A}, {0}};
    struct verify_run run;

    (void)state;
    fake.nodes = nodes;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(not_kept(&run, VK_MTIME_RANGE), 1);
    assert_int_equal(verify_mtime(-5), -5);
    assert_int_equal(verify_mtime(0), 0);
    verify_end(&run);
}

/* ---- people */

static const char *const nobody[] = {NULL}, *const only_alice[] = {"alice", NULL};

static void
a_user_who_cannot_sign_in_is_a_difference_as_soon_as_he_has_files(void **state)
{
    static const struct fake_row rows[] = {ALICE, USER("bob", "2"), USER("carol", "1"),
                                           USER("dave", "0"), END};
    struct verify_run run;
    size_t enabled = 0;

    (void)state;
    fake.users = nobody;
    run_all(&run, rows);
    /* alice has files, carol and dave are enabled; bob is disabled and has nothing */
    assert_int_equal(run.verify.differences.n, 3);
    for (size_t i = 0; i < 3; i++)
        enabled += strstr(verify_difference(&run, i), "|user missing or disabled||") != NULL;
    assert_int_equal(enabled, 3);
    assert_int_equal(left(&run, VL_DISABLED), 1);
    verify_end(&run);
}

static const struct fake_row disabled_with_a_file[] = {
    {T_FOLDER_TYPE, {"2"}},
    USER("alice", "2"),
    HOME("1", "alice"),
    DIR("1", "1", "-1", "", ""),
    DIR("10", "1", "1", "files", "files"),
    FILE_ROW("13", "1", "10", "b.txt", "files/b.txt", "6", "80"),
    END};

static void
a_disabled_user_with_files_is_never_silently_equal(void **state)
{
    struct verify_run run;

    (void)state;
    fake.users = nobody;
    run_all(&run, disabled_with_a_file);
    assert_int_equal(run.verify.differences.n, 1);
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_UNSEEN);
    assert_string_equal(verify_difference(&run, 0),
                        "alice|user cannot be looked at||disabled, 1 files and folders, 0 in the "
                        "trash|cannot sign in; set [target] service_account_id and "
                        "service_account_secret to look at him");
    verify_end(&run);
}

static void
a_disabled_user_whom_the_target_does_not_know_is_a_difference(void **state)
{
    struct verify_run run;

    (void)state;
    fake.users = fake.served = nobody;
    run_all(&run, disabled_with_a_file);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "trash|does not exist"));
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_DIFFERENT);
    verify_end(&run);
}

static void
the_service_account_looks_at_a_disabled_user(void **state)
{
    static const struct fake_node nodes[] = {{"alice", NULL, "n1", "b.txt", false, 6, 80, SHA_A},
                                             {"alice", NULL, "n2", "c", true, 0, 0, NULL},
                                             {0}};
    struct verify_run run;

    (void)state;
    fake.users = nobody;
    fake.served = only_alice;
    fake.nodes = nodes;
    run_all(&run, disabled_with_a_file);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0), "alice|extra|files/c||folder");
    assert_int_equal(left(&run, VL_RECEIVED_DISABLED), 1);
    assert_int_equal(left(&run, VL_DISABLED), 0);
    verify_end(&run);
}

static void
a_link_that_nobody_is_shown_is_not_compared(void **state)
{
    static const struct fake_row rows[] = {
        {T_FOLDER_TYPE, {"2"}},
        USER("alice", "2"),
        HOME("1", "alice"),
        DIR("1", "1", "-1", "", ""),
        DIR("10", "1", "1", "files", "files"),
        FILE_ROW("13", "1", "10", "b.txt", "files/b.txt", "6", "80"),
        {T_SHARE, {"1", "3", NULL, "alice", "alice", NULL, "13", "1", "1", "0", NULL, "press"}},
        END};
    static const struct fake_node nodes[] = {{"alice", NULL, "n1", "b.txt", false, 6, 80, SHA_A},
                                             {0}};
    struct verify_run run;

    (void)state;
    fake.users = nobody;
    fake.served = only_alice;
    fake.nodes = nodes;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(left(&run, VL_LINK_DISABLED), 1);
    verify_end(&run);
}

static void
an_enabled_user_who_is_disabled_at_the_target_differs_whatever_the_service_account_sees(
    void **state)
{
    static const struct fake_row rows[] = {USER("alice", "1"), END};
    struct verify_run run;

    (void)state;
    fake.users = nobody;
    fake.served = only_alice;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "alice|user missing or disabled"));
    verify_end(&run);
}

/* ---- trash */

static void
trash_is_matched_by_name_size_and_what_lies_below(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        FILE_ROW("25", "1", "21", "old.txt.d300", "files_trashbin/files/old.txt.d300", "70", "60"),
        END};
    static const struct fake_trash trash[] = {
        {"alice", NULL, "t-1", "old.txt", "docs", false, 70, 300},
        {"alice", NULL, "t-2", "old.txt (lockstep 22)", "docs", false, 7, 100},
        {"alice", NULL, "t-box", "box", "", true, 4096, 200},
        {"alice", "t-box", "t-box/in.txt", "in.txt", NULL, false, 9, 0},
        {"alice", NULL, "t-x", "more", "", false, 1, 1},
        {0},
    };
    struct verify_run run;

    (void)state;
    fake.nodes = alice_nodes;
    fake.trash = trash;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 2);
    assert_non_null(strstr(verify_difference(&run, 0),
                           "alice|trash: content|files_trashbin/files/box.d200|folder, 1 below"));
    assert_string_equal(verify_difference(&run, 1), "alice|trash: extra|more||file");
    assert_int_equal(not_kept(&run, VK_TRASH_PLACES), 2); /* a free name; no row says where */
    assert_int_equal(left(&run, VL_TRASH_CONTENT), 3);
    verify_end(&run);
}

static void
trash_that_ownclouds_disk_has_lost_is_counted_apart_but_not_without_a_home(void **state)
{
    char home[] = "/tmp/lockstep-unit-XXXXXX", path[128];
    struct verify_run run;

    (void)state;
    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/files", home);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int there = 0; there < 2; there++) {
        const struct fake_row rows[] = {
            {T_FOLDER_TYPE, {"2"}},
            {T_USER, {"alice", there ? home : "/nonexistent/alice", "1"}},
            HOME("1", "alice"),
            DIR("1", "1", "-1", "", ""),
            DIR("20", "1", "1", "files_trashbin", "files_trashbin"),
            DIR("21", "1", "20", "files", "files_trashbin/files"),
            FILE_ROW("22", "1", "21", "old.txt.d100", "files_trashbin/files/old.txt.d100", "7",
                     "60"),
            END};
        run_all(&run, rows);
        assert_int_equal(run.verify.differences.n, there ? 0 : 1);
        assert_int_equal(left(&run, VL_TRASH_GONE), there);
        verify_end(&run);
    }
    rmdir(path);
    rmdir(home);
}

static void
users_of_ldap_are_looked_at_by_their_mappings_id_where_apply_does_so(void **state)
{
    static const struct fake_row rows[] = {
        {T_FOLDER_TYPE, {"2"}},
        {T_USER, {"ann", "/data/ann", "1"}},
        {T_USER, {"bob", "/data/bob", "1"}},
        {T_USER, {"cid", "/data/cid", "1"}},
        {T_LDAP, {"ann"}},
        {T_LDAP, {"cid"}},
        {T_LDAP, {"gone"}},
        {T_MAPPING, {"ann", "6A5C"}},
        {T_MAPPING, {"bob", "77"}}, /* he is a local user by now */
        {T_MAPPING, {"gone", "78"}},
        {T_MAPPING, {"cid", ""}},
        END};
    char root[] = "data.root=/nonexistent", by[] = "people.match_by=ldap-uuid";
    char *sets[] = {root, by};
    struct ls_config *config = NULL;
    struct verify_run run;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ls_config_load(NULL, sets, 2, &config, &err), 0);
    fake = (struct fake){0};
    verify_begin(&run, rows);
    assert_int_equal(verify_match(&run.verify, &err), 0);
    assert_string_equal(fake.matched, ""); /* by name */
    run.verify.config = config;
    assert_int_equal(verify_match(&run.verify, &err), 0);
    assert_string_equal(fake.matched, "ann=6A5C cid= ");
    run.verify.config = run.config;
    verify_end(&run);
    ls_config_free(config);
    fake = (struct fake){0};
}

static void
a_trash_name_ends_with_its_time_and_nothing_else_does(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        int64_t time;
    } cases[] = {
        {"a.txt.d1700000000", 5, 1700000000},
        {"a.d1.d2", 4, 2},
        {"a.txt", 5, 0},
        {"a.d", 3, 0},
        {".d5", 3, 0},
        {"a.d12x", 6, 0},
        {"a.d12345678901234567", 20, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t time = -1;
        assert_int_equal(verify_trash_name(cases[i].name, &time), cases[i].n);
        assert_int_equal(time, cases[i].time);
    }
}

/* ---- shares and links */

static int64_t
reading(void)
{
    return cs3_permissions(1, false, true);
}

static void
a_share_is_compared_by_recipient_state_and_permissions(void **state)
{
    static const struct fake_row rows[] = {ALICE, BOB, SHARE("1", "0", "bob", "13", "1", "0", NULL),
                                           END};
    struct fake_share shares[] = {{"bob", "n-b", 0, 0, CS3_SHARE_ACCEPTED, NULL}, {0}};
    struct verify_run run;

    (void)state;
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    shares[0].permissions = reading();
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(run.verify.users[1].count[VC_SHARES], 1);
    verify_end(&run);

    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    shares[0].permissions = cs3_permissions(3, false, true);
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "bob|share: permissions|files/b.txt of "));
    verify_end(&run);

    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    shares[0].permissions = reading();
    shares[0].state = CS3_SHARE_REJECTED;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0),
                        "bob|share: state|files/b.txt of alice|accepted|rejected");
    verify_end(&run);

    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0),
                        "bob|share: missing|files/b.txt of alice|accepted|");
    verify_end(&run);
}

static void
a_members_own_row_counts_before_the_groups(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        BOB,
        {T_MEMBER, {"staff", "bob"}},
        {T_MEMBER, {"staff", "alice"}}, /* she owns it: no effect */
        SHARE("1", "1", "staff", "13", "1", "0", NULL),
        {T_SHARE, {"2", "2", "bob", "alice", "alice", "1", "13", "0", "1", "0", NULL, NULL}},
        END};
    struct fake_share shares[] = {{"bob", "n-b", 0, 0, CS3_SHARE_ACCEPTED, NULL},
                                  {"alice", "n-b", 0, 0, CS3_SHARE_ACCEPTED, NULL},
                                  {0}};
    struct verify_run run;

    (void)state;
    shares[0].permissions = shares[1].permissions = reading();
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0),
                        "bob|share: state|files/b.txt of alice|rejected|accepted");
    verify_end(&run);
}

/* Who is in a directory's group the target says; in which state it is to him, only a row of his. */
static void
shares_with_a_directorys_group_are_those_of_whom_the_target_has_in_it(void **state)
{
    static const struct {
        const char *grouped, *own; /* at the target; `accepted` of his own row */
        int have;                  /* at the target */
        bool by_name;              /* apply goes by names */
        const char *is;            /* the difference */
        size_t states;
    } cases[] = {
        {"bob=5f1c ", NULL, CS3_SHARE_ACCEPTED, false, "", 0},
        {"bob=5f1c ", NULL, CS3_SHARE_PENDING, false, "", 1},
        {"bob=5f1c ", "0", CS3_SHARE_PENDING, false,
         "bob|share: state|files/b.txt of alice|accepted|pending", 0},
        {"bob=5f1c ", NULL, -1, false, "bob|share: missing|files/b.txt of alice|accepted|", 0},
        {"bob=77 ", NULL, -1, false, "", 0}, /* of another id: not in it */
        {"", NULL, CS3_SHARE_ACCEPTED, false, "bob|share: extra|files/b.txt||accepted", 0},
        {"bob=5f1c ", NULL, CS3_SHARE_ACCEPTED, true, "bob|share: extra|files/b.txt||accepted", 0},
    };
    char root[] = "data.root=/nonexistent", by[] = "people.match_by=ldap-uuid";
    char *sets[] = {root, by};
    struct ls_config *config = NULL;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ls_config_load(NULL, sets, 2, &config, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_row own = {
            T_SHARE,
            {"2", "2", "bob", "alice", "alice", "1", "13", "1", "1", cases[i].own, NULL, NULL}};
        const struct fake_row rows[] = {ALICE,
                                        BOB,
                                        SHARE("1", "1", "R&D", "13", "1", "0", NULL),
                                        {T_GROUPS, {"R&D", "5f1c"}},
                                        {T_GROUPS, {"nothing shared", "77"}},
                                        {T_GROUPS, {"no id", NULL}},
                                        cases[i].own ? own : (struct fake_row)END,
                                        END};
        struct fake_share shares[] = {{"bob", "n-b", 0, 0, cases[i].have, NULL}, {0}};
        struct verify_run run;

        shares[0].permissions = reading();
        fake = (struct fake){.nodes = alice_nodes,
                             .trash = alice_trash,
                             .grouped = cases[i].grouped,
                             .shares = cases[i].have < 0 ? &shares[1] : shares};
        verify_begin(&run, rows);
        if (!cases[i].by_name)
            run.verify.config = config;
        verify_all(&run);
        assert_string_equal(verify_difference(&run, 0), cases[i].is);
        assert_int_equal(not_kept(&run, VK_GROUP_STATES), cases[i].states);
        run.verify.config = run.config;
        verify_end(&run);
    }
    ls_config_free(config);
    fake = (struct fake){0};
}

/* Two rows of docs (11) for bob, the second one himself or through his group; what oCIS gives him
 * by one share or two, and what verify makes of it. */
#define DENIED "[[\"permissions\",\"download\",false]]"
#define ALLOWED "[[\"permissions\",\"download\",true]]"

static void
rows_of_one_recipient_are_united_as_owncloud_does_it(void **state)
{
    static const struct {
        const char *bits[2], *attributes[2], *second;
        int64_t have[2]; /* at the target: oC10's bits of his own share, of the group's */
        bool look[2];    /* ... without the content */
        size_t differences, not_kept;
    } cases[] = {
        {{"1", "4"}, {NULL, NULL}, "0", {5, 0}, {false}, 0, 0},
        {{"3", "13"}, {NULL, NULL}, "0", {15, 0}, {false}, 0, 0},
        {{"3", "13"}, {NULL, NULL}, "0", {3, 13}, {false}, 1, 0}, /* the rename could have been */
        {{"3", "13"}, {NULL, NULL}, "1", {3, 13}, {false}, 0, 1}, /* here it could not */
        {{"3", "13"}, {NULL, NULL}, "1", {15, 13}, {false}, 0, 0},
        {{"3", "13"}, {NULL, NULL}, "1", {3, 5}, {false}, 1, 0},
        /* who may look only: another row that says nothing of it does not lift that */
        {{"1", "1"}, {DENIED, NULL}, "0", {1, 0}, {true, false}, 0, 0},
        {{"1", "1"}, {DENIED, NULL}, "0", {1, 0}, {false, false}, 1, 0},
        {{"1", "1"}, {DENIED, ALLOWED}, "0", {1, 0}, {false, false}, 0, 0},
        {{"1", "1"}, {DENIED, DENIED}, "1", {1, 1}, {true, true}, 0, 0},
        {{"1", "1"}, {DENIED, NULL}, "1", {1, 1}, {true, false}, 1, 0}, /* too much: said */
        {{"1", "1"}, {DENIED, ALLOWED}, "1", {1, 1}, {true, false}, 0, 0},
        {{"1", "15"}, {DENIED, "[]"}, "0", {15, 0}, {true, false}, 0, 0},
        {{"1", "4"}, {DENIED, "broken"}, "0", {5, 0}, {true, false}, 0, 0},
    };
    struct verify_run run;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_share shares[3] = {{0}};
        const char *with = cases[i].second[0] == '1' ? "staff" : "bob";
        const struct fake_row rows[] = {
            ALICE,
            BOB,
            {T_MEMBER, {"staff", "bob"}},
            {T_ATTRIBUTES, {"1", cases[i].attributes[0]}},
            {T_ATTRIBUTES, {"2", cases[i].attributes[1]}},
            SHARE("1", "0", "bob", "11", cases[i].bits[0], "0", NULL),
            SHARE("2", cases[i].second, with, "11", cases[i].bits[1], "0", NULL),
            END};

        for (size_t k = 0, n = 0; k < 2; k++)
            if (cases[i].have[k])
                shares[n++] =
                    (struct fake_share){"bob",
                                        "n-docs",
                                        cs3_permissions(cases[i].have[k], true, !cases[i].look[k]),
                                        0,
                                        CS3_SHARE_ACCEPTED,
                                        NULL};
        fake.nodes = alice_nodes;
        fake.trash = alice_trash;
        fake.shares = shares;
        run_all(&run, rows);
        if (run.verify.differences.n != cases[i].differences ||
            not_kept(&run, VK_UNIONS) != cases[i].not_kept)
            fail_msg("case %zu: %zu differences (%s), %zu not kept", i, run.verify.differences.n,
                     verify_difference(&run, 0), not_kept(&run, VK_UNIONS));
        verify_end(&run);
    }
}

static void
who_shares_receives_nothing_by_it_even_where_the_file_is_anothers(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        BOB,
        {T_MEMBER, {"staff", "bob"}},
        {T_SHARE, {"1", "0", "bob", "bob", "bob", NULL, "13", "1", "1", "0", NULL, NULL}},
        {T_SHARE, {"2", "1", "staff", "bob", "bob", NULL, "12", "1", "1", "0", NULL, NULL}},
        END};
    struct fake_share shares[] = {{"bob", "n-a", 0, 0, CS3_SHARE_REJECTED, NULL}, {0}};
    struct verify_run run;

    (void)state;
    shares[0].permissions = reading();
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    verify_end(&run);
}

static void
an_expiry_that_only_one_side_has_is_a_difference(void **state)
{
    static const struct fake_row rows[] = {
        ALICE, BOB, SHARE("1", "0", "bob", "13", "1", "0", "2030-01-01 00:00:00"), END};
    struct fake_share shares[] = {{"bob", "n-b", 0, 0, CS3_SHARE_ACCEPTED, NULL}, {0}};
    struct verify_run run;

    (void)state;
    shares[0].permissions = reading();
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "bob|share: expiry"));
    verify_end(&run);

    shares[0].expires = 1893542399; /* 2030-01-01 23:59:59 UTC */
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.shares = shares;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    verify_end(&run);
}

static void
rows_without_an_effect_are_counted_apart(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        BOB,
        {T_STORAGE, {"9", "smb::x"}},
        DIR("90", "9", "-1", "", ""),
        FILE_ROW("91", "9", "90", "far.txt", "far.txt", "1", "1"),
        SHARE("1", "0", "bob", "22", "1", "0", NULL),                  /* in the trash */
        SHARE("2", "0", "bob", "77", "1", "0", NULL),                  /* no such file */
        SHARE("3", "0", "BOB", "13", "1", "0", NULL),                  /* no such user */
        SHARE("4", "0", "bob", "91", "1", "0", NULL),                  /* external */
        SHARE("5", "0", "bob", "13", "1", "0", "0000-00-00 00:00:00"), /* long expired */
        SHARE("6", "6", "bob@far", "13", "1", "0", NULL),              /* federated */
        SHARE("7", "9", "bob", "13", "1", "0", NULL),                  /* unknown */
        SHARE("8", "1", "customgroup_friends", "13", "1", "0", NULL),  /* an app's group */
        END};
    static const enum verify_left want[] = {VL_DORMANT,    VL_NO_NODE,     VL_NO_RECIPIENT,
                                            VL_ELSEWHERE,  VL_EXPIRED,     VL_FEDERATED,
                                            VL_SHARE_TYPE, VL_CUSTOM_GROUP};
    struct verify_run run;

    (void)state;
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_int_equal(left(&run, want[i]), 1);
    assert_int_equal(run.verify.side->n_elsewhere, 2);
    verify_end(&run);
}

static void
links_of_one_node_are_matched_by_what_they_are(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        SHARE("1", "3", NULL, "13", "1", "0", NULL),
        {T_SHARE,
         {"3", "3", SHA_A, "alice", "alice", NULL, "13", "1", "1", "0", NULL, "three"}}, /* old */
        {T_SHARE,
         {"2", "3", "1|$2y$10$4/Fk.rhIgsi/cyTHF8B17euMLdj6Vz5QH2eIubFOw/JSj1JnyNn0K", "alice",
          "alice", NULL, "13", "1", "1", "0", NULL, "two"}},
        END};
    struct fake_link links[] = {{"alice", "l2", "n-b", "two", 0, 0, true, NULL, NULL},
                                {"alice", "l1", "n-b", "token", 0, 0, false, NULL, NULL},
                                {"alice", "l3", "n-b", "three", 0, 0, true, NULL, NULL},
                                {0}};
    struct verify_run run;

    (void)state;
    links[0].permissions = links[1].permissions = links[2].permissions = reading();
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.links = links;
    run_all(&run, rows);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(run.verify.users[0].count[VC_LINKS], 3);
    assert_int_equal(not_kept(&run, VK_LINK_PASSWORDS), 1);
    assert_int_equal(not_kept(&run, VK_LINK_RESETS), 1);
    verify_end(&run);

    links[0].has_password = false; /* it would be open to everybody */
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.links = links;
    run_all(&run, rows);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "alice|link: different|files/b.txt|"));
    verify_end(&run);
}

#define HASH "$2y$10$4/Fk.rhIgsi/cyTHF8B17euMLdj6Vz5QH2eIubFOw/JSj1JnyNn0K"
#define OTHER_HASH "$2a$10$5/Fk.rhIgsi/cyTHF8B17euMLdj6Vz5QH2eIubFOw/JSj1JnyNn0K"

/* As with the exact writer, and its secrets. */
static void
run_exact(struct verify_run *run, const struct fake_row *rows, const struct fake_link *links,
          bool no_hashes)
{
    fake.nodes = alice_nodes;
    fake.trash = alice_trash;
    fake.links = links;
    fake.no_hashes = no_hashes;
    verify_begin(run, rows);
    run->verify.exact_shares = run->verify.exact_links = true;
    verify_all(run);
}

static void
hashes_of_link_passwords_are_compared_and_never_shown(void **state)
{
    static const struct fake_row rows[] = {
        ALICE,
        {T_SHARE,
         {"2", "3", "1|" HASH, "alice", "alice", NULL, "13", "1", "1", "0", NULL, "two", "token"}},
        {T_SHARE,
         {"3", "3", SHA_A, "alice", "alice", NULL, "13", "1", "1", "0", NULL, "old", "token3"}},
        END};
    struct fake_link links[] = {{"alice", "l2", "n-b", "two", 0, 0, true, "token", HASH},
                                {"alice", "l3", "n-b", "old", 0, 0, true, "token3", OTHER_HASH},
                                {0}};
    struct verify_run run;

    (void)state;
    links[0].permissions = links[1].permissions = reading();
    run_exact(&run, rows, links, false);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(run.verify.users[0].count[VC_LINKS], 2);
    assert_int_equal(left(&run, VL_LINK_PASSWORDS), 0);
    assert_int_equal(not_kept(&run, VK_LINK_RESETS), 1); /* nobody can compare that one */
    verify_end(&run);

    static const char *const wrong[] = {OTHER_HASH, NULL}; /* none: it is not in the file */
    for (size_t i = 0; i < 2; i++) {
        links[0].hash = wrong[i];
        run_exact(&run, rows, links, false);
        assert_int_equal(run.verify.differences.n, 1);
        assert_non_null(strstr(verify_difference(&run, 0), "alice|link: different|files/b.txt|"));
        assert_non_null(strstr(verify_difference(&run, 0), "|another password"));
        assert_null(strstr(verify_difference(&run, 0), "$2"));
        assert_int_equal(run.verify.differences.each[0]->share, 2);
        verify_end(&run);
    }
    run_exact(&run, rows, links, true); /* who may not read them says so */
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(left(&run, VL_LINK_PASSWORDS), 1);
    verify_end(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sides_have_no_difference_and_say_what_is_not_kept),
        cmocka_unit_test(size_content_and_mtime_are_differences),
        cmocka_unit_test(missing_extra_and_another_type_are_named),
        cmocka_unit_test(
            the_copy_of_a_second_row_of_one_place_has_its_free_name_and_is_no_difference),
        cmocka_unit_test(what_is_encrypted_is_missing_and_says_why),
        cmocka_unit_test(a_folder_that_goes_while_it_is_read_is_a_difference),
        cmocka_unit_test(what_fails_for_one_thing_is_told_and_the_rest_is_compared),
        cmocka_unit_test(a_quota_is_the_accounts_or_else_the_preferences_and_the_space_has_it),
        cmocka_unit_test(a_target_that_is_away_or_lets_nobody_in_ends_the_comparison),
        cmocka_unit_test(without_a_checksum_the_disk_is_read_and_a_home_that_is_away_is_unseen),
        cmocka_unit_test(an_mtime_beyond_the_targets_range_is_expected_clamped_and_counted),
        cmocka_unit_test(a_user_who_cannot_sign_in_is_a_difference_as_soon_as_he_has_files),
        cmocka_unit_test(a_disabled_user_with_files_is_never_silently_equal),
        cmocka_unit_test(a_disabled_user_whom_the_target_does_not_know_is_a_difference),
        cmocka_unit_test(the_service_account_looks_at_a_disabled_user),
        cmocka_unit_test(a_link_that_nobody_is_shown_is_not_compared),
        cmocka_unit_test(
            an_enabled_user_who_is_disabled_at_the_target_differs_whatever_the_service_account_sees),
        cmocka_unit_test(trash_is_matched_by_name_size_and_what_lies_below),
        cmocka_unit_test(
            trash_that_ownclouds_disk_has_lost_is_counted_apart_but_not_without_a_home),
        cmocka_unit_test(users_of_ldap_are_looked_at_by_their_mappings_id_where_apply_does_so),
        cmocka_unit_test(shares_with_a_directorys_group_are_those_of_whom_the_target_has_in_it),
        cmocka_unit_test(a_trash_name_ends_with_its_time_and_nothing_else_does),
        cmocka_unit_test(a_share_is_compared_by_recipient_state_and_permissions),
        cmocka_unit_test(a_members_own_row_counts_before_the_groups),
        cmocka_unit_test(rows_of_one_recipient_are_united_as_owncloud_does_it),
        cmocka_unit_test(who_shares_receives_nothing_by_it_even_where_the_file_is_anothers),
        cmocka_unit_test(an_expiry_that_only_one_side_has_is_a_difference),
        cmocka_unit_test(rows_without_an_effect_are_counted_apart),
        cmocka_unit_test(links_of_one_node_are_matched_by_what_they_are),
        cmocka_unit_test(hashes_of_link_passwords_are_compared_and_never_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
