/*
 * Compares what the target lists as shared of one user's files with what opens them.
 *
 * A share of oCIS is two things: an entry in the share manager's list, which people see, and a
 * grant on the node, which lets somebody in. The server writes one after the other. Cut off between
 * the two it leaves a share that opens nothing, or a file that stays open to somebody whom no list
 * names. Both sides of this comparison are oCIS's; ownCloud's rows say which nodes to ask about,
 * and are named so that they can be sent again.
 *
 * What it costs: a folder's list tells of each node whether it has grants, so only those are asked
 * for theirs, one call each, and the shares of fifty nodes come with one call. What is not live in
 * both trees is not looked at: the trash opens nothing, and what is extra is told already. Nor is
 * the root of a space, on which oCIS itself sets grants. A link has none. A grant of somebody whom
 * oCIS does not have is counted apart: it lets nobody in, or is what a federated share of oCIS's
 * own has, which is in another list.
 */
#include "apply/cs3/cs3.h"
#include "common/records.h"
#include "ctl/verify/verify.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct entry { /* of somebody on a node */
    char grantee_id[AP_ID_SIZE];
    bool group;
    struct target_grant what; /* its strings are gone but for that id */
    int64_t row;
};
struct entries {
    struct entry *each;
    size_t n;
};
struct opened {
    struct side_node *node;
    struct entries shares, grants;
    UT_hash_handle hh; /* by the node's id at the target, once all are there */
};
struct looking {
    struct verify *verify;
    struct verify_user *user;
    struct opened *nodes, *by_id;
    const char **ids;
    size_t n, size;
    struct entries *grants; /* of the node that is asked */
};

/* ---- which nodes */

static int
take_node(struct looking *l, struct side_node *node)
{
    if (l->n == l->size) {
        size_t size = l->size ? 2 * l->size : 64;
        struct opened *nodes = realloc(l->nodes, size * sizeof *nodes);
        const char **ids = NULL;

        if (nodes) {
            l->nodes = nodes;
            ids = realloc(l->ids, size * sizeof *ids);
        }
        if (!ids)
            return -1;
        l->ids = ids;
        l->size = size;
    }
    l->nodes[l->n] = (struct opened){.node = node};
    l->ids[l->n++] = node->target_id;
    return 0;
}

static int
take_below(struct looking *l, struct side_node *folder)
{
    for (struct side_node *node = folder->first; node; node = node->next) {
        if (!node->target_id)
            continue; /* told as different */
        if ((node->shared || node->granted) && take_node(l, node) < 0)
            return -1;
        if (node->first && take_below(l, node) < 0)
            return -1;
    }
    return 0;
}

/* ---- what is on them */

static int
entry_add(const struct looking *l, struct entries *entries, const struct target_grant *what,
          int64_t row)
{
    struct entry *grown;

    if (strlen(what->grantee_id) >= AP_ID_SIZE) { /* nobody of oCIS's own */
        verify_left(l->verify, l->user, VL_GRANTS_OF_NOBODY);
        return 0;
    }
    grown = realloc(entries->each, (entries->n + 1) * sizeof *grown);
    if (!grown)
        return -1;
    entries->each = grown;
    grown += entries->n++;
    *grown = (struct entry){.group = what->group, .what = *what, .row = row};
    snprintf(grown->grantee_id, sizeof grown->grantee_id, "%s", what->grantee_id);
    return 0;
}

static int
take_share(void *arg, const struct target_grant *share)
{
    struct looking *l = arg;
    struct opened *at = NULL;

    HASH_FIND_STR(l->by_id, share->node_id, at);
    return at ? entry_add(l, &at->shares, share, verify_row_of(share->share_id)) : 0;
}

static int
take_grant(void *arg, const struct target_grant *grant)
{
    struct looking *l = arg;

    return entry_add(l, l->grants, grant, -1);
}

static const struct entry *
same_grantee(const struct entries *entries, const struct entry *of)
{
    for (size_t i = 0; i < entries->n; i++)
        if (entries->each[i].group == of->group &&
            strcmp(entries->each[i].grantee_id, of->grantee_id) == 0)
            return &entries->each[i];
    return NULL;
}

/* ---- what is told */

/* The row by which the node's shares are sent again: that of the share, where its id says it. */
static int64_t
row_to_send(const struct verify *verify, const struct side_node *node, int64_t row)
{
    int64_t any = 0;

    for (const struct side_share *share = verify->side->shares; share; share = share->next) {
        if (share->node != node || share->type == SIDE_LINK)
            continue;
        if (share->id == row)
            return row;
        if (any == 0)
            any = share->id;
    }
    return any;
}

/* Of whom the target knows nothing, nothing is told. */
static int
tell(struct looking *l, const struct opened *at, const struct entry *of, const char *what,
     const char *target, struct ls_err *err)
{
    struct verify *verify = l->verify;
    char name[256] = "";
    struct ls_err why = {0};
    struct verify_difference d = {.kind = VD_SHARE,
                                  .fileid = at->node->fileid,
                                  .target_id = at->node->target_id,
                                  .what = what,
                                  .target = target};
    const char *place;
    int known =
        target_grantee(verify->target, l->user->user->uid, of->grantee_id, of->group, name, &why);

    if (known == 0) {
        verify_left(verify, l->user, VL_GRANTS_OF_NOBODY);
        return 0;
    }
    place = side_printf(verify->side, "%s, given to %s %s", side_place(verify->side, at->node),
                        of->group ? "the group" : "the user", known > 0 ? name : of->grantee_id);
    d.place = place ? place : "(out of memory)";
    if (known < 0)
        return verify_unseen(verify, l->user, d, &why, err);
    if (strcmp(what, "share: grant without a share") != 0)
        d.share = row_to_send(verify, at->node, of->row);
    verify_differ(verify, l->user, &d);
    return 0;
}

static int
tell_other(struct looking *l, const struct opened *at, const struct entry *share,
           const struct entry *grant, struct ls_err *err)
{
    char says[512], gives[512], text[1200];

    snprintf(text, sizeof text, "the share says %s until %" PRId64 ", the grant %s until %" PRId64,
             verify_permissions(share->what.permissions, says, sizeof says), share->what.expires,
             verify_permissions(grant->what.permissions, gives, sizeof gives), grant->what.expires);
    return tell(l, at, share, "share: grant differs", text, err);
}

static int
compare_node(struct looking *l, const struct opened *at, struct ls_err *err)
{
    int r = 0;

    for (size_t i = 0; i < at->shares.n && r == 0; i++) {
        const struct entry *share = &at->shares.each[i];
        const struct entry *grant = same_grantee(&at->grants, share);

        if (!grant)
            r = tell(l, at, share, "share: grant missing",
                     "in the list of shares, but opens nothing", err);
        else if (!target_grant_fits(&grant->what, &share->what))
            r = tell_other(l, at, share, grant, err);
    }
    for (size_t i = 0; i < at->grants.n && r == 0; i++) {
        const struct entry *grant = &at->grants.each[i];
        char gives[512], text[600];

        if (same_grantee(&at->shares, grant))
            continue;
        snprintf(text, sizeof text, "in no list of shares, but opens it: %s",
                 verify_permissions(grant->what.permissions, gives, sizeof gives));
        r = tell(l, at, grant, "share: grant without a share", text, err);
    }
    return r;
}

static int
look_at_node(struct looking *l, struct opened *at, struct ls_err *err)
{
    struct verify *verify = l->verify;
    const char *uid = l->user->user->uid;
    struct ls_err why = {0};

    if (!at->node->granted && at->shares.n == 0)
        return 0;
    l->grants = &at->grants;
    if (target_grants(verify->target, uid, at->node->target_id, take_grant, l, &why) < 0)
        return verify_unseen(
            verify, l->user,
            (struct verify_difference){.kind = VD_SHARE,
                                       .fileid = at->node->fileid,
                                       .target_id = at->node->target_id,
                                       .share = row_to_send(verify, at->node, -1),
                                       .what = strcmp(why.cause, "gone") == 0
                                                   ? "went away while it was read"
                                                   : "share: grants cannot be listed",
                                       .place = side_place(verify->side, at->node)},
            &why, err);
    return compare_node(l, at, err);
}

static int
look_at_all(struct looking *l, struct ls_err *err)
{
    struct verify *verify = l->verify;
    struct ls_err why = {0};
    int r = 0;

    if (!l->user->signs_in) {
        for (size_t i = 0; i < l->n; i++)
            verify_left(verify, l->user, VL_GRANTS_UNSEEN);
        return 0;
    }
    for (size_t i = 0; i < l->n; i++)
        HASH_ADD_KEYPTR(hh, l->by_id, l->ids[i], strlen(l->ids[i]), &l->nodes[i]);
    if (target_shares_on(verify->target, l->user->user->uid, l->ids, l->n, take_share, l, &why) < 0)
        return verify_unseen(
            verify, l->user,
            (struct verify_difference){.kind = VD_SHARE,
                                       .what = "share: those of his files cannot be listed"},
            &why, err);
    for (size_t i = 0; i < l->n && r == 0; i++)
        r = look_at_node(l, &l->nodes[i], err);
    return r;
}

int
verify_grants(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    struct side_node *files = user->user->root ? side_child(user->user->root, "files") : NULL;
    struct looking l = {.verify = verify, .user = user};
    int r = 0;

    if (files && take_below(&l, files) < 0)
        r = ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    if (r == 0 && l.n > 0)
        r = look_at_all(&l, err);
    HASH_CLEAR(hh, l.by_id);
    for (size_t i = 0; i < l.n; i++) {
        free(l.nodes[i].shares.each);
        free(l.nodes[i].grants.each);
    }
    free(l.nodes);
    free(l.ids);
    return r;
}
