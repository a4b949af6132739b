/*
 * Facts with keys: one JSON object per line on stderr.
 *
 * No secrets ever; no names of users' files above debug. The event is a stable
 * word ("snapshot-chunk"), the rest are key/value pairs.
 */
#ifndef LS_LOG_H
#define LS_LOG_H

#include "common/err.h"
#include <stdint.h>

enum ls_log_level { LS_DEBUG, LS_INFO, LS_WARN, LS_ERROR };

enum ls_log_type { LS_LOG_END, LS_LOG_STR, LS_LOG_INT, LS_LOG_REAL };
struct ls_log_field {
    const char *key;
    enum ls_log_type type;
    const char *s;
    int64_t i;
    double d;
};
#define LS_S(k, v) ((struct ls_log_field){.key = (k), .type = LS_LOG_STR, .s = (v)})
#define LS_I(k, v) ((struct ls_log_field){.key = (k), .type = LS_LOG_INT, .i = (int64_t)(v)})
#define LS_D(k, v) ((struct ls_log_field){.key = (k), .type = LS_LOG_REAL, .d = (v)})

void ls_log_init(const char *program, enum ls_log_level level);
int ls_log_level_parse(const char *name, enum ls_log_level *ret); /* debug, info, warn, error */
/* The first field is the event; the last one ends the list. */
void ls_log_fields(enum ls_log_level level, const struct ls_log_field *fields);
/* ls_log(LS_INFO, "start", LS_S("version", v), LS_I("pid", 7)); */
#define ls_log(level, event, ...)                                                                  \
    ls_log_fields((level), (const struct ls_log_field[]){                                          \
                               LS_S("event", (event)), ##__VA_ARGS__, {.type = LS_LOG_END}})
/* An error, with its kind, code, cause and message. */
void ls_log_err(enum ls_log_level level, const char *event, const struct ls_err *err);

#endif
