/* The parts of the CS3 client that need no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "apply/cs3/cs3_call.h"
#include "apply/cs3/http.h"
#include "h2_server.h"
#include <cmocka.h>
#include <string.h>

static void
a_time_is_written_with_nine_digits_of_nanoseconds(void **state)
{
    char out[40];

    (void)state;
    cs3_mtime_text(1234567890, 5, out, sizeof(out));
    assert_string_equal(out, "1234567890.000000005");
    cs3_mtime_text(0, 999999999, out, sizeof(out));
    assert_string_equal(out, "0.999999999");
}

static void
a_time_before_1970_has_no_fraction(void **state)
{
    char out[40];

    (void)state;
    cs3_mtime_text(-5, 7, out, sizeof(out));
    assert_string_equal(out, "-5");
}

static void
a_time_before_1970_is_read_as_it_was_written(void **state)
{
    Cs3__ResourceInfo in = CS3__RESOURCE_INFO__INIT;
    Cs3__Timestamp mtime = CS3__TIMESTAMP__INIT;
    struct cs3_info info;

    (void)state;
    in.mtime = &mtime;
    mtime.seconds = (uint64_t)INT64_C(-4); /* as the target shows -5.000000007 */
    mtime.nanos = 3294967303u;
    cs3_info_of(&in, &info);
    assert_int_equal(info.mtime, -5);
    assert_int_equal(info.mtime_ns, 7);
    mtime.nanos = 0;
    cs3_info_of(&in, &info);
    assert_int_equal(info.mtime, -4);
}

static void
an_upload_that_was_sent_whole_is_waited_for_by_its_size(void **state)
{
    (void)state;
    assert_int_equal(ap_http_patience_ms(120000, 0, 0), 120000);
    assert_int_equal(ap_http_patience_ms(120000, 1, INT64_C(1) << 40), 120000);
    assert_int_equal(ap_http_patience_ms(120000, 1 << 20, 1 << 20), 120064);
    assert_int_equal(ap_http_patience_ms(120000, INT64_C(1) << 40, INT64_C(1) << 40),
                     120000 + (1 << 26)); /* 1 TiB: 18 hours */
}

static void
a_time_beyond_the_targets_range_is_the_nearest_it_holds(void **state)
{
    char out[40];

    (void)state;
    cs3_mtime_text(INT64_C(253402300800), 1, out, sizeof(out));
    assert_string_equal(out, "9223372035.000000001");
    cs3_mtime_text(INT64_MIN, 1, out, sizeof(out));
    assert_string_equal(out, "-9223372036");
}

static void
each_permission_bit_is_one_field_and_back(void **state)
{
    Cs3__ResourcePermissions permissions;

    (void)state;
    for (int i = 0; i < 19; i++) {
        cs3_permissions_fill(&permissions, INT64_C(1) << i);
        assert_int_equal(cs3_permissions_of(&permissions), INT64_C(1) << i);
    }
    cs3_permissions_fill(&permissions, CS3_PERM_STAT | CS3_PERM_DELETE);
    assert_true(permissions.stat && permissions.delete_ && !permissions.move);
    assert_int_equal(cs3_permissions_of(NULL), 0);
}

static void
a_place_is_an_id_or_a_name_below_one(void **state)
{
    struct cs3_place place = {"s", "p", "id", NULL};
    struct cs3_ref ref;
    struct ls_err err = {0};
    char name[5000];

    (void)state;
    assert_int_equal(cs3_ref_fill(&ref, &place, &err), 0);
    assert_string_equal(ref.ref.path, "");
    place.name = "a b";
    assert_int_equal(cs3_ref_fill(&ref, &place, &err), 0);
    assert_string_equal(ref.ref.path, "./a b");
    assert_string_equal(ref.id.opaque_id, "id");
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    place.name = name;
    assert_int_equal(cs3_ref_fill(&ref, &place, &err), -1);
    assert_string_equal(err.cause, "name-refused");
}

static void
what_a_server_says_of_a_file_is_taken_with_care(void **state)
{
    Cs3__ResourceInfo in = CS3__RESOURCE_INFO__INIT;
    Cs3__Checksum checksum = CS3__CHECKSUM__INIT;
    Cs3__Opaque opaque = CS3__OPAQUE__INIT;
    Cs3__OpaqueMapEntry entry = CS3__OPAQUE_MAP_ENTRY__INIT, *entries[] = {&entry};
    Cs3__OpaqueEntry value = CS3__OPAQUE_ENTRY__INIT;
    Cs3__Timestamp mtime = CS3__TIMESTAMP__INIT;
    char sum[] = "AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D", etag[] = "\"abc\"";
    char path[] = "/docs/a.txt", key[] = "status", processing[] = "processing";
    struct cs3_info out;

    (void)state;
    cs3_info_of(&in, &out); /* nothing at all */
    assert_string_equal(out.id, "");
    assert_false(out.folder || out.processing);

    checksum.type = 4;
    checksum.sum = sum;
    in.checksum = &checksum;
    in.etag = etag;
    in.path = path;
    in.size = 5;
    mtime.seconds = (uint64_t)-5;
    in.mtime = &mtime;
    entry.key = key;
    entry.value = &value;
    value.value.data = (uint8_t *)processing;
    value.value.len = 10;
    opaque.n_map = 1;
    opaque.map = entries;
    in.opaque = &opaque;
    cs3_info_of(&in, &out);
    assert_string_equal(out.sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    assert_string_equal(out.etag, "abc");
    assert_string_equal(out.name, "a.txt");
    assert_int_equal(out.mtime, -5);
    assert_true(out.processing);

    sum[5] = '\0';
    etag[1] = '\0';
    entry.value = NULL;
    cs3_info_of(&in, &out);
    assert_string_equal(out.sha1, "");
    assert_string_equal(out.etag, "\"");
    assert_false(out.processing);
}

/* Nobody listens at the addresses: whoever is asked for there is "target-down". */
static void
who_somebody_is_at_the_target_is_said_once_and_he_signs_in_as_that(void **state)
{
    const char *sets[] = {"target.machine_key=k", "target.gateway=127.0.0.1:1"};
    struct ls_config *config = NULL;
    struct cs3_client *client = NULL;
    struct ls_err err = {0};
    char id[AP_ID_SIZE] = "", longer[AP_ID_SIZE + 1];

    (void)state;
    assert_int_equal(ls_config_load(NULL, (char *const *)sets, 2, &config, &err), 0);
    assert_int_equal(cs3_client_new(config, NULL, NULL, &client, &err), 0);
    assert_int_equal(cs3_match_of(client, "alice", id), CS3_BY_NAME);
    assert_int_equal(cs3_match_set(client, "alice", CS3_BY_ID, "74f2-ec24", &err), 0);
    assert_int_equal(cs3_match_of(client, "alice", id), CS3_BY_ID);
    assert_string_equal(id, "74f2-ec24");
    assert_int_equal(cs3_match_of(client, "Alice", id), CS3_BY_NAME);

    assert_int_equal(cs3_sign_in(client, "alice", NULL, &err), -1);
    assert_string_equal(err.cause, "target-down");
    assert_int_equal(cs3_match_set(client, "alice", CS3_NOBODY, NULL, &err), 0);
    assert_int_equal(cs3_sign_in(client, "alice", NULL, &err), -1);
    assert_string_equal(err.cause, "no-user"); /* without asking */
    assert_int_equal(err.code, CS3_NOT_FOUND);
    assert_int_equal(cs3_sign_in(client, CS3_NAMED "alice", NULL, &err), -1);
    assert_string_equal(err.cause, "target-down");

    memset(longer, 'x', AP_ID_SIZE);
    longer[AP_ID_SIZE] = '\0';
    assert_int_equal(cs3_match_set(client, "bob", CS3_BY_ID, longer, &err), -1);
    assert_int_equal(cs3_match_set(client, "bob", CS3_BY_ID, "", &err), -1);
    assert_int_equal(cs3_match_of(client, "bob", id), CS3_BY_NAME);
    cs3_client_free(client);
    ls_config_free(config);
}

/* A gateway in which the deadline runs out says many things. */
static void
what_is_said_when_the_time_is_over_is_no_verdict(void **state)
{
    Cs3__StatusReply said = CS3__STATUS_REPLY__INIT; /* the server says what it is told to */
    Cs3__Status status = CS3__STATUS__INIT;
    struct h2_server server = {0};
    char gateway[40], sharing[40];
    const char *sets[] = {"target.machine_key=k", gateway, sharing, "target.timeout_ms=100"};
    struct ls_config *config = NULL;
    struct cs3_client *client = NULL;
    struct ls_err err = {0};

    (void)state;
    h2_server_start(&server, 0);
    snprintf(gateway, sizeof(gateway), "target.gateway=127.0.0.1:%d", server.port);
    snprintf(sharing, sizeof(sharing), "target.sharing=127.0.0.1:%d", server.port);
    assert_int_equal(ls_config_load(NULL, (char *const *)sets, 4, &config, &err), 0);
    assert_int_equal(cs3_client_new(config, NULL, NULL, &client, &err), 0);
    status.code = CS3_PERMISSION_DENIED;
    said.status = &status;
    for (int i = 0; i < 4; i++) {
        int service = i & 1 ? CS3_AT_SHARING : CS3_AT_GATEWAY;
        assert_int_equal(cs3_call(client, service, "Late", NULL, &said.base, NULL, NULL, &err), -1);
        assert_int_equal(err.kind, LS_ERR_RETRY);
        assert_string_equal(err.cause, "timeout");
        status.code = CS3_NOT_FOUND;
    }
    cs3_client_free(client);
    h2_server_stop(&server);
    ls_config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_written_with_nine_digits_of_nanoseconds),
        cmocka_unit_test(a_time_before_1970_has_no_fraction),
        cmocka_unit_test(a_time_before_1970_is_read_as_it_was_written),
        cmocka_unit_test(an_upload_that_was_sent_whole_is_waited_for_by_its_size),
        cmocka_unit_test(a_time_beyond_the_targets_range_is_the_nearest_it_holds),
        cmocka_unit_test(each_permission_bit_is_one_field_and_back),
        cmocka_unit_test(a_place_is_an_id_or_a_name_below_one),
        cmocka_unit_test(what_a_server_says_of_a_file_is_taken_with_care),
        cmocka_unit_test(who_somebody_is_at_the_target_is_said_once_and_he_signs_in_as_that),
        cmocka_unit_test(what_is_said_when_the_time_is_over_is_no_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
