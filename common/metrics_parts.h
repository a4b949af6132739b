/*
 * What metrics.c gives to http.c. Private to common/.
 */
#ifndef LS_METRICS_PARTS_H
#define LS_METRICS_PARTS_H

#include "common/buf.h"
#include "common/metrics.h"

/* Prometheus' text format, version 0.0.4. `ready`: /readyz says so. */
void metrics_print(struct ls_metrics *metrics, bool ready, struct ls_buf *out);

#endif
