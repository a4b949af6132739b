/*
 * Changes on the share managers' documents.
 *
 * The managers read these files with Go's decoders, which take null for an empty map, and a missing
 * field for its zero: so do we. A change that finds everything as it should be says so, because it
 * is applied again after every lost race and every lost answer. Nothing is ever rebuilt from what
 * we know alone: another version of oCIS may keep more in a share than this one.
 *
 * The time of the last change (mtime) is set when something has changed only, else no two runs
 * would ever agree; of what is new it is the time it was made, which may be years ago. A password
 * is compared by bcrypt there; where ownCloud's hash is not known or is none of bcrypt's, the text
 * stored is one that no password has: such a link is never open. Who wrote a hash is seen by its
 * letter, which changes nothing else: y, from a row (as PHP writes it); a, by the target, when
 * somebody set a new password there; b, one that no password has.
 */
#include "apply/ocis/share_files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* CS3_PERM_* by their names in both kinds of JSON. */
static const struct {
    int64_t bit;
    const char *snake, *camel;
} permission_names[] = {
    {CS3_PERM_ADD_GRANT, "add_grant", "addGrant"},
    {CS3_PERM_CREATE_CONTAINER, "create_container", "createContainer"},
    {CS3_PERM_DELETE, "delete", "delete"},
    {CS3_PERM_GET_PATH, "get_path", "getPath"},
    {CS3_PERM_GET_QUOTA, "get_quota", "getQuota"},
    {CS3_PERM_INITIATE_FILE_DOWNLOAD, "initiate_file_download", "initiateFileDownload"},
    {CS3_PERM_INITIATE_FILE_UPLOAD, "initiate_file_upload", "initiateFileUpload"},
    {CS3_PERM_LIST_GRANTS, "list_grants", "listGrants"},
    {CS3_PERM_LIST_CONTAINER, "list_container", "listContainer"},
    {CS3_PERM_LIST_FILE_VERSIONS, "list_file_versions", "listFileVersions"},
    {CS3_PERM_LIST_RECYCLE, "list_recycle", "listRecycle"},
    {CS3_PERM_MOVE, "move", "move"},
    {CS3_PERM_REMOVE_GRANT, "remove_grant", "removeGrant"},
    {CS3_PERM_PURGE_RECYCLE, "purge_recycle", "purgeRecycle"},
    {CS3_PERM_RESTORE_FILE_VERSION, "restore_file_version", "restoreFileVersion"},
    {CS3_PERM_RESTORE_RECYCLE_ITEM, "restore_recycle_item", "restoreRecycleItem"},
    {CS3_PERM_STAT, "stat", "stat"},
    {CS3_PERM_UPDATE_GRANT, "update_grant", "updateGrant"},
    {CS3_PERM_DENY_GRANT, "deny_grant", "denyGrant"},
};
enum { N_PERMISSIONS = sizeof(permission_names) / sizeof(permission_names[0]) };

/* How the two kinds of JSON call the same things. */
struct dialect {
    bool camel;
    const char *opaque_id, *storage_id, *space_id, *resource_id;
};
static const struct dialect go = {false, "opaque_id", "storage_id", "space_id", "resource_id"};
static const struct dialect proto = {true, "opaqueId", "storageId", "spaceId", "resourceId"};

/* ---- parts of a message */
static int64_t
number_of(const json_t *value)
{
    if (json_is_string(value))
        return strtoll(json_string_value(value), NULL, 10);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : 0;
}

static const char *
text_at(const json_t *in, const char *key)
{
    const char *text = json_string_value(json_object_get(in, key));

    return text ? text : "";
}

static json_t *
time_new(const struct dialect *d, int64_t seconds, int64_t nanos)
{
    json_t *time = json_object();
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)seconds);
    json_object_set_new(time, "seconds", d->camel ? json_string(text) : json_integer(seconds));
    if (nanos)
        json_object_set_new(time, "nanos", json_integer(nanos));
    return time;
}

int64_t
ap_share_time(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > AP_SHARE_TIME_MAX ? AP_SHARE_TIME_MAX : seconds;
}

static int64_t
time_at(const json_t *in, const char *key)
{
    return number_of(json_object_get(json_object_get(in, key), "seconds"));
}

static json_t *
user_new(const struct dialect *d, const char *id, const char *idp)
{
    json_t *user = json_object();

    if (*idp)
        json_object_set_new(user, "idp", json_string(idp));
    json_object_set_new(user, d->opaque_id, json_string(id));
    json_object_set_new(user, "type",
                        d->camel ? json_string("USER_TYPE_PRIMARY") : json_integer(1));
    return user;
}

static json_t *
resource_new(const struct dialect *d, const char *storage_id, const char *space_id,
             const char *node_id)
{
    return json_pack("{s:s, s:s, s:s}", d->storage_id, storage_id, d->opaque_id, node_id,
                     d->space_id, space_id);
}

static json_t *
permissions_new(const struct dialect *d, int64_t permissions)
{
    json_t *set = json_object();

    for (size_t i = 0; i < N_PERMISSIONS; i++)
        if (permissions & permission_names[i].bit)
            json_object_set_new(
                set, d->camel ? permission_names[i].camel : permission_names[i].snake, json_true());
    return json_pack("{s:o}", "permissions", set);
}

static int64_t
permissions_at(const struct dialect *d, const json_t *in)
{
    const json_t *set = json_object_get(json_object_get(in, "permissions"), "permissions");
    int64_t out = 0;

    for (size_t i = 0; i < N_PERMISSIONS; i++)
        if (json_is_true(json_object_get(set, d->camel ? permission_names[i].camel
                                                       : permission_names[i].snake)))
            out |= permission_names[i].bit;
    return out;
}

/* Sets what differs, takes over `value`; NULL removes. */
static void
field_set(json_t *in, const char *key, json_t *value, bool *changed)
{
    json_t *is = json_object_get(in, key);

    if (value ? json_equal(is, value) : !is) {
        json_decref(value);
        return;
    }
    if (value)
        json_object_set_new(in, key, value);
    else
        json_object_del(in, key);
    *changed = true;
}

/* What shares and links have in common. */
static void
common_set(const struct dialect *d, json_t *in, json_t *resource, int64_t permissions,
           int64_t expires, int64_t ctime, json_t *creator, bool *changed)
{
    field_set(in, d->resource_id, resource, changed);
    field_set(in, "creator", creator, changed);
    if (permissions_at(d, in) != permissions)
        field_set(in, "permissions", permissions_new(d, permissions), changed);
    expires = ap_share_time(expires);
    ctime = ap_share_time(ctime);
    if (time_at(in, "expiration") != expires)
        field_set(in, "expiration", expires ? time_new(d, expires, 0) : NULL, changed);
    if (ctime && time_at(in, "ctime") != ctime)
        field_set(in, "ctime", time_new(d, ctime, 0), changed);
}

static json_t *
mtime_new(const struct dialect *d, bool made, int64_t ctime, int64_t now_us)
{
    ctime = made ? ap_share_time(ctime) : 0;
    return ctime ? time_new(d, ctime, 0) : time_new(d, now_us / 1000000, now_us % 1000000 * 1000);
}

/* ---- maps in a document. NULL when the document has another shape, or memory is out. */
static json_t *
map_at(json_t *in, const char *key)
{
    json_t *map = json_object_get(in, key);

    if (map && !json_is_null(map))
        return json_is_object(map) ? map : NULL;
    map = json_object();
    if (!map || json_object_set_new(in, key, map) < 0)
        return NULL;
    return map;
}

/* 1: it was there. */
static int
map_drop(json_t *map, const char *id)
{
    return json_object_del(map, id) == 0;
}

/* in[key][inner], without making any; NULL when there is none. */
static json_t *
inner_find(json_t *in, const char *key, const char *ssid, const char *inner)
{
    return json_object_get(json_object_get(json_object_get(in, key), ssid), inner);
}

static json_t *
inner_at(json_t *in, const char *key, const char *ssid, const char *inner)
{
    json_t *map = map_at(in, key);
    json_t *space = map ? map_at(map, ssid) : NULL;

    return space ? map_at(space, inner) : NULL;
}

/* ---- ids */
int
ap_share_id_of(const char *storage_id, const char *space_id, int64_t row, char ret[AP_ID_SIZE])
{
    int n = snprintf(ret, AP_ID_SIZE, "%s:%s:%lld", storage_id, space_id, (long long)row);

    return n > 0 && n < AP_ID_SIZE ? 0 : -1;
}

int
ap_share_id_split(const char *share_id, char ret_storage[AP_ID_SIZE], char ret_space[AP_ID_SIZE])
{
    const char *first = strchr(share_id, ':'), *last = strrchr(share_id, ':');

    if (!first || first == last || first == share_id || last == first + 1 ||
        strlen(share_id) >= AP_ID_SIZE || memchr(first + 1, ':', (size_t)(last - first - 1)))
        return -1;
    snprintf(ret_storage, AP_ID_SIZE, "%.*s", (int)(first - share_id), share_id);
    snprintf(ret_space, AP_ID_SIZE, "%.*s", (int)(last - first - 1), first + 1);
    return 0;
}

/* ---- shares */
static json_t *
grantee_new(const struct ap_share_record *share)
{
    if (share->group)
        return json_pack("{s:i, s:{s:{s:s}}}", "type", 2, "Id", "GroupId", "opaque_id",
                         share->grantee_id);
    return json_pack("{s:i, s:{s:o}}", "type", 1, "Id", "UserId",
                     user_new(&go, share->grantee_id, share->idp));
}

static void
copy(char *out, size_t size, const char *in)
{
    snprintf(out, size, "%s", in);
}

static void
share_read(const char *id, const json_t *in, struct ap_share_record *ret)
{
    const json_t *resource = json_object_get(in, "resource_id");
    const json_t *grantee = json_object_get(json_object_get(in, "grantee"), "Id");
    const json_t *group = json_object_get(grantee, "GroupId");
    const json_t *user = json_object_get(grantee, "UserId");

    memset(ret, 0, sizeof(*ret));
    copy(ret->id, sizeof(ret->id), id);
    copy(ret->storage_id, sizeof(ret->storage_id), text_at(resource, "storage_id"));
    copy(ret->space_id, sizeof(ret->space_id), text_at(resource, "space_id"));
    copy(ret->node_id, sizeof(ret->node_id), text_at(resource, "opaque_id"));
    ret->group = group != NULL;
    copy(ret->grantee_id, sizeof(ret->grantee_id), text_at(group ? group : user, "opaque_id"));
    copy(ret->owner_id, sizeof(ret->owner_id), text_at(json_object_get(in, "owner"), "opaque_id"));
    copy(ret->creator_id, sizeof(ret->creator_id),
         text_at(json_object_get(in, "creator"), "opaque_id"));
    copy(ret->idp, sizeof(ret->idp), text_at(json_object_get(in, "creator"), "idp"));
    ret->permissions = permissions_at(&go, in);
    ret->expires = time_at(in, "expiration");
    ret->ctime = time_at(in, "ctime");
}

int
ap_share_file_get(const json_t *doc, const char *id, const struct ap_share_record *like,
                  struct ap_share_record *ret)
{
    json_t *shares = json_object_get(doc, "Shares"), *share;
    struct ap_share_record found;
    const char *key;

    if (id) {
        share = json_object_get(shares, id);
        if (share)
            share_read(id, share, ret);
        return share != NULL;
    }
    json_object_foreach(shares, key, share)
    {
        share_read(key, share, &found);
        if (strlen(key) < AP_ID_SIZE && !strcmp(found.node_id, like->node_id) &&
            found.group == like->group && !strcmp(found.grantee_id, like->grantee_id)) {
            *ret = found;
            return 1;
        }
    }
    return 0;
}

int
ap_share_file_put(json_t *doc, const struct ap_share_record *share, int64_t now_us)
{
    json_t *shares = map_at(doc, "Shares"), *is;
    bool changed = false, made;

    if (!shares)
        return -1;
    is = map_at(shares, share->id);
    if (!is)
        return -1;
    made = json_object_size(is) == 0;
    if (made) {
        json_object_set_new(is, "id", json_pack("{s:s}", "opaque_id", share->id));
        json_object_set_new(is, "owner", user_new(&go, share->owner_id, share->idp));
        json_object_set_new(is, "grantee", grantee_new(share));
        changed = true;
    }
    common_set(&go, is, resource_new(&go, share->storage_id, share->space_id, share->node_id),
               share->permissions, share->expires, share->ctime,
               user_new(&go, share->creator_id, share->idp), &changed);
    if (changed)
        json_object_set_new(is, "mtime", mtime_new(&go, made, share->ctime, now_us));
    if (!json_object_get(is, "ctime"))
        json_object_set(is, "ctime", json_object_get(is, "mtime"));
    if (!json_object_get(doc, "Etag"))
        json_object_set_new(doc, "Etag", json_string(""));
    return changed;
}

int
ap_share_file_drop(json_t *doc, const char *id)
{
    return map_drop(json_object_get(doc, "Shares"), id);
}

/* ---- lists */
int
ap_list_file_put(json_t *doc, const char *ssid, const char *id)
{
    json_t *ids = inner_at(doc, "UserShares", ssid, "IDs");

    if (!ids)
        return -1;
    if (json_object_get(ids, id))
        return 0;
    if (!json_object_get(doc, "Etag"))
        json_object_set_new(doc, "Etag", json_string(""));
    return json_object_set_new(ids, id, json_object()) == 0 ? 1 : -1;
}

int
ap_list_file_drop(json_t *doc, const char *ssid, const char *id)
{
    return map_drop(inner_find(doc, "UserShares", ssid, "IDs"), id);
}

/* ---- what a user made of the shares that he received */
enum { STATE_ACCEPTED = 2 };

static char *
name_numbered(const char *name, int number)
{
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    char *out = NULL;

    return asprintf(&out, "%.*s (%d)%s", (int)stem, name, number, name + stem) < 0 ? NULL : out;
}

char *
ap_name_free(const char *wanted, bool (*taken)(void *arg, const char *name), void *arg)
{
    char *name = strdup(wanted);

    for (int number = 1; name && taken(arg, name); number++) {
        free(name);
        name = name_numbered(wanted, number);
    }
    return name;
}

struct mount_look {
    const json_t *doc, *same;
    const char *ssid, *id;
    json_t *taken; /* names; true: by a share of the same space, of which `same` would tell more */
    bool near;     /* such a one was met */
};

static int
mount_add(json_t *names, const char *name, bool near)
{
    return json_object_set_new(names, name,
                               json_boolean(near || json_is_true(json_object_get(names, name))));
}

/* The names of his other accepted shares; `only`: this one, if it is one of them. */
static json_t *
mounts_gather(const struct mount_look *look, const char *only)
{
    json_t *names = json_object(), *space, *is;
    const char *ssid, *id, *name;

    json_object_foreach(json_object_get(look->doc, "Spaces"), ssid, space)
    {
        bool near = strcmp(ssid, look->ssid) == 0;
        json_object_foreach(json_object_get(space, "States"), id, is)
        {
            name = text_at(json_object_get(is, "MountPoint"), "path");
            if ((only && strcmp(name, only) != 0) || !*name ||
                number_of(json_object_get(is, "State")) != STATE_ACCEPTED ||
                (near && (!strcmp(id, look->id) || json_object_get(look->same, id))))
                continue;
            if (mount_add(names, name, near && !look->same) < 0) {
                json_decref(names);
                return NULL;
            }
        }
    }
    return names;
}

/* Has another accepted share of his that name? */
static bool
mount_taken(void *arg, const char *name)
{
    struct mount_look *look = arg;
    const json_t *taken = json_object_get(look->taken, name);

    look->near = look->near || json_is_true(taken);
    return taken != NULL;
}

/* 1 or 0; -1: memory is out. *ret_ask: see the header, and nothing is changed. */
static int
mount_set(json_t *is, struct mount_look *look, const char *wanted, bool *ret_ask)
{
    bool changed = false;
    char *name;

    look->taken = mounts_gather(look, wanted);
    if (json_object_size(look->taken) > 0) { /* it is: the others are wanted, too, once for all */
        json_decref(look->taken);
        look->taken = mounts_gather(look, NULL);
    }
    name = look->taken ? ap_name_free(wanted, mount_taken, look) : NULL;
    json_decref(look->taken);
    if (!name)
        return -1;
    *ret_ask = look->near;
    if (!look->near && strcmp(text_at(json_object_get(is, "MountPoint"), "path"), name) != 0)
        field_set(is, "MountPoint", json_pack("{s:s}", "path", name), &changed);
    free(name);
    return changed;
}

int
ap_received_file_put(json_t *doc, const char *ssid, const char *id,
                     const struct ap_received_record *want, bool *ret_ask)
{
    json_t *states = inner_at(doc, "Spaces", ssid, "States"), *is;
    struct mount_look look = {.doc = doc, .same = want->same, .ssid = ssid, .id = id};
    bool accepted = want->state == CS3_SHARE_ACCEPTED, changed = false;
    int number = accepted ? STATE_ACCEPTED : want->state == CS3_SHARE_REJECTED ? 3 : 1, r = 0;
    const char *mount = want->mount && *want->mount ? want->mount : NULL;

    *ret_ask = false;
    if (!states)
        return -1;
    if (want->only_new && json_object_get(states, id))
        return 0;
    is = map_at(states, id);
    if (!is)
        return -1;
    if (!mount) /* the one that it has */
        mount = text_at(json_object_get(is, "MountPoint"), "path");
    if (accepted && !*mount) {
        *ret_ask = true;
    } else if (accepted) {
        r = mount_set(is, &look, mount, ret_ask);
    } else if (want->mount && *want->mount &&
               strcmp(text_at(json_object_get(is, "MountPoint"), "path"), mount) != 0) {
        field_set(is, "MountPoint", json_pack("{s:s}", "path", mount), &changed);
    }
    if (*ret_ask && json_object_size(is) == 0)
        json_object_del(states, id);
    if (*ret_ask || r < 0)
        return r < 0 ? -1 : 0;
    changed = changed || r > 0;
    field_set(is, "State", json_integer(number), &changed);
    if (!json_object_get(is, "MountPoint"))
        field_set(is, "MountPoint", json_null(), &changed);
    if (!json_object_get(is, "Hidden"))
        field_set(is, "Hidden", json_false(), &changed);
    return changed;
}

json_t *
ap_share_file_same(const json_t *doc, const char *id)
{
    json_t *shares = json_object_get(doc, "Shares"), *share, *same = json_object();
    const json_t *one = json_object_get(shares, id);
    const char *key, *node = text_at(json_object_get(one, "resource_id"), "opaque_id");

    if (!same || !one)
        return same;
    json_object_foreach(shares, key, share)
    {
        if (strcmp(node, text_at(json_object_get(share, "resource_id"), "opaque_id")) == 0 &&
            json_object_set_new(same, key, json_true()) < 0) {
            json_decref(same);
            return NULL;
        }
    }
    return same;
}

int
ap_received_file_drop(json_t *doc, const char *ssid, const char *id)
{
    return map_drop(inner_find(doc, "Spaces", ssid, "States"), id);
}

/* ---- links */
static int
random_text(char *out, size_t n, const char *signs)
{
    unsigned char random[64];
    size_t count = strlen(signs);

    if (n > sizeof(random) || getrandom(random, n, 0) != (ssize_t)n)
        return -1;
    for (size_t i = 0; i < n; i++)
        out[i] = signs[random[i] % count];
    out[n] = '\0';
    return 0;
}

static const char hash_digits[] =
    "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/* "$2y$10$", 22 digits of salt, 31 of hash. */
bool
ap_password_hash_ok(const char *hash)
{
    return hash && strlen(hash) == 60 && !strncmp(hash, "$2", 2) && strchr("aby", hash[2]) &&
           hash[3] == '$' && hash[4] >= '0' && hash[4] <= '3' && hash[5] >= '0' && hash[5] <= '9' &&
           hash[6] == '$' && strspn(hash + 7, hash_digits) == 53;
}

/* The hash of no password that anybody will ever find. The salt has 128 bits: its last digit ends
 * in zeros. */
static int
hash_make(char out[61])
{
    memcpy(out, "$2b$10$", 7);
    if (random_text(out + 7, 53, hash_digits) < 0)
        return -1;
    out[28] = '.';
    return 0;
}

static bool
token_is_others(json_t *doc, const struct ap_link_record *link)
{
    const char *key;
    json_t *entry, *share;
    bool others = false;

    if (!link->token || !*link->token)
        return false;
    json_object_foreach(doc, key, entry)
    {
        const char *text = text_at(entry, "share");
        if (!strcmp(key, link->id) || !strstr(text, link->token))
            continue;
        share = json_loads(text, JSON_ALLOW_NUL, NULL);
        others = others || !strcmp(text_at(share, "token"), link->token);
        json_decref(share);
    }
    return others;
}

/* The one to be stored: what the row has; else what is there, but for what an earlier row had; else
 * one that nobody knows. */
static const char *
hash_pick(const struct ap_link_record *link, const json_t *entry, char made[61])
{
    const char *is = text_at(entry, "password");

    if (!link->has_password)
        return "";
    if (ap_password_hash_ok(link->password_hash)) {
        memcpy(made, link->password_hash, 61);
        made[2] = 'y';
        return made;
    }
    if (*is && strncmp(is, "$2y$", 4) != 0)
        return is;
    return hash_make(made) == 0 ? made : NULL;
}

static int
link_fill(json_t *share, const struct ap_link_record *link, bool fresh, bool *changed)
{
    char token[16];

    if (fresh) {
        json_object_set_new(share, "id", json_pack("{s:s}", "opaqueId", link->id));
        *changed = true;
    }
    if (strcmp(text_at(json_object_get(share, "resourceId"), "spaceId"), link->space_id) != 0)
        field_set(share, "owner", user_new(&proto, link->owner_id, link->idp), changed);
    if (link->token && *link->token) {
        field_set(share, "token", json_string(link->token), changed);
    } else if (!*text_at(share, "token")) {
        if (random_text(token, 15, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") < 0)
            return -1;
        field_set(share, "token", json_string(token), changed);
    }
    if (link->label && *link->label)
        field_set(share, "displayName", json_string(link->label), changed);
    else if (!*text_at(share, "displayName"))
        field_set(share, "displayName", json_string(text_at(share, "token")), changed);
    field_set(share, "passwordProtected", link->has_password ? json_true() : NULL, changed);
    common_set(&proto, share, resource_new(&proto, link->storage_id, link->space_id, link->node_id),
               link->permissions, link->expires, link->ctime,
               user_new(&proto, link->creator_id, link->idp), changed);
    return 0;
}

int
ap_link_file_put(json_t *doc, const struct ap_link_record *link, int64_t now_us)
{
    json_t *entry = json_object_get(doc, link->id), *share = NULL;
    char made[61], *text = NULL;
    const char *hash;
    bool changed = false;
    int r = -1;

    if (token_is_others(doc, link))
        return -2;
    hash = hash_pick(link, entry, made);
    share = entry ? json_loads(text_at(entry, "share"), JSON_ALLOW_NUL, NULL) : json_object();
    if (!hash || !json_is_object(share) || link_fill(share, link, !entry, &changed) < 0)
        goto out;
    changed = changed || strcmp(text_at(entry, "password"), hash) != 0;
    if (!changed) {
        r = 0;
        goto out;
    }
    json_object_set_new(share, "mtime", mtime_new(&proto, !entry, link->ctime, now_us));
    if (!json_object_get(share, "ctime"))
        json_object_set(share, "ctime", json_object_get(share, "mtime"));
    text = json_dumps(share, JSON_COMPACT);
    if (!text)
        goto out;
    if (!entry) {
        entry = json_object();
        if (!entry || json_object_set_new(doc, link->id, entry) < 0)
            goto out;
    }
    r = json_object_set_new(entry, "share", json_string(text)) < 0 ||
                json_object_set_new(entry, "password", json_string(hash)) < 0
            ? -1
            : 1;
out:
    free(text);
    json_decref(share);
    return r;
}

int
ap_link_file_drop(json_t *doc, const char *id)
{
    return map_drop(doc, id);
}
