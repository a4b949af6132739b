/*
 * The compiled-in schemas as text, and what the codec needs of a writer's schema. Private to
 * common/ and its tests; others use records.h.
 */
#ifndef LS_SCHEMA_H
#define LS_SCHEMA_H

#include "common/buf.h"
#include "common/err.h"
#include <avro.h>
#include <stdbool.h>
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
bool schema_is_compiled(uint64_t fingerprint);
/* What a value begins with: C3 01 and the fingerprint, or 00 and the registry's id. */
#define SCHEMA_HEAD_MAX 10
struct schema_head {
    uint8_t bytes[SCHEMA_HEAD_MAX], n;
};
/* A compiled-in schema's; borrowed for the process's life, and changed by schema_head_set. */
const struct schema_head *schema_head_of(const char *name);
/* From here on values of this schema carry the registry's id, and values with this id are of this
 * schema. Before the first is encoded. */
void schema_head_set(const char *name, uint32_t id);

/* The fingerprint behind a registry's id: learned, or asked from the fetcher, once; one that
 * was unknown is asked for again after half a minute. Unknown, or without a fetcher: POISON, cause
 * "unknown-schema". */
int schema_by_id(uint32_t id, uint64_t *ret_fingerprint, struct ls_err *err);
/* Gives the schema of an id as text, malloc'ed; 0 and NULL when there is none. */
typedef int schema_fetch_fn(void *arg, uint32_t id, char **ret_json, struct ls_err *err);
void schema_set_fetcher(schema_fetch_fn *fn, void *arg);
/* For tests: how long "unknown" holds. */
void schema_unknown_for(int64_t ms);

/* The fingerprint of a compiled-in schema; one that is not there is a bug and aborts. */
uint64_t schema_fingerprint_of(const char *name);

#endif
