/*
 * Which old contents of a file are uploaded, and before what.
 *
 * oCIS makes a revision of what is written over, and calls it by its time. So the old contents that
 * ownCloud keeps go up oldest first, to the file's node, each with its own time, and then the
 * content; what apply writes over in the stream becomes a revision by itself. Table `revision`
 * holds what has become one on each node. A version is there when a revision, or what the node
 * holds now, has its time and size (and its checksum, where both have one).
 *
 * A version is its own entity with its own tries and its own dead letter. A file that is about to
 * get content waits for the versions that are not there yet, and the older ones go first. A version
 * that comes when the content is there already (of a copy, of a file that moved to another space)
 * is put over it, and the content, a revision of itself for so long, is restored from there: that
 * takes it out of the list again. Where that cannot be (the file lies in the trash, the version's
 * tries are used up) it is counted as `version-late`, and goes up before the next content. So at
 * rest nobody sees a revision that ownCloud never had.
 *
 * What can go wrong: its file in files_versions is gone or another one (after content_tries the
 * file goes on without it); the target does not take it (the same after some tries); the ledger
 * lost what it knew of revisions (the target is asked before each upload to a node); a version
 * whose bytes are those of the content before it (uploaded all the same: it has another time).
 */
#include "apply/core.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define DEPTH 256        /* folders around a file; deeper ones keep no versions */
#define VERSIONS_MAX 512 /* of one file, looked at; the newest */
#define REFUSALS 20      /* tries that fail for other causes than the content */
#define ALONE_KEPT 16    /* revisions of a node of which ownCloud has no version; the newest */

struct old {
    int64_t fileid, time, size;
    char sha1[41];
};
struct olds {
    int n;
    struct old of[VERSIONS_MAX];
};

/* ---- what there is */

/* The folder where the versions of a file lie, 0 for none; the beginning of their names, and the
 * time of deletion at their ends (0: none). */
static int64_t
folder_of(struct ap_core *core, const struct ap_desired *file, const struct ap_place *place,
          char *base, size_t size, int64_t *ret_trash_time)
{
    struct ap_ledger *l = core->ledger;
    int64_t chain[DEPTH], at = file->parent, root;
    struct ap_desired up;
    int n = 0;

    while (at > 0 && n < DEPTH && ap_desired_get(l, at, &up)) {
        chain[n++] = at;
        at = up.parent;
    }
    if (at != -1 || n < 2)
        return 0;
    root = chain[--n];
    n--; /* `files`, or `files_trashbin` */
    *ret_trash_time = 0;
    snprintf(base, size, "%s", file->name);
    if (place->class == AP_CLASS_TRASH) {
        at = ap_child_of(core, root, "files_trashbin");
        at = at ? ap_child_of(core, at, "versions") : 0;
        n--; /* its `files` */
        if (place->top == file->fileid)
            *ret_trash_time = ap_trash_name(file->name, base, size);
    } else {
        at = ap_child_of(core, root, "files_versions");
    }
    while (at != 0 && n-- > 0)
        at = ap_desired_get(l, chain[n], &up) ? ap_child_of(core, at, up.name) : 0;
    return at;
}

/* ownCloud copies a version in a bucket only when the content is written over already, and gives
 * the copy the checksum that the file's row still has: that of the content before. */
static bool
has_false_checksums(struct ap_core *core, int64_t storage)
{
    struct ap_space_row space;

    return ap_space_get(core->ledger, storage, &space) &&
           ap_objects_hold(space.source_id, space.owner);
}

/* The versions of a file, oldest first. */
static void
olds_find(struct ap_core *core, const struct ap_desired *file, struct olds *ret)
{
    char base[AP_NAME_SIZE], from[AP_NAME_SIZE + 4], to[AP_NAME_SIZE + 4];
    struct ap_place place;
    int64_t folder, trash_time;
    struct ls_str text;
    sqlite3_stmt *s;
    bool unsure;

    ret->n = 0;
    ap_place_find(&core->view, file, &place);
    if (place.class != AP_CLASS_LIVE && place.class != AP_CLASS_TRASH)
        return;
    folder = folder_of(core, file, &place, base, sizeof(base), &trash_time);
    if (folder == 0)
        return;
    unsure = has_false_checksums(core, file->storage);
    snprintf(from, sizeof(from), "%s.v", base);
    snprintf(to, sizeof(to), "%s.w", base);
    text = ls_str_of(base);
    s = ap_query(core->ledger,
                 "SELECT fileid, time, size, sha1 FROM (SELECT d.fileid, v.time, d.size, d.sha1"
                 " FROM desired d JOIN version v ON v.fileid = d.fileid WHERE d.parent = ?1"
                 " AND d.name >= ?2 AND d.name < ?3 AND d.deleted = 0 AND d.folder = 0"
                 " AND v.base = ?4 AND v.meta = 0 AND v.trash_time = ?5"
                 " ORDER BY v.time DESC LIMIT 512) ORDER BY time",
                 "issti", folder, from, to, &text, trash_time);
    for (; ret->n < VERSIONS_MAX && ap_step(core->ledger, s); ret->n++) {
        struct old *v = &ret->of[ret->n];
        v->fileid = sqlite3_column_int64(s, 0);
        v->time = sqlite3_column_int64(s, 1);
        v->size = sqlite3_column_int64(s, 2);
        ap_text(s, 3, v->sha1, sizeof(v->sha1));
        if (unsure)
            v->sha1[0] = '\0';
    }
    ap_done(s);
}

/* It is what was written at that time, as far as can be told. */
static bool
is_same(const struct old *v, int64_t mtime, int64_t size, const char *sha1)
{
    return v->time == mtime && (v->size < 0 || v->size == size) &&
           (!v->sha1[0] || !sha1[0] || strcmp(v->sha1, sha1) == 0);
}

static bool
is_revision(struct ap_core *core, int64_t node, const struct old *v)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM revision WHERE node = ?1 AND mtime = ?2"
                     " AND (?3 < 0 OR size = ?3) AND (?4 = '' OR sha1 = '' OR sha1 = ?4) LIMIT 1",
                     "iiis", node, v->time, v->size, v->sha1) == 1;
}

static bool
is_there(struct ap_core *core, const struct ap_applied *node, const struct old *v)
{
    return is_same(v, node->mtime, node->size, node->sha1) || is_revision(core, node->id, v);
}

bool
ap_versions_have(struct ap_core *core, const struct ap_desired *file, const struct ap_node *node)
{
    struct olds olds;

    olds_find(core, file, &olds);
    for (int i = 0; i < olds.n; i++)
        if (is_same(&olds.of[i], node->mtime, node->size, node->sha1))
            return true;
    return false;
}

/* What the node holds is one of the versions, and no revision yet: it has to be written over, even
 * by the same bytes. */
static bool
holds_version(struct ap_core *core, const struct olds *olds, const struct ap_applied *node,
              int64_t mtime)
{
    for (int i = 0; i < olds->n; i++)
        if (is_same(&olds->of[i], node->mtime, node->size, node->sha1))
            return node->mtime != mtime && !is_revision(core, node->id, &olds->of[i]);
    return false;
}

/* Not given up. */
static bool
may_come(struct ap_core *core, int64_t fileid)
{
    struct ap_key key = {AP_NODE, fileid};
    struct ap_work work;

    if (ap_work_get(core->ledger, key, &work))
        return work.tries < core->options.content_tries && work.attempts < REFUSALS;
    return !ap_is_dead(core->ledger, key);
}

/* The newest before `end` that is to be uploaded; -1: none. */
static int
next_due(struct ap_core *core, const struct olds *olds, int end, const struct ap_applied *node)
{
    for (int i = end - 1; i >= 0; i--)
        if (!(node && is_there(core, node, &olds->of[i])) && may_come(core, olds->of[i].fileid))
            return i;
    return -1;
}

/* ---- what is next */

#define OLDER "older-version" /* it waits for: each for the one before it */

/* Opened without a record, or looked at again if what it waits for may be over. One that waits for
 * an older one is woken by that one, and not from here: of hundreds each would look at all. */
static void
wait_for(struct ap_core *core, const char *cause, int64_t fileid, int64_t storage,
         struct ap_next *next)
{
    struct ap_key key = {AP_NODE, fileid};
    struct ap_work work;

    if (!ap_work_get(core->ledger, key, &work) || work.state != AP_WAITING ||
        strcmp(work.cause, OLDER) != 0)
        ap_work_open(core->ledger, key, storage, ls_now_ms());
    *next = (struct ap_next){.verdict = AP_WAIT, .cause = cause, .on = key};
}

/* Is the file about to get content? A time alone is set only where that loses no version. */
static bool
content_next(struct ap_core *core, const struct ap_desired *file, const struct olds *olds,
             const struct ap_applied *node, const struct ap_next *next)
{
    if (next->verdict != AP_CALL || next->op.fileid != file->fileid)
        return false;
    return next->op.call == AP_PUT_FILE ||
           (next->op.call == AP_SET_MTIME && node && !file->encrypted &&
            holds_version(core, olds, node, file->mtime));
}

static void
file_step(struct ap_core *core, int64_t fileid, struct ap_next *next)
{
    struct ap_desired file;
    struct ap_applied node;
    struct olds olds;
    bool have = ap_node_of(core->ledger, fileid, &node);
    int due;

    if ((next->op.call != AP_PUT_FILE && next->op.call != AP_SET_MTIME) ||
        !ap_desired_get(core->ledger, fileid, &file))
        return;
    olds_find(core, &file, &olds);
    if (olds.n == 0 || !content_next(core, &file, &olds, have ? &node : NULL, next))
        return;
    due = next_due(core, &olds, olds.n, have ? &node : NULL);
    if (due >= 0) {
        ap_wake(core->ledger, (struct ap_key){AP_NODE, fileid}); /* those that wait for this */
        wait_for(core, "versions", olds.of[due].fileid, file.storage, next);
    } else if (next->op.call == AP_SET_MTIME) {
        ap_put_call(&core->view, &file, &node, node.storage, next);
    }
}

/* The file has its content without this one. */
static void
too_late(struct ap_core *core, const struct ap_work *work, bool given_up, struct ap_next *next)
{
    next->verdict = AP_LEFT;
    next->cause = "version-late";
    if (work->tries < core->options.content_tries || strncmp(work->cause, "content-", 8) != 0 ||
        ap_content_is_away(work->cause))
        return;
    next->verdict = given_up ? AP_DEAD : AP_LATER;
    next->cause = given_up ? "content" : work->cause;
}

/* Its turn has come: where the file's content would go. */
static void
put_old(struct ap_core *core, int64_t fileid, const struct old *old, const struct ap_next *file,
        const struct ap_applied *node, struct ap_next *next)
{
    struct ap_desired row;

    if (!ap_desired_get(core->ledger, fileid, &row))
        return;
    *next = (struct ap_next){.cause = ""};
    ap_put_call(&core->view, &row, node, file->op.storage, next);
    next->op.fileid = file->op.fileid;
    next->op.parent = file->op.parent;
    memcpy(next->op.name, file->op.name, sizeof(next->op.name));
    next->op.mtime = old->time;
    if (has_false_checksums(core, row.storage))
        next->op.sha1[0] = next->op.md5[0] = next->op.adler32[0] = '\0';
}

/* The file has its content and lies where it belongs, live: an older one may be put over it, and
 * then the content, which is a revision for so long, is restored. */
static bool
may_go_below(struct ap_core *core, const struct ap_work *work, const struct ap_applied *node,
             const struct ap_next *file)
{
    char relative[AP_PATH_SIZE];

    return node && file->verdict == AP_EQUAL && may_come(core, work->key.id) &&
           core->writer->ops->revision_restore &&
           ap_applied_top(&core->view, node, relative, sizeof(relative)) == AP_ROOT &&
           !ap_is_dead(core->ledger, (struct ap_key){AP_NODE, node->fileid});
}

static void
version_step(struct ap_core *core, const struct ap_work *work, bool given_up, struct ap_next *next)
{
    struct ap_desired file;
    struct ap_applied node, *have = &node;
    struct ap_next now;
    struct olds olds;
    int64_t of;
    int me = 0, due;

    next->cause = ap_version_join(core, work->key.id, &of);
    if (of == 0 || !core->options.versions || !ap_desired_get(core->ledger, of, &file))
        return;
    if (!ap_node_of(core->ledger, of, have))
        have = NULL;
    ap_converge_node(&core->view, of, (struct ap_how){0}, &now);
    if (now.verdict == AP_LEFT) { /* what becomes of the file becomes of it */
        next->cause = now.cause;
        return;
    }
    olds_find(core, &file, &olds);
    while (me < olds.n && olds.of[me].fileid != work->key.id)
        me++;
    if (me < olds.n && have && is_there(core, have, &olds.of[me])) {
        next->verdict = AP_EQUAL;
        return;
    }
    if (me == olds.n) {
        too_late(core, work, given_up, next);
    } else if (may_go_below(core, work, have, &now)) {
        due = next_due(core, &olds, me, have);
        now.op.fileid = of;
        now.op.storage = have->storage;
        if (due >= 0)
            wait_for(core, OLDER, olds.of[due].fileid, file.storage, next);
        else
            put_old(core, work->key.id, &olds.of[me], &now, have, next);
    } else if (now.verdict == AP_EQUAL) {
        too_late(core, work, given_up, next);
    } else if (ap_is_dead(core->ledger, (struct ap_key){AP_NODE, of}) ||
               !content_next(core, &file, &olds, have, &now)) {
        *next = (struct ap_next){.verdict = AP_WAIT, .cause = "file", .on = {AP_NODE, of}};
    } else if ((due = next_due(core, &olds, me, have)) >= 0) {
        wait_for(core, OLDER, olds.of[due].fileid, file.storage, next);
    } else {
        put_old(core, work->key.id, &olds.of[me], &now, have, next);
    }
}

void
ap_versions_step(struct ap_core *core, const struct ap_work *work, bool given_up,
                 struct ap_next *next)
{
    if (next->verdict == AP_LEFT && strcmp(next->cause, "version") == 0)
        version_step(core, work, given_up, next);
    else if (core->options.versions && !given_up && next->verdict == AP_CALL &&
             next->op.fileid == work->key.id)
        file_step(core, work->key.id, next);
}

/* ---- the call, and its answer */

/* The node had this content, and an old one was put over it: it is a revision that ownCloud does
 * not have. */
static bool
was_content(struct ap_core *core, const struct ap_applied *node, const struct ap_tree_op *op,
            const struct olds *olds)
{
    for (int i = 0; i < olds->n; i++)
        if (is_same(&olds->of[i], op->mtime, op->size, op->sha1))
            return false;
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM revision WHERE node = ?1 AND mtime = ?2 AND size = ?3"
                     " AND CASE ?4 WHEN '' THEN etag = ?5 ELSE sha1 = ?4 END LIMIT 1",
                     "iiiss", node->id, op->mtime, op->size, op->sha1, op->etag) == 1;
}

void
ap_versions_fill(struct ap_core *core, struct ap_job *job)
{
    struct ap_desired row;
    struct ap_applied node;
    struct olds olds;

    job->version = job->who.kind == AP_NODE && job->who.id != job->op.fileid;
    job->anew = job->version;
    job->there = job->revert = job->reverted = false;
    job->sha1_now[0] = '\0';
    job->blob_mtime = job->op.mtime;
    if (!ap_desired_get(core->ledger, job->who.id, &row))
        return;
    if (job->version) {
        job->blob_mtime = row.mtime;
    } else if (core->options.versions && ap_node_get(core->ledger, job->op.node, &node)) {
        olds_find(core, &row, &olds);
        job->anew = holds_version(core, &olds, &node, job->op.mtime);
        if (row.mtime != job->op.mtime) /* found again after a stop, and ownCloud has gone on */
            olds.n = 0;
        job->revert = was_content(core, &node, &job->op, &olds);
        memcpy(job->sha1_now, node.sha1, sizeof(job->sha1_now));
    }
}

/* Of what ownCloud keeps no version the ledger only knows what the content may be again: a file
 * that is written for ever is not to fill it. Without such a row the target is asked. */
static void
revision_add(struct ap_core *core, const struct ap_tree_op *op, int64_t mtime, int64_t size,
             const char *sha1, const char *etag)
{
    if (ap_exec(core->ledger,
                "INSERT INTO revision(node, mtime, size, sha1, etag) SELECT ?1, ?2, ?3, ?4, ?5"
                " WHERE NOT EXISTS (SELECT 1 FROM revision WHERE node = ?1 AND mtime = ?2"
                " AND size = ?3 AND sha1 = ?4)",
                "iiiss", op->node, mtime, size, sha1, etag) == 0)
        return;
    ap_exec(core->ledger,
            "DELETE FROM revision WHERE node = ?1 AND id <= (SELECT id FROM revision"
            " WHERE node = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2) AND NOT EXISTS"
            " (SELECT 1 FROM version v WHERE v.of = ?3 AND v.time = revision.mtime)",
            "iii", op->node, (int64_t)ALONE_KEPT, op->fileid);
}

void
ap_versions_settled(struct ap_core *core, const struct ap_job *job, const struct ap_applied *old)
{
    const struct ap_tree_op *op = &job->op;

    if (!core->options.versions)
        return;
    if (job->version) /* its content is due again */
        ap_work_open(core->ledger, (struct ap_key){AP_NODE, op->fileid}, op->storage, ls_now_ms());
    if (job->reverted)
        ap_exec(core->ledger,
                "DELETE FROM revision WHERE id = (SELECT id FROM revision WHERE node = ?"
                " AND mtime = ? AND sha1 = ?)",
                "iis", op->node, op->mtime, job->node.sha1);
    if (job->there)
        revision_add(core, op, op->mtime, op->size, op->sha1, op->etag);
    else if (job->reverted || strcmp(old->sha1, job->node.sha1) != 0 ||
             (job->anew && old->mtime != op->mtime))
        revision_add(core, op, old->mtime, old->size, old->sha1, old->etag);
}
