/*
 * Recorded events for the tests of capture: data/<name>.events, written by record.py.
 */
#ifndef TEST_EVENTS_H
#define TEST_EVENTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/binlog/cursor.h"
#include "capture/binlog/decode.h"
#include "capture/stream/schema.h"
#include "common/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recording {
    uint8_t *p;
    size_t n;
    size_t at;
};

static inline struct recording
recording_open(const char *name)
{
    struct recording r = {0};
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "tests/unit/capture/data/%s.events", name);
    f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing: run from the top of the tree", path);
    r.p = malloc(1 << 20);
    assert_non_null(r.p);
    r.n = fread(r.p, 1, 1 << 20, f);
    fclose(f);
    return r;
}

static inline void
recording_close(struct recording *r)
{
    free(r->p);
    r->p = NULL;
}

/* The next event's bytes; false at the end. */
static inline bool
recording_next(struct recording *r, const uint8_t **p, size_t *n)
{
    if (r->at == r->n)
        return false;
    *p = r->p + r->at;
    *n = cur_le32(*p + 9);
    r->at += *n;
    return true;
}

/* A configuration with the defaults, for a database of this name. */
static inline struct ls_config *
test_config(const char *const *more, size_t n_more)
{
    char *sets[16] = {(char *)"source.database=owncloud", (char *)"http.port=0"};
    struct ls_config *config = NULL;
    struct ls_err err = {0};

    for (size_t i = 0; i < n_more; i++)
        sets[2 + i] = (char *)more[i];
    if (ls_config_load("/dev/null", sets, 2 + n_more, &config, &err) < 0)
        fail_msg("%s", err.msg);
    return config;
}

static inline struct ls_str
str(const char *s)
{
    return (struct ls_str){s, strlen(s)};
}

#endif
