/*
 * Counters, gauges and histograms, and their text form.
 *
 * A metric's series are made when a label value is first seen. What can go wrong:
 * a label value that is not from a small known set would grow this without end,
 * or tell somebody's name. So a value that is no word of letters, digits, blanks
 * and `_.:-` is counted as "other", and so is every further one at a bound. Two
 * labels are one text here, with a comma between; they are parted when printed.
 */
#include "common/metrics.h"
#include "common/metrics_parts.h"
#include "common/run.h"
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SERIES_MAX 200 /* label values of one metric */
#define VALUE_MAX 64

static const double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                2.5,   5,    10,    30,   60,  120,  300, 600};
#define N_BOUNDS (sizeof(bounds) / sizeof(*bounds))

struct series {
    struct series *next;
    char *label_value; /* NULL: the metric has no label */
    double value;      /* of a histogram: the sum */
    int64_t since_ms;  /* ls_mono_ms from which on it rises; 0: it does not */
    uint64_t buckets[N_BOUNDS + 1];
};

struct family {
    struct series *first;
    size_t n;
};

struct ls_metrics {
    const char *stage;
    const struct ls_metric *table;
    size_t n;
    double started_s; /* since 1970 */
    struct family *families;
    pthread_mutex_t lock;
};

struct ls_metrics *
ls_metrics_new(const char *stage, const struct ls_metric *table)
{
    struct ls_metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->stage = stage;
    m->table = table;
    m->started_s = (double)ls_now_us() / 1e6;
    while (table[m->n].name)
        m->n++;
    m->families = calloc(m->n + 1, sizeof(*m->families));
    if (!m->families) {
        free(m);
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void
ls_metrics_free(struct ls_metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < metrics->n; i++) {
        struct series *s = metrics->families[i].first;

        while (s) {
            struct series *next = s->next;

            free(s->label_value);
            free(s);
            s = next;
        }
    }
    free(metrics->families);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static struct series *
series_find(const struct family *f, const char *label_value)
{
    for (struct series *s = f->first; s; s = s->next) {
        if (!label_value ? !s->label_value
                         : s->label_value && strcmp(s->label_value, label_value) == 0)
            return s;
    }
    return NULL;
}

/* Words of ours look like this; what came from a file, a person or a server may not. */
static bool
is_word(const char *value, bool two)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.:-");

    if (two && value[n] == ',')
        return n <= VALUE_MAX && is_word(value + n + 1, false);
    return !two && value[n] == '\0' && n <= VALUE_MAX;
}

/* Called under the lock. NULL when memory is out: the number is lost, nothing else. */
static struct series *
series_get(struct ls_metrics *m, int id, const char *label_value)
{
    struct family *f = &m->families[id];
    struct series *s, **at = &f->first;
    bool two;

    if (!m->table[id].label)
        label_value = NULL;
    else if (!label_value)
        label_value = "";
    s = series_find(f, label_value);
    two = label_value && strchr(m->table[id].label, ',');
    if (!s && label_value && (f->n >= SERIES_MAX || !is_word(label_value, two))) {
        label_value = two ? "other,other" : "other";
        s = series_find(f, label_value);
    }
    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    if (label_value && !(s->label_value = strdup(label_value))) {
        free(s);
        return NULL;
    }
    while (*at)
        at = &(*at)->next;
    *at = s;
    f->n++;
    return s;
}

void
ls_metric_add(struct ls_metrics *metrics, int id, const char *label_value, double n)
{
    struct series *s;

    pthread_mutex_lock(&metrics->lock);
    s = series_get(metrics, id, label_value);
    if (s)
        s->value += n;
    pthread_mutex_unlock(&metrics->lock);
}

void
ls_metric_reach(struct ls_metrics *metrics, int id, const char *label_value, double n)
{
    struct series *s;

    pthread_mutex_lock(&metrics->lock);
    s = series_get(metrics, id, label_value);
    if (s && n > s->value)
        s->value = n;
    pthread_mutex_unlock(&metrics->lock);
}

void
ls_metric_set(struct ls_metrics *metrics, int id, const char *label_value, double n)
{
    struct series *s;

    pthread_mutex_lock(&metrics->lock);
    s = series_get(metrics, id, label_value);
    if (s) {
        s->value = n;
        s->since_ms = 0;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void
ls_metric_set_age(struct ls_metrics *metrics, int id, const char *label_value, double seconds)
{
    struct series *s;

    pthread_mutex_lock(&metrics->lock);
    s = series_get(metrics, id, label_value);
    if (s) {
        s->value = seconds;
        s->since_ms = ls_mono_ms();
    }
    pthread_mutex_unlock(&metrics->lock);
}

static double
value_now(const struct series *s)
{
    return s->since_ms ? s->value + (double)(ls_mono_ms() - s->since_ms) / 1000 : s->value;
}

void
ls_metric_observe(struct ls_metrics *metrics, int id, const char *label_value, double seconds)
{
    struct series *s;
    size_t b = 0;

    while (b < N_BOUNDS && seconds > bounds[b])
        b++;
    pthread_mutex_lock(&metrics->lock);
    s = series_get(metrics, id, label_value);
    if (s) {
        s->buckets[b]++;
        s->value += seconds;
    }
    pthread_mutex_unlock(&metrics->lock);
}

double
ls_metric_get(struct ls_metrics *metrics, int id, const char *label_value)
{
    struct series *s;
    double ret;

    pthread_mutex_lock(&metrics->lock);
    s = series_get(metrics, id, label_value);
    ret = s ? value_now(s) : 0;
    pthread_mutex_unlock(&metrics->lock);
    return ret;
}

/* ---- text */

static void
help_put(struct ls_buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            ls_buf_append(out, "\\\\", 2);
        else if (*s == '\n')
            ls_buf_append(out, "\\n", 2);
        else
            ls_buf_append(out, s, 1);
    }
}

static void
labels_put(struct ls_buf *out, const char *label, const char *value, const char *le)
{
    if (!label && !le)
        return;
    ls_buf_append(out, "{", 1);
    if (label) {
        size_t n = strcspn(label, ","), n_value = strcspn(value ? value : "", ",");

        ls_buf_printf(out, "%.*s=\"%.*s\"", (int)n, label, (int)n_value, value ? value : "");
        if (label[n])
            ls_buf_printf(out, ",%s=\"%s\"", label + n + 1, value + n_value + 1);
    }
    if (le)
        ls_buf_printf(out, "%sle=\"%s\"", label ? "," : "", le);
    ls_buf_append(out, "}", 1);
}

static void
number_put(struct ls_buf *out, double v)
{
    if (isnan(v))
        ls_buf_printf(out, " NaN\n");
    else if (isinf(v))
        ls_buf_printf(out, v > 0 ? " +Inf\n" : " -Inf\n");
    else
        ls_buf_printf(out, " %.16g\n", v);
}

static void
histogram_put(struct ls_buf *out, const struct ls_metric *metric, const struct series *s)
{
    uint64_t count = 0;
    char le[32];

    for (size_t b = 0; b <= N_BOUNDS; b++) {
        count += s->buckets[b];
        if (b < N_BOUNDS)
            snprintf(le, sizeof(le), "%g", bounds[b]);
        ls_buf_printf(out, "%s_bucket", metric->name);
        labels_put(out, metric->label, s->label_value, b < N_BOUNDS ? le : "+Inf");
        number_put(out, (double)count);
    }
    ls_buf_printf(out, "%s_sum", metric->name);
    labels_put(out, metric->label, s->label_value, NULL);
    number_put(out, s->value);
    ls_buf_printf(out, "%s_count", metric->name);
    labels_put(out, metric->label, s->label_value, NULL);
    number_put(out, (double)count);
}

/* ---- of all daemons */

const struct ls_metric ls_metrics_of_all[] = {
    {"lockstep_build_info", LS_GAUGE, "stage,version", "Version of this program; always 1."},
    {"lockstep_ready", LS_GAUGE, NULL, "1 while /readyz answers 200."},
    {"process_cpu_seconds_total", LS_COUNTER, NULL, "Processor time used, user and system."},
    {"process_resident_memory_bytes", LS_GAUGE, NULL, "Memory in use."},
    {"process_start_time_seconds", LS_GAUGE, NULL, "When it was started, since 1970."},
    {NULL, LS_COUNTER, NULL, NULL},
};

static double
cpu_seconds(void)
{
    struct rusage used = {0};

    (void)getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* NaN where /proc does not tell. */
static double
resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long all, resident = -1;

    if (!file)
        return NAN;
    if (fscanf(file, "%ld %ld", &all, &resident) != 2)
        resident = -1;
    fclose(file);
    return resident < 0 ? NAN : (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void
head_put(struct ls_buf *out, const struct ls_metric *metric)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    ls_buf_printf(out, "# HELP %s ", metric->name);
    help_put(out, metric->help);
    ls_buf_printf(out, "\n# TYPE %s %s\n", metric->name, types[metric->type]);
}

static void
of_all_put(const struct ls_metrics *metrics, bool ready, struct ls_buf *out)
{
    const double values[] = {1, ready, cpu_seconds(), resident_bytes(), metrics->started_s};
    char build[VALUE_MAX];

    snprintf(build, sizeof(build), "%s,%s", metrics->stage, LS_VERSION);
    for (size_t i = 0; ls_metrics_of_all[i].name; i++) {
        head_put(out, &ls_metrics_of_all[i]);
        ls_buf_printf(out, "%s", ls_metrics_of_all[i].name);
        labels_put(out, ls_metrics_of_all[i].label, build, NULL);
        number_put(out, values[i]);
    }
}

void
metrics_print(struct ls_metrics *metrics, bool ready, struct ls_buf *out)
{
    of_all_put(metrics, ready, out);
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->n; i++) {
        const struct ls_metric *metric = &metrics->table[i];

        /* A series without a label is there from the start, at zero. */
        if (!metric->label)
            series_get(metrics, (int)i, NULL);
        head_put(out, metric);
        for (struct series *s = metrics->families[i].first; s; s = s->next) {
            if (metric->type == LS_HISTOGRAM) {
                histogram_put(out, metric, s);
                continue;
            }
            ls_buf_printf(out, "%s", metric->name);
            labels_put(out, metric->label, s->label_value, NULL);
            number_put(out, value_now(s));
        }
    }
    pthread_mutex_unlock(&metrics->lock);
}
