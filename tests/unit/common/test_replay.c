/* Records sent again: signed as a whole, and masked when they are shown. */
#include "tests/unit/common/unit.h"

#include "common/records_json.h"
#include "common/replay.h"

#define KEY LS_STR("0123456789abcdef0123456789abcdef")
#define HERE LS_STR("lockstep")
#define NOW 1800000000000000LL

static struct ls_replay
a_record(void)
{
    return (struct ls_replay){.topic = LS_STR("cs3.share"),
                              .key = LS_STR("7"),
                              .value = LS_STR("bytes"),
                              .seq = LS_STR("1.22.0"),
                              .run = LS_STR("0123456789"),
                              .n = 17,
                              .partition = 3,
                              .by = LS_STR("root@host"),
                              .letter = LS_STR("0/12"),
                              .reconcile = true,
                              .time_us = NOW};
}

/* The message that a reader would get; `s` must live as long. */
static struct ls_message
a_message(const struct ls_replay *r, struct ls_replay_signed *s)
{
    struct ls_message m = {
        .topic = "lockstep.replay", .partition = r->partition, .key = r->key, .value = r->value};
    struct ls_err err = {0};

    ok(ls_replay_sign(KEY, HERE, r, s, &err));
    memcpy(m.headers, s->headers, s->n * sizeof(*s->headers));
    m.n_headers = s->n;
    return m;
}

static void
what_was_signed_is_read_back(void **state)
{
    struct ls_replay r = a_record(), back;
    struct ls_replay_signed s;
    struct ls_message m = a_message(&r, &s);
    struct ls_err err = {0};

    (void)state;
    ok(ls_replay_read(KEY, HERE, &m, NOW, 300, &back, &err));
    assert_true(ls_str_is(back.topic, "cs3.share"));
    assert_true(ls_str_is(back.key, "7"));
    assert_true(ls_str_is(back.value, "bytes"));
    assert_true(ls_str_is(back.seq, "1.22.0"));
    assert_true(ls_str_is(back.letter, "0/12"));
    assert_true(back.reconcile);
    assert_true(ls_str_is(back.run, "0123456789"));
    assert_true(ls_str_is(back.by, "root@host"));
    assert_int_equal(back.n, 17);
    assert_int_equal(back.partition, 3);
    assert_int_equal(back.drop.n, 0);
    assert_int_equal(back.time_us, NOW);
}

static void
assert_refused(struct ls_message *m, struct ls_str key, struct ls_str prefix, int64_t now,
               const char *cause)
{
    struct ls_err err = {0};
    struct ls_replay back;

    assert_int_equal(ls_replay_read(key, prefix, m, now, 300, &back, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, cause);
}

static void
whatever_is_changed_breaks_the_signature(void **state)
{
    struct ls_replay r = a_record();
    struct ls_replay_signed s;
    struct ls_message m = a_message(&r, &s), changed;

    (void)state;
    for (size_t i = 0; i < m.n_headers; i++) {
        changed = m;
        changed.headers[i].value = LS_STR("1800000000000001");
        assert_refused(&changed, KEY, HERE, NOW, "wrong-signature");
        changed = m; /* left out */
        changed.headers[i].name = "other";
        assert_refused(&changed, KEY, HERE, NOW,
                       strcmp(m.headers[i].name, "mac") ? "wrong-signature" : "unsigned");
    }
    changed = m;
    changed.key = LS_STR("8");
    assert_refused(&changed, KEY, HERE, NOW, "wrong-signature");
    changed = m;
    changed.value = LS_STR("other");
    assert_refused(&changed, KEY, HERE, NOW, "wrong-signature");
    assert_refused(&m, LS_STR("another key of 32 characters ..."), HERE, NOW, "wrong-signature");
    assert_refused(&m, KEY, LS_STR("elsewhere"), NOW, "wrong-signature");
    changed = m;
    changed.partition = 4;
    assert_refused(&changed, KEY, HERE, NOW, "wrong-signature");
}

static void
text_does_not_wander_between_headers_under_one_signature(void **state)
{
    struct ls_replay a = a_record(), b = a_record();
    struct ls_replay_signed sa, sb;

    (void)state;
    a.run = LS_STR("ab");
    a.letter = LS_STR("c");
    b.run = LS_STR("a");
    b.letter = LS_STR("bc");
    a_message(&a, &sa);
    a_message(&b, &sb);
    assert_string_not_equal(sa.mac, sb.mac);
}

static void
a_record_is_good_for_as_long_as_the_topic_keeps_it(void **state)
{
    struct ls_replay r = a_record(), back;
    struct ls_replay_signed s;
    struct ls_message m = a_message(&r, &s);
    struct ls_err err = {0};

    (void)state;
    ok(ls_replay_read(KEY, HERE, &m, NOW + 13LL * 86400 * 1000000, 300, &back, &err));
    assert_refused(&m, KEY, HERE, NOW + 15LL * 86400 * 1000000, "stale");
    assert_refused(&m, KEY, HERE, NOW - 301 * 1000000LL, "stale");
}

static void
a_signed_record_that_says_nothing_is_malformed(void **state)
{
    struct ls_replay r = a_record();
    struct ls_replay_signed s;
    struct ls_message m;

    (void)state;
    r.topic = LS_STR("");
    m = a_message(&r, &s);
    assert_refused(&m, KEY, HERE, NOW, "malformed-replay");
    r = a_record();
    r.run = LS_STR_NULL;
    m = a_message(&r, &s);
    assert_refused(&m, KEY, HERE, NOW, "malformed-replay");
    for (int i = 0; i < 3; i++) {
        r = a_record();
        r.n = (const int64_t[]){0, -1, INT64_MAX}[i];
        m = a_message(&r, &s);
        assert_refused(&m, KEY, HERE, NOW, "malformed-replay");
    }
    r = a_record();
    r.seq = LS_STR("yesterday");
    m = a_message(&r, &s);
    assert_refused(&m, KEY, HERE, NOW, "malformed-replay");
}

static void
topics_lose_the_prefix_and_nothing_else(void **state)
{
    (void)state;
    assert_true(ls_str_is(ls_topic_short(HERE, LS_STR("lockstep.dlq")), "dlq"));
    assert_true(ls_str_is(ls_topic_short(HERE, LS_STR("dlq")), "dlq"));
    assert_true(ls_str_is(ls_topic_short(HERE, LS_STR("lockstep2.dlq")), "lockstep2.dlq"));
    assert_true(ls_str_is(ls_topic_short(HERE, LS_STR("lockstep.")), "lockstep."));
}

/* ---- shown */

static const char *
text_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void
a_share_is_shown_without_its_secrets(void **state)
{
    struct cs3_share share = {.id = 7,
                              .type = CS3_SHARE_LINK,
                              .owner = LS_STR("alice"),
                              .token = LS_STR("T0ken"),
                              .password_hash = LS_STR("$2y$10$abc"),
                              .label = LS_STR("\xff")};
    json_t *shown = cs3_json(&cs3_share_type_, &share, false),
           *whole = cs3_json(&cs3_share_type_, &share, true);

    (void)state;
    assert_string_equal(text_at(shown, "owner"), "alice");
    assert_string_equal(text_at(shown, "type"), "LINK");
    assert_string_equal(text_at(shown, "token"), LS_MASKED);
    assert_string_equal(text_at(shown, "password_hash"), LS_MASKED);
    assert_true(json_is_null(json_object_get(shown, "shared_secret")));
    assert_string_equal(text_at(shown, "label"), "(1 bytes that are no UTF-8)");
    assert_string_equal(text_at(whole, "token"), "T0ken");
    json_decref(shown);
    json_decref(whole);
}

static json_t *
shown_share(int64_t type)
{
    struct ls_envelope e = {.op = LS_OP_CREATE, .table = &ls_tables[LS_T_SHARE], .has_after = true};

    e.after[SH_ID] = (struct ls_value){.kind = LS_V_INT, .i = 3};
    e.after[SH_SHARE_TYPE] = (struct ls_value){.kind = LS_V_INT, .i = type};
    e.after[SH_SHARE_WITH] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("who or what")};
    e.after[SH_TOKEN] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("T0ken")};
    return ls_envelope_json(&e, false);
}

static void
of_a_row_a_link_hides_what_another_share_shows(void **state)
{
    json_t *link = shown_share(3), *user = shown_share(0);

    (void)state;
    assert_string_equal(text_at(json_object_get(link, "after"), "share_with"), LS_MASKED);
    assert_string_equal(text_at(json_object_get(link, "after"), "token"), LS_MASKED);
    assert_string_equal(text_at(json_object_get(user, "after"), "share_with"), "who or what");
    assert_null(json_object_get(user, "before"));
    json_decref(link);
    json_decref(user);
}

static void
of_a_row_credentials_are_hidden(void **state)
{
    struct ls_envelope e = {
        .op = LS_OP_DELETE, .table = &ls_tables[LS_T_USERS], .has_before = true};
    json_t *shown;

    (void)state;
    e.before[US_UID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("alice")};
    e.before[US_PASSWORD] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("1|$2y$10$x")};
    shown = ls_envelope_json(&e, false);
    assert_string_equal(text_at(json_object_get(shown, "before"), "uid"), "alice");
    assert_string_equal(text_at(json_object_get(shown, "before"), "password"), LS_MASKED);
    json_decref(shown);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_signed_is_read_back),
        cmocka_unit_test(whatever_is_changed_breaks_the_signature),
        cmocka_unit_test(text_does_not_wander_between_headers_under_one_signature),
        cmocka_unit_test(a_record_is_good_for_as_long_as_the_topic_keeps_it),
        cmocka_unit_test(a_signed_record_that_says_nothing_is_malformed),
        cmocka_unit_test(topics_lose_the_prefix_and_nothing_else),
        cmocka_unit_test(a_share_is_shown_without_its_secrets),
        cmocka_unit_test(of_a_row_a_link_hides_what_another_share_shows),
        cmocka_unit_test(of_a_row_credentials_are_hidden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
