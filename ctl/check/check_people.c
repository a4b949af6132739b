/*
 * check: users and groups of ownCloud's LDAP, and whom oCIS has for them.
 *
 * They are looked up in oCIS by their name and by the id of their mapping. Somebody found by his
 * name whose id in the directory is another's there is not him. Of users only a sample: each costs
 * two requests, and a wrong setting shows with the first; of groups those that something is shared
 * with. Who has no id in the mappings waits in apply for one when it goes by them: those are
 * counted, all of them. What can go wrong: who may not read the mappings would look like an
 * ownCloud without LDAP; and an oCIS that answers with trouble like one that knows somebody.
 */
#include "ctl/check/check_people.h"
#include "common/tables.h"
#include "ctl/check/check.h"
#include <stdio.h>
#include <string.h>

enum { GROUPS = 200, NAMED = 10, TROUBLES = 3 };
enum { TABLE_DENIED = 1142, COLUMN_DENIED = 1143, NO_SUCH_TABLE = 1146 };

struct sampled {
    char name[256], uuid[256]; /* "": no mapping tells it */
};
struct sample {
    struct sampled who[GROUPS];
    int n;
};

static const struct kind {
    bool groups;
    const char *count, *rows; /* columns: name, directory_uuid; at most GROUPS */
    const char *unmapped;     /* columns: name, NULL; all of them */
    const char *attribute;    /* oCIS's setting */
} kinds[] = {
    {false, "SELECT COUNT(*) FROM {p}accounts WHERE " LS_SQL_OF_LDAP("backend"),
     "SELECT a.user_id, m.directory_uuid FROM {p}accounts a"
     " LEFT JOIN {p}ldap_user_mapping m ON m.owncloud_name = a.user_id"
     " WHERE " LS_SQL_OF_LDAP(
         "a.backend") " AND COALESCE(a.state, 1) < 2"
                      " ORDER BY COALESCE(m.directory_uuid, '') = '', a.user_id LIMIT 20",
     "SELECT a.user_id, NULL FROM {p}accounts a"
     " LEFT JOIN {p}ldap_user_mapping m ON m.owncloud_name = a.user_id"
     " WHERE " LS_SQL_OF_LDAP("a.backend") " AND COALESCE(m.directory_uuid, '') = ''"
                                           " ORDER BY a.user_id",
     "OCIS_LDAP_USER_SCHEMA_ID"},
    {true, "SELECT COUNT(*) FROM {p}ldap_group_mapping",
     "SELECT m.owncloud_name, m.directory_uuid FROM {p}ldap_group_mapping m WHERE m.owncloud_name"
     " IN (SELECT s.share_with FROM {p}share s WHERE s.share_type = 1)"
     " ORDER BY COALESCE(m.directory_uuid, '') = '', m.owncloud_name LIMIT 200",
     "SELECT m.owncloud_name, NULL FROM {p}ldap_group_mapping m WHERE m.owncloud_name"
     " IN (SELECT s.share_with FROM {p}share s WHERE s.share_type = 1)"
     " AND COALESCE(m.directory_uuid, '') = '' ORDER BY m.owncloud_name",
     "OCIS_LDAP_GROUP_SCHEMA_ID"},
};

static int
take_one(void *arg, const struct ls_str *c, size_t n)
{
    struct sample *sample = arg;
    struct sampled *who = &sample->who[sample->n];

    if (n < 2 || !c[0].p || c[0].n >= sizeof who->name || c[1].n >= sizeof who->uuid || !c[0].n ||
        sample->n == GROUPS)
        return 0;
    memcpy(who->name, c[0].p, c[0].n);
    if (c[1].n > 0)
        memcpy(who->uuid, c[1].p, c[1].n);
    who->name[c[0].n] = who->uuid[c[1].n] = '\0';
    sample->n++;
    return 0;
}

static void
name_one(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);

    if (n + strlen(name) + 3 < size)
        snprintf(list + n, size - n, "%s%s", n ? ", " : "", name);
}

static int
take_unmapped(void *arg, const struct ls_str *c, size_t n)
{
    struct ctl_unmapped *them = arg;
    char name[256];

    if (n > 0 && c[0].p && them->n++ < NAMED) {
        snprintf(name, sizeof name, "%.*s", (int)c[0].n, c[0].p);
        name_one(them->names, sizeof them->names, name);
    }
    return 0;
}

/* 1, 0, or -1: it cannot be asked. */
static int
answer(int r, const struct ls_err *err)
{
    return r == 0 ? 1 : strcmp(err->cause, "grantee-missing") == 0 ? 0 : -1;
}

void
ctl_people_line(const struct ctl_people *people, bool wanted_by_id, struct ctl_lines *lines)
{
    const char *what = people->groups ? "groups" : "users";
    int found = wanted_by_id ? people->by_id : people->by_name;
    /* no group of LDAP is in ownCloud's own table: by name none has a record to be found by */
    bool good = found == people->n && (wanted_by_id || !people->groups);
    char todo[300];

    if (wanted_by_id)
        snprintf(todo, sizeof todo,
                 "%s must be the attribute that ownCloud takes its UUIDs from; what is of those "
                 "who are missing waits",
                 kinds[people->groups].attribute);
    else
        snprintf(todo, sizeof todo, "%s",
                 people->groups || people->by_id > people->by_name
                     ? "set [people] match_by = ldap-uuid before apply's first start"
                     : "they wait, or are made (mode = create); does oCIS use the same directory?");
    ctl_line(lines, good ? CTL_PASS : CTL_WARN, "target", good ? NULL : todo,
             "of %d %s of ownCloud's LDAP%s oCIS knows %d by name, %d by their directory_uuid%s%s",
             people->n, what, people->groups ? " that something is shared with" : "",
             people->by_name, people->by_id, people->missing[0] ? "; not: " : "", people->missing);
}

void
ctl_people_trouble(const struct ctl_people *people, struct ctl_lines *lines)
{
    const struct ls_err *why = &people->trouble;

    if (people->not_asked == 0)
        return;
    ctl_line(
        lines, CTL_WARN, "target",
        why->code == 401 || why->code == 403
            ? "give [target] graph_user the role \"Admin\" in oCIS"
            : "apply gets the same answer, and what is theirs waits: see oCIS's log (graph, and "
              "its directory), then check again",
        "%d of %d %s of ownCloud's LDAP could not be looked up in oCIS, %s first: %s",
        people->not_asked, people->n + people->not_asked, people->groups ? "groups" : "users",
        people->troubled, why->msg);
}

void
ctl_people_unmapped(const struct ctl_unmapped *them, struct ctl_lines *lines)
{
    if (them->n > 0)
        ctl_line(lines, CTL_WARN, "source",
                 them->groups
                     ? "what is shared with them waits (unmapped) until their rows have a "
                       "directory_uuid"
                     : "they wait (unmapped) until ownCloud has mapped them: occ user:sync, "
                       "or they sign in there",
                 "%zu %s of ownCloud's LDAP have no id in oc_ldap_%s_mapping: %s%s", them->n,
                 them->groups ? "groups" : "users", them->groups ? "group" : "user", them->names,
                 them->n > NAMED ? ", ..." : "");
}

static int
look_up(struct ap_graph *graph, bool group, const char *name, struct ap_graph_user *ret,
        struct ls_err *err)
{
    return group ? ap_graph_group_get(graph, name, ret->id, err)
                 : ap_graph_user_get(graph, name, ret, err);
}

static int
look_up_id(struct ap_graph *graph, bool group, const char *id, struct ap_graph_user *ret,
           struct ls_err *err)
{
    return group ? ap_graph_group_by_id(graph, id, ret->id, err)
                 : ap_graph_user_by_id(graph, id, ret, err);
}

/* False: oCIS gives no answer that says whether it knows him. */
static bool
look_at(struct ap_graph *graph, const struct sampled *who, bool by_id, struct ctl_people *people,
        struct ls_err *why)
{
    struct ap_graph_user named = {0}, mapped = {0};
    int name, id = 0;

    name = answer(look_up(graph, people->groups, who->name, &named, why), why);
    if (name >= 0 && who->uuid[0])
        id = answer(look_up_id(graph, people->groups, who->uuid, &mapped, why), why);
    if (name < 0 || id < 0)
        return false;
    name = name && (people->groups || strcasecmp(named.name, who->name) == 0) &&
           (!id || strcmp(named.id, mapped.id) == 0);
    people->n++;
    people->by_id += id;
    people->by_name += name;
    if (!(by_id ? id : name))
        name_one(people->missing, sizeof people->missing, who->name);
    return true;
}

/* After some that were not answered for the rest are not asked for: each may take a timeout. */
static void
look_at_all(struct ap_graph *graph, const struct sample *sample, bool by_id,
            struct ctl_people *people)
{
    int troubles = 0;

    for (int i = 0; i < sample->n; i++) {
        const struct sampled *who = &sample->who[i];
        struct ls_err why = {0};

        if (by_id && !who->uuid[0]) /* another line counts them */
            continue;
        if (troubles < TROUBLES && look_at(graph, who, by_id, people, &why))
            continue;
        if (people->not_asked++ == 0) {
            snprintf(people->troubled, sizeof people->troubled, "%s", who->name);
            people->trouble = why;
        }
        troubles++;
    }
}

void
ctl_people_denied(bool groups, const struct ls_err *why, const char *users, struct ctl_lines *lines)
{
    bool denied = why->code == TABLE_DENIED || why->code == COLUMN_DENIED;

    /* the app was never there; to who has few rights a server denies also what is not there */
    if (strcmp(users, "0") == 0 || (why->code == NO_SUCH_TABLE && (groups || !users[0])))
        return;
    ctl_line(lines, CTL_WARN, "target",
             denied ? "grant SELECT on it: without the mappings capture brings none"
             : why->code == NO_SUCH_TABLE
                 ? "is ownCloud's LDAP app still there? Whoever is found by his mapping waits"
                 : NULL,
             "%s of ownCloud's LDAP cannot be looked up: %s", groups ? "groups" : "users",
             why->msg);
}

static void
check_unmapped(struct check *check, const struct kind *kind)
{
    struct ctl_unmapped them = {.groups = kind->groups};
    struct ls_err err = {0};

    if (ctl_source_each(check->source, kind->unmapped, take_unmapped, &them, &err) < 0)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "%s of ownCloud's LDAP without an id: %s",
                 kind->groups ? "groups" : "users", err.msg);
    else
        ctl_people_unmapped(&them, check->lines);
}

void
check_people(struct check *check, struct ap_graph *graph)
{
    bool by_id = cs3_match_wanted(check->config);

    for (size_t i = 0; check->source && i < sizeof kinds / sizeof kinds[0]; i++) {
        struct ctl_people people = {.groups = kinds[i].groups};
        struct sample sample = {.n = 0};
        char all[32] = "";
        struct ls_err err = {0};

        if (ctl_source_each(check->source, kinds[i].rows, take_one, &sample, &err) < 0 ||
            ctl_source_text(check->source, kinds[i].count, all, sizeof all, &err) < 0) {
            struct ls_err ignored = {0};

            (void)ctl_source_text(check->source, kinds[0].count, all, sizeof all, &ignored);
            ctl_people_denied(people.groups, &err, all, check->lines);
            continue;
        }
        if (people.groups && strcmp(all, "0") != 0)
            ctl_line(check->lines, CTL_PASS, "source", NULL,
                     "%s groups of ownCloud's LDAP are mapped", all);
        if (by_id)
            check_unmapped(check, &kinds[i]);
        if (graph)
            look_at_all(graph, &sample, by_id, &people);
        if (people.n > 0)
            ctl_people_line(&people, by_id, check->lines);
        ctl_people_trouble(&people, check->lines);
    }
}
