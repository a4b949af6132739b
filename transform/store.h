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

/* Written at each beginning: who holds this instance's name. Begins as zeroes and is the same for a
 * process's life. */
struct tf_mark {
    char process[48];
    unsigned n; /* the beginnings */
};

/* The last committed counters of this instance; all 0 when there are none. Begins and commits a
 * transaction of its own, which leaves the mark: that may be there after a failure, too. */
int tf_store_get(const struct ls_config *config, struct ls_producer *producer,
                 struct tf_counts *ret, struct tf_mark *mark, struct ls_err *err);

/* The last beginning under this instance's name; "": none. */
#define TF_MARK_TEXT 96
int tf_store_last(const struct ls_config *config, char ret[TF_MARK_TEXT], struct ls_err *err);
/* Whether that process began so: then nobody of its name has since. */
bool tf_mark_is(const struct tf_mark *mark, const char *last);

#endif
