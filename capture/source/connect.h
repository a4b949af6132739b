/*
 * Connections to the source and plain queries on them, with the server's errors sorted.
 */
#ifndef CAP_CONNECT_H
#define CAP_CONNECT_H

#include "common/config.h"
#include "common/err.h"
#include <mysql.h>
#include <stddef.h>

/* FATAL cause "usage": a list of hosts or TLS options that make no sense, a file that is not there.
 */
int cap_connect_check(const struct ls_config *config, struct ls_err *err);

/*
 * A connection for queries to the host in use (hosts.h), or RETRY (unreachable, too many
 * connections, shutting down), or FATAL cause "source-auth" (password, host not allowed),
 * "source-tls" (no TLS, wrong certificate) or "source-tables" (no such database).
 */
int cap_connect(const struct ls_config *config, MYSQL **ret, struct ls_err *err);
/* The same, given up when the server says nothing for so many seconds. */
int cap_connect_within(const struct ls_config *config, unsigned silence_s, MYSQL **ret,
                       struct ls_err *err);

/* mysql_query, with the server's error sorted into RETRY and FATAL ("source-grants", "source"). */
int cap_query(MYSQL *mysql, const char *sql, struct ls_err *err);
/* The same with rows, all of them read; free with mysql_free_result. */
int cap_query_rows(MYSQL *mysql, const char *sql, MYSQL_RES **ret, struct ls_err *err);
/* The first row's first two columns; "" where there is none. */
int cap_query_text(MYSQL *mysql, const char *sql, char *first, size_t first_size, char *second,
                   size_t second_size, struct ls_err *err);
/* The connection's last error, sorted; `what` was being done. */
int cap_fail_mysql(MYSQL *mysql, const char *what, struct ls_err *err);

#endif
