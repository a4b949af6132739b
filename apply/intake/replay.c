/*
 * Replay, retry and drop in the ledger.
 *
 * A record here names an entity; what is done for it follows from the state that the ledger knows,
 * by the same steps as ever, so that nothing is called when nothing is to be done. A ledger that is
 * made anew reads the topic from its beginning, since what was open is open again; a copy of a
 * record is none the less known (table taken, which is mirrored). What can go wrong: an older state
 * that comes back (the seq decides, as with every record); brackets and heartbeats of a topic that
 * is replayed (they speak of that topic, and are passed over: a sweep must not happen twice);
 * counters (an entity that comes alive is the record that it was: from dead to open, no new one); a
 * first snapshot that is under way (who waits for its end goes on waiting).
 */
#include "apply/intake/replay.h"
#include "apply/ledger/letters.h"
#include "apply/plan/drift.h"
#include "apply/plan/reconcile.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 800

/* ---- which entity */

/* AP_NONE: nothing that could be open (kept only, or not known). */
static struct ap_key
key_of_number(enum ap_kind kind, struct ls_str text)
{
    char number[24], *end;
    int64_t id;

    if (text.n == 0 || text.n >= sizeof(number))
        return (struct ap_key){AP_NONE, 0};
    snprintf(number, sizeof(number), "%.*s", (int)text.n, text.p);
    id = strtoll(number, &end, 10);
    return *end ? (struct ap_key){AP_NONE, 0} : (struct ap_key){kind, id};
}

static struct ap_key
key_of_person(struct ap_core *core, struct ls_str key)
{
    char text[KEY_MAX];
    int64_t id;

    if (!ap_person_key_read(key, text, sizeof(text)))
        return (struct ap_key){AP_NONE, 0};
    id = ap_number(core->ledger, 0, "SELECT id FROM person WHERE key = ?", "s", text);
    return (struct ap_key){id ? AP_PERSON : AP_NONE, id};
}

/* By the key of its records, or of its dead letter. */
static struct ap_key
entity_of(struct ap_core *core, const char *topic, struct ls_str key)
{
    if (strcmp(topic, "cs3.person") == 0)
        return key_of_person(core, key);
    if (strcmp(topic, "cs3.space") == 0)
        return key_of_number(AP_SPACE, key);
    if (strcmp(topic, "cs3.share") == 0)
        return key_of_number(AP_SHARE, key);
    if (strcmp(topic, "cs3.resource") == 0 && key.n > 1 && key.p[0] == AP_LEFTOVER_KEY)
        return key_of_number(AP_LEFTOVER, (struct ls_str){key.p + 1, key.n - 1});
    if (strcmp(topic, "cs3.resource") == 0)
        return key_of_number(AP_NODE, key);
    return (struct ap_key){AP_NONE, 0};
}

static const char *const seq_queries[] = {
    [AP_NODE] = "SELECT epoch, counter, part, storage, source_us FROM desired WHERE fileid = ?",
    [AP_LEFTOVER] = "SELECT 0, 0, 0, storage, 0 FROM node WHERE id = ? AND leftover = 1",
    [AP_SPACE] = "SELECT epoch, counter, part, -9, 0 FROM space WHERE storage = ?"
                 " AND epoch IS NOT NULL",
    [AP_PERSON] = "SELECT epoch, counter, part, -10, 0 FROM person WHERE id = ?"
                  " AND epoch IS NOT NULL",
    [AP_SHARE] = "SELECT epoch, counter, part, -11, 0 FROM share WHERE id = ?"
                 " AND epoch IS NOT NULL",
};

struct known {
    struct ls_seq seq;
    int64_t lane, since_us;
};

static bool
known_get(struct ap_core *core, struct ap_key key, struct known *ret)
{
    if (key.kind == AP_NONE)
        return false;
    sqlite3_stmt *s = ap_query(core->ledger, seq_queries[key.kind], "i", key.id);
    if (!ap_step(core->ledger, s))
        return false;
    *ret = (struct known){
        {sqlite3_column_int(s, 0), sqlite3_column_int64(s, 1), sqlite3_column_int(s, 2)},
        sqlite3_column_int64(s, 3),
        sqlite3_column_int64(s, 4)};
    ap_done(s);
    return true;
}

/* ---- alive */

/* Out of the dead; whether it stands for a record that was counted in. */
static bool
out_of_dead(struct ap_core *core, struct ap_key key)
{
    int64_t counted =
        ap_number(core->ledger, -1, "SELECT counted FROM dead WHERE kind = ? AND id = ?", "ii",
                  (int64_t)key.kind, key.id);

    if (counted < 0)
        return false;
    ap_exec(core->ledger, "DELETE FROM dead WHERE kind = ? AND id = ?", "ii", (int64_t)key.kind,
            key.id);
    return counted == 1;
}

static void
reopen(struct ap_core *core, struct ap_key key, const struct known *known)
{
    bool was_dead = ap_is_dead(core->ledger, key), counted = out_of_dead(core, key);
    struct ap_work work;

    if (key.kind == AP_SHARE)
        ap_share_touch(core, key.id, ls_now_ms());
    ap_work_open(core->ledger, key, known->lane, ls_now_ms());
    if (!ap_work_get(core->ledger, key, &work))
        return;
    if (counted && work.counted)
        ap_count(core->ledger, "superseded", 1); /* the record that was dead is behind us */
    if (counted && !work.counted && known->since_us > 0)
        work.since_us = known->since_us;
    work.counted |= counted;
    work.attempts = work.tries = 0;
    work.trouble = false;
    if (work.state == AP_READY)
        work.ready_at = ls_now_ms();
    ap_work_save(core->ledger, &work);
    ap_exec(core->ledger, "DELETE FROM gone WHERE kind = ? AND id = ?", "ii", (int64_t)key.kind,
            key.id);
    ap_wake(core->ledger, key);
    if (was_dead)
        ap_letter_alive(core->ledger, key);
}

/* Its first snapshot has not ended: nothing of the partition is looked at before. */
static bool
is_gated(struct ap_core *core, struct ap_key key)
{
    struct ap_work work;

    return ap_work_get(core->ledger, key, &work) && work.state == AP_WAITING &&
           work.on.kind == AP_PARTITION;
}

/* ---- records that could not be read */

void
ap_record_dead(struct ap_core *core, int64_t dead, const struct ap_origin *at)
{
    ap_exec(core->ledger,
            "INSERT OR REPLACE INTO dead_record(id, topic, partition, offset) VALUES(?, ?, ?, ?)",
            "isii", dead, at->topic, (int64_t)at->partition, at->offset);
}

/* Taken up again, or given up: `as` says what its record counts as. */
static void
record_end(struct ap_core *core, const struct ap_origin *at, struct ls_str key, const char *as)
{
    int64_t id = ap_number(core->ledger, 0,
                           "SELECT id FROM dead_record WHERE topic = ? AND partition = ?"
                           " AND offset = ?",
                           "sii", at->topic, (int64_t)at->partition, at->offset);

    if (id == 0)
        return;
    ap_exec(core->ledger, "DELETE FROM dead_record WHERE id = ?", "i", id);
    if (out_of_dead(core, (struct ap_key){AP_RECORD, id}))
        ap_count(core->ledger, as, 1);
    ap_record_alive(core->ledger, at->topic, key);
}

/* "cs3.share/0/17"; `topic` holds the name. */
static bool
origin_read(struct ls_str text, char *topic, size_t size, struct ap_origin *ret)
{
    char copy[64], *slash, *end;

    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    snprintf(copy, sizeof(copy), "%.*s", (int)text.n, text.p);
    slash = strchr(copy, '/');
    if (!slash || (size_t)(slash - copy) >= size)
        return false;
    *slash = '\0';
    snprintf(topic, size, "%s", copy);
    ret->topic = topic;
    ret->partition = (int32_t)strtol(slash + 1, &end, 10);
    if (*end != '/')
        return false;
    ret->offset = strtoll(end + 1, &end, 10);
    return *end == '\0';
}

/* ---- one record */

/* True: newer than what is known, or known by no entity, so that only taking it tells. */
static bool
is_news(struct ap_core *core, const struct ap_key *key, struct ls_seq seq)
{
    struct known known;

    return !known_get(core, *key, &known) || ls_seq_cmp(seq, known.seq) > 0;
}

static int
take_value(struct ap_core *core, const struct ap_origin *at, const struct ls_replay *r,
           const struct ap_key *key, struct ls_arena *arena, struct ls_err *err)
{
    struct ls_err why = {0};
    struct cs3_head head;

    if (ap_head_read(at, arena, &head, &why) < 0) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        /* Of a topic that is read here it is a letter already, since it was read there. */
        if (cs3_type_of(at->topic) && !r->origin.n)
            ls_log_err(LS_WARN, "replay-unreadable", &why);
        else
            ap_take_malformed(core, at, r->key, r->value, &why);
        return 0;
    }
    if (head.kind != CS3_UPSERT && head.kind != CS3_DELETE)
        return 0;
    return is_news(core, key, head.seq) ? ap_take_value(core, at, arena, err) : 0;
}

static void
take_drop(struct ap_core *core, const struct ap_origin *at, const struct ls_replay *r,
          bool unreadable)
{
    struct ap_key key = entity_of(core, at->topic, r->key);
    struct ls_seq seq = {0};
    struct known known;

    if (unreadable) {
        record_end(core, at, r->key, "left:dropped");
        return;
    }
    /* Of another state than the letter was about: that one was not given up. */
    if (!known_get(core, key, &known) ||
        (r->seq.n && ls_seq_parse(r->seq, &seq) == 0 && key.kind != AP_LEFTOVER &&
         ls_seq_cmp(seq, known.seq) != 0))
        return;
    if (out_of_dead(core, key))
        ap_count(core->ledger, "left:dropped", 1);
}

/* ---- once */

/* POISON "repeated": a copy. *ret_again: it was taken before, and the ledger made anew since. */
static int
take_once(struct ap_core *core, const struct ls_message *message, const struct ls_replay *r,
          const struct ap_replay_guard *guard, bool *ret_again, struct ls_err *err)
{
    struct ls_replay_taken known = {.offset = -1};
    int64_t partition = message->partition;
    sqlite3_stmt *s =
        ap_query(core->ledger, "SELECT n, offset, again FROM taken WHERE run = ? AND partition = ?",
                 "ti", &r->run, partition);
    bool there = ap_step(core->ledger, s);

    if (there) {
        known = (struct ls_replay_taken){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1),
                                         sqlite3_column_int64(s, 2)};
        ap_done(s);
    }
    *ret_again = message->offset <= known.offset;
    if (!ls_replay_once(&known, r->n, message->offset))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "repeated",
                             "the record was taken before, at another offset");
    if (!there) /* of older runs every record is stale */
        ap_exec(core->ledger, "DELETE FROM taken WHERE time_us < ?", "i",
                ls_now_us() - (LS_REPLAY_MAX_AGE_S + guard->max_ahead_s) * 1000000);
    ap_exec(core->ledger,
            "INSERT INTO taken(run, partition, n, offset, time_us, again)"
            " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(run, partition) DO UPDATE"
            " SET n = ?3, offset = ?4, time_us = max(time_us, ?5), again = ?6",
            "tiiiii", &r->run, partition, known.n, known.offset, r->time_us, known.again);
    return 0;
}

static int
take(struct ap_core *core, const struct ls_message *message, const struct ls_replay *r, bool again,
     struct ls_arena *arena, struct ls_err *err)
{
    char topic[64], origin_topic[64];
    struct ap_origin at = {topic, message->partition, message->offset, r->value}, origin = at;
    bool unreadable = origin_read(r->origin, origin_topic, sizeof(origin_topic), &origin);
    struct ap_key key;
    struct known known;
    struct ls_seq seq;

    snprintf(topic, sizeof(topic), "%.*s", (int)(r->topic.n < 63 ? r->topic.n : 63), r->topic.p);
    origin.value = r->value;
    if (r->drop.n) {
        if (r->letter.n)
            ap_letter_dropped(core->ledger, r);
        take_drop(core, unreadable ? &origin : &at, r, unreadable);
        return 0;
    }
    if (unreadable)
        record_end(core, &origin, r->key, "superseded");
    key = entity_of(core, topic, r->key);
    if (r->value.n && take_value(core, unreadable ? &origin : &at, r, &key, arena, err) < 0)
        return -1;
    if (!r->value.n && r->seq.n && ls_seq_parse(r->seq, &seq) == 0)
        ap_take_tombstone(core, &at, r->key, seq);
    key = entity_of(core, topic, r->key); /* a person may be known only now */
    if (!known_get(core, key, &known) || is_gated(core, key))
        return 0;
    /* A letter was retried; who replays a topic has not looked at this one. Once: somebody may have
     * changed it since. */
    if (r->letter.n && !again)
        ap_drift_allow(core, key);
    reopen(core, key, &known);
    if (r->reconcile)
        ap_reconcile_mark(core, key);
    return 0;
}

int
ap_take_replay(struct ap_core *core, const struct ap_replay_guard *guard,
               const struct ls_message *message, struct ls_arena *arena, struct ls_err *err)
{
    const struct ls_str *topic = ls_message_header(message, "topic");
    struct ls_err why = {0};
    struct ls_replay r;
    bool again = false;
    int status = 0;

    if (topic && topic->n > 5 && memcmp(topic->p, "oc10.", 5) == 0) {
        /* transform's */
    } else if (!guard->key.n) {
        ls_fail_cause(&why, LS_ERR_POISON, 0, "no-key", "control.key is not set here");
    } else if (ls_replay_read(guard->key, guard->prefix, message, ls_now_us(), guard->max_ahead_s,
                              &r, &why) == 0 &&
               take_once(core, message, &r, guard, &again, &why) == 0) {
        ap_count(core->ledger, "replayed", 1);
        status = take(core, message, &r, again, arena, err);
    }
    if (why.kind != LS_ERR_NONE) {
        ap_count(core->ledger, "replay-refused", 1);
        ls_log(LS_WARN, "replay-refused", LS_S("cause", why.cause), LS_S("message", why.msg),
               LS_I("partition", message->partition), LS_I("offset", message->offset));
    }
    ap_exec(core->ledger,
            "INSERT INTO offset(topic, partition, next) VALUES(?1, ?2, ?3)"
            " ON CONFLICT(topic, partition) DO UPDATE SET next = ?3",
            "sii", LS_REPLAY_TOPIC, (int64_t)message->partition, message->offset + 1);
    return status;
}
