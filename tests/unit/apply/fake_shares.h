/*
 * The part of the target in memory (fake_target.h, which takes it in) that is shares and links.
 */
#ifndef FAKE_SHARES_H
#define FAKE_SHARES_H

#include "fake_target.h"
#include "fake_tree.h"

/* ---- shares */

static int
fake_share_add(struct fake_target *f, const char *node_id, bool link, bool group,
               const char *grantee)
{
    int node = fake_index(f, node_id);

    for (int i = 0; i < f->n_shares; i++)
        if (f->shares[i].used && !link && !f->shares[i].link && f->shares[i].node == node &&
            f->shares[i].group == group && strcmp(f->shares[i].grantee, grantee) == 0)
            return i;
    f->shares[f->n_shares] =
        (struct fake_share){.used = true, .link = link, .group = group, .node = node};
    snprintf(f->shares[f->n_shares].grantee, 64, "%s", grantee);
    return f->n_shares++;
}

/* Of an id that we gave, or of one that an exact writer would have; -1: there is none. */
static int
fake_share_index(struct fake_target *f, const char *id)
{
    char own[AP_ID_SIZE + 32];

    if (id[0] == 's' && id[1] >= '0' && id[1] <= '9')
        return atoi(id + 1);
    for (int i = 0; i < f->n_shares; i++) {
        const struct fake_share *share = &f->shares[i];
        if (share->link)
            snprintf(own, sizeof(own), "%lld", (long long)share->row);
        else
            snprintf(own, sizeof(own), "st:%s:%lld", f->nodes[share->node].space,
                     (long long)share->made_of);
        if (share->used && strcmp(own, id) == 0)
            return i;
    }
    return -1;
}

static void
fake_share_name(const struct fake_target *f, int i, char ret_id[AP_ID_SIZE])
{
    if (f->writer.exact)
        snprintf(ret_id, AP_ID_SIZE, "st:%.90s:%lld", f->nodes[f->shares[i].node].space,
                 (long long)f->shares[i].made_of);
    else
        snprintf(ret_id, AP_ID_SIZE, "s%d", i);
}

/* What stands under the id that an exact writer would give, and is another share, goes first. */
static void
fake_leftover_drop(struct fake_target *f, const struct ap_share_want *want)
{
    char own[AP_ID_SIZE + 32];
    int node = fake_index(f, want->node_id), i;

    snprintf(own, sizeof(own), "st:%s:%lld", f->nodes[node].space, (long long)want->row);
    i = fake_share_index(f, own);
    if (i < 0 || (f->shares[i].node == node && f->shares[i].group == want->group &&
                  strcmp(f->shares[i].grantee, want->grantee_id) == 0))
        return;
    f->shares[i].used = false;
    for (int k = 0; k < f->n_received; k++)
        if (f->received[k].share == i)
            f->received[k].used = false;
}

static int
fake_share_set(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
               bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i;

    (void)doubtful;
    if (r < 0 && !happens)
        return r;
    f->share_sets++;
    if (f->writer.exact && !share_id[0])
        fake_leftover_drop(f, want);
    i = fake_share_index(f, share_id);
    if (i >= 0 && !f->shares[i].used)
        i = -1;
    if (i < 0 && !f->writer.exact)
        share_id[0] = '\0'; /* one made anew has another id */
    if (i < 0)
        i = fake_share_add(f, want->node_id, false, want->group, want->grantee_id);
    if (f->shares[i].row == 0)
        f->shares[i].made_of = want->row;
    f->shares[i].permissions = want->permissions;
    f->shares[i].expires = want->expires;
    f->shares[i].row = want->row;
    f->shares[i].ctime = want->ctime;
    if (r == 0 && !share_id[0])
        fake_share_name(f, i, share_id);
    return r;
}

static int
fake_share_find(struct ap_writer *w, const struct ap_share_want *want, char ret_id[AP_ID_SIZE],
                struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), node = fake_index(f, want->node_id);

    for (int i = 0; r == 0 && i < f->n_shares; i++)
        if (f->shares[i].used && !f->shares[i].link && f->shares[i].node == node &&
            f->shares[i].group == want->group &&
            strcmp(f->shares[i].grantee, want->grantee_id) == 0)
            fake_share_name(f, i, ret_id);
    return r;
}

static int
fake_share_clear(struct ap_writer *w, const struct ap_share_want *want, const char *share_id,
                 struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err);

    f->cleared += happens && share_id[0] && fake_index(f, want->node_id) && want->grantee_id[0];
    for (int i = 0; happens && i < f->n_shares; i++)
        if (f->shares[i].node == fake_index(f, want->node_id) &&
            !fake_in_trash(f, f->shares[i].node) && f->shares[i].group == want->group &&
            strcmp(f->shares[i].grantee, want->grantee_id) == 0)
            f->shares[i].grant_left = false;
    return r;
}

/* The grant goes last, but where shares are written exactly; in the trash it does not go. */
static int
fake_share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                  const char *share_id, bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens, cut = f->removals_cut > 0;
    int r = fake_trouble(f, &happens, err), i = fake_share_index(f, share_id);

    (void)space, (void)sharer, (void)doubtful;
    snprintf(f->removed, sizeof(f->removed), "%s", share_id);
    if (happens && i >= 0) {
        if (f->shares[i].used && !f->shares[i].link)
            f->shares[i].grant_left =
                fake_in_trash(f, f->shares[i].node) || ((cut || r < 0) && !w->exact);
        f->shares[i].used = false;
    }
    f->removals_cut -= cut;
    return cut ? ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the answer was lost") : r;
}

static int
fake_received_set(struct ap_writer *w, const char *recipient, const char *share_id,
                  enum cs3_share_state state, const char *mount_point, bool doubtful,
                  struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), share = fake_share_index(f, share_id), i;

    (void)doubtful;
    if (r < 0 && !happens)
        return r;
    f->received_sets++;
    for (i = 0; i < f->n_received; i++)
        if (f->received[i].share == share && strcmp(f->received[i].uid, recipient) == 0)
            break;
    if (i == f->n_received)
        f->n_received++;
    f->received[i].used = true;
    f->received[i].share = share;
    f->received[i].state = state;
    snprintf(f->received[i].uid, 64, "%s", recipient);
    snprintf(f->received[i].mount, 128, "%s", mount_point);
    return r;
}

static int
fake_link_set(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
              bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i;

    (void)doubtful;
    if (r < 0)
        return r;
    f->link_sets++;
    i = link_id[0] && f->shares[atoi(link_id + 1)].used
            ? atoi(link_id + 1)
            : fake_share_add(f, want->node_id, true, false, "");
    f->shares[i].permissions = want->permissions;
    f->shares[i].expires = want->expires;
    f->shares[i].row = want->row;
    f->shares[i].ctime = want->ctime;
    snprintf(f->shares[i].token, sizeof(f->shares[i].token), "%s", want->token);
    snprintf(f->shares[i].hash, sizeof(f->shares[i].hash), "%s", want->password_hash);
    snprintf(link_id, AP_ID_SIZE, "s%d", i);
    return 0;
}

#endif
