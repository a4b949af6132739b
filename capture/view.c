/*
 * A second connection that sees all tables as they were at one place of the binlog.
 *
 * MariaDB tells the place of a view itself (binlog_snapshot_file and _position). What can go wrong:
 * the binlog is ahead of the engine, so a transaction's events can be in the stream before a view
 * shows it. Such a view is opened again, for a chunk of the past would undo rows that are
 * published.
 */
#include "capture/view.h"
#include "capture/connect.h"
#include "common/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VIEW_TRIES 50

struct cap_view {
    const struct ls_config *config;
    MYSQL *mysql;
};

struct cap_view *
cap_view_new(const struct ls_config *config)
{
    struct cap_view *v = calloc(1, sizeof(*v));

    if (v)
        v->config = config;
    return v;
}

void
cap_view_drop(struct cap_view *v)
{
    if (v->mysql)
        mysql_close(v->mysql);
    v->mysql = NULL;
}

void
cap_view_free(struct cap_view *v)
{
    if (!v)
        return;
    cap_view_drop(v);
    free(v);
}

int
cap_view_connection(struct cap_view *v, MYSQL **ret, struct ls_err *err)
{
    MYSQL *mysql = NULL;

    if (!v->mysql) {
        if (cap_connect(v->config, &mysql, err) < 0)
            return -1;
        if (cap_query(mysql, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", err) < 0 ||
            cap_query(mysql, "SET NAMES utf8mb4", err) < 0 ||
            cap_query(mysql, "SET SESSION time_zone='+00:00', sql_mode='', net_write_timeout=600",
                      err) < 0) {
            mysql_close(mysql);
            return -1;
        }
        v->mysql = mysql;
    }
    *ret = v->mysql;
    return 0;
}

static int
open_mariadb(MYSQL *mysql, struct cap_coords *ret, struct ls_err *err)
{
    char name[64], text[32];

    if (cap_query(mysql, "START TRANSACTION WITH CONSISTENT SNAPSHOT", err) < 0 ||
        cap_query_text(mysql, "SHOW STATUS LIKE 'binlog_snapshot_file'", name, sizeof(name),
                       ret->file, sizeof(ret->file), err) < 0 ||
        cap_query_text(mysql, "SHOW STATUS LIKE 'binlog_snapshot_position'", name, sizeof(name),
                       text, sizeof(text), err) < 0)
        return -1;
    ret->pos = strtoull(text, NULL, 10);
    if (!ret->file[0] || ret->pos < 4)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source does not say where a consistent snapshot lies "
                             "(binlog_snapshot_file): is its binlog on?");
    return 0;
}

int
cap_view_open(struct cap_view *v, const struct cap_coords *at, struct cap_coords *ret,
              struct ls_err *err)
{
    struct cap_coords place;
    MYSQL *mysql;

    if (cap_view_connection(v, &mysql, err) < 0)
        return -1;
    for (int i = 0; i < VIEW_TRIES; i++) {
        if (open_mariadb(mysql, &place, err) < 0)
            return -1;
        if (cap_coords_cmp(&place, at) >= 0) {
            *ret = place;
            return 1;
        }
        if (cap_query(mysql, "ROLLBACK", err) < 0)
            return -1;
        ls_run_sleep_ms(1 + i);
    }
    return 0;
}

int
cap_view_close(struct cap_view *v, struct ls_err *err)
{
    return cap_query(v->mysql, "COMMIT", err);
}
