/*
 * May this process call the target? Yes for so long after the last proof that no other applier has
 * taken over (mirror.c gives them). Asked before every request, and while content is sent.
 */
#ifndef AP_LEASE_H
#define AP_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct ap_instant {
    int64_t boot_ms, wall_ms;
};
struct ap_instant ap_lease_now(void);
/* Until `ms` after that moment, and no longer. Never called: for ever. */
void ap_lease_extend(struct ap_instant from, int64_t ms);
void ap_lease_end(void);    /* not any more */
void ap_lease_forget(void); /* none is needed, as in a process that is no applier */
bool ap_lease_held(void);

#endif
