/*
 * What waits for whom.
 *
 * What cannot be done now waits for somebody, and is looked at again when he is done. What can go
 * wrong: waits that form a ring; a wait for somebody who never becomes open again, or is dead. So:
 * every new wait is followed to its end, and a ring is broken where a name is held; a wait for
 * somebody who is not open opens him, or becomes one for a time only; whoever waits for one in
 * trouble is in trouble, so that the lag does not count him.
 */
#include "apply/core.h"
#include "apply/plan/drift.h"
#include "apply/run/schedule.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

/* Causes that somebody else ends only by a record of his own: no part of the lag. */
static const char *const own_causes[] = {
    "orphan",        "dormant",       "node",        "grantee",  "name-twin",
    "space-unknown", "space-deleted", "group-share", "unmapped", NULL};
/* Causes where the one waited for has something to do himself. */
static const char *const active_causes[] = {
    "parent",         "name",        "inside",        "fill",         "with-parent", "only-copy",
    "inside-itself",  "older-trash", "space",         "trash-reopen", "person",      "grant",
    "owner-disabled", "versions",    "older-version", "file",         NULL};

static bool
listed(const char *const *list, const char *word)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static bool
same_key(struct ap_key a, struct ap_key b)
{
    return a.kind == b.kind && a.id == b.id;
}

/* A ring without a name that could be given up: somebody's reason is out of date (a folder around
 * him has moved since). All of it is looked at again after a while. */
static void
ring_again(struct ap_core *core, struct ap_work *work)
{
    struct ap_work next;
    struct ap_key at = work->on;

    work->attempts++;
    work->ready_at = ls_now_ms() + ap_backoff(&core->options, work->attempts);
    work->state = AP_READY;
    work->on = (struct ap_key){AP_NONE, 0};
    work->trouble = work->attempts > 5;
    snprintf(work->cause, sizeof(work->cause), "ring");
    for (int n = 0; n < AP_WAITS_MOST && !same_key(at, work->key); n++) {
        if (!ap_work_get(core->ledger, at, &next))
            return;
        at = next.on;
        next.state = AP_READY;
        next.ready_at = work->ready_at;
        next.on = (struct ap_key){AP_NONE, 0};
        ap_work_save(core->ledger, &next);
    }
}

/* Follows the waits from `work` on; when they come back to it, the one who waits for a name is told
 * to move its holder aside. */
static void
ring_break(struct ap_core *core, struct ap_work *work)
{
    struct ap_work next;
    struct ap_key named = {AP_NONE, 0}, at = work->on;
    bool queue = strcmp(work->cause, "older-trash") == 0;

    if (strcmp(work->cause, "name") == 0)
        named = work->key;
    for (int n = 0; n < AP_WAITS_MOST && !same_key(at, work->key); n++) {
        if (!ap_work_get(core->ledger, at, &next) || next.state != AP_WAITING ||
            same_key(at, next.on))
            return;
        if (queue && strcmp(next.cause, "older-trash") == 0)
            return; /* the queue of a first copy: its head is no part of a ring, or finds it */
        queue = false;
        if (strcmp(next.cause, "name") == 0 && named.kind == AP_NONE)
            named = at;
        at = next.on;
    }
    if (!same_key(at, work->key))
        return;
    if (named.kind == AP_NONE) {
        ring_again(core, work);
        return;
    }
    if (same_key(named, work->key)) {
        work->forced = true;
        work->state = AP_READY;
        work->on = (struct ap_key){AP_NONE, 0};
        return;
    }
    ap_exec(core->ledger,
            "UPDATE work SET forced = 1, state = 0, on_kind = 0, on_id = 0, ready_at = ?"
            " WHERE kind = ? AND id = ?",
            "iii", ls_now_ms(), (int64_t)named.kind, named.id);
}

/* Whoever waits for one in trouble shares it, and shows its cause. */
static void
trouble_spread(struct ap_core *core, const struct ap_work *work)
{
    ap_exec(core->ledger,
            "WITH RECURSIVE after(kind, id) AS (SELECT ?1, ?2 UNION SELECT w.kind, w.id FROM work w"
            " JOIN after a ON w.on_kind = a.kind AND w.on_id = a.id WHERE +w.state = 1)"
            " UPDATE work SET trouble = 1, cause = CASE cause WHEN 'grant' THEN ?3 ELSE cause END"
            " WHERE (kind, id) IN (SELECT kind, id FROM after) AND +state = 1",
            "iis", (int64_t)work->key.kind, work->key.id, work->cause);
}

void
ap_wait_park(struct ap_core *core, struct ap_work *work, const struct ap_next *next)
{
    struct ap_work other;
    bool is_open = ap_work_get(core->ledger, next->on, &other);

    work->state = AP_WAITING;
    work->on = next->on;
    work->forced = false;
    work->trouble = listed(own_causes, next->cause) || (is_open && other.trouble);
    snprintf(work->cause, sizeof(work->cause), "%s",
             is_open && other.cause[0] && strcmp(next->cause, "grant") == 0 ? other.cause
                                                                            : next->cause);
    if (!is_open && ap_is_dead(core->ledger, next->on) && strcmp(next->cause, "name") == 0) {
        work->forced = true; /* he will not give it up by himself */
        work->state = AP_READY;
        work->on = (struct ap_key){AP_NONE, 0};
    } else if (!is_open && ap_is_dead(core->ledger, next->on)) {
        work->trouble = true;
        snprintf(work->cause, sizeof(work->cause), "%s",
                 strcmp(next->cause, "only-copy") == 0 ? "copy-kept" : "parent-dead");
        if (strcmp(next->cause, "only-copy") != 0)
            ap_drift_cause_of(core, next->on, work->cause, sizeof(work->cause));
    } else if (!is_open && listed(active_causes, next->cause)) {
        ap_work_open(core->ledger, next->on,
                     next->on.kind == AP_SPACE    ? AP_LANE_SPACES
                     : next->on.kind == AP_PERSON ? AP_LANE_PEOPLE
                                                  : work->storage,
                     ls_now_ms());
        if (strcmp(next->cause, "trash-reopen") != 0 &&
            (next->on.kind == AP_NODE || work->attempts++ > 0)) {
            /* He may find that he has nothing to do: then only time can tell. */
            work->state = AP_READY;
            work->on = (struct ap_key){AP_NONE, 0};
            work->attempts += next->on.kind == AP_NODE;
            work->ready_at = ls_now_ms() + ap_backoff(&core->options, work->attempts);
            work->trouble = work->attempts > 5;
        }
    } else if (is_open && strcmp(other.cause, "trash-first") == 0) {
        /* He waits for the trash to be made, and now lies in it himself. */
        ap_exec(core->ledger,
                "UPDATE work SET state = 0, on_kind = 0, on_id = 0 WHERE kind = ? AND id = ?"
                " AND state = 1",
                "ii", (int64_t)next->on.kind, next->on.id);
    } else if (is_open && !same_key(next->on, work->key) &&
               (next->on.kind == AP_NODE || next->on.kind == AP_LEFTOVER)) {
        ring_break(core, work);
    }
    ap_work_save(core->ledger, work);
    if (work->trouble && work->state == AP_WAITING)
        trouble_spread(core, work);
}
