/* Objects of a bucket: read whole or not at all, and whose trouble an answer is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/content/blobs.h"
#include "apply/content/objects.h"
#include "common/log.h"
#include <cmocka.h>
#include <openssl/evp.h>

#include "tests/unit/apply/s3_server.h"

#define BIG ((size_t)3 << 20)
#define HELLO_SHA1 "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"

static struct ls_config *config;
static struct ap_objects *objects;
static char *big, big_sha1[41];

static void
sha1_of(const void *p, size_t n, char out[41])
{
    uint8_t sum[20];

    assert_true(EVP_Digest(p, n, sum, NULL, EVP_sha1(), NULL));
    for (int i = 0; i < 20; i++)
        snprintf(out + (size_t)2 * (size_t)i, 3, "%02x", sum[i]);
}

/* `endpoint` NULL: the server here. */
static struct ls_config *
config_with(const char *endpoint, const char *more)
{
    char url[300], set[320];
    const char *sets[] = {set, "data.s3_bucket=oc10", "data.s3_access_key=me",
                          "data.s3_secret_key=secret", more};
    struct ls_config *made = NULL;
    struct ls_err err = {0};

    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", s3.port);
    snprintf(set, sizeof(set), "data.s3_endpoint=%s", endpoint ? endpoint : url);
    assert_int_equal(ls_config_load(NULL, (char *const *)sets, more ? 5 : 4, &made, &err), 0);
    return made;
}

static int
setup(void **state)
{
    struct ls_err err = {0};

    ls_log_init("test", LS_ERROR);
    big = malloc(BIG);
    if (!big || s3_start(state) != 0)
        return -1;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    sha1_of(big, BIG, big_sha1);
    config = config_with(NULL, NULL);
    return ap_objects_new(config, &objects, &err);
}

static int
teardown(void **state)
{
    int r;

    ap_objects_free(objects);
    ls_config_free(config);
    r = s3_stop(state);
    free(big);
    return r;
}

static struct ap_blob_want
want(int64_t size, const char *sha1)
{
    return (struct ap_blob_want){
        .objects = objects, .object = 12, .size = size, .mtime = 1, .sha1 = sha1};
}

/* Reads all; how much was handed out. */
static size_t
read_all(struct ap_blob *blob, struct ls_err *err, ssize_t *ret_last)
{
    static char piece[70000];
    size_t total = 0;

    while ((*ret_last = ap_blob_read(blob, piece, sizeof(piece), err)) > 0)
        total += (size_t)*ret_last;
    return total;
}

static void
refused(enum ls_err_kind kind, const char *cause)
{
    struct ap_blob_want w = want(5, HELLO_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    assert_int_equal(ap_blob_open(&w, &blob, &err), -1);
    assert_null(blob);
    assert_int_equal(err.kind, kind);
    assert_string_equal(err.cause, cause);
    assert_null(strstr(err.msg, "secret"));
}

/* The big one, with these plans: read whole, with its checksum. */
static void
is_read(void)
{
    struct ap_blob_want w = want((int64_t)BIG, big_sha1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    ssize_t last;
    size_t n;

    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    n = read_all(blob, &err, &last);
    if (n != BIG || last != 0)
        fail_msg("%zu bytes, then %s: %s", n, err.cause, err.msg);
    assert_string_equal(ap_blob_sha1(blob), big_sha1);
    ap_blob_close(blob);
}

/* ... fails on the way with that cause, its end not handed out. */
static void
breaks(const char *cause)
{
    struct ap_blob_want w = want((int64_t)BIG, big_sha1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    ssize_t last;

    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_true(read_all(blob, &err, &last) < BIG);
    assert_int_equal(last, -1);
    assert_int_equal(err.kind, LS_ERR_RETRY);
    assert_string_equal(err.cause, cause);
    ap_blob_close(blob);
}

static void
an_object_that_matches_its_row_is_read_whole(void **state)
{
    struct ap_blob_want w = want(5, HELLO_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    ssize_t last;

    (void)state;
    s3_reset("hello", 5);
    w.md5 = HELLO_MD5;
    w.adler32 = "062c0215";
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_size(blob), 5);
    assert_int_equal(read_all(blob, &err, &last), 5);
    assert_int_equal(last, 0);
    ap_blob_close(blob);
    assert_int_equal(s3.n_objects, 1);
    assert_non_null(strstr(s3.last, "GET /oc10/urn%3Aoid%3A12 HTTP/1.1\r\n"));
    assert_non_null(strstr(s3.last, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=me/"));
    assert_non_null(strstr(s3.last, "/us-east-1/s3/aws4_request, "
                                    "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "));
    assert_null(strstr(s3.last, "secret"));
}

static void
a_big_object_takes_no_more_memory_and_its_connection_is_used_again(void **state)
{
    (void)state;
    s3_reset(big, BIG);
    is_read();
    is_read();
    assert_int_equal(s3.n_objects, 2);
    assert_true(s3.n_connections <= 1); /* 0: that of the test before */
}

static void
an_empty_object_is_checked_too(void **state)
{
    struct ap_blob_want w = want(0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    char c;

    (void)state;
    s3_reset("", 0);
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_read(blob, &c, 1, &err), 0);
    ap_blob_close(blob);
    w.sha1 = HELLO_SHA1;
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_read(blob, &c, 1, &err), -1);
    assert_string_equal(err.cause, "content-mismatch");
    ap_blob_close(blob);
}

static void
what_differs_from_its_row_is_never_handed_out_whole(void **state)
{
    (void)state;
    s3_reset("hello, all", 10);
    refused(LS_ERR_RETRY, "content-mismatch"); /* by its size, before a byte is read */
    s3_reset("hallo", 5);

    struct ap_blob_want w = want(5, HELLO_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    ssize_t last;

    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(read_all(blob, &err, &last), 0);
    assert_int_equal(last, -1);
    assert_string_equal(err.cause, "content-mismatch");
    ap_blob_close(blob);
}

static void
an_object_that_is_not_there_may_come(void **state)
{
    (void)state;
    s3_reset("hello", 5);
    s3.plan[0] = (struct s3_plan){.status = 404, .code = "NoSuchKey"};
    s3.plan[1] = (struct s3_plan){.status = 404, .code = NULL};
    refused(LS_ERR_RETRY, "content-missing");
    assert_int_equal(s3.n_lists, 0);
    refused(LS_ERR_RETRY, "content-missing");
    assert_int_equal(s3.n_lists, 1);
    s3.plan[2] = (struct s3_plan){.status = 404, .code = "NoSuchBucket"};
    refused(LS_ERR_RETRY, "bucket-refused");
    assert_int_equal(s3.n_lists, 1);
}

/* A proxy that has lost its route says 404 of everything. */
static void
a_404_of_somebody_in_front_of_the_bucket_is_no_missing_object(void **state)
{
    (void)state;
    s3_reset("hello", 5);
    s3.plan[0] = (struct s3_plan){.status = 404, .code = NULL};
    s3.list_status = 404;
    refused(LS_ERR_RETRY, "bucket-refused");
}

static void
a_refusal_is_the_objects_own_when_the_bucket_answers(void **state)
{
    static const int statuses[] = {403, 500, 400, 405};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        s3_reset("hello", 5);
        s3.plan[0] = s3.plan[1] = (struct s3_plan){.status = statuses[i], .code = "AccessDenied"};
        refused(LS_ERR_RETRY, "content-unreadable");
        assert_int_equal(s3.n_lists, 1);
        assert_non_null(strstr(s3.list_path, "GET /oc10/?max-keys=1 "));
        s3.list_status = statuses[i];
        refused(LS_ERR_RETRY, statuses[i] == 500 ? "bucket-down" : "bucket-refused");
    }
}

static void
keys_clock_and_region_are_the_whole_buckets_trouble(void **state)
{
    static const char *const codes[] = {"SignatureDoesNotMatch", "InvalidAccessKeyId",
                                        "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        s3_reset("hello", 5);
        s3.plan[0] = (struct s3_plan){.status = i == 3 ? 400 : 403, .code = codes[i]};
        refused(LS_ERR_RETRY, "bucket-refused");
        assert_int_equal(s3.n_lists, 0);
    }
}

static void
a_bucket_that_wants_less_says_for_how_long(void **state)
{
    struct ap_blob_want w = want(5, HELLO_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    (void)state;
    s3_reset("hello", 5);
    s3.plan[0] =
        (struct s3_plan){.status = 503, .code = "SlowDown", .header = "Retry-After: 7\r\n"};
    s3.plan[1] = (struct s3_plan){.status = 429};
    assert_int_equal(ap_blob_open(&w, &blob, &err), -1);
    assert_string_equal(err.cause, "bucket-slow");
    assert_int_equal(err.code, 7000);
    assert_non_null(strstr(err.msg, "SlowDown"));
    refused(LS_ERR_RETRY, "bucket-slow");
}

static void
who_breaks_off_is_asked_for_the_rest(void **state)
{
    struct ls_config *hasty = config_with(NULL, "data.s3_timeout_ms=1000");
    struct ap_objects *mine = objects;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ap_objects_new(hasty, &objects, &err), 0);
    s3_reset(big, BIG);
    s3.plan[0].cut = 1000000;
    s3.plan[1].cut = 1; /* each of them brings it on */
    s3.plan[2].cut = 1000000;
    s3.plan[3] = (struct s3_plan){.cut = 300000, .stall = true}; /* and silence is no answer */
    is_read();
    assert_int_equal(s3.n_objects, 5);
    assert_non_null(strstr(s3.last, "\r\nIf-Match: \"first\"\r\n"));
    assert_non_null(strstr(s3.last, "\r\nRange: bytes=2300001-\r\n"));
    ap_objects_free(objects);
    objects = mine;
    ls_config_free(hasty);
}

static void
a_server_without_ranges_is_read_anew_up_to_there(void **state)
{
    (void)state;
    s3_reset(big, BIG);
    s3.plan[0].cut = 1000001;
    s3.plan[1].whole = true;
    is_read();
    assert_int_equal(s3.n_objects, 2);
}

static void
two_halves_are_of_one_content(void **state)
{
    (void)state;
    s3_reset(big, BIG);
    s3.plan[0].cut = 1000000;
    s3.plan[1].replaced = true;
    breaks("content-changed");
    s3_reset(big, BIG);
    s3.plan[0].cut = 1000000;
    s3.plan[1] = (struct s3_plan){.status = 404, .code = "NoSuchKey"};
    breaks("content-missing");
    s3_reset(big, BIG);
    s3.plan[0] = (struct s3_plan){.cut = 1000000, .no_etag = true};
    breaks("content-unreadable");
    assert_int_equal(s3.n_objects, 1);
}

static void
who_always_breaks_off_is_given_up(void **state)
{
    (void)state;
    s3_reset(big, BIG);
    s3.plan[0].cut = 1000000;
    for (int i = 1; i < S3_PLANNED; i++)
        s3.plan[i] = (struct s3_plan){.status = 503, .code = "SlowDown"};
    breaks("bucket-slow");
    s3_reset(big, BIG);
    s3.plan[0].chunks = true;
    refused(LS_ERR_RETRY, "content-unreadable"); /* no size */
}

static void
nobody_there_is_the_buckets_trouble(void **state)
{
    struct ls_config *elsewhere = config_with("http://127.0.0.1:1", NULL);
    struct ap_objects *mine = objects;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ap_objects_new(elsewhere, &objects, &err), 0);
    refused(LS_ERR_RETRY, "bucket-down");
    ap_objects_free(objects);
    objects = mine;
    ls_config_free(elsewhere);
}

static void
option_is_wrong(const char *endpoint, const char *more, const char *word)
{
    struct ls_config *wrong = config_with(endpoint, more);
    struct ap_objects *made = NULL;
    struct ls_err err = {0};

    assert_int_equal(ap_objects_new(wrong, &made, &err), -1);
    assert_null(made);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "option");
    if (!strstr(err.msg, word))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, word);
    ls_config_free(wrong);
}

static void
wrong_options_are_named(void **state)
{
    (void)state;
    option_is_wrong("ftp://127.0.0.1:1", NULL, "s3_endpoint");
    option_is_wrong("https://", NULL, "s3_endpoint");
    option_is_wrong("https://me@example.org", NULL, "s3_endpoint");
    option_is_wrong("https://example.org", "data.s3_bucket=a/../b", "s3_bucket");
    option_is_wrong("https://example.org", "data.s3_bucket=", "s3_bucket");
    option_is_wrong("https://example.org", "data.s3_region=eu:west", "s3_region");
    option_is_wrong("https://example.org", "data.s3_secret_key=", "s3_secret_key");
}

static void
without_an_endpoint_there_is_no_bucket(void **state)
{
    struct ls_config *none = config_with("", NULL);
    struct ap_objects *made = objects;
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ap_objects_new(none, &made, &err), 0);
    assert_null(made);
    ls_config_free(none);
}

static void
storages_say_themselves_that_their_files_are_objects(void **state)
{
    (void)state;
    assert_true(ap_objects_hold("object::user:ann", "ann"));
    assert_false(ap_objects_hold("home::ann", "ann"));
    assert_false(ap_objects_hold("local::/srv/data/ann/", "ann"));
    assert_false(ap_objects_hold("", "ann"));
    /* the md5 of "object::user:ann", of "home::ann" */
    assert_true(ap_objects_hold("092556386be0224b2316ec1760ff039b", "ann"));
    assert_false(ap_objects_hold("092556386be0224b2316ec1760ff039b", "ben"));
    assert_false(ap_objects_hold("c3587ac3686d5a5a0682a9dcb43b2763", "ann"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_that_matches_its_row_is_read_whole),
        cmocka_unit_test(a_big_object_takes_no_more_memory_and_its_connection_is_used_again),
        cmocka_unit_test(an_empty_object_is_checked_too),
        cmocka_unit_test(what_differs_from_its_row_is_never_handed_out_whole),
        cmocka_unit_test(an_object_that_is_not_there_may_come),
        cmocka_unit_test(a_404_of_somebody_in_front_of_the_bucket_is_no_missing_object),
        cmocka_unit_test(a_refusal_is_the_objects_own_when_the_bucket_answers),
        cmocka_unit_test(keys_clock_and_region_are_the_whole_buckets_trouble),
        cmocka_unit_test(a_bucket_that_wants_less_says_for_how_long),
        cmocka_unit_test(who_breaks_off_is_asked_for_the_rest),
        cmocka_unit_test(a_server_without_ranges_is_read_anew_up_to_there),
        cmocka_unit_test(two_halves_are_of_one_content),
        cmocka_unit_test(who_always_breaks_off_is_given_up),
        cmocka_unit_test(nobody_there_is_the_buckets_trouble),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(without_an_endpoint_there_is_no_bucket),
        cmocka_unit_test(storages_say_themselves_that_their_files_are_objects),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
