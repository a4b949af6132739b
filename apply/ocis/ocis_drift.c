/*
 * Drift, on the writer's side: is the node still what the core takes it to be?
 *
 * A look (Stat, or the item in the trash) before the call that would change or remove it. Between
 * the look and the call somebody may still come: an upload carries the etag that was seen, and is
 * refused then; Move, Delete, RestoreRecycleItem, PurgeRecycle and SetArbitraryMetadata know no
 * such condition. A file's SHA1 and size are compared, not its time: apply sets that itself.
 *
 * A node that is not there may lie in the trash, by itself or with a folder around it: the topmost
 * that is not there is looked for in the trash, so that one letter speaks for all that went with
 * it. One that is in no trash either is "gone", as ever, and is made again: nothing of it is left
 * that could be lost.
 */
#include "apply/ocis/ocis_api.h"
#include "apply/plan/drift.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one node */
bool
ap_drift_content(const struct ap_expect *expect, const struct cs3_info *info)
{
    if (!expect || info->folder)
        return false;
    if (expect->sha1[0] && info->sha1[0])
        return strcmp(expect->sha1, info->sha1) != 0;
    return expect->size >= 0 && expect->size != info->size;
}

int
ap_drift_content_fail(const struct ap_expect *expect, const struct cs3_info *info,
                      struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, "changed-at-target",
                         "it has %lld bytes and SHA1 %s there; left were %lld bytes, SHA1 %s",
                         (long long)info->size, info->sha1[0] ? info->sha1 : "unknown",
                         (long long)expect->size, expect->sha1[0] ? expect->sha1 : "unknown");
}

int
ap_drift_place(const struct ap_expect *expect, const struct cs3_info *info, struct ls_err *err)
{
    if (!expect || !expect->parent_id || !info->parent_id[0])
        return 0;
    if (strcmp(info->parent_id, expect->parent_id) != 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "moved-at-target",
                             "it lies in another folder there, as \"%.120s\"", info->name);
    if (expect->name && strcmp(info->name, expect->name) != 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "moved-at-target",
                             "it is called \"%.120s\" there", info->name);
    return 0;
}

/* ---- what is not there */
int
ap_drift_gone(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
              const struct ap_expect *expect, struct ls_err *err)
{
    const char *missing = node_id;
    struct cs3_info info;
    bool trashed;
    int there = 0;

    if (!expect)
        return 0;
    for (int i = 0; i < expect->n_above && !there; i++) {
        there = ap_look(ocis, space, expect->above[i], NULL, &info, err);
        if (there < 0)
            return -1;
        if (!there)
            missing = expect->above[i];
    }
    if (!missing)
        return 0;
    if (cs3_in_recycle(ocis->cs3, space->owner, space, missing, &trashed, err) < 0)
        return -1;
    if (!trashed)
        return 0;
    snprintf(expect->ret_trashed, AP_ID_SIZE, "%s", missing);
    return ls_fail_cause(err, LS_ERR_POISON, CS3_NOT_FOUND, "deleted-at-target",
                         missing == node_id ? "it is in the trash there"
                                            : "a folder around it is in the trash there");
}

/* ---- all that is below a folder */
struct folders {
    char (*ids)[AP_ID_SIZE];
    size_t n, room;
    const char *listed; /* the one whose children come now */
    uint64_t sum;
    bool processing, failed;
};

static bool
folder_later(struct folders *f, const char *id)
{
    if (f->n == f->room) {
        size_t room = f->room ? f->room * 2 : 16;
        void *more = realloc(f->ids, room * sizeof(*f->ids));

        if (!more)
            return false;
        f->ids = more;
        f->room = room;
    }
    snprintf(f->ids[f->n++], AP_ID_SIZE, "%s", id);
    return true;
}

static int
child_add(void *arg, const struct cs3_info *info)
{
    struct folders *f = arg;

    f->processing = f->processing || info->processing;
    f->sum += ap_drift_mark(info->id, f->listed, info->name, info->folder ? "" : info->sha1,
                            info->folder ? 0 : info->size);
    f->failed = f->failed || (info->folder && !folder_later(f, info->id));
    return f->failed;
}

int
ap_drift_below(struct ap_ocis *ocis, const struct ap_space *space, const char *folder_id,
               const struct ap_expect *expect, struct ls_err *err)
{
    struct folders f = {0};
    char at[AP_ID_SIZE];
    int r = 0;

    if (!expect || !expect->below_known)
        return 0;
    if (!folder_later(&f, folder_id))
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    while (f.n && r == 0) {
        struct cs3_place place = cs3_place_of(space, at, NULL);

        memcpy(at, f.ids[--f.n], sizeof(at));
        f.listed = at;
        r = cs3_list(ocis->cs3, space->owner, &place, child_add, &f, err);
        if (f.failed)
            r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    }
    free(f.ids);
    if (r != 0)
        return -1;
    if (f.processing)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_TOO_EARLY, "busy",
                             "the target still processes an upload below this folder");
    if (f.sum != expect->below)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "changed-at-target",
                             "something in this folder is not what was left there");
    return 0;
}

/* ---- the trash */
static int
item_take(void *arg, const struct cs3_recycle_info *item)
{
    *(struct ap_trash_item *)arg = (struct ap_trash_item){
        .found = true, .folder = item->folder, .size = item->size, .deleted_at = item->deleted_at};
    return 0;
}

int
ap_trash_item(struct ap_ocis *ocis, const struct ap_space *space, const char *top_id,
              struct ap_trash_item *ret, struct ls_err *err)
{
    struct ls_err why = {0};

    memset(ret, 0, sizeof(*ret));
    if (cs3_recycle_find(ocis->cs3, space->owner, space, top_id, item_take, ret, &why) >= 0 ||
        ap_cause_is(&why, "gone"))
        return 0;
    if (err)
        *err = why;
    return -1;
}

int
ap_drift_item(struct ap_ocis *ocis, const struct ap_space *space, const char *top_id,
              const struct ap_expect *expect, struct ls_err *err)
{
    struct ap_trash_item item;
    struct cs3_info info;
    int there;

    if (!expect || !expect->deleted_at)
        return 0;
    if (ap_trash_item(ocis, space, top_id, &item, err) < 0)
        return -1;
    if (!item.found) {
        there = ap_look(ocis, space, top_id, NULL, &info, err);
        return there <= 0 ? there
                          : ls_fail_cause(err, LS_ERR_POISON, 0, "moved-at-target",
                                          "somebody has taken it out of the trash there, as"
                                          " \"%.120s\"",
                                          info.name);
    }
    if (item.deleted_at == expect->deleted_at)
        return 0;
    if (expect->deleted_at < 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "deleted-at-target",
                             "somebody else has put it into the trash there");
    return ls_fail_cause(err, LS_ERR_POISON, 0, "changed-at-target",
                         "somebody has taken it out of the trash there, and deleted it again");
}
