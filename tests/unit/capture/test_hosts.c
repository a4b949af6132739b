/* The list of hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/source/hosts.h"
#include <string.h>

static void
a_list_names_hosts_with_and_without_ports(void **state)
{
    struct cap_hosts hosts;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(
        cap_hosts_parse("db1:3307, db2 ,[::1]:3308,[fe80::1],2001:db8::5", 3306, &hosts, &err), 0);
    assert_int_equal(hosts.n, 5);
    assert_string_equal(hosts.host[0].name, "db1");
    assert_int_equal(hosts.host[0].port, 3307);
    assert_string_equal(hosts.host[1].name, "db2");
    assert_int_equal(hosts.host[1].port, 3306);
    assert_string_equal(hosts.host[2].name, "::1");
    assert_int_equal(hosts.host[2].port, 3308);
    assert_string_equal(hosts.host[3].name, "fe80::1");
    assert_int_equal(hosts.host[3].port, 3306);
    assert_string_equal(hosts.host[4].name, "2001:db8::5");
}

static void
what_is_no_list_is_refused_and_the_output_untouched(void **state)
{
    static const char *const bad[] = {
        "",     ",db",  "db,",       "db1,,db2", "db:",   "db:0",    "db:65536",
        "db:x", "[::1", "[::1]3306", "[]:3306",  ":3306", "db:33 06"};
    char long_name[400], many[200] = "a";

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cap_hosts hosts = {.n = 77};
        struct ls_err err = {0};
        assert_int_equal(cap_hosts_parse(bad[i], 3306, &hosts, &err), -1);
        assert_int_equal(err.kind, LS_ERR_FATAL);
        assert_string_equal(err.cause, "usage");
        assert_int_equal(hosts.n, 77);
    }
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(cap_hosts_parse(long_name, 3306, &(struct cap_hosts){0}, NULL), -1);
    for (int i = 0; i < CAP_HOSTS; i++)
        strcat(many, ",b");
    assert_int_equal(cap_hosts_parse(many, 3306, &(struct cap_hosts){0}, NULL), -1);
}

static void
each_host_has_its_turn_and_then_all_were_tried(void **state)
{
    char set[] = "source.host=a,b:2,c", *sets[] = {set};
    struct ls_config *config = NULL;
    struct cap_host host;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ls_config_load("/dev/null", sets, 1, &config, &err), 0);
    assert_int_equal(cap_hosts_count(config), 3);
    assert_int_equal(cap_hosts_current(config, &host, &err), 0);
    assert_string_equal(host.name, "a");
    assert_int_equal(cap_hosts_left(config), 2);
    cap_hosts_next();
    assert_int_equal(cap_hosts_left(config), 1);
    cap_hosts_good(); /* b serves; when it fails, c and a are to be tried */
    assert_int_equal(cap_hosts_left(config), 2);
    cap_hosts_next();
    cap_hosts_next();
    assert_int_equal(cap_hosts_current(config, &host, &err), 0);
    assert_string_equal(host.name, "a");
    assert_int_equal(cap_hosts_left(config), 0);
    cap_hosts_next();
    assert_int_equal(cap_hosts_current(config, &host, &err), 0);
    assert_string_equal(host.name, "b");
    assert_int_equal(host.port, 2);
    ls_config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_names_hosts_with_and_without_ports),
        cmocka_unit_test(what_is_no_list_is_refused_and_the_output_untouched),
        cmocka_unit_test(each_host_has_its_turn_and_then_all_were_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
