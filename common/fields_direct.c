/*
 * Reading a record's bytes straight, for the schemas that are compiled in.
 *
 * avro-c's generic reader allocates and copies for each field; here the writer's schema is laid out
 * once as a list of steps, and one pass over the bytes gives each field as it was written. Strings
 * stay where they are until they are taken.
 *
 * What can go wrong: bytes that are cut or claim more than is there: each read is checked against
 * the end, and what is left over is malformed too, exactly as fields_check.c does it for avro-c.
 * A schema of another shape has no steps (NULL), and is avro-c's to read. Unit tests and a fuzz
 * target hold both readers against each other.
 */
#include "common/fields_parts.h"

#include <stdlib.h>
#include <string.h>

enum step_kind { STEP_BOOL, STEP_INT, STEP_LONG, STEP_TEXT, STEP_ENUM, STEP_ROW };

struct step {
    enum step_kind kind;
    bool optional;
    int null_branch;      /* optional: which of the two */
    avro_schema_t symbol; /* STEP_ENUM: the writer's enum, borrowed */
    int64_t n_symbols;
    const struct step *columns; /* STEP_ROW */
    size_t n_columns;
    size_t row; /* STEP_ROW: which of the value's rows */
};

struct rec_steps {
    size_t n, n_rows;
    struct step steps[REC_MAX_FIELDS];
    struct step columns[REC_MAX_ROWS][REC_MAX_FIELDS];
    struct rec_seen seen[REC_MAX_FIELDS];
    struct rec_seen row_seen[REC_MAX_ROWS][REC_MAX_FIELDS];
};

/* ---- the steps of a schema */

static avro_schema_t
behind_links(avro_schema_t schema)
{
    return is_avro_link(schema) ? avro_schema_link_target(schema) : schema;
}

static bool
plain_step(avro_schema_t schema, struct step *step)
{
    switch (avro_typeof(schema)) {
    case AVRO_BOOLEAN:
        step->kind = STEP_BOOL;
        return true;
    case AVRO_INT32:
        step->kind = STEP_INT;
        return true;
    case AVRO_INT64:
        step->kind = STEP_LONG;
        return true;
    case AVRO_STRING:
        step->kind = STEP_TEXT;
        return true;
    case AVRO_ENUM:
        step->kind = STEP_ENUM;
        step->symbol = schema;
        step->n_symbols = avro_schema_enum_number_of_symbols(schema);
        return true;
    default:
        return false;
    }
}

/* Takes the null out of ["null", X] and [X, "null"]. */
static avro_schema_t
unwrap(avro_schema_t schema, struct step *step)
{
    if (!is_avro_union(schema))
        return behind_links(schema);
    if (avro_schema_union_size(schema) != 2)
        return NULL;
    for (int i = 0; i < 2; i++) {
        if (is_avro_null(avro_schema_union_branch(schema, i))) {
            step->optional = true;
            step->null_branch = i;
            return behind_links(avro_schema_union_branch(schema, 1 - i));
        }
    }
    return NULL;
}

static bool
row_step(struct rec_steps *s, avro_schema_t schema, struct step *step)
{
    size_t n = avro_schema_record_size(schema);
    struct step *columns;

    if (s->n_rows == REC_MAX_ROWS || n > REC_MAX_FIELDS)
        return false;
    columns = s->columns[s->n_rows];
    for (size_t i = 0; i < n; i++) {
        avro_schema_t inner =
            unwrap(avro_schema_record_field_get_by_index(schema, (int)i), &columns[i]);

        if (!inner || !plain_step(inner, &columns[i]))
            return false;
    }
    step->kind = STEP_ROW;
    step->columns = columns;
    step->n_columns = n;
    step->row = s->n_rows++;
    return true;
}

struct rec_steps *
rec_steps_new(avro_schema_t schema)
{
    struct rec_steps *s;
    size_t n = avro_schema_record_size(schema);

    if (n > REC_MAX_FIELDS)
        return NULL;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        struct step *step = &s->steps[i];
        avro_schema_t inner = unwrap(avro_schema_record_field_get_by_index(schema, (int)i), step);

        if (!inner ||
            !(is_avro_record(inner) ? row_step(s, inner, step) : plain_step(inner, step))) {
            free(s);
            return NULL;
        }
    }
    return s;
}

void
rec_steps_free(struct rec_steps *steps)
{
    free(steps);
}

/* ---- bytes */

static bool
read_plain(struct rec_cursor *c, const struct step *step, struct rec_seen *seen)
{
    int64_t n;

    switch (step->kind) {
    case STEP_BOOL:
        if (c->p == c->end || *c->p > 1)
            return false;
        seen->kind = SEEN_BOOL;
        seen->i = *c->p++;
        return true;
    case STEP_INT:
        seen->kind = SEEN_INT;
        return rec_long(c, &seen->i) && seen->i >= INT32_MIN && seen->i <= INT32_MAX;
    case STEP_LONG:
        seen->kind = SEEN_INT;
        return rec_long(c, &seen->i);
    case STEP_TEXT:
        if (!rec_long(c, &n) || n < 0 || n > c->end - c->p)
            return false;
        seen->kind = SEEN_TEXT;
        seen->text = (const char *)c->p;
        seen->n = (size_t)n;
        c->p += n;
        return true;
    case STEP_ENUM:
        if (!rec_long(c, &n) || n < 0 || n >= step->n_symbols)
            return false;
        seen->kind = SEEN_SYMBOL;
        seen->text = avro_schema_enum_get(step->symbol, (int)n);
        return seen->text != NULL;
    default:
        return false;
    }
}

static bool
read_null(struct rec_cursor *c, const struct step *step, struct rec_seen *seen, bool *ret_null)
{
    int64_t branch;

    *ret_null = false;
    if (!step->optional)
        return true;
    if (!rec_long(c, &branch) || branch < 0 || branch > 1)
        return false;
    *ret_null = branch == step->null_branch;
    if (*ret_null)
        seen->kind = SEEN_NULL;
    return true;
}

static bool
read_row(struct rec_cursor *c, const struct step *step, struct rec_seen *columns,
         struct rec_seen *seen)
{
    bool null;

    for (size_t i = 0; i < step->n_columns; i++) {
        if (!read_null(c, &step->columns[i], &columns[i], &null) ||
            (!null && !read_plain(c, &step->columns[i], &columns[i])))
            return false;
    }
    seen->kind = SEEN_ROW;
    seen->row = columns;
    seen->n = step->n_columns;
    return true;
}

const struct rec_seen *
rec_steps_read(struct rec_steps *steps, const void *p, size_t n)
{
    struct rec_cursor c = {p, (const uint8_t *)p + n};

    for (size_t i = 0; i < steps->n; i++) {
        const struct step *step = &steps->steps[i];
        struct rec_seen *seen = &steps->seen[i];
        bool null;

        if (!read_null(&c, step, seen, &null))
            return NULL;
        if (null)
            continue;
        if (step->kind == STEP_ROW ? !read_row(&c, step, steps->row_seen[step->row], seen)
                                   : !read_plain(&c, step, seen))
            return NULL;
    }
    return c.p == c.end ? steps->seen : NULL;
}
