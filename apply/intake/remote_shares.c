/*
 * Shares with other servers, and the servers that are trusted: known, and left.
 *
 * The sharing API cannot make them as they were (their tokens are agreed with the other side), so
 * they are kept in a table of their own with their seq, and counted by kind: they must never turn
 * into shares of the target. No secret is written down. What can go wrong: rows of oc_share share
 * their numbers with them, so one number may change its kind (an AUTO_INCREMENT that starts again,
 * REPLACE by hand): the newer kind wins, the other one is gone. Their tables have brackets of their
 * own, which must not sweep shares of oc_share, nor the other way round.
 */
#include "apply/core.h"
#include "common/run.h"

#define NEWER " (epoch, counter, part) >= (?, ?, ?)"
#define OLDER " deleted = 0 AND (epoch, counter) < (?1, ?2)"

static const struct {
    const char *left, *bracket; /* NULL: brackets of oc_share */
} kinds[] = {
    [CS3_SHARE_FEDERATED] = {"left:federated-out", NULL},
    [CS3_SHARE_RECEIVED] = {"left:federated-in", AP_BRACKET_RECEIVED},
    [CS3_SHARE_TRUSTED] = {"left:trusted-server", AP_BRACKET_TRUSTED},
};

static bool
remote_is_newer(struct ap_core *core, enum cs3_share_type type, int64_t id, struct ls_seq seq)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM remote_share WHERE type = ? AND id = ? AND" NEWER, "iiiii",
                     (int64_t)type, id, (int64_t)seq.epoch, seq.counter, (int64_t)seq.part) == 1;
}

static bool
share_is_newer(struct ap_core *core, int64_t id, struct ls_seq seq)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM share WHERE id = ? AND epoch IS NOT NULL AND" NEWER, "iiii", id,
                     (int64_t)seq.epoch, seq.counter, (int64_t)seq.part) == 1;
}

static void
superseded(struct ap_core *core)
{
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, "superseded", 1);
}

/* The row of oc_share is no share with somebody here any more. */
static void
share_ends(struct ap_core *core, int64_t id, struct ls_seq seq)
{
    int64_t now = ls_now_ms();

    if (ap_exec(core->ledger,
                "UPDATE share SET deleted = 1, epoch = ?, counter = ?, part = ? WHERE id = ?",
                "iiii", (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, id) == 0)
        return;
    ap_share_details_drop(core, id);
    ap_share_touch(core, id, now);
    ap_work_open(core->ledger, (struct ap_key){AP_SHARE, id}, AP_LANE_SHARES, now);
}

static void
remote_put(struct ap_core *core, const struct cs3_share *r)
{
    struct ls_seq seq = r->head.seq;

    ap_exec(core->ledger,
            "INSERT OR REPLACE INTO remote_share(type, id, fileid, grantee, remote, remote_user,"
            " state, epoch, counter, part, deleted) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iiitttiiiii", (int64_t)r->type, r->id, r->fileid, &r->grantee, &r->remote,
            &r->remote_user, (int64_t)r->state, (int64_t)seq.epoch, seq.counter, (int64_t)seq.part,
            (int64_t)(r->head.kind == CS3_DELETE));
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, kinds[r->type].left, 1);
}

bool
ap_take_remote_share(struct ap_core *core, const struct ap_origin *at, const struct cs3_share *r)
{
    struct ap_origin own = *at;
    bool remote = r->type >= CS3_SHARE_FEDERATED;

    if (r->head.kind == CS3_BEGIN || r->head.kind == CS3_END) {
        if (!remote || !kinds[r->type].bracket)
            return false;
        own.topic = kinds[r->type].bracket;
        return ap_take_mark(core, &own, &r->head, 0);
    }
    if (r->head.kind == CS3_HEARTBEAT)
        return false;
    if (!remote) {
        if (remote_is_newer(core, CS3_SHARE_FEDERATED, r->id, r->head.seq)) {
            superseded(core);
            return true;
        }
        ap_exec(core->ledger, "UPDATE remote_share SET deleted = 1 WHERE type = ? AND id = ?", "ii",
                (int64_t)CS3_SHARE_FEDERATED, r->id);
        return false;
    }
    if (remote_is_newer(core, r->type, r->id, r->head.seq) ||
        (r->type == CS3_SHARE_FEDERATED && share_is_newer(core, r->id, r->head.seq))) {
        superseded(core);
        return true;
    }
    if (r->type == CS3_SHARE_FEDERATED)
        share_ends(core, r->id, r->head.seq);
    remote_put(core, r);
    return true;
}

int64_t
ap_remote_shares_sweep(struct ap_core *core, enum cs3_share_type type, struct ls_seq begin)
{
    return ap_exec(core->ledger,
                   "UPDATE remote_share SET deleted = 1, epoch = ?1, counter = ?2, part = 0"
                   " WHERE type = ?3 AND" OLDER,
                   "iii", (int64_t)begin.epoch, begin.counter, (int64_t)type);
}
