/*
 * Connections to the source: TLS, signing in, and plain queries.
 *
 * What can go wrong: the server is away, full, starting or stopping (RETRY, for ever); it refuses
 * us or what we ask for, or is not who it should be (FATAL with a cause word, exit 4). What the
 * server says is passed on in its own words behind what we were doing.
 *
 * libmariadb signs in without TLS when the server offers none, whatever it was told, unless it is
 * to check the server's name. So the result is looked at before the first query; and no password
 * ever goes out in the clear, for only plugins that prove it without showing it are allowed.
 */
#include "capture/source/connect.h"
#include "capture/source/hosts.h"
#include "common/log.h"
#include <errmsg.h>
#include <errno.h>
#include <mysqld_error.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LARGEST_PACKET ((size_t)1 << 30)
#define CONNECT_TIMEOUT_S 10
#define QUERY_TIMEOUT_S 600
#define PLUGINS "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519"

/* A handshake that broke off may have met a server that was stopping; one that was refused will be
 * refused again. */
static bool
tls_refused(const char *text)
{
    static const char *const words[] = {
        "certificate",       "SSL is required",  "wrong version", "unsupported", "no protocols",
        "handshake failure", "no shared cipher", "key values",    "unknown ca",  NULL};

    if (strstr(text, "not yet valid")) /* a clock that is behind: the day will come */
        return false;
    for (size_t i = 0; words[i]; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

int
cap_fail_mysql(MYSQL *mysql, const char *what, struct ls_err *err)
{
    unsigned code = mysql_errno(mysql);
    const char *text = mysql_error(mysql);

    switch (code) {
    case ER_ACCESS_DENIED_ERROR:
    case ER_HOST_NOT_PRIVILEGED:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
    case ER_MUST_CHANGE_PASSWORD:
    case CR_AUTH_PLUGIN_CANNOT_LOAD:
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-auth", "%s: %s", what, text);
    case CR_PLUGIN_NOT_ALLOWED: /* libmariadb names the plugin from a buffer that it has used again
                                 */
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-auth",
                             "%s: the server wants the password proved in a way that is none of %s",
                             what, PLUGINS);
    case CR_SSL_CONNECTION_ERROR:
        if (!tls_refused(text))
            break;
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "source-tls", "%s: %s%s", what, text,
                             strstr(text, "Validation") ? ": it is for another host" : "");
    case ER_DBACCESS_DENIED_ERROR:
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
        break;
    }
    return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "source", "%s: %s", what,
                         *text ? text : "the connection was closed");
}

static const char *const tls_names[] = {"disabled", "preferred", "required", "verify-ca",
                                        "verify-identity"};
enum tls { TLS_DISABLED, TLS_PREFERRED, TLS_REQUIRED, TLS_VERIFY_CA, TLS_VERIFY_IDENTITY };

static int
tls_mode(const struct ls_config *config)
{
    const char *name = ls_config_str(config, "source", "tls");

    for (int i = 0; i < (int)(sizeof(tls_names) / sizeof(tls_names[0])); i++)
        if (!strcmp(tls_names[i], name))
            return i;
    return -1;
}

int
cap_connect_check(const struct ls_config *config, struct ls_err *err)
{
    static const char *const files[] = {"tls_ca", "tls_cert", "tls_key"};
    int mode = tls_mode(config);
    struct cap_host host;

    if (cap_hosts_current(config, &host, err) < 0)
        return -1;
    if (mode < 0)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "usage",
                             "source.tls is disabled, preferred, required, verify-ca or "
                             "verify-identity");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const char *path = ls_config_str(config, "source", files[i]);
        if (path && access(path, R_OK) < 0)
            return ls_fail_cause(err, LS_ERR_FATAL, errno, "usage", "source.%s: %.150s: %s",
                                 files[i], path, strerror(errno));
    }
    if (ls_config_str(config, "source", "tls_ca") && mode < TLS_VERIFY_CA)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "usage",
                             "source.tls_ca is given, but source.tls=%s does not look at it: "
                             "verify-identity (or verify-ca) does",
                             tls_names[mode]);
    if (!ls_config_str(config, "source", "tls_cert") != !ls_config_str(config, "source", "tls_key"))
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "usage",
                             "source.tls_cert and source.tls_key go together");
    return 0;
}

static void
set_tls(MYSQL *mysql, const struct ls_config *config, int mode)
{
    const char *ca = ls_config_str(config, "source", "tls_ca"),
               *cert = ls_config_str(config, "source", "tls_cert"),
               *key = ls_config_str(config, "source", "tls_key");
    my_bool use = mode != TLS_DISABLED, on = 1;
    unsigned tcp = MYSQL_PROTOCOL_TCP;

    if (mode >= TLS_REQUIRED) /* "localhost" would be a socket, without TLS */
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &tcp);
    if (use && cert)
        mysql_options(mysql, MYSQL_OPT_SSL_CERT, cert);
    if (use && key)
        mysql_options(mysql, MYSQL_OPT_SSL_KEY, key);
    if (mode >= TLS_VERIFY_CA && ca)
        mysql_options(mysql, MYSQL_OPT_SSL_CA, ca);
    if (mode >= TLS_VERIFY_CA && !ca)
        mysql_options(mysql, MYSQL_OPT_SSL_CAPATH, X509_get_default_cert_dir());
    if (mode == TLS_VERIFY_IDENTITY)
        mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &use);
}

/* NULL without memory. */
static MYSQL *
new_handle(const struct ls_config *config, unsigned silence_s, int mode)
{
    unsigned connect_timeout = silence_s < CONNECT_TIMEOUT_S ? silence_s : CONNECT_TIMEOUT_S;
    unsigned long largest = LARGEST_PACKET;
    my_bool off = 0;
    MYSQL *mysql = mysql_init(NULL);

    if (!mysql)
        return NULL;
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &silence_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &silence_s);
    mysql_options(mysql, MYSQL_OPT_RECONNECT, &off);
    mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &largest);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH, PLUGINS);
    mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "lockstep-capture");
    set_tls(mysql, config, mode);
    return mysql;
}

static int
connect_host(const struct ls_config *config, const struct cap_host *host, unsigned silence_s,
             int mode, MYSQL **ret, struct ls_err *err)
{
    const char *user = ls_config_str(config, "source", "user"),
               *password = ls_config_str(config, "source", "password"),
               *database = ls_config_str(config, "source", "database");
    MYSQL *mysql = new_handle(config, silence_s, mode);
    char what[160];

    if (!mysql)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a connection");
    (void)snprintf(what, sizeof(what), "connecting to %.60s:%u as %.40s", host->name, host->port,
                   user);
    if (!mysql_real_connect(mysql, host->name, user, password, database, host->port, NULL, 0)) {
        if (mysql_errno(mysql) == ER_DBACCESS_DENIED_ERROR)
            (void)ls_fail_cause(err, LS_ERR_FATAL, ER_DBACCESS_DENIED_ERROR, "source-grants",
                                "the source's user lacks a right: GRANT SELECT ON %.60s.* (%.100s)",
                                database, mysql_error(mysql));
        else
            (void)cap_fail_mysql(mysql, what, err);
        mysql_close(mysql);
        return -1;
    }
    if (mode >= TLS_REQUIRED && !mysql_get_ssl_cipher(mysql)) {
        mysql_close(mysql);
        return ls_fail_cause(err, LS_ERR_FATAL, CR_SSL_CONNECTION_ERROR, "source-tls",
                             "%s: the server offers no TLS, and source.tls=%s demands it", what,
                             ls_config_str(config, "source", "tls"));
    }
    *ret = mysql;
    return 0;
}

int
cap_connect_within(const struct ls_config *config, unsigned silence_s, MYSQL **ret,
                   struct ls_err *err)
{
    struct cap_host host;
    struct ls_err why = {0};
    int mode = tls_mode(config);

    if (mode < 0 || cap_hosts_current(config, &host, &why) < 0) {
        (void)cap_connect_check(config, err);
        return -1;
    }
    if (connect_host(config, &host, silence_s, mode, ret, &why) == 0)
        return 0;
    if (mode == TLS_PREFERRED && !strcmp(why.cause, "source-tls")) {
        ls_log_err(LS_WARN, "source-without-tls", &why);
        memset(&why, 0, sizeof(why));
        if (connect_host(config, &host, silence_s, TLS_DISABLED, ret, &why) == 0)
            return 0;
    }
    if (err)
        *err = why;
    return -1;
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
