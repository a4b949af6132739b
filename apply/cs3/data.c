/*
 * The data server: PUT to `simple`, GET, and giving an upload up.
 *
 * The endpoint stands in the reply of InitiateFileUpload and often names `localhost`; target.data
 * says where it really is. An upload that is broken off leaves files in the server's uploads
 * folder for ever, so its session is ended over the `tus` endpoint of the same id; that is a
 * courtesy, its failure changes nothing. Not after 502 and 504: then somebody in between has no
 * answer, and the server may be about to finish it. 206 means that the server took the name for one
 * of ownCloud's old chunks ("name-chunking-1-2-3") and put the content aside: the file is not
 * there.
 */
#include "apply/cs3/data.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ap_data {
    struct ap_http *http;
    struct cs3_client *cs3;
    char authority[256]; /* host:port, or "" */
};

int
ap_data_new_at(const char *authority, struct ap_http *http, struct cs3_client *cs3,
               struct ap_data **ret, struct ls_err *err)
{
    struct ap_data *data = calloc(1, sizeof(*data));

    if (!data)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    data->http = http;
    data->cs3 = cs3;
    if (authority)
        snprintf(data->authority, sizeof(data->authority), "%s", authority);
    *ret = data;
    return 0;
}

int
ap_data_new(const struct ls_config *config, struct ap_http *http, struct cs3_client *cs3,
            struct ap_data **ret, struct ls_err *err)
{
    return ap_data_new_at(ls_config_str(config, "target", "data"), http, cs3, ret, err);
}

void
ap_data_free(struct ap_data *data)
{
    free(data);
}

/* The endpoint with our host and port; free it. */
static char *
url_place(const struct ap_data *data, const char *url)
{
    const char *host = strstr(url, "://"), *path;
    char *out = NULL;

    if (!data->authority[0] || !host)
        return strdup(url);
    host += 3;
    path = host + strcspn(host, "/");
    if (asprintf(&out, "%.*s%s%s", (int)(host - url), url, data->authority, path) < 0)
        return NULL;
    return out;
}

static ssize_t
blob_piece(void *arg, void *p, size_t n, struct ls_err *err)
{
    return ap_blob_read(arg, p, n, err);
}

/* <storage>$<space>!<node> -> node */
static void
node_of(const char *file_id, char ret_id[AP_ID_SIZE])
{
    const char *mark = strrchr(file_id, '!');

    if (mark && strlen(mark + 1) < AP_ID_SIZE)
        snprintf(ret_id, AP_ID_SIZE, "%s", mark + 1);
    else
        ret_id[0] = '\0';
}

static void
upload_give_up(struct ap_data *data, const char *token, const char *url)
{
    struct ap_http_request request = {.label = "DELETE upload",
                                      .method = "DELETE",
                                      .token = token,
                                      .header = "Tus-Resumable: 1.0.0"};
    struct ap_http_reply reply = {0};
    const char *simple = strstr(url, "/simple/");
    char *tus = NULL;

    if (!simple || asprintf(&tus, "%.*s/tus/%s", (int)(simple - url), url, simple + 8) < 0)
        return;
    ls_buf_init(&reply.body, 4096);
    request.url = tus;
    ap_http_do(data->http, &request, &reply, NULL);
    ls_buf_free(&reply.body);
    free(tus);
}

static int
put(struct ap_data *data, const char *as, const char *url, struct ap_http_request request,
    char ret_id[AP_ID_SIZE], char ret_etag[64], struct ls_err *err)
{
    struct ap_http_reply reply = {0};
    struct ls_err why = {0};
    char *token = NULL, *place = url_place(data, url), *fresh = NULL;
    int r = -1;

    ls_buf_init(&reply.body, 4096);
    if (!place) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    if (cs3_token(data->cs3, as, NULL, &token, err) < 0)
        goto out;
    request.label = request.method = "PUT";
    request.content_type = "application/octet-stream";
    request.url = place;
    request.token = token;
    if (ap_http_do(data->http, &request, &reply, &why) < 0) {
        if (!strncmp(why.cause, "content-", 8) || ap_is_bucket_cause(why.cause))
            upload_give_up(data, token, place);
        if (err)
            *err = why;
        goto out;
    }
    if (reply.status == 206) {
        ls_fail_cause(err, LS_ERR_POISON, 206, "name-refused",
                      "the target takes the name for a chunk of an old upload");
        goto out;
    }
    if (reply.status / 100 != 2) {
        ap_http_fail(&request, &reply, err);
        if (reply.status == 401 && cs3_token(data->cs3, as, token, &fresh, NULL) < 0)
            fresh = NULL; /* the next try will say why */
        if (reply.status != 502 && reply.status != 504)
            upload_give_up(data, fresh ? fresh : token, place);
        goto out;
    }
    if (ret_id)
        node_of(reply.file_id, ret_id);
    if (ret_etag)
        memcpy(ret_etag, reply.etag, sizeof(reply.etag));
    r = 0;
out:
    ls_buf_free(&reply.body);
    free(fresh);
    free(token);
    free(place);
    return r;
}

int
ap_data_put(struct ap_data *data, const char *as, const char *url, struct ap_blob *blob,
            char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    return put(data, as, url,
               (struct ap_http_request){
                   .read = blob_piece, .read_arg = blob, .read_len = ap_blob_size(blob)},
               ret_id, NULL, err);
}

int
ap_data_put_bytes(struct ap_data *data, const char *as, const char *url, const void *p, size_t n,
                  char ret_etag[64], struct ls_err *err)
{
    return put(data, as, url, (struct ap_http_request){.body = p, .body_len = n}, NULL, ret_etag,
               err);
}

int
ap_data_get(struct ap_data *data, const char *as, const char *url, ap_http_write_fn *each,
            void *arg, struct ls_err *err)
{
    struct ap_http_request request = {
        .label = "GET", .method = "GET", .write = each, .write_arg = arg};
    struct ap_http_reply reply = {0};
    char *token = NULL, *refused = NULL, *place = url_place(data, url);
    int r = -1;

    ls_buf_init(&reply.body, 4096);
    if (!place) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    request.url = place;
    for (int try = 0; try < 2; try++) {
        if (cs3_token(data->cs3, as, refused, &token, err) < 0)
            goto out;
        request.token = token;
        if (ap_http_do(data->http, &request, &reply, err) < 0)
            goto out;
        if (reply.status != 401)
            break;
        free(refused);
        refused = token;
        token = NULL;
    }
    r = reply.status / 100 == 2 ? 0 : ap_http_fail(&request, &reply, err);
out:
    ls_buf_free(&reply.body);
    free(refused);
    free(token);
    free(place);
    return r;
}
