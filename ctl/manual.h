/*
 * Manual pages in scdoc and the shells' completion, printed from the tables.
 */
#ifndef CTL_MANUAL_H
#define CTL_MANUAL_H

#include <stdio.h>

/* "lockstep.1" (the tables' part of that page), "lockstep.conf.5", "bash" or "zsh"; -1 for others.
 */
int ctl_manual(const char *page, FILE *out);

#endif
