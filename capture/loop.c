/*
 * The loop: start, follow, and what becomes of a failure.
 *
 *  - RETRY from the source: what was read is committed, then a new connection is made at the
 *    position, for ever, with a back-off; /readyz says why meanwhile.
 *  - RETRY from Kafka: what was not acknowledged is thrown away with its producer, the position is
 *    read back from its topic, and the source is asked for everything behind it again.
 *  - Fenced: by another capture (then this one stands by, see standby.c, or exits), or by the
 * broker that gave up our own transaction because we were stopped for a while (then it goes on).
 * The position topic tells which.
 *  - FATAL: logged, the open transaction aborted, the exit status says the cause.
 * POISON never comes this far: publish.c puts the row into the dead letters.
 *
 * The order at a start matters: the transactional id first (it fences another capture), then the
 * position, for only then nobody else moves it.
 */
#include "capture/loop.h"
#include "capture/columns.h"
#include "capture/connect.h"
#include "capture/control.h"
#include "capture/headroom.h"
#include "capture/hosts.h"
#include "capture/place.h"
#include "capture/publish.h"
#include "capture/schema.h"
#include "capture/session.h"
#include "capture/snapshot.h"
#include "capture/standby.h"
#include "capture/status.h"
#include "capture/stream.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/records.h"
#include "common/registry.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 1000
#define LOOK_EVERY 64  /* packets */
#define BEHIND_MS 500  /* between two commits while there is much to catch up on */
#define CONTROL_MS 200 /* how often commands are looked for, at most */
#define READY_MS 1000  /* the least time that a stuck loop stays ready */
#define BACKOFF_MS 15000
#define FENCED_MS 2000 /* for the one who fenced us to leave a sign */

static const char wait_source[] = "the source has not said a word for two heartbeats";
static const char wait_kafka[] =
    "no answer for two heartbeats from Kafka, or from the source's tables";
#define TOPICS (LS_T_COUNT + 5)

struct capture {
    const struct ls_config *config;
    struct cap_schema *schema;
    struct cap_publisher *publisher;
    struct cap_stream *stream;
    struct cap_snapshot *snapshot;
    struct cap_session *session;
    struct cap_status *status;
    struct cap_control *control;
    struct cap_headroom *headroom;
    struct ls_backoff backoff;
    bool new_snapshot;   /* asked for by option, not yet begun */
    bool may_skip;       /* --snapshot was given: a purged position may be left behind */
    bool followed;       /* the source was fit once: what it lacks now may come back */
    bool columns_asked;  /* since the dump began */
    bool served;         /* the host in use gave packets since it was connected to */
    bool publisher_lost; /* its transaction failed: connect again before anything else */
    bool active;         /* was, or is: not so a start or the end of a wait, which take over */
    bool topics;         /* they are there, and their limits known */
    struct cap_standby standby;
    int64_t ready_ms, ready_until;
    int64_t now_ms; /* as of the last look */
    int64_t commit_ms;
    int64_t tick_ms, control_ms, read_us, last_progress_us, last_counter, reconnects;
};

/* Exit statuses by the cause of a FATAL failure. */
static const struct {
    const char *cause;
    enum ls_exit status;
} exit_table[] = {
    {"usage", LS_EXIT_USAGE},
    {"source-auth", LS_EXIT_SOURCE},
    {"source-tls", LS_EXIT_SOURCE},
    {"source-settings", LS_EXIT_SOURCE},
    {"source-grants", LS_EXIT_SOURCE},
    {"source-server-id", LS_EXIT_SOURCE},
    {"source-tables", LS_EXIT_SOURCE},
    {"source-server", LS_EXIT_PURGED},
    {"purged", LS_EXIT_PURGED},
    {"diverged", LS_EXIT_PURGED},
    {"fenced", LS_EXIT_FENCED},
    {"kafka-authentication", LS_EXIT_KAFKA},
    {"kafka-authorization", LS_EXIT_KAFKA},
    {"kafka-policy", LS_EXIT_KAFKA},
    {"kafka-version", LS_EXIT_KAFKA},
    {"registry", LS_EXIT_KAFKA},
    {"registry-auth", LS_EXIT_KAFKA},
    {"registry-incompatible", LS_EXIT_KAFKA},
    {"topics", LS_EXIT_KAFKA},
    {"topic-missing", LS_EXIT_KAFKA},
    {"topic-partitions", LS_EXIT_KAFKA},
};

static int
exit_status(const struct ls_err *err)
{
    for (size_t i = 0; i < sizeof(exit_table) / sizeof(exit_table[0]); i++)
        if (!strcmp(exit_table[i].cause, err->cause))
            return (int)exit_table[i].status;
    return strncmp(err->cause, "topic", 5) == 0 ? LS_EXIT_KAFKA : LS_EXIT_FAILURE;
}

static void
tell(struct capture *c)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    struct cap_facts facts = {.position = position, .table = cap_snapshot_table(position)};

    facts.read_us = c->read_us;
    facts.last_progress_us = c->last_progress_us;
    facts.events = cap_stream_events(c->stream);
    facts.rows = cap_publisher_rows(c->publisher);
    facts.commits = cap_publisher_commits(c->publisher);
    facts.reconnects = c->reconnects;
    facts.method = cap_snapshot_method(c->snapshot);
    facts.waits = cap_snapshot_waits(c->snapshot);
    facts.commands = cap_control_counts(c->control);
    facts.commands_on = cap_control_on(c->control);
    cap_headroom_at(c->headroom, position, cap_stream_coords(c->stream), c->read_us);
    cap_headroom_facts(c->headroom, &facts.headroom);
    cap_status_tick(c->status, &facts);
    ls_run_notify_alive();
}

static int
make_topics(struct capture *c, struct ls_err *err)
{
    struct ls_topic_spec specs[TOPICS];
    int partitions = (int)ls_config_int(c->config, "lockstep", "partitions");
    size_t n = 0;

    for (size_t i = 0; i < LS_T_COUNT; i++) {
        char suffix[64];
        (void)snprintf(suffix, sizeof(suffix), "oc10.oc_%s", ls_tables[i].name);
        specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, suffix),
                                            ls_tables[i].by_storage ? partitions : 1, LS_KEPT_LAST};
    }
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "position"), 1, LS_KEPT_STATE};
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "schemas"), 1, LS_KEPT_LAST};
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "status"), 1, LS_KEPT_STATE};
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "dlq"), 1, false};
    if (cap_control_on(c->control))
        specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, LS_CONTROL_TOPIC), 1,
                                            LS_KEPT_14_DAYS};
    if (ls_topics_ensure(c->config, specs, n, err) < 0)
        return -1;
    /* before the first record, so that whoever reads one can read it */
    if (ls_schemas_publish(c->config, err) < 0)
        return -1;
    return ls_registry_register(c->config, "oc10/", err);
}

/* The source's settings and tables, as they are now. */
static int
look_at_source(struct capture *c, struct ls_err *err)
{
    struct cap_server server;
    MYSQL *mysql = NULL;
    int r;

    if (cap_connect(c->config, &mysql, err) < 0)
        return -1;
    r = cap_server_look(mysql, &server, err);
    if (r == 0)
        r = cap_server_check(mysql, &server, c->config, err);
    if (r == 0)
        r = cap_schema_load(c->schema, mysql, err);
    mysql_close(mysql);
    return r;
}

/* What the publisher shall keep beside the position. */
static int
keep_columns(struct capture *c, struct ls_err *err)
{
    char *json;

    if (!cap_schema_changed(c->schema))
        return 0;
    json = cap_schema_print(c->schema);
    if (!json)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory for the columns");
    cap_publisher_set_columns(c->publisher, json);
    return 0;
}

/* The columns where the stream is; NULL: as many as can be had. */
static int
learn_columns(struct capture *c, const struct cap_coords *at, const struct ls_table *wanted,
              struct ls_err *err)
{
    MYSQL *mysql = NULL;
    int r;

    /* it may take its time, and the broker has not all of it */
    if (cap_publisher_commit(c->publisher, err) < 0 || cap_connect(c->config, &mysql, err) < 0)
        return -1;
    r = cap_columns_learn(c->schema, mysql, cap_session_server(c->session), at, wanted, err);
    mysql_close(mysql);
    return r < 0 ? r : keep_columns(c, err);
}

/* A first start has no position: it begins where the source is now. */
static int
begin_first(struct capture *c, struct ls_err *err)
{
    const char *mode = ls_config_str(c->config, "capture", "snapshot");

    if (cap_place_take(c->config, cap_publisher_position(c->publisher), err) < 0)
        return -1;
    if (strcmp(mode, "never") != 0) {
        c->new_snapshot = true;
        return 0;
    }
    ls_log(LS_WARN, "no-snapshot",
           LS_S("why", "there is no position and capture.snapshot=never: the stream begins now"));
    return 0;
}

/* To connect again is to fence whoever has taken over while Kafka was away for us: he is to keep
 * what he has. */
static int
stay_behind(struct capture *c, struct ls_err *err)
{
    bool overtaken = false;

    if (c->active && cap_publisher_overtaken(c->publisher, &overtaken, err) < 0)
        return -1;
    return overtaken ? ls_fail_cause(err, LS_ERR_FATAL, 0, "fenced",
                                     "another capture has taken over in the meantime")
                     : 0;
}

/* Producer, position, and a snapshot where one is due; committed as the first thing. */
static int
connect_publisher(struct capture *c, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    char gtids[CAP_GTID_SET_TEXT];
    bool found;

    c->publisher_lost = true;
    cap_control_restart(c->control);
    if (stay_behind(c, err) < 0 || cap_publisher_connect(c->publisher, &found, err) < 0)
        return -1;
    c->active = true;
    if (cap_schema_parse(c->schema, cap_publisher_columns(c->publisher), err) < 0)
        return -1;
    if (!found && begin_first(c, err) < 0)
        return -1;
    if (c->new_snapshot && cap_snapshot_covers_all(position))
        c->new_snapshot = false; /* it goes on where it was */
    if (c->new_snapshot && !cap_position_in_part(position)) {
        if (cap_snapshot_begin(c->snapshot, err) < 0)
            return -1;
        c->new_snapshot = false;
    }
    if (cap_publisher_keep(c->publisher, err) < 0)
        return -1;
    c->publisher_lost = false;
    cap_gtid_set_print(&position->gtids, gtids);
    ls_log(LS_INFO, "position", LS_S("gtid", gtids), LS_S("file", position->file),
           LS_I("pos", position->pos), LS_I("row", position->row), LS_I("epoch", position->epoch),
           LS_I("counter", position->counter),
           LS_S("snapshot", cap_phase_names[position->snapshot.phase]));
    return 0;
}

static int
connect_session(struct capture *c, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    struct cap_start start = {
        .gtids = position->gtids, .pos = position->pos, .server_id = position->server_id};

    memcpy(start.file, position->file, sizeof(start.file));
    memcpy(start.uuid, position->server_uuid, sizeof(start.uuid));
    cap_snapshot_drop(c->snapshot);
    cap_stream_restart(c->stream);
    c->columns_asked = false;
    if (cap_session_open(c->config, &start, &c->session, err) < 0)
        return -1;
    cap_place_come(cap_publisher_position(c->publisher), cap_session_server(c->session));
    return 0;
}

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
commit_due(struct capture *c, bool look, struct ls_err *err)
{
    bool due = cap_publisher_full(c->publisher);

    if (!due && look && cap_publisher_age_ms(c->publisher, c->now_ms) >= c->commit_ms)
        due = !cap_session_has_more(c->session) ||
              cap_publisher_age_ms(c->publisher, c->now_ms) >= BEHIND_MS;
    return due ? cap_publisher_commit(c->publisher, err) : 0;
}

/* Everything between two packets: the snapshot's next step, a repair, the commit. */
static int
at_boundary(struct capture *c, bool look, bool *ret_busy, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(c->publisher);

    *ret_busy = false;
    if (keep_columns(c, err) < 0)
        return -1;
    /* by age too, for a transaction may take its time to arrive and the broker aborts ours then;
     * the position holds the row */
    if (!cap_stream_at_boundary(c->stream))
        return commit_due(c, look, err);
    if (!c->columns_asked && cap_schema_wants_columns(c->schema) &&
        cap_stream_coords(c->stream)->file[0]) {
        /* early, while nothing lies between the stream and the source */
        c->columns_asked = true;
        if (learn_columns(c, cap_stream_coords(c->stream), NULL, err) < 0)
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
        if (cap_schema_stale(c->schema) && look_at_source(c, err) < 0)
            return -1;
        if (cap_snapshot_step(c->snapshot, c->stream, ret_busy, err) < 0)
            return -1;
    }
    return commit_due(c, look, err);
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
        !(why.kind == LS_ERR_FATAL && !strncmp(why.cause, "source", 6))) {
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
        tell(c);
    return 0;
}

static int
take_packet(struct capture *c, const struct cap_packet *packet, struct ls_err *err)
{
    struct ls_err why = {0};

    if (cap_stream_take(c->stream, packet, &why) == 0)
        return 0;
    if (strcmp(why.cause, CAP_COLUMNS_WANTED) != 0) {
        *err = why;
        return -1;
    }
    if (learn_columns(c, cap_stream_at(c->stream), cap_stream_wants(c->stream), err) < 0)
        return -1;
    return cap_stream_take(c->stream, packet, err);
}

/* Once a second: heartbeats, which also keep the position young, and the status. */
static int
tick(struct capture *c, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    int64_t read_us = cap_stream_read_us(c->stream);

    if (position->counters.watched != c->last_counter) {
        c->last_counter = position->counters.watched;
        c->last_progress_us = ls_now_us();
    }
    c->read_us = read_us;
    tell(c);
    if (read_us > 0 && cap_publish_heartbeat(c->publisher, read_us, err) < 0)
        return -1;
    return 0;
}

/* Milliseconds the loop may wait for the next packet. */
static int
wait_ms(const struct capture *c)
{
    int64_t until_tick = c->tick_ms + TICK_MS - ls_mono_ms();
    int commit = cap_publisher_wait_ms(c->publisher);

    if (until_tick < 0)
        until_tick = 0;
    return commit >= 0 && commit < until_tick ? commit : (int)until_tick;
}

/* As cap_session_next; with a look at the clock, where /readyz is told too what is waited for. */
static int
next_packet(struct capture *c, bool look, bool wait, struct cap_packet *ret, struct ls_err *err)
{
    int r;

    if (!look)
        return cap_session_next(c->session, 0, ret, err);
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

/* Follows the source until a stop (0) or a failure. */
static int
follow(struct capture *c, struct ls_err *err)
{
    bool first = true, busy = false;
    unsigned packets = 0;

    c->ready_until = ls_mono_ms() + c->ready_ms;
    while (!ls_run_stopping()) {
        struct cap_packet packet;
        /* clocks and locks cost more than a packet: they are for where it may be waited */
        bool look = busy || packets++ % LOOK_EVERY == 0 || !cap_session_at_hand(c->session);
        int r = next_packet(c, look, !busy, &packet, err);
        if (r < 0)
            return -1;
        if (r > 0) {
            if (first) {
                cap_status_ready(c->status, NULL);
                ls_run_notify_ready();
                ls_backoff_reset(&c->backoff);
                ls_log(LS_INFO, "following");
                c->followed = c->served = true;
                cap_hosts_good();
                first = false;
            }
            if (take_packet(c, &packet, err) < 0)
                return -1;
        }
        if (at_boundary(c, look, &busy, err) < 0)
            return -1;
        if (c->now_ms - c->control_ms >= CONTROL_MS && cap_stream_at_boundary(c->stream) &&
            take_commands(c, err) < 0)
            return -1;
        if (c->now_ms - c->tick_ms >= TICK_MS) {
            c->tick_ms = c->now_ms;
            if (tick(c, err) < 0)
                return -1;
        }
    }
    return cap_publisher_commit(c->publisher, err);
}

/* What cannot be read any more, or cannot be followed: with --snapshot it is left behind. */
static bool
is_gap(const struct ls_err *err)
{
    static const char *const causes[] = {
        CAP_COLUMNS_UNKNOWN, "column-count", "column-type", "row-image",
        "statement",         "incident",     "event-type",  NULL};

    for (size_t i = 0; causes[i]; i++)
        if (err->kind == LS_ERR_FATAL && !strcmp(err->cause, causes[i]))
            return true;
    return false;
}

/* Over the gap: on from the source's place now, with a snapshot that repairs what lies in it. */
static int
skip_gap(struct capture *c, const struct ls_err *why, struct ls_err *err)
{
    cap_schema_forget(c->schema, UINT32_MAX);
    if (cap_place_take(c->config, cap_publisher_position(c->publisher), err) < 0 ||
        keep_columns(c, err) < 0 || cap_snapshot_begin(c->snapshot, err) < 0 ||
        cap_publisher_commit(c->publisher, err) < 0)
        return -1;
    c->new_snapshot = false;
    c->may_skip = false; /* only now: what failed is tried again */
    ls_log(LS_WARN, "gap-skipped", LS_S("cause", why->cause), LS_S("why", why->msg),
           LS_S("do", "nothing: --snapshot was given"));
    return 0;
}

/* Everything that must be there before packets can flow. */
static int
prepare(struct capture *c, struct ls_err *err)
{
    if (cap_schema_stale(c->schema) && look_at_source(c, err) < 0)
        return -1;
    if (c->publisher_lost && connect_publisher(c, err) < 0)
        return -1;
    return connect_session(c, err);
}

/* After a RETRY: keeps what is whole, or throws it away with its producer. FATAL when we are
 * fenced: to connect again might be to fence another capture back. */
static int
fall_back(struct capture *c, const struct ls_err *why, struct ls_err *err)
{
    struct ls_err failure = {0};
    bool of_source = !strncmp(why->cause, "source", 6) || !strncmp(why->cause, "binlog", 6);

    cap_session_close(c->session);
    c->session = NULL;
    cap_snapshot_drop(c->snapshot);
    cap_control_restart(c->control);
    c->reconnects++;
    if (!strcmp(why->cause, "too-large"))
        c->topics = false; /* a topic's limit is another now */
    if (of_source && !c->publisher_lost && cap_publisher_commit(c->publisher, &failure) == 0)
        return 0;
    c->publisher_lost = true;
    if (failure.kind == LS_ERR_FATAL) {
        *err = failure;
        return -1;
    }
    return 0;
}

/* Once more the host that served; when it does not, the next. True: one that was not tried yet. */
static bool
choose_host(struct capture *c, const struct ls_err *why)
{
    static const char *const causes[] = {"source", "source-behind", "source-server", NULL};
    size_t left = cap_hosts_left(c->config);
    bool again = c->served;

    c->served = false;
    for (size_t i = 0; !again && causes[i]; i++)
        if (!strcmp(why->cause, causes[i])) {
            cap_hosts_next();
            cap_schema_forget(c->schema, 0); /* its settings are looked at too */
            return left > 0;
        }
    return false;
}

static void
wait_and_tell(struct capture *c, const struct ls_err *why, int64_t ms)
{
    int64_t until = ls_mono_ms() + ms;

    cap_status_ready(c->status, why->msg);
    ls_log_err(LS_WARN, "retry", why);
    do {
        int64_t left = until - ls_mono_ms();
        tell(c);
        ls_run_sleep_ms(left > TICK_MS ? TICK_MS : left > 0 ? left : 1);
    } while (ls_mono_ms() < until && !ls_run_stopping());
}

static void
tell_of_standby(void *arg)
{
    tell(arg);
}

/*
 * Somebody holds our transactional id. 0: it is ours to connect again; -1: it is not, and this
 * capture is not to wait.
 */
static int
after_fence(struct capture *c, const struct ls_err *why, struct ls_err *err)
{
    bool overtaken = true;
    struct ls_err failure = {0};

    cap_session_close(c->session);
    c->session = NULL;
    cap_snapshot_drop(c->snapshot);
    c->publisher_lost = true;
    wait_and_tell(c, why, FENCED_MS);
    while (!ls_run_stopping() && cap_publisher_overtaken(c->publisher, &overtaken, &failure) < 0) {
        if (failure.kind != LS_ERR_RETRY) {
            *err = failure;
            return -1;
        }
        wait_and_tell(c, &failure, ls_backoff_next_ms(&c->backoff));
    }
    if (!overtaken) {
        ls_log(LS_WARN, "transaction-timeout",
               LS_S("why", "the broker gave up a transaction; nobody has taken over"));
        return 0;
    }
    if (!ls_config_bool(c->config, "capture", "standby"))
        return -1;
    c->active = false;
    cap_publisher_drop(c->publisher);
    cap_schema_forget(c->schema, 0);
    cap_status_standby(c->status, true);
    cap_status_ready(c->status, NULL);
    ls_run_notify_ready();
    cap_standby_wait(&c->standby, c->config, tell_of_standby, c);
    cap_status_ready(c->status, "taking over");
    cap_status_standby(c->status, ls_run_stopping());
    return 0;
}

/* A capture that takes over has our server id as well: then it has fenced us, and that is the word
 * for it. Anybody else who has it would end our dump again and again. */
static void
ask_who_took_over(struct capture *c, struct ls_err *err)
{
    struct ls_err failure = {0};

    if (!c->publisher_lost && cap_publisher_keep(c->publisher, &failure) < 0 &&
        failure.kind == LS_ERR_FATAL)
        *err = failure;
}

static int
run(struct capture *c)
{
    struct ls_err err = {0}, why;
    bool gone;

    while (!ls_run_stopping()) {
        memset(&err, 0, sizeof(err));
        if (!c->topics && make_topics(c, &err) == 0 && cap_status_topic(c->status, &err) == 0)
            c->topics = true;
        if (c->topics && prepare(c, &err) == 0 && follow(c, &err) == 0)
            break;
        gone = cap_place_is_gone(c->config, c->may_skip, &err);
        if (gone)
            cap_headroom_log_gone(c->config, cap_publisher_position(c->publisher), &err);
        if ((gone || is_gap(&err)) && c->may_skip) {
            why = err;
            cap_session_close(c->session);
            c->session = NULL;
            if (skip_gap(c, &why, &err) == 0)
                continue;
        }
        if (!strcmp(err.cause, "source-server-id"))
            ask_who_took_over(c, &err);
        /* DDL that the stream has not come to yet, or a dump being loaded, table by table: look
         * again */
        if (!strcmp(err.cause, "source-tables") && c->followed) {
            cap_schema_forget(c->schema, 0);
            err.kind = LS_ERR_RETRY;
        }
        cap_status_ready_until(c->status, 0, "");
        why = err;
        if (err.kind == LS_ERR_RETRY && fall_back(c, &why, &err) == 0) {
            wait_and_tell(c, &why, choose_host(c, &why) ? 0 : ls_backoff_next_ms(&c->backoff));
            continue;
        }
        why = err;
        if (!strcmp(err.cause, "fenced") && after_fence(c, &why, &err) == 0)
            continue;
        cap_status_ready(c->status, err.msg);
        ls_log_err(LS_ERROR, "stop", &err);
        return exit_status(&err);
    }
    ls_log(LS_INFO, "stopped");
    return LS_EXIT_OK;
}

int
cap_run(const struct ls_config *config, bool new_snapshot)
{
    struct capture c = {.config = config, .publisher_lost = true};
    struct ls_err err = {0};
    int status = LS_EXIT_FAILURE;

    int64_t standby_ms = ls_config_int(config, "capture", "standby_ms");

    /* behind an outage the active one is to be back before a standby has lost its patience */
    c.backoff = (struct ls_backoff){.first_ms = 200, .max_ms = standby_ms / 3};
    if (c.backoff.max_ms > BACKOFF_MS)
        c.backoff.max_ms = BACKOFF_MS;
    c.commit_ms = ls_config_int(config, "capture", "commit_ms");
    c.ready_ms = 2 * ls_config_int(config, "source", "heartbeat_ms");
    if (c.ready_ms < READY_MS)
        c.ready_ms = READY_MS;
    c.may_skip = new_snapshot;
    c.new_snapshot =
        new_snapshot || !strcmp(ls_config_str(config, "capture", "snapshot"), "always");
    if (cap_connect_check(config, &err) < 0) {
        ls_log_err(LS_ERROR, "stop", &err);
        return LS_EXIT_USAGE;
    }
    c.schema = cap_schema_new(config);
    if (!c.schema || cap_publisher_new(config, &c.publisher, &err) < 0)
        goto out;
    c.stream = cap_stream_new(c.schema, c.publisher);
    c.snapshot = cap_snapshot_new(config, c.schema, c.publisher);
    if (!c.stream || !c.snapshot || cap_headroom_new(config, &c.headroom, &err) < 0)
        goto out;
    if (cap_status_new(config, &c.status, &err) < 0) {
        ls_log_err(LS_ERROR, "stop", &err);
        status = LS_EXIT_USAGE;
        goto out;
    }
    if (cap_control_new(config, &c.control, &err) < 0) {
        ls_log_err(LS_ERROR, "stop", &err);
        status = LS_EXIT_USAGE;
        goto out;
    }
    status = run(&c);
out:
    cap_headroom_free(c.headroom);
    cap_session_close(c.session);
    cap_snapshot_free(c.snapshot);
    cap_stream_free(c.stream);
    cap_publisher_free(c.publisher);
    cap_control_free(c.control);
    cap_status_free(c.status);
    cap_schema_free(c.schema);
    return status;
}
