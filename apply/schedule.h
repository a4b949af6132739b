/*
 * What the files of the schedule share.
 */
#ifndef AP_SCHEDULE_H
#define AP_SCHEDULE_H

#include "apply/core.h"

/* waits.c: it waits as `next` says (a verdict AP_WAIT), or is ready at once or later where waiting
 * would have no end; saved. */
void ap_wait_park(struct ap_core *core, struct ap_work *work, const struct ap_next *next);

#endif
