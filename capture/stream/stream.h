/*
 * Events in their order: transactions, table maps, rows, statements, and how far was read.
 *
 * No I/O but through the publisher; information_schema is read by the caller when asked for.
 */
#ifndef CAP_STREAM_H
#define CAP_STREAM_H

#include "capture/publish/publish.h"
#include "capture/source/coords.h"
#include "capture/source/session.h"
#include "capture/stream/schema.h"

struct cap_stream;
/* `schema` and `publisher` are borrowed. NULL without memory. */
struct cap_stream *cap_stream_new(struct cap_schema *schema, struct cap_publisher *publisher);
void cap_stream_free(struct cap_stream *stream);
/* A new dump begins at the publisher's position; what was known of the old one is forgotten. */
void cap_stream_restart(struct cap_stream *stream);

/* The dump begins at the head of the position's file: what ends up to `until` was taken before. 0:
 * it begins at the position. FATAL cause "diverged" when no event of the file ends there. */
void cap_stream_pass(struct cap_stream *stream, uint64_t until);

/*
 * Takes one event. When rows went by that the stream cannot show (TRUNCATE, DROP, a rollback behind
 * rows), the position says so: `lost`. FATAL with the place in the message; when the event needs
 * columns that are not known: -1, RETRY, cause CAP_COLUMNS_WANTED: find them out (columns.h) and
 * give the same packet again.
 */
#define CAP_COLUMNS_WANTED "columns-wanted"
int cap_stream_take(struct cap_stream *stream, const struct cap_packet *packet, struct ls_err *err);

/* What the source has, asked for while a transaction in part is waited for: one that is not there
 * will not come, and its rows will not be undone by rows: `lost`. */
void cap_stream_source_has(struct cap_stream *stream, const struct cap_gtid_set *all);
/* A replica that stands still or is behind: that it has nothing more moves the time of reading no
 * longer, only what comes from it. */
void cap_stream_source_is_stale(struct cap_stream *stream, bool stale);
/* Between transactions, and no transaction published in part. */
bool cap_stream_at_boundary(const struct cap_stream *stream);
/* How far the binlog was read; no file while that is not known: after a start by GTID, until the
 * first transaction's end or heartbeat. */
const struct cap_coords *cap_stream_coords(const struct cap_stream *stream);
/* The table that CAP_COLUMNS_WANTED was about. */
const struct ls_table *cap_stream_wants(const struct cap_stream *stream);
/* Where the event that came last ends, also inside a transaction. */
const struct cap_coords *cap_stream_at(const struct cap_stream *stream);
int64_t cap_stream_groups(const struct cap_stream *stream); /* transactions that have ended */
/* How far the source was read with nothing left out: the time of the source's last word that it
 * had no more, else the last transaction's commit time; 0: not known yet. */
int64_t cap_stream_read_us(const struct cap_stream *stream);
/* This machine's clock is at `now_us`, and was set back by `back_us` at some time: 0: never. */
void cap_stream_clock(struct cap_stream *stream, int64_t now_us, int64_t back_us);
int64_t cap_stream_events(const struct cap_stream *stream);
int64_t cap_stream_bytes(const struct cap_stream *stream); /* of those events */
int64_t cap_stream_rows(const struct cap_stream *stream);  /* watched ones in them */

#endif
