/*
 * The writer `null`: a dry run.
 *
 * Every call succeeds, changes nothing, is counted and logged at debug. Ids are made up: "null-"
 * and a number, so that they are never mistaken for a target's; the same person or space has the
 * same id again. Content is read and checked as for a real target, because that is half of what a
 * dry run is for; without a data directory that fails as it would fail there.
 */
#include "apply/writer.h"
#include "common/log.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct null_writer {
    struct ap_writer writer; /* first */
    ap_call_fn *call_counter;
    void *arg;
    atomic_ullong next_id;
};

static void
called(struct ap_writer *w, const char *method)
{
    struct null_writer *null = (struct null_writer *)w;

    ls_log(LS_DEBUG, "null-call", LS_S("method", method));
    if (null->call_counter)
        null->call_counter(null->arg, method, "ok", 0);
}

static void
id_new(struct ap_writer *w, char id[AP_ID_SIZE])
{
    struct null_writer *null = (struct null_writer *)w;

    snprintf(id, AP_ID_SIZE, "null-%llu", atomic_fetch_add(&null->next_id, 1) + 1);
}

/* FNV-1a: long names, too, give a short id. */
static void
id_of_name(char kind, const char *name, size_t n, char id[AP_ID_SIZE])
{
    unsigned long long hash = 14695981039346656037ull;

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)name[i]) * 1099511628211ull;
    snprintf(id, AP_ID_SIZE, "null-%c%016llx", kind, hash);
}

static int
null_open(struct ap_writer *w, struct ls_err *err)
{
    (void)err;
    called(w, "open");
    return 0;
}

static void
null_close(struct ap_writer *w)
{
    free(w);
}

static int
null_ping(struct ap_writer *w, struct ls_err *err)
{
    (void)w;
    (void)err;
    return 0;
}

/* ---- looks: nothing was made, so nothing can be otherwise */

static int
node_look(struct ap_writer *w, const struct ap_space *space, const char *node_id,
          struct ap_trash_ref below, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    (void)w, (void)space, (void)node_id, (void)below, (void)mtime, (void)err;
    *ret = (struct ap_found){.where = AP_FOUND_AS_KNOWN};
    return 0;
}

static int
place_look(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
           const char *name, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    (void)w, (void)space, (void)parent_id, (void)name, (void)mtime, (void)err;
    *ret = (struct ap_found){.where = AP_FOUND_NOT};
    return 0;
}

static int
trash_seek(struct ap_writer *w, const struct ap_space *space, const struct ap_trash_seek *what,
           struct ap_found *ret, struct ls_err *err)
{
    (void)w, (void)space, (void)what, (void)err;
    *ret = (struct ap_found){.where = AP_FOUND_NOT};
    return 0;
}

static int
person_look(struct ap_writer *w, enum cs3_person_type type, const char *name,
            struct ap_person_found *ret, struct ls_err *err)
{
    (void)w, (void)type, (void)name, (void)err;
    *ret = (struct ap_person_found){.as_known = true};
    return 0;
}

static int
member_look(struct ap_writer *w, const char *group_id, const char *user_id,
            struct ap_person_found *ret, struct ls_err *err)
{
    (void)w, (void)group_id, (void)user_id, (void)err;
    *ret = (struct ap_person_found){.as_known = true};
    return 0;
}

static int
space_look(struct ap_writer *w, const char *uid, struct ap_space_found *ret, struct ls_err *err)
{
    (void)w, (void)uid, (void)err;
    *ret = (struct ap_space_found){.as_known = true};
    return 0;
}

static int
user_ensure(struct ap_writer *w, const struct cs3_person *person, struct ap_person_id *ret,
            struct ls_err *err)
{
    (void)err;
    called(w, "user_ensure");
    id_of_name('u', person->uid.p ? person->uid.p : "", person->uid.n, ret->id);
    return 0;
}

static int
user_enable(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    (void)user_id;
    (void)enabled;
    (void)err;
    called(w, "user_enable");
    return 0;
}

static int
group_ensure(struct ap_writer *w, const struct cs3_person *group, struct ap_person_id *ret,
             struct ls_err *err)
{
    (void)err;
    called(w, "group_ensure");
    id_of_name('g', group->gid.p, group->gid.n, ret->id);
    return 0;
}

static int
group_remove(struct ap_writer *w, const char *group_id, struct ls_err *err)
{
    (void)group_id;
    (void)err;
    called(w, "group_remove");
    return 0;
}

static int
member_set(struct ap_writer *w, const char *group_id, const char *user_id, bool member,
           struct ls_err *err)
{
    (void)group_id;
    (void)user_id;
    (void)member;
    (void)err;
    called(w, "member_set");
    return 0;
}

static int
space_ensure(struct ap_writer *w, const char *uid, struct ap_space *ret, struct ls_err *err)
{
    (void)err;
    called(w, "space_ensure");
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->storage_id, sizeof(ret->storage_id), "null");
    id_of_name('s', uid, strlen(uid), ret->space_id);
    memcpy(ret->root_id, ret->space_id, sizeof(ret->root_id));
    snprintf(ret->owner, sizeof(ret->owner), "%s", uid);
    return 0;
}

static int
space_quota(struct ap_writer *w, const struct ap_space *space, int64_t bytes, struct ls_err *err)
{
    (void)space;
    (void)bytes;
    (void)err;
    called(w, "space_quota");
    return 0;
}

static int
make_folder(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
            const char *name, const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
            struct ls_err *err)
{
    (void)expect;
    (void)space;
    (void)parent_id;
    (void)name;
    (void)doubtful;
    (void)err;
    called(w, "make_folder");
    memset(ret, 0, sizeof(*ret));
    id_new(w, ret->id);
    return 0;
}

static int
put_file(struct ap_writer *w, const struct ap_space *space, const char *node_id,
         const char *parent_id, const char *name, const struct ap_blob_want *want, int64_t mtime,
         uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
         struct ls_err *err)
{
    struct ap_blob *blob = NULL;
    char piece[65536];
    ssize_t n;

    (void)expect;
    (void)space;
    (void)parent_id;
    (void)name;
    (void)mtime_ns;
    (void)doubtful;
    if (ap_blob_open(want, &blob, err) < 0)
        return -1;
    while ((n = ap_blob_read(blob, piece, sizeof(piece), err)) > 0) {
    }
    if (n == 0) {
        called(w, "put_file");
        memset(ret, 0, sizeof(*ret));
        if (node_id)
            snprintf(ret->id, sizeof(ret->id), "%s", node_id);
        else
            id_new(w, ret->id);
        snprintf(ret->sha1, sizeof(ret->sha1), "%s", ap_blob_sha1(blob));
        ret->size = ap_blob_size(blob);
        ret->mtime = mtime;
    }
    ap_blob_close(blob);
    return n < 0 ? -1 : 0;
}

static int
set_mtime(struct ap_writer *w, const struct ap_space *space, const char *node_id, int64_t mtime,
          uint32_t mtime_ns, const struct ap_expect *expect, struct ls_err *err)
{
    (void)expect;
    (void)space;
    (void)node_id;
    (void)mtime;
    (void)mtime_ns;
    (void)err;
    called(w, "set_mtime");
    return 0;
}

static int
move(struct ap_writer *w, const struct ap_space *space, const char *node_id, const char *parent_id,
     const char *name, const struct ap_expect *expect, bool doubtful, struct ls_err *err)
{
    (void)expect;
    (void)space;
    (void)node_id;
    (void)parent_id;
    (void)name;
    (void)doubtful;
    (void)err;
    called(w, "move");
    return 0;
}

static int
trash(struct ap_writer *w, const struct ap_space *space, const char *node_id,
      const struct ap_expect *expect, bool doubtful, struct ap_node *ret, struct ls_err *err)
{
    (void)expect;
    (void)ret;
    (void)space;
    (void)node_id;
    (void)doubtful;
    (void)err;
    called(w, "trash");
    return 0;
}

static int
restore(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref from,
        const char *parent_id, const char *name, const struct ap_expect *expect, bool doubtful,
        struct ap_node *ret, struct ls_err *err)
{
    (void)expect;
    (void)space;
    (void)parent_id;
    (void)name;
    (void)doubtful;
    (void)err;
    called(w, "restore");
    memset(ret, 0, sizeof(*ret));
    if (from.relative && *from.relative)
        id_new(w, ret->id);
    else
        snprintf(ret->id, sizeof(ret->id), "%s", from.top_id);
    return 0;
}

static int
purge(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref what,
      const struct ap_expect *expect, struct ls_err *err)
{
    (void)expect;
    (void)space;
    (void)what;
    (void)err;
    called(w, "purge");
    return 0;
}

static int
share_set(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
          bool doubtful, struct ls_err *err)
{
    (void)want;
    (void)doubtful;
    (void)err;
    called(w, "share_set");
    if (!share_id[0])
        id_new(w, share_id);
    return 0;
}

static int
share_find(struct ap_writer *w, const struct ap_share_want *want, char ret_id[AP_ID_SIZE],
           struct ls_err *err)
{
    (void)w, (void)want, (void)err;
    ret_id[0] = '\0';
    return 0;
}

static int
share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
             const char *share_id, bool doubtful, struct ls_err *err)
{
    (void)space;
    (void)sharer;
    (void)share_id;
    (void)doubtful;
    (void)err;
    called(w, "share_remove");
    return 0;
}

static int
received_set(struct ap_writer *w, const char *recipient, const char *share_id,
             enum cs3_share_state state, const char *mount_point, bool doubtful, struct ls_err *err)
{
    (void)doubtful;
    (void)recipient;
    (void)share_id;
    (void)state;
    (void)mount_point;
    (void)err;
    called(w, "received_set");
    return 0;
}

static int
link_set(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
         bool doubtful, struct ls_err *err)
{
    (void)want;
    (void)doubtful;
    (void)err;
    called(w, "link_set");
    if (!link_id[0])
        id_new(w, link_id);
    return 0;
}

static int
link_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
            const char *link_id, bool doubtful, struct ls_err *err)
{
    (void)space;
    (void)sharer;
    (void)link_id;
    (void)doubtful;
    (void)err;
    called(w, "link_remove");
    return 0;
}

static const struct ap_writer_ops ops = {
    .open = null_open,
    .close = null_close,
    .ping = null_ping,
    .node_look = node_look,
    .place_look = place_look,
    .trash_seek = trash_seek,
    .person_look = person_look,
    .member_look = member_look,
    .space_look = space_look,
    .user_ensure = user_ensure,
    .user_enable = user_enable,
    .group_ensure = group_ensure,
    .group_remove = group_remove,
    .member_set = member_set,
    .space_ensure = space_ensure,
    .space_quota = space_quota,
    .make_folder = make_folder,
    .put_file = put_file,
    .set_mtime = set_mtime,
    .move = move,
    .trash = trash,
    .restore = restore,
    .purge = purge,
    .share_set = share_set,
    .share_find = share_find,
    .share_remove = share_remove,
    .received_set = received_set,
    .link_set = link_set,
    .link_remove = link_remove,
};

int
ap_null_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
            struct ap_writer **ret, struct ls_err *err)
{
    struct null_writer *null = calloc(1, sizeof(*null));

    (void)config;
    if (!null)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    null->writer = (struct ap_writer){.ops = &ops, .name = "null"};
    null->call_counter = call_counter;
    null->arg = arg;
    *ret = &null->writer;
    return 0;
}
