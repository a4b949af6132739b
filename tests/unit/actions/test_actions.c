/*
 * Each action of a user or admin of ownCloud 10 ends in the right state: the rows that it writes,
 * through transform's mapping and apply's core, make of the target what the home folders hold by
 * then. The rows are those of data/actions.rows, and where LOCKSTEP_RECORDINGS is set those that a
 * running ownCloud wrote (actions-*.txt.zst there).
 */
#include "tests/unit/actions/site.h"

#define ACTIONS "tests/unit/actions/data/actions.rows"

/* Runs `each` behind every action; the last one ends with the file. */
static int
play(struct site *s, FILE *f, void (*each)(struct site *s, const char *action))
{
    char *line = NULL, action[200] = "";
    size_t room = 0;
    int actions = 0;

    while (getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "=== ", 4) != 0) {
            site_line(s, line);
            continue;
        }
        if (action[0] && each)
            each(s, action);
        actions++;
        snprintf(action, sizeof(action), "%s", line + 4);
    }
    if (action[0] && each)
        each(s, action);
    free(line);
    return actions;
}

static FILE *
actions_open(void)
{
    FILE *f = fopen(ACTIONS, "r");

    assert_non_null(f); /* tests run in the repository's root */
    return f;
}

/* A snapshot of what is in step already. */
static void
assert_snapshot_is_silent(struct site *s)
{
    int calls = s->target.calls;

    sr_snapshot(&s->src);
    site_settle(s, "a snapshot of the same state");
    assert_int_equal(s->target.calls, calls);
}

static void
every_action_ends_in_the_right_state(void **state)
{
    struct site *s = *state;
    FILE *f = actions_open();

    assert_true(play(s, f, site_settle) > 50);
    fclose(f);
    assert_int_equal(s->src.passed_over, 1); /* the fileid that is deleted twice */
    assert_int_equal(s->n_dead, 0);
    assert_snapshot_is_silent(s);
}

/* Nothing is in step before all is there: partitions in any order, actions folded into one. */
static void
all_actions_at_once_end_in_the_right_state(void **state)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct site *s = *state;
        FILE *f = actions_open();

        srandom(seed);
        play(s, f, NULL);
        fclose(f);
        while (seed > 1 && !site_given_all(s))
            site_round(s, (int)seed * 4, (int)seed);
        site_settle(s, "all");
        site_teardown(state);
        site_setup(state);
    }
}

static void
a_first_copy_of_what_all_actions_leave_is_right(void **state)
{
    struct site *s = *state;
    FILE *f = actions_open();

    play(s, f, NULL);
    fclose(f);
    /* Somebody who reads from here on: only the snapshot. */
    site_close_target(s);
    s->n_records = 0;
    site_open_target(s);
    sr_snapshot(&s->src);
    site_settle(s, "a first copy");
    assert_snapshot_is_silent(s);
}

static void
recorded(struct site *s, const char *name, int at_least)
{
    const char *folder = getenv("LOCKSTEP_RECORDINGS");
    char command[1000];
    FILE *f;
    int actions;

    if (!folder) {
        print_message("LOCKSTEP_RECORDINGS names no folder with recordings\n");
        skip();
    }
    snprintf(command, sizeof(command), "zstd -dqc '%s/%s'", folder, name);
    f = popen(command, "r");
    assert_non_null(f);
    actions = play(s, f, site_settle);
    assert_int_equal(pclose(f), 0);
    assert_true(actions >= at_least);
    assert_true(s->src.counter > s->src.passed_over);
    assert_snapshot_is_silent(s);
}

static void
every_recorded_action_of_10_16_ends_in_the_right_state(void **state)
{
    recorded(*state, "actions-10.16.txt.zst", 100);
}

static void
every_recorded_action_of_10_5_ends_in_the_right_state(void **state)
{
    recorded(*state, "actions-10.5.txt.zst", 5);
}

#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(every_action_ends_in_the_right_state),
        SITE_TEST(all_actions_at_once_end_in_the_right_state),
        SITE_TEST(a_first_copy_of_what_all_actions_leave_is_right),
        SITE_TEST(every_recorded_action_of_10_16_ends_in_the_right_state),
        SITE_TEST(every_recorded_action_of_10_5_ends_in_the_right_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
