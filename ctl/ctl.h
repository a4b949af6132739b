/*
 * What the parts of the command share: how each is called, and how it prints.
 */
#ifndef CTL_H
#define CTL_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stdio.h>

struct ctl_flags {
    bool json;                /* --json: one JSON document on stdout */
    bool watch;               /* --watch: again and again until interrupted */
    bool source;              /* --source: check the source, and name what it finds */
    bool kafka, target, data; /* --kafka ...: check this part; without any of the four: all */
    const char *user;         /* --user U; NULL: all */
};

/* Each prints to `out` and returns the exit status (enum ls_exit). */
int ctl_check(const struct ls_config *config, const struct ctl_flags *flags, FILE *out);
int ctl_status(const struct ls_config *config, const struct ctl_flags *flags, FILE *out);
int ctl_lag(const struct ls_config *config, const struct ctl_flags *flags, FILE *out);

/* The value of "--name V" or "--name=V" at argv[*i]; "" when it is missing, NULL when it is another
 * argument. */
const char *ctl_option(int argc, char **argv, int *i, const char *name);
/* Before a report that is printed again and again: on a terminal in the place of the last one. */
void ctl_redraw(FILE *out);
/* Between two looks of --watch: false when what went wrong in the last one stays wrong. What may
 * pass, as a broker that is restarted, does not end it: what was seen last stands above the error.
 */
bool ctl_again(const struct ls_err *err);
/* Asks on the terminal, unless `yes`; false without one. */
bool ctl_confirm(const char *question, bool yes);

/* Whether apply writes shares and links with their ids, times and secrets ([apply] shares). */
bool ctl_writes_exact(const struct ls_config *config);

#endif
