/*
 * The thread that mirrors the ledger, and who may apply.
 *
 * The core writes down each change with what changed it, and sends no call before the change that
 * announces it has got through here (queue.c). So a mirror never lags behind what may have been
 * done: whoever makes a ledger of it finds each call, done or not, and looks.
 *
 * What can go wrong:
 *  - Another one takes over while we hang: our next transaction fails, and before that our lease is
 *    over. It waits until the lease must be, by its own clock, before its first call.
 *  - Kafka is away, or gives up a transaction of ours: the lease runs out, nothing is called until
 *    one gets through. A new producer might fence one that has taken over meanwhile, so the signs
 *    are read before and after it is made.
 *  - A crash between Kafka's commit and ours: the same rows are sent once more.
 *  - So much has changed (at first, everything) that it goes in pieces: until the last one the sign
 *    says that the mirror is not whole, and nobody makes a ledger of it.
 */
#include "apply/ledger/mirror.h"
#include "apply/lease.h"
#include "apply/ledger/mirror_rows.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 100000 /* changes in one transaction */
#define URGENT_MS 2 /* what changes within this time goes together... */
#define GATHER_MS                                                                                  \
    500         /* ... when nobody waits for it: a transaction costs Kafka more than its rows */
#define BEATS 4 /* signs in the time of a lease */
#define LEAVE_MS 10000

struct ap_mirror {
    const struct ls_config *config;
    struct ls_producer *producer;
    struct ap_mirror_reader *reader; /* NULL: only signs are sent */
    struct ap_owner own;
    int64_t lease_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool empty; /* the topic was, when we came */
    bool running, stop, in_order, ended, urgent;
    int64_t wanted, retry_ms;
    atomic_llong through;
    atomic_bool failed;
    struct ls_err why; /* written before `failed` */
    void (*wake)(void *arg);
    void *wake_arg;
    struct ls_backoff backoff;
    bool told;
};

/* ---- meta */

static void
meta_get(struct ap_ledger *ledger, const char *key, char *out, size_t size)
{
    sqlite3_stmt *s = ap_query(ledger, "SELECT value FROM meta WHERE key = ?", "s", key);

    out[0] = '\0';
    if (ap_step(ledger, s)) {
        ap_text(s, 0, out, size);
        ap_done(s);
    }
}

static void
meta_set(struct ap_ledger *ledger, const char *key, const char *value)
{
    ap_exec(ledger, "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", "ss", key, value);
}

/* ---- the thread */

static void
fail_for_good(struct ap_mirror *m, const struct ls_err *why)
{
    ap_lease_end();
    m->why = *why;
    atomic_store(&m->failed, true);
}

static bool
is_overtaken(struct ap_mirror *m, struct ls_err *err)
{
    struct ap_owner now;

    if (ap_owner_read(m->config, &now, err) < 0)
        return false;
    if (now.there && strcmp(now.lineage, m->own.lineage) != 0)
        ls_fail_cause(err, LS_ERR_FATAL, 0, "fenced",
                      "another lockstep-apply (instance %s) has taken over", now.instance);
    return err->kind == LS_ERR_FATAL;
}

/* After any failure. 0: the next try may get through; -1: not, or never (FATAL). */
static int
producer_renew(struct ap_mirror *m, struct ls_err *err)
{
    char id[256];

    ls_producer_free(m->producer);
    m->producer = NULL;
    snprintf(id, sizeof(id), "%s-apply", ls_config_str(m->config, "lockstep", "prefix"));
    if (is_overtaken(m, err) || err->kind != LS_ERR_NONE ||
        ls_producer_new(m->config, id, &m->producer, err) < 0 || is_overtaken(m, err) ||
        err->kind != LS_ERR_NONE)
        return -1;
    return 0;
}

static int
send_row(void *arg, struct ls_str key, struct ls_str value, struct ls_err *err)
{
    struct ap_mirror *m = arg;

    return ls_producer_send(m->producer, ls_config_topic(m->config, "ledger"), 0, key, value, NULL,
                            0, err);
}

/* One transaction: rows, and a sign. */
static int
send_all(struct ap_mirror *m, bool last, struct ls_err *err)
{
    struct ap_instant began = ap_lease_now();
    struct ap_owner sign = m->own;
    int64_t upto = atomic_load(&m->through);
    char *text;
    int r = -1;

    if (ls_producer_begin(m->producer, err) < 0)
        return -1;
    if (m->reader) {
        if (ap_mirror_read(m->reader, upto, MOST, send_row, m, &upto, &sign.whole, err) < 0)
            goto out;
        sign.changed = upto;
    }
    sign.beat++;
    sign.released = last;
    text = ap_owner_text(&sign);
    if (!text) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    r = ls_producer_send(m->producer, ls_config_topic(m->config, "applier"), 0, LS_STR("owner"),
                         ls_str_of(text), NULL, 0, err);
    free(text);
    if (r == 0)
        r = ls_producer_commit(m->producer, err);
out:
    if (r < 0) {
        ls_producer_abort(m->producer, NULL);
        return -1;
    }
    m->own = sign;
    atomic_store(&m->through, upto);
    if (!last)
        ap_lease_extend(began, m->lease_ms);
    return 0;
}

/* The same, and what becomes of a failure: 0, or when to try again. */
static void
send_or_later(struct ap_mirror *m, bool last)
{
    struct ls_err err = {0};

    if ((m->producer || producer_renew(m, &err) == 0) && send_all(m, last, &err) == 0) {
        if (m->told)
            ls_log(LS_INFO, "mirror-follows", LS_I("changed", m->own.changed));
        m->told = false;
        ls_backoff_reset(&m->backoff);
        m->retry_ms = 0;
        if (m->wake)
            m->wake(m->wake_arg);
        return;
    }
    if (!m->told || err.kind == LS_ERR_FATAL)
        ls_log_err(LS_WARN, "mirror-not-sent", &err);
    m->told = true;
    ls_producer_free(m->producer);
    m->producer = NULL;
    /* Fenced may also mean that the broker gave up a transaction: the signs tell. */
    if (err.kind == LS_ERR_POISON ||
        (err.kind == LS_ERR_FATAL && strcmp(err.cause, "fenced") != 0)) {
        err.kind = LS_ERR_FATAL;
        fail_for_good(m, &err);
    } else if (err.kind == LS_ERR_FATAL) {
        struct ls_err taken = {0};
        if (is_overtaken(m, &taken))
            fail_for_good(m, &taken);
    }
    m->retry_ms = ls_mono_ms() + ls_backoff_next_ms(&m->backoff);
}

static void
wait_ms(struct ap_mirror *m, int64_t ms)
{
    struct timespec until = ls_mono_after(ms);

    pthread_cond_clockwait(&m->cond, &m->lock, CLOCK_MONOTONIC, &until);
}

static bool
has_rows(const struct ap_mirror *m)
{
    return m->reader && m->wanted > atomic_load(&m->through);
}

static void
gather(struct ap_mirror *m, int64_t began)
{
    int64_t left;

    while (!m->stop && (left = began + (m->urgent ? URGENT_MS : GATHER_MS) - ls_mono_ms()) > 0)
        wait_ms(m, left);
}

static void *
run(void *arg)
{
    struct ap_mirror *m = arg;
    int64_t beat_ms = 0; /* when the next sign is due */

    pthread_mutex_lock(&m->lock);
    while (!atomic_load(&m->failed)) {
        int64_t now = ls_mono_ms(), at = m->retry_ms > 0 ? m->retry_ms : beat_ms;

        if (m->stop && (!m->in_order || !has_rows(m)))
            break;
        if (now < at && (m->retry_ms > 0 || !has_rows(m))) {
            wait_ms(m, at - now);
            continue;
        }
        if (now < beat_ms)
            gather(m, now);
        m->urgent = false;
        pthread_mutex_unlock(&m->lock);
        send_or_later(m, false);
        pthread_mutex_lock(&m->lock);
        beat_ms = ls_mono_ms() + m->lease_ms / BEATS;
    }
    pthread_mutex_unlock(&m->lock);
    ap_lease_end();
    if (m->in_order && !atomic_load(&m->failed))
        send_or_later(m, true);
    pthread_mutex_lock(&m->lock);
    m->ended = true;
    pthread_cond_broadcast(&m->cond);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- entering */

static bool
is_filled(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0, "SELECT 1 FROM offset WHERE next > 0 LIMIT 1", NULL) == 1 ||
           ap_number(ledger, 0, "SELECT 1 FROM node LIMIT 1", NULL) == 1;
}

static int
topic_is_empty(const struct ls_config *config, bool *ret, struct ls_err *err)
{
    struct ls_consumer *consumer = NULL;
    int64_t first = 0, end = 0;
    int r = ls_consumer_new(config, NULL, &consumer, err);

    if (r == 0)
        r = ls_consumer_bounds(consumer, ls_config_topic(config, "ledger"), 0, &first, &end, err);
    ls_consumer_free(consumer);
    *ret = first >= end;
    return r;
}

/* Of the ledger that is here, the last sign and the topic. */
static int
decide(struct ap_mirror *m, struct ap_ledger *ledger, const struct ap_owner *last,
       enum ap_if_lost if_lost, enum ap_mirror_todo *ret, struct ls_err *err)
{
    char lineage[40], off[8], rebuilding[8];
    struct ap_owner nobody = {.beat = last->beat};
    bool filled = is_filled(ledger), empty, mine, lost = false, broken, gone;

    meta_get(ledger, "lineage", lineage, sizeof(lineage));
    meta_get(ledger, "mirror-off", off, sizeof(off));
    meta_get(ledger, "rebuilding", rebuilding, sizeof(rebuilding));
    if (ap_ledger_failed(ledger) || topic_is_empty(m->config, &empty, err) < 0)
        return ap_ledger_failed(ledger) ? ap_ledger_begin(ledger, err) : -1;
    m->empty = empty;
    /* Who died between his first sign and the moment at which his ledger got its name has given and
     * called nothing. Whether the ledger that he had was one of an earlier life is asked below. */
    if (empty && !last->whole && last->changed == 0 && !rebuilding[0] && ap_ledger_is_new(ledger))
        last = &nobody;
    broken = last->there && !last->whole; /* a mirror of no use */
    /* one that was never given anything is empty, and whole */
    gone = (empty && (!last->there || last->changed > 0)) ||
           (broken && (if_lost == AP_LOST_REBUILD || rebuilding[0]));
    if (gone && ap_ledger_lost(m->config, ledger, last->there && last->changed > 0, if_lost, &lost,
                               err) < 0)
        return -1;
    mine = last->there && strcmp(last->lineage, lineage) == 0 && !rebuilding[0] &&
           ap_mirror_last(ledger) >= last->changed;
    if (lost)
        *ret = AP_MIRROR_FROM_TARGET;
    else if (!rebuilding[0] && (ap_is_from_target(ledger) ||
                                (gone && if_lost == AP_LOST_FIRST_DAY && ap_ledger_is_new(ledger))))
        *ret = AP_MIRROR_FILL;
    else if (mine)
        *ret = off[0] || (empty && filled) ? AP_MIRROR_FILL : AP_MIRROR_GO_ON;
    else if (!last->there)
        *ret = filled || empty ? AP_MIRROR_FILL : AP_MIRROR_REBUILD;
    else if (!last->whole || (empty && last->changed > 0))
        return ls_fail_cause(
            err, LS_ERR_FATAL, 0, "mirror",
            "this is not the ledger that instance %s worked with last, and its mirror"
            " is not whole: start apply where that ledger is",
            last->instance);
    else
        *ret = AP_MIRROR_REBUILD;
    if (*ret != AP_MIRROR_REBUILD && !lost && lineage[0])
        snprintf(m->own.lineage, sizeof(m->own.lineage), "%s", lineage);
    else
        ap_owner_new_lineage(m->own.lineage);
    m->own.beat = last->beat;
    m->own.whole = *ret != AP_MIRROR_FILL && !lost && (last->whole || !last->there);
    m->own.changed = *ret == AP_MIRROR_GO_ON ? last->changed : 0;
    return 0;
}

/* Before the first sign: whoever dies before all has gone through finds his own sign at the next
 * start, and a ledger that is still to be given. Not on a first day that somebody has declared: the
 * signs may be of an earlier life, and to that this would be another's ledger. */
static int
name_early(struct ap_mirror *m, struct ap_ledger *ledger, struct ls_err *err)
{
    if (ap_ledger_begin(ledger, err) < 0)
        return -1;
    ap_mirror_name(m, ledger);
    ap_exec(ledger, "INSERT OR REPLACE INTO meta(key, value) VALUES('mirror-off', '1')", NULL);
    return ap_ledger_commit(ledger, err);
}

/* Another one may be at work: waits until it is not. *last: its last sign. */
static int
stand_by(struct ap_mirror *m, const char *lineage, struct ap_owner *last, void (*tell)(void *arg),
         void *arg, struct ls_err *err)
{
    if (ap_owner_read(m->config, last, err) < 0)
        return -1;
    if (!last->there || last->released || strcmp(last->lineage, lineage) == 0)
        return 0; /* whoever holds our ledger's lock is us */
    if (!ls_config_bool(m->config, "apply", "standby"))
        return ls_fail_cause(
            err, LS_ERR_FATAL, 0, "standby",
            "another lockstep-apply (instance %s) applies, or did a moment ago, and"
            " [apply] standby is false",
            last->instance);
    ls_log(LS_WARN, "standby", LS_S("why", "another lockstep-apply is at work"),
           LS_S("instance", last->instance), LS_I("patience_ms", m->lease_ms * 2));
    ap_owner_wait(m->config, m->lease_ms * 2, tell, arg);
    if (ls_run_stopping())
        return 0;
    ls_log(LS_WARN, "take-over", LS_S("from", last->instance));
    return ap_owner_read(m->config, last, err);
}

int
ap_mirror_enter(const struct ls_config *config, struct ap_ledger *ledger, enum ap_if_lost if_lost,
                void (*tell)(void *arg), void *arg, struct ap_mirror **ret,
                enum ap_mirror_todo *ret_todo, struct ls_err *err)
{
    struct ap_mirror *m = calloc(1, sizeof(*m));
    struct ap_owner seen, last;
    char lineage[40], id[256];

    if (!m)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    m->config = config;
    m->lease_ms = ls_config_int(config, "apply", "standby_ms") / 2;
    m->backoff = (struct ls_backoff){.first_ms = 100, .max_ms = 2000};
    snprintf(m->own.instance, sizeof(m->own.instance), "%s",
             ls_config_str(config, "lockstep", "instance"));
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->cond, NULL);
    ap_lease_end();
    meta_get(ledger, "lineage", lineage, sizeof(lineage));
    snprintf(id, sizeof(id), "%s-apply", ls_config_str(config, "lockstep", "prefix"));
    *ret_todo = AP_MIRROR_STOP;
    if (stand_by(m, lineage, &seen, tell, arg, err) < 0)
        goto fail;
    if (ls_run_stopping()) {
        *ret = m;
        return 0;
    }
    if (ls_producer_new(config, id, &m->producer, err) < 0 || ap_owner_read(config, &last, err) < 0)
        goto fail;
    if (last.beat != seen.beat || strcmp(last.lineage, seen.lineage) != 0) {
        /* A third one was faster; it is fenced now, and its lease runs out. */
        for (int64_t until = ls_mono_ms() + m->lease_ms;
             ls_mono_ms() < until && !ls_run_stopping();) {
            tell(arg);
            ls_run_sleep_ms(200);
        }
        if (ap_owner_read(config, &last, err) < 0)
            goto fail;
    }
    if (decide(m, ledger, &last, if_lost, ret_todo, err) < 0)
        goto fail;
    if (*ret_todo == AP_MIRROR_FILL && if_lost != AP_LOST_FIRST_DAY &&
        name_early(m, ledger, err) < 0)
        goto fail;
    if (pthread_create(&m->thread, NULL, run, m) != 0) {
        ls_fail(err, LS_ERR_FATAL, 0, "cannot start a thread");
        goto fail;
    }
    m->running = true;
    *ret = m;
    return 0;
fail:
    ap_mirror_leave(m, false);
    return -1;
}

/* ---- following */

void
ap_mirror_name(struct ap_mirror *m, struct ap_ledger *ledger)
{
    if (m)
        meta_set(ledger, "lineage", m->own.lineage);
}

static int
each_key(void *arg, const struct ls_message *message, struct ls_err *err)
{
    (void)err;
    if (message->key.p)
        ap_mirror_change(arg, message->key);
    return 0;
}

int
ap_mirror_follow(struct ap_mirror *m, struct ap_ledger *ledger, enum ap_mirror_todo todo,
                 void (*wake)(void *arg), void *arg, struct ls_err *err)
{
    struct ap_mirror_reader *reader = NULL;

    if (ap_ledger_begin(ledger, err) < 0 || ap_mirror_watch(ledger, err) < 0)
        return -1;
    /* What stands in the topic and not here is taken out of it. */
    if (todo == AP_MIRROR_FILL && !m->empty &&
        ls_topic_read(m->config, ls_config_topic(m->config, "ledger"), each_key, ledger, err) < 0)
        return -1;
    if (todo == AP_MIRROR_FILL && ap_mirror_change_all(ledger, err) < 0)
        return -1;
    ap_mirror_name(m, ledger);
    ap_exec(ledger, "DELETE FROM meta WHERE key IN ('mirror-off', 'from-target')", NULL);
    if (ap_ledger_commit(ledger, err) < 0 ||
        ap_mirror_reader_new(ls_config_str(m->config, "apply", "ledger"), &reader, err) < 0)
        return -1;
    if (ap_ledger_synced_by_mirror(ledger, err) < 0) {
        ap_mirror_reader_free(reader);
        return -1;
    }
    pthread_mutex_lock(&m->lock);
    m->wake = wake;
    m->wake_arg = arg;
    m->reader = reader;
    m->wanted = ap_mirror_last(ledger);
    pthread_cond_broadcast(&m->cond);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

void
ap_mirror_changed(struct ap_mirror *m, int64_t last, bool urgent)
{
    pthread_mutex_lock(&m->lock);
    if (last > m->wanted || (urgent && !m->urgent)) {
        m->wanted = last > m->wanted ? last : m->wanted;
        m->urgent = m->urgent || urgent;
        pthread_cond_broadcast(&m->cond);
    }
    pthread_mutex_unlock(&m->lock);
}

int64_t
ap_mirror_through(const struct ap_mirror *m)
{
    return atomic_load(&m->through);
}

bool
ap_mirror_is_fenced(const struct ap_mirror *m, struct ls_err *err)
{
    if (!atomic_load(&m->failed))
        return false;
    *err = m->why;
    return true;
}

bool
ap_mirror_leave(struct ap_mirror *m, bool in_order)
{
    int64_t until = ls_mono_ms() + LEAVE_MS;
    bool ended = true;

    if (!m)
        return true;
    if (m->running) {
        pthread_mutex_lock(&m->lock);
        m->stop = true;
        m->in_order = in_order;
        pthread_cond_broadcast(&m->cond);
        while (!m->ended && ls_mono_ms() < until)
            wait_ms(m, 200);
        ended = m->ended;
        pthread_mutex_unlock(&m->lock);
    }
    if (!ended)
        return false;
    if (m->running)
        pthread_join(m->thread, NULL);
    ap_mirror_reader_free(m->reader);
    ls_producer_free(m->producer);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->cond);
    free(m);
    return true;
}
