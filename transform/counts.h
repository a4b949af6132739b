/*
 * The counters of this stage: rows in = records out + filtered + dead.
 *
 * A plain value: copied to be rolled back, written as JSON beside the offsets.
 */
#ifndef TF_COUNTS_H
#define TF_COUNTS_H

#include "common/buf.h"
#include "common/err.h"
#include <jansson.h>
#include <stdint.h>

enum tf_count_group {
    TF_COUNT_OUT,      /* records out by kind (topic) */
    TF_COUNT_FILTERED, /* rows left out by reason */
    TF_COUNT_DEAD,     /* dead letters by cause */
    TF_COUNT_WARNING,  /* mapped, but; not part of the balance */
    TF_COUNT_GROUPS,
};
extern const char *const tf_count_group_names[TF_COUNT_GROUPS];

#define TF_COUNT_NAMES 48
struct tf_counts {
    int64_t in;
    struct {
        char name[32];
        int64_t n;
    } by_name[TF_COUNT_GROUPS][TF_COUNT_NAMES];
};

/* Beyond TF_COUNT_NAMES names of a group the rest is counted as the last one. */
void tf_count(struct tf_counts *counts, enum tf_count_group group, const char *name);
int64_t tf_counts_sum(const struct tf_counts *counts, enum tf_count_group group);
int64_t tf_counts_get(const struct tf_counts *counts, enum tf_count_group group, const char *name);
/* in - out - filtered - dead: 0 unless something is wrong. */
int64_t tf_counts_balance(const struct tf_counts *counts);

/* {"in":7,"out":{"resource":5},"filtered":{...},"dead":{...},"warning":{...}}; NULL: no memory. */
json_t *tf_counts_json(const struct tf_counts *counts);
/* FATAL when it is not what tf_counts_json wrote. */
int tf_counts_parse(struct ls_str text, struct tf_counts *ret, struct ls_err *err);

#endif
