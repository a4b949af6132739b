/*
 * Every column, the fields it becomes, and what each writer makes of them.
 *
 * A row here is a promise of the manual: change it with the mapping (transform/<topic>.c) or the
 * writer (apply/) that it speaks of. What can go wrong: a column that comes with a new release and
 * that nobody thought of; the unit test holds the tables against ownCloud's schema, so that each
 * has a row here, be it one that says "not carried".
 */
#include "transform/columns.h"

#include <string.h>

const char *const tf_fate_names[TF_FATES] = {
    [TF_KEEP] = "keep",
    [TF_APPROXIMATE] = "approximate",
    [TF_LOSE] = "lose",
    [TF_NOT_CARRIED] = "not carried",
};

/* clang-format off */
#define LEFT(table, column, note) \
    {table, column, NULL, NULL, TF_NOT_CARRIED, TF_NOT_CARRIED, note}

const struct tf_column tf_columns[] = {
    /* ---- files, folders, versions, trash: files.c, trash.c */
    {"filecache", "fileid", "resource", "fileid id", TF_LOSE, TF_KEEP, "oCIS gives ids of its own; apply's ledger knows which is which. `id` is `<source.instance>$<storage>!<fileid>`"},
    {"filecache", "storage", "resource", "storage id moved_from moved_to", TF_KEEP, TF_KEEP, "the space, see storages; one that changes is a move between spaces"},
    {"filecache", "path", "resource", "class_hint path_hash version_of version_time version_meta trash_time", TF_KEEP, TF_KEEP, "a hint only (an empty one is a storage's root, one in files_versions may be a version): the place is parent and name; where the two disagree it is counted, and of two rows for one place the one that agrees counts"},
    LEFT("filecache", "path_hash", "made of the path"),
    {"filecache", "parent", "resource", "parent", TF_KEEP, TF_KEEP, ""},
    {"filecache", "name", "resource", "name version_of version_time version_meta trash_time", TF_KEEP, TF_KEEP, "of versions and trash with the suffix `.v<time>`, `.d<time>`; of versions ocis-api makes revisions by that time"},
    {"filecache", "mimetype", "resource", "mimetype folder tree_mtime version_of version_time version_meta trash_time", TF_APPROXIMATE, TF_APPROXIMATE, "by name, null where not known; oCIS tells the type by the file's name. A folder's time is that of its tree, and it is no version"},
    LEFT("filecache", "mimepart", "the first half of the mimetype"),
    {"filecache", "size", "resource", "size", TF_KEEP, TF_KEEP, "-1 and -2 mean unknown; of folders oCIS's own sums"},
    {"filecache", "mtime", "resource", "mtime tree_mtime", TF_APPROXIMATE, TF_KEEP, "of files as it is, but for years before 1677 and after 2262 (the nearest; counted); a folder's until oCIS sees a change below it"},
    LEFT("filecache", "storage_mtime", "what ownCloud last saw on its disk"),
    {"filecache", "encrypted", "resource", "encrypted", TF_LOSE, TF_LOSE, "what is encrypted by ownCloud is a dead letter"},
    LEFT("filecache", "unencrypted_size", "never written by ownCloud 10"),
    {"filecache", "etag", "resource", "etag", TF_LOSE, TF_APPROXIMATE, "without quotes; oCIS makes the etags of files of id and mtime; of folders it can show a given one of hex digits"},
    LEFT("filecache", "permissions", "what an owner may do is oCIS's to say; shares have their own"),
    {"filecache", "checksum", "resource", "sha1 md5 adler32", TF_KEEP, TF_KEEP, "SHA1 is checked on the way; oCIS makes the three of the content; a damaged one is unknown, counted"},

    {"storages", "numeric_id", "space", "storage", TF_LOSE, TF_LOSE, "a personal space has its user's id"},
    {"storages", "id", "space", "source_id type owner name reason", TF_KEEP, TF_KEEP, "whose space it is; others are project spaces by [spaces], or left out by their reason; ocis-api makes no project spaces"},
    LEFT("storages", "available", ""),
    LEFT("storages", "last_checked", ""),

    {"mimetypes", "id", "resource", "mimetype", TF_APPROXIMATE, TF_APPROXIMATE, "looked up for filecache.mimetype"},
    {"mimetypes", "mimetype", "resource", "mimetype folder tree_mtime", TF_APPROXIMATE, TF_APPROXIMATE, "that of folders says what is one"},

    {"files_trash", "auto_id", "resource", "fileid what", TF_LOSE, TF_LOSE, "a number of the row"},
    {"files_trash", "id", "resource", "name", TF_KEEP, TF_KEEP, "the name before it was deleted"},
    {"files_trash", "user", "resource", "trash_user storage", TF_KEEP, TF_KEEP, "in whose home it lies"},
    {"files_trash", "timestamp", "resource", "trash_time", TF_LOSE, TF_KEEP, "oCIS takes the time of its own deletion; the order is kept"},
    {"files_trash", "location", "resource", "trash_location", TF_KEEP, TF_KEEP, "where it is restored to"},
    LEFT("files_trash", "type", "never written by ownCloud 10"),
    LEFT("files_trash", "mime", "never written by ownCloud 10"),

    /* ---- shares: shares.c, attributes.c, federation.c */
    {"share", "id", "share", "id", TF_APPROXIMATE, TF_KEEP, "apply.shares = exact: the end of oCIS's id; api: oCIS gives ids of its own"},
    {"share", "share_type", "share", "type", TF_APPROXIMATE, TF_APPROXIMATE, "user, group, a member's own state, link, guest (as user); federated ones are known and left: the other side has to agree to new ones"},
    {"share", "share_with", "share", "grantee remote remote_user has_password password_hash password_reset", TF_APPROXIMATE, TF_KEEP, "the hash of a link's password only with capture.link_secrets and where oCIS can check it, in oCIS only with apply.shares = exact; else a password that nobody knows"},
    {"share", "uid_owner", "share", "owner creator", TF_KEEP, TF_KEEP, "whose storage it is; also who has nothing of his own share; the creator where uid_initiator is empty"},
    {"share", "uid_initiator", "share", "creator", TF_APPROXIMATE, TF_KEEP, "apply.shares = api: who does not own the space cannot share, the owner does"},
    {"share", "parent", "share", "parent", TF_KEEP, TF_KEEP, "the group share of a member's own state; a link's is only a note"},
    {"share", "item_type", "share", "folder permissions", TF_KEEP, TF_KEEP, "a file never gets create and delete"},
    {"share", "item_source", NULL, NULL, TF_NOT_CARRIED, TF_NOT_CARRIED, "the same as file_source, which ownCloud goes by; counted where it is not"},
    LEFT("share", "item_target", "always empty"),
    {"share", "file_source", "share", "fileid", TF_KEEP, TF_KEEP, ""},
    {"share", "file_target", "share", "mount_point", TF_APPROXIMATE, TF_APPROXIMATE, "of users and members, its last part: oCIS has all that somebody received in one folder, so of two with one name the later gets a number; a link has none"},
    {"share", "permissions", "share", "permissions source_permissions state", TF_APPROXIMATE, TF_APPROXIMATE, "bit by bit; resharing has no counterpart; a member's 0 is a share declined before ownCloud 10.0.9"},
    {"share", "stime", "share", "stime", TF_APPROXIMATE, TF_KEEP, "apply.shares = exact; api: oCIS takes the time of its own creation"},
    {"share", "accepted", "share", "state", TF_KEEP, TF_KEEP, ""},
    {"share", "expiration", "share", "expires", TF_KEEP, TF_KEEP, "the last second of that day in source.time_zone; the date of zeros has expired"},
    {"share", "token", "share", "token", TF_APPROXIMATE, TF_KEEP, "only with capture.link_secrets and apply.shares = exact, else a new one; of federated shares only with capture.federation_secrets"},
    {"share", "mail_send", "share", "mail_send", TF_LOSE, TF_LOSE, "says only that a mail was sent"},
    {"share", "share_name", "share", "label", TF_KEEP, TF_KEEP, "of links"},
    {"share", "attributes", "share", "attributes download permissions", TF_APPROXIMATE, TF_APPROXIMATE, "permissions/download=false is oCIS's secure viewer; others are data that nothing reads"},

    /* The other server has to be asked anew: these are known, counted, and left. */
    {"share_external", "id", "share", "id", TF_LOSE, TF_LOSE, ""},
    {"share_external", "remote", "share", "remote", TF_LOSE, TF_LOSE, "apply knows and counts it, but cannot make it: the other server takes part"},
    {"share_external", "remote_id", "share", "remote_id", TF_LOSE, TF_LOSE, ""},
    {"share_external", "share_token", "share", "token", TF_LOSE, TF_LOSE, "only with capture.federation_secrets"},
    {"share_external", "password", "share", "shared_secret", TF_LOSE, TF_LOSE, "only with capture.federation_secrets"},
    {"share_external", "name", "share", "name", TF_LOSE, TF_LOSE, ""},
    {"share_external", "owner", "share", "remote_user", TF_LOSE, TF_LOSE, ""},
    {"share_external", "user", "share", "grantee", TF_LOSE, TF_LOSE, ""},
    {"share_external", "mountpoint", "share", "mount_point", TF_LOSE, TF_LOSE, "without the wrapping of what is pending"},
    LEFT("share_external", "mountpoint_hash", "made of the mount point"),
    {"share_external", "accepted", "share", "state", TF_LOSE, TF_LOSE, "the other way round than share.accepted"},
    LEFT("share_external", "lastscan", ""),

    {"trusted_servers", "id", "share", "id", TF_LOSE, TF_LOSE, ""},
    {"trusted_servers", "url", "share", "remote", TF_LOSE, TF_LOSE, "apply knows and counts it; oCIS has its trusted servers in a file of its own"},
    LEFT("trusted_servers", "url_hash", "made of the url"),
    {"trusted_servers", "token", "share", "token", TF_LOSE, TF_LOSE, "only with capture.federation_secrets"},
    {"trusted_servers", "shared_secret", "share", "shared_secret", TF_LOSE, TF_LOSE, "only with capture.federation_secrets"},
    {"trusted_servers", "status", "share", "status state", TF_LOSE, TF_LOSE, ""},
    LEFT("trusted_servers", "sync_token", ""),

    /* ---- people: people.c, credentials.c */
    LEFT("accounts", "id", "a number of the row; a deletion is understood by it"),
    {"accounts", "email", "person", "mail", TF_KEEP, TF_KEEP, "made up under people.mail_domain where there is none"},
    {"accounts", "user_id", "person", "uid", TF_KEEP, TF_KEEP, ""},
    LEFT("accounts", "lower_user_id", "made of user_id"),
    {"accounts", "display_name", "person", "display_name", TF_KEEP, TF_KEEP, ""},
    {"accounts", "quota", "person", "quota quota_kind quota_bytes", TF_KEEP, TF_KEEP, "in bytes; 0 becomes one byte, which oCIS does not take for no limit; the default quota is people.default_quota, or what oCIS gives"},
    LEFT("accounts", "last_login", "changes at every sign-in"),
    {"accounts", "backend", "person", "backend", TF_LOSE, TF_LOSE, "says who is of ownCloud's LDAP (people.match_by)"},
    {"accounts", "home", "person", "home", TF_LOSE, TF_LOSE, "where the content is read"},
    {"accounts", "state", "person", "enabled", TF_KEEP, TF_KEEP, ""},
    LEFT("accounts", "creation_time", ""),

    {"users", "uid", "person", "uid", TF_KEEP, TF_KEEP, "of a local account; in oCIS it is the user of accounts"},
    {"users", "displayname", "person", "display_name", TF_LOSE, TF_LOSE, "what people see is the name in accounts; kept in apply's ledger"},
    {"users", "password", "person", "password_hash password_algorithm password_reset", TF_LOSE, TF_LOSE, "only with capture.user_secrets; oCIS takes no hash, so a password is set anew there, or a directory serves both; a form before ownCloud 8.1 is only flagged"},

    {"groups", "gid", "person", "gid type", TF_KEEP, TF_KEEP, ""},

    {"group_user", "gid", "person", "gid", TF_KEEP, TF_KEEP, ""},
    {"group_user", "uid", "person", "uid", TF_KEEP, TF_KEEP, ""},

    {"ldap_user_mapping", "owncloud_name", "person", "uid", TF_KEEP, TF_KEEP, "the user of accounts"},
    {"ldap_user_mapping", "ldap_dn", "person", "dn", TF_LOSE, TF_LOSE, "kept in apply's ledger"},
    {"ldap_user_mapping", "directory_uuid", "person", "directory_uuid", TF_KEEP, TF_KEEP, "the user's id in oCIS, by which he is found with people.match_by = ldap-uuid; else kept in apply's ledger"},

    {"ldap_group_mapping", "owncloud_name", "person", "gid", TF_KEEP, TF_KEEP, "the group of shares"},
    {"ldap_group_mapping", "ldap_dn", "person", "dn", TF_LOSE, TF_LOSE, "kept in apply's ledger"},
    {"ldap_group_mapping", "directory_uuid", "person", "directory_uuid", TF_KEEP, TF_KEEP, "the group's id in oCIS, as a user's"},

    {"preferences", "userid", "person", "uid", TF_KEEP, TF_KEEP, ""},
    LEFT("preferences", "appid", "only files/quota leaves the source"),
    LEFT("preferences", "configkey", "only files/quota leaves the source"),
    {"preferences", "configvalue", "person", "quota quota_kind quota_bytes", TF_KEEP, TF_KEEP, "counts where accounts.quota says nothing; ownCloud checks that one"},

    /* ---- favourites, tags, properties: annotations.c */
    {"vcategory", "id", "annotation", "id type", TF_LOSE, TF_LOSE, "a number of the row"},
    {"vcategory", "uid", "annotation", "uid", TF_LOSE, TF_KEEP, ""},
    {"vcategory", "type", "annotation", "object_type favorite", TF_LOSE, TF_KEEP, "of contacts and calendars nothing is done, and none of them is a favourite"},
    {"vcategory", "category", "annotation", "name favorite", TF_LOSE, TF_APPROXIMATE, "favourites are one's own in oCIS, tags are everybody's"},

    {"vcategory_to_object", "objid", "annotation", "fileid", TF_LOSE, TF_KEEP, ""},
    {"vcategory_to_object", "categoryid", "annotation", "id", TF_LOSE, TF_KEEP, ""},
    {"vcategory_to_object", "type", "annotation", "object_type", TF_LOSE, TF_KEEP, ""},

    {"systemtag", "id", "annotation", "id type", TF_LOSE, TF_LOSE, "a number of the row"},
    {"systemtag", "name", "annotation", "name", TF_LOSE, TF_APPROXIMATE, "a tag that everybody sees; kept in apply's ledger"},
    {"systemtag", "visibility", "annotation", "visible", TF_LOSE, TF_LOSE, "oCIS's tags are everybody's"},
    {"systemtag", "editable", "annotation", "editable", TF_LOSE, TF_LOSE, ""},
    {"systemtag", "assignable", "annotation", "assignable", TF_LOSE, TF_LOSE, "no such column before ownCloud 10.1"},

    {"systemtag_object_mapping", "objecttype", "annotation", "object_type", TF_LOSE, TF_KEEP, "of what is no file nothing is done"},
    {"systemtag_object_mapping", "objectid", "annotation", "fileid", TF_LOSE, TF_KEEP, ""},
    {"systemtag_object_mapping", "systemtagid", "annotation", "id", TF_LOSE, TF_KEEP, ""},

    {"properties", "id", "annotation", "id", TF_LOSE, TF_LOSE, "a number of the row"},
    {"properties", "fileid", "annotation", "fileid", TF_LOSE, TF_KEEP, ""},
    {"properties", "propertyname", "annotation", "name", TF_LOSE, TF_KEEP, ""},
    {"properties", "propertyvalue", "annotation", "value", TF_LOSE, TF_KEEP, ""},
    {"properties", "propertytype", "annotation", "value_type", TF_LOSE, TF_KEEP, "text before ownCloud 10.5, which has no such column"},
    {NULL, NULL, NULL, NULL, TF_NOT_CARRIED, TF_NOT_CARRIED, NULL},
};
/* clang-format on */

/* "a b" as "`a`, `b`". */
static void
print_fields(const char *fields, FILE *out)
{
    for (const char *p = fields; *p;) {
        size_t n = strcspn(p, " ");

        fprintf(out, "%s`%.*s`", p == fields ? "" : ", ", (int)n, p);
        p += n + (p[n] == ' ');
    }
}

void
tf_columns_print(FILE *out)
{
    const char *table = "";

    fputs("# What happens to each column\n\n"
          "<!-- printed by `lockstep reference columns`; a test compares -->\n\n"
          "The tables of ownCloud 10 that Lockstep watches, column by column: the field of the "
          "record that it becomes\n(`schemas/cs3`), and what is in oCIS at the end.\n\n"
          "- keep: it is the same in oCIS;\n"
          "- approximate: as near as this writer can, the note says how;\n"
          "- lose: it is in the record, but this writer has no place for it;\n"
          "- not carried: it is in no record.\n\n"
          "`ocis-api` is the writer of this release, through oCIS's interfaces. `ocis-store` "
          "stands for one that lays nodes out\nin oCIS's own store; it is not there yet, its "
          "column says what the records carry for it. The writer `null` changes\nnothing in "
          "oCIS.\n",
          out);
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        if (strcmp(table, c->table) != 0) {
            table = c->table;
            fprintf(out,
                    "\n## oc_%s\n\n| column | record | fields | ocis-api | ocis-store | |\n"
                    "|---|---|---|---|---|---|\n",
                    table);
        }
        fprintf(out, "| `%s` | %s | ", c->column, c->record ? c->record : "");
        if (c->fields)
            print_fields(c->fields, out);
        fprintf(out, " | %s | %s | %s |\n", tf_fate_names[c->api], tf_fate_names[c->store],
                c->note);
    }
}
