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
#include "apply/cs3/grpc_parts.h"
#include "apply/lease.h"
#include "common/run.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECT_MS = 5000,
    STOP_LOOK_MS = 1000, /* how often a patient call is asked whether we are to stop */
    GRACE_MS = 50,       /* the server gets this much longer to say DEADLINE_EXCEEDED itself */
    FRAME_MAX = 16 * 1024 + 9,
};

/* ---- the connection */
/* Closes the connection: what was sent has an unknown outcome, the rest waits for the next one. */
static void
drop(struct ap_grpc *client, const char *why)
{
    if (client->session) { /* before the calls go: the session must not find them any more */
        for (struct ap_grpc_stream *call = client->open.next; call != &client->open;
             call = call->next)
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
        struct ap_grpc_stream *call = client->open.prev;
        if (call->sent)
            ap_grpc_finish(client, call, GRPC_UNAVAILABLE, false, false, why);
        else
            ap_grpc_requeue(client, call);
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
            ap_grpc_finish(client, client->queue.next, GRPC_UNAVAILABLE, false, true, why);
        client->retry_at = ls_mono_ms() + ls_backoff_next_ms(&client->backoff);
        return;
    }
    if (ap_grpc_session_open(client) < 0)
        drop(client, "out of memory");
}

/* Another process may be the one that calls now: nothing more goes out, not even what was on its
 * way. */
static void
hold_back(struct ap_grpc *client)
{
    while (client->queue.next != &client->queue)
        ap_grpc_finish(client, client->queue.next, GRPC_UNAVAILABLE, false, true,
                       "no proof that no other applier has taken over");
    if (client->fd >= 0 &&
        (client->out_off < client->out_len || nghttp2_session_want_write(client->session)))
        drop(client, "no lease");
    while (client->queue.next != &client->queue) /* what had not gone */
        ap_grpc_finish(client, client->queue.next, GRPC_UNAVAILABLE, false, true, "no lease");
}

static void
submit(struct ap_grpc *client, int64_t now)
{
    uint32_t most = nghttp2_session_get_remote_settings(client->session,
                                                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    while (client->n_queued && !client->draining && client->n_open < most) {
        struct ap_grpc_stream *call = client->queue.next;
        int32_t id = ap_grpc_submit(client, call, now);
        if (id < 0) { /* stream ids are used up, or the session is closing */
            client->draining = true;
            break;
        }
        ap_grpc_list_remove(call);
        client->n_queued--;
        client->n_open++;
        call->id = id;
        call->opened = now;
        ap_grpc_list_insert(&client->open, call);
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

static int64_t
due(const struct ap_grpc_stream *call)
{
    return ls_run_stopping() ? call->soon : call->deadline;
}

/* Ends what is overdue; a connection that said nothing meanwhile is not used for new calls. */
static void
expire(struct ap_grpc *client, int64_t now)
{
    struct ap_grpc_stream *next;

    for (struct ap_grpc_stream *call = client->queue.next; call != &client->queue; call = next) {
        next = call->next;
        if (call->soon <= now) /* patience is for what the server has */
            ap_grpc_finish(client, call, GRPC_DEADLINE_EXCEEDED, false, true,
                           "no room before the deadline");
    }
    for (struct ap_grpc_stream *call = client->open.next; call != &client->open; call = next) {
        next = call->next;
        if (due(call) + GRACE_MS > now)
            continue;
        nghttp2_session_set_stream_user_data(client->session, call->id, NULL);
        nghttp2_submit_rst_stream(client->session, 0, call->id, NGHTTP2_CANCEL);
        if (client->last_recv < call->opened)
            client->draining = true;
        ap_grpc_finish(client, call, GRPC_DEADLINE_EXCEEDED, false, !call->sent, "deadline");
    }
}

static void
step(struct ap_grpc *client, short revents)
{
    if (client->fd >= 0 && (revents & (POLLIN | POLLHUP | POLLERR)))
        receive(client);
    expire(client, ls_mono_ms());
    if (!ap_lease_held())
        hold_back(client);
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

    for (const struct ap_grpc_stream *c = client->open.next; c != &client->open; c = c->next) {
        if (due(c) + GRACE_MS < at)
            at = due(c) + GRACE_MS;
        if (c->soon < c->deadline && now + STOP_LOOK_MS < at)
            at = now + STOP_LOOK_MS;
    }
    for (const struct ap_grpc_stream *c = client->queue.next; c != &client->queue; c = c->next)
        if (c->soon < at)
            at = c->soon;
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
    return ap_grpc_call_patient(client, method, token, req, len, deadline_ms, deadline_ms, reply,
                                ret_status, err);
}

int
ap_grpc_call_patient(struct ap_grpc *client, const char *method, const char *token, const void *req,
                     size_t len, int short_ms, int deadline_ms, struct ls_buf *reply,
                     struct ap_grpc_status *ret_status, struct ls_err *err)
{
    int64_t now = ls_mono_ms();
    struct ap_grpc_status status = {0};
    struct ap_grpc_stream call = {
        .method = method,
        .token = token,
        .req = req,
        .req_len = len,
        .reply = reply,
        .reply_start = reply->n,
        .code = -1,
        .deadline = now + deadline_ms,
        .soon = now + (short_ms < deadline_ms ? short_ms : deadline_ms),
        .status = &status,
        .cond = PTHREAD_COND_INITIALIZER,
    };
    uint64_t one = 1;
    int r = 0;

    if (len > AP_GRPC_MAX_REPLY)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "a request of %zu bytes", len);
    pthread_mutex_lock(&client->mutex);
    ap_grpc_list_insert(&client->queue, &call);
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
