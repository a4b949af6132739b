/* Records of <p>.replay: what is dead comes alive, what is known is not gone back behind. */
#include "apply/intake/replay.h"
#include "apply/ledger/letters.h"
#include "apply/ledger/mirror_rows.h"
#include "tests/unit/flow/flow.h"

#define KEY LS_STR("0123456789abcdef0123456789abcdef")

static const struct ap_replay_guard guard = {
    .key = {"0123456789abcdef0123456789abcdef", 32}, .prefix = {"p", 1}, .max_ahead_s = 300};

/* The record as it was signed, at a place of the topic. */
static void
come(struct flow *f, struct ls_replay r, int32_t partition, int64_t offset)
{
    struct ls_replay_signed s;
    struct ls_message m = {.topic = "p.replay",
                           .partition = partition,
                           .offset = offset,
                           .key = r.key,
                           .value = r.value};
    struct ls_err err = {0};

    r.time_us = ls_now_us();
    if (!r.value.p)
        m.value = r.value = LS_STR("");
    assert_int_equal(ls_replay_sign(KEY, guard.prefix, &r, &s, &err), 0);
    memcpy(m.headers, s.headers, s.n * sizeof(*s.headers));
    m.n_headers = s.n;
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    assert_int_equal(ap_take_replay(f->core, &guard, &m, f->arena, &err), 0);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    flow_settle(f);
}

/* A record of its own, taken in; what is left to do is done. */
static void
replay(struct flow *f, struct ls_replay r)
{
    static int64_t offset;

    if (!r.value.p)
        r.value = LS_STR("");
    r.run = LS_STR("a run");
    r.n = ++offset;
    come(f, r, 0, offset);
}

static int64_t
number(struct flow *f, const char *sql)
{
    return ap_number(f->ledger, 0, sql, NULL);
}

#define DEAD "SELECT count(*) FROM dead"
#define ALIVE_WORDS "SELECT count(*) FROM letter WHERE attempts = -1"
#define DROPPED_WORDS "SELECT count(*) FROM letter WHERE attempts = -2"

static const char *
no_content(void *arg, const char *home_owner, const char *relative)
{
    (void)arg, (void)home_owner, (void)relative;
    return NULL;
}

/* A file without content, given up; its seq. */
static void
a_dead_file(struct flow *f)
{
    struct ls_err err = {0};

    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_exec(f->ledger,
            "INSERT INTO offset(topic, partition, next, read_us)"
            " VALUES('cs3.resource', 0, 1, 9000000000000000)",
            NULL);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    f->target.content = no_content;
    flow_row(f, "I oc_filecache fileid=50 parent=11 name='lost.txt' path='files/lost.txt'"
                " mimetype=3 size=9");
    flow_settle(f);
    assert_int_equal(number(f, DEAD " WHERE cause = 'content-missing' AND id = 50"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM letter WHERE key = '50'"), 1);
}

static void
a_dead_letter_retried_after_its_cause_is_gone_is_applied(void **state)
{
    struct flow *f = *state;
    int64_t in, puts;

    a_dead_file(f);
    in = ap_counted(f->ledger, "in");
    replay(f, (struct ls_replay){.topic = LS_STR("cs3.resource"), .key = LS_STR("50")});
    assert_int_equal(number(f, DEAD), 1); /* the cause is still there: dead again */
    assert_int_equal(number(f, ALIVE_WORDS), 1);
    f->target.content = NULL;
    puts = f->target.puts;
    replay(f, (struct ls_replay){.topic = LS_STR("cs3.resource"), .key = LS_STR("50")});
    assert_int_equal(number(f, DEAD), 0);
    assert_int_equal(f->target.puts, puts + 1);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE fileid = 50"), 1);
    assert_int_equal(ap_counted(f->ledger, "in"), in); /* the same record, not another one */
    assert_int_equal(number(f, ALIVE_WORDS), 2);
    assert_int_equal(ap_counted(f->ledger, "replayed"), 2);
}

static void
everything_replayed_makes_no_call_and_changes_no_count(void **state)
{
    static const char *const entities[][2] = {
        {"cs3.resource", "1"},      {"cs3.resource", "44"},    {"cs3.resource", "45"},
        {"cs3.resource", "46"},     {"cs3.share", "7"},        {"cs3.share", "8"},
        {"cs3.space", "1"},         {"cs3.space", "2"},        {"cs3.person", "u:alice"},
        {"cs3.person", "u:bob"},    {"cs3.person", "g:staff"}, {"cs3.person", "m:staff/bob"},
        {"cs3.person", "u:nobody"}, {"cs3.resource", "t9"},    {"cs3.resource", "9999"},
        {"cs3.annotation", "c:1"},  {"cs3.share", "x7"},       {"cs3.person", "p:alice"},
        {"cs3.resource", "n7"},     {"cs3.unheard", "1"},
    };
    struct flow *f = *state;
    int64_t in, calls;

    flow_row(f, "I oc_share id=7 share_with='bob' file_source=44");
    flow_row(f, "I oc_share id=8 share_type=1 share_with='staff' file_source=46");
    flow_settle(f);
    in = ap_counted(f->ledger, "in");
    calls = f->target.calls;
    for (size_t i = 0; i < sizeof(entities) / sizeof(*entities); i++)
        replay(f, (struct ls_replay){.topic = ls_str_of(entities[i][0]),
                                     .key = ls_str_of(entities[i][1])});
    assert_int_equal(f->target.calls, calls);
    assert_int_equal(ap_counted(f->ledger, "in"), in);
    assert_int_equal(number(f, "SELECT count(*) FROM work"), 0);
}

static struct ls_str
file_bytes(struct flow *f, enum cs3_kind kind, int64_t counter, const char *name)
{
    struct cs3_resource r = {.head = {.kind = kind, .seq = {1, counter, 0}},
                             .what = CS3_NODE,
                             .storage = kind == CS3_END ? LS_NO_STORAGE : 1,
                             .fileid = 44,
                             .parent = 11,
                             .name = ls_str_of(name),
                             .folder = true,
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE,
                             .tree_mtime = LS_NO_STORAGE};
    struct ls_buf buf;
    struct ls_err err = {0};
    char *copy;

    r.head.begin = r.head.seq;
    ls_buf_init(&buf, 1 << 16);
    assert_int_equal(cs3_encode(&cs3_resource_type, &r, &buf, &err), 0);
    copy = ls_arena_alloc(f->arena, buf.n);
    memcpy(copy, buf.p, buf.n);
    struct ls_str ret = {copy, buf.n};
    ls_buf_free(&buf);
    return ret;
}

static int64_t
is_named(struct flow *f, const char *name)
{
    return ap_number(f->ledger, 0, "SELECT count(*) FROM node WHERE fileid = 44 AND name = ?", "s",
                     name);
}

static void
an_older_record_opens_the_known_state_and_a_newer_one_is_taken(void **state)
{
    struct flow *f = *state;
    int64_t in = ap_counted(f->ledger, "in");
    struct ls_replay r = {.topic = LS_STR("cs3.resource"), .key = LS_STR("44")};

    r.value = file_bytes(f, CS3_UPSERT, 2, "Older");
    replay(f, r);
    r.value = file_bytes(f, CS3_DELETE, 2, "");
    replay(f, r);
    assert_int_equal(is_named(f, "Papers"), 1);
    assert_int_equal(ap_counted(f->ledger, "in"), in);
    r.value = file_bytes(f, CS3_UPSERT, f->counter + 1, "Newer");
    replay(f, r);
    assert_int_equal(is_named(f, "Newer"), 1);
    assert_int_equal(ap_counted(f->ledger, "in"), in + 1);
}

static void
a_bracket_that_is_replayed_sweeps_nothing(void **state)
{
    struct flow *f = *state;

    replay(f, (struct ls_replay){.topic = LS_STR("cs3.resource"),
                                 .key = LS_STR("!end"),
                                 .value = file_bytes(f, CS3_END, 1000000, "")});
    assert_int_equal(is_named(f, "Papers"), 1);
    assert_int_equal(ap_counted(f->ledger, "swept"), 0);
}

static void
what_is_not_signed_is_refused_and_counted(void **state)
{
    struct flow *f = *state;
    struct ap_replay_guard without = guard;
    struct ls_message m = {
        .topic = "p.replay", .offset = 77, .partition = 0, .key = LS_STR("50"), .n_headers = 1};
    struct ls_err err = {0};

    m.headers[0] = (struct ls_header){"topic", LS_STR("cs3.resource")};
    a_dead_file(f);
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    assert_int_equal(ap_take_replay(f->core, &guard, &m, f->arena, &err), 0);
    without.key = LS_STR_NULL; /* no key here: none is taken */
    m.offset = 78;
    assert_int_equal(ap_take_replay(f->core, &without, &m, f->arena, &err), 0);
    m.headers[0].value = LS_STR("oc10.oc_share"); /* transform's: passed over */
    m.offset = 79;
    assert_int_equal(ap_take_replay(f->core, &guard, &m, f->arena, &err), 0);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    flow_settle(f);
    assert_int_equal(ap_counted(f->ledger, "replay-refused"), 2);
    assert_int_equal(ap_counted(f->ledger, "replayed"), 0);
    assert_int_equal(number(f, DEAD), 1);
    assert_int_equal(number(f, "SELECT next FROM offset WHERE topic = 'replay'"), 80);
}

static void
a_dropped_letter_counts_as_left_and_only_the_state_that_it_was_about(void **state)
{
    struct flow *f = *state;
    char seq[64];
    struct ls_replay drop = {.topic = LS_STR("cs3.resource"),
                             .key = LS_STR("50"),
                             .drop = LS_STR("the file is known to be lost"),
                             .seq = LS_STR("1.1.0")};

    a_dead_file(f);
    replay(f, drop); /* about another state */
    assert_int_equal(number(f, DEAD), 1);
    ls_seq_print((struct ls_seq){1, f->counter, 0}, seq, sizeof(seq));
    drop.seq = ls_str_of(seq);
    replay(f, drop);
    assert_int_equal(number(f, DEAD), 0);
    assert_int_equal(ap_counted(f->ledger, "left:dropped"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM node WHERE fileid = 50"), 0);
    assert_int_equal(number(f, DROPPED_WORDS), 0); /* of no letter */
    drop.letter = LS_STR("0/17");
    replay(f, drop); /* once is enough */
    assert_int_equal(ap_counted(f->ledger, "left:dropped"), 1);
    assert_int_equal(number(f, DROPPED_WORDS " AND key = CAST('50' AS BLOB) AND topic ="
                                             " 'cs3.resource' AND CAST(value AS TEXT) LIKE"
                                             " '{\"letter\":\"0/17\",%known to be lost%'"),
                     1);
}

static void
a_record_that_could_not_be_read_is_taken_when_it_can(void **state)
{
    struct flow *f = *state;
    struct ap_origin at = {
        .topic = "cs3.resource", .partition = 0, .offset = 33, .value = LS_STR("?")};
    struct ls_err why = {0}, err = {0};
    struct ls_replay r = {.topic = LS_STR("cs3.resource"),
                          .key = LS_STR("44"),
                          .value = LS_STR("?"),
                          .origin = LS_STR("cs3.resource/0/33")};

    ls_fail_cause(&why, LS_ERR_POISON, 0, "malformed-avro", "not to be read");
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    ap_take_malformed(f->core, &at, LS_STR("44"), at.value, &why);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    replay(f, r); /* still not */
    assert_int_equal(number(f, DEAD " WHERE kind = 11"), 1);
    r.value = file_bytes(f, CS3_UPSERT, f->counter + 1, "Read");
    replay(f, r);
    assert_int_equal(number(f, DEAD), 0);
    assert_int_equal(is_named(f, "Read"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM dead_record"), 0);
}

static void
a_topic_replayed_makes_no_second_letter_of_what_cannot_be_read(void **state)
{
    struct flow *f = *state;
    struct ls_replay r = {
        .topic = LS_STR("cs3.resource"), .key = LS_STR("44"), .value = LS_STR("?")};
    int64_t in = ap_counted(f->ledger, "in"), calls = f->target.calls;

    replay(f, r);
    r.key = LS_STR("no number");
    replay(f, r);
    assert_int_equal(number(f, DEAD), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM letter"), 0);
    assert_int_equal(ap_counted(f->ledger, "in"), in);
    assert_int_equal(ap_counted(f->ledger, "replayed"), 2);
    assert_int_equal(f->target.calls, calls);
}

static void
a_record_of_a_topic_that_there_is_not_is_a_dead_letter_and_no_share(void **state)
{
    struct flow *f = *state;
    struct cs3_share share = {.head = {.kind = CS3_UPSERT, .seq = {1, 1000000, 0}}, .id = 77};
    struct ls_replay r = {.topic = LS_STR("cs3.unheard"), .key = LS_STR("77")};
    struct ls_err err = {0};
    struct ls_buf buf;

    ls_buf_init(&buf, 1 << 16);
    assert_int_equal(cs3_encode(&cs3_share_type_, &share, &buf, &err), 0);
    r.value = (struct ls_str){(const char *)buf.p, buf.n};
    replay(f, r);
    ls_buf_free(&buf);
    assert_int_equal(number(f, "SELECT count(*) FROM share WHERE id = 77"), 0);
    assert_int_equal(number(f, DEAD " WHERE kind = 11 AND cause = 'unknown-topic'"), 1);
}

#define TAKEN(f) ap_counted((f)->ledger, "replayed")
#define REFUSED(f) ap_counted((f)->ledger, "replay-refused")

static struct ls_replay
numbered(const char *run, int64_t n)
{
    return (struct ls_replay){
        .topic = LS_STR("cs3.resource"), .key = LS_STR("44"), .run = ls_str_of(run), .n = n};
}

static void
a_copy_is_refused_and_no_other_record_of_its_run(void **state)
{
    struct flow *f = *state;
    struct ls_replay elsewhere = numbered("one", 3);

    come(f, numbered("one", 1), 0, 10);
    come(f, numbered("one", 2), 0, 11);
    come(f, numbered("two", 1), 0, 12);
    elsewhere.partition = 1;
    come(f, elsewhere, 1, 5);
    come(f, numbered("one", 4), 0, 13);
    assert_int_equal(TAKEN(f), 5);
    assert_int_equal(REFUSED(f), 0);
    come(f, numbered("one", 1), 0, 14);
    come(f, numbered("one", 4), 0, 15);
    come(f, numbered("two", 1), 0, 16);
    come(f, elsewhere, 1, 6);
    come(f, elsewhere, 0, 17);          /* into another partition */
    come(f, numbered("one", 0), 0, 18); /* without a number */
    come(f, numbered("", 7), 0, 19);
    assert_int_equal(TAKEN(f), 5);
    assert_int_equal(REFUSED(f), 7);
    come(f, numbered("one", 5), 0, 20);
    assert_int_equal(TAKEN(f), 6);
    assert_int_equal(number(f, "SELECT next FROM offset WHERE topic = 'replay'"
                               " AND partition = 0"),
                     21);
    /* the topic was made anew: its first offsets are no second reading */
    come(f, numbered("one", 5), 0, 0);
    come(f, numbered("one", 4), 0, 1);
    assert_int_equal(TAKEN(f), 6);
}

static void
a_ledger_made_anew_reads_the_topic_again_and_takes_no_copy(void **state)
{
    struct flow *f = *state;
    struct ls_err err = {0};

    /* what the mirror had: up to number 3, at offset 14 */
    assert_int_equal(ap_ledger_begin(f->ledger, &err), 0);
    assert_int_equal(ap_mirror_restore(f->ledger, LS_STR("taken:a:run:0"),
                                       LS_STR("{\"run\":\"a:run\",\"partition\":0,\"n\":3,"
                                              "\"offset\":14,\"time_us\":9000000000000000}"),
                                       &err),
                     0);
    assert_int_equal(ap_mirror_watch(f->ledger, &err), 0);
    assert_int_equal(ap_ledger_commit(f->ledger, &err), 0);
    come(f, numbered("a:run", 1), 0, 10);
    come(f, numbered("a:run", 2), 0, 11);
    come(f, numbered("a:run", 1), 0, 12); /* copies, refused then as now */
    come(f, numbered("a:run", 2), 0, 13);
    assert_int_equal(TAKEN(f), 2);
    assert_int_equal(REFUSED(f), 2);
    assert_int_equal(number(f, "SELECT n FROM taken"), 3);
    come(f, numbered("a:run", 3), 0, 14);
    come(f, numbered("a:run", 3), 0, 15);
    come(f, numbered("a:run", 4), 0, 16);
    assert_int_equal(TAKEN(f), 4);
    assert_int_equal(REFUSED(f), 3);
    assert_int_equal(number(f, "SELECT offset FROM taken WHERE n = 4"), 16);
    assert_int_equal(number(f, "SELECT count(DISTINCT id) FROM changed WHERE kind = 'taken'"
                               " AND id = 'a:run:0'"),
                     1);
}

static void
runs_are_forgotten_when_their_records_are_stale(void **state)
{
    struct flow *f = *state;

    come(f, numbered("one", 1), 0, 10);
    ap_exec(f->ledger, "UPDATE taken SET time_us = 1", NULL);
    come(f, numbered("one", 2), 0, 11);
    come(f, numbered("two", 1), 0, 12);
    assert_int_equal(number(f, "SELECT count(*) FROM taken"), 2);
    ap_exec(f->ledger, "UPDATE taken SET time_us = 1 WHERE run = 'one'", NULL);
    come(f, numbered("three", 1), 0, 13);
    assert_int_equal(number(f, "SELECT count(*) FROM taken WHERE run = 'one'"), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM taken"), 2);
}

static void
letters_of_people_have_the_keys_of_their_records(void **state)
{
    struct flow *f = *state;
    static const struct {
        const char *key, *kept;
    } keys[] = {{"u:alice", "u:alice"},
                {"m:staff/bob", "m:staff\001bob"},
                {"g:R%26D%2F50%25", "g:R&D/50%"},
                {"q:a%2Fb", "q:a/b"}};
    char text[64];
    int64_t id;

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        assert_true(ap_person_key_read(ls_str_of(keys[i].key), text, sizeof(text)));
        assert_string_equal(text, keys[i].kept);
    }
    assert_false(ap_person_key_read(LS_STR("p:alice"), text, sizeof(text)));
    assert_false(ap_person_key_read(LS_STR("u"), text, sizeof(text)));
    id = number(f, "SELECT id FROM person WHERE key = 'm:staff' || char(1) || 'bob'");
    assert_true(ap_letter_key(f->ledger, (struct ap_key){AP_PERSON, id}, text, sizeof(text)));
    assert_string_equal(text, "m:staff/bob");
    assert_true(ap_letter_key(f->ledger, (struct ap_key){AP_LEFTOVER, 5}, text, sizeof(text)));
    assert_string_equal(text, "n5");
    assert_false(ap_letter_key(f->ledger, (struct ap_key){AP_GRANT, 5}, text, sizeof(text)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(a_dead_letter_retried_after_its_cause_is_gone_is_applied),
        FLOW_TEST(everything_replayed_makes_no_call_and_changes_no_count),
        FLOW_TEST(an_older_record_opens_the_known_state_and_a_newer_one_is_taken),
        FLOW_TEST(a_bracket_that_is_replayed_sweeps_nothing),
        FLOW_TEST(what_is_not_signed_is_refused_and_counted),
        FLOW_TEST(a_dropped_letter_counts_as_left_and_only_the_state_that_it_was_about),
        FLOW_TEST(a_record_that_could_not_be_read_is_taken_when_it_can),
        FLOW_TEST(a_topic_replayed_makes_no_second_letter_of_what_cannot_be_read),
        FLOW_TEST(a_record_of_a_topic_that_there_is_not_is_a_dead_letter_and_no_share),
        FLOW_TEST(a_copy_is_refused_and_no_other_record_of_its_run),
        FLOW_TEST(a_ledger_made_anew_reads_the_topic_again_and_takes_no_copy),
        FLOW_TEST(runs_are_forgotten_when_their_records_are_stale),
        FLOW_TEST(letters_of_people_have_the_keys_of_their_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
