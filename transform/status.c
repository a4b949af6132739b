/*
 * Every lockstep.status_ms: the committed counters as metrics and as one JSON document.
 *
 * Only committed numbers are shown, so that an aborted batch is never counted twice. The document
 * also goes to <p>.status by a producer of its own: it must not depend on the transaction's fate.
 * What can go wrong there (no broker) is not this stage's trouble: the reader sees the age of the
 * last document. But it tells an idle stage, which nothing else does, that Kafka is away: a
 * document that nobody takes. A stage that is not idle is stuck in a call then, and its readiness
 * runs out; or its batches fail, which it knows.
 */
#include "transform/status.h"

#include "common/estimate.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_MS 10000 /* of Kafka */

const struct ls_metric tf_metrics[] = {
    [TF_M_ROWS] = {"lockstep_transform_rows_total", LS_COUNTER, NULL, "Rows read."},
    [TF_M_RECORDS] = {"lockstep_transform_records_total", LS_COUNTER, "kind",
                      "Desired states sent."},
    [TF_M_FILTERED] = {"lockstep_transform_filtered_total", LS_COUNTER, "reason",
                       "Rows left out on purpose."},
    [TF_M_DEAD] = {"lockstep_transform_dead_letters_total", LS_COUNTER, "cause",
                   "Rows that have no counterpart."},
    [TF_M_WARNINGS] = {"lockstep_transform_warnings_total", LS_COUNTER, "what",
                       "Rows mapped although something in them was wrong."},
    [TF_M_BALANCE] = {"lockstep_transform_balance", LS_GAUGE, NULL,
                      "Rows minus records, filtered and dead letters; anything but 0 is a bug."},
    [TF_M_LAG] = {"lockstep_transform_lag_seconds", LS_GAUGE, NULL,
                  "Age of the oldest change that this stage has not passed on."},
    [TF_M_PARTITIONS] = {"lockstep_transform_partitions", LS_GAUGE, NULL, "Partitions held."},
    [TF_M_COMMITS] = {"lockstep_transform_commits_total", LS_COUNTER, NULL,
                      "Transactions committed."},
    [TF_M_RETRIES] = {"lockstep_transform_retries_total", LS_COUNTER, "cause",
                      "Transactions that were aborted and done again, by cause."},
    [TF_M_BARRIERS] = {"lockstep_transform_barriers_total", LS_COUNTER, NULL,
                       "Times the small topics were read to their end for an unknown storage, "
                       "mimetype or account."},
    [TF_M_COMMIT_SECONDS] = {"lockstep_transform_commit_seconds", LS_HISTOGRAM, NULL,
                             "Time of a commit."},
    [TF_M_LAG_RECORDS] = {"lockstep_transform_lag_records", LS_GAUGE, NULL,
                          "Offsets of its topics that it has not read, transactions' marks "
                          "included; NaN: not known."},
    [TF_M_IN_FLIGHT] = {"lockstep_transform_in_flight", LS_GAUGE, NULL,
                        "Rows read in the transaction that is open."},
    [TF_M_RECEIVED_BYTES] = {"lockstep_transform_received_bytes_total", LS_COUNTER, NULL,
                             "Keys and values read from Kafka since the start."},
    [TF_M_SENT_BYTES] = {"lockstep_transform_sent_bytes_total", LS_COUNTER, NULL,
                         "Keys and values given to Kafka since the start."},
    [TF_M_PROGRESS] = {"lockstep_transform_last_progress_timestamp_seconds", LS_GAUGE, NULL,
                       "When it committed last, since 1970; 0: not since the start."},
    [TF_M_SNAPSHOT_ROWS] = {"lockstep_transform_snapshot_rows", LS_GAUGE, NULL,
                            "Rows of the last snapshot that went through."},
    [TF_M_SNAPSHOT_RUNNING] = {"lockstep_transform_snapshot_running", LS_GAUGE, NULL,
                               "1 between the brackets of a snapshot."},
    [TF_M_LAG_BYTES] = {"lockstep_transform_lag_estimated_bytes", LS_GAUGE, NULL,
                        "About how many bytes lag_records are: by the mean size of the records "
                        "read lately; NaN: not known, or none was read since the start."},
    [TF_M_COUNT] = {NULL, LS_COUNTER, NULL, NULL},
};

struct tf_status {
    struct ls_metrics *metrics;
    struct ls_http *http;
    struct ls_producer *producer;
    const char *topic;
    const char *instance;
    char key[96];
    int64_t started_us;
    int64_t every_ms, next_ms;
    int64_t silent_ms; /* that Kafka may be */
    int64_t heard_ms;  /* when it last took a document, or had none to take */
    int64_t documents, taken, lost;
    int64_t last_rows;
    int64_t last_ms;
};

int
tf_status_new(const struct ls_config *config, struct tf_status **ret, struct ls_err *err)
{
    struct tf_status *s = calloc(1, sizeof(*s));
    int port = 0;

    if (!s)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    s->topic = ls_config_topic(config, "status");
    s->instance = ls_config_str(config, "lockstep", "instance");
    snprintf(s->key, sizeof(s->key), "transform/%s", s->instance);
    s->every_ms = ls_config_int(config, "lockstep", "status_ms");
    s->started_us = ls_now_us();
    s->last_ms = s->heard_ms = ls_mono_ms();
    s->silent_ms = 3 * s->every_ms > SILENT_MS ? 3 * s->every_ms : SILENT_MS;
    s->metrics = ls_metrics_new("transform", tf_metrics);
    if (!s->metrics) {
        tf_status_free(s);
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    }
    if (ls_http_start(config, s->metrics, &s->http, &port, err) < 0 ||
        ls_producer_new(config, NULL, &s->producer, err) < 0) {
        tf_status_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void
tf_status_free(struct tf_status *s)
{
    if (!s)
        return;
    ls_http_stop(s->http);
    if (s->producer)
        ls_producer_free(s->producer);
    ls_metrics_free(s->metrics);
    free(s);
}

struct ls_metrics *
tf_status_metrics(struct tf_status *s)
{
    return s->metrics;
}

/* Without partitions nothing is known: at least since the start. */
static int64_t
lag_us(const struct tf_status *s, const struct tf_facts *f)
{
    return f->assigned ? f->lag_us : ls_now_us() - s->started_us;
}

static void
set_metrics(struct tf_status *s, const struct tf_facts *f)
{
    static const int ids[TF_COUNT_GROUPS] = {
        [TF_COUNT_OUT] = TF_M_RECORDS,
        [TF_COUNT_FILTERED] = TF_M_FILTERED,
        [TF_COUNT_DEAD] = TF_M_DEAD,
        [TF_COUNT_WARNING] = TF_M_WARNINGS,
    };

    for (int g = 0; g < TF_COUNT_GROUPS; g++) {
        for (size_t i = 0; i < TF_COUNT_NAMES && f->counts->by_name[g][i].name[0]; i++)
            ls_metric_set(s->metrics, ids[g], f->counts->by_name[g][i].name,
                          (double)f->counts->by_name[g][i].n);
    }
    ls_metric_set(s->metrics, TF_M_ROWS, NULL, (double)f->counts->in);
    ls_metric_set(s->metrics, TF_M_BALANCE, NULL, (double)tf_counts_balance(f->counts));
    ls_metric_set_age(s->metrics, TF_M_LAG, NULL, (double)lag_us(s, f) / 1e6);
    ls_metric_set(s->metrics, TF_M_LAG_RECORDS, NULL,
                  f->lag_records < 0 ? NAN : (double)f->lag_records);
    ls_metric_set(s->metrics, TF_M_LAG_BYTES, NULL,
                  ls_estimate((double)f->lag_records, f->record_bytes));
    ls_metric_set(s->metrics, TF_M_IN_FLIGHT, NULL, (double)f->in_flight);
    ls_metric_reach(s->metrics, TF_M_RECEIVED_BYTES, NULL, (double)ls_kafka_received_bytes());
    ls_metric_reach(s->metrics, TF_M_SENT_BYTES, NULL, (double)ls_kafka_sent_bytes());
    ls_metric_set(s->metrics, TF_M_PROGRESS, NULL, (double)f->last_progress_us / 1e6);
    ls_metric_set(s->metrics, TF_M_SNAPSHOT_ROWS, NULL, (double)f->snapshot_rows);
    ls_metric_set(s->metrics, TF_M_SNAPSHOT_RUNNING, NULL, f->snapshots_open > 0);
    ls_metric_set(s->metrics, TF_M_PARTITIONS, NULL, f->partitions);
}

/* NULL when memory is out. */
static char *
document(struct tf_status *s, const struct tf_facts *f, double rate, const char *why)
{
    json_t *counts = tf_counts_json(f->counts);
    json_t *doc = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:{}, "
        "s:{s:s, s:I, s:I}, s:f, s:i}",
        "stage", "transform", "instance", s->instance, "version", LS_VERSION, "time_us",
        (json_int_t)ls_now_us(), "started_us", (json_int_t)s->started_us, "ready", !why, "why",
        why ? why : "", "lag_us", (json_int_t)lag_us(s, f), "last_progress_us",
        (json_int_t)f->last_progress_us, "counters", "in", (json_int_t)f->counts->in, "out",
        (json_int_t)tf_counts_sum(f->counts, TF_COUNT_OUT), "filtered",
        (json_int_t)tf_counts_sum(f->counts, TF_COUNT_FILTERED), "dead",
        (json_int_t)tf_counts_sum(f->counts, TF_COUNT_DEAD), "warnings",
        (json_int_t)tf_counts_sum(f->counts, TF_COUNT_WARNING), "balance",
        (json_int_t)tf_counts_balance(f->counts), "parked", "snapshot", "state",
        f->snapshots_open > 0 ? "running"
        : f->snapshot_done    ? "done"
                              : "none",
        "rows", (json_int_t)f->snapshot_rows, "estimate", (json_int_t)0, "rate", rate, "partitions",
        f->partitions);
    char *text = NULL;

    if (doc && counts) {
        for (int g = 0; g < TF_COUNT_GROUPS; g++)
            json_object_set(doc, tf_count_group_names[g],
                            json_object_get(counts, tf_count_group_names[g]));
        json_object_set_new(doc, "lag_records",
                            ls_estimate_json(ls_estimate((double)f->lag_records, 1)));
        json_object_set_new(doc, "lag_bytes",
                            ls_estimate_json(ls_estimate((double)f->lag_records, f->record_bytes)));
        json_object_set_new(doc, "lag_estimated", json_string("bytes"));
        json_object_set_new(doc, "record_bytes", ls_estimate_json(f->record_bytes));
        text = json_dumps(doc, JSON_COMPACT);
    }
    json_decref(doc);
    json_decref(counts);
    return text;
}

/* Why this stage is not ready; NULL: it is. */
static const char *
not_ready(struct tf_status *s, const struct tf_facts *f, int64_t now)
{
    int64_t waiting = ls_producer_waiting(s->producer), lost = ls_producer_lost(s->producer);
    int64_t taken = s->documents - waiting - lost;

    /* what is being given up may count as waiting and once more: only a new maximum is news */
    if (taken > s->taken || (waiting == 0 && lost == s->lost))
        s->heard_ms = now;
    if (taken > s->taken)
        s->taken = taken;
    s->lost = lost;
    if (now - s->heard_ms > s->silent_ms)
        return "no answer from Kafka";
    if (f->trouble)
        return f->trouble;
    return f->assigned ? NULL : "waiting for partitions";
}

void
tf_status_tick(struct tf_status *s, const struct tf_facts *f)
{
    int64_t now = ls_mono_ms();
    double rate;
    struct ls_err ignored;
    const char *why;
    char *text;

    if (now < s->next_ms)
        return;
    s->next_ms = now + s->every_ms;
    rate = now > s->last_ms
               ? (double)(f->counts->in - s->last_rows) * 1000.0 / (double)(now - s->last_ms)
               : 0;
    s->last_rows = f->counts->in;
    s->last_ms = now;
    set_metrics(s, f);
    why = not_ready(s, f, now);
    ls_http_ready(s->http, why);
    ls_http_ready_until(s->http, now + s->silent_ms, "no answer from Kafka");
    ls_run_notify_alive();
    text = document(s, f, rate, why);
    if (!text)
        return;
    ls_http_status(s->http, text);
    if (ls_producer_send(s->producer, s->topic, 0, ls_str_of(s->key), ls_str_of(text), NULL, 0,
                         &ignored) == 0)
        s->documents++;
    free(text);
}
