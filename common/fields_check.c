/*
 * A walk over a record's bytes before avro-c gets them.
 *
 * avro-c 1.11 takes lengths as they come: a negative one becomes an allocation
 * of almost all addresses, and a string that ends early is allocated and lost.
 * Bytes from Kafka are not ours to trust, so this walk, driven by the writer's
 * schema, checks every length, branch, symbol and number, and that no byte is
 * left over. What then goes to avro-c is well-formed. Arrays and maps, which no
 * schema of Lockstep has, are refused with the schema that brings them.
 */
#include "common/fields_parts.h"

#define DEPTH_MAX 16

static bool
walk_bytes(struct rec_cursor *w, int64_t n)
{
    if (n < 0 || n > w->end - w->p)
        return false;
    w->p += n;
    return true;
}

static bool
walk(struct rec_cursor *w, avro_schema_t schema, int depth)
{
    int64_t n;

    if (depth > DEPTH_MAX)
        return false;
    switch (avro_typeof(schema)) {
    case AVRO_NULL:
        return true;
    case AVRO_BOOLEAN:
        return w->p < w->end && *w->p <= 1 && walk_bytes(w, 1);
    case AVRO_INT32:
        return rec_long(w, &n) && n >= INT32_MIN && n <= INT32_MAX;
    case AVRO_INT64:
        return rec_long(w, &n);
    case AVRO_FLOAT:
        return walk_bytes(w, 4);
    case AVRO_DOUBLE:
        return walk_bytes(w, 8);
    case AVRO_STRING:
    case AVRO_BYTES:
        return rec_long(w, &n) && walk_bytes(w, n);
    case AVRO_FIXED:
        return walk_bytes(w, avro_schema_fixed_size(schema));
    case AVRO_ENUM:
        return rec_long(w, &n) && n >= 0 && n < avro_schema_enum_number_of_symbols(schema);
    case AVRO_LINK:
        return walk(w, avro_schema_link_target(schema), depth + 1);
    case AVRO_UNION:
        return rec_long(w, &n) && n >= 0 && n < (int64_t)avro_schema_union_size(schema) &&
               walk(w, avro_schema_union_branch(schema, (int)n), depth + 1);
    case AVRO_RECORD:
        n = (int64_t)avro_schema_record_size(schema);
        for (int64_t i = 0; i < n; i++) {
            if (!walk(w, avro_schema_record_field_get_by_index(schema, (int)i), depth + 1))
                return false;
        }
        return true;
    default:
        return false;
    }
}

bool
rec_well_formed(avro_schema_t schema, const void *p, size_t n)
{
    struct rec_cursor w = {p, (const uint8_t *)p + n};

    return walk(&w, schema, 0) && w.p == w.end;
}
