/*
 * apply's core against a target in memory: random histories of ownCloud 10, records in any order
 * that Kafka allows, lost answers, kills, lost hosts, somebody else at the target; at the end both
 * trees are equal, the counters balance, and reading everything once more makes no call.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/ledger/mirror_rows.h"
#include "world.h"

/* ---- histories */

static void
history(struct world *w, unsigned seed, bool kills, bool trouble, bool losses)
{
    srandom(seed);
    start_world(w);
    if (losses)
        mirror_begin(w);
    if (trouble)
        trouble_target(w);
    for (int n = 0, actions = 20 + (int)(random() % 120); n < actions; n++) {
        model_act(&w->model);
        if (random() % 3 == 0) {
            round_once(w, (int)(random() % 12));
            run_some(w, (int)(random() % 6));
        }
        if (kills && random() % 15 == 0)
            kill_world(w);
        if (losses && random() % 15 == 0)
            lose_host(w);
    }
    finish(w, 0);
}

static void
histories(int n, bool kills, bool trouble, bool losses, unsigned first)
{
    static struct world w;
    unsigned seed = first + (unsigned)env_number("LOCKSTEP_SEED", 0);

    n = env_number("LOCKSTEP_HISTORIES", n);
    for (int i = 0; i < n; i++, seed++) {
        if (getenv("LOCKSTEP_SEED"))
            print_message("seed %u\n", seed);
        history(&w, seed, kills, trouble, losses);
        assert_equal_trees(&w);
        assert_replay_is_silent(&w);
        stop_world(&w);
    }
}

static void
any_history_ends_with_equal_trees(void **state)
{
    (void)state;
    histories(70, false, false, false, 1000);
}

static void
lost_answers_change_nothing_in_the_end(void **state)
{
    (void)state;
    histories(70, false, true, false, 2000);
}

static void
kills_at_any_moment_change_nothing_in_the_end(void **state)
{
    (void)state;
    histories(70, true, true, false, 3000);
}

static void
a_ledger_made_of_its_mirror_goes_on_where_the_lost_one_was(void **state)
{
    (void)state;
    histories(50, true, true, true, 6000);
}

static void
a_host_that_is_lost_when_all_is_done_costs_no_call(void **state)
{
    static struct world w;
    int calls;

    (void)state;
    srandom(7);
    start_world(&w);
    mirror_begin(&w);
    for (int n = 0; n < 100; n++)
        model_act(&w.model);
    finish(&w, 0);
    while (w.mirrored < ap_mirror_last(w.ledger))
        mirror_follow(&w);
    calls = w.target.calls;
    for (int n = 0; n < 2; n++) { /* the second one's mirror is what the first one made of it */
        lose_host(&w);
        finish(&w, 0);
        assert_int_equal(w.target.calls, calls);
        assert_equal_trees(&w);
    }
    stop_world(&w);
}

/* SQLite prepares anew what might use another index with another value, if it may. */
static void
no_statement_is_prepared_for_each_value(void **state)
{
    static struct world w;
    sqlite3_stmt *s = NULL;
    sqlite3 *db;
    int seen = 0;

    (void)state;
    srandom(11);
    start_world(&w);
    for (int n = 0; n < 200; n++)
        model_act(&w.model);
    finish(&w, 0);
    db = sqlite3_db_handle(ap_query(w.ledger, "SELECT 1", NULL));
    while ((s = sqlite3_next_stmt(db, s))) {
        seen++;
        if (sqlite3_stmt_status(s, SQLITE_STMTSTATUS_REPREPARE, 0) > 0)
            fail_msg("prepared anew: %s", sqlite3_sql(s));
    }
    assert_true(seen > 20);
    stop_world(&w);
}

static void
a_snapshot_of_any_state_is_copied(void **state)
{
    static struct world w;
    int n = env_number("LOCKSTEP_HISTORIES", 150) / 3;

    (void)state;
    for (int i = 0; i < n; i++) {
        srandom((unsigned)(4000 + i + env_number("LOCKSTEP_SEED", 0)));
        start_world(&w);
        for (int a = 0; a < 150; a++)
            model_act(&w.model);
        /* only the last state of each row, in the order of fileids, between brackets */
        struct model *m = &w.model;
        struct model_record *info = calloc((size_t)m->n_records, sizeof(*info));
        int n_info = 0;
        for (int r = 0; r < m->n_records; r++)
            if (m->records[r].r.what == CS3_TRASH_INFO)
                info[n_info++] = m->records[r];
        m->n_records = 0;
        ledger_begin(w.ledger);
        for (int32_t p = 0; p < MODEL_PARTITIONS; p++)
            give_mark(&w, p, CS3_BEGIN, (struct ls_seq){1, ++m->counter, 0}, (struct ls_seq){0});
        ledger_commit(w.ledger);
        struct ls_seq first = {1, m->counter, 0};
        for (int r = 0; r < m->n_rows; r++)
            if (!m->rows[r].deleted)
                model_changed(m, &m->rows[r]);
        memcpy(&m->records[m->n_records], info, (size_t)n_info * sizeof(*info));
        m->n_records += n_info;
        free(info);
        while (!given_all(&w)) {
            round_once(&w, 20);
            run_some(&w, 100);
        }
        assert_int_equal(w.target.makes + w.target.puts, 0); /* nothing before the end */
        ledger_begin(w.ledger);
        for (int32_t p = 0; p < MODEL_PARTITIONS; p++)
            give_mark(&w, p, CS3_END, (struct ls_seq){1, ++m->counter, 0}, first);
        ledger_commit(w.ledger);
        finish(&w, 0);
        assert_equal_trees(&w);
        stop_world(&w);
    }
}

/* ---- somebody else at the target */

/* A node that he can work on; 0: none was hit. */
static int
his_pick(struct fake_target *f, bool trash)
{
    int i = f->n_nodes > 1 ? 1 + (int)(random() % (f->n_nodes - 1)) : 0;

    if (i == 0 || !f->nodes[i].used || (trash ? !f->nodes[i].trashed : fake_in_trash(f, i)))
        return 0;
    return i;
}

/* He writes, renames, moves, deletes, or takes something out of the trash. */
static void
his_act(struct fake_target *f, int n)
{
    int i = his_pick(f, false), to = his_pick(f, false), t = his_pick(f, true);

    if (i != 0 && random() % 2 == 0 && !f->nodes[i].folder) {
        snprintf(f->nodes[i].sha1, sizeof(f->nodes[i].sha1), "his %d", n);
        f->nodes[i].mtime = 1900000000 + n;
    } else if (i != 0 && random() % 3 == 0) {
        snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "his name %d", n);
    } else if (i != 0 && to != 0 && random() % 2 == 0 && f->nodes[to].folder &&
               !fake_within(f, to, i) && strcmp(f->nodes[i].space, f->nodes[to].space) == 0) {
        f->nodes[i].parent = to;
        snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "his move %d", n);
    } else if (i != 0 && random() % 3 == 0) {
        f->nodes[i].trashed = true;
        f->nodes[i].parent = 0;
        f->nodes[i].deleted_at = ++f->clock;
    } else if (t != 0) {
        f->nodes[t].trashed = false;
        snprintf(f->nodes[t].name, sizeof(f->nodes[t].name), "his again %d", n);
    }
}

/* His contents are there, and of what he did last in each of them. */
static void
remember_his(const struct fake_target *f, char (*his)[41])
{
    for (int i = 1; i < f->n_nodes; i++)
        if (strncmp(f->nodes[i].sha1, "his ", 4) == 0)
            memcpy(his[i], f->nodes[i].sha1, sizeof(his[i]));
}

static void
nothing_that_somebody_wrote_at_the_target_is_lost(void **state)
{
    static struct world w;
    static char his[FAKE_NODES][41];
    int n = env_number("LOCKSTEP_HISTORIES", 20), found = 0, letters = 0;

    (void)state;
    for (int i = 0; i < n; i++) {
        srandom((unsigned)(9000 + i + env_number("LOCKSTEP_SEED", 0)));
        memset(his, 0, sizeof(his));
        start_world(&w);
        for (int a = 0; a < 120; a++) {
            model_act(&w.model);
            round_once(&w, (int)(random() % 8));
            run_some(&w, (int)(random() % 8));
            his_act(&w.target, a);
            remember_his(&w.target, his);
        }
        for (int r = 0; r < 300; r++) {
            round_once(&w, 50);
            run_some(&w, 1000);
        }
        assert_true(given_all(&w));
        assert_int_equal(ap_balance(w.ledger), 0);
        for (int k = 1; k < w.target.n_nodes; k++) {
            if (!his[k][0])
                continue;
            found++;
            if (!w.target.nodes[k].used)
                fail_msg("history %d: node %d with '%s' is gone", i, k, his[k]);
            assert_string_equal(w.target.nodes[k].sha1, his[k]);
        }
        letters += (int)ap_number(w.ledger, 0,
                                  "SELECT count(*) FROM dead WHERE cause LIKE '%-at-target'", NULL);
        stop_world(&w);
    }
    assert_true(found > n && letters > n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history_ends_with_equal_trees),
        cmocka_unit_test(lost_answers_change_nothing_in_the_end),
        cmocka_unit_test(kills_at_any_moment_change_nothing_in_the_end),
        cmocka_unit_test(a_ledger_made_of_its_mirror_goes_on_where_the_lost_one_was),
        cmocka_unit_test(a_host_that_is_lost_when_all_is_done_costs_no_call),
        cmocka_unit_test(no_statement_is_prepared_for_each_value),
        cmocka_unit_test(a_snapshot_of_any_state_is_copied),
        cmocka_unit_test(nothing_that_somebody_wrote_at_the_target_is_lost),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
