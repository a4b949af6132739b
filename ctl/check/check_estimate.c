/*
 * check: how long, and how much. Estimates, each with what it is made of.
 *
 * Rows are counted by the server's own statistics, which cost nothing and may be wrong by a third
 * (MySQL 8 keeps them for a day). Rates are those of docs/performance.md, and what was measured
 * there on two cores is not what will be seen here: a quarter of capture's is taken, because there
 * the table was in memory. Content is the sum of the homes' sizes, which ownCloud keeps; folders
 * that it has not scanned are missing in it.
 */
#include "common/tables.h"
#include "ctl/check/check.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_SECOND 20000 /* capture's snapshot; 85,000 were measured */
#define FILES_A_SECOND 60   /* apply, small files, oCIS on two cores */
#define DAY 86400
/* What a row costs beside its own text, measured: in oc10, in cs3 and in apply's mirror. */
#define ROW_BYTES 840
#define OTHER_ROW_BYTES 500 /* a row of any other table, in all three */

const char *
ctl_duration(long long seconds, char *out, size_t size)
{
    if (seconds < 120)
        snprintf(out, size, "%lld s", seconds);
    else if (seconds < 7200)
        snprintf(out, size, "%lld min", (seconds + 30) / 60);
    else if (seconds < 2LL * DAY)
        snprintf(out, size, "%lld h", (seconds + 1800) / 3600);
    else
        snprintf(out, size, "%lld days", (seconds + DAY / 2) / DAY);
    return out;
}

const char *
ctl_bytes(long long bytes, char *out, size_t size)
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB", "PB"};
    double n = (double)bytes;
    size_t unit = 0;

    while (n >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        n /= 1000;
        unit++;
    }
    snprintf(out, size, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return out;
}

/* ---- rows */

struct rows {
    const char *prefix;
    long long files, others;
    bool seen;
};

static int
take_rows(void *arg, const struct ls_str *c, size_t n)
{
    struct rows *rows = arg;
    const struct ls_table *table;
    size_t skip = strlen(rows->prefix);

    (void)n;
    if (!c[0].p || c[0].n <= skip)
        return 0;
    table = ls_table_by_name(c[0].p + skip, c[0].n - skip);
    if (!table)
        return 0;
    rows->seen = true;
    *(table == &ls_tables[LS_T_FILECACHE] ? &rows->files : &rows->others) += ctl_int(c[1]);
    return 0;
}

static bool
count_rows(struct check *check, struct rows *rows)
{
    struct ls_err err = {0};

    rows->prefix = ls_config_str(check->config, "source", "table_prefix");
    if (ctl_source_each(check->source,
                        "SELECT TABLE_NAME, COALESCE(TABLE_ROWS, 0) FROM information_schema.TABLES "
                        "WHERE TABLE_SCHEMA=DATABASE() AND LEFT(TABLE_NAME, "
                        "CHAR_LENGTH('{p}'))='{p}'",
                        take_rows, rows, &err) == 0 &&
        rows->seen)
        return true;
    ctl_line(check->lines, CTL_NOTE, "source", NULL, "nothing is estimated: %s",
             err.kind != LS_ERR_NONE ? err.msg : "no table was found");
    return false;
}

/* ---- retention */

/* Seconds that the server keeps binlogs; 0: for ever, -1: it does not say. `what`: by which of its
 * variables. */
static long long
retention(struct check *check, const char **what)
{
    static const char *const names[] = {"binlog_expire_logs_seconds", "expire_logs_days"};
    char value[64], purged[64];
    long long seconds = -1;

    if (check_variable(check, "binlog_expire_logs_auto_purge", purged, sizeof purged) == 0 &&
        strcmp(purged, "OFF") == 0) {
        *what = "binlog_expire_logs_auto_purge = OFF";
        return 0;
    }
    for (size_t i = 0; i < 2 && seconds <= 0; i++) {
        if (check_variable(check, names[i], value, sizeof value) < 0 || !value[0])
            continue;
        *what = names[i];
        /* MariaDB's days may be a fraction */
        seconds = i ? (long long)(strtod(value, NULL) * DAY) : strtoll(value, NULL, 10);
    }
    return seconds;
}

static void
check_retention(struct check *check, long long snapshot)
{
    const char *what = "";
    long long kept = retention(check, &what), size;
    char value[64], took[32];
    bool good = kept == 0 || (kept >= DAY && kept >= 2 * snapshot);

    if (kept < 0)
        ctl_line(check->lines, CTL_NOTE, "source", "keep them for a day at least",
                 "how long binlogs are kept is not told");
    else if (kept == 0)
        ctl_line(check->lines, CTL_PASS, "source", NULL, "binlogs are kept for ever");
    else
        ctl_line(
            check->lines,
            good              ? CTL_PASS
            : kept < snapshot ? CTL_FAIL
                              : CTL_WARN,
            "source",
            good ? NULL
            : kept < snapshot
                ? "keep binlogs for twice as long as a snapshot takes, and for a day at least: "
                  "a stop in the middle would have to begin anew, again and again"
                : "keep binlogs for a day at least, and for twice as long as a snapshot takes: "
                  "a stop that lasts longer needs a new snapshot",
            "binlogs are kept %lld s (%s); a snapshot takes about %s", kept, what,
            ctl_duration(snapshot, took, sizeof took));
    /* MariaDB from 11.4 on */
    if (check_variable(check, "max_binlog_total_size", value, sizeof value) == 0 &&
        (size = strtoll(value, NULL, 10)) > 0)
        ctl_line(check->lines, CTL_WARN, "source",
                 "set max_binlog_total_size=0, or watch lockstep_capture_binlog_headroom_files",
                 "binlogs are deleted when there are more than %s of them, however young",
                 ctl_bytes(size, took, sizeof took));
}

/* ---- sizes */

/* The text of a row of oc_filecache, from the newest rows. */
static double
text_of_a_row(struct check *check)
{
    char value[64];
    struct ls_err err = {0};

    if (ctl_source_text(check->source,
                        "SELECT COALESCE(AVG(COALESCE(LENGTH(path),0) + 2*COALESCE(LENGTH(name),0) "
                        "+ COALESCE(LENGTH(checksum),0) + COALESCE(LENGTH(etag),0)), 0) FROM "
                        "(SELECT * FROM {p}filecache ORDER BY fileid DESC LIMIT 1000) x",
                        value, sizeof value, &err) < 0)
        return 0;
    return strtod(value, NULL);
}

static void
check_content(struct check *check, const struct rows *rows)
{
    char bytes[32], took[32];
    long long files = check_count(check, "files of users",
                                  "SELECT COUNT(*) FROM {p}filecache f JOIN {p}storages s ON "
                                  "s.numeric_id=f.storage WHERE (s.id LIKE 'home::%' OR s.id LIKE "
                                  "'object::user:%') AND f.path LIKE 'files/%' AND f.mimetype NOT "
                                  "IN (SELECT id FROM {p}mimetypes WHERE "
                                  "mimetype='httpd/unix-directory')");
    long long size = check_content_bytes(check);
    bool counted = files >= 0;

    if (!counted)
        files = rows->files;
    if (size < 0)
        return;
    ctl_line(check->lines, CTL_NOTE, "source", NULL,
             "%s%lld files, %s with trash and versions: the first copy takes about %s at %d small "
             "files a second, or as long as the bytes take, whichever is more",
             counted ? "" : "at most about ", files, ctl_bytes(size, bytes, sizeof bytes),
             ctl_duration(files / FILES_A_SECOND, took, sizeof took), FILES_A_SECOND);
}

long long
check_content_bytes(struct check *check)
{
    if (check->content_asked)
        return check->content_bytes;
    check->content_asked = true;
    /* three rows of each home, by the index on (storage, path_hash) */
    check->content_bytes =
        check_count(check, "bytes of users",
                    "SELECT COALESCE(SUM(GREATEST(f.size, 0)), 0) FROM {p}storages s JOIN "
                    "{p}filecache f ON f.storage=s.numeric_id AND f.path_hash IN (MD5('files'), "
                    "MD5('files_trashbin'), MD5('files_versions')) WHERE s.id LIKE 'home::%' OR "
                    "s.id LIKE 'object::user:%'");
    return check->content_bytes;
}

void
check_estimates(struct check *check)
{
    struct rows rows = {0};
    long long snapshot, volume;
    int copies = (int)ls_config_int(check->config, "lockstep", "replication");
    char took[32], bytes[32], all[32];
    double text;

    if (!count_rows(check, &rows)) {
        check_retention(check, 0);
        return;
    }
    snapshot = (rows.files + rows.others) / ROWS_A_SECOND;
    check_retention(check, snapshot);
    ctl_line(check->lines, CTL_NOTE, "source", NULL,
             "about %lld rows (%lld of files): a snapshot takes about %s at %d rows a second",
             rows.files + rows.others, rows.files, ctl_duration(snapshot, took, sizeof took),
             ROWS_A_SECOND);
    text = text_of_a_row(check);
    volume = (long long)((double)rows.files * (text + ROW_BYTES)) + rows.others * OTHER_ROW_BYTES;
    ctl_line(check->lines, CTL_NOTE, "source", NULL,
             "Kafka will hold about %s of it, %s with %d replicas: %.0f bytes for a row of a file "
             "(its text, sampled, and %d), %d for another; besides, what changes in 14 days",
             ctl_bytes(volume, bytes, sizeof bytes), ctl_bytes(volume * copies, all, sizeof all),
             copies, text + ROW_BYTES, ROW_BYTES, OTHER_ROW_BYTES);
    check_content(check, &rows);
}
