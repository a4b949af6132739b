/*
 * Desired against applied: the next operation of one file or folder, or what it waits for.
 *
 * Pure: everything it looks at comes through `struct ap_view`, so that tests may give it any tree.
 * It looks at one entity and its neighbours only; the operation it answers is safe to send as long
 * as nothing touching the same nodes and places is in flight (schedule.c sees to that).
 */
#ifndef AP_CONVERGE_H
#define AP_CONVERGE_H

#include "apply/ledger/ledger.h"

enum ap_call {
    AP_NO_CALL = 0,
    AP_MAKE_FOLDER,
    AP_PUT_FILE,
    AP_SET_MTIME,
    AP_MOVE,
    AP_TRASH,
    AP_RESTORE,
    AP_PURGE, /* the last one on the tree */
    AP_USER_ENSURE,
    AP_USER_ENABLE,
    AP_GROUP_ENSURE,
    AP_GROUP_REMOVE,
    AP_MEMBER_SET,
    AP_SPACE_ENSURE,
    AP_SPACE_QUOTA,
    AP_SHARE_SET,
    AP_SHARE_REMOVE,
    AP_RECEIVED_SET,
    AP_LINK_SET,
    AP_LINK_REMOVE,
    AP_PING,
    AP_LOOK, /* what the target has of an entity; of a node it is one on the tree (reconcile.c) */
};

/* A call on the tree, in the ledger's terms; schedule.c adds the target's ids. */
struct ap_tree_op {
    enum ap_call call;
    int64_t storage, fileid;
    int64_t node;   /* acted on; 0: a new one */
    int64_t parent; /* destination: node id or AP_ROOT */
    char name[AP_NAME_SIZE];
    int64_t top;                 /* RESTORE, PURGE: the trashed item */
    char relative[AP_PATH_SIZE]; /* path below it, "" for itself */
    char blob[AP_PATH_SIZE];     /* path below the home */
    int64_t size, mtime;
    char etag[168], sha1[41], md5[33], adler32[9];
};

enum ap_verdict {
    AP_EQUAL, /* nothing is left to do */
    AP_LEFT,  /* this writer does not carry it; cause says what it is */
    AP_CALL,
    AP_LEAVE, /* its node is in another space than it shall be: disown the node, then look again */
    AP_WAIT,  /* for `on` to change */
    AP_LATER, /* looked at again after a while */
    AP_DEAD,  /* can never succeed */
};
struct ap_next {
    enum ap_verdict verdict;
    const char *cause; /* a literal */
    struct ap_key on;
    struct ap_tree_op op;
};

/* Where the desired tree puts a row. */
enum ap_class {
    AP_CLASS_FIXED,   /* a home's root, `files`, `files_trashbin`, `files_trashbin/files` */
    AP_CLASS_LIVE,    /* below `files` */
    AP_CLASS_TRASH,   /* a trash item or below one */
    AP_CLASS_VERSION, /* below `files_versions` or `files_trashbin/versions` */
    AP_CLASS_OTHER,   /* caches, keys, uploads */
    AP_CLASS_ORPHAN,  /* an ancestor is missing or deleted */
    AP_CLASS_MOVING,  /* an ancestor is on its way between storages */
    AP_CLASS_LOOP,
};
struct ap_place {
    enum ap_class class;
    int64_t storage; /* of the root at the end of the chain */
    int64_t files;   /* LIVE: the row of `files` */
    int64_t top;     /* TRASH: the row of the item */
    int64_t broken;  /* ORPHAN, MOVING: the row it fails at */
};

/* What earlier looks have come to. */
struct ap_how {
    bool forced;   /* part of a ring of waits: move who holds the name aside */
    bool given_up; /* its content cannot be had; the verdict when all else is done is AP_DEAD */
};

struct ap_view {
    void *arg;
    bool (*desired)(void *arg, int64_t fileid, struct ap_desired *ret);
    bool (*node)(void *arg, int64_t id, struct ap_applied *ret);
    bool (*node_of)(void *arg, int64_t fileid, struct ap_applied *ret); /* no leftover */
    bool (*node_at)(void *arg, int64_t storage, int64_t parent, const char *name,
                    struct ap_applied *ret);
    bool (*space)(void *arg, int64_t storage, struct ap_space_row *ret);
    /* 1 and fileid of a newer row that wants the same place. */
    bool (*twin)(void *arg, const struct ap_desired *desired, int64_t *ret);
    /* Somebody in the applied subtree of `node` who shall be elsewhere. */
    bool (*inside)(void *arg, int64_t node, struct ap_key *ret);
    /* A node without a file of its own any more, `node` or below it, that is the only copy: its
     * file lives on and has no other node yet. One whose file is a dead letter may go to the trash,
     * and from there (`purge`) only when the source itself has erased the content in its trash. */
    bool (*only_copy)(void *arg, int64_t node, bool purge, struct ap_key *ret);
    /* Somebody below `fileid` in the desired tree who is open and not parked for his own cause.
     * Content that is tried again counts: the item would have to come out for each try. */
    bool (*unfinished)(void *arg, int64_t fileid, int64_t *ret);
    /* Somebody waits for this trash item to come out of the trash. */
    bool (*reopened)(void *arg, int64_t fileid);
    /* The trash item before this one that is still to be made. */
    bool (*older_trash)(void *arg, const struct ap_desired *top, int64_t *ret);
    /* Any trash item of that storage that is still to be made. */
    bool (*trash_open)(void *arg, int64_t storage);
    /* The folder where a trash item lay: fileid, or 0 for the space's root. */
    bool (*trash_origin)(void *arg, const struct ap_desired *top, const struct ap_space_row *space,
                         const char *base, int64_t *ret);
    /* The owner of the space cannot act now (disabled); his row. */
    bool (*owner_off)(void *arg, const struct ap_space_row *space, int64_t *ret);
};

void ap_converge_node(const struct ap_view *view, int64_t fileid, struct ap_how how,
                      struct ap_next *ret);
/* A node whose file lives in another space now. */
void ap_converge_leftover(const struct ap_view *view, int64_t id, struct ap_next *ret);

/* The name of something that has to lie beside what holds its own; unique by the file's id. */
void ap_aside_name(char *aside, size_t size, const char *of, int64_t fileid);
/* The path of a row below its home, by parents and names. False when it is too long. */
bool ap_blob_path(const struct ap_view *view, const struct ap_desired *row, char *out, size_t size);
/* The call that gives a node (NULL: a new one) the content of its row. */
void ap_put_call(const struct ap_view *view, const struct ap_desired *row,
                 const struct ap_applied *node, int64_t storage, struct ap_next *ret);

/* ---- place.c */
void ap_place_find(const struct ap_view *view, const struct ap_desired *row, struct ap_place *ret);
/* "photo.jpg.d1700000000" -> "photo.jpg" and the time; 0 when it is not so formed. */
int64_t ap_trash_name(const char *name, char *base, size_t size);
/* The nine digits behind the seconds: two contents never share a time (etag, else checksum). */
uint32_t ap_mtime_ns(const char *etag, const char *sha1);

/* Over the ledger: tree.c. */
struct ap_view ap_ledger_view(struct ap_ledger *ledger);
/* Walks the applied tree up. Returns the trashed top's node id, AP_ROOT when live, -2 when broken.
 */
#define AP_BROKEN (-2)
#define AP_MAX_DEPTH 2000 /* of either tree */
int64_t ap_applied_top(const struct ap_view *view, const struct ap_applied *node, char *relative,
                       size_t size);

#endif
