/*
 * A look at one of our nodes, once a minute, so that a target that was restored from a backup is
 * noticed also when nothing that it lost is touched.
 *
 * A backup lacks what was made after it, and has what was made before; so it is asked in turn for
 * the newest node, the second, the fourth, ... : however much was lost, and made since, one of
 * these soon lies in what is missing. Nothing follows from an answer but a number and a line in the
 * log: what is to be done about it is a person's to say.
 *
 * What can go wrong, all of it a false alarm:
 *  - A call of ours is removing the node just now: not while a call on that storage's tree has no
 *    answer in the ledger, when the look is planned and when its answer comes.
 *  - Somebody put it into the trash: it is there, then, or the folder around it is. So after two
 *    answers that it is nowhere the folders above are asked for, up to one that is somewhere.
 *  - Trouble of any kind: it is no answer, and the next look begins anew.
 * Somebody who deletes for good what he had in oCIS cannot be told from a backup; the runbook can.
 */
#include "apply/run/probe.h"
#include "apply/plan/reconcile.h"
#include "apply/run/schedule.h"
#include "common/log.h"
#include "common/run.h"
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 1000
#define TURNS 17 /* back to the 65536th */
#define NEAR 256

/* It is ours, live, and nothing is under way that could change that. */
static bool
is_quiet(struct ap_core *core, int64_t id, struct ap_applied *ret)
{
    char relative[AP_PATH_SIZE];

    return ap_node_get(core->ledger, id, ret) && ret->target[0] && !ret->leftover &&
           ap_applied_top(&core->view, ret, relative, sizeof(relative)) == AP_ROOT &&
           ap_number(core->ledger, 0, "SELECT 1 FROM op WHERE storage = ? LIMIT 1", "i",
                     ret->storage) == 0 &&
           ap_reconcile_open(core->ledger) == 0 && !core->seeking;
}

/* 0: there is none. */
static int64_t
choose(struct ap_core *core)
{
    struct ap_probe *p = &core->probe;
    int64_t at = ap_number(core->ledger, 0, "SELECT max(id) FROM node", NULL);
    int64_t back = ((int64_t)1 << p->turn) - 1;

    if (back >= at || p->turn >= TURNS)
        p->turn = 0;
    else
        at -= back;
    p->turn++;
    return ap_number(core->ledger, 0,
                     "SELECT id FROM node WHERE id <= ?1 AND id > ?1 - ?2 AND target <> '' AND"
                     " fileid <> 0 AND leftover = 0 ORDER BY id DESC LIMIT 1",
                     "ii", at, (int64_t)NEAR);
}

void
ap_probe_plan(struct ap_core *core)
{
    struct ap_probe *p = &core->probe;
    int64_t now = ls_mono_ms(), every = core->options.probe_ms;
    struct ls_err ignored = {0};
    struct ap_applied node;
    struct ap_job *job;

    if (every <= 0 || p->job || core->target.paused || (p->next_ms && now < p->next_ms))
        return;
    if (p->next_ms == 0) { /* what a start has to do comes first */
        p->next_ms = now + every;
        return;
    }
    p->next_ms = now + every;
    if (p->asked == 0)
        p->asked = p->missed = choose(core);
    if (!is_quiet(core, p->asked, &node) || !(job = calloc(1, sizeof(*job)))) {
        p->asked = p->misses = 0;
        return;
    }
    job->who = (struct ap_key){AP_NODE, node.fileid};
    job->lane = node.storage;
    job->op = (struct ap_tree_op){.call = AP_LOOK,
                                  .storage = node.storage,
                                  .fileid = node.fileid,
                                  .node = node.id,
                                  .mtime = node.mtime};
    if (ap_job_fill(core, job, &ignored) && ap_job_has_ids(job)) {
        p->job = job;
        return;
    }
    free(job);
    p->asked = p->misses = 0;
}

static void
count(struct ap_core *core)
{
    struct ap_probe *p = &core->probe;
    struct ap_applied node;

    if (p->missed == p->counted || !is_quiet(core, p->missed, &node))
        return;
    p->counted = p->missed;
    core->lost++;
    ls_log(LS_WARN, "node-gone", LS_I("fileid", node.fileid), LS_S("how", "probe"));
}

void
ap_probe_settled(struct ap_core *core, const struct ap_job *job)
{
    struct ap_probe *p = &core->probe;
    bool space_gone = job->result != 0 && strcmp(job->err.cause, "space-gone") == 0;
    bool gone = space_gone || (job->result == 0 && job->found.where == AP_FOUND_NOT);
    bool again = false;
    struct ap_applied node;

    p->job = NULL;
    if (!is_quiet(core, p->asked, &node) || strcmp(node.target, job->node_id) != 0) {
        /* nobody can tell */
    } else if (gone && ++p->misses < 2) {
        again = true;
    } else if (gone && !space_gone && node.parent > 0) {
        p->asked = node.parent;
        again = true;
    } else if (gone || (p->misses > 0 && job->result == 0 && job->found.where == AP_FOUND_LIVE &&
                        p->asked != p->missed)) {
        count(core);
    }
    if (again) {
        if (core->options.probe_ms > AGAIN_MS)
            p->next_ms = ls_mono_ms() + AGAIN_MS;
    } else {
        p->asked = p->misses = 0;
    }
}
