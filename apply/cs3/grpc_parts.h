/*
 * The gRPC client, inside: its state, and what its two files ask of each other.
 *
 * Everything is called with the client's mutex held.
 */
#ifndef AP_GRPC_PARTS_H
#define AP_GRPC_PARTS_H

#include "apply/cs3/grpc.h"
#include "common/run.h"
#include <nghttp2/nghttp2.h>
#include <pthread.h>

enum { GRPC_BUFFER = 65536 };

struct ap_grpc_stream {                 /* on its caller's stack */
    struct ap_grpc_stream *next, *prev; /* in `queue` or `open` */
    int32_t id;                         /* stream; 0: queued */
    bool sent, done;
    int tries;
    int64_t deadline, opened;
    int64_t soon; /* its deadline until it is sent, and when the process is to stop; not later */
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
    struct ap_grpc_stream queue, open; /* list heads */
    int64_t retry_at, last_recv;
    struct ls_backoff backoff;
    struct ap_grpc_stats stats;
    uint8_t out[GRPC_BUFFER], in[GRPC_BUFFER];
    size_t out_len, out_off;
};
static inline void
ap_grpc_list_remove(struct ap_grpc_stream *call)
{
    call->prev->next = call->next;
    call->next->prev = call->prev;
}

static inline void
ap_grpc_list_insert(struct ap_grpc_stream *at, struct ap_grpc_stream *call)
{
    call->prev = at->prev;
    call->next = at;
    at->prev->next = call;
    at->prev = call;
}

/* Lets the caller go; `message` NULL: as the server wrote it. */
void ap_grpc_finish(struct ap_grpc *client, struct ap_grpc_stream *call, int code, bool answered,
                    bool not_processed, const char *message);
/* Certainly not processed: to the head of the queue, and once more; given up after some tries. */
void ap_grpc_requeue(struct ap_grpc *client, struct ap_grpc_stream *call);
/* client->session for a new connection; 0 or -1. */
int ap_grpc_session_open(struct ap_grpc *client);
/* Sends the request as a new stream; its id, or a negative error of nghttp2. */
int32_t ap_grpc_submit(struct ap_grpc *client, struct ap_grpc_stream *call, int64_t now);

#endif
