/*
 * Shares and links over the sharing API, for the writer `ocis-api`.
 *
 * oCIS knows no sharing on: who is not the owner of the space may not share, so what he shared in
 * ownCloud is then shared by the owner. A share without any permission would be a denial, which is
 * something else. What is expired, or has no permission left, must not stay open: it is removed,
 * and then refused.
 *
 * The server loses grants when two are added to one node at once, and its link manager loses the
 * race against itself; so one change per node, and one change of a link, at a time. A share that
 * is made although its grant could not be written (a leftover one) is rolled back with the grant:
 * once again then works. The grant comes last, and not at all when our deadline passes before it:
 * then the share is listed, opens nothing, and no change of it succeeds until the grant is added;
 * one that was removed so is gone from the list while its grant still opens the node. "Not found"
 * of the gateway is no verdict, so a share that seems to be gone is looked for in the list before
 * another one is made.
 *
 * Two links of one file may look the same, so none is ever adopted for its looks: it could be that
 * of another row (but where the ledger was lost, and all of them have to be some row's). A link is
 * made under a label of ours, which it keeps until all else is right; a
 * doubtful try takes up only what still has that label. Who is killed after that, before the
 * ledger has the id, makes a second link, whose address nobody has been told.
 */
#include "apply/ocis/ocis_api.h"
#include "apply/ocis/share_files.h"
#include "common/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NEVER_GRANTED                                                                              \
    (CS3_PERM_ADD_GRANT | CS3_PERM_UPDATE_GRANT | CS3_PERM_REMOVE_GRANT | CS3_PERM_DENY_GRANT)
#define FOLDERS_ONLY (CS3_PERM_CREATE_CONTAINER | CS3_PERM_MOVE | CS3_PERM_DELETE)

int64_t
ap_share_possible(int64_t permissions, bool folder)
{
    permissions &= ~(int64_t)NEVER_GRANTED;
    return folder ? permissions : permissions & ~(int64_t)FOLDERS_ONLY;
}

int
ap_share_open_check(int64_t permissions, bool folder, int64_t expires, struct ls_err *err)
{
    if (!ap_share_possible(permissions, folder))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused",
                             "no permission is left that oCIS can grant here");
    if (expires && expires <= ls_now_us() / 1000000)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "expired", "it has expired at the source");
    return 0;
}

/* Worth another try as the owner: what the sharer is told when he may not, or does not exist.
 * (INTERNAL is how the server's own nil pointer looks when he cannot see the node.) */
static bool
owner_may(const struct ls_err *why)
{
    return ap_cause_is(why, "denied") || ap_cause_is(why, "refused") ||
           ap_cause_is(why, "internal") || ap_cause_is(why, "gone") ||
           ap_cause_is(why, "sign-in") || ap_cause_is(why, "no-user");
}

bool
ap_share_by_owner(const struct ap_space *space, const char *sharer)
{
    return !sharer || !*sharer || !strcmp(sharer, space->owner);
}

pthread_mutex_t *
ap_share_node_lock(struct ap_ocis *ocis, const char *node_id)
{
    unsigned hash = 5381;

    for (const char *p = node_id; *p; p++)
        hash = hash * 33 + (unsigned char)*p;
    return &ocis->shares[hash % AP_SHARE_LOCKS];
}

/* An owner whom the target has disabled, or has no more, cannot be acted for, while those he shared
 * with still see it all: then the service account takes the grant away, where there is one. (It may
 * also add one, but not change one, so no share is made by it.) */
int
ap_share_grant_drop(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
                    const char *grantee_id, bool group, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(space, node_id, NULL);
    pthread_mutex_t *lock = ap_share_node_lock(ocis, node_id);
    struct ls_err why = {0};
    int r;

    pthread_mutex_lock(lock);
    r = cs3_remove_grant(ocis->cs3, space->owner, &node, grantee_id, group, &why);
    if (r < 0 && ap_cause_is(&why, "no-user")) {
        struct ls_err by_service = {0};
        r = cs3_remove_grant(ocis->cs3, CS3_SERVICE_ACCOUNT, &node, grantee_id, group, &by_service);
        /* Not configured, or not allowed: the owner may come back. */
        if (r < 0 && by_service.kind == LS_ERR_RETRY)
            why = by_service;
    }
    pthread_mutex_unlock(lock);
    if (r == 0 || ap_cause_is(&why, "gone")) /* the grant, or the node with it */
        return 0;
    if (err)
        *err = why;
    return -1;
}

/* ---- shares */
struct share_search {
    const char *id, *grantee_id; /* one of them */
    bool group, found;
    int64_t permissions, expires;
    char found_id[AP_ID_SIZE];
};

static int
share_check(void *arg, const struct cs3_share_info *share)
{
    struct share_search *search = arg;

    if (search->id
            ? strcmp(share->id, search->id) != 0
            : strcmp(share->grantee_id, search->grantee_id) != 0 || share->group != search->group)
        return 0;
    if (strlen(share->id) >= AP_ID_SIZE)
        return 0;
    snprintf(search->found_id, sizeof(search->found_id), "%s", share->id);
    search->permissions = share->permissions;
    search->expires = share->expires;
    search->found = true;
    return 0;
}

static int
share_search(struct ap_ocis *ocis, const struct ap_share_want *want, struct share_search *search,
             struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);

    search->found = false;
    return cs3_list_shares(ocis->cs3, want->space->owner, &node, share_check, search, err);
}

static int
share_update_once(struct ap_ocis *ocis, const struct ap_share_want *want, const char *share_id,
                  const struct cs3_grant_info *grant, struct ls_err *err)
{
    struct ls_err why = {0};

    if (!ap_share_by_owner(want->space, want->sharer)) {
        if (cs3_update_share(ocis->cs3, want->sharer, share_id, grant, &why) == 0)
            return 0;
        if (!owner_may(&why)) {
            if (err)
                *err = why;
            return -1;
        }
    }
    return cs3_update_share(ocis->cs3, want->space->owner, share_id, grant, err);
}

static int
share_create_as(struct ap_ocis *ocis, const char *as, const struct ap_share_want *want,
                const struct cs3_grant_info *grant, char share_id[AP_ID_SIZE], struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);

    return cs3_create_share(ocis->cs3, as, want->space->owner, &node, want->folder, grant, share_id,
                            err);
}

int
ap_grant_check(void *arg, const struct cs3_grant_info *grant)
{
    struct ap_grant_search *search = arg;

    if (grant->group != search->want->group ||
        strcmp(grant->grantee_id, search->want->grantee_id) != 0)
        return 0;
    search->found = true;
    search->right = cs3_grant_gives(grant, search->want);
    return 0;
}

/* 1: the grantee had no grant on the node, and has it now; 0: he has one; -1: err. */
static int
grant_complete(struct ap_ocis *ocis, const struct ap_share_want *want,
               const struct cs3_grant_info *grant, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);
    struct ap_grant_search search = {.want = grant};
    struct ls_err why = {0};

    if (cs3_list_grants(ocis->cs3, want->space->owner, &node, ap_grant_check, &search, err) < 0)
        return -1;
    if (search.found)
        return 0;
    if (cs3_add_grant(ocis->cs3, want->space->owner, &node, grant, &why) == 0 ||
        ap_cause_is(&why, "taken"))
        return 1;
    if (err)
        *err = why;
    return -1;
}

/* INTERNAL is also what a share without its grant gets, for good. */
static int
share_update(struct ap_ocis *ocis, const struct ap_share_want *want, const char *share_id,
             const struct cs3_grant_info *grant, struct ls_err *err)
{
    struct ls_err why = {0};

    if (share_update_once(ocis, want, share_id, grant, &why) == 0)
        return 0;
    if (ap_cause_is(&why, "internal") && grant_complete(ocis, want, grant, NULL) == 1)
        return share_update_once(ocis, want, share_id, grant, err);
    if (err)
        *err = why;
    return -1;
}

/* A share whose grant was lost looks whole to everyone but the one it is for. */
static int
grant_verify(struct ap_ocis *ocis, const struct ap_share_want *want,
             const struct cs3_grant_info *grant, const char *share_id, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);
    struct ap_grant_search search = {.want = grant};

    if (cs3_list_grants(ocis->cs3, want->space->owner, &node, ap_grant_check, &search, err) < 0)
        return ap_unknown(err);
    if (search.right)
        return 0;
    if (search.found)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout",
                             "the target lost a change of the share's grant");
    if (cs3_remove_share(ocis->cs3, want->space->owner, share_id, NULL) < 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout",
                             "the target lost the grant of the share, and may keep the share");
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "busy", "the target lost the grant of the share");
}

/* The gateway does not say when it is the node that is missing. */
static int
share_fail(struct ap_ocis *ocis, const struct ap_share_want *want, const struct ls_err *why,
           struct ls_err *err)
{
    struct cs3_info info;

    if (owner_may(why) && ap_look(ocis, want->space, want->node_id, NULL, &info, NULL) == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, why->code, "gone", "the shared node is not there");
    if (err)
        *err = *why;
    return -1;
}

/* INTERNAL, and made all the same? One look that fails is no answer. Where the list cannot be had
 * at all it stays trouble of this one, since nobody knows for how long. */
static int
share_made_anyway(struct ap_ocis *ocis, const struct ap_share_want *want,
                  struct share_search *search, struct ls_err *err)
{
    struct ls_err why = {0};

    for (int try = 0; try < AP_LOOKS; try++) {
        if (share_search(ocis, want, search, &why) == 0)
            return 0;
        if (!ap_cause_is(&why, "internal"))
            break;
        ls_run_sleep_ms(AP_LOOK_PAUSE_MS);
    }
    if (err)
        *err = why;
    return -1;
}

/* Makes the share, or takes over the one that is there for this grantee. */
static int
share_create(struct ap_ocis *ocis, const struct ap_share_want *want,
             const struct cs3_grant_info *grant, char share_id[AP_ID_SIZE], struct ls_err *err)
{
    struct share_search search = {.grantee_id = want->grantee_id, .group = want->group};
    struct ls_err why = {0};
    int r = -1;

    if (!ap_share_by_owner(want->space, want->sharer))
        r = share_create_as(ocis, want->sharer, want, grant, share_id, &why);
    if (r < 0 && (ap_share_by_owner(want->space, want->sharer) || owner_may(&why)))
        r = share_create_as(ocis, want->space->owner, want, grant, share_id, &why);
    if (r < 0 && (ap_cause_is(&why, "taken") || ap_cause_is(&why, "internal"))) {
        if (share_made_anyway(ocis, want, &search, err) < 0)
            return -1;
        if (search.found) {
            snprintf(share_id, AP_ID_SIZE, "%s", search.found_id);
            if (share_update(ocis, want, share_id, grant, err) < 0)
                return ap_unknown(err); /* open as it is, and nobody has its id */
            return grant_verify(ocis, want, grant, share_id, err);
        }
        if (ap_cause_is(&why, "taken"))
            r = share_create_as(ocis, want->space->owner, want, grant, share_id, &why);
    }
    if (r == 0)
        return grant_verify(ocis, want, grant, share_id, err);
    return share_fail(ocis, want, &why, err);
}

/* It is as it shall be, and its grant, too: nothing needs to be written. 1, 0 or -1. */
static int
share_is_right(struct ap_ocis *ocis, const struct ap_share_want *want, const char *share_id,
               const struct cs3_grant_info *grant, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);
    struct share_search search = {.id = share_id};
    struct ap_grant_search is = {.want = grant};

    if (share_search(ocis, want, &search, err) < 0)
        return -1;
    if (!search.found || search.permissions != grant->permissions ||
        search.expires != grant->expires)
        return 0;
    if (cs3_list_grants(ocis->cs3, want->space->owner, &node, ap_grant_check, &is, err) < 0)
        return -1;
    return is.right;
}

static int
share_set_locked(struct ap_ocis *ocis, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
                 bool doubtful, struct ls_err *err)
{
    const struct cs3_grant_info grant = {
        .grantee_id = want->grantee_id,
        .group = want->group,
        .permissions = ap_share_possible(want->permissions, want->folder),
        .expires = ap_share_time(want->expires),
    };
    struct share_search search = {0};
    char id[AP_ID_SIZE] = "";
    struct ls_err why = {0};
    int right;

    if (share_id[0] && doubtful) {
        right = share_is_right(ocis, want, share_id, &grant, &why);
        if (right < 0)
            return share_fail(ocis, want, &why, err);
        if (right)
            return 0;
    }
    if (!share_id[0] && doubtful) {
        search = (struct share_search){.grantee_id = want->grantee_id, .group = want->group};
        if (share_search(ocis, want, &search, err) < 0)
            return -1;
    }
    if (share_id[0] || search.found) {
        snprintf(id, sizeof(id), "%s", share_id[0] ? share_id : search.found_id);
        if (share_update(ocis, want, id, &grant, &why) == 0) {
            if (grant_verify(ocis, want, &grant, id, err) < 0)
                return -1;
            goto done;
        }
        search = (struct share_search){.id = id};
        if (!owner_may(&why) || share_search(ocis, want, &search, NULL) < 0 || search.found)
            return share_fail(ocis, want, &why, err);
        id[0] = '\0';
    }
    if (share_create(ocis, want, &grant, id, err) < 0)
        return -1;
done:
    memcpy(share_id, id, AP_ID_SIZE);
    return 0;
}

int
ap_ocis_share_set(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
                  bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    pthread_mutex_t *lock = ap_share_node_lock(ocis, want->node_id);
    struct ls_err why = {0};
    int r;

    if (ap_share_open_check(want->permissions, want->folder, want->expires, &why) < 0) {
        if (share_id[0] &&
            (ap_ocis_share_remove(w, want->space, want->sharer, share_id, false, err) < 0 ||
             ap_ocis_share_clear(w, want, share_id, err) < 0))
            return -1;
        if (err)
            *err = why;
        return -1;
    }
    pthread_mutex_lock(lock);
    r = share_set_locked(ocis, want, share_id, doubtful, err);
    pthread_mutex_unlock(lock);
    return r;
}

int
ap_ocis_share_find(struct ap_writer *w, const struct ap_share_want *want, char ret_id[AP_ID_SIZE],
                   struct ls_err *err)
{
    struct share_search search = {.grantee_id = want->grantee_id, .group = want->group};

    if (share_search(ap_ocis_of(w), want, &search, err) < 0)
        return -1;
    memcpy(ret_id, search.found_id, AP_ID_SIZE);
    return 0;
}

int
ap_ocis_share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                     const char *share_id, bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct share_search search = {.id = share_id};
    struct ls_err why = {0};
    int r = -1;

    if (doubtful) { /* the owner of the space is shown whoever's it is */
        if (cs3_list_shares(ocis->cs3, space->owner, NULL, share_check, &search, err) < 0)
            return -1;
        if (!search.found)
            return 0;
    }
    if (!ap_share_by_owner(space, sharer))
        r = cs3_remove_share(ocis->cs3, sharer, share_id, &why);
    if (r < 0 && (ap_share_by_owner(space, sharer) || owner_may(&why)))
        r = cs3_remove_share(ocis->cs3, space->owner, share_id, &why);
    if (r == 0)
        return 0;
    if (!owner_may(&why))
        goto fail;
    /* The share goes before its grant does, and the grant may have gone with the node. */
    if (cs3_share_exists(ocis->cs3, space->owner, share_id, NULL) == 0)
        return 0;
    /* The gateway removes no share of a node that it cannot see, in the trash or purged. */
    if (cs3_remove_share_only(ocis->cs3, space->owner, share_id, NULL) == 0 ||
        (!ap_share_by_owner(space, sharer) &&
         cs3_remove_share_only(ocis->cs3, sharer, share_id, NULL) == 0))
        return 0;
fail:
    if (err)
        *err = why;
    return -1;
}

int
ap_ocis_share_clear(struct ap_writer *w, const struct ap_share_want *want, const char *share_id,
                    struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);
    struct cs3_grant_info grant = {.grantee_id = want->grantee_id, .group = want->group};
    struct share_search search = {.grantee_id = want->grantee_id, .group = want->group};
    struct ap_grant_search is = {.want = &grant};
    struct ls_err why = {0};

    if (cs3_list_grants(ocis->cs3, want->space->owner, &node, ap_grant_check, &is, &why) == 0) {
        if (!is.found)
            return 0;
        if (share_search(ocis, want, &search, err) < 0)
            return -1;
        if (search.found && strcmp(search.found_id, share_id) == 0)
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the share is still there");
        if (search.found) /* it is that one's grant */
            return 0;
    } else if (ap_cause_is(&why, "gone")) {
        return 0; /* with the node */
    } else if (!ap_cause_is(&why, "no-user")) {
        if (err)
            *err = why;
        return -1;
    }
    return ap_share_grant_drop(ocis, want->space, want->node_id, want->grantee_id, want->group,
                               err);
}

const char *
ap_share_mount_name(const char *mount_point)
{
    const char *slash = mount_point ? strrchr(mount_point, '/') : NULL;

    return slash ? slash + 1 : mount_point;
}

/* ---- links */
#define UNFINISHED "lockstep: unfinished"

struct link_search {
    const char *id;                  /* this one; NULL: an unfinished one */
    const struct ap_link_want *lost; /* or one that looks so; NULL: only that */
    bool has_password;               /* as the unfinished one must be */
    char makers[2][AP_ID_SIZE];      /* who may have made it */
    bool found;
    struct cs3_link_info info; /* its strings are gone; but for: */
    char found_id[AP_ID_SIZE], label[512], token[AP_ID_SIZE];
};

static bool
is_unfinished(const struct link_search *search, const struct cs3_link_info *link)
{
    return !strcmp(link->label, UNFINISHED) && link->has_password == search->has_password &&
           *link->creator_id &&
           (!strcmp(link->creator_id, search->makers[0]) ||
            !strcmp(link->creator_id, search->makers[1]));
}

static bool
is_lost(const struct link_search *search, const struct cs3_link_info *link)
{
    const struct ap_link_want *want = search->lost;
    const char *label = want && want->label && *want->label ? want->label : link->token;

    if (!want || link->has_password != want->has_password ||
        link->expires != ap_share_time(want->expires) ||
        link->permissions != ap_share_possible(want->permissions, want->folder) ||
        strcmp(link->label, label) != 0 || !*link->creator_id ||
        (strcmp(link->creator_id, search->makers[0]) != 0 &&
         strcmp(link->creator_id, search->makers[1]) != 0))
        return false;
    for (int i = 0; i < want->n_known; i++)
        if (strcmp(want->known[i], link->id) == 0)
            return false;
    return true;
}

static int
link_check(void *arg, const struct cs3_link_info *link)
{
    struct link_search *search = arg;

    if (search->found || strlen(link->id) >= AP_ID_SIZE)
        return 0;
    if (search->id ? strcmp(link->id, search->id) != 0
                   : !is_unfinished(search, link) && !is_lost(search, link))
        return 0;
    search->info = *link;
    snprintf(search->found_id, sizeof(search->found_id), "%s", link->id);
    snprintf(search->label, sizeof(search->label), "%s", link->label);
    snprintf(search->token, sizeof(search->token), "%s", link->token);
    search->found = true;
    return 0;
}

static int
link_search(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
            const char *sharer, struct link_search *search, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(space, node_id ? node_id : "", NULL);
    const struct cs3_place *at = node_id ? &node : NULL;
    struct ls_err why = {0};

    search->found = false;
    if (!search->id) {
        if (cs3_sign_in(ocis->cs3, space->owner, search->makers[0], err) < 0)
            return -1;
        if (!ap_share_by_owner(space, sharer) &&
            cs3_sign_in(ocis->cs3, sharer, search->makers[1], &why) < 0 &&
            !ap_cause_is(&why, "no-user"))
            goto fail;
    }
    if (cs3_list_links(ocis->cs3, space->owner, at, link_check, search, err) < 0)
        return -1;
    if (search->found || ap_share_by_owner(space, sharer))
        return 0;
    /* What somebody else made may not be shown to the owner; if he is gone, so is his list. */
    if (cs3_list_links(ocis->cs3, sharer, at, link_check, search, &why) == 0 ||
        ap_cause_is(&why, "no-user"))
        return 0;
fail:
    if (err)
        *err = why;
    return -1;
}

/* Nobody is ever told this one: a link with a password is never open. */
static int
password_make(char out[33], struct ls_err *err)
{
    static const char signs[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.!";
    unsigned char random[32];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return ls_fail(err, LS_ERR_RETRY, errno, "no random numbers");
    for (size_t i = 0; i < sizeof(random); i++)
        out[i] = signs[random[i] % (sizeof(signs) - 1)];
    memcpy(out, "aZ7!", 4);
    out[32] = '\0';
    return 0;
}

/* INTERNAL, and made all the same? Then it still has our label. 1 and *ret: so it was; 0: it was
 * not; -1: the list cannot be had, err. */
static int
link_made_anyway(struct ap_ocis *ocis, const struct ap_link_want *want, struct link_search *ret,
                 struct ls_err *err)
{
    struct link_search search = {.has_password = want->has_password};

    for (int try = 0; link_search(ocis, want->space, want->node_id, want->sharer, &search, err) < 0;
         try++) {
        if (try + 1 == AP_LOOKS || !ap_cause_is(err, "internal"))
            return -1;
        ls_run_sleep_ms(AP_LOOK_PAUSE_MS);
    }
    if (!search.found)
        return 0;
    memcpy(ret->found_id, search.found_id, sizeof(ret->found_id));
    memcpy(ret->token, search.token, sizeof(ret->token));
    return 1;
}

/* *made_maybe: nobody else may try, or there are two. */
static int
link_create_as(struct ap_ocis *ocis, const char *as, const struct ap_link_want *want,
               const struct cs3_link_info *link, const char *password, struct link_search *ret,
               bool *made_maybe, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(want->space, want->node_id, NULL);
    struct ls_err why = {0};
    int there = 0;

    if (cs3_create_link(ocis->cs3, as, want->space->owner, &node, want->folder, link, password,
                        ret->found_id, ret->token, &why) == 0)
        return 0;
    if (ap_cause_is(&why, "internal") && (there = link_made_anyway(ocis, want, ret, &why)) == 1)
        return 0;
    *made_maybe = there < 0;
    *err = why;
    return -1;
}

static int
link_create(struct ap_ocis *ocis, const struct ap_link_want *want, const struct cs3_link_info *link,
            const char *password, struct link_search *ret, struct ls_err *err)
{
    struct ls_err why = {0};
    struct cs3_info info;
    bool made_maybe = false;
    int r = -1;

    if (!ap_share_by_owner(want->space, want->sharer))
        r = link_create_as(ocis, want->sharer, want, link, password, ret, &made_maybe, &why);
    if (r < 0 && !made_maybe && (ap_share_by_owner(want->space, want->sharer) || owner_may(&why)))
        r = link_create_as(ocis, want->space->owner, want, link, password, ret, &made_maybe, &why);
    if (r == 0)
        return 0;
    if (ap_look(ocis, want->space, want->node_id, NULL, &info, NULL) == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, why.code, "gone", "the shared node is not there");
    if (err)
        *err = why;
    return -1;
}

static int
link_field(struct ap_ocis *ocis, const struct ap_link_want *want, const char *link_id,
           enum cs3_link_field field, const struct cs3_link_info *link, const char *password,
           struct ls_err *err)
{
    struct ls_err why = {0};

    if (!ap_share_by_owner(want->space, want->sharer)) {
        if (cs3_update_link(ocis->cs3, want->sharer, link_id, field, link, password, &why) == 0)
            return 0;
        if (!owner_may(&why)) {
            if (err)
                *err = why;
            return -1;
        }
    }
    return cs3_update_link(ocis->cs3, want->space->owner, link_id, field, link, password, err);
}

/* Field by field, what protects first; the label last. Without a wish it is what the target would
 * have given itself, the token. */
static int
link_update(struct ap_ocis *ocis, const struct ap_link_want *want, const struct link_search *is,
            const struct cs3_link_info *link, const char *password, struct ls_err *err)
{
    const char *id = is->found_id;
    struct cs3_link_info named = *link;

    if (want->has_password && !is->info.has_password &&
        link_field(ocis, want, id, CS3_LINK_PASSWORD, link, password, err) < 0)
        return -1;
    if (is->info.expires != link->expires &&
        link_field(ocis, want, id, CS3_LINK_EXPIRATION, link, NULL, err) < 0)
        return -1;
    if (is->info.permissions != link->permissions &&
        link_field(ocis, want, id, CS3_LINK_PERMISSIONS, link, NULL, err) < 0)
        return -1;
    if (!want->has_password && is->info.has_password &&
        link_field(ocis, want, id, CS3_LINK_PASSWORD, link, "", err) < 0)
        return -1;
    if (!link->label || !*link->label)
        named.label = strcmp(is->label, UNFINISHED) != 0 ? is->label : is->token;
    if (strcmp(is->label, named.label) != 0 &&
        link_field(ocis, want, id, CS3_LINK_LABEL, &named, NULL, err) < 0)
        return -1;
    return 0;
}

static int
link_remove_locked(struct ap_ocis *ocis, const struct ap_space *space, const char *sharer,
                   const char *link_id, bool doubtful, struct ls_err *err)
{
    struct link_search search = {.id = link_id};
    struct ls_err why = {0};
    int r = -1;

    if (doubtful) {
        if (link_search(ocis, space, NULL, sharer, &search, err) < 0)
            return -1;
        if (!search.found)
            return 0;
    }
    if (!ap_share_by_owner(space, sharer))
        r = cs3_remove_link(ocis->cs3, sharer, link_id, &why);
    if (r < 0 && (ap_share_by_owner(space, sharer) || owner_may(&why)))
        r = cs3_remove_link(ocis->cs3, space->owner, link_id, &why);
    if (r == 0)
        return 0;
    if (owner_may(&why) && link_search(ocis, space, NULL, sharer, &search, NULL) == 0 &&
        !search.found)
        return 0;
    if (err)
        *err = why;
    return -1;
}

/* What was made but not finished is removed again; where that fails, too, ret_id names it, so that
 * the doubtful repeat finishes it. */
static int
link_make(struct ap_ocis *ocis, const struct ap_link_want *want, const struct cs3_link_info *link,
          const char *password, char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    struct cs3_link_info unfinished = *link;
    struct link_search made = {.label = UNFINISHED};
    struct ls_err why = {0};

    unfinished.label = UNFINISHED;
    if (link_create(ocis, want, &unfinished, password, &made, err) < 0)
        return -1;
    made.info = unfinished;
    made.info.has_password = want->has_password;
    if (link_update(ocis, want, &made, link, password, &why) == 0) {
        memcpy(ret_id, made.found_id, AP_ID_SIZE);
        return 0;
    }
    if (link_remove_locked(ocis, want->space, want->sharer, made.found_id, false, NULL) < 0) {
        memcpy(ret_id, made.found_id, AP_ID_SIZE);
        return ls_fail_cause(err, LS_ERR_RETRY, why.code, "timeout", "%s", why.msg);
    }
    if (err)
        *err = why;
    return -1;
}

static int
link_set_locked(struct ap_ocis *ocis, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
                bool doubtful, struct ls_err *err)
{
    const struct cs3_link_info link = {
        .permissions = ap_share_possible(want->permissions, want->folder),
        .expires = ap_share_time(want->expires),
        .label = want->label,
    };
    struct link_search search = {.id = link_id[0] ? link_id : NULL,
                                 .lost = want->lost ? want : NULL,
                                 .has_password = want->has_password};
    char password[33] = "";
    int r = -1;

    if ((link_id[0] || doubtful || want->lost) &&
        link_search(ocis, want->space, want->node_id, want->sharer, &search, err) < 0)
        return -1;
    if (want->has_password && password_make(password, err) < 0)
        return -1;
    if (search.found) {
        r = link_update(ocis, want, &search, &link, password, err);
        if (r == 0)
            memcpy(link_id, search.found_id, AP_ID_SIZE);
    } else {
        r = link_make(ocis, want, &link, want->has_password ? password : NULL, link_id, err);
    }
    explicit_bzero(password, sizeof(password));
    return r;
}

int
ap_ocis_link_set(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
                 bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ls_err why = {0};
    int r;

    if (ap_share_open_check(want->permissions, want->folder, want->expires, &why) < 0) {
        if (link_id[0] &&
            ap_ocis_link_remove(w, want->space, want->sharer, link_id, false, err) < 0)
            return -1;
        if (err)
            *err = why;
        return -1;
    }
    pthread_mutex_lock(&ocis->links);
    r = link_set_locked(ocis, want, link_id, doubtful, err);
    pthread_mutex_unlock(&ocis->links);
    return r;
}

int
ap_ocis_link_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                    const char *link_id, bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    int r;

    pthread_mutex_lock(&ocis->links);
    r = link_remove_locked(ocis, space, sharer, link_id, doubtful, err);
    pthread_mutex_unlock(&ocis->links);
    return r;
}
