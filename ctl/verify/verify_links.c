/*
 * Compares links: for each node those that ownCloud has with those that oCIS has.
 *
 * Over the sharing API a link has no name that both sides share (it makes its own tokens), so links
 * of one node are matched by what they are: permissions, expiry, label, with a password or without;
 * where the writer is exact and carries secrets, by their tokens too. What is left over on one node
 * is compared pair by pair, so that a difference says in what. A link without a label is called by
 * its token at the target. Then hashes of passwords are compared, too, which stand in a file of
 * oCIS's only; without the system user, who may read it, only that there is one. A token opens the
 * link, and a hash may be guessed at, so neither is printed.
 */
#include "apply/ocis/share_files.h"
#include "ctl/verify/verify.h"
#include "transform/map.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct seen_link {
    char *id, *node_id, *own_label, *own_token, *own_hash;
    const char *token; /* own_token, or the source's; NULL: none that could be compared */
    const char *hash;  /* own_hash, or the source's; the same */
    const char *label; /* own_label, or the source's */
    int64_t permissions, expires;
    bool has_password, matched;
    struct seen_link *also;     /* of the same node */
    UT_hash_handle hh, hh_node; /* by id; by node, the first of them */
};

struct links {
    struct seen_link *by_id, *by_node;
    bool hashes; /* they were read */
};

static void
seen_link_free(struct seen_link *link)
{
    if (!link)
        return;
    free(link->id);
    free(link->node_id);
    free(link->own_label);
    free(link->own_token);
    free(link->own_hash);
    free(link);
}

static int
take_link(void *arg, const struct target_link *link)
{
    struct links *links = arg;
    struct seen_link *copy = NULL, *first = NULL;
    bool unnamed = strcmp(link->label, link->token) == 0;

    HASH_FIND_STR(links->by_id, link->link_id, copy);
    if (copy)
        return 0; /* several people may see one link */
    copy = calloc(1, sizeof *copy);
    if (!copy || !(copy->id = strdup(link->link_id)) || !(copy->node_id = strdup(link->node_id)) ||
        !(copy->own_label = strdup(unnamed ? "" : link->label)) ||
        !(copy->own_token = strdup(link->token))) {
        seen_link_free(copy);
        return -1;
    }
    copy->label = copy->own_label;
    copy->token = copy->own_token;
    copy->permissions = link->permissions;
    copy->expires = link->expires;
    copy->has_password = link->has_password;
    HASH_ADD_KEYPTR(hh, links->by_id, copy->id, strlen(copy->id), copy);
    HASH_FIND(hh_node, links->by_node, copy->node_id, strlen(copy->node_id), first);
    if (first) {
        copy->also = first->also;
        first->also = copy;
    } else {
        HASH_ADD_KEYPTR(hh_node, links->by_node, copy->node_id, strlen(copy->node_id), copy);
    }
    return 0;
}

static int
take_hash(void *arg, const char *link_id, const char *hash)
{
    struct links *links = arg;
    struct seen_link *link = NULL;
    char *copy;

    HASH_FIND_STR(links->by_id, link_id, link);
    if (!link)
        return 0;
    if (!(copy = strdup(hash)))
        return -1;
    free(link->own_hash); /* it is read again when the first try failed */
    link->hash = link->own_hash = copy;
    return 0;
}

/* One that is shown and is not in the file has no hash that could be ours. */
static int
read_hashes(struct verify *verify, struct links *links, struct ls_err *err)
{
    int r = verify->exact_links && links->by_id
                ? target_link_hashes(verify->target, take_hash, links, err)
                : 0;

    links->hashes = r > 0;
    for (struct seen_link *link = links->by_id; r > 0 && link; link = link->hh.next)
        if (!link->hash)
            link->hash = "";
    return r < 0 ? -1 : 0;
}

static void
links_free(struct links *links)
{
    struct seen_link *link = links->by_id, *next;

    HASH_CLEAR(hh_node, links->by_node);
    HASH_CLEAR(hh, links->by_id);
    for (; link; link = next) {
        next = link->hh.next;
        seen_link_free(link);
    }
}

/* What the source's row shall be there. */
static struct seen_link
wanted(const struct verify *verify, const struct side_share *share)
{
    return (struct seen_link){
        .label = share->label ? share->label : "",
        .permissions = cs3_permissions(share->permissions, share->node->folder, true),
        .expires = verify_expires(verify, share),
        .has_password = share->has_password,
        .token = verify->exact_links ? share->token : NULL,
        .hash = verify->exact_links && ap_password_hash_ok(share->password_hash)
                    ? share->password_hash
                    : NULL,
    };
}

static bool
link_equal(const struct seen_link *a, const struct seen_link *b)
{
    return a->permissions == b->permissions && a->expires == b->expires &&
           a->has_password == b->has_password && strcmp(a->label, b->label) == 0 &&
           (!a->token || !b->token || strcmp(a->token, b->token) == 0) &&
           (!a->hash || !b->hash || strcmp(a->hash, b->hash) == 0);
}

static struct seen_link *
find_link(const struct links *links, const struct side_share *share, const struct seen_link *exact)
{
    struct seen_link *link;

    HASH_FIND(hh_node, links->by_node, share->node->target_id, strlen(share->node->target_id),
              link);
    for (; link; link = link->also)
        if (!link->matched && (!exact || link_equal(link, exact)))
            return link;
    return NULL;
}

static void
link_text(const struct seen_link *link, char *out, size_t size)
{
    char permissions[400];

    snprintf(out, size, "%s; expires %" PRId64 "; %s; label '%s'",
             verify_permissions(link->permissions, permissions, sizeof permissions), link->expires,
             link->has_password ? "password" : "no password", link->label);
}

/* May the row be compared? It has an effect, and is one of a picked user's. */
static struct verify_user *
link_user(struct verify *verify, const struct side_share *share)
{
    struct side_user *owner = share->node ? side_owner(verify->side, share->node, NULL) : NULL;

    struct verify_user *user =
        share->type == SIDE_LINK && owner ? verify_user_of(verify, owner) : NULL;

    return user && user->picked ? user : NULL;
}

static void
compare_links(struct verify *verify, const struct links *links, bool exact)
{
    char left[512], right[512];

    for (struct side_share *share = verify->side->shares; share; share = share->next) {
        struct verify_user *user = link_user(verify, share);
        struct seen_link want, *link;

        if (!user)
            continue;
        if (!share->node->target_id) {
            if (exact)
                verify_left(verify, user, VL_NODE_DIFFERS);
            continue;
        }
        want = wanted(verify, share);
        link = find_link(links, share, exact ? &want : NULL);
        if (exact) {
            user->count[VC_LINKS]++;
            if (!verify->exact_links)
                verify_not_kept(verify, user, VK_LINK_TOKENS);
            if (share->has_password && (share->password_reset || !verify->exact_links))
                verify_not_kept(verify, user,
                                share->password_reset ? VK_LINK_RESETS : VK_LINK_PASSWORDS);
            if (want.hash && !links->hashes)
                verify_left(verify, user, VL_LINK_PASSWORDS);
            if (!link && user->signs_in)
                continue; /* in the second round */
            if (!link)    /* only he could have shown it */
                verify_left(verify, user, VL_LINK_DISABLED);
            share->node = NULL;
        } else if (link || !user->links_unseen) {
            link_text(&want, left, sizeof left);
            if (link)
                link_text(link, right, sizeof right);
            if (link && strcmp(left, right) == 0)
                snprintf(right, sizeof right, "%s",
                         want.token && link->token && strcmp(want.token, link->token) != 0
                             ? "another token"
                             : "another password");
            verify_differ(
                verify, user,
                &(struct verify_difference){.kind = VD_LINK,
                                            .fileid = share->fileid,
                                            .share = share->id,
                                            .target_id = share->node->target_id,
                                            .what = link ? "link: different" : "link: missing",
                                            .place = side_place(verify->side, share->node),
                                            .source = left,
                                            .target = link ? right : ""});
        }
        if (link)
            link->matched = true;
    }
}

static void
name_extra(struct verify *verify, const struct links *links)
{
    struct seen_link *link;
    char text[512];

    for (link = links->by_id; link; link = link->hh.next) {
        struct side_node *node = link->matched ? NULL : verify_live(verify, link->node_id);
        struct side_user *owner = node ? side_owner(verify->side, node, NULL) : NULL;
        struct verify_user *user = owner ? verify_user_of(verify, owner) : NULL;

        if (link->matched)
            continue;
        /* a picked user made it on a file of one whose rows were not compared */
        if (!node || (user && !user->picked)) {
            verify_left(verify, NULL, verify->some ? VL_UNPICKED : VL_TARGET_ONLY);
            continue;
        }
        link_text(link, text, sizeof text);
        verify_differ(verify, user,
                      &(struct verify_difference){.kind = VD_LINK,
                                                  .fileid = node->fileid,
                                                  .target_id = link->node_id,
                                                  .what = "link: extra",
                                                  .place = side_place(verify->side, node),
                                                  .target = text});
    }
}

static int
list_links(struct verify *verify, struct verify_user *user, struct links *links, struct ls_err *err)
{
    struct ls_err why = {0};

    if (target_links(verify->target, user->user->uid, take_link, links, &why) >= 0)
        return 0;
    user->links_unseen = true;
    return verify_unseen(
        verify, user,
        (struct verify_difference){.kind = VD_LINK, .what = "links: cannot be listed"}, &why, err);
}

int
verify_links(struct verify *verify, struct ls_err *err)
{
    struct links links = {NULL, NULL, false};
    int r = 0;

    for (size_t i = 0; i < verify->n_users && r == 0; i++)
        if (verify->users[i].picked)
            r = list_links(verify, &verify->users[i], &links, err);
    if (r == 0)
        r = read_hashes(verify, &links, err);
    if (r == 0) {
        compare_links(verify, &links, true);
        compare_links(verify, &links, false);
        name_extra(verify, &links);
    }
    links_free(&links);
    return r;
}
