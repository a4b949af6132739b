/*
 * How far the source's purge is from what was not read yet, and what is missing once it came.
 */
#ifndef CAP_HEADROOM_H
#define CAP_HEADROOM_H

#include "capture/publish/position.h"
#include "capture/source/coords.h"
#include "common/config.h"
#include "common/err.h"

struct cap_headroom_facts {
    bool known;
    /* Binlog files that are older than the one with our position: those are purged before it. */
    int64_t files, bytes;
    int64_t behind; /* bytes in ours and the later ones that were not read yet */
    /* At least so long until age alone lets the source purge ours; -1: it does not purge by age. */
    int64_t seconds;
    /* The source is a replica that stands still or is behind: that it has nothing more to send says
     * nothing about what was done. */
    bool stale;
};

struct cap_headroom;
/* A thread with connections of its own, which asks at once and then every source.headroom_ms. */
int cap_headroom_new(const struct ls_config *config, struct cap_headroom **ret, struct ls_err *err);
void cap_headroom_free(struct cap_headroom *headroom); /* NULL is fine */
/* Where the loop is, how far it has read if that is known, and up to which time. Copied. */
void cap_headroom_at(struct cap_headroom *headroom, const struct cap_position *position,
                     const struct cap_coords *read, int64_t read_us);
/* The last answer; not known before the first and while the source does not answer. */
void cap_headroom_facts(struct cap_headroom *headroom, struct cap_headroom_facts *ret);

/* Logs which changes are missing where the source can no longer be followed, and what to do. */
void cap_headroom_log_gone(const struct ls_config *config, const struct cap_position *position,
                           const struct ls_err *why);

#endif
