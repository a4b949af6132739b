/*
 * See still.h. What can go wrong: memory runs out (then nothing is known of a file, and it is
 * waited for the shorter time); more files than are remembered (the ones that were first seen are
 * forgotten, which costs them a short wait).
 */
#include "apply/ocis/still.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct seen {
    char *file, etag[64]; /* "": not known */
    int64_t foreign_ms;   /* when somebody else was seen to have written it; 0: never */
    UT_hash_handle hh;
};

struct ap_still {
    pthread_mutex_t mutex;
    struct seen *files; /* in the order of their first sight */
};

struct ap_still *
ap_still_new(void)
{
    struct ap_still *s = calloc(1, sizeof(*s));

    if (s)
        pthread_mutex_init(&s->mutex, NULL);
    return s;
}

static void
forget(struct ap_still *s, struct seen *file)
{
    HASH_DEL(s->files, file);
    free(file->file);
    free(file);
}

void
ap_still_free(struct ap_still *s)
{
    if (!s)
        return;
    while (s->files)
        forget(s, s->files);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* NULL when memory is out. */
static struct seen *
seen_of(struct ap_still *s, const char *file)
{
    struct seen *seen = NULL;

    HASH_FIND_STR(s->files, file, seen);
    if (seen)
        return seen;
    seen = calloc(1, sizeof(*seen));
    if (!seen || !(seen->file = strdup(file))) {
        free(seen);
        return NULL;
    }
    if (HASH_COUNT(s->files) >= AP_STILL_FILES)
        forget(s, s->files);
    HASH_ADD_KEYPTR(hh, s->files, seen->file, strlen(seen->file), seen);
    return seen;
}

int64_t
ap_still_ms(struct ap_still *s, const char *file, const char *etag, bool always, int64_t now_ms)
{
    int64_t ms = AP_STILL_MS;
    struct seen *seen;

    if (!*etag) /* made exclusively: whoever is second reads what the first has made */
        return 0;
    pthread_mutex_lock(&s->mutex);
    seen = seen_of(s, file);
    if (seen) {
        bool same = !strcmp(seen->etag, etag);
        if (!same && seen->etag[0])
            seen->foreign_ms = now_ms;
        if (seen->foreign_ms && now_ms - seen->foreign_ms < AP_STILL_LATELY_MS)
            ms = AP_STILL_BUSY_MS;
        else if (same && !always)
            ms = 0;
        snprintf(seen->etag, sizeof(seen->etag), "%s", etag);
    }
    pthread_mutex_unlock(&s->mutex);
    return always ? 2 * ms : ms;
}

void
ap_still_known(struct ap_still *s, const char *file, const char *etag)
{
    struct seen *seen;

    pthread_mutex_lock(&s->mutex);
    seen = seen_of(s, file);
    if (seen)
        snprintf(seen->etag, sizeof(seen->etag), "%s", etag);
    pthread_mutex_unlock(&s->mutex);
}

void
ap_still_overtaken(struct ap_still *s, const char *file, int64_t now_ms)
{
    struct seen *seen;

    pthread_mutex_lock(&s->mutex);
    seen = seen_of(s, file);
    if (seen)
        seen->foreign_ms = now_ms;
    pthread_mutex_unlock(&s->mutex);
}
