/*
 * latency PORT USER PASSWORD DATABASE BOOTSTRAP COUNT RATE TOPIC...: from commit to consumer.
 *
 * Changes one row of oc_filecache a transaction, RATE times a second and COUNT times, each time to
 * another etag, while readers of committed records wait at the topics, one thread each. A record is
 * recognised by the number in its etag, whatever the format around it; when it holds two, before
 * and after, the higher one is the new one. The mark before the number is another one in each run:
 * the last run's etags are still in the table. Prints, in JSON, for each topic how many of the
 * changes came and the percentiles of the time between the commit's acknowledgement and the
 * arrival, without the first tenth: a virtual machine's warming up is not its latency.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <mysql.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS 500
#define MAX_TOPICS 4
#define QUIET_S 10 /* after the last commit */

struct reader {
    const char *topic;
    rd_kafka_t *kafka;
    int64_t *arrived_ns; /* by number; 0: not yet */
    atomic_long seen;
    pthread_t thread;
};

static int64_t *committed_ns;
static long count;
static char mark[24];
static atomic_bool over;

static int64_t
now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
sleep_until(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "latency: %s: %s\n", what, why);
    exit(1);
}

/* The highest number behind a mark, -1 without one. */
static long
number_in(const char *p, size_t n)
{
    const char *end = p + n;
    long highest = -1;

    while ((p = memmem(p, (size_t)(end - p), mark, strlen(mark))) != NULL) {
        long number = 0;
        for (p += strlen(mark); p < end && *p >= '0' && *p <= '9'; p++)
            number = number * 10 + (*p - '0');
        if (number > highest)
            highest = number;
    }
    return highest;
}

static void *
read_topic(void *arg)
{
    struct reader *r = arg;

    while (!atomic_load(&over)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(r->kafka, 100);
        int64_t now = now_ns();
        long number;
        if (!message)
            continue;
        number = message->err || !message->payload ? -1 : number_in(message->payload, message->len);
        if (number >= 0 && number < count && r->arrived_ns[number] == 0) {
            r->arrived_ns[number] = now;
            atomic_fetch_add(&r->seen, 1);
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void
set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(key, why);
}

/* The end of a partition; of a topic that was just made nobody may know the leader yet. */
static int64_t
end_of(struct reader *r, int32_t partition)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int64_t low, high;

    for (int tries = 0; tries < 100; tries++) {
        code = rd_kafka_query_watermark_offsets(r->kafka, r->topic, partition, &low, &high, 10000);
        if (!code)
            return high;
        sleep_until(now_ns() + 100000000);
    }
    die(r->topic, rd_kafka_err2str(code));
    return -1;
}

/* Every partition of the topic, from its end on. */
static void
reader_start(struct reader *r, const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const struct rd_kafka_metadata *meta;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_topic_t *topic;
    rd_kafka_resp_err_t code;
    char why[256];

    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "group.id", "bench");
    set(conf, "isolation.level", "read_committed");
    set(conf, "enable.auto.commit", "false");
    r->arrived_ns = calloc((size_t)count, sizeof(*r->arrived_ns));
    r->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!r->arrived_ns || !r->kafka)
        die("consumer", why);
    rd_kafka_poll_set_consumer(r->kafka);
    topic = rd_kafka_topic_new(r->kafka, r->topic, NULL);
    code = rd_kafka_metadata(r->kafka, 0, topic, &meta, 10000);
    if (code || meta->topic_cnt != 1 || meta->topics[0].partition_cnt == 0)
        die(r->topic, code ? rd_kafka_err2str(code) : "no such topic");
    list = rd_kafka_topic_partition_list_new(meta->topics[0].partition_cnt);
    for (int i = 0; i < meta->topics[0].partition_cnt; i++)
        rd_kafka_topic_partition_list_add(list, r->topic, i)->offset = end_of(r, i);
    if ((code = rd_kafka_assign(r->kafka, list)) != 0)
        die(r->topic, rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(meta);
    rd_kafka_topic_destroy(topic);
    if (pthread_create(&r->thread, NULL, read_topic, r) != 0)
        die("thread", "cannot start");
}

static void
write_rows(MYSQL *mysql, long rate)
{
    int64_t ids[ROWS], begin;
    long n = 0;
    MYSQL_RES *rows;
    MYSQL_ROW row;
    char sql[200];

    (void)snprintf(sql, sizeof(sql), "SELECT fileid FROM oc_filecache ORDER BY fileid LIMIT %d",
                   ROWS);
    if (mysql_query(mysql, sql) || !(rows = mysql_store_result(mysql)))
        die("query", mysql_error(mysql));
    while ((row = mysql_fetch_row(rows)))
        ids[n++] = atoll(row[0]);
    mysql_free_result(rows);
    if (n == 0)
        die("oc_filecache", "it is empty");
    begin = now_ns();
    for (long i = 0; i < count; i++) {
        sleep_until(begin + i * (1000000000 / rate));
        (void)snprintf(sql, sizeof(sql),
                       "UPDATE oc_filecache SET etag='%s%ld',mtime=mtime+1 WHERE fileid=%" PRId64,
                       mark, i, ids[i % n]);
        if (mysql_query(mysql, sql))
            die("query", mysql_error(mysql));
        committed_ns[i] = now_ns();
    }
}

static int
by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
print_reader(const struct reader *r, bool last)
{
    double *ms = calloc((size_t)count, sizeof(*ms));
    long n = 0;

    if (!ms)
        die("memory", "none");
    for (long i = count / 10; i < count; i++)
        if (r->arrived_ns[i])
            ms[n++] = (double)(r->arrived_ns[i] - committed_ns[i]) / 1e6;
    qsort(ms, (size_t)n, sizeof(*ms), by_size);
    (void)printf("\"%s\": {\"rows\": %ld, \"arrived\": %ld", r->topic, count,
                 atomic_load(&r->seen));
    if (n > 0)
        (void)printf(", \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f", ms[n / 2],
                     ms[n * 99 / 100], ms[n - 1]);
    (void)printf("}%s", last ? "" : ", ");
    free(ms);
}

int
main(int argc, char **argv)
{
    MYSQL *mysql = mysql_init(NULL);
    struct reader readers[MAX_TOPICS] = {0};
    int n = argc - 8;
    int64_t until;

    if (argc < 9 || n > MAX_TOPICS)
        die("usage", "latency PORT USER PASSWORD DATABASE BOOTSTRAP COUNT RATE TOPIC...");
    count = atol(argv[6]);
    (void)snprintf(mark, sizeof(mark), "b%" PRIx64 "-", now_ns());
    committed_ns = calloc((size_t)count, sizeof(*committed_ns));
    if (!committed_ns || !mysql_real_connect(mysql, "127.0.0.1", argv[2], argv[3], argv[4],
                                             (unsigned)atoi(argv[1]), NULL, 0))
        die("connecting", mysql_error(mysql));
    for (int i = 0; i < n; i++) {
        readers[i].topic = argv[8 + i];
        reader_start(&readers[i], argv[5]);
    }
    sleep_until(now_ns() + 1000000000); /* for the consumers' first fetches */
    write_rows(mysql, atol(argv[7]));
    until = now_ns() + (int64_t)QUIET_S * 1000000000;
    for (bool all = false; !all && now_ns() < until;) {
        all = true;
        for (int i = 0; i < n; i++)
            all = all && atomic_load(&readers[i].seen) == count;
        sleep_until(now_ns() + 20000000);
    }
    atomic_store(&over, true);
    (void)printf("{");
    for (int i = 0; i < n; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        print_reader(&readers[i], i == n - 1);
    }
    (void)printf("}\n");
    return 0; /* the consumers hold nothing that has to be given back */
}
