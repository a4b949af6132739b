/*
 * From time to time: does the target still have what the ledger says that we made?
 */
#ifndef AP_PROBE_H
#define AP_PROBE_H

#include "apply/core.h"

/* In a round's transaction: plans the next look when it is time to (options.probe_ms; 0: never).
 * One call at a time, which reads only and is no job of any entity. */
void ap_probe_plan(struct ap_core *core);
/* The answer to it; `job` is freed by the caller. What is missing is counted in core->lost. */
void ap_probe_settled(struct ap_core *core, const struct ap_job *job);

#endif
