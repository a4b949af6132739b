/*
 * One table says for each watched table: its mapping, the topic it ends in, its brackets.
 *
 * What can go wrong: a bracket that speaks for more than its table covers. The `end` of oc_groups
 * must not sweep users, and that of oc_files_trash must not sweep files: seven tables share
 * cs3.person, five cs3.annotation, three cs3.share, two cs3.resource. So brackets of the lesser
 * tables have keys of their own (the compacted topic keeps each) and the record's `type` or `what`
 * says what they cover. A snapshot of one storage has brackets that name it, in key and record.
 */
#include "transform/route.h"

#include <inttypes.h>
#include <string.h>

static const struct route {
    tf_map_fn *map;   /* NULL: the row is counted as `filtered` */
    tf_asks_fn *asks; /* NULL: needs nothing from memory */
    const char *filtered;
    enum tf_topic topic;
    const char *suffix;    /* of the brackets' keys; NULL: brackets go nowhere */
    int type;              /* .type of cs3_person, _share, _annotation; cs3_resource.what */
    bool heartbeat;        /* forwarded */
    const char *tombstone; /* prefix of the key; NULL: goes nowhere */
} routes[LS_T_COUNT] = {
    [LS_T_FILECACHE] = {tf_file_map, tf_file_asks, NULL, TF_RESOURCE, "", CS3_NODE, true, ""},
    [LS_T_SHARE] = {tf_share_map, NULL, NULL, TF_SHARE, "", CS3_SHARE_USER, true, ""},
    [LS_T_SHARE_EXTERNAL] = {tf_received_map, NULL, NULL, TF_SHARE, ":share_external",
                             CS3_SHARE_RECEIVED, false, "x"},
    [LS_T_TRUSTED_SERVERS] = {tf_server_map, NULL, NULL, TF_SHARE, ":trusted_servers",
                              CS3_SHARE_TRUSTED, false, "s"},
    [LS_T_STORAGES] = {tf_space_map, tf_space_asks, NULL, TF_SPACE, "", 0, true, ""},
    [LS_T_ACCOUNTS] = {tf_user_map, tf_user_asks, NULL, TF_PERSON, "", CS3_USER, true, "u:"},
    [LS_T_GROUPS] = {tf_group_map, NULL, NULL, TF_PERSON, ":groups", CS3_GROUP, false, "g:"},
    [LS_T_GROUP_USER] = {tf_member_map, NULL, NULL, TF_PERSON, ":group_user", CS3_MEMBER, false,
                         "m:"},
    [LS_T_USERS] = {tf_credential_map, NULL, NULL, TF_PERSON, ":users", CS3_CREDENTIAL, false,
                    "p:"},
    [LS_T_LDAP_USER_MAPPING] = {tf_ldap_map, NULL, NULL, TF_PERSON, ":ldap", CS3_LDAP, false, "l:"},
    [LS_T_LDAP_GROUP_MAPPING] = {tf_ldap_map, NULL, NULL, TF_PERSON, ":ldap-groups", CS3_LDAP_GROUP,
                                 false, "d:"},
    [LS_T_PREFERENCES] = {tf_quota_map, NULL, NULL, TF_PERSON, ":preferences", CS3_QUOTA, false,
                          "q:"},
    [LS_T_VCATEGORY] = {tf_category_map, NULL, NULL, TF_ANNOTATION, "", CS3_CATEGORY, true, "c:"},
    [LS_T_VCATEGORY_TO_OBJECT] = {tf_tagged_map, NULL, NULL, TF_ANNOTATION, ":tagged", CS3_TAGGED,
                                  false, "t:"},
    [LS_T_PROPERTIES] = {tf_property_map, NULL, NULL, TF_ANNOTATION, ":properties", CS3_PROPERTY,
                         false, "p:"},
    [LS_T_SYSTEMTAG] = {tf_systemtag_map, NULL, NULL, TF_ANNOTATION, ":systemtag", CS3_SYSTEMTAG,
                        false, "g:"},
    [LS_T_SYSTEMTAG_MAPPING] = {tf_systemtagged_map, NULL, NULL, TF_ANNOTATION, ":systemtagged",
                                CS3_SYSTEMTAGGED, false, "o:"},
    [LS_T_FILES_TRASH] = {tf_trash_map, tf_trash_asks, NULL, TF_RESOURCE, ":trash", CS3_TRASH_INFO,
                          false, "t"},
    /* Looked up when other rows are mapped, never sent. */
    [LS_T_MIMETYPES] = {.filtered = "lookup"},
};

bool
tf_route_asks(const struct tf_known *known, const struct ls_envelope *e)
{
    const struct route *route = &routes[e->table->id];

    if (e->op == LS_OP_BEGIN || e->op == LS_OP_END || e->op == LS_OP_HEARTBEAT || !route->asks)
        return false;
    return !tf_known_certain(known, e->seq) && route->asks(known, e);
}

/* A record without an entity: a bracket or a heartbeat. `storage`: the one that a bracket is about,
 * or LS_NO_STORAGE. */
static const void *
bare_record(const struct route *route, struct cs3_head head, int64_t storage,
            struct ls_arena *arena, struct ls_err *err)
{
    struct cs3_resource *resource;
    struct cs3_space *space;
    struct cs3_person *person;
    struct cs3_annotation *annotation;
    struct cs3_share *share;

    switch (route->topic) {
    case TF_RESOURCE:
        resource = tf_alloc(arena, sizeof(*resource), err);
        if (resource)
            *resource = (struct cs3_resource){.head = head,
                                              .what = (enum cs3_what)route->type,
                                              .storage = storage,
                                              .parent = -1,
                                              .size = -1,
                                              .name = LS_STR(""),
                                              .moved_from = LS_NO_STORAGE,
                                              .moved_to = LS_NO_STORAGE,
                                              .tree_mtime = LS_NO_STORAGE};
        return resource;
    case TF_SPACE:
        space = tf_alloc(arena, sizeof(*space), err);
        if (space)
            *space =
                (struct cs3_space){.head = head, .storage = LS_NO_STORAGE, .source_id = LS_STR("")};
        return space;
    case TF_PERSON:
        person = tf_alloc(arena, sizeof(*person), err);
        if (person)
            *person = (struct cs3_person){.head = head, .type = (enum cs3_person_type)route->type};
        return person;
    case TF_ANNOTATION:
        annotation = tf_alloc(arena, sizeof(*annotation), err);
        if (annotation)
            *annotation = (struct cs3_annotation){.head = head,
                                                  .type = (enum cs3_annotation_type)route->type,
                                                  .fileid = LS_NO_STORAGE,
                                                  .visible = true,
                                                  .editable = true,
                                                  .assignable = true};
        return annotation;
    default:
        share = tf_alloc(arena, sizeof(*share), err);
        if (share)
            *share = (struct cs3_share){.head = head,
                                        .type = (enum cs3_share_type)route->type,
                                        .owner = LS_STR(""),
                                        .creator = LS_STR("")};
        return share;
    }
}

static int
route_bare(const struct tf_world *world, const struct route *route, const struct ls_envelope *e,
           struct ls_arena *arena, struct tf_result *ret, enum tf_sort *ret_sort,
           struct ls_err *err)
{
    struct cs3_head head;
    enum cs3_kind kind = e->op == LS_OP_HEARTBEAT ? CS3_HEARTBEAT
                         : e->op == LS_OP_BEGIN   ? CS3_BEGIN
                                                  : CS3_END;
    int32_t partition = route->topic == TF_RESOURCE ? world->partition : 0;
    const void *record;
    const char *key = LS_KEY_HEARTBEAT;
    int64_t storage = kind == CS3_HEARTBEAT ? LS_NO_STORAGE : e->storage;

    *ret_sort = kind == CS3_HEARTBEAT ? TF_HEARTBEAT : TF_BRACKET;
    if (kind == CS3_HEARTBEAT ? !route->heartbeat : !route->suffix)
        return 0;
    if (kind != CS3_HEARTBEAT)
        key = ls_arena_printf(arena, "%s%s", kind == CS3_BEGIN ? LS_KEY_BEGIN : LS_KEY_END,
                              route->suffix);
    /* One storage's own brackets; only files have such. */
    if (storage != LS_NO_STORAGE) {
        if (e->table->id != LS_T_FILECACHE)
            return 0;
        key = ls_arena_printf(arena, "%s/%" PRId64, kind == CS3_BEGIN ? LS_KEY_BEGIN : LS_KEY_END,
                              storage);
    }
    /* Trash entries of one topic are spread over all partitions. */
    if (route->topic == TF_RESOURCE && route->type == CS3_TRASH_INFO)
        partition = TF_ALL_PARTITIONS;
    head = tf_head(e, kind);
    if (kind == CS3_HEARTBEAT) {
        head.source_ts_us = tf_reach_limit(world->reach, e);
        if (head.source_ts_us == 0)
            return 0;
    }
    record = bare_record(route, head, storage, arena, err);
    if (!record || !key)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "the arena of one record is full");
    tf_emit(ret, route->topic, partition, ls_str_of(key), record);
    ret->emits[ret->n - 1].counted = false;
    return 0;
}

int
tf_route_envelope(const struct tf_world *world, struct tf_route_state *state,
                  const struct ls_envelope *e, struct ls_arena *arena, struct tf_result *ret,
                  enum tf_sort *ret_sort, struct ls_err *err)
{
    const struct route *route = &routes[e->table->id];

    *ret = (struct tf_result){0};
    *ret_sort = TF_ROW;
    if (e->op == LS_OP_BEGIN || e->op == LS_OP_END || e->op == LS_OP_HEARTBEAT)
        return route_bare(world, route, e, arena, ret, ret_sort, err);
    if (!route->map) {
        ret->filtered = route->filtered;
        return 0;
    }
    if (!(e->op == LS_OP_DELETE ? e->has_before : e->has_after))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "malformed-avro", "a row without its columns");
    if (route->map(world, e, arena, ret, err) < 0) {
        *ret = (struct tf_result){0};
        return -1;
    }
    if (e->table->id == LS_T_FILES_TRASH && e->op == LS_OP_DELETE && ret->n > 0) {
        state->trash_id = tf_int(e, FT_AUTO_ID, 0);
        state->trash_partition = ret->emits[0].partition;
    }
    return 0;
}

static int64_t
key_int(struct ls_str key)
{
    int64_t n;

    return ls_str_digits(key, &n) ? n : -1;
}

int
tf_route_tombstone(const struct tf_world *world, const struct tf_route_state *state,
                   const struct ls_table *table, struct ls_str key, struct ls_arena *arena,
                   struct tf_result *ret, struct ls_err *err)
{
    const struct route *route = &routes[table->id];
    int32_t partition = route->topic == TF_RESOURCE ? world->partition : 0;
    struct ls_str out;
    char *text;

    *ret = (struct tf_result){0};
    if (!route->tombstone || !key.p)
        return 0;
    if (table->id == LS_T_ACCOUNTS) {
        struct ls_str uid = tf_known_uid(world->known, key_int(key));

        /* Never heard of: its record cannot have been sent from here. */
        if (!uid.p)
            return 0;
        if (tf_key(arena, route->tombstone, uid, &out, err) < 0)
            return -1;
    } else {
        size_t n = strlen(route->tombstone);

        /* of "<uid>/files/quota" only the user is in the record's key */
        if (table->id == LS_T_PREFERENCES && memchr(key.p, '/', key.n))
            key.n = (size_t)((const char *)memchr(key.p, '/', key.n) - key.p);
        text = tf_alloc(arena, n + key.n + 1, err);
        if (!text)
            return -1;
        memcpy(text, route->tombstone, n);
        memcpy(text + n, key.p, key.n);
        out = (struct ls_str){text, n + key.n};
    }
    if (table->id == LS_T_FILES_TRASH)
        partition = key_int(key) == state->trash_id && state->trash_id > 0 ? state->trash_partition
                                                                           : TF_ALL_PARTITIONS;
    tf_emit(ret, route->topic, partition, out, NULL);
    ret->emits[0].counted = false;
    return 0;
}
