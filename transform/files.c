/*
 * oc_filecache -> cs3.resource: files, folders, trash, versions.
 *
 * A place is `parent` and `name`; `path` is a copy that can be wrong (folder moves of 10.8.0 and
 * later replace inside it), so only its first element is looked at, for the class and for areas
 * that hold no content; one whose last element is not the name is counted. A hash of it goes along,
 * by which apply, who has the parents, finds the other wrong ones. Which storage a row lies in
 * decides whether it travels at all. A storage that is a project space has no areas: all below
 * its root is content.
 *
 * What can go wrong: dropping a row whose other half arrives. A move between storages comes as a
 * delete here and an upsert there; where one of the two storages is ignored, the half that travels
 * must not speak of the other (apply would wait for it), so moved_from and moved_to become
 * LS_NO_STORAGE. An upsert half that goes into an area without content travels as a deletion, which
 * ends the wait; but one that becomes a dead letter (a name that cannot be one, encrypted content)
 * never arrives, and the delete half cannot know: that wait has to end in apply. A storage that is
 * not known YET is not ignored: as long as oc_storages has not been read whole, and for md5 ids
 * without an account, rows pass and wait at the end of the pipe.
 */
#include "common/utf8.h"
#include "transform/map.h"

#include <string.h>

#define FOLDER_TYPE "httpd/unix-directory"

/* First elements of a path in a home. What is not listed passes as OTHER. */
static const struct {
    const char *name;
    enum cs3_class class;
    const char *filtered;
} areas[] = {
    {"files", CS3_CLASS_FILES, NULL},
    {"files_trashbin", CS3_CLASS_TRASH, NULL},
    {"files_versions", CS3_CLASS_VERSIONS, NULL},
    {"uploads", CS3_CLASS_OTHER, "area-uploads"},
    {"cache", CS3_CLASS_OTHER, "area-cache"},
    {"thumbnails", CS3_CLASS_OTHER, "area-thumbnails"},
    {"avatars", CS3_CLASS_OTHER, "area-avatars"},
    {"files_encryption", CS3_CLASS_OTHER, "area-files_encryption"},
    {"files_external", CS3_CLASS_OTHER, "area-files_external"},
    {"files_zsync", CS3_CLASS_OTHER, "area-files_zsync"},
};

/* The class that a path hints at; *ret_filtered when its area holds no content. */
static enum cs3_class
area_of(struct ls_str path, const char **ret_filtered)
{
    const char *slash;
    size_t n;

    *ret_filtered = NULL;
    if (!path.p)
        return CS3_CLASS_OTHER;
    if (path.n == 0)
        return CS3_CLASS_ROOT;
    slash = memchr(path.p, '/', path.n);
    n = slash ? (size_t)(slash - path.p) : path.n;
    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        if (ls_str_is((struct ls_str){path.p, n}, areas[i].name)) {
            *ret_filtered = areas[i].filtered;
            return areas[i].class;
        }
    }
    return CS3_CLASS_OTHER;
}

/* The same for a row of this storage: only homes have areas. */
static enum cs3_class
class_of(const struct tf_known *known, int64_t storage, struct ls_str path,
         const char **ret_filtered)
{
    enum cs3_class class = area_of(path, ret_filtered);

    if (tf_known_storage(known, storage).class != TF_STORAGE_PROJECT)
        return class;
    *ret_filtered = NULL;
    return class == CS3_CLASS_ROOT ? class : CS3_CLASS_FILES;
}

/* The word under which rows of this storage are left out; NULL when they travel. */
static const char *
storage_filtered(const struct tf_known *known, int64_t storage)
{
    struct tf_storage s = tf_known_storage(known, storage);

    if (s.class == TF_STORAGE_IGNORED)
        return s.filtered;
    if (s.class == TF_STORAGE_UNKNOWN && tf_known_storages_complete(known))
        return "storage-unknown";
    return NULL;
}

/* The other side of a move, as far as anybody downstream knows of it. */
static int64_t
other_storage(const struct tf_known *known, int64_t storage)
{
    if (storage == LS_NO_STORAGE || storage_filtered(known, storage))
        return LS_NO_STORAGE;
    return storage;
}

static bool
storage_unknown(const struct tf_known *known, int64_t storage)
{
    enum tf_storage_class class;

    if (storage == LS_NO_STORAGE)
        return false;
    class = tf_known_storage(known, storage).class;
    return class == TF_STORAGE_UNKNOWN || class == TF_STORAGE_UNRESOLVED;
}

bool
tf_file_asks(const struct tf_known *known, const struct ls_envelope *e)
{
    int64_t mimetype = tf_int(e, FC_MIMETYPE, 0);

    if (!tf_known_passed(known, e->seq) &&
        (storage_unknown(known, tf_int(e, FC_STORAGE, LS_NO_STORAGE)) ||
         storage_unknown(known, e->moved_from) || storage_unknown(known, e->moved_to)))
        return true;
    return e->op != LS_OP_DELETE && mimetype > 0 && !tf_known_mimetype(known, mimetype).p;
}

/* ---- checksums */

/* A hex digit in lower case; 0 for what is none. */
static const char hex_digits[256] = {
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',
    ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b',
    ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['A'] = 'a', ['B'] = 'b',
    ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f',
};

static bool
hex_lower(struct ls_arena *arena, struct ls_str s, size_t digits, struct ls_str *ret)
{
    char *out = s.n == digits ? ls_arena_strndup(arena, s.p, s.n) : NULL;
    bool all = true;

    if (!out)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        out[i] = hex_digits[(unsigned char)s.p[i]];
        all = all && out[i];
    }
    if (!all)
        return false;
    /* Two different ones of a kind: neither can be trusted. */
    if (ret->p && !ls_str_eq(*ret, (struct ls_str){out, s.n})) {
        *ret = LS_STR("");
        return false;
    }
    *ret = (struct ls_str){out, s.n};
    return true;
}

/* "SHA1:<40> MD5:<32> ADLER32:<8>", any order, any case, any part of it. False when a piece was not
 * understood; that piece is then null. */
static bool
checksum_parse(struct ls_arena *arena, struct ls_str text, struct cs3_resource *r)
{
    struct {
        const char *name;
        size_t digits;
        struct ls_str *to;
    } algorithms[] = {{"SHA1", 40, &r->sha1}, {"MD5", 32, &r->md5}, {"ADLER32", 8, &r->adler32}};
    bool ok = true;
    size_t i = 0;

    while (i < text.n) {
        size_t start = i, colon;
        bool found = false;

        while (i < text.n && text.p[i] != ' ')
            i++;
        if (i == start) {
            i++;
            continue;
        }
        for (colon = start; colon < i && text.p[colon] != ':'; colon++)
            ;
        for (size_t a = 0; a < 3 && colon < i && !found; a++) {
            if (strlen(algorithms[a].name) == colon - start &&
                strncasecmp(text.p + start, algorithms[a].name, colon - start) == 0)
                found = hex_lower(arena, (struct ls_str){text.p + colon + 1, i - colon - 1},
                                  algorithms[a].digits, algorithms[a].to);
        }
        ok = ok && found;
    }
    for (size_t a = 0; a < 3; a++)
        *algorithms[a].to = tf_or_null(*algorithms[a].to);
    return ok;
}

/* ---- rows */

static bool
name_is_usable(struct ls_str name)
{
    return name.p && name.n > 0 && !memchr(name.p, '/', name.n) && !memchr(name.p, 0, name.n) &&
           !ls_str_is(name, ".") && !ls_str_is(name, "..") && ls_utf8_valid(name.p, name.n);
}

/* The last element of the path is not the name: the path is wrong, or there is none. */
static bool
path_disagrees(struct ls_str path, struct ls_str name)
{
    const char *slash = path.p ? memrchr(path.p, '/', path.n) : NULL;
    const char *last = slash ? slash + 1 : path.p;

    return !path.p || !ls_str_eq((struct ls_str){last, (size_t)(path.p + path.n - last)}, name);
}

/* Without the quotes that old versions stored around what other servers sent them. */
static struct ls_str
etag_of(struct ls_str etag)
{
    if (etag.p && etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"')
        etag = (struct ls_str){etag.p + 1, etag.n - 2};
    return tf_or_null(etag);
}

static void
fill_times(const struct ls_envelope *e, struct cs3_resource *r, struct tf_result *ret)
{
    int64_t mtime = tf_int(e, FC_MTIME, 0);

    r->mtime = tf_mtime(mtime);
    if (r->mtime != mtime)
        tf_warn(ret, "mtime");
    if (r->folder)
        r->tree_mtime = r->mtime;
}

/* "<instance>$<storage>!<fileid>" */
static int
id_make(const char *instance, struct cs3_resource *r, struct ls_arena *arena, struct ls_err *err)
{
    size_t n = strlen(instance);
    char *out = tf_alloc(arena, n + 2 + 2 * (size_t)LS_DIGITS + 1, err);

    if (!out)
        return -1;
    memcpy(out, instance, n);
    out[n++] = '$';
    n += ls_digits_put(r->storage, out + n);
    out[n++] = '!';
    n += ls_digits_put(r->fileid, out + n);
    r->id = (struct ls_str){out, n};
    return 0;
}

static int
emit(const struct tf_world *world, struct cs3_resource *r, struct ls_arena *arena,
     struct tf_result *ret, struct ls_err *err)
{
    struct ls_str key;

    /* A delete may carry the key alone. */
    if (r->storage != LS_NO_STORAGE && id_make(world->instance, r, arena, err) < 0)
        return -1;
    if (tf_key_int(arena, "", r->fileid, &key, err) < 0)
        return -1;
    /* Equal partition counts: the row's own partition is the storage's. */
    tf_emit(ret, TF_RESOURCE, world->partition, key, r);
    return 0;
}

static int
emit_delete(const struct tf_world *world, const struct ls_envelope *e, struct cs3_resource *r,
            struct ls_arena *arena, struct tf_result *ret, struct ls_err *err)
{
    r->head = tf_head(e, CS3_DELETE);
    r->name = LS_STR("");
    r->parent = tf_int(e, FC_PARENT, -1);
    r->size = -1;
    r->moved_from = LS_NO_STORAGE;
    r->moved_to = other_storage(world->known, e->moved_to);
    return emit(world, r, arena, ret, err);
}

/* A row that goes into an area without content has left the place where it was content. */
static bool
leaves_content(const struct ls_envelope *e)
{
    const char *filtered;

    if (e->op != LS_OP_UPDATE || !e->has_before || e->before[FC_PATH].kind != LS_V_TEXT)
        return false;
    area_of(e->before[FC_PATH].s, &filtered);
    return filtered == NULL;
}

static int
fill(const struct tf_world *world, const struct ls_envelope *e, struct cs3_resource *r,
     struct ls_arena *arena, struct tf_result *ret, struct ls_err *err)
{
    bool root = r->class_hint == CS3_CLASS_ROOT;

    r->name = root ? LS_STR("") : tf_text(e, FC_NAME);
    if (!root && !name_is_usable(r->name))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name", "fileid %lld: the name cannot be one",
                             (long long)r->fileid);
    if (tf_int(e, FC_ENCRYPTED, 0) != 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "encrypted",
                             "fileid %lld is encrypted by ownCloud", (long long)r->fileid);
    r->head = tf_head(e, CS3_UPSERT);
    /* -1 says "root"; an orphan's 0 must not become one. */
    r->parent = tf_int(e, FC_PARENT, 0);
    if (root)
        r->parent = -1;
    else if (r->parent < 0)
        r->parent = 0;
    r->mimetype = tf_known_mimetype(world->known, tf_int(e, FC_MIMETYPE, 0));
    r->folder = root || ls_str_is(r->mimetype, FOLDER_TYPE);
    r->size = tf_int(e, FC_SIZE, -1);
    if (r->size < 0)
        r->size = -1;
    fill_times(e, r, ret);
    r->etag = etag_of(tf_text(e, FC_ETAG));
    r->moved_from = other_storage(world->known, e->moved_from);
    r->moved_to = LS_NO_STORAGE;
    if (!checksum_parse(arena, tf_text(e, FC_CHECKSUM), r))
        tf_warn(ret, "checksum");
    if (tf_text(e, FC_PATH).p)
        r->path_hash = cs3_path_hash(CS3_PATH_ROOT, tf_text(e, FC_PATH));
    if (!root && path_disagrees(tf_text(e, FC_PATH), r->name))
        tf_warn(ret, "path");
    if (!r->folder && !tf_version_fill(tf_text(e, FC_PATH), r))
        tf_warn(ret, "mtime");
    return 0;
}

int
tf_file_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
            struct tf_result *ret, struct ls_err *err)
{
    struct cs3_resource *r = tf_alloc(arena, sizeof(*r), err);
    const char *area;

    if (!r)
        return -1;
    r->what = CS3_NODE;
    r->fileid = tf_int(e, FC_FILEID, 0);
    r->storage = tf_int(e, FC_STORAGE, LS_NO_STORAGE);
    r->tree_mtime = LS_NO_STORAGE;
    r->class_hint = class_of(world->known, r->storage, tf_text(e, FC_PATH), &area);
    if (r->fileid <= 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "fileid", "a row without a usable fileid");

    /* A delete of an unknown storage passes: it can only make something go that is there. */
    if (e->op == LS_OP_DELETE) {
        if (tf_known_storage(world->known, r->storage).class == TF_STORAGE_IGNORED)
            ret->filtered = storage_filtered(world->known, r->storage);
        else
            ret->filtered = area;
        return ret->filtered ? 0 : emit_delete(world, e, r, arena, ret, err);
    }
    if (r->storage == LS_NO_STORAGE)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "storage", "fileid %lld is in no storage",
                             (long long)r->fileid);
    ret->filtered = storage_filtered(world->known, r->storage);
    if (ret->filtered)
        return 0;
    if (area && leaves_content(e))
        return emit_delete(world, e, r, arena, ret, err);
    ret->filtered = area;
    if (area)
        return 0;
    if (fill(world, e, r, arena, ret, err) < 0)
        return -1;
    return emit(world, r, arena, ret, err);
}
