/* Blobs: what may be opened, and that a wrong file is never handed out whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "apply/content/blobs.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HELLO_SHA1 "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"
#define HELLO_ADLER "062c0215"
#define EMPTY_SHA1 "da39a3ee5e6b4b0d3255bfef95601890afd80709"

static char base[64], home[80];

static void
put(const char *relative, const void *p, size_t n)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", home, relative);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(p, 1, n, file), n);
    fclose(file);
}

static int
setup(void **state)
{
    char path[128];

    (void)state;
    snprintf(base, sizeof(base), "/tmp/lockstep-blobs-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(home, sizeof(home), "%s/alice", base);
    mkdir(home, 0700);
    snprintf(path, sizeof(path), "%s/files", home);
    mkdir(path, 0700);
    put("files/hello", "hello", 5);
    put("files/empty", "", 0);
    snprintf(path, sizeof(path), "%s/secret", base);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    return 0;
}

static int
teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", base);
    return system(command);
}

static struct ap_blob_want
want(const char *relative, int64_t size, const char *sha1)
{
    return (struct ap_blob_want){
        .home = home, .relative = relative, .size = size, .mtime = INT64_MIN, .sha1 = sha1};
}

/* Reads all in pieces of `piece` bytes; the number of bytes that were handed out. */
static ssize_t
read_all(struct ap_blob *blob, size_t piece, struct ls_err *err, ssize_t *ret_last)
{
    char buf[4096];
    ssize_t n, total = 0;

    while ((n = ap_blob_read(blob, buf, piece, err)) > 0)
        total += n;
    *ret_last = n;
    return total;
}

static void
refused(struct ap_blob_want w, enum ls_err_kind kind, const char *cause)
{
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    assert_int_equal(ap_blob_open(&w, &blob, &err), -1);
    assert_null(blob);
    assert_int_equal(err.kind, kind);
    assert_string_equal(err.cause, cause);
}

static void
a_file_that_matches_its_row_is_read_whole(void **state)
{
    struct ap_blob_want w = want("files/hello", 5, HELLO_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    ssize_t last;

    (void)state;
    w.md5 = HELLO_MD5;
    w.adler32 = HELLO_ADLER;
    for (size_t piece = 1; piece < 8; piece++) {
        assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
        assert_int_equal(ap_blob_size(blob), 5);
        assert_int_equal(read_all(blob, piece, &err, &last), 5);
        assert_int_equal(last, 0);
        assert_string_equal(ap_blob_sha1(blob), HELLO_SHA1);
        ap_blob_close(blob);
    }
}

static void
a_mismatch_holds_the_last_piece_back(void **state)
{
    static const struct ap_blob_want sums[] = {
        {.sha1 = EMPTY_SHA1},
        {.md5 = "00000000000000000000000000000000"},
        {.adler32 = "062c0216"},
        {.sha1 = HELLO_SHA1, .md5 = HELLO_MD5, .adler32 = "00000001"},
    };
    struct ls_err err = {0};
    ssize_t last;

    (void)state;
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        struct ap_blob_want w = sums[i];
        struct ap_blob *blob = NULL;
        w.home = home;
        w.relative = "files/hello";
        w.size = 5;
        assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
        assert_int_equal(read_all(blob, 2, &err, &last), 4);
        assert_int_equal(last, -1);
        assert_int_equal(err.kind, LS_ERR_RETRY);
        assert_string_equal(err.cause, "content-mismatch");
        ap_blob_close(blob);
    }
}

static void
a_size_that_is_not_the_rows_is_a_mismatch_before_anything_is_read(void **state)
{
    (void)state;
    refused(want("files/hello", 6, NULL), LS_ERR_RETRY, "content-mismatch");
}

static void
set_mtime(const char *relative, int64_t mtime)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime}};
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", home, relative);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
without_a_checksum_a_file_of_another_time_is_a_mismatch(void **state)
{
    struct ap_blob_want w = want("files/hello", 5, NULL);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    (void)state;
    set_mtime("files/hello", 1600000000);
    w.mtime = 1600000001;
    refused(w, LS_ERR_RETRY, "content-mismatch");
    w.mtime = 0;
    refused(w, LS_ERR_RETRY, "content-mismatch");
    w.mtime = 1600000000;
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    ap_blob_close(blob);
    w.mtime = 5;
    w.sha1 = HELLO_SHA1; /* says more than any time */
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    ap_blob_close(blob);
}

static void
a_time_that_may_have_been_clamped_is_not_compared(void **state)
{
    const int64_t far[] = {-1, INT64_C(2147483648), INT64_C(5000000000), INT64_MIN};
    struct ap_blob_want w = want("files/hello", 5, NULL);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    (void)state;
    set_mtime("files/hello", 2147483647);
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        w.mtime = far[i];
        assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
        ap_blob_close(blob);
    }
}

static void
an_unknown_size_and_no_checksum_still_gives_the_content(void **state)
{
    struct ap_blob_want w = want("files/hello", -1, NULL);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    ssize_t last;

    (void)state;
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(read_all(blob, 100, &err, &last), 5);
    assert_string_equal(ap_blob_sha1(blob), HELLO_SHA1);
    ap_blob_close(blob);
}

static void
an_empty_file_is_checked_too(void **state)
{
    struct ap_blob_want w = want("files/empty", 0, EMPTY_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    char c;

    (void)state;
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_read(blob, &c, 1, &err), 0);
    assert_string_equal(ap_blob_sha1(blob), EMPTY_SHA1);
    ap_blob_close(blob);
    w.sha1 = HELLO_SHA1;
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_read(blob, &c, 1, &err), -1);
    assert_string_equal(err.cause, "content-mismatch");
    ap_blob_close(blob);
}

static void
a_file_that_changes_while_it_is_read_is_not_handed_out_whole(void **state)
{
    struct ap_blob_want w = want("files/changing", -1, NULL);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    char buf[3], path[256];
    ssize_t last;

    (void)state;
    snprintf(path, sizeof(path), "%s/files/changing", home);
    put("files/changing", "123456", 6);
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_read(blob, buf, 3, &err), 3);
    put("files/changing", "1234567", 7); /* grew */
    assert_int_equal(read_all(blob, 2, &err, &last), 2);
    assert_int_equal(last, -1);
    assert_string_equal(err.cause, "content-changed");
    ap_blob_close(blob);

    put("files/changing", "123456", 6);
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    assert_int_equal(ap_blob_read(blob, buf, 3, &err), 3);
    assert_int_equal(truncate(path, 4), 0); /* shrank */
    assert_int_equal(read_all(blob, 3, &err, &last), 0);
    assert_int_equal(last, -1);
    assert_string_equal(err.cause, "content-changed");
    ap_blob_close(blob);

    put("files/changing", "123456", 6);
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    usleep(20000);
    put("files/changing", "654321", 6); /* same size, another mtime */
    assert_int_equal(read_all(blob, 4, &err, &last), 4);
    assert_int_equal(last, -1);
    assert_string_equal(err.cause, "content-changed");
    ap_blob_close(blob);
}

static void
nothing_leads_out_of_the_home(void **state)
{
    char path[256], target[256];

    (void)state;
    snprintf(target, sizeof(target), "%s/secret", base);
    snprintf(path, sizeof(path), "%s/files/link", home);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof(path), "%s/files/inside", home);
    assert_int_equal(symlink("hello", path), 0);
    snprintf(path, sizeof(path), "%s/files/up", home);
    assert_int_equal(symlink("../..", path), 0);

    refused(want("files/link", 0, NULL), LS_ERR_POISON, "outside-home");
    refused(want("files/inside", 5, NULL), LS_ERR_POISON, "outside-home");
    refused(want("files/up/secret", 0, NULL), LS_ERR_POISON, "outside-home");
    refused(want("../secret", 0, NULL), LS_ERR_POISON, "outside-home");
    refused(want("files/../../secret", 0, NULL), LS_ERR_POISON, "outside-home");
    refused(want("files/..", -1, NULL), LS_ERR_POISON, "outside-home");
    refused(want("/etc/passwd", -1, NULL), LS_ERR_POISON, "outside-home");
}

static void
names_with_dots_are_just_names(void **state)
{
    struct ap_blob_want w = want("files/..x", 1, NULL);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    (void)state;
    put("files/..x", "x", 1);
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    ap_blob_close(blob);
}

static void
the_home_itself_may_lie_behind_a_symlink(void **state)
{
    char behind[128];
    struct ap_blob_want w = want("files/hello", 5, HELLO_SHA1);
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};

    (void)state;
    snprintf(behind, sizeof(behind), "%s/behind", base);
    assert_int_equal(symlink(home, behind), 0);
    w.home = behind;
    assert_int_equal(ap_blob_open(&w, &blob, &err), 0);
    ap_blob_close(blob);
}

static void
only_regular_files_are_opened(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char path[256];
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/files/fifo", home);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/files/sock", home);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    refused(want("files/fifo", -1, NULL), LS_ERR_POISON, "not-a-file");
    refused(want("files/sock", -1, NULL), LS_ERR_POISON, "not-a-file");
    /* a row may be behind a folder that took its file's place */
    refused(want("files", -1, NULL), LS_ERR_RETRY, "content-missing");
    close(fd);
}

static void
what_is_not_there_may_come(void **state)
{
    struct ap_blob_want w = want("files/hello", 5, NULL);

    (void)state;
    refused(want("files/nope", -1, NULL), LS_ERR_RETRY, "content-missing");
    refused(want("files/hello/under", -1, NULL), LS_ERR_RETRY, "content-missing");
    w.home = "/nonexistent/home"; /* a volume that is not mounted says nothing about a file */
    refused(w, LS_ERR_RETRY, "content-away");
}

static void
a_home_that_is_missing_among_others_is_its_own_trouble(void **state)
{
    struct ap_blob_want w = want("files/hello", 5, NULL);
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/nobody", base);
    w.home = path;
    refused(w, LS_ERR_RETRY, "content-unreadable");
}

/* A mount point without its mount is an empty folder, around the homes or in the place of one. */
static void
an_empty_mount_point_says_nothing_about_a_file(void **state)
{
    struct ap_blob_want w = want("files/hello", 5, NULL);
    char around[128], path[160];

    (void)state;
    snprintf(around, sizeof(around), "%s/mount", base);
    snprintf(path, sizeof(path), "%s/alice", around);
    assert_int_equal(mkdir(around, 0700), 0);
    w.home = path;
    refused(w, LS_ERR_RETRY, "content-away");
    w.home = around;
    refused(w, LS_ERR_RETRY, "content-away");
    assert_int_equal(rmdir(around), 0);
}

static void
without_a_descriptor_nothing_is_said_about_a_file(void **state)
{
    struct ap_blob_want w = want("files/hello", 5, NULL);
    struct rlimit before, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    refused(w, LS_ERR_RETRY, "content-away");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static struct ls_config *
config_with(const char *text)
{
    struct ls_config *config = NULL;
    struct ls_err err = {0};
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/conf", base);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(ls_config_load(path, NULL, 0, &config, &err), 0);
    return config;
}

static void
homes_are_mapped_by_their_longest_prefix(void **state)
{
    struct ls_config *config = config_with("[map]\n/var/data = /mnt/a\n/var/data/b = /mnt/b\n"
                                           "[data]\nroot = /srv/oc10\n");
    struct ls_err err = {0};
    char out[64];

    (void)state;
    assert_int_equal(ap_home_map(config, "/var/data/alice", "alice", out, sizeof(out), &err), 0);
    assert_string_equal(out, "/mnt/a/alice");
    assert_int_equal(ap_home_map(config, "/var/data/b/bob", "bob", out, sizeof(out), &err), 0);
    assert_string_equal(out, "/mnt/b/bob");
    assert_int_equal(ap_home_map(config, "/var/database/eve", "eve", out, sizeof(out), &err), 0);
    assert_string_equal(out, "/var/database/eve");
    assert_int_equal(ap_home_map(config, "", "carl", out, sizeof(out), &err), 0);
    assert_string_equal(out, "/srv/oc10/carl");
    assert_int_equal(ap_home_map(config, "", "../carl", out, sizeof(out), &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_int_equal(ap_home_map(config, "relative/home", "carl", out, sizeof(out), &err), -1);
    ls_config_free(config);

    config = config_with("");
    assert_int_equal(ap_home_map(config, "", "carl", out, sizeof(out), &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "data");
    ls_config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_matches_its_row_is_read_whole),
        cmocka_unit_test(a_mismatch_holds_the_last_piece_back),
        cmocka_unit_test(a_size_that_is_not_the_rows_is_a_mismatch_before_anything_is_read),
        cmocka_unit_test(without_a_checksum_a_file_of_another_time_is_a_mismatch),
        cmocka_unit_test(a_time_that_may_have_been_clamped_is_not_compared),
        cmocka_unit_test(an_unknown_size_and_no_checksum_still_gives_the_content),
        cmocka_unit_test(an_empty_file_is_checked_too),
        cmocka_unit_test(a_file_that_changes_while_it_is_read_is_not_handed_out_whole),
        cmocka_unit_test(nothing_leads_out_of_the_home),
        cmocka_unit_test(names_with_dots_are_just_names),
        cmocka_unit_test(the_home_itself_may_lie_behind_a_symlink),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(what_is_not_there_may_come),
        cmocka_unit_test(a_home_that_is_missing_among_others_is_its_own_trouble),
        cmocka_unit_test(an_empty_mount_point_says_nothing_about_a_file),
        cmocka_unit_test(without_a_descriptor_nothing_is_said_about_a_file),
        cmocka_unit_test(homes_are_mapped_by_their_longest_prefix),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
