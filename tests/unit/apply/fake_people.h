/*
 * The part of the target in memory (fake_target.h, which takes it in) that is users, groups and
 * spaces, and what a look finds of all that is there.
 */
#ifndef FAKE_PEOPLE_H
#define FAKE_PEOPLE_H

#include "fake_target.h"
#include "fake_tree.h"

/* ---- people */

/* What was lost is made again. */
static void
fake_found(struct fake_target *f, const char *id)
{
    for (int i = 0; i < f->n_lost; i++)
        if (strcmp(f->lost[i], id) == 0)
            f->lost[i][0] = '\0';
}

static struct fake_fact *
fake_fact_find(struct fake_target *f, const char *what)
{
    for (int i = 0; i < f->n_facts; i++)
        if (strcmp(f->facts[i].what, what) == 0)
            return &f->facts[i];
    return NULL;
}

/* What was last said of it, or what holds as long as nothing was. */
static bool
fake_said(struct fake_target *f, const char *what, bool otherwise)
{
    struct fake_fact *fact = fake_fact_find(f, what);

    return fact ? fact->on : otherwise;
}

static struct fake_fact *
fake_fact(struct fake_target *f, const char *what)
{
    struct fake_fact *fact = fake_fact_find(f, what);

    if (fact)
        return fact;
    if (f->n_facts == 64)
        abort();
    snprintf(f->facts[f->n_facts].what, sizeof(f->facts[0].what), "%s", what);
    return &f->facts[f->n_facts++];
}

static int
fake_user_ensure(struct ap_writer *w, const struct cs3_person *person, struct ap_person_id *ret,
                 struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    if (happens)
        snprintf(fake_of(w)->named, sizeof(fake_of(w)->named), "%.*s", (int)person->display_name.n,
                 person->display_name.p);
    if (happens)
        snprintf(fake_of(w)->mailed, sizeof(fake_of(w)->mailed), "%.*s",
                 person->mail.p ? (int)person->mail.n : 4,
                 person->mail.p ? person->mail.p : "kept");
    snprintf(fake_of(w)->sought, sizeof(fake_of(w)->sought), "%.*s", (int)person->directory_uuid.n,
             person->directory_uuid.p ? person->directory_uuid.p : "");
    if (r == 0)
        snprintf(ret->id, sizeof(ret->id), "U%.*s", (int)person->uid.n, person->uid.p);
    if (r == 0)
        fake_found(fake_of(w), ret->id);
    return r;
}

static int
fake_user_match(struct ap_writer *w, const char *uid, const char *id, struct ls_err *err)
{
    size_t n = strlen(fake_of(w)->matched);

    (void)err;
    snprintf(fake_of(w)->matched + n, sizeof(fake_of(w)->matched) - n, "%s=%s ", uid,
             id ? id : "by name");
    return 0;
}

static int
fake_user_enable(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    bool happens;
    char what[160];
    int r = fake_trouble(fake_of(w), &happens, err);

    snprintf(what, sizeof(what), "user %.127s", user_id);
    if (happens)
        fake_fact(fake_of(w), what)->on = enabled;
    if (r == 0)
        fake_of(w)->users_off += enabled ? -1 : 1;
    return r;
}

static int
fake_group_ensure(struct ap_writer *w, const struct cs3_person *group, struct ap_person_id *ret,
                  struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err);

    snprintf(f->sought, sizeof(f->sought), "%.*s", (int)group->directory_uuid.n,
             group->directory_uuid.p ? group->directory_uuid.p : "");
    if (r == 0 && group->directory_uuid.p)
        snprintf(ret->id, sizeof(ret->id), "%.100s", f->sought);
    else if (r == 0 && f->groups_removed)
        snprintf(ret->id, sizeof(ret->id), "G%.60s.%d", group->gid.p, f->groups_removed);
    else if (r == 0)
        snprintf(ret->id, sizeof(ret->id), "G%.60s", group->gid.p);
    return r;
}

static int
fake_group_remove(struct ap_writer *w, const char *group_id, struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    (void)group_id;
    fake_of(w)->groups_removed += happens;
    return r;
}

static int
fake_member_set(struct ap_writer *w, const char *group_id, const char *user_id, bool member,
                struct ls_err *err)
{
    bool happens;
    char what[160];
    int r = fake_trouble(fake_of(w), &happens, err);

    snprintf(what, sizeof(what), "member %.64s %.64s", group_id, user_id);
    if (happens)
        fake_fact(fake_of(w), what)->on = member;
    return r;
}

static int
fake_space_quota(struct ap_writer *w, const struct ap_space *space, int64_t bytes,
                 struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    (void)space;
    if (happens) {
        fake_of(w)->quota = bytes;
        fake_of(w)->quota_sets++;
    }
    return r;
}

static int
fake_space_ensure(struct ap_writer *w, const char *uid, struct ap_space *ret, struct ls_err *err)
{
    bool happens;
    int r = fake_trouble(fake_of(w), &happens, err);

    if (r < 0)
        return r;
    snprintf(ret->storage_id, sizeof(ret->storage_id), "st");
    snprintf(ret->space_id, sizeof(ret->space_id), "S%.40s", uid);
    snprintf(ret->root_id, sizeof(ret->root_id), "R%.40s", uid);
    snprintf(ret->owner, sizeof(ret->owner), "%s", uid);
    fake_found(fake_of(w), ret->space_id);
    return 0;
}

/* ---- looks */

static bool
fake_lost(struct fake_target *f, const char *id)
{
    for (int i = 0; i < f->n_lost; i++)
        if (strcmp(f->lost[i], id) == 0)
            return true;
    return false;
}

/* "Ubob", "Gstaff", "Sbob" (his space): with all that the space holds. */
static inline void
fake_lose(struct fake_target *f, const char *id)
{
    snprintf(f->lost[f->n_lost++], sizeof(f->lost[0]), "%s", id);
    for (int i = 1; i < f->n_nodes; i++)
        if (strcmp(f->nodes[i].space, id) == 0)
            f->nodes[i].used = false;
}

static int
fake_node_look(struct ap_writer *w, const struct ap_space *space, const char *node_id,
               struct ap_trash_ref below, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), i = node_id ? fake_index(f, node_id) : 0;

    (void)mtime;
    f->looks++;
    if (r < 0)
        return r;
    if (fake_lost(f, space->space_id))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "space-gone", "no space");
    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_NOT;
    if (i != 0 && fake_in_trash(f, i) && !f->nodes[i].trashed)
        i = 0; /* has no id there */
    if (i == 0 && below.top_id && (i = fake_ref(f, below)) != 0)
        ret->where = AP_FOUND_BELOW;
    else if (i != 0)
        ret->where = f->nodes[i].trashed ? AP_FOUND_TRASHED : AP_FOUND_LIVE;
    if (i == 0)
        return 0;
    fake_answer(f, i, &ret->node);
    ret->folder = f->nodes[i].folder;
    snprintf(ret->name, sizeof(ret->name), "%s", f->nodes[i].name);
    if (f->nodes[i].parent)
        snprintf(ret->parent_id, sizeof(ret->parent_id), "n%d", f->nodes[i].parent);
    else
        snprintf(ret->parent_id, sizeof(ret->parent_id), "%s", space->root_id);
    return 0;
}

static int
fake_place_look(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                const char *name, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err), parent, i;

    (void)mtime;
    f->looks++;
    if (r < 0)
        return r;
    if ((parent = fake_parent(f, space, parent_id, NULL, err)) < 0)
        return -1;
    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_NOT;
    i = fake_child(f, space->space_id, parent, name);
    if (i == 0)
        return 0;
    ret->where = AP_FOUND_LIVE;
    ret->folder = f->nodes[i].folder;
    fake_answer(f, i, &ret->node);
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    snprintf(ret->parent_id, sizeof(ret->parent_id), "%s", parent_id);
    return 0;
}

/* Where things lay is not kept here: any place will do. */
static int
fake_trash_seek(struct ap_writer *w, const struct ap_space *space, const struct ap_trash_seek *what,
                struct ap_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens, known;
    char id[AP_ID_SIZE];
    int r = fake_trouble(f, &happens, err), best = 0;

    f->looks++;
    if (r < 0)
        return r;
    for (int i = 1; i < f->n_nodes; i++) {
        const struct fake_node *n = &f->nodes[i];

        known = !n->used || !n->trashed || strcmp(n->space, space->space_id) != 0 ||
                n->folder != what->folder || n->deleted_at < what->since ||
                (strcmp(n->name, what->base) != 0 && strcmp(n->name, what->aside) != 0) ||
                (!n->folder && what->size >= 0 && n->size != what->size);
        snprintf(id, sizeof(id), "n%d", i);
        for (int k = 0; k < what->n_known && !known; k++)
            known = strcmp(what->known[k], id) == 0;
        if (!known && (best == 0 || n->deleted_at < f->nodes[best].deleted_at))
            best = i;
    }
    memset(ret, 0, sizeof(*ret));
    ret->where = best ? AP_FOUND_TRASHED : AP_FOUND_NOT;
    if (best == 0)
        return 0;
    fake_answer(f, best, &ret->node);
    ret->folder = f->nodes[best].folder;
    ret->node.deleted_at = f->nodes[best].deleted_at;
    snprintf(ret->name, sizeof(ret->name), "%s", f->nodes[best].name);
    return 0;
}

static int
fake_person_look(struct ap_writer *w, enum cs3_person_type type, const char *name,
                 struct ap_person_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    char what[160];
    int r = fake_trouble(f, &happens, err);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    if (type == CS3_GROUP && f->groups_removed)
        snprintf(ret->id, sizeof(ret->id), "G%.60s.%d", name, f->groups_removed);
    else
        snprintf(ret->id, sizeof(ret->id), "%c%.60s", type == CS3_USER ? 'U' : 'G', name);
    ret->found = !fake_lost(f, ret->id);
    snprintf(what, sizeof(what), "user %.127s", ret->id);
    ret->enabled = fake_said(f, what, true);
    return 0;
}

static int
fake_member_look(struct ap_writer *w, const char *group_id, const char *user_id,
                 struct ap_person_found *ret, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    char what[160];
    int r = fake_trouble(f, &happens, err);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    snprintf(what, sizeof(what), "member %.64s %.64s", group_id, user_id);
    ret->found = fake_said(f, what, false);
    return 0;
}

static int
fake_space_look(struct ap_writer *w, const char *uid, struct ap_space_found *ret,
                struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    bool happens;
    int r = fake_trouble(f, &happens, err);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->space.storage_id, sizeof(ret->space.storage_id), "st");
    snprintf(ret->space.space_id, sizeof(ret->space.space_id), "S%.40s", uid);
    snprintf(ret->space.root_id, sizeof(ret->space.root_id), "R%.40s", uid);
    ret->found = !fake_lost(f, ret->space.space_id);
    ret->quota = f->quota_sets ? f->quota : -2;
    return 0;
}

#endif
