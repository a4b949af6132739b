/*
 * Metrics and health over HTTP: /metrics (Prometheus text), /healthz, /readyz, /status (JSON).
 *
 * A stage lists its metrics in one table; a metric has at most two labels, whose
 * values are few words of this program (a table's name, a cause). Setting is safe
 * from any thread. No user names, no paths in labels: a value that does not look
 * like such a word is shown as "other".
 */
#ifndef LS_METRICS_H
#define LS_METRICS_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>

enum ls_metric_type { LS_COUNTER, LS_GAUGE, LS_HISTOGRAM };
struct ls_metric {
    const char *name; /* lockstep_capture_rows_total */
    enum ls_metric_type type;
    const char *label; /* NULL: none; "method,status": two */
    const char *help;
};

/* What every daemon tells beside its own table. */
extern const struct ls_metric ls_metrics_of_all[];

struct ls_metrics;
/* `table` ends with a NULL name; borrowed for the process's life. `stage` becomes build_info's
 * label. */
struct ls_metrics *ls_metrics_new(const char *stage, const struct ls_metric *table);
void ls_metrics_free(struct ls_metrics *metrics);
/* `id` is the row in the table; `label_value` NULL when the metric has no label, "Stat,ok" when it
 * has two. */
void ls_metric_add(struct ls_metrics *metrics, int id, const char *label_value, double n);
/* Raises a counter to `n`, which is counted elsewhere and may have been kept over a restart. */
void ls_metric_reach(struct ls_metrics *metrics, int id, const char *label_value, double n);
void ls_metric_set(struct ls_metrics *metrics, int id, const char *label_value, double n);
/* An age: the gauge is `seconds` now and one more with each second, until it is set again. So it
 * tells the truth also while the loop that sets it hangs. */
void ls_metric_set_age(struct ls_metrics *metrics, int id, const char *label_value, double seconds);
void ls_metric_observe(struct ls_metrics *metrics, int id, const char *label_value, double seconds);
double ls_metric_get(struct ls_metrics *metrics, int id, const char *label_value);

struct ls_http;
/* Listens on [http] listen:port (port 0: any free one, logged and in ret_port). */
int ls_http_start(const struct ls_config *config, struct ls_metrics *metrics, struct ls_http **ret,
                  int *ret_port, struct ls_err *err);
void ls_http_stop(struct ls_http *http); /* NULL is fine */
/* /readyz answers 503 with `why` (copied) until why is NULL. Starts as "starting". */
void ls_http_ready(struct ls_http *http, const char *why);
/* Ready, but only until `mono_ms` (ls_mono_ms), unless the loop comes by and says so again; then
 * 503 with `stuck`, which must live as long as the process. 0: without an end, as at the start. Two
 * stores: cheap enough for each turn of a loop. */
void ls_http_ready_until(struct ls_http *http, int64_t mono_ms, const char *stuck);
/* The document /status answers (copied). */
void ls_http_status(struct ls_http *http, const char *json);

#endif
