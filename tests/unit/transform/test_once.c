/*
 * Rows of <p>.replay are taken once: what stands before them is read from librdkafka's mock
 * cluster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "common/run.h"
#include "transform/once.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t ahead_us; /* our clock */

int64_t
ls_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + ahead_us;
}

int64_t
ls_mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#define TOPIC "t.replay"
#define KEY LS_STR("0123456789abcdef0123456789abcdef")

static const struct tf_replay_guard guard = {.key = {"0123456789abcdef0123456789abcdef", 32},
                                             .prefix = {"t", 1},
                                             .max_ahead_s = 300,
                                             .topic = TOPIC};

struct world {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct ls_config *config;
    struct ls_producer *producer;
    int64_t end[2]; /* of the topic's partitions */
};

/* A record, signed, and the place where it will stand. */
struct record {
    struct ls_replay_signed s;
    struct ls_message m;
};

static void
make(struct record *r, const char *topic, int64_t n, int32_t partition)
{
    struct ls_replay replay = {.topic = ls_str_of(topic),
                               .key = LS_STR("7"),
                               .value = LS_STR("row"),
                               .run = LS_STR("run"),
                               .n = n,
                               .partition = partition,
                               .time_us = ls_now_us()};
    struct ls_err err = {0};

    assert_int_equal(ls_replay_sign(KEY, guard.prefix, &replay, &r->s, &err), 0);
    r->m = (struct ls_message){
        .topic = TOPIC, .partition = partition, .key = replay.key, .value = replay.value};
    memcpy(r->m.headers, r->s.headers, r->s.n * sizeof(*r->s.headers));
    r->m.n_headers = r->s.n;
}

/* As it would be polled: with the offset that it got. */
static struct ls_message
sent(struct world *w, const struct record *r)
{
    struct ls_message m = r->m;
    struct ls_err err = {0};

    assert_int_equal(ls_producer_send(w->producer, TOPIC, m.partition, m.key, m.value, m.headers,
                                      m.n_headers, &err),
                     0);
    assert_int_equal(ls_producer_flush(w->producer, 60000, &err), 0);
    m.offset = w->end[m.partition]++;
    return m;
}

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char text[200], servers[300];
    const char *sets[] = {servers, "lockstep.prefix=t", "log.level=error"};
    struct ls_err err = {0};

    w->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    w->cluster = rd_kafka_mock_cluster_new(w->host, 1);
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(w->cluster));
    rd_kafka_mock_topic_create(w->cluster, TOPIC, 2, 1);
    assert_int_equal(ls_config_load(NULL, (char *const *)sets, 3, &w->config, &err), 0);
    assert_int_equal(ls_producer_new(w->config, NULL, &w->producer, &err), 0);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    ls_producer_free(w->producer);
    ls_config_free(w->config);
    rd_kafka_mock_cluster_destroy(w->cluster);
    rd_kafka_destroy(w->host);
    free(w);
    return 0;
}

static void
taken(struct tf_once *once, const struct ls_message *m)
{
    struct ls_err err = {0};

    assert_int_equal(tf_once_check(once, m, &err), 0);
}

static void
refused(struct tf_once *once, const struct ls_message *m)
{
    struct ls_err err = {0};

    assert_int_equal(tf_once_check(once, m, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, "repeated");
}

static void
a_copy_is_refused_and_the_record_itself_is_taken_whenever_it_comes(void **state)
{
    struct world *w = *state;
    struct tf_once *once = tf_once_new(w->config, &guard);
    struct record a, b, other;
    struct ls_message first, copy, second, elsewhere;

    make(&a, "oc10.oc_share", 1, 0);
    make(&b, "oc10.oc_share", 2, 0);
    make(&other, "oc10.oc_share", 1, 1);
    first = sent(w, &a);
    second = sent(w, &b);
    elsewhere = sent(w, &other);
    taken(once, &first);
    taken(once, &second);
    taken(once, &elsewhere);
    copy = sent(w, &a);
    refused(once, &copy);
    taken(once, &first); /* a batch was thrown away */
    refused(once, &copy);
    tf_once_rebalanced(once);
    refused(once, &copy);
    taken(once, &second);
    tf_once_free(once);
}

static void
after_a_kill_what_stands_before_a_row_is_read_again(void **state)
{
    struct world *w = *state;
    struct tf_once *once;
    struct record a, b, of_apply, unsigned_one;
    struct ls_message m, copy, again, late;

    make(&of_apply, "cs3.share", 1, 0);
    make(&a, "oc10.oc_share", 2, 0);
    make(&b, "oc10.oc_share", 3, 0);
    make(&unsigned_one, "oc10.oc_share", 4, 0);
    unsigned_one.m.key = LS_STR("8"); /* the same signature, which is not its own */
    sent(w, &of_apply);
    sent(w, &unsigned_one);
    m = sent(w, &a);
    copy = sent(w, &a);
    again = sent(w, &a);
    once = tf_once_new(w->config, &guard); /* the first two were taken by one that was killed */
    refused(once, &again);
    refused(once, &copy);
    taken(once, &m);
    late = sent(w, &b);
    taken(once, &late);
    tf_once_rebalanced(once); /* somebody else goes on in it ... */
    make(&a, "oc10.oc_share", 5, 0);
    sent(w, &a);
    copy = sent(w, &a);
    refused(once, &copy); /* ... and gives it back */
    tf_once_free(once);
}

static bool
is_stale(const struct record *r)
{
    struct ls_replay read;
    struct ls_err err = {0};

    return ls_replay_read(KEY, guard.prefix, &r->m, ls_now_us(), guard.max_ahead_s, &read, &err) <
               0 &&
           !strcmp(err.cause, "stale");
}

/* Else the memory would grow with every row that is retried, until a restart. */
static void
what_a_signature_no_longer_lets_in_is_forgotten(void **state)
{
    struct tf_once *once = tf_once_new(NULL, &guard);
    struct record old, recent, now;

    (void)state;
    make(&old, "oc10.oc_share", 1, 0);
    assert_true(tf_once_note(once, &old.m));
    ahead_us += 2 * 3600 * INT64_C(1000000);
    make(&recent, "oc10.oc_share", 2, 0);
    recent.m.offset = 1;
    assert_true(tf_once_note(once, &recent.m));
    ahead_us += LS_REPLAY_MAX_AGE_S * INT64_C(1000000);
    old.m.offset = recent.m.offset = 10;      /* copies */
    assert_true(is_stale(&old));              /* refused by its age ... */
    assert_false(tf_once_note(once, &old.m)); /* ... and known still: a clock may be set back */
    ahead_us += 23 * 3600 * INT64_C(1000000);
    make(&now, "oc10.oc_share", 3, 0);
    assert_true(tf_once_note(once, &now.m));
    assert_true(tf_once_note(once, &old.m)); /* not known any more */
    assert_false(tf_once_note(once, &recent.m));
    ahead_us = 0;
    tf_once_free(once);
}

static void
a_topic_that_cannot_be_read_is_tried_again(void **state)
{
    struct world *w = *state;
    struct tf_once *once = tf_once_new(w->config, &guard);
    struct ls_err err = {0};
    struct record a;
    struct ls_message m;

    make(&a, "oc10.oc_share", 1, 0);
    m = sent(w, &a);
    m.offset = w->end[0] + 10; /* nothing comes there: asked to stop, it does */
    ls_run_stop();
    assert_int_equal(tf_once_check(once, &m, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    tf_once_free(once);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_copy_is_refused_and_the_record_itself_is_taken_whenever_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_kill_what_stands_before_a_row_is_read_again, setup,
                                        teardown),
        cmocka_unit_test(what_a_signature_no_longer_lets_in_is_forgotten),
        /* the last: whoever was asked to stop stays so */
        cmocka_unit_test_setup_teardown(a_topic_that_cannot_be_read_is_tried_again, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
