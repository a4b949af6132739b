/*
 * commits BOOTSTRAP TOPIC PARTITIONS COUNT MS: what a transaction costs where nothing else happens.
 *
 * COUNT transactions, each MS milliseconds behind the answer to the one before, with one record to
 * each of the first PARTITIONS partitions of TOPIC and as many offsets of a group, by a producer
 * set up as transform's. Nothing is read, nothing is behind: what is left is the broker's time and
 * librdkafka's, which each row waits for at least once, and one that comes while a commit is under
 * way twice. With a small MS the coordinator is not done with the last one, says "later", and
 * librdkafka takes that for 20 ms. Prints, in JSON, the percentiles of the time until all is
 * delivered, until the offsets are taken, until the commit is answered, and of the three together,
 * without the first tenth.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORD 250 /* bytes, as many as a file's */
#define WAIT_MS 60000

enum { DELIVERED, OFFSETS, COMMITTED, TOGETHER, STEPS };

static double *took[STEPS];

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "commits: %s: %s\n", what, why);
    exit(1);
}

static void
check(rd_kafka_error_t *error, const char *what)
{
    if (error)
        die(what, rd_kafka_error_string(error));
}

static int64_t
now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static rd_kafka_t *
producer_new(const char *bootstrap)
{
    const char *const options[] = {
        "bootstrap.servers", bootstrap, "transactional.id", "commits", "linger.ms", "50", NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_t *rk;

    for (size_t i = 0; options[i]; i += 2) {
        if (rd_kafka_conf_set(conf, options[i], options[i + 1], why, sizeof(why)))
            die(options[i], why);
    }
    if (rd_kafka_conf_set(conf, "socket.nagle.disable", "true", why, sizeof(why)))
        die("nagle", why);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk)
        die("kafka", why);
    check(rd_kafka_init_transactions(rk, WAIT_MS), "init_transactions");
    return rk;
}

static void
transaction(rd_kafka_t *rk, const char *topic, int partitions, long n)
{
    static const char record[RECORD];
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new("commits");
    int64_t at[STEPS];

    check(rd_kafka_begin_transaction(rk), "begin");
    at[0] = now_ns();
    for (int i = 0; i < partitions; i++) {
        rd_kafka_resp_err_t code =
            rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i),
                              RD_KAFKA_V_VALUE((void *)record, sizeof(record)), RD_KAFKA_V_END);

        if (code)
            die("produce", rd_kafka_err2str(code));
        rd_kafka_topic_partition_list_add(offsets, topic, i)->offset = n;
    }
    while (rd_kafka_flush(rk, 1)) { /* a longer one looks each 10 ms */
        if (now_ns() - at[0] > (int64_t)WAIT_MS * 1000000)
            die("flush", "not delivered");
    }
    at[1] = now_ns();
    check(rd_kafka_send_offsets_to_transaction(rk, offsets, group, WAIT_MS), "offsets");
    at[2] = now_ns();
    check(rd_kafka_commit_transaction(rk, WAIT_MS), "commit");
    at[3] = now_ns();
    for (int i = 0; i < TOGETHER; i++)
        took[i][n] = (double)(at[i + 1] - at[i]) / 1e6;
    took[TOGETHER][n] = (double)(at[3] - at[0]) / 1e6;
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
}

static int
by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

int
main(int argc, char **argv)
{
    static const char *const names[STEPS] = {"delivered", "offsets taken", "commit answered",
                                             "together"};
    rd_kafka_t *rk;
    struct timespec pause;
    long count, first;

    if (argc != 6)
        die("usage", "commits BOOTSTRAP TOPIC PARTITIONS COUNT MS");
    count = atol(argv[4]);
    first = count / 10;
    for (int i = 0; i < STEPS; i++) {
        took[i] = calloc((size_t)count + 1, sizeof(*took[i]));
        if (!took[i])
            die("memory", "none");
    }
    rk = producer_new(argv[1]);
    pause = (struct timespec){.tv_sec = atol(argv[5]) / 1000,
                              .tv_nsec = atol(argv[5]) % 1000 * 1000000};
    for (long n = 0; n < count; n++) {
        transaction(rk, argv[2], atoi(argv[3]), n);
        (void)nanosleep(&pause, NULL);
    }
    for (int i = 0; i < STEPS; i++) {
        long m = count - first;

        qsort(took[i] + first, (size_t)m, sizeof(double), by_size);
        (void)printf("%s\"%s\": {\"p50_ms\": %.2f, \"p99_ms\": %.2f}", i ? ", " : "{", names[i],
                     took[i][first + m / 2], took[i][first + m * 99 / 100]);
    }
    (void)printf("}\n");
    rd_kafka_destroy(rk);
    return 0;
}
