/*
 * Commands to capture: read from <p>.control, answered in the position (and so in the status).
 */
#ifndef CAP_CONTROL_H
#define CAP_CONTROL_H

#include "capture/publish/position.h"
#include "common/config.h"
#include "common/control.h"
#include "common/err.h"

/* What became of records of the topic, since the start. */
enum cap_control_count {
    CAP_CONTROL_ACCEPTED,
    CAP_CONTROL_REFUSED, /* signed, fresh and new, but not now or not like this */
    CAP_CONTROL_UNSIGNED,
    CAP_CONTROL_WRONG_SIGNATURE,
    CAP_CONTROL_MALFORMED,
    CAP_CONTROL_STALE,
    CAP_CONTROL_REPEATED,
    CAP_CONTROL_COUNTS
};
extern const char *const cap_control_names[CAP_CONTROL_COUNTS];

struct cap_control;
/* FATAL cause "control-key" for a key that is too short; without one the commands are off, which is
 * logged. */
int cap_control_new(const struct ls_config *config, struct cap_control **ret, struct ls_err *err);
void cap_control_free(struct cap_control *control);
bool cap_control_on(const struct cap_control *control);
const int64_t *cap_control_counts(const struct cap_control *control); /* CAP_CONTROL_COUNTS */

/* The position was read back, or a command could not be carried out for a reason that may pass:
 * what is not in the position is read again. */
void cap_control_restart(struct cap_control *control);
/*
 * Looks for a command without waiting. 1: there is one, signed, fresh and new, and nothing is noted
 * of it yet. 0: none, also when Kafka cannot be asked now (logged, and tried again later). Records
 * that are refused on the way are counted and logged, and `state` moves past them.
 */
int cap_control_next(struct cap_control *control, struct cap_control_state *state,
                     struct ls_command *ret);
/* What became of that command: accepted, or refused for `why`. The state moves past it, so the next
 * commit takes it for good, together with what it did. */
void cap_control_answer(struct cap_control *control, struct cap_control_state *state,
                        const struct ls_command *command, const struct ls_err *why);

#endif
