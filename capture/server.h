/*
 * What kind of server the source is, whether it can be followed, and where its binlog ends.
 */
#ifndef CAP_SERVER_H
#define CAP_SERVER_H

#include "capture/coords.h"
#include "capture/gtid.h"
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
/*
 * Whether it can be followed: its kind, log_bin, ROW or MIXED, FULL images, the grants. FATAL cause
 * "source-settings" or "source-grants" with what to do. Metadata that is not FULL is a warning in
 * the log.
 */
int cap_server_check(MYSQL *mysql, const struct cap_server *server, const struct ls_config *config,
                     struct ls_err *err);
/*
 * The end of its binlog now, and all GTIDs up to there (none: the server has none). A transaction
 * that other connections cannot see yet may be in front of it.
 */
int cap_server_place(MYSQL *mysql, const struct cap_server *server, struct cap_coords *ret,
                     struct cap_gtid_set *ret_gtids, struct ls_err *err);

/* The configured server id, or one from a hash of prefix and database, never 0. */
uint32_t cap_server_id(const struct ls_config *config);

#endif
