/*
 * What this stage tells: metrics, the status document, health.
 */
#ifndef TF_STATUS_H
#define TF_STATUS_H

#include "common/config.h"
#include "common/metrics.h"
#include "transform/counts.h"
#include <stdbool.h>

enum {
    TF_M_ROWS,
    TF_M_RECORDS,
    TF_M_FILTERED,
    TF_M_DEAD,
    TF_M_WARNINGS,
    TF_M_BALANCE,
    TF_M_LAG,
    TF_M_PARTITIONS,
    TF_M_COMMITS,
    TF_M_RETRIES,
    TF_M_BARRIERS,
    TF_M_COMMIT_SECONDS,
    TF_M_LAG_RECORDS,
    TF_M_IN_FLIGHT,
    TF_M_RECEIVED_BYTES,
    TF_M_SENT_BYTES,
    TF_M_PROGRESS,
    TF_M_SNAPSHOT_ROWS,
    TF_M_SNAPSHOT_RUNNING,
    TF_M_LAG_BYTES,
    TF_M_COUNT
};
extern const struct ls_metric tf_metrics[];

/* What the loop knows of itself. */
struct tf_facts {
    const struct tf_counts *counts; /* committed ones */
    bool assigned;                  /* the group has given us our partitions (perhaps none) */
    int partitions;
    int64_t lag_us;           /* 0 when nothing is known yet */
    int64_t lag_records;      /* -1: not known */
    double record_bytes;      /* of those read lately; NaN: not known */
    int64_t in_flight;        /* rows of the open transaction */
    int64_t last_progress_us; /* wall clock of the last commit */
    int snapshots_open;       /* partitions between `begin` and `end` */
    bool snapshot_done;
    int64_t snapshot_rows;
    const char *trouble; /* why batches fail, one behind another; NULL: they do not */
};

struct tf_status;

int tf_status_new(const struct ls_config *config, struct tf_status **ret, struct ls_err *err);
void tf_status_free(struct tf_status *status); /* NULL is fine */
struct ls_metrics *tf_status_metrics(struct tf_status *status);
/* Every lockstep.status_ms (calls between do nothing): metrics, /status, /readyz, <p>.status. */
void tf_status_tick(struct tf_status *status, const struct tf_facts *facts);

#endif
