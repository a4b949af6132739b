/*
 * Status and metrics, from the position and a few facts of the loop.
 *
 * Counters come from the position, so a crash does not reset them; the rate and what is called
 * "since the start" are this process's own. What can go wrong: the status topic's producer fails.
 * That never stops capture, the next second tries again.
 */
#include "capture/status.h"
#include "common/estimate.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/run.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_US 60000000

enum {
    M_ROWS,
    M_PUBLISHED,
    M_FILTERED,
    M_DEAD,
    M_LAG,
    M_EVENTS,
    M_COMMITS,
    M_RECONNECTS,
    M_SNAPSHOT_ROWS,
    M_SNAPSHOT_ESTIMATE,
    M_SNAPSHOT_RUNNING,
    M_BINLOG_FILE,
    M_BINLOG_POSITION,
    M_TRANSACTION_AGE,
    M_GTID_GAPS,
    M_REPEATED,
    M_BALANCE,
    M_ACTIVE,
    M_COMMANDS,
    M_SNAPSHOT_RATE,
    M_SNAPSHOT_ETA,
    M_HEADROOM_FILES,
    M_HEADROOM_BYTES,
    M_HEADROOM_SECONDS,
    M_LAG_BYTES,
    M_LAG_RECORDS,
    M_IN_FLIGHT,
    M_READ_BYTES,
    M_SENT_BYTES,
    M_RETRIES,
    M_PROGRESS,
    M_SNAPSHOT_WAITS,
};

const struct ls_metric cap_metrics[] = {
    [M_ROWS] = {"lockstep_capture_rows_total", LS_COUNTER, "table", "Watched rows seen."},
    [M_PUBLISHED] = {"lockstep_capture_published_total", LS_COUNTER, NULL, "Records published."},
    [M_FILTERED] = {"lockstep_capture_filtered_total", LS_COUNTER, "reason",
                    "Rows left out on purpose."},
    [M_DEAD] = {"lockstep_capture_dead_letters_total", LS_COUNTER, "cause",
                "Rows in the dead letters."},
    [M_LAG] = {"lockstep_capture_lag_seconds", LS_GAUGE, NULL,
               "Now minus how far the source was read."},
    [M_EVENTS] = {"lockstep_capture_events_total", LS_COUNTER, NULL,
                  "Binlog events since the start."},
    [M_COMMITS] = {"lockstep_capture_commits_total", LS_COUNTER, NULL,
                   "Kafka transactions since the start."},
    [M_RECONNECTS] = {"lockstep_capture_reconnects_total", LS_COUNTER, NULL,
                      "Connections to the source that were made again."},
    [M_SNAPSHOT_ROWS] = {"lockstep_capture_snapshot_rows", LS_GAUGE, NULL,
                         "Rows of the last snapshot so far."},
    [M_SNAPSHOT_ESTIMATE] = {"lockstep_capture_snapshot_estimate", LS_GAUGE, NULL,
                             "Rows the source expected it to have."},
    [M_SNAPSHOT_RUNNING] = {"lockstep_capture_snapshot_running", LS_GAUGE, NULL,
                            "1 while a snapshot is running."},
    [M_BINLOG_FILE] = {"lockstep_capture_binlog_file", LS_GAUGE, NULL,
                       "Number at the end of the binlog file's name."},
    [M_BINLOG_POSITION] = {"lockstep_capture_binlog_position_bytes", LS_GAUGE, NULL,
                           "End of the last transaction in it."},
    [M_TRANSACTION_AGE] = {"lockstep_capture_last_transaction_age_seconds", LS_GAUGE, NULL,
                           "Age of the last transaction that was read."},
    [M_GTID_GAPS] = {"lockstep_capture_gtid_gaps_total", LS_COUNTER, NULL,
                     "Numbers left out in the GTIDs of a domain or server."},
    [M_REPEATED] = {"lockstep_capture_repeated_transactions_total", LS_COUNTER, NULL,
                    "Transactions that the source sent again and that were not published twice."},
    [M_BALANCE] = {"lockstep_capture_balance", LS_GAUGE, NULL,
                   "Watched - published - filtered - dead; not 0: rows were lost."},
    [M_ACTIVE] = {"lockstep_capture_active", LS_GAUGE, NULL,
                  "1; 0 while it stands by behind another capture."},
    [M_COMMANDS] = {"lockstep_capture_commands_total", LS_COUNTER, "result",
                    "Records of the control topic, by what became of them."},
    [M_SNAPSHOT_RATE] = {"lockstep_capture_snapshot_rows_per_second", LS_GAUGE, NULL,
                         "How fast the snapshot goes; 0: none runs."},
    [M_SNAPSHOT_ETA] = {"lockstep_capture_snapshot_eta_seconds", LS_GAUGE, NULL,
                        "Until it should end, by rate and estimate; -1: not known."},
    [M_HEADROOM_FILES] = {"lockstep_capture_binlog_headroom_files", LS_GAUGE, NULL,
                          "Binlog files at the source that are older than the one with our "
                          "position, and so are purged before it; NaN: not known."},
    [M_HEADROOM_BYTES] = {"lockstep_capture_binlog_headroom_bytes", LS_GAUGE, NULL, "Their bytes."},
    [M_HEADROOM_SECONDS] = {"lockstep_capture_binlog_headroom_seconds", LS_GAUGE, NULL,
                            "At least so long until age alone lets the source purge what was not "
                            "read; NaN: not known, or it does not purge by age."},
    [M_LAG_BYTES] = {"lockstep_capture_lag_bytes", LS_GAUGE, NULL,
                     "Binlog at the source behind our position, as of the last look "
                     "([source] headroom_ms); NaN: not known."},
    [M_LAG_RECORDS] = {"lockstep_capture_lag_estimated_records", LS_GAUGE, NULL,
                       "About how many watched rows those bytes are: by the binlog's bytes per "
                       "watched row lately; NaN: not known, or none was seen since the start."},
    [M_IN_FLIGHT] = {"lockstep_capture_in_flight", LS_GAUGE, NULL,
                     "Records in the Kafka transaction that is open."},
    [M_READ_BYTES] = {"lockstep_capture_read_bytes_total", LS_COUNTER, NULL,
                      "Binlog events read since the start."},
    [M_SENT_BYTES] = {"lockstep_capture_sent_bytes_total", LS_COUNTER, NULL,
                      "Keys and values given to Kafka since the start."},
    [M_RETRIES] = {"lockstep_capture_retries_total", LS_COUNTER, "cause",
                   "Failures after which it went on from the position, by cause."},
    [M_PROGRESS] = {"lockstep_capture_last_progress_timestamp_seconds", LS_GAUGE, NULL,
                    "When rows were committed last, since 1970; 0: not since the start."},
    [M_SNAPSHOT_WAITS] = {"lockstep_capture_snapshot_waits", LS_GAUGE, NULL,
                          "1 while the snapshot waits for the stream."},
    {NULL, LS_COUNTER, NULL, NULL},
};

struct cap_status {
    const struct ls_config *config;
    struct ls_metrics *metrics;
    struct ls_http *http;
    struct ls_producer *producer;
    char key[128];
    char why[256]; /* "" ready */
    int64_t ready_until;
    const char *stuck;
    bool standby;
    int64_t started_us;
    int64_t rate_rows, rate_us;
    double rate;
    /* of the snapshot: rows at the last look, and its rate over about ten seconds */
    int64_t snapshot_rows, snapshot_us, snapshot_log_us;
    double snapshot_rate;
    struct ls_mean row;          /* bytes of binlog per watched row */
    int64_t row_bytes, row_rows; /* how much of both is in it */
};

int
cap_status_new(const struct ls_config *config, struct cap_status **ret, struct ls_err *err)
{
    struct cap_status *s = calloc(1, sizeof(*s));

    if (!s)
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory");
    s->config = config;
    s->stuck = "";
    s->started_us = s->rate_us = ls_now_us();
    (void)snprintf(s->key, sizeof(s->key), "capture/%.100s",
                   ls_config_str(config, "lockstep", "instance"));
    (void)snprintf(s->why, sizeof(s->why), "starting");
    s->metrics = ls_metrics_new("capture", cap_metrics);
    if (!s->metrics) {
        free(s);
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory");
    }
    if (ls_http_start(config, s->metrics, &s->http, NULL, err) < 0) {
        ls_metrics_free(s->metrics);
        free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

/* The document under the key so far is nobody's any more. If another capture uses the same key, it
 * writes again within a second. */
static void
forget_document(struct cap_status *s)
{
    struct ls_err err = {0};

    if (s->producer && ls_producer_send(s->producer, ls_config_topic(s->config, "status"), 0,
                                        ls_str_of(s->key), LS_STR_NULL, NULL, 0, &err) < 0)
        ls_log_err(LS_WARN, "status-not-sent", &err);
}

void
cap_status_free(struct cap_status *s)
{
    if (!s)
        return;
    ls_http_stop(s->http);
    if (s->standby)
        forget_document(s);
    if (s->producer)
        (void)ls_producer_flush(s->producer, 1000, NULL);
    ls_producer_free(s->producer);
    ls_metrics_free(s->metrics);
    free(s);
}

int
cap_status_topic(struct cap_status *s, struct ls_err *err)
{
    if (s->producer)
        return 0;
    return ls_producer_new(s->config, NULL, &s->producer, err);
}

void
cap_status_ready(struct cap_status *s, const char *why)
{
    (void)snprintf(s->why, sizeof(s->why), "%s", why ? why : "");
    ls_http_ready(s->http, why);
}

void
cap_status_ready_until(struct cap_status *s, int64_t mono_ms, const char *stuck)
{
    s->ready_until = mono_ms;
    s->stuck = stuck;
    ls_http_ready_until(s->http, mono_ms, stuck);
}

void
cap_status_standby(struct cap_status *s, bool standby)
{
    if (s->standby == standby)
        return;
    forget_document(s);
    s->standby = standby;
    (void)snprintf(s->key, sizeof(s->key), "%s/%.100s", standby ? "standby" : "capture",
                   ls_config_str(s->config, "lockstep", "instance"));
}

static void
set_counter(struct cap_status *s, int id, const char *label, int64_t value)
{
    ls_metric_reach(s->metrics, id, label, (double)value);
}

void
cap_status_retry(struct cap_status *s, const char *cause)
{
    ls_metric_add(s->metrics, M_RETRIES, cause[0] ? cause : "failed", 1);
}

static int64_t
file_number(const char *file)
{
    const char *dot = strrchr(file, '.');

    return dot ? strtoll(dot + 1, NULL, 10) : 0;
}

static int64_t
lag_us(const struct cap_status *s, const struct cap_facts *facts, int64_t now)
{
    int64_t from = facts->read_us ? facts->read_us : facts->position->ts_us;

    if (s->standby)
        return 0;
    if (!from)
        from = s->started_us;
    return from < now ? now - from : 0;
}

/* NaN: not known. */
static double
lag_bytes(const struct cap_facts *facts)
{
    return facts->headroom.known ? (double)facts->headroom.behind : NAN;
}

static double
lag_records(const struct cap_status *s, const struct cap_facts *facts)
{
    return ls_estimate(lag_bytes(facts), 1 / ls_mean_of(&s->row));
}

static void
set_metrics(struct cap_status *s, const struct cap_facts *facts, int64_t now)
{
    const struct cap_position *p = facts->position;
    const struct cap_counters *c = &p->counters;
    const struct cap_headroom_facts *room = &facts->headroom;

    for (int i = 0; i < LS_T_COUNT; i++)
        set_counter(s, M_ROWS, ls_tables[i].name, c->tables[i]);
    for (int i = 0; i < CAP_FILTER_COUNT; i++)
        set_counter(s, M_FILTERED, cap_filter_names[i], c->filtered[i]);
    for (int i = 0; i < CAP_DEAD_COUNT; i++)
        set_counter(s, M_DEAD, cap_dead_names[i], c->dead[i]);
    for (int i = 0; i < CAP_CONTROL_COUNTS; i++)
        set_counter(s, M_COMMANDS, cap_control_names[i], facts->commands[i]);
    set_counter(s, M_PUBLISHED, NULL, c->published);
    set_counter(s, M_EVENTS, NULL, facts->events);
    set_counter(s, M_COMMITS, NULL, facts->commits);
    set_counter(s, M_RECONNECTS, NULL, facts->reconnects);
    set_counter(s, M_GTID_GAPS, NULL, c->gtid_gaps);
    set_counter(s, M_REPEATED, NULL, c->repeated);
    if (s->standby)
        ls_metric_set(s->metrics, M_LAG, NULL, 0);
    else
        ls_metric_set_age(s->metrics, M_LAG, NULL, (double)lag_us(s, facts, now) / 1e6);
    ls_metric_set(s->metrics, M_SNAPSHOT_ROWS, NULL, (double)p->snapshot.rows);
    ls_metric_set(s->metrics, M_SNAPSHOT_ESTIMATE, NULL, (double)p->snapshot.estimate);
    ls_metric_set(s->metrics, M_SNAPSHOT_RUNNING, NULL, p->snapshot.phase == CAP_SNAPSHOT_RUNNING);
    ls_metric_set(s->metrics, M_BINLOG_FILE, NULL, (double)file_number(p->file));
    ls_metric_set(s->metrics, M_BINLOG_POSITION, NULL, (double)p->pos);
    if (p->ts_us)
        ls_metric_set_age(s->metrics, M_TRANSACTION_AGE, NULL, (double)(now - p->ts_us) / 1e6);
    ls_metric_set(s->metrics, M_ACTIVE, NULL, !s->standby);
    ls_metric_set(s->metrics, M_HEADROOM_FILES, NULL, room->known ? (double)room->files : NAN);
    ls_metric_set(s->metrics, M_HEADROOM_BYTES, NULL, room->known ? (double)room->bytes : NAN);
    ls_metric_set(s->metrics, M_HEADROOM_SECONDS, NULL,
                  room->known && room->seconds >= 0 ? (double)room->seconds : NAN);
    ls_metric_set(s->metrics, M_LAG_BYTES, NULL, lag_bytes(facts));
    ls_metric_set(s->metrics, M_LAG_RECORDS, NULL, lag_records(s, facts));
    ls_metric_set(s->metrics, M_BALANCE, NULL, (double)cap_counters_balance(c));
    ls_metric_set(s->metrics, M_IN_FLIGHT, NULL, (double)facts->in_flight);
    set_counter(s, M_READ_BYTES, NULL, facts->bytes);
    set_counter(s, M_SENT_BYTES, NULL, ls_kafka_sent_bytes());
    ls_metric_set(s->metrics, M_PROGRESS, NULL, (double)facts->last_progress_us / 1e6);
    ls_metric_set(s->metrics, M_SNAPSHOT_WAITS, NULL,
                  p->snapshot.phase == CAP_SNAPSHOT_RUNNING && facts->waits);
}

static json_t *
counters_json(const struct cap_facts *facts)
{
    const struct cap_counters *c = &facts->position->counters;
    json_t *o = json_object();

    json_object_set_new(o, "in", json_integer(c->watched));
    json_object_set_new(o, "published", json_integer(c->published));
    json_object_set_new(o, "filtered", json_integer(cap_counters_filtered(c)));
    json_object_set_new(o, "dead", json_integer(cap_counters_dead(c)));
    for (int i = 0; i < CAP_FILTER_COUNT; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "filtered:%s", cap_filter_names[i]);
        json_object_set_new(o, key, json_integer(c->filtered[i]));
    }
    json_object_set_new(o, "events", json_integer(facts->events));
    json_object_set_new(o, "commits", json_integer(facts->commits));
    json_object_set_new(o, "reconnects", json_integer(facts->reconnects));
    json_object_set_new(o, "gtid_gaps", json_integer(c->gtid_gaps));
    json_object_set_new(o, "repeated", json_integer(c->repeated));
    json_object_set_new(o, "snapshots", json_integer(c->snapshots));
    return o;
}

static json_t *
control_json(const struct cap_facts *facts)
{
    json_t *counts = json_object();

    for (int i = 0; i < CAP_CONTROL_COUNTS; i++)
        if (facts->commands[i])
            json_object_set_new(counts, cap_control_names[i], json_integer(facts->commands[i]));
    return json_pack("{s:b, s:o, s:o}", "on", facts->commands_on, "counts", counts, "answers",
                     cap_answers_json(&facts->position->control));
}

/* Seconds until the snapshot should end; -1 where that cannot be told. */
static int64_t
snapshot_eta_s(const struct cap_status *s, const struct cap_snapshot_state *state)
{
    if (state->phase != CAP_SNAPSHOT_RUNNING || s->snapshot_rate < 0.01 ||
        state->rows >= state->estimate)
        return -1;
    return (int64_t)((double)(state->estimate - state->rows) / s->snapshot_rate) + 1;
}

/* The rate, and once a minute a line in the log. */
static void
snapshot_look(struct cap_status *s, const struct cap_facts *facts, int64_t now)
{
    const struct cap_snapshot_state *state = &facts->position->snapshot;
    bool running = state->phase == CAP_SNAPSHOT_RUNNING;
    double seconds = (double)(now - s->snapshot_us) / 1e6, rate;

    if (!running || s->snapshot_us == 0 || state->rows < s->snapshot_rows) {
        s->snapshot_rate = 0;
        s->snapshot_log_us = now;
    } else if (seconds > 0.1) {
        rate = (double)(state->rows - s->snapshot_rows) / seconds;
        s->snapshot_rate = s->snapshot_rate > 0 ? 0.9 * s->snapshot_rate + 0.1 * rate : rate;
    } else {
        return; /* told twice at once, for an answer */
    }
    s->snapshot_rows = state->rows;
    s->snapshot_us = running ? now : 0;
    if (now - s->snapshot_log_us < PROGRESS_US)
        return;
    s->snapshot_log_us = now;
    ls_log(LS_INFO, "snapshot-progress", LS_S("table", facts->table), LS_I("rows", state->rows),
           LS_I("estimate", state->estimate), LS_D("rows_per_second", s->snapshot_rate),
           LS_I("eta_s", snapshot_eta_s(s, state)), LS_I("waits", facts->waits));
}

static json_t *
snapshot_json(const struct cap_status *status, const struct cap_facts *facts)
{
    const struct cap_snapshot_state *s = &facts->position->snapshot;

    return json_pack("{s:f, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:I, s:I}", "rate",
                     status->snapshot_rate, "eta_s", (json_int_t)snapshot_eta_s(status, s),
                     "method", facts->method, "waits",
                     s->phase == CAP_SNAPSHOT_RUNNING && facts->waits ? "for the stream" : "",
                     "state", cap_phase_names[s->phase], "table", facts->table, "rows",
                     (json_int_t)s->rows, "estimate", (json_int_t)s->estimate, "storages",
                     s->chosen.n_storages, "storages_done", s->storage, "users", s->chosen.n_users,
                     "started_us", (json_int_t)s->started_us, "ended_us", (json_int_t)s->ended_us);
}

/* null: not known. */
static json_t *
headroom_json(const struct cap_headroom_facts *room)
{
    json_t *o;

    if (!room->known)
        return json_null();
    o = json_pack("{s:I, s:I, s:I}", "files", (json_int_t)room->files, "bytes",
                  (json_int_t)room->bytes, "behind", (json_int_t)room->behind);
    json_object_set_new(o, "seconds",
                        room->seconds < 0 ? json_null() : json_integer(room->seconds));
    return o;
}

static char *
document(const struct cap_status *s, const struct cap_facts *facts, int64_t now)
{
    const struct cap_position *p = facts->position;
    bool stuck = s->ready_until > 0 && ls_mono_ms() > s->ready_until;
    const char *why = s->why[0] ? s->why : stuck ? s->stuck : "";
    char gtids[CAP_GTID_SET_TEXT], *text;
    json_t *root = json_object(), *dead = json_object();

    cap_gtid_set_print(&p->gtids, gtids);
    for (int i = 0; i < CAP_DEAD_COUNT; i++)
        if (p->counters.dead[i])
            json_object_set_new(dead, cap_dead_names[i], json_integer(p->counters.dead[i]));
    json_object_set_new(root, "stage", json_string("capture"));
    json_object_set_new(root, "instance",
                        json_string(ls_config_str(s->config, "lockstep", "instance")));
    json_object_set_new(root, "version", json_string(LS_VERSION));
    json_object_set_new(root, "time_us", json_integer(now));
    json_object_set_new(root, "started_us", json_integer(s->started_us));
    json_object_set_new(root, "ready", json_boolean(!why[0]));
    json_object_set_new(root, "why", json_string(s->standby ? "standby" : why));
    json_object_set_new(root, "standby", json_boolean(s->standby));
    json_object_set_new(root, "lag_us", json_integer(lag_us(s, facts, now)));
    json_object_set_new(root, "lag_records", ls_estimate_json(lag_records(s, facts)));
    json_object_set_new(root, "lag_bytes", ls_estimate_json(lag_bytes(facts)));
    json_object_set_new(root, "lag_estimated", json_string("records"));
    json_object_set_new(root, "last_progress_us", json_integer(facts->last_progress_us));
    json_object_set_new(root, "counters", counters_json(facts));
    json_object_set_new(root, "balance", json_integer(cap_counters_balance(&p->counters)));
    json_object_set_new(root, "parked", json_object());
    json_object_set_new(root, "dead", dead);
    json_object_set_new(root, "snapshot", snapshot_json(s, facts));
    json_object_set_new(root, "control", control_json(facts));
    json_object_set_new(root, "rate", json_real(s->rate));
    json_object_set_new(root, "gtid", json_string(gtids));
    json_object_set_new(root, "file", json_string(p->file));
    json_object_set_new(root, "pos", json_integer((json_int_t)p->pos));
    json_object_set_new(root, "server_id", json_integer(p->server_id));
    json_object_set_new(root, "headroom", headroom_json(&facts->headroom));
    json_object_set_new(root, "epoch", json_integer(p->epoch));
    json_object_set_new(root, "counter", json_integer(p->counter));
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

void
cap_status_tick(struct cap_status *s, const struct cap_facts *facts)
{
    int64_t now = ls_now_us();
    struct ls_err err = {0};
    char *text;

    if (now < s->rate_us) { /* the clock was set back */
        s->rate_us = s->snapshot_log_us = now;
        s->snapshot_us = 0;
    }
    if (now > s->rate_us) {
        s->rate = (double)(facts->rows - s->rate_rows) * 1e6 / (double)(now - s->rate_us);
        s->rate_rows = facts->rows;
        s->rate_us = now;
    }
    ls_mean_add(&s->row, (double)(facts->bytes - s->row_bytes),
                (double)(facts->stream_rows - s->row_rows));
    s->row_bytes = facts->bytes;
    s->row_rows = facts->stream_rows;
    snapshot_look(s, facts, now);
    set_metrics(s, facts, now);
    ls_metric_set(s->metrics, M_SNAPSHOT_RATE, NULL, s->snapshot_rate);
    ls_metric_set(s->metrics, M_SNAPSHOT_ETA, NULL,
                  (double)snapshot_eta_s(s, &facts->position->snapshot));
    text = document(s, facts, now);
    if (!text)
        return;
    ls_http_status(s->http, text);
    if (s->producer && ls_producer_send(s->producer, ls_config_topic(s->config, "status"), 0,
                                        ls_str_of(s->key), ls_str_of(text), NULL, 0, &err) < 0)
        ls_log_err(LS_WARN, "status-not-sent", &err);
    free(text);
}
