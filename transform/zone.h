/*
 * The time zone of ownCloud's DATETIME columns.
 */
#ifndef TF_ZONE_H
#define TF_ZONE_H

#include "common/buf.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

struct tf_zone {
    bool named;       /* an IANA name: the process's local time (TZ) is this zone */
    int32_t offset_s; /* else: east of UTC */
};

/* "UTC", "+02:00", "-0330", or an IANA name, which sets TZ for the whole process. FATAL for
 * anything else and for a name that this machine's tzdata does not have. */
int tf_zone_set(const char *name, struct tf_zone *ret, struct ls_err *err);

/*
 * The last second of the day of 'YYYY-MM-DD[ HH:MM:SS[.ffffff]]' in that zone, as seconds since
 * 1970; oC10's expiration is a day, and valid through that day. Never 0. MySQL's zero date, which
 * oC10 takes for one long ago, is 1. POISON, cause "expiration", for what is no date.
 */
int tf_zone_end_of_day(const struct tf_zone *zone, struct ls_str text, int64_t *ret,
                       struct ls_err *err);

#endif
