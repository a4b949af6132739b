/*
 * Snapshots in the stream: chunk by chunk, exact, without a lock.
 */
#ifndef CAP_SNAPSHOT_H
#define CAP_SNAPSHOT_H

#include "capture/publish/publish.h"
#include "capture/stream/schema.h"
#include "capture/stream/stream.h"
#include "common/control.h"

struct cap_snapshot;
/* All borrowed. NULL without memory. */
struct cap_snapshot *cap_snapshot_new(const struct ls_config *config, struct cap_schema *schema,
                                      struct cap_publisher *publisher);
void cap_snapshot_free(struct cap_snapshot *snapshot);

/* Begin brackets, and the state in the publisher's position: the next steps read chunks of
 * everything. A snapshot that is running begins anew. */
int cap_snapshot_begin(struct cap_snapshot *snapshot, struct ls_err *err);
/* Running or paused, of everything: it repairs whatever was lost before it began. */
bool cap_snapshot_covers_all(const struct cap_position *position);
/* When it is paused: it runs again, with a word in the log. */
void cap_snapshot_go_on(struct cap_position *position);
/*
 * A command, between two transactions: snapshot-start, -pause, -resume, -cancel. Changes the state
 * in the publisher's position; the caller commits. POISON: refused, the cause says why ("busy",
 * "not-running", "unknown-command", and those of cap_select); else the source failed.
 */
int cap_snapshot_command(struct cap_snapshot *snapshot, const struct ls_command *command,
                         struct ls_err *err);
/*
 * To be called when the stream is between two transactions. Reads a chunk, or emits the one it
 * holds once the stream has come to its place, or ends the snapshot. *ret_busy: call again at the
 * next boundary without waiting. Nothing happens when no snapshot is running.
 */
int cap_snapshot_step(struct cap_snapshot *snapshot, const struct cap_stream *stream,
                      bool *ret_busy, struct ls_err *err);
/* After a reconnect: the chunk in memory is read again. */
void cap_snapshot_drop(struct cap_snapshot *snapshot);
/* How chunks find their place (view.h), "" not known yet; and whether one waits for the stream. */
const char *cap_snapshot_method(const struct cap_snapshot *snapshot);
/* Milliseconds until the next chunk can be read, when the source was not ready for it; else 0. */
int cap_snapshot_wait_ms(const struct cap_snapshot *snapshot);
bool cap_snapshot_waits(const struct cap_snapshot *snapshot);
/* The table it is at, or "". */
const char *cap_snapshot_table(const struct cap_position *position);

#endif
