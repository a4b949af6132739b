/*
 * oc_storages -> cs3.space: which storages are somebody's home, and why the others are left out.
 *
 * What can go wrong: oC10 keeps only the md5 of a long id. Whose it is becomes known with the
 * account, which may come later: then the space record is sent again, with the account's seq, so
 * that it is the later word on that space.
 */
#include "transform/map.h"

#include <string.h>

bool
tf_space_asks(const struct tf_known *known, const struct ls_envelope *e)
{
    return !tf_known_passed(known, e->seq) &&
           tf_known_classify(known, tf_text(e, ST_ID)).class == TF_STORAGE_UNRESOLVED;
}

int
tf_space_emit(const struct tf_known *known, const struct ls_envelope *e, int64_t storage,
              struct tf_storage what, struct ls_arena *arena, struct tf_result *ret,
              struct ls_err *err)
{
    struct cs3_space *space = tf_alloc(arena, sizeof(*space), err);
    struct ls_str key;

    (void)known;
    if (!space || tf_key_int(arena, "", storage, &key, err) < 0)
        return -1;
    space->head = tf_head(e, CS3_UPSERT);
    space->storage = storage;
    space->source_id = what.source_id;
    space->type = what.class == TF_STORAGE_PERSONAL  ? CS3_SPACE_PERSONAL
                  : what.class == TF_STORAGE_PROJECT ? CS3_SPACE_PROJECT
                                                     : CS3_SPACE_IGNORED;
    space->owner = what.owner;
    space->name = what.name;
    space->reason = ls_str_of(what.reason);
    tf_emit(ret, TF_SPACE, 0, key, space);
    return 0;
}

int
tf_space_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
             struct tf_result *ret, struct ls_err *err)
{
    int64_t storage = tf_int(e, ST_NUMERIC_ID, LS_NO_STORAGE);
    struct ls_str id = tf_text(e, ST_ID);
    struct cs3_space *space;

    if (storage == LS_NO_STORAGE)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "storage", "a storage without a number");
    if (e->op != LS_OP_DELETE && !id.p)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "storage", "storage %lld has no id",
                             (long long)storage);
    if (tf_space_emit(world->known, e, storage, tf_known_classify(world->known, id), arena, ret,
                      err) < 0)
        return -1;
    if (e->op == LS_OP_DELETE) {
        space = (struct cs3_space *)ret->emits[ret->n - 1].record;
        space->head.kind = CS3_DELETE;
        if (!id.p) {
            struct tf_storage known = tf_known_storage(world->known, storage);

            space->source_id = known.source_id.p ? known.source_id : LS_STR("");
            space->owner = known.owner;
        }
    }
    return 0;
}

static int
space_of_id(const struct tf_world *world, const struct ls_envelope *e, const char *id,
            struct ls_arena *arena, struct tf_result *ret, struct ls_err *err)
{
    struct tf_storage what;
    int64_t storage;

    if (!id)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "the arena of one record is full");
    if (strlen(id) <= TF_STORAGE_ID_MAX)
        return 0;
    storage = tf_known_storage_by_id(world->known, ls_str_of(id));
    if (storage == LS_NO_STORAGE)
        return 0;
    what = tf_known_storage(world->known, storage);
    /* The account's row is often the later one: it would make the space again. */
    if (what.deleted)
        return 0;
    if (tf_space_emit(world->known, e, storage, what, arena, ret, err) < 0)
        return -1;
    ret->emits[ret->n - 1].counted = false;
    return 0;
}

int
tf_spaces_of_account(const struct tf_world *world, const struct ls_envelope *e, struct ls_str uid,
                     struct ls_str home, struct ls_arena *arena, struct tf_result *ret,
                     struct ls_err *err)
{
    size_t n = home.n;
    int un = (int)uid.n;

    if (uid.n > 4096 || home.n > 8192)
        return 0;
    if (space_of_id(world, e, ls_arena_printf(arena, "home::%.*s", un, uid.p), arena, ret, err) <
            0 ||
        space_of_id(world, e, ls_arena_printf(arena, "object::user:%.*s", un, uid.p), arena, ret,
                    err) < 0)
        return -1;
    while (n > 1 && home.p[n - 1] == '/')
        n--;
    if (!home.p || n < 2)
        return 0;
    if (space_of_id(world, e, ls_arena_printf(arena, "local::%.*s/uploads/", (int)n, home.p), arena,
                    ret, err) < 0)
        return -1;
    while (n > 1 && home.p[n - 1] != '/')
        n--;
    return space_of_id(world, e, ls_arena_printf(arena, "local::%.*s", (int)n, home.p), arena, ret,
                       err);
}
