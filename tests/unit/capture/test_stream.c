/* The stream and the snapshot in it, driven with events made here; the source and Kafka are acted.
 */
#include "tests/unit/capture/events.h"

#include "capture/publish/publish.h"
#include "capture/snapshot/snapshot.h"
#include "capture/stream/stream.h"
#include "common/run.h"
#include "tests/unit/clock.h"

/* ---- the publisher: counts */
static struct cap_position position;
static int64_t published, snapshot_rows, commits;
static const char *order; /* what was published last: "row", "chunk" */

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
    (void)p, (void)table, (void)before, (void)after, (void)err;
    if (origin->snapshot)
        snapshot_rows++;
    else
        published++;
    order = origin->snapshot ? "chunk" : "row";
    return 0;
}

bool
cap_publisher_full(const struct cap_publisher *p)
{
    (void)p;
    return false;
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
    commits++;
    return 0;
}

int
cap_publish_begin(struct cap_publisher *p, int64_t storage, struct ls_seq *ret_begin,
                  struct ls_err *err)
{
    (void)p, (void)storage, (void)err;
    *ret_begin = (struct ls_seq){1, 1, 0};
    return 0;
}

int
cap_publish_end(struct cap_publisher *p, int64_t storage, struct ls_seq begin, struct ls_err *err)
{
    (void)p, (void)storage, (void)begin, (void)err;
    return 0;
}

static cap_row_fn *each_row;
static void *each_arg;

void
cap_publisher_watch(struct cap_publisher *p, cap_row_fn *each, void *arg)
{
    (void)p;
    each_row = each;
    each_arg = arg;
}

/* ---- the source's tables: all there, with the two columns of oc_mimetypes */
static struct cap_source_table source_table;

const struct cap_sql_names *
cap_schema_names(const struct cap_schema *s)
{
    static const struct cap_sql_names names = {"owncloud", "oc_"};

    (void)s;
    return &names;
}

void
cap_schema_forget(struct cap_schema *s, uint32_t tables)
{
    (void)s, (void)tables;
}

static int matched; /* how often the schema was asked for a table */

const struct ls_table *
cap_schema_match(const struct cap_schema *s, struct ls_str db, struct ls_str name)
{
    (void)s, (void)db;
    matched++;
    return ls_str_is(name, "oc_mimetypes") ? &ls_tables[LS_T_MIMETYPES] : NULL;
}

bool
cap_schema_needs_columns(const struct cap_schema *s, const struct ls_table *table,
                         const struct cap_table_map *map)
{
    (void)s, (void)table, (void)map;
    return false;
}

int
cap_schema_layout(const struct cap_schema *s, const struct ls_table *table,
                  const struct cap_table_map *map, struct cap_layout *layout, struct ls_err *err)
{
    (void)s;
    layout->table = table;
    if (cap_layout_types(map, layout, err) < 0)
        return -1;
    layout->columns[0].want = MT_ID;
    return 0;
}

const struct cap_source_table *
cap_schema_table(const struct cap_schema *s, enum ls_table_id id)
{
    (void)s, (void)id;
    return &source_table;
}

int
cap_schema_want(const struct cap_schema *s, const struct ls_table *table, struct ls_str name)
{
    (void)s, (void)table, (void)name;
    return -1;
}

/* ---- the second connection: a view at `view`, and chunks without rows */
static struct cap_coords view;
static int views, asked;
static int locks_refused; /* so often somebody holds the lock up */

int
cap_connect(const struct ls_config *config, MYSQL **ret, struct ls_err *err)
{
    (void)config, (void)err;
    *ret = mysql_init(NULL);
    return 0;
}

static enum cap_flavour flavour;
static uint32_t answers;          /* which server */
static const char *executed = ""; /* MySQL: what the engine shows */

int
cap_server_look(MYSQL *mysql, struct cap_server *ret, struct ls_err *err)
{
    (void)mysql, (void)err;
    *ret = (struct cap_server){.flavour = flavour, .gtid = true, .server_id = answers};
    return 0;
}

bool
cap_server_is(const struct cap_server *server, uint32_t server_id, const char *uuid)
{
    (void)uuid;
    return server->server_id == server_id;
}

int
cap_server_place(MYSQL *mysql, const struct cap_server *server, struct cap_coords *ret,
                 struct cap_gtid_set *ret_gtids, struct ls_err *err)
{
    (void)mysql, (void)server, (void)ret_gtids, (void)err;
    *ret = view;
    return 0;
}

int
cap_query(MYSQL *mysql, const char *sql, struct ls_err *err)
{
    (void)mysql;
    views += !strncmp(sql, "START", 5);
    if (!strncmp(sql, "FLUSH", 5) && locks_refused > 0) {
        locks_refused--;
        return ls_fail(err, LS_ERR_RETRY, 1205, "lock wait timeout");
    }
    return 0;
}

int
cap_query_text(MYSQL *mysql, const char *sql, char *first, size_t first_size, char *second,
               size_t second_size, struct ls_err *err)
{
    (void)mysql, (void)err;
    asked++;
    snprintf(first, first_size, "%s", strstr(sql, "gtid_executed") ? executed : "x");
    if (strstr(sql, "snapshot_file"))
        snprintf(second, second_size, "%s", view.file);
    else
        snprintf(second, second_size, "%llu", (unsigned long long)view.pos);
    return 0;
}

int
cap_query_rows(MYSQL *mysql, const char *sql, MYSQL_RES **ret, struct ls_err *err)
{
    (void)mysql, (void)sql, (void)err;
    *ret = calloc(1, sizeof(**ret));
    return 0;
}

void STDCALL
mysql_data_seek(MYSQL_RES *res, unsigned long long row)
{
    (void)res, (void)row;
}

unsigned long long STDCALL
mysql_num_rows(MYSQL_RES *res)
{
    (void)res;
    return 0;
}

MYSQL_ROW STDCALL
mysql_fetch_row(MYSQL_RES *res)
{
    (void)res;
    return NULL;
}

void STDCALL
mysql_free_result(MYSQL_RES *res)
{
    free(res);
}

/* ---- events */
#define ARTIFICIAL 0x20

struct act {
    struct cap_stream *stream;
    struct cap_packet packet;
    struct ls_err err;
};

static void
le(uint8_t *p, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static int
event(struct act *a, int type, uint32_t ts, uint32_t next, int flags, const void *body, size_t n)
{
    uint8_t p[600] = {0};

    le(p, ts, 4);
    p[4] = (uint8_t)type;
    le(p + 9, 19 + n, 4);
    le(p + 13, next, 4);
    p[17] = (uint8_t)flags;
    memcpy(p + 19, body, n);
    a->packet.p = p;
    a->packet.n = 19 + n;
    memset(&a->err, 0, sizeof(a->err));
    return cap_stream_take(a->stream, &a->packet, &a->err);
}

static void
rotate(struct act *a, const char *file, uint32_t pos)
{
    uint8_t body[64] = {0};

    le(body, pos, 8);
    memcpy(body + 8, file, strlen(file));
    assert_int_equal(event(a, CAP_EV_ROTATE, 0, 0, ARTIFICIAL, body, 8 + strlen(file)), 0);
}

static void
gtid(struct act *a, uint64_t seq, uint32_t ts, uint32_t next)
{
    uint8_t body[19] = {0};

    le(body, seq, 8);
    assert_int_equal(event(a, CAP_EV_GTID, ts, next, 0, body, sizeof(body)), 0);
}

static void
xid(struct act *a, uint32_t ts, uint32_t next)
{
    uint8_t body[8] = {1};

    assert_int_equal(event(a, CAP_EV_XID, ts, next, 0, body, sizeof(body)), 0);
}

static void
heartbeat(struct act *a, const char *file, uint32_t next)
{
    assert_int_equal(event(a, CAP_EV_HEARTBEAT, 0, next, 0, file, strlen(file)), 0);
}

static struct act
begin(const char *gtids, const char *file, uint64_t pos)
{
    static int anything;
    struct act a = {0};

    memset(&position, 0, sizeof(position));
    published = snapshot_rows = commits = 0;
    order = "";
    views = asked = 0;
    assert_int_equal(cap_gtid_set_parse(str(gtids), &position.gtids, &a.err), 0);
    snprintf(position.file, sizeof(position.file), "%s", file);
    position.pos = pos;
    a.stream = cap_stream_new((struct cap_schema *)&anything, (struct cap_publisher *)&anything);
    assert_non_null(a.stream);
    cap_stream_restart(a.stream);
    return a;
}

static struct cap_snapshot *
running(struct ls_config *config)
{
    static int anything;
    struct cap_snapshot *s =
        cap_snapshot_new(config, (struct cap_schema *)&anything, (struct cap_publisher *)&anything);

    assert_non_null(s);
    source_table.n = 1;
    position.snapshot.phase = CAP_SNAPSHOT_RUNNING;
    return s;
}

/* ---- where the stream stands */

static void
after_a_start_by_gtid_the_place_is_unknown_until_the_source_tells_it(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    assert_string_equal(cap_stream_coords(a.stream)->file, "");
    gtid(&a, 101, 1000, 50042);
    assert_string_equal(cap_stream_coords(a.stream)->file, "");
    xid(&a, 1000, 50300);
    assert_string_equal(cap_stream_coords(a.stream)->file, "bin.000007");
    assert_int_equal(cap_stream_coords(a.stream)->pos, 50300);
    cap_stream_restart(a.stream);
    rotate(&a, "bin.000007", 4);
    heartbeat(&a, "bin.000007", 50300);
    assert_int_equal(cap_stream_coords(a.stream)->pos, 50300);
    cap_stream_free(a.stream);
}

static void
after_a_start_by_file_and_position_the_place_is_known_at_once(void **state)
{
    struct act a = begin("", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 50000);
    assert_int_equal(cap_stream_coords(a.stream)->pos, 50000);
    cap_stream_free(a.stream);
}

/* ---- how far was read */

static void
what_was_read_behind_the_position_is_forgotten_with_it(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    a.packet.idle_us = 9000000000;
    heartbeat(&a, "bin.000007", 50000);
    assert_int_equal(cap_stream_read_us(a.stream), 9000000000);
    position.ts_us = 5000000;
    cap_stream_restart(a.stream);
    assert_int_equal(cap_stream_read_us(a.stream), 5000000);
    cap_stream_free(a.stream);
}

static void
a_heartbeat_that_nobody_waited_for_says_nothing_about_time(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    a.packet.received_us = 9000000000;
    heartbeat(&a, "bin.000007", 50000);
    assert_int_equal(cap_stream_read_us(a.stream), 0);
    a.packet.idle_us = 8000000000;
    heartbeat(&a, "bin.000007", 50000);
    assert_int_equal(cap_stream_read_us(a.stream), 8000000000);
    cap_stream_free(a.stream);
}

static void
how_far_was_read_goes_back_with_the_clock(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);
    int64_t ahead_us = 0, back_us, now_us;

    (void)state;
    clock_hold();
    rotate(&a, "bin.000007", 4);
    assert_int_equal(ls_clock_back_us(&ahead_us), 0);
    a.packet.received_us = a.packet.idle_us = ls_now_us();
    heartbeat(&a, "bin.000007", 50000);
    clock_pass_us(5000000);
    assert_int_equal(ls_clock_back_us(&ahead_us), 0);
    clock_set_back_us(3600000000);
    back_us = ls_clock_back_us(&ahead_us);
    assert_true(back_us > 3599000000 && back_us < 3601000000);
    assert_int_equal(ls_clock_back_us(&ahead_us), 0);
    now_us = ls_now_us();
    cap_stream_clock(a.stream, now_us, back_us);
    assert_int_equal(cap_stream_read_us(a.stream), a.packet.idle_us - back_us);
    cap_stream_clock(a.stream, now_us, back_us); /* it lies in the past now */
    assert_int_equal(cap_stream_read_us(a.stream), a.packet.idle_us - back_us);
    heartbeat(&a, "bin.000007", 50000); /* it was received before */
    cap_stream_clock(a.stream, now_us, back_us);
    assert_int_equal(cap_stream_read_us(a.stream), a.packet.idle_us - back_us);
    a.packet.idle_us = now_us + 10;
    heartbeat(&a, "bin.000007", 50000);
    assert_int_equal(cap_stream_read_us(a.stream), now_us + 10);
    clock_release();
    cap_stream_free(a.stream);
}

static void
the_silence_of_a_replica_that_stands_still_says_nothing_about_time(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    a.packet.received_us = a.packet.idle_us = 5000000000;
    cap_stream_source_is_stale(a.stream, true);
    heartbeat(&a, "bin.000007", 50000);
    assert_int_equal(cap_stream_read_us(a.stream), 0);
    gtid(&a, 101, 1000, 50042);
    xid(&a, 1000, 50300);
    assert_int_equal(cap_stream_read_us(a.stream), 1000000000); /* what comes from it does */
    cap_stream_source_is_stale(a.stream, false);
    heartbeat(&a, "bin.000007", 50300);
    assert_int_equal(cap_stream_read_us(a.stream), 5000000000);
    cap_stream_free(a.stream);
}

static void
a_source_whose_clock_is_ahead_is_read_up_to_our_own_time(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    a.packet.received_us = 900000000;
    gtid(&a, 101, 1000, 50042);
    xid(&a, 1000, 50300);
    assert_int_equal(cap_stream_read_us(a.stream), 900000000);
    a.packet.received_us = 1100000000;
    gtid(&a, 102, 1001, 50342);
    xid(&a, 1001, 50600);
    assert_int_equal(cap_stream_read_us(a.stream), 1001000000);
    position.ts_us = INT64_MAX;
    cap_stream_restart(a.stream);
    assert_true(cap_stream_read_us(a.stream) < INT64_MAX);
    cap_stream_free(a.stream);
}

/* ---- a transaction that was published in part */

/* So many inserts into a table with a name of twelve letters, whose first column the stream sees.
 */
static void
inserts_into(struct act *a, const char *table, uint8_t id, int n, uint32_t next)
{
    uint8_t map[] = {id, 0, 0, 0, 0, 0, 1, 0, 8, 'o', 'w', 'n', 'c', 'l', 'o', 'u',         'd', 0,
                     12, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0,   0,   1,   3 /* INT */, 0,   0};
    uint8_t rows[400] = {id, 0, 0, 0, 0, 0, 1, 0, 1, 1};
    size_t at = 10;

    memcpy(map + 19, table, 12);
    assert_int_equal(event(a, CAP_EV_TABLE_MAP, 1000, next - 10, 0, map, sizeof(map)), 0);
    for (int i = 0; i < n; i++) {
        rows[at] = 0; /* not NULL */
        le(rows + at + 1, (uint64_t)i, 4);
        at += 5;
    }
    if (event(a, CAP_EV_WRITE_ROWS_V1, 1000, next, 0, rows, at) < 0)
        fail_msg("%s", a->err.msg);
}

static void
inserts(struct act *a, int n, uint32_t next)
{
    inserts_into(a, "oc_mimetypes", 9, n, next);
}

static void
an_id_means_the_table_that_its_last_map_names(void **state)
{
    static const struct {
        const char *table;
        uint8_t id;
        int published;
    } steps[] = {{"oc_othertype", 9, 0}, {"oc_mimetypes", 9, 2},  {"oc_othertype", 9, 2},
                 {"oc_mimetypes", 9, 4}, {"oc_othertype", 73, 4}, {"oc_othertype", 9, 4},
                 {"oc_mimetypes", 73, 6}};
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        inserts_into(&a, steps[i].table, steps[i].id, 2, 50200 + i * 100);
        assert_int_equal(published, steps[i].published);
    }
    cap_stream_free(a.stream);
}

static void
the_map_of_a_table_that_nobody_watches_is_looked_at_once_in_a_file(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    matched = 0;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    for (uint32_t i = 0; i < 5; i++)
        inserts_into(&a, "oc_othertype", 9, 1, 50200 + i * 100);
    assert_int_equal(matched, 1);
    rotate(&a, "bin.000008", 4);
    inserts_into(&a, "oc_othertype", 9, 1, 200);
    assert_int_equal(matched, 2);
    cap_stream_free(a.stream);
}

static void
after_a_restart_inside_a_transaction_its_published_rows_are_passed_over(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    inserts(&a, 5, 50200);
    assert_int_equal(position.row, 5);
    assert_string_equal(position.row_gtid, "0-0-101");
    cap_stream_restart(a.stream);
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    inserts(&a, 7, 50250);
    assert_int_equal(published, 7);
    xid(&a, 1000, 50300);
    assert_int_equal(position.row, 0);
    assert_string_equal(position.row_gtid, "");
    assert_false(position.lost);
    cap_stream_free(a.stream);
}

static void
rows_of_another_transaction_are_not_passed_over(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    position.row = 5;
    snprintf(position.row_gtid, sizeof(position.row_gtid), "0-0-101");
    cap_stream_restart(a.stream);
    rotate(&a, "bin.000009", 4);
    gtid(&a, 102, 1000, 342);
    inserts(&a, 3, 500);
    assert_int_equal(published, 3);
    xid(&a, 1000, 550);
    assert_true(position.lost);
    cap_stream_free(a.stream);
}

static void
a_transaction_that_never_comes_again_is_not_waited_for(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    position.row = 5;
    snprintf(position.row_gtid, sizeof(position.row_gtid), "0-0-101");
    cap_stream_restart(a.stream);
    rotate(&a, "bin.000009", 4);
    assert_false(cap_stream_at_boundary(a.stream));
    a.packet.idle_us = 9000000;
    heartbeat(&a, "bin.000009", 342);
    assert_true(cap_stream_at_boundary(a.stream));
    assert_true(position.lost);
    assert_int_equal(position.row, 0);
    cap_stream_free(a.stream);
}

static void
query(struct act *a, const char *text, uint32_t next)
{
    uint8_t body[200] = {0}; /* no database, no variables */

    memcpy(body + 14, text, strlen(text));
    if (event(a, CAP_EV_QUERY, 1000, next, 0, body, 14 + strlen(text)) < 0)
        fail_msg("%s", a->err.msg);
}

static int
load_data(struct act *a, const char *text, uint32_t next)
{
    uint8_t body[200] = {0};

    assert_int_equal(event(a, 17, 1000, next - 40, 0, "\x01\0\0\0content", 11), 0);
    assert_int_equal(event(a, 9, 1000, next - 20, 0, "\x01\0\0\0content", 11), 0);
    body[8] = 8; /* the database's name */
    memcpy(body + 26, "owncloud", 9);
    memcpy(body + 35, text, strlen(text));
    return event(a, CAP_EV_EXECUTE_LOAD, 1000, next, 0, body, 35 + strlen(text));
}

static void
load_data_into_a_table_of_others_goes_by_and_into_ours_it_stops(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    assert_int_equal(load_data(&a, "LOAD DATA INFILE 'x' INTO TABLE mine", 50200), 0);
    xid(&a, 1000, 50300);
    assert_true(cap_stream_at_boundary(a.stream));
    gtid(&a, 102, 1000, 50342);
    assert_int_equal(load_data(&a, "LOAD DATA INFILE 'x' INTO TABLE oc_share", 50500), -1);
    assert_int_equal(a.err.kind, LS_ERR_FATAL);
    assert_string_equal(a.err.cause, "statement");
    cap_stream_free(a.stream);
}

static void
the_commit_of_what_xa_prepared_is_a_whole_transaction(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);

    (void)state;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    query(&a, "XA COMMIT 'a'", 50200);
    assert_true(cap_stream_at_boundary(a.stream));
    assert_int_equal(position.pos, 50200);
    gtid(&a, 102, 1000, 50242);
    query(&a, "XA ROLLBACK 'b'", 50400);
    assert_true(cap_stream_at_boundary(a.stream));
    assert_int_equal(position.gtids.last[0].seq, 102);
    cap_stream_free(a.stream);
}

static void
a_loss_stays_in_the_position_until_a_snapshot_begins(void **state)
{
    struct ls_config *config = test_config(NULL, 0);
    struct act a = begin("0-1-100", "bin.000007", 50000);
    struct cap_snapshot *s = running(config);

    (void)state;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    query(&a, "TRUNCATE owncloud.oc_share", 50200);
    assert_true(position.lost);
    cap_stream_restart(a.stream);
    assert_true(position.lost);
    assert_int_equal(cap_snapshot_begin(s, &a.err), 0);
    assert_false(position.lost);
    cap_snapshot_free(s);
    cap_stream_free(a.stream);
    ls_config_free(config);
}

/* ---- chunks of a snapshot */

static bool
step(struct cap_snapshot *s, struct act *a)
{
    bool busy;

    assert_int_equal(cap_snapshot_step(s, a->stream, &busy, &a->err), 0);
    return busy;
}

static void
no_chunk_is_read_from_another_server_than_the_stream_comes_from(void **state)
{
    struct act a = begin("0-1-100", "bin.000007", 50000);
    struct ls_config *config = test_config(NULL, 0);
    struct cap_snapshot *s = running(config);
    bool busy;

    (void)state;
    rotate(&a, "bin.000007", 4);
    gtid(&a, 101, 1000, 50042);
    xid(&a, 1000, 50300);
    view = (struct cap_coords){"bin.000007", 50300};
    position.server_id = 11;
    answers = 12;
    assert_int_equal(cap_snapshot_step(s, a.stream, &busy, &a.err), -1);
    assert_int_equal(a.err.kind, LS_ERR_RETRY);
    assert_string_equal(a.err.cause, "source");
    assert_int_equal(views, 0);
    cap_snapshot_drop(s);
    answers = 11;
    assert_int_equal(cap_snapshot_step(s, a.stream, &busy, &a.err), 0);
    assert_int_equal(views, 1);
    answers = 0;
    cap_snapshot_free(s);
    cap_stream_free(a.stream);
    ls_config_free(config);
}

static void
no_chunk_is_read_before_the_stream_knows_its_place(void **state)
{
    struct ls_config *config = test_config(NULL, 0);
    struct act a = begin("0-1-100", "bin.000007", 50000);
    struct cap_snapshot *s = running(config);

    (void)state;
    rotate(&a, "bin.000007", 4);
    view = (struct cap_coords){"bin.000007", 50000};
    assert_false(step(s, &a));
    assert_int_equal(views, 0);
    gtid(&a, 101, 1000, 50042);
    xid(&a, 1000, 50300);
    view.pos = 50300;
    assert_true(step(s, &a));
    assert_int_equal(views, 1);
    assert_int_equal(position.snapshot.step, 1);
    cap_snapshot_free(s);
    cap_stream_free(a.stream);
    ls_config_free(config);
}

static void
a_chunk_that_a_transaction_passed_is_read_again(void **state)
{
    struct ls_config *config = test_config(NULL, 0);
    struct act a = begin("", "bin.000007", 50000);
    struct cap_snapshot *s = running(config);

    (void)state;
    rotate(&a, "bin.000007", 50000);
    view = (struct cap_coords){"bin.000007", 50100};
    assert_false(step(s, &a)); /* waits for 50100 */
    gtid(&a, 101, 1000, 50042);
    xid(&a, 1000, 50300);
    view.pos = 50300;
    assert_true(step(s, &a)); /* its rows may be older than those of 101 */
    assert_int_equal(position.snapshot.step, 0);
    assert_true(step(s, &a));
    assert_int_equal(views, 2);
    assert_int_equal(position.snapshot.step, 1);
    cap_snapshot_free(s);
    cap_stream_free(a.stream);
    ls_config_free(config);
}

static void
a_chunk_waits_for_its_place_and_is_taken_there(void **state)
{
    struct ls_config *config = test_config(NULL, 0);
    struct act a = begin("", "bin.000007", 50000);
    struct cap_snapshot *s = running(config);

    (void)state;
    rotate(&a, "bin.000007", 50000);
    view = (struct cap_coords){"bin.000007", 50300};
    assert_false(step(s, &a));
    gtid(&a, 101, 1000, 50042);
    xid(&a, 1000, 50300);
    assert_true(step(s, &a));
    assert_int_equal(position.snapshot.step, 1);
    /* no transaction lies between here and there, only the file's end */
    view = (struct cap_coords){"bin.000007", 50400};
    assert_false(step(s, &a));
    heartbeat(&a, "bin.000008", 400);
    assert_true(step(s, &a));
    assert_int_equal(position.snapshot.step, 2);
    cap_snapshot_free(s);
    cap_stream_free(a.stream);
    ls_config_free(config);
}

#define UUID "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"

static void
a_view_of_mysql_waits_for_the_engine_and_its_chunk_for_the_binlogs_end(void **state)
{
    struct ls_config *config = test_config(NULL, 0);
    struct act a = begin("", "bin.000007", 50000);
    struct cap_snapshot *s;

    (void)state;
    flavour = CAP_MYSQL;
    s = running(config);
    rotate(&a, "bin.000007", 50000);
    assert_int_equal(cap_gtid_set_parse(str(UUID ":1-7"), &position.gtids, &a.err), 0);
    executed = UUID ":1-5:7";
    view = (struct cap_coords){"bin.000007", 50100};
    assert_false(step(s, &a));
    assert_int_equal(views, 0);
    /* the stream is not held up by an engine that takes its time */
    assert_in_range(asked, 1, 5);
    executed = UUID ":1-9";
    while (cap_snapshot_wait_ms(s) > 0)
        ls_run_sleep_ms(cap_snapshot_wait_ms(s));
    assert_false(step(s, &a)); /* waits for 50100 */
    assert_int_equal(views, 1);
    /* a transaction takes the stream over the place: the chunk knows its rows */
    query(&a, "BEGIN", 50042);
    xid(&a, 1000, 50300);
    assert_true(step(s, &a));
    assert_int_equal(views, 1);
    assert_int_equal(position.snapshot.step, 1);
    cap_snapshot_free(s);
    assert_null(each_row);
    cap_stream_free(a.stream);
    ls_config_free(config);
    flavour = CAP_MARIADB;
}

static void
a_lock_that_somebody_held_up_is_tried_again_soon_then_later(void **state)
{
    static const char *const sets[] = {"capture.snapshot_method=lock"};
    struct ls_config *config = test_config(sets, 1);
    struct act a = begin("", "bin.000007", 50000);
    struct cap_snapshot *s;
    int waited = 0;

    (void)state;
    flavour = CAP_MYSQL;
    s = running(config);
    rotate(&a, "bin.000007", 50000);
    view = (struct cap_coords){"bin.000007", 50000};
    locks_refused = 3; /* the first when it is looked whether the lock is allowed */
    while (!step(s, &a)) {
        int ms = cap_snapshot_wait_ms(s);
        assert_int_equal(views, 0);
        waited += ms;
        ls_run_sleep_ms(ms);
        assert_true(waited <= 250 + 500);
    }
    assert_int_equal(views, 1);
    cap_snapshot_free(s);
    cap_stream_free(a.stream);
    ls_config_free(config);
    flavour = CAP_MARIADB;
}

static void
a_paused_snapshot_goes_on_when_one_is_asked_for_at_the_start(void **state)
{
    static struct cap_position kept;

    (void)state;
    kept.snapshot.phase = CAP_SNAPSHOT_PAUSED;
    assert_true(cap_snapshot_covers_all(&kept));
    cap_snapshot_go_on(&kept);
    assert_int_equal(kept.snapshot.phase, CAP_SNAPSHOT_RUNNING);
    kept.snapshot.phase = CAP_SNAPSHOT_DONE;
    cap_snapshot_go_on(&kept);
    assert_int_equal(kept.snapshot.phase, CAP_SNAPSHOT_DONE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_that_somebody_held_up_is_tried_again_soon_then_later),
        cmocka_unit_test(a_paused_snapshot_goes_on_when_one_is_asked_for_at_the_start),
        cmocka_unit_test(after_a_start_by_gtid_the_place_is_unknown_until_the_source_tells_it),
        cmocka_unit_test(after_a_start_by_file_and_position_the_place_is_known_at_once),
        cmocka_unit_test(what_was_read_behind_the_position_is_forgotten_with_it),
        cmocka_unit_test(how_far_was_read_goes_back_with_the_clock),
        cmocka_unit_test(a_heartbeat_that_nobody_waited_for_says_nothing_about_time),
        cmocka_unit_test(an_id_means_the_table_that_its_last_map_names),
        cmocka_unit_test(the_map_of_a_table_that_nobody_watches_is_looked_at_once_in_a_file),
        cmocka_unit_test(the_silence_of_a_replica_that_stands_still_says_nothing_about_time),
        cmocka_unit_test(after_a_restart_inside_a_transaction_its_published_rows_are_passed_over),
        cmocka_unit_test(rows_of_another_transaction_are_not_passed_over),
        cmocka_unit_test(a_transaction_that_never_comes_again_is_not_waited_for),
        cmocka_unit_test(the_commit_of_what_xa_prepared_is_a_whole_transaction),
        cmocka_unit_test(a_loss_stays_in_the_position_until_a_snapshot_begins),
        cmocka_unit_test(a_source_whose_clock_is_ahead_is_read_up_to_our_own_time),
        cmocka_unit_test(load_data_into_a_table_of_others_goes_by_and_into_ours_it_stops),
        cmocka_unit_test(no_chunk_is_read_from_another_server_than_the_stream_comes_from),
        cmocka_unit_test(no_chunk_is_read_before_the_stream_knows_its_place),
        cmocka_unit_test(a_chunk_that_a_transaction_passed_is_read_again),
        cmocka_unit_test(a_chunk_waits_for_its_place_and_is_taken_there),
        cmocka_unit_test(a_view_of_mysql_waits_for_the_engine_and_its_chunk_for_the_binlogs_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
