/*
 * avro-c as the judge of our codec: the same record through its generic writer.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "tests/unit/common/unit.h"

#include "common/records.h"
#include "common/records_parts.h"
#include "common/schema.h"
#include <avro.h>
#include <inttypes.h>

#define JUDGE_MAX 65536

/* The schema of a committed file, "oc10/share"; to be decref'ed. */
static inline avro_schema_t
schema_of_file(const char *name)
{
    char path[128], *json = malloc(JUDGE_MAX);
    avro_schema_t schema = NULL;
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "schemas/%s.avsc", name);
    f = fopen(path, "re");
    if (!f)
        fail_msg("cannot open %s: tests run in the repository's root", path);
    n = fread(json, 1, JUDGE_MAX, f);
    fclose(f);
    if (avro_schema_from_json_length(json, n, &schema) != 0)
        fail_msg("%s: %s", path, avro_strerror());
    free(json);
    return schema;
}

static inline void
judge_text(avro_value_t *v, struct ls_str s)
{
    char *copy = strndup(s.n ? s.p : "", s.n);

    /* avro-c counts the NUL. */
    assert_int_equal(avro_value_set_string_len(v, copy, s.n + 1), 0);
    free(copy);
}

static inline void
judge_field(avro_value_t *v, const struct rec_field *f, const void *record)
{
    const void *p = (const char *)record + f->offset;
    avro_value_t branch;
    struct ls_str s;
    int value;

    switch (f->kind) {
    case REC_INT:
        assert_int_equal(avro_value_set_int(v, *(const int32_t *)p), 0);
        break;
    case REC_LONG:
        assert_int_equal(avro_value_set_long(v, *(const int64_t *)p), 0);
        break;
    case REC_BOOL:
        assert_int_equal(avro_value_set_boolean(v, *(const bool *)p), 0);
        break;
    case REC_STR:
        judge_text(v, *(const struct ls_str *)p);
        break;
    case REC_OPT_STR:
        s = *(const struct ls_str *)p;
        assert_int_equal(avro_value_set_branch(v, s.p != NULL, &branch), 0);
        if (s.p)
            judge_text(&branch, s);
        else
            avro_value_set_null(&branch);
        break;
    case REC_OPT_LONG:
        assert_int_equal(avro_value_set_branch(v, *(const int64_t *)p != LS_NO_STORAGE, &branch),
                         0);
        if (*(const int64_t *)p != LS_NO_STORAGE)
            avro_value_set_long(&branch, *(const int64_t *)p);
        else
            avro_value_set_null(&branch);
        break;
    case REC_ENUM:
        memcpy(&value, p, sizeof(value));
        for (size_t i = 0; i < f->n_symbols; i++) {
            if (f->symbols[i].value == value) {
                avro_schema_t schema = avro_value_get_schema(v);

                assert_int_equal(avro_value_set_enum(
                                     v, avro_schema_enum_get_by_name(schema, f->symbols[i].name)),
                                 0);
            }
        }
        break;
    }
}

static inline void
judge_row(avro_value_t *record, const char *field, const char *bitmap, const struct ls_table *table,
          bool has, const struct ls_value *values)
{
    avro_value_t v, row, column, branch;
    int64_t bits = 0;

    assert_int_equal(avro_value_get_by_name(record, field, &v, NULL), 0);
    assert_int_equal(avro_value_set_branch(&v, has, &row), 0);
    for (size_t i = 0; has && i < table->n_columns; i++) {
        const struct ls_value *value = &values[i];
        bool there = value->kind == LS_V_INT || value->kind == LS_V_TEXT;

        if (value->kind != LS_V_ABSENT)
            bits |= INT64_C(1) << i;
        assert_int_equal(avro_value_get_by_name(&row, table->columns[i].name, &column, NULL), 0);
        assert_int_equal(avro_value_set_branch(&column, there, &branch), 0);
        if (value->kind == LS_V_INT)
            assert_int_equal(avro_value_set_long(&branch, value->i), 0);
        else if (value->kind == LS_V_TEXT)
            judge_text(&branch, value->s);
        else
            avro_value_set_null(&branch);
    }
    if (!has)
        avro_value_set_null(&row);
    assert_int_equal(avro_value_get_by_name(record, bitmap, &v, NULL), 0);
    assert_int_equal(avro_value_set_long(&v, bits), 0);
}

/* What avro-c writes for this record, body only; `envelope` NULL for cs3 records. */
static inline size_t
judge_write(avro_schema_t schema, const struct rec_type *type, const void *record,
            const struct ls_envelope *envelope, uint8_t out[JUDGE_MAX])
{
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_writer_t writer = avro_writer_memory((char *)out, JUDGE_MAX);
    avro_value_t value, v;
    size_t n;

    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    for (size_t i = 0; i < type->n_fields; i++) {
        assert_int_equal(avro_value_get_by_name(&value, type->fields[i].name, &v, NULL), 0);
        judge_field(&v, &type->fields[i], record);
    }
    if (envelope) {
        judge_row(&value, "before", "before_present", envelope->table, envelope->has_before,
                  envelope->before);
        judge_row(&value, "after", "after_present", envelope->table, envelope->has_after,
                  envelope->after);
    }
    if (avro_value_write(writer, &value) != 0)
        fail_msg("avro-c: %s", avro_strerror());
    n = (size_t)avro_writer_tell(writer);
    avro_writer_free(writer);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    return n;
}

/* A whole value as avro-c's JSON, by the writer's schema; to be freed. */
static inline char *
judge_json(avro_schema_t schema, struct ls_str value)
{
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_reader_t reader =
        avro_reader_memory(value.p + REC_HEADER, (int64_t)(value.n - REC_HEADER));
    avro_value_t v;
    char *json = NULL;

    assert_int_equal(avro_generic_value_new(iface, &v), 0);
    assert_int_equal(avro_value_read(reader, &v), 0);
    assert_int_equal(avro_value_to_json(&v, 0, &json), 0);
    avro_reader_free(reader);
    avro_value_decref(&v);
    avro_value_iface_decref(iface);
    return json;
}

static inline struct ls_str
str_of_buf(const struct ls_buf *buf)
{
    return (struct ls_str){(const char *)buf->p, buf->n};
}

#endif
