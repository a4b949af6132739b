/*
 * Capture's life: the one place with policy.
 */
#ifndef CAP_LOOP_H
#define CAP_LOOP_H

#include "common/config.h"
#include <stdbool.h>

/* Runs until a signal or a FATAL failure; returns the exit status (enum ls_exit). */
int cap_run(const struct ls_config *config, bool new_snapshot);

#endif
