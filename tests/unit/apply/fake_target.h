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

#include "fake_people.h"
#include "fake_shares.h"
#include "fake_tree.h"

/* ---- life */

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
