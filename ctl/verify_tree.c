/*
 * Compares one user's live tree and trash.
 *
 * Names are matched byte by byte below matched folders; a folder that is missing on one side is
 * one difference, with the number of things below it, not one for each. The content of a file is
 * compared by SHA1: the row's where it has one, else the one of the file on disk, read through
 * the same safe opening that apply uses. Folder mtimes are counted as "not kept": oCIS propagates
 * its own.
 */
#include "apply/blobs.h"
#include "ctl/verify.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    char *name, *id, sha1[41];
    bool folder, matched;
    int64_t size, mtime;
    struct seen *next;
};

struct listing {
    struct seen *first;
    size_t n;
};

static int
take_item(void *arg, const struct target_item *item)
{
    struct listing *listing = arg;
    struct seen *seen = calloc(1, sizeof *seen);

    if (!seen || !(seen->name = strdup(item->name)) || !(seen->id = strdup(item->id))) {
        if (seen)
            free(seen->name);
        free(seen);
        return -1;
    }
    snprintf(seen->sha1, sizeof seen->sha1, "%s", item->sha1);
    seen->folder = item->folder;
    seen->size = item->size;
    seen->mtime = item->mtime;
    seen->next = listing->first;
    listing->first = seen;
    listing->n++;
    return 0;
}

static void
listing_free(struct listing *listing)
{
    struct seen *next;

    for (struct seen *seen = listing->first; seen; seen = next) {
        next = seen->next;
        free(seen->name);
        free(seen->id);
        free(seen);
    }
}

static struct seen *
find_seen(struct listing *listing, const char *name)
{
    for (struct seen *seen = listing->first; seen; seen = seen->next)
        if (!seen->matched && strcmp(seen->name, name) == 0)
            return seen;
    return NULL;
}

static size_t
count_below(const struct side_node *node)
{
    size_t n = 0;

    for (const struct side_node *child = node->first; child; child = child->next)
        n += 1 + count_below(child);
    return n;
}

/* SHA1 and size of what the source holds; 0, or -1 with err when it cannot be read. */
static int
hash_on_disk(const struct verify_user *user, const char *place, char sha1[41], int64_t *ret_size,
             struct ls_err *err)
{
    struct ap_blob_want want = {.home = user->user->home, .relative = place, .size = -1};
    struct ap_blob *blob = NULL;
    static _Thread_local char piece[65536];
    ssize_t n;

    if (ap_blob_open(&want, &blob, err) < 0)
        return -1;
    while ((n = ap_blob_read(blob, piece, sizeof piece, err)) > 0)
        ;
    if (n == 0) {
        snprintf(sha1, 41, "%s", ap_blob_sha1(blob));
        *ret_size = ap_blob_size(blob);
    }
    ap_blob_close(blob);
    return n < 0 ? -1 : 0;
}

static void
compare_file(struct verify *verify, struct verify_user *user, const struct side_node *node,
             const struct seen *seen, const char *place)
{
    char sha1[41] = "", left[64], right[64];
    int64_t size = node->size;
    struct ls_err err = {0};

    if (node->sha1 && node->size >= 0) {
        snprintf(sha1, sizeof sha1, "%s", node->sha1);
    } else if (hash_on_disk(user, place, sha1, &size, &err) < 0) {
        verify_differ(verify, user, "unreadable", place, err.msg, "");
        return;
    }
    if (size != seen->size) {
        snprintf(left, sizeof left, "%" PRId64, size);
        snprintf(right, sizeof right, "%" PRId64, seen->size);
        verify_differ(verify, user, "size", place, left, right);
    } else if (strcmp(sha1, seen->sha1) != 0) {
        verify_differ(verify, user, "content", place, sha1, seen->sha1);
    }
    if (node->mtime != seen->mtime) {
        snprintf(left, sizeof left, "%" PRId64, node->mtime);
        snprintf(right, sizeof right, "%" PRId64, seen->mtime);
        verify_differ(verify, user, "mtime", place, left, right);
    }
}

static int compare_folder(struct verify *verify, struct verify_user *user, struct side_node *folder,
                          const char *target_id, struct ls_err *err);

static int
compare_child(struct verify *verify, struct verify_user *user, struct side_node *child,
              struct listing *listing, struct ls_err *err)
{
    struct seen *seen;
    const char *place;
    char text[64];

    if (side_child(child->up, child->name) != child)
        return 0; /* the other row of a doubled place is the one that users see */
    place = side_place(verify->side, child);
    user->count[child->folder ? VC_FOLDERS : VC_FILES]++;
    seen = find_seen(listing, child->name);
    if (!seen) {
        snprintf(text, sizeof text, child->folder ? "folder, %zu below" : "file",
                 count_below(child));
        verify_differ(verify, user, child->encrypted ? "missing (encrypted)" : "missing", place,
                      text, "");
        return 0;
    }
    seen->matched = true;
    if (seen->folder != child->folder) {
        verify_differ(verify, user, "type", place, child->folder ? "folder" : "file",
                      seen->folder ? "folder" : "file");
        return 0;
    }
    child->target_id = side_printf(verify->side, "%s", seen->id);
    if (!child->target_id)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    pthread_mutex_lock(&verify->lock);
    verify->ids++;
    if (child->folder && child->mtime != seen->mtime)
        verify->folder_mtimes++;
    pthread_mutex_unlock(&verify->lock);
    if (child->folder)
        return compare_folder(verify, user, child, child->target_id, err);
    compare_file(verify, user, child, seen, place);
    return 0;
}

static int
compare_folder(struct verify *verify, struct verify_user *user, struct side_node *folder,
               const char *target_id, struct ls_err *err)
{
    struct listing listing = {NULL, 0};
    int r = target_list(verify->target, user->user->uid, target_id, take_item, &listing, err);

    for (struct side_node *child = r == 0 && folder ? folder->first : NULL; child && r == 0;
         child = child->next)
        r = compare_child(verify, user, child, &listing, err);
    for (struct seen *seen = listing.first; seen && r == 0; seen = seen->next) {
        const char *above = folder ? side_place(verify->side, folder) : "files";
        const char *place = side_printf(verify->side, "%s/%s", above, seen->name);
        if (!seen->matched)
            verify_differ(verify, user, "extra", place ? place : seen->name, "",
                          seen->folder ? "folder" : "file");
    }
    listing_free(&listing);
    return r;
}

int
verify_tree(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct side_node *files = user->user->root ? side_child(user->user->root, "files") : NULL;

    return compare_folder(verify, user, files, NULL, err);
}

/* The base name of a trash entry: "a.txt.d1700000000" -> "a.txt". */
static size_t
base_length(const char *name)
{
    const char *dot = strrchr(name, '.');

    if (dot && dot[1] == 'd' && dot[2] && strspn(dot + 2, "0123456789") == strlen(dot + 2))
        return (size_t)(dot - name);
    return strlen(name);
}

/* Was it made under a free name, "<name> (lockstep <fileid>)"? */
static bool
is_made_name(const char *name, const char *base, size_t n, int64_t fileid)
{
    char tail[64];

    snprintf(tail, sizeof tail, " (lockstep %" PRId64 ")", fileid);
    return strncmp(name, base, n) == 0 && strcmp(name + n, tail) == 0;
}

static struct seen *
find_trashed(struct listing *listing, const struct side_node *item, int64_t size, bool *ret_made)
{
    size_t n = base_length(item->name);

    for (struct seen *seen = listing->first; seen; seen = seen->next) {
        bool same = strncmp(seen->name, item->name, n) == 0 && seen->name[n] == 0;
        *ret_made = !same && is_made_name(seen->name, item->name, n, item->fileid);
        if (!seen->matched && (same || *ret_made) && seen->folder == item->folder &&
            (item->folder || size < 0 || seen->size == size))
            return seen;
    }
    return NULL;
}

int
verify_trash(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct side_node *trash, *items = NULL;
    struct listing listing = {NULL, 0};
    bool made = false;

    trash = user->user->root ? side_child(user->user->root, "files_trashbin") : NULL;
    items = trash ? side_child(trash, "files") : NULL;
    if (target_trash(verify->target, user->user->uid, take_item, &listing, err) < 0) {
        listing_free(&listing);
        return -1;
    }
    for (struct side_node *item = items ? items->first : NULL; item; item = item->next) {
        struct seen *seen = find_trashed(&listing, item, item->size, &made);
        user->count[VC_TRASH]++;
        if (!seen) {
            verify_differ(verify, user, "trash: missing", side_place(verify->side, item),
                          item->folder ? "folder" : "file", "");
            continue;
        }
        seen->matched = true;
        if (made) {
            pthread_mutex_lock(&verify->lock);
            verify->trash_places++;
            pthread_mutex_unlock(&verify->lock);
        }
    }
    for (struct seen *seen = listing.first; seen; seen = seen->next)
        if (!seen->matched)
            verify_differ(verify, user, "trash: extra", seen->name, "",
                          seen->folder ? "folder" : "file");
    listing_free(&listing);
    return 0;
}
