/*
 * Compares what people effectively have: for each recipient the nodes he was given, in what state,
 * with what permissions and until when.
 *
 * ownCloud gives somebody the union of all rows that reach him (as a user, through groups), each
 * accepted by himself or not; several rows for one node become one: their bits are united, and a
 * download that one row denies is denied unless another one allows it by name. oCIS keeps a share
 * per grantee and unites what they grant. So both sides are folded to (recipient, node) -> the best
 * state there is, and the permissions of all that is in that state, now and after each expiry, and
 * compared there. What is missing only because no single grantee of his has all it takes (a rename)
 * no writer can keep; what is too much is a difference, wherever it comes from. A row has no effect
 * when its node is not live in a home (trash: dormant), when it has expired, when the recipient
 * owns the node or is whom the row is from, or when it grants nothing (rows of before 10.0.9).
 */
#include "apply/cs3/cs3.h"
#include "apply/ocis/share_files.h"
#include "common/records.h"
#include "ctl/verify/verify.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STATES = 3 }; /* CS3_SHARE_ACCEPTED, _PENDING, _REJECTED: the better first */
static const char *const state_names[STATES + 1] = {"accepted", "pending", "rejected", ""};

struct grant {
    int state;
    bool any_state; /* his own row does not say it, and the directory that he is in the group */
    int64_t row;    /* the number of its row; of the target's, as its id tells; -1: it tells none */
    int64_t permissions, expires;   /* CS3_PERM_*; INT64_MAX: never */
    const struct side_share *share; /* the source's row, which says its permissions; else NULL */
};

struct view { /* what one recipient has of one node, on one side */
    struct grant *grants;
    size_t n;
};

struct effect {
    struct side_node *node;
    struct view source, target;
    UT_hash_handle hh; /* by node->target_id */
};

struct received {
    struct verify *verify;
    struct verify_user *user;
    struct effect *effects;
    struct ls_err *err;
    bool blind; /* what the source gives him is not known whole */
};

int64_t
verify_expires(const struct verify *verify, const struct side_share *share)
{
    int64_t expires = 0;
    struct ls_err err = {0};

    if (!share->expiration ||
        tf_zone_end_of_day(&verify->zone, ls_str_of(share->expiration), &expires, &err) < 0)
        return 0;
    return ap_share_time(expires); /* as apply has to write it */
}

const char *
verify_permissions(int64_t bits, char *out, size_t size)
{
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; i < sizeof cs3_permission_names / sizeof cs3_permission_names[0]; i++)
        if (bits & ((int64_t)1 << i) && at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? "," : "",
                                   cs3_permission_names[i]);
    return out;
}

/* ---- which rows have an effect at all */

/* Why a row is left out; VL_MAX when it is not, and *ret_node is its node. */
static enum verify_left
effect_of(const struct verify *verify, const struct side_share *share, struct side_node **ret_node)
{
    struct side_node *node = side_node_by_id(verify->side, share->fileid);
    enum side_where where = SIDE_ORPHAN;
    struct side_user *user = NULL;
    int64_t expires = verify_expires(verify, share);

    if (share->type == SIDE_FEDERATED || share->type == SIDE_FEDERATED_GROUP)
        return VL_FEDERATED;
    if (share->type < SIDE_USER || share->type > SIDE_GUEST)
        return VL_SHARE_TYPE;
    if (!node)
        return VL_NO_NODE;
    if (!side_owner(verify->side, node, &where))
        return where == SIDE_DORMANT     ? VL_DORMANT
               : where == SIDE_ELSEWHERE ? VL_ELSEWHERE
                                         : VL_NO_NODE;
    if (expires != 0 && expires < verify->now)
        return VL_EXPIRED;
    if (share->type == SIDE_USER || share->type == SIDE_GUEST) {
        if (share->with)
            HASH_FIND_STR(verify->side->users, share->with, user);
        if (!user)
            return VL_NO_RECIPIENT;
    }
    *ret_node = node;
    return VL_MAX;
}

static bool
of_directory(const struct side *side, const char *gid)
{
    const struct side_group *group = side->groups;

    while (group && strcmp(group->gid, gid) != 0)
        group = group->next;
    return group != NULL;
}

static bool
is_picked(struct verify *verify, const char *uid)
{
    struct side_user *user = NULL;

    if (uid)
        HASH_FIND_STR(verify->side->users, uid, user);
    return user && verify_user_of(verify, user)->picked;
}

/* Is the row about somebody who is compared? */
static bool
concerns(struct verify *verify, const struct side_share *share)
{
    return !verify->some || is_picked(verify, share->owner) ||
           (share->type != SIDE_GROUP && share->type != SIDE_LINK &&
            is_picked(verify, share->with));
}

void
verify_effective(struct verify *verify)
{
    for (struct side_share *share = verify->side->shares; share; share = share->next) {
        enum verify_left why;

        if (share->type == SIDE_MEMBER)
            continue; /* counts with its group share */
        why = effect_of(verify, share, &share->node);
        /* their members are in tables of the app's own */
        if (why == VL_MAX && share->type == SIDE_GROUP && share->with &&
            strncmp(share->with, "customgroup_", 12) == 0)
            why = VL_CUSTOM_GROUP;
        else if (why == VL_MAX && share->type == SIDE_GROUP && share->with &&
                 !cs3_match_wanted(verify->config) && of_directory(verify->side, share->with))
            why = VL_DIRECTORY_GROUP;
        if (why == VL_MAX && share->type != SIDE_LINK)
            share->node->shared = true;
        if (why != VL_MAX && concerns(verify, share))
            verify_left(verify, NULL, why);
    }
}

/* ---- where a node is whose tree was not walked by this run: its owner is not picked, or was done
 * before */

/* Several threads look for one node; who finds it first says so. */
static const char *
found_id(struct verify *verify, const struct side_node *node)
{
    const char *id;

    pthread_mutex_lock(&verify->lock);
    id = node->target_id;
    pthread_mutex_unlock(&verify->lock);
    return id;
}

static void
set_found(struct verify *verify, struct side_node *node, const char *id)
{
    pthread_mutex_lock(&verify->lock);
    if (!node->target_id)
        node->target_id = id;
    pthread_mutex_unlock(&verify->lock);
}

static bool
walked(struct verify *verify, const struct side_user *owner)
{
    const struct verify_user *user = verify_user_of(verify, owner);

    return user->picked && user->done == 0;
}

struct find {
    const char *name;
    char id[256];
};

static int
take_if_named(void *arg, const struct target_item *item)
{
    struct find *find = arg;

    if (strcmp(item->name, find->name) == 0)
        snprintf(find->id, sizeof find->id, "%s", item->id);
    return 0;
}

/* -1: the target cannot list what it would be in. */
static int
find_node(struct verify *verify, const char *owner, struct side_node *node, struct ls_err *err)
{
    struct find find = {.name = node->name};
    const char *above = NULL;
    struct ls_err why = {0};

    if (!node->up || node->doubled || found_id(verify, node))
        return 0;
    if (node->up->up) { /* not `files` itself, which is the root there */
        if (node->up->up->up || strcmp(node->up->name, "files") != 0) {
            if (find_node(verify, owner, node->up, err) < 0)
                return -1;
            above = found_id(verify, node->up);
            if (!above)
                return 0;
        }
        if (target_list(verify->target, owner, above, take_if_named, &find, &why) < 0 &&
            strcmp(why.cause, "gone") != 0) {
            *err = why;
            return -1;
        }
        if (find.id[0])
            set_found(verify, node, side_printf(verify->side, "%s", find.id));
    }
    return 0;
}

/* A second row of one place, or below one: ownCloud does not show it. */
static bool
is_doubled(const struct side_node *node)
{
    for (; node; node = node->up)
        if (node->doubled)
            return true;
    return false;
}

static struct verify_difference
of_shared(struct verify *verify, const struct side_share *share, const struct side_user *owner)
{
    const char *place =
        side_printf(verify->side, "%s of %s", side_place(verify->side, share->node), owner->uid);

    return (struct verify_difference){.kind = VD_NODE,
                                      .fileid = share->node->fileid,
                                      .owner = owner->uid,
                                      .what = "share: its file is missing",
                                      .place = place ? place : "(out of memory)",
                                      .source = share->node->folder ? "folder" : "file"};
}

/* It was looked for in the home of one who is not compared: can the target be asked about him at
 * all? */
static int
unfound_elsewhere(struct verify *verify, struct verify_user *user, struct verify_difference d,
                  const struct side_user *owner, struct ls_err *err)
{
    struct target_who who = {0};
    struct ls_err why = {0};
    int r = target_user(verify->target, owner->uid, &who, &why);

    if (r < 0 || !who.seen)
        d.what = "share: its owner cannot be looked at";
    if (r < 0)
        return verify_unseen(verify, user, d, &why, err);
    if (!who.seen)
        d.when = VW_UNSEEN;
    verify_differ(verify, user, &d);
    return 0;
}

/* The node is nowhere at the target. Where its owner's tree is compared that is a difference of
 * his; else nobody says so but this. */
static int
note_unfound(struct verify *verify, struct verify_user *user, const struct side_share *share,
             const struct side_user *owner, struct ls_err *err)
{
    const struct verify_user *his = verify_user_of(verify, owner);

    if ((his->picked && !his->beside) || is_doubled(share->node) || !share->node->up->up) {
        verify_left(verify, user, VL_NODE_DIFFERS);
        return 0;
    }
    return unfound_elsewhere(verify, user, of_shared(verify, share, owner), owner, err);
}

/* ---- one recipient */

static int
view_add(struct view *view, int64_t row, int state, int64_t permissions, int64_t expires,
         const struct side_share *share)
{
    struct grant *grown = realloc(view->grants, (view->n + 1) * sizeof *grown);

    if (!grown)
        return -1;
    if (state < 0 || state >= STATES)
        state = CS3_SHARE_REJECTED;
    grown[view->n++] = (struct grant){.state = state,
                                      .row = row,
                                      .permissions = permissions,
                                      .expires = expires ? expires : INT64_MAX,
                                      .share = share};
    view->grants = grown;
    return 0;
}

/* The best state; STATES when there is nothing. */
static int
view_state(const struct view *view)
{
    int state = STATES;

    for (size_t i = 0; i < view->n; i++)
        if (view->grants[i].state < state)
            state = view->grants[i].state;
    return state;
}

static bool
counts(const struct grant *grant, int state, int64_t at)
{
    return grant->state == state && grant->expires >= at;
}

/* What the target grants by all that is in this state and still valid at that second. */
static int64_t
view_permissions(const struct view *view, int state, int64_t at)
{
    int64_t permissions = 0;

    for (size_t i = 0; i < view->n; i++)
        if (counts(&view->grants[i], state, at))
            permissions |= view->grants[i].permissions;
    return permissions;
}

static bool
same_grantee(const struct side_share *a, const struct side_share *b)
{
    return (a->type == SIDE_GROUP) == (b->type == SIDE_GROUP) && strcmp(a->with, b->with) == 0;
}

/* What ownCloud makes of its rows; `of`: of those of that grantee alone. */
static int64_t
effective(const struct effect *effect, int state, int64_t at, const struct side_share *of)
{
    int64_t bits = 0;
    bool allowed = false, denied = false;

    for (size_t i = 0; i < effect->source.n; i++) {
        const struct grant *grant = &effect->source.grants[i];

        if (!counts(grant, state, at) || (of && !same_grantee(of, grant->share)))
            continue;
        bits |= grant->share->permissions;
        allowed |= grant->share->download == CS3_DOWNLOAD_ALLOWED;
        denied |= grant->share->download == CS3_DOWNLOAD_DENIED;
    }
    return cs3_permissions(bits, effect->node->folder, allowed || !denied);
}

/* What a share for each grantee gives him there. */
static int64_t
reachable(const struct effect *effect, int state, int64_t at)
{
    int64_t permissions = 0;

    for (size_t i = 0; i < effect->source.n; i++)
        if (counts(&effect->source.grants[i], state, at))
            permissions |= effective(effect, state, at, effect->source.grants[i].share);
    return permissions;
}

/* As it shall be, or as near as the target can come without giving more. */
static bool
permissions_fit(const struct effect *effect, int state, int64_t at, int64_t have)
{
    int64_t want = effective(effect, state, at, NULL);

    return have == want || ((have & ~want) == 0 && have == reachable(effect, state, at));
}

/* The first second at which the two sides differ; 0 for never. */
static int64_t
differ_at(const struct effect *effect, int state)
{
    const struct view *a = &effect->source, *b = &effect->target;
    int64_t first = 0;

    for (size_t i = 0; i < a->n + b->n; i++) {
        const struct grant *grant = i < a->n ? &a->grants[i] : &b->grants[i - a->n];
        int64_t at = grant->expires;
        if (at != INT64_MAX) /* valid through it, so look at the second after it too */
            at++;
        if (!permissions_fit(effect, state, at, view_permissions(b, state, at)) &&
            (first == 0 || at < first))
            first = at;
    }
    return first;
}

static int
expect(struct received *received, const struct side_share *share, int64_t accepted, bool any_state)
{
    struct verify *verify = received->verify;
    struct side_node *node = share->node;
    struct side_user *owner = node ? side_owner(verify->side, node, NULL) : NULL;
    struct effect *effect = NULL;
    struct ls_err why = {0};

    if (!owner || owner == received->user->user || share->permissions == 0)
        return 0;
    if (share->owner && strcmp(share->owner, received->user->user->uid) == 0) {
        if (share->type != SIDE_GROUP)
            return 0;
        accepted = CS3_SHARE_REJECTED; /* the share is there, but nothing to him */
    }
    if (!walked(verify, owner) && find_node(verify, owner->uid, node, &why) < 0) {
        struct verify_difference d = of_shared(verify, share, owner);
        d.what = "share: its file cannot be looked for";
        return verify_unseen(verify, received->user, d, &why, received->err);
    }
    if (!found_id(verify, node))
        return note_unfound(verify, received->user, share, owner, received->err);
    HASH_FIND_STR(received->effects, node->target_id, effect);
    if (!effect) {
        effect = calloc(1, sizeof *effect);
        if (!effect)
            return ls_fail(received->err, LS_ERR_FATAL, 0, "out of memory");
        effect->node = node;
        HASH_ADD_KEYPTR(hh, received->effects, node->target_id, strlen(node->target_id), effect);
    }
    if (view_add(&effect->source, share->id, (int)accepted, 0, verify_expires(verify, share),
                 share) < 0)
        return ls_fail(received->err, LS_ERR_FATAL, 0, "out of memory");
    effect->source.grants[effect->source.n - 1].any_state = any_state;
    return 0;
}

/* Of one group that he is in. */
static int
expect_group(struct received *received, const char *gid, bool directory)
{
    const struct side *side = received->verify->side;
    const char *uid = received->user->user->uid;
    struct side_share *share;

    for (share = side_shares_of(side, 'g', gid); share; share = share->also) {
        const struct side_share *own = side_entry(side, share, uid);
        int64_t accepted = !own                    ? share->accepted
                           : own->permissions == 0 ? CS3_SHARE_REJECTED
                                                   : own->accepted;
        if (expect(received, share, accepted, directory && !own) < 0)
            return -1;
    }
    return 0;
}

static int
expect_all(struct received *received)
{
    struct verify *verify = received->verify;
    const struct side *side = verify->side;
    const char *uid = received->user->user->uid;
    const struct side_member *member;
    struct side_share *share;

    for (share = side_shares_of(side, 'u', uid); share; share = share->also)
        if (expect(received, share, share->accepted, false) < 0)
            return -1;
    for (member = side_groups_of(side, uid); member; member = member->next)
        if (expect_group(received, member->gid, false) < 0)
            return -1;
    /* who is in a directory's groups the source has in no table; the target has asked */
    if (!cs3_match_wanted(verify->config))
        return 0;
    for (const struct side_group *group = side->groups; group; group = group->next) {
        struct ls_err why = {0};
        int in = target_in_group(verify->target, uid, group->directory_uuid, &why);

        if (in < 0) { /* of what he has then nobody can say whether he should */
            received->blind = true;
            return verify_unseen(
                verify, received->user,
                (struct verify_difference){.kind = VD_SHARE, .what = "groups cannot be looked at"},
                &why, received->err);
        }
        if (in > 0 && expect_group(received, group->gid, true) < 0)
            return -1;
    }
    return 0;
}

/* An exact writer calls a share "<storage>:<space>:<number of its row>". */
int64_t
verify_row_of(const char *share_id)
{
    const char *last = strrchr(share_id, ':');

    if (!last || !last[1] || strspn(last + 1, "0123456789") != strlen(last + 1))
        return -1;
    return strtoll(last + 1, NULL, 10);
}

/* With an exact writer each share there is one of the rows, by its number. */
static bool
ids_fit(const struct effect *effect, int64_t *ret_row)
{
    for (size_t i = 0; i < effect->target.n; i++) {
        bool known = false;
        for (size_t k = 0; k < effect->source.n && !known; k++)
            known = effect->source.grants[k].row == effect->target.grants[i].row;
        if (!known) {
            *ret_row = effect->target.grants[i].row;
            return false;
        }
    }
    return true;
}

static void
compare_ids(struct received *received, struct verify_difference d, const struct effect *effect)
{
    char left[32], right[32] = "of another kind";
    int64_t row = -1;

    if (!received->verify->exact_shares) {
        verify_not_kept(received->verify, received->user, VK_SHARE_IDS);
        return;
    }
    if (ids_fit(effect, &row))
        return;
    snprintf(left, sizeof left, "%" PRId64, d.share);
    if (row >= 0)
        snprintf(right, sizeof right, "%" PRId64, row);
    d.what = "share: id";
    d.source = left;
    d.target = right;
    verify_differ(received->verify, received->user, &d);
}

static int
take_received(void *arg, const struct target_share *share)
{
    struct received *received = arg;
    struct verify *verify = received->verify;
    struct effect *effect = NULL;
    struct side_user *owner;
    struct side_node *node;

    HASH_FIND_STR(received->effects, share->node_id, effect);
    if (effect)
        return view_add(&effect->target, verify_row_of(share->share_id), share->state,
                        share->permissions, share->expires, NULL);
    node = verify_live(verify, share->node_id);
    owner = node ? side_owner(verify->side, node, NULL) : NULL;
    if (!node) /* in the trash there too, or of a file that is named as extra */
        verify_left(verify, received->user, verify->some ? VL_UNPICKED : VL_TARGET_ONLY);
    else if (owner != received->user->user)
        verify_differ(
            verify, received->user,
            &(struct verify_difference){
                .kind = VD_SHARE,
                .fileid = node->fileid,
                .target_id = share->node_id,
                .owner = owner ? owner->uid : "",
                .what = "share: extra",
                .place = side_place(verify->side, node),
                .target =
                    state_names[share->state >= 0 && share->state < STATES ? share->state : 0]});
    return 0;
}

static void
differ_permissions(struct received *received, struct verify_difference d, const char *what,
                   int64_t source, int64_t target)
{
    char left[512], right[512];

    d.what = what;
    d.source = verify_permissions(source & ~target, left, sizeof left);
    d.target = verify_permissions(target & ~source, right, sizeof right);
    verify_differ(received->verify, received->user, &d);
}

/* The state of a directory's group's share is the target's where no row of his own says it. */
static void
adopt_state(struct received *received, struct effect *effect, int have)
{
    bool adopted = false;

    for (size_t i = 0; have != STATES && i < effect->source.n; i++) {
        struct grant *grant = &effect->source.grants[i];
        adopted |= grant->any_state && grant->state != have;
        if (grant->any_state)
            grant->state = have;
    }
    if (adopted)
        verify_not_kept(received->verify, received->user, VK_GROUP_STATES);
}

static void
compare_effect(struct received *received, struct effect *effect)
{
    struct verify *verify = received->verify;
    struct verify_user *user = received->user;
    struct side_user *owner = side_owner(verify->side, effect->node, NULL);
    const char *place = side_printf(
        verify->side, "%s of %s", side_place(verify->side, effect->node), owner ? owner->uid : "?");
    int have = view_state(&effect->target), state;
    int64_t source, target, at;
    struct verify_difference d = {.kind = VD_SHARE,
                                  .fileid = effect->node->fileid,
                                  .share =
                                      effect->source.n > 0 ? effect->source.grants[0].share->id : 0,
                                  .target_id = effect->node->target_id,
                                  .owner = owner ? owner->uid : "",
                                  .place = place ? place : "(out of memory)"};
    char what[64];

    user->count[VC_SHARES]++;
    compare_ids(received, d, effect);
    adopt_state(received, effect, have);
    state = view_state(&effect->source);
    if (state != have) {
        d.what = have == STATES ? "share: missing" : "share: state";
        d.source = state_names[state];
        d.target = state_names[have];
        verify_differ(verify, user, &d);
        return;
    }
    source = effective(effect, state, verify->now, NULL);
    target = view_permissions(&effect->target, state, verify->now);
    if (!permissions_fit(effect, state, verify->now, target)) {
        differ_permissions(received, d, "share: permissions", source, target);
        return;
    }
    if (source != target)
        verify_not_kept(verify, user, VK_UNIONS);
    at = differ_at(effect, state);
    if (at != 0) {
        snprintf(what, sizeof what, "share: expiry: permissions at %" PRId64, at);
        differ_permissions(received, d, what, effective(effect, state, at, NULL),
                           view_permissions(&effect->target, state, at));
    }
}

int
verify_received(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct received received = {.verify = verify, .user = user, .err = err};
    struct effect *effect, *next;
    struct ls_err why = {0};
    bool seen;
    int r;

    if (!user->signs_in) {
        verify_left(verify, user, VL_RECEIVED_DISABLED);
        return 0;
    }
    r = expect_all(&received);
    seen = !received.blind;
    if (r == 0 && seen &&
        target_received(verify->target, user->user->uid, take_received, &received, &why) < 0) {
        seen = false;
        r = verify_unseen(
            verify, user,
            (struct verify_difference){.kind = VD_SHARE, .what = "shares: cannot be listed"}, &why,
            err);
    }
    effect = received.effects;
    HASH_CLEAR(hh, received.effects);
    for (; effect; effect = next) {
        next = effect->hh.next;
        if (r == 0 && seen)
            compare_effect(&received, effect);
        free(effect->source.grants);
        free(effect->target.grants);
        free(effect);
    }
    return r;
}
