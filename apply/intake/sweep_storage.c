/*
 * The sweep of one storage: a snapshot of chosen storages has brackets of its own for each.
 *
 * What such a snapshot did not find in its storage is gone there. What can go wrong: a file that is
 * half moved away (the delete is here, the other half still on its way in another partition): its
 * new storage was not read, so only that half tells where it is, and it is left alone. One that was
 * cancelled has no end: a later one of everything takes its place (state 0), else what that brings
 * would wait for the end of the other. The limit of a sweep holds for the storage as it does for
 * all of them.
 */
#include "apply/core.h"
#include "common/log.h"
#include "common/run.h"

#define GONE                                                                                       \
    " storage = ?3 AND partition = ?4 AND deleted = 0 AND"                                         \
    " (epoch < ?1 OR (epoch = ?1 AND counter < ?2))"

static void
sweep(struct ap_core *core, int64_t storage, int64_t partition, struct ls_seq begin)
{
    int64_t total = ap_number(
        core->ledger, 0,
        "SELECT count(*) FROM desired WHERE partition = ? AND storage = ? AND deleted = 0", "ii",
        partition, storage);
    int64_t gone = ap_number(core->ledger, 0, "SELECT count(*) FROM desired WHERE" GONE, "iiii",
                             (int64_t)begin.epoch, begin.counter, storage, partition);
    /* The same end once more (its records come again): it had its word, or needed none. */
    bool again = ap_number(core->ledger, 0,
                           "SELECT 1 FROM bracket_storage WHERE storage = ? AND state = 2"
                           " AND epoch = ? AND counter = ?",
                           "iii", storage, (int64_t)begin.epoch, begin.counter) == 1;

    if (!again && gone > core->options.sweep_max_items &&
        gone * 100 > total * (int64_t)core->options.sweep_max_percent) {
        ap_exec(core->ledger, "UPDATE bracket_storage SET state = 3, items = ? WHERE storage = ?",
                "ii", gone, storage);
        ls_log(LS_WARN, "sweep-waiting", LS_I("storage", storage), LS_I("items", gone),
               LS_S("option", "apply.sweep_max_percent, apply.sweep_max_items"));
        return;
    }
    ap_exec(
        core->ledger,
        AP_WORK_OPEN
        "1, fileid, storage, 0, ?5, ?5 * 1000, 0, 0, 0 FROM desired WHERE" GONE AP_WAITING_AGAIN,
        "iiiii", (int64_t)begin.epoch, begin.counter, storage, partition, ls_now_ms());
    ap_exec(core->ledger,
            "UPDATE desired SET deleted = 1, moved_to = ?5, epoch = ?1, counter = ?2, part = 0"
            " WHERE" GONE,
            "iiiii", (int64_t)begin.epoch, begin.counter, storage, partition, LS_NO_STORAGE);
    ap_exec(core->ledger, "UPDATE bracket_storage SET state = 2, items = 0 WHERE storage = ?", "i",
            storage);
    ap_count(core->ledger, "swept", gone);
    if (gone > 0)
        ls_log(LS_INFO, "sweep", LS_I("storage", storage), LS_I("items", gone));
}

void
ap_storage_marks_end(struct ap_core *core, int32_t partition, struct ls_seq begin)
{
#define CANCELLED " partition = ?1 AND state = 1 AND (epoch, counter) < (?2, ?3)"
    ap_exec(core->ledger,
            "UPDATE work SET on_kind = 9, on_id = ?1 WHERE state = 1 AND on_kind = 12"
            " AND on_id IN (SELECT storage FROM bracket_storage WHERE" CANCELLED ")",
            "iii", (int64_t)partition, (int64_t)begin.epoch, begin.counter);
    ap_exec(core->ledger, "UPDATE bracket_storage SET state = 0 WHERE" CANCELLED, "iii",
            (int64_t)partition, (int64_t)begin.epoch, begin.counter);
#undef CANCELLED
}

bool
ap_take_storage_mark(struct ap_core *core, const struct ap_origin *at,
                     const struct cs3_resource *record)
{
    const struct cs3_head *head = &record->head;
    struct ls_seq begin = head->kind == CS3_BEGIN ? head->seq : head->begin;

    if ((head->kind != CS3_BEGIN && head->kind != CS3_END) || record->what != CS3_NODE ||
        record->storage == LS_NO_STORAGE)
        return false;
    ap_exec(core->ledger,
            "INSERT INTO bracket_storage(storage, partition, state, epoch, counter)"
            " VALUES(?1, ?2, 1, ?3, ?4) ON CONFLICT(storage) DO UPDATE SET state = 1,"
            " partition = ?2, epoch = ?3, counter = ?4 WHERE (epoch, counter) < (?3, ?4)",
            "iiii", record->storage, (int64_t)at->partition, (int64_t)begin.epoch, begin.counter);
    /* An older END that is read once more says nothing to a newer sweep, which may wait. */
    if (head->kind == CS3_END &&
        ap_number(core->ledger, 0,
                  "SELECT 1 FROM bracket_storage WHERE storage = ? AND epoch = ? AND counter = ?",
                  "iii", record->storage, (int64_t)begin.epoch, begin.counter) == 1)
        sweep(core, record->storage, at->partition, begin);
    if (head->kind == CS3_END)
        ap_wake(core->ledger, (struct ap_key){AP_STORAGE, record->storage});
    return true;
}

void
ap_sweep_storages_waiting(struct ap_core *core)
{
    struct {
        int64_t storage, partition;
        struct ls_seq begin;
    } waiting[256];
    int n = 0;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT storage, partition, epoch, counter FROM bracket_storage"
                               " WHERE state = 3 LIMIT 256",
                               NULL);

    for (; n < 256 && ap_step(core->ledger, s); n++) {
        waiting[n].storage = sqlite3_column_int64(s, 0);
        waiting[n].partition = sqlite3_column_int64(s, 1);
        waiting[n].begin = (struct ls_seq){sqlite3_column_int(s, 2), sqlite3_column_int64(s, 3), 0};
    }
    ap_done(s);
    for (int i = 0; i < n; i++)
        sweep(core, waiting[i].storage, waiting[i].partition, waiting[i].begin);
}
