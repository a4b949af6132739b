/*
 * The lines of a report: pass, note, warn or fail, what was found, and what to do.
 */
#ifndef CTL_LINES_H
#define CTL_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum ctl_level {
    CTL_PASS,
    CTL_NOTE, /* cannot be told from here: advice */
    CTL_WARN, /* will be handled, but the admin should know */
    CTL_FAIL, /* stops the migration, or would lose something */
    CTL_LEVELS
};

struct ctl_lines;

struct ctl_lines *ctl_lines_new(void); /* NULL: memory is out */
void ctl_lines_free(struct ctl_lines *lines);
/* `about`: "source", "kafka", "target", "data". `todo` NULL when there is nothing to do. */
void ctl_line(struct ctl_lines *lines, enum ctl_level level, const char *about, const char *todo,
              const char *fmt, ...) __attribute__((format(printf, 5, 6)));
size_t ctl_lines_count(const struct ctl_lines *lines, enum ctl_level level);
/* Lines longer than 100 columns are broken at blanks. */
void ctl_lines_print(const struct ctl_lines *lines, bool json, FILE *out);

/* A JSON string of text that may not be UTF-8 (U+FFFD stands for such a byte). NULL: no memory. */
json_t *ctl_json_text(const char *text);
/* The text with control characters as \xNN, cut to size; for a terminal. Returns `out`. */
const char *ctl_plain(const char *text, char *out, size_t size);

#endif
