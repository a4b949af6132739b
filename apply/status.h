/*
 * What apply tells about itself: metrics, /status, and the record on <p>.status.
 */
#ifndef AP_STATUS_H
#define AP_STATUS_H

#include "apply/core.h"
#include "apply/mirror.h"
#include "common/kafka.h"
#include "common/metrics.h"
#include <jansson.h>

#define AP_STATUS_CAUSES 64
struct ap_status {
    const struct ls_config *config;
    struct ls_metrics *metrics;
    struct ls_http *http;
    struct ls_producer *producer;   /* NULL: not published */
    struct ls_consumer *consumer;   /* NULL: not yet */
    const struct ap_mirror *mirror; /* NULL: none */
    bool standby;
    int64_t started_us, last_progress_us, last_done, next_ms, last_us;
    double rate;
    bool starting;
    char why[128]; /* not ready because of this; "" ready */
    char causes[AP_STATUS_CAUSES][64];
    int n_causes;
};

extern const struct ls_metric ap_metrics[];
/* Told of every change that reached the target; `arg` is the struct ls_metrics. */
void ap_status_latency(void *arg, enum ap_clock clock, double seconds);
/* Told of every call by the writer, from any thread; `arg` is the struct ls_metrics. */
void ap_status_call(void *arg, const char *method, const char *status, double seconds);
/* At most every lockstep.status_ms; slower when the ledger is so large that counting takes long. */
void ap_status_tell(struct ap_status *status, struct ap_core *core, bool at_once);

/* While it waits for another one to go: told as `standby/<instance>`; false: no more. */
void ap_status_standby(struct ap_status *status, bool standby);

/* status_open.c: the users who wait longest, at most 100, of *ret_n with anything open; the sweeps
 * that wait for a word, at most 20, each with the topmost ten of what it would delete. NULL:
 * memory. */
json_t *ap_open_users(struct ap_core *core, int64_t *ret_n);
json_t *ap_open_sweeps(struct ap_core *core);

#endif
