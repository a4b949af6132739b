/* The .avsc files, our field tables and the enums say the same; fingerprints are Avro's. */
#include "tests/unit/common/judge.h"

#include <jansson.h>

/* ---- one field of a schema against one row of a table */

static const char *
type_text(avro_schema_t s)
{
    switch (avro_typeof(s)) {
    case AVRO_INT32:
        return "int";
    case AVRO_INT64:
        return "long";
    case AVRO_BOOLEAN:
        return "boolean";
    case AVRO_STRING:
        return "string";
    case AVRO_ENUM:
        return "enum";
    case AVRO_UNION:
        assert_int_equal(avro_schema_union_size(s), 2);
        assert_int_equal(avro_typeof(avro_schema_union_branch(s, 0)), AVRO_NULL);
        return avro_typeof(avro_schema_union_branch(s, 1)) == AVRO_STRING  ? "null or string"
               : avro_typeof(avro_schema_union_branch(s, 1)) == AVRO_INT64 ? "null or long"
                                                                           : "null or other";
    default:
        return "other";
    }
}

static const char *const kind_text[] = {
    [REC_INT] = "int",
    [REC_LONG] = "long",
    [REC_BOOL] = "boolean",
    [REC_STR] = "string",
    [REC_OPT_STR] = "null or string",
    [REC_OPT_LONG] = "null or long",
    [REC_ENUM] = "enum",
};

static void
compare_default(const struct rec_field *f, json_t *field)
{
    json_t *value = json_object_get(field, "default");

    if (f->required) {
        assert_null(value);
        return;
    }
    if (!value)
        fail_msg("%s has no default", f->name);
    switch (f->kind) {
    case REC_INT:
    case REC_LONG:
        assert_int_equal(json_integer_value(value), f->fallback);
        break;
    case REC_BOOL:
        assert_true(json_is_boolean(value) && json_boolean_value(value) == (f->fallback != 0));
        break;
    case REC_STR:
        assert_string_equal(json_string_value(value), "");
        break;
    case REC_OPT_STR:
    case REC_OPT_LONG:
        assert_true(json_is_null(value));
        break;
    case REC_ENUM:
        for (size_t i = 0; i < f->n_symbols; i++) {
            if (f->symbols[i].value == f->fallback)
                assert_string_equal(json_string_value(value), f->symbols[i].name);
        }
        break;
    }
}

static void
compare_type(const struct rec_type *type, size_t n_fields)
{
    avro_schema_t schema = schema_of_file(type->schema);
    char path[128];
    json_t *json, *fields;

    snprintf(path, sizeof(path), "schemas/%s.avsc", type->schema);
    json = json_load_file(path, 0, NULL);
    fields = json_object_get(json, "fields");
    assert_string_equal(avro_schema_name(schema), type->record);
    assert_int_equal(avro_schema_record_size(schema), n_fields);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct rec_field *f = &type->fields[i];
        avro_schema_t s = avro_schema_record_field_get_by_index(schema, (int)i);

        assert_string_equal(avro_schema_record_field_name(schema, (int)i), f->name);
        assert_string_equal(type_text(s), kind_text[f->kind]);
        compare_default(f, json_array_get(fields, i));
        if (f->kind != REC_ENUM)
            continue;
        assert_int_equal(avro_schema_enum_number_of_symbols(s), f->n_symbols);
        for (size_t k = 0; k < f->n_symbols; k++)
            assert_string_equal(avro_schema_enum_get(s, (int)k), f->symbols[k].name);
    }
    json_decref(json);
    avro_schema_decref(schema);
}

static void
the_cs3_schemas_are_our_field_tables(void **state)
{
    const struct cs3_type *types[] = {&cs3_resource_type, &cs3_space_type_, &cs3_person_type_,
                                      &cs3_share_type_, &cs3_annotation_type_};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        compare_type(&types[i]->rec, types[i]->rec.n_fields);
}

static void
compare_row(avro_schema_t row, const struct ls_table *table)
{
    assert_int_equal(avro_schema_record_size(row), table->n_columns);
    for (size_t i = 0; i < table->n_columns; i++) {
        avro_schema_t s = avro_schema_record_field_get_by_index(row, (int)i);

        assert_string_equal(avro_schema_record_field_name(row, (int)i), table->columns[i].name);
        assert_string_equal(type_text(s),
                            table->columns[i].type == LS_V_INT ? "null or long" : "null or string");
    }
}

static void
the_envelope_schemas_are_our_tables(void **state)
{
    (void)state;
    for (int t = 0; t < LS_T_COUNT; t++) {
        const struct rec_type *type = envelope_type((enum ls_table_id)t);
        avro_schema_t schema = schema_of_file(type->schema);
        avro_schema_t before, after;
        int n = (int)type->n_fields;

        compare_type(type, type->n_fields + 4);
        assert_string_equal(avro_schema_record_field_name(schema, n), "before_present");
        assert_string_equal(avro_schema_record_field_name(schema, n + 1), "after_present");
        assert_string_equal(avro_schema_record_field_name(schema, n + 2), "before");
        assert_string_equal(avro_schema_record_field_name(schema, n + 3), "after");
        before = avro_schema_union_branch(avro_schema_record_field_get_by_index(schema, n + 2), 1);
        after = avro_schema_union_branch(avro_schema_record_field_get_by_index(schema, n + 3), 1);
        compare_row(before, &ls_tables[t]);
        assert_true(avro_typeof(after) == AVRO_LINK);
        assert_ptr_equal(avro_schema_link_target(after), before);
        avro_schema_decref(schema);
    }
}

static void
every_file_is_compiled_in_unchanged(void **state)
{
    size_t n;
    const struct ls_schema *all = ls_schema_all(&n);

    (void)state;
    assert_int_equal(n, LS_T_COUNT + 5);
    for (size_t i = 0; i < n; i++) {
        char path[128], text[16384];
        FILE *f;
        size_t len;

        snprintf(path, sizeof(path), "schemas/%s.avsc", all[i].name);
        f = fopen(path, "re");
        assert_non_null(f);
        len = fread(text, 1, sizeof(text), f);
        fclose(f);
        assert_int_equal(len, strlen(all[i].json));
        assert_memory_equal(text, all[i].json, len);
        for (size_t k = 0; k < i; k++)
            assert_true(all[k].fingerprint != all[i].fingerprint);
    }
}

/* ---- fingerprints */

static void
fingerprints_of_primitives_are_those_of_avro(void **state)
{
    static const struct {
        const char *json;
        int64_t fingerprint;
    } known[] = {
        {"\"null\"", 7195948357588979594},     {"{\"type\":\"null\"}", 7195948357588979594},
        {"\"boolean\"", -6970731678124411036}, {"\"int\"", 8247732601305521295},
        {"\"long\"", -3434872931120570953},    {"\"float\"", 5583340709985441680},
        {"\"double\"", -8181574048448539266},  {"\"bytes\"", 5746618253357095269},
        {"\"string\"", -8142146995180207161},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct ls_err err = {0};
        int is_ok;

        assert_int_equal(ls_schema_fingerprint(known[i].json, &err, &is_ok),
                         (uint64_t)known[i].fingerprint);
        assert_true(is_ok);
    }
}

static void
canonical_is(const char *json, const char *canonical)
{
    struct ls_err err = {0};
    struct ls_buf out;

    ls_buf_init(&out, 10000);
    ok(schema_canonical(json, strlen(json), &out, &err));
    assert_string_equal(ls_buf_text(&out), canonical);
    ls_buf_free(&out);
}

static void
the_canonical_form_keeps_what_matters_to_reading(void **state)
{
    (void)state;
    canonical_is("[ ]", "[]");
    canonical_is("[ \"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]");
    canonical_is("{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"namespace\":\"x.y\","
                 " \"doc\":\"d\", \"aliases\":[\"z\"]}",
                 "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}");
    canonical_is(
        "{\"fields\":[], \"type\":\"record\", \"name\":\"a.b.foo\", \"namespace\":\"x.y\"}",
        "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}");
    canonical_is("{\"type\":\"enum\", \"name\":\"foo\", \"symbols\":[\"A1\", \"B\"], "
                 "\"default\":\"B\"}",
                 "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\",\"B\"]}");
    canonical_is("{ \"values\":{\"type\":\"string\"}, \"type\":\"map\"}",
                 "{\"type\":\"map\",\"values\":\"string\"}");
    canonical_is("{ \"items\":{\"type\":\"null\"}, \"type\":\"array\"}",
                 "{\"type\":\"array\",\"items\":\"null\"}");
    canonical_is("{\"namespace\":\"x.y\", \"type\":\"fixed\", \"name\":\"foo\", \"size\":32}",
                 "{\"name\":\"x.y.foo\",\"type\":\"fixed\",\"size\":32}");
    /* Names inside take the namespace of what they are in, and so do references to them. */
    canonical_is("{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"n\",\"fields\":["
                 "{\"name\":\"b\",\"type\":{\"type\":\"record\",\"name\":\"B\",\"fields\":["
                 "{\"name\":\"f\",\"type\":\"int\",\"default\":7,\"order\":\"ignore\"}]}},"
                 "{\"name\":\"c\",\"type\":[\"null\",\"B\"],\"default\":null}]}",
                 "{\"name\":\"n.A\",\"type\":\"record\",\"fields\":["
                 "{\"name\":\"b\",\"type\":{\"name\":\"n.B\",\"type\":\"record\",\"fields\":["
                 "{\"name\":\"f\",\"type\":\"int\"}]}},"
                 "{\"name\":\"c\",\"type\":[\"null\",\"n.B\"]}]}");
}

static void
what_is_no_schema_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "7",
                                      "{}",
                                      "{\"type\":\"record\"}",
                                      "{\"type\":\"record\",\"name\":\"a\"}",
                                      "{\"type\":\"record\",\"name\":\"a\",\"fields\":[7]}",
                                      "{\"type\":\"enum\",\"name\":\"a\",\"symbols\":[7]}",
                                      "{\"type\":\"array\"}"};
    char deep[2001];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct ls_err err = {0};

        assert_int_equal(ls_schema_learn(ls_str_of(bad[i]), &err), -1);
        assert_int_equal(err.kind, LS_ERR_POISON);
    }
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    deep[2000] = '\0';
    assert_int_equal(ls_schema_learn(ls_str_of(deep), NULL), -1);
    assert_int_equal(ls_schema_learn(LS_STR_NULL, NULL), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cs3_schemas_are_our_field_tables),
        cmocka_unit_test(the_envelope_schemas_are_our_tables),
        cmocka_unit_test(every_file_is_compiled_in_unchanged),
        cmocka_unit_test(fingerprints_of_primitives_are_those_of_avro),
        cmocka_unit_test(the_canonical_form_keeps_what_matters_to_reading),
        cmocka_unit_test(what_is_no_schema_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
