/*
 * Rows whose path or storage is not what their parent says.
 *
 * ownCloud 10.8 and later damage paths when folders move, and later moves leave such rows behind in
 * another storage. The tree goes by parent and name, so nothing is wrong here with those rows; but
 * they are counted, and where two rows have one place the one that agrees is the one that people
 * see at the source. Of paths the records carry a hash that can be continued: a row agrees when its
 * parent's hash, a slash and its name give its own.
 *
 * What can go wrong: the rows of a folder's move come with the children first, so a row is looked
 * at again when its parent's path or storage changes, and for a while all of them are astray. What
 * decides between two rows changes with that, so both are opened then. Rows of which the path or
 * the parent is not known are not astray: nobody can tell.
 */
#include "apply/core.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

static struct ls_str
column_text(sqlite3_value *value)
{
    const char *p = (const char *)sqlite3_value_text(value);

    return (struct ls_str){p, p ? (size_t)sqlite3_value_bytes(value) : 0};
}

/* path_of(hash of the parent's path, name): the hash that the child's path has; 0: not known. */
static void
path_of(sqlite3_context *context, int n, sqlite3_value **values)
{
    int64_t hash = sqlite3_value_int64(values[0]);

    (void)n;
    if (hash != 0 && hash != CS3_PATH_ROOT)
        hash = cs3_path_hash(hash, LS_STR("/"));
    sqlite3_result_int64(context, hash == 0 ? 0 : cs3_path_hash(hash, column_text(values[1])));
}

int
ap_astray_register(sqlite3 *db)
{
    return sqlite3_create_function(db, "path_of", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                   path_of, NULL, NULL);
}

/* Of the row d with its path p and its parent u with the path q. */
#define ASTRAY                                                                                     \
    "(d.storage <> u.storage OR (p.hash <> 0 AND q.hash <> 0"                                      \
    " AND path_of(q.hash, d.name) <> p.hash))"

#define OPENED AP_WAITING_AGAIN " AND on_kind <> 9" /* 9: until its snapshot ends */

/* Two rows at one place: which of them counts may have changed. All that have this one. */
static void
twins_of_name(struct ap_core *core, int64_t parent, const struct ls_str *name)
{
    int64_t now = ls_now_ms();

    if (ap_number(core->ledger, 0,
                  "SELECT count(*) FROM (SELECT 1 FROM desired WHERE parent = ? AND name = ?"
                  " AND deleted = 0 LIMIT 2)",
                  "it", parent, name) < 2)
        return;
    ap_exec(core->ledger,
            AP_WORK_OPEN "1, fileid, storage, 0, ?3, ?3 * 1000, 0, 0, 0 FROM desired"
                         " WHERE parent = ?1 AND name = ?2 AND deleted = 0" OPENED,
            "iti", parent, name, now);
}

/* All below this folder: once for a folder that has moved, never for each of its rows. */
static void
twins_below(struct ap_core *core, int64_t parent)
{
    int64_t now = ls_now_ms();

    ap_exec(core->ledger,
            AP_WORK_OPEN
            "1, d.fileid, d.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM desired d"
            " WHERE d.parent = ?1 AND d.deleted = 0 AND EXISTS (SELECT 1 FROM desired o"
            " WHERE o.parent = d.parent AND o.name = d.name AND o.deleted = 0"
            " AND o.fileid <> d.fileid)" OPENED,
            "ii", parent, now);
}

void
ap_astray_take(struct ap_core *core, const struct cs3_resource *r, const struct ap_desired *before)
{
    int64_t have =
        ap_number(core->ledger, 0, "SELECT hash FROM path WHERE fileid = ?", "i", r->fileid);

    if (r->head.kind == CS3_DELETE) {
        ap_exec(core->ledger, "DELETE FROM path WHERE fileid = ?", "i", r->fileid);
        return;
    }
    if (before && !before->deleted && have == r->path_hash && before->storage == r->storage &&
        before->parent == r->parent && ls_str_is(r->name, before->name))
        return;
    if (have != r->path_hash || !before)
        ap_exec(core->ledger,
                "INSERT INTO path(fileid, hash) VALUES(?, ?) ON CONFLICT(fileid) DO UPDATE SET"
                " hash = excluded.hash",
                "ii", r->fileid, r->path_hash);
    /* itself; and, where its own path or storage has changed, what lies in it */
    if (ap_exec(core->ledger,
                "UPDATE path SET astray = 1 - astray WHERE fileid = ?1 AND astray <> coalesce("
                "(SELECT " ASTRAY " FROM desired d JOIN path p ON p.fileid = d.fileid"
                " JOIN desired u ON u.fileid = d.parent AND u.deleted = 0"
                " JOIN path q ON q.fileid = u.fileid WHERE d.fileid = ?1), 0)",
                "i", r->fileid) > 0)
        twins_of_name(core, r->parent, &r->name);
    if (!r->folder ||
        (before && have == r->path_hash && !before->deleted && before->storage == r->storage))
        return;
    if (ap_exec(core->ledger,
                "UPDATE path AS t SET astray = 1 - t.astray FROM desired d"
                " JOIN path p ON p.fileid = d.fileid JOIN desired u ON u.fileid = d.parent"
                " JOIN path q ON q.fileid = u.fileid WHERE d.parent = ?1 AND d.deleted = 0"
                " AND t.fileid = d.fileid AND t.astray <> " ASTRAY,
                "i", r->fileid) > 0)
        twins_below(core, r->fileid);
}

int64_t
ap_astray_count(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0,
                     "SELECT count(*) FROM path p JOIN desired d ON d.fileid = p.fileid"
                     " JOIN desired u ON u.fileid = d.parent AND u.deleted = 0"
                     " WHERE p.astray = 1 AND d.deleted = 0",
                     NULL);
}
