/*
 * Every metric of every daemon against the rules of Prometheus' naming that `promtool check
 * metrics` holds a page to, and some of our own: so a name that breaks them never reaches a daemon.
 */
#include "apply/status.h"
#include "capture/status.h"
#include "common/metrics.h"
#include "transform/status.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *prefix; /* of its names; "" the conventional ones too */
    const struct ls_metric *table;
} tables[] = {{"", ls_metrics_of_all},
              {"lockstep_capture_", cap_metrics},
              {"lockstep_transform_", tf_metrics},
              {"lockstep_apply_", ap_metrics}};
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static bool
ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* One of the words between underscores. */
static bool
has_word(const char *name, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = name; (p = strstr(p, word)); p++)
        if ((p == name || p[-1] == '_') && (p[n] == '_' || p[n] == '\0'))
            return true;
    return false;
}

static void
words_are_plain(const struct ls_metric *metric)
{
    /* other than base units, abbreviations of units, and what the type says already */
    static const char *const banned[] = {
        "ms",        "us",        "ns",      "sec",         "min",     "mins",     "milliseconds",
        "minutes",   "hours",     "days",    "kb",          "mb",      "gb",       "kilobytes",
        "megabytes", "kib",       "mib",     "bits",        "percent", "percents", "counter",
        "gauge",     "histogram", "summary", "microseconds"};

    assert_true(islower((unsigned char)metric->name[0]));
    if (metric->name[strspn(metric->name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
        fail_msg("%s has other characters than a-z, 0-9 and _", metric->name);
    for (size_t i = 0; i < sizeof(banned) / sizeof(banned[0]); i++)
        if (has_word(metric->name, banned[i]))
            fail_msg("%s: not \"%s\" in a name", metric->name, banned[i]);
}

static void
suffix_fits_the_type(const struct ls_metric *metric)
{
    static const char *const reserved[] = {"_bucket", "_count", "_sum"};

    if ((metric->type == LS_COUNTER) != ends_with(metric->name, "_total"))
        fail_msg("%s: counters, and only they, end in _total", metric->name);
    if (metric->type == LS_HISTOGRAM && !ends_with(metric->name, "_seconds"))
        fail_msg("%s: our histograms have buckets of seconds", metric->name);
    for (size_t i = 0; i < 3; i++)
        if (ends_with(metric->name, reserved[i]))
            fail_msg("%s: %s is a histogram's", metric->name, reserved[i]);
}

static void
labels_are_few_and_named(const struct ls_metric *metric)
{
    static const char *const known[] = {
        "table", "reason", "cause",  "result", "kind",          "what",         "outcome",
        "state", "clock",  "method", "stage",  "method,status", "stage,version"};

    if (!metric->label)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(metric->label, known[i]) == 0)
            return;
    fail_msg("%s: is the label %s one of few values, and no user and no path?", metric->name,
             metric->label);
}

static void
names_types_and_helps_follow_the_rules(void **state)
{
    (void)state;
    for (size_t t = 0; t < N_TABLES; t++) {
        for (const struct ls_metric *m = tables[t].table; m->name; m++) {
            size_t n = m->help ? strlen(m->help) : 0;

            if (strncmp(m->name, tables[t].prefix, strlen(tables[t].prefix)) != 0)
                fail_msg("%s does not begin with %s", m->name, tables[t].prefix);
            if (n == 0 || m->help[n - 1] != '.' || strchr(m->help, '\n'))
                fail_msg("%s: a help is a sentence", m->name);
            words_are_plain(m);
            suffix_fits_the_type(m);
            labels_are_few_and_named(m);
        }
    }
}

static void
no_name_is_used_twice(void **state)
{
    (void)state;
    for (size_t t = 0; t < N_TABLES; t++)
        for (const struct ls_metric *m = tables[t].table; m->name; m++)
            for (size_t u = t; u < N_TABLES; u++)
                for (const struct ls_metric *o = u == t ? m + 1 : tables[u].table; o->name; o++)
                    if (strcmp(m->name, o->name) == 0)
                        fail_msg("%s is there twice", m->name);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_types_and_helps_follow_the_rules),
        cmocka_unit_test(no_name_is_used_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
