/*
 * Records that are not about a row: a snapshot's brackets and heartbeats.
 *
 * They say something about all that went before them in a partition, so they go to every partition
 * of a table, numbered and committed with the rows. What can go wrong: one that claims more than
 * was read; the source's clock may be ahead of ours, and is not believed then.
 */
#include "capture/publish/publish_parts.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>

struct mark {
    enum ls_op op;
    const char *key;
    struct ls_seq seq, begin;
    int64_t storage; /* the only one it is about, or LS_NO_STORAGE */
    int64_t source_ts_us;
};

static int
partitions_of(const struct cap_publisher *p, const struct ls_table *table)
{
    return table->by_storage ? p->partitions : 1;
}

/* A record that is not about a row, to partitions `from` up to `to` of one watched topic. */
static int
send_mark(struct cap_publisher *p, const struct ls_table *table, const struct mark *mark, int from,
          int to, struct ls_err *err)
{
    struct ls_envelope *e;

    ls_arena_reset(p->arena);
    e = ls_arena_alloc(p->arena, sizeof(*e));
    if (!e)
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory for a record");
    e->op = mark->op;
    e->seq = mark->seq;
    e->begin = mark->begin;
    e->table = table;
    e->source_ts_us = mark->source_ts_us;
    e->capture_ts_us = ls_now_us();
    e->server = ls_str_of(p->source);
    e->gtid = LS_STR("");
    e->file = ls_str_of(p->now.file);
    e->pos = (int64_t)p->now.pos;
    e->moved_from = e->moved_to = LS_NO_STORAGE;
    e->storage = mark->storage;
    ls_buf_clear(&p->value);
    if (cap_publisher_open(p, err) < 0 || ls_envelope_encode(e, &p->value, err) < 0)
        return -1;
    for (int i = from; i < to; i++)
        if (ls_producer_send(p->producer, p->topics[table->id], i, ls_str_of(mark->key),
                             (struct ls_str){(const char *)p->value.p, p->value.n}, NULL, 0,
                             err) < 0)
            return -1;
    return 0;
}

/* How far the source was read when a bracket is sent. */
static int64_t
read_so_far(const struct cap_publisher *p)
{
    int64_t ts_us = p->now.ts_us > p->heartbeat_us ? p->now.ts_us : p->heartbeat_us;
    int64_t now_us = ls_now_us();

    return ts_us < now_us ? ts_us : now_us; /* the source's clock may be ahead of ours */
}

/* A storage has brackets of its own: in its partition of oc_filecache, with a key of its own. */
static int
send_bracket(struct cap_publisher *p, enum ls_op op, int64_t storage, struct ls_seq seq,
             struct ls_seq begin, struct ls_err *err)
{
    const char *word = op == LS_OP_BEGIN ? LS_KEY_BEGIN : LS_KEY_END;
    struct mark mark = {op, word, seq, begin, storage, read_so_far(p)};
    char key[48];

    if (storage != LS_NO_STORAGE) {
        int partition = ls_partition_of_storage(storage, p->partitions);

        (void)snprintf(key, sizeof(key), "%s/%" PRId64, word, storage);
        mark.key = key;
        return send_mark(p, &ls_tables[LS_T_FILECACHE], &mark, partition, partition + 1, err);
    }
    for (size_t i = 0; i < LS_T_COUNT; i++)
        if (send_mark(p, &ls_tables[i], &mark, 0, partitions_of(p, &ls_tables[i]), err) < 0)
            return -1;
    return 0;
}

int
cap_publish_begin(struct cap_publisher *p, int64_t storage, struct ls_seq *ret_begin,
                  struct ls_err *err)
{
    struct ls_seq seq = cap_publisher_next(p);

    if (send_bracket(p, LS_OP_BEGIN, storage, seq, seq, err) < 0)
        return -1;
    *ret_begin = seq;
    return 0;
}

int
cap_publish_end(struct cap_publisher *p, int64_t storage, struct ls_seq begin, struct ls_err *err)
{
    return send_bracket(p, LS_OP_END, storage, cap_publisher_next(p), begin, err);
}

/* To partitions `from` up to `to`, counted over all topics with heartbeats; oc_filecache is the
 * last, for readers hold its heartbeats back for those of lesser tables. */
static int
send_heartbeats(struct cap_publisher *p, int64_t read_us, int from, int to, struct ls_err *err)
{
    struct mark mark = {.op = LS_OP_HEARTBEAT,
                        .key = LS_KEY_HEARTBEAT,
                        .storage = LS_NO_STORAGE,
                        .source_ts_us = read_us};
    int first = 0;

    mark.seq = cap_publisher_next(p);
    for (size_t i = LS_T_COUNT; i-- > 0 && first < to;) {
        int n = partitions_of(p, &ls_tables[i]);

        if (i == LS_T_MIMETYPES) /* looked up only, never sent on */
            continue;
        if (first + n > from && send_mark(p, &ls_tables[i], &mark, from > first ? from - first : 0,
                                          to < first + n ? to - first : n, err) < 0)
            return -1;
        first += n;
    }
    return 0;
}

void
cap_publisher_clock(struct cap_publisher *p, int64_t now_us, int64_t back_us)
{
    p->heartbeat_us = ls_clock_moment_us(p->heartbeat_us, now_us, back_us);
    p->heartbeat_kept_us = ls_clock_moment_us(p->heartbeat_kept_us, now_us, back_us);
}

int
cap_publish_heartbeats(struct cap_publisher *p, int64_t read_us, int64_t part, int64_t of,
                       struct ls_err *err)
{
    int all = LS_T_COUNT - 2 + p->partitions, to;

    to = part < of ? (int)(all * part / of) : all;
    if (read_us < p->heartbeat_us)
        read_us = p->heartbeat_us;
    if (to > p->beats && send_heartbeats(p, read_us, p->beats, to, err) < 0)
        return -1;
    p->beats = part < of ? (to > p->beats ? to : p->beats) : 0;
    p->heartbeat_us = read_us;
    return 0;
}
