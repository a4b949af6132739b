/*
 * A tokenizer for the statements of query events.
 *
 * Row changes of watched tables come as row events. A statement that changes a watched table
 * (binlog_format=MIXED and a session that is not READ COMMITTED, or STATEMENT) cannot be followed:
 * this file only finds out that it is there. What can go wrong: names in backticks with a doubled
 * backtick, with the database before the dot and blanks around it, in executable comments; strings
 * and comments that hold a table's name and mean nothing. Identifiers are compared without case,
 * for servers differ in that, and one alarm too many is better than one row too few.
 */
#include "capture/sqltext.h"
#include "common/tables.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MAX_NAME 256

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_DOT, TOKEN_OTHER };
struct token {
    enum token_kind kind;
    bool quoted;
    char text[MAX_NAME]; /* of a name, unquoted; cut when longer than any name may be */
};

struct lexer {
    const char *p, *end;
    bool ansi_quotes;
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

/* Comments and blanks; an executable comment is code, so only its brackets are skipped. */
static void
skip_blank(struct lexer *l)
{
    while (l->p < l->end) {
        size_t left = (size_t)(l->end - l->p);
        if (isspace((unsigned char)*l->p)) {
            l->p++;
        } else if (*l->p == '#') {
            skip_line(l);
        } else if (left >= 3 && l->p[0] == '-' && l->p[1] == '-' &&
                   isspace((unsigned char)l->p[2])) {
            skip_line(l);
        } else if (left >= 3 && !memcmp(l->p, "/*", 2) &&
                   (l->p[2] == '!' || (left >= 4 && l->p[2] == 'M' && l->p[3] == '!'))) {
            l->p += l->p[2] == '!' ? 3 : 4;
            while (l->p < l->end && isdigit((unsigned char)*l->p))
                l->p++;
        } else if (left >= 2 && !memcmp(l->p, "/*", 2)) {
            const char *close = memmem(l->p + 2, left - 2, "*/", 2);
            l->p = close ? close + 2 : l->end;
        } else if (left >= 2 && !memcmp(l->p, "*/", 2)) {
            l->p += 2;
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
        } else if (c == '\\' && token->kind != TOKEN_NAME && l->p < l->end) {
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
    token->text[0] = '\0';
    skip_blank(l);
    if (l->p == l->end) {
        token->kind = TOKEN_END;
        return;
    }
    c = *l->p;
    if (c == '`' || c == '"' || c == '\'') {
        token->kind = c == '`' || (c == '"' && l->ansi_quotes) ? TOKEN_NAME : TOKEN_OTHER;
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

static bool
is_watched(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    char lower[MAX_NAME];
    size_t i = 0;

    if (strncasecmp(name, prefix, n) != 0)
        return false;
    for (name += n; name[i]; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    return ls_table_by_name(lower, i) != NULL;
}

/* A chain of names: table, db.table, table.column or db.table.column. */
static bool
chain_is_watched(const struct token *first, const struct token *second, bool here,
                 const struct cap_sql_names *names)
{
    if (second->kind == TOKEN_NAME && !strcasecmp(first->text, names->database) &&
        is_watched(second->text, names->prefix))
        return true;
    return here && is_watched(first->text, names->prefix);
}

/* ALTER TABLE ... RENAME, EXCHANGE PARTITION, DROP PARTITION, IMPORT TABLESPACE leave other rows
 * behind the name. */
static bool
replaces_rows(const struct token *token)
{
    static const char *const words[] = {"rename",  "exchange", "partition",
                                        "discard", "import",   NULL};

    return one_of(token, words);
}

struct cap_sql
cap_sql_look(struct ls_str text, struct ls_str db, bool ansi_quotes,
             const struct cap_sql_names *names)
{
    struct lexer l = {text.p, text.p ? text.p + text.n : text.p, ansi_quotes};
    bool here =
        db.p && db.n == strlen(names->database) && !strncasecmp(db.p, names->database, db.n);
    struct cap_sql sql = {CAP_SQL_OTHER, false};
    struct token token, second;
    bool after_database = false, set = false, or_replace = false;

    next_token(&l, &token);
    for (size_t n = 0; token.kind != TOKEN_END; n++) {
        struct token first = token;
        next_token(&l, &token);
        if (n == 0) {
            sql.kind = kind_of(&first, &token);
            set = is_word(&first, "set") && is_word(&token, "statement");
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
        if (first.kind != TOKEN_NAME)
            continue;
        second.kind = TOKEN_END;
        for (bool is_second = true; token.kind == TOKEN_DOT; is_second = false) {
            next_token(&l, &token);
            if (token.kind == TOKEN_NAME) {
                if (is_second)
                    second = token;
                next_token(&l, &token);
            }
        }
        if (chain_is_watched(&first, &second, here, names) ||
            (after_database && !strcasecmp(first.text, names->database)))
            sql.watched = true;
        after_database = is_word(&first, "database") || is_word(&first, "schema") ||
                         (after_database && (is_word(&first, "if") || is_word(&first, "exists")));
        if (sql.kind == CAP_SQL_DDL && replaces_rows(&first))
            sql.kind = CAP_SQL_REPLACED;
    }
    return sql;
}
