/*
 * The consumer: read_committed, no offsets committed by itself.
 *
 * The position of each partition is kept here, not asked from librdkafka: it moves
 * with each record that was handed out, and with each end-of-partition event over
 * the markers of transactions, which take offsets but are no records. So a group's
 * offset reaches the end of its topic, and "read up to the end" can end.
 * What can go wrong: offsets that are gone (FATAL: going on would leave rows out);
 * a partition without a committed offset starts at the beginning, said explicitly,
 * because auto.offset.reset=error cannot tell the two apart. A member that was away
 * for longer than its session, as beside a Kafka that was down, joins anew; what its
 * old self still had on the way is then refused as another member's of its name,
 * which librdkafka takes for the end: RETRY, and the rewind that answers it is a new
 * client. A real rival is told by the transactional id, or by apply's lease. And
 * librdkafka says AUTO_OFFSET_RESET not only of an offset that is gone: also when it
 * asked where a topic begins and the broker did not know the topic (one that has just
 * started, a topic just made); it gives the partition up then. That loses nothing:
 * RETRY by a new client, unless the reason, which comes behind it, is worse.
 */
#include "common/estimate.h"
#include "common/kafka_parts.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 10000
#define RESOLVE_MS 30000
#define REASON_MS 1000 /* it is queued with the event that it is the reason of */
/* Offsets in the open transaction of an instance that died are given out when the broker has given
 * it up: transaction.timeout.ms (a minute) and its own rounds. */
#define UNSTABLE_MS 120000

typedef rd_kafka_topic_partition_list_t plist;
typedef rd_kafka_topic_partition_t pentry;

static _Atomic int64_t received_bytes;

struct ls_consumer {
    const struct ls_config *config;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* of all partitions; for its length only */
    char *group;             /* NULL: none */
    plist *topics;           /* what was subscribed to; or NULL */
    plist *positions;        /* of what is assigned; never NULL */
    plist *committed;        /* ... as the last transaction had them; the same entries */
    plist *starts;           /* where the assignment began, for a rewind without a commit */
    int last;            /* the entry that was found last: records come in runs of a partition */
    struct ls_mean size; /* of the records polled */
    bool unassigned;     /* of a partition that came where to begin could not be learned */
    unsigned revoked;    /* how often the group has taken the partitions away */
    struct ls_message *held; /* the first of a new assignment, which came while waiting for it */
    ls_rebalance_fn *on_rebalance;
    void *arg;
    struct ls_err pending; /* from the rebalance callback, given out by the next poll */
};

rd_kafka_t *
consumer_handle(struct ls_consumer *consumer)
{
    return consumer->rk;
}

const rd_kafka_topic_partition_list_t *
consumer_positions(const struct ls_consumer *consumer)
{
    return consumer->positions;
}

rd_kafka_topic_partition_list_t *
consumer_uncommitted(const struct ls_consumer *consumer)
{
    plist *list = rd_kafka_topic_partition_list_new(consumer->positions->cnt);

    for (int i = 0; i < consumer->positions->cnt; i++) {
        const pentry *p = &consumer->positions->elems[i];

        if (p->offset != consumer->committed->elems[i].offset)
            rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = p->offset;
    }
    return list;
}

void
consumer_set_committed(struct ls_consumer *consumer)
{
    for (int i = 0; i < consumer->positions->cnt; i++)
        consumer->committed->elems[i].offset = consumer->positions->elems[i].offset;
}

/* ---- assignment */

/* Replaces LS_OFFSET_STORED by the group's offset, or the beginning. */
static int
resolve(struct ls_consumer *c, plist *list, struct ls_err *err)
{
    int64_t until = ls_mono_ms() + UNSTABLE_MS;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    plist *ask = rd_kafka_topic_partition_list_new(list->cnt);

    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].offset == LS_OFFSET_STORED)
            rd_kafka_topic_partition_list_add(ask, list->elems[i].topic, list->elems[i].partition);
    }
    while (c->group && ask->cnt > 0 && (code = rd_kafka_committed(c->rk, ask, CALL_MS))) {
        if (ls_mono_ms() >= until || ls_run_stopping())
            break;
        ls_run_sleep_ms(200);
    }
    for (int i = 0; i < ask->cnt; i++) {
        pentry *a = &ask->elems[i];
        pentry *p = rd_kafka_topic_partition_list_find(list, a->topic, a->partition);

        if (!code)
            code = a->err;
        if (p)
            p->offset = c->group && a->offset >= 0 ? a->offset : RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_topic_partition_list_destroy(ask);
    return code ? kafka_fail(err, code, "the group's offsets") : 0;
}

static void
positions_set(struct ls_consumer *c, const plist *starts)
{
    plist *positions = rd_kafka_topic_partition_list_copy(starts);
    plist *committed = rd_kafka_topic_partition_list_copy(starts);
    plist *copy = rd_kafka_topic_partition_list_copy(starts);

    for (int i = 0; i < positions->cnt; i++) {
        committed->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
        if (positions->elems[i].offset < 0)
            positions->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
    }
    rd_kafka_topic_partition_list_destroy(c->positions);
    rd_kafka_topic_partition_list_destroy(c->committed);
    rd_kafka_topic_partition_list_destroy(c->starts);
    c->positions = positions;
    c->committed = committed;
    c->starts = copy;
    c->last = 0;
}

static int
assign(struct ls_consumer *c, const plist *list, struct ls_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_assign(c->rk, list);

    return code ? kafka_fail(err, code, "assign") : 0;
}

static struct ls_partition *
partitions_of(const plist *list)
{
    struct ls_partition *parts = calloc((size_t)list->cnt + 1, sizeof(*parts));

    for (int i = 0; parts && i < list->cnt; i++)
        parts[i] = (struct ls_partition){list->elems[i].topic, list->elems[i].partition,
                                         list->elems[i].offset};
    return parts;
}

static int
assigned(struct ls_consumer *c, plist *list, struct ls_err *err)
{
    struct ls_partition *parts = NULL;
    int r = -1;

    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = LS_OFFSET_STORED;
    if (resolve(c, list, err) < 0)
        goto out;
    parts = partitions_of(list);
    if (!parts) {
        ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
        goto out;
    }
    if (c->on_rebalance)
        c->on_rebalance(c->arg, true, parts, (size_t)list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        if (parts[i].offset != LS_OFFSET_STORED)
            list->elems[i].offset = parts[i].offset;
    }
    r = assign(c, list, err);
    if (r == 0)
        positions_set(c, list);
out:
    free(parts);
    return r;
}

static void
revoked(struct ls_consumer *c, const plist *list)
{
    struct ls_partition *parts = partitions_of(list);
    plist *none = rd_kafka_topic_partition_list_new(0);

    c->revoked++;
    c->unassigned = false;
    if (c->on_rebalance && parts)
        c->on_rebalance(c->arg, false, parts, (size_t)list->cnt);
    positions_set(c, none);
    rd_kafka_topic_partition_list_destroy(none);
    free(parts);
}

/* What passes, of a partition that librdkafka asks nothing about any more. */
static int
rejoin_fail(const struct ls_consumer *c, struct ls_err *err)
{
    if (c->unassigned && c->topics && err && err->kind == LS_ERR_RETRY)
        (void)snprintf(err->cause, sizeof(err->cause), LS_CAUSE_REJOIN);
    return -1;
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what, plist *list, void *arg)
{
    struct ls_consumer *c = arg;

    ls_log(LS_INFO, "rebalance", LS_I("partitions", list->cnt),
           LS_S("what", what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "assigned" : "revoked"));
    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        revoked(c, list);
        rd_kafka_assign(rk, NULL);
    } else if (assigned(c, list, &c->pending) < 0) {
        rd_kafka_assign(rk, NULL);
        c->unassigned = c->pending.kind == LS_ERR_RETRY; /* nobody asks a second time */
        (void)rejoin_fail(c, &c->pending);
    }
}

static int
client_make(struct ls_consumer *c, rd_kafka_t **ret, struct ls_err *err)
{
    static const char *const defaults[] = {"queued.max.messages.kbytes", "16384",
                                           "fetch.wait.max.ms", "100", NULL};
    char reader[256];
    rd_kafka_conf_t *conf;

    if (kafka_conf_new(c->config, defaults, &conf, err) < 0)
        return -1;
    /* librdkafka wants a group for a consumer that never joins one, too. */
    snprintf(reader, sizeof(reader), "%s-reader", ls_config_str(c->config, "lockstep", "prefix"));
    kafka_conf_set(conf, "group.id", c->group ? c->group : reader);
    /* A killed instance that comes back is the same member: it gets its partitions at once, not
     * when the session of its dead self times out. */
    if (c->group)
        kafka_conf_set(conf, "group.instance.id", ls_config_str(c->config, "lockstep", "instance"));
    kafka_conf_set(conf, "isolation.level", "read_committed");
    kafka_conf_set(conf, "enable.auto.commit", "false");
    kafka_conf_set(conf, "enable.auto.offset.store", "false");
    kafka_conf_set(conf, "enable.partition.eof", "true");
    kafka_conf_set(conf, "auto.offset.reset", "error");
    kafka_conf_set(conf, "partition.assignment.strategy", "range");
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, c);
    return kafka_client_new(RD_KAFKA_CONSUMER, conf, ret, err);
}

static void
client_use(struct ls_consumer *c, rd_kafka_t *rk)
{
    c->rk = rk;
    rd_kafka_poll_set_consumer(rk);
    c->queue = rd_kafka_queue_get_consumer(rk);
}

static void
client_drop(struct ls_consumer *c)
{
    if (c->held)
        ls_message_free(c->held);
    c->held = NULL;
    if (c->queue)
        rd_kafka_queue_destroy(c->queue);
    c->queue = NULL;
    if (c->rk) {
        rd_kafka_consumer_close(c->rk);
        rd_kafka_destroy(c->rk);
    }
    c->rk = NULL;
}

int
ls_consumer_new(const struct ls_config *config, const char *group, struct ls_consumer **ret,
                struct ls_err *err)
{
    struct ls_consumer *c = calloc(1, sizeof(*c));
    rd_kafka_t *rk;

    if (!c || (group && !(c->group = strdup(group)))) {
        free(c);
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    }
    c->config = config;
    c->positions = rd_kafka_topic_partition_list_new(0);
    c->committed = rd_kafka_topic_partition_list_new(0);
    c->starts = rd_kafka_topic_partition_list_new(0);
    if (client_make(c, &rk, err) < 0) {
        ls_consumer_free(c);
        return -1;
    }
    client_use(c, rk);
    *ret = c;
    return 0;
}

void
ls_consumer_free(struct ls_consumer *consumer)
{
    if (!consumer)
        return;
    consumer->on_rebalance = NULL;
    client_drop(consumer);
    rd_kafka_topic_partition_list_destroy(consumer->positions);
    rd_kafka_topic_partition_list_destroy(consumer->committed);
    rd_kafka_topic_partition_list_destroy(consumer->starts);
    if (consumer->topics)
        rd_kafka_topic_partition_list_destroy(consumer->topics);
    free(consumer->group);
    free(consumer);
}

static int
subscribe(struct ls_consumer *c, struct ls_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->rk, c->topics);

    return code ? kafka_fail(err, code, "subscribe") : 0;
}

int
ls_consumer_subscribe(struct ls_consumer *consumer, const char *const *topics, size_t n,
                      ls_rebalance_fn *rebalance, void *arg, struct ls_err *err)
{
    if (consumer->topics)
        rd_kafka_topic_partition_list_destroy(consumer->topics);
    consumer->topics = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(consumer->topics, topics[i], RD_KAFKA_PARTITION_UA);
    consumer->on_rebalance = rebalance;
    consumer->arg = arg;
    return subscribe(consumer, err);
}

int
ls_consumer_assign(struct ls_consumer *consumer, const struct ls_partition *parts, size_t n,
                   struct ls_err *err)
{
    plist *list = rd_kafka_topic_partition_list_new((int)n);
    int r;

    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, parts[i].topic, parts[i].partition)->offset =
            parts[i].offset;
    r = resolve(consumer, list, err);
    if (r == 0)
        r = assign(consumer, list, err);
    if (r == 0)
        positions_set(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

/* ---- polling */

static void
position_move(struct ls_consumer *c, const char *topic, int32_t partition, int64_t offset)
{
    plist *list = c->positions;

    for (int i = 0; i < list->cnt; i++) {
        int at = (c->last + i) % list->cnt;
        pentry *p = &list->elems[at];

        if (p->partition == partition && strcmp(p->topic, topic) == 0) {
            c->last = at;
            p->offset = offset;
            return;
        }
    }
}

static int
message_take(rd_kafka_message_t *m, struct ls_message **ret, struct ls_err *err)
{
    struct ls_message *message = calloc(1, sizeof(*message));

    if (!message) {
        rd_kafka_message_destroy(m);
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    }
    message->topic = rd_kafka_topic_name(m->rkt);
    message->partition = m->partition;
    message->offset = m->offset;
    message->timestamp_ms = rd_kafka_message_timestamp(m, NULL);
    message->key = (struct ls_str){m->key, m->key_len};
    message->value = (struct ls_str){m->payload, m->len};
    message->opaque = m;
    atomic_fetch_add_explicit(&received_bytes, (int64_t)(m->key_len + m->len),
                              memory_order_relaxed);
    message->packed = true;
    *ret = message;
    return 0;
}

/* Most records are never asked for theirs, and to look costs librdkafka as much as the record. */
static void
headers_take(struct ls_message *message)
{
    struct ls_header *h = message->headers;
    rd_kafka_headers_t *headers;
    const void *p;
    size_t n;

    message->packed = false;
    if (rd_kafka_message_headers(message->opaque, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (message->n_headers < LS_MAX_HEADERS &&
           rd_kafka_header_get_all(headers, message->n_headers, &h->name, &p, &n) ==
               RD_KAFKA_RESP_ERR_NO_ERROR) {
        h->value = (struct ls_str){p, n};
        h++;
        message->n_headers++;
    }
}

const struct ls_str *
ls_message_header(const struct ls_message *message, const char *name)
{
    if (message->packed) /* then it is one of ours, which is no constant */
        headers_take((struct ls_message *)message);
    for (size_t i = 0; i < message->n_headers; i++) {
        if (strcmp(message->headers[i].name, name) == 0)
            return &message->headers[i].value;
    }
    return NULL;
}

void
ls_message_free(struct ls_message *message)
{
    if (!message)
        return;
    rd_kafka_message_destroy(message->opaque);
    free(message);
}

static bool
is_given_up(const struct ls_consumer *c)
{
    char text[160];

    return c->unassigned ||
           rd_kafka_fatal_error(c->rk, text, sizeof(text)) == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

/* 0: go on polling. */
static int
event_handle(struct ls_consumer *c, rd_kafka_message_t *m, struct ls_err *err)
{
    rd_kafka_resp_err_t code = m->err;
    char text[160];
    int r = 0;

    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        position_move(c, rd_kafka_topic_name(m->rkt), m->partition, m->offset);
    } else if (code == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
        /* The group takes the partitions away, which the rebalance callback tells. */
        ls_log(LS_WARN, "poll-late", LS_S("text", rd_kafka_message_errstr(m)));
    } else if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED && !c->group) {
        /* librdkafka looks for the coordinator of the name that stands for no group. */
        ls_log(LS_DEBUG, "no-group", LS_S("text", rd_kafka_message_errstr(m)));
    } else if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && m->offset < 0) {
        ls_log(LS_WARN, "beginning-not-told", LS_S("text", rd_kafka_message_errstr(m)));
        c->unassigned = true; /* the reason is the next event */
    } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(c->rk, text, sizeof(text));
        r = is_given_up(c)
                ? ls_fail_cause(err, LS_ERR_RETRY, code, LS_CAUSE_REJOIN,
                                "the group took this member for another: %s", text)
                : ls_fail_cause(err, LS_ERR_FATAL, code, "kafka", "the consumer failed: %s", text);
    } else {
        snprintf(text, sizeof(text), "poll of %s [%d] at %lld",
                 m->rkt ? rd_kafka_topic_name(m->rkt) : "-", (int)m->partition,
                 (long long)m->offset);
        (void)kafka_fail(err, code, text);
        r = rejoin_fail(c, err);
    }
    rd_kafka_message_destroy(m);
    return r;
}

int
ls_consumer_poll(struct ls_consumer *consumer, int timeout_ms, struct ls_message **ret,
                 struct ls_err *err)
{
    int64_t until = ls_mono_ms() + timeout_ms;
    int64_t left = timeout_ms;

    if (consumer->held) {
        *ret = consumer->held;
        consumer->held = NULL;
        return 0;
    }
    for (;;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer->rk, (int)left);

        if (consumer->pending.kind != LS_ERR_NONE) {
            struct ls_err pending = consumer->pending;

            consumer->pending = (struct ls_err){0};
            if (m)
                rd_kafka_message_destroy(m);
            if (err)
                *err = pending;
            return -1;
        }
        if (m && !m->err) {
            position_move(consumer, rd_kafka_topic_name(m->rkt), m->partition, m->offset + 1);
            ls_mean_add(&consumer->size, (double)(m->key_len + m->len), 1);
            return message_take(m, ret, err);
        }
        if (m && event_handle(consumer, m, err) < 0)
            return -1;
        if (m && consumer->unassigned && until < ls_mono_ms() + REASON_MS)
            until = ls_mono_ms() + REASON_MS;
        left = until - ls_mono_ms();
        if (left <= 0 && !m && consumer->unassigned) { /* whatever became of the reason */
            (void)ls_fail_cause(err, LS_ERR_RETRY, 0, "kafka", "where to begin was not told");
            return rejoin_fail(consumer, err);
        }
        if (left <= 0 && !m) {
            *ret = NULL;
            return 0;
        }
        if (left < 0)
            left = 0;
    }
}

/* ---- going back */

/* The group is done with us, as after a sleep beyond the session's end: the partitions come anew
 * after the rebalance that poll will tell of. What was fetched for the old ones is not given out;
 * the same poll may bring the first record of the new ones, which is.
 */
static int
rebalance_await(struct ls_consumer *c, struct ls_err *err)
{
    int64_t until = ls_mono_ms() + CALL_MS;
    unsigned before = c->revoked;

    while (c->revoked == before && !ls_run_stopping()) {
        struct ls_message *m = NULL;

        if (ls_mono_ms() >= until)
            return ls_fail_cause(err, LS_ERR_RETRY, RD_KAFKA_RESP_ERR__TIMED_OUT, "kafka",
                                 "the group's rebalance does not come");
        if (ls_consumer_poll(c, 100, &m, err) < 0)
            return -1;
        if (m && c->revoked != before)
            c->held = m;
        else if (m)
            ls_message_free(m);
    }
    return 0;
}

/* A seek, not a new assignment: librdkafka aborts the process when two of these come at once, and
 * the group's own may come at any time (its issue 5573). */
static int
seek(struct ls_consumer *c, plist *list, struct ls_err *err)
{
    rd_kafka_error_t *error;

    if (list->cnt == 0)
        return 0;
    error = rd_kafka_seek_partitions(c->rk, list, CALL_MS);
    if (error)
        return kafka_fail_error(err, error, "seek");
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err)
            return kafka_fail(err, list->elems[i].err, "seek");
    }
    return 0;
}

/* The partitions come with the rebalance that poll will tell of, at the group's offsets. */
static int
join_anew(struct ls_consumer *c, struct ls_err *err)
{
    rd_kafka_t *rk;

    if (client_make(c, &rk, err) < 0)
        return -1;
    ls_log(LS_WARN, "consumer-made-anew", LS_S("group", c->group));
    client_drop(c);
    if (c->positions->cnt > 0) /* which a client that was given up did not tell */
        revoked(c, c->positions);
    c->pending = (struct ls_err){0};
    client_use(c, rk);
    c->unassigned = subscribe(c, err) < 0;
    return c->unassigned ? -1 : 0;
}

int
ls_consumer_rewind(struct ls_consumer *consumer, struct ls_err *err)
{
    plist *list;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int r;

    if (consumer->held)
        ls_message_free(consumer->held);
    consumer->held = NULL;
    if (consumer->topics && is_given_up(consumer))
        return join_anew(consumer, err);
    if (rd_kafka_assignment_lost(consumer->rk))
        return rebalance_await(consumer, err);
    list = rd_kafka_topic_partition_list_copy(consumer->starts);
    if (consumer->group && list->cnt > 0)
        code = rd_kafka_committed(consumer->rk, list, RESOLVE_MS);
    for (int i = 0; i < list->cnt; i++) {
        pentry *p = &list->elems[i];

        if (!consumer->group || p->offset < 0)
            p->offset = consumer->starts->elems[i].offset;
        if (!code)
            code = p->err;
    }
    r = code ? kafka_fail(err, code, "the group's offsets") : seek(consumer, list, err);
    if (r == 0)
        positions_set(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

int64_t
ls_kafka_received_bytes(void)
{
    return atomic_load_explicit(&received_bytes, memory_order_relaxed);
}

int64_t
ls_consumer_behind(struct ls_consumer *consumer)
{
    int64_t behind = -1;

    for (int i = 0; i < consumer->positions->cnt; i++) {
        const pentry *p = &consumer->positions->elems[i];
        int64_t first = -1, end = -1;

        if (p->offset < 0 ||
            rd_kafka_get_watermark_offsets(consumer->rk, p->topic, p->partition, &first, &end) != 0)
            continue;
        if (end >= 0)
            behind = (behind < 0 ? 0 : behind) + (end > p->offset ? end - p->offset : 0);
    }
    return behind;
}

double
ls_consumer_record_bytes(const struct ls_consumer *consumer)
{
    return ls_mean_of(&consumer->size);
}

size_t
ls_consumer_waiting(struct ls_consumer *consumer)
{
    return consumer->queue ? rd_kafka_queue_length(consumer->queue) : 0;
}

int
ls_consumer_commit(struct ls_consumer *consumer, const struct ls_partition *parts, size_t n,
                   bool wait, struct ls_err *err)
{
    plist *list = rd_kafka_topic_partition_list_new((int)n);
    rd_kafka_resp_err_t code;

    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, parts[i].topic, parts[i].partition)->offset =
            parts[i].offset;
    code = rd_kafka_commit(consumer->rk, list, !wait);
    for (int i = 0; wait && i < list->cnt && !code; i++)
        code = list->elems[i].err;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? kafka_fail(err, code, "commit of offsets") : 0;
}
