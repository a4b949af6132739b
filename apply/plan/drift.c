/*
 * Drift, on the core's side: what is expected of a node, and what follows when it is not so.
 *
 * The ledger's rows of `node` say what the target answered when apply last wrote there: id, parent,
 * name, SHA1, size. Times are left out: apply sets them itself, and nothing is lost with one. For
 * what lies in the trash it is the time of deletion that apply read after its own call: who takes
 * it out, changes it and deletes it again leaves another.
 *
 * What can go wrong: to take our own call, whose answer was lost, for somebody else's doing (a
 * doubtful call compares with what it was to leave first); to write hundreds of letters for one
 * folder that somebody deleted (its node is marked as trashed, as it is; whoever belongs into it
 * waits for its letter); to overwrite what was changed once more after somebody had said "the
 * source wins" (that word holds for one go).
 */
#include "apply/plan/drift.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define FNV_BASIS 14695981039346656037u
#define FNV_PRIME 1099511628211u
#define SOMEBODY_ELSE (-1) /* trashed.at: not by a call of ours */

/* ---- marks */

static uint64_t
hash_text(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * FNV_PRIME;
    while (*text++);
    return hash;
}

uint64_t
ap_drift_mark(const char *id, const char *parent_id, const char *name, const char *sha1,
              int64_t size)
{
    char number[24];
    uint64_t hash = FNV_BASIS;

    snprintf(number, sizeof(number), "%lld", (long long)size);
    hash = hash_text(hash, id);
    hash = hash_text(hash, parent_id);
    hash = hash_text(hash, name);
    hash = hash_text(hash, sha1);
    return hash_text(hash, number);
}

/* All that the ledger has below a folder; false: of one of them it does not know enough. */
static bool
marks_below(struct ap_core *core, const struct ap_applied *folder, uint64_t *ret)
{
    char id[AP_ID_SIZE] = "", up[AP_ID_SIZE] = "", name[AP_NAME_SIZE] = "", sha1[41];
    bool known = true;
    sqlite3_stmt *s =
        ap_query(core->ledger,
                 "WITH RECURSIVE below(id, target, up, name, folder, sha1, size) AS ("
                 " SELECT id, target, ?2, name, folder, sha1, size FROM node WHERE parent = ?1"
                 " UNION ALL SELECT n.id, n.target, b.target, n.name, n.folder, n.sha1, n.size"
                 " FROM node n JOIN below b ON n.parent = b.id)"
                 " SELECT target, up, name, folder, sha1, size FROM below",
                 "is", folder->id, folder->target);

    *ret = 0;
    while (ap_step(core->ledger, s)) {
        bool is_folder = sqlite3_column_int(s, 3) != 0;

        known = ap_text(s, 0, id, sizeof(id)) && ap_text(s, 1, up, sizeof(up)) &&
                ap_text(s, 2, name, sizeof(name)) && known;
        ap_text(s, 4, sha1, sizeof(sha1));
        known = known && (is_folder || sha1[0]);
        *ret += ap_drift_mark(id, up, name, is_folder ? "" : sha1,
                              is_folder ? 0 : sqlite3_column_int64(s, 5));
    }
    return known;
}

/* ---- what is expected */

static bool
is_allowed(struct ap_core *core, struct ap_key key)
{
    return ap_number(core->ledger, 0, "SELECT 1 FROM allowed WHERE kind = ? AND id = ?", "ii",
                     (int64_t)key.kind, key.id) == 1;
}

static void
above_fill(struct ap_core *core, struct ap_was *was, int64_t node)
{
    struct ap_applied up;

    while (node > 0 && was->n_above < AP_ABOVE && ap_node_get(core->ledger, node, &up)) {
        memcpy(was->above[was->n_above++], up.target, sizeof(up.target));
        node = up.parent;
    }
}

static void
node_fill(struct ap_core *core, const struct ap_job *job, const struct ap_applied *node,
          struct ap_was *was)
{
    struct ap_applied up;

    if (node->parent == AP_ROOT)
        memcpy(was->parent_id, job->space.root_id, sizeof(was->parent_id));
    else if (node->parent > 0 && ap_node_get(core->ledger, node->parent, &up))
        memcpy(was->parent_id, up.target, sizeof(was->parent_id));
    memcpy(was->name, node->name, sizeof(was->name));
    if (!node->folder) {
        memcpy(was->sha1, node->sha1, sizeof(was->sha1));
        was->size = node->size;
    } else if (job->op.call == AP_TRASH) {
        was->below_known = marks_below(core, node, &was->below);
    }
}

void
ap_drift_fill(struct ap_core *core, struct ap_job *job)
{
    struct ap_was *was = &job->was;
    const struct ap_tree_op *op = &job->op;
    struct ap_applied node;

    memset(was, 0, sizeof(*was));
    was->size = -1;
    was->expected = core->options.drift_stop &&
                    !is_allowed(core, op->call == AP_PUT_FILE ? (struct ap_key){AP_NODE, op->fileid}
                                                              : job->who);
    if (!was->expected)
        return;
    if (op->node != 0 && ap_node_get(core->ledger, op->node, &node)) {
        node_fill(core, job, &node, was);
        if (op->call == AP_PUT_FILE || op->call == AP_SET_MTIME)
            above_fill(core, was, node.parent);
    }
    if (op->node == 0 || op->call == AP_MOVE || op->call == AP_RESTORE)
        above_fill(core, was, op->parent);
    if (op->top != 0)
        was->deleted_at =
            ap_number(core->ledger, 0, "SELECT at FROM trashed WHERE node = ?", "i", op->top);
}

const struct ap_expect *
ap_drift_expect(struct ap_job *job, struct ap_expect *room)
{
    struct ap_was *was = &job->was;

    if (!was->expected)
        return NULL;
    *room = (struct ap_expect){.parent_id = was->parent_id[0] ? was->parent_id : NULL,
                               .name = was->name,
                               .sha1 = was->sha1,
                               .size = was->size,
                               .below = was->below,
                               .below_known = was->below_known,
                               .deleted_at = was->deleted_at,
                               .above = (const char(*)[AP_ID_SIZE])was->above,
                               .n_above = was->n_above,
                               .ret_trashed = was->trashed};
    return room;
}

/* ---- what was found */

bool
ap_drift_is_cause(const char *cause)
{
    static const char *const causes[] = {"changed-at-target", "moved-at-target",
                                         "deleted-at-target"};

    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
        if (strcmp(cause, causes[i]) == 0)
            return true;
    return false;
}

void
ap_drift_deleted_at(struct ap_core *core, int64_t node, int64_t at)
{
    if (at == 0)
        ap_exec(core->ledger, "DELETE FROM trashed WHERE node = ?", "i", node);
    else
        ap_exec(core->ledger,
                "INSERT INTO trashed(node, at) VALUES(?1, ?2) ON CONFLICT(node) DO UPDATE"
                " SET at = ?2",
                "ii", node, at);
}

/* A letter for a folder that is not what the failed call was for. */
static void
folder_dead(struct ap_core *core, struct ap_key key, const struct ap_job *job)
{
    struct ap_work work;

    if (ap_is_dead(core->ledger, key))
        return;
    if (!ap_work_get(core->ledger, key, &work))
        work = (struct ap_work){.key = key, .storage = job->op.storage};
    ap_work_dead(core, &work, job->err.cause, job->err.msg);
}

void
ap_drift_of_file(struct ap_core *core, const struct ap_job *job)
{
    folder_dead(core, (struct ap_key){AP_NODE, job->op.fileid}, job);
}

bool
ap_drift_trashed(struct ap_core *core, const struct ap_job *job)
{
    int64_t id = 0, fileid = 0;
    bool leftover = false;
    struct ap_key key;
    struct ap_work work;
    sqlite3_stmt *s;

    if (!job->was.trashed[0])
        return false;
    s = ap_query(core->ledger, "SELECT id, fileid, leftover FROM node WHERE target = ? LIMIT 1",
                 "s", job->was.trashed);
    if (ap_step(core->ledger, s)) {
        id = sqlite3_column_int64(s, 0);
        fileid = sqlite3_column_int64(s, 1);
        leftover = sqlite3_column_int(s, 2) != 0;
        ap_done(s);
    }
    if (id == 0)
        return false;
    key = leftover ? (struct ap_key){AP_LEFTOVER, id} : (struct ap_key){AP_NODE, fileid};
    if (ap_work_get(core->ledger, key, &work) && work.state == AP_IN_FLIGHT &&
        (key.kind != job->who.kind || key.id != job->who.id))
        return true; /* he finds out himself */
    ap_exec(core->ledger, "UPDATE node SET parent = -1 WHERE id = ?", "i", id);
    ap_drift_deleted_at(core, id, SOMEBODY_ELSE);
    if (key.kind == job->who.kind && key.id == job->who.id)
        return false;
    folder_dead(core, key, job);
    return true;
}

void
ap_drift_allow(struct ap_core *core, struct ap_key key)
{
    ap_exec(core->ledger,
            "INSERT OR REPLACE INTO allowed(kind, id) SELECT kind, id FROM dead WHERE kind = ?"
            " AND id = ? AND cause IN ('changed-at-target', 'moved-at-target',"
            " 'deleted-at-target')",
            "ii", (int64_t)key.kind, key.id);
}

void
ap_drift_cause_of(struct ap_core *core, struct ap_key dead, char *cause, size_t size)
{
    char found[64];
    sqlite3_stmt *s = ap_query(core->ledger, "SELECT cause FROM dead WHERE kind = ? AND id = ?",
                               "ii", (int64_t)dead.kind, dead.id);

    if (!ap_step(core->ledger, s))
        return;
    ap_text(s, 0, found, sizeof(found));
    ap_done(s);
    if (ap_drift_is_cause(found))
        snprintf(cause, size, "%s", found);
}
