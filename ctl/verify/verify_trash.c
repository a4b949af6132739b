/*
 * Compares one user's trash.
 *
 * Several items may have one name (the same file deleted twice), and oCIS gives them ids of its
 * own, so items are matched as a multiset: base name, type, true size, and for folders what lies
 * below, name by name. Apply makes an item under a free name where its own is taken: "<name>
 * (lockstep <fileid>)", or "lockstep <fileid>" for a long one; that is counted as a place not kept.
 *
 * Versions of what lies there are counted as not compared: the target keeps them, and lists none.
 * Nor does it give the content of what lies there.
 *
 * What can go wrong: oCIS lists sizes of the top level as 0, they are asked one by one; a folder's
 * own size counts what was restored from it, so only what lies below is compared. Content cannot be
 * read back: names, types and sizes are what trash is compared by.
 */
#include "ctl/verify/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What an item is, whatever its id: two items that agree in all of it are equal. */
struct trash_sum {
    bool folder;
    int64_t size;   /* of a file */
    size_t n_below; /* of a folder */
    uint64_t below; /* the same whatever the order of its parts */
};

struct seen_trash {
    char *name, *key, *where;
    struct trash_sum sum;
    int64_t deleted_at;
    bool matched;
    bool unread;             /* what it is could not be asked, and that was said */
    struct seen_trash *also; /* of the same base name */
    UT_hash_handle hh;       /* by base name; the first of them */
};

struct item {
    const struct side_node *node;
    const char *base;
    int64_t time;
    struct trash_sum sum;
    bool done;
    bool unread; /* the size of something of it could not be read, and that was said */
};

static uint64_t
mix(uint64_t h, const void *p, size_t n)
{
    const unsigned char *bytes = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 1099511628211ULL;
    return h;
}

/* Adds one thing below a trashed folder; `path` from that folder. */
static void
sum_add(struct trash_sum *sum, const char *path, bool folder, int64_t size)
{
    uint64_t h = mix(14695981039346656037ULL, path, strlen(path) + 1);

    h = mix(h, &folder, sizeof folder);
    if (!folder)
        h = mix(h, &size, sizeof size);
    sum->n_below++;
    sum->below += h ^ (h >> 31);
}

static bool
sum_equal(const struct trash_sum *a, const struct trash_sum *b)
{
    if (a->folder != b->folder)
        return false;
    return a->folder ? a->n_below == b->n_below && a->below == b->below : a->size == b->size;
}

size_t
verify_trash_name(const char *name, int64_t *ret_time)
{
    const char *dot = strrchr(name, '.');

    *ret_time = 0;
    if (!dot || dot == name || dot[1] != 'd' || !dot[2] || strlen(dot) > 16 ||
        strspn(dot + 2, "0123456789") != strlen(dot + 2))
        return strlen(name);
    *ret_time = strtoll(dot + 2, NULL, 10);
    return (size_t)(dot - name);
}

/* ---- the source's items */

/* The size of a file, from the disk where the row has none; more of it is not compared. */
static int
size_of_file(struct verify *verify, struct verify_user *user, const struct side_node *node,
             struct item *item, int64_t *ret_size, struct ls_err *err)
{
    const char *place = side_place(verify->side, node);
    struct ls_err why = {0};

    *ret_size = node->size;
    verify_left(verify, user, VL_TRASH_CONTENT);
    if (node->size >= 0 || verify_on_disk(verify, user, node, place, NULL, ret_size, &why) == 0)
        return 0;
    item->unread = true;
    return verify_unread(
        verify, user,
        (struct verify_difference){
            .kind = VD_TRASH, .fileid = node->fileid, .what = "trash: unreadable", .place = place},
        &why, err);
}

static int
sum_source(struct verify *verify, struct verify_user *user, const struct side_node *folder,
           const char *above, struct item *item, struct ls_err *err)
{
    for (const struct side_node *child = folder->first; child; child = child->next) {
        int64_t size = 0;
        char *path;
        int r;

        if (child->doubled)
            continue;
        if (asprintf(&path, "%s%s%s", above, *above ? "/" : "", child->name) < 0)
            return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
        r = child->folder ? 0 : size_of_file(verify, user, child, item, &size, err);
        sum_add(&item->sum, path, child->folder, size);
        if (r == 0 && child->folder)
            r = sum_source(verify, user, child, path, item, err);
        free(path);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* ---- the target's items */

static void
seen_free(struct seen_trash *seen)
{
    if (!seen)
        return;
    free(seen->name);
    free(seen->key);
    free(seen->where);
    free(seen);
}

static int
take_trashed(void *arg, const struct target_trashed *item)
{
    struct seen_trash **bin = arg, *first = NULL, *seen = calloc(1, sizeof *seen);

    if (!seen || !(seen->name = strdup(item->name)) || !(seen->key = strdup(item->key)) ||
        !(seen->where = strdup(item->where))) {
        seen_free(seen);
        return -1;
    }
    seen->sum.folder = item->folder;
    seen->sum.size = item->size;
    seen->deleted_at = item->deleted_at;
    HASH_FIND_STR(*bin, seen->name, first);
    if (first) {
        seen->also = first->also;
        first->also = seen;
    } else {
        HASH_ADD_KEYPTR(hh, *bin, seen->name, strlen(seen->name), seen);
    }
    return 0;
}

struct below {
    const char *above;
    struct trash_sum *sum;
    char **folders; /* keys of the folders to be looked into */
    size_t n_folders, size;
};

static int
take_below(void *arg, const struct target_trashed *item)
{
    struct below *below = arg;
    char *path = NULL, **grown;
    int r = 0;

    if (asprintf(&path, "%s%s%s", below->above, *below->above ? "/" : "", item->name) < 0)
        return -1;
    sum_add(below->sum, path, item->folder, item->size);
    if (!item->folder) {
        free(path);
        return 0;
    }
    if (below->n_folders == below->size) {
        below->size = below->size ? 2 * below->size : 16;
        grown = realloc(below->folders, below->size * sizeof *grown);
        if (!grown)
            r = -1;
        else
            below->folders = grown;
    }
    if (r == 0)
        below->folders[below->n_folders++] = path;
    else
        free(path);
    return r;
}

/* Sums up what lies below a trashed folder, one call for each folder in it. */
static int
sum_target(struct verify *verify, const char *uid, const char *top, const char *above,
           struct trash_sum *sum, struct ls_err *err)
{
    struct below below = {.above = above, .sum = sum};
    char *key = NULL;
    int r = -1;

    if (asprintf(&key, "%s%s%s", top, *above ? "/" : "", above) < 0)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    r = target_trash(verify->target, uid, key, take_below, &below, err);
    for (size_t i = 0; i < below.n_folders; i++) {
        if (r == 0)
            r = sum_target(verify, uid, top, below.folders[i], sum, err);
        free(below.folders[i]);
    }
    free(below.folders);
    free(key);
    return r;
}

static int
sum_seen(struct verify *verify, struct verify_user *user, struct seen_trash *seen,
         struct ls_err *err)
{
    const char *uid = user->user->uid;
    struct ls_err why = {0};
    int r = seen->sum.folder
                ? sum_target(verify, uid, seen->key, "", &seen->sum, &why)
                : target_trashed_size(verify->target, uid, seen->key, &seen->sum.size, &why);

    if (r == 0)
        return 0;
    /* oCIS answers INTERNAL for a key that is not there */
    seen->matched = seen->unread = true;
    return verify_unseen(verify, user,
                         (struct verify_difference){.kind = VD_TRASH,
                                                    .target_id = seen->key,
                                                    .what = "trash: cannot be looked at",
                                                    .place = seen->name},
                         &why, err);
}

/* ---- matching */

enum how { BY_MADE_NAME, BY_NAME };

/* Of the items that may be this one, the first that agrees (or, not `exact`, any of its type). */
static struct seen_trash *
find_item(struct seen_trash *bin, const struct item *item, enum how how, bool exact)
{
    char *made[2] = {NULL, NULL};
    struct seen_trash *found = NULL, *seen;

    if (how == BY_NAME)
        made[0] = strdup(item->base);
    else if (asprintf(&made[0], "%s (lockstep %" PRId64 ")", item->base, item->node->fileid) < 0 ||
             asprintf(&made[1], "lockstep %" PRId64, item->node->fileid) < 0)
        made[1] = NULL;
    for (size_t i = 0; i < 2 && made[i] && !found; i++) {
        HASH_FIND_STR(bin, made[i], seen);
        for (; seen && !found; seen = seen->also)
            if (!seen->matched && seen->sum.folder == item->sum.folder &&
                (!exact || sum_equal(&seen->sum, &item->sum)))
                found = seen;
    }
    free(made[0]);
    free(made[1]);
    return found;
}

/* It may be one of those of which nothing is known. */
static bool
find_unread(struct seen_trash *bin, const struct item *item)
{
    struct seen_trash *seen;

    HASH_FIND_STR(bin, item->base, seen);
    for (; seen; seen = seen->also)
        if (seen->unread && seen->sum.folder == item->sum.folder)
            return seen->unread = false, true;
    return false;
}

static void
sum_text(const struct trash_sum *sum, char *out, size_t size)
{
    if (sum->folder)
        snprintf(out, size, "folder, %zu below, sum %016" PRIx64, sum->n_below, sum->below);
    else
        snprintf(out, size, "file of %" PRId64 " bytes", sum->size);
}

/* A match: what of it is not kept? */
static void
note_match(struct verify *verify, struct verify_user *user, const struct item *item,
           const struct seen_trash *seen, enum how how)
{
    const char *from = side_trashed_from(verify->side, user->user->uid, item->base, item->time);

    if (from && strcmp(from, ".") == 0)
        from = "";
    if (how == BY_MADE_NAME || !from || strcmp(from, seen->where) != 0)
        verify_not_kept(verify, user, VK_TRASH_PLACES);
    if (item->time != seen->deleted_at)
        verify_not_kept(verify, user, VK_TRASH_TIMES);
}

/* Has ownCloud itself lost it? `occ trashbin:cleanup` erases content and leaves rows. Not when the
 * home is not there at all: then nothing can be said, nor of a folder in a bucket, which has no
 * object of its own. */
static bool
is_gone(struct verify *verify, const struct verify_user *user, const struct side_node *node)
{
    int64_t size = 0;
    struct ls_err item = {0};

    return !(user->user->in_bucket && node->folder) && verify_can_read(verify, user) &&
           verify_on_disk(verify, user, node, side_place(verify->side, node), NULL, &size, &item) <
               0 &&
           strcmp(item.cause, "content-missing") == 0 &&
           (user->user->in_bucket || item.code == ENOENT);
}

static void
match_items(struct verify *verify, struct verify_user *user, struct item *items, size_t n,
            struct seen_trash *bin)
{
    static const struct {
        enum how how;
        bool exact;
    } rounds[] = {{BY_MADE_NAME, true}, {BY_NAME, true}, {BY_MADE_NAME, false}, {BY_NAME, false}};
    char left[96], right[96];

    for (size_t r = 0; r < sizeof rounds / sizeof rounds[0]; r++)
        for (size_t i = 0; i < n; i++) {
            struct seen_trash *seen =
                items[i].done ? NULL : find_item(bin, &items[i], rounds[r].how, rounds[r].exact);
            if (!seen)
                continue;
            seen->matched = items[i].done = true;
            if (rounds[r].exact) {
                note_match(verify, user, &items[i], seen, rounds[r].how);
                continue;
            }
            if (items[i].unread)
                continue;
            /* what was erased behind its rows was copied as far as it was there in time */
            if (is_gone(verify, user, items[i].node)) {
                verify_left(verify, user, VL_TRASH_GONE);
                continue;
            }
            sum_text(&items[i].sum, left, sizeof left);
            sum_text(&seen->sum, right, sizeof right);
            verify_differ(
                verify, user,
                &(struct verify_difference){.kind = VD_TRASH,
                                            .fileid = items[i].node->fileid,
                                            .target_id = seen->key,
                                            .what = "trash: content",
                                            .place = side_place(verify->side, items[i].node),
                                            .source = left,
                                            .target = right});
        }
}

static int
list_items(struct verify *verify, struct verify_user *user, struct item **ret, size_t *ret_n,
           struct ls_err *err)
{
    struct side_node *root = user->user->root;
    struct side_node *trash = root ? side_child(root, "files_trashbin") : NULL;
    struct side_node *folder = trash ? side_child(trash, "files") : NULL;
    struct item *items, *item;
    size_t n = 0;

    for (struct side_node *node = folder ? folder->first : NULL; node; node = node->next)
        n += !node->doubled;
    item = items = calloc(n + 1, sizeof *items);
    for (struct side_node *node = items && folder ? folder->first : NULL; node; node = node->next) {
        if (node->doubled)
            continue;
        item->node = node;
        item->base = side_printf(verify->side, "%.*s",
                                 (int)verify_trash_name(node->name, &item->time), node->name);
        item->sum.folder = node->folder;
        if (!item->base) {
            free(items);
            items = NULL;
            break;
        }
        if ((node->folder ? sum_source(verify, user, node, "", item, err)
                          : size_of_file(verify, user, node, item, &item->sum.size, err)) < 0) {
            free(items);
            return -1;
        }
        item++;
    }
    if (!items)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    *ret = items;
    *ret_n = n;
    return 0;
}

static void
name_missing(struct verify *verify, struct verify_user *user, const struct item *item)
{
    if (is_gone(verify, user, item->node))
        verify_left(verify, user, VL_TRASH_GONE);
    else
        verify_differ(
            verify, user,
            &(struct verify_difference){.kind = VD_TRASH,
                                        .fileid = item->node->fileid,
                                        .what = item->node->encrypted ? "trash: missing (encrypted)"
                                                                      : "trash: missing",
                                        .place = side_place(verify->side, item->node),
                                        .source = item->node->folder ? "folder" : "file"});
}

/* Does "<name>.v<time>" end here? */
static bool
is_version(const char *name, size_t n)
{
    size_t at = n;

    while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
        at--;
    if (at < n && at > 0 && name[at - 1] == '-') /* before 1970 */
        at--;
    return at < n && at > 2 && name[at - 1] == 'v' && name[at - 2] == '.';
}

/* Versions of trashed files lie in files_trashbin/versions; at its top with the time of their
 * deletion. */
static void
leave_versions(struct verify *verify, struct verify_user *user, const struct side_node *folder,
               bool top)
{
    bool on = ls_config_bool(verify->config, "apply", "versions");
    int64_t time;

    for (const struct side_node *node = folder ? folder->first : NULL; node; node = node->next) {
        if (node->doubled)
            continue;
        if (node->folder)
            leave_versions(verify, user, node, false);
        else if (is_version(node->name,
                            top ? verify_trash_name(node->name, &time) : strlen(node->name)))
            verify_left(verify, user, on ? VL_VERSIONS_TRASHED : VL_VERSIONS_OFF);
    }
}

static int
list_target(struct verify *verify, struct verify_user *user, struct seen_trash **bin,
            struct ls_err *err)
{
    struct ls_err why = {0};

    if (target_trash(verify->target, user->user->uid, NULL, take_trashed, bin, &why) >= 0)
        return 0;
    user->trash_unseen = true;
    return verify_unseen(
        verify, user,
        (struct verify_difference){.kind = VD_TRASH, .what = "trash: cannot be listed"}, &why, err);
}

int
verify_trash(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct seen_trash *bin = NULL, *first, *seen, *next, *follow;
    struct item *items = NULL;
    size_t n = 0;
    struct side_node *trash =
        user->user->root ? side_child(user->user->root, "files_trashbin") : NULL;
    int r = list_items(verify, user, &items, &n, err);

    leave_versions(verify, user, trash ? side_child(trash, "versions") : NULL, true);

    if (r == 0)
        r = list_target(verify, user, &bin, err);
    for (first = bin; first; first = first->hh.next) {
        for (seen = first; seen && r == 0; seen = seen->also)
            r = sum_seen(verify, user, seen, err);
    }
    if (r == 0 && !user->trash_unseen) {
        user->count[VC_TRASH] = n;
        match_items(verify, user, items, n, bin);
        for (size_t i = 0; i < n; i++)
            if (!items[i].done && !find_unread(bin, &items[i]))
                name_missing(verify, user, &items[i]);
    }
    first = bin;
    HASH_CLEAR(hh, bin);
    for (; first; first = follow) {
        follow = first->hh.next;
        for (seen = first; seen; seen = next) {
            next = seen->also;
            if (r == 0 && !seen->matched)
                verify_differ(
                    verify, user,
                    &(struct verify_difference){.kind = VD_TRASH,
                                                .target_id = seen->key,
                                                .what = "trash: extra",
                                                .place = seen->name,
                                                .target = seen->sum.folder ? "folder" : "file"});
            seen_free(seen);
        }
    }
    free(items);
    return r;
}
