/*
 * What of oCIS's side is no list: a file's content, and the file of the links' passwords.
 */
#include "apply/ocis/metadata_space.h"
#include "ctl/verify/target_room.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct content {
    EVP_MD_CTX *sum;
    int64_t size;
};

static int
take_piece(void *arg, const void *p, size_t n, struct ls_err *err)
{
    struct content *content = arg;

    content->size += (int64_t)n;
    if (EVP_DigestUpdate(content->sum, p, n) != 1)
        return ls_fail(err, LS_ERR_FATAL, 0, "SHA1 cannot be computed");
    return 0;
}

static int
read_once(struct target *target, const char *as, const struct cs3_place *place,
          struct content *content, struct ls_err *err)
{
    char *url = NULL;
    int r;

    content->size = 0;
    if (EVP_DigestInit_ex(content->sum, EVP_sha1(), NULL) != 1)
        return ls_fail(err, LS_ERR_FATAL, 0, "SHA1 cannot be computed");
    if (cs3_download_begin(target->cs3, as, place, &url, err) < 0)
        return -1;
    r = ap_data_get(target->data, as, url, take_piece, content, err);
    free(url);
    return r;
}

int
target_content(struct target *target, const char *uid, const char *node_id, char sha1[41],
               int64_t *ret_size, struct ls_err *err)
{
    struct content content = {.sum = EVP_MD_CTX_new()};
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct target_session *session = NULL;
    struct cs3_place place;
    unsigned int n = 0;
    struct target_tries tries = {0};
    int r = -1;

    if (!content.sum) {
        ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
        goto out;
    }
    if (target_session_of(target, uid, &session, err) < 0)
        goto out;
    if (!session || !session->has_space) {
        ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "the user has no space any more");
        goto out;
    }
    place = cs3_place_of(&session->space, node_id, NULL);
    do
        r = read_once(target, session->as, &place, &content, err);
    while (r < 0 && target_once_more(target, err, &tries));
    if (r < 0)
        goto out;
    if (EVP_DigestFinal_ex(content.sum, digest, &n) != 1 || n != 20) {
        r = ls_fail(err, LS_ERR_FATAL, 0, "SHA1 cannot be computed");
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        snprintf(sha1 + 2 * i, 3, "%02x", digest[i]);
    *ret_size = content.size;
out:
    EVP_MD_CTX_free(content.sum);
    return r;
}

struct hash_arg {
    int (*each)(void *arg, const char *link_id, const char *hash);
    void *arg;
};

/* Reads only: a change of nothing. */
static int
give_hashes(void *arg, json_t *doc, struct ls_err *err)
{
    struct hash_arg *hashes = arg;
    const char *id;
    json_t *entry;

    json_object_foreach(doc, id, entry)
    {
        const char *hash = json_string_value(json_object_get(entry, "password"));
        if (hashes->each(hashes->arg, id, hash ? hash : "") != 0)
            return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    }
    return 0;
}

int
target_link_hashes(struct target *target,
                   int (*each)(void *arg, const char *link_id, const char *hash), void *arg,
                   struct ls_err *err)
{
    struct ap_metadata *metadata = NULL;
    struct hash_arg hashes = {each, arg};
    struct target_tries tries = {0};
    int r;

    const char *id = ls_config_str(target->config, "target", "system_user_id");
    const char *key = ls_config_str(target->config, "target", "system_user_key");

    if (!id || !*id || !key || !*key)
        return 0;
    r = ap_metadata_new(target->config, target->http, NULL, NULL, NULL, &metadata, err);
    if (r == 0)
        do
            r = ap_metadata_open(metadata, err) < 0
                    ? -1
                    : ap_metadata_change(metadata, AP_SPACE_LINKS, AP_LINKS_FILE, false,
                                         give_hashes, &hashes, err);
        while (r < 0 && target_once_more(target, err, &tries));
    ap_metadata_free(metadata);
    return r < 0 ? -1 : 1;
}
