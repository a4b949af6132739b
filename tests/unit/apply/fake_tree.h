/*
 * The part of the target in memory (fake_target.h, which takes it in) that is files: folders,
 * content and its revisions, the trash.
 */
#ifndef FAKE_TREE_H
#define FAKE_TREE_H

#include "fake_target.h"

/* ---- what is expected of a node */

static int
fake_drifted(struct ls_err *err, const char *cause, const char *what)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, cause, "%.60s", what);
}

/* It, or the folder for it (i 0), is not live: who of those expected around it is in the trash? */
static int
fake_drift_gone(struct fake_target *f, int i, const struct ap_expect *expect, struct ls_err *err)
{
    int above = expect && expect->n_above ? fake_index(f, expect->above[0]) : 0;

    for (int at = i ? i : above; expect && at > 0; at = f->nodes[at].parent)
        if (f->nodes[at].trashed) {
            snprintf(expect->ret_trashed, AP_ID_SIZE, "n%d", at);
            return fake_drifted(err, "deleted-at-target", f->nodes[at].name);
        }
    return 0;
}

static int
fake_drift_place(struct fake_target *f, int i, const struct ap_space *space,
                 const struct ap_expect *expect, struct ls_err *err)
{
    char parent[AP_ID_SIZE];

    snprintf(parent, sizeof(parent), "n%d", f->nodes[i].parent);
    if (!expect || !expect->parent_id ||
        (strcmp(f->nodes[i].parent ? parent : space->root_id, expect->parent_id) == 0 &&
         strcmp(f->nodes[i].name, expect->name) == 0))
        return 0;
    return fake_drifted(err, "moved-at-target", f->nodes[i].name);
}

static int
fake_drift_content(struct fake_target *f, int i, const struct ap_expect *expect, struct ls_err *err)
{
    if (!expect || f->nodes[i].folder || strcmp(f->nodes[i].sha1, expect->sha1) == 0)
        return 0;
    return fake_drifted(err, "changed-at-target", f->nodes[i].name);
}

static int
fake_drift_below(struct fake_target *f, int top, const struct ap_expect *expect, struct ls_err *err)
{
    char id[AP_ID_SIZE], up[AP_ID_SIZE];
    uint64_t sum = 0;

    if (!expect || !expect->below_known || !f->nodes[top].folder)
        return 0;
    for (int i = 1; i < f->n_nodes; i++) {
        if (!f->nodes[i].used || i == top || !fake_within(f, i, top))
            continue;
        snprintf(id, sizeof(id), "n%d", i);
        snprintf(up, sizeof(up), "n%d", f->nodes[i].parent);
        sum += ap_drift_mark(id, up, f->nodes[i].name, f->nodes[i].folder ? "" : f->nodes[i].sha1,
                             f->nodes[i].folder ? 0 : f->nodes[i].size);
    }
    return sum == expect->below ? 0 : fake_drifted(err, "changed-at-target", f->nodes[top].name);
}

static int
fake_drift_item(struct fake_target *f, int top, const struct ap_expect *expect, struct ls_err *err)
{
    if (!expect || !expect->deleted_at)
        return 0;
    if (!f->nodes[top].trashed)
        return fake_drifted(err, "moved-at-target", f->nodes[top].name);
    if (f->nodes[top].deleted_at == expect->deleted_at)
        return 0;
    return fake_drifted(err, expect->deleted_at < 0 ? "deleted-at-target" : "changed-at-target",
                        f->nodes[top].name);
}

/* Index of the parent, 0 for the root; -1 with err. */
static int
fake_parent(struct fake_target *f, const struct ap_space *space, const char *id,
            const struct ap_expect *expect, struct ls_err *err)
{
    int i = fake_index(f, id);

    if (strcmp(id, space->root_id) == 0)
        return 0;
    if (!*id) { /* oCIS takes that for the root of the space */
        fake_broken(f, "parent", "no id");
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "a parent without an id");
    }
    if (i == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "parent-gone", "no parent %s", id);
    if (fake_in_trash(f, i) && fake_drift_gone(f, 0, expect, err) < 0)
        return -1;
    if (fake_in_trash(f, i) || !f->nodes[i].folder ||
        strcmp(f->nodes[i].space, space->space_id) != 0) {
        fake_broken(f, "parent", id);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "parent-gone", "parent %s is no place", id);
    }
    return i;
}

/* ---- the tree */

static int
fake_make_folder(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                 const char *name, const struct ap_expect *expect, bool doubtful,
                 struct ap_node *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i, parent;

    if (r < 0 && !happens)
        return r;
    if ((parent = fake_parent(f, space, parent_id, expect, err)) < 0)
        return -1;
    i = fake_child(f, space->space_id, parent, name);
    if (i != 0 && !(doubtful && f->nodes[i].folder)) {
        fake_broken(f, "make_folder", name);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "taken", "taken: %s", name);
    }
    if (i == 0) {
        i = fake_add(f, space, parent, name, true);
        f->makes++;
    }
    if (r == 0)
        fake_answer(f, i, ret);
    return r;
}

/* What is written over becomes a revision, by its time. */
static void
fake_revise(struct fake_target *f, int i)
{
    const struct fake_node *n = &f->nodes[i];
    struct fake_revision *r = &f->revisions[f->n_revisions++];

    if (f->n_revisions >= FAKE_REVISIONS)
        abort();
    *r = (struct fake_revision){.node = i, .mtime = n->mtime, .size = n->size, .ns = n->ns};
    snprintf(r->sha1, sizeof(r->sha1), "%s", n->sha1);
}

static int
fake_revision_find(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                   int64_t mtime, int64_t size, bool *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    int i = fake_index(f, node_id);

    (void)space;
    f->finds++;
    *ret = false;
    if (i == 0 || fake_in_trash(f, i))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "no node %s", node_id);
    for (int n = 0; n < f->n_revisions; n++)
        if (f->revisions[n].node == i && f->revisions[n].mtime == mtime &&
            (size < 0 || f->revisions[n].size == size))
            *ret = true;
    return 0;
}

static int
fake_revision_restore(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                      int64_t mtime, uint32_t mtime_ns, int64_t size, const char *sha1,
                      const char *sha1_now, bool *ret_done, struct ap_node *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i = fake_index(f, node_id), at = -1;
    struct fake_revision old;

    (void)space;
    *ret_done = false;
    if (r < 0 && !happens)
        return r;
    for (int n = 0; n < f->n_revisions; n++)
        if (f->revisions[n].node == i && f->revisions[n].mtime == mtime &&
            f->revisions[n].size == size)
            at = n;
    if (at < 0 && strcmp(f->nodes[i].sha1, sha1) != 0)
        return 0;
    if (at >= 0 && strcmp(f->nodes[i].sha1, sha1_now) != 0)
        return fake_broken(f, "revision_restore", node_id) * 0;
    if (at >= 0) {
        f->reverts++;
        old = f->revisions[at];
        fake_revise(f, i);
        f->revisions[at] = f->revisions[--f->n_revisions];
        snprintf(f->nodes[i].sha1, sizeof(f->nodes[i].sha1), "%s", old.sha1);
        f->nodes[i].size = old.size;
    }
    f->nodes[i].mtime = mtime;
    f->nodes[i].ns = mtime_ns;
    *ret_done = true;
    if (r == 0)
        fake_answer(f, i, ret);
    return r;
}

static int
fake_put_file(struct ap_writer *w, const struct ap_space *space, const char *node_id,
              const char *parent_id, const char *name, const struct ap_blob_want *blob,
              int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful,
              struct ap_node *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    const char *content;
    bool happens;
    int r = fake_trouble(f, &happens, err), i = 0, parent = 0;

    if (r < 0 && !happens)
        return r;
    if (node_id && (i = fake_index(f, node_id)) != 0 && fake_in_trash(f, i) &&
        fake_drift_gone(f, i, expect, err) < 0)
        return -1;
    if (node_id && doubtful && (i = fake_index(f, node_id)) != 0 && !fake_in_trash(f, i) &&
        f->nodes[i].mtime == mtime && f->nodes[i].ns == mtime_ns) {
        if (r == 0)
            fake_answer(f, i, ret);
        return r; /* its own earlier try, whatever the source has by now */
    }
    if (node_id && (i = fake_index(f, node_id)) != 0 && fake_drift_content(f, i, expect, err) < 0)
        return -1;
    if (node_id && ((i = fake_index(f, node_id)) == 0 || fake_in_trash(f, i))) {
        fake_broken(f, "put_file", node_id ? node_id : name);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "no node %s", node_id);
    }
    if (!node_id) {
        if ((parent = fake_parent(f, space, parent_id, expect, err)) < 0)
            return -1;
        i = fake_child(f, space->space_id, parent, name);
        if (i != 0 && doubtful && f->nodes[i].mtime == mtime && f->nodes[i].ns == mtime_ns) {
            if (r == 0)
                fake_answer(f, i, ret);
            return r;
        }
        if (i != 0) {
            fake_broken(f, "put_file", node_id ? node_id : name);
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "taken", "taken: %s", name);
        }
    }
    if (node_id && blob->sha1 && strcmp(f->nodes[i].sha1, blob->sha1) == 0 &&
        (blob->size < 0 || blob->size == f->nodes[i].size) &&
        (!blob->anew || f->nodes[i].mtime == mtime)) {
        f->nodes[i].mtime = mtime; /* it is there: nothing is read or sent */
        f->nodes[i].size = blob->size >= 0 ? blob->size : f->nodes[i].size;
        f->nodes[i].ns = mtime_ns;
        if (r == 0)
            fake_answer(f, i, ret);
        return r;
    }
    content = f->content ? f->content(f->content_arg, space->owner, blob->relative) : blob->sha1;
    if (!content)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-missing", "no %s", blob->relative);
    if (blob->sha1 && strcmp(content, blob->sha1) != 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-mismatch", "%s", blob->relative);
    if (!node_id)
        i = fake_add(f, space, parent, name, false);
    if (node_id)
        fake_revise(f, i);
    f->puts++;
    snprintf(f->nodes[i].sha1, sizeof(f->nodes[i].sha1), "%s", content);
    f->nodes[i].size = blob->size;
    f->nodes[i].mtime = mtime;
    f->nodes[i].ns = mtime_ns;
    if (r == 0)
        fake_answer(f, i, ret);
    return r;
}

static int
fake_set_mtime(struct ap_writer *w, const struct ap_space *space, const char *node_id,
               int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i = fake_index(f, node_id);

    (void)space;
    if (r < 0 && !happens)
        return r;
    if (i == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "no node %s", node_id);
    if ((fake_in_trash(f, i) && fake_drift_gone(f, i, expect, err) < 0) ||
        fake_drift_content(f, i, expect, err) < 0)
        return -1;
    f->mtimes++;
    f->nodes[i].mtime = mtime;
    f->nodes[i].ns = mtime_ns;
    return r;
}

static int
fake_move(struct ap_writer *w, const struct ap_space *space, const char *node_id,
          const char *parent_id, const char *name, const struct ap_expect *expect, bool doubtful,
          struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i = fake_index(f, node_id), parent, there;

    if (r < 0 && !happens)
        return r;
    if (i != 0 && f->nodes[i].trashed && expect) {
        snprintf(expect->ret_trashed, AP_ID_SIZE, "n%d", i);
        return fake_drifted(err, "deleted-at-target", f->nodes[i].name);
    }
    if (i == 0 || fake_in_trash(f, i)) {
        fake_broken(f, "move", name);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "no node %s", node_id);
    }
    if ((parent = fake_parent(f, space, parent_id, expect, err)) < 0)
        return -1;
    there = fake_child(f, space->space_id, parent, name);
    if (there == i && doubtful)
        return r;
    if (fake_drift_place(f, i, space, expect, err) < 0)
        return -1;
    if (there != 0 || (parent != 0 && fake_within(f, parent, i))) {
        fake_broken(f, "move", name);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "taken", "taken: %s", name);
    }
    f->moves++;
    f->nodes[i].parent = parent;
    snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "%s", name);
    return r;
}

static int
fake_trash(struct ap_writer *w, const struct ap_space *space, const char *node_id,
           const struct ap_expect *expect, bool doubtful, struct ap_node *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i = fake_index(f, node_id);

    if (r < 0 && !happens)
        return r;
    if (i != 0 && f->nodes[i].trashed && !doubtful && expect) {
        ret->deleted_at = -1;
        return r;
    }
    if (i != 0 && !fake_in_trash(f, i) &&
        (fake_drift_place(f, i, space, expect, err) < 0 ||
         fake_drift_content(f, i, expect, err) < 0 || fake_drift_below(f, i, expect, err) < 0))
        return -1;
    if (i == 0 || (!doubtful && fake_in_trash(f, i))) {
        fake_broken(f, "trash", node_id);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "no node %s", node_id);
    }
    if (!f->nodes[i].trashed) {
        f->trashes++;
        f->nodes[i].deleted_at = ++f->clock;
        snprintf(f->trashed_in, sizeof(f->trashed_in), "%s", f->nodes[f->nodes[i].parent].name);
    }
    f->nodes[i].trashed = true;
    f->nodes[i].parent = 0;
    if (expect && r == 0)
        ret->deleted_at = f->nodes[i].deleted_at;
    return r;
}

/* The node that a trash reference names; 0 when it is not there. */
static int
fake_ref(struct fake_target *f, struct ap_trash_ref ref)
{
    char path[9000];
    int i = fake_index(f, ref.top_id);

    if (i == 0 || !f->nodes[i].trashed)
        return 0;
    snprintf(path, sizeof(path), "%s", ref.relative ? ref.relative : "");
    for (char *save = NULL, *part = strtok_r(path, "/", &save); part && i;
         part = strtok_r(NULL, "/", &save))
        i = fake_child(f, f->nodes[i].space, i, part);
    return i;
}

static int
fake_restore(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref from,
             const char *parent_id, const char *name, const struct ap_expect *expect, bool doubtful,
             struct ap_node *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i, parent, there;

    if (r < 0 && !happens)
        return r;
    if ((parent = fake_parent(f, space, parent_id, expect, err)) < 0)
        return -1;
    there = fake_child(f, space->space_id, parent, name);
    i = fake_ref(f, from);
    if (i == 0 && there != 0 && doubtful) {
        if (r == 0)
            fake_answer(f, there, ret);
        return r;
    }
    if (i == 0 && there != 0 && there == fake_index(f, from.top_id)) {
        fake_answer(f, there, ret); /* somebody has done it */
        return r;
    }
    if (fake_index(f, from.top_id) != 0 &&
        fake_drift_item(f, fake_index(f, from.top_id), expect, err) < 0)
        return -1;
    if (i == 0 || there != 0) {
        fake_broken(f, "restore", name);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, i ? "taken" : "gone", "%s", name);
    }
    f->restores++;
    f->nodes[i].trashed = false;
    f->nodes[i].parent = parent;
    snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "%s", name);
    if (r == 0)
        fake_answer(f, i, ret);
    return r;
}

static int
fake_purge(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref what,
           const struct ap_expect *expect, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), top = fake_ref(f, what);

    (void)space;
    if (r < 0 && !happens)
        return r;
    if (fake_index(f, what.top_id) != 0 &&
        fake_drift_item(f, fake_index(f, what.top_id), expect, err) < 0)
        return -1;
    if (top == 0)
        return r;
    f->purges++;
    for (int i = f->n_nodes - 1; i > 0; i--)
        if (f->nodes[i].used && i != top && fake_within(f, i, top))
            f->nodes[i].name[0] = '\0'; /* marked; parents are still needed for the walk */
    for (int i = 1; i < f->n_nodes; i++)
        if (f->nodes[i].used && f->nodes[i].name[0] == '\0')
            f->nodes[i].used = false;
    f->nodes[top].used = false;
    return r;
}

#endif
