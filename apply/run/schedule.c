/*
 * What is sent when: lanes, rounds, and what is written down before a call goes out.
 *
 * A lane is a storage; lanes take turns, so that one big copy never holds up somebody else's file.
 * What can go wrong: an answer to a call that the ledger does not know of, or a call that holds up
 * all others of its lane. So: a call is in the ledger before it is sent; it starts only when
 * nothing in flight meets it (jobs.c), and what may not start waits (waits.c).
 */
#include "apply/run/schedule.h"
#include "apply/core.h"
#include "apply/plan/reconcile.h"
#include "apply/plan/sought.h"
#include "apply/run/probe.h"
#include "common/log.h"
#include "common/run.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_COMES_US ((int64_t)60000000)
#define OBJECT_BYTE_US ((int64_t)1) /* 1 MB a second */
#define ROUND_BUDGET 3000           /* entities looked at in one round (one transaction) */
#define VISIT 32                    /* ... in one visit of a lane */
#define VISIT_CALLS 4
#define NEW_LANES 64 /* ... passed in one round, when there is room for such without calls only */
#define STUCK 16     /* unsent doubtful calls of one storage, until no more are begun there */
#define SKIPPED_MS 50
#define CLOCK_BACK_MS 1000 /* less is waited for */
#define LONGEST_MS 120000  /* a timer beside retry_max_ms */

int64_t
ap_backoff(const struct ap_options *options, int attempts)
{
    int64_t most = options->retry_first_ms << (attempts > 16 ? 16 : attempts);

    if (most > options->retry_max_ms)
        most = options->retry_max_ms;
    return most / 2 + (most > 1 ? random() % (most / 2 + 1) : 0);
}

/* ---- starting calls */

static void
op_save(struct ap_core *core, struct ap_job *job)
{
    const struct ap_tree_op *op = &job->op;

    ap_exec(core->ledger,
            "INSERT INTO op(kind, entity, call, storage, fileid, node, parent, top, name, relative,"
            " blob, size, mtime, etag, sha1, md5, adler32)"
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iiiiiiiisssiissss", (int64_t)job->who.kind, job->who.id, (int64_t)op->call,
            op->storage, op->fileid, op->node, op->parent, op->top, op->name, op->relative,
            op->blob, op->size, op->mtime, op->etag, op->sha1, op->md5, op->adler32);
    job->op_id = ap_last_id(core->ledger);
}

void
ap_work_dead(struct ap_core *core, const struct ap_work *work, const char *cause,
             const char *message)
{
    ap_latency_end(core->latency, work->key, false);
    if (work->key.kind <= AP_SHARE) /* the others' records are rows of shares, dead after them */
        ap_dead_letter(core, work->key, cause, message, work->attempts + work->tries);
    ap_exec(core->ledger, "DELETE FROM work WHERE kind = ? AND id = ?", "ii",
            (int64_t)work->key.kind, work->key.id);
    ap_exec(core->ledger, "DELETE FROM reconcile WHERE kind = ? AND id = ?", "ii",
            (int64_t)work->key.kind, work->key.id);
    ap_exec(core->ledger,
            "INSERT INTO dead(kind, id, cause, message, attempts, counted, time_us)"
            " VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(kind, id) DO UPDATE SET"
            " cause = excluded.cause, message = excluded.message,"
            " counted = max(counted, excluded.counted)",
            "iissiii", (int64_t)work->key.kind, work->key.id, cause, message,
            (int64_t)work->attempts + work->tries, (int64_t)work->counted, ls_now_us());
    ap_exec(core->ledger, "DELETE FROM allowed WHERE kind = ? AND id = ?", "ii",
            (int64_t)work->key.kind, work->key.id);
    ap_wake(core->ledger, work->key);
}

/* ---- one entity */

/* The node is in another space than it shall be, or no longer carried: it is disowned here, and
 * removed as a node of its own; what lies below it is looked at again. */
void
ap_node_leave(struct ap_core *core, int64_t fileid)
{
    struct ap_applied node;
    struct {
        int64_t fileid, storage;
    } below[256];
    int n = 0;

    if (!ap_node_of(core->ledger, fileid, &node))
        return;
    ap_exec(core->ledger, "UPDATE node SET leftover = 1 WHERE id = ?", "i", node.id);
    ap_work_open(core->ledger, (struct ap_key){AP_LEFTOVER, node.id}, node.storage, ls_now_ms());
    ap_wake(core->ledger, (struct ap_key){AP_NODE, fileid});
    /* Children's rows normally come by themselves; those that oC10 forgot are found here. */
    sqlite3_stmt *s =
        ap_query(core->ledger,
                 "SELECT fileid, storage FROM node n WHERE parent = ? AND leftover = 0"
                 " AND NOT EXISTS (SELECT 1 FROM work WHERE kind = 1 AND id = fileid)"
                 " LIMIT 256",
                 "i", node.id);
    do {
        for (n = 0; n < 256 && ap_step(core->ledger, s); n++) {
            below[n].fileid = sqlite3_column_int64(s, 0);
            below[n].storage = sqlite3_column_int64(s, 1);
        }
        ap_done(s);
        for (int i = 0; i < n; i++)
            ap_work_open(core->ledger, (struct ap_key){AP_NODE, below[i].fileid}, below[i].storage,
                         ls_now_ms());
    } while (n == 256 && !ap_ledger_failed(core->ledger));
}

/* ownCloud writes the row, then the object: a big one takes its time. */
static bool
may_still_come(struct ap_core *core, const struct ap_work *work)
{
    char id[256] = "", owner[256] = "";
    int64_t until;
    sqlite3_stmt *s;

    if (!core->objects || strcmp(work->cause, "content-missing") != 0)
        return false;
    s = ap_query(core->ledger,
                 "SELECT d.source_us + ? + max(d.size, 0) * ?, s.source_id, s.owner FROM desired d"
                 " JOIN space s ON s.storage = d.storage WHERE d.fileid = ?",
                 "iii", OBJECT_COMES_US, OBJECT_BYTE_US, work->key.id);
    if (!ap_step(core->ledger, s))
        return false;
    until = sqlite3_column_int64(s, 0);
    ap_text(s, 1, id, sizeof(id));
    ap_text(s, 2, owner, sizeof(owner));
    ap_done(s);
    return ls_now_us() < until && ap_objects_hold(id, owner);
}

/* Content that failed often enough, and the stream was read past the last of those tries with the
 * row still the same (a newer one would have set `tries` back). A cause from elsewhere means that
 * things have changed since: tried once more. */
static bool
content_is_dead(struct ap_core *core, const struct ap_work *work)
{
    int64_t read_us;

    if (work->tries < core->options.content_tries || strncmp(work->cause, "content-", 8) != 0 ||
        ap_content_is_away(work->cause))
        return false;
    read_us = ap_number(core->ledger, 0,
                        "SELECT read_us FROM offset WHERE topic = 'cs3.resource' AND partition ="
                        " (SELECT partition FROM desired WHERE fileid = ?)",
                        "i", work->key.id);
    return read_us > work->tried_us + core->options.content_margin_us &&
           !may_still_come(core, work);
}

static void
entity_next(struct ap_core *core, struct ap_work *work, struct ap_next *next, struct ap_job *job)
{
    struct ap_how how = {work->forced, content_is_dead(core, work)};

    memset(next, 0, sizeof(*next));
    next->cause = "";
    switch (work->key.kind) {
    case AP_NODE:
        ap_converge_node(&core->view, work->key.id, how, next);
        for (int n = 0; next->verdict == AP_LEAVE && n < 3; n++) {
            ap_node_leave(core, work->key.id);
            ap_converge_node(&core->view, work->key.id, how, next);
        }
        if (ap_sought_next(core, work, next, job))
            break;
        ap_versions_step(core, work, how.given_up, next);
        ap_sought_version(core, work, next);
        break;
    case AP_LEFTOVER:
        ap_converge_leftover(&core->view, work->key.id, next);
        break;
    case AP_SPACE:
        ap_space_next(core, work, next, job);
        break;
    case AP_PERSON:
        ap_person_next(core, work, next, job);
        break;
    case AP_SHARE:
        ap_share_next(core, work, next);
        break;
    case AP_GRANT:
        ap_grant_next(core, work, next, job);
        break;
    case AP_RECEIVED:
        ap_received_next(core, work, next, job);
        break;
    case AP_LINK:
        ap_link_next(core, work, next, job);
        break;
    case AP_NONE:
    case AP_PARTITION:
    case AP_TRASH_OF:
    case AP_RECORD:
    case AP_STORAGE:
        break;
    }
}

/* Who is in the way of a call that is about to start; NULL: nobody. */
static const struct ap_job *
in_the_way(struct ap_core *core, const struct ap_job *job)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (ap_jobs_meet(core->jobs[i], job))
            return core->jobs[i];
    return NULL;
}

/* Returns 1 when a call was started (the job is used), else 0. */
static int
start(struct ap_core *core, struct ap_work *work, struct ap_next *next, struct ap_job *job)
{
    struct ls_err err = {0};
    struct ap_next busy = {.verdict = AP_WAIT, .cause = "busy"};
    const struct ap_job *other;
    bool look = next->op.call == AP_LOOK;

    job->who = work->key;
    job->lane = work->storage;
    if (ap_is_on_tree(next->op.call) || look) {
        job->op = next->op;
        if (next->op.call == AP_PUT_FILE && content_is_dead(core, work)) {
            ap_work_dead(core, work, work->cause, ap_dead_words(work->cause));
            return 0;
        }
        job->call = job->op.call;
        if ((!look || ap_is_node(job->who)) &&
            (!ap_job_fill(core, job, &err) || !ap_job_has_ids(job))) {
            work->attempts++;
            work->trouble = true;
            work->ready_at = ls_now_ms() + ap_backoff(&core->options, work->attempts);
            snprintf(work->cause, sizeof(work->cause), "%s",
                     !ap_job_has_ids(job)                  ? "no-id"
                     : strcmp(err.cause, "no-bucket") == 0 ? err.cause
                                                           : "no-home");
            ap_work_save(core->ledger, work);
            return 0;
        }
        other = in_the_way(core, job);
        if (other) {
            busy.on = other->who;
            ap_wait_park(core, work, &busy);
            return 0;
        }
        if (job->call == AP_PUT_FILE && job->objects && core->bucket.paused) {
            ap_bucket_park(core, work);
            return 0;
        }
        if (!look)
            op_save(core, job);
        job->doubtful = work->doubt && !look; /* an earlier try may have happened */
    } else {
        job->call = next->op.call;
        job->doubtful = work->doubt;
        work->doubt = true; /* until the answer is in the ledger */
    }
    work->state = AP_IN_FLIGHT;
    work->forced = false;
    work->on = (struct ap_key){AP_NONE, 0};
    ap_work_save(core->ledger, work);
    core->jobs[core->n_jobs++] = job;
    return 1;
}

static void
give_up(struct ap_core *core, const struct ap_work *work, const struct ap_next *next)
{
    const char *cause = strcmp(next->cause, "content") == 0 ? work->cause : next->cause;
    char message[256];
    sqlite3_stmt *s;

    snprintf(message, sizeof(message), "%s", ap_dead_words(cause));
    if (next->on.kind != AP_NONE) { /* what it is folded into was refused, in the target's words */
        s = ap_query(core->ledger, "SELECT message FROM dead WHERE kind = ? AND id = ?", "ii",
                     (int64_t)next->on.kind, next->on.id);
        if (ap_step(core->ledger, s)) {
            ap_text(s, 0, message, sizeof(message));
            ap_done(s);
        }
    }
    ap_work_dead(core, work, cause, message);
}

static int
look_at(struct ap_core *core, struct ap_key key, struct ap_job *job)
{
    struct ap_work work;
    struct ap_next next;
    char outcome[48];

    if (!ap_work_get(core->ledger, key, &work) || work.state != AP_READY)
        return 0;
    memset(&job->space, 0, offsetof(struct ap_job, chain) - offsetof(struct ap_job, space));
    job->op.storage = LS_NO_STORAGE;
    if (!ap_look_next(core, &work, &next, job)) {
        entity_next(core, &work, &next, job);
        if (next.verdict == AP_CALL && ap_look_before_delete(core, &next, &next.on)) {
            next.verdict = AP_WAIT;
            next.cause = "look";
        }
    }
    switch (next.verdict) {
    case AP_EQUAL:
        ap_work_close(core->ledger, &work, NULL);
        break;
    case AP_LEFT:
        snprintf(outcome, sizeof(outcome), "left:%s", next.cause);
        ap_work_close(core->ledger, &work, outcome);
        break;
    case AP_WAIT:
        ap_wait_park(core, &work, &next);
        return 0;
    case AP_LATER:
        work.ready_at = ls_now_ms() + 1000;
        work.trouble = true;
        snprintf(work.cause, sizeof(work.cause), "%s", next.cause);
        ap_work_save(core->ledger, &work);
        return 0;
    case AP_DEAD:
        give_up(core, &work, &next);
        break;
    case AP_CALL:
        return start(core, &work, &next, job);
    case AP_LEAVE:
        break;
    }
    return 0;
}

/* Files of a first copy wait until its trash is made. Whatever ended that (made, dead, parked), the
 * next rounds see it: some storages a round, in turn. */
static void
trash_waiters(struct ap_core *core)
{
    for (int n = 0; n < 256; n++) {
        int64_t storage = ap_number(core->ledger, INT64_MIN,
                                    "SELECT on_id FROM work WHERE on_kind = 10 AND on_id > ?"
                                    " ORDER BY on_id LIMIT 1",
                                    "i", core->trash_lane);
        core->trash_lane = storage;
        if (storage == INT64_MIN)
            return;
        if (!core->view.trash_open(core->ledger, storage))
            ap_wake(core->ledger, (struct ap_key){AP_TRASH_OF, storage});
    }
}

/* ---- a round */

static bool
next_lane(struct ap_core *core, int64_t *ret)
{
    *ret = ap_number(core->ledger, INT64_MIN,
                     "SELECT storage FROM work WHERE state = 0 AND storage > ? ORDER BY storage"
                     " LIMIT 1",
                     "i", core->lane);
    return *ret != INT64_MIN;
}

/* `objects`: who is asked; NULL: the target. */
static void
ping_when_due(struct ap_pause *pause, struct ap_objects *objects)
{
    if (!pause->paused || pause->ping || ls_now_ms() < pause->until)
        return;
    pause->ping = calloc(1, sizeof(*pause->ping));
    if (!pause->ping)
        return;
    pause->ping->call = AP_PING;
    pause->ping->objects = objects;
}

/* Room for one more call: doubtful ones that wait to be sent again do not hold a worker, only so
 * many of one storage are let pile up, and the table has an end. A little more is there for a lane
 * that has none, so that it need not wait until one of somebody's big files is through. */
enum room { NO_ROOM, ROOM_FOR_A_NEW_LANE, ROOM };

static enum room
room(const struct ap_core *core)
{
    int64_t now = ls_now_ms();
    int out = 0, held = 0, limit = ap_pace_limit(&core->pace);

    /* As many as are out wait in the queue, and some for the mirror, so that neither a commit nor
     * Kafka costs the workers any time. */
    for (int i = 0; i < core->n_jobs; i++) {
        if (ap_is_held(core, core->jobs[i]))
            held++;
        else
            out += core->jobs[i]->queued || core->jobs[i]->resend_at <= now;
    }
    out -= ap_waiting(core);
    if (core->n_jobs >= core->n_jobs_max - 3)
        return NO_ROOM;
    if (out < limit * 2 && out + held < limit * 3)
        return ROOM;
    return out + held < limit * 3 + ap_pace_spare(limit) ? ROOM_FOR_A_NEW_LANE : NO_ROOM;
}

static bool
has_calls(const struct ap_core *core, int64_t lane)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (core->jobs[i]->lane == lane)
            return true;
    return false;
}

static bool
has_room(const struct ap_core *core, int64_t lane)
{
    enum room is = room(core);

    return is == ROOM || (is == ROOM_FOR_A_NEW_LANE && !has_calls(core, lane));
}

static bool
is_stuck(const struct ap_core *core, int64_t lane)
{
    int n = 0;

    for (int i = 0; i < core->n_jobs; i++)
        n += core->jobs[i]->doubtful && !core->jobs[i]->queued && core->jobs[i]->op.storage == lane;
    return n >= STUCK;
}

/* Grants with a row that ended: they are folded again without it. */
static void
expired(struct ap_core *core)
{
    int64_t now = ls_now_ms(), grant;

    while ((grant = ap_number(core->ledger, 0,
                              "SELECT grant_id FROM expiry WHERE at < ? ORDER BY at LIMIT 1", "i",
                              now / 1000)) != 0) {
        ap_exec(core->ledger, "DELETE FROM expiry WHERE grant_id = ?", "i", grant);
        ap_work_open(core->ledger, (struct ap_key){AP_GRANT, grant}, AP_LANE_SHARES, now);
    }
}

/* The other half of a move between storages never came though every partition was read past its
 * time: it is a dead letter somewhere upstream. To delete this half would destroy the only copy, so
 * it becomes a dead letter too; what is at the target stays until a newer row comes. */
static void
half_moves(struct ap_core *core)
{
    int64_t read_us, partitions = 0;

    if (ls_now_ms() < core->half_moves_at)
        return;
    core->half_moves_at = ls_now_ms() + 1000;
    if (core->config)
        partitions = ls_config_int(core->config, "lockstep", "partitions");
    read_us = ap_number(core->ledger, 0,
                        "SELECT CASE WHEN count(*) >= ? THEN min(read_us) ELSE 0 END FROM offset"
                        " WHERE topic = 'cs3.resource'",
                        "i", partitions);
    for (int n = 0; n < 1000; n++) {
        struct ap_key key = {AP_NODE, 0};
        struct ap_work work;

        key.id = ap_number(core->ledger, 0,
                           "SELECT d.fileid FROM desired d JOIN work w ON w.kind = ? AND"
                           " w.id = d.fileid WHERE d.deleted = 1 AND"
                           " d.moved_to > -9223372036854775808 AND d.source_us < ?"
                           " AND w.state <> ? LIMIT 1",
                           "iii", (int64_t)AP_NODE, read_us - core->options.content_margin_us,
                           (int64_t)AP_IN_FLIGHT);
        if (key.id == 0 || !ap_work_get(core->ledger, key, &work))
            return;
        ap_work_dead(core, &work, "half-move",
                     "the other half of its move was not carried; the old copy is kept");
    }
}

/* Timers are moments of the wall's clock, since they outlive the process. When that is set back,
 * all would stand still for as much. */
static void
clock_follow(struct ap_core *core, int64_t now)
{
    int64_t ahead = now - ls_mono_ms(), back = core->ahead_ms - ahead;

    if (core->ahead_ms != 0 && back > CLOCK_BACK_MS) {
        ls_log(LS_WARN, "clock-set-back", LS_I("ms", back));
        ap_exec(core->ledger, "UPDATE work SET ready_at = ready_at - ? WHERE state = 0", "i", back);
        for (int i = 0; i < core->n_jobs; i++)
            core->jobs[i]->resend_at -= back;
        core->target.until -= back;
        core->bucket.until -= back;
        core->half_moves_at -= back;
        core->removed_at -= back;
    }
    core->ahead_ms = ahead;
}

void
ap_plan(struct ap_core *core)
{
    int budget = ROUND_BUDGET, idle = 0, new_lanes = NEW_LANES;
    struct ap_job *job = NULL;
    int64_t now = ls_now_ms();

    clock_follow(core, now);
    ping_when_due(&core->target, NULL);
    ping_when_due(&core->bucket, core->objects);
    if (core->target.paused)
        return;
    ap_probe_plan(core);
    core->skipped = false;
    half_moves(core);
    expired(core);
    ap_removed_forget(core);
    trash_waiters(core);
    while (budget > 0 && !ap_ledger_failed(core->ledger)) {
        enum room is = room(core);
        struct ap_key keys[VISIT];
        int n = 0, calls = 0;
        if (is == NO_ROOM || (is == ROOM_FOR_A_NEW_LANE && --new_lanes < 0))
            break;
        if (!next_lane(core, &core->lane)) {
            core->lane = INT64_MIN;
            if (idle++ > 0)
                break; /* a whole turn without finding anything */
            continue;
        }
        if (is_stuck(core, core->lane)) {
            core->skipped = true;
            continue;
        }
        if (!has_room(core, core->lane))
            continue;
        sqlite3_stmt *s = ap_query(core->ledger,
                                   "SELECT kind, id FROM work WHERE state = 0 AND storage = ?"
                                   " AND ready_at <= ? ORDER BY ready_at LIMIT 32",
                                   "ii", core->lane, now);
        while (n < VISIT && ap_step(core->ledger, s)) {
            keys[n].kind = (enum ap_kind)sqlite3_column_int(s, 0);
            keys[n++].id = sqlite3_column_int64(s, 1);
        }
        ap_done(s);
        for (int i = 0; i < n && calls < VISIT_CALLS && has_room(core, core->lane); i++) {
            if (!job && !(job = calloc(1, sizeof(*job))))
                break;
            idle = 0;
            budget--;
            if (look_at(core, keys[i], job)) {
                job = NULL;
                calls++;
            }
        }
    }
    free(job);
}

int64_t
ap_idle_ms(struct ap_core *core, int64_t most)
{
    int64_t now = ls_now_ms(), at = now + most, t;

    if (core->target.paused)
        return core->target.until > now
                   ? (core->target.until < at ? core->target.until - now : most)
                   : (core->target.ping ? most : 0);
    if (core->bucket.paused && !core->bucket.ping && core->bucket.until < at)
        at = core->bucket.until;
    for (int i = 0; i < core->n_jobs; i++)
        if (!core->jobs[i]->queued && core->jobs[i]->resend_at < at &&
            !ap_is_held(core, core->jobs[i]))
            at = core->jobs[i]->resend_at;
    if (room(core) == ROOM) {
        t = ap_number(core->ledger, at,
                      "SELECT min(ready_at) FROM work WHERE state = 0 AND ready_at <= ?", "i", at);
        if (core->skipped && t < now + SKIPPED_MS)
            t = now + SKIPPED_MS; /* it may be of a lane that is stuck */
        if (t < at)
            at = t;
    }
    return at > now ? at - now : 0;
}

/* ---- after a stop */

/* What the call was about, or its folder, was given up while it was out (the target has it no
 * more): there is nothing to send. Its entity is looked at again. */
static void
op_drop(struct ap_core *core, struct ap_job *job)
{
    ap_exec(core->ledger, "DELETE FROM op WHERE id = ?", "i", job->op_id);
    ap_exec(core->ledger,
            "UPDATE work SET state = 0, ready_at = ? WHERE kind = ? AND id = ? AND state = 2",
            "iii", ls_now_ms(), (int64_t)job->who.kind, job->who.id);
    ap_wake(core->ledger, job->who);
    ap_job_forget(core, job);
}

void
ap_recover(struct ap_core *core)
{
    sqlite3_stmt *s;

    /* What is not on the tree is found again by looking at its entity; `doubt` stands there. Who
     * waits for such a call looks again, too: its entity may have to wait for him by now. */
    ap_exec(core->ledger,
            "UPDATE work SET state = 0, ready_at = ?, on_kind = 0, on_id = 0, trouble = 0 WHERE"
            " state = 1 AND (on_kind, on_id) IN (SELECT kind, id FROM work AS out WHERE state = 2"
            " AND NOT EXISTS (SELECT 1 FROM op WHERE op.kind = out.kind AND op.entity = out.id))",
            "i", ls_now_ms());
    ap_exec(core->ledger,
            "UPDATE work SET state = 0, ready_at = ? WHERE state = 2 AND NOT EXISTS"
            " (SELECT 1 FROM op WHERE op.kind = work.kind AND op.entity = work.id)",
            "i", ls_now_ms());
    /* nobody waits for that long: the clock was set back meanwhile */
    ap_exec(core->ledger, "UPDATE work SET ready_at = ?1 WHERE state = 0 AND ready_at > ?1 + ?2",
            "ii", ls_now_ms(), core->options.retry_max_ms + LONGEST_MS);
    ap_bucket_wake(core); /* its options may be others now */
    s = ap_query(
        core->ledger,
        "SELECT id, kind, entity, call, storage, fileid, node, parent, top, name, relative,"
        " blob, size, mtime, etag, sha1, md5, adler32 FROM op",
        NULL);
    while (core->n_jobs < core->n_jobs_max - 3 && ap_step(core->ledger, s)) {
        struct ap_job *job = calloc(1, sizeof(*job));
        if (!job)
            break;
        job->op_id = sqlite3_column_int64(s, 0);
        job->who =
            (struct ap_key){(enum ap_kind)sqlite3_column_int(s, 1), sqlite3_column_int64(s, 2)};
        job->op.call = (enum ap_call)sqlite3_column_int(s, 3);
        job->lane = job->op.storage = sqlite3_column_int64(s, 4);
        job->op.fileid = sqlite3_column_int64(s, 5);
        job->op.node = sqlite3_column_int64(s, 6);
        job->op.parent = sqlite3_column_int64(s, 7);
        job->op.top = sqlite3_column_int64(s, 8);
        ap_text(s, 9, job->op.name, sizeof(job->op.name));
        ap_text(s, 10, job->op.relative, sizeof(job->op.relative));
        ap_text(s, 11, job->op.blob, sizeof(job->op.blob));
        job->op.size = sqlite3_column_int64(s, 12);
        job->op.mtime = sqlite3_column_int64(s, 13);
        ap_text(s, 14, job->op.etag, sizeof(job->op.etag));
        ap_text(s, 15, job->op.sha1, sizeof(job->op.sha1));
        ap_text(s, 16, job->op.md5, sizeof(job->op.md5));
        ap_text(s, 17, job->op.adler32, sizeof(job->op.adler32));
        job->doubtful = true;
        core->jobs[core->n_jobs++] = job;
    }
    ap_done(s);
    for (int i = core->n_jobs - 1; i >= 0; i--) { /* whoever takes a place that is free was seen */
        struct ls_err ignored = {0};
        (void)ap_job_fill(core, core->jobs[i], &ignored);
        if (!ap_job_has_ids(core->jobs[i]))
            op_drop(core, core->jobs[i]);
    }
    if (core->n_jobs > 0)
        ls_log(LS_INFO, "doubtful-calls", LS_I("calls", core->n_jobs));
}
