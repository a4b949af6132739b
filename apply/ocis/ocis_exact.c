/*
 * Shares and links written into the share managers' own files, for the writer `ocis-api`: with
 * their ids, times, creators, tokens and password hashes, which no interface takes.
 *
 * A share is a grant on the node, an entry in its recipient's list (a user's with his state and
 * mount point), one in its creator's, and the share itself in the file of its space. The grant
 * comes first, else the recipient would be shown what he cannot open; the three files are written
 * at the same time. They are taken away in the order above, the space's file last, because only
 * that says whose lists the share stands in. A try that ended in between is finished by the next
 * one, and whatever fails after the first step is of unknown outcome.
 *
 * The id is made of the row's, so what an earlier try has made is known by it. A share that is
 * there for the same grantee (somebody's at the target) is taken over with its id; one with our id
 * that is about another node is a leftover and goes first. Grants are one change per node at a
 * time, and looked at afterwards: the server loses one of two.
 *
 * Changes of one file by several workers are one write (metadata_space.c). What the server writes
 * itself at that moment is written after a pause of its calls (still.h): one that we overtake fails
 * when it reads again while our content is on its way to its place, one that makes a link always.
 */
#include "apply/cs3/cs3_call.h"
#include "apply/ocis/ocis_api.h"
#include "apply/ocis/share_files.h"
#include "common/run.h"
#include "common/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int
broken(const char *path, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "%s has an unknown shape", path);
}

static const char *
valid_text(const char *text)
{
    return text && *text && ls_utf8_valid(text, strlen(text)) ? text : NULL;
}

/* ---- one change of one file */
struct file_change {
    const char *path;
    const struct ap_share_record *share; /* the files of shares */
    const char *ssid, *id;
    struct ap_received_record received;
    bool ask; /* of a name for it, as ap_received_file_put says */
    json_t *same;
    struct ap_share_record *found; /* what a look finds; its id is "" for nothing */
    const struct ap_link_record *link;
};

static int
shape_check(int r, const struct file_change *c, struct ls_err *err)
{
    return r < 0 ? broken(c->path, err) : r;
}

static int
look_share(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    (void)err;
    c->found->id[0] = '\0';
    if (c->id && *c->id && ap_share_file_get(doc, c->id, NULL, c->found))
        return 0;
    if (c->share && !ap_share_file_get(doc, NULL, c->share, c->found))
        c->found->id[0] = '\0';
    return 0;
}

static int
put_share(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    return shape_check(ap_share_file_put(doc, c->share, ls_now_us()), c, err);
}

/* Only where there is none yet; else c->found says which. */
static int
put_new_share(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    look_share(arg, doc, err);
    return c->found->id[0] ? 0 : put_share(arg, doc, err);
}

static int
drop_share(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    (void)err;
    return ap_share_file_drop(doc, c->id);
}

static int
put_list(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    return shape_check(ap_list_file_put(doc, c->ssid, c->id), c, err);
}

static int
drop_list(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    (void)err;
    return ap_list_file_drop(doc, c->ssid, c->id);
}

static int
put_received(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    return shape_check(ap_received_file_put(doc, c->ssid, c->id, &c->received, &c->ask), c, err);
}

static int
look_same(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    look_share(arg, doc, err);
    json_decref(c->same);
    c->same = ap_share_file_same(doc, c->id);
    return c->same ? 0 : ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
}

static int
drop_received(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    (void)err;
    return ap_received_file_drop(doc, c->ssid, c->id);
}

static int
change_file(struct ap_ocis *ocis, const char *path, ap_metadata_fn *change, struct file_change *c,
            struct ls_err *err)
{
    c->path = path;
    return ap_metadata_change(ocis->metadata, AP_SPACE_SHARES, path, false, change, c, err) < 0 ? -1
                                                                                                : 0;
}

/* ---- where a share stands */
struct places {
    char ssid[2 * AP_ID_SIZE];
    char space_file[2 * AP_ID_SIZE + 32];
    char created[AP_ID_SIZE + 32], received[AP_ID_SIZE + 32];
};

static void
places_fill(struct places *at, const struct ap_share_record *share)
{
    snprintf(at->ssid, sizeof(at->ssid), "%s:%s", share->storage_id, share->space_id);
    snprintf(at->space_file, sizeof(at->space_file), "storages/%s/%s.json", share->storage_id,
             share->space_id);
    snprintf(at->created, sizeof(at->created), "users/%s/created.json", share->creator_id);
    snprintf(at->received, sizeof(at->received), "%s/%s/received.json",
             share->group ? "groups" : "users", share->grantee_id);
}

/* The share with that id, or else the one of that node and grantee; found->id "" for none. */
static int
share_look(struct ap_ocis *ocis, const char *id, const struct ap_share_record *like,
           struct ap_share_record *found, struct ls_err *err)
{
    struct file_change c = {.id = id, .share = like, .found = found};
    struct places at;

    places_fill(&at, like);
    return change_file(ocis, at.space_file, look_share, &c, err);
}

/* ---- what a user has received */
/* The entry of `c` needs to know more (ap_received_file_put): which other shares the node has, and
 * what it is called itself, as far as `as` is told. 1: written now; 0: it was there. */
static int
received_named(struct ap_ocis *ocis, const char *as, const char *path, struct file_change *c,
               struct ls_err *err)
{
    struct ap_share_record like = {0}, found;
    struct file_change look = {.id = c->id, .found = &found};
    struct cs3_place node;
    struct cs3_info info = {0};
    struct places at;
    int r = -1;

    if (ap_share_id_split(c->id, like.storage_id, like.space_id) < 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "no share has such an id");
    places_fill(&at, &like);
    if (change_file(ocis, at.space_file, look_same, &look, err) < 0)
        goto out;
    c->received.same = look.same;
    if (!c->received.mount || !*c->received.mount) {
        node = (struct cs3_place){like.storage_id, like.space_id, found.node_id, NULL};
        if (found.id[0] && cs3_stat(ocis->cs3, as, &node, &info, NULL) < 0)
            info.name[0] = '\0';
        if (!info.name[0])
            snprintf(info.name, sizeof(info.name), "share %s", strrchr(c->id, ':') + 1);
        c->received.mount = info.name;
    }
    c->path = path;
    r = ap_metadata_change(ocis->metadata, AP_SPACE_SHARES, path, false, put_received, c, err);
out:
    c->received.mount = NULL; /* both are gone */
    c->received.same = NULL;
    json_decref(look.same);
    return r;
}

/* ---- grants */
static int
grant_write(struct ap_ocis *ocis, const char *owner, const struct cs3_place *node,
            const struct cs3_grant_info *grant, bool update, struct ls_err *err)
{
    struct ls_err why = {0};
    int r = -1;

    for (int try = 0; r < 0 && try < 3; try++) {
        r = update ? cs3_update_grant(ocis->cs3, owner, node, grant, &why)
                   : cs3_add_grant(ocis->cs3, owner, node, grant, &why);
        if (r < 0 && !ap_cause_is(&why, update ? "gone" : "taken"))
            break;
        update = !update;
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

/* What is known of a grant before it is written. */
enum grant_is { GRANT_NEW, GRANT_OTHER, GRANT_RIGHT_MAYBE };

static int
grant_put_locked(struct ap_ocis *ocis, const struct ap_space *space, const struct cs3_place *node,
                 const struct cs3_grant_info *grant, enum grant_is is, struct ls_err *err)
{
    struct ap_grant_search search = {.want = grant};

    if (is == GRANT_RIGHT_MAYBE) {
        if (cs3_list_grants(ocis->cs3, space->owner, node, ap_grant_check, &search, err) < 0)
            return -1;
        if (search.right)
            return 0;
    }
    if (grant_write(ocis, space->owner, node, grant, is != GRANT_NEW, err) < 0)
        return -1;
    if (cs3_list_grants(ocis->cs3, space->owner, node, ap_grant_check, &search, err) < 0)
        return ap_unknown(err);
    return search.right ? 0
                        : ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout",
                                        "the target lost the grant, or a change of it");
}

/* The node's grant is there afterwards, with these permissions. */
static int
grant_put(struct ap_ocis *ocis, const struct ap_space *space, const char *node_id,
          const struct cs3_grant_info *grant, enum grant_is is, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(space, node_id, NULL);
    pthread_mutex_t *lock = ap_share_node_lock(ocis, node_id);
    struct ls_err why = {0};
    struct cs3_info info;
    int r;

    pthread_mutex_lock(lock);
    r = grant_put_locked(ocis, space, &node, grant, is, &why);
    pthread_mutex_unlock(lock);
    if (r < 0 && (ap_cause_is(&why, "gone") || ap_cause_is(&why, "internal")) &&
        ap_look(ocis, space, node_id, NULL, &info, NULL) == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, why.code, "gone", "the shared node is not there");
    if (r < 0 && err)
        *err = why;
    return r;
}

static int
grant_drop(struct ap_ocis *ocis, const struct ap_space *space, const struct ap_share_record *share,
           struct ls_err *err)
{
    return ap_share_grant_drop(ocis, space, share->node_id, share->grantee_id, share->group, err);
}

/* ---- shares */
static struct ap_metadata_change
a_change(const char *path, ap_metadata_fn *change, struct file_change *c)
{
    c->path = path;
    return (struct ap_metadata_change){
        .space = AP_SPACE_SHARES, .path = path, .change = change, .arg = c};
}

static int
lists_drop(struct ap_ocis *ocis, const struct ap_share_record *share, struct ls_err *err)
{
    struct places at;
    struct file_change c[2] = {{.ssid = at.ssid, .id = share->id},
                               {.ssid = at.ssid, .id = share->id}};
    struct ap_metadata_change all[2];

    places_fill(&at, share);
    all[0] = a_change(at.received, share->group ? drop_list : drop_received, &c[0]);
    all[1] = a_change(at.created, drop_list, &c[1]);
    return ap_metadata_change_all(ocis->metadata, all, share->creator_id[0] ? 2 : 1, err);
}

static int
share_drop(struct ap_ocis *ocis, const struct ap_space *space, const struct ap_share_record *share,
           struct ls_err *err)
{
    struct places at;
    struct file_change c = {.ssid = at.ssid, .id = share->id};

    places_fill(&at, share);
    if (grant_drop(ocis, space, share, err) < 0)
        return -1;
    if (lists_drop(ocis, share, err) < 0 ||
        change_file(ocis, at.space_file, drop_share, &c, err) < 0)
        return ap_unknown(err);
    return 0;
}

int
ap_exact_share_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                      const char *share_id, bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ap_share_record like = {0}, found;

    (void)doubtful; /* it is looked for in any case */
    (void)sharer;   /* the owner of the space takes the grant away, nobody else is asked */
    if (ap_share_id_split(share_id, like.storage_id, like.space_id) < 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "no share has such an id");
    if (share_look(ocis, share_id, &like, &found, err) < 0)
        return -1;
    if (!found.id[0] || strcmp(found.id, share_id) != 0)
        return 0;
    return share_drop(ocis, space, &found, err);
}

/* Who shares: the sharer where he can be found, else the owner. That he cannot sign in is no
 * verdict: he may be disabled, and a gateway that stops says the same of everybody. */
static int
people_fill(struct ap_ocis *ocis, const struct ap_space *space, const char *sharer,
            struct cs3_user *ret_owner, struct cs3_user *ret_creator, struct ls_err *err)
{
    struct ap_graph_user user;
    struct ls_err why = {0};

    if (cs3_user_of(ocis->cs3, space->owner, ret_owner, err) < 0)
        return -1;
    *ret_creator = *ret_owner;
    if (ap_share_by_owner(space, sharer) || cs3_user_of(ocis->cs3, sharer, ret_creator, &why) == 0)
        return 0;
    *ret_creator = *ret_owner;
    if (ap_cause_is(&why, "no-user") && ap_graph_user_of(ocis->graph, sharer, &user, &why) == 0)
        memcpy(ret_creator->id, user.id, sizeof(ret_creator->id));
    else if (!ap_cause_is(&why, "grantee-missing")) {
        if (err)
            *err = why;
        return -1;
    }
    return 0;
}

/* -1: *ret has all but who made it. */
static int
record_fill(struct ap_ocis *ocis, const struct ap_share_want *want, struct ap_share_record *ret,
            struct ls_err *err)
{
    struct cs3_user owner, creator;

    memset(ret, 0, sizeof(*ret));
    snprintf(ret->storage_id, sizeof(ret->storage_id), "%s", want->space->storage_id);
    snprintf(ret->space_id, sizeof(ret->space_id), "%s", want->space->space_id);
    snprintf(ret->node_id, sizeof(ret->node_id), "%s", want->node_id);
    snprintf(ret->grantee_id, sizeof(ret->grantee_id), "%s", want->grantee_id);
    ret->group = want->group;
    ret->permissions = ap_share_possible(want->permissions, want->folder);
    ret->expires = ap_share_time(want->expires);
    ret->ctime = ap_share_time(want->ctime);
    if (people_fill(ocis, want->space, want->sharer, &owner, &creator, err) < 0)
        return -1;
    memcpy(ret->owner_id, owner.id, sizeof(ret->owner_id));
    memcpy(ret->creator_id, creator.id, sizeof(ret->creator_id));
    memcpy(ret->idp, owner.idp, sizeof(ret->idp));
    return 0;
}

/* Ids are made of it. */
static int
row_check(int64_t row, struct ls_err *err)
{
    if (row > 0)
        return 0;
    return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "a share without an id at the source");
}

static bool
same_share(const struct ap_share_record *a, const struct ap_share_record *b)
{
    return !strcmp(a->node_id, b->node_id) && a->group == b->group &&
           !strcmp(a->grantee_id, b->grantee_id);
}

static bool
same_state(const struct ap_share_record *is, const struct ap_share_record *want)
{
    return is->permissions == want->permissions && is->expires == want->expires &&
           (!want->ctime || is->ctime == want->ctime) && !strcmp(is->creator_id, want->creator_id);
}

/* The share and its lists. With `found` only a new one: else that says which is there. */
static int
share_write(struct ap_ocis *ocis, const struct ap_share_want *want,
            const struct ap_share_record *share, struct ap_share_record *found, struct ls_err *err)
{
    const char *mount =
        want->state == CS3_SHARE_ACCEPTED ? ap_share_mount_name(want->mount_point) : NULL;
    struct places at;
    struct file_change c[3] = {
        {.ssid = at.ssid,
         .id = share->id,
         .received = {.state = want->state, .mount = valid_text(mount), .only_new = true}},
        {.ssid = at.ssid, .id = share->id},
        {.share = share, .id = share->id, .found = found}};
    struct ap_metadata_change all[3];
    int received;

    places_fill(&at, share);
    all[0] = a_change(at.received, share->group ? put_list : put_received, &c[0]);
    all[1] = a_change(at.created, put_list, &c[1]);
    all[2] = a_change(at.space_file, found ? put_new_share : put_share, &c[2]);
    if (ap_metadata_change_all(ocis->metadata, all, 3, err) < 0)
        return ap_unknown(err);
    received = all[0].result;
    /* With `found` it may be that the share has another id: then that is of no use. */
    if (c[0].ask && !(found && found->id[0])) {
        received = received_named(ocis, want->space->owner, at.received, &c[0], err);
        if (received < 0)
            return ap_unknown(err);
    }
    if (want->ret_received) /* 0: he had something already, perhaps something else */
        *want->ret_received = !share->group && received > 0;
    return 0;
}

/* What is there: under our id, or for the same grantee. A leftover under our id is taken away. */
static int
share_find(struct ap_ocis *ocis, const struct ap_share_want *want,
           const struct ap_share_record *share, const char *id, struct ap_share_record *found,
           struct ls_err *err)
{
    if (share_look(ocis, id, share, found, err) < 0)
        return -1;
    if (!found->id[0] || same_share(found, share))
        return 0;
    if (share_drop(ocis, want->space, found, err) < 0)
        return -1;
    return share_look(ocis, NULL, share, found, err);
}

static int
share_grant(struct ap_ocis *ocis, const struct ap_share_want *want,
            const struct ap_share_record *share, enum grant_is is, struct ls_err *err)
{
    const struct cs3_grant_info grant = {.grantee_id = share->grantee_id,
                                         .group = share->group,
                                         .permissions = share->permissions,
                                         .expires = share->expires};

    return grant_put(ocis, want->space, want->node_id, &grant, is, err);
}

/* Without an entry nothing says where it stands. Somebody's share of that node with that grantee
 * keeps the grant, as it is to be. Of an owner who cannot be acted for nobody tells who made it:
 * the id in the list of what the maker has made, which names nothing any more, stays. */
int
ap_exact_share_clear(struct ap_writer *w, const struct ap_share_want *want, const char *share_id,
                     struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ap_share_record share, others;
    struct ls_err why = {0};

    if (record_fill(ocis, want, &share, &why) < 0 && !ap_cause_is(&why, "no-user")) {
        if (err)
            *err = why;
        return -1;
    }
    if (share_look(ocis, NULL, &share, &others, err) < 0)
        return -1;
    if (others.id[0] ? share_grant(ocis, want, &others, GRANT_RIGHT_MAYBE, err) < 0
                     : grant_drop(ocis, want->space, &share, err) < 0)
        return -1;
    snprintf(share.id, sizeof(share.id), "%s", share_id);
    return strcmp(others.id, share_id) == 0 ? 0 : lists_drop(ocis, &share, err);
}

/* One that may be there, in whole or in part, under our id or another. */
static int
share_finish(struct ap_ocis *ocis, const struct ap_share_want *want, struct ap_share_record *share,
             bool sure, struct ls_err *err)
{
    struct ap_share_record found, was;
    enum grant_is is = GRANT_NEW;

    if (share_find(ocis, want, share, share->id, &found, err) < 0)
        return -1;
    if (found.id[0])
        is = same_state(&found, share) ? GRANT_RIGHT_MAYBE : GRANT_OTHER;
    if (is == GRANT_RIGHT_MAYBE && sure)
        return 0;
    /* The file may be as wanted while the grant is that of a try in between. */
    if (share_grant(ocis, want, share, is, err) < 0)
        return -1;
    was = *share; /* what an earlier try of ours may have put into the lists */
    if (found.id[0])
        memcpy(share->id, found.id, sizeof(share->id));
    if (share_write(ocis, want, share, NULL, err) < 0)
        return -1;
    if (strcmp(was.id, share->id) != 0 && lists_drop(ocis, &was, err) < 0)
        return ap_unknown(err);
    if (found.id[0] && strcmp(found.creator_id, share->creator_id) != 0) {
        struct places at;
        struct file_change c = {.ssid = at.ssid, .id = found.id};
        places_fill(&at, &found);
        if (change_file(ocis, at.created, drop_list, &c, err) < 0)
            return ap_unknown(err);
    }
    return 0;
}

static int
share_set(struct ap_ocis *ocis, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
          bool doubtful, struct ls_err *err)
{
    struct ap_share_record share, found = {0};
    bool fresh = !share_id[0] && !doubtful;
    int r;

    if (row_check(want->row, err) < 0 || record_fill(ocis, want, &share, err) < 0)
        return -1;
    memcpy(share.id, share_id, sizeof(share.id));
    if (!share.id[0] &&
        ap_share_id_of(want->space->storage_id, want->space->space_id, want->row, share.id) < 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "the share's id is too long");
    if (fresh) {
        ap_metadata_coming(ocis->metadata, 1);
        r = share_grant(ocis, want, &share, GRANT_NEW, err);
        ap_metadata_coming(ocis->metadata, -1);
        if (r < 0 || share_write(ocis, want, &share, &found, err) < 0)
            return -1;
    }
    if ((!fresh || found.id[0]) &&
        share_finish(ocis, want, &share, share_id[0] && !doubtful, err) < 0)
        return fresh ? ap_unknown(err) : -1;
    memcpy(share_id, share.id, AP_ID_SIZE);
    return 0;
}

int
ap_exact_share_set(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
                   bool doubtful, struct ls_err *err)
{
    struct ls_err why = {0};

    if (ap_share_open_check(want->permissions, want->folder, want->expires, &why) == 0)
        return share_set(ap_ocis_of(w), want, share_id, doubtful, err);
    if (share_id[0] &&
        ap_exact_share_remove(w, want->space, want->sharer, share_id, false, err) < 0)
        return -1;
    if (err)
        *err = why;
    return -1;
}

int
ap_exact_received_set(struct ap_writer *w, const char *recipient, const char *share_id,
                      enum cs3_share_state state, const char *mount_point, bool doubtful,
                      struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    const char *mount = state == CS3_SHARE_ACCEPTED ? ap_share_mount_name(mount_point) : NULL;
    char storage[AP_ID_SIZE], space[AP_ID_SIZE], ssid[2 * AP_ID_SIZE], id[AP_ID_SIZE];
    char path[AP_ID_SIZE + 32];
    struct file_change c = {
        .ssid = ssid, .id = share_id, .received = {.state = state, .mount = valid_text(mount)}};

    (void)doubtful; /* what is right already is not written */
    if (ap_share_id_split(share_id, storage, space) < 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "no share has such an id");
    if (cs3_sign_in(ocis->cs3, recipient, id, err) < 0)
        return -1;
    snprintf(ssid, sizeof(ssid), "%s:%s", storage, space);
    snprintf(path, sizeof(path), "users/%s/received.json", id);
    if (change_file(ocis, path, put_received, &c, err) < 0)
        return -1;
    return c.ask && received_named(ocis, recipient, path, &c, err) < 0 ? -1 : 0;
}

/* ---- links */
static int
put_link(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;
    int r = ap_link_file_put(doc, c->link, ls_now_us());

    if (r == -2)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "taken",
                             "another link at the target has the token of this one");
    return shape_check(r, c, err);
}

static int
drop_link(void *arg, json_t *doc, struct ls_err *err)
{
    struct file_change *c = arg;

    (void)err;
    return ap_link_file_drop(doc, c->id);
}

static int
change_links(struct ap_ocis *ocis, ap_metadata_fn *change, struct file_change *c,
             struct ls_err *err)
{
    c->path = AP_LINKS_FILE;
    return ap_metadata_change(ocis->metadata, AP_SPACE_LINKS, c->path, true, change, c, err) < 0
               ? -1
               : 0;
}

int
ap_exact_link_set(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
                  bool doubtful, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct cs3_user owner, creator;
    struct ls_err why = {0};
    struct cs3_info info;
    char id[AP_ID_SIZE];
    int there;

    (void)doubtful; /* by its id every try finds what an earlier one has made */
    if (ap_share_open_check(want->permissions, want->folder, want->expires, &why) < 0) {
        if (link_id[0] &&
            ap_exact_link_remove(w, want->space, want->sharer, link_id, false, err) < 0)
            return -1;
        if (err)
            *err = why;
        return -1;
    }
    if (row_check(want->row, err) < 0 ||
        people_fill(ocis, want->space, want->sharer, &owner, &creator, err) < 0)
        return -1;
    there = ap_look(ocis, want->space, want->node_id, NULL, &info, err);
    if (there < 0)
        return -1;
    if (!there)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "gone",
                             "the shared node is not there");
    snprintf(id, sizeof(id), "%s", link_id);
    if (!id[0])
        snprintf(id, sizeof(id), "%lld", (long long)want->row);
    const struct ap_link_record link = {
        .id = id,
        .token = valid_text(want->token),
        .password_hash = want->password_hash,
        .storage_id = want->space->storage_id,
        .space_id = want->space->space_id,
        .node_id = want->node_id,
        .owner_id = owner.id,
        .creator_id = creator.id,
        .idp = owner.idp,
        .label = valid_text(want->label),
        .has_password = want->has_password,
        .permissions = ap_share_possible(want->permissions, want->folder),
        .expires = want->expires,
        .ctime = want->ctime,
    };
    if (change_links(ocis, put_link, &(struct file_change){.link = &link}, err) < 0)
        return -1;
    memcpy(link_id, id, AP_ID_SIZE);
    return 0;
}

int
ap_exact_link_remove(struct ap_writer *w, const struct ap_space *space, const char *sharer,
                     const char *link_id, bool doubtful, struct ls_err *err)
{
    (void)space;
    (void)sharer;
    (void)doubtful;
    return change_links(ap_ocis_of(w), drop_link, &(struct file_change){.id = link_id}, err);
}

/* ---- life */
static int
nothing_share(void *arg, const struct cs3_share_info *share)
{
    (void)arg;
    (void)share;
    return 1;
}

static int
nothing_link(void *arg, const struct cs3_link_info *link)
{
    (void)arg;
    (void)link;
    return 1;
}

static int
space_check(struct ap_ocis *ocis, const char *space, struct ls_err *err)
{
    int there = ap_metadata_has_space(ocis->metadata, space, err);

    if (there == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "internal",
                             "the target has no space %s: its share managers keep no files there",
                             space);
    return there < 0 ? -1 : 0;
}

/* Each manager makes its space when it is first asked for something. */
int
ap_exact_open(struct ap_ocis *ocis, struct ls_err *err)
{
    if (ap_metadata_open(ocis->metadata, err) < 0)
        return -1;
    if (cs3_list_shares(ocis->cs3, ap_graph_as(ocis->graph), NULL, nothing_share, NULL, err) < 0 ||
        cs3_list_links(ocis->cs3, ap_graph_as(ocis->graph), NULL, nothing_link, NULL, err) < 0)
        return -1;
    if (space_check(ocis, AP_SPACE_SHARES, err) < 0)
        return -1;
    return space_check(ocis, AP_SPACE_LINKS, err);
}
