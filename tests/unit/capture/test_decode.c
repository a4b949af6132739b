/* Events recorded from MariaDB and MySQL, whole, cut at every byte, and bent. */
#include "tests/unit/capture/events.h"

#include "capture/binlog/payload.h"
#include "capture/binlog/xa.h"

static const char *const recordings[] = {"types",
                                         "mixed",
                                         "nolog",
                                         "minimal",
                                         "statement",
                                         "ddl",
                                         "compressed",
                                         "annotated",
                                         "xa",
                                         "savepoint",
                                         "unsummed",
                                         "mysql_types",
                                         "mysql_mixed",
                                         "mysql_payload",
                                         "mysql_xa",
                                         "mysql_v1",
                                         "mysql_partial",
                                         "mysql_minimal",
                                         "mysql_unsummed",
                                         "mysql_partitioned",
                                         "mysql_anonymous",
                                         "mysql_create_select",
                                         "mysql_statement"};

struct reader {
    struct ls_config *config;
    struct cap_schema *schema;
    struct cap_layout layout;
    struct cap_table_map map;
    struct ls_buf scratch;
    struct cap_payload *payload;
    struct cap_image before, after;
    bool checksum; /* as the recording's format description says */
};

static int
setup(void **state)
{
    struct reader *r = calloc(1, sizeof(*r));

    r->config = test_config(NULL, 0);
    r->schema = cap_schema_new(r->config);
    ls_buf_init(&r->scratch, 1 << 20);
    r->payload = cap_payload_new(1 << 20);
    *state = r;
    return 0;
}

static int
teardown(void **state)
{
    struct reader *r = *state;

    cap_layout_clear(&r->layout);
    cap_payload_free(r->payload);
    ls_buf_free(&r->scratch);
    cap_schema_free(r->schema);
    ls_config_free(r->config);
    free(r);
    return 0;
}

static int decode_any(struct reader *r, const uint8_t *p, size_t n, bool checksum,
                      struct ls_err *err);

static int
decode_payload(struct reader *r, const struct cap_event *event, struct ls_err *err)
{
    const uint8_t *p;
    size_t n;
    int k, rows = 0;

    if (cap_payload_open(r->payload, event, err) < 0)
        return -1;
    while ((k = cap_payload_next(r->payload, &p, &n, err)) > 0) {
        if (n > 4 && p[4] == CAP_EV_PAYLOAD)
            return -1;
        k = decode_any(r, p, n, false, err);
        if (k < 0)
            return -1;
        rows += k;
    }
    return k < 0 ? -1 : rows;
}

/* Decodes whatever an event is; returns the number of rows of watched tables, -1 for an error. */
static int
decode_any(struct reader *r, const uint8_t *p, size_t n, bool checksum, struct ls_err *err)
{
    struct cap_gtid_event gtid;
    struct cap_gtid_set set;
    struct cap_query query;
    struct cap_xid xid;
    struct cap_event event;
    struct cap_rows rows;
    struct ls_str file;
    uint64_t pos;
    bool on;
    int n_rows = 0, k;

    if (cap_event_parse(p, n, checksum, &event, err) < 0)
        return -1;
    if (cap_event_is_rows(event.type)) {
        if (cap_rows_head(&event, &rows, err) < 0)
            return -1;
        if (!r->layout.table || r->layout.id != rows.table_id)
            return 0;
        if (cap_rows_open(&rows, &r->layout, &r->scratch, err) < 0)
            return -1;
        while ((k = cap_rows_next(&rows, &r->layout, &r->before, &r->after, err)) > 0)
            n_rows++;
        return k < 0 ? -1 : n_rows;
    }
    switch (event.type) {
    case CAP_EV_FORMAT:
        if (cap_decode_format(&event, &on, err) < 0)
            return -1;
        r->checksum = on;
        return 0;
    case CAP_EV_ROTATE:
        return cap_decode_rotate(&event, &file, &pos, err);
    case CAP_EV_GTID:
    case CAP_EV_GTID_MYSQL:
    case CAP_EV_GTID_ANONYMOUS:
        return cap_decode_gtid(&event, &gtid, err);
    case CAP_EV_PREVIOUS_GTIDS:
        return cap_decode_previous_gtids(&event, &set, err);
    case CAP_EV_HEARTBEAT:
    case CAP_EV_HEARTBEAT_V2:
        return cap_decode_heartbeat(&event, &file, &pos, err);
    case CAP_EV_XA_PREPARE:
        return cap_xa_decode(&event, &xid, &on, err);
    case CAP_EV_PAYLOAD:
        return decode_payload(r, &event, err);
    case CAP_EV_QUERY:
    case CAP_EV_QUERY_COMPRESSED:
        return cap_decode_query(&event, &r->scratch, &query, err);
    case CAP_EV_TABLE_MAP:
        if (cap_decode_table_map(&event, &r->map, err) < 0)
            return -1;
        r->layout.table = NULL;
        const struct ls_table *table = cap_schema_match(r->schema, r->map.db, r->map.name);
        if (!table || !r->map.names.p)
            return 0;
        if (cap_schema_layout(r->schema, table, &r->map, &r->layout, err) == 0)
            return 0;
        r->layout.table = NULL;
        return -1;
    default:
        return 0;
    }
}

static void
every_recorded_event_decodes(void **state)
{
    struct reader *r = *state;
    int rows = 0;

    for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
        struct recording rec = recording_open(recordings[i]);
        const uint8_t *p;
        r->checksum = true;
        size_t n;
        while (recording_next(&rec, &p, &n)) {
            struct ls_err err = {0};
            int k = decode_any(r, p, n, r->checksum, &err);
            if (k < 0 && strcmp(err.cause, "row-image") != 0 &&
                strcmp(err.cause, "source-tables") != 0)
                fail_msg("%s: %s", recordings[i], err.msg);
            rows += k > 0 ? k : 0;
        }
        recording_close(&rec);
    }
    assert_true(rows > 60);
}

/* The next rows event of the recording, its table map taken before. */
static void
next_rows(struct reader *r, struct recording *rec, struct cap_rows *rows)
{
    const uint8_t *p;
    size_t n;

    while (recording_next(rec, &p, &n)) {
        struct ls_err err = {0};
        struct cap_event event;
        if (cap_event_parse(p, n, true, &event, &err) < 0)
            fail_msg("%s", err.msg);
        if (!cap_event_is_rows(event.type)) {
            assert_true(decode_any(r, p, n, true, &err) >= 0);
            continue;
        }
        assert_int_equal(cap_rows_head(&event, rows, &err), 0);
        if (!r->layout.table || rows->table_id != r->layout.id)
            continue;
        if (cap_rows_open(rows, &r->layout, &r->scratch, &err) < 0)
            fail_msg("%s", err.msg);
        return;
    }
    fail_msg("no more rows");
}

static void
check_types(struct reader *r, const char *recording)
{
    struct recording rec = recording_open(recording);
    const struct ls_value *after = r->after.values, *before = r->before.values;
    struct cap_rows rows;
    struct ls_err err = {0};

    next_rows(r, &rec, &rows);
    assert_int_equal(rows.op, CAP_ROWS_WRITE);
    assert_int_equal(cap_rows_next(&rows, &r->layout, NULL, &r->after, &err), 1);
    assert_int_equal(after[FC_FILEID].i, 1);
    assert_int_equal(after[FC_STORAGE].i, 7);
    assert_true(ls_str_is(after[FC_PATH].s, "files/ü📷"));
    assert_int_equal(after[FC_SIZE].i, -1);
    assert_int_equal(after[FC_MTIME].i, 5000000000);
    assert_true(ls_str_is(after[FC_NAME].s, "ü📷"));
    assert_int_equal(after[FC_PARENT].i, -1);
    assert_int_equal(after[FC_ETAG].kind, LS_V_ABSENT); /* the table has no such column */
    assert_int_equal(cap_rows_next(&rows, &r->layout, NULL, &r->after, &err), 1);
    assert_int_equal(after[FC_FILEID].i, INT64_MAX);
    assert_int_equal(after[FC_STORAGE].i, INT32_MIN);
    assert_int_equal(after[FC_PATH].kind, LS_V_NULL);
    assert_int_equal(after[FC_SIZE].i, INT64_MIN);
    assert_int_equal(cap_rows_next(&rows, &r->layout, NULL, &r->after, &err), 0);

    next_rows(r, &rec, &rows);
    assert_int_equal(rows.op, CAP_ROWS_UPDATE);
    assert_int_equal(cap_rows_next(&rows, &r->layout, &r->before, &r->after, &err), 1);
    assert_int_equal(before[FC_SIZE].i, -1);
    assert_int_equal(after[FC_SIZE].i, 8);
    assert_int_equal(after[FC_STORAGE].i, 9);
    next_rows(r, &rec, &rows);
    assert_int_equal(rows.op, CAP_ROWS_DELETE);
    assert_int_equal(cap_rows_next(&rows, &r->layout, &r->before, NULL, &err), 1);
    assert_int_equal(before[FC_PARENT].i, 0);
    recording_close(&rec);
}

static void
columns_of_any_type_between_ours_do_not_shift_them(void **state)
{
    check_types(*state, "types");
    check_types(*state, "mysql_types");
}

static void
signs_come_from_the_metadata_of_each_column(void **state)
{
    static const struct {
        const char *name;
        bool is_unsigned;
    } expected[] = {{"fileid", false},  {"c_utiny", true},   {"c_tiny", false},
                    {"c_usmall", true}, {"c_medium", false}, {"c_umedium", true},
                    {"c_uint", true},   {"storage", false},  {"size", false}};
    struct reader *r = *state;
    struct recording rec = recording_open("types");
    struct cap_rows rows;
    size_t seen = 0;

    next_rows(r, &rec, &rows);
    struct ls_str rest = r->map.names, name;
    for (uint32_t i = 0; i < r->map.n_columns; i++) {
        assert_int_equal(cap_names_next(&rest, &name, NULL), 0);
        for (size_t k = 0; k < sizeof(expected) / sizeof(expected[0]); k++)
            if (ls_str_is(name, expected[k].name)) {
                assert_int_equal(r->layout.columns[i].is_unsigned, expected[k].is_unsigned);
                seen++;
            }
    }
    assert_int_equal(seen, sizeof(expected) / sizeof(expected[0]));
    recording_close(&rec);
}

static void
a_number_above_int64_marks_the_row_poison(void **state)
{
    struct reader *r = *state;
    struct recording rec = recording_open("mixed");
    struct cap_rows rows;
    struct ls_err err = {0};

    next_rows(r, &rec, &rows);
    assert_int_equal(cap_rows_next(&rows, &r->layout, NULL, &r->after, &err), 1);
    assert_false(r->after.poison);
    assert_int_equal(cap_rows_next(&rows, &r->layout, NULL, &r->after, &err), 1);
    assert_true(r->after.poison);
    assert_int_equal(r->after.poison_column, AC_ID);
    recording_close(&rec);
}

static void
a_datetime_is_the_text_the_table_shows_and_tokens_are_left_out(void **state)
{
    struct reader *r = *state;
    struct recording rec = recording_open("mixed");
    struct cap_rows rows;
    struct ls_err err = {0};

    do
        next_rows(r, &rec, &rows);
    while (r->layout.table->id != LS_T_SHARE);
    assert_int_equal(cap_rows_next(&rows, &r->layout, NULL, &r->after, &err), 1);
    assert_true(ls_str_is(r->after.values[SH_EXPIRATION].s, "2031-02-28 23:59:58"));
    assert_int_equal(r->after.values[SH_TOKEN].kind, LS_V_ABSENT);
    recording_close(&rec);
}

static void
compressed_rows_and_statements_are_unpacked(void **state)
{
    struct reader *r = *state;
    struct recording rec = recording_open("compressed");
    struct cap_query query = {0};
    struct cap_rows rows;
    struct ls_err err = {0};
    const uint8_t *p;
    size_t n;
    int n_rows = 0;

    next_rows(r, &rec, &rows);
    assert_true(rows.compressed);
    while (cap_rows_next(&rows, &r->layout, NULL, &r->after, &err) > 0) {
        n_rows++;
        assert_int_equal(r->after.values[SH_ID].i, 10 + n_rows);
        assert_int_equal(r->after.values[SH_SHARE_WITH].s.n, 200);
    }
    assert_int_equal(n_rows, 20);
    while (recording_next(&rec, &p, &n)) {
        struct cap_event event;
        assert_int_equal(cap_event_parse(p, n, true, &event, &err), 0);
        if (event.type == CAP_EV_QUERY_COMPRESSED)
            assert_int_equal(cap_decode_query(&event, &r->scratch, &query, &err), 0);
    }
    assert_memory_equal(query.text.p, "CREATE TABLE long_one", 21);
    assert_int_equal(query.text.p[query.text.n - 1], ')');
    assert_true(ls_str_is(query.db, "owncloud"));
    recording_close(&rec);
}

static void
check_refused(struct reader *r, const char *recording, const char *word)
{
    struct recording rec = recording_open(recording);
    struct ls_err err = {0};
    const uint8_t *p;
    size_t n;
    bool seen = false;

    while (recording_next(&rec, &p, &n))
        if (decode_any(r, p, n, true, &err) < 0) {
            assert_int_equal(err.kind, LS_ERR_FATAL);
            assert_string_equal(err.cause, "row-image");
            assert_non_null(strstr(err.msg, word));
            seen = true;
        }
    assert_true(seen);
    recording_close(&rec);
}

static void
an_image_that_leaves_columns_out_is_fatal(void **state)
{
    check_refused(*state, "minimal", "binlog_row_image=FULL");
    check_refused(*state, "mysql_minimal", "binlog_row_image=FULL");
}

static void
a_partial_update_of_json_is_fatal(void **state)
{
    check_refused(*state, "mysql_partial", "binlog_row_value_options");
}

static void
a_gtid_event_says_domain_server_and_number(void **state)
{
    struct recording rec = recording_open("ddl");
    struct cap_gtid_event first = {0}, gtid = {0};
    const uint8_t *p;
    size_t n;

    (void)state;
    while (recording_next(&rec, &p, &n)) {
        struct cap_event event;
        assert_int_equal(cap_event_parse(p, n, true, &event, NULL), 0);
        if (event.type != CAP_EV_GTID)
            continue;
        first = gtid;
        assert_int_equal(cap_decode_gtid(&event, &gtid, NULL), 0);
        assert_true(gtid.standalone);
    }
    assert_int_equal(gtid.gtid.flavour, CAP_MARIADB);
    assert_int_equal(gtid.gtid.domain, 0);
    assert_int_equal(gtid.gtid.server, 1);
    assert_int_equal(gtid.gtid.seq, first.gtid.seq + 1);
    recording_close(&rec);
}

static void
a_flipped_bit_fails_the_checksum(void **state)
{
    struct recording rec = recording_open("mixed");
    const uint8_t *p;
    size_t n;

    (void)state;
    (void)recording_next(&rec, &p, &n); /* the format description proves itself otherwise */
    while (recording_next(&rec, &p, &n)) {
        struct cap_event event;
        struct ls_err err = {0};
        uint8_t *copy = malloc(n);
        memcpy(copy, p, n);
        copy[n / 2 < 20 ? 20 : n / 2] ^= 4;
        if (copy[4] == CAP_EV_ROTATE) {
            free(copy);
            continue;
        }
        assert_int_equal(cap_event_parse(copy, n, true, &event, &err), -1);
        assert_string_equal(err.cause, "binlog-checksum");
        assert_int_equal(err.kind, LS_ERR_RETRY);
        free(copy);
    }
    recording_close(&rec);
}

/* Exactly as many bytes as there are, so that the sanitizer sees a read past the end. */
static int
decode_copy(struct reader *r, const uint8_t *p, size_t n, struct ls_err *err)
{
    uint8_t *copy = malloc(n ? n : 1);
    int k;

    memcpy(copy, p, n);
    if (n >= 13)
        for (int i = 0; i < 4; i++)
            copy[9 + i] = (uint8_t)(n >> (8 * i));
    k = decode_any(r, copy, n, false, err);
    free(copy);
    return k;
}

static void
no_prefix_of_an_event_crashes_or_gives_as_many_rows_as_the_whole(void **state)
{
    struct reader *r = *state;
    int errors = 0;

    for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
        struct recording rec = recording_open(recordings[i]);
        const uint8_t *p;
        size_t n;
        while (recording_next(&rec, &p, &n)) {
            struct ls_err err = {0};
            int whole = decode_any(r, p, n, r->checksum, &err);
            for (size_t cut = 0; cut < n - (r->checksum ? 4 : 0); cut++) {
                int k = decode_copy(r, p, cut, &err);
                errors += k < 0;
                if (cut < CAP_EVENT_HEADER)
                    assert_int_equal(k, -1);
                /* cut between two rows it is an event of fewer rows */
                if (whole > 0)
                    assert_true(k < whole);
            }
            (void)decode_any(r, p, n, r->checksum, &err);
        }
        recording_close(&rec);
    }
    assert_true(errors > 1000);
}

static void
bent_events_never_crash(void **state)
{
    struct reader *r = *state;
    uint64_t seed = 88172645463325252ULL;
    int tried = 0;

    for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
        struct recording rec = recording_open(recordings[i]);
        const uint8_t *p;
        size_t n;
        while (recording_next(&rec, &p, &n)) {
            uint8_t *copy = malloc(n);
            struct ls_err err = {0};
            for (int k = 0; k < 300; k++) {
                memcpy(copy, p, n);
                for (int bend = 0; bend < 1 + k % 3; bend++) {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    size_t at = CAP_EVENT_HEADER + (size_t)(seed >> 8) % (n - CAP_EVENT_HEADER);
                    copy[at] = seed & 64 ? 0xff : (uint8_t)(seed >> 24);
                }
                (void)decode_copy(r, copy, n - 4, &err);
                tried++;
            }
            free(copy);
            (void)decode_any(r, p, n, r->checksum, &err);
        }
        recording_close(&rec);
    }
    assert_true(tried > 10000);
}

static void
unknown_events_stop_unless_they_say_they_may_be_ignored(void **state)
{
    (void)state;
    assert_int_equal(cap_event_classify(43, 0), CAP_CLASS_UNKNOWN);
    assert_int_equal(cap_event_classify(43, CAP_FLAG_IGNORABLE), CAP_CLASS_IGNORABLE);
    assert_int_equal(cap_event_classify(CAP_EV_PAYLOAD, CAP_FLAG_IGNORABLE), CAP_CLASS_KNOWN);
    assert_int_equal(cap_event_classify(CAP_EV_ANNOTATE, 0), CAP_CLASS_IGNORABLE);
    assert_int_equal(cap_event_classify(CAP_EV_INCIDENT, 0), CAP_CLASS_KNOWN);
    assert_int_equal(cap_event_classify(CAP_EV_DELETE_ROWS_COMPRESSED, 0), CAP_CLASS_KNOWN);
}

static void
a_forged_length_of_a_compressed_event_costs_no_memory(void **state)
{
    static const uint8_t forged[] = {0x84, 0x3f, 0xff, 0xff, 0xff, 0x78, 0x9c, 0x03};
    struct reader *r = *state;
    struct cap_event event = {.type = CAP_EV_QUERY_COMPRESSED};
    struct ls_err err = {0};
    struct ls_str out;

    assert_int_equal(cap_unpack(&event, forged, sizeof(forged), &r->scratch, &out, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_int_equal(r->scratch.size, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_recorded_event_decodes, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_of_any_type_between_ours_do_not_shift_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(signs_come_from_the_metadata_of_each_column, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_number_above_int64_marks_the_row_poison, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_datetime_is_the_text_the_table_shows_and_tokens_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(compressed_rows_and_statements_are_unpacked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_image_that_leaves_columns_out_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(a_partial_update_of_json_is_fatal, setup, teardown),
        cmocka_unit_test(a_gtid_event_says_domain_server_and_number),
        cmocka_unit_test(a_flipped_bit_fails_the_checksum),
        cmocka_unit_test_setup_teardown(
            no_prefix_of_an_event_crashes_or_gives_as_many_rows_as_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(bent_events_never_crash, setup, teardown),
        cmocka_unit_test(unknown_events_stop_unless_they_say_they_may_be_ignored),
        cmocka_unit_test_setup_teardown(a_forged_length_of_a_compressed_event_costs_no_memory,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
