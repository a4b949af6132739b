/*
 * Collects the lines of a report and prints them as a table or as JSON.
 *
 * A report is at most some hundred lines (named users are cut off with a count), so it is one
 * JSON array in memory; the table is printed from it.
 */
#include "ctl/lines.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct ctl_lines {
    json_t *array;
    size_t count[3];
};

static const char *const level_names[] = {"pass", "warn", "fail"};

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
    char text[512];
    va_list args;
    json_t *line = json_object();

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_object_set_new(line, "level", json_string(level_names[level]));
    json_object_set_new(line, "about", json_string(about));
    json_object_set_new(line, "found", json_string_nocheck(text));
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

void
ctl_lines_print(const struct ctl_lines *lines, bool json, FILE *out)
{
    json_t *line;
    size_t i;

    if (json) {
        json_t *document = json_pack(
            "{s:O, s:i, s:i, s:i}", "lines", lines->array, "pass", (int)lines->count[CTL_PASS],
            "warn", (int)lines->count[CTL_WARN], "fail", (int)lines->count[CTL_FAIL]);
        json_dumpf(document, out, JSON_INDENT(2));
        fputc('\n', out);
        json_decref(document);
        return;
    }
    json_array_foreach(lines->array, i, line)
    {
        const char *todo = json_string_value(json_object_get(line, "todo"));
        fprintf(out, "%-4s  %-7s %s\n", json_string_value(json_object_get(line, "level")),
                json_string_value(json_object_get(line, "about")),
                json_string_value(json_object_get(line, "found")));
        if (todo)
            fprintf(out, "              -> %s\n", todo);
    }
    fprintf(out, "%zu pass, %zu warn, %zu fail\n", lines->count[CTL_PASS], lines->count[CTL_WARN],
            lines->count[CTL_FAIL]);
}
