/*
 * Rows of <p>.replay: dead letters that are mapped once more.
 */
#ifndef TF_REPLAY_H
#define TF_REPLAY_H

#include "common/replay.h"
#include "transform/map.h"

struct tf_replay_guard {
    struct ls_str key; /* control.key; null: none is taken */
    struct ls_str prefix;
    int64_t max_ahead_s;
    const char *topic; /* full name of <p>.replay */
};

/* Whose record it is: a row's, by the table in its header `topic`; NULL: not ours. */
const struct ls_table *tf_replay_table(const struct ls_message *message);

/* What one row mapped to, signed, into <p>.replay, in the open transaction. Brackets, heartbeats
 * and copies of spaces are not sent. */
int tf_replay_send(const struct tf_replay_guard *guard, const struct ls_replay *asked,
                   const struct tf_result *result, const struct ls_str *values,
                   struct ls_producer *producer, struct ls_err *err);

/* The word that a letter was given up, behind it in `dlq`, in the open transaction. */
int tf_replay_dropped(const struct ls_replay *asked, struct ls_producer *producer, const char *dlq,
                      struct ls_err *err);

#endif
