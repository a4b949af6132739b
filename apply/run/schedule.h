/*
 * What the files of the schedule share.
 */
#ifndef AP_SCHEDULE_H
#define AP_SCHEDULE_H

#include "apply/core.h"

/* jobs.c */
bool ap_is_on_tree(enum ap_call call);
bool ap_is_node(struct ap_key key);
/* They touch the same: not both at once. A look at a node is a call on the tree that holds up
 * others; one at a space is about all in it. */
bool ap_jobs_meet(const struct ap_job *a, const struct ap_job *b);
/* The target's ids for a call on the tree, and where the content is. False when the home is not
 * known, or the bucket. */
bool ap_job_fill(struct ap_core *core, struct ap_job *job, struct ls_err *err);
/* An id that the call needs and the ledger does not have must never be sent as an empty one. */
bool ap_job_has_ids(const struct ap_job *job);
/* waits.c: it waits as `next` says (a verdict AP_WAIT), or is ready at once or later where waiting
 * would have no end; saved. */
void ap_wait_park(struct ap_core *core, struct ap_work *work, const struct ap_next *next);

#endif
