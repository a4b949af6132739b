/*
 * What the parts of verify share: the findings.
 */
#ifndef CTL_VERIFY_H
#define CTL_VERIFY_H

#include "ctl/side.h"
#include "ctl/target.h"
#include "transform/zone.h"
#include <jansson.h>
#include <pthread.h>

/* What is counted for each user; the columns of the summary. */
enum verify_count {
    VC_FOLDERS, VC_FILES, VC_TRASH, VC_SHARES, VC_LINKS, VC_DIFFERENT, VC_MAX
};

struct verify_user {
    struct side_user *user;
    size_t count[VC_MAX];
};

/* A node that is live on both sides, by its id at the target. */
struct verify_live {
    struct side_node *node;
    UT_hash_handle hh;
};

struct verify {
    const struct ls_config *config;
    struct side *side;
    struct tf_zone zone; /* of the source's DATETIME columns */
    struct target *target;
    pthread_mutex_t lock;   /* of all below */
    json_t *differences;    /* [{user, what, place, source, target}] */
    size_t n_differences;
    struct verify_user *users;
    size_t n_users, next_user;
    /* not kept by ocis-api, by design: counted, apart */
    size_t folder_mtimes, ids, trash_places, link_tokens, link_passwords, share_ids;
    struct verify_live *live;
    struct ls_err err; /* the first failure that ended the work */
    bool failed;
};

/* Names one difference. `place` is a path in the user's home, "" where it has none. */
void verify_differ(struct verify *verify, struct verify_user *user, const char *what,
                   const char *place, const char *source, const char *target);
void verify_fail(struct verify *verify, const struct ls_err *err);

/* After all trees: the node that was found under that id, or NULL. */
struct side_node *verify_live(const struct verify *verify, const char *target_id);

/* verify_tree.c: live tree and trash of one user. */
int verify_tree(struct verify *verify, struct verify_user *user, struct ls_err *err);
int verify_trash(struct verify *verify, struct verify_user *user, struct ls_err *err);
/* verify_shares.c: effective shares of one recipient; all links. After all trees. */
int verify_received(struct verify *verify, struct verify_user *user, struct ls_err *err);
int verify_links(struct verify *verify, struct ls_err *err);

#endif
