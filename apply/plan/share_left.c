/*
 * Grants that stay: oCIS takes none away from what lies in its trash. A share that is taken away
 * there is gone from all lists, and its grant is on the node still; once that is restored, it is
 * taken away, too. Such a row of `grants` has a node and no share.
 */
#include "apply/plan/shares_parts.h"
#include "common/run.h"

/* It, or a folder around it, is being deleted by a call whose answer is not there yet. */
static bool
being_deleted(struct ap_core *core, int64_t node, struct ap_key *ret_who)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "WITH RECURSIVE up(id) AS (SELECT ?1 UNION ALL SELECT n.parent"
                               " FROM node n JOIN up ON n.id = up.id WHERE n.parent > 0)"
                               " SELECT op.kind, op.entity FROM op JOIN up ON op.node = up.id"
                               " WHERE op.call = ?2 LIMIT 1",
                               "ii", node, (int64_t)AP_TRASH);

    if (!ap_step(core->ledger, s))
        return false;
    ret_who->kind = (enum ap_kind)sqlite3_column_int(s, 0);
    ret_who->id = sqlite3_column_int64(s, 1);
    ap_done(s);
    return true;
}

enum ap_left
ap_left_where(struct ap_core *core, int64_t grant, struct ap_key *ret_who)
{
    struct ap_applied node;
    char relative[AP_PATH_SIZE];
    int64_t fileid =
        ap_number(core->ledger, 0,
                  "SELECT fileid FROM grants g WHERE id = ? AND (coalesce(node, '') = '' OR EXISTS"
                  " (SELECT 1 FROM node n WHERE n.target = g.node AND n.fileid = g.fileid))",
                  "i", grant);

    if (fileid == 0 || !ap_node_of(core->ledger, fileid, &node))
        return AP_LEFT_NOWHERE;
    if (ap_applied_top(&core->view, &node, relative, sizeof(relative)) != AP_ROOT)
        return AP_LEFT_IN_TRASH;
    return being_deleted(core, node.id, ret_who) ? AP_LEFT_BUSY : AP_LEFT_LIVE;
}

bool
ap_left_stays(struct ap_core *core, int64_t grant)
{
    struct ap_key ignored;
    enum ap_left where = ap_left_where(core, grant, &ignored);

    return where == AP_LEFT_IN_TRASH || where == AP_LEFT_BUSY;
}

void
ap_left_trashed(struct ap_core *core)
{
    for (int i = 0; i < core->n_jobs; i++) {
        struct ap_job *job = core->jobs[i];
        if (job->call == AP_SHARE_REMOVE && !job->left)
            job->left = ap_left_stays(core, job->who.id);
    }
}

/* Those of nodes that are purged are forgotten, so that where none is left no tree is walked. */
void
ap_left_below_node(struct ap_core *core, int64_t node)
{
    if (ap_number(core->ledger, 0,
                  "SELECT 1 FROM grants WHERE share_id = '' AND node <> '' LIMIT 1", NULL) != 1)
        return;
    ap_exec(core->ledger,
            "UPDATE grants SET node = '' WHERE share_id = '' AND node <> '' AND NOT EXISTS"
            " (SELECT 1 FROM node n WHERE n.fileid = grants.fileid AND n.target = grants.node)",
            NULL);
    ap_exec(core->ledger,
            AP_WORK_OPEN
            "6, g.id, n.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM grants g JOIN node n ON"
            " n.target = g.node WHERE g.share_id = '' AND g.node <> '' AND n.id IN (WITH RECURSIVE"
            " below(id) AS (SELECT ?1 UNION ALL SELECT c.id FROM node c JOIN below b"
            " ON c.parent = b.id) SELECT id FROM below)" AP_WAITING_AGAIN,
            "ii", node, ls_now_ms());
}
