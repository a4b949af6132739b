/*
 * The stream over recorded and made events of both flavours, with the real schema; the publisher is
 * acted: what it is given is written down as text, one word a row.
 */
#include "tests/unit/capture/events.h"

#include "capture/publish/publish.h"
#include "capture/stream/stream.h"
#include <zstd.h>

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define FILE_1 "bin.000007"

/* ---- the publisher */
static struct cap_position position, kept; /* now, and as of the last commit */
static char rows[4096], rows_kept[4096];
static int full_after; /* rows that make a Kafka transaction full; 0: never */
static int open_rows;
static int64_t last_ts_us;

struct cap_position *
cap_publisher_position(struct cap_publisher *p)
{
    (void)p;
    return &position;
}

int
cap_publish_row(struct cap_publisher *p, const struct cap_origin *origin,
                const struct ls_table *table, const struct cap_image *before,
                const struct cap_image *after, struct ls_err *err)
{
    const struct cap_image *image = after ? after : before;
    size_t n = strlen(rows);

    (void)p, (void)err;
    if (image->poison) {
        snprintf(rows + n, sizeof(rows) - n, " poison");
        return 0;
    }
    snprintf(rows + n, sizeof(rows) - n, "%s%c%s%lld", n ? " " : "",
             !before  ? '+'
             : !after ? '-'
                      : '=',
             table->name, (long long)image->values[0].i);
    position.counters.watched++;
    position.counters.published++;
    open_rows++;
    last_ts_us = origin->ts_us;
    return 0;
}

bool
cap_publisher_full(const struct cap_publisher *p)
{
    (void)p;
    return full_after > 0 && open_rows >= full_after;
}

int64_t
cap_publisher_age_ms(const struct cap_publisher *p, int64_t now_ms)
{
    (void)p, (void)now_ms;
    return 0;
}

int
cap_publisher_commit(struct cap_publisher *p, struct ls_err *err)
{
    (void)p, (void)err;
    kept = position;
    memcpy(rows_kept, rows, sizeof(rows));
    open_rows = 0;
    return 0;
}

/* ---- driving */
struct act {
    struct ls_config *config;
    struct cap_schema *schema;
    struct cap_stream *stream;
    struct cap_packet packet;
    struct ls_err err;
};

static int
setup(void **state)
{
    static int anything;
    struct act *a = calloc(1, sizeof(*a));

    memset(&position, 0, sizeof(position));
    rows[0] = '\0';
    full_after = open_rows = 0;
    a->config = test_config(NULL, 0);
    a->schema = cap_schema_new(a->config);
    a->stream = cap_stream_new(a->schema, (struct cap_publisher *)&anything);
    assert_non_null(a->stream);
    *state = a;
    return 0;
}

static int
teardown(void **state)
{
    struct act *a = *state;

    cap_stream_free(a->stream);
    cap_schema_free(a->schema);
    ls_config_free(a->config);
    free(a);
    return 0;
}

static void
begin(struct act *a, const char *gtids)
{
    assert_int_equal(cap_gtid_set_parse(str(gtids), &position.gtids, &a->err), 0);
    snprintf(position.file, sizeof(position.file), FILE_1);
    cap_stream_restart(a->stream);
}

static int
take(struct act *a, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n); /* so that reading past it is seen */
    int r;

    memcpy(copy, p, n);
    a->packet.p = copy;
    a->packet.n = n;
    memset(&a->err, 0, sizeof(a->err));
    r = cap_stream_take(a->stream, &a->packet, &a->err);
    free(copy);
    return r;
}

static void
le(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static size_t
event_bytes(uint8_t *p, int type, uint32_t next, int flags, const void *body, size_t n)
{
    memset(p, 0, 19);
    le(p, 1000, 4);
    p[4] = (uint8_t)type;
    le(p + 9, 19 + n, 4);
    le(p + 13, next, 4);
    p[17] = (uint8_t)flags;
    memcpy(p + 19, body, n);
    return 19 + n;
}

static int
event(struct act *a, int type, uint32_t next, int flags, const void *body, size_t n)
{
    uint8_t p[600];

    return take(a, p, event_bytes(p, type, next, flags, body, n));
}

static void
good(struct act *a, int r)
{
    if (r < 0)
        fail_msg("%s", a->err.msg);
}

static void
rotate(struct act *a, const char *file)
{
    uint8_t body[64] = {4};

    memcpy(body + 8, file, strlen(file));
    good(a, event(a, CAP_EV_ROTATE, 0, 0x20, body, 8 + strlen(file)));
}

/* As MySQL 5.7 writes it; `text` is of either flavour. */
static int
gtid_as(struct act *a, const char *text, uint32_t next, int flags)
{
    uint8_t body[42] = {0};
    struct cap_gtid gtid;

    assert_int_equal(cap_gtid_parse(str(text), &gtid), 0);
    if (gtid.flavour == CAP_MYSQL) {
        memcpy(body + 1, gtid.uuid, 16);
        le(body + 17, gtid.seq, 8);
        body[25] = 2;
        return event(a, CAP_EV_GTID_MYSQL, next, 0, body, sizeof(body));
    }
    le(body, gtid.seq, 8);
    le(body + 8, gtid.domain, 4);
    body[12] = (uint8_t)flags;
    return event(a, CAP_EV_GTID, next, 0, body, 19);
}

static void
gtid(struct act *a, const char *text, uint32_t next)
{
    good(a, gtid_as(a, text, next, 0));
}

static size_t
query_body(uint8_t *body, const char *text)
{
    memset(body, 0, 14);
    memcpy(body + 13, "\0", 1);
    memcpy(body + 14, text, strlen(text));
    return 14 + strlen(text);
}

static void
query(struct act *a, const char *text, uint32_t next)
{
    uint8_t body[300];

    good(a, event(a, CAP_EV_QUERY, next, 0, body, query_body(body, text)));
}

static void
xid(struct act *a, uint32_t next)
{
    good(a, event(a, CAP_EV_XID, next, 0, "\1\0\0\0\0\0\0\0", 8));
}

/* oc_mimetypes with its names: id INT, mimetype VARCHAR(255). */
static const uint8_t map_body[] = {
    9,   0,  0,  0,   0,   0,   1,   0,   8,   'o', 'w', 'n', 'c', 'l', 'o', 'u',
    'd', 0,  12, 'o', 'c', '_', 'm', 'i', 'm', 'e', 't', 'y', 'p', 'e', 's', 0, /* */
    2,   3,  15, 2,   252, 3,   0, /* INT, VARCHAR(1020) */
    1,   1,  0,  2,   1,   45,     /* signed, utf8mb4 */
    4,   12, 2,  'i', 'd', 8,   'm', 'i', 'm', 'e', 't', 'y', 'p', 'e'};

static size_t
insert_body(uint8_t *body, int first, int n)
{
    static const uint8_t head[] = {9, 0, 0, 0, 0, 0, 1, 0, 2, 3};
    size_t at = sizeof(head);

    memcpy(body, head, sizeof(head));
    for (int i = 0; i < n; i++) {
        body[at] = 0;
        le(body + at + 1, (uint64_t)(first + i), 4);
        memcpy(body + at + 5, "\1\0x", 3);
        at += 8;
    }
    return at;
}

static void
inserts(struct act *a, int first, int n, uint32_t next)
{
    uint8_t body[400];

    good(a, event(a, CAP_EV_TABLE_MAP, next - 1, 0, map_body, sizeof(map_body)));
    good(a, event(a, CAP_EV_WRITE_ROWS_V1, next, 0, body, insert_body(body, first, n)));
}

/* A transaction with one row. */
static void
one(struct act *a, const char *text, int id, uint32_t next)
{
    gtid(a, text, next - 50);
    query(a, "BEGIN", next - 40);
    inserts(a, id, 1, next - 10);
    xid(a, next);
}

static void
published(const char *expected)
{
    assert_string_equal(rows, expected);
    rows[0] = '\0';
}

static void
has(const char *gtids)
{
    char text[CAP_GTID_SET_TEXT];

    cap_gtid_set_print(&position.gtids, text);
    assert_string_equal(text, gtids);
}

/* All events of a recording; how many transactions ended. */
static int
play(struct act *a, const char *name)
{
    struct recording rec = recording_open(name);
    int64_t groups = cap_stream_groups(a->stream);
    const uint8_t *p;
    size_t n;

    rotate(a, FILE_1);
    while (recording_next(&rec, &p, &n))
        if (take(a, p, n) < 0)
            break;
    recording_close(&rec);
    return (int)(cap_stream_groups(a->stream) - groups);
}

/* ---- recordings of MySQL */

static void
recorded_transactions_of_mysql_are_followed(void **state)
{
    static const struct {
        const char *name;
        int groups;
        const char *rows;
    } cases[] = {
        {"mysql_types", 3,
         "+filecache1 +filecache9223372036854775807 =filecache1 -filecache9223372036854775807"},
        {"mysql_mixed", 3, "+accounts1 poison =accounts1 =accounts1"},
        {"mysql_payload", 2, "+share1 +share2 +share3 -share2 -share3 =share1"},
        {"mysql_v1", 1, "+accounts50"},
        {"mysql_partitioned", 3, "+mimetypes1 +mimetypes2 =mimetypes7"},
        {"mysql_create_select", 1, ""},
        {"mysql_unsummed", 1, "+accounts42"},
        {"mysql_anonymous", 1, "+accounts43"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct act *a;
        int groups;
        (void)setup(state);
        a = *state;
        begin(a, "");
        groups = play(a, cases[i].name);
        if (groups != cases[i].groups)
            fail_msg("%s: %d transactions, %s", cases[i].name, groups, a->err.msg);
        published(cases[i].rows);
        assert_int_equal(a->err.kind, LS_ERR_NONE);
        assert_true(cap_stream_at_boundary(a->stream));
        assert_false(position.lost);
        assert_string_equal(position.file, FILE_1);
        (void)teardown(state);
    }
}

static void
a_stream_that_began_by_file_gets_its_gtids_from_the_head_of_a_file(void **state)
{
    struct act *a = *state;

    begin(a, "");
    one(a, A ":7", 1, 1000); /* others are in front of it: which, nobody knows */
    has("");
    published("+mimetypes1");
    assert_int_equal(play(a, "mysql_mixed"), 3);
    assert_int_equal(position.gtids.n, 1);
    assert_int_equal(position.gtids.counts[0], 1);
    assert_int_equal(position.gtids.intervals[0].first, 1);
    assert_int_equal(position.counters.gtid_gaps, 0);
    /* microseconds, as they are told */
    assert_true(last_ts_us > 1700000000000000 && last_ts_us % 1000000 != 0);
    assert_int_equal(position.ts_us, last_ts_us);
}

static void
what_mysql_refuses_to_say_in_full_is_fatal(void **state)
{
    static const struct {
        const char *name, *cause, *word;
    } cases[] = {
        {"mysql_minimal", "row-image", "binlog_row_image"},
        {"mysql_partial", "row-image", "binlog_row_value_options"},
        {"mysql_statement", "statement", "UPDATE oc_accounts"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct act *a;
        (void)setup(state);
        a = *state;
        begin(a, "");
        (void)play(a, cases[i].name);
        assert_int_equal(a->err.kind, LS_ERR_FATAL);
        assert_string_equal(a->err.cause, cases[i].cause);
        assert_non_null(strstr(a->err.msg, cases[i].word));
        (void)teardown(state);
    }
}

/* ---- XA */

static void
rows_of_xa_are_held_back_and_their_commit_is_a_loss(void **state)
{
    static const char *const recordings[] = {"xa", "mysql_xa"};

    for (int i = 0; i < 2; i++) {
        struct recording rec = recording_open(recordings[i]);
        struct act *a;
        const uint8_t *p;
        size_t n;
        int64_t groups = 0;
        (void)setup(state);
        a = *state;
        begin(a, "");
        rotate(a, FILE_1);
        while (recording_next(&rec, &p, &n)) {
            good(a, take(a, p, n));
            if (cap_stream_groups(a->stream) == groups)
                continue;
            groups = cap_stream_groups(a->stream);
            /* prepared, committed, prepared, rolled back, and one phase: a plain transaction in
             * MariaDB, while MySQL says that it was one only at its end */
            assert_int_equal(position.lost, groups == 2 || (groups == 5 && i == 1));
            assert_int_equal(position.xa.n, groups == 1 || groups == 3);
            position.lost = false;
        }
        assert_int_equal(groups, 5);
        published(i == 0 ? "+accounts32" : "");
        assert_int_equal(position.counters.filtered[CAP_FILTER_XA], i == 0 ? 2 : 3);
        assert_int_equal(cap_counters_balance(&position.counters), 0);
        recording_close(&rec);
        (void)teardown(state);
    }
}

static void
xa_of_tables_that_nobody_watches_passes_by(void **state)
{
    static const uint8_t prepare[] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'f'};
    struct act *a = *state;

    begin(a, A ":1-5");
    rotate(a, FILE_1);
    gtid(a, A ":6", 100);
    query(a, "XA START X'66',X'',1", 110);
    query(a, "XA END X'66',X'',1", 120);
    good(a, event(a, CAP_EV_XA_PREPARE, 130, 0, prepare, sizeof(prepare)));
    assert_true(cap_stream_at_boundary(a->stream));
    cap_stream_restart(a->stream); /* it is in the position */
    gtid(a, A ":7", 140);
    query(a, "XA COMMIT X'66',X'',1", 150);
    assert_false(position.lost);
    gtid(a, A ":8", 160);
    query(a, "XA COMMIT X'67',X'',1", 170); /* prepared in front of the position */
    assert_true(position.lost);
    has(A ":1-8");
}

/* ---- transactions that come again */

static void
a_transaction_that_the_set_has_is_not_published_twice(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-5");
    rotate(a, FILE_1);
    one(a, A ":6", 6, 1000);
    one(a, A ":5", 5, 2000);
    one(a, A ":6", 6, 3000);
    gtid(a, A ":4", 3100);
    query(a, "TRUNCATE owncloud.oc_share", 3200);
    assert_false(position.lost);
    one(a, A ":7", 7, 4000);
    published("+mimetypes6 +mimetypes7");
    has(A ":1-7");
    assert_int_equal(position.counters.repeated, 3);
    assert_int_equal(position.counters.watched, 2);
    assert_int_equal(position.pos, 4000);
}

static void
columns_of_a_transaction_that_comes_again_may_have_been_others(void **state)
{
    struct act *a = *state;
    uint8_t other[sizeof(map_body)], body[400];
    uint8_t *id_type;

    memcpy(other, map_body, sizeof(other));
    id_type = memmem(other, sizeof(other), "\2\3\17", 3); /* two columns: INT, VARCHAR */
    assert_non_null(id_type);
    id_type[1] = 4; /* FLOAT */
    begin(a, A ":1-5");
    rotate(a, FILE_1);
    gtid(a, A ":5", 100);
    query(a, "BEGIN", 110);
    good(a, event(a, CAP_EV_TABLE_MAP, 120, 0, other, sizeof(other)));
    good(a, event(a, CAP_EV_WRITE_ROWS_V1, 130, 0, body, insert_body(body, 5, 1)));
    xid(a, 140);
    one(a, A ":6", 6, 1000);
    published("+mimetypes6");
}

static void
of_mariadb_only_the_same_servers_number_is_known_to_be_old(void **state)
{
    struct act *a = *state;

    begin(a, "0-0-100");
    rotate(a, FILE_1);
    one(a, "0-0-100", 1, 1000);
    published("");
    begin(a, "0-7-100");
    rotate(a, FILE_1);
    one(a, "0-0-90", 2, 1000); /* went astray on another server */
    published("+mimetypes2");
    assert_int_equal(position.counters.repeated, 1);
    assert_int_equal(position.counters.gtid_gaps, 1);
}

static void
numbers_left_out_are_counted_and_may_come_later(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-5");
    rotate(a, FILE_1);
    one(a, A ":7", 7, 1000);
    assert_int_equal(position.counters.gtid_gaps, 1);
    one(a, A ":6", 6, 2000);
    one(a, A ":8", 8, 3000);
    assert_int_equal(position.counters.gtid_gaps, 1);
    published("+mimetypes7 +mimetypes6 +mimetypes8");
    has(A ":1-8");
}

static void
gtids_that_a_file_head_has_and_nobody_sent_are_a_gap(void **state)
{
    struct act *a = *state;
    struct cap_gtid_set set = {0};
    struct ls_buf buf;

    ls_buf_init(&buf, 4096);
    begin(a, A ":1-5");
    rotate(a, FILE_1);
    assert_int_equal(cap_gtid_set_parse(str(A ":1-4"), &set, &a->err), 0);
    assert_int_equal(cap_gtid_set_encode(&set, &buf), 0);
    good(a, event(a, CAP_EV_PREVIOUS_GTIDS, 200, 0x80, buf.p, buf.n));
    assert_int_equal(position.counters.gtid_gaps, 0);
    has(A ":1-5");
    ls_buf_clear(&buf);
    assert_int_equal(cap_gtid_set_parse(str(A ":1-9"), &set, &a->err), 0);
    assert_int_equal(cap_gtid_set_encode(&set, &buf), 0);
    good(a, event(a, CAP_EV_PREVIOUS_GTIDS, 300, 0x80, buf.p, buf.n));
    assert_int_equal(position.counters.gtid_gaps, 1);
    has(A ":1-9");
    ls_buf_free(&buf);
}

/* Taken from a server on which nothing was done yet it is whole; else nobody knows what is missing.
 */
static void
an_empty_set_grows_when_it_is_whole_also_behind_a_restart(void **state)
{
    struct act *a = *state;

    begin(a, "");
    rotate(a, FILE_1);
    one(a, A ":3", 3, 1000);
    has("");
    published("+mimetypes3");
    begin(a, "");
    position.whole = true;
    cap_stream_restart(a->stream);
    rotate(a, FILE_1);
    one(a, A ":1", 1, 1000);
    has(A ":1");
    one(a, A ":1", 1, 2000);
    published("+mimetypes1");
}

static void
anonymous_transactions_make_the_position_one_of_file_and_offset(void **state)
{
    struct act *a = *state;
    uint8_t body[42] = {0};

    begin(a, A ":1-5");
    rotate(a, FILE_1);
    good(a, event(a, CAP_EV_GTID_ANONYMOUS, 100, 0, body, sizeof(body)));
    query(a, "BEGIN", 110);
    inserts(a, 1, 1, 150);
    xid(a, 200);
    has("");
    assert_int_equal(position.pos, 200);
    one(a, A ":6", 6, 1000); /* not a set to begin with */
    has("");
    published("+mimetypes1 +mimetypes6");
}

/* ---- published in part, then another source */

/* The Kafka transaction was full after the second row of this one; the connection broke. */
static void
break_inside(struct act *a, const char *text, int first, uint32_t next)
{
    full_after = 2;
    gtid(a, text, next - 50);
    query(a, "BEGIN", next - 40);
    inserts(a, first, 3, next);
    full_after = open_rows = 0;
    position = kept;
    memcpy(rows, rows_kept, sizeof(rows));
    cap_stream_restart(a->stream);
    rotate(a, FILE_1);
}

static void
the_rest(struct act *a, const char *text, int first, uint32_t next)
{
    gtid(a, text, next - 50);
    query(a, "BEGIN", next - 40);
    inserts(a, first, 3, next - 10);
    xid(a, next);
}

static void
other_domains_may_come_before_the_rest_of_a_transaction(void **state)
{
    struct act *a = *state;

    begin(a, "0-0-100,1-0-10");
    rotate(a, FILE_1);
    break_inside(a, "0-0-101", 10, 1000);
    published("+mimetypes10 +mimetypes11");
    assert_false(cap_stream_at_boundary(a->stream));
    one(a, "1-0-11", 50, 2000);
    assert_false(cap_stream_at_boundary(a->stream));
    the_rest(a, "0-0-101", 10, 3000);
    published("+mimetypes50 +mimetypes12");
    assert_true(cap_stream_at_boundary(a->stream));
    assert_false(position.lost);
    has("0-0-101,1-0-11");
    assert_int_equal(position.counters.watched, 4);
}

static void
two_transactions_in_part_are_both_gone_on_with(void **state)
{
    static const char *const gtids[2][3] = {{"0-0-100,1-0-10", "0-0-101", "1-0-11"},
                                            {A ":1-100", A ":102", A ":101"}};

    for (int i = 0; i < 2; i++) {
        struct act *a;
        char *text, source[] = "source";
        (void)setup(state);
        a = *state;
        begin(a, gtids[i][0]);
        rotate(a, FILE_1);
        break_inside(a, gtids[i][1], 10, 1000);
        break_inside(a, gtids[i][2], 20, 1000);
        assert_int_equal(position.n_parts, 2);
        /* the record is all that is left of it */
        position.epoch = 1;
        text = cap_position_print(&position, source);
        memset(&position, 0, sizeof(position));
        assert_int_equal(cap_position_parse(str(text), &position, &a->err), 0);
        free(text);
        cap_stream_restart(a->stream);
        rotate(a, FILE_1);
        the_rest(a, gtids[i][1], 10, 2000);
        assert_false(cap_stream_at_boundary(a->stream));
        the_rest(a, gtids[i][2], 20, 3000);
        published("+mimetypes10 +mimetypes11 +mimetypes20 +mimetypes21 +mimetypes12 +mimetypes22");
        assert_true(cap_stream_at_boundary(a->stream));
        assert_false(position.lost);
        (void)teardown(state);
    }
}

static void
another_transaction_in_its_place_is_a_loss_in_mariadb(void **state)
{
    struct act *a = *state;

    begin(a, "0-0-100,1-0-10");
    rotate(a, FILE_1);
    break_inside(a, "0-0-101", 10, 1000);
    one(a, "0-0-102", 50, 2000);
    assert_true(position.lost);
    assert_true(cap_stream_at_boundary(a->stream));
    published("+mimetypes10 +mimetypes11 +mimetypes50");
}

static void
more_transactions_in_part_than_can_be_kept_are_a_loss(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    for (int i = 0; i < CAP_PARTS; i++) {
        char text[CAP_GTID_TEXT];
        snprintf(text, sizeof(text), A ":%d", 101 + i);
        break_inside(a, text, 10 * i, 1000);
        assert_false(position.lost);
    }
    break_inside(a, A ":110", 90, 1000);
    assert_true(position.lost);
    assert_true(cap_stream_at_boundary(a->stream));
}

static void
a_rest_that_never_comes_is_a_loss_when_the_source_is_idle(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    break_inside(a, A ":101", 10, 1000);
    a->packet.idle_us = 9000000;
    /* passing over what we have: the place is another each time */
    good(a, event(a, CAP_EV_HEARTBEAT, 500, 0, FILE_1, strlen(FILE_1)));
    good(a, event(a, CAP_EV_HEARTBEAT, 900, 0, FILE_1, strlen(FILE_1)));
    assert_false(position.lost);
    assert_int_equal(cap_stream_read_us(a->stream), position.ts_us);
    assert_int_equal(cap_stream_coords(a->stream)->pos, 900);
    good(a, event(a, CAP_EV_HEARTBEAT, 900, 0, FILE_1, strlen(FILE_1)));
    assert_true(position.lost);
    assert_int_equal(cap_stream_read_us(a->stream), 9000000);
}

static void
a_rest_that_the_source_does_not_have_is_a_loss_whatever_else_comes(void **state)
{
    struct act *a = *state;
    struct cap_gtid_set all;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    break_inside(a, A ":101", 10, 1000);
    one(a, A ":103", 50, 2000);
    assert_int_equal(cap_gtid_set_parse(LS_STR(A ":1-103"), &all, &a->err), 0);
    cap_stream_source_has(a->stream, &all);
    assert_false(position.lost || cap_stream_at_boundary(a->stream));
    assert_int_equal(cap_gtid_set_parse(LS_STR(A ":1-100:102-103"), &all, &a->err), 0);
    cap_stream_source_has(a->stream, &all);
    assert_true(position.lost && cap_stream_at_boundary(a->stream));
}

static void
the_second_kind_of_heartbeat_knows_places_above_4_gb(void **state)
{
    struct act *a = *state;
    uint8_t body[40] = {1, 10}, *p = body + 2;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    memcpy(p, FILE_1, 10);
    memcpy(p + 10, "\2\11\376", 3);
    le(p + 13, 6000000000, 8);
    good(a, event(a, CAP_EV_HEARTBEAT_V2, 0, 0, body, 24));
    assert_int_equal(cap_stream_coords(a->stream)->pos, 6000000000);
    assert_string_equal(cap_stream_coords(a->stream)->file, FILE_1);
    assert_int_equal(event(a, CAP_EV_HEARTBEAT_V2, 0, 0, body, 20), -1);
    assert_string_equal(a->err.cause, "binlog-format");
}

/* ---- payloads */

/* BEGIN, rows, and what `last` says, in a zstd payload. */
static int
payload(struct act *a, int first, int n, int last, uint32_t next)
{
    uint8_t plain[1000], body[400], event_body[1200];
    size_t at = 0, k;

    at += event_bytes(plain + at, CAP_EV_QUERY, 0, 0, body, query_body(body, "BEGIN"));
    at += event_bytes(plain + at, CAP_EV_TABLE_MAP, 0, 0, map_body, sizeof(map_body));
    at += event_bytes(plain + at, CAP_EV_WRITE_ROWS_V1, 0, 0, body, insert_body(body, first, n));
    at += event_bytes(plain + at, last, 0, 0, "\1\0\0\0\0\0\0\0", 8);
    k = ZSTD_compress(event_body + 20, 1000, plain, at, 3);
    memcpy(event_body, "\2\1\0\3\3\374", 6);
    le(event_body + 6, at, 2);
    memcpy(event_body + 8, "\1\11\376", 3);
    le(event_body + 11, k, 8);
    event_body[19] = 0;
    return event(a, CAP_EV_PAYLOAD, next, 0, event_body, 20 + k);
}

/* A dump can be asked for at 32 bits of offset only, so it begins at the file's head. */
static void
what_was_taken_of_a_file_above_4_gb_is_passed_over(void **state)
{
    struct act *a = *state;

    position.pos = 5000000000;
    begin(a, "");
    cap_stream_pass(a->stream, position.pos);
    rotate(a, FILE_1);
    query(a, "BEGIN", 1000);
    inserts(a, 1, 1, 3000000000);
    inserts(a, 2, 1, (uint32_t)4900000000);
    assert_string_equal(cap_stream_coords(a->stream)->file, "");
    xid(a, (uint32_t)5000000000);
    published("");
    assert_int_equal(cap_stream_coords(a->stream)->pos, 5000000000);
    query(a, "BEGIN", (uint32_t)5000000100);
    inserts(a, 3, 1, (uint32_t)5000000200);
    xid(a, (uint32_t)5000000300);
    published("+mimetypes3");
    assert_int_equal(position.pos, 5000000300);

    /* no event ends there, or the file is not as long */
    cap_stream_restart(a->stream);
    cap_stream_pass(a->stream, 2000);
    rotate(a, FILE_1);
    query(a, "BEGIN", 1000);
    assert_int_equal(event(a, CAP_EV_XID, 3000, 0, "\1\0\0\0\0\0\0\0", 8), -1);
    assert_string_equal(a->err.cause, "diverged");
    cap_stream_restart(a->stream);
    cap_stream_pass(a->stream, 5000000300);
    rotate(a, FILE_1);
    assert_int_equal(event(a, CAP_EV_ROTATE, 2000, 0, "\4\0\0\0\0\0\0\0bin.000008", 18), -1);
    assert_string_equal(a->err.cause, "diverged");
}

static void
events_of_a_payload_stand_where_it_ends(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    gtid(a, A ":101", 100);
    good(a, payload(a, 1, 3, CAP_EV_XID, 5000));
    published("+mimetypes1 +mimetypes2 +mimetypes3");
    assert_int_equal(position.pos, 5000);
    has(A ":1-101");
    assert_true(cap_stream_at_boundary(a->stream));
}

static void
a_payload_is_gone_on_with_at_the_row(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    full_after = 2;
    gtid(a, A ":101", 100);
    assert_int_equal(payload(a, 1, 3, 43 /* not known */, 5000), -1);
    assert_string_equal(a->err.cause, "event-type");
    full_after = open_rows = 0;
    position = kept;
    memcpy(rows, rows_kept, sizeof(rows));
    cap_stream_restart(a->stream);
    rotate(a, FILE_1);
    gtid(a, A ":101", 100);
    good(a, payload(a, 1, 3, CAP_EV_XID, 5000));
    published("+mimetypes1 +mimetypes2 +mimetypes3");
    assert_false(position.lost);
}

/* The loop finds the columns out and gives the same packet again. */
static void
a_payload_that_is_given_again_goes_on_where_it_was(void **state)
{
    struct act *a = *state;
    uint8_t plain[1000], body[400], event_body[1200], packet[1300];
    size_t at = 0;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    gtid(a, A ":101", 100);
    at += event_bytes(plain + at, CAP_EV_QUERY, 0, 0, body, query_body(body, "BEGIN"));
    at += event_bytes(plain + at, CAP_EV_TABLE_MAP, 0, 0, map_body, sizeof(map_body));
    at += event_bytes(plain + at, CAP_EV_WRITE_ROWS_V1, 0, 0, body, insert_body(body, 1, 2));
    /* the same table without names */
    at += event_bytes(plain + at, CAP_EV_TABLE_MAP, 0, 0, map_body, 39);
    memcpy(event_body, "\2\3\374\377\0\1\3\374", 8); /* not compressed */
    le(event_body + 8, at, 2);
    event_body[10] = 0;
    memcpy(event_body + 11, plain, at);
    a->packet.p = packet;
    a->packet.n = event_bytes(packet, CAP_EV_PAYLOAD, 5000, 0, event_body, 11 + at);
    for (int again = 0; again < 3; again++) {
        memset(&a->err, 0, sizeof(a->err));
        assert_int_equal(cap_stream_take(a->stream, &a->packet, &a->err), -1);
        assert_string_equal(a->err.cause, CAP_COLUMNS_WANTED);
        assert_int_equal(a->err.kind, LS_ERR_RETRY);
    }
    published("+mimetypes1 +mimetypes2");
}

static void
what_has_no_place_in_a_payload_is_fatal(void **state)
{
    static const int types[] = {CAP_EV_PAYLOAD, CAP_EV_GTID_MYSQL, CAP_EV_ROTATE, CAP_EV_FORMAT,
                                CAP_EV_HEARTBEAT};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct act *a;
        (void)setup(state);
        a = *state;
        begin(a, A ":1-100");
        rotate(a, FILE_1);
        gtid(a, A ":101", 100);
        assert_int_equal(payload(a, 1, 3, types[i], 5000), -1);
        assert_int_equal(a->err.kind, LS_ERR_FATAL);
        assert_string_equal(a->err.cause, "binlog-format");
        (void)teardown(state);
    }
}

static void
tagged_gtids_and_incidents_stop_in_words(void **state)
{
    struct act *a = *state;

    begin(a, A ":1-100");
    rotate(a, FILE_1);
    assert_int_equal(event(a, CAP_EV_GTID_TAGGED, 100, 0, "x", 1), -1);
    assert_string_equal(a->err.cause, "gtid-tagged");
    assert_int_equal(event(a, CAP_EV_INCIDENT, 200, 0, "\1\0\0", 3), -1);
    assert_string_equal(a->err.cause, "incident");
    assert_int_equal(event(a, CAP_EV_GTID_MYSQL, 300, 0, "x", 1), -1);
    assert_string_equal(a->err.cause, "binlog-format");
    good(a, event(a, CAP_EV_VIEW_CHANGE, 400, 0, "x", 1));
    good(a, event(a, CAP_EV_TRANSACTION_CONTEXT, 500, 0, "x", 1));
    good(a, event(a, 99, 600, 0x80, "x", 1)); /* says that it may be ignored */
    assert_int_equal(cap_stream_at(a->stream)->pos, 600);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_transactions_of_mysql_are_followed),
        TEST(a_stream_that_began_by_file_gets_its_gtids_from_the_head_of_a_file),
        cmocka_unit_test(what_mysql_refuses_to_say_in_full_is_fatal),
        cmocka_unit_test(rows_of_xa_are_held_back_and_their_commit_is_a_loss),
        TEST(xa_of_tables_that_nobody_watches_passes_by),
        TEST(a_transaction_that_the_set_has_is_not_published_twice),
        TEST(columns_of_a_transaction_that_comes_again_may_have_been_others),
        TEST(of_mariadb_only_the_same_servers_number_is_known_to_be_old),
        TEST(numbers_left_out_are_counted_and_may_come_later),
        TEST(gtids_that_a_file_head_has_and_nobody_sent_are_a_gap),
        TEST(an_empty_set_grows_when_it_is_whole_also_behind_a_restart),
        TEST(anonymous_transactions_make_the_position_one_of_file_and_offset),
        TEST(other_domains_may_come_before_the_rest_of_a_transaction),
        cmocka_unit_test(two_transactions_in_part_are_both_gone_on_with),
        TEST(another_transaction_in_its_place_is_a_loss_in_mariadb),
        TEST(more_transactions_in_part_than_can_be_kept_are_a_loss),
        TEST(a_rest_that_never_comes_is_a_loss_when_the_source_is_idle),
        TEST(a_rest_that_the_source_does_not_have_is_a_loss_whatever_else_comes),
        TEST(the_second_kind_of_heartbeat_knows_places_above_4_gb),
        TEST(what_was_taken_of_a_file_above_4_gb_is_passed_over),
        TEST(events_of_a_payload_stand_where_it_ends),
        TEST(a_payload_is_gone_on_with_at_the_row),
        TEST(a_payload_that_is_given_again_goes_on_where_it_was),
        cmocka_unit_test(what_has_no_place_in_a_payload_is_fatal),
        TEST(tagged_gtids_and_incidents_stop_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
