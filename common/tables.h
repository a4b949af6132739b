/*
 * The watched tables of ownCloud 10 and the columns Lockstep carries: an allow-list.
 *
 * Columns are found by name, never by position; one that the server does not have (an older
 * release) is ABSENT. Source: facts of owncloud/core 10.0 to 10.16 (core/Migrations).
 */
#ifndef LS_TABLES_H
#define LS_TABLES_H

#include "common/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LS_MAX_COLUMNS 24

enum ls_value_kind { LS_V_ABSENT = 0, LS_V_NULL, LS_V_INT, LS_V_TEXT };
struct ls_value {
    enum ls_value_kind kind;
    int64_t i;       /* LS_V_INT */
    struct ls_str s; /* LS_V_TEXT: UTF-8 as the table holds it; DATETIME as "YYYY-MM-DD HH:MM:SS" */
};

enum ls_secret {
    LS_PUBLIC = 0,
    LS_SECRET,      /* carried only with its option; otherwise ABSENT */
    LS_SECRET_LINK, /* oc_share.share_with of a link: a password hash. Without the option the value
                       becomes LS_MASKED, so that "has a password" is still known */
};
#define LS_MASKED "*"

struct ls_column {
    const char *name;
    enum ls_value_kind type; /* LS_V_INT or LS_V_TEXT */
    bool key;                /* part of the primary key; these stand in front of the others */
    enum ls_secret secret;
};

enum ls_table_id {
    LS_T_FILECACHE,
    LS_T_SHARE,
    LS_T_STORAGES,
    LS_T_MIMETYPES,
    LS_T_SHARE_EXTERNAL,
    LS_T_TRUSTED_SERVERS,
    LS_T_ACCOUNTS,
    LS_T_USERS,
    LS_T_GROUPS,
    LS_T_GROUP_USER,
    LS_T_LDAP_USER_MAPPING,
    LS_T_LDAP_GROUP_MAPPING,
    LS_T_FILES_TRASH,
    LS_T_PROPERTIES,
    LS_T_VCATEGORY,
    LS_T_VCATEGORY_TO_OBJECT,
    LS_T_SYSTEMTAG,
    LS_T_SYSTEMTAG_MAPPING,
    LS_T_PREFERENCES,
    LS_T_COUNT
};

struct ls_table {
    enum ls_table_id id;
    const char *name; /* without prefix: "filecache" */
    bool optional;    /* an app's table that may not exist */
    bool by_storage;  /* partitioned by the column `storage`; the others have one partition */
    size_t n_columns;
    struct ls_column columns[LS_MAX_COLUMNS];
};
extern const struct ls_table ls_tables[LS_T_COUNT];

/* Column numbers, in the order of ls_tables[].columns; a unit test compares the names. */
enum {
    FC_FILEID,
    FC_STORAGE,
    FC_PATH,
    FC_PARENT,
    FC_NAME,
    FC_MIMETYPE,
    FC_SIZE,
    FC_MTIME,
    FC_ENCRYPTED,
    FC_ETAG,
    FC_PERMISSIONS,
    FC_CHECKSUM,
    FC_COUNT
};
enum {
    SH_ID,
    SH_SHARE_TYPE,
    SH_SHARE_WITH,
    SH_UID_OWNER,
    SH_UID_INITIATOR,
    SH_PARENT,
    SH_ITEM_TYPE,
    SH_ITEM_SOURCE,
    SH_FILE_SOURCE,
    SH_FILE_TARGET,
    SH_PERMISSIONS,
    SH_STIME,
    SH_ACCEPTED,
    SH_EXPIRATION,
    SH_TOKEN,
    SH_MAIL_SEND,
    SH_SHARE_NAME,
    SH_ATTRIBUTES,
    SH_COUNT
};
enum { ST_NUMERIC_ID, ST_ID, ST_COUNT };
enum { MT_ID, MT_MIMETYPE, MT_COUNT };
enum {
    SX_ID,
    SX_REMOTE,
    SX_REMOTE_ID,
    SX_SHARE_TOKEN,
    SX_PASSWORD,
    SX_NAME,
    SX_OWNER,
    SX_USER,
    SX_MOUNTPOINT,
    SX_ACCEPTED,
    SX_COUNT
};
enum { TS_ID, TS_URL, TS_TOKEN, TS_SHARED_SECRET, TS_STATUS, TS_COUNT };
enum {
    AC_ID,
    AC_EMAIL,
    AC_USER_ID,
    AC_DISPLAY_NAME,
    AC_QUOTA,
    AC_BACKEND,
    AC_HOME,
    AC_STATE,
    AC_COUNT
};
/* SQL (MySQL's and SQLite's): does a backend of oc_accounts say that somebody is of LDAP? */
#define LS_SQL_OF_LDAP(backend) "LOWER(" backend ") LIKE '%ldap%'"
enum { US_UID, US_DISPLAYNAME, US_PASSWORD, US_COUNT };
enum { GR_GID, GR_COUNT };
enum { GU_GID, GU_UID, GU_COUNT };
enum { LM_OWNCLOUD_NAME, LM_LDAP_DN, LM_DIRECTORY_UUID, LM_COUNT }; /* of users and of groups */
enum { FT_AUTO_ID, FT_ID, FT_USER, FT_TIMESTAMP, FT_LOCATION, FT_COUNT };
enum { PR_ID, PR_FILEID, PR_PROPERTYNAME, PR_PROPERTYVALUE, PR_PROPERTYTYPE, PR_COUNT };
enum { VC_ID, VC_UID, VC_TYPE, VC_CATEGORY, VC_COUNT };
enum { GT_ID, GT_NAME, GT_VISIBILITY, GT_EDITABLE, GT_ASSIGNABLE, GT_COUNT };
enum { GO_OBJECTTYPE, GO_OBJECTID, GO_SYSTEMTAGID, GO_COUNT }; /* no primary key, but unique */
enum { VO_OBJID, VO_CATEGORYID, VO_TYPE, VO_COUNT };
enum { PF_USERID, PF_APPID, PF_CONFIGKEY, PF_CONFIGVALUE, PF_COUNT };

/* The table by its name without prefix, or NULL. `name` need not end with a NUL. */
const struct ls_table *ls_table_by_name(const char *name, size_t n);

/* The partition of a storage: (uint32_t)storage % partitions. The one place that says so. */
int32_t ls_partition_of_storage(int64_t storage, int partitions);

#endif
