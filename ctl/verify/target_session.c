/*
 * Who is looked at as whom, and what Graph says of his space.
 *
 * A user who is disabled there does not sign in: with a service account his id is asked from Graph
 * and his space is read by that account, which sees tree and trash of everybody, but neither his
 * links nor what he received. Otherwise, and when the target does not know him, he cannot be looked
 * at: target_user says so and the caller decides. Each is asked about once.
 */
#include "common/run.h"
#include "ctl/verify/target_room.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the service account's look */

static int
take_home(void *arg, const struct cs3_space_info *info)
{
    struct target *target = arg;
    struct target_home *home = NULL;

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
find_home(struct target *target, struct target_session *session, struct ls_err *err)
{
    struct target_home *home = NULL;
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
session_fill_service(struct target *target, struct target_session *session, struct ls_err *err)
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
session_look(struct target *target, struct target_session *session, struct ls_err *err)
{
    struct ls_err why = {0};

    if (!session->groups && cs3_groups_of(target->cs3, session->uid, &session->groups, &why) < 0) {
        session->groups = NULL;
    } else if (cs3_personal_space(target->cs3, session->uid, &session->space, &why) == 0) {
        session->has_space = true;
        return 0;
    } else if (strcmp(why.cause, "gone") == 0 && target_is_there(target, &why)) {
        return 0;
    }
    *err = why;
    return -1;
}

/* Signs in and finds the home. A user who cannot be looked at has an empty id then. */
static int
session_fill(struct target *target, struct target_session *session, struct ls_err *err)
{
    struct ls_err why = {0};

    session->as = session->uid;
    session->enabled = true;
    if (cs3_sign_in(target->cs3, session->uid, session->id, &why) == 0) {
        note_signed_in(target);
        return session_look(target, session, err);
    }
    session->id[0] = 0;
    if (why.code == CS3_NOT_FOUND && target_is_there(target, &why))
        return target->graph ? session_fill_service(target, session, err) : 0;
    *err = why;
    return -1;
}

int
target_session_of(struct target *target, const char *uid, struct target_session **ret,
                  struct ls_err *err)
{
    struct target_session *session;
    struct target_tries tries = {0};
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
    while (r < 0 && target_once_more(target, err, &tries));
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
    struct target_session *session = NULL;

    if (target_session_of(target, uid, &session, err) < 0)
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
    struct target_session *session = NULL;
    size_t n = strlen(group_id);

    if (n == 0 || n >= AP_ID_SIZE)
        return 0;
    if (target_session_of(target, uid, &session, err) < 0)
        return -1;
    if (!session || !session->groups)
        return 0;
    snprintf(wanted, sizeof wanted, "\n%s\n", group_id);
    return strcasestr(session->groups, wanted) != NULL;
}

void
target_sessions_free(struct target *target)
{
    struct target_session *session, *next;
    struct target_home *home, *after;

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
}

/* ---- quotas */

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
quota_once_more(struct target *target, struct ls_err *err, struct target_tries *tries)
{
    bool answered, away;

    pthread_mutex_lock(&target->away_lock);
    answered = target->quotas_answered;
    away = target->quotas_away;
    pthread_mutex_unlock(&target->away_lock);
    if (away || quota_refused(target, err, false))
        return false;
    if (answered || !target_is_away(target, err))
        return target_once_more(target, err, tries);
    if (++tries->n > TARGET_TRIES)
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
    struct target_session *session = NULL;
    char drive[2 * AP_ID_SIZE + 2];
    struct target_tries tries = {0};
    int r;

    if (target_session_of(target, uid, &session, err) < 0)
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
    if (target_is_away(target, err) &&
        target_is_there(target, err)) { /* the rest can be compared */
        note_quota(target, false);
        snprintf(err->cause, sizeof err->cause, "graph-away");
    }
    return -1;
}
