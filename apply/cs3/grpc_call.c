/*
 * One call of the gRPC client as a stream of HTTP/2: its request, its reply, its end.
 *
 * nghttp2 finds a call through its stream's user data only; when a call has ended before its
 * stream, there is none any more and what still comes is dropped. Status and message stand in the
 * trailers, or in the only header when the server fails at once; without a grpc-status the HTTP
 * status has to do. A reply is one message of exactly the length its prefix says.
 */
#include "apply/cs3/grpc_parts.h"
#include <stdio.h>
#include <string.h>

enum {
    FIRST_STREAMS = 100, /* in flight until the server's SETTINGS say otherwise */
    MAX_TRIES = 10,
};

/* ---- calls */
void
ap_grpc_finish(struct ap_grpc *client, struct ap_grpc_stream *call, int code, bool answered,
               bool not_processed, const char *message)
{
    ap_grpc_list_remove(call);
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
call_rewind(struct ap_grpc_stream *call)
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
void
ap_grpc_requeue(struct ap_grpc *client, struct ap_grpc_stream *call)
{
    if (++call->tries >= MAX_TRIES) {
        ap_grpc_finish(client, call, GRPC_UNAVAILABLE, false, true, "refused again and again");
        return;
    }
    ap_grpc_list_remove(call);
    client->n_open--;
    client->n_queued++;
    call_rewind(call);
    ap_grpc_list_insert(client->queue.next, call);
    client->stats.resent++;
}

/* ---- nghttp2's callbacks */
static ssize_t
on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
        nghttp2_data_source *source, void *arg)
{
    struct ap_grpc_stream *call = nghttp2_session_get_stream_user_data(session, id);
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
    struct ap_grpc_stream *call =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

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
    struct ap_grpc_stream *call = nghttp2_session_get_stream_user_data(session, id);

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

/* What an HTTP status stands for when there is no grpc-status. Whoever said it is not the server,
 * but somebody in front of it who has not found it (404: a proxy that has lost its route while oCIS
 * starts), so unlike other gRPC clients we take it for no verdict on our token or the method. */
static int
code_of_http(int http)
{
    switch (http) {
    case 400:
        return GRPC_INTERNAL;
    case 429:
        return GRPC_RESOURCE_EXHAUSTED;
    case 401:
    case 403:
    case 404:
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
reply_is_whole(const struct ap_grpc_stream *call)
{
    const uint8_t *p = call->prefix;
    uint32_t len;

    if (call->prefix_len < sizeof(call->prefix) || p[0])
        return false;
    len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    return len == call->reply->n - call->reply_start;
}

static void
close_without_status(struct ap_grpc *client, struct ap_grpc_stream *call, uint32_t error)
{
    if (error == NGHTTP2_CANCEL)
        ap_grpc_finish(client, call, GRPC_CANCELLED, false, false, "cancelled by the server");
    else if (error == NGHTTP2_ENHANCE_YOUR_CALM)
        ap_grpc_finish(client, call, GRPC_RESOURCE_EXHAUSTED, true, false, "the server wants calm");
    else if (error)
        ap_grpc_finish(client, call, GRPC_CANCELLED, false, false, nghttp2_http2_strerror(error));
    else if (call->http > 0 && call->http != 200)
        ap_grpc_finish(client, call, code_of_http(call->http), true, false,
                       "an HTTP error, no gRPC");
    else
        ap_grpc_finish(client, call, GRPC_INTERNAL, false, false, "a reply without a status");
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct ap_grpc *client = arg;
    struct ap_grpc_stream *call = nghttp2_session_get_stream_user_data(session, id);

    if (!call)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (call->too_large)
        ap_grpc_finish(client, call, GRPC_RESOURCE_EXHAUSTED, false, false,
                       "the reply is too large");
    else if (error == NGHTTP2_REFUSED_STREAM)
        ap_grpc_requeue(client, call);
    else if (call->code < 0)
        close_without_status(client, call, error);
    else if (call->code != GRPC_OK)
        ap_grpc_finish(client, call, call->code, true, false, NULL);
    else if (call->bad_type || !reply_is_whole(call))
        ap_grpc_finish(client, call, GRPC_INTERNAL, false, false,
                       "a reply that breaks the framing");
    else
        ap_grpc_finish(client, call, GRPC_OK, true, false, NULL);
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
        struct ap_grpc_stream *call =
            nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call)
            call->sent = true;
    }
    return 0;
}

/* ---- sessions and requests */
int
ap_grpc_session_open(struct ap_grpc *client)
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

int32_t
ap_grpc_submit(struct ap_grpc *client, struct ap_grpc_stream *call, int64_t now)
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
