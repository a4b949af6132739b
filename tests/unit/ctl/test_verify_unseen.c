/*
 * verify and trouble: what could not be compared is never equal, and never a difference.
 */
#include "common/run.h"
#include "ctl/verify/verify_command.h"
#include "fake_target.h"
#include "transform/map.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA_HELLO "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" /* of "hello" */

static char folder[64];

/* clang-format off */
#define DIR(id, storage, parent, name, path) \
    {T_FILE, {id, storage, parent, name, path, "2", "0", "50", "0", NULL}}
#define A_FILE(id, storage, parent, name, path, size, checksum) \
    {T_FILE, {id, storage, parent, name, path, "3", size, "70", "0", checksum}}
#define HOME_OF(uid, number, id, files) \
    {T_STORAGE, {number, id uid}}, DIR(number, number, "-1", "", ""), \
    DIR(files, number, number, "files", "files")
#define END {-1, {NULL}}
/* clang-format on */

/* alice: files/a.txt (12), shared with bob and by a link; in the trash old.txt and box/in.txt. bob:
 * files/b.txt (22). Homes lie in `folder`. */
static const struct fake_row *
rows(void)
{
    static char home[2][96];

    snprintf(home[0], sizeof home[0], "%s/alice", folder);
    snprintf(home[1], sizeof home[1], "%s/bob", folder);
    static struct fake_row r[] = {
        {T_FOLDER_TYPE, {"2"}},
        {T_USER, {"alice", NULL, "1"}},
        {T_USER, {"bob", NULL, "1"}},
        HOME_OF("alice", "1", "home::", "10"),
        HOME_OF("bob", "2", "home::", "20"),
        A_FILE("12", "1", "10", "a.txt", "files/a.txt", "5", "SHA1:" SHA_HELLO),
        A_FILE("22", "2", "20", "b.txt", "files/b.txt", "5", "SHA1:" SHA_HELLO),
        DIR("30", "1", "1", "files_trashbin", "files_trashbin"),
        DIR("31", "1", "30", "files", "files_trashbin/files"),
        A_FILE("32", "1", "31", "old.txt.d100", "files_trashbin/files/old.txt.d100", "7", NULL),
        DIR("33", "1", "31", "box.d200", "files_trashbin/files/box.d200"),
        A_FILE("34", "1", "33", "in.txt", "files_trashbin/files/box.d200/in.txt", "8", NULL),
        {T_SHARE, {"7", "0", "bob", "alice", "alice", NULL, "12", "1", "1", "0", NULL, NULL}},
        {T_SHARE,
         {"8", "3", NULL, "alice", "alice", NULL, "12", "1", "1", "0", NULL, "press", "t"}},
        END};
    r[1].columns[1] = home[0];
    r[2].columns[1] = home[1];
    return r;
}

static const struct fake_node nodes[] = {
    {"alice", NULL, "n-a", "a.txt", false, 5, 70, SHA_HELLO},
    {"bob", NULL, "n-b", "b.txt", false, 5, 70, SHA_HELLO},
    {0},
};
static const struct fake_trash bin[] = {
    {"alice", NULL, "t-old", "old.txt", "", false, 7, 100},
    {"alice", NULL, "t-box", "box", "", true, 0, 200},
    {"alice", "t-box", "t-box/in.txt", "in.txt", NULL, false, 8, 0},
    {0},
};
static struct fake_share shares[] = {{"bob", "n-a", 0, 0, CS3_SHARE_ACCEPTED, "s:p:7"}, {0}};
static struct fake_link links[] = {{"alice", "l", "n-a", "press", 0, 0, false, "t", NULL}, {0}};

/* A target that is equal. */
static void
begin(struct verify_run *run)
{
    shares[0].permissions = links[0].permissions = cs3_permissions(1, false, true);
    fake.nodes = nodes;
    fake.trash = bin;
    fake.shares = shares;
    fake.links = links;
    verify_begin(run, rows());
}

static struct verify_user *
user_of(struct verify_run *run, const char *uid)
{
    for (size_t i = 0; i < run->verify.n_users; i++)
        if (strcmp(run->verify.users[i].user->uid, uid) == 0)
            return &run->verify.users[i];
    fail_msg("no user %s", uid);
    return NULL;
}

static void
assert_unseen(const struct verify_run *run, size_t n)
{
    for (size_t i = 0; i < run->verify.differences.n; i++)
        if (run->verify.differences.each[i]->when != VW_UNSEEN)
            fail_msg("%s", verify_difference(run, i));
    assert_int_equal(run->verify.differences.n, n);
    assert_int_equal(verify_verdict(&run->verify), n ? LS_EXIT_UNSEEN : LS_EXIT_OK);
}

/* ---- the target */

static void
what_the_target_fails_for_is_unseen_and_nothing_that_hangs_on_it_is_missing(void **state)
{
    static const struct {
        const char *fails, *what;
        size_t n;
    } cases[] = {
        {"user", "user cannot be looked at", 2},
        {"list", "cannot be listed at the target", 2},
        {"trash", "trash: cannot be listed", 2},
        {"size", "trash: cannot be looked at", 1},
        {"received", "shares: cannot be listed", 2},
        {"links", "links: cannot be listed", 2},
        {"nothing", NULL, 0},
    };
    struct verify_run run;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake.fails = cases[i].fails;
        fake.cause = "internal";
        begin(&run);
        verify_all(&run);
        assert_unseen(&run, cases[i].n);
        for (size_t k = 0; k < cases[i].n; k++)
            assert_string_equal(run.verify.differences.each[k]->what, cases[i].what);
        assert_int_equal(user_of(&run, "alice")->count[VC_UNSEEN], cases[i].n > 0);
        assert_int_equal(user_of(&run, "alice")->count[VC_DIFFERENT], 0);
        verify_end(&run);
    }
}

static void
a_difference_beside_what_is_unseen_is_what_counts(void **state)
{
    static const struct fake_node other[] = {
        {"alice", NULL, "n-a", "a.txt", false, 6, 70, SHA_HELLO},
        {"bob", NULL, "n-b", "b.txt", false, 5, 70, SHA_HELLO},
        {0},
    };
    struct verify_run run;

    (void)state;
    fake.fails = "links";
    fake.cause = "internal";
    begin(&run);
    fake.nodes = other;
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 3);
    assert_int_equal(verify_count_when(&run.verify, VW_UNSEEN), 2);
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_DIFFERENT);
    for (size_t i = 0; i < 3; i++)
        if (run.verify.differences.each[i]->when != VW_UNSEEN)
            run.verify.differences.each[i]->when = VW_CARRIED;
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_UNSEEN);
    verify_end(&run);
}

static void
a_target_that_is_out_of_breath_for_good_ends_the_comparison(void **state)
{
    struct verify_run run;
    struct ls_err err = {0};

    (void)state;
    fake.fails = "list";
    fake.cause = "slow-down";
    begin(&run);
    assert_int_equal(verify_compare(&run.verify, &err), -1);
    assert_string_equal(err.cause, "slow-down");
    verify_end(&run);
}

static void
who_is_in_a_directorys_group_is_not_guessed_when_the_target_does_not_say(void **state)
{
    static const struct fake_row with_group[] = {
        {T_FOLDER_TYPE, {"2"}},
        {T_USER, {"alice", "/data/alice", "1"}},
        {T_USER, {"bob", "/data/bob", "1"}},
        HOME_OF("alice", "1", "home::", "10"),
        HOME_OF("bob", "2", "home::", "20"),
        A_FILE("12", "1", "10", "a.txt", "files/a.txt", "5", "SHA1:" SHA_HELLO),
        {T_SHARE, {"7", "1", "staff", "alice", "alice", NULL, "12", "1", "1", "0", NULL, NULL}},
        {T_GROUPS, {"staff", "5f1c"}},
        END};
    static const struct fake_node there[] = {
        {"alice", NULL, "n-a", "a.txt", false, 5, 70, SHA_HELLO}, {0}};
    char root[] = "data.root=/nonexistent", by[] = "people.match_by=ldap-uuid";
    char *sets[] = {root, by};
    struct ls_config *config = NULL;
    struct verify_run run;
    struct ls_err err = {0};
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    assert_int_equal(ls_config_load(NULL, sets, 2, &config, &err), 0);
    fake = (struct fake){.nodes = there, .fails = "group", .cause = "internal"};
    verify_begin(&run, with_group);
    run.verify.config = config;
    verify_all(&run);
    assert_unseen(&run, 2);
    assert_string_equal(run.verify.differences.each[0]->what, "groups cannot be looked at");
    run.verify.config = run.config;
    verify_end(&run);
    ls_config_free(config);

    fake = (struct fake){.nodes = there}; /* by name: nobody says who is in it */
    verify_begin(&run, with_group);
    verify_all(&run);
    assert_unseen(&run, 0);
    verify_sum_up(&run.verify, kept, left);
    assert_int_equal(left[VL_DIRECTORY_GROUP], 1);
    verify_end(&run);
}

static void
a_file_of_somebody_who_cannot_be_looked_at_is_not_missing(void **state)
{
    static const char *const only_bob[] = {"bob", NULL};
    static const struct fake_node none[] = {{0}};
    struct verify_run run;

    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        begin(&run);
        assert_int_equal(verify_pick(&run.verify, "bob"), 0);
        if (fails) { /* the folder that it would be in */
            user_of(&run, "bob")->done = 1;
            fake.fails = "list";
            fake.cause = "internal";
        } else {
            fake.users = only_bob;
            fake.nodes = none;
            fake.shares = NULL;
            user_of(&run, "bob")->done = 1;
        }
        user_of(&run, "bob")->signs_in = true;
        verify_all(&run);
        assert_unseen(&run, 1);
        assert_string_equal(run.verify.differences.each[0]->what,
                            fails ? "share: its file cannot be looked for"
                                  : "share: its owner cannot be looked at");
        verify_end(&run);
    }
}

static void
a_file_of_more_versions_than_a_thousand_is_compared_whole(void **state)
{
    static struct fake_version versions[2002];
    static const struct fake_row with_version[] = {
        {T_FOLDER_TYPE, {"2"}},
        {T_USER, {"alice", "/data/alice", "1"}},
        HOME_OF("alice", "1", "home::", "10"),
        A_FILE("12", "1", "10", "a.txt", "files/a.txt", "5", "SHA1:" SHA_HELLO),
        DIR("30", "1", "1", "files_versions", "files_versions"),
        A_FILE("32", "1", "30", "a.txt.v1", "files_versions/a.txt.v1", "3", NULL),
        END};
    static const struct fake_node there[] = {
        {"alice", NULL, "n-a", "a.txt", false, 5, 70, SHA_HELLO}, {0}};
    struct verify_run run;

    (void)state;
    for (int i = 0; i < 2001; i++)
        versions[i] = (struct fake_version){"alice", "n-a", 2001 - i, 3};
    fake.nodes = there;
    fake.versions = versions;
    verify_begin(&run, with_version);
    verify_all(&run);
    assert_unseen(&run, 0);
    verify_end(&run);
}

/* ---- the data directory */

static void
put(const char *uid, const char *name, const char *text)
{
    char path[200];
    FILE *out;

    snprintf(path, sizeof path, "%s/%s", folder, uid);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/files", folder, uid);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/files/%s", folder, uid, name);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0 && fclose(out) == 0);
}

static void
take_away(const char *uid, const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s/files/%s", folder, uid, name);
    unlink(path);
    snprintf(path, sizeof path, "%s/%s/files", folder, uid);
    rmdir(path);
}

static void
deep_tells_a_data_directory_that_is_away_in_one_word(void **state)
{
    static const struct fake_content content[] = {
        {"n-a", SHA_HELLO, 5, NULL}, {"n-b", SHA_HELLO, 5, NULL}, {0}};
    struct verify_run run;
    struct ls_err err = {0};

    (void)state;
    begin(&run);
    fake.content = content;
    run.verify.deep = true;
    assert_int_equal(verify_compare(&run.verify, &err), -1);
    assert_string_equal(err.cause, "data");
    verify_end(&run);

    put("bob", "b.txt", "hello"); /* alice's alone */
    put("alice", "a.txt", "hello");
    take_away("alice", "a.txt");
    begin(&run);
    fake.content = content;
    run.verify.deep = true;
    verify_all(&run);
    assert_unseen(&run, 1);
    assert_non_null(
        strstr(verify_difference(&run, 0), "alice|content cannot be read at the source||"));
    assert_int_equal(user_of(&run, "bob")->n_read, 1);
    verify_end(&run);

    put("alice", "another.txt", "hello"); /* the file alone is a difference */
    begin(&run);
    fake.content = content;
    run.verify.deep = true;
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    assert_non_null(strstr(verify_difference(&run, 0), "alice|unreadable|files/a.txt|"));
    assert_int_equal(verify_verdict(&run.verify), LS_EXIT_DIFFERENT);
    verify_end(&run);
    take_away("alice", "another.txt");
    take_away("bob", "b.txt");
}

static void
trash_of_a_size_that_cannot_be_asked_is_unseen_once(void **state)
{
    static struct fake_row unknown[20];
    const struct fake_row *row = rows();
    struct verify_run run;
    size_t n = 0;

    (void)state;
    do {
        unknown[n] = row[n];
        if (row[n].table == T_FILE && row[n].columns[9] == NULL && row[n].columns[5][0] == '3')
            unknown[n].columns[6] = "-1";
    } while (row[n++].table >= 0);
    begin(&run);
    verify_end(&run);
    shares[0].permissions = links[0].permissions = cs3_permissions(1, false, true);
    fake = (struct fake){.nodes = nodes, .trash = bin, .shares = shares, .links = links};
    verify_begin(&run, unknown);
    verify_all(&run);
    assert_unseen(&run, 1);
    assert_int_equal(user_of(&run, "alice")->count[VC_TRASH], 2);
    verify_end(&run);
}

/* ---- a run that goes on, a sample, what is printed */

static void
who_was_not_compared_whole_is_compared_again_by_the_next_run(void **state)
{
    char path[96];
    struct verify_run run;
    struct ls_err err = {0};
    uint64_t seed = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/state", folder);
    fake.fails = "trash";
    fake.cause = "internal";
    begin(&run);
    assert_int_equal(verify_state_open(&run.verify, path, "these", &run.verify.state, &seed, &err),
                     0);
    verify_all(&run);
    assert_unseen(&run, 2);
    verify_state_close(run.verify.state, false);
    verify_end(&run);

    begin(&run);
    assert_int_equal(verify_state_open(&run.verify, path, "these", &run.verify.state, &seed, &err),
                     0);
    assert_int_equal(user_of(&run, "alice")->done, 0);
    verify_all(&run);
    assert_unseen(&run, 0);
    verify_state_close(run.verify.state, true);
    verify_end(&run);
}

static void
a_sample_is_of_one_user_at_least(void **state)
{
    struct verify_run run;

    (void)state;
    for (uint64_t seed = 1; seed < 9; seed++) {
        size_t n = 0;

        begin(&run);
        run.verify.seed = seed;
        verify_pick_sample(&run.verify, 0.0001);
        for (size_t i = 0; i < run.verify.n_users; i++)
            n += run.verify.users[i].picked;
        assert_int_equal(n, 1);
        verify_end(&run);
    }
}

static char *
printed(const struct verify_run *run, int as)
{
    char path[96], *text = NULL;
    struct verify_told told = {0};
    struct ls_err err = {0};
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/page", folder);
    if (as == 2) {
        assert_int_equal(verify_html(&run->verify, &told, path, &err), 0);
        file = fopen(path, "r");
        assert_non_null(file);
        assert_true(getdelim(&text, &size, 0, file) > 0);
        fclose(file);
        unlink(path);
        return text;
    }
    file = open_memstream(&text, &size);
    assert_non_null(file);
    verify_print(&run->verify, &told, as == 1, file);
    fclose(file);
    return text;
}

static void
all_three_reports_say_that_not_all_was_compared(void **state)
{
    static const char *const wants[3][3] = {
        {"UNSEEN     alice: links: cannot be listed",
         "\n0 differences; 2 times something could not", "not compared: 3 orphans"},
        {"\"equal\": false", "\"state\": \"unseen\"", "\"unseen\": 2"},
        {"class=\"unseen\">no difference in what could be compared; 2 times something could not",
         "<td class=\"unseen\">unseen</td>", "<td class=\"n\">3</td><td>orphans"},
    };
    struct verify_run run;

    (void)state;
    fake.fails = "links";
    fake.cause = "internal";
    begin(&run);
    verify_all(&run);
    run.verify.side->n_orphans = 3;
    for (int as = 0; as < 3; as++) {
        char *text = printed(&run, as);

        for (size_t i = 0; i < 3; i++)
            if (!strstr(text, wants[as][i]))
                fail_msg("no '%s' in:\n%s", wants[as][i], text);
        free(text);
    }
    verify_end(&run);
}

static int
make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lockstep-unit-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
    static const char *const left[] = {"alice", "bob"};
    char path[96];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, left[i]);
        rmdir(path);
    }
    return rmdir(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_the_target_fails_for_is_unseen_and_nothing_that_hangs_on_it_is_missing),
        cmocka_unit_test(a_difference_beside_what_is_unseen_is_what_counts),
        cmocka_unit_test(a_target_that_is_out_of_breath_for_good_ends_the_comparison),
        cmocka_unit_test(who_is_in_a_directorys_group_is_not_guessed_when_the_target_does_not_say),
        cmocka_unit_test(a_file_of_somebody_who_cannot_be_looked_at_is_not_missing),
        cmocka_unit_test(a_file_of_more_versions_than_a_thousand_is_compared_whole),
        cmocka_unit_test(deep_tells_a_data_directory_that_is_away_in_one_word),
        cmocka_unit_test(trash_of_a_size_that_cannot_be_asked_is_unseen_once),
        cmocka_unit_test(who_was_not_compared_whole_is_compared_again_by_the_next_run),
        cmocka_unit_test(a_sample_is_of_one_user_at_least),
        cmocka_unit_test(all_three_reports_say_that_not_all_was_compared),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
