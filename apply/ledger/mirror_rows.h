/*
 * The ledger's applied side as keys and values: what changed, each row as JSON, and back.
 *
 * Nothing here knows of Kafka; whoever has a place for keys and values can mirror a ledger there.
 */
#ifndef AP_MIRROR_ROWS_H
#define AP_MIRROR_ROWS_H

#include "apply/core.h"

/* From now on the ledger writes down what changes (table `changed`), in the same transaction. */
int ap_mirror_watch(struct ap_ledger *ledger, struct ls_err *err);
int ap_mirror_unwatch(struct ap_ledger *ledger, struct ls_err *err);
/* All rows count as changed, and so does `key` (of the mirror), be it here or not. In a
 * transaction. */
int ap_mirror_change_all(struct ap_ledger *ledger, struct ls_err *err);
void ap_mirror_change(struct ap_ledger *ledger, struct ls_str key);
int64_t ap_mirror_last(struct ap_ledger *ledger);             /* number of the newest change ever */
void ap_mirror_given(struct ap_ledger *ledger, int64_t upto); /* they need not be kept */

/* The other end: a connection of its own, for a thread of its own, that only reads. */
struct ap_mirror_reader;
typedef int ap_mirror_fn(void *arg, struct ls_str key, struct ls_str value, struct ls_err *err);
int ap_mirror_reader_new(const char *path, struct ap_mirror_reader **ret, struct ls_err *err);
void ap_mirror_reader_free(struct ap_mirror_reader *reader);
/*
 * The rows that changed after `from`, as they are now (a row that is gone: value.p NULL), each
 * once; at most about `most` changes. *upto: how far it came; *whole: that is all there are, so
 * that what was given is the ledger at one moment. What was given outlives a power cut here, too,
 * when this returns 0; FATAL "ledger": the disk did not take it.
 */
int ap_mirror_read(struct ap_mirror_reader *reader, int64_t from, int64_t most, ap_mirror_fn *each,
                   void *arg, int64_t *upto, bool *whole, struct ls_err *err);

/* ---- a ledger from its mirror, each in a transaction */
/* 0; -1 POISON: not a row of a mirror. */
int ap_mirror_restore(struct ap_ledger *ledger, struct ls_str key, struct ls_str value,
                      struct ls_err *err);
/* All rows are in: now all records of the topics are to be taken, without a call in between. */
void ap_mirror_restored(struct ap_ledger *ledger);
/* They are: what no record has opened is looked at, too. */
void ap_mirror_caught_up(struct ap_ledger *ledger);

#endif
