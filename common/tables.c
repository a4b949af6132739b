/*
 * The allow-list of tables and columns, in the order of tables.h's enums.
 *
 * What is not listed never leaves the source: no last_login, no storage_mtime,
 * no path_hash. A secret column is listed so that an option can switch it on.
 * What can go wrong: a name with a typing error would be ABSENT for ever; the
 * unit test holds every name against the enums.
 */
#include "common/tables.h"
#include <string.h>

/* clang-format off */
#define KEY_INT(n) {(n), LS_V_INT, true, LS_PUBLIC}
#define KEY_TEXT(n) {(n), LS_V_TEXT, true, LS_PUBLIC}
#define INT(n) {(n), LS_V_INT, false, LS_PUBLIC}
#define TEXT(n) {(n), LS_V_TEXT, false, LS_PUBLIC}
#define SECRET(n) {(n), LS_V_TEXT, false, LS_SECRET}
#define TABLE(id, name, optional, by_storage, n, ...) \
    [id] = {id, name, optional, by_storage, n, {__VA_ARGS__}}

const struct ls_table ls_tables[LS_T_COUNT] = {
    TABLE(LS_T_FILECACHE, "filecache", false, true, FC_COUNT,
          KEY_INT("fileid"), INT("storage"), TEXT("path"), INT("parent"), TEXT("name"),
          INT("mimetype"), INT("size"), INT("mtime"), INT("encrypted"), TEXT("etag"),
          INT("permissions"), TEXT("checksum")),
    TABLE(LS_T_SHARE, "share", false, false, SH_COUNT,
          KEY_INT("id"), INT("share_type"), {"share_with", LS_V_TEXT, false, LS_SECRET_LINK},
          TEXT("uid_owner"), TEXT("uid_initiator"), INT("parent"), TEXT("item_type"),
          TEXT("item_source"), INT("file_source"), TEXT("file_target"), INT("permissions"),
          INT("stime"), INT("accepted"), TEXT("expiration"), SECRET("token"), INT("mail_send"),
          TEXT("share_name"), TEXT("attributes")),
    TABLE(LS_T_STORAGES, "storages", false, false, ST_COUNT,
          KEY_INT("numeric_id"), TEXT("id")),
    TABLE(LS_T_MIMETYPES, "mimetypes", false, false, MT_COUNT,
          KEY_INT("id"), TEXT("mimetype")),
    TABLE(LS_T_SHARE_EXTERNAL, "share_external", true, false, SX_COUNT,
          KEY_INT("id"), TEXT("remote"), TEXT("remote_id"), SECRET("share_token"),
          SECRET("password"), TEXT("name"), TEXT("owner"), TEXT("user"), TEXT("mountpoint"),
          INT("accepted")),
    TABLE(LS_T_TRUSTED_SERVERS, "trusted_servers", true, false, TS_COUNT,
          KEY_INT("id"), TEXT("url"), SECRET("token"), SECRET("shared_secret"), INT("status")),
    TABLE(LS_T_ACCOUNTS, "accounts", false, false, AC_COUNT,
          KEY_INT("id"), TEXT("email"), TEXT("user_id"), TEXT("display_name"), TEXT("quota"),
          TEXT("backend"), TEXT("home"), INT("state")),
    TABLE(LS_T_USERS, "users", false, false, US_COUNT,
          KEY_TEXT("uid"), TEXT("displayname"), SECRET("password")),
    TABLE(LS_T_GROUPS, "groups", false, false, GR_COUNT,
          KEY_TEXT("gid")),
    TABLE(LS_T_GROUP_USER, "group_user", false, false, GU_COUNT,
          KEY_TEXT("gid"), KEY_TEXT("uid")),
    TABLE(LS_T_LDAP_USER_MAPPING, "ldap_user_mapping", true, false, LM_COUNT,
          KEY_TEXT("owncloud_name"), TEXT("ldap_dn"), TEXT("directory_uuid")),
    TABLE(LS_T_LDAP_GROUP_MAPPING, "ldap_group_mapping", true, false, LM_COUNT,
          KEY_TEXT("owncloud_name"), TEXT("ldap_dn"), TEXT("directory_uuid")),
    TABLE(LS_T_FILES_TRASH, "files_trash", true, false, FT_COUNT,
          KEY_INT("auto_id"), TEXT("id"), TEXT("user"), TEXT("timestamp"), TEXT("location")),
    TABLE(LS_T_PROPERTIES, "properties", true, false, PR_COUNT,
          KEY_INT("id"), INT("fileid"), TEXT("propertyname"), TEXT("propertyvalue"),
          INT("propertytype")),
    TABLE(LS_T_VCATEGORY, "vcategory", true, false, VC_COUNT,
          KEY_INT("id"), TEXT("uid"), TEXT("type"), TEXT("category")),
    TABLE(LS_T_VCATEGORY_TO_OBJECT, "vcategory_to_object", true, false, VO_COUNT,
          KEY_INT("objid"), KEY_INT("categoryid"), KEY_TEXT("type")),
    TABLE(LS_T_SYSTEMTAG, "systemtag", true, false, GT_COUNT,
          KEY_INT("id"), TEXT("name"), INT("visibility"), INT("editable"), INT("assignable")),
    TABLE(LS_T_SYSTEMTAG_MAPPING, "systemtag_object_mapping", true, false, GO_COUNT,
          KEY_TEXT("objecttype"), KEY_TEXT("objectid"), KEY_INT("systemtagid")),
    TABLE(LS_T_PREFERENCES, "preferences", false, false, PF_COUNT,
          KEY_TEXT("userid"), KEY_TEXT("appid"), KEY_TEXT("configkey"), TEXT("configvalue")),
};
/* clang-format on */

const struct ls_table *
ls_table_by_name(const char *name, size_t n)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        if (n > 0 && ls_tables[i].name[0] == name[0] && strlen(ls_tables[i].name) == n &&
            memcmp(ls_tables[i].name, name, n) == 0)
            return &ls_tables[i];
    }
    return NULL;
}

int32_t
ls_partition_of_storage(int64_t storage, int partitions)
{
    return (int32_t)((uint32_t)storage % (uint32_t)partitions);
}
