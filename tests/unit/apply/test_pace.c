/*
 * The limit of calls in flight, and whose call is next.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/core.h"
#include "common/run.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
answers(struct ap_pace *pace, int n, int64_t us)
{
    for (int i = 0; i < n; i++)
        ap_pace_answer(pace, 0, us, true);
}

static void
a_steady_target_is_given_all_that_is_configured(void **state)
{
    struct ap_pace pace;

    (void)state;
    ap_pace_init(&pace, 32);
    for (int i = 0; i < 2000; i++)
        ap_pace_answer(&pace, i % 3, 50000 + i % 7 * 5000 + i % 3 * 200000, true);
    assert_int_equal(ap_pace_limit(&pace), 32);
}

static void
a_target_that_gets_slower_is_given_less_and_later_more_again(void **state)
{
    struct ap_pace pace;
    int least;

    (void)state;
    ap_pace_init(&pace, 32);
    answers(&pace, 1000, 50000);
    answers(&pace, 100, 400000);
    assert_in_range(ap_pace_limit(&pace), 4, 20);
    least = ap_pace_limit(&pace);
    answers(&pace, 1000, 50000);
    assert_true(ap_pace_limit(&pace) > least);
    assert_int_equal(ap_pace_limit(&pace), 32);
}

static void
a_target_that_stays_slower_is_not_starved(void **state)
{
    struct ap_pace pace;

    (void)state;
    ap_pace_init(&pace, 32);
    answers(&pace, 500, 5000);
    answers(&pace, 10000, 25000); /* 20 ms more on the way, for ever */
    assert_int_equal(ap_pace_limit(&pace), 32);
}

static void
a_request_for_less_halves_down_to_one(void **state)
{
    struct ap_pace pace;

    (void)state;
    ap_pace_init(&pace, 32);
    ap_pace_slow_down(&pace);
    assert_int_equal(ap_pace_limit(&pace), 16);
    for (int i = 0; i < 20; i++)
        ap_pace_slow_down(&pace);
    assert_int_equal(ap_pace_limit(&pace), 1);
    answers(&pace, 2000, 50000);
    assert_int_equal(ap_pace_limit(&pace), 32);
}

static void
a_limit_that_holds_nothing_back_does_not_grow(void **state)
{
    struct ap_pace pace;

    (void)state;
    ap_pace_init(&pace, 32);
    ap_pace_slow_down(&pace);
    for (int i = 0; i < 2000; i++)
        ap_pace_answer(&pace, 0, 50000, false);
    assert_int_equal(ap_pace_limit(&pace), 16);
}

static void
odd_times_do_no_harm(void **state)
{
    static const int64_t odd[] = {0, -5, INT64_MAX, 1, INT64_MIN};
    struct ap_pace pace;

    (void)state;
    ap_pace_init(&pace, 0);
    for (int i = 0; i < 1000; i++)
        ap_pace_answer(&pace, i % 12 - 2, odd[i % 5], true);
    assert_int_equal(ap_pace_limit(&pace), 1);
    ap_pace_init(&pace, 256);
    for (int i = 0; i < 10000; i++)
        ap_pace_answer(&pace, i % 12 - 2, odd[i % 5], true);
    assert_in_range(ap_pace_limit(&pace), 1, 256);
}

static void
the_window_is_wider_the_further_behind_a_record_is(void **state)
{
    (void)state;
    assert_int_equal(ap_window_ms(200, 0), 200);
    assert_int_equal(ap_window_ms(200, -5000000), 200); /* the source's clock is ahead */
    assert_int_equal(ap_window_ms(200, 9999999), 200);
    assert_int_equal(ap_window_ms(200, 10000000), 400);
    assert_int_equal(ap_window_ms(200, INT64_MAX), 1000);
    assert_int_equal(ap_window_ms(0, INT64_MAX), 0);
}

/* ---- the queue */

struct desk {
    struct ap_core *core;
    struct ap_job *jobs[200];
    int n;
    char path[64];
    struct ap_ledger *ledger;
};

static void
desk_open_with(struct desk *d, struct ap_writer *writer, int workers)
{
    struct ap_options options = {.workers = workers};
    struct ls_err err = {0};

    memset(d, 0, sizeof(*d));
    snprintf(d->path, sizeof(d->path), "/tmp/test_pace.%d", (int)getpid());
    unlink(d->path);
    assert_int_equal(ap_ledger_open(d->path, &d->ledger, &err), 0);
    assert_int_equal(ap_core_new(d->ledger, writer, NULL, &options, &d->core, &err), 0);
}

static void
desk_open(struct desk *d)
{
    desk_open_with(d, NULL, 32);
}

static void
desk_close(struct desk *d)
{
    char name[80];
    const char *const ends[] = {"", "-wal", "-shm", ".lock"};

    ap_core_free(d->core);
    ap_ledger_close(d->ledger);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", d->path, ends[i]);
        unlink(name);
    }
}

static void
desk_add(struct desk *d, int64_t lane, int n)
{
    for (int i = 0; i < n; i++) {
        struct ap_job *job = calloc(1, sizeof(*job));
        assert_non_null(job);
        job->lane = lane;
        job->op.fileid = ++d->n;
        d->core->jobs[d->core->n_jobs++] = job;
    }
    ap_send(d->core);
}

static void
a_single_call_goes_before_the_hundred_of_somebody_else_that_wait(void **state)
{
    static struct desk d;

    (void)state;
    desk_open(&d);
    desk_add(&d, 1, 100);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ap_job_next(d.core)->op.fileid, i + 1);
    desk_add(&d, 2, 1);
    assert_int_equal(ap_job_next(d.core)->lane, 2);
    assert_int_equal(ap_job_next(d.core)->op.fileid, 5);
    desk_close(&d);
}

static void
two_with_much_to_do_take_turns(void **state)
{
    static struct desk d;
    int of_first = 0;

    (void)state;
    desk_open(&d);
    desk_add(&d, 1, 60);
    desk_add(&d, 2, 60);
    for (int i = 0; i < 40; i++)
        of_first += ap_job_next(d.core)->lane == 1;
    assert_int_equal(of_first, 20);
    desk_close(&d);
}

static void
a_lane_whose_calls_are_answered_goes_on_where_it_was(void **state)
{
    static struct desk d;
    struct ap_job *job;

    (void)state;
    desk_open(&d);
    desk_add(&d, 1, 10);
    for (int i = 0; i < 10; i++) {
        assert_non_null(job = ap_job_next(d.core));
        assert_int_equal(job->op.fileid, i + 1);
        ap_job_back(d.core, job);
    }
    assert_null(ap_job_next(d.core));
    desk_close(&d);
}

static void
what_waits_in_the_queue_does_not_go_out_while_all_is_paused(void **state)
{
    static struct desk d;

    (void)state;
    desk_open(&d);
    desk_add(&d, 1, 10);
    assert_non_null(ap_job_next(d.core));
    d.core->target.paused = true;
    ap_settle(d.core);
    assert_null(ap_job_next(d.core));
    d.core->target.ping = calloc(1, sizeof(*d.core->target.ping));
    assert_non_null(d.core->target.ping);
    d.core->target.ping->call = AP_PING;
    ap_send(d.core);
    assert_int_equal(ap_job_next(d.core)->call, AP_PING);
    assert_null(ap_job_next(d.core));
    d.core->target.paused = false;
    ap_send(d.core);
    assert_int_equal(ap_job_next(d.core)->op.fileid, 2);
    desk_close(&d);
}

static void
what_no_worker_has_begun_is_taken_back(void **state)
{
    static struct desk d;

    (void)state;
    desk_open(&d);
    desk_add(&d, 1, 10);
    assert_int_equal(ap_job_next(d.core)->op.fileid, 1);
    ap_take_back(d.core);
    assert_null(ap_job_next(d.core));
    for (int i = 0; i < d.core->n_jobs; i++)
        assert_int_equal(d.core->jobs[i]->queued, d.core->jobs[i]->op.fileid == 1);
    ap_send(d.core);
    assert_int_equal(ap_job_next(d.core)->op.fileid, 2);
    desk_close(&d);
}

/* ---- calls that wait for one another, in threads */

enum { TOGETHER = 12, WORKERS = 3 };

static struct {
    struct ap_writer writer;
    pthread_mutex_t lock;
    pthread_cond_t all;
    bool tells; /* that it waits */
    int inside, most, begun;
} hall = {.lock = PTHREAD_MUTEX_INITIALIZER, .all = PTHREAD_COND_INITIALIZER};

/* Told: goes on when all have begun. Else a call like any other. */
static int
meet(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    (void)user_id, (void)enabled, (void)err;
    pthread_mutex_lock(&hall.lock);
    hall.begun++;
    hall.inside++;
    hall.most = hall.inside > hall.most ? hall.inside : hall.most;
    if (hall.tells) {
        w->waits(w->waits_arg, true);
        pthread_cond_broadcast(&hall.all);
        while (hall.begun < TOGETHER)
            pthread_cond_wait(&hall.all, &hall.lock);
        w->waits(w->waits_arg, false);
    }
    pthread_mutex_unlock(&hall.lock);
    if (!hall.tells)
        ls_run_sleep_ms(2);
    pthread_mutex_lock(&hall.lock);
    hall.inside--;
    pthread_mutex_unlock(&hall.lock);
    return 0;
}

static int
hall_begun(void)
{
    int n;

    pthread_mutex_lock(&hall.lock);
    n = hall.begun;
    pthread_mutex_unlock(&hall.lock);
    return n;
}

static void
hall_run(bool tells, bool one_by_one)
{
    static const struct ap_writer_ops ops = {.user_enable = meet};
    static struct desk d;
    struct ls_err err = {0};
    struct ap_job *job;

    hall.writer = (struct ap_writer){.ops = &ops};
    hall.tells = tells;
    hall.inside = hall.most = hall.begun = 0;
    desk_open_with(&d, &hall.writer, WORKERS);
    assert_int_equal(ap_workers_start(d.core, &err), 0);
    for (int i = 0; i < TOGETHER; i++) {
        job = calloc(1, sizeof(*job));
        assert_non_null(job);
        job->call = AP_USER_ENABLE;
        d.core->jobs[d.core->n_jobs++] = job;
        while (one_by_one && hall_begun() < i)
            ls_run_sleep_ms(1);
        if (one_by_one)
            ap_send(d.core);
    }
    ap_send(d.core);
    for (int n = 0; n < TOGETHER;) {
        ap_wait_answers(d.core, 100, 100);
        while ((job = ap_answer(d.core)) != NULL) {
            assert_int_equal(job->result, 0);
            assert_true(job->waited_us >= 0 && job->waited_us <= job->took_us);
            n++;
        }
        ap_send(d.core);
    }
    assert_int_equal(ap_waiting(d.core), 0);
    ap_workers_stop(d.core);
    desk_close(&d);
}

static void
answers_are_gathered_while_the_workers_have_enough_to_do(void **state)
{
    enum { JOBS = 40, TWO = 2 };
    static const struct ap_writer_ops ops = {.user_enable = meet};
    static struct desk d;
    struct ls_err err = {0};
    int answers = 0;

    (void)state;
    hall.writer = (struct ap_writer){.ops = &ops};
    hall.tells = false;
    desk_open_with(&d, &hall.writer, TWO);
    assert_int_equal(ap_workers_start(d.core, &err), 0);
    for (int i = 0; i < JOBS; i++) {
        struct ap_job *job = calloc(1, sizeof(*job));
        assert_non_null(job);
        job->call = AP_USER_ENABLE;
        d.core->jobs[d.core->n_jobs++] = job;
    }
    ap_send(d.core);
    assert_true(ap_wait_answers(d.core, 0, 60000));
    while (ap_answer(d.core) != NULL)
        answers++;
    assert_true(answers >= JOBS - TWO - TWO / 2);
    while (answers < JOBS) {
        ap_wait_answers(d.core, 100, 100);
        while (ap_answer(d.core) != NULL)
            answers++;
    }
    ap_workers_stop(d.core);
    desk_close(&d);
}

static void
calls_that_wait_for_one_another_hold_no_place_of_those_to_come(void **state)
{
    (void)state;
    hall_run(true, false); /* four times as many as workers: else nobody would ever go on */
    assert_int_equal(hall.most, TOGETHER);
}

static void
a_call_that_comes_while_all_others_wait_is_begun(void **state)
{
    (void)state;
    hall_run(true, true);
    assert_int_equal(hall.most, TOGETHER);
}

static void
calls_that_are_out_are_never_more_than_the_limit(void **state)
{
    (void)state;
    hall_run(false, false);
    assert_in_range(hall.most, 1, WORKERS);
}

/* ---- big uploads of one lane, and somebody else's file */

enum { PLACES = 8 };

static struct {
    struct ap_writer writer;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool small_began, may_end;
    int big; /* that have begun */
    int inside, most;
} yard = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The big ones end when they are told to. */
static int
carry(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    (void)w, (void)enabled, (void)err;
    pthread_mutex_lock(&yard.lock);
    if (strcmp(user_id, "small") == 0)
        yard.small_began = true;
    else
        yard.big++;
    yard.inside++;
    yard.most = yard.inside > yard.most ? yard.inside : yard.most;
    pthread_cond_broadcast(&yard.changed);
    while (strcmp(user_id, "small") != 0 && !yard.may_end)
        pthread_cond_wait(&yard.changed, &yard.lock);
    pthread_mutex_unlock(&yard.lock);
    ls_run_sleep_ms(2);
    pthread_mutex_lock(&yard.lock);
    yard.inside--;
    pthread_mutex_unlock(&yard.lock);
    return 0;
}

static void
yard_open(struct desk *d)
{
    static const struct ap_writer_ops ops = {.user_enable = carry};
    struct ls_err err = {0};

    yard.writer = (struct ap_writer){.ops = &ops};
    yard.small_began = yard.may_end = false;
    yard.big = yard.inside = yard.most = 0;
    desk_open_with(d, &yard.writer, PLACES);
    assert_int_equal(ap_workers_start(d->core, &err), 0);
}

/* When all of them have ended. */
static void
yard_close(struct desk *d, int jobs)
{
    pthread_mutex_lock(&yard.lock);
    yard.may_end = true;
    pthread_cond_broadcast(&yard.changed);
    pthread_mutex_unlock(&yard.lock);
    while (jobs > 0) {
        ap_wait_answers(d->core, 100, 100);
        while (ap_answer(d->core) != NULL)
            jobs--;
    }
    ap_workers_stop(d->core);
    desk_close(d);
}

static void
yard_add(struct desk *d, int64_t lane, const char *who, int n)
{
    for (int i = 0; i < n; i++) {
        struct ap_job *job = calloc(1, sizeof(*job));
        assert_non_null(job);
        job->call = AP_USER_ENABLE;
        job->lane = lane;
        snprintf(job->person_id, sizeof(job->person_id), "%s", who);
        d->core->jobs[d->core->n_jobs++] = job;
    }
    ap_send(d->core);
}

/* Until that many big ones, or the small one, have begun; false: they do not. */
static bool
yard_wait(int big, bool small)
{
    struct timespec until = ls_mono_after(10000);
    int r = 0;

    pthread_mutex_lock(&yard.lock);
    while ((yard.big < big || (small && !yard.small_began)) && r == 0)
        r = pthread_cond_clockwait(&yard.changed, &yard.lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&yard.lock);
    return r == 0;
}

static void
a_lane_with_nothing_out_begins_while_another_one_holds_all_places(void **state)
{
    static struct desk d;
    bool full, began;
    int big;

    (void)state;
    yard_open(&d);
    yard_add(&d, 1, "big", PLACES + 4);
    full = yard_wait(PLACES, false);
    yard_add(&d, 2, "small", 1);
    began = yard_wait(PLACES, true);
    pthread_mutex_lock(&yard.lock);
    big = yard.big;
    pthread_mutex_unlock(&yard.lock);
    yard_close(&d, PLACES + 5);
    assert_true(full);
    assert_true(began);
    assert_int_equal(big, PLACES); /* the others wait for a place, what is spare is not for them */
}

static void
lanes_with_nothing_out_get_an_eighth_beyond_the_limit_and_no_more(void **state)
{
    static struct desk d;
    bool began;

    (void)state;
    yard_open(&d);
    for (int64_t lane = 1; lane <= 3 * PLACES; lane++)
        yard_add(&d, lane, "big", 1);
    began = yard_wait(PLACES + PLACES / 8, false);
    yard_close(&d, 3 * PLACES);
    assert_true(began);
    assert_int_equal(yard.most, PLACES + PLACES / 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_target_is_given_all_that_is_configured),
        cmocka_unit_test(a_target_that_gets_slower_is_given_less_and_later_more_again),
        cmocka_unit_test(a_target_that_stays_slower_is_not_starved),
        cmocka_unit_test(a_request_for_less_halves_down_to_one),
        cmocka_unit_test(a_limit_that_holds_nothing_back_does_not_grow),
        cmocka_unit_test(odd_times_do_no_harm),
        cmocka_unit_test(the_window_is_wider_the_further_behind_a_record_is),
        cmocka_unit_test(a_single_call_goes_before_the_hundred_of_somebody_else_that_wait),
        cmocka_unit_test(two_with_much_to_do_take_turns),
        cmocka_unit_test(a_lane_whose_calls_are_answered_goes_on_where_it_was),
        cmocka_unit_test(what_waits_in_the_queue_does_not_go_out_while_all_is_paused),
        cmocka_unit_test(what_no_worker_has_begun_is_taken_back),
        cmocka_unit_test(answers_are_gathered_while_the_workers_have_enough_to_do),
        cmocka_unit_test(calls_that_wait_for_one_another_hold_no_place_of_those_to_come),
        cmocka_unit_test(a_call_that_comes_while_all_others_wait_is_begun),
        cmocka_unit_test(calls_that_are_out_are_never_more_than_the_limit),
        cmocka_unit_test(a_lane_with_nothing_out_begins_while_another_one_holds_all_places),
        cmocka_unit_test(lanes_with_nothing_out_get_an_eighth_beyond_the_limit_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
