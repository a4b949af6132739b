/*
 * The lines of a report: pass, warn or fail, what was found, and what to do.
 */
#ifndef CTL_LINES_H
#define CTL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum ctl_level { CTL_PASS, CTL_WARN, CTL_FAIL };

struct ctl_lines;

struct ctl_lines *ctl_lines_new(void); /* NULL: memory is out */
void ctl_lines_free(struct ctl_lines *lines);
/* `about`: "source", "kafka", "target", "data". `todo` NULL when there is nothing to do. */
void ctl_line(struct ctl_lines *lines, enum ctl_level level, const char *about, const char *todo,
              const char *fmt, ...) __attribute__((format(printf, 5, 6)));
size_t ctl_lines_count(const struct ctl_lines *lines, enum ctl_level level);
void ctl_lines_print(const struct ctl_lines *lines, bool json, FILE *out);

#endif
