/*
 * Grants that stay: oCIS takes none away from what lies in its trash. A share that is taken away
 * there is gone from all lists, and its grant is on the node still; once that is restored, it is
 * taken away, too. Such a row of `grants` has a node and no share.
 */
#include "apply/plan/shares_parts.h"
#include "common/run.h"
#include <string.h>

/* It is the node that the file has; not another one, in another space or made anew. */
static bool
node_get(struct ap_core *core, int64_t fileid, const char *target, struct ap_applied *ret)
{
    return ap_node_of(core->ledger, fileid, ret) && strcmp(ret->target, target) == 0;
}

static bool
lies_in_trash(struct ap_core *core, const struct ap_applied *node)
{
    char relative[AP_PATH_SIZE];

    return ap_applied_top(&core->view, node, relative, sizeof(relative)) != AP_ROOT;
}

bool
ap_left_stays(struct ap_core *core, int64_t fileid, const char *target)
{
    struct ap_applied node;

    return node_get(core, fileid, target, &node) && lies_in_trash(core, &node);
}

bool
ap_left_can_go(struct ap_core *core, int64_t fileid, const char *target)
{
    struct ap_applied node;

    return node_get(core, fileid, target, &node) && !lies_in_trash(core, &node);
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
            "6, g.id, g.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM grants g WHERE g.share_id = ''"
            " AND g.node <> '' AND g.fileid IN (WITH RECURSIVE below(id, fileid) AS"
            " (SELECT id, fileid FROM node WHERE id = ?1 UNION ALL SELECT n.id, n.fileid"
            " FROM node n JOIN below b ON n.parent = b.id) SELECT fileid FROM below)"
            AP_WAITING_AGAIN,
            "ii", node, ls_now_ms());
}
