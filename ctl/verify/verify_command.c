/*
 * verify, the command: its options, whom it looks at, and the order of its parts.
 *
 * What can go wrong is told by the exit status (common/err.h): a side that cannot be read is never
 * "equal" nor "different", it ends the command with a status of its own. Without --user and --group
 * it looks at everybody; --all only says so. A sample is the same for the same seed, so the seed is
 * printed, and kept in the file of --resume.
 */
#include "ctl/verify/verify_command.h"
#include "apply/content/objects.h"
#include "apply/cs3/cs3.h"
#include "common/log.h"
#include "common/run.h"
#include "ctl/ctl.h"
#include "ctl/verify/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WAIT_S 60
#define PATIENCE_MS 30000

/* The exit status of a failure to read the source. */
static int
source_status(const struct ls_err *err)
{
    return strcmp(err->cause, "data") == 0 ? LS_EXIT_DATA : LS_EXIT_SOURCE;
}

/* A moment that what was read does not reach beyond, by the later of two clocks. A binlog's times
 * are whole seconds: the one that is running belongs to the past. */
static int
marker_of(struct ctl_source *source, int64_t *ret, struct ls_err *err)
{
    int64_t here = ls_now_us(), there;
    char value[64];

    if (ctl_source_text(source, "SELECT UNIX_TIMESTAMP(NOW(6))", value, sizeof value, err) < 0)
        return -1;
    there = (int64_t)(strtod(value, NULL) * 1e6);
    *ret = ((here > there ? here : there) / 1000000 + 1) * 1000000;
    return 0;
}

bool
ctl_writes_exact(const struct ls_config *config)
{
    bool exact = false;

    return ap_exact_wanted(config, &exact, NULL) == 0 && exact;
}

/* Users of ownCloud's LDAP go by their mapping's id where apply does so, too. */
int
verify_match(const struct verify *verify, struct ls_err *err)
{
    const struct side_user *user;

    if (!cs3_match_wanted(verify->config))
        return 0;
    for (user = verify->side->users; user; user = user->hh.next)
        if (user->ldap && target_match(verify->target, user->uid,
                                       user->directory_uuid ? user->directory_uuid : "", err) < 0)
            return -1;
    return 0;
}

int
verify_open(const struct ls_config *config, struct verify *verify, int *ret_status,
            struct ls_err *err)
{
    *verify = (struct verify){.config = config,
                              .now = ls_now_us() / 1000000,
                              .patience_ms = PATIENCE_MS,
                              .lock = PTHREAD_MUTEX_INITIALIZER};
    *ret_status = LS_EXIT_USAGE;
    if (tf_zone_set(ls_config_str(config, "source", "time_zone"), &verify->zone, err) < 0 ||
        ap_objects_new(config, &verify->objects, err) < 0)
        return -1;
    if (ctl_source_open(config, &verify->source, err) < 0 ||
        side_load(config, verify->source, &verify->side, err) < 0 ||
        marker_of(verify->source, &verify->marker_us, err) < 0) {
        *ret_status = source_status(err);
        return -1;
    }
    if (!verify->side->users) {
        *ret_status = LS_EXIT_SOURCE;
        return ls_fail(err, LS_ERR_FATAL, 0,
                       "the source has no users: is that the database ([source] database, "
                       "table_prefix)?");
    }
    if (ctl_writes_exact(config)) {
        verify->exact_shares = true;
        verify->exact_links = ls_config_bool(config, "capture", "link_secrets");
    }
    *ret_status = LS_EXIT_FAILURE;
    if (verify_users(verify, err) < 0)
        return -1;
    *ret_status = LS_EXIT_TARGET;
    return target_open(config, &verify->target, err) < 0 ? -1 : verify_match(verify, err);
}

void
verify_close(struct verify *verify)
{
    verify_free(verify);
    target_close(verify->target);
    ap_objects_free(verify->objects);
    side_free(verify->side);
    ctl_source_close(verify->source);
    verify->target = NULL;
    verify->objects = NULL;
    verify->side = NULL;
    verify->source = NULL;
}

int
verify_pick(struct verify *verify, const char *uid)
{
    struct side_user *user = NULL;

    HASH_FIND_STR(verify->side->users, uid, user);
    if (!user)
        return -1;
    if (!verify->some)
        for (size_t i = 0; i < verify->n_users; i++)
            verify->users[i].picked = false;
    verify->some = true;
    verify_user_of(verify, user)->picked = true;
    return 0;
}

int
verify_pick_group(struct verify *verify, const char *gid)
{
    size_t n = 0;

    for (size_t i = 0; i < verify->n_users; i++) {
        const char *uid = verify->users[i].user->uid;
        const struct side_member *group = side_groups_of(verify->side, uid);

        while (group && strcmp(group->gid, gid) != 0)
            group = group->next;
        if (group && verify_pick(verify, uid) == 0)
            n++;
    }
    return n > 0 ? 0 : -1;
}

bool
verify_sampled(uint64_t seed, double percent, const void *name, size_t n)
{
    const unsigned char *bytes = name;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15ULL;

    if (percent <= 0 || percent >= 100)
        return true;
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 1099511628211ULL;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
    return (double)((h ^ (h >> 31)) >> 11) / 9007199254740992.0 < percent / 100;
}

void
verify_pick_sample(struct verify *verify, double percent)
{
    struct verify_user *one = NULL;
    bool any = false;

    for (size_t i = 0; i < verify->n_users; i++) {
        struct verify_user *user = &verify->users[i];
        if (user->picked && (!one || i <= verify->seed % verify->n_users))
            one = user;
        user->picked &=
            verify_sampled(verify->seed, percent, user->user->uid, strlen(user->user->uid));
        any |= user->picked;
    }
    if (!any && one) /* nobody is no sample: nothing would be compared */
        one->picked = true;
    verify->some = true;
}

/* ---- the command's options */

static bool
take_percent(const char *text, double *ret)
{
    char *end = NULL;

    if (!*text || strspn(text, "0123456789.%") != strlen(text))
        return false;
    *ret = strtod(text, &end);
    return (!*end || strcmp(end, "%") == 0) && *ret > 0 && *ret <= 100;
}

static bool
take_seed(const char *text, uint64_t *ret)
{
    char *end = NULL;

    if (!*text || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && *ret > 0 && *ret <= INT64_MAX;
}

static bool
take_wait(const char *text, int *ret)
{
    if (!*text || strlen(text) > 6 || strspn(text, "0123456789") != strlen(text))
        return false;
    *ret = atoi(text);
    return true;
}

/* 1: taken; 0: not one of ours; -1: *ret_why. */
static int
take_option(int argc, char **argv, int *i, struct verify_args *args, const char **ret_why)
{
    const char *value;

    if ((value = ctl_option(argc, argv, i, "--user")))
        *ret_why = *value && json_array_append_new(args->users, json_string_nocheck(value)) == 0
                       ? NULL
                       : "--user wants a name";
    else if ((value = ctl_option(argc, argv, i, "--group")))
        *ret_why = *value && json_array_append_new(args->groups, json_string_nocheck(value)) == 0
                       ? NULL
                       : "--group wants a name";
    else if ((value = ctl_option(argc, argv, i, "--sample")))
        *ret_why = take_percent(value, &args->sample) ? NULL : "--sample wants a percentage, as 5%";
    else if ((value = ctl_option(argc, argv, i, "--seed")))
        *ret_why = take_seed(value, &args->seed) ? NULL : "--seed wants a number above 0";
    else if ((value = ctl_option(argc, argv, i, "--wait")))
        *ret_why = take_wait(value, &args->wait_s) ? NULL : "--wait wants seconds";
    else if ((value = ctl_option(argc, argv, i, "--resume")))
        *ret_why = *(args->resume = value) ? NULL : "--resume wants a file";
    else if ((value = ctl_option(argc, argv, i, "--html")))
        *ret_why = *(args->html = value) ? NULL : "--html wants a file";
    else if (strcmp(argv[*i], "--all") == 0)
        args->all = true;
    else if (strcmp(argv[*i], "--deep") == 0)
        args->deep = true;
    else
        return 0;
    return *ret_why ? -1 : 1;
}

int
ctl_verify_arguments(int argc, char **argv, struct verify_args *ret, const char **ret_why)
{
    struct verify_args args = {.users = json_array(), .groups = json_array(), .wait_s = WAIT_S};
    const char *why = NULL;
    int n = 1;

    if (!args.users || !args.groups)
        why = "out of memory";
    for (int i = 1; i < argc && !why; i++)
        if (take_option(argc, argv, &i, &args, &why) == 0)
            argv[n++] = argv[i];
    if (!why && args.all && (json_array_size(args.users) || json_array_size(args.groups)))
        why = "either --all, or some --user and --group";
    if (!why && args.seed != 0 && args.sample <= 0)
        why = "--seed is for --sample";
    if (why) {
        *ret_why = why;
        verify_args_free(&args);
        return -1;
    }
    argv[n] = NULL;
    *ret = args;
    return n;
}

void
verify_args_free(struct verify_args *args)
{
    json_decref(args->users);
    json_decref(args->groups);
    *args = (struct verify_args){0};
}

/* ---- the command */

static int
pick_all(struct verify *verify, const struct verify_args *args, struct ls_err *err)
{
    json_t *name;
    size_t i;

    json_array_foreach(args->users, i, name)
    {
        if (verify_pick(verify, json_string_value(name)) < 0)
            return ls_fail(err, LS_ERR_FATAL, 0, "the source has no user '%s'",
                           json_string_value(name));
    }
    json_array_foreach(args->groups, i, name)
    {
        if (verify_pick_group(verify, json_string_value(name)) < 0)
            return ls_fail(err, LS_ERR_FATAL, 0,
                           "nobody is in a group '%s' at the source (of LDAP, only what was synced "
                           "is there)",
                           json_string_value(name));
    }
    return 0;
}

/* What a file of --resume must be about. */
static char *
about_of(const struct verify_args *args)
{
    json_t *about =
        json_pack("{s:O, s:O, s:b, s:f, s:I}", "users", args->users, "groups", args->groups, "deep",
                  args->deep, "sample", args->sample, "seed", (json_int_t)args->seed);
    char *text = about ? json_dumps(about, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    json_decref(about);
    return text;
}

static uint64_t
new_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint64_t)ls_now_us();
    return seed % 1000000000 + 1;
}

/* The seed is that of the run that is gone on with, the one that was asked for, or a new one. */
static int
prepare(struct verify *verify, const struct verify_args *args, int *ret_status, struct ls_err *err)
{
    uint64_t before = 0;
    char *about;
    int r = 0;

    verify->deep = args->deep;
    verify->seed = args->seed ? args->seed : new_seed();
    if (args->deep)
        verify->sample = args->sample;
    *ret_status = LS_EXIT_USAGE;
    if (pick_all(verify, args, err) < 0)
        return -1;
    if (args->resume) {
        about = about_of(args);
        r = about ? verify_state_open(verify, args->resume, about, &verify->state, &before, err)
                  : ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
        free(about);
    }
    if (before)
        verify->seed = before;
    if (args->sample > 0 && !args->deep)
        verify_pick_sample(verify, args->sample);
    *ret_status = LS_EXIT_TARGET;
    return r;
}

int
verify_look(const struct ls_config *config, const struct verify_args *args, struct verify *verify,
            char *why, size_t size, int *ret_status, struct ls_err *err)
{
    why[0] = 0;
    if (verify_open(config, verify, ret_status, err) < 0 ||
        prepare(verify, args, ret_status, err) < 0)
        return -1;
    *ret_status = LS_EXIT_TARGET;
    if (verify_compare(verify, err) < 0) {
        if (strcmp(err->cause, "data") == 0)
            *ret_status = LS_EXIT_DATA;
        return -1;
    }
    if (verify->differences.n > 0 && args->wait_s > 0)
        verify_again(verify, args->wait_s, why, size);
    return 0;
}

int
ctl_verify(const struct ls_config *config, const struct verify_args *args,
           const struct ctl_flags *flags, FILE *out)
{
    struct verify_told told = {0};
    char why[200], sample[100];
    struct verify verify;
    struct ls_err err = {0};
    int status;

    if (verify_look(config, args, &verify, why, sizeof why, &status, &err) < 0)
        goto out;
    if (args->wait_s > 0)
        told.why = why;
    if (args->sample > 0) {
        snprintf(sample, sizeof sample, "%g%% of the %s, seed %" PRIu64, args->sample,
                 args->deep ? "files' contents" : "users", verify.seed);
        told.sample = sample;
    }
    status = verify_verdict(&verify);
    verify_print(&verify, &told, flags->json, out);
    if (args->html && verify_html(&verify, &told, args->html, &err) < 0)
        status = LS_EXIT_FAILURE;
    if (fflush(out) != 0 || ferror(out)) /* nobody has read it: what was done is kept */
        status = LS_EXIT_FAILURE;
out:
    if (err.kind != LS_ERR_NONE)
        ls_log_err(LS_ERROR, "verify", &err);
    /* who could not be compared whole is, by the same command again */
    verify_state_close(verify.state, (status == LS_EXIT_OK || status == LS_EXIT_DIFFERENT ||
                                      status == LS_EXIT_CARRIED) &&
                                         verify_count_when(&verify, VW_UNSEEN) == 0);
    verify_close(&verify);
    return status;
}
