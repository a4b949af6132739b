/*
 * The table behind docs/columns.md says what the code, the schemas and ownCloud's tables say.
 */
#include "common/records.h"
#include "transform/columns.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the four above */
#include <cmocka.h>

static const struct tf_column *
find(const char *table, const char *column)
{
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        if (strcmp(c->table, table) == 0 && strcmp(c->column, column) == 0)
            return c;
    }
    return NULL;
}

static void
every_column_that_leaves_the_source_has_its_row(void **state)
{
    (void)state;
    for (size_t t = 0; t < LS_T_COUNT; t++) {
        for (size_t i = 0; i < ls_tables[t].n_columns; i++) {
            if (!find(ls_tables[t].name, ls_tables[t].columns[i].name))
                fail_msg("%s.%s has no row", ls_tables[t].name, ls_tables[t].columns[i].name);
        }
    }
}

static void
a_row_is_of_a_watched_table_and_the_only_one_of_its_column(void **state)
{
    (void)state;
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        if (!ls_table_by_name(c->table, strlen(c->table)))
            fail_msg("%s is not watched", c->table);
        if (find(c->table, c->column) != c)
            fail_msg("%s.%s stands twice", c->table, c->column);
        /* One heading for each table. */
        if (c > tf_columns && strcmp(c[-1].table, c->table) != 0) {
            for (const struct tf_column *before = tf_columns; before < c; before++)
                assert_string_not_equal(before->table, c->table);
        }
    }
}

static bool
is_carried(const char *table, const char *column)
{
    const struct ls_table *t = ls_table_by_name(table, strlen(table));

    for (size_t i = 0; i < t->n_columns; i++) {
        if (strcmp(t->columns[i].name, column) == 0)
            return true;
    }
    return false;
}

static void
what_is_in_a_record_leaves_the_source_and_what_is_in_none_is_not_carried(void **state)
{
    (void)state;
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        if (!c->record != !c->fields || !c->record != (c->api == TF_NOT_CARRIED) ||
            !c->record != (c->store == TF_NOT_CARRIED) ||
            (c->record && !is_carried(c->table, c->column)))
            fail_msg("the row of %s.%s contradicts itself", c->table, c->column);
        if (c->api >= TF_FATES || c->store >= TF_FATES || !c->note || strchr(c->note, '|'))
            fail_msg("the row of %s.%s cannot be printed", c->table, c->column);
    }
}

/* ---- against the schemas */

/* Fields that every record has, of the stream and not of a row. */
static const char *const heads[] = {"kind",          "seq_epoch",     "seq_counter", "part",
                                    "begin_epoch",   "begin_counter", "begin_part",  "source_ts_us",
                                    "capture_ts_us", "snapshot"};

static bool
names(const char *fields, const char *field)
{
    size_t n = strlen(field);

    for (const char *p = fields; p && *p;) {
        size_t m = strcspn(p, " ");

        if (m == n && memcmp(p, field, n) == 0)
            return true;
        p += m + (p[m] == ' ');
    }
    return false;
}

static bool
comes_from_a_column(const char *record, const char *field)
{
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        if (strcmp(heads[i], field) == 0)
            return true;
    }
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        if (c->record && strcmp(c->record, record) == 0 && names(c->fields, field))
            return true;
    }
    return false;
}

static json_t *
fields_of(const char *record)
{
    size_t n;
    const struct ls_schema *all = ls_schema_all(&n);
    char name[64];

    snprintf(name, sizeof(name), "cs3/%s", record);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].name, name) == 0) {
            json_t *schema = json_loads(all[i].json, 0, NULL);
            json_t *fields = json_incref(json_object_get(schema, "fields"));

            assert_non_null(fields);
            json_decref(schema);
            return fields;
        }
    }
    return NULL;
}

static void
every_field_named_is_one_of_the_schema(void **state)
{
    (void)state;
    for (const struct tf_column *c = tf_columns; c->table; c++) {
        json_t *fields = c->record ? fields_of(c->record) : NULL, *field;
        size_t i;

        if (!c->record)
            continue;
        if (!fields)
            fail_msg("%s.%s: there is no record %s", c->table, c->column, c->record);
        for (const char *p = c->fields; *p;) {
            size_t n = strcspn(p, " ");
            bool found = false;

            json_array_foreach(fields, i, field)
            {
                const char *name = json_string_value(json_object_get(field, "name"));

                found = found || (strlen(name) == n && memcmp(name, p, n) == 0);
            }
            if (!found)
                fail_msg("%s.%s: %s has no field %.*s", c->table, c->column, c->record, (int)n, p);
            p += n + (p[n] == ' ');
        }
        json_decref(fields);
    }
}

static void
every_field_of_a_record_comes_from_a_column(void **state)
{
    size_t n;
    const struct ls_schema *all = ls_schema_all(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        const char *record = strncmp(all[i].name, "cs3/", 4) == 0 ? all[i].name + 4 : NULL;
        json_t *fields = record ? fields_of(record) : NULL, *field;
        size_t k;

        json_array_foreach(fields, k, field)
        {
            const char *name = json_string_value(json_object_get(field, "name"));

            if (!comes_from_a_column(record, name))
                fail_msg("nothing says where %s.%s comes from", record, name);
        }
        json_decref(fields);
    }
}

/* ---- against ownCloud's tables; tests run in the repository's root */

static char *
file_text(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1u << 20);

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, (1u << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

/* The columns of a CREATE TABLE that may stand on one line or on many: the words that begin its
 * parts, except those of keys. */
static size_t
check_table(const char *table, const char *body)
{
    static const char *const keys[] = {"PRIMARY", "UNIQUE", "KEY", "CONSTRAINT"};
    size_t n = 0;
    int depth = 1;
    bool at_start = true;

    for (const char *p = body; *p && depth > 0; p++) {
        if (p[0] == '-' && p[1] == '-') {
            p += strcspn(p, "\n");
            continue;
        }
        if (*p == '(')
            depth++;
        else if (*p == ')')
            depth--;
        else if (*p == ',' && depth == 1)
            at_start = true;
        else if (at_start && !strchr(" \n`", *p)) {
            char word[64];
            bool key = false;

            snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " `"), p);
            for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
                key = key || strcmp(keys[i], word) == 0;
            if (!key && !find(table, word))
                fail_msg("oc_%s.%s has no row", table, word);
            n += !key;
            p += strlen(word) - 1;
            at_start = false;
        }
    }
    return n;
}

static void
every_column_of_ownclouds_watched_tables_has_its_row(void **state)
{
    char *schema = file_text("tests/workload/schema.sql");

    (void)state;
    for (size_t t = 0; t < LS_T_COUNT; t++) {
        char head[64];
        const char *at = NULL;
        size_t rows = 0;

        /* The name ends with a blank or the bracket. */
        for (const char *p = schema; !at && p; p = p ? p + 1 : NULL) {
            snprintf(head, sizeof(head), "CREATE TABLE oc_%s", ls_tables[t].name);
            p = strstr(p, head);
            if (p && strchr(" (", p[strlen(head)]))
                at = strchr(p, '(') + 1;
            if (!p)
                break;
        }
        if (!at)
            fail_msg("oc_%s is not in the schema", ls_tables[t].name);
        for (const struct tf_column *c = tf_columns; c->table; c++)
            rows += strcmp(c->table, ls_tables[t].name) == 0;
        assert_int_equal(check_table(ls_tables[t].name, at), rows);
    }
    free(schema);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_that_leaves_the_source_has_its_row),
        cmocka_unit_test(a_row_is_of_a_watched_table_and_the_only_one_of_its_column),
        cmocka_unit_test(what_is_in_a_record_leaves_the_source_and_what_is_in_none_is_not_carried),
        cmocka_unit_test(every_field_named_is_one_of_the_schema),
        cmocka_unit_test(every_field_of_a_record_comes_from_a_column),
        cmocka_unit_test(every_column_of_ownclouds_watched_tables_has_its_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
