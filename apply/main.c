/*
 * lockstep-apply: the loop.
 *
 * A round: answers, records, plans, one commit, then the calls go out. The ledger's own offsets
 * decide where reading begins; the group's offsets in Kafka follow them, so that lag shows. What
 * can go wrong: Kafka away (librdkafka goes on trying, the calls go on meanwhile); the target away
 * (everything pauses, records are still taken in), or refusing for a moment (run/refusal.c); a
 * ledger older than what the topics keep (FATAL, a new snapshot is needed); the ledger not writable
 * (FATAL before anything is sent).
 */
#include "apply/cs3/cs3.h"
#include "apply/intake/replay.h"
#include "apply/lease.h"
#include "apply/ledger/mirror.h"
#include "apply/ledger/mirror_rows.h"
#include "apply/plan/sought.h"
#include "apply/status.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/records.h"
#include "common/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARENA_CAP (16u << 20)
#define STOP_MS 30000
#define ROUND_MS 40 /* one commit for the answers of this time... */
#define BUSY_MS 100 /* ... and of this one, while the workers have enough to do */

/* The last is no part of a ledger that is made anew: its records were acted upon. */
static const char *const topic_names[] = {"cs3.person", "cs3.space",      "cs3.resource",
                                          "cs3.share",  "cs3.annotation", LS_REPLAY_TOPIC};
#define N_TOPICS (sizeof(topic_names) / sizeof(topic_names[0]))

struct apply {
    struct ls_config *config;
    struct ap_ledger *ledger;
    struct ap_writer *writer;
    struct ap_objects *objects; /* NULL: ownCloud has no bucket */
    struct ap_core *core;
    struct ls_consumer *consumer;
    struct ls_producer *producer;
    struct ap_mirror *mirror; /* NULL: none is wanted */
    enum ap_mirror_todo todo;
    struct ls_arena *arena;
    struct ls_message **batch;
    size_t n_batch, n_batch_max, prefix_len;
    int64_t commit_at;
    int64_t trimmed;
    bool subscribed;
    bool moved;  /* offsets since the last commit to the group */
    bool rejoin; /* the group anew, before the next poll */
    struct ap_status status;
    struct ap_latency *latency;
    struct ap_replay_guard replay;
};

static const char *
short_name(const struct apply *a, const char *topic)
{
    return strlen(topic) > a->prefix_len ? topic + a->prefix_len + 1 : topic;
}

static void
on_rebalance(void *arg, bool assigned, struct ls_partition *parts, size_t n)
{
    struct apply *a = arg;

    for (size_t i = 0; assigned && i < n; i++)
        parts[i].offset =
            ap_number(a->ledger, LS_OFFSET_BEGINNING,
                      "SELECT next FROM offset WHERE topic = ? AND partition = ?"
                      " AND next > 0",
                      "si", short_name(a, parts[i].topic), (int64_t)parts[i].partition);
    ls_log(LS_INFO, assigned ? "assigned" : "revoked", LS_I("partitions", n));
}

/* ---- starting */

/* A dry run makes nothing that anybody could go on with. */
static bool
is_mirrored(const struct ls_config *config)
{
    return ls_config_bool(config, "apply", "mirror") &&
           strcmp(ls_config_str(config, "apply", "writer"), "null") != 0;
}

static int
topics_ensure(struct apply *a, struct ls_err *err)
{
    int partitions = (int)ls_config_int(a->config, "lockstep", "partitions");
    const struct ls_topic_spec specs[] = {
        {ls_config_topic(a->config, "cs3.person"), 1, LS_KEPT_LAST},
        {ls_config_topic(a->config, "cs3.space"), 1, LS_KEPT_LAST},
        {ls_config_topic(a->config, "cs3.share"), 1, LS_KEPT_LAST},
        {ls_config_topic(a->config, "cs3.annotation"), 1, LS_KEPT_LAST},
        {ls_config_topic(a->config, "cs3.resource"), partitions, LS_KEPT_LAST},
        {ls_config_topic(a->config, LS_REPLAY_TOPIC), partitions, LS_KEPT_14_DAYS},
        {ls_config_topic(a->config, "dlq"), 1, false},
        {ls_config_topic(a->config, "status"), 1, LS_KEPT_STATE},
        {ls_config_topic(a->config, "ledger"), 1, LS_KEPT_STATE},
        {ls_config_topic(a->config, "applier"), 1, LS_KEPT_STATE},
    };

    /* the mirror's are the last */
    return ls_topics_ensure(
        a->config, specs, sizeof(specs) / sizeof(specs[0]) - (is_mirrored(a->config) ? 0 : 2), err);
}

static int
data_check(const struct ls_config *config, struct ls_err *err)
{
    const char *root = ls_config_str(config, "data", "root");
    struct stat st;

    if (root && (stat(root, &st) < 0 || !S_ISDIR(st.st_mode)))
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "data",
                             "[data] root %s is not a folder that can be read", root);
    return 0;
}

static int
writer_make(struct apply *a, struct ls_err *err)
{
    const char *name = ls_config_str(a->config, "apply", "writer");
    const char *drift = ls_config_str(a->config, "apply", "drift");
    const char *match_by = ls_config_str(a->config, "people", "match_by");

    if (strcmp(drift, "stop") != 0 && strcmp(drift, "source-wins") != 0)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "option",
                             "[apply] drift is %s; it may be stop or source-wins", drift);
    if (strcmp(match_by, "name") != 0 && strcmp(match_by, "ldap-uuid") != 0)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "option",
                             "[people] match_by is %s; it may be name or ldap-uuid", match_by);
    if (strcmp(name, "ocis-api") == 0)
        return ap_ocis_api_new(a->config, ap_status_call, a->status.metrics, &a->writer, err);
    if (strcmp(name, "null") == 0)
        return ap_null_new(a->config, ap_status_call, a->status.metrics, &a->writer, err);
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "option",
                         "[apply] writer is %s; it may be ocis-api or null", name);
}

static void
options_read(const struct ls_config *config, struct ap_options *ret)
{
    *ret = (struct ap_options){
        .workers = (int)ls_config_int(config, "apply", "workers"),
        .window_ms = ls_config_int(config, "apply", "window_ms"),
        .retry_first_ms = 200,
        .retry_max_ms = ls_config_int(config, "apply", "retry_max_ms"),
        .content_tries = (int)ls_config_int(config, "apply", "content_tries"),
        .probe_ms = ls_config_int(config, "apply", "probe_ms"),
        .versions = ls_config_bool(config, "apply", "versions"),
        .content_margin_us = 2000000,
        .sweep_max_percent = (int)ls_config_int(config, "apply", "sweep_max_percent"),
        .sweep_max_items = ls_config_int(config, "apply", "sweep_max_items"),
        .match_ldap = cs3_match_wanted(config),
        .drift_stop = strcmp(ls_config_str(config, "apply", "drift"), "stop") == 0,
        .default_quota = ls_config_int(config, "people", "default_quota"),
        .disable_deleted = strcmp(ls_config_str(config, "people", "on_delete"), "disable") == 0,
    };
    if (ret->retry_first_ms > ret->retry_max_ms)
        ret->retry_first_ms = ret->retry_max_ms;
}

/* Signs in. A target that is away is waited for, and for a while one that refuses; one that can
 * never work is FATAL. */
static int
writer_open(struct apply *a, struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 5000};
    struct ap_refusal refusal = {0};
    bool told = false;

    while (a->writer->ops->open(a->writer, err) < 0) {
        if ((err->kind == LS_ERR_FATAL && !ap_refusal_may_pass(&refusal, err, ls_mono_ms())) ||
            (a->mirror && ap_mirror_is_fenced(a->mirror, err)))
            return -1;
        if (!told)
            ls_log_err(LS_WARN, "target-not-ready", err);
        told = true;
        ls_run_notify_ready();
        snprintf(a->status.why, sizeof(a->status.why), "%s", err->cause[0] ? err->cause : "target");
        ap_status_tell(&a->status, a->core, false);
        if (ls_run_stopping())
            return 0;
        ls_run_sleep_ms(ls_backoff_next_ms(&backoff));
        memset(err, 0, sizeof(*err));
    }
    return 0;
}

/* ---- the mirror, and the right to apply */

static void
tell_standby(void *arg)
{
    struct apply *a = arg;

    ls_run_notify_ready();
    ls_run_notify_alive();
    ap_status_standby(&a->status, true);
}

static int64_t
through(const void *arg)
{
    return ap_mirror_through(arg);
}

/* Not mirrored: should it be again, everything counts as changed. */
static int
mirror_off(struct apply *a, struct ls_err *err)
{
    if (ap_ledger_begin(a->ledger, err) < 0 || ap_mirror_unwatch(a->ledger, err) < 0)
        return -1;
    ap_exec(a->ledger, "INSERT OR REPLACE INTO meta(key, value) VALUES('mirror-off', '1')", NULL);
    ap_exec(a->ledger, "DELETE FROM changed", NULL);
    return ap_ledger_commit(a->ledger, err);
}

/* The ledger is another one's, or gone: made anew, but for what the records say. */
static int
ledger_anew(struct apply *a, struct ls_err *err)
{
    bool from_target = a->todo == AP_MIRROR_FROM_TARGET;
    const char *path = ls_config_str(a->config, "apply", "ledger");

    snprintf(a->status.why, sizeof(a->status.why), "rebuilding the ledger");
    ls_http_ready(a->status.http, a->status.why);
    ap_ledger_close(a->ledger);
    a->ledger = NULL;
    if (ap_ledger_put_aside(path, err) < 0 || ap_ledger_open(path, &a->ledger, err) < 0)
        return -1;
    if (from_target)
        return ap_rebuild_without_rows(a->ledger, a->mirror, err);
    if (ap_rebuild_rows(a->config, a->ledger, a->mirror, err) < 0 ||
        ap_ledger_begin(a->ledger, err) < 0 || ap_mirror_watch(a->ledger, err) < 0)
        return -1;
    return ap_ledger_commit(a->ledger, err);
}

/* A Kafka that does not answer, or has no leader yet for a topic just made, is waited for: -1 when
 * *err says something else, or we are to stop. */
static int
kafka_wait(struct apply *a, struct ls_backoff *backoff, struct ls_err *err)
{
    if (err->kind != LS_ERR_RETRY || ls_run_stopping())
        return -1;
    ls_log_err(LS_WARN, "kafka-not-ready", err);
    ls_http_ready(a->status.http, err->cause[0] ? err->cause : "kafka");
    ls_run_notify_ready();
    ls_run_sleep_ms(ls_backoff_next_ms(backoff));
    memset(err, 0, sizeof(*err));
    return 0;
}

static int
kafka_enter(struct apply *a, struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 5000};

    while (topics_ensure(a, err) < 0)
        if (kafka_wait(a, &backoff, err) < 0)
            return -1;
    return 0;
}

static int
mirror_enter(struct apply *a, enum ap_if_lost if_lost, struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 5000};

    while (ap_mirror_enter(a->config, a->ledger, if_lost, tell_standby, a, &a->mirror, &a->todo,
                           err) < 0)
        if (kafka_wait(a, &backoff, err) < 0)
            return -1;
    return 0;
}

/* Without a mirror: is this the ledger that was worked with? */
static int
lost_check(struct apply *a, enum ap_if_lost if_lost, struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 5000};
    bool lost = false;

    if (strcmp(a->writer->name, "null") == 0)
        return 0;
    while (ap_ledger_lost(a->config, a->ledger, false, if_lost, &lost, err) < 0)
        if (kafka_wait(a, &backoff, err) < 0)
            return -1;
    if (lost)
        a->todo = AP_MIRROR_FROM_TARGET;
    return 0;
}

/* Returns with a ledger and a core; -1 with *err. */
static int
take_office(struct apply *a, const struct ap_options *options, enum ap_if_lost if_lost,
            struct ls_err *err)
{
    bool anew;

    a->todo = AP_MIRROR_GO_ON;
    if (!is_mirrored(a->config)) {
        if (lost_check(a, if_lost, err) < 0 ||
            (a->todo == AP_MIRROR_GO_ON && mirror_off(a, err) < 0))
            return -1;
    } else if (mirror_enter(a, if_lost, err) < 0) {
        return -1;
    }
    if (a->todo == AP_MIRROR_STOP)
        return 0;
    ap_status_standby(&a->status, false);
    anew = a->todo == AP_MIRROR_REBUILD || a->todo == AP_MIRROR_FROM_TARGET;
    if (anew && ledger_anew(a, err) < 0)
        return -1;
    if (ap_core_new(a->ledger, a->writer, a->config, options, &a->core, err) < 0)
        return -1;
    if (anew && ap_rebuild_records(a->config, a->core, topic_names, N_TOPICS - 1,
                                   a->todo == AP_MIRROR_FROM_TARGET, err) < 0)
        return -1;
    if (!a->mirror)
        return 0;
    if (a->todo == AP_MIRROR_FROM_TARGET)
        a->todo = AP_MIRROR_FILL;
    a->core->through = through;
    a->core->through_arg = a->mirror;
    a->status.mirror = a->mirror;
    return ap_mirror_follow(a->mirror, a->ledger, a->todo, ap_nudge, a->core, err);
}

/* After a commit: what is to go through the mirror, and what has. */
static int
mirror_step(struct apply *a, struct ls_err *err)
{
    if (!a->mirror)
        return 0;
    a->core->logged = ap_mirror_last(a->ledger);
    ap_mirror_changed(a->mirror, a->core->logged, ap_is_hungry(a->core));
    if (ap_mirror_is_fenced(a->mirror, err))
        return -1;
    if (!a->core->target.paused && !ap_lease_held()) {
        ls_log(LS_WARN, "no-lease", LS_S("why", "no answer from Kafka; nothing is called"));
        a->core->target.paused = true;
        a->core->target.until = ls_now_ms() + 500;
        snprintf(a->core->target.why, sizeof(a->core->target.why), "no-lease");
    }
    return 0;
}

/* In one transaction: calls in doubt, sweeps that may go now, and all offsets when asked to. */
static int
ledger_prepare(struct apply *a, bool from_start, struct ls_err *err)
{
    if (ap_ledger_begin(a->ledger, err) < 0)
        return -1;
    if (from_start)
        ap_exec(a->ledger, "UPDATE offset SET next = 0 WHERE topic <> 'replay'", NULL);
    ap_people_match(a->core);
    ap_recover(a->core);
    ap_shares_make_exact(a->core);
    ap_sweep_waiting(a->core);
    if (ap_ledger_commit(a->ledger, err) < 0)
        return -1;
    return mirror_step(a, err);
}

static int
start(struct apply *a, bool from_start, struct ls_err *err)
{
    struct ap_options options;
    enum ap_if_lost if_lost;
    char group[256];
    const char *prefix = ls_config_str(a->config, "lockstep", "prefix");

    a->prefix_len = strlen(prefix);
    a->n_batch_max = (size_t)ls_config_int(a->config, "apply", "batch_records");
    a->arena = ls_arena_new(ARENA_CAP);
    a->batch = calloc(a->n_batch_max, sizeof(struct ls_message *));
    a->status = (struct ap_status){.config = a->config,
                                   .started_us = ls_now_us(),
                                   .starting = true,
                                   .why = "starting",
                                   .metrics = ls_metrics_new("apply", ap_metrics)};
    a->latency = ap_latency_new(ap_status_latency, a->status.metrics);
    if (!a->arena || !a->batch || !a->status.metrics || !a->latency)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    options_read(a->config, &options);
    a->replay.prefix = ls_str_of(prefix);
    a->replay.max_ahead_s = ls_config_int(a->config, "control", "max_age_s");
    if (ls_control_key(a->config, &a->replay.key, err) < 0 || data_check(a->config, err) < 0 ||
        ap_objects_new(a->config, &a->objects, err) < 0 || writer_make(a, err) < 0 ||
        ls_http_start(a->config, a->status.metrics, &a->status.http, NULL, err) < 0 ||
        ap_ledger_open(ls_config_str(a->config, "apply", "ledger"), &a->ledger, err) < 0)
        return -1;
    ls_schemas_attach(a->config); /* a writer may be newer, or use a registry's framing */
    if (kafka_enter(a, err) < 0 || ls_producer_new(a->config, NULL, &a->producer, err) < 0)
        return -1;
    a->status.producer = a->producer;
    if_lost = from_start                                      ? AP_LOST_FIRST_DAY
              : ls_config_bool(a->config, "apply", "rebuild") ? AP_LOST_REBUILD
                                                              : AP_LOST_REFUSE;
    if (take_office(a, &options, if_lost, err) < 0)
        return -1;
    if (a->todo == AP_MIRROR_STOP)
        return 0;
    a->core->latency = a->latency;
    a->core->objects = a->objects;
    ap_ledger_measure(a->ledger, a->latency);
    if (writer_open(a, err) < 0)
        return -1;
    if (ledger_prepare(a, from_start, err) < 0 || ap_workers_start(a->core, err) < 0)
        return -1;
    snprintf(group, sizeof(group), "%s-apply%s", prefix,
             strcmp(a->writer->name, "null") == 0 ? "-dry-run" : "");
    if (ls_consumer_new(a->config, group, &a->consumer, err) < 0)
        return -1;
    a->status.consumer = a->consumer;
    a->status.starting = false;
    return 0;
}

/* ---- the loop */

/* What passes does not end a round. */
static int
batch_trouble(struct ls_err *err)
{
    if (err->kind == LS_ERR_FATAL)
        return -1;
    ls_log_err(LS_WARN, "kafka", err);
    memset(err, 0, sizeof(*err));
    return 0;
}

/* Messages until the batch is full or none is there; the first is waited for. */
static int
batch_fill(struct apply *a, int64_t wait_ms, struct ls_err *err)
{
    int64_t until = ls_mono_ms() + 100 + wait_ms;

    if (a->rejoin && ls_consumer_rewind(a->consumer, err) < 0) {
        ls_run_sleep_ms(100);
        return batch_trouble(err);
    }
    a->rejoin = false;
    while (a->n_batch < a->n_batch_max && ls_mono_ms() < until) {
        struct ls_message *message = NULL;
        if (ls_consumer_poll(a->consumer, a->n_batch == 0 ? (int)wait_ms : 0, &message, err) < 0) {
            a->rejoin = strcmp(err->cause, LS_CAUSE_REJOIN) == 0;
            return batch_trouble(err);
        }
        if (!message)
            return 0;
        a->batch[a->n_batch++] = message;
    }
    return 0;
}

static int
batch_take(struct apply *a, struct ls_err *err)
{
    int r = 0;

    for (size_t i = 0; i < a->n_batch; i++) {
        struct ls_message *message = a->batch[i];
        const char *topic = message ? short_name(a, message->topic) : "";
        if (message && r == 0)
            r = strcmp(topic, LS_REPLAY_TOPIC) == 0
                    ? ap_take_replay(a->core, &a->replay, message, a->arena, err)
                    : ap_take_message(a->core, message, topic, a->arena, err);
        ls_arena_reset(a->arena);
        ls_message_free(message);
        a->moved = true;
    }
    a->n_batch = 0;
    return r;
}

static void
batch_drop(struct apply *a)
{
    for (size_t i = 0; i < a->n_batch; i++)
        ls_message_free(a->batch[i]);
    a->n_batch = 0;
}

/* The group's offsets follow the ledger's, for whoever looks at lag. */
static void
group_commit(struct apply *a, bool now)
{
    static struct ls_partition parts[2048];
    char names[N_TOPICS][32];
    struct ls_err err = {0};
    size_t n = 0;

    if (!a->moved || (!now && ls_mono_ms() < a->commit_at))
        return;
    sqlite3_stmt *s =
        ap_query(a->ledger, "SELECT topic, partition, next FROM offset WHERE next > 0", NULL);
    while (n < 2048 && ap_step(a->ledger, s)) {
        ap_text(s, 0, names[0], sizeof(names[0]));
        parts[n++] = (struct ls_partition){ls_config_topic(a->config, names[0]),
                                           sqlite3_column_int(s, 1), sqlite3_column_int64(s, 2)};
    }
    ap_done(s);
    /* Only a view: no round waits for a Kafka that stands still. With the next records it comes
     * again. */
    if (n > 0 && ls_consumer_commit(a->consumer, parts, n, now, &err) < 0)
        ls_log_err(LS_DEBUG, "group-commit", &err);
    else
        a->moved = false;
    a->commit_at = ls_mono_ms() + 1000;
}

static bool
calls_out(const struct ap_core *core)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (core->jobs[i]->queued)
            return true;
    return false;
}

/* What comes now would be about things that are still looked for: a deletion of what nobody has
 * found yet would be none. So they are found first, as far as they can be. */
static int
subscribe(struct apply *a, struct ls_err *err)
{
    const char *topics[N_TOPICS];

    if (a->subscribed || !ap_sought_rests(a->core))
        return 0;
    a->subscribed = true;
    for (size_t i = 0; i < N_TOPICS; i++)
        topics[i] = ls_config_topic(a->config, topic_names[i]);
    return ls_consumer_subscribe(a->consumer, topics, N_TOPICS, on_rebalance, a, err);
}

static int
ap_round(struct apply *a, bool stopping, struct ls_err *err)
{
    int64_t idle = stopping ? 20 : ap_idle_ms(a->core, 100);

    if (!stopping && subscribe(a, err) < 0)
        return -1;
    if (!a->subscribed && idle > 0 && !calls_out(a->core) && ap_held(a->core) == 0) {
        ls_run_sleep_ms(idle);
        idle = 0;
    }

    if (idle > 0 && (calls_out(a->core) || ap_held(a->core) > 0)) {
        ap_wait_answers(a->core, idle < ROUND_MS ? idle : ROUND_MS,
                        idle < BUSY_MS ? idle : BUSY_MS);
        idle = 0;
    }
    if (!stopping && a->subscribed && batch_fill(a, idle, err) < 0)
        return -1;
    if (ap_ledger_begin(a->ledger, err) < 0)
        return -1;
    ap_settle(a->core);
    if (batch_take(a, err) < 0)
        return -1;
    if (!stopping)
        ap_plan(a->core);
    if (a->mirror && ap_mirror_through(a->mirror) > a->trimmed) {
        a->trimmed = ap_mirror_through(a->mirror);
        ap_mirror_given(a->ledger, a->trimmed);
    }
    if (ap_ledger_commit(a->ledger, err) < 0 || mirror_step(a, err) < 0)
        return -1;
    if (a->core->fatal.kind != LS_ERR_NONE) {
        *err = a->core->fatal;
        return -1;
    }
    if (!stopping)
        ap_send(a->core);
    if (ap_letters_send(a->core, a->producer, ls_config_topic(a->config, "dlq"), err) < 0) {
        if (err->kind == LS_ERR_FATAL)
            return -1;
        memset(err, 0, sizeof(*err)); /* the letters are still in the ledger */
    }
    group_commit(a, stopping);
    ap_status_tell(&a->status, a->core, stopping);
    ls_run_notify_alive();
    return 0;
}

static int
loop(struct apply *a, struct ls_err *err)
{
    int64_t until = 0;

    ls_run_notify_ready();
    while (!ls_run_stopping())
        if (ap_round(a, false, err) < 0)
            return -1;
    /* What is in flight is waited for; what does not answer in time is doubtful next time. */
    ls_log(LS_INFO, "stopping", LS_I("in_flight", a->core->n_jobs));
    until = ls_mono_ms() + STOP_MS;
    ap_take_back(a->core);
    do {
        if (ap_round(a, true, err) < 0)
            return -1;
    } while (calls_out(a->core) && ls_mono_ms() < until);
    return 0;
}

static void
stop(struct apply *a, bool in_order)
{
    batch_drop(a);
    ls_consumer_free(a->consumer);
    if (a->core)
        ap_workers_stop(a->core);
    if (!ap_mirror_leave(a->mirror, in_order)) /* which nudges the core, and reads the config */
        return;
    ap_core_free(a->core);
    if (a->writer)
        ap_writer_free(a->writer);
    ap_objects_free(a->objects);
    ls_producer_free(a->producer);
    ap_ledger_close(a->ledger);
    ls_http_stop(a->status.http);
    ls_metrics_free(a->status.metrics);
    ap_open_free(&a->status.open);
    ap_latency_free(a->latency);
    ls_arena_free(a->arena);
    free(a->batch);
    ls_config_free(a->config);
}

static int
exit_status(const struct ls_err *err)
{
    static const struct {
        const char *cause;
        enum ls_exit status;
    } table[] = {
        {"control-key", LS_EXIT_USAGE},
        {"data", LS_EXIT_DATA},
        {"option", LS_EXIT_USAGE},
        {"target-config", LS_EXIT_TARGET},
        {"sign-in", LS_EXIT_TARGET},
        {"fenced", LS_EXIT_FENCED},
        {"offset-lost", LS_EXIT_PURGED},
        {"standby", LS_EXIT_FENCED},
        {"ledger-lost", LS_EXIT_PURGED},
        {"topics", LS_EXIT_KAFKA},
        {"kafka", LS_EXIT_KAFKA},
        {"kafka-authentication", LS_EXIT_KAFKA},
        {"kafka-authorization", LS_EXIT_KAFKA},
        {"kafka-policy", LS_EXIT_KAFKA},
        {"kafka-version", LS_EXIT_KAFKA},
    };

    if (err->kind == LS_ERR_RETRY) /* nobody has to mend it: a new start may be all */
        return LS_EXIT_FAILURE;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(err->cause, table[i].cause) == 0)
            return (int)table[i].status;
    return LS_EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    static const char *const extra[] = {"--from-start", NULL};
    static struct apply a;
    struct ls_err err = {0};
    bool from_start = false;
    int status = LS_EXIT_OK, r;

    r = ls_config_main(argc, argv, "lockstep-apply", extra, &from_start, &a.config, &status, &err);
    if (r < 0) {
        ls_log_err(LS_ERROR, "config", &err);
        return status;
    }
    if (r > 0)
        return status;
    ls_run_signals();
    ls_log(LS_INFO, "start", LS_S("version", LS_VERSION));
    r = start(&a, from_start, &err);
    if (r == 0 && !ls_run_stopping())
        r = loop(&a, &err);
    if (r < 0 && !(ls_run_stopping() && err.kind == LS_ERR_RETRY)) { /* asked to while it waited */
        ls_log_err(LS_ERROR, "fatal", &err);
        status = exit_status(&err);
    }
    stop(&a, status == LS_EXIT_OK);
    if (status == LS_EXIT_OK)
        ls_log(LS_INFO, "stopped");
    return status;
}
