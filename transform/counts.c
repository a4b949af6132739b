/*
 * Counters by name, and their JSON.
 *
 * They are written into the same transaction as the records and the offsets, and read back at the
 * start, so a crash can neither lose nor double them. What can go wrong: names from outside. All
 * names are words of ours (reasons, causes), a few dozen; a table that is full folds the rest into
 * its last row rather than losing count.
 */
#include "transform/counts.h"

#include <stdio.h>
#include <string.h>

const char *const tf_count_group_names[TF_COUNT_GROUPS] = {"out", "filtered", "dead", "warning"};

static void
add(struct tf_counts *counts, enum tf_count_group group, const char *name, int64_t n)
{
    size_t i = 0;

    while (i < TF_COUNT_NAMES - 1 && counts->by_name[group][i].name[0] &&
           strncmp(counts->by_name[group][i].name, name,
                   sizeof(counts->by_name[group][i].name) - 1) != 0)
        i++;
    if (!counts->by_name[group][i].name[0])
        snprintf(counts->by_name[group][i].name, sizeof(counts->by_name[group][i].name), "%s",
                 name);
    counts->by_name[group][i].n += n;
}

void
tf_count(struct tf_counts *counts, enum tf_count_group group, const char *name)
{
    add(counts, group, name[0] ? name : "other", 1);
}

int64_t
tf_counts_sum(const struct tf_counts *counts, enum tf_count_group group)
{
    int64_t sum = 0;

    for (size_t i = 0; i < TF_COUNT_NAMES; i++)
        sum += counts->by_name[group][i].n;
    return sum;
}

int64_t
tf_counts_get(const struct tf_counts *counts, enum tf_count_group group, const char *name)
{
    for (size_t i = 0; i < TF_COUNT_NAMES; i++) {
        if (strcmp(counts->by_name[group][i].name, name) == 0)
            return counts->by_name[group][i].n;
    }
    return 0;
}

int64_t
tf_counts_balance(const struct tf_counts *counts)
{
    return counts->in - tf_counts_sum(counts, TF_COUNT_OUT) -
           tf_counts_sum(counts, TF_COUNT_FILTERED) - tf_counts_sum(counts, TF_COUNT_DEAD);
}

json_t *
tf_counts_json(const struct tf_counts *counts)
{
    json_t *doc = json_pack("{s:I}", "in", (json_int_t)counts->in);

    for (int g = 0; g < TF_COUNT_GROUPS && doc; g++) {
        json_t *group = json_object();

        for (size_t i = 0; i < TF_COUNT_NAMES && counts->by_name[g][i].name[0]; i++)
            json_object_set_new(group, counts->by_name[g][i].name,
                                json_integer((json_int_t)counts->by_name[g][i].n));
        if (json_object_set_new(doc, tf_count_group_names[g], group) < 0) {
            json_decref(doc);
            return NULL;
        }
    }
    return doc;
}

int
tf_counts_parse(struct ls_str text, struct tf_counts *ret, struct ls_err *err)
{
    json_error_t why;
    json_t *doc = json_loadb(text.p ? text.p : "", text.n, 0, &why), *value;
    struct tf_counts counts = {0};
    const char *name;

    if (!json_is_object(doc) || !json_is_integer(json_object_get(doc, "in"))) {
        json_decref(doc);
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "counters", "the stored counters are damaged");
    }
    counts.in = json_integer_value(json_object_get(doc, "in"));
    for (int g = 0; g < TF_COUNT_GROUPS; g++) {
        json_t *group = json_object_get(doc, tf_count_group_names[g]);

        json_object_foreach(group, name, value)
        {
            if (name[0])
                add(&counts, (enum tf_count_group)g, name, json_integer_value(value));
        }
    }
    json_decref(doc);
    *ret = counts;
    return 0;
}
