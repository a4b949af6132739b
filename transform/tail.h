/*
 * Reads the small topics (storages, mimetypes, accounts) into memory and keeps reading.
 *
 * Every instance reads them whole, beside the consumer group. read_committed, so that a row which
 * was never committed is never known.
 */
#ifndef TF_TAIL_H
#define TF_TAIL_H

#include "common/config.h"
#include "common/err.h"
#include "transform/known.h"

struct tf_tail;

int tf_tail_new(const struct ls_config *config, struct tf_known *known, struct tf_tail **ret,
                struct ls_err *err);
void tf_tail_free(struct tf_tail *tail); /* NULL is fine */

/* Takes in what is there already, without waiting. */
int tf_tail_poll(struct tf_tail *tail, struct ls_err *err);

/* The barrier: reads on until everything that is in the topics now has been taken in, also what is
 * not committed yet but will be. Then all rows up to the highest seq ever noted are certain.
 * RETRY when nothing of it comes for too long. */
int tf_tail_catch_up(struct tf_tail *tail, struct ls_err *err);

/* Any record with this seq has been seen, in whatever topic. */
void tf_tail_note(struct tf_tail *tail, struct ls_seq seq);

#endif
