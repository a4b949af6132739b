/*
 * Binlog events, all but the row images (rows.c).
 *
 * Knows binlog version 4 as MariaDB from 10.x and MySQL from 5.7 on write it. What can go wrong:
 * a length that points past the event (a torn or forged packet), a checksum that does not fit, an
 * event of a kind this decoder has never heard of. Every read goes through `struct cursor`, which
 * never moves past its end; after a short read it stays failed, so a decoder asks once, at the end.
 *
 * Whether events end with a CRC32 is said by the format description event, not by what the session
 * asked for: MariaDB sends checksums even where none were wanted.
 */
#include "capture/binlog/decode.h"
#include "capture/binlog/cursor.h"
#include <libdeflate.h>
#include <string.h>
#include <zlib.h>

#define FORMAT_SERVER_VERSION 50
#define QUERY_POST_HEADER 13
#define MODE_ANSI_QUOTES 4U
#define MODE_NO_BACKSLASH (1U << 20)
/* MariaDB's cap on what one event may unpack to. */
#define MAX_UNPACKED ((size_t)1 << 30)

static int
broken(struct ls_err *err, const struct cap_event *event, const char *what)
{
    return ls_fail_cause(err, LS_ERR_FATAL, event->type, "binlog-format",
                         "event type %u (%u bytes, ends at %u) is broken: %s", event->type,
                         event->size, event->next_pos, what);
}

enum cap_event_class
cap_event_classify(uint8_t type, uint16_t flags)
{
    /* by number, for every event is asked about */
    static const bool known[UINT8_MAX + 1] = {
        [CAP_EV_QUERY] = true,        [CAP_EV_ROTATE] = true,
        [CAP_EV_FORMAT] = true,       [CAP_EV_XID] = true,
        [CAP_EV_TABLE_MAP] = true,    [CAP_EV_INCIDENT] = true,
        [CAP_EV_HEARTBEAT] = true,    [CAP_EV_GTID] = true,
        [CAP_EV_XA_PREPARE] = true,   [CAP_EV_QUERY_COMPRESSED] = true,
        [CAP_EV_GTID_MYSQL] = true,   [CAP_EV_GTID_ANONYMOUS] = true,
        [CAP_EV_HEARTBEAT_V2] = true, [CAP_EV_EXECUTE_LOAD] = true,
        [CAP_EV_PAYLOAD] = true,      [CAP_EV_PREVIOUS_GTIDS] = true,
        [CAP_EV_GTID_TAGGED] = true};
    static const uint8_t ignorable[] = {CAP_EV_STOP,
                                        CAP_EV_IGNORABLE,
                                        CAP_EV_ROWS_QUERY,
                                        CAP_EV_TRANSACTION_CONTEXT,
                                        CAP_EV_VIEW_CHANGE,
                                        CAP_EV_ANNOTATE,
                                        CAP_EV_CHECKPOINT,
                                        CAP_EV_GTID_LIST,
                                        CAP_EV_START_ENCRYPTION,
                                        5 /* intvar */,
                                        9 /* append block */,
                                        11 /* delete file */,
                                        17 /* begin load query */,
                                        13 /* rand */,
                                        14 /* user var */};

    if (known[type] || cap_event_is_rows(type))
        return CAP_CLASS_KNOWN;
    if (memchr(ignorable, type, sizeof(ignorable)) || (flags & CAP_FLAG_IGNORABLE))
        return CAP_CLASS_IGNORABLE;
    return CAP_CLASS_UNKNOWN;
}

/* The CRC at the end covers all before it. */
static bool
crc_fits(const uint8_t *p, size_t n)
{
    if (n < CAP_EVENT_HEADER + 4)
        return false;
    /* every byte of the binlog goes through here: zlib's takes five times as long */
    return libdeflate_crc32(0, p, n - 4) == cur_le32(p + n - 4);
}

int
cap_event_parse(const uint8_t *p, size_t n, bool checksum, struct cap_event *ret,
                struct ls_err *err)
{
    struct cap_event event = {0};
    size_t tail = checksum ? 4 : 0;

    if (n < CAP_EVENT_HEADER || n > UINT32_MAX)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format",
                             "an event of %zu bytes is not an event", n);
    event.timestamp = cur_le32(p);
    event.type = p[4];
    event.server_id = cur_le32(p + 5);
    event.size = cur_le32(p + 9);
    event.next_pos = cur_le32(p + 13);
    event.flags = (uint16_t)(p[17] | p[18] << 8);
    if (event.size != n)
        return broken(err, &event, "its length is not the packet's");

    if (event.type == CAP_EV_FORMAT)
        tail = crc_fits(p, n) ? 4 : 0;
    else if (event.type == CAP_EV_ROTATE && (event.flags & CAP_FLAG_ARTIFICIAL || !checksum))
        tail = crc_fits(p, n) ? 4 : 0;
    else if (checksum && !crc_fits(p, n))
        return ls_fail_cause(err, LS_ERR_RETRY, event.type, "binlog-checksum",
                             "checksum of event type %u that ends at %u does not fit", event.type,
                             event.next_pos);
    event.body = p + CAP_EVENT_HEADER;
    event.n = n - CAP_EVENT_HEADER - tail;
    *ret = event;
    return 0;
}

int
cap_decode_format(const struct cap_event *event, bool *ret_checksum, struct ls_err *err)
{
    /* binlog version 2, server version 50, timestamp 4, header length 1, then one length a type */
    struct cursor c = cur_of(event->body, event->n);
    unsigned version = cur_u16(&c);
    const uint8_t *lengths;
    size_t n_lengths;
    uint8_t algorithm;

    cur_skip(&c, FORMAT_SERVER_VERSION + 4);
    if (cur_u8(&c) != CAP_EVENT_HEADER || c.failed || version != 4)
        return broken(err, event, "not a format description of binlog version 4");
    lengths = c.p;
    n_lengths = cur_left(&c);
    if (n_lengths < CAP_EV_DELETE_ROWS_V1 + 1)
        return broken(err, event, "too few header lengths");
    if (lengths[CAP_EV_QUERY - 1] != QUERY_POST_HEADER || lengths[CAP_EV_TABLE_MAP - 1] != 8 ||
        lengths[CAP_EV_WRITE_ROWS_V1 - 1] != 8)
        return broken(err, event, "header lengths of another server generation");
    /* The algorithm is the last byte before the CRC, which cap_event_parse has taken off. */
    algorithm = lengths[n_lengths - 1];
    if (algorithm > 1)
        return broken(err, event, "checksum algorithm not known");
    *ret_checksum = algorithm == 1;
    return 0;
}

int
cap_decode_rotate(const struct cap_event *event, struct ls_str *ret_file, uint64_t *ret_pos,
                  struct ls_err *err)
{
    struct cursor c = cur_of(event->body, event->n);
    uint64_t pos = cur_u64(&c);

    if (c.failed || cur_left(&c) == 0 || cur_left(&c) > 511)
        return broken(err, event, "no file name");
    *ret_file = (struct ls_str){(const char *)c.p, cur_left(&c)};
    *ret_pos = pos;
    return 0;
}

/* Fields of type, length and value; the place is a number there, so files may be large. */
static int
heartbeat_v2(const struct cap_event *event, struct ls_str *ret_file, uint64_t *ret_pos,
             struct ls_err *err)
{
    enum { END = 0, FILE_NAME = 1, POSITION = 2 };
    struct cursor c = cur_of(event->body, event->n);
    struct ls_str file = {"", 0};
    uint64_t pos = 0;

    while (cur_left(&c) > 0) {
        uint64_t type = cur_lenenc(&c), n;
        struct cursor value;
        if (type == END)
            break;
        n = cur_lenenc(&c);
        value = cur_of(cur_take(&c, n), (size_t)n);
        if (c.failed)
            break;
        if (type == FILE_NAME)
            file = (struct ls_str){(const char *)value.p, (size_t)n};
        else if (type == POSITION)
            pos = cur_lenenc(&value);
        if (value.failed)
            c.failed = true;
    }
    if (c.failed || file.n > 511)
        return broken(err, event, "fields of a heartbeat");
    *ret_file = file;
    *ret_pos = pos;
    return 0;
}

int
cap_decode_heartbeat(const struct cap_event *event, struct ls_str *ret_file, uint64_t *ret_pos,
                     struct ls_err *err)
{
    if (event->type == CAP_EV_HEARTBEAT_V2)
        return heartbeat_v2(event, ret_file, ret_pos, err);
    if (event->n > 511)
        return broken(err, event, "file name too long");
    *ret_file = (struct ls_str){(const char *)event->body, event->n};
    *ret_pos = event->next_pos;
    return 0;
}

/* Later versions append: what 5.7 does not have is read where it is there. */
static int
mysql_gtid(const struct cap_event *event, struct cap_gtid_event *ret, struct ls_err *err)
{
    enum { LOGICAL_CLOCK = 2, MICROSECONDS = 7 };
    const uint64_t has_original = 1ULL << 55;
    struct cursor c = cur_of(event->body, event->n);
    struct cap_gtid_event gtid = {.gtid.flavour = CAP_MYSQL};
    const uint8_t *uuid;

    cur_skip(&c, 1);
    uuid = cur_take(&c, CAP_UUID_BYTES);
    gtid.gtid.seq = cur_u64(&c);
    gtid.anonymous = event->type == CAP_EV_GTID_ANONYMOUS;
    if (c.failed || (!gtid.anonymous && (gtid.gtid.seq == 0 || gtid.gtid.seq >= INT64_MAX)))
        return broken(err, event, "short GTID");
    if (gtid.anonymous)
        gtid.gtid.seq = 0;
    else
        memcpy(gtid.gtid.uuid, uuid, CAP_UUID_BYTES);
    if (cur_left(&c) >= 1 + 16 + MICROSECONDS && cur_u8(&c) == LOGICAL_CLOCK) {
        uint64_t here, first = 0;
        cur_skip(&c, 16);
        here = cur_le(&c, MICROSECONDS);
        if (here & has_original)
            first = cur_le(&c, MICROSECONDS);
        if (c.failed)
            return broken(err, event, "short commit time");
        gtid.commit_us = (int64_t)(first ? first : here & ~has_original);
    }
    *ret = gtid;
    return 0;
}

static int
mariadb_gtid(const struct cap_event *event, struct cap_gtid_event *ret, struct ls_err *err)
{
    enum { STANDALONE = 1, PREPARED_XA = 64 };
    struct cursor c = cur_of(event->body, event->n);
    struct cap_gtid_event gtid = {.gtid = {.flavour = CAP_MARIADB, .server = event->server_id}};
    uint8_t flags;

    gtid.gtid.seq = cur_u64(&c);
    gtid.gtid.domain = cur_u32(&c);
    flags = cur_u8(&c);
    if (c.failed)
        return broken(err, event, "short GTID");
    gtid.standalone = flags & STANDALONE;
    gtid.xa_prepared = flags & PREPARED_XA;
    *ret = gtid;
    return 0;
}

int
cap_decode_gtid(const struct cap_event *event, struct cap_gtid_event *ret, struct ls_err *err)
{
    return event->type == CAP_EV_GTID ? mariadb_gtid(event, ret, err) : mysql_gtid(event, ret, err);
}

int
cap_decode_previous_gtids(const struct cap_event *event, struct cap_gtid_set *ret,
                          struct ls_err *err)
{
    return cap_gtid_set_decode(event->body, event->n, ret, err);
}

/* MariaDB's compressed form: 1xxx0nnn, n bytes of big-endian length, zlib. */
int
cap_unpack(const struct cap_event *event, const uint8_t *p, size_t n, struct ls_buf *scratch,
           struct ls_str *ret, struct ls_err *err)
{
    size_t len_bytes, size = 0;
    uLongf unpacked;
    uint8_t *out;

    if (n < 2 || (p[0] & 0xf0) != 0x80)
        return broken(err, event, "compressed in a way not known");
    len_bytes = p[0] & 7;
    if (len_bytes < 1 || len_bytes > 4 || n < 1 + len_bytes)
        return broken(err, event, "compressed length");
    for (size_t i = 0; i < len_bytes; i++)
        size = size << 8 | p[1 + i];
    /* zlib never does better than about 1:1032: a forged length shall not cost memory */
    if (size > MAX_UNPACKED || size / 1100 > n)
        return broken(err, event, "compressed length is not credible");
    ls_buf_clear(scratch);
    out = ls_buf_room(scratch, size ? size : 1);
    if (!out)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "event-too-large",
                             "a compressed event of %zu bytes does not fit into memory", size);
    unpacked = (uLongf)size;
    if (uncompress(out, &unpacked, p + 1 + len_bytes, (uLong)(n - 1 - len_bytes)) != Z_OK ||
        unpacked != size)
        return broken(err, event, "zlib data");
    *ret = (struct ls_str){(const char *)out, size};
    return 0;
}

/* sql_mode is the second status variable, behind flags2; others are of no interest. */
static struct cap_sql_mode
sql_mode(struct cursor vars)
{
    struct cap_sql_mode mode = {false, false};

    while (cur_left(&vars) > 0) {
        uint8_t code = cur_u8(&vars);
        if (code == 0) {
            cur_skip(&vars, 4);
        } else if (code == 1) {
            uint64_t bits = cur_u64(&vars);
            if (!vars.failed)
                mode = (struct cap_sql_mode){bits & MODE_ANSI_QUOTES, bits & MODE_NO_BACKSLASH};
            return mode;
        } else {
            return mode;
        }
    }
    return mode;
}

int
cap_decode_query(const struct cap_event *event, struct ls_buf *scratch, struct cap_query *ret,
                 struct ls_err *err)
{
    struct cursor c = cur_of(event->body, event->n), vars;
    struct cap_query query = {0};
    size_t db_len, vars_len;

    cur_skip(&c, 8);
    db_len = cur_u8(&c);
    cur_skip(&c, 2);
    vars_len = cur_u16(&c);
    if (event->type == CAP_EV_EXECUTE_LOAD)
        cur_skip(&c, 4 + 4 + 4 + 1); /* the file's number, where its name stands, duplicates */
    vars = cur_of(cur_take(&c, vars_len), vars_len);
    query.db = (struct ls_str){(const char *)cur_take(&c, db_len), db_len};
    cur_skip(&c, 1);
    if (c.failed)
        return broken(err, event, "short query event");
    query.mode = sql_mode(vars);
    query.text = (struct ls_str){(const char *)c.p, cur_left(&c)};
    if (event->type == CAP_EV_QUERY_COMPRESSED &&
        cap_unpack(event, c.p, cur_left(&c), scratch, &query.text, err) < 0)
        return -1;
    *ret = query;
    return 0;
}

static int
table_map_optional(const struct cap_event *event, struct cursor *c, struct cap_table_map *map,
                   struct ls_err *err)
{
    while (cur_left(c) > 0) {
        struct ls_str *const parts[] = {
            [1] = &map->signs,           [2] = &map->text_default, [3] = &map->text_each,
            [4] = &map->names,           [5] = &map->set_names,    [6] = &map->enum_names,
            [10] = &map->choice_default, [11] = &map->choice_each,
        };
        uint8_t type = cur_u8(c);
        uint64_t len = cur_lenenc(c);
        const uint8_t *p = cur_take(c, len);
        if (c->failed)
            return broken(err, event, "optional metadata");
        if (type < sizeof(parts) / sizeof(parts[0]) && parts[type])
            *parts[type] = (struct ls_str){(const char *)p, (size_t)len};
    }
    return 0;
}

int
cap_table_map_id(const struct cap_event *event, uint64_t *ret, struct ls_err *err)
{
    struct cursor c = cur_of(event->body, event->n);
    uint64_t id = cur_u48(&c);

    if (c.failed)
        return broken(err, event, "short table map");
    *ret = id;
    return 0;
}

int
cap_decode_table_map(const struct cap_event *event, struct cap_table_map *ret, struct ls_err *err)
{
    struct cursor c = cur_of(event->body, event->n);
    struct cap_table_map map = {0};
    uint64_t n_columns, meta_len;
    size_t len;

    map.id = cur_u48(&c);
    cur_skip(&c, 2);
    len = cur_u8(&c);
    map.db = (struct ls_str){(const char *)cur_take(&c, len), len};
    cur_skip(&c, 1);
    len = cur_u8(&c);
    map.name = (struct ls_str){(const char *)cur_take(&c, len), len};
    cur_skip(&c, 1);
    n_columns = cur_lenenc(&c);
    if (c.failed || n_columns == 0 || n_columns > 4096)
        return broken(err, event, "short table map");
    map.n_columns = (uint32_t)n_columns;
    map.types = cur_take(&c, n_columns);
    meta_len = cur_lenenc(&c);
    map.meta = (struct ls_str){(const char *)cur_take(&c, meta_len), (size_t)meta_len};
    cur_skip(&c, (n_columns + 7) / 8);
    if (c.failed)
        return broken(err, event, "short table map");
    if (table_map_optional(event, &c, &map, err) < 0)
        return -1;
    *ret = map;
    return 0;
}

int
cap_names_next(struct ls_str *rest, struct ls_str *ret_name, struct ls_err *err)
{
    struct cursor c = cur_of((const uint8_t *)rest->p, rest->n);
    uint64_t len = cur_lenenc(&c);
    const uint8_t *p = cur_take(&c, len);

    if (c.failed)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format",
                             "the table map has fewer column names than columns");
    *ret_name = (struct ls_str){(const char *)p, (size_t)len};
    *rest = (struct ls_str){(const char *)c.p, cur_left(&c)};
    return 0;
}
