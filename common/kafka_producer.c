/*
 * The producer: idempotent, acks=all, transactional where an id is given.
 *
 * What can go wrong, and what it means here. Fenced: another instance took over;
 * FATAL, and nothing more may be sent. An error that asks for an abort, or a
 * record that was not delivered: the transaction is aborted, RETRY. A fatal error
 * of librdkafka (2.0.2 has one it should not have, and a broker that was stopped hard
 * may ask for sequence numbers of its own): this producer is done for, but
 * the same batch goes through a new one, RETRY; aborting then fails, which tells
 * the stage. A plain producer is its own new one at the next record. A record that is too large for
 * its topic is POISON before it is sent, because the topics' limits are known (kafka_topics.c).
 * Should the broker refuse one all the same (a limit was lowered), it refuses a whole batch of
 * records and names none: RETRY, and from then on each record travels alone; the one that is
 * refused alone becomes the new limit, RETRY, and at the third try it is POISON.
 */
#include "common/kafka_parts.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOPICS 64
#define INIT_MS 60000
#define QUEUE_MS 30000
#define FULL_MS 2 /* nobody tells that there is room again */
#define OFFSETS_MS 30000
#define COMMIT_TRIES 5
#define ABORT_FLUSH_MS 1000
#define DELIVER_MS 1000
/* A look at what is left wakes all of librdkafka's threads; so many take longer than MANY_MS. */
#define MANY 5000
#define MANY_MS 10
/* A commit is answered before the coordinator is done with it. Who then begins at once is told
 * "later", which librdkafka takes for 20 ms; so a small transaction is waited for behind it. */
#define SETTLE_MS 5
#define FEW 1000

static _Atomic int64_t sent_bytes;

struct ls_producer {
    rd_kafka_t *rk;
    const struct ls_config *config;
    bool transactional, open;
    bool alone;                 /* one record a request: see the top */
    struct ls_consumer *reader; /* of which the transaction holds the positions, or NULL */
    atomic_long undelivered;
    atomic_int undelivered_code;
    unsigned sent;
    struct kafka_gather *gather; /* NULL: of a plain producer */
    size_t most_gathered;        /* bytes of a record */
    int64_t committed_ms;        /* the last transaction */
    int64_t in_transaction;      /* records */
    size_t n_topics, last_topic;
    struct {
        char *name;
        rd_kafka_topic_t *rkt;
    } topics[MAX_TOPICS];
};

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
    struct ls_producer *p = arg;

    (void)rk;
    if (message->err) {
        atomic_fetch_add(&p->undelivered, 1);
        atomic_store(&p->undelivered_code, (int)message->err);
        if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            kafka_limit_refused(p->alone, message->len + message->key_len);
    }
}

/* What the error means for a stage; the error object is destroyed. */
static int
producer_fail(struct ls_producer *p, rd_kafka_error_t *error, const char *what, struct ls_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    char text[160];
    bool abortable = rd_kafka_error_txn_requires_abort(error) != 0;

    if (rd_kafka_error_is_fatal(error) || code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_resp_err_t origin = rd_kafka_fatal_error(p->rk, text, sizeof(text));

        if (origin)
            code = origin;
    }
    /* An epoch that is old can be an aborted transaction's; only outside of that it is a rival. */
    if (code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
        (code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH && !abortable)) {
        rd_kafka_error_destroy(error);
        return ls_fail_cause(err, LS_ERR_FATAL, code, "fenced",
                             "%s: another instance with this transactional id has taken over",
                             what);
    }
    return kafka_fail_error(err, error, what);
}

static int
transactions_init(struct ls_producer *p, struct ls_err *err)
{
    int64_t until = ls_mono_ms() + INIT_MS;
    rd_kafka_error_t *error;

    while ((error = rd_kafka_init_transactions(p->rk, 5000))) {
        if (!rd_kafka_error_is_retriable(error) || ls_mono_ms() >= until || ls_run_stopping())
            return producer_fail(p, error, "init_transactions", err);
        rd_kafka_error_destroy(error);
        ls_run_sleep_ms(100);
    }
    return 0;
}

static int64_t
conf_number(rd_kafka_conf_t *conf, const char *key)
{
    char text[32] = "";
    size_t n = sizeof(text);

    return rd_kafka_conf_get(conf, key, text, &n) == RD_KAFKA_CONF_OK ? strtoll(text, NULL, 10) : 0;
}

/* A record that the queue has no room for, even empty, would wait for ever. */
static void
queue_fit(rd_kafka_conf_t *conf)
{
    int64_t least = conf_number(conf, "message.max.bytes") / 1024 * 2;
    char text[32];

    if (conf_number(conf, "queue.buffering.max.kbytes") >= least)
        return;
    (void)snprintf(text, sizeof(text), "%lld", (long long)least);
    kafka_conf_set(conf, "queue.buffering.max.kbytes", text);
}

static int
client_make(struct ls_producer *p, const char *transactional_id, rd_kafka_t **ret,
            struct ls_err *err)
{
    /* A commit flushes, and so does whoever uses a plain producer: lingering costs nobody time, but
     * a request for every few records of a partition costs the broker and us. Nagle would hold back
     * the small requests of a small transaction for 40 ms. Only what failed is
     * told of; to be told of each record would cost as much as to send it. */
    static const char *const defaults[] = {"linger.ms",
                                           "50",
                                           "socket.nagle.disable",
                                           "true",
                                           "queue.buffering.max.kbytes",
                                           "32768",
                                           "delivery.report.only.error",
                                           "true",
                                           NULL};
    rd_kafka_conf_t *conf;

    if (kafka_conf_new(p->config, defaults, &conf, err) < 0)
        return -1;
    kafka_conf_set(conf, "enable.idempotence", "true");
    kafka_conf_set(conf, "acks", "all");
    if (transactional_id)
        kafka_conf_set(conf, "transactional.id", transactional_id);
    p->alone = kafka_limit_batches(conf);
    /* what librdkafka takes for too large is none of these */
    p->most_gathered = (size_t)conf_number(conf, "message.max.bytes") / 2;
    if (p->most_gathered > KAFKA_GATHERED)
        p->most_gathered = KAFKA_GATHERED;
    queue_fit(conf);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, p);
    return kafka_client_new(RD_KAFKA_PRODUCER, conf, ret, err);
}

static void
client_drop(struct ls_producer *p)
{
    for (size_t i = 0; i < p->n_topics; i++) {
        rd_kafka_topic_destroy(p->topics[i].rkt);
        free(p->topics[i].name);
    }
    p->n_topics = p->last_topic = 0;
    if (p->rk) {
        rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(p->rk, 0);
        rd_kafka_destroy(p->rk);
    }
    p->rk = NULL;
}

int
ls_producer_new(const struct ls_config *config, const char *transactional_id,
                struct ls_producer **ret, struct ls_err *err)
{
    struct ls_producer *p = calloc(1, sizeof(*p));

    if (!p)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    p->config = config;
    p->transactional = transactional_id != NULL;
    if (p->transactional && !(p->gather = kafka_gather_new())) {
        ls_producer_free(p);
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    }
    if (client_make(p, transactional_id, &p->rk, err) < 0 ||
        (p->transactional && transactions_init(p, err) < 0)) {
        ls_producer_free(p);
        return -1;
    }
    *ret = p;
    return 0;
}

void
ls_producer_free(struct ls_producer *producer)
{
    if (!producer)
        return;
    client_drop(producer);
    kafka_gather_free(producer->gather);
    free(producer);
}

int
ls_producer_begin(struct ls_producer *producer, struct ls_err *err)
{
    int64_t left = producer->committed_ms + SETTLE_MS - ls_mono_ms();
    rd_kafka_error_t *error;

    if (left > 0 && producer->in_transaction < FEW)
        ls_run_sleep_ms(left);
    producer->in_transaction = 0;
    kafka_gather_forget(producer->gather);
    error = rd_kafka_begin_transaction(producer->rk);
    if (error)
        return producer_fail(producer, error, "begin_transaction", err);
    atomic_store(&producer->undelivered, 0);
    producer->reader = NULL;
    producer->open = true;
    return 0;
}

/* librdkafka looks topics up by name under a lock for each record; a stage has a few dozen. */
static rd_kafka_topic_t *
topic_get(struct ls_producer *p, const char *name)
{
    rd_kafka_topic_t *rkt;

    for (size_t i = 0; i < p->n_topics; i++) {
        size_t at = (p->last_topic + i) % p->n_topics;

        if (strcmp(p->topics[at].name, name) == 0) {
            p->last_topic = at;
            return p->topics[at].rkt;
        }
    }
    if (p->n_topics == MAX_TOPICS)
        return NULL;
    rkt = rd_kafka_topic_new(p->rk, name, NULL);
    if (!rkt)
        return NULL;
    p->topics[p->n_topics].name = strdup(name);
    if (!p->topics[p->n_topics].name) {
        rd_kafka_topic_destroy(rkt);
        return NULL;
    }
    p->last_topic = p->n_topics++;
    p->topics[p->last_topic].rkt = rkt;
    return rkt;
}

static rd_kafka_resp_err_t
produce(struct ls_producer *p, rd_kafka_topic_t *rkt, int32_t partition, struct ls_str key,
        struct ls_str value, const struct ls_header *headers, size_t n)
{
    rd_kafka_headers_t *list;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (n == 0) {
        if (rd_kafka_produce(rkt, partition, RD_KAFKA_MSG_F_COPY, (void *)value.p, value.n, key.p,
                             key.n, NULL) < 0)
            code = rd_kafka_last_error();
        return code;
    }
    list = rd_kafka_headers_new(n);
    for (size_t i = 0; i < n && !code; i++)
        code = rd_kafka_header_add(list, headers[i].name, -1, headers[i].value.p,
                                   (ssize_t)headers[i].value.n);
    if (!code)
        code = rd_kafka_producev(
            p->rk, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)value.p, value.n),
            RD_KAFKA_V_KEY(key.p, key.n), RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END);
    if (code)
        rd_kafka_headers_destroy(list);
    return code;
}

/* A plain producer that librdkafka has given up. What was queued counts as not delivered, so that
 * the next flush says it. */
static int
renew(struct ls_producer *p, struct ls_err *err)
{
    rd_kafka_t *rk;
    char text[160];

    if (p->transactional || !rd_kafka_fatal_error(p->rk, text, sizeof(text)))
        return 0;
    if (client_make(p, NULL, &rk, err) < 0)
        return -1;
    ls_log(LS_WARN, "producer-made-anew", LS_S("why", text));
    if (rd_kafka_outq_len(p->rk) > 0) {
        atomic_fetch_add(&p->undelivered, rd_kafka_outq_len(p->rk));
        atomic_store(&p->undelivered_code, RD_KAFKA_RESP_ERR__FATAL);
    }
    client_drop(p);
    p->rk = rk;
    return 0;
}

/* A transaction that has failed takes nothing more and does not say why; to begin one is refused in
 * the words of what went wrong. */
static int
failed_transaction(struct ls_producer *p, struct ls_err *err)
{
    rd_kafka_error_t *error = rd_kafka_begin_transaction(p->rk);
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR__STATE;

    ls_fail_cause(err, LS_ERR_RETRY, code, "kafka", "produce: %s",
                  error ? rd_kafka_error_string(error) : rd_kafka_err2str(code));
    if (error)
        rd_kafka_error_destroy(error);
    return -1;
}

/* Behind a full queue; *until is 0 at first. */
static int
wait_for_room(struct ls_producer *p, int64_t *until, struct ls_err *err)
{
    if (*until == 0)
        *until = ls_mono_ms() + QUEUE_MS;
    else if (ls_mono_ms() >= *until)
        return ls_fail_cause(err, LS_ERR_RETRY, RD_KAFKA_RESP_ERR__QUEUE_FULL, "kafka-slow",
                             "Kafka took nothing for %d s", QUEUE_MS / 1000);
    rd_kafka_poll(p->rk, FULL_MS);
    return 0;
}

/* What was not taken, and why; not that a record is too large. */
static int
send_fail(struct ls_producer *p, rd_kafka_resp_err_t code, struct ls_err *err)
{
    if (code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__FENCED)
        return producer_fail(p, rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)), "produce",
                             err);
    if (code == RD_KAFKA_RESP_ERR__STATE && p->open)
        return failed_transaction(p, err);
    return kafka_fail(err, code, "produce");
}

static int
hand_over(struct ls_producer *p, struct kafka_pile *pile, struct ls_err *err)
{
    int64_t until = 0;
    rd_kafka_resp_err_t code;

    while ((code = kafka_pile_hand_over(pile)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        if (wait_for_room(p, &until, err) < 0)
            return -1;
    return code ? send_fail(p, code, err) : 0;
}

static int
hand_over_all(struct ls_producer *p, struct ls_err *err)
{
    struct kafka_pile *pile;

    while (p->gather && (pile = kafka_gather_next(p->gather)))
        if (hand_over(p, pile, err) < 0)
            return -1;
    return 0;
}

/* Onto a pile: 1. 0: it goes by itself, and may, for what is in front of it has gone. */
static int
gather(struct ls_producer *p, rd_kafka_topic_t *rkt, int32_t partition, struct ls_str key,
       struct ls_str value, bool plain, struct ls_err *err)
{
    struct kafka_pile *pile;

    /* of a small one the broker shall hear at once, and there is little to gain */
    if (!p->open || p->in_transaction < FEW)
        return 0;
    if (partition < 0)
        return hand_over_all(p, err);
    plain = plain && key.n + value.n <= p->most_gathered;
    pile = kafka_gather_at(p->gather, p->last_topic, partition, plain);
    if (!pile)
        return 0;
    if (plain && kafka_pile_put(pile, rkt, partition, key, value))
        return 1;
    if (hand_over(p, pile, err) < 0)
        return -1;
    return plain && kafka_pile_put(pile, rkt, partition, key, value);
}

int
ls_producer_send(struct ls_producer *producer, const char *topic, int32_t partition,
                 struct ls_str key, struct ls_str value, const struct ls_header *headers,
                 size_t n_headers, struct ls_err *err)
{
    int64_t until = 0, most = kafka_limit();
    rd_kafka_topic_t *rkt;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int r;

    if (most > 0 && kafka_record_size(key.n + value.n, headers, n_headers) > most)
        return ls_fail_cause(
            err, LS_ERR_POISON, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "too-large",
            "a record of %zu bytes is larger than a topic takes (max.message.bytes "
            "%lld)",
            key.n + value.n, (long long)most);

    if (renew(producer, err) < 0)
        return -1;
    rkt = topic_get(producer, topic);
    if (!rkt)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "too many topics, or out of memory");
    r = gather(producer, rkt, partition, key, value, n_headers == 0, err);
    if (r < 0)
        return -1;
    while (r == 0 && (code = produce(producer, rkt, partition, key, value, headers, n_headers)) ==
                         RD_KAFKA_RESP_ERR__QUEUE_FULL)
        if (wait_for_room(producer, &until, err) < 0)
            return -1;
    if (!code)
        atomic_fetch_add_explicit(&sent_bytes, (int64_t)(key.n + value.n), memory_order_relaxed);
    producer->in_transaction++;
    if (++producer->sent % 256 == 0)
        rd_kafka_poll(producer->rk, 0);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return ls_fail_cause(err, LS_ERR_POISON, code, "too-large",
                             "a record of %zu bytes is larger than [kafka] message.max.bytes",
                             key.n + value.n);
    return code ? send_fail(producer, code, err) : 0;
}

int64_t
ls_kafka_sent_bytes(void)
{
    return atomic_load_explicit(&sent_bytes, memory_order_relaxed);
}

/*
 * Waits until all of the transaction has been delivered. A commit does that too, but looks only
 * each 10 ms when successes are not told. What does not come to an end here comes to it there.
 */
static void
deliver(struct ls_producer *p)
{
    int64_t until = ls_mono_ms() + DELIVER_MS;

    while (rd_kafka_flush(p->rk, rd_kafka_outq_len(p->rk) > MANY ? MANY_MS : 1) ==
               RD_KAFKA_RESP_ERR__TIMED_OUT &&
           ls_mono_ms() < until && atomic_load(&p->undelivered) == 0)
        ;
}

void
ls_producer_push(struct ls_producer *producer)
{
    (void)hand_over_all(producer, NULL); /* whoever commits hears of it again */
    (void)rd_kafka_flush(producer->rk, 1);
}

int
ls_producer_send_offsets(struct ls_producer *producer, struct ls_consumer *consumer,
                         struct ls_err *err)
{
    rd_kafka_consumer_group_metadata_t *group =
        rd_kafka_consumer_group_metadata(consumer_handle(consumer));
    rd_kafka_topic_partition_list_t *positions;
    int64_t until = ls_mono_ms() + OFFSETS_MS;
    rd_kafka_error_t *error;

    if (!group)
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "kafka-use", "the consumer has no group");
    if (hand_over_all(producer, err) < 0) {
        rd_kafka_consumer_group_metadata_destroy(group);
        return -1;
    }
    /* The coordinator answers this with "later" (100 ms) while it takes up partitions. */
    deliver(producer);
    /* The broker keeps a record for each: those that have not moved would be most of its work. */
    positions = consumer_uncommitted(consumer);
    while ((error = rd_kafka_send_offsets_to_transaction(producer->rk, positions, group, 10000))) {
        if (!rd_kafka_error_is_retriable(error) || ls_mono_ms() >= until)
            break;
        rd_kafka_error_destroy(error);
        ls_run_sleep_ms(20);
    }
    rd_kafka_topic_partition_list_destroy(positions);
    rd_kafka_consumer_group_metadata_destroy(group);
    if (error)
        return producer_fail(producer, error, "send_offsets_to_transaction", err);
    producer->reader = consumer;
    return 0;
}

/* The reason why a record was not delivered, when there is such a one. */
static int
undelivered_fail(struct ls_producer *p, struct ls_err *err)
{
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)atomic_load(&p->undelivered_code);
    long n = atomic_load(&p->undelivered);

    if (n == 0)
        return 0;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return ls_fail_cause(err, LS_ERR_RETRY, code, "too-large",
                             "the broker refuses a record for its size: sending again %s",
                             p->alone ? "without it" : "one by one, to find it");
    kafka_fail(err, code, "a record was not delivered");
    return -1;
}

static int
commit(struct ls_producer *p, struct ls_err *err)
{
    rd_kafka_error_t *error = NULL;

    if (hand_over_all(p, err) < 0)
        return -1;
    deliver(p);
    for (int i = 0; i < COMMIT_TRIES; i++) {
        error = rd_kafka_commit_transaction(p->rk, -1);
        if (!error)
            return 0;
        if (!rd_kafka_error_is_retriable(error) || rd_kafka_error_txn_requires_abort(error))
            break;
        if (i < COMMIT_TRIES - 1) {
            rd_kafka_error_destroy(error);
            ls_run_sleep_ms(100);
        }
    }
    return producer_fail(p, error, "commit_transaction", err);
}

int
ls_producer_commit(struct ls_producer *producer, struct ls_err *err)
{
    struct ls_err lost = {0};

    if (commit(producer, err) == 0) {
        producer->open = false;
        producer->committed_ms = ls_mono_ms();
        if (producer->reader)
            consumer_set_committed(producer->reader);
        return 0;
    }
    if (undelivered_fail(producer, &lost) < 0 && err && err->kind != LS_ERR_FATAL)
        *err = lost;
    /* Whether it can be used again is for ls_producer_begin to say. */
    ls_producer_abort(producer, NULL);
    return -1;
}

int
ls_producer_abort(struct ls_producer *producer, struct ls_err *err)
{
    rd_kafka_error_t *error = NULL;

    if (!producer->open)
        return 0;
    producer->open = false;
    kafka_gather_forget(producer->gather);
    /* An abort that overtakes the first records of its transaction asks the coordinator to end
     * what it has not heard of, which it answers with a fatal error (librdkafka 2.0.2, Kafka 4). */
    rd_kafka_flush(producer->rk, ABORT_FLUSH_MS);
    for (int i = 0; i < COMMIT_TRIES; i++) {
        error = rd_kafka_abort_transaction(producer->rk, -1);
        if (!error)
            return 0;
        if (!rd_kafka_error_is_retriable(error))
            break;
        if (i < COMMIT_TRIES - 1) {
            rd_kafka_error_destroy(error);
            ls_run_sleep_ms(100);
        }
    }
    return producer_fail(producer, error, "abort_transaction", err);
}

int
ls_producer_waiting(const struct ls_producer *producer)
{
    return rd_kafka_outq_len(producer->rk);
}

int64_t
ls_producer_lost(const struct ls_producer *producer)
{
    return atomic_load(&producer->undelivered);
}

int
ls_producer_flush(struct ls_producer *producer, int timeout_ms, struct ls_err *err)
{
    rd_kafka_resp_err_t code;
    int r;

    if (hand_over_all(producer, err) < 0)
        return -1;
    code = rd_kafka_flush(producer->rk, timeout_ms);
    if (code)
        return kafka_fail(err, code, "flush");
    r = undelivered_fail(producer, err);
    atomic_store(&producer->undelivered, 0);
    return r;
}
