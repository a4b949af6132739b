/*
 * While oCIS starts or is exchanged its services come up one after the other. Graph's proxy then
 * says 401 to a good password (nobody is there to check it) and 403 to an admin (nobody knows his
 * roles), and at an address that was the target's a moment ago somebody else may say UNIMPLEMENTED.
 * A wrong password, a lost role and a wrong version say the same, and a process that ends with
 * their status is left down until somebody comes. So they are believed when they have lasted.
 */
#include "apply/run/refusal.h"
#include "apply/cs3/cs3.h"
#include "apply/cs3/grpc.h"
#include <string.h>

bool
ap_refusal_may_pass(struct ap_refusal *refusal, const struct ls_err *err, int64_t now_ms)
{
    if (err->kind != LS_ERR_FATAL || strcmp(err->cause, "target-config") != 0 ||
        (err->code != 401 && err->code != 403 && err->code != CS3_UNIMPLEMENTED &&
         err->code != GRPC_UNIMPLEMENTED))
        return false;
    if (refusal->since_ms == 0 || now_ms - refusal->last_ms > AP_REFUSAL_GAP_MS)
        refusal->since_ms = now_ms;
    refusal->last_ms = now_ms;
    return now_ms - refusal->since_ms < AP_REFUSAL_MS;
}
