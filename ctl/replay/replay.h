/*
 * `lockstep replay`: entities of a topic taken into work once more.
 */
#ifndef CTL_REPLAY_H
#define CTL_REPLAY_H

#include "capture/binlog/gtid.h"
#include "common/kafka.h"
#include "ctl/ctl.h"
#include <jansson.h>
#include <stdint.h>

struct replay_bound {
    int64_t offset; /* -1: not by offset */
    int64_t ms;     /* -1: not by time */
    bool by_gtid;
    struct cap_gtid gtid;
};
struct replay_args {
    const char *topic, *user, *entity;
    struct replay_bound from, to; /* `to` is the first that is out */
    int64_t rate;                 /* records a second; 0: no limit */
    bool dry_run, reconcile, yes; /* reconcile: compared with the target itself */
};

struct resend;
/* The latest record of each chosen entity of a topic, sent again. `chosen` is asked of each record;
 * one that is chosen chooses its entity. */
struct replay_choice {
    const char *topic; /* without the prefix */
    bool reconcile;
    int (*chosen)(void *arg, const struct ls_message *m, struct ls_err *err); /* 1, 0, -1 */
    void *arg;
};
struct replay_done {
    size_t records, entities; /* chosen */
    size_t sent, left;        /* left: too large for Kafka */
    size_t unread;            /* nobody can read them, and so tell whose they are */
};
/* Into an error that ended it: what was not sent. */
void replay_unsent(const char *topics_left, const struct replay_done *done, struct ls_err *err);
/* Adds to *done. `resend` NULL: only counted. The caller flushes. */
int replay_again(const struct ls_config *config, const struct replay_choice *choice,
                 struct resend *resend, struct replay_done *done, struct ls_err *err);

/* Takes its options out of the arguments. Returns the new argc, or -1 and *ret_why. */
int ctl_replay_arguments(int argc, char **argv, struct replay_args *ret, const char **ret_why);
int ctl_replay(const struct ls_config *config, const struct replay_args *args,
               const struct ctl_flags *flags, FILE *out);

/* ---- replay_range.c */
/*
 * "17" is an offset, "2026-11-22" or "2026-11-22T10:00:00Z" a time, "0-1-100" (MariaDB) or
 * "<uuid>:100" (MySQL) a GTID; one that looks like a day is meant with "gtid:" before it. False for
 * anything else.
 */
bool replay_bound_parse(const char *text, struct replay_bound *ret);
/* What of the two cannot be, or NULL: GTIDs of two domains or servers, an end before its
 * beginning. */
const char *replay_range_wrong(const struct replay_args *args);

/* What a topic has of the transactions that a range by GTID is about, noted record by record. */
#define REPLAY_SOURCES 8
struct replay_seen {
    size_t without; /* records without a GTID: of a snapshot, or of a source that has none */
    struct cap_gtid first, last;           /* of the range's domain or uuid; when n > 0 */
    struct cap_gtid after_from, before_to; /* the nearest in it; when the flags below say so */
    bool has_after_from, has_before_to;
    size_t n;
    struct cap_gtid others[REPLAY_SOURCES]; /* the last of each other domain or uuid */
    size_t n_others;
};
/*
 * Is the record in the range, and about an entity? By GTID it is when its transaction is: of the
 * same domain (whatever the server's number in it) or the same uuid, and its number from `from` on
 * and below `to`. A record without a GTID is in no such range.
 */
bool replay_in_range(const struct replay_args *args, const struct ls_message *message,
                     struct replay_seen *seen);
/* What is to be known of a range by GTID, as lines; an empty array when there is nothing. */
json_t *replay_range_notes(const struct replay_args *args, const struct replay_seen *seen);

#endif
