/*
 * How far the source has been read in each partition that this instance holds, and how far a
 * snapshot has come. A plain value in memory, no I/O.
 *
 * Notes belong to the open batch: they are kept when it is committed and undone when it is thrown
 * away. What is told (tf_reach_oldest, tf_reach_snapshot) is what was kept.
 */
#ifndef TF_REACH_H
#define TF_REACH_H

#include "common/records.h"

struct tf_reach;

/* NULL when memory is out. */
struct tf_reach *tf_reach_new(int partitions);
void tf_reach_free(struct tf_reach *reach); /* NULL is fine */

/* The group gives or takes a partition. What was known of it is forgotten. */
void tf_reach_hold(struct tf_reach *reach, enum ls_table_id table, int32_t partition, bool held,
                   int64_t now_us);
void tf_reach_note(struct tf_reach *reach, const struct ls_envelope *envelope, int32_t partition);
void tf_reach_keep(struct tf_reach *reach);
void tf_reach_undo(struct tf_reach *reach);

/* The time that a heartbeat of this table may carry on: its own, or that of a lesser table of the
 * same cs3 topic that has not been read so far; 0: nothing is known of one, it must not go on. */
int64_t tf_reach_limit(const struct tf_reach *reach, const struct ls_envelope *heartbeat);

/* Source time of the partition that is furthest behind; 0 when none is held. */
int64_t tf_reach_oldest(const struct tf_reach *reach);
/* Partitions of oc_filecache between `begin` and `end`; whether one has ended and none is open;
 * rows read. */
void tf_reach_snapshot(const struct tf_reach *reach, int *ret_open, bool *ret_done,
                       int64_t *ret_rows);

#endif
