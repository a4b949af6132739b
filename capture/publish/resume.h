/*
 * What stands in Kafka when capture connects.
 */
#ifndef CAP_RESUME_H
#define CAP_RESUME_H

#include "capture/publish/position.h"
#include "common/config.h"
#include "common/err.h"
#include "common/kafka.h"

/* The position as it is, not as it was; 0 and *ret_found false when there is none. From then on the
 * topic says that this process was the last one to connect. With an open transaction of somebody
 * else on the topic it waits, at last RETRY, cause "position-hidden". */
int cap_resume_position(const struct ls_config *config, struct ls_producer *producer,
                        struct cap_position *ret, char **ret_columns, bool *ret_found,
                        struct ls_err *err);
/* Whether it still was. */
int cap_resume_is_last(const struct ls_config *config, bool *ret, struct ls_err *err);
/* The epoch of the newest numbers in the row topics, for when the position was lost; 0: none. */
int cap_resume_epoch(const struct ls_config *config, int32_t *ret, struct ls_err *err);

#endif
