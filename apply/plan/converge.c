/*
 * Desired against applied, for one file or folder. No I/O.
 *
 * What can go wrong, and is answered by waiting rather than by guessing: the parent is not made
 * yet; the name is still held by somebody who is on his way elsewhere; a folder shall move below
 * itself; something that shall live is still inside of what shall go; half of a move between
 * storages has come; the old copy of what moved to another space is still the only one; the chain
 * of parents leads nowhere, or in a ring. Waits may form a ring (a -> b, b -> a): schedule.c sees
 * it and asks again with `forced`, and then the holder of the name is moved aside. Content that
 * cannot be had at all (`given_up`) holds up nothing else: its node moves, goes to the trash and
 * comes back with the content that it has. Rows are trusted in parent and name only, never in
 * path.
 */
#include "apply/plan/converge.h"
#include <stdio.h>
#include <string.h>

/* ---- names and paths */

/* oCIS and the disk below it take names of 255 bytes. */
void
ap_aside_name(char *aside, size_t size, const char *of, int64_t fileid)
{
    char suffix[48];
    size_t n = strlen(of);

    snprintf(suffix, sizeof(suffix), "(lockstep %lld)", (long long)fileid);
    if (n + strlen(suffix) + 1 > 250)
        snprintf(aside, size, "%s", suffix);
    else
        snprintf(aside, size, "%.*s %s", (int)n, of, suffix);
}

bool
ap_blob_path(const struct ap_view *view, const struct ap_desired *row, char *out, size_t size)
{
    struct ap_desired up = *row;
    size_t at = size - 1;
    int depth = 0;

    out[at] = '\0';
    while (up.parent != -1 && depth++ < AP_MAX_DEPTH) {
        size_t n = strlen(up.name);
        if (n + 1 > at)
            return false;
        at -= n;
        memcpy(out + at, up.name, n);
        out[--at] = '/';
        if (!view->desired(view->arg, up.parent, &up))
            return false;
    }
    if (out[at] == '/')
        at++;
    memmove(out, out + at, size - at);
    return true;
}

/* Is `node` (a node id) `top` or below it? */
static bool
is_within(const struct ap_view *view, int64_t node, int64_t top)
{
    struct ap_applied n;

    for (int depth = 0; node > 0 && depth < AP_MAX_DEPTH; depth++) {
        if (node == top)
            return true;
        if (!view->node(view->arg, node, &n))
            return false;
        node = n.parent;
    }
    return false;
}

/* ---- verdicts */

static void
wait_on(struct ap_next *ret, const char *cause, enum ap_kind kind, int64_t id)
{
    ret->verdict = AP_WAIT;
    ret->cause = cause;
    ret->on = (struct ap_key){kind, id};
}

static void
too_deep(struct ap_next *ret)
{
    ret->verdict = AP_DEAD;
    ret->cause = "path-too-long";
}

static struct ap_key
key_of(const struct ap_applied *node)
{
    return node->leftover ? (struct ap_key){AP_LEFTOVER, node->id}
                          : (struct ap_key){AP_NODE, node->fileid};
}

static void
call(struct ap_next *ret, enum ap_call what, const struct ap_applied *node, int64_t storage,
     int64_t fileid)
{
    ret->verdict = AP_CALL;
    ret->op.call = what;
    ret->op.node = node ? node->id : 0;
    ret->op.storage = storage;
    ret->op.fileid = fileid;
    ret->op.mtime = node ? node->mtime : 0;
}

void
ap_put_call(const struct ap_view *view, const struct ap_desired *row, const struct ap_applied *node,
            int64_t storage, struct ap_next *ret)
{
    struct ap_tree_op *op = &ret->op;

    call(ret, AP_PUT_FILE, node, storage, row->fileid);
    if (!ap_blob_path(view, row, op->blob, sizeof(op->blob)))
        too_deep(ret);
    if (row->encrypted) { /* the bytes on the disk are not the content */
        ret->verdict = AP_DEAD;
        ret->cause = "encrypted";
    }
    op->size = row->size;
    op->mtime = row->mtime;
    memcpy(op->etag, row->etag, sizeof(op->etag));
    memcpy(op->sha1, row->sha1, sizeof(op->sha1));
    memcpy(op->md5, row->md5, sizeof(op->md5));
    memcpy(op->adler32, row->adler32, sizeof(op->adler32));
}

/* What shall be done about a name that is held: wait for the holder, or (forced) move him aside. */
static void
held(const struct ap_applied *holder, bool forced, struct ap_next *ret)
{
    struct ap_key on = key_of(holder);

    if (!forced) {
        wait_on(ret, "name", on.kind, on.id);
        return;
    }
    call(ret, AP_MOVE, holder, holder->storage, holder->fileid);
    ret->op.parent = holder->parent;
    ap_aside_name(ret->op.name, sizeof(ret->op.name), holder->name, holder->fileid);
}

static bool
content_differs(const struct ap_desired *row, const struct ap_applied *node)
{
    if (row->folder)
        return false;
    /* Also beside one checksum: of what lies in a bucket ownCloud writes it after the object. */
    if (row->size >= 0 && row->size != node->size)
        return true;
    if (row->sha1[0] && node->sha1[0])
        return strcmp(row->sha1, node->sha1) != 0;
    /* Without a checksum the etag of a local file names its inode, time and size. */
    return row->mtime != node->mtime ||
           (row->etag[0] && node->etag[0] && strcmp(row->etag, node->etag) != 0);
}

/* It shall have other content, and that can be had. */
static bool
content_due(const struct ap_desired *row, const struct ap_applied *node, struct ap_how how)
{
    return content_differs(row, node) && !how.given_up && !row->encrypted;
}

/* Content and time of a node that is where it belongs and live. */
static void
content_step(const struct ap_view *view, const struct ap_desired *row,
             const struct ap_applied *node, struct ap_how how, struct ap_next *ret)
{
    ret->verdict = AP_EQUAL;
    if (row->folder || (content_differs(row, node) && !content_due(row, node, how)))
        return;
    if (content_differs(row, node)) {
        ap_put_call(view, row, node, node->storage, ret);
    } else if (row->mtime != node->mtime) {
        call(ret, AP_SET_MTIME, node, node->storage, row->fileid);
        ret->op.mtime = row->mtime;
        memcpy(ret->op.etag, row->etag, sizeof(ret->op.etag));
        memcpy(ret->op.sha1, row->sha1, sizeof(ret->op.sha1));
    }
}

/* `from` is below `top` and shall not be: the topmost on the way who has to move out. */
static int64_t
way_out(const struct ap_view *view, int64_t from, int64_t top)
{
    struct ap_applied node, above;
    struct ap_desired row;
    int64_t found = 0;

    for (int depth = 0; from > 0 && from != top && depth < AP_MAX_DEPTH; depth++) {
        if (!view->node(view->arg, from, &node) || !view->node(view->arg, node.parent, &above))
            break;
        if (found == 0 || (view->desired(view->arg, node.fileid, &row) &&
                           (row.deleted || row.parent != above.fileid)))
            found = node.fileid;
        from = node.parent;
    }
    return found;
}

/* Brings the row's node to (parent, name): makes, moves or restores it. Returns false when it is
 * there already. `node` NULL: there is none. */
static bool
place_step(const struct ap_view *view, const struct ap_desired *row, const struct ap_applied *node,
           int64_t storage, int64_t parent, const char *name, struct ap_how how,
           struct ap_next *ret)
{
    char relative[AP_PATH_SIZE];
    struct ap_applied holder;
    int64_t top = node ? ap_applied_top(view, node, relative, sizeof(relative)) : AP_ROOT;

    if (node && top == AP_ROOT && node->parent == parent && strcmp(node->name, name) == 0)
        return false;
    if (top == AP_BROKEN) {
        too_deep(ret);
        return true;
    }
    if (node && parent > 0 && is_within(view, parent, node->id)) {
        wait_on(ret, "inside-itself", AP_NODE, way_out(view, parent, node->id));
        return true;
    }
    if (view->node_at(view->arg, storage, parent, name, &holder) &&
        (!node || holder.id != node->id)) {
        held(&holder, how.forced, ret);
        return true;
    }
    if (!node && !row->folder)
        ap_put_call(view, row, NULL, storage, ret);
    else if (!node)
        call(ret, AP_MAKE_FOLDER, NULL, storage, row->fileid);
    else if (top == AP_ROOT)
        call(ret, AP_MOVE, node, storage, row->fileid);
    else
        call(ret, AP_RESTORE, node, storage, row->fileid);
    if (node && top > 0) {
        ret->op.top = top;
        memcpy(ret->op.relative, relative, sizeof(relative));
    }
    ret->op.parent = parent;
    snprintf(ret->op.name, sizeof(ret->op.name), "%s", name);
    return true;
}

/* ---- the cases */

/* Deleted at the source, or turned into something that this writer does not carry. */
static void
gone_step(const struct ap_view *view, const struct ap_applied *node, struct ap_next *ret)
{
    char relative[AP_PATH_SIZE];
    struct ap_applied up;
    struct ap_desired row;
    struct ap_key who;
    int64_t top = ap_applied_top(view, node, relative, sizeof(relative));

    /* When a folder around it goes too, it goes with that. */
    up = *node;
    for (int depth = 0; depth < AP_MAX_DEPTH && up.parent > 0; depth++) {
        if (!view->node(view->arg, up.parent, &up))
            break;
        if (up.leftover ? node->leftover
                        : !node->leftover && view->desired(view->arg, up.fileid, &row) &&
                              row.deleted && row.moved_to == LS_NO_STORAGE) {
            who = key_of(&up);
            wait_on(ret, "with-parent", who.kind, who.id);
            return;
        }
    }
    if (view->inside(view->arg, node->id, &who)) {
        wait_on(ret, "inside", who.kind, who.id);
        return;
    }
    /* Content is never taken away before its new node is there. */
    if (view->only_copy(view->arg, node->id, top != AP_ROOT, &who)) {
        wait_on(ret, "only-copy", who.kind, who.id);
        return;
    }
    if (top == AP_BROKEN) {
        too_deep(ret);
        return;
    }
    if (top == AP_ROOT) {
        call(ret, AP_TRASH, node, node->storage, node->fileid);
        return;
    }
    call(ret, AP_PURGE, node, node->storage, node->fileid);
    ret->op.top = top;
    memcpy(ret->op.relative, relative, sizeof(relative));
}

/* The parent's node is in the trash, where nothing can be made: wait for the ancestor that has to
 * come out of it. A trash item that is rightly there is asked to. */
static void
misplaced_ancestor(const struct ap_view *view, const struct ap_desired *row,
                   const struct ap_place *place, struct ap_next *ret)
{
    struct ap_applied node, above;
    struct ap_desired up;
    int64_t at = row->parent;

    for (int depth = 0; depth < AP_MAX_DEPTH && at != place->top; depth++) {
        if (!view->node_of(view->arg, at, &node) || !view->desired(view->arg, at, &up) ||
            up.parent == place->files || !view->node_of(view->arg, up.parent, &above) ||
            node.parent != above.id)
            break;
        at = up.parent;
    }
    if (at == place->top && view->node_of(view->arg, at, &node) && node.parent == AP_TRASHED)
        wait_on(ret, "trash-reopen", AP_NODE, at);
    else
        wait_on(ret, "parent", AP_NODE, at);
}

/* The node of the desired parent, when something can be put there; else what to wait for. */
static bool
parent_node(const struct ap_view *view, const struct ap_desired *row, const struct ap_place *place,
            int64_t *ret_parent, struct ap_next *ret)
{
    char relative[AP_PATH_SIZE];
    struct ap_applied up;

    if (place->class == AP_CLASS_LIVE && row->parent == place->files) {
        *ret_parent = AP_ROOT;
        return true;
    }
    if (!view->node_of(view->arg, row->parent, &up) || up.storage != place->storage || !up.folder) {
        wait_on(ret, "parent", AP_NODE, row->parent);
        return false;
    }
    if (ap_applied_top(view, &up, relative, sizeof(relative)) != AP_ROOT) {
        misplaced_ancestor(view, row, place, ret);
        return false;
    }
    *ret_parent = up.id;
    return true;
}

static void
live_step(const struct ap_view *view, const struct ap_desired *row, const struct ap_place *place,
          const struct ap_applied *node, const struct ap_space_row *space, struct ap_how how,
          struct ap_next *ret)
{
    int64_t parent;

    if (!node && !row->folder && !space->copied && view->trash_open(view->arg, place->storage)) {
        wait_on(ret, "trash-first", AP_TRASH_OF, place->storage);
        return;
    }
    if (!parent_node(view, row, place, &parent, ret))
        return;
    if (!place_step(view, row, node, place->storage, parent, row->name, how, ret) && node)
        content_step(view, row, node, how, ret);
}

/* Something below a trash item: in its place there, wherever the item itself is now. */
static void
trash_inner_step(const struct ap_view *view, const struct ap_desired *row,
                 const struct ap_place *place, const struct ap_applied *node, struct ap_how how,
                 struct ap_next *ret)
{
    struct ap_applied up;
    int64_t parent;
    bool there = node && view->node_of(view->arg, row->parent, &up) && node->parent == up.id &&
                 strcmp(node->name, row->name) == 0;

    if (there && !content_due(row, node, how)) {
        ret->verdict = AP_EQUAL; /* times of what lies in the trash are not looked after */
        return;
    }
    if (!parent_node(view, row, place, &parent, ret))
        return;
    if (!place_step(view, row, node, place->storage, parent, row->name, how, ret) && node)
        content_step(view, row, node, how, ret);
}

/* Where a trash item is made, or was last: the folder it was deleted from when that is there. */
static bool
staging_place(const struct ap_view *view, const struct ap_desired *row,
              const struct ap_space_row *space, const struct ap_applied *node, int64_t *ret_parent,
              char *name, size_t size, struct ap_next *ret)
{
    char base[AP_NAME_SIZE], relative[AP_PATH_SIZE];
    struct ap_applied folder, holder;
    int64_t origin = 0;
    bool known;

    if (ap_trash_name(row->name, base, sizeof(base)) == 0)
        snprintf(base, sizeof(base), "%s", row->name);
    *ret_parent = AP_ROOT;
    known = view->trash_origin(view->arg, row, space, base, &origin);
    if (known && origin != 0) {
        if (view->node_of(view->arg, origin, &folder) && folder.storage == space->storage &&
            folder.folder && ap_applied_top(view, &folder, relative, sizeof(relative)) == AP_ROOT &&
            !(node && is_within(view, folder.id, node->id))) {
            *ret_parent = folder.id;
        } else if (!node) {
            wait_on(ret, "parent", AP_NODE, origin);
            return false;
        }
    } else if (!known && node &&
               ap_applied_top(view, node, relative, sizeof(relative)) == AP_ROOT) {
        *ret_parent = node->parent; /* it is deleted from where it is */
    }
    snprintf(name, size, "%s", base);
    if (view->node_at(view->arg, space->storage, *ret_parent, name, &holder) &&
        (!node || holder.id != node->id))
        ap_aside_name(name, size, base, row->fileid);
    return true;
}

/* It lies in the trash under the name that it had when it was deleted (last). */
static bool
trash_name_right(const struct ap_desired *row, const struct ap_applied *node)
{
    char base[AP_NAME_SIZE], aside[AP_NAME_SIZE];

    if (ap_trash_name(row->name, base, sizeof(base)) == 0)
        snprintf(base, sizeof(base), "%s", row->name);
    ap_aside_name(aside, sizeof(aside), base, row->fileid);
    return strcmp(node->name, base) == 0 || strcmp(node->name, aside) == 0;
}

/* It is live still, and not all that belongs into it is there, or not all else is out. */
static bool
trash_waits(const struct ap_view *view, const struct ap_desired *row, const struct ap_applied *node,
            struct ap_next *ret)
{
    struct ap_key who;
    int64_t other;

    if (view->unfinished(view->arg, row->fileid, &other)) {
        wait_on(ret, "fill", AP_NODE, other);
        return true;
    }
    if (view->inside(view->arg, node->id, &who)) {
        wait_on(ret, "inside", who.kind, who.id);
        return true;
    }
    return false;
}

static void
trash_top_step(const struct ap_view *view, const struct ap_desired *row,
               const struct ap_place *place, const struct ap_applied *node,
               const struct ap_space_row *space, struct ap_how how, struct ap_next *ret)
{
    char relative[AP_PATH_SIZE], name[AP_NAME_SIZE];
    int64_t parent, other;
    int64_t top = node ? ap_applied_top(view, node, relative, sizeof(relative)) : AP_ROOT;
    bool differs = node && content_due(row, node, how);

    if (node && top == node->id && !differs && trash_name_right(row, node) &&
        !view->reopened(view->arg, row->fileid)) {
        ret->verdict = AP_EQUAL;
        return;
    }
    if (!node && !space->copied && view->older_trash(view->arg, row, &other)) {
        wait_on(ret, "older-trash", AP_NODE, other);
        return;
    }
    if (node && top == AP_ROOT && !differs && trash_waits(view, row, node, ret))
        return;
    /* Moved only while nothing else is to be done: the name under which it lies in the trash. */
    if (!staging_place(view, row, space, node, &parent, name, sizeof(name), ret) ||
        place_step(view, row, node, place->storage, parent, name, how, ret) || !node)
        return;
    if (differs) {
        ap_put_call(view, row, node, node->storage, ret);
        return;
    }
    call(ret, AP_TRASH, node, node->storage, row->fileid);
}

/* Is the space there and able to act? */
static bool
space_ready(const struct ap_view *view, int64_t storage, struct ap_space_row *space,
            struct ap_next *ret)
{
    int64_t person;

    if (!view->space(view->arg, storage, space) || !space->known || space->unknown) {
        wait_on(ret, "space-unknown", AP_SPACE, storage);
        return false;
    }
    if (space->type != CS3_SPACE_PERSONAL) {
        ret->verdict = AP_LEFT;
        ret->cause = space->type == CS3_SPACE_IGNORED ? "ignored" : "project";
        return false;
    }
    if (!space->ready && space->deleted) { /* none is made for it any more */
        wait_on(ret, "space-deleted", AP_SPACE, storage);
        return false;
    }
    if (!space->ready) {
        wait_on(ret, "space", AP_SPACE, storage);
        return false;
    }
    if (view->owner_off(view->arg, space, &person)) {
        wait_on(ret, "owner-disabled", AP_PERSON, person);
        return false;
    }
    if (space->look) { /* what acts may be somebody else, and the space not his */
        wait_on(ret, "look", AP_SPACE, storage);
        return false;
    }
    return true;
}

/* What the row is now is not carried: a node that it once had goes. */
static void
not_carried(const struct ap_view *view, const struct ap_applied *node, const char *what,
            struct ap_next *ret)
{
    struct ap_space_row space;

    if (node && space_ready(view, node->storage, &space, ret))
        gone_step(view, node, ret);
    if (node)
        return;
    ret->verdict = AP_LEFT;
    ret->cause = what;
}

static void
carried(const struct ap_view *view, const struct ap_desired *row, const struct ap_place *place,
        const struct ap_applied *node, struct ap_how how, struct ap_next *ret)
{
    struct ap_space_row space;
    int64_t twin;

    if (node && node->storage != place->storage) {
        ret->verdict = AP_LEAVE;
        return;
    }
    if (node && node->folder != row->folder) {
        ret->verdict = AP_LEAVE; /* an id used again for something else */
        return;
    }
    if (!space_ready(view, place->storage, &space, ret)) {
        if (ret->verdict == AP_LEFT && node)
            ret->verdict = AP_LEAVE;
        return;
    }
    if (row->name[0] == '\0' || strchr(row->name, '/')) {
        ret->verdict = AP_DEAD;
        ret->cause = "name";
        return;
    }
    if (view->twin(view->arg, row, &twin)) {
        wait_on(ret, "name-twin", AP_NODE, twin);
        return;
    }
    if (place->class == AP_CLASS_LIVE)
        live_step(view, row, place, node, &space, how, ret);
    else if (place->top == row->fileid)
        trash_top_step(view, row, place, node, &space, how, ret);
    else
        trash_inner_step(view, row, place, node, how, ret);
}

/* Nothing is left to do but to say that its content is not the row's. */
static void
without_content(const struct ap_desired *row, const struct ap_applied *node, struct ap_how how,
                struct ap_next *ret)
{
    if (ret->verdict != AP_EQUAL || !node || !content_differs(row, node) ||
        content_due(row, node, how))
        return;
    ret->verdict = AP_DEAD;
    ret->cause = row->encrypted ? "encrypted" : "content";
}

void
ap_converge_node(const struct ap_view *view, int64_t fileid, struct ap_how how, struct ap_next *ret)
{
    struct ap_desired row;
    struct ap_applied node;
    struct ap_space_row space;
    struct ap_place place;
    bool have = view->node_of(view->arg, fileid, &node);

    memset(ret, 0, sizeof(*ret));
    ret->verdict = AP_EQUAL;
    ret->cause = "";
    if (!view->desired(view->arg, fileid, &row))
        return;
    if (row.deleted && row.moved_to != LS_NO_STORAGE) {
        wait_on(ret, "moving", AP_NODE, fileid);
        return;
    }
    if (row.deleted) {
        if (have && space_ready(view, node.storage, &space, ret))
            gone_step(view, &node, ret);
        return;
    }
    ap_place_find(view, &row, &place);
    /* A project space has no fixed folders: all in it is content, which this release leaves. */
    if (row.parent != -1 && place.class != AP_CLASS_ORPHAN && place.class != AP_CLASS_MOVING &&
        place.class != AP_CLASS_LOOP && view->space(view->arg, place.storage, &space) &&
        space.known && space.type == CS3_SPACE_PROJECT) {
        ret->verdict = have ? AP_LEAVE : AP_LEFT;
        ret->cause = "project";
        return;
    }
    switch (place.class) {
    case AP_CLASS_FIXED:
        if (have) /* an ordinary folder that became `files`: its node is not that */
            ret->verdict = AP_LEAVE;
        return;
    case AP_CLASS_ORPHAN:
        wait_on(ret, "orphan", AP_NODE, place.broken);
        return;
    case AP_CLASS_MOVING:
        wait_on(ret, "moving", AP_NODE, place.broken);
        return;
    case AP_CLASS_LOOP:
        ret->verdict = AP_DEAD;
        ret->cause = "loop";
        return;
    case AP_CLASS_VERSION:
        not_carried(view, have ? &node : NULL, "version", ret);
        return;
    case AP_CLASS_OTHER:
        not_carried(view, have ? &node : NULL, "other", ret);
        return;
    case AP_CLASS_LIVE:
    case AP_CLASS_TRASH:
        carried(view, &row, &place, have ? &node : NULL, how, ret);
        without_content(&row, have ? &node : NULL, how, ret);
        return;
    }
}

void
ap_converge_leftover(const struct ap_view *view, int64_t id, struct ap_next *ret)
{
    struct ap_applied node;
    struct ap_space_row space;

    memset(ret, 0, sizeof(*ret));
    ret->verdict = AP_EQUAL;
    ret->cause = "";
    if (view->node(view->arg, id, &node) && node.leftover &&
        space_ready(view, node.storage, &space, ret))
        gone_step(view, &node, ret);
}
