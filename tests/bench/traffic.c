/*
 * traffic PORT USER PASSWORD DATABASE busy|noise ROWS FIRST STEP: writes an ownCloud 10's rows.
 *
 * `busy` makes about ROWS row changes of watched tables, in the statements and transactions that
 * ownCloud 10.16 uses: an upload is an insert with size -1, an update when the bytes are there, and
 * one or several updates that carry size, mtime and etag to the folders above; a folder's rename is
 * one update a descendant in one transaction. Now and then rows of oc_activity and oc_file_locks
 * come between, which nobody watches; `noise` makes only those. The same numbers give the same
 * statements. FIRST and STEP keep the ids of several writers at once apart.
 *
 * Statements go in groups over one connection, each its own transaction, so that the server and not
 * the round trips decide how long it takes. Any failure ends the program with the server's words.
 */
#include <inttypes.h>
#include <mysql.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS 24
#define GROUP_BYTES ((size_t)48 * 1024)
#define TEXT_CAP ((size_t)4 << 20)
#define DEEPEST 7
#define MOVED_AT_MOST 2000
#define NAME_MAX_BYTES 96
#define PATH_MAX_BYTES (NAME_MAX_BYTES * 2 * (DEEPEST + 2))

struct node {
    uint32_t parent;
    int64_t id, size;
    uint8_t depth;
    bool folder, gone;
    char name[NAME_MAX_BYTES];
};

struct home {
    int storage;
    struct node *nodes; /* [0] is "files" */
    uint32_t n, room;
};

struct writer {
    MYSQL *mysql;
    uint64_t random;
    char *text;
    size_t length;
    int64_t rows, noise, step, next_id, next_share, next_lock, mtime;
    struct home homes[USERS];
    int64_t shares[4096];
    uint32_t n_shares;
};

static const char *const words[] = {"report",   "Projects", "2024",    "Urlaub", "invoices",
                                    "notes",    "Größe",    "photos",  "draft",  "Übersicht",
                                    "team",     "budget",   "IMG",     "final",  "plan",
                                    "contract", "会議",     "backup",  "it''s",  "release",
                                    "archive",  "Q3 2023",  "meeting", "src",    "scan"};
static const char *const endings[] = {"pdf", "txt", "docx", "jpg", "png", "xlsx", "md", "odt"};

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "traffic: %s: %s\n", what, why);
    exit(1);
}

static uint32_t
below(struct writer *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 20) % n;
}

static void
flush(struct writer *w)
{
    int more;

    if (w->length == 0)
        return;
    if (mysql_real_query(w->mysql, w->text, w->length))
        die("query", mysql_error(w->mysql));
    while ((more = mysql_next_result(w->mysql)) == 0)
        ;
    if (more > 0)
        die("query", mysql_error(w->mysql));
    w->length = 0;
}

__attribute__((format(printf, 2, 3))) static void
say(struct writer *w, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(w->text + w->length, TEXT_CAP - w->length, format, args);
    va_end(args);
    if (n < 0 || (size_t)n + 2 > TEXT_CAP - w->length)
        die("statement", "too long");
    w->length += (size_t)n;
    w->text[w->length++] = ';';
}

static const char *
hex(struct writer *w, char out[33])
{
    for (int i = 0; i < 4; i++)
        (void)snprintf(out + i * 8, 9, "%08x", below(w, UINT32_MAX));
    return out;
}

/* As it stands in SQL: the names hold no other special characters than doubled quotes. */
static void
path_of(const struct home *home, uint32_t i, char out[PATH_MAX_BYTES])
{
    uint32_t up[DEEPEST + 2];
    int n = 0;
    size_t at = (size_t)snprintf(out, PATH_MAX_BYTES, "files");

    for (; i != 0 && n < DEEPEST + 2; i = home->nodes[i].parent)
        up[n++] = i;
    while (n--)
        at += (size_t)snprintf(out + at, PATH_MAX_BYTES - at, "/%s", home->nodes[up[n]].name);
}

static uint32_t
node_add(struct writer *w, struct home *home, uint32_t parent, bool folder)
{
    const uint32_t n_words = sizeof(words) / sizeof(words[0]);
    uint32_t i = home->n++;
    struct node *node;

    if (i == home->room) {
        home->room = home->room ? home->room * 2 : 1024;
        home->nodes = realloc(home->nodes, home->room * sizeof(*node));
        if (!home->nodes)
            die("memory", "none");
    }
    node = &home->nodes[i];
    *node = (struct node){.parent = parent, .id = w->next_id, .size = -1, .folder = folder};
    node->depth = i ? (uint8_t)(home->nodes[parent].depth + 1) : 0;
    w->next_id += w->step;
    (void)snprintf(node->name, sizeof(node->name), "%s %s %u%s%s", words[below(w, n_words)],
                   words[below(w, n_words)], i, folder ? "" : ".",
                   folder ? "" : endings[below(w, sizeof(endings) / sizeof(endings[0]))]);
    if (i == 0)
        (void)snprintf(node->name, sizeof(node->name), "files");
    return i;
}

static void
insert(struct writer *w, struct home *home, uint32_t i)
{
    const struct node *node = &home->nodes[i];
    char path[PATH_MAX_BYTES], etag[33];

    path_of(home, i, path);
    say(w,
        "INSERT INTO oc_filecache (fileid,storage,path,path_hash,parent,name,mimetype,mimepart,"
        "size,mtime,storage_mtime,etag,permissions,checksum) VALUES (%" PRId64 ",%d,'%s',MD5('%s'),"
        "%" PRId64 ",'%s',%d,%d,%d,%" PRId64 ",%" PRId64 ",'%s',%d,'')",
        node->id, home->storage, path, path, i ? home->nodes[node->parent].id : -1, node->name,
        node->folder ? 2 : 3 + (int)(node->id % 8), node->folder ? 1 : 3, node->folder ? 0 : -1,
        w->mtime, w->mtime, hex(w, etag), node->folder ? 31 : 27);
    w->rows++;
}

/* Size, mtime and etag go up to the root, in one statement or in one each. */
static void
propagate(struct writer *w, struct home *home, uint32_t i)
{
    char etag[33], ids[DEEPEST * 24 + 64];
    bool at_once = below(w, 2);
    size_t at = 0;

    (void)hex(w, etag);
    while (i != 0) {
        struct node *above = &home->nodes[i = home->nodes[i].parent];
        above->size += 1 + below(w, 100000);
        if (at_once)
            at += (size_t)snprintf(ids + at, sizeof(ids) - at, "%s%" PRId64, at ? "," : "",
                                   above->id);
        else
            say(w,
                "UPDATE oc_filecache SET mtime=%" PRId64 ",etag='%s',size=%" PRId64
                " WHERE fileid=%" PRId64,
                w->mtime, etag, above->size, above->id);
        w->rows++;
    }
    if (at)
        say(w,
            "UPDATE oc_filecache SET mtime=GREATEST(mtime,%" PRId64 "),etag='%s' WHERE fileid IN "
            "(%s)",
            w->mtime, etag, ids);
}

static void
activity(struct writer *w, const struct home *home, uint32_t i)
{
    char path[PATH_MAX_BYTES];

    path_of(home, i, path);
    say(w,
        "INSERT INTO oc_activity (timestamp,priority,type,user,affecteduser,app,subject,"
        "subjectparams,message,messageparams,file,link,object_type,object_id) VALUES (%" PRId64
        ",30,'file_changed','user%d','user%d','files','changed_self','[{\"%" PRId64
        "\":\"/%s\"}]','','[]','/%s','https://cloud.example.org/apps/files/?dir=/','files',%" PRId64
        ")",
        w->mtime, home->storage, home->storage, home->nodes[i].id, path, path, home->nodes[i].id);
    w->noise++;
}

static void
lock_and_unlock(struct writer *w)
{
    char key[33];

    w->next_lock += w->step;
    say(w, "INSERT INTO oc_file_locks (id,`key`,`lock`,ttl) VALUES (%" PRId64 ",'files/%s',1,3600)",
        w->next_lock, hex(w, key));
    say(w, "UPDATE oc_file_locks SET `lock`=-1 WHERE id=%" PRId64, w->next_lock);
    say(w, "DELETE FROM oc_file_locks WHERE id=%" PRId64, w->next_lock);
    w->noise += 3;
}

/* The bytes are there: what an upload or an overwrite writes last. */
static void
finish(struct writer *w, struct home *home, uint32_t i)
{
    struct node *node = &home->nodes[i];
    char etag[33], sum[33];

    node->size = below(w, 50000000);
    (void)hex(w, sum);
    say(w,
        "UPDATE oc_filecache SET size=%" PRId64 ",mtime=%" PRId64 ",storage_mtime=%" PRId64
        ",etag='%s',checksum='SHA1:%s%.8s MD5:%s ADLER32:%.8s' WHERE fileid=%" PRId64,
        node->size, w->mtime, w->mtime, hex(w, etag), sum, etag, etag, sum, node->id);
    w->rows++;
    propagate(w, home, i);
    if (below(w, 10) == 0)
        lock_and_unlock(w);
    else if (below(w, 3) == 0)
        activity(w, home, i);
}

static bool
is_gone(const struct home *home, uint32_t i)
{
    for (; i != 0; i = home->nodes[i].parent)
        if (home->nodes[i].gone)
            return true;
    return false;
}

static bool
is_below(const struct home *home, uint32_t i, uint32_t folder)
{
    for (; i != 0; i = home->nodes[i].parent)
        if (i == folder)
            return true;
    return false;
}

/* A living file, or a living folder of some depth; 0 where luck is against it. */
static uint32_t
pick(struct writer *w, const struct home *home, bool folder)
{
    for (int tries = 0; tries < 60; tries++) {
        /* the folders of the beginning hold most of a home */
        uint32_t i =
            folder && below(w, 4) ? below(w, home->n < 60 ? home->n : 60) : below(w, home->n);
        const struct node *node = &home->nodes[i];
        if (i != 0 && node->folder == folder && node->depth < DEEPEST && !is_gone(home, i))
            return i;
    }
    return 0;
}

static void
rename_folder(struct writer *w, struct home *home)
{
    uint32_t folder = pick(w, home, true), moved = 0;
    char path[PATH_MAX_BYTES];

    if (home->nodes[folder].depth < 3)
        return;
    (void)snprintf(home->nodes[folder].name, NAME_MAX_BYTES, "moved %06x", below(w, 1 << 24));
    say(w, "BEGIN");
    for (uint32_t i = folder; i < home->n && moved < MOVED_AT_MOST; i++) {
        if (!is_below(home, i, folder) || is_gone(home, i))
            continue;
        path_of(home, i, path);
        say(w, "UPDATE oc_filecache SET path='%s',path_hash=MD5('%s')%s%s%s WHERE fileid=%" PRId64,
            path, path, i == folder ? ",name='" : "", i == folder ? home->nodes[i].name : "",
            i == folder ? "'" : "", home->nodes[i].id);
        w->rows++;
        moved++;
    }
    say(w, "COMMIT");
    propagate(w, home, folder);
}

static void
delete_file(struct writer *w, struct home *home, uint32_t i)
{
    if (i == 0)
        return;
    home->nodes[i].gone = true;
    say(w, "DELETE FROM oc_filecache WHERE fileid=%" PRId64, home->nodes[i].id);
    w->rows++;
    propagate(w, home, i);
}

static void
share_new(struct writer *w, const struct home *home, uint32_t file)
{
    const struct node *node = &home->nodes[file];
    bool link = below(w, 3) == 0;
    char token[33], quoted[20] = "NULL";

    w->next_share += w->step;
    if (link)
        (void)snprintf(quoted, sizeof(quoted), "'%.15s'", hex(w, token));
    say(w,
        "INSERT INTO oc_share (id,share_type,share_with,uid_owner,item_type,item_source,"
        "item_target,file_source,file_target,permissions,stime,expiration,token,uid_initiator,"
        "share_name) VALUES (%" PRId64 ",%d,%s,'user%d','file','%" PRId64 "','/%" PRId64
        "',%" PRId64 ",'/%s',%d,%" PRId64 ",%s,%s,'user%d',%s)",
        w->next_share, link ? 3 : 0, link ? "NULL" : "'user7'", home->storage, node->id, node->id,
        node->id, node->name, link ? 1 : 19, w->mtime,
        below(w, 4) ? "NULL" : "'2026-12-31 00:00:00'", quoted, home->storage,
        link ? "'Public link'" : "NULL");
    if (w->n_shares < sizeof(w->shares) / sizeof(w->shares[0]))
        w->shares[w->n_shares++] = w->next_share;
    w->rows++;
}

static void
share_something(struct writer *w, const struct home *home)
{
    uint32_t file = pick(w, home, false), dice = below(w, 10);

    if (dice < 5 || w->n_shares == 0) {
        if (file)
            share_new(w, home, file);
        return;
    }
    if (dice < 8) {
        say(w, "UPDATE oc_share SET permissions=%u,stime=%" PRId64 " WHERE id=%" PRId64,
            1 + below(w, 31), w->mtime + (int64_t)below(w, 1000), w->shares[below(w, w->n_shares)]);
    } else {
        uint32_t i = below(w, w->n_shares);
        say(w, "DELETE FROM oc_share WHERE id=%" PRId64, w->shares[i]);
        w->shares[i] = w->shares[--w->n_shares];
    }
    w->rows++;
}

static void
act(struct writer *w, struct home *home)
{
    uint32_t dice = below(w, 1000), i;

    if (below(w, 20) == 0)
        w->mtime++;
    if (dice < 550) {
        i = node_add(w, home, pick(w, home, true), false);
        insert(w, home, i);
        finish(w, home, i);
    } else if (dice < 830) {
        if ((i = pick(w, home, false)) != 0)
            finish(w, home, i);
    } else if (dice < 870) {
        uint32_t above = pick(w, home, true);
        i = node_add(w, home, home->nodes[above].depth < DEEPEST - 1 ? above : 0, true);
        insert(w, home, i);
        propagate(w, home, i);
    } else if (dice < 913) {
        delete_file(w, home, pick(w, home, false));
    } else if (dice < 916) {
        rename_folder(w, home);
    } else {
        share_something(w, home);
    }
}

static void
begin_homes(struct writer *w, int first, int step)
{
    for (int u = 0; u < USERS; u++) {
        struct home *home = &w->homes[u];
        home->storage = 1 + first + u * step;
        say(w, "INSERT INTO oc_storages (numeric_id,id) VALUES (%d,'home::user%d')", home->storage,
            home->storage);
        w->rows++;
        insert(w, home, node_add(w, home, 0, true));
        for (int k = 0; k < 40; k++) {
            uint32_t above = below(w, home->n);
            insert(w, home,
                   node_add(w, home, home->nodes[above].depth < DEEPEST - 2 ? above : 0, true));
        }
    }
    flush(w);
}

int
main(int argc, char **argv)
{
    struct writer *w = calloc(1, sizeof(*w));
    int64_t target;
    bool busy;
    int first, step;

    if (argc != 9 || !w || !(w->text = malloc(TEXT_CAP)))
        die("usage", "traffic PORT USER PASSWORD DATABASE busy|noise ROWS FIRST STEP");
    busy = strcmp(argv[5], "busy") == 0;
    target = atoll(argv[6]);
    first = atoi(argv[7]);
    step = atoi(argv[8]);
    w->mysql = mysql_init(NULL);
    mysql_options(w->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(w->mysql, "127.0.0.1", argv[2], argv[3], argv[4],
                            (unsigned)atoi(argv[1]), NULL, CLIENT_MULTI_STATEMENTS))
        die("connecting", mysql_error(w->mysql));
    w->random = 0x9e3779b97f4a7c15ULL * (unsigned)(first + (busy ? 1 : 77));
    w->step = step;
    w->next_id = w->next_share = w->next_lock = 1 + first;
    w->next_lock += busy ? 0 : 1000000000;
    w->mtime = 1700000000;
    if (busy)
        begin_homes(w, first, step);
    else
        (void)node_add(w, &w->homes[0], 0, true);
    while (w->rows < target && w->noise < (busy ? INT64_MAX : target)) {
        if (busy)
            act(w, &w->homes[below(w, USERS)]);
        else if (below(w, 2))
            lock_and_unlock(w);
        else
            activity(w, &w->homes[0], 0);
        if (w->length > GROUP_BYTES)
            flush(w);
    }
    flush(w);
    (void)printf("{\"rows\": %" PRId64 ", \"noise\": %" PRId64 "}\n", w->rows, w->noise);
    mysql_close(w->mysql);
    return 0;
}
