/*
 * CS3 calls about shares and links, all at the gateway, which adds the grants itself.
 *
 * The server takes no permission to grant further (add, update, remove, deny grant) and, for a
 * file, none that only a folder can have; both are left out here, or it refuses the whole share.
 * UpdateShare names the share twice and the permissions twice: after a lost race the server falls
 * back to the older of the two fields, and with that empty it would store no permissions at all.
 */
#include "apply/cs3/cs3_call.h"
#include "cs3/sharing.pb-c.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER_GRANTED                                                                              \
    (CS3_PERM_ADD_GRANT | CS3_PERM_UPDATE_GRANT | CS3_PERM_REMOVE_GRANT | CS3_PERM_DENY_GRANT)
#define FOLDERS_ONLY (CS3_PERM_CREATE_CONTAINER | CS3_PERM_MOVE | CS3_PERM_DELETE)

static int64_t
seconds_of(const Cs3__Timestamp *time)
{
    return time ? (int64_t)time->seconds : 0;
}

/* NULL for "never". */
static Cs3__Timestamp *
time_fill(Cs3__Timestamp *time, int64_t seconds)
{
    cs3__timestamp__init(time);
    time->seconds = (uint64_t)seconds;
    return seconds ? time : NULL;
}

static int
id_give(const char *id, const char *method, char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    if (!id || !*id || strlen(id) >= AP_ID_SIZE)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "%s: a reply without an id", method);
    snprintf(ret_id, AP_ID_SIZE, "%s", id);
    return 0;
}

/* The node as sharing requests name it. */
struct node {
    Cs3__ResourceInfo info;
    Cs3__ResourceId id;
    struct cs3_user user;
    Cs3__UserId owner;
};

static void
node_fill(struct node *node, const struct cs3_place *place, bool folder)
{
    cs3__resource_info__init(&node->info);
    cs3__resource_id__init(&node->id);
    node->id.storage_id = cs3_borrow(place->storage_id);
    node->id.space_id = cs3_borrow(place->space_id);
    node->id.opaque_id = cs3_borrow(place->id);
    node->info.id = &node->id;
    node->info.type = folder ? 2 : 1;
}

static int
node_fill_owner(struct node *node, struct cs3_client *client, const char *owner, struct ls_err *err)
{
    if (cs3_user_of(client, owner, &node->user, err) < 0)
        return -1;
    cs3__user_id__init(&node->owner);
    node->owner.opaque_id = node->user.id;
    node->owner.idp = node->user.idp;
    node->owner.type = 1;
    node->info.owner = &node->owner;
    return 0;
}

struct grantee {
    Cs3__Grantee grantee;
    Cs3__UserId user;
    Cs3__GroupId group;
};

static void
grantee_fill(struct grantee *g, const char *id, bool group)
{
    cs3__grantee__init(&g->grantee);
    cs3__user_id__init(&g->user);
    cs3__group_id__init(&g->group);
    g->grantee.type = group ? 2 : 1;
    if (group) {
        g->group.opaque_id = cs3_borrow(id);
        g->grantee.id_case = CS3__GRANTEE__ID_GROUP_ID;
        g->grantee.group_id = &g->group;
    } else {
        g->user.opaque_id = cs3_borrow(id);
        g->user.type = 1;
        g->grantee.id_case = CS3__GRANTEE__ID_USER_ID;
        g->grantee.user_id = &g->user;
    }
}

struct permissions {
    Cs3__SharePermissions share;
    Cs3__ResourcePermissions resource;
};

static void
permissions_fill(struct permissions *p, int64_t permissions)
{
    cs3__share_permissions__init(&p->share);
    cs3_permissions_fill(&p->resource, permissions & ~(int64_t)NEVER_GRANTED);
    p->share.permissions = &p->resource;
}

/* ---- shares */
static struct cs3_share_info
share_of(const Cs3__Share *s)
{
    struct cs3_share_info out = {
        .id = s->id ? cs3_text(s->id->opaque_id) : "",
        .storage_id = s->resource_id ? cs3_text(s->resource_id->storage_id) : "",
        .space_id = s->resource_id ? cs3_text(s->resource_id->space_id) : "",
        .node_id = s->resource_id ? cs3_text(s->resource_id->opaque_id) : "",
        .grantee_id = "",
        .owner_id = s->owner ? cs3_text(s->owner->opaque_id) : "",
        .creator_id = s->creator ? cs3_text(s->creator->opaque_id) : "",
        .permissions = cs3_permissions_of(s->permissions ? s->permissions->permissions : NULL),
        .expires = seconds_of(s->expiration),
        .ctime = seconds_of(s->ctime),
    };

    if (s->grantee && s->grantee->id_case == CS3__GRANTEE__ID_GROUP_ID) {
        out.group = true;
        out.grantee_id = cs3_text(s->grantee->group_id->opaque_id);
    } else if (s->grantee && s->grantee->id_case == CS3__GRANTEE__ID_USER_ID) {
        out.grantee_id = cs3_text(s->grantee->user_id->opaque_id);
    }
    return out;
}

static int
list_shares(struct cs3_client *client, const char *as, Cs3__ShareFilter **filters, size_t n,
            cs3_share_fn *each, void *arg, struct ls_err *err)
{
    Cs3__ListSharesRequest req = CS3__LIST_SHARES_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    const Cs3__ListSharesReply *reply;
    int r = 0;

    req.n_filters = n;
    req.filters = filters;
    if (cs3_call(client, CS3_AT_GATEWAY, "ListShares", as, &req.base,
                 &cs3__list_shares_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__ListSharesReply *)message;
    for (size_t i = 0; i < reply->n_shares && r == 0; i++) {
        struct cs3_share_info info = share_of(reply->shares[i]);
        r = each(arg, &info);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

struct node_filter {
    Cs3__ShareFilter filter;
    struct node node;
};

int
cs3_list_shares_on(struct cs3_client *client, const char *as, const struct cs3_place *nodes,
                   size_t n, cs3_share_fn *each, void *arg, struct ls_err *err)
{
    struct node_filter *of = calloc(n + 1, sizeof(*of));
    Cs3__ShareFilter **filters = calloc(n + 1, sizeof(Cs3__ShareFilter *));
    int r = -1;

    if (!of || !filters) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        cs3__share_filter__init(&of[i].filter);
        node_fill(&of[i].node, &nodes[i], false);
        of[i].filter.type = 2;
        of[i].filter.term_case = CS3__SHARE_FILTER__TERM_RESOURCE_ID;
        of[i].filter.resource_id = &of[i].node.id;
        filters[i] = &of[i].filter;
    }
    /* without a filter it would be all of them */
    r = n == 0 ? 0 : list_shares(client, as, filters, n, each, arg, err);
out:
    free(filters);
    free(of);
    return r;
}

int
cs3_list_shares(struct cs3_client *client, const char *as, const struct cs3_place *node,
                cs3_share_fn *each, void *arg, struct ls_err *err)
{
    return node ? cs3_list_shares_on(client, as, node, 1, each, arg, err)
                : list_shares(client, as, NULL, 0, each, arg, err);
}

int
cs3_grantee_name(struct cs3_client *client, const char *as, const char *id, bool group,
                 char ret_name[256], struct ls_err *err)
{
    Cs3__GetGroupRequest group_req = CS3__GET_GROUP_REQUEST__INIT;
    Cs3__GetUserRequest user_req = CS3__GET_USER_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    const char *name = NULL;
    struct grantee grantee;

    grantee_fill(&grantee, id, group);
    group_req.group_id = &grantee.group;
    group_req.skip_fetching_members = true;
    user_req.user_id = &grantee.user;
    user_req.skip_fetching_user_groups = true;
    if (group ? cs3_call(client, CS3_AT_GATEWAY, "GetGroup", as, &group_req.base,
                         &cs3__get_group_reply__descriptor, &message, err) < 0
              : cs3_call(client, CS3_AT_GATEWAY, "GetUser", as, &user_req.base,
                         &cs3__get_user_reply__descriptor, &message, err) < 0)
        return -1;
    if (group && ((const Cs3__GetGroupReply *)message)->group)
        name = ((const Cs3__GetGroupReply *)message)->group->group_name;
    else if (!group && ((const Cs3__GetUserReply *)message)->user)
        name = ((const Cs3__GetUserReply *)message)->user->username;
    snprintf(ret_name, 256, "%s", name && *name ? name : id);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}

int
cs3_create_share(struct cs3_client *client, const char *as, const char *owner,
                 const struct cs3_place *node, bool folder, const struct cs3_grant_info *grant,
                 char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    Cs3__CreateShareRequest req = CS3__CREATE_SHARE_REQUEST__INIT;
    Cs3__ShareGrant share_grant = CS3__SHARE_GRANT__INIT;
    ProtobufCMessage *message = NULL;
    const Cs3__ShareReply *reply;
    struct permissions permissions;
    struct grantee grantee;
    struct node resource;
    Cs3__Timestamp expires;
    int r;

    node_fill(&resource, node, folder);
    if (node_fill_owner(&resource, client, owner, err) < 0)
        return -1;
    grantee_fill(&grantee, grant->grantee_id, grant->group);
    permissions_fill(&permissions,
                     grant->permissions & (folder ? ~INT64_C(0) : ~(int64_t)FOLDERS_ONLY));
    share_grant.grantee = &grantee.grantee;
    share_grant.permissions = &permissions.share;
    share_grant.expiration = time_fill(&expires, grant->expires);
    req.resource_info = &resource.info;
    req.grant = &share_grant;
    if (cs3_call(client, CS3_AT_GATEWAY, "CreateShare", as, &req.base,
                 &cs3__share_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__ShareReply *)message;
    r = id_give(reply->share && reply->share->id ? reply->share->id->opaque_id : NULL,
                "CreateShare", ret_id, err);
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_update_share(struct cs3_client *client, const char *as, const char *share_id,
                 const struct cs3_grant_info *grant, struct ls_err *err)
{
    Cs3__UpdateShareRequest req = CS3__UPDATE_SHARE_REQUEST__INIT;
    Cs3__UpdateShareField field = CS3__UPDATE_SHARE_FIELD__INIT;
    Cs3__ShareReference ref = CS3__SHARE_REFERENCE__INIT;
    Cs3__FieldMask mask = CS3__FIELD_MASK__INIT;
    Cs3__Share share = CS3__SHARE__INIT;
    Cs3__ShareId id = CS3__SHARE_ID__INIT;
    char permissions_path[] = "permissions", expiration_path[] = "expiration";
    char *paths[] = {permissions_path, expiration_path};
    struct permissions permissions;
    Cs3__Timestamp expires;

    permissions_fill(&permissions, grant->permissions);
    id.opaque_id = cs3_borrow(share_id);
    ref.id = &id;
    field.permissions = &permissions.share;
    share.id = &id;
    share.permissions = &permissions.share;
    share.expiration = time_fill(&expires, grant->expires);
    mask.n_paths = 2;
    mask.paths = paths;
    req.ref = &ref;
    req.field = &field;
    req.share = &share;
    req.update_mask = &mask;
    return cs3_call(client, CS3_AT_GATEWAY, "UpdateShare", as, &req.base, NULL, NULL, err);
}

int
cs3_share_exists(struct cs3_client *client, const char *as, const char *share_id,
                 struct ls_err *err)
{
    Cs3__RemoveShareRequest req = CS3__REMOVE_SHARE_REQUEST__INIT;
    Cs3__ShareReference ref = CS3__SHARE_REFERENCE__INIT;
    Cs3__ShareId id = CS3__SHARE_ID__INIT;
    struct ls_err why = {0};

    id.opaque_id = cs3_borrow(share_id);
    ref.id = &id;
    req.ref = &ref;
    if (cs3_call(client, CS3_AT_GATEWAY, "GetShare", as, &req.base, NULL, NULL, &why) == 0)
        return 1;
    if (!strcmp(why.cause, "gone"))
        return 0;
    if (err)
        *err = why;
    return -1;
}

static int
remove_share_at(struct cs3_client *client, enum cs3_service service, const char *as,
                const char *share_id, struct ls_err *err)
{
    Cs3__RemoveShareRequest req = CS3__REMOVE_SHARE_REQUEST__INIT;
    Cs3__ShareReference ref = CS3__SHARE_REFERENCE__INIT;
    Cs3__ShareId id = CS3__SHARE_ID__INIT;

    id.opaque_id = cs3_borrow(share_id);
    ref.id = &id;
    req.ref = &ref;
    return cs3_call(client, service, "RemoveShare", as, &req.base, NULL, NULL, err);
}

int
cs3_remove_share(struct cs3_client *client, const char *as, const char *share_id,
                 struct ls_err *err)
{
    return remove_share_at(client, CS3_AT_GATEWAY, as, share_id, err);
}

int
cs3_remove_share_only(struct cs3_client *client, const char *as, const char *share_id,
                      struct ls_err *err)
{
    return remove_share_at(client, CS3_AT_SHARING, as, share_id, err);
}

/* ---- received shares */
static enum cs3_share_state
state_of(int32_t state)
{
    return state == 2 ? CS3_SHARE_ACCEPTED : state == 3 ? CS3_SHARE_REJECTED : CS3_SHARE_PENDING;
}

int
cs3_list_received(struct cs3_client *client, const char *as, cs3_received_fn *each, void *arg,
                  struct ls_err *err)
{
    Cs3__ListReceivedSharesRequest req = CS3__LIST_RECEIVED_SHARES_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    const Cs3__ListReceivedSharesReply *reply;
    int r = 0;

    if (cs3_call(client, CS3_AT_GATEWAY, "ListReceivedShares", as, &req.base,
                 &cs3__list_received_shares_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__ListReceivedSharesReply *)message;
    for (size_t i = 0; i < reply->n_shares && r == 0; i++) {
        const Cs3__ReceivedShare *received = reply->shares[i];
        const char *mount = received->mount_point ? cs3_text(received->mount_point->path) : "";
        if (!received->share)
            continue;
        if (mount[0] == '.' && mount[1] == '/')
            mount += 2;
        r = each(arg,
                 &(struct cs3_received_info){share_of(received->share), state_of(received->state),
                                             mount, received->hidden != 0});
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_update_received(struct cs3_client *client, const char *as, const char *share_id,
                    enum cs3_share_state state, const char *mount_point, struct ls_err *err)
{
    Cs3__UpdateReceivedShareRequest req = CS3__UPDATE_RECEIVED_SHARE_REQUEST__INIT;
    Cs3__ReceivedShare received = CS3__RECEIVED_SHARE__INIT;
    Cs3__Reference mount = CS3__REFERENCE__INIT;
    Cs3__FieldMask mask = CS3__FIELD_MASK__INIT;
    Cs3__Share share = CS3__SHARE__INIT;
    Cs3__ShareId id = CS3__SHARE_ID__INIT;
    char state_path[] = "state", mount_path[] = "mount_point";
    char *paths[] = {state_path, mount_path};

    id.opaque_id = cs3_borrow(share_id);
    share.id = &id;
    received.share = &share;
    received.state = state == CS3_SHARE_ACCEPTED ? 2 : state == CS3_SHARE_REJECTED ? 3 : 1;
    mask.n_paths = 1;
    mask.paths = paths;
    if (mount_point && *mount_point) {
        mount.path = cs3_borrow(mount_point);
        received.mount_point = &mount;
        mask.n_paths = 2;
    }
    req.share = &received;
    req.update_mask = &mask;
    return cs3_call(client, CS3_AT_GATEWAY, "UpdateReceivedShare", as, &req.base, NULL, NULL, err);
}

/* ---- links */
int
cs3_list_links(struct cs3_client *client, const char *as, const struct cs3_place *node,
               cs3_link_fn *each, void *arg, struct ls_err *err)
{
    Cs3__ListPublicSharesRequest req = CS3__LIST_PUBLIC_SHARES_REQUEST__INIT;
    Cs3__PublicShareFilter filter = CS3__PUBLIC_SHARE_FILTER__INIT, *filters[] = {&filter};
    ProtobufCMessage *message = NULL;
    const Cs3__ListPublicSharesReply *reply;
    struct node resource;
    int r = 0;

    if (node) {
        node_fill(&resource, node, false);
        filter.type = 1;
        filter.term_case = CS3__PUBLIC_SHARE_FILTER__TERM_RESOURCE_ID;
        filter.resource_id = &resource.id;
        req.n_filters = 1;
        req.filters = filters;
    }
    if (cs3_call(client, CS3_AT_GATEWAY, "ListPublicShares", as, &req.base,
                 &cs3__list_public_shares_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__ListPublicSharesReply *)message;
    for (size_t i = 0; i < reply->n_share && r == 0; i++) {
        const Cs3__PublicShare *s = reply->share[i];
        r = each(arg, &(struct cs3_link_info){
                          .id = s->id ? cs3_text(s->id->opaque_id) : "",
                          .token = cs3_text(s->token),
                          .storage_id = s->resource_id ? cs3_text(s->resource_id->storage_id) : "",
                          .space_id = s->resource_id ? cs3_text(s->resource_id->space_id) : "",
                          .node_id = s->resource_id ? cs3_text(s->resource_id->opaque_id) : "",
                          .owner_id = s->owner ? cs3_text(s->owner->opaque_id) : "",
                          .creator_id = s->creator ? cs3_text(s->creator->opaque_id) : "",
                          .label = cs3_text(s->display_name),
                          .permissions = cs3_permissions_of(
                              s->permissions ? s->permissions->permissions : NULL),
                          .expires = seconds_of(s->expiration),
                          .has_password = s->password_protected != 0,
                      });
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

/* What CreatePublicShare and UpdatePublicShare have in common. */
struct public_grant {
    Cs3__PublicGrant grant;
    struct permissions permissions;
    Cs3__Timestamp expires;
};

static void
public_grant_fill(struct public_grant *g, const struct cs3_link_info *link, const char *password)
{
    cs3__public_grant__init(&g->grant);
    permissions_fill(&g->permissions, link->permissions);
    g->grant.permissions = &g->permissions.share;
    g->grant.expiration = time_fill(&g->expires, link->expires);
    if (password)
        g->grant.password = cs3_borrow(password);
}

int
cs3_create_link(struct cs3_client *client, const char *as, const char *owner,
                const struct cs3_place *node, bool folder, const struct cs3_link_info *link,
                const char *password, char ret_id[AP_ID_SIZE], char ret_token[AP_ID_SIZE],
                struct ls_err *err)
{
    Cs3__CreatePublicShareRequest req = CS3__CREATE_PUBLIC_SHARE_REQUEST__INIT;
    Cs3__ArbitraryMetadata metadata = CS3__ARBITRARY_METADATA__INIT;
    Cs3__MetadataEntry name = CS3__METADATA_ENTRY__INIT, *entries[] = {&name};
    ProtobufCMessage *message = NULL;
    const Cs3__PublicShareReply *reply;
    struct public_grant grant;
    struct node resource;
    char key[] = "name";
    int r;

    node_fill(&resource, node, folder);
    if (node_fill_owner(&resource, client, owner, err) < 0)
        return -1;
    public_grant_fill(&grant, link, password);
    resource.info.arbitrary_metadata = &metadata; /* the server looks into it unasked */
    if (link->label && *link->label) {
        name.key = key;
        name.value = cs3_borrow(link->label);
        metadata.n_metadata = 1;
        metadata.metadata = entries;
    }
    req.resource_info = &resource.info;
    req.grant = &grant.grant;
    if (cs3_call(client, CS3_AT_GATEWAY, "CreatePublicShare", as, &req.base,
                 &cs3__public_share_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__PublicShareReply *)message;
    r = id_give(reply->share && reply->share->id ? reply->share->id->opaque_id : NULL,
                "CreatePublicShare", ret_id, err);
    if (r == 0)
        snprintf(ret_token, AP_ID_SIZE, "%s", reply->share ? cs3_text(reply->share->token) : "");
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_update_link(struct cs3_client *client, const char *as, const char *link_id,
                enum cs3_link_field field, const struct cs3_link_info *link, const char *password,
                struct ls_err *err)
{
    Cs3__UpdatePublicShareRequest req = CS3__UPDATE_PUBLIC_SHARE_REQUEST__INIT;
    Cs3__PublicShareReference ref = CS3__PUBLIC_SHARE_REFERENCE__INIT;
    Cs3__PublicShareUpdate update = CS3__PUBLIC_SHARE_UPDATE__INIT;
    Cs3__PublicShareId id = CS3__PUBLIC_SHARE_ID__INIT;
    struct public_grant grant;

    public_grant_fill(&grant, link, password);
    if (field != CS3_LINK_EXPIRATION) /* a date in the past would be refused */
        grant.grant.expiration = NULL;
    id.opaque_id = cs3_borrow(link_id);
    ref.id = &id;
    update.type = (int32_t)field;
    update.grant = &grant.grant;
    update.display_name = cs3_borrow(cs3_text(link->label));
    req.ref = &ref;
    req.update = &update;
    return cs3_call(client, CS3_AT_GATEWAY, "UpdatePublicShare", as, &req.base, NULL, NULL, err);
}

int
cs3_remove_link(struct cs3_client *client, const char *as, const char *link_id, struct ls_err *err)
{
    Cs3__RemovePublicShareRequest req = CS3__REMOVE_PUBLIC_SHARE_REQUEST__INIT;
    Cs3__PublicShareReference ref = CS3__PUBLIC_SHARE_REFERENCE__INIT;
    Cs3__PublicShareId id = CS3__PUBLIC_SHARE_ID__INIT;

    id.opaque_id = cs3_borrow(link_id);
    ref.id = &id;
    req.ref = &ref;
    return cs3_call(client, CS3_AT_GATEWAY, "RemovePublicShare", as, &req.base, NULL, NULL, err);
}
