/*
 * A tokenizer for the statements of query events.
 *
 * Row changes of watched tables come as row events. A statement that changes a watched table
 * (binlog_format=MIXED and a session that is not READ COMMITTED, or STATEMENT) cannot be followed:
 * this file only finds out that it is there. What can go wrong: names in backticks with a doubled
 * backtick, with the database before the dot and blanks around it; strings and comments that hold a
 * table's name and mean nothing. Comments with an exclamation mark are executed text, or not, by
 * the server's version: so a text with such comments is looked at both ways. Identifiers are
 * compared without case, for servers differ in that, and one alarm too many is better than one row
 * too few.
 *
 * DDL that leaves other rows behind a name without row events is REPLACED: the stream asks for a
 * new snapshot. An ALTER is that too when it adds, drops, renames or modifies a column that we
 * carry (the values of all rows may be others then), or drops rows by IGNORE or a partition; an
 * index, an engine or a column that is not ours is DDL and no more.
 */
#include "capture/binlog/sqltext.h"
#include "common/tables.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MAX_NAME 256

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_DOT, TOKEN_OTHER };
struct token {
    enum token_kind kind;
    bool quoted;
    char sign;           /* of a TOKEN_OTHER that is one character */
    char text[MAX_NAME]; /* of a name, unquoted; cut when longer than any name may be */
};

struct lexer {
    const char *p, *end;
    struct cap_sql_mode mode;
    bool execute;    /* comments with an exclamation mark are text */
    bool in_comment; /* inside of one */
    bool doubtful;   /* there was one that not every server executes */
};

static bool
name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void
skip_line(struct lexer *l)
{
    while (l->p < l->end && *l->p != '\n')
        l->p++;
}

static bool
is_executable(const char *p, size_t left)
{
    return left >= 3 && !memcmp(p, "/*", 2) &&
           (p[2] == '!' || (left >= 4 && p[2] == 'M' && p[3] == '!'));
}

/* Without a version, or with one that every server has left behind (MariaDB leaves out what is for
 * MySQL 5.7 and later, MySQL what is for MariaDB). */
static bool
by_all(const char *p, size_t left)
{
    unsigned version = 0;

    for (size_t i = 3; i < left && i < 10 && isdigit((unsigned char)p[i]); i++)
        version = version * 10 + (unsigned)(p[i] - '0');
    return p[2] == '!' && version < 50700;
}

/* Comments and blanks; of an executable comment that is executed only the brackets. */
static void
skip_blank(struct lexer *l)
{
    while (l->p < l->end) {
        size_t left = (size_t)(l->end - l->p);
        bool executable = is_executable(l->p, left);
        l->doubtful |= executable && !by_all(l->p, left);
        if (isspace((unsigned char)*l->p)) {
            l->p++;
        } else if (*l->p == '#') {
            skip_line(l);
        } else if (left >= 3 && l->p[0] == '-' && l->p[1] == '-' &&
                   isspace((unsigned char)l->p[2])) {
            skip_line(l);
        } else if (executable && l->execute) {
            l->p += l->p[2] == '!' ? 3 : 4;
            while (l->p < l->end && isdigit((unsigned char)*l->p))
                l->p++;
            l->in_comment = true;
        } else if (left >= 2 && !memcmp(l->p, "/*", 2)) {
            const char *close = memmem(l->p + 2, left - 2, "*/", 2);
            l->p = close ? close + 2 : l->end;
        } else if (l->in_comment && left >= 2 && !memcmp(l->p, "*/", 2)) {
            l->p += 2;
            l->in_comment = false;
        } else {
            return;
        }
    }
}

/* Behind an opening quote; a doubled quote stands for itself, a backslash escapes in strings. */
static void
take_quoted(struct lexer *l, char quote, struct token *token)
{
    size_t n = 0;

    while (l->p < l->end) {
        char c = *l->p++;
        if (c == quote) {
            if (l->p == l->end || *l->p != quote)
                break;
            l->p++;
        } else if (c == '\\' && token->kind != TOKEN_NAME && !l->mode.no_backslash &&
                   l->p < l->end) {
            c = *l->p++;
        }
        if (n + 1 < MAX_NAME)
            token->text[n++] = c;
    }
    token->text[n] = '\0';
}

static void
next_token(struct lexer *l, struct token *token)
{
    size_t n = 0;
    char c;

    token->quoted = false;
    token->sign = '\0';
    token->text[0] = '\0';
    skip_blank(l);
    if (l->p == l->end) {
        token->kind = TOKEN_END;
        return;
    }
    c = *l->p;
    if (c == '`' || c == '"' || c == '\'') {
        token->kind = c == '`' || (c == '"' && l->mode.ansi_quotes) ? TOKEN_NAME : TOKEN_OTHER;
        token->quoted = true;
        l->p++;
        take_quoted(l, c, token);
        return;
    }
    if (name_char(c)) {
        token->kind = TOKEN_NAME;
        while (l->p < l->end && name_char(*l->p)) {
            if (n + 1 < MAX_NAME)
                token->text[n++] = *l->p;
            l->p++;
        }
        token->text[n] = '\0';
        return;
    }
    token->kind = c == '.' ? TOKEN_DOT : TOKEN_OTHER;
    token->sign = c;
    l->p++;
}

static bool
is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_NAME && !token->quoted && !strcasecmp(token->text, word);
}

static bool
one_of(const struct token *token, const char *const *words)
{
    for (; *words; words++)
        if (is_word(token, *words))
            return true;
    return false;
}

static bool
is_dml(const struct token *token)
{
    static const char *const dml[] = {"insert", "update", "delete", "replace",
                                      "load",   "with",   NULL};

    return one_of(token, dml);
}

/* DROP INDEX, TRIGGER and their like leave the rows alone. Of a word that nobody has thought of it
 * is not known. */
static enum cap_sql_kind
kind_of(const struct token *first, const struct token *second)
{
    static const char *const replaced[] = {"truncate", "rename", NULL};
    static const char *const ddl[] = {"create", "alter", "drop", NULL};
    static const char *const whole[] = {"table", "tables", "database", "schema", NULL};
    static const char *const harmless[] = {"grant", "revoke", "analyze",   "optimize",
                                           "flush", "check",  "savepoint", "release",
                                           "set",   "xa",     NULL};

    if (is_word(first, "begin") || is_word(first, "start"))
        return CAP_SQL_BEGIN;
    /* what XA prepared was a transaction of its own */
    if (is_word(first, "commit") ||
        (is_word(first, "xa") && (is_word(second, "commit") || is_word(second, "rollback"))))
        return CAP_SQL_COMMIT;
    if (is_word(first, "rollback"))
        return CAP_SQL_ROLLBACK;
    if (is_dml(first))
        return CAP_SQL_DML;
    if (one_of(first, replaced) || (is_word(first, "drop") && one_of(second, whole)))
        return CAP_SQL_REPLACED;
    if (one_of(first, ddl))
        return CAP_SQL_DDL;
    return first->kind == TOKEN_NAME && !one_of(first, harmless) ? CAP_SQL_REPLACED : CAP_SQL_OTHER;
}

/* The bit of the watched table of this name; 0: it is none. */
static uint32_t
watched_bit(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    char lower[MAX_NAME];
    const struct ls_table *table;
    size_t i = 0;

    if (strncasecmp(name, prefix, n) != 0)
        return 0;
    for (name += n; name[i]; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    table = ls_table_by_name(lower, i);
    return table ? 1U << table->id : 0;
}

/* A chain of names: table, db.table, table.column or db.table.column. */
static uint32_t
chain_tables(const struct token *first, const struct token *second, bool here,
             const struct cap_sql_names *names)
{
    uint32_t tables = here ? watched_bit(first->text, names->prefix) : 0;

    if (second->kind == TOKEN_NAME && !strcasecmp(first->text, names->database))
        tables |= watched_bit(second->text, names->prefix);
    return tables;
}

/* ---- ALTER TABLE: which of its actions leave other values or rows behind */

enum verb { NO_VERB, ADD, DROP, MODIFY, CHANGE, CONVERT, RENAME, RENAME_COLUMN };
struct alter {
    enum { NO_ALTER, BEFORE_TABLE, ACTIONS } state;
    enum verb verb;
    int names;   /* of columns that the verb still waits for */
    int depth;   /* of brackets */
    bool listed; /* in ADD (a ..., b ...) */
};

static bool
is_our_column(const char *name, uint32_t tables)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        if (!(tables >> i & 1))
            continue;
        for (size_t k = 0; k < ls_tables[i].n_columns; k++)
            if (!strcasecmp(ls_tables[i].columns[k].name, name))
                return true;
    }
    return false;
}

/* A word that may begin an action; true when the action as such leaves other rows behind. */
static bool
take_verb(struct alter *a, const struct token *t)
{
    static const char *const lost[] = {"truncate", "exchange", "discard", "import", NULL};
    static const char *const verbs[] = {
        [ADD] = "add",       [DROP] = "drop",       [MODIFY] = "modify",
        [CHANGE] = "change", [CONVERT] = "convert", [RENAME] = "rename"};

    for (int i = ADD; i <= RENAME; i++)
        if (is_word(t, verbs[i])) {
            a->verb = (enum verb)i;
            a->names = i == CHANGE || i == RENAME ? 2 : 1;
        }
    return one_of(t, lost);
}

/* A word behind the verb; true when rows or values are others afterwards. */
static bool
take_object(struct alter *a, const struct token *t, uint32_t tables)
{
    static const char *const no_column[] = {
        "index",   "key",    "unique",     "primary", "foreign", "check",  "fulltext",
        "spatial", "vector", "constraint", "default", "period",  "system", NULL};
    static const char *const filler[] = {"column", "if", "not", "exists", "to", NULL};
    bool rename = a->verb == RENAME, add = a->verb == ADD;

    if (a->verb == CONVERT) { /* to another character set, or a partition */
        a->verb = NO_VERB;
        return true;
    }
    if (rename && is_word(t, "column")) {
        a->verb = RENAME_COLUMN;
        return false;
    }
    if (!rename && one_of(t, filler))
        return false;
    if (rename || one_of(t, no_column) || is_word(t, "partition")) {
        a->verb = NO_VERB;
        return rename ? !one_of(t, no_column) : is_word(t, "partition") && !add;
    }
    if (--a->names == 0)
        a->verb = NO_VERB;
    return is_our_column(t->text, tables);
}

/* The next token of an ALTER; true when rows or values are others afterwards. */
static bool
alter_takes(struct alter *a, const struct token *t, uint32_t tables)
{
    if (a->state == BEFORE_TABLE) {
        if (is_word(t, "table"))
            a->state = ACTIONS;
        return is_word(t, "ignore"); /* rows that break a new key are dropped without a word */
    }
    if (a->state == NO_ALTER)
        return false;
    if (t->sign == '(') {
        a->listed |= a->depth++ == 0 && a->verb == ADD;
    } else if (t->sign == ')') {
        if (--a->depth == 0)
            a->listed = false;
    } else if (t->sign == ',' && a->depth == a->listed) {
        a->verb = a->listed ? ADD : NO_VERB;
        a->names = 1;
    } else if (t->kind == TOKEN_NAME && a->depth == a->listed) {
        return a->verb == NO_VERB ? !a->listed && take_verb(a, t) : take_object(a, t, tables);
    }
    return false;
}

static struct cap_sql
look(struct lexer *l, bool here, const struct cap_sql_names *names)
{
    struct cap_sql sql = {.kind = CAP_SQL_OTHER};
    struct alter alter = {.state = NO_ALTER};
    struct token token, second;
    bool after_database = false, set = false, or_replace = false;

    next_token(l, &token);
    for (size_t n = 0; token.kind != TOKEN_END; n++) {
        struct token first = token;
        bool replaced;
        next_token(l, &token);
        if (n == 0) {
            sql.kind = kind_of(&first, &token);
            set = is_word(&first, "set") && is_word(&token, "statement");
            if (is_word(&first, "alter"))
                alter.state = BEFORE_TABLE;
        } else if (set && is_word(&first, "for")) {
            /* SET STATEMENT ... FOR any other */
            n = (size_t)-1;
            set = false;
            continue;
        } else if (n == 2 && is_word(&first, "replace")) {
            or_replace = sql.kind == CAP_SQL_DDL; /* CREATE OR REPLACE */
        } else if (n == 3 && or_replace && is_word(&first, "table")) {
            sql.kind = CAP_SQL_REPLACED;
        }
        replaced = n > 0 && alter_takes(&alter, &first, sql.tables);
        if (sql.kind == CAP_SQL_DDL && replaced)
            sql.kind = CAP_SQL_REPLACED;
        if (first.kind != TOKEN_NAME)
            continue;
        second.kind = TOKEN_END;
        for (bool is_second = true; token.kind == TOKEN_DOT; is_second = false) {
            next_token(l, &token);
            if (token.kind == TOKEN_NAME) {
                if (is_second)
                    second = token;
                next_token(l, &token);
            }
        }
        sql.tables |= chain_tables(&first, &second, here, names);
        if (after_database && !strcasecmp(first.text, names->database))
            sql.tables = (1U << LS_T_COUNT) - 1;
        after_database = is_word(&first, "database") || is_word(&first, "schema") ||
                         (after_database && (is_word(&first, "if") || is_word(&first, "exists")));
    }
    sql.watched = sql.tables != 0;
    return sql;
}

struct cap_sql
cap_sql_look(struct ls_str text, struct ls_str db, struct cap_sql_mode mode,
             const struct cap_sql_names *names)
{
    struct lexer l = {.p = text.p, .end = text.p ? text.p + text.n : text.p, .mode = mode};
    struct lexer plain = l;
    bool here =
        db.p && db.n == strlen(names->database) && !strncasecmp(db.p, names->database, db.n);
    struct cap_sql sql, other;

    l.execute = true;
    sql = look(&l, here, names);
    if (!l.doubtful)
        return sql;
    /* executed or not, by a version that we do not know: the more alarming of the two */
    other = look(&plain, here, names);
    sql.tables |= other.tables;
    if (other.watched && (!sql.watched || other.kind == CAP_SQL_DML ||
                          (other.kind == CAP_SQL_REPLACED && sql.kind != CAP_SQL_DML)))
        sql.kind = other.kind;
    sql.watched |= other.watched;
    return sql;
}
