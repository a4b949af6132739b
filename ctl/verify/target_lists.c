/*
 * The lists of oCIS's side. Each is handed on only when the reply is whole.
 */
#include "ctl/verify/target_room.h"
#include <stdio.h>
#include <string.h>

struct item_arg {
    int (*each)(void *arg, const struct target_item *item);
    void *arg;
};

static int
give_info(void *arg, const struct cs3_info *info)
{
    struct item_arg *item = arg;

    return item->each(item->arg, &(struct target_item){.id = info->id,
                                                       .name = info->name,
                                                       .folder = info->folder,
                                                       .processing = info->processing,
                                                       .granted = info->granted,
                                                       .size = info->size,
                                                       .mtime = info->mtime,
                                                       .sha1 = info->sha1});
}

int
target_list(struct target *target, const char *uid, const char *node_id,
            int (*each)(void *arg, const struct target_item *item), void *arg, struct ls_err *err)
{
    struct target_session *session = NULL;
    struct item_arg item = {each, arg};
    struct cs3_place place;
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space)
        return 0; /* no space: nothing in it */
    place = cs3_place_of(&session->space, node_id ? node_id : session->space.root_id, NULL);
    do
        r = cs3_list(target->cs3, session->as, &place, give_info, &item, err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

struct version_arg {
    int (*each)(void *arg, int64_t mtime, int64_t size);
    void *arg;
};

static int
give_version(void *arg, const struct cs3_version_info *info)
{
    struct version_arg *version = arg;

    return version->each(version->arg, info->mtime, info->size);
}

int
target_versions(struct target *target, const char *uid, const char *node_id,
                int (*each)(void *arg, int64_t mtime, int64_t size), void *arg, struct ls_err *err)
{
    struct target_session *session = NULL;
    struct version_arg version = {each, arg};
    struct cs3_place place;
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space || session->as != session->uid)
        return 0;
    place = cs3_place_of(&session->space, node_id, NULL);
    do
        r = cs3_list_versions(target->cs3, session->as, &place, give_version, &version, err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

struct trashed_arg {
    int (*each)(void *arg, const struct target_trashed *item);
    void *arg;
    bool top;
};

static int
give_trashed(void *arg, const struct cs3_recycle_info *info)
{
    struct trashed_arg *trashed = arg;
    const char *of = trashed->top ? info->path : info->key, *slash = strrchr(of, '/');
    char where[8192] = "";

    if (trashed->top && slash)
        snprintf(where, sizeof where, "%.*s", (int)(slash - of), of);
    return trashed->each(trashed->arg,
                         &(struct target_trashed){.key = info->key,
                                                  .name = slash ? slash + 1 : of,
                                                  .where = where,
                                                  .folder = info->folder,
                                                  .size = trashed->top ? -1 : info->size,
                                                  .deleted_at = info->deleted_at});
}

int
target_trash(struct target *target, const char *uid, const char *key,
             int (*each)(void *arg, const struct target_trashed *item), void *arg,
             struct ls_err *err)
{
    struct target_session *session = NULL;
    struct trashed_arg trashed = {each, arg, key == NULL};
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space)
        return 0;
    do
        r = cs3_list_recycle(target->cs3, session->as, &session->space, key, give_trashed, &trashed,
                             err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

static int
take_size(void *arg, const struct cs3_recycle_info *info)
{
    *(int64_t *)arg = info->size;
    return 0;
}

int
target_trashed_size(struct target *target, const char *uid, const char *key, int64_t *ret,
                    struct ls_err *err)
{
    struct target_session *session = NULL;
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    *ret = -1;
    if (!session || !session->has_space)
        return 0;
    do
        r = cs3_recycle_item(target->cs3, session->as, &session->space, key, take_size, ret, err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

struct share_arg {
    int (*each)(void *arg, const struct target_share *share);
    void *arg;
};

static int
give_received(void *arg, const struct cs3_received_info *received)
{
    struct share_arg *share = arg;

    return share->each(share->arg,
                       &(struct target_share){.share_id = received->share.id,
                                              .node_id = received->share.node_id,
                                              .permissions = received->share.permissions,
                                              .expires = received->share.expires,
                                              .state = (int)received->state});
}

int
target_received(struct target *target, const char *uid,
                int (*each)(void *arg, const struct target_share *share), void *arg,
                struct ls_err *err)
{
    struct target_session *session = NULL;
    struct share_arg share = {each, arg};
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || session->as != session->uid)
        return 0;
    do
        r = cs3_list_received(target->cs3, uid, give_received, &share, err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

struct link_arg {
    int (*each)(void *arg, const struct target_link *link);
    void *arg;
};

static int
give_link(void *arg, const struct cs3_link_info *info)
{
    struct link_arg *link = arg;

    return link->each(link->arg, &(struct target_link){.link_id = info->id,
                                                       .node_id = info->node_id,
                                                       .label = info->label,
                                                       .token = info->token,
                                                       .permissions = info->permissions,
                                                       .expires = info->expires,
                                                       .has_password = info->has_password});
}

int
target_links(struct target *target, const char *uid,
             int (*each)(void *arg, const struct target_link *link), void *arg, struct ls_err *err)
{
    struct target_session *session = NULL;
    struct link_arg link = {each, arg};
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || session->as != session->uid)
        return 0;
    do
        r = cs3_list_links(target->cs3, uid, NULL, give_link, &link, err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}
