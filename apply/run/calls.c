/*
 * One job, one call of the writer: what a worker thread runs.
 *
 * It sees the job only, never the ledger: everything the call needs was put there when it was
 * planned. The answer goes into the same job; settle.c decides what it means.
 */
#include "apply/core.h"
#include "apply/plan/drift.h"
#include "common/run.h"
#include <string.h>

/* Then the upload's own look says where it is: somebody may have put it into the trash. */
static bool
is_gone(struct ap_job *job)
{
    bool gone = job->result < 0 && strcmp(job->err.cause, "gone") == 0;

    if (gone)
        job->err = (struct ls_err){0};
    return gone;
}

/* Without an upload: an old content is there, or the content is an old one. */
static bool
revision_done(struct ap_writer *w, struct ap_job *job, uint32_t ns)
{
    const struct ap_writer_ops *ops = w->ops;
    const struct ap_tree_op *op = &job->op;

    job->there = job->reverted = false;
    if (job->version && op->node != 0 && ops->revision_find) {
        job->result = ops->revision_find(w, &job->space, job->node_id, op->mtime, op->size,
                                         &job->there, &job->err);
        if (is_gone(job))
            return false;
        return job->result < 0 || job->there;
    }
    if (job->revert && ops->revision_restore) {
        job->result =
            ops->revision_restore(w, &job->space, job->node_id, op->mtime, ns, op->size, op->sha1,
                                  job->sha1_now, &job->reverted, &job->node, &job->err);
        if (is_gone(job))
            return false;
        return job->result < 0 || job->reverted;
    }
    return false;
}

static void
run_tree(struct ap_writer *w, struct ap_job *job)
{
    const struct ap_writer_ops *ops = w->ops;
    struct ap_tree_op *op = &job->op;
    struct ap_trash_ref ref = {job->top_id, op->relative};
    struct ap_blob_want blob = {.home = job->home,
                                .relative = op->blob,
                                .size = op->size,
                                .mtime = job->blob_mtime,
                                .anew = job->anew,
                                .objects = job->objects,
                                .object = job->who.id,
                                .sha1 = op->sha1[0] ? op->sha1 : NULL,
                                .md5 = op->md5[0] ? op->md5 : NULL,
                                .adler32 = op->adler32[0] ? op->adler32 : NULL};
    uint32_t ns = ap_mtime_ns(op->etag, op->sha1);
    struct ap_expect room;
    const struct ap_expect *expect = ap_drift_expect(job, &room);

    switch (op->call) {
    case AP_MAKE_FOLDER:
        job->result = ops->make_folder(w, &job->space, job->parent_id, op->name, expect,
                                       job->doubtful, &job->node, &job->err);
        break;
    case AP_PUT_FILE:
        if (revision_done(w, job, ns))
            break;
        job->result =
            ops->put_file(w, &job->space, op->node ? job->node_id : NULL, job->parent_id, op->name,
                          &blob, op->mtime, ns, expect, job->doubtful, &job->node, &job->err);
        break;
    case AP_SET_MTIME:
        job->result =
            ops->set_mtime(w, &job->space, job->node_id, op->mtime, ns, expect, &job->err);
        break;
    case AP_MOVE:
        job->result = ops->move(w, &job->space, job->node_id, job->parent_id, op->name, expect,
                                job->doubtful, &job->err);
        break;
    case AP_TRASH:
        job->result =
            ops->trash(w, &job->space, job->node_id, expect, job->doubtful, &job->node, &job->err);
        break;
    case AP_RESTORE:
        job->result = ops->restore(w, &job->space, ref, job->parent_id, op->name, expect,
                                   job->doubtful, &job->node, &job->err);
        break;
    default:
        job->result = ops->purge(w, &job->space, ref, expect, &job->err);
        break;
    }
}

static int
share_remove(struct ap_writer *w, struct ap_job *job, const char *share_id)
{
    int r = w->ops->share_remove(w, &job->space, job->sharer, share_id, job->doubtful, &job->err);

    return r < 0 && strcmp(job->err.cause, "gone") == 0 ? 0 : r;
}

/* Over the sharing API one that was made anew, in doubt, has another id. */
static int
share_remove_other(struct ap_writer *w, struct ap_job *job, const struct ap_share_want *share)
{
    char other[AP_ID_SIZE] = "";

    if (w->exact || !job->doubtful)
        return 0;
    if (w->ops->share_find(w, share, other, &job->err) < 0)
        return -1;
    return other[0] ? share_remove(w, job, other) : 0;
}

static void
run_share_remove(struct ap_writer *w, struct ap_job *job, const struct ap_share_want *share)
{
    const struct ap_writer_ops *ops = w->ops;
    bool known = job->share_id[0] != '\0';

    if (!known && job->doubtful) {
        job->result = ops->share_find(w, share, job->share_id, &job->err);
        if (job->result < 0)
            return;
    }
    if (job->share_id[0])
        job->result = share_remove(w, job, job->share_id);
    if (job->result == 0 && job->half && known)
        job->result = share_remove_other(w, job, share);
    if (job->result == 0 && job->half && ops->share_clear)
        job->result = ops->share_clear(w, share, job->share_id, &job->err);
}

static void
run_share(struct ap_writer *w, struct ap_job *job)
{
    const struct ap_writer_ops *ops = w->ops;
    struct ap_share_want share = {.space = &job->space,
                                  .node_id = job->node_id,
                                  .folder = job->folder,
                                  .group = job->group,
                                  .grantee_id = job->person_id,
                                  .sharer = job->sharer,
                                  .permissions = job->permissions,
                                  .expires = job->expires,
                                  .row = job->row,
                                  .ctime = job->ctime,
                                  .state = job->state,
                                  .mount_point = job->mount,
                                  .ret_received = &job->received};
    struct ap_link_want link = {.space = &job->space,
                                .node_id = job->node_id,
                                .folder = job->folder,
                                .sharer = job->sharer,
                                .permissions = job->permissions,
                                .expires = job->expires,
                                .has_password = job->has_password,
                                .label = job->label,
                                .row = job->row,
                                .ctime = job->ctime,
                                .lost = job->seek.how == AP_SEEK_LINK,
                                .known = (const char(*)[AP_ID_SIZE])job->seek.known,
                                .n_known = job->seek.n_known,
                                .token = job->token,
                                .password_hash = job->password_hash};

    switch (job->call) {
    case AP_SHARE_SET:
        job->received = false;
        job->result = ops->share_set(w, &share, job->share_id, job->doubtful, &job->err);
        break;
    case AP_SHARE_REMOVE:
        run_share_remove(w, job, &share);
        break;
    case AP_RECEIVED_SET:
        job->result = ops->received_set(w, job->uid, job->share_id, job->state, job->mount,
                                        job->doubtful, &job->err);
        break;
    case AP_LINK_SET:
        job->result = ops->link_set(w, &link, job->share_id, job->doubtful, &job->err);
        break;
    default:
        job->result =
            ops->link_remove(w, &job->space, job->sharer, job->share_id, job->doubtful, &job->err);
        break;
    }
}

/* What the target has now; nothing is changed. */
static void
run_look(struct ap_writer *w, struct ap_job *job)
{
    const struct ap_writer_ops *ops = w->ops;
    struct ap_trash_ref below = {job->top_id[0] ? job->top_id : NULL, job->op.relative};
    const struct ap_seek *seek = &job->seek;
    const struct ap_trash_seek item = {
        .location = seek->anywhere ? NULL : seek->location,
        .base = seek->base,
        .aside = seek->aside,
        .folder = seek->folder,
        .size = seek->size,
        .since = seek->since,
        .known = (const char(*)[AP_ID_SIZE])seek->known,
        .n_known = seek->n_known,
    };

    if (seek->how == AP_SEEK_PLACE)
        job->result = ops->place_look(w, &job->space, job->parent_id, job->op.name, job->op.mtime,
                                      &job->found, &job->err);
    else if (seek->how == AP_SEEK_TRASH)
        job->result = ops->trash_seek(w, &job->space, &item, &job->found, &job->err);
    else if (seek->how == AP_SEEK_BELOW)
        job->result = ops->node_look(w, &job->space, NULL, below, 0, &job->found, &job->err);
    else if (job->who.kind == AP_SPACE)
        job->result = ops->space_look(w, job->uid, &job->space_found, &job->err);
    else if (job->who.kind == AP_PERSON && job->person_type == CS3_MEMBER)
        job->result =
            ops->member_look(w, job->group_id, job->person_id, &job->person_found, &job->err);
    else if (job->who.kind == AP_PERSON)
        job->result = ops->person_look(w, job->person_type,
                                       job->person_type == CS3_USER ? job->uid : job->gid,
                                       &job->person_found, &job->err);
    else
        job->result = ops->node_look(w, &job->space, job->node_id, below, job->op.mtime,
                                     &job->found, &job->err);
}

void
ap_job_run(struct ap_writer *w, struct ap_job *job)
{
    const struct ap_writer_ops *ops = w->ops;
    struct cs3_person person = {.type = job->call == AP_GROUP_ENSURE ? CS3_GROUP : CS3_USER,
                                .uid = ls_str_of(job->uid),
                                .gid = ls_str_of(job->gid),
                                .display_name = ls_str_of(job->display_name),
                                .mail = job->keep_mail ? LS_STR_NULL : ls_str_of(job->mail),
                                .home = ls_str_of(job->user_home),
                                .quota = ls_str_of(job->quota),
                                .enabled = job->enabled};

    if (job->directory_uuid[0])
        person.directory_uuid = ls_str_of(job->directory_uuid);
    memset(&job->err, 0, sizeof(job->err));
    job->began_us = ls_now_us();
    switch (job->call) {
    case AP_USER_ENSURE:
        job->result = ops->user_ensure(w, &person, &job->person, &job->err);
        break;
    case AP_USER_ENABLE:
        job->result = ops->user_enable(w, job->person_id, job->enabled, &job->err);
        break;
    case AP_GROUP_ENSURE:
        job->result = ops->group_ensure(w, &person, &job->person, &job->err);
        break;
    case AP_GROUP_REMOVE:
        job->result = ops->group_remove(w, job->group_id, &job->err);
        break;
    case AP_MEMBER_SET:
        job->result = ops->member_set(w, job->group_id, job->person_id, job->enabled, &job->err);
        break;
    case AP_SPACE_ENSURE:
        job->result = ops->space_ensure(w, job->uid, &job->made, &job->err);
        break;
    case AP_SPACE_QUOTA:
        job->result = ops->space_quota(w, &job->space, job->quota_bytes, &job->err);
        break;
    case AP_PING:
        job->result =
            job->objects ? ap_objects_check(job->objects, &job->err) : ops->ping(w, &job->err);
        break;
    case AP_LOOK:
        run_look(w, job);
        break;
    case AP_SHARE_SET:
    case AP_SHARE_REMOVE:
    case AP_RECEIVED_SET:
    case AP_LINK_SET:
    case AP_LINK_REMOVE:
        run_share(w, job);
        break;
    default:
        run_tree(w, job);
        break;
    }
    job->took_us = ls_now_us() - job->began_us;
}
