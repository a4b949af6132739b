/*
 * check: how the source stores text, and sizes that it does not know.
 *
 * Capture reads bytes from the binlog, so it must know what they mean: utf8 (three bytes), utf8mb4
 * and ascii as they are, latin1 (MySQL's, which is cp1252) converted. Anything else stops it.
 * Tables of several ages have several collations: that costs nothing here, but a server compares
 * such columns by converting each row, and names that differ for one are the same for the other.
 */
#include "capture/binlog/charset.h"
#include "common/tables.h"
#include "ctl/check/check.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KINDS 16

struct texts {
    struct check *check;
    const char *prefix;
    struct {
        char charset[32], collation[64], first[96];
        size_t n;
    } kind[KINDS];
    size_t n_kinds, n_refused;
};

/* Is it a column that is carried? */
static bool
is_carried(const struct texts *texts, struct ls_str table, struct ls_str column)
{
    size_t skip = strlen(texts->prefix);

    if (table.n <= skip || strncasecmp(table.p, texts->prefix, skip) != 0)
        return false;
    for (size_t t = 0; t < LS_T_COUNT; t++) {
        if (strlen(ls_tables[t].name) != table.n - skip ||
            strncasecmp(table.p + skip, ls_tables[t].name, table.n - skip) != 0)
            continue;
        for (size_t c = 0; c < ls_tables[t].n_columns; c++) {
            if (strlen(ls_tables[t].columns[c].name) == column.n &&
                strncasecmp(column.p, ls_tables[t].columns[c].name, column.n) == 0)
                return true;
        }
    }
    return false;
}

static int
take_text_column(void *arg, const struct ls_str *c, size_t n)
{
    struct texts *texts = arg;
    char charset[32], collation[64];
    size_t k = 0;

    (void)n;
    if (!c[0].p || !c[1].p || !c[2].p || !c[3].p || !is_carried(texts, c[0], c[1]))
        return 0;
    snprintf(charset, sizeof charset, "%.*s", (int)c[2].n, c[2].p);
    snprintf(collation, sizeof collation, "%.*s", (int)c[3].n, c[3].p);
    if (cap_charset_of_name(charset) == CAP_CHARSET_OTHER) {
        texts->n_refused++;
        ctl_line(texts->check->lines, CTL_FAIL, "source",
                 "ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4: capture reads utf8, utf8mb4, "
                 "ascii and latin1",
                 "%.*s.%.*s is stored as %s", (int)c[0].n, c[0].p, (int)c[1].n, c[1].p, charset);
    }
    while (k < texts->n_kinds && strcmp(texts->kind[k].collation, collation) != 0)
        k++;
    if (k == KINDS)
        return 0;
    if (k == texts->n_kinds) {
        texts->n_kinds++;
        memcpy(texts->kind[k].charset, charset, sizeof charset);
        memcpy(texts->kind[k].collation, collation, sizeof collation);
        snprintf(texts->kind[k].first, sizeof texts->kind[k].first, "%.*s.%.*s", (int)c[0].n,
                 c[0].p, (int)c[1].n, c[1].p);
    }
    texts->kind[k].n++;
    return 0;
}

static bool
has_charset(const struct texts *texts, const char *name, const char **ret_first, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t k = 0; k < texts->n_kinds; k++) {
        if (strcmp(texts->kind[k].charset, name) != 0)
            continue;
        if (*ret_n == 0)
            *ret_first = texts->kind[k].first;
        *ret_n += texts->kind[k].n;
    }
    return *ret_n > 0;
}

static void
say_texts(struct texts *texts)
{
    struct ctl_lines *lines = texts->check->lines;
    const char *first = "";
    struct ls_buf all;
    size_t n;

    ls_buf_init(&all, 4096);
    for (size_t k = 0; k < texts->n_kinds; k++)
        ls_buf_printf(&all, "%s%zu %s", k ? ", " : "", texts->kind[k].n, texts->kind[k].collation);
    if (texts->n_kinds == 1 || (texts->n_kinds > 1 && texts->n_refused == 0)) {
        bool good = texts->n_kinds == 1;

        ctl_line(lines, good ? CTL_PASS : CTL_WARN, "source",
                 good ? NULL
                      : "occ db:convert-mysql-charset gives all tables one; it is carried as it is",
                 "columns of text, by collation: %s%s", ls_buf_text(&all) ? ls_buf_text(&all) : "",
                 good ? "" : ": mixed, so names that are one in one table may be two in another");
    }
    ls_buf_free(&all);
    if (has_charset(texts, "latin1", &first, &n))
        ctl_line(lines, CTL_WARN, "source",
                 "look at names with umlauts there: what is not latin1 has been lost by ownCloud "
                 "already, or is UTF-8 that was stored as latin1 and will arrive as it is shown",
                 "%zu columns are latin1 (%s): converted to UTF-8", n, first);
    if (has_charset(texts, "utf8", &first, &n) || has_charset(texts, "utf8mb3", &first, &n))
        ctl_line(lines, CTL_NOTE, "source", NULL,
                 "%zu columns are utf8 of three bytes (%s): names with emoji are not in there", n,
                 first);
}

static void
check_texts(struct check *check)
{
    struct texts texts = {.check = check};
    struct ls_err err = {0};

    texts.prefix = ls_config_str(check->config, "source", "table_prefix");
    if (ctl_source_each(check->source,
                        "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_SET_NAME, COLLATION_NAME FROM "
                        "information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE() AND "
                        "CHARACTER_SET_NAME IS NOT NULL AND LEFT(TABLE_NAME, "
                        "CHAR_LENGTH('{p}'))='{p}' ORDER BY TABLE_NAME, ORDINAL_POSITION",
                        take_text_column, &texts, &err) < 0)
        ctl_line(check->lines, CTL_WARN, "source", NULL, "character sets: %s", err.msg);
    else
        say_texts(&texts);
}

#define FOLDER "SELECT id FROM {p}mimetypes WHERE mimetype='httpd/unix-directory'"

static void
check_sizes(struct check *check)
{
    long long files = check_count(check, "files whose size is unknown",
                                  "SELECT COUNT(*) FROM {p}filecache WHERE size<0 AND path LIKE "
                                  "'files/%' AND mimetype NOT IN (" FOLDER ")");
    long long folders = check_count(check, "folders whose size is unknown",
                                    "SELECT COUNT(*) FROM {p}filecache WHERE size<0 AND (path="
                                    "'files' OR path LIKE 'files/%') AND mimetype IN (" FOLDER ")");

    if (files >= 0)
        ctl_line(check->lines, files ? CTL_WARN : CTL_PASS, "source",
                 files ? "occ files:scan; their content is taken with the size that it has" : NULL,
                 "%lld files whose size is unknown (-1, -2)", files);
    if (folders >= 0)
        ctl_line(check->lines, folders ? CTL_WARN : CTL_PASS, "source",
                 folders
                     ? "occ files:scan: what ownCloud has not scanned has no rows, so it is not "
                       "carried; sums of sizes are too small"
                     : NULL,
                 "%lld folders whose size is unknown (-1, -2)", folders);
}

void
check_source_text(struct check *check)
{
    check_texts(check);
    check_sizes(check);
}
