/*
 * Queries on ownCloud 10's database.
 *
 * Reads only. verify needs the state of one moment over many tables, so it freezes a REPEATABLE
 * READ snapshot first; without that a file moved while we read would look lost on one side.
 * Results are streamed (mysql_use_result): a filecache of millions of rows is not held twice.
 */
#include "ctl/source.h"
#include "capture/source/connect.h"
#include "capture/source/hosts.h"
#include <mysql.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ctl_source {
    MYSQL *mysql;
    const char *prefix;
};

/* The codes of a query that ran into max_statement_time (MariaDB), max_execution_time (MySQL). */
enum { MARIADB_TOO_SLOW = 1969, MYSQL_TOO_SLOW = 3024 };

static int
source_fail(struct ctl_source *source, const char *what, struct ls_err *err)
{
    unsigned int code = mysql_errno(source->mysql);
    bool slow = code == MARIADB_TOO_SLOW || code == MYSQL_TOO_SLOW;

    return ls_fail_cause(err, LS_ERR_FATAL, (int)code, slow ? "too-slow" : "source", "%s: %s", what,
                         mysql_error(source->mysql));
}

int
ctl_source_open(const struct ls_config *config, struct ctl_source **ret, struct ls_err *err)
{
    struct ctl_source *source = calloc(1, sizeof *source);
    struct ls_err why = {0};
    int r;

    if (!source)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    source->prefix = ls_config_str(config, "source", "table_prefix");
    while ((r = cap_connect(config, &source->mysql, &why)) < 0 && why.kind == LS_ERR_RETRY &&
           cap_hosts_left(config) > 0) {
        cap_hosts_next();
        memset(&why, 0, sizeof why);
    }
    if (r < 0) {
        ls_fail_cause(err, why.kind, why.code, why.kind == LS_ERR_RETRY ? "unreachable" : "sign-in",
                      "%s", why.msg);
        ctl_source_close(source);
        return -1;
    }
    *ret = source;
    return 0;
}

void
ctl_source_close(struct ctl_source *source)
{
    if (!source)
        return;
    if (source->mysql)
        mysql_close(source->mysql);
    free(source);
}

void
ctl_source_limit(struct ctl_source *source, unsigned seconds)
{
    char sql[80];

    /* one of the two is known; the other's error says nothing */
    snprintf(sql, sizeof sql, "SET SESSION max_statement_time=%u", seconds);
    if (mysql_query(source->mysql, sql)) {
        snprintf(sql, sizeof sql, "SET SESSION max_execution_time=%u", seconds * 1000);
        mysql_query(source->mysql, sql);
    }
}

int
ctl_source_freeze(struct ctl_source *source, struct ls_err *err)
{
    if (mysql_query(source->mysql, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ") ||
        mysql_query(source->mysql, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"))
        return source_fail(source, "consistent read", err);
    return 0;
}

/* The query with "{p}" replaced; NULL when memory is out. */
static char *
with_prefix(const char *sql, const char *prefix)
{
    struct ls_buf buf;
    const char *at;

    ls_buf_init(&buf, 1 << 16);
    while ((at = strstr(sql, "{p}")) != NULL) {
        ls_buf_append(&buf, sql, (size_t)(at - sql));
        ls_buf_append(&buf, prefix, strlen(prefix));
        sql = at + 3;
    }
    ls_buf_append(&buf, sql, strlen(sql) + 1);
    if (buf.failed) {
        ls_buf_free(&buf);
        return NULL;
    }
    return (char *)buf.p;
}

int
ctl_source_each(struct ctl_source *source, const char *sql,
                int (*each)(void *arg, const struct ls_str *columns, size_t n), void *arg,
                struct ls_err *err)
{
    struct ls_str columns[64];
    MYSQL_RES *result = NULL;
    MYSQL_ROW row;
    char *text = with_prefix(sql, source->prefix);
    int r = -1;

    if (!text)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    if (mysql_query(source->mysql, text) || !(result = mysql_use_result(source->mysql))) {
        source_fail(source, "query", err);
        goto out;
    }
    r = 0;
    while (r == 0 && (row = mysql_fetch_row(result)) != NULL) {
        unsigned long *lengths = mysql_fetch_lengths(result);
        size_t n = mysql_num_fields(result);
        if (n > sizeof columns / sizeof columns[0])
            n = sizeof columns / sizeof columns[0];
        for (size_t i = 0; i < n; i++)
            columns[i] = (struct ls_str){row[i], row[i] ? lengths[i] : 0};
        r = each(arg, columns, n);
    }
    if (r == 0 && mysql_errno(source->mysql))
        r = source_fail(source, "reading rows", err);
out:
    if (result)
        mysql_free_result(result);
    free(text);
    return r;
}

struct text_arg {
    char *out;
    size_t size;
};

static int
take_text(void *arg, const struct ls_str *columns, size_t n)
{
    struct text_arg *text = arg;

    if (n > 0 && columns[0].p && !text->out[0]) {
        size_t len = columns[0].n < text->size ? columns[0].n : text->size - 1;
        memcpy(text->out, columns[0].p, len);
        text->out[len] = 0;
    }
    return 0;
}

int
ctl_source_text(struct ctl_source *source, const char *sql, char *out, size_t size,
                struct ls_err *err)
{
    struct text_arg arg = {out, size};

    out[0] = 0;
    return ctl_source_each(source, sql, take_text, &arg, err);
}

int64_t
ctl_int(struct ls_str column)
{
    return column.p ? strtoll(column.p, NULL, 10) : 0;
}
