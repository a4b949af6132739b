/*
 * The tables of `status` and `lag`: a line for each stage and instance, and below it why.
 *
 * What can go wrong: a document of another version or of a hostile hand; a number that is none is
 * 0, and its words are made harmless for the terminal. 80 columns are enough.
 */
#include "ctl/lines.h"
#include "ctl/status.h"
#include <inttypes.h>
#include <string.h>

#define LEGEND                                                                                     \
    "progress: so long ago; applied: rows that capture published, records that\n"                  \
    "transform sent on, what apply applied\n"

static json_int_t
int_of(const json_t *document, const char *key)
{
    return json_integer_value(json_object_get(document, key));
}

bool
ctl_status_is_parked(const char *cause)
{
    return strcmp(cause, "queued") != 0 && strcmp(cause, "in-flight") != 0;
}

bool
ctl_status_causes(const char *title, json_t *causes, FILE *out)
{
    const char *cause, *comma = title;
    json_t *value;
    char text[128];

    json_object_foreach(causes, cause, value)
    {
        if (json_integer_value(value) <= 0 || !ctl_status_is_parked(cause))
            continue;
        fprintf(out, "%s%" JSON_INTEGER_FORMAT " %s", comma, json_integer_value(value),
                ctl_plain(cause, text, sizeof text));
        comma = ", ";
    }
    return comma != title;
}

/* "12", "~3.4M" where the document calls it an estimate, "unknown". Returns `out`. */
static const char *
amount(const json_t *document, const char *what, char *out, size_t size)
{
    static const char units[] = " kMGTPE";
    const json_t *value = json_object_get(document, what);
    const char *estimated = json_string_value(json_object_get(document, "lag_estimated"));
    const char *about = estimated && strcmp(what + 4, estimated) == 0 ? "~" : "";
    double n = json_number_value(value);
    size_t unit = 0;

    while (n >= 999.95 && unit + 2 < sizeof units && strcmp(what, "lag_bytes") == 0) {
        n /= 1000;
        unit++;
    }
    if (!json_is_integer(value) || n < 0)
        snprintf(out, size, "unknown");
    else if (unit > 0)
        snprintf(out, size, "%s%.1f%c", about, n, units[unit]);
    else
        snprintf(out, size, "%s%.0f", n > 0 ? about : "", n);
    return out;
}

/* Below a stage's line of `status`, when it is behind. */
static void
print_behind(const json_t *document, FILE *out)
{
    char records[32], bytes[32];

    if (int_of(document, "lag_records") > 0 || int_of(document, "lag_bytes") > 0)
        fprintf(out, "    not read yet: %s records, %s bytes\n",
                amount(document, "lag_records", records, sizeof records),
                amount(document, "lag_bytes", bytes, sizeof bytes));
}

static json_int_t
dead_of(const json_t *document)
{
    json_t *object = json_object_get(document, "dead"), *value;
    const char *cause;
    json_int_t sum = 0;

    json_object_foreach(object, cause, value)
    {
        sum += json_integer_value(value);
    }
    return sum;
}

static void
print_progress(const json_t *document, FILE *out)
{
    const json_t *age = json_object_get(document, "progress_age_us");

    if (json_is_integer(age))
        fprintf(out, "%8.1fs ", (double)json_integer_value(age) / 1e6);
    else
        fprintf(out, "%9s ", "-");
}

/* What is below a stage's line. */
static void
print_why(const json_t *document, FILE *out)
{
    const char *why = json_string_value(json_object_get(document, "why"));
    const char *by = json_string_value(json_object_get(document, "replaced_by"));
    char text[256];

    if (by)
        fprintf(out, "    replaced by %s\n", ctl_plain(by, text, sizeof text));
    if (int_of(document, "ahead_us") > 0)
        fprintf(out,
                "    its clock is %.0f s ahead of this host's: whether it still speaks cannot be\n"
                "    told; set both right\n",
                (double)int_of(document, "ahead_us") / 1e6);

    if (why && *why)
        fprintf(out, "    why: %s\n", ctl_plain(why, text, sizeof text));
    if (ctl_status_causes("    parked: ", json_object_get(document, "parked"), out))
        fputc('\n', out);
    if (ctl_status_causes("    dead: ", json_object_get(document, "dead"), out))
        fputc('\n', out);
}

static void
print_missing(json_t *stages, FILE *out)
{
    const char *name;
    size_t at = 0;

    while ((name = ctl_status_missing(stages, &at)) != NULL)
        fprintf(out, "%-18s MISSING: nobody works as %s\n", name, name);
}

void
ctl_status_print(json_t *stages, FILE *out)
{
    const char *key;
    json_t *document;
    char name[128];

    fprintf(out, "%-18s %-9s %9s %9s %10s %7s %6s %5s\n", "STAGE", "STATE", "BEHIND", "PROGRESS",
            "APPLIED", "OPEN", "PARKED", "DEAD");
    json_object_foreach(stages, key, document)
    {
        json_t *snapshot = json_object_get(document, "snapshot");
        const char *state = json_string_value(json_object_get(snapshot, "state"));

        fprintf(out, "%-18s %-9s %8.1fs ", ctl_plain(key, name, sizeof name),
                ctl_status_state(document), (double)int_of(document, "true_lag_us") / 1e6);
        print_progress(document, out);
        fprintf(out,
                "%10" JSON_INTEGER_FORMAT " %7" JSON_INTEGER_FORMAT " %6" JSON_INTEGER_FORMAT
                " %5" JSON_INTEGER_FORMAT "\n",
                int_of(document, "applied"), int_of(document, "open"),
                int_of(document, "parked_records"), dead_of(document));
        if (int_of(document, "balance") != 0)
            fprintf(out, "    COUNTERS OUT OF BALANCE by %" JSON_INTEGER_FORMAT "\n",
                    int_of(document, "balance"));
        print_behind(document, out);
        print_why(document, out);
        if (state && strcmp(state, "running") == 0)
            fprintf(out,
                    "    snapshot: %" JSON_INTEGER_FORMAT " of about %" JSON_INTEGER_FORMAT
                    " rows\n",
                    int_of(snapshot, "rows"), int_of(snapshot, "estimate"));
        if (int_of(document, "sweeps_waiting") > 0)
            fprintf(out,
                    "    sweeps that wait for a word: %" JSON_INTEGER_FORMAT
                    " (lockstep snapshot status)\n",
                    int_of(document, "sweeps_waiting"));
    }
    print_missing(stages, out);
    fputs(json_object_size(stages) > 0 ? LEGEND : "no stage has written a status yet\n", out);
}

void
ctl_lag_print(json_t *stages, FILE *out)
{
    const char *key;
    json_t *document;
    char name[128], records[32], bytes[32];

    fprintf(out, "%-17s %-9s %8s %9s %7s %9s %8s %6s\n", "STAGE", "STATE", "SECONDS", "RECORDS",
            "BYTES", "PROGRESS", "APPLIED", "PARKED");
    json_object_foreach(stages, key, document)
    {
        fprintf(out, "%-17s %-9s %8.1f %9s %7s ", ctl_plain(key, name, sizeof name),
                ctl_status_state(document), (double)int_of(document, "true_lag_us") / 1e6,
                amount(document, "lag_records", records, sizeof records),
                amount(document, "lag_bytes", bytes, sizeof bytes));
        print_progress(document, out);
        fprintf(out, "%8" JSON_INTEGER_FORMAT " %6" JSON_INTEGER_FORMAT "\n",
                int_of(document, "applied"), int_of(document, "parked_records"));
        print_why(document, out);
    }
    print_missing(stages, out);
    fputs("records: not yet read in Kafka, with the marks of transactions; of apply with\n"
          "what is open; of capture, rows not yet read in the binlog; ~: an estimate\n" LEGEND,
          out);
}
