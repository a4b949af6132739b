/*
 * Entities compared with the target itself.
 *
 * The ledger believes what it has done. A target that was restored from a backup, or in which
 * somebody deleted things, is otherwise; so an entity that is marked here is looked at before its
 * next step is planned, and what was found goes into the applied tree (found.c). From there on the
 * usual steps do the rest. A look changes nothing at the target, so an answer that is lost, or a
 * crash, costs another look: the mark goes with its answer.
 *
 * What can go wrong:
 *  - Trouble taken for absence: only a plain answer is one (writer.h); else it is asked again.
 *  - What we had taken away is back: known by its id (`removed`), and taken away again. Anything
 *    that has none of our ids is nobody's business here.
 *  - A deletion before somebody inside was looked at: it waits for all looks of that space.
 */
#include "apply/plan/drift.h"
#include "apply/plan/reconcile_parts.h"
#include "apply/plan/shares_parts.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define LOOK 0
#define REMOVED_DAYS 90
#define SEEN_IN_TRASH 1 /* and looked at again when it has come out */

/* ---- marks */

static void
mark(struct ap_core *core, struct ap_key key, int64_t storage, int64_t lane)
{
    ap_exec(core->ledger,
            "INSERT INTO reconcile(kind, id, storage, state) VALUES(?, ?, ?, 0)"
            " ON CONFLICT(kind, id) DO UPDATE SET state = 0, storage = excluded.storage",
            "iii", (int64_t)key.kind, key.id, storage);
    ap_work_open(core->ledger, key, lane, ls_now_ms());
}

void
ap_look_done(struct ap_core *core, struct ap_key key)
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
void
ap_look_nodes(struct ap_core *core, const char *sql, int64_t arg)
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

    if (ls_now_ms() < core->removed_at)
        return;
    core->removed_at = ls_now_ms() + 3600000;
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
    ap_look_nodes(core, "SELECT id FROM node WHERE fileid = ? AND id > ? ORDER BY id LIMIT 64",
                  fileid);
}

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
        ap_look_each(core, AP_RECEIVED,
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
    ap_look_each(core, AP_RECEIVED,
                 "SELECT id FROM received WHERE grant_id = ? AND id > ? ORDER BY id LIMIT 64",
                 text);
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

void
ap_look_person(struct ap_core *core, enum cs3_person_type type, const char *uid, const char *gid)
{
    ap_reconcile_mark(core, (struct ap_key){AP_PERSON, ap_person_find(core, type, uid, gid)});
}

/* Those that a statement names by their ids. */
void
ap_look_each(struct ap_core *core, enum ap_kind kind, const char *sql, const char *who)
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

static struct ap_key
person_key(struct ap_core *core, enum cs3_person_type type, const char *name)
{
    return (struct ap_key){AP_PERSON,
                           ap_number(core->ledger, 0, "SELECT id FROM person WHERE key = ? || ?",
                                     "ss", type == CS3_USER ? "u:" : "g:", name)};
}

static bool
waits_for_person(struct ap_core *core, enum cs3_person_type type, const char *name,
                 struct ap_next *next)
{
    return waits_for(core, person_key(core, type, name), next);
}

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
        ap_look_done(core, key);
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
        ap_place_forget(core, &node);
    ap_look_done(core, key);
    return false;
}

static bool
space_next(struct ap_core *core, struct ap_key key, struct ap_next *next, struct ap_job *job)
{
    struct ap_space_row space;
    int64_t person;

    if (!ap_space_get(core->ledger, key.id, &space) || !space.ready ||
        space.type != CS3_SPACE_PERSONAL) {
        ap_look_done(core, key);
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

bool
ap_who_get(struct ap_core *core, int64_t id, struct ap_who *ret)
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

bool
ap_was_removed(struct ap_core *core, struct ap_key key, const char *target)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM removed WHERE kind = ?1 AND id = ?2 AND (?3 = '' OR target ="
                     " ?3) LIMIT 1",
                     "iis", (int64_t)key.kind, key.id, target) == 1;
}

static bool
person_next(struct ap_core *core, struct ap_key key, struct ap_next *next, struct ap_job *job)
{
    struct ap_who p, user = {0}, group = {0};
    bool can = ap_who_get(core, key.id, &p);

    if (can && p.type == CS3_MEMBER) {
        if (waits_for_person(core, CS3_USER, p.uid, next) ||
            waits_for_person(core, CS3_GROUP, p.gid, next))
            return true;
        ap_who_get(core, ap_person_find(core, CS3_USER, p.uid, ""), &user);
        ap_who_get(core, ap_person_find(core, CS3_GROUP, "", p.gid), &group);
        can = user.target[0] && group.target[0];
    } else if (can) {
        can = p.type == CS3_USER    ? p.target[0]
              : p.type == CS3_GROUP ? p.target[0] || ap_was_removed(core, key, "")
                                    : false;
    }
    if (!can) {
        ap_look_done(core, key);
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

/* He waits, over whomever, for a dead letter. */
static bool
hangs_on_the_dead(struct ap_core *core, struct ap_key key)
{
    struct ap_work work;

    for (int n = 0; n < AP_WAITS_MOST; n++, key = work.on)
        if (!ap_work_get(core->ledger, key, &work))
            return ap_is_dead(core->ledger, key);
        else if (work.state != AP_WAITING)
            return false;
    return false;
}

/* What is taken away is not held up by whom nobody can look at: those it was shared with see it as
 * long. */
static bool
share_waits_for(struct ap_core *core, const struct ap_share_about *about, struct ap_key on,
                struct ap_next *next)
{
    return (about->wanted || !hangs_on_the_dead(core, on)) && waits_for(core, on, next);
}

/* What a share or link hangs on comes first. Then it is given once more as one whose last answer is
 * not known: the writer looks, and writes what is missing. One that was taken away is named again,
 * to be taken away if it is back. */
static bool
share_next(struct ap_core *core, struct ap_work *work, struct ap_next *next)
{
    struct ap_share_about about;

    if (!ap_share_about(core, work->key, &about)) {
        ap_look_done(core, work->key);
        return false;
    }
    if (share_waits_for(core, &about, (struct ap_key){AP_NODE, about.fileid}, next) ||
        share_waits_for(core, &about, (struct ap_key){AP_SPACE, about.storage}, next) ||
        (about.grantee[0] &&
         share_waits_for(core, &about,
                         person_key(core, about.group ? CS3_GROUP : CS3_USER, about.grantee),
                         next)) ||
        (work->key.kind == AP_RECEIVED &&
         share_waits_for(core, &about, (struct ap_key){AP_GRANT, about.grant}, next)))
        return true;
    ap_look_done(core, work->key);
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
        ap_look_done(core, work->key);
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
