/*
 * `lockstep snapshot start|pause|resume|cancel|status`.
 */
#ifndef CTL_SNAPSHOT_H
#define CTL_SNAPSHOT_H

#include "common/config.h"
#include "ctl/ctl.h"
#include <jansson.h>
#include <stdio.h>

/*
 * Takes its words and options (--user U, --storage N, --all) out of the arguments behind the
 * command's name, into *ret_action and *ret_args (an object). Returns the new argc, or -1 and why,
 * a sentence, for what makes no sense.
 */
int ctl_snapshot_arguments(int argc, char **argv, const char **ret_action, json_t **ret_args,
                           const char **ret_why);
/* Sends the command and waits for its answer, or prints the progress. */
int ctl_snapshot(const struct ls_config *config, const char *action, json_t *args,
                 const struct ctl_flags *flags, FILE *out);

#endif
