/*
 * Unary gRPC on nghttp2.
 *
 * What can go wrong, and what a caller must be able to tell apart: a call that the server never
 * saw may be sent again at once; a call whose answer was lost may or may not have happened. So a
 * call is `sent` from the moment its HEADERS frame has left; REFUSED_STREAM and streams above
 * GOAWAY's last id (nghttp2 closes those as refused) are certainly not processed and go back into
 * the queue, as does everything not yet sent when a connection dies. Of the rest the outcome is
 * unknown. A server that does not answer at all is noticed by deadlines: the connection is then
 * drained, because a dead path looks just like a slow server.
 *
 * All state of a client is behind one mutex; its I/O thread holds it except while it polls or
 * connects. A call lives on its caller's stack until `done`; nghttp2 only ever finds it through
 * the stream's user data, which is cleared before the caller is let go.
 */
#include "apply/grpc.h"
#include "common/run.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECT_MS = 5000,
    GRACE_MS = 50,       /* the server gets this much longer to say DEADLINE_EXCEEDED itself */
    FIRST_STREAMS = 100, /* in flight until the server's SETTINGS say otherwise */
    MAX_TRIES = 10,
    OUT_SIZE = 64 * 1024,
    FRAME_MAX = 16 * 1024 + 9,
};

struct call {
    struct call *next, *prev; /* in `queue` or `open` */
    int32_t id;               /* stream; 0: queued */
    bool sent, done;
    int tries;
    int64_t deadline, opened;
    const char *method, *token;
    const uint8_t *req;
    size_t req_len, req_off; /* req_off counts the five bytes of the prefix too */
    uint8_t prefix[5];       /* of the reply */
    size_t prefix_len;
    size_t reply_start;
    struct ls_buf *reply;
    bool too_large, bad_type;
    int http, code; /* code -1: no grpc-status yet */
    struct ap_grpc_status *status;
    pthread_cond_t cond;
};

struct ap_grpc {
    char host[256], port[8], authority[272];
    pthread_mutex_t mutex;
    pthread_t thread;
    int wake; /* eventfd */
    bool stop;

    int fd;
    nghttp2_session *session;
    bool draining;
    unsigned n_open, n_queued;
    struct call queue, open; /* list heads */
    int64_t retry_at, last_recv;
    struct ls_backoff backoff;
    struct ap_grpc_stats stats;
    uint8_t out[OUT_SIZE], in[OUT_SIZE];
    size_t out_len, out_off;
};

/* ---- calls */
static void
list_remove(struct call *call)
{
    call->prev->next = call->next;
    call->next->prev = call->prev;
}

static void
list_insert_before(struct call *at, struct call *call)
{
    call->prev = at->prev;
    call->next = at;
    at->prev->next = call;
    at->prev = call;
}

static void
finish(struct ap_grpc *client, struct call *call, int code, bool answered, bool not_processed,
       const char *message)
{
    list_remove(call);
    if (call->id)
        client->n_open--;
    else
        client->n_queued--;
    call->status->code = code;
    call->status->answered = answered;
    call->status->not_processed = not_processed;
    if (message)
        snprintf(call->status->message, sizeof(call->status->message), "%s", message);
    call->done = true;
    pthread_cond_signal(&call->cond);
}

/* Forgets what a try has brought. */
static void
call_rewind(struct call *call)
{
    call->id = 0;
    call->sent = false;
    call->req_off = 0;
    call->prefix_len = 0;
    call->reply->n = call->reply_start;
    call->reply->failed = false;
    call->too_large = call->bad_type = false;
    call->http = 0;
    call->code = -1;
    call->status->message[0] = '\0';
}

/* Not processed: to the head of the queue, and once more. */
static void
requeue(struct ap_grpc *client, struct call *call)
{
    if (++call->tries >= MAX_TRIES) {
        finish(client, call, GRPC_UNAVAILABLE, false, true, "refused again and again");
        return;
    }
    list_remove(call);
    client->n_open--;
    client->n_queued++;
    call_rewind(call);
    list_insert_before(client->queue.next, call);
    client->stats.resent++;
}

/* ---- nghttp2's callbacks */
static ssize_t
on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
        nghttp2_data_source *source, void *arg)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, id);
    size_t n = 0;

    (void)source;
    (void)arg;
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    while (n < len && call->req_off < 5) { /* not compressed, length big endian */
        uint32_t total = (uint32_t)call->req_len;
        buf[n++] = (uint8_t)(call->req_off ? total >> (8 * (4 - call->req_off)) : 0);
        call->req_off++;
    }
    if (call->req_off >= 5) {
        size_t off = call->req_off - 5, left = call->req_len - off;
        size_t take = left < len - n ? left : len - n;
        if (take)
            memcpy(buf + n, call->req + off, take);
        call->req_off += take;
        n += take;
        if (take == left)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

static int
number(const uint8_t *p, size_t n)
{
    int value = 0;

    if (!n || n > 4)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

static int
hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes grpc-message; control characters become blanks, for the log's sake. */
static void
message_decode(char *out, size_t size, const uint8_t *p, size_t n)
{
    size_t o = 0;

    for (size_t i = 0; i < n && o + 1 < size; i++) {
        uint8_t c = p[i];
        if (c == '%' && i + 2 < n && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
            c = (uint8_t)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
            i += 2;
        }
        out[o++] = c < 0x20 ? ' ' : (char)c;
    }
    out[o] = '\0';
}

static bool
name_is(const uint8_t *p, size_t n, const char *name)
{
    return n == strlen(name) && !memcmp(p, name, n);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
          const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    static const char type[] = "application/grpc";
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)flags;
    (void)arg;
    if (!call)
        return 0;
    if (name_is(name, name_n, ":status"))
        call->http = number(value, value_n);
    else if (name_is(name, name_n, "content-type"))
        call->bad_type = value_n < sizeof(type) - 1 || memcmp(value, type, sizeof(type) - 1) != 0;
    else if (name_is(name, name_n, "grpc-status")) {
        call->code = number(value, value_n);
        if (call->code < 0)
            call->code = GRPC_UNKNOWN;
    } else if (name_is(name, name_n, "grpc-message"))
        message_decode(call->status->message, sizeof(call->status->message), value, value_n);
    return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
        void *arg)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, id);

    (void)flags;
    (void)arg;
    if (!call || call->too_large)
        return 0;
    while (n && call->prefix_len < sizeof(call->prefix)) {
        call->prefix[call->prefix_len++] = *data++;
        n--;
    }
    if (call->reply->n - call->reply_start + n > AP_GRPC_MAX_REPLY ||
        (n && ls_buf_append(call->reply, data, n) < 0)) {
        call->too_large = true;
        nghttp2_submit_rst_stream(session, 0, id, NGHTTP2_CANCEL);
    }
    return 0;
}

/* What a gRPC client takes an HTTP status for when there is no grpc-status. */
static int
code_of_http(int http)
{
    switch (http) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
        return GRPC_RESOURCE_EXHAUSTED;
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* A reply is one message, not compressed, exactly as long as its prefix says. */
static bool
reply_is_whole(const struct call *call)
{
    const uint8_t *p = call->prefix;
    uint32_t len;

    if (call->prefix_len < sizeof(call->prefix) || p[0])
        return false;
    len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    return len == call->reply->n - call->reply_start;
}

static void
close_without_status(struct ap_grpc *client, struct call *call, uint32_t error)
{
    if (error == NGHTTP2_CANCEL)
        finish(client, call, GRPC_CANCELLED, false, false, "cancelled by the server");
    else if (error == NGHTTP2_ENHANCE_YOUR_CALM)
        finish(client, call, GRPC_RESOURCE_EXHAUSTED, true, false, "the server wants calm");
    else if (error)
        finish(client, call, GRPC_CANCELLED, false, false, nghttp2_http2_strerror(error));
    else if (call->http > 0 && call->http != 200)
        finish(client, call, code_of_http(call->http), true, false, "an HTTP error, no gRPC");
    else
        finish(client, call, GRPC_INTERNAL, false, false, "a reply without a status");
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct ap_grpc *client = arg;
    struct call *call = nghttp2_session_get_stream_user_data(session, id);

    if (!call)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (call->too_large)
        finish(client, call, GRPC_RESOURCE_EXHAUSTED, false, false, "the reply is too large");
    else if (error == NGHTTP2_REFUSED_STREAM)
        requeue(client, call);
    else if (call->code < 0)
        close_without_status(client, call, error);
    else if (call->code != GRPC_OK)
        finish(client, call, call->code, true, false, NULL);
    else if (call->bad_type || !reply_is_whole(call))
        finish(client, call, GRPC_INTERNAL, false, false, "a reply that breaks the framing");
    else
        finish(client, call, GRPC_OK, true, false, NULL);
    return 0;
}

static int
on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct ap_grpc *client = arg;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client->draining = true;
        client->stats.goaways++;
    }
    return 0;
}

static int
on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)arg;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call)
            call->sent = true;
    }
    return 0;
}

/* ---- the connection */
static int
session_open(struct ap_grpc *client)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20},
    };
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int r = -1;

    if (nghttp2_session_callbacks_new(&callbacks) || nghttp2_option_new(&option))
        goto out;
    nghttp2_option_set_peer_max_concurrent_streams(option, FIRST_STREAMS);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    if (nghttp2_session_client_new2(&client->session, callbacks, client, option)) {
        client->session = NULL;
        goto out;
    }
    if (nghttp2_submit_settings(client->session, 0, settings, 2) ||
        nghttp2_session_set_local_window_size(client->session, 0, 0, 8 << 20))
        goto out;
    r = 0;
out:
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r;
}

/* Closes the connection: what was sent has an unknown outcome, the rest waits for the next one. */
static void
drop(struct ap_grpc *client, const char *why)
{
    if (client->session) { /* before the calls go: the session must not find them any more */
        for (struct call *call = client->open.next; call != &client->open; call = call->next)
            nghttp2_session_set_stream_user_data(client->session, call->id, NULL);
        nghttp2_session_del(client->session);
        client->session = NULL;
    }
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->draining = false;
    client->out_len = client->out_off = 0;
    while (client->open.prev != &client->open) { /* from the back, so that the order stays */
        struct call *call = client->open.prev;
        if (call->sent)
            finish(client, call, GRPC_UNAVAILABLE, false, false, why);
        else
            requeue(client, call);
    }
}

/* Connects within CONNECT_MS; runs without the mutex. Returns the socket or -errno. */
static int
connect_one(const struct addrinfo *address)
{
    int one = 1, user_timeout = 20000, error = 0, fd;
    socklen_t len = sizeof(error);
    struct pollfd poller;

    fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
    if (connect(fd, address->ai_addr, address->ai_addrlen) && errno != EINPROGRESS) {
        error = errno;
        goto fail;
    }
    poller = (struct pollfd){fd, POLLOUT, 0};
    if (poll(&poller, 1, CONNECT_MS) <= 0) {
        error = ETIMEDOUT;
        goto fail;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
        error = errno;
    if (!error)
        return fd;
fail:
    close(fd);
    return -error;
}

static int
connect_any(const struct ap_grpc *client, char *why, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    int r, fd = -1;

    r = getaddrinfo(client->host, client->port, &hints, &list);
    if (r) {
        hints.ai_flags = 0; /* "localhost" where only loopback is up */
        r = getaddrinfo(client->host, client->port, &hints, &list);
    }
    if (r) {
        snprintf(why, size, "%s", gai_strerror(r));
        return -1;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = connect_one(a);
        if (fd < 0)
            snprintf(why, size, "%s", strerror(-fd));
    }
    freeaddrinfo(list);
    return fd < 0 ? -1 : fd;
}

/* Called with the mutex held, lets go of it meanwhile. A host that cannot be reached fails what
 * is queued at once: the caller knows best how long to wait for a whole target. */
static void
connect_now(struct ap_grpc *client)
{
    char why[128] = "";
    int fd;

    pthread_mutex_unlock(&client->mutex);
    fd = connect_any(client, why, sizeof(why));
    pthread_mutex_lock(&client->mutex);
    client->stats.connects++;
    client->fd = fd;
    client->last_recv = ls_mono_ms();
    if (fd < 0) {
        while (client->queue.next != &client->queue)
            finish(client, client->queue.next, GRPC_UNAVAILABLE, false, true, why);
        client->retry_at = ls_mono_ms() + ls_backoff_next_ms(&client->backoff);
        return;
    }
    if (session_open(client) < 0)
        drop(client, "out of memory");
}

/* nghttp2 copies both. */
static nghttp2_nv
nv(const char *name, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } n = {name}, v = {value};

    return (nghttp2_nv){n.out, v.out, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static int
call_submit(struct ap_grpc *client, struct call *call, int64_t now)
{
    int64_t left = call->deadline - now;
    char timeout[16];
    const nghttp2_data_provider body = {.read_callback = on_read};

    snprintf(timeout, sizeof(timeout), "%dm", left > 99999999 ? 99999999 : (int)left);
    const nghttp2_nv headers[] = {
        nv(":method", "POST"),
        nv(":scheme", "http"),
        nv(":path", call->method),
        nv(":authority", client->authority),
        nv("te", "trailers"),
        nv("content-type", "application/grpc"),
        nv("user-agent", "lockstep/" LS_VERSION),
        nv("grpc-timeout", timeout),
        nv("x-access-token", call->token ? call->token : ""),
    };
    size_t n = sizeof(headers) / sizeof(headers[0]) - (call->token ? 0 : 1);

    return nghttp2_submit_request(client->session, NULL, headers, n, &body, call);
}

static void
submit(struct ap_grpc *client, int64_t now)
{
    uint32_t most = nghttp2_session_get_remote_settings(client->session,
                                                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    while (client->n_queued && !client->draining && client->n_open < most) {
        struct call *call = client->queue.next;
        int32_t id = call_submit(client, call, now);
        if (id < 0) { /* stream ids are used up, or the session is closing */
            client->draining = true;
            break;
        }
        list_remove(call);
        client->n_queued--;
        client->n_open++;
        call->id = id;
        call->opened = now;
        list_insert_before(&client->open, call);
    }
}

static void
flush(struct ap_grpc *client)
{
    for (;;) {
        while (client->out_off < client->out_len) {
            ssize_t n = send(client->fd, client->out + client->out_off,
                             client->out_len - client->out_off, MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
            if (n < 0) {
                drop(client, strerror(errno));
                return;
            }
            client->out_off += (size_t)n;
        }
        client->out_len = client->out_off = 0;
        while (client->out_len + FRAME_MAX < sizeof(client->out)) {
            const uint8_t *data;
            ssize_t n = nghttp2_session_mem_send(client->session, &data);
            if (n < 0 || (size_t)n > sizeof(client->out) - client->out_len) {
                drop(client, n < 0 ? nghttp2_strerror((int)n) : "a frame too large");
                return;
            }
            if (n == 0)
                break;
            memcpy(client->out + client->out_len, data, (size_t)n);
            client->out_len += (size_t)n;
        }
        if (!client->out_len)
            return;
    }
}

static void
receive(struct ap_grpc *client)
{
    for (;;) {
        ssize_t n = recv(client->fd, client->in, sizeof(client->in), 0);
        ssize_t used;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            drop(client, n < 0 ? strerror(errno) : "the connection was closed");
            return;
        }
        client->last_recv = ls_mono_ms();
        ls_backoff_reset(&client->backoff);
        used = nghttp2_session_mem_recv(client->session, client->in, (size_t)n);
        if (used < 0) {
            drop(client, nghttp2_strerror((int)used));
            return;
        }
        if ((size_t)n < sizeof(client->in))
            return;
    }
}

/* Ends what is overdue; a connection that said nothing meanwhile is not used for new calls. */
static void
expire(struct ap_grpc *client, int64_t now)
{
    struct call *next;

    for (struct call *call = client->queue.next; call != &client->queue; call = next) {
        next = call->next;
        if (call->deadline <= now)
            finish(client, call, GRPC_DEADLINE_EXCEEDED, false, true,
                   "no room before the deadline");
    }
    for (struct call *call = client->open.next; call != &client->open; call = next) {
        next = call->next;
        if (call->deadline + GRACE_MS > now)
            continue;
        nghttp2_session_set_stream_user_data(client->session, call->id, NULL);
        nghttp2_submit_rst_stream(client->session, 0, call->id, NGHTTP2_CANCEL);
        if (client->last_recv < call->opened)
            client->draining = true;
        finish(client, call, GRPC_DEADLINE_EXCEEDED, false, !call->sent, "deadline");
    }
}

static void
step(struct ap_grpc *client, short revents)
{
    if (client->fd >= 0 && (revents & (POLLIN | POLLHUP | POLLERR)))
        receive(client);
    expire(client, ls_mono_ms());
    if (client->fd < 0 && client->n_queued && ls_mono_ms() >= client->retry_at)
        connect_now(client);
    if (client->fd >= 0)
        submit(client, ls_mono_ms());
    if (client->fd >= 0)
        flush(client);
    if (client->fd < 0)
        return;
    if (client->draining && !client->n_open)
        drop(client, "drained");
    else if (!nghttp2_session_want_read(client->session) &&
             !nghttp2_session_want_write(client->session))
        drop(client, "the session is over");
    if (client->fd < 0 && client->n_queued) { /* go on at once with a new connection */
        uint64_t one = 1;
        if (write(client->wake, &one, sizeof(one)) < 0)
            client->retry_at = 0;
    }
}

static int
next_timeout(const struct ap_grpc *client)
{
    int64_t now = ls_mono_ms(), at = INT64_MAX;

    for (const struct call *c = client->open.next; c != &client->open; c = c->next)
        if (c->deadline + GRACE_MS < at)
            at = c->deadline + GRACE_MS;
    for (const struct call *c = client->queue.next; c != &client->queue; c = c->next)
        if (c->deadline < at)
            at = c->deadline;
    if (client->fd < 0 && client->n_queued && client->retry_at < at)
        at = client->retry_at;
    if (at == INT64_MAX)
        return -1;
    return at <= now ? 0 : at - now > 60000 ? 60000 : (int)(at - now);
}

static void *
run(void *arg)
{
    struct ap_grpc *client = arg;

    pthread_mutex_lock(&client->mutex);
    while (!client->stop) {
        struct pollfd fds[2] = {
            {client->wake, POLLIN, 0},
            {client->fd, (short)(POLLIN | (client->out_off < client->out_len ? POLLOUT : 0)), 0},
        };
        nfds_t n = client->fd >= 0 ? 2 : 1;
        int timeout = next_timeout(client);
        uint64_t count;

        pthread_mutex_unlock(&client->mutex);
        if (poll(fds, n, timeout) < 0)
            fds[0].revents = fds[1].revents = 0;
        if (fds[0].revents && read(client->wake, &count, sizeof(count)) < 0)
            fds[0].revents = 0;
        pthread_mutex_lock(&client->mutex);
        step(client, n == 2 ? fds[1].revents : 0);
    }
    drop(client, "closed");
    pthread_mutex_unlock(&client->mutex);
    return NULL;
}

/* ---- the caller's side */
static int
fail(const char *method, const struct ap_grpc_status *status, bool too_large, struct ls_err *err)
{
    const char *name = strrchr(method, '/');
    enum ls_err_kind kind = LS_ERR_RETRY;
    const char *cause;

    switch (status->code) {
    case GRPC_UNAVAILABLE:
        cause = status->answered || status->not_processed ? "target-down" : "timeout";
        break;
    case GRPC_CANCELLED:
    case GRPC_DEADLINE_EXCEEDED:
        cause = status->not_processed ? "target-down" : "timeout";
        break;
    case GRPC_RESOURCE_EXHAUSTED:
        cause = too_large ? "refused" : "slow-down";
        kind = too_large ? LS_ERR_POISON : LS_ERR_RETRY;
        break;
    case GRPC_UNAUTHENTICATED:
    case GRPC_PERMISSION_DENIED:
        cause = "sign-in";
        break;
    case GRPC_ABORTED:
        cause = "busy";
        break;
    case GRPC_UNIMPLEMENTED:
        cause = "target-config";
        kind = LS_ERR_FATAL;
        break;
    case GRPC_INTERNAL:
    case GRPC_UNKNOWN:
        cause = "internal";
        break;
    default:
        cause = "refused";
        kind = LS_ERR_POISON;
    }
    /* For slow-down the code is a waiting time, which gRPC does not name. */
    return ls_fail_cause(err, kind, strcmp(cause, "slow-down") ? status->code : 0, cause,
                         "%s: gRPC status %d: %s", name ? name + 1 : method, status->code,
                         status->message);
}

int
ap_grpc_call(struct ap_grpc *client, const char *method, const char *token, const void *req,
             size_t len, int deadline_ms, struct ls_buf *reply, struct ap_grpc_status *ret_status,
             struct ls_err *err)
{
    struct ap_grpc_status status = {0};
    struct call call = {
        .method = method,
        .token = token,
        .req = req,
        .req_len = len,
        .reply = reply,
        .reply_start = reply->n,
        .code = -1,
        .deadline = ls_mono_ms() + deadline_ms,
        .status = &status,
        .cond = PTHREAD_COND_INITIALIZER,
    };
    uint64_t one = 1;
    int r = 0;

    if (len > AP_GRPC_MAX_REPLY)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "a request of %zu bytes", len);
    pthread_mutex_lock(&client->mutex);
    list_insert_before(&client->queue, &call);
    client->n_queued++;
    if (write(client->wake, &one, sizeof(one)) < 0) {
        /* The counter is full, so the thread is awake anyway. */
    }
    while (!call.done)
        pthread_cond_wait(&call.cond, &client->mutex);
    pthread_mutex_unlock(&client->mutex);
    pthread_cond_destroy(&call.cond);
    if (status.code != GRPC_OK) {
        reply->n = call.reply_start;
        r = fail(method, &status, call.too_large, err);
    }
    if (ret_status)
        *ret_status = status;
    return r;
}

void
ap_grpc_stats(struct ap_grpc *client, struct ap_grpc_stats *ret)
{
    pthread_mutex_lock(&client->mutex);
    *ret = client->stats;
    pthread_mutex_unlock(&client->mutex);
}

static int
address_split(struct ap_grpc *client, const char *host_port, struct ls_err *err)
{
    const char *colon = strrchr(host_port, ':');
    size_t n = colon ? (size_t)(colon - host_port) : 0;
    const char *host = host_port;

    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    }
    if (!n || n >= sizeof(client->host) || strlen(colon + 1) > 5 || !colon[1] ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) < 1 ||
        atoi(colon + 1) > 65535)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "target-config",
                             "\"%s\" is no address of the form host:port", host_port);
    snprintf(client->host, sizeof(client->host), "%.*s", (int)n, host);
    snprintf(client->port, sizeof(client->port), "%s", colon + 1);
    snprintf(client->authority, sizeof(client->authority), "%s", host_port);
    return 0;
}

int
ap_grpc_new(const char *host_port, struct ap_grpc **ret, struct ls_err *err)
{
    struct ap_grpc *client = calloc(1, sizeof(*client));
    int r = -1;

    if (!client)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    client->fd = client->wake = -1;
    client->backoff = (struct ls_backoff){.first_ms = 20, .max_ms = 2000};
    client->queue.next = client->queue.prev = &client->queue;
    client->open.next = client->open.prev = &client->open;
    pthread_mutex_init(&client->mutex, NULL);
    if (address_split(client, host_port, err) < 0)
        goto out;
    client->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (client->wake < 0 || pthread_create(&client->thread, NULL, run, client)) {
        ls_fail(err, LS_ERR_FATAL, errno, "cannot start a thread for %s", host_port);
        goto out;
    }
    *ret = client;
    client = NULL;
    r = 0;
out:
    if (client) {
        if (client->wake >= 0)
            close(client->wake);
        pthread_mutex_destroy(&client->mutex);
        free(client);
    }
    return r;
}

void
ap_grpc_free(struct ap_grpc *client)
{
    uint64_t one = 1;

    if (!client)
        return;
    pthread_mutex_lock(&client->mutex);
    client->stop = true;
    pthread_mutex_unlock(&client->mutex);
    if (write(client->wake, &one, sizeof(one)) < 0) {
        /* Full: it is awake and will see `stop`. */
    }
    pthread_join(client->thread, NULL);
    close(client->wake);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}
