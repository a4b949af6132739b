/*
 * Shares: rows of oc_share folded into what the target holds, and the next call for each.
 *
 * All rows of one (file, grantee) are one grant (fold.c). A recipient's own state (accepted,
 * pending, rejected, mount point) is a thing of its own, made after the share is. Shares with other
 * servers do not come here (remote_shares.c). What can go wrong: rows come before their
 * file, their grantee, their group share; the file lies in the trash (dormant: what is there is
 * kept, nothing new is made); the file moved to another space and is a new node (removed, and made
 * anew); the owner is his own recipient (no effect).
 */
#include "apply/plan/reconcile.h"
#include "apply/plan/shares_parts.h"
#include "apply/plan/sought.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define OWNER_TRIES 3

struct row {
    int64_t id, type, parent, fileid;
    char grantee[256];
    bool deleted;
};

static bool
row_get(struct ap_core *core, int64_t id, struct row *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT type, parent, fileid, grantee, coalesce(deleted, 1)"
                               " FROM share WHERE id = ? AND type IS NOT NULL",
                               "i", id);
    if (!ap_step(core->ledger, s))
        return false;
    ret->id = id;
    ret->type = sqlite3_column_int64(s, 0);
    ret->parent = sqlite3_column_int64(s, 1);
    ret->fileid = sqlite3_column_int64(s, 2);
    ap_text(s, 3, ret->grantee, sizeof(ret->grantee));
    ret->deleted = sqlite3_column_int(s, 4) != 0;
    ap_done(s);
    return true;
}

static int64_t
grant_of(struct ap_core *core, int64_t fileid, int64_t type, const char *grantee)
{
    ap_exec(core->ledger,
            "INSERT INTO grants(fileid, type, grantee) VALUES(?, ?, ?) ON CONFLICT DO NOTHING",
            "iis", fileid, type, grantee);
    return ap_number(core->ledger, 0,
                     "SELECT id FROM grants WHERE fileid = ? AND type = ? AND grantee = ?", "iis",
                     fileid, type, grantee);
}

static int64_t
received_of(struct ap_core *core, int64_t grant, const char *uid)
{
    ap_exec(core->ledger, "INSERT INTO received(grant_id, uid) VALUES(?, ?) ON CONFLICT DO NOTHING",
            "is", grant, uid);
    return ap_number(core->ledger, 0, "SELECT id FROM received WHERE grant_id = ? AND uid = ?",
                     "is", grant, uid);
}

/* The lane of a share is its file's storage, so that its owner is seen to be busy. */
static int64_t
lane_of(struct ap_core *core, int64_t fileid)
{
    struct ap_applied node;

    return ap_node_of(core->ledger, fileid, &node) ? node.storage : AP_LANE_SHARES;
}

/* What a row is about. False for a member's row whose group share is not known. */
static bool
row_target(struct ap_core *core, const struct row *row, struct ap_key *ret)
{
    struct row group;

    if (row->type == CS3_SHARE_LINK) {
        *ret = (struct ap_key){AP_LINK, row->id};
    } else if (row->type != CS3_SHARE_MEMBER) {
        *ret = (struct ap_key){AP_GRANT, grant_of(core, row->fileid, row->type, row->grantee)};
    } else {
        if (!row_get(core, row->parent, &group) || group.type != CS3_SHARE_GROUP)
            return false;
        *ret = (struct ap_key){
            AP_RECEIVED, received_of(core, grant_of(core, group.fileid, group.type, group.grantee),
                                     row->grantee)};
    }
    return true;
}

static void
reopen(struct ap_core *core, struct ap_key key, int64_t lane, int64_t ready_at)
{
    ap_exec(core->ledger, "DELETE FROM dead WHERE kind = ? AND id = ? AND counted = 0", "ii",
            (int64_t)key.kind, key.id);
    ap_work_open(core->ledger, key, lane, ready_at);
}

/* What a member made of one of several rows may decide which of them count. */
static void
siblings_touch(struct ap_core *core, int64_t received, int64_t lane, int64_t ready_at)
{
    int64_t grant = ap_number(
        core->ledger, 0,
        "SELECT g.id FROM received r JOIN grants g ON g.id = r.grant_id WHERE r.id = ? AND"
        " (SELECT count(*) FROM share s WHERE s.fileid = g.fileid AND s.type = g.type AND"
        " s.grantee = g.grantee AND s.deleted = 0) > 1",
        "i", received);

    if (grant != 0)
        reopen(core, (struct ap_key){AP_GRANT, grant}, lane, ready_at);
}

void
ap_share_touch(struct ap_core *core, int64_t share, int64_t ready_at)
{
    struct row row;
    struct ap_key key;

    if (!row_get(core, share, &row) || !row_target(core, &row, &key))
        return;
    if (key.kind == AP_RECEIVED)
        siblings_touch(core, key.id, lane_of(core, row.fileid), ready_at);
    reopen(core, key, key.kind == AP_RECEIVED ? AP_LANE_SHARES : lane_of(core, row.fileid),
           ready_at);
    ap_wake(core->ledger, (struct ap_key){AP_SHARE, share});
}

/* A file has a new node: what was shared is shared with that one. */
void
ap_node_made(struct ap_core *core, int64_t fileid, int64_t storage)
{
    int64_t now = ls_now_ms();

    ap_exec(core->ledger,
            AP_WORK_OPEN
            "6, id, ?2, 0, ?3, ?3 * 1000, 0, 0, 0 FROM grants WHERE fileid = ?1" AP_WAITING_AGAIN,
            "iii", fileid, storage, now);
    ap_exec(core->ledger,
            AP_WORK_OPEN "8, id, ?2, 0, ?3, ?3 * 1000, 0, 0, 0 FROM share WHERE fileid = ?1"
                         " AND type = 3 AND deleted = 0" AP_WAITING_AGAIN,
            "iii", fileid, storage, now);
}

/* What is shared below a folder may be in the trash no more, in either tree: `below` names the
 * files. Where nothing of the kind waits, as nearly always, no tree is walked. */
#define WAKE_BELOW(below)                                                                          \
    "WITH RECURSIVE below" below " UPDATE work SET state = 0, ready_at = ?2, on_kind = 0,"         \
    " on_id = 0, trouble = 0 WHERE kind IN (6, 8) AND +state = 1 AND on_kind = 1"                  \
    " AND on_id IN (SELECT fileid FROM below)"

static void
wake_below(struct ap_core *core, const char *statement, int64_t top)
{
    /* by the kind: of all that waits there may be millions */
    if (ap_number(core->ledger, 0, "SELECT 1 FROM work WHERE kind IN (6, 8) AND +state = 1 LIMIT 1",
                  NULL) == 1)
        ap_exec(core->ledger, statement, "ii", top, ls_now_ms());
}

void
ap_shares_below_node(struct ap_core *core, int64_t node)
{
    wake_below(core,
               WAKE_BELOW("(id, fileid) AS (SELECT id, fileid FROM node WHERE parent = ?1 UNION ALL"
                          " SELECT n.id, n.fileid FROM node n JOIN below b ON n.parent = b.id)"),
               node);
    ap_left_below_node(core, node);
}

void
ap_shares_below_row(struct ap_core *core, int64_t fileid)
{
    wake_below(core,
               WAKE_BELOW("(fileid) AS (SELECT fileid FROM desired WHERE parent = ?1 UNION"
                          " SELECT d.fileid FROM desired d JOIN below b ON d.parent = b.fileid)"),
               fileid);
}

/* A new member of a group gets what is shared with it. */
void
ap_member_touch(struct ap_core *core, const char *uid, const char *gid)
{
    int64_t grants[256], last = 0;
    int n;

    do {
        sqlite3_stmt *s = ap_query(core->ledger,
                                   "SELECT id FROM grants WHERE type = 1 AND grantee = ?"
                                   " AND share_id <> '' AND id > ? ORDER BY id LIMIT 256",
                                   "si", gid, last);
        for (n = 0; n < 256 && ap_step(core->ledger, s); n++)
            grants[n] = sqlite3_column_int64(s, 0);
        ap_done(s);
        for (int i = 0; i < n; i++)
            reopen(core, (struct ap_key){AP_RECEIVED, received_of(core, grants[i], uid)},
                   AP_LANE_SHARES, ls_now_ms());
        last = n > 0 ? grants[n - 1] : last;
    } while (n == 256);
}

static bool
group_is_mapped(struct ap_core *core, const char *gid)
{
    return ap_person_is_mapped(core, ap_person_find(core, CS3_GROUP, "", gid));
}

/* Everybody who receives this grant; of a directory's group those who have a row of their own. */
static void
receivers_open(struct ap_core *core, int64_t grant, int64_t type, const char *grantee)
{
    char uids[64][256], last[256] = "";
    bool mapped = type == CS3_SHARE_GROUP && group_is_mapped(core, grantee);
    int n;

    if (type == CS3_SHARE_USER) {
        reopen(core, (struct ap_key){AP_RECEIVED, received_of(core, grant, grantee)},
               AP_LANE_SHARES, ls_now_ms());
        return;
    }
    do {
        sqlite3_stmt *s = ap_query(core->ledger,
                                   "SELECT uid FROM person WHERE type = 2 AND gid = ?1"
                                   " AND deleted = 0 AND uid > ?2 UNION SELECT uid FROM received"
                                   " WHERE ?4 AND grant_id = ?3 AND uid > ?2 ORDER BY 1 LIMIT 64",
                                   "ssii", grantee, last, grant, (int64_t)mapped);
        for (n = 0; n < 64 && ap_step(core->ledger, s); n++)
            ap_text(s, 0, uids[n], sizeof(uids[n]));
        ap_done(s);
        for (int i = 0; i < n; i++)
            reopen(core, (struct ap_key){AP_RECEIVED, received_of(core, grant, uids[i])},
                   AP_LANE_SHARES, ls_now_ms());
        if (n > 0)
            memcpy(last, uids[n - 1], sizeof(last));
    } while (n == 64);
}

/* ---- a row: done when what it is folded into is */

static void
wait_for(struct ap_next *next, const char *cause, enum ap_kind kind, int64_t id)
{
    next->verdict = AP_WAIT;
    next->cause = cause;
    next->on = (struct ap_key){kind, id};
}

void
ap_share_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next)
{
    struct row row;
    struct ap_key key;
    struct ap_work other;

    if (!row_get(core, work->key.id, &row))
        return;
    if (!row_target(core, &row, &key)) {
        if (!row.deleted)
            wait_for(next, "group-share", AP_SHARE, row.parent);
        return;
    }
    if (ap_work_get(core->ledger, key, &other)) {
        wait_for(next, "grant", key.kind, key.id);
        return;
    }
    if (ap_is_dead(core->ledger, key)) {
        next->verdict = AP_DEAD;
        next->cause = "share-refused";
        next->on = key;
        return;
    }
    if (row.type == CS3_SHARE_USER && !row.deleted) {
        int64_t received = received_of(core, key.id, row.grantee);
        if (ap_work_get(core->ledger, (struct ap_key){AP_RECEIVED, received}, &other))
            wait_for(next, "grant", AP_RECEIVED, received);
    }
}

/* ---- what grants and links have in common */

struct basis {
    struct ap_applied node;
    struct ap_space_row space;
    bool effective;
};

/* The shared node, live, in a space whose owner can act. False: *next says what to wait for. Who
 * waits for the owner, or calls as him, does so in the lane of that space, so that he is seen to be
 * busy: the row may have come before its file, or the file may have moved. */
static bool
basis_find(struct ap_core *core, struct ap_work *work, int64_t fileid, struct basis *ret,
           struct ap_next *next)
{
    struct ap_desired row;
    struct ap_place place;
    char relative[AP_PATH_SIZE];
    int64_t person;

    if (!ap_node_of(core->ledger, fileid, &ret->node) ||
        !ap_desired_get(core->ledger, fileid, &row) || row.deleted) {
        wait_for(next, "node", AP_NODE, fileid);
        return false;
    }
    ap_place_find(&core->view, &row, &place);
    if (place.class != AP_CLASS_LIVE || place.storage != ret->node.storage ||
        ap_applied_top(&core->view, &ret->node, relative, sizeof(relative)) != AP_ROOT) {
        wait_for(next, place.class == AP_CLASS_TRASH ? "dormant" : "node", AP_NODE, fileid);
        return false;
    }
    if (!ap_space_get(core->ledger, ret->node.storage, &ret->space) || !ret->space.ready) {
        wait_for(next, ret->space.deleted ? "space-deleted" : "space", AP_SPACE, ret->node.storage);
        return false;
    }
    work->storage = ret->node.storage;
    if (core->view.owner_off(core->ledger, &ret->space, &person)) {
        wait_for(next, "owner-disabled", AP_PERSON, person);
        return false;
    }
    if (ret->space.look) {
        wait_for(next, "look", AP_SPACE, ret->node.storage);
        return false;
    }
    return true;
}

/* Who acts: the one who shared when he is there and can, else the owner. */
static void
sharer_pick(struct ap_core *core, const char *creator, const char *owner, char *out, size_t size)
{
    bool can = ap_number(core->ledger, 0,
                         "SELECT 1 FROM person WHERE type = 0 AND uid = ? AND target IS NOT NULL"
                         " AND applied_enabled = 1 AND deleted = 0",
                         "s", creator) == 1;
    snprintf(out, size, "%s", can ? creator : owner);
}

static bool
person_target(struct ap_core *core, enum cs3_person_type type, const char *name, char *out,
              struct ap_next *next)
{
    int64_t id =
        ap_person_find(core, type, type == CS3_USER ? name : "", type == CS3_USER ? "" : name);
    bool known = false;
    sqlite3_stmt *s = ap_query(
        core->ledger, "SELECT target, epoch IS NOT NULL FROM person WHERE id = ?", "i", id);
    out[0] = '\0';
    if (ap_step(core->ledger, s)) {
        ap_text(s, 0, out, AP_ID_SIZE);
        known = sqlite3_column_int(s, 1) != 0;
        ap_done(s);
    }
    if (out[0])
        return true;
    known = known || ap_person_is_mapped(core, id);
    wait_for(next, known ? "person" : "grantee", AP_PERSON, id);
    return false;
}

static void
job_share(struct ap_job *job, struct ap_next *next, enum ap_call call, const struct basis *basis)
{
    next->verdict = AP_CALL;
    next->op.call = job->call = call;
    if (!basis)
        return;
    job->space = basis->space.target;
    job->folder = basis->node.folder;
    memcpy(job->node_id, basis->node.target, sizeof(job->node_id));
    job->op.storage = basis->node.storage; /* for the ledger, when it is settled */
}

/* ---- grants */

struct grant {
    int64_t fileid, type, storage, permissions, expires;
    char grantee[256], node[AP_ID_SIZE], share_id[AP_ID_SIZE], sharer[256];
};

static bool
grant_get(struct ap_core *core, int64_t id, struct grant *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT fileid, type, storage, permissions, expires, grantee, node,"
                               " share_id, sharer FROM grants WHERE id = ?",
                               "i", id);
    if (!ap_step(core->ledger, s))
        return false;
    ret->fileid = sqlite3_column_int64(s, 0);
    ret->type = sqlite3_column_int64(s, 1);
    ret->storage = sqlite3_column_int64(s, 2);
    ret->permissions = sqlite3_column_int64(s, 3);
    ret->expires = sqlite3_column_int64(s, 4);
    ap_text(s, 5, ret->grantee, sizeof(ret->grantee));
    ap_text(s, 6, ret->node, sizeof(ret->node));
    ap_text(s, 7, ret->share_id, sizeof(ret->share_id));
    ap_text(s, 8, ret->sharer, sizeof(ret->sharer));
    ap_done(s);
    return true;
}

/* What a share that nobody has the id of is found by: also by him or the group that it was made
 * for, who may be gone by now, or another one. False: it cannot be found. */
static bool
grantee_fill(struct ap_core *core, struct ap_key key, const struct grant *g, struct ap_job *job)
{
    struct ap_applied node;
    struct ap_space_row space;
    struct ap_next ignored;
    bool group = g->type == CS3_SHARE_GROUP;

    if (!ap_node_of(core->ledger, g->fileid, &node) ||
        !ap_space_get(core->ledger, node.storage, &space) ||
        (!ap_intent_grantee(core, key, job->person_id) &&
         !person_target(core, group ? CS3_GROUP : CS3_USER, g->grantee, job->person_id, &ignored)))
        return false;
    memcpy(job->node_id, node.target, sizeof(job->node_id));
    job->space = space.target;
    job->group = group;
    memcpy(job->sharer, space.owner, sizeof(job->sharer));
    return true;
}

/* A recipient's state is on its way to the target: it would come behind the removal, and stay. */
static bool
waits_for_recipient(struct ap_core *core, int64_t grant, struct ap_next *next)
{
    int64_t received = ap_number(core->ledger, 0,
                                 "SELECT r.id FROM received r JOIN work w ON w.kind = 7"
                                 " AND w.id = r.id AND w.state = 2 WHERE r.grant_id = ? LIMIT 1",
                                 "i", grant);

    if (received != 0)
        wait_for(next, "busy", AP_RECEIVED, received);
    return received != 0;
}

/* Who takes away acts as the owner of that space. One who is disabled is enabled first, as for all
 * that is his, so that the ledger knows of it; nor does anything go beside a call that may disable
 * him. Where he cannot be enabled in a few tries, or is refused and so a dead letter, the call goes
 * as it is: those he shared with see it all as long as it is there. */
static bool
waits_for_owner(struct ap_core *core, struct ap_work *work, const struct ap_space_row *space,
                struct ap_next *next)
{
    struct ap_work other;
    int64_t person;

    work->storage = space->storage;
    if (!core->view.owner_off(core->ledger, space, &person) ||
        ap_is_dead(core->ledger, (struct ap_key){AP_PERSON, person}) ||
        (ap_work_get(core->ledger, (struct ap_key){AP_PERSON, person}, &other) &&
         other.attempts >= OWNER_TRIES && other.state != AP_IN_FLIGHT))
        return false;
    wait_for(next, "owner-disabled", AP_PERSON, person);
    return true;
}

static void
grant_remove(struct ap_core *core, struct ap_work *work, struct grant *g, struct ap_next *next,
             struct ap_job *job)
{
    struct ap_applied node;
    struct ap_space_row space;
    struct ap_key deleting;
    /* that of a try comes before the one on record */
    bool half = ap_intent_get(core, work->key, &g->storage, g->share_id);
    bool left = !g->share_id[0] && g->node[0]; /* nothing is known of it but its grant */
    enum ap_left where = ap_left_where(core, work->key.id, &deleting);

    if (left && where == AP_LEFT_BUSY) {
        wait_for(next, "busy", deleting.kind, deleting.id);
        return;
    }
    left = left && where == AP_LEFT_LIVE;
    job->half = false;
    job->left = where == AP_LEFT_BUSY || where == AP_LEFT_IN_TRASH;
    if (!g->share_id[0] && (work->doubt || left) && grantee_fill(core, work->key, g, job)) {
        if (ap_node_of(core->ledger, g->fileid, &node) &&
            ap_space_get(core->ledger, node.storage, &space) &&
            waits_for_owner(core, work, &space, next))
            return;
        job_share(job, next, AP_SHARE_REMOVE, NULL); /* it may be there all the same */
        job->half = left || !core->writer->exact;
        return;
    }
    if (!g->share_id[0] || !ap_space_get(core->ledger, g->storage, &space) ||
        waits_for_recipient(core, work->key.id, next) || waits_for_owner(core, work, &space, next))
        return;
    job_share(job, next, AP_SHARE_REMOVE, NULL);
    job->half = (half || !core->writer->exact) && grantee_fill(core, work->key, g, job) &&
                strcmp(job->space.space_id, space.target.space_id) == 0;
    if (job->half && !half && g->node[0])
        memcpy(job->node_id, g->node, sizeof(job->node_id));
    job->space = space.target;
    memcpy(job->share_id, g->share_id, sizeof(job->share_id));
    memcpy(job->sharer, space.owner, sizeof(job->sharer));
}

/* The share of a node that went (the file is in another space now, say) did not go with it. Left
 * where it is when he who could remove it cannot any more, so that the new one is made. */
static bool
old_can_go(struct ap_core *core, const struct grant *g)
{
    struct ap_space_row space;
    int64_t person;

    return g->share_id[0] && ap_space_get(core->ledger, g->storage, &space) && !space.deleted &&
           !core->view.owner_off(core->ledger, &space, &person);
}

void
ap_grant_next(struct ap_core *core, struct ap_work *work, struct ap_next *next, struct ap_job *job)
{
    struct grant g;
    struct ap_fold fold;
    struct basis basis;
    char made_for[AP_ID_SIZE];

    if (!grant_get(core, work->key.id, &g))
        return;
    ap_fold_rows(core, g.fileid, g.type, g.grantee, NULL, &fold);
    ap_exec(core->ledger, "DELETE FROM expiry WHERE grant_id = ?", "i", work->key.id);
    if (fold.rows == 0) {
        grant_remove(core, work, &g, next, job);
        return;
    }
    if (fold.first_end != 0)
        ap_exec(core->ledger, "INSERT INTO expiry(grant_id, at) VALUES(?, ?)", "ii", work->key.id,
                fold.first_end);
    if (g.share_id[0] && g.permissions == AP_OTHER_GRANTEE) { /* whatever the new one waits for */
        grant_remove(core, work, &g, next, job);
        return;
    }
    if (!basis_find(core, work, g.fileid, &basis, next))
        return;
    if (g.type == CS3_SHARE_USER && strcmp(g.grantee, basis.space.owner) == 0) {
        grant_remove(core, work, &g, next, job); /* the owner has it anyway */
        return;
    }
    if (!person_target(core, g.type == CS3_SHARE_USER ? CS3_USER : CS3_GROUP, g.grantee,
                       job->person_id, next))
        return;
    if (ap_intent_is_other(core, work->key, &basis.space, fold.row) ||
        (work->doubt && ap_intent_grantee(core, work->key, made_for) &&
         strcmp(made_for, job->person_id) != 0)) {
        grant_remove(core, work, &g, next, job);
        return;
    }
    if (strcmp(g.node, basis.node.target) != 0) {
        if (old_can_go(core, &g))
            grant_remove(core, work, &g, next, job);
        if (next->verdict != AP_EQUAL)
            return;
        g.share_id[0] = '\0';
    }
    if (ap_share_number_gone(core, &basis.space.target, g.share_id,
                             (struct ap_rows){g.fileid, g.type, g.grantee})) {
        grant_remove(core, work, &g, next, job);
        return;
    }
    sharer_pick(core, fold.creator, basis.space.owner, job->sharer, sizeof(job->sharer));
    job->token[0] = job->password_hash[0] = '\0'; /* of a link, from an earlier look */
    job->row = fold.row;
    job->ctime = fold.stime;
    job->state = fold.state;
    memcpy(job->mount, fold.mount, sizeof(job->mount));
    ap_mark_make(core, job);
    if (!work->doubt && g.share_id[0] && g.permissions == fold.permissions &&
        g.expires == fold.expires && ap_mark_same(core, job, work->key)) {
        receivers_open(core, work->key.id, g.type, g.grantee);
        return;
    }
    job_share(job, next, AP_SHARE_SET, &basis);
    memcpy(job->share_id, g.share_id, sizeof(job->share_id));
    job->group = g.type == CS3_SHARE_GROUP;
    job->permissions = fold.permissions;
    job->expires = fold.expires;
    ap_intent_keep(core, job, work->key);
}

/* ---- what a recipient made of it */

void
ap_received_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
                 struct ap_job *job)
{
    struct grant g;
    struct ap_fold fold;
    struct ap_work other;
    struct ap_space_row space;
    char uid[256] = "", share_id[AP_ID_SIZE] = "", mount[2600] = "", target[AP_ID_SIZE];
    int64_t grant = 0, state = -1, person;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT grant_id, uid, share_id, coalesce(state, -1), mount"
                               " FROM received WHERE id = ?",
                               "i", work->key.id);

    if (ap_step(core->ledger, s)) {
        grant = sqlite3_column_int64(s, 0);
        ap_text(s, 1, uid, sizeof(uid));
        ap_text(s, 2, share_id, sizeof(share_id));
        state = sqlite3_column_int64(s, 3);
        ap_text(s, 4, mount, sizeof(mount));
        ap_done(s);
    }
    if (work->doubt) { /* it may be otherwise by now; that outlives this look */
        ap_exec(core->ledger, "UPDATE received SET state = NULL WHERE id = ?", "i", work->key.id);
        state = -1;
    }
    if (!grant_get(core, grant, &g))
        return;
    ap_fold_rows(core, g.fileid, g.type, g.grantee, g.type == CS3_SHARE_GROUP ? uid : NULL, &fold);
    if (fold.rows == 0)
        return;
    if (ap_work_get(core->ledger, (struct ap_key){AP_GRANT, grant}, &other)) {
        wait_for(next, "grant", AP_GRANT, grant);
        return;
    }
    if (!g.share_id[0] ||
        (ap_space_get(core->ledger, g.storage, &space) && strcmp(space.owner, uid) == 0))
        return;
    if (g.type == CS3_SHARE_GROUP && !group_is_mapped(core, g.grantee)) {
        person = ap_person_find(core, CS3_MEMBER, uid, g.grantee);
        sqlite3_stmt *m =
            ap_query(core->ledger, "SELECT deleted, applied FROM person WHERE id = ?", "i", person);
        if (ap_step(core->ledger, m)) {
            bool deleted = sqlite3_column_int(m, 0) != 0, applied = sqlite3_column_int(m, 1) != 0;
            ap_done(m);
            if (deleted)
                return; /* his own row counts again when he comes back */
            if (!applied) {
                wait_for(next, "person", AP_PERSON, person);
                return;
            }
        }
    }
    if (strcmp(share_id, g.share_id) == 0 && state == (int64_t)fold.state &&
        strcmp(mount, fold.mount) == 0)
        return;
    if (!person_target(core, CS3_USER, uid, target, next))
        return;
    snprintf(space.owner, sizeof(space.owner), "%s", uid);
    if (core->view.owner_off(core->ledger, &space, &person)) {
        wait_for(next, "owner-disabled", AP_PERSON, person);
        return;
    }
    job_share(job, next, AP_RECEIVED_SET, NULL);
    memcpy(job->uid, uid, sizeof(job->uid));
    memcpy(job->share_id, g.share_id, sizeof(job->share_id));
    memcpy(job->mount, fold.mount, sizeof(job->mount));
    job->state = fold.state;
}

/* ---- links */

struct link {
    int64_t fileid, permissions, expires, storage, has_password, stime;
    char node[AP_ID_SIZE], link_id[AP_ID_SIZE], label[512], creator[256];
};

/* What the target has. */
static void
link_applied(struct ap_core *core, int64_t id, struct link *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT storage, permissions, expires, has_password, node, link_id,"
                               " label FROM link WHERE id = ?",
                               "i", id);

    memset(ret, 0, sizeof(*ret));
    if (!ap_step(core->ledger, s))
        return;
    ret->storage = sqlite3_column_int64(s, 0);
    ret->permissions = sqlite3_column_int64(s, 1);
    ret->expires = sqlite3_column_int64(s, 2);
    ret->has_password = sqlite3_column_int64(s, 3);
    ap_text(s, 4, ret->node, sizeof(ret->node));
    ap_text(s, 5, ret->link_id, sizeof(ret->link_id));
    ap_text(s, 6, ret->label, sizeof(ret->label));
    ap_done(s);
}

/* What the row says; false when there is no link to be. */
static bool
link_desired(struct ap_core *core, int64_t id, struct link *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT fileid, permissions, expires, has_password, label, creator,"
                               " stime FROM share WHERE id = ? AND type = 3 AND deleted = 0"
                               " AND (expires = 0 OR expires >= ?)",
                               "ii", id, ls_now_us() / 1000000);

    memset(ret, 0, sizeof(*ret));
    if (!ap_step(core->ledger, s))
        return false;
    ret->fileid = sqlite3_column_int64(s, 0);
    ret->permissions = sqlite3_column_int64(s, 1);
    ret->expires = sqlite3_column_int64(s, 2);
    ret->has_password = sqlite3_column_int64(s, 3);
    ap_text(s, 4, ret->label, sizeof(ret->label));
    ap_text(s, 5, ret->creator, sizeof(ret->creator));
    ret->stime = sqlite3_column_int64(s, 6);
    ap_done(s);
    return true;
}

/* It was made for another file: the row's number came back for a new link. That one must not stay
 * open beside it. */
static bool
link_is_others(struct ap_core *core, const struct link *have, int64_t fileid)
{
    return have->link_id[0] &&
           ap_number(core->ledger, 0, "SELECT 1 FROM node WHERE target = ? AND fileid <> ?", "si",
                     have->node, fileid) == 1;
}

void
ap_link_next(struct ap_core *core, struct ap_work *work, struct ap_next *next, struct ap_job *job)
{
    struct link want, have;
    struct basis basis;
    struct ap_space_row space;

    link_applied(core, work->key.id, &have);
    if (!link_desired(core, work->key.id, &want) || link_is_others(core, &have, want.fileid)) {
        if (!have.link_id[0])
            ap_intent_get(core, work->key, &have.storage, have.link_id);
        ap_sought_link_done(core, work->key.id);
        if (!have.link_id[0] || !ap_space_get(core->ledger, have.storage, &space) ||
            (!core->writer->exact && waits_for_owner(core, work, &space, next)))
            return;
        job_share(job, next, AP_LINK_REMOVE, NULL);
        job->space = space.target;
        memcpy(job->share_id, have.link_id, sizeof(job->share_id));
        memcpy(job->sharer, space.owner, sizeof(job->sharer));
        return;
    }
    if (!basis_find(core, work, want.fileid, &basis, next))
        return;
    if (strcmp(have.node, basis.node.target) != 0) {
        if (!core->writer->exact) /* it goes there with its token, which is its own only */
            have.link_id[0] = '\0';
        have.permissions = -1; /* nothing of it is right */
    }
    sharer_pick(core, want.creator, basis.space.owner, job->sharer, sizeof(job->sharer));
    job->row = work->key.id;
    job->ctime = want.stime;
    if (core->writer->exact)
        ap_secrets_get(core, work->key.id, job);
    ap_mark_make(core, job);
    if (!work->doubt && have.link_id[0] && have.permissions == want.permissions &&
        have.expires == want.expires && have.has_password == want.has_password &&
        strcmp(have.label, want.label) == 0 && ap_mark_same(core, job, work->key))
        return;
    job_share(job, next, AP_LINK_SET, &basis);
    memcpy(job->share_id, have.link_id, sizeof(job->share_id));
    memcpy(job->label, want.label, sizeof(job->label));
    job->permissions = want.permissions;
    job->expires = want.expires;
    job->has_password = want.has_password != 0;
    if (!have.link_id[0])
        ap_sought_link(core, work->key.id, job->node_id, job);
    ap_intent_keep(core, job, work->key);
}

/* ---- answers */

/* A user's share was made together with his state of it. */
static void
recipient_settled(struct ap_core *core, const struct ap_job *job)
{
    struct grant g;

    if (grant_get(core, job->who.id, &g) && g.type == CS3_SHARE_USER)
        ap_exec(core->ledger, "UPDATE received SET share_id = ?, state = ?, mount = ? WHERE id = ?",
                "sisi", job->share_id, (int64_t)job->state, job->mount,
                received_of(core, job->who.id, g.grantee));
}

/* Is the one whom it was given to still the grantee? He, or the group, may have become another one
 * while the call was out. */
static bool
grantee_is(struct ap_core *core, const struct ap_job *job)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM grants g JOIN person p ON p.key ="
                     " CASE g.type WHEN 1 THEN 'g:' ELSE 'u:' END || g.grantee"
                     " WHERE g.id = ? AND p.target = ?",
                     "is", job->who.id, job->person_id) == 1;
}

static void
removal_settled(struct ap_core *core, const struct ap_job *job)
{
    struct grant g;

    if (!grant_get(core, job->who.id, &g))
        return;
    ap_mark_drop(core, job);
    ap_removed_keep(core, job->who, job->share_id, g.storage, false);
    if (!job->left && !ap_left_stays(core, job->who.id))
        g.node[0] = '\0';
    else if (!g.node[0] && job->half) /* a share of which nobody knew whether it was made */
        memcpy(g.node, job->node_id, sizeof(g.node));
    if (g.share_id[0] == '\0' || strcmp(g.share_id, job->share_id) == 0)
        ap_exec(core->ledger, "UPDATE grants SET share_id = '', node = ? WHERE id = ?", "si",
                g.node, job->who.id);
    ap_exec(core->ledger,
            "UPDATE received SET share_id = '', state = NULL WHERE grant_id = ?"
            " AND share_id <> ''",
            "i", job->who.id);
}

void
ap_shares_settled(struct ap_core *core, const struct ap_job *job)
{
    switch (job->call) {
    case AP_SHARE_SET:
        ap_exec(core->ledger,
                "UPDATE grants SET storage = ?, node = ?, share_id = ?, sharer = ?,"
                " permissions = ?, expires = ? WHERE id = ?",
                "isssiii", job->op.storage, job->node_id, job->share_id, job->sharer,
                grantee_is(core, job) ? job->permissions : AP_OTHER_GRANTEE, job->expires,
                job->who.id);
        ap_mark_keep(core, job);
        if (job->received)
            recipient_settled(core, job);
        break;
    case AP_SHARE_REMOVE:
        removal_settled(core, job);
        break;
    case AP_RECEIVED_SET:
        ap_exec(core->ledger, "UPDATE received SET share_id = ?, state = ?, mount = ? WHERE id = ?",
                "sisi", job->share_id, (int64_t)job->state, job->mount, job->who.id);
        break;
    case AP_LINK_SET:
        ap_exec(core->ledger,
                "INSERT OR REPLACE INTO link(id, storage, node, link_id, sharer, permissions,"
                " expires, has_password, label) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                "iisssiiis", job->who.id, job->op.storage, job->node_id, job->share_id, job->sharer,
                job->permissions, job->expires, (int64_t)job->has_password, job->label);
        ap_mark_keep(core, job);
        ap_sought_link_done(core, job->who.id);
        break;
    default:
        ap_mark_drop(core, job);
        ap_removed_keep(
            core, job->who, job->share_id,
            ap_number(core->ledger, 0, "SELECT storage FROM link WHERE id = ?", "i", job->who.id),
            false);
        ap_exec(core->ledger, "DELETE FROM link WHERE id = ?", "i", job->who.id);
        break;
    }
}
