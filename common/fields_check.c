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
#include "common/fields.h"

#define DEPTH_MAX 16

struct walk {
    const uint8_t *p, *end;
};

static bool
walk_long(struct walk *w, int64_t *ret)
{
    uint64_t u = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;

        if (w->p == w->end)
            return false;
        b = *w->p++;
        if (shift == 63 && b > 1)
            return false;
        u |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *ret = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
            return true;
        }
    }
    return false;
}

static bool
walk_bytes(struct walk *w, int64_t n)
{
    if (n < 0 || n > w->end - w->p)
        return false;
    w->p += n;
    return true;
}

static bool
walk(struct walk *w, avro_schema_t schema, int depth)
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
        return walk_long(w, &n) && n >= INT32_MIN && n <= INT32_MAX;
    case AVRO_INT64:
        return walk_long(w, &n);
    case AVRO_FLOAT:
        return walk_bytes(w, 4);
    case AVRO_DOUBLE:
        return walk_bytes(w, 8);
    case AVRO_STRING:
    case AVRO_BYTES:
        return walk_long(w, &n) && walk_bytes(w, n);
    case AVRO_FIXED:
        return walk_bytes(w, avro_schema_fixed_size(schema));
    case AVRO_ENUM:
        return walk_long(w, &n) && n >= 0 && n < avro_schema_enum_number_of_symbols(schema);
    case AVRO_LINK:
        return walk(w, avro_schema_link_target(schema), depth + 1);
    case AVRO_UNION:
        return walk_long(w, &n) && n >= 0 && n < (int64_t)avro_schema_union_size(schema) &&
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
    struct walk w = {p, (const uint8_t *)p + n};

    return walk(&w, schema, 0) && w.p == w.end;
}
