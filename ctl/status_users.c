/*
 * lag by user, and sweeps that wait for a word: what apply tells of both, as people read it.
 *
 * apply tells of the hundred who wait longest (apply/status_open.c). Who is not among them has
 * nothing open when there are fewer than that, else it cannot be said. Names of users and files
 * are made harmless for the terminal.
 */
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
print_user(const json_t *user, int64_t now_us, FILE *out)
{
    json_int_t oldest = json_integer_value(json_object_get(user, "oldest_us"));
    char name[256];

    fprintf(out, "%-24s ", ctl_plain(text_of(user, "user"), name, sizeof name));
    if (oldest > 0)
        fprintf(out, "%10.1f ", oldest < now_us ? (double)(now_us - oldest) / 1e6 : 0);
    else
        fprintf(out, "%10s ", "-");
    fprintf(out, "%8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT "\n",
            json_integer_value(json_object_get(user, "open")),
            json_integer_value(json_object_get(user, "parked")));
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
                fprintf(out, "\n%-24s %10s %8s %8s\n", "USER", "SECONDS", "OPEN", "PARKED");
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

void
ctl_sweeps_print(json_t *stages, FILE *out)
{
    const char *key;
    json_t *document;
    char text[2300];

    json_object_foreach(stages, key, document)
    {
        json_t *sweeps = json_object_get(document, "sweeps"), *sweep, *item;
        size_t i, k;

        json_array_foreach(sweeps, i, sweep)
        {
            fprintf(out, "a sweep waits: %s, partition %" JSON_INTEGER_FORMAT,
                    text_of(sweep, "topic"),
                    json_integer_value(json_object_get(sweep, "partition")));
            if (json_object_get(sweep, "storage"))
                fprintf(out, ", storage %" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(sweep, "storage")));
            fprintf(out, ": it would delete %" JSON_INTEGER_FORMAT " items of one place\n",
                    json_integer_value(json_object_get(sweep, "items")));
            json_array_foreach(json_object_get(sweep, "examples"), k, item)
            {
                fprintf(out, "    %s: ", ctl_plain(text_of(item, "user"), text, sizeof text));
                fprintf(out, "%s\n", ctl_plain(text_of(item, "path"), text, sizeof text));
            }
        }
    }
}
