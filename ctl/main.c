/*
 * The admins' command: finds the subcommand, loads the configuration, runs it.
 *
 * Most only read; snapshot sends a signed command to capture, dlq retry and drop and replay send
 * signed records. Results go to stdout, what went wrong goes to stderr as the daemons log it; the
 * exit status says which it was (common/err.h), so that a script needs neither.
 */
#include "common/log.h"
#include "ctl/ctl.h"
#include "ctl/id.h"
#include "ctl/reference.h"
#include "ctl/replay/dlq.h"
#include "ctl/replay/repair.h"
#include "ctl/replay/replay.h"
#include "ctl/snapshot.h"
#include "ctl/usage.h"
#include "ctl/verify/verify_command.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(const struct ls_config *config, const struct ctl_flags *flags, FILE *out);
} commands[] = {
    {"check", ctl_check},
    {"status", ctl_status},
    {"lag", ctl_lag},
};

/* `lockstep COMMAND ... --help`, before anything else is looked at. */
static bool
asks_for_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

static int
help(const char *command)
{
    if (!command)
        ctl_help(stdout);
    else if (ctl_help_of(command, stdout) < 0) {
        fprintf(stderr, "lockstep: no command '%s'\n", command);
        return LS_EXIT_USAGE;
    }
    return LS_EXIT_OK;
}

/* Takes "--user U" out of the arguments; the other options are ls_config_main's. Returns the new
 * argc, or -1 for a --user without a name. */
static int
take_user(int argc, char **argv, const char **ret)
{
    int n = 0;

    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--user=", 7) == 0) {
            *ret = argv[i] + 7;
        } else if (strcmp(argv[i], "--user") == 0) {
            if (i + 1 == argc)
                return -1;
            *ret = argv[++i];
        } else {
            argv[n++] = argv[i];
        }
    }
    argv[n] = NULL;
    return n;
}

/* The configuration that the arguments name, and which of the flags `extra` are given. False: there
 * is nothing to run, and *ret_status is what to end with. Free the configuration either way. */
static bool
configured(int argc, char **argv, const char *const *extra, bool *given, struct ls_config **ret,
           int *ret_status)
{
    struct ls_err err = {0};
    int r = ls_config_main(argc, argv, "lockstep", extra, given, ret, ret_status, &err);

    if (r < 0)
        ls_log_err(LS_ERROR, "configuration", &err);
    return r == 0;
}

static int
wrong_usage(const char *why)
{
    fprintf(stderr, "lockstep: %s\n", why);
    return LS_EXIT_USAGE;
}

static const char *const only_json[] = {"--json", NULL};

static int
run_snapshot(int argc, char **argv)
{
    static const char *const extra[] = {"--json", "--watch", NULL};
    const char *action = NULL, *why = NULL;
    struct ls_config *config = NULL;
    bool given[2] = {false, false};
    json_t *args = NULL;
    int status = LS_EXIT_USAGE;

    argc = ctl_snapshot_arguments(argc, argv, &action, &args, &why);
    if (argc < 0)
        return wrong_usage(why);
    if (configured(argc, argv, extra, given, &config, &status))
        status = ctl_snapshot(config, action, args,
                              &(struct ctl_flags){.json = given[0], .watch = given[1]}, stdout);
    ls_config_free(config);
    json_decref(args);
    return status;
}

static int
run_dlq(int argc, char **argv)
{
    struct ls_config *config = NULL;
    struct dlq_args args = {0};
    const char *why = NULL;
    bool json = false;
    int status = LS_EXIT_USAGE;

    argc = ctl_dlq_arguments(argc, argv, &args, &why);
    if (argc < 0)
        return wrong_usage(why);
    if (configured(argc, argv, only_json, &json, &config, &status))
        status = ctl_dlq(config, &args, &(struct ctl_flags){.json = json}, stdout);
    ls_config_free(config);
    dlq_args_free(&args);
    return status;
}

static int
run_verify(int argc, char **argv)
{
    struct ls_config *config = NULL;
    struct verify_args args = {0};
    const char *why = NULL;
    bool json = false;
    int status = LS_EXIT_USAGE;

    argc = ctl_verify_arguments(argc, argv, &args, &why);
    if (argc < 0)
        return wrong_usage(why);
    if (configured(argc, argv, only_json, &json, &config, &status))
        status = ctl_verify(config, &args, &(struct ctl_flags){.json = json}, stdout);
    ls_config_free(config);
    verify_args_free(&args);
    return status;
}

static int
run_replay(int argc, char **argv)
{
    struct ls_config *config = NULL;
    struct replay_args args = {0};
    const char *why = NULL;
    bool json = false;
    int status = LS_EXIT_USAGE;

    argc = ctl_replay_arguments(argc, argv, &args, &why);
    if (argc < 0)
        return wrong_usage(why);
    if (configured(argc, argv, only_json, &json, &config, &status))
        status = ctl_replay(config, &args, &(struct ctl_flags){.json = json}, stdout);
    ls_config_free(config);
    return status;
}

static int
run_repair(int argc, char **argv)
{
    struct ls_config *config = NULL;
    struct repair_args args = {0};
    const char *why = NULL;
    bool json = false;
    int status = LS_EXIT_USAGE;

    argc = ctl_repair_arguments(argc, argv, &args, &why);
    if (argc < 0)
        return wrong_usage(why);
    if (configured(argc, argv, only_json, &json, &config, &status))
        status = ctl_repair(config, &args, &(struct ctl_flags){.json = json}, stdout);
    ls_config_free(config);
    repair_args_free(&args);
    return status;
}

/* Takes the number out of the arguments: 0 when there is none. */
static int64_t
take_number(int *argc, char **argv)
{
    static const char *const with_value[] = {"--config", "--set", "--log-level"};
    int64_t number = 0;
    int n = 1;

    for (int i = 1; i < *argc; i++) {
        bool value = false;

        for (size_t w = 0; w < sizeof with_value / sizeof with_value[0]; w++)
            value |= strcmp(argv[i - 1], with_value[w]) == 0;
        if (!value && number == 0 && argv[i][0] && strspn(argv[i], "0123456789") == strlen(argv[i]))
            number = strtoll(argv[i], NULL, 10);
        else
            argv[n++] = argv[i];
    }
    argv[n] = NULL;
    *argc = n;
    return number;
}

static int
run_id(int argc, char **argv)
{
    int64_t fileid = take_number(&argc, argv);
    struct ls_config *config = NULL;
    bool json = false;
    int status = LS_EXIT_USAGE;

    if (configured(argc, argv, only_json, &json, &config, &status))
        status = fileid > 0 ? ctl_id(config, fileid, &(struct ctl_flags){.json = json}, stdout)
                            : wrong_usage("id wants a file's number");
    ls_config_free(config);
    return status;
}

static int
run(int argc, char **argv)
{
    static const char *const extra[] = {"--json",   "--watch", "--source", "--kafka",
                                        "--target", "--data",  NULL};
    bool given[6] = {false};
    struct ls_config *config = NULL;
    const char *user = NULL;
    int status = LS_EXIT_USAGE;

    ls_log_init("lockstep", LS_WARN);
    if (argc < 2) {
        ctl_help(stderr);
        return LS_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return help(argv[2]);
    if (strcmp(argv[1], "--version") == 0) {
        puts("lockstep " LS_VERSION);
        return LS_EXIT_OK;
    }
    /* for those who change the tables, and for `make`; not in the help */
    if (strcmp(argv[1], "reference") == 0)
        return ctl_reference(argv[2], stdout) == 0 ? LS_EXIT_OK : LS_EXIT_USAGE;
    if (asks_for_help(argc, argv) && ctl_help_of(argv[1], stdout) == 0)
        return LS_EXIT_OK;
    if (strcmp(argv[1], "snapshot") == 0)
        return run_snapshot(argc - 1, argv + 1);
    if (strcmp(argv[1], "id") == 0)
        return run_id(argc - 1, argv + 1);
    if (strcmp(argv[1], "dlq") == 0)
        return run_dlq(argc - 1, argv + 1);
    if (strcmp(argv[1], "verify") == 0)
        return run_verify(argc - 1, argv + 1);
    if (strcmp(argv[1], "replay") == 0)
        return run_replay(argc - 1, argv + 1);
    if (strcmp(argv[1], "repair") == 0)
        return run_repair(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        argc = take_user(argc, argv, &user);
        if (argc < 0)
            return wrong_usage("--user wants a name");
        if (configured(argc - 1, argv + 1, extra, given, &config, &status)) {
            struct ctl_flags flags = {
                .json = given[0],
                .watch = given[1],
                .source = given[2],
                .kafka = given[3],
                .target = given[4],
                .data = given[5],
                .user = user,
            };
            status = commands[i].run(config, &flags, stdout);
        }
        ls_config_free(config);
        return status;
    }
    fprintf(stderr, "lockstep: no command '%s'\n", argv[1]);
    ctl_help(stderr);
    return LS_EXIT_USAGE;
}

/* What looks at the side that an exit status is about. */
static void
hint(const char *command, int status)
{
    static const char *const parts[] = {[LS_EXIT_SOURCE] = "source",
                                        [LS_EXIT_TARGET] = "target",
                                        [LS_EXIT_KAFKA] = "kafka",
                                        [LS_EXIT_DATA] = "data"};

    if (status >= 0 && (size_t)status < sizeof parts / sizeof parts[0] && parts[status] &&
        strcmp(command, "check") != 0)
        fprintf(stderr, "lockstep: what is wrong there, says `lockstep check --%s`\n",
                parts[status]);
}

/* A report that did not arrive whole, as on a full disk, is none. */
int
main(int argc, char **argv)
{
    char command[32];
    int status;

    snprintf(command, sizeof command, "%s", argc > 1 ? argv[1] : "");
    status = run(argc, argv);
    hint(command, status);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "lockstep: the output could not be written: %s\n", strerror(errno));
    return status == LS_EXIT_OK || status == LS_EXIT_DIFFERENT || status == LS_EXIT_CARRIED ||
                   status == LS_EXIT_UNSEEN
               ? LS_EXIT_FAILURE
               : status;
}
