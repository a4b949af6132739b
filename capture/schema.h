/*
 * Which tables are watched, and which of a source table's columns are ours: always by name.
 */
#ifndef CAP_SCHEMA_H
#define CAP_SCHEMA_H

#include "capture/decode.h"
#include "capture/sqltext.h"
#include "common/config.h"
#include <mysql.h>

/* A column as information_schema describes it now. */
struct cap_source_column {
    char name[65];
    char data_type[24];
    char charset[33]; /* "" for columns without text */
    bool is_unsigned;
};
struct cap_source_table {
    size_t n;         /* 0: the table is not there, or hidden from us */
    int64_t estimate; /* rows, as the server guesses */
    struct cap_source_column columns[CAP_MAX_SOURCE_COLUMNS];
};

struct cap_schema;
struct cap_schema *cap_schema_new(const struct ls_config *config); /* NULL: no memory */
void cap_schema_free(struct cap_schema *schema);

/* Reads information_schema. FATAL cause "source-tables" when a table that must be there is not, or
 * when its text is neither UTF-8 nor ASCII. */
int cap_schema_load(struct cap_schema *schema, MYSQL *mysql, struct ls_err *err);
/* DDL went by: what was read is no longer to be relied on. */
void cap_schema_forget(struct cap_schema *schema);
bool cap_schema_stale(const struct cap_schema *schema);

const struct cap_sql_names *cap_schema_names(const struct cap_schema *schema);
const struct cap_source_table *cap_schema_table(const struct cap_schema *schema,
                                                enum ls_table_id id);
/* The watched table of this database and name, or NULL. */
const struct ls_table *cap_schema_match(const struct cap_schema *schema, struct ls_str db,
                                        struct ls_str name);
/* The number of the column in the table, -1 when it is not carried (unknown, or a secret without
 * its option). */
int cap_schema_want(const struct cap_schema *schema, const struct ls_table *table,
                    struct ls_str column);
/* Whether cap_schema_layout must know information_schema for this map. */
bool cap_schema_needs_load(const struct cap_schema *schema, const struct cap_table_map *map);
/*
 * The layout of the rows that follow this map. Names and signs come from the map where they are
 * there, else from information_schema, which must then fit the map column by column (FATAL cause
 * "column-count" or "column-type": it describes another moment than the rows do).
 */
int cap_schema_layout(const struct cap_schema *schema, const struct ls_table *table,
                      const struct cap_table_map *map, struct cap_layout *ret, struct ls_err *err);

#endif
