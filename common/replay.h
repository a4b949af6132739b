/*
 * Records sent again, through <p>.replay: signed, and about one entity each.
 *
 * A record is the bytes of a cs3 record, or (a dead letter of transform) of a row's envelope, as
 * they stood in their topic, with that record's key; or no bytes: what is known of that key. Its
 * headers say from which topic, and what for; `mac` is the HMAC-SHA256, in hex, over all of it and
 * its partition with control.key, so that who may write to the topic but does not have the key gets
 * nothing done. The records of a run are numbered, rising in each partition: so a copy is known.
 */
#ifndef LS_REPLAY_H
#define LS_REPLAY_H

#include "common/buf.h"
#include "common/control.h"
#include "common/err.h"
#include "common/kafka.h"
#include <stdbool.h>
#include <stdint.h>

#define LS_REPLAY_TOPIC "replay"
#define LS_REPLAY_MAX_AGE_S (INT64_C(14) * 86400) /* as long as the topic keeps them */

/* Texts are borrowed; null or "" where there is nothing to say. */
struct ls_replay {
    struct ls_str topic; /* without prefix: "cs3.share", "oc10.oc_share" */
    struct ls_str key, value;
    struct ls_str seq;    /* as the header `seq`; of a tombstone, a letter */
    struct ls_str run;    /* id of the command that sent it; of what transform made of its records
                             "<run>/<partition of the record>" */
    int64_t n;            /* 1, 2, ... among those of the run in a partition, with gaps */
    int32_t partition;    /* of <p>.replay */
    struct ls_str letter; /* "<partition>/<offset>" of the dead letter in <p>.dlq */
    struct ls_str origin; /* "<topic>/<partition>/<offset>" of a record that could not be read */
    struct ls_str drop;   /* the reason: the letter is given up, nothing is replayed */
    struct ls_str by;     /* who asked for it: "<user>@<host>" */
    bool reconcile;       /* compare with the target itself */
    int64_t time_us;      /* when it was sent */
};

#define LS_REPLAY_HEADERS 11
struct ls_replay_signed {
    struct ls_header headers[LS_REPLAY_HEADERS];
    size_t n;
    char time[32], number[24], mac[LS_CONTROL_HEX];
};

/* The headers of a record; they borrow from `replay` and from *ret, which must not be moved. */
int ls_replay_sign(struct ls_str key, struct ls_str prefix, const struct ls_replay *replay,
                   struct ls_replay_signed *ret, struct ls_err *err);

/* A record as it came; borrowed from the message. POISON: "unsigned", "wrong-signature",
 * "malformed-replay" (only of one that is signed), "stale" (older than the topic keeps, or more
 * than max_ahead_s in the future). */
int ls_replay_read(struct ls_str key, struct ls_str prefix, const struct ls_message *message,
                   int64_t now_us, int64_t max_ahead_s, struct ls_replay *ret, struct ls_err *err);

/*
 * A letter that was given up is told of in <p>.dlq itself, behind it, so that the reason is kept
 * for as long as the letter is: `state: dropped`, and this document as the value.
 */
#define LS_LETTER_DROPPED "dropped"
/* malloc'ed; NULL without memory. What is no UTF-8 in it is shown as '?'. */
char *ls_replay_drop_text(const struct ls_replay *replay);
/* The texts of *ret are borrowed from *ret_json, which the caller frees; false: it is none. */
bool ls_replay_drop_parse(struct ls_str text, struct ls_replay *ret, json_t **ret_json);

/*
 * What was taken of one run in one partition. Once only: each has a higher number than those before
 * it. What stands no further than the last one comes a second time, because whoever knows this has
 * lost the rest and reads the topic anew: `again` is how far that has come.
 */
struct ls_replay_taken {
    int64_t n, offset; /* the last one; 0, -1: none */
    int64_t again;
};
/* Whether it is to be taken, and then it is noted; else a copy. */
bool ls_replay_once(struct ls_replay_taken *known, int64_t n, int64_t offset);

/* "<p>.dlq" as "dlq"; a name without the prefix as it is. */
struct ls_str ls_topic_short(struct ls_str prefix, struct ls_str topic);

#endif
