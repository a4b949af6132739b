/*
 * The mapping: one row of ownCloud 10 in, desired states out. No I/O.
 *
 * A mapping function returns -1 with POISON (and a cause) for a row that has no counterpart; a row
 * that is left out on purpose sets `filtered` to a static word. All memory is the arena's, that
 * is until the loop resets it; strings may also be borrowed from the envelope and from `known`.
 */
#ifndef TF_MAP_H
#define TF_MAP_H

#include "common/records.h"
#include "transform/known.h"
#include "transform/reach.h"
#include "transform/zone.h"

enum tf_topic { TF_RESOURCE, TF_SPACE, TF_PERSON, TF_SHARE, TF_ANNOTATION, TF_TOPICS };
extern const char *const tf_topic_names[TF_TOPICS]; /* "resource", ... */

#define TF_ALL_PARTITIONS (-1)
/* One record to be sent. */
struct tf_emit {
    enum tf_topic topic;
    int32_t partition; /* TF_ALL_PARTITIONS: a copy to each */
    struct ls_str key;
    const void *record; /* cs3_* of this topic; NULL: a tombstone */
    bool counted;       /* one of `records out`; the others are brackets, copies and the like */
};

#define TF_MAX_EMITS 8
#define TF_MAX_WARNINGS 4
struct tf_result {
    const char *filtered; /* static word: left out, and why */
    /* static words: mapped, but something was not as it should be (tf_warn) */
    const char *warnings[TF_MAX_WARNINGS];
    size_t n_warnings;
    size_t n;
    struct tf_emit emits[TF_MAX_EMITS];
};

/* What a mapping may look at beside the row. */
struct tf_world {
    const struct tf_known *known;
    const struct tf_zone *zone;
    const struct tf_reach *reach;
    const char *instance; /* of ownCloud, in the ids of files: source.instance */
    int partitions;       /* of cs3.resource */
    int32_t partition;    /* where the row was read */
};

typedef int tf_map_fn(const struct tf_world *world, const struct ls_envelope *envelope,
                      struct ls_arena *arena, struct tf_result *ret, struct ls_err *err);

tf_map_fn tf_file_map;     /* oc_filecache, files.c */
tf_map_fn tf_trash_map;    /* oc_files_trash, trash.c */
tf_map_fn tf_share_map;    /* oc_share, shares.c */
tf_map_fn tf_received_map; /* oc_share_external, federation.c */
tf_map_fn tf_server_map;   /* oc_trusted_servers, federation.c */
tf_map_fn tf_space_map;    /* oc_storages, spaces.c */
tf_map_fn tf_user_map;     /* oc_accounts, people.c; also spaces of which the owner is known now */
tf_map_fn tf_group_map;    /* oc_groups, people.c */
tf_map_fn tf_member_map;   /* oc_group_user, people.c */
tf_map_fn tf_credential_map;   /* oc_users, credentials.c */
tf_map_fn tf_ldap_map;         /* oc_ldap_user_mapping, oc_ldap_group_mapping, credentials.c */
tf_map_fn tf_quota_map;        /* oc_preferences, credentials.c */
tf_map_fn tf_category_map;     /* oc_vcategory, annotations.c */
tf_map_fn tf_tagged_map;       /* oc_vcategory_to_object, annotations.c */
tf_map_fn tf_property_map;     /* oc_properties, annotations.c */
tf_map_fn tf_systemtag_map;    /* oc_systemtag, annotations.c */
tf_map_fn tf_systemtagged_map; /* oc_systemtag_object_mapping, annotations.c */

/* True when the row refers to something that `known` does not have, and may have yet (and so the
 * small topics should be read to their end before it is mapped: each such row costs three questions
 * to the broker, so where the topics have been read past the row anyway nobody asks). */
typedef bool tf_asks_fn(const struct tf_known *known, const struct ls_envelope *envelope);
tf_asks_fn tf_file_asks, tf_trash_asks, tf_space_asks, tf_user_asks;

/* All records of a result into `buf`, before any of them is sent: a row whose second record cannot
 * be encoded becomes a dead letter, and none of it may be on its way then. values[i]: that of
 * emits[i], in `buf`; null for a tombstone. */
int tf_encode(const struct tf_result *result, struct ls_buf *buf,
              struct ls_str values[TF_MAX_EMITS], struct ls_err *err);

/* ---- shared by the mappings, map.c */

/* A column of the row's present state, or of the deleted row where it is carried. */
const struct ls_value *tf_value(const struct ls_envelope *envelope, int column);
/* A number (also one in a text column); `fallback` for NULL, ABSENT and what is no number. */
int64_t tf_int(const struct ls_envelope *envelope, int column, int64_t fallback);
/* LS_STR_NULL for NULL and ABSENT. */
struct ls_str tf_text(const struct ls_envelope *envelope, int column);
/* Null for the empty string. */
struct ls_str tf_or_null(struct ls_str s);
struct cs3_head tf_head(const struct ls_envelope *envelope, enum cs3_kind kind);
/* A zeroed piece of the arena; FATAL when it is full. */
void *tf_alloc(struct ls_arena *arena, size_t size, struct ls_err *err);
/* "<prefix><key>" with '/' and '%' of `key` as %2F and %25. */
int tf_key(struct ls_arena *arena, const char *prefix, struct ls_str key, struct ls_str *ret,
           struct ls_err *err);
/* "<prefix><number>", and a NUL behind it. */
int tf_key_int(struct ls_arena *arena, const char *prefix, int64_t number, struct ls_str *ret,
               struct ls_err *err);
/* Another word of warning; beyond TF_MAX_WARNINGS they are not counted. */
void tf_warn(struct tf_result *result, const char *word);
void tf_emit(struct tf_result *result, enum tf_topic topic, int32_t partition, struct ls_str key,
             const void *record);
/* A space record of a storage, with the head of the row that tells it. */
int tf_space_emit(const struct tf_known *known, const struct ls_envelope *envelope, int64_t storage,
                  struct tf_storage what, struct ls_arena *arena, struct tf_result *ret,
                  struct ls_err *err);
/* The spaces of md5 storages that this account tells the owner of (spaces.c); not counted. */
int tf_spaces_of_account(const struct tf_world *world, const struct ls_envelope *envelope,
                         struct ls_str uid, struct ls_str home, struct ls_arena *arena,
                         struct tf_result *ret, struct ls_err *err);

/* The nearest time that oCIS can hold (map.c). */
int64_t tf_mtime(int64_t mtime);
/* The facts of a version, when path and r->name say that this is one (versions.c). False: its time
 * is one that oCIS cannot hold, and is the nearest. */
bool tf_version_fill(struct ls_str path, struct cs3_resource *r);
/* What oc_share.attributes says of downloads (attributes.c). *ret_odd: it is not what oC10 writes,
 * and read as oC10 reads it. */
enum cs3_download tf_download(struct ls_str attributes, bool *ret_odd);
/* "zoe@far.example/oc" -> "zoe", "far.example/oc" (federation.c); both null where it is no such id.
 */
void tf_cloud_id(struct ls_str id, struct ls_str *ret_user, struct ls_str *ret_remote);

/* A quota text of oc_accounts or oc_preferences; false for one that ownCloud cannot read either
 * (then the kind is UNSET). Bytes are set with CS3_QUOTA_BYTES only. quota.c. */
bool tf_quota_parse(struct ls_str text, enum cs3_quota *ret_kind, int64_t *ret_bytes);
/* A stored password: its hash without ownCloud's "1|", and how it was made; null for none. True
 * when nobody but that ownCloud can check it (no hash then, "legacy"). credentials.c. */
bool tf_password(struct ls_str stored, struct ls_str *ret_hash, const char **ret_algorithm);
/* oCIS can check a link's password by what is stored: bcrypt. */
bool tf_password_kept(struct ls_str stored);

#endif
