/*
 * Owners by storage, from <p>.cs3.space, and what a record itself says.
 *
 * What can go wrong: a record whose schema cannot be had just now, as while the registry is away.
 * Then nobody knows whose it is, and whoever sends "all of a user's" would send fewer: that is an
 * error. One that nobody can ever read is counted.
 */
#include "ctl/replay/whose.h"
#include "common/log.h"
#include "common/records.h"
#include "ctl/replay/letters.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ARENA_CAP (64u << 20)

struct owner {
    int64_t storage;
    UT_hash_handle hh;
    char name[];
};

struct whose {
    struct ls_arena *arena;
    struct owner *owners; /* by storage */
    size_t unread;
};

static void
owner_drop(struct whose *w, struct owner *owner)
{
    HASH_DEL(w->owners, owner);
    free(owner);
}

/* Nobody knows whose a record is: never, or (-1) not now. */
static int
unread(struct whose *w, const char *topic, const struct ls_err *why, struct ls_err *err)
{
    if (why->kind != LS_ERR_POISON)
        return ls_fail_cause(err, why->kind, why->code, why->cause,
                             "whose a record of %s is cannot be told: %.100s", topic, why->msg);
    w->unread++;
    return 0;
}

static int
owner_set(struct whose *w, int64_t storage, struct ls_str name, struct ls_err *err)
{
    struct owner *owner = NULL;

    HASH_FIND(hh, w->owners, &storage, sizeof(storage), owner);
    if (owner)
        owner_drop(w, owner);
    owner = calloc(1, sizeof(*owner) + name.n + 1);
    if (!owner)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    owner->storage = storage;
    memcpy(owner->name, name.p, name.n);
    HASH_ADD(hh, w->owners, storage, sizeof(storage), owner);
    return 0;
}

int
whose_take(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct whose *w = arg;
    const struct cs3_space *space;
    struct ls_err why = {0};
    void *record = NULL;
    int r = 0;

    if (!m->value.p)
        return 0;
    if (cs3_decode(&cs3_space_type_, m->value, w->arena, &record, &why) < 0) {
        r = unread(w, "cs3.space", &why, err);
        if (r == 0)
            ls_log_err(LS_WARN, "owner-unknown", &why); /* apply makes a dead letter of it */
    } else {
        space = record;
        if (space->head.kind == CS3_UPSERT && space->owner.n)
            r = owner_set(w, space->storage, space->owner, err);
    }
    ls_arena_reset(w->arena);
    return r;
}

int
whose_empty(struct whose **ret, struct ls_err *err)
{
    struct whose *w = calloc(1, sizeof(*w));

    if (w)
        w->arena = ls_arena_new(ARENA_CAP);
    if (!w || !w->arena) {
        whose_free(w);
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    }
    *ret = w;
    return 0;
}

int
whose_new(const struct ls_config *config, struct whose **ret, struct ls_err *err)
{
    struct whose *w = NULL;

    if (whose_empty(&w, err) < 0)
        return -1;
    if (ctl_topic_read(config, "cs3.space", whose_take, w, err) < 0) {
        whose_free(w);
        return -1;
    }
    *ret = w;
    return 0;
}

size_t
whose_unread(const struct whose *w)
{
    return w ? w->unread : 0;
}

void
whose_free(struct whose *w)
{
    struct owner *owner, *next;

    if (!w)
        return;
    HASH_ITER(hh, w->owners, owner, next)
    owner_drop(w, owner);
    ls_arena_free(w->arena);
    free(w);
}

int
whose_record(struct whose *w, const char *topic, struct ls_str key, struct ls_str value, char *out,
             size_t size, struct ls_err *err)
{
    struct owner *owner = NULL;
    struct ls_err why = {0};
    json_t *record = NULL;
    int64_t storage;
    int r = 0;

    if (letter_record_read(topic, value, false, w->arena, &record, &why) < 0)
        r = unread(w, topic, &why, err);
    letter_user(topic, record, out, size, &storage);
    json_decref(record);
    ls_arena_reset(w->arena);
    if (!out[0] && strcmp(topic, "cs3.person") == 0 && key.n > 2 && !strchr("gmd", key.p[0]))
        snprintf(out, size, "%.*s", (int)key.n - 2, key.p + 2);
    if (!out[0])
        HASH_FIND(hh, w->owners, &storage, sizeof(storage), owner);
    if (owner)
        snprintf(out, size, "%s", owner->name);
    return r;
}
