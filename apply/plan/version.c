/*
 * Which file a version belongs to.
 *
 * ownCloud keeps the versions of files/Docs/a.txt as files_versions/Docs/a.txt.v<time>, and those
 * of what lies in the trash below files_trashbin/versions, where the topmost name has the time of
 * its deletion as the item has it. So a version's file is found by the names of the folders around
 * it, in the desired tree; `version.of` keeps what was found. A version is written before its file
 * (overwrite), moves after it (rename, delete, restore), and each such row comes here again; what
 * was found alone is looked at again when a file of that name comes.
 *
 * What can go wrong: a version without a file, which ownCloud forgets when something fails between
 * the two. It is counted apart, and left.
 */
#include "apply/core.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

#define DEPTH 256 /* folders around a version; deeper ones have none */

/* What the target keeps of it stays there, but nobody asks for it any more. */
static void
version_gone(struct ap_core *core, const struct cs3_resource *r)
{
    if (r->head.kind == CS3_DELETE && r->moved_to == LS_NO_STORAGE)
        ap_exec(core->ledger,
                "DELETE FROM revision WHERE (node, mtime) IN (SELECT n.id, v.time FROM version v"
                " JOIN node n ON n.fileid = v.of AND n.leftover = 0 WHERE v.fileid = ?)",
                "i", r->fileid);
    ap_exec(core->ledger, "DELETE FROM version WHERE fileid = ?", "i", r->fileid);
}

void
ap_version_take(struct ap_core *core, const struct cs3_resource *r)
{
    struct ap_ledger *l = core->ledger;

    if (r->head.kind == CS3_UPSERT && r->version_of.p)
        ap_exec(l,
                "INSERT INTO version(fileid, base, time, meta, trash_time) VALUES(?1, ?2, ?3, ?4,"
                " ?5) ON CONFLICT(fileid) DO UPDATE SET base = ?2, time = ?3, meta = ?4,"
                " trash_time = ?5",
                "itiii", r->fileid, &r->version_of, r->version_time, (int64_t)r->version_meta,
                r->trash_time);
    else
        version_gone(core, r);
    /* A folder of versions that moves is written behind what is in it. */
    if (r->folder && (r->class_hint == CS3_CLASS_VERSIONS || r->class_hint == CS3_CLASS_TRASH))
        ap_exec(l,
                "WITH RECURSIVE below(fileid) AS (SELECT fileid FROM desired WHERE parent = ?1"
                " UNION SELECT d.fileid FROM desired d JOIN below b ON d.parent = "
                "b.fileid)" AP_WORK_OPEN
                "1, d.fileid, d.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM below b"
                " JOIN version v ON v.fileid = b.fileid JOIN desired d ON d.fileid = b.fileid"
                " WHERE 1" AP_UNLESS_OPEN,
                "ii", r->fileid, ls_now_ms());
    if (!r->folder)
        ap_exec(l,
                AP_WORK_OPEN
                "1, d.fileid, d.storage, 0, ?3, ?3 * 1000, 0, 0, 0 FROM desired d"
                " WHERE d.fileid IN (SELECT fileid FROM version WHERE of = ?1 UNION ALL"
                " SELECT fileid FROM version WHERE of = 0 AND base = ?2)" AP_UNLESS_OPEN,
                "iti", r->fileid, &r->name, ls_now_ms());
}

int64_t
ap_child_of(struct ap_core *core, int64_t parent, const char *name)
{
    return ap_number(core->ledger, 0,
                     "SELECT fileid FROM desired WHERE parent = ? AND name = ? AND deleted = 0"
                     " ORDER BY epoch DESC, counter DESC LIMIT 1",
                     "is", parent, name);
}

/* From files_versions (or files_trashbin/versions) the same way down from `files` (or
 * files_trashbin/files). 0: there is nothing. */
static int64_t
file_of(struct ap_core *core, const struct ap_desired *version, const char *base)
{
    struct ap_desired up;
    int64_t chain[DEPTH], at = version->parent;
    int n = 0;

    while (at > 0 && n < DEPTH && ap_desired_get(core->ledger, at, &up) && !up.deleted) {
        chain[n++] = at;
        at = up.parent;
    }
    if (at != -1 || n < 2) /* the root and what is below it */
        return 0;
    at = chain[--n];
    if (!ap_desired_get(core->ledger, chain[--n], &up))
        return 0;
    if (strcmp(up.name, "files_trashbin") == 0) {
        at = chain[n--]; /* its `versions` beside its `files` */
        if (n < 0)
            return 0;
    }
    at = ap_child_of(core, at, "files");
    while (at != 0 && n-- > 0)
        at = ap_desired_get(core->ledger, chain[n], &up) ? ap_child_of(core, at, up.name) : 0;
    return at != 0 ? ap_child_of(core, at, base) : 0;
}

const char *
ap_version_join(struct ap_core *core, int64_t fileid, int64_t *ret_of)
{
    char base[AP_NAME_SIZE + 32];
    struct ap_desired row;
    int64_t of, trashed;
    bool meta;
    sqlite3_stmt *s = ap_query(
        core->ledger, "SELECT base, trash_time, meta FROM version WHERE fileid = ?", "i", fileid);

    *ret_of = 0;
    if (!ap_step(core->ledger, s))
        return "version-folder"; /* or whatever else lies there */
    ap_text(s, 0, base, AP_NAME_SIZE);
    trashed = sqlite3_column_int64(s, 1);
    meta = sqlite3_column_int(s, 2) != 0;
    ap_done(s);
    if (trashed != 0)
        snprintf(base + strlen(base), 32, ".d%lld", (long long)trashed);
    of = ap_desired_get(core->ledger, fileid, &row) ? file_of(core, &row, base) : 0;
    ap_exec(core->ledger, "UPDATE version SET of = ? WHERE fileid = ?", "ii", of, fileid);
    if (!meta)
        *ret_of = of;
    return of == 0 ? "version-alone" : meta ? "version-meta" : "version";
}
