/*
 * The position and the server it belongs to.
 */
#ifndef CAP_PLACE_H
#define CAP_PLACE_H

#include "capture/publish/position.h"
#include "capture/source/server.h"
#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>

/* Where the source is now becomes the position: at a first start, and over a gap. */
int cap_place_take(const struct ls_config *config, struct cap_position *position,
                   struct ls_err *err);
/* The stream goes on at this server, by what the position says. True: another one than before,
 * where file and offset are not known until its first transaction has ended. */
bool cap_place_come(struct cap_position *position, const struct cap_server *server);
/*
 * Whether the failure says that the source cannot be followed from where we are. One that is a
 * RETRY may mend itself: another host may serve, one that is behind may catch up. `may_skip`, the
 * admin's --snapshot, is the word to go on all the same when the last of the hosts was asked.
 */
bool cap_place_is_gone(const struct ls_config *config, bool may_skip, const struct ls_err *err);

#endif
