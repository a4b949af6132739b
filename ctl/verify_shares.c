/*
 * Compares what people effectively have: for each recipient the nodes he was given and with what
 * permissions, and all links.
 *
 * ownCloud gives somebody the union of all rows that reach him (as a user, through groups), each
 * accepted by himself or not; several rows for one node become one. oCIS keeps a share per
 * grantee. So both sides are folded to (recipient, node) -> permissions of what is accepted,
 * whether anything is pending, and compared there. A row has no effect when its node is not live
 * in a home (trash: dormant), when it has expired, or when the recipient owns the node.
 */
#include "common/records.h"
#include "common/run.h"
#include "ctl/verify.h"
#include "transform/map.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct effect {
    struct side_node *node;
    int64_t accepted; /* CS3_PERM_* of all accepted rows */
    int64_t target;   /* the same at the target */
    bool any_accepted, any_pending, seen_accepted, seen_pending;
    UT_hash_handle hh; /* by node->target_id */
};

struct received {
    struct verify *verify;
    struct verify_user *user;
    struct effect *effects;
    struct ls_err *err;
};

static bool
is_member(const struct side *side, const char *gid, const char *uid)
{
    for (const struct side_member *m = side->members; m; m = m->next)
        if (strcmp(m->gid, gid) == 0 && strcmp(m->uid, uid) == 0)
            return true;
    return false;
}

/* The member's own sub-entry of a group share, or NULL. */
static const struct side_share *
own_entry(const struct side *side, const struct side_share *share, const char *uid)
{
    for (const struct side_share *s = side->shares; s; s = s->next)
        if (s->type == SIDE_MEMBER && s->parent == share->id && s->with &&
            strcmp(s->with, uid) == 0)
            return s;
    return NULL;
}

static int64_t
expires_at(const struct verify *verify, const struct side_share *share)
{
    int64_t expires = 0;
    struct ls_err err = {0};

    if (!share->expiration ||
        tf_zone_end_of_day(&verify->zone, ls_str_of(share->expiration), &expires, &err) < 0)
        return 0;
    return expires;
}

static bool
has_expired(const struct verify *verify, const struct side_share *share)
{
    int64_t expires = expires_at(verify, share);

    return expires != 0 && expires < ls_now_us() / 1000000;
}

/* The shared node, when the row has an effect for this recipient at all. */
static struct side_node *
effective_node(const struct verify *verify, const struct side_share *share, const char *uid)
{
    struct side_node *node = side_node_by_id(verify->side, share->fileid);
    struct side_user *owner = node ? side_owner(verify->side, node) : NULL;

    if (!owner || has_expired(verify, share) || strcmp(owner->uid, uid) == 0)
        return NULL;
    return node;
}

static int
add_effect(struct received *received, struct side_node *node, int64_t bits, int64_t accepted)
{
    struct effect *effect = NULL;

    if (!node->target_id)
        return 0; /* the node itself differs, and has been named for that */
    HASH_FIND_STR(received->effects, node->target_id, effect);
    if (!effect) {
        effect = calloc(1, sizeof *effect);
        if (!effect)
            return ls_fail(received->err, LS_ERR_FATAL, 0, "out of memory");
        effect->node = node;
        HASH_ADD_KEYPTR(hh, received->effects, node->target_id, strlen(node->target_id), effect);
    }
    if (accepted == 0) {
        effect->accepted |= tf_permissions(bits, node->folder);
        effect->any_accepted = true;
    } else if (accepted == 1) {
        effect->any_pending = true;
    }
    return 0;
}

static int
expect_shares(struct received *received)
{
    const struct side *side = received->verify->side;
    const char *uid = received->user->user->uid;

    for (const struct side_share *share = side->shares; share; share = share->next) {
        const struct side_share *own;
        struct side_node *node;
        int64_t accepted = share->accepted;

        if (!share->with)
            continue;
        if (share->type == SIDE_USER || share->type == SIDE_GUEST) {
            if (strcmp(share->with, uid) != 0)
                continue;
        } else if (share->type == SIDE_GROUP) {
            if (!is_member(side, share->with, uid))
                continue;
            own = own_entry(side, share, uid);
            if (own)
                accepted = own->permissions == 0 ? 2 : own->accepted;
        } else {
            continue;
        }
        node = effective_node(received->verify, share, uid);
        if (!node || share->permissions == 0)
            continue;
        if (add_effect(received, node, share->permissions, accepted) < 0)
            return -1;
    }
    return 0;
}

static int
take_received(void *arg, const struct target_share *share)
{
    struct received *received = arg;
    struct effect *effect = NULL;

    HASH_FIND_STR(received->effects, share->node_id, effect);
    if (!effect) {
        /* the share of a node in the trash stays listed, and has no effect */
        if (share->state != CS3_SHARE_REJECTED && verify_live(received->verify, share->node_id))
            verify_differ(received->verify, received->user, "share: extra", share->node_id, "",
                          "received");
        return 0;
    }
    if (share->state == CS3_SHARE_ACCEPTED) {
        effect->target |= share->permissions;
        effect->seen_accepted = true;
    } else if (share->state == CS3_SHARE_PENDING) {
        effect->seen_pending = true;
    }
    return 0;
}

/* Names of the permissions in `bits`, for a person. */
static const char *
permission_text(int64_t bits, char *out, size_t size)
{
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; i < 19; i++)
        if (bits & ((int64_t)1 << i) && at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? "," : "",
                                   cs3_permission_names[i]);
    return out;
}

static void
compare_effect(struct received *received, const struct effect *effect)
{
    struct verify *verify = received->verify;
    const char *place = side_place(verify->side, effect->node);
    char left[512], right[512];

    if (effect->any_accepted && !effect->seen_accepted) {
        verify_differ(verify, received->user, "share: missing", place,
                      permission_text(effect->accepted, left, sizeof left),
                      effect->seen_pending ? "pending" : "");
    } else if (effect->any_accepted && effect->accepted != effect->target) {
        verify_differ(verify, received->user, "share: permissions", place,
                      permission_text(effect->accepted & ~effect->target, left, sizeof left),
                      permission_text(effect->target & ~effect->accepted, right, sizeof right));
    } else if (!effect->any_accepted && effect->seen_accepted) {
        verify_differ(verify, received->user, "share: accepted", place,
                      effect->any_pending ? "pending" : "rejected", "accepted");
    } else if (effect->any_pending && !effect->any_accepted && !effect->seen_pending) {
        verify_differ(verify, received->user, "share: missing", place, "pending", "");
    }
    received->user->count[VC_SHARES]++;
    verify->share_ids++;
}

int
verify_received(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct received received = {verify, user, NULL, err};
    struct effect *effect, *tmp;
    int r = expect_shares(&received);

    if (r == 0)
        r = target_received(verify->target, user->user->uid, take_received, &received, err);
    HASH_ITER(hh, received.effects, effect, tmp)
    {
        if (r == 0)
            compare_effect(&received, effect);
        HASH_DEL(received.effects, effect);
        free(effect);
    }
    return r;
}

/* ---- links */
struct seen_link {
    char *id, *node_id, *label;
    int64_t permissions, expires;
    bool has_password, matched;
    UT_hash_handle hh;
};

static void
seen_link_free(struct seen_link *link)
{
    free(link->id);
    free(link->node_id);
    free(link->label);
    free(link);
}

static int
take_link(void *arg, const struct target_link *link)
{
    struct seen_link **seen = arg, *copy = NULL;

    HASH_FIND_STR(*seen, link->link_id, copy);
    if (copy)
        return 0; /* several people may see one link */
    copy = calloc(1, sizeof *copy);
    if (!copy)
        return -1;
    copy->id = strdup(link->link_id);
    copy->node_id = strdup(link->node_id);
    copy->label = strdup(link->label ? link->label : "");
    copy->permissions = link->permissions;
    copy->expires = link->expires;
    copy->has_password = link->has_password;
    if (!copy->id || !copy->node_id || !copy->label) {
        seen_link_free(copy);
        return -1;
    }
    HASH_ADD_KEYPTR(hh, *seen, copy->id, strlen(copy->id), copy);
    return 0;
}

static struct verify_user *
user_of(struct verify *verify, const struct side_user *user)
{
    for (size_t i = 0; i < verify->n_users; i++)
        if (verify->users[i].user == user)
            return &verify->users[i];
    return NULL;
}

static void
compare_link(struct verify *verify, const struct side_share *share, struct seen_link *seen)
{
    struct side_node *node = side_node_by_id(verify->side, share->fileid);
    struct side_user *owner = node ? side_owner(verify->side, node) : NULL;
    struct verify_user *user = owner ? user_of(verify, owner) : NULL;
    int64_t expires = expires_at(verify, share), permissions;
    struct seen_link *link, *tmp;
    char text[64];

    if (!node || !owner || !user || !node->target_id || has_expired(verify, share))
        return;
    permissions = tf_permissions(share->permissions, node->folder);
    user->count[VC_LINKS]++;
    verify->link_tokens++;
    verify->link_passwords += share->has_password;
    HASH_ITER(hh, seen, link, tmp)
    {
        if (link->matched || strcmp(link->node_id, node->target_id) != 0 ||
            link->permissions != permissions || link->expires != expires ||
            link->has_password != share->has_password ||
            strcmp(link->label, share->label ? share->label : "") != 0)
            continue;
        link->matched = true;
        return;
    }
    snprintf(text, sizeof text, "permissions %" PRId64 "%s%s", share->permissions,
             share->has_password ? ", password" : "", expires ? ", expires" : "");
    verify_differ(verify, user, "link: missing or different", side_place(verify->side, node), text,
                  "");
}

int
verify_links(struct verify *verify, struct ls_err *err)
{
    struct seen_link *seen = NULL, *link, *tmp;
    int r = 0;

    for (size_t i = 0; i < verify->n_users && r == 0; i++)
        r = target_links(verify->target, verify->users[i].user->uid, take_link, &seen, err);
    if (r == 0)
        for (const struct side_share *share = verify->side->shares; share; share = share->next)
            if (share->type == SIDE_LINK)
                compare_link(verify, share, seen);
    HASH_ITER(hh, seen, link, tmp)
    {
        if (r == 0 && !link->matched && verify_live(verify, link->node_id))
            verify_differ(verify, NULL, "link: extra", link->node_id, "", link->label);
        HASH_DEL(seen, link);
        seen_link_free(link);
    }
    return r;
}
