/*
 * The dump: the binlog's packets, as they come.
 *
 * libmariadb signs in; it also takes the packets off a connection with TLS (readahead.c), while
 * those of one without are taken off the socket itself (wire.c). The dump command goes through its
 * own method table, because its replication functions cannot start by GTID on every server and lose
 * events. What can go wrong: the server is away (RETRY for ever), refuses us (FATAL, exit 4), no
 * longer has our position (FATAL, exit 5), or is silent: it promises a heartbeat, so three missed
 * ones mean that the connection is dead, whatever TCP thinks.
 */
#include "capture/source/session.h"
#include "capture/source/connect.h"
#include "capture/source/server.h"
#include "capture/source/wire.h"
#include <errno.h>
#include <inttypes.h>
#include <ma_pvio.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COM_BINLOG_DUMP_GTID 30 /* MySQL's; libmariadb does not name it */
#define DUMP_THROUGH_GTID 4

struct cap_session {
    MYSQL *mysql;
    struct cap_server server;
    int64_t heartbeat_ms;
    uint64_t passes;                 /* the place behind what is sent once more; 0: nothing is */
    struct cap_readahead *readahead; /* the connection is its own while it runs; NULL: wire */
    struct cap_wire *wire;
};

static unsigned
silence_seconds(const struct ls_config *config)
{
    int64_t ms = 3 * ls_config_int(config, "source", "heartbeat_ms");

    return (unsigned)((ms + 999) / 1000);
}

/* Error 1236 says in words what it is. In this order, for the words of one may be in another's. */
static const struct {
    const char *text, *cause;
} dump_errors[] = {
    {"same server_uuid/server_id", "source-server-id"},
    {"has more GTIDs than the", "diverged"},
    {"higher sequence numbers", "diverged"},
    {"position > file size", "diverged"},
    {"impossible position", "diverged"},
    {"Could not find first log file", "purged"},
    {"purged", "purged"},
    {"not in the master's binlog", "diverged"},
    {"could not find next log", "purged"},
    {"GTID_MODE", "source-settings"},
};

static int
fail_dump(MYSQL *mysql, struct ls_err *err)
{
    unsigned code = mysql_errno(mysql);
    const char *text = mysql_error(mysql), *cause = "binlog";

    if (code == ER_SLAVE_SAME_ID || code == ER_MASTER_FATAL_ERROR_READING_BINLOG) {
        for (size_t i = 0; i < sizeof(dump_errors) / sizeof(dump_errors[0]); i++)
            if (strstr(text, dump_errors[i].text)) {
                cause = dump_errors[i].cause;
                break;
            }
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code,
                             code == ER_SLAVE_SAME_ID ? "source-server-id" : cause, "%s", text);
    }
    if (code == ER_SPECIFIC_ACCESS_DENIED_ERROR || code == ER_ACCESS_DENIED_ERROR)
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-grants",
                             "the source's user lacks a right: GRANT REPLICATION SLAVE ON *.* "
                             "(%.100s)",
                             text);
    return cap_fail_mysql(mysql, "reading the binlog", err);
}

/* The same, of an error that wire.c met. */
static int
fail_wire(void *arg, unsigned code, const char *text, struct ls_err *err)
{
    MYSQL *mysql = arg;

    mysql->net.last_errno = code;
    (void)snprintf(mysql->net.last_error, sizeof(mysql->net.last_error), "%s", text);
    return fail_dump(mysql, err);
}

static bool
by_gtid(const struct cap_session *s, const struct cap_start *start)
{
    return s->server.gtid &&
           (start->gtids.n > 0 || (start->whole && s->server.flavour == CAP_MYSQL));
}

static int
fail_server(const struct cap_session *s, struct ls_err *err, const char *why)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-server",
                         "%.60s:%u (server id %" PRIu32 ") cannot be followed from our position: "
                         "%s; --snapshot begins anew there",
                         s->server.host, s->server.port, s->server.server_id, why);
}

/* What another server, or this one since, does not have. */
static int
fail_lacks(const struct cap_session *s, const struct cap_gtid_set *missing, bool same,
           struct ls_err *err)
{
    char text[CAP_GTID_SET_TEXT];

    cap_gtid_set_print(missing, text);
    if (same)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "diverged",
                             "%.60s:%u no longer has what was read from it: %.100s", s->server.host,
                             s->server.port, text);
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "source-behind",
                         "%.60s:%u does not have %.60s, which was read already: not followed until "
                         "it does (a replica needs log_slave_updates)",
                         s->server.host, s->server.port, text);
}

/*
 * A server that lost the end of its binlog, as one does whose machine crashes without
 * sync_binlog=1, gives the numbers of what it lost to others: its GTIDs seem to hold ours then. But
 * the file that we have read ends in front of where we are.
 */
static int
check_end(const struct cap_session *s, const struct cap_start *start, struct ls_err *err)
{
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    uint64_t size = UINT64_MAX;

    if (!start->file[0])
        return 0;
    if (cap_query_rows(s->mysql, "SHOW BINARY LOGS", &rows, err) < 0)
        return -1;
    while ((row = mysql_fetch_row(rows)))
        if (row[0] && row[1] && !strcmp(row[0], start->file))
            size = strtoull(row[1], NULL, 10);
    mysql_free_result(rows);
    if (size >= start->pos)
        return 0;
    if (size == 0) /* none is empty: the server could not open it, as one without descriptors */
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "source-file",
                             "%.60s:%u cannot tell now how long %.60s is, which was read up to "
                             "%" PRIu64,
                             s->server.host, s->server.port, start->file, start->pos);
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "diverged",
                         "%.60s:%u has lost the end of its binlog: %.60s ends at %" PRIu64
                         " and was read up to %" PRIu64 " (is sync_binlog=1?)",
                         s->server.host, s->server.port, start->file, size, start->pos);
}

/*
 * Whether our position means something on this server and what was read is there.
 *
 * MySQL shows a transaction in its binlog before it is in gtid_executed, so a server that we come
 * back to may seem to lack what it just sent: it judges that itself when asked for the dump.
 */
static int
check_start(const struct cap_session *s, const struct cap_start *start, struct ls_err *err)
{
    const struct cap_server *server = &s->server;
    struct cap_gtid_set all, missing;
    bool same = cap_server_is(server, start->server_id, start->uuid);

    if (start->gtids.n > 0 && start->gtids.flavour != server->flavour)
        return fail_server(s, err, "it is of another kind and its GTIDs are of another form");
    if (!by_gtid(s, start)) {
        if (start->server_id != 0 && !same)
            return fail_server(s, err, "without GTIDs, file and position belong to one server");
        if (!start->file[0])
            return fail_server(s, err, "it does not use GTIDs, and no file of it is known");
        return 0;
    }
    if (same && check_end(s, start, err) < 0)
        return -1;
    if (same && server->flavour == CAP_MYSQL)
        return 0;
    if (cap_server_gtids(s->mysql, server, &all, NULL, err) < 0)
        return -1;
    if (cap_gtid_set_contains(&all, &start->gtids))
        return 0;
    if (cap_gtid_set_minus(&start->gtids, &all, &missing, err) < 0)
        return -1;
    return fail_lacks(s, &missing, same, err);
}

static int
session_settings(struct cap_session *s, const struct ls_config *config, struct ls_err *err)
{
    char sql[160];
    /* four times as often as promised: it is also the word that the source has no more to send */
    int64_t heartbeat_ns = ls_config_int(config, "source", "heartbeat_ms") * (1000000 / 4);

    s->heartbeat_ms = heartbeat_ns / 1000000;
    /* each under the name of the past and of today: a server reads the one it knows */
    (void)snprintf(sql, sizeof(sql),
                   "SET @master_heartbeat_period=%lld, @source_heartbeat_period=%lld",
                   (long long)heartbeat_ns, (long long)heartbeat_ns);
    /* a slow Kafka makes us read slowly: the source shall not take that for death */
    if (cap_query(s->mysql, "SET SESSION net_write_timeout=600", err) < 0 ||
        cap_query(s->mysql,
                  "SET @master_binlog_checksum=@@global.binlog_checksum,"
                  " @source_binlog_checksum=@@global.binlog_checksum",
                  err) < 0)
        return -1;
    return cap_query(s->mysql, sql, err);
}

static int
mariadb_settings(struct cap_session *s, const struct cap_start *start, struct ls_err *err)
{
    char sql[CAP_GTID_SET_TEXT + 64], gtids[CAP_GTID_SET_TEXT];

    if (cap_query(s->mysql, "SET @mariadb_slave_capability=4", err) < 0)
        return -1;
    if (!by_gtid(s, start))
        return 0;
    cap_gtid_set_print(&start->gtids, gtids);
    (void)snprintf(sql, sizeof(sql), "SET @slave_connect_state='%s'", gtids);
    if (cap_query(s->mysql, sql, err) < 0 ||
        cap_query(s->mysql, "SET @slave_gtid_strict_mode=1", err) < 0)
        return -1;
    return cap_query(s->mysql, "SET @slave_gtid_ignore_duplicates=0", err);
}

static void
put_le(struct ls_buf *buf, uint64_t v, size_t n)
{
    uint8_t *p = ls_buf_room(buf, n);

    for (size_t i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static int
send_command(struct cap_session *s, int command, const struct ls_buf *body, bool no_answer,
             struct ls_err *err)
{
    if (body->failed)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a command");
    if (s->mysql->methods->db_command(s->mysql, (enum enum_server_command)command,
                                      (const char *)body->p, body->n, no_answer, NULL))
        return fail_dump(s->mysql, err);
    return 0;
}

/* Makes us visible among the source's replicas: server id, then name, user and password each with
 * its length, port, rank, the source's id. */
static int
send_register(struct cap_session *s, const struct ls_config *config, struct ls_err *err)
{
    struct ls_buf body;
    char name[60];
    int r;

    ls_buf_init(&body, 256);
    cap_server_our_name(config, name);
    put_le(&body, cap_server_id(config), 4);
    put_le(&body, strlen(name), 1);
    ls_buf_append(&body, name, strlen(name));
    put_le(&body, 0, 12);
    r = send_command(s, COM_REGISTER_SLAVE, &body, false, err);
    ls_buf_free(&body);
    return r;
}

/* MySQL by GTID: flags, server id, a file name (none), position, the set with its length. */
static int
send_dump_gtid(struct cap_session *s, const struct ls_config *config, const struct cap_start *start,
               struct ls_err *err)
{
    struct ls_buf body, set;
    int r = -1;

    ls_buf_init(&body, 64 << 10);
    ls_buf_init(&set, 64 << 10);
    if (cap_gtid_set_encode(&start->gtids, &set) < 0) {
        (void)ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a set of GTIDs");
        goto out;
    }
    put_le(&body, DUMP_THROUGH_GTID, 2);
    put_le(&body, cap_server_id(config), 4);
    put_le(&body, 0, 4);
    put_le(&body, 4, 8);
    put_le(&body, set.n, 4);
    ls_buf_append(&body, set.p, set.n);
    r = send_command(s, COM_BINLOG_DUMP_GTID, &body, true, err);
out:
    ls_buf_free(&set);
    ls_buf_free(&body);
    return r;
}

static int
send_dump(struct cap_session *s, const struct ls_config *config, const struct cap_start *start,
          struct ls_err *err)
{
    struct ls_buf body;
    bool gtid = by_gtid(s, start);
    int r;

    /* the command's offset has 32 bits; larger files end with one large transaction */
    s->passes = !gtid && start->pos > UINT32_MAX ? start->pos : 0;
    if (gtid && s->server.flavour == CAP_MYSQL)
        return send_dump_gtid(s, config, start, err);
    /* position 4, flags 2, server id 4, file name; with GTIDs MariaDB finds the file itself */
    ls_buf_init(&body, 1024);
    put_le(&body, gtid || start->pos < 4 || s->passes ? 4 : start->pos, 4);
    put_le(&body, 0, 2);
    put_le(&body, cap_server_id(config), 4);
    if (!gtid)
        ls_buf_append(&body, start->file, strlen(start->file));
    r = send_command(s, COM_BINLOG_DUMP, &body, true, err);
    ls_buf_free(&body);
    return r;
}

/* All that is said before the packets come. */
static int
begin_dump(struct cap_session *s, const struct ls_config *config, const struct cap_start *start,
           struct ls_err *err)
{
    if (cap_connect_within(config, silence_seconds(config), &s->mysql, err) < 0 ||
        cap_server_look(s->mysql, &s->server, err) < 0 || check_start(s, start, err) < 0 ||
        session_settings(s, config, err) < 0 || send_register(s, config, err) < 0)
        return -1;
    if (s->server.flavour == CAP_MARIADB && mariadb_settings(s, start, err) < 0)
        return -1;
    return send_dump(s, config, start, err);
}

/* libmariadb may have read a part of the answer already. */
static int
take_socket(struct cap_session *s, struct ls_err *err)
{
    const MARIADB_PVIO *pvio = s->mysql->net.pvio;
    struct cap_wire_start start = {.fd = mysql_get_socket(s->mysql),
                                   .seq = (uint8_t)s->mysql->net.pkt_nr,
                                   .heartbeat_ms = s->heartbeat_ms,
                                   .first_ms = CAP_FIRST_WORD_MS,
                                   .silence_ms = pvio->timeout[PVIO_READ_TIMEOUT],
                                   .fail = fail_wire,
                                   .arg = s->mysql};

    if (pvio->cache && pvio->cache_size > 0) {
        start.rest = pvio->cache_pos;
        start.n_rest = (size_t)(pvio->cache + pvio->cache_size - pvio->cache_pos);
    }
    if (start.silence_ms <= 0 || start.silence_ms > start.first_ms)
        start.silence_ms = start.first_ms;
    return cap_wire_new(&start, &s->wire, err);
}

static int
begin_reading(struct cap_session *s, struct ls_err *err)
{
    const MARIADB_PVIO *pvio = s->mysql->net.pvio;

    if (pvio && !pvio->ctls && !s->mysql->net.compress)
        return take_socket(s, err);
    return cap_readahead_start(s->mysql, s->heartbeat_ms, fail_dump, &s->readahead, err);
}

int
cap_session_open(const struct ls_config *config, const struct cap_start *start,
                 struct cap_session **ret, struct ls_err *err)
{
    struct cap_session *s = calloc(1, sizeof(*s));

    if (!s)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a session");
    if (begin_dump(s, config, start, err) < 0 || begin_reading(s, err) < 0)
        goto fail;
    *ret = s;
    return 0;
fail:
    cap_session_close(s);
    return -1;
}

void
cap_session_close(struct cap_session *s)
{
    if (!s)
        return;
    cap_readahead_stop(s->readahead);
    if (s->wire)
        (void)shutdown(mysql_get_socket(s->mysql), SHUT_RDWR);
    cap_wire_free(s->wire);
    if (s->mysql)
        mysql_close(s->mysql);
    free(s);
}

const struct cap_server *
cap_session_server(const struct cap_session *s)
{
    return &s->server;
}

uint64_t
cap_session_passes(const struct cap_session *s)
{
    return s->passes;
}

int
cap_session_next(struct cap_session *s, int timeout_ms, struct cap_packet *ret, struct ls_err *err)
{
    if (s->wire)
        return cap_wire_next(s->wire, timeout_ms, ret, err);
    return cap_readahead_next(s->readahead, timeout_ms, ret, err);
}

bool
cap_session_at_hand(const struct cap_session *s)
{
    return s->wire ? cap_wire_at_hand(s->wire) : cap_readahead_at_hand(s->readahead);
}

bool
cap_session_has_more(struct cap_session *s)
{
    return s->wire ? cap_wire_has_more(s->wire) : cap_readahead_has_more(s->readahead);
}
