/*
 * Whose a record is, while not every record can be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include "common/records.h"
#include "common/schema.h"
#include "ctl/replay/replay.h"
#include "ctl/replay/whose.h"
#include <cmocka.h>
#include <string.h>

/* As a registry frames it: a schema of the number 7, which is asked for. */
#define FRAMED ((struct ls_str){"\0\0\0\0\7....", 9})

static bool away;

static int
fetch(void *arg, uint32_t id, char **ret_json, struct ls_err *err)
{
    (void)arg;
    (void)id;
    *ret_json = NULL;
    return away ? ls_fail_cause(err, LS_ERR_RETRY, 503, "registry", "the registry is away") : 0;
}

static struct ls_buf
encoded(const struct cs3_type *type, const void *record)
{
    struct ls_err err = {0};
    struct ls_buf bytes;

    ls_buf_init(&bytes, 1 << 16);
    assert_int_equal(cs3_encode(type, record, &bytes, &err), 0);
    return bytes;
}

static void
a_record_is_its_owners_or_that_of_the_storage_it_is_in(void **state)
{
    struct cs3_space space = {.storage = 9, .owner = LS_STR("alice")};
    struct cs3_resource file = {.storage = 9,
                                .fileid = 44,
                                .moved_from = LS_NO_STORAGE,
                                .moved_to = LS_NO_STORAGE,
                                .tree_mtime = LS_NO_STORAGE};
    struct ls_buf bytes[2] = {encoded(&cs3_space_type_, &space),
                              encoded(&cs3_resource_type, &file)};
    struct ls_message message = {.value = {(char *)bytes[0].p, bytes[0].n}};
    struct whose *whose = NULL;
    struct ls_err err = {0};
    char user[64];

    (void)state;
    assert_int_equal(whose_empty(&whose, &err), 0);
    assert_int_equal(whose_take(whose, &message, &err), 0);
    assert_int_equal(whose_record(whose, "cs3.resource", LS_STR("44"),
                                  (struct ls_str){(char *)bytes[1].p, bytes[1].n}, user,
                                  sizeof user, &err),
                     0);
    assert_string_equal(user, "alice");
    assert_int_equal(whose_unread(whose), 0);
    whose_free(whose);
    ls_buf_free(&bytes[0]);
    ls_buf_free(&bytes[1]);
}

static void
while_the_registry_is_away_nothing_is_anybodys_in_silence(void **state)
{
    struct ls_message space = {.value = FRAMED};
    struct whose *whose = NULL;
    struct ls_err err = {0};
    char user[64];

    (void)state;
    away = true;
    schema_set_fetcher(fetch, NULL);
    assert_int_equal(whose_empty(&whose, &err), 0);
    assert_int_equal(whose_take(whose, &space, &err), -1);
    assert_string_equal(err.cause, "registry");
    assert_int_equal(err.kind, LS_ERR_RETRY);
    err = (struct ls_err){0};
    assert_int_equal(
        whose_record(whose, "cs3.resource", LS_STR("44"), FRAMED, user, sizeof user, &err), -1);
    assert_non_null(strstr(err.msg, "whose a record of cs3.resource is cannot be told"));
    /* a deletion has no value to be read */
    assert_int_equal(
        whose_record(whose, "cs3.resource", LS_STR("44"), LS_STR_NULL, user, sizeof user, &err), 0);
    assert_int_equal(whose_unread(whose), 0);
    whose_free(whose);
    schema_set_fetcher(NULL, NULL);
}

static void
what_nobody_can_ever_read_is_counted(void **state)
{
    struct ls_message space = {.value = FRAMED};
    struct whose *whose = NULL;
    struct ls_err err = {0};
    char user[64] = "x";

    (void)state;
    away = false;
    schema_set_fetcher(fetch, NULL);
    assert_int_equal(whose_empty(&whose, &err), 0);
    assert_int_equal(whose_take(whose, &space, &err), 0);
    assert_int_equal(whose_record(whose, "cs3.resource", LS_STR("44"), LS_STR("rubbish"), user,
                                  sizeof user, &err),
                     0);
    assert_string_equal(user, "");
    assert_int_equal(whose_unread(whose), 2);
    whose_free(whose);
    schema_set_fetcher(NULL, NULL);
}

static void
an_error_says_what_was_not_sent(void **state)
{
    struct replay_done done = {.sent = 12};
    struct ls_err err = {0};

    (void)state;
    ls_fail_cause(&err, LS_ERR_RETRY, 503, "registry", "the registry is away");
    replay_unsent("cs3.resource and cs3.share", &done, &err);
    assert_string_equal(err.msg,
                        "the registry is away; 12 records went out before that, the others "
                        "of cs3.resource and cs3.share did not");
    assert_string_equal(err.cause, "registry");
    assert_int_equal(err.kind, LS_ERR_RETRY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_its_owners_or_that_of_the_storage_it_is_in),
        cmocka_unit_test(while_the_registry_is_away_nothing_is_anybodys_in_silence),
        cmocka_unit_test(what_nobody_can_ever_read_is_counted),
        cmocka_unit_test(an_error_says_what_was_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
