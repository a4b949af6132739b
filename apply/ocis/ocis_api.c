/*
 * The writer `ocis-api`: its life, and the tree without content and deletions.
 *
 * Every answer that is not plainly good is looked into at the provider before the core hears of
 * it, because one status has many reasons there: a missing parent is FAILED_PRECONDITION,
 * INTERNAL or NOT_FOUND; a name that is taken may be taken by our own earlier try. Nothing is
 * ever moved or restored into a folder that has not just been seen: the provider takes a trashed
 * folder's id for a place and leaves an item half restored. The root of a space is never moved or
 * deleted: the provider tries, and the space is lost.
 *
 * What a call has changed, or may have, must not be forgotten: by the next try the source may want
 * something else, and then nobody comes back to it. INTERNAL says nothing about that, so the tree
 * is asked; and whatever fails between a change and the look at it is "timeout", outcome unknown,
 * which the core repeats as it was until it is settled.
 *
 * Before a node is moved, deleted, restored, purged or given another time it is compared with what
 * the core takes it to be (ocis_drift.c): what somebody else made of it is left as it is.
 */
#include "apply/ocis/ocis_api.h"
#include "common/log.h"
#include "common/run.h"
#include "common/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 255 };

/* ---- what the parts share */
int
ap_look(struct ap_ocis *ocis, const struct ap_space *space, const char *id, const char *name,
        struct cs3_info *ret, struct ls_err *err)
{
    struct cs3_place place = cs3_place_of(space, id, name);
    struct ls_err why = {0};

    if (cs3_stat(ocis->cs3, space->owner, &place, ret, &why) == 0)
        return 1;
    if (ap_cause_is(&why, "gone"))
        return 0;
    if (err)
        *err = why;
    return -1;
}

int
ap_unknown(struct ls_err *err)
{
    if (err && err->kind == LS_ERR_RETRY)
        snprintf(err->cause, sizeof(err->cause), "timeout");
    if (err && err->kind == LS_ERR_POISON) { /* the rest is refused, and that may be for good */
        err->kind = LS_ERR_RETRY;
        snprintf(err->cause, sizeof(err->cause), "in-part");
    }
    return -1;
}

bool
ap_readable(struct ap_ocis *ocis, const struct ap_space *space, const char *id)
{
    struct cs3_info info;
    struct ls_err why = {0};

    for (int try = 0; try < AP_LOOKS; try++) {
        if (ap_look(ocis, space, id, NULL, &info, &why) >= 0 || !ap_cause_is(&why, "internal"))
            return true;
        ls_run_sleep_ms(AP_LOOK_PAUSE_MS);
    }
    return false;
}

int
ap_name_check(const char *name, struct ls_err *err)
{
    size_t n = strlen(name);

    if (!n || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused",
                             "the name is empty, \".\", \"..\" or has a slash");
    if (n > NAME_MAX_BYTES)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused",
                             "the name has %zu bytes, oCIS holds %d", n, NAME_MAX_BYTES);
    if (!ls_utf8_valid(name, n))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "the name is not UTF-8");
    return 0;
}

void
ap_node_fill(struct ap_node *node, const struct cs3_info *info)
{
    memset(node, 0, sizeof(*node));
    snprintf(node->id, sizeof(node->id), "%s", info->id);
    snprintf(node->etag, sizeof(node->etag), "%s", info->etag);
    snprintf(node->sha1, sizeof(node->sha1), "%s", info->sha1);
    node->size = info->size;
    node->mtime = info->mtime;
}

int
ap_root_check(const struct ap_space *space, const char *node_id, struct ls_err *err)
{
    if (!*node_id || !strcmp(node_id, space->root_id) || !strcmp(node_id, space->space_id))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused",
                             "the root of a space is neither moved nor deleted");
    return 0;
}

int
ap_parent_id_check(const char *parent_id, struct ls_err *err)
{
    if (*parent_id)
        return 0;
    return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "a parent without an id");
}

int
ap_not_gone(const struct ls_err *why, struct ls_err *err)
{
    if (ap_cause_is(why, "gone") || ap_cause_is(why, "parent-gone"))
        return ls_fail_cause(err, LS_ERR_RETRY, why->code, "busy", "it is there, but: %.200s",
                             why->msg);
    if (err)
        *err = *why;
    return -1;
}

int
ap_parent_check(struct ap_ocis *ocis, const struct ap_space *space, const char *parent_id,
                const struct ap_expect *expect, struct ls_err *err)
{
    struct cs3_info info;
    int there = ap_look(ocis, space, parent_id, NULL, &info, err);

    if (there < 0)
        return -1;
    if (!there && ap_drift_gone(ocis, space, NULL, expect, err) < 0)
        return -1;
    if (!there)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "parent-gone",
                             "the parent folder is not there");
    if (!info.folder)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_FAILED_PRECONDITION, "parent-gone",
                             "the parent is not a folder");
    return 0;
}

/* A call that should make something at this place was answered INTERNAL. 1 and *ret: it is there;
 * 0: it is not; -1: err. In a parent that cannot be read nothing was made: that stays trouble of
 * this one, since nobody knows for how long. */
static int
made_anyway(struct ap_ocis *ocis, const struct ap_space *space, const char *parent_id,
            const char *name, struct cs3_info *ret, struct ls_err *err)
{
    int there = ap_look(ocis, space, parent_id, name, ret, err);

    if (there >= 0)
        return there;
    return ap_readable(ocis, space, parent_id) ? ap_unknown(err) : -1;
}

/* ---- the tree */
static int
make_folder(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
            const char *name, const struct ap_expect *expect, bool doubtful, struct ap_node *ret,
            struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_place place = cs3_place_of(space, parent_id, name);
    struct ls_err why = {0};
    struct cs3_info info;
    int r, there;

    (void)doubtful; /* an earlier try's folder is found as any other is */
    if (ap_name_check(name, err) < 0 || ap_parent_id_check(parent_id, err) < 0)
        return -1;
    r = cs3_mkdir(ocis->cs3, space->owner, &place, &why);
    if (r < 0 && ap_cause_is(&why, "internal")) {
        there = made_anyway(ocis, space, parent_id, name, &info, err);
        if (there < 0)
            return -1;
        if (!there)
            return ap_parent_check(ocis, space, parent_id, expect, err) < 0
                       ? -1
                       : ap_not_gone(&why, err);
    } else if (r < 0 && !ap_cause_is(&why, "taken")) {
        if ((ap_cause_is(&why, "parent-gone") || ap_cause_is(&why, "gone")) &&
            ap_parent_check(ocis, space, parent_id, expect, err) < 0)
            return -1;
        return ap_not_gone(&why, err);
    } else {
        there = ap_look(ocis, space, parent_id, name, &info, err);
        if (there < 0)
            return r < 0 ? -1 : ap_unknown(err);
        if (!there)
            return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "timeout",
                                 "a folder just made is not there");
    }
    ap_node_fill(ret, &info);
    if (!info.folder)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_ALREADY_EXISTS, "taken",
                             "a file has that name");
    return 0;
}

static int
set_mtime(struct ap_writer *w, const struct ap_space *space, const char *node_id, int64_t mtime,
          uint32_t mtime_ns, const struct ap_expect *expect, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_place place = cs3_place_of(space, node_id, NULL);
    struct cs3_info info;
    int there;

    if (expect) {
        there = ap_look(ocis, space, node_id, NULL, &info, err);
        if (there < 0 || (!there && ap_drift_gone(ocis, space, node_id, expect, err) < 0))
            return -1;
        if (there && info.processing)
            return ls_fail_cause(err, LS_ERR_RETRY, CS3_TOO_EARLY, "busy",
                                 "the target still processes an upload to this node");
        if (there && ap_drift_content(expect, &info))
            return ap_drift_content_fail(expect, &info, err);
    }
    return cs3_set_mtime(ocis->cs3, space->owner, &place, mtime, mtime_ns, err);
}

/* RETRY gone; POISON deleted-at-target when it is in the trash and that was not expected. */
static int
node_gone(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
          const struct ap_expect *expect, struct ls_err *err)
{
    struct ap_expect itself = expect ? *expect : (struct ap_expect){0};

    itself.n_above = 0; /* those are around the place where it shall be */
    if (ap_drift_gone(ocis, space, node_id, expect ? &itself : NULL, err) < 0)
        return -1;
    return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "gone", "the node is not there");
}

/* What a Move that failed has met: the node gone, or our own earlier try. */
static int
move_sort_out(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
              const char *parent_id, const char *name, const struct ap_expect *expect,
              const struct ls_err *why, struct ls_err *err)
{
    struct cs3_info info;
    bool internal = ap_cause_is(why, "internal");
    int there;

    if (ap_cause_is(why, "taken") || internal) {
        there = ap_look(ocis, space, parent_id, name, &info, err);
        if (there < 0)
            return internal ? ap_unknown(err) : -1;
        if (there && !strcmp(info.id, node_id))
            return 0;
    }
    if (ap_cause_is(why, "gone") || ap_cause_is(why, "parent-gone") || internal) {
        there = ap_look(ocis, space, node_id, NULL, &info, err);
        if (there < 0)
            return -1;
        if (!there)
            return node_gone(ocis, space, node_id, expect, err);
        if (ap_parent_check(ocis, space, parent_id, expect, err) < 0)
            return -1;
        return ap_not_gone(why, err);
    }
    if (err)
        *err = *why;
    return -1;
}

int
ap_inside_check(struct ap_ocis *ocis, const struct ap_space *space, const struct cs3_info *info,
                const char *parent_id, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(space, info->id, NULL);
    struct cs3_place parent = cs3_place_of(space, parent_id, NULL);
    char *path = NULL, *above = NULL;
    size_t n;
    int r;

    if (!info->folder || !strcmp(parent_id, space->root_id))
        return 0;
    r = cs3_path(ocis->cs3, space->owner, &node, &above, err);
    if (r == 0)
        r = cs3_path(ocis->cs3, space->owner, &parent, &path, err);
    n = r == 0 ? strlen(above) : 0;
    if (r == 0 && (!strcmp(parent_id, info->id) ||
                   (!strncmp(path, above, n) && (!path[n] || path[n] == '/'))))
        r = ls_fail_cause(err, LS_ERR_POISON, 0, "refused",
                          "at the target the new parent lies below the folder itself");
    free(path);
    free(above);
    return r;
}

/* Older servers move over what has that name, so the place is looked at first. */
static int
move(struct ap_writer *w, const struct ap_space *space, const char *node_id, const char *parent_id,
     const char *name, const struct ap_expect *expect, bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_place from = cs3_place_of(space, node_id, NULL);
    struct cs3_place to = cs3_place_of(space, parent_id, name);
    struct ls_err why = {0};
    struct cs3_info info;
    int there;

    (void)doubtful;
    if (ap_name_check(name, err) < 0 || ap_root_check(space, node_id, err) < 0 ||
        ap_parent_id_check(parent_id, err) < 0)
        return -1;
    there = ap_look(ocis, space, parent_id, name, &info, err);
    if (there < 0)
        return -1;
    if (there && !strcmp(info.id, node_id))
        return 0;
    if (there)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_ALREADY_EXISTS, "taken",
                             "another node has that name");
    there = ap_look(ocis, space, node_id, NULL, &info, err);
    if (there < 0)
        return -1;
    if (!there)
        return node_gone(ocis, space, node_id, expect, err);
    if (ap_drift_place(expect, &info, err) < 0)
        return -1;
    if (strcmp(parent_id, info.parent_id) != 0 && /* else it has just been seen there */
        (ap_parent_check(ocis, space, parent_id, expect, err) < 0 ||
         ap_inside_check(ocis, space, &info, parent_id, err) < 0))
        return -1;
    if (cs3_move(ocis->cs3, space->owner, &from, &to, &why) == 0)
        return 0;
    return move_sort_out(ocis, space, node_id, parent_id, name, expect, &why, err);
}

/* ---- life */
#define LOST_BY_API                                                                                \
    "ids, times and creators of shares and links, tokens and passwords of links: their old "       \
    "addresses do not work at the target"

static int
ocis_open(struct ap_writer *w, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ap_graph_user user;
    struct ls_err why = {0};

    if (cs3_ping(ocis->cs3, err) < 0)
        return -1;
    /* The one user that surely is there: tells whether the machine key is right. */
    if (cs3_sign_in(ocis->cs3, ap_graph_as(ocis->graph), NULL, err) < 0)
        return -1;
    if (ap_graph_user_get(ocis->graph, ocis->graph_user, &user, &why) < 0) {
        if (why.code == 401 || why.code == 403)
            return ls_fail_cause(err, LS_ERR_FATAL, why.code, "target-config",
                                 "Graph refuses target.graph_user %s: HTTP %d", ocis->graph_user,
                                 why.code);
        if (err)
            *err = why;
        return -1;
    }
    snprintf(ocis->graph_user_id, sizeof(ocis->graph_user_id), "%s", user.id);
    if (ocis->metadata && ap_exact_open(ocis, err) < 0)
        return -1;
    ls_log(LS_INFO, "shares", LS_S("mode", ocis->metadata ? "exact" : "api"),
           LS_S("lost", ocis->metadata ? "" : LOST_BY_API));
    return 0;
}

static void
ocis_close(struct ap_writer *w)
{
    struct ap_ocis *ocis = ap_ocis_of(w);

    ap_metadata_free(ocis->metadata);
    ap_graph_free(ocis->graph);
    ap_data_free(ocis->data);
    ap_http_free(ocis->http);
    cs3_client_free(ocis->cs3);
    free(ocis->mail_domain);
    free(ocis->storage_id);
    free(ocis->graph_user);
    for (int i = 0; i < AP_SHARE_LOCKS; i++)
        pthread_mutex_destroy(&ocis->shares[i]);
    ap_ocis_processing_free(ocis);
    pthread_mutex_destroy(&ocis->uploads);
    pthread_mutex_destroy(&ocis->links);
    pthread_mutex_destroy(&ocis->people);
    free(ocis);
}

static int
ocis_ping(struct ap_writer *w, struct ls_err *err)
{
    return cs3_ping(ap_ocis_of(w)->cs3, err);
}

#define ALL_BUT_SHARES                                                                             \
    .open = ocis_open, .close = ocis_close, .ping = ocis_ping, .user_ensure = ap_ocis_user_ensure, \
    .user_match = ap_ocis_user_match, .user_enable = ap_ocis_user_enable,                          \
    .group_ensure = ap_ocis_group_ensure, .group_remove = ap_ocis_group_remove,                    \
    .member_set = ap_ocis_member_set, .space_ensure = ap_ocis_space_ensure,                        \
    .space_quota = ap_ocis_space_quota, .node_look = ap_ocis_node_look,                            \
    .place_look = ap_ocis_place_look, .trash_seek = ap_ocis_trash_seek,                            \
    .person_look = ap_ocis_person_look, .member_look = ap_ocis_member_look,                        \
    .space_look = ap_ocis_space_look, .make_folder = make_folder, .put_file = ap_ocis_put_file,    \
    .set_mtime = set_mtime, .revision_find = ap_ocis_revision_find,                                \
    .revision_restore = ap_ocis_revision_restore, .move = move, .trash = ap_ocis_trash,            \
    .restore = ap_ocis_restore, .purge = ap_ocis_purge

static const struct ap_writer_ops api_ops = {
    ALL_BUT_SHARES,
    .share_set = ap_ocis_share_set,
    .share_find = ap_ocis_share_find,
    .share_remove = ap_ocis_share_remove,
    .share_clear = ap_ocis_share_clear,
    .received_set = ap_ocis_received_set,
    .link_set = ap_ocis_link_set,
    .link_remove = ap_ocis_link_remove,
};
static const struct ap_writer_ops exact_ops = {
    ALL_BUT_SHARES,
    .share_set = ap_exact_share_set,
    .share_find = ap_ocis_share_find,
    .share_remove = ap_exact_share_remove,
    .share_clear = ap_exact_share_clear,
    .received_set = ap_exact_received_set,
    .link_set = ap_exact_link_set,
    .link_remove = ap_exact_link_remove,
};

int
ap_exact_wanted(const struct ls_config *config, bool *ret, struct ls_err *err)
{
    const char *mode = ls_config_str(config, "apply", "shares");
    const char *id = ls_config_str(config, "target", "system_user_id");
    const char *key = ls_config_str(config, "target", "system_user_key");

    if (!mode || !*mode)
        *ret = id && *id && key && *key;
    else if (!strcmp(mode, "exact") || !strcmp(mode, "api"))
        *ret = !strcmp(mode, "exact");
    else
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "target-config",
                             "apply.shares is exact or api, not \"%.40s\"", mode);
    return 0;
}

static char *
option_copy(const struct ls_config *config, const char *key, const char *section)
{
    const char *value = ls_config_str(config, section, key);

    return strdup(value ? value : "");
}

int
ap_ocis_api_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                struct ap_writer **ret, struct ls_err *err)
{
    struct ap_ocis *ocis = calloc(1, sizeof(*ocis));
    const char *mode = ls_config_str(config, "people", "mode");
    const char *storage_id = ls_config_str(config, "target", "storage_id");

    if (!ocis)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    ocis->writer = (struct ap_writer){.ops = &api_ops, .name = "ocis-api"};
    pthread_mutex_init(&ocis->people, NULL);
    pthread_mutex_init(&ocis->links, NULL);
    pthread_mutex_init(&ocis->uploads, NULL);
    for (int i = 0; i < AP_SHARE_LOCKS; i++)
        pthread_mutex_init(&ocis->shares[i], NULL);
    ocis->create_people = mode && !strcmp(mode, "create");
    ocis->timeout_ms = ls_config_int(config, "target", "timeout_ms");
    ocis->mail_domain = option_copy(config, "mail_domain", "people");
    ocis->graph_user = option_copy(config, "graph_user", "target");
    if (storage_id && *storage_id)
        ocis->storage_id = strdup(storage_id);
    if (!ocis->mail_domain || !ocis->graph_user) {
        ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
        goto fail;
    }
    if (cs3_client_new(config, call_counter, arg, &ocis->cs3, err) < 0 ||
        ap_http_new(config, call_counter, arg, &ocis->http, err) < 0 ||
        ap_data_new(config, ocis->http, ocis->cs3, &ocis->data, err) < 0 ||
        ap_graph_new(config, ocis->http, ocis->cs3, &ocis->graph, err) < 0 ||
        ap_exact_wanted(config, &ocis->writer.exact, err) < 0)
        goto fail;
    if (ocis->writer.exact) {
        if (ap_metadata_new(config, ocis->http, &ocis->writer, call_counter, arg, &ocis->metadata,
                            err) < 0)
            goto fail;
        ocis->writer.ops = &exact_ops;
    }
    if (cs3_match_wanted(config))
        cs3_match_strictly(ocis->cs3);
    if (ocis->create_people)
        cs3_on_no_user(ocis->cs3, ap_ocis_no_user, ocis);
    *ret = &ocis->writer;
    return 0;
fail:
    ocis_close(&ocis->writer);
    return -1;
}

void
ap_writer_free(struct ap_writer *writer)
{
    if (writer)
        writer->ops->close(writer);
}
