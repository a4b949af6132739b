/*
 * Whose a record is: the user that it names, or the owner of the storage that it is in.
 */
#ifndef CTL_WHOSE_H
#define CTL_WHOSE_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/kafka.h"

struct whose;
/* Reads <p>.cs3.space. -1 also when something of it cannot be read just now (RETRY "registry"). */
int whose_new(const struct ls_config *config, struct whose **ret, struct ls_err *err);
void whose_free(struct whose *whose); /* NULL is fine */
/* "" when it cannot be known. -1: not now, since the record cannot be read. */
int whose_record(struct whose *whose, const char *topic, struct ls_str key, struct ls_str value,
                 char *out, size_t size, struct ls_err *err);
/* How many records there were that nobody can ever read, so that they are nobody's. */
size_t whose_unread(const struct whose *whose); /* NULL is fine */

/* ---- without Kafka, for tests: nobody owns anything; then a record of <p>.cs3.space */
int whose_empty(struct whose **ret, struct ls_err *err);
int whose_take(void *arg, const struct ls_message *m, struct ls_err *err);

#endif
