/*
 * The ledger: one SQLite file with all that apply knows.
 *
 * Trouble of the file itself (disk full, damage) is never local to an entity, so the calls here do
 * not return it one by one: the first failure sticks, every later call does nothing and answers
 * "no row", and ap_ledger_commit() rolls back and returns it as FATAL. Nothing is sent to the
 * target before the commit that marked it in flight has succeeded.
 */
#ifndef AP_LEDGER_H
#define AP_LEDGER_H

#include "apply/writer.h"
#include "common/err.h"
#include "common/records.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define AP_NAME_SIZE 1200 /* a name of oC10 (250 characters, 1,000 bytes), and our suffix */
#define AP_TEXT_SIZE 1200
#define AP_PATH_SIZE 8192

/* What can be open. The ids are fileid, node id, storage, rows of person, share, grants, received.
 */
enum ap_kind {
    AP_NONE = 0, /* as "waits on": nothing */
    AP_NODE = 1,
    AP_LEFTOVER = 2, /* a node of the applied tree whose file now lives in another space */
    AP_SPACE = 3,
    AP_PERSON = 4,
    AP_SHARE = 5, /* one row of oc_share; what is done for it is done by the three below */
    AP_GRANT = 6, /* (fileid, grantee): all its rows folded into one share of the target */
    AP_RECEIVED = 7,
    AP_LINK = 8,
    AP_PARTITION = 9, /* only as "waits on": the first snapshot of a partition */
    AP_TRASH_OF = 10, /* only as "waits on": the trash of a storage in its first copy */
    AP_RECORD = 11,   /* only as dead letter: bytes that could not be read */
    AP_STORAGE = 12,  /* only as "waits on": a snapshot of that storage */
};
struct ap_key {
    enum ap_kind kind;
    int64_t id;
};

enum ap_state { AP_READY = 0, AP_WAITING = 1, AP_IN_FLIGHT = 2 };

/* One open entity. */
struct ap_work {
    struct ap_key key;
    int64_t storage; /* lane of the scheduler; below zero: not about a storage */
    enum ap_state state;
    int64_t ready_at; /* wall clock, ms */
    int64_t since_us; /* source time of its oldest record that is not done */
    struct ap_key on;
    int attempts, tries; /* of anything; of reading its content */
    int64_t tried_us;    /* wall time of the last reading */
    bool counted;        /* stands for one incoming record */
    bool did;            /* a call was made for it */
    bool forced;         /* part of a ring of waits: move who holds the name aside */
    bool doubt;          /* the last call's outcome is not known */
    bool trouble;        /* parked for a cause of its own: no part of the lag */
    char cause[32];
};

/* The desired state of one file or folder: the newest record about it. */
struct ap_desired {
    int64_t fileid, storage, parent, size, mtime, moved_to, source_us, trash_time;
    int32_t partition;
    struct ls_seq seq;
    bool folder, encrypted, deleted;
    char name[AP_NAME_SIZE], etag[168], sha1[41], md5[33], adler32[9], mimetype[256];
};

/* One node of the applied tree. */
struct ap_applied {
    int64_t id, fileid, storage;
    int64_t parent; /* node id; 0: the space's root; -1: top of a trash item */
    int64_t size, mtime;
    bool folder, leftover;
    char target[AP_ID_SIZE], name[AP_NAME_SIZE], sha1[41], etag[168];
};
#define AP_ROOT 0
#define AP_TRASHED (-1)

struct ap_space_row {
    int64_t storage;
    enum cs3_space_type type;
    bool known, ready, copied; /* a record came; made at the target; its first copy is done */
    bool deleted, unknown;     /* at the source; ignored only until its owner is known there */
    bool look;                 /* it is to be looked at first: it may be another one now */
    char owner[256];
    char source_id[256]; /* as ownCloud names the storage: "home::uid" */
    struct ap_space target;
};

struct ap_ledger;
struct ap_latency;
int ap_ledger_open(const char *path, struct ap_ledger **ret, struct ls_err *err);
void
ap_ledger_close(struct ap_ledger *ledger); /* NULL is fine; an open transaction is rolled back */
/* Is told when an entity's record comes and when it is done; borrowed. */
void ap_ledger_measure(struct ap_ledger *ledger, struct ap_latency *latency);
/* Its size on disk, with what is written ahead; -1: not known. */
int64_t ap_ledger_bytes(struct ap_ledger *ledger);
/* From now on no commit waits for the disk: who reads for the mirror does (ap_mirror_read). */
int ap_ledger_synced_by_mirror(struct ap_ledger *ledger, struct ls_err *err);
int ap_ledger_begin(struct ap_ledger *ledger, struct ls_err *err);
int ap_ledger_commit(struct ap_ledger *ledger, struct ls_err *err);
/* Statements of a text that is made at run time, without rows. */
int ap_ledger_script(struct ap_ledger *ledger, const char *sql, struct ls_err *err);
bool ap_ledger_failed(const struct ap_ledger *ledger);

/*
 * Statements are prepared once per SQL text (a literal). `types` says how to bind what follows:
 * i int64_t, s const char * (NULL is NULL), t struct ls_str by address.
 */
sqlite3_stmt *ap_query(struct ap_ledger *ledger, const char *sql, const char *types, ...);
bool ap_step(struct ap_ledger *ledger, sqlite3_stmt *stmt); /* false: no more rows (then reset) */
void ap_done(sqlite3_stmt *stmt);                           /* before the last row was read */
int64_t ap_exec(struct ap_ledger *ledger, const char *sql, const char *types,
                ...); /* rows changed */
/* The first column of the first row, or `none`. */
int64_t ap_number(struct ap_ledger *ledger, int64_t none, const char *sql, const char *types, ...);
int64_t ap_last_id(struct ap_ledger *ledger);
/* A text column; false and "" when it is NULL or does not fit. */
bool ap_text(sqlite3_stmt *stmt, int column, char *out, size_t size);

/* ---- counters */
void ap_count(struct ap_ledger *ledger, const char *name, int64_t n);
int64_t ap_counted(struct ap_ledger *ledger, const char *name);
/* in − superseded − equal − applied − left − parked − dead; 0 or a bug. */
int64_t ap_balance(struct ap_ledger *ledger);
/* The same when it is known how many records are open. */
int64_t ap_balance_of(struct ap_ledger *ledger, int64_t open);
/* Another number whenever what is open, or whose it is, may have changed. */
int64_t ap_work_writes(const struct ap_ledger *ledger);

/* ---- rows */
/* The SQL function path_of (astray.c); SQLITE_OK or not. */
int ap_astray_register(sqlite3 *db);
bool ap_desired_get(struct ap_ledger *ledger, int64_t fileid, struct ap_desired *ret);
bool ap_node_get(struct ap_ledger *ledger, int64_t id, struct ap_applied *ret);
bool ap_node_of(struct ap_ledger *ledger, int64_t fileid, struct ap_applied *ret); /* no leftover */
bool ap_node_at(struct ap_ledger *ledger, int64_t storage, int64_t parent, const char *name,
                struct ap_applied *ret);
bool ap_space_get(struct ap_ledger *ledger, int64_t storage, struct ap_space_row *ret);

/* ---- open entities */
bool ap_work_get(struct ap_ledger *ledger, struct ap_key key, struct ap_work *ret);
/* A record came: opens the entity, or counts its earlier record as superseded; alive again if dead.
 */
void ap_work_record(struct ap_ledger *ledger, struct ap_key key, int64_t storage, int64_t source_us,
                    int64_t ready_at);
/*
 * Opens many at once without a record, in one statement: AP_WORK_OPEN "kind, id, storage, 0,
 * ready_at (ms), since_us, 0, 0, 0 FROM ...", then what happens to those that are open already. A
 * SELECT that ends without a WHERE needs " WHERE 1" before that (sqlite.org/lang_upsert.html, 2.2).
 */
#define AP_WORK_ROW                                                                                \
    "INSERT INTO work(kind, id, storage, state, ready_at, since_us, on_kind, on_id, counted) "
#define AP_WORK_OPEN AP_WORK_ROW "SELECT "
#define AP_UNLESS_OPEN " ON CONFLICT(kind, id) DO NOTHING"
#define AP_WAITING_AGAIN /* who waits for something or somebody waits no longer */                 \
    " ON CONFLICT(kind, id) DO UPDATE SET state = 0, on_kind = 0, trouble = 0 WHERE state = 1"
/* Opens it without a record: something around it has changed. */
void ap_work_open(struct ap_ledger *ledger, struct ap_key key, int64_t storage, int64_t ready_at);
void ap_work_save(struct ap_ledger *ledger, const struct ap_work *work);
/* Done: `outcome` NULL counts applied or equal by `did`, else e.g. "left:version". Wakes. */
void ap_work_close(struct ap_ledger *ledger, const struct ap_work *work, const char *outcome);
/* Those that wait on it become ready. */
void ap_wake(struct ap_ledger *ledger, struct ap_key key);
bool ap_is_dead(struct ap_ledger *ledger, struct ap_key key);

#endif
