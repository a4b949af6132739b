/*
 * oc_share -> cs3.share: user, group, member, guest, link and federated shares.
 *
 * What can go wrong: granting more than was given. So an expiration that cannot be read is not
 * "never", a set of permissions that comes out empty is a dead letter (an empty grant means
 * "denied" in oCIS, an empty link something else), and who may look only (secure view) does not get
 * the content. Links are not narrowed so: oC10 does not do it either. A password whose hash oCIS
 * could not check would lock everybody out, so it is said instead that it must be set anew.
 */
#include "transform/map.h"

#include <string.h>

#define ALL_BITS 31

static const struct {
    int64_t share_type; /* oc_share.share_type */
    enum cs3_share_type type;
} types[] = {
    {0, CS3_SHARE_USER},      {1, CS3_SHARE_GROUP},     {2, CS3_SHARE_MEMBER},
    {3, CS3_SHARE_LINK},      {4, CS3_SHARE_USER}, /* guests are users */
    {6, CS3_SHARE_FEDERATED}, {7, CS3_SHARE_FEDERATED},
};

static int
poison(struct ls_err *err, const char *cause, const struct cs3_share *s, const char *what)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, cause, "share %lld: %s", (long long)s->id, what);
}

static int
fill_item(const struct ls_envelope *e, struct cs3_share *s, struct tf_result *ret,
          struct ls_err *err)
{
    struct ls_str item_type = tf_text(e, SH_ITEM_TYPE);

    s->folder = ls_str_is(item_type, "folder");
    if (!s->folder && !ls_str_is(item_type, "file"))
        return poison(err, "item-type", s, "neither a file nor a folder");
    s->fileid = tf_int(e, SH_FILE_SOURCE, 0);
    if (s->fileid <= 0)
        return poison(err, "file-source", s, "names no file");
    /* oC10 joins by file_source; item_source is a copy of it. */
    if (tf_int(e, SH_ITEM_SOURCE, 0) != s->fileid)
        tf_warn(ret, "item-source");
    return 0;
}

static int
fill_state(const struct ls_envelope *e, struct cs3_share *s, struct ls_err *err)
{
    int64_t accepted = tf_int(e, SH_ACCEPTED, 0);

    s->source_permissions = tf_int(e, SH_PERMISSIONS, -1);
    if (s->source_permissions < 0 || s->source_permissions > ALL_BITS)
        return poison(err, "share-permissions", s, "unknown permission bits");
    s->permissions =
        cs3_permissions(s->source_permissions, s->folder,
                        s->type == CS3_SHARE_LINK || s->download != CS3_DOWNLOAD_DENIED);
    if (s->permissions == 0 && s->type != CS3_SHARE_MEMBER)
        return poison(err, "share-permissions", s, "grants nothing");
    if (accepted < 0 || accepted > 2)
        return poison(err, "share-state", s, "an unknown value of accepted");
    s->state = accepted == 0   ? CS3_SHARE_ACCEPTED
               : accepted == 1 ? CS3_SHARE_PENDING
                               : CS3_SHARE_REJECTED;
    /* How a member declined before 10.0.9. */
    if (s->type == CS3_SHARE_MEMBER && s->source_permissions == 0)
        s->state = CS3_SHARE_REJECTED;
    return 0;
}

static void
fill_password(struct ls_str with, struct cs3_share *s)
{
    s->has_password = true;
    if (ls_str_is(with, LS_MASKED))
        return;
    if (tf_password_kept(with))
        s->password_hash = (struct ls_str){with.p + 2, with.n - 2};
    else
        s->password_reset = true;
}

static int
fill_grantee(const struct ls_envelope *e, struct cs3_share *s, struct tf_result *ret,
             struct ls_err *err)
{
    struct ls_str with = tf_or_null(tf_text(e, SH_SHARE_WITH));

    if (s->type != CS3_SHARE_LINK) {
        s->grantee = with;
        if (!with.p)
            return poison(err, "share-with", s, "names no recipient");
    } else if (with.p) {
        fill_password(with, s);
    }
    if (s->type == CS3_SHARE_MEMBER) {
        s->parent = tf_int(e, SH_PARENT, 0);
        if (s->parent <= 0 || s->parent == s->id)
            return poison(err, "share-parent", s, "a member's row without its group share");
    }
    if (s->type == CS3_SHARE_FEDERATED) {
        tf_cloud_id(with, &s->remote_user, &s->remote);
        if (!s->remote.p)
            tf_warn(ret, "cloud-id");
    }
    if (s->type == CS3_SHARE_LINK || s->type == CS3_SHARE_FEDERATED)
        s->token = tf_or_null(tf_text(e, SH_TOKEN));
    return 0;
}

static int
fill(const struct tf_world *world, const struct ls_envelope *e, struct cs3_share *s,
     struct tf_result *ret, struct ls_err *err)
{
    struct ls_str expiration = tf_or_null(tf_text(e, SH_EXPIRATION));
    bool odd;

    if (fill_item(e, s, ret, err) < 0)
        return -1;
    s->attributes = tf_or_null(tf_text(e, SH_ATTRIBUTES));
    s->download = tf_download(s->attributes, &odd);
    if (odd)
        tf_warn(ret, "attributes");
    if (fill_state(e, s, err) < 0 || fill_grantee(e, s, ret, err) < 0)
        return -1;
    s->owner = tf_text(e, SH_UID_OWNER);
    s->creator = tf_or_null(tf_text(e, SH_UID_INITIATOR));
    if (!s->owner.p || s->owner.n == 0)
        return poison(err, "share-owner", s, "has no owner");
    if (!s->creator.p)
        s->creator = s->owner;
    s->stime = tf_int(e, SH_STIME, 0);
    s->mount_point = tf_text(e, SH_FILE_TARGET);
    if (s->mount_point.n > 1 && s->mount_point.p[s->mount_point.n - 1] == '/')
        s->mount_point.n--;
    s->label = tf_or_null(tf_text(e, SH_SHARE_NAME));
    s->mail_send = tf_int(e, SH_MAIL_SEND, 0) != 0;
    return expiration.p ? tf_zone_end_of_day(world->zone, expiration, &s->expires, err) : 0;
}

int
tf_share_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
             struct tf_result *ret, struct ls_err *err)
{
    struct cs3_share *s = tf_alloc(arena, sizeof(*s), err);
    int64_t type = tf_int(e, SH_SHARE_TYPE, -1);
    struct ls_str key;
    size_t i = 0;

    if (!s)
        return -1;
    s->id = tf_int(e, SH_ID, 0);
    if (s->id <= 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "share-id", "a share without a number");
    if (tf_key_int(arena, "", s->id, &key, err) < 0)
        return -1;
    s->head = tf_head(e, e->op == LS_OP_DELETE ? CS3_DELETE : CS3_UPSERT);
    s->owner = s->creator = LS_STR("");
    while (i < sizeof(types) / sizeof(types[0]) && types[i].share_type != type)
        i++;
    if (i < sizeof(types) / sizeof(types[0])) {
        s->type = types[i].type;
    } else if (e->op != LS_OP_DELETE) {
        return ls_fail_cause(err, LS_ERR_POISON, 0, "share-type",
                             "share %lld has type %lld, which has no counterpart", (long long)s->id,
                             (long long)type);
    }
    if (e->op != LS_OP_DELETE && fill(world, e, s, ret, err) < 0)
        return -1;
    tf_emit(ret, TF_SHARE, 0, key, s);
    return 0;
}
