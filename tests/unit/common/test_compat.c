/*
 * Programs of different versions on one topic: newer writers read by today's code, today's writers
 * read by newer code. The rule: the writer's schema, fields by name, our defaults.
 */
#include "tests/unit/common/judge.h"

#include <jansson.h>

static struct ls_arena *arena;

static int
setup(void **state)
{
    (void)state;
    arena = ls_arena_new(1 << 20);
    return arena ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    ls_arena_free(arena);
    return 0;
}

static json_t *
json_of_file(const char *name)
{
    char path[128];
    json_t *json;

    snprintf(path, sizeof(path), "schemas/%s.avsc", name);
    json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    return json;
}

/* A value by avro-c with a schema of another version; every field at its zero but those that `set`
 * sets. The schema is taught when `learn`. */
static struct ls_buf
foreign_value(const char *json, bool learn, void (*set)(avro_value_t *value))
{
    uint8_t *body = calloc(1, JUDGE_MAX), header[REC_HEADER];
    avro_writer_t writer = avro_writer_memory((char *)body, JUDGE_MAX);
    avro_value_iface_t *iface;
    avro_schema_t schema;
    avro_value_t value;
    struct ls_err err = {0};
    struct ls_buf out;
    int is_ok;

    if (learn)
        ok(ls_schema_learn(ls_str_of(json), &err));
    assert_int_equal(avro_schema_from_json_length(json, strlen(json), &schema), 0);
    iface = avro_generic_class_from_schema(schema);
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    set(&value);
    if (avro_value_write(writer, &value) != 0)
        fail_msg("avro-c: %s", avro_strerror());
    rec_put_single_object(header, ls_schema_fingerprint(json, &err, &is_ok));
    ls_buf_init(&out, JUDGE_MAX);
    ls_buf_append(&out, header, sizeof(header));
    ls_buf_append(&out, body, (size_t)avro_writer_tell(writer));
    avro_writer_free(writer);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    free(body);
    return out;
}

static avro_value_t
field(avro_value_t *record, const char *name)
{
    avro_value_t v;

    if (avro_value_get_by_name(record, name, &v, NULL) != 0)
        fail_msg("no field %s", name);
    return v;
}

static avro_value_t
branch(avro_value_t v, int discriminant)
{
    avro_value_t b;

    assert_int_equal(avro_value_set_branch(&v, discriminant, &b), 0);
    return b;
}

static void
set_long(avro_value_t *record, const char *name, int64_t n)
{
    avro_value_t v = field(record, name);

    assert_int_equal(avro_value_set_long(&v, n), 0);
}

static void
set_text(avro_value_t v, const char *text)
{
    assert_int_equal(avro_value_set_string(&v, text), 0);
}

static void
all_null(avro_value_t *record, const char *const *names)
{
    for (; *names; names++) {
        avro_value_t b = branch(field(record, *names), 0);

        avro_value_set_null(&b);
    }
}

/* ---- a newer writer, today's reader */

static void
set_newer_space(avro_value_t *v)
{
    static const char *const nulls[] = {"source_id", "reason", "name", NULL};

    set_long(v, "storage", 4);
    all_null(v, nulls);
    set_text(branch(field(v, "owner"), 1), "alice");
    set_text(field(v, "colour"), "blue");
    set_long(v, "seq_counter", 8);
}

static void
a_field_that_we_do_not_know_is_left_out(void **state)
{
    json_t *schema = json_of_file("cs3/space");
    json_t *added = json_pack("{s:s, s:s, s:s}", "name", "colour", "type", "string", "default", "");
    struct ls_err err = {0};
    struct cs3_space *space;
    struct ls_buf value;
    void *back;
    char *json;

    (void)state;
    /* In the middle, so that only names can find the rest. */
    json_array_insert_new(json_object_get(schema, "fields"), 5, added);
    json = json_dumps(schema, 0);
    value = foreign_value(json, true, set_newer_space);
    ok(cs3_decode(&cs3_space_type_, str_of_buf(&value), arena, &back, &err));
    space = back;
    assert_int_equal(space->storage, 4);
    assert_int_equal(space->head.seq.counter, 8);
    assert_true(ls_str_is(space->owner, "alice"));
    assert_null(space->reason.p);
    ls_buf_free(&value);
    free(json);
    json_decref(schema);
}

static void
set_newer_mimetype(avro_value_t *v)
{
    avro_value_t row = branch(field(v, "after"), 1), b;

    set_long(v, "after_present", 7);
    b = branch(field(v, "moved_from"), 0);
    avro_value_set_null(&b);
    b = branch(field(v, "moved_to"), 0);
    avro_value_set_null(&b);
    b = branch(field(v, "storage"), 0);
    avro_value_set_null(&b);
    b = branch(field(v, "before"), 0);
    avro_value_set_null(&b);
    set_text(branch(field(&row, "icon"), 1), "x.svg");
    b = branch(field(&row, "id"), 1);
    avro_value_set_long(&b, 12);
    set_text(branch(field(&row, "mimetype"), 1), "text/plain");
    set_text(field(v, "server"), "");
    set_text(field(v, "gtid"), "");
    set_text(field(v, "file"), "");
}

static void
a_column_that_we_do_not_know_does_not_shift_the_others(void **state)
{
    json_t *schema = json_of_file("oc10/mimetypes");
    json_t *fields = json_object_get(schema, "fields");
    json_t *before = json_array_get(fields, json_array_size(fields) - 2);
    json_t *row = json_array_get(json_object_get(before, "type"), 1);
    struct ls_envelope *e;
    struct ls_err err = {0};
    struct ls_buf value;
    char *json;

    (void)state;
    assert_string_equal(json_string_value(json_object_get(row, "name")), "MimetypesRow");
    json_array_insert_new(
        json_object_get(row, "fields"), 0,
        json_pack("{s:s, s:[s, s], s:n}", "name", "icon", "type", "null", "string", "default"));
    json = json_dumps(schema, 0);
    value = foreign_value(json, true, set_newer_mimetype);
    ok(ls_envelope_decode(&ls_tables[LS_T_MIMETYPES], str_of_buf(&value), arena, &e, &err));
    assert_true(e->has_after && !e->has_before);
    assert_int_equal(e->after[MT_ID].i, 12);
    assert_true(ls_str_is(e->after[MT_MIMETYPE].s, "text/plain"));
    ls_buf_free(&value);
    free(json);
    json_decref(schema);
}

/* ---- today's writer, a newer reader */

struct newer_space {
    struct cs3_space now;
    int64_t quota;
    bool visible;
    struct ls_str label, note;
    int64_t place;
    enum cs3_space_type second;
};

static const struct rec_symbol second_symbols[] = {{"PERSONAL", 0}, {"PROJECT", 1}};

static void
a_field_that_the_writer_lacks_has_its_default(void **state)
{
    const struct rec_type *today = &cs3_space_type_.rec;
    struct rec_field fields[40];
    struct cs3_type newer = {.rec = *today};
    struct cs3_space space = {.head = {.seq = {1, 2, 0}}, .storage = 4};
    struct newer_space *back;
    struct ls_err err = {0};
    struct ls_buf buf;
    size_t n = 0;
    void *p;
    const struct rec_field added[] = {
        {"quota", REC_LONG, offsetof(struct newer_space, quota), false, -3, NULL, 0},
        {"visible", REC_BOOL, offsetof(struct newer_space, visible), false, 1, NULL, 0},
        {"label", REC_STR, offsetof(struct newer_space, label), false, 0, NULL, 0},
        {"note", REC_OPT_STR, offsetof(struct newer_space, note), false, 0, NULL, 0},
        {"place", REC_OPT_LONG, offsetof(struct newer_space, place), false, 0, NULL, 0},
        {"second", REC_ENUM, offsetof(struct newer_space, second), false, 1, second_symbols, 2},
    };

    (void)state;
    for (size_t i = 0; i < 6; i++)
        fields[n++] = added[i];
    memcpy(fields + n, today->fields, today->n_fields * sizeof(*fields));
    newer.rec.fields = fields;
    newer.rec.n_fields = n + today->n_fields;
    newer.rec.size = sizeof(struct newer_space);
    ls_buf_init(&buf, JUDGE_MAX);
    ok(cs3_encode(&cs3_space_type_, &space, &buf, &err));
    ok(cs3_decode(&newer, str_of_buf(&buf), arena, &p, &err));
    back = p;
    assert_int_equal(back->now.storage, 4);
    assert_int_equal(back->now.head.seq.counter, 2);
    assert_int_equal(back->quota, -3);
    assert_true(back->visible);
    assert_int_equal(back->label.n, 0);
    assert_non_null(back->label.p);
    assert_null(back->note.p);
    assert_int_equal(back->place, LS_NO_STORAGE);
    assert_int_equal(back->second, 1);
    ls_buf_free(&buf);
}

static void
a_column_that_the_writer_lacks_is_absent(void **state)
{
    struct ls_table newer = ls_tables[LS_T_MIMETYPES];
    struct ls_envelope e = {.op = LS_OP_READ, .table = &ls_tables[LS_T_MIMETYPES]}, *back;
    struct ls_err err = {0};
    struct ls_buf buf;

    (void)state;
    memmove(newer.columns + 1, newer.columns, 2 * sizeof(*newer.columns));
    newer.columns[0] = (struct ls_column){"icon", LS_V_TEXT, false, LS_PUBLIC};
    newer.n_columns = 3;
    e.has_after = true;
    e.after[MT_ID] = (struct ls_value){.kind = LS_V_INT, .i = 12};
    e.after[MT_MIMETYPE] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("text/plain")};
    ls_buf_init(&buf, JUDGE_MAX);
    ok(ls_envelope_encode(&e, &buf, &err));
    ok(ls_envelope_decode(&newer, str_of_buf(&buf), arena, &back, &err));
    assert_int_equal(back->after[0].kind, LS_V_ABSENT);
    assert_int_equal(back->after[1].i, 12);
    assert_true(ls_str_is(back->after[2].s, "text/plain"));
    ls_buf_free(&buf);
}

/* ---- the storage of a bracket: both ways */

static void
set_older_end(avro_value_t *v)
{
    static const char *const nulls[] = {"moved_from", "moved_to", "before", "after", NULL};
    avro_value_t op = field(v, "op");

    assert_int_equal(avro_value_set_enum(&op, 5), 0); /* "e" */
    all_null(v, nulls);
    set_long(v, "begin_counter", 7);
    set_text(field(v, "server"), "");
    set_text(field(v, "gtid"), "");
    set_text(field(v, "file"), "");
}

static size_t
place_of(const json_t *fields, const char *name)
{
    size_t i = 0;

    while (strcmp(json_string_value(json_object_get(json_array_get(fields, i), "name")), name) != 0)
        i++;
    return i;
}

static void
a_bracket_of_an_older_writer_is_of_the_whole_partition(void **state)
{
    json_t *schema = json_of_file("oc10/filecache");
    json_t *fields = json_object_get(schema, "fields");
    struct ls_envelope *e;
    struct ls_err err = {0};
    struct ls_buf value;
    char *json;

    (void)state;
    json_array_remove(fields, place_of(fields, "storage"));
    json = json_dumps(schema, 0);
    value = foreign_value(json, true, set_older_end);
    ok(ls_envelope_decode(&ls_tables[LS_T_FILECACHE], str_of_buf(&value), arena, &e, &err));
    assert_int_equal(e->op, LS_OP_END);
    assert_int_equal(e->begin.counter, 7);
    assert_int_equal(e->storage, LS_NO_STORAGE);
    ls_buf_free(&value);
    free(json);
    json_decref(schema);
}

static void
an_older_reader_finds_the_rest_of_a_storages_bracket(void **state)
{
    const struct rec_type *today = envelope_type(LS_T_FILECACHE);
    struct ls_envelope e = {.op = LS_OP_BEGIN,
                            .table = &ls_tables[LS_T_FILECACHE],
                            .seq = {1, 9, 0},
                            .moved_from = LS_NO_STORAGE,
                            .moved_to = LS_NO_STORAGE,
                            .storage = 4};
    struct rec_field fields[40];
    struct cs3_type older = {.rec = *today};
    struct ls_envelope *back;
    struct ls_err err = {0};
    struct ls_buf buf;
    size_t n = 0;
    void *p;

    (void)state;
    for (size_t i = 0; i < today->n_fields; i++)
        if (strcmp(today->fields[i].name, "storage") != 0)
            fields[n++] = today->fields[i];
    assert_int_equal(n, today->n_fields - 1);
    older.rec.fields = fields;
    older.rec.n_fields = n;
    ls_buf_init(&buf, JUDGE_MAX);
    ok(ls_envelope_encode(&e, &buf, &err));
    ok(cs3_decode(&older, str_of_buf(&buf), arena, &p, &err));
    back = p;
    assert_int_equal(back->op, LS_OP_BEGIN);
    assert_int_equal(back->seq.counter, 9);
    assert_int_equal(back->moved_to, LS_NO_STORAGE);
    ls_buf_free(&buf);
}

/* ---- what cannot be read */

static void
set_nothing(avro_value_t *v)
{
    (void)v;
}

static void
poison_with(const char *json, const char *cause)
{
    struct ls_buf value = foreign_value(json, true, set_nothing);
    struct ls_err err = {0};
    void *back = NULL;

    assert_int_equal(cs3_decode(&cs3_space_type_, str_of_buf(&value), arena, &back, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, cause);
    assert_null(back);
    ls_buf_free(&value);
}

static void
a_writer_without_a_required_field_is_malformed(void **state)
{
    (void)state;
    poison_with("{\"type\":\"record\",\"name\":\"Space\",\"namespace\":\"org.lockstep.cs3\","
                "\"fields\":[{\"name\":\"storage\",\"type\":\"long\"}]}",
                "malformed-avro");
}

static void
a_symbol_that_we_do_not_know_is_malformed(void **state)
{
    (void)state;
    poison_with("{\"type\":\"record\",\"name\":\"Space\",\"namespace\":\"org.lockstep.cs3\","
                "\"fields\":[{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"Kind\","
                "\"symbols\":[\"TELEPORT\"]}},{\"name\":\"seq_epoch\",\"type\":\"int\"},"
                "{\"name\":\"seq_counter\",\"type\":\"long\"},{\"name\":\"part\",\"type\":\"int\"}]"
                "}",
                "malformed-avro");
}

/* ---- the learner */

static int asked;
static const char *answer;

static int
learner(void *arg, uint64_t fingerprint, struct ls_err *err)
{
    (void)arg;
    (void)fingerprint;
    asked++;
    if (!answer)
        return 0;
    if (strcmp(answer, "down") == 0)
        return ls_fail(err, LS_ERR_RETRY, 0, "Kafka is away");
    return ls_schema_learn(ls_str_of(answer), err);
}

#define TINY(field)                                                                                \
    "{\"type\":\"record\",\"name\":\"Space\",\"namespace\":\"org.lockstep.cs3\",\"fields\":["      \
    "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"Kind\",\"symbols\":[\"DELETE\"]}}," \
    "{\"name\":\"seq_epoch\",\"type\":\"int\"},{\"name\":\"seq_counter\",\"type\":\"int\"},"       \
    "{\"name\":\"part\",\"type\":\"int\"},{\"name\":\"" field "\",\"type\":\"int\"}]}"

static void
an_unknown_schema_is_asked_for_once(void **state)
{
    struct ls_buf value = foreign_value(TINY("x"), false, set_nothing);
    struct ls_err err = {0};
    void *back = NULL;

    (void)state;
    ls_schema_set_learner(learner, NULL);
    answer = "down";
    assert_int_equal(cs3_decode(&cs3_space_type_, str_of_buf(&value), arena, &back, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    answer = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cs3_decode(&cs3_space_type_, str_of_buf(&value), arena, &back, &err), -1);
        assert_int_equal(err.kind, LS_ERR_POISON);
        assert_string_equal(err.cause, "unknown-schema");
    }
    assert_int_equal(asked, 2); /* the failed time does not count */
    ls_schema_set_learner(NULL, NULL);
    ls_buf_free(&value);
}

static void
a_schema_that_the_learner_finds_is_used(void **state)
{
    struct ls_buf value = foreign_value(TINY("y"), false, set_nothing);
    struct ls_err err = {0};
    void *back = NULL;

    (void)state;
    ls_schema_set_learner(learner, NULL);
    answer = TINY("y");
    ok(cs3_decode(&cs3_space_type_, str_of_buf(&value), arena, &back, &err));
    /* A long of ours may be an int of the writer's. */
    assert_int_equal(((struct cs3_space *)back)->head.kind, CS3_DELETE);
    assert_int_equal(((struct cs3_space *)back)->head.seq.counter, 0);
    ls_schema_set_learner(NULL, NULL);
    ls_buf_free(&value);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_field_that_we_do_not_know_is_left_out),
        TEST(a_column_that_we_do_not_know_does_not_shift_the_others),
        TEST(a_field_that_the_writer_lacks_has_its_default),
        TEST(a_column_that_the_writer_lacks_is_absent),
        TEST(a_bracket_of_an_older_writer_is_of_the_whole_partition),
        TEST(an_older_reader_finds_the_rest_of_a_storages_bracket),
        TEST(a_writer_without_a_required_field_is_malformed),
        TEST(a_symbol_that_we_do_not_know_is_malformed),
        TEST(an_unknown_schema_is_asked_for_once),
        TEST(a_schema_that_the_learner_finds_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
