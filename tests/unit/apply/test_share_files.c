/* Changes on the share managers' documents, in the shapes that a real oCIS wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "apply/ocis/share_files.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000000123)
#define HASH "$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

static json_t *
doc_of(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);

    assert_non_null(doc);
    return doc;
}

static void
assert_doc(const json_t *doc, const char *wanted)
{
    json_t *other = doc_of(wanted);

    if (!json_equal(doc, other)) {
        char *text = json_dumps(doc, JSON_COMPACT);
        print_error("is %s\n", text);
        free(text);
        fail();
    }
    json_decref(other);
}

static struct ap_share_record
a_share(void)
{
    struct ap_share_record share = {
        .permissions = CS3_PERM_STAT | CS3_PERM_DELETE, .expires = 2000000000, .ctime = 1500000000};

    strcpy(share.id, "st:sp:7");
    strcpy(share.storage_id, "st");
    strcpy(share.space_id, "sp");
    strcpy(share.node_id, "n");
    strcpy(share.grantee_id, "b");
    strcpy(share.owner_id, "a");
    strcpy(share.creator_id, "a");
    strcpy(share.idp, "https://x");
    return share;
}

static int
received(json_t *doc, enum cs3_share_state state, const char *mount, bool only_new)
{
    bool ask;
    int r = ap_received_file_put(doc, "st:sp", "i",
                                 &(struct ap_received_record){state, mount, only_new, NULL}, &ask);

    assert_false(ask);
    return r;
}

static const char *const stored =
    "{\"Shares\":{\"st:sp:7\":{\"id\":{\"opaque_id\":\"st:sp:7\"},\"resource_id\":{\"storage_id\":"
    "\"st\",\"opaque_id\":\"n\",\"space_id\":\"sp\"},\"permissions\":{\"permissions\":{\"stat\":"
    "true,\"delete\":true}},\"grantee\":{\"type\":1,\"Id\":{\"UserId\":{\"idp\":\"https://x\","
    "\"opaque_id\":\"b\",\"type\":1}}},\"owner\":{\"idp\":\"https://x\",\"opaque_id\":\"a\","
    "\"type\":1},\"creator\":{\"idp\":\"https://x\",\"opaque_id\":\"a\",\"type\":1},\"ctime\":"
    "{\"seconds\":1500000000},\"mtime\":{\"seconds\":1500000000},\"expiration\":"
    "{\"seconds\":2000000000}}},\"Etag\":\"\"}";

static void
a_share_is_written_as_the_manager_writes_it(void **state)
{
    struct ap_share_record share = a_share(), found;
    json_t *doc = json_object();

    (void)state;
    assert_int_equal(ap_share_file_put(doc, &share, NOW), 1);
    assert_doc(doc, stored);
    assert_int_equal(ap_share_file_put(doc, &share, NOW + 5), 0);
    assert_doc(doc, stored);
    assert_int_equal(ap_share_file_get(doc, "st:sp:7", NULL, &found), 1);
    assert_memory_equal(&found, &share, sizeof(share));
    assert_int_equal(ap_share_file_get(doc, "st:sp:8", NULL, &found), 0);
    assert_int_equal(ap_share_file_get(doc, NULL, &share, &found), 1);
    share.group = true;
    assert_int_equal(ap_share_file_get(doc, NULL, &share, &found), 0);
    assert_int_equal(ap_share_file_drop(doc, "st:sp:7"), 1);
    assert_int_equal(ap_share_file_drop(doc, "st:sp:7"), 0);
    assert_doc(doc, "{\"Shares\":{},\"Etag\":\"\"}");
    json_decref(doc);
}

static void
what_is_not_ours_in_a_share_stays(void **state)
{
    struct ap_share_record share = a_share();
    json_t *doc = doc_of(stored), *is = json_object_get(json_object_get(doc, "Shares"), "st:sp:7");

    (void)state;
    json_object_set_new(is, "new_in_oCIS_9", json_true());
    json_object_set_new(doc, "Etag", json_string("\"x\""));
    share.permissions = CS3_PERM_STAT;
    share.expires = 0;
    assert_int_equal(ap_share_file_put(doc, &share, NOW + 1000000), 1);
    assert_true(json_is_true(json_object_get(is, "new_in_oCIS_9")));
    assert_null(json_object_get(is, "expiration"));
    assert_string_equal(json_string_value(json_object_get(doc, "Etag")), "\"x\"");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(is, "mtime"), "seconds")),
                     1700000001);
    json_decref(doc);
}

static void
lists_and_states_take_null_for_empty(void **state)
{
    json_t *doc = doc_of("{\"UserShares\":null,\"Etag\":\"e\"}");

    (void)state;
    assert_int_equal(ap_list_file_drop(doc, "st:sp", "i"), 0);
    assert_int_equal(ap_list_file_put(doc, "st:sp", "i"), 1);
    assert_int_equal(ap_list_file_put(doc, "st:sp", "i"), 0);
    assert_doc(doc, "{\"UserShares\":{\"st:sp\":{\"IDs\":{\"i\":{}}}},\"Etag\":\"e\"}");
    assert_int_equal(ap_list_file_drop(doc, "st:sp", "i"), 1);
    json_decref(doc);
    doc = doc_of("{\"Spaces\":{\"st:sp\":{\"States\":null}}}");
    assert_int_equal(received(doc, CS3_SHARE_PENDING, NULL, true), 1);
    assert_doc(doc, "{\"Spaces\":{\"st:sp\":{\"States\":{\"i\":{\"State\":1,\"MountPoint\":null,"
                    "\"Hidden\":false}}}}}");
    assert_int_equal(received(doc, CS3_SHARE_ACCEPTED, "m", true), 0);
    assert_int_equal(received(doc, CS3_SHARE_ACCEPTED, "m", false), 1);
    assert_int_equal(received(doc, CS3_SHARE_ACCEPTED, "m", false), 0);
    assert_int_equal(received(doc, CS3_SHARE_REJECTED, NULL, false), 1);
    assert_doc(doc, "{\"Spaces\":{\"st:sp\":{\"States\":{\"i\":{\"State\":3,\"MountPoint\":"
                    "{\"path\":\"m\"},\"Hidden\":false}}}}}");
    assert_int_equal(ap_received_file_drop(doc, "st:sp", "i"), 1);
    assert_int_equal(ap_received_file_drop(doc, "other", "i"), 0);
    json_decref(doc);
}

static const char *const photos =
    "{\"Spaces\":{\"st:sp\":{\"States\":{\"one\":{\"State\":2,\"MountPoint\":{\"path\":"
    "\"Photos\"},\"Hidden\":false}}},\"st:other\":{\"States\":{\"two\":{\"State\":2,"
    "\"MountPoint\":{\"path\":\"a.b.txt\"},\"Hidden\":false},\"gone\":{\"State\":3,"
    "\"MountPoint\":{\"path\":\"free\"},\"Hidden\":false},\"odd\":7}}}}";

/* Puts the share "i" of "st:sp" under a name; what it is called then, "" for nothing. */
static const char *
called(json_t *doc, const char *mount, const json_t *same, bool *ret_ask)
{
    json_t *states, *spaces = json_object_get(doc, "Spaces");

    assert_true(
        ap_received_file_put(doc, "st:sp", "i",
                             &(struct ap_received_record){CS3_SHARE_ACCEPTED, mount, false, same},
                             ret_ask) >= 0);
    states = json_object_get(json_object_get(spaces, "st:sp"), "States");
    states = json_object_get(json_object_get(json_object_get(states, "i"), "MountPoint"), "path");
    return states ? json_string_value(states) : "";
}

static void
no_two_accepted_shares_have_one_name(void **state)
{
    json_t *doc = doc_of(photos), *same = json_object();
    bool ask;

    (void)state;
    assert_string_equal(called(doc, "a.b.txt", NULL, &ask), "a.b (1).txt");
    assert_string_equal(called(doc, "a.b.txt", NULL, &ask), "a.b (1).txt");
    assert_string_equal(called(doc, "free", NULL, &ask), "free");
    /* In the same space it may be of the same node: that is asked first. */
    assert_string_equal(called(doc, "Photos", NULL, &ask), "free");
    assert_true(ask);
    assert_string_equal(called(doc, "Photos", same, &ask), "Photos (1)");
    assert_false(ask);
    json_object_set_new(same, "one", json_true());
    assert_string_equal(called(doc, "Photos", same, &ask), "Photos");
    json_decref(same);
    json_decref(doc);
    doc =
        doc_of("{\"Spaces\":{\"x\":{\"States\":{\"a\":{\"State\":2,\"MountPoint\":{\"path\":"
               "\".profile\"}},\"b\":{\"State\":2,\"MountPoint\":{\"path\":\".profile (1)\"}}}}}}");
    assert_string_equal(called(doc, ".profile", NULL, &ask), ".profile (2)");
    json_decref(doc);
}

static void
many_shares_of_one_name_are_numbered_one_after_the_other(void **state)
{
    json_t *doc = json_object(), *same = json_object();
    struct ap_received_record share = {CS3_SHARE_ACCEPTED, "Photos", false, same};
    char id[16], name[24] = "Photos";
    bool ask;

    (void)state;
    for (int i = 0; i < 400; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        if (i > 0)
            snprintf(name, sizeof(name), "Photos (%d)", i);
        assert_int_equal(ap_received_file_put(doc, i % 2 ? "st:sp" : "st:other", id, &share, &ask),
                         1);
        assert_false(ask);
        json_t *states =
            json_object_get(json_object_get(doc, "Spaces"), i % 2 ? "st:sp" : "st:other");
        states = json_object_get(json_object_get(states, "States"), id);
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(states, "MountPoint"), "path")),
            name);
    }
    json_decref(same);
    json_decref(doc);
}

static void
no_share_is_accepted_without_a_name(void **state)
{
    json_t *doc = doc_of("{\"Spaces\":{\"st:sp\":{\"States\":{}}}}");
    bool ask;

    (void)state;
    assert_string_equal(called(doc, "", NULL, &ask), "");
    assert_true(ask);
    assert_doc(doc, "{\"Spaces\":{\"st:sp\":{\"States\":{}}}}");
    assert_string_equal(called(doc, "n", NULL, &ask), "n");
    assert_string_equal(called(doc, NULL, NULL, &ask), "n");
    assert_false(ask);
    json_decref(doc);
}

static void
the_shares_of_one_node_are_known_by_the_file_of_its_space(void **state)
{
    json_t *doc = doc_of(stored), *same;
    struct ap_share_record other = a_share();

    (void)state;
    strcpy(other.id, "st:sp:8");
    assert_int_equal(ap_share_file_put(doc, &other, NOW), 1);
    strcpy(other.id, "st:sp:9");
    strcpy(other.node_id, "m");
    assert_int_equal(ap_share_file_put(doc, &other, NOW), 1);
    same = ap_share_file_same(doc, "st:sp:7");
    assert_doc(same, "{\"st:sp:7\":true,\"st:sp:8\":true}");
    json_decref(same);
    same = ap_share_file_same(doc, "st:sp:10");
    assert_doc(same, "{}");
    json_decref(same);
    json_decref(doc);
}

static void
another_shape_is_left_alone(void **state)
{
    static const char *const odd[] = {"{\"Shares\":[],\"UserShares\":1,\"Spaces\":\"x\"}",
                                      "{\"Shares\":{\"st:sp:7\":1},\"UserShares\":{\"st:sp\":[]},"
                                      "\"Spaces\":{\"st:sp\":{\"States\":7}}}"};
    struct ap_share_record share = a_share();

    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *doc = doc_of(odd[i]);
        assert_int_equal(ap_share_file_put(doc, &share, NOW), -1);
        assert_int_equal(ap_list_file_put(doc, "st:sp", "i"), -1);
        assert_int_equal(received(doc, CS3_SHARE_ACCEPTED, "m", false), -1);
        assert_int_equal(ap_list_file_drop(doc, "st:sp", "i"), 0);
        assert_int_equal(ap_received_file_drop(doc, "st:sp", "i"), 0);
        assert_doc(doc, odd[i]);
        json_decref(doc);
    }
}

static void
the_storage_and_space_of_a_share_stand_in_its_id(void **state)
{
    static const char *const bad[] = {"", "a", "a:b", ":b:c", "a::c", "a:b:c:d"};
    char storage[AP_ID_SIZE], space[AP_ID_SIZE], id[AP_ID_SIZE], big[AP_ID_SIZE];

    (void)state;
    assert_int_equal(ap_share_id_of("st", "sp", 12, id), 0);
    assert_string_equal(id, "st:sp:12");
    assert_int_equal(ap_share_id_split(id, storage, space), 0);
    assert_string_equal(storage, "st");
    assert_string_equal(space, "sp");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ap_share_id_split(bad[i], storage, space), -1);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(ap_share_id_of(big, "sp", 12, id), -1);
}

/* ---- links */
static struct ap_link_record
a_link(void)
{
    return (struct ap_link_record){.id = "23",
                                   .token = "tok",
                                   .password_hash = HASH,
                                   .storage_id = "st",
                                   .space_id = "sp",
                                   .node_id = "n",
                                   .owner_id = "a",
                                   .creator_id = "a",
                                   .idp = "https://x",
                                   .label = "name",
                                   .has_password = true,
                                   .permissions = CS3_PERM_INITIATE_FILE_DOWNLOAD,
                                   .expires = 2000000000,
                                   .ctime = 1500000000};
}

static json_t *
link_in(const json_t *doc, const char *id)
{
    return doc_of(json_string_value(json_object_get(json_object_get(doc, id), "share")));
}

static void
a_time_that_the_target_cannot_read_or_show_is_not_written(void **state)
{
    struct ap_share_record share = a_share();
    struct ap_link_record link = a_link();
    json_t *doc = json_object(), *is;

    (void)state;
    share.ctime = -5;
    share.expires = INT64_C(253402318799); /* 9999-12-31 24:00 in a zone west of Greenwich */
    assert_int_equal(ap_share_file_put(doc, &share, NOW), 1);
    assert_int_equal(ap_share_file_put(doc, &share, NOW + 5), 0);
    is = json_object_get(json_object_get(doc, "Shares"), "st:sp:7");
    assert_true(json_equal(json_object_get(is, "ctime"), json_object_get(is, "mtime")));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(is, "expiration"), "seconds")),
        AP_SHARE_TIME_MAX);
    json_decref(doc);
    doc = json_object();
    link.ctime = share.ctime;
    link.expires = share.expires;
    assert_int_equal(ap_link_file_put(doc, &link, NOW), 1);
    assert_int_equal(ap_link_file_put(doc, &link, NOW + 5), 0);
    is = link_in(doc, link.id);
    assert_true(json_equal(json_object_get(is, "ctime"), json_object_get(is, "mtime")));
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(is, "expiration"), "seconds")),
        "9223372036");
    json_decref(is);
    json_decref(doc);
}

static const char *
hash_in(const json_t *doc, const char *id)
{
    return json_string_value(json_object_get(json_object_get(doc, id), "password"));
}

static void
a_link_is_written_as_the_manager_writes_it(void **state)
{
    struct ap_link_record link = a_link();
    json_t *doc = json_object(), *share;

    (void)state;
    assert_int_equal(ap_link_file_put(doc, &link, NOW), 1);
    assert_string_equal(hash_in(doc, "23"), HASH);
    share = link_in(doc, "23");
    assert_doc(share,
               "{\"id\":{\"opaqueId\":\"23\"},\"token\":\"tok\",\"resourceId\":{\"storageId\":"
               "\"st\",\"opaqueId\":\"n\",\"spaceId\":\"sp\"},\"permissions\":"
               "{\"permissions\":{\"initiateFileDownload\":true}},\"owner\":{\"idp\":"
               "\"https://x\",\"opaqueId\":\"a\",\"type\":\"USER_TYPE_PRIMARY\"},"
               "\"creator\":{\"idp\":\"https://x\",\"opaqueId\":\"a\",\"type\":"
               "\"USER_TYPE_PRIMARY\"},\"ctime\":{\"seconds\":\"1500000000\"},\"mtime\":"
               "{\"seconds\":\"1500000000\"},\"passwordProtected\":true,"
               "\"expiration\":{\"seconds\":\"2000000000\"},\"displayName\":\"name\"}");
    json_decref(share);
    assert_int_equal(ap_link_file_put(doc, &link, NOW + 9), 0);
    link.has_password = false;
    assert_int_equal(ap_link_file_put(doc, &link, NOW), 1);
    assert_string_equal(hash_in(doc, "23"), "");
    share = link_in(doc, "23");
    assert_null(json_object_get(share, "passwordProtected"));
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(share, "mtime"), "seconds")),
        "1700000000");
    json_decref(share);
    assert_int_equal(ap_link_file_drop(doc, "23"), 1);
    assert_int_equal(ap_link_file_drop(doc, "23"), 0);
    json_decref(doc);
}

static void
a_password_without_a_usable_hash_opens_to_nobody(void **state)
{
    static const char *const unknown[] = {NULL, "", "plain", "$argon2i$v=19$m=1$x$y",
                                          "$2y$10$short"};
    struct ap_link_record link = a_link();
    char first[61];

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        json_t *doc = json_object();
        link.password_hash = unknown[i];
        assert_int_equal(ap_link_file_put(doc, &link, NOW), 1);
        assert_true(ap_password_hash_ok(hash_in(doc, "23")));
        snprintf(first, sizeof(first), "%s", hash_in(doc, "23"));
        assert_int_equal(ap_link_file_put(doc, &link, NOW), 0); /* and it stays that one */
        assert_string_equal(hash_in(doc, "23"), first);
        json_decref(doc);
    }
    assert_true(ap_password_hash_ok(HASH));
}

static void
a_password_that_the_row_has_no_more_opens_nothing(void **state)
{
    static const char target[] = "$2a$11$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    struct ap_link_record link = a_link();
    json_t *doc = json_object();
    char other[61];

    (void)state;
    for (const char *letter = "yab"; *letter; letter++) {
        snprintf(other, sizeof(other), "%s", HASH);
        other[2] = *letter;
        link.password_hash = other;
        assert_true(ap_link_file_put(doc, &link, NOW) >= 0);
        assert_string_equal(hash_in(doc, "23") + 3, HASH + 3);
        assert_int_equal(ap_link_file_put(doc, &link, NOW), 0);
        link.password_hash = letter[1] ? "$argon2id$v=19$m=1$x$y" : NULL;
        assert_int_equal(ap_link_file_put(doc, &link, NOW), 1);
        assert_true(ap_password_hash_ok(hash_in(doc, "23")));
        assert_string_not_equal(hash_in(doc, "23") + 3, HASH + 3);
        assert_int_equal(ap_link_file_put(doc, &link, NOW), 0);
    }
    /* what somebody set at the target since stays */
    json_object_set_new(json_object_get(doc, "23"), "password", json_string(target));
    assert_int_equal(ap_link_file_put(doc, &link, NOW), 0);
    assert_string_equal(hash_in(doc, "23"), target);
    json_decref(doc);
}

static void
a_token_is_made_where_there_is_none_and_kept(void **state)
{
    struct ap_link_record link = a_link();
    json_t *doc = json_object(), *share;
    char token[32];

    (void)state;
    link.token = link.label = NULL;
    assert_int_equal(ap_link_file_put(doc, &link, NOW), 1);
    share = link_in(doc, "23");
    snprintf(token, sizeof(token), "%s", json_string_value(json_object_get(share, "token")));
    assert_int_equal(strlen(token), 15);
    assert_string_equal(json_string_value(json_object_get(share, "displayName")), token);
    json_decref(share);
    assert_int_equal(ap_link_file_put(doc, &link, NOW), 0);
    link.id = "24";
    link.token = token;
    assert_int_equal(ap_link_file_put(doc, &link, NOW), -2);
    assert_int_equal(json_object_size(doc), 1);
    json_decref(doc);
}

static void
a_link_of_another_shape_is_left_alone(void **state)
{
    static const char *const odd[] = {"{\"23\":7}", "{\"23\":{\"share\":\"[]\",\"password\":\"\"}}",
                                      "{\"23\":{\"share\":\"{no JSON\"}}"};
    struct ap_link_record link = a_link();

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        json_t *doc = doc_of(odd[i]);
        assert_int_equal(ap_link_file_put(doc, &link, NOW), -1);
        assert_doc(doc, odd[i]);
        json_decref(doc);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_is_written_as_the_manager_writes_it),
        cmocka_unit_test(what_is_not_ours_in_a_share_stays),
        cmocka_unit_test(lists_and_states_take_null_for_empty),
        cmocka_unit_test(no_two_accepted_shares_have_one_name),
        cmocka_unit_test(many_shares_of_one_name_are_numbered_one_after_the_other),
        cmocka_unit_test(no_share_is_accepted_without_a_name),
        cmocka_unit_test(the_shares_of_one_node_are_known_by_the_file_of_its_space),
        cmocka_unit_test(a_time_that_the_target_cannot_read_or_show_is_not_written),
        cmocka_unit_test(another_shape_is_left_alone),
        cmocka_unit_test(the_storage_and_space_of_a_share_stand_in_its_id),
        cmocka_unit_test(a_link_is_written_as_the_manager_writes_it),
        cmocka_unit_test(a_password_without_a_usable_hash_opens_to_nobody),
        cmocka_unit_test(a_password_that_the_row_has_no_more_opens_nothing),
        cmocka_unit_test(a_token_is_made_where_there_is_none_and_kept),
        cmocka_unit_test(a_link_of_another_shape_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
