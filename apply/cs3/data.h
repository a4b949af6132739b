/*
 * Content to and from oCIS's data server, over HTTP.
 */
#ifndef AP_DATA_H
#define AP_DATA_H

#include "apply/content/blobs.h"
#include "apply/cs3/cs3.h"
#include "apply/cs3/http.h"

struct ap_data;
/* Borrows both for its life. Option target.data replaces host and port of every endpoint. */
int ap_data_new(const struct ls_config *config, struct ap_http *http, struct cs3_client *cs3,
                struct ap_data **ret, struct ls_err *err);
/* The same with another host:port, or NULL: what the endpoints name. */
int ap_data_new_at(const char *authority, struct ap_http *http, struct cs3_client *cs3,
                   struct ap_data **ret, struct ls_err *err);
void ap_data_free(struct ap_data *data);

/*
 * PUT of all of the blob to an upload's endpoint, once. 0: the server has all of it, which does
 * not mean that it is ready. ret_id (may be NULL) gets the node's id, or "".
 * RETRY content-*, bucket-*: broken off before the last byte, and the upload session given up.
 */
int ap_data_put(struct ap_data *data, const char *as, const char *url, struct ap_blob *blob,
                char ret_id[AP_ID_SIZE], struct ls_err *err);
/* The same of `n` bytes that are at hand; ret_etag is the file's etag then, "" when not said. */
int ap_data_put_bytes(struct ap_data *data, const char *as, const char *url, const void *p,
                      size_t n, char ret_etag[64], struct ls_err *err);
/* GET of a download's endpoint, piece by piece. */
int ap_data_get(struct ap_data *data, const char *as, const char *url, ap_http_write_fn *each,
                void *arg, struct ls_err *err);

#endif
