/*
 * What apply is told in most tests: it tries again at once, and sweeps whatever has to be swept.
 */
#ifndef LOCKSTEP_TESTS_APPLY_OPTIONS_H
#define LOCKSTEP_TESTS_APPLY_OPTIONS_H

#include "apply/core.h"

static const struct ap_options usual_options = {
    .drift_stop = true,
    .workers = 8,
    .retry_first_ms = 1,
    .retry_max_ms = 2,
    .content_tries = 3,
    .content_margin_us = 1000,
    .sweep_max_percent = 100,
    .sweep_max_items = 1000000,
    .disable_deleted = true,
};

#endif
