/*
 * oCIS's side of verify: lists, as the users see them. Thread-safe.
 */
#ifndef CTL_TARGET_H
#define CTL_TARGET_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

struct target;

struct target_item {
    const char *id, *name;
    bool folder;
    int64_t size, mtime;
    const char *sha1; /* "" for folders */
};

struct target_share { /* as its recipient sees it */
    const char *share_id, *node_id;
    int64_t permissions; /* CS3_PERM_* */
    int state;           /* enum cs3_share_state */
};

struct target_link {
    const char *link_id, *node_id, *label;
    int64_t permissions, expires; /* 0: never */
    bool has_password;
};

int target_open(const struct ls_config *config, struct target **ret, struct ls_err *err);
void target_close(struct target *target);

/* Does the user exist there? *ret_id is set (borrowed until the close) or NULL. */
int target_user(struct target *target, const char *uid, const char **ret_id, struct ls_err *err);
/* node_id NULL: the root of the user's personal space. `each` stops the walk by a non-zero result. */
int target_list(struct target *target, const char *uid, const char *node_id,
                int (*each)(void *arg, const struct target_item *item), void *arg,
                struct ls_err *err);
int target_trash(struct target *target, const char *uid,
                 int (*each)(void *arg, const struct target_item *item), void *arg,
                 struct ls_err *err);
int target_received(struct target *target, const char *uid,
                    int (*each)(void *arg, const struct target_share *share), void *arg,
                    struct ls_err *err);
/* The links that the user made or may see; the same link may come from several users. */
int target_links(struct target *target, const char *uid,
                 int (*each)(void *arg, const struct target_link *link), void *arg,
                 struct ls_err *err);

#endif
