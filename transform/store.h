/*
 * Where the counters live: a record on <p>.counters, in the same transaction as the offsets.
 */
#ifndef TF_STORE_H
#define TF_STORE_H

#include "common/kafka.h"
#include "transform/counts.h"

/* Adds the counters to the open transaction. */
int tf_store_put(const struct ls_config *config, struct ls_producer *producer,
                 const struct tf_counts *counts, struct ls_err *err);

/* The last committed counters of this instance; all 0 when there are none. Begins and commits a
 * transaction of its own. */
int tf_store_get(const struct ls_config *config, struct ls_producer *producer,
                 struct tf_counts *ret, struct ls_err *err);

#endif
