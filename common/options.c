/*
 * Every option of every program, in one table; docs/configuration.md is printed from it.
 */
#include "common/config.h"
#include <stddef.h>

/* clang-format off */
#define STR(s, k, d, h) {s, k, LS_OPT_STR, d, false, 0, 0, h}
#define SECRET(s, k, h) {s, k, LS_OPT_STR, NULL, true, 0, 0, h}
#define INT(s, k, d, lo, hi, h) {s, k, LS_OPT_INT, d, false, lo, hi, h}
#define BOOL(s, k, d, h) {s, k, LS_OPT_BOOL, d, false, 0, 0, h}

const struct ls_option ls_options[] = {
    STR("lockstep", "prefix", "lockstep", "Prefix of all topics and consumer groups."),
    STR("lockstep", "instance", "1", "Name of this instance in status and logs."),
    INT("lockstep", "partitions", "8", 1, 1024, "Partitions of the topics that are ordered by storage, so the most transforms that can share the work; fixed for a prefix's life."),
    INT("lockstep", "replication", "1", 1, 9, "Replication factor of topics that Lockstep makes."),
    INT("lockstep", "status_ms", "1000", 50, 1000, "How often a stage says where it is, in status and metrics; capture sends its heartbeats as often."),
    BOOL("lockstep", "create_topics", "true", "Make missing topics."),
    STR("log", "level", "info", "debug, info, warn or error."),
    STR("http", "listen", "127.0.0.1", "Address of /metrics, /healthz, /readyz and /status."),
    INT("http", "port", "0", 0, 65535, "Port of it; 0 takes any free one and logs it."),

    STR("registry", "url", NULL, "Base URL of a schema registry with Confluent's API, or several separated by commas, tried in turn; unset: records carry their schema's fingerprint."),
    STR("registry", "user", NULL, "Who signs in there (basic authentication)."),
    SECRET("registry", "password", "His password."),
    STR("registry", "ca", NULL, "File of the CAs that its certificate is checked with; unset: the system's."),
    INT("registry", "timeout_ms", "10000", 100, 600000, "Deadline of one call to one of the URLs."),

    STR("source", "host", "127.0.0.1", "ownCloud 10's database server; or several, db1:3306,db2,[::1]:3307: capture follows one and goes on with the next when it is away."),
    INT("source", "port", "3306", 1, 65535, "The port of a host that is given without one."),
    STR("source", "user", "lockstep", "Database user with REPLICATION SLAVE, BINLOG MONITOR and SELECT."),
    SECRET("source", "password", "Its password."),
    STR("source", "tls", "preferred", "disabled; preferred: where the server has it; required; verify-ca: with a certificate of tls_ca; verify-identity: that, and for this host."),
    STR("source", "tls_ca", NULL, "File with the certificates that the server's one must come from; unset: the system's."),
    STR("source", "tls_cert", NULL, "File with the certificate to show to the server."),
    STR("source", "tls_key", NULL, "File with its key."),
    STR("source", "database", "owncloud", "ownCloud's database."),
    STR("source", "table_prefix", "oc_", "ownCloud's dbtableprefix."),
    STR("source", "instance", "oc10", "ownCloud's name in the ids of its files, INSTANCE$STORAGE!FILEID: the instanceid of its config.php, or any word that tells it from others."),
    INT("source", "server_id", "0", 0, 4294967295, "Replication server id, unique among the source's replicas; 0 derives one from the prefix."),
    STR("source", "time_zone", "UTC", "Time zone of ownCloud's DATETIME columns (expiration of shares)."),
    INT("source", "heartbeat_ms", "1000", 100, 60000, "Heartbeat of the binlog connection; the connection is given up after three without a word."),
    INT("source", "headroom_ms", "60000", 100, 86400000, "How often the source is asked which binlogs it still has."),

    INT("capture", "commit_ms", "20", 1, 10000, "A Kafka transaction is committed at the latest after this time; after half a second while there is much to catch up on."),
    INT("capture", "commit_rows", "50000", 1, 1000000, "... or after this many rows."),
    STR("capture", "snapshot", "initial", "initial: when there is no position; always: at each start; never."),
    INT("capture", "snapshot_chunk", "2000", 1, 100000, "Rows read at once in a snapshot."),
    STR("capture", "snapshot_method", "auto", "How a chunk's place is found on MySQL: gtid, watermark, lock, or auto, the first of these that the source allows. MariaDB tells it."),
    STR("capture", "watermark_table", NULL, "database.table that snapshots on a MySQL without GTIDs may write one row into, see docs/operations.md."),
    BOOL("capture", "full_before", "false", "Carry the whole row before a change, not only the changed columns."),
    BOOL("capture", "link_secrets", "false", "Carry tokens and password hashes of links."),
    BOOL("capture", "federation_secrets", "false", "Carry tokens, passwords and shared secrets of federated shares and trusted servers."),
    BOOL("capture", "user_secrets", "false", "Carry password hashes of users."),
    BOOL("capture", "standby", "true", "A capture that another one took over from waits until that one is gone, and takes over again; false: it exits (status 8)."),
    INT("capture", "standby_ms", "15000", 1000, 3600000, "... when the position has not moved for this time though Kafka and the source answer."),

    INT("transform", "commit_ms", "20", 1, 10000, "A Kafka transaction is committed at the latest after this time; after half a second while there is much to catch up on."),
    INT("transform", "commit_records", "20000", 1, 1000000, "... or after this many records."),

    STR("target", "gateway", "127.0.0.1:9142", "oCIS's gateway, CS3 gRPC."),
    STR("target", "provider", "127.0.0.1:9157", "oCIS's storage-users, CS3 gRPC."),
    STR("target", "sharing", "127.0.0.1:9150", "oCIS's sharing service, CS3 gRPC; only asked to remove shares of trashed files, which the gateway refuses."),
    STR("target", "data", NULL, "host:port of the data server instead of what the upload endpoint names."),
    STR("target", "graph", "https://127.0.0.1:9200/graph", "Base URL of Graph."),
    STR("target", "graph_user", "admin", "Who signs in at Graph (basic authentication)."),
    SECRET("target", "graph_password", "Password for Graph."),
    BOOL("target", "tls_verify", "true", "Check the certificate of Graph."),
    SECRET("target", "machine_key", "OCIS_MACHINE_AUTH_API_KEY, to act for users."),
    STR("target", "service_account_id", NULL, "OCIS_SERVICE_ACCOUNT_ID, to look at what users have who are disabled there (verify), and to take away what they shared."),
    SECRET("target", "service_account_secret", "OCIS_SERVICE_ACCOUNT_SECRET."),
    STR("target", "system", "127.0.0.1:9215", "oCIS's storage-system, CS3 gRPC: where the share managers keep their files."),
    STR("target", "system_data", NULL, "host:port of storage-system's data server instead of what its endpoints name."),
    STR("target", "system_user_id", NULL, "OCIS_SYSTEM_USER_ID, to write shares and links with their ids, times, tokens and passwords."),
    SECRET("target", "system_user_key", "OCIS_SYSTEM_USER_API_KEY."),
    STR("target", "storage_id", NULL, "STORAGE_USERS_MOUNT_ID; unset: asked from the gateway."),
    INT("target", "timeout_ms", "30000", 100, 600000, "Deadline of one call; making, changing and removing a share has four times as long, since oCIS leaves it half done for who stops waiting."),

    STR("people", "mode", "create", "create: users and groups are made through Graph where missing; match: found by name only."),
    STR("people", "match_by", "name", "name: a user in oCIS is the one of the same name; ldap-uuid: users and groups of ownCloud's LDAP are those whose id in oCIS (OCIS_LDAP_USER_SCHEMA_ID, OCIS_LDAP_GROUP_SCHEMA_ID) is the directory_uuid of their mapping, however they are called; they are never made or changed. To be set before the first start."),
    STR("people", "mail_domain", "invalid.example", "Domain of the mail address of users who have none."),
    INT("people", "default_quota", "0", 0, INT64_MAX, "Bytes of room for users without a quota of their own, as ownCloud's files/default_quota says (check compares); they get it when their records come. 0: what oCIS gives."),
    STR("people", "on_delete", "disable", "A user deleted at the source: disable or keep in oCIS."),

    STR("apply", "ledger", "/var/lib/lockstep/ledger.db", "SQLite file of the ledger."),
    BOOL("apply", "mirror", "true", "What was done is mirrored to <p>.ledger, so that another host can go on without the ledger; false: only one lockstep-apply may be started, and nothing looks after that."),
    BOOL("apply", "rebuild", "false", "When the ledger and its mirror are both lost: true: a new one is made of what is found in oCIS; false: apply does not start (status 5)."),
    BOOL("apply", "standby", "true", "An apply beside which another one is at work waits until that one is gone, and takes over; false: it exits (status 8)."),
    INT("apply", "standby_ms", "15000", 1000, 3600000, "... when that one has given no sign of life for this time though Kafka answers. It calls nothing itself when it has had no answer from Kafka for half of this."),
    STR("apply", "writer", "ocis-api", "ocis-api, or null (dry run)."),
    STR("apply", "shares", NULL, "exact: shares and links are written into the share managers' files, with their ids, times, tokens and passwords; api: made anew over the sharing API. Unset: exact when target.system_user_id and target.system_user_key are set."),
    STR("apply", "drift", "stop", "What somebody changed, moved or deleted in oCIS since Lockstep wrote it there: stop (a dead letter, nothing is overwritten) or source-wins."),
    INT("apply", "workers", "32", 1, 256, "Calls in flight at most; how many of them are, follows the target's latency. Spaces that have none in flight get an eighth more."),
    INT("apply", "window_ms", "200", 0, 60000, "Records of one entity that arrive within this time are taken together; when they come late, up to five times as long."),
    INT("apply", "batch_records", "5000", 1, 1000000, "Records taken into the ledger in one transaction."),
    INT("apply", "retry_max_ms", "30000", 10, 3600000, "Longest pause between two tries."),
    INT("apply", "content_tries", "5", 1, 1000, "Tries before content that never matches its row is a dead letter."),
    INT("apply", "probe_ms", "60000", 0, 86400000, "How often oCIS is asked whether it still has one of the last things that were made there, so that a restored backup is noticed; nothing is written. 0: never."),
    BOOL("apply", "versions", "true", "Old versions of files are uploaded, oldest first, before the content that follows them; false: they are left, and counted."),
    INT("apply", "sweep_max_percent", "5", 0, 100, "A sweep that would delete more of a space waits for a word."),
    INT("apply", "sweep_max_items", "20", 0, 1000000, "... but this many may always go."),

    STR("data", "root", NULL, "ownCloud's data directory, for homes that oc_accounts does not name."),
    STR("data", "s3_endpoint", NULL, "URL of the S3 server with ownCloud's primary object storage (https://s3.example.org); unset: there is none. Storages object::user:... are read from it, all others from the data directory."),
    STR("data", "s3_region", "us-east-1", "Its region, as requests are signed for it."),
    STR("data", "s3_bucket", NULL, "The bucket (objectstore.arguments.bucket in ownCloud's config.php)."),
    STR("data", "s3_prefix", "urn:oid:", "What an object's name has before the file's id."),
    BOOL("data", "s3_path_style", "true", "The bucket is the first part of the path; false: of the host's name."),
    STR("data", "s3_access_key", NULL, "Access key, with s3:GetObject and s3:ListBucket."),
    SECRET("data", "s3_secret_key", "Its secret."),
    STR("data", "s3_ca", NULL, "File of the CAs that the server's certificate is checked with; unset: the system's."),
    INT("data", "s3_timeout_ms", "60000", 100, 3600000, "A request is given up when nothing has come for this time."),

    SECRET("control", "key", "Signs commands (lockstep snapshot ...), 32 characters or more; without it capture takes none."),
    INT("control", "max_age_s", "300", 5, 86400, "A command that was issued longer ago is refused; the clocks of both machines count."),

    INT("verify", "workers", "8", 1, 64, "Calls in flight of lockstep verify."),
    {NULL, NULL, LS_OPT_STR, NULL, false, 0, 0, NULL},
};
/* clang-format on */
