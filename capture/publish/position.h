/*
 * How far capture has come: what stands in <p>.position, as JSON, under the key "source".
 */
#ifndef CAP_POSITION_H
#define CAP_POSITION_H

#include "capture/binlog/gtid.h"
#include "capture/binlog/xa.h"
#include "common/control.h"
#include "common/records.h"
#include "common/tables.h"

#define CAP_POSITION_KEY "source"
/* Beside it: the columns of the watched tables there (schema.h), while rows come without names. */
#define CAP_COLUMNS_KEY "columns"

enum cap_filter {
    CAP_FILTER_UNWATCHED_COLUMNS,
    CAP_FILTER_PREFERENCES,
    CAP_FILTER_XA, /* prepared, not yet there */
    CAP_FILTER_COUNT
};
extern const char *const cap_filter_names[CAP_FILTER_COUNT];

enum cap_dead {
    CAP_DEAD_UTF8,
    CAP_DEAD_NUMBER,
    CAP_DEAD_TOO_LARGE,
    CAP_DEAD_OTHER,
    CAP_DEAD_COUNT
};
extern const char *const cap_dead_names[CAP_DEAD_COUNT]; /* the cause words */

struct cap_counters {
    int64_t watched, published;
    int64_t dead[CAP_DEAD_COUNT];
    int64_t filtered[CAP_FILTER_COUNT];
    int64_t tables[LS_T_COUNT]; /* watched rows by table */
    int64_t gtid_gaps;
    int64_t repeated;  /* transactions that the source sent again */
    int64_t snapshots; /* completed */
};

enum cap_snapshot_phase {
    CAP_SNAPSHOT_NONE,
    CAP_SNAPSHOT_RUNNING,
    CAP_SNAPSHOT_DONE,
    CAP_SNAPSHOT_PAUSED, /* goes on when told to, or begins anew when rows were lost */
    CAP_SNAPSHOT_CANCELLED,
    CAP_SNAPSHOT_PHASES
};
extern const char *const cap_phase_names[CAP_SNAPSHOT_PHASES]; /* none, running, done, ... */

/* A part of the source: storages, and the users whose shares and trash entries are read too. */
#define CAP_CHOSEN_STORAGES 256
#define CAP_CHOSEN_USERS 64
#define CAP_USER_TEXT 256
struct cap_selection {
    int n_storages, n_users; /* no storages: everything */
    int64_t storages[CAP_CHOSEN_STORAGES];
    char users[CAP_CHOSEN_USERS][CAP_USER_TEXT];
};

#define CAP_KEY_COLUMNS 4
#define CAP_KEY_TEXT 1100 /* 255 characters of four bytes, and more */
struct cap_snapshot_state {
    enum cap_snapshot_phase phase;
    struct ls_seq begin; /* of chosen storages: that of the one at hand */
    struct cap_selection chosen;
    int storage;                             /* which of the chosen ones is read */
    bool begun;                              /* and whether its begin was sent */
    int step;                                /* which table of the order, see snapshot.c */
    int n_key;                               /* 0: the table's beginning */
    char key[CAP_KEY_COLUMNS][CAP_KEY_TEXT]; /* primary key of the last row that was emitted */
    int64_t rows, estimate;
    int64_t started_us, ended_us;
};

/* A transaction that was published in part before a failover, and has still to come again. */
struct cap_part {
    char gtid[CAP_GTID_TEXT];
    int64_t row; /* watched rows of it that are published already */
};
#define CAP_PARTS 4

/* Commands that were taken from the control topic, and the last answers. */
#define CAP_ANSWERS 8
struct cap_answer {
    char id[LS_CONTROL_ID];
    char command[32];
    bool accepted;
    char cause[32], why[240]; /* of a refusal */
    int64_t time_us;
};
struct cap_control_state {
    int64_t next; /* offset of the next record to be read */
    struct ls_control_seen seen;
    int n_answers; /* the oldest first */
    struct cap_answer answers[CAP_ANSWERS];
};

struct cap_position {
    int32_t epoch;
    int64_t counter;           /* the last one given */
    struct cap_gtid_set gtids; /* all transactions up to here */
    bool whole;         /* MySQL: the set is empty because the server had none yet, not unknown */
    char file[512];     /* "" not known on this server: after a failover by GTID */
    uint64_t pos;       /* end of the last whole transaction */
    uint32_t server_id; /* whose file and pos; 0 not known */
    char server_uuid[40];
    int64_t row; /* watched rows of the next transaction that are published already */
    char row_gtid[CAP_GTID_TEXT]; /* of which transaction; "" not known */
    size_t n_parts;
    struct cap_part parts[CAP_PARTS]; /* others, which come before or behind that one */
    struct cap_xa_open xa;
    int64_t ts_us; /* commit time of the last transaction */
    bool lost;     /* rows went by that cannot be shown: a snapshot has to begin */
    struct cap_snapshot_state snapshot;
    struct cap_control_state control;
    struct cap_counters counters;
};

/* Whether a transaction is published in part. */
bool cap_position_in_part(const struct cap_position *position);
/* Nobody waits for the rest any more. */
void cap_position_forget_parts(struct cap_position *position);

int64_t cap_counters_dead(const struct cap_counters *counters);
int64_t cap_counters_filtered(const struct cap_counters *counters);
/* watched - published - filtered - dead: 0, or rows were lost. */
int64_t cap_counters_balance(const struct cap_counters *counters);

/* A beginning with an epoch that is higher than any before: made from the clock. */
void cap_position_first(struct cap_position *ret);
/* The JSON text, malloc'ed; NULL without memory. `source` is host:port, for people who look. */
char *cap_position_print(const struct cap_position *position, const char *source);
/* The answers as they stand in the position and in the status document; NULL without memory. */
json_t *cap_answers_json(const struct cap_control_state *control);
/* FATAL cause "position" for a record that is not whole. */
int cap_position_parse(struct ls_str json, struct cap_position *ret, struct ls_err *err);

#endif
