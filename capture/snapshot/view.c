/*
 * A second connection that sees all tables as they were at one place of the binlog.
 *
 * The binlog is ahead of the engine: a transaction is written there, read by the stream, and shown
 * by the engine a moment later. A view must show all that the stream has taken in, or its rows
 * would undo what is published. MariaDB tells the place of a view (binlog_snapshot_file); one that
 * lies before the stream's is opened again. MySQL does not tell it:
 *
 * - gtid: gtid_executed holds a transaction only when the engine shows it. Once it holds all that
 *   the stream has taken, a view opened now shows all that; whatever else it shows was in the
 * binlog before, so the binlog's end, asked for then, is behind all of it. Rows that the stream
 * brings up to that end are left to the stream, the others are the same there as in the view.
 * - watermark: the same, where a write of ours that is committed behind all of the stream stands
 * for gtid_executed: with binlog_order_commits=ON the engine shows what was written before it.
 * - lock: nobody commits while FLUSH TABLES WITH READ LOCK is held, so view and binlog's end agree.
 *
 * What can go wrong: the lock waits behind somebody's long statement, or for a statement that waits
 * for a row of a transaction that waits for the lock, and everybody waits behind it: it gives up
 * after a second and is tried again later, the sooner the less often it failed. A right or a
 * setting that a method needs is missing: the next method is taken and named, or the one that was
 * asked for is refused. A source that takes no write for now (read-only while its place is taken,
 * without room, being stopped) lacks nothing: it is asked again, and the stream goes on meanwhile.
 */
#include "capture/snapshot/view.h"
#include "capture/source/connect.h"
#include "common/log.h"
#include "common/run.h"
#include <errmsg.h>
#include <errno.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIEW_TRIES 4 /* at once; the stream stands still meanwhile */
#define VIEW_AGAIN_MS 50
#define LOCK_AGAIN_MS 250 /* twice as long each time, up to: */
#define LOCK_AGAIN_MOST_MS 10000
#define REFUSED_AGAIN_MS 5000

const char *const cap_view_method_names[CAP_VIEW_METHODS] = {
    [CAP_VIEW_NONE] = "",     [CAP_VIEW_BINLOG_SNAPSHOT] = "binlog-snapshot",
    [CAP_VIEW_GTID] = "gtid", [CAP_VIEW_WATERMARK] = "watermark",
    [CAP_VIEW_LOCK] = "lock",
};

struct cap_view {
    const struct ls_config *config;
    MYSQL *mysql;
    struct cap_server server;
    enum cap_view_method method;
    int64_t again_ms; /* not before: the source is given time */
    int64_t lock_pause_ms;
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

const struct cap_server *
cap_view_server(const struct cap_view *v)
{
    return &v->server;
}

enum cap_view_method
cap_view_method_of(const struct cap_view *v)
{
    return v->method;
}

/* ---- which method */

static int
write_watermark(struct cap_view *v, MYSQL *mysql, struct ls_err *err)
{
    const char *name = ls_config_str(v->config, "capture", "watermark_table");
    const char *dot = strchr(name, '.');
    char sql[400];

    if (!dot || strlen(name) > 130 || strpbrk(name, "`'\" ;"))
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "source-settings",
                             "capture.watermark_table is not database.table: %.130s", name);
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO `%.*s`.`%s` (id, n) VALUES (1, 1) ON DUPLICATE KEY UPDATE n = n + 1",
        (int)(dot - name), name, dot + 1);
    return cap_query(mysql, sql, err);
}

/* 1: locked; 0: somebody's statement holds it up. */
static int
lock(MYSQL *mysql, struct ls_err *err)
{
    struct ls_err why = {0};
    int r;

    if (cap_query(mysql, "SET SESSION lock_wait_timeout=1", err) < 0)
        return -1;
    r = cap_query(mysql, "FLUSH TABLES WITH READ LOCK", &why);
    if (r < 0 && why.code == ER_LOCK_WAIT_TIMEOUT)
        return cap_query(mysql, "SET SESSION lock_wait_timeout=DEFAULT", err);
    if (r < 0) {
        *err = why;
        return -1;
    }
    return cap_query(mysql, "SET SESSION lock_wait_timeout=DEFAULT", err) < 0 ? -1 : 1;
}

/* Whether the source allows this method; FATAL and why when not. Rights are tried by using them. */
static int
try_method(struct cap_view *v, MYSQL *mysql, enum cap_view_method method, struct ls_err *err)
{
    char value[64];

    if (method == CAP_VIEW_GTID && !v->server.gtid)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "snapshots by gtid need gtid_mode=ON");
    if (method == CAP_VIEW_WATERMARK) {
        if (!ls_config_str(v->config, "capture", "watermark_table"))
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                                 "snapshots by watermark need capture.watermark_table");
        if (cap_query_text(mysql, "SELECT @@global.binlog_order_commits", value, sizeof(value),
                           NULL, 0, err) < 0)
            return -1;
        if (strcmp(value, "1") != 0)
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                                 "snapshots by watermark need binlog_order_commits=ON");
        return write_watermark(v, mysql, err);
    }
    if (method == CAP_VIEW_LOCK) {
        int r = lock(mysql, err);
        return r < 0 ? -1 : r == 0 ? 0 : cap_query(mysql, "UNLOCK TABLES", err);
    }
    return 0;
}

/* Whether the server said no, whatever for; else the connection failed. */
static bool
is_no(const struct ls_err *why)
{
    return why->kind == LS_ERR_FATAL || (why->code > 0 && why->code < CR_MIN_ERROR);
}

/* ... for a reason that a while takes away. */
static bool
is_not_now(const struct ls_err *why)
{
    static const int codes[] = {ER_DISK_FULL,
                                ER_GET_ERRNO,
                                ER_OUTOFMEMORY,
                                ER_OUT_OF_RESOURCES,
                                ER_SERVER_SHUTDOWN,
                                ER_RECORD_FILE_FULL,
                                ER_ERROR_DURING_COMMIT,
                                ER_LOCK_WAIT_TIMEOUT,
                                ER_LOCK_DEADLOCK,
                                ER_USER_LIMIT_REACHED,
                                ER_OPTION_PREVENTS_STATEMENT, /* read_only */
                                ER_QUERY_INTERRUPTED,
                                ER_READ_ONLY_MODE};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (why->code == codes[i])
            return why->kind == LS_ERR_RETRY;
    return false;
}

/* `err` of a method that is not allowed, in words that say which. */
static int
refuse(enum cap_view_method method, const struct ls_err *why, struct ls_err *err)
{
    if (!is_no(why)) {
        *err = *why;
        return -1;
    }
    if (is_not_now(why))
        return ls_fail_cause(err, LS_ERR_RETRY, why->code, CAP_VIEW_NOT_NOW,
                             "the source does not allow snapshots by %s now: %.180s",
                             cap_view_method_names[method], why->msg);
    return ls_fail_cause(err, LS_ERR_FATAL, why->code,
                         strcmp(why->cause, "source-settings") == 0 ? why->cause : "source-grants",
                         "the source does not allow snapshots by %s: %.180s",
                         cap_view_method_names[method], why->msg);
}

static int
choose(struct cap_view *v, MYSQL *mysql, struct ls_err *err)
{
    const char *wanted = ls_config_str(v->config, "capture", "snapshot_method");
    enum cap_view_method before = v->method, found = CAP_VIEW_NONE, later = CAP_VIEW_NONE;
    struct ls_err why = {0}, why_later = {0};

    if (v->server.flavour == CAP_MARIADB)
        found = CAP_VIEW_BINLOG_SNAPSHOT;
    for (enum cap_view_method m = CAP_VIEW_GTID; !found && m < CAP_VIEW_METHODS; m++) {
        bool is_wanted = !strcmp(wanted, cap_view_method_names[m]);
        if (!is_wanted && strcmp(wanted, "auto") != 0)
            continue;
        memset(&why, 0, sizeof(why));
        /* the lock costs everybody something: it is not taken once more only to see the right */
        if ((m == CAP_VIEW_LOCK && before == m) || try_method(v, mysql, m, &why) == 0)
            found = m;
        else if (later && is_no(&why) && m == CAP_VIEW_LOCK)
            return refuse(later, &why_later, err);
        else if (is_wanted || !is_no(&why) || m == CAP_VIEW_LOCK)
            return refuse(m, &why, err);
        else
            ls_log(LS_INFO, "snapshot-method-refused", LS_S("method", cap_view_method_names[m]),
                   LS_S("why", why.msg));
        if (is_not_now(&why)) {
            later = m;
            why_later = why;
        }
    }
    if (!found)
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "usage",
                             "capture.snapshot_method is auto, gtid, watermark or lock, not %.60s",
                             wanted);
    v->method = found;
    if (found != before)
        ls_log(LS_INFO, "snapshot-method", LS_S("method", cap_view_method_names[found]));
    return 0;
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
                      err) < 0 ||
            cap_server_look(mysql, &v->server, err) < 0 || choose(v, mysql, err) < 0) {
            mysql_close(mysql);
            if (!strcmp(err->cause, CAP_VIEW_NOT_NOW))
                v->again_ms = ls_mono_ms() + REFUSED_AGAIN_MS;
            return -1;
        }
        v->mysql = mysql;
    }
    *ret = v->mysql;
    return 0;
}

/* ---- a view */

static int
begin(MYSQL *mysql, struct ls_err *err)
{
    return cap_query(mysql, "START TRANSACTION WITH CONSISTENT SNAPSHOT", err);
}

/* The binlog's end, which is behind all that is visible now. */
static int
end_of_binlog(struct cap_view *v, struct cap_coords *ret, struct ls_err *err)
{
    struct cap_gtid_set *ignored = malloc(sizeof(*ignored));
    int r;

    if (!ignored)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory");
    r = cap_server_place(v->mysql, &v->server, ret, ignored, err);
    free(ignored);
    return r;
}

static int
open_mariadb(struct cap_view *v, struct cap_coords *ret, struct ls_err *err)
{
    char name[64], text[32];

    if (begin(v->mysql, err) < 0 ||
        cap_query_text(v->mysql, "SHOW STATUS LIKE 'binlog_snapshot_file'", name, sizeof(name),
                       ret->file, sizeof(ret->file), err) < 0 ||
        cap_query_text(v->mysql, "SHOW STATUS LIKE 'binlog_snapshot_position'", name, sizeof(name),
                       text, sizeof(text), err) < 0)
        return -1;
    ret->pos = strtoull(text, NULL, 10);
    if (!ret->file[0] || ret->pos < 4)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "source-settings",
                             "the source does not say where a consistent snapshot lies "
                             "(binlog_snapshot_file): is its binlog on?");
    return 1;
}

/* 1 when the engine shows all of `gtids`. */
static int
shows_all(struct cap_view *v, const struct cap_gtid_set *gtids, struct ls_err *err)
{
    char *text = malloc(CAP_GTID_SET_TEXT);
    struct cap_gtid_set *executed = calloc(1, sizeof(*executed));
    int r = -1;

    if (!text || !executed)
        (void)ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory");
    else if (cap_query_text(v->mysql, "SELECT @@global.gtid_executed", text, CAP_GTID_SET_TEXT,
                            NULL, 0, err) == 0 &&
             cap_gtid_set_parse(ls_str_of(text), executed, err) == 0)
        r = cap_gtid_set_contains(executed, gtids);
    free(text);
    free(executed);
    return r;
}

static int
open_gtid(struct cap_view *v, const struct cap_gtid_set *gtids, struct cap_coords *ret,
          struct ls_err *err)
{
    int r = shows_all(v, gtids, err);

    if (r <= 0)
        return r;
    return begin(v->mysql, err) < 0 || end_of_binlog(v, ret, err) < 0 ? -1 : 1;
}

static int
open_watermark(struct cap_view *v, struct cap_coords *ret, struct ls_err *err)
{
    if (write_watermark(v, v->mysql, err) < 0 || begin(v->mysql, err) < 0 ||
        end_of_binlog(v, ret, err) < 0)
        return -1;
    return 1;
}

static int
open_lock(struct cap_view *v, struct cap_coords *ret, struct ls_err *err)
{
    int r = lock(v->mysql, err);

    if (r < 0)
        return -1;
    if (r == 0) {
        v->lock_pause_ms = v->lock_pause_ms ? 2 * v->lock_pause_ms : LOCK_AGAIN_MS;
        if (v->lock_pause_ms > LOCK_AGAIN_MOST_MS)
            v->lock_pause_ms = LOCK_AGAIN_MOST_MS;
        v->again_ms = ls_mono_ms() + v->lock_pause_ms;
        ls_log(LS_WARN, "snapshot-lock-waits", LS_S("why", "somebody's statement holds it up"),
               LS_I("again_ms", v->lock_pause_ms));
        return 0;
    }
    v->lock_pause_ms = 0;
    if (begin(v->mysql, err) < 0 || end_of_binlog(v, ret, err) < 0)
        return -1; /* the connection is given up, and the lock with it */
    return cap_query(v->mysql, "UNLOCK TABLES", err) < 0 ? -1 : 1;
}

static int
open_once(struct cap_view *v, const struct cap_gtid_set *gtids, struct cap_coords *ret,
          struct ls_err *err)
{
    switch (v->method) {
    case CAP_VIEW_GTID:
        return open_gtid(v, gtids, ret, err);
    case CAP_VIEW_WATERMARK:
        return open_watermark(v, ret, err);
    case CAP_VIEW_LOCK:
        return open_lock(v, ret, err);
    default:
        return open_mariadb(v, ret, err);
    }
}

int
cap_view_open(struct cap_view *v, const struct cap_coords *at, const struct cap_gtid_set *gtids,
              struct cap_place *ret, struct ls_err *err)
{
    struct cap_coords place = {"", 0};
    MYSQL *mysql;

    if (cap_view_connection(v, &mysql, err) < 0)
        return -1;
    if (cap_view_wait_ms(v) > 0)
        return 0;
    for (int i = 0; i < VIEW_TRIES; i++) {
        int r = open_once(v, gtids, &place, err);
        if (r < 0)
            return -1;
        if (r == 0 && v->method == CAP_VIEW_LOCK)
            return 0;
        if (r > 0 && cap_coords_cmp(&place, at) >= 0) {
            ret->coords = place;
            ret->exact = v->method == CAP_VIEW_BINLOG_SNAPSHOT || v->method == CAP_VIEW_LOCK;
            return 1;
        }
        if (r > 0 && cap_query(mysql, "ROLLBACK", err) < 0)
            return -1;
        ls_run_sleep_ms(1 + i);
    }
    v->again_ms = ls_mono_ms() + VIEW_AGAIN_MS;
    return 0;
}

int
cap_view_wait_ms(const struct cap_view *v)
{
    int64_t left = v->again_ms - ls_mono_ms();

    return left > 0 ? (int)left : 0;
}

int
cap_view_close(struct cap_view *v, struct ls_err *err)
{
    return cap_query(v->mysql, "COMMIT", err);
}
