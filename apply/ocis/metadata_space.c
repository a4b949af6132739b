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
 * What we have read or written last is kept, and not fetched again while Stat shows its SHA1.
 *
 * The managers' spaces are made by the managers. They hold what they have read in memory and read
 * again when the etag is another one, so nobody has to be told.
 */
#include "apply/ocis/metadata_space.h"
#include "apply/cs3/cs3.h"
#include "apply/cs3/data.h"
#include "apply/ocis/still.h"
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
#define KEEP_CAP (8u << 20) /* of all contents that are kept */
enum {
    TRIES = 30,            /* of a change that is overtaken */
    READS = 8,             /* of a content that does not come whole */
    PAUSE_MS = 20,         /* between two of either */
    GATHER_MS = 100,       /* the least that those who are coming are waited for */
    GATHER_MOST_MS = 1000, /* and the most */
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

/* The content of a file as we knew it last. */
struct kept {
    char *key, *text, sha1[41];
    size_t n;
    UT_hash_handle hh;
};

struct ap_metadata {
    const struct ap_writer *writer; /* to tell of waits */
    struct cs3_client *cs3;
    struct ap_data *data;
    pthread_mutex_t mutex; /* files and their waiters */
    pthread_cond_t served;
    struct file *files;
    struct kept *kept; /* the oldest first; also under the mutex */
    size_t kept_bytes;
    atomic_int coming;
    atomic_int write_ms;    /* what the last write took */
    struct ap_still *still; /* who else writes */
};

static void
kept_free(struct kept *kept)
{
    if (!kept)
        return;
    free(kept->key);
    free(kept->text);
    free(kept);
}

static void
kept_out(struct ap_metadata *m, struct kept *kept)
{
    HASH_DEL(m->kept, kept);
    m->kept_bytes -= kept->n;
}

static void
kept_drop(struct ap_metadata *m, struct kept *kept)
{
    kept_out(m, kept);
    kept_free(kept);
}

int
ap_metadata_new(const struct ls_config *config, struct ap_http *http,
                const struct ap_writer *writer, ap_call_fn *call_counter, void *arg,
                struct ap_metadata **ret, struct ls_err *err)
{
    struct ap_metadata *m = calloc(1, sizeof(*m));

    if (!m)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->served, NULL);
    m->writer = writer;
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
    while (m->kept)
        kept_drop(m, m->kept);
    pthread_cond_destroy(&m->served);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

/* This thread asks nothing of the target meanwhile. */
static void
waits(const struct ap_metadata *m, bool begins)
{
    if (m->writer && m->writer->waits)
        m->writer->waits(m->writer->waits_arg, begins);
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
sha1_of(const void *p, size_t size, char ret[41])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    if (!EVP_Digest(size ? p : (const void *)"", size, sum, &n, EVP_sha1(), NULL) || n != 20)
        return false;
    for (unsigned int i = 0; i < n; i++)
        snprintf(ret + (size_t)2 * i, 3, "%02x", sum[i]);
    return true;
}

static bool
sha1_is(const struct ls_buf *body, const char *wanted)
{
    char is[41];

    return !*wanted || (sha1_of(body->p, body->n, is) && strcmp(is, wanted) == 0);
}

static void
keep_entry(struct ap_metadata *m, struct kept *kept)
{
    struct kept *old = NULL;

    pthread_mutex_lock(&m->mutex);
    HASH_FIND_STR(m->kept, kept->key, old);
    if (old)
        kept_drop(m, old);
    /* The analyser does not see that HASH_DEL moves the head. */
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
    while (m->kept && m->kept_bytes + kept->n > KEEP_CAP)
        kept_drop(m, m->kept);
    HASH_ADD_KEYPTR(hh, m->kept, kept->key, strlen(kept->key), kept);
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
    m->kept_bytes += kept->n;
    pthread_mutex_unlock(&m->mutex);
}

/* A copy of it, as far as there is room. */
static void
keep(struct ap_metadata *m, const char *space, const char *path, const void *text, size_t n)
{
    struct kept *kept = n <= KEEP_CAP ? calloc(1, sizeof(*kept)) : NULL;

    if (!kept)
        return;
    kept->n = n;
    kept->text = malloc(n + 1);
    if (!kept->text || !sha1_of(text, n, kept->sha1) ||
        asprintf(&kept->key, "%s/%s", space, path) < 0) {
        kept->key = NULL;
        kept_free(kept);
        return;
    }
    memcpy(kept->text, text, n);
    keep_entry(m, kept);
}

/* What Stat shows, when that is what we know; NULL: it has to be read. Only one thread is about a
 * file, so nobody misses the entry while it is out of the table. */
static json_t *
kept_doc(struct ap_metadata *m, const char *space, const char *path, const struct cs3_info *info)
{
    struct kept *kept = NULL;
    json_t *doc = NULL;
    char *key = NULL;

    if (!info->sha1[0] || asprintf(&key, "%s/%s", space, path) < 0)
        return NULL;
    pthread_mutex_lock(&m->mutex);
    HASH_FIND_STR(m->kept, key, kept);
    if (kept)
        kept_out(m, kept);
    pthread_mutex_unlock(&m->mutex);
    free(key);
    if (kept && info->size == (int64_t)kept->n && !strcmp(kept->sha1, info->sha1))
        doc = json_loadb(kept->text, kept->n, JSON_ALLOW_NUL, NULL);
    if (json_is_object(doc)) {
        keep_entry(m, kept);
        return doc;
    }
    json_decref(doc);
    kept_free(kept);
    return NULL;
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
        if (there > 0 && (doc = kept_doc(m, space, path, info)))
            r = 0;
        else
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
    } else if (!doc) {
        doc = json_loadb((const char *)body.p, body.n, JSON_ALLOW_NUL, NULL);
        if (json_is_object(doc)) {
            keep(m, space, path, body.p, body.n);
        } else {
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
    if (r == 0)
        keep(m, space, path, text, strlen(text));
    else if (ap_cause_is(&why, "taken"))
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
        waits(m, true);
        ls_run_sleep_ms(ms);
        waits(m, false);
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
        if (changed) {
            int64_t began = ls_mono_ms();
            r = doc_write(m, space, path, doc, info.etag, written, &why);
            atomic_store(&m->write_ms, (int)(ls_mono_ms() - began));
        }
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

/* While one write goes on the next one gathers; with a large file that is longer, and so there are
 * fewer of them. */
static void
coming_wait(struct ap_metadata *m)
{
    int64_t most = 3 * (int64_t)atomic_load(&m->write_ms), end;

    most = most < GATHER_MS ? GATHER_MS : most > GATHER_MOST_MS ? GATHER_MOST_MS : most;
    if (atomic_load(&m->coming) <= 0)
        return;
    end = ls_mono_ms() + most;
    waits(m, true);
    while (atomic_load(&m->coming) > 0 && ls_mono_ms() < end && !ls_run_stopping())
        ls_run_sleep_ms(5);
    waits(m, false);
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
    waits(m, true);
    pthread_cond_wait(&m->served, &m->mutex);
    waits(m, false);
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
