/*
 * verify: whom it looks at, content that is read, a run that goes on, what the stream still
 * carries, and the page for people.
 */
#include "ctl/verify/verify_command.h"
#include "fake_target.h"
#include "transform/map.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA_HELLO "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" /* of "hello" */
#define SHA_OTHER "0000000000000000000000000000000000000001"

static char folder[64];

/* alice with files/a.txt (id 12), shared with bob; carol with nothing. Homes lie in `folder`. */
static const struct fake_row *
rows(void)
{
    static char home[3][96];
    static struct fake_row r[24];
    static const char *const uids[] = {"alice", "bob", "carol"};
    size_t n = 0;

    memset(r, 0, sizeof r);
    for (size_t i = 0; i < 3; i++)
        snprintf(home[i], sizeof home[i], "%s/%s", folder, uids[i]);
    r[n++] = (struct fake_row){T_FOLDER_TYPE, {"2"}};
    for (size_t i = 0; i < 3; i++)
        r[n++] = (struct fake_row){T_USER, {uids[i], home[i], "1"}};
    r[n++] = (struct fake_row){T_STORAGE, {"1", "home::alice"}};
    r[n++] = (struct fake_row){T_STORAGE, {"2", "home::bob"}};
    r[n++] = (struct fake_row){T_FILE, {"1", "1", "-1", "", "", "2", "0", "50", "0", NULL}};
    r[n++] =
        (struct fake_row){T_FILE, {"10", "1", "1", "files", "files", "2", "0", "50", "0", NULL}};
    r[n++] = (struct fake_row){
        T_FILE, {"12", "1", "10", "a.txt", "files/a.txt", "3", "5", "70", "0", "SHA1:" SHA_HELLO}};
    r[n++] = (struct fake_row){T_FILE, {"2", "2", "-1", "", "", "2", "0", "50", "0", NULL}};
    r[n++] = (struct fake_row){T_MEMBER, {"staff", "alice"}};
    r[n++] = (struct fake_row){T_MEMBER, {"staff", "carol"}};
    r[n++] = (struct fake_row){
        T_SHARE, {"7", "0", "bob", "alice", "alice", NULL, "12", "1", "1", "0", NULL, NULL}};
    r[n++] = (struct fake_row){
        T_SHARE,
        {"8", "3", NULL, "alice", "alice", NULL, "12", "1", "1", "0", NULL, "press", "tOkEn"}};
    r[n].table = -1;
    return r;
}

static const struct fake_node nodes[] = {
    {"alice", NULL, "n-a", "a.txt", false, 5, 70, SHA_HELLO},
    {0},
};
static struct fake_share shares[] = {{"bob", "n-a", 0, 0, CS3_SHARE_ACCEPTED, "s:p:7"}, {0}};
static struct fake_link links[] = {{"alice", "l", "n-a", "press", 0, 0, false, "tOkEn", NULL}, {0}};

/* A target that is equal. */
static void
begin(struct verify_run *run)
{
    shares[0].permissions = links[0].permissions = cs3_permissions(1, false, true);
    fake.nodes = nodes;
    fake.shares = shares;
    fake.links = links;
    verify_begin(run, rows());
}

static bool
picked(const struct verify_run *run, const char *uid)
{
    for (size_t i = 0; i < run->verify.n_users; i++)
        if (strcmp(run->verify.users[i].user->uid, uid) == 0)
            return run->verify.users[i].picked;
    fail_msg("no user %s", uid);
    return false;
}

static void
users_and_groups_are_picked_together_and_who_is_not_there_is_said(void **state)
{
    struct verify_run run;

    (void)state;
    begin(&run);
    assert_true(picked(&run, "bob"));
    assert_int_equal(verify_pick_group(&run.verify, "staff"), 0);
    assert_true(picked(&run, "alice"));
    assert_true(picked(&run, "carol"));
    assert_false(picked(&run, "bob"));
    assert_int_equal(verify_pick(&run.verify, "bob"), 0);
    assert_true(picked(&run, "bob"));
    assert_int_equal(verify_pick(&run.verify, "BOB"), -1);
    assert_int_equal(verify_pick_group(&run.verify, "nobody"), -1);
    verify_end(&run);
}

static void
what_a_picked_user_received_of_another_is_found_and_what_he_should_not_have_is_counted(void **state)
{
    struct fake_share two[] = {{"bob", "n-a", 0, 0, CS3_SHARE_PENDING, NULL},
                               {"bob", "n-elsewhere", 0, 0, CS3_SHARE_ACCEPTED, NULL},
                               {0}};
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    begin(&run);
    fake.shares = two;
    assert_int_equal(verify_pick(&run.verify, "bob"), 0);
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0),
                        "bob|share: state|files/a.txt of alice|accepted|pending");
    verify_sum_up(&run.verify, kept, left);
    assert_int_equal(left[VL_UNPICKED], 1);
    verify_end(&run);
}

static void
a_link_of_a_picked_user_on_the_file_of_another_is_counted_and_no_difference(void **state)
{
    struct fake_link bobs[] = {{"bob", "l", "n-a", "press", 0, 0, false, "tOkEn", NULL}, {0}};
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    begin(&run);
    bobs[0].permissions = links[0].permissions;
    fake.links = bobs;
    /* its id is known, as in a second look */
    side_node_by_id(run.verify.side, 12)->target_id = side_printf(run.verify.side, "n-a");
    assert_int_equal(verify_pick(&run.verify, "bob"), 0);
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 0);
    verify_sum_up(&run.verify, kept, left);
    assert_int_equal(left[VL_UNPICKED], 1);
    verify_end(&run);
}

static void
what_of_a_picked_user_is_not_compared_is_counted(void **state)
{
    static const struct {
        const char *pick, *with;
        size_t n;
    } cases[] = {{"alice", "x@elsewhere", 1},
                 {"bob", "x@elsewhere", 0},
                 {"carol", "x@elsewhere", 0},
                 {NULL, "x@elsewhere", 1}};
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&run);
        for (struct side_share *share = run.verify.side->shares; share; share = share->next)
            if (share->id == 7) {
                share->type = SIDE_FEDERATED;
                share->with = cases[i].with;
            }
        fake.shares = NULL;
        if (cases[i].pick)
            assert_int_equal(verify_pick(&run.verify, cases[i].pick), 0);
        verify_effective(&run.verify);
        verify_sum_up(&run.verify, kept, left);
        assert_int_equal(left[VL_FEDERATED], cases[i].n);
        verify_end(&run);
    }
}

static void
a_shared_file_that_is_missing_is_told_by_whoever_was_asked_for(void **state)
{
    static const struct fake_node none[] = {{0}};
    struct verify_run run;
    size_t kept[VK_MAX], left[VL_MAX];

    (void)state;
    for (int beside = 0; beside < 2; beside++) {
        begin(&run);
        fake.nodes = none;
        fake.shares = NULL;
        assert_int_equal(verify_pick(&run.verify, "bob"), 0);
        if (beside) { /* as in a second look */
            assert_int_equal(verify_pick(&run.verify, "alice"), 0);
            run.verify.users[0].beside = true;
        }
        verify_all(&run);
        assert_int_equal(run.verify.differences.n, 1);
        assert_string_equal(verify_difference(&run, 0),
                            "bob|share: its file is missing|files/a.txt of alice|file|");
        assert_int_equal(run.verify.differences.each[0]->fileid, 12);
        assert_string_equal(run.verify.differences.each[0]->owner, "alice");
        verify_end(&run);
    }
    begin(&run);
    fake.nodes = none;
    fake.shares = NULL;
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0), "alice|missing|files/a.txt|file|");
    verify_sum_up(&run.verify, kept, left);
    assert_int_equal(left[VL_NODE_DIFFERS], 2); /* bob's share, and the link */
    verify_end(&run);
}

static void
a_difference_names_the_rows_it_is_about(void **state)
{
    const struct verify_difference *d;
    struct verify_run run;

    (void)state;
    begin(&run);
    fake.shares = NULL;
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    d = run.verify.differences.each[0];
    assert_int_equal(d->kind, VD_SHARE);
    assert_int_equal(d->fileid, 12);
    assert_int_equal(d->share, 7);
    assert_string_equal(d->target_id, "n-a");
    assert_string_equal(d->owner, "alice");
    assert_int_equal(d->when, VW_UNKNOWN);
    verify_end(&run);
}

/* ---- samples */

static void
a_sample_is_the_same_for_the_same_seed_and_about_as_large_as_asked(void **state)
{
    size_t n = 0, other = 0;

    (void)state;
    for (int64_t i = 0; i < 10000; i++) {
        bool in = verify_sampled(42, 5, &i, sizeof i);
        assert_int_equal(in, verify_sampled(42, 5, &i, sizeof i));
        n += in;
        other += in && verify_sampled(43, 5, &i, sizeof i);
        assert_true(verify_sampled(42, 0, &i, sizeof i));
        assert_true(verify_sampled(42, 100, &i, sizeof i));
    }
    assert_in_range(n, 400, 600);
    assert_in_range(other, 0, 100); /* another seed, another sample */
}

/* ---- content */

static void
write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void
put_content(const char *text)
{
    char path[160];

    snprintf(path, sizeof path, "%s/alice", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/alice/files", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/alice/files/a.txt", folder);
    if (text)
        write_file(path, text);
    else
        unlink(path);
}

static void
deep_believes_neither_sides_checksum(void **state)
{
    static const struct fake_content good[] = {{"n-a", SHA_HELLO, 5, NULL}, {0}};
    static const struct fake_content rotten[] = {{"n-a", SHA_OTHER, 5, NULL}, {0}};
    static const struct fake_content lost[] = {{"n-a", NULL, 0, "internal"}, {0}};
    static const struct fake_content down[] = {{"n-a", NULL, 0, "target-down"}, {0}};
    static const struct {
        const char *disk;
        const struct fake_content *there;
        const char *want;
        size_t read;
    } cases[] = {
        {"hello", good, "", 1},
        {"hello", rotten, "alice|content as read|files/a.txt|" SHA_HELLO "|" SHA_OTHER, 1},
        {"jello", good, "on disk; its row says " SHA_HELLO "|" SHA_HELLO, 1},
        {"hello", lost,
         "alice|content unreadable at the target|files/a.txt|" SHA_HELLO "|GET: internal", 0},
        {NULL, good, "alice|unreadable|files/a.txt|", 0},
    };
    struct verify_run run;
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_content(cases[i].disk);
        begin(&run);
        fake.content = cases[i].there;
        run.verify.deep = true;
        verify_all(&run);
        assert_int_equal(run.verify.differences.n, *cases[i].want != 0);
        assert_non_null(strstr(verify_difference(&run, 0), cases[i].want));
        assert_int_equal(run.verify.users[0].n_read, cases[i].read);
        verify_end(&run);
    }
    put_content("hello");
    begin(&run);
    fake.content = down;
    run.verify.deep = true;
    assert_int_equal(verify_compare(&run.verify, &err), -1);
    assert_string_equal(err.cause, "target-down");
    verify_end(&run);
}

/* ---- an exact writer */

static void
an_exact_writer_keeps_ids_and_tokens_so_another_one_is_a_difference(void **state)
{
    struct verify_run run;

    (void)state;
    begin(&run);
    run.verify.exact_shares = run.verify.exact_links = true;
    verify_all(&run);
    assert_string_equal(verify_difference(&run, 0), "");
    assert_int_equal(run.verify.users[0].not_kept[VK_LINK_TOKENS], 0);
    assert_int_equal(run.verify.users[1].not_kept[VK_SHARE_IDS], 0);
    verify_end(&run);

    begin(&run);
    run.verify.exact_shares = run.verify.exact_links = true;
    shares[0].id = "s:p:9";
    links[0].token = "another";
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 2);
    assert_non_null(strstr(verify_difference(&run, 0), "alice|link: different|files/a.txt|"));
    assert_non_null(strstr(verify_difference(&run, 0), "|another token"));
    assert_null(strstr(verify_difference(&run, 0), "tOkEn")); /* it opens the link */
    assert_string_equal(verify_difference(&run, 1), "bob|share: id|files/a.txt of alice|7|9");
    verify_end(&run);

    begin(&run); /* over the sharing API both are as they may be */
    shares[0].id = "made-anew";
    verify_all(&run);
    assert_string_equal(verify_difference(&run, 0), "");
    verify_end(&run);
    shares[0].id = "s:p:7";
    links[0].token = "tOkEn";
}

/* ---- a run that goes on */

static const char *
state_path(void)
{
    static char path[96];

    snprintf(path, sizeof path, "%s/state", folder);
    return path;
}

static int
open_state(struct verify_run *run, const char *about, uint64_t *ret_seed, struct ls_err *err)
{
    return verify_state_open(&run->verify, state_path(), about, &run->verify.state, ret_seed, err);
}

static void
a_killed_run_goes_on_and_what_it_found_is_kept(void **state)
{
    static const struct fake_node different[] = {
        {"alice", NULL, "n-a", "a.txt", false, 5, 71, SHA_HELLO}, {0}};
    struct verify_run run;
    struct ls_err err = {0};
    uint64_t seed = 0;

    (void)state;
    begin(&run);
    fake.nodes = different;
    run.verify.seed = 77;
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    assert_int_equal(seed, 0);
    verify_all(&run);
    verify_state_close(run.verify.state, false);
    verify_end(&run);

    begin(&run);
    fake.nodes = NULL; /* who was done is not looked at again, nor what he received */
    fake.shares = NULL;
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    assert_int_equal(seed, 77);
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0), "alice|mtime|files/a.txt|70|71");
    assert_int_equal(run.verify.differences.each[0]->fileid, 12);
    assert_int_equal(run.verify.users[0].count[VC_FILES], 1);
    assert_int_equal(run.verify.users[0].count[VC_DIFFERENT], 1);
    verify_state_close(run.verify.state, true);
    assert_int_equal(access(state_path(), F_OK), -1);
    verify_end(&run);
}

/* The first `n` lines, and the beginning of the next one. */
static void
cut_state(size_t n)
{
    char text[65536];
    FILE *f = fopen(state_path(), "r");
    size_t size, at = 0;

    assert_non_null(f);
    size = fread(text, 1, sizeof text, f);
    fclose(f);
    while (n > 0 && at < size)
        n -= text[at++] == '\n';
    assert_true(at + 5 < size);
    assert_int_equal(truncate(state_path(), (off_t)at + 5), 0);
}

static void
a_line_cut_off_by_the_kill_is_compared_again_and_shares_find_the_ids_of_before(void **state)
{
    struct verify_run run;
    struct ls_err err = {0};
    uint64_t seed = 0;

    (void)state;
    begin(&run);
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    run.verify.config = run.config;
    verify_all(&run);
    verify_state_close(run.verify.state, false);
    verify_end(&run);
    cut_state(3); /* the head, alice's or another's ids, one user */

    begin(&run);
    fake.shares = NULL;
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    assert_string_equal(verify_difference(&run, 0),
                        "bob|share: missing|files/a.txt of alice|accepted|");
    verify_state_close(run.verify.state, false);
    verify_end(&run);

    begin(&run); /* what follows the cut can be read again */
    fake.nodes = NULL;
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(run.verify.users[i].done, 2);
    verify_state_close(run.verify.state, true);
    verify_end(&run);
}

static void
a_file_of_another_run_or_of_somebody_else_is_refused_and_left_alone(void **state)
{
    struct verify_run run;
    struct ls_err err = {0};
    uint64_t seed = 0;
    struct stat before, after;

    (void)state;
    begin(&run);
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    verify_state_close(run.verify.state, false);
    assert_int_equal(open_state(&run, "others", &seed, &err), -1);
    assert_string_equal(err.cause, "other-run");
    for (size_t i = 0; i < 2; i++) {
        write_file(state_path(), i ? "my diary" : "my diary\nof 2026\n");
        assert_int_equal(stat(state_path(), &before), 0);
        assert_int_equal(open_state(&run, "these", &seed, &err), -1);
        assert_string_equal(err.cause, "other-run");
        assert_int_equal(stat(state_path(), &after), 0);
        assert_int_equal(before.st_size, after.st_size);
    }
    unlink(state_path());
    assert_int_equal(open_state(&run, "these", &seed, &err), 0);
    struct verify_state *second = NULL;
    assert_int_equal(verify_state_open(&run.verify, state_path(), "these", &second, &seed, &err),
                     -1);
    assert_string_equal(err.cause, "state-file");
    verify_state_close(run.verify.state, true);
    assert_int_equal(
        verify_state_open(&run.verify, "/nonexistent/x", "these", &second, &seed, &err), -1);
    run.verify.state = NULL;
    verify_end(&run);
}

/* ---- the stream */

static json_t *
apply_at(int64_t reached_us, bool silent, const char *why)
{
    return json_pack("{s:{s:I, s:I, s:I, s:b, s:s}, s:{s:I, s:b}}", "apply/1", "time_us",
                     (json_int_t)(reached_us + 5), "counted_us", (json_int_t)(reached_us + 5),
                     "reached_us", (json_int_t)reached_us, "silent", silent, "why", why,
                     "capture/1", "time_us", (json_int_t)9, "silent", 0);
}

static void
set(json_t *stages, const char *stage, const char *name, int64_t value)
{
    json_object_set_new(json_object_get(stages, stage), name, json_integer(value));
}

static void
the_stream_has_passed_when_apply_has(void **state)
{
    static const struct {
        int64_t reached;
        bool silent;
        const char *why;
        int want;
    } cases[] = {
        {1000000, false, "", 1}, {999999, false, "", 0}, {2000000, false, "target-down", 0},
        {2000000, true, "", 0},  {0, false, "", 0}, /* of some partition nothing is known */
    };
    struct verify_passing any = {0};
    char why[128];
    json_t *stages;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        stages = apply_at(cases[i].reached, cases[i].silent, cases[i].why);
        struct verify_passing p = {.marker_us = 1000000, .capture_us = 8};
        assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), cases[i].want);
        assert_int_equal(why[0] == 0, cases[i].want == 1);
        json_decref(stages);
    }
    stages = json_object();
    assert_int_equal(verify_stream_passed(stages, &any, 1, why, sizeof why), 0);
    assert_int_equal(verify_stream_passed(stages, &any, 30001, why, sizeof why), -1);
    assert_string_equal(why, "no apply has written a status");
    json_decref(stages);
}

static void
a_silence_is_believed_when_it_lasts(void **state)
{
    struct verify_passing p = {.marker_us = 1000000, .capture_us = 8};
    json_t *silent = apply_at(2000000, true, ""), *behind = apply_at(999999, false, "");
    char why[128];

    (void)state;
    assert_int_equal(verify_stream_passed(silent, &p, 1000, why, sizeof why), 0);
    assert_int_equal(verify_stream_passed(silent, &p, 30999, why, sizeof why), 0);
    assert_int_equal(verify_stream_passed(behind, &p, 31000, why, sizeof why), 0);
    assert_int_equal(verify_stream_passed(silent, &p, 40000, why, sizeof why), 0);
    assert_int_equal(verify_stream_passed(silent, &p, 70000, why, sizeof why), -1);
    assert_string_equal(why, "apply is silent");
    json_decref(silent);
    json_decref(behind);
}

static void
the_marker_lies_behind_what_captures_clock_said_after_the_comparison(void **state)
{
    struct verify_passing p = {.marker_us = 1000000};
    json_t *stages = apply_at(5000000, false, "");
    char why[128];

    (void)state;
    set(stages, "capture/1", "time_us", 4000000); /* may be from before the comparison */
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 0);
    assert_string_equal(why, "capture has not told its time since");
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 0);
    set(stages, "capture/1", "time_us", 6000000); /* it is ahead of the source's and ours */
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 0);
    assert_int_equal(p.marker_us, 6000000);
    set(stages, "capture/1", "time_us", 9000000);
    set(stages, "apply/1", "reached_us", 6000000);
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 1);
    assert_int_equal(p.marker_us, 6000000);
    json_decref(stages);

    p = (struct verify_passing){.marker_us = 1000000};
    stages = apply_at(5000000, false, "");
    json_object_set_new(json_object_get(stages, "capture/1"), "silent", json_true());
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 0);
    assert_string_equal(why, "no capture");
    json_decref(stages);
}

static void
what_follows_from_the_last_changes_is_waited_for_and_what_came_later_is_not(void **state)
{
    struct verify_passing p = {.marker_us = 1000000, .capture_us = 8};
    json_t *stages = apply_at(1000000, false, "");
    char why[128];

    (void)state;
    set(stages, "apply/1", "rest_us", 999000); /* a deletion that a move left */
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 0);
    assert_string_equal(why, "apply is at what follows from the last changes");
    assert_int_equal(p.passed_us, 1000005);
    set(stages, "apply/1", "time_us", 2000000);
    set(stages, "apply/1", "rest_us", 1000006); /* of a moment from before it passed */
    set(stages, "apply/1", "counted_us", 1000004);
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 0);
    set(stages, "apply/1", "counted_us", 1000005);
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 1);
    set(stages, "apply/1", "rest_us", 0);
    assert_int_equal(verify_stream_passed(stages, &p, 1, why, sizeof why), 1);
    json_decref(stages);
}

static void
what_is_too_much_at_the_target_is_the_same_only_under_the_same_id(void **state)
{
    struct verify_difference a = {.kind = VD_NODE,
                                  .target_id = "n-1",
                                  .user = "alice",
                                  .what = "extra",
                                  .place = "files/x",
                                  .source = "",
                                  .target = "file"},
                             b = a;

    (void)state;
    b.target = "folder";
    assert_true(verify_same(&a, &b));
    b.target_id = "n-2"; /* made, deleted and made again */
    assert_false(verify_same(&a, &b));
    a.fileid = b.fileid = 12;
    assert_true(verify_same(&a, &b));
    b.source = "another checksum";
    assert_false(verify_same(&a, &b));
}

/* ---- the page */

static char *
read_all(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static void
the_page_escapes_what_people_named(void **state)
{
    static const struct fake_node evil[] = {
        {"alice", NULL, "n-a", "a.txt", false, 5, 70, SHA_HELLO},
        {"alice", NULL, "n-x", "<script>alert('x')</script>&\"\x1b\xff", false, 1, 1, SHA_HELLO},
        {0}};
    struct verify_run run;
    struct ls_err err = {0};
    char path[96], *text;

    (void)state;
    begin(&run);
    fake.nodes = evil;
    verify_all(&run);
    assert_int_equal(run.verify.differences.n, 1);
    snprintf(path, sizeof path, "%s/page.html", folder);
    assert_int_equal(
        verify_html(&run.verify, &(struct verify_told){"5% <b>", "apply is <silent>"}, path, &err),
        0);
    text = read_all(path);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<b>"));
    assert_null(strstr(text, "<silent>"));
    assert_non_null(strstr(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\\x1b"
                                 "\\xff"));
    assert_non_null(strstr(text, "<td class=\"n real\">1</td>"));
    assert_non_null(strstr(text, "href=\"#u0\""));
    assert_non_null(strstr(text, "id=\"u0\""));
    assert_non_null(strstr(text, "1 differences"));
    free(text);
    assert_int_equal(verify_html(&run.verify, &(struct verify_told){0}, "/nonexistent/x", &err),
                     -1);
    assert_string_equal(err.cause, "html");
    verify_end(&run);
}

/* ---- words */

static void
arguments_that_make_no_sense_are_refused_with_a_reason(void **state)
{
    static const char *const bad[][4] = {
        {"--user", NULL},          {"--sample", "0", NULL},     {"--sample", "101%", NULL},
        {"--sample", "5%%", NULL}, {"--sample", "many", NULL},  {"--seed", "3", NULL},
        {"--wait", "-1", NULL},    {"--all", "--user=a", NULL}, {"--html=", NULL},
    };
    const char *why;
    struct verify_args args;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *argv[6] = {(char *)"verify"};
        int argc = 1;
        for (size_t k = 0; k < 3 && bad[i][k]; k++)
            argv[argc++] = (char *)bad[i][k];
        why = NULL;
        assert_int_equal(ctl_verify_arguments(argc, argv, &args, &why), -1);
        assert_non_null(why);
    }
    char *good[] = {(char *)"verify",
                    (char *)"--deep",
                    (char *)"--sample=2.5%",
                    (char *)"--seed",
                    (char *)"9",
                    (char *)"--json",
                    (char *)"--group",
                    (char *)"staff",
                    (char *)"--wait",
                    (char *)"0",
                    NULL};
    assert_int_equal(ctl_verify_arguments(10, good, &args, &why), 2);
    assert_string_equal(good[1], "--json");
    assert_true(args.deep && args.sample == 2.5 && args.seed == 9 && args.wait_s == 0);
    assert_string_equal(json_string_value(json_array_get(args.groups, 0)), "staff");
    verify_args_free(&args);
}

static int
make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/verify-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_and_groups_are_picked_together_and_who_is_not_there_is_said),
        cmocka_unit_test(
            what_a_picked_user_received_of_another_is_found_and_what_he_should_not_have_is_counted),
        cmocka_unit_test(
            a_link_of_a_picked_user_on_the_file_of_another_is_counted_and_no_difference),
        cmocka_unit_test(what_of_a_picked_user_is_not_compared_is_counted),
        cmocka_unit_test(a_shared_file_that_is_missing_is_told_by_whoever_was_asked_for),
        cmocka_unit_test(a_difference_names_the_rows_it_is_about),
        cmocka_unit_test(a_sample_is_the_same_for_the_same_seed_and_about_as_large_as_asked),
        cmocka_unit_test(deep_believes_neither_sides_checksum),
        cmocka_unit_test(an_exact_writer_keeps_ids_and_tokens_so_another_one_is_a_difference),
        cmocka_unit_test(a_killed_run_goes_on_and_what_it_found_is_kept),
        cmocka_unit_test(
            a_line_cut_off_by_the_kill_is_compared_again_and_shares_find_the_ids_of_before),
        cmocka_unit_test(a_file_of_another_run_or_of_somebody_else_is_refused_and_left_alone),
        cmocka_unit_test(a_silence_is_believed_when_it_lasts),
        cmocka_unit_test(the_stream_has_passed_when_apply_has),
        cmocka_unit_test(the_marker_lies_behind_what_captures_clock_said_after_the_comparison),
        cmocka_unit_test(
            what_follows_from_the_last_changes_is_waited_for_and_what_came_later_is_not),
        cmocka_unit_test(what_is_too_much_at_the_target_is_the_same_only_under_the_same_id),
        cmocka_unit_test(the_page_escapes_what_people_named),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
