/*
 * Collects the lines of a report and prints them as a table or as JSON.
 *
 * A report is at most some hundred lines (named users are cut off with a count), so it is one
 * JSON array in memory; the table is printed from it. What is said may hold names of files and
 * messages of servers: they may be cut in the middle of a character, be no UTF-8 or hold control
 * characters, so they are made harmless on their way into JSON and onto a terminal.
 */
#include "ctl/lines.h"
#include "common/buf.h"
#include "common/utf8.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 100
#define INDENT 14 /* "pass  source  " */

struct ctl_lines {
    json_t *array;
    size_t count[CTL_LEVELS];
};

static const char *const level_names[CTL_LEVELS] = {"pass", "note", "warn", "fail"};

json_t *
ctl_json_text(const char *text)
{
    struct ls_buf buf;
    size_t n = strlen(text);
    json_t *json;

    if (ls_utf8_valid(text, n))
        return json_stringn_nocheck(text, n);
    ls_buf_init(&buf, 4 * n + 1);
    while (n > 0) {
        size_t len = ls_utf8_len(text, n);
        ls_buf_append(&buf, len ? text : "\xef\xbf\xbd", len ? len : 3);
        text += len ? len : 1;
        n -= len ? len : 1;
    }
    json = buf.failed ? NULL : json_stringn_nocheck((const char *)buf.p, buf.n);
    ls_buf_free(&buf);
    return json;
}

const char *
ctl_plain(const char *text, char *out, size_t size)
{
    size_t at = 0;

    for (; *text && at + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", c);
        else
            out[at++] = *text;
    }
    out[at] = 0;
    return out;
}

struct ctl_lines *
ctl_lines_new(void)
{
    struct ctl_lines *lines = calloc(1, sizeof *lines);

    if (lines && !(lines->array = json_array())) {
        free(lines);
        lines = NULL;
    }
    return lines;
}

void
ctl_lines_free(struct ctl_lines *lines)
{
    if (!lines)
        return;
    json_decref(lines->array);
    free(lines);
}

void
ctl_line(struct ctl_lines *lines, enum ctl_level level, const char *about, const char *todo,
         const char *fmt, ...)
{
    char text[640];
    va_list args;
    json_t *line = json_object();

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_object_set_new(line, "level", json_string(level_names[level]));
    json_object_set_new(line, "about", json_string(about));
    json_object_set_new(line, "found", ctl_json_text(text));
    if (todo)
        json_object_set_new(line, "todo", json_string(todo));
    json_array_append_new(lines->array, line);
    lines->count[level]++;
}

size_t
ctl_lines_count(const struct ctl_lines *lines, enum ctl_level level)
{
    return lines->count[level];
}

/* The text from column `indent` on, broken at blanks. */
static void
print_folded(const char *text, int indent, FILE *out)
{
    char plain[2048] = "";
    const char *p = ctl_plain(text, plain, sizeof plain);
    size_t room = (size_t)(COLUMNS - indent);

    while (strlen(p) > room) {
        size_t n = room;
        while (n > 0 && p[n] != ' ')
            n--;
        if (n == 0)
            n = strcspn(p, " "); /* one long word: not broken */
        fprintf(out, "%.*s\n%*s", (int)n, p, indent, "");
        p += n;
        while (*p == ' ')
            p++;
    }
    fprintf(out, "%s\n", p);
}

void
ctl_lines_print(const struct ctl_lines *lines, bool json, FILE *out)
{
    json_t *line;
    size_t i;

    if (json) {
        json_t *document = json_object();
        json_object_set(document, "lines", lines->array);
        for (i = 0; i < CTL_LEVELS; i++)
            json_object_set_new(document, level_names[i],
                                json_integer((json_int_t)lines->count[i]));
        json_dumpf(document, out, JSON_INDENT(2));
        fputc('\n', out);
        json_decref(document);
        return;
    }
    json_array_foreach(lines->array, i, line)
    {
        const char *todo = json_string_value(json_object_get(line, "todo"));
        const char *found = json_string_value(json_object_get(line, "found"));
        fprintf(out, "%-4s  %-7s ", json_string_value(json_object_get(line, "level")),
                json_string_value(json_object_get(line, "about")));
        print_folded(found ? found : "", INDENT, out);
        if (todo) {
            fprintf(out, "%*s-> ", INDENT, "");
            print_folded(todo, INDENT + 3, out);
        }
    }
    fprintf(out, "%zu pass, %zu to look at, %zu warn, %zu fail\n", lines->count[CTL_PASS],
            lines->count[CTL_NOTE], lines->count[CTL_WARN], lines->count[CTL_FAIL]);
}
