/*
 * Reading records: with the writer's schema, then by name into ours.
 *
 * avro-c cannot resolve an added field, so the writer's schema is the one that
 * is read with, and a plan says once for each pair of schemas which field goes
 * where. The schemas that are compiled in are read straight (fields_direct.c),
 * those of other programs' versions by avro-c. What can go wrong: bytes that
 * are cut or claim more than is there (fields_check.c looks at them before
 * avro-c), a field that became another type (POISON), a batch that is too large
 * for its arena (RETRY: with fewer records it fits).
 */
#include "common/fields_parts.h"
#include "common/records.h"
#include "common/schema.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLANS 256

/* Where a row and its bitmap stand in the writer's record, and its columns in
 * the table. */
struct row_plan {
    const char *field; /* NULL: not looked for yet */
    const struct ls_table *table;
    int at, bits_at;             /* -1: the writer has no such field */
    int16_t map[REC_MAX_FIELDS]; /* writer's column -> ours, or -1 */
};

struct rec_plan {
    uint64_t fingerprint;
    const struct rec_type *type;
    bool by_avro_c;
    avro_schema_t schema;
    struct rec_steps *steps;     /* NULL: avro-c reads */
    const struct rec_seen *seen; /* of the open value */
    avro_value_iface_t *iface;
    avro_value_t value;
    size_t n_fields;             /* the writer's */
    int16_t map[REC_MAX_FIELDS]; /* writer's field -> ours, or -1 */
    struct row_plan rows[REC_MAX_ROWS];
};

static struct rec_plan *plans[MAX_PLANS];
static size_t n_plans;
static avro_reader_t reader;
static bool by_avro_c; /* tests: also what is compiled in */

bool
rec_read_by_avro_c(bool always)
{
    bool before = by_avro_c;

    by_avro_c = always;
    return before;
}

int
rec_malformed(struct ls_err *err, const char *what)
{
    return ls_fail_cause(err, LS_ERR_POISON, EBADMSG, "malformed-avro", "malformed Avro: %s", what);
}

static int
plan_map(struct rec_plan *plan, struct ls_err *err)
{
    const struct rec_type *type = plan->type;
    bool found[REC_MAX_FIELDS] = {false};

    if (!is_avro_record(plan->schema) || strcmp(avro_schema_name(plan->schema), type->record) != 0)
        return rec_malformed(err, "the value is another kind of record");
    plan->n_fields = avro_schema_record_size(plan->schema);
    if (plan->n_fields > REC_MAX_FIELDS)
        return rec_malformed(err, "the writer's schema has too many fields");
    for (size_t w = 0; w < plan->n_fields; w++) {
        const char *name = avro_schema_record_field_name(plan->schema, (int)w);

        plan->map[w] = -1;
        for (size_t i = 0; i < type->n_fields; i++) {
            if (strcmp(type->fields[i].name, name) == 0) {
                plan->map[w] = (int16_t)i;
                found[i] = true;
            }
        }
    }
    for (size_t i = 0; i < type->n_fields; i++) {
        if (type->fields[i].required && !found[i])
            return rec_malformed(err, "the writer's schema lacks a field that has no default");
    }
    return 0;
}

/* At exit: avro-c keeps pointers at odd addresses, where a leak checker does
 * not look for them. */
static void
plans_free(void)
{
    while (n_plans > 0) {
        struct rec_plan *plan = plans[--n_plans];

        if (plan->iface) {
            avro_value_decref(&plan->value);
            avro_value_iface_decref(plan->iface);
        }
        rec_steps_free(plan->steps);
        free(plan);
    }
    if (reader)
        avro_reader_free(reader);
    reader = NULL;
}

static int
plan_new(const struct rec_type *type, uint64_t fingerprint, struct rec_plan **ret,
         struct ls_err *err)
{
    struct rec_plan *plan = NULL;

    if (n_plans == MAX_PLANS)
        return rec_malformed(err, "too many schemas in use");
    plan = calloc(1, sizeof(*plan));
    if (!plan)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    plan->fingerprint = fingerprint;
    plan->type = type;
    plan->by_avro_c = by_avro_c;
    if (schema_by_fingerprint(fingerprint, &plan->schema, err) < 0 || plan_map(plan, err) < 0)
        goto fail;
    if (!by_avro_c && schema_is_compiled(fingerprint))
        plan->steps = rec_steps_new(plan->schema);
    if (!plan->steps)
        plan->iface = avro_generic_class_from_schema(plan->schema);
    if (!plan->steps && (!plan->iface || avro_generic_value_new(plan->iface, &plan->value) != 0)) {
        ls_fail(err, LS_ERR_FATAL, ENOMEM, "avro-c: %.200s", avro_strerror());
        goto fail;
    }
    if (n_plans == 0)
        atexit(plans_free);
    plans[n_plans++] = plan;
    *ret = plan;
    return 0;
fail:
    if (plan->iface)
        avro_value_iface_decref(plan->iface);
    free(plan);
    return -1;
}

static int
plan_get(const struct rec_type *type, uint64_t fingerprint, struct rec_plan **ret,
         struct ls_err *err)
{
    for (size_t i = 0; i < n_plans; i++) {
        if (plans[i]->fingerprint == fingerprint && plans[i]->type == type &&
            plans[i]->by_avro_c == by_avro_c) {
            *ret = plans[i];
            return 0;
        }
    }
    return plan_new(type, fingerprint, ret, err);
}

#define REGISTRY_HEADER 5 /* 00 and the id, big endian */

/* Both framings: single-object encoding and a schema registry's. */
static int
take_header(struct ls_str value, uint64_t *ret_fingerprint, size_t *ret_n, struct ls_err *err)
{
    const uint8_t *p = (const uint8_t *)value.p;
    uint64_t fingerprint = 0;
    uint32_t id = 0;

    if (p && value.n >= REC_HEADER && p[0] == 0xc3 && p[1] == 0x01) {
        for (int i = 7; i >= 0; i--)
            fingerprint = fingerprint << 8 | p[2 + i];
        *ret_fingerprint = fingerprint;
        *ret_n = REC_HEADER;
        return 0;
    }
    if (!p || value.n < REGISTRY_HEADER || p[0] != 0)
        return rec_malformed(err, "neither a single-object header nor a registry's");
    for (int i = 1; i < REGISTRY_HEADER; i++)
        id = id << 8 | p[i];
    *ret_n = REGISTRY_HEADER;
    return schema_by_id(id, ret_fingerprint, err);
}

static int
avro_open(struct rec_plan *plan, const char *body, int64_t n, struct ls_err *err)
{
    if (!reader && !(reader = avro_reader_memory(body, n)))
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    avro_reader_memory_set_source(reader, body, n);
    avro_value_reset(&plan->value);
    if (avro_value_read(reader, &plan->value) != 0)
        return rec_malformed(err, avro_strerror());
    return 0;
}

int
rec_open(const struct rec_type *type, struct ls_str value, struct rec_plan **ret,
         struct ls_err *err)
{
    struct rec_plan *plan = NULL;
    uint64_t fingerprint = 0;
    const char *body;
    size_t head = 0;
    int64_t n;

    if (take_header(value, &fingerprint, &head, err) < 0 ||
        plan_get(type, fingerprint, &plan, err) < 0 || !plan)
        return -1;
    body = value.p + head;
    n = (int64_t)(value.n - head);
    if (plan->steps)
        plan->seen = rec_steps_read(plan->steps, body, (size_t)n);
    if (plan->steps ? !plan->seen : !rec_well_formed(plan->schema, body, (size_t)n))
        return rec_malformed(err, "the bytes do not fit the writer's schema");
    *ret = plan;
    return plan->steps ? 0 : avro_open(plan, body, n, err);
}

/* ---- one value, as the writer wrote it */

static int
see_enum(avro_value_t *v, struct rec_seen *s)
{
    avro_schema_t schema = avro_value_get_schema(v);
    int symbol;

    if (avro_value_get_enum(v, &symbol) != 0 || symbol < 0 ||
        symbol >= avro_schema_enum_number_of_symbols(schema))
        return -1;
    s->kind = SEEN_SYMBOL;
    s->text = avro_schema_enum_get(schema, symbol);
    return s->text ? 0 : -1;
}

static int
see(avro_value_t *v, struct rec_seen *s)
{
    avro_value_t branch;
    int32_t i;
    int b;

    *s = (struct rec_seen){.kind = SEEN_OTHER};
    if (avro_value_get_type(v) == AVRO_UNION) {
        if (avro_value_get_current_branch(v, &branch) != 0)
            return -1;
        v = &branch;
    }
    switch (avro_value_get_type(v)) {
    case AVRO_NULL:
        s->kind = SEEN_NULL;
        return 0;
    case AVRO_INT32:
        s->kind = SEEN_INT;
        if (avro_value_get_int(v, &i) != 0)
            return -1;
        s->i = i;
        return 0;
    case AVRO_INT64:
        s->kind = SEEN_INT;
        return avro_value_get_long(v, &s->i) == 0 ? 0 : -1;
    case AVRO_BOOLEAN:
        s->kind = SEEN_BOOL;
        if (avro_value_get_boolean(v, &b) != 0)
            return -1;
        s->i = b != 0;
        return 0;
    case AVRO_STRING:
        s->kind = SEEN_TEXT;
        if (avro_value_get_string(v, &s->text, &s->n) != 0 || s->n == 0)
            return -1;
        s->n--; /* avro-c counts the NUL */
        return 0;
    case AVRO_ENUM:
        return see_enum(v, s);
    default:
        return 0;
    }
}

/* Field `w` of the open value. */
static int
see_field(struct rec_plan *plan, size_t w, struct rec_seen *s)
{
    avro_value_t v;

    if (plan->steps) {
        *s = plan->seen[w];
        return 0;
    }
    return avro_value_get_by_index(&plan->value, w, &v, NULL) == 0 ? see(&v, s) : -1;
}

/* ---- into our struct */

static void *
at(void *record, const struct rec_field *f)
{
    return (char *)record + f->offset;
}

static void
set_default(const struct rec_field *f, void *record)
{
    int value = (int)f->fallback;

    switch (f->kind) {
    case REC_INT:
        *(int32_t *)at(record, f) = value;
        break;
    case REC_LONG:
        *(int64_t *)at(record, f) = f->fallback;
        break;
    case REC_BOOL:
        *(bool *)at(record, f) = f->fallback != 0;
        break;
    case REC_STR:
        *(struct ls_str *)at(record, f) = LS_STR("");
        break;
    case REC_OPT_STR:
        *(struct ls_str *)at(record, f) = LS_STR_NULL;
        break;
    case REC_OPT_LONG:
        *(int64_t *)at(record, f) = LS_NO_STORAGE;
        break;
    case REC_ENUM:
        memcpy(at(record, f), &value, sizeof(value));
        break;
    }
}

static int
take_text(struct ls_arena *arena, const char *p, size_t n, struct ls_str *ret, struct ls_err *err)
{
    char *copy = ls_arena_strndup(arena, p, n);

    if (!copy)
        return ls_fail_cause(err, LS_ERR_RETRY, ENOMEM, "batch-memory",
                             "the records of one batch do not fit into its memory");
    *ret = (struct ls_str){copy, n};
    return 0;
}

static int
take_symbol(const struct rec_field *f, const struct rec_seen *s, void *record, struct ls_err *err)
{
    for (size_t i = 0; i < f->n_symbols; i++) {
        if (strcmp(f->symbols[i].name, s->text) == 0) {
            memcpy(at(record, f), &f->symbols[i].value, sizeof(int));
            return 0;
        }
    }
    return rec_malformed(err, "an enum has a symbol that this program does not know");
}

static int
take_field(const struct rec_field *f, const struct rec_seen *s, struct ls_arena *arena,
           void *record, struct ls_err *err)
{
    bool ok = true;

    if (s->kind == SEEN_NULL)
        return 0; /* the default stays */
    switch (f->kind) {
    case REC_INT:
        ok = s->kind == SEEN_INT && s->i >= INT32_MIN && s->i <= INT32_MAX;
        if (ok)
            *(int32_t *)at(record, f) = (int32_t)s->i;
        break;
    case REC_LONG:
    case REC_OPT_LONG:
        ok = s->kind == SEEN_INT;
        if (ok)
            *(int64_t *)at(record, f) = s->i;
        break;
    case REC_BOOL:
        ok = s->kind == SEEN_BOOL;
        if (ok)
            *(bool *)at(record, f) = s->i != 0;
        break;
    case REC_STR:
    case REC_OPT_STR:
        ok = s->kind == SEEN_TEXT;
        if (ok)
            return take_text(arena, s->text, s->n, at(record, f), err);
        break;
    case REC_ENUM:
        ok = s->kind == SEEN_SYMBOL;
        if (ok)
            return take_symbol(f, s, record, err);
        break;
    }
    return ok ? 0 : rec_malformed(err, "a field is of another type");
}

int
rec_take(struct rec_plan *plan, struct ls_arena *arena, void *record, struct ls_err *err)
{
    const struct rec_type *type = plan->type;

    for (size_t i = 0; i < type->n_fields; i++)
        set_default(&type->fields[i], record);
    for (size_t w = 0; w < plan->n_fields; w++) {
        struct rec_seen s;

        if (plan->map[w] < 0)
            continue;
        if (see_field(plan, w, &s) < 0)
            return rec_malformed(err, "a field cannot be read");
        if (take_field(&type->fields[plan->map[w]], &s, arena, record, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- rows */

static int
take_column(const struct ls_column *c, const struct rec_seen *s, struct ls_arena *arena,
            struct ls_value *ret, struct ls_err *err)
{
    char digits[24];

    if (s->kind == SEEN_NULL) {
        ret->kind = LS_V_NULL;
        return 0;
    }
    if (c->type == LS_V_INT && s->kind == SEEN_INT) {
        *ret = (struct ls_value){.kind = LS_V_INT, .i = s->i};
        return 0;
    }
    if (c->type != LS_V_TEXT || (s->kind != SEEN_TEXT && s->kind != SEEN_INT))
        return rec_malformed(err, "a column is of another type");
    ret->kind = LS_V_TEXT;
    if (s->kind == SEEN_TEXT)
        return take_text(arena, s->text, s->n, &ret->s, err);
    snprintf(digits, sizeof(digits), "%" PRId64, s->i);
    return take_text(arena, digits, strlen(digits), &ret->s, err);
}

static int
column_index(const struct ls_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* The columns of the record in ["null", record]; anything else has none. */
static void
columns_map(avro_schema_t row, const struct ls_table *table, int16_t map[REC_MAX_FIELDS])
{
    size_t branches = is_avro_union(row) ? avro_schema_union_size(row) : 0;

    memset(map, -1, REC_MAX_FIELDS * sizeof(map[0]));
    for (size_t i = 0; i < branches; i++) {
        avro_schema_t branch = avro_schema_union_branch(row, (int)i);
        size_t n;

        if (is_avro_link(branch))
            branch = avro_schema_link_target(branch);
        n = is_avro_record(branch) ? avro_schema_record_size(branch) : 0;
        for (size_t w = 0; w < n && w < REC_MAX_FIELDS; w++)
            map[w] = (int16_t)column_index(table, avro_schema_record_field_name(branch, (int)w));
    }
}

static struct row_plan *
row_plan_get(struct rec_plan *plan, const char *field, const char *bitmap,
             const struct ls_table *table)
{
    struct row_plan *r = plan->rows;
    avro_schema_t row;

    while (r < plan->rows + REC_MAX_ROWS - 1 && r->field && strcmp(r->field, field) != 0)
        r++;
    if (r->field && strcmp(r->field, field) == 0 && r->table == table)
        return r;
    *r = (struct row_plan){.field = field, .table = table};
    r->at = avro_schema_record_field_get_index(plan->schema, field);
    r->bits_at = avro_schema_record_field_get_index(plan->schema, bitmap);
    row = r->at < 0 ? NULL : avro_schema_record_field_get_by_index(plan->schema, r->at);
    columns_map(row, table, r->map);
    return r;
}

/* The row's columns, one after the other; *ret_n: 0 and false for null. */
static int
row_open(struct rec_plan *plan, int at, avro_value_t *ret_row, size_t *ret_n, bool *ret_there,
         struct ls_err *err)
{
    avro_value_t v;

    *ret_there = false;
    if (plan->steps) {
        const struct rec_seen *s = &plan->seen[at];

        if (s->kind != SEEN_NULL && s->kind != SEEN_ROW)
            return rec_malformed(err, "a row is of another type");
        *ret_there = s->kind == SEEN_ROW;
        *ret_n = s->n;
        return 0;
    }
    if (avro_value_get_by_index(&plan->value, (size_t)at, &v, NULL) != 0 ||
        avro_value_get_type(&v) != AVRO_UNION || avro_value_get_current_branch(&v, ret_row) != 0)
        return rec_malformed(err, "a row is of another type");
    if (avro_value_get_type(ret_row) == AVRO_NULL)
        return 0;
    if (avro_value_get_type(ret_row) != AVRO_RECORD || avro_value_get_size(ret_row, ret_n) != 0)
        return rec_malformed(err, "a row is of another type");
    *ret_there = true;
    return 0;
}

int
rec_take_row(struct rec_plan *plan, const char *field, const char *bitmap,
             const struct ls_table *table, struct ls_arena *arena, bool *ret_has,
             struct ls_value *values, struct ls_err *err)
{
    const struct row_plan *r = row_plan_get(plan, field, bitmap, table);
    avro_value_t row = {0}, v;
    struct rec_seen s;
    uint64_t bits;
    size_t n = 0;
    bool there;

    *ret_has = false;
    if (r->at < 0)
        return 0; /* a writer without this field has no such rows */
    if (row_open(plan, r->at, &row, &n, &there, err) < 0)
        return -1;
    if (!there)
        return 0;
    if (n > 63)
        return rec_malformed(err, "a row is of another type");
    if (r->bits_at < 0 || see_field(plan, (size_t)r->bits_at, &s) < 0 || s.kind != SEEN_INT)
        return rec_malformed(err, "a row has no bitmap of its columns");
    bits = (uint64_t)s.i;
    if (bits >> n)
        return rec_malformed(err, "a row's bitmap names columns that are not there");
    for (size_t w = 0; w < n; w++) {
        if (!(bits >> w & 1))
            continue;
        if (plan->steps)
            s = plan->seen[r->at].row[w];
        else if (avro_value_get_by_index(&row, w, &v, NULL) != 0 || see(&v, &s) < 0)
            return rec_malformed(err, "a column cannot be read");
        if (r->map[w] >= 0 &&
            take_column(&table->columns[r->map[w]], &s, arena, &values[r->map[w]], err) < 0)
            return -1;
    }
    *ret_has = true;
    return 0;
}
