/*
 * Other servers: oc_share_external -> received shares, oc_trusted_servers -> trusted servers.
 *
 * What can go wrong: here `accepted` is the reverse of oc_share's (1 accepted, 0 pending), and a
 * share that nobody has accepted yet has a mount point in a wrapping of its own,
 * {{TemporaryMountPointName#/Papers}}, with -1, -2 behind it where there are several. Tokens and
 * secrets are there only when capture was told to carry them; an empty one is none.
 */
#include "transform/map.h"

#include <string.h>

static int
poison(struct ls_err *err, const char *cause, const char *what, const struct cs3_share *s,
       const char *why)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, cause, "%s %lld: %s", what, (long long)s->id, why);
}

/* Index of the byte, or `n`. */
static size_t
index_of(struct ls_str s, const char *bytes)
{
    size_t i = 0;

    while (i < s.n && (s.p[i] == '\0' || !strchr(bytes, s.p[i])))
        i++;
    return i;
}

void
tf_cloud_id(struct ls_str id, struct ls_str *ret_user, struct ls_str *ret_remote)
{
    /* A user's name may hold '@', an address may have a port, a path and https:// in front: so it
     * is the last '@' before the first of "/:\". */
    size_t end = index_of(id, "/:\\"), at = end;
    struct ls_str remote;

    *ret_user = *ret_remote = LS_STR_NULL;
    while (at > 0 && id.p[at - 1] != '@')
        at--;
    if (at < 2)
        return; /* none, or nobody before it */
    remote = (struct ls_str){id.p + at, id.n - at};
    while (remote.n > 0 && remote.p[remote.n - 1] == '/')
        remote.n--;
    if (remote.n == 0)
        return;
    *ret_user = (struct ls_str){id.p, at - 1};
    *ret_remote = remote;
}

/* "{{TemporaryMountPointName#/Papers}}-1" -> "/Papers". */
static struct ls_str
mount_point(struct ls_str s)
{
    static const char wrapping[] = "{{TemporaryMountPointName#";
    size_t n = sizeof(wrapping) - 1, end = s.n;

    if (s.n < n || memcmp(s.p, wrapping, n) != 0)
        return s;
    while (end > n && (s.p[end - 1] == '-' || (s.p[end - 1] >= '0' && s.p[end - 1] <= '9')))
        end--;
    if (end < n + 2 || memcmp(s.p + end - 2, "}}", 2) != 0)
        return s;
    return (struct ls_str){s.p + n, end - 2 - n};
}

/* The record with its head and number, and its key; NULL on failure. */
static struct cs3_share *
begin(const struct ls_envelope *e, enum cs3_share_type type, int id_column, const char *prefix,
      struct ls_arena *arena, struct ls_str *ret_key, struct ls_err *err)
{
    struct cs3_share *s = tf_alloc(arena, sizeof(*s), err);

    if (!s)
        return NULL;
    s->head = tf_head(e, e->op == LS_OP_DELETE ? CS3_DELETE : CS3_UPSERT);
    s->type = type;
    s->id = tf_int(e, id_column, 0);
    s->owner = s->creator = LS_STR("");
    if (s->id <= 0) {
        ls_fail_cause(err, LS_ERR_POISON, 0, "share-id", "a share without a number");
        return NULL;
    }
    return tf_key_int(arena, prefix, s->id, ret_key, err) < 0 ? NULL : s;
}

static int
received_fill(const struct ls_envelope *e, struct cs3_share *s, struct ls_err *err)
{
    int64_t accepted = tf_int(e, SX_ACCEPTED, 0);

    s->grantee = tf_or_null(tf_text(e, SX_USER));
    s->remote = tf_or_null(tf_text(e, SX_REMOTE));
    if (!s->grantee.p)
        return poison(err, "share-with", "received share", s, "names no recipient");
    if (!s->remote.p)
        return poison(err, "remote", "received share", s, "names no server");
    if (accepted != 0 && accepted != 1)
        return poison(err, "share-state", "received share", s, "an unknown value of accepted");
    s->state = accepted == 1 ? CS3_SHARE_ACCEPTED : CS3_SHARE_PENDING;
    s->remote_user = tf_or_null(tf_text(e, SX_OWNER));
    s->remote_id = tf_or_null(tf_text(e, SX_REMOTE_ID));
    s->name = tf_or_null(tf_text(e, SX_NAME));
    s->mount_point = mount_point(tf_text(e, SX_MOUNTPOINT));
    s->token = tf_or_null(tf_text(e, SX_SHARE_TOKEN));
    s->shared_secret = tf_or_null(tf_text(e, SX_PASSWORD));
    return 0;
}

int
tf_received_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
                struct tf_result *ret, struct ls_err *err)
{
    struct ls_str key;
    struct cs3_share *s = begin(e, CS3_SHARE_RECEIVED, SX_ID, "x", arena, &key, err);

    (void)world;
    if (!s || (e->op != LS_OP_DELETE && received_fill(e, s, err) < 0))
        return -1;
    tf_emit(ret, TF_SHARE, 0, key, s);
    return 0;
}

static int
server_fill(const struct ls_envelope *e, struct cs3_share *s, struct ls_err *err)
{
    s->remote = tf_or_null(tf_text(e, TS_URL));
    if (!s->remote.p)
        return poison(err, "remote", "trusted server", s, "has no address");
    s->status = tf_int(e, TS_STATUS, 0);
    /* 1 trusted by both, 2 asked, 3 cannot be reached, 4 it withdrew */
    s->state = s->status == 1   ? CS3_SHARE_ACCEPTED
               : s->status == 4 ? CS3_SHARE_REJECTED
                                : CS3_SHARE_PENDING;
    s->token = tf_or_null(tf_text(e, TS_TOKEN));
    s->shared_secret = tf_or_null(tf_text(e, TS_SHARED_SECRET));
    return 0;
}

int
tf_server_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
              struct tf_result *ret, struct ls_err *err)
{
    struct ls_str key;
    struct cs3_share *s = begin(e, CS3_SHARE_TRUSTED, TS_ID, "s", arena, &key, err);

    (void)world;
    if (!s || (e->op != LS_OP_DELETE && server_fill(e, s, err) < 0))
        return -1;
    tf_emit(ret, TF_SHARE, 0, key, s);
    return 0;
}
