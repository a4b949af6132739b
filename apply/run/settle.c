/*
 * Answers of calls into the ledger.
 *
 * What can go wrong here decides what is kept: an outcome that is not known (no answer, a dead
 * connection) keeps its call as it was, locks included, and sends it again as doubtful; trouble of
 * the whole target pauses everything; trouble of one entity parks that entity with a timer and its
 * cause, and trouble of ownCloud's bucket only what is read from it; what can never succeed becomes
 * a dead letter, but not while a part of it may be there; FATAL ends the process. A node that the
 * target no longer has is forgotten after three tries and made again.
 */
#include "apply/core.h"
#include "apply/plan/drift.h"
#include "apply/plan/reconcile.h"
#include "apply/plan/sought.h"
#include "apply/run/probe.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define GONE_TRIES 3
#define REFUSED_TRIES 10
#define HEARTBEAT_MS 1500 /* they come once a second, and travel */
#define AWAY_ATTEMPTS 10  /* by then the pauses are as long as they get */
#define PACE_BYTES 65536
#define BUCKET_PARKED_MS 60000 /* at most; they are woken */

/* ---- the applied tree */

static void
node_forget(struct ap_core *core, int64_t id)
{
    /* Whoever was below and is still wanted is looked at again. */
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n"
            " JOIN below b ON n.parent = b.id)" AP_WORK_OPEN
            "1, n.fileid, n.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM below b"
            " JOIN node n ON n.id = b.id JOIN desired d ON d.fileid = n.fileid"
            " WHERE n.leftover = 0 AND d.deleted = 0" AP_UNLESS_OPEN,
            "ii", id, ls_now_ms());
    /* A dead letter about a node that goes with this one is about nothing any more. */
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n"
            " JOIN below b ON n.parent = b.id)" AP_WORK_OPEN
            "2, x.id, n.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM below b"
            " JOIN dead x ON x.kind = 2 AND x.id = b.id JOIN node n ON n.id = b.id"
            " WHERE 1" AP_UNLESS_OPEN,
            "ii", id, ls_now_ms());
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n"
            " JOIN below b ON n.parent = b.id) DELETE FROM trashed WHERE node IN"
            " (SELECT id FROM below)",
            "i", id);
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n"
            " JOIN below b ON n.parent = b.id) DELETE FROM revision WHERE node IN"
            " (SELECT id FROM below)",
            "i", id);
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n"
            " JOIN below b ON n.parent = b.id) DELETE FROM node WHERE id IN (SELECT id FROM below)",
            "i", id);
}

/* What the target has; the row's size only where the target does not say. */
static int64_t
size_of(const struct ap_job *job)
{
    return job->node.id[0] || job->op.size < 0 ? job->node.size : job->op.size;
}

static void
node_add(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_tree_op *op = &job->op;
    bool folder = op->call == AP_MAKE_FOLDER;

    ap_exec(core->ledger,
            "INSERT INTO node(fileid, storage, target, parent, name, folder, sha1, size, mtime,"
            " etag) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iisisisiis", op->fileid, op->storage, job->node.id, op->parent, op->name,
            (int64_t)folder,
            folder              ? ""
            : job->node.sha1[0] ? job->node.sha1
                                : op->sha1,
            folder ? (int64_t)0 : size_of(job), op->mtime, op->etag);
    ap_node_made(core, op->fileid, op->storage);
}

static void
tree_done(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_tree_op *op = &job->op;
    struct ap_applied old;

    switch (op->call) {
    case AP_MAKE_FOLDER:
        node_add(core, job);
        break;
    case AP_PUT_FILE:
        if (job->there) {
            ap_versions_settled(core, job, NULL);
            break;
        }
        core->content_bytes += size_of(job);
        if (op->node == 0) {
            node_add(core, job);
            if (job->version) /* the file itself may have been looked at, and deleted, meanwhile */
                ap_work_open(core->ledger, (struct ap_key){AP_NODE, op->fileid}, op->storage,
                             ls_now_ms());
            break;
        }
        if (ap_node_get(core->ledger, op->node, &old))
            ap_versions_settled(core, job, &old);
        ap_exec(core->ledger,
                "UPDATE node SET sha1 = ?, size = ?, mtime = ?, etag = ? WHERE id = ?", "siisi",
                job->node.sha1[0] ? job->node.sha1 : op->sha1, size_of(job), op->mtime, op->etag,
                op->node);
        break;
    case AP_SET_MTIME:
        ap_exec(core->ledger, "UPDATE node SET mtime = ?, etag = ? WHERE id = ?", "isi", op->mtime,
                op->etag, op->node);
        break;
    case AP_MOVE:
        ap_exec(core->ledger, "UPDATE node SET parent = ?, name = ? WHERE id = ?", "isi",
                op->parent, op->name, op->node);
        if (job->who.kind != AP_NODE || job->who.id != op->fileid) /* he was moved aside */
            ap_work_open(core->ledger, (struct ap_key){AP_NODE, op->fileid}, op->storage,
                         ls_now_ms());
        break;
    case AP_TRASH:
        ap_exec(core->ledger, "UPDATE node SET parent = -1 WHERE id = ?", "i", op->node);
        ap_drift_deleted_at(core, op->node, job->node.deleted_at);
        ap_left_trashed(core);
        break;
    case AP_RESTORE:
        ap_exec(core->ledger, "UPDATE node SET parent = ?, name = ? WHERE id = ?", "isi",
                op->parent, op->name, op->node);
        ap_drift_deleted_at(core, op->node, 0);
        if (job->node.id[0])
            ap_exec(core->ledger, "UPDATE node SET target = ? WHERE id = ?", "si", job->node.id,
                    op->node);
        ap_exec(core->ledger, "UPDATE node SET sha1 = ? WHERE id = ? AND sha1 = '' AND folder = 0",
                "si", job->node.sha1, op->node); /* nobody could see it in the trash */
        ap_sought_below(core, op->node);
        ap_shares_below_node(core, op->node);
        break;
    default:
        ap_removed_subtree(core, op->node);
        node_forget(core, op->node);
        break;
    }
    ap_places_drop(core);
    ap_wake(core->ledger, (struct ap_key){AP_NODE, op->fileid});
    if (op->node != 0)
        ap_wake(core->ledger, (struct ap_key){AP_LEFTOVER, op->node});
}

/* ---- failures */

static void
count_retry(struct ap_core *core, const char *cause)
{
    size_t i = 0;

    cause = cause[0] ? cause : "failed";
    while (i < AP_RETRY_CAUSES - 1 && core->retries[i].n > 0 &&
           strcmp(core->retries[i].cause, cause) != 0)
        i++;
    if (core->retries[i].n++ == 0)
        snprintf(core->retries[i].cause, sizeof(core->retries[i].cause), "%s",
                 i < AP_RETRY_CAUSES - 1 ? cause : "other");
}

static bool
is_cause(const struct ap_job *job, const char *cause)
{
    return strcmp(job->err.cause, cause) == 0;
}

/* The list ends with NULL. */
static bool
is_one_of(const struct ap_job *job, const char *const *causes)
{
    while (*causes && !is_cause(job, *causes))
        causes++;
    return *causes != NULL;
}

static void
pause_begin(struct ap_core *core, struct ap_pause *pause, const struct ap_job *job, bool slow,
            int64_t wait)
{
    if (slow)
        ap_pace_slow_down(&core->pace);
    pause->count++;
    pause->paused = true;
    pause->until = ls_now_ms() + wait;
    snprintf(pause->why, sizeof(pause->why), "%s", job->err.cause);
}

/* Trouble that is not this entity's. */
static void
pause_all(struct ap_core *core, const struct ap_job *job)
{
    bool slow = is_cause(job, "slow-down");
    int64_t wait = slow && job->err.code > 0 && job->err.code < 600000
                       ? job->err.code
                       : ap_backoff(&core->options, (int)core->target.count);

    if (core->target.paused)
        return; /* all that were out may be answered so */
    pause_begin(core, &core->target, job, slow, wait);
    ls_log_err(LS_WARN, "target-paused", &job->err);
}

/* ---- the bucket */
void
ap_bucket_wake(struct ap_core *core)
{
    ap_exec(core->ledger,
            "UPDATE work SET ready_at = ? WHERE state = 0 AND (cause LIKE 'bucket-%' OR"
            " cause = 'no-bucket')",
            "i", ls_now_ms());
}

void
ap_bucket_park(struct ap_core *core, struct ap_work *work)
{
    work->state = AP_READY;
    work->trouble = false; /* it is everybody's: the lag shows it */
    work->ready_at = ls_now_ms() + (core->bucket.paused ? BUCKET_PARKED_MS : 0);
    snprintf(work->cause, sizeof(work->cause), "%s", core->bucket.why);
    ap_work_save(core->ledger, work);
}

/* Trouble that is not this object's. */
static void
bucket_pause(struct ap_core *core, const struct ap_job *job)
{
    bool slow = is_cause(job, "bucket-slow");

    snprintf(core->bucket.why, sizeof(core->bucket.why), "%s", job->err.cause);
    if (core->bucket.paused)
        return;
    pause_begin(core, &core->bucket, job, slow,
                slow && job->err.code > 0
                    ? job->err.code
                    : ap_backoff(&core->options, (int)core->bucket.count + 1));
    ls_log_err(LS_WARN, "bucket-paused", &job->err);
}

static void
bucket_ping_done(struct ap_core *core, struct ap_job *job)
{
    core->bucket.ping = NULL;
    if (job->result != 0) {
        if (strcmp(core->bucket.why, job->err.cause) != 0)
            ls_log_err(LS_WARN, "bucket-paused", &job->err);
        snprintf(core->bucket.why, sizeof(core->bucket.why), "%s", job->err.cause);
        core->bucket.until = ls_now_ms() + ap_backoff(&core->options, (int)++core->bucket.count);
        return;
    }
    ls_log(LS_INFO, "bucket-answers", LS_S("after", core->bucket.why));
    core->bucket.paused = false;
    core->bucket.why[0] = '\0';
    ap_bucket_wake(core);
}

/* FATAL ends the process, but for a refusal that may pass: that is trouble of the whole target. */
static bool
ends_all(struct ap_core *core, struct ap_job *job)
{
    if (job->result == 0 || job->err.kind != LS_ERR_FATAL)
        return false;
    if (!ap_refusal_may_pass(&core->refusal, &job->err, ls_mono_ms())) {
        core->fatal = job->err;
        return true;
    }
    job->err.kind = LS_ERR_RETRY;
    snprintf(job->err.cause, sizeof(job->err.cause), "target-down");
    return false;
}

static void
ping_done(struct ap_core *core, struct ap_job *job)
{
    core->target.ping = NULL;
    if (job->result == 0) {
        ls_log(LS_INFO, "target-answers", LS_S("after", core->target.why));
        core->target.paused = false;
        core->target.count = 0;
        core->target.why[0] = '\0';
    } else if (!ends_all(core, job)) {
        core->target.until = ls_now_ms() + ap_backoff(&core->options, (int)++core->target.count);
    }
}

/* True when the node is not wanted any more, so that "gone" is what was asked for. */
static bool
unwanted(struct ap_core *core, const struct ap_job *job)
{
    return job->call == AP_PURGE ||
           (job->call == AP_TRASH &&
            (job->who.kind == AP_LEFTOVER ||
             ap_number(core->ledger, 0, "SELECT deleted FROM desired WHERE fileid = ?", "i",
                       job->op.fileid) == 1));
}

/* Removing what is not there is done. */
static bool
removed_already(const struct ap_job *job)
{
    return is_cause(job, "gone") && (job->call == AP_SHARE_REMOVE || job->call == AP_LINK_REMOVE ||
                                     job->call == AP_GROUP_REMOVE);
}

/* Only answers of that kind count: trouble of any other must not bring a subtree nearer to being
 * forgotten. */
static bool
gone_often(struct ap_core *core, const struct ap_job *job)
{
    return ap_number(core->ledger, 0,
                     "INSERT INTO gone(kind, id, tries) VALUES(?, ?, 1) ON CONFLICT(kind, id)"
                     " DO UPDATE SET tries = tries + 1 RETURNING tries",
                     "ii", (int64_t)job->who.kind, job->who.id) >= GONE_TRIES;
}

/* Some failures on the tree are answers. Returns true when the job is dealt with as done. */
static bool
tree_mended(struct ap_core *core, struct ap_job *job)
{
    if (is_cause(job, "gone") && unwanted(core, job)) {
        ap_removed_subtree(core, job->op.node);
        node_forget(core, job->op.node);
        return true;
    }
    if (is_cause(job, "gone") && job->op.node != 0 && gone_often(core, job)) {
        ls_log(LS_WARN, "node-gone", LS_I("fileid", job->op.fileid));
        core->lost++;
        node_forget(core, job->op.top != 0 ? job->op.top : job->op.node);
        return true;
    }
    if (is_cause(job, "parent-gone") && job->op.parent > 0 && gone_often(core, job)) {
        ls_log(LS_WARN, "parent-gone", LS_I("fileid", job->op.fileid));
        core->lost++;
        node_forget(core, job->op.parent);
        return true;
    }
    return false;
}

static bool
on_tree(const struct ap_job *job)
{
    return job->call >= AP_MAKE_FOLDER && job->call <= AP_PURGE;
}

/* A share may be refused after a part of it was made, now or in an earlier try. That is no verdict:
 * as a dead letter it would be forgotten, and what was made stays when the source wants it no more.
 */
static void
refused_in_part(struct ap_job *job)
{
    if (job->result == 0 || job->err.kind != LS_ERR_POISON || !job->doubtful ||
        job->call < AP_SHARE_SET)
        return;
    job->err.kind = LS_ERR_RETRY;
    snprintf(job->err.cause, sizeof(job->err.cause), "in-part");
}

/* A refusal may be none in a while: it is believed when it was the answer so often, one time after
 * the other. Whoever has no right is told the same as everybody while the service of permissions
 * comes up. And what is another one's may be so for as long as that one's end is on its way in
 * another partition: a user deleted and made again has a new storage. */
static void
refused_for_now(struct ap_job *job, struct ap_work *work)
{
    static const char *const causes[] = {"denied", "space-taken", "user-taken", "group-taken",
                                         NULL};

    if (job->result == 0 || job->err.kind != LS_ERR_POISON || !is_one_of(job, causes))
        return;
    if (strcmp(work->cause, job->err.cause) != 0)
        work->attempts = 0;
    if (work->attempts + 1 < REFUSED_TRIES)
        job->err.kind = LS_ERR_RETRY;
}

/* Answers that came after a look at the target. */
static bool
is_settled(const struct ap_job *job)
{
    static const char *const settled[] = {"gone",        "parent-gone", "taken",       "quota",
                                          "space-taken", "user-taken",  "group-taken", NULL};

    return is_one_of(job, settled);
}

/* The answer does not say that nothing was done, by this try or an earlier one; the next call is
 * told so, whatever it is. */
static bool
leaves_doubt(const struct ap_job *job)
{
    return !on_tree(job) && (is_cause(job, "in-part") || is_cause(job, "internal") ||
                             (job->doubtful && !is_settled(job)));
}

static void
entity_trouble(struct ap_core *core, const struct ap_job *job, struct ap_work *work)
{
    int64_t after;

    work->state = AP_READY;
    work->trouble = true;
    work->doubt = leaves_doubt(job);
    if (ap_is_bucket_cause(job->err.cause)) {
        ap_bucket_park(core, work);
        ap_wake(core->ledger, work->key);
        return;
    }
    snprintf(work->cause, sizeof(work->cause), "%s", job->err.cause[0] ? job->err.cause : "failed");
    if (strncmp(job->err.cause, "content-", 8) == 0 && !ap_content_is_away(job->err.cause)) {
        work->tries++;
        if (work->tries <= core->options.content_tries) /* else the stream would never catch up */
            work->tried_us = job->began_us;
        work->ready_at = ls_now_ms() + ap_backoff(&core->options, work->tries);
        /* The next look may be the verdict: not before a heartbeat can have passed this try. */
        after = ls_now_ms() + core->options.content_margin_us / 1000 + HEARTBEAT_MS;
        if (work->tries >= core->options.content_tries && work->ready_at < after)
            work->ready_at = after;
    } else {
        /* a disk that is away for long is no refusal (versions_put.c) */
        if (work->attempts < AWAY_ATTEMPTS || !ap_content_is_away(job->err.cause))
            work->attempts++;
        work->ready_at = ls_now_ms() + ap_backoff(&core->options, work->attempts);
    }
    ap_work_save(core->ledger, work);
    if (strcmp(job->err.cause, "quota") == 0)
        ap_space_full(core, job->op.storage);
    ap_wake(core->ledger, work->key); /* they see that it is in trouble */
}

/* A link was made, and nobody but this call has its id: the repeat is to get it. */
static bool
holds_new_link(struct ap_core *core, const struct ap_job *job)
{
    return job->call == AP_LINK_SET && job->share_id[0] &&
           ap_number(core->ledger, 0, "SELECT 1 FROM link WHERE id = ? AND link_id = ?", "is",
                     job->who.id, job->share_id) == 0;
}

/* Whether it happened is not known. Once it is not, only an answer that came after a look at the
 * target settles it: "busy" may be said of the very thing that an earlier try has made, and who
 * cannot sign in cannot even look. Of what is not on the tree the entity itself keeps the doubt, so
 * only what is the whole target's trouble is sent again as it was: else those that cannot be told
 * for long (shares of somebody who has left) would take the place of all others. */
static bool
outcome_unknown(struct ap_core *core, const struct ap_job *job)
{
    static const char *const unknown[] = {"timeout", "target-down", "slow-down", "sign-in", NULL};

    if (job->err.kind != LS_ERR_RETRY)
        return false;
    if (is_cause(job, "in-part"))
        return on_tree(job); /* the source may change its mind about the others meanwhile */
    if (is_one_of(job, unknown))
        return true;
    return (on_tree(job) || holds_new_link(core, job)) && job->doubtful &&
           strncmp(job->err.cause, "content-", 8) != 0 && !ap_is_bucket_cause(job->err.cause) &&
           !is_settled(job);
}

/* oCIS takes "Staff" and "staff" for one name, ownCloud for two: the members of one must not see
 * what is shared with the other. One that is on its way out is waited for. */
static void
group_not_twice(struct ap_core *core, struct ap_job *job)
{
    int64_t deleted = ap_number(core->ledger, -1,
                                "SELECT min(coalesce(deleted, 1)) FROM person WHERE target = ?"
                                " AND id <> ? AND type = 1",
                                "si", job->person.id, job->who.id);

    if (deleted == 0)
        job->result = ls_fail_cause(&job->err, LS_ERR_POISON, 0, "group-taken",
                                    "the group found for %s is another one's", job->gid);
    else if (deleted == 1)
        job->result =
            ls_fail_cause(&job->err, LS_ERR_RETRY, 0, "busy",
                          "the group found for %s is another one's, which goes", job->gid);
}

/* An answer may name something that the ledger holds as another entity's already (found by its name
 * where one was made, or two names that are one there): then it is not this one's. */
static void
not_twice(struct ap_core *core, struct ap_job *job)
{
    struct ap_ledger *l = core->ledger;

    if (job->result != 0)
        return;
    if ((job->call == AP_MAKE_FOLDER || (job->call == AP_PUT_FILE && job->op.node == 0)) &&
        ap_number(l, 0, "SELECT 1 FROM node WHERE target = ?", "s", job->node.id) == 1)
        job->result = ls_fail_cause(&job->err, LS_ERR_RETRY, 0, "taken",
                                    "node %s is another file's", job->node.id);
    else if (job->call == AP_LINK_SET &&
             ap_number(l, 0, "SELECT 1 FROM link WHERE link_id = ? AND id <> ?", "si",
                       job->share_id, job->who.id) == 1)
        job->result = ls_fail_cause(&job->err, LS_ERR_RETRY, 0, "taken", "link %s is another row's",
                                    job->share_id);
    else if (job->call == AP_SPACE_ENSURE &&
             ap_number(l, 0,
                       "SELECT 1 FROM space WHERE space_id = ? AND ready = 1 AND storage <> ?"
                       " AND coalesce(deleted, 0) = 0",
                       "si", job->made.space_id, job->who.id) == 1)
        job->result = ls_fail_cause(&job->err, LS_ERR_POISON, 0, "space-taken",
                                    "the space of %s is another storage's", job->uid);
    else if (job->call == AP_USER_ENSURE &&
             ap_number(l, 0,
                       "SELECT 1 FROM person WHERE target = ? AND id <> ? AND type = 0"
                       " AND coalesce(deleted, 1) = 0",
                       "si", job->person.id, job->who.id) == 1)
        job->result = ls_fail_cause(&job->err, LS_ERR_POISON, 0, "user-taken",
                                    "the user found for %s is another one's", job->uid);
    else if (job->call == AP_GROUP_ENSURE && !job->directory_uuid[0])
        group_not_twice(core, job);
}

/* A folder around it is in the trash, and a dead letter: by the next look it is waited for. */
static void
waits_for_folder(struct ap_core *core, const struct ap_job *job, struct ap_work *work)
{
    work->state = AP_READY;
    work->trouble = true;
    work->doubt = false;
    work->attempts++;
    work->ready_at =
        ls_now_ms() + (work->attempts > 1 ? ap_backoff(&core->options, work->attempts) : 0);
    snprintf(work->cause, sizeof(work->cause), "%s", job->err.cause);
    ap_work_save(core->ledger, work);
    ap_wake(core->ledger, work->key); /* they waited for the call, not for the folder */
}

/* Nothing was changed, whatever the answer: what is not known is asked again. */
static void
look_done(struct ap_core *core, struct ap_job *job)
{
    struct ap_work work;
    bool have = ap_work_get(core->ledger, job->who, &work), all;

    core->calls++;
    if (ends_all(core, job))
        return;
    all = is_cause(job, "target-down") || is_cause(job, "slow-down") || is_cause(job, "sign-in");
    if (job->result == 0) {
        ap_look_settled(core, job);
    } else {
        count_retry(core, job->err.cause);
        ap_look_failed(core, job);
        if (all)
            pause_all(core, job);
    }
    have = have && ap_work_get(core->ledger, job->who, &work);
    if (have && job->result != 0 && !all) {
        ls_log_err(LS_DEBUG, "call-failed", &job->err);
        work.attempts++;
        work.trouble = true;
        snprintf(work.cause, sizeof(work.cause), "%s",
                 job->err.cause[0] ? job->err.cause : "failed");
    }
    if (have) {
        work.state = AP_READY;
        work.ready_at = ls_now_ms();
        if (job->result != 0)
            work.ready_at += ap_backoff(&core->options, work.attempts);
        ap_work_save(core->ledger, &work);
        ap_wake(core->ledger, job->who);
    }
    ap_job_forget(core, job);
}

/* Calls of one kind are alike: big files are not, nor are those that were looked up first. */
static void
pace_learn(struct ap_core *core, const struct ap_job *job)
{
    int kind = job->call == AP_PUT_FILE      ? 0
               : job->call == AP_MAKE_FOLDER ? 1
               : on_tree(job)                ? 2
               : job->call >= AP_SHARE_SET   ? 3
                                             : 4;
    int out = 0;

    if (job->doubtful || job->took_us <= 0 || (kind == 0 && size_of(job) > PACE_BYTES))
        return;
    for (int i = 0; i < core->n_jobs; i++)
        out += core->jobs[i]->queued;
    out -= ap_waiting(core);
    ap_pace_answer(&core->pace, kind, job->took_us - job->waited_us,
                   out + 1 >= ap_pace_limit(&core->pace));
}

static void
job_done(struct ap_core *core, struct ap_job *job)
{
    bool tree = on_tree(job);
    struct ap_work work;
    bool have;

    job->queued = false;
    core->calls++;
    if (job->result != 0 && removed_already(job))
        job->result = 0;
    not_twice(core, job);
    refused_in_part(job);
    if (ends_all(core, job))
        return; /* stays in flight in the ledger */
    if (job->result != 0 && outcome_unknown(core, job)) {
        if (is_cause(job, "target-down") || is_cause(job, "slow-down") || is_cause(job, "sign-in"))
            pause_all(core, job);
        count_retry(core, job->err.cause);
        job->doubtful = true;
        job->resend_at = ls_now_ms() + ap_backoff(&core->options, job->attempt);
        if (is_cause(job, "no-user")) /* that may last: no part of the lag */
            ap_exec(core->ledger,
                    "UPDATE work SET trouble = 1, cause = ? WHERE kind = ? AND id = ?", "sii",
                    job->err.cause, (int64_t)job->who.kind, job->who.id);
        return;
    }
    if (job->result == 0)
        pace_learn(core, job);
    if (job->result == 0 && job->objects)
        core->bucket.count = 0;
    if (tree)
        ap_exec(core->ledger, "DELETE FROM op WHERE id = ?", "i", job->op_id);
    have = ap_work_get(core->ledger, job->who, &work);
    if (tree && job->result != 0 && is_cause(job, "deleted-at-target") &&
        ap_drift_trashed(core, job)) {
        if (have)
            waits_for_folder(core, job, &work);
        ap_job_forget(core, job);
        return;
    }
    if (have && job->result != 0 && job->version && ap_drift_is_cause(job->err.cause)) {
        ap_drift_of_file(core, job); /* the letter is the file's; the version waits for it */
        work.state = AP_READY;
        work.ready_at = ls_now_ms();
        ap_work_save(core->ledger, &work);
        ap_wake(core->ledger, work.key);
        ap_job_forget(core, job);
        return;
    }
    if (have)
        refused_for_now(job, &work);
    if (have && job->result != 0 && job->err.kind == LS_ERR_POISON) {
        ls_log_err(LS_WARN, "refused", &job->err);
        ap_work_dead(core, &work, job->err.cause[0] ? job->err.cause : "refused", job->err.msg);
        ap_job_forget(core, job);
        return;
    }
    if (have && job->result != 0 && !(tree && tree_mended(core, job))) {
        ls_log_err(is_cause(job, "in-part") ? LS_WARN : LS_DEBUG, "call-failed", &job->err);
        count_retry(core, job->err.cause);
        if (ap_is_bucket_cause(job->err.cause))
            bucket_pause(core, job);
        entity_trouble(core, job, &work);
        ap_job_forget(core, job);
        return;
    }
    if (tree)
        ap_exec(core->ledger, "DELETE FROM gone WHERE kind = ? AND id = ?", "ii",
                (int64_t)job->who.kind, job->who.id);
    if (job->result == 0 && tree)
        tree_done(core, job);
    else if (job->result == 0 && job->call >= AP_SHARE_SET)
        ap_shares_settled(core, job);
    else if (job->result == 0)
        ap_people_settled(core, job);
    if (have && ap_work_get(core->ledger, job->who, &work)) {
        work.state = AP_READY;
        work.ready_at = ls_now_ms();
        work.attempts = 0;
        work.did = true;
        work.doubt = work.trouble = false;
        if (job->call == AP_PUT_FILE)
            work.tries = 0;
        if (work.tries == 0 || strncmp(work.cause, "content-", 8) != 0)
            work.cause[0] = '\0'; /* else it says what is wrong with its content, moved or not */
        ap_work_save(core->ledger, &work);
        ap_wake(core->ledger, job->who);
    }
    ap_job_forget(core, job);
}

void
ap_settle(struct ap_core *core)
{
    struct ap_job *job;

    while ((job = ap_answer(core)) != NULL) {
        if (job->call == AP_PING) {
            if (job->objects)
                bucket_ping_done(core, job);
            else
                ping_done(core, job);
            ap_job_forget(core, job); /* not in the list: only freed */
        } else if (job == core->probe.job) {
            ap_probe_settled(core, job);
            ap_job_forget(core, job); /* nor this one */
        } else if (job->call == AP_LOOK) {
            look_done(core, job);
        } else {
            job_done(core, job);
        }
    }
    if (core->target.paused)
        ap_limit_tell(core);
}
