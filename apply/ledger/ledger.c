/*
 * The ledger's file: schema, prepared statements, rows, counters, open entities.
 *
 * It knows nothing of Kafka or of the target. What can go wrong: the disk (full, damaged, slow) and
 * a second process on the same file. The first error sticks until the end of the transaction, which
 * then fails as FATAL: a ledger that cannot be written must never let a call go out. A power cut
 * takes commits from the end only, and an offset is one commit with the work it stands for. Without
 * a mirror it takes none that returned (WAL, synchronous=FULL). With one it may take records, which
 * come again, and answers, which are looked up, but no call: that waits for the mirror, and the
 * mirror for the disk (ap_mirror_read). So the disk, which may be the target's too, is waited for
 * once in a transaction of the mirror and not once a round. A lock on a file beside it keeps a
 * second apply off; reading it is free.
 */
#include "apply/ledger/ledger.h"
#include "apply/latency.h"
#include "apply/ledger/letters.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATEMENTS 512 /* slots of the table; a program has about 150 SQL texts */

struct ap_ledger {
    sqlite3 *db;
    int lock;                   /* descriptor of `<path>.lock` */
    bool open;                  /* a transaction is */
    struct ap_latency *latency; /* NULL: nobody measures */
    struct ls_err err;
    int64_t work_writes; /* see ap_work_writes */
    struct statement {
        const char *sql;
        sqlite3_stmt *stmt;
        bool writes_work;
    } statements[STATEMENTS];
};

static const char *const schema =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS offset(topic TEXT, partition INT, next INT, read_us INT DEFAULT 0,"
    " PRIMARY KEY(topic, partition)) WITHOUT ROWID;"
    /* state: 1 begun, 2 ended, 3 its sweep waits for a word; of a storage 0: cancelled */
    "CREATE TABLE IF NOT EXISTS bracket(topic TEXT, partition INT, state INT, ended INT DEFAULT 0,"
    " epoch INT, counter INT, items INT DEFAULT 0, PRIMARY KEY(topic, partition)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS bracket_storage(storage INTEGER PRIMARY KEY, partition INT,"
    " state INT, epoch INT, counter INT, items INT DEFAULT 0);"
    "CREATE TABLE IF NOT EXISTS desired(fileid INTEGER PRIMARY KEY, storage INT, partition INT,"
    " parent INT, name TEXT, folder INT, size INT, mtime INT, etag TEXT, sha1 TEXT, md5 TEXT,"
    " adler32 TEXT, mimetype TEXT, encrypted INT, epoch INT, counter INT, part INT, deleted INT,"
    " moved_to INT, source_us INT, trash_time INT);"
    "CREATE INDEX IF NOT EXISTS desired_place ON desired(parent, name);"
    "CREATE INDEX IF NOT EXISTS desired_root ON desired(storage) WHERE parent = -1;"
    "CREATE INDEX IF NOT EXISTS desired_sweep ON desired(partition, storage);"
    "CREATE INDEX IF NOT EXISTS desired_trash ON desired(parent, trash_time, fileid)"
    " WHERE trash_time > 0;"
    "CREATE INDEX IF NOT EXISTS desired_moving ON desired(source_us) WHERE deleted = 1"
    " AND moved_to > -9223372036854775808;" /* no storage */
    /* cs3_path_hash of the row's path; whether that or its storage is not what its parent says */
    "CREATE TABLE IF NOT EXISTS path(fileid INTEGER PRIMARY KEY, hash INT, astray INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS path_astray ON path(fileid) WHERE astray = 1;"
    /* of: the file that it is a version of; 0: none was found */
    "CREATE TABLE IF NOT EXISTS version(fileid INTEGER PRIMARY KEY, base TEXT, time INT, meta INT,"
    " trash_time INT, of INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS version_of ON version(of, time);"
    "CREATE INDEX IF NOT EXISTS version_alone ON version(base) WHERE of = 0;"
    /* old contents that the target keeps of a node, as far as they are of our doing */
    "CREATE TABLE IF NOT EXISTS revision(id INTEGER PRIMARY KEY, node INT, mtime INT, size INT,"
    " sha1 TEXT, etag TEXT);"
    "CREATE INDEX IF NOT EXISTS revision_node ON revision(node, mtime);"
    "CREATE TABLE IF NOT EXISTS trashinfo(auto_id INTEGER PRIMARY KEY, partition INT, user TEXT,"
    " name TEXT, location TEXT, time INT, epoch INT, counter INT, part INT, deleted INT);"
    "CREATE INDEX IF NOT EXISTS trashinfo_name ON trashinfo(user, name, time);"
    /* A number is given once: a call that is out may be below a node that is gone by then. */
    "CREATE TABLE IF NOT EXISTS node(id INTEGER PRIMARY KEY AUTOINCREMENT, fileid INT, storage INT,"
    " target TEXT, parent INT, name TEXT, folder INT, sha1 TEXT, size INT, mtime INT, etag TEXT,"
    " leftover INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS node_fileid ON node(fileid);"
    "CREATE INDEX IF NOT EXISTS node_target ON node(target);"
    "CREATE INDEX IF NOT EXISTS node_place ON node(parent, name, storage);"
    /* when a call of ours put a node into the trash, by the target's clock; -1: somebody else did
     */
    "CREATE TABLE IF NOT EXISTS trashed(node INTEGER PRIMARY KEY, at INT);"
    "CREATE TABLE IF NOT EXISTS space(storage INTEGER PRIMARY KEY, type INT, source_id TEXT,"
    " owner TEXT, reason TEXT, known INT DEFAULT 0, epoch INT, counter INT, part INT, deleted INT,"
    " storage_id TEXT, space_id TEXT, root_id TEXT, ready INT DEFAULT 0, copied INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS space_owner ON space(owner);"
    "CREATE TABLE IF NOT EXISTS person(id INTEGER PRIMARY KEY, key TEXT UNIQUE, type INT, uid TEXT,"
    " gid TEXT, display_name TEXT, mail TEXT, home TEXT, backend TEXT, quota TEXT, enabled INT,"
    " epoch INT, counter INT, part INT, deleted INT,"
    " target TEXT, applied INT DEFAULT 0, applied_enabled INT DEFAULT 1, applied_name TEXT);"
    "CREATE INDEX IF NOT EXISTS person_uid ON person(uid, type);"
    /* the address of a user that the target was given last, which it tells nobody */
    "CREATE TABLE IF NOT EXISTS mailed(person INTEGER PRIMARY KEY, address TEXT);"
    "CREATE INDEX IF NOT EXISTS person_gid ON person(gid, type);"
    "CREATE INDEX IF NOT EXISTS person_target ON person(target) WHERE type = 0;"
    /* what a space was given; below 0: no limit */
    "CREATE TABLE IF NOT EXISTS quota(storage INTEGER PRIMARY KEY, bytes INT);"
    /* kept for matching: local accounts, LDAP mappings */
    "CREATE TABLE IF NOT EXISTS credential(uid TEXT PRIMARY KEY, display_name TEXT, algorithm TEXT,"
    " reset INT, epoch INT, counter INT, part INT, deleted INT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS ldap(name TEXT PRIMARY KEY, dn TEXT, directory_uuid TEXT,"
    " epoch INT, counter INT, part INT, deleted INT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS ldap_group(name TEXT PRIMARY KEY, dn TEXT, directory_uuid TEXT,"
    " epoch INT, counter INT, part INT, deleted INT) WITHOUT ROWID;"
    /* id: of the category or the property; counted: as what, and how many records of it */
    "CREATE TABLE IF NOT EXISTS annotation(key TEXT PRIMARY KEY, type INT, id INT, fileid INT,"
    " uid TEXT, object_type TEXT, name TEXT, favorite INT DEFAULT 0, value TEXT, value_type INT,"
    " counted TEXT, times INT DEFAULT 0, epoch INT, counter INT, part INT, deleted INT)"
    " WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS annotation_id ON annotation(id, type);"
    "CREATE TABLE IF NOT EXISTS share(id INTEGER PRIMARY KEY, type INT, parent INT, fileid INT,"
    " folder INT, owner TEXT, creator TEXT, grantee TEXT, permissions INT, stime INT, state INT,"
    " mount TEXT, expires INT, has_password INT, label TEXT, epoch INT, counter INT, part INT,"
    " deleted INT);"
    "CREATE INDEX IF NOT EXISTS share_fold ON share(fileid, type, grantee);"
    "CREATE INDEX IF NOT EXISTS share_parent ON share(parent, grantee);"
    "CREATE TABLE IF NOT EXISTS remote_share(type INT, id INT, fileid INT, grantee TEXT,"
    " remote TEXT, remote_user TEXT, state INT, epoch INT, counter INT, part INT, deleted INT,"
    " PRIMARY KEY(type, id)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS grants(id INTEGER PRIMARY KEY, fileid INT, type INT, grantee TEXT,"
    " storage INT, node TEXT, share_id TEXT DEFAULT '', sharer TEXT, permissions INT, expires INT,"
    " UNIQUE(fileid, type, grantee));"
    /* what folding needs of a row of share beside it: oC10's bits, cs3_download */
    "CREATE TABLE IF NOT EXISTS share_bits(share INTEGER PRIMARY KEY, bits INT, download INT);"
    /* what only an exact writer needs: a link's secrets; of what it was given, a mark */
    "CREATE TABLE IF NOT EXISTS secret(share INTEGER PRIMARY KEY, token TEXT, hash TEXT);"
    "CREATE TABLE IF NOT EXISTS exact(kind INT, id INT, mark TEXT, PRIMARY KEY(kind, id))"
    " WITHOUT ROWID;"
    /* seconds: when the first of several rows of a grant ends */
    "CREATE TABLE IF NOT EXISTS expiry(grant_id INTEGER PRIMARY KEY, at INT);"
    "CREATE INDEX IF NOT EXISTS expiry_at ON expiry(at);"
    "CREATE INDEX IF NOT EXISTS grants_grantee ON grants(grantee, type);"
    "CREATE INDEX IF NOT EXISTS grants_left ON grants(fileid) WHERE share_id = '' AND node <> '';"
    "CREATE TABLE IF NOT EXISTS received(id INTEGER PRIMARY KEY, grant_id INT, uid TEXT,"
    " share_id TEXT DEFAULT '', state INT, mount TEXT, UNIQUE(grant_id, uid));"
    "CREATE TABLE IF NOT EXISTS link(id INTEGER PRIMARY KEY, fileid INT, storage INT, node TEXT,"
    " link_id TEXT DEFAULT '', sharer TEXT, permissions INT, expires INT, has_password INT,"
    " label TEXT);"
    "CREATE INDEX IF NOT EXISTS link_link_id ON link(link_id);"
    "CREATE TABLE IF NOT EXISTS work(kind INT, id INT, storage INT, state INT, ready_at INT,"
    " since_us INT, on_kind INT, on_id INT, attempts INT DEFAULT 0, tries INT DEFAULT 0,"
    " tried_us INT DEFAULT 0, counted INT, did INT DEFAULT 0, forced INT DEFAULT 0,"
    " doubt INT DEFAULT 0, trouble INT DEFAULT 0, cause TEXT DEFAULT '',"
    " PRIMARY KEY(kind, id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS work_ready ON work(state, storage, ready_at);"
    "CREATE INDEX IF NOT EXISTS work_on ON work(on_kind, on_id);"
    "CREATE INDEX IF NOT EXISTS work_since ON work(since_us) WHERE counted = 1 AND trouble = 0;"
    /* calls on the tree that were sent and whose answer is not in the ledger yet */
    "CREATE TABLE IF NOT EXISTS op(id INTEGER PRIMARY KEY, kind INT, entity INT, call INT,"
    " storage INT, fileid INT, node INT, parent INT, top INT, name TEXT, relative TEXT, blob TEXT,"
    " size INT, mtime INT, etag TEXT, sha1 TEXT, md5 TEXT, adler32 TEXT);"
    /* how often the target said that a node or parent is gone, since the last success */
    "CREATE TABLE IF NOT EXISTS gone(kind INT, id INT, tries INT, PRIMARY KEY(kind, id))"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS dead(kind INT, id INT, cause TEXT, message TEXT, attempts INT,"
    " counted INT, time_us INT, PRIMARY KEY(kind, id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS dead_loop ON dead(cause) WHERE cause = 'loop';"
    /* entities that are to be compared with the target itself; state 1: seen in the trash, and
       looked at again when it has come out. storage: where its node is */
    "CREATE TABLE IF NOT EXISTS reconcile(kind INT, id INT, storage INT, state INT DEFAULT 0,"
    " PRIMARY KEY(kind, id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS reconcile_storage ON reconcile(storage, state);"
    /* what we have taken away for good at the target (of nodes id is the file's), by the target's
       ids: with an older backup of the target it may come back */
    "CREATE TABLE IF NOT EXISTS removed(n INTEGER PRIMARY KEY AUTOINCREMENT, kind INT, id INT,"
    " target TEXT, storage INT, folder INT);"
    "CREATE INDEX IF NOT EXISTS removed_id ON removed(kind, id);"
    /* since 1970: the last of them that was taken away before that day */
    "CREATE TABLE IF NOT EXISTS removed_day(day INTEGER PRIMARY KEY, n INT);"
    /* wanted, and not looked for yet at the target, in a ledger that is made of it; state 1: not in
       its trash. trash: a trash item, or in one. Below 0: a link's row */
    "CREATE TABLE IF NOT EXISTS sought(fileid INTEGER PRIMARY KEY, storage INT, state INT DEFAULT "
    "0,"
    " trash INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS sought_storage ON sought(storage, state, trash, fileid);"
    /* whose drift may be overwritten, in this go */
    "CREATE TABLE IF NOT EXISTS allowed(kind INT, id INT, PRIMARY KEY(kind, id)) WITHOUT ROWID;"
    /* of those whose record could not be read: where it stood */
    "CREATE TABLE IF NOT EXISTS dead_record(id INTEGER PRIMARY KEY, topic TEXT, partition INT,"
    " offset INT);"
    /* dead letters on their way to the topic, and the word (attempts -1) that one is none any more
     */
    "CREATE TABLE IF NOT EXISTS letter(id INTEGER PRIMARY KEY, key BLOB, value BLOB, cause TEXT,"
    " message TEXT, attempts INT, seq TEXT, topic TEXT, partition INT, offset INT, time_us INT);"
    /* what the mirror has not been told of; how far a file's records had come when its node was
     * mirrored, in a ledger that is being made of its mirror */
    "CREATE TABLE IF NOT EXISTS changed(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, id TEXT);"
    "CREATE TABLE IF NOT EXISTS life(fileid INTEGER PRIMARY KEY, epoch INT, counter INT, part INT);"
    /* how far each run of <p>.replay was taken; again: since the ledger was made anew */
    "CREATE TABLE IF NOT EXISTS taken(run TEXT, partition INT, n INT, offset INT, time_us INT,"
    " again INT DEFAULT 0, PRIMARY KEY(run, partition)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS counter(name TEXT PRIMARY KEY, value INT) WITHOUT ROWID;";

static void
stick(struct ap_ledger *ledger, const char *what)
{
    if (ledger->err.kind == LS_ERR_NONE)
        ls_fail_cause(&ledger->err, LS_ERR_FATAL, sqlite3_extended_errcode(ledger->db), "ledger",
                      "ledger: %s: %.80s", sqlite3_errmsg(ledger->db), what);
}

static int
lock_take(const char *path, int *ret, struct ls_err *err)
{
    char name[4096];

    snprintf(name, sizeof(name), "%s.lock", path);
    *ret = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*ret < 0)
        return ls_fail_cause(err, LS_ERR_FATAL, errno, "ledger",
                             "cannot write beside the ledger: %s: %s", name, strerror(errno));
    if (flock(*ret, LOCK_EX | LOCK_NB) < 0)
        return ls_fail_cause(err, LS_ERR_FATAL, errno, "ledger",
                             "another lockstep-apply uses the ledger %s", path);
    return 0;
}

/* It holds tokens and password hashes of links. SQLite gives the files beside it the same mode. */
static int
keep_private(const char *path, struct ls_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = fd < 0 ? -1 : fchmod(fd, 0600);

    if (r < 0)
        ls_fail_cause(err, LS_ERR_FATAL, errno, "ledger", "cannot use the ledger %s: %s", path,
                      strerror(errno));
    if (fd >= 0)
        close(fd);
    return r;
}

int
ap_ledger_open(const char *path, struct ap_ledger **ret, struct ls_err *err)
{
    struct ap_ledger *ledger = calloc(1, sizeof(*ledger));
    char *msg = NULL;

    if (!ledger)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    ledger->work_writes = ls_now_us(); /* no other ledger's of this process */
    if (lock_take(path, &ledger->lock, err) < 0 || keep_private(path, err) < 0)
        goto fail;
    if (sqlite3_open_v2(path, &ledger->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        ls_fail_cause(err, LS_ERR_FATAL, sqlite3_errcode(ledger->db), "ledger",
                      "cannot open the ledger %s: %s", path, sqlite3_errmsg(ledger->db));
        goto fail;
    }
    sqlite3_busy_timeout(ledger->db, 10000);
    /* else a statement whose value might decide for a partial index (parent = ?: desired_root) is
     * prepared anew for every value that it is given */
    sqlite3_db_config(ledger->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    if (ap_astray_register(ledger->db) != SQLITE_OK ||
        sqlite3_exec(ledger->db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16384;"
                     "PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=4000;",
                     NULL, NULL, &msg) != SQLITE_OK ||
        sqlite3_exec(ledger->db, schema, NULL, NULL, &msg) != SQLITE_OK) {
        ls_fail_cause(err, LS_ERR_FATAL, sqlite3_errcode(ledger->db), "ledger",
                      "cannot use the ledger %s: %s", path, msg ? msg : "?");
        sqlite3_free(msg);
        goto fail;
    }
    *ret = ledger;
    return 0;
fail:
    ap_ledger_close(ledger);
    return -1;
}

void
ap_ledger_close(struct ap_ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(ledger->statements[i].stmt);
    sqlite3_close(ledger->db); /* rolls back */
    if (ledger->lock >= 0)
        close(ledger->lock);
    free(ledger);
}

int
ap_ledger_synced_by_mirror(struct ap_ledger *ledger, struct ls_err *err)
{
    return ap_ledger_script(ledger, "PRAGMA synchronous=NORMAL", err);
}

void
ap_ledger_measure(struct ap_ledger *ledger, struct ap_latency *latency)
{
    ledger->latency = latency;
}

int64_t
ap_ledger_bytes(struct ap_ledger *ledger)
{
    const char *path = sqlite3_db_filename(ledger->db, "main");
    char wal[4096];
    struct stat file;
    int64_t bytes;

    if (!path || !path[0] || stat(path, &file) < 0)
        return -1;
    bytes = file.st_size;
    snprintf(wal, sizeof(wal), "%s-wal", path);
    return stat(wal, &file) < 0 ? bytes : bytes + file.st_size;
}

int
ap_ledger_begin(struct ap_ledger *ledger, struct ls_err *err)
{
    if (sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        stick(ledger, "BEGIN");
    ledger->open = true;
    if (ledger->err.kind == LS_ERR_NONE)
        return 0;
    *err = ledger->err;
    return -1;
}

int
ap_ledger_commit(struct ap_ledger *ledger, struct ls_err *err)
{
    if (ledger->err.kind == LS_ERR_NONE &&
        sqlite3_exec(ledger->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        stick(ledger, "COMMIT");
    ledger->open = false;
    if (ledger->err.kind == LS_ERR_NONE)
        return 0;
    sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
    ledger->work_writes++;
    *err = ledger->err;
    return -1;
}

int
ap_ledger_script(struct ap_ledger *ledger, const char *sql, struct ls_err *err)
{
    ledger->work_writes++;
    if (ledger->err.kind == LS_ERR_NONE &&
        sqlite3_exec(ledger->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        stick(ledger, sql);
    if (ledger->err.kind == LS_ERR_NONE)
        return 0;
    *err = ledger->err;
    return -1;
}

bool
ap_ledger_failed(const struct ap_ledger *ledger)
{
    return ledger->err.kind != LS_ERR_NONE;
}

/* ---- statements */

static struct statement *
prepared(struct ap_ledger *ledger, const char *sql)
{
    size_t slot = ((uintptr_t)sql >> 3) % STATEMENTS;

    for (size_t n = 0; n < STATEMENTS; n++, slot = (slot + 1) % STATEMENTS) {
        struct statement *statement = &ledger->statements[slot];

        if (statement->sql == sql)
            return statement;
        if (!statement->sql) {
            if (sqlite3_prepare_v3(ledger->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt,
                                   NULL) != SQLITE_OK) {
                stick(ledger, sql);
                return NULL;
            }
            statement->sql = sql;
            statement->writes_work = !sqlite3_stmt_readonly(statement->stmt) &&
                                     (strstr(sql, "work") || strstr(sql, "space"));
            return statement;
        }
    }
    stick(ledger, "too many statements");
    return NULL;
}

static sqlite3_stmt *
bound(struct ap_ledger *ledger, const char *sql, const char *types, va_list args)
{
    struct statement *statement = NULL;
    sqlite3_stmt *stmt;

    if (ledger->err.kind != LS_ERR_NONE || !(statement = prepared(ledger, sql)))
        return NULL;
    stmt = statement->stmt;
    ledger->work_writes += statement->writes_work;
    sqlite3_reset(stmt);
    for (int i = 1; types && *types; types++, i++) {
        int r = SQLITE_OK;
        if (*types == 'i') {
            r = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
        } else if (*types == 's') {
            r = sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        } else {
            const struct ls_str *s = va_arg(args, const struct ls_str *);
            r = sqlite3_bind_text64(stmt, i, s->p, s->n, SQLITE_TRANSIENT, SQLITE_UTF8);
        }
        if (r != SQLITE_OK) {
            stick(ledger, sql);
            return NULL;
        }
    }
    return stmt;
}

sqlite3_stmt *
ap_query(struct ap_ledger *ledger, const char *sql, const char *types, ...)
{
    va_list args;

    va_start(args, types);
    sqlite3_stmt *stmt = bound(ledger, sql, types, args);
    va_end(args);
    return stmt;
}

bool
ap_step(struct ap_ledger *ledger, sqlite3_stmt *stmt)
{
    if (!stmt || ledger->err.kind != LS_ERR_NONE)
        return false;
    int r = sqlite3_step(stmt);
    if (r == SQLITE_ROW)
        return true;
    if (r != SQLITE_DONE)
        stick(ledger, sqlite3_sql(stmt));
    sqlite3_reset(stmt);
    return false;
}

void
ap_done(sqlite3_stmt *stmt)
{
    if (stmt)
        sqlite3_reset(stmt);
}

int64_t
ap_exec(struct ap_ledger *ledger, const char *sql, const char *types, ...)
{
    va_list args;

    va_start(args, types);
    sqlite3_stmt *stmt = bound(ledger, sql, types, args);
    va_end(args);
    if (!stmt)
        return 0;
    while (ap_step(ledger, stmt))
        ;
    return sqlite3_changes64(ledger->db);
}

int64_t
ap_number(struct ap_ledger *ledger, int64_t none, const char *sql, const char *types, ...)
{
    va_list args;
    int64_t n = none;

    va_start(args, types);
    sqlite3_stmt *stmt = bound(ledger, sql, types, args);
    va_end(args);
    if (ap_step(ledger, stmt)) {
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
            n = sqlite3_column_int64(stmt, 0);
        ap_done(stmt);
    }
    return n;
}

int64_t
ap_last_id(struct ap_ledger *ledger)
{
    return sqlite3_last_insert_rowid(ledger->db);
}

bool
ap_text(sqlite3_stmt *stmt, int column, char *out, size_t size)
{
    const unsigned char *s = sqlite3_column_text(stmt, column);
    size_t n = (size_t)sqlite3_column_bytes(stmt, column);

    out[0] = '\0';
    if (!s || n >= size)
        return false;
    memcpy(out, s, n);
    out[n] = '\0';
    return true;
}

/* ---- counters */

void
ap_count(struct ap_ledger *ledger, const char *name, int64_t n)
{
    ap_exec(ledger,
            "INSERT INTO counter(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE"
            " SET value = value + ?2",
            "si", name, n);
}

int64_t
ap_counted(struct ap_ledger *ledger, const char *name)
{
    return ap_number(ledger, 0, "SELECT value FROM counter WHERE name = ?", "s", name);
}

int64_t
ap_work_writes(const struct ap_ledger *ledger)
{
    return ledger->work_writes;
}

int64_t
ap_balance(struct ap_ledger *ledger)
{
    return ap_balance_of(ledger,
                         ap_number(ledger, 0, "SELECT count(*) FROM work WHERE counted = 1", NULL));
}

int64_t
ap_balance_of(struct ap_ledger *ledger, int64_t open)
{
    int64_t out = ap_number(ledger, 0,
                            "SELECT sum(value) FROM counter WHERE name IN ('superseded',"
                            " 'equal', 'applied') OR name LIKE 'left:%'",
                            NULL);
    return ap_counted(ledger, "in") - out - open -
           ap_number(ledger, 0, "SELECT count(*) FROM dead WHERE counted = 1", NULL);
}

/* ---- rows */

bool
ap_desired_get(struct ap_ledger *ledger, int64_t fileid, struct ap_desired *ret)
{
    sqlite3_stmt *s = ap_query(ledger,
                               "SELECT storage, partition, parent, name, folder, size, mtime, etag,"
                               " sha1, md5, adler32, mimetype, encrypted, epoch, counter, part,"
                               " deleted, moved_to, source_us, trash_time FROM desired"
                               " WHERE fileid = ?",
                               "i", fileid);
    if (!ap_step(ledger, s))
        return false;
    ret->fileid = fileid;
    ret->storage = sqlite3_column_int64(s, 0);
    ret->partition = sqlite3_column_int(s, 1);
    ret->parent = sqlite3_column_int64(s, 2);
    ap_text(s, 3, ret->name, sizeof(ret->name));
    ret->folder = sqlite3_column_int(s, 4) != 0;
    ret->size = sqlite3_column_int64(s, 5);
    ret->mtime = sqlite3_column_int64(s, 6);
    ap_text(s, 7, ret->etag, sizeof(ret->etag));
    ap_text(s, 8, ret->sha1, sizeof(ret->sha1));
    ap_text(s, 9, ret->md5, sizeof(ret->md5));
    ap_text(s, 10, ret->adler32, sizeof(ret->adler32));
    ap_text(s, 11, ret->mimetype, sizeof(ret->mimetype));
    ret->encrypted = sqlite3_column_int(s, 12) != 0;
    ret->seq = (struct ls_seq){sqlite3_column_int(s, 13), sqlite3_column_int64(s, 14),
                               sqlite3_column_int(s, 15)};
    ret->deleted = sqlite3_column_int(s, 16) != 0;
    ret->moved_to = sqlite3_column_int64(s, 17);
    ret->source_us = sqlite3_column_int64(s, 18);
    ret->trash_time = sqlite3_column_int64(s, 19);
    ap_done(s);
    return true;
}

#define NODE_COLUMNS                                                                               \
    "id, fileid, storage, target, parent, name, folder, sha1, size, mtime, etag, leftover"

static bool
node_read(struct ap_ledger *ledger, sqlite3_stmt *s, struct ap_applied *ret)
{
    if (!ap_step(ledger, s))
        return false;
    ret->id = sqlite3_column_int64(s, 0);
    ret->fileid = sqlite3_column_int64(s, 1);
    ret->storage = sqlite3_column_int64(s, 2);
    ap_text(s, 3, ret->target, sizeof(ret->target));
    ret->parent = sqlite3_column_int64(s, 4);
    ap_text(s, 5, ret->name, sizeof(ret->name));
    ret->folder = sqlite3_column_int(s, 6) != 0;
    ap_text(s, 7, ret->sha1, sizeof(ret->sha1));
    ret->size = sqlite3_column_int64(s, 8);
    ret->mtime = sqlite3_column_int64(s, 9);
    ap_text(s, 10, ret->etag, sizeof(ret->etag));
    ret->leftover = sqlite3_column_int(s, 11) != 0;
    ap_done(s);
    return true;
}

bool
ap_node_get(struct ap_ledger *ledger, int64_t id, struct ap_applied *ret)
{
    return node_read(
        ledger, ap_query(ledger, "SELECT " NODE_COLUMNS " FROM node WHERE id = ?", "i", id), ret);
}

bool
ap_node_of(struct ap_ledger *ledger, int64_t fileid, struct ap_applied *ret)
{
    return node_read(ledger,
                     ap_query(ledger,
                              "SELECT " NODE_COLUMNS " FROM node WHERE fileid = ? AND leftover = 0",
                              "i", fileid),
                     ret);
}

bool
ap_node_at(struct ap_ledger *ledger, int64_t storage, int64_t parent, const char *name,
           struct ap_applied *ret)
{
    return node_read(ledger,
                     ap_query(ledger,
                              "SELECT " NODE_COLUMNS " FROM node WHERE parent = ? AND name = ?"
                              " AND storage = ?",
                              "isi", parent, name, storage),
                     ret);
}

bool
ap_space_get(struct ap_ledger *ledger, int64_t storage, struct ap_space_row *ret)
{
    sqlite3_stmt *s = ap_query(ledger,
                               "SELECT type, known AND (ready OR deleted = 0), ready, copied,"
                               " owner, storage_id, space_id,"
                               " root_id, coalesce(deleted, 0), type = 2 AND reason = 'unknown',"
                               " source_id, EXISTS (SELECT 1 FROM reconcile WHERE kind = 3"
                               " AND id = space.storage AND state = 0)"
                               " FROM space WHERE storage = ?",
                               "i", storage);
    if (!ap_step(ledger, s))
        return false;
    *ret = (struct ap_space_row){.storage = storage,
                                 .type = (enum cs3_space_type)sqlite3_column_int(s, 0),
                                 .known = sqlite3_column_int(s, 1) != 0,
                                 .ready = sqlite3_column_int(s, 2) != 0,
                                 .copied = sqlite3_column_int(s, 3) != 0,
                                 .deleted = sqlite3_column_int(s, 8) != 0,
                                 .unknown = sqlite3_column_int(s, 9) != 0,
                                 .look = sqlite3_column_int(s, 11) != 0};
    ap_text(s, 4, ret->owner, sizeof(ret->owner));
    ap_text(s, 5, ret->target.storage_id, sizeof(ret->target.storage_id));
    ap_text(s, 6, ret->target.space_id, sizeof(ret->target.space_id));
    ap_text(s, 7, ret->target.root_id, sizeof(ret->target.root_id));
    memcpy(ret->target.owner, ret->owner, sizeof(ret->owner));
    ap_text(s, 10, ret->source_id, sizeof(ret->source_id));
    ap_done(s);
    return true;
}

/* ---- open entities */

bool
ap_work_get(struct ap_ledger *ledger, struct ap_key key, struct ap_work *ret)
{
    sqlite3_stmt *s =
        ap_query(ledger,
                 "SELECT storage, state, ready_at, since_us, on_kind, on_id, attempts, tries,"
                 " tried_us, counted, did, forced, doubt, trouble, cause FROM work WHERE kind = ?"
                 " AND id = ?",
                 "ii", (int64_t)key.kind, key.id);
    if (!ap_step(ledger, s))
        return false;
    *ret = (struct ap_work){
        .key = key,
        .storage = sqlite3_column_int64(s, 0),
        .state = (enum ap_state)sqlite3_column_int(s, 1),
        .ready_at = sqlite3_column_int64(s, 2),
        .since_us = sqlite3_column_int64(s, 3),
        .on = {(enum ap_kind)sqlite3_column_int(s, 4), sqlite3_column_int64(s, 5)},
        .attempts = sqlite3_column_int(s, 6),
        .tries = sqlite3_column_int(s, 7),
        .tried_us = sqlite3_column_int64(s, 8),
        .counted = sqlite3_column_int(s, 9) != 0,
        .did = sqlite3_column_int(s, 10) != 0,
        .forced = sqlite3_column_int(s, 11) != 0,
        .doubt = sqlite3_column_int(s, 12) != 0,
        .trouble = sqlite3_column_int(s, 13) != 0,
    };
    ap_text(s, 14, ret->cause, sizeof(ret->cause));
    ap_done(s);
    return true;
}

/* It is not given up any more; the record that was is behind us. */
static void
undead(struct ap_ledger *ledger, struct ap_key key)
{
    int64_t counted = ap_number(ledger, -1, "SELECT counted FROM dead WHERE kind = ? AND id = ?",
                                "ii", (int64_t)key.kind, key.id);

    if (counted < 0)
        return;
    ap_exec(ledger, "DELETE FROM dead WHERE kind = ? AND id = ?", "ii", (int64_t)key.kind, key.id);
    if (counted == 1)
        ap_count(ledger, "superseded", 1);
    ap_letter_alive(ledger, key);
}

/* It was looked at and said of this state that the source wins; of no other. */
static void
disallow(struct ap_ledger *ledger, struct ap_key key)
{
    ap_exec(ledger, "DELETE FROM allowed WHERE kind = ? AND id = ?", "ii", (int64_t)key.kind,
            key.id);
}

void
ap_work_record(struct ap_ledger *ledger, struct ap_key key, int64_t storage, int64_t source_us,
               int64_t ready_at)
{
    struct ap_work work;
    bool have;

    ap_count(ledger, "in", 1);
    undead(ledger, key);
    disallow(ledger, key);
    have = ap_work_get(ledger, key, &work);
    ap_latency_begin(ledger->latency, key, have && work.counted);
    if (!have) {
        ap_exec(ledger, AP_WORK_ROW "VALUES(?, ?, ?, 0, ?, ?, 0, 0, 1)", "iiiii", (int64_t)key.kind,
                key.id, storage, ready_at, source_us);
        return;
    }
    if (work.counted)
        ap_count(ledger, "superseded", 1);
    else
        work.since_us = source_us;
    work.counted = true;
    work.storage = storage;
    work.attempts = work.tries = 0;
    work.trouble = false;
    if (work.state == AP_WAITING || work.ready_at > ready_at)
        work.ready_at = ready_at;
    if (work.state == AP_WAITING)
        work.state = AP_READY;
    work.on = (struct ap_key){AP_NONE, 0};
    ap_work_save(ledger, &work);
}

void
ap_work_open(struct ap_ledger *ledger, struct ap_key key, int64_t storage, int64_t ready_at)
{
    ap_exec(ledger,
            AP_WORK_ROW
            "VALUES(?, ?, ?, 0, ?, ?, 0, 0, 0) ON CONFLICT(kind, id) DO UPDATE SET state = 0,"
            " ready_at = min(ready_at, excluded.ready_at), on_kind = 0, trouble = 0"
            " WHERE state = 1",
            "iiiii", (int64_t)key.kind, key.id, storage, ready_at, ready_at * 1000);
}

void
ap_work_save(struct ap_ledger *ledger, const struct ap_work *work)
{
    ap_exec(ledger,
            "UPDATE work SET storage = ?3, state = ?4, ready_at = ?5, since_us = ?6, on_kind = ?7,"
            " on_id = ?8, attempts = ?9, tries = ?10, tried_us = ?11, counted = ?12, did = ?13,"
            " forced = ?14, doubt = ?15, trouble = ?16, cause = ?17 WHERE kind = ?1 AND id = ?2",
            "iiiiiiiiiiiiiiiis", (int64_t)work->key.kind, work->key.id, work->storage,
            (int64_t)work->state, work->ready_at, work->since_us, (int64_t)work->on.kind,
            work->on.id, (int64_t)work->attempts, (int64_t)work->tries, work->tried_us,
            (int64_t)work->counted, (int64_t)work->did, (int64_t)work->forced, (int64_t)work->doubt,
            (int64_t)work->trouble, work->cause);
}

void
ap_work_close(struct ap_ledger *ledger, const struct ap_work *work, const char *outcome)
{
    ap_exec(ledger, "DELETE FROM work WHERE kind = ? AND id = ?", "ii", (int64_t)work->key.kind,
            work->key.id);
    ap_exec(ledger, "DELETE FROM reconcile WHERE kind = ? AND id = ?", "ii",
            (int64_t)work->key.kind, work->key.id);
    undead(ledger, work->key);
    disallow(ledger, work->key);
    ap_latency_end(ledger->latency, work->key, work->counted && !outcome);
    if (work->counted)
        ap_count(ledger, outcome ? outcome : work->did ? "applied" : "equal", 1);
    if (work->did && work->key.kind >= AP_GRANT) /* then the share's row is applied, too */
        ap_exec(ledger, "UPDATE work SET did = 1 WHERE on_kind = ? AND on_id = ? AND kind = 5",
                "ii", (int64_t)work->key.kind, work->key.id);
    ap_wake(ledger, work->key);
}

void
ap_wake(struct ap_ledger *ledger, struct ap_key key)
{
    ap_exec(ledger,
            "UPDATE work SET state = 0, ready_at = ?, on_kind = 0, on_id = 0, trouble = 0"
            " WHERE on_kind = ? AND on_id = ? AND +state = 1",
            "iii", ls_now_ms(), (int64_t)key.kind, key.id);
}

bool
ap_is_dead(struct ap_ledger *ledger, struct ap_key key)
{
    return ap_number(ledger, 0, "SELECT 1 FROM dead WHERE kind = ? AND id = ?", "ii",
                     (int64_t)key.kind, key.id) == 1;
}
