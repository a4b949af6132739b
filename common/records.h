/*
 * What travels through Kafka: row envelopes (oc10 topics) and desired states (cs3 topics).
 *
 * Values are Avro, single-object encoding (C3 01, CRC-64-AVRO fingerprint little endian, body);
 * the schemas are the files in schemas/, compiled in. Reading rule: decode with the WRITER's
 * schema (found by fingerprint: compiled in, else taught by ls_schema_learn from <p>.schemas),
 * take fields by name, the default where one is missing, ignore those we do not know. A value
 * that breaks its schema is LS_ERR_POISON, cause "malformed-avro"; one whose schema nobody knows
 * is POISON, cause "unknown-schema". Encoding is safe from any thread; decoding, and everything
 * about schemas, belongs to one thread of a process.
 */
#ifndef LS_RECORDS_H
#define LS_RECORDS_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/tables.h"

/* Order of everything capture ever wrote. Compare with ls_seq_cmp: epoch, counter, part. */
struct ls_seq {
    int32_t epoch;
    int64_t counter;
    int32_t part; /* 0; a move between storages: the delete is 0, the upsert 1 */
};
int ls_seq_cmp(struct ls_seq a, struct ls_seq b);
/* "epoch.counter.part", the header `seq` of tombstones and dead letters. */
int ls_seq_print(struct ls_seq seq, char *out, size_t size);
int ls_seq_parse(struct ls_str text, struct ls_seq *ret);

/* ---- row envelope, schemas/oc10/<table>.avsc */
enum ls_op {
    LS_OP_CREATE = 'c',
    LS_OP_UPDATE = 'u',
    LS_OP_DELETE = 'd',
    LS_OP_READ = 'r',      /* a snapshot's row */
    LS_OP_BEGIN = 'b',     /* bracket: a snapshot of this partition begins */
    LS_OP_END = 'e',       /* bracket: it ends; what has an older seq than its begin is gone */
    LS_OP_HEARTBEAT = 'h', /* the stream was read up to source_ts_us with nothing left out */
};
#define LS_NO_STORAGE INT64_MIN

struct ls_envelope {
    enum ls_op op;
    struct ls_seq seq;
    struct ls_seq begin; /* END: the seq of its begin bracket */
    const struct ls_table *table;
    int64_t source_ts_us;  /* commit time at the source; 0 unknown. HEARTBEAT: how far was read */
    int64_t capture_ts_us; /* when capture received it */
    struct ls_str server;  /* source host:port */
    struct ls_str gtid;    /* "" none */
    struct ls_str file;    /* binlog file, "" in a snapshot */
    int64_t pos;           /* end of the event in it */
    int32_t row;           /* ordinal of the watched row in its transaction */
    int64_t moved_from;    /* storage, on the upsert half of a move; else LS_NO_STORAGE */
    int64_t moved_to;      /* storage, on the delete half */
    int64_t storage;       /* BEGIN, END: only this storage; LS_NO_STORAGE: the whole partition */
    bool has_before, has_after;
    struct ls_value before[LS_MAX_COLUMNS]; /* changed and key columns; the others ABSENT */
    struct ls_value after[LS_MAX_COLUMNS];
};
/* Keys of records that are not about a row; a storage's own brackets: "!begin/<storage>". */
#define LS_KEY_HEARTBEAT "!heartbeat"
#define LS_KEY_BEGIN "!begin"
#define LS_KEY_END "!end"

int ls_envelope_encode(const struct ls_envelope *envelope, struct ls_buf *out, struct ls_err *err);
/* Strings and *ret live in the arena. `table` is the one of the topic. */
int ls_envelope_decode(const struct ls_table *table, struct ls_str value, struct ls_arena *arena,
                       struct ls_envelope **ret, struct ls_err *err);
/* The record's key: primary key columns as text, '/'-joined with '/' and '%' of a value escaped
 * as %2F and %25. From `after`, else `before`. */
int ls_envelope_key(const struct ls_envelope *envelope, struct ls_arena *arena, struct ls_str *ret,
                    struct ls_err *err);

/* ---- desired states, schemas/cs3/<name>.avsc; one enum of kinds for all */
enum cs3_kind { CS3_UPSERT, CS3_DELETE, CS3_BEGIN, CS3_END, CS3_HEARTBEAT };

/* The head of every cs3 record. */
struct cs3_head {
    enum cs3_kind kind;
    struct ls_seq seq;
    struct ls_seq begin; /* CS3_END */
    int64_t source_ts_us, capture_ts_us;
    bool snapshot;
};

enum cs3_class {
    CS3_CLASS_ROOT,
    CS3_CLASS_FILES,
    CS3_CLASS_TRASH,
    CS3_CLASS_VERSIONS,
    CS3_CLASS_OTHER
};

/* schemas/cs3/resource.avsc: all that one file, folder or trash entry shall be. Key: fileid as
 * text, or "t<auto_id>" for a row of oc_files_trash. */
enum cs3_what { CS3_NODE, CS3_TRASH_INFO };
struct cs3_resource {
    struct cs3_head head;
    enum cs3_what what;
    int64_t storage;           /* of a bracket as of an envelope's: LS_NO_STORAGE or the only one */
    int64_t fileid;            /* CS3_NODE; CS3_TRASH_INFO: auto_id */
    int64_t parent;            /* -1: root of its storage */
    struct ls_str name;        /* TRASH_INFO: base name */
    enum cs3_class class_hint; /* by the first elements of `path`; the tree decides */
    bool folder;
    int64_t size;                     /* -1 unknown */
    int64_t mtime;                    /* seconds, within CS3_MTIME_MIN and _MAX */
    struct ls_str etag;               /* without quotes, of a folder the one to be shown; or null */
    struct ls_str sha1, md5, adler32; /* lower-case hex or null */
    struct ls_str mimetype;           /* null: not known */
    bool encrypted;
    int64_t moved_from, moved_to;             /* storages or LS_NO_STORAGE */
    struct ls_str trash_user, trash_location; /* TRASH_INFO */
    int64_t trash_time;                       /* seconds; TRASH_INFO, and versions in the trash */
    struct ls_str id;                         /* "<instance>$<storage>!<fileid>" of a NODE */
    int64_t tree_mtime;                       /* folders: of all that is in it; LS_NO_STORAGE */
    /* A version "<version_of>.v<version_time>" of a file in the folder that lies below `files` (or
     * in the trash) as this one's parent does below files_versions. */
    struct ls_str version_of; /* null: no version */
    int64_t version_time;     /* seconds: the version's own mtime, and its key; as mtime */
    bool version_meta;        /* not its content, but what is known of its author (.json); with
                                 version_time 0 perhaps of who wrote what the file holds */
    int64_t path_hash;        /* cs3_path_hash of the row's path; 0: not known */
};
/* FNV-1a in 64 bits, by which it shows whether a path is its parent's and the name: the hash of
 * `text` behind a path that has the hash `of`. */
#define CS3_PATH_ROOT INT64_C(-3750763034362895579) /* of the empty path */
int64_t cs3_path_hash(int64_t of, struct ls_str text);
/* Times that oCIS can hold: nanoseconds since 1970 in 64 bits (the years 1677 to 2262). */
#define CS3_MTIME_MIN INT64_C(-9223372036)
#define CS3_MTIME_MAX INT64_C(9223372035)

/* schemas/cs3/space.avsc. Key: numeric storage. */
enum cs3_space_type { CS3_SPACE_PERSONAL, CS3_SPACE_PROJECT, CS3_SPACE_IGNORED };
struct cs3_space {
    struct cs3_head head;
    int64_t storage;
    struct ls_str source_id; /* oc_storages.id */
    enum cs3_space_type type;
    struct ls_str owner;  /* uid; null for none */
    struct ls_str reason; /* why ignored: "external", "federated", "uploads", "unknown", ... */
    struct ls_str name;   /* PROJECT: as [spaces] calls it; else null */
};

/* schemas/cs3/person.avsc. Key: "u:<uid>", "g:<gid>", "m:<gid>/<uid>", "p:<uid>" (CREDENTIAL),
 * "l:<owncloud_name>", "q:<uid>", "d:<owncloud_name>" (LDAP_GROUP) ('/' and '%' escaped). Each is
 * one row of a table of its own. */
enum cs3_person_type {
    CS3_USER,       /* oc_accounts */
    CS3_GROUP,      /* oc_groups */
    CS3_MEMBER,     /* oc_group_user */
    CS3_CREDENTIAL, /* oc_users: a local account's name and password */
    CS3_LDAP,       /* oc_ldap_user_mapping; uid is owncloud_name */
    CS3_QUOTA,      /* oc_preferences files/quota */
    CS3_LDAP_GROUP, /* oc_ldap_group_mapping; gid is owncloud_name */
};
enum cs3_quota {
    CS3_QUOTA_UNSET,   /* null, "", or a text that says nothing */
    CS3_QUOTA_DEFAULT, /* what the server gives to everybody */
    CS3_QUOTA_NONE,    /* no limit */
    CS3_QUOTA_BYTES,
};
struct cs3_person {
    struct cs3_head head;
    enum cs3_person_type type;
    struct ls_str uid, gid;
    struct ls_str display_name, mail, home, backend, quota; /* quota: as the source has it */
    bool enabled;
    enum cs3_quota quota_kind; /* USER, QUOTA: what `quota` says */
    int64_t quota_bytes;
    struct ls_str password_hash;      /* CREDENTIAL; only with capture.user_secrets */
    struct ls_str password_algorithm; /* "bcrypt", "argon2i", ...; null: not carried, or none */
    bool password_reset;              /* a form that only ownCloud can check */
    struct ls_str dn, directory_uuid; /* LDAP, LDAP_GROUP */
};

/* schemas/cs3/annotation.avsc: what people wrote on files. Key: "c:<id>" (oc_vcategory),
 * "t:<objid>/<categoryid>/<type>" (oc_vcategory_to_object), "p:<id>" (oc_properties), "g:<id>"
 * (oc_systemtag), "o:<objecttype>/<objectid>/<systemtagid>" (oc_systemtag_object_mapping). */
enum cs3_annotation_type {
    CS3_CATEGORY, /* of one user: his favourites, or a tag of his own */
    CS3_TAGGED,
    CS3_PROPERTY,
    CS3_SYSTEMTAG, /* a tag that everybody sees */
    CS3_SYSTEMTAGGED,
};
struct cs3_annotation {
    struct cs3_head head;
    enum cs3_annotation_type type;
    int64_t id;        /* of the category or tag, *TAGGED too; of the property */
    int64_t fileid;    /* *TAGGED, PROPERTY; LS_NO_STORAGE: not known (a deleted property) */
    struct ls_str uid; /* CATEGORY: whose */
    struct ls_str object_type; /* CATEGORY, *TAGGED: "files"; of others fileid is no file */
    struct ls_str name;        /* of the category or tag; of the property, "{namespace}name" */
    bool favorite;             /* CATEGORY: the one that stands for favourites */
    struct ls_str value;       /* PROPERTY */
    int64_t value_type;        /* PROPERTY: 1 text, 2 XML, 3 object */
    /* SYSTEMTAG: what those who are no administrators may do with it */
    bool visible, editable, assignable;
};

/* CS3 ResourcePermissions as bits, in the order of the .proto's fields; names in
 * cs3_permission_names[]. */
enum {
    CS3_PERM_ADD_GRANT = 1 << 0,
    CS3_PERM_CREATE_CONTAINER = 1 << 1,
    CS3_PERM_DELETE = 1 << 2,
    CS3_PERM_GET_PATH = 1 << 3,
    CS3_PERM_GET_QUOTA = 1 << 4,
    CS3_PERM_INITIATE_FILE_DOWNLOAD = 1 << 5,
    CS3_PERM_INITIATE_FILE_UPLOAD = 1 << 6,
    CS3_PERM_LIST_GRANTS = 1 << 7,
    CS3_PERM_LIST_CONTAINER = 1 << 8,
    CS3_PERM_LIST_FILE_VERSIONS = 1 << 9,
    CS3_PERM_LIST_RECYCLE = 1 << 10,
    CS3_PERM_MOVE = 1 << 11,
    CS3_PERM_REMOVE_GRANT = 1 << 12,
    CS3_PERM_PURGE_RECYCLE = 1 << 13,
    CS3_PERM_RESTORE_FILE_VERSION = 1 << 14,
    CS3_PERM_RESTORE_RECYCLE_ITEM = 1 << 15,
    CS3_PERM_STAT = 1 << 16,
    CS3_PERM_UPDATE_GRANT = 1 << 17,
    CS3_PERM_DENY_GRANT = 1 << 18,
};
extern const char *const cs3_permission_names[19];

/* oC10's bits (1 read, 2 update, 4 create, 8 delete, 16 share) as CS3_PERM_*. `download` false: he
 * may look, but not have the content (permissions.c). */
int64_t cs3_permissions(int64_t bits, bool folder, bool download);

/* schemas/cs3/share.avsc. Key: share id; "x<id>" for a row of oc_share_external, "s<id>" for one of
 * oc_trusted_servers. */
enum cs3_share_type {
    CS3_SHARE_USER,
    CS3_SHARE_GROUP,
    CS3_SHARE_MEMBER, /* one member's own state of a group share */
    CS3_SHARE_LINK,
    CS3_SHARE_FEDERATED, /* with somebody on another server */
    CS3_SHARE_RECEIVED,  /* from another server (oc_share_external) */
    CS3_SHARE_TRUSTED,   /* no share: a server that is trusted (oc_trusted_servers) */
};
enum cs3_share_state { CS3_SHARE_ACCEPTED, CS3_SHARE_PENDING, CS3_SHARE_REJECTED };
/* What the attribute permissions/download of a row says. Of several rows of one recipient one that
 * allows it counts; else one that denies it. */
enum cs3_download { CS3_DOWNLOAD_UNSET, CS3_DOWNLOAD_ALLOWED, CS3_DOWNLOAD_DENIED };
struct cs3_share {
    struct cs3_head head;
    int64_t id;
    enum cs3_share_type type;
    int64_t parent; /* MEMBER: the group share's id; else 0 */
    int64_t fileid; /* the shared node */
    bool folder;
    struct ls_str owner, creator; /* uids */
    struct ls_str grantee;        /* uid or gid; FEDERATED: user@server; null for links */
    int64_t permissions;          /* CS3_PERM_*, of this row alone */
    int64_t source_permissions;   /* oC10's bits */
    int64_t stime;
    enum cs3_share_state state;
    struct ls_str mount_point;          /* file_target */
    int64_t expires;                    /* last second it is valid, seconds since 1970; 0: never */
    bool has_password;                  /* links */
    struct ls_str token, password_hash; /* only with the option; else null */
    struct ls_str label;
    bool mail_send;
    struct ls_str attributes; /* as the source has them */
    enum cs3_download download;
    bool password_reset; /* its hash is of a kind that oCIS cannot check: to be set anew */
    /* other servers: where, who there; RECEIVED: the share's id and name there */
    struct ls_str remote, remote_user, remote_id, name;
    struct ls_str shared_secret; /* only with the option; else null */
    int64_t status;              /* TRUSTED: oC10's number */
};

/* Generic codec for all: the field tables stand in records.c. */
struct cs3_type;
extern const struct cs3_type cs3_resource_type, cs3_space_type_, cs3_person_type_, cs3_share_type_,
    cs3_annotation_type_;
/* Of a topic without the prefix, "cs3.share"; NULL for any other. */
const struct cs3_type *cs3_type_of(const char *topic);
int cs3_encode(const struct cs3_type *type, const void *record, struct ls_buf *out,
               struct ls_err *err);
/* *ret points at a struct of that type; it and its strings live in the arena. */
int cs3_decode(const struct cs3_type *type, struct ls_str value, struct ls_arena *arena, void **ret,
               struct ls_err *err);

/* ---- schemas */
struct ls_schema {
    const char *name; /* "oc10/filecache" */
    const char *json;
    uint64_t fingerprint; /* CRC-64-AVRO of the parsing canonical form */
};
extern const struct ls_schema *ls_schema_all(size_t *ret_n);
uint64_t ls_schema_fingerprint(const char *json, struct ls_err *err, int *ret_ok);
/* A schema of <p>.schemas, for a writer newer or older than this program. */
int ls_schema_learn(struct ls_str json, struct ls_err *err);
/* Called by decoding, once for each fingerprint that nobody knows; calls ls_schema_learn with what
 * it finds. Finding nothing is 0, -1 makes decoding fail with its error. */
typedef int ls_schema_learner_fn(void *arg, uint64_t fingerprint, struct ls_err *err);
void ls_schema_set_learner(ls_schema_learner_fn *fn, void *arg);

struct ls_config;
/* For programs that read only: decoding looks for unknown schemas on <p>.schemas. The config is
 * borrowed for the process's life. */
void ls_schemas_attach(const struct ls_config *config);
/* For capture and transform, at start: the same, and puts on <p>.schemas (which must be there)
 * the compiled-in schemas that are not yet on it. */
int ls_schemas_publish(const struct ls_config *config, struct ls_err *err);

#endif
