/*
 * The source's side of verify: what ownCloud 10 holds at one moment, as trees, trash and shares.
 *
 * Read with SQL of its own and with nothing of transform's or apply's state, so that a mistake
 * there shows here. Places go by parent and name, never by the column `path`.
 */
#ifndef CTL_SIDE_H
#define CTL_SIDE_H

#include "common/arena.h"
#include "ctl/source.h"
#include <pthread.h>
#include <stdbool.h>
#include <uthash.h>

struct side_node {
    int64_t fileid, parent, storage, size, mtime;
    const char *name;
    const char *path;     /* the column, only to choose between two rows of one place */
    const char *sha1;     /* lower-case hex, NULL: the row has none */
    bool folder, encrypted;
    struct side_node *up, *first, *next; /* tree; first child, next sibling */
    const char *target_id; /* set while comparing: the node it was found as */
    UT_hash_handle hh;
};

enum side_share_type { SIDE_USER = 0, SIDE_GROUP = 1, SIDE_MEMBER = 2, SIDE_LINK = 3, SIDE_GUEST = 4 };
struct side_share {
    int64_t id, parent, fileid, permissions, stime, accepted;
    int type;
    const char *with, *owner, *initiator, *expiration, *label; /* expiration NULL: never */
    bool has_password;
    struct side_share *next;
};

struct side_user {
    const char *uid, *home; /* home: already mapped to this host */
    bool enabled;
    int64_t storage;        /* -1: never logged in, no home */
    struct side_node *root; /* of the storage; NULL */
    struct side_user *next;
    UT_hash_handle hh;
};

struct side_member {
    const char *gid, *uid;
    struct side_member *next;
};

struct side {
    struct ls_arena *arena; /* all of the above lives here */
    pthread_mutex_t lock;   /* of the arena, while several threads compare */
    struct side_node *nodes;   /* hash by fileid */
    struct side_user *users;   /* hash by uid */
    struct side_member *members;
    struct side_share *shares;
    size_t n_nodes, n_orphans, n_elsewhere; /* rows below no root; rows of storages not carried */
};

int side_load(const struct ls_config *config, struct ctl_source *source, struct side **ret,
              struct ls_err *err);
void side_free(struct side *side);

/* The child by name, or NULL; of two rows of one place the one whose path agrees. */
struct side_node *side_child(const struct side_node *parent, const char *name);
/* Text that lives as long as the side; NULL when memory is out. Thread-safe, as is side_place. */
char *side_printf(struct side *side, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "files/a/b" below the storage's root. */
const char *side_place(struct side *side, const struct side_node *node);
/* The user in whose home the node lies live (below `files`), NULL when it does not. */
struct side_user *side_owner(const struct side *side, const struct side_node *node);
struct side_node *side_node_by_id(const struct side *side, int64_t fileid);

#endif
