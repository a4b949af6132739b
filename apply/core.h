/*
 * apply's core: records in, calls out, answers back in.
 *
 * One thread owns the ledger and this struct. A round is
 *     ap_ledger_begin; ap_settle; ap_take_* ...; ap_plan; ap_ledger_commit; ap_send
 * so that what was planned is durable before it is sent. Worker threads see jobs only; a test may
 * do without them: ap_job_next, ap_job_run, ap_job_back.
 */
#ifndef AP_CORE_H
#define AP_CORE_H

#include "apply/latency.h"
#include "apply/ledger/ledger.h"
#include "apply/plan/converge.h"
#include "apply/run/pace.h"
#include "apply/run/refusal.h"
#include "common/config.h"

#define AP_LANE_PEOPLE (-10) /* lanes of what is not about a storage */
#define AP_LANE_SPACES (-9)
#define AP_LANE_SHARES (-11)
#define AP_MAX_CHAIN 2100
#define AP_RETRY_CAUSES 32
#define AP_ABOVE 16        /* folders around a node that a call is told of */
#define AP_WAITS_MOST 5000 /* waits of one another that are followed */
/* grants.permissions: the share on record is for a group of that name which is gone */
#define AP_OTHER_GRANTEE ((int64_t)-1)

struct ap_options {
    int workers;
    int64_t window_ms, retry_first_ms, retry_max_ms;
    int content_tries;
    int64_t probe_ms;          /* 0: never */
    int64_t content_margin_us; /* how far the heartbeat must be past the last try */
    int sweep_max_percent;
    int64_t sweep_max_items;
    bool disable_deleted; /* people.on_delete = disable */
    bool drift_stop;      /* apply.drift = stop */
    bool versions;        /* apply.versions */
    bool match_ldap;      /* people.match_by = ldap-uuid */
    /* bytes, of users without a quota of their own; 0: what the target gives */
    int64_t default_quota;
};

/* What the node of a call is taken to be, see apply/plan/drift.h. */
struct ap_was {
    bool expected, below_known;
    char parent_id[AP_ID_SIZE], name[AP_NAME_SIZE], sha1[41];
    int64_t size, deleted_at;
    uint64_t below;
    char above[AP_ABOVE][AP_ID_SIZE];
    int n_above;
    char trashed[AP_ID_SIZE]; /* answer: who is in the trash */
};

/* How something is looked for that the ledger does not know, see apply/plan/sought.h. */
enum ap_seek_how { AP_SEEK_NONE = 0, AP_SEEK_PLACE, AP_SEEK_TRASH, AP_SEEK_BELOW, AP_SEEK_LINK };
#define AP_SEEK_KNOWN 64
struct ap_seek {
    enum ap_seek_how how;
    bool proof; /* PLACE: only with the row's checksum */
    /* TRASH */
    bool folder, anywhere;
    int64_t size, since;
    char location[4 * AP_TEXT_SIZE], base[AP_NAME_SIZE], aside[AP_NAME_SIZE];
    char known[AP_SEEK_KNOWN][AP_ID_SIZE];
    int n_known;
};

/* One call, with all it needs; the worker writes the part below "answer" only. */
struct ap_job {
    struct ap_key who;
    enum ap_call call;
    int64_t op_id; /* row of `op`, for calls on the tree */
    bool doubtful, queued, done;
    int attempt;
    int64_t lane;      /* whose turn it is of */
    int64_t logged;    /* held until the mirror has come as far; 0: not committed yet */
    int64_t resend_at; /* ms; outcome unknown: sent again then */
    struct ap_tree_op op;
    /* each look at an entity begins with all from here to `chain` empty */
    struct ap_space space;
    bool version;  /* PUT_FILE: of an old content; `who` is the version's row, op.fileid its file */
    bool there;    /* ... and the target had it already */
    bool anew;     /* PUT_FILE: see blobs.h */
    bool revert;   /* PUT_FILE: the target may have that content, as an old one */
    bool reverted; /* ... and it is the content again */
    char node_id[AP_ID_SIZE], parent_id[AP_ID_SIZE], top_id[AP_ID_SIZE], home[4200];
    struct ap_was was;
    /* people and shares */
    char uid[256], gid[256], display_name[512], mail[512], user_home[4096], quota[64];
    char sharer[256], label[512], mount[2600];
    char person_id[AP_ID_SIZE], group_id[AP_ID_SIZE];
    char directory_uuid[256]; /* of a user or group looked up by that; else "" */
    bool enabled, group, folder, has_password;
    bool keep_mail; /* USER_ENSURE: his address is as it shall be */
    bool half;      /* SHARE_REMOVE: it may be there in part, or by another id */
    bool left;      /* SHARE_REMOVE: of a node in the trash, where its grant stays. The ledger's */
    bool received;  /* SHARE_SET: and its recipient has his state of it */
    int64_t quota_storage, quota_bytes; /* below 0: no limit */
    int64_t permissions, expires;
    enum cs3_share_state state;
    enum cs3_person_type person_type; /* of a look */
    char sha1_now[41];                /* PUT_FILE: of what the node has */
    int64_t blob_mtime;               /* PUT_FILE: of the file that is read */
    struct ap_objects *objects;       /* PUT_FILE: its content is there; PING: that is asked */
    int64_t row, ctime; /* for an exact writer, with token, hash, state and mount of above */
    char token[128], password_hash[256];
    char mark[20];             /* of all that only it keeps; "" for other writers */
    char share_id[AP_ID_SIZE]; /* in and out */
    struct ap_seek seek;       /* LOOK of a node that the ledger does not have */
    /* what it touches, for those that come after it */
    int n_chain;
    int64_t chain[AP_MAX_CHAIN];
    /* answer */
    int result;
    int64_t began_us, took_us, waited_us; /* waited: of it, with no call out */
    struct ls_err err;
    struct ap_node node;
    struct ap_person_id person;
    struct ap_space made;
    struct ap_found found; /* of looks */
    struct ap_person_found person_found;
    struct ap_space_found space_found;
};

/* Trouble of all that is done with something, not of one call: a ping ends it. */
struct ap_pause {
    bool paused;
    char why[32];   /* a cause */
    int64_t until;  /* ms: when it is asked again */
    unsigned count; /* of pauses, and pings in vain, since it was well */
    struct ap_job *ping;
};

/* Whether the target still has what was made: see probe.h. */
struct ap_probe {
    struct ap_job *job; /* NULL: none is out */
    int64_t next_ms;    /* ls_mono_ms; 0: not begun */
    int turn;           /* how far back the next one lies */
    /* nodes: whom the next look is for, 0: to be chosen; whose absence it is to explain; the last
     * that was counted */
    int64_t asked, missed, counted;
    int misses;
};

struct ap_queue;
struct ap_core {
    struct ap_ledger *ledger;
    struct ap_writer *writer;
    const struct ls_config *config; /* for the homes; NULL in tests */
    struct ap_options options;
    struct ap_view view;
    struct ap_queue *queue;
    struct ap_job **jobs; /* in flight, or waiting to be sent again */
    int n_jobs, n_jobs_max;
    struct ap_pace pace;
    int64_t lane, trash_lane; /* where the round robins are */
    int64_t half_moves_at;    /* ms: when they are looked for again */
    int64_t ahead_ms;         /* the wall's clock before the monotonic one; 0: not looked at yet */
    int64_t removed_at;       /* ms: when it is looked what may be forgotten of that */
    bool skipped;             /* a lane, because it is stuck */
    bool seeking; /* something is to be looked for at the target, see apply/plan/sought.h */
    struct ap_pause target;
    struct ap_refusal refusal; /* of a call */
    struct ap_probe probe;
    /* ownCloud's bucket; NULL: there is none. What reads from it waits while it is paused. */
    struct ap_objects *objects;
    struct ap_pause bucket;
    struct ls_err fatal; /* of a call */
    int64_t calls;
    int64_t content_bytes; /* that the target took */
    int64_t lost;          /* nodes that were made and are not at the target, undeleted by us */
    struct {
        char cause[32];
        int64_t n;
    } retries[AP_RETRY_CAUSES]; /* calls that failed and are made again; the last: all others */
    struct ap_latency *latency; /* NULL: nobody measures */
    /* the ledger's mirror: how far it has come; NULL: there is none. And the last change committed.
     */
    int64_t (*through)(const void *arg);
    const void *through_arg;
    int64_t logged;
};

int ap_core_new(struct ap_ledger *ledger, struct ap_writer *writer, const struct ls_config *config,
                const struct ap_options *options, struct ap_core **ret, struct ls_err *err);
void ap_core_free(struct ap_core *core); /* workers must be stopped */
/* Calls whose answer the ledger does not have: they are sent first, as doubtful. In a transaction.
 */
void ap_recover(struct ap_core *core);

/* ---- intake.c */
struct ap_origin {
    const char *topic; /* without prefix: "cs3.resource" */
    int32_t partition;
    int64_t offset;
    struct ls_str value; /* its bytes, for a dead letter */
};
void ap_take_resource(struct ap_core *core, const struct ap_origin *at,
                      const struct cs3_resource *record);
void ap_take_space(struct ap_core *core, const struct ap_origin *at,
                   const struct cs3_space *record);
void ap_take_person(struct ap_core *core, const struct ap_origin *at,
                    const struct cs3_person *record);
void ap_take_share(struct ap_core *core, const struct ap_origin *at,
                   const struct cs3_share *record);
/* A row that is gone keeps no secrets, and no bits. */
void ap_share_details_drop(struct ap_core *core, int64_t share);
/* remote_shares.c: those of other servers are taken in and left; false: it is none. Their tables'
 * brackets go by these names instead of their topic's. */
#define AP_BRACKET_RECEIVED "cs3.share:share_external"
#define AP_BRACKET_TRUSTED "cs3.share:trusted_servers"
bool ap_take_remote_share(struct ap_core *core, const struct ap_origin *at,
                          const struct cs3_share *record);
int64_t ap_remote_shares_sweep(struct ap_core *core, enum cs3_share_type type, struct ls_seq begin);
/* Brackets and heartbeats; `sort` is the record's type or `what`: what a bracket covers. Returns
 * false when the record is about an entity. */
bool ap_take_mark(struct ap_core *core, const struct ap_origin *at, const struct cs3_head *head,
                  int sort);
/* A tombstone with the header seq, by the record's key. */
void ap_take_tombstone(struct ap_core *core, const struct ap_origin *at, struct ls_str key,
                       struct ls_seq seq);
void ap_take_malformed(struct ap_core *core, const struct ap_origin *at, struct ls_str key,
                       struct ls_str value, const struct ls_err *why);
/* A record of which a text has no room in the ledger: a dead letter. */
void ap_take_too_long(struct ap_core *core, const struct ap_origin *at, int64_t id);
/* Counts a record that an earlier one made void. */
void ap_superseded(struct ap_core *core);
/* True when the row whose seq `stmt` selects is as new as the record or newer. */
bool ap_is_newer(struct ap_core *core, sqlite3_stmt *stmt, struct ls_seq seq);
/* intake_people.c: what a sweep would take beyond its limit, or 0; the sweep. */
int64_t ap_people_excess(struct ap_core *core, enum cs3_person_type type, struct ls_seq begin);
int64_t ap_people_sweep(struct ap_core *core, enum cs3_person_type type, struct ls_seq begin);
/* annotations.c */
void ap_take_annotation(struct ap_core *core, const struct ap_origin *at,
                        const struct cs3_annotation *record);
int64_t ap_annotations_sweep(struct ap_core *core, enum cs3_annotation_type type,
                             struct ls_seq begin);
/* Sweeps that waited and are allowed now (another limit); at start. */
void ap_sweep_waiting(struct ap_core *core);
/* sweep_storage.c: a bracket of one storage; false when the record is not one. And the sweeps of
 * storages that waited. */
bool ap_take_storage_mark(struct ap_core *core, const struct ap_origin *at,
                          const struct cs3_resource *record);
void ap_sweep_storages_waiting(struct ap_core *core);
/* A snapshot of everything begins: those of storages that are under way were cancelled. */
void ap_storage_marks_end(struct ap_core *core, int32_t partition, struct ls_seq begin);
/* A value of at->topic, decoded and taken; and what it begins with. POISON: it cannot be read. */
int ap_take_value(struct ap_core *core, const struct ap_origin *at, struct ls_arena *arena,
                  struct ls_err *err);
int ap_head_read(const struct ap_origin *at, struct ls_arena *arena, struct cs3_head *ret,
                 struct ls_err *err);
/* The message's bytes: decode and take; the offset moves on. 0, or -1 FATAL. */
struct ls_message;
int ap_take_message(struct ap_core *core, const struct ls_message *message, const char *topic,
                    struct ls_arena *arena, struct ls_err *err);

/* ---- schedule.c; queue.c: the workers; calls.c: what they run */
void ap_plan(struct ap_core *core);
void ap_send(struct ap_core *core);
int64_t ap_idle_ms(struct ap_core *core, int64_t most); /* how long nothing is to be done */
int ap_workers_start(struct ap_core *core, struct ls_err *err);
void ap_workers_stop(struct ap_core *core);
/* Calls that have nothing out at the target for now: others go out in their stead. */
int ap_waiting(const struct ap_core *core);
/* Waits for an answer for `ms`; for `busy_ms`, and for more of them, while the workers have enough
 * to do: each round is a commit. True: there are some. Also returns when somebody has nudged. */
bool ap_wait_answers(struct ap_core *core, int64_t ms, int64_t busy_ms);
/* The workers are told what may be out from now on; ap_send does so too. */
void ap_limit_tell(struct ap_core *core);
/* What no worker has begun is not begun; it stands in the ledger as sent, and is looked up. */
void ap_take_back(struct ap_core *core);
void ap_nudge(void *core); /* from any thread */
/* It was planned, and waits for the mirror to have it. */
bool ap_is_held(const struct ap_core *core, const struct ap_job *job);
int ap_held(const struct ap_core *core);
/* Some are held, and soon nothing else is left to be called, or nothing else of their lane. */
bool ap_is_hungry(const struct ap_core *core);
/* The next to be called: of the lane with the fewest calls out, the oldest. NULL: none. */
struct ap_job *ap_job_next(struct ap_core *core);
void ap_job_run(struct ap_writer *writer, struct ap_job *job);
void ap_job_back(struct ap_core *core, struct ap_job *job);
struct ap_job *ap_answer(struct ap_core *core);
void ap_job_forget(struct ap_core *core, struct ap_job *job);
/* The file's node is disowned: it is removed as a thing of its own. */
void ap_node_leave(struct ap_core *core, int64_t fileid);
/* The row is in the ledger; `before`: as it stood there, NULL when it did not. */
void ap_astray_take(struct ap_core *core, const struct cs3_resource *r,
                    const struct ap_desired *before);
/* Rows whose path or storage is not what their parent says. */
int64_t ap_astray_count(struct ap_ledger *ledger);
void ap_work_dead(struct ap_core *core, const struct ap_work *work, const char *cause,
                  const char *message);
int64_t ap_backoff(const struct ap_options *options, int attempts); /* ms, with jitter */

/* ---- settle.c */
void ap_settle(struct ap_core *core);
/* All that wait for the bucket are tried. */
void ap_bucket_wake(struct ap_core *core);
/* Waits until the bucket answers. */
void ap_bucket_park(struct ap_core *core, struct ap_work *work);

/* ---- people.c, shares.c: the next call of an entity, its arguments into the job */
void ap_person_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
                    struct ap_job *job);
void ap_space_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
                   struct ap_job *job);
/* A user or group of ownCloud's LDAP, to be found by the id that a mapping gives it; has it one? */
bool ap_person_is_ldap(struct ap_core *core, int64_t id);
bool ap_person_is_mapped(struct ap_core *core, int64_t id);
/* Tells the writer who a user is at the target, as the ledger has it now; all of them. */
void ap_person_match(struct ap_core *core, int64_t id);
void ap_people_match(struct ap_core *core);
void ap_people_settled(struct ap_core *core, const struct ap_job *job);
/* The target says that a space is full: its owner's quota is lifted until all is in. */
void ap_space_full(struct ap_core *core, int64_t storage);
/* Person's row by type and names; 0 when not there. */
int64_t ap_person_find(struct ap_core *core, enum cs3_person_type type, const char *uid,
                       const char *gid);
void ap_share_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next);
/* These may move `work` to another lane. */
void ap_grant_next(struct ap_core *core, struct ap_work *work, struct ap_next *next,
                   struct ap_job *job);
void ap_received_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
                      struct ap_job *job);
void ap_link_next(struct ap_core *core, struct ap_work *work, struct ap_next *next,
                  struct ap_job *job);
void ap_shares_settled(struct ap_core *core, const struct ap_job *job);
/* The rows of this share (before and after a change) belong to these entities. */
void ap_share_touch(struct ap_core *core, int64_t share, int64_t ready_at);
void ap_node_made(struct ap_core *core, int64_t fileid, int64_t storage);
/* A folder has come out of the trash, or a folder of the desired tree has another place: what is
 * shared in it and waits is looked at. */
void ap_shares_below_node(struct ap_core *core, int64_t node);
void ap_shares_below_row(struct ap_core *core, int64_t fileid);
/* A node has gone into the trash: what is out by now to take its shares away may come behind. */
void ap_left_trashed(struct ap_core *core);
void ap_shares_make_exact(struct ap_core *core); /* at start, in a transaction */
void ap_member_touch(struct ap_core *core, const char *uid, const char *gid);

/* ---- version.c: which version belongs to which file */
/* The live row of that name in a folder of the desired tree, or 0. */
int64_t ap_child_of(struct ap_core *core, int64_t parent, const char *name);
/* A row that came, or got another place, or went. */
void ap_version_take(struct ap_core *core, const struct cs3_resource *record);
/* Looks for the file of a version (its row has been looked at and is not carried). Returns what is
 * to be said of one that is left; ret_of: its file, or 0, also of what is no version's content. */
const char *ap_version_join(struct ap_core *core, int64_t fileid, int64_t *ret_of);

/* ---- versions_put.c: which of them are uploaded, and before what */
/* What `work` shall do next, when converge.c is done with it: a file waits for its versions, a
 * version finds its turn. `given_up`: its own content cannot be had. */
void ap_versions_step(struct ap_core *core, const struct ap_work *work, bool given_up,
                      struct ap_next *next);
/* Is what this node has one of the old contents of the file? */
bool ap_versions_have(struct ap_core *core, const struct ap_desired *file,
                      const struct ap_node *node);
/* What a call that puts content needs to know of versions. */
void ap_versions_fill(struct ap_core *core, struct ap_job *job);
/* A content was put: what it took the place of is a revision now. `old`: the node before. */
void ap_versions_settled(struct ap_core *core, const struct ap_job *job,
                         const struct ap_applied *old);

/* ---- dlq.c */
struct ls_producer;
const char *ap_dead_words(const char *cause); /* a sentence about a cause of our own */
void ap_dead_letter(struct ap_core *core, struct ap_key key, const char *cause, const char *message,
                    int attempts);
int ap_letters_send(struct ap_core *core, struct ls_producer *producer, const char *topic,
                    struct ls_err *err);

#endif
