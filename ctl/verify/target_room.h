/*
 * What the files of oCIS's side share: who is looked at as whom, and when a call is made again.
 */
#ifndef CTL_TARGET_ROOM_H
#define CTL_TARGET_ROOM_H

#include "apply/cs3/cs3.h"
#include "apply/cs3/data.h"
#include "apply/cs3/graph.h"
#include "apply/cs3/http.h"
#include "ctl/verify/target.h"
#include <pthread.h>
#include <uthash.h>

#define TARGET_TRIES 4

struct target_session {
    char *uid;
    char id[AP_ID_SIZE];
    const char *as; /* uid, or CS3_SERVICE_ACCOUNT */
    struct ap_space space;
    char *groups; /* as of cs3_groups_of; NULL: does not sign in */
    bool has_space, enabled;
    UT_hash_handle hh;
};

struct target_home { /* a personal space, as the service account lists them */
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
    struct target_session *sessions;
    pthread_mutex_t homes_lock; /* of those below */
    struct target_home *homes;
    bool homes_listed;
    pthread_mutex_t away_lock; /* of those below */
    bool quotas_refused;       /* Graph was asked often enough, and refuses */
    bool quotas_answered;      /* it has told one */
    bool quotas_away;          /* it was asked often enough, and does not answer */
    bool signed_in;            /* it has let somebody in, so the keys are right */
    int64_t said_ms;           /* that it is away */
};

/* target_session.c: the user's session; *ret is NULL when he cannot be looked at. */
int target_session_of(struct target *target, const char *uid, struct target_session **ret,
                      struct ls_err *err);
void target_sessions_free(struct target *target);

/* target_tries.c */
struct target_tries {
    int n;
    int64_t away_ms; /* since when the target is; 0: it is not */
};
/* All of it, not this one thing. A sign-in that worked before fails while its services start. */
bool target_is_away(struct target *target, const struct ls_err *err);
/* A gateway that is about to stop knows nobody and nothing; false: `err` is what it is then. */
bool target_is_there(struct target *target, struct ls_err *err);
/* After a failure: is another try of use? Waits before it says yes. Replies are handed on only when
 * they are whole, so a call may be repeated. */
bool target_once_more(struct target *target, struct ls_err *err, struct target_tries *tries);

#endif
