/*
 * check: the source.
 *
 * A living ownCloud runs on this database, so every query here is either about a small table, by
 * an index, or one pass that ends after some seconds with a note instead of a number. Variables
 * are asked with SHOW, which MariaDB and MySQL both know. Grants are read as text: a role's
 * grants do not show in it, so a missing one is a warning when the user has a role.
 */
#include "capture/source/server.h"
#include "common/run.h"
#include "common/tables.h"
#include "ctl/check/check.h"
#include "ctl/ctl.h"
#include "transform/map.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static int
take_variable(void *arg, const struct ls_str *c, size_t n)
{
    struct ls_buf *value = arg;

    ls_buf_clear(value);
    if (n > 1 && c[1].p)
        ls_buf_append(value, c[1].p, c[1].n);
    return 0;
}

int
check_variable(struct check *check, const char *name, char *out, size_t size)
{
    struct ls_buf value;
    struct ls_err err = {0};
    char sql[128];
    int r;

    ls_buf_init(&value, 4096);
    snprintf(sql, sizeof sql, "SHOW GLOBAL VARIABLES LIKE '%s'", name);
    r = ctl_source_each(check->source, sql, take_variable, &value, &err);
    if (r < 0)
        ctl_line(check->lines, CTL_WARN, "source", NULL, "%s: %s", name, err.msg);
    else
        snprintf(out, size, "%s", ls_buf_text(&value) ? ls_buf_text(&value) : "");
    ls_buf_free(&value);
    return r;
}

/* Where the stream is, in words that another server understands, too. */
static void
check_gtid(struct check *check)
{
    char mode[64];

    if (check_variable(check, "gtid_mode", mode, sizeof mode) < 0)
        return;
    if (!mode[0])
        ctl_line(check->lines, CTL_PASS, "source", NULL, "GTIDs: MariaDB always has them");
    else
        ctl_line(check->lines, strcasecmp(mode, "ON") == 0 ? CTL_PASS : CTL_WARN, "source",
                 strcasecmp(mode, "ON") == 0
                     ? NULL
                     : "set gtid_mode=ON; without it capture cannot go on at another server, and a "
                       "snapshot needs [capture] watermark_table or the right RELOAD",
                 "gtid_mode = %s", mode);
}

struct filters {
    bool seen, good;
    const char *database;
    char only[200], without[200];
};

static int
take_filters(void *arg, const struct ls_str *c, size_t n)
{
    struct filters *f = arg;

    if (n < 4)
        return 0;
    snprintf(f->only, sizeof f->only, "%.*s", (int)c[2].n, c[2].p ? c[2].p : "");
    snprintf(f->without, sizeof f->without, "%.*s", (int)c[3].n, c[3].p ? c[3].p : "");
    f->good = cap_server_logs(f->only, f->without, f->database);
    f->seen = true;
    return 0;
}

/* Rows that the server keeps out of its binlog would be missed without a word. */
static void
check_filters(struct check *check)
{
    struct filters f = {.database = ls_config_str(check->config, "source", "database")};
    struct ls_err ignored = {0};

    /* MySQL 8.4 knows only the second; the grants are told elsewhere */
    if (ctl_source_each(check->source, "SHOW MASTER STATUS", take_filters, &f, &ignored) < 0)
        (void)ctl_source_each(check->source, "SHOW BINARY LOG STATUS", take_filters, &f, &ignored);
    if (!f.seen || (!f.only[0] && !f.without[0]))
        return;
    ctl_line(check->lines, f.good ? CTL_WARN : CTL_FAIL, "source",
             f.good ? "take them out; a statement given in another database, an ALTER too, is not "
                      "in the binlog with them"
                    : "take that out of the server's configuration and restart it: none of "
                      "ownCloud's rows come into its binlog",
             "binlog-do-db = %s, binlog-ignore-db = %s", f.only[0] ? f.only : "(none)",
             f.without[0] ? f.without : "(none)");
}

static void
check_variables(struct check *check)
{
    char value[256], version[256];
    struct ls_err err = {0};

    if (ctl_source_text(check->source, "SELECT VERSION()", version, sizeof version, &err) == 0) {
        bool good = strstr(version, "MariaDB") || strtod(version, NULL) >= 5.7;
        ctl_line(check->lines, good ? CTL_PASS : CTL_FAIL, "source",
                 good ? NULL : "Lockstep follows MariaDB from 10.5 and MySQL from 5.7 on",
                 "server version %s", version);
    }
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        if (check_variable(check, variables[i].name, value, sizeof value) < 0)
            continue;
        bool good = strcasecmp(value, variables[i].want) == 0;
        bool hopeless =
            strcmp(variables[i].name, "binlog_format") == 0 && strcasecmp(value, "STATEMENT") == 0;
        ctl_line(check->lines,
                 good       ? CTL_PASS
                 : hopeless ? CTL_FAIL
                            : variables[i].otherwise,
                 "source", good ? NULL : variables[i].todo, "%s = %s", variables[i].name,
                 value[0] ? value : "(unknown to this server)");
    }
    check_filters(check);
    check_gtid(check);
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
check_grants(struct check *check)
{
    static const struct {
        const char *any_of[4];
        const char *todo;
    } wanted[] = {
        {{"REPLICATION SLAVE", "ALL PRIVILEGES ON *.*", NULL},
         "GRANT REPLICATION SLAVE ON *.* TO ..."},
        {{"BINLOG MONITOR", "REPLICATION CLIENT", "ALL PRIVILEGES ON *.*", NULL},
         "GRANT BINLOG MONITOR ON *.* TO ... (REPLICATION CLIENT before MariaDB 10.5)"},
        {{"SELECT", "ALL PRIVILEGES", NULL}, "GRANT SELECT ON <ownCloud's database>.* TO ..."},
    };
    struct ls_buf all;
    struct ls_err err = {0};
    const char *text;

    ls_buf_init(&all, 1 << 20);
    if (ctl_source_each(check->source, "SHOW GRANTS", take_grant, &all, &err) < 0 ||
        !(text = ls_buf_text(&all))) {
        ctl_line(check->lines, CTL_WARN, "source", NULL, "grants: %s", err.msg);
        ls_buf_free(&all);
        return;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        bool there = false;
        for (size_t k = 0; wanted[i].any_of[k]; k++)
            there = there || strstr(text, wanted[i].any_of[k]) != NULL;
        /* a role stands as: GRANT `role` TO */
        bool by_role = !there && strstr(text, "GRANT `") != NULL;
        ctl_line(check->lines,
                 there     ? CTL_PASS
                 : by_role ? CTL_WARN
                           : CTL_FAIL,
                 "source", there ? NULL : wanted[i].todo, "grant %s%s", wanted[i].any_of[0],
                 there     ? ""
                 : by_role ? " is not there, unless by a role"
                           : " is missing");
    }
    ls_buf_free(&all);
}

struct columns {
    const struct ls_table *table;
    bool seen[LS_MAX_COLUMNS];
    size_t n;
};

static int
take_column(void *arg, const struct ls_str *c, size_t n)
{
    struct columns *columns = arg;

    (void)n;
    columns->n++;
    for (size_t i = 0; i < columns->table->n_columns; i++) {
        const char *name = columns->table->columns[i].name;
        if (c[0].n == strlen(name) && strncasecmp(c[0].p, name, c[0].n) == 0)
            columns->seen[i] = true;
    }
    return 0;
}

static void
check_tables(struct check *check)
{
    const char *prefix = ls_config_str(check->config, "source", "table_prefix");
    size_t good = 0;
    char sql[512];
    struct ls_err err = {0};

    for (size_t t = 0; t < LS_T_COUNT; t++) {
        struct columns columns = {.table = &ls_tables[t]};
        bool optional = ls_tables[t].optional;

        snprintf(sql, sizeof sql,
                 "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE "
                 "TABLE_SCHEMA=DATABASE() AND TABLE_NAME='%s%s'",
                 prefix, ls_tables[t].name);
        if (ctl_source_each(check->source, sql, take_column, &columns, &err) < 0) {
            ctl_line(check->lines, CTL_WARN, "source", NULL, "table %s%s: %s", prefix,
                     ls_tables[t].name, err.msg);
            continue;
        }
        if (columns.n == 0) {
            ctl_line(check->lines, optional ? CTL_PASS : CTL_FAIL, "source",
                     optional ? NULL
                              : "is [source] database and table_prefix right, and SELECT granted?",
                     "table %s%s is not there%s", prefix, ls_tables[t].name,
                     optional ? " (its app is not installed)" : "");
            continue;
        }
        good++;
        for (size_t c = 0; c < ls_tables[t].n_columns; c++) {
            const struct ls_column *column = &ls_tables[t].columns[c];
            if (!columns.seen[c])
                ctl_line(check->lines, column->key ? CTL_FAIL : CTL_WARN, "source",
                         column->key ? "this is no ownCloud 10 table" : NULL,
                         "column %s%s.%s is not there (an older release)", prefix,
                         ls_tables[t].name, column->name);
        }
    }
    ctl_line(check->lines, CTL_PASS, "source", NULL, "%zu watched tables are there", good);
}

/* Counts that say something about what will not, or not simply, be carried. One line each. */
static const struct {
    const char *sql;
    const char *what;
    const char *todo;
    enum ctl_level level;
} counts[] = {
    {"SELECT COUNT(*) FROM {p}filecache WHERE encrypted<>0", "encrypted files",
     "decrypt them first (occ encryption:decrypt-all); each becomes a dead letter", CTL_FAIL},
    {"SELECT COUNT(*) FROM {p}filecache WHERE LENGTH(name)>255 AND path LIKE 'files/%'",
     "names longer than 255 bytes", "oCIS cannot hold them: rename them", CTL_FAIL},
    {"SELECT COUNT(*) FROM {p}filecache WHERE name REGEXP '-chunking-(.*-)?[0-9]+-[0-9]+$' AND "
     "path LIKE 'files/%'",
     "names that oCIS takes for chunks of old uploads",
     "rename them (...-chunking-1-2-3); each becomes a dead letter", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}filecache WHERE (mtime>9223372035 OR mtime<-9223372036) AND path "
     "LIKE 'files/%'",
     "files with a time of change beyond what oCIS can hold",
     "they get the nearest time it can hold (the years 1677 to 2262)", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}filecache f LEFT JOIN {p}filecache p ON p.fileid=f.parent "
     "WHERE f.parent>=0 AND p.fileid IS NULL",
     "files whose parent does not exist", "occ files:scan --repair; they stay parked", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}filecache f JOIN {p}filecache p ON p.fileid=f.parent WHERE "
     "f.storage<>p.storage OR NOT (CAST(f.path AS BINARY) <=> CAST(IF(p.path='',f.name,"
     "CONCAT(p.path,'/',f.name)) AS BINARY))",
     "rows whose path or storage disagrees with their parent",
     "occ files:scan --repair; they are taken by parent and name (check --source names them)",
     CTL_WARN},
    {"SELECT COUNT(*) FROM {p}storages WHERE id LIKE 'shared::%'", "received federated storages",
     "they are not carried", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}storages WHERE id NOT LIKE 'home::%' AND id NOT LIKE "
     "'object::user:%' AND id NOT LIKE 'shared::%' AND id NOT LIKE 'local::%/uploads/' AND id NOT "
     "REGEXP '^[0-9a-f]{32}$' AND id NOT IN (SELECT DISTINCT CONCAT('local::', LEFT(home, "
     "CHAR_LENGTH(home)-CHAR_LENGTH(SUBSTRING_INDEX(home,'/',-1)))) FROM {p}accounts)",
     "external storages", "they are not carried (check --source names them)", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}accounts WHERE (email IS NULL OR email='') AND state<>3",
     "users without a mail address", NULL, CTL_NOTE},
    {"SELECT COUNT(*) FROM (SELECT email FROM {p}accounts WHERE email<>'' AND state<>3 GROUP BY "
     "email HAVING COUNT(*)>1) x",
     "mail addresses that several users have",
     "make them unique before users sign in by mail: which of them is meant cannot be told",
     CTL_WARN},
    {"SELECT COUNT(*) FROM {p}share WHERE share_type IN (6,7)", "federated shares",
     "they are not carried", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}share WHERE share_type NOT IN (0,1,2,3,4,6,7)",
     "shares of an unknown type", "each becomes a dead letter", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}share s LEFT JOIN {p}accounts a ON a.user_id=s.share_with WHERE "
     "s.share_type=0 AND a.id IS NULL",
     "shares with users who do not exist", "they stay parked", CTL_WARN},
    {"SELECT COUNT(*) FROM {p}share s LEFT JOIN {p}groups g ON g.gid=s.share_with WHERE "
     "s.share_type=1 AND g.gid IS NULL AND s.share_with LIKE 'customgroup\\_%'",
     "shares with groups of the app customgroups",
     "they are not carried: share with groups of ownCloud's own, or with the people", CTL_WARN},
};

static void
check_rows(struct check *check)
{
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        long long n = check_count(check, counts[i].what, counts[i].sql);
        if (n >= 0)
            ctl_line(check->lines, n ? counts[i].level : CTL_PASS, "source",
                     n ? counts[i].todo : NULL, "%lld %s", n, counts[i].what);
    }
}

/* Old links go on working only where capture gives their secrets and apply writes them itself. */
static void
check_links(struct check *check)
{
    long long links =
        check_count(check, "links", "SELECT COUNT(*) FROM {p}share WHERE share_type=3");
    long long locked =
        check_count(check, "links with a password",
                    "SELECT COUNT(*) FROM {p}share WHERE share_type=3 AND share_with IS NOT NULL");
    bool carried =
        ls_config_bool(check->config, "capture", "link_secrets") && ctl_writes_exact(check->config);

    if (links < 0 || locked < 0)
        return;
    if (links == 0 || carried)
        ctl_line(check->lines, CTL_PASS, "source", NULL, "%lld links, %lld with a password%s",
                 links, locked, links ? ": carried with them" : "");
    else
        ctl_line(check->lines, CTL_WARN, "source",
                 "[capture] link_secrets = true and [target] system_user_id, system_user_key_file, "
                 "that old links go on working",
                 "%lld links get a new address, %lld of them a password that nobody knows", links,
                 locked);
}

static int
take_big_folder(void *arg, const struct ls_str *c, size_t n)
{
    struct check *check = arg;

    (void)n;
    ctl_line(check->lines, CTL_WARN, "source",
             "oCIS answers 500 when a user lists more than 16,000 entries: spread them before the "
             "switch",
             "%.*s entries in %.*s of %.*s", (int)c[0].n, c[0].p ? c[0].p : "", (int)c[1].n,
             c[1].p ? c[1].p : "", (int)c[2].n, c[2].p ? c[2].p : "");
    return 0;
}

static void
check_big_folders(struct check *check)
{
    size_t before = ctl_lines_count(check->lines, CTL_WARN);
    struct ls_err err = {0};

    /* the index on (parent, name_hash) holds all that the inner query reads */
    if (ctl_source_each(check->source,
                        "SELECT x.n, f.path, s.id FROM (SELECT parent, COUNT(*) n FROM "
                        "{p}filecache GROUP BY parent HAVING n>16000 LIMIT 100) x JOIN "
                        "{p}filecache f ON f.fileid=x.parent JOIN {p}storages s ON "
                        "s.numeric_id=f.storage WHERE f.path='files' OR f.path LIKE 'files/%' "
                        "LIMIT 20",
                        take_big_folder, check, &err) < 0)
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "folders of more than 16,000 entries: %s",
                 strcmp(err.cause, "too-slow") == 0 ? "not counted, it takes too long" : err.msg);
    else if (ctl_lines_count(check->lines, CTL_WARN) == before)
        ctl_line(check->lines, CTL_PASS, "source", NULL, "no folder of more than 16,000 entries");
}

static void
check_clock(struct check *check)
{
    char value[64];
    struct ls_err err = {0};
    double difference;

    if (ctl_source_text(check->source, "SELECT UNIX_TIMESTAMP(NOW(6))", value, sizeof value, &err) <
        0)
        return;
    difference = strtod(value, NULL) - (double)ls_now_us() / 1e6;
    bool good = difference < 2 && difference > -2;
    ctl_line(check->lines, good ? CTL_PASS : CTL_WARN, "source",
             good ? NULL : "let both run NTP; lag is wrong by that much", "clock differs by %.1f s",
             difference);
}

/* What ownCloud gives to users without a quota of their own is not in the stream. */
static void
check_default_quota(struct check *check)
{
    int64_t have = ls_config_int(check->config, "people", "default_quota"), bytes = 0;
    enum cs3_quota kind;
    struct ls_err err = {0};
    char value[256];
    bool good;

    if (ctl_source_text(check->source,
                        "SELECT COALESCE(MAX(configvalue), '') FROM {p}appconfig WHERE "
                        "appid='files' AND configkey='default_quota'",
                        value, sizeof value, &err) < 0 ||
        !tf_quota_parse(ls_str_of(value), &kind, &bytes)) {
        ctl_line(check->lines, CTL_NOTE, "source", NULL, "ownCloud's default quota: %s",
                 err.kind != LS_ERR_NONE ? err.msg : "not a size");
        return;
    }
    good = have == (kind == CS3_QUOTA_BYTES ? bytes : 0);
    ctl_line(check->lines, good ? CTL_PASS : CTL_WARN, "source",
             good ? NULL : "set people.default_quota to it, in bytes (0: what oCIS gives)",
             "ownCloud's default quota is %s, people.default_quota %lld", value[0] ? value : "none",
             (long long)have);
}

void
check_source(struct check *check)
{
    ctl_line(check->lines, CTL_PASS, "source", NULL, "signed in at %s:%lld as %s",
             ls_config_str(check->config, "source", "host"),
             (long long)ls_config_int(check->config, "source", "port"),
             ls_config_str(check->config, "source", "user"));
    check_owncloud(check);
    check_variables(check);
    check_grants(check);
    check_clock(check);
    check_tables(check);
    check_source_text(check);
    check_rows(check);
    check_links(check);
    check_default_quota(check);
    check_big_folders(check);
    check_estimates(check);
}
