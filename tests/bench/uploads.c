/*
 * uploads CONFIG put USER FOLDER COUNT SIZE IN_FLIGHT: that many new files over CS3.
 * uploads CONFIG share USER FOLDER COUNT GRANTEE IN_FLIGHT: that many new folders, each shared with
 * GRANTEE over the sharing API; only the sharing is timed.
 * uploads CONFIG grant USER FOLDER COUNT GRANTEE IN_FLIGHT: the same, with AddGrant alone, which is
 * the least that the target has to do for a share.
 *
 * The bare client that apply is measured beside: nothing but the calls that cannot be left out
 * (InitiateFileUpload and PUT, CreateShare, or AddGrant), from memory, with nothing remembered and
 * nothing looked at afterwards. It has apply's own gRPC and HTTP under it, so that what is compared
 * is what stands above them. Prints {"count", "seconds", "failed"}; a call that fails is counted.
 */
#include "apply/cs3/cs3.h"
#include "apply/cs3/data.h"
#include "common/config.h"
#include "common/run.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MTIME 1700000000

static struct cs3_client *cs3;
static struct ap_data *data;
static struct ap_space space;
static char folder[AP_ID_SIZE], grantee[AP_ID_SIZE];
static char (*made)[AP_ID_SIZE]; /* share: the folders */
static bool grants_alone;
static char *content;
static size_t size;
static int count;
static atomic_int next, failed;

static void
die(const char *what, const struct ls_err *err)
{
    (void)fprintf(stderr, "uploads: %s: %s\n", what, err ? err->msg : "?");
    exit(1);
}

static void
fail(const char *what, const struct ls_err *err)
{
    if (atomic_fetch_add(&failed, 1) == 0)
        (void)fprintf(stderr, "uploads: %s: %s\n", what, err->msg);
}

static void
sha1_of(const char *p, size_t n, char out[41])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (!EVP_Digest(p, n, digest, &len, EVP_sha1(), NULL))
        die("SHA1", NULL);
    for (unsigned i = 0; i < 20; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Its number stands at the beginning of each file, so that no two are the same. */
static void
put_one(int i, char *mine)
{
    struct ls_err err = {0};
    char name[64], sha1[41], *url = NULL;
    struct cs3_place place = cs3_place_of(&space, folder, name);
    struct cs3_upload upload = {
        .size = (int64_t)size, .mtime = MTIME, .sha1 = sha1, .if_not_exist = true};

    (void)snprintf(name, sizeof(name), "file %06d.bin", i);
    (void)snprintf(mine, size, "%d of %s", i, folder);
    sha1_of(mine, size, sha1);
    if (cs3_upload_begin(cs3, space.owner, &place, &upload, &url, &err) < 0 ||
        ap_data_put_bytes(data, space.owner, url, mine, size, NULL, &err) < 0)
        fail(name, &err);
    free(url);
}

static void
share_one(int i)
{
    struct cs3_place place = cs3_place_of(&space, made[i], NULL);
    struct cs3_grant_info grant = {.grantee_id = grantee,
                                   .permissions = cs3_permissions(1, true, true)};
    struct ls_err err = {0};
    char id[AP_ID_SIZE];

    if (grants_alone
            ? cs3_add_grant(cs3, space.owner, &place, &grant, &err) < 0
            : cs3_create_share(cs3, space.owner, space.owner, &place, true, &grant, id, &err) < 0)
        fail(grants_alone ? "AddGrant" : "CreateShare", &err);
}

static void *
worker(void *arg)
{
    char *mine = content ? malloc(size) : NULL;
    int i;

    (void)arg;
    if (mine)
        memcpy(mine, content, size);
    while ((i = atomic_fetch_add(&next, 1)) < count) {
        if (content)
            put_one(i, mine);
        else
            share_one(i);
    }
    free(mine);
    return NULL;
}

static void
folder_make(const char *parent, const char *name, char ret_id[AP_ID_SIZE])
{
    struct cs3_place place = cs3_place_of(&space, parent, name);
    struct ls_err err = {0};
    struct cs3_info info;

    if (cs3_mkdir(cs3, space.owner, &place, &err) < 0 ||
        cs3_stat(cs3, space.owner, &place, &info, &err) < 0)
        die(name, &err);
    (void)snprintf(ret_id, AP_ID_SIZE, "%s", info.id);
}

static void
folders_make(void)
{
    char name[64];

    made = calloc((size_t)count, sizeof(*made));
    if (!made)
        die("memory", NULL);
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "shared %06d", i);
        folder_make(folder, name, made[i]);
    }
}

static void
prepare(char **argv)
{
    struct ls_config *config;
    struct ap_http *http;
    struct ls_err err = {0};

    if (ls_config_load(argv[1], NULL, 0, &config, &err) < 0 ||
        cs3_client_new(config, NULL, NULL, &cs3, &err) < 0 ||
        ap_http_new(config, NULL, NULL, &http, &err) < 0 ||
        ap_data_new(config, http, cs3, &data, &err) < 0)
        die("the configuration", &err);
    if (cs3_personal_space(cs3, argv[3], &space, &err) < 0)
        die(argv[3], &err);
    (void)snprintf(space.owner, sizeof(space.owner), "%s", argv[3]);
    folder_make(space.root_id, argv[4], folder);
}

int
main(int argc, char **argv)
{
    pthread_t threads[256];
    struct ls_err err = {0};
    int64_t began;
    int n = argc == 8 ? atoi(argv[7]) : 0;

    if (n < 1 || n > 256 || (count = atoi(argv[5])) < 1)
        die("usage: see the head of uploads.c", NULL);
    n = n < count ? n : count; /* each thread holds a content */
    prepare(argv);
    if (strcmp(argv[2], "put") == 0) {
        size = (size_t)atoll(argv[6]);
        content = size >= 64 ? malloc(size) : NULL;
        if (!content)
            die("SIZE", NULL);
        for (size_t i = 0; i < size; i++)
            content[i] = (char)random();
    } else {
        if (cs3_sign_in(cs3, argv[6], grantee, &err) < 0)
            die(argv[6], &err);
        grants_alone = strcmp(argv[2], "grant") == 0;
        folders_make();
    }
    began = ls_now_us();
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, worker, NULL) != 0)
            die("a thread", NULL);
    for (int i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
    (void)printf("{\"count\": %d, \"seconds\": %.3f, \"failed\": %d}\n", count,
                 (double)(ls_now_us() - began) / 1e6, atomic_load(&failed));
    return 0;
}
