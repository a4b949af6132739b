/*
 * The registry's client against a server that answers as it is told: what a real one never says.
 * (A real one is in tests/scenarios/kafka.)
 */
#include "tests/unit/common/unit.h"

#include "common/arena.h"
#include "common/log.h"
#include "common/records.h"
#include "common/registry.h"
#include "common/run.h"
#include "common/schema.h"
#include <microhttpd.h>

struct answer {
    unsigned status;
    const char *text;
};
static struct MHD_Daemon *server;
static int port;
static struct answer lookup, registered, fetched; /* what is answered to which question */
static struct answer fetched_from_a;              /* below /a */
static struct answer compatible;
static int n_lookups, n_registered, n_fetched;
static char authorization[100], last_path[300];

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *body, size_t *n_body, void **state)
{
    static int seen;
    const struct answer *answer = &lookup;
    const char *sign_in;
    struct MHD_Response *response;
    enum MHD_Result r;

    (void)arg, (void)version, (void)body;
    if (*state != &seen) {
        *state = &seen;
        return MHD_YES;
    }
    if (*n_body > 0) {
        *n_body = 0;
        return MHD_YES;
    }
    sign_in = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    snprintf(authorization, sizeof(authorization), "%s", sign_in ? sign_in : "");
    snprintf(last_path, sizeof(last_path), "%s", url);
    if (strcmp(method, "GET") == 0) {
        answer = strncmp(url, "/a/", 3) == 0 ? &fetched_from_a : &fetched;
        n_fetched++;
    } else if (strncmp(url, "/compatibility/", 15) == 0) {
        answer = &compatible;
    } else if (strstr(url, "/versions")) {
        answer = &registered;
        n_registered++;
    } else {
        n_lookups++;
    }
    response = MHD_create_response_from_buffer(strlen(answer->text), (void *)answer->text,
                                               MHD_RESPMEM_MUST_COPY);
    if (answer->status / 100 == 3)
        MHD_add_response_header(response, "Location", "http://127.0.0.1:1/elsewhere");
    r = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return r;
}

static int
server_start(void **state)
{
    (void)state;
    ls_log_init("test", LS_ERROR);
    server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL,
                              on_request, NULL, MHD_OPTION_END);
    if (!server)
        return -1;
    port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    return 0;
}

static int
server_stop(void **state)
{
    (void)state;
    MHD_stop_daemon(server);
    return 0;
}

/* `urls`: %d is the server's port, up to twice. */
static struct ls_config *
config_with(const char *urls)
{
    char url[300], set[320];
    const char *sets[] = {set, "lockstep.prefix=p", "registry.user=me", "registry.password=secret",
                          "registry.timeout_ms=5000"};
    struct ls_config *config;
    struct ls_err err = {0};

    n_lookups = n_registered = n_fetched = 0;
    snprintf(url, sizeof(url), urls, port, port);
    snprintf(set, sizeof(set), "registry.url=%s", url);
    ok(ls_config_load(NULL, (char *const *)sets, 5, &config, &err));
    return config;
}

/* Registers with these answers; fails as described. */
static void
fails(struct answer first, struct answer second, enum ls_err_kind kind, const char *cause,
      const char *part)
{
    struct ls_config *config = config_with("http://127.0.0.1:%d");
    struct ls_err err = {0};

    lookup = first;
    registered = second;
    assert_int_equal(ls_registry_register(config, "cs3/", &err), -1);
    assert_int_equal(err.kind, kind);
    assert_string_equal(err.cause, cause);
    if (!strstr(err.msg, part))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
    assert_null(strstr(err.msg, "secret"));
    assert_int_equal(schema_head_of("cs3/share")->n, 10);
    ls_config_free(config);
}

static const struct answer unknown = {404, "{\"error_code\":40401,\"message\":\"not found\"}"};

static void
answers_that_are_none_are_clear_and_tried_again(void **state)
{
    (void)state;
    fails((struct answer){200, "<html>hello</html>"}, unknown, LS_ERR_RETRY, "registry",
          "no JSON object");
    fails((struct answer){200, "[1]"}, unknown, LS_ERR_RETRY, "registry", "no JSON object");
    fails((struct answer){200, ""}, unknown, LS_ERR_RETRY, "registry", "no JSON object");
    fails((struct answer){200, "{\"version\":1}"}, unknown, LS_ERR_RETRY, "registry",
          "p.cs3.annotation-value holds no id");
    fails((struct answer){200, "{\"id\":\"1\"}"}, unknown, LS_ERR_RETRY, "registry", "holds no id");
    fails((struct answer){200, "{\"id\":99999999999}"}, unknown, LS_ERR_RETRY, "registry",
          "holds no id");
    fails((struct answer){503, "<html>no server</html>"}, unknown, LS_ERR_RETRY, "registry",
          "answers 503");
    fails(unknown, (struct answer){500, "{\"error_code\":50001,\"message\":\"store\"}"},
          LS_ERR_RETRY, "registry", "answers 500: store");
    fails((struct answer){302, ""}, unknown, LS_ERR_RETRY, "registry", "leads somewhere else");
    /* of a proxy that knows of no registry yet */
    fails((struct answer){404, "nothing here"}, (struct answer){404, "nothing here"}, LS_ERR_RETRY,
          "registry", "is no schema registry");
}

static void
what_the_registry_refuses_is_fatal_with_its_own_words(void **state)
{
    (void)state;
    fails(unknown, (struct answer){409, "{\"message\":\"reader lacks default\"}"}, LS_ERR_FATAL,
          "registry-incompatible", "reader lacks default");
    fails(unknown, (struct answer){422, "{\"message\":\"bad schema\"}"}, LS_ERR_FATAL,
          "registry-incompatible", "bad schema");
    fails((struct answer){401, ""}, unknown, LS_ERR_FATAL, "registry-auth", "(401)");
    fails(unknown, (struct answer){403, "{\"message\":\"read only\"}"}, LS_ERR_FATAL,
          "registry-auth", "read only");
    fails(unknown, (struct answer){400, ""}, LS_ERR_FATAL, "registry", "answers 400");
}

/* Asked whether it would take our schemas; *ret_known as ls_registry_check says, -1: it fails. */
static const char *
checked(struct answer first, struct answer second, int *ret_known)
{
    struct ls_config *config = config_with("http://127.0.0.1:%d");
    static struct ls_err err;
    size_t all, known;

    lookup = first;
    compatible = second;
    err = (struct ls_err){0};
    *ret_known = ls_registry_check(config, &all, &known, &err) < 0 ? -1 : (int)known;
    assert_int_equal(n_registered, 0);
    assert_true(*ret_known < 0 ? all == 0 && err.msg[0] : all > 10 && known <= all);
    ls_config_free(config);
    return err.cause;
}

static void
what_the_registry_would_take_is_asked_without_registering(void **state)
{
    static const struct answer known = {200, "{\"id\":1}"};
    struct ls_config *config = config_with("");
    struct ls_err err = {0};
    size_t all = 7, n = 7;
    int got;

    (void)state;
    ok(ls_registry_check(config, &all, &n, &err)); /* none is wanted */
    assert_int_equal(all + n, 0);
    ls_config_free(config);
    (void)checked(known, unknown, &got);
    assert_true(got > 10);
    (void)checked(unknown, (struct answer){200, "{\"is_compatible\":true}"}, &got);
    assert_int_equal(got, 0);
    (void)checked(unknown, unknown, &got); /* no such subject yet */
    assert_int_equal(got, 0);
    assert_string_equal(checked(unknown, (struct answer){200, "{\"is_compatible\":false}"}, &got),
                        "registry-incompatible");
    assert_int_equal(got, -1);
    assert_string_equal(checked(unknown, (struct answer){422, "{\"message\":\"bad\"}"}, &got),
                        "registry-incompatible");
    assert_string_equal(checked((struct answer){401, ""}, unknown, &got), "registry-auth");
    assert_string_equal(checked(unknown, (struct answer){403, ""}, &got), "registry-auth");
    assert_string_equal(checked((struct answer){503, "<html>"}, unknown, &got), "registry");
    assert_int_equal(got, -1);
    assert_int_equal(schema_head_of("cs3/share")->n, 10); /* nothing is taken over */
}

static void
an_answer_without_end_is_cut(void **state)
{
    char *text = malloc((2 << 20) + 1);

    (void)state;
    memset(text, 'x', 2 << 20);
    text[2 << 20] = '\0';
    fails((struct answer){200, text}, unknown, LS_ERR_RETRY, "registry", "more than");
    free(text);
}

static void
a_registry_that_is_away_is_tried_again_and_its_password_stays_hidden(void **state)
{
    struct ls_config *config = config_with("http://me:secret@127.0.0.1:1/api");
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ls_registry_register(config, "cs3/", &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_non_null(strstr(err.msg, "http://127.0.0.1:1/api"));
    assert_null(strstr(err.msg, "secret"));
    ls_config_free(config);
}

static void
decode_with(struct ls_arena *arena, uint32_t id, const char *body, enum ls_err_kind kind,
            const char *part)
{
    char value[64] = {0, (char)(id >> 24), (char)(id >> 16), (char)(id >> 8), (char)id};
    size_t n = strlen(body);
    struct ls_err err = {0};
    void *record = NULL;

    memcpy(value + 5, body, n);
    assert_int_equal(
        cs3_decode(&cs3_share_type_, (struct ls_str){value, 5 + n}, arena, &record, &err), -1);
    assert_int_equal(err.kind, kind);
    if (!strstr(err.msg, part))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
}

static void
an_unknown_id_is_asked_for_once_and_its_value_is_poison(void **state)
{
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct ls_config *config;

    (void)state;
    decode_with(arena, 77, "abc", LS_ERR_POISON, "registry.url is not set");
    config = config_with("http://127.0.0.1:%d/v7/");
    ls_registry_attach(config);
    fetched = (struct answer){404, "{\"error_code\":40403}"};
    decode_with(arena, 77, "abc", LS_ERR_POISON, "no Avro schema with the id 77");
    assert_string_equal(last_path, "/v7/schemas/ids/77");
    decode_with(arena, 77, "abc", LS_ERR_POISON, "no Avro schema with the id 77");
    assert_int_equal(n_fetched, 1);
    fetched = (struct answer){200, "{\"schemaType\":\"PROTOBUF\",\"schema\":\"x\"}"};
    decode_with(arena, 78, "abc", LS_ERR_POISON, "no Avro schema with the id 78");
    fetched = (struct answer){200, "{\"schema\":\"{no schema\"}"};
    decode_with(arena, 79, "abc", LS_ERR_POISON, "no Avro schema with the id 79");
    decode_with(arena, 79, "abc", LS_ERR_POISON, "no Avro schema with the id 79");
    assert_int_equal(n_fetched, 3);
    fetched = (struct answer){200, "{\"schema\":\"\\\"string\\\"\"}"};
    decode_with(arena, 80, "abc", LS_ERR_POISON, "another kind of record");
    fetched = (struct answer){403, "{\"message\":\"not for you\"}"};
    decode_with(arena, 81, "abc", LS_ERR_FATAL, "not for you");
    decode_with(arena, 81, "", LS_ERR_FATAL, "not for you"); /* a failure is not remembered */
    schema_set_fetcher(NULL, NULL);
    ls_config_free(config);
    ls_arena_free(arena);
}

static void
an_id_that_one_url_does_not_know_is_asked_for_at_the_other_and_later_again(void **state)
{
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct ls_config *config = config_with("http://127.0.0.1:%d/a,http://127.0.0.1:%d/b");

    (void)state;
    ls_registry_attach(config);
    fetched_from_a = (struct answer){404, "{\"error_code\":40403}"};
    fetched = (struct answer){200, "{\"schema\":\"\\\"string\\\"\"}"};
    decode_with(arena, 90, "abc", LS_ERR_POISON, "another kind of record");
    assert_int_equal(n_fetched, 2);
    fetched = fetched_from_a;
    decode_with(arena, 91, "abc", LS_ERR_POISON, "no Avro schema with the id 91");
    assert_int_equal(n_fetched, 4);
    schema_unknown_for(0);
    fetched = (struct answer){403, "{\"message\":\"not now\"}"};
    decode_with(arena, 91, "abc", LS_ERR_FATAL, "not now");
    fetched = (struct answer){200, "{\"schema\":\"\\\"string\\\"\"}"};
    decode_with(arena, 91, "abc", LS_ERR_POISON, "another kind of record");
    decode_with(arena, 91, "abc", LS_ERR_POISON, "another kind of record");
    assert_int_equal(n_fetched, 8);
    schema_unknown_for(30000);
    schema_set_fetcher(NULL, NULL);
    ls_config_free(config);
    ls_arena_free(arena);
}

static void
an_id_that_is_given_anew_is_of_the_schema_that_has_it_now(void **state)
{
    struct ls_config *config = config_with("http://127.0.0.1:%d");
    struct ls_err err = {0};
    uint64_t fingerprint = 0;

    (void)state;
    ls_registry_attach(config);
    schema_head_set("cs3/share", 3);
    schema_head_set("cs3/person", 4);
    schema_head_set("cs3/person", 3);
    ok(schema_by_id(3, &fingerprint, &err));
    assert_true(fingerprint == schema_fingerprint_of("cs3/person"));
    for (int i = 0; i < 1000; i++) /* at each reconnect */
        schema_head_set("cs3/share", 5);
    schema_head_set("cs3/share", 6);
    ok(schema_by_id(6, &fingerprint, &err));
    assert_true(fingerprint == schema_fingerprint_of("cs3/share"));
    assert_int_equal(n_fetched, 0);
    schema_set_fetcher(NULL, NULL);
    ls_config_free(config);
}

/* The last test: once stopped, nothing is tried again. */
static void
a_404_of_somebody_who_is_no_registry_says_nothing_about_an_id(void **state)
{
    static const char *const texts[] = {"<html>no such page</html>", "", "[]",
                                        "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"};
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct ls_config *config = config_with("http://127.0.0.1:%d/a,http://127.0.0.1:%d/b");

    (void)state;
    ls_registry_attach(config);
    ls_run_stop();
    fetched_from_a = (struct answer){404, "{\"error_code\":40403}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        fetched = (struct answer){404, texts[i]};
        decode_with(arena, 95, "abc", LS_ERR_RETRY, "no schema registry");
    }
    fetched = fetched_from_a;
    decode_with(arena, 95, "abc", LS_ERR_POISON, "no Avro schema with the id 95");
    schema_set_fetcher(NULL, NULL);
    ls_config_free(config);
    ls_arena_free(arena);
}

static void
values_carry_the_registry_s_ids_and_come_back(void **state)
{
    struct ls_config *config = config_with("http://127.0.0.1:1,http://127.0.0.1:%d/");
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct cs3_share share = {.id = 7, .permissions = CS3_PERM_STAT}, *back;
    struct ls_buf old, new;
    struct ls_err err = {0};
    void *record = NULL;

    (void)state;
    ls_buf_init(&old, 1 << 16);
    ls_buf_init(&new, 1 << 16);
    ok(cs3_encode(&cs3_share_type_, &share, &old, &err));
    ls_registry_attach(config);
    lookup = (struct answer){200, "{\"id\":66051,\"version\":1}"}; /* 0x010203 */
    ok(ls_registry_register(config, "cs3/", &err));
    assert_int_equal(n_registered, 0);
    assert_int_equal(n_lookups, 5);
    assert_string_equal(authorization, "Basic bWU6c2VjcmV0");
    ok(cs3_encode(&cs3_share_type_, &share, &new, &err));
    assert_memory_equal(new.p, "\0\0\1\2\3", 5);
    assert_int_equal(new.n - 5, old.n - 10);
    assert_memory_equal(new.p + 5, old.p + 10, new.n - 5);
    assert_int_equal(schema_head_of("oc10/share")->n, 10); /* was not asked for */
    /* all four got one id from this server: the last one has it */
    schema_set_fetcher(NULL, NULL);
    ls_registry_attach(config);
    schema_head_set("cs3/share", 66051);
    ok(cs3_decode(&cs3_share_type_, (struct ls_str){(char *)new.p, new.n}, arena, &record, &err));
    back = record;
    assert_int_equal(back->id, 7);
    ok(cs3_decode(&cs3_share_type_, (struct ls_str){(char *)old.p, old.n}, arena, &record, &err));
    assert_int_equal(((struct cs3_share *)record)->permissions, CS3_PERM_STAT);
    assert_int_equal(n_fetched, 0);
    for (size_t n = 0; n < new.n; n++) /* cut anywhere: refused, never read past */
        assert_int_equal(
            cs3_decode(&cs3_share_type_, (struct ls_str){(char *)new.p, n}, arena, &record, &err),
            -1);
    schema_set_fetcher(NULL, NULL);
    ls_buf_free(&old);
    ls_buf_free(&new);
    ls_config_free(config);
    ls_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_are_none_are_clear_and_tried_again),
        cmocka_unit_test(what_the_registry_would_take_is_asked_without_registering),
        cmocka_unit_test(what_the_registry_refuses_is_fatal_with_its_own_words),
        cmocka_unit_test(an_answer_without_end_is_cut),
        cmocka_unit_test(a_registry_that_is_away_is_tried_again_and_its_password_stays_hidden),
        cmocka_unit_test(an_unknown_id_is_asked_for_once_and_its_value_is_poison),
        cmocka_unit_test(
            an_id_that_one_url_does_not_know_is_asked_for_at_the_other_and_later_again),
        cmocka_unit_test(values_carry_the_registry_s_ids_and_come_back),
        cmocka_unit_test(an_id_that_is_given_anew_is_of_the_schema_that_has_it_now),
        cmocka_unit_test(a_404_of_somebody_who_is_no_registry_says_nothing_about_an_id),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
