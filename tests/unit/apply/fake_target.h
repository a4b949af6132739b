/*
 * A target in memory, behind apply/writer.h: ids made by it, a tree, a trash, shares, and trouble
 * on demand. It refuses what oCIS would spoil: a second node under one name, a folder moved below
 * itself, anything made in the trash.
 */
#ifndef FAKE_TARGET_H
#define FAKE_TARGET_H

#include "apply/plan/drift.h"
#include "apply/writer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_NODES 60000
#define FAKE_SHARES 4000
#define FAKE_REVISIONS 20000

struct fake_node {
    bool used, folder, trashed; /* trashed: top of an item */
    char space[AP_ID_SIZE];
    int parent; /* index; 0: the space's root */
    char name[300];
    char sha1[41];
    int64_t mtime, size, deleted_at;
    uint32_t ns;
};

struct fake_revision {
    int node;
    int64_t mtime, size;
    uint32_t ns;
    char sha1[41];
};

struct fake_share {
    bool used, link, group;
    bool grant_left; /* it is gone, and what it had given is not */
    int node;
    char grantee[64];
    int64_t permissions, expires;
    int64_t row, ctime; /* what only an exact writer keeps */
    int64_t made_of;    /* the row that its id names when the writer is exact */
    char token[32], hash[80];
};

struct fake_received {
    bool used;
    int share;
    char uid[64], mount[128];
    enum cs3_share_state state;
};

struct fake_fact {
    char what[160];
    bool on;
};

struct fake_target {
    struct ap_writer writer;
    struct fake_fact facts[64]; /* "member Gg Uu", "user Uu": what was last said of them */
    int n_facts;
    struct fake_node *nodes; /* [0] is no node */
    int n_nodes;
    struct fake_revision *revisions;
    int n_revisions, finds, reverts;
    struct fake_share shares[FAKE_SHARES];
    int n_shares;
    struct fake_received received[FAKE_SHARES];
    int n_received;
    int removals_cut; /* that many lose their answer, and leave the grant */
    int cleared;      /* what may be there of a share in part */
    int looks;
    char lost[8][64]; /* ids of people and spaces that are not there */
    int n_lost;
    int users_off;      /* how many are disabled */
    int groups_removed; /* the next one made has another id */
    int64_t quota;      /* the last one set, of any space */
    int quota_sets;
    /* trouble: of 1000 calls, how many... */
    int lost_answers; /* ... happen, and answer "timeout" */
    int lost_calls;   /* ... do not happen, and answer "timeout" */
    int busy, down;
    /* the content of the source, asked by path; NULL: not there */
    const char *(*content)(void *arg, const char *home_owner, const char *relative);
    void *content_arg;
    int64_t clock; /* of deletions */
    int calls, moves, puts, makes, trashes, purges, restores, mtimes, share_sets, received_sets;
    int link_sets, broken;    /* broken: something that must never be asked for */
    char what[100];           /* ... the last of it */
    char trashed_in[300];     /* the name of the folder where the last item lay; "" the root */
    char removed[AP_ID_SIZE]; /* the last share or link */
    char named[64];           /* the last user's display name */
    char mailed[64];          /* ... and address; "kept": none was named */
    char sought[256];         /* the directory_uuid of the last one who was looked for */
    char matched[512];        /* whom it was told of: "uid=id " of each */
};

static struct fake_target *
fake_of(struct ap_writer *w)
{
    return (struct fake_target *)(void *)w;
}

static int
fake_broken(struct fake_target *f, const char *what, const char *who)
{
    snprintf(f->what, sizeof(f->what), "%s: %.60s", what, who);
    return ++f->broken;
}

static int
fake_trouble(struct fake_target *f, bool *happens, struct ls_err *err)
{
    int dice = (int)(random() % 1000);

    f->calls++;
    *happens = true;
    if ((dice -= f->lost_answers) < 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the answer was lost");
    *happens = false;
    if ((dice -= f->lost_calls) < 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the call was lost");
    if ((dice -= f->busy) < 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 423, "busy", "locked");
    if ((dice -= f->down) < 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 14, "target-down", "no connection");
    *happens = true;
    return 0;
}

/* ---- tree helpers */

static int
fake_index(struct fake_target *f, const char *id)
{
    int i = id && id[0] == 'n' ? atoi(id + 1) : 0;

    return i > 0 && i < f->n_nodes && f->nodes[i].used ? i : 0;
}

static bool
fake_in_trash(struct fake_target *f, int i)
{
    for (; i > 0; i = f->nodes[i].parent)
        if (f->nodes[i].trashed)
            return true;
    return false;
}

static bool
fake_within(struct fake_target *f, int i, int top)
{
    for (; i > 0; i = f->nodes[i].parent)
        if (i == top)
            return true;
    return false;
}

static int
fake_child(struct fake_target *f, const char *space, int parent, const char *name)
{
    for (int i = 1; i < f->n_nodes; i++)
        if (f->nodes[i].used && !f->nodes[i].trashed && f->nodes[i].parent == parent &&
            strcmp(f->nodes[i].space, space) == 0 && strcmp(f->nodes[i].name, name) == 0)
            return i;
    return 0;
}

static void
fake_answer(struct fake_target *f, int i, struct ap_node *ret)
{
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->id, sizeof(ret->id), "n%d", i);
    snprintf(ret->sha1, sizeof(ret->sha1), "%s", f->nodes[i].sha1);
    ret->size = f->nodes[i].size;
    ret->mtime = f->nodes[i].mtime;
}

static int
fake_add(struct fake_target *f, const struct ap_space *space, int parent, const char *name,
         bool folder)
{
    int i = f->n_nodes++;

    if (i >= FAKE_NODES)
        abort();
    f->nodes[i] = (struct fake_node){.used = true, .folder = folder, .parent = parent};
    snprintf(f->nodes[i].space, sizeof(f->nodes[i].space), "%s", space->space_id);
    snprintf(f->nodes[i].name, sizeof(f->nodes[i].name), "%s", name);
    return i;
}

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

/* ---- people */

/* What was lost is made again. */
static void
fake_found(struct fake_target *f, const char *id)
{
    for (int i = 0; i < f->n_lost; i++)
        if (strcmp(f->lost[i], id) == 0)
            f->lost[i][0] = '\0';
}

static struct fake_fact *
fake_fact_find(struct fake_target *f, const char *what)
{
    for (int i = 0; i < f->n_facts; i++)
        if (strcmp(f->facts[i].what, what) == 0)
            return &f->facts[i];
    return NULL;
}

/* What was last said of it, or what holds as long as nothing was. */
static bool
fake_said(struct fake_target *f, const char *what, bool otherwise)
{
    struct fake_fact *fact = fake_fact_find(f, what);

    return fact ? fact->on : otherwise;
}

static struct fake_fact *
fake_fact(struct fake_target *f, const char *what)
{
    struct fake_fact *fact = fake_fact_find(f, what);

    if (fact)
        return fact;
    if (f->n_facts == 64)
        abort();
    snprintf(f->facts[f->n_facts].what, sizeof(f->facts[0].what), "%s", what);
    return &f->facts[f->n_facts++];
}

static int
fake_user_ensure(struct ap_writer *w, const struct cs3_person *person, struct ap_person_id *ret,
                 struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    if (happens)
        snprintf(fake_of(w)->named, sizeof(fake_of(w)->named), "%.*s", (int)person->display_name.n,
                 person->display_name.p);
    if (happens)
        snprintf(fake_of(w)->mailed, sizeof(fake_of(w)->mailed), "%.*s",
                 person->mail.p ? (int)person->mail.n : 4,
                 person->mail.p ? person->mail.p : "kept");
    snprintf(fake_of(w)->sought, sizeof(fake_of(w)->sought), "%.*s", (int)person->directory_uuid.n,
             person->directory_uuid.p ? person->directory_uuid.p : "");
    if (r == 0)
        snprintf(ret->id, sizeof(ret->id), "U%.*s", (int)person->uid.n, person->uid.p);
    if (r == 0)
        fake_found(fake_of(w), ret->id);
    return r;
}

static int
fake_user_match(struct ap_writer *w, const char *uid, const char *id, struct ls_err *err)
{
    size_t n = strlen(fake_of(w)->matched);

    (void)err;
    snprintf(fake_of(w)->matched + n, sizeof(fake_of(w)->matched) - n, "%s=%s ", uid,
             id ? id : "by name");
    return 0;
}

static int
fake_user_enable(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    bool happens;
    char what[160];
    int r = fake_trouble(fake_of(w), &happens, err);

    snprintf(what, sizeof(what), "user %.127s", user_id);
    if (happens)
        fake_fact(fake_of(w), what)->on = enabled;
    if (r == 0)
        fake_of(w)->users_off += enabled ? -1 : 1;
    return r;
}

static int
fake_group_ensure(struct ap_writer *w, const struct cs3_person *group, struct ap_person_id *ret,
                  struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err);

    snprintf(f->sought, sizeof(f->sought), "%.*s", (int)group->directory_uuid.n,
             group->directory_uuid.p ? group->directory_uuid.p : "");
    if (r == 0 && group->directory_uuid.p)
        snprintf(ret->id, sizeof(ret->id), "%.100s", f->sought);
    else if (r == 0 && f->groups_removed)
        snprintf(ret->id, sizeof(ret->id), "G%.60s.%d", group->gid.p, f->groups_removed);
    else if (r == 0)
        snprintf(ret->id, sizeof(ret->id), "G%.60s", group->gid.p);
    return r;
}

static int
fake_group_remove(struct ap_writer *w, const char *group_id, struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    (void)group_id;
    fake_of(w)->groups_removed += happens;
    return r;
}

static int
fake_member_set(struct ap_writer *w, const char *group_id, const char *user_id, bool member,
                struct ls_err *err)
{
    bool happens;
    char what[160];
    int r = fake_trouble(fake_of(w), &happens, err);

    snprintf(what, sizeof(what), "member %.64s %.64s", group_id, user_id);
    if (happens)
        fake_fact(fake_of(w), what)->on = member;
    return r;
}

static int
fake_space_quota(struct ap_writer *w, const struct ap_space *space, int64_t bytes,
                 struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    (void)space;
    if (happens) {
        fake_of(w)->quota = bytes;
        fake_of(w)->quota_sets++;
    }
    return r;
}

static int
fake_space_ensure(struct ap_writer *w, const char *uid, struct ap_space *ret, struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    if (r < 0)
        return r;
    snprintf(ret->storage_id, sizeof(ret->storage_id), "st");
    snprintf(ret->space_id, sizeof(ret->space_id), "S%.40s", uid);
    snprintf(ret->root_id, sizeof(ret->root_id), "R%.40s", uid);
    snprintf(ret->owner, sizeof(ret->owner), "%s", uid);
    fake_found(fake_of(w), ret->space_id);
    return 0;
}

/* ---- looks */

static bool
fake_lost(struct fake_target *f, const char *id)
{
    for (int i = 0; i < f->n_lost; i++)
        if (strcmp(f->lost[i], id) == 0)
            return true;
    return false;
}

/* "Ubob", "Gstaff", "Sbob" (his space): with all that the space holds. */
static inline void
fake_lose(struct fake_target *f, const char *id)
{
    snprintf(f->lost[f->n_lost++], sizeof(f->lost[0]), "%s", id);
    for (int i = 1; i < f->n_nodes; i++)
        if (strcmp(f->nodes[i].space, id) == 0)
            f->nodes[i].used = false;
}

static int
fake_node_look(struct ap_writer *w, const struct ap_space *space, const char *node_id,
               struct ap_trash_ref below, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i = node_id ? fake_index(f, node_id) : 0;

    (void)mtime;
    f->looks++;
    if (r < 0)
        return r;
    if (fake_lost(f, space->space_id))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "space-gone", "no space");
    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_NOT;
    if (i != 0 && fake_in_trash(f, i) && !f->nodes[i].trashed)
        i = 0; /* has no id there */
    if (i == 0 && below.top_id && (i = fake_ref(f, below)) != 0)
        ret->where = AP_FOUND_BELOW;
    else if (i != 0)
        ret->where = f->nodes[i].trashed ? AP_FOUND_TRASHED : AP_FOUND_LIVE;
    if (i == 0)
        return 0;
    fake_answer(f, i, &ret->node);
    ret->folder = f->nodes[i].folder;
    snprintf(ret->name, sizeof(ret->name), "%s", f->nodes[i].name);
    if (f->nodes[i].parent)
        snprintf(ret->parent_id, sizeof(ret->parent_id), "n%d", f->nodes[i].parent);
    else
        snprintf(ret->parent_id, sizeof(ret->parent_id), "%s", space->root_id);
    return 0;
}

static int
fake_place_look(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                const char *name, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), parent, i;

    (void)mtime;
    f->looks++;
    if (r < 0)
        return r;
    if ((parent = fake_parent(f, space, parent_id, NULL, err)) < 0)
        return -1;
    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_NOT;
    i = fake_child(f, space->space_id, parent, name);
    if (i == 0)
        return 0;
    ret->where = AP_FOUND_LIVE;
    ret->folder = f->nodes[i].folder;
    fake_answer(f, i, &ret->node);
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    snprintf(ret->parent_id, sizeof(ret->parent_id), "%s", parent_id);
    return 0;
}

/* Where things lay is not kept here: any place will do. */
static int
fake_trash_seek(struct ap_writer *w, const struct ap_space *space, const struct ap_trash_seek *what,
                struct ap_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens, known;
    char id[AP_ID_SIZE];
    int r = fake_trouble(f, &happens, err), best = 0;

    f->looks++;
    if (r < 0)
        return r;
    for (int i = 1; i < f->n_nodes; i++) {
        const struct fake_node *n = &f->nodes[i];

        known = !n->used || !n->trashed || strcmp(n->space, space->space_id) != 0 ||
                n->folder != what->folder || n->deleted_at < what->since ||
                (strcmp(n->name, what->base) != 0 && strcmp(n->name, what->aside) != 0) ||
                (!n->folder && what->size >= 0 && n->size != what->size);
        snprintf(id, sizeof(id), "n%d", i);
        for (int k = 0; k < what->n_known && !known; k++)
            known = strcmp(what->known[k], id) == 0;
        if (!known && (best == 0 || n->deleted_at < f->nodes[best].deleted_at))
            best = i;
    }
    memset(ret, 0, sizeof(*ret));
    ret->where = best ? AP_FOUND_TRASHED : AP_FOUND_NOT;
    if (best == 0)
        return 0;
    fake_answer(f, best, &ret->node);
    ret->folder = f->nodes[best].folder;
    ret->node.deleted_at = f->nodes[best].deleted_at;
    snprintf(ret->name, sizeof(ret->name), "%s", f->nodes[best].name);
    return 0;
}

static int
fake_person_look(struct ap_writer *w, enum cs3_person_type type, const char *name,
                 struct ap_person_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    char what[160];
    int r = fake_trouble(f, &happens, err);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    if (type == CS3_GROUP && f->groups_removed)
        snprintf(ret->id, sizeof(ret->id), "G%.60s.%d", name, f->groups_removed);
    else
        snprintf(ret->id, sizeof(ret->id), "%c%.60s", type == CS3_USER ? 'U' : 'G', name);
    ret->found = !fake_lost(f, ret->id);
    snprintf(what, sizeof(what), "user %.127s", ret->id);
    ret->enabled = fake_said(f, what, true);
    return 0;
}

static int
fake_member_look(struct ap_writer *w, const char *group_id, const char *user_id,
                 struct ap_person_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    char what[160];
    int r = fake_trouble(f, &happens, err);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    snprintf(what, sizeof(what), "member %.64s %.64s", group_id, user_id);
    ret->found = fake_said(f, what, false);
    return 0;
}

static int
fake_space_look(struct ap_writer *w, const char *uid, struct ap_space_found *ret,
                struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->space.storage_id, sizeof(ret->space.storage_id), "st");
    snprintf(ret->space.space_id, sizeof(ret->space.space_id), "S%.40s", uid);
    snprintf(ret->space.root_id, sizeof(ret->space.root_id), "R%.40s", uid);
    ret->found = !fake_lost(f, ret->space.space_id);
    ret->quota = f->quota_sets ? f->quota : -2;
    return 0;
}

/* ---- shares */

static int
fake_share_add(struct fake_target *f, const char *node_id, bool link, bool group,
               const char *grantee)
{
    int node = fake_index(f, node_id);

    for (int i = 0; i < f->n_shares; i++)
        if (f->shares[i].used && !link && !f->shares[i].link && f->shares[i].node == node &&
            f->shares[i].group == group && strcmp(f->shares[i].grantee, grantee) == 0)
            return i;
    f->shares[f->n_shares] =
        (struct fake_share){.used = true, .link = link, .group = group, .node = node};
    snprintf(f->shares[f->n_shares].grantee, 64, "%s", grantee);
    return f->n_shares++;
}

/* Of an id that we gave, or of one that an exact writer would have; -1: there is none. */
static int
fake_share_index(struct fake_target *f, const char *id)
{
    char own[AP_ID_SIZE + 32];

    if (id[0] == 's' && id[1] >= '0' && id[1] <= '9')
        return atoi(id + 1);
    for (int i = 0; i < f->n_shares; i++) {
        const struct fake_share *share = &f->shares[i];
        if (share->link)
            snprintf(own, sizeof(own), "%lld", (long long)share->row);
        else
            snprintf(own, sizeof(own), "st:%s:%lld", f->nodes[share->node].space,
                     (long long)share->made_of);
        if (share->used && strcmp(own, id) == 0)
            return i;
    }
    return -1;
}

static void
fake_share_name(const struct fake_target *f, int i, char ret_id[AP_ID_SIZE])
{
    if (f->writer.exact)
        snprintf(ret_id, AP_ID_SIZE, "st:%.90s:%lld", f->nodes[f->shares[i].node].space,
                 (long long)f->shares[i].made_of);
    else
        snprintf(ret_id, AP_ID_SIZE, "s%d", i);
}

static int
fake_share_set(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
               bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i;

    (void)doubtful;
    if (r < 0 && !happens)
        return r;
    f->share_sets++;
    i = fake_share_index(f, share_id);
    if (i >= 0 && !f->shares[i].used)
        i = -1;
    if (i < 0 && !f->writer.exact)
        share_id[0] = '\0'; /* one made anew has another id */
    if (i < 0)
        i = fake_share_add(f, want->node_id, false, want->group, want->grantee_id);
    if (f->shares[i].row == 0)
        f->shares[i].made_of = want->row;
    f->shares[i].permissions = want->permissions;
    f->shares[i].expires = want->expires;
    f->shares[i].row = want->row;
    f->shares[i].ctime = want->ctime;
    if (r == 0 && !share_id[0])
        fake_share_name(f, i, share_id);
    return r;
}

static int
fake_share_find(struct ap_writer *w, const struct ap_share_want *want, char ret_id[AP_ID_SIZE],
                struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), node = fake_index(f, want->node_id);

    for (int i = 0; r == 0 && i < f->n_shares; i++)
        if (f->shares[i].used && !f->shares[i].link && f->shares[i].node == node &&
            f->shares[i].group == want->group &&
            strcmp(f->shares[i].grantee, want->grantee_id) == 0)
            fake_share_name(f, i, ret_id);
    return r;
}

static int
fake_share_clear(struct ap_writer *w, const struct ap_share_want *want, const char *share_id,
                 struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err);

    f->cleared += happens && share_id[0] && fake_index(f, want->node_id) && want->grantee_id[0];
    for (int i = 0; happens && i < f->n_shares; i++)
        if (f->shares[i].node == fake_index(f, want->node_id) &&
            f->shares[i].group == want->group &&
            strcmp(f->shares[i].grantee, want->grantee_id) == 0)
            f->shares[i].grant_left = false;
    return r;
}

/* The grant goes last, but where shares are written exactly. */
static int
fake_share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                  const char *share_id, bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens, cut = f->removals_cut > 0;
    int r = fake_trouble(f, &happens, err), i = fake_share_index(f, share_id);

    (void)space, (void)sharer, (void)doubtful;
    snprintf(f->removed, sizeof(f->removed), "%s", share_id);
    if (happens && i >= 0) {
        f->shares[i].grant_left =
            (cut || r < 0) && f->shares[i].used && !f->shares[i].link && !w->exact;
        f->shares[i].used = false;
    }
    f->removals_cut -= cut;
    return cut ? ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the answer was lost") : r;
}

static int
fake_received_set(struct ap_writer *w, const char *recipient, const char *share_id,
                  enum cs3_share_state state, const char *mount_point, bool doubtful,
                  struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), share = fake_share_index(f, share_id), i;

    (void)doubtful;
    if (r < 0 && !happens)
        return r;
    f->received_sets++;
    for (i = 0; i < f->n_received; i++)
        if (f->received[i].share == share && strcmp(f->received[i].uid, recipient) == 0)
            break;
    if (i == f->n_received)
        f->n_received++;
    f->received[i].used = true;
    f->received[i].share = share;
    f->received[i].state = state;
    snprintf(f->received[i].uid, 64, "%s", recipient);
    snprintf(f->received[i].mount, 128, "%s", mount_point);
    return r;
}

static int
fake_link_set(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
              bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i;

    (void)doubtful;
    if (r < 0)
        return r;
    f->link_sets++;
    i = link_id[0] && f->shares[atoi(link_id + 1)].used
            ? atoi(link_id + 1)
            : fake_share_add(f, want->node_id, true, false, "");
    f->shares[i].permissions = want->permissions;
    f->shares[i].expires = want->expires;
    f->shares[i].row = want->row;
    f->shares[i].ctime = want->ctime;
    snprintf(f->shares[i].token, sizeof(f->shares[i].token), "%s", want->token);
    snprintf(f->shares[i].hash, sizeof(f->shares[i].hash), "%s", want->password_hash);
    snprintf(link_id, AP_ID_SIZE, "s%d", i);
    return 0;
}

static int
fake_open(struct ap_writer *w, struct ls_err *err)
{
    (void)w, (void)err;
    return 0;
}

static void
fake_close(struct ap_writer *w)
{
    (void)w;
}

static const struct ap_writer_ops fake_ops = {
    .open = fake_open,
    .close = fake_close,
    .ping = fake_open,
    .node_look = fake_node_look,
    .place_look = fake_place_look,
    .trash_seek = fake_trash_seek,
    .person_look = fake_person_look,
    .member_look = fake_member_look,
    .space_look = fake_space_look,
    .user_ensure = fake_user_ensure,
    .user_match = fake_user_match,
    .user_enable = fake_user_enable,
    .group_ensure = fake_group_ensure,
    .group_remove = fake_group_remove,
    .member_set = fake_member_set,
    .space_ensure = fake_space_ensure,
    .space_quota = fake_space_quota,
    .make_folder = fake_make_folder,
    .put_file = fake_put_file,
    .revision_find = fake_revision_find,
    .revision_restore = fake_revision_restore,
    .set_mtime = fake_set_mtime,
    .move = fake_move,
    .trash = fake_trash,
    .restore = fake_restore,
    .purge = fake_purge,
    .share_set = fake_share_set,
    .share_find = fake_share_find,
    .share_remove = fake_share_remove,
    .share_clear = fake_share_clear,
    .received_set = fake_received_set,
    .link_set = fake_link_set,
    .link_remove = fake_share_remove,
};

static inline void
fake_init(struct fake_target *f)
{
    memset(f, 0, sizeof(*f));
    f->writer.ops = &fake_ops;
    f->writer.name = "fake";
    f->nodes = calloc(FAKE_NODES, sizeof(*f->nodes));
    f->revisions = calloc(FAKE_REVISIONS, sizeof(*f->revisions));
    f->n_nodes = 1;
    if (!f->nodes || !f->revisions)
        abort();
}

static inline void
fake_free(struct fake_target *f)
{
    free(f->nodes);
    free(f->revisions);
}

/* "a/b/c" of a node; below a trash item it begins with the item's name. */
static inline void
fake_path(struct fake_target *f, int i, char *out, size_t size)
{
    char tail[4000] = "", next[4400];

    for (; i > 0; i = f->nodes[i].parent) {
        snprintf(next, sizeof(next), "%s%s%s", f->nodes[i].name, tail[0] ? "/" : "", tail);
        snprintf(tail, sizeof(tail), "%.3999s", next);
        if (f->nodes[i].trashed)
            break;
    }
    snprintf(out, size, "%.*s", (int)size - 1, tail);
}

#endif
