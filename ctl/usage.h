/*
 * What the command understands, as one table: its help, its manual page and the shells' completion
 * are printed from it, and a test holds it against what the parsers take.
 */
#ifndef CTL_USAGE_H
#define CTL_USAGE_H

#include <stdio.h>

struct ctl_option_help {
    const char *name;  /* "--user" */
    const char *value; /* "U"; NULL: it takes none */
    const char *help;
};

/* Not the tables of what is parsed: those are at the commands. */
struct ctl_command_help {
    const char *name;
    const char *words;   /* "start pause": the first argument is one of these; NULL: none */
    const char *rest;    /* what else may follow, for the synopsis; NULL: nothing */
    const char *summary; /* half a line */
    const char *text; /* the manual's paragraphs; a line that begins with a blank is an example */
    struct ctl_option_help options[12]; /* besides those that all have */
};

extern const struct ctl_command_help ctl_commands[];       /* ends with a NULL name */
extern const struct ctl_option_help ctl_options_of_all[];  /* ends with a NULL name */
extern const struct ctl_option_help ctl_options_daemons[]; /* of the daemons; the same */

/* A screen of 24 lines; and one command's, -1 when there is no such command. */
void ctl_help(FILE *out);
int ctl_help_of(const char *command, FILE *out);

#endif
