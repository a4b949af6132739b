/*
 * check: which ownCloud this is.
 *
 * Its version stands in a file that only its own web server reads. The database tells by the last
 * step ("migration") that its core has taken. Not each release has one, so a step stands for a span
 * of releases. Source: core/Migrations of owncloud/core, at its tags from v10.0.0 to v10.16.4.
 *
 * What can go wrong: a fork that keeps a table of the same name, with steps of another form.
 */
#include "ctl/check/check.h"
#include <string.h>

static const struct {
    const char *step, *releases;
    enum ctl_level level;
} steps[] = {
    {"20170418154659", "10.0.0", CTL_NOTE},
    {"20170516100103", "10.0.1 to 10.0.2", CTL_NOTE},
    {"20170804201253", "10.0.3", CTL_NOTE},
    {"20171026130750", "10.0.4 to 10.0.7", CTL_NOTE},
    {"20180319102121", "10.0.8 to 10.0.10", CTL_NOTE},
    {"20181113071753", "10.1", CTL_NOTE},
    {"20190125162909", "10.2 to 10.4", CTL_NOTE},
    {"20200610110817", "10.5 to 10.8", CTL_PASS},
    {"20210928123126", "10.9 to 10.11", CTL_PASS},
    {"20230210103154", "10.12 to 10.13", CTL_PASS},
    {"20240131080456", "10.14 to 10.16", CTL_PASS},
};
#define N_STEPS (sizeof steps / sizeof steps[0])
#define STEP_DIGITS 14

void
ctl_owncloud_line(const char *step, struct ctl_lines *lines)
{
    size_t i = N_STEPS;

    if (strlen(step) != STEP_DIGITS || strspn(step, "0123456789") != STEP_DIGITS ||
        strcmp(step, steps[0].step) < 0) {
        ctl_line(lines, CTL_WARN, "source",
                 "Lockstep follows ownCloud 10; upgrade an older one first, other programs it does "
                 "not know",
                 "this is not the database of an ownCloud 10: the last migration of its core is %s",
                 step[0] ? step : "not there");
        return;
    }
    while (strcmp(step, steps[i - 1].step) < 0)
        i--;
    if (i == N_STEPS && strcmp(step, steps[i - 1].step) > 0)
        ctl_line(lines, CTL_NOTE, "source",
                 "try it beside a copy first: is it in the release's notes that tables changed?",
                 "ownCloud is newer than those that this Lockstep knows (migration %s)", step);
    else
        ctl_line(lines, steps[i - 1].level, "source",
                 steps[i - 1].level == CTL_PASS
                     ? NULL
                     : "older than the releases that Lockstep was tried with (10.5, 10.16)",
                 "ownCloud %s, by the last migration of its core", steps[i - 1].releases);
}

void
check_owncloud(struct check *check)
{
    struct ls_err err = {0};
    char step[64];

    if (ctl_source_text(check->source,
                        "SELECT COALESCE(MAX(version), '') FROM {p}migrations WHERE app='core'",
                        step, sizeof step, &err) < 0)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "which ownCloud it is: %s", err.msg);
    else
        ctl_owncloud_line(step, check->lines);
}
