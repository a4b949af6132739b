/*
 * The table behind docs/columns.md against the mapping itself: a row is mapped, and again with one
 * column changed, and the fields that differ are those that the table names for this column, no
 * more and no fewer. So a column that is called "not carried" changes nothing.
 */
#include "common/records_json.h"
#include "tests/unit/transform/rows.h"
#include "transform/columns.h"
#include "transform/projects.h"

#include <stdio.h>

#define HASH "$2y$10$abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyza"
#define HASH_2 "$2y$10$zzcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyza"
#define SUM(n) "SHA1:" n n n n n n n n n n " MD5:" n n n n n n n n " ADLER32:" n n

/* "column=value;column=value"; NULL is null. */
#define A_FILE                                                                                     \
    "fileid=44;storage=5;parent=2;size=12;mtime=1700000000;encrypted=0;etag=abc;permissions=27;"   \
    "checksum=" SUM("0123") ";"
#define A_SHARE                                                                                    \
    "id=7;uid_owner=alice;uid_initiator=carl;parent=5;item_type=folder;item_source=44;"            \
    "file_source=44;file_target=/Papers;permissions=15;stime=1600000000;accepted=0;"               \
    "expiration=2030-01-01 00:00:00;token=t0;mail_send=0;share_name=L;attributes=NULL;"
static const struct {
    enum ls_table_id table;
    const char *row;
} bases[] = {
    {LS_T_FILECACHE, A_FILE "mimetype=3;name=a.txt;path=files/D/a.txt"},
    {LS_T_FILECACHE, A_FILE "mimetype=2;name=E;path=files/D/E"},
    {LS_T_FILECACHE, A_FILE "mimetype=3;name=a.v17;path=files_versions/a.v17"},
    {LS_T_FILECACHE, A_FILE "mimetype=3;name=a.v17.json;path=files_versions/a.v17.json"},
    {LS_T_FILECACHE, A_FILE "mimetype=3;name=a.v17.d5;path=files_trashbin/versions/a.v17.d5"},
    {LS_T_STORAGES, "numeric_id=20;id=home::carl"},
    {LS_T_FILES_TRASH, "auto_id=9;id=a.txt;user=alice;timestamp=1700000000;location=."},
    {LS_T_SHARE, A_SHARE "share_type=0;share_with=bob"},
    {LS_T_SHARE, A_SHARE "share_type=0;share_with=bob;uid_initiator=NULL"},
    {LS_T_SHARE, A_SHARE "share_type=1;share_with=staff"},
    {LS_T_SHARE, A_SHARE "share_type=2;share_with=bob"},
    {LS_T_SHARE, A_SHARE "share_type=3;share_with=1|" HASH},
    {LS_T_SHARE, A_SHARE "share_type=6;share_with=zoe@far.example"},
    {LS_T_SHARE_EXTERNAL, "id=3;remote=https://far/;remote_id=9;share_token=t;password=p;name=N;"
                          "owner=zoe;user=alice;mountpoint=/N;accepted=1"},
    {LS_T_TRUSTED_SERVERS, "id=3;url=https://far;token=t;shared_secret=s;status=1"},
    {LS_T_ACCOUNTS, "id=3;email=a@x;user_id=alice;display_name=A;quota=5 GB;backend=B;home=/d/a;"
                    "state=1"},
    {LS_T_USERS, "uid=alice;displayname=A;password=1|" HASH},
    {LS_T_GROUPS, "gid=staff"},
    {LS_T_GROUP_USER, "gid=staff;uid=alice"},
    {LS_T_LDAP_USER_MAPPING, "owncloud_name=alice;ldap_dn=uid=a;directory_uuid=6a"},
    {LS_T_LDAP_GROUP_MAPPING, "owncloud_name=staff;ldap_dn=cn=s;directory_uuid=7b"},
    {LS_T_PREFERENCES, "userid=alice;appid=files;configkey=quota;configvalue=5 GB"},
    {LS_T_VCATEGORY, "id=7;uid=alice;type=files;category=holidays"},
    {LS_T_VCATEGORY, "id=7;uid=alice;type=files;category=_$!<Favorite>!$_"},
    {LS_T_VCATEGORY_TO_OBJECT, "objid=44;categoryid=7;type=files"},
    {LS_T_SYSTEMTAG, "id=7;name=A;visibility=1;editable=1;assignable=1"},
    {LS_T_SYSTEMTAG_MAPPING, "objecttype=files;objectid=44;systemtagid=7"},
    {LS_T_PROPERTIES, "id=3;fileid=44;propertyname={urn:x}a;propertyvalue=b;propertytype=1"},
};

/* Other values of a column, ';' between them; of the others a value by its type. '<6' and '>6' are
 * the halves of a move. */
static const struct {
    const char *table, *column, *values;
} others[] = {
    {"filecache", "storage", "6;<6;>6"},
    {"filecache", "path", "files/E/a.txt;files_versions/a.v17;NULL"},
    {"filecache", "name", "b.txt;a.v18;b.v17;a.v17.json;a.v17.d6"},
    {"filecache", "mimetype", "2;3;99"},
    {"filecache", "encrypted", "1"},
    {"filecache", "checksum", SUM("4567") ";NULL"},
    {"storages", "id", "home::dora;smb::x;project::p"},
    {"files_trash", "user", "bob"},
    {"files_trash", "timestamp", "17"},
    {"share", "share_type", "0;1;2;3;6"},
    {"share", "share_with", "dave;NULL;1|" HASH_2 ";1|$argon2id$x;ann@near.example"},
    {"share", "uid_initiator", "dora;NULL"},
    {"share", "item_type", "file"},
    {"share", "permissions", "1;0"},
    {"share", "accepted", "1;2"},
    {"share", "expiration", "2031-01-01;NULL"},
    {"share", "attributes", "[[\"permissions\",\"download\",false]]"},
    {"share_external", "accepted", "0"},
    {"trusted_servers", "status", "2;4"},
    {"accounts", "quota", "6 GB;none;NULL"},
    {"accounts", "state", "2"},
    {"users", "password", "1|" HASH_2 ";1|$argon2i$x;old;NULL"},
    {"preferences", "configvalue", "6 GB;none;NULL"},
    {"vcategory", "category", "x;_$!<Favorite>!$_"},
    {"systemtag", "visibility", "0"},
    {"systemtag", "editable", "0"},
    {"systemtag", "assignable", "0"},
    {"systemtag_object_mapping", "objectid", "45"},
};

/* What a field is without the column: of the table, or because no other value gets through. */
static const struct {
    const char *table, *column, *field;
} fixed[] = {
    {"files_trash", "auto_id", "what"},
    {"groups", "gid", "type"},
    {"vcategory", "id", "type"},
    {"systemtag", "id", "type"},
    {"systemtag_object_mapping", "objecttype", "object_type"},
};

static void
set(struct ls_envelope *e, const char *column, const char *value)
{
    const struct ls_table *t = e->table;
    size_t i = 0;

    while (i < t->n_columns && strcmp(t->columns[i].name, column) != 0)
        i++;
    if (i == t->n_columns)
        fail_msg("%s has no %s", t->name, column);
    if (strcmp(value, "NULL") == 0 || t->columns[i].type == LS_V_TEXT)
        text(e, (int)i, strcmp(value, "NULL") == 0 ? NULL : value);
    else
        number(e, (int)i, strtoll(value, NULL, 10));
}

/* The n-th part of `s` between ';'; NULL behind the last. */
static char *
part_of(struct site *s, const char *parts, int n)
{
    for (; n > 0 && parts; n--)
        parts = (parts = strchr(parts, ';')) ? parts + 1 : NULL;
    return parts ? ls_arena_strndup(s->arena, parts, strcspn(parts, ";")) : NULL;
}

/* The record of the row as JSON; of a row that becomes none only the cause. */
static json_t *
mapped(struct site *s, size_t base, const char *column, const char *value, bool deleted)
{
    struct ls_envelope *e = row(s, bases[base].table, deleted ? LS_OP_DELETE : LS_OP_CREATE);
    char *one, topic[32];

    for (int i = 0; (one = part_of(s, bases[base].row, i)) != NULL; i++) {
        char *eq = strchr(one, '=');

        *eq = '\0';
        set(e, one, eq + 1);
    }
    if (value && *value == '>')
        e->moved_to = atoi(value + 1);
    else if (value && *value == '<')
        e->moved_from = atoi(value + 1);
    else if (value)
        set(e, column, value);
    if (e->table->id == LS_T_STORAGES)
        feed(s, e);
    if (route(s, e) < 0)
        return json_pack("{s:b}", s->err.cause, 1);
    if (s->result.filtered || s->result.n == 0)
        return NULL;
    snprintf(topic, sizeof(topic), "cs3.%s", tf_topic_names[s->result.emits[0].topic]);
    return cs3_json(cs3_type_of(topic), s->result.emits[0].record, true);
}

static bool
names(const char *fields, const char *field)
{
    size_t n = strlen(field);

    for (const char *p = fields ? fields : ""; *p; p += strcspn(p, " "), p += *p == ' ')
        if (strcspn(p, " ") == n && memcmp(p, field, n) == 0)
            return true;
    return false;
}

static bool
is_head(const char *field)
{
    return names("kind seq seq_epoch seq_counter part begin begin_epoch begin_counter begin_part "
                 "source_ts_us capture_ts_us snapshot",
                 field);
}

/* Puts what differs into `seen`; a row that is refused says so by the cause. */
static void
compare(json_t *is, json_t *was, const char *fields, json_t *seen)
{
    const char *field;
    json_t *value;
    bool refused = is && was && json_object_size(is) != json_object_size(was);

    json_object_foreach(refused || !was ? NULL : is, field, value)
    {
        if (!is_head(field) && !json_equal(value, json_object_get(was, field)))
            json_object_set_new(seen, field, json_true());
    }
    json_object_foreach(refused ? is : NULL, field, value)
    {
        if (names(fields, field))
            json_object_set_new(seen, field, json_true());
    }
}

static const char *
values_of(const struct tf_column *c, const struct ls_table *t)
{
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i].table, c->table) == 0 && strcmp(others[i].column, c->column) == 0)
            return others[i].values;
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->columns[i].name, c->column) == 0)
            return t->columns[i].type == LS_V_INT ? "4711" : "other";
    return NULL; /* never leaves the source */
}

/* How much the page says wrong of this column; each is printed. */
static int
wrong(const struct tf_column *c, json_t *seen)
{
    const char *field;
    json_t *value;
    int n = 0;

    json_object_foreach(seen, field, value)
    {
        if (names(c->fields, field))
            continue;
        print_error("%s.%s changes %s, and the page does not say it\n", c->table, c->column, field);
        n++;
    }
    for (const char *p = c->fields ? c->fields : ""; *p; p += strcspn(p, " "), p += *p == ' ') {
        char name[64];
        bool is_fixed = false;

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, " "), p);
        for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
            is_fixed = is_fixed || (strcmp(fixed[i].table, c->table) == 0 &&
                                    strcmp(fixed[i].column, c->column) == 0 &&
                                    strcmp(fixed[i].field, name) == 0);
        if (is_fixed || json_object_get(seen, name))
            continue;
        print_error("%s.%s does not change %s\n", c->table, c->column, name);
        n++;
    }
    return n;
}

static void
a_column_changes_the_fields_that_the_page_names_and_no_others(void **state)
{
    struct site *s = *state;
    struct tf_projects *projects = NULL;
    int checked = 0, n_wrong = 0;

    assert_int_equal(tf_projects_new(NULL, &projects, &s->err), 0);
    assert_int_equal(tf_projects_add(projects, "P", "ann", "project::*"), 0);
    tf_known_set_projects(s->known, projects);
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        const struct ls_table *t = ls_table_by_name(c->table, strlen(c->table));
        const char *values = values_of(c, t);
        json_t *seen = json_object();
        char *value;

        /* of which share it is decides what all others mean */
        if (!values || t->id == LS_T_MIMETYPES || strcmp(c->column, "share_type") == 0) {
            json_decref(seen);
            continue;
        }
        for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
            if (bases[b].table != t->id)
                continue;
            for (int i = 0; (value = part_of(s, values, i)) != NULL; i++) {
                json_t *was = mapped(s, b, NULL, NULL, *value == '>');
                json_t *is = mapped(s, b, c->column, value, *value == '>');

                compare(is, was, c->fields, seen);
                json_decref(was);
                json_decref(is);
            }
        }
        n_wrong += wrong(c, seen);
        json_decref(seen);
        checked++;
    }
    assert_int_equal(n_wrong, 0);
    assert_true(checked > 80);
    tf_known_set_projects(s->known, NULL);
    tf_projects_free(projects);
}

static void
a_mimetype_changes_the_fields_of_the_files_that_have_it(void **state)
{
    static const struct {
        const char *column, *of; /* the file's mimetype */
        int64_t id;
        const char *name;
    } fed[] = {{"id", "mimetype=77;", 77, "image/png"},
               {"mimetype", "mimetype=3;", 3, "image/png"},
               {"mimetype", "mimetype=3;", 3, "httpd/unix-directory"}};
    struct site *s = *state;
    int n_wrong = 0;

    for (const struct tf_column *c = tf_columns; c->table; c++) {
        json_t *seen;

        if (strcmp(c->table, "mimetypes") != 0)
            continue;
        seen = json_object();
        for (size_t i = 0; i < sizeof(fed) / sizeof(fed[0]); i++) {
            json_t *was, *is;

            if (strcmp(fed[i].column, c->column) != 0)
                continue;
            was = mapped(s, 0, "mimetype", strchr(part_of(s, fed[i].of, 0), '=') + 1, false);
            feed(s, mimetype_row(s, fed[i].id, fed[i].name));
            is = mapped(s, 0, "mimetype", strchr(part_of(s, fed[i].of, 0), '=') + 1, false);
            compare(is, was, c->fields, seen);
            json_decref(was);
            json_decref(is);
        }
        n_wrong += wrong(c, seen);
        json_decref(seen);
    }
    assert_int_equal(n_wrong, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_column_changes_the_fields_that_the_page_names_and_no_others),
        SITE_TEST(a_mimetype_changes_the_fields_of_the_files_that_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
