/*
 * Files in the metadata spaces of storage-system: JSON documents that oCIS's share managers and we
 * change at the same time.
 *
 * A file is changed by a function over its document. Whoever calls is served together with all who
 * wait for the same file at that moment: one of them reads, applies all their changes and writes
 * once. The write names the etag that was read; when somebody was faster, all is done again on
 * what is there now. So a change may be applied several times, to documents that may already have
 * it: it says 0 then. Thread-safe.
 */
#ifndef AP_METADATA_SPACE_H
#define AP_METADATA_SPACE_H

#include "apply/cs3/http.h"
#include "apply/writer.h"
#include <jansson.h>

#define AP_SPACE_SHARES "jsoncs3-share-manager-metadata"
#define AP_SPACE_LINKS "jsoncs3-public-share-manager-metadata"
#define AP_LINKS_FILE "publicshares.json"

struct ap_metadata;
/* Borrows http, and the writer (or NULL), who is told of waits. FATAL target-config without
 * target.system_user_id and target.system_user_key. */
int ap_metadata_new(const struct ls_config *config, struct ap_http *http,
                    const struct ap_writer *writer, ap_call_fn *call_counter, void *arg,
                    struct ap_metadata **ret, struct ls_err *err);
void ap_metadata_free(struct ap_metadata *metadata); /* NULL is fine; nobody may be inside */
/* Signs in. */
int ap_metadata_open(struct ap_metadata *metadata, struct ls_err *err);
/* Is that space there? 1, 0 or -1. The managers make theirs when they are first asked something. */
int ap_metadata_has_space(struct ap_metadata *metadata, const char *space, struct ls_err *err);

/* 1: doc was changed; 0: it is right as it is; -1 with err: doc is as it was, and others' changes
 * go on. Called in any thread, under no lock. A file that is not there is an empty object. */
typedef int ap_metadata_fn(void *arg, json_t *doc, struct ls_err *err);

/*
 * 1: written; 0: nothing was to be changed, so this also just reads. A folder that is missing is
 * made. -1: what `change` said; or RETRY: "busy" overtaken again and again, "internal" content that
 * is no JSON object (such a file is never overwritten), "timeout" perhaps written, and the rest of
 * writer.h.
 *
 * A file that others write, too, is written after it has been still for a moment (still.h), though
 * that is not waited for for ever; meanwhile others join. `polite`: nor is it ever written at once
 * otherwise. It is the one that the server writes without a second try.
 */
struct ap_metadata_change {
    const char *space, *path;
    bool polite;
    ap_metadata_fn *change;
    void *arg;
    int result; /* as above, with err */
    struct ls_err err;
};
/* Several files at once, in no order. -1 when one of them failed, with err of the first that did.
 */
int ap_metadata_change_all(struct ap_metadata *metadata, struct ap_metadata_change *changes, int n,
                           struct ls_err *err);
/* The same of one. */
int ap_metadata_change(struct ap_metadata *metadata, const char *space, const char *path,
                       bool polite, ap_metadata_fn *change, void *arg, struct ls_err *err);
/* So many callers are on their way: a file is not written at once, lest each is written for alone,
 * but up to three times as long is waited for them as the last write took. Up and down again,
 * before the change itself. */
void ap_metadata_coming(struct ap_metadata *metadata, int more);

#endif
