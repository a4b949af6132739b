/*
 * Who applies: one instance, whatever their number. `<p>.applier` has its signs of life.
 */
#ifndef AP_OWNER_H
#define AP_OWNER_H

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

/* The newest sign. `lineage` names the ledger that it works with, never a host: whoever holds that
 * ledger goes on with it, anybody else makes a new one of the mirror. */
struct ap_owner {
    bool there;
    char lineage[40], instance[64];
    int64_t beat;    /* one more with each sign */
    int64_t changed; /* up to this change its ledger is mirrored */
    bool whole;      /* and that is the ledger at one moment */
    bool released;   /* it has stopped, in order */
};
int ap_owner_read(const struct ls_config *config, struct ap_owner *ret, struct ls_err *err);
/* The sign as it is sent; free it. NULL: out of memory. */
char *ap_owner_text(const struct ap_owner *owner);
/* False: no sign. */
bool ap_owner_parse(struct ls_str text, struct ap_owner *ret);
void ap_owner_new_lineage(char out[40]);
/* Returns when the owner's signs have stood still for `ms` (or up to half more) while Kafka
 * answered, or it has said that it stops, or we shall. `tell` is called about once a second. */
void ap_owner_wait(const struct ls_config *config, int64_t ms, void (*tell)(void *arg), void *arg);

#endif
