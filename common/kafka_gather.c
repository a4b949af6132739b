/*
 * Records of one partition that lie side by side.
 *
 * librdkafka keeps a list of records for each partition and walks it several times: to fill a
 * batch, to note what became of each, to free them. Rows come for all partitions in turn, so the
 * next record of the list lies far from the one before, and each step waits for the memory. So the
 * records of a large transaction are put in piles here, one for each partition, and a pile goes
 * over in one call, which lays them side by side. What can go wrong: a record overtakes another one
 * of its partition (whoever sends past the pile hands it over first), a pile outlives its
 * transaction (begin and abort throw them away), the queue takes the first records of a pile only
 * (the rest stays in it, in order).
 */
#include "common/kafka_parts.h"
#include <stdlib.h>
#include <string.h>

#define PILES 64 /* partitions beyond that share them */
#define HIGH 32  /* records of a pile */
#define PILE_BYTES ((size_t)32 << 10)

struct kafka_pile {
    rd_kafka_topic_t *rkt;
    int32_t partition;
    size_t n, used; /* records, bytes */
    bool spoilt;    /* one in the middle was refused: others have overtaken it */
    rd_kafka_message_t records[HIGH];
    char bytes[PILE_BYTES];
};

struct kafka_gather {
    struct kafka_pile *piles[PILES]; /* NULL: was never needed */
};

struct kafka_gather *
kafka_gather_new(void)
{
    return calloc(1, sizeof(struct kafka_gather));
}

void
kafka_gather_free(struct kafka_gather *gather)
{
    for (size_t i = 0; gather && i < PILES; i++)
        free(gather->piles[i]);
    free(gather);
}

static void
clear(struct kafka_pile *pile)
{
    pile->n = pile->used = 0;
    pile->spoilt = false;
}

void
kafka_gather_forget(struct kafka_gather *gather)
{
    for (size_t i = 0; gather && i < PILES; i++)
        if (gather->piles[i])
            clear(gather->piles[i]);
}

struct kafka_pile *
kafka_gather_at(struct kafka_gather *gather, size_t topic, int32_t partition, bool make)
{
    struct kafka_pile **pile = &gather->piles[(topic * 8 + (size_t)partition) % PILES];

    if (!*pile && make) {
        *pile = malloc(sizeof(**pile));
        if (*pile)
            clear(*pile);
    }
    return *pile;
}

struct kafka_pile *
kafka_gather_next(struct kafka_gather *gather)
{
    for (size_t i = 0; i < PILES; i++)
        if (gather->piles[i] && gather->piles[i]->n > 0)
            return gather->piles[i];
    return NULL;
}

bool
kafka_pile_put(struct kafka_pile *pile, rd_kafka_topic_t *rkt, int32_t partition, struct ls_str key,
               struct ls_str value)
{
    rd_kafka_message_t *record = &pile->records[pile->n];
    char *to = pile->bytes + pile->used;

    if (pile->n > 0 && (pile->rkt != rkt || pile->partition != partition))
        return false;
    if (pile->n == HIGH || key.n + value.n > PILE_BYTES - pile->used)
        return false;
    pile->rkt = rkt;
    pile->partition = partition;
    *record = (rd_kafka_message_t){.len = value.n, .key_len = key.n};
    if (value.p) {
        record->payload = value.n > 0 ? memcpy(to, value.p, value.n) : to;
        to += value.n;
    }
    if (key.p)
        record->key = key.n > 0 ? memcpy(to, key.p, key.n) : to;
    pile->used += key.n + value.n;
    pile->n++;
    return true;
}

rd_kafka_resp_err_t
kafka_pile_hand_over(struct kafka_pile *pile)
{
    size_t at = 0;
    int taken;

    if (pile->spoilt)
        return RD_KAFKA_RESP_ERR__FAIL;
    if (pile->n == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    taken = rd_kafka_produce_batch(pile->rkt, pile->partition, RD_KAFKA_MSG_F_COPY, pile->records,
                                   (int)pile->n);
    while (at < pile->n && !pile->records[at].err)
        at++;
    if (at != (size_t)taken) {
        pile->spoilt = true;
        return RD_KAFKA_RESP_ERR__FAIL;
    }
    if (at == pile->n) {
        clear(pile);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    pile->n -= at;
    memmove(pile->records, pile->records + at, pile->n * sizeof(pile->records[0]));
    return pile->records[0].err;
}
