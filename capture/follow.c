/*
 * Packet after packet: the stream, and what is done between two of them. That is a snapshot's next
 * step, a repair, a command, the commit, and every status_ms heartbeats and the status.
 *
 * Clocks and locks cost more than a packet does, so packets that are there are taken many at once,
 * up to one behind which there is something to do. Any failure ends it: loop.c says what becomes of
 * it.
 */
#include "capture/loop_parts.h"
#include "capture/snapshot/view.h"
#include "capture/source/connect.h"
#include "capture/source/hosts.h"
#include "capture/stream/columns.h"
#include "common/log.h"
#include <inttypes.h>
#include <string.h>

#define LOOK_EVERY 256 /* packets */
#define BEHIND_MS 500  /* between two commits while there is much to catch up on */
#define CONTROL_MS 200 /* how often commands are looked for, at most */
#define PARTS_MS 10000 /* that the rest of a transaction is waited for without a question */

static const char wait_source[] = "the source has not said a word for two heartbeats";
static const char wait_kafka[] =
    "no answer for two heartbeats from Kafka, or from the source's tables";

/* A loss is repaired by a snapshot, unless nobody wants one. */
static bool
may_not_repair(const struct capture *c)
{
    return !strcmp(ls_config_str(c->config, "capture", "snapshot"), "never") && !c->new_snapshot &&
           !cap_snapshot_covers_all(cap_publisher_position(c->publisher));
}

/*
 * Commits by rows or by age. Age counts where somebody waits for the rows: with a good deal more
 * at hand the newest of these are old, and many small transactions would only make it later.
 */
static int
commit_due(struct capture *c, struct ls_err *err)
{
    bool due = cap_publisher_full(c->publisher);
    int64_t read_us = cap_stream_read_us(c->stream), tick = c->now_ms - c->tick_ms;

    if (!due && cap_publisher_waited_ms(c->publisher, c->now_ms) >= c->commit_ms)
        due = !cap_session_has_more(c->session) ||
              cap_publisher_age_ms(c->publisher, c->now_ms) >= BEHIND_MS;
    if (!due)
        return 0;
    /* a part of the next tick's heartbeats, which would all wait for one commit */
    if (read_us > 0 && tick < c->status_ms &&
        cap_publish_heartbeats(c->publisher, read_us, tick, c->status_ms, err) < 0)
        return -1;
    return cap_publisher_commit(c->publisher, err);
}

/* Everything between two packets: the snapshot's next step, a repair, the commit. */
static int
at_boundary(struct capture *c, bool *ret_busy, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(c->publisher);

    *ret_busy = false;
    if (cap_keep_columns(c, err) < 0)
        return -1;
    /* by age too, for a transaction may take its time to arrive and the broker aborts ours then;
     * the position holds the row */
    if (!cap_stream_at_boundary(c->stream))
        return commit_due(c, err);
    if (!c->columns_asked && cap_schema_wants_columns(c->schema) &&
        cap_stream_coords(c->stream)->file[0]) {
        /* early, while nothing lies between the stream and the source */
        c->columns_asked = true;
        if (cap_learn_columns(c, cap_stream_coords(c->stream), NULL, err) < 0)
            return -1;
    }
    if (position->lost && may_not_repair(c))
        return ls_fail_cause(
            err, LS_ERR_FATAL, 0, "rows-lost",
            "rows of a watched table changed without events in front of %.100s:%" PRIu64
            " and capture.snapshot=never: start once with --snapshot",
            position->file, position->pos);
    if (position->lost || c->new_snapshot) {
        /* in the transaction that moves the position past the loss: a crash cannot part them */
        if (cap_snapshot_begin(c->snapshot, err) < 0)
            return -1;
        c->new_snapshot = false;
    }
    if (position->snapshot.phase == CAP_SNAPSHOT_RUNNING) {
        if (cap_schema_stale(c->schema) && cap_look_at_source(c, err) < 0)
            return -1;
        if (cap_snapshot_step(c->snapshot, c->stream, ret_busy, err) < 0)
            return -1;
    }
    return commit_due(c, err);
}

/* What a command did, that it was taken and the answer are one commit. */
static int
carry_out(struct capture *c, const struct ls_command *command, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(c->publisher);
    struct ls_err why = {0};
    bool accepted = cap_snapshot_command(c->snapshot, command, &why) == 0;

    /* a command is no reason to stop: what the source does not allow is its answer */
    if (!accepted && why.kind != LS_ERR_POISON &&
        !(why.kind == LS_ERR_FATAL && !strncmp(why.cause, "source", 6)) &&
        strcmp(why.cause, CAP_VIEW_NOT_NOW) != 0) {
        *err = why;
        return -1;
    }
    cap_control_answer(c->control, &position->control, command, accepted ? NULL : &why);
    return cap_publisher_keep(c->publisher, err);
}

/* The commands there are, between two transactions. */
static int
take_commands(struct capture *c, struct ls_err *err)
{
    struct cap_control_state *state = &cap_publisher_position(c->publisher)->control;
    struct ls_command command;
    bool some = false;

    c->control_ms = ls_mono_ms();
    while (cap_control_next(c->control, state, &command) == 1) {
        int r = carry_out(c, &command, err);
        ls_command_free(&command);
        if (r < 0)
            return -1;
        some = true;
    }
    if (some)
        cap_tell(c);
    return 0;
}

static int
take_packet(struct capture *c, const struct cap_packet *packet, struct ls_err *err)
{
    if (cap_stream_take(c->stream, packet, err) == 0)
        return 0;
    if (strcmp(err->cause, CAP_COLUMNS_WANTED) != 0)
        return -1;
    *err = (struct ls_err){0};
    if (cap_learn_columns(c, cap_stream_at(c->stream), cap_stream_wants(c->stream), err) < 0)
        return -1;
    return cap_stream_take(c->stream, packet, err);
}

/*
 * The rest of a transaction that the source does not have would be waited for as long as others
 * come: no snapshot, no command. What cannot be found out now is asked for again later.
 */
static void
ask_for_parts(struct capture *c)
{
    const struct cap_server *of = cap_session_server(c->session);
    struct cap_gtid_set all;
    struct cap_server server;
    struct ls_err why = {0};
    MYSQL *mysql = NULL;

    if (cap_publisher_position(c->publisher)->n_parts == 0 || c->now_ms - c->parts_ms < PARTS_MS)
        return;
    c->parts_ms = c->now_ms;
    if (cap_connect(c->config, &mysql, &why) == 0 && cap_server_look(mysql, &server, &why) == 0 &&
        cap_server_is(&server, of->server_id, of->uuid) &&
        cap_server_gtids(mysql, &server, &all, NULL, &why) == 0)
        cap_stream_source_has(c->stream, &all);
    mysql_close(mysql);
    if (why.kind != LS_ERR_NONE)
        ls_log_err(LS_WARN, "parts-unknown", &why);
}

/* Every status_ms: heartbeats, which also keep the position young, and the status. */
static int
tick(struct capture *c, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    int64_t read_us;

    cap_clock_follow(c);
    read_us = cap_stream_read_us(c->stream);
    ask_for_parts(c);
    if (position->counters.watched != c->last_counter) {
        c->last_counter = position->counters.watched;
        c->last_progress_us = ls_now_us();
    }
    c->read_us = read_us;
    cap_tell(c);
    return read_us > 0 ? cap_publish_heartbeats(c->publisher, read_us, 1, 1, err) : 0;
}

/* Milliseconds the loop may wait for the next packet. */
static int
wait_ms(const struct capture *c)
{
    int64_t until_tick = c->tick_ms + c->status_ms - ls_mono_ms();
    int commit = cap_publisher_wait_ms(c->publisher), view = cap_snapshot_wait_ms(c->snapshot);

    if (until_tick < 0)
        until_tick = 0;
    if (view > 0 && view < until_tick)
        until_tick = view;
    return commit >= 0 && commit < until_tick ? commit : (int)until_tick;
}

/* As cap_session_next; with a look at the clock, and /readyz is told too what is waited for. */
static int
next_packet(struct capture *c, bool wait, struct cap_packet *ret, struct ls_err *err)
{
    int r;

    cap_status_ready_until(c->status, c->ready_until, wait_source);
    r = cap_session_next(c->session, wait ? wait_ms(c) : 0, ret, err);
    if (r < 0)
        return -1;
    c->now_ms = ls_mono_ms();
    if (r > 0)
        c->ready_until = c->now_ms + c->ready_ms;
    cap_status_ready_until(c->status, c->ready_until, wait_kafka);
    return r;
}

/* Whether something is to be done between this packet and the next one. */
static bool
has_business(const struct capture *c)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);

    return position->lost || position->snapshot.phase == CAP_SNAPSHOT_RUNNING || c->new_snapshot ||
           cap_publisher_full(c->publisher) || cap_schema_has_changed(c->schema) ||
           (!c->columns_asked && cap_schema_wants_columns(c->schema));
}

/* Packets that are there, one behind another, while nothing else is to be done. */
static int
take_at_hand(struct capture *c, struct ls_err *err)
{
    struct cap_packet packet;

    for (int i = 0; i < LOOK_EVERY && cap_session_at_hand(c->session) && !has_business(c); i++) {
        int r = cap_session_next(c->session, 0, &packet, err);
        if (r <= 0)
            return r;
        if (take_packet(c, &packet, err) < 0)
            return -1;
    }
    return 0;
}

/* Kafka takes what it is sent. One that takes the position and refuses the rows is connected to
 * without a word: behind a failure of Kafka's a commit is waited for, or two heartbeats. */
static bool
goes_on(const struct capture *c, int64_t commits, int64_t begun_ms)
{
    return !c->doubtful || cap_publisher_commits(c->publisher) > commits ||
           c->now_ms - begun_ms >= c->ready_ms;
}

static void
say_ready(struct capture *c)
{
    c->doubtful = false;
    cap_status_ready(c->status, NULL);
    ls_run_notify_ready();
    ls_backoff_reset(&c->backoff);
}

int
cap_follow(struct capture *c, struct ls_err *err)
{
    int64_t commits = cap_publisher_commits(c->publisher), begun_ms = ls_mono_ms();
    bool first = true, ready = false, busy = false;

    c->ready_until = ls_mono_ms() + c->ready_ms;
    while (!ls_run_stopping()) {
        struct cap_packet packet;
        int r = next_packet(c, !busy, &packet, err);
        if (r < 0)
            return -1;
        if (r > 0) {
            if (first) {
                ls_log(LS_INFO, "following");
                c->followed = c->served = true;
                cap_hosts_good();
                first = false;
            }
            if (take_packet(c, &packet, err) < 0 || take_at_hand(c, err) < 0)
                return -1;
        }
        if (at_boundary(c, &busy, err) < 0)
            return -1;
        if (!first && !ready && goes_on(c, commits, begun_ms)) {
            say_ready(c);
            ready = true;
        }
        if (c->now_ms - c->control_ms >= CONTROL_MS && cap_stream_at_boundary(c->stream) &&
            take_commands(c, err) < 0)
            return -1;
        if (c->now_ms - c->tick_ms >= c->status_ms) {
            c->tick_ms = c->now_ms;
            if (tick(c, err) < 0)
                return -1;
        }
    }
    return cap_publisher_commit(c->publisher, err);
}
