/*
 * Entities compared with the target itself: who is to be, what is asked, what the answer corrects.
 */
#ifndef AP_RECONCILE_H
#define AP_RECONCILE_H

#include "apply/core.h"

/* It is looked at before the next step is planned for it; its work is opened. A file with all the
 * nodes that it has, and had; a share with all that is made of its row. */
void ap_reconcile_mark(struct ap_core *core, struct ap_key key);
/* So many are still to be looked at. */
int64_t ap_reconcile_open(struct ap_ledger *ledger);

/* True: *next is the look, or what it waits for. False: there is nothing to look at (any more);
 * then the next step may be planned, and work->doubt may have been set. */
bool ap_look_next(struct ap_core *core, struct ap_work *work, struct ap_next *next,
                  struct ap_job *job);
/* True: *on is somebody whose look might still find a thing inside of what shall be deleted. */
bool ap_look_before_delete(struct ap_core *core, const struct ap_next *next, struct ap_key *on);

/* An answer; and a failure that says that somebody else is to be looked at first. */
void ap_look_settled(struct ap_core *core, const struct ap_job *job);
void ap_look_failed(struct ap_core *core, const struct ap_job *job);

/* A user is nobody's at the target any more, or somebody else there: who he is, his spaces and what
 * he shares in are looked at anew. */
void ap_user_forget(struct ap_core *core, int64_t person, const char *uid);

/* Places in the applied tree without a name, and nothing in them. */
void ap_places_drop(struct ap_core *core);

/* Taken away at the target for good; AP_NODE by its file, AP_GRANT, AP_LINK, AP_PERSON. */
void ap_removed_keep(struct ap_core *core, struct ap_key key, const char *target, int64_t storage,
                     bool folder);
void ap_removed_subtree(struct ap_core *core, int64_t node);
/* That of long ago is forgotten; looks once an hour. */
void ap_removed_forget(struct ap_core *core);

#endif
