/*
 * Which rows of <p>.replay were there before: each is taken once.
 */
#ifndef TF_ONCE_H
#define TF_ONCE_H

#include "common/config.h"
#include "common/kafka.h"
#include "transform/replay.h"

struct tf_once;
/* Borrows both. NULL: out of memory. */
struct tf_once *tf_once_new(const struct ls_config *config, const struct tf_replay_guard *guard);
void tf_once_free(struct tf_once *once); /* NULL is fine */

/* Partitions were given or taken: others may have read on meanwhile. */
void tf_once_rebalanced(struct tf_once *once);

/* A record that is signed. POISON cause "repeated": one before it in its partition is the same.
 * RETRY: what came before it cannot be read now. */
int tf_once_check(struct tf_once *once, const struct ls_message *message, struct ls_err *err);

/* The part without Kafka: false when the same signature is known from another offset. */
bool tf_once_note(struct tf_once *once, const struct ls_message *message);

#endif
