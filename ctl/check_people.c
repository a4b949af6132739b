/*
 * check: users of ownCloud's LDAP, and whom oCIS has for them.
 *
 * The first few are looked up in oCIS by their name and by the id of their mapping. Somebody found
 * by his name whose id in the directory is another user's there is not him. Only a sample: each
 * costs two requests, and a wrong setting shows with the first.
 */
#include "ctl/check_people.h"
#include "ctl/check.h"
#include <stdio.h>
#include <string.h>

enum { SAMPLE = 20 };

struct sampled {
    char uid[256], uuid[256];
};
struct sample {
    struct sampled users[SAMPLE];
    int n;
};

static int
take_user(void *arg, const struct ls_str *c, size_t n)
{
    struct sample *sample = arg;
    struct sampled *user = &sample->users[sample->n];

    if (n < 2 || !c[0].p || !c[1].p || c[0].n >= sizeof user->uid || c[1].n >= sizeof user->uuid ||
        !c[0].n || !c[1].n || sample->n == SAMPLE)
        return 0;
    memcpy(user->uid, c[0].p, c[0].n);
    memcpy(user->uuid, c[1].p, c[1].n);
    user->uid[c[0].n] = user->uuid[c[1].n] = '\0';
    sample->n++;
    return 0;
}

/* 1, 0, or -1: it cannot be asked. */
static int
answer(int r, const struct ls_err *err)
{
    return r == 0 ? 1 : strcmp(err->cause, "grantee-missing") == 0 ? 0 : -1;
}

void
ctl_people_line(int n, int by_name, int by_id, bool wanted_by_id, struct ctl_lines *lines)
{
    bool good = wanted_by_id ? by_id == n : by_name == n;

    ctl_line(lines, good ? CTL_PASS : CTL_WARN, "target",
             good ? NULL
             : wanted_by_id
                 ? "OCIS_LDAP_USER_SCHEMA_ID must be the attribute that ownCloud takes its "
                   "UUIDs from; what is of those who are missing waits"
             : by_id > by_name
                 ? "set [people] match_by = ldap-uuid before apply's first start"
                 : "they wait, or are made (mode = create); does oCIS use the same directory?",
             "of %d users of ownCloud's LDAP oCIS knows %d by name, %d by their directory_uuid", n,
             by_name, by_id);
}

void
check_people(struct check *check, struct ap_graph *graph)
{
    struct sample sample = {.n = 0};
    int by_name = 0, by_id = 0;
    struct ls_err err = {0};

    /* no such table: the app was never there */
    if (!check->source ||
        ctl_source_each(check->source,
                        "SELECT a.user_id, m.directory_uuid FROM {p}accounts a"
                        " JOIN {p}ldap_user_mapping m ON m.owncloud_name = a.user_id"
                        " WHERE LOWER(a.backend) LIKE '%ldap%' AND COALESCE(a.state, 1) < 2"
                        " ORDER BY a.user_id LIMIT 20",
                        take_user, &sample, &err) < 0 ||
        sample.n == 0)
        return;
    for (int i = 0; i < sample.n; i++) {
        struct ap_graph_user named, mapped;
        struct ls_err why_name = {0}, why_id = {0};
        int name =
            answer(ap_graph_user_get(graph, sample.users[i].uid, &named, &why_name), &why_name);
        int id =
            answer(ap_graph_user_by_id(graph, sample.users[i].uuid, &mapped, &why_id), &why_id);

        if (name < 0 || id < 0) /* another line says what is wrong with Graph */
            return;
        by_id += id;
        by_name += name && strcasecmp(named.name, sample.users[i].uid) == 0 &&
                   (!id || strcmp(named.id, mapped.id) == 0);
    }
    ctl_people_line(sample.n, by_name, by_id, cs3_match_wanted(check->config), check->lines);
}
