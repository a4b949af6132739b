/*
 * Records of <p>.replay: entities taken into work once more.
 */
#ifndef AP_REPLAY_H
#define AP_REPLAY_H

#include "apply/core.h"
#include "common/replay.h"

struct ap_replay_guard {
    struct ls_str key; /* control.key; null: none is taken */
    struct ls_str prefix;
    int64_t max_ahead_s;
};

/*
 * A record that is newer than what is known is taken as any other. Otherwise its entity is opened
 * in the state that is known, alive again if it was dead, with its tries set back; never an older
 * state. Each is taken once: a copy at another offset, and what is unsigned, wrong or stale, is
 * refused, counted and logged. The offset moves on. In a transaction; 0, or -1 FATAL.
 */
int ap_take_replay(struct ap_core *core, const struct ap_replay_guard *guard,
                   const struct ls_message *message, struct ls_arena *arena, struct ls_err *err);

/* A record that could not be read and is a dead letter, by where it stood. */
void ap_record_dead(struct ap_core *core, int64_t dead, const struct ap_origin *at);

#endif
