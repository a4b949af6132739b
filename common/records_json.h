/*
 * Records as JSON, for people: field by field, secrets masked.
 */
#ifndef LS_RECORDS_JSON_H
#define LS_RECORDS_JSON_H

#include "common/records.h"
#include <jansson.h>

/* NULL without memory. `secrets`: as they stand; else LS_MASKED for what is set. */
json_t *cs3_json(const struct cs3_type *type, const void *record, bool secrets);
/* {"op", "seq", ..., "before": {...}, "after": {...}} by the columns' names. */
json_t *ls_envelope_json(const struct ls_envelope *envelope, bool secrets);

#endif
