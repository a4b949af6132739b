/*
 * Unary gRPC over cleartext HTTP/2: one connection to one host, many calls in flight.
 *
 * Each client has a thread of its own for the connection; ap_grpc_call blocks and may be called
 * from any number of threads. A call that was certainly not processed (never sent, refused, or
 * above GOAWAY's last stream) is sent again by itself until its deadline. No keepalive pings: the
 * servers' default policy answers them with "too many pings".
 */
#ifndef AP_GRPC_H
#define AP_GRPC_H

#include "common/buf.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

#define AP_GRPC_MAX_REPLY (64u << 20)

enum ap_grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct ap_grpc_status {
    int code;           /* enum ap_grpc_code, of the server or, without an answer, of the client */
    bool answered;      /* the server said so itself */
    bool not_processed; /* the server certainly did nothing */
    char message[200];  /* decoded, "" for none */
};

struct ap_grpc;

/* `host_port` is "host:port" or "[v6]:port". Nothing is connected before the first call.
 * FATAL target-config when the text is not an address. */
int ap_grpc_new(const char *host_port, struct ap_grpc **ret, struct ls_err *err);
/* No call may be in flight. NULL is fine. */
void ap_grpc_free(struct ap_grpc *client);

/*
 * One call. `method` is "/package.Service/Method"; `token` (may be NULL) becomes x-access-token.
 * Returns 0 with the message appended to `reply`. -1: *ret_status says what happened, and err is
 *   RETRY target-down   not processed, no connection; or the server's own UNAVAILABLE
 *   RETRY timeout       outcome unknown: deadline, connection lost with the call open
 *   RETRY slow-down     RESOURCE_EXHAUSTED
 *   RETRY sign-in       UNAUTHENTICATED, PERMISSION_DENIED (that is how a bad token looks)
 *   RETRY busy          ABORTED
 *   RETRY internal      INTERNAL, UNKNOWN, a reply that breaks the protocol
 *   POISON refused      INVALID_ARGUMENT and the like; a reply larger than the cap
 *   FATAL target-config UNIMPLEMENTED
 */
int ap_grpc_call(struct ap_grpc *client, const char *method, const char *token, const void *req,
                 size_t len, int deadline_ms, struct ls_buf *reply,
                 struct ap_grpc_status *ret_status, struct ls_err *err);

/* The same for a call of several steps, of which a server leaves the rest undone when nobody waits
 * any longer: once it is sent it has `deadline_ms`, before that, and when the process is to stop,
 * `short_ms`. */
int ap_grpc_call_patient(struct ap_grpc *client, const char *method, const char *token,
                         const void *req, size_t len, int short_ms, int deadline_ms,
                         struct ls_buf *reply, struct ap_grpc_status *ret_status,
                         struct ls_err *err);

struct ap_grpc_stats {
    unsigned long connects, goaways, resent;
};
void ap_grpc_stats(struct ap_grpc *client, struct ap_grpc_stats *ret);

#endif
