/*
 * The position topic, and the numbers that are in the row topics already.
 *
 * What can go wrong: a position that is committed but cannot be seen yet (an open transaction in
 * front of it); a position that was lost, with a clock that is behind what it was when the first
 * numbers were made: then what is published would be older than what was.
 */
#include "capture/publish/resume.h"
#include "common/records.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CONNECT_KEY "connect"  /* on the position topic, beside the position */
#define OUT_OF_SIGHT_MS 120000 /* a transaction of a dead process is aborted after 60 s */
#define ARENA_CAP ((size_t)16 << 20)
#define NEWEST 100 /* records, some of which are ends of transactions */

struct read_position {
    struct cap_position position;
    char *columns; /* NULL: no such record */
    bool found;
    char mark[112]; /* what this connection wrote */
    bool marked;    /* and saw again */
    bool last;      /* nobody else connected after this process did */
};

/* Nobody else's: two hosts may well have the same pid in the same microsecond. */
static uint64_t
process_id(void)
{
    static uint64_t id;

    if (id == 0 && getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
        id = (uint64_t)ls_now_us() ^ (uint64_t)getpid() << 48;
    return id;
}

static bool
is_ours(struct ls_str mark)
{
    char id[40];

    (void)snprintf(id, sizeof(id), "\"id\":\"%016" PRIx64 "\"", process_id());
    return mark.p && memmem(mark.p, mark.n, id, strlen(id));
}

static int
take_position(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct read_position *read = arg;

    if (ls_str_is(message->key, CONNECT_KEY)) {
        read->last = is_ours(message->value);
        read->marked = read->marked || ls_str_is(message->value, read->mark);
    }
    if (ls_str_is(message->key, CAP_COLUMNS_KEY)) {
        free(read->columns);
        read->columns = NULL;
        if (message->value.p && !(read->columns = strndup(message->value.p, message->value.n)))
            return ls_fail(err, LS_ERR_RETRY, 0, "no memory for the columns");
    }
    if (!ls_str_is(message->key, CAP_POSITION_KEY))
        return 0;
    if (!message->value.p) {
        read->found = false;
        return 0;
    }
    if (cap_position_parse(message->value, &read->position, err) < 0)
        return -1;
    read->found = true;
    return 0;
}

/*
 * Reads the position as it is, not as it was. Readers of committed records see a partition only up
 * to its oldest open transaction, so a position that is committed can be out of sight for as long
 * as somebody's transaction hangs there: a record of our own, written behind everything and seen
 * again, says that nothing is.
 */
static int
read_position(const struct ls_config *config, struct ls_producer *producer,
              struct read_position *read, struct ls_err *err)
{
    const char *topic = ls_config_topic(config, "position");
    int64_t until = ls_mono_ms() + OUT_OF_SIGHT_MS;

    (void)snprintf(read->mark, sizeof(read->mark),
                   "{\"pid\":%d,\"time_us\":%" PRId64 ",\"id\":\"%016" PRIx64 "\"}", (int)getpid(),
                   ls_now_us(), process_id());
    if (ls_producer_begin(producer, err) < 0 ||
        ls_producer_send(producer, topic, 0, LS_STR(CONNECT_KEY), ls_str_of(read->mark), NULL, 0,
                         err) < 0 ||
        ls_producer_commit(producer, err) < 0)
        return -1;
    for (;;) {
        read->found = false;
        free(read->columns);
        read->columns = NULL;
        if (ls_topic_read(config, topic, take_position, read, err) < 0)
            return -1;
        if (read->marked)
            return 0;
        if (ls_mono_ms() >= until || ls_run_stopping())
            return ls_fail_cause(err, LS_ERR_RETRY, 0, "position-hidden",
                                 "an open transaction on %s hides the position", topic);
        ls_run_notify_alive();
        ls_run_sleep_ms(50);
    }
}

int
cap_resume_position(const struct ls_config *config, struct ls_producer *producer,
                    struct cap_position *ret, char **ret_columns, bool *ret_found,
                    struct ls_err *err)
{
    struct read_position *read = calloc(1, sizeof(*read));
    int r;

    if (!read)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory");
    r = read_position(config, producer, read, err);
    if (r == 0) {
        *ret = read->position;
        *ret_found = read->found;
        *ret_columns = read->columns;
        read->columns = NULL;
    }
    free(read->columns);
    free(read);
    return r;
}

int
cap_resume_is_last(const struct ls_config *config, bool *ret, struct ls_err *err)
{
    struct read_position *read = calloc(1, sizeof(*read));
    int r;

    if (!read)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory");
    read->last = true; /* a topic that was made anew names nobody: nobody has taken over */
    r = ls_topic_read(config, ls_config_topic(config, "position"), take_position, read, err);
    if (r == 0)
        *ret = read->last;
    free(read->columns);
    free(read);
    return r;
}

static void
take_epoch(const struct ls_message *message, struct ls_arena *arena, int32_t *epoch)
{
    struct ls_envelope *e;

    if (message->value.p &&
        ls_envelope_decode(&ls_tables[LS_T_STORAGES], message->value, arena, &e, NULL) == 0 &&
        e->seq.epoch > *epoch)
        *epoch = e->seq.epoch;
    ls_arena_reset(arena);
}

/* Heartbeats keep the end of this topic young, and it has one partition. */
int
cap_resume_epoch(const struct ls_config *config, int32_t *ret, struct ls_err *err)
{
    struct ls_partition part = {ls_config_topic(config, "oc10.oc_storages"), 0, 0};
    struct ls_arena *arena = ls_arena_new(ARENA_CAP);
    struct ls_consumer *consumer = NULL;
    struct ls_message *message;
    int64_t first, end;
    int r = -1;

    *ret = 0;
    if (!arena) {
        (void)ls_fail(err, LS_ERR_RETRY, 0, "no memory");
        goto out;
    }
    if (ls_consumer_new(config, NULL, &consumer, err) < 0 ||
        ls_consumer_bounds(consumer, part.topic, 0, &first, &end, err) < 0)
        goto out;
    part.offset = end - NEWEST > first ? end - NEWEST : first;
    if (part.offset < end && ls_consumer_assign(consumer, &part, 1, err) < 0)
        goto out;
    while (part.offset < end) {
        if (ls_consumer_poll(consumer, 2000, &message, err) < 0)
            goto out;
        if (!message)
            break; /* the end of a transaction is a record that nobody is given */
        part.offset = message->offset + 1;
        take_epoch(message, arena, ret);
        ls_message_free(message);
    }
    r = 0;
out:
    ls_consumer_free(consumer);
    ls_arena_free(arena);
    return r;
}
