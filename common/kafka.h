/*
 * Kafka, as Lockstep uses it: transactions, read_committed, no automatic offsets.
 *
 * Every producer is idempotent with acks=all. A fatal producer error (librdkafka before 2.3.0
 * has one it should not have, confluentinc/librdkafka#4438) is LS_ERR_RETRY: the stage aborts,
 * makes a new producer and repeats the batch; a plain producer goes on by itself. Being fenced is
 * LS_ERR_FATAL with cause "fenced".
 */
#ifndef LS_KAFKA_H
#define LS_KAFKA_H

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LS_MAX_HEADERS 12
struct ls_header {
    const char *name;
    struct ls_str value;
};

/* 0 when librdkafka knows the option of [kafka] and takes the value, and when it is not one that
 * Lockstep's promises rest on (acks, isolation.level, ...); else -1 and `why`. */
int ls_kafka_option_check(const char *key, const char *value, char *why, size_t size);

/* ---- topics */
enum ls_topic_kept {
    LS_KEPT_14_DAYS, /* cleanup.policy=delete */
    LS_KEPT_LAST,    /* compact; older states and deletions too stay for 14 days */
    LS_KEPT_STATE,   /* compact as soon as it can be: a topic that is read whole at each start */
};
struct ls_topic_spec {
    const char *name; /* full name */
    int partitions;
    enum ls_topic_kept kept;
};
/* Makes those that are missing (option lockstep.create_topics; else, or without the right to it,
 * they have 5 s to come, then FATAL naming them) and compares the partition counts of those that
 * are there (FATAL when they differ). Producers made after hold to the smallest max.message.bytes
 * of these topics, where the broker tells it. */
int ls_topics_ensure(const struct ls_config *config, const struct ls_topic_spec *specs, size_t n,
                     struct ls_err *err);
/* What a topic's max.message.bytes must be at least; its full name. */
int64_t ls_topic_takes_least(const char *topic);

/* ---- producing */
struct ls_producer;
/* The config must live as long. transactional_id NULL: a plain idempotent producer, else
 * init_transactions is done (and an older holder of the id fenced) on return. */
int ls_producer_new(const struct ls_config *config, const char *transactional_id,
                    struct ls_producer **ret, struct ls_err *err);
void ls_producer_free(struct ls_producer *producer);
int ls_producer_begin(struct ls_producer *producer, struct ls_err *err);
/* Queued; key and value are copied. value.p == NULL is a tombstone. partition -1: by key.
 * A record larger than the client or a topic takes is POISON with cause "too-large". Other failures
 * may be those of records in front of it. */
int ls_producer_send(struct ls_producer *producer, const char *topic, int32_t partition,
                     struct ls_str key, struct ls_str value, const struct ls_header *headers,
                     size_t n_headers, struct ls_err *err);
/* What was sent so far begins its way now, not with the commit. Takes up to a millisecond. */
void ls_producer_push(struct ls_producer *producer);
struct ls_consumer;
/* Puts the consumer's positions (all that was polled) into the transaction; the consumer is
 * borrowed until its end. */
int ls_producer_send_offsets(struct ls_producer *producer, struct ls_consumer *consumer,
                             struct ls_err *err);
/* Returns 0 only when every record and the offsets are committed. RETRY: aborted, do it again; when
 * ls_producer_begin then fails, or the cause is "too-large" (the broker refused a record that the
 * next but one try knows as POISON), with a new producer. */
int ls_producer_commit(struct ls_producer *producer, struct ls_err *err);
/* Also when begin, send or commit failed. After -1 this producer is done for: free it, make a new
 * one. Without an open transaction it does nothing and returns 0. */
int ls_producer_abort(struct ls_producer *producer, struct ls_err *err);
/* Keys and values of what this process has handed to librdkafka, aborted transactions included, and
 * of what was polled. */
int64_t ls_kafka_sent_bytes(void);
int64_t ls_kafka_received_bytes(void);
/* Records that were sent and are not acknowledged yet; those that will not be any more, since the
 * last flush or the beginning of the transaction. */
int ls_producer_waiting(const struct ls_producer *producer);
int64_t ls_producer_lost(const struct ls_producer *producer);
/* For plain producers: waits until all that was sent is acknowledged. */
int ls_producer_flush(struct ls_producer *producer, int timeout_ms, struct ls_err *err);

/* ---- consuming */
struct ls_message {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    struct ls_str key, value; /* value.p == NULL: tombstone */
    struct ls_header headers[LS_MAX_HEADERS];
    size_t n_headers;
    bool packed;  /* the headers are librdkafka's yet: only ls_message_header unpacks them */
    void *opaque; /* librdkafka's message */
};
/* NULL: there is none. Of one thread at a time: the first call takes the headers out. */
const struct ls_str *ls_message_header(const struct ls_message *message, const char *name);
void ls_message_free(struct ls_message *message);

struct ls_partition {
    const char *topic;
    int32_t partition;
    int64_t offset; /* where to begin; LS_OFFSET_STORED: the group's, or the beginning when it has
                       none */
};
#define LS_OFFSET_STORED (-1000)
#define LS_OFFSET_BEGINNING (-2)
#define LS_OFFSET_END (-1)

/* Called from ls_consumer_poll only (not when the consumer is freed). `assigned`: the offsets,
 * which are resolved already, may be changed before they are used. Revoked: all, what is kept comes
 * back. */
typedef void ls_rebalance_fn(void *arg, bool assigned, struct ls_partition *parts, size_t n);

/* read_committed, enable.auto.commit=false, auto.offset.reset=error. group NULL: assign only. */
int ls_consumer_new(const struct ls_config *config, const char *group, struct ls_consumer **ret,
                    struct ls_err *err);
void ls_consumer_free(struct ls_consumer *consumer); /* leaves the group */
int ls_consumer_subscribe(struct ls_consumer *consumer, const char *const *topics, size_t n,
                          ls_rebalance_fn *on_rebalance, void *arg, struct ls_err *err);
int ls_consumer_assign(struct ls_consumer *consumer, const struct ls_partition *parts, size_t n,
                       struct ls_err *err);
/* *ret is NULL when the time ran out. An offset out of range is FATAL, cause "offset-lost". Behind
 * RETRY with cause LS_CAUSE_REJOIN nothing comes until ls_consumer_rewind has joined the group
 * anew.
 */
#define LS_CAUSE_REJOIN "member-fenced"
int ls_consumer_poll(struct ls_consumer *consumer, int timeout_ms, struct ls_message **ret,
                     struct ls_err *err);
/* Records (and events) that have been fetched and not yet polled. */
size_t ls_consumer_waiting(struct ls_consumer *consumer);
/* How many offsets of the assigned partitions lie before their ends and were not polled: records,
 * and the marks of transactions. From what librdkafka has heard last, no question to the broker; -1
 * while it has heard nothing. */
int64_t ls_consumer_behind(struct ls_consumer *consumer);
/* Bytes of a record, key and value, of those polled lately; NaN: none was. */
double ls_consumer_record_bytes(const struct ls_consumer *consumer);
/* Back to the group's committed offsets (or the ones given at assignment), after an abort. After
 * LS_CAUSE_REJOIN by a new client: no message of this consumer may be out. */
int ls_consumer_rewind(struct ls_consumer *consumer, struct ls_err *err);
/* Plain commit of these offsets for the group (apply; never used beside send_offsets). Without
 * `wait` it is only sent, and nobody hears what becomes of it; with it a broker that stands still
 * holds the caller for minutes. */
int ls_consumer_commit(struct ls_consumer *consumer, const struct ls_partition *parts, size_t n,
                       bool wait, struct ls_err *err);
/* The end of the committed part (last stable offset) and the first offset still there. */
int ls_consumer_bounds(struct ls_consumer *consumer, const char *topic, int32_t partition,
                       int64_t *ret_first, int64_t *ret_end, struct ls_err *err);
int ls_consumer_partitions(struct ls_consumer *consumer, const char *topic, int *ret_n,
                           struct ls_err *err);
/* The committed offsets of any group, without joining it; -1 where there is none. */
int ls_group_offsets(const struct ls_config *config, const char *group, struct ls_partition *parts,
                     size_t n, struct ls_err *err);

/* Who reads a topic whole loses nothing when its beginning goes meanwhile: read anew, it is what
 * there is. So the offset that was lost is a RETRY for him. */
void ls_topic_aged_away(struct ls_err *err);
/* Reads a whole topic, all partitions, up to its end at the call's time; stops at -1 of `each`.
 * RETRY is also what ages away meanwhile: it comes from the beginning that there is then. */
int ls_topic_read(const struct ls_config *config, const char *topic,
                  int (*each)(void *arg, const struct ls_message *message, struct ls_err *err),
                  void *arg, struct ls_err *err);

#endif
