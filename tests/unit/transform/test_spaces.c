/* Storages, accounts, groups: spaces and people; what the tables in memory know. */
#include "tests/unit/transform/rows.h"
#include "transform/projects.h"

#define LONG_UID "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu" /* 64 */

static void
storages_become_spaces_or_say_why_not(void **state)
{
    static const struct {
        const char *id;
        enum cs3_space_type type;
        const char *owner, *reason;
    } rows[] = {
        {"home::alice", CS3_SPACE_PERSONAL, "alice", NULL},
        {"home::z.o-n_e+i @x'y", CS3_SPACE_PERSONAL, "z.o-n_e+i @x'y", NULL},
        {"home::a::b/c\\d", CS3_SPACE_PERSONAL, "a::b/c\\d", NULL},
        {"object::user:12345", CS3_SPACE_PERSONAL, "12345", NULL},
        {"home::", CS3_SPACE_IGNORED, NULL, "external"},
        {"object::store:bucket", CS3_SPACE_IGNORED, NULL, "external"},
        {"local::/mnt/x/", CS3_SPACE_IGNORED, NULL, "external"},
        {"local::/srv/data/alice/uploads/", CS3_SPACE_IGNORED, NULL, "uploads"},
        {"shared::0123456789abcdef0123456789abcdef", CS3_SPACE_IGNORED, NULL, "federated"},
        {"webdav::a@h/root/", CS3_SPACE_IGNORED, NULL, "external"},
        {"0123456789abcdef0123456789abcdef", CS3_SPACE_IGNORED, NULL, "unknown"},
        {"0123456789ABCDEF0123456789abcdef", CS3_SPACE_IGNORED, NULL, "external"},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct cs3_space *r = record(s, storage_row(s, LS_OP_READ, 77, rows[i].id));

        assert_int_equal(r->head.kind, CS3_UPSERT);
        assert_int_equal(r->storage, 77);
        assert_str(r->source_id, rows[i].id);
        assert_int_equal(r->type, rows[i].type);
        assert_true(ls_str_eq(r->owner, ls_str_of(rows[i].owner)));
        assert_true(ls_str_eq(r->reason, ls_str_of(rows[i].reason)));
        assert_str(s->result.emits[0].key, "77");
    }
}

static void
storages_become_project_spaces_by_configuration_only(void **state)
{
    static const struct {
        const char *id;
        enum cs3_space_type type;
        const char *owner, *name, *reason;
    } rows[] = {
        {"smb::fs@host//share/", CS3_SPACE_PROJECT, "alice", "Marketing", NULL},
        {"smb::fs@other//share/", CS3_SPACE_PROJECT, "bob b", "All shares", NULL},
        {"local::/mnt/uploads/x/", CS3_SPACE_PROJECT, "bob b", "Local", NULL},
        {"0123456789abcdef0123456789abcdef", CS3_SPACE_PROJECT, "alice", "Long", NULL},
        /* never these, however wide the pattern */
        {"home::carol", CS3_SPACE_PERSONAL, "carol", NULL, NULL},
        {"object::user:carol", CS3_SPACE_PERSONAL, "carol", NULL, NULL},
        {"local::/srv/data/alice/uploads/", CS3_SPACE_IGNORED, NULL, NULL, "uploads"},
        {"local::/srv/data/", CS3_SPACE_IGNORED, NULL, NULL, "datadir"},
        {"shared::0123456789abcdef0123456789abcdef", CS3_SPACE_IGNORED, NULL, NULL, "federated"},
        {"ffffffffffffffffffffffffffffffff", CS3_SPACE_IGNORED, NULL, NULL, "unknown"},
        {"webdav::a@h/root/", CS3_SPACE_IGNORED, NULL, NULL, "external"},
        {"smb::fs@host//share/x", CS3_SPACE_IGNORED, NULL, NULL, "external"},
    };
    static const struct {
        const char *name, *owner, *storage;
    } lines[] = {{"Marketing", "alice", "smb::fs@host//share/"},
                 {"All shares", "bob b", "smb::*@*//share/"},
                 {"Long", "alice", "0123456789abcdef0123456789abcdef"},
                 {"Local", "bob b", "local::*"},
                 {"Md5", "bob b", "ffff*"}};
    struct site *s = *state;
    struct tf_projects *projects = NULL;

    assert_int_equal(tf_projects_new(NULL, &projects, &s->err), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(tf_projects_add(projects, lines[i].name, lines[i].owner, lines[i].storage),
                         0);
    tf_known_set_projects(s->known, projects);
    feed(s, account_row(s, LS_OP_READ, 1, "alice", "/srv/data/alice"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct cs3_space *r = record(s, storage_row(s, LS_OP_READ, 77, rows[i].id));

        assert_int_equal(r->type, rows[i].type);
        assert_true(ls_str_eq(r->owner, ls_str_of(rows[i].owner)));
        assert_true(ls_str_eq(r->name, ls_str_of(rows[i].name)));
        assert_true(ls_str_eq(r->reason, ls_str_of(rows[i].reason)));
    }
    tf_known_set_projects(s->known, NULL);
    tf_projects_free(projects);
}

static void
all_that_lies_in_a_project_space_is_content(void **state)
{
    struct site *s = *state;
    struct tf_projects *projects = NULL;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 44, "uploads/a.txt");
    const struct cs3_resource *r;

    number(e, FC_STORAGE, EXTERNAL);
    assert_filtered(s, e, "storage-external");
    assert_int_equal(tf_projects_new(NULL, &projects, &s->err), 0);
    assert_int_equal(tf_projects_add(projects, "P", "alice", "smb::fs@host//share/"), 0);
    tf_known_set_projects(s->known, projects);
    r = record(s, e);
    assert_int_equal(r->class_hint, CS3_CLASS_FILES);
    assert_int_equal(r->storage, EXTERNAL);
    text(e, FC_PATH, "");
    r = record(s, e);
    assert_int_equal(r->class_hint, CS3_CLASS_ROOT);
    tf_known_set_projects(s->known, NULL);
    tf_projects_free(projects);
}

static void
the_data_directory_is_told_by_the_homes_in_it(void **state)
{
    struct site *s = *state;
    const struct cs3_space *r;

    feed(s, account_row(s, LS_OP_CREATE, 1, "alice", "/srv/data/alice"));
    r = record(s, storage_row(s, LS_OP_READ, 77, "local::/srv/data/"));
    assert_str(r->reason, "datadir");
}

static void
a_deleted_storage_is_a_deleted_space(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_STORAGES, LS_OP_DELETE);
    const struct cs3_space *r;

    number(e, ST_NUMERIC_ID, HOME); /* only the key is carried */
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_int_equal(r->storage, HOME);
    assert_str(r->owner, "alice");
}

/* The md5 of a long id, as any other program computes it. */
static const char *
md5_of(const char *id)
{
    static const struct {
        const char *id, *md5;
    } known[] = {
        {"home::" LONG_UID, "b2cbe80c48af40b1a8e162a6cec452d6"},
        {"object::user:" LONG_UID, "e831934134cbe7fee8b6375e3c285c16"},
        {"local::/srv/a/long/folder/of/more/than/sixty/bytes/in/all/alice/uploads/",
         "89a447a6a32146dfb654d94a2c4a1cac"},
        {"local::/srv/a/long/folder/of/many/more/than/sixty/four/bytes/in/all/",
         "a52776cc6a540beea5ad809145ae4cb8"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].id, id) == 0)
            return known[i].md5;
    }
    fail();
    return NULL;
}

static void
an_md5_home_is_unresolved_and_its_files_pass_until_the_account_is_known(void **state)
{
    static const char *const homes[] = {"home::" LONG_UID, "object::user:" LONG_UID};
    struct site *s = *state;
    const struct cs3_space *r;

    for (size_t i = 0; i < 2; i++) {
        struct ls_envelope *e = storage_row(s, LS_OP_READ, MD5 + (int64_t)i, md5_of(homes[i]));
        struct ls_envelope *file = file_row(s, LS_OP_READ, 44, "files/a.txt");

        feed(s, e);
        r = record(s, e);
        assert_int_equal(r->type, CS3_SPACE_IGNORED);
        assert_str(r->reason, "unknown");
        number(file, FC_STORAGE, MD5 + (int64_t)i);
        assert_true(tf_route_asks(s->known, file));
        record(s, file);
    }
    feed(s, account_row(s, LS_OP_READ, 1, LONG_UID, "/srv/data/u"));
    for (size_t i = 0; i < 2; i++) {
        r = record(s, storage_row(s, LS_OP_READ, MD5 + (int64_t)i, md5_of(homes[i])));
        assert_int_equal(r->type, CS3_SPACE_PERSONAL);
        assert_str(r->owner, LONG_UID);
    }
    assert_int_equal(tf_known_home(s->known, LS_STR(LONG_UID)), MD5);
}

static void
an_account_sends_the_spaces_again_that_waited_for_it(void **state)
{
    static const char home[] = "/srv/a/long/folder/of/more/than/sixty/bytes/in/all/alice";
    struct site *s = *state;
    struct ls_envelope *account = account_row(s, LS_OP_READ, 1, LONG_UID, home);
    const struct cs3_space *space;

    feed(s, storage_row(s, LS_OP_READ, MD5, md5_of("home::" LONG_UID)));
    feed(s,
         storage_row(
             s, LS_OP_READ, MD5 + 1,
             md5_of("local::/srv/a/long/folder/of/more/than/sixty/bytes/in/all/alice/uploads/")));
    assert_true(tf_route_asks(s->known, account));
    feed(s, account);
    record(s, account);
    assert_int_equal(s->result.n, 3);
    assert_int_equal(s->result.emits[0].topic, TF_PERSON);
    assert_true(s->result.emits[0].counted);
    space = s->result.emits[1].record;
    assert_int_equal(s->result.emits[1].topic, TF_SPACE);
    assert_false(s->result.emits[1].counted);
    assert_int_equal(space->storage, MD5);
    assert_int_equal(space->type, CS3_SPACE_PERSONAL);
    assert_str(space->owner, LONG_UID);
    assert_int_equal(ls_seq_cmp(space->head.seq, account->seq), 0);
    space = s->result.emits[2].record;
    assert_str(space->reason, "uploads");
}

static void
an_account_does_not_bring_back_a_deleted_space(void **state)
{
    struct site *s = *state;
    struct ls_envelope *account;

    feed(s, account_row(s, LS_OP_READ, 1, LONG_UID, "/srv/data/u"));
    feed(s, storage_row(s, LS_OP_READ, MD5, md5_of("home::" LONG_UID)));
    feed(s, storage_row(s, LS_OP_DELETE, MD5, NULL));
    account = account_row(s, LS_OP_UPDATE, 1, LONG_UID, "/srv/data/u");
    record(s, account);
    assert_int_equal(s->result.n, 1);
    assert_int_equal(s->result.emits[0].topic, TF_PERSON);
    /* Made again, it is sent again. */
    feed(s, storage_row(s, LS_OP_CREATE, MD5, md5_of("home::" LONG_UID)));
    record(s, account);
    assert_int_equal(s->result.n, 2);
}

static void
the_records_of_a_row_are_encoded_all_or_none(void **state)
{
    struct site *s = *state;
    struct ls_envelope *account = account_row(s, LS_OP_READ, 1, LONG_UID, "/srv/data/u");
    struct ls_str values[TF_MAX_EMITS], alone;
    struct cs3_person *person = NULL;
    struct cs3_space *space = NULL;
    struct ls_buf buf;
    size_t needed;

    feed(s, storage_row(s, LS_OP_READ, MD5, md5_of("home::" LONG_UID)));
    feed(s, account);
    record(s, account);
    assert_int_equal(s->result.n, 2);
    ls_buf_init(&buf, 1 << 20);
    assert_int_equal(tf_encode(&s->result, &buf, values, &s->err), 0);
    needed = buf.n;
    assert_int_equal(values[0].n + values[1].n, needed);
    assert_int_equal(cs3_decode(&cs3_person_type_, values[0], s->arena, (void **)&person, &s->err),
                     0);
    assert_str(person->uid, LONG_UID);
    assert_int_equal(cs3_decode(&cs3_space_type_, values[1], s->arena, (void **)&space, &s->err),
                     0);
    assert_int_equal(space->storage, MD5);
    ls_buf_free(&buf);

    /* A tombstone has no value, and the one behind it its own. */
    s->result.emits[0].record = NULL;
    ls_buf_init(&buf, 1 << 20);
    assert_int_equal(tf_encode(&s->result, &buf, values, &s->err), 0);
    assert_null(values[0].p);
    alone = values[1];
    assert_int_equal(alone.n, buf.n);
    ls_buf_free(&buf);

    /* The second does not fit: the first is not offered either. */
    record(s, account);
    ls_buf_init(&buf, needed - 1);
    assert_int_equal(tf_encode(&s->result, &buf, values, &s->err), -1);
    assert_int_equal(s->err.kind, LS_ERR_POISON);
    ls_buf_free(&buf);
}

static void
md5_upload_areas_and_data_directories_are_ignored_once_an_account_tells_them(void **state)
{
    struct site *s = *state;
    struct ls_envelope *file = file_row(s, LS_OP_READ, 44, "tx/00001");

    feed(s,
         storage_row(
             s, LS_OP_READ, MD5,
             md5_of("local::/srv/a/long/folder/of/more/than/sixty/bytes/in/all/alice/uploads/")));
    feed(s, storage_row(
                s, LS_OP_READ, MD5 + 1,
                md5_of("local::/srv/a/long/folder/of/many/more/than/sixty/four/bytes/in/all/")));
    feed(s, account_row(s, LS_OP_READ, 1, "alice",
                        "/srv/a/long/folder/of/more/than/sixty/bytes/in/all/alice/"));
    feed(s, account_row(s, LS_OP_READ, 2, "bob",
                        "/srv/a/long/folder/of/many/more/than/sixty/four/bytes/in/all/bob"));
    number(file, FC_STORAGE, MD5);
    assert_filtered(s, file, "storage-uploads");
    number(file, FC_STORAGE, MD5 + 1);
    assert_filtered(s, file, "storage-datadir");
}

static void
an_older_row_does_not_undo_a_newer_one(void **state)
{
    struct site *s = *state;
    struct ls_envelope *old = storage_row(s, LS_OP_READ, 50, "home::old");

    feed(s, storage_row(s, LS_OP_CREATE, 50, "home::new"));
    feed(s, old);
    assert_str(tf_known_storage(s->known, 50).owner, "new");
}

/* ---- people */

static void
accounts_become_users_by_state(void **state)
{
    static const struct {
        int64_t state;
        enum cs3_kind kind;
        bool enabled;
    } rows[] = {{0, CS3_UPSERT, true},
                {1, CS3_UPSERT, true},
                {2, CS3_UPSERT, false},
                {3, CS3_DELETE, false}};
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = account_row(s, LS_OP_UPDATE, 4, "z/o%e", "/srv/data/z");
        const struct cs3_person *r;

        number(e, AC_STATE, rows[i].state);
        text(e, AC_EMAIL, "z@example.org");
        text(e, AC_DISPLAY_NAME, "");
        text(e, AC_QUOTA, "5 GB");
        r = record(s, e);
        assert_int_equal(r->type, CS3_USER);
        assert_int_equal(r->head.kind, rows[i].kind);
        assert_int_equal(r->enabled, rows[i].enabled);
        assert_str(r->uid, "z/o%e");
        assert_str(r->mail, "z@example.org");
        assert_str(r->home, "/srv/data/z");
        assert_str(r->quota, "5 GB");
        assert_null(r->display_name.p);
        assert_str(s->result.emits[0].key, "u:z%2Fo%25e");
    }
    assert_poison(s, ({
                      struct ls_envelope *e = account_row(s, LS_OP_UPDATE, 4, "z", NULL);
                      number(e, AC_STATE, 9);
                      e;
                  }),
                  "account-state");
}

static void
a_deleted_account_is_understood_by_its_number(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_ACCOUNTS, LS_OP_DELETE);
    const struct cs3_person *r;

    number(e, AC_ID, 4);
    assert_filtered(s, e, "account-unknown");
    feed(s, account_row(s, LS_OP_CREATE, 4, "dave", NULL));
    feed(s, e);
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_str(r->uid, "dave");
    assert_int_equal(tf_route_tombstone(&s->world, &s->state, &ls_tables[LS_T_ACCOUNTS],
                                        LS_STR("4"), s->arena, &s->result, &s->err),
                     0);
    assert_int_equal(s->result.n, 1);
    assert_str(s->result.emits[0].key, "u:dave");
    assert_int_equal(tf_route_tombstone(&s->world, &s->state, &ls_tables[LS_T_ACCOUNTS],
                                        LS_STR("5"), s->arena, &s->result, &s->err),
                     0);
    assert_int_equal(s->result.n, 0);
}

static void
groups_and_memberships_have_keys_that_cannot_be_confused(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_GROUPS, LS_OP_CREATE);
    const struct cs3_person *r;

    text(e, GR_GID, "R&D/50%");
    r = record(s, e);
    assert_int_equal(r->type, CS3_GROUP);
    assert_str(r->gid, "R&D/50%");
    assert_str(s->result.emits[0].key, "g:R&D%2F50%25");

    e = row(s, LS_T_GROUP_USER, LS_OP_DELETE);
    text(e, GU_GID, "R&D/50%");
    text(e, GU_UID, "a/b");
    r = record(s, e);
    assert_int_equal(r->type, CS3_MEMBER);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_str(s->result.emits[0].key, "m:R&D%2F50%25/a%2Fb");
    assert_int_equal(tf_route_tombstone(&s->world, &s->state, &ls_tables[LS_T_GROUP_USER],
                                        LS_STR("R&D%2F50%25/a%2Fb"), s->arena, &s->result, &s->err),
                     0);
    assert_str(s->result.emits[0].key, "m:R&D%2F50%25/a%2Fb");
}

/* ---- brackets */

static void
brackets_say_what_they_cover_and_are_not_counted(void **state)
{
    static const struct {
        enum ls_table_id table;
        enum tf_topic topic;
        const char *key;
        int type;
        int32_t partition;
    } rows[] = {
        {LS_T_FILECACHE, TF_RESOURCE, "!end", CS3_NODE, 1},
        {LS_T_FILES_TRASH, TF_RESOURCE, "!end:trash", CS3_TRASH_INFO, TF_ALL_PARTITIONS},
        {LS_T_ACCOUNTS, TF_PERSON, "!end", CS3_USER, 0},
        {LS_T_GROUPS, TF_PERSON, "!end:groups", CS3_GROUP, 0},
        {LS_T_GROUP_USER, TF_PERSON, "!end:group_user", CS3_MEMBER, 0},
        {LS_T_USERS, TF_PERSON, "!end:users", CS3_CREDENTIAL, 0},
        {LS_T_LDAP_USER_MAPPING, TF_PERSON, "!end:ldap", CS3_LDAP, 0},
        {LS_T_LDAP_GROUP_MAPPING, TF_PERSON, "!end:ldap-groups", CS3_LDAP_GROUP, 0},
        {LS_T_PREFERENCES, TF_PERSON, "!end:preferences", CS3_QUOTA, 0},
        {LS_T_VCATEGORY, TF_ANNOTATION, "!end", CS3_CATEGORY, 0},
        {LS_T_VCATEGORY_TO_OBJECT, TF_ANNOTATION, "!end:tagged", CS3_TAGGED, 0},
        {LS_T_PROPERTIES, TF_ANNOTATION, "!end:properties", CS3_PROPERTY, 0},
        {LS_T_SYSTEMTAG, TF_ANNOTATION, "!end:systemtag", CS3_SYSTEMTAG, 0},
        {LS_T_SYSTEMTAG_MAPPING, TF_ANNOTATION, "!end:systemtagged", CS3_SYSTEMTAGGED, 0},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = row(s, rows[i].table, LS_OP_END);
        const void *r;

        e->begin = (struct ls_seq){1, 1, 0};
        r = record(s, e);
        assert_int_equal(s->sort, TF_BRACKET);
        assert_int_equal(s->result.n, 1);
        assert_false(s->result.emits[0].counted);
        assert_int_equal(s->result.emits[0].topic, rows[i].topic);
        assert_int_equal(s->result.emits[0].partition, rows[i].partition);
        assert_str(s->result.emits[0].key, rows[i].key);
        if (rows[i].topic == TF_PERSON) {
            const struct cs3_person *p = r;

            assert_int_equal(p->head.kind, CS3_END);
            assert_int_equal(p->type, rows[i].type);
            assert_int_equal(p->head.begin.counter, 1);
        } else if (rows[i].topic == TF_ANNOTATION) {
            const struct cs3_annotation *a = r;

            assert_int_equal(a->head.kind, CS3_END);
            assert_int_equal(a->type, rows[i].type);
        } else {
            const struct cs3_resource *resource = r;

            assert_int_equal(resource->head.kind, CS3_END);
            assert_int_equal(resource->what, rows[i].type);
        }
    }
    /* Tables that are not sent have brackets that go nowhere. */
    assert_int_equal(route(s, row(s, LS_T_MIMETYPES, LS_OP_BEGIN)), 0);
    assert_int_equal(s->sort, TF_BRACKET);
    assert_int_equal(s->result.n, 0);
}

static void
the_bracket_of_a_storage_names_it_in_key_and_record(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_FILECACHE, LS_OP_BEGIN);
    const struct cs3_resource *r;

    e->storage = 0; /* a number like any other */
    r = record(s, e);
    assert_int_equal(s->sort, TF_BRACKET);
    assert_int_equal(s->result.n, 1);
    assert_int_equal(s->result.emits[0].partition, 1);
    assert_false(s->result.emits[0].counted);
    assert_str(s->result.emits[0].key, "!begin/0");
    assert_int_equal(r->head.kind, CS3_BEGIN);
    assert_int_equal(r->storage, 0);
    e->op = LS_OP_END;
    e->storage = 77;
    r = record(s, e);
    assert_str(s->result.emits[0].key, "!end/77");
    assert_int_equal(r->storage, 77);
    e->storage = LS_NO_STORAGE;
    r = record(s, e);
    assert_str(s->result.emits[0].key, "!end");
    assert_int_equal(r->storage, LS_NO_STORAGE);
    /* no other table has brackets of a storage */
    e = row(s, LS_T_FILES_TRASH, LS_OP_END);
    e->storage = 77;
    assert_int_equal(route(s, e), 0);
    assert_int_equal(s->result.n, 0);
}

static void
heartbeats_go_on_for_one_table_of_each_topic(void **state)
{
    static const enum ls_table_id beating[] = {LS_T_FILECACHE, LS_T_SHARE, LS_T_ACCOUNTS,
                                               LS_T_STORAGES, LS_T_VCATEGORY};
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(beating) / sizeof(beating[0]); i++) {
        assert_int_equal(route(s, row(s, beating[i], LS_OP_HEARTBEAT)), 0);
        assert_int_equal(s->sort, TF_HEARTBEAT);
        assert_int_equal(s->result.n, 1);
        assert_str(s->result.emits[0].key, LS_KEY_HEARTBEAT);
    }
    assert_int_equal(route(s, row(s, LS_T_GROUPS, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 0);
}

static void
lookups_are_counted(void **state)
{
    struct site *s = *state;

    assert_filtered(s, mimetype_row(s, 4, "a/b"), "lookup");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(storages_become_spaces_or_say_why_not),
        SITE_TEST(storages_become_project_spaces_by_configuration_only),
        SITE_TEST(all_that_lies_in_a_project_space_is_content),
        SITE_TEST(the_data_directory_is_told_by_the_homes_in_it),
        SITE_TEST(a_deleted_storage_is_a_deleted_space),
        SITE_TEST(an_md5_home_is_unresolved_and_its_files_pass_until_the_account_is_known),
        SITE_TEST(an_account_sends_the_spaces_again_that_waited_for_it),
        SITE_TEST(an_account_does_not_bring_back_a_deleted_space),
        SITE_TEST(the_records_of_a_row_are_encoded_all_or_none),
        SITE_TEST(md5_upload_areas_and_data_directories_are_ignored_once_an_account_tells_them),
        SITE_TEST(an_older_row_does_not_undo_a_newer_one),
        SITE_TEST(accounts_become_users_by_state),
        SITE_TEST(a_deleted_account_is_understood_by_its_number),
        SITE_TEST(groups_and_memberships_have_keys_that_cannot_be_confused),
        SITE_TEST(brackets_say_what_they_cover_and_are_not_counted),
        SITE_TEST(the_bracket_of_a_storage_names_it_in_key_and_record),
        SITE_TEST(heartbeats_go_on_for_one_table_of_each_topic),
        SITE_TEST(lookups_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
