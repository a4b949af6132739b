/*
 * What apply tells of sweeps that wait: for `lockstep snapshot status`, not for metrics, whose
 * labels hold no names.
 *
 * Of each the first few that it would delete: the topmost files and folders, shares with what they
 * are of and for whom, people, groups and members by name. What can go wrong: a chain of parents
 * that is a ring or leads nowhere ends.
 */
#include "apply/status.h"
#include <stdio.h>
#include <string.h>

enum { SWEEPS_MOST = 20, EXAMPLES = 10, DEPTH = 200 };

/* "files/a/b", as far as the parents are known; cut at its beginning when it is too long. */
static void
path_of(struct ap_core *core, int64_t fileid, char *out, size_t size)
{
    char name[1024], longer[4096];

    out[0] = '\0';
    for (int depth = 0; depth < DEPTH && fileid > 0; depth++) {
        sqlite3_stmt *s = ap_query(
            core->ledger, "SELECT parent, name FROM desired WHERE fileid = ?", "i", fileid);
        int64_t parent;

        if (!ap_step(core->ledger, s))
            return;
        parent = sqlite3_column_int64(s, 0);
        ap_text(s, 1, name, sizeof(name));
        ap_done(s);
        if (parent <= 0)
            return; /* the root has no name */
        snprintf(longer, sizeof(longer), "%s%s%s", name, *out ? "/" : "", out);
        snprintf(out, size, "%.*s", (int)size - 1, longer);
        fileid = parent;
    }
}

#define OLD(t) "(" t ".epoch < ?1 OR (" t ".epoch = ?1 AND " t ".counter < ?2))"

/* The topmost: what lies below them goes with them. */
static json_t *
examples(struct ap_core *core, int64_t epoch, int64_t counter, int64_t partition, int64_t storage)
{
    struct {
        int64_t fileid;
        char owner[256];
    } found[EXAMPLES];
    sqlite3_stmt *s = ap_query(
        core->ledger,
        "SELECT d.fileid, coalesce(s.owner, '') FROM desired d LEFT JOIN space s ON s.storage ="
        " d.storage WHERE d.partition = ?3 AND (?4 = -1 OR d.storage = ?4) AND d.deleted = 0"
        " AND " OLD("d") " AND NOT EXISTS (SELECT 1 FROM desired p WHERE p.fileid = d.parent AND"
                         " p.deleted = 0 AND p.partition = ?3 AND " OLD("p") ") LIMIT 10",
        "iiii", epoch, counter, partition, storage);
    json_t *array = json_array();
    char path[2048];
    int n = 0;

    for (; n < EXAMPLES && ap_step(core->ledger, s); n++) {
        found[n].fileid = sqlite3_column_int64(s, 0);
        ap_text(s, 1, found[n].owner, sizeof(found[n].owner));
    }
    ap_done(s);
    for (int i = 0; i < n; i++) {
        path_of(core, found[i].fileid, path, sizeof(path));
        json_array_append_new(array,
                              json_pack("{s:I, s:s, s:s}", "fileid", (json_int_t)found[i].fileid,
                                        "user", found[i].owner, "path", path));
    }
    return array;
}

/* Links have no grantee; what the share is of may be gone already: then its path is "". */
static json_t *
share_examples(struct ap_core *core, int64_t epoch, int64_t counter)
{
    struct {
        int64_t id, type, fileid;
        char owner[256], grantee[256];
    } found[EXAMPLES];
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT t.id, t.type, t.fileid, t.owner, t.grantee FROM share t"
                               " WHERE t.deleted = 0 AND " OLD("t") " ORDER BY t.id LIMIT 10",
                               "ii", epoch, counter);
    json_t *array = json_array();
    char path[2048];
    int n = 0;

    for (; n < EXAMPLES && ap_step(core->ledger, s); n++) {
        found[n].id = sqlite3_column_int64(s, 0);
        found[n].type = sqlite3_column_int64(s, 1);
        found[n].fileid = sqlite3_column_int64(s, 2);
        ap_text(s, 3, found[n].owner, sizeof(found[n].owner));
        ap_text(s, 4, found[n].grantee, sizeof(found[n].grantee));
    }
    ap_done(s);
    for (int i = 0; i < n; i++) {
        path_of(core, found[i].fileid, path, sizeof(path));
        json_array_append_new(array,
                              json_pack("{s:I, s:s, s:I, s:s, s:s, s:s}", "share",
                                        (json_int_t)found[i].id, "type",
                                        found[i].type == CS3_SHARE_LINK     ? "link"
                                        : found[i].type == CS3_SHARE_GROUP  ? "group"
                                        : found[i].type == CS3_SHARE_MEMBER ? "member"
                                                                            : "user",
                                        "fileid", (json_int_t)found[i].fileid, "user",
                                        found[i].owner, "with", found[i].grantee, "path", path));
    }
    return array;
}

/* A sweep of people is of one table (enum cs3_person_type). */
static json_t *
person_examples(struct ap_core *core, int64_t epoch, int64_t counter, int64_t type)
{
    sqlite3_stmt *s =
        ap_query(core->ledger,
                 "SELECT t.uid, t.gid FROM person t WHERE t.deleted = 0 AND t.epoch IS NOT NULL AND"
                 " t.type = ?3 AND " OLD("t") " ORDER BY t.id LIMIT 10",
                 "iii", epoch, counter, type);
    json_t *array = json_array();
    char uid[256], gid[256];

    for (int n = 0; n < EXAMPLES && ap_step(core->ledger, s); n++) {
        json_t *person = json_object();

        if (ap_text(s, 0, uid, sizeof(uid)) && uid[0])
            json_object_set_new(person, "user", json_string(uid));
        if (ap_text(s, 1, gid, sizeof(gid)) && gid[0])
            json_object_set_new(person, "group", json_string(gid));
        json_array_append_new(array, person);
    }
    ap_done(s);
    return array;
}

json_t *
ap_open_sweeps(struct ap_core *core)
{
    struct {
        char topic[32];
        int64_t partition, storage, epoch, counter, items;
    } waiting[SWEEPS_MOST];
    sqlite3_stmt *s = ap_query(
        core->ledger,
        "SELECT topic, partition, -1, epoch, counter, items FROM bracket WHERE state = 3 UNION ALL"
        " SELECT 'cs3.resource', partition, storage, epoch, counter, items FROM bracket_storage"
        " WHERE state = 3 LIMIT 20",
        NULL);
    json_t *array = json_array();
    int n = 0;

    for (; n < SWEEPS_MOST && ap_step(core->ledger, s); n++) {
        ap_text(s, 0, waiting[n].topic, sizeof(waiting[n].topic));
        waiting[n].partition = sqlite3_column_int64(s, 1);
        waiting[n].storage = sqlite3_column_int64(s, 2);
        waiting[n].epoch = sqlite3_column_int64(s, 3);
        waiting[n].counter = sqlite3_column_int64(s, 4);
        waiting[n].items = sqlite3_column_int64(s, 5);
    }
    ap_done(s);
    for (int i = 0; i < n; i++) {
        json_t *sweep =
            json_pack("{s:s, s:I, s:I}", "topic", waiting[i].topic, "partition",
                      (json_int_t)waiting[i].partition, "items", (json_int_t)waiting[i].items);
        if (waiting[i].storage >= 0)
            json_object_set_new(sweep, "storage", json_integer(waiting[i].storage));
        if (strcmp(waiting[i].topic, "cs3.resource") == 0)
            json_object_set_new(sweep, "examples",
                                examples(core, waiting[i].epoch, waiting[i].counter,
                                         waiting[i].partition, waiting[i].storage));
        else if (strcmp(waiting[i].topic, "cs3.share") == 0)
            json_object_set_new(sweep, "examples",
                                share_examples(core, waiting[i].epoch, waiting[i].counter));
        else if (strcmp(waiting[i].topic, "cs3.person") == 0)
            json_object_set_new(
                sweep, "examples",
                person_examples(core, waiting[i].epoch, waiting[i].counter, waiting[i].partition));
        json_array_append_new(array, sweep);
    }
    return array;
}
