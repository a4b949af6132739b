/*
 * Prints docs/configuration.md, docs/METRICS.md and docs/columns.md, from the table of options, the
 * daemons' tables of metrics and transform's table of columns. A unit test compares the files with
 * what is printed here, so an option, a metric or a column that nobody documented does not exist.
 */
#include "ctl/reference.h"
#include "apply/status.h"
#include "capture/status.h"
#include "common/config.h"
#include "common/metrics.h"
#include "ctl/manual.h"
#include "transform/columns.h"
#include "transform/status.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* A '|' would end the table's cell. */
static void
cell(const char *text, FILE *out)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\|" : "%c", *text);
}

static void
print_option(const struct ls_option *option, FILE *out)
{
    static const char *const types[] = {
        [LS_OPT_STR] = "text", [LS_OPT_INT] = "number", [LS_OPT_BOOL] = "true or false"};
    char variable[128];
    size_t n =
        (size_t)snprintf(variable, sizeof variable, "LOCKSTEP_%s_%s", option->section, option->key);

    for (size_t i = 0; i < n; i++)
        variable[i] = (char)toupper((unsigned char)variable[i]);
    fprintf(out, "| `%s` | %s", option->key, option->secret ? "secret" : types[option->type]);
    if (option->type == LS_OPT_INT && (option->min || option->max))
        fprintf(out, ", %" PRId64 " to %" PRId64, option->min, option->max);
    fputs(" | ", out);
    if (option->fallback) {
        fputc('`', out);
        cell(option->fallback, out);
        fputc('`', out);
    }
    fputs(" | ", out);
    cell(option->help, out);
    fprintf(out, " | `%s` |\n", variable);
}

static void
print_configuration(FILE *out)
{
    const char *section = "";

    fputs(
        "# Configuration\n\n"
        "<!-- printed by `lockstep reference configuration`; a test compares -->\n\n"
        "One INI file for all programs: `--config FILE`, else `/etc/lockstep/lockstep.conf` where "
        "it exists. What stands\nlater wins: the defaults below, the file, the credentials, the "
        "environment, `--set SECTION.KEY=VALUE`. An unknown\nsection or key is an error with file "
        "and line. A secret may be given as a file: `password_file` next to `password`\n(and "
        "`..._PASSWORD_FILE` in the environment). Credentials are files that are named "
        "`SECTION.KEY`, say `source.password`,\nin the folder that systemd tells by "
        "`$CREDENTIALS_DIRECTORY`; without that, and without `--config`, in\n"
        "`/etc/lockstep/credentials` where it can be read. `--dump-config` shows what is in force, "
        "secrets hidden;\n`--check-config` only checks.\n",
        out);
    for (const struct ls_option *option = ls_options; option->section; option++) {
        if (strcmp(section, option->section) != 0) {
            section = option->section;
            fprintf(out,
                    "\n## [%s]\n\n| key | value | default | | environment |\n"
                    "|---|---|---|---|---|\n",
                    section);
        }
        print_option(option, out);
    }
    fputs("\n## [kafka]\n\n"
          "Every key goes to librdkafka as it is (`bootstrap.servers`, `security.protocol`, "
          "`sasl.username`, ...); in the\nenvironment with `_` for `.`: "
          "`LOCKSTEP_KAFKA_BOOTSTRAP_SERVERS`. What Lockstep's promises rest on (`acks`,\n"
          "`isolation.level`, `enable.idempotence`, ...) cannot be set.\n\n"
          "## [map]\n\n"
          "A path prefix of `oc_accounts.home` and where it is on this machine, one a line: "
          "`/var/www/owncloud/data = /mnt/oc10`.\nThe longest prefix that matches is taken.\n\n"
          "## [spaces]\n\n"
          "Storages that are nobody's home and shall be project spaces, one a line: the space's "
          "name, its owner's uid and\n`oc_storages.id`, in which `*` stands for any text: "
          "`Marketing = alice, smb::fs@files.example.com//marketing/`. The\nfirst line that "
          "matches is taken; homes, upload areas, the data directory and received shares never "
          "are, an id that is\nan md5 only where it is given as it stands. All other storages are "
          "left out, counted by kind. The writer `ocis-api`\nmakes no project spaces: what lies "
          "in them is in the records, and counted there as `left:project`.\n",
          out);
}

static void
print_table(const char *name, const struct ls_metric *table, FILE *out)
{
    static const char *const types[] = {
        [LS_COUNTER] = "counter", [LS_GAUGE] = "gauge", [LS_HISTOGRAM] = "histogram"};

    fprintf(out, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", name);
    for (const struct ls_metric *metric = table; metric->name; metric++) {
        fprintf(out, "| `%s` | %s | %s | ", metric->name, types[metric->type],
                metric->label ? metric->label : "");
        cell(metric->help, out);
        fputs(" |\n", out);
    }
}

static void
print_metrics(FILE *out)
{
    static const struct {
        const char *name;
        const struct ls_metric *table;
    } stages[] = {{"lockstep-capture", cap_metrics},
                  {"lockstep-transform", tf_metrics},
                  {"lockstep-apply", ap_metrics}};

    fputs("# Metrics\n\n"
          "<!-- printed by `lockstep reference metrics`; a test compares -->\n\n"
          "Each daemon answers `/metrics` (Prometheus text) at `[http] listen:port`. A label's "
          "values are few words of the\nprogram's own, at most 200 of a metric (then `other`); no "
          "user names, no paths. Counters that are not \"since the\nstart\" are kept with the "
          "position or the ledger. Alert rules are in `packaging/prometheus`, dashboards in\n"
          "`packaging/grafana`, what to do in `docs/runbooks`.\n\n"
          "Two numbers are estimates, and named so: how many rows capture is behind (a binlog "
          "says its bytes), and how many\nbytes transform and apply are (a topic says its "
          "offsets).\n",
          out);
    print_table("all daemons", ls_metrics_of_all, out);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
        print_table(stages[i].name, stages[i].table, out);
}

int
ctl_reference(const char *page, FILE *out)
{
    if (page && strcmp(page, "configuration") == 0)
        print_configuration(out);
    else if (page && strcmp(page, "metrics") == 0)
        print_metrics(out);
    else if (page && strcmp(page, "columns") == 0)
        tf_columns_print(out);
    else
        return page ? ctl_manual(page, out) : -1;
    return 0;
}
