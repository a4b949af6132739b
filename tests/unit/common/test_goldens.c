/*
 * Golden bytes: what is on people's topics stays readable, and is still written the same.
 *
 * schemas/golden/<name>.bin is a whole value, <name>.json what avro-c makes of it. With
 * LOCKSTEP_WRITE_GOLDENS=1 they are written anew, which is right only when a schema changed.
 */
#include "tests/unit/common/judge.h"

#define INT(n) ((struct ls_value){.kind = LS_V_INT, .i = (n)})
#define TEXT(t) ((struct ls_value){.kind = LS_V_TEXT, .s = LS_STR(t)})
#define SQL_NULL ((struct ls_value){.kind = LS_V_NULL})

static struct ls_envelope
base(enum ls_table_id id, enum ls_op op)
{
    return (struct ls_envelope){.op = op,
                                .seq = {1, 42, 0},
                                .table = &ls_tables[id],
                                .source_ts_us = INT64_C(1714554000123456),
                                .capture_ts_us = INT64_C(1714554000223456),
                                .server = LS_STR("db.example:3306"),
                                .gtid = LS_STR("0-1-77"),
                                .file = LS_STR("binlog.000003"),
                                .pos = 4711,
                                .row = 2,
                                .moved_from = LS_NO_STORAGE,
                                .moved_to = LS_NO_STORAGE,
                                .storage = LS_NO_STORAGE};
}

static struct ls_envelope
moved_file(void)
{
    struct ls_envelope e = base(LS_T_FILECACHE, LS_OP_UPDATE);

    e.seq.part = 1;
    e.moved_from = 3;
    e.has_before = e.has_after = true;
    e.before[FC_FILEID] = INT(1001);
    e.before[FC_STORAGE] = INT(3);
    e.after[FC_FILEID] = INT(1001);
    e.after[FC_STORAGE] = INT(4);
    e.after[FC_PATH] = TEXT("files/Urlaub \xc3\xa4\xc3\xb6/a.txt");
    e.after[FC_PARENT] = INT(-1);
    e.after[FC_NAME] = TEXT("a.txt");
    e.after[FC_MIMETYPE] = INT(7);
    e.after[FC_SIZE] = INT(INT64_C(5000000000));
    e.after[FC_MTIME] = INT(1714553999);
    e.after[FC_ENCRYPTED] = INT(0);
    e.after[FC_ETAG] = TEXT("0123456789abcdef");
    e.after[FC_PERMISSIONS] = INT(27);
    e.after[FC_CHECKSUM] = SQL_NULL;
    return e;
}

static struct ls_envelope
link_share(void)
{
    struct ls_envelope e = base(LS_T_SHARE, LS_OP_READ);

    e.has_after = true;
    e.after[SH_ID] = INT(9);
    e.after[SH_SHARE_TYPE] = INT(3);
    e.after[SH_SHARE_WITH] = TEXT(LS_MASKED);
    e.after[SH_UID_OWNER] = TEXT("alice");
    e.after[SH_PARENT] = SQL_NULL;
    e.after[SH_FILE_SOURCE] = INT(1001);
    e.after[SH_EXPIRATION] = TEXT("2024-05-31 00:00:00");
    return e;
}

static struct ls_envelope
deleted_member(void)
{
    struct ls_envelope e = base(LS_T_GROUP_USER, LS_OP_DELETE);

    e.has_before = true;
    e.before[GU_GID] = TEXT("staff");
    e.before[GU_UID] = TEXT("bob");
    return e;
}

static struct ls_envelope
end_bracket(void)
{
    struct ls_envelope e = base(LS_T_FILECACHE, LS_OP_END);

    e.begin = (struct ls_seq){1, 7, 0};
    return e;
}

static struct ls_envelope
begin_of_a_storage(void)
{
    struct ls_envelope e = base(LS_T_FILECACHE, LS_OP_BEGIN);

    e.begin = e.seq;
    e.storage = 4;
    return e;
}

#define HEAD                                                                                       \
    {                                                                                              \
        .kind = CS3_UPSERT, .seq = {1, 42, 1}, .source_ts_us = 17, .capture_ts_us = 18,            \
        .snapshot = true                                                                           \
    }

static const struct cs3_resource resource = {.head = HEAD,
                                             .storage = 4,
                                             .fileid = 1001,
                                             .parent = 1000,
                                             .name = {"a.txt", 5},
                                             .class_hint = CS3_CLASS_FILES,
                                             .size = 5,
                                             .mtime = -1,
                                             .etag = {"e", 1},
                                             .sha1 = {"da39a3ee", 8},
                                             .mimetype = {"text/plain", 10},
                                             .moved_from = 3,
                                             .moved_to = LS_NO_STORAGE,
                                             .id = {"oc10$4!1001", 11},
                                             .tree_mtime = LS_NO_STORAGE,
                                             .version_of = {"a.txt", 5},
                                             .version_time = 17,
                                             .version_meta = true,
                                             .path_hash = CS3_PATH_ROOT};
static const struct cs3_resource end_of_a_storage = {
    .head = {.kind = CS3_END, .seq = {1, 42, 0}, .begin = {1, 7, 0}},
    .storage = 4,
    .parent = -1,
    .name = {"", 0},
    .size = -1,
    .moved_from = LS_NO_STORAGE,
    .moved_to = LS_NO_STORAGE,
    .tree_mtime = LS_NO_STORAGE};
static const struct cs3_space space = {.head = HEAD,
                                       .storage = 4,
                                       .source_id = {"home::alice", 11},
                                       .type = CS3_SPACE_PERSONAL,
                                       .owner = {"alice", 5}};
static const struct cs3_person person = {
    .head = HEAD, .type = CS3_MEMBER, .uid = {"bob", 3}, .gid = {"staff", 5}, .enabled = true};
static const struct cs3_person credential = {.head = HEAD,
                                             .type = CS3_CREDENTIAL,
                                             .uid = {"bob", 3},
                                             .display_name = {"Bob", 3},
                                             .enabled = true,
                                             .password_hash = {"$2y$10$abc", 10},
                                             .password_algorithm = {"bcrypt", 6}};
static const struct cs3_person quota = {.head = HEAD,
                                        .type = CS3_QUOTA,
                                        .uid = {"bob", 3},
                                        .quota = {"5 GB", 4},
                                        .enabled = true,
                                        .quota_kind = CS3_QUOTA_BYTES,
                                        .quota_bytes = 5368709120};
static const struct cs3_annotation property = {.head = HEAD,
                                               .type = CS3_PROPERTY,
                                               .id = 3,
                                               .fileid = 1001,
                                               .name = {"{urn:x}colour", 13},
                                               .value = {"blue", 4},
                                               .value_type = 1};
static const struct cs3_annotation systemtag = {.head = HEAD,
                                                .type = CS3_SYSTEMTAG,
                                                .id = 7,
                                                .fileid = LS_NO_STORAGE,
                                                .name = {"Tag A", 5},
                                                .visible = true,
                                                .assignable = true};
static const struct cs3_annotation category = {.head = HEAD,
                                               .type = CS3_CATEGORY,
                                               .id = 7,
                                               .fileid = LS_NO_STORAGE,
                                               .uid = {"bob", 3},
                                               .object_type = {"files", 5},
                                               .name = {"_$!<Favorite>!$_", 16},
                                               .favorite = true};
static const struct cs3_share share = {.head = HEAD,
                                       .id = 9,
                                       .type = CS3_SHARE_LINK,
                                       .fileid = 1001,
                                       .owner = {"alice", 5},
                                       .creator = {"alice", 5},
                                       .permissions = CS3_PERM_STAT | CS3_PERM_DENY_GRANT,
                                       .source_permissions = 1,
                                       .state = CS3_SHARE_PENDING,
                                       .expires = 1717200000,
                                       .has_password = true};

static bool
writing(void)
{
    return getenv("LOCKSTEP_WRITE_GOLDENS") != NULL;
}

static void
file_write(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void
file_is(const char *path, const void *p, size_t n)
{
    char *content = calloc(1, JUDGE_MAX);
    FILE *f;

    if (writing())
        file_write(path, p, n);
    f = fopen(path, "re");
    if (!f)
        fail_msg("cannot open %s", path);
    assert_int_equal(fread(content, 1, JUDGE_MAX, f), n);
    fclose(f);
    if (memcmp(content, p, n) != 0)
        fail_msg("%s is not what is written now", path);
    free(content);
}

static void
golden(const char *name, const char *schema_name, struct ls_str value)
{
    avro_schema_t schema = schema_of_file(schema_name);
    char path[128], *json = judge_json(schema, value);
    size_t n = strlen(json);

    snprintf(path, sizeof(path), "schemas/golden/%s.bin", name);
    file_is(path, value.p, value.n);
    json = realloc(json, n + 2);
    memcpy(json + n, "\n", 2);
    snprintf(path, sizeof(path), "schemas/golden/%s.json", name);
    file_is(path, json, n + 1);
    free(json);
    avro_schema_decref(schema);
}

static void
envelope_golden(const char *name, struct ls_envelope e)
{
    const char *schema = envelope_type(e.table->id)->schema;
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct ls_envelope *back;
    struct ls_err err = {0};
    struct ls_buf buf, again;

    ls_buf_init(&buf, JUDGE_MAX);
    ls_buf_init(&again, JUDGE_MAX);
    ok(ls_envelope_encode(&e, &buf, &err));
    golden(name, schema, str_of_buf(&buf));
    ok(ls_envelope_decode(e.table, str_of_buf(&buf), arena, &back, &err));
    ok(ls_envelope_encode(back, &again, &err));
    assert_int_equal(again.n, buf.n);
    assert_memory_equal(again.p, buf.p, buf.n);
    ls_buf_free(&buf);
    ls_buf_free(&again);
    ls_arena_free(arena);
}

static void
cs3_golden(const char *name, const struct cs3_type *type, const void *record)
{
    struct ls_arena *arena = ls_arena_new(1 << 20);
    struct ls_err err = {0};
    struct ls_buf buf, again;
    void *back;

    ls_buf_init(&buf, JUDGE_MAX);
    ls_buf_init(&again, JUDGE_MAX);
    ok(cs3_encode(type, record, &buf, &err));
    golden(name, type->rec.schema, str_of_buf(&buf));
    ok(cs3_decode(type, str_of_buf(&buf), arena, &back, &err));
    ok(cs3_encode(type, back, &again, &err));
    assert_int_equal(again.n, buf.n);
    assert_memory_equal(again.p, buf.p, buf.n);
    ls_buf_free(&buf);
    ls_buf_free(&again);
    ls_arena_free(arena);
}

static void
envelopes_are_written_and_read_as_the_goldens_say(void **state)
{
    (void)state;
    envelope_golden("oc10-filecache-moved", moved_file());
    envelope_golden("oc10-filecache-end", end_bracket());
    envelope_golden("oc10-filecache-begin-storage", begin_of_a_storage());
    envelope_golden("oc10-share-link", link_share());
    envelope_golden("oc10-group_user-deleted", deleted_member());
}

static void
cs3_records_are_written_and_read_as_the_goldens_say(void **state)
{
    (void)state;
    cs3_golden("cs3-resource", &cs3_resource_type, &resource);
    cs3_golden("cs3-resource-end-storage", &cs3_resource_type, &end_of_a_storage);
    cs3_golden("cs3-space", &cs3_space_type_, &space);
    cs3_golden("cs3-person", &cs3_person_type_, &person);
    cs3_golden("cs3-person-credential", &cs3_person_type_, &credential);
    cs3_golden("cs3-person-quota", &cs3_person_type_, &quota);
    cs3_golden("cs3-annotation-property", &cs3_annotation_type_, &property);
    cs3_golden("cs3-annotation-systemtag", &cs3_annotation_type_, &systemtag);
    cs3_golden("cs3-annotation-category", &cs3_annotation_type_, &category);
    cs3_golden("cs3-share", &cs3_share_type_, &share);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelopes_are_written_and_read_as_the_goldens_say),
        cmocka_unit_test(cs3_records_are_written_and_read_as_the_goldens_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
