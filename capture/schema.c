/*
 * Columns by name.
 *
 * Upgraded servers have other column orders than fresh ones, older releases lack columns, widths
 * differ: so nothing here goes by position. With binlog_row_metadata=FULL every table map brings
 * the names of its own moment, which cannot be wrong. Without it the names are those that
 * information_schema has now; a stream that lags behind a DDL would then read rows of the past with
 * names of today, so the types of both must agree column by column, or we stop.
 *
 * Text is passed on as the column holds it. That is UTF-8 in every ownCloud 10; a column in another
 * character set would come out garbled, and is refused at the start.
 */
#include "capture/schema.h"
#include "capture/connect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cap_schema {
    struct cap_sql_names names;
    char host_tables[LS_T_COUNT][96]; /* with prefix */
    bool link_secrets, user_secrets;
    bool stale;
    struct cap_source_table tables[LS_T_COUNT];
};

struct cap_schema *
cap_schema_new(const struct ls_config *config)
{
    struct cap_schema *schema = calloc(1, sizeof(*schema));

    if (!schema)
        return NULL;
    schema->names.database = ls_config_str(config, "source", "database");
    schema->names.prefix = ls_config_str(config, "source", "table_prefix");
    if (!schema->names.prefix)
        schema->names.prefix = "";
    schema->link_secrets = ls_config_bool(config, "capture", "link_secrets");
    schema->user_secrets = ls_config_bool(config, "capture", "user_secrets");
    schema->stale = true;
    for (size_t i = 0; i < LS_T_COUNT; i++)
        (void)snprintf(schema->host_tables[i], sizeof(schema->host_tables[i]), "%s%s",
                       schema->names.prefix, ls_tables[i].name);
    return schema;
}

void
cap_schema_free(struct cap_schema *schema)
{
    free(schema);
}

void
cap_schema_forget(struct cap_schema *schema)
{
    schema->stale = true;
}

bool
cap_schema_stale(const struct cap_schema *schema)
{
    return schema->stale;
}

const struct cap_sql_names *
cap_schema_names(const struct cap_schema *schema)
{
    return &schema->names;
}

const struct cap_source_table *
cap_schema_table(const struct cap_schema *schema, enum ls_table_id id)
{
    return &schema->tables[id];
}

const struct ls_table *
cap_schema_match(const struct cap_schema *schema, struct ls_str db, struct ls_str name)
{
    size_t prefix = strlen(schema->names.prefix);

    if (!ls_str_is(db, schema->names.database) || name.n <= prefix ||
        memcmp(name.p, schema->names.prefix, prefix) != 0)
        return NULL;
    return ls_table_by_name(name.p + prefix, name.n - prefix);
}

/* Tokens and secrets of federation are not carried by any option yet. */
static bool
secret_wanted(const struct cap_schema *schema, enum ls_table_id id)
{
    return (id == LS_T_SHARE && schema->link_secrets) || (id == LS_T_USERS && schema->user_secrets);
}

int
cap_schema_want(const struct cap_schema *schema, const struct ls_table *table, struct ls_str column)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!ls_str_is(column, table->columns[i].name))
            continue;
        if (table->columns[i].secret == LS_SECRET && !secret_wanted(schema, table->id))
            return -1;
        return (int)i;
    }
    return -1;
}

static void
take_row(struct cap_schema *schema, MYSQL_ROW row)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        struct cap_source_table *table = &schema->tables[i];
        struct cap_source_column *column;
        if (strcmp(schema->host_tables[i], row[0]) != 0)
            continue;
        if (table->n == CAP_MAX_SOURCE_COLUMNS)
            return; /* cap_layout_types refuses such a table when a row of it comes */
        column = &table->columns[table->n++];
        (void)snprintf(column->name, sizeof(column->name), "%s", row[1]);
        (void)snprintf(column->data_type, sizeof(column->data_type), "%s", row[2]);
        column->is_unsigned = row[3] && row[3][0] == '1';
        (void)snprintf(column->charset, sizeof(column->charset), "%s", row[4] ? row[4] : "");
        table->estimate = row[5] ? strtoll(row[5], NULL, 10) : 0;
        return;
    }
}

static int
check_table(const struct cap_schema *schema, size_t id, struct ls_err *err)
{
    static const char *const fine[] = {"", "utf8", "utf8mb3", "utf8mb4", "ascii", "binary", NULL};
    const struct cap_source_table *source = &schema->tables[id];

    if (source->n == 0 && !ls_tables[id].optional)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables",
                             "%s.%s is not there, or the user may not read it: check "
                             "source.database, source.table_prefix and the SELECT grant",
                             schema->names.database, schema->host_tables[id]);
    for (size_t i = 0; i < source->n; i++) {
        const struct cap_source_column *column = &source->columns[i];
        size_t k = 0;
        if (cap_schema_want(schema, &ls_tables[id], ls_str_of(column->name)) < 0)
            continue;
        while (fine[k] && strcmp(fine[k], column->charset) != 0)
            k++;
        if (!fine[k])
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables",
                                 "%s.%s is stored as %s: only utf8, utf8mb4 and ascii can be "
                                 "followed, convert the table first",
                                 schema->host_tables[id], column->name, column->charset);
    }
    return 0;
}

int
cap_schema_load(struct cap_schema *schema, MYSQL *mysql, struct ls_err *err)
{
    char database[2 * 65 + 1], sql[768];
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;

    (void)mysql_real_escape_string(mysql, database, schema->names.database,
                                   strnlen(schema->names.database, 64));
    (void)snprintf(sql, sizeof(sql),
                   "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, "
                   "c.COLUMN_TYPE LIKE '%%unsigned%%', c.CHARACTER_SET_NAME, t.TABLE_ROWS "
                   "FROM information_schema.COLUMNS c JOIN information_schema.TABLES t "
                   "ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME "
                   "WHERE c.TABLE_SCHEMA = '%s' AND t.TABLE_TYPE = 'BASE TABLE' "
                   "ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
                   database);
    if (cap_query_rows(mysql, sql, &rows, err) < 0)
        return -1;
    memset(schema->tables, 0, sizeof(schema->tables));
    while ((row = mysql_fetch_row(rows)))
        take_row(schema, row);
    mysql_free_result(rows);
    for (size_t i = 0; i < LS_T_COUNT; i++)
        if (check_table(schema, i, err) < 0)
            return -1;
    schema->stale = false;
    return 0;
}

/* Wire types of information_schema's DATA_TYPE; those of one name that the server chooses between.
 */
static const struct {
    const char *name;
    uint8_t types[2];
} type_table[] = {
    {"tinyint", {1, 1}},        {"smallint", {2, 2}},
    {"mediumint", {9, 9}},      {"int", {3, 3}},
    {"bigint", {8, 8}},         {"float", {4, 4}},
    {"double", {5, 5}},         {"decimal", {246, 246}},
    {"bit", {16, 16}},          {"year", {13, 13}},
    {"date", {10, 14}},         {"time", {11, 19}},
    {"datetime", {12, 18}},     {"timestamp", {7, 17}},
    {"varchar", {15, 253}},     {"varbinary", {15, 253}},
    {"char", {254, 254}},       {"binary", {254, 254}},
    {"tinytext", {252, 249}},   {"text", {252, 252}},
    {"mediumtext", {252, 250}}, {"longtext", {252, 251}},
    {"tinyblob", {252, 249}},   {"blob", {252, 252}},
    {"mediumblob", {252, 250}}, {"longblob", {252, 251}},
    {"json", {252, 245}},       {"enum", {247, 247}},
    {"set", {248, 248}},        {"uuid", {254, 254}},
    {"inet6", {254, 254}},      {"inet4", {254, 254}},
};

static bool
type_fits(const char *data_type, uint8_t type)
{
    for (size_t i = 0; i < sizeof(type_table) / sizeof(type_table[0]); i++)
        if (!strcmp(type_table[i].name, data_type))
            return type_table[i].types[0] == type || type_table[i].types[1] == type;
    return false;
}

bool
cap_schema_needs_load(const struct cap_schema *schema, const struct cap_table_map *map)
{
    return schema->stale && (!map->names.p || !map->signs.p);
}

static int
names_from_schema(const struct cap_schema *schema, const struct ls_table *table,
                  const struct cap_table_map *map, struct cap_layout *layout, struct ls_err *err)
{
    const struct cap_source_table *source = &schema->tables[table->id];

    if (source->n != map->n_columns)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "column-count",
                             "rows of %s have %u columns, information_schema has %zu: set "
                             "binlog_row_metadata=FULL, then take a new snapshot",
                             table->name, map->n_columns, source->n);
    for (uint32_t i = 0; i < map->n_columns; i++) {
        const struct cap_source_column *column = &source->columns[i];
        if (!type_fits(column->data_type, layout->columns[i].type))
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "column-type",
                                 "column %u of %s's rows has type %u, information_schema says %s "
                                 "%s: set binlog_row_metadata=FULL, then take a new snapshot",
                                 i + 1, table->name, layout->columns[i].type, column->name,
                                 column->data_type);
        if (!map->signs.p)
            layout->columns[i].is_unsigned = column->is_unsigned;
        layout->columns[i].want = (int8_t)cap_schema_want(schema, table, ls_str_of(column->name));
    }
    return 0;
}

static int
names_from_map(const struct cap_schema *schema, const struct ls_table *table,
               const struct cap_table_map *map, struct cap_layout *layout, struct ls_err *err)
{
    struct ls_str rest = map->names, name;

    for (uint32_t i = 0; i < map->n_columns; i++) {
        if (cap_names_next(&rest, &name, err) < 0)
            return -1;
        layout->columns[i].want = (int8_t)cap_schema_want(schema, table, name);
    }
    return 0;
}

/* The types our values can be made from. */
static bool
type_gives(uint8_t type, enum ls_value_kind kind)
{
    static const uint8_t text[] = {12, 15, 18, 249, 250, 251, 252, 253, 254};

    if (cap_type_is_integer(type))
        return true;
    return kind == LS_V_TEXT && memchr(text, type, sizeof(text)) != NULL;
}

static int
check_layout(const struct ls_table *table, const struct cap_layout *layout, struct ls_err *err)
{
    bool there[LS_MAX_COLUMNS] = {false};

    for (uint32_t i = 0; i < layout->n_columns; i++) {
        const struct cap_column *column = &layout->columns[i];
        if (column->want < 0)
            continue;
        there[column->want] = true;
        if (!type_gives(column->type, table->columns[column->want].type))
            return ls_fail_cause(err, LS_ERR_FATAL, column->type, "column-type",
                                 "%s.%s has a type (%u) that does not give %s", table->name,
                                 table->columns[column->want].name, column->type,
                                 table->columns[column->want].type == LS_V_INT ? "a number"
                                                                               : "text");
    }
    for (size_t i = 0; i < table->n_columns; i++)
        if (!there[i] && (table->columns[i].key || (table->by_storage && (size_t)FC_STORAGE == i)))
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables", "%s has no column %s",
                                 table->name, table->columns[i].name);
    return 0;
}

int
cap_schema_layout(const struct cap_schema *schema, const struct ls_table *table,
                  const struct cap_table_map *map, struct cap_layout *ret, struct ls_err *err)
{
    ret->table = table;
    if (cap_layout_types(map, ret, err) < 0)
        return -1;
    if (map->names.p ? names_from_map(schema, table, map, ret, err) < 0
                     : names_from_schema(schema, table, map, ret, err) < 0)
        return -1;
    return check_layout(table, ret, err);
}
