/*
 * The loop: start, follow, and what becomes of a failure.
 *
 *  - RETRY from the source: what was read is committed, then a new connection is made at the
 *    position, for ever, with a back-off; /readyz says why meanwhile.
 *  - RETRY from Kafka: what was not acknowledged is thrown away with its producer, the position is
 *    read back from its topic, and the source is asked for everything behind it again.
 *  - Fenced: by another capture (then this one stands by, see standby.c, or exits), or by the
 *    broker that gave up our own transaction because we were stopped for a while (then it goes on).
 *    The position topic tells which.
 *  - FATAL: logged, the open transaction aborted, the exit status says the cause. Not so who we are
 *    and what we may, once that was right: it is a RETRY then.
 * POISON never comes this far: publish.c puts the row into the dead letters.
 *
 * prepare.c makes ready, follow.c follows.
 */
#include "capture/loop.h"
#include "capture/loop_parts.h"
#include "capture/source/connect.h"
#include "capture/source/hosts.h"
#include "capture/stream/columns.h"
#include "capture/stream/place.h"
#include "common/log.h"
#include <errno.h>
#include <string.h>

#define READY_MS 1000 /* the least time that a stuck loop stays ready */
#define BACKOFF_MS 15000
#define FENCED_MS 2000 /* for the one who fenced us to leave a sign */

/* Exit statuses by the cause of a FATAL failure. */
static const struct {
    const char *cause;
    enum ls_exit status;
} exit_table[] = {
    {"usage", LS_EXIT_USAGE},
    {"config", LS_EXIT_USAGE},
    {"control-key", LS_EXIT_USAGE},
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

/* Of one host, where another may be fit. */
static const char *const of_host[] = {
    "purged",     "diverged",        "binlog",        "source-server", "source-auth",
    "source-tls", "source-settings", "source-grants", "source-tables", NULL};

static int
exit_status(const struct ls_err *err)
{
    for (size_t i = 0; i < sizeof(exit_table) / sizeof(exit_table[0]); i++)
        if (!strcmp(exit_table[i].cause, err->cause))
            return (int)exit_table[i].status;
    return strncmp(err->cause, "topic", 5) == 0 ? LS_EXIT_KAFKA : LS_EXIT_FAILURE;
}

/*
 * How far the source was read is a moment of our clock. When that is set back it lies in the future
 * until the clock has caught up: nothing would be late, whatever happens. What was received before
 * that may come to us behind it.
 */
void
cap_clock_follow(struct capture *c)
{
    int64_t back_us = ls_clock_back_us(&c->ahead_us), now_us = ls_now_us();

    if (back_us > 0) {
        ls_log(LS_WARN, "clock-set-back", LS_I("ms", back_us / 1000));
        c->back_us = back_us;
    }
    c->read_us = ls_clock_moment_us(c->read_us, now_us, c->back_us);
    cap_stream_clock(c->stream, now_us, c->back_us);
    cap_publisher_clock(c->publisher, now_us, c->back_us);
}

void
cap_tell(struct capture *c)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    struct cap_facts facts = {.position = position, .table = cap_snapshot_table(position)};

    cap_clock_follow(c);
    facts.read_us = c->read_us;
    facts.last_progress_us = c->last_progress_us;
    facts.events = cap_stream_events(c->stream);
    facts.bytes = cap_stream_bytes(c->stream);
    facts.stream_rows = cap_stream_rows(c->stream);
    facts.in_flight = cap_publisher_in_flight(c->publisher);
    facts.rows = cap_publisher_rows(c->publisher);
    facts.commits = cap_publisher_commits(c->publisher);
    facts.reconnects = c->reconnects;
    facts.method = cap_snapshot_method(c->snapshot);
    facts.waits = cap_snapshot_waits(c->snapshot);
    facts.commands = cap_control_counts(c->control);
    facts.commands_on = cap_control_on(c->control);
    cap_headroom_at(c->headroom, position, cap_stream_coords(c->stream), c->read_us);
    cap_headroom_facts(c->headroom, &facts.headroom);
    cap_stream_source_is_stale(c->stream, facts.headroom.stale);
    cap_status_tick(c->status, &facts);
    ls_run_notify_alive();
}

static bool
is_one_of(const char *const *causes, const struct ls_err *err)
{
    for (size_t i = 0; causes[i]; i++)
        if (!strcmp(err->cause, causes[i]))
            return true;
    return false;
}

/* What cannot be read any more, or cannot be followed: with --snapshot it is left behind. */
static bool
is_gap(const struct ls_err *err)
{
    static const char *const causes[] = {
        CAP_COLUMNS_UNKNOWN, "column-count",    "column-type", "row-image",
        "statement",         "incident",        "event-type",  "binlog",
        "binlog-format",     "binlog-chain",    "xa",          "gtid-set",
        "gtid-tagged",       "event-too-large", NULL};
    static const char *const damaged[] = {"binlog-checksum", "source-file", NULL}; /* for ever */

    return (err->kind == LS_ERR_FATAL && is_one_of(causes, err)) || is_one_of(damaged, err);
}

/* Over the gap: on from the source's place now, with a snapshot that repairs what lies in it. */
static int
skip_gap(struct capture *c, const struct ls_err *why, struct ls_err *err)
{
    cap_schema_forget(c->schema, UINT32_MAX);
    if (cap_place_take(c->config, cap_publisher_position(c->publisher), err) < 0 ||
        cap_keep_columns(c, err) < 0 || cap_snapshot_begin(c->snapshot, err) < 0 ||
        cap_publisher_commit(c->publisher, err) < 0)
        return -1;
    c->new_snapshot = false;
    c->may_skip = false; /* only now: what failed is tried again */
    ls_log(LS_WARN, "gap-skipped", LS_S("cause", why->cause), LS_S("why", why->msg),
           LS_S("do", "nothing: --snapshot was given"));
    return 0;
}

/*
 * Source and Kafka have let us in before, and may again without us: a password, a rule or a
 * certificate (a file of ours, too) that is being changed, a clock that was set back before a
 * certificate's first day, names of clients that the source cannot look up for a moment and that
 * its grants go by.
 */
static void
bear_with(const struct capture *c, struct ls_err *err)
{
    static const char *const causes[] = {
        "source-auth", "source-tls", "kafka-authentication", "kafka-authorization", "config", NULL};

    if (c->followed && err->kind == LS_ERR_FATAL && is_one_of(causes, err))
        err->kind = LS_ERR_RETRY;
}

/* After a RETRY: keeps what is whole, or throws it away with its producer. FATAL when we are
 * fenced: to connect again might be to fence another capture back. */
static int
fall_back(struct capture *c, const struct ls_err *why, struct ls_err *err)
{
    struct ls_err failure = {0};
    bool of_source = !strncmp(why->cause, "source", 6) || !strncmp(why->cause, "binlog", 6) ||
                     is_one_of(of_host, why);

    cap_session_close(c->session);
    c->session = NULL;
    cap_snapshot_drop(c->snapshot);
    cap_control_restart(c->control);
    c->reconnects++;
    cap_status_retry(c->status, why->cause);
    if (!strcmp(why->cause, "too-large"))
        c->topics = false; /* a topic's limit is another now */
    if (of_source && !c->publisher_lost && cap_publisher_commit(c->publisher, &failure) == 0)
        return 0;
    c->publisher_lost = c->doubtful = true;
    bear_with(c, &failure);
    if (failure.kind == LS_ERR_FATAL) {
        *err = failure;
        return -1;
    }
    return 0;
}

/* What one host says of itself is no reason to stop while another may serve: it becomes a RETRY
 * until all have said no, one after the other. */
static void
spare_hosts(struct capture *c, struct ls_err *err)
{
    if (err->kind != LS_ERR_FATAL || !is_one_of(of_host, err)) {
        c->refused = 0;
        return;
    }
    c->served = false; /* nor once more this one */
    if (++c->refused < cap_hosts_count(c->config))
        err->kind = LS_ERR_RETRY;
    else
        c->refused = 0;
}

/* Once more the host that served; when it does not, the next. True: one that was not tried yet. */
static bool
choose_host(struct capture *c, const struct ls_err *why)
{
    static const char *const causes[] = {"source", "source-behind", "source-file", NULL};
    size_t left = cap_hosts_left(c->config);
    bool again = c->served;

    c->served = false;
    if (again || !(is_one_of(causes, why) || (c->refused > 0 && is_one_of(of_host, why))))
        return false;
    cap_hosts_next();
    cap_schema_forget(c->schema, 0); /* its settings are looked at too */
    return left > 0;
}

static void
wait_and_tell(struct capture *c, const struct ls_err *why, int64_t ms)
{
    int64_t until = ls_mono_ms() + ms;

    cap_status_ready(c->status, why->msg);
    ls_log_err(LS_WARN, "retry", why);
    ls_run_notify_ready();
    do {
        int64_t left = until - ls_mono_ms();
        cap_tell(c);
        ls_run_sleep_ms(left > c->status_ms ? c->status_ms : left > 0 ? left : 1);
    } while (ls_mono_ms() < until && !ls_run_stopping());
}

static void
tell_of_standby(void *arg)
{
    cap_tell(arg);
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
        bear_with(c, &failure);
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
 * for it. Anybody else who has it would end our dump again and again. Who it was is not known while
 * Kafka does not tell: then its failure is what counts. */
static void
ask_who_took_over(struct capture *c, struct ls_err *err)
{
    struct ls_err failure = {0};

    if (c->publisher_lost || cap_publisher_keep(c->publisher, &failure) == 0)
        return;
    ls_log_err(LS_WARN, "server-id-taken", err);
    *err = failure;
}

static int
run(struct capture *c)
{
    struct ls_err err = {0}, why;
    bool gone;

    while (!ls_run_stopping()) {
        memset(&err, 0, sizeof(err));
        if (!c->topics && cap_make_topics(c, &err) == 0 && cap_status_topic(c->status, &err) == 0)
            c->topics = true;
        if (c->topics && cap_prepare(c, &err) == 0 && cap_follow(c, &err) == 0)
            break;
        /* DDL that the stream has not come to yet, or a dump being loaded, table by table: look
         * again */
        if (!strcmp(err.cause, "source-tables") && c->followed) {
            cap_schema_forget(c->schema, 0);
            err.kind = LS_ERR_RETRY;
        }
        spare_hosts(c, &err);
        bear_with(c, &err);
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
    int status;

    int64_t standby_ms = ls_config_int(config, "capture", "standby_ms");

    /* behind an outage the active one is to be back before a standby has lost its patience */
    c.backoff = (struct ls_backoff){.first_ms = 200, .max_ms = standby_ms / 3};
    if (c.backoff.max_ms > BACKOFF_MS)
        c.backoff.max_ms = BACKOFF_MS;
    c.commit_ms = ls_config_int(config, "capture", "commit_ms");
    c.status_ms = ls_config_int(config, "lockstep", "status_ms");
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
    if (c.schema && cap_publisher_new(config, &c.publisher, &err) == 0 &&
        (c.stream = cap_stream_new(c.schema, c.publisher)) &&
        (c.snapshot = cap_snapshot_new(config, c.schema, c.publisher)) &&
        cap_headroom_new(config, &c.headroom, &err) == 0 &&
        cap_status_new(config, &c.status, &err) == 0 &&
        cap_control_new(config, &c.control, &err) == 0) {
        status = run(&c);
    } else {
        if (err.kind == LS_ERR_NONE)
            (void)ls_fail(&err, LS_ERR_FATAL, ENOMEM, "no memory");
        ls_log_err(LS_ERROR, "stop", &err);
        status = exit_status(&err);
    }
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
