/*
 * The rows of one file and one grantee, folded into one share as oC10 folds them.
 *
 * Those that count are the accepted ones (of a group's also what one of its members accepted: all
 * of them share the target's one grant), where none is the pending ones. Their bits are united
 * (rename comes with update, create and delete, from whichever rows); the mount point is that of
 * the oldest; a download that one row denies is denied, unless another one allows it by name: a row
 * that says nothing of it does not lift the denial. A member's own row goes before the group's, row
 * by row, the newest where there are several. Who owns a row receives nothing by it.
 *
 * What can go wrong: a grant through a user and one through his group are two shares of the target,
 * which unites them by itself, and there a plain one does lift the denial of the other; verify
 * names it.
 */
#include "apply/plan/shares_parts.h"
#include "common/run.h"
#include <string.h>

struct row {
    int64_t id, permissions, expires, stime, bits;
    bool folder;
    enum cs3_download download;
    enum cs3_share_state state;
    char owner[256], creator[256], mount[2600];
};

/* Of the rows that count so far. */
struct sum {
    int best;
    int64_t bits, plain; /* plain: of rows whose bits this ledger does not have */
    bool folder, allowed, denied;
};

static bool
row_next(struct ap_core *core, sqlite3_stmt *s, struct row *ret)
{
    if (!ap_step(core->ledger, s))
        return false;
    ret->id = sqlite3_column_int64(s, 0);
    ret->permissions = sqlite3_column_int64(s, 1);
    ret->state = (enum cs3_share_state)sqlite3_column_int(s, 2);
    ret->expires = sqlite3_column_int64(s, 3);
    ret->stime = sqlite3_column_int64(s, 4);
    ret->folder = sqlite3_column_int(s, 5) != 0;
    ret->bits = sqlite3_column_int64(s, 6);
    ret->download = (enum cs3_download)sqlite3_column_int(s, 7);
    ap_text(s, 8, ret->owner, sizeof(ret->owner));
    ap_text(s, 9, ret->creator, sizeof(ret->creator));
    ap_text(s, 10, ret->mount, sizeof(ret->mount));
    return true;
}

static void
row_of_member(struct ap_core *core, const char *member, struct row *row)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT state, mount, permissions FROM share WHERE parent = ?"
                               " AND grantee = ? AND type = 2 AND deleted = 0 ORDER BY id DESC"
                               " LIMIT 1",
                               "is", row->id, member);

    if (ap_step(core->ledger, s)) {
        row->state = (enum cs3_share_state)sqlite3_column_int(s, 0);
        ap_text(s, 1, row->mount, sizeof(row->mount));
        if (sqlite3_column_int64(s, 2) == 0)
            row->state = CS3_SHARE_REJECTED; /* as before 10.0.9 */
        ap_done(s);
    }
    if (strcmp(row->owner, member) == 0)
        row->state = CS3_SHARE_REJECTED;
}

/* Of several rows for one group each member may have accepted another one; the target has one share
 * for all of them. So a row counts that was accepted by anybody. */
static void
row_of_group(struct ap_core *core, struct row *row)
{
    if (row->state != CS3_SHARE_ACCEPTED &&
        ap_number(core->ledger, 0,
                  "SELECT 1 FROM share WHERE parent = ? AND type = 2 AND deleted = 0 AND state = ?"
                  " AND permissions <> 0 LIMIT 1",
                  "ii", row->id, (int64_t)CS3_SHARE_ACCEPTED) == 1)
        row->state = CS3_SHARE_ACCEPTED;
}

static void
add(struct ap_fold *fold, struct sum *sum, const struct row *row)
{
    int rank = row->state == CS3_SHARE_ACCEPTED ? 0 : row->state == CS3_SHARE_PENDING ? 1 : 2;
    int64_t end = row->expires == 0 ? INT64_MAX : row->expires;

    if (fold->rows++ == 0) {
        memcpy(fold->creator, row->creator, sizeof(fold->creator));
        fold->row = row->id;
        fold->stime = row->stime;
        fold->first_end = INT64_MAX;
    }
    if (end < fold->first_end)
        fold->first_end = end;
    if (rank > sum->best)
        return; /* what is pending or rejected gives nothing beside what is accepted */
    if (rank < sum->best) {
        *sum = (struct sum){.best = rank};
        fold->state = row->state;
        fold->expires = 0;
        memcpy(fold->mount, row->mount, sizeof(fold->mount));
    }
    if (row->bits > 0)
        sum->bits |= row->bits;
    else
        sum->plain |= row->permissions;
    sum->folder |= row->folder;
    sum->allowed |= row->download == CS3_DOWNLOAD_ALLOWED;
    sum->denied |= row->download == CS3_DOWNLOAD_DENIED;
    if (end > fold->expires)
        fold->expires = end;
}

void
ap_fold_rows(struct ap_core *core, int64_t fileid, int64_t type, const char *grantee,
             const char *member, struct ap_fold *ret)
{
    struct sum sum = {.best = 3};
    struct row row;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT id, permissions, state, expires, stime, folder, bits,"
                               " download, owner, creator, mount FROM share LEFT JOIN share_bits"
                               " ON share_bits.share = id WHERE fileid = ? AND type = ?"
                               " AND grantee = ? AND deleted = 0"
                               " AND (expires = 0 OR expires >= ?)"
                               " AND (type <> 0 OR owner IS NULL OR owner <> grantee)"
                               " ORDER BY stime, id",
                               "iisi", fileid, type, grantee, ls_now_us() / 1000000);

    memset(ret, 0, sizeof(*ret));
    while (row_next(core, s, &row)) {
        if (member)
            row_of_member(core, member, &row);
        else if (type == CS3_SHARE_GROUP)
            row_of_group(core, &row);
        add(ret, &sum, &row);
    }
    ret->permissions =
        cs3_permissions(sum.bits, sum.folder, sum.allowed || !sum.denied) | sum.plain;
    if (ret->first_end >= ret->expires)
        ret->first_end = 0; /* all end together: the target sees to that */
    if (ret->expires == INT64_MAX)
        ret->expires = 0;
}
