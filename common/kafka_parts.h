/*
 * What the files about Kafka share. Private to common/.
 */
#ifndef LS_KAFKA_PARTS_H
#define LS_KAFKA_PARTS_H

#include "common/kafka.h"
#include <librdkafka/rdkafka.h>

/* A configuration with `defaults` (pairs of key and value, then NULL; may be NULL), over them
 * [kafka], and librdkafka's log going to ours. */
int kafka_conf_new(const struct ls_config *config, const char *const *defaults,
                   rd_kafka_conf_t **ret, struct ls_err *err);
/* Sets an option of ours; one that is not taken is a bug and aborts. */
void kafka_conf_set(rd_kafka_conf_t *conf, const char *key, const char *value);
/* A client; takes `conf` in any case. */
int kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret,
                     struct ls_err *err);

/* Fills `err` from a code: what may pass is RETRY, the rest FATAL with a cause. Returns -1. */
int kafka_fail(struct ls_err *err, rd_kafka_resp_err_t code, const char *what);
/* The same from an error object, which is destroyed. */
int kafka_fail_error(struct ls_err *err, rd_kafka_error_t *error, const char *what);

/* The settings that a topic is made with: pairs of name and value, then NULL. */
const char *const *kafka_topic_settings(enum ls_topic_kept kept);

/* kafka_look.c: the answer to a question for configurations, waited for so long; to be destroyed,
 * NULL with err. */
rd_kafka_event_t *kafka_describe(rd_kafka_t *rk, rd_kafka_ConfigResource_t **asked, size_t n,
                                 int most_ms, struct ls_err *err);

/* ---- how large a record may be, see kafka_limits.c */
/* Asks for the topics' limits. A broker that does not tell is no failure. */
int kafka_limits_ask(rd_kafka_t *rk, const struct ls_topic_spec *specs, size_t n,
                     struct ls_err *err);
/* FATAL, cause "topics", when a topic takes less than what we write there. */
int kafka_limit_check(const char *topic, int64_t bytes, struct ls_err *err);
int64_t kafka_limit(void); /* 0: not known */
/* What a record may take at most in a batch of its own. */
int64_t kafka_record_size(size_t key_and_value, const struct ls_header *headers, size_t n);
/* Sets batch.size for a new producer; whether it has to send each record alone. */
bool kafka_limit_batches(rd_kafka_conf_t *conf);
/* The broker refused this record for its size, or the batch that it was in. */
void kafka_limit_refused(bool alone, size_t key_and_value);
/* What the topics' configuration says; the same again changes nothing. */
void kafka_limit_told(int64_t bytes);

/* ---- records of one partition in piles, see kafka_gather.c */
struct kafka_gather;
struct kafka_pile;
struct kafka_gather *kafka_gather_new(void); /* NULL: no memory */
void kafka_gather_free(struct kafka_gather *gather);
/* All that lies there is thrown away. */
void kafka_gather_forget(struct kafka_gather *gather);
/* The pile for a partition of the so-many-eth topic, maybe one with another's records. NULL: there
 * was none yet and none is made, or no memory. */
struct kafka_pile *kafka_gather_at(struct kafka_gather *gather, size_t topic, int32_t partition,
                                   bool make);
/* A pile with records in it; NULL: there is none. */
struct kafka_pile *kafka_gather_next(struct kafka_gather *gather);
/* Copies the record; false when the pile has to be handed over first. A record of up to
 * KAFKA_GATHERED bytes fits into an empty one. */
#define KAFKA_GATHERED 4096
bool kafka_pile_put(struct kafka_pile *pile, rd_kafka_topic_t *rkt, int32_t partition,
                    struct ls_str key, struct ls_str value);
/* Into librdkafka's queue. With an error (__QUEUE_FULL, for one) what was not taken is still there.
 */
rd_kafka_resp_err_t kafka_pile_hand_over(struct kafka_pile *pile);

struct ls_producer;
struct ls_consumer;
rd_kafka_t *consumer_handle(struct ls_consumer *consumer);
/* Where the consumer stands: behind what was polled, or at the end of the committed part. Entries
 * that nothing is known of are RD_KAFKA_OFFSET_INVALID. Borrowed. */
const rd_kafka_topic_partition_list_t *consumer_positions(const struct ls_consumer *consumer);
/* Those of them that no transaction has committed since the assignment; to be destroyed. */
rd_kafka_topic_partition_list_t *consumer_uncommitted(const struct ls_consumer *consumer);
/* A transaction with these positions is committed. */
void consumer_set_committed(struct ls_consumer *consumer);

#endif
