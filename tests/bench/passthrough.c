/*
 * passthrough BOOTSTRAP FROM TO RECORDS COUNT [MS]: the limit of what transform can do.
 *
 * Reads the topic FROM and sends each record as it is to the same partition of TO, in transactions
 * of RECORDS records with the offsets of what was read: what transform does, without looking at the
 * records. librdkafka is set up as transform sets it up. Prints "first N" and "end N" with the
 * number of records that its first and last commit had reached, when they were through. With MS a
 * transaction is committed that long after its first record, as transform does when nothing is
 * behind: the limit of its latency.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PARTITIONS 8

static rd_kafka_t *consumer, *producer;
static rd_kafka_topic_partition_list_t *positions;

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "passthrough: %s: %s\n", what, why);
    exit(1);
}

static void
check(rd_kafka_error_t *error, const char *what)
{
    if (error)
        die(what, rd_kafka_error_string(error));
}

static rd_kafka_t *
client(rd_kafka_type_t type, const char *const *options)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_t *rk;

    for (; *options; options += 2) {
        if (rd_kafka_conf_set(conf, options[0], options[1], why, sizeof(why)) != RD_KAFKA_CONF_OK)
            die(options[0], why);
    }
    rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (!rk)
        die("kafka", why);
    return rk;
}

static void
start(const char *bootstrap, const char *from, bool paced)
{
    const char *const reading[] = {"bootstrap.servers",
                                   bootstrap,
                                   "group.id",
                                   "passthrough",
                                   "isolation.level",
                                   "read_committed",
                                   "enable.auto.commit",
                                   "false",
                                   "enable.auto.offset.store",
                                   "false",
                                   "queued.max.messages.kbytes",
                                   "16384",
                                   "fetch.wait.max.ms",
                                   "100",
                                   NULL};
    const char *const writing[] = {"bootstrap.servers",
                                   bootstrap,
                                   "transactional.id",
                                   "passthrough",
                                   "linger.ms",
                                   paced ? "5" : "50",
                                   "socket.nagle.disable",
                                   "true",
                                   "queue.buffering.max.kbytes",
                                   "32768",
                                   "delivery.report.only.error",
                                   "true",
                                   NULL};

    consumer = client(RD_KAFKA_CONSUMER, reading);
    producer = client(RD_KAFKA_PRODUCER, writing);
    rd_kafka_poll_set_consumer(consumer);
    check(rd_kafka_init_transactions(producer, 30000), "init_transactions");
    positions = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(positions, from, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(consumer, positions))
        die(from, "cannot be read");
    for (int i = 0; i < PARTITIONS; i++)
        positions->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
}

static void
commit(long done, long *first)
{
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);

    check(rd_kafka_send_offsets_to_transaction(producer, positions, group, 30000), "offsets");
    rd_kafka_consumer_group_metadata_destroy(group);
    for (int i = 0; i < PARTITIONS; i++)
        positions->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
    check(rd_kafka_commit_transaction(producer, -1), "commit");
    if (*first == 0) {
        *first = done;
        (void)printf("first %ld\n", done);
        (void)fflush(stdout);
    }
}

static void
pass(rd_kafka_topic_t *to, const rd_kafka_message_t *m)
{
    while (rd_kafka_produce(to, m->partition, RD_KAFKA_MSG_F_COPY, m->payload, m->len, m->key,
                            m->key_len, NULL) < 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer, 2);
    }
    positions->elems[m->partition].offset = m->offset + 1;
}

static int64_t
now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
main(int argc, char **argv)
{
    long most, count, ms, done = 0, in_batch = 0, first = 0;
    int64_t due = 0;
    rd_kafka_topic_t *to;

    if (argc != 6 && argc != 7)
        die("usage", "passthrough BOOTSTRAP FROM TO RECORDS COUNT [MS]");
    most = atol(argv[4]);
    count = atol(argv[5]);
    ms = argc == 7 ? atol(argv[6]) : 0;
    start(argv[1], argv[2], ms > 0);
    to = rd_kafka_topic_new(producer, argv[3], NULL);
    while (done < count) {
        int64_t left = in_batch > 0 && ms > 0 ? due - now_ms() : 1000;
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, left > 0 ? (int)left : 0);

        if (m && m->err)
            die("poll", rd_kafka_message_errstr(m));
        if (m) {
            if (in_batch++ == 0) {
                check(rd_kafka_begin_transaction(producer), "begin");
                due = now_ms() + ms;
            }
            pass(to, m);
            rd_kafka_message_destroy(m);
            done++;
        }
        if (in_batch == most || done == count || (ms > 0 && in_batch > 0 && now_ms() >= due)) {
            commit(done, &first);
            in_batch = 0;
        }
    }
    (void)printf("end %ld\n", done);
    (void)fflush(stdout);
    (void)pause(); /* what it took is asked of the kernel while it lives */
    return 0;
}
