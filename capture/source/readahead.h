/*
 * A thread that takes the binlog's packets off a connection with TLS while others are worked on.
 */
#ifndef CAP_READAHEAD_H
#define CAP_READAHEAD_H

#include "common/err.h"
#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAP_FIRST_WORD_MS 120000 /* to look for our place in a file of any size */

struct cap_packet {
    const uint8_t *p; /* the event, without the status byte; valid until the next call */
    size_t n;
    int64_t received_us; /* when it came from the network */
    int64_t idle_us;     /* when the wait for it began, if there was nothing to read then; else 0 */
};

struct cap_readahead;
/*
 * The dump was asked for on `mysql`, which belongs to the thread from here on until
 * cap_readahead_stop. `fail` says what an error of the connection means. `heartbeat_ms`: how often
 * the source speaks when it has nothing to send.
 */
int cap_readahead_start(MYSQL *mysql, int64_t heartbeat_ms,
                        int (*fail)(MYSQL *mysql, struct ls_err *err), struct cap_readahead **ret,
                        struct ls_err *err);
void cap_readahead_stop(struct cap_readahead *a); /* NULL is fine */
/* 1 and a packet, 0 when none came within timeout_ms. What was read before a failure is given
 * first. */
int cap_readahead_next(struct cap_readahead *a, int timeout_ms, struct cap_packet *ret,
                       struct ls_err *err);
/* Whether the next packet is there without a lock or a wait. */
bool cap_readahead_at_hand(const struct cap_readahead *readahead);
/* Whether a good deal more was read already: what is at hand is not the source's last word. */
bool cap_readahead_has_more(struct cap_readahead *readahead);

#endif
