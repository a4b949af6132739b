/*
 * Compares one user's live tree.
 *
 * Names are matched byte by byte below matched folders; a folder that is missing on one side is
 * one difference, with the number of things below it, not one for each. The content of a file is
 * compared by SHA1: the row's where it has one, else the one of the file on disk, read through
 * the same safe opening that apply uses. Folder mtimes are counted as "not kept": oCIS propagates
 * its own; a file's mtime beyond what oCIS can hold is expected as the nearest it can.
 */
#include "apply/content/blobs.h"
#include "apply/cs3/cs3.h"
#include "apply/plan/converge.h"
#include "common/run.h"
#include "ctl/verify/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    char *name, *id, sha1[41];
    bool folder, processing, granted, matched;
    int64_t size, mtime;
    UT_hash_handle hh; /* by name */
};

static void
seen_free(struct seen *seen)
{
    if (!seen)
        return;
    free(seen->name);
    free(seen->id);
    free(seen);
}

static int
take_item(void *arg, const struct target_item *item)
{
    struct seen **listing = arg, *seen = calloc(1, sizeof *seen);

    if (!seen || !(seen->name = strdup(item->name)) || !(seen->id = strdup(item->id))) {
        seen_free(seen);
        return -1;
    }
    snprintf(seen->sha1, sizeof seen->sha1, "%s", item->sha1);
    seen->folder = item->folder;
    seen->processing = item->processing;
    seen->granted = item->granted;
    seen->size = item->size;
    seen->mtime = item->mtime;
    HASH_ADD_KEYPTR(hh, *listing, seen->name, strlen(seen->name), seen);
    return 0;
}

static void
listing_free(struct seen *listing)
{
    struct seen *seen = listing, *next;

    HASH_CLEAR(hh, listing);
    for (; seen; seen = next) {
        next = seen->hh.next;
        seen_free(seen);
    }
}

size_t
verify_below(const struct side_node *folder)
{
    size_t n = 0;

    for (const struct side_node *child = folder->first; child; child = child->next)
        if (!child->doubled)
            n += 1 + verify_below(child);
    return n;
}

int64_t
verify_mtime(int64_t mtime)
{
    char text[40];

    cs3_mtime_text(mtime, 0, text, sizeof text);
    return strtoll(text, NULL, 10);
}

bool
verify_can_read(const struct verify *verify, const struct verify_user *user)
{
    struct ap_blob_want want = {
        .home = user->user->home, .relative = "files", .size = -1, .mtime = INT64_MIN};
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    if (user->user->in_bucket)
        return verify->objects && ap_objects_check(verify->objects, &err) == 0;
    return ap_blob_open(&want, &blob, &err) < 0 && err.code == EISDIR;
}

static int
read_once(const struct verify *verify, const struct verify_user *user, const struct side_node *node,
          const char *place, char sha1[41], int64_t *ret_size, struct ls_err *err)
{
    struct ap_blob_want want = {
        .home = user->user->home, .relative = place, .size = -1, .mtime = INT64_MIN};
    struct ap_blob *blob = NULL;
    static _Thread_local char piece[65536];
    ssize_t n = 0;

    if (user->user->in_bucket && !verify->objects)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "no-bucket", "[data] s3_endpoint is not set");
    want.objects = user->user->in_bucket ? verify->objects : NULL;
    want.object = node->fileid;
    if (ap_blob_open(&want, &blob, err) < 0)
        return -1;
    if (sha1) {
        while ((n = ap_blob_read(blob, piece, sizeof piece, err)) > 0)
            ;
        if (n == 0)
            snprintf(sha1, 41, "%s", ap_blob_sha1(blob));
    }
    if (n == 0)
        *ret_size = ap_blob_size(blob);
    ap_blob_close(blob);
    return n < 0 ? -1 : 0;
}

/* Trouble of all of it may pass: it is waited for once. */
static bool
once_more(struct verify *verify, const char *cause, int64_t until_ms)
{
    bool more = ap_content_is_away(cause) || strcmp(cause, "bucket-down") == 0 ||
                strcmp(cause, "bucket-slow") == 0;

    if (!more)
        return false;
    pthread_mutex_lock(&verify->lock);
    verify->impatient = verify->impatient || ls_mono_ms() >= until_ms;
    more = !verify->impatient;
    pthread_mutex_unlock(&verify->lock);
    if (more)
        ls_run_sleep_ms(500);
    return more && !ls_run_stopping();
}

int
verify_on_disk(struct verify *verify, const struct verify_user *user, const struct side_node *node,
               const char *place, char sha1[41], int64_t *ret_size, struct ls_err *err)
{
    int64_t until = ls_mono_ms() + verify->patience_ms;
    struct ls_err why;
    int r;

    do {
        why = (struct ls_err){0};
        r = read_once(verify, user, node, place, sha1, ret_size, &why);
    } while (r < 0 && once_more(verify, why.cause, until));
    if (r < 0)
        *err = why;
    return r;
}

static void
differ_number(struct verify *verify, struct verify_user *user, struct verify_difference d,
              const char *what, int64_t source, int64_t target)
{
    char left[32], right[32];

    snprintf(left, sizeof left, "%" PRId64, source);
    snprintf(right, sizeof right, "%" PRId64, target);
    d.what = what;
    d.source = left;
    d.target = right;
    verify_differ(verify, user, &d);
}

static struct verify_difference
of_node(const struct side_node *node, const char *place)
{
    return (struct verify_difference){
        .kind = VD_NODE, .fileid = node->fileid, .target_id = node->target_id, .place = place};
}

static int
compare_file(struct verify *verify, struct verify_user *user, const struct side_node *node,
             const struct seen *seen, const char *place, struct ls_err *ret_err)
{
    int64_t size = node->size, mtime = verify_mtime(node->mtime);
    struct verify_difference d = of_node(node, place);
    char sha1[41] = "";
    struct ls_err err = {0};
    int r = 0;

    if (node->sha1 && node->size >= 0) {
        snprintf(sha1, sizeof sha1, "%s", node->sha1);
    } else if (verify_on_disk(verify, user, node, place, sha1, &size, &err) < 0) {
        d.what = "unreadable";
        return verify_unread(verify, user, d, &err, ret_err);
    }
    if (size != seen->size) {
        differ_number(verify, user, d, "size", size, seen->size);
    } else if (strcmp(sha1, seen->sha1) != 0) {
        d.what = "content";
        d.source = sha1;
        d.target = seen->processing ? "(in processing)"
                   : *seen->sha1    ? seen->sha1
                                    : "(no checksum)";
        verify_differ(verify, user, &d);
    } else if (verify->deep &&
               verify_sampled(verify->seed, verify->sample, &node->fileid, sizeof node->fileid)) {
        r = verify_content(verify, user, node, place, ret_err);
    }
    if (mtime != node->mtime)
        verify_not_kept(verify, user, VK_MTIME_RANGE);
    if (mtime != seen->mtime)
        differ_number(verify, user, d, "mtime", node->mtime, seen->mtime);
    return r;
}

static int compare_folder(struct verify *verify, struct verify_user *user, struct side_node *folder,
                          const char *target_id, struct ls_err *err);

static int
compare_child(struct verify *verify, struct verify_user *user, struct side_node *child,
              struct seen *listing, struct ls_err *err)
{
    const char *place = side_place(verify->side, child);
    struct verify_difference d = of_node(child, place);
    struct seen *seen = NULL;
    char text[64];

    user->count[child->folder ? VC_FOLDERS : VC_FILES]++;
    HASH_FIND_STR(listing, child->name, seen);
    if (!seen) {
        if (child->folder)
            snprintf(text, sizeof text, "folder, %zu below", verify_below(child));
        d.what = child->encrypted ? "missing (encrypted)" : "missing";
        d.source = child->folder ? text : "file";
        verify_differ(verify, user, &d);
        return 0;
    }
    seen->matched = true;
    if (seen->folder != child->folder) {
        d.what = "type";
        d.target_id = seen->id;
        d.source = child->folder ? "folder" : "file";
        d.target = seen->folder ? "folder" : "file";
        verify_differ(verify, user, &d);
        return 0;
    }
    child->target_id = side_printf(verify->side, "%s", seen->id);
    if (!child->target_id)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    child->granted = seen->granted;
    verify_not_kept(verify, user, VK_IDS);
    if (child->folder) {
        if (child->mtime != seen->mtime)
            verify_not_kept(verify, user, VK_FOLDER_MTIMES);
        return compare_folder(verify, user, child, child->target_id, err);
    }
    if (compare_file(verify, user, child, seen, place, err) < 0)
        return -1;
    return verify_versions(verify, user, child, place, seen->mtime, seen->size, err);
}

/* Of several rows of one place those that users do not see: apply keeps a copy of each beside the
 * one that they see, under a free name (n_doubled counts them). */
static void
leave_doubled(struct seen *listing, const struct side_node *folder)
{
    for (const struct side_node *child = folder ? folder->first : NULL; child;
         child = child->next) {
        struct seen *seen = NULL;
        char name[256];

        if (!child->doubled)
            continue;
        ap_aside_name(name, sizeof name, child->name, child->fileid);
        HASH_FIND_STR(listing, name, seen);
        if (seen)
            seen->matched = true;
    }
}

/* `folder` NULL: the source has none, so whatever is there is too much. */
static int
compare_folder(struct verify *verify, struct verify_user *user, struct side_node *folder,
               const char *target_id, struct ls_err *err)
{
    const char *above = folder ? side_place(verify->side, folder) : "files";
    struct seen *listing = NULL, *seen;
    struct ls_err why = {0};
    int r = target_list(verify->target, user->user->uid, target_id, take_item, &listing, &why);

    if (r < 0) {
        bool gone = strcmp(why.cause, "gone") == 0;
        r = verify_unseen(verify, user,
                          (struct verify_difference){.kind = VD_NODE,
                                                     .fileid = folder ? folder->fileid : 0,
                                                     .target_id = target_id,
                                                     .what = gone
                                                                 ? "went away while it was read"
                                                                 : "cannot be listed at the target",
                                                     .place = above,
                                                     .source = "folder"},
                          &why, err);
        goto out;
    }
    for (struct side_node *child = folder ? folder->first : NULL; child && r == 0;
         child = child->next)
        if (!child->doubled)
            r = compare_child(verify, user, child, listing, err);
    leave_doubled(listing, folder);
    for (seen = listing; seen; seen = seen->hh.next) {
        const char *place =
            seen->matched || r < 0 ? NULL : side_printf(verify->side, "%s/%s", above, seen->name);
        if (!seen->matched && r == 0)
            verify_differ(verify, user,
                          &(struct verify_difference){.kind = VD_NODE,
                                                      .target_id = seen->id,
                                                      .what = "extra",
                                                      .place = place ? place : seen->name,
                                                      .target = seen->folder ? "folder" : "file"});
    }
out:
    listing_free(listing);
    return r;
}

int
verify_tree(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct side_node *files = user->user->root ? side_child(user->user->root, "files") : NULL;

    return compare_folder(verify, user, files, NULL, err);
}
