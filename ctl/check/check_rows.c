/*
 * check --source: the rows behind the counts, by number.
 *
 * A living ownCloud runs on this database: each query stops at the first finds, and the session's
 * limit ends it after some seconds when there are none to be found early. A row whose path is not
 * its parent's and its name was left behind by a move of a folder (ownCloud 10.8 and later replace
 * inside of paths); `occ files:scan --repair` mends it. Bytes are compared, not characters: under
 * ownCloud's collations a trailing blank makes no difference, in a path it does.
 */
#include "ctl/check/check.h"
#include "transform/projects.h"
#include <stdlib.h>
#include <string.h>

#define NAMED_MOST 20
#define LIMIT " LIMIT 21" /* one more says that there are more */

static const char by_parent[] =
    "SELECT f.fileid, CONCAT('storage ', f.storage, ', path ', COALESCE(f.path, 'NULL'), "
    "IF(f.storage<>p.storage, CONCAT('; its parent is in storage ', p.storage), '; by parent and "
    "name '), IF(f.storage<>p.storage, '', COALESCE(IF(p.path='', f.name, CONCAT(p.path, '/', "
    "f.name)), 'unknown'))) FROM {p}filecache f JOIN {p}filecache p ON p.fileid=f.parent WHERE "
    "f.storage<>p.storage OR NOT (CAST(f.path AS BINARY) <=> CAST(IF(p.path='', f.name, "
    "CONCAT(p.path, '/', f.name)) AS BINARY))" LIMIT;

/* Two columns: a number, and words about it. */
static const struct {
    const char *what;
    const char *sql;
    const char *none;
} lists[] = {
    {"taken by parent and name", by_parent, "every path is that of its parent and name"},
    {"without parent, parked",
     "SELECT f.fileid, CONCAT('storage ', f.storage, ', parent ', f.parent) FROM {p}filecache f "
     "LEFT JOIN {p}filecache p ON p.fileid=f.parent WHERE f.parent<>-1 AND p.fileid IS NULL" LIMIT,
     "every file has its parent"},
    {"encrypted, a dead letter",
     "SELECT fileid, CONCAT('storage ', storage, ', encrypted = ', encrypted) FROM {p}filecache "
     "WHERE encrypted<>0" LIMIT,
     "no file is encrypted"},
};

struct naming {
    struct check *check;
    const char *what;
    size_t n;
};

static int
name_row(void *arg, const struct ls_str *c, size_t n)
{
    struct naming *naming = arg;

    (void)n;
    if (naming->n++ < NAMED_MOST)
        ctl_line(naming->check->lines, CTL_NOTE, "source", NULL, "fileid %.*s: %s: %.*s",
                 (int)c[0].n, c[0].p ? c[0].p : "", naming->what, (int)c[1].n,
                 c[1].p ? c[1].p : "");
    return 0;
}

static void
name_rows(struct check *check, const char *what, const char *sql, const char *none)
{
    struct naming naming = {check, what, 0};
    struct ls_err err = {0};

    if (ctl_source_each(check->source, sql, name_row, &naming, &err) < 0)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "rows %s: %s", what,
                 strcmp(err.cause, "too-slow") == 0 ? "not all looked for, it takes too long"
                                                    : err.msg);
    else if (naming.n == 0)
        ctl_line(check->lines, CTL_PASS, "source", NULL, "%s", none);
    else if (naming.n > NAMED_MOST)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "more rows are %s", what);
}

struct storages {
    struct check *check;
    const struct tf_projects *projects;
    size_t n;
};

static const char external[] =
    "SELECT numeric_id, id FROM {p}storages WHERE id NOT LIKE 'home::%' AND id NOT LIKE "
    "'object::user:%' AND id NOT LIKE 'shared::%' AND id NOT LIKE 'local::%/uploads/' AND id NOT "
    "REGEXP '^[0-9a-f]{32}$' AND id NOT IN (SELECT DISTINCT CONCAT('local::', LEFT(home, "
    "CHAR_LENGTH(home)-CHAR_LENGTH(SUBSTRING_INDEX(home,'/',-1)))) FROM {p}accounts) ORDER BY "
    "numeric_id" LIMIT;

static int
name_storage(void *arg, const struct ls_str *c, size_t n)
{
    struct storages *storages = arg;
    struct tf_project project;

    (void)n;
    if (storages->n++ >= NAMED_MOST)
        return 0;
    if (tf_projects_find(storages->projects, c[1], false, &project))
        ctl_line(storages->check->lines, CTL_NOTE, "source", NULL,
                 "storage %.*s: %.*s: the project space %.*s of %.*s", (int)c[0].n, c[0].p,
                 (int)c[1].n, c[1].p, (int)project.name.n, project.name.p, (int)project.owner.n,
                 project.owner.p);
    else
        ctl_line(storages->check->lines, CTL_NOTE, "source", "name it in [spaces]",
                 "storage %.*s: %.*s: left out", (int)c[0].n, c[0].p, (int)c[1].n, c[1].p);
    return 0;
}

static void
name_storages(struct check *check)
{
    struct tf_projects *projects = NULL;
    struct ls_err err = {0};

    if (tf_projects_new(check->config, &projects, &err) == 0) {
        struct storages storages = {check, projects, 0};

        if (ctl_source_each(check->source, external, name_storage, &storages, &err) == 0) {
            tf_projects_free(projects);
            return;
        }
    }
    tf_projects_free(projects);
    ctl_line(check->lines, CTL_NOTE, "source", NULL, "external storages: %s", err.msg);
}

void
check_source_rows(struct check *check)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        name_rows(check, lists[i].what, lists[i].sql, lists[i].none);
    name_storages(check);
}
