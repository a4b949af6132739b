/*
 * check_people.c: whom oCIS has for users of ownCloud's LDAP.
 */
#ifndef CTL_CHECK_PEOPLE_H
#define CTL_CHECK_PEOPLE_H

#include "apply/graph.h"
#include "ctl/check.h"

void check_people(struct check *check, struct ap_graph *graph);
/* Of `n` that were looked up so many were found by each. */
void ctl_people_line(int n, int by_name, int by_id, bool wanted_by_id, struct ctl_lines *lines);

#endif
