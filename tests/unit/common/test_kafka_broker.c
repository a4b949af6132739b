/*
 * What only a real broker can show: aborted and open transactions, offsets in a transaction,
 * fencing, making topics. LOCKSTEP_TEST_KAFKA names its bootstrap servers; unset, these are
 * skipped.
 */
#include "tests/unit/common/unit.h"

#include "common/kafka.h"
#include "common/run.h"

static struct ls_config *config;

static int
connect_to(void **state)
{
    const char *servers = getenv("LOCKSTEP_TEST_KAFKA");
    char server_set[300], prefix_set[100];
    const char *sets[] = {server_set, prefix_set};
    struct ls_err err = {0};

    (void)state;
    if (!servers || !*servers) {
        print_message("LOCKSTEP_TEST_KAFKA is not set: no broker to test with\n");
        return 0;
    }
    snprintf(server_set, sizeof(server_set), "kafka.bootstrap.servers=%s", servers);
    snprintf(prefix_set, sizeof(prefix_set), "lockstep.prefix=unit%lld", (long long)ls_now_us());
    return ls_config_load(NULL, (char *const *)sets, 2, &config, &err);
}

static int
leave(void **state)
{
    (void)state;
    ls_config_free(config);
    return 0;
}

static const char *
topic_new(const char *name, int partitions)
{
    struct ls_topic_spec spec = {NULL, partitions, LS_KEPT_LAST};
    struct ls_err err = {0};

    if (!config)
        skip();
    spec.name = ls_config_topic(config, name);
    ok(ls_topics_ensure(config, &spec, 1, &err));
    return spec.name;
}

static void
send_text(struct ls_producer *p, const char *topic, int32_t partition, const char *text)
{
    struct ls_err err = {0};

    ok(ls_producer_send(p, topic, partition, LS_STR("k"), ls_str_of(text), NULL, 0, &err));
}

static int
collect(void *arg, const struct ls_message *message, struct ls_err *err)
{
    char *text = arg;
    size_t used = strlen(text);

    (void)err;
    snprintf(text + used, 200 - used, "%.*s ", (int)message->value.n, message->value.p);
    return 0;
}

static void
only_committed_records_are_read_and_the_end_is_the_last_stable_offset(void **state)
{
    const char *topic = topic_new("lso", 1);
    struct ls_producer *p;
    struct ls_consumer *c;
    struct ls_err err = {0};
    int64_t first, end;
    char text[200] = "";

    (void)state;
    ok(ls_producer_new(config, topic, &p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "committed");
    ok(ls_producer_commit(p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "aborted");
    ok(ls_producer_abort(p, &err));
    ok(ls_producer_begin(p, &err));
    send_text(p, topic, 0, "open");
    ok(ls_producer_flush(p, 10000, &err));

    /* committed, its marker, aborted, its marker; "open" is behind the end. */
    ok(ls_consumer_new(config, NULL, &c, &err));
    ok(ls_consumer_bounds(c, topic, 0, &first, &end, &err));
    assert_int_equal(first, 0);
    assert_int_equal(end, 4);
    ok(ls_topic_read(config, topic, collect, text, &err));
    assert_string_equal(text, "committed ");

    ok(ls_producer_commit(p, &err));
    text[0] = '\0';
    for (int i = 0; i < 50 && !strstr(text, "open"); i++) {
        text[0] = '\0';
        ok(ls_topic_read(config, topic, collect, text, &err));
    }
    assert_string_equal(text, "committed open ");
    ls_consumer_free(c);
    ls_producer_free(p);
}

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
offsets_are_committed_with_the_transaction_and_only_then(void **state)
{
    const char *in = topic_new("in", 2), *out = topic_new("out", 1);
    const char *group = ls_config_topic(config, "group");
    struct ls_partition parts[] = {{in, 0, 0}, {in, 1, 0}};
    struct ls_producer *p;
    struct ls_consumer *c;
    struct ls_message *m = NULL;
    struct ls_err err = {0};

    (void)state;
    ok(ls_producer_new(config, in, &p, &err));
    for (int i = 0; i < 5; i++) {
        ok(ls_producer_begin(p, &err));
        send_text(p, in, i % 2, "x");
        ok(ls_producer_commit(p, &err));
    }
    ok(ls_consumer_new(config, group, &c, &err));
    ok(ls_consumer_subscribe(c, &in, 1, NULL, NULL, &err));

    ok(ls_producer_begin(p, &err));
    assert_int_equal(drain(c, 5), 5);
    send_text(p, out, 0, "y");
    ok(ls_producer_send_offsets(p, c, &err));
    ok(ls_producer_abort(p, &err));
    ok(ls_group_offsets(config, group, parts, 2, &err));
    assert_int_equal(parts[0].offset, -1);

    ok(ls_consumer_rewind(c, &err));
    ok(ls_producer_begin(p, &err));
    assert_int_equal(drain(c, 5), 5);
    send_text(p, out, 0, "y");
    ok(ls_producer_send_offsets(p, c, &err));
    ok(ls_producer_commit(p, &err));
    ok(ls_group_offsets(config, group, parts, 2, &err));
    /* Three and two records, and a marker behind each: the offsets reach the very end. */
    assert_int_equal(parts[0].offset, 6);
    assert_int_equal(parts[1].offset, 4);

    ok(ls_consumer_rewind(c, &err));
    ok(ls_consumer_poll(c, 500, &m, &err));
    assert_null(m);
    ls_consumer_free(c);
    ls_producer_free(p);
}

static void
the_older_of_two_producers_is_fenced(void **state)
{
    const char *topic = topic_new("fence", 1);
    struct ls_producer *old, *young;
    struct ls_err err = {0};
    char text[200] = "";

    (void)state;
    ok(ls_producer_new(config, topic, &old, &err));
    ok(ls_producer_begin(old, &err));
    send_text(old, topic, 0, "old");
    ok(ls_producer_flush(old, 10000, &err));
    ok(ls_producer_new(config, topic, &young, &err));
    assert_int_equal(ls_producer_commit(old, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "fenced");
    ok(ls_producer_begin(young, &err));
    send_text(young, topic, 0, "young");
    ok(ls_producer_commit(young, &err));
    for (int i = 0; i < 50 && !*text; i++)
        ok(ls_topic_read(config, topic, collect, text, &err));
    assert_string_equal(text, "young ");
    ls_producer_free(young);
    ls_producer_free(old);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_committed_records_are_read_and_the_end_is_the_last_stable_offset),
        cmocka_unit_test(offsets_are_committed_with_the_transaction_and_only_then),
        cmocka_unit_test(the_older_of_two_producers_is_fenced),
    };

    return cmocka_run_group_tests(tests, connect_to, leave);
}
