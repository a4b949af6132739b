/*
 * The small tables in memory: storages, mimetypes, accounts.
 *
 * Fed with the rows of these three topics in their order, asked by the mapping. No I/O. Deleted
 * rows stay known: what refers to them may still be on its way.
 */
#ifndef TF_KNOWN_H
#define TF_KNOWN_H

#include "common/records.h"

enum tf_storage_class {
    TF_STORAGE_UNKNOWN,    /* no row of oc_storages seen */
    TF_STORAGE_PERSONAL,   /* home::<uid>, object::user:<uid>, or the md5 of one */
    TF_STORAGE_UNRESOLVED, /* an md5 that belongs to no account so far */
    TF_STORAGE_PROJECT,    /* a project space, by [spaces] */
    TF_STORAGE_IGNORED,    /* with a reason */
};

struct tf_storage {
    enum tf_storage_class class;
    const char *reason;      /* IGNORED, UNRESOLVED: the space record's word; static */
    const char *filtered;    /* IGNORED: the counter's word, "storage-external"; static */
    struct ls_str source_id; /* borrowed until the next feed */
    struct ls_str owner;     /* PERSONAL, PROJECT; null else */
    struct ls_str name;      /* PROJECT; null else */
    bool deleted;            /* its row is gone from oc_storages */
};

struct tf_known;

/* NULL when memory is out. */
struct tf_known *tf_known_new(void);
void tf_known_free(struct tf_known *known); /* NULL is fine */

/* Borrowed from then on; before any row is fed. Without it no storage is a project space. */
struct tf_projects;
void tf_known_set_projects(struct tf_known *known, const struct tf_projects *projects);

/* Takes in one row or bracket of oc_storages, oc_mimetypes or oc_accounts; others are ignored. An
 * older seq than what is known changes nothing. FATAL when memory is out. */
int tf_known_feed(struct tf_known *known, const struct ls_envelope *envelope, struct ls_err *err);

struct tf_storage tf_known_storage(const struct tf_known *known, int64_t storage);
/* The same for an id that need not be in the table. */
struct tf_storage tf_known_classify(const struct tf_known *known, struct ls_str source_id);
/* The storage with this oc_storages.id (given in full; its md5 is tried where oC10 would use it);
 * LS_NO_STORAGE when there is none. */
int64_t tf_known_storage_by_id(const struct tf_known *known, struct ls_str source_id);
/* The home of a user: home::, or object::user: when only that is there (or only that is alive). */
int64_t tf_known_home(const struct tf_known *known, struct ls_str uid);
/* The same, but LS_NO_STORAGE when more than one storage was ever that user's home, so that what
 * was sent for it earlier may have gone elsewhere. */
int64_t tf_known_only_home(const struct tf_known *known, struct ls_str uid);
/* oc_storages was read whole: an `end` bracket has been seen. Before that "unknown" is not final.
 */
bool tf_known_storages_complete(const struct tf_known *known);

/* LS_STR_NULL when there is no such row. Borrowed until the next feed. */
struct ls_str tf_known_mimetype(const struct tf_known *known, int64_t id);
struct ls_str tf_known_uid(const struct tf_known *known, int64_t account_id);

/* oC10 stores the md5 of ids longer than this many bytes. */
#define TF_STORAGE_ID_MAX 64

/*
 * The number up to which "not there" is certain: all rows with a lower seq have been fed. It is
 * set after the topics were read up to an end that was asked for after `seq` had been seen.
 */
void tf_known_set_certain(struct tf_known *known, struct ls_seq seq);
bool tf_known_certain(const struct tf_known *known, struct ls_seq seq);
/*
 * The same without having asked, for storages and accounts (not mimetypes): of both topics
 * something later than `seq` has been fed, as a heartbeat, and each is in order.
 */
bool tf_known_passed(const struct tf_known *known, struct ls_seq seq);

#endif
