/*
 * What of shares and links is compared with the target (reconcile.c).
 *
 * A writer that is told that the outcome of an earlier try is not known looks first, and writes
 * only what is missing; so a share that is to be there is simply given once more in doubt. What can
 * go wrong is the other way: a share that we took away is back. Somebody at the target may have
 * made one for the same node and grantee since, so it is known by its id alone.
 */
#include "apply/plan/reconcile.h"
#include "apply/plan/shares_parts.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

static bool
grant_about(struct ap_core *core, int64_t id, struct ap_share_about *ret)
{
    struct ap_applied node;
    struct ap_fold fold;
    char share_id[AP_ID_SIZE];
    int64_t type;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT fileid, type, grantee, storage, share_id FROM grants"
                               " WHERE id = ?",
                               "i", id);

    if (!ap_step(core->ledger, s))
        return false;
    ret->grant = id;
    ret->fileid = sqlite3_column_int64(s, 0);
    type = sqlite3_column_int64(s, 1);
    ret->group = type == CS3_SHARE_GROUP;
    ap_text(s, 2, ret->grantee, sizeof(ret->grantee));
    ret->storage = sqlite3_column_int64(s, 3);
    ap_text(s, 4, share_id, sizeof(share_id));
    ap_done(s);
    if (ap_node_of(core->ledger, ret->fileid, &node))
        ret->storage = node.storage;
    ap_fold_rows(core, ret->fileid, type, ret->grantee, NULL, &fold);
    ret->there = share_id[0] != '\0';
    ret->wanted = fold.rows > 0;
    return true;
}

static bool
received_about(struct ap_core *core, int64_t id, struct ap_share_about *ret)
{
    int64_t grant =
        ap_number(core->ledger, 0, "SELECT grant_id FROM received WHERE id = ?", "i", id);

    if (!grant_about(core, grant, ret) || !ret->wanted)
        return false; /* it goes with its share */
    return true;
}

static bool
link_about(struct ap_core *core, int64_t id, struct ap_share_about *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT s.fileid, coalesce(l.storage, 0), coalesce(l.link_id, '')"
                               " <> '', s.deleted = 0 FROM share s LEFT JOIN link l ON l.id = s.id"
                               " WHERE s.id = ? AND s.type = 3",
                               "i", id);

    if (!ap_step(core->ledger, s))
        return false;
    ret->fileid = sqlite3_column_int64(s, 0);
    ret->storage = sqlite3_column_int64(s, 1);
    ret->there = sqlite3_column_int(s, 2) != 0;
    ret->wanted = sqlite3_column_int(s, 3) != 0;
    ap_done(s);
    return true;
}

bool
ap_share_about(struct ap_core *core, struct ap_key key, struct ap_share_about *ret)
{
    memset(ret, 0, sizeof(*ret));
    return key.kind == AP_GRANT      ? grant_about(core, key.id, ret)
           : key.kind == AP_RECEIVED ? received_about(core, key.id, ret)
                                     : link_about(core, key.id, ret);
}

bool
ap_share_revive(struct ap_core *core, struct ap_key key)
{
    char id[AP_ID_SIZE] = "";
    int64_t n = 0, storage = 0;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT n, storage, target FROM removed WHERE kind = ? AND id = ?"
                               " ORDER BY n DESC LIMIT 1",
                               "ii", (int64_t)key.kind, key.id);

    if (!ap_step(core->ledger, s))
        return false;
    n = sqlite3_column_int64(s, 0);
    storage = sqlite3_column_int64(s, 1);
    ap_text(s, 2, id, sizeof(id));
    ap_done(s);
    if (key.kind == AP_GRANT)
        ap_exec(core->ledger, "UPDATE grants SET share_id = ?, storage = ? WHERE id = ?", "sii", id,
                storage, key.id);
    else if (key.kind == AP_LINK)
        ap_exec(core->ledger,
                "INSERT OR REPLACE INTO link(id, storage, node, link_id, sharer, permissions,"
                " expires, has_password, label) VALUES(?, ?, '', ?, '', 0, 0, 0, '')",
                "iis", key.id, storage, id);
    else
        return false;
    ap_exec(core->ledger, "DELETE FROM removed WHERE n = ?", "i", n);
    return true;
}
