/*
 * `lockstep id`: reads `<p>.ledger` once, from its beginning.
 *
 * A file's path is made of the folders around it, and those may stand anywhere in the topic, before
 * it or behind it; so all folders (of all spaces) are kept until the end, files only when they are
 * the one. What can go wrong: the mirror is not whole yet, or a folder is missing for another
 * reason; then the path begins with "...".
 */
#include "ctl/id.h"
#include "common/kafka.h"
#include "common/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define DEPTH 2100
#define PATH_MAX_SIZE 16384

struct node {
    int64_t id, parent, storage;
    char *name, *target; /* target: of the file that is looked for only */
    bool folder, wanted, old;
    UT_hash_handle hh;
};
struct space {
    int64_t storage;
    char *owner, *space;
    UT_hash_handle hh;
};
struct ctl_id {
    int64_t fileid;
    struct node *nodes;
    struct space *spaces;
};

static void
node_free(struct node *node)
{
    free(node->name);
    free(node->target);
    free(node);
}

static void
space_free(struct space *space)
{
    free(space->owner);
    free(space->space);
    free(space);
}

static struct node *
node_of(struct ctl_id *id, int64_t number)
{
    struct node *node = NULL;

    HASH_FIND(hh, id->nodes, &number, sizeof(number), node);
    return node;
}

static void
node_drop(struct ctl_id *id, int64_t number)
{
    struct node *node = node_of(id, number);

    if (node) {
        HASH_DEL(id->nodes, node);
        node_free(node);
    }
}

static void
space_drop(struct ctl_id *id, int64_t storage)
{
    struct space *space;

    HASH_FIND(hh, id->spaces, &storage, sizeof(storage), space);
    if (space) {
        HASH_DEL(id->spaces, space);
        space_free(space);
    }
}

struct ctl_id *
ctl_id_new(int64_t fileid)
{
    struct ctl_id *id = calloc(1, sizeof(*id));

    if (id)
        id->fileid = fileid;
    return id;
}

void
ctl_id_free(struct ctl_id *id)
{
    struct node *node, *next_node;
    struct space *space, *next_space;

    if (!id)
        return;
    HASH_ITER(hh, id->nodes, node, next_node)
    {
        HASH_DEL(id->nodes, node);
        node_free(node);
    }
    HASH_ITER(hh, id->spaces, space, next_space)
    {
        HASH_DEL(id->spaces, space);
        space_free(space);
    }
    free(id);
}

/* ---- rows */

static int64_t
number(const json_t *row, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(row, key));
}

/* A text; bytes that are no UTF-8 come as an array and are shown as "?". NULL: out of memory. */
static char *
text(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    const char *s = json_is_string(value)  ? json_string_value(value)
                    : json_is_array(value) ? "?"
                                           : "";
    return strdup(s);
}

static int
no_memory(struct ls_err *err)
{
    return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
}

static int
take_node(struct ctl_id *id, const json_t *row, struct ls_err *err)
{
    bool wanted = number(row, "fileid") == id->fileid;
    struct node *node;

    if (!wanted && number(row, "folder") == 0)
        return 0;
    node = calloc(1, sizeof(*node));
    if (!node)
        return no_memory(err);
    node->id = number(row, "id");
    node->parent = number(row, "parent");
    node->storage = number(row, "storage");
    node->folder = number(row, "folder") != 0;
    node->old = number(row, "leftover") != 0;
    node->wanted = wanted;
    node->name = text(row, "name");
    node->target = wanted ? text(row, "target") : NULL;
    if (!node->name || (wanted && !node->target)) {
        node_free(node);
        return no_memory(err);
    }
    HASH_ADD(hh, id->nodes, id, sizeof(node->id), node);
    return 0;
}

static int
take_space(struct ctl_id *id, const json_t *row, struct ls_err *err)
{
    struct space *space = calloc(1, sizeof(*space));

    if (!space)
        return no_memory(err);
    space->storage = number(row, "storage");
    space->owner = text(row, "owner");
    space->space = text(row, "space_id");
    if (!space->owner || !space->space) {
        space_free(space);
        return no_memory(err);
    }
    HASH_ADD(hh, id->spaces, storage, sizeof(space->storage), space);
    return 0;
}

int
ctl_id_row(struct ctl_id *id, struct ls_str key, struct ls_str value, struct ls_err *err)
{
    char word[64];
    bool node;
    int64_t at;
    json_t *row;
    int r;

    if (!key.p || key.n >= sizeof(word))
        return 0;
    snprintf(word, sizeof(word), "%.*s", (int)key.n, key.p);
    node = strncmp(word, "node:", 5) == 0;
    if (!node && strncmp(word, "space:", 6) != 0)
        return 0;
    at = strtoll(word + (node ? 5 : 6), NULL, 10);
    if (node)
        node_drop(id, at);
    else
        space_drop(id, at);
    row = value.p ? json_loadb(value.p, value.n, 0, NULL) : NULL;
    if (!row)
        return 0;
    r = node ? take_node(id, row, err) : take_space(id, row, err);
    json_decref(row);
    return r;
}

/* ---- places */

/* From the space's root, or from the top of the item in the trash. */
static bool
path_of(struct ctl_id *id, const struct node *node, char *out, size_t size)
{
    size_t at = size - 1;
    bool trashed = false;

    out[at] = '\0';
    for (int depth = 0; node && depth < DEPTH; depth++) {
        size_t n = strlen(node->name);
        int64_t up = node->parent;

        if (n + 5 > at)
            break;
        at -= n;
        memcpy(out + at, node->name, n);
        out[--at] = '/';
        if (up <= 0) {
            trashed = up < 0;
            memmove(out, out + at, size - at);
            return trashed;
        }
        node = node_of(id, up);
    }
    at -= 3;
    memcpy(out + at, "...", 3);
    memmove(out, out + at, size - at);
    return false;
}

json_t *
ctl_id_places(struct ctl_id *id)
{
    static char path[PATH_MAX_SIZE];
    json_t *list = json_array();
    struct node *node, *next;

    HASH_ITER(hh, id->nodes, node, next)
    {
        struct space *space;
        bool trashed;

        if (!node->wanted)
            continue;
        trashed = path_of(id, node, path, sizeof(path));
        HASH_FIND(hh, id->spaces, &node->storage, sizeof(node->storage), space);
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "fileid",
                                              (json_int_t)id->fileid, "state",
                                              node->old ? "old"
                                              : trashed ? "trash"
                                                        : "live",
                                              "owner", space ? space->owner : "", "space",
                                              space ? space->space : "", "node", node->target,
                                              "path", path));
    }
    return list;
}

static int
each_row(void *arg, const struct ls_message *message, struct ls_err *err)
{
    return ctl_id_row(arg, message->key, message->value, err);
}

static void
print(const json_t *places, FILE *out)
{
    size_t i;
    json_t *place;

    json_array_foreach(places, i, place)
    {
        const char *state = json_string_value(json_object_get(place, "state"));

        fprintf(out, "%s: %s\n  space %s\n  node %s\n", /* one place of the file */
                json_string_value(json_object_get(place, "owner")),
                json_string_value(json_object_get(place, "path")),
                json_string_value(json_object_get(place, "space")),
                json_string_value(json_object_get(place, "node")));
        if (strcmp(state, "trash") == 0)
            fputs("  in the trash\n", out);
        else if (strcmp(state, "old") == 0)
            fputs("  an old copy, about to go\n", out);
    }
}

int
ctl_id(const struct ls_config *config, int64_t fileid, const struct ctl_flags *flags, FILE *out)
{
    struct ctl_id *id = ctl_id_new(fileid);
    struct ls_err err = {0};
    json_t *places = NULL;
    int status = LS_EXIT_FAILURE;

    if (!id || ls_topic_read(config, ls_config_topic(config, "ledger"), each_row, id, &err) < 0) {
        if (id)
            ls_log_err(LS_ERROR, "id", &err);
        status = LS_EXIT_KAFKA;
        goto out;
    }
    places = ctl_id_places(id);
    if (flags->json && places) {
        json_dumpf(places, out, JSON_INDENT(2));
        fputc('\n', out);
    } else if (places) {
        print(places, out);
    }
    if (json_array_size(places) > 0)
        status = LS_EXIT_OK;
    else
        fprintf(stderr, "lockstep: apply has made nothing of a file %" PRId64 "\n", fileid);
out:
    json_decref(places);
    ctl_id_free(id);
    return status;
}
