/*
 * CS3 calls about spaces, the tree, content, trash and grants; all at the storage provider, but
 * for CreateHome, which only the gateway has.
 *
 * The provider's own words: a name below a missing folder is FAILED_PRECONDITION, an upload to an
 * unknown node INTERNAL, to an unknown space INSUFFICIENT_STORAGE; who wants to know looks again
 * with Stat. Replies are a stranger's text: ids that do not fit AP_ID_SIZE are a broken reply.
 */
#include "apply/cs3/cs3_call.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- info */
static void
copy(char *out, size_t size, const char *in)
{
    snprintf(out, size, "%s", cs3_text(in));
}

/* Hex, lower case, of exactly 40 digits; else "". */
static void
sha1_of(const Cs3__Checksum *checksum, char out[41])
{
    const char *sum = checksum && checksum->type == 4 ? cs3_text(checksum->sum) : "";

    out[0] = '\0';
    if (strlen(sum) != 40)
        return;
    for (int i = 0; i <= 40; i++)
        out[i] = (char)tolower((unsigned char)sum[i]);
}

static void
etag_of(const char *in, char *out, size_t size)
{
    size_t n = strlen(cs3_text(in));

    if (n >= 2 && in[0] == '"' && in[n - 1] == '"') {
        in++;
        n -= 2;
    }
    snprintf(out, size, "%.*s", (int)(n > 1000 ? 1000 : n), cs3_text(in));
}

/* Before 1970 the target divides towards zero, so that its nanoseconds are below it, too. */
static void
mtime_of(const Cs3__Timestamp *in, struct cs3_info *out)
{
    int32_t ns = (int32_t)in->nanos;

    out->mtime = (int64_t)in->seconds - (ns < 0);
    out->mtime_ns = (uint32_t)(ns < 0 ? ns + 1000000000 : ns);
}

void
cs3_info_of(const Cs3__ResourceInfo *in, struct cs3_info *out)
{
    const char *name = cs3_text(in->name), *slash;

    memset(out, 0, sizeof(*out));
    if (in->id) {
        copy(out->storage_id, sizeof(out->storage_id), in->id->storage_id);
        copy(out->space_id, sizeof(out->space_id), in->id->space_id);
        copy(out->id, sizeof(out->id), in->id->opaque_id);
    }
    if (in->parent_id)
        copy(out->parent_id, sizeof(out->parent_id), in->parent_id->opaque_id);
    if (!*name) {
        slash = strrchr(cs3_text(in->path), '/');
        name = slash ? slash + 1 : cs3_text(in->path);
    }
    copy(out->name, sizeof(out->name), name);
    etag_of(in->etag, out->etag, sizeof(out->etag));
    sha1_of(in->checksum, out->sha1);
    if (in->owner)
        copy(out->owner_id, sizeof(out->owner_id), in->owner->opaque_id);
    out->folder = in->type == 2;
    out->size = (int64_t)in->size;
    if (in->mtime)
        mtime_of(in->mtime, out);
    for (size_t i = 0; in->opaque && i < in->opaque->n_map; i++) {
        const Cs3__OpaqueMapEntry *e = in->opaque->map[i];
        if (!strcmp(cs3_text(e->key), "status") && e->value && e->value->value.len == 10 &&
            !memcmp(e->value->value.data, "processing", 10))
            out->processing = true;
        if (!strcmp(cs3_text(e->key), "share-types") && e->value && e->value->value.len > 0)
            out->granted = true;
    }
}

/* ---- calls that need just a reference */
static int
ref_call(struct cs3_client *client, const char *method, const char *as,
         const struct cs3_place *place, const ProtobufCMessageDescriptor *type,
         ProtobufCMessage **ret, struct ls_err *err)
{
    Cs3__RefRequest req = CS3__REF_REQUEST__INIT;
    struct cs3_ref ref;

    if (cs3_ref_fill(&ref, place, err) < 0)
        return -1;
    req.ref = &ref.ref;
    return cs3_call(client, CS3_AT_PROVIDER, method, as, &req.base, type, ret, err);
}

int
cs3_stat(struct cs3_client *client, const char *as, const struct cs3_place *place,
         struct cs3_info *ret, struct ls_err *err)
{
    ProtobufCMessage *message = NULL;
    const Cs3__StatReply *reply;
    int r = 0;

    if (ref_call(client, "Stat", as, place, &cs3__stat_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__StatReply *)message;
    if (reply->info && reply->info->id && *cs3_text(reply->info->id->opaque_id))
        cs3_info_of(reply->info, ret);
    else
        r = ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "Stat: a reply without an id");
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_path(struct cs3_client *client, const char *as, const struct cs3_place *node, char **ret_path,
         struct ls_err *err)
{
    ProtobufCMessage *message = NULL;
    const Cs3__StatReply *reply;
    const char *path;
    int r = 0;

    if (ref_call(client, "Stat", as, node, &cs3__stat_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__StatReply *)message;
    path = reply->info ? cs3_text(reply->info->path) : "";
    if (*path != '/')
        r = ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "Stat: a reply without a path");
    else if (!(*ret_path = strdup(path)))
        r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_list(struct cs3_client *client, const char *as, const struct cs3_place *folder,
         cs3_info_fn *each, void *arg, struct ls_err *err)
{
    ProtobufCMessage *message = NULL;
    const Cs3__ListContainerReply *reply;
    struct cs3_info info;
    int r = 0;

    if (ref_call(client, "ListContainer", as, folder, &cs3__list_container_reply__descriptor,
                 &message, err) < 0)
        return -1;
    reply = (const Cs3__ListContainerReply *)message;
    for (size_t i = 0; i < reply->n_infos && r == 0; i++) {
        cs3_info_of(reply->infos[i], &info);
        r = each(arg, &info);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_mkdir(struct cs3_client *client, const char *as, const struct cs3_place *place,
          struct ls_err *err)
{
    return ref_call(client, "CreateContainer", as, place, NULL, NULL, err);
}

int
cs3_delete(struct cs3_client *client, const char *as, const struct cs3_place *place,
           struct ls_err *err)
{
    return ref_call(client, "Delete", as, place, NULL, NULL, err);
}

int
cs3_move(struct cs3_client *client, const char *as, const struct cs3_place *from,
         const struct cs3_place *to, struct ls_err *err)
{
    Cs3__MoveRequest req = CS3__MOVE_REQUEST__INIT;
    struct cs3_ref source, destination;

    if (cs3_ref_fill(&source, from, err) < 0 || cs3_ref_fill(&destination, to, err) < 0)
        return -1;
    req.source = &source.ref;
    req.destination = &destination.ref;
    return cs3_call(client, CS3_AT_PROVIDER, "Move", as, &req.base, NULL, NULL, err);
}

/* The target reads what follows the dot as a number of nanoseconds, so nine digits. A time before
 * 1970 with a fraction it keeps, but shows some seconds late, so there is none. */
void
cs3_mtime_text(int64_t mtime, uint32_t mtime_ns, char *out, size_t size)
{
    if (mtime > CS3_MTIME_MAX)
        mtime = CS3_MTIME_MAX;
    if (mtime < CS3_MTIME_MIN)
        mtime = CS3_MTIME_MIN;
    if (mtime < 0)
        snprintf(out, size, "%" PRId64, mtime);
    else
        snprintf(out, size, "%" PRId64 ".%09" PRIu32, mtime, mtime_ns % 1000000000u);
}

int
cs3_set_mtime(struct cs3_client *client, const char *as, const struct cs3_place *place,
              int64_t mtime, uint32_t mtime_ns, struct ls_err *err)
{
    Cs3__SetArbitraryMetadataRequest req = CS3__SET_ARBITRARY_METADATA_REQUEST__INIT;
    Cs3__ArbitraryMetadata metadata = CS3__ARBITRARY_METADATA__INIT;
    Cs3__MetadataEntry entry = CS3__METADATA_ENTRY__INIT, *entries[] = {&entry};
    char key[] = "mtime", value[40];
    struct cs3_ref ref;

    if (cs3_ref_fill(&ref, place, err) < 0)
        return -1;
    cs3_mtime_text(mtime, mtime_ns, value, sizeof(value));
    entry.key = key;
    entry.value = value;
    metadata.n_metadata = 1;
    metadata.metadata = entries;
    req.ref = &ref.ref;
    req.arbitrary_metadata = &metadata;
    return cs3_call(client, CS3_AT_PROVIDER, "SetArbitraryMetadata", as, &req.base, NULL, NULL,
                    err);
}

/* ---- content */
enum { UPLOAD_ENTRIES = 3 };
struct upload_opaque {
    Cs3__Opaque opaque;
    Cs3__OpaqueMapEntry entries[UPLOAD_ENTRIES], *list[UPLOAD_ENTRIES];
    Cs3__OpaqueEntry values[UPLOAD_ENTRIES];
    char text[UPLOAD_ENTRIES][64];
};

static void
opaque_add(struct upload_opaque *o, const char *key)
{
    size_t i = o->opaque.n_map++;

    cs3__opaque_map_entry__init(&o->entries[i]);
    cs3__opaque_entry__init(&o->values[i]);
    o->entries[i].key = cs3_borrow(key);
    o->entries[i].value = &o->values[i];
    o->values[i].decoder = cs3_borrow("plain");
    o->values[i].value.data = (uint8_t *)o->text[i];
    o->values[i].value.len = strlen(o->text[i]);
    o->list[i] = &o->entries[i];
}

static void
upload_opaque_fill(struct upload_opaque *o, const struct cs3_upload *upload)
{
    size_t n;

    cs3__opaque__init(&o->opaque);
    o->opaque.map = o->list;
    snprintf(o->text[0], sizeof(o->text[0]), "%" PRId64, upload->size);
    opaque_add(o, "Upload-Length");
    if (!upload->server_time) {
        n = o->opaque.n_map;
        cs3_mtime_text(upload->mtime, upload->mtime_ns, o->text[n], sizeof(o->text[n]));
        if (upload->distinct && upload->mtime < 0)
            snprintf(o->text[n] + strlen(o->text[n]), sizeof(o->text[n]) - strlen(o->text[n]),
                     ".%09" PRIu32, upload->mtime_ns % 1000000000u);
        opaque_add(o, "X-OC-Mtime");
    }
    if (upload->sha1 && *upload->sha1) {
        n = o->opaque.n_map;
        snprintf(o->text[n], sizeof(o->text[n]), "sha1 %.40s", upload->sha1);
        opaque_add(o, "Upload-Checksum");
    }
}

static int
url_give(const char *url, const char *method, char **ret, struct ls_err *err)
{
    if (!url || !*url)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "target-config",
                             "%s: the target offers no endpoint \"simple\"", method);
    *ret = strdup(url);
    return *ret ? 0 : ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
}

int
cs3_upload_begin(struct cs3_client *client, const char *as, const struct cs3_place *place,
                 const struct cs3_upload *upload, char **ret_url, struct ls_err *err)
{
    Cs3__InitiateFileUploadRequest req = CS3__INITIATE_FILE_UPLOAD_REQUEST__INIT;
    const Cs3__InitiateFileUploadReply *reply;
    ProtobufCMessage *message = NULL;
    struct upload_opaque opaque;
    struct cs3_ref ref;
    char match[80];
    const char *url = NULL;
    int r;

    if (cs3_ref_fill(&ref, place, err) < 0)
        return -1;
    upload_opaque_fill(&opaque, upload);
    req.opaque = &opaque.opaque;
    req.ref = &ref.ref;
    if (upload->if_not_exist) {
        req.options_case = CS3__INITIATE_FILE_UPLOAD_REQUEST__OPTIONS_IF_NOT_EXIST;
        req.if_not_exist = 1;
    } else if (upload->if_match) {
        snprintf(match, sizeof(match), "\"%s\"", upload->if_match);
        req.options_case = CS3__INITIATE_FILE_UPLOAD_REQUEST__OPTIONS_IF_MATCH;
        req.if_match = match;
    }
    if (cs3_call(client, CS3_AT_PROVIDER, "InitiateFileUpload", as, &req.base,
                 &cs3__initiate_file_upload_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__InitiateFileUploadReply *)message;
    for (size_t i = 0; i < reply->n_protocols; i++)
        if (!strcmp(cs3_text(reply->protocols[i]->protocol), "simple"))
            url = reply->protocols[i]->upload_endpoint;
    r = url_give(url, "InitiateFileUpload", ret_url, err);
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

/* The provider names its endpoint without the file. */
static int
download_url(const char *endpoint, const struct cs3_info *info, char **ret, struct ls_err *err)
{
    size_t n = strlen(endpoint);

    if (n > 7 && !strcmp(endpoint + n - 7, "/simple"))
        n -= 7;
    else if (n > 7 && !strcmp(endpoint + n - 7, "/spaces"))
        n -= 7;
    else
        return url_give(endpoint, "InitiateFileDownload", ret, err);
    if (asprintf(ret, "%.*s/spaces/%s$%s!%s", (int)n, endpoint, info->storage_id, info->space_id,
                 info->id) < 0)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    return 0;
}

int
cs3_download_begin(struct cs3_client *client, const char *as, const struct cs3_place *place,
                   char **ret_url, struct ls_err *err)
{
    const Cs3__InitiateFileDownloadReply *reply;
    ProtobufCMessage *message = NULL;
    const char *url = NULL;
    struct cs3_info info;
    int r;

    if (cs3_stat(client, as, place, &info, err) < 0 ||
        ref_call(client, "InitiateFileDownload", as, place,
                 &cs3__initiate_file_download_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__InitiateFileDownloadReply *)message;
    for (size_t i = 0; i < reply->n_protocols; i++)
        if (!url || !strcmp(cs3_text(reply->protocols[i]->protocol), "simple"))
            url = reply->protocols[i]->download_endpoint;
    r = url && *url ? download_url(url, &info, ret_url, err)
                    : url_give(NULL, "InitiateFileDownload", ret_url, err);
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_list_versions(struct cs3_client *client, const char *as, const struct cs3_place *file,
                  cs3_version_fn *each, void *arg, struct ls_err *err)
{
    ProtobufCMessage *message = NULL;
    const Cs3__ListFileVersionsReply *reply;
    int r = 0;

    if (ref_call(client, "ListFileVersions", as, file, &cs3__list_file_versions_reply__descriptor,
                 &message, err) < 0)
        return -1;
    reply = (const Cs3__ListFileVersionsReply *)message;
    for (size_t i = 0; i < reply->n_versions && r == 0; i++) {
        const Cs3__FileVersion *v = reply->versions[i];
        char etag[64];
        etag_of(v->etag, etag, sizeof(etag));
        r = each(arg, &(struct cs3_version_info){cs3_text(v->key), etag, (int64_t)v->size,
                                                 (int64_t)v->mtime});
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

int
cs3_restore_version(struct cs3_client *client, const char *as, const struct cs3_place *file,
                    const char *key, struct ls_err *err)
{
    Cs3__RestoreFileVersionRequest req = CS3__RESTORE_FILE_VERSION_REQUEST__INIT;
    struct cs3_ref ref;

    if (cs3_ref_fill(&ref, file, err) < 0)
        return -1;
    req.ref = &ref.ref;
    req.key = cs3_borrow(key);
    return cs3_call(client, CS3_AT_PROVIDER, "RestoreFileVersion", as, &req.base, NULL, NULL, err);
}

/* ---- spaces */
int
cs3_create_home(struct cs3_client *client, const char *as, struct ls_err *err)
{
    Cs3__CreateHomeRequest req = CS3__CREATE_HOME_REQUEST__INIT;

    return cs3_call(client, CS3_AT_GATEWAY, "CreateHome", as, &req.base, NULL, NULL, err);
}

int
cs3_list_spaces(struct cs3_client *client, const char *as, const char *type, cs3_space_fn *each,
                void *arg, struct ls_err *err)
{
    Cs3__ListStorageSpacesRequest req = CS3__LIST_STORAGE_SPACES_REQUEST__INIT;
    Cs3__SpaceFilter filter = CS3__SPACE_FILTER__INIT, *filters[] = {&filter};
    ProtobufCMessage *message = NULL;
    const Cs3__ListStorageSpacesReply *reply;
    int r = 0;

    if (type) {
        filter.type = 4;
        filter.term_case = CS3__SPACE_FILTER__TERM_SPACE_TYPE;
        filter.space_type = cs3_borrow(type);
        req.n_filters = 1;
        req.filters = filters;
    }
    if (cs3_call(client, CS3_AT_PROVIDER_SPACES, "ListStorageSpaces", as, &req.base,
                 &cs3__list_storage_spaces_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__ListStorageSpacesReply *)message;
    for (size_t i = 0; i < reply->n_storage_spaces && r == 0; i++) {
        const Cs3__StorageSpace *s = reply->storage_spaces[i];
        struct cs3_space_info info = {
            .name = cs3_text(s->name), .type = cs3_text(s->space_type), .owner_id = ""};
        if (!s->root)
            continue;
        info.storage_id = cs3_text(s->root->storage_id);
        info.space_id = cs3_text(s->root->space_id);
        info.root_id = cs3_text(s->root->opaque_id);
        if (s->owner && s->owner->id)
            info.owner_id = cs3_text(s->owner->id->opaque_id);
        r = each(arg, &info);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

struct own_space {
    const char *user_id;
    struct ap_space *ret;
    bool found;
};

static int
own_space_check(void *arg, const struct cs3_space_info *space)
{
    struct own_space *own = arg;

    if (strcmp(space->owner_id, own->user_id) != 0 || own->found)
        return 0;
    if (strlen(space->storage_id) >= AP_ID_SIZE || strlen(space->space_id) >= AP_ID_SIZE ||
        strlen(space->root_id) >= AP_ID_SIZE)
        return 0;
    copy(own->ret->storage_id, AP_ID_SIZE, space->storage_id);
    copy(own->ret->space_id, AP_ID_SIZE, space->space_id);
    copy(own->ret->root_id, AP_ID_SIZE, space->root_id);
    own->found = true;
    return 0;
}

int
cs3_personal_space(struct cs3_client *client, const char *as, struct ap_space *ret,
                   struct ls_err *err)
{
    char user_id[AP_ID_SIZE];
    struct ap_space space = {0};
    struct own_space own = {user_id, &space, false};

    if (cs3_sign_in(client, as, user_id, err) < 0 ||
        cs3_list_spaces(client, as, "personal", own_space_check, &own, err) < 0)
        return -1;
    if (!own.found)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "gone",
                             "%s has no personal space yet", as);
    copy(space.owner, sizeof(space.owner), as);
    *ret = space;
    return 0;
}

/* ---- trash: the root of a space and a key */
static struct cs3_place
root_of(const struct ap_space *space)
{
    return cs3_place_of(space, space->root_id, NULL);
}

static int
recycle_call(struct cs3_client *client, const char *as, const struct ap_space *space,
             const char *key, cs3_recycle_fn *each, void *arg, struct ls_err *err)
{
    Cs3__ListRecycleRequest req = CS3__LIST_RECYCLE_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    const Cs3__ListRecycleReply *reply;
    struct cs3_place root = root_of(space);
    struct cs3_ref ref;
    int r = 0;

    if (cs3_ref_fill(&ref, &root, err) < 0)
        return -1;
    req.ref = &ref.ref;
    req.key = cs3_borrow(key);
    if (cs3_call(client, CS3_AT_PROVIDER, "ListRecycle", as, &req.base,
                 &cs3__list_recycle_reply__descriptor, &message, err) < 0)
        return -1;
    reply = (const Cs3__ListRecycleReply *)message;
    for (size_t i = 0; i < reply->n_recycle_items && r == 0; i++) {
        const Cs3__RecycleItem *item = reply->recycle_items[i];
        const char *path = item->ref ? cs3_text(item->ref->path) : "";
        while (*path == '.' && path[1] == '/')
            path += 2;
        while (*path == '/')
            path++;
        r = each(arg,
                 &(struct cs3_recycle_info){
                     .key = cs3_text(item->key),
                     .path = path,
                     .folder = item->type == 2,
                     .size = (int64_t)item->size,
                     .deleted_at = item->deletion_time ? (int64_t)item->deletion_time->seconds : 0,
                 });
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

/* A key with a slash at its end lists what is below; without one, some servers list the item. */
int
cs3_list_recycle(struct cs3_client *client, const char *as, const struct ap_space *space,
                 const char *key, cs3_recycle_fn *each, void *arg, struct ls_err *err)
{
    char *below = NULL;
    int r;

    if (!key || !*key)
        return recycle_call(client, as, space, "", each, arg, err);
    if (asprintf(&below, "%s%s", key, key[strlen(key) - 1] == '/' ? "" : "/") < 0)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    r = recycle_call(client, as, space, below, each, arg, err);
    free(below);
    return r;
}

int
cs3_recycle_item(struct cs3_client *client, const char *as, const struct ap_space *space,
                 const char *top_id, cs3_recycle_fn *each, void *arg, struct ls_err *err)
{
    return recycle_call(client, as, space, top_id, each, arg, err);
}

struct recycle_search {
    const char *key;
    bool listed, found;
    cs3_recycle_fn *each;
    void *arg;
};

static int
recycle_match(void *arg, const struct cs3_recycle_info *item)
{
    struct recycle_search *search = arg;
    struct cs3_recycle_info found = *item;

    if (strcmp(item->key, search->key) != 0)
        return 0;
    search->found = true;
    if (search->listed)
        found.size = -1;
    if (search->each)
        (void)search->each(search->arg, &found);
    return 1;
}

/* An unknown key is INTERNAL, and so is any trouble: then only the whole list can tell. */
int
cs3_recycle_find(struct cs3_client *client, const char *as, const struct ap_space *space,
                 const char *top_id, cs3_recycle_fn *each, void *arg, struct ls_err *err)
{
    struct recycle_search search = {.key = top_id, .each = each, .arg = arg};
    struct ls_err why = {0};
    int r = recycle_call(client, as, space, top_id, recycle_match, &search, &why);

    if (r < 0 ? !strcmp(why.cause, "internal") || !strcmp(why.cause, "gone") : !search.found) {
        search.listed = true;
        why = (struct ls_err){0};
        r = recycle_call(client, as, space, "", recycle_match, &search, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r < 0 ? -1 : search.found;
}

int
cs3_in_recycle(struct cs3_client *client, const char *as, const struct ap_space *space,
               const char *top_id, bool *ret, struct ls_err *err)
{
    struct ls_err why = {0};
    int r = cs3_recycle_find(client, as, space, top_id, NULL, NULL, &why);

    if (r < 0 && strcmp(why.cause, "gone") != 0) {
        if (err)
            *err = why;
        return -1;
    }
    *ret = r > 0;
    return 0;
}

int
cs3_restore(struct cs3_client *client, const char *as, const struct ap_space *space,
            const char *key, const struct cs3_place *to, struct ls_err *err)
{
    Cs3__RestoreRecycleItemRequest req = CS3__RESTORE_RECYCLE_ITEM_REQUEST__INIT;
    struct cs3_place root = root_of(space);
    struct cs3_ref ref, destination;

    if (cs3_ref_fill(&ref, &root, err) < 0 || cs3_ref_fill(&destination, to, err) < 0)
        return -1;
    req.ref = &ref.ref;
    req.key = cs3_borrow(key);
    req.restore_ref = &destination.ref;
    return cs3_call(client, CS3_AT_PROVIDER, "RestoreRecycleItem", as, &req.base, NULL, NULL, err);
}

int
cs3_purge(struct cs3_client *client, const char *as, const struct ap_space *space, const char *key,
          struct ls_err *err)
{
    Cs3__PurgeRecycleRequest req = CS3__PURGE_RECYCLE_REQUEST__INIT;
    struct cs3_place root = root_of(space);
    struct cs3_ref ref;

    if (!key || !*key) /* an empty key empties the whole trash */
        return ls_fail(err, LS_ERR_POISON, 0, "a purge without a key");
    if (cs3_ref_fill(&ref, &root, err) < 0)
        return -1;
    req.ref = &ref.ref;
    req.key = cs3_borrow(key);
    return cs3_call(client, CS3_AT_PROVIDER, "PurgeRecycle", as, &req.base, NULL, NULL, err);
}

/* ---- grants */
int
cs3_list_grants(struct cs3_client *client, const char *as, const struct cs3_place *node,
                cs3_grant_fn *each, void *arg, struct ls_err *err)
{
    ProtobufCMessage *message = NULL;
    const Cs3__ListGrantsReply *reply;
    int r = 0;

    if (ref_call(client, "ListGrants", as, node, &cs3__list_grants_reply__descriptor, &message,
                 err) < 0)
        return -1;
    reply = (const Cs3__ListGrantsReply *)message;
    for (size_t i = 0; i < reply->n_grants && r == 0; i++) {
        const Cs3__Grant *g = reply->grants[i];
        struct cs3_grant_info info = {
            .grantee_id = "",
            .permissions = cs3_permissions_of(g->permissions),
            .expires = g->expiration ? (int64_t)g->expiration->seconds : 0,
        };
        if (g->grantee && g->grantee->id_case == CS3__GRANTEE__ID_GROUP_ID) {
            info.group = true;
            info.grantee_id = cs3_text(g->grantee->group_id->opaque_id);
        } else if (g->grantee && g->grantee->id_case == CS3__GRANTEE__ID_USER_ID) {
            info.grantee_id = cs3_text(g->grantee->user_id->opaque_id);
        }
        r = each(arg, &info);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

bool
cs3_grant_gives(const struct cs3_grant_info *is, const struct cs3_grant_info *want)
{
    static const int64_t letters[] = {CS3_PERM_STAT | CS3_PERM_GET_PATH | CS3_PERM_LIST_CONTAINER |
                                          CS3_PERM_INITIATE_FILE_DOWNLOAD,
                                      CS3_PERM_INITIATE_FILE_UPLOAD | CS3_PERM_MOVE,
                                      CS3_PERM_CREATE_CONTAINER, CS3_PERM_DELETE};

    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (!(is->permissions & letters[i]) != !(want->permissions & letters[i]))
            return false;
    return is->expires == want->expires;
}

static int
grant_call(struct cs3_client *client, const char *method, const char *as,
           const struct cs3_place *node, const struct cs3_grant_info *info, struct ls_err *err)
{
    Cs3__GrantRequest req = CS3__GRANT_REQUEST__INIT;
    Cs3__Grant grant = CS3__GRANT__INIT;
    Cs3__Grantee grantee = CS3__GRANTEE__INIT;
    Cs3__UserId user = CS3__USER_ID__INIT;
    Cs3__GroupId group_id = CS3__GROUP_ID__INIT;
    Cs3__Timestamp expires = CS3__TIMESTAMP__INIT;
    Cs3__ResourcePermissions permissions;
    struct cs3_ref ref;

    if (cs3_ref_fill(&ref, node, err) < 0)
        return -1;
    user.opaque_id = group_id.opaque_id = cs3_borrow(info->grantee_id);
    user.type = 1;
    grantee.type = info->group ? 2 : 1;
    if (info->group) {
        grantee.id_case = CS3__GRANTEE__ID_GROUP_ID;
        grantee.group_id = &group_id;
    } else {
        grantee.id_case = CS3__GRANTEE__ID_USER_ID;
        grantee.user_id = &user;
    }
    cs3_permissions_fill(&permissions, info->permissions);
    grant.grantee = &grantee;
    grant.permissions = &permissions;
    if (info->expires) {
        expires.seconds = (uint64_t)info->expires;
        grant.expiration = &expires;
    }
    req.ref = &ref.ref;
    req.grant = &grant;
    return cs3_call(client, CS3_AT_PROVIDER, method, as, &req.base, NULL, NULL, err);
}

int
cs3_add_grant(struct cs3_client *client, const char *as, const struct cs3_place *node,
              const struct cs3_grant_info *grant, struct ls_err *err)
{
    return grant_call(client, "AddGrant", as, node, grant, err);
}

int
cs3_update_grant(struct cs3_client *client, const char *as, const struct cs3_place *node,
                 const struct cs3_grant_info *grant, struct ls_err *err)
{
    return grant_call(client, "UpdateGrant", as, node, grant, err);
}

int
cs3_remove_grant(struct cs3_client *client, const char *as, const struct cs3_place *node,
                 const char *grantee_id, bool group, struct ls_err *err)
{
    struct cs3_grant_info grant = {.grantee_id = grantee_id, .group = group};

    return grant_call(client, "RemoveGrant", as, node, &grant, err);
}
