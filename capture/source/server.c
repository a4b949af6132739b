/*
 * What the source is, and whether it can be followed.
 *
 * What can go wrong: a setting under which rows would not be in the binlog, or not whole; a right
 * that is missing. Both are FATAL (exit 4) and say what to do. Rights are checked by using them,
 * for what a server grants under which name differs by its kind and version.
 */
#include "capture/source/server.h"
#include "capture/source/connect.h"
#include "capture/source/hosts.h"
#include "common/log.h"
#include "common/tables.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BEHIND_S 10 /* that a replica may be behind, as it counts */

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

bool
cap_server_is(const struct cap_server *server, uint32_t server_id, const char *uuid)
{
    return server_id != 0 && server->server_id == server_id &&
           (!*uuid || !*server->uuid || !strcmp(server->uuid, uuid));
}

/* What a server's variables must be: by name, from which version on it has them. */
static const struct {
    const char *name, *wanted[2];
    int flavour; /* -1: both */
    unsigned since;
} settings[] = {
    {"log_bin", {"ON"}, -1, 0},
    {"binlog_format", {"ROW", "MIXED"}, -1, 0},
    {"binlog_row_image", {"FULL"}, -1, 0},
    {"binlog_row_value_options", {""}, CAP_MYSQL, 80003},
};

static int
check_settings(MYSQL *mysql, const struct cap_server *server, struct ls_err *err)
{
    char value[64];

    if (server->flavour == CAP_MYSQL && server->version < 50700)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source is MySQL %u.%u, Lockstep follows 5.7 and later",
                             server->version / 10000, server->version / 100 % 100);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const char *const *wanted = settings[i].wanted;
        if ((settings[i].flavour >= 0 && settings[i].flavour != (int)server->flavour) ||
            server->version < settings[i].since)
            continue;
        if (variable(mysql, settings[i].name, value, sizeof(value), err) < 0)
            return -1;
        if (strcmp(value, wanted[0]) != 0 && (!wanted[1] || strcmp(value, wanted[1]) != 0))
            return fail_setting(err, settings[i].name, value, *wanted[0] ? wanted[0] : "it empty");
    }
    if (server->version < (server->flavour == CAP_MYSQL ? 80001U : 100500U))
        return 0;
    if (variable(mysql, "binlog_row_metadata", value, sizeof(value), err) < 0)
        return -1;
    if (strcmp(value, "FULL") != 0)
        ls_log(LS_WARN, "source-metadata", LS_S("binlog_row_metadata", value),
               LS_S("do", "set it to FULL: until then columns come from information_schema"));
    return 0;
}

static const char *
replica_statement(const struct cap_server *server)
{
    return server->flavour == CAP_MARIADB ? "SHOW ALL SLAVES STATUS"
           : server->version >= 80022     ? "SHOW REPLICA STATUS"
                                          : "SHOW SLAVE STATUS";
}

/* A column by what its name ends with, for the word in front is another in each version. */
static const char *
column_of(MYSQL_RES *rows, MYSQL_ROW row, const char *end)
{
    for (unsigned i = 0; i < mysql_num_fields(rows); i++) {
        const char *name = mysql_fetch_field_direct(rows, i)->name;
        size_t n = strlen(name), m = strlen(end);
        if (n >= m && !strcmp(name + n - m, end))
            return row[i];
    }
    return NULL;
}

static const char *
why_stale(MYSQL_RES *rows, MYSQL_ROW row)
{
    const char *io = column_of(rows, row, "_IO_Running"),
               *sql = column_of(rows, row, "_SQL_Running"),
               *behind = column_of(rows, row, "Seconds_Behind_Master");

    if (!behind)
        behind = column_of(rows, row, "Seconds_Behind_Source");
    if (io && strcmp(io, "Yes") != 0)
        return "it does not get what its own source does";
    if (sql && strcmp(sql, "Yes") != 0)
        return "it does not carry out what it gets";
    return behind && strtoll(behind, NULL, 10) >= BEHIND_S ? "it is behind its own source" : NULL;
}

int
cap_server_is_stale(MYSQL *mysql, const struct cap_server *server, const char **ret_why)
{
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;

    *ret_why = NULL;
    if (cap_query_rows(mysql, replica_statement(server), &rows, NULL) < 0)
        return -1;
    while (!*ret_why && (row = mysql_fetch_row(rows)))
        *ret_why = why_stale(rows, row);
    mysql_free_result(rows);
    return *ret_why != NULL;
}

/* 1: it replicates from another server; -1 RETRY. MariaDB tells that to whom SLAVE MONITOR was
 * granted, and to everybody whether it does so at this moment. */
static int
is_replica(MYSQL *mysql, const struct cap_server *server, struct ls_err *err)
{
    char name[64], running[24];
    struct ls_err why = {0};
    MYSQL_RES *rows = NULL;
    int r;

    if (cap_query_rows(mysql, replica_statement(server), &rows, &why) == 0) {
        r = mysql_num_rows(rows) > 0;
        mysql_free_result(rows);
        return r;
    }
    if (strcmp(why.cause, "source-grants") != 0) {
        if (err)
            *err = why;
        return -1;
    }
    if (cap_query_text(mysql, "SHOW GLOBAL STATUS LIKE 'Slaves_running'", name, sizeof(name),
                       running, sizeof(running), err) < 0)
        return -1;
    return *running && strcmp(running, "0") != 0;
}

/* A node of a Galera cluster. */
static int
is_in_cluster(MYSQL *mysql, bool *ret, struct ls_err *err)
{
    char value[64];

    if (variable(mysql, "wsrep_on", value, sizeof(value), err) < 0)
        return -1;
    *ret = !strcmp(value, "ON");
    return 0;
}

/* Each node numbers its transactions for itself unless told otherwise: one node's GTID names
 * another transaction on the next. */
static int
check_cluster(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
              struct ls_err *err)
{
    char value[64];
    bool clustered = false;

    if (cap_hosts_count(config) < 2 || server->flavour == CAP_MYSQL)
        return 0;
    if (is_in_cluster(mysql, &clustered, err) < 0 ||
        variable(mysql, "wsrep_gtid_mode", value, sizeof(value), err) < 0)
        return -1;
    if (!clustered || !strcmp(value, "ON"))
        return 0;
    return fail_setting(err, "wsrep_gtid_mode", value,
                        "ON where several nodes of a Galera cluster are configured");
}

/* What a replica was sent is in its binlog only with this. A server that is none does without,
 * until it takes another's place. */
static int
check_updates(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
              struct ls_err *err)
{
    const char *name = server->flavour == CAP_MYSQL && server->version >= 80026
                           ? "log_replica_updates"
                           : "log_slave_updates";
    char value[64], position[512];
    bool clustered = false;
    int r;

    if (variable(mysql, name, value, sizeof(value), err) < 0)
        return -1;
    if (!strcmp(value, "ON"))
        return 0;
    /* what people do at the other nodes comes as to a replica */
    if (is_in_cluster(mysql, &clustered, err) < 0)
        return -1;
    if (clustered)
        return fail_setting(err, name, value, "ON on a node of a Galera cluster");
    if (cap_hosts_count(config) > 1)
        return fail_setting(err, name, value, "ON where several hosts are configured");
    r = is_replica(mysql, server, err);
    if (r != 0)
        return r < 0 ? -1 : fail_setting(err, name, value, "ON on a replica");
    if (server->flavour == CAP_MYSQL)
        return 0;
    if (cap_query_text(mysql, "SELECT @@global.gtid_slave_pos", position, sizeof(position), NULL, 0,
                       err) < 0)
        return -1;
    if (*position)
        ls_log(LS_WARN, "source-updates", LS_S(name, value), LS_S("gtid_slave_pos", position),
               LS_S("do", "it was a replica: set log_slave_updates=ON before it is one again, what "
                          "it is sent would not be in its binlog"));
    return 0;
}

/* Names the missing grant behind what the server says. */
static int
fail_grant(struct ls_err *err, const struct ls_err *why, const char *grant)
{
    if (strcmp(why->cause, "source-grants") != 0) {
        if (err)
            *err = *why;
        return -1;
    }
    return ls_fail_cause(err, LS_ERR_FATAL, why->code, "source-grants",
                         "the source's user lacks a right: GRANT %s (%.100s)", grant, why->msg);
}

static const char *
place_grant(const struct cap_server *server)
{
    return server->flavour == CAP_MARIADB && server->version >= 100500
               ? "BINLOG MONITOR ON *.*"
               : "REPLICATION CLIENT ON *.*";
}

/* Rights are seen by using them. What the dump needs shows when it is asked for. */
static int
check_grants(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
             struct ls_err *err)
{
    const char *database = ls_config_str(config, "source", "database"),
               *prefix = ls_config_str(config, "source", "table_prefix");
    char ignored[512], sql[300], grant[200];
    struct ls_err why = {0};

    if (cap_query_text(mysql, place_statement(server), ignored, sizeof(ignored), NULL, 0, &why) < 0)
        return fail_grant(err, &why, place_grant(server));
    (void)snprintf(grant, sizeof(grant), "SELECT ON %.100s.*", database);
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        memset(&why, 0, sizeof(why));
        (void)snprintf(sql, sizeof(sql), "SELECT 1 FROM `%.100s%s` LIMIT 0", prefix ? prefix : "",
                       ls_tables[i].name);
        /* whether a table is there is for the schema to say */
        if (cap_query_text(mysql, sql, ignored, sizeof(ignored), NULL, 0, &why) < 0 &&
            strcmp(why.cause, "source-tables") != 0)
            return fail_grant(err, &why, grant);
    }
    return 0;
}

/* In a list with commas, letter by letter, as the server compares. */
static bool
is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);

    while (*list) {
        size_t length = strcspn(list, ",");
        if (length == n && !memcmp(list, name, n))
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

bool
cap_server_logs(const char *only, const char *without, const char *database)
{
    return *only ? is_listed(only, database) : !is_listed(without, database);
}

/* Rows of a database that the server keeps out of its binlog would be missed without a word. */
static int
check_filters(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
              struct ls_err *err)
{
    const char *database = ls_config_str(config, "source", "database");
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    int r = 0;

    if (cap_query_rows(mysql, place_statement(server), &rows, err) < 0)
        return -1;
    row = mysql_num_fields(rows) > 3 ? mysql_fetch_row(rows) : NULL;
    if (row) {
        const char *only = row[2] ? row[2] : "", *without = row[3] ? row[3] : "";
        if (!cap_server_logs(only, without, database))
            r = ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                              "the source keeps %.60s out of its binlog (%s=%.80s): take that out "
                              "of the server's configuration and restart it, then take a new "
                              "snapshot",
                              database, *only ? "binlog-do-db" : "binlog-ignore-db",
                              *only ? only : without);
        else if (*only || *without)
            ls_log(LS_WARN, "source-filters", LS_S("binlog_do_db", only),
                   LS_S("binlog_ignore_db", without),
                   LS_S("do", "take them out: a statement such as ALTER or TRUNCATE that is given "
                              "in another database is not in the binlog then"));
    }
    mysql_free_result(rows);
    return r;
}

void
cap_server_our_name(const struct ls_config *config, char ret[60])
{
    (void)snprintf(ret, 60, "lockstep-%.50s", ls_config_str(config, "lockstep", "prefix"));
}

static int
fail_server_id(struct ls_err *err, uint32_t id, const char *who)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-server-id",
                         "server id %" PRIu32 " belongs to %.100s: choose another one for capture "
                         "([source] server_id)",
                         id, who);
}

/* Another replica under our id: the source would end the one's dump for the other's, in turns. One
 * of our name is the capture whose place we take, or what is left of it. */
static int
check_server_id(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
                struct ls_err *err)
{
    uint32_t id = cap_server_id(config);
    const char *sql = server->flavour == CAP_MYSQL && server->version >= 80022 ? "SHOW REPLICAS"
                                                                               : "SHOW SLAVE HOSTS";
    char name[60], who[300] = "";
    struct ls_err why = {0};
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;

    if (server->server_id == id)
        return fail_server_id(err, id, "the source itself");
    if (cap_query_rows(mysql, sql, &rows, &why) < 0) {
        if (why.kind == LS_ERR_FATAL) /* not granted: then it is not known */
            return 0;
        if (err)
            *err = why;
        return -1;
    }
    cap_server_our_name(config, name);
    while ((row = mysql_fetch_row(rows)))
        if (row[0] && strtoul(row[0], NULL, 10) == id && (!row[1] || strcmp(row[1], name) != 0))
            (void)snprintf(who, sizeof(who), "the replica %s",
                           row[1] && *row[1] ? row[1] : "there");
    mysql_free_result(rows);
    return *who ? fail_server_id(err, id, who) : 0;
}

int
cap_server_check(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
                 struct ls_err *err)
{
    if (check_settings(mysql, server, err) < 0 || check_updates(mysql, server, config, err) < 0 ||
        check_cluster(mysql, server, config, err) < 0 ||
        check_grants(mysql, server, config, err) < 0 ||
        check_filters(mysql, server, config, err) < 0)
        return -1;
    return check_server_id(mysql, server, config, err);
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

static int
gtid_text(MYSQL *mysql, const char *sql, struct cap_gtid_set *ret, struct ls_err *err)
{
    char text[CAP_GTID_SET_TEXT];

    if (cap_query_text(mysql, sql, text, sizeof(text), NULL, 0, err) < 0)
        return -1;
    return cap_gtid_set_parse(ls_str_of(text), ret, err);
}

int
cap_server_gtids(MYSQL *mysql, const struct cap_server *server, struct cap_gtid_set *ret_all,
                 struct cap_gtid_set *ret_gone, struct ls_err *err)
{
    struct cap_coords first = {"", 4};
    bool is_mysql = server->flavour == CAP_MYSQL;

    if (ret_all &&
        gtid_text(mysql,
                  is_mysql ? "SELECT @@global.gtid_executed" : "SELECT @@global.gtid_binlog_pos",
                  ret_all, err) < 0)
        return -1;
    if (!ret_gone)
        return 0;
    if (is_mysql)
        return gtid_text(mysql, "SELECT @@global.gtid_purged", ret_gone, err);
    /* what was there when the oldest file began */
    if (cap_query_text(mysql, "SHOW BINARY LOGS", first.file, sizeof(first.file), NULL, 0, err) < 0)
        return -1;
    return mariadb_gtids(mysql, &first, ret_gone, err);
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
