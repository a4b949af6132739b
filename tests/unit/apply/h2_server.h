/*
 * A gRPC server of the worst kind, for tests: what it does is named by the method.
 *
 * - Echo: answers with the request
 * - Token: answers with x-access-token
 * - Big: answers with a megabyte
 * - Error: status 5 and a percent-encoded message
 * - Slow: never answers
 * - Late: answers with the request when a deadline of H2_LATE_MS is over
 * - Die: closes the connection
 * - Refuse: refuses the stream once, then echoes
 * - Goaway: GOAWAY below this stream once, then echoes
 * - Torn: a message longer than its prefix says
 * - Empty: status 0 without a message
 * - Html: 503 and text, no gRPC at all
 *
 * One thread for each connection, so it is as slow as it is simple.
 */
#ifndef H2_SERVER_H
#define H2_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define H2_LATE_MS 100

struct h2_server {
    int fd, port;
    pthread_t thread;
    atomic_bool stop;
    atomic_int running, connections, calls, refused, goaways;
};

struct h2_conn {
    struct h2_server *server;
    int fd;
    bool die;
};

struct h2_stream {
    char path[128], token[128];
    uint8_t *body;
    size_t len, off;
    bool torn;
};

static ssize_t
h2_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
        nghttp2_data_source *source, void *arg)
{
    struct h2_stream *stream = source->ptr;
    size_t n = stream->len - stream->off < len ? stream->len - stream->off : len;
    nghttp2_nv trailer = {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1, NGHTTP2_NV_FLAG_NONE};

    (void)arg;
    if (n)
        memcpy(buf, stream->body + stream->off, n);
    stream->off += n;
    if (stream->off == stream->len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(s, id, &trailer, 1);
    }
    return (ssize_t)n;
}

#define H2_NV(n, v)                                                                                \
    {                                                                                              \
        (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE                 \
    }

static void
h2_reply(nghttp2_session *s, int32_t id, struct h2_stream *stream)
{
    nghttp2_nv head[] = {H2_NV(":status", "200"), H2_NV("content-type", "application/grpc+proto")};
    nghttp2_data_provider body = {.source.ptr = stream, .read_callback = h2_body};

    nghttp2_submit_response(s, id, head, 2, &body);
}

/* Puts a five byte prefix before `n` bytes. */
static void
h2_message(struct h2_stream *stream, const void *p, size_t n)
{
    uint8_t *out = malloc(n + 5);

    if (!out)
        abort();
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(n >> (8 * (3 - i)));
    memcpy(out + 5, p, n);
    free(stream->body);
    stream->body = out;
    stream->len = n + 5;
}

static bool
h2_is(const struct h2_stream *stream, const char *name)
{
    return strcmp(strrchr(stream->path, '/') + 1, name) == 0;
}

static void
h2_answer(struct h2_conn *conn, nghttp2_session *s, int32_t id, struct h2_stream *stream)
{
    nghttp2_nv error[] = {H2_NV(":status", "200"), H2_NV("content-type", "application/grpc"),
                          H2_NV("grpc-status", "5"),
                          H2_NV("grpc-message", "no such%20thing%0a%e2%82%ac%")};
    nghttp2_nv html[] = {H2_NV(":status", "503"), H2_NV("content-type", "text/html")};
    nghttp2_nv lost[] = {H2_NV(":status", "404"), H2_NV("content-type", "text/html")};
    nghttp2_nv denied[] = {H2_NV(":status", "403"), H2_NV("content-type", "text/html")};

    atomic_fetch_add(&conn->server->calls, 1);
    if (h2_is(stream, "Slow"))
        return;
    if (h2_is(stream, "Late"))
        poll(NULL, 0, H2_LATE_MS + 5);
    if (h2_is(stream, "Die")) {
        conn->die = true;
    } else if (h2_is(stream, "Error")) {
        nghttp2_submit_response(s, id, error, 4, NULL);
    } else if (h2_is(stream, "Html")) {
        nghttp2_submit_response(s, id, html, 2, NULL);
    } else if (h2_is(stream, "Lost")) {
        nghttp2_submit_response(s, id, lost, 2, NULL);
    } else if (h2_is(stream, "Denied")) {
        nghttp2_submit_response(s, id, denied, 2, NULL);
    } else if (h2_is(stream, "Refuse") && atomic_fetch_add(&conn->server->refused, 1) == 0) {
        nghttp2_submit_rst_stream(s, 0, id, NGHTTP2_REFUSED_STREAM);
    } else if (h2_is(stream, "Goaway") && atomic_fetch_add(&conn->server->goaways, 1) == 0) {
        nghttp2_submit_goaway(s, 0, id > 2 ? id - 2 : 0, NGHTTP2_NO_ERROR, NULL, 0);
    } else {
        if (h2_is(stream, "Token"))
            h2_message(stream, stream->token, strlen(stream->token));
        if (h2_is(stream, "Big")) {
            void *big = calloc(1, 1 << 20);
            h2_message(stream, big, 1 << 20);
            free(big);
        }
        if (h2_is(stream, "Empty"))
            stream->len = 0;
        if (h2_is(stream, "Torn"))
            stream->body[4]--;
        h2_reply(s, id, stream);
    }
}

static int
h2_on_begin(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
    (void)arg;
    nghttp2_session_set_stream_user_data(s, f->hd.stream_id, calloc(1, sizeof(struct h2_stream)));
    return 0;
}

static int
h2_on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *n, size_t nl,
             const uint8_t *v, size_t vl, uint8_t flags, void *arg)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);

    (void)flags;
    (void)arg;
    if (nl == 5 && !memcmp(n, ":path", 5))
        snprintf(stream->path, sizeof(stream->path), "%.*s", (int)vl, (const char *)v);
    if (nl == 14 && !memcmp(n, "x-access-token", 14))
        snprintf(stream->token, sizeof(stream->token), "%.*s", (int)vl, (const char *)v);
    return 0;
}

static int
h2_on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(s, id);

    (void)flags;
    (void)arg;
    stream->body = realloc(stream->body, stream->len + n);
    if (!stream->body)
        abort();
    memcpy(stream->body + stream->len, p, n);
    stream->len += n;
    return 0;
}

static int
h2_on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
    struct h2_stream *stream;

    if ((f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) &&
        (f->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        stream = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
        if (stream)
            h2_answer(arg, s, f->hd.stream_id, stream);
    }
    return 0;
}

static int
h2_on_close(nghttp2_session *s, int32_t id, uint32_t error, void *arg)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(s, id);

    (void)error;
    (void)arg;
    if (stream)
        free(stream->body);
    free(stream);
    return 0;
}

static int
h2_send_all(nghttp2_session *s, int fd)
{
    const uint8_t *p;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(s, &p)) > 0)
        for (ssize_t off = 0; off < n;) {
            ssize_t r = send(fd, p + off, (size_t)(n - off), MSG_NOSIGNAL);
            if (r <= 0)
                return -1;
            off += r;
        }
    return n < 0 ? -1 : 0;
}

static void *
h2_conn_run(void *arg)
{
    struct h2_conn *conn = arg;
    nghttp2_session_callbacks *cb;
    nghttp2_session *s;
    nghttp2_settings_entry streams = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 20};
    uint8_t in[65536];

    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, h2_on_begin);
    nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_on_close);
    nghttp2_session_server_new(&s, cb, conn);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(s, 0, &streams, 1);
    while (!conn->server->stop && !conn->die && h2_send_all(s, conn->fd) == 0) {
        struct pollfd p = {conn->fd, POLLIN, 0};
        ssize_t n;
        if (poll(&p, 1, 20) <= 0)
            continue;
        n = recv(conn->fd, in, sizeof(in), 0);
        if (n <= 0 || nghttp2_session_mem_recv(s, in, (size_t)n) < 0)
            break;
    }
    close(conn->fd);
    for (int32_t id = 1; id < 2000; id += 2) { /* what is still open */
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(s, id);
        if (stream)
            free(stream->body);
        free(stream);
    }
    nghttp2_session_del(s);
    atomic_fetch_sub(&conn->server->running, 1);
    free(conn);
    return NULL;
}

static void *
h2_server_run(void *arg)
{
    struct h2_server *server = arg;

    while (!server->stop) {
        struct pollfd p = {server->fd, POLLIN, 0};
        struct h2_conn *conn;
        pthread_t thread;
        int fd;
        if (poll(&p, 1, 20) <= 0 || (fd = accept(server->fd, NULL, NULL)) < 0)
            continue;
        conn = calloc(1, sizeof(*conn));
        if (!conn)
            abort();
        *conn = (struct h2_conn){server, fd, false};
        atomic_fetch_add(&server->connections, 1);
        atomic_fetch_add(&server->running, 1);
        pthread_create(&thread, NULL, h2_conn_run, conn);
        pthread_detach(thread);
    }
    return NULL;
}

/* port 0: any. */
static void
h2_server_start(struct h2_server *server, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(a);
    int one = 1;

    memset(server, 0, sizeof(*server));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(server->fd, (struct sockaddr *)&a, sizeof(a)) || listen(server->fd, 16) ||
        getsockname(server->fd, (struct sockaddr *)&a, &len))
        abort();
    server->port = ntohs(a.sin_port);
    pthread_create(&server->thread, NULL, h2_server_run, server);
}

static void
h2_server_stop(struct h2_server *server)
{
    server->stop = true;
    pthread_join(server->thread, NULL);
    close(server->fd);
    while (server->running)
        usleep(1000);
}

#endif
