/*
 * check: the data directory, as this host sees it.
 *
 * Content is read when it is applied, from the homes that the rows name, so it is apply's host
 * where this must pass: each home opened, and nothing read but names and numbers.
 */
#include "apply/blobs.h"
#include "ctl/check.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAMED_MOST 10 /* homes that are named */

struct homes {
    struct check *check;
    size_t good, bad;
};

static int
check_home(void *arg, const struct ls_str *columns, size_t n)
{
    struct homes *homes = arg;
    char uid[256], home[4096], path[4096];
    struct ls_err err = {0};
    int fd;

    (void)n;
    snprintf(uid, sizeof uid, "%.*s", (int)columns[0].n, columns[0].p ? columns[0].p : "");
    snprintf(home, sizeof home, "%.*s", (int)columns[1].n, columns[1].p ? columns[1].p : "");
    if (ap_home_map(homes->check->config, home, uid, path, sizeof path, &err) < 0) {
        if (homes->bad++ < NAMED_MOST)
            ctl_line(homes->check->lines, CTL_FAIL, "data", "set [map] or [data] root", "%s: %s",
                     uid, err.msg);
        return 0;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) < 0) {
        if (homes->bad++ < NAMED_MOST)
            ctl_line(homes->check->lines, CTL_FAIL, "data",
                     "mount the data directory here, readable for this user, or map its path in "
                     "[map]",
                     "home of %s: %s: %s", uid, path, strerror(errno));
    } else {
        homes->good++;
    }
    if (fd >= 0)
        close(fd);
    return 0;
}

void
check_data(struct check *check)
{
    struct homes homes = {check, 0, 0};
    struct ls_err err = {0};
    long long objects;

    if (!check->source) {
        ctl_line(check->lines, CTL_WARN, "data", "the source must answer first",
                 "home folders could not be listed");
        return;
    }
    /* Only who has signed in once has a home; an md5 id cannot be joined, so long names pass. */
    if (ctl_source_each(check->source,
                        "SELECT a.user_id, a.home FROM {p}accounts a JOIN {p}storages s ON "
                        "s.id=CONCAT('home::',a.user_id) ORDER BY a.user_id",
                        check_home, &homes, &err) < 0) {
        ctl_line(check->lines, CTL_WARN, "data", NULL, "home folders could not be listed: %s",
                 err.msg);
        return;
    }
    ctl_line(check->lines, homes.bad ? CTL_FAIL : CTL_PASS, "data", NULL,
             "%zu home folders readable, %zu not%s", homes.good, homes.bad,
             homes.bad > NAMED_MOST ? " (the first ones are named)" : "");
    objects = check_count(check, "homes in an object store",
                          "SELECT COUNT(*) FROM {p}storages WHERE id LIKE 'object::user:%'");
    if (objects > 0)
        ctl_line(check->lines, CTL_FAIL, "data",
                 "content is read from a data directory only in this release",
                 "%lld homes lie in an object store", objects);
}
