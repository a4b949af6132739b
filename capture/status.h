/*
 * What capture tells about itself: metrics, /readyz, the status document and its topic.
 */
#ifndef CAP_STATUS_H
#define CAP_STATUS_H

#include "capture/control.h"
#include "capture/publish/position.h"
#include "capture/stream/headroom.h"
#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"

extern const struct ls_metric cap_metrics[];

/* What the loop knows at a tick. */
struct cap_facts {
    const struct cap_position *position;
    const char *table;  /* the snapshot's, "" none */
    const char *method; /* the snapshot's way to find places, "" not known */
    bool waits;         /* a chunk waits for the stream */
    int64_t read_us;    /* 0: not known */
    int64_t last_progress_us;
    /* since the start; stream_rows: watched ones, in those events */
    int64_t events, bytes, stream_rows, rows, commits, reconnects;
    int64_t in_flight; /* records of the open transaction */
    bool commands_on;
    const int64_t *commands; /* CAP_CONTROL_COUNTS of them, since the start */
    struct cap_headroom_facts headroom;
};

struct cap_status;
/* Starts the HTTP server. The status topic's producer comes with cap_status_topic. */
int cap_status_new(const struct ls_config *config, struct cap_status **ret, struct ls_err *err);
void cap_status_free(struct cap_status *status);
/* From here on the document also goes to <p>.status. */
int cap_status_topic(struct cap_status *status, struct ls_err *err);
/* NULL: ready. Else why not, copied. */
void cap_status_ready(struct cap_status *status, const char *why);
/* Ready until then (ls_mono_ms) only, for the loop may be stuck; 0: without an end. `stuck` says in
 * what, and lives as long as the process. Cheap. */
void cap_status_ready_until(struct cap_status *status, int64_t mono_ms, const char *stuck);
/* A standby is ready, and its document goes under a key of its own. */
void cap_status_standby(struct cap_status *status, bool standby);
/* Something failed, and is done again. */
void cap_status_retry(struct cap_status *status, const char *cause);
/* Every lockstep.status_ms. A status record that cannot be sent is logged and given up. */
void cap_status_tick(struct cap_status *status, const struct cap_facts *facts);

#endif
