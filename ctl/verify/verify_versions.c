/*
 * Compares the versions of one file.
 *
 * ownCloud keeps them in files_versions, in folders of the names of those around the file, as
 * "<name>.v<time>". The target has each as a revision of that second and size; of two contents of
 * one second the newest may be what the file holds now. It lists no checksum, and mostly ownCloud
 * has none of a version either. A file without versions in ownCloud is not asked for.
 *
 * What can go wrong: a version that ownCloud has a row of but no file (its own jobs erase files);
 * what the target has beyond ownCloud's, because versions expire there and not here: counted.
 */
#include "ctl/verify/verify.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct revision {
    int64_t mtime, size;
    bool used;
};
struct revisions {
    struct revision *each;
    size_t n, size;
};

static int
take_revision(void *arg, int64_t mtime, int64_t size)
{
    struct revisions *r = arg;

    if (r->n == r->size) {
        size_t more = r->size ? 2 * r->size : 64;
        struct revision *grown = realloc(r->each, more * sizeof *grown);
        if (!grown)
            return -1;
        r->each = grown;
        r->size = more;
    }
    r->each[r->n++] = (struct revision){mtime, size, false};
    return 0;
}

/* Where the versions of what lies in `folder` are. */
static const struct side_node *
versions_of(const struct side_node *folder)
{
    const struct side_node *up;

    if (!folder || !folder->up)
        return NULL;
    if (!folder->up->up) /* `files` */
        return strcmp(folder->name, "files") == 0 ? side_child(folder->up, "files_versions") : NULL;
    up = versions_of(folder->up);
    return up ? side_child(up, folder->name) : NULL;
}

/* "a.txt.v1700000000" of "a.txt" -> 1700000000, "a.txt.v-5" -> -5; false: it is none of its
 * versions. */
static bool
version_time(const char *name, const char *of, int64_t *ret)
{
    size_t n = strlen(of), digits;
    const char *time;

    if (strncmp(name, of, n) != 0 || name[n] != '.' || name[n + 1] != 'v')
        return false;
    time = name + n + 2;
    digits = strlen(time + (*time == '-'));
    if (digits == 0 || digits > 18 || strspn(time + (*time == '-'), "0123456789") != digits)
        return false;
    *ret = strtoll(time, NULL, 10);
    return true;
}

static bool
find(struct revisions *revisions, int64_t mtime, int64_t size)
{
    for (size_t i = 0; i < revisions->n; i++)
        if (!revisions->each[i].used && revisions->each[i].mtime == mtime &&
            (size < 0 || revisions->each[i].size == size))
            return revisions->each[i].used = true;
    return false;
}

static void
missing(struct verify *verify, struct verify_user *user, const struct side_node *version,
        const char *place, int64_t mtime)
{
    char what[64];
    int64_t size;
    struct ls_err err = {0};

    if (verify_on_disk(verify, user, version, side_place(verify->side, version), NULL, &size,
                       &err) < 0 &&
        strcmp(err.cause, "content-missing") == 0) {
        verify_left(verify, user, VL_VERSIONS_GONE);
        return;
    }
    snprintf(what, sizeof what, "of %" PRId64 ", %" PRId64 " bytes", mtime, version->size);
    verify_differ(verify, user,
                  &(struct verify_difference){.kind = VD_NODE,
                                              .fileid = version->fileid,
                                              .what = "version missing",
                                              .place = place,
                                              .source = what});
}

int
verify_versions(struct verify *verify, struct verify_user *user, const struct side_node *file,
                const char *place, int64_t mtime, int64_t size, struct ls_err *err)
{
    const struct side_node *folder = versions_of(file->up), *version;
    struct revisions revisions = {0};
    bool asked = false;
    bool on = ls_config_bool(verify->config, "apply", "versions");
    struct ls_err why = {0};
    int64_t time;
    int r = 0;

    for (version = folder ? folder->first : NULL; version && r == 0; version = version->next) {
        if (version->folder || version->doubled || !version_time(version->name, file->name, &time))
            continue;
        if (!on || !user->signs_in) {
            verify_left(verify, user, on ? VL_VERSIONS_UNSEEN : VL_VERSIONS_OFF);
            continue;
        }
        if (!asked)
            r = target_versions(verify->target, user->user->uid, file->target_id, take_revision,
                                &revisions, &why);
        asked = true;
        if (r == 0 && !find(&revisions, verify_mtime(time), version->size) &&
            !(mtime == verify_mtime(time) && (version->size < 0 || size == version->size)))
            missing(verify, user, version, place, time);
    }
    for (size_t i = 0; r == 0 && i < revisions.n; i++)
        if (!revisions.each[i].used)
            verify_not_kept(verify, user, VK_EXPIRIES);
    free(revisions.each);
    if (r == 0)
        return 0;
    return verify_unseen(verify, user,
                         (struct verify_difference){.kind = VD_NODE,
                                                    .fileid = file->fileid,
                                                    .target_id = file->target_id,
                                                    .what = strcmp(why.cause, "gone") == 0
                                                                ? "went away while it was read"
                                                                : "versions cannot be listed",
                                                    .place = place},
                         &why, err);
}
