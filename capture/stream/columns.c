/*
 * Columns of the past.
 *
 * Rows without names (MySQL 5.7, MariaDB's default binlog_row_metadata) are read with the names
 * that information_schema has, and that knows only the present, while the stream may be far behind
 * it. Two columns of one type that were swapped meanwhile would silently take each other's values.
 * So what information_schema says is believed for a place of the stream only when nothing between
 * that place and the server's own touched the table: the binlog in between is looked through for
 * DDL.
 *
 * What can go wrong: DDL that is done but not yet in the binlog when we look. A statement that
 * changes a table holds the metadata lock on it until it is in the binlog; so we hold a shared one
 * while reading, which lets no such statement be half-way. And a table that was altered again
 * behind the place: then nobody can tell what it looked like, and we stop.
 */
#include "capture/stream/columns.h"
#include "capture/source/connect.h"
#include "common/log.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 1000 /* events looked at in one query */

static void
quote(const char *name, char *out, size_t size)
{
    size_t n = 0;

    for (; *name && n + 3 < size; name++) {
        if (*name == '`')
            out[n++] = '`';
        out[n++] = *name;
    }
    out[n] = '\0';
}

/* Shared metadata locks on the watched tables, until COMMIT. */
static int
hold_tables(const struct cap_schema *schema, MYSQL *mysql, struct ls_err *err)
{
    const struct cap_sql_names *names = cap_schema_names(schema);
    char sql[640], database[200], prefix[200];
    MYSQL_RES *rows;

    if (cap_query(mysql, "SET SESSION lock_wait_timeout=10", err) < 0 ||
        cap_query(mysql, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", err) < 0 ||
        cap_query(mysql, "START TRANSACTION", err) < 0)
        return -1;
    quote(names->database, database, sizeof(database));
    quote(names->prefix, prefix, sizeof(prefix));
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        if (cap_schema_table(schema, (enum ls_table_id)i)->n == 0)
            continue;
        (void)snprintf(sql, sizeof(sql), "SELECT 1 FROM `%s`.`%s%s` WHERE 0", database, prefix,
                       ls_tables[i].name);
        if (cap_query_rows(mysql, sql, &rows, err) < 0)
            return -1;
        mysql_free_result(rows);
    }
    return 0;
}

/* The tables that a line of SHOW BINLOG EVENTS names in DDL: "use `db`; ALTER ...". */
static uint32_t
tables_of_line(const struct cap_sql_names *names, const char *type, const char *info, size_t n)
{
    struct ls_str text = {info, n}, db = LS_STR("");
    char name[200];
    uint32_t tables = 0;
    size_t at = 0;

    if (strncmp(type, "Query", 5) != 0)
        return 0;
    if (n > 5 && !memcmp(info, "use `", 5)) {
        for (size_t i = 5; i < n && at + 1 < sizeof(name); i++) {
            if (info[i] == '`' && (i + 1 == n || info[++i] != '`')) {
                text = (struct ls_str){info + i, n - i};
                if (text.n > 0 && *text.p == ';')
                    text.p++, text.n--;
                break;
            }
            name[at++] = info[i];
        }
        db = (struct ls_str){name, at};
    }
    /* how its session read quotes is not told: all ways */
    for (int i = 0; i < 4; i++) {
        struct cap_sql_mode mode = {i & 1, i & 2};
        struct cap_sql sql = cap_sql_look(text, db, mode, names);
        if (sql.kind == CAP_SQL_DDL || sql.kind == CAP_SQL_REPLACED)
            tables |= sql.tables;
    }
    return tables;
}

/* One page of a file from `from` on; *ret_next is where the next one begins, 0 behind the end. */
static int
look_at_page(const struct cap_schema *schema, MYSQL *mysql, const char *file, uint64_t from,
             uint64_t until, uint32_t *tables, uint64_t *ret_next, struct ls_err *err)
{
    char sql[1200], quoted[2 * 512 + 1];
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    uint64_t next = from;
    unsigned n = 0;

    (void)mysql_real_escape_string(mysql, quoted, file, strnlen(file, 511));
    (void)snprintf(sql, sizeof(sql), "SHOW BINLOG EVENTS IN '%s' FROM %" PRIu64 " LIMIT %d", quoted,
                   from, PAGE);
    if (cap_query_rows(mysql, sql, &rows, err) < 0)
        return -1;
    while ((row = mysql_fetch_row(rows))) {
        const unsigned long *lengths = mysql_fetch_lengths(rows);
        uint64_t begin = row[1] ? strtoull(row[1], NULL, 10) : 0,
                 end = row[4] ? strtoull(row[4], NULL, 10) : 0;
        n++;
        if (begin >= until)
            break;
        if (end > next)
            next = end;
        if (row[2] && row[5])
            *tables |= tables_of_line(cap_schema_names(schema), row[2], row[5], lengths[5]);
    }
    *ret_next = n == PAGE && !row && next > from ? next : 0;
    mysql_free_result(rows);
    return 0;
}

/* The next binlog file behind `file`, "" when there is none. */
static int
next_file(MYSQL *mysql, const char *file, char *ret, size_t size, struct ls_err *err)
{
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    bool here = false;

    ret[0] = '\0';
    if (cap_query_rows(mysql, "SHOW BINARY LOGS", &rows, err) < 0)
        return -1;
    while ((row = mysql_fetch_row(rows)) && !ret[0]) {
        if (here)
            (void)snprintf(ret, size, "%s", row[0]);
        here = !strcmp(row[0], file);
    }
    mysql_free_result(rows);
    return 0;
}

/* The tables that DDL between the two places names. */
static int
altered_between(const struct cap_schema *schema, MYSQL *mysql, const struct cap_coords *from,
                const struct cap_coords *to, uint32_t *ret, struct ls_err *err)
{
    struct cap_coords at = *from;
    uint32_t tables = 0;

    while (cap_coords_cmp(&at, to) < 0) {
        uint64_t until = !strcmp(at.file, to->file) ? to->pos : UINT64_MAX, next;
        char file[512];
        if (look_at_page(schema, mysql, at.file, at.pos, until, &tables, &next, err) < 0)
            return -1;
        ls_run_notify_alive();
        if (ls_run_stopping())
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "stopping", "asked to stop");
        if (next) {
            at.pos = next;
            continue;
        }
        if (until != UINT64_MAX)
            break;
        if (next_file(mysql, at.file, file, sizeof(file), err) < 0)
            return -1;
        if (!file[0])
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "source", "no binlog file behind %.200s",
                                 at.file);
        memcpy(at.file, file, sizeof(at.file));
        at.pos = 4;
    }
    *ret = tables;
    return 0;
}

static int
same_server(MYSQL *mysql, const struct cap_server *of, struct cap_server *ret, struct ls_err *err)
{
    if (cap_server_look(mysql, ret, err) < 0)
        return -1;
    if (ret->server_id == of->server_id && !strcmp(ret->uuid, of->uuid))
        return 0;
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "source",
                         "another server answers (server_id %" PRIu32 ") than the one that the "
                         "binlog comes from (%" PRIu32 ")",
                         ret->server_id, of->server_id);
}

int
cap_columns_learn(struct cap_schema *schema, MYSQL *mysql, const struct cap_server *of,
                  const struct cap_coords *at, const struct ls_table *wanted, struct ls_err *err)
{
    struct cap_server server;
    struct cap_coords now;
    struct cap_gtid_set gtids;
    uint32_t altered = 0;

    if (same_server(mysql, of, &server, err) < 0 || cap_schema_load(schema, mysql, err) < 0 ||
        hold_tables(schema, mysql, err) < 0 || cap_schema_load(schema, mysql, err) < 0 ||
        cap_server_place(mysql, &server, &now, &gtids, err) < 0 ||
        cap_query(mysql, "COMMIT", err) < 0 ||
        altered_between(schema, mysql, at, &now, &altered, err) < 0)
        return -1;
    cap_schema_believe(schema, ~altered);
    if (wanted && !cap_schema_known(schema, wanted->id))
        return ls_fail_cause(err, LS_ERR_FATAL, 0, CAP_COLUMNS_UNKNOWN,
                             "the columns that %s had at %.100s:%" PRIu64
                             " are not known, it was altered again behind that: set "
                             "binlog_row_metadata=FULL, then start once with --snapshot",
                             wanted->name, at->file, at->pos);
    ls_log(LS_INFO, "columns", LS_S("file", at->file), LS_I("pos", at->pos),
           LS_S("source_file", now.file), LS_I("source_pos", now.pos));
    return 0;
}
