/*
 * From one record of an oc10 topic to what is sent for it: rows to their mapping, brackets and
 * heartbeats to the topics they speak for, tombstones to the keys they bury. No I/O.
 */
#ifndef TF_ROUTE_H
#define TF_ROUTE_H

#include "transform/map.h"

/* Where a trash entry's last deletion went, so that its tombstone follows it. */
struct tf_route_state {
    int64_t trash_id;
    int32_t trash_partition;
};

enum tf_sort { TF_ROW, TF_BRACKET, TF_HEARTBEAT, TF_TOMBSTONE };

/* True when `envelope` asks for something the tables in memory do not have for certain. */
bool tf_route_asks(const struct tf_known *known, const struct ls_envelope *envelope);

/* An envelope; *ret_sort says how it is counted (only rows are). */
int tf_route_envelope(const struct tf_world *world, struct tf_route_state *state,
                      const struct ls_envelope *envelope, struct ls_arena *arena,
                      struct tf_result *ret, enum tf_sort *ret_sort, struct ls_err *err);

/* A tombstone with this key; no emit at all when nobody downstream has anything of it. */
int tf_route_tombstone(const struct tf_world *world, const struct tf_route_state *state,
                       const struct ls_table *table, struct ls_str key, struct ls_arena *arena,
                       struct tf_result *ret, struct ls_err *err);

#endif
