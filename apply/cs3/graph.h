/*
 * Users, groups and members over oCIS's Graph.
 *
 * Signs in as target.graph_user: with target.graph_password over basic authentication (the
 * proxy's address), without one by impersonation and x-access-token (the graph service's own
 * address, http://host:9120/graph). Names are found without regard to case, as oCIS does.
 */
#ifndef AP_GRAPH_H
#define AP_GRAPH_H

#include "apply/cs3/cs3.h"
#include "apply/cs3/http.h"

struct ap_graph;
/* Borrows both for its life. */
int ap_graph_new(const struct ls_config *config, struct ap_http *http, struct cs3_client *cs3,
                 struct ap_graph **ret, struct ls_err *err);
void ap_graph_free(struct ap_graph *graph);

/* Who signs in there, as an `as` of apply/cs3/cs3.h. */
const char *ap_graph_as(const struct ap_graph *graph);

struct ap_graph_user {
    char id[AP_ID_SIZE];
    char name[256]; /* that he signs in by; an id finds him, too */
    char display_name[512];
    bool enabled;
};
/* RETRY grantee-missing when there is none of that name. */
int ap_graph_user_get(struct ap_graph *graph, const char *name, struct ap_graph_user *ret,
                      struct ls_err *err);
/* Of somebody of the source, as cs3_match_of says. RETRY grantee-missing also for NOBODY. */
int ap_graph_user_of(struct ap_graph *graph, const char *as, struct ap_graph_user *ret,
                     struct ls_err *err);
/* Whose id it is, not whose name; ids may differ in case. */
int ap_graph_user_by_id(struct ap_graph *graph, const char *id, struct ap_graph_user *ret,
                        struct ls_err *err);
/* With a random password nobody knows. A mail address that the target refuses is left out.
 * RETRY taken when the name exists; POISON name-refused. */
int ap_graph_user_create(struct ap_graph *graph, const char *name, const char *display_name,
                         const char *mail, struct ap_graph_user *ret, struct ls_err *err);
/* NULL: left alone, and so is a mail address that the target refuses. */
int ap_graph_user_update(struct ap_graph *graph, const char *user_id, const char *display_name,
                         const char *mail, struct ls_err *err);
int ap_graph_user_enable(struct ap_graph *graph, const char *user_id, bool enabled,
                         struct ls_err *err);
/* Who has no role at all gets the one that oCIS gives to whoever signs in for the first time;
 * without one nobody has a space. *ret: he had none. */
int ap_graph_role_give(struct ap_graph *graph, const char *user_id, bool *ret, struct ls_err *err);
/* `bytes` 0: no limit. `drive` is "<storage id>$<space id>"; RETRY gone when there is none. */
int ap_graph_drive_quota(struct ap_graph *graph, const char *drive, int64_t bytes,
                         struct ls_err *err);
/* How much it may hold; 0: no limit. RETRY gone as above. */
int ap_graph_drive_quota_get(struct ap_graph *graph, const char *drive, int64_t *ret_bytes,
                             struct ls_err *err);
/* ... and how much is left of it, as the storage's driver counts it; -1: it does not say. */
int ap_graph_drive_room(struct ap_graph *graph, const char *drive, int64_t *ret_bytes,
                        int64_t *ret_left, struct ls_err *err);
/* Is the user in that group? RETRY grantee-missing: there is no such user. */
int ap_graph_member_get(struct ap_graph *graph, const char *group_id, const char *user_id,
                        bool *ret, struct ls_err *err);
int ap_graph_group_get(struct ap_graph *graph, const char *name, char ret_id[AP_ID_SIZE],
                       struct ls_err *err);
/* By the id that a directory gives it; a group that is only called so is none. */
int ap_graph_group_by_id(struct ap_graph *graph, const char *id, char ret_id[AP_ID_SIZE],
                         struct ls_err *err);
int ap_graph_group_create(struct ap_graph *graph, const char *name, char ret_id[AP_ID_SIZE],
                          struct ls_err *err);
/* Already gone is fine; so is a member who is or is not one already. */
int ap_graph_group_remove(struct ap_graph *graph, const char *group_id, struct ls_err *err);
int ap_graph_member_set(struct ap_graph *graph, const char *group_id, const char *user_id,
                        bool member, struct ls_err *err);

#endif
