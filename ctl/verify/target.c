/*
 * oCIS's side of verify, over the same CS3 client as apply but with none of its state.
 *
 * Every user is looked at as himself (impersonated), so what is compared is what he will see. A
 * space is found by listing, not from the ledger. A user who is disabled there does not sign in:
 * with a service account his id is asked from Graph and his space is read by that account, which
 * sees tree and trash of everybody, but neither his links nor what he received. Otherwise, and when
 * the target does not know him, he cannot be looked at: target_user says so and the caller decides.
 *
 * A comparison takes hours, and a target is restarted within them: one that has answered and is
 * away is waited for. What it refuses for one thing alone is tried a few times.
 */
#include "ctl/verify/target.h"
#include "apply/cs3/cs3.h"
#include "apply/cs3/data.h"
#include "apply/cs3/graph.h"
#include "apply/cs3/http.h"
#include "apply/ocis/metadata_space.h"
#include "common/log.h"
#include "common/run.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define TRIES 4
#define AWAY_MS 120000
#define SAY_MS 30000

struct session {
    char *uid;
    char id[AP_ID_SIZE];
    const char *as; /* uid, or CS3_SERVICE_ACCOUNT */
    struct ap_space space;
    char *groups; /* as of cs3_groups_of; NULL: does not sign in */
    bool has_space, enabled;
    UT_hash_handle hh;
};

struct home { /* a personal space, as the service account lists them */
    char owner_id[AP_ID_SIZE];
    struct ap_space space;
    UT_hash_handle hh;
};

struct target {
    const struct ls_config *config;
    struct cs3_client *cs3;
    struct ap_http *http;
    struct ap_data *data;
    struct ap_graph *graph;  /* NULL: no service account */
    struct ap_graph *quotas; /* NULL: there is no target.graph_user */
    pthread_mutex_t lock;    /* of sessions */
    struct session *sessions;
    pthread_mutex_t homes_lock; /* of those below */
    struct home *homes;
    bool homes_listed;
    pthread_mutex_t away_lock; /* of those below */
    bool quotas_refused;       /* Graph was asked often enough, and refuses */
    bool quotas_answered;      /* it has told one */
    bool quotas_away;          /* it was asked often enough, and does not answer */
    bool signed_in;            /* it has let somebody in, so the keys are right */
    int64_t said_ms;           /* that it is away */
};

static int
open_service(struct target *target, const struct ls_config *config, struct ls_err *err)
{
    const char *id = ls_config_str(config, "target", "service_account_id");
    const char *secret = ls_config_str(config, "target", "service_account_secret");

    if (!id && !secret)
        return 0;
    if (ap_graph_new(config, target->http, target->cs3, &target->graph, err) < 0)
        return -1;
    /* a wrong secret is said now, not by the first disabled user */
    return cs3_sign_in(target->cs3, CS3_SERVICE_ACCOUNT, NULL, err);
}

/* Whether it answers, and tells of spaces, shows with the first one that is asked for. */
static int
open_quotas(struct target *target, const struct ls_config *config, struct ls_err *err)
{
    const char *name = ls_config_str(config, "target", "graph_user");

    return name ? ap_graph_new(config, target->http, target->cs3, &target->quotas, err) : 0;
}

int
target_open(const struct ls_config *config, struct target **ret, struct ls_err *err)
{
    struct target *target = calloc(1, sizeof *target);

    if (!target)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    target->config = config;
    pthread_mutex_init(&target->lock, NULL);
    pthread_mutex_init(&target->homes_lock, NULL);
    pthread_mutex_init(&target->away_lock, NULL);
    if (cs3_client_new(config, NULL, NULL, &target->cs3, err) < 0 ||
        ap_http_new(config, NULL, NULL, &target->http, err) < 0 ||
        ap_data_new(config, target->http, target->cs3, &target->data, err) < 0 ||
        cs3_ping(target->cs3, err) < 0 || open_service(target, config, err) < 0 ||
        open_quotas(target, config, err) < 0) {
        target_close(target);
        return -1;
    }
    *ret = target;
    return 0;
}

void
target_close(struct target *target)
{
    struct session *session, *next;
    struct home *home, *after;

    if (!target)
        return;
    session = target->sessions;
    HASH_CLEAR(hh, target->sessions);
    for (; session; session = next) {
        next = session->hh.next;
        free(session->uid);
        free(session->groups);
        free(session);
    }
    home = target->homes;
    HASH_CLEAR(hh, target->homes);
    for (; home; home = after) {
        after = home->hh.next;
        free(home);
    }
    ap_graph_free(target->quotas);
    ap_graph_free(target->graph);
    ap_data_free(target->data);
    ap_http_free(target->http);
    cs3_client_free(target->cs3);
    pthread_mutex_destroy(&target->away_lock);
    pthread_mutex_destroy(&target->homes_lock);
    pthread_mutex_destroy(&target->lock);
    free(target);
}

/* ---- another try */

struct tries {
    int n;
    int64_t away_ms; /* since when the target is; 0: it is not */
};

/* All of it, not this one thing. A sign-in that worked before fails while its services start. */
static bool
is_away(struct target *target, const struct ls_err *err)
{
    bool signed_in;

    if (strcmp(err->cause, "target-down") == 0 || strcmp(err->cause, "timeout") == 0 ||
        strcmp(err->cause, "slow-down") == 0)
        return true;
    pthread_mutex_lock(&target->away_lock);
    signed_in = target->signed_in;
    pthread_mutex_unlock(&target->away_lock);
    return signed_in && strcmp(err->cause, "sign-in") == 0;
}

/* A gateway that is about to stop knows nobody and nothing; false: `err` is what it is then. */
static bool
is_there(struct target *target, struct ls_err *err)
{
    struct ls_err why = {0};

    if (cs3_ping(target->cs3, &why) == 0)
        return true;
    *err = why;
    return false;
}

static void
say_away(struct target *target, const struct ls_err *err)
{
    int64_t now = ls_mono_ms();
    bool say;

    pthread_mutex_lock(&target->away_lock);
    say = target->said_ms == 0 || now - target->said_ms >= SAY_MS;
    if (say)
        target->said_ms = now;
    pthread_mutex_unlock(&target->away_lock);
    if (say)
        ls_log_err(LS_WARN, "target-away", err);
}

/* What ran out of time again and again is this one thing's trouble when the target answers. */
static bool
give_up_away(struct target *target, struct ls_err *err)
{
    if (strcmp(err->cause, "timeout") == 0)
        (void)is_there(target, err);
    return false;
}

/* After a failure: is another try of use? Waits before it says yes. Replies are handed on only when
 * they are whole, so a call may be repeated. */
static bool
once_more(struct target *target, struct ls_err *err, struct tries *tries)
{
    if (err->kind != LS_ERR_RETRY || strcmp(err->cause, "no-user") == 0 ||
        (strcmp(err->cause, "gone") == 0 && is_there(target, err)))
        return false;
    if (is_away(target, err)) {
        if (tries->away_ms == 0)
            tries->away_ms = ls_mono_ms();
        else if (ls_mono_ms() - tries->away_ms >= AWAY_MS)
            return give_up_away(target, err);
        else if (ls_mono_ms() - tries->away_ms >= 2000)
            say_away(target, err);
        tries->n = 0;
        ls_run_sleep_ms(500);
        return !ls_run_stopping();
    }
    tries->away_ms = 0;
    if (++tries->n > TRIES || strcmp(err->cause, "sign-in") == 0)
        return false;
    ls_run_sleep_ms(100LL << tries->n);
    return !ls_run_stopping();
}

/* ---- the service account's look */

static int
take_home(void *arg, const struct cs3_space_info *info)
{
    struct target *target = arg;
    struct home *home = NULL;

    if (!*info->owner_id || strlen(info->owner_id) >= AP_ID_SIZE ||
        strlen(info->storage_id) >= AP_ID_SIZE || strlen(info->space_id) >= AP_ID_SIZE ||
        strlen(info->root_id) >= AP_ID_SIZE)
        return 0;
    HASH_FIND_STR(target->homes, info->owner_id, home);
    if (home)
        return 0;
    home = calloc(1, sizeof *home);
    if (!home)
        return -1;
    snprintf(home->owner_id, AP_ID_SIZE, "%s", info->owner_id);
    snprintf(home->space.storage_id, AP_ID_SIZE, "%s", info->storage_id);
    snprintf(home->space.space_id, AP_ID_SIZE, "%s", info->space_id);
    snprintf(home->space.root_id, AP_ID_SIZE, "%s", info->root_id);
    HASH_ADD_STR(target->homes, owner_id, home);
    return 0;
}

/* All homes are listed once: a list for each disabled user would grow with their square. */
static int
find_home(struct target *target, struct session *session, struct ls_err *err)
{
    struct home *home = NULL;
    int r = 0;

    pthread_mutex_lock(&target->homes_lock);
    if (!target->homes_listed) {
        r = cs3_list_spaces(target->cs3, CS3_SERVICE_ACCOUNT, "personal", take_home, target, err);
        target->homes_listed = r == 0;
    }
    if (r == 0)
        HASH_FIND_STR(target->homes, session->id, home);
    pthread_mutex_unlock(&target->homes_lock);
    if (home) {
        session->space = home->space;
        session->has_space = true;
    }
    return r;
}

/* The id stays empty for one whom Graph does not know either. */
static int
session_fill_service(struct target *target, struct session *session, struct ls_err *err)
{
    struct ap_graph_user user;
    struct ls_err why = {0};

    if (ap_graph_user_of(target->graph, session->uid, &user, &why) < 0) {
        if (strcmp(why.cause, "grantee-missing") == 0)
            return 0;
        *err = why;
        return -1;
    }
    session->as = CS3_SERVICE_ACCOUNT;
    session->enabled = user.enabled;
    snprintf(session->id, sizeof session->id, "%s", user.id);
    return find_home(target, session, err);
}

/* ---- sessions */

static void
note_signed_in(struct target *target)
{
    pthread_mutex_lock(&target->away_lock);
    target->signed_in = true;
    pthread_mutex_unlock(&target->away_lock);
}

/* Groups and home of one who has signed in. */
static int
session_look(struct target *target, struct session *session, struct ls_err *err)
{
    struct ls_err why = {0};

    if (!session->groups && cs3_groups_of(target->cs3, session->uid, &session->groups, &why) < 0) {
        session->groups = NULL;
    } else if (cs3_personal_space(target->cs3, session->uid, &session->space, &why) == 0) {
        session->has_space = true;
        return 0;
    } else if (strcmp(why.cause, "gone") == 0 && is_there(target, &why)) {
        return 0;
    }
    *err = why;
    return -1;
}

/* Signs in and finds the home. A user who cannot be looked at has an empty id then. */
static int
session_fill(struct target *target, struct session *session, struct ls_err *err)
{
    struct ls_err why = {0};

    session->as = session->uid;
    session->enabled = true;
    if (cs3_sign_in(target->cs3, session->uid, session->id, &why) == 0) {
        note_signed_in(target);
        return session_look(target, session, err);
    }
    session->id[0] = 0;
    if (why.code == CS3_NOT_FOUND && is_there(target, &why))
        return target->graph ? session_fill_service(target, session, err) : 0;
    *err = why;
    return -1;
}

/* The user's session; *ret is NULL when he cannot be looked at. */
static int
session_of(struct target *target, const char *uid, struct session **ret, struct ls_err *err)
{
    struct session *session;
    struct tries tries = {0};
    int r;

    pthread_mutex_lock(&target->lock);
    HASH_FIND_STR(target->sessions, uid, session);
    pthread_mutex_unlock(&target->lock);
    if (session) {
        *ret = session->id[0] ? session : NULL;
        return 0;
    }
    session = calloc(1, sizeof *session);
    if (!session || !(session->uid = strdup(uid))) {
        free(session);
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    }
    do
        r = session_fill(target, session, err);
    while (r < 0 && once_more(target, err, &tries));
    if (r < 0) {
        free(session->uid);
        free(session->groups);
        free(session);
        return -1;
    }
    /* one thread a user: nobody else has made it in between */
    pthread_mutex_lock(&target->lock);
    HASH_ADD_KEYPTR(hh, target->sessions, session->uid, strlen(session->uid), session);
    pthread_mutex_unlock(&target->lock);
    *ret = session->id[0] ? session : NULL;
    return 0;
}

int
target_match(struct target *target, const char *uid, const char *id, struct ls_err *err)
{
    bool known = *id && strlen(id) < AP_ID_SIZE;

    return cs3_match_set(target->cs3, uid, known ? CS3_BY_ID : CS3_NOBODY, id, err);
}

int
target_user(struct target *target, const char *uid, struct target_who *ret, struct ls_err *err)
{
    struct session *session = NULL;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    *ret = (struct target_who){0};
    if (session)
        *ret = (struct target_who){true, session->as == session->uid, session->enabled};
    return 0;
}

int
target_in_group(struct target *target, const char *uid, const char *group_id, struct ls_err *err)
{
    char wanted[AP_ID_SIZE + 2];
    struct session *session = NULL;
    size_t n = strlen(group_id);

    if (n == 0 || n >= AP_ID_SIZE)
        return 0;
    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->groups)
        return 0;
    snprintf(wanted, sizeof wanted, "\n%s\n", group_id);
    return strcasestr(session->groups, wanted) != NULL;
}

/* Is it Graph's refusal, which was asked about often enough? `lasts`: it was, now. Else each user
 * would cost the time of all tries. */
static bool
quota_refused(struct target *target, const struct ls_err *err, bool lasts)
{
    bool refused = strcmp(err->cause, "graph-refused") == 0;

    pthread_mutex_lock(&target->away_lock);
    target->quotas_refused = target->quotas_refused || (refused && lasts);
    refused = refused && target->quotas_refused;
    pthread_mutex_unlock(&target->away_lock);
    return refused;
}

/* A Graph that has answered is waited for as all of the target is; one that never has may not be
 * reached from here at all, and one that is known to be away is asked once for each. */
static bool
quota_once_more(struct target *target, struct ls_err *err, struct tries *tries)
{
    bool answered, away;

    pthread_mutex_lock(&target->away_lock);
    answered = target->quotas_answered;
    away = target->quotas_away;
    pthread_mutex_unlock(&target->away_lock);
    if (away || quota_refused(target, err, false))
        return false;
    if (answered || !is_away(target, err))
        return once_more(target, err, tries);
    if (++tries->n > TRIES)
        return false;
    ls_run_sleep_ms(100LL << tries->n);
    return !ls_run_stopping();
}

static void
note_quota(struct target *target, bool answers)
{
    pthread_mutex_lock(&target->away_lock);
    target->quotas_answered = target->quotas_answered || answers;
    target->quotas_away = !answers;
    pthread_mutex_unlock(&target->away_lock);
}

int
target_quota(struct target *target, const char *uid, int64_t *ret, struct ls_err *err)
{
    struct session *session = NULL;
    char drive[2 * AP_ID_SIZE + 2];
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!target->quotas || !session || !session->has_space)
        return 0;
    snprintf(drive, sizeof drive, "%s$%s", session->space.storage_id, session->space.space_id);
    do
        r = ap_graph_drive_quota_get(target->quotas, drive, ret, err);
    while (r < 0 && quota_once_more(target, err, &tries));
    if (r < 0 && (strcmp(err->cause, "refused") == 0 || quota_refused(target, err, true)))
        return 0; /* target.graph_user may not */
    if (r == 0) {
        note_quota(target, true);
        return 1;
    }
    if (is_away(target, err) && is_there(target, err)) { /* the rest can be compared */
        note_quota(target, false);
        snprintf(err->cause, sizeof err->cause, "graph-away");
    }
    return -1;
}

bool
target_has_service(const struct target *target)
{
    return target->graph != NULL;
}

struct item_arg {
    int (*each)(void *arg, const struct target_item *item);
    void *arg;
};

static int
give_info(void *arg, const struct cs3_info *info)
{
    struct item_arg *item = arg;

    return item->each(item->arg, &(struct target_item){.id = info->id,
                                                       .name = info->name,
                                                       .folder = info->folder,
                                                       .processing = info->processing,
                                                       .size = info->size,
                                                       .mtime = info->mtime,
                                                       .sha1 = info->sha1});
}

int
target_list(struct target *target, const char *uid, const char *node_id,
            int (*each)(void *arg, const struct target_item *item), void *arg, struct ls_err *err)
{
    struct session *session = NULL;
    struct item_arg item = {each, arg};
    struct cs3_place place;
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space)
        return 0; /* no space: nothing in it */
    place = cs3_place_of(&session->space, node_id ? node_id : session->space.root_id, NULL);
    do
        r = cs3_list(target->cs3, session->as, &place, give_info, &item, err);
    while (r < 0 && once_more(target, err, &tries));
    return r;
}

struct version_arg {
    int (*each)(void *arg, int64_t mtime, int64_t size);
    void *arg;
};

static int
give_version(void *arg, const struct cs3_version_info *info)
{
    struct version_arg *version = arg;

    return version->each(version->arg, info->mtime, info->size);
}

int
target_versions(struct target *target, const char *uid, const char *node_id,
                int (*each)(void *arg, int64_t mtime, int64_t size), void *arg, struct ls_err *err)
{
    struct session *session = NULL;
    struct version_arg version = {each, arg};
    struct cs3_place place;
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space || session->as != session->uid)
        return 0;
    place = cs3_place_of(&session->space, node_id, NULL);
    do
        r = cs3_list_versions(target->cs3, session->as, &place, give_version, &version, err);
    while (r < 0 && once_more(target, err, &tries));
    return r;
}

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
    struct session *session = NULL;
    struct cs3_place place;
    unsigned int n = 0;
    struct tries tries = {0};
    int r = -1;

    if (!content.sum) {
        ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
        goto out;
    }
    if (session_of(target, uid, &session, err) < 0)
        goto out;
    if (!session || !session->has_space) {
        ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "the user has no space any more");
        goto out;
    }
    place = cs3_place_of(&session->space, node_id, NULL);
    do
        r = read_once(target, session->as, &place, &content, err);
    while (r < 0 && once_more(target, err, &tries));
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

struct trashed_arg {
    int (*each)(void *arg, const struct target_trashed *item);
    void *arg;
    bool top;
};

static int
give_trashed(void *arg, const struct cs3_recycle_info *info)
{
    struct trashed_arg *trashed = arg;
    const char *of = trashed->top ? info->path : info->key, *slash = strrchr(of, '/');
    char where[8192] = "";

    if (trashed->top && slash)
        snprintf(where, sizeof where, "%.*s", (int)(slash - of), of);
    return trashed->each(trashed->arg,
                         &(struct target_trashed){.key = info->key,
                                                  .name = slash ? slash + 1 : of,
                                                  .where = where,
                                                  .folder = info->folder,
                                                  .size = trashed->top ? -1 : info->size,
                                                  .deleted_at = info->deleted_at});
}

int
target_trash(struct target *target, const char *uid, const char *key,
             int (*each)(void *arg, const struct target_trashed *item), void *arg,
             struct ls_err *err)
{
    struct session *session = NULL;
    struct trashed_arg trashed = {each, arg, key == NULL};
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->has_space)
        return 0;
    do
        r = cs3_list_recycle(target->cs3, session->as, &session->space, key, give_trashed, &trashed,
                             err);
    while (r < 0 && once_more(target, err, &tries));
    return r;
}

static int
take_size(void *arg, const struct cs3_recycle_info *info)
{
    *(int64_t *)arg = info->size;
    return 0;
}

int
target_trashed_size(struct target *target, const char *uid, const char *key, int64_t *ret,
                    struct ls_err *err)
{
    struct session *session = NULL;
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    *ret = -1;
    if (!session || !session->has_space)
        return 0;
    do
        r = cs3_recycle_item(target->cs3, session->as, &session->space, key, take_size, ret, err);
    while (r < 0 && once_more(target, err, &tries));
    return r;
}

struct share_arg {
    int (*each)(void *arg, const struct target_share *share);
    void *arg;
};

static int
give_received(void *arg, const struct cs3_received_info *received)
{
    struct share_arg *share = arg;

    return share->each(share->arg,
                       &(struct target_share){.share_id = received->share.id,
                                              .node_id = received->share.node_id,
                                              .permissions = received->share.permissions,
                                              .expires = received->share.expires,
                                              .state = (int)received->state});
}

int
target_received(struct target *target, const char *uid,
                int (*each)(void *arg, const struct target_share *share), void *arg,
                struct ls_err *err)
{
    struct session *session = NULL;
    struct share_arg share = {each, arg};
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || session->as != session->uid)
        return 0;
    do
        r = cs3_list_received(target->cs3, uid, give_received, &share, err);
    while (r < 0 && once_more(target, err, &tries));
    return r;
}

struct link_arg {
    int (*each)(void *arg, const struct target_link *link);
    void *arg;
};

static int
give_link(void *arg, const struct cs3_link_info *info)
{
    struct link_arg *link = arg;

    return link->each(link->arg, &(struct target_link){.link_id = info->id,
                                                       .node_id = info->node_id,
                                                       .label = info->label,
                                                       .token = info->token,
                                                       .permissions = info->permissions,
                                                       .expires = info->expires,
                                                       .has_password = info->has_password});
}

int
target_links(struct target *target, const char *uid,
             int (*each)(void *arg, const struct target_link *link), void *arg, struct ls_err *err)
{
    struct session *session = NULL;
    struct link_arg link = {each, arg};
    struct tries tries = {0};
    int r;

    if (session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || session->as != session->uid)
        return 0;
    do
        r = cs3_list_links(target->cs3, uid, NULL, give_link, &link, err);
    while (r < 0 && once_more(target, err, &tries));
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
    struct tries tries = {0};
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
        while (r < 0 && once_more(target, err, &tries));
    ap_metadata_free(metadata);
    return r < 0 ? -1 : 1;
}
