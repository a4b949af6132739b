/*
 * Calls apply's writer, one JSON line in, one JSON line out: for the contract tests.
 *
 *   build/bin-test/writer-probe [--config FILE] [--set section.key=value ...]
 *
 * The writer is that of apply.writer ("ocis-api" or "null"). Empty lines are skipped; lines are
 * done one after the other ("concurrent" below does several at once).
 *
 * In:  {"call": NAME, ...arguments}
 *   open, ping
 *   user_ensure     uid, display_name, mail [, directory_uuid]
 *   user_match      uid [, id]
 *   user_enable     user_id, enabled
 *   group_ensure    gid [, directory_uuid]
 *   group_remove    group_id
 *   member_set      group_id, user_id, member
 *   space_ensure    uid
 *   space_quota     space, bytes
 *   make_folder     space, parent_id, name [, doubtful]
 *   put_file        space, [node_id | parent_id, name], blob, mtime, mtime_ns [, doubtful]
 *   revision_find   space, node_id, mtime, size
 *   revision_restore space, node_id, mtime, mtime_ns, size, sha1, sha1_now
 *   set_mtime       space, node_id, mtime, mtime_ns
 *   move            space, node_id, parent_id, name [, doubtful]
 *   trash           space, node_id [, doubtful]
 *   restore         space, top_id [, relative], parent_id, name [, doubtful]
 *   purge           space, top_id [, relative]
 *   share_set       space, node_id, folder, group, grantee_id, sharer, permissions, expires
 *                   [, share_id] [, doubtful] [, row, ctime, state, mount_point]
 *   share_remove    space, sharer, share_id [, doubtful]
 *   share_clear     space, sharer, share_id, node_id, group, grantee_id
 *   received_set    recipient, share_id, state ("accepted", "pending", "rejected"), mount_point
 *                   [, doubtful]
 *   link_set        space, node_id, folder, sharer, permissions, expires, has_password, label
 *                   [, link_id] [, doubtful] [, row, ctime, token, password_hash]
 *   link_remove     space, sharer, link_id [, doubtful]
 *   node_look       space, node_id [, top_id, relative] [, mtime]
 *   person_look     name [, group]
 *   member_look     group_id, user_id
 *   space_look      uid
 *   concurrent      calls: [ {...}, ... ]   each in a thread of its own; "results" in their order
 * and for those of the tree [, expect: {...}] (see expect_of), where space is what space_ensure
 * gave, blob is {"home", "relative" [, "size", "sha1", "md5", "adler32"] [, "anew"]}, permissions
 * the sum of CS3_PERM_* (common/records.h), expires seconds or 0.
 *
 * Out: {"ok": true, ...} with, by call: "id" (user_ensure, group_ensure, share_set, link_set),
 *   "space" {"storage_id", "space_id", "root_id", "owner"}, "node" {"id", "etag", "sha1", "size",
 *   "mtime"}; a look "where" ("not", "live", "trashed", "below") with "folder", "node",
 * "parent_id", "name", or "found" with "id", "enabled", "display_name", "space", "quota"; or {"ok":
 * false, "kind": "retry"|"poison"|"fatal", "code": n, "cause": "...", "msg": "..."}, and "node"
 * where a call that failed with "taken" names who holds the name. Always "calls": {"Stat": 2,
 * "PUT": 1, ...}, what the target was asked for it. Exit status 0 at the end of input; 2 when the
 * configuration or a line cannot be used.
 */
#include "apply/writer.h"
#include "common/config.h"
#include "common/run.h"
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct ap_writer *writer;
    const json_t *in;
    json_t *out;
    pthread_t thread;
};

static pthread_mutex_t calls_mutex = PTHREAD_MUTEX_INITIALIZER;
static json_t *calls; /* since the last line */

static void
count_call(void *arg, const char *method, const char *status, double seconds)
{
    (void)arg;
    (void)status;
    (void)seconds;
    pthread_mutex_lock(&calls_mutex);
    json_object_set_new(calls, method,
                        json_integer(json_integer_value(json_object_get(calls, method)) + 1));
    pthread_mutex_unlock(&calls_mutex);
}

/* ---- in */
static const char *
text(const json_t *in, const char *key)
{
    return json_string_value(json_object_get(in, key));
}

static const char *
text_or_empty(const json_t *in, const char *key)
{
    const char *s = text(in, key);

    return s ? s : "";
}

static int64_t
number(const json_t *in, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(in, key);

    return json_is_number(value) ? (int64_t)json_number_value(value) : otherwise;
}

static int64_t
integer(const json_t *in, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(in, key);

    return json_is_integer(value) ? json_integer_value(value) : number(in, key, otherwise);
}

static bool
flag(const json_t *in, const char *key)
{
    return json_is_true(json_object_get(in, key));
}

static struct ap_space
space_of(const json_t *in)
{
    const json_t *j = json_object_get(in, "space");
    struct ap_space space = {0};

    snprintf(space.storage_id, sizeof(space.storage_id), "%s", text_or_empty(j, "storage_id"));
    snprintf(space.space_id, sizeof(space.space_id), "%s", text_or_empty(j, "space_id"));
    snprintf(space.root_id, sizeof(space.root_id), "%s", text_or_empty(j, "root_id"));
    snprintf(space.owner, sizeof(space.owner), "%s", text_or_empty(j, "owner"));
    return space;
}

static struct ap_blob_want
blob_of(const json_t *in)
{
    const json_t *j = json_object_get(in, "blob");

    return (struct ap_blob_want){.home = text_or_empty(j, "home"),
                                 .relative = text_or_empty(j, "relative"),
                                 .size = integer(j, "size", -1),
                                 .mtime = integer(j, "mtime", INT64_MIN),
                                 .sha1 = text(j, "sha1"),
                                 .md5 = text(j, "md5"),
                                 .adler32 = text(j, "adler32"),
                                 .anew = flag(j, "anew")};
}

/* {"parent_id", "name", "sha1", "size", "deleted_at", "above", "below" (text)}: what is not there
 * is not known. */
static struct ap_expect
expect_of(const json_t *j, char above[1][AP_ID_SIZE], char *ret_trashed)
{
    snprintf(above[0], AP_ID_SIZE, "%s", text_or_empty(j, "above"));
    return (struct ap_expect){.parent_id = text(j, "parent_id"),
                              .name = text(j, "name"),
                              .sha1 = text_or_empty(j, "sha1"),
                              .size = integer(j, "size", -1),
                              .below = strtoull(text_or_empty(j, "below"), NULL, 10),
                              .below_known = text(j, "below") != NULL,
                              .deleted_at = integer(j, "deleted_at", 0),
                              .above = (const char(*)[AP_ID_SIZE])above,
                              .n_above = above[0][0] ? 1 : 0,
                              .ret_trashed = ret_trashed};
}

static struct ap_trash_ref
trash_of(const json_t *in)
{
    return (struct ap_trash_ref){text_or_empty(in, "top_id"), text(in, "relative")};
}

/* ---- out */
static json_t *
node_json(const struct ap_node *node)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "id", node->id, "etag", node->etag, "sha1",
                     node->sha1, "size", (json_int_t)node->size, "mtime", (json_int_t)node->mtime);
}

static json_t *
space_json(const struct ap_space *space)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "storage_id", space->storage_id, "space_id",
                     space->space_id, "root_id", space->root_id, "owner", space->owner);
}

/* ---- calls, by group; 1 when the name is not of this group, else 0 or -1 as the writer said */
static int
do_people(struct ap_writer *w, const char *name, const json_t *in, json_t *out, struct ls_err *err)
{
    struct cs3_person person = {.type = CS3_USER, .enabled = true};
    struct ap_person_id id = {""};
    struct ap_space space;
    int r;

    if (!strcmp(name, "open"))
        return w->ops->open(w, err);
    if (!strcmp(name, "ping"))
        return w->ops->ping(w, err);
    if (!strcmp(name, "user_ensure")) {
        person.uid = ls_str_of(text_or_empty(in, "uid"));
        person.display_name = ls_str_of(text(in, "display_name"));
        person.mail = ls_str_of(text(in, "mail"));
        person.directory_uuid = ls_str_of(text(in, "directory_uuid"));
        r = w->ops->user_ensure(w, &person, &id, err);
    } else if (!strcmp(name, "user_match")) {
        return w->ops->user_match(w, text_or_empty(in, "uid"), text(in, "id"), err);
    } else if (!strcmp(name, "user_enable")) {
        return w->ops->user_enable(w, text_or_empty(in, "user_id"), flag(in, "enabled"), err);
    } else if (!strcmp(name, "group_ensure")) {
        person.type = CS3_GROUP;
        person.gid = ls_str_of(text_or_empty(in, "gid"));
        person.directory_uuid = ls_str_of(text(in, "directory_uuid"));
        r = w->ops->group_ensure(w, &person, &id, err);
    } else if (!strcmp(name, "group_remove")) {
        return w->ops->group_remove(w, text_or_empty(in, "group_id"), err);
    } else if (!strcmp(name, "member_set")) {
        return w->ops->member_set(w, text_or_empty(in, "group_id"), text_or_empty(in, "user_id"),
                                  flag(in, "member"), err);
    } else if (!strcmp(name, "space_ensure")) {
        r = w->ops->space_ensure(w, text_or_empty(in, "uid"), &space, err);
        if (r == 0)
            json_object_set_new(out, "space", space_json(&space));
        return r;
    } else if (!strcmp(name, "space_quota")) {
        space = space_of(in);
        return w->ops->space_quota(w, &space, integer(in, "bytes", -1), err);
    } else {
        return 1;
    }
    if (r == 0)
        json_object_set_new(out, "id", json_string(id.id));
    return r;
}

static int
do_find(struct ap_writer *w, const json_t *in, const struct ap_space *space, const char *node_id,
        json_t *out, struct ls_err *err)
{
    bool found = false, restore = !strcmp(text_or_empty(in, "call"), "revision_restore");
    struct ap_node node = {0};
    int r;

    if (restore) {
        r = w->ops->revision_restore(w, space, node_id, integer(in, "mtime", 0),
                                     (uint32_t)integer(in, "mtime_ns", 0), integer(in, "size", -1),
                                     text_or_empty(in, "sha1"), text_or_empty(in, "sha1_now"),
                                     &found, &node, err);
        json_object_set_new(out, "done", json_boolean(found));
        if (node.id[0])
            json_object_set_new(out, "node", node_json(&node));
        return r;
    }
    r = w->ops->revision_find(w, space, node_id, integer(in, "mtime", 0), integer(in, "size", -1),
                              &found, err);

    json_object_set_new(out, "found", json_boolean(found));
    return r;
}

static int
do_tree(struct ap_writer *w, const char *name, const json_t *in, json_t *out, struct ls_err *err)
{
    struct ap_space space = space_of(in);
    struct ap_blob_want blob = blob_of(in);
    const char *node_id = text(in, "node_id"), *parent = text_or_empty(in, "parent_id");
    const char *child = text_or_empty(in, "name");
    bool doubtful = flag(in, "doubtful");
    int64_t mtime = integer(in, "mtime", 0);
    uint32_t ns = (uint32_t)integer(in, "mtime_ns", 0);
    const json_t *was = json_object_get(in, "expect");
    char above[1][AP_ID_SIZE] = {""}, trashed[AP_ID_SIZE] = "";
    struct ap_expect expected = expect_of(was, above, trashed);
    const struct ap_expect *expect = json_is_object(was) ? &expected : NULL;
    struct ap_node node = {0};
    int r;

    if (!strcmp(name, "make_folder"))
        r = w->ops->make_folder(w, &space, parent, child, expect, doubtful, &node, err);
    else if (!strcmp(name, "put_file"))
        r = w->ops->put_file(w, &space, node_id, parent, child, &blob, mtime, ns, expect, doubtful,
                             &node, err);
    else if (!strcmp(name, "revision_find") || !strcmp(name, "revision_restore"))
        return do_find(w, in, &space, node_id ? node_id : "", out, err);
    else if (!strcmp(name, "set_mtime"))
        r = w->ops->set_mtime(w, &space, node_id ? node_id : "", mtime, ns, expect, err);
    else if (!strcmp(name, "move"))
        r = w->ops->move(w, &space, node_id ? node_id : "", parent, child, expect, doubtful, err);
    else if (!strcmp(name, "trash"))
        r = w->ops->trash(w, &space, node_id ? node_id : "", expect, doubtful, &node, err);
    else if (!strcmp(name, "restore"))
        r = w->ops->restore(w, &space, trash_of(in), parent, child, expect, doubtful, &node, err);
    else if (!strcmp(name, "purge"))
        r = w->ops->purge(w, &space, trash_of(in), expect, err);
    else
        return 1;
    if (node.id[0])
        json_object_set_new(out, "node", node_json(&node));
    if (node.deleted_at)
        json_object_set_new(out, "deleted_at", json_integer(node.deleted_at));
    if (trashed[0])
        json_object_set_new(out, "trashed", json_string(trashed));
    return r;
}

static int
do_looks(struct ap_writer *w, const char *name, const json_t *in, json_t *out, struct ls_err *err)
{
    static const char *const places[] = {"as-known", "not", "live", "trashed", "below"};
    struct ap_space space = space_of(in);
    struct ap_trash_ref below = {text(in, "top_id"), text(in, "relative")};
    struct ap_person_found person;
    struct ap_space_found home;
    struct ap_found found;
    int r;

    if (!strcmp(name, "node_look")) {
        r = w->ops->node_look(w, &space, text_or_empty(in, "node_id"), below,
                              integer(in, "mtime", 0), &found, err);
        if (r == 0)
            json_object_update_new(out, json_pack("{s:s, s:b, s:o, s:s, s:s}", "where",
                                                  places[found.where], "folder", found.folder,
                                                  "node", node_json(&found.node), "parent_id",
                                                  found.parent_id, "name", found.name));
        return r;
    }
    if (!strcmp(name, "space_look")) {
        r = w->ops->space_look(w, text_or_empty(in, "uid"), &home, err);
        if (r == 0)
            json_object_update_new(out, json_pack("{s:b, s:o, s:I}", "found", home.found, "space",
                                                  space_json(&home.space), "quota",
                                                  (json_int_t)home.quota));
        return r;
    }
    if (!strcmp(name, "person_look"))
        r = w->ops->person_look(w, flag(in, "group") ? CS3_GROUP : CS3_USER,
                                text_or_empty(in, "name"), &person, err);
    else if (!strcmp(name, "member_look"))
        r = w->ops->member_look(w, text_or_empty(in, "group_id"), text_or_empty(in, "user_id"),
                                &person, err);
    else
        return 1;
    if (r == 0)
        json_object_update_new(out, json_pack("{s:b, s:s, s:b, s:s}", "found", person.found, "id",
                                              person.id, "enabled", person.enabled, "display_name",
                                              person.display_name));
    return r;
}

static enum cs3_share_state
state_of(const char *name)
{
    return !strcmp(name, "accepted")   ? CS3_SHARE_ACCEPTED
           : !strcmp(name, "rejected") ? CS3_SHARE_REJECTED
                                       : CS3_SHARE_PENDING;
}

static int
do_shares(struct ap_writer *w, const char *name, const json_t *in, json_t *out, struct ls_err *err)
{
    struct ap_space space = space_of(in);
    const struct ap_share_want share = {.space = &space,
                                        .node_id = text_or_empty(in, "node_id"),
                                        .folder = flag(in, "folder"),
                                        .group = flag(in, "group"),
                                        .grantee_id = text_or_empty(in, "grantee_id"),
                                        .sharer = text_or_empty(in, "sharer"),
                                        .permissions = integer(in, "permissions", 0),
                                        .expires = integer(in, "expires", 0),
                                        .row = integer(in, "row", 0),
                                        .ctime = integer(in, "ctime", 0),
                                        .state = state_of(text_or_empty(in, "state")),
                                        .mount_point = text(in, "mount_point")};
    const struct ap_link_want link = {.space = &space,
                                      .node_id = share.node_id,
                                      .folder = share.folder,
                                      .sharer = share.sharer,
                                      .permissions = share.permissions,
                                      .expires = share.expires,
                                      .has_password = flag(in, "has_password"),
                                      .label = text(in, "label"),
                                      .row = share.row,
                                      .ctime = share.ctime,
                                      .token = text(in, "token"),
                                      .password_hash = text(in, "password_hash")};
    char id[AP_ID_SIZE];
    int r;

    snprintf(id, sizeof(id), "%s",
             text_or_empty(in, strncmp(name, "link", 4) ? "share_id" : "link_id"));
    if (!strcmp(name, "share_remove"))
        return w->ops->share_remove(w, &space, share.sharer, id, flag(in, "doubtful"), err);
    if (!strcmp(name, "share_clear"))
        return w->ops->share_clear(w, &share, id, err);
    if (!strcmp(name, "link_remove"))
        return w->ops->link_remove(w, &space, share.sharer, id, flag(in, "doubtful"), err);
    if (!strcmp(name, "received_set"))
        return w->ops->received_set(w, text_or_empty(in, "recipient"), id,
                                    state_of(text_or_empty(in, "state")), text(in, "mount_point"),
                                    flag(in, "doubtful"), err);
    if (!strcmp(name, "share_set"))
        r = w->ops->share_set(w, &share, id, flag(in, "doubtful"), err);
    else if (!strcmp(name, "link_set"))
        r = w->ops->link_set(w, &link, id, flag(in, "doubtful"), err);
    else
        return 1;
    if (r == 0)
        json_object_set_new(out, "id", json_string(id));
    return r;
}

static json_t *
call_do(struct ap_writer *w, const json_t *in)
{
    json_t *out = json_object();
    const char *name = text_or_empty(in, "call");
    struct ls_err err = {0};
    int r = do_people(w, name, in, out, &err);

    if (r > 0)
        r = do_tree(w, name, in, out, &err);
    if (r > 0)
        r = do_looks(w, name, in, out, &err);
    if (r > 0)
        r = do_shares(w, name, in, out, &err);
    if (r > 0)
        r = ls_fail_cause(&err, LS_ERR_FATAL, 0, "probe", "no call \"%s\"", name);
    json_object_set_new(out, "ok", json_boolean(r == 0));
    if (r < 0) {
        json_object_set_new(out, "kind", json_string(ls_err_kind_name(err.kind)));
        json_object_set_new(out, "code", json_integer(err.code));
        json_object_set_new(out, "cause", json_string(err.cause));
        json_object_set_new(out, "msg", json_stringn_nocheck(err.msg, strlen(err.msg)));
    }
    return out;
}

static void *
job_run(void *arg)
{
    struct job *job = arg;

    job->out = call_do(job->writer, job->in);
    return NULL;
}

static json_t *
concurrent_do(struct ap_writer *w, const json_t *list)
{
    size_t n = json_array_size(list);
    struct job *jobs = calloc(n ? n : 1, sizeof(*jobs));
    json_t *results = json_array();

    for (size_t i = 0; jobs && i < n; i++) {
        jobs[i].writer = w;
        jobs[i].in = json_array_get(list, i);
        if (pthread_create(&jobs[i].thread, NULL, job_run, &jobs[i])) {
            fprintf(stderr, "writer-probe: no thread\n");
            exit(2);
        }
    }
    for (size_t i = 0; jobs && i < n; i++) {
        pthread_join(jobs[i].thread, NULL);
        json_array_append_new(results, jobs[i].out);
    }
    free(jobs);
    return json_pack("{s:b, s:o}", "ok", 1, "results", results);
}

static int
line_do(struct ap_writer *w, const char *line)
{
    json_error_t problem;
    json_t *in = json_loads(line, 0, &problem), *out;

    if (!in) {
        fprintf(stderr, "writer-probe: not JSON: %s\n", problem.text);
        return -1;
    }
    calls = json_object();
    if (!strcmp(text_or_empty(in, "call"), "concurrent"))
        out = concurrent_do(w, json_object_get(in, "calls"));
    else
        out = call_do(w, in);
    json_object_set_new(out, "calls", calls);
    json_dumpf(out, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(out);
    json_decref(in);
    return 0;
}

int
main(int argc, char **argv)
{
    struct ls_config *config = NULL;
    struct ap_writer *writer = NULL;
    struct ls_err err = {0};
    char *line = NULL;
    size_t size = 0;
    int status = 2, r;

    r = ls_config_main(argc, argv, "writer-probe", NULL, NULL, &config, &status, &err);
    if (r > 0)
        return status;
    if (r < 0)
        goto out;
    ls_run_signals();
    if (!strcmp(ls_config_str(config, "apply", "writer"), "null"))
        r = ap_null_new(config, count_call, NULL, &writer, &err);
    else
        r = ap_ocis_api_new(config, count_call, NULL, &writer, &err);
    if (r < 0)
        goto out;
    while (getline(&line, &size, stdin) > 0)
        if (line[strspn(line, " \t\r\n")] && line_do(writer, line) < 0)
            goto out;
    status = 0;
out:
    if (r < 0)
        fprintf(stderr, "writer-probe: %s\n", err.msg);
    free(line);
    ap_writer_free(writer);
    ls_config_free(config);
    return r < 0 ? 2 : status;
}
