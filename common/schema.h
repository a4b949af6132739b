/*
 * The compiled-in schemas as text, and what the codec needs of a writer's schema. Private to
 * common/ and its tests; others use records.h.
 */
#ifndef LS_SCHEMA_H
#define LS_SCHEMA_H

#include "common/buf.h"
#include "common/err.h"
#include <avro.h>
#include <stdint.h>

struct ls_schema_text {
    const char *name; /* "oc10/share" */
    const char *json;
};
extern const struct ls_schema_text ls_schema_texts[]; /* generated, ends with a NULL name */

/* Avro's parsing canonical form of a schema; appended to `out`. */
int schema_canonical(const char *json, size_t n, struct ls_buf *out, struct ls_err *err);
uint64_t schema_crc64(const void *p, size_t n);

/* A writer's schema by its fingerprint: compiled in, learned, or asked from the learner, once.
 * Borrowed for the process's life. Unknown: POISON, cause "unknown-schema". */
int schema_by_fingerprint(uint64_t fingerprint, avro_schema_t *ret, struct ls_err *err);
/* The fingerprint of a compiled-in schema; one that is not there is a bug and aborts. */
uint64_t schema_fingerprint_of(const char *name);

#endif
