/*
 * oCIS's side of verify, over the same CS3 client as apply but with none of its state.
 *
 * Every user is looked at as himself (impersonated), so what is compared is what he will see. A
 * space is found by listing, not from the ledger. A user whom the target does not know, or who is
 * disabled there, cannot be looked at: target_user says so and the caller decides.
 */
#include "ctl/target.h"
#include "apply/cs3.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct session {
    char *uid;
    char id[AP_ID_SIZE];
    struct ap_space space;
    bool has_space;
    UT_hash_handle hh;
};

struct target {
    struct cs3_client *cs3;
    pthread_mutex_t lock; /* of sessions */
    struct session *sessions;
};

int
target_open(const struct ls_config *config, struct target **ret, struct ls_err *err)
{
    struct target *target = calloc(1, sizeof *target);

    if (!target)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    pthread_mutex_init(&target->lock, NULL);
    if (cs3_client_new(config, NULL, NULL, &target->cs3, err) < 0 ||
        cs3_ping(target->cs3, err) < 0) {
        target_close(target);
        return -1;
    }
    *ret = target;
    return 0;
}

void
target_close(struct target *target)
{
    struct session *session, *tmp;

    if (!target)
        return;
    HASH_ITER(hh, target->sessions, session, tmp)
    {
        HASH_DEL(target->sessions, session);
        free(session->uid);
        free(session);
    }
    cs3_client_free(target->cs3);
    pthread_mutex_destroy(&target->lock);
    free(target);
}

/* The user's session; *ret is NULL when the target does not know him. */
static int
session_of(struct target *target, const char *uid, struct session **ret, struct ls_err *err)
{
    struct session *session;
    struct ls_err why = {0};

    pthread_mutex_lock(&target->lock);
    HASH_FIND_STR(target->sessions, uid, session);
    pthread_mutex_unlock(&target->lock);
    if (session) {
        *ret = session->id[0] ? session : NULL;
        return 0;
    }
    session = calloc(1, sizeof *session);
    if (!session || !(session->uid = strdup(uid))) {
        free(session);
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    }
    if (cs3_sign_in(target->cs3, uid, session->id, &why) < 0) {
        session->id[0] = 0;
        if (why.code != CS3_NOT_FOUND)
            goto fail;
    } else if (cs3_personal_space(target->cs3, uid, &session->space, &why) == 0) {
        session->has_space = true;
    } else if (strcmp(why.cause, "gone") != 0) {
        goto fail;
    }
    pthread_mutex_lock(&target->lock);
    HASH_ADD_KEYPTR(hh, target->sessions, session->uid, strlen(session->uid), session);
    pthread_mutex_unlock(&target->lock);
    *ret = session->id[0] ? session : NULL;
    return 0;
fail:
    *err = why;
    free(session->uid);
    free(session);
    return -1;
}

int
target_user(struct target *target, const char *uid, const char **ret_id, struct ls_err *err)
{
    struct session *session = NULL;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    *ret_id = session ? session->id : NULL;
    return 0;
}

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
                                                       .size = info->size,
                                                       .mtime = info->mtime,
                                                       .sha1 = info->sha1});
}

int
target_list(struct target *target, const char *uid, const char *node_id,
            int (*each)(void *arg, const struct target_item *item), void *arg, struct ls_err *err)
{
    struct session *session = NULL;
    struct item_arg item = {each, arg};
    struct cs3_place place;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space)
        return 0; /* no space: nothing in it */
    place = cs3_place_of(&session->space, node_id ? node_id : session->space.root_id, NULL);
    return cs3_list(target->cs3, uid, &place, give_info, &item, err);
}

static int
give_trashed(void *arg, const struct cs3_recycle_info *info)
{
    struct item_arg *item = arg;
    const char *slash = strrchr(info->path, '/');

    return item->each(item->arg, &(struct target_item){.id = info->key,
                                                       .name = slash ? slash + 1 : info->path,
                                                       .folder = info->folder,
                                                       .size = info->size,
                                                       .mtime = info->deleted_at,
                                                       .sha1 = ""});
}

int
target_trash(struct target *target, const char *uid,
             int (*each)(void *arg, const struct target_item *item), void *arg, struct ls_err *err)
{
    struct session *session = NULL;
    struct item_arg item = {each, arg};

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space)
        return 0;
    return cs3_list_recycle(target->cs3, uid, &session->space, NULL, give_trashed, &item, err);
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
                                              .state = received->state});
}

int
target_received(struct target *target, const char *uid,
                int (*each)(void *arg, const struct target_share *share), void *arg,
                struct ls_err *err)
{
    struct session *session = NULL;
    struct share_arg share = {each, arg};

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session)
        return 0;
    return cs3_list_received(target->cs3, uid, give_received, &share, err);
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
                                                       .permissions = info->permissions,
                                                       .expires = info->expires,
                                                       .has_password = info->has_password});
}

int
target_links(struct target *target, const char *uid,
             int (*each)(void *arg, const struct target_link *link), void *arg, struct ls_err *err)
{
    struct session *session = NULL;
    struct link_arg link = {each, arg};

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session)
        return 0;
    return cs3_list_links(target->cs3, uid, NULL, give_link, &link, err);
}
