/*
 * The dump: the binlog's packets, as they come.
 *
 * libmariadb signs in and frames packets; the dump command goes through its own method table,
 * because its replication functions cannot start by GTID on every server and lose events. What can
 * go wrong: the server is away (RETRY for ever), refuses us (FATAL, exit 4), no longer has our
 * position (FATAL, exit 5), or is silent: it promises a heartbeat, so three missed ones mean that
 * the connection is dead, whatever TCP thinks.
 */
#include "capture/session.h"
#include "capture/connect.h"
#include "capture/server.h"
#include <errno.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cap_session {
    MYSQL *mysql;
    struct cap_server server;
    int64_t heartbeat_ms;
    struct cap_readahead *readahead; /* the connection is its own while it runs */
};

static unsigned
silence_seconds(const struct ls_config *config)
{
    int64_t ms = 3 * ls_config_int(config, "source", "heartbeat_ms");

    return (unsigned)((ms + 999) / 1000);
}

/* Error 1236 says in words whether the position is gone or something else is wrong. */
static int
fail_dump(MYSQL *mysql, struct ls_err *err)
{
    unsigned code = mysql_errno(mysql);
    const char *text = mysql_error(mysql);

    if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG) {
        static const char *const gone[] = {"Could not find first log file", "purged",
                                           "not in the master's binlog", "could not find next log",
                                           NULL};
        for (size_t i = 0; gone[i]; i++)
            if (strstr(text, gone[i]))
                return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "purged", "%s", text);
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "binlog", "%s", text);
    }
    return cap_fail_mysql(mysql, "reading the binlog", err);
}

static int
session_settings(struct cap_session *s, const struct ls_config *config,
                 const struct cap_start *start, struct ls_err *err)
{
    char sql[CAP_GTID_SET_TEXT + 64], gtids[CAP_GTID_SET_TEXT];
    /* four times as often as promised: it is also the word that the source has no more to send */
    int64_t heartbeat_ns = ls_config_int(config, "source", "heartbeat_ms") * (1000000 / 4);

    s->heartbeat_ms = heartbeat_ns / 1000000;
    (void)snprintf(sql, sizeof(sql), "SET @master_heartbeat_period=%lld", (long long)heartbeat_ns);
    /* a slow Kafka makes us read slowly: the source shall not take that for death */
    if (cap_query(s->mysql, "SET SESSION net_write_timeout=600", err) < 0 ||
        cap_query(s->mysql, "SET @master_binlog_checksum=@@global.binlog_checksum", err) < 0 ||
        cap_query(s->mysql, "SET @mariadb_slave_capability=4", err) < 0 ||
        cap_query(s->mysql, sql, err) < 0)
        return -1;
    if (start->gtids.n == 0)
        return 0;
    cap_gtid_set_print(&start->gtids, gtids);
    (void)snprintf(sql, sizeof(sql), "SET @slave_connect_state='%s'", gtids);
    if (cap_query(s->mysql, sql, err) < 0 ||
        cap_query(s->mysql, "SET @slave_gtid_strict_mode=1", err) < 0 ||
        cap_query(s->mysql, "SET @slave_gtid_ignore_duplicates=0", err) < 0)
        return -1;
    return 0;
}

static void
put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static int
send_dump(struct cap_session *s, const struct ls_config *config, const struct cap_start *start,
          struct ls_err *err)
{
    /* position 4, flags 2, server id 4, file name; with GTIDs the server finds the file itself */
    uint8_t command[10 + sizeof(start->file)] = {0};
    bool by_gtid = start->gtids.n > 0;
    size_t name = by_gtid ? 0 : strlen(start->file);

    put_le32(command, by_gtid || start->pos < 4 ? 4 : (uint32_t)start->pos);
    put_le32(command + 6, cap_server_id(config));
    memcpy(command + 10, start->file, name);
    if (s->mysql->methods->db_command(s->mysql, COM_BINLOG_DUMP, (const char *)command, 10 + name,
                                      1, NULL))
        return fail_dump(s->mysql, err);
    return 0;
}

int
cap_session_open(const struct ls_config *config, const struct cap_start *start,
                 struct cap_session **ret, struct ls_err *err)
{
    struct cap_session *s = calloc(1, sizeof(*s));

    if (!s)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a session");
    if (cap_connect_within(config, silence_seconds(config), &s->mysql, err) < 0)
        goto fail;
    if (cap_server_look(s->mysql, &s->server, err) < 0 ||
        session_settings(s, config, start, err) < 0 || send_dump(s, config, start, err) < 0 ||
        cap_readahead_start(s->mysql, s->heartbeat_ms, fail_dump, &s->readahead, err) < 0)
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
    if (s->mysql)
        mysql_close(s->mysql);
    free(s);
}

const struct cap_server *
cap_session_server(const struct cap_session *s)
{
    return &s->server;
}

int
cap_session_next(struct cap_session *s, int timeout_ms, struct cap_packet *ret, struct ls_err *err)
{
    return cap_readahead_next(s->readahead, timeout_ms, ret, err);
}

bool
cap_session_at_hand(const struct cap_session *s)
{
    return cap_readahead_at_hand(s->readahead);
}

bool
cap_session_has_more(struct cap_session *s)
{
    return cap_readahead_has_more(s->readahead);
}
