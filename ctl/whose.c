/*
 * Owners by storage, from <p>.cs3.space, and what a record itself says.
 */
#include "ctl/whose.h"
#include "common/records.h"
#include "ctl/letters.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CAP (64u << 20)
#define STORAGES (1 << 20) /* above that nobody is found, which a filter takes for another's */

struct whose {
    struct ls_arena *arena;
    char **owners; /* by storage */
};

static int
take_space(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct whose *w = arg;
    struct ls_err ignored = {0};
    void *record = NULL;

    (void)err;
    if (m->value.p && cs3_decode(&cs3_space_type_, m->value, w->arena, &record, &ignored) == 0) {
        const struct cs3_space *space = record;
        if (space->head.kind == CS3_UPSERT && space->owner.n && space->storage >= 0 &&
            space->storage < STORAGES) {
            free(w->owners[space->storage]);
            w->owners[space->storage] = strndup(space->owner.p, space->owner.n);
        }
    }
    ls_arena_reset(w->arena);
    return 0;
}

int
whose_new(const struct ls_config *config, struct whose **ret, struct ls_err *err)
{
    struct whose *w = calloc(1, sizeof(*w));

    if (w) {
        w->arena = ls_arena_new(ARENA_CAP);
        w->owners = calloc(STORAGES, sizeof(char *));
    }
    if (!w || !w->arena || !w->owners) {
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
    if (!w)
        return;
    for (int i = 0; w->owners && i < STORAGES; i++)
        free(w->owners[i]);
    free(w->owners);
    ls_arena_free(w->arena);
    free(w);
}

void
whose_record(struct whose *w, const char *topic, struct ls_str key, struct ls_str value, char *out,
             size_t size)
{
    json_t *record = letter_record_json(topic, value, false, w->arena);
    int64_t storage;

    letter_user(topic, record, out, size, &storage);
    json_decref(record);
    ls_arena_reset(w->arena);
    if (!out[0] && strcmp(topic, "cs3.person") == 0 && key.n > 2 && key.p[0] != 'g' &&
        key.p[0] != 'm')
        snprintf(out, size, "%.*s", (int)key.n - 2, key.p + 2);
    if (!out[0] && storage >= 0 && storage < STORAGES && w->owners[storage])
        snprintf(out, size, "%s", w->owners[storage]);
}
