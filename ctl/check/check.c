/*
 * The pre-flight: may Lockstep run here?
 *
 * Each line is pass, note, warn or fail, with what to do. It must be able to say something useful
 * when half of it is down, so every part is tried on its own and a failure of one is a line, not
 * an end. Nothing is written anywhere. A warning is something that will be handled but that the
 * admin should know; a failure is something that stops the migration or would lose something; a
 * note is a setting that cannot be asked for.
 */
#include "ctl/check/check.h"
#include "ctl/ctl.h"
#include <stdlib.h>
#include <string.h>

#define SECONDS 10 /* for one query */

long long
check_count(struct check *check, const char *what, const char *sql)
{
    char value[64];
    struct ls_err err = {0};

    if (!check->source)
        return -1;
    if (ctl_source_text(check->source, sql, value, sizeof value, &err) == 0)
        return value[0] ? strtoll(value, NULL, 10) : 0;
    if (strcmp(err.cause, "too-slow") == 0)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "%s: not counted within %d s", what,
                 SECONDS);
    else
        ctl_line(check->lines, CTL_WARN, "source", NULL, "%s: %s", what, err.msg);
    return -1;
}

int
ctl_check(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    bool all = !flags->source && !flags->kafka && !flags->target && !flags->data;
    struct check check = {.config = config, .lines = ctl_lines_new()};
    struct ls_err err = {0};
    int status;

    if (!check.lines)
        return LS_EXIT_FAILURE;
    /* Kafka alone is looked at without the source; the other parts ask it for numbers */
    if ((all || flags->source || flags->target || flags->data) &&
        ctl_source_open(config, &check.source, &err) < 0) {
        ctl_line(check.lines, CTL_FAIL, "source",
                 strcmp(err.cause, "sign-in") == 0
                     ? "check [source] user, password and database, and that the user may connect "
                       "from here"
                     : "check [source] host and port, and that the server runs",
                 "%s", err.msg);
    } else if (check.source) {
        ctl_source_limit(check.source, SECONDS);
        if (all || flags->source)
            check_source(&check);
        if (flags->source)
            check_source_rows(&check);
    }
    if (all || flags->kafka)
        check_kafka(&check);
    if (all || flags->target)
        check_target(&check);
    if (all || flags->data)
        check_data(&check);
    ctl_lines_print(check.lines, flags->json, out);
    status = ctl_lines_count(check.lines, CTL_FAIL) ? LS_EXIT_DIFFERENT : LS_EXIT_OK;
    ctl_source_close(check.source);
    ctl_lines_free(check.lines);
    return status;
}
