/*
 * What unit tests of common/ share.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/err.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fails with the error's message, which is what a person wants to see. */
#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, err.msg);                                                    \
    } while (0)

/* What is written to stderr (log lines) between the two, NUL-terminated, to be freed. */
static int unit_saved_stderr, unit_file;

static inline void
stderr_catch(void)
{
    char name[] = "/tmp/lockstep-unit-XXXXXX";

    fflush(stderr);
    unit_file = mkstemp(name);
    assert_true(unit_file >= 0);
    unlink(name);
    unit_saved_stderr = dup(STDERR_FILENO);
    dup2(unit_file, STDERR_FILENO);
}

static inline char *
stderr_release(void)
{
    off_t n;
    char *text;

    fflush(stderr);
    n = lseek(unit_file, 0, SEEK_END);
    dup2(unit_saved_stderr, STDERR_FILENO);
    close(unit_saved_stderr);
    text = calloc((size_t)n + 1, 1);
    assert_non_null(text);
    assert_int_equal(pread(unit_file, text, (size_t)n, 0), n);
    close(unit_file);
    return text;
}

/* A file with this content in a temporary place; its name is to be freed and unlinked. */
static inline char *
file_with(const char *content)
{
    char *name = strdup("/tmp/lockstep-unit-XXXXXX");
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    return name;
}

/* A small seeded generator: the same numbers in every run. */
static inline uint64_t
random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
