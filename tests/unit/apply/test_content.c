/*
 * Content that does not match its row, cannot be read or was erased: when that is a dead letter,
 * and that everything else of the file (its place, its name, its end) comes all the same.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "common/run.h"
#include "tests/unit/clock.h"
#include "world.h"
#include <unistd.h>

static void
content_that_never_matches_is_dead_only_after_the_heartbeat(void **state)
{
    static struct world w;
    struct model_row *a;
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1, .offset = 0};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", false);
    model_content(&w.model, a);
    model_changed(&w.model, a);
    a->sha1[0] = 'x'; /* the disk has something else */
    for (int i = 0; i < 60; i++) {
        round_once(&w, 50);
        run_some(&w, 100);
        clock_pass_us(1000);
    }
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    assert_true(ap_number(w.ledger, 0, "SELECT tries FROM work WHERE kind = 1", NULL) >= 3);
    ledger_begin(w.ledger);
    beat.source_ts_us = ls_now_us() + 1000000;
    assert_true(ap_take_mark(w.core, &at, &beat, 0));
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM letter", NULL), 1);
    model_changed(&w.model, a); /* a newer row takes it back */
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
the_verdict_on_content_comes_also_when_the_stream_lags_behind_the_tries(void **state)
{
    static struct world w;
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1, .offset = 0};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    struct model_row *a;
    int64_t until = ls_mono_ms() + 60000;

    (void)state;
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", false);
    model_content(&w.model, a);
    model_changed(&w.model, a);
    a->erased = true;
    while (ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL) == 0) {
        assert_true(ls_mono_ms() < until);
        round_once(&w, 50);
        run_some(&w, 100);
        ledger_begin(w.ledger);
        beat.source_ts_us = ls_now_us() - 200000; /* a try is made more often than that */
        assert_true(ap_take_mark(w.core, &at, &beat, 0));
        ap_exec(w.ledger, "UPDATE work SET ready_at = 0 WHERE state = 0", NULL);
        ledger_commit(w.ledger);
    }
    stop_world(&w);
}

static void
bytes_that_cannot_be_read_are_a_dead_letter_and_the_rest_goes_on(void **state)
{
    static struct world w;
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1, .offset = 7};
    struct ls_err why = {0};

    (void)state;
    start_world(&w);
    ls_fail_cause(&why, LS_ERR_POISON, 0, "malformed-avro", "no Avro");
    ledger_begin(w.ledger);
    ap_take_malformed(w.core, &at, LS_STR("k"), LS_STR("\001\002"), &why);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT offset FROM letter", NULL), 7);
    stop_world(&w);
}

/* Time passes: heartbeats come, and who waits for a timer is due. Ends when all that is left waits
 * for somebody to look into a dead letter. */
static void
given_up(struct world *w)
{
    struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    int64_t until = ls_mono_ms() + 240000, open = -1;

    do {
        round_once(w, 50);
        run_some(w, 1000);
        ledger_begin(w->ledger);
        beat.source_ts_us = ls_now_us() + 1000000;
        for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++)
            assert_true(ap_take_mark(w->core, &at, &beat, 0));
        ap_exec(w->ledger, "UPDATE work SET ready_at = 0 WHERE state = 0", NULL);
        ledger_commit(w->ledger);
        open = ap_number(w->ledger, -1,
                         "SELECT count(*) FROM work WHERE state <> 1 OR trouble = 0"
                         " OR cause NOT IN ('copy-kept', 'with-parent')",
                         NULL);
        if (ls_mono_ms() > until) {
            print_open(w);
            fail_msg("%lld entities are still open", (long long)open);
        }
    } while (!given_all(w) || open > 0 || w->core->n_jobs > 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static bool
line_in(const struct lines *l, const char *line)
{
    return bsearch(line, l->line, (size_t)l->n, sizeof(l->line[0]), line_compare) != NULL;
}

static void
without_content(char *line)
{
    for (int i = 0; i < 2; i++)
        *strrchr(line, ' ') = '\0';
}

/* As assert_equal_trees, but files whose content is lost may be missing or have an older content,
 * at their place nevertheless; and a copy that is the last one may lie in the trash where it was.
 */
static void
assert_equal_but_for_lost_content(struct world *w)
{
    struct lines want = {calloc(MODEL_ROWS, 1400), 0}, lost = {calloc(MODEL_ROWS, 1400), 0},
                 have = {calloc(MODEL_ROWS, 1400), 0};
    int bad = 0;

    lines_of_model(&w->model, &want);
    for (int i = 0; i < w->model.n_rows; i++)
        if (w->model.rows[i].erased)
            line_of_row(&w->model, &w->model.rows[i], &lost);
    for (int i = 0; i < lost.n; i++)
        without_content(lost.line[i]);
    lines_of_target(&w->target, &have);
    qsort(want.line, (size_t)want.n, sizeof(want.line[0]), line_compare);
    qsort(lost.line, (size_t)lost.n, sizeof(lost.line[0]), line_compare);
    for (int i = 0; i < have.n; i++) {
        char text[1400], *path;
        memcpy(text, have.line[i], sizeof(text));
        without_content(text);
        path = strstr(text, " trash ");
        if (!line_in(&want, have.line[i]) && !line_in(&lost, text) &&
            !(path &&
              ap_number(w->ledger, 0, "SELECT count(*) FROM node WHERE leftover = 1", NULL) > 0)) {
            print_error("extra %s\n", have.line[i]);
            bad++;
        }
    }
    qsort(have.line, (size_t)have.n, sizeof(have.line[0]), line_compare);
    for (int i = 0; i < want.n; i++) {
        char text[1400];
        memcpy(text, want.line[i], sizeof(text));
        without_content(text);
        if (!line_in(&have, want.line[i]) && !line_in(&lost, text)) {
            print_error("missing %s\n", want.line[i]);
            bad++;
        }
    }
    free(want.line);
    free(lost.line);
    free(have.line);
    assert_int_equal(bad, 0);
    assert_int_equal(w->target.broken, 0);
}

static void
the_end_does_not_depend_on_when_content_was_lost(void **state)
{
    static struct world w;
    int n = env_number("LOCKSTEP_HISTORIES", 25);
    unsigned seed = 70000 + (unsigned)env_number("LOCKSTEP_SEED", 0);

    (void)state;
    for (int i = 0; i < n; i++, seed++) {
        if (getenv("LOCKSTEP_SEED"))
            print_message("seed %u\n", seed);
        srandom(seed);
        start_world(&w);
        for (int a = 0, actions = 20 + (int)(random() % 120); a < actions; a++) {
            struct model_row *row = &w.model.rows[random() % w.model.n_rows];
            if (random() % 4 == 0 && row->sha1[0])
                row->erased = true;
            model_act(&w.model);
            if (random() % 3 == 0) {
                round_once(&w, (int)(random() % 12));
                run_some(&w, (int)(random() % 6));
            }
            if (random() % 20 == 0)
                given_up(&w);
        }
        given_up(&w);
        assert_equal_but_for_lost_content(&w);
        stop_world(&w);
    }
}

static void
a_file_moved_to_somebody_else_whose_content_was_erased_in_his_trash_leaves_nothing_behind(
    void **state)
{
    static struct world w;
    struct model_row *a, *folder;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    folder = model_add(&w.model, 2, w.model.files[2], "d", true);
    model_changed(&w.model, folder);
    finish(&w, 0);
    model_move(&w.model, a, 2, folder->fileid, "b");
    model_to_trash(&w.model, folder);
    a->erased = true;
    given_up(&w);
    assert_int_equal(target_has(&w, "a"), 0);
    assert_int_equal(target_has(&w, "d"), 2);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM node WHERE leftover = 1", NULL),
                     0);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    stop_world(&w);
}

static void
the_last_copy_of_a_live_file_waits_in_the_trash_until_its_content_is_found(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    model_move(&w.model, a, 2, w.model.files[2], "b");
    a->erased = true;
    given_up(&w);
    assert_int_equal(target_has(&w, "a"), 2); /* not where its old owner would still see it */
    assert_int_equal(w.target.purges, 0);
    a->erased = false;
    model_changed(&w.model, a);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_file_that_cannot_get_its_new_content_is_moved_trashed_and_deleted_all_the_same(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    model_content(&w.model, a);
    a->erased = true;
    model_changed(&w.model, a);
    given_up(&w);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    model_move(&w.model, a, 1, w.model.files[1], "b");
    given_up(&w);
    assert_int_equal(target_has(&w, "b"), 1);
    model_to_trash(&w.model, a);
    given_up(&w);
    assert_int_equal(target_has(&w, "b"), 2);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    model_purge(&w.model, a);
    finish(&w, 0);
    assert_int_equal(target_has(&w, "b"), 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* With a bucket ownCloud writes the row first, then the object, then the row's checksum. */
static void
a_size_that_is_ahead_of_its_checksum_is_content_that_is_still_to_come(void **state)
{
    static struct world w;
    struct model_row *a;
    int64_t first;
    int node;

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    first = a->mtime;
    finish(&w, 0);
    for (node = 1; strcmp(w.target.nodes[node].name, "a") != 0; node++)
        assert_true(node < w.target.n_nodes);
    a->mtime += 5;
    model_changed(&w.model, a);
    w.model.records[w.model.n_records - 1].r.size = 11;
    a->sha1[0] = 'b'; /* what the object has by now */
    rounds(&w, 5);
    assert_int_equal(w.target.mtimes, 0);
    assert_int_equal(w.target.puts, 1);
    assert_int_equal(w.target.nodes[node].mtime, first);
    model_changed(&w.model, a);
    w.model.records[w.model.n_records - 1].r.size = 11;
    finish(&w, 0);
    assert_int_equal(w.target.mtimes, 0);
    assert_int_equal(w.target.puts, 2);
    assert_int_equal(w.target.nodes[node].mtime, first + 5);
    assert_int_equal(w.target.nodes[node].size, 11);
    assert_int_equal(w.target.revisions[0].mtime, first);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_that_never_matches_is_dead_only_after_the_heartbeat),
        cmocka_unit_test(the_verdict_on_content_comes_also_when_the_stream_lags_behind_the_tries),
        cmocka_unit_test(bytes_that_cannot_be_read_are_a_dead_letter_and_the_rest_goes_on),
        cmocka_unit_test(a_size_that_is_ahead_of_its_checksum_is_content_that_is_still_to_come),
        cmocka_unit_test(the_end_does_not_depend_on_when_content_was_lost),
        cmocka_unit_test(
            a_file_moved_to_somebody_else_whose_content_was_erased_in_his_trash_leaves_nothing_behind),
        cmocka_unit_test(
            the_last_copy_of_a_live_file_waits_in_the_trash_until_its_content_is_found),
        cmocka_unit_test(
            a_file_that_cannot_get_its_new_content_is_moved_trashed_and_deleted_all_the_same),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
