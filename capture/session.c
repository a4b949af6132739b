/*
 * The dump: the binlog's packets, as they come.
 *
 * libmariadb signs in and frames packets; the dump command goes through its own method table,
 * because its replication functions cannot start by GTID on every server and lose events. What can
 * go wrong: the server is away (RETRY for ever), refuses us (FATAL, exit 4), no longer has our
 * position (FATAL, exit 5), or is silent: it promises a heartbeat, so three missed ones mean that
 * the connection is dead, whatever TCP thinks.
 *
 * A thread reads ahead into one of two buffers while the loop works on the other: the loop can wait
 * with a timeout without guessing what libmariadb and TLS still hold in their own buffers, and a
 * transaction's rows are encoded while the next ones come in. The thread owns the MYSQL handle
 * between open and close.
 */
#include "capture/session.h"
#include "capture/connect.h"
#include "capture/server.h"
#include "common/run.h"
#include <errno.h>
#include <mysqld_error.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_AHEAD ((size_t)8 << 20)
#define KEEP_AT_MOST ((size_t)32 << 20) /* a larger buffer is given back after its use */
#define LARGEST_PACKET ((size_t)1 << 30)

/* Packets one behind another: size, time, bytes, padded to 8. */
struct packet_head {
    uint64_t n;
    int64_t received_us, idle_us;
};

struct cap_session {
    MYSQL *mysql;
    struct cap_server server;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t filled, drained;
    struct ls_buf buffers[2];
    int filling; /* the buffer that the thread appends to */
    bool closing;
    bool ended;
    struct ls_err end; /* why the thread ended */
    int64_t heartbeat_ms;
    size_t at; /* read position in the other buffer */
};

static unsigned
silence_seconds(const struct ls_config *config)
{
    int64_t ms = 3 * ls_config_int(config, "source", "heartbeat_ms");

    return (unsigned)((ms + 999) / 1000);
}

/* Error 1236 says in words whether the position is gone or something else is wrong. */
static int
fail_dump(MYSQL *mysql, struct ls_err *err)
{
    unsigned code = mysql_errno(mysql);
    const char *text = mysql_error(mysql);

    if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG) {
        static const char *const gone[] = {"Could not find first log file", "purged",
                                           "not in the master's binlog", "could not find next log",
                                           NULL};
        for (size_t i = 0; gone[i]; i++)
            if (strstr(text, gone[i]))
                return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "purged", "%s", text);
        return ls_fail_cause(err, LS_ERR_FATAL, (int)code, "binlog", "%s", text);
    }
    return cap_fail_mysql(mysql, "reading the binlog", err);
}

static int
reserve_packet(struct ls_buf *buf, struct packet_head head, uint8_t **ret)
{
    uint8_t *p = ls_buf_room(buf, sizeof(head) + (((size_t)head.n + 7) & ~(size_t)7));

    if (!p)
        return -1;
    memcpy(p, &head, sizeof(head));
    *ret = p + sizeof(head);
    return 0;
}

/*
 * The next packet, and whether we had to wait for it. A heartbeat says that the source had nothing
 * more when it left there; one that lay in a buffer left some time ago, and what came behind it may
 * lie there too. The socket alone does not tell: libmariadb and TLS read ahead. But the source is
 * silent for a whole period in front of a heartbeat, so who has read everything waits about as
 * long.
 */
static unsigned long
read_packet(struct cap_session *s, struct packet_head *ret)
{
    struct pollfd fd = {.fd = mysql_get_socket(s->mysql), .events = POLLIN};
    bool empty = poll(&fd, 1, 0) == 0;
    int64_t before_us = ls_now_us(), before_ms = ls_mono_ms();
    unsigned long n = mysql_net_read_packet(s->mysql);

    *ret = (struct packet_head){.n = n ? n - 1 : 0, .received_us = ls_now_us()};
    if (empty && ls_mono_ms() - before_ms >= s->heartbeat_ms / 2)
        ret->idle_us = before_us;
    return n;
}

static void *
read_ahead(void *arg)
{
    struct cap_session *s = arg;
    struct ls_err err = {0};

    mysql_thread_init();
    for (;;) {
        struct packet_head head;
        unsigned long n = read_packet(s, &head);
        const uint8_t *p = s->mysql->net.read_pos;
        uint8_t *room;
        if (n == packet_error || n == (unsigned long)-1) {
            (void)fail_dump(s->mysql, &err);
            break;
        }
        if (n == 0 || (p[0] == 0xfe && n < 9)) {
            (void)ls_fail_cause(&err, LS_ERR_RETRY, 0, "source",
                                "the source ended the binlog dump");
            break;
        }
        (void)pthread_mutex_lock(&s->mutex);
        while (s->buffers[s->filling].n > READ_AHEAD && !s->closing)
            (void)pthread_cond_wait(&s->drained, &s->mutex);
        if (s->closing || reserve_packet(&s->buffers[s->filling], head, &room) < 0) {
            if (!s->closing)
                (void)ls_fail_cause(&err, LS_ERR_FATAL, ENOMEM, "event-too-large",
                                    "no memory for an event of %lu bytes", n);
            (void)pthread_mutex_unlock(&s->mutex);
            break;
        }
        memcpy(room, p + 1, n - 1);
        (void)pthread_cond_signal(&s->filled);
        (void)pthread_mutex_unlock(&s->mutex);
    }
    (void)pthread_mutex_lock(&s->mutex);
    s->ended = true;
    s->end = err;
    (void)pthread_cond_signal(&s->filled);
    (void)pthread_mutex_unlock(&s->mutex);
    mysql_thread_end();
    return NULL;
}

static int
session_settings(struct cap_session *s, const struct ls_config *config,
                 const struct cap_start *start, struct ls_err *err)
{
    char sql[CAP_GTID_SET_TEXT + 64], gtids[CAP_GTID_SET_TEXT];
    /* four times as often as promised: it is also the word that the source has no more to send */
    int64_t heartbeat_ns = ls_config_int(config, "source", "heartbeat_ms") * (1000000 / 4);

    s->heartbeat_ms = heartbeat_ns / 1000000;
    (void)snprintf(sql, sizeof(sql), "SET @master_heartbeat_period=%lld", (long long)heartbeat_ns);
    /* a slow Kafka makes us read slowly: the source shall not take that for death */
    if (cap_query(s->mysql, "SET SESSION net_write_timeout=600", err) < 0 ||
        cap_query(s->mysql, "SET @master_binlog_checksum=@@global.binlog_checksum", err) < 0 ||
        cap_query(s->mysql, "SET @mariadb_slave_capability=4", err) < 0 ||
        cap_query(s->mysql, sql, err) < 0)
        return -1;
    if (start->gtids.n == 0)
        return 0;
    cap_gtid_set_print(&start->gtids, gtids);
    (void)snprintf(sql, sizeof(sql), "SET @slave_connect_state='%s'", gtids);
    if (cap_query(s->mysql, sql, err) < 0 ||
        cap_query(s->mysql, "SET @slave_gtid_strict_mode=1", err) < 0 ||
        cap_query(s->mysql, "SET @slave_gtid_ignore_duplicates=0", err) < 0)
        return -1;
    return 0;
}

static void
put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static int
send_dump(struct cap_session *s, const struct ls_config *config, const struct cap_start *start,
          struct ls_err *err)
{
    /* position 4, flags 2, server id 4, file name; with GTIDs the server finds the file itself */
    uint8_t command[10 + sizeof(start->file)] = {0};
    bool by_gtid = start->gtids.n > 0;
    size_t name = by_gtid ? 0 : strlen(start->file);

    put_le32(command, by_gtid || start->pos < 4 ? 4 : (uint32_t)start->pos);
    put_le32(command + 6, cap_server_id(config));
    memcpy(command + 10, start->file, name);
    if (s->mysql->methods->db_command(s->mysql, COM_BINLOG_DUMP, (const char *)command, 10 + name,
                                      1, NULL))
        return fail_dump(s->mysql, err);
    return 0;
}

int
cap_session_open(const struct ls_config *config, const struct cap_start *start,
                 struct cap_session **ret, struct ls_err *err)
{
    struct cap_session *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;

    if (!s)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a session");
    (void)pthread_mutex_init(&s->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->filled, &attr);
    (void)pthread_cond_init(&s->drained, NULL);
    (void)pthread_condattr_destroy(&attr);
    ls_buf_init(&s->buffers[0], LARGEST_PACKET + 2 * READ_AHEAD);
    ls_buf_init(&s->buffers[1], LARGEST_PACKET + 2 * READ_AHEAD);
    if (cap_connect_within(config, silence_seconds(config), &s->mysql, err) < 0)
        goto fail;
    if (cap_server_look(s->mysql, &s->server, err) < 0 ||
        session_settings(s, config, start, err) < 0 || send_dump(s, config, start, err) < 0)
        goto fail;
    if (pthread_create(&s->thread, NULL, read_ahead, s) != 0) {
        (void)ls_fail(err, LS_ERR_RETRY, errno, "no thread to read the binlog");
        goto fail;
    }
    s->started = true;
    *ret = s;
    return 0;
fail:
    cap_session_close(s);
    return -1;
}

void
cap_session_close(struct cap_session *s)
{
    if (!s)
        return;
    if (s->started) {
        (void)pthread_mutex_lock(&s->mutex);
        s->closing = true;
        (void)pthread_cond_signal(&s->drained);
        (void)pthread_mutex_unlock(&s->mutex);
        (void)shutdown(mysql_get_socket(s->mysql), SHUT_RDWR);
        (void)pthread_join(s->thread, NULL);
    }
    if (s->mysql)
        mysql_close(s->mysql);
    ls_buf_free(&s->buffers[0]);
    ls_buf_free(&s->buffers[1]);
    (void)pthread_cond_destroy(&s->filled);
    (void)pthread_cond_destroy(&s->drained);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

const struct cap_server *
cap_session_server(const struct cap_session *s)
{
    return &s->server;
}

/* Swaps the buffers once the loop's own one is read to its end. */
static int
swap_buffers(struct cap_session *s, int timeout_ms, struct ls_err *err)
{
    struct ls_buf *mine = &s->buffers[!s->filling];
    struct timespec until;
    int r = 0;

    ls_buf_clear(mine);
    s->at = 0;
    if (mine->size > KEEP_AT_MOST) {
        size_t cap = mine->cap;
        ls_buf_free(mine);
        ls_buf_init(mine, cap);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_mutex_lock(&s->mutex);
    while (s->buffers[s->filling].n == 0 && !s->ended)
        if (pthread_cond_timedwait(&s->filled, &s->mutex, &until) == ETIMEDOUT)
            break;
    if (s->buffers[s->filling].n > 0) {
        s->filling = !s->filling;
        (void)pthread_cond_signal(&s->drained);
        r = 1;
    } else if (s->ended) {
        if (err)
            *err = s->end;
        r = -1;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return r;
}

int
cap_session_next(struct cap_session *s, int timeout_ms, struct cap_packet *ret, struct ls_err *err)
{
    struct ls_buf *mine = &s->buffers[!s->filling];
    struct packet_head head;

    if (s->at == mine->n) {
        int r = swap_buffers(s, timeout_ms, err);
        if (r <= 0)
            return r;
        mine = &s->buffers[!s->filling];
    }
    memcpy(&head, mine->p + s->at, sizeof(head));
    ret->p = mine->p + s->at + sizeof(head);
    ret->n = (size_t)head.n;
    ret->received_us = head.received_us;
    ret->idle_us = head.idle_us;
    s->at += sizeof(head) + (((size_t)head.n + 7) & ~(size_t)7);
    return 1;
}
