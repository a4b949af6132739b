/*
 * What the source is, and whether it can be followed.
 *
 * What can go wrong: a setting under which rows would not be in the binlog, or not whole; a right
 * that is missing. Both are FATAL (exit 4) and say what to do. Rights are checked by using them,
 * for what a server grants under which name differs by its kind and version.
 */
#include "capture/server.h"
#include "capture/connect.h"
#include "common/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A global variable; "" when the server has none of that name. */
static int
variable(MYSQL *mysql, const char *name, char *value, size_t size, struct ls_err *err)
{
    char sql[128], ignored[128];

    (void)snprintf(sql, sizeof(sql), "SHOW GLOBAL VARIABLES LIKE '%s'", name);
    return cap_query_text(mysql, sql, ignored, sizeof(ignored), value, size, err);
}

static int
fail_setting(struct ls_err *err, const char *name, const char *value, const char *wanted)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                         "the source has %s=%s, Lockstep needs %s: set it in the server's "
                         "configuration, also for sessions that are open",
                         name, *value ? value : "(none)", wanted);
}

int
cap_server_look(MYSQL *mysql, struct cap_server *ret, struct ls_err *err)
{
    struct cap_server server = {.gtid = true, .port = mysql->port};
    char version[128], id[24], mode[32];
    unsigned part[3] = {0};

    if (cap_query_text(mysql, "SELECT @@version, @@server_id", version, sizeof(version), id,
                       sizeof(id), err) < 0)
        return -1;
    if (sscanf(version, "%u.%u.%u", &part[0], &part[1], &part[2]) < 2)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source does not say its version: %.60s", version);
    server.version = part[0] * 10000 + part[1] * 100 + part[2];
    server.server_id = (uint32_t)strtoul(id, NULL, 10);
    (void)snprintf(server.host, sizeof(server.host), "%s", mysql->host ? mysql->host : "");
    if (!strstr(version, "MariaDB")) {
        server.flavour = CAP_MYSQL;
        if (cap_query_text(mysql, "SELECT @@server_uuid, @@gtid_mode", server.uuid,
                           sizeof(server.uuid), mode, sizeof(mode), err) < 0)
            return -1;
        server.gtid = !strcmp(mode, "ON");
    }
    *ret = server;
    return 0;
}

/* SHOW MASTER STATUS, under its name of the time. */
static const char *
place_statement(const struct cap_server *server)
{
    return server->flavour == CAP_MYSQL && server->version >= 80200 ? "SHOW BINARY LOG STATUS"
                                                                    : "SHOW MASTER STATUS";
}

int
cap_server_check(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
                 struct ls_err *err)
{
    char value[64], ignored[512];

    (void)config;
    if (server->flavour == CAP_MYSQL)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source is MySQL %u.%u.%u, which is not supported yet: MariaDB "
                             "only",
                             server->version / 10000, server->version / 100 % 100,
                             server->version % 100);
    if (variable(mysql, "log_bin", value, sizeof(value), err) < 0)
        return -1;
    if (strcmp(value, "ON") != 0)
        return fail_setting(err, "log_bin", value, "ON (log_bin=...)");
    if (variable(mysql, "binlog_format", value, sizeof(value), err) < 0)
        return -1;
    if (strcmp(value, "ROW") != 0 && strcmp(value, "MIXED") != 0)
        return fail_setting(err, "binlog_format", value, "ROW (or MIXED)");
    if (variable(mysql, "binlog_row_image", value, sizeof(value), err) < 0)
        return -1;
    if (strcmp(value, "FULL") != 0)
        return fail_setting(err, "binlog_row_image", value, "FULL");
    if (variable(mysql, "binlog_row_metadata", value, sizeof(value), err) < 0)
        return -1;
    if (strcmp(value, "FULL") != 0)
        ls_log(LS_WARN, "source-metadata", LS_S("binlog_row_metadata", value),
               LS_S("do", "set it to FULL: until then columns come from information_schema"));
    /* the grants that the dump and the snapshot will need, asked for by using them */
    return cap_query_text(mysql, place_statement(server), ignored, sizeof(ignored), NULL, 0, err);
}

/* MariaDB tells the GTIDs of a place; asked apart they could belong to another one. */
static int
mariadb_gtids(MYSQL *mysql, const struct cap_coords *place, struct cap_gtid_set *ret,
              struct ls_err *err)
{
    char sql[2 * sizeof(place->file) + 80], file[2 * sizeof(place->file) + 1];
    char gtids[CAP_GTID_SET_TEXT];

    (void)mysql_real_escape_string(mysql, file, place->file, strlen(place->file));
    (void)snprintf(sql, sizeof(sql), "SELECT BINLOG_GTID_POS('%s', %" PRIu64 ")", file, place->pos);
    if (cap_query_text(mysql, sql, gtids, sizeof(gtids), NULL, 0, err) < 0)
        return -1;
    return cap_gtid_set_parse(ls_str_of(gtids), ret, err);
}

int
cap_server_place(MYSQL *mysql, const struct cap_server *server, struct cap_coords *ret,
                 struct cap_gtid_set *ret_gtids, struct ls_err *err)
{
    struct cap_coords place = {"", 0};
    struct cap_gtid_set gtids = {0};
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    int r = 0;

    if (cap_query_rows(mysql, place_statement(server), &rows, err) < 0)
        return -1;
    row = mysql_fetch_row(rows);
    if (row && row[0] && row[1]) {
        (void)snprintf(place.file, sizeof(place.file), "%s", row[0]);
        place.pos = strtoull(row[1], NULL, 10);
    }
    /* File, Position, Binlog_Do_DB, Binlog_Ignore_DB, and MySQL's Executed_Gtid_Set */
    if (server->flavour == CAP_MYSQL && server->gtid && row && mysql_num_fields(rows) > 4)
        r = cap_gtid_set_parse(ls_str_of(row[4] ? row[4] : ""), &gtids, err);
    mysql_free_result(rows);
    if (r < 0)
        return -1;
    if (!place.file[0] || place.pos < 4)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source does not say where its binlog ends (%s): is it on?",
                             place_statement(server));
    if (server->flavour == CAP_MARIADB && mariadb_gtids(mysql, &place, &gtids, err) < 0)
        return -1;
    *ret = place;
    *ret_gtids = gtids;
    return 0;
}

uint32_t
cap_server_id(const struct ls_config *config)
{
    int64_t id = ls_config_int(config, "source", "server_id");
    const char *prefix = ls_config_topic(config, "capture"),
               *database = ls_config_str(config, "source", "database");
    uint32_t hash;

    if (id > 0)
        return (uint32_t)id;
    hash = (uint32_t)crc32(0, (const Bytef *)prefix, (uInt)strlen(prefix));
    hash = (uint32_t)crc32(hash, (const Bytef *)database, (uInt)strlen(database));
    /* the upper half: people number their own replicas from 1 */
    return hash | 0x80000000U;
}
