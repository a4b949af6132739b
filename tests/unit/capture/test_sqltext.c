/* Which statements name a watched table, however they are written. */
#include "tests/unit/capture/events.h"

#include "capture/sqltext.h"

static const struct cap_sql_names names = {"owncloud", "oc_"};

static struct cap_sql
look(const char *text, const char *db, bool ansi)
{
    return cap_sql_look(str(text), str(db), ansi, &names);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
