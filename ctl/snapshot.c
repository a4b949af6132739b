/*
 * Snapshots on command: signs, sends, and waits for what capture answers. The members of a group
 * are asked from the source here; capture knows users and storages only.
 *
 * The answer stands in capture's status document, by the command's id. What can go wrong: nobody
 * answers (capture is down, stands by, or has another key and keeps silent: the deadline says so);
 * the command is refused (printed, with why); the clocks differ (refused as stale).
 */
#include "ctl/snapshot.h"
#include "common/control.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include "ctl/source.h"
#include "ctl/status.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 30000
#define STAGE "capture"
#define USERS_MOST 64 /* as capture takes them (capture/command.c) */
#define BAR 40

static bool
is_action(const char *word)
{
    static const char *const actions[] = {"start", "pause", "resume", "cancel", "status"};

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (!strcmp(word, actions[i]))
            return true;
    return false;
}

static json_t *
list_of(json_t *args, const char *key)
{
    json_t *list = json_object_get(args, key);

    if (!list) {
        list = json_array();
        json_object_set_new(args, key, list);
    }
    return list;
}

int
ctl_snapshot_arguments(int argc, char **argv, const char **ret_action, json_t **ret_args,
                       const char **ret_why)
{
    json_t *args = json_object();
    const char *action = NULL, *why = NULL, *value;
    char *end;
    int n = 1;

    for (int i = 1; i < argc && !why; i++) {
        if ((value = ctl_option(argc, argv, &i, "--user"))) {
            if (!*value || json_array_append_new(list_of(args, "users"), json_string(value)) < 0)
                why = "--user wants a name";
        } else if ((value = ctl_option(argc, argv, &i, "--group"))) {
            if (!*value || json_array_append_new(list_of(args, "groups"), json_string(value)) < 0)
                why = "--group wants a name";
        } else if ((value = ctl_option(argc, argv, &i, "--storage"))) {
            errno = 0;
            long long storage = strtoll(value, &end, 10);
            if (!*value || *end || errno)
                why = "--storage wants a number";
            else
                json_array_append_new(list_of(args, "storages"), json_integer(storage));
        } else if (!strcmp(argv[i], "--all")) {
            json_object_set_new(args, "all", json_true());
        } else if (!action && is_action(argv[i])) {
            action = argv[i];
        } else {
            argv[n++] = argv[i];
        }
    }
    if (!why && !action)
        why = "snapshot wants start, pause, resume, cancel or status";
    else if (!why && strcmp(action, "start") != 0 && json_object_size(args) > 0)
        why = "--all, --user, --group and --storage are for start";
    else if (!why && !strcmp(action, "start") &&
             (json_object_size(args) == 0 ||
              (json_object_get(args, "all") && json_object_size(args) > 1)))
        why = "start wants either --all, or some --user, --group and --storage";
    if (why) {
        json_decref(args);
        *ret_why = why;
        return -1;
    }
    argv[n] = NULL;
    *ret_action = action;
    *ret_args = args;
    return n;
}

/* ---- what capture says */

struct look {
    const char *id; /* NULL: none is wanted */
    json_t *answer; /* to `id` */
    json_t *newest; /* the youngest document of a capture */
};

static int
take_status(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct look *look = arg;
    json_t *document, *answers, *answer;
    size_t i;

    (void)err;
    if (!message->key.p || message->key.n < sizeof STAGE ||
        memcmp(message->key.p, STAGE "/", sizeof STAGE) != 0 || !message->value.p)
        return 0;
    document = json_loadb(message->value.p, message->value.n, 0, NULL);
    answers = json_object_get(json_object_get(document, "control"), "answers");
    json_array_foreach(answers, i, answer)
    {
        const char *id = json_string_value(json_object_get(answer, "id"));
        if (look->id && id && !strcmp(id, look->id)) {
            json_decref(look->answer);
            look->answer = json_incref(answer);
        }
    }
    if (json_is_object(document) &&
        (!look->newest || json_integer_value(json_object_get(document, "time_us")) >=
                              json_integer_value(json_object_get(look->newest, "time_us")))) {
        json_decref(look->newest);
        look->newest = json_incref(document);
    }
    json_decref(document);
    return 0;
}

static int
look_once(const struct ls_config *config, struct look *look, struct ls_err *err)
{
    if (ls_topic_read(config, ls_config_topic(config, "status"), take_status, look, err) < 0) {
        ls_log_err(LS_ERROR, "snapshot", err);
        return LS_EXIT_KAFKA;
    }
    return LS_EXIT_OK;
}

static void
print_json(const json_t *json, FILE *out)
{
    json_dumpf(json, out, JSON_SORT_KEYS | JSON_INDENT(2));
    fputc('\n', out);
}

static void
print_bar(json_int_t rows, json_int_t estimate, FILE *out)
{
    int done = estimate > 0 && rows > 0 ? (int)((double)rows / (double)estimate * BAR) : 0;

    if (done > BAR)
        done = BAR; /* the estimate is the server's, and rough */
    fputc('[', out);
    for (int i = 0; i < BAR; i++)
        fputc(i < done ? '#' : '.', out);
    fprintf(out, "] %d%%\n", done * 100 / BAR);
}

/* Nothing when it cannot be read: the snapshot's own state was. */
static void
print_sweeps(const struct ls_config *config, FILE *out)
{
    json_t *stages = NULL;
    struct ls_err err = {0};

    if (ctl_status_load(config, &stages, &err) < 0) {
        ls_log_err(LS_WARN, "sweeps", &err);
        return;
    }
    ctl_sweeps_print(stages, out);
    json_decref(stages);
}

/* As the text has them: apply's own words on each sweep that waits. */
static void
add_sweeps(const struct ls_config *config, json_t *snapshot)
{
    json_t *stages = NULL, *all = json_array(), *document;
    struct ls_err err = {0};
    const char *key;

    if (ctl_status_load(config, &stages, &err) < 0)
        ls_log_err(LS_WARN, "sweeps", &err);
    json_object_foreach(stages, key, document)
    {
        json_array_extend(all, json_object_get(document, "sweeps"));
    }
    json_object_set_new(snapshot, "sweeps", all);
    json_decref(stages);
}

/* 0: it speaks. */
static int64_t
silent_for_s(const json_t *document)
{
    int64_t age = ls_now_us() - json_integer_value(json_object_get(document, "time_us"));

    return age > CTL_STALE_US ? age / 1000000 : 0;
}

static int
show_once(const struct ls_config *config, const struct ctl_flags *flags, FILE *out,
          struct ls_err *err)
{
    struct look look = {0};
    json_t *s;
    json_int_t eta;
    int64_t silent_s;
    int r = look_once(config, &look, err);

    s = json_object_get(look.newest, "snapshot");
    silent_s = s ? silent_for_s(look.newest) : 0;
    if (silent_s > 0) {
        json_object_set_new(s, "silent_s", json_integer(silent_s));
        json_object_set_new(s, "eta_s", json_integer(-1));
    }
    if (r == LS_EXIT_OK && flags->watch)
        ctl_redraw(out);
    if (r == LS_EXIT_OK && !s) {
        fputs("lockstep: no capture has written a status yet\n", stderr);
        r = LS_EXIT_DIFFERENT;
    } else if (r == LS_EXIT_OK && flags->json) {
        add_sweeps(config, s);
        print_json(s, out);
    } else if (r == LS_EXIT_OK) {
        const char *waits = json_string_value(json_object_get(s, "waits"));
        eta = json_integer_value(json_object_get(s, "eta_s"));
        fprintf(out, "snapshot: %s\n", json_string_value(json_object_get(s, "state")));
        fprintf(out, "rows: %" JSON_INTEGER_FORMAT " of about %" JSON_INTEGER_FORMAT ", %.0f/s, ",
                json_integer_value(json_object_get(s, "rows")),
                json_integer_value(json_object_get(s, "estimate")),
                json_real_value(json_object_get(s, "rate")));
        if (eta >= 0)
            fprintf(out, "%" JSON_INTEGER_FORMAT " s left\n", eta);
        else
            fputs("time left not known\n", out);
        if (waits && *waits)
            fprintf(out, "waits %s\n", waits);
        print_bar(json_integer_value(json_object_get(s, "rows")),
                  json_integer_value(json_object_get(s, "estimate")), out);
        print_sweeps(config, out);
    }
    if (silent_s > 0 && r == LS_EXIT_OK) {
        if (!flags->json)
            fprintf(out, "capture has been silent for %" PRId64 " s: that is its last word\n",
                    silent_s);
        r = LS_EXIT_DIFFERENT;
    }
    json_decref(look.newest);
    return r;
}

static int
show(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    struct ls_err err;
    int r;

    do {
        err = (struct ls_err){0};
        r = show_once(config, flags, out, &err);
        fflush(out);
    } while (flags->watch && ctl_again(&err));
    return r;
}

/* ---- groups */

struct members {
    json_t *groups, *users;
    size_t n;
};

static bool
has_text(const json_t *array, struct ls_str text)
{
    json_t *each;
    size_t i;

    json_array_foreach(array, i, each)
    {
        if (json_string_length(each) == text.n &&
            memcmp(json_string_value(each), text.p, text.n) == 0)
            return true;
    }
    return false;
}

static int
take_member(void *arg, const struct ls_str *c, size_t n)
{
    struct members *members = arg;

    if (n < 2 || !c[0].p || !c[1].p || !has_text(members->groups, c[0]))
        return 0;
    members->n++;
    if (!has_text(members->users, c[1]))
        json_array_append_new(members->users, json_stringn(c[1].p, c[1].n));
    return json_array_size(members->users) > USERS_MOST; /* enough to refuse it */
}

/* Puts the members in the place of the groups. An exit status. */
static int
groups_to_users(const struct ls_config *config, json_t *args)
{
    struct members members = {.groups = json_object_get(args, "groups")};
    struct ctl_source *source = NULL;
    struct ls_err err = {0};
    int r = LS_EXIT_OK;

    if (!members.groups)
        return LS_EXIT_OK;
    members.users = list_of(args, "users");
    if (ctl_source_open(config, &source, &err) < 0 ||
        ctl_source_each(source, "SELECT gid, uid FROM {p}group_user", take_member, &members, &err) <
            0) {
        ls_log_err(LS_ERROR, "snapshot", &err);
        r = LS_EXIT_SOURCE;
    } else if (members.n == 0) {
        fputs("lockstep: nobody is in that group at the source\n", stderr);
        r = LS_EXIT_USAGE;
    } else if (json_array_size(members.users) > USERS_MOST) {
        fprintf(
            stderr,
            "lockstep: a snapshot is of %d users at most, or of everybody: the group has more\n",
            USERS_MOST);
        r = LS_EXIT_USAGE;
    }
    ctl_source_close(source);
    json_object_del(args, "groups");
    return r;
}

/* ---- commands */

static int
send_command(const struct ls_config *config, struct ls_str key, const struct ls_command *command,
             struct ls_err *err)
{
    char *value = NULL, signature[LS_CONTROL_HEX];
    struct ls_producer *producer = NULL;
    struct ls_header header = {LS_CONTROL_SIGNATURE, LS_STR_NULL};
    int r = -1;

    if (ls_control_write(key, ls_str_of(ls_config_str(config, "lockstep", "prefix")), command,
                         &value, signature, err) < 0)
        return -1;
    header.value = ls_str_of(signature);
    if (ls_producer_new(config, NULL, &producer, err) < 0 ||
        ls_producer_send(producer, ls_config_topic(config, LS_CONTROL_TOPIC), 0, LS_STR(STAGE),
                         ls_str_of(value), &header, 1, err) < 0 ||
        ls_producer_flush(producer, ANSWER_MS, err) < 0)
        goto out;
    r = 0;
out:
    ls_producer_free(producer);
    free(value);
    return r;
}

static int
wait_answer(const struct ls_config *config, const char *id, const struct ctl_flags *flags,
            FILE *out)
{
    int64_t until = ls_mono_ms() + ANSWER_MS;
    struct look look = {.id = id};
    struct ls_err err = {0};
    int r = LS_EXIT_OK;

    /* The command is on its way: what may pass does not end the wait for its answer. */
    while (!look.answer && err.kind <= LS_ERR_RETRY && ls_mono_ms() < until) {
        err = (struct ls_err){0};
        r = look_once(config, &look, &err);
        if (!look.answer)
            ls_run_sleep_ms(200);
    }
    if (r == LS_EXIT_OK && !look.answer) {
        fprintf(stderr, "lockstep: no answer within %d s: is capture running, with the same key?\n",
                ANSWER_MS / 1000);
        r = LS_EXIT_FAILURE;
    } else if (r == LS_EXIT_OK) {
        bool accepted = json_is_true(json_object_get(look.answer, "accepted"));
        if (flags->json)
            print_json(look.answer, out);
        else if (accepted)
            fputs("accepted\n", out);
        else
            fprintf(out, "refused (%s): %s\n",
                    json_string_value(json_object_get(look.answer, "cause")),
                    json_string_value(json_object_get(look.answer, "why")));
        r = accepted ? LS_EXIT_OK : LS_EXIT_DIFFERENT;
    }
    json_decref(look.answer);
    json_decref(look.newest);
    return r;
}

int
ctl_snapshot(const struct ls_config *config, const char *action, json_t *args,
             const struct ctl_flags *flags, FILE *out)
{
    struct ls_command command = {0};
    struct ls_err err = {0};
    struct ls_str key;
    char name[32];
    int r;

    if (!strcmp(action, "status"))
        return show(config, flags, out);
    (void)snprintf(name, sizeof name, "snapshot-%s", action);
    if (ls_control_key(config, &key, &err) < 0) {
        ls_log_err(LS_ERROR, "snapshot", &err);
        return LS_EXIT_USAGE;
    }
    if (!key.p) {
        fputs("lockstep: commands are signed: set control.key_file, here and for capture\n",
              stderr);
        return LS_EXIT_USAGE;
    }
    r = groups_to_users(config, args);
    if (r != LS_EXIT_OK)
        return r;
    if (ls_command_new(STAGE, name, json_incref(args), &command, &err) < 0 ||
        send_command(config, key, &command, &err) < 0) {
        ls_log_err(LS_ERROR, "snapshot", &err);
        r = LS_EXIT_KAFKA;
    } else {
        r = wait_answer(config, command.id, flags, out);
    }
    ls_command_free(&command);
    return r;
}
