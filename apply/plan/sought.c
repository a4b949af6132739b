/*
 * A ledger made anew of the target, when the old one and its mirror are both lost.
 *
 * All records are taken in before the first call; then each file and folder that is wanted is
 * looked for where it would be made: a live one by parent and name, a trash item by where it lay,
 * when it was deleted and its size, what is in a trashed folder by its name there. What is of the
 * same kind becomes a node of the ledger, without a writing call. From there on the usual steps do
 * the rest. Only what is not found is made.
 *
 * What can go wrong:
 *  - What is there has another content. With the SHA1 of the row, or one that the source keeps as
 *    an old version, it is ours. Any other is not known to be (checksum "?"): the upload compares
 *    it with the file itself, and where it differs that is drift (apply.drift).
 *  - A name for several trash items: the older takes the older; none is taken twice.
 *  - A trash item that is not found would be made where something live lies: it waits until all
 *    that is live of its storage was looked for. What the source deleted while nobody applied is
 *    live there still, and taken for it when its SHA1 says so.
 *  - Nodes below a trashed folder have no ids that could be asked for: they get theirs when it
 *    comes out.
 *  - What nobody wants and is there stays; `lockstep verify` names it.
 */
#include "apply/plan/sought.h"
#include "apply/plan/drift.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define SOUGHT 0
#define NOT_IN_TRASH 1
#define UNKNOWN "?"  /* as checksum, as etag: other than any */
#define CLOCKS_S 600 /* the source's and the target's may differ by so much */

/* ---- marks */

static int64_t
state_of(struct ap_core *core, int64_t fileid)
{
    return ap_number(core->ledger, -1, "SELECT state FROM sought WHERE fileid = ?", "i", fileid);
}

int64_t
ap_sought_open(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0, "SELECT count(*) FROM sought", NULL);
}

static void
found_out(struct ap_core *core, int64_t fileid)
{
    if (ap_exec(core->ledger, "DELETE FROM sought WHERE fileid = ?", "i", fileid) == 0 ||
        ap_number(core->ledger, 0, "SELECT 1 FROM sought LIMIT 1", NULL) == 1)
        return;
    core->seeking = false;
    ls_log(LS_INFO, "rebuilt-from-target", LS_I("adopted", ap_counted(core->ledger, "adopted")));
}

void
ap_sought_begin(struct ap_core *core)
{
    ap_exec(core->ledger,
            "INSERT OR IGNORE INTO sought(fileid, storage) SELECT fileid, storage FROM desired"
            " WHERE deleted = 0",
            NULL);
    ap_exec(core->ledger,
            "WITH RECURSIVE t(fileid) AS (SELECT d.fileid FROM desired d"
            " JOIN desired f ON f.fileid = d.parent AND f.name = 'files'"
            " JOIN desired b ON b.fileid = f.parent AND b.name = 'files_trashbin'"
            " JOIN desired r ON r.fileid = b.parent AND r.parent = -1 WHERE d.trash_time > 0"
            " UNION SELECT d.fileid FROM desired d JOIN t ON d.parent = t.fileid)"
            " UPDATE sought SET trash = 1 WHERE fileid IN (SELECT fileid FROM t)",
            NULL);
    /* the live ones first: a first copy makes its trash where they will be */
    ap_exec(core->ledger, "UPDATE space SET copied = 1", NULL);
    /* a share that may be there is looked for by its writer; one that is not wanted is nobody's */
    ap_exec(core->ledger,
            "UPDATE work SET doubt = 1 WHERE (kind = 6 AND EXISTS (SELECT 1 FROM grants g"
            " JOIN share s ON s.fileid = g.fileid AND s.type = g.type AND s.grantee = g.grantee"
            " WHERE g.id = work.id AND s.deleted = 0)) OR (kind = 8 AND EXISTS"
            " (SELECT 1 FROM share s WHERE s.id = work.id AND s.deleted = 0))",
            NULL);
    if (!core->writer->exact)
        ap_exec(core->ledger,
                "INSERT OR IGNORE INTO sought(fileid, storage, trash) SELECT -id, ?, 1 FROM share"
                " WHERE type = 3 AND deleted = 0",
                "i", (int64_t)AP_LANE_SHARES);
    core->seeking = ap_sought_open(core->ledger) > 0;
}

bool
ap_sought_rests(struct ap_core *core)
{
    return !core->seeking ||
           (core->n_jobs == 0 && ap_number(core->ledger, 0,
                                           "SELECT 1 FROM work WHERE state <> 1 AND trouble = 0"
                                           " LIMIT 1",
                                           NULL) == 0);
}

/* ---- what is asked */

static bool
wait_on(struct ap_core *core, struct ap_next *next, int64_t fileid, int64_t storage)
{
    struct ap_key key = {AP_NODE, fileid};
    struct ap_work work;

    if (!ap_work_get(core->ledger, key, &work))
        ap_work_open(core->ledger, key, storage, ls_now_ms());
    memset(next, 0, sizeof(*next));
    next->verdict = AP_WAIT;
    next->cause = "look";
    next->on = key;
    return true;
}

/* Ids of those that have been taken already: the rows of `s`, which ends here. */
static void
known_fill(struct ap_core *core, sqlite3_stmt *s, struct ap_seek *seek)
{
    while (seek->n_known < AP_SEEK_KNOWN && ap_step(core->ledger, s))
        ap_text(s, 0, seek->known[seek->n_known++], AP_ID_SIZE);
    ap_done(s);
}

/* Where it lay when it was deleted, as ownCloud says. */
static void
location_fill(struct ap_core *core, const struct ap_desired *row, const char *owner,
              struct ap_seek *seek)
{
    char text[4 * AP_TEXT_SIZE];
    const char *at = text;
    size_t n;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT location FROM trashinfo WHERE user = ? AND name = ?"
                               " AND time = ? AND deleted = 0",
                               "ssi", owner, seek->base, row->trash_time);

    seek->anywhere = true;
    if (!ap_step(core->ledger, s))
        return;
    seek->anywhere = !ap_text(s, 0, text, sizeof(text));
    ap_done(s);
    at += strspn(at, "/");
    n = strlen(at);
    while (n > 0 && at[n - 1] == '/')
        n--;
    if (strcmp(at, ".") != 0)
        snprintf(seek->location, sizeof(seek->location), "%.*s", (int)n, at);
}

/* Of several of one name the older is looked for first. */
static int64_t
older_of_name(struct ap_core *core, const struct ap_desired *row, const char *base)
{
    char from[AP_NAME_SIZE + 4], to[AP_NAME_SIZE + 4];

    snprintf(from, sizeof(from), "%s.d", base);
    snprintf(to, sizeof(to), "%s.e", base);
    return ap_number(core->ledger, 0,
                     "SELECT d.fileid FROM desired d JOIN sought s ON s.fileid = d.fileid"
                     " JOIN work w ON w.kind = 1 AND w.id = d.fileid WHERE d.parent = ?1"
                     " AND d.name >= ?2 AND d.name < ?3 AND d.trash_time > 0 AND s.state = 0"
                     " AND w.trouble = 0 AND (d.trash_time, d.fileid) < (?4, ?5)"
                     " ORDER BY d.trash_time, d.fileid LIMIT 1",
                     "issii", row->parent, from, to, row->trash_time, row->fileid);
}

static int64_t
live_sought(struct ap_core *core, int64_t storage)
{
    return ap_number(core->ledger, 0,
                     "SELECT s.fileid FROM sought s JOIN work w ON w.kind = 1 AND w.id = s.fileid"
                     " WHERE s.storage = ? AND s.state = 0 AND s.trash = 0 AND w.trouble = 0"
                     " ORDER BY s.fileid DESC LIMIT 1",
                     "i", storage);
}

static void
look(struct ap_next *next, struct ap_job *job, enum ap_seek_how how)
{
    next->op.call = AP_LOOK;
    job->seek.how = how;
}

/* A trash item that is to be made. */
static bool
trash_top_next(struct ap_core *core, const struct ap_desired *row, int64_t state,
               struct ap_next *next, struct ap_job *job)
{
    struct ap_seek *seek = &job->seek;
    struct ap_space_row space;
    int64_t other;

    if (ap_trash_name(row->name, seek->base, sizeof(seek->base)) == 0)
        snprintf(seek->base, sizeof(seek->base), "%s", row->name);
    if (state == NOT_IN_TRASH) {
        if ((other = live_sought(core, row->storage)) != 0)
            return wait_on(core, next, other, row->storage);
        if (row->folder || !row->sha1[0]) {
            found_out(core, row->fileid);
            return false;
        }
        seek->proof = true;
        look(next, job, AP_SEEK_PLACE);
        return true;
    }
    if ((other = older_of_name(core, row, seek->base)) != 0)
        return wait_on(core, next, other, row->storage);
    if (!ap_space_get(core->ledger, next->op.storage, &space))
        return false;
    ap_aside_name(seek->aside, sizeof(seek->aside), seek->base, row->fileid);
    seek->folder = row->folder;
    seek->size = row->size;
    seek->since = row->trash_time - CLOCKS_S;
    location_fill(core, row, space.owner, seek);
    known_fill(core,
               ap_query(core->ledger,
                        "SELECT target FROM node WHERE parent = -1 AND name IN (?, ?)"
                        " AND storage = ? LIMIT 64",
                        "ssi", seek->base, seek->aside, next->op.storage),
               seek);
    look(next, job, AP_SEEK_TRASH);
    return true;
}

/* Something in a folder that lies in the trash; false: it does not. */
static bool
trash_inner_next(struct ap_core *core, const struct ap_desired *row, const struct ap_place *place,
                 struct ap_next *next, struct ap_job *job)
{
    char relative[AP_PATH_SIZE];
    struct ap_applied up;
    int64_t top;
    size_t n;

    if (!ap_node_of(core->ledger, row->parent, &up) || up.storage != place->storage ||
        (top = ap_applied_top(&core->view, &up, relative, sizeof(relative))) <= 0)
        return false;
    n = strlen(relative);
    if (n + strlen(row->name) + 2 > sizeof(relative))
        return false;
    memset(next, 0, sizeof(*next));
    next->verdict = AP_CALL;
    next->cause = "";
    next->op.storage = up.storage;
    next->op.fileid = row->fileid;
    next->op.top = top;
    next->op.parent = up.id;
    snprintf(next->op.name, sizeof(next->op.name), "%s", row->name);
    memcpy(next->op.relative, relative, n);
    snprintf(next->op.relative + n, sizeof(next->op.relative) - n, "%s%s", n ? "/" : "", row->name);
    look(next, job, AP_SEEK_BELOW);
    return true;
}

bool
ap_sought_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
               struct ap_job *job)
{
    struct ap_applied node;
    struct ap_desired row;
    struct ap_place place;
    int64_t fileid = work->key.id, state;

    if (!core->seeking || work->key.kind != AP_NODE || (state = state_of(core, fileid)) < 0)
        return false;
    if (ap_node_of(core->ledger, fileid, &node) || !ap_desired_get(core->ledger, fileid, &row) ||
        next->verdict == AP_EQUAL || next->verdict == AP_LEFT || next->verdict == AP_DEAD) {
        found_out(core, fileid);
        return false;
    }
    if (row.deleted)
        return false;
    ap_place_find(&core->view, &row, &place);
    if (place.class == AP_CLASS_TRASH && place.top != fileid)
        return trash_inner_next(core, &row, &place, next, job);
    if (next->verdict != AP_CALL || next->op.node != 0 || next->op.fileid != fileid ||
        (next->op.call != AP_MAKE_FOLDER && next->op.call != AP_PUT_FILE))
        return false;
    if (place.class == AP_CLASS_TRASH)
        return trash_top_next(core, &row, state, next, job);
    look(next, job, AP_SEEK_PLACE);
    return true;
}

void
ap_sought_version(struct ap_core *core, const struct ap_work *work, struct ap_next *next)
{
    int64_t file = next->op.fileid;

    if (core->seeking && work->key.kind == AP_NODE && next->verdict == AP_CALL &&
        next->op.node == 0 && next->op.call == AP_PUT_FILE && file != work->key.id &&
        state_of(core, file) >= 0)
        wait_on(core, next, file, next->op.storage);
}

/* Links have the negative of their row's number. */
void
ap_sought_link(struct ap_core *core, int64_t share, const char *node_id, struct ap_job *job)
{
    if (!core->seeking || state_of(core, -share) < 0)
        return;
    job->seek.how = AP_SEEK_LINK;
    known_fill(
        core,
        ap_query(core->ledger, "SELECT link_id FROM link WHERE node = ? LIMIT 64", "s", node_id),
        &job->seek);
}

void
ap_sought_link_done(struct ap_core *core, int64_t share)
{
    if (core->seeking)
        found_out(core, -share);
}

/* ---- what was found */

static void
node_add(struct ap_core *core, const struct ap_job *job, const struct ap_desired *row,
         int64_t parent, const char *name, const char *sha1)
{
    const struct ap_found *found = &job->found;
    bool unknown = strcmp(sha1, UNKNOWN) == 0;
    bool live = found->where == AP_FOUND_LIVE;

    ap_exec(core->ledger,
            "INSERT INTO node(fileid, storage, target, parent, name, folder, sha1, size, mtime,"
            " etag) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iisisisiis", row->fileid, job->op.storage,
            found->where == AP_FOUND_BELOW ? "" : found->node.id, parent, name,
            (int64_t)row->folder, sha1,
            row->folder             ? (int64_t)0
            : found->node.size >= 0 ? found->node.size
                                    : row->size,
            live && !row->folder ? found->node.mtime : row->mtime, unknown ? UNKNOWN : row->etag);
    if (found->where == AP_FOUND_TRASHED)
        ap_drift_deleted_at(core, ap_last_id(core->ledger), found->node.deleted_at);
    ap_count(core->ledger, "adopted", 1);
    ap_node_made(core, row->fileid, job->op.storage);
}

/* What the ledger takes for the checksum of what is there. */
static const char *
checksum_of(struct ap_core *core, const struct ap_desired *row, const struct ap_node *node)
{
    if (row->folder)
        return "";
    if (row->sha1[0] && strcmp(row->sha1, node->sha1) == 0)
        return row->sha1;
    if (node->sha1[0] && ap_versions_have(core, row, node))
        return node->sha1;
    return UNKNOWN;
}

/* False: it is not what was looked for. */
static bool
adopt(struct ap_core *core, const struct ap_job *job, const struct ap_desired *row)
{
    const struct ap_found *found = &job->found;
    bool same_size = row->folder || row->size < 0 || found->node.size == row->size;

    switch (found->where) {
    case AP_FOUND_LIVE:
        if (job->seek.proof && strcmp(found->node.sha1, row->sha1) != 0)
            return false;
        node_add(core, job, row, job->op.parent, job->op.name,
                 checksum_of(core, row, &found->node));
        return true;
    case AP_FOUND_TRASHED: /* its content shows when it comes out */
        if (same_size)
            node_add(core, job, row, AP_TRASHED, found->name, "");
        return same_size;
    case AP_FOUND_BELOW:
        if (same_size)
            node_add(core, job, row, job->op.parent, job->op.name, "");
        return same_size;
    case AP_FOUND_AS_KNOWN:
    case AP_FOUND_NOT:
        break;
    }
    return false;
}

void
ap_sought_settled(struct ap_core *core, const struct ap_job *job)
{
    const struct ap_found *found = &job->found;
    int64_t fileid = job->who.id;
    struct ap_desired row;
    struct ap_applied node;
    bool there = found->where != AP_FOUND_NOT && found->where != AP_FOUND_AS_KNOWN;

    if (ap_node_of(core->ledger, fileid, &node) || !ap_desired_get(core->ledger, fileid, &row)) {
        found_out(core, fileid);
        return;
    }
    if (there && found->where != AP_FOUND_BELOW &&
        ap_number(core->ledger, 0, "SELECT 1 FROM node WHERE target = ?", "s", found->node.id) ==
            1) {
        if (job->seek.how == AP_SEEK_TRASH)
            return; /* somebody was faster: the next look leaves that one out */
        there = false;
    }
    if ((!there || found->folder != row.folder || !adopt(core, job, &row)) &&
        job->seek.how == AP_SEEK_TRASH)
        ap_exec(core->ledger, "UPDATE sought SET state = ? WHERE fileid = ?", "ii",
                (int64_t)NOT_IN_TRASH, fileid);
    else
        found_out(core, fileid);
}

void
ap_sought_below(struct ap_core *core, int64_t top)
{
    int64_t now = ls_now_ms();

    if (ap_number(core->ledger, 0, "SELECT 1 FROM node WHERE parent = ? AND target = '' LIMIT 1",
                  "i", top) == 0)
        return;
    ap_exec(core->ledger,
            "WITH RECURSIVE b(id) AS (SELECT id FROM node WHERE parent = ?1 AND target = ''"
            " UNION ALL SELECT n.id FROM node n JOIN b ON n.parent = b.id WHERE n.target = '')"
            " INSERT OR REPLACE INTO sought(fileid, storage) SELECT fileid, storage FROM node"
            " WHERE id IN (SELECT id FROM b) AND fileid <> 0",
            "i", top);
    ap_exec(core->ledger,
            "WITH RECURSIVE b(id) AS (SELECT id FROM node WHERE parent = ?1 AND target = ''"
            " UNION ALL SELECT n.id FROM node n JOIN b ON n.parent = b.id WHERE n.target = '')"
            " DELETE FROM node WHERE id IN (SELECT id FROM b)",
            "i", top);
    ap_exec(core->ledger,
            AP_WORK_OPEN "1, fileid, storage, 0, ?1, ?1 * 1000, 0, 0, 0 FROM sought"
                         " WHERE fileid > 0" AP_WAITING_AGAIN,
            "i", now);
    core->seeking = true;
}
