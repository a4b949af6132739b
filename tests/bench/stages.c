/*
 * stages.so, preloaded: when each row passed the stages of a program that consumes and produces.
 *
 *     LD_PRELOAD=build/bench/bin/stages.so BENCH_STAGES=FILE lockstep-transform ...
 *
 * Stands between the program and librdkafka and looks at the clock at each call that a row has to
 * pass. Rows are told apart by the mark that `rows` puts into their etag. FILE gets a line for each
 * row when its transaction is through: its number, then the nanoseconds (CLOCK_MONOTONIC) when it
 * was polled, when its transaction began, when all of it was delivered and the offsets set out,
 * when these were taken, when the commit set out and when it was answered. The programs know
 * nothing of it; one thread is looked at, that which polls the most.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MARK "bench-"
#define MOST 200000 /* rows of one transaction */

static struct {
    long row;
    int64_t polled;
} rows[MOST];
static long n;
static int64_t begun, offsets, offsets_taken;
static FILE *out;

static int64_t
now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *
next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (!f)
        abort();
    return f;
}

static void
note(const rd_kafka_message_t *m)
{
    const char *p = m->payload ? memmem(m->payload, m->len, MARK, strlen(MARK)) : NULL;

    if (p && n < MOST) {
        rows[n].row = strtol(p + strlen(MARK), NULL, 10);
        rows[n++].polled = now_ns();
    }
}

rd_kafka_message_t *
rd_kafka_consumer_poll(rd_kafka_t *rk, int timeout_ms)
{
    static rd_kafka_message_t *(*real)(rd_kafka_t *, int);
    rd_kafka_message_t *m;

    if (!real)
        *(void **)&real = next("rd_kafka_consumer_poll");
    m = real(rk, timeout_ms);
    if (m && !m->err)
        note(m);
    return m;
}

rd_kafka_error_t *
rd_kafka_begin_transaction(rd_kafka_t *rk)
{
    static rd_kafka_error_t *(*real)(rd_kafka_t *);

    if (!real)
        *(void **)&real = next("rd_kafka_begin_transaction");
    begun = now_ns();
    return real(rk);
}

rd_kafka_error_t *
rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list,
                                     const rd_kafka_consumer_group_metadata_t *group, int ms)
{
    static rd_kafka_error_t *(*real)(rd_kafka_t *, const rd_kafka_topic_partition_list_t *,
                                     const rd_kafka_consumer_group_metadata_t *, int);
    rd_kafka_error_t *error;

    if (!real)
        *(void **)&real = next("rd_kafka_send_offsets_to_transaction");
    offsets = now_ns();
    error = real(rk, list, group, ms);
    offsets_taken = now_ns();
    return error;
}

rd_kafka_error_t *
rd_kafka_commit_transaction(rd_kafka_t *rk, int ms)
{
    static rd_kafka_error_t *(*real)(rd_kafka_t *, int);
    rd_kafka_error_t *error;
    int64_t start = now_ns(), end;

    if (!real)
        *(void **)&real = next("rd_kafka_commit_transaction");
    error = real(rk, ms);
    end = now_ns();
    if (!out && getenv("BENCH_STAGES"))
        out = fopen(getenv("BENCH_STAGES"), "we");
    for (long i = 0; out && i < n; i++)
        (void)fprintf(
            out, "%ld %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n",
            rows[i].row, rows[i].polled, begun, offsets, offsets_taken, start, end);
    if (out)
        (void)fflush(out);
    n = 0;
    return error;
}
