/*
 * The pre-flight: may Lockstep run here?
 *
 * Each line is pass, note, warn or fail, with what to do. It must be able to say something useful
 * when half of it is down, so every part is tried on its own and a failure of one is a line, not
 * an end. Nothing is written anywhere. A warning is something that will be handled but that the
 * admin should know; a failure is something that stops the migration or would lose something; a
 * note is a setting that cannot be asked for.
 */
#include "ctl/check.h"
#include "apply/blobs.h"
#include "common/kafka.h"
#include "ctl/ctl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 10    /* for one query */
#define NAMED_MOST 10 /* homes that are named */

long long
check_count(struct check *check, const char *what, const char *sql)
{
    char value[64];
    struct ls_err err = {0};

    if (!check->source)
        return -1;
    if (ctl_source_text(check->source, sql, value, sizeof value, &err) == 0)
        return value[0] ? strtoll(value, NULL, 10) : 0;
    if (strcmp(err.cause, "too-slow") == 0)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "%s: not counted within %d s", what,
                 SECONDS);
    else
        ctl_line(check->lines, CTL_WARN, "source", NULL, "%s: %s", what, err.msg);
    return -1;
}

static void
check_kafka(struct check *check)
{
    const struct ls_config *config = check->config;
    struct ctl_lines *lines = check->lines;
    static const char *const by_storage[] = {"oc10.oc_filecache", "cs3.resource"};
    static const char *const single[] = {"cs3.space", "cs3.person", "cs3.share", "cs3.annotation",
                                         "position",  "counters",   "schemas",   "dlq",
                                         "status",    "ledger",     "applier"};
    int want = (int)ls_config_int(config, "lockstep", "partitions"), n;
    struct ls_consumer *consumer = NULL;
    struct ls_err err = {0};

    if (ls_consumer_new(config, NULL, &consumer, &err) < 0) {
        ctl_line(lines, CTL_FAIL, "kafka", "check [kafka] bootstrap.servers and its credentials",
                 "%s", err.msg);
        return;
    }
    for (size_t i = 0; i < 2 + sizeof single / sizeof single[0]; i++) {
        const char *name = ls_config_topic(config, i < 2 ? by_storage[i] : single[i - 2]);
        int expected = i < 2 ? want : 1;

        n = 0;
        if (ls_consumer_partitions(consumer, name, &n, &err) < 0) {
            ctl_line(lines, CTL_FAIL, "kafka",
                     "check [kafka] bootstrap.servers, and that the user may describe the topic",
                     "%s: %s", name, err.msg);
            if (err.kind == LS_ERR_RETRY)
                break; /* no broker: one line says it */
        } else if (n == 0) {
            bool made = ls_config_bool(config, "lockstep", "create_topics");
            ctl_line(
                lines, made ? CTL_PASS : CTL_FAIL, "kafka",
                made ? NULL
                     : "create it (docs/architecture.md lists the topics and how they are kept)",
                "topic %s is not there yet%s", name, made ? ", it will be made" : "");
        } else {
            ctl_line(lines, n == expected ? CTL_PASS : CTL_FAIL, "kafka",
                     n == expected ? NULL
                                   : "partition counts are fixed for a prefix's life: use another "
                                     "prefix or set [lockstep] partitions",
                     "topic %s has %d partitions%s", name, n,
                     n == expected ? "" : ", not what [lockstep] partitions says");
        }
    }
    ls_consumer_free(consumer);
}

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

static void
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

int
ctl_check(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    struct check check = {config, NULL, ctl_lines_new()};
    struct ls_err err = {0};
    int status;

    if (!check.lines)
        return LS_EXIT_FAILURE;
    if (ctl_source_open(config, &check.source, &err) < 0) {
        ctl_line(check.lines, CTL_FAIL, "source",
                 strcmp(err.cause, "sign-in") == 0
                     ? "check [source] user, password and database, and that the user may connect "
                       "from here"
                     : "check [source] host and port, and that the server runs",
                 "%s", err.msg);
    } else {
        ctl_source_limit(check.source, SECONDS);
        check_source(&check);
        if (flags->source)
            check_source_rows(&check);
    }
    if (!flags->source) {
        check_kafka(&check);
        check_target(&check);
        check_data(&check);
    }
    ctl_lines_print(check.lines, flags->json, out);
    status = ctl_lines_count(check.lines, CTL_FAIL) ? LS_EXIT_DIFFERENT : LS_EXIT_OK;
    ctl_source_close(check.source);
    ctl_lines_free(check.lines);
    return status;
}
