/*
 * Entities compared with the target itself.
 *
 * The ledger believes what it has done. A target that was restored from a backup, or in which
 * somebody deleted things, is otherwise; so an entity that is marked here is looked at before its
 * next step is planned, and what was found goes into the applied tree. From there on the usual
 * steps do the rest. A look changes nothing at the target, so an answer that is lost, or a crash,
 * costs another look: the mark goes with its answer.
 *
 * What can go wrong:
 *  - Trouble taken for absence: only a plain answer is one (writer.h); else it is asked again.
 *  - A folder that is gone, and things that lay in it and are elsewhere now: its row stays as a
 *    place without a name until all that the ledger had in it were looked at, too.
 *  - Something lies in a folder that we did not make: that gets such a row, too.
 *  - Rows that go in a ring, because one was corrected and the other not yet: the other one is
 *    taken out first.
 *  - What we had taken away is back: known by its id (`removed`), and taken away again. Anything
 *    that has none of our ids is nobody's business here.
 *  - A deletion before somebody inside was looked at: it waits for all looks of that space.
 */
#include "apply/plan/reconcile.h"
#include "apply/plan/drift.h"
#include "apply/plan/shares_parts.h"
#include "apply/plan/sought.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define LOOK 0
#define REMOVED_DAYS 90
#define SEEN_IN_TRASH 1 /* and looked at again when it has come out */
#define UNKNOWN "?"     /* as checksum, as etag: other than any */

static int64_t
now_ms(void)
{
    return ls_now_us() / 1000;
}

/* ---- marks */

static void
mark(struct ap_core *core, struct ap_key key, int64_t storage, int64_t lane)
{
    ap_exec(core->ledger,
            "INSERT INTO reconcile(kind, id, storage, state) VALUES(?, ?, ?, 0)"
            " ON CONFLICT(kind, id) DO UPDATE SET state = 0, storage = excluded.storage",
            "iii", (int64_t)key.kind, key.id, storage);
    ap_work_open(core->ledger, key, lane, now_ms());
}

static void
unmark(struct ap_core *core, struct ap_key key)
{
    if (ap_exec(core->ledger, "DELETE FROM reconcile WHERE kind = ? AND id = ?", "ii",
                (int64_t)key.kind, key.id) > 0)
        ap_wake(core->ledger, key); /* those who wait for the look, too */
}

static int64_t
state_of(struct ap_core *core, struct ap_key key)
{
    return ap_number(core->ledger, -1, "SELECT state FROM reconcile WHERE kind = ? AND id = ?",
                     "ii", (int64_t)key.kind, key.id);
}

int64_t
ap_reconcile_open(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0, "SELECT count(*) FROM reconcile", NULL);
}

static struct ap_key
key_of(const struct ap_applied *node)
{
    return node->leftover ? (struct ap_key){AP_LEFTOVER, node->id}
                          : (struct ap_key){AP_NODE, node->fileid};
}

/* Nodes that a statement finds, with their ids: marked. */
static void
mark_nodes(struct ap_core *core, const char *sql, int64_t arg)
{
    int64_t ids[64], last = 0;
    struct ap_applied node;
    int n;

    do {
        sqlite3_stmt *s = ap_query(core->ledger, sql, "ii", arg, last);
        for (n = 0; n < 64 && ap_step(core->ledger, s); n++)
            ids[n] = sqlite3_column_int64(s, 0);
        ap_done(s);
        for (int i = 0; i < n; i++)
            if (ap_node_get(core->ledger, ids[i], &node) && node.fileid != 0)
                mark(core, key_of(&node), node.storage, node.storage);
        last = n > 0 ? ids[n - 1] : last;
    } while (n == 64);
}

/* ---- what was taken away */

void
ap_removed_keep(struct ap_core *core, struct ap_key key, const char *target, int64_t storage,
                bool folder)
{
    if (!target[0] ||
        ap_number(core->ledger, 0, "SELECT 1 FROM removed WHERE kind = ? AND id = ? AND target = ?",
                  "iis", (int64_t)key.kind, key.id, target) == 1)
        return;
    ap_exec(core->ledger,
            "INSERT INTO removed(kind, id, target, storage, folder) VALUES(?, ?, ?, ?, ?)", "iisii",
            (int64_t)key.kind, key.id, target, storage, (int64_t)folder);
}

void
ap_removed_subtree(struct ap_core *core, int64_t node)
{
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n"
            " JOIN below b ON n.parent = b.id)"
            " INSERT INTO removed(kind, id, target, storage, folder) SELECT 1, n.fileid, n.target,"
            " n.storage, n.folder FROM below b JOIN node n ON n.id = b.id WHERE n.target <> ''"
            " AND n.fileid <> 0",
            "i", node);
}

/* A backup of the target that is older than this will hardly be put back. */
void
ap_removed_forget(struct ap_core *core)
{
    int64_t today = ls_now_us() / 1000000 / 86400, before = today - REMOVED_DAYS, last;

    if (now_ms() < core->removed_at)
        return;
    core->removed_at = now_ms() + 3600000;
    ap_exec(core->ledger,
            "INSERT OR IGNORE INTO removed_day(day, n) SELECT ?, coalesce(max(n), 0) FROM removed",
            "i", today);
    last = ap_number(core->ledger, 0, "SELECT max(n) FROM removed_day WHERE day <= ?", "i", before);
    if (last > 0)
        ap_exec(core->ledger, "DELETE FROM removed WHERE n <= ?", "i", last);
    ap_exec(core->ledger, "DELETE FROM removed_day WHERE day <= ?", "i", before);
}

/* They are in the applied tree again, as nodes without a file, and looked at: found or not, they
 * have to go. Until then their place has no name, so that they are in nobody's way. */
static void
revive(struct ap_core *core, int64_t fileid)
{
    struct {
        int64_t n, storage, folder;
        char target[AP_ID_SIZE];
    } row = {0};
    int64_t id;

    for (;;) {
        sqlite3_stmt *s = ap_query(core->ledger,
                                   "SELECT n, storage, folder, target FROM removed WHERE kind = 1"
                                   " AND id = ? AND n > ? ORDER BY n LIMIT 1",
                                   "ii", fileid, row.n);
        if (!ap_step(core->ledger, s))
            return;
        row.n = sqlite3_column_int64(s, 0);
        row.storage = sqlite3_column_int64(s, 1);
        row.folder = sqlite3_column_int64(s, 2);
        ap_text(s, 3, row.target, sizeof(row.target));
        ap_done(s);
        ap_exec(core->ledger, "DELETE FROM removed WHERE n = ?", "i", row.n);
        id = ap_number(core->ledger, 0, "SELECT id FROM node WHERE target = ? AND storage = ?",
                       "si", row.target, row.storage);
        if (id != 0) { /* a place without a name, or a file's again */
            ap_exec(core->ledger,
                    "UPDATE node SET fileid = ?, leftover = 1 WHERE id = ? AND fileid = 0", "ii",
                    fileid, id);
        } else {
            ap_exec(core->ledger,
                    "INSERT INTO node(fileid, storage, target, parent, name, folder, sha1, size,"
                    " mtime, etag, leftover) VALUES(?, ?, ?, 0, '', ?, '', 0, 0, '', 1)",
                    "iisi", fileid, row.storage, row.target, row.folder);
            ap_drift_deleted_at(core, ap_last_id(core->ledger), 0);
        }
    }
}

/* ---- marks of all that belongs to an entity */

static void
mark_file(struct ap_core *core, int64_t fileid)
{
    revive(core, fileid);
    mark_nodes(core, "SELECT id FROM node WHERE fileid = ? AND id > ? ORDER BY id LIMIT 64",
               fileid);
}

static void mark_each(struct ap_core *core, enum ap_kind kind, const char *sql, const char *who);

/* What is made of a row of a share. */
static void
mark_share(struct ap_core *core, int64_t share)
{
    int64_t type = ap_number(core->ledger, -1, "SELECT type FROM share WHERE id = ?", "i", share);
    int64_t grant = 0;
    char text[24];

    if (type == CS3_SHARE_LINK)
        ap_reconcile_mark(core, (struct ap_key){AP_LINK, share});
    else if (type == CS3_SHARE_MEMBER)
        mark_each(core, AP_RECEIVED,
                  "SELECT r.id FROM share m JOIN share s ON s.id = m.parent JOIN grants g ON"
                  " g.fileid = s.fileid AND g.type = s.type AND g.grantee = s.grantee"
                  " JOIN received r ON r.grant_id = g.id AND r.uid = m.grantee"
                  " WHERE m.id = ? AND r.id > ? ORDER BY r.id LIMIT 64",
                  (snprintf(text, sizeof(text), "%lld", (long long)share), text));
    else if (type >= 0)
        grant = ap_number(core->ledger, 0,
                          "SELECT g.id FROM share s JOIN grants g ON g.fileid = s.fileid AND"
                          " g.type = s.type AND g.grantee = s.grantee WHERE s.id = ?",
                          "i", share);
    if (grant == 0)
        return;
    ap_reconcile_mark(core, (struct ap_key){AP_GRANT, grant});
    snprintf(text, sizeof(text), "%lld", (long long)grant);
    mark_each(core, AP_RECEIVED,
              "SELECT id FROM received WHERE grant_id = ? AND id > ? ORDER BY id LIMIT 64", text);
}

void
ap_reconcile_mark(struct ap_core *core, struct ap_key key)
{
    struct ap_applied node;

    switch (key.kind) {
    case AP_NODE:
        mark_file(core, key.id);
        break;
    case AP_LEFTOVER:
        if (ap_node_get(core->ledger, key.id, &node))
            mark_file(core, node.fileid);
        break;
    case AP_SPACE:
        mark(core, key, key.id, AP_LANE_SPACES);
        break;
    case AP_PERSON:
        mark(core, key, LS_NO_STORAGE, AP_LANE_PEOPLE);
        break;
    case AP_SHARE:
        mark_share(core, key.id);
        break;
    default:
        mark(core, key, LS_NO_STORAGE, AP_LANE_SHARES);
        break;
    }
}

static void
mark_person(struct ap_core *core, enum cs3_person_type type, const char *uid, const char *gid)
{
    ap_reconcile_mark(core, (struct ap_key){AP_PERSON, ap_person_find(core, type, uid, gid)});
}

/* Those that a statement names by their ids. */
static void
mark_each(struct ap_core *core, enum ap_kind kind, const char *sql, const char *who)
{
    int64_t ids[64], last = INT64_MIN;
    int n;

    do {
        sqlite3_stmt *s = ap_query(core->ledger, sql, "si", who, last);
        for (n = 0; n < 64 && ap_step(core->ledger, s); n++)
            ids[n] = sqlite3_column_int64(s, 0);
        ap_done(s);
        for (int i = 0; i < n; i++)
            ap_reconcile_mark(core, (struct ap_key){kind, ids[i]});
        last = n > 0 ? ids[n - 1] : last;
    } while (n == 64);
}

/* ---- what is asked */

static bool
wait_on(struct ap_next *next, const char *cause, struct ap_key on)
{
    next->verdict = AP_WAIT;
    next->cause = cause;
    next->on = on;
    return true;
}

/* Somebody has to be looked at before. */
static bool
waits_for(struct ap_core *core, struct ap_key on, struct ap_next *next)
{
    struct ap_work work;

    return state_of(core, on) == LOOK && ap_work_get(core->ledger, on, &work) &&
           wait_on(next, "look", on);
}

static bool
waits_for_person(struct ap_core *core, enum cs3_person_type type, const char *name,
                 struct ap_next *next)
{
    int64_t id = ap_number(core->ledger, 0, "SELECT id FROM person WHERE key = ? || ?", "ss",
                           type == CS3_USER ? "u:" : "g:", name);

    return waits_for(core, (struct ap_key){AP_PERSON, id}, next);
}

static void place_forget(struct ap_core *core, const struct ap_applied *node);

static bool
node_next(struct ap_core *core, const struct ap_applied *node, int64_t state, struct ap_next *next)
{
    struct ap_key key = key_of(node);
    struct ap_space_row space;
    struct ap_applied up;
    char relative[AP_PATH_SIZE];
    int64_t person, top = ap_applied_top(&core->view, node, relative, sizeof(relative));

    if (state == SEEN_IN_TRASH && top != AP_ROOT)
        return false;
    if (!ap_space_get(core->ledger, node->storage, &space) || !space.ready) {
        unmark(core, key);
        return false;
    }
    if (waits_for(core, (struct ap_key){AP_SPACE, node->storage}, next) ||
        waits_for_person(core, CS3_USER, space.owner, next))
        return true;
    if (core->view.owner_off(core->ledger, &space, &person))
        return wait_on(next, "owner-disabled", (struct ap_key){AP_PERSON, person});
    if (node->parent > 0 && ap_node_get(core->ledger, node->parent, &up) && up.fileid != 0 &&
        waits_for(core, key_of(&up), next))
        return true;
    next->verdict = AP_CALL;
    next->op.call = AP_LOOK;
    next->op.storage = node->storage;
    next->op.fileid = node->fileid;
    next->op.node = node->id;
    next->op.mtime = node->mtime;
    if (top > 0 && top != node->id) {
        next->op.top = top;
        memcpy(next->op.relative, relative, sizeof(relative));
    }
    return true;
}

static bool
tree_next(struct ap_core *core, struct ap_key key, int64_t state, struct ap_next *next)
{
    struct ap_applied node;
    bool there = key.kind == AP_NODE ? ap_node_of(core->ledger, key.id, &node)
                                     : ap_node_get(core->ledger, key.id, &node);

    if (there && node.target[0])
        return node_next(core, &node, state, next);
    if (there)
        place_forget(core, &node);
    unmark(core, key);
    return false;
}

static bool
space_next(struct ap_core *core, struct ap_key key, struct ap_next *next, struct ap_job *job)
{
    struct ap_space_row space;
    int64_t person;

    if (!ap_space_get(core->ledger, key.id, &space) || !space.ready ||
        space.type != CS3_SPACE_PERSONAL) {
        unmark(core, key);
        return false;
    }
    if (waits_for_person(core, CS3_USER, space.owner, next))
        return true;
    if (core->view.owner_off(core->ledger, &space, &person))
        return wait_on(next, "owner-disabled", (struct ap_key){AP_PERSON, person});
    memcpy(job->uid, space.owner, sizeof(job->uid));
    next->verdict = AP_CALL;
    next->op.call = AP_LOOK;
    next->op.storage = key.id;
    return true;
}

struct who {
    enum cs3_person_type type;
    char uid[256], gid[256], target[AP_ID_SIZE];
    bool deleted, applied, enabled;
};

static bool
who_get(struct ap_core *core, int64_t id, struct who *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT type, uid, gid, target, coalesce(deleted, 1), applied,"
                               " applied_enabled FROM person WHERE id = ?",
                               "i", id);

    memset(ret, 0, sizeof(*ret));
    if (!ap_step(core->ledger, s))
        return false;
    ret->type = (enum cs3_person_type)sqlite3_column_int(s, 0);
    ap_text(s, 1, ret->uid, sizeof(ret->uid));
    ap_text(s, 2, ret->gid, sizeof(ret->gid));
    ap_text(s, 3, ret->target, sizeof(ret->target));
    ret->deleted = sqlite3_column_int(s, 4) != 0;
    ret->applied = sqlite3_column_int(s, 5) != 0;
    ret->enabled = sqlite3_column_int(s, 6) == 1;
    ap_done(s);
    return true;
}

static bool
was_removed(struct ap_core *core, struct ap_key key, const char *target)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM removed WHERE kind = ?1 AND id = ?2 AND (?3 = '' OR target ="
                     " ?3) LIMIT 1",
                     "iis", (int64_t)key.kind, key.id, target) == 1;
}

static bool
person_next(struct ap_core *core, struct ap_key key, struct ap_next *next, struct ap_job *job)
{
    struct who p, user = {0}, group = {0};
    bool can = who_get(core, key.id, &p);

    if (can && p.type == CS3_MEMBER) {
        if (waits_for_person(core, CS3_USER, p.uid, next) ||
            waits_for_person(core, CS3_GROUP, p.gid, next))
            return true;
        who_get(core, ap_person_find(core, CS3_USER, p.uid, ""), &user);
        who_get(core, ap_person_find(core, CS3_GROUP, "", p.gid), &group);
        can = user.target[0] && group.target[0];
    } else if (can) {
        can = p.type == CS3_USER    ? p.target[0]
              : p.type == CS3_GROUP ? p.target[0] || was_removed(core, key, "")
                                    : false;
    }
    if (!can) {
        unmark(core, key);
        return false;
    }
    job->person_type = p.type;
    memcpy(job->uid, p.uid, sizeof(job->uid));
    memcpy(job->gid, p.gid, sizeof(job->gid));
    if (p.type == CS3_GROUP && p.target[0] && ap_person_is_ldap(core, key.id))
        snprintf(job->gid, sizeof(job->gid), "%s", p.target); /* whatever it is called there */
    memcpy(job->person_id, user.target, sizeof(job->person_id));
    memcpy(job->group_id, group.target, sizeof(job->group_id));
    next->verdict = AP_CALL;
    next->op.call = AP_LOOK;
    next->op.storage = LS_NO_STORAGE;
    return true;
}

/* What a share or link hangs on comes first. Then it is given once more as one whose last answer is
 * not known: the writer looks, and writes what is missing. One that was taken away is named again,
 * to be taken away if it is back. */
static bool
share_next(struct ap_core *core, struct ap_work *work, struct ap_next *next)
{
    struct ap_share_about about;

    if (!ap_share_about(core, work->key, &about)) {
        unmark(core, work->key);
        return false;
    }
    if (waits_for(core, (struct ap_key){AP_NODE, about.fileid}, next) ||
        waits_for(core, (struct ap_key){AP_SPACE, about.storage}, next) ||
        (about.grantee[0] &&
         waits_for_person(core, about.group ? CS3_GROUP : CS3_USER, about.grantee, next)) ||
        (work->key.kind == AP_RECEIVED &&
         waits_for(core, (struct ap_key){AP_GRANT, about.grant}, next)))
        return true;
    unmark(core, work->key);
    if (!about.there && !about.wanted && !ap_share_revive(core, work->key))
        return false;
    work->doubt = true;
    ap_work_save(core->ledger, work);
    ap_count(core->ledger, "looked", 1);
    return false;
}

bool
ap_look_next(struct ap_core *core, struct ap_work *work, struct ap_next *next, struct ap_job *job)
{
    int64_t state = state_of(core, work->key);

    if (state < 0)
        return false;
    memset(next, 0, sizeof(*next));
    next->cause = "";
    switch (work->key.kind) {
    case AP_NODE:
    case AP_LEFTOVER:
        return tree_next(core, work->key, state, next);
    case AP_SPACE:
        return space_next(core, work->key, next, job);
    case AP_PERSON:
        return person_next(core, work->key, next, job);
    case AP_GRANT:
    case AP_RECEIVED:
    case AP_LINK:
        return share_next(core, work, next);
    default:
        unmark(core, work->key);
        return false;
    }
}

bool
ap_look_before_delete(struct ap_core *core, const struct ap_next *next, struct ap_key *on)
{
    struct ap_work work;
    bool found = false;
    sqlite3_stmt *s;

    if (next->op.call != AP_TRASH && next->op.call != AP_PURGE)
        return false;
    s = ap_query(core->ledger,
                 "SELECT kind, id FROM reconcile WHERE storage = ? AND state = 0 LIMIT 1", "i",
                 next->op.storage);
    if (ap_step(core->ledger, s)) {
        *on = (struct ap_key){(enum ap_kind)sqlite3_column_int(s, 0), sqlite3_column_int64(s, 1)};
        found = true;
        ap_done(s);
    }
    return found && ap_work_get(core->ledger, *on, &work);
}

/* ---- what was found: nodes */

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

/* The target has it no more. What the ledger has below it is looked for by itself. */
static void
place_forget(struct ap_core *core, const struct ap_applied *node)
{
    if (node->leftover) /* it may come back another time */
        ap_removed_keep(core, (struct ap_key){AP_NODE, node->fileid}, node->target, node->storage,
                        node->folder);
    revisions_forget(core, node->id);
    mark_nodes(core, "SELECT id FROM node WHERE parent = ? AND id > ? ORDER BY id LIMIT 64",
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
        mark_nodes(core, "SELECT id FROM node WHERE id = ?1 AND id > ?2", last);
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

    unmark(core, job->who);
    if (!ap_node_get(core->ledger, job->op.node, &node) || found->where == AP_FOUND_AS_KNOWN)
        return false;
    if (found->where == AP_FOUND_NOT || found->folder != node.folder) {
        ls_log(LS_INFO, "not-at-target", LS_I("fileid", node.fileid));
        place_forget(core, &node);
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
            "ii", storage, now_ms());
    ap_exec(core->ledger,
            AP_WORK_OPEN "2, n.id, n.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM node n"
                         " JOIN dead x ON x.kind = 2 AND x.id = n.id WHERE n.storage = ?1"
                         " AND n.leftover = 1" AP_UNLESS_OPEN,
            "ii", storage, now_ms());
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
                 AP_LANE_PEOPLE, now_ms());
    return true;
}

static bool
space_found(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_space_found *found = &job->space_found;
    struct ap_space_row space;

    unmark(core, job->who);
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
    mark_each(core, AP_SPACE,
              "SELECT storage FROM space WHERE owner = ? AND ready = 1 AND"
              " storage > ? ORDER BY storage LIMIT 64",
              uid);
    ap_exec(core->ledger, "UPDATE person SET applied = 0 WHERE type = 2 AND uid = ?", "s", uid);
    mark_each(core, AP_PERSON,
              "SELECT id FROM person WHERE type = 2 AND uid = ? AND deleted = 0"
              " AND id > ? ORDER BY id LIMIT 64",
              uid);
    ap_exec(core->ledger,
            "UPDATE grants SET permissions = ? WHERE type = 0 AND grantee = ? AND share_id <> ''",
            "is", AP_OTHER_GRANTEE, uid);
    mark_each(core, AP_GRANT,
              "SELECT id FROM grants WHERE type = 0 AND grantee = ? AND id > ?"
              " ORDER BY id LIMIT 64",
              uid);
    mark_each(core, AP_RECEIVED,
              "SELECT id FROM received WHERE uid = ? AND id > ? ORDER BY id"
              " LIMIT 64",
              uid);
}

static void
group_forget(struct ap_core *core, int64_t id, const struct who *p)
{
    ap_exec(core->ledger, "UPDATE person SET target = NULL WHERE id = ?", "i", id);
    ap_exec(core->ledger, "UPDATE person SET applied = 0 WHERE type = 2 AND gid = ?", "s", p->gid);
    mark_each(core, AP_PERSON,
              "SELECT id FROM person WHERE type = 2 AND gid = ? AND deleted = 0"
              " AND id > ? ORDER BY id LIMIT 64",
              p->gid);
    ap_exec(core->ledger,
            "UPDATE grants SET permissions = ? WHERE type = 1 AND grantee = ? AND share_id <> ''",
            "is", AP_OTHER_GRANTEE, p->gid);
    mark_each(core, AP_GRANT,
              "SELECT id FROM grants WHERE type = 1 AND grantee = ? AND id > ?"
              " ORDER BY id LIMIT 64",
              p->gid);
}

static bool
person_found(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_person_found *found = &job->person_found;
    struct who p;

    unmark(core, job->who);
    if (found->as_known || !who_get(core, job->who.id, &p))
        return false;
    if (p.type == CS3_MEMBER) {
        ap_exec(core->ledger, "UPDATE person SET applied = ? WHERE id = ?", "ii",
                (int64_t)found->found, job->who.id);
        return found->found != p.applied;
    }
    if (p.type == CS3_GROUP && !p.target[0]) { /* we have removed it; is it back? */
        if (!found->found || !was_removed(core, job->who, found->id))
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
        mark_person(core, CS3_USER, space.owner, "");
}
