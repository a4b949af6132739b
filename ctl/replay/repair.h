/*
 * `lockstep repair`: what verify finds of some users, brought into step.
 */
#ifndef CTL_REPAIR_H
#define CTL_REPAIR_H

#include "common/kafka.h"
#include "ctl/verify/verify.h"
#include "ctl/verify/verify_command.h"

struct repair_args {
    struct verify_args verify;
    bool dry_run, yes;
};
/* Takes its options out of the arguments. Returns the new argc, or -1 and *ret_why. */
int ctl_repair_arguments(int argc, char **argv, struct repair_args *ret, const char **ret_why);
void repair_args_free(struct repair_args *args);
int ctl_repair(const struct ls_config *config, const struct repair_args *args,
               const struct ctl_flags *flags, FILE *out);

/* What is to be sent again for a list of differences. */
struct repair_plan;
struct repair_plan *repair_plan_new(const struct verify_list *differences); /* NULL: no memory */
void repair_plan_free(struct repair_plan *plan);                            /* NULL is fine */
/* By the records' keys, topic "cs3.resource" or "cs3.share". */
bool repair_plan_has(const struct repair_plan *plan, const char *topic, struct ls_str key);
/* Something of that user differs. */
bool repair_plan_has_user(const struct repair_plan *plan, const char *user);
/* A share of that file differs: all of them are compared. */
bool repair_plan_has_shares_of(const struct repair_plan *plan, int64_t fileid);
/* A record of it was seen; topic "user" for that of an account. */
void repair_plan_found(struct repair_plan *plan, const char *topic, struct ls_str key);
/* Of how much that shall be sent again no record was seen: only a snapshot brings it. */
size_t repair_plan_absent(const struct repair_plan *plan);
/* How many differences the source has a row for, are on their way, are the target's alone. */
struct repair_counts {
    size_t again, carried, unseen, foreign;
};
struct repair_counts repair_plan_counts(const struct repair_plan *plan);

#endif
