/*
 * `lockstep dlq list|show|retry|drop|export`: dead letters looked at, sent again, given up.
 */
#ifndef CTL_DLQ_H
#define CTL_DLQ_H

#include "ctl/ctl.h"
#include "ctl/replay/letters.h"

struct dlq_args {
    const char *action; /* "list", ... */
    struct letter_filter filter;
    const char *reason; /* drop */
    bool all, yes, secrets;
};
/* Takes its words and options out of the arguments behind the command's name. Returns the new
 * argc, or -1 and *ret_why for what makes no sense. dlq_args_free what it made. */
int ctl_dlq_arguments(int argc, char **argv, struct dlq_args *ret, const char **ret_why);
void dlq_args_free(struct dlq_args *args);
int ctl_dlq(const struct ls_config *config, const struct dlq_args *args,
            const struct ctl_flags *flags, FILE *out);

/* One letter with its record, as `show` and `export` give it. */
json_t *dlq_letter_json(const struct letter *letter, bool secrets, struct ls_arena *arena);

/* dlq_send.c: retry and drop. */
int dlq_send(const struct ls_config *config, const struct letters *letters,
             const struct dlq_args *args, const struct ctl_flags *flags, FILE *out);
bool dlq_can_retry(const struct letter *letter);

#endif
