/*
 * The core's life, and the queue between it and its worker threads.
 *
 * Jobs belong to the core (`jobs`); the queue only passes them there and back. Some more are
 * planned and mirrored than are called, so that no worker waits for a commit or for Kafka. What can
 * go wrong: those of one lane fill all of it, and somebody else's single file waits behind a
 * thousand of theirs, or behind big ones that take minutes; so whoever has the fewest calls out is
 * next, and some places beyond the limit are for those who have none. And what is in the queue must
 * not go out when the target has asked for a pause. A worker is never stopped in the middle of a
 * call: stopping waits for the calls that are out.
 *
 * Shares are written into few files, and a write is for all who wait for it: who waits has no call
 * out, so another thread begins the next one meanwhile, up to so many more (SPARE). When the write
 * is done some more than the limit are at work for a moment, most of them with nothing left to do.
 */
#include "apply/core.h"
#include "common/run.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPARE 256

static _Thread_local struct ap_job *mine; /* what this thread runs */
static _Thread_local int64_t waits_since;

struct ap_queue {
    pthread_mutex_t lock;
    pthread_cond_t work, answers;
    struct ap_job **todo, **busy, **done;
    int n_todo, n_busy, n_done, size;
    int limit; /* of those that are busy and do not wait; 0: only a ping */
    int n_waiting;
    int n_idle; /* threads that are about to look for a job, or wait for one */
    bool stop, nudged;
    pthread_t *threads;
    int n_threads;
};

int
ap_core_new(struct ap_ledger *ledger, struct ap_writer *writer, const struct ls_config *config,
            const struct ap_options *options, struct ap_core **ret, struct ls_err *err)
{
    struct ap_core *core = calloc(1, sizeof(*core));
    /* what was in flight under other settings fits too */
    int size =
        options->workers * 4 + 1100 + (int)ap_number(ledger, 0, "SELECT count(*) FROM op", NULL);

    if (!core || !(core->queue = calloc(1, sizeof(*core->queue))) ||
        !(core->jobs = calloc((size_t)size, sizeof(struct ap_job *))) ||
        !(core->queue->todo = calloc((size_t)size, sizeof(struct ap_job *))) ||
        !(core->queue->busy = calloc((size_t)size, sizeof(struct ap_job *))) ||
        !(core->queue->done = calloc((size_t)size, sizeof(struct ap_job *)))) {
        ap_core_free(core);
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    }
    core->ledger = ledger;
    core->writer = writer;
    core->config = config;
    core->options = *options;
    core->view = ap_ledger_view(ledger);
    core->seeking = ap_number(ledger, 0, "SELECT 1 FROM sought LIMIT 1", NULL) == 1;
    core->n_jobs_max = core->queue->size = size;
    ap_pace_init(&core->pace, options->workers);
    core->queue->limit = options->workers;
    core->lane = core->trash_lane = INT64_MIN;
    pthread_mutex_init(&core->queue->lock, NULL);
    pthread_cond_init(&core->queue->work, NULL);
    pthread_cond_init(&core->queue->answers, NULL);
    *ret = core;
    return 0;
}

void
ap_core_free(struct ap_core *core)
{
    if (!core)
        return;
    for (int i = 0; i < core->n_jobs; i++)
        free(core->jobs[i]);
    if (core->queue) {
        free(core->queue->todo);
        free(core->queue->busy);
        free(core->queue->done);
        free(core->queue->threads);
    }
    free(core->target.ping);
    free(core->probe.job);
    free(core->bucket.ping);
    free(core->queue);
    free(core->jobs);
    free(core);
}

/* The workers, to do. Locked. */
static bool
have_enough(const struct ap_queue *q)
{
    return q->n_todo > q->limit / 2;
}

static int
busy_of_lane(const struct ap_queue *q, int64_t lane)
{
    int n = 0;

    for (int i = 0; i < q->n_busy; i++)
        n += q->busy[i]->lane == lane;
    return n;
}

/* Takes the next one out; NULL when there is none, or none may go. Locked. */
static struct ap_job *
pick(struct ap_queue *q, int limit)
{
    int best = -1, least = 0, at_work = q->n_busy - q->n_waiting, spare = ap_pace_spare(limit);
    struct ap_job *job;

    for (int i = 0; i < q->n_todo && (best < 0 || least > 0); i++) {
        int n;
        if (q->todo[i]->call == AP_PING) {
            best = i;
            least = -1;
        } else if (at_work < limit + spare &&
                   (best < 0 || q->todo[i]->lane != q->todo[best]->lane) &&
                   ((n = busy_of_lane(q, q->todo[i]->lane)) < least || best < 0) &&
                   (at_work < limit || n == 0)) {
            best = i;
            least = n;
        }
    }
    if (best < 0)
        return NULL;
    job = q->todo[best];
    memmove(q->todo + best, q->todo + best + 1,
            (size_t)(--q->n_todo - best) * sizeof(struct ap_job *));
    q->busy[q->n_busy++] = job;
    return job;
}

static void *worker(void *arg);

/* Locked. */
static int
thread_add(struct ap_core *core)
{
    struct ap_queue *q = core->queue;

    if (!q->threads || q->n_threads >= core->options.workers + SPARE ||
        pthread_create(&q->threads[q->n_threads], NULL, worker, core) != 0)
        return -1;
    q->n_threads++;
    q->n_idle++;
    return 0;
}

/* A job or a place is new: as far as the limit goes there is a thread for each, and one is called.
 * Where none can be added the next one that ends its call goes on. Locked. */
static void
call_worker(struct ap_core *core)
{
    struct ap_queue *q = core->queue;
    int places = q->limit + ap_pace_spare(q->limit) - (q->n_busy - q->n_waiting);

    if (q->stop || q->n_todo == 0)
        return;
    while (q->n_idle < q->n_todo && q->n_idle < places && thread_add(core) == 0)
        ;
    pthread_cond_signal(&q->work);
}

struct ap_job *
ap_job_next(struct ap_core *core)
{
    struct ap_queue *q = core->queue;
    struct ap_job *job;

    pthread_mutex_lock(&q->lock);
    job = pick(q, q->limit > 0 ? q->size : 0);
    pthread_mutex_unlock(&q->lock);
    return job;
}

void
ap_job_back(struct ap_core *core, struct ap_job *job)
{
    struct ap_queue *q = core->queue;

    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < q->n_busy; i++)
        if (q->busy[i] == job) {
            q->busy[i] = q->busy[--q->n_busy];
            break;
        }
    q->done[q->n_done++] = job;
    q->n_idle += mine != NULL;
    if (!have_enough(q))
        pthread_cond_signal(&q->answers);
    call_worker(core);
    pthread_mutex_unlock(&q->lock);
}

struct ap_job *
ap_answer(struct ap_core *core)
{
    struct ap_queue *q = core->queue;
    struct ap_job *job = NULL;

    pthread_mutex_lock(&q->lock);
    if (q->n_done > 0)
        job = q->done[--q->n_done];
    pthread_mutex_unlock(&q->lock);
    return job;
}

static void
enqueue(struct ap_core *core, struct ap_job *job)
{
    struct ap_queue *q = core->queue;

    job->queued = true;
    job->attempt++;
    pthread_mutex_lock(&q->lock);
    q->todo[q->n_todo++] = job;
    call_worker(core);
    pthread_mutex_unlock(&q->lock);
}

bool
ap_is_held(const struct ap_core *core, const struct ap_job *job)
{
    return core->through && job->attempt == 0 &&
           (job->logged == 0 || job->logged > core->through(core->through_arg));
}

int
ap_held(const struct ap_core *core)
{
    int n = 0;

    for (int i = 0; i < core->n_jobs; i++)
        n += ap_is_held(core, core->jobs[i]);
    return n;
}

/* Has this job's lane nothing that may go out? */
static bool
is_alone(const struct ap_core *core, const struct ap_job *job)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (core->jobs[i]->lane == job->lane && !ap_is_held(core, core->jobs[i]))
            return false;
    return true;
}

bool
ap_is_hungry(const struct ap_core *core)
{
    int64_t now = ls_now_ms();
    int out = 0, held = 0;

    for (int i = 0; i < core->n_jobs; i++) {
        if (!ap_is_held(core, core->jobs[i])) {
            out += core->jobs[i]->queued || core->jobs[i]->resend_at <= now;
            continue;
        }
        held++;
        if (is_alone(core, core->jobs[i]))
            return true;
    }
    out -= ap_waiting(core);
    return held > 0 && out < ap_pace_limit(&core->pace) * 3 / 2;
}

void
ap_limit_tell(struct ap_core *core)
{
    struct ap_queue *q = core->queue;
    int limit = core->target.paused ? 0 : ap_pace_limit(&core->pace);

    pthread_mutex_lock(&q->lock);
    if (limit > q->limit)
        pthread_cond_broadcast(&q->work);
    q->limit = limit;
    call_worker(core);
    pthread_mutex_unlock(&q->lock);
}

void
ap_take_back(struct ap_core *core)
{
    struct ap_queue *q = core->queue;

    pthread_mutex_lock(&q->lock);
    for (int i = 0; i < q->n_todo; i++) {
        q->todo[i]->queued = false;
        q->todo[i]->attempt--;
    }
    q->n_todo = 0;
    pthread_mutex_unlock(&q->lock);
}

void
ap_send(struct ap_core *core)
{
    int64_t now = ls_now_ms();

    ap_limit_tell(core);
    if (core->target.ping && !core->target.ping->queued)
        enqueue(core, core->target.ping);
    if (core->bucket.ping && !core->bucket.ping->queued)
        enqueue(core, core->bucket.ping);
    if (core->target.paused)
        return;
    if (core->probe.job && !core->probe.job->queued)
        enqueue(core, core->probe.job);
    for (int i = 0; i < core->n_jobs; i++) {
        struct ap_job *job = core->jobs[i];
        if (job->logged == 0)
            job->logged = core->logged;
        if (!job->queued && job->resend_at <= now && !ap_is_held(core, job))
            enqueue(core, job);
    }
}

static void *
worker(void *arg)
{
    struct ap_core *core = arg;
    struct ap_queue *q = core->queue;

    for (;;) {
        struct ap_job *job = NULL;
        pthread_mutex_lock(&q->lock);
        while (!q->stop && !(job = pick(q, q->limit)))
            pthread_cond_wait(&q->work, &q->lock);
        q->n_idle--;
        if (!q->stop && !have_enough(q))
            pthread_cond_signal(&q->answers);
        pthread_mutex_unlock(&q->lock);
        if (!job)
            return NULL;
        mine = job;
        job->waited_us = 0;
        ap_job_run(core->writer, job);
        ap_job_back(core, job);
        mine = NULL;
    }
}

static void
waits(void *arg, bool begins)
{
    struct ap_core *core = arg;
    struct ap_queue *q = core->queue;

    if (!mine)
        return; /* no worker */
    if (begins)
        waits_since = ls_now_us();
    else
        mine->waited_us += ls_now_us() - waits_since;
    pthread_mutex_lock(&q->lock);
    q->n_waiting += begins ? 1 : -1;
    if (begins)
        call_worker(core);
    pthread_mutex_unlock(&q->lock);
}

int
ap_waiting(const struct ap_core *core)
{
    struct ap_queue *q = core->queue;
    int n;

    pthread_mutex_lock(&q->lock);
    n = q->n_waiting;
    pthread_mutex_unlock(&q->lock);
    return n;
}

int
ap_workers_start(struct ap_core *core, struct ls_err *err)
{
    struct ap_queue *q = core->queue;
    bool all;

    q->threads = calloc((size_t)core->options.workers + SPARE, sizeof(*q->threads));
    if (!q->threads)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    core->writer->waits = waits;
    core->writer->waits_arg = core;
    pthread_mutex_lock(&q->lock);
    while (q->n_threads < core->options.workers && thread_add(core) == 0)
        ;
    all = q->n_threads >= core->options.workers;
    pthread_mutex_unlock(&q->lock);
    return all ? 0 : ls_fail(err, LS_ERR_FATAL, 0, "cannot start a thread");
}

void
ap_workers_stop(struct ap_core *core)
{
    struct ap_queue *q = core->queue;

    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->work);
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < q->n_threads; i++) /* nobody adds one any more */
        pthread_join(q->threads[i], NULL);
    q->n_threads = 0;
}

bool
ap_wait_answers(struct ap_core *core, int64_t ms, int64_t busy_ms)
{
    struct ap_queue *q = core->queue;
    struct timespec until = ls_mono_after(ms), busy_until = ls_mono_after(busy_ms);
    bool some, busy;

    pthread_mutex_lock(&q->lock);
    while (((busy = have_enough(q)) || q->n_done == 0) && !q->nudged &&
           pthread_cond_clockwait(&q->answers, &q->lock, CLOCK_MONOTONIC,
                                  busy ? &busy_until : &until) == 0)
        ;
    q->nudged = false;
    some = q->n_done > 0;
    pthread_mutex_unlock(&q->lock);
    return some;
}

void
ap_nudge(void *core)
{
    struct ap_queue *q = ((struct ap_core *)core)->queue;

    pthread_mutex_lock(&q->lock);
    q->nudged = true;
    pthread_cond_signal(&q->answers);
    pthread_mutex_unlock(&q->lock);
}

void
ap_job_forget(struct ap_core *core, struct ap_job *job)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (core->jobs[i] == job) {
            core->jobs[i] = core->jobs[--core->n_jobs];
            break;
        }
    free(job);
}
