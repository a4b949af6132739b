/*
 * oc_users -> cs3.person CREDENTIAL, oc_ldap_user_mapping -> LDAP, oc_ldap_group_mapping ->
 * LDAP_GROUP, oc_preferences files/quota -> QUOTA.
 *
 * Each row is a record of its own: whether oc_accounts names the same user, before or after, is
 * not asked here. What can go wrong: a password whose hash nobody but this ownCloud can check (the
 * forms before 8.1 are salted with a secret of its config.php): it is not carried, and the record
 * says that it must be set anew. A hash stands in no message of ours.
 */
#include "transform/map.h"

#include <string.h>

#define BCRYPT_LENGTH 60

bool
tf_password(struct ls_str stored, struct ls_str *ret_hash, const char **ret_algorithm)
{
    static const struct {
        const char *prefix, *algorithm;
    } forms[] = {{"$2y$", "bcrypt"},
                 {"$2a$", "bcrypt"},
                 {"$2b$", "bcrypt"},
                 {"$argon2i$", "argon2i"},
                 {"$argon2id$", "argon2id"}};

    *ret_hash = LS_STR_NULL;
    *ret_algorithm = NULL;
    if (stored.n == 0)
        return false;
    if (stored.n > 2 && stored.p[0] == '1' && stored.p[1] == '|') {
        struct ls_str hash = {stored.p + 2, stored.n - 2};

        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
            size_t n = strlen(forms[i].prefix);

            if (hash.n > n && memcmp(hash.p, forms[i].prefix, n) == 0) {
                *ret_hash = hash;
                *ret_algorithm = forms[i].algorithm;
                return false;
            }
        }
    }
    *ret_algorithm = "legacy";
    return true;
}

/* oCIS checks a link's password as bcrypt, whole, and nothing else. */
bool
tf_password_kept(struct ls_str stored)
{
    struct ls_str hash;
    const char *algorithm;

    return !tf_password(stored, &hash, &algorithm) && algorithm && hash.n == BCRYPT_LENGTH &&
           strcmp(algorithm, "bcrypt") == 0;
}

static struct cs3_person *
person_new(const struct ls_envelope *e, enum cs3_person_type type, struct ls_arena *arena,
           struct ls_err *err)
{
    struct cs3_person *p = tf_alloc(arena, sizeof(*p), err);

    if (p)
        *p =
            (struct cs3_person){.head = tf_head(e, e->op == LS_OP_DELETE ? CS3_DELETE : CS3_UPSERT),
                                .type = type,
                                .enabled = true};
    return p;
}

/* The key is the name; without one the row is a dead letter. */
static int
person_emit(struct cs3_person *p, const char *prefix, struct ls_arena *arena, struct tf_result *ret,
            struct ls_err *err)
{
    struct ls_str key, name = p->type == CS3_LDAP_GROUP ? p->gid : p->uid;

    if (name.n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "uid", "a row of people without a name");
    if (tf_key(arena, prefix, name, &key, err) < 0)
        return -1;
    tf_emit(ret, TF_PERSON, 0, key, p);
    return 0;
}

int
tf_credential_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
                  struct tf_result *ret, struct ls_err *err)
{
    struct cs3_person *p = person_new(e, CS3_CREDENTIAL, arena, err);
    const char *algorithm;

    (void)world;
    if (!p)
        return -1;
    p->uid = tf_text(e, US_UID);
    if (p->head.kind == CS3_UPSERT) {
        p->display_name = tf_or_null(tf_text(e, US_DISPLAYNAME));
        p->password_reset = tf_password(tf_text(e, US_PASSWORD), &p->password_hash, &algorithm);
        if (algorithm)
            p->password_algorithm = ls_str_of(algorithm);
        if (p->password_reset)
            tf_warn(ret, "password-legacy");
    }
    return person_emit(p, "p:", arena, ret, err);
}

int
tf_ldap_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
            struct tf_result *ret, struct ls_err *err)
{
    bool group = e->table->id == LS_T_LDAP_GROUP_MAPPING;
    struct cs3_person *p = person_new(e, group ? CS3_LDAP_GROUP : CS3_LDAP, arena, err);

    (void)world;
    if (!p)
        return -1;
    *(group ? &p->gid : &p->uid) = tf_text(e, LM_OWNCLOUD_NAME);
    if (p->head.kind == CS3_UPSERT) {
        p->dn = tf_or_null(tf_text(e, LM_LDAP_DN));
        p->directory_uuid = tf_or_null(tf_text(e, LM_DIRECTORY_UUID));
    }
    return person_emit(p, group ? "d:" : "l:", arena, ret, err);
}

int
tf_quota_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
             struct tf_result *ret, struct ls_err *err)
{
    struct cs3_person *p;

    (void)world;
    /* Capture sends no other; what came from elsewhere shall not get further. */
    if (!ls_str_is(tf_text(e, PF_APPID), "files") ||
        !ls_str_is(tf_text(e, PF_CONFIGKEY), "quota")) {
        ret->filtered = "preference";
        return 0;
    }
    p = person_new(e, CS3_QUOTA, arena, err);
    if (!p)
        return -1;
    p->uid = tf_text(e, PF_USERID);
    if (p->head.kind == CS3_UPSERT) {
        p->quota = tf_or_null(tf_text(e, PF_CONFIGVALUE));
        if (!tf_quota_parse(p->quota, &p->quota_kind, &p->quota_bytes))
            tf_warn(ret, "quota");
    }
    return person_emit(p, "q:", arena, ret, err);
}
