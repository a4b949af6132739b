/*
 * Is there room at the target for what is at the source?
 */
#ifndef CTL_CHECK_ROOM_H
#define CTL_CHECK_ROOM_H

#include "ctl/check/check.h"
#include <stdint.h>

/* `most`: what oCIS allows to a space, 0 anything, -1 not told. `room`: what its storage has left,
 * -1 not told. */
void check_room(struct check *check, int64_t most, int64_t room);

#endif
