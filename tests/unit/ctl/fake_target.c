#include "fake_target.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake fake;

int
target_open(const struct ls_config *config, struct target **ret, struct ls_err *err)
{
    (void)config;
    (void)err;
    *ret = NULL;
    return 0;
}

void
target_close(struct target *target)
{
    (void)target;
}

static bool
named(const char *const *users, const char *uid)
{
    for (size_t i = 0; users && users[i]; i++)
        if (strcmp(users[i], uid) == 0)
            return true;
    return false;
}

static bool
fails(const char *what, struct ls_err *err)
{
    if (!fake.fails || strcmp(fake.fails, what) != 0)
        return false;
    ls_fail_cause(err, LS_ERR_RETRY, 15, fake.cause, "%s: %s", what, fake.cause);
    return true;
}

int
target_user(struct target *target, const char *uid, struct target_who *ret, struct ls_err *err)
{
    (void)target;
    if (fails("user", err))
        return -1;
    ret->signs_in = ret->enabled = !fake.users || named(fake.users, uid);
    ret->seen = ret->signs_in || named(fake.served, uid);
    return 0;
}

int
target_quota(struct target *target, const char *uid, int64_t *ret, struct ls_err *err)
{
    (void)target;
    (void)uid;
    if (fails("quota", err))
        return -1;
    *ret = fake.quota;
    return fake.quota >= 0;
}

/* fake.grouped: "uid=id " of each membership */
int
target_in_group(struct target *target, const char *uid, const char *group_id, struct ls_err *err)
{
    char one[200];

    (void)target;
    if (fails("group", err))
        return -1;
    snprintf(one, sizeof one, "%s=%s ", uid, group_id);
    return fake.grouped && strstr(fake.grouped, one);
}

int
target_match(struct target *target, const char *uid, const char *id, struct ls_err *err)
{
    size_t n = strlen(fake.matched);

    (void)target;
    (void)err;
    snprintf(fake.matched + n, sizeof fake.matched - n, "%s=%s ", uid, id);
    return 0;
}

bool
target_has_service(const struct target *target)
{
    (void)target;
    return fake.served != NULL;
}

static bool
same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool
is_granted(const char *node_id)
{
    for (const struct fake_grant *g = fake.grants; g && g->uid; g++)
        if (!g->listed && same(g->node, node_id))
            return true;
    return false;
}

int
target_list(struct target *target, const char *uid, const char *node_id,
            int (*each)(void *arg, const struct target_item *item), void *arg, struct ls_err *err)
{
    int r = 0;

    (void)target;
    if (fails("list", err))
        return -1;
    if (fake.gone && same(fake.gone, node_id))
        return ls_fail_cause(err, LS_ERR_RETRY, 6, "gone", "gone");
    for (const struct fake_node *n = fake.nodes; n && n->uid && r == 0; n++)
        if (same(n->uid, uid) && same(n->parent, node_id))
            r = each(arg, &(struct target_item){.id = n->id,
                                                .name = n->name,
                                                .folder = n->folder,
                                                .granted = is_granted(n->id),
                                                .size = n->size,
                                                .mtime = n->mtime,
                                                .sha1 = n->sha1 ? n->sha1 : ""});
    return r;
}

int
target_content(struct target *target, const char *uid, const char *node_id, char sha1[41],
               int64_t *ret_size, struct ls_err *err)
{
    (void)target;
    (void)uid;
    for (const struct fake_content *c = fake.content; c && c->node; c++)
        if (same(c->node, node_id)) {
            if (c->fails)
                return ls_fail_cause(err, LS_ERR_RETRY, 500, c->fails, "GET: %s", c->fails);
            snprintf(sha1, 41, "%s", c->sha1);
            *ret_size = c->size;
            return 0;
        }
    return ls_fail_cause(err, LS_ERR_RETRY, 6, "gone", "gone");
}

int
target_versions(struct target *target, const char *uid, const char *node_id,
                int (*each)(void *arg, int64_t mtime, int64_t size), void *arg, struct ls_err *err)
{
    int r = 0;

    (void)target;
    if (fails("versions", err))
        return -1;
    for (const struct fake_version *v = fake.versions; v && v->uid && r == 0; v++)
        if (same(v->uid, uid) && same(v->node, node_id))
            r = each(arg, v->mtime, v->size);
    return r;
}

int
target_trash(struct target *target, const char *uid, const char *key,
             int (*each)(void *arg, const struct target_trashed *item), void *arg,
             struct ls_err *err)
{
    int r = 0;

    (void)target;
    if (fails("trash", err))
        return -1;
    for (const struct fake_trash *t = fake.trash; t && t->uid && r == 0; t++)
        if (same(t->uid, uid) && same(t->parent, key))
            r = each(arg, &(struct target_trashed){.key = t->key,
                                                   .name = t->name,
                                                   .where = t->where ? t->where : "",
                                                   .folder = t->folder,
                                                   .size = key ? t->size : -1,
                                                   .deleted_at = t->deleted_at});
    return r;
}

int
target_trashed_size(struct target *target, const char *uid, const char *key, int64_t *ret,
                    struct ls_err *err)
{
    (void)target;
    if (fails("size", err))
        return -1;
    for (const struct fake_trash *t = fake.trash; t && t->uid; t++)
        if (same(t->uid, uid) && same(t->key, key)) {
            *ret = t->size;
            return 0;
        }
    return ls_fail_cause(err, LS_ERR_RETRY, 15, "internal", "no such key");
}

int
target_received(struct target *target, const char *uid,
                int (*each)(void *arg, const struct target_share *share), void *arg,
                struct ls_err *err)
{
    int r = 0;

    (void)target;
    if (fails("received", err))
        return -1;
    for (const struct fake_share *s = fake.shares; s && s->uid && r == 0; s++)
        if (same(s->uid, uid))
            r = each(arg, &(struct target_share){.share_id = s->id ? s->id : "share",
                                                 .node_id = s->node,
                                                 .permissions = s->permissions,
                                                 .expires = s->expires,
                                                 .state = s->state});
    return r;
}

int
target_links(struct target *target, const char *uid,
             int (*each)(void *arg, const struct target_link *link), void *arg, struct ls_err *err)
{
    int r = 0;

    (void)target;
    if (fails("links", err))
        return -1;
    for (const struct fake_link *l = fake.links; l && l->uid && r == 0; l++)
        if (same(l->uid, uid))
            r = each(arg, &(struct target_link){.link_id = l->id,
                                                .node_id = l->node,
                                                .label = l->label,
                                                .token = l->token ? l->token : "token",
                                                .permissions = l->permissions,
                                                .expires = l->expires,
                                                .has_password = l->has_password});
    return r;
}

static int
give_grant(const struct fake_grant *g, int (*each)(void *arg, const struct target_grant *grant),
           void *arg)
{
    return each(arg, &(struct target_grant){.node_id = g->node,
                                            .grantee_id = g->grantee,
                                            .group = g->group,
                                            .permissions = g->permissions,
                                            .expires = g->expires,
                                            .share_id = g->listed ? g->listed : ""});
}

int
target_shares_on(struct target *target, const char *uid, const char *const *node_ids, size_t n,
                 int (*each)(void *arg, const struct target_grant *share), void *arg,
                 struct ls_err *err)
{
    int r = 0;

    (void)target;
    fake.asked++;
    if (fails("shares-on", err))
        return -1;
    for (const struct fake_grant *g = fake.grants; g && g->uid && r == 0; g++)
        for (size_t i = 0; i < n && r == 0; i++)
            if (g->listed && same(g->uid, uid) && same(g->node, node_ids[i]))
                r = give_grant(g, each, arg);
    return r;
}

int
target_grants(struct target *target, const char *uid, const char *node_id,
              int (*each)(void *arg, const struct target_grant *grant), void *arg,
              struct ls_err *err)
{
    int r = 0;

    (void)target;
    fake.asked++;
    if (fails("grants", err))
        return -1;
    for (const struct fake_grant *g = fake.grants; g && g->uid && r == 0; g++)
        if (!g->listed && same(g->uid, uid) && same(g->node, node_id) && !same(g->grantee, uid))
            r = give_grant(g, each, arg);
    return r;
}

bool
target_grant_fits(const struct target_grant *grant, const struct target_grant *share)
{
    return grant->permissions == share->permissions && grant->expires == share->expires;
}

int
target_grantee(struct target *target, const char *uid, const char *id, bool group,
               char ret_name[256], struct ls_err *err)
{
    (void)uid;
    (void)target;
    if (fails("grantee", err))
        return -1;
    snprintf(ret_name, 256, "%s%s", group ? "g-" : "", id);
    return strncmp(id, "nobody", 6) != 0;
}

int
target_link_hashes(struct target *target,
                   int (*each)(void *arg, const char *link_id, const char *hash), void *arg,
                   struct ls_err *err)
{
    int r = 0;

    (void)target;
    (void)err;
    if (fake.no_hashes)
        return 0;
    for (const struct fake_link *l = fake.links; l && l->uid && r == 0; l++)
        r = each(arg, l->id, l->hash ? l->hash : "");
    return r < 0 ? r : 1;
}

/* ---- a run */

void
verify_begin(struct verify_run *run, const struct fake_row *rows)
{
    char root[] = "data.root=/nonexistent", workers[] = "verify.workers=2";
    char *sets[] = {root, workers};
    struct side_load *load = NULL;
    struct ls_err err = {0};

    memset(run, 0, sizeof *run);
    if (ls_config_load(NULL, sets, 2, &run->config, &err) < 0 ||
        side_begin(run->config, &load, &err) < 0)
        fail_msg("%s", err.msg);
    for (int table = T_FOLDER_TYPE; table <= T_PREFERENCE; table++)
        for (const struct fake_row *row = rows; row->table >= 0; row++) {
            struct ls_str columns[13];
            for (size_t i = 0; i < 13; i++)
                columns[i] = ls_str_of(row->columns[i]);
            if (row->table == table)
                assert_int_equal(side_tables[table].take(load, columns, 13), 0);
        }
    side_finish(load, &run->verify.side);
    run->verify.config = run->config;
    run->verify.now = 1000000;
    pthread_mutex_init(&run->verify.lock, NULL);
    assert_int_equal(tf_zone_set("UTC", &run->verify.zone, &err), 0);
    assert_int_equal(verify_users(&run->verify, &err), 0);
}

void
verify_all(struct verify_run *run)
{
    struct ls_err err = {0};

    if (verify_compare(&run->verify, &err) < 0)
        fail_msg("%s", err.msg);
}

void
verify_end(struct verify_run *run)
{
    verify_free(&run->verify);
    side_free(run->verify.side);
    ls_config_free(run->config);
    fake = (struct fake){0};
}

const char *
verify_difference(const struct verify_run *run, size_t n)
{
    static char text[1024];
    const struct verify_difference *d =
        n < run->verify.differences.n ? run->verify.differences.each[n] : NULL;

    text[0] = 0;
    if (d)
        snprintf(text, sizeof text, "%s|%s|%s|%s|%s", d->user, d->what, d->place, d->source,
                 d->target);
    return text;
}
