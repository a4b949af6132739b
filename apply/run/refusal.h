/*
 * A refusal by the whole target that may pass: of somebody who comes up behind it, or before it.
 */
#ifndef AP_REFUSAL_H
#define AP_REFUSAL_H

#include "common/err.h"
#include <stdbool.h>
#include <stdint.h>

#define AP_REFUSAL_MS 120000    /* so long is one not believed */
#define AP_REFUSAL_GAP_MS 90000 /* the next one after that is another one */

struct ap_refusal {
    int64_t since_ms, last_ms; /* 0: there was none */
};

/* Is *err (FATAL target-config) one that may pass, and has not yet lasted? A machine key that is
 * refused is none, nor what a configuration lacks: those never pass. */
bool ap_refusal_may_pass(struct ap_refusal *refusal, const struct ls_err *err, int64_t now_ms);

#endif
