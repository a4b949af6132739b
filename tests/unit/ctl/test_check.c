/*
 * check: what rules allow, and what is said in which words.
 */
#include "common/kafka_rights.h"
#include "ctl/check/check.h"
#include "ctl/check/check_people.h"
#include <librdkafka/rdkafka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the four above */
#include <cmocka.h>

static struct ls_rule
rule(const char *principal, const char *name, bool prefixed, unsigned operation, bool allow)
{
    struct ls_rule made = {.prefixed = prefixed, .allow = allow, .operation = operation};

    snprintf(made.name, sizeof made.name, "%s", name);
    snprintf(made.principal, sizeof made.principal, "%s", principal);
    return made;
}

static bool
may(struct ls_rule *rules, size_t n, enum ls_right right, const char *topic)
{
    return ls_rights_allow(&(struct ls_rights){rules, n}, "User:a", right, LS_ABOUT_TOPIC, topic);
}

static void
rules_count_as_kafka_reads_them(void **state)
{
    struct ls_rule rules[] = {
        rule("User:a", "p.", true, RD_KAFKA_ACL_OPERATION_READ, true),
        rule("User:a", "p.dlq", false, RD_KAFKA_ACL_OPERATION_ALL, true),
        rule("User:*", "p.ledger", false, RD_KAFKA_ACL_OPERATION_READ, false),
        rule("User:b", "*", false, RD_KAFKA_ACL_OPERATION_ALL, true),
        rule("User:a", "p.x", false, RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS, true),
    };
    size_t n = sizeof rules / sizeof rules[0];

    (void)state;
    assert_true(may(rules, n, LS_RIGHT_READ, "p.cs3.share"));
    assert_true(may(rules, n, LS_RIGHT_DESCRIBE, "p.cs3.share")); /* implied */
    assert_false(may(rules, n, LS_RIGHT_WRITE, "p.cs3.share"));
    assert_false(may(rules, n, LS_RIGHT_READ, "q.cs3.share"));
    assert_true(may(rules, n, LS_RIGHT_WRITE, "p.dlq"));
    assert_false(may(rules, n, LS_RIGHT_WRITE, "p.dlq2"));     /* a literal name */
    assert_false(may(rules, n, LS_RIGHT_READ, "p.ledger"));    /* what denies wins */
    assert_true(may(rules, n, LS_RIGHT_DESCRIBE, "p.ledger")); /* but denies no more than it says */
    assert_true(may(rules, n, LS_RIGHT_DESCRIBE_CONFIGS, "p.x"));
    rules[3] = rule("User:a", "*", false, RD_KAFKA_ACL_OPERATION_WRITE, true);
    assert_true(may(rules, n, LS_RIGHT_WRITE, "anything"));
    rules[3].about = LS_ABOUT_GROUP;
    assert_false(may(rules, n, LS_RIGHT_WRITE, "anything"));
    assert_false(may(rules, n, LS_RIGHT_CREATE, "p.cs3.share"));
    rules[0].operation = RD_KAFKA_ACL_OPERATION_CREATE;
    assert_true(may(rules, n, LS_RIGHT_CREATE, "p.cs3.share"));
    rules[0].about = LS_ABOUT_TRANSACTIONAL_ID; /* of the same name */
    assert_false(may(rules, n, LS_RIGHT_CREATE, "p.cs3.share"));
    assert_int_equal(ls_rights_count(&(struct ls_rights){rules, n}, "User:b"), 1);
}

static struct ls_config *
config_of(const char *const *sets, size_t n)
{
    struct ls_config *config = NULL;
    struct ls_err err = {0};

    assert_int_equal(ls_config_load(NULL, (char *const *)sets, n, &config, &err), 0);
    return config;
}

static void
who_signs_in_is_told_where_the_configuration_knows_it(void **state)
{
    static const char *const plain[] = {"kafka.security.protocol=SASL_SSL",
                                        "kafka.sasl.mechanism=SCRAM-SHA-512",
                                        "kafka.sasl.username=ls"};
    static const char *const by_certificate[] = {"kafka.security.protocol=ssl"};
    struct ls_config *config;
    char principal[64];

    (void)state;
    config = config_of(plain, 3);
    ls_kafka_principal(config, principal, sizeof principal);
    assert_string_equal(principal, "User:ls");
    ls_config_free(config);
    config = config_of(by_certificate, 1);
    ls_kafka_principal(config, principal, sizeof principal);
    assert_string_equal(principal, "");
    ls_config_free(config);
    config = config_of(NULL, 0);
    ls_kafka_principal(config, principal, sizeof principal);
    assert_string_equal(principal, "User:ANONYMOUS");
    ls_config_free(config);
}

static void
times_and_sizes_are_said_in_words(void **state)
{
    char text[32];

    (void)state;
    assert_string_equal(ctl_duration(119, text, sizeof text), "119 s");
    assert_string_equal(ctl_duration(120, text, sizeof text), "2 min");
    assert_string_equal(ctl_duration(3 * 3600, text, sizeof text), "3 h");
    assert_string_equal(ctl_duration(14 * 86400, text, sizeof text), "14 days");
    assert_string_equal(ctl_bytes(999, text, sizeof text), "999 bytes");
    assert_string_equal(ctl_bytes(1500000, text, sizeof text), "1.5 MB");
    assert_string_equal(ctl_bytes(INT64_MAX, text, sizeof text), "9223.4 PB");
}

/* What `lines` prints as JSON. */
static const char *
printed(struct ctl_lines *lines, char *out, size_t size)
{
    FILE *file = fmemopen(out, size, "w");

    assert_non_null(file);
    ctl_lines_print(lines, true, file);
    fclose(file);
    return out;
}

static void
another_version_that_runs_is_told_and_one_that_is_gone_is_not(void **state)
{
    struct ctl_lines *lines = ctl_lines_new();
    json_t *stages = json_pack("{s:{s:s,s:I},s:{s:s,s:I},s:{s:s,s:I}}", "capture/1", "version",
                               LS_VERSION, "time_us", (json_int_t)2000000000, "apply/1", "version",
                               "0.0.1", "time_us", (json_int_t)2000000000, "apply/2", "version",
                               "0.0.2", "time_us", (json_int_t)1000);
    char text[4096];

    (void)state;
    ctl_versions_line(stages, 2000000000, lines);
    printed(lines, text, sizeof text);
    assert_non_null(strstr(text, "here, the same Lockstep in capture/1\""));
    assert_non_null(strstr(text, "another Lockstep runs: apply/1 is 0.0.1\""));
    assert_null(strstr(text, "apply/2"));
    json_decref(stages);
    ctl_lines_free(lines);
}

/* What is told of people of LDAP; and what of them when the source does not tell who they are. */
static void
people_of_ldap_are_told_with_what_to_do_and_whom_nobody_may_read_are_not_kept_quiet(void **state)
{
    static const struct {
        struct ctl_people people;
        bool by_id;
        const char *is, *todo;
    } cases[] = {
        {{.n = 3, .by_name = 1, .by_id = 3}, true, "3 users", NULL},
        {{.n = 3, .by_id = 2, .missing = "eve"},
         true,
         "3 users of ownCloud's LDAP oCIS knows 0 by name, "
         "2 by their directory_uuid; not: eve",
         "OCIS_LDAP_USER_SCHEMA_ID"},
        {{.groups = true, .n = 2, .by_id = 1, .missing = "R&D"},
         true,
         "2 groups of ownCloud's LDAP that something is shared with",
         "OCIS_LDAP_GROUP_SCHEMA_ID"},
        {{.groups = true, .n = 2, .by_name = 2, .by_id = 2},
         false,
         "knows",
         "match_by = ldap-uuid"},
        {{.n = 2, .by_name = 2}, false, "2 users", NULL},
        {{.n = 2, .by_id = 2}, false, "knows", "match_by = ldap-uuid"},
    };
    static const struct {
        int code;
        const char *users, *is;
    } refusals[] = {
        {1146, "", NULL}, /* no such table */
        {1142, "0", NULL},
        {1142, "7", "grant SELECT"},
        {1142, "", "grant SELECT"},
        {2013, "7", "cannot be looked up: why"},
        {1146, "7", NULL}, /* groups */
        {1146, "7", "LDAP app still there?"},
        {1146, "0", NULL},
    };
    char text[4096];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ctl_lines *lines = ctl_lines_new();
        ctl_people_line(&cases[i].people, cases[i].by_id, lines);
        printed(lines, text, sizeof text);
        assert_non_null(strstr(text, cases[i].is));
        if (cases[i].todo)
            assert_non_null(strstr(text, cases[i].todo));
        else
            assert_null(strstr(text, "todo"));
        ctl_lines_free(lines);
    }
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct ctl_lines *lines = ctl_lines_new();
        struct ls_err why = {.code = refusals[i].code, .msg = "why"};
        ctl_people_denied(i % 2 == 1, &why, refusals[i].users, lines);
        printed(lines, text, sizeof text);
        if (refusals[i].is)
            assert_non_null(strstr(text, refusals[i].is));
        else
            assert_null(strstr(text, "LDAP"));
        ctl_lines_free(lines);
    }
}

static void
whom_a_mapping_gives_no_id_and_whom_ocis_gives_no_answer_about_are_told(void **state)
{
    struct ctl_lines *lines = ctl_lines_new();
    struct ctl_unmapped them = {.n = 11, .names = "ann, bob"};
    struct ctl_people people = {.n = 17, .not_asked = 3, .troubled = "eve"};
    char text[4096];

    (void)state;
    ctl_people_unmapped(&(struct ctl_unmapped){.groups = true}, lines);
    ctl_people_trouble(&(struct ctl_people){.n = 20}, lines);
    assert_null(strstr(printed(lines, text, sizeof text), "found"));
    ctl_people_unmapped(&them, lines);
    them = (struct ctl_unmapped){.groups = true, .n = 1, .names = "R&D"};
    ctl_people_unmapped(&them, lines);
    (void)ls_fail(&people.trouble, LS_ERR_RETRY, 500, "HTTP 500");
    ctl_people_trouble(&people, lines);
    people.groups = true;
    people.trouble.code = 403;
    ctl_people_trouble(&people, lines);
    printed(lines, text, sizeof text);
    assert_int_equal(ctl_lines_count(lines, CTL_WARN), 4);
    assert_non_null(strstr(text,
                           "11 users of ownCloud's LDAP have no id in oc_ldap_user_mapping: ann, "
                           "bob, ...\""));
    assert_non_null(strstr(text, "1 groups of ownCloud's LDAP have no id in oc_ldap_group_mapping: "
                                 "R&D\""));
    assert_non_null(strstr(text, "3 of 20 users of ownCloud's LDAP could not be looked up in oCIS, "
                                 "eve first: HTTP 500\""));
    assert_non_null(strstr(text, "graph_user the role"));
    ctl_lines_free(lines);
}

static void
which_owncloud_it_is_is_told_by_the_last_step_of_its_core(void **state)
{
    static const struct {
        const char *step, *line;
        enum ctl_level level;
    } cases[] = {
        {"20240131080456", "ownCloud 10.14 to 10.16, by the last migration", CTL_PASS},
        {"20200610110817", "ownCloud 10.5 to 10.8, by", CTL_PASS},
        {"20200610110818", "ownCloud 10.5 to 10.8, by", CTL_PASS},
        {"20170418154659", "ownCloud 10.0.0, by", CTL_NOTE},
        {"20240131080457", "newer than those that this Lockstep knows", CTL_NOTE},
        {"20170418154658", "not the database of an ownCloud 10", CTL_WARN},
        {"31000Date20240101", "its core is 31000Date20240101", CTL_WARN},
        {"", "its core is not there", CTL_WARN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ctl_lines *lines = ctl_lines_new();
        char text[2048];

        ctl_owncloud_line(cases[i].step, lines);
        assert_int_equal(ctl_lines_count(lines, cases[i].level), 1);
        assert_non_null(strstr(printed(lines, text, sizeof text), cases[i].line));
        ctl_lines_free(lines);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_count_as_kafka_reads_them),
        cmocka_unit_test(who_signs_in_is_told_where_the_configuration_knows_it),
        cmocka_unit_test(times_and_sizes_are_said_in_words),
        cmocka_unit_test(another_version_that_runs_is_told_and_one_that_is_gone_is_not),
        cmocka_unit_test(
            people_of_ldap_are_told_with_what_to_do_and_whom_nobody_may_read_are_not_kept_quiet),
        cmocka_unit_test(whom_a_mapping_gives_no_id_and_whom_ocis_gives_no_answer_about_are_told),
        cmocka_unit_test(which_owncloud_it_is_is_told_by_the_last_step_of_its_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
