/*
 * The writer's deletions: into the trash, out of it again, and out of the trash for good.
 *
 * What can go wrong: an id that is a node's, a trashed item's and, to the provider, a place's. A
 * deletion whose answer was lost is looked for in the trash, a restore at its place, and only what
 * is in neither is "gone". What lies below a trashed folder has no id here, only a path in it.
 */
#include "apply/ocis/ocis_api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is it, with all that is below it, what is expected? What is not there, the call itself meets. */
static int
trash_look(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
           const struct ap_expect *expect, struct ls_err *err)
{
    struct cs3_info info;
    int there;

    if (!expect)
        return 0;
    there = ap_look(ocis, space, node_id, NULL, &info, err);
    if (there <= 0)
        return there;
    if (info.processing)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_TOO_EARLY, "busy",
                             "the target still processes an upload to this node");
    if (ap_drift_place(expect, &info, err) < 0)
        return -1;
    if (ap_drift_content(expect, &info))
        return ap_drift_content_fail(expect, &info, err);
    return info.folder ? ap_drift_below(ocis, space, node_id, expect, err) : 0;
}

/* When it was deleted, for the look before it is purged. Without an answer that look has only the
 * node's id to go by. A file of another size was changed behind the look at it. */
static void
trash_time(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
           const struct ap_expect *expect, struct ap_node *ret)
{
    struct ap_trash_item item;

    if (!expect || ap_trash_item(ocis, space, node_id, &item, NULL) < 0)
        return;
    ret->deleted_at = item.deleted_at;
    if (item.found && !item.folder && expect->size >= 0 && item.size >= 0 &&
        item.size != expect->size)
        ret->deleted_at = -1;
}

int
ap_ocis_trash(struct ap_writer *w, const struct ap_space *space, const char *node_id,
              const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
              struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_place place = cs3_place_of(space, node_id, NULL);
    struct ls_err why = {0};
    struct cs3_info info;
    bool trashed;
    int there;

    if (ap_root_check(space, node_id, err) < 0 || trash_look(ocis, space, node_id, expect, err) < 0)
        return -1;
    if (cs3_delete(ocis->cs3, space->owner, &place, &why) == 0) {
        trash_time(ocis, space, node_id, expect, ret);
        return 0;
    }
    if (ap_cause_is(&why, "gone") || ap_cause_is(&why, "internal")) {
        /* An earlier try, or this one, may have happened. */
        if (cs3_in_recycle(ocis->cs3, space->owner, space, node_id, &trashed, err) < 0)
            return ap_unknown(err);
        /* An earlier try's item is found as any other is; without one somebody else was faster. */
        if (trashed && (doubtful || ap_cause_is(&why, "internal")))
            trash_time(ocis, space, node_id, expect, ret);
        else if (trashed && expect)
            ret->deleted_at = -1;
        if (trashed)
            return 0;
        there = ap_look(ocis, space, node_id, NULL, &info, err);
        if (there < 0)
            return -1;
        if (there)
            return ap_not_gone(&why, err);
        return ls_fail_cause(err, LS_ERR_RETRY, why.code, "gone",
                             "the node is neither in the tree nor in the trash");
    }
    if (err)
        *err = why;
    return -1;
}

/* "<top>" or "<top>/a/b"; free it. */
static char *
recycle_key(struct ap_trash_ref ref)
{
    char *key = NULL;

    if (!ref.relative || !*ref.relative)
        return strdup(ref.top_id);
    return asprintf(&key, "%s/%s", ref.top_id, ref.relative) < 0 ? NULL : key;
}

static int
restore_place_check(struct ap_ocis *ocis, const struct ap_space *space, const char *top_id,
                    bool whole, const char *parent_id, const char *name,
                    const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
                    struct ls_err *err)
{
    struct cs3_info info;
    int there = ap_look(ocis, space, parent_id, name, &info, err);

    if (there < 0)
        return -1;
    if (!there)
        return ap_parent_check(ocis, space, parent_id, expect, err);
    ap_node_fill(ret, &info);
    /* The ids of what lies below a trashed folder are not known here: after a doubtful try, what
     * is at the place is what was restored; the core has nothing else going on there. */
    if (whole ? !strcmp(info.id, top_id) : doubtful)
        return 1;
    return ls_fail_cause(err, LS_ERR_RETRY, CS3_ALREADY_EXISTS, "taken",
                         "another node has that name");
}

struct key_search {
    const char *name;
    bool found;
};

static int
key_check(void *arg, const struct cs3_recycle_info *item)
{
    struct key_search *search = arg;
    const char *slash = strrchr(item->key, '/');

    if (slash && !strcmp(slash + 1, search->name))
        search->found = true;
    return search->found;
}

/* Is the item there? 1, 0 or -1. Of an inner one the folder that it is in is listed: asking for it
 * by its own key fails for files, and says nothing. */
static int
in_trash(struct ap_ocis *ocis, const struct ap_space *space, const char *key, struct ls_err *err)
{
    const char *slash = strrchr(key, '/');
    struct key_search search = {.name = slash ? slash + 1 : NULL};
    struct ls_err why = {0};
    bool trashed;
    char *folder;
    int r;

    if (!slash) {
        if (cs3_in_recycle(ocis->cs3, space->owner, space, key, &trashed, err) < 0)
            return -1;
        return trashed;
    }
    folder = strndup(key, (size_t)(slash - key));
    if (!folder)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    r = cs3_list_recycle(ocis->cs3, space->owner, space, folder, key_check, &search, &why);
    if (r < 0 && (ap_cause_is(&why, "internal") || ap_cause_is(&why, "gone")))
        r = in_trash(ocis, space, folder, err); /* it cannot be listed: is it there at all? */
    else if (r >= 0)
        r = search.found ? 1 : 0;
    else if (err)
        *err = why;
    free(folder);
    return r;
}

/* The item is not in the trash: has somebody taken it out? Then it is brought to its place, unless
 * it was expected in the trash. */
static int
out_already(struct ap_ocis *ocis, const struct ap_space *space, const char *key,
            const char *parent_id, const char *name, const struct ap_expect *expect,
            const struct ls_err *why, struct ls_err *err)
{
    struct cs3_place from = cs3_place_of(space, key, NULL);
    struct cs3_place to = cs3_place_of(space, parent_id, name);
    struct cs3_info info;
    int there = 0;

    if (!strchr(key, '/'))
        there = ap_look(ocis, space, key, NULL, &info, err);
    if (there < 0)
        return -1;
    if (!there)
        return ls_fail_cause(err, LS_ERR_RETRY, why->code, "gone",
                             "the item is not in the trash: %.150s", why->msg);
    if (expect)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "moved-at-target",
                             "somebody has taken it out of the trash there, as \"%.120s\"",
                             info.name);
    if (ap_parent_check(ocis, space, parent_id, expect, err) < 0 ||
        ap_inside_check(ocis, space, &info, parent_id, err) < 0)
        return -1;
    return cs3_move(ocis->cs3, space->owner, &from, &to, err);
}

/* A restore that failed although the place was free. 1: it has happened all the same. */
static int
restore_sort_out(struct ap_ocis *ocis, const struct ap_space *space, const char *key,
                 const char *parent_id, const char *name, const struct ap_expect *expect,
                 const struct ls_err *why, struct ls_err *err)
{
    struct cs3_info info;
    int there;

    if (ap_cause_is(why, "internal")) {
        /* Whatever is there now was not there before, and nobody else is at work at this place. */
        there = ap_look(ocis, space, parent_id, name, &info, err);
        if (there)
            return there < 0 ? ap_unknown(err) : 1;
    }
    if (ap_cause_is(why, "gone") || ap_cause_is(why, "parent-gone") ||
        ap_cause_is(why, "internal")) {
        there = in_trash(ocis, space, key, err);
        if (there < 0)
            return ap_unknown(err);
        if (!there)
            return out_already(ocis, space, key, parent_id, name, expect, why, err);
        if (ap_parent_check(ocis, space, parent_id, expect, err) < 0)
            return -1;
        return ap_not_gone(why, err);
    }
    if (err)
        *err = *why;
    return -1;
}

int
ap_ocis_restore(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref from,
                const char *parent_id, const char *name, const struct ap_expect *expect,
                bool doubtful, struct ap_node *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_place to = cs3_place_of(space, parent_id, name);
    bool whole = !from.relative || !*from.relative;
    char *key = NULL;
    struct ls_err why = {0};
    struct cs3_info info;
    int r, there;

    if (ap_name_check(name, err) < 0 || ap_root_check(space, from.top_id, err) < 0 ||
        ap_parent_id_check(parent_id, err) < 0)
        return -1;
    r = restore_place_check(ocis, space, from.top_id, whole, parent_id, name, expect, doubtful, ret,
                            err);
    if (r)
        return r < 0 ? -1 : 0;
    if (ap_drift_item(ocis, space, from.top_id, expect, err) < 0)
        return -1;
    key = recycle_key(from);
    if (!key)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    r = cs3_restore(ocis->cs3, space->owner, space, key, &to, &why);
    if (r < 0)
        r = restore_sort_out(ocis, space, key, parent_id, name, expect, &why, err);
    free(key);
    if (r < 0)
        return -1;
    there = ap_look(ocis, space, parent_id, name, &info, err);
    if (there < 0)
        return ap_unknown(err);
    if (!there)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "timeout",
                             "an item just restored is not there");
    ap_node_fill(ret, &info);
    return 0;
}

int
ap_ocis_purge(struct ap_writer *w, const struct ap_space *space, struct ap_trash_ref what,
              const struct ap_expect *expect, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    char *key;
    struct ls_err why = {0};
    bool trashed;
    int r;

    if (ap_root_check(space, what.top_id, err) < 0 ||
        ap_drift_item(ocis, space, what.top_id, expect, err) < 0)
        return -1;
    key = recycle_key(what);
    if (!key)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    r = cs3_purge(ocis->cs3, space->owner, space, key, &why);
    free(key);
    if (r == 0 || ap_cause_is(&why, "gone"))
        return 0;
    /* Trouble after it was done, or of an item that went another way. */
    if (ap_cause_is(&why, "internal") &&
        cs3_in_recycle(ocis->cs3, space->owner, space, what.top_id, &trashed, NULL) == 0 &&
        !trashed)
        return 0;
    if (err)
        *err = why;
    return -1;
}
