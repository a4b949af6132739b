/*
 * What kind of server the source is, whether it can be followed, and where its binlog ends.
 */
#ifndef CAP_SERVER_H
#define CAP_SERVER_H

#include "capture/binlog/gtid.h"
#include "capture/source/coords.h"
#include "common/config.h"
#include "common/err.h"
#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

struct cap_server {
    enum cap_flavour flavour;
    unsigned version; /* 101106, 80031 */
    char host[256];   /* as configured */
    unsigned port;
    uint32_t server_id;
    char uuid[40]; /* "" where the server has none (MariaDB) */
    bool gtid;     /* every transaction has one: MariaDB, or MySQL with gtid_mode=ON */
};

/* What the connection leads to. */
int cap_server_look(MYSQL *mysql, struct cap_server *ret, struct ls_err *err);
/* Whether it is the one of that id and uuid ("" not known); id 0 is not known and no server's. */
bool cap_server_is(const struct cap_server *server, uint32_t server_id, const char *uuid);
/*
 * Whether it can be followed: its kind, log_bin, ROW or MIXED, FULL images, a replica's
 * log_slave_updates, the grants, that no filter keeps the database out of the binlog, and that
 * nobody else replicates under our server id. FATAL cause "source-settings", "source-grants" or
 * "source-server-id" with what to do. Metadata that is not FULL is a warning in the log.
 */
int cap_server_check(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
                     struct ls_err *err);
/* Whether rows of the database come into the binlog, by binlog-do-db and binlog-ignore-db as SHOW
 * MASTER STATUS lists them. */
bool cap_server_logs(const char *only, const char *without, const char *database);
/*
 * Whether it is a replica that stands still or is seconds behind, so that what it has not got may
 * be long done elsewhere (1, and *ret_why says which), or not (0). -1: it does not tell; always so
 * where we may not look (MariaDB without SLAVE MONITOR).
 */
int cap_server_is_stale(MYSQL *mysql, const struct cap_server *server, const char **ret_why);
/*
 * The end of its binlog now, and all GTIDs up to there (none: the server has none). A transaction
 * that other connections cannot see yet may be in front of it.
 */
int cap_server_place(MYSQL *mysql, const struct cap_server *server, struct cap_coords *ret,
                     struct cap_gtid_set *ret_gtids, struct ls_err *err);

/*
 * The GTIDs in its binlogs: `ret_all` with those that were purged, `ret_gone` the purged ones. Only
 * for a server with GTIDs. Either may be NULL.
 */
int cap_server_gtids(MYSQL *mysql, const struct cap_server *server, struct cap_gtid_set *ret_all,
                     struct cap_gtid_set *ret_gone, struct ls_err *err);

/* As others see us among the source's replicas: "lockstep-<prefix>". */
void cap_server_our_name(const struct ls_config *config, char ret[60]);
/* The configured server id, or one from a hash of prefix and database, never 0. */
uint32_t cap_server_id(const struct ls_config *config);

#endif
