/*
 * The loop of lockstep-transform, the only place with policy.
 *
 * A batch is one Kafka transaction: the records made, the dead letters, the counters and the
 * offsets of what was read. It is committed after commit_ms or commit_records: its end is meant, so
 * it begins as much earlier as a commit takes of late. With a good deal of rows at hand commit_ms
 * does not count, for the newest of these are old already, and many small transactions would only
 * make them later. Whatever fails with RETRY throws the whole batch away: abort, counters back to
 * the committed ones, the consumer back to the committed offsets, and the same rows come again. A
 * producer that cannot even abort (or fails again at once) is replaced; then the counters are read
 * back, as at a start, because its last commit may have succeeded without telling us. So is one
 * that the broker has fenced for sleeping over its transaction; one that another process has fenced
 * is the end.
 *
 * When the group takes partitions away, the batch is committed first, inside the rebalance: later
 * the offsets of those partitions could no longer be part of it and their records would be sent
 * twice. If that fails, the batch is thrown away as ever.
 */
#include "transform/pipeline.h"

#include "common/kafka.h"
#include "common/log.h"
#include "common/registry.h"
#include "common/run.h"
#include "transform/once.h"
#include "transform/projects.h"
#include "transform/reach.h"
#include "transform/replay.h"
#include "transform/route.h"
#include "transform/store.h"
#include "transform/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_CAP (64u << 20)
#define RECORD_CAP (16u << 20)
#define BEHIND_ROWS 500 /* fetched and not yet taken: there is much to catch up on */
#define BEHIND_MS 500   /* ... then the most between two commits */
#define PUSH_MS 5       /* before its commit a batch sets out: fewer are then waited for */
#define AT_ONCE_MS 1    /* behind a commit */
#define TAKES_OF 8      /* commits: what one takes is known of so many */
#define TELL_MS 50      /* between two looks at the status */
#define FENCED_MS 2000  /* for the one who fenced us to leave a sign */
#define FAILED_MOST 2   /* batches, one behind another: one alone is no trouble */

struct tf_pipeline {
    const struct ls_config *config;
    struct tf_status *status;
    const char *instance; /* source.instance */
    struct tf_known *known;
    struct tf_projects *projects;
    struct tf_tail *tail;
    struct ls_consumer *consumer;
    struct ls_producer *producer;
    struct ls_arena *arena;
    struct ls_buf record;
    struct tf_zone zone;
    struct tf_route_state route;
    char producer_id[160];
    const char *in_topics[LS_T_COUNT + 1]; /* the last one: <p>.replay */
    const char *out_topics[TF_TOPICS];
    const char *dlq;
    struct tf_replay_guard replay;
    struct tf_once *once;
    int partitions;
    int64_t commit_ms, commit_records;
    double takes_ms; /* a commit, of late */

    bool open;    /* a transaction is */
    bool suspect; /* the producer failed; whether its last commit succeeded is not known */
    int64_t opened_ms;
    int64_t waited_since_ms;               /* its oldest row, as far as we know */
    int64_t commit_begun_ms, committed_ms; /* the last one */
    int64_t in_batch;
    int64_t counted; /* of these the transaction's counters know */
    bool pushed;
    int64_t told_ms;
    struct ls_err broken;  /* a rebalance could not commit; kind NONE: all is well */
    int failed;            /* batches, one behind another */
    struct ls_err failure; /* the last one's */
    struct tf_counts counts, committed;
    struct tf_mark mark; /* of this process */
    struct ls_backoff backoff;

    struct tf_reach *reach;
    struct tf_facts facts;
};

/* ---- sending */

static int
send_copies(struct tf_pipeline *p, const struct tf_emit *emit, struct ls_str value,
            const struct ls_header *headers, size_t n_headers, struct ls_err *err)
{
    bool all = emit->partition == TF_ALL_PARTITIONS;
    int32_t first = all ? 0 : emit->partition;
    int32_t last = all ? p->partitions - 1 : first;

    for (int32_t i = first; i <= last; i++) {
        if (ls_producer_send(p->producer, p->out_topics[emit->topic], i, emit->key, value, headers,
                             n_headers, err) < 0)
            return -1;
    }
    return 0;
}

/* Looked for only where one is due: a deletion without a record carries its place with it. */
static const struct ls_str *
seq_of(const struct tf_result *result, const struct ls_message *m)
{
    for (size_t i = 0; i < result->n; i++) {
        if (!result->emits[i].record)
            return ls_message_header(m, "seq");
    }
    return NULL;
}

/* `gtid`: of the row's transaction, so that a replay can choose by it; null: none. */
static int
send_result(struct tf_pipeline *p, const struct tf_result *result, const struct ls_message *m,
            struct ls_str gtid, struct ls_err *err)
{
    const struct ls_str *seq = seq_of(result, m);
    const struct ls_header headers[] = {{"gtid", gtid}, {"seq", seq ? *seq : LS_STR_NULL}};
    const size_t first = gtid.n ? 0 : 1; /* of the headers that there are */
    struct ls_str values[TF_MAX_EMITS];

    if (tf_encode(result, &p->record, values, err) < 0)
        return -1;
    for (size_t i = 0; i < result->n; i++) {
        const struct tf_emit *emit = &result->emits[i];

        if (send_copies(p, emit, values[i], headers + first,
                        1 - first + (!emit->record && seq ? 1 : 0), err) < 0)
            return -1;
    }
    return 0;
}

static int
dead_letter(struct tf_pipeline *p, const struct ls_message *m, const struct ls_envelope *e,
            const struct ls_err *why, struct ls_err *err)
{
    char seq[64] = "", partition[16], offset[32], now[40];
    time_t t = (time_t)(ls_now_us() / 1000000);
    struct tm tm;
    struct ls_str value = m->value.p ? m->value : LS_STR("");
    int r;

    if (e)
        ls_seq_print(e->seq, seq, sizeof(seq));
    snprintf(partition, sizeof(partition), "%d", (int)m->partition);
    snprintf(offset, sizeof(offset), "%lld", (long long)m->offset);
    gmtime_r(&t, &tm);
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);

    const struct ls_header headers[] = {
        {"stage", LS_STR("transform")},
        {"cause", ls_str_of(why->cause)},
        {"message", ls_str_of(why->msg)},
        {"attempts", LS_STR("1")},
        {"seq", ls_str_of(seq)},
        {"topic", ls_str_of(m->topic)},
        {"partition", ls_str_of(partition)},
        {"offset", ls_str_of(offset)},
        {"time", ls_str_of(now)},
    };
    const size_t n = sizeof(headers) / sizeof(headers[0]);

    ls_log(LS_WARN, "dead-letter", LS_S("cause", why->cause), LS_S("message", why->msg),
           LS_S("topic", m->topic), LS_I("partition", m->partition), LS_I("offset", m->offset));
    r = ls_producer_send(p->producer, p->dlq, -1, m->key, value, headers, n, err);
    /* Too large even as it came: then at least where it is. */
    if (r < 0 && err->kind == LS_ERR_POISON)
        r = ls_producer_send(p->producer, p->dlq, -1, m->key, LS_STR(""), headers, n, err);
    if (r < 0)
        return -1;
    tf_count(&p->counts, TF_COUNT_DEAD, why->cause);
    return 0;
}

/* ---- one record */

static int
map_envelope(struct tf_pipeline *p, const struct tf_world *world, const struct ls_envelope *e,
             struct tf_result *ret, enum tf_sort *ret_sort, struct ls_err *err)
{
    tf_tail_note(p->tail, e->seq);
    if (tf_route_asks(p->known, e)) {
        ls_metric_add(tf_status_metrics(p->status), TF_M_BARRIERS, NULL, 1);
        if (tf_tail_catch_up(p->tail, err) < 0)
            return -1;
    }
    return tf_route_envelope(world, &p->route, e, p->arena, ret, ret_sort, err);
}

static void
count_row(struct tf_pipeline *p, const struct tf_result *result)
{
    if (result->filtered)
        tf_count(&p->counts, TF_COUNT_FILTERED, result->filtered);
    for (size_t i = 0; i < result->n; i++) {
        if (result->emits[i].counted)
            tf_count(&p->counts, TF_COUNT_OUT, tf_topic_names[result->emits[i].topic]);
    }
    for (size_t i = 0; i < result->n_warnings; i++)
        tf_count(&p->counts, TF_COUNT_WARNING, result->warnings[i]);
}

static int
take_tombstone(struct tf_pipeline *p, const struct tf_world *world, const struct ls_table *table,
               const struct ls_message *m, struct ls_err *err)
{
    const struct ls_str *gtid = ls_message_header(m, "gtid");
    struct tf_result result = {0};

    if (tf_route_tombstone(world, &p->route, table, m->key, p->arena, &result, err) < 0)
        return -1;
    return send_result(p, &result, m, gtid ? *gtid : LS_STR_NULL, err);
}

static int
take(struct tf_pipeline *p, const struct ls_table *table, const struct ls_message *m,
     struct ls_err *err)
{
    struct tf_world world = {.known = p->known,
                             .zone = &p->zone,
                             .reach = p->reach,
                             .instance = p->instance,
                             .partitions = p->partitions,
                             .partition = m->partition};
    struct ls_envelope *e = NULL;
    struct tf_result result = {0};
    enum tf_sort sort = TF_ROW;
    struct ls_err why = {0};

    if (!m->value.p)
        return take_tombstone(p, &world, table, m, err);
    if (ls_envelope_decode(table, m->value, p->arena, &e, &why) < 0 ||
        map_envelope(p, &world, e, &result, &sort, &why) < 0 ||
        send_result(p, &result, m, sort == TF_ROW ? e->gtid : LS_STR_NULL, &why) < 0) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        if (sort == TF_ROW)
            p->counts.in++;
        return sort == TF_ROW ? dead_letter(p, m, e, &why, err) : 0;
    }
    tf_reach_note(p->reach, e, m->partition);
    if (sort == TF_ROW) {
        p->counts.in++;
        count_row(p, &result);
    }
    return 0;
}

/* Not ours, or refused: 0 and nothing is done. What fails again is a letter again, as from its own
 * topic; in and dead count it, what succeeds was counted when it came first. */
static int
take_replay(struct tf_pipeline *p, const struct ls_message *m, struct ls_err *err)
{
    struct tf_world world = {.known = p->known,
                             .zone = &p->zone,
                             .reach = p->reach,
                             .instance = p->instance,
                             .partitions = p->partitions,
                             .partition = m->partition};
    const struct ls_table *table = tf_replay_table(m);
    struct ls_message row = *m;
    struct ls_str values[TF_MAX_EMITS];
    struct ls_envelope *e = NULL;
    struct tf_result result = {0};
    enum tf_sort sort = TF_ROW;
    struct ls_err why = {0};
    struct ls_replay r;

    if (!table)
        return 0;
    if (!p->replay.key.n)
        ls_fail_cause(&why, LS_ERR_POISON, 0, "no-key", "control.key is not set here");
    if (why.kind != LS_ERR_NONE ||
        ls_replay_read(p->replay.key, p->replay.prefix, m, ls_now_us(), p->replay.max_ahead_s, &r,
                       &why) < 0 ||
        tf_once_check(p->once, m, &why) < 0) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        ls_log(LS_WARN, "replay-refused", LS_S("cause", why.cause), LS_S("message", why.msg),
               LS_I("partition", m->partition), LS_I("offset", m->offset));
        tf_count(&p->counts, TF_COUNT_WARNING, "replay-refused");
        return 0;
    }
    if (r.drop.n)
        return tf_replay_dropped(&r, p->producer, p->dlq, err);
    if (!r.value.n)
        return 0;
    row.topic = p->in_topics[table->id];
    ls_buf_clear(&p->record);
    if (ls_envelope_decode(table, r.value, p->arena, &e, &why) < 0 ||
        map_envelope(p, &world, e, &result, &sort, &why) < 0 ||
        (sort == TF_ROW &&
         (tf_encode(&result, &p->record, values, &why) < 0 ||
          tf_replay_send(&p->replay, &r, &result, values, p->producer, &why) < 0))) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        p->counts.in++;
        return dead_letter(p, &row, e, &why, err);
    }
    return 0;
}

/* ---- the transaction */

static int
batch_begin(struct tf_pipeline *p, struct ls_err *err)
{
    int64_t now_ms = ls_mono_ms();

    if (tf_tail_poll(p->tail, err) < 0)
        return -1;
    p->suspect = true;
    if (ls_producer_begin(p->producer, err) < 0)
        return -1;
    p->suspect = false;
    p->open = true;
    p->opened_ms = p->waited_since_ms = now_ms;
    /* what is there at once came while we were committing, and has waited for that */
    if (now_ms - p->committed_ms <= AT_ONCE_MS)
        p->waited_since_ms = p->commit_begun_ms;
    p->in_batch = p->counted = 0;
    p->pushed = false;
    return 0;
}

/*
 * The counters go into the transaction behind its first row, too: each partition that a transaction
 * has not used yet is a question to the coordinator, which the commit would wait for; now it is the
 * same as the row's.
 */
static int
batch_count(struct tf_pipeline *p, struct ls_err *err)
{
    if (tf_store_put(p->config, p->producer, &p->counts, err) < 0)
        return -1;
    p->counted = p->in_batch;
    return 0;
}

/* The one place where the position moves. */
static int
batch_commit(struct tf_pipeline *p, struct ls_err *err)
{
    int64_t start = ls_mono_ms();
    struct ls_metrics *metrics = tf_status_metrics(p->status);

    if (!p->open)
        return 0;
    if (p->counted < p->in_batch && batch_count(p, err) < 0)
        return -1;
    p->suspect = true;
    if (ls_producer_send_offsets(p->producer, p->consumer, err) < 0 ||
        ls_producer_commit(p->producer, err) < 0)
        return -1;
    p->open = p->suspect = false;
    p->commit_begun_ms = start;
    p->committed_ms = ls_mono_ms();
    p->takes_ms += ((double)(p->committed_ms - start) - p->takes_ms) / TAKES_OF;
    p->committed = p->counts;
    p->failed = 0;
    tf_reach_keep(p->reach);
    p->facts.last_progress_us = ls_now_us();
    ls_metric_add(metrics, TF_M_COMMITS, NULL, 1);
    ls_metric_observe(metrics, TF_M_COMMIT_SECONDS, NULL, (double)(ls_mono_ms() - start) / 1000.0);
    return 0;
}

static const struct ls_table *
table_of(const struct tf_pipeline *p, const char *topic)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        if (strcmp(p->in_topics[i], topic) == 0)
            return &ls_tables[i];
    }
    return NULL;
}

static void
on_rebalance(void *arg, bool assigned, struct ls_partition *parts, size_t n)
{
    struct tf_pipeline *p = arg;
    struct ls_err why = {0};

    if (!assigned && batch_commit(p, &why) < 0)
        p->broken = why;
    for (size_t i = 0; i < n; i++) {
        const struct ls_table *table = table_of(p, parts[i].topic);

        if (table)
            tf_reach_hold(p->reach, table->id, parts[i].partition, assigned, ls_now_us());
    }
    tf_once_rebalanced(p->once);
    p->facts.partitions += assigned ? (int)n : -(int)n;
    if (p->facts.partitions < 0)
        p->facts.partitions = 0;
    p->facts.assigned = assigned;
    ls_log(LS_INFO, assigned ? "partitions-assigned" : "partitions-revoked", LS_I("partitions", n));
}

static int
producer_renew(struct tf_pipeline *p, struct ls_err *err)
{
    if (p->producer)
        ls_producer_free(p->producer);
    p->producer = NULL;
    if (ls_producer_new(p->config, p->producer_id, &p->producer, err) < 0)
        return -1;
    if (tf_store_get(p->config, p->producer, &p->committed, &p->mark, err) < 0)
        return -1;
    p->suspect = false;
    return 0;
}

/* Who has begun last under our name; waits until Kafka tells, because a Kafka that cannot tell yet
 * is what a timeout often comes with. */
static int
who_was_last(struct tf_pipeline *p, char ret[TF_MARK_TEXT], struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 5000};

    while (tf_store_last(p->config, ret, err) < 0) {
        if (err->kind != LS_ERR_RETRY || ls_run_stopping())
            return -1;
        ls_log_err(LS_WARN, "retry", err);
        ls_run_sleep_ms(ls_backoff_next_ms(&backoff));
    }
    return 0;
}

static bool
is_fenced(const struct ls_err *why)
{
    return strcmp(why->cause, "fenced") == 0;
}

/*
 * Whether this process is to go on after `why`; else -1 with err.
 *
 * Fenced can be by nobody: a process that sleeps for longer than transaction.timeout.ms finds that
 * the broker has given its transaction up. And the group takes us for another when our session
 * ended. Another process of this name would have left its mark before it joined.
 */
static int
may_go_on(struct tf_pipeline *p, const struct ls_err *why, struct ls_err *err)
{
    struct ls_err trouble = {0};
    char last[TF_MARK_TEXT];

    if (!is_fenced(why) && strcmp(why->cause, LS_CAUSE_REJOIN) != 0) {
        if (why->kind == LS_ERR_RETRY)
            return 0;
        *err = *why;
        return -1;
    }
    if (who_was_last(p, last, &trouble) < 0) {
        if (trouble.kind == LS_ERR_RETRY) /* asked to stop */
            return 0;
        *err = trouble;
        return -1;
    }
    if (!tf_mark_is(&p->mark, last))
        return ls_fail_cause(err, LS_ERR_FATAL, why->code, "fenced", "%s", why->msg);
    if (is_fenced(why))
        ls_log(LS_WARN, "transaction-timeout",
               LS_S("message", "the broker gave our transaction up; nobody has taken over"));
    return 0;
}

/*
 * A start's own transaction can be given up, too, by a Kafka that stood still for so long. Whether
 * it was a rival tell the marks: he has left one since, and that of before is the last one else.
 */
static int
fenced_in_start(struct tf_pipeline *p, const char *before, const struct ls_err *why,
                struct ls_err *err)
{
    char last[TF_MARK_TEXT];

    ls_run_sleep_ms(FENCED_MS);
    if (who_was_last(p, last, err) < 0)
        return -1;
    if (strcmp(last, before) != 0 && !tf_mark_is(&p->mark, last)) {
        *err = *why;
        return -1;
    }
    return ls_fail_cause(err, LS_ERR_RETRY, why->code, "transaction-timeout",
                         "the broker gave up the transaction of this start; nobody has taken over");
}

/* Back to the last commit. Returns -1 only when that is impossible for good. */
static int
batch_throw_away(struct tf_pipeline *p, const struct ls_err *why, struct ls_err *err)
{
    /* a new producer ends what the old one had open */
    bool renew = p->suspect || !p->producer || why->kind == LS_ERR_FATAL;
    struct ls_err trouble = {0};

    ls_log_err(LS_WARN, "batch-aborted", why);
    ls_metric_add(tf_status_metrics(p->status), TF_M_RETRIES, why->cause[0] ? why->cause : "failed",
                  1);
    if (p->open && !renew && ls_producer_abort(p->producer, &trouble) < 0) {
        if (may_go_on(p, &trouble, err) < 0)
            return -1;
        renew = true;
    }
    p->open = false;
    p->broken = (struct ls_err){0};
    for (;;) {
        ls_run_sleep_ms(ls_backoff_next_ms(&p->backoff));
        if (ls_run_stopping())
            return 0;
        trouble = (struct ls_err){0};
        if ((!renew || producer_renew(p, &trouble) == 0) &&
            ls_consumer_rewind(p->consumer, &trouble) == 0)
            break;
        if (may_go_on(p, &trouble, err) < 0)
            return -1;
        ls_log_err(LS_WARN, "retry", &trouble);
    }
    p->counts = p->committed;
    tf_reach_undo(p->reach);
    return 0;
}

/* ---- the loop */

int64_t
tf_gather_ms(int64_t commit_ms, double takes_ms)
{
    int64_t most = commit_ms / 2;

    return commit_ms - (takes_ms < (double)most ? (int64_t)takes_ms : most);
}

static int64_t
gather_ms(const struct tf_pipeline *p)
{
    return tf_gather_ms(p->commit_ms, p->takes_ms);
}

static bool
batch_is_due(const struct tf_pipeline *p, int64_t now_ms)
{
    int64_t age = now_ms - p->opened_ms;
    size_t waiting;

    if (!p->open || p->in_batch >= p->commit_records)
        return p->open;
    if (now_ms - p->waited_since_ms < gather_ms(p))
        return false;
    /* those that came during the last commit go together */
    waiting = ls_consumer_waiting(p->consumer);
    return waiting == 0 || (age >= p->commit_ms && waiting < BEHIND_ROWS) || age >= BEHIND_MS;
}

/* What its rows became goes ahead of the commit, which waits for all of it to arrive. */
static void
batch_push(struct tf_pipeline *p, int64_t now_ms)
{
    if (!p->open || p->pushed || now_ms - p->waited_since_ms < gather_ms(p) - PUSH_MS ||
        ls_consumer_waiting(p->consumer) >= BEHIND_ROWS)
        return;
    ls_producer_push(p->producer);
    p->pushed = true;
}

/* Takes one record, or waits for one; commits when it is time. */
static int
step(struct tf_pipeline *p, int64_t now_ms, struct ls_err *err)
{
    struct ls_message *m = NULL;
    const struct ls_table *table;
    bool again;
    int64_t wait = TELL_MS;
    int r = -1;

    if (p->open) {
        wait = p->waited_since_ms + gather_ms(p) - (p->pushed ? 0 : PUSH_MS) - now_ms;
        wait = wait < 0 ? 0 : wait;
    }
    if (ls_consumer_poll(p->consumer, (int)wait, &m, err) < 0)
        goto out;
    if (p->broken.kind != LS_ERR_NONE) {
        *err = p->broken;
        goto out;
    }
    table = m ? table_of(p, m->topic) : NULL;
    again = m && strcmp(m->topic, p->replay.topic) == 0;
    if (table || again) {
        if (!p->open && batch_begin(p, err) < 0)
            goto out;
        ls_arena_reset(p->arena);
        if ((again ? take_replay(p, m, err) : take(p, table, m, err)) < 0)
            goto out;
        if (++p->in_batch == 1 && batch_count(p, err) < 0)
            goto out;
    }
    now_ms = ls_mono_ms();
    if (batch_is_due(p, now_ms)) {
        if (batch_commit(p, err) < 0)
            goto out;
    } else {
        batch_push(p, now_ms);
    }
    ls_backoff_reset(&p->backoff);
    r = 0;
out:
    if (m)
        ls_message_free(m);
    return r;
}

static void
tell(struct tf_pipeline *p, int64_t now_ms)
{
    int64_t oldest;

    if (now_ms - p->told_ms < TELL_MS)
        return;
    p->told_ms = now_ms;
    oldest = tf_reach_oldest(p->reach);
    p->facts.lag_us = oldest ? ls_now_us() - oldest : 0;
    if (p->facts.lag_us < 0)
        p->facts.lag_us = 0;
    p->facts.lag_records = ls_consumer_behind(p->consumer);
    p->facts.record_bytes = ls_consumer_record_bytes(p->consumer);
    p->facts.in_flight = p->open ? p->in_batch : 0;
    /* what failed is for another instance now, which was given its partition */
    if (!p->open && p->facts.lag_records == 0)
        p->failed = 0;
    p->facts.trouble = p->failed < FAILED_MOST ? NULL : p->failure.msg;
    tf_reach_snapshot(p->reach, &p->facts.snapshots_open, &p->facts.snapshot_done,
                      &p->facts.snapshot_rows);
    tf_status_tick(p->status, &p->facts);
}

int
tf_pipeline_run(struct tf_pipeline *p, struct ls_err *err)
{
    struct ls_err why = {0};

    while (!ls_run_stopping()) {
        int64_t now_ms = ls_mono_ms();

        if (step(p, now_ms, &why) < 0) {
            if (p->open || p->suspect) {
                p->failed++;
                p->failure = why;
            }
            if (may_go_on(p, &why, err) < 0 || batch_throw_away(p, &why, err) < 0)
                return -1;
        }
        tell(p, now_ms);
    }
    if (p->producer && batch_commit(p, &why) < 0) {
        /* Nothing is lost: the next start takes the same rows again. */
        ls_log_err(LS_WARN, "last-batch-aborted", &why);
        ls_producer_abort(p->producer, NULL);
        p->open = false;
    }
    return 0;
}

/* ---- start */

static int
topics_make(struct tf_pipeline *p, struct ls_err *err)
{
    static const struct {
        const char *name;
        enum ls_topic_kept kept;
    } others[] = {{"counters", LS_KEPT_STATE},
                  {"schemas", LS_KEPT_LAST},
                  {"dlq", LS_KEPT_14_DAYS},
                  {"status", LS_KEPT_STATE}};
    struct ls_topic_spec specs[LS_T_COUNT + TF_TOPICS + 5];
    char name[64];
    size_t n = 0;

    for (size_t i = 0; i < LS_T_COUNT; i++) {
        snprintf(name, sizeof(name), "oc10.oc_%s", ls_tables[i].name);
        p->in_topics[i] = ls_config_topic(p->config, name);
        specs[n++] = (struct ls_topic_spec){
            p->in_topics[i], ls_tables[i].by_storage ? p->partitions : 1, LS_KEPT_LAST};
    }
    for (size_t i = 0; i < TF_TOPICS; i++) {
        snprintf(name, sizeof(name), "cs3.%s", tf_topic_names[i]);
        p->out_topics[i] = ls_config_topic(p->config, name);
        specs[n++] = (struct ls_topic_spec){p->out_topics[i], i == TF_RESOURCE ? p->partitions : 1,
                                            LS_KEPT_LAST};
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        specs[n++] =
            (struct ls_topic_spec){ls_config_topic(p->config, others[i].name), 1, others[i].kept};
    p->dlq = ls_config_topic(p->config, "dlq");
    p->replay.topic = p->in_topics[LS_T_COUNT] = ls_config_topic(p->config, LS_REPLAY_TOPIC);
    specs[n++] = (struct ls_topic_spec){p->replay.topic, p->partitions, LS_KEPT_14_DAYS};
    return ls_topics_ensure(p->config, specs, n, err);
}

/* The order matters: fence first, then read what the fenced one has committed. */
static int
connect_all(struct tf_pipeline *p, struct ls_err *err)
{
    char group[160], before[TF_MARK_TEXT];
    struct ls_err why = {0};

    snprintf(group, sizeof(group), "%s-transform", ls_config_str(p->config, "lockstep", "prefix"));
    if (tf_store_last(p->config, before, err) < 0)
        return -1;
    if (producer_renew(p, &why) < 0) {
        *err = why;
        return is_fenced(&why) ? fenced_in_start(p, before, &why, err) : -1;
    }
    p->counts = p->committed;
    if (ls_schemas_publish(p->config, err) < 0 ||
        ls_registry_register(p->config, "cs3/", err) < 0 ||
        tf_tail_new(p->config, p->known, &p->tail, err) < 0 || tf_tail_catch_up(p->tail, err) < 0)
        return -1;
    if (ls_consumer_new(p->config, group, &p->consumer, err) < 0)
        return -1;
    return ls_consumer_subscribe(p->consumer, p->in_topics, LS_T_COUNT + 1, on_rebalance, p, err);
}

int
tf_pipeline_new(const struct ls_config *config, struct tf_status *status, struct tf_pipeline **ret,
                struct ls_err *err)
{
    struct tf_pipeline *p = calloc(1, sizeof(*p));

    if (!p)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    p->config = config;
    p->status = status;
    p->partitions = (int)ls_config_int(config, "lockstep", "partitions");
    p->instance = ls_config_str(config, "source", "instance");
    p->commit_ms = ls_config_int(config, "transform", "commit_ms");
    p->commit_records = ls_config_int(config, "transform", "commit_records");
    p->backoff = (struct ls_backoff){.first_ms = 50, .max_ms = 10000};
    p->facts.counts = &p->committed;
    snprintf(p->producer_id, sizeof(p->producer_id), "%s-transform-%s",
             ls_config_str(config, "lockstep", "prefix"),
             ls_config_str(config, "lockstep", "instance"));
    ls_buf_init(&p->record, RECORD_CAP);
    p->replay.prefix = ls_str_of(ls_config_str(config, "lockstep", "prefix"));
    p->replay.max_ahead_s = ls_config_int(config, "control", "max_age_s");
    if (ls_control_key(config, &p->replay.key, err) < 0)
        goto fail;
    if (tf_projects_new(config, &p->projects, err) < 0)
        goto fail;
    p->known = tf_known_new();
    p->arena = ls_arena_new(ARENA_CAP);
    p->reach = tf_reach_new(p->partitions);
    p->once = tf_once_new(config, &p->replay);
    if (!p->once || !p->known || !p->arena || !p->reach) {
        ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
        goto fail;
    }
    tf_known_set_projects(p->known, p->projects);
    if (tf_zone_set(ls_config_str(config, "source", "time_zone"), &p->zone, err) < 0 ||
        topics_make(p, err) < 0 || connect_all(p, err) < 0)
        goto fail;
    *ret = p;
    return 0;
fail:
    tf_pipeline_free(p);
    return -1;
}

void
tf_pipeline_free(struct tf_pipeline *p)
{
    if (!p)
        return;
    if (p->consumer)
        ls_consumer_free(p->consumer);
    if (p->producer)
        ls_producer_free(p->producer);
    tf_tail_free(p->tail);
    tf_once_free(p->once);
    tf_known_free(p->known);
    tf_projects_free(p->projects);
    tf_reach_free(p->reach);
    ls_buf_free(&p->record);
    ls_arena_free(p->arena);
    free(p);
}
