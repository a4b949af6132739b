/*
 * rows BOOTSTRAP PREFIX fill COUNT: a site's files on <prefix>.oc10.*, as capture would send them.
 * rows BOOTSTRAP PREFIX pace COUNT RATE RUN: the same one by one, RATE a second, each RUN of them
 * in one home, while a reader of committed records waits at <prefix>.cs3.resource.
 *
 * The rows are made up, but of the sizes that real ones have: names of some 20 bytes, a path five
 * folders deep, three checksums, every second row an update with what it was before. The same
 * numbers give the same rows. `fill` ends when all are acknowledged. `pace` prints, in JSON, how
 * many came out of transform and the percentiles of the time between the row's acknowledgement and
 * the arrival of its record, without the first tenth; the file BENCH_TIMES, when it is named, gets
 * both times of each row (ns, CLOCK_MONOTONIC). Any failure ends the program with its words.
 */
#include "common/records.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PARTITIONS 8
#define STORAGES 500
#define MARK "bench-"
#define QUIET_S 10 /* after the last row */

static int64_t *sent_ns, *arrived_ns; /* pace: by the row's number */
static atomic_long acknowledged, arrived;
static long count, run_of = 1;
static atomic_bool over;
static int64_t counter;

static int64_t
now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t
now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
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
    (void)fprintf(stderr, "rows: %s: %s\n", what, why);
    exit(1);
}

static void
set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(key, why);
}

static rd_kafka_t *
client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));

    if (!rk)
        die("kafka", why);
    return rk;
}

/* ---- rows */

static uint64_t
mix(uint64_t n)
{
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

static struct ls_value
number(int64_t n)
{
    return (struct ls_value){.kind = LS_V_INT, .i = n};
}

static struct ls_value
text(const char *s)
{
    return (struct ls_value){.kind = LS_V_TEXT, .s = ls_str_of(s)};
}

static struct ls_envelope
head(enum ls_table_id table, enum ls_op op)
{
    int64_t now = now_us();

    return (struct ls_envelope){.op = op,
                                .seq = {1, ++counter, 0},
                                .table = &ls_tables[table],
                                .source_ts_us = now,
                                .capture_ts_us = now,
                                .server = LS_STR("db.example:3306"),
                                .gtid = LS_STR("0-1-123456789"),
                                .file = LS_STR("binlog.000123"),
                                .pos = 1000 + counter * 311,
                                .moved_from = LS_NO_STORAGE,
                                .moved_to = LS_NO_STORAGE,
                                .storage = LS_NO_STORAGE,
                                .has_after = true};
}

static void
encode(const struct ls_envelope *e, struct ls_buf *out)
{
    struct ls_err err = {0};

    ls_buf_clear(out);
    if (ls_envelope_encode(e, out, &err) < 0)
        die("encoding", err.msg);
}

static void
put(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition, int64_t key,
    const struct ls_buf *value, long tag)
{
    char text_of_key[32];
    int n = snprintf(text_of_key, sizeof(text_of_key), "%" PRId64, key);

    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value->p, value->n, text_of_key,
                            (size_t)n, (void *)(intptr_t)tag) < 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(rk, 5);
    }
    rd_kafka_poll(rk, 0);
}

/* The row's record has this etag, by which `pace` knows it again. */
static void
file_row(long n, struct ls_buf *out, int64_t *ret_fileid, int32_t *ret_partition)
{
    uint64_t r = mix((uint64_t)n + 1);
    bool update = r & 1;
    struct ls_envelope e = head(LS_T_FILECACHE, update ? LS_OP_UPDATE : LS_OP_CREATE);
    int64_t storage = 1 + (int64_t)(mix((uint64_t)(n / run_of) + 1) >> 8) % STORAGES;
    char path[200], name[64], etag[64], checksum[160];

    (void)snprintf(name, sizeof(name), "quarterly report %ld.pdf", n);
    (void)snprintf(path, sizeof(path), "files/Projects/%u/archive/meeting notes/%s",
                   (unsigned)(r >> 20) % 100, name);
    (void)snprintf(etag, sizeof(etag), MARK "%ld-%08x", n, (unsigned)r);
    (void)snprintf(checksum, sizeof(checksum),
                   "SHA1:%016" PRIx64 "%016" PRIx64 "%08x MD5:%016" PRIx64 "%016" PRIx64
                   " ADLER32:%08x",
                   r, mix(r), (unsigned)r, mix(r + 1), mix(r + 2), (unsigned)(r >> 3));
    e.after[FC_FILEID] = number(10000 + n);
    e.after[FC_STORAGE] = number(storage);
    e.after[FC_PATH] = text(path);
    e.after[FC_PARENT] = number(9000 + (int64_t)(r >> 30) % 900);
    e.after[FC_NAME] = text(name);
    e.after[FC_MIMETYPE] = number(3);
    e.after[FC_SIZE] = number((int64_t)(r >> 40));
    e.after[FC_MTIME] = number(1700000000 + n % 10000000);
    e.after[FC_ENCRYPTED] = number(0);
    e.after[FC_ETAG] = text(etag);
    e.after[FC_PERMISSIONS] = number(27);
    e.after[FC_CHECKSUM] = text(checksum);
    if (update) {
        e.has_before = true;
        e.before[FC_FILEID] = e.after[FC_FILEID];
        e.before[FC_SIZE] = number(-1);
        e.before[FC_ETAG] = text("0123456789abcdef0123456789abcdef");
        e.before[FC_MTIME] = number(1690000000);
    }
    encode(&e, out);
    *ret_fileid = 10000 + n;
    *ret_partition = ls_partition_of_storage(storage, PARTITIONS);
}

static void
small_tables(rd_kafka_t *rk, const char *prefix, struct ls_buf *buf)
{
    static const char *const types[] = {"httpd", "httpd/unix-directory", "application/pdf"};
    rd_kafka_topic_t *storages, *mimetypes;
    struct ls_envelope e;
    char name[200];

    (void)snprintf(name, sizeof(name), "%s.oc10.oc_storages", prefix);
    storages = rd_kafka_topic_new(rk, name, NULL);
    (void)snprintf(name, sizeof(name), "%s.oc10.oc_mimetypes", prefix);
    mimetypes = rd_kafka_topic_new(rk, name, NULL);
    for (int i = 1; i <= STORAGES; i++) {
        (void)snprintf(name, sizeof(name), "home::user%04d", i);
        e = head(LS_T_STORAGES, LS_OP_READ);
        e.after[ST_NUMERIC_ID] = number(i);
        e.after[ST_ID] = text(name);
        encode(&e, buf);
        put(rk, storages, 0, i, buf, -1);
    }
    for (int i = 1; i <= 3; i++) {
        e = head(LS_T_MIMETYPES, LS_OP_READ);
        e.after[MT_ID] = number(i);
        e.after[MT_MIMETYPE] = text(types[i - 1]);
        encode(&e, buf);
        put(rk, mimetypes, 0, i, buf, -1);
    }
    if (rd_kafka_flush(rk, 30000))
        die("flush", "the small tables were not taken");
    rd_kafka_topic_destroy(storages);
    rd_kafka_topic_destroy(mimetypes);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
    long tag = (long)(intptr_t)message->_private;

    (void)rk, (void)arg;
    if (message->err)
        die("delivery", rd_kafka_err2str(message->err));
    if (tag >= 0) {
        if (sent_ns)
            sent_ns[tag] = now_ns();
        atomic_fetch_add(&acknowledged, 1);
    }
}

/* ---- what comes out */

static void
arrive(const rd_kafka_message_t *message)
{
    int64_t now = now_ns();
    const char *p =
        message->payload ? memmem(message->payload, message->len, MARK, strlen(MARK)) : NULL;
    const char *end = (const char *)message->payload + message->len;
    long n = 0;

    if (!p)
        return;
    for (p += strlen(MARK); p < end && *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (*p - '0');
    if (n < count && arrived_ns[n] == 0) {
        arrived_ns[n] = now;
        atomic_fetch_add(&arrived, 1);
    }
}

static void *
reader(void *arg)
{
    rd_kafka_t *rk = arg;

    while (!atomic_load(&over)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);

        if (!message)
            continue;
        if (!message->err)
            arrive(message);
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static rd_kafka_t *
reader_new(const char *bootstrap, const char *prefix)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char topic[200];
    rd_kafka_t *rk;

    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "group.id", "bench");
    set(conf, "isolation.level", "read_committed");
    set(conf, "enable.auto.commit", "false");
    rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    (void)snprintf(topic, sizeof(topic), "%s.cs3.resource", prefix);
    for (int i = 0; i < PARTITIONS; i++) {
        int64_t low, high, until = now_ns() + INT64_C(30000000000);

        /* one that was made just now may not be led yet */
        while (rd_kafka_query_watermark_offsets(rk, topic, i, &low, &high, 30000)) {
            if (now_ns() > until)
                die(topic, "its end is not known");
            sleep_until(now_ns() + 100000000);
        }
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = high;
    }
    if (rd_kafka_assign(rk, list))
        die(topic, "cannot be read");
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

static int
by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
write_times(void)
{
    const char *path = getenv("BENCH_TIMES");
    FILE *f = path ? fopen(path, "we") : NULL;

    if (path && !f)
        die(path, "cannot be written");
    for (long i = count / 10; f && i < count; i++) {
        if (arrived_ns[i])
            (void)fprintf(f, "%ld %" PRId64 " %" PRId64 "\n", i, sent_ns[i], arrived_ns[i]);
    }
    if (f && fclose(f))
        die(path, "cannot be written");
}

static void
print_times(void)
{
    double *ms = calloc((size_t)count, sizeof(*ms));
    long n = 0;

    if (!ms)
        die("memory", "none");
    for (long i = count / 10; i < count; i++) {
        if (arrived_ns[i])
            ms[n++] = (double)(arrived_ns[i] - sent_ns[i]) / 1e6;
    }
    write_times();
    qsort(ms, (size_t)n, sizeof(*ms), by_size);
    (void)printf("{\"rows\": %ld, \"arrived\": %ld", count, atomic_load(&arrived));
    if (n > 0)
        (void)printf(", \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f", ms[n / 2],
                     ms[n * 99 / 100], ms[n - 1]);
    (void)printf("}\n");
    free(ms);
}

/* ---- the two ways */

static void
fill(rd_kafka_t *rk, rd_kafka_topic_t *files, struct ls_buf *buf)
{
    for (long i = 0; i < count; i++) {
        int64_t fileid;
        int32_t partition;

        file_row(i, buf, &fileid, &partition);
        put(rk, files, partition, fileid, buf, i);
    }
    while (atomic_load(&acknowledged) < count)
        rd_kafka_poll(rk, 100);
}

static void *
serve(void *arg)
{
    while (!atomic_load(&over))
        rd_kafka_poll(arg, 100);
    return NULL;
}

static void
pace(rd_kafka_t *rk, rd_kafka_topic_t *files, struct ls_buf *buf, long rate, const char *bootstrap,
     const char *prefix)
{
    rd_kafka_t *consumer = reader_new(bootstrap, prefix);
    pthread_t reading, serving;
    int64_t begin;

    sent_ns = calloc((size_t)count, sizeof(*sent_ns));
    arrived_ns = calloc((size_t)count, sizeof(*arrived_ns));
    if (!sent_ns || !arrived_ns || pthread_create(&reading, NULL, reader, consumer) ||
        pthread_create(&serving, NULL, serve, rk))
        die("memory", "none");
    sleep_until(now_ns() + 1000000000); /* for the consumer's first fetches */
    begin = now_ns();
    for (long i = 0; i < count; i++) {
        int64_t fileid;
        int32_t partition;

        sleep_until(begin + i * (1000000000 / rate));
        file_row(i, buf, &fileid, &partition);
        put(rk, files, partition, fileid, buf, i);
    }
    begin = now_ns();
    while (atomic_load(&arrived) < count && now_ns() < begin + (int64_t)QUIET_S * 1000000000)
        sleep_until(now_ns() + 20000000);
    atomic_store(&over, true);
    (void)pthread_join(reading, NULL);
    (void)pthread_join(serving, NULL);
    print_times();
}

int
main(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool paced = argc == 7 && !strcmp(argv[3], "pace");
    rd_kafka_topic_t *files;
    struct ls_buf buf;
    char topic[200];
    rd_kafka_t *rk;

    if (!paced && !(argc == 5 && !strcmp(argv[3], "fill")))
        die("usage", "rows BOOTSTRAP PREFIX fill COUNT | pace COUNT RATE RUN");
    count = atol(argv[4]);
    run_of = paced ? atol(argv[6]) : 1;
    ls_buf_init(&buf, 1 << 20);
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", paced ? "0" : "20");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rk = client(RD_KAFKA_PRODUCER, conf);
    (void)snprintf(topic, sizeof(topic), "%s.oc10.oc_filecache", argv[2]);
    files = rd_kafka_topic_new(rk, topic, NULL);
    if (paced) {
        counter = INT64_C(1) << 40; /* behind what `fill` sent */
        pace(rk, files, &buf, atol(argv[5]), argv[1], argv[2]);
    } else {
        small_tables(rk, argv[2], &buf);
        fill(rk, files, &buf);
    }
    ls_buf_free(&buf);
    return 0; /* the clients hold nothing that has to be given back */
}
