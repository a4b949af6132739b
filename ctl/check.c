/*
 * The pre-flight: may Lockstep run here?
 *
 * Each line is pass, warn or fail, with what to do. It must be able to say something useful when
 * half of it is down, so every part is tried on its own and a failure of one is a line, not an
 * end. Nothing is written anywhere. A warning is something that will be handled but that the
 * admin should know; a failure is something that stops the migration or would lose something.
 */
#include "apply/blobs.h"
#include "apply/cs3.h"
#include "apply/graph.h"
#include "common/kafka.h"
#include "common/run.h"
#include "common/tables.h"
#include "ctl/ctl.h"
#include "ctl/lines.h"
#include "ctl/source.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What the source's variables must be. */
static const struct {
    const char *name;
    const char *want;
    enum ctl_level otherwise;
    const char *todo;
} variables[] = {
    {"log_bin", "ON", CTL_FAIL, "set log_bin in the server's configuration and restart it"},
    {"binlog_format", "ROW", CTL_WARN,
     "set binlog_format=ROW; ownCloud's own changes are rows under MIXED too, others may not be"},
    {"binlog_row_image", "FULL", CTL_FAIL, "set binlog_row_image=FULL"},
    {"binlog_row_metadata", "FULL", CTL_WARN,
     "set binlog_row_metadata=FULL; without it columns come from information_schema, and a change "
     "of a watched table stops the stream"},
};

static void
check_variables(struct ctl_source *source, struct ctl_lines *lines)
{
    char value[128], sql[128], *version = value;
    struct ls_err err = {0};

    if (ctl_source_text(source, "SELECT VERSION()", value, sizeof value, &err) == 0)
        ctl_line(lines, strstr(version, "MariaDB") ? CTL_PASS : CTL_WARN, "source",
                 strstr(version, "MariaDB") ? NULL : "only MariaDB is read in this release",
                 "server version %s", value);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        snprintf(sql, sizeof sql,
                 "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES "
                 "WHERE VARIABLE_NAME='%s'",
                 variables[i].name);
        if (ctl_source_text(source, sql, value, sizeof value, &err) < 0) {
            ctl_line(lines, CTL_WARN, "source", NULL, "%s: %s", variables[i].name, err.msg);
            continue;
        }
        bool good = strcasecmp(value, variables[i].want) == 0;
        bool hopeless =
            strcmp(variables[i].name, "binlog_format") == 0 && strcasecmp(value, "STATEMENT") == 0;
        ctl_line(lines,
                 good       ? CTL_PASS
                 : hopeless ? CTL_FAIL
                            : variables[i].otherwise,
                 "source", good ? NULL : variables[i].todo, "%s = %s", variables[i].name,
                 value[0] ? value : "(unknown to this server)");
    }
}

static int
take_grant(void *arg, const struct ls_str *columns, size_t n)
{
    struct ls_buf *all = arg;

    if (n > 0 && columns[0].p)
        ls_buf_printf(all, "%.*s\n", (int)columns[0].n, columns[0].p);
    return 0;
}

static void
check_grants(struct ctl_source *source, struct ctl_lines *lines)
{
    static const struct {
        const char *any_of[4];
        const char *todo;
    } wanted[] = {
        {{"REPLICATION SLAVE", "ALL PRIVILEGES", NULL}, "GRANT REPLICATION SLAVE ON *.* TO ..."},
        {{"BINLOG MONITOR", "REPLICATION CLIENT", "ALL PRIVILEGES", NULL},
         "GRANT BINLOG MONITOR ON *.* TO ... (REPLICATION CLIENT before MariaDB 10.5)"},
        {{"SELECT", "ALL PRIVILEGES", NULL}, "GRANT SELECT ON <ownCloud's database>.* TO ..."},
    };
    struct ls_buf all;
    struct ls_err err = {0};
    const char *text;

    ls_buf_init(&all, 1 << 20);
    if (ctl_source_each(source, "SHOW GRANTS", take_grant, &all, &err) < 0 ||
        !(text = ls_buf_text(&all))) {
        ctl_line(lines, CTL_WARN, "source", NULL, "grants: %s", err.msg);
        ls_buf_free(&all);
        return;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        bool there = false;
        for (size_t k = 0; wanted[i].any_of[k]; k++)
            there = there || strstr(text, wanted[i].any_of[k]) != NULL;
        ctl_line(lines, there ? CTL_PASS : CTL_FAIL, "source", there ? NULL : wanted[i].todo,
                 "grant %s", wanted[i].any_of[0]);
    }
    ls_buf_free(&all);
}

static void
check_tables(struct ctl_source *source, const struct ls_config *config, struct ctl_lines *lines)
{
    const char *prefix = ls_config_str(config, "source", "table_prefix");
    char sql[512], value[64];
    struct ls_err err = {0};

    for (size_t t = 0; t < LS_T_COUNT; t++) {
        const struct ls_table *table = &ls_tables[t];
        size_t missing = 0;

        snprintf(sql, sizeof sql,
                 "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() "
                 "AND TABLE_NAME='%s%s'",
                 prefix, table->name);
        if (ctl_source_text(source, sql, value, sizeof value, &err) < 0 || value[0] == '0') {
            ctl_line(lines, table->optional ? CTL_PASS : CTL_FAIL, "source",
                     table->optional ? NULL
                                     : "is [source] database and table_prefix right, and SELECT "
                                       "granted?",
                     "table %s%s is not there%s", prefix, table->name,
                     table->optional ? " (its app is not installed)" : "");
            continue;
        }
        for (size_t c = 0; c < table->n_columns; c++) {
            snprintf(sql, sizeof sql,
                     "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE "
                     "TABLE_SCHEMA=DATABASE() AND TABLE_NAME='%s%s' AND COLUMN_NAME='%s'",
                     prefix, table->name, table->columns[c].name);
            if (ctl_source_text(source, sql, value, sizeof value, &err) == 0 && value[0] == '0') {
                missing++;
                ctl_line(lines, table->columns[c].key ? CTL_FAIL : CTL_WARN, "source",
                         table->columns[c].key ? "this is no ownCloud 10 table" : NULL,
                         "column %s%s.%s is not there (an older release)", prefix, table->name,
                         table->columns[c].name);
            }
        }
        if (missing == 0)
            ctl_line(lines, CTL_PASS, "source", NULL, "table %s%s", prefix, table->name);
    }
}

/* Counts that say something about what will not, or not simply, be carried. */
static void
check_rows(struct ctl_source *source, struct ctl_lines *lines)
{
    static const struct {
        const char *sql;
        const char *what;
        const char *todo;
        enum ctl_level level;
    } counts[] = {
        {"SELECT COUNT(*) FROM {p}filecache WHERE encrypted<>0", "encrypted files",
         "decrypt them first (occ encryption:decrypt-all); each becomes a dead letter", CTL_FAIL},
        {"SELECT COUNT(*) FROM {p}filecache f LEFT JOIN {p}filecache p ON p.fileid=f.parent "
         "WHERE f.parent>=0 AND p.fileid IS NULL",
         "files whose parent does not exist", "occ files:scan --repair; they stay parked",
         CTL_WARN},
        {"SELECT COUNT(*) FROM {p}filecache f JOIN {p}filecache p ON p.fileid=f.parent WHERE "
         "f.storage<>p.storage OR f.path<>IF(p.path='',f.name,CONCAT(p.path,'/',f.name))",
         "rows whose path or storage disagrees with their parent",
         "occ files:scan --repair; they are taken by parent and name", CTL_WARN},
        {"SELECT COUNT(*) FROM {p}storages WHERE id NOT LIKE 'home::%' AND id NOT LIKE "
         "'object::user:%' AND id NOT LIKE 'local::%/uploads/' AND id NOT LIKE 'local::%'",
         "external or federated storages", "they are not carried", CTL_WARN},
        {"SELECT COUNT(*) FROM {p}accounts WHERE email IS NULL OR email=''",
         "users without a mail address", "they are made without one", CTL_PASS},
        {"SELECT COUNT(*) FROM {p}share WHERE share_type IN (6,7)", "federated shares",
         "they are not carried in this release", CTL_WARN},
        {"SELECT COUNT(*) FROM {p}share WHERE share_type=3 AND share_with IS NOT NULL",
         "links with a password",
         "the password cannot be carried in this release: they get a random one", CTL_WARN},
    };
    char value[64];
    struct ls_err err = {0};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (ctl_source_text(source, counts[i].sql, value, sizeof value, &err) < 0) {
            ctl_line(lines, CTL_WARN, "source", NULL, "%s: %s", counts[i].what, err.msg);
            continue;
        }
        bool none = strcmp(value, "0") == 0;
        ctl_line(lines, none ? CTL_PASS : counts[i].level, "source", none ? NULL : counts[i].todo,
                 "%s %s", value, counts[i].what);
    }
}

static void
check_clock(struct ctl_source *source, struct ctl_lines *lines)
{
    char value[64];
    struct ls_err err = {0};
    double difference;

    if (ctl_source_text(source, "SELECT UNIX_TIMESTAMP(NOW(6))", value, sizeof value, &err) < 0)
        return;
    difference = strtod(value, NULL) - (double)ls_now_us() / 1e6;
    bool good = difference < 2 && difference > -2;
    ctl_line(lines, good ? CTL_PASS : CTL_WARN, "source",
             good ? NULL : "let both run NTP; lag is wrong by that much", "clock differs by %.1f s",
             difference);
}

static void
check_source(const struct ls_config *config, struct ctl_lines *lines)
{
    struct ctl_source *source = NULL;
    struct ls_err err = {0};

    if (ctl_source_open(config, &source, &err) < 0) {
        ctl_line(lines, CTL_FAIL, "source",
                 strcmp(err.cause, "sign-in") == 0
                     ? "check [source] user and password, and that the user may connect from here"
                     : "check [source] host and port, and that the server runs",
                 "%s", err.msg);
        return;
    }
    ctl_line(lines, CTL_PASS, "source", NULL, "signed in");
    check_variables(source, lines);
    check_grants(source, lines);
    check_clock(source, lines);
    check_tables(source, config, lines);
    check_rows(source, lines);
    ctl_source_close(source);
}

static void
check_kafka(const struct ls_config *config, struct ctl_lines *lines)
{
    static const char *const by_storage[] = {"oc10.oc_filecache", "cs3.resource"};
    static const char *const single[] = {"cs3.space", "cs3.person", "cs3.share", "position",
                                         "schemas",   "dlq",        "status"};
    int want = (int)ls_config_int(config, "lockstep", "partitions"), n;
    struct ls_consumer *consumer = NULL;
    struct ls_err err = {0};

    if (ls_consumer_new(config, NULL, &consumer, &err) < 0) {
        ctl_line(lines, CTL_FAIL, "kafka", "check [kafka] bootstrap.servers and its credentials",
                 "%s", err.msg);
        return;
    }
    for (size_t i = 0; i < 9; i++) {
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
            ctl_line(lines, made ? CTL_PASS : CTL_FAIL, "kafka",
                     made ? NULL : "create it (docs/operations.md lists the settings)",
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
    const struct ls_config *config;
    struct ctl_lines *lines;
    size_t good, bad;
};

static int
check_home(void *arg, const struct ls_str *columns, size_t n)
{
    struct homes *homes = arg;
    char uid[256], home[1100], path[4096];
    struct ls_err err = {0};
    int fd;

    (void)n;
    snprintf(uid, sizeof uid, "%.*s", (int)columns[0].n, columns[0].p);
    snprintf(home, sizeof home, "%.*s", (int)columns[1].n, columns[1].p ? columns[1].p : "");
    if (ap_home_map(homes->config, home, uid, path, sizeof path, &err) < 0) {
        if (homes->bad++ < 10)
            ctl_line(homes->lines, CTL_FAIL, "data", "set [map] or [data] root", "%s: %s", uid,
                     err.msg);
        return 0;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        if (homes->bad++ < 10)
            ctl_line(homes->lines, CTL_FAIL, "data",
                     "mount the data directory here, or map its path in [map]",
                     "home of %s: %s: %s", uid, path, strerror(errno));
        return 0;
    }
    close(fd);
    homes->good++;
    return 0;
}

static void
check_data(const struct ls_config *config, struct ctl_lines *lines)
{
    struct homes homes = {config, lines, 0, 0};
    struct ctl_source *source = NULL;
    struct ls_err err = {0};

    if (ctl_source_open(config, &source, &err) < 0 ||
        ctl_source_each(source,
                        "SELECT a.user_id, a.home FROM {p}accounts a JOIN {p}storages s ON "
                        "s.id=CONCAT('home::',a.user_id)",
                        check_home, &homes, &err) < 0)
        ctl_line(lines, CTL_WARN, "data", "the source must answer first",
                 "homes could not be listed: %s", err.msg);
    else
        ctl_line(lines, homes.bad ? CTL_FAIL : CTL_PASS, "data", NULL,
                 "%zu home folders readable, %zu not", homes.good, homes.bad);
    ctl_source_close(source);
}

int
ctl_check(const struct ls_config *config, const struct ctl_flags *flags, FILE *out)
{
    struct ctl_lines *lines = ctl_lines_new();
    int status;

    if (!lines)
        return LS_EXIT_FAILURE;
    check_source(config, lines);
    check_kafka(config, lines);
    check_target(config, lines);
    check_data(config, lines);
    ctl_lines_print(lines, flags->json, out);
    status = ctl_lines_count(lines, CTL_FAIL) ? LS_EXIT_DIFFERENT : LS_EXIT_OK;
    ctl_lines_free(lines);
    return status;
}
