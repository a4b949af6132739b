/*
 * The small HTTP server: /metrics, /healthz, /readyz, /status.
 *
 * It answers GET and HEAD only, reads no bodies, and gives nothing away but
 * numbers and states, so it has no sign-in; it listens on loopback unless told
 * otherwise. What can go wrong: the port is taken (FATAL, said with the address);
 * a client that never ends its request (connections have a time and a number); a
 * loop that is stuck cannot say so: its readiness may have an end that it moves on.
 */
#include "common/log.h"
#include "common/metrics.h"
#include "common/metrics_parts.h"
#include "common/run.h"
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)8 * 1024 * 1024)
#define CONNECTIONS_MAX 32
#define TIMEOUT_S 10

struct ls_http {
    struct MHD_Daemon *daemon;
    struct ls_metrics *metrics;
    _Atomic int64_t ready_until; /* ls_mono_ms; 0: no such time */
    _Atomic(const char *) stuck; /* what is said behind it */
    pthread_mutex_t lock;        /* of what follows */
    char *why;                   /* not ready; NULL: ready */
    char *status;
};

static enum MHD_Result
answer(struct MHD_Connection *connection, unsigned status, const char *type, const char *text,
       size_t n)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(n, (void *)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result r;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result
answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return answer(connection, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* Why it is not ready, or NULL. Under the lock. */
static const char *
not_ready(const struct ls_http *http)
{
    int64_t until = atomic_load(&http->ready_until);

    if (http->why)
        return http->why;
    return until > 0 && ls_mono_ms() > until ? atomic_load(&http->stuck) : NULL;
}

static enum MHD_Result
answer_metrics(struct ls_http *http, struct MHD_Connection *connection)
{
    struct ls_buf out;
    enum MHD_Result r;
    bool ready;

    pthread_mutex_lock(&http->lock);
    ready = !not_ready(http);
    pthread_mutex_unlock(&http->lock);
    ls_buf_init(&out, TEXT_MAX);
    metrics_print(http->metrics, ready, &out);
    if (out.failed)
        r = answer_text(connection, 500, "too many metrics\n");
    else
        r = answer(connection, 200, "text/plain; version=0.0.4; charset=utf-8", (const char *)out.p,
                   out.n);
    ls_buf_free(&out);
    return r;
}

static enum MHD_Result
answer_ready(struct ls_http *http, struct MHD_Connection *connection)
{
    const char *why;
    enum MHD_Result r;

    pthread_mutex_lock(&http->lock);
    why = not_ready(http);
    r = answer_text(connection, why ? 503 : 200, why ? why : "ready\n");
    pthread_mutex_unlock(&http->lock);
    return r;
}

static enum MHD_Result
answer_status(struct ls_http *http, struct MHD_Connection *connection)
{
    enum MHD_Result r;

    pthread_mutex_lock(&http->lock);
    r = answer(connection, 200, "application/json", http->status ? http->status : "{}",
               http->status ? strlen(http->status) : 2);
    pthread_mutex_unlock(&http->lock);
    return r;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *body, size_t *n_body, void **state)
{
    static int seen;
    struct ls_http *http = arg;

    (void)version;
    (void)body;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(connection, 405, "GET only\n");
    /* libmicrohttpd calls once for the head, then again when an answer is due. */
    if (*state != &seen) {
        *state = &seen;
        return MHD_YES;
    }
    *n_body = 0;
    if (strcmp(url, "/metrics") == 0)
        return answer_metrics(http, connection);
    if (strcmp(url, "/healthz") == 0)
        return answer_text(connection, 200, "alive\n");
    if (strcmp(url, "/readyz") == 0)
        return answer_ready(http, connection);
    if (strcmp(url, "/status") == 0)
        return answer_status(http, connection);
    return answer_text(connection, 404, "not found\n");
}

static int
address_parse(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return 0;
    }
    return -1;
}

int
ls_http_start(const struct ls_config *config, struct ls_metrics *metrics, struct ls_http **ret,
              int *ret_port, struct ls_err *err)
{
    const char *host = ls_config_str(config, "http", "listen");
    int port = (int)ls_config_int(config, "http", "port");
    struct ls_http *http = calloc(1, sizeof(*http));
    const union MHD_DaemonInfo *info;
    struct sockaddr_storage address;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO;

    if (!http)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    pthread_mutex_init(&http->lock, NULL);
    http->metrics = metrics;
    ls_http_ready(http, "starting");
    if (address_parse(host, (uint16_t)port, &address) < 0) {
        ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "config", "http.listen is no address: %.100s",
                      host);
        goto fail;
    }
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR,
                                    &address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
    if (!http->daemon) {
        ls_fail_cause(err, LS_ERR_FATAL, errno, "http", "cannot listen on %s port %d: %s", host,
                      port, strerror(errno));
        goto fail;
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info)
        port = info->port;
    ls_log(LS_INFO, "http", LS_S("listen", host), LS_I("port", port));
    if (ret_port)
        *ret_port = port;
    *ret = http;
    return 0;
fail:
    ls_http_stop(http);
    return -1;
}

void
ls_http_stop(struct ls_http *http)
{
    if (!http)
        return;
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    free(http->why);
    free(http->status);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

static void
text_set(struct ls_http *http, char **where, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    char *old;

    /* Without memory the old text stays; not ready must not become ready for lack of a reason. */
    if (text && !copy)
        return;
    pthread_mutex_lock(&http->lock);
    old = *where;
    *where = copy;
    pthread_mutex_unlock(&http->lock);
    free(old);
}

void
ls_http_ready(struct ls_http *http, const char *why)
{
    text_set(http, &http->why, why);
    ls_run_notify_state(why ? why : "ready");
}

void
ls_http_ready_until(struct ls_http *http, int64_t mono_ms, const char *stuck)
{
    atomic_store_explicit(&http->stuck, stuck, memory_order_relaxed);
    atomic_store_explicit(&http->ready_until, mono_ms, memory_order_release);
}

void
ls_http_status(struct ls_http *http, const char *json)
{
    text_set(http, &http->status, json);
}
