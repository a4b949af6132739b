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
    char missing[400];     /* some who were not found as apply looks for them, by name */
    int not_asked;         /* whom oCIS gave no answer about, */
    char troubled[256];    /* the first of them, */
    struct ls_err trouble; /* and what it said instead */
};
/* Those whom the mappings give no id. */
struct ctl_unmapped {
    bool groups; /* else users */
    size_t n;
    char names[600]; /* of the first */
};

/* `graph` NULL: it does not answer, another line says so. */
void check_people(struct check *check, struct ap_graph *graph);
/* The source does not tell; `users`: how many of LDAP it has, as text, "" for not known. */
void ctl_people_denied(bool groups, const struct ls_err *why, const char *users,
                       struct ctl_lines *lines);
void ctl_people_line(const struct ctl_people *people, bool wanted_by_id, struct ctl_lines *lines);
/* Nothing when all were answered for; when all are mapped. */
void ctl_people_trouble(const struct ctl_people *people, struct ctl_lines *lines);
void ctl_people_unmapped(const struct ctl_unmapped *them, struct ctl_lines *lines);

#endif
