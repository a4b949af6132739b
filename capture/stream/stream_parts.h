/*
 * Inside of stream.c, stream_group.c and stream_rows.c: the stream's state.
 */
#ifndef CAP_STREAM_PARTS_H
#define CAP_STREAM_PARTS_H

#include "capture/binlog/payload.h"
#include "capture/binlog/xa.h"
#include "capture/stream/stream.h"

#define CAP_LAYOUTS 64
#define CAP_SEEN_IDS 64
#define CAP_OTHERS 64

/* The bytes of a table map, which comes again with every statement; n == 0: too many to keep. */
struct cap_kept_map {
    size_t n;
    uint8_t bytes[1024];
};

struct cap_stream {
    struct cap_schema *schema;
    struct cap_publisher *publisher;
    bool checksum;
    struct cap_coords at;
    bool at_exact;       /* all in front of `at` was read; not so behind a reconnect by GTID */
    uint64_t pass_until; /* in this file, what was taken before; 0: nothing */
    int64_t groups;      /* ended */
    char rotate_to[512]; /* what the last rotate of the file itself named; "" none */

    bool in_group;
    bool standalone; /* the next event is all of it */
    bool has_gtid, anonymous;
    struct cap_gtid gtid;
    char gtid_text[CAP_GTID_TEXT]; /* cap_group_gtid_text; "" not printed yet */
    bool repeated;                 /* taken before */
    bool xa;                       /* will be prepared only: its rows are not there yet */
    int64_t group_ts_us;
    int64_t group_rows; /* watched rows so far */
    int64_t skip;       /* of this group, or the next: published already */
    bool whole_gtids;   /* MySQL: the source has told all GTIDs in front of here */
    int64_t gap_told_ms;

    struct cap_layout layouts[CAP_LAYOUTS]; /* of watched tables, by table id */
    struct cap_kept_map maps[CAP_LAYOUTS];  /* what they were made from */
    size_t n_layouts, next_layout;
    struct cap_kept_map others[CAP_OTHERS]; /* of tables that are not watched, by table id */
    uint64_t seen[CAP_SEEN_IDS];            /* ids that were mapped in this statement */
    size_t n_seen;
    const struct ls_table *wants; /* its columns */

    struct cap_payload *payload;
    const uint8_t *payload_of; /* the packet that it is in, NULL: none is open */
    const uint8_t *inner;      /* the event of it at hand, to be taken again; NULL: none */
    size_t n_inner;

    int64_t read_us;
    bool stale;          /* the source has not got everything itself: its silence says nothing */
    int64_t received_us; /* the event at hand; the source's clock may be ahead of ours */
    int64_t events, bytes, rows;
    struct ls_buf scratch;
    struct cap_image before, after;
};

/* FATAL, with the place in the message. */
int cap_stream_fail(const struct cap_stream *stream, struct ls_err *err, const char *cause,
                    const char *what);

/* ---- stream_group.c: transactions and statements */

void cap_group_begin(struct cap_stream *stream, const struct cap_event *event);
/* Of the transaction at hand, "" when it has none. Printed once somebody asks. */
const char *cap_group_gtid_text(struct cap_stream *stream);
/* Behind a crash of the source: what was begun never ended. */
void cap_group_drop(struct cap_stream *stream);
/* What was published in part and does not come again will not be undone by rows. */
void cap_group_lose_parts(struct cap_stream *stream);
/* The same of one of them. */
void cap_group_lose_part(struct cap_stream *stream, size_t i);
/* The position's transactions in part become those that are waited for. */
void cap_group_expect_parts(struct cap_stream *stream);
int cap_group_gtid(struct cap_stream *stream, const struct cap_event *event, struct ls_err *err);
int cap_group_previous_gtids(struct cap_stream *stream, const struct cap_event *event,
                             struct ls_err *err);
int cap_group_query(struct cap_stream *stream, const struct cap_event *event, struct ls_err *err);
int cap_group_xa_prepare(struct cap_stream *stream, const struct cap_event *event,
                         struct ls_err *err);
int cap_group_end(struct cap_stream *stream, struct ls_err *err);

/* ---- stream_rows.c: table maps and rows */

void cap_rows_forget_maps(struct cap_stream *stream);
int cap_rows_take_map(struct cap_stream *stream, const struct cap_event *event, struct ls_err *err);
int cap_rows_take(struct cap_stream *stream, const struct cap_event *event, struct ls_err *err);

#endif
