/* The configuration: what wins, what is refused and how, and that no secret is shown. */
#include "tests/unit/common/unit.h"

#include "common/config.h"
#include "common/kafka.h"
#include <errno.h>
#include <sys/resource.h>

static int
load(const char *content, const char *const *sets, size_t n, struct ls_config **ret,
     struct ls_err *err)
{
    char *path = file_with(content);
    int r = ls_config_load(path, (char *const *)sets, n, ret, err);

    unlink(path);
    free(path);
    return r;
}

/* Loading this must fail, with this in the message. */
static void
refused(const char *content, const char *in_message)
{
    struct ls_config *config = NULL;
    struct ls_err err = {0};

    assert_int_equal(load(content, NULL, 0, &config, &err), -1);
    assert_null(config);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    if (!strstr(err.msg, in_message))
        fail_msg("\"%s\" is not in \"%s\"", in_message, err.msg);
}

static void
an_unknown_key_or_section_is_named_with_file_and_line(void **state)
{
    (void)state;
    refused("; a comment\n[source]\nhost = a\n\nhots = b\n", ":5: unknown key \"hots\"");
    refused("[sauce]\nhost = a\n", ":2: unknown section [sauce]");
    refused("[source]\nhost = a\nwhat is this\n", ":3: neither");
    refused("[kafka]\nacknowledge = 1\n", ":2: [kafka] acknowledge");
}

static void
types_and_ranges_are_checked(void **state)
{
    (void)state;
    refused("[source]\nport = 0\n", "source.port is from 1 to 65535");
    refused("[source]\nport = 33o6\n", "is a number");
    refused("[source]\nport =\n", "is a number");
    refused("[source]\nport = 99999999999999999999\n", "is a number");
    refused("[target]\ntls_verify = maybe\n", "is true or false");
    refused("[log]\nlevel = loud\n", "debug, info, warn or error");
    refused("[map]\nrelative = /x\n", "absolute paths");
    refused("[spaces]\nMarketing = smb::fs@host//share/\n", "NAME = OWNER, STORAGE");
    refused("[spaces]\nMarketing = ,smb::fs@host//share/\n", "NAME = OWNER, STORAGE");
    refused("[spaces]\nMarketing = alice,\n", "NAME = OWNER, STORAGE");
}

static void
later_sources_win_over_earlier_ones(void **state)
{
    const char *sets[] = {"source.user=from-set", "map./a/b=/c"};
    struct ls_config *config;
    struct ls_err err = {0};
    const char *content = "[source]\nhost = from-file\nport = 3307\nuser = from-file\n"
                          "[target]\ntls_verify = no\n";

    (void)state;
    setenv("LOCKSTEP_SOURCE_PORT", "3308", 1);
    setenv("LOCKSTEP_SOURCE_USER", "from-env", 1);
    ok(load(content, sets, 2, &config, &err));
    unsetenv("LOCKSTEP_SOURCE_PORT");
    unsetenv("LOCKSTEP_SOURCE_USER");
    assert_string_equal(ls_config_str(config, "source", "database"), "owncloud");
    assert_string_equal(ls_config_str(config, "source", "host"), "from-file");
    assert_int_equal(ls_config_int(config, "source", "port"), 3308);
    assert_string_equal(ls_config_str(config, "source", "user"), "from-set");
    assert_false(ls_config_bool(config, "target", "tls_verify"));
    assert_null(ls_config_str(config, "data", "root"));
    ls_config_free(config);
}

static void
a_value_may_hold_semicolons_and_indented_keys_are_keys(void **state)
{
    struct ls_config *config;
    struct ls_err err = {0};

    (void)state;
    ok(load("[source]\npassword = a ;b#c=d\n   host = h\n", NULL, 0, &config, &err));
    assert_string_equal(ls_config_str(config, "source", "password"), "a ;b#c=d");
    assert_string_equal(ls_config_str(config, "source", "host"), "h");
    ls_config_free(config);
}

static void
a_line_that_is_too_long_is_refused_not_cut(void **state)
{
    char *content = malloc(10000);

    (void)state;
    strcpy(content, "[source]\nhost = ");
    memset(content + 16, 'x', 9000);
    strcpy(content + 9016, "\n");
    refused(content, ":2: the line is too long");
    free(content);
}

static void
a_secret_comes_from_a_file_without_its_newline(void **state)
{
    char *secret = file_with("geheim \n");
    struct ls_config *config;
    struct ls_err err = {0};
    char content[300];

    (void)state;
    snprintf(content, sizeof(content),
             "[source]\npassword_file = %s\n[kafka]\n"
             "sasl.password_file = %s\n",
             secret, secret);
    setenv("LOCKSTEP_TARGET_MACHINE_KEY_FILE", secret, 1);
    ok(load(content, NULL, 0, &config, &err));
    unsetenv("LOCKSTEP_TARGET_MACHINE_KEY_FILE");
    assert_string_equal(ls_config_str(config, "source", "password"), "geheim ");
    assert_string_equal(ls_config_str(config, "target", "machine_key"), "geheim ");
    ls_config_free(config);
    unlink(secret);
    free(secret);
    refused("[source]\npassword_file = /nowhere/at/all\n", "cannot open /nowhere/at/all");
    refused("[source]\nhost_file = /etc/hostname\n", "unknown key");
}

static int
pair_append(void *arg, const char *key, const char *value)
{
    char *text = arg;

    snprintf(text + strlen(text), 400 - strlen(text), "%s=%s;", key, value);
    return 0;
}

static void
kafka_options_pass_through_in_order_and_from_the_environment(void **state)
{
    struct ls_config *config;
    struct ls_err err = {0};
    char text[400] = "";

    (void)state;
    setenv("LOCKSTEP_KAFKA_BOOTSTRAP_SERVERS", "k:1", 1);
    ok(load("[kafka]\nssl.ca.location = /ca\nbootstrap.servers = old:1\n", NULL, 0, &config, &err));
    unsetenv("LOCKSTEP_KAFKA_BOOTSTRAP_SERVERS");
    assert_int_equal(ls_config_each(config, "kafka", pair_append, text), 0);
    assert_string_equal(text, "ssl.ca.location=/ca;bootstrap.servers=k:1;");
    ls_config_free(config);
}

static void
kafka_options_that_promises_rest_on_are_refused(void **state)
{
    static const char *const keys[] = {"transactional.id",   "isolation.level", "acks",
                                       "enable.auto.commit", "group.id",        "auto.offset.reset",
                                       "enable.idempotence"};

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        char content[100];

        snprintf(content, sizeof(content), "[kafka]\n%s = 1\n", keys[i]);
        refused(content, "cannot be set");
    }
}

static void
a_wrong_kafka_secret_is_not_quoted(void **state)
{
    char why[200];

    (void)state;
    assert_int_equal(ls_kafka_option_check("sasl.password", "ok", why, sizeof(why)), 0);
    assert_int_equal(ls_kafka_option_check("ssl.key.password.typo", "geheim", why, sizeof(why)),
                     -1);
    assert_null(strstr(why, "geheim"));
}

static void
a_given_file_must_be_there(void **state)
{
    struct ls_config *config = NULL;
    struct ls_err err = {0};
    const char *path;

    (void)state;
    assert_int_equal(ls_config_load("/nowhere/lockstep.conf", NULL, 0, &config, &err), -1);
    ok(ls_config_load(NULL, NULL, 0, &config, &err));
    assert_int_equal(ls_config_require(config, "data", "root", &path, &err), -1);
    assert_non_null(strstr(err.msg, "root"));
    ok(ls_config_require(config, "source", "user", &path, &err));
    assert_string_equal(ls_config_topic(config, "oc10.oc_share"), "lockstep.oc10.oc_share");
    assert_ptr_equal(ls_config_topic(config, "dlq"), ls_config_topic(config, "dlq"));
    ls_config_free(config);
}

/* ls_config_main with stdout caught into `out`. */
static int
run_main(const char **argv, char *out, size_t size, bool *ret_extra, int *ret_exit,
         struct ls_err *err)
{
    const char *const extra[] = {"--snapshot", NULL};
    struct ls_config *config = NULL;
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO), argc = 0, r;
    ssize_t n;

    while (argv[argc])
        argc++;
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    r = ls_config_main(argc, (char **)argv, "lockstep-test", extra, ret_extra, &config, ret_exit,
                       err);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    n = pread(fileno(file), out, size - 1, 0);
    assert_true(n >= 0);
    out[n] = '\0';
    fclose(file);
    ls_config_free(config);
    return r;
}

static void
the_dump_shows_no_secret(void **state)
{
    const char *argv[] = {"x",
                          "--dump-config",
                          "--set",
                          "source.password=geheim",
                          "--set",
                          "kafka.sasl.password=geheim",
                          "--set=kafka.ssl.key.password=geheim",
                          "--set",
                          "source.host=sichtbar",
                          NULL};
    struct ls_err err = {0};
    char out[16384];
    bool extra;
    int status = 99;

    (void)state;
    assert_int_equal(run_main(argv, out, sizeof(out), &extra, &status, &err), 1);
    assert_int_equal(status, LS_EXIT_OK);
    assert_null(strstr(out, "geheim"));
    assert_non_null(strstr(out, "[source]\nhost = sichtbar\n"));
    assert_non_null(strstr(out, "\npassword = ***\n"));
    assert_non_null(strstr(out, "sasl.password = ***\n"));
    assert_non_null(strstr(out, "; root =\n"));
}

static void
the_dump_is_a_configuration_that_loads(void **state)
{
    const char *argv[] = {"x", "--dump-config", "--set", "map./var/www=/mnt", NULL};
    struct ls_config *config;
    struct ls_err err = {0};
    char out[16384];
    bool extra;
    int status;

    (void)state;
    assert_int_equal(run_main(argv, out, sizeof(out), &extra, &status, &err), 1);
    ok(load(out, NULL, 0, &config, &err));
    assert_int_equal(ls_config_int(config, "lockstep", "partitions"), 8);
    ls_config_free(config);
}

static void
wrong_arguments_are_a_usage_error(void **state)
{
    const char *unknown[] = {"x", "--sanpshot", NULL};
    const char *missing[] = {"x", "--config", NULL};
    const char *bad[] = {"x", "--set", "nonsense", NULL};
    const char *level[] = {"x", "--log-level", "loud", NULL};
    const char **all[] = {unknown, missing, bad, level};
    char out[4096];
    bool extra;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct ls_err err = {0};
        int status = 0;

        assert_int_equal(run_main(all[i], out, sizeof(out), &extra, &status, &err), -1);
        assert_int_equal(status, LS_EXIT_USAGE);
        assert_true(strlen(err.msg) > 5);
    }
}

/* What ls_config_main gives while there are no more than so many descriptors beside the open ones.
 */
static int
starved(const char **argv, rlim_t descriptors, int *ret_status, struct ls_err *err)
{
    int next = dup(STDIN_FILENO), argc = 0, r;
    struct ls_config *config = NULL;
    struct rlimit before, few;

    while (argv[argc])
        argc++;
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)next + descriptors;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    r = ls_config_main(argc, (char **)argv, "lockstep-test", NULL, NULL, &config, ret_status, err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(config);
    return r;
}

static void
what_cannot_be_read_for_lack_of_descriptors_is_no_wrong_configuration(void **state)
{
    char *secret = file_with("geheim"), text[200], *path;
    const char *argv[] = {"x", "--config", NULL, NULL};
    const char *fallback[] = {"x", NULL};

    (void)state;
    (void)snprintf(text, sizeof(text), "[source]\npassword_file = %s\n", secret);
    path = file_with(text);
    argv[2] = path;
    /* the file; the secret that it names; the file that is read where none is given */
    for (int i = 0; i < 3; i++) {
        struct ls_err err = {0};
        int status = 0;

        assert_int_equal(starved(i < 2 ? argv : fallback, i == 1 ? 1 : 0, &status, &err), -1);
        assert_int_equal(err.kind, LS_ERR_RETRY);
        assert_int_equal(err.code, EMFILE);
        assert_int_equal(status, LS_EXIT_FAILURE);
    }
    unlink(path);
    free(path);
    unlink(secret);
    free(secret);
}

static void
a_daemons_own_option_is_reported(void **state)
{
    const char *argv[] = {"x", "--snapshot", NULL};
    struct ls_err err = {0};
    char out[100];
    bool extra = false;
    int status;

    (void)state;
    assert_int_equal(run_main(argv, out, sizeof(out), &extra, &status, &err), 0);
    assert_true(extra);
}

/* Loads with $CREDENTIALS_DIRECTORY set to a new folder that holds one file. */
static int
load_with_credential(const char *name, const char *text, struct ls_config **ret, struct ls_err *err)
{
    char folder[] = "/tmp/lockstep-unit-XXXXXX", path[100];
    FILE *f;
    int r;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    r = load("[source]\npassword = from-file\n", NULL, 0, ret, err);
    unlink(path);
    rmdir(folder);
    unsetenv("CREDENTIALS_DIRECTORY");
    return r;
}

static void
a_credential_wins_over_the_file_and_an_empty_one_is_none(void **state)
{
    struct ls_config *config;
    struct ls_err err = {0};

    (void)state;
    ok(load_with_credential("source.password", "handed over\n", &config, &err));
    assert_string_equal(ls_config_str(config, "source", "password"), "handed over");
    ls_config_free(config);
    ok(load_with_credential("source.password", "\n", &config, &err));
    assert_string_equal(ls_config_str(config, "source", "password"), "from-file");
    ls_config_free(config);
    ok(load_with_credential("tls.pem", "a file that an option names", &config, &err));
    ls_config_free(config);
}

static void
a_wrong_credential_is_named(void **state)
{
    struct ls_config *config = NULL;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(load_with_credential("source.pasword", "x", &config, &err), -1);
    assert_non_null(strstr(err.msg, "unknown key \"pasword\""));
    assert_int_equal(load_with_credential("kafka.acks", "0", &config, &err), -1);
    setenv("CREDENTIALS_DIRECTORY", "/nonexistent/credentials", 1);
    assert_int_equal(load("", NULL, 0, &config, &err), -1);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_non_null(strstr(err.msg, "/nonexistent/credentials"));
    assert_null(config);
}

static void
every_default_satisfies_its_own_option(void **state)
{
    (void)state;
    for (size_t i = 0; ls_options[i].section; i++) {
        const struct ls_option *o = &ls_options[i];
        struct ls_config *config;
        struct ls_err err = {0};
        char set[300];
        char *sets[] = {set};

        assert_true(strlen(o->help) > 3);
        if (!o->fallback)
            continue;
        snprintf(set, sizeof(set), "%s.%s=%s", o->section, o->key, o->fallback);
        ok(ls_config_load(NULL, sets, 1, &config, &err));
        ls_config_free(config);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_key_or_section_is_named_with_file_and_line),
        cmocka_unit_test(types_and_ranges_are_checked),
        cmocka_unit_test(later_sources_win_over_earlier_ones),
        cmocka_unit_test(a_value_may_hold_semicolons_and_indented_keys_are_keys),
        cmocka_unit_test(a_line_that_is_too_long_is_refused_not_cut),
        cmocka_unit_test(a_secret_comes_from_a_file_without_its_newline),
        cmocka_unit_test(kafka_options_pass_through_in_order_and_from_the_environment),
        cmocka_unit_test(kafka_options_that_promises_rest_on_are_refused),
        cmocka_unit_test(a_wrong_kafka_secret_is_not_quoted),
        cmocka_unit_test(a_given_file_must_be_there),
        cmocka_unit_test(the_dump_shows_no_secret),
        cmocka_unit_test(the_dump_is_a_configuration_that_loads),
        cmocka_unit_test(wrong_arguments_are_a_usage_error),
        cmocka_unit_test(what_cannot_be_read_for_lack_of_descriptors_is_no_wrong_configuration),
        cmocka_unit_test(a_daemons_own_option_is_reported),
        cmocka_unit_test(a_credential_wins_over_the_file_and_an_empty_one_is_none),
        cmocka_unit_test(a_wrong_credential_is_named),
        cmocka_unit_test(every_default_satisfies_its_own_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
