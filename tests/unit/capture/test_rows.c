/*
 * Rows of every column type from every server, as record_rows.py has recorded them, held against
 * what the server itself showed of them.
 */
#include "tests/unit/capture/events.h"

#include "capture/binlog/types.h"

#define VALUES_MAX (1 << 16)

/* The columns of the recorded oc_share that are ours, in the order of the .values file. */
static const uint8_t shown[] = {
    SH_ID,        SH_SHARE_TYPE,  SH_SHARE_WITH,  SH_UID_OWNER,   SH_UID_INITIATOR, SH_PARENT,
    SH_ITEM_TYPE, SH_ITEM_SOURCE, SH_FILE_SOURCE, SH_FILE_TARGET, SH_PERMISSIONS,   SH_STIME,
    SH_ACCEPTED,  SH_EXPIRATION,  SH_MAIL_SEND,   SH_SHARE_NAME,  SH_ATTRIBUTES,
};
#define N_SHOWN (sizeof(shown) / sizeof(shown[0]))

static const char *const servers[] = {"mariadb-10.11",   "mariadb-11.4",  "mysql-8.0",
                                      "mysql-5.7",       "mariadb-old",   "mariadb-hires",
                                      "mariadb-minimal", "mysql-minimal", "mariadb-hires-nolog"};
#define N_SERVERS (sizeof(servers) / sizeof(servers[0]))

static char *
file_text(const char *name, const char *what)
{
    char path[256];
    char *text = malloc(VALUES_MAX);
    size_t n;
    FILE *f;

    snprintf(path, sizeof(path), "tests/unit/capture/data/%s.%s", name, what);
    f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing: run from the top of the tree", path);
    n = fread(text, 1, VALUES_MAX - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

struct reader {
    struct ls_config *config;
    struct cap_schema *schema;
    struct cap_layout layout;
    struct ls_buf scratch;
    struct cap_image image;
    struct recording rec;
    char name[64];
};

static void
begin(struct reader *r, const char *name, bool known)
{
    struct ls_err err = {0};

    memset(r, 0, sizeof(*r));
    snprintf(r->name, sizeof(r->name), "rows-%s", name);
    r->config = test_config(NULL, 0);
    r->schema = cap_schema_new(r->config);
    ls_buf_init(&r->scratch, 1 << 20);
    r->rec = recording_open(r->name);
    cap_schema_is_mysql(r->schema, !strncmp(name, "mysql", 5));
    if (known) {
        char *columns = file_text(r->name, "columns");
        if (cap_schema_parse(r->schema, columns, &err) < 0)
            fail_msg("%s", err.msg);
        free(columns);
    }
}

static void
end(struct reader *r)
{
    recording_close(&r->rec);
    cap_layout_clear(&r->layout);
    ls_buf_free(&r->scratch);
    cap_schema_free(r->schema);
    ls_config_free(r->config);
}

/* The next event: 0 something else, 1 a row in r->image, -1 the end or a failure in *err. */
static int
next(struct reader *r, struct ls_err *err)
{
    struct cap_event event;
    struct cap_table_map map;
    struct cap_rows rows;
    const uint8_t *p;
    size_t n;

    if (!recording_next(&r->rec, &p, &n))
        return -1;
    assert_int_equal(cap_event_parse(p, n, true, &event, err), 0);
    if (event.type == CAP_EV_TABLE_MAP) {
        assert_int_equal(cap_decode_table_map(&event, &map, err), 0);
        return cap_schema_layout(r->schema, &ls_tables[LS_T_SHARE], &map, &r->layout, err);
    }
    if (!cap_event_is_rows(event.type))
        return 0;
    assert_int_equal(cap_rows_head(&event, &rows, err), 0);
    if (cap_rows_open(&rows, &r->layout, &r->scratch, err) < 0 ||
        cap_rows_next(&rows, &r->layout, NULL, &r->image, err) != 1)
        return -1;
    return 1;
}

/* A value as the .values file has it. */
static void
print(const struct ls_value *value, char *out, size_t size)
{
    char digits[32];
    struct ls_str s = value->s;
    size_t at = 0;

    if (value->kind == LS_V_NULL || value->kind == LS_V_ABSENT) {
        snprintf(out, size, value->kind == LS_V_NULL ? "NULL" : "ABSENT");
        return;
    }
    if (value->kind == LS_V_INT) {
        snprintf(digits, sizeof(digits), "%lld", (long long)value->i);
        s = str(digits);
    }
    out[0] = '\0';
    for (size_t i = 0; i < s.n && at + 3 < size; i++, at += 2)
        snprintf(out + at, 3, "%02X", (unsigned char)s.p[i]);
}

static bool
beyond_int64(const char *hex)
{
    /* 18446744073709551615 and 9223372036854775808, in hexadecimal of their text */
    return !strcmp(hex, "3138343436373434303733373039353531363135") ||
           !strcmp(hex, "39323233333732303336383534373735383038");
}

/* Compares every row with its line; returns how many there were. */
static int
compare(struct reader *r)
{
    char *values = file_text(r->name, "values"), *rest = values, *line;
    struct ls_err err = {0};
    int rows = 0, k;

    while ((k = next(r, &err)) >= 0) {
        char text[8192];
        bool poison = false;
        if (k == 0)
            continue;
        line = strsep(&rest, "\n");
        assert_non_null(line);
        for (size_t i = 0; i < N_SHOWN; i++) {
            const char *expected = strsep(&line, "\t");
            assert_non_null(expected);
            print(&r->image.values[shown[i]], text, sizeof(text));
            if (beyond_int64(expected)) {
                expected = "ABSENT";
                poison = true;
            }
            if (strcmp(text, expected) != 0)
                fail_msg("%s row %d, %s: %s, shown is %s", r->name, rows + 1,
                         ls_tables[LS_T_SHARE].columns[shown[i]].name, text, expected);
        }
        assert_int_equal(r->image.poison, poison);
        assert_int_equal(r->image.values[SH_TOKEN].kind, LS_V_ABSENT);
        rows++;
    }
    if (err.msg[0])
        fail_msg("%s: %s", r->name, err.msg);
    free(values);
    return rows;
}

static void
every_type_of_every_server_gives_what_a_select_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SERVERS; i++) {
        struct reader r;
        begin(&r, servers[i], true);
        assert_int_equal(compare(&r), 6);
        end(&r);
    }
}

static void
with_full_metadata_nothing_else_need_be_known(void **state)
{
    static const char *const full[] = {"mariadb-10.11", "mariadb-11.4", "mysql-8.0"};

    (void)state;
    for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
        struct reader r;
        begin(&r, full[i], false);
        assert_int_equal(compare(&r), 6);
        end(&r);
    }
}

/* Reads a recording whose table has been bent by the columns given; what stops it. */
static struct ls_err
stopped(const char *name, const char *from, const char *to)
{
    char *columns = file_text(name, "columns"), *at = strstr(columns, from), bent[4096];
    struct ls_err err = {0};
    struct reader r;

    assert_non_null(at);
    snprintf(bent, sizeof(bent), "%.*s%s%s", (int)(at - columns), columns, to, at + strlen(from));
    free(columns);
    begin(&r, name + 5, false);
    assert_int_equal(cap_schema_parse(r.schema, bent, &err), 0);
    while (next(&r, &err) >= 0)
        ;
    end(&r);
    return err;
}

static void
known_columns_that_do_not_fit_the_rows_stop_it(void **state)
{
    struct ls_err err =
        stopped("rows-mysql-5.7", "\"item_type\", \"date\"", "\"item_type\", \"datetime\"");

    (void)state;
    assert_string_equal(err.cause, "column-type");
    assert_int_equal(err.kind, LS_ERR_FATAL);
    err = stopped("rows-mysql-5.7", "{\"share\": [",
                  "{\"share\": [[\"x\",\"int\",\"\",false,0,\"\"],");
    assert_string_equal(err.cause, "column-count");
}

static void
a_character_set_that_cannot_be_followed_is_refused_by_name(void **state)
{
    struct ls_err err = stopped("rows-mysql-5.7", "\"share_name\", \"char\", \"latin1\"",
                                "\"share_name\",\"char\",\"greek\"");

    (void)state;
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_non_null(strstr(err.msg, "share.share_name"));
    assert_non_null(strstr(err.msg, "character set"));
}

static void
columns_are_the_same_after_a_way_through_the_position_topic(void **state)
{
    struct reader r;
    char *columns = file_text("rows-mariadb-hires", "columns"), *first, *second;

    (void)state;
    begin(&r, "mariadb-hires", true);
    assert_false(cap_schema_changed(r.schema));
    first = cap_schema_print(r.schema);
    assert_int_equal(cap_schema_parse(r.schema, first, NULL), 0);
    second = cap_schema_print(r.schema);
    assert_string_equal(first, second);
    assert_true(cap_schema_known(r.schema, LS_T_SHARE));
    assert_false(cap_schema_known(r.schema, LS_T_FILECACHE));
    cap_schema_forget(r.schema, 1U << LS_T_SHARE);
    assert_true(cap_schema_changed(r.schema));
    assert_false(cap_schema_known(r.schema, LS_T_SHARE));
    assert_int_equal(cap_schema_parse(r.schema, "{\"share\":[[1]]}", NULL), -1);
    assert_int_equal(cap_schema_parse(r.schema, "[", NULL), -1);
    assert_int_equal(cap_schema_parse(r.schema, NULL, NULL), 0);
    free(first);
    free(second);
    free(columns);
    end(&r);
}

static void
old_times_make_the_columns_wanted_though_the_map_has_names(void **state)
{
    static const struct {
        const char *name;
        bool wanted;
    } cases[] = {{"mariadb-10.11", false}, {"mariadb-hires", true}, {"mariadb-old", true},
                 {"mysql-5.7", true},      {"mysql-minimal", true}, {"mysql-8.0", false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reader r;
        struct cap_event event = {0};
        struct cap_table_map map;
        const uint8_t *p;
        size_t n;
        begin(&r, cases[i].name, false);
        while (event.type != CAP_EV_TABLE_MAP) {
            assert_true(recording_next(&r.rec, &p, &n));
            assert_int_equal(cap_event_parse(p, n, true, &event, NULL), 0);
        }
        assert_int_equal(cap_decode_table_map(&event, &map, NULL), 0);
        assert_int_equal(cap_schema_needs_columns(r.schema, &ls_tables[LS_T_SHARE], &map),
                         cases[i].wanted);
        end(&r);
    }
}

static void
metadata_that_no_server_writes_is_refused(void **state)
{
    static const struct {
        uint8_t type, meta[2];
    } cases[] = {
        {CAP_T_STRING, {CAP_T_ENUM, 200}},
        {CAP_T_STRING, {CAP_T_SET, 9}},
        {CAP_T_BIT, {7, 8}},
        {CAP_T_NEWDECIMAL, {5, 6}},
        {CAP_T_NEWDECIMAL, {66, 0}},
        {CAP_T_TIME2, {7, 0}},
        {CAP_T_BLOB, {5, 0}},
        {CAP_T_BLOB, {0, 0}},
        {200, {0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cap_layout layout = {0};
        struct cap_table_map map = {.n_columns = 1,
                                    .types = &cases[i].type,
                                    .meta = {(const char *)cases[i].meta, 2},
                                    .name = LS_STR("oc_share")};
        struct ls_err err = {0};
        assert_int_equal(cap_layout_types(&map, &layout, &err), -1);
        assert_int_equal(err.kind, LS_ERR_FATAL);
        map.types = (const uint8_t *)"\xfc";
        map.meta.n = 0;
        assert_int_equal(cap_layout_types(&map, &layout, &err), -1);
    }
}

static void
every_collation_of_every_server_has_its_character_set(void **state)
{
    char *text = file_text("collations", "txt"), *rest = text, *line;
    int n = 0;

    (void)state;
    while ((line = strsep(&rest, "\n")) && *line) {
        char name[40];
        unsigned id;
        assert_int_equal(sscanf(line, "%u %39s", &id, name), 2);
        if (cap_charset_of_collation(id) != cap_charset_of_name(name))
            fail_msg("collation %u is of %s", id, name);
        n++;
    }
    assert_true(n > 1000);
    assert_int_equal(cap_charset_of_name(""), CAP_CHARSET_UNTOLD);
    assert_int_equal(cap_charset_of_name("sjis"), CAP_CHARSET_OTHER);
    free(text);
}

/* Exactly as many bytes as there are, so that the sanitizer sees a read past the end. */
static void
table_maps_and_rows_that_are_cut_or_bent_never_crash(void **state)
{
    uint64_t seed = 88172645463325252ULL;
    int refused = 0;

    (void)state;
    for (size_t i = 0; i < N_SERVERS; i++) {
        struct reader r;
        const uint8_t *p;
        size_t n;
        begin(&r, servers[i], true);
        while (recording_next(&r.rec, &p, &n)) {
            struct cap_table_map map;
            struct cap_rows rows;
            struct ls_err err = {0};
            bool is_map = p[4] == CAP_EV_TABLE_MAP;
            if (!is_map && !cap_event_is_rows(p[4]))
                continue;
            for (size_t k = 0; k < 600; k++) {
                size_t cut = k < 300 && k + CAP_EVENT_HEADER < n ? CAP_EVENT_HEADER + k : n - 4;
                uint8_t *copy = malloc(cut);
                struct cap_event event = {.type = p[4], .body = copy + CAP_EVENT_HEADER};
                memcpy(copy, p, cut);
                event.n = cut - CAP_EVENT_HEADER;
                for (size_t bends = k < 300 ? 0 : 1 + k % 4; bends > 0; bends--) {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    copy[CAP_EVENT_HEADER + (seed >> 8) % event.n] =
                        seed & 64 ? 0xff : (uint8_t)(seed >> 40);
                }
                if (is_map)
                    refused += cap_decode_table_map(&event, &map, &err) < 0 ||
                               cap_schema_layout(r.schema, &ls_tables[LS_T_SHARE], &map, &r.layout,
                                                 &err) < 0;
                else
                    refused += cap_rows_head(&event, &rows, &err) < 0 ||
                               cap_rows_open(&rows, &r.layout, &r.scratch, &err) < 0 ||
                               cap_rows_next(&rows, &r.layout, &r.image, &r.image, &err) < 0;
                free(copy);
            }
            if (is_map) {
                struct cap_event event;
                assert_int_equal(cap_event_parse(p, n, true, &event, &err), 0);
                assert_int_equal(cap_decode_table_map(&event, &map, &err), 0);
                assert_int_equal(
                    cap_schema_layout(r.schema, &ls_tables[LS_T_SHARE], &map, &r.layout, &err), 0);
            }
        }
        end(&r);
    }
    assert_true(refused > 10000);
}

/* ---- the text of a SELECT */

static struct ls_value
selected(enum enum_field_types type, enum ls_value_kind kind, const char *text, size_t n,
         char digits[24])
{
    MYSQL_FIELD field = {.type = type};
    struct ls_value value;

    cap_value_select(&field, kind, text, n, digits, &value);
    return value;
}

static void
a_select_gives_the_same_values(void **state)
{
    static const struct {
        enum enum_field_types type;
        const char *text, *expected;
    } texts[] = {
        {MYSQL_TYPE_LONG, "00042", "42"},
        {MYSQL_TYPE_LONG, "0", "0"},
        {MYSQL_TYPE_LONG, "-5", "-5"},
        {MYSQL_TYPE_YEAR, "0000", "0"},
        {MYSQL_TYPE_NEWDECIMAL, "000.50", "0.50"},
        {MYSQL_TYPE_DATETIME, "2026-11-22 01:02:03.456", "2026-11-22 01:02:03"},
        {MYSQL_TYPE_TIME, "-00:00:00.5", "-00:00:00"},
        {MYSQL_TYPE_VAR_STRING, "007.5", "007.5"},
        {MYSQL_TYPE_DATE, "0000-00-00", "0000-00-00"},
    };
    char digits[24];
    struct ls_value v;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        v = selected(texts[i].type, LS_V_TEXT, texts[i].text, strlen(texts[i].text), digits);
        assert_int_equal(v.kind, LS_V_TEXT);
        assert_true(ls_str_is(v.s, texts[i].expected));
    }
    v = selected(MYSQL_TYPE_BIT, LS_V_INT, "\x01\xff", 2, digits);
    assert_int_equal(v.i, 511);
    v = selected(MYSQL_TYPE_BIT, LS_V_TEXT, "\x01\xff", 2, digits);
    assert_true(ls_str_is(v.s, "511"));
    v = selected(MYSQL_TYPE_LONGLONG, LS_V_INT, "18446744073709551615", 20, digits);
    assert_int_equal(v.kind, LS_V_ABSENT);
    v = selected(MYSQL_TYPE_LONGLONG, LS_V_INT, "-9223372036854775808", 20, digits);
    assert_true(v.kind == LS_V_INT && v.i == INT64_MIN);
    assert_int_equal(selected(MYSQL_TYPE_LONG, LS_V_INT, NULL, 0, digits).kind, LS_V_NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_every_server_gives_what_a_select_shows),
        cmocka_unit_test(with_full_metadata_nothing_else_need_be_known),
        cmocka_unit_test(known_columns_that_do_not_fit_the_rows_stop_it),
        cmocka_unit_test(a_character_set_that_cannot_be_followed_is_refused_by_name),
        cmocka_unit_test(columns_are_the_same_after_a_way_through_the_position_topic),
        cmocka_unit_test(old_times_make_the_columns_wanted_though_the_map_has_names),
        cmocka_unit_test(metadata_that_no_server_writes_is_refused),
        cmocka_unit_test(every_collation_of_every_server_has_its_character_set),
        cmocka_unit_test(table_maps_and_rows_that_are_cut_or_bent_never_crash),
        cmocka_unit_test(a_select_gives_the_same_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
