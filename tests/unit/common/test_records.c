/* The codec: byte-equal to avro-c's, what is written is read, and bad bytes are refused. */
#include "tests/unit/common/judge.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROUNDS 400 /* for each of the 21 schemas */

static const struct cs3_type *const cs3_types[] = {&cs3_resource_type, &cs3_space_type_,
                                                   &cs3_person_type_, &cs3_share_type_,
                                                   &cs3_annotation_type_};

struct fixture {
    struct ls_arena *arena;
    struct ls_buf buf;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->arena = ls_arena_new(4 << 20);
    ls_buf_init(&f->buf, 4 << 20);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    ls_arena_free(f->arena);
    ls_buf_free(&f->buf);
    free(f);
    return 0;
}

/* ---- random records */

/* Numbers of all sizes, the extremes among them. */
static int64_t
random_int(uint64_t *seed)
{
    uint64_t r = random_next(seed);

    switch (r % 8) {
    case 0:
        return INT64_MAX;
    case 1:
        return INT64_MIN + 1; /* INT64_MIN is LS_NO_STORAGE */
    case 2:
        return 0;
    default:
        return (int64_t)random_next(seed) >> (r % 61);
    }
}

/* Any bytes but NUL, which no column of ours holds and avro-c cannot be given. */
static struct ls_str
random_text(uint64_t *seed, struct ls_arena *arena)
{
    size_t n = random_next(seed) % 4 ? random_next(seed) % 40 : random_next(seed) % 5000;
    char *p = ls_arena_alloc(arena, n + 1);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(1 + random_next(seed) % 255);
    return (struct ls_str){p, n};
}

static void
random_record(uint64_t *seed, struct ls_arena *arena, const struct rec_type *type, void *record)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct rec_field *f = &type->fields[i];
        void *p = (char *)record + f->offset;
        bool there = random_next(seed) % 3 != 0;

        switch (f->kind) {
        case REC_INT:
            *(int32_t *)p = (int32_t)random_int(seed);
            break;
        case REC_LONG:
            *(int64_t *)p = random_int(seed);
            break;
        case REC_BOOL:
            *(bool *)p = there;
            break;
        case REC_STR:
            *(struct ls_str *)p = random_text(seed, arena);
            break;
        case REC_OPT_STR:
            *(struct ls_str *)p = there ? random_text(seed, arena) : LS_STR_NULL;
            break;
        case REC_OPT_LONG:
            *(int64_t *)p = there ? random_int(seed) : LS_NO_STORAGE;
            break;
        case REC_ENUM:
            memcpy(p, &f->symbols[random_next(seed) % f->n_symbols].value, sizeof(int));
            break;
        }
    }
}

static void
random_row(uint64_t *seed, struct ls_arena *arena, const struct ls_table *table,
           struct ls_value *values)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        switch (random_next(seed) % 4) {
        case 0:
            values[i].kind = LS_V_ABSENT;
            break;
        case 1:
            values[i].kind = LS_V_NULL;
            break;
        default:
            values[i].kind = table->columns[i].type;
            if (values[i].kind == LS_V_INT)
                values[i].i = random_int(seed);
            else
                values[i].s = random_text(seed, arena);
        }
    }
}

static void
random_envelope(uint64_t *seed, struct ls_arena *arena, const struct ls_table *table,
                struct ls_envelope *e)
{
    memset(e, 0, sizeof(*e));
    e->table = table;
    random_record(seed, arena, envelope_type(table->id), e);
    e->has_before = random_next(seed) % 2;
    e->has_after = random_next(seed) % 2;
    if (e->has_before)
        random_row(seed, arena, table, e->before);
    if (e->has_after)
        random_row(seed, arena, table, e->after);
}

/* ---- comparing */

static void
same_str(struct ls_str a, struct ls_str b)
{
    assert_true(ls_str_eq(a, b));
}

static void
same_record(const struct rec_type *type, const void *a, const void *b)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct rec_field *f = &type->fields[i];
        const void *p = (const char *)a + f->offset, *q = (const char *)b + f->offset;

        switch (f->kind) {
        case REC_STR:
        case REC_OPT_STR:
            same_str(*(const struct ls_str *)p, *(const struct ls_str *)q);
            break;
        case REC_LONG:
        case REC_OPT_LONG:
            assert_memory_equal(p, q, sizeof(int64_t));
            break;
        case REC_INT:
        case REC_ENUM:
            assert_memory_equal(p, q, sizeof(int32_t));
            break;
        case REC_BOOL:
            assert_memory_equal(p, q, sizeof(bool));
            break;
        }
    }
}

static void
same_row(const struct ls_table *table, const struct ls_value *a, const struct ls_value *b)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        assert_int_equal(a[i].kind, b[i].kind);
        if (a[i].kind == LS_V_INT)
            assert_int_equal(a[i].i, b[i].i);
        if (a[i].kind == LS_V_TEXT)
            same_str(a[i].s, b[i].s);
    }
}

/* The buffer holds the header of `name` and then exactly `n` bytes like these. */
static void
same_bytes(const struct ls_buf *buf, const char *name, const uint8_t *body, size_t n)
{
    uint8_t header[REC_HEADER];

    rec_put_single_object(header, schema_fingerprint_of(name));
    assert_int_equal(buf->n, REC_HEADER + n);
    assert_memory_equal(buf->p, header, REC_HEADER);
    assert_memory_equal(buf->p + REC_HEADER, body, n);
}

/* ---- tests */

static void
random_envelopes_are_written_as_avro_c_writes_them_and_read_back(void **state)
{
    struct fixture *f = *state;
    uint8_t *judged = malloc(JUDGE_MAX);
    uint64_t seed = 20240501;

    for (int t = 0; t < LS_T_COUNT; t++) {
        const struct ls_table *table = &ls_tables[t];
        const struct rec_type *type = envelope_type(table->id);
        avro_schema_t schema = schema_of_file(type->schema);

        for (int i = 0; i < ROUNDS; i++) {
            struct ls_envelope e, *back = NULL;
            struct ls_err err = {0};
            size_t n;

            ls_arena_reset(f->arena);
            ls_buf_clear(&f->buf);
            random_envelope(&seed, f->arena, table, &e);
            ok(ls_envelope_encode(&e, &f->buf, &err));
            if (f->buf.n >= JUDGE_MAX)
                continue;
            n = judge_write(schema, type, &e, &e, judged);
            same_bytes(&f->buf, type->schema, judged, n);
            ok(ls_envelope_decode(table, str_of_buf(&f->buf), f->arena, &back, &err));
            same_record(type, &e, back);
            assert_int_equal(e.has_before, back->has_before);
            assert_int_equal(e.has_after, back->has_after);
            assert_ptr_equal(back->table, table);
            same_row(table, e.before, back->before);
            same_row(table, e.after, back->after);
        }
        avro_schema_decref(schema);
    }
    free(judged);
}

static void
random_cs3_records_are_written_as_avro_c_writes_them_and_read_back(void **state)
{
    struct fixture *f = *state;
    uint8_t *judged = malloc(JUDGE_MAX);
    uint64_t seed = 7;

    for (size_t t = 0; t < 4; t++) {
        const struct rec_type *type = &cs3_types[t]->rec;
        avro_schema_t schema = schema_of_file(type->schema);
        void *record = malloc(type->size);

        for (int i = 0; i < ROUNDS * 2; i++) {
            struct ls_err err = {0};
            void *back = NULL;
            size_t n;

            ls_arena_reset(f->arena);
            ls_buf_clear(&f->buf);
            memset(record, 0, type->size);
            random_record(&seed, f->arena, type, record);
            ok(cs3_encode(cs3_types[t], record, &f->buf, &err));
            if (f->buf.n >= JUDGE_MAX)
                continue;
            n = judge_write(schema, type, record, NULL, judged);
            same_bytes(&f->buf, type->schema, judged, n);
            ok(cs3_decode(cs3_types[t], str_of_buf(&f->buf), f->arena, &back, &err));
            same_record(type, record, back);
        }
        free(record);
        avro_schema_decref(schema);
    }
    free(judged);
}

static struct ls_envelope
share_envelope(void)
{
    struct ls_envelope e = {.op = LS_OP_UPDATE,
                            .seq = {1, 2, 0},
                            .table = &ls_tables[LS_T_SHARE],
                            .server = LS_STR("db:3306"),
                            .moved_from = LS_NO_STORAGE,
                            .moved_to = LS_NO_STORAGE,
                            .storage = LS_NO_STORAGE,
                            .has_before = true,
                            .has_after = true};

    e.before[SH_ID] = e.after[SH_ID] = (struct ls_value){.kind = LS_V_INT, .i = 9};
    e.after[SH_SHARE_WITH] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("bob")};
    e.after[SH_EXPIRATION].kind = LS_V_NULL;
    return e;
}

static void
absent_null_and_empty_stay_three_things(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = share_envelope(), *back = NULL;
    struct ls_err err = {0};

    e.after[SH_TOKEN] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("")};
    ok(ls_envelope_encode(&e, &f->buf, &err));
    ok(ls_envelope_decode(e.table, str_of_buf(&f->buf), f->arena, &back, &err));
    assert_int_equal(back->after[SH_TOKEN].kind, LS_V_TEXT);
    assert_int_equal(back->after[SH_TOKEN].s.n, 0);
    assert_int_equal(back->after[SH_EXPIRATION].kind, LS_V_NULL);
    assert_int_equal(back->after[SH_SHARE_NAME].kind, LS_V_ABSENT);
    assert_int_equal(back->before[SH_SHARE_WITH].kind, LS_V_ABSENT);
    assert_int_equal(back->moved_from, LS_NO_STORAGE);
}

static void
a_number_in_a_text_column_becomes_text_and_the_reverse_is_poison(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = {.op = LS_OP_READ, .table = &ls_tables[LS_T_SHARE_EXTERNAL]}, *back;
    struct ls_err err = {0};

    /* oc_share_external.remote_id was a number before 10.3. */
    e.has_after = true;
    e.after[SX_REMOTE_ID] = (struct ls_value){.kind = LS_V_INT, .i = -1};
    ok(ls_envelope_encode(&e, &f->buf, &err));
    ok(ls_envelope_decode(e.table, str_of_buf(&f->buf), f->arena, &back, &err));
    assert_true(ls_str_is(back->after[SX_REMOTE_ID].s, "-1"));
    ls_buf_clear(&f->buf);
    ls_buf_append(&f->buf, "before", 6);
    e.after[SX_ID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("7")};
    assert_int_equal(ls_envelope_encode(&e, &f->buf, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, "column-type");
    assert_int_equal(f->buf.n, 6); /* what stood there before stands there still */
}

static void
a_record_beyond_the_buffers_cap_is_poison(void **state)
{
    struct ls_envelope e = share_envelope();
    struct ls_err err = {0};
    struct ls_buf small;

    (void)state;
    ls_buf_init(&small, 40);
    assert_int_equal(ls_envelope_encode(&e, &small, &err), -1);
    assert_string_equal(err.cause, "too-large");
    ls_buf_free(&small);
}

static void
cut_bytes_are_malformed_at_every_length(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = share_envelope(), *back = NULL;
    struct ls_err err = {0};
    size_t n;

    ok(ls_envelope_encode(&e, &f->buf, &err));
    n = f->buf.n;
    for (size_t i = 0; i < n; i++) {
        /* A copy of just this length, so that the sanitizer sees a read behind it. */
        char *copy = malloc(i ? i : 1);

        memcpy(copy, f->buf.p, i);
        err = (struct ls_err){0};
        assert_int_equal(
            ls_envelope_decode(e.table, (struct ls_str){copy, i}, f->arena, &back, &err), -1);
        assert_int_equal(err.kind, LS_ERR_POISON);
        assert_string_equal(err.cause, "malformed-avro");
        assert_null(back);
        free(copy);
    }
    ls_buf_append(&f->buf, "", 1);
    assert_int_equal(ls_envelope_decode(e.table, str_of_buf(&f->buf), f->arena, &back, &err), -1);
    assert_int_equal(ls_envelope_decode(e.table, LS_STR_NULL, f->arena, &back, &err), -1);
}

static void
bytes_changed_at_random_never_do_harm(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = share_envelope(), *back;
    struct ls_err err = {0};
    uint64_t seed = 99;
    int refused = 0;

    ok(ls_envelope_encode(&e, &f->buf, &err));
    for (int i = 0; i < 20000; i++) {
        size_t n = f->buf.n - random_next(&seed) % 3;
        char *copy = malloc(n);
        int changes = 1 + (int)(random_next(&seed) % 3);

        memcpy(copy, f->buf.p, n);
        while (changes-- > 0)
            copy[REC_HEADER + random_next(&seed) % (n - REC_HEADER)] = (char)random_next(&seed);
        ls_arena_reset(f->arena);
        if (ls_envelope_decode(e.table, (struct ls_str){copy, n}, f->arena, &back, &err) < 0) {
            assert_int_equal(err.kind, LS_ERR_POISON);
            refused++;
        }
        free(copy);
    }
    assert_in_range(refused, 5000, 20000);
}

/* What a reader makes of these bytes: the record written again, or its words. */
static void
reading(const struct ls_table *table, const struct cs3_type *type, struct ls_str value,
        bool by_avro_c, struct fixture *f, struct ls_err *ret_err)
{
    bool before = rec_read_by_avro_c(by_avro_c);
    struct ls_envelope *e = NULL;
    void *record = NULL;
    struct ls_err err = {0};
    int r;

    ls_arena_reset(f->arena);
    ls_buf_clear(&f->buf);
    if (table)
        r = ls_envelope_decode(table, value, f->arena, &e, &err);
    else
        r = cs3_decode(type, value, f->arena, &record, &err);
    if (r == 0 && table)
        ok(ls_envelope_encode(e, &f->buf, ret_err));
    else if (r == 0)
        ok(cs3_encode(type, record, &f->buf, ret_err));
    *ret_err = err;
    rec_read_by_avro_c(before);
}

static void
both_readers_make_the_same_of_bytes_changed_at_random(void **state)
{
    struct fixture *f = *state, direct = {ls_arena_new(4 << 20), {0}};
    uint64_t seed = 4711;
    int taken = 0, refused = 0;

    ls_buf_init(&direct.buf, 4 << 20);
    for (int i = 0; i < 10000; i++) {
        size_t which = random_next(&seed) % (LS_T_COUNT + COUNT(cs3_types));
        const struct ls_table *table = which < LS_T_COUNT ? &ls_tables[which] : NULL;
        const struct cs3_type *type = table ? NULL : cs3_types[which - LS_T_COUNT];
        struct ls_err err = {0}, err_direct = {0};
        size_t n;
        char *copy;

        ls_arena_reset(f->arena);
        ls_buf_clear(&f->buf);
        if (table) {
            struct ls_envelope e;

            random_envelope(&seed, f->arena, table, &e);
            ok(ls_envelope_encode(&e, &f->buf, &err));
        } else {
            void *record = ls_arena_alloc(f->arena, type->rec.size);

            random_record(&seed, f->arena, &type->rec, record);
            ok(cs3_encode(type, record, &f->buf, &err));
        }
        n = f->buf.n - (random_next(&seed) % 8 == 0);
        copy = malloc(n);
        memcpy(copy, f->buf.p, n);
        for (uint64_t changes = random_next(&seed) % 3; changes > 0; changes--) {
            /* most of them near the front, where the numbers and lengths are */
            size_t span = n - REC_HEADER, at = random_next(&seed) % span;

            copy[REC_HEADER + (at > 60 ? at % 60 : at)] = (char)random_next(&seed);
        }
        reading(table, type, (struct ls_str){copy, n}, false, &direct, &err_direct);
        reading(table, type, (struct ls_str){copy, n}, true, f, &err);
        assert_string_equal(err.msg, err_direct.msg);
        assert_int_equal(err.kind, err_direct.kind);
        assert_int_equal(f->buf.n, direct.buf.n);
        assert_true(f->buf.n == 0 || memcmp(f->buf.p, direct.buf.p, f->buf.n) == 0);
        refused += err.kind != LS_ERR_NONE;
        taken += err.kind == LS_ERR_NONE;
        free(copy);
    }
    assert_in_range(refused, 1500, 8500);
    assert_in_range(taken, 1500, 8500);
    ls_buf_free(&direct.buf);
    ls_arena_free(direct.arena);
}

static void
another_topics_record_is_malformed(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = share_envelope(), *back = NULL;
    struct ls_err err = {0};
    void *resource = NULL;

    ok(ls_envelope_encode(&e, &f->buf, &err));
    assert_int_equal(
        ls_envelope_decode(&ls_tables[LS_T_FILECACHE], str_of_buf(&f->buf), f->arena, &back, &err),
        -1);
    assert_string_equal(err.cause, "malformed-avro");
    assert_int_equal(cs3_decode(&cs3_resource_type, str_of_buf(&f->buf), f->arena, &resource, &err),
                     -1);
    assert_string_equal(err.cause, "malformed-avro");
}

static void
a_full_arena_is_a_retry_not_a_poison(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = share_envelope(), *back = NULL;
    struct ls_arena *small = ls_arena_new(100);
    struct ls_err err = {0};

    ok(ls_envelope_encode(&e, &f->buf, &err));
    assert_int_equal(ls_envelope_decode(e.table, str_of_buf(&f->buf), small, &back, &err), -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    ls_arena_free(small);
}

static void
keys_are_the_primary_key_with_slashes_escaped(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = {.op = LS_OP_CREATE, .table = &ls_tables[LS_T_GROUP_USER]};
    struct ls_envelope share = share_envelope();
    struct ls_err err = {0};
    struct ls_str key;

    e.has_after = true;
    e.after[GU_GID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("a/b%")};
    e.after[GU_UID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("u")};
    ok(ls_envelope_key(&e, f->arena, &key, &err));
    assert_true(ls_str_is(key, "a%2Fb%25/u"));
    share.has_after = false; /* a delete: from before */
    ok(ls_envelope_key(&share, f->arena, &key, &err));
    assert_true(ls_str_is(key, "9"));
    share.before[SH_ID].kind = LS_V_ABSENT;
    assert_int_equal(ls_envelope_key(&share, f->arena, &key, &err), -1);
    assert_string_equal(err.cause, "no-key");
    e.has_after = false;
    assert_int_equal(ls_envelope_key(&e, f->arena, &key, &err), -1);
}

static void
an_empty_text_in_a_key_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    struct ls_envelope e = {.op = LS_OP_CREATE, .table = &ls_tables[LS_T_PREFERENCES]};
    struct ls_err err = {0};
    struct ls_str key;

    e.has_after = true;
    e.after[PF_USERID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("")};
    e.after[PF_APPID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("files")};
    e.after[PF_CONFIGKEY] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("quota")};
    ok(ls_envelope_key(&e, f->arena, &key, &err));
    assert_true(ls_str_is(key, "/files/quota"));
}

static void
permission_names_are_nineteen_and_differ(void **state)
{
    (void)state;
    assert_string_equal(cs3_permission_names[(int)log2(CS3_PERM_STAT)], "stat");
    assert_string_equal(cs3_permission_names[(int)log2(CS3_PERM_DENY_GRANT)], "deny_grant");
    assert_string_equal(cs3_permission_names[(int)log2(CS3_PERM_MOVE)], "move");
    assert_string_equal(cs3_permission_names[(int)log2(CS3_PERM_GET_QUOTA)], "get_quota");
    for (size_t i = 0; i < 19; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(cs3_permission_names[i], cs3_permission_names[k]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_envelopes_are_written_as_avro_c_writes_them_and_read_back),
        TEST(random_cs3_records_are_written_as_avro_c_writes_them_and_read_back),
        TEST(absent_null_and_empty_stay_three_things),
        TEST(a_number_in_a_text_column_becomes_text_and_the_reverse_is_poison),
        TEST(a_record_beyond_the_buffers_cap_is_poison),
        TEST(cut_bytes_are_malformed_at_every_length),
        TEST(bytes_changed_at_random_never_do_harm),
        TEST(both_readers_make_the_same_of_bytes_changed_at_random),
        TEST(another_topics_record_is_malformed),
        TEST(a_full_arena_is_a_retry_not_a_poison),
        TEST(keys_are_the_primary_key_with_slashes_escaped),
        TEST(an_empty_text_in_a_key_keeps_its_place),
        TEST(permission_names_are_nineteen_and_differ),
    };

    int failed = cmocka_run_group_tests_name("read straight", tests, NULL, NULL);

    rec_read_by_avro_c(true);
    return failed + cmocka_run_group_tests_name("read by avro-c", tests, NULL, NULL);
}
