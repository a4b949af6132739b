/*
 * The source's side of verify: what ownCloud 10 holds at one moment, as trees, trash and shares.
 *
 * Read with SQL of its own and with nothing of transform's or apply's state, so that a mistake
 * there shows here. Places go by parent and name, never by the column `path`.
 */
#ifndef CTL_SIDE_H
#define CTL_SIDE_H

#include "common/arena.h"
#include "common/records.h"
#include "ctl/source.h"
#include <pthread.h>
#include <stdbool.h>
#include <uthash.h>

struct side_node {
    int64_t fileid, parent, storage, size, mtime;
    const char *name;
    const char *path; /* the column, only to choose between two rows of one place */
    const char *sha1; /* lower-case hex, NULL: the row has none */
    bool folder, encrypted;
    bool doubled;                        /* another row of this place is the one users see */
    struct side_node *up, *first, *next; /* tree; first child, next sibling */
    bool shared, granted;                /* set while comparing: with users or groups; has grants */
    const char *target_id;               /* set while comparing: the node it was found as */
    UT_hash_handle hh;
};

enum side_share_type {
    SIDE_USER = 0,
    SIDE_GROUP = 1,
    SIDE_MEMBER = 2,
    SIDE_LINK = 3,
    SIDE_GUEST = 4,
    SIDE_FEDERATED = 6,
    SIDE_FEDERATED_GROUP = 7,
};
struct side_share {
    int64_t id, parent, fileid, permissions, stime, accepted;
    int type;
    const char *with, *owner, *initiator, *expiration, *label, *token; /* expiration NULL: never */
    enum cs3_download download;
    bool has_password, password_reset; /* ... of a kind that oCIS cannot check */
    const char *password_hash;         /* of a link, when oCIS can check it; never to be shown */
    struct side_node *node; /* set while comparing: the node, when the row has an effect */
    struct side_share *next;
    struct side_share *also; /* of the same recipient (side_shares_of) */
    UT_hash_handle hh;       /* MEMBER: by "<parent>/<uid>" */
};

struct side_user {
    const char *uid, *home;     /* home: already mapped to this host */
    bool enabled, in_bucket;    /* his files are objects */
    bool ldap;                  /* of ownCloud's LDAP; then: */
    const char *directory_uuid; /* NULL: no mapping says it */
    int64_t storage;            /* -1: never logged in, no home */
    int64_t quota;              /* in bytes, of his own; -1: there is no limit, or the default */
    bool quota_said;            /* by his account, or else by his preferences */
    bool quota_default;         /* ... that he has the default */
    struct side_node *root;     /* of the storage; NULL */
    UT_hash_handle hh, hh_storage;
};

struct side_member {
    const char *gid;
    struct side_member *next; /* of the same user */
};

/* A row of oc_files_trash: where a trashed item was. */
struct side_trash {
    const char *location; /* "." for the top */
    UT_hash_handle hh;
};

struct side_group { /* of ownCloud's LDAP */
    const char *gid, *directory_uuid;
    struct side_group *next;
};

struct side_list; /* what hangs at a name */

struct side {
    struct ls_arena *arena;       /* all of the above lives here */
    pthread_mutex_t lock;         /* of the arena, while several threads compare */
    struct side_node *nodes;      /* hash by fileid */
    struct side_user *users;      /* hash by uid */
    struct side_user *by_storage; /* the same by storage */
    struct side_share *shares, *entries;
    struct side_list *members, *recipients;
    struct side_group *groups; /* of LDAP that something is shared with */
    struct side_trash *trash;  /* hash by "<user>/<timestamp>/<name>" */
    /* rows below no root; live rows of storages that are nobody's home; second rows of one place */
    size_t n_nodes, n_orphans, n_elsewhere, n_doubled;
};

int side_load(const struct ls_config *config, struct ctl_source *source, struct side **ret,
              struct ls_err *err);
/* Without a server, for tests: the rows of one query after the other, then side_finish. The tables
 * come in the order of side_tables[]; columns are as its `sql` selects them. */
struct side_table {
    const char *sql;
    bool optional; /* an app's table, or a newer column, that may not exist */
    int (*take)(void *load, const struct ls_str *columns, size_t n);
};
extern const struct side_table side_tables[];
struct side_load;
int side_begin(const struct ls_config *config, struct side_load **ret, struct ls_err *err);
/* Takes the load; *ret is the side. */
void side_finish(struct side_load *load, struct side **ret);
void side_abandon(struct side_load *load); /* NULL is fine */
void side_free(struct side *side);

/* The child by name that users see, or NULL. */
struct side_node *side_child(const struct side_node *parent, const char *name);
/* Text that lives as long as the side; NULL when memory is out. Thread-safe, as is side_place. */
char *side_printf(struct side *side, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "files/a/b" below the storage's root. */
const char *side_place(struct side *side, const struct side_node *node);
/* The user in whose home the node lies live (below `files`), NULL when it does not; then *ret_why
 * (may be NULL) says where it is. */
enum side_where { SIDE_HOME, SIDE_DORMANT, SIDE_ELSEWHERE, SIDE_ORPHAN };
struct side_user *side_owner(const struct side *side, const struct side_node *node,
                             enum side_where *ret_where);
struct side_node *side_node_by_id(const struct side *side, int64_t fileid);
/* The first row of that recipient (SIDE_USER, SIDE_GUEST: "u", SIDE_GROUP: "g"); then `also`. */
struct side_share *side_shares_of(const struct side *side, char kind, const char *name);
const struct side_member *side_groups_of(const struct side *side, const char *uid);
/* A member's own row of a group share, the newest; NULL when he has none. */
const struct side_share *side_entry(const struct side *side, const struct side_share *share,
                                    const char *uid);
/* Where oc_files_trash says it was; NULL: it does not say. */
const char *side_trashed_from(const struct side *side, const char *uid, const char *name,
                              int64_t time);

#endif
