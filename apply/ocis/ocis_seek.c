/*
 * An item of the trash of which nobody has the id, for the writer `ocis-api`.
 *
 * The list of a space's trash names for each item where it lay and when it was deleted; its size
 * only the item itself tells. What can go wrong: several of one name at one place; then the one
 * that was deleted first and has the size is answered, and the caller names those that it knows
 * already. A list of a big trash is long, and is read once for each item that is looked for.
 */
#include "apply/ocis/ocis_api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    char id[AP_ID_SIZE], name[1024];
    int64_t deleted_at;
    bool at_place;
};
struct candidates {
    const struct ap_trash_seek *what;
    struct candidate *of;
    size_t n, room;
    bool failed;
};

static bool
is_known(const struct ap_trash_seek *what, const char *id)
{
    for (int i = 0; i < what->n_known; i++)
        if (strcmp(what->known[i], id) == 0)
            return true;
    return false;
}

/* Does it have one of the names, and lie at the place, or at the root where what has no folder any
 * more is made? */
static bool
lay_there(const struct ap_trash_seek *what, const struct cs3_recycle_info *item, bool *ret_at_place)
{
    const char *slash = strrchr(item->path, '/');
    const char *name = slash ? slash + 1 : item->path;
    size_t n = slash ? (size_t)(slash - item->path) : 0;

    if (strcmp(name, what->base) != 0 && strcmp(name, what->aside) != 0)
        return false;
    *ret_at_place =
        strcmp(name, what->aside) == 0 || (what->location && strlen(what->location) == n &&
                                           strncmp(what->location, item->path, n) == 0);
    return *ret_at_place || !what->location || n == 0;
}

static int
candidate_add(void *arg, const struct cs3_recycle_info *item)
{
    struct candidates *all = arg;
    const char *slash = strrchr(item->path, '/');
    struct candidate *c;
    bool at_place;

    if (item->folder != all->what->folder || item->deleted_at < all->what->since ||
        strlen(item->key) >= AP_ID_SIZE || is_known(all->what, item->key) ||
        !lay_there(all->what, item, &at_place))
        return 0;
    if (all->n == all->room) {
        size_t room = all->room ? all->room * 2 : 8;
        void *more = realloc(all->of, room * sizeof(*all->of));

        all->failed = more == NULL;
        if (!more)
            return 1;
        all->of = more;
        all->room = room;
    }
    c = &all->of[all->n++];
    c->deleted_at = item->deleted_at;
    c->at_place = at_place;
    snprintf(c->id, sizeof(c->id), "%s", item->key);
    snprintf(c->name, sizeof(c->name), "%s", slash ? slash + 1 : item->path);
    return 0;
}

static int
in_order(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->at_place != y->at_place)
        return x->at_place ? -1 : 1;
    if (x->deleted_at != y->deleted_at)
        return x->deleted_at < y->deleted_at ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void
answer(const struct candidate *c, const struct ap_trash_seek *what, int64_t size,
       struct ap_found *ret)
{
    ret->where = AP_FOUND_TRASHED;
    ret->folder = what->folder;
    memcpy(ret->node.id, c->id, sizeof(ret->node.id));
    memcpy(ret->name, c->name, sizeof(ret->name));
    ret->node.size = what->folder ? -1 : size;
    ret->node.deleted_at = c->deleted_at;
}

int
ap_ocis_trash_seek(struct ap_writer *w, const struct ap_space *space,
                   const struct ap_trash_seek *what, struct ap_found *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct candidates all = {.what = what};
    struct ap_trash_item item = {0};
    int r = cs3_list_recycle(ocis->cs3, space->owner, space, NULL, candidate_add, &all, err);

    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_NOT;
    if (all.failed)
        r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    if (r == 0 && all.n > 0)
        qsort(all.of, all.n, sizeof(*all.of), in_order);
    for (size_t i = 0; r == 0 && i < all.n && ret->where == AP_FOUND_NOT; i++) {
        if (!what->folder && what->size >= 0)
            r = ap_trash_item(ocis, space, all.of[i].id, &item, err);
        if (r == 0 && item.found && item.size < 0)
            r = ls_fail_cause(err, LS_ERR_RETRY, 0, "internal",
                              "the target does not tell the size of what lies in its trash");
        if (r == 0 && (what->folder || what->size < 0 || item.size == what->size))
            answer(&all.of[i], what, what->size < 0 ? -1 : item.size, ret);
    }
    free(all.of);
    return r;
}
