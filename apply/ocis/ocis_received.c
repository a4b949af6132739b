/*
 * What somebody made of a share that he received, over the sharing API, for the writer `ocis-api`.
 *
 * The target shows all that somebody received in one folder, where ownCloud had folders of his own;
 * it takes any name that it is told, and of two of one name either is found. So a name that is
 * taken gets a number, as where the target chooses by itself; the shares of one node may have one.
 * For that the list is read, and one change is made at a time of what one recipient has. In it, a
 * share with a group is only when his token knows of the group.
 */
#include "apply/ocis/ocis_api.h"
#include "apply/ocis/share_files.h"
#include "common/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct received_search {
    const char *id;
    char node[AP_ID_SIZE], space[AP_ID_SIZE];
    enum cs3_share_state state;
    char mount[1024];
    bool found;
    json_t *others; /* of the other accepted ones: [space, node, mount] */
};

static int
received_check(void *arg, const struct cs3_received_info *received)
{
    struct received_search *search = arg;

    if (!strcmp(received->share.id, search->id)) {
        search->found = true;
        search->state = received->state;
        snprintf(search->node, sizeof(search->node), "%s", received->share.node_id);
        snprintf(search->space, sizeof(search->space), "%s", received->share.space_id);
        snprintf(search->mount, sizeof(search->mount), "%s", received->mount_point);
    } else if (received->state == CS3_SHARE_ACCEPTED) {
        json_array_append_new(search->others,
                              json_pack("[s, s, s]", received->share.space_id,
                                        received->share.node_id, received->mount_point));
    }
    return 0;
}

/* Another node has that name. */
static bool
mount_taken(void *arg, const char *name)
{
    const struct received_search *search = arg;
    const char *space, *node, *mount;
    json_t *other;
    size_t i;

    if (!search->found || !*name)
        return false;
    json_array_foreach(search->others, i, other)
    {
        if (json_unpack(other, "[s, s, s]", &space, &node, &mount) == 0 && !strcmp(mount, name) &&
            (strcmp(space, search->space) != 0 || strcmp(node, search->node) != 0))
            return true;
    }
    return false;
}

/* The name that it gets, "" for the target's choice; a path leads to the one or the other of two
 * that have one name. 1: it is all as it shall be. */
static int
received_look(struct ap_ocis *ocis, const char *recipient, const char *share_id,
              enum cs3_share_state state, const char *wanted, char **ret_mount, struct ls_err *err)
{
    struct received_search search = {.id = share_id, .others = json_array()};
    char *mount = NULL;
    int r = -1;

    if (search.others && cs3_list_received(ocis->cs3, recipient, received_check, &search, err) < 0)
        goto out;
    mount = search.others ? ap_name_free(wanted, mount_taken, &search) : NULL;
    if (!mount) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    r = search.found && search.state == state && (!*wanted || !strcmp(search.mount, mount));
    *ret_mount = mount;
out:
    json_decref(search.others);
    return r;
}

static int
received_set_locked(struct ap_ocis *ocis, const char *recipient, const char *share_id,
                    enum cs3_share_state state, const char *wanted, bool doubtful,
                    struct ls_err *err)
{
    struct ls_err why = {0};
    char *mount = NULL, id[AP_ID_SIZE];
    int r = -1;

    for (int try = 0; r < 0 && try < 2; try++) {
        if (try) { /* a group of his that his token does not know yet? */
            if (cs3_sign_in(ocis->cs3, recipient, id, &why) < 0)
                break;
            cs3_token_forget(ocis->cs3, id);
        }
        free(mount);
        mount = NULL;
        r = doubtful || *wanted
                ? received_look(ocis, recipient, share_id, state, wanted, &mount, &why)
                : 0;
        if (r == 0)
            r = cs3_update_received(ocis->cs3, recipient, share_id, state, mount, &why);
        if (r < 0 && !ap_cause_is(&why, "gone"))
            break;
    }
    free(mount);
    if (r < 0 && ap_cause_is(&why, "gone"))
        return ls_fail_cause(err, LS_ERR_RETRY, why.code, "busy",
                             "the share is not among those that the user received");
    if (r < 0 && err)
        *err = why;
    return r < 0 ? -1 : 0;
}

int
ap_ocis_received_set(struct ap_writer *w, const char *recipient, const char *share_id,
                     enum cs3_share_state state, const char *mount_point, bool doubtful,
                     struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    const char *mount = state == CS3_SHARE_ACCEPTED ? ap_share_mount_name(mount_point) : NULL;
    pthread_mutex_t *lock = ap_share_node_lock(ocis, recipient); /* his names: one at a time */
    int r;

    pthread_mutex_lock(lock);
    r = received_set_locked(ocis, recipient, share_id, state,
                            mount && ls_utf8_valid(mount, strlen(mount)) ? mount : "", doubtful,
                            err);
    pthread_mutex_unlock(lock);
    return r;
}
