/* Local accounts, LDAP mappings, quotas, names that are hard; favourites, tags, properties. */
#include "tests/unit/transform/rows.h"

#include <stdio.h>

static struct ls_envelope *
user_row(struct site *s, enum ls_op op, const char *uid, const char *password)
{
    struct ls_envelope *e = row(s, LS_T_USERS, op);

    text(e, US_UID, uid);
    if (op == LS_OP_DELETE)
        return e;
    text(e, US_DISPLAYNAME, "A Name");
    if (password)
        text(e, US_PASSWORD, password);
    return e;
}

static struct ls_envelope *
quota_row(struct site *s, enum ls_op op, const char *uid, const char *value)
{
    struct ls_envelope *e = row(s, LS_T_PREFERENCES, op);

    text(e, PF_USERID, uid);
    text(e, PF_APPID, "files");
    text(e, PF_CONFIGKEY, "quota");
    if (value)
        text(e, PF_CONFIGVALUE, value);
    return e;
}

static struct ls_str
tombstone(struct site *s, enum ls_table_id table, const char *key)
{
    assert_int_equal(tf_route_tombstone(&s->world, &s->state, &ls_tables[table], ls_str_of(key),
                                        s->arena, &s->result, &s->err),
                     0);
    assert_int_equal(s->result.n, 1);
    assert_null(s->result.emits[0].record);
    return s->result.emits[0].key;
}

/* ---- quota texts */

static void
quota_texts_are_read_as_owncloud_reads_them(void **state)
{
    static const struct {
        const char *text;
        bool good;
        enum cs3_quota kind;
        int64_t bytes;
    } rows[] = {
        {"", true, CS3_QUOTA_UNSET, 0},
        {"default", true, CS3_QUOTA_DEFAULT, 0},
        {"none", true, CS3_QUOTA_NONE, 0},
        {"0 B", true, CS3_QUOTA_BYTES, 0},
        {"0", true, CS3_QUOTA_BYTES, 0},
        {"512 B", true, CS3_QUOTA_BYTES, 512},
        {"1 KB", true, CS3_QUOTA_BYTES, 1024},
        {"700 MB", true, CS3_QUOTA_BYTES, 734003200},
        {"5 GB", true, CS3_QUOTA_BYTES, 5368709120},
        {"1.5 GB", true, CS3_QUOTA_BYTES, 1610612736},
        {"2 TB", true, CS3_QUOTA_BYTES, 2199023255552},
        {"1 PB", true, CS3_QUOTA_BYTES, 1125899906842624},
        {"5gb", true, CS3_QUOTA_BYTES, 5368709120},
        {"5G", true, CS3_QUOTA_BYTES, 5368709120},
        {"5 k", true, CS3_QUOTA_BYTES, 5120},
        {".5k", true, CS3_QUOTA_BYTES, 512},
        {"5. k", true, CS3_QUOTA_BYTES, 5120},
        {"0.1 KB", true, CS3_QUOTA_BYTES, 102},
        {"5368709120", true, CS3_QUOTA_BYTES, 5368709120},
        {"1e3", true, CS3_QUOTA_BYTES, 1000},
        {"1e2k", true, CS3_QUOTA_BYTES, 102400},
        {" 12", true, CS3_QUOTA_BYTES, 12},
        {"1,5 GB", true, CS3_QUOTA_BYTES, 1073741824}, /* the number ends at the comma */
        {"1 000 MB", true, CS3_QUOTA_BYTES, 1048576},  /* ... at the blank */
        {"5 GiB", true, CS3_QUOTA_BYTES, 5},           /* no unit that it knows, but "b" */
        {"rubb", true, CS3_QUOTA_BYTES, 0},            /* the same */
        {"0x10", false, CS3_QUOTA_UNSET, 0},
        {"5e gb", true, CS3_QUOTA_BYTES, 5368709120},
        {"-1", true, CS3_QUOTA_NONE, 0},         /* below zero nothing is checked */
        {"9999999 PB", true, CS3_QUOTA_NONE, 0}, /* beyond 2^63 */
        {"1e999", true, CS3_QUOTA_NONE, 0},
        {"rubbish", false, CS3_QUOTA_UNSET, 0},
        {"?", false, CS3_QUOTA_UNSET, 0}, /* what ownCloud makes of -1 */
        {"None", false, CS3_QUOTA_UNSET, 0},
        {"5 GB ", false, CS3_QUOTA_UNSET, 0},
        {"5 Gulden", false, CS3_QUOTA_UNSET, 0},
        {" ", false, CS3_QUOTA_UNSET, 0},
        {"11111111111111111111111111111111111111111111111111111111111111111", false,
         CS3_QUOTA_UNSET, 0}, /* 65 */
    };
    enum cs3_quota kind;
    int64_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool good = tf_quota_parse(ls_str_of(rows[i].text), &kind, &bytes);

        if (good != rows[i].good || kind != rows[i].kind || bytes != rows[i].bytes)
            fail_msg("\"%s\" is %d, kind %d, %lld bytes", rows[i].text, (int)good, (int)kind,
                     (long long)bytes);
    }
    assert_true(tf_quota_parse(LS_STR_NULL, &kind, &bytes));
    assert_int_equal(kind, CS3_QUOTA_UNSET);
}

static void
a_quota_is_read_the_same_in_both_tables(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = account_row(s, LS_OP_UPDATE, 4, "bob", NULL);
    const struct cs3_person *r;

    text(e, AC_QUOTA, "1.5 GB");
    r = record(s, e);
    assert_int_equal(r->quota_kind, CS3_QUOTA_BYTES);
    assert_int_equal(r->quota_bytes, 1610612736);
    assert_int_equal(s->result.n_warnings, 0);

    r = record(s, quota_row(s, LS_OP_CREATE, "bob", "1.5 GB"));
    assert_int_equal(r->type, CS3_QUOTA);
    assert_int_equal(r->quota_kind, CS3_QUOTA_BYTES);
    assert_int_equal(r->quota_bytes, 1610612736);
    assert_str(r->quota, "1.5 GB");
    assert_str(s->result.emits[0].key, "q:bob");
}

static void
rubbish_is_no_quota_and_a_warning(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = account_row(s, LS_OP_UPDATE, 4, "bob", NULL);
    const struct cs3_person *r;

    text(e, AC_QUOTA, "plenty");
    r = record(s, e);
    assert_int_equal(r->quota_kind, CS3_QUOTA_UNSET);
    assert_str(r->quota, "plenty");
    assert_int_equal(s->result.n_warnings, 1);
    assert_string_equal(s->result.warnings[0], "quota");
    r = record(s, quota_row(s, LS_OP_CREATE, "bob", "plenty"));
    assert_int_equal(r->quota_kind, CS3_QUOTA_UNSET);
    assert_string_equal(s->result.warnings[0], "quota");
}

static void
a_quota_of_the_preferences_that_is_deleted_needs_only_its_key(void **state)
{
    struct site *s = *state;
    const struct cs3_person *r = record(s, quota_row(s, LS_OP_DELETE, "a/b%", NULL));

    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_str(r->uid, "a/b%");
    assert_null(r->quota.p);
    assert_str(s->result.emits[0].key, "q:a%2Fb%25");
    assert_str(tombstone(s, LS_T_PREFERENCES, "a%2Fb%25/files/quota"), "q:a%2Fb%25");
}

static void
no_other_preference_gets_further(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = quota_row(s, LS_OP_CREATE, "bob", "secret");

    text(e, PF_CONFIGKEY, "quota2");
    assert_filtered(s, e, "preference");
    text(e, PF_CONFIGKEY, "quota");
    text(e, PF_APPID, "user_ldap");
    assert_filtered(s, e, "preference");
}

/* ---- local accounts */

static void
passwords_lose_their_prefix_and_old_ones_must_be_reset(void **state)
{
    static const struct {
        const char *stored, *hash, *algorithm;
        bool reset;
    } rows[] = {
        {"1|$2y$10$abcdefghijklmnopqrstuv", "$2y$10$abcdefghijklmnopqrstuv", "bcrypt", false},
        {"1|$2a$08$x", "$2a$08$x", "bcrypt", false},
        {"1|$argon2i$v=19$m=1024,t=2,p=2$a$b", "$argon2i$v=19$m=1024,t=2,p=2$a$b", "argon2i",
         false},
        {"1|$argon2id$v=19$m=1$a$b", "$argon2id$v=19$m=1$a$b", "argon2id", false},
        {"$2a$08$salted.with.the.server.s.secret", NULL, "legacy", true},   /* before 8.1 */
        {"5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", NULL, "legacy", true}, /* SHA1 */
        {"1|", NULL, "legacy", true},
        {"1|$9$unknown", NULL, "legacy", true},
        {"2|$2y$10$x", NULL, "legacy", true},
        {"", NULL, NULL, false}, /* nobody can sign in with it */
        {NULL, NULL, NULL, false},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct cs3_person *r = record(s, user_row(s, LS_OP_UPDATE, "bob", rows[i].stored));

        assert_int_equal(r->type, CS3_CREDENTIAL);
        assert_str(r->uid, "bob");
        assert_str(r->display_name, "A Name");
        assert_true(ls_str_eq(r->password_hash, ls_str_of(rows[i].hash)));
        assert_true(ls_str_eq(r->password_algorithm, ls_str_of(rows[i].algorithm)));
        assert_int_equal(r->password_reset, rows[i].reset);
        assert_int_equal(s->result.n_warnings, rows[i].reset ? 1 : 0);
        assert_str(s->result.emits[0].key, "p:bob");
    }
}

static void
a_local_account_and_the_user_are_records_of_their_own_in_any_order(void **state)
{
    struct site *s = *state;
    const struct cs3_person *r;

    /* the row of oc_users comes first when a user is made, and goes last: nobody waits for it */
    r = record(s, user_row(s, LS_OP_CREATE, "new", NULL));
    assert_int_equal(r->type, CS3_CREDENTIAL);
    r = record(s, account_row(s, LS_OP_CREATE, 9, "new", NULL));
    assert_int_equal(r->type, CS3_USER);
    feed(s, account_row(s, LS_OP_DELETE, 9, "new", NULL));
    r = record(s, user_row(s, LS_OP_DELETE, "new", NULL));
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_null(r->display_name.p);
    assert_str(tombstone(s, LS_T_USERS, "new"), "p:new");
    r = record(s, user_row(s, LS_OP_CREATE, "new", NULL)); /* ... and before oc_accounts knows */
    assert_int_equal(r->head.kind, CS3_UPSERT);
    assert_poison(s, user_row(s, LS_OP_CREATE, "", NULL), "uid");
    assert_poison(s, user_row(s, LS_OP_CREATE, NULL, NULL), "uid");
}

/* ---- names */

#define X16 "xxxxxxxxxxxxxxxx"

static void
any_name_of_a_user_has_a_key_of_its_own(void **state)
{
    static const struct {
        const char *uid, *key;
    } rows[] = {
        {"12345", "12345"},
        {"a/b", "a%2Fb"},
        {"50%", "50%25"},
        {"50%25", "50%2525"},
        {"z.o-n_e+i @x'y", "z.o-n_e+i @x'y"},
        {" ", " "},
        {"\"q\"", "\"q\""},
        {"R&D/50%", "R&D%2F50%25"},
        {"m\xc3\xbcller", "m\xc3\xbcller"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {X16 X16 X16 X16, X16 X16 X16 X16},
        {"Alice", "Alice"},
        {"alice", "alice"},
        {"a::b", "a::b"},
    };
    struct site *s = *state;
    char key[300];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e;

        record(s, account_row(s, LS_OP_CREATE, (int64_t)i + 20, rows[i].uid, NULL));
        snprintf(key, sizeof(key), "u:%s", rows[i].key);
        assert_str(s->result.emits[0].key, key);
        record(s, user_row(s, LS_OP_CREATE, rows[i].uid, NULL));
        snprintf(key, sizeof(key), "p:%s", rows[i].key);
        assert_str(s->result.emits[0].key, key);
        record(s, quota_row(s, LS_OP_CREATE, rows[i].uid, "1 GB"));
        snprintf(key, sizeof(key), "q:%s", rows[i].key);
        assert_str(s->result.emits[0].key, key);
        e = row(s, LS_T_GROUPS, LS_OP_CREATE);
        text(e, GR_GID, rows[i].uid);
        record(s, e);
        snprintf(key, sizeof(key), "g:%s", rows[i].key);
        assert_str(s->result.emits[0].key, key);
        e = row(s, LS_T_GROUP_USER, LS_OP_CREATE);
        text(e, GU_GID, "R&D/50%");
        text(e, GU_UID, rows[i].uid);
        record(s, e);
        snprintf(key, sizeof(key), "m:R&D%%2F50%%25/%s", rows[i].key);
        assert_str(s->result.emits[0].key, key);
    }
}

static void
a_user_of_another_name_is_the_old_one_deleted_and_a_new_one(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = account_row(s, LS_OP_UPDATE, 4, "Dave", NULL);
    const struct cs3_person *r;

    e->before[AC_USER_ID] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("dave")};
    r = record(s, e);
    assert_int_equal(s->result.n, 2);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_str(r->uid, "dave");
    assert_str(s->result.emits[0].key, "u:dave");
    assert_false(s->result.emits[0].counted); /* one row is one record */
    r = s->result.emits[1].record;
    assert_int_equal(r->head.kind, CS3_UPSERT);
    assert_str(r->uid, "Dave");
    assert_true(s->result.emits[1].counted);
    /* the whole row before, with the same name */
    e->before[AC_USER_ID].s = LS_STR("Dave");
    record(s, e);
    assert_int_equal(s->result.n, 1);
}

static void
an_account_without_a_mail_address_has_none(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = account_row(s, LS_OP_CREATE, 4, "bob", NULL);
    const struct cs3_person *r;

    r = record(s, e); /* not carried */
    assert_null(r->mail.p);
    text(e, AC_EMAIL, NULL);
    r = record(s, e);
    assert_null(r->mail.p);
    text(e, AC_EMAIL, "");
    r = record(s, e);
    assert_null(r->mail.p);
}

static void
ldap_mappings_are_told_by_the_name_in_owncloud(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_LDAP_USER_MAPPING, LS_OP_UPDATE);
    const struct cs3_person *r;

    /* renamed in the directory: another dn, the same name */
    text(e, LM_OWNCLOUD_NAME, "6A5C-11/x");
    text(e, LM_LDAP_DN, "uid=b\xc3\xb6rn,ou=people,dc=example,dc=org");
    text(e, LM_DIRECTORY_UUID, "6a5c-11");
    r = record(s, e);
    assert_int_equal(r->type, CS3_LDAP);
    assert_str(r->uid, "6A5C-11/x");
    assert_str(r->dn, "uid=b\xc3\xb6rn,ou=people,dc=example,dc=org");
    assert_str(r->directory_uuid, "6a5c-11");
    assert_str(s->result.emits[0].key, "l:6A5C-11%2Fx");
    /* another name: capture makes two of it, this is the first */
    e = row(s, LS_T_LDAP_USER_MAPPING, LS_OP_DELETE);
    text(e, LM_OWNCLOUD_NAME, "6A5C-11/x");
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_null(r->dn.p);
    assert_str(tombstone(s, LS_T_LDAP_USER_MAPPING, "6A5C-11%2Fx"), "l:6A5C-11%2Fx");
    assert_poison(s, row(s, LS_T_LDAP_USER_MAPPING, LS_OP_CREATE), "uid");
}

static void
a_mapping_of_a_group_is_another_record_than_that_of_a_user_or_group_of_that_name(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_LDAP_GROUP_MAPPING, LS_OP_CREATE);
    const struct cs3_person *r;

    text(e, LM_OWNCLOUD_NAME, "R&D/50%");
    text(e, LM_LDAP_DN, "cn=rnd,ou=groups,dc=x");
    text(e, LM_DIRECTORY_UUID, "7b02-9d50");
    r = record(s, e);
    assert_int_equal(r->type, CS3_LDAP_GROUP);
    assert_str(r->gid, "R&D/50%");
    assert_null(r->uid.p);
    assert_str(r->dn, "cn=rnd,ou=groups,dc=x");
    assert_str(r->directory_uuid, "7b02-9d50");
    assert_str(s->result.emits[0].key, "d:R&D%2F50%25");
    e = row(s, LS_T_LDAP_GROUP_MAPPING, LS_OP_DELETE);
    text(e, LM_OWNCLOUD_NAME, "R&D/50%");
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_str(r->gid, "R&D/50%");
    assert_null(r->directory_uuid.p);
    assert_str(tombstone(s, LS_T_LDAP_GROUP_MAPPING, "R&D%2F50%25"), "d:R&D%2F50%25");
    assert_poison(s, row(s, LS_T_LDAP_GROUP_MAPPING, LS_OP_CREATE), "uid");
}

/* ---- annotations */

static struct ls_envelope *
category_row(struct site *s, enum ls_op op, const char *type, const char *name)
{
    struct ls_envelope *e = row(s, LS_T_VCATEGORY, op);

    number(e, VC_ID, 7);
    if (op == LS_OP_DELETE)
        return e;
    text(e, VC_UID, "alice");
    text(e, VC_TYPE, type);
    text(e, VC_CATEGORY, name);
    return e;
}

static void
the_category_of_favourites_is_told_by_name_and_type(void **state)
{
    struct site *s = *state;
    const struct cs3_annotation *a;

    a = record(s, category_row(s, LS_OP_CREATE, "files", "_$!<Favorite>!$_"));
    assert_int_equal(s->result.emits[0].topic, TF_ANNOTATION);
    assert_str(s->result.emits[0].key, "c:7");
    assert_int_equal(a->type, CS3_CATEGORY);
    assert_int_equal(a->id, 7);
    assert_int_equal(a->fileid, LS_NO_STORAGE);
    assert_str(a->uid, "alice");
    assert_true(a->favorite);
    a = record(s, category_row(s, LS_OP_UPDATE, "files", "Holidays / 50%"));
    assert_false(a->favorite);
    assert_str(a->name, "Holidays / 50%");
    a = record(s, category_row(s, LS_OP_UPDATE, "event", "_$!<Favorite>!$_"));
    assert_false(a->favorite);
    assert_str(a->object_type, "event");
    a = record(s, category_row(s, LS_OP_DELETE, NULL, NULL));
    assert_int_equal(a->head.kind, CS3_DELETE);
    assert_int_equal(a->id, 7);
    assert_null(a->name.p);
    assert_str(tombstone(s, LS_T_VCATEGORY, "7"), "c:7");
    assert_poison(s, row(s, LS_T_VCATEGORY, LS_OP_CREATE), "annotation-id");
}

static void
a_file_in_a_category_is_told_by_all_three_columns_of_its_key(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_VCATEGORY_TO_OBJECT, LS_OP_CREATE);
    const struct cs3_annotation *a;

    number(e, VO_OBJID, 5000000000);
    number(e, VO_CATEGORYID, 7);
    text(e, VO_TYPE, "fi/les%");
    a = record(s, e);
    assert_int_equal(a->type, CS3_TAGGED);
    assert_int_equal(a->fileid, 5000000000);
    assert_int_equal(a->id, 7);
    assert_str(a->object_type, "fi/les%");
    assert_str(s->result.emits[0].key, "t:5000000000/7/fi%2Fles%25");
    assert_str(tombstone(s, LS_T_VCATEGORY_TO_OBJECT, "5000000000/7/fi%2Fles%25"),
               "t:5000000000/7/fi%2Fles%25");
    e = row(s, LS_T_VCATEGORY_TO_OBJECT, LS_OP_DELETE);
    number(e, VO_OBJID, 5);
    number(e, VO_CATEGORYID, 7);
    text(e, VO_TYPE, "files");
    a = record(s, e);
    assert_int_equal(a->head.kind, CS3_DELETE);
    assert_str(s->result.emits[0].key, "t:5/7/files");
    assert_poison(s, row(s, LS_T_VCATEGORY_TO_OBJECT, LS_OP_CREATE), "annotation-id");
}

static void
a_tag_of_everybodys_keeps_its_name_and_who_may_do_what(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_SYSTEMTAG, LS_OP_CREATE);
    const struct cs3_annotation *a;

    number(e, GT_ID, 7);
    text(e, GT_NAME, "Tag A");
    number(e, GT_VISIBILITY, 1);
    number(e, GT_EDITABLE, 0);
    a = record(s, e);
    assert_int_equal(a->type, CS3_SYSTEMTAG);
    assert_int_equal(a->id, 7);
    assert_str(a->name, "Tag A");
    assert_null(a->uid.p);
    assert_true(a->visible && !a->editable && a->assignable); /* the last since 10.1 */
    assert_str(s->result.emits[0].key, "g:7");                /* category 7 is another record */
    assert_str(tombstone(s, LS_T_SYSTEMTAG, "7"), "g:7");
    number(e, GT_VISIBILITY, 0);
    number(e, GT_EDITABLE, 1);
    number(e, GT_ASSIGNABLE, 0);
    a = record(s, e);
    assert_true(!a->visible && a->editable && !a->assignable);
    e = row(s, LS_T_SYSTEMTAG, LS_OP_DELETE);
    number(e, GT_ID, 7);
    a = record(s, e);
    assert_int_equal(a->head.kind, CS3_DELETE);
    assert_null(a->name.p);
    assert_poison(s, row(s, LS_T_SYSTEMTAG, LS_OP_CREATE), "annotation-id");
}

static void
a_file_with_a_tag_is_told_by_its_number_and_what_is_no_file_is_left_out(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_SYSTEMTAG_MAPPING, LS_OP_CREATE);
    const struct cs3_annotation *a;

    text(e, GO_OBJECTTYPE, "files");
    text(e, GO_OBJECTID, "5000000000");
    number(e, GO_SYSTEMTAGID, 7);
    a = record(s, e);
    assert_int_equal(a->type, CS3_SYSTEMTAGGED);
    assert_int_equal(a->fileid, 5000000000);
    assert_int_equal(a->id, 7);
    assert_str(a->object_type, "files");
    assert_str(s->result.emits[0].key, "o:files/5000000000/7");
    assert_str(tombstone(s, LS_T_SYSTEMTAG_MAPPING, "files/5000000000/7"), "o:files/5000000000/7");
    text(e, GO_OBJECTID, "x");
    assert_poison(s, e, "annotation-id");
    text(e, GO_OBJECTTYPE, "calendars");
    assert_int_equal(route(s, e), 0);
    assert_string_equal(s->result.filtered, "tag-object");
    e = row(s, LS_T_SYSTEMTAG_MAPPING, LS_OP_DELETE);
    text(e, GO_OBJECTTYPE, "files");
    text(e, GO_OBJECTID, "44");
    number(e, GO_SYSTEMTAGID, 7);
    a = record(s, e);
    assert_int_equal(a->head.kind, CS3_DELETE);
    assert_int_equal(a->fileid, 44);
}

static void
properties_keep_name_value_and_kind(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_PROPERTIES, LS_OP_CREATE);
    const struct cs3_annotation *a;

    number(e, PR_ID, 3);
    number(e, PR_FILEID, 44);
    text(e, PR_PROPERTYNAME, "{urn:x}colour");
    text(e, PR_PROPERTYVALUE, "");
    a = record(s, e);
    assert_int_equal(a->type, CS3_PROPERTY);
    assert_int_equal(a->id, 3);
    assert_int_equal(a->fileid, 44);
    assert_str(a->name, "{urn:x}colour");
    assert_str(a->value, "");
    assert_int_equal(a->value_type, 1); /* before 10.5 there is no such column */
    assert_str(s->result.emits[0].key, "p:3");
    number(e, PR_PROPERTYTYPE, 2);
    a = record(s, e);
    assert_int_equal(a->value_type, 2);
    e->after[PR_FILEID].kind = LS_V_NULL;
    assert_poison(s, e, "property-fileid");
    e = row(s, LS_T_PROPERTIES, LS_OP_DELETE);
    number(e, PR_ID, 3);
    a = record(s, e);
    assert_int_equal(a->head.kind, CS3_DELETE);
    assert_int_equal(a->fileid, LS_NO_STORAGE);
    assert_str(tombstone(s, LS_T_PROPERTIES, "3"), "p:3");
    assert_poison(s, row(s, LS_T_PROPERTIES, LS_OP_CREATE), "annotation-id");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(quota_texts_are_read_as_owncloud_reads_them),
        SITE_TEST(a_quota_is_read_the_same_in_both_tables),
        SITE_TEST(rubbish_is_no_quota_and_a_warning),
        SITE_TEST(a_quota_of_the_preferences_that_is_deleted_needs_only_its_key),
        SITE_TEST(no_other_preference_gets_further),
        SITE_TEST(passwords_lose_their_prefix_and_old_ones_must_be_reset),
        SITE_TEST(a_local_account_and_the_user_are_records_of_their_own_in_any_order),
        SITE_TEST(any_name_of_a_user_has_a_key_of_its_own),
        SITE_TEST(a_user_of_another_name_is_the_old_one_deleted_and_a_new_one),
        SITE_TEST(an_account_without_a_mail_address_has_none),
        SITE_TEST(ldap_mappings_are_told_by_the_name_in_owncloud),
        SITE_TEST(a_mapping_of_a_group_is_another_record_than_that_of_a_user_or_group_of_that_name),
        SITE_TEST(the_category_of_favourites_is_told_by_name_and_type),
        SITE_TEST(a_file_in_a_category_is_told_by_all_three_columns_of_its_key),
        SITE_TEST(a_tag_of_everybodys_keeps_its_name_and_who_may_do_what),
        SITE_TEST(a_file_with_a_tag_is_told_by_its_number_and_what_is_no_file_is_left_out),
        SITE_TEST(properties_keep_name_value_and_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
