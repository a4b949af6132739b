/*
 * Rows into Kafka: envelopes with seq, filters, dead letters, and the position in one transaction.
 */
#ifndef CAP_PUBLISH_H
#define CAP_PUBLISH_H

#include "capture/binlog/decode.h"
#include "capture/publish/position.h"
#include "common/config.h"
#include "common/err.h"

/* Where a row stands at the source. */
struct cap_origin {
    /* commit time: MySQL 8's own, in microseconds, of the server that committed it first; else the
     * second that its first event carries */
    int64_t ts_us;
    int64_t received_us; /* when we received it */
    const char *gtid;    /* "" none */
    const char *file;    /* "" in a snapshot */
    uint64_t pos;
    int64_t row; /* ordinal of the watched row in its transaction */
    bool snapshot;
};

struct cap_publisher;
int cap_publisher_new(const struct ls_config *config, struct cap_publisher **ret,
                      struct ls_err *err);
void cap_publisher_free(struct cap_publisher *publisher); /* aborts what is open */

/*
 * A new producer (an older holder of the id is fenced), then the position as the topic has it;
 * *ret_found says whether there was one, else it is a beginning. The epoch is higher than at any
 * connection before, so that no number is given twice. To be called
 * before anything else, and again after any failure of the calls below but a dead letter.
 */
int cap_publisher_connect(struct cap_publisher *publisher, bool *ret_found, struct ls_err *err);

/* Lets the producer go; what is open is aborted. */
void cap_publisher_drop(struct cap_publisher *publisher);
/*
 * Whether another capture has connected behind this one. If not, and this one is fenced, it was the
 * broker that gave up a transaction of ours for its age (a process that was stopped for a while),
 * which the client cannot tell from a rival.
 */
int cap_publisher_overtaken(struct cap_publisher *publisher, bool *ret, struct ls_err *err);
/* The columns that belong to the position as it was read (NULL: none), and those that it has from
 * now on (malloc'ed, taken over): sent with the next commit. */
const char *cap_publisher_columns(const struct cap_publisher *publisher);
void cap_publisher_set_columns(struct cap_publisher *publisher, char *json);

/* The position as of the last event taken in; the stream moves it, the next commit keeps it. */
struct cap_position *cap_publisher_position(struct cap_publisher *publisher);

/*
 * One watched row. Filters, masks, numbers and sends it: as one record, or two for a move between
 * storages and for a changed key. What can never be sent (text that is not UTF-8, a number too
 * large, a value the broker refuses) goes to the dead letters instead and counts as such.
 * `before` is NULL for an insert or a snapshot's row, `after` for a delete.
 */
int cap_publish_row(struct cap_publisher *publisher, const struct cap_origin *origin,
                    const struct ls_table *table, const struct cap_image *before,
                    const struct cap_image *after, struct ls_err *err);
/* From now on `each` is told of every row of the stream that is sent, or becomes a dead letter.
 * NULL: nobody. */
typedef void cap_row_fn(void *arg, const struct ls_envelope *envelope);
void cap_publisher_watch(struct cap_publisher *publisher, cap_row_fn *each, void *arg);
/*
 * A begin bracket (its seq in *ret_begin) or the end of the one that `begin` names. For everything
 * (LS_NO_STORAGE): to every partition of every watched topic. For one storage: to its partition of
 * oc_filecache; readers then take the bracket for that storage alone.
 */
int cap_publish_begin(struct cap_publisher *publisher, int64_t storage, struct ls_seq *ret_begin,
                      struct ls_err *err);
int cap_publish_end(struct cap_publisher *publisher, int64_t storage, struct ls_seq begin,
                    struct ls_err *err);
/*
 * "Read up to read_us, nothing left out", to every partition once in a round. A commit waits for
 * each partition that it touches, so while there are commits anyway each takes a share along: that
 * of part/of of the round. part = of: all that are left, and the round ends. Never goes back in
 * time but with the clock.
 */
int cap_publish_heartbeats(struct cap_publisher *publisher, int64_t read_us, int64_t part,
                           int64_t of, struct ls_err *err);

/* This machine's clock is at `now_us`, and was set back by `back_us` at some time: 0: never. What
 * heartbeats have said goes back with it. */
void cap_publisher_clock(struct cap_publisher *publisher, int64_t now_us, int64_t back_us);

/* Whether the open transaction has as many rows as it may. */
bool cap_publisher_full(const struct cap_publisher *publisher);
/* How long it is open, 0 when none is. */
int64_t cap_publisher_age_ms(const struct cap_publisher *publisher, int64_t now_ms);
/* How long its first row has been waiting; longer, where that came during the last commit. */
int64_t cap_publisher_waited_ms(const struct cap_publisher *publisher, int64_t now_ms);
/* Milliseconds until it is due by that, -1 when nothing is open. */
int cap_publisher_wait_ms(const struct cap_publisher *publisher);
/* Sends the position and commits. Nothing happens when nothing is open. */
int cap_publisher_commit(struct cap_publisher *publisher, struct ls_err *err);
/* The same, also when nothing is open: the position is in the topic on return. */
int cap_publisher_keep(struct cap_publisher *publisher, struct ls_err *err);
/* Rows in the transaction that is open. */
int64_t cap_publisher_in_flight(const struct cap_publisher *publisher);
int64_t cap_publisher_commits(const struct cap_publisher *publisher);
int64_t cap_publisher_rows(const struct cap_publisher *publisher); /* sent since the start */

#endif
