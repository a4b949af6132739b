/*
 * verify, as a command.
 */
#ifndef CTL_VERIFY_COMMAND_H
#define CTL_VERIFY_COMMAND_H

#include "ctl/ctl.h"
#include <jansson.h>
#include <stdint.h>

struct verify_args {
    json_t *users, *groups; /* both empty: everybody */
    bool all, deep;
    double sample; /* percent: of the users, with `deep` of the files; 0: all */
    uint64_t seed; /* 0: a new one */
    int wait_s;    /* for the stream; 0: differences are not told apart */
    const char *resume, *html;
};
/* Takes verify's own words out of the arguments; the new argc, or -1 with *ret_why. */
int ctl_verify_arguments(int argc, char **argv, struct verify_args *ret, const char **ret_why);
void verify_args_free(struct verify_args *args);
struct verify;
/* Both sides opened and compared, and what the stream still carries told apart; `why` as in
 * verify_again. -1: *ret_status is what to exit with. verify_close in any case. */
int verify_look(const struct ls_config *config, const struct verify_args *args,
                struct verify *verify, char *why, size_t size, int *ret_status, struct ls_err *err);
int ctl_verify(const struct ls_config *config, const struct verify_args *args,
               const struct ctl_flags *flags, FILE *out);

#endif
