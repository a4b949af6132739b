/*
 * Records that are gathered before librdkafka gets them, against its mock cluster: nothing is lost,
 * doubled, or out of its partition's order.
 */
#include "tests/unit/common/unit.h"

#include "common/kafka.h"
#include "common/kafka_parts.h"
#include "common/run.h"
#include <librdkafka/rdkafka_mock.h>

#define PARTITIONS 5
#define FEW 1000 /* records of a transaction that are not gathered */

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static struct ls_config *config, *narrow; /* narrow: a queue of 20 records */

static int
cluster_start(void **state)
{
    char text[200], servers[200];
    const char *sets[] = {servers, "lockstep.prefix=t", "log.level=error", "kafka.linger.ms=1",
                          "kafka.queue.buffering.max.messages=20"};
    struct ls_err err = {0};

    (void)state;
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    cluster = rd_kafka_mock_cluster_new(host, 1);
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    if (ls_config_load(NULL, (char *const *)sets, 3, &config, &err) < 0)
        return -1;
    return ls_config_load(NULL, (char *const *)sets, 5, &narrow, &err);
}

static int
cluster_stop(void **state)
{
    (void)state;
    ls_config_free(config);
    ls_config_free(narrow);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
    return 0;
}

static const char *
topic_new(const char *name)
{
    assert_int_equal(rd_kafka_mock_topic_create(cluster, name, PARTITIONS, 1), 0);
    return name;
}

/* Record i: its number is the key. */
static int
send_number(struct ls_producer *p, const char *topic, int32_t partition, int i, size_t size,
            bool header, struct ls_err *err)
{
    static char bytes[8000];
    const struct ls_header seq = {"seq", LS_STR("1.2.0")};
    char key[16];

    snprintf(key, sizeof(key), "%d", i);
    memset(bytes, 'a' + i % 26, size);
    return ls_producer_send(p, topic, partition, ls_str_of(key),
                            size > 0 ? (struct ls_str){bytes, size} : LS_STR_NULL, &seq, header,
                            err);
}

static int
number_of(const struct ls_message *m)
{
    char key[16];

    snprintf(key, sizeof(key), "%.*s", (int)m->key.n, m->key.p);
    return atoi(key);
}

struct read {
    int n, next[PARTITIONS];
    size_t (*size_of)(int i);
};

static int
check(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct read *r = arg;
    int i = number_of(m);
    size_t size = r->size_of(i);

    (void)err;
    if (i < r->next[m->partition])
        fail_msg("%d comes behind %d", i, r->next[m->partition] - 1);
    r->next[m->partition] = i + 1;
    r->n++;
    assert_int_equal(m->value.n, size);
    assert_int_equal(m->value.p == NULL, size == 0);
    for (size_t k = 0; k < size; k++)
        assert_int_equal(m->value.p[k], 'a' + i % 26);
    return 0;
}

static size_t
of_every_size(int i)
{
    return i % 131 == 0 ? 0 : i % 211 == 0 ? 5000 : (size_t)(i % 1500 + 1);
}

static size_t
of_ten_bytes(int i)
{
    (void)i;
    return 10;
}

static void
a_large_transaction_keeps_the_order_of_each_partition(void **state)
{
    const char *topic = topic_new("order");
    struct read r = {.size_of = of_every_size};
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-order", &p, &err));
    for (int i = 0; i < 12000; i++) {
        if (i % 6000 == 0)
            ok(ls_producer_begin(p, &err));
        /* some past the piles: with a header, large, to a partition of librdkafka's choice */
        ok(send_number(p, topic, i % 777 == 0 ? -1 : i * 7 % PARTITIONS, i, of_every_size(i),
                       i % 97 == 0, &err));
        if (i % 6000 == 5000)
            ls_producer_push(p);
        if (i % 6000 == 5999)
            ok(ls_producer_commit(p, &err));
    }
    ok(ls_topic_read(config, topic, check, &r, &err));
    assert_int_equal(r.n, 12000);
    ls_producer_free(p);
}

static void
what_a_full_queue_did_not_take_comes_next(void **state)
{
    const char *topic = topic_new("narrow");
    struct read r = {.size_of = of_ten_bytes};
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(narrow, "tx-narrow", &p, &err));
    ok(ls_producer_begin(p, &err));
    for (int i = 0; i < FEW + 500; i++)
        ok(send_number(p, topic, i % 2, i, 10, false, &err));
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, topic, check, &r, &err));
    assert_int_equal(r.n, FEW + 500);
    ls_producer_free(p);
}

static void
a_record_with_headers_goes_past_a_pile_that_is_empty_or_not_there(void **state)
{
    const char *topic = topic_new("past");
    struct read r = {.size_of = of_ten_bytes};
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-past", &p, &err));
    ok(ls_producer_begin(p, &err));
    for (int i = 0; i < FEW; i++)
        ok(send_number(p, topic, 0, i, 10, false, &err));
    for (int i = FEW; i < FEW + 12; i++) /* twice with headers, once without */
        ok(send_number(p, topic, 1, i, 10, i % 3 != 2, &err));
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, topic, check, &r, &err));
    assert_int_equal(r.n, FEW + 12);
    ls_producer_free(p);
}

static int
none_gathered(void *arg, const struct ls_message *m, struct ls_err *err)
{
    (void)err;
    if (number_of(m) == 7777)
        ++*(int *)arg;
    else
        assert_true(number_of(m) < FEW); /* the mock keeps what was aborted */
    return 0;
}

static void
what_an_aborted_transaction_gathered_is_not_sent(void **state)
{
    const char *topic = topic_new("aborted");
    struct ls_producer *p;
    struct ls_err err = {0};
    int kept = 0;

    (void)state;
    ok(ls_producer_new(config, "tx-aborted", &p, &err));
    ok(ls_producer_begin(p, &err));
    for (int i = 0; i < FEW + 20; i++)
        ok(send_number(p, topic, 0, i, 10, false, &err));
    ok(ls_producer_abort(p, &err));
    ok(ls_producer_begin(p, &err));
    ok(send_number(p, topic, 0, 7777, 10, false, &err));
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, topic, none_gathered, &kept, &err));
    assert_int_equal(kept, 1);
    ls_producer_free(p);
}

static void
a_failed_transaction_takes_no_pile_and_says_why(void **state)
{
    const char *topic = topic_new("failed");
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-failed", &p, &err));
    ok(ls_producer_begin(p, &err));
    for (int i = 0; i < FEW; i++)
        ok(send_number(p, topic, 0, i, 10, false, &err));
    ok(ls_producer_flush(p, 10000, &err));
    rd_kafka_mock_push_request_errors(cluster, 24 /* AddPartitionsToTxn */, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    for (int i = 0; i < 100000 && send_number(p, topic, 1, i, 10, false, &err) == 0; i++)
        if (i % 32 == 0)
            ls_run_sleep_ms(10);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    if (!strstr(err.msg, "authorization failed"))
        fail_msg("%s", err.msg);
    assert_int_equal(ls_producer_commit(p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    ls_producer_free(p);
}

static void
a_refusal_in_the_middle_spoils_the_pile(void **state)
{
    static char bytes[2000];
    const char *topic = topic_new("spoilt");
    struct kafka_gather *g = kafka_gather_new();
    struct ls_err err = {0};
    struct kafka_pile *pile;
    rd_kafka_topic_t *rkt;
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk;

    (void)state;
    ok(kafka_conf_new(config, NULL, &conf, &err));
    kafka_conf_set(conf, "message.max.bytes", "1000");
    ok(kafka_client_new(RD_KAFKA_PRODUCER, conf, &rk, &err));
    rkt = rd_kafka_topic_new(rk, topic, NULL);
    assert_null(kafka_gather_at(g, 0, 1, false));
    pile = kafka_gather_at(g, 0, 1, true);
    assert_int_equal(kafka_pile_hand_over(pile), RD_KAFKA_RESP_ERR_NO_ERROR); /* empty */
    for (size_t i = 0; i < 3; i++)
        assert_true(kafka_pile_put(pile, rkt, 1, LS_STR("k"),
                                   (struct ls_str){bytes, i == 1 ? sizeof(bytes) : 1}));
    assert_int_equal(kafka_pile_hand_over(pile), RD_KAFKA_RESP_ERR__FAIL);
    assert_int_equal(kafka_pile_hand_over(pile), RD_KAFKA_RESP_ERR__FAIL);
    assert_ptr_equal(kafka_gather_next(g), pile);
    kafka_gather_forget(g);
    assert_null(kafka_gather_next(g));
    assert_true(kafka_pile_put(pile, rkt, 1, LS_STR("k"), LS_STR("v")));
    assert_false(kafka_pile_put(pile, rkt, 2, LS_STR("k"), LS_STR("v"))); /* another partition */
    assert_int_equal(kafka_pile_hand_over(pile), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_null(kafka_gather_next(g));
    rd_kafka_flush(rk, 10000);
    rd_kafka_topic_destroy(rkt);
    rd_kafka_destroy(rk);
    kafka_gather_free(g);
    kafka_gather_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_transaction_keeps_the_order_of_each_partition),
        cmocka_unit_test(what_a_full_queue_did_not_take_comes_next),
        cmocka_unit_test(a_record_with_headers_goes_past_a_pile_that_is_empty_or_not_there),
        cmocka_unit_test(what_an_aborted_transaction_gathered_is_not_sent),
        cmocka_unit_test(a_failed_transaction_takes_no_pile_and_says_why),
        cmocka_unit_test(a_refusal_in_the_middle_spoils_the_pile),
    };
    return cmocka_run_group_tests(tests, cluster_start, cluster_stop);
}
