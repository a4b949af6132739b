/*
 * oCIS's side of verify: lists, as the users see them, or as the service account does where a user
 * does not sign in. Thread-safe.
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
    bool processing; /* its content is not ready yet */
    bool granted;    /* somebody has a grant on it itself */
    int64_t size, mtime;
    const char *sha1; /* "" for folders */
};

struct target_trashed {
    const char *key, *name;
    const char *where; /* the folder it was in, "" for the top */
    bool folder;
    int64_t size; /* of a file; -1: has to be asked with target_trashed_size */
    int64_t deleted_at;
};

struct target_share { /* as its recipient sees it */
    const char *share_id, *node_id;
    int64_t permissions; /* CS3_PERM_* */
    int64_t expires;     /* 0: never */
    int state;           /* enum cs3_share_state */
};

struct target_grant { /* what the node says, or what the list of shares says it should */
    const char *node_id, *grantee_id;
    bool group;
    int64_t permissions, expires;
    const char *share_id; /* "" of a grant */
};

struct target_link {
    const char *link_id, *node_id, *label, *token;
    int64_t permissions, expires; /* 0: never */
    bool has_password;
};

/* The calls repeat what may succeed the next moment; err.cause "gone": what was asked for is not
 * there (any more). `each` stops a walk by a non-zero result, which is returned. */
int target_open(const struct ls_config *config, struct target **ret, struct ls_err *err);
void target_close(struct target *target); /* NULL is fine */

/* Whom the target has for that name of the source: the user of that id; "": nobody that is known.
 */
int target_match(struct target *target, const char *uid, const char *id, struct ls_err *err);

struct target_who {
    bool seen;     /* in one way or the other; else the calls below give nothing for him */
    bool signs_in; /* looked at as himself */
    bool enabled;  /* he signs in, or Graph says so */
};
/* How the user can be looked at. */
int target_user(struct target *target, const char *uid, struct target_who *ret, struct ls_err *err);
/* Is he in the target's group of that id? 1, or 0, also for one who does not sign in; -1. */
int target_in_group(struct target *target, const char *uid, const char *group_id,
                    struct ls_err *err);
/* Is there a service account to look at those who do not sign in? */
bool target_has_service(const struct target *target);
/* How much his space may hold; *ret 0: no limit. 1: Graph has said so; 0: it does not tell us, or
 * he has no space. -1 with cause "graph-away" while Graph alone is. */
int target_quota(struct target *target, const char *uid, int64_t *ret, struct ls_err *err);
/* node_id NULL: the root of the user's personal space. */
int target_list(struct target *target, const char *uid, const char *node_id,
                int (*each)(void *arg, const struct target_item *item), void *arg,
                struct ls_err *err);
/* The SHA1 and the size of a file's content, which is read whole. -1: RETRY target-down or sign-in,
 * FATAL: the target cannot be asked; anything else is about this file. */
int target_content(struct target *target, const char *uid, const char *node_id, char sha1[41],
                   int64_t *ret_size, struct ls_err *err);
/* The old contents that the target keeps of a file: by their time, in seconds, and size. Nothing
 * for one who does not sign in. */
int target_versions(struct target *target, const char *uid, const char *node_id,
                    int (*each)(void *arg, int64_t mtime, int64_t size), void *arg,
                    struct ls_err *err);
/* key NULL: the trashed items; a key: what is directly below that trashed folder. */
int target_trash(struct target *target, const char *uid, const char *key,
                 int (*each)(void *arg, const struct target_trashed *item), void *arg,
                 struct ls_err *err);
int target_trashed_size(struct target *target, const char *uid, const char *key, int64_t *ret,
                        struct ls_err *err);
/* Nothing for one who does not sign in. */
int target_received(struct target *target, const char *uid,
                    int (*each)(void *arg, const struct target_share *share), void *arg,
                    struct ls_err *err);
/* Shares and grants on nodes of the user's space, for the user himself alone: nobody else is shown
 * all of them. Nothing for one who does not sign in. A share is one of the list; a grant is what
 * opens the node; an expired one, or the owner's own, is none. */
enum { TARGET_SHARES_AT_ONCE = 50 };
int target_shares_on(struct target *target, const char *uid, const char *const *node_ids, size_t n,
                     int (*each)(void *arg, const struct target_grant *share), void *arg,
                     struct ls_err *err);
int target_grants(struct target *target, const char *uid, const char *node_id,
                  int (*each)(void *arg, const struct target_grant *grant), void *arg,
                  struct ls_err *err);
/* Does the grant give what the share says? */
bool target_grant_fits(const struct target_grant *grant, const struct target_grant *share);
/* Who that is, by the name he has there. 1; 0: the target has nobody of that id; -1. */
int target_grantee(struct target *target, const char *uid, const char *id, bool group,
                   char ret_name[256], struct ls_err *err);
/*
 * The hash of each link's password ("" for none), by its id, from the file of oCIS's manager of
 * links, for which no interface has them. 1: each was given; 0: the configuration has no system
 * user, who may read it. The hash lets nobody in, but is not to be shown.
 */
int target_link_hashes(struct target *target,
                       int (*each)(void *arg, const char *link_id, const char *hash), void *arg,
                       struct ls_err *err);
/* The links that the user made or may see; the same link may come from several users. Nothing for
 * one who does not sign in. */
int target_links(struct target *target, const char *uid,
                 int (*each)(void *arg, const struct target_link *link), void *arg,
                 struct ls_err *err);

#endif
