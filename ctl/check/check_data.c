/*
 * check: the data directory, as this host sees it.
 *
 * Content is read when it is applied, from the homes that the rows name, so it is apply's host
 * where this must pass: each home opened, and nothing read but names and numbers.
 */
#include "apply/content/blobs.h"
#include "ctl/check/check.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAMED_MOST 10 /* homes, and files, that are named */
#define SAMPLE 50     /* files that are looked for */

static void
copy(char *out, size_t size, struct ls_str s)
{
    snprintf(out, size, "%.*s", (int)s.n, s.p ? s.p : "");
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
    copy(uid, sizeof uid, columns[0]);
    copy(home, sizeof home, columns[1]);
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

/* ---- a sample of files */

struct sample {
    struct check *check;
    long long last; /* the fileid that was taken last */
    size_t taken, missing, otherwise, unreadable;
};

/* fileid, path, size, mtime, user, home, whether there is a checksum */
static int
look_at_file(void *arg, const struct ls_str *c, size_t n)
{
    struct sample *sample = arg;
    char uid[256], home[4096], path[4096], mapped[4096];
    struct ap_blob_want want = {.relative = path, .home = mapped, .size = ctl_int(c[2])};
    struct ap_blob *blob = NULL;
    struct ls_err err = {0};
    size_t bad;

    if (n < 7)
        return 0;
    sample->last = ctl_int(c[0]);
    sample->taken++;
    copy(path, sizeof path, c[1]);
    copy(uid, sizeof uid, c[4]);
    copy(home, sizeof home, c[5]);
    if (want.size < 0)
        want.size = -1;
    want.mtime = ctl_int(c[6]) ? INT64_MIN : ctl_int(c[3]);
    if (ap_home_map(sample->check->config, home, uid, mapped, sizeof mapped, &err) == 0 &&
        ap_blob_open(&want, &blob, &err) == 0) {
        ap_blob_close(blob);
        return 0;
    }
    bad = sample->missing + sample->otherwise + sample->unreadable;
    if (strcmp(err.cause, "content-missing") == 0)
        sample->missing++;
    else if (strcmp(err.cause, "content-mismatch") == 0)
        sample->otherwise++;
    else
        sample->unreadable++;
    if (bad < NAMED_MOST)
        ctl_line(sample->check->lines, CTL_NOTE, "data", NULL, "fileid %lld of %s: %s",
                 sample->last, uid, err.msg);
    return 0;
}

/* The next file in a home from this number on, found by the primary key; SUBSTRING, so that homes
 * are looked up for the row and not the other way round. */
static int
sample_from(struct sample *sample, long long first, struct ls_err *err)
{
    char sql[900];

    snprintf(
        sql, sizeof sql,
        "SELECT STRAIGHT_JOIN f.fileid, f.path, f.size, f.mtime, a.user_id, a.home, "
        "COALESCE(f.checksum, '')<>'' FROM {p}filecache f FORCE INDEX (PRIMARY) JOIN "
        "{p}storages s ON s.numeric_id=f.storage JOIN {p}accounts a ON "
        "a.user_id=SUBSTRING(s.id, 7) WHERE f.fileid>=%lld AND s.id LIKE 'home::%%' AND f.path "
        "LIKE 'files/%%' AND f.mimetype NOT IN (SELECT id FROM {p}mimetypes WHERE "
        "mimetype='httpd/unix-directory') ORDER BY f.fileid LIMIT 1",
        first);
    return ctl_source_each(sample->check->source, sql, look_at_file, sample, err);
}

static void
say_sample(const struct sample *sample)
{
    size_t bad = sample->missing + sample->otherwise + sample->unreadable;
    bool lost = sample->unreadable > 0 || 2 * bad > sample->taken;

    if (bad == 0)
        ctl_line(sample->check->lines, CTL_PASS, "data", NULL,
                 "%zu files sampled: all there, with the size of their rows", sample->taken);
    else
        ctl_line(
            sample->check->lines, lost ? CTL_FAIL : CTL_WARN, "data",
            lost ? "is this the data directory of that database, mounted whole, and readable for "
                   "this user?"
                 : "occ files:scan of their owners; what is not there or otherwise becomes a dead "
                   "letter after [apply] content_tries",
            "%zu files sampled: %zu are missing, %zu are not as their rows say, %zu cannot be "
            "read",
            sample->taken, sample->missing, sample->otherwise, sample->unreadable);
}

static void
check_sample(struct check *check)
{
    struct sample sample = {.check = check};
    struct ls_err err = {0};
    long long least = check_count(check, "file numbers", "SELECT MIN(fileid) FROM {p}filecache");
    long long most = check_count(check, "file numbers", "SELECT MAX(fileid) FROM {p}filecache");
    int r = 0;

    if (least < 0 || most < 0)
        return;
    for (int i = 0; i < SAMPLE && r == 0; i++) {
        long long first = least + (most - least) / SAMPLE * i;
        size_t taken = sample.taken;

        if (first <= sample.last)
            first = sample.last + 1;
        if (first > most)
            break;
        r = sample_from(&sample, first, &err);
        if (sample.taken == taken)
            break; /* there is none from here on */
    }
    if (r < 0)
        ctl_line(check->lines, CTL_NOTE, "data", NULL, "no more files were sampled: %s",
                 strcmp(err.cause, "too-slow") == 0 ? "it takes too long" : err.msg);
    if (sample.taken > 0)
        say_sample(&sample);
    else if (r == 0)
        ctl_line(check->lines, CTL_NOTE, "data", NULL, "there are no files in homes to look for");
}

static void
check_size(struct check *check)
{
    long long size = check_content_bytes(check);
    char text[32];

    if (size >= 0)
        ctl_line(check->lines, CTL_PASS, "data", NULL,
                 "homes hold %s with trash and versions, as ownCloud counts them",
                 ctl_bytes(size, text, sizeof text));
}

void
check_data(struct check *check)
{
    struct homes homes = {check, 0, 0};
    struct ls_err err = {0};

    check_bucket(check);
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
    check_size(check);
    check_sample(check);
}
