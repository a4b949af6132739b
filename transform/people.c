/*
 * oc_accounts, oc_groups, oc_group_user -> cs3.person.
 *
 * What can go wrong: oc_accounts is keyed by a number and a person by uid. A deletion that carries
 * only its key is understood through the accounts in memory, where deleted ones stay; a row whose
 * uid changes is two people, the old one deleted.
 */
#include "transform/map.h"

#include <string.h>

/* oc_accounts.state */
static const struct {
    int64_t state;
    enum cs3_kind kind;
    bool enabled;
} states[] = {
    {0, CS3_UPSERT, true},  /* made, never signed in */
    {1, CS3_UPSERT, true},  /* enabled */
    {2, CS3_UPSERT, false}, /* disabled */
    {3, CS3_DELETE, false}, /* deleted, the row is still there */
};

static struct ls_str
uid_of(const struct tf_known *known, const struct ls_envelope *e)
{
    struct ls_str uid = tf_text(e, AC_USER_ID);

    return uid.p ? uid : tf_known_uid(known, tf_int(e, AC_ID, LS_NO_STORAGE));
}

bool
tf_user_asks(const struct tf_known *known, const struct ls_envelope *e)
{
    struct ls_str home = tf_text(e, AC_HOME), uid = tf_text(e, AC_USER_ID);

    if (tf_known_passed(known, e->seq))
        return false;
    if (e->op == LS_OP_DELETE)
        return !uid_of(known, e).p;
    /* Only then can there be an md5 storage that waits for this account. */
    return home.n + 16 > TF_STORAGE_ID_MAX || uid.n + 13 > TF_STORAGE_ID_MAX;
}

static int
person_new(const struct ls_envelope *e, enum cs3_person_type type, struct ls_arena *arena,
           struct cs3_person **ret, struct ls_err *err)
{
    struct cs3_person *p = tf_alloc(arena, sizeof(*p), err);

    if (!p)
        return -1;
    p->head = tf_head(e, e->op == LS_OP_DELETE ? CS3_DELETE : CS3_UPSERT);
    p->type = type;
    *ret = p;
    return 0;
}

/* The row has another uid now: there is nobody of the old one any more. */
static int
renamed_from(const struct ls_envelope *e, const struct cs3_person *now, struct ls_arena *arena,
             struct tf_result *ret, struct ls_err *err)
{
    const struct ls_value *before = &e->before[AC_USER_ID];
    struct cs3_person *old;
    struct ls_str key;

    if (e->op != LS_OP_UPDATE || !e->has_before || before->kind != LS_V_TEXT || before->s.n == 0 ||
        ls_str_eq(before->s, now->uid))
        return 0;
    if (person_new(e, CS3_USER, arena, &old, err) < 0 ||
        tf_key(arena, "u:", before->s, &key, err) < 0)
        return -1;
    old->head.kind = CS3_DELETE;
    old->uid = before->s;
    tf_emit(ret, TF_PERSON, 0, key, old);
    ret->emits[ret->n - 1].counted = false;
    return 0;
}

int
tf_user_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
            struct tf_result *ret, struct ls_err *err)
{
    int64_t state = tf_int(e, AC_STATE, 1);
    struct cs3_person *p;
    struct ls_str key;

    if (person_new(e, CS3_USER, arena, &p, err) < 0)
        return -1;
    p->uid = uid_of(world->known, e);
    if (e->op == LS_OP_DELETE && !p->uid.p) {
        ret->filtered = "account-unknown";
        return 0;
    }
    if (!p->uid.p || p->uid.n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "uid", "an account without user_id");
    if (tf_key(arena, "u:", p->uid, &key, err) < 0)
        return -1;
    if (e->op != LS_OP_DELETE) {
        size_t i = 0;

        while (i < sizeof(states) / sizeof(states[0]) && states[i].state != state)
            i++;
        if (i == sizeof(states) / sizeof(states[0]))
            return ls_fail_cause(err, LS_ERR_POISON, 0, "account-state",
                                 "an account in the unknown state %lld", (long long)state);
        p->head.kind = states[i].kind;
        p->enabled = states[i].enabled;
        p->display_name = tf_or_null(tf_text(e, AC_DISPLAY_NAME));
        p->mail = tf_or_null(tf_text(e, AC_EMAIL));
        p->home = tf_or_null(tf_text(e, AC_HOME));
        p->backend = tf_or_null(tf_text(e, AC_BACKEND));
        p->quota = tf_or_null(tf_text(e, AC_QUOTA));
        if (!tf_quota_parse(p->quota, &p->quota_kind, &p->quota_bytes))
            tf_warn(ret, "quota");
        if (renamed_from(e, p, arena, ret, err) < 0)
            return -1;
    }
    tf_emit(ret, TF_PERSON, 0, key, p);
    if (e->op == LS_OP_DELETE)
        return 0;
    return tf_spaces_of_account(world, e, p->uid, p->home, arena, ret, err);
}

int
tf_group_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
             struct tf_result *ret, struct ls_err *err)
{
    struct cs3_person *p;
    struct ls_str key;

    (void)world;
    if (person_new(e, CS3_GROUP, arena, &p, err) < 0)
        return -1;
    p->gid = tf_text(e, GR_GID);
    p->enabled = true;
    if (!p->gid.p || p->gid.n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "gid", "a group without a name");
    if (tf_key(arena, "g:", p->gid, &key, err) < 0)
        return -1;
    tf_emit(ret, TF_PERSON, 0, key, p);
    return 0;
}

int
tf_member_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
              struct tf_result *ret, struct ls_err *err)
{
    struct cs3_person *p;
    struct ls_str gid, uid, key;
    char *text;

    (void)world;
    if (person_new(e, CS3_MEMBER, arena, &p, err) < 0)
        return -1;
    p->gid = tf_text(e, GU_GID);
    p->uid = tf_text(e, GU_UID);
    p->enabled = true;
    if (!p->gid.p || p->gid.n == 0 || !p->uid.p || p->uid.n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "gid", "a membership without group or user");
    if (tf_key(arena, "m:", p->gid, &gid, err) < 0 || tf_key(arena, "/", p->uid, &uid, err) < 0)
        return -1;
    text = tf_alloc(arena, gid.n + uid.n + 1, err);
    if (!text)
        return -1;
    memcpy(text, gid.p, gid.n);
    memcpy(text + gid.n, uid.p, uid.n);
    key = (struct ls_str){text, gid.n + uid.n};
    tf_emit(ret, TF_PERSON, 0, key, p);
    return 0;
}
