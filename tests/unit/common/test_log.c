/* Log lines are JSON whatever is in them. */
#include "tests/unit/common/unit.h"

#include "common/log.h"
#include "common/utf8.h"
#include <jansson.h>

/* One line, logged and parsed; to be decref'ed. */
static json_t *
parsed(char *text)
{
    json_error_t why;
    json_t *line;

    assert_int_equal(strlen(text) - 1, strchr(text, '\n') - text);
    line = json_loads(text, 0, &why);
    if (!line)
        fail_msg("%s in: %.300s", why.text, text);
    free(text);
    return line;
}

static const char *
text_of(json_t *line, const char *key)
{
    const char *s = json_string_value(json_object_get(line, key));

    assert_non_null(s);
    return s;
}

static void
a_line_is_one_json_object_with_its_facts(void **state)
{
    json_t *line;

    (void)state;
    ls_log_init("lockstep-test", LS_INFO);
    stderr_catch();
    ls_log(LS_INFO, "started", LS_S("version", "1"), LS_I("pid", -7), LS_D("rate", 0.5),
           LS_S("none", NULL));
    line = parsed(stderr_release());
    assert_string_equal(text_of(line, "program"), "lockstep-test");
    assert_string_equal(text_of(line, "level"), "info");
    assert_string_equal(text_of(line, "event"), "started");
    assert_string_equal(text_of(line, "version"), "1");
    assert_int_equal(strlen(text_of(line, "time")), strlen("2026-01-01T00:00:00.000Z"));
    assert_int_equal(json_integer_value(json_object_get(line, "pid")), -7);
    assert_true(json_real_value(json_object_get(line, "rate")) == 0.5);
    assert_true(json_is_null(json_object_get(line, "none")));
    json_decref(line);
}

static void
control_characters_and_quotes_survive(void **state)
{
    const char *evil = "a\"b\\c\nd\te\x01\x1f\x7f/\xc3\xa4\xf0\x9f\x98\x80";
    json_t *line;

    (void)state;
    stderr_catch();
    ls_log(LS_ERROR, "x", LS_S("k", evil));
    line = parsed(stderr_release());
    assert_string_equal(text_of(line, "k"), evil);
    json_decref(line);
}

static void
bytes_that_are_no_utf8_are_replaced(void **state)
{
    json_t *line;

    (void)state;
    stderr_catch();
    ls_log(LS_ERROR, "x",
           LS_S("k", "a\xff"
                     "b\xc3"
                     "c\xed\xa0\x80"
                     "d\xc0\xaf\xf0\x9f\x98"));
    line = parsed(stderr_release());
    assert_string_equal(text_of(line, "k"),
                        "a\xef\xbf\xbd"
                        "b\xef\xbf\xbd"
                        "c\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "d\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(line);
}

static void
a_line_that_is_too_long_is_cut_but_stays_json(void **state)
{
    char *huge = malloc(40000);

    (void)state;
    for (size_t n = 16000; n < 16500; n++) {
        json_t *line;

        memset(huge, n % 2 ? '"' : 'x', n);
        huge[n] = '\0';
        stderr_catch();
        ls_log(LS_ERROR, "x", LS_S("k", huge), LS_I("after", 1));
        line = parsed(stderr_release());
        if (n > 16400)
            assert_true(json_is_true(json_object_get(line, "cut")));
        json_decref(line);
    }
    free(huge);
}

static void
what_is_below_the_level_is_not_written(void **state)
{
    enum ls_log_level level;
    char *text;

    (void)state;
    assert_int_equal(ls_log_level_parse("warn", &level), 0);
    assert_int_equal(level, LS_WARN);
    assert_int_equal(ls_log_level_parse("loud", &level), -1);
    assert_int_equal(level, LS_WARN);
    ls_log_init("t", LS_WARN);
    stderr_catch();
    ls_log(LS_INFO, "quiet");
    text = stderr_release();
    assert_string_equal(text, "");
    free(text);
    ls_log_init("t", LS_INFO);
}

static void
an_error_is_logged_with_kind_cause_and_code(void **state)
{
    struct ls_err err = {0};
    json_t *line;

    (void)state;
    assert_int_equal(ls_fail_cause(&err, LS_ERR_POISON, 4, "share-type", "type %d", 9), -1);
    stderr_catch();
    ls_log_err(LS_WARN, "dead-letter", &err);
    line = parsed(stderr_release());
    assert_string_equal(text_of(line, "kind"), "poison");
    assert_string_equal(text_of(line, "cause"), "share-type");
    assert_string_equal(text_of(line, "message"), "type 9");
    assert_int_equal(json_integer_value(json_object_get(line, "code")), 4);
    json_decref(line);
    /* An error may be replaced by one that quotes it, and NULL is nobody's concern. */
    ls_fail(&err, LS_ERR_FATAL, 1, "again: %s", err.msg);
    assert_string_equal(err.msg, "again: type 9");
    assert_string_equal(err.cause, "other");
    assert_int_equal(ls_fail(NULL, LS_ERR_RETRY, 0, "x"), -1);
}

static void
only_well_formed_utf8_is_valid(void **state)
{
    (void)state;
    assert_true(ls_utf8_valid("", 0));
    assert_true(ls_utf8_valid("\xf4\x8f\xbf\xbf", 4));
    assert_false(ls_utf8_valid("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(ls_utf8_valid("\xed\xa0\x80", 3));     /* a surrogate */
    assert_false(ls_utf8_valid("\xe0\x80\x80", 3));     /* overlong */
    assert_false(ls_utf8_valid("\x80", 1));
    assert_false(ls_utf8_valid("\xc3", 1));
    /* wherever it stands in a longer text, which is looked at by eights */
    for (size_t i = 0; i < 24; i++) {
        char text[25] = "twenty-four bytes of it!";
        assert_true(ls_utf8_valid(text, 24));
        text[i] = '\xff';
        assert_false(ls_utf8_valid(text, 24));
        memcpy(text + (i < 23 ? i : 22), "\xc3\xbc", 2);
        assert_true(ls_utf8_valid(text, 24));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object_with_its_facts),
        cmocka_unit_test(control_characters_and_quotes_survive),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_but_stays_json),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
        cmocka_unit_test(an_error_is_logged_with_kind_cause_and_code),
        cmocka_unit_test(only_well_formed_utf8_is_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
