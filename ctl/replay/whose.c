/*
 * Owners by storage, from <p>.cs3.space, and what a record itself says.
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
};

static void
owner_drop(struct whose *w, struct owner *owner)
{
    HASH_DEL(w->owners, owner);
    free(owner);
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

static int
take_space(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct whose *w = arg;
    const struct cs3_space *space;
    struct ls_err why = {0};
    void *record = NULL;
    int r = 0;

    if (!m->value.p)
        return 0;
    if (cs3_decode(&cs3_space_type_, m->value, w->arena, &record, &why) < 0) {
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
whose_new(const struct ls_config *config, struct whose **ret, struct ls_err *err)
{
    struct whose *w = calloc(1, sizeof(*w));

    if (w)
        w->arena = ls_arena_new(ARENA_CAP);
    if (!w || !w->arena) {
        whose_free(w);
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    }
    if (ctl_topic_read(config, "cs3.space", take_space, w, err) < 0) {
        whose_free(w);
        return -1;
    }
    *ret = w;
    return 0;
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

void
whose_record(struct whose *w, const char *topic, struct ls_str key, struct ls_str value, char *out,
             size_t size)
{
    json_t *record = letter_record_json(topic, value, false, w->arena);
    struct owner *owner = NULL;
    int64_t storage;

    letter_user(topic, record, out, size, &storage);
    json_decref(record);
    ls_arena_reset(w->arena);
    if (!out[0] && strcmp(topic, "cs3.person") == 0 && key.n > 2 && !strchr("gmd", key.p[0]))
        snprintf(out, size, "%.*s", (int)key.n - 2, key.p + 2);
    if (!out[0])
        HASH_FIND(hh, w->owners, &storage, sizeof(storage), owner);
    if (owner)
        snprintf(out, size, "%s", owner->name);
}
