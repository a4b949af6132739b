/* What the publisher sends, and what it believes after a failure; Kafka is a list of records. */
#include "tests/unit/capture/events.h"

#include "capture/publish/publish.h"
#include "common/kafka.h"
#include "common/records.h"
#include "common/run.h"

/* ---- Kafka */
struct record {
    char topic[64], key[1200];
    int32_t partition;
    char *value; /* NULL: a tombstone */
    size_t n;
    char headers[600];
};
static struct record records[4096];
static size_t n_sent, n_committed;
static bool refuse_commit;
static int commit_takes_ms;
static size_t largest;   /* value and headers of one record; 0: any */
static int64_t hidden;   /* so many reads do not yet see the newest transaction */
static size_t n_visible; /* for those */

static void
forget_records(size_t from)
{
    for (size_t i = from; i < n_sent; i++)
        free(records[i].value);
    n_sent = from;
}

int
ls_producer_new(const struct ls_config *config, const char *id, struct ls_producer **ret,
                struct ls_err *err)
{
    static int anything;

    (void)config, (void)id, (void)err;
    *ret = (struct ls_producer *)&anything;
    return 0;
}

void
ls_producer_free(struct ls_producer *p)
{
    (void)p;
}

int
ls_producer_begin(struct ls_producer *p, struct ls_err *err)
{
    (void)p, (void)err;
    return 0;
}

int
ls_producer_send(struct ls_producer *p, const char *topic, int32_t partition, struct ls_str key,
                 struct ls_str value, const struct ls_header *headers, size_t n_headers,
                 struct ls_err *err)
{
    struct record *r = &records[n_sent];
    size_t at = 0;

    (void)p;
    if (largest && value.n > largest)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "too-large", "%zu bytes", value.n);
    assert_true(n_sent < sizeof(records) / sizeof(records[0]));
    memset(r, 0, sizeof(*r));
    snprintf(r->topic, sizeof(r->topic), "%s", topic);
    snprintf(r->key, sizeof(r->key), "%.*s", (int)key.n, key.p);
    r->partition = partition;
    r->n = value.n;
    if (value.p) {
        r->value = malloc(value.n + 1);
        assert_non_null(r->value);
        memcpy(r->value, value.p, value.n);
        r->value[value.n] = '\0';
    }
    for (size_t i = 0; i < n_headers && at < sizeof(r->headers); i++)
        at += (size_t)snprintf(r->headers + at, sizeof(r->headers) - at, "%s=%.*s;",
                               headers[i].name, (int)headers[i].value.n, headers[i].value.p);
    n_sent++;
    return 0;
}

int
ls_producer_commit(struct ls_producer *p, struct ls_err *err)
{
    (void)p;
    if (commit_takes_ms > 0)
        ls_run_sleep_ms(commit_takes_ms);
    if (refuse_commit)
        return ls_fail(err, LS_ERR_RETRY, 0, "no answer");
    n_visible = n_committed;
    n_committed = n_sent;
    return 0;
}

int
ls_producer_abort(struct ls_producer *p, struct ls_err *err)
{
    (void)p, (void)err;
    forget_records(n_committed);
    return 0;
}

int
ls_topic_read(const struct ls_config *config, const char *topic,
              int (*each)(void *arg, const struct ls_message *message, struct ls_err *err),
              void *arg, struct ls_err *err)
{
    size_t n = hidden > 0 ? n_visible : n_committed;

    (void)config;
    if (hidden > 0)
        hidden--;
    for (size_t i = 0; i < n; i++) {
        struct ls_message m = {.topic = records[i].topic, .key = ls_str_of(records[i].key)};
        if (strcmp(topic, records[i].topic) != 0)
            continue;
        m.value = records[i].value ? (struct ls_str){records[i].value, records[i].n} : LS_STR_NULL;
        if (each(arg, &m, err) < 0)
            return -1;
    }
    return 0;
}

/* Reads the records of one topic, from the assigned one on. */
static size_t next_record;
static char assigned[64];

int
ls_consumer_new(const struct ls_config *c, const char *group, struct ls_consumer **ret,
                struct ls_err *e)
{
    static int anything;

    (void)c, (void)group, (void)e;
    *ret = (struct ls_consumer *)&anything;
    return 0;
}

void
ls_consumer_free(struct ls_consumer *c)
{
    (void)c;
}

int
ls_consumer_bounds(struct ls_consumer *c, const char *topic, int32_t partition, int64_t *ret_first,
                   int64_t *ret_end, struct ls_err *e)
{
    (void)c, (void)topic, (void)partition, (void)e;
    *ret_first = 0;
    *ret_end = (int64_t)n_committed;
    return 0;
}

int
ls_consumer_assign(struct ls_consumer *c, const struct ls_partition *parts, size_t n,
                   struct ls_err *e)
{
    (void)c, (void)n, (void)e;
    snprintf(assigned, sizeof(assigned), "%s", parts[0].topic);
    next_record = (size_t)parts[0].offset;
    return 0;
}

int
ls_consumer_poll(struct ls_consumer *c, int timeout_ms, struct ls_message **ret, struct ls_err *e)
{
    (void)c, (void)timeout_ms, (void)e;
    *ret = NULL;
    for (; next_record < n_committed && !*ret; next_record++) {
        const struct record *r = &records[next_record];
        if (strcmp(r->topic, assigned) != 0)
            continue;
        *ret = calloc(1, sizeof(**ret));
        assert_non_null(*ret);
        (*ret)->offset = (int64_t)next_record;
        (*ret)->value = r->value ? (struct ls_str){r->value, r->n} : LS_STR_NULL;
    }
    return 0;
}

void
ls_message_free(struct ls_message *message)
{
    free(message);
}

/* ---- looking at it */
static struct ls_config *config;
static struct cap_publisher *publisher;
static struct ls_arena *arena;
static struct ls_err err;

static int
setup(void **state)
{
    static const char *const sets[] = {"lockstep.prefix=p", "lockstep.partitions=4"};

    (void)state;
    forget_records(0);
    n_committed = n_visible = largest = 0;
    hidden = 0;
    refuse_commit = false;
    commit_takes_ms = 0;
    memset(&err, 0, sizeof(err));
    config = test_config(sets, 2);
    arena = ls_arena_new(1 << 20);
    assert_non_null(arena);
    return cap_publisher_new(config, &publisher, &err);
}

static int
teardown(void **state)
{
    (void)state;
    cap_publisher_free(publisher);
    ls_arena_free(arena);
    ls_config_free(config);
    forget_records(0);
    return 0;
}

static bool
connect_again(void)
{
    bool found;

    assert_int_equal(cap_publisher_connect(publisher, &found, &err), 0);
    return found;
}

/* The n-th row, heartbeat or bracket of a table's topic, decoded; NULL behind the last. */
static const struct ls_envelope *
envelope(enum ls_table_id id, size_t nth)
{
    char topic[64];
    struct ls_envelope *e;

    snprintf(topic, sizeof(topic), "p.oc10.oc_%s", ls_tables[id].name);
    for (size_t i = 0; i < n_sent; i++) {
        if (strcmp(records[i].topic, topic) != 0 || !records[i].value || nth-- > 0)
            continue;
        if (ls_envelope_decode(&ls_tables[id], (struct ls_str){records[i].value, records[i].n},
                               arena, &e, &err) < 0)
            fail_msg("%s", err.msg);
        return e;
    }
    return NULL;
}

static size_t
count(const char *topic)
{
    size_t n = 0;

    for (size_t i = 0; i < n_sent; i++)
        n += !strcmp(records[i].topic, topic);
    return n;
}

/* ---- numbers and the position */

static void
no_number_is_given_twice_even_when_an_outcome_is_unknown(void **state)
{
    struct ls_seq a, b;

    (void)state;
    assert_false(connect_again());
    assert_int_equal(cap_publish_begin(publisher, LS_NO_STORAGE, &a, &err), 0);
    assert_int_equal(cap_publisher_commit(publisher, &err), 0);
    assert_int_equal(cap_publish_begin(publisher, LS_NO_STORAGE, &a, &err), 0);
    refuse_commit = true;
    assert_int_equal(cap_publisher_commit(publisher, &err), -1);
    refuse_commit = false;
    assert_true(connect_again());
    assert_int_equal(cap_publish_begin(publisher, LS_NO_STORAGE, &b, &err), 0);
    assert_true(ls_seq_cmp(b, a) > 0);
    assert_true(b.epoch > a.epoch);
}

static void
a_position_that_readers_cannot_see_yet_is_waited_for(void **state)
{
    (void)state;
    assert_false(connect_again());
    cap_publisher_position(publisher)->pos = 4711;
    assert_int_equal(cap_publish_heartbeats(publisher, 1, 1, 1, &err), 0);
    assert_int_equal(cap_publisher_commit(publisher, &err), 0);
    hidden = 2;
    n_visible = 0;
    assert_true(connect_again());
    assert_int_equal(cap_publisher_position(publisher)->pos, 4711);
    assert_int_equal(hidden, 0);
}

static void
a_lost_position_gives_numbers_above_those_in_the_topics(void **state)
{
    int32_t epoch = 2000000000; /* from a clock that was ahead */

    (void)state;
    assert_false(connect_again());
    cap_publisher_position(publisher)->epoch = epoch;
    assert_int_equal(cap_publish_heartbeats(publisher, 1, 1, 1, &err), 0);
    assert_int_equal(cap_publisher_commit(publisher, &err), 0);
    for (size_t i = 0; i < n_sent; i++)
        if (!strcmp(records[i].topic, "p.position"))
            records[i].topic[0] = '\0';
    cap_publisher_free(publisher);
    assert_int_equal(cap_publisher_new(config, &publisher, &err), 0);
    assert_false(connect_again());
    assert_int_equal(cap_publisher_position(publisher)->epoch, epoch + 1);
}

/* ---- heartbeats */

static void
a_heartbeat_that_was_thrown_away_does_not_raise_the_next_one(void **state)
{
    (void)state;
    assert_false(connect_again());
    assert_int_equal(cap_publish_heartbeats(publisher, 1000, 1, 1, &err), 0);
    assert_int_equal(cap_publisher_commit(publisher, &err), 0);
    assert_int_equal(cap_publish_heartbeats(publisher, 9000, 1, 1, &err), 0);
    refuse_commit = true;
    assert_int_equal(cap_publisher_commit(publisher, &err), -1);
    refuse_commit = false;
    assert_true(connect_again());
    assert_int_equal(cap_publish_heartbeats(publisher, 2000, 1, 1, &err), 0);
    assert_int_equal(envelope(LS_T_SHARE, 0)->source_ts_us, 1000);
    assert_int_equal(envelope(LS_T_SHARE, 1)->source_ts_us, 2000);
    assert_int_equal(cap_publish_heartbeats(publisher, 1500, 1, 1, &err), 0);
    assert_int_equal(envelope(LS_T_SHARE, 2)->source_ts_us, 2000);
    assert_int_equal(count("p.oc10.oc_filecache"), 3 * 4);
    assert_int_equal(count("p.oc10.oc_files_trash"), 3);
    assert_int_equal(count("p.oc10.oc_groups"), 3);
    assert_int_equal(count("p.oc10.oc_group_user"), 3);
}

static void
heartbeats_go_back_with_the_clock(void **state)
{
    (void)state;
    assert_false(connect_again());
    assert_int_equal(cap_publish_heartbeats(publisher, 9000, 1, 1, &err), 0);
    assert_int_equal(cap_publisher_commit(publisher, &err), 0);
    cap_publisher_clock(publisher, 1500, 8000);
    assert_int_equal(cap_publish_heartbeats(publisher, 1200, 1, 1, &err), 0);
    assert_int_equal(envelope(LS_T_SHARE, 1)->source_ts_us, 1200);
    refuse_commit = true;
    assert_int_equal(cap_publisher_commit(publisher, &err), -1);
    refuse_commit = false;
    assert_true(connect_again());
    assert_int_equal(cap_publish_heartbeats(publisher, 900, 1, 1, &err), 0);
    assert_int_equal(envelope(LS_T_SHARE, 1)->source_ts_us, 1000); /* what was committed: 9000 */
}

static void
heartbeats_in_shares_reach_every_partition_once(void **state)
{
    static const int64_t parts[] = {100, 400, 400, 900, 1000};
    size_t all = LS_T_COUNT - 2 + 4, before = 0;

    (void)state;
    assert_false(connect_again());
    for (size_t i = 0; i < 5; i++) {
        size_t from = n_sent;
        assert_int_equal(cap_publish_heartbeats(publisher, 1000 + parts[i], parts[i], 1000, &err),
                         0);
        before += n_sent - from;
        assert_int_equal(before, all * (size_t)parts[i] / 1000);
    }
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        char topic[64];
        (void)snprintf(topic, sizeof(topic), "p.oc10.oc_%s", ls_tables[i].name);
        assert_int_equal(count(topic), i == LS_T_MIMETYPES ? 0 : ls_tables[i].by_storage ? 4 : 1);
    }
    /* and the next round begins anew */
    assert_int_equal(cap_publish_heartbeats(publisher, 3000, 1, 1, &err), 0);
    assert_int_equal(count("p.oc10.oc_filecache"), 8);
}

static void
what_came_during_a_commit_has_waited_for_it(void **state)
{
    bool waited = false;
    int64_t now_ms;

    (void)state;
    assert_false(connect_again());
    assert_int_equal(cap_publisher_wait_ms(publisher), -1);
    commit_takes_ms = 30; /* commit_ms is 20 */
    /* as often as it takes for nobody to take the processor away just then */
    for (int i = 0; i < 100 && !waited; i++) {
        assert_int_equal(cap_publish_heartbeats(publisher, 1, 1, 1, &err), 0);
        assert_int_equal(cap_publisher_commit(publisher, &err), 0);
        assert_int_equal(cap_publish_heartbeats(publisher, 1, 1, 1, &err), 0);
        waited = cap_publisher_waited_ms(publisher, ls_mono_ms()) >= commit_takes_ms &&
                 cap_publisher_wait_ms(publisher) == 0;
        assert_int_equal(cap_publisher_commit(publisher, &err), 0);
        ls_run_sleep_ms(5);
    }
    assert_true(waited);
    /* what comes later has not */
    assert_int_equal(cap_publish_heartbeats(publisher, 1, 1, 1, &err), 0);
    now_ms = ls_mono_ms();
    assert_int_equal(cap_publisher_waited_ms(publisher, now_ms),
                     cap_publisher_age_ms(publisher, now_ms));
}

static void
a_bracket_says_how_far_was_read_not_what_time_it_is(void **state)
{
    struct ls_seq seq;

    (void)state;
    assert_false(connect_again());
    cap_publisher_position(publisher)->ts_us = 7000;
    assert_int_equal(cap_publish_begin(publisher, LS_NO_STORAGE, &seq, &err), 0);
    assert_int_equal(envelope(LS_T_GROUPS, 0)->source_ts_us, 7000);
    assert_int_equal(cap_publish_heartbeats(publisher, 9000, 1, 1, &err), 0);
    assert_int_equal(cap_publish_end(publisher, LS_NO_STORAGE, seq, &err), 0);
    assert_int_equal(envelope(LS_T_USERS, 1)->op, LS_OP_HEARTBEAT);
    assert_int_equal(envelope(LS_T_USERS, 2)->source_ts_us, 9000);
    assert_int_equal(envelope(LS_T_USERS, 2)->op, LS_OP_END);
    assert_int_equal(count("p.oc10.oc_mimetypes"), 2); /* looked up only: brackets, no beat */
}

static void
the_bracket_of_a_storage_goes_to_its_partition_alone(void **state)
{
    struct ls_seq seq;
    size_t from;

    (void)state;
    assert_false(connect_again());
    from = n_sent;
    assert_int_equal(cap_publish_begin(publisher, 6, &seq, &err), 0);
    assert_int_equal(cap_publish_end(publisher, 6, seq, &err), 0);
    assert_int_equal(n_sent, from + 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(records[from + i].topic, "p.oc10.oc_filecache");
        assert_int_equal(records[from + i].partition, 2); /* of 4 */
        assert_string_equal(records[from + i].key, i ? "!end/6" : "!begin/6");
        assert_int_equal(envelope(LS_T_FILECACHE, i)->storage, 6);
    }
    assert_int_equal(envelope(LS_T_FILECACHE, 1)->begin.counter, seq.counter);
    assert_int_equal(cap_publish_begin(publisher, LS_NO_STORAGE, &seq, &err), 0);
    assert_int_equal(count("p.oc10.oc_filecache"), 2 + 4);
    assert_int_equal(envelope(LS_T_FILECACHE, 2)->storage, LS_NO_STORAGE);
}

/* ---- rows that cannot be sent */
static struct cap_image before, after;
static const struct cap_origin origin = {.ts_us = 1, .gtid = "", .file = "f"};

static void
put_text(struct cap_image *image, int column, const char *text)
{
    image->values[column] = (struct ls_value){.kind = LS_V_TEXT, .s = str(text)};
}

static void
put_number(struct cap_image *image, int column, int64_t i)
{
    image->values[column] = (struct ls_value){.kind = LS_V_INT, .i = i};
}

static void
file(struct cap_image *image, int64_t storage, const char *path)
{
    memset(image, 0, sizeof(*image));
    put_number(image, FC_FILEID, 17);
    put_number(image, FC_STORAGE, storage);
    put_text(image, FC_PATH, path);
}

static void
publish(enum ls_table_id id, bool has_before, bool has_after)
{
    if (cap_publish_row(publisher, &origin, &ls_tables[id], has_before ? &before : NULL,
                        has_after ? &after : NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

static void
odd_bytes_in_what_was_do_not_bury_what_is(void **state)
{
    const struct ls_envelope *e;

    (void)state;
    assert_false(connect_again());
    file(&before, 1, "files/\xff");
    file(&after, 1, "files/a");
    publish(LS_T_FILECACHE, true, true);
    publish(LS_T_FILECACHE, true, false);
    assert_int_equal(count("p.dlq"), 0);
    e = envelope(LS_T_FILECACHE, 0);
    assert_true(ls_str_is(e->after[FC_PATH].s, "files/a"));
    assert_int_equal(e->before[FC_PATH].kind, LS_V_ABSENT);
    e = envelope(LS_T_FILECACHE, 1);
    assert_int_equal(e->op, LS_OP_DELETE);
    assert_int_equal(e->before[FC_FILEID].i, 17);
    /* a number out of range, the same */
    file(&before, 1, "files/a");
    before.poison = true;
    before.poison_column = FC_SIZE;
    publish(LS_T_FILECACHE, true, false);
    assert_int_equal(count("p.dlq"), 0);
    /* without its place a deletion cannot be told to anybody */
    before.values[FC_STORAGE].kind = LS_V_ABSENT;
    before.poison_column = FC_STORAGE;
    publish(LS_T_FILECACHE, true, false);
    assert_int_equal(count("p.dlq"), 1);
}

static void
a_deletion_names_no_other_half_that_is_a_dead_letter(void **state)
{
    (void)state;
    assert_false(connect_again());
    file(&before, 1, "files/a");
    file(&after, 2, "files/\xff");
    publish(LS_T_FILECACHE, true, true);
    assert_int_equal(count("p.dlq"), 1);
    assert_int_equal(envelope(LS_T_FILECACHE, 0)->op, LS_OP_DELETE);
    assert_int_equal(envelope(LS_T_FILECACHE, 0)->moved_to, LS_NO_STORAGE);
    file(&after, 2, "files/b");
    publish(LS_T_FILECACHE, true, true);
    assert_int_equal(envelope(LS_T_FILECACHE, 1)->moved_to, 2);
    assert_int_equal(envelope(LS_T_FILECACHE, 2)->moved_from, 1);
}

static void
a_dead_letter_that_is_too_large_goes_without_its_value(void **state)
{
    static char long_path[2000];

    (void)state;
    assert_false(connect_again());
    memset(long_path, 0xff, sizeof(long_path) - 1);
    file(&after, 1, long_path);
    largest = 3000;
    publish(LS_T_FILECACHE, false, true);
    assert_int_equal(count("p.dlq"), 1);
    assert_string_equal(records[n_sent - 1].key, "17");
    assert_int_equal(records[n_sent - 1].n, 0);
    assert_non_null(strstr(records[n_sent - 1].headers, "cause=invalid-utf8;"));
    assert_int_equal(cap_counters_balance(&cap_publisher_position(publisher)->counters), 0);
}

static void
who_connected_last_is_in_the_topic(void **state)
{
    bool overtaken = true;

    (void)state;
    connect_again();
    assert_int_equal(cap_publisher_overtaken(publisher, &overtaken, &err), 0);
    assert_false(overtaken);
    connect_again(); /* a connection of our own is no rival */
    assert_int_equal(cap_publisher_overtaken(publisher, &overtaken, &err), 0);
    assert_false(overtaken);
    assert_int_equal(ls_producer_send(NULL, "p.position", 0, LS_STR("connect"),
                                      LS_STR("{\"pid\":1,\"id\":\"0123456789abcdef\"}"), NULL, 0,
                                      &err),
                     0);
    assert_int_equal(ls_producer_commit(NULL, &err), 0);
    assert_int_equal(cap_publisher_overtaken(publisher, &overtaken, &err), 0);
    assert_true(overtaken);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(no_number_is_given_twice_even_when_an_outcome_is_unknown),
        T(a_position_that_readers_cannot_see_yet_is_waited_for),
        T(odd_bytes_in_what_was_do_not_bury_what_is),
        T(a_deletion_names_no_other_half_that_is_a_dead_letter),
        T(heartbeats_go_back_with_the_clock),
        T(heartbeats_in_shares_reach_every_partition_once),
        T(what_came_during_a_commit_has_waited_for_it),
        T(a_bracket_says_how_far_was_read_not_what_time_it_is),
        T(the_bracket_of_a_storage_goes_to_its_partition_alone),
        T(a_dead_letter_that_is_too_large_goes_without_its_value),
        T(a_lost_position_gives_numbers_above_those_in_the_topics),
        T(a_heartbeat_that_was_thrown_away_does_not_raise_the_next_one),
        T(who_connected_last_is_in_the_topic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
