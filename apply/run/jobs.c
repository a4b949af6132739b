/*
 * What a call on the tree needs of the ledger, and which calls may not be out together.
 *
 * What can go wrong: two calls on one node or one place at the same time (oCIS loses one of them);
 * a call below a folder that is just being moved or deleted; a call with an empty id. So: calls
 * meet that touch the same node, place or subtree, and one without its ids is never sent.
 */
#include "apply/content/blobs.h"
#include "apply/core.h"
#include "apply/plan/drift.h"
#include "apply/run/schedule.h"
#include <string.h>

/* ---- locks */

/* These act on a whole subtree: nobody may be at work in it. */
static bool
takes_subtree(enum ap_call call)
{
    return call == AP_MOVE || call == AP_TRASH || call == AP_RESTORE || call == AP_PURGE;
}

bool
ap_is_on_tree(enum ap_call call)
{
    return call >= AP_MAKE_FOLDER && call <= AP_PURGE;
}

static void
chain_add(struct ap_core *core, struct ap_job *job, int64_t node)
{
    struct ap_applied up;

    while (node > 0 && job->n_chain < AP_MAX_CHAIN) {
        job->chain[job->n_chain++] = node;
        if (!ap_node_get(core->ledger, node, &up))
            return;
        node = up.parent;
    }
}

static bool
in_chain(const struct ap_job *job, int64_t node)
{
    for (int i = 0; i < job->n_chain; i++)
        if (job->chain[i] == node)
            return true;
    return false;
}

static bool
has_place(enum ap_call call)
{
    return call == AP_MAKE_FOLDER || call == AP_PUT_FILE || call == AP_MOVE || call == AP_RESTORE;
}

static bool
collide(const struct ap_job *a, const struct ap_job *b)
{
    if (a->op.node != 0 && a->op.node == b->op.node)
        return true;
    if (takes_subtree(a->call) && in_chain(b, a->op.node))
        return true;
    if (takes_subtree(b->call) && in_chain(a, b->op.node))
        return true;
    /* A file's first version makes its node, maybe elsewhere than where the file shall be now. */
    if (has_place(a->call) && has_place(b->call) && a->op.node == 0 && b->op.node == 0 &&
        a->op.fileid != 0 && a->op.fileid == b->op.fileid)
        return true;
    /* The place that a move leaves is held until its answer is in the ledger, so only the
     * destinations need to be compared. */
    return has_place(a->call) && has_place(b->call) && a->op.name[0] &&
           a->op.storage == b->op.storage && a->op.parent == b->op.parent &&
           strcmp(a->op.name, b->op.name) == 0;
}

bool
ap_is_node(struct ap_key key)
{
    return key.kind == AP_NODE || key.kind == AP_LEFTOVER;
}

bool
ap_jobs_meet(const struct ap_job *a, const struct ap_job *b)
{
    bool a_tree = ap_is_on_tree(a->call) || (a->call == AP_LOOK && ap_is_node(a->who));
    bool b_tree = ap_is_on_tree(b->call) || (b->call == AP_LOOK && ap_is_node(b->who));

    if (a->call == AP_LOOK && a->who.kind == AP_SPACE)
        return b_tree && a->op.storage == b->op.storage;
    if (b->call == AP_LOOK && b->who.kind == AP_SPACE)
        return a_tree && a->op.storage == b->op.storage;
    return a_tree && b_tree && collide(a, b);
}

/* ---- ids */

bool
ap_job_fill(struct ap_core *core, struct ap_job *job, struct ls_err *err)
{
    struct ap_space_row space;
    struct ap_applied node;
    char home[4096] = "";

    job->call = job->op.call;
    job->objects = NULL;
    if (!ap_space_get(core->ledger, job->op.storage, &space))
        return true;
    job->space = space.target;
    if (ap_node_get(core->ledger, job->op.node, &node))
        memcpy(job->node_id, node.target, sizeof(node.target));
    if (job->op.parent == AP_ROOT)
        memcpy(job->parent_id, space.target.root_id, sizeof(job->parent_id));
    else if (ap_node_get(core->ledger, job->op.parent, &node))
        memcpy(job->parent_id, node.target, sizeof(node.target));
    if (ap_node_get(core->ledger, job->op.top, &node))
        memcpy(job->top_id, node.target, sizeof(node.target));
    job->n_chain = 0;
    if (has_place(job->call) || job->call == AP_LOOK)
        chain_add(core, job, job->op.parent);
    chain_add(core, job, job->op.node);
    ap_drift_fill(core, job);
    if (job->call == AP_PUT_FILE)
        ap_versions_fill(core, job);
    if (job->call != AP_PUT_FILE || !core->config)
        return true;
    if (ap_objects_hold(space.source_id, space.owner)) {
        job->objects = core->objects;
        return job->objects || ls_fail_cause(err, LS_ERR_RETRY, 0, "no-bucket",
                                             "[data] s3_endpoint is not set") == 0;
    }
    sqlite3_stmt *s = ap_query(core->ledger, "SELECT home FROM person WHERE type = 0 AND uid = ?",
                               "s", space.owner);
    if (ap_step(core->ledger, s)) {
        ap_text(s, 0, home, sizeof(home));
        ap_done(s);
    }
    return ap_home_map(core->config, home, space.owner, job->home, sizeof(job->home), err) == 0;
}

bool
ap_job_has_ids(const struct ap_job *job)
{
    bool by_top = job->op.top != 0 && job->op.relative[0]; /* of such not all have ids */

    return job->space.root_id[0] && (job->op.node == 0 || job->node_id[0] || by_top) &&
           (job->seek.how != AP_SEEK_PLACE || job->parent_id[0]) &&
           (!has_place(job->call) || job->op.node == 0 || job->call == AP_PUT_FILE ||
            job->parent_id[0]) &&
           (job->op.node != 0 || !has_place(job->call) || job->parent_id[0]) &&
           (job->op.top == 0 || job->top_id[0]);
}
