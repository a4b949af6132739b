/* Chunks: their SQL, and the rows that the stream takes back. The source is acted. */
#include "tests/unit/capture/events.h"

#include "capture/snapshot/chunk.h"
#include "capture/source/connect.h"

/* ---- the source: group_user with three rows, and any other table without columns */
static char *rows[][2] = {
    {(char *)"a", (char *)"x/y"}, {(char *)"b", (char *)"x"}, {(char *)"c", (char *)"z"}};
static size_t at;
static struct cap_source_table group_user;

const struct cap_sql_names *
cap_schema_names(const struct cap_schema *s)
{
    static const struct cap_sql_names names = {"own`cloud", "oc_"};

    (void)s;
    return &names;
}

const struct cap_source_table *
cap_schema_table(const struct cap_schema *s, enum ls_table_id id)
{
    static const struct cap_source_table none;

    (void)s;
    return id == LS_T_GROUP_USER ? &group_user : &none;
}

int
cap_schema_want(const struct cap_schema *s, const struct ls_table *table, struct ls_str name)
{
    (void)s, (void)table;
    return ls_str_is(name, "gid") ? GU_GID : GU_UID;
}

int
cap_query_rows(MYSQL *mysql, const char *sql, MYSQL_RES **ret, struct ls_err *err)
{
    (void)mysql, (void)sql, (void)err;
    at = 0;
    *ret = calloc(1, sizeof(**ret));
    return 0;
}

unsigned long long STDCALL
mysql_num_rows(MYSQL_RES *res)
{
    (void)res;
    return 3;
}

MYSQL_ROW STDCALL
mysql_fetch_row(MYSQL_RES *res)
{
    (void)res;
    return at < 3 ? rows[at++] : NULL;
}

unsigned long *STDCALL
mysql_fetch_lengths(MYSQL_RES *res)
{
    static unsigned long lengths[2];

    (void)res;
    lengths[0] = 1;
    lengths[1] = strlen(rows[at - 1][1]);
    return lengths;
}

MYSQL_FIELD *STDCALL
mysql_fetch_fields(MYSQL_RES *res)
{
    static MYSQL_FIELD fields[2] = {{.type = MYSQL_TYPE_VAR_STRING, .charsetnr = 45},
                                    {.type = MYSQL_TYPE_VAR_STRING, .charsetnr = 45}};

    (void)res;
    return fields;
}

void STDCALL
mysql_data_seek(MYSQL_RES *res, unsigned long long row)
{
    (void)res;
    at = row;
}

void STDCALL
mysql_free_result(MYSQL_RES *res)
{
    free(res);
}

/* ---- */

static struct cap_chunk *
a_chunk(int64_t limit)
{
    static int anything;
    struct cap_chunk *c = cap_chunk_new((struct cap_schema *)&anything, limit);

    assert_non_null(c);
    group_user.n = 2;
    snprintf(group_user.columns[0].name, 65, "gid");
    snprintf(group_user.columns[1].name, 65, "uid");
    return c;
}

static void
touch(struct cap_chunk *c, enum ls_table_id table, const char *gid, const char *uid, bool gone)
{
    struct ls_envelope *e = calloc(1, sizeof(*e));
    struct ls_value *image = gone ? e->before : e->after;

    e->table = &ls_tables[table];
    e->has_before = gone;
    e->has_after = !gone;
    image[GU_GID] = (struct ls_value){.kind = LS_V_TEXT, .s = str(gid)};
    image[GU_UID] = (struct ls_value){.kind = LS_V_TEXT, .s = str(uid)};
    cap_chunk_touch(c, e);
    free(e);
}

static void
rows_that_the_stream_published_are_no_longer_the_chunks(void **state)
{
    struct cap_walk walk = {&ls_tables[LS_T_GROUP_USER], NULL};
    struct cap_snapshot_state *at_key = calloc(1, sizeof(*at_key));
    struct cap_chunk *c = a_chunk(3);
    struct ls_err err = {0};
    static const bool touched[] = {true, false, true};

    (void)state;
    assert_int_equal(cap_chunk_read(c, NULL, &walk, at_key, &err), 0);
    touch(c, LS_T_GROUP_USER, "b", "x", false); /* nobody watches yet */
    assert_int_equal(cap_chunk_watch(c, &err), 0);
    touch(c, LS_T_GROUP_USER, "a", "x/y", false);
    touch(c, LS_T_GROUP_USER, "c", "z", true);
    touch(c, LS_T_GROUP_USER, "b", "y", false); /* another row */
    for (int i = 0; i < 3; i++) {
        assert_non_null(cap_chunk_next(c));
        assert_int_equal(cap_chunk_is_touched(c), touched[i]);
        assert_int_equal(cap_chunk_keep(c, at_key, &err), 0); /* the walk goes over all of them */
        assert_string_equal(at_key->key[0], rows[i][0]);
        assert_string_equal(at_key->key[1], rows[i][1]);
    }
    assert_null(cap_chunk_next(c));
    assert_false(cap_chunk_is_last(c));
    cap_chunk_drop(c);
    assert_false(cap_chunk_held(c));
    touch(c, LS_T_GROUP_USER, "a", "x/y", false);
    cap_chunk_free(c);
    free(at_key);
}

static void
a_chunk_of_everything_is_walked_by_the_primary_key(void **state)
{
    struct cap_walk walk = {&ls_tables[LS_T_GROUP_USER], NULL};
    struct cap_snapshot_state *key = calloc(1, sizeof(*key));
    struct cap_chunk *c = a_chunk(3);
    MYSQL *mysql = mysql_init(NULL);

    (void)state;
    assert_string_equal(cap_chunk_sql(c, mysql, &walk, key),
                        "SELECT `gid`, `uid` FROM `own``cloud`.`oc_group_user` WHERE 1 "
                        "ORDER BY `gid`, `uid` LIMIT 3");
    key->n_key = 2;
    snprintf(key->key[0], CAP_KEY_TEXT, "it's");
    snprintf(key->key[1], CAP_KEY_TEXT, "u");
    assert_string_equal(cap_chunk_sql(c, mysql, &walk, key),
                        "SELECT `gid`, `uid` FROM `own``cloud`.`oc_group_user` WHERE 1 AND "
                        "(`gid` > 'it\\'s' OR (`gid` = 'it\\'s' AND (`uid` > 'u'))) "
                        "ORDER BY `gid`, `uid` LIMIT 3");
    mysql_close(mysql);
    cap_chunk_free(c);
    free(key);
}

static void
the_files_of_a_storage_are_walked_by_the_hash_of_their_path(void **state)
{
    struct cap_snapshot_state *key = calloc(1, sizeof(*key));
    struct cap_walk files = {&ls_tables[LS_T_FILECACHE], &key->chosen},
                    shares = {&ls_tables[LS_T_SHARE], &key->chosen};
    struct cap_chunk *c = a_chunk(3);
    MYSQL *mysql = mysql_init(NULL);

    (void)state;
    key->chosen.n_storages = 2;
    key->chosen.storages[0] = 4;
    key->chosen.storages[1] = 7;
    key->chosen.n_users = 2;
    snprintf(key->chosen.users[0], CAP_USER_TEXT, "al'ice");
    snprintf(key->chosen.users[1], CAP_USER_TEXT, "bob");
    key->storage = 1;
    assert_non_null(strstr(cap_chunk_sql(c, mysql, &files, key),
                           "`oc_filecache` WHERE `storage` = 7 ORDER BY `path_hash` LIMIT 3"));
    key->n_key = 1;
    snprintf(key->key[0], CAP_KEY_TEXT, "d41d");
    assert_non_null(strstr(cap_chunk_sql(c, mysql, &files, key),
                           " WHERE `storage` = 7 AND `path_hash` > 'd41d' ORDER BY `path_hash`"));
    key->n_key = 0;
    assert_non_null(strstr(cap_chunk_sql(c, mysql, &shares, key),
                           " WHERE 1 AND (`uid_owner` IN ('al\\'ice', 'bob') OR `uid_initiator` IN "
                           "('al\\'ice', 'bob')) ORDER BY `id` LIMIT 3"));
    mysql_close(mysql);
    cap_chunk_free(c);
    free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_the_stream_published_are_no_longer_the_chunks),
        cmocka_unit_test(a_chunk_of_everything_is_walked_by_the_primary_key),
        cmocka_unit_test(the_files_of_a_storage_are_walked_by_the_hash_of_their_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
