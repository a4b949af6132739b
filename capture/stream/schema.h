/*
 * Which tables are watched, and which of a source table's columns are ours: always by name.
 */
#ifndef CAP_SCHEMA_H
#define CAP_SCHEMA_H

#include "capture/binlog/sqltext.h"
#include "capture/binlog/types.h"
#include "common/config.h"
#include <mysql.h>

/* A column as information_schema describes it. */
struct cap_source_column {
    char name[65];
    char data_type[24];
    char charset[33]; /* "" for columns without text */
    bool is_unsigned;
    uint8_t decimals; /* of a time, or of a DECIMAL */
    char refused[40]; /* why no value can be had from it beyond its data_type; "" it can */
};
struct cap_source_table {
    size_t n;         /* 0: the table is not there, or hidden from us */
    int64_t estimate; /* rows, as the server guesses */
    struct cap_source_column columns[CAP_MAX_SOURCE_COLUMNS];
};

struct cap_schema;
struct cap_schema *cap_schema_new(const struct ls_config *config); /* NULL: no memory */
void cap_schema_free(struct cap_schema *schema);

/* ---- the tables as they are now, for SELECT */

/* Reads information_schema. FATAL cause "source-tables" when a table that must be there is not, or
 * when a column of ours is of a type or in a character set that cannot be followed. */
int cap_schema_load(struct cap_schema *schema, MYSQL *mysql, struct ls_err *err);
/* DDL went by that names these tables (bits by enum ls_table_id): what was read of them is no
 * longer to be relied on, neither what they are now nor what they were. */
void cap_schema_forget(struct cap_schema *schema, uint32_t tables);
bool cap_schema_stale(const struct cap_schema *schema);
const struct cap_source_table *cap_schema_table(const struct cap_schema *schema,
                                                enum ls_table_id id);
/* Whose table maps these are: known from a load on, MariaDB's before it. */
void cap_schema_is_mysql(struct cap_schema *schema, bool mysql);
/* Whether rows come without names (binlog_row_metadata not FULL) and a table is not known yet. */
bool cap_schema_wants_columns(const struct cap_schema *schema);

/* ---- the tables as they were where the stream is, for rows without names (columns.h) */

bool cap_schema_known(const struct cap_schema *schema, enum ls_table_id id);
/* What was loaded is what these tables were there; tables that are known stay as they are. */
void cap_schema_believe(struct cap_schema *schema, uint32_t tables);
/* Whether the known columns are others than at the last call. */
bool cap_schema_changed(struct cap_schema *schema);
/* What it would say; it stays so. */
bool cap_schema_has_changed(const struct cap_schema *schema);
/* The known columns as JSON, malloc'ed (NULL without memory), and back; NULL: nothing is known.
 * FATAL cause "position" for text that is not whole. */
char *cap_schema_print(const struct cap_schema *schema);
int cap_schema_parse(struct cap_schema *schema, const char *json, struct ls_err *err);

/* ---- names and layouts */

const struct cap_sql_names *cap_schema_names(const struct cap_schema *schema);
/* The watched table of this database and name, or NULL. */
const struct ls_table *cap_schema_match(const struct cap_schema *schema, struct ls_str db,
                                        struct ls_str name);
/* The number of the column in the table, -1 when it is not carried (unknown, or a secret without
 * its option). */
int cap_schema_want(const struct cap_schema *schema, const struct ls_table *table,
                    struct ls_str column);
/* Whether cap_schema_layout must know the table's columns for this map, and does not. */
bool cap_schema_needs_columns(const struct cap_schema *schema, const struct ls_table *table,
                              const struct cap_table_map *map);
/*
 * The layout of the rows that follow this map; `ret` is zeroed memory or an older layout. Names and
 * signs come from the map where they are there, else from the known columns, which must then fit
 * the map column by column (FATAL cause "column-count" or "column-type": they describe another
 * moment than the rows do).
 */
int cap_schema_layout(const struct cap_schema *schema, const struct ls_table *table,
                      const struct cap_table_map *map, struct cap_layout *ret, struct ls_err *err);

#endif
