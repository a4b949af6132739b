/*
 * Columns by name.
 *
 * Upgraded servers have other column orders than fresh ones, older releases lack columns, widths
 * differ: so nothing here goes by position. With binlog_row_metadata=FULL every table map brings
 * the names of its own moment, which cannot be wrong. Without it (MySQL 5.7, MariaDB's default) the
 * names are those that the table had where the stream is: columns.c finds them out, the position
 * topic keeps them over restarts, and DDL that goes by makes them unknown. What stands here as
 * "now" is another thing: the tables as a SELECT finds them, maybe far ahead of the stream.
 *
 * What can go wrong: known columns that do not fit the rows (DDL that left no trace in the binlog):
 * the types of both must agree column by column, or we stop. A column of ours whose value a SELECT
 * shows and the binlog does not (JSON, COMPRESSED, UUID): refused at the start, by name.
 */
#include "capture/stream/schema.h"
#include "capture/source/connect.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ALL_TABLES ((1U << LS_T_COUNT) - 1)

struct cap_schema {
    struct cap_sql_names names;
    char host_tables[LS_T_COUNT][96]; /* with prefix */
    bool link_secrets, user_secrets, federation_secrets;
    bool stale;
    bool mysql;          /* not MariaDB */
    bool full_metadata;  /* of binlog_row_metadata */
    bool names_any_case; /* lower_case_table_names */
    struct cap_source_table now[LS_T_COUNT];
    struct cap_source_table then[LS_T_COUNT]; /* where the stream is */
    uint32_t known;                           /* which of `then`, as bits */
    bool changed;
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
    schema->federation_secrets = ls_config_bool(config, "capture", "federation_secrets");
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
cap_schema_forget(struct cap_schema *schema, uint32_t tables)
{
    schema->stale = true;
    schema->changed |= (schema->known & tables) != 0;
    schema->known &= ~tables;
}

bool
cap_schema_known(const struct cap_schema *schema, enum ls_table_id id)
{
    return schema->known >> id & 1;
}

void
cap_schema_believe(struct cap_schema *schema, uint32_t tables)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        if (!(tables >> i & 1) || schema->known >> i & 1 || schema->now[i].n == 0)
            continue;
        schema->then[i] = schema->now[i];
        schema->known |= 1U << i;
        schema->changed = true;
    }
}

bool
cap_schema_changed(struct cap_schema *schema)
{
    bool changed = schema->changed;

    schema->changed = false;
    return changed;
}

bool
cap_schema_has_changed(const struct cap_schema *schema)
{
    return schema->changed;
}

void
cap_schema_is_mysql(struct cap_schema *schema, bool mysql)
{
    schema->mysql = mysql;
}

bool
cap_schema_wants_columns(const struct cap_schema *schema)
{
    for (size_t i = 0; !schema->full_metadata && i < LS_T_COUNT; i++)
        if (schema->now[i].n > 0 && !(schema->known >> i & 1))
            return true;
    return false;
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
    return &schema->now[id];
}

static bool
same_name(const struct cap_schema *schema, const char *a, const char *b, size_t n)
{
    return schema->names_any_case ? !strncasecmp(a, b, n) : !memcmp(a, b, n);
}

const struct ls_table *
cap_schema_match(const struct cap_schema *schema, struct ls_str db, struct ls_str name)
{
    size_t n_db = strlen(schema->names.database), prefix = strlen(schema->names.prefix);

    if (db.n != n_db || !same_name(schema, db.p, schema->names.database, n_db) ||
        name.n <= prefix || !same_name(schema, name.p, schema->names.prefix, prefix))
        return NULL;
    name.p += prefix, name.n -= prefix;
    for (size_t i = 0; i < LS_T_COUNT; i++)
        if (strlen(ls_tables[i].name) == name.n &&
            same_name(schema, name.p, ls_tables[i].name, name.n))
            return &ls_tables[i];
    return NULL;
}

/* oc_share has tokens of links and of federated shares; row by row those that are not wanted are
 * taken out (cap_image_hide_token). */
static bool
secret_wanted(const struct cap_schema *schema, enum ls_table_id id)
{
    bool federated = id == LS_T_SHARE_EXTERNAL || id == LS_T_TRUSTED_SERVERS || id == LS_T_SHARE;

    return (id == LS_T_SHARE && schema->link_secrets) ||
           (id == LS_T_USERS && schema->user_secrets) || (federated && schema->federation_secrets);
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

/* Wire types of information_schema's DATA_TYPE (those of one name that the server chooses between),
 * and what a column of it can give. */
enum { NOTHING = 0, NUMBER = 1, TEXT = 2, BOTH = 3 };
static const struct data_type {
    const char *name;
    uint8_t types[2];
    uint8_t gives;
} data_types[] = {
    {"tinyint", {1, 1}, BOTH},
    {"smallint", {2, 2}, BOTH},
    {"mediumint", {9, 9}, BOTH},
    {"int", {3, 3}, BOTH},
    {"bigint", {8, 8}, BOTH},
    {"year", {13, 13}, BOTH},
    {"bit", {16, 16}, BOTH},
    {"decimal", {246, 246}, BOTH},
    {"float", {4, 4}, NOTHING},
    {"double", {5, 5}, NOTHING},
    {"date", {10, 14}, TEXT},
    {"time", {11, 19}, TEXT},
    {"datetime", {12, 18}, TEXT},
    {"timestamp", {7, 17}, TEXT},
    {"varchar", {15, 253}, TEXT},
    {"varbinary", {15, 253}, TEXT},
    {"char", {254, 254}, TEXT},
    {"binary", {254, 254}, NOTHING},
    {"tinytext", {252, 249}, TEXT},
    {"text", {252, 252}, TEXT},
    {"mediumtext", {252, 250}, TEXT},
    {"longtext", {252, 251}, TEXT},
    {"tinyblob", {252, 249}, TEXT},
    {"blob", {252, 252}, TEXT},
    {"mediumblob", {252, 250}, TEXT},
    {"longblob", {252, 251}, TEXT},
    {"enum", {247, 247}, TEXT},
    {"set", {248, 248}, TEXT},
    {"json", {252, 245}, NOTHING},
    {"vector", {242, 15}, NOTHING},
    {"uuid", {254, 254}, NOTHING},
    {"inet6", {254, 254}, NOTHING},
    {"inet4", {254, 254}, NOTHING},
    {"geometry", {255, 255}, NOTHING},
    {"point", {255, 255}, NOTHING},
    {"linestring", {255, 255}, NOTHING},
    {"polygon", {255, 255}, NOTHING},
    {"multipoint", {255, 255}, NOTHING},
    {"multilinestring", {255, 255}, NOTHING},
    {"multipolygon", {255, 255}, NOTHING},
    {"geometrycollection", {255, 255}, NOTHING},
    {"geomcollection", {255, 255}, NOTHING},
};

static const struct data_type *
data_type(const char *name)
{
    for (size_t i = 0; i < sizeof(data_types) / sizeof(data_types[0]); i++)
        if (!strcmp(data_types[i].name, name))
            return &data_types[i];
    return NULL;
}

/* MariaDB's COMPRESSED columns have the data_type of the plain ones. */
static bool
type_fits(const char *name, uint8_t type)
{
    const struct data_type *known = data_type(name);

    if (type == CAP_T_VARCHAR_COMPRESSED)
        type = CAP_T_VARCHAR;
    if (type == CAP_T_BLOB_COMPRESSED)
        return known && (known->types[0] == CAP_T_BLOB);
    return known && (known->types[0] == type || known->types[1] == type);
}

static void
take_row(struct cap_schema *schema, MYSQL_ROW row)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        struct cap_source_table *table = &schema->now[i];
        struct cap_source_column *column;
        size_t n = strlen(schema->host_tables[i]);
        if (strlen(row[0]) != n || !same_name(schema, row[0], schema->host_tables[i], n))
            continue;
        if (table->n == CAP_MAX_SOURCE_COLUMNS)
            return; /* cap_layout_types refuses such a table when a row of it comes */
        column = &table->columns[table->n++];
        (void)snprintf(column->name, sizeof(column->name), "%s", row[1]);
        (void)snprintf(column->data_type, sizeof(column->data_type), "%s", row[2]);
        column->is_unsigned = row[3] && strstr(row[3], "unsigned");
        (void)snprintf(column->charset, sizeof(column->charset), "%s", row[4] ? row[4] : "");
        table->estimate = row[5] ? strtoll(row[5], NULL, 10) : 0;
        column->decimals = (uint8_t)(row[6] ? strtoul(row[6], NULL, 10) : 0);
        if (row[3] && strstr(row[3], "COMPRESSED"))
            (void)snprintf(column->refused, sizeof(column->refused), "COMPRESSED");
        if (row[3] && !strncmp(row[3], "year(2)", 7))
            (void)snprintf(column->refused, sizeof(column->refused), "YEAR(2)");
        return;
    }
}

/* Whether the stream will be able to give what a SELECT shows of a column. */
static int
check_column(const struct cap_schema *schema, size_t id, const struct cap_source_column *column,
             const struct ls_column *ours, struct ls_err *err)
{
    const struct data_type *type = data_type(column->data_type);
    bool number = ours->type == LS_V_INT,
         labels = !strcmp(column->data_type, "enum") || !strcmp(column->data_type, "set");

    if (!type || column->refused[0] || !(type->gives & (number ? NUMBER : TEXT)) ||
        (number && column->decimals))
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables",
                             "%s.%s is %s%s%s, which cannot be followed: %s was expected, alter "
                             "the table first",
                             schema->host_tables[id], column->name, column->data_type,
                             column->refused[0] ? " " : "", column->refused,
                             number ? "a whole number" : "text");
    if (labels && !schema->full_metadata)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables",
                             "%s.%s is %s, which can be followed with binlog_row_metadata=FULL "
                             "only",
                             schema->host_tables[id], column->name, column->data_type);
    if (cap_charset_of_name(column->charset) == CAP_CHARSET_OTHER)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables",
                             "%s.%s is stored as %s: only utf8, utf8mb4, ascii and latin1 can be "
                             "followed, convert the table first",
                             schema->host_tables[id], column->name, column->charset);
    return 0;
}

static int
check_table(const struct cap_schema *schema, size_t id, struct ls_err *err)
{
    const struct cap_source_table *source = &schema->now[id];

    if (source->n == 0 && !ls_tables[id].optional)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-tables",
                             "%s.%s is not there, or the user may not read it: check "
                             "source.database, source.table_prefix and the SELECT grant",
                             schema->names.database, schema->host_tables[id]);
    for (size_t i = 0; i < source->n; i++) {
        const struct cap_source_column *column = &source->columns[i];
        int want = cap_schema_want(schema, &ls_tables[id], ls_str_of(column->name));
        if (want >= 0 && check_column(schema, id, column, &ls_tables[id].columns[want], err) < 0)
            return -1;
    }
    return 0;
}

/* What the server is set to, as far as names and columns depend on it. */
static int
load_settings(struct cap_schema *schema, MYSQL *mysql, struct ls_err *err)
{
    char ignored[64], value[64];

    cap_schema_is_mysql(schema, !strstr(mysql_get_server_info(mysql), "MariaDB"));
    if (cap_query_text(mysql, "SHOW GLOBAL VARIABLES LIKE 'lower_case_table_names'", ignored,
                       sizeof(ignored), value, sizeof(value), err) < 0)
        return -1;
    schema->names_any_case = strcmp(value, "0") != 0;
    if (cap_query_text(mysql, "SHOW GLOBAL VARIABLES LIKE 'binlog_row_metadata'", ignored,
                       sizeof(ignored), value, sizeof(value), err) < 0)
        return -1;
    schema->full_metadata = !strcmp(value, "FULL");
    return 0;
}

int
cap_schema_load(struct cap_schema *schema, MYSQL *mysql, struct ls_err *err)
{
    char database[2 * 65 + 1], sql[768];
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;

    if (load_settings(schema, mysql, err) < 0)
        return -1;
    (void)mysql_real_escape_string(mysql, database, schema->names.database,
                                   strnlen(schema->names.database, 64));
    (void)snprintf(sql, sizeof(sql),
                   "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, "
                   "c.CHARACTER_SET_NAME, t.TABLE_ROWS, "
                   "COALESCE(c.DATETIME_PRECISION, c.NUMERIC_SCALE, 0) "
                   "FROM information_schema.COLUMNS c JOIN information_schema.TABLES t "
                   "ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME "
                   "WHERE c.TABLE_SCHEMA = '%s' AND t.TABLE_TYPE = 'BASE TABLE' "
                   "ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
                   database);
    if (cap_query_rows(mysql, sql, &rows, err) < 0)
        return -1;
    memset(schema->now, 0, sizeof(schema->now));
    while ((row = mysql_fetch_row(rows)))
        take_row(schema, row);
    mysql_free_result(rows);
    for (size_t i = 0; i < LS_T_COUNT; i++)
        if (check_table(schema, i, err) < 0)
            return -1;
    schema->stale = false;
    return 0;
}

static json_t *
column_json(const struct cap_source_column *column)
{
    return json_pack("[s, s, s, b, i, s]", column->name, column->data_type, column->charset,
                     column->is_unsigned, column->decimals, column->refused);
}

char *
cap_schema_print(const struct cap_schema *schema)
{
    json_t *root = json_object();
    char *text = NULL;

    for (size_t i = 0; root && i < LS_T_COUNT; i++) {
        json_t *columns;
        if (!(schema->known >> i & 1))
            continue;
        columns = json_array();
        for (size_t k = 0; k < schema->then[i].n; k++)
            json_array_append_new(columns, column_json(&schema->then[i].columns[k]));
        json_object_set_new(root, ls_tables[i].name, columns);
    }
    if (root)
        text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static int
parse_column(json_t *json, struct cap_source_column *ret)
{
    const char *name, *type, *charset, *refused;
    int is_unsigned, decimals;

    if (json_unpack(json, "[s, s, s, b, i, s]", &name, &type, &charset, &is_unsigned, &decimals,
                    &refused) < 0 ||
        strlen(name) >= sizeof(ret->name) || strlen(type) >= sizeof(ret->data_type) ||
        strlen(charset) >= sizeof(ret->charset) || strlen(refused) >= sizeof(ret->refused) ||
        decimals < 0 || decimals > UINT8_MAX)
        return -1;
    memset(ret, 0, sizeof(*ret));
    (void)snprintf(ret->name, sizeof(ret->name), "%s", name);
    (void)snprintf(ret->data_type, sizeof(ret->data_type), "%s", type);
    (void)snprintf(ret->charset, sizeof(ret->charset), "%s", charset);
    (void)snprintf(ret->refused, sizeof(ret->refused), "%s", refused);
    ret->is_unsigned = is_unsigned;
    ret->decimals = (uint8_t)decimals;
    return 0;
}

int
cap_schema_parse(struct cap_schema *schema, const char *text, struct ls_err *err)
{
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    int r = 0;

    schema->known = 0;
    schema->changed = false;
    if (text && !json_is_object(root))
        r = -1;
    for (size_t i = 0; r == 0 && i < LS_T_COUNT; i++) {
        json_t *columns = json_object_get(root, ls_tables[i].name);
        struct cap_source_table *table = &schema->then[i];
        if (!columns)
            continue;
        table->n = json_array_size(columns);
        if (table->n == 0 || table->n > CAP_MAX_SOURCE_COLUMNS)
            r = -1;
        for (size_t k = 0; r == 0 && k < table->n; k++)
            r = parse_column(json_array_get(columns, k), &table->columns[k]);
        schema->known |= 1U << i;
    }
    json_decref(root);
    if (r < 0) {
        schema->known = 0;
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "position",
                             "the columns in the position topic cannot be read: %.120s", text);
    }
    return 0;
}

bool
cap_schema_needs_columns(const struct cap_schema *schema, const struct ls_table *table,
                         const struct cap_table_map *map)
{
    bool told = map->names.p && map->signs.p;

    if (cap_schema_known(schema, table->id))
        return false;
    for (uint32_t i = 0; told && i < map->n_columns; i++)
        told = !cap_type_is_old_temporal(map->types[i]);
    return !told;
}

/* What the map does not tell, from the known columns, which must fit it. */
static int
fill_from_known(const struct cap_schema *schema, const struct ls_table *table,
                const struct cap_table_map *map, struct cap_layout *layout, struct ls_err *err)
{
    const struct cap_source_table *source = &schema->then[table->id];

    if (source->n != map->n_columns)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "column-count",
                             "rows of %s have %u columns, information_schema has %zu: set "
                             "binlog_row_metadata=FULL, then start once with --snapshot",
                             table->name, map->n_columns, source->n);
    for (uint32_t i = 0; i < map->n_columns; i++) {
        const struct cap_source_column *column = &source->columns[i];
        struct cap_column *target = &layout->columns[i];
        if (!type_fits(column->data_type, target->type))
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "column-type",
                                 "column %u of %s's rows has type %u, information_schema says %s "
                                 "%s: set binlog_row_metadata=FULL, then start once with "
                                 "--snapshot",
                                 i + 1, table->name, target->type, column->name, column->data_type);
        if (!map->signs.p)
            target->is_unsigned = column->is_unsigned;
        if (!map->names.p)
            target->want = (int8_t)cap_schema_want(schema, table, ls_str_of(column->name));
        target->charset = (uint16_t)cap_charset_of_name(column->charset);
        /* UUID and INET are told from text by their charset, which a map has too */
        if (target->type == CAP_T_STRING && !column->charset[0])
            target->charset = CAP_CHARSET_BINARY;
        cap_column_set_decimals(target, column->decimals);
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

static int
check_layout(const struct ls_table *table, const struct cap_layout *layout, struct ls_err *err)
{
    bool there[LS_MAX_COLUMNS] = {false};

    for (uint32_t i = 0; i < layout->n_columns; i++) {
        const struct cap_column *column = &layout->columns[i];
        const char *why;
        if (column->want < 0)
            continue;
        there[column->want] = true;
        why = cap_column_refused(column, table->columns[column->want].type);
        if (why)
            return ls_fail_cause(err, LS_ERR_FATAL, column->type, "column-type",
                                 "%s.%s (type %u) %s", table->name,
                                 table->columns[column->want].name, column->type, why);
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
    bool told = map->names.p && map->signs.p;

    cap_layout_clear(ret);
    if (cap_layout_types(map, ret, err) < 0)
        return -1;
    if (map->names.p && names_from_map(schema, table, map, ret, err) < 0)
        return -1;
    for (uint32_t i = 0; told && i < map->n_columns; i++)
        told = !cap_type_is_old_temporal(ret->columns[i].type);
    /* in recordings of servers without MariaDB's old times nobody knows columns, nor has to */
    if ((!told && (cap_schema_known(schema, table->id) || !map->names.p)) &&
        fill_from_known(schema, table, map, ret, err) < 0)
        return -1;
    if (cap_layout_charsets(map, !schema->mysql, ret, err) < 0 ||
        check_layout(table, ret, err) < 0 || cap_layout_finish(ret, table, err) < 0)
        return -1;
    ret->table = table;
    return 0;
}
