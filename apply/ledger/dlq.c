/*
 * Dead letters: what can never be applied, kept with its bytes and its cause.
 *
 * A letter is first a row of the ledger, in the transaction that gave up its entity, and goes to
 * <p>.dlq afterwards; it is deleted here once Kafka has it. A crash between the two sends it twice,
 * never not at all. The bytes are encoded again from the desired row (the record itself is gone by
 * then); only a record that could not be read keeps its own bytes.
 *
 * When a dead entity is at work again, a word about it follows its letter: the same key and topic,
 * `state: alive`, no cause. When somebody has given a letter up, so does that: `state: dropped`.
 */
#include "apply/core.h"
#include "apply/ledger/letters.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a cause of our own means, for who reads the letter at night; a refusal by the target comes
 * with words of its own. */
static const struct {
    const char *cause, *words;
} words[] = {
    {"content-missing", "ownCloud's data directory or bucket has no such file"},
    {"content-unreadable", "ownCloud's data directory or bucket does not let the file be read"},
    {"content-mismatch", "the file differs from its row (size, time or checksum)"},
    {"content-changed", "the file was changed each time while it was read"},
    {"encrypted", "ownCloud has encrypted the file: the bytes on its disk are not the content"},
    {"path-too-long", "the path is too long, or its folders are too deep"},
    {"name", "the row's name is empty or has a slash"},
    {"loop", "the row's parents lead back to itself: occ files:scan --repair at the source"},
    {"changed-at-target", "somebody has changed it in oCIS since Lockstep wrote it there"},
    {"moved-at-target", "somebody has moved or renamed it in oCIS"},
    {"deleted-at-target", "somebody has deleted it in oCIS"},
    {"share-refused", "the target refused the share or link that the row belongs to"},
};

const char *
ap_dead_words(const char *cause)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].cause, cause) == 0)
            return words[i].words;
    return "cannot be carried as it is";
}

static struct ls_str
text_or_null(const char *s)
{
    return *s ? ls_str_of(s) : LS_STR_NULL;
}

static int
node_bytes(struct ap_core *core, int64_t fileid, struct ls_buf *out, struct ls_seq *ret_seq)
{
    struct ap_desired row;
    struct ls_err ignored = {0};

    if (!ap_desired_get(core->ledger, fileid, &row))
        return -1;
    struct cs3_resource record = {
        .head = {.kind = row.deleted ? CS3_DELETE : CS3_UPSERT,
                 .seq = row.seq,
                 .source_ts_us = row.source_us},
        .what = CS3_NODE,
        .storage = row.storage,
        .fileid = fileid,
        .parent = row.parent,
        .name = ls_str_of(row.name),
        .class_hint = CS3_CLASS_OTHER,
        .folder = row.folder,
        .size = row.size,
        .mtime = row.mtime,
        .etag = text_or_null(row.etag),
        .sha1 = text_or_null(row.sha1),
        .md5 = text_or_null(row.md5),
        .adler32 = text_or_null(row.adler32),
        .mimetype = text_or_null(row.mimetype),
        .encrypted = row.encrypted,
        .moved_from = LS_NO_STORAGE,
        .moved_to = row.moved_to,
        .tree_mtime = row.folder ? row.mtime : LS_NO_STORAGE,
    };
    *ret_seq = row.seq;
    return cs3_encode(&cs3_resource_type, &record, out, &ignored);
}

/* The seq of what is no file. */
static struct ls_seq
row_seq(struct ap_core *core, struct ap_key key)
{
    struct ls_seq seq = {0};
    sqlite3_stmt *s =
        key.kind == AP_PERSON
            ? ap_query(core->ledger, "SELECT epoch, counter, part FROM person WHERE id = ?", "i",
                       key.id)
        : key.kind == AP_SPACE
            ? ap_query(core->ledger, "SELECT epoch, counter, part FROM space WHERE storage = ?",
                       "i", key.id)
            : ap_query(core->ledger, "SELECT epoch, counter, part FROM share WHERE id = ?", "i",
                       key.id);
    if (ap_step(core->ledger, s)) {
        seq = (struct ls_seq){sqlite3_column_int(s, 0), sqlite3_column_int64(s, 1),
                              sqlite3_column_int(s, 2)};
        ap_done(s);
    }
    return seq;
}

static const char *
topic_of(enum ap_kind kind)
{
    return kind == AP_NODE || kind == AP_LEFTOVER ? "cs3.resource"
           : kind == AP_SPACE                     ? "cs3.space"
           : kind == AP_PERSON                    ? "cs3.person"
                                                  : "cs3.share";
}

/* ---- what a letter is called */

/* '/' and '%' as in the key of a record. */
static size_t
escape(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; *text && n + 4 < size; text++)
        n += (size_t)snprintf(out + n, size - n, *text == '/' || *text == '%' ? "%%%02X" : "%c",
                              (unsigned char)*text);
    out[n] = '\0';
    return n;
}

static bool
person_letter_key(struct ap_ledger *ledger, int64_t id, char *out, size_t size)
{
    char key[600] = "", *second;
    sqlite3_stmt *s = ap_query(ledger, "SELECT key FROM person WHERE id = ?", "i", id);
    size_t n;

    if (!ap_step(ledger, s))
        return false;
    ap_text(s, 0, key, sizeof(key));
    ap_done(s);
    if (strlen(key) < 2 || size < 8)
        return false;
    second = strchr(key, '\001'); /* of a member: between group and user */
    if (second)
        *second++ = '\0';
    n = (size_t)snprintf(out, size, "%.2s", key);
    n += escape(key + 2, out + n, size - n);
    if (second && n + 1 < size) {
        out[n++] = '/';
        escape(second, out + n, size - n);
    }
    return true;
}

static int
hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
ap_person_key_read(struct ls_str key, char *out, size_t size)
{
    size_t n = 0;

    if (key.n < 3 || key.n >= size || key.p[1] != ':' || !strchr("ugmq", key.p[0]))
        return false;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (c == '%' && i + 2 < key.n && hex_of(key.p[i + 1]) >= 0 && hex_of(key.p[i + 2]) >= 0) {
            c = (char)(hex_of(key.p[i + 1]) * 16 + hex_of(key.p[i + 2]));
            i += 2;
        } else if (c == '/') {
            c = '\001';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

bool
ap_letter_key(struct ap_ledger *ledger, struct ap_key key, char *out, size_t size)
{
    if (key.kind == AP_PERSON)
        return person_letter_key(ledger, key.id, out, size);
    if (key.kind == AP_NONE || key.kind > AP_SHARE)
        return false;
    snprintf(out, size, key.kind == AP_LEFTOVER ? "n%lld" : "%lld", (long long)key.id);
    return true;
}

#define ALIVE (-1) /* in place of attempts */
#define DROPPED (-2)

void
ap_record_alive(struct ap_ledger *ledger, const char *topic, struct ls_str key)
{
    ap_exec(ledger,
            "INSERT INTO letter(key, value, cause, message, attempts, seq, topic, partition,"
            " offset, time_us) VALUES(CAST(? AS BLOB), x'', '', '', ?, '', ?, -1, -1, ?)",
            "tisi", &key, (int64_t)ALIVE, topic, ls_now_us());
}

void
ap_letter_alive(struct ap_ledger *ledger, struct ap_key key)
{
    char text[1300];

    if (ap_letter_key(ledger, key, text, sizeof(text)))
        ap_record_alive(ledger, topic_of(key.kind), ls_str_of(text));
}

void
ap_letter_dropped(struct ap_ledger *ledger, const struct ls_replay *replay)
{
    char *text = ls_replay_drop_text(replay);
    struct ls_str value = text ? ls_str_of(text) : LS_STR("");

    if (!text)
        ls_log(LS_ERROR, "letter-dropped", LS_S("message", "out of memory"));
    ap_exec(ledger,
            "INSERT INTO letter(key, value, cause, message, attempts, seq, topic, partition,"
            " offset, time_us) VALUES(CAST(? AS BLOB), CAST(? AS BLOB), '', '', ?, '', ?, -1, -1,"
            " ?)",
            "ttiti", &replay->key, &value, (int64_t)DROPPED, &replay->topic, ls_now_us());
    free(text);
}

/* ---- letters */

void
ap_dead_letter(struct ap_core *core, struct ap_key key, const char *cause, const char *message,
               int attempts)
{
    struct ls_seq seq = {0};
    struct ls_buf value;
    char id[1300] = "", text[64] = "";

    ls_buf_init(&value, 1 << 20);
    ap_letter_key(core->ledger, key, id, sizeof(id));
    if (key.kind == AP_NODE)
        (void)node_bytes(core, key.id, &value, &seq);
    else
        seq = row_seq(core, key);
    ls_seq_print(seq, text, sizeof(text));
    struct ls_str bytes = {(const char *)value.p, value.failed ? 0 : value.n};
    ap_exec(core->ledger,
            "INSERT INTO letter(key, value, cause, message, attempts, seq, topic, partition,"
            " offset, time_us) VALUES(?, CAST(? AS BLOB), ?, ?, ?, ?, ?, -1, -1, ?)",
            "stssissi", id, &bytes, cause, message, (int64_t)attempts, text, topic_of(key.kind),
            ls_now_us());
    ls_buf_free(&value);
}

struct letter {
    int64_t id;
    char number[4][24]; /* attempts, partition, offset; room */
    char cause[64], message[256], seq[64], topic[64], time[32];
};

static int
letter_send(struct ap_core *core, sqlite3_stmt *s, struct ls_producer *producer, const char *topic,
            struct letter *l, struct ls_err *err)
{
    time_t t = (time_t)(sqlite3_column_int64(s, 10) / 1000000);
    struct tm tm;

    (void)core;
    l->id = sqlite3_column_int64(s, 0);
    for (int i = 0; i < 3; i++)
        snprintf(l->number[i], sizeof(l->number[i]), "%lld",
                 (long long)sqlite3_column_int64(s, i == 0 ? 5 : 7 + i));
    ap_text(s, 3, l->cause, sizeof(l->cause));
    ap_text(s, 4, l->message, sizeof(l->message));
    ap_text(s, 6, l->seq, sizeof(l->seq));
    ap_text(s, 7, l->topic, sizeof(l->topic));
    gmtime_r(&t, &tm);
    strftime(l->time, sizeof(l->time), "%Y-%m-%dT%H:%M:%SZ", &tm);
    const struct ls_header headers[] = {
        {"stage", LS_STR("apply")},
        {"cause", ls_str_of(l->cause)},
        {"message", ls_str_of(l->message)},
        {"attempts", ls_str_of(l->number[0])},
        {"seq", ls_str_of(l->seq)},
        {"topic", ls_str_of(l->topic)},
        {"partition", ls_str_of(l->number[1])},
        {"offset", ls_str_of(l->number[2])},
        {"time", ls_str_of(l->time)},
        {"state",
         sqlite3_column_int64(s, 5) == ALIVE ? LS_STR("alive") : LS_STR(LS_LETTER_DROPPED)},
    };
    const char *value = sqlite3_column_blob(s, 2);
    size_t n = sizeof(headers) / sizeof(headers[0]) - (sqlite3_column_int64(s, 5) >= 0);
    return ls_producer_send(
        producer, topic, 0,
        (struct ls_str){sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)},
        (struct ls_str){value ? value : "", (size_t)sqlite3_column_bytes(s, 2)}, headers, n, err);
}

int
ap_letters_send(struct ap_core *core, struct ls_producer *producer, const char *topic,
                struct ls_err *err)
{
    struct letter l;
    int64_t last = 0;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT id, key, value, cause, message, attempts, seq, topic,"
                               " partition, offset, time_us FROM letter ORDER BY id LIMIT 500",
                               NULL);

    while (ap_step(core->ledger, s)) {
        struct ls_err one = {0};
        if (letter_send(core, s, producer, topic, &l, &one) < 0) {
            if (one.kind != LS_ERR_POISON) {
                ap_done(s);
                *err = one;
                return -1;
            }
            /* Too big for Kafka, and for ever: the log is where it stays. */
            ls_log(LS_ERROR, "letter-refused", LS_I("letter", l.id), LS_S("cause", l.cause),
                   LS_S("message", l.message), LS_S("why", one.msg));
        }
        last = l.id;
    }
    if (last == 0)
        return 0;
    if (ls_producer_flush(producer, 10000, err) < 0)
        return -1;
    if (ap_ledger_begin(core->ledger, err) < 0)
        return -1;
    ap_exec(core->ledger, "DELETE FROM letter WHERE id <= ?", "i", last);
    return ap_ledger_commit(core->ledger, err);
}
