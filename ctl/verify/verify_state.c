/*
 * What verify has compared, kept in a file, so that a run over many users that was killed goes on.
 *
 * Lines of JSON, appended user by user: first whose file it is, then for each user the ids under
 * which his nodes were found at the target (shares are compared by them, also those of later runs)
 * and what was counted and found; of several lines about one user the last one counts. What can go
 * wrong: the last line was cut off by the kill (it and what follows is cut away, that user is
 * compared again); the file is another command's (refused: half of it would be about other
 * choices); two runs use it at once (refused); the disk is full (the run goes on, without the
 * file); something of a user could not be compared (he is compared again). What was found before
 * the kill is as old as that; it is looked at again when it differed.
 */
#include "common/log.h"
#include "common/utf8.h"
#include "ctl/verify/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define IDS_A_LINE 500

struct verify_state {
    FILE *file;
    char *path;
    bool broken;
    pthread_mutex_t lock;
};

/* ---- writing */

static void
write_line(struct verify_state *state, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

    if (!state->broken && (!text || fprintf(state->file, "%s\n", text) < 0)) {
        ls_log(LS_WARN, "verify-state", LS_S("file", state->path), LS_S("error", strerror(errno)));
        state->broken = true; /* a line behind a torn one would not be read */
    }
    free(text);
    json_decref(line);
}

static json_t *
numbers(const size_t *n, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer((json_int_t)n[i]));
    return array;
}

static json_t *
difference_line(const struct verify_difference *d)
{
    const char *texts[] = {d->target_id, d->owner, d->what, d->place, d->source, d->target};
    json_t *array =
        json_pack("[i, I, I]", (int)d->kind, (json_int_t)d->fileid, (json_int_t)d->share);

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *text = json_string(texts[i]);
        if (!text || json_array_append_new(array, text) < 0) { /* no UTF-8 */
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* All that is known of the user; NULL when it cannot be written down, as a name in no UTF-8. */
static json_t *
user_line(const struct verify_user *user, int phase)
{
    json_t *line = json_object(), *differences = json_array();

    for (size_t i = 0; i < user->differences.n; i++)
        if (json_array_append_new(differences, difference_line(user->differences.each[i])) < 0) {
            json_decref(differences);
            json_decref(line);
            return NULL;
        }
    json_object_set_new(line, "user", json_string(user->user->uid));
    json_object_set_new(line, "phase", json_integer(phase));
    json_object_set_new(line, "signs_in", json_boolean(user->signs_in));
    json_object_set_new(line, "count", numbers(user->count, VC_MAX));
    json_object_set_new(line, "not_kept", numbers(user->not_kept, VK_MAX));
    json_object_set_new(line, "left", numbers(user->left, VL_MAX));
    json_object_set_new(line, "read", json_integer((json_int_t)user->n_read));
    json_object_set_new(line, "bytes", json_integer(user->read_bytes));
    json_object_set_new(line, "differences", differences);
    return line;
}

static json_t *
ids_line(const struct verify_user *user)
{
    return json_pack("{s:s, s:{}}", "user", user->user->uid, "ids");
}

static void
write_ids(struct verify_state *state, const struct verify_user *user,
          const struct side_node *folder, json_t **line)
{
    char key[32];

    for (const struct side_node *node = folder->first; node; node = node->next) {
        if (node->target_id) {
            snprintf(key, sizeof key, "%" PRId64, node->fileid);
            json_object_set_new(json_object_get(*line, "ids"), key, json_string(node->target_id));
            if (json_object_size(json_object_get(*line, "ids")) >= IDS_A_LINE) {
                write_line(state, *line);
                *line = ids_line(user);
            }
        }
        if (node->first)
            write_ids(state, user, node, line);
    }
}

void
verify_state_save(struct verify *verify, struct verify_user *user, int phase)
{
    struct verify_state *state = verify->state;
    struct side_node *files = user->user->root ? side_child(user->user->root, "files") : NULL;
    json_t *whole, *ids;

    if (!state || user->count[VC_UNSEEN] > 0 ||
        !ls_utf8_valid(user->user->uid, strlen(user->user->uid)))
        return;
    whole = user_line(user, phase);
    if (!whole)
        return; /* he is compared again */
    pthread_mutex_lock(&state->lock);
    if (phase == 1 && files) {
        ids = ids_line(user);
        write_ids(state, user, files, &ids);
        write_line(state, ids);
    }
    write_line(state, whole);
    if (!state->broken && fflush(state->file) != 0) {
        ls_log(LS_WARN, "verify-state", LS_S("file", state->path), LS_S("error", strerror(errno)));
        state->broken = true;
    }
    pthread_mutex_unlock(&state->lock);
}

/* ---- reading */

static bool
take_numbers(const json_t *array, size_t *n, size_t count)
{
    if (json_array_size(array) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        n[i] = (size_t)json_integer_value(json_array_get(array, i));
    return true;
}

static int
take_difference(struct verify_user *user, const json_t *row)
{
    struct verify_difference d = {.user = user->user->uid};
    const char **texts[] = {&d.target_id, &d.owner, &d.what, &d.place, &d.source, &d.target};
    json_int_t kind = json_integer_value(json_array_get(row, 0));

    if (kind < 0 || kind >= VD_KINDS)
        return -1;
    d.kind = (enum verify_kind)kind;
    d.fileid = json_integer_value(json_array_get(row, 1));
    d.share = json_integer_value(json_array_get(row, 2));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!(*texts[i] = json_string_value(json_array_get(row, 3 + i))))
            return -1;
    return verify_list_add(&user->differences, &d);
}

/* The ids count only while the node is still in that home. */
static void
take_ids(struct verify *verify, const struct verify_user *user, json_t *ids)
{
    const char *key;
    json_t *value;

    json_object_foreach(ids, key, value)
    {
        struct side_node *node = side_node_by_id(verify->side, strtoll(key, NULL, 10));
        if (node && json_string_value(value) && side_owner(verify->side, node, NULL) == user->user)
            node->target_id = side_printf(verify->side, "%s", json_string_value(value));
    }
}

static void
user_reset(struct verify_user *user)
{
    struct verify_user fresh = {.user = user->user, .picked = user->picked};

    verify_list_free(&user->differences);
    *user = fresh;
}

/* -1: the line is not one of ours. */
static int
take_line(struct verify *verify, const json_t *line)
{
    const char *uid = json_string_value(json_object_get(line, "user"));
    json_t *ids = json_object_get(line, "ids"), *row;
    const json_t *differences = json_object_get(line, "differences");
    json_int_t phase = json_integer_value(json_object_get(line, "phase"));
    struct side_user *there = NULL;
    struct verify_user *user;
    size_t i;

    if (!uid || (!ids && (phase < 1 || phase > 2 || !json_is_array(differences))))
        return -1;
    HASH_FIND_STR(verify->side->users, uid, there);
    if (!there)
        return 0; /* deleted since */
    user = verify_user_of(verify, there);
    if (ids) {
        take_ids(verify, user, ids);
        return 0;
    }
    user_reset(user);
    user->signs_in = json_is_true(json_object_get(line, "signs_in"));
    user->n_read = (size_t)json_integer_value(json_object_get(line, "read"));
    user->read_bytes = json_integer_value(json_object_get(line, "bytes"));
    if (!take_numbers(json_object_get(line, "count"), user->count, VC_MAX) ||
        !take_numbers(json_object_get(line, "not_kept"), user->not_kept, VK_MAX) ||
        !take_numbers(json_object_get(line, "left"), user->left, VL_MAX)) {
        user_reset(user);
        return -1;
    }
    json_array_foreach(differences, i, row)
    {
        if (take_difference(user, row) < 0) {
            user_reset(user);
            return -1;
        }
    }
    user->done = (int)phase;
    return 0;
}

/* Reads up to the first line that is torn, and cuts the file there. */
static int
take_all(struct verify *verify, struct verify_state *state, const char *about, uint64_t *ret_seed,
         struct ls_err *err)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t n;
    long good = 0;
    bool first = true;

    while ((n = getline(&text, &size, state->file)) > 0 && text[n - 1] == '\n') {
        json_t *line = json_loadb(text, (size_t)n, 0, NULL);
        const char *of = json_string_value(json_object_get(line, "verify"));
        int r = first ? (of ? 0 : -1) : take_line(verify, line);

        if (first && r == 0 && strcmp(of, about) == 0)
            *ret_seed = (uint64_t)json_integer_value(json_object_get(line, "seed"));
        else if (first)
            r = ls_fail_cause(err, LS_ERR_FATAL, 0, "other-run",
                              "%s is of another command, or of no verify: delete it, or give the "
                              "same users and options",
                              state->path);
        json_decref(line);
        if (first && r < 0) {
            free(text);
            return -1;
        }
        if (r < 0)
            break;
        first = false;
        good = ftell(state->file);
    }
    if (first && n > 0) /* somebody's file of one line without an end */
        ls_fail_cause(err, LS_ERR_FATAL, 0, "other-run", "%s is no file of verify", state->path);
    free(text);
    if (first && n > 0)
        return -1;
    if (good < 0 || ftruncate(fileno(state->file), good) < 0 ||
        fseek(state->file, good, SEEK_SET) < 0)
        return ls_fail(err, LS_ERR_FATAL, errno, "%s: %s", state->path, strerror(errno));
    if (!first)
        return 0;
    write_line(state, json_pack("{s:s, s:I}", "verify", about, "seed", (json_int_t)verify->seed));
    return 0;
}

int
verify_state_open(struct verify *verify, const char *path, const char *about,
                  struct verify_state **ret, uint64_t *ret_seed, struct ls_err *err)
{
    struct verify_state *state = calloc(1, sizeof *state);

    *ret_seed = 0;
    if (!state || !(state->path = strdup(path))) {
        free(state);
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    }
    pthread_mutex_init(&state->lock, NULL);
    state->file = fopen(path, "a+e");
    if (state->file)
        rewind(state->file);
    if (!state->file || flock(fileno(state->file), LOCK_EX | LOCK_NB) < 0) {
        ls_fail_cause(err, LS_ERR_FATAL, errno, "state-file", "%s: %s", path,
                      errno == EWOULDBLOCK ? "another verify is at it" : strerror(errno));
        verify_state_close(state, false);
        return -1;
    }
    if (take_all(verify, state, about, ret_seed, err) < 0) {
        verify_state_close(state, false);
        return -1;
    }
    *ret = state;
    return 0;
}

void
verify_state_close(struct verify_state *state, bool finished)
{
    if (!state)
        return;
    if (finished && unlink(state->path) < 0)
        ls_log(LS_WARN, "verify-state", LS_S("file", state->path), LS_S("error", strerror(errno)));
    if (state->file)
        fclose(state->file);
    free(state->path);
    pthread_mutex_destroy(&state->lock);
    free(state);
}
