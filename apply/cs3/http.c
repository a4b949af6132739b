/*
 * libcurl, once for the data server and Graph.
 *
 * Any number of worker threads share a pool of easy handles; each handle keeps its connection, so
 * there are as many connections as requests were ever in flight. An upload's body comes from a
 * callback that may refuse to go on (content that does not match): the connection is then cut
 * before the server has all of it. What broke a transfer must be told apart: never connected is
 * the target being down, anything later leaves the outcome unknown.
 *
 * A transfer in which nothing moves for long is given up. But an upload is answered only when the
 * target has made its checksums, and has put it where it keeps its blobs, and meanwhile nothing
 * moves; who gave it up then would send all of it again. So what has been sent whole is waited for
 * the longer the bigger it is.
 */
#include "apply/cs3/http.h"
#include "apply/lease.h"
#include "common/run.h"
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_IDLE = 256, QUIET_MIN_MS = 120 * 1000, HEADER_MAX = 65536, DIGEST_BYTES_MS = 16 << 10 };

struct ap_http {
    bool verify;
    long connect_ms;
    int64_t quiet_ms;
    ap_call_fn *call_counter;
    void *arg;
    pthread_mutex_t mutex;
    CURL *idle[MAX_IDLE];
    unsigned n_idle;
};

struct transfer {
    const struct ap_http_request *request;
    struct ap_http_reply *reply;
    struct ls_err broken; /* why a callback broke it off */
    int64_t quiet_ms, moved, moved_ms;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void
init_once(void)
{
    global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int
ap_http_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
            struct ap_http **ret, struct ls_err *err)
{
    struct ap_http *http;
    int64_t timeout_ms = ls_config_int(config, "target", "timeout_ms");

    pthread_once(&once, init_once);
    http = global ? NULL : calloc(1, sizeof(*http));
    if (!http)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "libcurl cannot start");
    http->verify = ls_config_bool(config, "target", "tls_verify");
    http->connect_ms = timeout_ms < 5000 ? (long)timeout_ms : 5000;
    http->quiet_ms = timeout_ms > QUIET_MIN_MS ? timeout_ms : QUIET_MIN_MS;
    http->call_counter = call_counter;
    http->arg = arg;
    pthread_mutex_init(&http->mutex, NULL);
    *ret = http;
    return 0;
}

void
ap_http_free(struct ap_http *http)
{
    if (!http)
        return;
    for (unsigned i = 0; i < http->n_idle; i++)
        curl_easy_cleanup(http->idle[i]);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}

static CURL *
handle_take(struct ap_http *http)
{
    CURL *curl = NULL;

    pthread_mutex_lock(&http->mutex);
    if (http->n_idle)
        curl = http->idle[--http->n_idle];
    pthread_mutex_unlock(&http->mutex);
    if (curl)
        curl_easy_reset(curl); /* options go, the connection stays */
    else
        curl = curl_easy_init();
    return curl;
}

static void
handle_give(struct ap_http *http, CURL *curl)
{
    if (!curl)
        return;
    pthread_mutex_lock(&http->mutex);
    if (http->n_idle < MAX_IDLE) {
        http->idle[http->n_idle++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&http->mutex);
    curl_easy_cleanup(curl);
}

/* ---- callbacks */
static size_t
on_read(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    ssize_t got;

    if (!ap_lease_held()) {
        ls_fail_cause(&t->broken, LS_ERR_RETRY, 0, "timeout", "%s: no lease any more",
                      t->request->label);
        return CURL_READFUNC_ABORT;
    }
    got = t->request->read(t->request->read_arg, p, size * n, &t->broken);
    t->moved_ms = ls_mono_ms(); /* the time that the source took is not the target's */
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static size_t
on_write(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    if (t->request->write && t->reply->status / 100 == 2)
        return t->request->write(t->request->write_arg, p, size * n, &t->broken) < 0 ? 0 : size * n;
    ls_buf_append(&t->reply->body, p, size * n); /* too long: its end does not matter */
    return size * n;
}

int64_t
ap_http_patience_ms(int64_t quiet_ms, int64_t sent, int64_t all)
{
    return all > 0 && sent >= all ? quiet_ms + all / DIGEST_BYTES_MS : quiet_ms;
}

/* Called about once a second, also while nothing moves. */
static int
on_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    struct transfer *t = arg;
    int64_t now = ls_mono_ms();

    (void)down_all;
    (void)up_all;
    if (down + up != t->moved) {
        t->moved = down + up;
        t->moved_ms = now;
    }
    return now - t->moved_ms > ap_http_patience_ms(t->quiet_ms, up, t->request->read_len);
}

/* Connected, and about to ask: may we (still)? */
static int
on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct transfer *t = arg;

    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    if (ap_lease_held())
        return CURL_PREREQFUNC_OK;
    ls_fail_cause(&t->broken, LS_ERR_RETRY, 0, "target-down",
                  "%s: no proof that no other applier has taken over", t->request->label);
    return CURL_PREREQFUNC_ABORT;
}

/* The value of a header line when it has that name; else NULL. */
static const char *
header_value(const char *line, size_t n, const char *name)
{
    size_t len = strlen(name);

    if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0)
        return NULL;
    line += len + 1;
    while (*line == ' ')
        line++;
    return line;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    char line[512];
    const char *value;

    snprintf(line, sizeof(line), "%.*s", (int)(n > 500 ? 500 : n), p);
    line[strcspn(line, "\r\n")] = '\0';
    if (!strncmp(line, "HTTP/", 5)) { /* also of an interim answer */
        const char *blank = strchr(line, ' ');
        t->reply->status = blank ? strtol(blank, NULL, 10) : 0;
        t->reply->file_id[0] = t->reply->etag[0] = '\0';
    } else if ((value = header_value(line, strlen(line), "oc-fileid"))) {
        snprintf(t->reply->file_id, sizeof(t->reply->file_id), "%.380s", value);
    } else if ((value = header_value(line, strlen(line), "oc-etag"))) {
        value += *value == '"';
        snprintf(t->reply->etag, sizeof(t->reply->etag), "%.*s", (int)strcspn(value, "\""), value);
    } else if ((value = header_value(line, strlen(line), "retry-after"))) {
        long seconds = strtol(value, NULL, 10);
        t->reply->retry_after_ms = seconds > 0 && seconds < 3600 ? seconds * 1000 : 0;
    }
    return size * n;
}

/* ---- one request */
static int
headers_fill(const struct ap_http_request *request, struct curl_slist **ret, struct ls_err *err)
{
    const char *const pairs[][2] = {
        {"x-access-token", request->token},
        {"Content-Type", request->content_type},
    };
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer;
    struct ls_buf line;

    ls_buf_init(&line, HEADER_MAX);
    for (size_t i = 0; list && i < 2; i++) {
        if (!pairs[i][1])
            continue;
        ls_buf_clear(&line);
        ls_buf_printf(&line, "%s: %s", pairs[i][0], pairs[i][1]);
        longer = ls_buf_text(&line) ? curl_slist_append(list, ls_buf_text(&line)) : NULL;
        if (!longer)
            curl_slist_free_all(list);
        list = longer;
    }
    if (list && request->header) {
        longer = curl_slist_append(list, request->header);
        if (!longer)
            curl_slist_free_all(list);
        list = longer;
    }
    ls_buf_free(&line);
    if (!list)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    *ret = list;
    return 0;
}

static void
handle_setup(struct ap_http *http, CURL *curl, struct transfer *t, struct curl_slist *headers)
{
    const struct ap_http_request *request = t->request;

    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, http->verify ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, http->verify ? 2L : 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, http->connect_ms);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L); /* a dead target is known long before that */
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 15L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    if (request->user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, request->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, request->password);
    }
    if (request->read) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, t);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->read_len);
    } else if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static int
curl_fail(const struct transfer *t, CURLcode code, struct ls_err *err)
{
    if (t->broken.kind != LS_ERR_NONE) {
        if (err)
            *err = t->broken;
        return -1;
    }
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "target-down", "%s: %s",
                             t->request->label, curl_easy_strerror(code));
    case CURLE_PEER_FAILED_VERIFICATION: /* it may be about to be renewed */
        return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "target-down",
                             "%s: the target's certificate is not trusted (target.tls_verify)",
                             t->request->label);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "target-config", "%s: not a URL: %s",
                             t->request->label, t->request->url);
    case CURLE_OUT_OF_MEMORY:
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    default:
        return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "timeout", "%s: no answer: %s",
                             t->request->label, curl_easy_strerror(code));
    }
}

int
ap_http_do(struct ap_http *http, const struct ap_http_request *request, struct ap_http_reply *reply,
           struct ls_err *err)
{
    struct transfer transfer = {
        .request = request, .reply = reply, .quiet_ms = http->quiet_ms, .moved_ms = ls_mono_ms()};
    struct curl_slist *headers = NULL;
    int64_t start = ls_mono_ms();
    char status[24] = "failed";
    CURL *curl = NULL;
    CURLcode code;
    int r = -1;

    reply->status = 0;
    reply->file_id[0] = reply->etag[0] = '\0';
    reply->retry_after_ms = 0;
    ls_buf_clear(&reply->body);
    if (headers_fill(request, &headers, err) < 0)
        goto out;
    curl = handle_take(http);
    if (!curl) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    handle_setup(http, curl, &transfer, headers);
    code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
        snprintf(status, sizeof(status), "%ld", reply->status);
        r = 0;
    } else {
        r = curl_fail(&transfer, code, err);
    }
    if (http->call_counter)
        http->call_counter(http->arg, request->label, status,
                           (double)(ls_mono_ms() - start) / 1000.0);
out:
    handle_give(http, curl);
    curl_slist_free_all(headers);
    return r;
}

int
ap_http_fail(const struct ap_http_request *request, const struct ap_http_reply *reply,
             struct ls_err *err)
{
    static const struct {
        long status;
        enum ls_err_kind kind;
        const char *cause;
    } table[] = {
        {401, LS_ERR_RETRY, "sign-in"},
        {403, LS_ERR_POISON, "denied"},
        {404, LS_ERR_RETRY, "gone"},
        {408, LS_ERR_RETRY, "timeout"},
        {409, LS_ERR_RETRY, "taken"},
        {412, LS_ERR_RETRY, "taken"},
        {419, LS_ERR_RETRY, "content-mismatch"},
        {423, LS_ERR_RETRY, "busy"},
        {425, LS_ERR_RETRY, "busy"},
        {429, LS_ERR_RETRY, "slow-down"},
        {500, LS_ERR_RETRY, "internal"},
        {502, LS_ERR_RETRY, "target-down"},
        {503, LS_ERR_RETRY, "slow-down"},
        {504, LS_ERR_RETRY, "target-down"},
        {507, LS_ERR_RETRY, "quota"},
    };
    long status = reply->status;
    int code = (int)status;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status != status)
            continue;
        if (!strcmp(table[i].cause, "slow-down"))
            code = (int)reply->retry_after_ms;
        return ls_fail_cause(err, table[i].kind, code, table[i].cause, "%s: HTTP %ld",
                             request->label, status);
    }
    if (status >= 500)
        return ls_fail_cause(err, LS_ERR_RETRY, code, "internal", "%s: HTTP %ld", request->label,
                             status);
    if (status / 100 ==
        3) /* a proxy's page about maintenance: nothing of oCIS sends us elsewhere */
        return ls_fail_cause(err, LS_ERR_RETRY, code, "target-down", "%s: HTTP %ld", request->label,
                             status);
    return ls_fail_cause(err, LS_ERR_POISON, code, "refused", "%s: HTTP %ld", request->label,
                         status);
}
