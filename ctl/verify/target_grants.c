/*
 * Shares and grants on the nodes of a user's space.
 *
 * Only the owner is shown all of both: the service account, which reads the spaces of those who do
 * not sign in, may not list them. A gateway that runs out of time says "not found", which of a list
 * means nothing and of a person is asked again.
 */
#include "common/run.h"
#include "ctl/verify/target_room.h"
#include <stdio.h>
#include <string.h>

struct grant_arg {
    int (*each)(void *arg, const struct target_grant *grant);
    void *arg;
    const char *node_id, *owner_id; /* of grants */
    int64_t now;
    size_t n_shares;
};

/* His session, when he may be asked about his own nodes; else *ret is NULL. */
static int
owner_of(struct target *target, const char *uid, struct target_session **ret, struct ls_err *err)
{
    struct target_session *session = NULL;

    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    *ret = session && session->has_space && session->as == session->uid ? session : NULL;
    return 0;
}

static int
give_share(void *arg, const struct cs3_share_info *share)
{
    struct grant_arg *to = arg;

    to->n_shares++;
    return to->each(to->arg, &(struct target_grant){.node_id = share->node_id,
                                                    .grantee_id = share->grantee_id,
                                                    .group = share->group,
                                                    .permissions = share->permissions,
                                                    .expires = share->expires,
                                                    .share_id = share->id});
}

static int
list_shares(struct target *target, const char *uid, const struct cs3_place *places, size_t n,
            struct grant_arg *to, struct ls_err *err)
{
    struct target_tries tries = {0};
    int r;

    do {
        r = cs3_list_shares_on(target->cs3, uid, places, n, give_share, to, err);
        if (r < 0 && strcmp(err->cause, "gone") == 0) /* no verdict on any of the nodes */
            snprintf(err->cause, sizeof err->cause, "internal");
    } while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

int
target_shares_on(struct target *target, const char *uid, const char *const *node_ids, size_t n,
                 int (*each)(void *arg, const struct target_grant *share), void *arg,
                 struct ls_err *err)
{
    struct cs3_place places[TARGET_SHARES_AT_ONCE];
    struct target_session *session = NULL;
    struct grant_arg to = {.each = each, .arg = arg};
    int r = 0;

    if (owner_of(target, uid, &session, err) < 0)
        return -1;
    for (size_t from = 0; session && r == 0 && from < n; from += TARGET_SHARES_AT_ONCE) {
        size_t some = n - from < TARGET_SHARES_AT_ONCE ? n - from : TARGET_SHARES_AT_ONCE;
        for (size_t i = 0; i < some; i++)
            places[i] = cs3_place_of(&session->space, node_ids[from + i], NULL);
        to.n_shares = 0;
        r = list_shares(target, uid, places, some, &to, err);
        /* a gateway that is being stopped says once that there are none */
        if (r == 0 && to.n_shares == 0)
            r = list_shares(target, uid, places, some, &to, err);
    }
    return r;
}

static int
give_grant(void *arg, const struct cs3_grant_info *grant)
{
    struct grant_arg *to = arg;

    if (grant->expires != 0 && grant->expires < to->now)
        return 0; /* opens nothing, and oCIS takes it away at its next look */
    if (!grant->group && strcmp(grant->grantee_id, to->owner_id) == 0)
        return 0;
    return to->each(to->arg, &(struct target_grant){.node_id = to->node_id,
                                                    .grantee_id = grant->grantee_id,
                                                    .group = grant->group,
                                                    .permissions = grant->permissions,
                                                    .expires = grant->expires,
                                                    .share_id = ""});
}

int
target_grants(struct target *target, const char *uid, const char *node_id,
              int (*each)(void *arg, const struct target_grant *grant), void *arg,
              struct ls_err *err)
{
    struct grant_arg to = {
        .each = each, .arg = arg, .node_id = node_id, .now = ls_now_us() / 1000000};
    struct target_session *session = NULL;
    struct target_tries tries = {0};
    struct cs3_place place;
    int r;

    if (owner_of(target, uid, &session, err) < 0)
        return -1;
    if (!session)
        return 0;
    to.owner_id = session->id;
    place = cs3_place_of(&session->space, node_id, NULL);
    do
        r = cs3_list_grants(target->cs3, uid, &place, give_grant, &to, err);
    while (r < 0 && target_once_more(target, err, &tries));
    return r;
}

bool
target_grant_fits(const struct target_grant *grant, const struct target_grant *share)
{
    return cs3_grant_gives(
        &(struct cs3_grant_info){.permissions = grant->permissions, .expires = grant->expires},
        &(struct cs3_grant_info){.permissions = share->permissions, .expires = share->expires});
}

int
target_grantee(struct target *target, const char *uid, const char *id, bool group,
               char ret_name[256], struct ls_err *err)
{
    struct target_session *session = NULL;
    struct target_tries tries = {0};
    int r;

    if (owner_of(target, uid, &session, err) < 0)
        return -1;
    if (!session)
        return 0;
    do
        r = cs3_grantee_name(target->cs3, uid, id, group, ret_name, err);
    while (r < 0 && target_once_more(target, err, &tries));
    if (r < 0 && strcmp(err->cause, "gone") == 0)
        return 0;
    return r < 0 ? -1 : 1;
}
