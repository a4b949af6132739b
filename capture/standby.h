/*
 * Waiting behind another capture, and when to take over from it.
 */
#ifndef CAP_STANDBY_H
#define CAP_STANDBY_H

#include "common/config.h"
#include <stdint.h>

struct cap_standby {
    int64_t patience_ms; /* how long the position must stand still; 0: never waited yet */
    int64_t over_ms;     /* when the last wait ended, ls_mono_ms */
};

/*
 * Returns when this capture shall connect, or at a stop. `tell` is called about once a second.
 * Kafka or the source being away is no failure, it only keeps this one waiting.
 */
void cap_standby_wait(struct cap_standby *standby, const struct ls_config *config,
                      void (*tell)(void *arg), void *arg);

#endif
