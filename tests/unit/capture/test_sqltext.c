/* Which statements name a watched table, however they are written. */
#include "tests/unit/capture/events.h"

#include "capture/binlog/sqltext.h"

static const struct cap_sql_names names = {"owncloud", "oc_"};

static struct cap_sql
look(const char *text, const char *db, bool ansi)
{
    return cap_sql_look(str(text), str(db), (struct cap_sql_mode){ansi, false}, &names);
}

static void
a_watched_table_is_found_in_any_dress(void **state)
{
    static const char *const named[] = {
        "UPDATE oc_share SET a=1",
        "update `oc_share` set a=1",
        "UPDATE owncloud.oc_share SET a=1",
        "UPDATE `owncloud` . `oc_share` SET a=1",
        "UPDATE owncloud . oc_share SET a=1",
        "DELETE FROM other WHERE x IN (SELECT id FROM oc_filecache)",
        "INSERT INTO t SELECT * FROM t2 JOIN OC_FileCache USING(id)",
        "UPDATE /*! oc_share */ SET a=1",
        "UPDATE /*M!100100 oc_share*/ SET a=1",
        "DELETE a FROM `oc_share`a",
        "/* hint */ REPLACE oc_users VALUES(1)",
        "-- line\nINSERT INTO oc_groups VALUES('x')",
        "UPDATE t SET a='it''s \\' x', b=(SELECT 1 FROM oc_mimetypes)",
        "DELETE FROM oc_share.* USING oc_share",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        if (!look(named[i], "owncloud", false).watched)
            fail_msg("not found: %s", named[i]);
    assert_true(look("UPDATE owncloud.oc_share SET a=1", "elsewhere", false).watched);
    assert_true(look("UPDATE \"oc_share\" SET a=1", "owncloud", true).watched);
}

static void
strings_comments_and_other_tables_are_no_alarm(void **state)
{
    static const char *const free_of[] = {
        "UPDATE other SET a='oc_share'",
        "UPDATE other SET a=\"oc_share\"",
        "UPDATE other /* oc_share */ SET a=1",
        "UPDATE other SET a=1 -- oc_share",
        "UPDATE other SET a=1 # oc_share",
        "UPDATE oc_shares SET a=1",
        "UPDATE oc_share_x SET a=1",
        "UPDATE aside.oc_share SET a=1",
        "UPDATE `aside`.`oc_share` SET a=1",
        "UPDATE other SET t.oc_share = 1",
        "UPDATE `oc_share``` SET a=1",
        "UPDATE oc_",
        "",
        "'unclosed oc_share",
        "/* unclosed oc_share",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(free_of) / sizeof(free_of[0]); i++)
        if (look(free_of[i], "owncloud", false).watched)
            fail_msg("false alarm: %s", free_of[i]);
    assert_false(look("UPDATE oc_share SET a=1", "elsewhere", false).watched);
    assert_false(look("UPDATE oc_share SET a=1", "", false).watched);
}

static void
statements_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        enum cap_sql_kind kind;
    } cases[] = {
        {"BEGIN", CAP_SQL_BEGIN},
        {"START TRANSACTION", CAP_SQL_BEGIN},
        {"COMMIT", CAP_SQL_COMMIT},
        {"ROLLBACK TO `a`", CAP_SQL_ROLLBACK},
        {"insert ignore into x values(1)", CAP_SQL_DML},
        {"LOAD DATA INFILE 'x' INTO TABLE y", CAP_SQL_DML},
        {"TRUNCATE TABLE x", CAP_SQL_REPLACED},
        {"DROP TABLE x", CAP_SQL_REPLACED},
        {"DROP INDEX i ON x", CAP_SQL_DDL},
        {"SET STATEMENT max_statement_time=1 FOR DELETE FROM x", CAP_SQL_DML},
        {"RENAME TABLE x TO y", CAP_SQL_REPLACED},
        {"ALTER TABLE x RENAME TO y", CAP_SQL_REPLACED},
        {"ALTER TABLE x ADD c INT", CAP_SQL_DDL},
        {"CREATE INDEX i ON x(a)", CAP_SQL_DDL},
        {"GRANT SELECT ON x TO y", CAP_SQL_OTHER},
        {"SAVEPOINT a", CAP_SQL_OTHER},
        {"CREATE OR REPLACE TABLE x (a INT)", CAP_SQL_REPLACED},
        {"create /*!100100 or replace */ table x (a int)", CAP_SQL_REPLACED},
        {"CREATE OR REPLACE VIEW v AS SELECT a FROM x", CAP_SQL_DDL},
        {"SET STATEMENT max_statement_time=1 FOR TRUNCATE x", CAP_SQL_REPLACED},
        {"SET STATEMENT max_statement_time=1 FOR DROP TABLE x", CAP_SQL_REPLACED},
        {"SET STATEMENT max_statement_time=1 FOR ALTER TABLE x ADD c INT", CAP_SQL_DDL},
        {"SET STATEMENT max_statement_time=1 FOR ALTER TABLE x RENAME y", CAP_SQL_REPLACED},
        {"SET STATEMENT max_statement_time=1 FOR CREATE OR REPLACE TABLE x(a INT)",
         CAP_SQL_REPLACED},
        {"ALTER TABLE x IMPORT TABLESPACE", CAP_SQL_REPLACED},
        {"ALTER TABLE x DISCARD TABLESPACE", CAP_SQL_REPLACED},
        {"REPAIR TABLE x", CAP_SQL_REPLACED},
        {"ANALYZE TABLE x", CAP_SQL_OTHER},
        {"XA COMMIT 'a'", CAP_SQL_COMMIT},
        {"XA ROLLBACK 'a'", CAP_SQL_COMMIT},
        {"XA END 'a'", CAP_SQL_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (look(cases[i].text, "owncloud", false).kind != cases[i].kind)
            fail_msg("%s", cases[i].text);
}

static void
an_alter_that_can_change_what_we_carry_replaces_rows_and_no_other(void **state)
{
    static const struct {
        const char *text;
        bool replaced;
    } cases[] = {
        {"ALTER TABLE oc_filecache ADD INDEX fs_path (path, storage)", false},
        {"ALTER TABLE oc_filecache ADD UNIQUE KEY (storage, path_hash), DROP INDEX old", false},
        {"ALTER TABLE oc_filecache ADD CONSTRAINT x FOREIGN KEY (storage) REFERENCES t(a)", false},
        {"ALTER TABLE oc_filecache ADD COLUMN added INT FIRST, ENGINE=InnoDB", false},
        {"ALTER TABLE oc_filecache ADD IF NOT EXISTS added INT AFTER path", false},
        {"ALTER TABLE oc_filecache MODIFY COLUMN path_hash CHAR(32) AFTER path", false},
        {"ALTER TABLE oc_filecache MODIFY other DECIMAL(10,2) COMMENT 'drop path'", false},
        {"ALTER TABLE oc_filecache ALTER size DROP DEFAULT", false},
        {"ALTER TABLE oc_filecache ALTER COLUMN size SET DEFAULT 5", false},
        {"ALTER TABLE oc_filecache RENAME INDEX a TO b, RENAME KEY c TO d", false},
        {"ALTER TABLE oc_filecache RENAME COLUMN a TO b", false},
        {"ALTER TABLE oc_filecache ADD PARTITION (PARTITION p3 VALUES LESS THAN (9))", false},
        {"ALTER TABLE oc_filecache PARTITION BY HASH(storage) PARTITIONS 4", false},
        {"ALTER TABLE oc_filecache REORGANIZE PARTITION a INTO (PARTITION b VALUES IN (1))", false},
        {"ALTER TABLE oc_filecache REBUILD PARTITION a", false},
        {"ALTER TABLE oc_filecache AUTO_INCREMENT=5, COMMENT='path'", false},
        {"ALTER TABLE oc_storages ADD path INT", false}, /* another table's column */
        {"ALTER TABLE oc_filecache ADD COLUMN checksum VARCHAR(255)", true},
        {"ALTER TABLE owncloud.oc_filecache ADD `checksum` VARCHAR(255) DEFAULT ''", true},
        {"ALTER TABLE oc_filecache ADD COLUMN (added DECIMAL(5,2), checksum TEXT)", true},
        {"ALTER TABLE oc_filecache ADD INDEX (path), ADD (a INT, b INT), DROP COLUMN etag", true},
        {"ALTER TABLE oc_filecache MODIFY size BIGINT NOT NULL DEFAULT 0", true},
        {"ALTER TABLE oc_filecache ADD added INT, CHANGE COLUMN path other VARCHAR(9)", true},
        {"ALTER TABLE oc_filecache CHANGE other path VARCHAR(4000)", true},
        {"ALTER TABLE oc_filecache RENAME COLUMN path TO was_path", true},
        {"ALTER TABLE oc_filecache RENAME INDEX a TO b, RENAME COLUMN x TO `name`", true},
        {"ALTER TABLE oc_filecache DROP IF EXISTS path", true},
        {"ALTER TABLE oc_filecache CONVERT TO CHARACTER SET latin1", true},
        {"ALTER TABLE oc_filecache RENAME elsewhere", true},
        {"ALTER TABLE oc_filecache RENAME TO elsewhere, ADD INDEX (a)", true},
        {"ALTER IGNORE TABLE oc_filecache ADD UNIQUE (path)", true},
        {"ALTER ONLINE IGNORE TABLE oc_filecache ADD UNIQUE (path)", true},
        {"ALTER TABLE oc_filecache DROP PARTITION p0", true},
        {"ALTER TABLE oc_filecache TRUNCATE PARTITION p0", true},
        {"ALTER TABLE archive EXCHANGE PARTITION p WITH TABLE oc_filecache", true},
        {"ALTER TABLE oc_filecache CONVERT PARTITION p TO TABLE other", true},
        {"ALTER TABLE oc_filecache DISCARD PARTITION p TABLESPACE", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cap_sql sql = look(cases[i].text, "owncloud", false);
        if (sql.kind != (cases[i].replaced ? CAP_SQL_REPLACED : CAP_SQL_DDL) || !sql.watched)
            fail_msg("%s", cases[i].text);
    }
}

static void
the_swaps_of_online_schema_tools_name_the_table_and_their_own_work_does_not(void **state)
{
    static const struct {
        const char *text;
        enum cap_sql_kind kind;
        bool watched;
    } cases[] = {
        {"rename /* gh-ost */ table `owncloud`.`oc_share` to `owncloud`.`_oc_share_del`, "
         "`owncloud`.`_oc_share_gho` to `owncloud`.`oc_share`",
         CAP_SQL_REPLACED, true},
        {"RENAME TABLE `owncloud`.`oc_share` TO `owncloud`.`_oc_share_old`, "
         "`owncloud`.`_oc_share_new` TO `owncloud`.`oc_share`",
         CAP_SQL_REPLACED, true},
        {"RENAME TABLE a TO oc_share", CAP_SQL_REPLACED, true},
        {"RENAME TABLE a TO b, aside.oc_share TO aside.c", CAP_SQL_REPLACED, false},
        {"create /* gh-ost */ table `owncloud`.`_oc_share_gho` like `owncloud`.`oc_share`",
         CAP_SQL_DDL, true},
        {"alter /* gh-ost */ table `owncloud`.`_oc_share_gho` add column token int", CAP_SQL_DDL,
         false},
        {"drop /* gh-ost */ table if exists `owncloud`.`_oc_share_del`", CAP_SQL_REPLACED, false},
        {"CREATE TRIGGER `pt_osc_owncloud_oc_share_del` AFTER DELETE ON `owncloud`.`oc_share` FOR "
         "EACH ROW DELETE IGNORE FROM `owncloud`.`_oc_share_new` WHERE id <=> OLD.id",
         CAP_SQL_DDL, true},
        {"DROP TRIGGER IF EXISTS `owncloud`.`pt_osc_owncloud_oc_share_del`", CAP_SQL_DDL, false},
        {"DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `oc_share`", CAP_SQL_DDL, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cap_sql sql = look(cases[i].text, "owncloud", false);
        if (sql.watched != cases[i].watched || (sql.watched && sql.kind != cases[i].kind))
            fail_msg("%s", cases[i].text);
    }
}

static void
comments_that_are_executed_are_read_as_both(void **state)
{
    static const char *const named[] = {
        "UPDATE /*!50000 oc_share */ SET a=1",
        "/*!50000 UPDATE oc_share SET a=1 */",
        "/*M!100100 UPDATE oc_share SET a=1 */",
        "/*!99999 ' */ UPDATE oc_share SET a=1 /*!99999 ' */",
        "UPDATE x SET a=2*/*'*/1, b=(SELECT c FROM oc_share)",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        struct cap_sql sql = look(named[i], "owncloud", false);
        if (sql.kind != CAP_SQL_DML || !sql.watched)
            fail_msg("%s", named[i]);
    }
    assert_int_equal(look("/*!50000 TRUNCATE */ oc_share", "owncloud", false).kind,
                     CAP_SQL_REPLACED);
}

static void
a_backslash_is_what_the_session_says_it_is(void **state)
{
    const char *text = "UPDATE x SET a='\\\\', b=(SELECT c FROM oc_share WHERE d='')";
    struct cap_sql_mode plain = {false, true}, usual = {false, false};

    (void)state;
    assert_true(cap_sql_look(str(text), str("owncloud"), plain, &names).watched);
    assert_true(cap_sql_look(str(text), str("owncloud"), usual, &names).watched);
    text = "UPDATE x SET a='\\', b=(SELECT c FROM oc_share WHERE d='')";
    assert_true(cap_sql_look(str(text), str("owncloud"), plain, &names).watched);
    assert_false(cap_sql_look(str(text), str("owncloud"), usual, &names).watched);
}

static void
each_table_that_is_named_has_its_bit(void **state)
{
    struct cap_sql sql = look("DROP TABLE oc_share, other, oc_users", "owncloud", false);

    (void)state;
    assert_int_equal(sql.tables, 1U << LS_T_SHARE | 1U << LS_T_USERS);
    assert_int_equal(look("DROP DATABASE owncloud", "", false).tables, (1U << LS_T_COUNT) - 1);
    assert_int_equal(look("ALTER TABLE other ADD a INT", "owncloud", false).tables, 0);
}

static void
dropping_the_database_concerns_us(void **state)
{
    (void)state;
    assert_true(look("DROP DATABASE IF EXISTS `owncloud`", "", false).watched);
    assert_true(look("DROP SCHEMA owncloud", "", false).watched);
    assert_false(look("DROP DATABASE aside", "owncloud", false).watched);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watched_table_is_found_in_any_dress),
        cmocka_unit_test(strings_comments_and_other_tables_are_no_alarm),
        cmocka_unit_test(statements_are_told_apart),
        cmocka_unit_test(dropping_the_database_concerns_us),
        cmocka_unit_test(an_alter_that_can_change_what_we_carry_replaces_rows_and_no_other),
        cmocka_unit_test(
            the_swaps_of_online_schema_tools_name_the_table_and_their_own_work_does_not),
        cmocka_unit_test(comments_that_are_executed_are_read_as_both),
        cmocka_unit_test(a_backslash_is_what_the_session_says_it_is),
        cmocka_unit_test(each_table_that_is_named_has_its_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
