/*
 * put_file of the writer `ocis-api`: begin an upload, PUT, wait until it is ready.
 *
 * A 2xx of the PUT says only that the bytes have arrived: with asynchronous uploads the file is
 * "processing" for a while, and done means ready with the SHA1 of what we read. A lost answer, a
 * used-up session (HTTP 500) and a taken name are all settled by looking: if the node has our
 * content, it is done. Content that is there already is not sent again, whoever put it there; so
 * a repeated call makes no second version. A row without SHA1 has only the file itself to compare
 * with, and that may have changed since: there a doubtful try knows its own by the time it set, and
 * the core is told the size and checksum that the target has. Two contents of one node with one
 * mtime have one etag, and a third fails (HTTP 500): a new content never gets the mtime of the one
 * it replaces.
 *
 * A node that is known is compared with what the core takes it to be, and the upload carries the
 * etag that it had then: what somebody else has put there is never overwritten unseen.
 *
 * A target that is killed leaves nodes "processing" for ever; deleting them is refused, uploading
 * over them works. But a long backlog looks the same, and uploading again would make it longer. So
 * a node counts as stuck when an upload that began a minute later is ready, or, where nothing else
 * is uploaded, after ten minutes, and then one a minute at most: its success tells of the others.
 * Of a big file both are longer: it is on its way to the blob store, or is looked through for
 * viruses, while small ones pass it.
 */
#include "apply/ocis/ocis_api.h"
#include "common/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
    READY_FIRST_MS = 5,
    READY_MAX_MS = 500,
    PIECE = 262144,
    MAX_PROCESSING = 100000,
};

struct ap_processing {
    char id[AP_ID_SIZE]; /* key */
    int64_t since_ms;
    UT_hash_handle hh;
};

/* One file to put, as the steps pass it on. */
struct put {
    struct ap_ocis *ocis;
    const struct ap_space *space;
    const char *node_id; /* NULL: new, at parent_id/name */
    const char *parent_id, *name;
    const struct ap_blob_want *want;
    int64_t mtime;
    uint32_t mtime_ns;
    bool distinct;                  /* a content before has that very second before 1970 */
    const struct ap_expect *expect; /* NULL: whatever it has, the source wins */
    bool doubtful;                  /* an earlier try may have arrived */
    char seen[64];                  /* the etag that the node had when it was compared */
};

static struct cs3_place
place_of(const struct put *put)
{
    if (put->node_id)
        return cs3_place_of(put->space, put->node_id, NULL);
    return cs3_place_of(put->space, put->parent_id, put->name);
}

static int
look(const struct put *put, struct cs3_info *ret, struct ls_err *err)
{
    struct cs3_place place = place_of(put);

    return ap_look(put->ocis, put->space, place.id, place.name, ret, err);
}

/* ---- is it there already? */
/* The SHA1 of the local file, for a row that has none. */
static int
local_sha1(const struct ap_blob_want *want, char out[41], struct ls_err *err)
{
    struct ap_blob *blob = NULL;
    char *piece = malloc(PIECE);
    ssize_t n = -1;

    if (!piece) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    if (ap_blob_open(want, &blob, err) < 0)
        goto out;
    while ((n = ap_blob_read(blob, piece, PIECE, err)) > 0) {
    }
    if (n == 0)
        snprintf(out, 41, "%s", ap_blob_sha1(blob));
out:
    ap_blob_close(blob);
    free(piece);
    return n < 0 ? -1 : 0;
}

/* Does the node have the content we want? 1, 0, or -1 when that cannot be told. */
static int
content_is(const struct put *put, const struct cs3_info *info, struct ls_err *err)
{
    char sha1[41];

    if (info->folder || info->processing || !info->sha1[0])
        return 0;
    if (put->want->size >= 0 && put->want->size != info->size)
        return 0;
    if (put->want->sha1 && *put->want->sha1)
        return !strcmp(put->want->sha1, info->sha1);
    if (local_sha1(put->want, sha1, err) < 0)
        return -1;
    return !strcmp(sha1, info->sha1);
}

/* The time as the target holds it: beyond its range, the nearest. */
static bool
mtime_is(const struct put *put, const struct cs3_info *info)
{
    char want[40], is[40];

    cs3_mtime_text(put->mtime, put->mtime_ns, want, sizeof(want));
    cs3_mtime_text(info->mtime, info->mtime_ns, is, sizeof(is));
    return !strcmp(want, is);
}

/* What a doubtful try has put into a node that it knows: by its time, the same or the next
 * nanosecond (ap_ocis_put_file). */
static bool
is_earlier_try(const struct put *put, const struct cs3_info *info)
{
    struct put next = *put;

    next.mtime_ns = (put->mtime_ns + 1) % 1000000000u;
    return put->doubtful && (mtime_is(put, info) || mtime_is(&next, info));
}

/* POISON changed-at-target where somebody else has put another content into the node. */
static int
drift_check(const struct put *put, const struct cs3_info *info, struct ls_err *err)
{
    if (!put->node_id || !ap_drift_content(put->expect, info) || is_earlier_try(put, info))
        return 0;
    return ap_drift_content_fail(put->expect, info, err);
}

/* Two contents of one file differ in the second, or are one. */
static bool
second_is(const struct put *put, const struct cs3_info *info)
{
    char want[40], is[40];

    cs3_mtime_text(put->mtime, 0, want, sizeof(want));
    cs3_mtime_text(info->mtime, 0, is, sizeof(is));
    return !strcmp(want, is);
}

/* Another time than that of a content before: else they have one etag, and the next one fails. A
 * time before 1970 has its nanoseconds only then. */
static void
time_apart(struct put *put, uint32_t from_ns)
{
    put->distinct = put->mtime < 0;
    if (!put->distinct || put->mtime_ns == from_ns || !put->mtime_ns)
        put->mtime_ns = (put->mtime_ns + 1) % 1000000000u;
    if (put->distinct && put->mtime_ns == from_ns)
        put->mtime_ns = (put->mtime_ns + 1) % 1000000000u;
}

/* The content is right; now the time. */
static int
adopt(const struct put *put, const struct cs3_info *info, struct ap_node *ret, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(put->space, info->id, NULL);
    struct cs3_info now = *info;
    int there;

    if (!mtime_is(put, info)) {
        if (cs3_set_mtime(put->ocis->cs3, put->space->owner, &node, put->mtime, put->mtime_ns,
                          err) < 0)
            return -1;
        there = ap_look(put->ocis, put->space, info->id, NULL, &now, err);
        if (there < 0)
            return -1;
        if (!there)
            return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "gone",
                                 "the node is not there any more");
    }
    ap_node_fill(ret, &now);
    return 0;
}

/* ---- is it stuck? */
static struct ap_processing *
processing_slot(struct ap_ocis *ocis, const char *id)
{
    struct ap_processing *slot;

    HASH_FIND_STR(ocis->processing, id, slot);
    if (slot || HASH_COUNT(ocis->processing) >= MAX_PROCESSING)
        return slot;
    slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    snprintf(slot->id, sizeof(slot->id), "%s", id);
    slot->since_ms = ls_mono_ms();
    HASH_ADD_STR(ocis->processing, id, slot);
    return slot;
}

enum ap_stuck
ap_processing_stuck(int64_t now_ms, int64_t since_ms, int64_t newest_done_ms, int64_t last_over_ms,
                    int64_t size)
{
    if (newest_done_ms > since_ms + ap_http_patience_ms(AP_OVERTAKEN_MS, size, size))
        return AP_STUCK_OVERTAKEN;
    if (now_ms > since_ms + ap_http_patience_ms(AP_STUCK_MS, size, size) &&
        now_ms > last_over_ms + AP_OVERTAKEN_MS)
        return AP_STUCK_LONG;
    return AP_STUCK_NOT;
}

static bool
is_stuck(struct ap_ocis *ocis, const struct cs3_info *info)
{
    enum ap_stuck stuck = AP_STUCK_NOT;
    int64_t now = ls_mono_ms();
    struct ap_processing *slot;

    pthread_mutex_lock(&ocis->uploads);
    slot = processing_slot(ocis, info->id);
    if (slot)
        stuck = ap_processing_stuck(now, slot->since_ms, ocis->newest_done_ms, ocis->last_over_ms,
                                    info->size);
    if (stuck == AP_STUCK_LONG)
        ocis->last_over_ms = now;
    pthread_mutex_unlock(&ocis->uploads);
    return stuck != AP_STUCK_NOT;
}

static void
upload_is_ready(struct ap_ocis *ocis, const char *id, int64_t began_ms)
{
    struct ap_processing *slot;

    pthread_mutex_lock(&ocis->uploads);
    if (began_ms > ocis->newest_done_ms)
        ocis->newest_done_ms = began_ms;
    HASH_FIND_STR(ocis->processing, id, slot);
    if (slot) {
        HASH_DEL(ocis->processing, slot);
        free(slot);
    }
    pthread_mutex_unlock(&ocis->uploads);
}

void
ap_ocis_processing_free(struct ap_ocis *ocis)
{
    struct ap_processing *slot = ocis->processing, *next;

    HASH_CLEAR(hh, ocis->processing); /* the table goes, its elements still hang together */
    for (; slot; slot = next) {
        next = slot->hh.next;
        free(slot);
    }
}

/* May be uploaded over: stuck, and of our own making (the time is the source's etag's). */
static bool
may_go_over(const struct put *put, const struct cs3_info *info)
{
    bool ours = put->node_id ? !put->expect || !ap_drift_content(put->expect, info) ||
                                   is_earlier_try(put, info)
                             : !info->folder && mtime_is(put, info);

    return ours && is_stuck(put->ocis, info);
}

/* What a doubtful try has made, known by the source's time to the nanosecond. Only for a row
 * without SHA1: the file may have changed since it was sent, so its content proves nothing. */
static bool
is_our_own(const struct put *put, const struct cs3_info *info)
{
    return put->doubtful && !info->folder && !info->processing &&
           !(put->want->sha1 && *put->want->sha1) &&
           (put->node_id ? is_earlier_try(put, info) : mtime_is(put, info));
}

/* Looks; 1: done, 0: not there or another content, -1: err. For a new file another content is
 * "taken"; what is being processed is left alone, unless it is stuck: then ret_over (may be NULL)
 * gets the node to upload over. At 0 with a node that is known, ret_info (may be NULL) gets what it
 * is, as was expected. */
static int
settle_by_looking(const struct put *put, struct ap_node *ret, char *ret_over,
                  struct cs3_info *ret_info, struct ls_err *err)
{
    struct cs3_info info;
    int there = look(put, &info, err), same;

    if (there <= 0) {
        if (there == 0 && put->node_id &&
            ap_drift_gone(put->ocis, put->space, put->node_id, put->expect, err) < 0)
            return -1;
        if (there == 0 && put->node_id)
            return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "gone", "the node is not there");
        return there;
    }
    if (info.processing && ret_over && may_go_over(put, &info)) {
        snprintf(ret_over, AP_ID_SIZE, "%s", info.id);
        return 0;
    }
    if (info.processing)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_TOO_EARLY, "busy",
                             "the target still processes an upload to this node");
    if (is_our_own(put, &info)) {
        ap_node_fill(ret, &info); /* with the size and checksum of what is there */
        return 1;
    }
    same = content_is(put, &info, err);
    if (same < 0)
        return -1;
    if (same && put->want->anew && !second_is(put, &info))
        same = 0;
    if (same)
        return adopt(put, &info, ret, err) == 0 ? 1 : put->doubtful ? ap_unknown(err) : -1;
    if (!put->node_id || info.folder) {
        ap_node_fill(ret, &info);
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_ALREADY_EXISTS, "taken",
                             "another node has that name");
    }
    if (drift_check(put, &info, err) < 0)
        return -1;
    if (ret_info)
        *ret_info = info;
    return 0;
}

/* ---- the upload */
/* Waits until the node is ready and compares it with what was read. */
static int
ready(const struct put *put, const char *id, const char *sha1, int64_t size, struct ap_node *ret,
      struct ls_err *err)
{
    struct cs3_place place = *id ? cs3_place_of(put->space, id, NULL) : place_of(put);
    int64_t end = ls_mono_ms() + put->ocis->timeout_ms, pause = READY_FIRST_MS;
    struct cs3_info info;
    int there;

    for (;;) {
        there = ap_look(put->ocis, put->space, place.id, place.name, &info, err);
        if (there < 0)
            return ap_unknown(err);
        if (there && !info.processing)
            break;
        if (ls_mono_ms() > end)
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout",
                                 there ? "the target has not yet processed the upload"
                                       : "the target does not show the file it has taken");
        ls_run_sleep_ms(pause);
        if (ls_run_stopping())
            end = 0;
        pause = pause * 2 > READY_MAX_MS ? READY_MAX_MS : pause * 2;
    }
    if (strcmp(info.sha1, sha1) != 0 || info.size != size)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-mismatch",
                             "the target holds another content than was sent");
    return adopt(put, &info, ret, err) < 0 ? ap_unknown(err) : 0;
}

/* Letters, digits and "_", or digits alone, up to the "-" or the end; NULL where there are none. */
static const char *
word_end(const char *p, bool digits)
{
    static const char signs[] = "0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = digits ? strspn(p, "0123456789") : strspn(p, signs);

    return n > 0 ? p + n : NULL;
}

/* "a-chunking-12ab-3-1" is what ownCloud's clients of long ago called a piece of a file: the target
 * would wait for the other pieces for ever. */
static int
chunk_check(const char *name, struct ls_err *err)
{
    static const char mark[] = "-chunking-";
    const char *p = NULL;

    for (const char *next = name; (next = strstr(next, mark)); next += strlen(mark))
        p = next + strlen(mark);
    p = p ? word_end(p, false) : NULL;
    p = p && *p == '-' ? word_end(p + 1, true) : NULL;
    p = p && *p == '-' ? word_end(p + 1, true) : NULL;
    if (!p || *p)
        return 0;
    return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused",
                         "the target takes the name for a chunk of an old upload");
}

static int
upload_once(const struct put *put, struct ap_node *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = put->ocis;
    const char *as = put->space->owner;
    struct cs3_place place = place_of(put);
    struct ap_blob *blob = NULL;
    char *url = NULL, id[AP_ID_SIZE] = "", empty[1];
    struct cs3_upload upload = {.mtime = put->mtime,
                                .mtime_ns = put->mtime_ns,
                                .sha1 = put->want->sha1,
                                .distinct = put->distinct,
                                .if_not_exist = !put->node_id,
                                .if_match = put->seen[0] ? put->seen : NULL};
    int64_t began_ms = ls_mono_ms();
    int r = -1;

    if (ap_blob_open(put->want, &blob, err) < 0)
        goto out;
    upload.size = ap_blob_size(blob);
    /* An empty file is complete when its upload begins, so it is checked before. */
    if (!upload.size && ap_blob_read(blob, empty, sizeof(empty), err) < 0)
        goto out;
    if (cs3_upload_begin(ocis->cs3, as, &place, &upload, &url, err) < 0)
        goto out;
    if (upload.size && ap_data_put(ocis->data, as, url, blob, id, err) < 0)
        goto out;
    r = ready(put, id, ap_blob_sha1(blob), upload.size, ret, err);
    if (r == 0)
        upload_is_ready(ocis, ret->id, began_ms);
out:
    ap_blob_close(blob);
    free(url);
    return r;
}

/* RETRY parent-gone unless the folder for a new file is there. */
static int
parent_look(const struct put *put, const struct ls_err *why, struct ls_err *err)
{
    struct cs3_info info;
    int there = ap_look(put->ocis, put->space, put->parent_id, NULL, &info, err);

    if (there < 0)
        return -1;
    if (!there && ap_drift_gone(put->ocis, put->space, NULL, put->expect, err) < 0)
        return -1;
    if (!there || !info.folder)
        return ls_fail_cause(err, LS_ERR_RETRY, why->code, "parent-gone",
                             "the parent folder is not there");
    return 0;
}

/* Does what the look met leave it open whether the upload arrived? In a parent that cannot be read
 * it did not. */
static bool
hides(const struct put *put, const struct ls_err *why, const struct ls_err *seen)
{
    if (ap_cause_is(seen, "busy") || ap_cause_is(seen, "target-down"))
        return true;
    return ap_cause_is(seen, "internal") && (put->node_id || !ap_cause_is(why, "internal") ||
                                             ap_readable(put->ocis, put->space, put->parent_id));
}

/* An upload that did not go well: what is the matter, seen from the tree? 0 with ret_over set:
 * an earlier one is stuck. */
static int
upload_sort_out(const struct put *put, const struct ls_err *why, struct ap_node *ret,
                char *ret_over, struct ls_err *err)
{
    static const char *const look_into[] = {"taken",       "timeout", "internal", "gone",
                                            "parent-gone", "quota",   "refused",  "denied"};
    struct put now = *put;
    struct ls_err seen = {0};
    bool looked = false;
    int r;

    now.doubtful = put->doubtful || ap_cause_is(why, "timeout") || ap_cause_is(why, "internal");
    for (size_t i = 0; i < sizeof(look_into) / sizeof(look_into[0]); i++)
        looked = looked || ap_cause_is(why, look_into[i]);
    if (looked) {
        r = settle_by_looking(&now, ret, ret_over, NULL, &seen);
        if (r < 0) {
            if (now.doubtful && hides(put, why, &seen))
                ap_unknown(&seen);
            if (err)
                *err = seen;
            return -1;
        }
        if (r || (ret_over && ret_over[0]))
            return 0;
        if (!put->node_id && parent_look(put, why, err) < 0)
            return -1;
    }
    if (ap_cause_is(why, "taken") || ap_cause_is(why, "gone") || ap_cause_is(why, "parent-gone"))
        return ls_fail_cause(err, LS_ERR_RETRY, why->code, "busy",
                             "somebody else writes at this place: %.150s", why->msg);
    if (err)
        *err = *why;
    return -1;
}

int
ap_ocis_put_file(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                 const char *parent_id, const char *name, const struct ap_blob_want *blob,
                 int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful,
                 struct ap_node *ret, struct ls_err *err)
{
    char over[AP_ID_SIZE] = "", stuck[AP_ID_SIZE] = "";
    struct put put = {.ocis = ap_ocis_of(w),
                      .space = space,
                      .node_id = node_id,
                      .parent_id = parent_id,
                      .name = name,
                      .want = blob,
                      .mtime = mtime,
                      .mtime_ns = mtime_ns,
                      .expect = expect,
                      .doubtful = doubtful};
    struct ls_err why = {0};
    struct cs3_info info = {0};
    int r;

    if (!node_id && (ap_name_check(name, err) < 0 || chunk_check(name, err) < 0 ||
                     ap_parent_id_check(parent_id, err) < 0))
        return -1;
    if (node_id || doubtful) {
        r = settle_by_looking(&put, ret, over, &info, err);
        if (r)
            return r < 0 ? -1 : 0;
        if (over[0])
            put.node_id = over;
    }
    if (over[0] && ap_look(put.ocis, space, over, NULL, &info, NULL) != 1)
        info.id[0] = '\0';
    if (put.node_id && info.id[0] && mtime_is(&put, &info))
        time_apart(&put, info.mtime_ns);
    if (expect && !over[0] && node_id) /* who comes between the look and the upload is not lost */
        snprintf(put.seen, sizeof(put.seen), "%s", info.etag);
    for (int try = 0; try < 2; try++) { /* a token may be refused once */
        r = upload_once(&put, ret, &why);
        if (r == 0)
            return 0;
        if (!ap_cause_is(&why, "sign-in"))
            break;
    }
    if (upload_sort_out(&put, &why, ret, over[0] ? NULL : stuck, err) < 0)
        return -1;
    if (!stuck[0])
        return 0;
    put.node_id = stuck;
    put.seen[0] = '\0';
    time_apart(&put, put.mtime_ns);
    if (upload_once(&put, ret, &why) == 0)
        return 0;
    if (ap_cause_is(&why, "internal"))
        ap_unknown(&why);
    if (err)
        *err = why;
    return -1;
}
