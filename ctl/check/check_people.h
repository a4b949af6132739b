/*
 * check_people.c: whom oCIS has for users and groups of ownCloud's LDAP.
 */
#ifndef CTL_CHECK_PEOPLE_H
#define CTL_CHECK_PEOPLE_H

#include "apply/cs3/graph.h"
#include "ctl/check/check.h"

/* What is known of those who were looked up. */
struct ctl_people {
    bool groups; /* else users */
    int n, by_name, by_id;
    char missing[400]; /* some who were not found as apply looks for them, by name */
};

void check_people(struct check *check, struct ap_graph *graph);
/* The source does not tell; `users`: how many of LDAP it has, as text, "" for not known. */
void ctl_people_denied(bool groups, const struct ls_err *why, const char *users,
                       struct ctl_lines *lines);
void ctl_people_line(const struct ctl_people *people, bool wanted_by_id, struct ctl_lines *lines);

#endif
