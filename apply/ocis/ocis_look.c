/*
 * Looks of the writer `ocis-api`: what the target has now of what the ledger knows.
 *
 * Nothing is changed here. What can go wrong is to take trouble for absence: then what is there
 * would be made once more. So only NOT_FOUND of the provider counts, a node that is not in the tree
 * is looked for in the trash, and before it is called gone the root of its space has to answer.
 * The trash says INTERNAL for an unknown key, and for any trouble; then its whole list decides.
 * Below a trashed folder nodes have no ids, only names.
 */
#include "apply/ocis/ocis_api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodes */

struct item_search {
    const char *name; /* in the folder that is listed; NULL: the item itself is asked for */
    bool found, folder;
    int64_t size;
    char path_name[1024];
};

static int
item_check(void *arg, const struct cs3_recycle_info *item)
{
    struct item_search *search = arg;
    const char *slash = strrchr(item->key, '/');

    if (search->name && (!slash || strcmp(slash + 1, search->name) != 0))
        return 0;
    slash = strrchr(item->path, '/');
    search->found = true;
    search->folder = item->folder;
    search->size = item->size;
    snprintf(search->path_name, sizeof(search->path_name), "%s", slash ? slash + 1 : item->path);
    return 1;
}

static bool
says_nothing(const struct ls_err *why)
{
    return ap_cause_is(why, "internal") || ap_cause_is(why, "gone");
}

/* 1 and *ret, 0, or -1. The item alone tells its true size, the list does not. */
static int
item_look(struct ap_ocis *ocis, const struct ap_space *space, const char *id, struct ap_found *ret,
          struct ls_err *err)
{
    struct item_search search = {0};
    int r = cs3_recycle_find(ocis->cs3, space->owner, space, id, item_check, &search, err);

    if (r <= 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_TRASHED;
    ret->folder = search.folder;
    ret->node.size = search.folder ? -1 : search.size;
    memcpy(ret->name, search.path_name, sizeof(ret->name));
    return 1;
}

/* "<top>/a/b": the folder around it is listed. Where that cannot be done although it is there,
 * nothing is known. */
static int
below_look(struct ap_ocis *ocis, const struct ap_space *space, const char *key,
           struct ap_found *ret, struct ls_err *err)
{
    const char *slash = strrchr(key, '/');
    struct item_search search = {.name = slash ? slash + 1 : NULL};
    struct ls_err why = {0};
    struct ap_found folder = {0};
    char *around;
    int r;

    if (!slash)
        return item_look(ocis, space, key, ret, err);
    around = strndup(key, (size_t)(slash - key));
    if (!around)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    r = cs3_list_recycle(ocis->cs3, space->owner, space, around, item_check, &search, &why);
    if (r < 0 && says_nothing(&why) && below_look(ocis, space, around, &folder, &why) >= 0 &&
        !folder.folder)
        r = 0; /* there is no such folder */
    free(around);
    if (r < 0) {
        if (err)
            *err = why;
        return -1;
    }
    if (!search.found)
        return 0;
    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_BELOW;
    ret->folder = search.folder;
    ret->node.size = search.folder ? -1 : search.size;
    return 1;
}

static void
live_fill(const struct cs3_info *info, int64_t mtime, struct ap_found *ret)
{
    char want[40], is[40];

    memset(ret, 0, sizeof(*ret));
    ret->where = AP_FOUND_LIVE;
    ret->folder = info->folder;
    ap_node_fill(&ret->node, info);
    cs3_mtime_text(mtime, 0, want, sizeof(want));
    cs3_mtime_text(info->mtime, 0, is, sizeof(is));
    if (!strcmp(want, is))
        ret->node.mtime = mtime;
    memcpy(ret->parent_id, info->parent_id, sizeof(ret->parent_id));
    memcpy(ret->name, info->name, sizeof(ret->name));
}

static int
trash_look(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
           struct ap_trash_ref below, struct ap_found *ret, struct ls_err *err)
{
    char *key = NULL;
    int r;

    if (below.top_id && below.relative && *below.relative) {
        if (asprintf(&key, "%s/%s", below.top_id, below.relative) < 0)
            return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        r = below_look(ocis, space, key, ret, err);
        free(key);
        if (r)
            return r;
    }
    return node_id ? item_look(ocis, space, node_id, ret, err) : 0;
}

/* 1 and *ret, 0, or -1. */
static int
live_look(struct ap_ocis *ocis, const struct ap_space *space, const char *id, const char *name,
          int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    struct cs3_info info;
    int r = ap_look(ocis, space, id, name, &info, err);

    if (r <= 0)
        return r;
    if (info.processing)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_TOO_EARLY, "busy",
                             "the target still processes an upload to this node");
    live_fill(&info, mtime, ret);
    return 1;
}

int
ap_ocis_place_look(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                   const char *name, int64_t mtime, struct ap_found *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    int r;

    if (ap_name_check(name, err) < 0 || ap_parent_id_check(parent_id, err) < 0)
        return -1;
    r = live_look(ocis, space, parent_id, name, mtime, ret, err);
    if (r == 0) { /* of a folder that is not there nothing is known */
        r = live_look(ocis, space, parent_id, NULL, 0, ret, err);
        if (r == 0)
            return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "parent-gone",
                                 "the parent folder is not there");
        *ret = (struct ap_found){.where = AP_FOUND_NOT};
    }
    return r < 0 ? -1 : 0;
}

int
ap_ocis_node_look(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                  struct ap_trash_ref below, int64_t mtime, struct ap_found *ret,
                  struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_info info;
    int r;

    if (node_id) {
        if (ap_parent_id_check(node_id, err) < 0)
            return -1;
        r = live_look(ocis, space, node_id, NULL, mtime, ret, err);
        if (r)
            return r < 0 ? -1 : 0;
    }
    r = ap_look(ocis, space, space->root_id, NULL, &info, err);
    if (r < 0)
        return -1;
    if (r == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "space-gone",
                             "the space itself is not there");
    r = trash_look(ocis, space, node_id, below, ret, err);
    if (r < 0)
        return -1;
    if (r == 0) {
        memset(ret, 0, sizeof(*ret));
        ret->where = AP_FOUND_NOT;
    }
    return 0;
}

/* ---- people and spaces */

int
ap_ocis_person_look(struct ap_writer *w, enum cs3_person_type type, const char *name,
                    struct ap_person_found *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ap_graph_user user = {.enabled = true};
    struct ls_err why = {0};
    int r = type == CS3_USER ? ap_graph_user_of(ocis->graph, name, &user, &why)
                             : ap_graph_group_get(ocis->graph, name, user.id, &why);

    if (r < 0 && !ap_cause_is(&why, "grantee-missing")) {
        if (err)
            *err = why;
        return -1;
    }
    memset(ret, 0, sizeof(*ret));
    ret->found = r == 0;
    ret->enabled = user.enabled;
    memcpy(ret->id, user.id, sizeof(ret->id));
    memcpy(ret->display_name, user.display_name, sizeof(ret->display_name));
    return 0;
}

int
ap_ocis_member_look(struct ap_writer *w, const char *group_id, const char *user_id,
                    struct ap_person_found *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ap_person_found found = {0};

    if (!ocis->create_people) /* nobody is made a member here */
        found.as_known = true;
    else if (ap_graph_member_get(ocis->graph, group_id, user_id, &found.found, err) < 0)
        return -1;
    *ret = found;
    return 0;
}

int
ap_ocis_space_look(struct ap_writer *w, const char *uid, struct ap_space_found *ret,
                   struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ap_space_found found = {.quota = -2};
    char drive[2 * AP_ID_SIZE + 2];
    struct ls_err why = {0};
    int r = cs3_personal_space(ocis->cs3, uid, &found.space, &why);

    if (r < 0 && !ap_cause_is(&why, "gone")) {
        if (err)
            *err = why;
        return -1;
    }
    found.found = r == 0;
    if (ocis->storage_id)
        snprintf(found.space.storage_id, sizeof(found.space.storage_id), "%s", ocis->storage_id);
    if (found.found && ocis->create_people) {
        snprintf(drive, sizeof(drive), "%s$%s", found.space.storage_id, found.space.space_id);
        if (ap_graph_drive_quota_get(ocis->graph, drive, &found.quota, err) < 0)
            return -1;
        if (found.quota == 0)
            found.quota = -1;
    }
    *ret = found;
    return 0;
}
