/*
 * The margin between our position and the source's purge, and whether the source is a replica that
 * has not got everything itself.
 *
 * Asked by a thread of its own, for SHOW BINARY LOGS may be slow where there are many files, and
 * the stream must not wait for it. What can go wrong: the answer comes from another server than the
 * one the position belongs to (a failover in between), then the margin is not known.
 *
 * The warning: the source purges by age, and less than a quarter of the time that it keeps a binlog
 * is left; or it does not, and ours is the oldest file of several, so that the next purge by size
 * or by hand takes it. Told when it begins and when it ends.
 */
#include "capture/stream/headroom.h"
#include "capture/source/connect.h"
#include "capture/source/server.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SILENCE_S 10

struct cap_headroom {
    const struct ls_config *config;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closing;
    int socket; /* of the query that is running; -1 none */
    /* from the loop */
    char file[512];
    uint64_t pos;
    uint32_t server_id;
    char uuid[40];
    int64_t read_us;
    /* for the loop */
    struct cap_headroom_facts facts;
    bool small; /* warned about */
    bool stale;
};

/* The source's binlogs as they lie in front of a file and behind it. */
struct logs {
    char first[512], last[512];
    int64_t files, bytes; /* in front of it */
    int64_t rest;         /* bytes of it and of those behind it */
    bool found;
};

static int
list_logs(MYSQL *mysql, const char *file, struct logs *ret, struct ls_err *err)
{
    MYSQL_RES *rows = NULL;
    MYSQL_ROW row;
    struct logs logs = {0};
    int64_t size;

    if (cap_query_rows(mysql, "SHOW BINARY LOGS", &rows, err) < 0)
        return -1;
    while ((row = mysql_fetch_row(rows))) {
        if (!row[0])
            continue;
        if (!logs.first[0])
            (void)snprintf(logs.first, sizeof(logs.first), "%s", row[0]);
        (void)snprintf(logs.last, sizeof(logs.last), "%s", row[0]);
        logs.found = logs.found || !strcmp(row[0], file);
        size = row[1] ? strtoll(row[1], NULL, 10) : 0;
        if (logs.found) {
            logs.rest += size;
        } else {
            logs.files++;
            logs.bytes += size;
        }
    }
    mysql_free_result(rows);
    *ret = logs;
    return 0;
}

static int64_t
number(MYSQL *mysql, const char *name, const char *yes)
{
    char sql[128], ignored[128], value[64];

    (void)snprintf(sql, sizeof(sql), "SHOW GLOBAL VARIABLES LIKE '%s'", name);
    if (cap_query_text(mysql, sql, ignored, sizeof(ignored), value, sizeof(value), NULL) < 0)
        return 0;
    return yes ? !*value || !strcmp(value, yes) : strtoll(value, NULL, 10);
}

/* Seconds that the source keeps a binlog; 0: for ever, as far as age goes. */
static int64_t
kept_seconds(MYSQL *mysql)
{
    int64_t seconds = number(mysql, "binlog_expire_logs_seconds", NULL);

    if (seconds == 0)
        seconds = number(mysql, "expire_logs_days", NULL) * 86400;
    return number(mysql, "binlog_expire_logs_auto_purge", "ON") ? seconds : 0;
}

/* Under the mutex. */
static void
take_answer(struct cap_headroom *h, const struct logs *logs, int64_t kept)
{
    struct cap_headroom_facts *facts = &h->facts;
    int64_t behind = (ls_now_us() - h->read_us) / 1000000;
    bool small;

    if (h->read_us == 0) /* nothing read yet: how far behind is not known */
        behind = 0;

    *facts = (struct cap_headroom_facts){
        .known = true, .files = logs->files, .bytes = logs->bytes, .seconds = -1};
    if (logs->rest > (int64_t)h->pos) /* read on since it was asked: nothing is left */
        facts->behind = logs->rest - (int64_t)h->pos;
    if (kept > 0)
        facts->seconds = behind < kept ? kept - behind : 0;
    small = kept > 0 ? facts->seconds < kept / 4
                     : facts->files == 0 && strcmp(logs->first, logs->last) != 0;
    if (small != h->small)
        ls_log(small ? LS_WARN : LS_INFO, small ? "headroom-small" : "headroom-fine",
               LS_I("files", facts->files), LS_I("bytes", facts->bytes),
               LS_I("seconds", facts->seconds), LS_I("kept_seconds", kept), LS_S("file", h->file),
               LS_S("last_file", logs->last));
    h->small = small;
}

static void
set_socket(struct cap_headroom *h, int fd)
{
    (void)pthread_mutex_lock(&h->mutex);
    h->socket = fd;
    if (fd >= 0 && h->closing)
        (void)shutdown(fd, SHUT_RDWR);
    (void)pthread_mutex_unlock(&h->mutex);
}

/* Under the mutex. */
static void
take_stale(struct cap_headroom *h, bool stale, const char *why)
{
    if (stale && !h->stale)
        ls_log(LS_WARN, "source-stale", LS_S("why", why),
               LS_S("do", "mend its replication; of a server that no longer is a replica RESET "
                          "REPLICA ALL (RESET SLAVE ALL). Until then the lag grows, for nobody "
                          "can say what is missing"));
    else if (!stale && h->stale)
        ls_log(LS_INFO, "source-fresh");
    h->stale = stale;
}

static void
ask(struct cap_headroom *h)
{
    struct cap_server server;
    struct ls_err err = {0};
    struct logs logs = {0};
    char file[sizeof(h->file)], uuid[sizeof(h->uuid)];
    uint32_t server_id;
    int64_t kept = 0;
    MYSQL *mysql = NULL;
    bool good = false, same = false;
    int stale = -1; /* not told: it is as it was */
    const char *why = NULL;

    (void)pthread_mutex_lock(&h->mutex);
    memcpy(file, h->file, sizeof(file));
    memcpy(uuid, h->uuid, sizeof(uuid));
    server_id = h->server_id;
    (void)pthread_mutex_unlock(&h->mutex);
    if (file[0] && cap_connect_within(h->config, SILENCE_S, &mysql, &err) == 0) {
        set_socket(h, mysql_get_socket(mysql));
        same =
            cap_server_look(mysql, &server, &err) == 0 && cap_server_is(&server, server_id, uuid);
        stale = same ? cap_server_is_stale(mysql, &server, &why) : -1;
        good = same && list_logs(mysql, file, &logs, &err) == 0 && logs.found;
        kept = good ? kept_seconds(mysql) : 0;
        set_socket(h, -1);
        mysql_close(mysql);
    }
    if (err.kind != LS_ERR_NONE)
        ls_log_err(LS_DEBUG, "headroom-unknown", &err);
    (void)pthread_mutex_lock(&h->mutex);
    if (stale >= 0 && h->server_id == server_id)
        take_stale(h, stale > 0, why);
    if (good && !strcmp(file, h->file))
        take_answer(h, &logs, kept);
    else if (!good)
        h->facts.known = false;
    (void)pthread_mutex_unlock(&h->mutex);
}

static void *
ask_on_and_on(void *arg)
{
    struct cap_headroom *h = arg;
    int64_t period_ms = ls_config_int(h->config, "source", "headroom_ms");

    mysql_thread_init();
    for (;;) {
        struct timespec until = ls_mono_after(period_ms);
        bool known;
        (void)pthread_mutex_lock(&h->mutex);
        known = h->facts.known || h->file[0];
        while (!h->closing)
            if (pthread_cond_clockwait(&h->changed, &h->mutex, CLOCK_MONOTONIC, &until) ==
                    ETIMEDOUT ||
                (!known && h->file[0]))
                break;
        if (h->closing) {
            (void)pthread_mutex_unlock(&h->mutex);
            break;
        }
        (void)pthread_mutex_unlock(&h->mutex);
        ask(h);
    }
    mysql_thread_end();
    return NULL;
}

int
cap_headroom_new(const struct ls_config *config, struct cap_headroom **ret, struct ls_err *err)
{
    struct cap_headroom *h = calloc(1, sizeof(*h));

    if (!h)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "no memory");
    h->config = config;
    h->socket = -1;
    (void)pthread_mutex_init(&h->mutex, NULL);
    (void)pthread_cond_init(&h->changed, NULL);
    if (pthread_create(&h->thread, NULL, ask_on_and_on, h) != 0) {
        (void)pthread_cond_destroy(&h->changed);
        (void)pthread_mutex_destroy(&h->mutex);
        free(h);
        return ls_fail(err, LS_ERR_FATAL, errno, "no thread to ask for the source's binlogs");
    }
    *ret = h;
    return 0;
}

void
cap_headroom_free(struct cap_headroom *h)
{
    if (!h)
        return;
    (void)pthread_mutex_lock(&h->mutex);
    h->closing = true;
    if (h->socket >= 0)
        (void)shutdown(h->socket, SHUT_RDWR);
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->mutex);
    (void)pthread_join(h->thread, NULL);
    (void)pthread_cond_destroy(&h->changed);
    (void)pthread_mutex_destroy(&h->mutex);
    free(h);
}

void
cap_headroom_at(struct cap_headroom *h, const struct cap_position *position,
                const struct cap_coords *read, int64_t read_us)
{
    /* a new start by GTID needs the file that was read last, one by file and offset the one with
     * the last transaction's end */
    const char *file = position->gtids.n > 0 && read->file[0] ? read->file : position->file;

    (void)pthread_mutex_lock(&h->mutex);
    if (!h->file[0] && *file)
        (void)pthread_cond_signal(&h->changed);
    (void)snprintf(h->file, sizeof(h->file), "%s", file);
    h->pos = file == position->file ? position->pos : read->pos;
    (void)snprintf(h->uuid, sizeof(h->uuid), "%s", position->server_uuid);
    if (h->server_id != position->server_id)
        h->stale = false; /* of the one before */
    h->server_id = position->server_id;
    h->read_us = read_us ? read_us : position->ts_us;
    (void)pthread_mutex_unlock(&h->mutex);
}

void
cap_headroom_facts(struct cap_headroom *h, struct cap_headroom_facts *ret)
{
    (void)pthread_mutex_lock(&h->mutex);
    *ret = h->facts;
    ret->stale = h->stale;
    (void)pthread_mutex_unlock(&h->mutex);
}

/* What is missing, as text: "" when it cannot be told. */
static void
name_missing(MYSQL *mysql, const struct cap_position *position, const struct logs *logs,
             bool diverged, char *out, size_t size)
{
    struct cap_gtid_set all, gone, missing;
    struct cap_server server;
    char text[CAP_GTID_SET_TEXT];

    out[0] = '\0';
    if (cap_server_look(mysql, &server, NULL) < 0)
        return;
    if (!server.gtid || position->gtids.n == 0 || position->gtids.flavour != server.flavour) {
        if (!diverged && cap_server_is(&server, position->server_id, position->server_uuid))
            (void)snprintf(out, size, "%.300s:%" PRIu64 " to %.300s:4", position->file,
                           position->pos, logs->first);
        return;
    }
    if (cap_server_gtids(mysql, &server, &all, &gone, NULL) < 0 ||
        cap_gtid_set_minus(diverged ? &position->gtids : &gone, diverged ? &all : &position->gtids,
                           &missing, NULL) < 0 ||
        missing.n == 0)
        return;
    cap_gtid_set_print(&missing, text);
    /* of MariaDB's domains a set says the end; what was read says the beginning */
    (void)snprintf(out, size, "%s%.900s",
                   server.flavour == CAP_MARIADB && !diverged ? "up to " : "", text);
}

void
cap_headroom_log_gone(const struct ls_config *config, const struct cap_position *position,
                      const struct ls_err *why)
{
    char gtids[CAP_GTID_SET_TEXT], missing[1024] = "";
    bool diverged = strcmp(why->cause, "purged") != 0;
    struct logs logs = {.first = "?", .last = "?"};
    MYSQL *mysql = NULL;

    cap_gtid_set_print(&position->gtids, gtids);
    if (cap_connect(config, &mysql, NULL) == 0) {
        if (list_logs(mysql, position->file, &logs, NULL) == 0)
            name_missing(mysql, position, &logs, diverged, missing, sizeof(missing));
        mysql_close(mysql);
    }
    ls_log(LS_ERROR, diverged ? "position-not-there" : "position-purged", LS_S("missing", missing),
           LS_S("position_gtid", gtids), LS_S("position_file", position->file),
           LS_I("position_pos", position->pos), LS_S("source_first_file", logs.first),
           LS_S("source_last_file", logs.last),
           LS_S("do", "changes are missing: start once with --snapshot; capture then goes on from "
                      "where the source is now, and the new snapshot repairs what was missed"));
}
