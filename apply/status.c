/*
 * What apply tells about itself, every status_ms: all is read from the ledger, so that what is
 * told survives a crash and adds up (`balance` is 0 or there is a bug).
 *
 * Counting a million open entities takes a while: that is done less often then (status_count.c),
 * and the numbers told in between are all of one moment, `counted_us`. Kafka being away only means
 * that the record is not published.
 */
#include "apply/status.h"
#include "apply/plan/reconcile.h"
#include "apply/plan/sought.h"
#include "common/estimate.h"
#include "common/log.h"
#include "common/run.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    M_IN,
    M_RECORDS,
    M_REPLAYS,
    M_LOOKS,
    M_LOOKING,
    M_OPEN,
    M_PARKED,
    M_PARKED_AGE,
    M_DEAD,
    M_IN_FLIGHT,
    M_LIMIT,
    M_LAG,
    M_LAG_RECORDS,
    M_LAG_BYTES,
    M_LATENCY,
    M_BALANCE,
    M_CALLS,
    M_CALL_SECONDS,
    M_RETRIES,
    M_LOST,
    M_RECEIVED_BYTES,
    M_CONTENT_BYTES,
    M_LEDGER_BYTES,
    M_PROGRESS,
    M_SNAPSHOT_RUNNING,
    M_PAUSED,
    M_SWEEPS,
    M_ASTRAY,
    M_ACTIVE,
    M_MIRROR,
};
const struct ls_metric ap_metrics[] = {
    [M_IN] = {"lockstep_apply_records_in_total", LS_COUNTER, NULL,
              "Records taken in, over the ledger's life."},
    [M_RECORDS] = {"lockstep_apply_records_total", LS_COUNTER, "outcome",
                   "What became of them, over the ledger's life."},
    [M_REPLAYS] = {"lockstep_apply_replays_total", LS_COUNTER, "result",
                   "Records of the replay topic, over the ledger's life: taken, refused."},
    [M_LOOKS] = {"lockstep_apply_looks_total", LS_COUNTER, "result",
                 "Entities compared with the target itself (replay --reconcile, repair), over the "
                 "ledger's life: same, different."},
    [M_LOOKING] = {"lockstep_apply_looks_open", LS_GAUGE, NULL,
                   "Entities that are still to be compared with the target itself."},
    [M_OPEN] = {"lockstep_apply_open", LS_GAUGE, "state",
                "Records that are not done: queued, in-flight, parked."},
    [M_PARKED] = {"lockstep_apply_parked", LS_GAUGE, "cause",
                  "Records that wait for something, by cause."},
    [M_PARKED_AGE] = {"lockstep_apply_parked_oldest_seconds", LS_GAUGE, "cause",
                      "Age of the oldest of them; 0: none."},
    [M_DEAD] = {"lockstep_apply_dead", LS_GAUGE, "cause", "Dead letters not superseded, by cause."},
    [M_IN_FLIGHT] = {"lockstep_apply_in_flight", LS_GAUGE, NULL,
                     "Calls without an answer yet, those included that are about to go out."},
    [M_LIMIT] = {"lockstep_apply_in_flight_limit", LS_GAUGE, NULL,
                 "How many calls may be in flight: follows the target's latency."},
    [M_LAG] = {"lockstep_apply_lag_seconds", LS_GAUGE, NULL,
               "Age of the oldest change not applied; parked for its own cause does not count."},
    [M_LAG_RECORDS] = {"lockstep_apply_lag_records", LS_GAUGE, NULL,
                       "Offsets of its topics that it has not read, transactions' marks included; "
                       "NaN: not known."},
    [M_LAG_BYTES] = {"lockstep_apply_lag_estimated_bytes", LS_GAUGE, NULL,
                     "About how many bytes lag_records are: by the mean size of the records read "
                     "lately; NaN: not known, or none was read since the start."},
    [M_LATENCY] = {"lockstep_apply_end_to_end_seconds", LS_HISTOGRAM, "clock",
                   "From the commit at the source (source: where it tells microseconds) or the "
                   "row's arrival at capture (capture) to the target; no snapshots."},
    [M_BALANCE] = {"lockstep_apply_balance", LS_GAUGE, NULL,
                   "Records in minus all outcomes; anything but 0 is an error."},
    [M_CALLS] = {"lockstep_apply_calls_total", LS_COUNTER, "method,status",
                 "Calls to the target; status: ok, a cause, or HTTP's number."},
    [M_CALL_SECONDS] = {"lockstep_apply_call_seconds", LS_HISTOGRAM, "method",
                        "How long a call took."},
    [M_RETRIES] = {"lockstep_apply_retries_total", LS_COUNTER, "cause",
                   "Calls that failed and are made again, by cause."},
    [M_LOST] = {"lockstep_apply_lost_total", LS_COUNTER, NULL,
                "Nodes that were made and are not at the target any more, although not deleted "
                "from here: counted when they are touched or looked for ([apply] probe_ms), since "
                "the start."},
    [M_RECEIVED_BYTES] = {"lockstep_apply_received_bytes_total", LS_COUNTER, NULL,
                          "Keys and values read from Kafka since the start."},
    [M_CONTENT_BYTES] = {"lockstep_apply_content_bytes_total", LS_COUNTER, NULL,
                         "Content of files that the target took since the start."},
    [M_LEDGER_BYTES] = {"lockstep_apply_ledger_bytes", LS_GAUGE, NULL,
                        "Size of the ledger on disk, its write-ahead log included."},
    [M_PROGRESS] = {"lockstep_apply_last_progress_timestamp_seconds", LS_GAUGE, NULL,
                    "When a record was done last, since 1970; 0: not since the start."},
    [M_SNAPSHOT_RUNNING] = {"lockstep_apply_snapshot_running", LS_GAUGE, NULL,
                            "1 between the brackets of a snapshot."},
    [M_PAUSED] = {"lockstep_apply_paused", LS_GAUGE, NULL,
                  "1 while the whole target is in trouble."},
    [M_SWEEPS] = {"lockstep_apply_sweeps_waiting", LS_GAUGE, NULL,
                  "Sweeps above the limit that wait for a word."},
    [M_ASTRAY] = {"lockstep_apply_astray_rows", LS_GAUGE, NULL,
                  "Rows of oc_filecache whose path or storage is not what their parent says; the "
                  "parent holds."},
    [M_ACTIVE] = {"lockstep_apply_active", LS_GAUGE, NULL,
                  "1 while this one applies, 0 while it stands by."},
    [M_MIRROR] = {"lockstep_apply_mirror_lag_rows", LS_GAUGE, NULL,
                  "Changes of the ledger that its mirror has not yet."},
    {NULL, LS_GAUGE, NULL, NULL},
};

void
ap_status_call(void *arg, const char *method, const char *status, double seconds)
{
    char both[96];

    snprintf(both, sizeof(both), "%.48s,%.40s", method, status[0] ? status : "failed");
    ls_metric_add(arg, M_CALLS, both, 1);
    ls_metric_observe(arg, M_CALL_SECONDS, method, seconds);
}

void
ap_status_latency(void *arg, enum ap_clock clock, double seconds)
{
    ls_metric_observe(arg, M_LATENCY, ap_clock_names[clock], seconds);
}

static void
cause_seen(struct ap_status *status, const char *name)
{
    for (int i = 0; i < status->n_causes; i++)
        if (strcmp(status->causes[i], name) == 0)
            return;
    if (status->n_causes < AP_STATUS_CAUSES)
        snprintf(status->causes[status->n_causes++], sizeof(status->causes[0]), "%s", name);
}

/* name -> number. */
static json_t *
counters_json(struct ap_status *status, struct ap_core *core)
{
    sqlite3_stmt *s = ap_query(core->ledger, "SELECT name, value FROM counter", NULL);
    json_t *object = json_object();
    int64_t different;
    char name[64];

    while (ap_step(core->ledger, s)) {
        int64_t n = sqlite3_column_int64(s, 1);

        ap_text(s, 0, name, sizeof(name));
        json_object_set_new(object, name, json_integer(n));
        if (strcmp(name, "in") == 0)
            ls_metric_reach(status->metrics, M_IN, NULL, (double)n);
        else if (strncmp(name, "replay", 6) != 0 && strncmp(name, "looked", 6) != 0)
            ls_metric_reach(status->metrics, M_RECORDS, name, (double)n);
    }
    /* also at 0, so that the first one is an increase */
    ls_metric_reach(status->metrics, M_REPLAYS, "taken",
                    (double)ap_counted(core->ledger, "replayed"));
    ls_metric_reach(status->metrics, M_REPLAYS, "refused",
                    (double)ap_counted(core->ledger, "replay-refused"));
    different = ap_counted(core->ledger, "looked-different");
    ls_metric_reach(status->metrics, M_LOOKS, "different", (double)different);
    ls_metric_reach(status->metrics, M_LOOKS, "same",
                    (double)(ap_counted(core->ledger, "looked") - different));
    return object;
}

/* cause -> number; what is merely queued or in flight is told as such. */
static json_t *
parked_json(struct ap_status *status, int64_t now)
{
    const struct ap_open *open = &status->open;
    const char *name;
    json_t *n;

    json_object_foreach(open->causes, name, n)
    {
        int64_t since = json_integer_value(json_object_get(open->since, name));

        if (strcmp(name, "queued") == 0 || strcmp(name, "in-flight") == 0)
            continue;
        cause_seen(status, name);
        ls_metric_set(status->metrics, M_PARKED, name, (double)json_integer_value(n));
        if (since > 0 && since < now)
            ls_metric_set_age(status->metrics, M_PARKED_AGE, name, (double)(now - since) / 1e6);
    }
    ls_metric_set(status->metrics, M_OPEN, "queued", (double)open->queued);
    ls_metric_set(status->metrics, M_OPEN, "in-flight", (double)open->in_flight);
    ls_metric_set(status->metrics, M_OPEN, "parked", (double)open->parked);
    return json_incref(open->causes);
}

static json_t *
dead_json(struct ap_status *status, struct ap_core *core)
{
    sqlite3_stmt *s = ap_query(
        core->ledger, "SELECT cause, count(*) FROM dead WHERE counted = 1 GROUP BY cause", NULL);
    json_t *object = json_object();
    char name[64];

    while (ap_step(core->ledger, s)) {
        ap_text(s, 0, name, sizeof(name));
        json_object_set_new(object, name, json_integer(sqlite3_column_int64(s, 1)));
        cause_seen(status, name);
        ls_metric_set(status->metrics, M_DEAD, name, (double)sqlite3_column_int64(s, 1));
    }
    return object;
}

/* Causes of the last time that are gone must read 0, not their old number. */
static void
causes_reset(struct ap_status *status)
{
    for (int i = 0; i < status->n_causes; i++) {
        ls_metric_set(status->metrics, M_PARKED, status->causes[i], 0);
        ls_metric_set(status->metrics, M_PARKED_AGE, status->causes[i], 0);
        ls_metric_set(status->metrics, M_DEAD, status->causes[i], 0);
    }
}

/* While nothing is known, at least since the start. */
static int64_t
lag_us(const struct ap_status *status, struct ap_core *core, int64_t now)
{
    int64_t oldest = ap_open_since_us(core);
    int64_t read =
        ap_number(core->ledger, 0, "SELECT min(read_us) FROM offset WHERE read_us > 0", NULL);

    if (oldest == 0 || (read != 0 && read < oldest))
        oldest = read;
    if (oldest == 0)
        oldest = status->started_us;
    return oldest > now ? 0 : now - oldest;
}

static json_t *
snapshot(const struct ap_status *status, struct ap_core *core)
{
    int64_t running =
        ap_number(core->ledger, 0, "SELECT count(*) FROM bracket WHERE state = 1", NULL);
    int64_t ended =
        ap_number(core->ledger, 0, "SELECT count(*) FROM bracket WHERE ended = 1", NULL);
    int64_t in = ap_counted(core->ledger, "in"), estimate = in + status->open.nodes;

    return json_pack("{s:s, s:I, s:I}", "state",
                     running > 0 ? "running"
                     : ended > 0 ? "done"
                                 : "none",
                     "rows", (json_int_t)in, "estimate", (json_int_t)estimate);
}

static int64_t
mirror_lag(const struct ap_status *status, const struct ap_core *core)
{
    int64_t behind = status->mirror ? core->logged - ap_mirror_through(status->mirror) : 0;

    return behind > 0 ? behind : 0;
}

/* What is not read yet, and the bytes of a record; NaN: not known. */
static double
lag_records(const struct ap_status *status)
{
    return ls_estimate(status->consumer ? (double)ls_consumer_behind(status->consumer) : NAN, 1);
}

static double
record_bytes(const struct ap_status *status)
{
    return status->consumer ? ls_consumer_record_bytes(status->consumer) : NAN;
}

static void
set_metrics(struct ap_status *status, struct ap_core *core, int64_t lag, int64_t balance,
            int64_t sweeps)
{
    struct ls_metrics *m = status->metrics;
    double behind = lag_records(status);

    ls_metric_set_age(m, M_LAG, NULL, (double)lag / 1e6);
    ls_metric_set(m, M_LAG_RECORDS, NULL, behind);
    ls_metric_set(m, M_LAG_BYTES, NULL, ls_estimate(behind, record_bytes(status)));
    ls_metric_set(m, M_BALANCE, NULL, (double)balance);
    ls_metric_set(m, M_IN_FLIGHT, NULL, (double)core->n_jobs);
    ls_metric_set(m, M_LIMIT, NULL, (double)ap_pace_limit(&core->pace));
    ls_metric_set(m, M_PAUSED, NULL,
                  core->target.paused && strcmp(core->target.why, "no-lease") != 0 ? 1 : 0);
    ls_metric_set(m, M_SWEEPS, NULL, (double)sweeps);
    ls_metric_set(m, M_ASTRAY, NULL, (double)ap_astray_count(core->ledger));
    ls_metric_set(m, M_ACTIVE, NULL, 1);
    ls_metric_set(m, M_MIRROR, NULL, (double)mirror_lag(status, core));
    ls_metric_set(m, M_LEDGER_BYTES, NULL, (double)ap_ledger_bytes(core->ledger));
    ls_metric_set(m, M_PROGRESS, NULL, (double)status->last_progress_us / 1e6);
    ls_metric_set(m, M_SNAPSHOT_RUNNING, NULL,
                  (double)ap_number(core->ledger, 0,
                                    "SELECT count(*) > 0 FROM bracket WHERE state = 1", NULL));
    ls_metric_reach(m, M_RECEIVED_BYTES, NULL, (double)ls_kafka_received_bytes());
    ls_metric_reach(m, M_LOST, NULL, (double)core->lost);
    ls_metric_reach(m, M_CONTENT_BYTES, NULL, (double)core->content_bytes);
    for (size_t i = 0; i < AP_RETRY_CAUSES && core->retries[i].n > 0; i++)
        ls_metric_reach(m, M_RETRIES, core->retries[i].cause, (double)core->retries[i].n);
}

static json_t *
document(struct ap_status *status, struct ap_core *core, int64_t now)
{
    json_t *counters, *parked, *dead, *doc;
    int64_t lag = lag_us(status, core, now), balance = status->open.balance;
    int64_t sweeps =
        ap_number(core->ledger, 0, "SELECT count(*) FROM bracket WHERE state = 3", NULL) +
        ap_number(core->ledger, 0, "SELECT count(*) FROM bracket_storage WHERE state = 3", NULL);
    int64_t done = ap_counted(core->ledger, "applied") + ap_counted(core->ledger, "equal");
    int64_t looking = ap_reconcile_open(core->ledger) + ap_sought_open(core->ledger);

    causes_reset(status);
    counters = counters_json(status, core);
    parked = parked_json(status, now);
    dead = dead_json(status, core);
    if (done != status->last_done || status->last_us == 0) {
        if (status->last_us != 0)
            status->last_progress_us = now;
        if (now > status->last_us && status->last_us != 0)
            status->rate =
                (double)(done - status->last_done) * 1e6 / (double)(now - status->last_us);
    } else {
        status->rate = 0;
    }
    status->last_done = done;
    status->last_us = now;
    set_metrics(status, core, lag, balance, sweeps);
    ls_metric_set(status->metrics, M_LOOKING, NULL, (double)looking);
    doc = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:I, s:I, s:o, s:I, s:o, s:o, s:o, s:f,"
                    " s:I, s:I, s:I, s:I, s:I}",
                    "stage", "apply", "instance",
                    ls_config_str(status->config, "lockstep", "instance"), "version", LS_VERSION,
                    "time_us", (json_int_t)now, "started_us", (json_int_t)status->started_us,
                    "ready", status->why[0] == '\0', "why", status->why, "lag_us", (json_int_t)lag,
                    "last_progress_us", (json_int_t)status->last_progress_us, "counters", counters,
                    "balance", (json_int_t)balance, "parked", parked, "dead", dead, "snapshot",
                    snapshot(status, core), "rate", status->rate, "in_flight",
                    (json_int_t)core->n_jobs, "open", (json_int_t)status->open.all,
                    "sweeps_waiting", (json_int_t)sweeps, "calls", (json_int_t)core->calls,
                    "mirror_lag", (json_int_t)mirror_lag(status, core));
    if (doc) {
        json_object_set(doc, "users", status->open.users);
        json_object_set_new(doc, "users_open", json_integer(status->open.n_users));
        json_object_set_new(doc, "counted_us", json_integer(status->open.counted_us));
        json_object_set_new(doc, "rest_us", json_integer(status->open.rest_us));
        json_object_set_new(doc, "reached_us", json_integer(ap_reached_us(core)));
        json_object_set_new(doc, "looking", json_integer(looking));
        json_object_set_new(doc, "lag_records", ls_estimate_json(lag_records(status)));
        json_object_set_new(
            doc, "lag_bytes",
            ls_estimate_json(ls_estimate(lag_records(status), record_bytes(status))));
        json_object_set_new(doc, "lag_estimated", json_string("bytes"));
        json_object_set_new(doc, "record_bytes", ls_estimate_json(record_bytes(status)));
    }
    if (doc && sweeps > 0)
        json_object_set_new(doc, "sweeps", ap_open_sweeps(core));
    return doc;
}

static void
publish(struct ap_status *status, const char *stage, struct ls_str text)
{
    struct ls_err err = {0};
    char key[128];

    snprintf(key, sizeof(key), "%s/%s", stage,
             ls_config_str(status->config, "lockstep", "instance"));
    if (status->producer &&
        ls_producer_send(status->producer, ls_config_topic(status->config, "status"), 0,
                         ls_str_of(key), text, NULL, 0, &err) < 0)
        ls_log_err(LS_DEBUG, "status-not-sent", &err);
}

/* Said in every round of a loop that moves; a round that is full takes seconds. */
static void
alive(struct ap_status *status)
{
    int64_t patience = 3 * ls_config_int(status->config, "lockstep", "status_ms");

    ls_http_ready_until(status->http,
                        ls_mono_ms() + (patience > AP_STUCK_LOOP_MS ? patience : AP_STUCK_LOOP_MS),
                        "the loop stands still");
}

void
ap_status_standby(struct ap_status *status, bool standby)
{
    int64_t now = ls_now_us();
    json_t *doc;
    char *text;

    alive(status);
    if (!standby) {
        if (status->standby)
            publish(status, "standby", LS_STR_NULL);
        status->standby = false;
        return;
    }
    if (!status->standby) /* what it was, when it was active */
        publish(status, "apply", LS_STR_NULL);
    status->standby = true;
    ls_metric_set(status->metrics, M_ACTIVE, NULL, 0);
    /* the rest is the active one's to tell; an age would rise for ever */
    ls_metric_set(status->metrics, M_LAG, NULL, 0);
    ls_metric_set(status->metrics, M_PAUSED, NULL, 0);
    ls_metric_set(status->metrics, M_SWEEPS, NULL, 0);
    causes_reset(status);
    ls_http_ready(status->http, NULL);
    doc = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:b, s:I, s:I, s:o, s:o, s:o}", "stage",
                    "apply", "instance", ls_config_str(status->config, "lockstep", "instance"),
                    "version", LS_VERSION, "time_us", (json_int_t)now, "started_us",
                    (json_int_t)status->started_us, "ready", 1, "why", "standby", "standby", 1,
                    "lag_us", (json_int_t)0, "balance", (json_int_t)0, "counters", json_object(),
                    "parked", json_object(), "dead", json_object());
    text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_decref(doc);
    if (text) {
        ls_http_status(status->http, text);
        publish(status, "standby", ls_str_of(text));
    }
    free(text);
}

void
ap_status_tell(struct ap_status *status, struct ap_core *core, bool at_once)
{
    int64_t began = ls_mono_ms(), took;
    int64_t every = ls_config_int(status->config, "lockstep", "status_ms");
    char why[160], *text;
    json_t *doc;
    bool known;

    alive(status);
    if (!at_once && began < status->next_ms)
        return;
    if (!status->starting)
        snprintf(status->why, sizeof(status->why), "%s",
                 core->target.paused ? core->target.why : core->bucket.why);
    /* counting has a bound of its own: while it is slow, old numbers are told, and in time */
    known = ap_open_count(core, &status->open, at_once);
    began = ls_mono_ms();
    doc = known ? document(status, core, ls_now_us()) : NULL;
    text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_decref(doc);
    snprintf(why, sizeof(why), "%s", status->why);
    ls_http_ready(status->http, why[0] ? why : NULL);
    if (text) {
        ls_http_status(status->http, text);
        publish(status, "apply", ls_str_of(text));
    }
    free(text);
    took = ls_mono_ms() - began;
    status->next_ms = ls_mono_ms() + (took * 20 > every ? took * 20 : every);
}
