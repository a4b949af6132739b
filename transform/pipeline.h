/*
 * The stage's loop: consume, map, produce, in one transaction with the offsets.
 */
#ifndef TF_PIPELINE_H
#define TF_PIPELINE_H

#include "common/config.h"
#include "common/err.h"
#include "transform/status.h"

struct tf_pipeline;

/* Makes the topics, becomes the only producer of this instance's name, reads the counters and the
 * small tables, and joins the group. `config` and `status` are borrowed until the free. */
int tf_pipeline_new(const struct ls_config *config, struct tf_status *status,
                    struct tf_pipeline **ret, struct ls_err *err);
void tf_pipeline_free(struct tf_pipeline *pipeline); /* NULL is fine */

/* Runs until a stop is asked for (0, everything taken is committed) or until it cannot (-1). */
int tf_pipeline_run(struct tf_pipeline *pipeline, struct ls_err *err);

/* How long a batch gathers rows before its commit begins, when one takes so long. At least half of
 * the time, however long that is. */
int64_t tf_gather_ms(int64_t commit_ms, double takes_ms);

#endif
