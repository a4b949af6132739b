/*
 * The ledger's mirror in `<p>.ledger`, and the right to apply.
 *
 *     ap_mirror_enter     waits as standby, fences whoever is left, says what to do with the ledger
 *     ap_mirror_follow    from now on the ledger's changes are mirrored
 *     ap_mirror_leave
 *
 * A thread of its own sends what has changed, all of a moment in one Kafka transaction, with a sign
 * of life. Each one that is committed proves that nobody has taken over, and is worth a lease
 * (lease.h) of half of apply.standby_ms.
 */
#ifndef AP_MIRROR_H
#define AP_MIRROR_H

#include "apply/core.h"
#include "apply/owner.h"

enum ap_mirror_todo {
    AP_MIRROR_STOP,        /* asked to stop while waiting */
    AP_MIRROR_GO_ON,       /* the ledger is the one that is mirrored */
    AP_MIRROR_FILL,        /* it has no mirror (yet), or not all of it */
    AP_MIRROR_REBUILD,     /* there is none, or an old one: make it anew */
    AP_MIRROR_FROM_TARGET, /* there is none, and no mirror either: make it of the target, and fill
                            */
};

/* What to do when ledger and mirror are both lost. To begin as on the first day is to make all that
 * is at the target once more, and to leave what was to go. */
enum ap_if_lost { AP_LOST_REFUSE, AP_LOST_FIRST_DAY, AP_LOST_REBUILD };

struct ap_mirror;
/* `ledger` is open. -1: RETRY may be tried again. FATAL "standby": another one applies and
 * apply.standby is false; "mirror": neither ledger nor a whole mirror; "ledger-lost". */
int ap_mirror_enter(const struct ls_config *config, struct ap_ledger *ledger,
                    enum ap_if_lost if_lost, void (*tell)(void *arg), void *arg,
                    struct ap_mirror **ret, enum ap_mirror_todo *ret_todo, struct ls_err *err);
/* Prepares the ledger (in its own transaction) and begins. `wake` is called from the thread when
 * something got through. */
int ap_mirror_follow(struct ap_mirror *mirror, struct ap_ledger *ledger, enum ap_mirror_todo todo,
                     void (*wake)(void *arg), void *arg, struct ls_err *err);
/* The ledger is the one that is mirrored from now on; in a transaction. NULL is fine. */
void ap_mirror_name(struct ap_mirror *mirror, struct ap_ledger *ledger);
/* After each commit of the ledger: what of it waits to be sent; `urgent`: calls wait for that, and
 * nothing else is there to be called. */
void ap_mirror_changed(struct ap_mirror *mirror, int64_t last, bool urgent);
/* Up to this change it has got through; may grow at any time. */
int64_t ap_mirror_through(const struct ap_mirror *mirror);
/* True: another one has taken over, nothing more may be sent; *err says so. */
bool ap_mirror_is_fenced(const struct ap_mirror *mirror, struct ls_err *err);
/* NULL is fine. In order: what is left goes through, and the next one need not wait. False: Kafka
 * hangs, and so does the mirror's thread: what it was given must stay until the process ends. */
bool ap_mirror_leave(struct ap_mirror *mirror, bool in_order);

/* ---- rebuild.c: a new ledger (empty, open) from the mirror, then all records of the topics. */
int ap_rebuild_rows(const struct ls_config *config, struct ap_ledger *ledger,
                    struct ap_mirror *mirror, struct ls_err *err);
/* `sought`: of the target; all that is wanted is looked for there. */
int ap_rebuild_records(const struct ls_config *config, struct ap_core *core,
                       const char *const *topics, size_t n, bool sought, struct ls_err *err);
/* In place of the rows of a mirror. */
int ap_rebuild_without_rows(struct ap_ledger *ledger, struct ap_mirror *mirror, struct ls_err *err);
/* It was made of the target, and nobody has the mirror of it yet. */
bool ap_is_from_target(struct ap_ledger *ledger);
/* Nothing was ever taken into it. */
bool ap_ledger_is_new(struct ap_ledger *ledger);
/* True: it is new, has no mirror, and an apply of this prefix has worked before: by its signs of
 * life, or its group's offsets, which Kafka keeps for a week (offsets.retention.minutes) after the
 * last one stopped. FATAL "ledger-lost": so, and nobody has said what to do. */
int ap_ledger_lost(const struct ls_config *config, struct ap_ledger *ledger, bool signs,
                   enum ap_if_lost what, bool *ret, struct ls_err *err);
/* The file of a ledger that is of no use any more is put aside. */
int ap_ledger_put_aside(const char *path, struct ls_err *err);

#endif
