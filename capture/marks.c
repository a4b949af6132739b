/*
 * Records that are not about a row: a snapshot's brackets and heartbeats.
 *
 * They say something about all that went before them in a partition, so they go to every partition
 * of a table, numbered and committed with the rows. What can go wrong: one that claims more than
 * was read; the source's clock may be ahead of ours, and is not believed then.
 */
#include "capture/publish_parts.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>

/* A record that is not about a row, to all partitions of one watched topic, or to that of the one
 * storage it is about. */
static int
send_to_all(struct cap_publisher *p, const struct ls_table *table, enum ls_op op, const char *key,
            struct ls_seq seq, struct ls_seq begin, int64_t storage, int64_t source_ts_us,
            struct ls_err *err)
{
    struct ls_envelope *e;
    int first = 0, last = table->by_storage ? p->partitions - 1 : 0;

    if (storage != LS_NO_STORAGE)
        first = last = ls_partition_of_storage(storage, p->partitions);
    ls_arena_reset(p->arena);
    e = ls_arena_alloc(p->arena, sizeof(*e));
    if (!e)
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory for a record");
    e->op = op;
    e->seq = seq;
    e->begin = begin;
    e->table = table;
    e->source_ts_us = source_ts_us;
    e->capture_ts_us = ls_now_us();
    e->server = ls_str_of(p->source);
    e->gtid = LS_STR("");
    e->file = ls_str_of(p->now.file);
    e->pos = (int64_t)p->now.pos;
    e->moved_from = e->moved_to = LS_NO_STORAGE;
    e->storage = storage;
    ls_buf_clear(&p->value);
    if (cap_publisher_open(p, err) < 0 || ls_envelope_encode(e, &p->value, err) < 0)
        return -1;
    for (int i = first; i <= last; i++)
        if (ls_producer_send(p->producer, p->topics[table->id], i, ls_str_of(key),
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
    int64_t ts_us = read_so_far(p);
    char key[48];

    if (storage != LS_NO_STORAGE) {
        (void)snprintf(key, sizeof(key), "%s/%" PRId64, word, storage);
        return send_to_all(p, &ls_tables[LS_T_FILECACHE], op, key, seq, begin, storage, ts_us, err);
    }
    for (size_t i = 0; i < LS_T_COUNT; i++)
        if (send_to_all(p, &ls_tables[i], op, word, seq, begin, storage, ts_us, err) < 0)
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

int
cap_publish_heartbeat(struct cap_publisher *p, int64_t read_us, struct ls_err *err)
{
    struct ls_seq seq = cap_publisher_next(p), none = {0};

    if (read_us < p->heartbeat_us)
        read_us = p->heartbeat_us;
    for (size_t i = 0; i < LS_T_COUNT; i++)
        if (i != LS_T_MIMETYPES && /* looked up only, never sent on */
            send_to_all(p, &ls_tables[i], LS_OP_HEARTBEAT, LS_KEY_HEARTBEAT, seq, none,
                        LS_NO_STORAGE, read_us, err) < 0)
            return -1;
    p->heartbeat_us = read_us;
    return 0;
}
