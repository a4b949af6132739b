/*
 * The connection to the source that the binlog comes through, and plain queries on others.
 */
#ifndef CAP_SESSION_H
#define CAP_SESSION_H

#include "capture/gtid.h"
#include "common/config.h"
#include "common/err.h"
#include <mysql.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A connection for queries, or RETRY (unreachable, too many connections, shutting down), or FATAL
 * cause "source-auth" (password, host not allowed, TLS refused) or "source-tables" (no such
 * database).
 */
int cap_connect(const struct ls_config *config, MYSQL **ret, struct ls_err *err);
/* mysql_query, with the server's error sorted into RETRY and FATAL ("source-grants", "source"). */
int cap_query(MYSQL *mysql, const char *sql, struct ls_err *err);
/* The same with rows, all of them read; free with mysql_free_result. */
int cap_query_rows(MYSQL *mysql, const char *sql, MYSQL_RES **ret, struct ls_err *err);
/* The first row's first two columns; "" where there is none. */
int cap_query_text(MYSQL *mysql, const char *sql, char *first, size_t first_size, char *second,
                   size_t second_size, struct ls_err *err);

/*
 * Whether the source can be followed: MariaDB, log_bin, ROW or MIXED, FULL images, the grants.
 * FATAL cause "source-settings" or "source-grants" with what to do. Metadata that is not FULL is
 * a warning in the log.
 */
int cap_source_check(MYSQL *mysql, struct ls_err *err);

/* Where a dump begins: by GTID when the set is not empty, else by file and position. */
struct cap_start {
    struct cap_gtid_set gtids;
    char file[512]; /* "" and no GTIDs: the oldest file there is */
    uint64_t pos;
};

struct cap_packet {
    const uint8_t *p; /* the event, without the status byte; valid until the next call */
    size_t n;
    int64_t received_us; /* when it came from the network */
    int64_t idle_us;     /* when the wait for it began, if there was nothing to read then; else 0 */
};

struct cap_session;
/* Connects and asks for the binlog; a thread reads ahead from then on. */
int cap_session_open(const struct ls_config *config, const struct cap_start *start,
                     struct cap_session **ret, struct ls_err *err);
void cap_session_close(struct cap_session *session); /* NULL is fine */
/*
 * 1 and a packet, 0 when none came within timeout_ms. What was read before a failure is given
 * first. RETRY: connection lost, silent for three heartbeats, server stopping. FATAL cause
 * "purged": the position is no longer in the source's binlogs.
 */
int cap_session_next(struct cap_session *session, int timeout_ms, struct cap_packet *ret,
                     struct ls_err *err);

/* The configured server id, or one from a hash of prefix and database, never 0. */
uint32_t cap_server_id(const struct ls_config *config);

#endif
