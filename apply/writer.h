/*
 * What apply's core asks of a target: one struct of functions.
 *
 * Every function blocks and may be called from many worker threads at once, but the core never
 * has two operations in flight on one node, on one place, or on one share. No function touches
 * the ledger. Each is safe to repeat; with `doubtful` set an earlier try may or may not have
 * happened (its answer was lost, or the applier died), so the function looks first and finishes
 * what is missing instead of doing it twice. A function that has changed something, or may have,
 * says so: it succeeds, or its error is one of unknown outcome ("timeout", "target-down",
 * "slow-down", "sign-in"). After any other error, but to a doubtful call, the core takes it that
 * nothing has changed, and by the next try may want something else.
 *
 * Errors, by kind and cause (struct ls_err.cause):
 *   RETRY "target-down"   no connection, UNAVAILABLE, 502-504, what a proxy says in its
 *                         place, a certificate that is not trusted: trouble of the whole target
 *   RETRY "slow-down"     429, 503, RESOURCE_EXHAUSTED: the core lowers its pace; code = ms or 0
 *   RETRY "timeout"       outcome unknown: the core repeats with doubtful = true
 *   RETRY "sign-in"       token refused twice in a row
 *   RETRY "no-user"       nobody of that name can sign in (not there, disabled): not the target's
 *   RETRY "busy"          node locked or being processed (423, CS3 ABORTED/LOCKED, trap 20)
 *   RETRY "gone"          the node that the ledger knows is not there (looked up at the provider)
 *   RETRY "parent-gone"   the parent is not there
 *   RETRY "taken"         the name is held by another node; ret.id names it where known
 *   RETRY "quota"         507, INSUFFICIENT_STORAGE
 *   RETRY "internal"      the target's own trouble: INTERNAL, UNKNOWN, HTTP 500, a broken reply
 *   RETRY "grantee-missing"   no such user or group, and people.mode is `match`, or of a directory
 *   RETRY "no-role"       who has no role may have no space, and none could be given to him
 *   RETRY "graph-refused" target.graph_user may not do that at Graph, or the roles are not known
 * now RETRY "content-missing", "content-mismatch", "content-changed", "content-unreadable",
 *         "content-away"  of the blob, by blobs.h
 *   RETRY "bucket-down", "bucket-slow", "bucket-refused"   of all objects, by objects.h
 *   POISON "name-refused" the target cannot hold this name
 *   POISON "outside-home" a link or ".." leads out of the user's home
 *   POISON "expired"      a share or link whose time is over; if it was there, it is gone now
 *   POISON "denied"       PERMISSION_DENIED: so says oCIS, too, while it comes up
 *   POISON "refused"      INVALID_ARGUMENT and the like, in the target's words; a share or link
 *                         without any permission that can be: if it was there, it is gone now
 *   POISON "changed-at-target", "moved-at-target", "deleted-at-target"   see struct ap_expect
 *   FATAL "target-config" the target cannot work with us (wrong key, method missing); some of these
 *                         are not believed at once: run/refusal.h
 */
#ifndef AP_WRITER_H
#define AP_WRITER_H

#include "apply/content/blobs.h"
#include "common/config.h"
#include "common/records.h"
#include <stdbool.h>

#define AP_ID_SIZE 128 /* opaque ids of the target, NUL-terminated text */

struct ap_person_id {
    char id[AP_ID_SIZE]; /* uuid of a user or group at the target */
};

/* A personal space, ready for use. */
struct ap_space {
    char storage_id[AP_ID_SIZE];
    char space_id[AP_ID_SIZE];
    char root_id[AP_ID_SIZE]; /* node id of its root */
    char owner[256];          /* oC10's uid: whom the writer acts for */
};

struct ap_node {
    char id[AP_ID_SIZE];
    char etag[64]; /* as the target shows it, without quotes */
    char sha1[41]; /* as the target computed it; "" for folders */
    int64_t size;
    int64_t mtime;
    int64_t deleted_at; /* what lies in the trash: since when, by the target's clock; 0 unknown */
};

/* What the core takes a node to be. Where it is something else, somebody has changed it at the
 * target: then nothing is done, and the call answers with one of the causes "changed-at-target",
 * "moved-at-target", "deleted-at-target". A NULL instead: whatever is there, the source wins. What
 * a doubtful call finds as it was to leave it is its own. */
struct ap_expect {
    const char *parent_id, *name; /* where it lies; NULL: not known */
    const char *sha1;             /* of a file; "": not known */
    int64_t size;                 /* the same; -1: not known */
    uint64_t below;               /* of a folder to be trashed: ap_drift_mark() of all below it */
    bool below_known;
    int64_t deleted_at; /* of its item in the trash; 0: not known, -1: somebody else put it there */
    /* the folders around it, or around the place where it shall be made: the nearest first */
    const char (*above)[AP_ID_SIZE];
    int n_above;
    char *ret_trashed; /* [AP_ID_SIZE] with "deleted-at-target": it, or which of those is in the
                          trash */
};

/* An item in a space's trash, or something below it. */
struct ap_trash_ref {
    const char *top_id;   /* node id of the trashed item = its recycle key */
    const char *relative; /* path below it, "a/b"; NULL or "": the item itself */
};

/* Where the target has something now. */
enum ap_found_where {
    AP_FOUND_AS_KNOWN, /* of a dry run: nobody was asked */
    AP_FOUND_NOT,
    AP_FOUND_LIVE,
    AP_FOUND_TRASHED, /* an item of its own in the trash */
    AP_FOUND_BELOW,   /* in the trash, below the item that was named */
};
struct ap_found {
    enum ap_found_where where;
    bool folder;
    struct ap_node node;        /* LIVE; of the others the size alone, -1 where it is not told */
    char parent_id[AP_ID_SIZE]; /* LIVE */
    char name[1024];            /* LIVE; TRASHED: as it was called when it was deleted */
};
/* An item of the trash of which nobody has the id. */
struct ap_trash_seek {
    const char *location;     /* where it lay, "a/b", "" the root; NULL: not known */
    const char *base, *aside; /* its name: one of these */
    bool folder;
    int64_t size;                    /* of a file; below 0: any */
    int64_t since;                   /* deleted then or later */
    const char (*known)[AP_ID_SIZE]; /* items that are something else */
    int n_known;
};
struct ap_person_found {
    bool as_known, found;
    char id[AP_ID_SIZE]; /* of a user or group */
    bool enabled;        /* of a user */
    char display_name[512];
};
struct ap_space_found {
    bool as_known, found;
    struct ap_space space;
    int64_t quota; /* bytes, -1 no limit, -2 not told */
};

struct ap_share_want {
    const struct ap_space *space;
    const char *node_id;
    bool folder;
    bool group;             /* the grantee is a group */
    const char *grantee_id; /* at the target */
    const char *sharer;     /* oC10 uid who acts; the owner of the space if he may not */
    int64_t permissions;    /* CS3_PERM_* */
    int64_t expires;        /* seconds since 1970, 0 never */
    /* what only an exact writer keeps */
    int64_t row;   /* oC10's id of it, 0 unknown: its id at the target is made of that */
    int64_t ctime; /* seconds since 1970, 0 unknown */
    enum cs3_share_state
        state;               /* of a user's new share, what he made of it; received_set changes */
    const char *mount_point; /* the same; may be NULL */
    bool *ret_received;      /* set when he has both as given, so that received_set need not
                                follow; may be NULL */
};

struct ap_link_want {
    const struct ap_space *space;
    const char *node_id;
    bool folder;
    const char *sharer;
    int64_t permissions;
    int64_t expires;
    bool has_password; /* without a hash, or by the API: an unguessable password instead */
    const char *label;
    /* what only an exact writer keeps */
    int64_t row, ctime; /* as above */
    /* only where tokens are not kept: it was made and its id is lost; one that looks so is it, but
     * for these, which are others */
    bool lost;
    const char (*known)[AP_ID_SIZE];
    int n_known;
    const char *token, *password_hash; /* NULL or "": not known; the hash without oC10's prefix */
};

struct ap_writer;
struct ap_writer_ops {
    /* Signs in, learns storage id. FATAL when the target can never work. */
    int (*open)(struct ap_writer *w, struct ls_err *err);
    void (*close)(struct ap_writer *w);
    /* Cheap call that tells whether the target answers; for /readyz and after an outage. */
    int (*ping)(struct ap_writer *w, struct ls_err *err);

    /* ---- looks: what the target has now of what the ledger knows. Nothing is changed, and only an
     * answer that says so means that something is not there. RETRY "space-gone": the whole space is
     * not. `below`: where the node lies in the trash as far as is known (top_id NULL: it does not).
     * node_id NULL: only there.
     * `mtime`: the one it was given; the answer has that where the target holds the nearest. */
    int (*node_look)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                     struct ap_trash_ref below, int64_t mtime, struct ap_found *ret,
                     struct ls_err *err);
    /* What is at that place: LIVE or NOT. */
    int (*place_look)(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                      const char *name, int64_t mtime, struct ap_found *ret, struct ls_err *err);
    /* TRASHED, with its id, the time of deletion and its true size, or NOT. Of several those that
     * lay at the very place come first, then the one deleted first. */
    int (*trash_seek)(struct ap_writer *w, const struct ap_space *space,
                      const struct ap_trash_seek *what, struct ap_found *ret, struct ls_err *err);
    int (*person_look)(struct ap_writer *w, enum cs3_person_type type, const char *name,
                       struct ap_person_found *ret, struct ls_err *err);
    /* found: he is a member. */
    int (*member_look)(struct ap_writer *w, const char *group_id, const char *user_id,
                       struct ap_person_found *ret, struct ls_err *err);
    int (*space_look)(struct ap_writer *w, const char *uid, struct ap_space_found *ret,
                      struct ls_err *err);

    /* ---- people. Found by name first; created when mode is `create`. A mail that is null is left
     * as it is, an empty one replaced by one that leads nowhere. In mode `match` nothing
     * is changed (enabled, removed, made a member): 0 all the same. With a directory_uuid a user or
     * a group is looked up by that, and never made or changed. */
    int (*user_ensure)(struct ap_writer *w, const struct cs3_person *person,
                       struct ap_person_id *ret, struct ls_err *err);
    /* From now on whoever acts as `uid` is the target's user of that id; "": nobody, whatever the
     * target has by that name; NULL: the user of that name. Calls nothing. NULL: all go by name. */
    int (*user_match)(struct ap_writer *w, const char *uid, const char *id, struct ls_err *err);
    int (*user_enable)(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err);
    int (*group_ensure)(struct ap_writer *w, const struct cs3_person *group,
                        struct ap_person_id *ret, struct ls_err *err);
    int (*group_remove)(struct ap_writer *w, const char *group_id, struct ls_err *err);
    int (*member_set)(struct ap_writer *w, const char *group_id, const char *user_id, bool member,
                      struct ls_err *err);
    /* CreateHome for that user, and the space's ids. */
    int (*space_ensure)(struct ap_writer *w, const char *uid, struct ap_space *ret,
                        struct ls_err *err);

    /* How much the space may hold; `bytes` below 0: no limit. RETRY "quota-refused": more than the
     * target allows, or target.graph_user may not set it. In mode `match` nothing is changed. */
    int (*space_quota)(struct ap_writer *w, const struct ap_space *space, int64_t bytes,
                       struct ls_err *err);

    /* ---- the tree */
    int (*make_folder)(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                       const char *name, const struct ap_expect *expect, bool doubtful,
                       struct ap_node *ret, struct ls_err *err);
    /* node_id NULL: a new file at parent_id/name (never over somebody else's: "taken"); else new
     * content for that node. mtime_ns: nanoseconds, from the source's etag (two contents must
     * never have the same mtime). Done only when the content is ready at the target. */
    int (*put_file)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                    const char *parent_id, const char *name, const struct ap_blob_want *blob,
                    int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful,
                    struct ap_node *ret, struct ls_err *err);
    /* Does the target keep an old content of that time (in seconds) and size of the node? `size`
     * below 0: of any. NULL: it keeps none. */
    int (*revision_find)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                         int64_t mtime, int64_t size, bool *ret, struct ls_err *err);
    /* Makes the old content of that second and size the node's content again, with that time and
     * these nanoseconds; what the node has (`sha1_now`) becomes an old content. *ret_done false:
     * the target has no such one, or shows another content than `sha1` or `sha1_now` ("": not
     * known). NULL: it cannot. */
    int (*revision_restore)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                            int64_t mtime, uint32_t mtime_ns, int64_t size, const char *sha1,
                            const char *sha1_now, bool *ret_done, struct ap_node *ret,
                            struct ls_err *err);
    int (*set_mtime)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                     int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect,
                     struct ls_err *err);
    int (*move)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                const char *parent_id, const char *name, const struct ap_expect *expect,
                bool doubtful, struct ls_err *err);
    /* ret->deleted_at alone is filled, and only when something was expected. */
    int (*trash)(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                 const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
                 struct ls_err *err);
    int (*restore)(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref from,
                   const char *parent_id, const char *name, const struct ap_expect *expect,
                   bool doubtful, struct ap_node *ret, struct ls_err *err);
    /* Gone for good; already gone is fine. */
    int (*purge)(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref what,
                 const struct ap_expect *expect, struct ls_err *err);

    /* ---- shares. share_id "" makes a new one and fills it; else changes that one. */
    int (*share_set)(struct ap_writer *w, const struct ap_share_want *want,
                     char share_id[AP_ID_SIZE], bool doubtful, struct ls_err *err);
    /* Its id when nobody knows it, by node_id, grantee_id and group alone; "": there is none. */
    int (*share_find)(struct ap_writer *w, const struct ap_share_want *want,
                      char ret_id[AP_ID_SIZE], struct ls_err *err);
    int (*share_remove)(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                        const char *share_id, bool doubtful, struct ls_err *err);
    /* What a try to make or to remove a share with that id ("": nobody knows it) may have left of
     * it where share_remove finds none; by node_id, grantee_id, group and sharer. What another
     * share of the grantee has stays. NULL: nothing can be left. */
    int (*share_clear)(struct ap_writer *w, const struct ap_share_want *want, const char *share_id,
                       struct ls_err *err);
    /* State and mount point of a received share, as its recipient. */
    int (*received_set)(struct ap_writer *w, const char *recipient, const char *share_id,
                        enum cs3_share_state state, const char *mount_point, bool doubtful,
                        struct ls_err *err);
    /* A doubtful try takes up an unfinished link only, never one for its looks. On RETRY "timeout"
     * link_id may have been filled: the repeat is to get it. */
    int (*link_set)(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
                    bool doubtful, struct ls_err *err);
    int (*link_remove)(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                       const char *link_id, bool doubtful, struct ls_err *err);
};

struct ap_writer {
    const struct ap_writer_ops *ops;
    const char *name; /* "ocis-api", "null" */
    bool exact;       /* shares and links keep ids, times, tokens and passwords */
    /* Told in the thread of a call, which has nothing out at the target while it waits for others
     * to write what it wants written, and when that is over. Set before the first call, or NULL. */
    void (*waits)(void *arg, bool begins);
    void *waits_arg;
};

/* Share ids that end up in AP_ID_SIZE bytes. The writer owns its connections and tokens.
 * `call_counter` (may be NULL) is told of every call: method and status word, for metrics. */
typedef void ap_call_fn(void *arg, const char *method, const char *status, double seconds);
int ap_ocis_api_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                    struct ap_writer **ret, struct ls_err *err);
int ap_null_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                struct ap_writer **ret, struct ls_err *err);
/* *ret: shares are written exactly, as apply.shares says, or where it says nothing as the
 * credentials allow. FATAL target-config for another word. */
int ap_exact_wanted(const struct ls_config *config, bool *ret, struct ls_err *err);
void ap_writer_free(struct ap_writer *writer);

#endif
