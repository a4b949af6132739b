/*
 * Whose a record is: the user that it names, or the owner of the storage that it is in.
 */
#ifndef CTL_WHOSE_H
#define CTL_WHOSE_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"

struct whose;
/* Reads <p>.cs3.space. */
int whose_new(const struct ls_config *config, struct whose **ret, struct ls_err *err);
void whose_free(struct whose *whose); /* NULL is fine */
/* "" when it cannot be known. */
void whose_record(struct whose *whose, const char *topic, struct ls_str key, struct ls_str value,
                  char *out, size_t size);

#endif
