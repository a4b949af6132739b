/* The enums of tables.h and the names of columns; partitions; the sequence. */
#include "tests/unit/common/unit.h"

#include "common/records.h"
#include "common/tables.h"

#define IS(table, column, name_)                                                                   \
    {                                                                                              \
        LS_T_##table, column, name_                                                                \
    }

/* Each enum constant with the column it must be; the counts close the gaps. */
static const struct {
    enum ls_table_id table;
    int column;
    const char *name;
} expected[] = {
    IS(FILECACHE, FC_FILEID, "fileid"),
    IS(FILECACHE, FC_STORAGE, "storage"),
    IS(FILECACHE, FC_PATH, "path"),
    IS(FILECACHE, FC_PARENT, "parent"),
    IS(FILECACHE, FC_NAME, "name"),
    IS(FILECACHE, FC_MIMETYPE, "mimetype"),
    IS(FILECACHE, FC_SIZE, "size"),
    IS(FILECACHE, FC_MTIME, "mtime"),
    IS(FILECACHE, FC_ENCRYPTED, "encrypted"),
    IS(FILECACHE, FC_ETAG, "etag"),
    IS(FILECACHE, FC_PERMISSIONS, "permissions"),
    IS(FILECACHE, FC_CHECKSUM, "checksum"),
    IS(SHARE, SH_ID, "id"),
    IS(SHARE, SH_SHARE_TYPE, "share_type"),
    IS(SHARE, SH_SHARE_WITH, "share_with"),
    IS(SHARE, SH_UID_OWNER, "uid_owner"),
    IS(SHARE, SH_UID_INITIATOR, "uid_initiator"),
    IS(SHARE, SH_PARENT, "parent"),
    IS(SHARE, SH_ITEM_TYPE, "item_type"),
    IS(SHARE, SH_ITEM_SOURCE, "item_source"),
    IS(SHARE, SH_FILE_SOURCE, "file_source"),
    IS(SHARE, SH_FILE_TARGET, "file_target"),
    IS(SHARE, SH_PERMISSIONS, "permissions"),
    IS(SHARE, SH_STIME, "stime"),
    IS(SHARE, SH_ACCEPTED, "accepted"),
    IS(SHARE, SH_EXPIRATION, "expiration"),
    IS(SHARE, SH_TOKEN, "token"),
    IS(SHARE, SH_MAIL_SEND, "mail_send"),
    IS(SHARE, SH_SHARE_NAME, "share_name"),
    IS(SHARE, SH_ATTRIBUTES, "attributes"),
    IS(STORAGES, ST_NUMERIC_ID, "numeric_id"),
    IS(STORAGES, ST_ID, "id"),
    IS(MIMETYPES, MT_ID, "id"),
    IS(MIMETYPES, MT_MIMETYPE, "mimetype"),
    IS(SHARE_EXTERNAL, SX_ID, "id"),
    IS(SHARE_EXTERNAL, SX_REMOTE, "remote"),
    IS(SHARE_EXTERNAL, SX_REMOTE_ID, "remote_id"),
    IS(SHARE_EXTERNAL, SX_SHARE_TOKEN, "share_token"),
    IS(SHARE_EXTERNAL, SX_PASSWORD, "password"),
    IS(SHARE_EXTERNAL, SX_NAME, "name"),
    IS(SHARE_EXTERNAL, SX_OWNER, "owner"),
    IS(SHARE_EXTERNAL, SX_USER, "user"),
    IS(SHARE_EXTERNAL, SX_MOUNTPOINT, "mountpoint"),
    IS(SHARE_EXTERNAL, SX_ACCEPTED, "accepted"),
    IS(TRUSTED_SERVERS, TS_ID, "id"),
    IS(TRUSTED_SERVERS, TS_URL, "url"),
    IS(TRUSTED_SERVERS, TS_TOKEN, "token"),
    IS(TRUSTED_SERVERS, TS_SHARED_SECRET, "shared_secret"),
    IS(TRUSTED_SERVERS, TS_STATUS, "status"),
    IS(ACCOUNTS, AC_ID, "id"),
    IS(ACCOUNTS, AC_EMAIL, "email"),
    IS(ACCOUNTS, AC_USER_ID, "user_id"),
    IS(ACCOUNTS, AC_DISPLAY_NAME, "display_name"),
    IS(ACCOUNTS, AC_QUOTA, "quota"),
    IS(ACCOUNTS, AC_BACKEND, "backend"),
    IS(ACCOUNTS, AC_HOME, "home"),
    IS(ACCOUNTS, AC_STATE, "state"),
    IS(USERS, US_UID, "uid"),
    IS(USERS, US_DISPLAYNAME, "displayname"),
    IS(USERS, US_PASSWORD, "password"),
    IS(GROUPS, GR_GID, "gid"),
    IS(GROUP_USER, GU_GID, "gid"),
    IS(GROUP_USER, GU_UID, "uid"),
    IS(LDAP_USER_MAPPING, LM_OWNCLOUD_NAME, "owncloud_name"),
    IS(LDAP_USER_MAPPING, LM_LDAP_DN, "ldap_dn"),
    IS(LDAP_USER_MAPPING, LM_DIRECTORY_UUID, "directory_uuid"),
    IS(LDAP_GROUP_MAPPING, LM_OWNCLOUD_NAME, "owncloud_name"),
    IS(LDAP_GROUP_MAPPING, LM_LDAP_DN, "ldap_dn"),
    IS(LDAP_GROUP_MAPPING, LM_DIRECTORY_UUID, "directory_uuid"),
    IS(FILES_TRASH, FT_AUTO_ID, "auto_id"),
    IS(FILES_TRASH, FT_ID, "id"),
    IS(FILES_TRASH, FT_USER, "user"),
    IS(FILES_TRASH, FT_TIMESTAMP, "timestamp"),
    IS(FILES_TRASH, FT_LOCATION, "location"),
    IS(PROPERTIES, PR_ID, "id"),
    IS(PROPERTIES, PR_FILEID, "fileid"),
    IS(PROPERTIES, PR_PROPERTYNAME, "propertyname"),
    IS(PROPERTIES, PR_PROPERTYVALUE, "propertyvalue"),
    IS(PROPERTIES, PR_PROPERTYTYPE, "propertytype"),
    IS(VCATEGORY, VC_ID, "id"),
    IS(VCATEGORY, VC_UID, "uid"),
    IS(VCATEGORY, VC_TYPE, "type"),
    IS(VCATEGORY, VC_CATEGORY, "category"),
    IS(VCATEGORY_TO_OBJECT, VO_OBJID, "objid"),
    IS(VCATEGORY_TO_OBJECT, VO_CATEGORYID, "categoryid"),
    IS(VCATEGORY_TO_OBJECT, VO_TYPE, "type"),
    IS(SYSTEMTAG, GT_ID, "id"),
    IS(SYSTEMTAG, GT_NAME, "name"),
    IS(SYSTEMTAG, GT_VISIBILITY, "visibility"),
    IS(SYSTEMTAG, GT_EDITABLE, "editable"),
    IS(SYSTEMTAG, GT_ASSIGNABLE, "assignable"),
    IS(SYSTEMTAG_MAPPING, GO_OBJECTTYPE, "objecttype"),
    IS(SYSTEMTAG_MAPPING, GO_OBJECTID, "objectid"),
    IS(SYSTEMTAG_MAPPING, GO_SYSTEMTAGID, "systemtagid"),
    IS(PREFERENCES, PF_USERID, "userid"),
    IS(PREFERENCES, PF_APPID, "appid"),
    IS(PREFERENCES, PF_CONFIGKEY, "configkey"),
    IS(PREFERENCES, PF_CONFIGVALUE, "configvalue"),
};

static void
every_enum_is_the_column_of_its_name(void **state)
{
    size_t total = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
        assert_string_equal(ls_tables[expected[i].table].columns[expected[i].column].name,
                            expected[i].name);
    for (int t = 0; t < LS_T_COUNT; t++)
        total += ls_tables[t].n_columns;
    assert_int_equal(total, sizeof(expected) / sizeof(*expected));
}

static void
every_table_has_its_id_a_key_and_no_double_column(void **state)
{
    (void)state;
    for (int t = 0; t < LS_T_COUNT; t++) {
        const struct ls_table *table = &ls_tables[t];
        int keys = 0;

        assert_int_equal(table->id, t);
        assert_in_range(table->n_columns, 1, LS_MAX_COLUMNS);
        assert_ptr_equal(ls_table_by_name(table->name, strlen(table->name)), table);
        for (size_t i = 0; i < table->n_columns; i++) {
            keys += table->columns[i].key;
            assert_in_range(table->columns[i].type, LS_V_INT, LS_V_TEXT);
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(table->columns[i].name, table->columns[k].name);
        }
        assert_in_range(keys, 1, 3);
    }
    assert_null(ls_table_by_name("filecach", 8));
    assert_null(ls_table_by_name("filecache2", 10));
}

static void
secrets_are_marked(void **state)
{
    (void)state;
    assert_int_equal(ls_tables[LS_T_SHARE].columns[SH_TOKEN].secret, LS_SECRET);
    assert_int_equal(ls_tables[LS_T_SHARE].columns[SH_SHARE_WITH].secret, LS_SECRET_LINK);
    assert_int_equal(ls_tables[LS_T_USERS].columns[US_PASSWORD].secret, LS_SECRET);
    assert_int_equal(ls_tables[LS_T_SHARE_EXTERNAL].columns[SX_SHARE_TOKEN].secret, LS_SECRET);
    assert_int_equal(ls_tables[LS_T_SHARE_EXTERNAL].columns[SX_PASSWORD].secret, LS_SECRET);
    assert_int_equal(ls_tables[LS_T_TRUSTED_SERVERS].columns[TS_TOKEN].secret, LS_SECRET);
    assert_int_equal(ls_tables[LS_T_TRUSTED_SERVERS].columns[TS_SHARED_SECRET].secret, LS_SECRET);
}

static void
a_storage_has_one_partition_whatever_its_sign(void **state)
{
    (void)state;
    assert_int_equal(ls_partition_of_storage(0, 64), 0);
    assert_int_equal(ls_partition_of_storage(65, 64), 1);
    assert_in_range(ls_partition_of_storage(-1, 7), 0, 6);
    assert_in_range(ls_partition_of_storage(INT64_MAX, 7), 0, 6);
}

static void
the_sequence_is_ordered_by_epoch_counter_part(void **state)
{
    const struct ls_seq order[] = {{0, 0, 0}, {0, 0, 1}, {0, 5, 0},
                                   {1, 0, 0}, {1, 3, 0}, {2, 1, 1}};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < 6; k++)
            assert_int_equal(ls_seq_cmp(order[i], order[k]), i < k ? -1 : i > k);
    }
}

static void
a_sequence_is_read_as_it_was_printed(void **state)
{
    struct ls_seq seq = {3, INT64_C(9007199254740993), 1}, back;
    char text[64];

    (void)state;
    assert_int_equal(ls_seq_print(seq, text, sizeof(text)), 0);
    assert_string_equal(text, "3.9007199254740993.1");
    assert_int_equal(ls_seq_parse(ls_str_of(text), &back), 0);
    assert_int_equal(ls_seq_cmp(seq, back), 0);
    assert_int_equal(ls_seq_print(seq, text, 5), -1);
}

static void
what_is_no_sequence_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1.2",
                                      "1.2.",
                                      ".2.3",
                                      "1.2.3 ",
                                      " 1.2.3",
                                      "-1.2.3",
                                      "1.+2.3",
                                      "1.2.3.4",
                                      "a.b.c",
                                      "3000000000.1.1",
                                      "1.99999999999999999999.1"};
    struct ls_seq seq = {7, 7, 7};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(ls_seq_parse(ls_str_of(bad[i]), &seq), -1);
    assert_int_equal(ls_seq_parse((struct ls_str){"1.2\0.3", 6}, &seq), -1);
    assert_int_equal(ls_seq_parse(LS_STR_NULL, &seq), -1);
    assert_int_equal(seq.counter, 7);
}

static void
the_columns_of_a_key_stand_in_front_of_the_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        const struct ls_table *table = &ls_tables[i];
        size_t n = 0;

        while (n < table->n_columns && table->columns[n].key)
            n++;
        assert_true(n > 0);
        for (; n < table->n_columns; n++)
            assert_false(table->columns[n].key);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_columns_of_a_key_stand_in_front_of_the_others),
        cmocka_unit_test(every_enum_is_the_column_of_its_name),
        cmocka_unit_test(every_table_has_its_id_a_key_and_no_double_column),
        cmocka_unit_test(secrets_are_marked),
        cmocka_unit_test(a_storage_has_one_partition_whatever_its_sign),
        cmocka_unit_test(the_sequence_is_ordered_by_epoch_counter_part),
        cmocka_unit_test(a_sequence_is_read_as_it_was_printed),
        cmocka_unit_test(what_is_no_sequence_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
