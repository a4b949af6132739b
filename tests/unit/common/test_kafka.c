/*
 * Transactions, offsets and topics against librdkafka's mock cluster.
 *
 * The mock takes offsets in a transaction but does not keep them, and has no last stable offset:
 * what needs those is in test_kafka_broker.c. Here it is errors, which only the mock gives at will.
 */
#include "tests/unit/common/unit.h"

#include "common/kafka.h"
#include "common/kafka_parts.h"
#include "common/records.h"
#include "common/run.h"
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <threads.h>
#include <time.h>

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static struct ls_config *config;
static int run;

static int
cluster_start(void **state)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[200], servers[200];
    const char *sets[] = {servers, "lockstep.prefix=t", "log.level=error",
                          "kafka.heartbeat.interval.ms=500", "kafka.session.timeout.ms=6000"};
    struct ls_err err = {0};

    (void)state;
    host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    cluster = rd_kafka_mock_cluster_new(host, 1);
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    return ls_config_load(NULL, (char *const *)sets, 5, &config, &err);
}

static int
cluster_stop(void **state)
{
    (void)state;
    ls_config_free(config);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
    return 0;
}

/* A topic of its own for each test. */
static const char *
topic_new(int partitions)
{
    char name[40];
    const char *topic;

    snprintf(name, sizeof(name), "topic%d", run++);
    topic = ls_config_topic(config, name);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, partitions, 1), 0);
    return topic;
}

struct read {
    char text[1000];
    int n;
};

static int
collect(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct read *r = arg;
    size_t used = strlen(r->text);

    (void)err;
    r->n++;
    if (message->value.p)
        snprintf(r->text + used, sizeof(r->text) - used, "%.*s ", (int)message->value.n,
                 message->value.p);
    else
        snprintf(r->text + used, sizeof(r->text) - used, "(tombstone) ");
    return 0;
}

static void
send_text(struct ls_producer *p, const char *topic, int32_t partition, const char *text)
{
    struct ls_err err = {0};

    ok(ls_producer_send(p, topic, partition, LS_STR("k"), ls_str_of(text), NULL, 0, &err));
}

/* n records "x", by turns into that many partitions. */
static void
fill(const char *topic, int n, int partitions)
{
    struct ls_producer *p;
    struct ls_err err = {0};

    ok(ls_producer_new(config, NULL, &p, &err));
    for (int i = 0; i < n; i++)
        send_text(p, topic, i % partitions, "x");
    ok(ls_producer_flush(p, 10000, &err));
    ls_producer_free(p);
}

static void
a_committed_transaction_is_read_whole(void **state)
{
    const char *topic = topic_new(3);
    struct ls_producer *p;
    struct ls_err err = {0};
    struct read r = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-a", &p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 1, "one");
    send_text(p, topic, 1, "two");
    ok(ls_producer_send(p, topic, 1, LS_STR("k"), LS_STR_NULL, NULL, 0, &err));
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, topic, collect, &r, &err));
    assert_string_equal(r.text, "one two (tombstone) ");
    ls_producer_free(p);
}

static void
an_aborted_transaction_can_be_followed_by_a_good_one(void **state)
{
    const char *topic = topic_new(1), *after = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};
    struct read r = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-b", &p, &err));
    ok(ls_producer_abort(p, &err)); /* nothing is open */
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "lost");
    ok(ls_producer_abort(p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, after, 0, "kept");
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, after, collect, &r, &err));
    assert_string_equal(r.text, "kept ");
    ls_producer_free(p);
}

static void
headers_come_back_with_the_record(void **state)
{
    const char *topic = topic_new(1);
    const struct ls_header headers[] = {{"seq", LS_STR("1.2.0")}, {"cause", LS_STR("")}};
    struct ls_partition part = {topic, 0, LS_OFFSET_BEGINNING};
    struct ls_producer *p;
    struct ls_consumer *c;
    struct ls_message *m = NULL;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, NULL, &p, &err));
    ok(ls_producer_send(p, topic, -1, LS_STR("key"), LS_STR("v"), headers, 2, &err));
    ok(ls_producer_flush(p, 10000, &err));
    ok(ls_consumer_new(config, NULL, &c, &err));
    ok(ls_consumer_assign(c, &part, 1, &err));
    ok(ls_consumer_poll(c, 10000, &m, &err));
    assert_non_null(m);
    assert_string_equal(m->topic, topic);
    assert_true(ls_str_is(m->key, "key") && ls_str_is(m->value, "v"));
    assert_int_equal(m->offset, 0);
    assert_true(m->timestamp_ms > 1700000000000);
    assert_true(ls_str_is(*ls_message_header(m, "seq"), "1.2.0"));
    assert_int_equal(ls_message_header(m, "cause")->n, 0);
    assert_null(ls_message_header(m, "nothing"));
    ls_message_free(m);
    ls_message_free(NULL);
    ls_consumer_free(c);
    ls_producer_free(p);
}

static int assigned_at[8], revoked;

static void
on_rebalance(void *arg, bool assigned, struct ls_partition *parts, size_t n)
{
    (void)arg;
    if (!assigned)
        revoked++;
    for (size_t i = 0; assigned && i < n; i++)
        assigned_at[parts[i].partition] = (int)parts[i].offset;
}

/* Polls until so many records have come, and nothing more for a while; their number. */
static int
drain(struct ls_consumer *c, int want)
{
    int64_t until = ls_mono_ms() + 60000;
    struct ls_err err = {0};
    int n = 0;

    for (bool more = true; more && ls_mono_ms() < until;) {
        struct ls_message *m = NULL;

        ok(ls_consumer_poll(c, 700, &m, &err));
        n += m != NULL;
        more = m != NULL || n < want;
        ls_message_free(m);
    }
    return n;
}

static void
a_group_starts_at_the_beginning_and_a_rewind_goes_back_there(void **state)
{
    const char *in = topic_new(2), *out = topic_new(1);
    struct ls_producer *p;
    struct ls_consumer *c;
    struct ls_err err = {0};

    (void)state;
    fill(in, 5, 2);
    ok(ls_producer_new(config, "tx-c", &p, &err));
    ok(ls_consumer_new(config, ls_config_topic(config, "group-tx"), &c, &err));
    ok(ls_consumer_subscribe(c, &in, 1, on_rebalance, NULL, &err));

    ok(ls_producer_begin(p, &err));
    assert_int_equal(drain(c, 5), 5);
    assert_int_equal(assigned_at[0], LS_OFFSET_BEGINNING);
    send_text(p, out, 0, "y");
    ok(ls_producer_send_offsets(p, c, &err));
    ok(ls_producer_abort(p, &err));

    ok(ls_consumer_rewind(c, &err));
    ok(ls_producer_begin(p, &err));
    assert_int_equal(drain(c, 5), 5);
    send_text(p, out, 0, "y");
    rd_kafka_mock_push_request_errors(cluster, 28 /* TxnOffsetCommit */, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(ls_producer_send_offsets(p, c, &err), -1);
    assert_string_equal(err.cause, "kafka-authorization");
    ok(ls_producer_abort(p, &err));

    ok(ls_producer_begin(p, &err));
    send_text(p, out, 0, "y");
    ok(ls_producer_send_offsets(p, c, &err));
    ok(ls_producer_commit(p, &err));
    assert_int_equal(revoked, 0);

    ls_consumer_free(c);
    ls_producer_free(p);
}

static void
a_rewind_after_the_group_gave_the_partitions_away_leaves_no_record_out(void **state)
{
    const char *in = topic_new(2);
    int64_t until = ls_mono_ms() + 30000;
    struct ls_consumer *c;
    struct ls_err err = {0};

    (void)state;
    revoked = 0;
    fill(in, 5, 2);
    ok(ls_consumer_new(config, ls_config_topic(config, "group-lost"), &c, &err));
    ok(ls_consumer_subscribe(c, &in, 1, on_rebalance, NULL, &err));
    assert_int_equal(drain(c, 5), 5);

    rd_kafka_mock_push_request_errors(cluster, 12 /* Heartbeat */, 1,
                                      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    while (!rd_kafka_assignment_lost(consumer_handle(c)) && ls_mono_ms() < until)
        ls_run_sleep_ms(20);
    assert_true(rd_kafka_assignment_lost(consumer_handle(c)));
    assert_int_equal(revoked, 0);
    ok(ls_consumer_rewind(c, &err));
    assert_int_equal(revoked, 1);
    assert_int_equal(drain(c, 5), 5);

    ls_consumer_free(c);
}

/* What a heartbeat of its old self is answered after a session that ended beside a dead broker
 * (measured): librdkafka gives the client up. */
static void
a_member_that_is_taken_for_another_joins_anew_at_the_groups_offsets(void **state)
{
    const char *in = topic_new(2);
    int64_t until = ls_mono_ms() + 60000;
    struct ls_consumer *c;
    struct ls_err err = {0};
    struct ls_message *m = NULL;

    (void)state;
    revoked = 0;
    fill(in, 5, 2);
    ok(ls_consumer_new(config, ls_config_topic(config, "group-fenced"), &c, &err));
    ok(ls_consumer_subscribe(c, &in, 1, on_rebalance, NULL, &err));
    assert_int_equal(drain(c, 5), 5);

    rd_kafka_mock_push_request_errors(cluster, 12 /* Heartbeat */, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    while (ls_consumer_poll(c, 100, &m, &err) == 0 && ls_mono_ms() < until)
        assert_null(m);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, LS_CAUSE_REJOIN);
    ok(ls_consumer_rewind(c, &err));
    assert_int_equal(revoked, 1);
    assert_int_equal(drain(c, 5), 5);

    ls_consumer_free(c);
}

/* The last test: who is asked to stop does not wait for Kafka, and stays so. */
static void
where_to_begin_is_asked_again_when_it_was_not_told(void **state)
{
    const char *in = topic_new(1);
    struct ls_consumer *c;
    struct ls_err err = {0};
    struct ls_message *m = NULL;

    (void)state;
    fill(in, 1, 1);
    ok(ls_consumer_new(config, ls_config_topic(config, "group-untold"), &c, &err));
    ok(ls_consumer_subscribe(c, &in, 1, on_rebalance, NULL, &err));
    rd_kafka_mock_push_request_errors(cluster, 9 /* OffsetFetch */, 1,
                                      RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
    ls_run_stop();
    while (ls_consumer_poll(c, 1000, &m, &err) == 0)
        assert_null(m);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, LS_CAUSE_REJOIN);
    ok(ls_consumer_rewind(c, &err));
    assert_int_equal(drain(c, 1), 1);
    ls_consumer_free(c);
}

static struct ls_err
error_when_the_beginning_is_answered_with(rd_kafka_resp_err_t code, struct ls_consumer *c,
                                          const char *in)
{
    int64_t until = ls_mono_ms() + 30000;
    struct ls_message *m = NULL;
    struct ls_err err = {0};

    rd_kafka_mock_push_request_errors(cluster, 2 /* ListOffsets */, 1, code);
    ok(ls_consumer_subscribe(c, &in, 1, on_rebalance, NULL, &err));
    while (ls_consumer_poll(c, 100, &m, &err) == 0 && ls_mono_ms() < until)
        assert_null(m);
    return err;
}

/* As a broker answers that was just started, or just told of the topic. */
static void
where_a_topic_begins_is_asked_again_when_the_broker_did_not_know_it(void **state)
{
    const char *in = topic_new(1);
    struct ls_partition beginning = {in, 0, LS_OFFSET_BEGINNING};
    struct ls_consumer *c;
    struct ls_err err = {0};
    struct ls_message *m = NULL;
    int r = 0;

    (void)state;
    fill(in, 1, 1);
    ok(ls_consumer_new(config, ls_config_topic(config, "group-early"), &c, &err));
    err = error_when_the_beginning_is_answered_with(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, c, in);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, LS_CAUSE_REJOIN);
    ok(ls_consumer_rewind(c, &err));
    assert_int_equal(drain(c, 1), 1);
    ls_consumer_free(c);

    ok(ls_consumer_new(config, NULL, &c, &err));
    rd_kafka_mock_push_request_errors(cluster, 2 /* ListOffsets */, 1,
                                      RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    ok(ls_consumer_assign(c, &beginning, 1, &err));
    for (int i = 0; i < 100 && r == 0; i++)
        r = ls_consumer_poll(c, 100, &m, &err);
    assert_int_equal(r, -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, "no-topic");
    ls_consumer_free(c);
}

static void
who_may_not_ask_where_a_topic_begins_has_lost_no_offset(void **state)
{
    struct ls_consumer *c;
    struct ls_err err = {0};

    (void)state;
    ok(ls_consumer_new(config, ls_config_topic(config, "group-refused"), &c, &err));
    err = error_when_the_beginning_is_answered_with(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, c,
                                                    topic_new(1));
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "kafka-authorization");
    ls_consumer_free(c);
}

static void
a_plain_commit_is_where_the_group_goes_on(void **state)
{
    const char *topic = topic_new(1);
    struct ls_partition stored = {topic, 0, LS_OFFSET_STORED}, commit = {topic, 0, 2};
    const char *group = ls_config_topic(config, "group-plain");
    struct ls_consumer *c;
    struct ls_message *m = NULL;
    struct ls_err err = {0};

    (void)state;
    fill(topic, 4, 1);
    ok(ls_consumer_new(config, group, &c, &err));
    ok(ls_consumer_assign(c, &stored, 1, &err));
    assert_int_equal(drain(c, 4), 4);
    ok(ls_consumer_commit(c, &commit, 1, true, &err));
    ok(ls_consumer_assign(c, &stored, 1, &err));
    ok(ls_consumer_poll(c, 10000, &m, &err));
    assert_non_null(m);
    assert_int_equal(m->offset, 2);
    ls_message_free(m);
    ls_consumer_free(c);
}

static void
a_lost_offset_is_fatal_not_a_jump(void **state)
{
    const char *topic = topic_new(1);
    struct ls_partition beyond = {topic, 0, 12345};
    struct ls_consumer *c;
    struct ls_message *m = NULL;
    struct ls_err err = {0};
    int r = 0;

    (void)state;
    ok(ls_consumer_new(config, NULL, &c, &err));
    ok(ls_consumer_assign(c, &beyond, 1, &err));
    for (int i = 0; i < 20 && r == 0; i++)
        r = ls_consumer_poll(c, 500, &m, &err);
    assert_int_equal(r, -1);
    assert_null(m);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "offset-lost");
    ls_consumer_free(c);
}

static void
a_record_too_large_is_poison_and_the_rest_goes_on(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};
    struct read r = {0};
    char *big = calloc(1, 1100000);

    (void)state;
    ok(ls_producer_new(config, "tx-d", &p, &err));
    ok(ls_producer_begin(p, &err));
    assert_int_equal(
        ls_producer_send(p, topic, 0, LS_STR("k"), (struct ls_str){big, 1100000}, NULL, 0, &err),
        -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, "too-large");
    send_text(p, topic, 0, "small");
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, topic, collect, &r, &err));
    assert_string_equal(r.text, "small ");
    free(big);
    ls_producer_free(p);
}

static void
a_record_that_is_not_delivered_makes_the_commit_fail(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-e", &p, &err));
    ok(ls_producer_begin(p, &err));
    rd_kafka_mock_push_request_errors(cluster, 0 /* Produce */, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    send_text(p, topic, 0, "refused");
    assert_int_equal(ls_producer_commit(p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "kafka-authorization");
    ls_producer_free(p);
}

static void
being_fenced_is_fatal_with_its_cause(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-f", &p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "x");
    ok(ls_producer_flush(p, 10000, &err));
    rd_kafka_mock_push_request_errors(cluster, 26 /* EndTxn */, 1,
                                      RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    assert_int_equal(ls_producer_commit(p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "fenced");
    ls_producer_free(p);
}

static void
a_fatal_producer_error_is_a_retry_with_a_new_producer(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};
    struct read r = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-g", &p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "x");
    ok(ls_producer_flush(p, 10000, &err));
    rd_kafka_mock_push_request_errors(cluster, 26 /* EndTxn */, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    assert_int_equal(ls_producer_commit(p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_int_equal(ls_producer_begin(p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    ls_producer_free(p);
    ok(ls_producer_new(config, "tx-g", &p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "again");
    ok(ls_producer_commit(p, &err));
    ok(ls_topic_read(config, topic, collect, &r, &err));
    assert_non_null(strstr(r.text, "again "));
    ls_producer_free(p);
}

/* As a broker answers that was stopped hard and has forgotten what came last (measured). */
static void
a_transaction_that_has_failed_takes_no_record_and_says_why(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, "tx-refused", &p, &err));
    ok(ls_producer_begin(p, &err));
    rd_kafka_mock_push_request_errors(cluster, 24 /* AddPartitionsToTxn */, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    for (int i = 0;
         i < 1000 && ls_producer_send(p, topic, 0, LS_STR("k"), LS_STR("v"), NULL, 0, &err) == 0;
         i++)
        ls_run_sleep_ms(10);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    if (!strstr(err.msg, "authorization failed"))
        fail_msg("%s", err.msg);
    ok(ls_producer_abort(p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "one");
    ok(ls_producer_commit(p, &err));
    ls_producer_free(p);
}

static void
a_plain_producer_goes_on_behind_a_fatal_error_and_says_what_was_lost(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};
    struct read r = {0};

    (void)state;
    ok(ls_producer_new(config, NULL, &p, &err));
    send_text(p, topic, 0, "first");
    ok(ls_producer_flush(p, 10000, &err));
    rd_kafka_mock_push_request_errors(cluster, 0 /* Produce */, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    send_text(p, topic, 0, "lost");
    assert_int_equal(ls_producer_flush(p, 10000, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    send_text(p, topic, 0, "again");
    ok(ls_producer_flush(p, 10000, &err));
    ok(ls_topic_read(config, topic, collect, &r, &err));
    assert_string_equal(r.text, "first again ");
    ls_producer_free(p);
}

static int
stop_at_once(void *arg, const struct ls_message *message, struct ls_err *err)
{
    (void)arg;
    (void)message;
    return ls_fail_cause(err, LS_ERR_POISON, 0, "enough", "stop");
}

static void
reading_a_topic_ends_at_its_end_or_when_told(void **state)
{
    const char *empty = topic_new(4), *full = topic_new(4);
    struct ls_err err = {0};
    struct read r = {0};

    (void)state;
    ok(ls_topic_read(config, empty, collect, &r, &err));
    assert_int_equal(r.n, 0);
    fill(full, 100, 3);
    ok(ls_topic_read(config, full, collect, &r, &err));
    assert_int_equal(r.n, 100);
    assert_int_equal(ls_topic_read(config, full, stop_at_once, NULL, &err), -1);
    assert_string_equal(err.cause, "enough");
}

/* A broker that is in trouble for a moment ends no command and no start of a daemon. */
static void
reading_a_topic_goes_on_behind_an_error_that_passes(void **state)
{
    const char *topic = topic_new(1);
    const int16_t fetch = 1;
    struct ls_consumer *c;
    struct ls_err err = {0};
    struct ls_partition part = {topic, 0, 0};
    struct ls_message *message;
    struct read r = {0};
    int failed = 0;

    (void)state;
    fill(topic, 1, 1);

    /* that the error comes through, and as one that may pass */
    rd_kafka_mock_push_request_errors(cluster, fetch, 1, RD_KAFKA_RESP_ERR_UNKNOWN);
    ok(ls_consumer_new(config, NULL, &c, &err));
    ok(ls_consumer_assign(c, &part, 1, &err));
    for (int i = 0; i < 100 && !failed; i++)
        failed = ls_consumer_poll(c, 100, &message, &err) < 0;
    assert_true(failed);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    ls_consumer_free(c);

    rd_kafka_mock_push_request_errors(cluster, fetch, 2, RD_KAFKA_RESP_ERR_UNKNOWN,
                                      RD_KAFKA_RESP_ERR_UNKNOWN);
    ok(ls_topic_read(config, topic, collect, &r, &err));
    assert_string_equal(r.text, "x ");
}

static void
a_topic_whose_beginning_goes_while_it_is_read_is_read_anew(void **state)
{
    const char *topic = topic_new(1);
    struct ls_err err = {0};
    struct read r = {0};

    (void)state;
    fill(topic, 1, 1);
    rd_kafka_mock_push_request_errors(cluster, 1 /* Fetch */, 1,
                                      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(ls_topic_read(config, topic, collect, &r, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    ok(ls_topic_read(config, topic, collect, &r, &err));
    assert_string_equal(r.text, "x ");
}

static void
bounds_and_partitions_are_those_of_the_topic(void **state)
{
    const char *topic = topic_new(5);
    struct ls_producer *p;
    struct ls_consumer *c;
    struct ls_err err = {0};
    int64_t first, end;
    int n;

    (void)state;
    ok(ls_producer_new(config, NULL, &p, &err));
    send_text(p, topic, 3, "x");
    ok(ls_producer_flush(p, 10000, &err));
    ok(ls_consumer_new(config, NULL, &c, &err));
    ok(ls_consumer_partitions(c, topic, &n, &err));
    assert_int_equal(n, 5);
    ok(ls_consumer_bounds(c, topic, 3, &first, &end, &err));
    assert_int_equal(first, 0);
    assert_int_equal(end, 1);
    ls_consumer_free(c);
    ls_producer_free(p);
}

static void
a_topic_of_another_shape_or_missing_is_named(void **state)
{
    const char *topic = topic_new(3);
    struct ls_topic_spec specs[] = {{topic, 3, LS_KEPT_LAST}, {"t.not.there", 1, LS_KEPT_14_DAYS}};
    const char *sets[] = {NULL, "lockstep.create_topics=false"};
    char servers[200];
    struct ls_config *strict;
    struct ls_err err = {0};

    (void)state;
    ok(ls_topics_ensure(config, specs, 1, &err));
    specs[0].partitions = 4;
    assert_int_equal(ls_topics_ensure(config, specs, 1, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_non_null(strstr(err.msg, "has 3 partitions, not 4"));
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    sets[0] = servers;
    ok(ls_config_load(NULL, (char *const *)sets, 2, &strict, &err));
    assert_int_equal(ls_topics_ensure(strict, specs, 2, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_non_null(strstr(err.msg, "missing topics: t.not.there"));
    ls_config_free(strict);
}

struct later {
    const char *name;
    bool make;
};

static void *
come_later(void *arg)
{
    const struct later *later = arg;
    const struct timespec moment = {0, 500000000};

    nanosleep(&moment, NULL);
    if (later->make)
        rd_kafka_mock_topic_create(cluster, later->name, 1, 1);
    else
        rd_kafka_mock_topic_set_error(cluster, later->name, RD_KAFKA_RESP_ERR_NO_ERROR);
    return NULL;
}

/* A broker that has just started. */
static void
a_topic_that_is_known_a_moment_later_is_not_missing(void **state)
{
    struct later later[] = {{"t.late.made", true}, {topic_new(1), false}};
    struct ls_topic_spec spec = {NULL, 1, LS_KEPT_LAST};
    const char *sets[] = {NULL, "lockstep.create_topics=false"};
    char servers[200];
    struct ls_config *strict;
    struct ls_err err = {0};

    (void)state;
    snprintf(servers, sizeof(servers), "kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    sets[0] = servers;
    ok(ls_config_load(NULL, (char *const *)sets, 2, &strict, &err));
    rd_kafka_mock_topic_set_error(cluster, later[1].name, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
    spec.name = later[1].name;
    assert_int_equal(ls_topics_ensure(strict, &spec, 1, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, "no-topic");
    for (int i = 0; i < 2; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, come_later, &later[i]), 0);
        spec.name = later[i].name;
        ok(ls_topics_ensure(strict, &spec, 1, &err));
        pthread_join(thread, NULL);
    }
    ls_config_free(strict);
}

/* librdkafka's: the test has it instead of the C library. */
static bool no_threads;

int
thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
    int (*real)(thrd_t *, thrd_start_t, void *);

    *(void **)&real = dlsym(RTLD_NEXT, "thrd_create");
    return no_threads ? thrd_nomem : real(thread, start, arg);
}

/* The first test: no client was made yet. */
static void
what_no_client_can_be_made_of_is_wrong_until_one_could(void **state)
{
    const char *sets[] = {"kafka.security.protocol=ssl", "kafka.ssl.ca.location=/not/there"};
    struct ls_config *wrong;
    struct ls_producer *p = NULL;
    struct ls_err err = {0};

    (void)state;
    ok(ls_config_load(NULL, (char *const *)sets, 2, &wrong, &err));
    assert_int_equal(ls_producer_new(wrong, NULL, &p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "config");

    no_threads = true;
    assert_int_equal(ls_producer_new(config, NULL, &p, &err), -1);
    no_threads = false;
    assert_int_equal(err.kind, LS_ERR_RETRY);

    ok(ls_producer_new(config, NULL, &p, &err));
    ls_producer_free(p);
    assert_int_equal(ls_producer_new(wrong, NULL, &p, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY); /* a certificate that is being replaced */
    ls_config_free(wrong);
}

static void
a_record_that_the_broker_refuses_is_found_in_three_tries(void **state)
{
    const char *topic = topic_new(1);
    struct ls_producer *p;
    struct ls_err err = {0};
    struct ls_str large = {calloc(1, 50000), 50000};

    (void)state;
    for (int try = 0; try < 2; try++) {
        rd_kafka_mock_push_request_errors(cluster, 0 /* Produce */, 1,
                                          RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        ok(ls_producer_new(config, "tx-l", &p, &err));
        ok(ls_producer_begin(p, &err));
        ok(ls_producer_send(p, topic, 0, LS_STR("k"), large, NULL, 0, &err));
        assert_int_equal(ls_producer_commit(p, &err), -1);
        assert_int_equal(err.kind, LS_ERR_RETRY);
        assert_string_equal(err.cause, "too-large");
        ls_producer_free(p);
    }
    ok(ls_producer_new(config, "tx-l", &p, &err));
    ok(ls_producer_begin(p, &err));
    assert_int_equal(ls_producer_send(p, topic, 0, LS_STR("k"), large, NULL, 0, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, "too-large");
    send_text(p, topic, 0, "small");
    ok(ls_producer_commit(p, &err));
    ls_producer_free(p);
    free((void *)large.p);
    assert_int_equal(kafka_limit(), kafka_record_size(50001, NULL, 0) - 1);
    kafka_limit_told(1);
    kafka_limit_told(0);
}

static void
what_the_topics_say_is_believed_until_a_refusal_and_again_when_it_changes(void **state)
{
    const struct ls_header headers[] = {{"cause", LS_STR("12345")}};

    (void)state;
    assert_true(kafka_record_size(100, headers, 1) >= 100 + 10 + 61);
    kafka_limit_told(90000);
    assert_int_equal(kafka_limit(), 90000);
    kafka_limit_refused(true, 50000);
    assert_true(kafka_limit() < 50200);
    kafka_limit_told(90000);
    assert_true(kafka_limit() < 50200);
    kafka_limit_told(80000);
    assert_int_equal(kafka_limit(), 80000);
    kafka_limit_refused(false, 50000); /* a batch: nothing is known of one record */
    assert_int_equal(kafka_limit(), 80000);
    kafka_limit_told(0);
}

static void
a_position_topic_that_takes_too_little_is_refused_in_words(void **state)
{
    struct ls_err err = {0};

    (void)state;
    ok(kafka_limit_check("p.oc10.oc_share", 50000, &err));
    ok(kafka_limit_check("p.position", 65536, &err));
    ok(kafka_limit_check("p.position", 0, &err)); /* not told */
    assert_int_equal(kafka_limit_check("p.oc10.oc_share", 16383, &err), -1);
    assert_int_equal(kafka_limit_check("p.position", 50000, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "topics");
    assert_string_equal(err.msg, "topic p.position takes 50000 bytes at most (max.message.bytes), "
                                 "65536 are the least");
}

static const char *
setting(enum ls_topic_kept kept, const char *name)
{
    for (const char *const *s = kafka_topic_settings(kept); *s; s += 2) {
        if (strcmp(s[0], name) == 0)
            return s[1];
    }
    return "";
}

static void
what_is_read_whole_at_a_start_is_compacted_soon_and_the_rest_stays_14_days(void **state)
{
    (void)state;
    assert_string_equal(setting(LS_KEPT_STATE, "cleanup.policy"), "compact");
    assert_string_equal(setting(LS_KEPT_STATE, "min.compaction.lag.ms"), "0");
    /* A record of 1 MB, Kafka's default limit, still fits a segment. */
    assert_in_range(atoll(setting(LS_KEPT_STATE, "segment.bytes")), 2 << 20, 16 << 20);
    assert_in_range(atoll(setting(LS_KEPT_STATE, "segment.ms")), 1, 3600000);
    assert_string_equal(setting(LS_KEPT_LAST, "cleanup.policy"), "compact");
    assert_string_equal(setting(LS_KEPT_LAST, "min.compaction.lag.ms"), "1209600000");
    assert_string_equal(setting(LS_KEPT_LAST, "delete.retention.ms"), "1209600000");
    assert_string_equal(setting(LS_KEPT_14_DAYS, "cleanup.policy"), "delete");
    assert_string_equal(setting(LS_KEPT_14_DAYS, "retention.ms"), "1209600000");
}

static int
count_schema(void *arg, const struct ls_message *message, struct ls_err *err)
{
    char key[17];
    int is_ok;

    snprintf(key, sizeof(key), "%016llx",
             (unsigned long long)ls_schema_fingerprint(message->value.p, err, &is_ok));
    assert_true(is_ok);
    assert_true(ls_str_is(message->key, key));
    ++*(int *)arg;
    return 0;
}

/* librdkafka ends a value with no NUL, ls_schema_fingerprint wants one. */
static int
count_schema_copy(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct ls_message copy = *message;
    char *text = strndup(message->value.p, message->value.n);
    int r;

    copy.value.p = text;
    r = count_schema(arg, &copy, err);
    free(text);
    return r;
}

static void
schemas_are_published_once_under_their_fingerprint(void **state)
{
    const char *topic = ls_config_topic(config, "schemas");
    struct ls_err err = {0};
    size_t n;
    int count = 0;

    (void)state;
    assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, 1, 1), 0);
    ok(ls_schemas_publish(config, &err));
    ok(ls_schemas_publish(config, &err));
    ok(ls_topic_read(config, topic, count_schema_copy, &count, &err));
    ls_schema_all(&n);
    assert_int_equal(count, n);
    ls_schema_set_learner(NULL, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_client_can_be_made_of_is_wrong_until_one_could),
        cmocka_unit_test(a_committed_transaction_is_read_whole),
        cmocka_unit_test(an_aborted_transaction_can_be_followed_by_a_good_one),
        cmocka_unit_test(headers_come_back_with_the_record),
        cmocka_unit_test(a_group_starts_at_the_beginning_and_a_rewind_goes_back_there),
        cmocka_unit_test(a_rewind_after_the_group_gave_the_partitions_away_leaves_no_record_out),
        cmocka_unit_test(a_member_that_is_taken_for_another_joins_anew_at_the_groups_offsets),
        cmocka_unit_test(where_a_topic_begins_is_asked_again_when_the_broker_did_not_know_it),
        cmocka_unit_test(who_may_not_ask_where_a_topic_begins_has_lost_no_offset),
        cmocka_unit_test(a_plain_commit_is_where_the_group_goes_on),
        cmocka_unit_test(a_lost_offset_is_fatal_not_a_jump),
        cmocka_unit_test(a_record_too_large_is_poison_and_the_rest_goes_on),
        cmocka_unit_test(a_record_that_is_not_delivered_makes_the_commit_fail),
        cmocka_unit_test(being_fenced_is_fatal_with_its_cause),
        cmocka_unit_test(a_fatal_producer_error_is_a_retry_with_a_new_producer),
        cmocka_unit_test(a_transaction_that_has_failed_takes_no_record_and_says_why),
        cmocka_unit_test(a_plain_producer_goes_on_behind_a_fatal_error_and_says_what_was_lost),
        cmocka_unit_test(reading_a_topic_ends_at_its_end_or_when_told),
        cmocka_unit_test(reading_a_topic_goes_on_behind_an_error_that_passes),
        cmocka_unit_test(a_topic_whose_beginning_goes_while_it_is_read_is_read_anew),
        cmocka_unit_test(bounds_and_partitions_are_those_of_the_topic),
        cmocka_unit_test(a_topic_of_another_shape_or_missing_is_named),
        cmocka_unit_test(a_topic_that_is_known_a_moment_later_is_not_missing),
        cmocka_unit_test(a_record_that_the_broker_refuses_is_found_in_three_tries),
        cmocka_unit_test(a_position_topic_that_takes_too_little_is_refused_in_words),
        cmocka_unit_test(what_the_topics_say_is_believed_until_a_refusal_and_again_when_it_changes),
        cmocka_unit_test(
            what_is_read_whole_at_a_start_is_compacted_soon_and_the_rest_stays_14_days),
        cmocka_unit_test(schemas_are_published_once_under_their_fingerprint),
        cmocka_unit_test(where_to_begin_is_asked_again_when_it_was_not_told),
    };

    return cmocka_run_group_tests(tests, cluster_start, cluster_stop);
}
