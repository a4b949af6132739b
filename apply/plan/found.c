/*
 * What a look at the target has found goes into the applied tree.
 *
 * What can go wrong:
 *  - A folder that is gone, and things that lay in it and are elsewhere now: its row stays as a
 *    place without a name until all that the ledger had in it were looked at, too.
 *  - Something lies in a folder that we did not make: that gets such a row, too.
 *  - Rows that go in a ring, because one was corrected and the other not yet: the other one is
 *    taken out first.
 */
#include "apply/plan/drift.h"
#include "apply/plan/reconcile_parts.h"
#include "apply/plan/sought.h"
#include "common/log.h"
#include "common/run.h"
#include <string.h>

#define UNKNOWN "?" /* as checksum, as etag: other than any */

/* ---- nodes */

/* Old contents that the ledger believed the target to keep of a node. Without these rows it is
 * asked before one is put there; and a node's row may get the id of one that went. */
static void
revisions_forget(struct ap_core *core, int64_t node)
{
    ap_exec(core->ledger, "DELETE FROM revision WHERE node = ?", "i", node);
}

/* A row that only holds a place in the applied tree: its target may be known, its name is not. */
static int64_t
place_make(struct ap_core *core, int64_t storage, const char *target)
{
    ap_exec(core->ledger,
            "INSERT INTO node(fileid, storage, target, parent, name, folder, sha1, size, mtime,"
            " etag) VALUES(0, ?, ?, 0, '', 1, '', 0, 0, '')",
            "is", storage, target);
    return ap_last_id(core->ledger);
}

/* Those that nothing is in any more. */
void
ap_places_drop(struct ap_core *core)
{
    if (ap_number(core->ledger, 0, "SELECT 1 FROM node WHERE fileid = 0 LIMIT 1", NULL) == 0 ||
        ap_number(core->ledger, 0, "SELECT 1 FROM reconcile WHERE state = 0 LIMIT 1", NULL) == 1)
        return;
    while (ap_exec(core->ledger,
                   "DELETE FROM node WHERE fileid = 0 AND NOT EXISTS"
                   " (SELECT 1 FROM node c WHERE c.parent = node.id)",
                   NULL) > 0)
        ;
}

void
ap_place_forget(struct ap_core *core, const struct ap_applied *node)
{
    if (node->leftover) /* it may come back another time */
        ap_removed_keep(core, (struct ap_key){AP_NODE, node->fileid}, node->target, node->storage,
                        node->folder);
    revisions_forget(core, node->id);
    ap_look_nodes(core, "SELECT id FROM node WHERE parent = ? AND id > ? ORDER BY id LIMIT 64",
                  node->id);
    if (ap_number(core->ledger, 0, "SELECT 1 FROM node WHERE parent = ? LIMIT 1", "i", node->id) ==
        1)
        ap_exec(core->ledger,
                "UPDATE node SET fileid = 0, leftover = 0, target = '', parent = 0, name = '',"
                " folder = 1 WHERE id = ?",
                "i", node->id);
    else
        ap_exec(core->ledger, "DELETE FROM node WHERE id = ?", "i", node->id);
}

static bool
is_below(struct ap_core *core, int64_t node, int64_t top, int64_t *ret_last)
{
    struct ap_applied n;

    for (int depth = 0; node > 0 && depth < AP_MAX_DEPTH; depth++) {
        if (node == top)
            return true;
        *ret_last = node;
        if (!ap_node_get(core->ledger, node, &n))
            return false;
        node = n.parent;
    }
    return false;
}

/* The ledger's node of a folder that the target names as the parent. */
static int64_t
parent_of(struct ap_core *core, const struct ap_applied *node, const struct ap_found *found)
{
    struct ap_space_row space;
    int64_t parent, last = 0;

    if (ap_space_get(core->ledger, node->storage, &space) &&
        (strcmp(found->parent_id, space.target.root_id) == 0 || !found->parent_id[0]))
        return AP_ROOT;
    parent = ap_number(core->ledger, 0, "SELECT id FROM node WHERE target = ? AND storage = ?",
                       "si", found->parent_id, node->storage);
    if (parent == 0)
        return place_make(core, node->storage, found->parent_id);
    if (is_below(core, parent, node->id, &last)) { /* as the ledger has it: he is elsewhere now */
        ap_exec(core->ledger, "UPDATE node SET parent = ? WHERE id = ?", "ii",
                place_make(core, node->storage, ""), last);
        ap_look_nodes(core, "SELECT id FROM node WHERE id = ?1 AND id > ?2", last);
    }
    return parent;
}

static bool
live_found(struct ap_core *core, const struct ap_applied *node, const struct ap_found *found)
{
    int64_t parent = parent_of(core, node, found);
    bool moved = parent != node->parent || strcmp(found->name, node->name) != 0;
    bool other = !node->folder && strcmp(found->node.sha1, node->sha1) != 0;
    bool differs =
        moved || other ||
        (!node->folder && (found->node.size != node->size || found->node.mtime != node->mtime));

    if (!differs)
        return false;
    ap_exec(core->ledger, "UPDATE node SET parent = ?, name = ? WHERE id = ?", "isi", parent,
            found->name, node->id);
    if (node->folder) {
        ap_shares_below_node(core, node->id);
        return true;
    }
    ap_exec(core->ledger, "UPDATE node SET sha1 = ?, size = ?, mtime = ?, etag = ? WHERE id = ?",
            "siisi", found->node.sha1[0] ? found->node.sha1 : UNKNOWN, found->node.size,
            found->node.mtime, other ? UNKNOWN : node->etag, node->id);
    revisions_forget(core, node->id);
    return true;
}

/* Its content cannot have changed there; but it may be an older one. */
static bool
trash_found(struct ap_core *core, const struct ap_applied *node, const struct ap_found *found)
{
    bool top = found->where == AP_FOUND_TRASHED;
    bool differs = top && (node->parent != AP_TRASHED || strcmp(found->name, node->name) != 0);

    if (differs)
        ap_exec(core->ledger, "UPDATE node SET parent = -1, name = ? WHERE id = ?", "si",
                found->name, node->id);
    if (!node->folder && found->node.size >= 0 && found->node.size != node->size) {
        ap_exec(core->ledger, "UPDATE node SET sha1 = ?, etag = ?, size = ? WHERE id = ?", "ssii",
                UNKNOWN, UNKNOWN, found->node.size, node->id);
        revisions_forget(core, node->id);
        differs = true;
    }
    return differs;
}

static bool
node_found(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_found *found = &job->found;
    struct ap_applied node;
    bool differs = true;

    ap_look_done(core, job->who);
    if (!ap_node_get(core->ledger, job->op.node, &node) || found->where == AP_FOUND_AS_KNOWN)
        return false;
    if (found->where == AP_FOUND_NOT || found->folder != node.folder) {
        ls_log(LS_INFO, "not-at-target", LS_I("fileid", node.fileid));
        ap_place_forget(core, &node);
    } else if (found->where == AP_FOUND_LIVE) {
        differs = live_found(core, &node, found);
    } else {
        differs = trash_found(core, &node, found);
        ap_exec(core->ledger, "INSERT INTO reconcile(kind, id, storage, state) VALUES(?, ?, ?, 1)",
                "iii", (int64_t)job->who.kind, job->who.id, node.storage);
    }
    if (differs) { /* it is known now how it is, so that is no reason to stop */
        ap_drift_deleted_at(core, node.id, 0);
        if (job->who.kind == AP_NODE)
            ap_exec(core->ledger, "INSERT OR REPLACE INTO allowed(kind, id) VALUES(?, ?)", "ii",
                    (int64_t)AP_NODE, job->who.id);
    }
    return differs;
}

/* ---- spaces */

/* All that was in it is to be made again. */
static void
space_forget(struct ap_core *core, int64_t storage)
{
    ap_exec(core->ledger,
            AP_WORK_OPEN "1, n.fileid, n.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM node n"
                         " JOIN desired d ON d.fileid = n.fileid WHERE n.storage = ?1 AND "
                         "n.leftover = 0" AP_WAITING_AGAIN,
            "ii", storage, ls_now_ms());
    ap_exec(core->ledger,
            AP_WORK_OPEN "2, n.id, n.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM node n"
                         " JOIN dead x ON x.kind = 2 AND x.id = n.id WHERE n.storage = ?1"
                         " AND n.leftover = 1" AP_UNLESS_OPEN,
            "ii", storage, ls_now_ms());
    ap_exec(core->ledger, "DELETE FROM reconcile WHERE storage = ? AND kind IN (1, 2)", "i",
            storage);
    ap_exec(core->ledger,
            "DELETE FROM revision WHERE node IN (SELECT id FROM node WHERE storage = ?)", "i",
            storage);
    ap_exec(core->ledger,
            "DELETE FROM trashed WHERE node IN (SELECT id FROM node WHERE storage = ?)", "i",
            storage);
    ap_exec(core->ledger, "DELETE FROM node WHERE storage = ?", "i", storage);
    ap_exec(core->ledger, "DELETE FROM quota WHERE storage = ?", "i", storage);
    ap_exec(core->ledger, "UPDATE space SET ready = 0, copied = 0 WHERE storage = ?", "i", storage);
    for (int64_t id = 0;
         (id = ap_number(core->ledger, 0, "SELECT min(id) FROM grants WHERE storage = ? AND id > ?",
                         "ii", storage, id)) != 0;)
        ap_reconcile_mark(core, (struct ap_key){AP_GRANT, id});
    for (int64_t id = 0;
         (id = ap_number(core->ledger, 0, "SELECT min(id) FROM link WHERE storage = ? AND id > ?",
                         "ii", storage, id)) != 0;)
        ap_reconcile_mark(core, (struct ap_key){AP_LINK, id});
}

static bool
quota_found(struct ap_core *core, int64_t storage, const char *owner, int64_t quota)
{
    int64_t given =
        ap_number(core->ledger, quota, "SELECT bytes FROM quota WHERE storage = ?", "i", storage);

    if (quota == -2 || quota == given || (given == 0 && quota == 1))
        return false;
    ap_exec(core->ledger, "UPDATE quota SET bytes = ? WHERE storage = ?", "ii", quota, storage);
    ap_work_open(core->ledger,
                 (struct ap_key){AP_PERSON, ap_person_find(core, CS3_USER, owner, "")},
                 AP_LANE_PEOPLE, ls_now_ms());
    return true;
}

static bool
space_found(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_space_found *found = &job->space_found;
    struct ap_space_row space;

    ap_look_done(core, job->who);
    if (found->as_known || !ap_space_get(core->ledger, job->who.id, &space) || !space.ready)
        return false;
    if (found->found && strcmp(found->space.space_id, space.target.space_id) == 0 &&
        strcmp(found->space.root_id, space.target.root_id) == 0)
        return quota_found(core, space.storage, space.owner, found->quota);
    ls_log(LS_WARN, "space-not-at-target", LS_I("storage", space.storage));
    space_forget(core, space.storage);
    return true;
}

/* ---- people */

/* He, or it, is not there, or another one of that name is: what he had at the target is nobody's.
 */
void
ap_user_forget(struct ap_core *core, int64_t person, const char *uid)
{
    ap_exec(core->ledger,
            "UPDATE person SET target = NULL, applied_name = NULL, applied_enabled = 1"
            " WHERE id = ?",
            "i", person);
    ap_exec(core->ledger, "DELETE FROM mailed WHERE person = ?", "i", person);
    ap_person_match(core, person);
    ap_look_each(core, AP_SPACE,
                 "SELECT storage FROM space WHERE owner = ? AND ready = 1 AND"
                 " storage > ? ORDER BY storage LIMIT 64",
                 uid);
    ap_exec(core->ledger, "UPDATE person SET applied = 0 WHERE type = 2 AND uid = ?", "s", uid);
    ap_look_each(core, AP_PERSON,
                 "SELECT id FROM person WHERE type = 2 AND uid = ? AND deleted = 0"
                 " AND id > ? ORDER BY id LIMIT 64",
                 uid);
    ap_exec(core->ledger,
            "UPDATE grants SET permissions = ? WHERE type = 0 AND grantee = ? AND share_id <> ''",
            "is", AP_OTHER_GRANTEE, uid);
    ap_look_each(core, AP_GRANT,
                 "SELECT id FROM grants WHERE type = 0 AND grantee = ? AND id > ?"
                 " ORDER BY id LIMIT 64",
                 uid);
    ap_look_each(core, AP_RECEIVED,
                 "SELECT id FROM received WHERE uid = ? AND id > ? ORDER BY id"
                 " LIMIT 64",
                 uid);
}

static void
group_forget(struct ap_core *core, int64_t id, const struct ap_who *p)
{
    ap_exec(core->ledger, "UPDATE person SET target = NULL WHERE id = ?", "i", id);
    ap_exec(core->ledger, "UPDATE person SET applied = 0 WHERE type = 2 AND gid = ?", "s", p->gid);
    ap_look_each(core, AP_PERSON,
                 "SELECT id FROM person WHERE type = 2 AND gid = ? AND deleted = 0"
                 " AND id > ? ORDER BY id LIMIT 64",
                 p->gid);
    ap_exec(core->ledger,
            "UPDATE grants SET permissions = ? WHERE type = 1 AND grantee = ? AND share_id <> ''",
            "is", AP_OTHER_GRANTEE, p->gid);
    ap_look_each(core, AP_GRANT,
                 "SELECT id FROM grants WHERE type = 1 AND grantee = ? AND id > ?"
                 " ORDER BY id LIMIT 64",
                 p->gid);
}

static bool
person_found(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_person_found *found = &job->person_found;
    struct ap_who p;

    ap_look_done(core, job->who);
    if (found->as_known || !ap_who_get(core, job->who.id, &p))
        return false;
    if (p.type == CS3_MEMBER) {
        ap_exec(core->ledger, "UPDATE person SET applied = ? WHERE id = ?", "ii",
                (int64_t)found->found, job->who.id);
        return found->found != p.applied;
    }
    if (p.type == CS3_GROUP && !p.target[0]) { /* we have removed it; is it back? */
        if (!found->found || !ap_was_removed(core, job->who, found->id))
            return false;
        ap_exec(core->ledger, "UPDATE person SET target = ? WHERE id = ?", "si", found->id,
                job->who.id);
        return true;
    }
    if (!found->found || strcmp(found->id, p.target) != 0) {
        if (p.type == CS3_USER)
            ap_user_forget(core, job->who.id, p.uid);
        else
            group_forget(core, job->who.id, &p);
        return true;
    }
    if (p.type != CS3_USER || ap_person_is_ldap(core, job->who.id))
        return false;
    ap_exec(core->ledger,
            "UPDATE person SET applied_enabled = ?, applied_name = CASE WHEN"
            " coalesce(display_name, '') = '' THEN applied_name ELSE ? END WHERE id = ?",
            "isi", (int64_t)found->enabled, found->display_name, job->who.id);
    return found->enabled != p.enabled;
}

/* ---- answers */

void
ap_look_settled(struct ap_core *core, const struct ap_job *job)
{
    bool differs;

    if (job->seek.how != AP_SEEK_NONE) {
        ap_count(core->ledger, "looked", 1);
        ap_sought_settled(core, job);
        ap_wake(core->ledger, job->who);
        return;
    }
    differs = job->who.kind == AP_SPACE    ? space_found(core, job)
              : job->who.kind == AP_PERSON ? person_found(core, job)
                                           : node_found(core, job);

    ap_count(core->ledger, "looked", 1);
    if (differs)
        ap_count(core->ledger, "looked-different", 1);
    ap_places_drop(core);
    ap_wake(core->ledger, job->who);
}

void
ap_look_failed(struct ap_core *core, const struct ap_job *job)
{
    struct ap_space_row space;

    if (strcmp(job->err.cause, "space-gone") == 0)
        ap_reconcile_mark(core, (struct ap_key){AP_SPACE, job->op.storage});
    else if (strcmp(job->err.cause, "no-user") == 0 &&
             ap_space_get(core->ledger, job->op.storage, &space))
        ap_look_person(core, CS3_USER, space.owner, "");
}
