/*
 * Storages by pattern to project spaces.
 *
 * What can go wrong: a pattern that is too wide. So only storages that would be left out as
 * external are asked for here (known.c), and the md5 of a long id, which may be anybody's home
 * whose account is not known yet, is taken only where it is given letter by letter.
 */
#include "transform/projects.h"

#include <stdlib.h>
#include <string.h>

struct project {
    char *name, *owner, *storage;
};
struct tf_projects {
    struct project *list;
    size_t n;
};

int
tf_projects_add(struct tf_projects *p, const char *name, const char *owner, const char *storage)
{
    struct project *list = realloc(p->list, (p->n + 1) * sizeof(*list));
    struct project *at;

    if (!list)
        return -1;
    p->list = list;
    at = &list[p->n++];
    *at = (struct project){strdup(name), strdup(owner), strdup(storage)};
    return at->name && at->owner && at->storage ? 0 : -1;
}

/* "alice, smb::fs@host//share/" */
static int
take_line(void *arg, const char *name, const char *value)
{
    const char *storage = strchr(value, ',') + 1; /* config.c has looked */
    size_t n = (size_t)(storage - 1 - value);
    char *owner;
    int r;

    while (n > 0 && value[n - 1] == ' ')
        n--;
    storage += strspn(storage, " ");
    owner = strndup(value, n);
    r = owner ? tf_projects_add(arg, name, owner, storage) : -1;
    free(owner);
    return r;
}

int
tf_projects_new(const struct ls_config *config, struct tf_projects **ret, struct ls_err *err)
{
    struct tf_projects *p = calloc(1, sizeof(*p));

    if (!p || (config && ls_config_each(config, "spaces", take_line, p) != 0)) {
        tf_projects_free(p);
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    }
    *ret = p;
    return 0;
}

void
tf_projects_free(struct tf_projects *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free(p->list[i].name);
        free(p->list[i].owner);
        free(p->list[i].storage);
    }
    free(p->list);
    free(p);
}

/* '*' is any text, also none; a star that could not be stretched any further is given up for good,
 * so this is never slower than pattern times text. */
static bool
matches(const char *pattern, struct ls_str text)
{
    const char *star = NULL;
    size_t i = 0, from = 0;

    while (i < text.n) {
        if (*pattern == '*') {
            star = ++pattern;
            from = i;
        } else if (*pattern == text.p[i]) {
            pattern++;
            i++;
        } else if (star) {
            pattern = star;
            i = ++from;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

bool
tf_projects_find(const struct tf_projects *p, struct ls_str id, bool md5, struct tf_project *ret)
{
    for (size_t i = 0; p && id.p && i < p->n; i++) {
        if (md5 ? ls_str_is(id, p->list[i].storage) : matches(p->list[i].storage, id)) {
            *ret = (struct tf_project){ls_str_of(p->list[i].name), ls_str_of(p->list[i].owner)};
            return true;
        }
    }
    return false;
}
