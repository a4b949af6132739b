/*
 * Compare and swap of JSON files on storage-system, many changes in one write.
 *
 * What can go wrong, and what is done: a GET answers 500 now and then for no reason, or with a
 * content that is older or newer than what Stat has shown: its size and checksum are compared, and
 * it is asked again; an empty answer is never taken for an empty file. Somebody writes between our
 * look and our write: the first step says FAILED_PRECONDITION, the second HTTP 412, and all is
 * done again on the new content. An answer that was lost: the file is read again, and whatever is
 * already there is not changed twice. A new file needs its folders first, and is made exclusively.
 * The file's time is always the server's: with equal times two contents have the same etag.
 *
 * A content has its new etag some time before it is at its place; who reads it in between gets the
 * 500 above. We try again. The server, overtaken by us, does not, and its caller is refused: hence
 * the waiting for a pause.
 *
 * The managers' spaces are made by the managers. They hold what they have read in memory and read
 * again when the etag is another one, so nobody has to be told.
 */
#include "apply/metadata_space.h"
#include "apply/cs3.h"
#include "apply/data.h"
#include "apply/still.h"
#include "common/run.h"
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define FILE_CAP (256u << 20)
enum {
    TRIES = 30,            /* of a change that is overtaken */
    READS = 8,             /* of a content that does not come whole */
    PAUSE_MS = 20,         /* between two of either */
    GATHER_MS = 40,        /* at most so long for those who are coming */
    POLITE_MS = 10 * 1000, /* so long for a pause of the others */
    CHANGES = 4            /* of one caller, at once */
};

struct waiter {
    ap_metadata_fn *change;
    void *arg;
    int result;
    bool done, changed;
    struct ls_err err;
    struct waiter *next;
};

/* A file that somebody waits for. */
struct file {
    char *key; /* "<space>/<path>" */
    int users;
    bool busy, polite;
    struct waiter *first, **last;
    UT_hash_handle hh;
};

struct ap_metadata {
    struct cs3_client *cs3;
    struct ap_data *data;
    pthread_mutex_t mutex; /* files and their waiters */
    pthread_cond_t served;
    struct file *files;
    atomic_int coming;
    struct ap_still *still; /* who else writes */
};

int
ap_metadata_new(const struct ls_config *config, struct ap_http *http, ap_call_fn *call_counter,
                void *arg, struct ap_metadata **ret, struct ls_err *err)
{
    struct ap_metadata *m = calloc(1, sizeof(*m));

    if (!m)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->served, NULL);
    m->still = ap_still_new();
    if (!m->still) {
        ap_metadata_free(m);
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    }
    if (cs3_system_client_new(config, call_counter, arg, &m->cs3, err) < 0 ||
        ap_data_new_at(ls_config_str(config, "target", "system_data"), http, m->cs3, &m->data,
                       err) < 0) {
        ap_metadata_free(m);
        return -1;
    }
    *ret = m;
    return 0;
}

void
ap_metadata_free(struct ap_metadata *m)
{
    if (!m)
        return;
    ap_data_free(m->data);
    cs3_client_free(m->cs3);
    ap_still_free(m->still);
    pthread_cond_destroy(&m->served);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

int
ap_metadata_open(struct ap_metadata *m, struct ls_err *err)
{
    return cs3_sign_in(m->cs3, cs3_system_user(m->cs3), NULL, err);
}

/* There, 1; not, 0. */
static int
look(struct ap_metadata *m, const char *space, const char *path, struct cs3_info *ret,
     struct ls_err *err)
{
    struct cs3_place place = {"", space, space, path};
    struct ls_err why = {0};

    if (cs3_stat(m->cs3, cs3_system_user(m->cs3), &place, ret, &why) == 0)
        return 1;
    if (ap_cause_is(&why, "gone"))
        return 0;
    if (err)
        *err = why;
    return -1;
}

int
ap_metadata_has_space(struct ap_metadata *m, const char *space, struct ls_err *err)
{
    struct cs3_info info;

    return look(m, space, NULL, &info, err);
}

/* ---- reading */
static int
body_take(void *arg, const void *p, size_t n, struct ls_err *err)
{
    if (ls_buf_append(arg, p, n) < 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "internal",
                             "a share manager's file is larger than %u bytes", FILE_CAP);
    return 0;
}

static bool
sha1_is(const struct ls_buf *body, const char *wanted)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned int n = 0;

    if (!*wanted)
        return true;
    if (!EVP_Digest(body->n ? body->p : (const void *)"", body->n, sum, &n, EVP_sha1(), NULL))
        return false;
    for (unsigned int i = 0; i < n; i++)
        snprintf(text + (size_t)2 * i, 3, "%02x", sum[i]);
    return strcmp(text, wanted) == 0;
}

static int
content_get(struct ap_metadata *m, const char *space, const char *path, const struct cs3_info *info,
            struct ls_buf *body, struct ls_err *err)
{
    const char *as = cs3_system_user(m->cs3);
    struct cs3_place place = {"", space, space, path};
    char *url = NULL;
    int r;

    ls_buf_clear(body);
    if (cs3_download_begin(m->cs3, as, &place, &url, err) < 0)
        return -1;
    r = ap_data_get(m->data, as, url, body_take, body, err);
    free(url);
    if (r == 0 && ((int64_t)body->n != info->size || !sha1_is(body, info->sha1)))
        r = ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "%s/%s did not come whole", space,
                          path);
    return r;
}

/* Trouble that the next look may not meet. */
static bool
passing(const struct ls_err *err)
{
    return ap_cause_is(err, "internal") || ap_cause_is(err, "gone") || ap_cause_is(err, "timeout");
}

/* *ret_doc, and info with the etag it has; of no file an empty object, and info->etag "". */
static int
doc_read(struct ap_metadata *m, const char *space, const char *path, json_t **ret_doc,
         struct cs3_info *info, struct ls_err *err)
{
    struct ls_err why = {0};
    struct ls_buf body;
    json_t *doc = NULL;
    int there = -1, r = -1;

    ls_buf_init(&body, FILE_CAP);
    for (int try = 0; try < READS; try++) {
        if (try)
            ls_run_sleep_ms(PAUSE_MS);
        there = look(m, space, path, info, &why);
        r = there > 0 ? content_get(m, space, path, info, &body, &why) : there;
        if (r == 0 || !passing(&why))
            break;
    }
    if (r < 0) {
        if (err)
            *err = why;
    } else if (!there) {
        info->etag[0] = '\0';
        doc = json_object();
    } else {
        doc = json_loadb((const char *)body.p, body.n, JSON_ALLOW_NUL, NULL);
        if (!json_is_object(doc)) {
            json_decref(doc);
            doc = NULL;
            r = ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "%s/%s is no JSON object", space,
                              path);
        }
    }
    ls_buf_free(&body);
    if (r == 0 && !doc)
        r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    if (r == 0)
        *ret_doc = doc;
    return r;
}

/* ---- writing */
static int
folders_make(struct ap_metadata *m, const char *space, const char *path, struct ls_err *err)
{
    struct ls_err why = {0};
    char part[1024];

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        struct cs3_place place = {"", space, space, part};
        if (cs3_mkdir(m->cs3, cs3_system_user(m->cs3), &place, &why) < 0 &&
            !ap_cause_is(&why, "taken")) {
            if (err)
                *err = why;
            return -1;
        }
    }
    return 0;
}

/* 1: somebody was faster. 0: ret_etag is what the file has now, "" when nobody knows. */
static int
doc_write(struct ap_metadata *m, const char *space, const char *path, const json_t *doc,
          const char *etag, char ret_etag[64], struct ls_err *err)
{
    const char *as = cs3_system_user(m->cs3);
    struct cs3_place place = {"", space, space, path};
    char *text = json_dumps(doc, JSON_COMPACT), *url = NULL;
    struct cs3_upload upload = {
        .size = text ? (int64_t)strlen(text) : 0,
        .server_time = true,
        .if_not_exist = !*etag,
        .if_match = *etag ? etag : NULL,
    };
    struct ls_err why = {0};
    int r = -1;

    if (!text)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    if (!*etag && folders_make(m, space, path, &why) < 0)
        goto out;
    if (cs3_upload_begin(m->cs3, as, &place, &upload, &url, &why) < 0) {
        if (ap_cause_is(&why, *etag ? "parent-gone" : "taken"))
            r = 1;
        goto out;
    }
    r = ap_data_put_bytes(m->data, as, url, text, strlen(text), ret_etag, &why);
    if (r < 0 && ap_cause_is(&why, "taken"))
        r = 1;
out:
    free(url);
    free(text);
    if (r < 0 && err)
        *err = why;
    return r;
}

/* ---- one file for all who wait for it */
static bool
changes_apply(struct waiter *first, json_t *doc)
{
    bool changed = false;

    for (struct waiter *w = first; w; w = w->next) {
        memset(&w->err, 0, sizeof(w->err));
        w->result = w->change(w->arg, doc, &w->err);
        w->changed = w->result > 0;
        changed = changed || w->changed;
    }
    return changed;
}

static void
changes_fail(struct waiter *first, bool all, const struct ls_err *why)
{
    for (struct waiter *w = first; w; w = w->next)
        if (all || w->changed) {
            w->result = -1;
            w->err = *why;
        }
}

/* A server that is overtaken has to do it all again, or fails; so are we, and wait a little. */
static void
overtaken_pause(int try)
{
    struct ls_backoff backoff = { PAUSE_MS, 500, (unsigned)(try < 5 ? try : 5) };

    ls_run_sleep_ms(PAUSE_MS / 4 + ls_backoff_next_ms(&backoff));
}

/* The etag of a file, "" where there is none or nobody knows. */
static void
etag_look(struct ap_metadata *m, const char *space, const char *path, char ret[64])
{
    struct cs3_info info;

    ret[0] = '\0';
    if (look(m, space, path, &info, NULL) > 0)
        memcpy(ret, info.etag, 64);
}

/* The server's calls come in bursts: while one goes on we would meet many of them. Was there
 * anything to wait for? Then *etag is what the file has had for long enough, or has by `end`. */
static bool
pause_wait(struct ap_metadata *m, const char *space, const char *path, const struct file *file,
           char etag[64], int64_t end)
{
    bool waited = false;
    char now[64];
    int64_t ms;

    while ((ms = ap_still_ms(m->still, file->key, etag, file->polite, ls_mono_ms())) > 0 &&
           ls_mono_ms() + ms < end && !ls_run_stopping()) {
        ls_run_sleep_ms(ms);
        waited = true;
        etag_look(m, space, path, now);
        if (!strcmp(now, etag))
            break;
        memcpy(etag, now, sizeof(now));
    }
    return waited;
}

/* Whoever waits for the file by now is served, too. */
static void
waiters_take(struct ap_metadata *m, struct file *file, struct waiter **list)
{
    struct waiter **end = list;

    pthread_mutex_lock(&m->mutex);
    while (*end)
        end = &(*end)->next;
    *end = file->first;
    file->first = NULL;
    file->last = &file->first;
    pthread_mutex_unlock(&m->mutex);
}

/* Of these who has nothing to be written may go; all of them: whoever is left. */
static void
waiters_done(struct ap_metadata *m, struct waiter **list, bool all)
{
    struct waiter *w, *next = *list, **kept = list;

    *list = NULL;
    pthread_mutex_lock(&m->mutex);
    for (w = next; w; w = next) {
        next = w->next; /* whoever is done may leave */
        w->next = NULL;
        if (all || !w->changed) {
            w->done = true;
        } else {
            *kept = w;
            kept = &w->next;
        }
    }
    pthread_cond_broadcast(&m->served);
    pthread_mutex_unlock(&m->mutex);
}

/* Reads, changes, writes; again when others wrote meanwhile, or were about to. *list grows. */
static void
file_serve(struct ap_metadata *m, const char *space, const char *path, struct file *file,
           struct waiter **list)
{
    int64_t end = ls_mono_ms() + POLITE_MS;
    char still[64] = "", written[64];
    struct ls_err why = {0};
    struct cs3_info info;
    bool doubt = false; /* a write of ours may have happened */

    for (int try = 0; try < TRIES;) {
        json_t *doc = NULL;
        bool changed;
        int r = 0;

        waiters_take(m, file, list);
        if (doc_read(m, space, path, &doc, &info, &why) < 0) {
            if (doubt && why.kind == LS_ERR_RETRY)
                snprintf(why.cause, sizeof(why.cause), "timeout");
            changes_fail(*list, true, &why);
            return;
        }
        changed = changes_apply(*list, doc);
        if (changed && strcmp(still, info.etag) != 0) {
            memcpy(still, info.etag, sizeof(still));
            waiters_done(m, list, false);
            if (pause_wait(m, space, path, file, still, end)) {
                json_decref(doc);
                continue;
            }
        }
        if (changed)
            r = doc_write(m, space, path, doc, info.etag, written, &why);
        json_decref(doc);
        if (r == 0) {
            if (changed)
                ap_still_known(m->still, file->key, written);
            return;
        }
        if (r > 0) {
            ap_still_overtaken(m->still, file->key, ls_mono_ms());
            ls_fail_cause(&why, LS_ERR_RETRY, 0, "busy", "%s/%s is changed all the time", space,
                          path);
        } else if (ap_cause_is(&why, "internal") || ap_cause_is(&why, "timeout")) {
            ap_still_known(m->still, file->key, "");
            doubt = true;
        } else {
            break;
        }
        still[0] = '\0';
        overtaken_pause(try++);
    }
    if (doubt && why.kind == LS_ERR_RETRY)
        snprintf(why.cause, sizeof(why.cause), "timeout");
    changes_fail(*list, false, &why);
}

void
ap_metadata_coming(struct ap_metadata *m, int more)
{
    atomic_fetch_add(&m->coming, more);
}

static void
coming_wait(struct ap_metadata *m)
{
    for (int waited = 0; waited < GATHER_MS && atomic_load(&m->coming) > 0; waited += 5)
        ls_run_sleep_ms(5);
}

static struct file *
file_enter(struct ap_metadata *m, const char *space, const char *path)
{
    struct file *file = NULL;
    char *key = NULL;

    if (asprintf(&key, "%s/%s", space, path) < 0)
        return NULL;
    HASH_FIND_STR(m->files, key, file);
    if (!file) {
        file = calloc(1, sizeof(*file));
        if (!file) {
            free(key);
            return NULL;
        }
        file->key = key;
        file->last = &file->first;
        HASH_ADD_KEYPTR(hh, m->files, file->key, strlen(file->key), file);
    } else {
        free(key);
    }
    file->users++;
    return file;
}

static void
file_leave(struct ap_metadata *m, struct file *file)
{
    if (--file->users > 0)
        return;
    HASH_DEL(m->files, file);
    free(file->key);
    free(file);
}

/* The mutex is held, but not meanwhile. Serves all who are there by the time of the last read. */
static void
file_lead(struct ap_metadata *m, const char *space, const char *path, struct file *file)
{
    struct waiter *list = NULL;

    file->busy = true;
    pthread_mutex_unlock(&m->mutex);
    if (!file->polite)
        coming_wait(m);
    file_serve(m, space, path, file, &list);
    waiters_done(m, &list, true);
    pthread_mutex_lock(&m->mutex);
    file->busy = false;
    pthread_cond_broadcast(&m->served);
}

/* Every waiter is in its file's row; the mutex is held. Leads one file that nobody leads, or waits.
 */
static void
step(struct ap_metadata *m, struct ap_metadata_change *changes, struct waiter *waiters,
     struct file **files, int n)
{
    for (int i = 0; i < n; i++)
        if (!waiters[i].done && !files[i]->busy) {
            file_lead(m, changes[i].space, changes[i].path, files[i]);
            return;
        }
    pthread_cond_wait(&m->served, &m->mutex);
}

static bool
all_done(const struct waiter *waiters, int n)
{
    for (int i = 0; i < n; i++)
        if (!waiters[i].done)
            return false;
    return true;
}

int
ap_metadata_change_all(struct ap_metadata *m, struct ap_metadata_change *changes, int n,
                       struct ls_err *err)
{
    struct waiter waiters[CHANGES];
    struct file *files[CHANGES];
    int entered, r = 0;

    if (n > CHANGES)
        return ls_fail(err, LS_ERR_FATAL, 0, "%d files at once", n);
    pthread_mutex_lock(&m->mutex);
    for (entered = 0; entered < n; entered++) {
        files[entered] = file_enter(m, changes[entered].space, changes[entered].path);
        if (!files[entered])
            break;
        files[entered]->polite = changes[entered].polite;
    }
    if (entered < n) {
        r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    for (int i = 0; i < n; i++) {
        waiters[i] = (struct waiter){.change = changes[i].change, .arg = changes[i].arg};
        *files[i]->last = &waiters[i];
        files[i]->last = &waiters[i].next;
    }
    while (!all_done(waiters, n))
        step(m, changes, waiters, files, n);
    for (int i = 0; i < n; i++) {
        changes[i].result = waiters[i].result;
        changes[i].err = waiters[i].err;
        if (waiters[i].result < 0 && r == 0) {
            r = -1;
            if (err)
                *err = waiters[i].err;
        }
    }
out:
    while (entered-- > 0)
        file_leave(m, files[entered]);
    pthread_mutex_unlock(&m->mutex);
    return r;
}

int
ap_metadata_change(struct ap_metadata *m, const char *space, const char *path, bool polite,
                   ap_metadata_fn *change, void *arg, struct ls_err *err)
{
    struct ap_metadata_change one = {
        .space = space, .path = path, .polite = polite, .change = change, .arg = arg};

    return ap_metadata_change_all(m, &one, 1, err) < 0 ? -1 : one.result;
}
