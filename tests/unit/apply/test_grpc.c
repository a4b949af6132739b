/* The gRPC client against a server that misbehaves on demand (h2_server.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "apply/cs3/grpc.h"
#include "common/run.h"
#include "h2_server.h"
#include <cmocka.h>

struct fixture {
    struct h2_server server;
    struct ap_grpc *client;
    struct ls_buf reply;
    struct ap_grpc_status status;
    struct ls_err err;
};

static int
setup(void **state)
{
    static struct fixture f;
    char address[64];

    memset(&f, 0, sizeof(f));
    h2_server_start(&f.server, 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", f.server.port);
    ls_buf_init(&f.reply, 4 << 20);
    assert_int_equal(ap_grpc_new(address, &f.client, &f.err), 0);
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    ap_grpc_free(f->client);
    ls_buf_free(&f->reply);
    h2_server_stop(&f->server);
    return 0;
}

static int
call(struct fixture *f, const char *method, const char *text, int deadline_ms)
{
    char path[64];

    snprintf(path, sizeof(path), "/t.T/%s", method);
    ls_buf_clear(&f->reply);
    f->err = (struct ls_err){0};
    return ap_grpc_call(f->client, path, "tok", text, strlen(text), deadline_ms, &f->reply,
                        &f->status, &f->err);
}

static void
a_reply_comes_back_whole(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(call(f, "Echo", "hello", 5000), 0);
    assert_string_equal(ls_buf_text(&f->reply), "hello");
    assert_int_equal(call(f, "Token", "", 5000), 0);
    assert_string_equal(ls_buf_text(&f->reply), "tok");
    assert_int_equal(call(f, "Big", "", 5000), 0);
    assert_int_equal(f->reply.n, 1 << 20);
    assert_int_equal(f->server.connections, 1);
}

static void
a_large_request_passes_the_flow_control_window(void **state)
{
    struct fixture *f = *state;
    size_t n = 900000;
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    assert_int_equal(call(f, "Echo", text, 5000), 0);
    assert_int_equal(f->reply.n, n);
    free(text);
}

static void
an_error_has_its_status_and_its_decoded_message(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(call(f, "Error", "x", 5000), -1);
    assert_int_equal(f->status.code, 5);
    assert_true(f->status.answered);
    assert_string_equal(f->status.message, "no such thing \xe2\x82\xac%");
    assert_int_equal(f->err.kind, LS_ERR_POISON);
}

static void
a_deadline_leaves_the_outcome_unknown_and_the_connection_good(void **state)
{
    struct fixture *f = *state;
    int64_t start = ls_mono_ms();

    assert_int_equal(call(f, "Echo", "warm", 5000), 0);
    assert_int_equal(call(f, "Slow", "x", 150), -1);
    assert_string_equal(f->err.cause, "timeout");
    assert_false(f->status.not_processed);
    assert_true(ls_mono_ms() - start < 3000);
    assert_int_equal(call(f, "Echo", "on", 5000), 0);
    assert_string_equal(ls_buf_text(&f->reply), "on");
}

static void
a_connection_lost_with_a_call_open_is_an_unknown_outcome(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(call(f, "Die", "x", 5000), -1);
    assert_int_equal(f->err.kind, LS_ERR_RETRY);
    assert_string_equal(f->err.cause, "timeout");
    assert_int_equal(call(f, "Echo", "again", 5000), 0);
    assert_int_equal(f->server.connections, 2);
}

static void
a_refused_stream_is_sent_again(void **state)
{
    struct fixture *f = *state;
    struct ap_grpc_stats stats;

    assert_int_equal(call(f, "Refuse", "x", 5000), 0);
    assert_string_equal(ls_buf_text(&f->reply), "x");
    ap_grpc_stats(f->client, &stats);
    assert_int_equal(stats.resent, 1);
}

static void
a_call_above_goaways_last_stream_is_sent_again_on_a_new_connection(void **state)
{
    struct fixture *f = *state;
    struct ap_grpc_stats stats;

    assert_int_equal(call(f, "Echo", "first", 5000), 0);
    assert_int_equal(call(f, "Goaway", "x", 5000), 0);
    assert_string_equal(ls_buf_text(&f->reply), "x");
    ap_grpc_stats(f->client, &stats);
    assert_int_equal(stats.goaways, 1);
    assert_int_equal(stats.connects, 2);
}

static void
broken_framing_is_an_error_not_a_message(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(call(f, "Torn", "hello", 5000), -1);
    assert_string_equal(f->err.cause, "internal");
    assert_int_equal(call(f, "Empty", "hello", 5000), -1);
    assert_string_equal(f->err.cause, "internal");
    assert_int_equal(f->reply.n, 0);
}

static void
an_http_error_without_grpc_is_understood(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(call(f, "Html", "x", 5000), -1);
    assert_int_equal(f->status.code, GRPC_UNAVAILABLE);
    assert_string_equal(f->err.cause, "target-down");
}

/* It is in front of the server: of the method and the token it knows nothing. */
static void
a_proxy_that_finds_no_server_is_no_verdict(void **state)
{
    static const char *const words[] = {"Lost", "Denied"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_int_equal(call(f, words[i], "x", 5000), -1);
        assert_int_equal(f->err.kind, LS_ERR_RETRY);
        assert_string_equal(f->err.cause, "target-down");
    }
}

static void
a_reply_beyond_the_buffers_cap_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ls_buf small;

    ls_buf_init(&small, 1000);
    assert_int_equal(
        ap_grpc_call(f->client, "/t.T/Big", NULL, "", 0, 5000, &small, &f->status, &f->err), -1);
    assert_int_equal(f->err.kind, LS_ERR_POISON);
    assert_int_equal(small.n, 0);
    ls_buf_free(&small);
    assert_int_equal(call(f, "Echo", "on", 5000), 0);
}

static void
nobody_there_is_certainly_not_processed(void **state)
{
    struct ap_grpc *client = NULL;
    struct ap_grpc_status status;
    struct ls_err err = {0};
    struct ls_buf reply;
    int64_t start = ls_mono_ms();

    (void)state;
    ls_buf_init(&reply, 1000);
    assert_int_equal(ap_grpc_new("127.0.0.1:1", &client, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            ap_grpc_call(client, "/t.T/Echo", NULL, "", 0, 5000, &reply, &status, &err), -1);
        assert_string_equal(err.cause, "target-down");
        assert_true(status.not_processed);
    }
    assert_true(ls_mono_ms() - start < 5000);
    ap_grpc_free(client);
    ls_buf_free(&reply);
}

static void
an_address_must_have_a_host_and_a_port(void **state)
{
    static const char *const bad[] = {"", "host", "host:", ":9142", "host:port", "host:123456"};
    struct ap_grpc *client = NULL;
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ap_grpc_new(bad[i], &client, &err), -1);
        assert_int_equal(err.kind, LS_ERR_FATAL);
        assert_null(client);
    }
}

struct worker {
    struct fixture *f;
    int i, bad;
};

static void *
worker_run(void *arg)
{
    struct worker *w = arg;
    struct ls_buf reply;
    char text[32];

    ls_buf_init(&reply, 1000);
    for (int k = 0; k < 40; k++) {
        struct ap_grpc_status status;
        struct ls_err err = {0};
        const char *method = k % 10 == 3   ? "/t.T/Refuse"
                             : k % 10 == 7 ? "/t.T/Goaway"
                                           : "/t.T/Echo";
        snprintf(text, sizeof(text), "%d.%d", w->i, k);
        ls_buf_clear(&reply);
        if (ap_grpc_call(w->f->client, method, NULL, text, strlen(text), 10000, &reply, &status,
                         &err) < 0 ||
            strcmp(ls_buf_text(&reply), text) != 0)
            w->bad++;
    }
    ls_buf_free(&reply);
    return NULL;
}

static void
many_threads_share_one_connection_beyond_its_streams(void **state)
{
    struct fixture *f = *state;
    struct worker workers[48];
    pthread_t threads[48];

    for (int i = 0; i < 48; i++) {
        workers[i] = (struct worker){f, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (int i = 0; i < 48; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].bad, 0);
    }
}

/* ---- the last one: nothing can be done after it */

struct patient {
    struct ap_grpc *client;
    struct ls_err err;
    int result;
};

static void *
patient_call(void *arg)
{
    struct patient *p = arg;
    struct ap_grpc_status status;
    struct ls_buf reply;

    ls_buf_init(&reply, 1000);
    p->result = ap_grpc_call_patient(p->client, "/t.T/Slow", NULL, "x", 1, 1000, 600000, &reply,
                                     &status, &p->err);
    ls_buf_free(&reply);
    return NULL;
}

static void
a_patient_call_is_ended_when_we_are_to_stop(void **state)
{
    struct fixture *f = *state;
    struct patient p = {.client = f->client};
    pthread_t thread;

    assert_int_equal(call(f, "Echo", "warm", 5000), 0);
    assert_int_equal(pthread_create(&thread, NULL, patient_call, &p), 0);
    assert_int_equal(call(f, "Slow", "x", 300), -1); /* meanwhile that one is sent, and waits */
    ls_run_stop();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p.result, -1);
    assert_string_equal(p.err.cause, "timeout");
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_reply_comes_back_whole),
        T(a_large_request_passes_the_flow_control_window),
        T(an_error_has_its_status_and_its_decoded_message),
        T(a_deadline_leaves_the_outcome_unknown_and_the_connection_good),
        T(a_connection_lost_with_a_call_open_is_an_unknown_outcome),
        T(a_refused_stream_is_sent_again),
        T(a_call_above_goaways_last_stream_is_sent_again_on_a_new_connection),
        T(broken_framing_is_an_error_not_a_message),
        T(an_http_error_without_grpc_is_understood),
        T(a_proxy_that_finds_no_server_is_no_verdict),
        T(a_reply_beyond_the_buffers_cap_is_refused),
        cmocka_unit_test(nobody_there_is_certainly_not_processed),
        cmocka_unit_test(an_address_must_have_a_host_and_a_port),
        T(many_threads_share_one_connection_beyond_its_streams),
        T(a_patient_call_is_ended_when_we_are_to_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
