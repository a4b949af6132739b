/*
 * Log lines: one JSON object a line, one write() a line, no allocation.
 *
 * What can go wrong: a value is not UTF-8 (names come from a database that may
 * hold anything) or holds control characters, and the line would not be JSON
 * any more: such bytes are replaced or escaped. A line that is too long keeps
 * its shape: values are cut, later fields left out and "cut":true says so. A
 * stderr that is closed or full loses lines; the daemon does not stop for that.
 */
#include "common/log.h"
#include "common/utf8.h"
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384
#define TAIL 16 /* room that is kept for ,"cut":true}\n */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static const char *log_program = "lockstep";
static _Atomic int log_level = LS_INFO;

struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
    bool cut;
};

void
ls_log_init(const char *program, enum ls_log_level level)
{
    log_program = program;
    atomic_store(&log_level, (int)level);
}

int
ls_log_level_parse(const char *name, enum ls_log_level *ret)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (enum ls_log_level)i;
            return 0;
        }
    }
    return -1;
}

/* Puts `n` bytes or nothing. */
static bool
put(struct line *line, const char *s, size_t n)
{
    if (line->cut || n > LINE_MAX_BYTES - TAIL - line->n) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->n, s, n);
    line->n += n;
    return true;
}

static void
put_string(struct line *line, const char *s)
{
    size_t n = strlen(s);
    char piece[LS_JSON_PIECE];

    if (!put(line, "\"", 1))
        return;
    while (n > 0) {
        size_t len = ls_json_piece(&s, &n, piece);

        /* One byte is kept for the closing quote. */
        if (len + 1 > LINE_MAX_BYTES - TAIL - line->n)
            break;
        put(line, piece, len);
    }
    put(line, "\"", 1);
    if (n > 0)
        line->cut = true;
}

static void
put_key(struct line *line, const char *key)
{
    size_t start = line->n;

    if (line->n > 1)
        put(line, ",", 1);
    put_string(line, key);
    put(line, ":", 1);
    /* A key without a value would not be JSON: room for the shortest one must follow. */
    if (line->cut || LINE_MAX_BYTES - TAIL - line->n < 32) {
        line->n = start;
        line->cut = true;
    }
}

static void
put_field(struct line *line, const struct ls_log_field *f)
{
    char number[40];
    int n;

    put_key(line, f->key);
    if (line->cut)
        return;
    if (f->type == LS_LOG_STR && f->s) {
        put_string(line, f->s);
        return;
    }
    if (f->type == LS_LOG_INT)
        n = snprintf(number, sizeof(number), "%" PRId64, f->i);
    else if (f->type == LS_LOG_REAL && isfinite(f->d))
        n = snprintf(number, sizeof(number), "%.9g", f->d);
    else
        n = snprintf(number, sizeof(number), "null");
    put(line, number, (size_t)n);
}

static void
put_time(struct line *line)
{
    struct timeval tv;
    struct tm tm;
    char text[40];
    size_t n;

    gettimeofday(&tv, NULL);
    gmtime_r(&tv.tv_sec, &tm);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(tv.tv_usec / 1000));
    put_field(line, &LS_S("time", text));
}

void
ls_log_fields(enum ls_log_level level, const struct ls_log_field *fields)
{
    struct line line = {.n = 0};
    size_t done = 0;

    if ((int)level < atomic_load(&log_level))
        return;
    put(&line, "{", 1);
    put_time(&line);
    put_field(&line, &LS_S("level", level_names[level]));
    put_field(&line, &LS_S("program", log_program));
    for (; fields->type != LS_LOG_END; fields++)
        put_field(&line, fields);
    line.n += (size_t)snprintf(line.text + line.n, LINE_MAX_BYTES - line.n, "%s}\n",
                               line.cut ? ",\"cut\":true" : "");
    while (done < line.n) {
        ssize_t r = write(STDERR_FILENO, line.text + done, line.n - done);

        if (r <= 0)
            return;
        done += (size_t)r;
    }
}

void
ls_log_err(enum ls_log_level level, const char *event, const struct ls_err *err)
{
    ls_log(level, event, LS_S("kind", ls_err_kind_name(err->kind)), LS_S("cause", err->cause),
           LS_I("code", err->code), LS_S("message", err->msg));
}
