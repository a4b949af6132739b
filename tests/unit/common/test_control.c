/* Commands: signed, fresh, once. */
#include "tests/unit/common/unit.h"

#include "common/control.h"
#include "common/run.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define KEY LS_STR("0123456789abcdef0123456789abcdef")
#define HERE LS_STR("lockstep")
#define MINUTE 60000000LL

static struct ls_command
a_command(int64_t issued_us, const char *id)
{
    struct ls_err err = {0};
    struct ls_command c;

    ok(ls_command_new("capture", "snapshot-start", json_pack("{s:b}", "all", 1), &c, &err));
    c.issued_us = issued_us;
    if (id)
        snprintf(c.id, sizeof(c.id), "%s", id);
    return c;
}

static void
what_was_written_is_read_back(void **state)
{
    struct ls_command c = a_command(77, NULL), back = {0};
    struct ls_err err = {0};
    char *value, signature[LS_CONTROL_HEX];

    (void)state;
    ok(ls_control_write(KEY, HERE, &c, &value, signature, &err));
    struct ls_str header = ls_str_of(signature);
    ok(ls_control_read(KEY, HERE, ls_str_of(value), &header, &back, &err));
    assert_string_equal(back.id, c.id);
    assert_string_equal(back.stage, "capture");
    assert_string_equal(back.name, "snapshot-start");
    assert_int_equal(back.issued_us, 77);
    assert_true(json_is_true(json_object_get(back.args, "all")));
    ls_command_free(&back);
    ls_command_free(&c);
    free(value);
}

static void
the_signature_is_the_standard_one(void **state)
{
    /* RFC 4231, case 2, made by the same function through a value that is no command */
    struct ls_str header =
        LS_STR("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    struct ls_command c;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ls_control_read(LS_STR("Jefe"), LS_STR("what"),
                                     LS_STR("do ya want for nothing?"), &header, &c, &err),
                     -1);
    assert_string_equal(err.cause, "malformed-command"); /* so the signature was right */
}

static void
two_commands_have_two_ids(void **state)
{
    struct ls_command a = a_command(1, NULL), b = a_command(1, NULL);

    (void)state;
    assert_string_not_equal(a.id, b.id);
    ls_command_free(&a);
    ls_command_free(&b);
}

static void
assert_refused(struct ls_str key, struct ls_str value, const struct ls_str *signature,
               const char *cause)
{
    struct ls_command c = {.issued_us = 5};
    struct ls_err err = {0};

    assert_int_equal(ls_control_read(key, HERE, value, signature, &c, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, cause);
    assert_int_equal(c.issued_us, 5); /* outputs are untouched on failure */
}

static void
a_command_that_is_not_signed_with_the_key_is_refused(void **state)
{
    struct ls_command c = a_command(1, NULL);
    struct ls_err err = {0};
    char *value, signature[LS_CONTROL_HEX];

    (void)state;
    ok(ls_control_write(KEY, HERE, &c, &value, signature, &err));
    struct ls_str header = ls_str_of(signature), empty = LS_STR(""), none = LS_STR_NULL;
    struct ls_str cut = {signature, LS_CONTROL_HEX - 2};
    struct ls_str text = ls_str_of(value);
    assert_refused(KEY, text, NULL, "unsigned");
    assert_refused(KEY, text, &empty, "unsigned");
    assert_refused(KEY, text, &none, "unsigned");
    assert_refused(KEY, text, &cut, "wrong-signature");
    assert_refused(LS_STR("another key that is long enough, too"), text, &header,
                   "wrong-signature");
    assert_refused(KEY, (struct ls_str){value, text.n - 1}, &header, "wrong-signature");
    assert_refused(KEY, LS_STR_NULL, &header, "wrong-signature");
    value[text.n / 2] ^= 1;
    assert_refused(KEY, text, &header, "wrong-signature");
    signature[0] = signature[0] == 'f' ? 'e' : 'f';
    value[text.n / 2] ^= 1;
    assert_refused(KEY, text, &header, "wrong-signature");
    ls_command_free(&c);
    free(value);
}

static void
a_command_for_another_prefix_is_refused(void **state)
{
    struct ls_command c = a_command(1, NULL), back = {0};
    struct ls_err err = {0};
    char *value, signature[LS_CONTROL_HEX];

    (void)state;
    ok(ls_control_write(KEY, LS_STR("berlin"), &c, &value, signature, &err));
    struct ls_str header = ls_str_of(signature);
    assert_refused(KEY, ls_str_of(value), &header, "wrong-signature");
    ok(ls_control_read(KEY, LS_STR("berlin"), ls_str_of(value), &header, &back, &err));
    ls_command_free(&back);
    ls_command_free(&c);
    free(value);
}

/* Signed by whoever holds the key, with a program that has a mistake. */
static void
assert_malformed(const char *text)
{
    uint8_t mac[32];
    char hex[LS_CONTROL_HEX];
    struct ls_str header = {hex, LS_CONTROL_HEX - 1};
    char whole[300];
    int n = snprintf(whole, sizeof(whole), "lockstep %s", text);

    assert_non_null(
        HMAC(EVP_sha256(), KEY.p, (int)KEY.n, (const uint8_t *)whole, (size_t)n, mac, NULL));
    for (size_t i = 0; i < sizeof(mac); i++)
        snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    assert_refused(KEY, ls_str_of(text), &header, "malformed-command");
}

static void
a_signed_command_that_is_not_whole_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "not json",
        "[]",
        "{'id':'12345678','stage':'capture','command':'x','args':{}}",
        "{'id':'12345678','stage':'capture','command':'x','args':{},'issued_us':0}",
        "{'id':'12345678','stage':'capture','command':'x','args':{},'issued_us':'1'}",
        "{'id':'12345678','stage':'capture','command':'x','args':[],'issued_us':1}",
        "{'id':'12345678','stage':'capture','command':'','args':{},'issued_us':1}",
        "{'id':'12345678','stage':7,'command':'x','args':{},'issued_us':1}",
        "{'id':'1234567','stage':'capture','command':'x','args':{},'issued_us':1}",
        "{'id':'1234/678','stage':'capture','command':'x','args':{},'issued_us':1}",
        "{'id':'12345678','id':'87654321','stage':'c','command':'x','args':{},'issued_us':1}",
        "{'id':'12345678','stage':'capture','command':'a name of more than thirty-one letters',"
        "'args':{},'issued_us':1}",
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        size_t n = strlen(texts[i]);
        for (size_t k = 0; k <= n; k++)
            text[k] = texts[i][k] == '\'' ? '"' : texts[i][k];
        assert_malformed(text);
    }
}

static void
a_command_larger_than_64_kib_cannot_be_written(void **state)
{
    struct ls_command c = a_command(1, NULL);
    char *text = calloc(1, (64 << 10) + 1), *value, signature[LS_CONTROL_HEX];
    struct ls_err err = {0};

    (void)state;
    memset(text, 'x', 64 << 10);
    json_object_set_new(c.args, "users", json_string(text));
    assert_int_equal(ls_control_write(KEY, HERE, &c, &value, signature, &err), -1);
    assert_string_equal(err.cause, "malformed-command");
    ls_command_free(&c);
    free(text);
}

static const char *
refusal(const struct ls_control_seen *seen, const struct ls_command *c, int64_t now_us)
{
    static struct ls_err err;

    memset(&err, 0, sizeof(err));
    return ls_control_check(seen, c, now_us, 300, &err) < 0 ? err.cause : "";
}

static void
a_command_is_stale_after_its_time_and_before_it(void **state)
{
    struct ls_control_seen seen = {0};
    int64_t at = 1000 * MINUTE;
    struct ls_command c = a_command(at, NULL);

    (void)state;
    assert_string_equal(refusal(&seen, &c, at), "");
    assert_string_equal(refusal(&seen, &c, at + 5 * MINUTE), "");
    assert_string_equal(refusal(&seen, &c, at + 5 * MINUTE + 1), "stale");
    assert_string_equal(refusal(&seen, &c, at - 5 * MINUTE), "");
    assert_string_equal(refusal(&seen, &c, at - 5 * MINUTE - 1), "stale");
    ls_command_free(&c);
}

static void
a_command_is_taken_once_also_when_it_was_forgotten(void **state)
{
    struct ls_control_seen seen = {0};
    int64_t at = 1000 * MINUTE;
    struct ls_command c = a_command(at, NULL), later = a_command(at + 1, NULL);

    (void)state;
    ls_control_note(&seen, &c);
    assert_string_equal(refusal(&seen, &c, at), "repeated");
    ls_control_forget(&seen, at + 5 * MINUTE, 300);
    assert_int_equal(seen.n, 1);
    ls_control_forget(&seen, at + 5 * MINUTE + 1, 300);
    assert_int_equal(seen.n, 0);
    /* also by a clock that was set back */
    assert_string_equal(refusal(&seen, &c, at), "repeated");
    assert_string_equal(refusal(&seen, &later, at), "");
    ls_command_free(&c);
    ls_command_free(&later);
}

static void
more_commands_than_ids_are_kept_let_no_repeat_through(void **state)
{
    struct ls_control_seen seen = {0};
    struct ls_command first = a_command(100 * MINUTE, NULL);

    (void)state;
    ls_control_note(&seen, &first);
    for (int i = 1; i <= LS_CONTROL_SEEN; i++) {
        struct ls_command c = a_command(100 * MINUTE + i, NULL);
        ls_control_note(&seen, &c);
        ls_command_free(&c);
    }
    assert_int_equal(seen.n, LS_CONTROL_SEEN);
    assert_string_equal(refusal(&seen, &first, 100 * MINUTE), "repeated");
    ls_command_free(&first);
}

static void
the_ids_stand_in_json_and_come_back(void **state)
{
    struct ls_control_seen seen = {.floor_us = 9}, back = {0};
    struct ls_command c = a_command(100, NULL);
    json_t *json, *bad;

    (void)state;
    ls_control_note(&seen, &c);
    json = ls_control_seen_json(&seen);
    assert_int_equal(ls_control_seen_parse(json, &back), 0);
    assert_int_equal(back.n, 1);
    assert_int_equal(back.floor_us, 9);
    assert_string_equal(back.taken[0].id, c.id);
    assert_int_equal(back.taken[0].issued_us, 100);
    bad = json_pack("{s:{s:s}}", "ids", "12345678", "soon");
    assert_int_equal(ls_control_seen_parse(bad, &back), -1);
    assert_int_equal(ls_control_seen_parse(NULL, &back), -1);
    assert_int_equal(back.n, 1);
    json_decref(bad);
    json_decref(json);
    ls_command_free(&c);
}

static void
a_short_key_is_refused_and_none_means_off(void **state)
{
    char short_text[] = "control.key=too short",
         long_text[] = "control.key=0123456789abcdef0123456789abcdef";
    char *short_key[] = {short_text}, *long_key[] = {long_text};
    struct ls_config *config;
    struct ls_str key = LS_STR("untouched");
    struct ls_err err = {0};

    (void)state;
    ok(ls_config_load(NULL, short_key, 1, &config, &err));
    assert_int_equal(ls_control_key(config, &key, &err), -1);
    assert_string_equal(err.cause, "control-key");
    assert_true(ls_str_is(key, "untouched"));
    ls_config_free(config);
    ok(ls_config_load(NULL, NULL, 0, &config, &err));
    ok(ls_control_key(config, &key, &err));
    assert_null(key.p);
    ls_config_free(config);
    ok(ls_config_load(NULL, long_key, 1, &config, &err));
    ok(ls_control_key(config, &key, &err));
    assert_int_equal(key.n, 32);
    ls_config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(the_signature_is_the_standard_one),
        cmocka_unit_test(two_commands_have_two_ids),
        cmocka_unit_test(a_command_that_is_not_signed_with_the_key_is_refused),
        cmocka_unit_test(a_command_for_another_prefix_is_refused),
        cmocka_unit_test(a_signed_command_that_is_not_whole_is_refused),
        cmocka_unit_test(a_command_larger_than_64_kib_cannot_be_written),
        cmocka_unit_test(a_command_is_stale_after_its_time_and_before_it),
        cmocka_unit_test(a_command_is_taken_once_also_when_it_was_forgotten),
        cmocka_unit_test(more_commands_than_ids_are_kept_let_no_repeat_through),
        cmocka_unit_test(the_ids_stand_in_json_and_come_back),
        cmocka_unit_test(a_short_key_is_refused_and_none_means_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
