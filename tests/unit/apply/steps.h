/*
 * The transactions of a ledger in a test: each step succeeds, or the test ends with what was said.
 * cmocka.h comes before.
 */
#ifndef LOCKSTEP_TESTS_APPLY_STEPS_H
#define LOCKSTEP_TESTS_APPLY_STEPS_H

#include "apply/ledger/ledger.h"

static inline void
ledger_begin(struct ap_ledger *ledger)
{
    struct ls_err err = {0};

    if (ap_ledger_begin(ledger, &err) < 0)
        fail_msg("begin: %s", err.msg);
}

static inline void
ledger_commit(struct ap_ledger *ledger)
{
    struct ls_err err = {0};

    if (ap_ledger_commit(ledger, &err) < 0)
        fail_msg("commit: %s", err.msg);
}

#endif
