/*
 * Dead letters: which there are, and what was done with each since.
 */
#include "common/err.h"
#include "common/records.h"
#include "ctl/replay/dlq.h"
#include "ctl/replay/replay.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#define HERE LS_STR("lockstep")

static struct ls_message
a_message(int64_t offset, const char *stage, const char *topic, const char *key, const char *cause)
{
    struct ls_message m = {
        .offset = offset, .key = ls_str_of(key), .value = LS_STR("v"), .n_headers = 4};

    m.headers[0] = (struct ls_header){"stage", ls_str_of(stage)};
    m.headers[1] = (struct ls_header){"topic", ls_str_of(topic)};
    m.headers[2] = (struct ls_header){"cause", ls_str_of(cause)};
    m.headers[3] = (struct ls_header){"partition", LS_STR("3")};
    return m;
}

static void
add(struct letters *letters, const struct ls_message *m)
{
    struct ls_err err = {0};

    assert_int_equal(letters_add(letters, HERE, m, &err), 0);
}

static void
three(struct letters *letters)
{
    struct ls_message a = a_message(1, "apply", "cs3.resource", "44", "content-missing"),
                      b = a_message(4, "transform", "lockstep.oc10.oc_share", "7", "share-type"),
                      c = a_message(6, "apply", "cs3.share", "44", "refused");
    add(letters, &a);
    add(letters, &b);
    add(letters, &c);
}

static void
letters_are_named_by_offset_and_topics_without_prefix(void **state)
{
    struct letters letters = {0};

    (void)state;
    three(&letters);
    assert_int_equal(letters.n, 3);
    assert_int_equal(letters.letter[1].offset, 4);
    assert_string_equal(letters.letter[1].topic, "oc10.oc_share");
    assert_int_equal(letters.letter[1].at_partition, 3);
    assert_int_equal(letters.letter[1].at_offset, -1);
    assert_int_equal(letters.letter[1].state, LETTER_OPEN);
    letters_free(&letters);
}

static void
what_was_done_with_a_letter_is_remembered_and_dropped_is_for_good(void **state)
{
    struct letters letters = {0};
    struct ls_replay retried = {.letter = LS_STR("0/4"), .run = LS_STR("r1"), .time_us = 5},
                     dropped = {.letter = LS_STR("0/6"), .drop = LS_STR("mine"), .run = LS_STR("")},
                     nobody = {.letter = LS_STR("0/5"), .run = LS_STR("")};

    (void)state;
    three(&letters);
    letters_note(&letters, &retried);
    letters_note(&letters, &nobody);
    letters_note(&letters, &dropped);
    dropped.drop = LS_STR_NULL; /* and retried after it */
    letters_note(&letters, &dropped);
    assert_int_equal(letters.letter[0].state, LETTER_OPEN);
    assert_int_equal(letters.letter[1].state, LETTER_RETRIED);
    assert_string_equal(letters.letter[1].run, "r1");
    assert_int_equal(letters.letter[2].state, LETTER_DROPPED);
    assert_string_equal(letters.letter[2].reason, "mine");
    letters_free(&letters);
}

static void
who_dropped_a_letter_when_and_why_is_kept_with_it(void **state)
{
    static const char *const odd[] = {"{\"letter\":\"0/1\"}",
                                      "{\"letter\":1,\"reason\":\"x\"}",
                                      "[]",
                                      "",
                                      "?",
                                      "{\"letter\":\"0/99\",\"reason\":\"of none\"}"};
    struct ls_replay dropped = {.letter = LS_STR("0/4"),
                                .drop = LS_STR("ticket 7, caf\xe9"),
                                .by = LS_STR("root@ops"),
                                .run = LS_STR("r9"),
                                .time_us = 1700000000000000};
    struct letters letters = {0};
    struct ls_message word = a_message(8, "transform", "oc10.oc_share", "7", "");
    char *text = ls_replay_drop_text(&dropped);

    (void)state;
    three(&letters);
    word.headers[word.n_headers++] = (struct ls_header){"state", LS_STR("dropped")};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        word.value = ls_str_of(odd[i]);
        add(&letters, &word);
    }
    word.value = LS_STR_NULL;
    add(&letters, &word);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(letters.letter[i].state, LETTER_OPEN);
    word.value = ls_str_of(text);
    add(&letters, &word);
    assert_int_equal(letters.n, 3); /* it is no letter */
    assert_int_equal(letters.letter[1].state, LETTER_DROPPED);
    assert_string_equal(letters.letter[1].reason, "ticket 7, caf?");
    assert_string_equal(letters.letter[1].by, "root@ops");
    assert_string_equal(letters.letter[1].run, "r9");
    assert_true(letters.letter[1].state_us == 1700000000000000);
    assert_int_equal(letters.letter[0].state, LETTER_OPEN);
    free(text);
    letters_free(&letters);
}

static void
a_later_word_of_apply_about_an_entity_makes_the_earlier_letter_history(void **state)
{
    struct letters letters = {0};
    struct ls_message again = a_message(8, "apply", "cs3.resource", "44", "content-missing"),
                      alive = a_message(9, "apply", "cs3.share", "44", "");

    (void)state;
    three(&letters);
    add(&letters, &again);
    alive.headers[alive.n_headers++] = (struct ls_header){"state", LS_STR("alive")};
    add(&letters, &alive);
    assert_int_equal(letters.n, 4); /* the last one is no letter */
    assert_int_equal(letters.letter[0].state, LETTER_ALIVE);
    assert_int_equal(letters.letter[1].state, LETTER_OPEN);
    assert_int_equal(letters.letter[2].state, LETTER_ALIVE);
    assert_int_equal(letters.letter[3].state, LETTER_OPEN);
    letters_free(&letters);
}

static void
filters_choose(void **state)
{
    struct letters letters = {0};
    struct letter_filter by_stage = {.stage = "apply", .state = -1},
                         by_cause = {.stage = "apply", .cause = "refused", .state = -1},
                         by_state = {.state = LETTER_DROPPED};
    int64_t ids[] = {1, 4};
    struct letter_filter by_id = {.ids = ids, .n_ids = 2, .cause = "share-type", .state = -1};

    (void)state;
    three(&letters);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(letter_matches(&by_stage, &letters.letter[i]), i != 1);
        assert_int_equal(letter_matches(&by_cause, &letters.letter[i]), i == 2);
        assert_false(letter_matches(&by_state, &letters.letter[i]));
        assert_int_equal(letter_matches(&by_id, &letters.letter[i]), i == 1);
    }
    assert_int_equal(letters_absent(&letters, &by_stage), 0);
    letters.letter[1].offset = 4;
    ids[0] = ids[1];
    assert_int_equal(letters_absent(&letters, &by_id), 0); /* named twice */
    ids[0] = 99;
    assert_int_equal(letters_absent(&letters, &by_id), 1);
    letters_free(&letters);
}

static void
a_record_tells_whose_it_is(void **state)
{
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct cs3_share share = {
        .id = 1, .owner = LS_STR("alice"), .creator = LS_STR("bob"), .token = LS_STR("T0ken")};
    struct cs3_resource file = {.storage = 9,
                                .fileid = 44,
                                .moved_from = LS_NO_STORAGE,
                                .moved_to = LS_NO_STORAGE,
                                .tree_mtime = LS_NO_STORAGE};
    struct ls_err err = {0};
    struct ls_buf bytes;
    char user[32];
    int64_t storage;
    json_t *json;

    (void)state;
    ls_buf_init(&bytes, 1 << 16);
    assert_int_equal(cs3_encode(&cs3_share_type_, &share, &bytes, &err), 0);
    json = letter_record_json("cs3.share", (struct ls_str){(char *)bytes.p, bytes.n}, false, arena);
    letter_user("cs3.share", json, user, sizeof user, &storage);
    assert_string_equal(user, "alice");
    assert_string_equal(json_string_value(json_object_get(json, "token")), "*");
    json_decref(json);
    ls_buf_clear(&bytes);
    assert_int_equal(cs3_encode(&cs3_resource_type, &file, &bytes, &err), 0);
    json =
        letter_record_json("cs3.resource", (struct ls_str){(char *)bytes.p, bytes.n}, false, arena);
    letter_user("cs3.resource", json, user, sizeof user, &storage);
    assert_string_equal(user, "");
    assert_int_equal(storage, 9);
    json_decref(json);
    assert_null(letter_record_json("cs3.resource", LS_STR("rubbish"), false, arena));
    assert_null(letter_record_json("position", LS_STR("{}"), false, arena));
    ls_buf_free(&bytes);
    ls_arena_free(arena);
}

static int
parse(struct dlq_args *args, const char **why, int argc, const char *const *words)
{
    char *argv[16];

    assert_true(argc < 15);
    for (int i = 0; i < argc; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    argv[argc] = NULL;
    *why = NULL;
    return ctl_dlq_arguments(argc, argv, args, why);
}
#define PARSE(args, why, ...)                                                                      \
    parse(&(args), &(why), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),          \
          (const char *[]){__VA_ARGS__})

static void
the_words_of_dlq_are_checked(void **state)
{
    struct dlq_args args = {0};
    const char *why;

    (void)state;
    assert_int_equal(PARSE(args, why, "dlq", "list", "--cause", "quota", "--json"), 2);
    assert_string_equal(args.filter.cause, "quota");
    assert_int_equal(args.filter.state, -1);
    assert_int_equal(PARSE(args, why, "dlq", "show", "12", "7", "--secrets"), 1);
    assert_int_equal(args.filter.n_ids, 2);
    assert_true(args.secrets);
    dlq_args_free(&args);
    assert_int_equal(PARSE(args, why, "dlq", "show"), -1);
    assert_int_equal(PARSE(args, why, "dlq"), -1);
    assert_int_equal(PARSE(args, why, "dlq", "list", "--state", "gone"), -1);
    assert_int_equal(PARSE(args, why, "dlq", "list", "--user"), -1);
    assert_int_equal(PARSE(args, why, "dlq", "list", "12x"), -1);
    /* not all of them by mistake, and nothing is given up without a reason */
    assert_int_equal(PARSE(args, why, "dlq", "retry"), -1);
    assert_int_equal(PARSE(args, why, "dlq", "retry", "--all"), 1);
    assert_int_equal(PARSE(args, why, "dlq", "drop", "--cause", "name", "--yes"), -1);
    assert_int_equal(PARSE(args, why, "dlq", "drop", "--cause", "name", "--reason", "odd"), 1);
    assert_string_equal(args.reason, "odd");
}

static void
letters_without_their_bytes_are_not_retried(void **state)
{
    struct letters letters = {0};
    struct ls_message capture = a_message(8, "capture", "lockstep.oc10.oc_share", "7", "too-large");

    (void)state;
    three(&letters);
    add(&letters, &capture);
    letters.letter[0].bytes = 0; /* about an entity: apply knows it */
    assert_true(dlq_can_retry(&letters.letter[0]));
    assert_true(dlq_can_retry(&letters.letter[1]));
    letters.letter[1].bytes = 0;
    assert_false(dlq_can_retry(&letters.letter[1]));
    assert_false(dlq_can_retry(&letters.letter[3]));
    letters.letter[2].bytes = 0;
    letters.letter[2].at_offset = 12; /* a record that could not be read */
    assert_false(dlq_can_retry(&letters.letter[2]));
    letters_free(&letters);
}

static void
a_range_is_of_offsets_or_of_times(void **state)
{
    struct replay_bound b;

    (void)state;
    assert_true(replay_bound_parse("17", &b));
    assert_int_equal(b.offset, 17);
    assert_int_equal(b.ms, -1);
    assert_true(replay_bound_parse("2026-11-22T10:00:00Z", &b));
    assert_int_equal(b.offset, -1);
    assert_int_equal(b.ms, 1795341600000);
    assert_true(replay_bound_parse("2026-11-22", &b));
    assert_int_equal(b.ms, 1795305600000);
    assert_false(replay_bound_parse("", &b));
    assert_false(replay_bound_parse("-1", &b));
    assert_false(replay_bound_parse("yesterday", &b));
    assert_false(replay_bound_parse("2026-11-22T10", &b));
}

static void
a_range_holds_its_first_and_not_its_last_and_no_brackets(void **state)
{
    struct replay_args args = {.from = {.offset = 5, .ms = -1}, .to = {.offset = 7, .ms = -1}};
    struct ls_message m = {.key = LS_STR("44"), .timestamp_ms = 1000};
    struct replay_seen seen = {0};

    (void)state;
    for (m.offset = 3; m.offset < 9; m.offset++)
        assert_int_equal(replay_in_range(&args, &m, &seen), m.offset == 5 || m.offset == 6);
    m.offset = 5;
    args.entity = "45";
    assert_false(replay_in_range(&args, &m, &seen));
    args.entity = NULL;
    args.to = (struct replay_bound){.offset = -1, .ms = 1000};
    assert_false(replay_in_range(&args, &m, &seen));
    args.to.ms = 1001;
    assert_true(replay_in_range(&args, &m, &seen));
    m.key = LS_STR("!heartbeat");
    assert_false(replay_in_range(&args, &m, &seen));
}

static int
parse_replay(struct replay_args *args, int argc, const char *const *words)
{
    const char *why = NULL;
    char *argv[16];

    assert_true(argc < 15);
    for (int i = 0; i < argc; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    argv[argc] = NULL;
    return ctl_replay_arguments(argc, argv, args, &why);
}
#define REPLAY(args, ...)                                                                          \
    parse_replay(&(args), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),           \
                 (const char *[]){__VA_ARGS__})

static void
the_words_of_replay_are_checked(void **state)
{
    struct replay_args args;

    (void)state;
    assert_int_equal(REPLAY(args, "replay", "--topic", "cs3.share", "--rate=9", "--json"), 2);
    assert_int_equal(args.rate, 9);
    assert_false(args.dry_run);
    assert_int_equal(REPLAY(args, "replay"), -1);
    assert_int_equal(REPLAY(args, "replay", "--topic", "position"), -1);
    assert_int_equal(REPLAY(args, "replay", "--topic", "cs3.share", "--rate", "0"), -1);
    assert_int_equal(REPLAY(args, "replay", "--topic", "cs3.share", "--from", "then"), -1);
    assert_int_equal(REPLAY(args, "replay", "--topic", "cs3.share", "--user"), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_named_by_offset_and_topics_without_prefix),
        cmocka_unit_test(what_was_done_with_a_letter_is_remembered_and_dropped_is_for_good),
        cmocka_unit_test(who_dropped_a_letter_when_and_why_is_kept_with_it),
        cmocka_unit_test(a_later_word_of_apply_about_an_entity_makes_the_earlier_letter_history),
        cmocka_unit_test(filters_choose),
        cmocka_unit_test(a_record_tells_whose_it_is),
        cmocka_unit_test(the_words_of_dlq_are_checked),
        cmocka_unit_test(letters_without_their_bytes_are_not_retried),
        cmocka_unit_test(a_range_is_of_offsets_or_of_times),
        cmocka_unit_test(a_range_holds_its_first_and_not_its_last_and_no_brackets),
        cmocka_unit_test(the_words_of_replay_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
