/*
 * The look from time to time at what was made: a target that lost it is noticed, and what somebody
 * or we ourselves have put away is no loss. Nothing is ever written by it.
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

#define MINUTE_MS 60000

static void
start(struct world *w)
{
    srandom(3);
    start_world(w);
    w->core->options.probe_ms = MINUTE_MS;
}

static void
minutes(struct world *w, int n)
{
    for (int i = 0; i < n; i++) {
        clock_pass_us((int64_t)MINUTE_MS * 1000);
        rounds(w, 3);
    }
}

static int
writes(const struct world *w)
{
    const struct fake_target *t = &w->target;

    return t->moves + t->puts + t->makes + t->trashes + t->purges + t->restores + t->mtimes +
           t->share_sets + t->received_sets + t->link_sets;
}

static struct fake_node *
node_named(struct world *w, const char *name)
{
    for (int i = 1; i < w->target.n_nodes; i++)
        if (w->target.nodes[i].used && strcmp(w->target.nodes[i].name, name) == 0)
            return &w->target.nodes[i];
    fail_msg("no %s", name);
    return NULL;
}

static void
what_was_made_after_the_backup_is_missed_though_nothing_touches_it(void **state)
{
    static struct world w;
    char name[16];
    int before;

    (void)state;
    start(&w);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        add_file(&w, 1, w.model.files[1], name);
        finish(&w, 0);
    }
    before = writes(&w);
    minutes(&w, 40);
    assert_true(w.target.looks > 20 && w.target.looks <= 41); /* at most once a minute */
    assert_int_equal(w.core->lost, 0);
    for (int i = 10; i < 18; i++) { /* not the last two: they were made again since */
        snprintf(name, sizeof(name), "f%d", i);
        node_named(&w, name)->used = false;
    }
    minutes(&w, 12);
    assert_true(w.core->lost > 0);
    assert_int_equal(writes(&w), before);
    assert_int_equal(ap_number(w.ledger, -1, "SELECT count(*) FROM work", NULL), 0);
    minutes(&w, 100); /* a node is counted once in a row, and each look is one */
    assert_true(w.core->lost < 60);
    stop_world(&w);
}

static void
what_somebody_put_into_the_trash_is_not_lost(void **state)
{
    static struct world w;
    struct model_row *outer, *inner;

    (void)state;
    start(&w);
    outer = model_add(&w.model, 1, w.model.files[1], "outer", true);
    model_changed(&w.model, outer);
    finish(&w, 0);
    inner = model_add(&w.model, 1, outer->fileid, "inner", true);
    model_changed(&w.model, inner);
    finish(&w, 0);
    add_file(&w, 1, inner->fileid, "f");
    finish(&w, 0);
    node_named(&w, "outer")->trashed = true;
    minutes(&w, 60);
    assert_true(w.target.looks > 40);
    assert_int_equal(w.core->lost, 0); /* the folders above were asked for, too */
    stop_world(&w);
}

static void
what_is_gone_with_the_folders_around_it_is_one_loss(void **state)
{
    static struct world w;
    struct model_row *outer;

    (void)state;
    start(&w);
    outer = model_add(&w.model, 1, w.model.files[1], "outer", true);
    model_changed(&w.model, outer);
    finish(&w, 0);
    add_file(&w, 1, outer->fileid, "f");
    finish(&w, 0);
    node_named(&w, "f")->used = false;
    minutes(&w, 1);
    clock_pass_us(1000000);
    rounds(&w, 3);
    clock_pass_us(1000000);
    rounds(&w, 3);
    assert_int_equal(w.core->lost, 1); /* its folder is there, so it is not in somebody's trash */
    node_named(&w, "outer")->used = false;
    minutes(&w, 10);
    assert_true(w.core->lost >= 2);
    stop_world(&w);
}

static void
a_space_that_is_gone_is_a_loss_and_trouble_is_none(void **state)
{
    static struct world w;

    (void)state;
    start(&w);
    add_file(&w, 1, w.model.files[1], "f");
    finish(&w, 0);
    w.target.busy = 1000;
    minutes(&w, 20);
    assert_int_equal(w.core->lost, 0);
    assert_true(w.target.looks > 10);
    w.target.busy = 0;
    w.target.lost_answers = 500;
    minutes(&w, 20);
    assert_int_equal(w.core->lost, 0);
    w.target.lost_answers = 0;
    snprintf(w.target.lost[w.target.n_lost++], sizeof(w.target.lost[0]), "%.63s",
             node_named(&w, "f")->space);
    minutes(&w, 4);
    assert_int_equal(w.core->lost, 1);
    stop_world(&w);
}

static void
nobody_is_looked_for_while_a_call_of_ours_changes_that_tree(void **state)
{
    static struct world w;
    int looks;

    (void)state;
    start(&w);
    add_file(&w, 1, w.model.files[1], "f");
    finish(&w, 0);
    minutes(&w, 1);
    add_file(&w, 1, w.model.files[1], "g");
    while (w.core->n_jobs == 0)
        round_once(&w, 50);
    looks = w.target.looks;
    for (int i = 0; i < 5; i++) {
        clock_pass_us((int64_t)MINUTE_MS * 1000);
        round_once(&w, 0);
        assert_null(w.core->probe.job);
    }
    finish(&w, 0);
    assert_int_equal(w.target.looks, looks);
    /* and an answer that came while one was under way is none */
    while (!w.core->probe.job) {
        clock_pass_us((int64_t)MINUTE_MS * 1000);
        round_once(&w, 0);
    }
    node_named(&w, "g")->used = node_named(&w, "f")->used = false;
    run_some(&w, 10);
    ledger_begin(w.ledger);
    ap_exec(w.ledger, "INSERT INTO op(kind, entity, call, storage) VALUES(1, 99, 0, 1)", NULL);
    ap_settle(w.core);
    ledger_commit(w.ledger);
    assert_null(w.core->probe.job);
    assert_int_equal(w.core->probe.misses, 0);
    assert_int_equal(w.core->lost, 0);
    stop_world(&w);
}

static void
it_is_not_looked_for_when_it_is_not_wanted_or_the_target_is_paused(void **state)
{
    static struct world w;

    (void)state;
    start(&w);
    minutes(&w, 3); /* nothing was made yet */
    assert_int_equal(w.target.looks, 0);
    add_file(&w, 1, w.model.files[1], "f");
    finish(&w, 0);
    w.core->options.probe_ms = 0;
    minutes(&w, 5);
    assert_int_equal(w.target.looks, 0);
    w.core->options.probe_ms = MINUTE_MS;
    w.core->target.paused = true;
    w.core->target.until = INT64_MAX;
    minutes(&w, 5);
    assert_int_equal(w.target.looks, 0);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_after_the_backup_is_missed_though_nothing_touches_it),
        cmocka_unit_test(what_somebody_put_into_the_trash_is_not_lost),
        cmocka_unit_test(what_is_gone_with_the_folders_around_it_is_one_loss),
        cmocka_unit_test(a_space_that_is_gone_is_a_loss_and_trouble_is_none),
        cmocka_unit_test(nobody_is_looked_for_while_a_call_of_ours_changes_that_tree),
        cmocka_unit_test(it_is_not_looked_for_when_it_is_not_wanted_or_the_target_is_paused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
