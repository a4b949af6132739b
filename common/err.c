/*
 * Filling a struct ls_err.
 *
 * Knows nothing but formatting. What can go wrong: a message longer than its
 * field is cut (it is for a person, the kind and cause are what programs read),
 * and the caller may pass NULL because only the -1 matters to it.
 */
#include "common/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A failure without a word of its own still needs one: it becomes a label of a metric. */
#define CAUSE_OTHER "other"

static int
fail(struct ls_err *err, enum ls_err_kind kind, int code, const char *cause, const char *fmt,
     va_list ap)
{
    struct ls_err e = {.kind = kind, .code = code};

    if (!err)
        return -1;
    /* By way of a copy: an argument may point into the error that is replaced. */
    snprintf(e.cause, sizeof(e.cause), "%s", cause);
    vsnprintf(e.msg, sizeof(e.msg), fmt, ap);
    *err = e;
    return -1;
}

int
ls_fail(struct ls_err *err, enum ls_err_kind kind, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail(err, kind, code, CAUSE_OTHER, fmt, ap);
    va_end(ap);
    return -1;
}

int
ls_fail_cause(struct ls_err *err, enum ls_err_kind kind, int code, const char *cause,
              const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail(err, kind, code, cause, fmt, ap);
    va_end(ap);
    return -1;
}

const char *
ls_err_kind_name(enum ls_err_kind kind)
{
    switch (kind) {
    case LS_ERR_NONE:
        return "none";
    case LS_ERR_RETRY:
        return "retry";
    case LS_ERR_POISON:
        return "poison";
    case LS_ERR_FATAL:
        return "fatal";
    }
    return "none";
}
