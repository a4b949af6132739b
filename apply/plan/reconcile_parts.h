/*
 * What the parts of a comparison with the target share: marks, and who somebody is in the ledger.
 */
#ifndef AP_RECONCILE_PARTS_H
#define AP_RECONCILE_PARTS_H

#include "apply/plan/reconcile.h"

/* reconcile.c: its look is over; those who wait for it go on. */
void ap_look_done(struct ap_core *core, struct ap_key key);
/* Marked: the nodes that a statement finds (its parameters: arg, and the last id; 64 at a time, by
 * id); those whom a statement names by their ids (who, the last id); somebody by his name. */
void ap_look_nodes(struct ap_core *core, const char *sql, int64_t arg);
void ap_look_each(struct ap_core *core, enum ap_kind kind, const char *sql, const char *who);
void ap_look_person(struct ap_core *core, enum cs3_person_type type, const char *uid,
                    const char *gid);
/* Whether we took it away; target '': any of its ids. */
bool ap_was_removed(struct ap_core *core, struct ap_key key, const char *target);

struct ap_who {
    enum cs3_person_type type;
    char uid[256], gid[256], target[AP_ID_SIZE];
    bool deleted, applied, enabled;
};
/* False: the ledger does not know him. */
bool ap_who_get(struct ap_core *core, int64_t id, struct ap_who *ret);

/* found.c: the target has it no more. What the ledger has below it is looked for by itself. */
void ap_place_forget(struct ap_core *core, const struct ap_applied *node);

#endif
