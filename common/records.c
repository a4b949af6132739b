/*
 * Desired states: the field tables of schemas/cs3/<name>.avsc.
 *
 * Each row is a field of the schema, in its order, with its default; a unit test
 * holds both against each other. What can go wrong: an enum gets a new symbol,
 * and an older program meets it: that is POISON there, so a new kind of record
 * needs readers first.
 */
#include "common/records.h"
#include "common/fields.h"
#include "common/records_parts.h"
#include "common/schema.h"
#include <errno.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* clang-format off */
static const struct rec_symbol kinds[] = {
    {"UPSERT", CS3_UPSERT}, {"DELETE", CS3_DELETE}, {"BEGIN", CS3_BEGIN}, {"END", CS3_END},
    {"HEARTBEAT", CS3_HEARTBEAT}};
static const struct rec_symbol whats[] = {
    {"NODE", CS3_NODE}, {"TRASH_INFO", CS3_TRASH_INFO}};
static const struct rec_symbol classes[] = {
    {"ROOT", CS3_CLASS_ROOT}, {"FILES", CS3_CLASS_FILES}, {"TRASH", CS3_CLASS_TRASH},
    {"VERSIONS", CS3_CLASS_VERSIONS}, {"OTHER", CS3_CLASS_OTHER}};
static const struct rec_symbol space_types[] = {
    {"PERSONAL", CS3_SPACE_PERSONAL}, {"PROJECT", CS3_SPACE_PROJECT},
    {"IGNORED", CS3_SPACE_IGNORED}};
static const struct rec_symbol person_types[] = {
    {"USER", CS3_USER}, {"GROUP", CS3_GROUP}, {"MEMBER", CS3_MEMBER},
    {"CREDENTIAL", CS3_CREDENTIAL}, {"LDAP", CS3_LDAP}, {"QUOTA", CS3_QUOTA},
    {"LDAP_GROUP", CS3_LDAP_GROUP}};
static const struct rec_symbol quotas[] = {
    {"UNSET", CS3_QUOTA_UNSET}, {"DEFAULT", CS3_QUOTA_DEFAULT}, {"NONE", CS3_QUOTA_NONE},
    {"BYTES", CS3_QUOTA_BYTES}};
static const struct rec_symbol annotation_types[] = {
    {"CATEGORY", CS3_CATEGORY}, {"TAGGED", CS3_TAGGED}, {"PROPERTY", CS3_PROPERTY},
    {"SYSTEMTAG", CS3_SYSTEMTAG}, {"SYSTEMTAGGED", CS3_SYSTEMTAGGED}};
static const struct rec_symbol share_types[] = {
    {"USER", CS3_SHARE_USER}, {"GROUP", CS3_SHARE_GROUP}, {"MEMBER", CS3_SHARE_MEMBER},
    {"LINK", CS3_SHARE_LINK}, {"FEDERATED", CS3_SHARE_FEDERATED},
    {"RECEIVED", CS3_SHARE_RECEIVED}, {"TRUSTED", CS3_SHARE_TRUSTED}};
static const struct rec_symbol share_states[] = {
    {"ACCEPTED", CS3_SHARE_ACCEPTED}, {"PENDING", CS3_SHARE_PENDING},
    {"REJECTED", CS3_SHARE_REJECTED}};
static const struct rec_symbol downloads[] = {
    {"UNSET", CS3_DOWNLOAD_UNSET}, {"ALLOWED", CS3_DOWNLOAD_ALLOWED},
    {"DENIED", CS3_DOWNLOAD_DENIED}};

#define LONG(T, f, fallback) {#f, REC_LONG, offsetof(struct T, f), false, fallback, NULL, 0}
#define BOOL(T, f, fallback) {#f, REC_BOOL, offsetof(struct T, f), false, fallback, NULL, 0}
#define TEXT(T, f) {#f, REC_OPT_STR, offsetof(struct T, f), false, 0, NULL, 0}
#define PLACE(T, f) {#f, REC_OPT_LONG, offsetof(struct T, f), false, 0, NULL, 0}
#define ENUM(T, f, symbols, fallback) \
    {#f, REC_ENUM, offsetof(struct T, f), false, fallback, symbols, COUNT(symbols)}
#define HEAD(T) \
    {"kind", REC_ENUM, offsetof(struct T, head.kind), true, 0, kinds, COUNT(kinds)}, \
    {"seq_epoch", REC_INT, offsetof(struct T, head.seq.epoch), true, 0, NULL, 0}, \
    {"seq_counter", REC_LONG, offsetof(struct T, head.seq.counter), true, 0, NULL, 0}, \
    {"part", REC_INT, offsetof(struct T, head.seq.part), true, 0, NULL, 0}, \
    {"begin_epoch", REC_INT, offsetof(struct T, head.begin.epoch), false, 0, NULL, 0}, \
    {"begin_counter", REC_LONG, offsetof(struct T, head.begin.counter), false, 0, NULL, 0}, \
    {"begin_part", REC_INT, offsetof(struct T, head.begin.part), false, 0, NULL, 0}, \
    {"source_ts_us", REC_LONG, offsetof(struct T, head.source_ts_us), false, 0, NULL, 0}, \
    {"capture_ts_us", REC_LONG, offsetof(struct T, head.capture_ts_us), false, 0, NULL, 0}, \
    {"snapshot", REC_BOOL, offsetof(struct T, head.snapshot), false, 0, NULL, 0}

static const struct rec_field resource_fields[] = {
    HEAD(cs3_resource),
    ENUM(cs3_resource, what, whats, CS3_NODE),
    LONG(cs3_resource, storage, 0),
    LONG(cs3_resource, fileid, 0),
    LONG(cs3_resource, parent, -1),
    TEXT(cs3_resource, name),
    ENUM(cs3_resource, class_hint, classes, CS3_CLASS_OTHER),
    BOOL(cs3_resource, folder, false),
    LONG(cs3_resource, size, -1),
    LONG(cs3_resource, mtime, 0),
    TEXT(cs3_resource, etag),
    TEXT(cs3_resource, sha1),
    TEXT(cs3_resource, md5),
    TEXT(cs3_resource, adler32),
    TEXT(cs3_resource, mimetype),
    BOOL(cs3_resource, encrypted, false),
    PLACE(cs3_resource, moved_from),
    PLACE(cs3_resource, moved_to),
    TEXT(cs3_resource, trash_user),
    TEXT(cs3_resource, trash_location),
    LONG(cs3_resource, trash_time, 0),
    TEXT(cs3_resource, id),
    PLACE(cs3_resource, tree_mtime),
    TEXT(cs3_resource, version_of),
    LONG(cs3_resource, version_time, 0),
    BOOL(cs3_resource, version_meta, false),
    LONG(cs3_resource, path_hash, 0),
};

static const struct rec_field space_fields[] = {
    HEAD(cs3_space),
    LONG(cs3_space, storage, 0),
    TEXT(cs3_space, source_id),
    ENUM(cs3_space, type, space_types, CS3_SPACE_IGNORED),
    TEXT(cs3_space, owner),
    TEXT(cs3_space, reason),
    TEXT(cs3_space, name),
};

static const struct rec_field person_fields[] = {
    HEAD(cs3_person),
    ENUM(cs3_person, type, person_types, CS3_USER),
    TEXT(cs3_person, uid),
    TEXT(cs3_person, gid),
    TEXT(cs3_person, display_name),
    TEXT(cs3_person, mail),
    TEXT(cs3_person, home),
    TEXT(cs3_person, backend),
    TEXT(cs3_person, quota),
    BOOL(cs3_person, enabled, true),
    ENUM(cs3_person, quota_kind, quotas, CS3_QUOTA_UNSET),
    LONG(cs3_person, quota_bytes, 0),
    TEXT(cs3_person, password_hash),
    TEXT(cs3_person, password_algorithm),
    BOOL(cs3_person, password_reset, false),
    TEXT(cs3_person, dn),
    TEXT(cs3_person, directory_uuid),
};

static const struct rec_field annotation_fields[] = {
    HEAD(cs3_annotation),
    ENUM(cs3_annotation, type, annotation_types, CS3_CATEGORY),
    LONG(cs3_annotation, id, 0),
    PLACE(cs3_annotation, fileid),
    TEXT(cs3_annotation, uid),
    TEXT(cs3_annotation, object_type),
    TEXT(cs3_annotation, name),
    BOOL(cs3_annotation, favorite, false),
    TEXT(cs3_annotation, value),
    LONG(cs3_annotation, value_type, 1),
    BOOL(cs3_annotation, visible, true),
    BOOL(cs3_annotation, editable, true),
    BOOL(cs3_annotation, assignable, true),
};

static const struct rec_field share_fields[] = {
    HEAD(cs3_share),
    LONG(cs3_share, id, 0),
    ENUM(cs3_share, type, share_types, CS3_SHARE_USER),
    LONG(cs3_share, parent, 0),
    LONG(cs3_share, fileid, 0),
    BOOL(cs3_share, folder, false),
    TEXT(cs3_share, owner),
    TEXT(cs3_share, creator),
    TEXT(cs3_share, grantee),
    LONG(cs3_share, permissions, 0),
    LONG(cs3_share, source_permissions, 0),
    LONG(cs3_share, stime, 0),
    ENUM(cs3_share, state, share_states, CS3_SHARE_ACCEPTED),
    TEXT(cs3_share, mount_point),
    LONG(cs3_share, expires, 0),
    BOOL(cs3_share, has_password, false),
    TEXT(cs3_share, token),
    TEXT(cs3_share, password_hash),
    TEXT(cs3_share, label),
    BOOL(cs3_share, mail_send, false),
    TEXT(cs3_share, attributes),
    ENUM(cs3_share, download, downloads, CS3_DOWNLOAD_UNSET),
    BOOL(cs3_share, password_reset, false),
    TEXT(cs3_share, remote),
    TEXT(cs3_share, remote_user),
    TEXT(cs3_share, remote_id),
    TEXT(cs3_share, name),
    TEXT(cs3_share, shared_secret),
    LONG(cs3_share, status, 0),
};

#define TYPE(name, record, fields) \
    {{"cs3/" #name, record, sizeof(struct cs3_##name), fields, COUNT(fields)}}

const struct cs3_type cs3_resource_type = TYPE(resource, "Resource", resource_fields);
const struct cs3_type cs3_space_type_ = TYPE(space, "Space", space_fields);
const struct cs3_type cs3_person_type_ = TYPE(person, "Person", person_fields);
const struct cs3_type cs3_share_type_ = TYPE(share, "Share", share_fields);
const struct cs3_type cs3_annotation_type_ = TYPE(annotation, "Annotation", annotation_fields);
/* clang-format on */

const struct cs3_type *
cs3_type_of(const char *topic)
{
    static const struct {
        const char *topic;
        const struct cs3_type *type;
    } types[] = {{"cs3.resource", &cs3_resource_type},
                 {"cs3.space", &cs3_space_type_},
                 {"cs3.person", &cs3_person_type_},
                 {"cs3.share", &cs3_share_type_},
                 {"cs3.annotation", &cs3_annotation_type_}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].topic, topic) == 0)
            return types[i].type;
    }
    return NULL;
}

const char *const cs3_permission_names[19] = {
    "add_grant",
    "create_container",
    "delete",
    "get_path",
    "get_quota",
    "initiate_file_download",
    "initiate_file_upload",
    "list_grants",
    "list_container",
    "list_file_versions",
    "list_recycle",
    "move",
    "remove_grant",
    "purge_recycle",
    "restore_file_version",
    "restore_recycle_item",
    "stat",
    "update_grant",
    "deny_grant",
};

/* What a value of this type begins with; looked up by name once in a run of one type. */
static const struct schema_head *
head_of(const struct cs3_type *type)
{
    static _Thread_local const struct cs3_type *last;
    static _Thread_local const struct schema_head *head;

    if (last != type) {
        head = schema_head_of(type->rec.schema);
        last = type;
    }
    return head;
}

int
cs3_encode(const struct cs3_type *type, const void *record, struct ls_buf *out, struct ls_err *err)
{
    size_t start = out->n;
    uint8_t *o = ls_buf_room(out, REC_HEADER + rec_bound(&type->rec, record));

    if (!o)
        return ls_fail_cause(err, LS_ERR_POISON, EMSGSIZE, "too-large",
                             "a %s record is too large for its buffer", type->rec.schema);
    o = rec_put_header(o, head_of(type));
    o = rec_put(o, &type->rec, record);
    if (!o) {
        out->n = start;
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "record-enum",
                             "a %s record holds a value without a name", type->rec.schema);
    }
    out->n = (size_t)(o - out->p);
    return 0;
}

int
cs3_decode(const struct cs3_type *type, struct ls_str value, struct ls_arena *arena, void **ret,
           struct ls_err *err)
{
    void *record = ls_arena_alloc(arena, type->rec.size);
    struct rec_plan *plan = NULL;

    if (!record)
        return ls_fail_cause(err, LS_ERR_RETRY, ENOMEM, "batch-memory",
                             "the records of one batch do not fit into its memory");
    if (rec_open(&type->rec, value, &plan, err) < 0 || rec_take(plan, arena, record, err) < 0)
        return -1;
    *ret = record;
    return 0;
}

int64_t
cs3_path_hash(int64_t of, struct ls_str text)
{
    uint64_t hash = (uint64_t)of;

    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ (uint8_t)text.p[i]) * 1099511628211ULL;
    return (int64_t)hash;
}
