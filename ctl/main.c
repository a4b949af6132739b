/*
 * The admins' command: finds the subcommand, loads the configuration, runs it.
 *
 * check, status, lag and verify only read; snapshot sends a signed command to capture. Results go
 * to stdout, what went wrong goes to stderr as the daemons log it; the exit status says which it
 * was (common/err.h), so that a script needs neither.
 */
#include "common/log.h"
#include "ctl/ctl.h"
#include "ctl/dlq.h"
#include "ctl/reference.h"
#include "ctl/snapshot.h"
#include <string.h>

static const struct {
    const char *name;
    int (*run)(const struct ls_config *config, const struct ctl_flags *flags, FILE *out);
    const char *help;
} commands[] = {
    {"check", ctl_check, "is everything in place: source, Kafka, target, data directory"},
    {"status", ctl_status, "every stage: ready, behind by, open, parked, dead"},
    {"lag", ctl_lag, "how far each stage is behind, in seconds and in records"},
    {"verify", ctl_verify, "compare ownCloud 10 with oCIS, independently of the ledger"},
};

static void
usage(FILE *out)
{
    fputs("usage: lockstep COMMAND [--json] [--config FILE] [--set SECTION.KEY=VALUE]...\n\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("  snapshot start|pause|resume|cancel|status: have capture read everything, or some "
          "users,\n"
          "           again beside the stream\n"
          "  dlq list|show|retry|drop|export: what can never be applied, and why; once more, or "
          "given up\n",
          out);
    fputs(
        "\n  --json   one JSON document instead of a table\n"
        "  --watch  (status) again every second until interrupted\n"
        "  --user U (verify) only this user's tree, trash, links and what he received\n"
        "  --source (check) the source alone, and the rows that its lines are about by number\n"
        "  --all, --user U..., --storage N...  (snapshot start) what is read\n"
        "  LETTER... --cause C --stage S --topic T --user U --state S --all  (dlq) which letters\n"
        "\nexit status: 0 fine or equal, 1 failed, 2 wrong usage, 3 different, a check failed or "
        "refused,\n"
        "             4 source, 6 target, 7 Kafka, 9 data directory refused\n",
        out);
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

static int
run_snapshot(int argc, char **argv)
{
    static const char *const extra[] = {"--json", NULL};
    const char *action = NULL, *why = NULL;
    struct ls_config *config = NULL;
    struct ls_err err = {0};
    bool given[1] = {false};
    json_t *args = NULL;
    int status = LS_EXIT_USAGE, r;

    argc = ctl_snapshot_arguments(argc, argv, &action, &args, &why);
    if (argc < 0) {
        fprintf(stderr, "lockstep: %s\n", why);
        return LS_EXIT_USAGE;
    }
    r = ls_config_main(argc, argv, "lockstep", extra, given, &config, &status, &err);
    if (r < 0)
        ls_log_err(LS_ERROR, "configuration", &err);
    if (r == 0)
        status = ctl_snapshot(config, action, args, &(struct ctl_flags){.json = given[0]}, stdout);
    ls_config_free(config);
    json_decref(args);
    return r < 0 ? LS_EXIT_USAGE : status;
}

static int
run_dlq(int argc, char **argv)
{
    static const char *const extra[] = {"--json", NULL};
    struct ls_config *config = NULL;
    struct dlq_args args = {0};
    const char *why = NULL;
    struct ls_err err = {0};
    bool given[1] = {false};
    int status = LS_EXIT_USAGE, r;

    argc = ctl_dlq_arguments(argc, argv, &args, &why);
    if (argc < 0) {
        fprintf(stderr, "lockstep: %s\n", why);
        return LS_EXIT_USAGE;
    }
    r = ls_config_main(argc, argv, "lockstep", extra, given, &config, &status, &err);
    if (r < 0)
        ls_log_err(LS_ERROR, "configuration", &err);
    if (r == 0)
        status = ctl_dlq(config, &args, &(struct ctl_flags){.json = given[0]}, stdout);
    ls_config_free(config);
    dlq_args_free(&args);
    return r < 0 ? LS_EXIT_USAGE : status;
}

int
main(int argc, char **argv)
{
    static const char *const extra[] = {"--json", "--watch", "--source", NULL};
    bool given[3] = {false, false, false};
    struct ls_config *config = NULL;
    const char *user = NULL;
    struct ls_err err = {0};
    int status = LS_EXIT_USAGE, r;

    ls_log_init("lockstep", LS_WARN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? LS_EXIT_USAGE : LS_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("lockstep " LS_VERSION);
        return LS_EXIT_OK;
    }
    if (strcmp(argv[1], "reference") == 0) /* for those who change the tables; not in the usage */
        return ctl_reference(argv[2], stdout) == 0 ? LS_EXIT_OK : LS_EXIT_USAGE;
    if (strcmp(argv[1], "snapshot") == 0)
        return run_snapshot(argc - 1, argv + 1);
    if (strcmp(argv[1], "dlq") == 0)
        return run_dlq(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        argc = take_user(argc, argv, &user);
        if (argc < 0) {
            fputs("lockstep: --user wants a name\n", stderr);
            return LS_EXIT_USAGE;
        }
        r = ls_config_main(argc - 1, argv + 1, "lockstep", extra, given, &config, &status, &err);
        if (r < 0) {
            ls_log_err(LS_ERROR, "configuration", &err);
            return LS_EXIT_USAGE;
        }
        if (r == 0) {
            struct ctl_flags flags = {
                .json = given[0], .watch = given[1], .source = given[2], .user = user};
            status = commands[i].run(config, &flags, stdout);
        }
        ls_config_free(config);
        return status;
    }
    fprintf(stderr, "lockstep: no command '%s'\n", argv[1]);
    usage(stderr);
    return LS_EXIT_USAGE;
}
