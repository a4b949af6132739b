/*
 * Which columns the watched tables had at a place of the binlog, for rows that do not say it.
 */
#ifndef CAP_COLUMNS_H
#define CAP_COLUMNS_H

#include "capture/source/coords.h"
#include "capture/source/server.h"
#include "capture/stream/schema.h"
#include "common/config.h"

#define CAP_COLUMNS_UNKNOWN "columns-unknown"

/*
 * Finds out the columns of the watched tables where the stream is (`at`, a place on the server
 * `of`; RETRY when `mysql` leads to another one): reads information_schema, and believes it for
 * those tables that no DDL between `at` and the server's own place names. FATAL cause
 * CAP_COLUMNS_UNKNOWN when `wanted` is not among them (NULL: none is).
 */
int cap_columns_learn(struct cap_schema *schema, MYSQL *mysql, const struct cap_server *of,
                      const struct cap_coords *at, const struct ls_table *wanted,
                      struct ls_err *err);

#endif
