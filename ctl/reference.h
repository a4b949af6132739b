/*
 * The reference pages of docs/, printed from the tables that the programs themselves use.
 */
#ifndef CTL_REFERENCE_H
#define CTL_REFERENCE_H

#include <stdio.h>

/* "configuration", "metrics" or "columns", or one of ctl/manual.h; -1 for another page. */
int ctl_reference(const char *page, FILE *out);

#endif
