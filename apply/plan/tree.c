/*
 * What converge.c wants to know, answered from the ledger.
 *
 * Each answer is one or two indexed look-ups, except the walks over a whole subtree (`inside`,
 * `unfinished`), which are one recursive query that stops at its first find: a folder of 10,000
 * rows costs some milliseconds once, not once a row.
 */
#include "apply/plan/converge.h"
#include <stdio.h>
#include <string.h>

static bool
view_desired(void *arg, int64_t fileid, struct ap_desired *ret)
{
    return ap_desired_get(arg, fileid, ret);
}

static bool
view_node(void *arg, int64_t id, struct ap_applied *ret)
{
    return ap_node_get(arg, id, ret);
}

static bool
view_node_of(void *arg, int64_t fileid, struct ap_applied *ret)
{
    return ap_node_of(arg, fileid, ret);
}

static bool
view_node_at(void *arg, int64_t storage, int64_t parent, const char *name, struct ap_applied *ret)
{
    return ap_node_at(arg, storage, parent, name, ret);
}

static bool
view_space(void *arg, int64_t storage, struct ap_space_row *ret)
{
    return ap_space_get(arg, storage, ret);
}

/* Of several rows of one place the one counts that people see at the source: whose path agrees, and
 * of such the newest. */
static bool
view_twin(void *arg, const struct ap_desired *row, int64_t *ret)
{
    *ret = ap_number(arg, 0,
                     "SELECT d.fileid FROM desired d LEFT JOIN path p ON p.fileid = d.fileid"
                     " WHERE d.parent = ?1 AND d.name = ?2 AND d.deleted = 0 AND d.fileid <> ?3 AND"
                     " (1 - coalesce(p.astray, 0), d.epoch, d.counter, d.part, d.fileid) >"
                     " (1 - coalesce((SELECT astray FROM path WHERE fileid = ?3), 0), ?4, ?5, ?6,"
                     " ?3) ORDER BY coalesce(p.astray, 0), d.epoch DESC, d.counter DESC,"
                     " d.part DESC, d.fileid DESC LIMIT 1",
                     "isiiii", row->parent, row->name, row->fileid, (int64_t)row->seq.epoch,
                     row->seq.counter, (int64_t)row->seq.part);
    return *ret != 0;
}

/* Somebody whose desired chain is cut by a deleted row, or who is not carried, goes along. */
static bool
goes_along(struct ap_ledger *ledger, int64_t fileid)
{
    struct ap_view view = ap_ledger_view(ledger);
    struct ap_desired row, broken;
    struct ap_place place;

    if (!ap_desired_get(ledger, fileid, &row))
        return true;
    ap_place_find(&view, &row, &place);
    return place.class == AP_CLASS_VERSION || place.class == AP_CLASS_OTHER ||
           place.class == AP_CLASS_LOOP ||
           (place.class == AP_CLASS_ORPHAN && ap_desired_get(ledger, place.broken, &broken));
}

#define PAGE 64

static bool
view_inside(void *arg, int64_t id, struct ap_key *ret)
{
    struct ap_applied top;
    struct {
        int64_t id, fileid;
    } found[PAGE];
    int64_t last = 0;
    int n;

    if (!ap_node_get(arg, id, &top))
        return false;
    do {
        sqlite3_stmt *s =
            ap_query(arg,
                     "WITH RECURSIVE below(id, fileid, up, leftover) AS ("
                     " SELECT id, fileid, ?2, leftover FROM node WHERE parent = ?1"
                     " UNION ALL SELECT n.id, n.fileid, b.fileid, n.leftover FROM node n"
                     " JOIN below b ON n.parent = b.id)"
                     " SELECT b.id, b.fileid FROM below b JOIN desired d ON d.fileid = b.fileid"
                     " WHERE b.leftover = 0 AND (?5 OR d.parent <> b.up) AND (d.deleted = 0"
                     " OR d.moved_to <> ?3) AND b.id > ?4 ORDER BY b.id LIMIT 64",
                     "iiiii", id, top.fileid, LS_NO_STORAGE, last, (int64_t)top.leftover);
        for (n = 0; n < PAGE && ap_step(arg, s); n++) {
            last = found[n].id = sqlite3_column_int64(s, 0);
            found[n].fileid = sqlite3_column_int64(s, 1);
        }
        ap_done(s);
        for (int i = 0; i < n; i++)
            if (!goes_along(arg, found[i].fileid)) {
                *ret = (struct ap_key){AP_NODE, found[i].fileid};
                return true;
            }
    } while (n == PAGE);
    return false;
}

/* Its file shall have a node somewhere. (Where nothing is carried, none will ever be made.) */
static bool
shall_live(struct ap_ledger *ledger, int64_t fileid)
{
    struct ap_view view = ap_ledger_view(ledger);
    struct ap_desired row, broken;
    struct ap_space_row space;
    struct ap_place place;

    if (!ap_desired_get(ledger, fileid, &row))
        return false;
    if (row.deleted)
        return row.moved_to != LS_NO_STORAGE;
    ap_place_find(&view, &row, &place);
    if (place.class == AP_CLASS_MOVING)
        return true;
    if (place.class == AP_CLASS_ORPHAN)
        return !ap_desired_get(ledger, place.broken, &broken);
    if (place.class != AP_CLASS_LIVE && place.class != AP_CLASS_TRASH)
        return false;
    return !ap_space_get(ledger, place.storage, &space) || !space.known || space.unknown ||
           space.type == CS3_SPACE_PERSONAL;
}

/* Its file is a dead letter: no other node will come before somebody looks into it. */
static bool
may_go(struct ap_ledger *ledger, int64_t fileid, bool purge)
{
    struct ap_view view = ap_ledger_view(ledger);
    struct ap_desired row;
    struct ap_place place;

    if (!purge)
        return ap_is_dead(ledger, (struct ap_key){AP_NODE, fileid});
    if (ap_number(ledger, 0,
                  "SELECT 1 FROM dead WHERE kind = 1 AND id = ? AND cause = 'content-missing'", "i",
                  fileid) != 1 ||
        !ap_desired_get(ledger, fileid, &row) || row.deleted)
        return false;
    ap_place_find(&view, &row, &place);
    return place.class == AP_CLASS_TRASH;
}

static bool
view_only_copy(void *arg, int64_t id, bool purge, struct ap_key *ret)
{
    struct {
        int64_t id, fileid;
    } found[PAGE];
    int64_t last = 0;
    int n;

    do {
        sqlite3_stmt *s =
            ap_query(arg,
                     "WITH RECURSIVE below(id, fileid, leftover) AS ("
                     " SELECT id, fileid, leftover FROM node WHERE id = ?1"
                     " UNION ALL SELECT n.id, n.fileid, n.leftover FROM node n"
                     " JOIN below b ON n.parent = b.id)"
                     " SELECT b.id, b.fileid FROM below b JOIN desired d ON d.fileid = b.fileid"
                     " WHERE b.leftover = 1 AND (d.deleted = 0 OR d.moved_to <> ?2) AND b.id > ?3"
                     " AND NOT EXISTS (SELECT 1 FROM node o WHERE o.fileid = b.fileid"
                     " AND o.leftover = 0) ORDER BY b.id LIMIT 64",
                     "iii", id, LS_NO_STORAGE, last);
        for (n = 0; n < PAGE && ap_step(arg, s); n++) {
            last = found[n].id = sqlite3_column_int64(s, 0);
            found[n].fileid = sqlite3_column_int64(s, 1);
        }
        ap_done(s);
        for (int i = 0; i < n; i++)
            if (shall_live(arg, found[i].fileid) && !may_go(arg, found[i].fileid, purge)) {
                *ret = (struct ap_key){AP_NODE, found[i].fileid};
                return true;
            }
    } while (n == PAGE);
    return false;
}

static bool
view_unfinished(void *arg, int64_t fileid, int64_t *ret)
{
    *ret = ap_number(arg, 0,
                     "WITH RECURSIVE below(fileid) AS (SELECT fileid FROM desired WHERE parent = ?"
                     " UNION SELECT d.fileid FROM desired d JOIN below b ON d.parent = b.fileid)"
                     " SELECT max(b.fileid) FROM below b JOIN work w ON w.kind = 1 AND"
                     " w.id = b.fileid WHERE w.trouble = 0 OR w.cause LIKE 'content-%'",
                     "i", fileid);
    return *ret != 0;
}

static bool
view_reopened(void *arg, int64_t fileid)
{
    return ap_number(arg, 0,
                     "SELECT 1 FROM work WHERE on_kind = 1 AND on_id = ? AND state = 1"
                     " AND cause = 'trash-reopen' LIMIT 1",
                     "i", fileid) == 1;
}

static bool
view_older_trash(void *arg, const struct ap_desired *top, int64_t *ret)
{
    *ret = ap_number(arg, 0,
                     "SELECT d.fileid FROM desired d JOIN work w ON w.kind = 1 AND w.id = d.fileid"
                     " WHERE d.parent = ?1 AND d.trash_time > 0 AND d.deleted = 0 AND w.trouble = 0"
                     " AND (w.state <> 1 OR w.cause IN ('older-trash', 'fill', 'busy', 'versions'))"
                     " AND (d.trash_time, d.fileid) < (?2, ?3)"
                     " ORDER BY d.trash_time DESC, d.fileid DESC LIMIT 1",
                     "iii", top->parent, top->trash_time, top->fileid);
    return *ret != 0;
}

/* A fixed folder of a home: "files_trashbin", "files". 0 when the row is not there. */
static int64_t
child_of(struct ap_ledger *ledger, int64_t parent, const char *name)
{
    return ap_number(ledger, 0,
                     "SELECT fileid FROM desired WHERE parent = ? AND name = ? AND deleted = 0"
                     " ORDER BY epoch DESC, counter DESC LIMIT 1",
                     "is", parent, name);
}

static int64_t
home_root(struct ap_ledger *ledger, int64_t storage)
{
    return ap_number(ledger, 0,
                     "SELECT fileid FROM desired WHERE storage = ? AND parent = -1 AND deleted = 0"
                     " ORDER BY epoch DESC, counter DESC LIMIT 1",
                     "i", storage);
}

static bool
view_trash_open(void *arg, int64_t storage)
{
    int64_t root = home_root(arg, storage), trash = 0;

    if (root != 0 && (trash = child_of(arg, root, "files_trashbin")) != 0)
        trash = child_of(arg, trash, "files");
    if (trash != 0 &&
        ap_number(arg, 0,
                  "SELECT 1 FROM desired d JOIN work w ON w.kind = 1 AND w.id = d.fileid"
                  " WHERE d.parent = ? AND d.trash_time > 0 AND d.deleted = 0 AND w.trouble = 0"
                  " LIMIT 1",
                  "i", trash) == 1)
        return true;
    /* The answer "no" holds for good: from now on trash comes one by one. */
    ap_exec(arg, "UPDATE space SET copied = 1 WHERE storage = ?", "i", storage);
    return false;
}

static bool
view_trash_origin(void *arg, const struct ap_desired *top, const struct ap_space_row *space,
                  const char *base, int64_t *ret)
{
    char location[4 * AP_TEXT_SIZE];
    struct ap_desired folder;
    bool found;
    int64_t at = home_root(arg, top->storage);
    sqlite3_stmt *s = ap_query(arg,
                               "SELECT location FROM trashinfo WHERE user = ? AND name = ?"
                               " AND time = ? AND deleted = 0",
                               "ssi", space->owner, base, top->trash_time);

    if (!ap_step(arg, s))
        return false;
    found = ap_text(s, 0, location, sizeof(location));
    ap_done(s);
    if (!found || at == 0 || (at = child_of(arg, at, "files")) == 0)
        return false;
    *ret = 0;
    if (strcmp(location, ".") == 0)
        return true;
    for (char *save = NULL, *part = strtok_r(location, "/", &save); part;
         part = strtok_r(NULL, "/", &save)) {
        at = child_of(arg, at, part);
        if (at == 0 || !ap_desired_get(arg, at, &folder) || !folder.folder)
            return false; /* another file may have that name by now */
        *ret = at;
    }
    return true;
}

static bool
view_owner_off(void *arg, const struct ap_space_row *space, int64_t *ret)
{
    *ret = ap_number(arg, 0,
                     "SELECT id FROM person WHERE type = 0 AND uid = ? AND applied_enabled <> 1"
                     " LIMIT 1",
                     "s", space->owner);
    return *ret != 0;
}

struct ap_view
ap_ledger_view(struct ap_ledger *ledger)
{
    return (struct ap_view){
        .arg = ledger,
        .desired = view_desired,
        .node = view_node,
        .node_of = view_node_of,
        .node_at = view_node_at,
        .space = view_space,
        .twin = view_twin,
        .inside = view_inside,
        .only_copy = view_only_copy,
        .unfinished = view_unfinished,
        .reopened = view_reopened,
        .older_trash = view_older_trash,
        .trash_open = view_trash_open,
        .trash_origin = view_trash_origin,
        .owner_off = view_owner_off,
    };
}
