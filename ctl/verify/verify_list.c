/*
 * Differences of verify, as a list that outlives both sides.
 *
 * Each is one piece of memory with its texts behind it, so that a list of a million costs a million
 * allocations and not seven. They are found by threads in any order and sorted at the end.
 */
#include "ctl/verify/verify.h"
#include <stdlib.h>
#include <string.h>

const char *
verify_kind_name(enum verify_kind kind)
{
    static const char *const names[VD_KINDS] = {[VD_USER] = "user",
                                                [VD_NODE] = "node",
                                                [VD_TRASH] = "trash",
                                                [VD_SHARE] = "share",
                                                [VD_LINK] = "link"};

    return names[kind];
}

/* The texts of a difference, in the order in which they lie behind it. */
enum { TEXTS = 7 };

static void
texts_of(struct verify_difference *d, const char **ret[TEXTS])
{
    const char **all[TEXTS] = {&d->user,   &d->owner,  &d->what,     &d->place,
                               &d->source, &d->target, &d->target_id};

    memcpy(ret, all, sizeof all);
}

int
verify_list_add(struct verify_list *list, const struct verify_difference *difference)
{
    struct verify_difference **grown, *copy, of = *difference;
    const char **from[TEXTS], **to[TEXTS];
    size_t n = sizeof *copy;
    char *at;

    if (list->n == list->size) {
        size_t size = list->size ? 2 * list->size : 64;
        grown = realloc(list->each, size * sizeof(struct verify_difference *));
        if (!grown)
            return -1;
        list->each = grown;
        list->size = size;
    }
    texts_of(&of, from);
    for (size_t i = 0; i < TEXTS; i++) {
        if (!*from[i])
            *from[i] = "";
        n += strlen(*from[i]) + 1;
    }
    copy = malloc(n);
    if (!copy)
        return -1;
    *copy = of;
    at = (char *)(copy + 1);
    texts_of(copy, to);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t len = strlen(*from[i]) + 1;
        memcpy(at, *from[i], len);
        *to[i] = at;
        at += len;
    }
    list->each[list->n++] = copy;
    return 0;
}

static int
by_place(const void *a, const void *b)
{
    const struct verify_difference *x = *(const struct verify_difference *const *)a;
    const struct verify_difference *y = *(const struct verify_difference *const *)b;
    int r = strcmp(x->user, y->user);

    if (r == 0)
        r = strcmp(x->place, y->place);
    return r ? r : strcmp(x->what, y->what);
}

void
verify_list_sort(struct verify_list *list)
{
    if (list->n > 0)
        qsort(list->each, list->n, sizeof(struct verify_difference *), by_place);
}

int
verify_list_move(struct verify_list *from, struct verify_list *to)
{
    size_t n = from->n + to->n;

    if (n > to->size) {
        struct verify_difference **grown =
            realloc(to->each, n * sizeof(struct verify_difference *));
        if (!grown)
            return -1;
        to->each = grown;
        to->size = n;
    }
    if (from->n > 0)
        memcpy(to->each + to->n, from->each, from->n * sizeof(struct verify_difference *));
    to->n = n;
    free(from->each);
    *from = (struct verify_list){0};
    return 0;
}

bool
verify_same(const struct verify_difference *a, const struct verify_difference *b)
{
    return a->kind == b->kind && a->fileid == b->fileid && a->share == b->share &&
           strcmp(a->user, b->user) == 0 && strcmp(a->what, b->what) == 0 &&
           strcmp(a->place, b->place) == 0 && strcmp(a->source, b->source) == 0 &&
           /* of what the source does not have, only the target can say which it is */
           (a->fileid != 0 || strcmp(a->target_id, b->target_id) == 0);
}

void
verify_list_free(struct verify_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->each[i]);
    free(list->each);
    *list = (struct verify_list){0};
}
