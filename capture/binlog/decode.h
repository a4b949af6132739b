/*
 * Binlog events from bytes: bounds-checked, zero-copy, no allocation, no I/O.
 *
 * Every function takes bytes and gives structs whose pointers borrow from those bytes (or, for
 * compressed events, from the scratch buffer until its next use). Bytes that break the format are
 * LS_ERR_FATAL, cause "binlog-format": nobody can guess where the next event begins.
 */
#ifndef CAP_DECODE_H
#define CAP_DECODE_H

#include "capture/binlog/gtid.h"
#include "capture/binlog/sqltext.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/tables.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cap_event_type {
    CAP_EV_QUERY = 2,
    CAP_EV_STOP = 3,
    CAP_EV_ROTATE = 4,
    CAP_EV_FORMAT = 15,
    CAP_EV_XID = 16,
    CAP_EV_EXECUTE_LOAD = 18, /* LOAD DATA as a statement, behind its file in events 17 and 9 */
    CAP_EV_TABLE_MAP = 19,
    CAP_EV_WRITE_ROWS_V1 = 23,
    CAP_EV_UPDATE_ROWS_V1 = 24,
    CAP_EV_DELETE_ROWS_V1 = 25,
    CAP_EV_INCIDENT = 26,
    CAP_EV_HEARTBEAT = 27,
    CAP_EV_IGNORABLE = 28,
    CAP_EV_ROWS_QUERY = 29,
    CAP_EV_WRITE_ROWS = 30,
    CAP_EV_UPDATE_ROWS = 31,
    CAP_EV_DELETE_ROWS = 32,
    CAP_EV_GTID_MYSQL = 33,
    CAP_EV_GTID_ANONYMOUS = 34,
    CAP_EV_PREVIOUS_GTIDS = 35,
    CAP_EV_TRANSACTION_CONTEXT = 36, /* group replication's */
    CAP_EV_VIEW_CHANGE = 37,         /* the same */
    CAP_EV_XA_PREPARE = 38,
    CAP_EV_PARTIAL_UPDATE_ROWS = 39,
    CAP_EV_PAYLOAD = 40, /* the events of a transaction, compressed */
    CAP_EV_HEARTBEAT_V2 = 41,
    CAP_EV_GTID_TAGGED = 42,
    CAP_EV_ANNOTATE = 160,
    CAP_EV_CHECKPOINT = 161,
    CAP_EV_GTID = 162,
    CAP_EV_GTID_LIST = 163,
    CAP_EV_START_ENCRYPTION = 164,
    CAP_EV_QUERY_COMPRESSED = 165,
    CAP_EV_WRITE_ROWS_COMPRESSED_V1 = 166,
    CAP_EV_UPDATE_ROWS_COMPRESSED_V1 = 167,
    CAP_EV_DELETE_ROWS_COMPRESSED_V1 = 168,
    CAP_EV_WRITE_ROWS_COMPRESSED = 169,
    CAP_EV_UPDATE_ROWS_COMPRESSED = 170,
    CAP_EV_DELETE_ROWS_COMPRESSED = 171,
};

/* What the stream does with an event of a type. */
enum cap_event_class {
    CAP_CLASS_KNOWN,     /* has a decoder here */
    CAP_CLASS_IGNORABLE, /* carries no rows */
    CAP_CLASS_UNKNOWN,   /* may carry rows: the stream must stop */
};
enum cap_event_class cap_event_classify(uint8_t type, uint16_t flags);

#define CAP_EVENT_HEADER 19
#define CAP_FLAG_ARTIFICIAL 0x20 /* made by the dump thread, not in the file */
#define CAP_FLAG_IGNORABLE 0x80

struct cap_event {
    uint8_t type;
    uint16_t flags;
    uint32_t timestamp; /* seconds */
    uint32_t server_id;
    uint32_t size;
    uint32_t next_pos;   /* end of the event in its file; 0 for artificial ones */
    const uint8_t *body; /* without header and checksum */
    size_t n;
};

/*
 * One event as it stands in the packet behind the status byte. `checksum`: events end with a CRC32,
 * which is verified (mismatch: RETRY, cause "binlog-checksum": reading it again may help). A format
 * description is taken as it says itself; for a rotate that comes before it a fitting CRC is
 * recognised.
 */
int cap_event_parse(const uint8_t *p, size_t n, bool checksum, struct cap_event *ret,
                    struct ls_err *err);

/* Format description: whether the events behind it carry a CRC32. FATAL for a layout other than
 * binlog version 4 with the header lengths that the rest of the decoder relies on. */
int cap_decode_format(const struct cap_event *event, bool *ret_checksum, struct ls_err *err);
int cap_decode_rotate(const struct cap_event *event, struct ls_str *ret_file, uint64_t *ret_pos,
                      struct ls_err *err);
/* The dump thread's coordinates, of both kinds of heartbeat. */
int cap_decode_heartbeat(const struct cap_event *event, struct ls_str *ret_file, uint64_t *ret_pos,
                         struct ls_err *err);

/* What a transaction begins with, of both flavours. */
struct cap_gtid_event {
    struct cap_gtid gtid; /* nothing in it when anonymous */
    bool anonymous;       /* MySQL with gtid_mode other than ON */
    bool standalone;      /* MariaDB: one event follows (DDL), no commit */
    bool xa_prepared;     /* MariaDB: XA PREPARE ends it */
    int64_t commit_us;    /* MySQL 8: when it was committed where it was made first; 0: not said */
};
int cap_decode_gtid(const struct cap_event *event, struct cap_gtid_event *ret, struct ls_err *err);
/* MySQL: all GTIDs in the files before this one. */
int cap_decode_previous_gtids(const struct cap_event *event, struct cap_gtid_set *ret,
                              struct ls_err *err);

struct cap_query {
    struct ls_str db;
    struct ls_str text;
    struct cap_sql_mode mode;
};
int cap_decode_query(const struct cap_event *event, struct ls_buf *scratch, struct cap_query *ret,
                     struct ls_err *err);

struct cap_table_map {
    uint64_t id;
    struct ls_str db, name;
    uint32_t n_columns;
    const uint8_t *types; /* n_columns bytes */
    struct ls_str meta;
    struct ls_str signs; /* bits, first numeric column first from the top; NULL: not there */
    struct ls_str names; /* length-prefixed; NULL: not there (metadata not FULL) */
    /* collations: the one of most columns and those that differ, or one a column; NULL: not there
     */
    struct ls_str text_default, text_each;     /* of columns with text */
    struct ls_str choice_default, choice_each; /* of ENUM and SET */
    struct ls_str enum_names, set_names;       /* NULL: not there (metadata not FULL) */
};
/* Its first member alone, for a map that is known. */
int cap_table_map_id(const struct cap_event *event, uint64_t *ret, struct ls_err *err);
int cap_decode_table_map(const struct cap_event *event, struct cap_table_map *ret,
                         struct ls_err *err);

/* Takes the next name of map->names off `rest` (begin with map->names). */
int cap_names_next(struct ls_str *rest, struct ls_str *ret_name, struct ls_err *err);

struct cap_layout; /* types.h */

enum cap_rows_op { CAP_ROWS_WRITE, CAP_ROWS_UPDATE, CAP_ROWS_DELETE };
struct cap_rows {
    enum cap_rows_op op;
    uint64_t table_id;
    bool last_of_statement;
    bool compressed;
    bool partial;        /* of JSON values the changes only */
    const uint8_t *body; /* behind the post header */
    size_t n;
    const uint8_t *p, *end; /* set by cap_rows_open */
    uint32_t width;
};
#define CAP_DUMMY_TABLE_ID 0xffffffULL /* an event that only ends the statement */
bool cap_event_is_rows(uint8_t type);
/* The head only: which table, so that rows of unwatched tables cost nothing. */
int cap_rows_head(const struct cap_event *event, struct cap_rows *ret, struct ls_err *err);
/* Checks that the images are full and not partial (FATAL, cause "row-image") and fit the layout. */
int cap_rows_open(struct cap_rows *rows, const struct cap_layout *layout, struct ls_buf *scratch,
                  struct ls_err *err);

struct cap_image {
    struct ls_value values[LS_MAX_COLUMNS]; /* ABSENT where the layout does not want a column, and
                                               where our types cannot hold the value */
    char digits[LS_MAX_COLUMNS][24];        /* room for the text of numbers and dates */
    bool poison;                            /* there is such a value; `poison_column` says which */
    int poison_column;
};
/* 1 and the images of a row (before: update, delete; after: write, update), 0 at the end. What they
 * borrow lives until the next row. */
int cap_rows_next(struct cap_rows *rows, const struct cap_layout *layout, struct cap_image *before,
                  struct cap_image *after, struct ls_err *err);

#endif
