/*
 * verify: is oCIS what ownCloud 10 is? Says equal only when everything was compared.
 *
 * The source is read first, frozen at one moment; then the trees of the users, and the grants on
 * them, are compared by several threads, then shares and links, which need the places found by all
 * of them. It takes nothing from Lockstep's own state. While the stream runs, what it still carries
 * shows as a difference: verify_again.c tells it apart. A failure to read one side is never
 * "equal", nor is it a difference: it ends the command with its own status, or is named as not
 * compared where a side fails for one thing alone. So is a user who cannot be looked at, as soon as
 * he has anything; one who is disabled on both sides is looked at by the service account, where
 * there is one.
 */
#include "ctl/verify/verify.h"
#include "apply/content/blobs.h"
#include "apply/cs3/cs3.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HOMES_TRIED = 50 };

static void
note_failure(struct verify *verify, const struct ls_err *err)
{
    pthread_mutex_lock(&verify->lock);
    if (!verify->failed)
        verify->err = *err;
    verify->failed = true;
    pthread_mutex_unlock(&verify->lock);
}

/* A difference that cannot be kept ends the command: it must not be lost. */
void
verify_differ(struct verify *verify, struct verify_user *user,
              const struct verify_difference *difference)
{
    struct verify_difference d = *difference;
    struct ls_err err = {0};
    int r;

    d.user = user ? user->user->uid : "";
    pthread_mutex_lock(&verify->lock);
    r = verify_list_add(user ? &user->differences : &verify->differences, &d);
    if (user)
        user->count[d.when == VW_UNSEEN ? VC_UNSEEN : VC_DIFFERENT]++;
    pthread_mutex_unlock(&verify->lock);
    if (r < 0) {
        ls_fail(&err, LS_ERR_FATAL, 0, "out of memory");
        note_failure(verify, &err);
    }
}

int
verify_unseen(struct verify *verify, struct verify_user *user, struct verify_difference d,
              const struct ls_err *why, struct ls_err *err)
{
    if (why->kind == LS_ERR_NONE) /* a list was broken off */
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    if (why->kind == LS_ERR_FATAL || strcmp(why->cause, "target-down") == 0 ||
        strcmp(why->cause, "slow-down") == 0 || strcmp(why->cause, "sign-in") == 0) {
        *err = *why;
        return -1;
    }
    if (strcmp(why->cause, "gone") != 0)
        d.when = VW_UNSEEN;
    d.target = why->msg;
    verify_differ(verify, user, &d);
    return 0;
}

void
verify_not_kept(struct verify *verify, struct verify_user *user, enum verify_not_kept what)
{
    pthread_mutex_lock(&verify->lock);
    (user ? user->not_kept : verify->not_kept)[what]++;
    pthread_mutex_unlock(&verify->lock);
}

void
verify_left(struct verify *verify, struct verify_user *user, enum verify_left what)
{
    pthread_mutex_lock(&verify->lock);
    (user ? user->left : verify->left)[what]++;
    pthread_mutex_unlock(&verify->lock);
}

void
verify_sum_up(const struct verify *verify, size_t not_kept[VK_MAX], size_t left[VL_MAX])
{
    memcpy(not_kept, verify->not_kept, sizeof verify->not_kept);
    memcpy(left, verify->left, sizeof verify->left);
    for (size_t i = 0; i < verify->n_users; i++) {
        for (size_t k = 0; k < VK_MAX; k++)
            not_kept[k] += verify->users[i].not_kept[k];
        for (size_t l = 0; l < VL_MAX; l++)
            left[l] += verify->users[i].left[l];
    }
}

struct side_node *
verify_live(const struct verify *verify, const char *target_id)
{
    struct verify_live *live = NULL;

    HASH_FIND_STR(verify->live, target_id, live);
    return live ? live->node : NULL;
}

static int
by_uid(const void *a, const void *b)
{
    return strcmp(((const struct verify_user *)a)->user->uid,
                  ((const struct verify_user *)b)->user->uid);
}

static int
uid_of(const void *uid, const void *user)
{
    return strcmp(uid, ((const struct verify_user *)user)->user->uid);
}

struct verify_user *
verify_user_of(struct verify *verify, const struct side_user *user)
{
    return bsearch(user->uid, verify->users, verify->n_users, sizeof *verify->users, uid_of);
}

static int
index_live(struct verify *verify, struct ls_err *err)
{
    struct side_node *node;

    for (node = verify->side->nodes; node; node = node->hh.next) {
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

/* What the source holds of a user, in words; false when it is nothing. */
static bool
holdings(const struct side_user *user, char *out, size_t size)
{
    struct side_node *files = user->root ? side_child(user->root, "files") : NULL;
    struct side_node *bin = user->root ? side_child(user->root, "files_trashbin") : NULL;
    size_t live = files ? verify_below(files) : 0;

    bin = bin ? side_child(bin, "files") : NULL;
    snprintf(out, size, "%s, %zu files and folders, %zu in the trash",
             user->enabled ? "enabled" : "disabled", live, bin ? verify_below(bin) : 0);
    return live > 0 || (bin && verify_below(bin) > 0);
}

static void
quota_text(int64_t bytes, char *out, size_t size)
{
    if (bytes > 0)
        snprintf(out, size, "%" PRId64 " bytes", bytes);
    else
        snprintf(out, size, "no limit");
}

/* Where apply sets them. A space that was never given a quota has what oCIS gives, and whether it
 * was given one before is not known here. oCIS takes 0 for no limit, so that one byte stands for
 * it. */
static int
compare_quota(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    int64_t want = user->user->quota, have = 0;
    char source[40], target[40];
    struct ls_err why = {0};
    int r;

    if (strcmp(ls_config_str(verify->config, "people", "mode"), "create") != 0)
        return 0;
    if (!user->user->quota_said || user->user->quota_default)
        want = ls_config_int(verify->config, "people", "default_quota");
    else if (want == 0)
        want = 1;
    if (want <= 0) {
        verify_left(verify, user, VL_QUOTA_NONE);
        return 0;
    }
    quota_text(want, source, sizeof source);
    r = target_quota(verify->target, user->user->uid, &have, &why);
    if (r < 0)
        return verify_unseen(
            verify, user,
            (struct verify_difference){.what = "quota cannot be looked at", .source = source}, &why,
            err);
    if (r == 0)
        verify_left(verify, user, VL_QUOTA_UNSEEN);
    if (r == 0 || have == want)
        return 0;
    quota_text(have, target, sizeof target);
    verify_differ(verify, user,
                  &(struct verify_difference){.what = "quota", .source = source, .target = target});
    return 0;
}

static int
look_at_user(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    bool theirs = user->user->ldap && cs3_match_wanted(verify->config); /* whose directory it is */
    bool create = !theirs && strcmp(ls_config_str(verify->config, "people", "mode"), "create") == 0;
    bool service = target_has_service(verify->target), has;
    struct target_who who;
    struct ls_err why = {0};
    char text[128];

    has = holdings(user->user, text, sizeof text);
    if (target_user(verify->target, user->user->uid, &who, &why) < 0)
        return verify_unseen(
            verify, user,
            (struct verify_difference){.what = "user cannot be looked at", .source = text}, &why,
            err);
    user->signs_in = who.signs_in;
    if (user->user->enabled && !who.signs_in) {
        verify_differ(
            verify, user,
            &(struct verify_difference){.what = "user missing or disabled", .source = text});
        return 0;
    }
    if (!who.seen) {
        if (has)
            verify_differ(verify, user,
                          &(struct verify_difference){
                              .when = service ? VW_UNKNOWN : VW_UNSEEN,
                              .what = "user cannot be looked at",
                              .source = text,
                              .target = service
                                            ? "does not exist"
                                            : "cannot sign in; set [target] service_account_id and "
                                              "service_account_secret to look at him"});
        else
            verify_left(verify, user, VL_DISABLED);
        return 0;
    }
    if (!user->user->enabled && who.enabled && create)
        verify_differ(verify, user,
                      &(struct verify_difference){.what = "user enabled",
                                                  .source = "disabled",
                                                  .target = who.signs_in ? "can sign in"
                                                                         : "enabled in Graph"});
    verify_left(verify, user, VL_ACCOUNT);
    if (user->user->storage >= 0 && compare_quota(verify, user, err) < 0)
        return -1;
    if (verify_tree(verify, user, err) < 0 || verify_grants(verify, user, err) < 0)
        return -1;
    return verify_trash(verify, user, err);
}

/* Is there a home that can be read? Some are tried. */
static bool
disk_is_there(const struct verify *verify)
{
    size_t tried = 0;

    for (size_t i = 0; i < verify->n_users && tried < HOMES_TRIED; i++) {
        const struct side_user *user = verify->users[i].user;
        if (!user->root || !side_child(user->root, "files"))
            continue;
        if (verify_can_read(verify, &verify->users[i]))
            return true;
        tried++;
    }
    return false;
}

int
verify_unread(struct verify *verify, struct verify_user *user, struct verify_difference d,
              const struct ls_err *why, struct ls_err *err)
{
    bool unreadable = strcmp(why->cause, "content-unreadable") == 0;
    bool away = ap_content_is_away(why->cause) || strncmp(why->cause, "bucket-", 7) == 0 ||
                strcmp(why->cause, "no-bucket") == 0 ||
                (unreadable && !verify_can_read(verify, user));

    if (why->kind == LS_ERR_FATAL) {
        *err = *why;
        return -1;
    }
    d.source = why->msg;
    if (away) {
        if (verify->deep && !disk_is_there(verify))
            return ls_fail_cause(err, LS_ERR_RETRY, why->code, "data",
                                 "nobody's files can be read: %s", why->msg);
        if (user->home_away)
            return 0;
        user->home_away = true;
        d = (struct verify_difference){.what = "content cannot be read at the source",
                                       .source = why->msg};
    }
    if (away || unreadable)
        d.when = VW_UNSEEN;
    verify_differ(verify, user, &d);
    return 0;
}

static int
compare_user(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    if (user->done >= 1)
        return 0;
    if (look_at_user(verify, user, err) < 0)
        return -1;
    verify_state_save(verify, user, 1);
    return 0;
}

static int
compare_received(struct verify *verify, struct verify_user *user, struct ls_err *err)
{
    if (user->done >= 2)
        return 0;
    if (verify_received(verify, user, err) < 0)
        return -1;
    verify_state_save(verify, user, 2);
    return 0;
}

/* ---- users, one after the other, by several threads */

typedef int user_fn(struct verify *verify, struct verify_user *user, struct ls_err *err);
struct phase {
    struct verify *verify;
    user_fn *fn;
};

static void *
worker(void *arg)
{
    struct phase *phase = arg;
    struct verify *verify = phase->verify;

    for (;;) {
        struct verify_user *user = NULL;
        struct ls_err err = {0};

        pthread_mutex_lock(&verify->lock);
        if (!verify->failed && verify->next_user < verify->n_users)
            user = &verify->users[verify->next_user++];
        pthread_mutex_unlock(&verify->lock);
        if (!user)
            return NULL;
        if (!user->picked)
            continue;
        if (phase->fn(verify, user, &err) < 0) {
            if (err.kind == LS_ERR_NONE) /* a list was broken off */
                ls_fail(&err, LS_ERR_FATAL, 0, "out of memory");
            note_failure(verify, &err);
        }
    }
}

static int
each_user(struct verify *verify, user_fn *fn, struct ls_err *err)
{
    struct phase phase = {verify, fn};
    pthread_t threads[64];
    size_t n = (size_t)ls_config_int(verify->config, "verify", "workers"), started = 0;

    verify->next_user = 0;
    for (; started < n && started < 64 && started < verify->n_users; started++)
        if (pthread_create(&threads[started], NULL, worker, &phase) != 0)
            break;
    if (started == 0)
        worker(&phase);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (!verify->failed)
        return 0;
    *err = verify->err;
    return -1;
}

int
verify_users(struct verify *verify, struct ls_err *err)
{
    struct side_user *user;

    verify->users = calloc(HASH_COUNT(verify->side->users) + 1, sizeof *verify->users);
    if (!verify->users)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    for (user = verify->side->users; user; user = user->hh.next) {
        verify->users[verify->n_users++] = (struct verify_user){.user = user, .picked = true};
    }
    qsort(verify->users, verify->n_users, sizeof *verify->users, by_uid);
    return 0;
}

int
verify_compare(struct verify *verify, struct ls_err *err)
{
    verify_effective(verify);
    if (each_user(verify, compare_user, err) < 0 || index_live(verify, err) < 0)
        return -1;
    if (each_user(verify, compare_received, err) < 0 || verify_links(verify, err) < 0)
        return -1;
    if (verify->failed) {
        *err = verify->err;
        return -1;
    }
    for (size_t i = 0; i < verify->n_users; i++)
        if (!verify->users[i].beside &&
            verify_list_move(&verify->users[i].differences, &verify->differences) < 0)
            return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    verify_list_sort(&verify->differences);
    return 0;
}

void
verify_free(struct verify *verify)
{
    HASH_CLEAR(hh, verify->live);
    for (size_t i = 0; i < verify->n_users; i++)
        verify_list_free(&verify->users[i].differences);
    verify->n_users = 0;
    free(verify->users);
    verify->users = NULL;
    verify_list_free(&verify->differences);
}
