/*
 * Records sent again: signed, into <p>.replay, under one run's id.
 */
#ifndef CTL_RESEND_H
#define CTL_RESEND_H

#include "common/config.h"
#include "common/replay.h"

struct resend;
/* FATAL cause "control-key": none is set, or it is too short; said what to do. */
int resend_open(const struct ls_config *config, struct resend **ret, struct ls_err *err);
/* Says why it could not be opened; the exit status. */
int resend_refused(const struct ls_err *err);
void resend_free(struct resend *resend); /* NULL is fine */
const char *resend_run(const struct resend *resend);
/* `run`, `n`, `partition`, `by` and `time_us` are filled in. At most `rate` records a second, 0: as
 * fast as it goes. */
void resend_rate(struct resend *resend, int64_t rate);
/* Into the partition that follows that one of cs3.resource. POISON: it does not fit into Kafka. */
int resend_send(struct resend *resend, struct ls_replay replay, int64_t partition,
                struct ls_err *err);
/* Waits until Kafka has all of it. */
int resend_flush(struct resend *resend, struct ls_err *err);
int resend_partitions(const struct resend *resend);

#endif
