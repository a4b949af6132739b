/*
 * verify: is oCIS what ownCloud 10 is? Says equal only when everything was compared.
 *
 * The source is read first, frozen at one moment; then the trees of the users are compared by
 * several threads, then shares and links, which need the places found by all of them. It takes
 * nothing from Lockstep's own state. While the stream runs, what it still carries shows as a
 * difference: drain first (lockstep status), or read the difference with that in mind.
 * A failure to read one side is never "equal": it ends the command with its own status.
 */
#include "ctl/verify.h"
#include "common/log.h"
#include "ctl/ctl.h"
#include <stdlib.h>
#include <string.h>

void
verify_differ(struct verify *verify, struct verify_user *user, const char *what, const char *place,
              const char *source, const char *target)
{
    json_t *row = json_object();

    json_object_set_new(row, "user", json_string_nocheck(user ? user->user->uid : ""));
    json_object_set_new(row, "what", json_string_nocheck(what));
    json_object_set_new(row, "place", json_string_nocheck(place));
    json_object_set_new(row, "source", json_string_nocheck(source));
    json_object_set_new(row, "target", json_string_nocheck(target));
    pthread_mutex_lock(&verify->lock);
    json_array_append_new(verify->differences, row);
    verify->n_differences++;
    if (user)
        user->count[VC_DIFFERENT]++;
    pthread_mutex_unlock(&verify->lock);
}

void
verify_fail(struct verify *verify, const struct ls_err *err)
{
    pthread_mutex_lock(&verify->lock);
    if (!verify->failed)
        verify->err = *err;
    verify->failed = true;
    pthread_mutex_unlock(&verify->lock);
}

struct side_node *
verify_live(const struct verify *verify, const char *target_id)
{
    struct verify_live *live = NULL;

    HASH_FIND_STR(verify->live, target_id, live);
    return live ? live->node : NULL;
}

static int
index_live(struct verify *verify, struct ls_err *err)
{
    struct side_node *node, *tmp;

    HASH_ITER(hh, verify->side->nodes, node, tmp)
    {
        struct verify_live *live;
        if (!node->target_id)
            continue;
        live = ls_arena_alloc(verify->side->arena, sizeof *live);
        if (!live)
            return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
        live->node = node;
        HASH_ADD_KEYPTR(hh, verify->live, node->target_id, strlen(node->target_id), live);
    }
    return 0;
}

static int
compare_user(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    const char *id = NULL;

    if (target_user(verify->target, user->user->uid, &id, err) < 0)
        return -1;
    if (!id) {
        verify_differ(verify, user, "user missing", "", user->user->uid, "");
        return 0;
    }
    if (verify_tree(verify, user, err) < 0)
        return -1;
    return verify_trash(verify, user, err);
}

static void *
worker(void *arg)
{
    struct verify *verify = arg;
    struct ls_err err = {0};

    for (;;) {
        struct verify_user *user = NULL;

        pthread_mutex_lock(&verify->lock);
        if (!verify->failed && verify->next_user < verify->n_users)
            user = &verify->users[verify->next_user++];
        pthread_mutex_unlock(&verify->lock);
        if (!user)
            return NULL;
        if (compare_user(verify, user, &err) < 0)
            verify_fail(verify, &err);
    }
}

static int
compare_all(struct verify *verify, struct ls_err *err)
{
    pthread_t threads[64];
    size_t n = (size_t)ls_config_int(verify->config, "verify", "workers"), started = 0;

    for (; started < n && started < 64 && started < verify->n_users; started++)
        if (pthread_create(&threads[started], NULL, worker, verify) != 0)
            break;
    if (started == 0 && verify->n_users > 0)
        worker(verify);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (verify->failed) {
        *err = verify->err;
        return -1;
    }
    if (index_live(verify, err) < 0)
        return -1;
    for (size_t i = 0; i < verify->n_users; i++)
        if (verify_received(verify, &verify->users[i], err) < 0)
            return -1;
    return verify_links(verify, err);
}

static int
by_uid(const void *a, const void *b)
{
    return strcmp(((const struct verify_user *)a)->user->uid,
                  ((const struct verify_user *)b)->user->uid);
}

/* Users in order of their names. */
static int
list_users(struct verify *verify, struct ls_err *err)
{
    struct side_user *user, *tmp;

    verify->users = calloc(HASH_COUNT(verify->side->users) + 1, sizeof *verify->users);
    if (!verify->users)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    HASH_ITER(hh, verify->side->users, user, tmp)
    {
        verify->users[verify->n_users++].user = user;
    }
    qsort(verify->users, verify->n_users, sizeof *verify->users, by_uid);
    return 0;
}

static const struct {
    const char *name;
    const char *why;
    size_t offset;
} not_kept[] = {
    {"folder mtimes", "oCIS propagates its own", offsetof(struct verify, folder_mtimes)},
    {"file ids", "oCIS makes its own; the ledger maps them", offsetof(struct verify, ids)},
    {"places of trash items", "their old folder is gone, or the name was taken",
     offsetof(struct verify, trash_places)},
    {"share ids", "the sharing API makes its own", offsetof(struct verify, share_ids)},
    {"link tokens", "the sharing API takes none", offsetof(struct verify, link_tokens)},
    {"link passwords", "the sharing API takes no hash: a random one keeps the link closed",
     offsetof(struct verify, link_passwords)},
};

static size_t
not_kept_count(const struct verify *verify, size_t i)
{
    size_t n;

    memcpy(&n, (const char *)verify + not_kept[i].offset, sizeof n);
    return n;
}

static void
print_json(const struct verify *verify, FILE *out)
{
    static const char *const names[VC_MAX] = {"folders", "files", "trash",
                                              "shares",  "links", "different"};
    json_t *document = json_object(), *users = json_object(), *kept = json_object();

    for (size_t i = 0; i < verify->n_users; i++) {
        json_t *row = json_object();
        for (size_t c = 0; c < VC_MAX; c++)
            json_object_set_new(row, names[c], json_integer((json_int_t)verify->users[i].count[c]));
        json_object_set_new_nocheck(users, verify->users[i].user->uid, row);
    }
    for (size_t i = 0; i < sizeof not_kept / sizeof not_kept[0]; i++)
        json_object_set_new(kept, not_kept[i].name,
                            json_integer((json_int_t)not_kept_count(verify, i)));
    json_object_set_new(document, "equal", json_boolean(verify->n_differences == 0));
    json_object_set_new(document, "users", users);
    json_object_set(document, "differences", verify->differences);
    json_object_set_new(document, "not_kept_by_ocis_api", kept);
    json_object_set_new(document, "orphans", json_integer((json_int_t)verify->side->n_orphans));
    json_dumpf(document, out, JSON_INDENT(2) | JSON_SORT_KEYS);
    fputc('\n', out);
    json_decref(document);
}

static void
print_table(const struct verify *verify, FILE *out)
{
    json_t *row;
    size_t i;

    fprintf(out, "%-24s %8s %8s %8s %8s %8s %10s\n", "USER", "FOLDERS", "FILES", "TRASH", "SHARES",
            "LINKS", "DIFFERENT");
    for (i = 0; i < verify->n_users; i++) {
        const size_t *n = verify->users[i].count;
        fprintf(out, "%-24s %8zu %8zu %8zu %8zu %8zu %10zu\n", verify->users[i].user->uid,
                n[VC_FOLDERS], n[VC_FILES], n[VC_TRASH], n[VC_SHARES], n[VC_LINKS],
                n[VC_DIFFERENT]);
    }
    json_array_foreach(verify->differences, i, row)
    {
        fprintf(out, "DIFFERENT  %s  %s  %s  source: %s  target: %s\n",
                json_string_value(json_object_get(row, "user")),
                json_string_value(json_object_get(row, "what")),
                json_string_value(json_object_get(row, "place")),
                json_string_value(json_object_get(row, "source")),
                json_string_value(json_object_get(row, "target")));
    }
    for (i = 0; i < sizeof not_kept / sizeof not_kept[0]; i++)
        if (not_kept_count(verify, i) > 0)
            fprintf(out, "not kept by ocis-api: %zu %s (%s)\n", not_kept_count(verify, i),
                    not_kept[i].name, not_kept[i].why);
    if (verify->side->n_orphans > 0)
        fprintf(out, "not compared: %zu orphans (rows whose parent does not exist)\n",
                verify->side->n_orphans);
    fputs("not compared: versions, external and federated storages\n", out);
    if (verify->n_differences == 0)
        fputs("equal\n", out);
    else
        fprintf(out, "%zu differences\n", verify->n_differences);
}

int
ctl_verify(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    struct verify verify = {.config = config, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct ctl_source *source = NULL;
    struct ls_err err = {0};
    int status = LS_EXIT_SOURCE;

    verify.differences = json_array();
    if (!verify.differences)
        return LS_EXIT_FAILURE;
    if (tf_zone_set(ls_config_str(config, "source", "time_zone"), &verify.zone, &err) < 0 ||
        ctl_source_open(config, &source, &err) < 0 ||
        side_load(config, source, &verify.side, &err) < 0)
        goto out;
    status = LS_EXIT_TARGET;
    if (target_open(config, &verify.target, &err) < 0 || list_users(&verify, &err) < 0 ||
        compare_all(&verify, &err) < 0)
        goto out;
    status = verify.n_differences == 0 ? LS_EXIT_OK : LS_EXIT_DIFFERENT;
    if (flags->json)
        print_json(&verify, out);
    else
        print_table(&verify, out);
out:
    if (err.kind != LS_ERR_NONE)
        ls_log_err(LS_ERROR, "verify", &err);
    HASH_CLEAR(hh, verify.live);
    target_close(verify.target);
    side_free(verify.side);
    ctl_source_close(source);
    json_decref(verify.differences);
    free(verify.users);
    return status;
}
