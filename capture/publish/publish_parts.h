/*
 * Inside of publish.c and marks.c: the publisher's state.
 */
#ifndef CAP_PUBLISH_PARTS_H
#define CAP_PUBLISH_PARTS_H

#include "capture/publish/publish.h"
#include "common/kafka.h"
#include "common/records.h"

struct cap_publisher {
    const struct ls_config *config;
    struct ls_producer *producer;
    struct ls_arena *arena; /* keys of one row */
    struct ls_buf value;
    struct ls_envelope envelope; /* of the row at hand */
    const char *topics[LS_T_COUNT];
    const char *position_topic, *dlq_topic;
    char transactional_id[256];
    char source[280];
    int partitions;
    bool full_before, link_secrets, federation_secrets;
    bool hides[LS_T_COUNT]; /* values of the table may have to be hidden */
    int64_t commit_ms, commit_rows;
    struct cap_position now;
    char *columns; /* of the watched tables at `now`; NULL: rows bring them */
    bool columns_changed;
    bool open;
    int64_t open_since_ms, open_rows;
    int64_t waited_since_ms;                 /* the oldest row of the transaction at hand */
    int64_t commit_begun_ms, committed_ms;   /* the last one */
    int64_t heartbeat_us, heartbeat_kept_us; /* the last one sent, the last one committed */
    int beats; /* partitions that have their heartbeat of this round */
    int64_t commits, rows;
    cap_row_fn *each; /* NULL: nobody wants to know */
    void *each_arg;
};

/* Begins a Kafka transaction unless one is open. */
int cap_publisher_open(struct cap_publisher *publisher, struct ls_err *err);

static inline struct ls_seq
cap_publisher_next(struct cap_publisher *p)
{
    return (struct ls_seq){p->now.epoch, ++p->now.counter, 0};
}

#endif
