/*
 * Each row of <p>.replay is taken once, without a memory that a kill could lose.
 *
 * The topic itself is the memory: of records with one signature (it covers the partition, too) the
 * first in the partition is the one that was sent, any other is a copy. So when the first row of a
 * partition comes after we were given it, what stands before it is read; from then on we see all
 * that comes. What is learnt stays true over a batch that is thrown away and over a rebalance. What
 * can go wrong: much to read (only who retries letters of transform waits for it, and a try that
 * took too long goes on where it stopped); Kafka away in the middle (RETRY).
 *
 * The topic keeps a record for as long as its signature is good: one whose original is not there
 * any more is stale. So what is stale need not be known any longer, and is forgotten.
 */
#include "transform/once.h"

#include "common/run.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define STALL_MS 60000
#define SECOND_US INT64_C(1000000)
#define KNOWN_US ((LS_REPLAY_MAX_AGE_S + 86400) * SECOND_US) /* clocks are set back, too */
#define SWEEP_US (3600 * SECOND_US)

struct seen {
    char mac[LS_CONTROL_HEX - 1];
    int64_t offset;
    int64_t time_us; /* when it was signed */
    UT_hash_handle hh;
};

struct partition {
    int64_t upto; /* everything before it is known */
    bool followed;
};

struct tf_once {
    const struct ls_config *config;
    const struct tf_replay_guard *guard;
    struct seen *seen;
    int64_t swept_us;
    struct partition *partitions;
    int n;
    bool failed; /* out of memory */
};

struct tf_once *
tf_once_new(const struct ls_config *config, const struct tf_replay_guard *guard)
{
    struct tf_once *once = calloc(1, sizeof(*once));

    if (once) {
        once->config = config;
        once->guard = guard;
    }
    return once;
}

void
tf_once_free(struct tf_once *once)
{
    struct seen *s, *next;

    if (!once)
        return;
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
    HASH_ITER(hh, once->seen, s, next)
    {
        HASH_DEL(once->seen, s);
        free(s);
    }
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
    free(once->partitions);
    free(once);
}

void
tf_once_rebalanced(struct tf_once *once)
{
    for (int i = 0; i < once->n; i++)
        once->partitions[i].followed = false;
}

/* A copy of one so old is refused for its age. */
static void
forget_stale(struct tf_once *once, int64_t now_us)
{
    struct seen *s, *next;

    if (now_us - once->swept_us < SWEEP_US)
        return;
    once->swept_us = now_us;
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
    HASH_ITER(hh, once->seen, s, next)
    {
        if (s->time_us + KNOWN_US < now_us) {
            HASH_DEL(once->seen, s);
            free(s);
        }
    }
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
}

bool
tf_once_note(struct tf_once *once, const struct ls_message *message)
{
    const struct ls_str *mac = ls_message_header(message, "mac"),
                        *time = ls_message_header(message, "time");
    struct seen *s = NULL;
    int64_t time_us;

    if (!mac || mac->n != sizeof(s->mac) || !time || !ls_str_digits(*time, &time_us))
        return true;
    forget_stale(once, ls_now_us());
    HASH_FIND(hh, once->seen, mac->p, sizeof(s->mac), s);
    if (s)
        return s->offset == message->offset;
    s = calloc(1, sizeof(*s));
    if (!s) {
        once->failed = true;
        return true;
    }
    memcpy(s->mac, mac->p, sizeof(s->mac));
    s->offset = message->offset;
    s->time_us = time_us;
    HASH_ADD(hh, once->seen, mac, sizeof(s->mac), s);
    return true;
}

static struct partition *
partition_of(struct tf_once *once, int32_t number)
{
    if (number >= once->n) {
        struct partition *more = realloc(once->partitions, (size_t)(number + 1) * sizeof(*more));

        if (!more)
            return NULL;
        memset(more + once->n, 0, (size_t)(number + 1 - once->n) * sizeof(*more));
        once->partitions = more;
        once->n = number + 1;
    }
    return &once->partitions[number];
}

static void
learn(struct tf_once *once, const struct ls_message *m)
{
    struct ls_err refused = {0};
    struct ls_replay r;

    if (tf_replay_table(m) && ls_replay_read(once->guard->key, once->guard->prefix, m, ls_now_us(),
                                             once->guard->max_ahead_s, &r, &refused) == 0)
        tf_once_note(once, m);
}

/* Up to `end`, where a record stands that we have. */
static int
read_up_to(struct tf_once *once, struct partition *p, int32_t number, int64_t end,
           struct ls_err *err)
{
    struct ls_partition from = {once->guard->topic, number, 0};
    struct ls_consumer *consumer = NULL;
    int64_t first, last, deadline = ls_mono_ms() + STALL_MS;
    int r = -1;

    if (ls_consumer_new(once->config, NULL, &consumer, err) < 0 ||
        ls_consumer_bounds(consumer, from.topic, number, &first, &last, err) < 0)
        goto out;
    from.offset = p->upto > first ? p->upto : first;
    if (from.offset < end && ls_consumer_assign(consumer, &from, 1, err) < 0)
        goto out;
    while (from.offset < end) {
        struct ls_message *m = NULL;

        if (ls_run_stopping() || ls_mono_ms() > deadline) {
            ls_fail_cause(err, LS_ERR_RETRY, 0, "replay", "%s cannot be read from its beginning",
                          from.topic);
            goto out;
        }
        if (ls_consumer_poll(consumer, 100, &m, err) < 0) {
            if (strcmp(err->cause, "offset-lost") == 0) /* it aged away meanwhile */
                err->kind = LS_ERR_RETRY;
            goto out;
        }
        if (!m)
            continue;
        deadline = ls_mono_ms() + STALL_MS;
        from.offset = m->offset;
        if (m->offset < end) {
            learn(once, m);
            p->upto = from.offset = m->offset + 1;
        }
        ls_message_free(m);
        ls_run_notify_alive();
        if (from.offset >= end)
            break;
    }
    r = 0;
out:
    if (consumer)
        ls_consumer_free(consumer);
    return r;
}

int
tf_once_check(struct tf_once *once, const struct ls_message *message, struct ls_err *err)
{
    struct partition *p = partition_of(once, message->partition);
    bool first;

    if (!p)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    if (!p->followed && read_up_to(once, p, message->partition, message->offset, err) < 0)
        return -1;
    p->followed = true;
    first = tf_once_note(once, message);
    if (once->failed)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    if (p->upto <= message->offset)
        p->upto = message->offset + 1;
    return first ? 0
                 : ls_fail_cause(err, LS_ERR_POISON, 0, "repeated",
                                 "the record was there before, at another offset");
}
