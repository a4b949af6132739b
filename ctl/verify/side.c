/*
 * Loads ownCloud 10's tables for verify.
 *
 * Everything comes from one frozen transaction, held in memory (about 300 bytes a file). What can
 * go wrong with real tables: rows whose parent is gone or that form a loop (orphans: nobody sees
 * them in ownCloud either; counted), two rows for one place (the one whose path agrees is what
 * users see), rows whose storage disagrees with their parent's (the parent decides), homes under
 * an md5 name because the id was longer than 64 bytes. Names of users and groups are compared byte
 * by byte, as ownCloud's own collation (utf8_bin) does.
 */
#include "ctl/verify/side.h"
#include "apply/content/blobs.h"
#include "transform/map.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_MEMORY ((size_t)16 << 30)
#define MAX_DEPTH 4096
enum { NO_SUCH_TABLE = 1146, NO_SUCH_COLUMN = 1054 };
#define KEY_SIZE 4096 /* two names of 255 characters and a number fit */

struct side_list {
    void *first;
    UT_hash_handle hh;
};

/* What the attributes of a share say of downloads; of those that say something. */
struct side_said {
    int64_t share;
    enum cs3_download download;
    UT_hash_handle hh;
};

struct side_load {
    struct side *side;
    const struct ls_config *config;
    struct ls_err *err; /* of the caller */
    int64_t folder_type;
    struct side_said *said; /* in the arena */
};

static const char *
keep(struct side_load *load, struct ls_str s)
{
    return s.p ? ls_arena_strndup(load->side->arena, s.p, s.n) : NULL;
}

static int
no_memory(struct ls_err *err)
{
    return ls_fail(err, LS_ERR_FATAL, 0, "out of memory: the source is too large for verify here");
}

/* The list at a name, made when it is not there. NULL: out of memory. */
static struct side_list *
list_at(struct side_load *load, struct side_list **hash, const char *key)
{
    struct side_list *list = NULL;

    HASH_FIND_STR(*hash, key, list);
    if (!list && (list = ls_arena_alloc(load->side->arena, sizeof *list)) != NULL)
        HASH_ADD_KEYPTR(hh, *hash, key, strlen(key), list);
    return list;
}

/* ---- rows */

static int
take_folder_type(void *arg, const struct ls_str *c, size_t n)
{
    (void)n;
    ((struct side_load *)arg)->folder_type = ctl_int(c[0]);
    return 0;
}

/* ownCloud checks what stands in the account, and the preference where that says nothing. */
static void
take_quota(struct side_user *user, struct ls_str text)
{
    enum cs3_quota kind = CS3_QUOTA_UNSET;
    int64_t bytes = 0;

    if (user->quota_said || !text.p || !tf_quota_parse(text, &kind, &bytes) ||
        kind == CS3_QUOTA_UNSET)
        return;
    user->quota_said = true;
    user->quota_default = kind == CS3_QUOTA_DEFAULT;
    if (kind == CS3_QUOTA_BYTES)
        user->quota = bytes;
}

static int
take_user(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_user *user = ls_arena_alloc(load->side->arena, sizeof *user);
    const char *home = c[1].p ? keep(load, c[1]) : "";
    char path[4096];

    if (!user || !home || !(user->uid = keep(load, c[0])))
        return no_memory(load->err);
    user->storage = user->quota = -1;
    if (n > 3)
        take_quota(user, c[3]);
    user->enabled = ctl_int(c[2]) != 2; /* 0: made, never signed in; 1: enabled */
    if (ap_home_map(load->config, home, user->uid, path, sizeof path, load->err) < 0)
        return -1;
    user->home = ls_arena_strndup(load->side->arena, path, strlen(path));
    if (!user->home)
        return no_memory(load->err);
    HASH_ADD_KEYPTR(hh, load->side->users, user->uid, strlen(user->uid), user);
    return 0;
}

/* NULL: nobody is called so. */
static struct side_user *
user_of(const struct side_load *load, struct ls_str uid)
{
    struct side_user *user = NULL;

    if (uid.p)
        HASH_FIND(hh, load->side->users, uid.p, uid.n, user);
    return user;
}

static int
take_preference(void *arg, const struct ls_str *c, size_t n)
{
    struct side_user *user = user_of(arg, c[0]);

    (void)n;
    if (user)
        take_quota(user, c[1]);
    return 0;
}

static int
take_ldap_user(void *arg, const struct ls_str *c, size_t n)
{
    struct side_user *user = user_of(arg, c[0]);

    (void)n;
    if (user)
        user->ldap = true;
    return 0;
}

static int
take_mapping(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_user *user = user_of(load, c[0]);

    (void)n;
    if (user && c[1].p && c[1].n && !(user->directory_uuid = keep(load, c[1])))
        return no_memory(load->err);
    return 0;
}

/* Comes behind the shares. */
static int
take_group(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side *side = load->side;
    struct side_group *group = ls_arena_alloc(side->arena, sizeof *group);

    (void)n;
    if (!group || (c[0].p && !(group->gid = keep(load, c[0]))) ||
        (c[1].p && !(group->directory_uuid = keep(load, c[1]))))
        return no_memory(load->err);
    if (group->gid && group->directory_uuid && side_shares_of(side, 'g', group->gid)) {
        group->next = side->groups;
        side->groups = group;
    }
    return 0;
}

static bool
md5_is(const char *prefix, const char *uid, const char *hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[33], *id = NULL;
    unsigned int n = 0;
    int len = asprintf(&id, "%s%s", prefix, uid);
    bool good = len > 64 && EVP_Digest(id, (size_t)len, digest, &n, EVP_md5(), NULL) && n == 16;

    if (len >= 0)
        free(id);
    if (!good)
        return false;
    for (size_t i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return strcmp(text, hex) == 0;
}

static int
take_storage(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_user *user = NULL, *each;
    const char *id = keep(load, c[1]);

    (void)n;
    if (!id)
        return c[1].p ? no_memory(load->err) : 0;
    if (strncmp(id, "home::", 6) == 0)
        HASH_FIND_STR(load->side->users, id + 6, user);
    else if (strncmp(id, "object::user:", 13) == 0)
        HASH_FIND_STR(load->side->users, id + 13, user);
    else if (strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32)
        for (each = load->side->users; each; each = each->hh.next) {
            if (strlen(each->uid) > 64 - 13 &&
                (md5_is("home::", each->uid, id) || md5_is("object::user:", each->uid, id)))
                user = each;
        }
    if (user) {
        user->storage = ctl_int(c[0]);
        user->in_bucket = ap_objects_hold(id, user->uid);
    }
    return 0;
}

/* SHA1:<40 hex> out of the checksum column, or NULL. */
static const char *
sha1_of(struct side_load *load, struct ls_str checksum)
{
    char *out;

    for (size_t i = 0; checksum.p && i + 45 <= checksum.n; i++) {
        if (strncasecmp(checksum.p + i, "SHA1:", 5) != 0)
            continue;
        out = ls_arena_strndup(load->side->arena, checksum.p + i + 5, 40);
        for (char *p = out; p && *p; p++)
            if (*p >= 'A' && *p <= 'F')
                *p = (char)(*p + 32);
        return out && strspn(out, "0123456789abcdef") == 40 ? out : NULL;
    }
    return NULL;
}

static int
take_file(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_node *node = ls_arena_alloc(load->side->arena, sizeof *node);

    (void)n;
    if (!node)
        return no_memory(load->err);
    node->fileid = ctl_int(c[0]);
    node->storage = ctl_int(c[1]);
    node->parent = ctl_int(c[2]);
    node->name = c[3].p ? keep(load, c[3]) : "";
    node->path = c[4].p ? keep(load, c[4]) : "";
    node->folder = ctl_int(c[5]) == load->folder_type;
    node->size = ctl_int(c[6]);
    node->mtime = ctl_int(c[7]);
    node->encrypted = ctl_int(c[8]) != 0;
    node->sha1 = sha1_of(load, c[9]);
    if (!node->name || !node->path)
        return no_memory(load->err);
    HASH_ADD(hh, load->side->nodes, fileid, sizeof node->fileid, node);
    load->side->n_nodes++;
    return 0;
}

static int
take_member(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_member *member = ls_arena_alloc(load->side->arena, sizeof *member);
    const char *uid = keep(load, c[1]);
    struct side_list *list;

    (void)n;
    if (!member || !uid || !(member->gid = keep(load, c[0])) ||
        !(list = list_at(load, &load->side->members, uid)))
        return no_memory(load->err);
    member->next = list->first;
    list->first = member;
    return 0;
}

/* Finds recipients' rows quickly; rows come by rising id, so the newest entry of a member stays. */
static int
index_share(struct side_load *load, struct side_share *share)
{
    struct side *side = load->side;
    struct side_share *old = NULL;
    struct side_list *list;
    const char *key;

    if (!share->with)
        return 0;
    if (share->type == SIDE_MEMBER) {
        key = ls_arena_printf(side->arena, "%" PRId64 "/%s", share->parent, share->with);
        if (!key)
            return no_memory(load->err);
        HASH_FIND_STR(side->entries, key, old);
        if (old)
            HASH_DEL(side->entries, old);
        HASH_ADD_KEYPTR(hh, side->entries, key, strlen(key), share);
    } else if (share->type == SIDE_USER || share->type == SIDE_GUEST || share->type == SIDE_GROUP) {
        key = ls_arena_printf(side->arena, "%c%s", share->type == SIDE_GROUP ? 'g' : 'u',
                              share->with);
        if (!key || !(list = list_at(load, &side->recipients, key)))
            return no_memory(load->err);
        share->also = list->first;
        list->first = share;
    }
    return 0;
}

static int
take_attributes(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    bool odd;
    enum cs3_download download = tf_download(c[1], &odd);
    struct side_said *said;

    (void)n;
    if (download == CS3_DOWNLOAD_UNSET)
        return 0;
    said = ls_arena_alloc(load->side->arena, sizeof *said);
    if (!said)
        return no_memory(load->err);
    said->share = ctl_int(c[0]);
    said->download = download;
    HASH_ADD(hh, load->said, share, sizeof said->share, said);
    return 0;
}

static int
take_share(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_share *share = ls_arena_alloc(load->side->arena, sizeof *share);
    struct side_said *said;

    (void)n;
    if (!share)
        return no_memory(load->err);
    share->id = ctl_int(c[0]);
    share->type = (int)ctl_int(c[1]);
    share->with = keep(load, c[2]);
    share->owner = keep(load, c[3]);
    share->initiator = keep(load, c[4]);
    share->parent = ctl_int(c[5]);
    share->fileid = ctl_int(c[6]);
    share->permissions = ctl_int(c[7]);
    share->stime = ctl_int(c[8]);
    share->accepted = ctl_int(c[9]);
    share->expiration = keep(load, c[10]);
    share->label = keep(load, c[11]);
    share->token = keep(load, c[12]);
    HASH_FIND(hh, load->said, &share->id, sizeof share->id, said);
    share->download = said ? said->download : CS3_DOWNLOAD_UNSET;
    share->has_password = share->type == SIDE_LINK && c[2].p && c[2].n > 0;
    share->password_reset = share->has_password && !tf_password_kept(c[2]);
    if (share->has_password && !share->password_reset) {
        const char *algorithm;
        struct ls_str hash;
        (void)tf_password(c[2], &hash, &algorithm);
        share->password_hash = keep(load, hash);
    }
    share->next = load->side->shares;
    load->side->shares = share;
    return index_share(load, share);
}

static int
take_trash(void *arg, const struct ls_str *c, size_t n)
{
    struct side_load *load = arg;
    struct side_trash *trash = ls_arena_alloc(load->side->arena, sizeof *trash), *old = NULL;
    const char *key =
        ls_arena_printf(load->side->arena, "%.*s/%.*s/%.*s", (int)c[1].n, c[1].p ? c[1].p : "",
                        (int)c[2].n, c[2].p ? c[2].p : "", (int)c[0].n, c[0].p ? c[0].p : "");

    (void)n;
    if (!trash || !key || !(trash->location = c[3].p ? keep(load, c[3]) : "."))
        return no_memory(load->err);
    HASH_FIND_STR(load->side->trash, key, old);
    if (!old)
        HASH_ADD_KEYPTR(hh, load->side->trash, key, strlen(key), trash);
    return 0;
}

const struct side_table side_tables[] = {
    {"SELECT id FROM {p}mimetypes WHERE mimetype='httpd/unix-directory'", false, take_folder_type},
    {"SELECT user_id, home, state, quota FROM {p}accounts WHERE COALESCE(state,1)<>3", false,
     take_user},
    /* home:: before object::, so that of two the former is the home */
    {"SELECT numeric_id, id FROM {p}storages ORDER BY id DESC", false, take_storage},
    {"SELECT fileid, storage, parent, name, path, mimetype, size, mtime, encrypted, checksum FROM "
     "{p}filecache ORDER BY fileid DESC",
     false, take_file},
    {"SELECT gid, uid FROM {p}group_user", false, take_member},
    /* a column of its own query: releases before 10.2 do not have it */
    {"SELECT id, attributes FROM {p}share WHERE attributes IS NOT NULL", true, take_attributes},
    {"SELECT id, share_type, share_with, uid_owner, uid_initiator, parent, file_source, "
     "permissions, stime, accepted, expiration, share_name, token FROM {p}share WHERE item_type IN "
     "('file','folder') ORDER BY id",
     false, take_share},
    {"SELECT id, user, timestamp, location FROM {p}files_trash", true, take_trash},
    {"SELECT user_id FROM {p}accounts WHERE " LS_SQL_OF_LDAP("backend"), true, take_ldap_user},
    {"SELECT owncloud_name, directory_uuid FROM {p}ldap_user_mapping", true, take_mapping},
    {"SELECT owncloud_name, directory_uuid FROM {p}ldap_group_mapping", true, take_group},
    {"SELECT userid, configvalue FROM {p}preferences WHERE appid='files' AND configkey='quota'",
     true, take_preference},
    {NULL, false, NULL},
};

/* ---- the tree */

/* Does the column path say what parent and name say? */
static bool
path_agrees(const struct side_node *node)
{
    size_t up = node->up ? strlen(node->up->path) : 0;

    if (!node->up)
        return true;
    if (up == 0)
        return strcmp(node->path, node->name) == 0;
    return strncmp(node->path, node->up->path, up) == 0 && node->path[up] == '/' &&
           strcmp(node->path + up + 1, node->name) == 0;
}

struct named {
    struct side_node *node;
    UT_hash_handle hh;
};

/* Of several rows of one place all but one are `doubled`. Without memory none is, and the
 * comparison will name the second one as a difference. */
static void
mark_doubled(struct side *side, struct side_node *folder)
{
    struct named *names = NULL, *named, *next;

    for (struct side_node *node = folder->first; node; node = node->next) {
        struct side_node *loser = NULL;

        HASH_FIND_STR(names, node->name, named);
        if (named) {
            loser = path_agrees(node) ? named->node : node;
            if (loser != node)
                named->node = node;
        } else if ((named = calloc(1, sizeof *named)) != NULL) {
            named->node = node;
            HASH_ADD_KEYPTR(hh, names, node->name, strlen(node->name), named);
        }
        if (loser) {
            loser->doubled = true;
            side->n_doubled++;
        }
    }
    named = names;
    HASH_CLEAR(hh, names);
    for (; named; named = next) {
        next = named->hh.next;
        free(named);
    }
}

static void
link_tree(struct side *side)
{
    struct side_node *node, *up;

    for (node = side->nodes; node; node = node->hh.next) {
        if (node->parent < 0 || node->parent == node->fileid)
            continue;
        HASH_FIND(hh, side->nodes, &node->parent, sizeof node->parent, up);
        if (!up)
            continue;
        node->up = up;
        node->next = up->first;
        up->first = node;
    }
    for (node = side->nodes; node; node = node->hh.next) {
        if (node->first && node->first->next)
            mark_doubled(side, node);
    }
}

/* The root above a node; NULL when its chain leads nowhere or in a ring. */
static const struct side_node *
top_of(const struct side_node *node, const struct side_node **ret_below)
{
    *ret_below = NULL;
    for (size_t depth = 0; depth < MAX_DEPTH; depth++) {
        if (!node->up)
            return node->parent < 0 ? node : NULL;
        *ret_below = node;
        node = node->up;
    }
    return NULL;
}

/* The root row of each home, and what lies nowhere. */
static void
find_roots(struct side *side)
{
    struct side_node *node;
    struct side_user *user;

    for (user = side->users; user; user = user->hh.next) {
        if (user->storage >= 0)
            HASH_ADD(hh_storage, side->by_storage, storage, sizeof user->storage, user);
    }
    for (node = side->nodes; node; node = node->hh.next) {
        const struct side_node *below, *top = top_of(node, &below);

        if (!top) {
            side->n_orphans++;
            continue;
        }
        HASH_FIND(hh_storage, side->by_storage, &top->storage, sizeof top->storage, user);
        if (!user)
            side->n_elsewhere++;
        else if (top == node)
            user->root = node;
    }
}

/* ---- the whole */

int
side_begin(const struct ls_config *config, struct side_load **ret, struct ls_err *err)
{
    struct side_load *load = calloc(1, sizeof *load);
    struct side *side = calloc(1, sizeof *side);

    if (side)
        side->arena = ls_arena_new(SIDE_MEMORY);
    if (!load || !side || !side->arena) {
        free(load);
        free(side);
        no_memory(err);
        return -1;
    }
    pthread_mutex_init(&side->lock, NULL);
    *load = (struct side_load){side, config, err, -2, NULL};
    *ret = load;
    return 0;
}

void
side_finish(struct side_load *load, struct side **ret)
{
    link_tree(load->side);
    find_roots(load->side);
    HASH_CLEAR(hh, load->said);
    *ret = load->side;
    free(load);
}

void
side_abandon(struct side_load *load)
{
    if (!load)
        return;
    HASH_CLEAR(hh, load->said);
    side_free(load->side);
    free(load);
}

int
side_load(const struct ls_config *config, struct ctl_source *source, struct side **ret,
          struct ls_err *err)
{
    struct side_load *load = NULL;

    if (side_begin(config, &load, err) < 0)
        return -1;
    if (ctl_source_freeze(source, err) < 0)
        goto fail;
    for (size_t i = 0; side_tables[i].sql; i++) {
        struct ls_err why = {0};
        load->err = &why;
        if (ctl_source_each(source, side_tables[i].sql, side_tables[i].take, load, &why) == 0 ||
            (side_tables[i].optional && (why.code == NO_SUCH_TABLE || why.code == NO_SUCH_COLUMN)))
            continue;
        *err = why;
        goto fail;
    }
    side_finish(load, ret);
    return 0;
fail:
    side_abandon(load);
    return -1;
}

void
side_free(struct side *side)
{
    if (!side)
        return;
    HASH_CLEAR(hh_storage, side->by_storage);
    HASH_CLEAR(hh, side->nodes);
    HASH_CLEAR(hh, side->users);
    HASH_CLEAR(hh, side->entries);
    HASH_CLEAR(hh, side->members);
    HASH_CLEAR(hh, side->recipients);
    HASH_CLEAR(hh, side->trash);
    ls_arena_free(side->arena);
    pthread_mutex_destroy(&side->lock);
    free(side);
}

/* ---- asking */

struct side_node *
side_child(const struct side_node *parent, const char *name)
{
    for (struct side_node *node = parent->first; node; node = node->next)
        if (!node->doubled && strcmp(node->name, name) == 0)
            return node;
    return NULL;
}

char *
side_printf(struct side *side, const char *fmt, ...)
{
    va_list args;
    char *text = NULL, *copy;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    va_end(args);
    pthread_mutex_lock(&side->lock);
    copy = text ? ls_arena_strndup(side->arena, text, strlen(text)) : NULL;
    pthread_mutex_unlock(&side->lock);
    free(text);
    return copy;
}

const char *
side_place(struct side *side, const struct side_node *node)
{
    size_t n = 0, depth = 0;
    char *out;

    for (const struct side_node *at = node; at->up && depth < MAX_DEPTH; at = at->up, depth++)
        n += strlen(at->name) + 1;
    if (n == 0)
        return "";
    pthread_mutex_lock(&side->lock);
    out = ls_arena_alloc(side->arena, n);
    pthread_mutex_unlock(&side->lock);
    if (!out)
        return "(out of memory)";
    depth = 0;
    for (const struct side_node *at = node; at->up && depth < MAX_DEPTH; at = at->up, depth++) {
        size_t len = strlen(at->name);
        out[--n] = depth ? '/' : 0;
        n -= len;
        memcpy(out + n, at->name, len);
    }
    return out;
}

struct side_user *
side_owner(const struct side *side, const struct side_node *node, enum side_where *ret_where)
{
    const struct side_node *below, *top = top_of(node, &below);
    enum side_where where = SIDE_HOME;
    struct side_user *user = NULL;

    if (!top) {
        where = SIDE_ORPHAN;
    } else {
        HASH_FIND(hh_storage, side->by_storage, &top->storage, sizeof top->storage, user);
        if (!user)
            where = SIDE_ELSEWHERE;
        else if (!below || strcmp(below->name, "files") != 0)
            where = SIDE_DORMANT;
    }
    if (ret_where)
        *ret_where = where;
    return where == SIDE_HOME ? user : NULL;
}

struct side_node *
side_node_by_id(const struct side *side, int64_t fileid)
{
    struct side_node *node;

    HASH_FIND(hh, side->nodes, &fileid, sizeof fileid, node);
    return node;
}

struct side_share *
side_shares_of(const struct side *side, char kind, const char *name)
{
    struct side_list *list = NULL;
    char key[KEY_SIZE];

    snprintf(key, sizeof key, "%c%s", kind, name);
    HASH_FIND_STR(side->recipients, key, list);
    return list ? list->first : NULL;
}

const struct side_member *
side_groups_of(const struct side *side, const char *uid)
{
    struct side_list *list = NULL;

    HASH_FIND_STR(side->members, uid, list);
    return list ? list->first : NULL;
}

const struct side_share *
side_entry(const struct side *side, const struct side_share *share, const char *uid)
{
    struct side_share *entry = NULL;
    char key[KEY_SIZE];

    snprintf(key, sizeof key, "%" PRId64 "/%s", share->id, uid);
    HASH_FIND_STR(side->entries, key, entry);
    return entry;
}

const char *
side_trashed_from(const struct side *side, const char *uid, const char *name, int64_t time)
{
    struct side_trash *trash = NULL;
    char key[KEY_SIZE];

    snprintf(key, sizeof key, "%s/%" PRId64 "/%s", uid, time, name);
    HASH_FIND_STR(side->trash, key, trash);
    return trash ? trash->location : NULL;
}
