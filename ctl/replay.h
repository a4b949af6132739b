/*
 * `lockstep replay`: entities of a topic taken into work once more.
 */
#ifndef CTL_REPLAY_H
#define CTL_REPLAY_H

#include "common/kafka.h"
#include "ctl/ctl.h"
#include <stdint.h>

struct replay_bound {
    int64_t offset; /* -1: not by offset */
    int64_t ms;     /* -1: not by time */
};
struct replay_args {
    const char *topic, *user, *entity;
    struct replay_bound from, to; /* `to` is the first that is out */
    int64_t rate;                 /* records a second; 0: no limit */
    bool dry_run, reconcile;      /* reconcile: compared with the target itself */
};

struct resend;
/* The latest record of each chosen entity of a topic, sent again. `chosen` is asked of each record;
 * one that is chosen chooses its entity. */
struct replay_choice {
    const char *topic; /* without the prefix */
    bool reconcile;
    bool (*chosen)(void *arg, const struct ls_message *m);
    void *arg;
};
struct replay_done {
    size_t records, entities; /* chosen */
    size_t sent, left;        /* left: too large for Kafka */
};
/* Adds to *done. `resend` NULL: only counted. The caller flushes. */
int replay_again(const struct ls_config *config, const struct replay_choice *choice,
                 struct resend *resend, struct replay_done *done, struct ls_err *err);

/* Takes its options out of the arguments. Returns the new argc, or -1 and *ret_why. */
int ctl_replay_arguments(int argc, char **argv, struct replay_args *ret, const char **ret_why);
int ctl_replay(const struct ls_config *config, const struct replay_args *args,
               const struct ctl_flags *flags, FILE *out);

/* A number is an offset, "2026-11-22" or "2026-11-22T10:00:00Z" a time; false for anything else. */
bool replay_bound_parse(const char *text, struct replay_bound *ret);
/* Is the record in the range, and about an entity? */
bool replay_in_range(const struct replay_args *args, const struct ls_message *message);

#endif
