/*
 * The writer `ocis-api`, inside: what its parts share. From outside: apply/writer.h.
 */
#ifndef AP_OCIS_API_H
#define AP_OCIS_API_H

#include "apply/cs3/cs3.h"
#include "apply/cs3/data.h"
#include "apply/cs3/graph.h"
#include "apply/cs3/http.h"
#include "apply/ocis/metadata_space.h"
#include "apply/writer.h"
#include <pthread.h>

enum { AP_SHARE_LOCKS = 1024 };

/* A node that the target shows as being processed, and since when it does. */
struct ap_processing;

struct ap_ocis {
    struct ap_writer writer; /* first */
    struct cs3_client *cs3;
    struct ap_http *http;
    struct ap_data *data;
    struct ap_graph *graph;
    bool create_people;
    char *mail_domain, *storage_id, *graph_user; /* storage_id NULL: as the target says */
    char graph_user_id[AP_ID_SIZE];              /* since open */
    int64_t timeout_ms;
    pthread_mutex_t people; /* enabling and disabling of users */
    pthread_mutex_t links;  /* the target's link manager takes one write at a time */
    pthread_mutex_t shares[AP_SHARE_LOCKS]; /* grants: one change per node at a time */
    struct ap_metadata *metadata;           /* the share managers' files; NULL: over the API */
    pthread_mutex_t uploads;                /* the three below */
    struct ap_processing *processing;
    int64_t newest_done_ms; /* when the latest upload began that is known to be ready */
    int64_t last_over_ms;   /* when an upload went over one that seemed stuck */
};

static inline struct ap_ocis *
ap_ocis_of(struct ap_writer *writer)
{
    return (struct ap_ocis *)writer;
}

/* One look that fails is no answer: so many, so far apart. */
enum { AP_LOOKS = 4, AP_LOOK_PAUSE_MS = 20 };
/* Is something there? 1 and *ret, 0, or -1 with err. Asked at the provider. */
int ap_look(struct ap_ocis *ocis, const struct ap_space *space, const char *id, const char *name,
            struct cs3_info *ret, struct ls_err *err);
/* Something has been written, or may have been; what failed since, only hides the outcome. */
int ap_unknown(struct ls_err *err);
/* False when all of several looks at that node are answered INTERNAL. */
bool ap_readable(struct ap_ocis *ocis, const struct ap_space *space, const char *id);
/* POISON name-refused for a name that oCIS cannot hold, or takes for a path. */
int ap_name_check(const char *name, struct ls_err *err);
/* POISON refused for the root of a space: it is neither moved nor deleted. */
int ap_root_check(const struct ap_space *space, const char *node_id, struct ls_err *err);
/* POISON refused for an empty parent: it would be the root of the space. */
int ap_parent_id_check(const char *parent_id, struct ls_err *err);
/* RETRY parent-gone unless the folder is there; POISON deleted-at-target when it is in the trash
 * and that was not expected. */
int ap_parent_check(struct ap_ocis *ocis, const struct ap_space *space, const char *parent_id,
                    const struct ap_expect *expect, struct ls_err *err);
/* POISON refused when that parent lies below the folder: a folder moved below itself wedges the
 * server. The core never asks for that, but at the target somebody may have moved the parent. */
int ap_inside_check(struct ap_ocis *ocis, const struct ap_space *space, const struct cs3_info *info,
                    const char *parent_id, struct ls_err *err);
/* -1: what the call missed has just been seen, so the core must not take it for gone. */
int ap_not_gone(const struct ls_err *why, struct ls_err *err);
void ap_node_fill(struct ap_node *node, const struct cs3_info *info);

/* ---- ocis_drift.c; expect NULL: 0, nothing is asked */
/* Has the file another content than is expected? */
bool ap_drift_content(const struct ap_expect *expect, const struct cs3_info *info);
/* POISON changed-at-target */
int ap_drift_content_fail(const struct ap_expect *expect, const struct cs3_info *info,
                          struct ls_err *err);
/* POISON moved-at-target, or 0 */
int ap_drift_place(const struct ap_expect *expect, const struct cs3_info *info, struct ls_err *err);
/* The node, or (node_id NULL) the first of expect->above, is not there. POISON deleted-at-target
 * when it or a folder around it lies in the trash; 0: in no trash. */
int ap_drift_gone(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
                  const struct ap_expect *expect, struct ls_err *err);
/* Lists all that is below a folder. POISON changed-at-target, or 0. */
int ap_drift_below(struct ap_ocis *ocis, const struct ap_space *space, const char *folder_id,
                   const struct ap_expect *expect, struct ls_err *err);
struct ap_trash_item {
    bool found, folder;
    int64_t size, deleted_at; /* size -1: only the whole list was answered, which has no true one */
};
int ap_trash_item(struct ap_ocis *ocis, const struct ap_space *space, const char *top_id,
                  struct ap_trash_item *ret, struct ls_err *err);
/* POISON when that item of the trash is not the one that our own call made, or has been taken out;
 * 0 also when the node is nowhere. */
int ap_drift_item(struct ap_ocis *ocis, const struct ap_space *space, const char *top_id,
                  const struct ap_expect *expect, struct ls_err *err);

/* ---- ocis_content.c */
enum { AP_OVERTAKEN_MS = 60 * 1000, AP_STUCK_MS = 10 * 60 * 1000 };
enum ap_stuck { AP_STUCK_NOT, AP_STUCK_OVERTAKEN, AP_STUCK_LONG };
/* Will a node of `size` bytes that is processed since `since_ms` be so for ever? newest_done_ms:
 * when the latest upload began that is ready; last_over_ms: when one went over one that was
 * STUCK_LONG.
 */
enum ap_stuck ap_processing_stuck(int64_t now_ms, int64_t since_ms, int64_t newest_done_ms,
                                  int64_t last_over_ms, int64_t size);
void ap_ocis_processing_free(struct ap_ocis *ocis);
int ap_ocis_put_file(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                     const char *parent_id, const char *name, const struct ap_blob_want *blob,
                     int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect,
                     bool doubtful, struct ap_node *ret, struct ls_err *err);

/* ---- ocis_look.c */
int ap_ocis_node_look(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                      struct ap_trash_ref below, int64_t mtime, struct ap_found *ret,
                      struct ls_err *err);
int ap_ocis_place_look(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                       const char *name, int64_t mtime, struct ap_found *ret, struct ls_err *err);
int ap_ocis_person_look(struct ap_writer *w, enum cs3_person_type type, const char *name,
                        struct ap_person_found *ret, struct ls_err *err);
int ap_ocis_member_look(struct ap_writer *w, const char *group_id, const char *user_id,
                        struct ap_person_found *ret, struct ls_err *err);
int ap_ocis_space_look(struct ap_writer *w, const char *uid, struct ap_space_found *ret,
                       struct ls_err *err);

/* ---- ocis_seek.c */
int ap_ocis_trash_seek(struct ap_writer *w, const struct ap_space *space,
                       const struct ap_trash_seek *what, struct ap_found *ret, struct ls_err *err);

/* ---- ocis_trash.c */
int ap_ocis_trash(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                  const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
                  struct ls_err *err);
int ap_ocis_restore(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref from,
                    const char *parent_id, const char *name, const struct ap_expect *expect,
                    bool doubtful, struct ap_node *ret, struct ls_err *err);
int ap_ocis_purge(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref what,
                  const struct ap_expect *expect, struct ls_err *err);

/* ---- ocis_versions.c */
int ap_ocis_revision_find(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                          int64_t mtime, int64_t size, bool *ret, struct ls_err *err);
int ap_ocis_revision_restore(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                             int64_t mtime, uint32_t mtime_ns, int64_t size, const char *sha1,
                             const char *sha1_now, bool *ret_done, struct ap_node *ret,
                             struct ls_err *err);

/* ---- ocis_people.c */
int ap_ocis_user_ensure(struct ap_writer *w, const struct cs3_person *person,
                        struct ap_person_id *ret, struct ls_err *err);
int ap_ocis_user_match(struct ap_writer *w, const char *uid, const char *id, struct ls_err *err);
int ap_ocis_user_enable(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err);
int ap_ocis_group_ensure(struct ap_writer *w, const struct cs3_person *group,
                         struct ap_person_id *ret, struct ls_err *err);
int ap_ocis_group_remove(struct ap_writer *w, const char *group_id, struct ls_err *err);
int ap_ocis_member_set(struct ap_writer *w, const char *group_id, const char *user_id, bool member,
                       struct ls_err *err);
int ap_ocis_space_ensure(struct ap_writer *w, const char *uid, struct ap_space *ret,
                         struct ls_err *err);
int ap_ocis_space_quota(struct ap_writer *w, const struct ap_space *space, int64_t bytes,
                        struct ls_err *err);
/* For cs3_on_no_user: lets a disabled user sign in for a moment. */
int ap_ocis_no_user(void *arg, const char *as, bool begin);

/* ---- ocis_shares.c */
/* Without what oCIS never grants, or not on a file. */
int64_t ap_share_possible(int64_t permissions, bool folder);
/* POISON for what cannot be held open: expired, or without a permission. */
int ap_share_open_check(int64_t permissions, bool folder, int64_t expires, struct ls_err *err);
/* Who acts is the owner of the space, or nobody in particular. */
bool ap_share_by_owner(const struct ap_space *space, const char *sharer);
/* oCIS mounts shares by one name; ownCloud's may be a path. */
const char *ap_share_mount_name(const char *mount_point);
/* For cs3_list_grants: has the grantee a grant, and does it give what is wanted, and end then? */
struct ap_grant_search {
    const struct cs3_grant_info *want;
    bool found, right;
};
int ap_grant_check(void *arg, const struct cs3_grant_info *grant);
/* Held while the grants of a node are changed. */
pthread_mutex_t *ap_share_node_lock(struct ap_ocis *ocis, const char *node_id);
/* Takes the grantee's grant away; none is fine. */
int ap_share_grant_drop(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
                        const char *grantee_id, bool group, struct ls_err *err);
int ap_ocis_share_set(struct ap_writer *w, const struct ap_share_want *want,
                      char share_id[AP_ID_SIZE], bool doubtful, struct ls_err *err);
int ap_ocis_share_find(struct ap_writer *w, const struct ap_share_want *want,
                       char ret_id[AP_ID_SIZE], struct ls_err *err);
int ap_ocis_share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                         const char *share_id, bool doubtful, struct ls_err *err);
int ap_ocis_share_clear(struct ap_writer *w, const struct ap_share_want *want, const char *share_id,
                        struct ls_err *err);
int ap_ocis_received_set(struct ap_writer *w, const char *recipient, const char *share_id,
                         enum cs3_share_state state, const char *mount_point, bool doubtful,
                         struct ls_err *err);
int ap_ocis_link_set(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
                     bool doubtful, struct ls_err *err);
int ap_ocis_link_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                        const char *link_id, bool doubtful, struct ls_err *err);

/* ---- ocis_exact.c: the same five, written into the share managers' files */
int ap_exact_open(struct ap_ocis *ocis, struct ls_err *err);
int ap_exact_share_set(struct ap_writer *w, const struct ap_share_want *want,
                       char share_id[AP_ID_SIZE], bool doubtful, struct ls_err *err);
int ap_exact_share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                          const char *share_id, bool doubtful, struct ls_err *err);
int ap_exact_share_clear(struct ap_writer *w, const struct ap_share_want *want,
                         const char *share_id, struct ls_err *err);
int ap_exact_received_set(struct ap_writer *w, const char *recipient, const char *share_id,
                          enum cs3_share_state state, const char *mount_point, bool doubtful,
                          struct ls_err *err);
int ap_exact_link_set(struct ap_writer *w, const struct ap_link_want *want,
                      char link_id[AP_ID_SIZE], bool doubtful, struct ls_err *err);
int ap_exact_link_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                         const char *link_id, bool doubtful, struct ls_err *err);

#endif
