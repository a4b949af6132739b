/*
 * Connections to the source: signing in, and plain queries.
 *
 * What can go wrong: the server is away, full, starting or stopping (RETRY, for ever); it refuses
 * us or what we ask for (FATAL with a cause word, exit 4). What the server says is passed on in its
 * own words behind what we were doing.
 */
#include "capture/connect.h"
#include <errmsg.h>
#include <errno.h>
#include <mysqld_error.h>
#include <stdio.h>

#define LARGEST_PACKET ((size_t)1 << 30)
#define CONNECT_TIMEOUT_S 10
#define QUERY_TIMEOUT_S 600

int
cap_fail_mysql(MYSQL *mysql, const char *what, struct ls_err *err)
{
    unsigned code = mysql_errno(mysql);
    const char *text = mysql_error(mysql);

    switch (code) {
    case ER_ACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_HOST_NOT_PRIVILEGED:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
    case ER_MUST_CHANGE_PASSWORD:
    case CR_AUTH_PLUGIN_CANNOT_LOAD:
    case CR_SSL_CONNECTION_ERROR:
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-auth", "%s: %s", what, text);
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-grants", "%s: %s", what, text);
    case ER_BAD_DB_ERROR:
    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR:
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-tables", "%s: %s", what, text);
    case ER_PARSE_ERROR:
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source", "%s: %s", what, text);
    default:
        return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "source", "%s: %s", what,
                             *text ? text : "the connection was closed");
    }
}

int
cap_connect_within(const struct ls_config *config, unsigned read_timeout, MYSQL **ret,
                   struct ls_err *err)
{
    const char *host = ls_config_str(config, "source", "host"),
               *user = ls_config_str(config, "source", "user"),
               *password = ls_config_str(config, "source", "password"),
               *database = ls_config_str(config, "source", "database");
    unsigned port = (unsigned)ls_config_int(config, "source", "port");
    unsigned connect_timeout = CONNECT_TIMEOUT_S;
    unsigned long largest = LARGEST_PACKET;
    my_bool off = 0;
    MYSQL *mysql = mysql_init(NULL);
    char what[160];

    if (!mysql)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a connection");
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &read_timeout);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &read_timeout);
    mysql_options(mysql, MYSQL_OPT_RECONNECT, &off);
    mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &largest);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "lockstep-capture");
    if (!mysql_real_connect(mysql, host, user, password, database, port, NULL, 0)) {
        (void)snprintf(what, sizeof(what), "connecting to %.60s:%u as %.40s", host, port, user);
        (void)cap_fail_mysql(mysql, what, err);
        mysql_close(mysql);
        return -1;
    }
    *ret = mysql;
    return 0;
}

int
cap_connect(const struct ls_config *config, MYSQL **ret, struct ls_err *err)
{
    return cap_connect_within(config, QUERY_TIMEOUT_S, ret, err);
}

int
cap_query(MYSQL *mysql, const char *sql, struct ls_err *err)
{
    char what[100];

    if (mysql_query(mysql, sql) == 0)
        return 0;
    (void)snprintf(what, sizeof(what), "%.80s", sql);
    return cap_fail_mysql(mysql, what, err);
}

int
cap_query_rows(MYSQL *mysql, const char *sql, MYSQL_RES **ret, struct ls_err *err)
{
    MYSQL_RES *rows;

    if (cap_query(mysql, sql, err) < 0)
        return -1;
    rows = mysql_store_result(mysql);
    if (!rows)
        return cap_fail_mysql(mysql, "reading rows", err);
    *ret = rows;
    return 0;
}

int
cap_query_text(MYSQL *mysql, const char *sql, char *first, size_t first_size, char *second,
               size_t second_size, struct ls_err *err)
{
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;

    if (cap_query_rows(mysql, sql, &rows, err) < 0)
        return -1;
    first[0] = '\0';
    if (second)
        second[0] = '\0';
    row = mysql_fetch_row(rows);
    if (row) {
        (void)snprintf(first, first_size, "%s", row[0] ? row[0] : "");
        if (second && mysql_num_fields(rows) > 1)
            (void)snprintf(second, second_size, "%s", row[1] ? row[1] : "");
    }
    mysql_free_result(rows);
    return 0;
}
