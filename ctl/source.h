/*
 * ownCloud 10's database, read for check and verify: one connection, consistent reads.
 */
#ifndef CTL_SOURCE_H
#define CTL_SOURCE_H

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include <stddef.h>

struct ctl_source;

/* err.cause "unreachable" (RETRY) or "sign-in" (FATAL). */
int ctl_source_open(const struct ls_config *config, struct ctl_source **ret, struct ls_err *err);
void ctl_source_close(struct ctl_source *source); /* NULL is fine */
/* From now on a query that takes longer is ended by the server: err.cause "too-slow". */
void ctl_source_limit(struct ctl_source *source, unsigned seconds);

/* All later queries see the database as it is now. */
int ctl_source_freeze(struct ctl_source *source, struct ls_err *err);

/*
 * Runs a query and hands each row to `each` (columns borrowed until it returns; SQL NULL is
 * LS_STR_NULL), streaming, not buffered. "{p}" in the text becomes the table prefix. Stops at the
 * first non-zero result of `each`, which is returned; -1 with err when the query fails.
 */
int ctl_source_each(struct ctl_source *source, const char *sql,
                    int (*each)(void *arg, const struct ls_str *columns, size_t n), void *arg,
                    struct ls_err *err);

/* The first column of the first row as text (with NUL, cut to size); "" when there is no row. */
int ctl_source_text(struct ctl_source *source, const char *sql, char *out, size_t size,
                    struct ls_err *err);

int64_t ctl_int(struct ls_str column); /* 0 for NULL */

#endif
