/*
 * What apply tells about itself: metrics, /status, and the record on <p>.status.
 */
#ifndef AP_STATUS_H
#define AP_STATUS_H

#include "apply/core.h"
#include "apply/ledger/mirror.h"
#include "common/kafka.h"
#include "common/metrics.h"
#include <jansson.h>

/* What is open, as it was at `counted_us` (status_count.c). Entities in `all`, those that stand for
 * a record in the others; `nodes`: files and folders. */
struct ap_open {
    bool known;
    int64_t writes, counted_us, next_ms;
    int64_t all, nodes, counted, queued, in_flight, parked;
    int64_t rest_us; /* since when the oldest is open that no record stands for; 0: none is */
    int64_t balance;
    json_t *causes, *since; /* by cause: how many; since when, of the oldest */
    json_t *users;          /* those who wait longest, at most 100, of n_users; why, by cause */
    int64_t n_users;
};

#define AP_STATUS_CAUSES 64
#define AP_STUCK_LOOP_MS 60000 /* without a word from the loop /readyz fails */
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
    struct ap_open open;
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
/* At most every lockstep.status_ms; slower when the ledger is so large that counting takes long.
 * That it was called at all keeps /readyz from failing. */
void ap_status_tell(struct ap_status *status, struct ap_core *core, bool at_once);

/* While it waits for another one to go: told as `standby/<instance>`; false: no more. */
void ap_status_standby(struct ap_status *status, bool standby);

/*
 * Counts again when something may have changed, though not for more than a twentieth of the time
 * unless `at_once`; else *open stays, and all in it is of one moment. False: nothing is known (no
 * memory). ap_open_free in the end.
 */
bool ap_open_count(struct ap_core *core, struct ap_open *open, bool at_once);
void ap_open_free(struct ap_open *open);
/* Since when the oldest record is open that is in no trouble; 0: none is. */
int64_t ap_open_since_us(struct ap_core *core);
/* The moment of the source up to which all is done that is not in trouble: what is open stands for
 * records, and each partition was read that far. 0: of some partition nothing is known yet. */
int64_t ap_reached_us(struct ap_core *core);
/* status_open.c: the sweeps that wait for a word, at most 20, each with ten of what it would
 * delete. NULL: memory. */
json_t *ap_open_sweeps(struct ap_core *core);

#endif
