/*
 * Statements in the binlog: what they are, and whether they name a watched table.
 */
#ifndef CAP_SQLTEXT_H
#define CAP_SQLTEXT_H

#include "common/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum cap_sql_kind {
    CAP_SQL_BEGIN,
    CAP_SQL_COMMIT,
    CAP_SQL_ROLLBACK, /* also ROLLBACK TO */
    CAP_SQL_DML,      /* INSERT, UPDATE, DELETE, REPLACE, LOAD: rows as a statement */
    CAP_SQL_REPLACED, /* after it the rows of a table are others: TRUNCATE, DROP, RENAME, a changed
                         column of ours, or not known */
    CAP_SQL_DDL,      /* CREATE, ALTER: columns may be others */
    CAP_SQL_OTHER,
};

struct cap_sql {
    enum cap_sql_kind kind;
    bool watched;    /* names a watched table of our database, or drops the database */
    uint32_t tables; /* which ones, bits by enum ls_table_id */
};

struct cap_sql_names {
    const char *database;
    const char *prefix;
};

/* How the session reads quotes (sql_mode). */
struct cap_sql_mode {
    bool ansi_quotes;  /* " quotes identifiers */
    bool no_backslash; /* a backslash in a string is one */
};

/*
 * Looks at words, not at grammar: a table counts as named when its identifier stands in the text
 * outside of strings and comments, bare, in backticks, or with the database before it. So it may
 * say "watched" of a column of that name, but never misses a table.
 */
struct cap_sql cap_sql_look(struct ls_str text, struct ls_str db, struct cap_sql_mode mode,
                            const struct cap_sql_names *names);

#endif
