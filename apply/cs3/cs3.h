/*
 * Typed CS3 calls to an oCIS: used by the writer, and by `lockstep check` and `verify`.
 *
 * A client is shared by all threads; every call blocks. Storage calls go to the storage provider
 * (option target.provider), sign-in, CreateHome and sharing to the gateway: the gateway answers
 * NOT_FOUND when its own deadline runs out, so its NOT_FOUND is no truth about storage.
 *
 * `as` says who acts: somebody of the source, by his name there, or "userid:<uuid>", or CS3_NAMED
 * and a name of the target, impersonated with target.machine_key; or CS3_SERVICE_ACCOUNT. Who
 * somebody of the source is at the target is known here and nowhere else: see cs3_match_set. Tokens
 * are kept and renewed here. Errors are those of apply/writer.h; besides, RETRY "internal" (the
 * target's own trouble: INTERNAL, UNKNOWN, a broken reply). err.code is the CS3 code where CS3
 * refused (enum cs3_code).
 *
 * Nothing here decides policy: "gone" is NOT_FOUND, "taken" ALREADY_EXISTS, "parent-gone"
 * FAILED_PRECONDITION, as the call got it.
 */
#ifndef AP_CS3_H
#define AP_CS3_H

#include "apply/writer.h"
#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One of the causes above. */
static inline bool
ap_cause_is(const struct ls_err *err, const char *cause)
{
    return strcmp(err->cause, cause) == 0;
}

enum cs3_code {
    CS3_OK = 1,
    CS3_CANCELLED = 2,
    CS3_UNKNOWN = 3,
    CS3_INVALID_ARGUMENT = 4,
    CS3_DEADLINE_EXCEEDED = 5,
    CS3_NOT_FOUND = 6,
    CS3_ALREADY_EXISTS = 7,
    CS3_PERMISSION_DENIED = 8,
    CS3_UNAUTHENTICATED = 9,
    CS3_RESOURCE_EXHAUSTED = 10,
    CS3_FAILED_PRECONDITION = 11,
    CS3_ABORTED = 12,
    CS3_OUT_OF_RANGE = 13,
    CS3_UNIMPLEMENTED = 14,
    CS3_INTERNAL = 15,
    CS3_UNAVAILABLE = 16,
    CS3_DATA_LOSS = 17,
    CS3_INSUFFICIENT_STORAGE = 19,
    CS3_LOCKED = 20,
    CS3_TOO_EARLY = 21,
};

struct cs3_client;
/* FATAL target-config without target.machine_key. Does not connect. */
int cs3_client_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                   struct cs3_client **ret, struct ls_err *err);
/* A client of storage-system instead (target.system), where sign-in and storage are one service and
 * nobody but cs3_system_user is known. FATAL target-config unless target.system_user_id and
 * target.system_user_key are set. */
int cs3_system_client_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                          struct cs3_client **ret, struct ls_err *err);
const char *cs3_system_user(const struct cs3_client *client); /* its `as` */
void cs3_client_free(struct cs3_client *client);              /* NULL is fine */

/* Where something is: a node (name NULL), or what is called `name` in the folder `id`. */
struct cs3_place {
    const char *storage_id, *space_id, *id;
    const char *name; /* without "./"; may be "a/b" below a folder or a share's root */
};
/* The place of a node, or of a name in a folder, in a space of the writer's. */
static inline struct cs3_place
cs3_place_of(const struct ap_space *space, const char *id, const char *name)
{
    return (struct cs3_place){space->storage_id, space->space_id, id, name};
}

/* ---- signing in */
/* As `as`: target.service_account_id, who may read the space of everybody, also of a disabled
 * user. FATAL target-config where it or its secret is not set. No user has such a name. */
#define CS3_SERVICE_ACCOUNT "\nservice account"
/* ... followed by a name: the user of that name at the target, whoever has it at the source. */
#define CS3_NAMED "\nnamed "
/* Who a name of the source is at the target. */
enum cs3_match {
    CS3_BY_NAME, /* the user of that name: unless something else was said */
    CS3_BY_ID,
    CS3_NOBODY, /* nobody that is known; he does not sign in, whoever has that name there */
};
/* Does the configuration say that users of ownCloud's LDAP are found by their ids
 * (people.match_by)? */
static inline bool
cs3_match_wanted(const struct ls_config *config)
{
    return strcmp(ls_config_str(config, "people", "match_by"), "ldap-uuid") == 0;
}
/* Nobody is found by his name alone any more: whoever is to be, is said to. To be called first. */
void cs3_match_strictly(struct cs3_client *client);
/* From now on. id: of BY_ID. */
int cs3_match_set(struct cs3_client *client, const char *as, enum cs3_match match, const char *id,
                  struct ls_err *err);
/* ret_id: of BY_ID. */
enum cs3_match cs3_match_of(struct cs3_client *client, const char *as, char ret_id[AP_ID_SIZE]);
/* Impersonates `as`; ret_id (may be NULL) gets the user's uuid. A user that does not exist or is
 * disabled is RETRY no-user with code CS3_NOT_FOUND; a wrong machine key FATAL target-config. */
int cs3_sign_in(struct cs3_client *client, const char *as, char ret_id[AP_ID_SIZE],
                struct ls_err *err);
/* The ids of the groups that `as` was in when he signed in, each with a newline before and behind
 * it; free it. */
int cs3_groups_of(struct cs3_client *client, const char *as, char **ret, struct ls_err *err);
/* A copy (free it) of the token of `as`, for HTTP. `refused`: the token that was refused, so that
 * a new one is fetched unless somebody else has done so already; else NULL. */
int cs3_token(struct cs3_client *client, const char *as, const char *refused, char **ret,
              struct ls_err *err);
/* The groups of a user stand in his token: after a membership has changed, forget it. `user_id`
 * NULL: all of them. */
void cs3_token_forget(struct cs3_client *client, const char *user_id);
/* Called when a sign-in by name finds no user, which is also how a disabled one looks: with begin =
 * true, and if that returns 0, once more signed in, then with begin = false. */
typedef int cs3_no_user_fn(void *arg, const char *as, bool begin);
void cs3_on_no_user(struct cs3_client *client, cs3_no_user_fn *fn, void *arg);
/* 0 when gateway and provider answer at all; needs no token. */
int cs3_ping(struct cs3_client *client, struct ls_err *err);

/* ---- spaces */
int cs3_create_home(struct cs3_client *client, const char *as, struct ls_err *err);
struct cs3_space_info {
    const char *storage_id, *space_id, *root_id; /* root_id: opaque id of its root folder */
    const char *name, *type;                     /* "personal", "project" */
    const char *owner_id;                        /* uuid, "" for none */
};
/* Those that `as` can see, of `type` (NULL: all), from the provider. Strings are borrowed for
 * the callback's time. Stops at the first non-zero return of `each` and returns that. */
typedef int cs3_space_fn(void *arg, const struct cs3_space_info *space);
int cs3_list_spaces(struct cs3_client *client, const char *as, const char *type, cs3_space_fn *each,
                    void *arg, struct ls_err *err);
/* The user's own personal space; RETRY gone when there is none. */
int cs3_personal_space(struct cs3_client *client, const char *as, struct ap_space *ret,
                       struct ls_err *err);

/* ---- the tree */
struct cs3_info {
    char storage_id[AP_ID_SIZE], space_id[AP_ID_SIZE];
    char id[AP_ID_SIZE], parent_id[AP_ID_SIZE];
    char name[1024]; /* the last part of its path */
    char etag[64];   /* without quotes */
    char sha1[41];   /* "" where there is none */
    char owner_id[AP_ID_SIZE];
    bool folder;
    bool processing; /* its content is not ready yet */
    bool granted;    /* somebody was given a grant on the node itself */
    int64_t size;    /* of a folder: of all that is below it */
    int64_t mtime;
    uint32_t mtime_ns;
};
int cs3_stat(struct cs3_client *client, const char *as, const struct cs3_place *place,
             struct cs3_info *ret, struct ls_err *err);
/* Where a node is, from the root of its space: "/a/b". Free it. */
int cs3_path(struct cs3_client *client, const char *as, const struct cs3_place *node,
             char **ret_path, struct ls_err *err);
/* The children of a folder, in no order; at the provider, so also more than 16,000. */
typedef int cs3_info_fn(void *arg, const struct cs3_info *info);
int cs3_list(struct cs3_client *client, const char *as, const struct cs3_place *folder,
             cs3_info_fn *each, void *arg, struct ls_err *err);
int cs3_mkdir(struct cs3_client *client, const char *as, const struct cs3_place *place,
              struct ls_err *err);
int cs3_move(struct cs3_client *client, const char *as, const struct cs3_place *from,
             const struct cs3_place *to, struct ls_err *err);
int cs3_delete(struct cs3_client *client, const char *as, const struct cs3_place *place,
               struct ls_err *err);
/* Only ever "mtime": setting `etag` this way breaks clients for good. */
int cs3_set_mtime(struct cs3_client *client, const char *as, const struct cs3_place *place,
                  int64_t mtime, uint32_t mtime_ns, struct ls_err *err);
/* Seconds and nanoseconds as the target reads them; out of its range: the nearest it can hold. */
void cs3_mtime_text(int64_t mtime, uint32_t mtime_ns, char *out, size_t size);

/* ---- content */
struct cs3_upload {
    int64_t size;
    int64_t mtime;
    uint32_t mtime_ns;
    const char *sha1;     /* NULL: unknown */
    bool distinct;        /* the nanoseconds count before 1970, too (see cs3_mtime_text) */
    bool server_time;     /* the server's clock instead of mtime */
    bool if_not_exist;    /* exclusive */
    const char *if_match; /* etag without quotes, or NULL */
};
/* *ret_url: where to PUT; free it. With size 0 the file is complete without a PUT. */
int cs3_upload_begin(struct cs3_client *client, const char *as, const struct cs3_place *place,
                     const struct cs3_upload *upload, char **ret_url, struct ls_err *err);
/* *ret_url: where to GET with the token; free it. */
int cs3_download_begin(struct cs3_client *client, const char *as, const struct cs3_place *place,
                       char **ret_url, struct ls_err *err);

struct cs3_version_info {
    const char *key, *etag;
    int64_t size, mtime;
};
typedef int cs3_version_fn(void *arg, const struct cs3_version_info *version);
int cs3_list_versions(struct cs3_client *client, const char *as, const struct cs3_place *file,
                      cs3_version_fn *each, void *arg, struct ls_err *err);
/* What the node has becomes a version, and the version the content, with the target's time. */
int cs3_restore_version(struct cs3_client *client, const char *as, const struct cs3_place *file,
                        const char *key, struct ls_err *err);

/* ---- trash */
struct cs3_recycle_info {
    const char *key;  /* node id of a trashed item; "<id>/a/b" below it */
    const char *path; /* where it was, from the space's root, without a leading slash */
    bool folder;
    int64_t size, deleted_at;
};
typedef int cs3_recycle_fn(void *arg, const struct cs3_recycle_info *item);
/* key NULL: all trashed items of the space; a key: what is directly below that folder. The sizes
 * of the former are not true (0 for a file, 4096 for a folder), those of the latter are. */
int cs3_list_recycle(struct cs3_client *client, const char *as, const struct ap_space *space,
                     const char *key, cs3_recycle_fn *each, void *arg, struct ls_err *err);
/* The trashed item of that node id, with its true size: one call of `each`. RETRY internal where
 * there is none. */
int cs3_recycle_item(struct cs3_client *client, const char *as, const struct ap_space *space,
                     const char *top_id, cs3_recycle_fn *each, void *arg, struct ls_err *err);
/* The same, and where the item does not tell, what the whole list tells, with size -1. 1: `each`
 * was called once (NULL: nothing is), its answer does not count; 0: there is none; -1: also when
 * the list is "gone". */
int cs3_recycle_find(struct cs3_client *client, const char *as, const struct ap_space *space,
                     const char *top_id, cs3_recycle_fn *each, void *arg, struct ls_err *err);
/* Is there a trashed item of that node id? Not where there is no list. */
int cs3_in_recycle(struct cs3_client *client, const char *as, const struct ap_space *space,
                   const char *top_id, bool *ret, struct ls_err *err);
int cs3_restore(struct cs3_client *client, const char *as, const struct ap_space *space,
                const char *key, const struct cs3_place *to, struct ls_err *err);
int cs3_purge(struct cs3_client *client, const char *as, const struct ap_space *space,
              const char *key, struct ls_err *err);

/* ---- grants, shares and links. Permissions are CS3_PERM_* of common/records.h. */
struct cs3_grant_info {
    const char *grantee_id;
    bool group;
    int64_t permissions;
    int64_t expires; /* seconds, 0 never */
};
typedef int cs3_grant_fn(void *arg, const struct cs3_grant_info *grant);
int cs3_list_grants(struct cs3_client *client, const char *as, const struct cs3_place *node,
                    cs3_grant_fn *each, void *arg, struct ls_err *err);
/* The server keeps a grant as letters, each for several permissions, and shows all of those: does
 * this one give what that one is to give? */
bool cs3_grant_gives(const struct cs3_grant_info *is, const struct cs3_grant_info *want);
/* ALREADY_EXISTS (taken) when the grantee has one; NOT_FOUND (gone) for no node, or no grant to
 * update. Two at once on one node: one may be lost, though both answer OK. */
int cs3_add_grant(struct cs3_client *client, const char *as, const struct cs3_place *node,
                  const struct cs3_grant_info *grant, struct ls_err *err);
int cs3_update_grant(struct cs3_client *client, const char *as, const struct cs3_place *node,
                     const struct cs3_grant_info *grant, struct ls_err *err);
int cs3_remove_grant(struct cs3_client *client, const char *as, const struct cs3_place *node,
                     const char *grantee_id, bool group, struct ls_err *err);

struct cs3_share_info {
    const char *id;
    const char *storage_id, *space_id, *node_id;
    const char *grantee_id, *owner_id, *creator_id;
    bool group;
    int64_t permissions, expires, ctime;
};
typedef int cs3_share_fn(void *arg, const struct cs3_share_info *share);
/* Shares that `as` made or, as the owner of the space, may see; node NULL: all of them. */
int cs3_list_shares(struct cs3_client *client, const char *as, const struct cs3_place *node,
                    cs3_share_fn *each, void *arg, struct ls_err *err);
/* Those of n nodes, with one call; none of nodes on which `as` may not list grants. */
int cs3_list_shares_on(struct cs3_client *client, const char *as, const struct cs3_place *nodes,
                       size_t n, cs3_share_fn *each, void *arg, struct ls_err *err);
/* The name that the target has for a user or a group of that id. "gone": it has nobody; as the
 * gateway says. */
int cs3_grantee_name(struct cs3_client *client, const char *as, const char *id, bool group,
                     char ret_name[256], struct ls_err *err);
/* 1, 0, or -1 with err; as the gateway says, so a 0 is worth less than a 1. */
int cs3_share_exists(struct cs3_client *client, const char *as, const char *share_id,
                     struct ls_err *err);
/* `owner`: the user the node belongs to; without him the share would have no owner. */
int cs3_create_share(struct cs3_client *client, const char *as, const char *owner,
                     const struct cs3_place *node, bool folder, const struct cs3_grant_info *grant,
                     char ret_id[AP_ID_SIZE], struct ls_err *err);
int cs3_update_share(struct cs3_client *client, const char *as, const char *share_id,
                     const struct cs3_grant_info *grant, struct ls_err *err);
int cs3_remove_share(struct cs3_client *client, const char *as, const char *share_id,
                     struct ls_err *err);
/* The same at target.sharing, which does not mind that the node is in the trash or purged, and
 * leaves its grant alone. */
int cs3_remove_share_only(struct cs3_client *client, const char *as, const char *share_id,
                          struct ls_err *err);

struct cs3_received_info {
    struct cs3_share_info share;
    enum cs3_share_state state;
    const char *mount_point; /* without "./"; "" for none */
    bool hidden;
};
typedef int cs3_received_fn(void *arg, const struct cs3_received_info *received);
int cs3_list_received(struct cs3_client *client, const char *as, cs3_received_fn *each, void *arg,
                      struct ls_err *err);
/* mount_point NULL: left as it is. */
int cs3_update_received(struct cs3_client *client, const char *as, const char *share_id,
                        enum cs3_share_state state, const char *mount_point, struct ls_err *err);

struct cs3_link_info {
    const char *id, *token;
    const char *storage_id, *space_id, *node_id;
    const char *owner_id, *creator_id;
    const char *label;
    int64_t permissions, expires;
    bool has_password;
};
typedef int cs3_link_fn(void *arg, const struct cs3_link_info *link);
int cs3_list_links(struct cs3_client *client, const char *as, const struct cs3_place *node,
                   cs3_link_fn *each, void *arg, struct ls_err *err);
/* Of `link`: permissions, expires, label are used. password NULL: none. ret_token: what its address
 * ends with, and its label where it got none. */
int cs3_create_link(struct cs3_client *client, const char *as, const char *owner,
                    const struct cs3_place *node, bool folder, const struct cs3_link_info *link,
                    const char *password, char ret_id[AP_ID_SIZE], char ret_token[AP_ID_SIZE],
                    struct ls_err *err);
enum cs3_link_field {
    CS3_LINK_PERMISSIONS = 1,
    CS3_LINK_PASSWORD = 2,
    CS3_LINK_EXPIRATION = 3,
    CS3_LINK_LABEL = 4,
};
int cs3_update_link(struct cs3_client *client, const char *as, const char *link_id,
                    enum cs3_link_field field, const struct cs3_link_info *link,
                    const char *password, struct ls_err *err);
int cs3_remove_link(struct cs3_client *client, const char *as, const char *link_id,
                    struct ls_err *err);

#endif
