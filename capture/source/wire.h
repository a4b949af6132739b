/*
 * The binlog's packets straight off a socket that is not encrypted: no thread, no copy.
 */
#ifndef CAP_WIRE_H
#define CAP_WIRE_H

#include "capture/source/readahead.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cap_wire_start {
    int fd;              /* the dump was asked for on it; borrowed */
    uint8_t seq;         /* of the packet that comes first */
    const uint8_t *rest; /* read from it already; copied */
    size_t n_rest;
    int64_t heartbeat_ms; /* how often the source speaks when it has nothing to send */
    int64_t first_ms;     /* how long it may take to its first word, */
    int64_t silence_ms;   /* and from one to the next */
    /* What an error of the source, or of the connection (CR_...), means; returns -1. */
    int (*fail)(void *arg, unsigned code, const char *text, struct ls_err *err);
    void *arg;
};

struct cap_wire;
int cap_wire_new(const struct cap_wire_start *start, struct cap_wire **ret, struct ls_err *err);
void cap_wire_free(struct cap_wire *wire); /* NULL is fine */
/* 1 and a packet, 0 when none came within timeout_ms, or a signal did. */
int cap_wire_next(struct cap_wire *wire, int timeout_ms, struct cap_packet *ret,
                  struct ls_err *err);
/* Whether the next packet is there to its last byte. */
bool cap_wire_at_hand(const struct cap_wire *wire);
/* Whether a good deal more came already: what is at hand is not the source's last word. */
bool cap_wire_has_more(const struct cap_wire *wire);

#endif
