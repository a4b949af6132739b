/*
 * lag by user, and sweeps that wait for a word: what apply tells of both, as people read it.
 *
 * apply tells of the hundred who wait longest (apply/status_count.c). Who is not among them has
 * nothing open when there are fewer than that, else it cannot be said. Names of users and files
 * are made harmless for the terminal.
 */
#include "common/records.h"
#include "ctl/lines.h"
#include "ctl/status.h"
#include <string.h>

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void
print_user(json_t *user, int64_t now_us, FILE *out)
{
    json_int_t oldest = json_integer_value(json_object_get(user, "oldest_us"));
    char name[256];

    fprintf(out, "%-24s ", ctl_plain(text_of(user, "user"), name, sizeof name));
    if (oldest > 0)
        fprintf(out, "%10.1f ", oldest < now_us ? (double)(now_us - oldest) / 1e6 : 0);
    else
        fprintf(out, "%10s ", "-");
    fprintf(out, "%8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT,
            json_integer_value(json_object_get(user, "open")),
            json_integer_value(json_object_get(user, "parked")));
    ctl_status_causes(" ", json_object_get(user, "causes"), out);
    fputc('\n', out);
}

void
ctl_lag_users(json_t *stages, const char *only, int64_t now_us, FILE *out)
{
    json_int_t open = 0, told = 0, shown = 0;
    const char *key;
    json_t *document;

    json_object_foreach(stages, key, document)
    {
        json_t *users = json_object_get(document, "users"), *user;
        size_t i;

        if (json_is_true(json_object_get(document, "silent")))
            continue;
        open += json_integer_value(json_object_get(document, "users_open"));
        json_array_foreach(users, i, user)
        {
            told++;
            if (only && strcmp(text_of(user, "user"), only) != 0)
                continue;
            if (shown++ == 0)
                fprintf(out, "\n%-24s %10s %8s %8s %s\n", "USER", "SECONDS", "OPEN", "PARKED",
                        "WHY");
            print_user(user, now_us, out);
        }
    }
    if (only && shown == 0)
        fprintf(out, "\n%s\n",
                open > told ? "not among those who wait longest: apply tells of no more"
                            : "nothing of this user is open in apply");
    else if (!only && open > told)
        fprintf(out, "and %" JSON_INTEGER_FORMAT " users more\n", open - told);
}

/* What a sweep is of, in words; people by their table (enum cs3_person_type). */
static const char *
sweep_of(const json_t *sweep)
{
    static const char *const people[] = {[CS3_USER] = "users",
                                         [CS3_GROUP] = "groups",
                                         [CS3_MEMBER] = "members of groups",
                                         [CS3_CREDENTIAL] = "local accounts",
                                         [CS3_LDAP] = "LDAP mappings",
                                         [CS3_QUOTA] = "quotas",
                                         [CS3_LDAP_GROUP] = "LDAP mappings of groups"};
    json_int_t type = json_integer_value(json_object_get(sweep, "partition"));

    if (strcmp(text_of(sweep, "topic"), "cs3.share") == 0)
        return "shares";
    if (strcmp(text_of(sweep, "topic"), "cs3.person") != 0)
        return "items of one place";
    return type >= 0 && (size_t)type < sizeof people / sizeof people[0] ? people[type] : "people";
}

/* A file or folder: whose, and where. A share: also with whom. People: by name. */
static void
print_example(const json_t *item, FILE *out)
{
    char text[2300];
    const char *group = text_of(item, "group"), *type = text_of(item, "type");

    fputs("    ", out);
    if (json_object_get(item, "share"))
        fprintf(out, "share %" JSON_INTEGER_FORMAT ", ",
                json_integer_value(json_object_get(item, "share")));
    fputs(ctl_plain(text_of(item, "user"), text, sizeof text), out);
    if (json_object_get(item, "path"))
        fprintf(out, ": %s", ctl_plain(text_of(item, "path"), text, sizeof text));
    if (*group)
        fprintf(out, "%s%s", *text_of(item, "user") ? " in " : "",
                ctl_plain(group, text, sizeof text));
    if (strcmp(type, "link") == 0)
        fputs(", a link", out);
    else if (*type)
        fprintf(out, ", for %s%s", strcmp(type, "group") == 0 ? "the group " : "",
                ctl_plain(text_of(item, "with"), text, sizeof text));
    fputc('\n', out);
}

void
ctl_sweeps_print(json_t *stages, FILE *out)
{
    const char *key;
    json_t *document;

    json_object_foreach(stages, key, document)
    {
        json_t *sweeps = json_object_get(document, "sweeps"), *sweep, *item;
        size_t i, k;

        json_array_foreach(sweeps, i, sweep)
        {
            char text[64];

            fprintf(out, "a sweep waits: %s",
                    ctl_plain(text_of(sweep, "topic"), text, sizeof text));
            if (strcmp(text_of(sweep, "topic"), "cs3.resource") == 0)
                fprintf(out, ", partition %" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(sweep, "partition")));
            if (json_object_get(sweep, "storage"))
                fprintf(out, ", storage %" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(sweep, "storage")));
            fprintf(out, ": it would delete %" JSON_INTEGER_FORMAT " %s\n",
                    json_integer_value(json_object_get(sweep, "items")), sweep_of(sweep));
            json_array_foreach(json_object_get(sweep, "examples"), k, item)
            {
                print_example(item, out);
            }
        }
    }
}
