/*
 * Loads ownCloud 10's tables for verify.
 *
 * Everything comes from one frozen transaction, held in memory (about 250 bytes a file). What can
 * go wrong with real tables: rows whose parent is gone or that form a loop (orphans: nobody sees
 * them in ownCloud either; counted), two rows for one place (the one whose path agrees is what
 * users see), rows whose storage disagrees with their parent's (the parent decides), homes under
 * an md5 name because the id was longer than 64 bytes.
 */
#include "ctl/side.h"
#include "apply/blobs.h"
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_MEMORY ((size_t)16 << 30)

struct load {
    struct side *side;
    const struct ls_config *config;
    struct ls_err *err;
    int64_t folder_type;
};

static const char *
keep(struct load *load, struct ls_str s)
{
    return s.p ? ls_arena_strndup(load->side->arena, s.p, s.n) : NULL;
}

static int
no_memory(struct ls_err *err)
{
    return ls_fail(err, LS_ERR_FATAL, 0, "out of memory: the source is too large for verify here");
}

static int
take_user(void *arg, const struct ls_str *c, size_t n)
{
    struct load *load = arg;
    struct side_user *user = ls_arena_alloc(load->side->arena, sizeof *user);
    char path[4096];

    (void)n;
    if (!user || !(user->uid = keep(load, c[0])))
        return no_memory(load->err);
    user->storage = -1;
    user->enabled = ctl_int(c[2]) != 2;
    const char *home = keep(load, c[1]);
    if (ap_home_map(load->config, home, user->uid, path, sizeof path, load->err) < 0)
        return -1;
    user->home = ls_arena_strndup(load->side->arena, path, strlen(path));
    if (!user->home)
        return no_memory(load->err);
    HASH_ADD_KEYPTR(hh, load->side->users, user->uid, strlen(user->uid), user);
    return 0;
}

static bool
md5_is(const char *prefix, const char *uid, const char *hex)
{
    unsigned char digest[16];
    char text[33];
    unsigned int n = sizeof digest;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) &&
                EVP_DigestUpdate(ctx, prefix, strlen(prefix)) &&
                EVP_DigestUpdate(ctx, uid, strlen(uid)) && EVP_DigestFinal_ex(ctx, digest, &n);

    EVP_MD_CTX_free(ctx);
    if (!good)
        return false;
    for (size_t i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return strcmp(text, hex) == 0;
}

static int
take_storage(void *arg, const struct ls_str *c, size_t n)
{
    struct load *load = arg;
    struct side_user *user = NULL, *each, *tmp;
    const char *id = keep(load, c[1]);

    (void)n;
    if (!id)
        return 0;
    if (strncmp(id, "home::", 6) == 0)
        HASH_FIND_STR(load->side->users, id + 6, user);
    else if (strncmp(id, "object::user:", 13) == 0)
        HASH_FIND_STR(load->side->users, id + 13, user);
    else if (strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32)
        HASH_ITER(hh, load->side->users, each, tmp)
        {
            if (md5_is("home::", each->uid, id) || md5_is("object::user:", each->uid, id))
                user = each;
        }
    if (user)
        user->storage = ctl_int(c[0]);
    return 0;
}

/* SHA1:<40 hex> out of the checksum column, or NULL. */
static const char *
sha1_of(struct load *load, struct ls_str checksum)
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
    struct load *load = arg;
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
    struct load *load = arg;
    struct side_member *member = ls_arena_alloc(load->side->arena, sizeof *member);

    (void)n;
    if (!member || !(member->gid = keep(load, c[0])) || !(member->uid = keep(load, c[1])))
        return no_memory(load->err);
    member->next = load->side->members;
    load->side->members = member;
    return 0;
}

static int
take_share(void *arg, const struct ls_str *c, size_t n)
{
    struct load *load = arg;
    struct side_share *share = ls_arena_alloc(load->side->arena, sizeof *share);

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
    share->has_password = share->type == SIDE_LINK && c[2].p && c[2].n > 0;
    share->next = load->side->shares;
    load->side->shares = share;
    return 0;
}

static void
link_tree(struct side *side)
{
    struct side_node *node, *up, *tmp;

    HASH_ITER(hh, side->nodes, node, tmp)
    {
        if (node->parent < 0 || node->parent == node->fileid)
            continue;
        HASH_FIND(hh, side->nodes, &node->parent, sizeof node->parent, up);
        if (!up)
            continue;
        node->up = up;
        node->next = up->first;
        up->first = node;
    }
}

static int
take_folder_type(void *arg, const struct ls_str *c, size_t n)
{
    (void)n;
    ((struct load *)arg)->folder_type = ctl_int(c[0]);
    return 0;
}

/* The root row of each home, and what lies nowhere. */
static void
find_roots(struct side *side)
{
    struct side_node *node, *top, *tmp;
    struct side_user *user, *next;

    HASH_ITER(hh, side->nodes, node, tmp)
    {
        size_t depth = 0;
        for (top = node; top->up && depth < 4096; top = top->up)
            depth++;
        if (top->parent >= 0 || depth >= 4096)
            side->n_orphans++;
        if (node->parent >= 0)
            continue;
        HASH_ITER(hh, side->users, user, next)
        {
            if (user->storage == node->storage)
                user->root = node;
        }
    }
}

int
side_load(const struct ls_config *config, struct ctl_source *source, struct side **ret,
          struct ls_err *err)
{
    struct side *side = calloc(1, sizeof *side);
    struct load load = {side, config, err, -2};

    if (!side)
        return no_memory(err);
    side->arena = ls_arena_new(SIDE_MEMORY);
    if (!side->arena) {
        free(side);
        return no_memory(err);
    }
    pthread_mutex_init(&side->lock, NULL);
    if (ctl_source_freeze(source, err) < 0 ||
        ctl_source_each(source, "SELECT id FROM {p}mimetypes WHERE mimetype='httpd/unix-directory'",
                        take_folder_type, &load, err) < 0 ||
        ctl_source_each(source, "SELECT user_id, home, state FROM {p}accounts WHERE state<>3",
                        take_user, &load, err) < 0 ||
        ctl_source_each(source, "SELECT numeric_id, id FROM {p}storages ORDER BY id DESC",
                        take_storage, &load, err) < 0 ||
        ctl_source_each(source,
                        "SELECT fileid, storage, parent, name, path, mimetype, size, mtime, "
                        "encrypted, checksum FROM {p}filecache ORDER BY fileid DESC",
                        take_file, &load, err) < 0 ||
        ctl_source_each(source, "SELECT gid, uid FROM {p}group_user", take_member, &load, err) <
            0 ||
        ctl_source_each(source,
                        "SELECT id, share_type, share_with, uid_owner, uid_initiator, parent, "
                        "file_source, permissions, stime, accepted, expiration, share_name FROM "
                        "{p}share WHERE item_type IN ('file','folder')",
                        take_share, &load, err) < 0) {
        side_free(side);
        return -1;
    }
    link_tree(side);
    find_roots(side);
    *ret = side;
    return 0;
}

void
side_free(struct side *side)
{
    if (!side)
        return;
    HASH_CLEAR(hh, side->nodes);
    HASH_CLEAR(hh, side->users);
    ls_arena_free(side->arena);
    pthread_mutex_destroy(&side->lock);
    free(side);
}

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

struct side_node *
side_child(const struct side_node *parent, const char *name)
{
    struct side_node *found = NULL;

    for (struct side_node *node = parent->first; node; node = node->next)
        if (strcmp(node->name, name) == 0 && (!found || path_agrees(node)))
            found = node;
    return found;
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
    const char *place = "";

    for (size_t depth = 0; node && node->up && depth < 4096; node = node->up, depth++) {
        place = *place ? side_printf(side, "%s/%s", node->name, place) : node->name;
        if (!place)
            return "(out of memory)";
    }
    return place;
}

struct side_user *
side_owner(const struct side *side, const struct side_node *node)
{
    const struct side_node *below = NULL;
    struct side_user *user, *tmp;
    size_t depth = 0;

    for (; node && node->up && depth < 4096; node = node->up, depth++)
        below = node;
    if (!node || !below || node->parent >= 0 || strcmp(below->name, "files") != 0)
        return NULL;
    HASH_ITER(hh, side->users, user, tmp)
    {
        if (user->root == node)
            return user;
    }
    return NULL;
}

struct side_node *
side_node_by_id(const struct side *side, int64_t fileid)
{
    struct side_node *node;

    HASH_FIND(hh, side->nodes, &fileid, sizeof fileid, node);
    return node;
}
