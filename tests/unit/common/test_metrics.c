/* Metrics as Prometheus reads them, and what the HTTP server answers. */
#include "tests/unit/common/unit.h"

#include "common/metrics.h"
#include "common/metrics_parts.h"
#include "common/run.h"
#include <curl/curl.h>

enum { M_ROWS, M_LAG, M_CALLS, M_BOTH };
static const struct ls_metric table[] = {
    [M_ROWS] = {"t_rows_total", LS_COUNTER, "table", "Rows.\nBy \\ table."},
    [M_LAG] = {"t_lag_seconds", LS_GAUGE, NULL, "Lag."},
    [M_CALLS] = {"t_call_seconds", LS_HISTOGRAM, "method", "Calls."},
    [M_BOTH] = {"t_calls_total", LS_COUNTER, "method,status", "Calls."},
    {NULL, LS_COUNTER, NULL, NULL},
};

static struct ls_buf
printed(struct ls_metrics *m)
{
    struct ls_buf out;

    ls_buf_init(&out, 1 << 20);
    metrics_print(m, true, &out);
    assert_non_null(ls_buf_text(&out));
    return out;
}

static void
has(const struct ls_buf *out, const char *line)
{
    if (!strstr((const char *)out->p, line))
        fail_msg("\"%s\" is not in:\n%s", line, (const char *)out->p);
}

static void
counters_and_gauges_have_help_type_and_value(void **state)
{
    struct ls_metrics *m = ls_metrics_new("capture", table);
    struct ls_buf out;

    (void)state;
    ls_metric_add(m, M_ROWS, "oc_share", 2);
    ls_metric_add(m, M_ROWS, "oc_share", 1);
    ls_metric_set(m, M_LAG, NULL, 0.25);
    assert_true(ls_metric_get(m, M_ROWS, "oc_share") == 3);
    out = printed(m);
    has(&out, "lockstep_build_info{stage=\"capture\",version=\"");
    has(&out, "# HELP t_rows_total Rows.\\nBy \\\\ table.\n# TYPE t_rows_total counter\n"
              "t_rows_total{table=\"oc_share\"} 3\n");
    has(&out, "# TYPE t_lag_seconds gauge\nt_lag_seconds 0.25\n");
    ls_buf_free(&out);
    ls_metrics_free(m);
}

static void
an_age_rises_until_it_is_set_again(void **state)
{
    struct ls_metrics *m = ls_metrics_new("capture", table);
    int64_t from = ls_mono_ms();
    struct ls_buf out;
    double age;

    (void)state;
    ls_metric_set_age(m, M_LAG, NULL, 100);
    while (ls_mono_ms() < from + 50)
        ls_run_sleep_ms(10);
    age = ls_metric_get(m, M_LAG, NULL);
    assert_true(age > 100 && age <= 100 + (double)(ls_mono_ms() - from) / 1000);
    out = printed(m);
    has(&out, "\nt_lag_seconds 1");
    ls_buf_free(&out);
    ls_metric_set(m, M_LAG, NULL, 7);
    ls_run_sleep_ms(10);
    assert_true(ls_metric_get(m, M_LAG, NULL) == 7);
    ls_metrics_free(m);
}

static void
label_values_that_are_no_words_of_ours_are_not_shown(void **state)
{
    static const char *const values[] = {
        "a\"b", "back\\slash", "two\nlines", "/home/alice/x", "alice@example.com",
        "a,b",  "\xc3\xa4",    "{}"};
    struct ls_metrics *m = ls_metrics_new("t", table);
    char all[100];
    struct ls_buf out;

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        ls_metric_add(m, M_ROWS, values[i], 1);
    memset(all, 'a', sizeof(all));
    all[65] = '\0';
    ls_metric_add(m, M_ROWS, all, 1);
    ls_metric_add(m, M_ROWS, "left:trash-info", 1);
    out = printed(m);
    has(&out, "# TYPE t_rows_total counter\nt_rows_total{table=\"other\"} 9\n"
              "t_rows_total{table=\"left:trash-info\"} 1\n#");
    ls_buf_free(&out);
    ls_metrics_free(m);
}

static void
two_labels_are_parted_when_printed(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);
    struct ls_buf out;

    (void)state;
    ls_metric_add(m, M_BOTH, "Stat,ok", 2);
    ls_metric_add(m, M_BOTH, "Stat,timeout", 1);
    ls_metric_add(m, M_BOTH, "Stat", 1);
    ls_metric_add(m, M_BOTH, "Stat,a,b", 1);
    out = printed(m);
    has(&out, "t_calls_total{method=\"Stat\",status=\"ok\"} 2\n"
              "t_calls_total{method=\"Stat\",status=\"timeout\"} 1\n"
              "t_calls_total{method=\"other\",status=\"other\"} 2\n");
    ls_buf_free(&out);
    ls_metrics_free(m);
}

static void
a_counter_reaches_what_is_counted_elsewhere_and_never_falls(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);

    (void)state;
    ls_metric_reach(m, M_ROWS, "x", 7);
    ls_metric_reach(m, M_ROWS, "x", 5);
    assert_true(ls_metric_get(m, M_ROWS, "x") == 7);
    ls_metric_reach(m, M_ROWS, "x", 8);
    assert_true(ls_metric_get(m, M_ROWS, "x") == 8);
    ls_metrics_free(m);
}

static void
histograms_count_into_cumulative_buckets(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);
    struct ls_buf out;

    (void)state;
    ls_metric_observe(m, M_CALLS, "Stat", 0.004);
    ls_metric_observe(m, M_CALLS, "Stat", 0.005);
    ls_metric_observe(m, M_CALLS, "Stat", 0.006);
    ls_metric_observe(m, M_CALLS, "Stat", 6000);
    out = printed(m);
    has(&out, "# TYPE t_call_seconds histogram\n");
    has(&out, "t_call_seconds_bucket{method=\"Stat\",le=\"0.005\"} 2\n");
    has(&out, "t_call_seconds_bucket{method=\"Stat\",le=\"0.01\"} 3\n");
    has(&out, "t_call_seconds_bucket{method=\"Stat\",le=\"600\"} 3\n");
    has(&out, "t_call_seconds_bucket{method=\"Stat\",le=\"+Inf\"} 4\n");
    has(&out, "t_call_seconds_count{method=\"Stat\"} 4\n");
    ls_buf_free(&out);
    ls_metrics_free(m);
}

static void
label_values_cannot_grow_without_end(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);

    (void)state;
    for (int i = 0; i < 5000; i++) {
        char value[20];

        snprintf(value, sizeof(value), "%d", i);
        ls_metric_add(m, M_ROWS, value, 1);
    }
    assert_true(ls_metric_get(m, M_ROWS, "other") == 4800);
    ls_metrics_free(m);
}

/* ---- HTTP */

struct reply {
    char text[65536];
    size_t n;
};

static size_t
on_body(char *p, size_t one, size_t n, void *arg)
{
    struct reply *reply = arg;

    (void)one;
    assert_true(reply->n + n < sizeof(reply->text));
    memcpy(reply->text + reply->n, p, n);
    reply->n += n;
    reply->text[reply->n] = '\0';
    return n;
}

static long
get(int port, const char *path, const char *method, struct reply *reply)
{
    CURL *curl = curl_easy_init();
    char url[100];
    long status = 0;

    reply->n = 0;
    reply->text[0] = '\0';
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return status;
}

static struct ls_http *
started(struct ls_metrics *m, int *port)
{
    struct ls_config *config;
    struct ls_http *http = NULL;
    struct ls_err err = {0};

    ok(ls_config_load(NULL, NULL, 0, &config, &err));
    ok(ls_http_start(config, m, &http, port, &err));
    ls_config_free(config);
    return http;
}

static void
readyz_says_why_not_and_then_yes(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);
    struct reply reply;
    int port;
    struct ls_http *http = started(m, &port);

    (void)state;
    assert_int_equal(get(port, "/readyz", "GET", &reply), 503);
    assert_string_equal(reply.text, "starting");
    assert_int_equal(get(port, "/metrics", "GET", &reply), 200);
    assert_non_null(strstr(reply.text, "\nlockstep_ready 0\n"));
    ls_http_ready(http, "no source");
    assert_int_equal(get(port, "/readyz", "GET", &reply), 503);
    assert_string_equal(reply.text, "no source");
    assert_int_equal(get(port, "/healthz", "GET", &reply), 200);
    ls_http_ready(http, NULL);
    assert_int_equal(get(port, "/readyz", "GET", &reply), 200);
    assert_int_equal(get(port, "/metrics", "GET", &reply), 200);
    assert_non_null(strstr(reply.text, "\nlockstep_ready 1\n"));
    ls_http_stop(http);
    ls_metrics_free(m);
}

static void
readyz_fails_when_a_loop_does_not_come_by_and_recovers_when_it_does(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);
    struct reply reply;
    int port;
    struct ls_http *http = started(m, &port);

    (void)state;
    ls_http_ready(http, NULL);
    ls_http_ready_until(http, ls_mono_ms() + 3600000, "stuck");
    assert_int_equal(get(port, "/readyz", "GET", &reply), 200);
    ls_http_ready_until(http, ls_mono_ms() - 1, "stuck");
    assert_int_equal(get(port, "/readyz", "GET", &reply), 503);
    assert_string_equal(reply.text, "stuck");
    ls_http_ready(http, "no source"); /* what is known goes before what is guessed */
    assert_int_equal(get(port, "/readyz", "GET", &reply), 503);
    assert_string_equal(reply.text, "no source");
    ls_http_ready(http, NULL);
    ls_http_ready_until(http, 0, "");
    assert_int_equal(get(port, "/readyz", "GET", &reply), 200);
    ls_http_stop(http);
    ls_metrics_free(m);
}

static void
metrics_and_status_are_served_and_nothing_else(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);
    struct reply reply;
    int port;
    struct ls_http *http = started(m, &port);

    (void)state;
    assert_int_equal(get(port, "/metrics", "GET", &reply), 200);
    assert_non_null(strstr(reply.text, "t_lag_seconds 0\n"));
    assert_int_equal(get(port, "/status", "GET", &reply), 200);
    assert_string_equal(reply.text, "{}");
    ls_http_status(http, "{\"stage\":\"t\"}");
    assert_int_equal(get(port, "/status", "GET", &reply), 200);
    assert_string_equal(reply.text, "{\"stage\":\"t\"}");
    assert_int_equal(get(port, "/../etc/passwd", "GET", &reply), 404);
    assert_int_equal(get(port, "/metrics", "DELETE", &reply), 405);
    ls_http_stop(http);
    ls_http_stop(NULL);
    ls_metrics_free(m);
}

static void
a_port_that_is_taken_is_a_clear_error(void **state)
{
    struct ls_metrics *m = ls_metrics_new("t", table);
    struct ls_http *second = NULL;
    struct ls_config *config;
    struct ls_err err = {0};
    char set[40];
    char *sets[] = {set};
    int port;
    struct ls_http *http = started(m, &port);

    (void)state;
    snprintf(set, sizeof(set), "http.port=%d", port);
    ok(ls_config_load(NULL, sets, 1, &config, &err));
    assert_int_equal(ls_http_start(config, m, &second, NULL, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_non_null(strstr(err.msg, "cannot listen on 127.0.0.1"));
    assert_null(second);
    ls_config_free(config);
    ls_http_stop(http);
    ls_metrics_free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges_have_help_type_and_value),
        cmocka_unit_test(an_age_rises_until_it_is_set_again),
        cmocka_unit_test(label_values_that_are_no_words_of_ours_are_not_shown),
        cmocka_unit_test(two_labels_are_parted_when_printed),
        cmocka_unit_test(a_counter_reaches_what_is_counted_elsewhere_and_never_falls),
        cmocka_unit_test(histograms_count_into_cumulative_buckets),
        cmocka_unit_test(label_values_cannot_grow_without_end),
        cmocka_unit_test(readyz_says_why_not_and_then_yes),
        cmocka_unit_test(readyz_fails_when_a_loop_does_not_come_by_and_recovers_when_it_does),
        cmocka_unit_test(metrics_and_status_are_served_and_nothing_else),
        cmocka_unit_test(a_port_that_is_taken_is_a_clear_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
