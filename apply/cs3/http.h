/*
 * HTTP requests for the data server and Graph: libcurl handles, kept with their connections.
 *
 * Thread-safe: a request takes an idle handle (or makes one) and puts it back. Never through a
 * proxy, no redirects, HTTP/1.1, no Expect: 100-continue.
 */
#ifndef AP_HTTP_H
#define AP_HTTP_H

#include "apply/writer.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"

struct ap_http;
int ap_http_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                struct ap_http **ret, struct ls_err *err);
void ap_http_free(struct ap_http *http); /* NULL is fine */

/* Fills p with up to n bytes; 0 at the end, -1 with err to break the transfer off. */
typedef ssize_t ap_http_read_fn(void *arg, void *p, size_t n, struct ls_err *err);
/* Takes a piece of the reply; -1 with err to break the transfer off. */
typedef int ap_http_write_fn(void *arg, const void *p, size_t n, struct ls_err *err);

struct ap_http_request {
    const char *label;  /* for the counter: "PUT", "graph users" */
    const char *method; /* "GET", "PUT", ... */
    const char *url;
    const char *token;           /* x-access-token, or NULL */
    const char *user, *password; /* basic authentication, or NULL */
    const char *content_type;    /* of body, or NULL */
    const char *header;          /* one more "Name: value", or NULL */
    const void *body;            /* body_len bytes, or NULL */
    size_t body_len;
    ap_http_read_fn *read; /* instead of body: read_len bytes */
    void *read_arg;
    int64_t read_len;
    ap_http_write_fn *write; /* instead of reply.body */
    void *write_arg;
};
struct ap_http_reply {
    long status;
    struct ls_buf body;     /* initialised by the caller, its cap is the most */
    char file_id[384];      /* oc-fileid, "" where there is none */
    char etag[64];          /* without quotes, "" where there is none */
    int64_t retry_after_ms; /* 0: not said */
};

/* 0 when there is an answer, whatever its status. -1: RETRY target-down (never connected),
 * RETRY timeout (the outcome is unknown), or the error of `read` or `write`. */
int ap_http_do(struct ap_http *http, const struct ap_http_request *request,
               struct ap_http_reply *reply, struct ls_err *err);
/* How long nothing may move, with so much of a body of `all` bytes sent: `quiet_ms`, and once all
 * has been sent as much longer as the target takes for 16 MiB a second (16 KiB a millisecond). */
int64_t ap_http_patience_ms(int64_t quiet_ms, int64_t sent, int64_t all);
/* What a status of 300 or more means; always -1. 401 is RETRY sign-in, the rest by writer.h. */
int ap_http_fail(const struct ap_http_request *request, const struct ap_http_reply *reply,
                 struct ls_err *err);

#endif
