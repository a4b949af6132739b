/*
 * Records into the ledger: the newest desired state of each entity, and that it is open.
 *
 * What can go wrong: records come twice and out of order (the highest seq wins, deletions
 * included); a value cannot be read or is longer than any oC10 can have (dead letter, the rest goes
 * on); the two halves of a move between storages come in any order; a snapshot's end says that a
 * whole home is gone although only somebody's mount was missing (a sweep above the limit waits).
 * Nothing here calls the target.
 */
#include "apply/intake/replay.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOURCE "cs3.resource"
#define TRASH "cs3.resource:trash" /* in place of a topic: brackets of trash entries */

void
ap_superseded(struct ap_core *core)
{
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, "superseded", 1);
}

/* True when the row whose seq `s` selects is as new as the record or newer. */
bool
ap_is_newer(struct ap_core *core, sqlite3_stmt *s, struct ls_seq seq)
{
    bool newer = false;

    if (ap_step(core->ledger, s)) {
        struct ls_seq have = {sqlite3_column_int(s, 0), sqlite3_column_int64(s, 1),
                              sqlite3_column_int(s, 2)};
        newer = ls_seq_cmp(have, seq) >= 0;
        ap_done(s);
    }
    return newer;
}

static bool
too_long(struct ls_str s, size_t room)
{
    return s.p && s.n >= room;
}

void
ap_take_malformed(struct ap_core *core, const struct ap_origin *at, struct ls_str key,
                  struct ls_str value, const struct ls_err *why)
{
    int64_t id;

    ap_exec(core->ledger,
            "INSERT INTO letter(key, value, cause, message, attempts, seq, topic, partition,"
            " offset, time_us) VALUES(CAST(? AS BLOB), CAST(? AS BLOB), ?, ?, 1, '', ?, ?, ?, ?)",
            "ttsssiii", &key, &value, why->cause, why->msg, at->topic, (int64_t)at->partition,
            at->offset, ls_now_us());
    id = ap_number(core->ledger, 0, "SELECT coalesce(max(id), 0) + 1 FROM dead WHERE kind = 11",
                   NULL);
    ap_exec(core->ledger,
            "INSERT INTO dead(kind, id, cause, message, attempts, counted, time_us)"
            " VALUES(11, ?, ?, ?, 1, 1, ?)",
            "issi", id, why->cause, why->msg, ls_now_us());
    ap_record_dead(core, id, at);
    ap_count(core->ledger, "in", 1);
}

void
ap_take_too_long(struct ap_core *core, const struct ap_origin *at, int64_t id)
{
    struct ls_err why = {0};
    char key[32];

    snprintf(key, sizeof(key), "%lld", (long long)id);
    ls_fail_cause(&why, LS_ERR_POISON, 0, "too-long", "a text of the record is too long");
    ap_take_malformed(core, at, ls_str_of(key), at->value.p ? at->value : LS_STR(""), &why);
}

/* ---- files and folders */

/* The first snapshot of this partition is under way: nothing of it is applied before its end. Of
 * what lies in the trash only oc_files_trash says where it was, so that one has to end too. */
static bool
is_gated(struct ap_core *core, int32_t partition)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM bracket WHERE topic IN ('cs3.resource', 'cs3.resource:trash')"
                     " AND partition = ? AND state = 1 AND ended = 0",
                     "i", (int64_t)partition) == 1;
}

/* A later snapshot of this partition, or one of its storage, is under way. */
static struct ap_key
under_way(struct ap_core *core, int32_t partition, int64_t storage)
{
    if (ap_number(core->ledger, 0, "SELECT 1 FROM bracket_storage WHERE storage = ? AND state = 1",
                  "i", storage) == 1)
        return (struct ap_key){AP_STORAGE, storage};
    if (ap_number(core->ledger, 0,
                  "SELECT 1 FROM bracket WHERE topic = 'cs3.resource' AND partition = ?"
                  " AND state = 1",
                  "i", (int64_t)partition) == 1)
        return (struct ap_key){AP_PARTITION, partition};
    return (struct ap_key){AP_NONE, 0};
}

/* A snapshot brings a file's versions behind it, and they have to be uploaded before it: what it
 * brings anew waits for its end. What comes in the stream does not. */
static void
hold_for_versions(struct ap_core *core, const struct ap_origin *at, const struct cs3_resource *r,
                  const struct ap_desired *have)
{
    struct ap_key on;

    if (!r->head.snapshot || r->folder || !core->options.versions ||
        (have && have->size == r->size && have->mtime == r->mtime &&
         ls_str_is(r->sha1, have->sha1)))
        return;
    on = under_way(core, at->partition, r->storage);
    if (on.kind != AP_NONE)
        ap_exec(core->ledger,
                "UPDATE work SET state = 1, on_kind = ?, on_id = ?, cause = 'snapshot'"
                " WHERE kind = 1 AND id = ? AND state = 0",
                "iii", (int64_t)on.kind, on.id, r->fileid);
}

/* When a record with this time at the source shall be looked at. */
static int64_t
ready_at(const struct ap_core *core, int64_t source_us)
{
    int64_t behind_us = source_us > 0 ? ls_now_us() - source_us : 0;

    return ls_now_ms() + ap_window_ms(core->options.window_ms, behind_us);
}

static void
open_node(struct ap_core *core, const struct ap_origin *at, int64_t fileid, int64_t storage,
          int64_t source_us)
{
    struct ap_key key = {AP_NODE, fileid};

    ap_work_record(core->ledger, key, storage, source_us, ready_at(core, source_us));
    if (is_gated(core, at->partition))
        ap_exec(core->ledger,
                "UPDATE work SET state = 1, on_kind = 9, on_id = ?, cause = 'snapshot'"
                " WHERE kind = 1 AND id = ? AND state = 0",
                "ii", (int64_t)at->partition, fileid);
    ap_wake(core->ledger, key);
}

/* Content that was not found may be where a renamed folder is now. */
static void
content_again(struct ap_core *core, int64_t storage)
{
    ap_exec(core->ledger,
            "UPDATE work SET ready_at = ?1 WHERE state = 0 AND storage = ?2 AND ready_at > ?1"
            " AND trouble = 1 AND cause LIKE 'content-%'",
            "ii", ls_now_ms(), storage);
}

/* A loop ends with the record of one of its rows; those that lead through that one have none. */
static void
loops_again(struct ap_core *core, int64_t fileid)
{
    if (ap_number(core->ledger, 0, "SELECT 1 FROM dead WHERE cause = 'loop' LIMIT 1", NULL) == 0)
        return;
    ap_exec(core->ledger,
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION SELECT d.fileid FROM desired d"
            " JOIN below b ON d.parent = b.id) " AP_WORK_OPEN
            "1, d.fileid, d.storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM below b"
            " JOIN dead x ON x.kind = 1 AND x.id = b.id JOIN desired d ON d.fileid = b.id"
            " WHERE x.cause = 'loop'" AP_UNLESS_OPEN,
            "ii", fileid, ls_now_ms());
}

static void
take_trash_info(struct ap_core *core, const struct ap_origin *at, const struct cs3_resource *r)
{
    if (ap_is_newer(core,
                    ap_query(core->ledger,
                             "SELECT epoch, counter, part FROM trashinfo WHERE auto_id = ?", "i",
                             r->fileid),
                    r->head.seq)) {
        ap_superseded(core);
        return;
    }
    ap_exec(core->ledger,
            "INSERT OR REPLACE INTO trashinfo(auto_id, partition, user, name, location, time,"
            " epoch, counter, part, deleted) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iitttiiiii", r->fileid, (int64_t)at->partition, &r->trash_user, &r->name,
            &r->trash_location, r->trash_time, (int64_t)r->head.seq.epoch, r->head.seq.counter,
            (int64_t)r->head.seq.part, (int64_t)(r->head.kind == CS3_DELETE));
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, "left:trash-info", 1); /* used, but nothing of its own at the target */
}

static void
node_upsert(struct ap_core *core, const struct ap_origin *at, const struct cs3_resource *r)
{
    char name[AP_NAME_SIZE] = "";

    snprintf(name, sizeof(name), "%.*s", (int)r->name.n, r->name.p ? r->name.p : "");
    ap_exec(core->ledger,
            "INSERT OR REPLACE INTO desired(fileid, storage, partition, parent, name, folder, size,"
            " mtime, etag, sha1, md5, adler32, mimetype, encrypted, epoch, counter, part, deleted,"
            " moved_to, source_us, trash_time)"
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
            "iiiisiiitttttiiiiiii", r->fileid, r->storage, (int64_t)at->partition, r->parent, name,
            (int64_t)r->folder, r->size, r->mtime, &r->etag, &r->sha1, &r->md5, &r->adler32,
            &r->mimetype, (int64_t)r->encrypted, (int64_t)r->head.seq.epoch, r->head.seq.counter,
            (int64_t)r->head.seq.part, LS_NO_STORAGE, r->head.source_ts_us,
            ap_trash_name(name, NULL, 0));
}

static void
node_delete(struct ap_core *core, const struct ap_origin *at, int64_t fileid, struct ls_seq seq,
            int64_t moved_to, int64_t source_us)
{
    if (ap_exec(core->ledger,
                "UPDATE desired SET deleted = 1, moved_to = ?, epoch = ?, counter = ?, part = ?,"
                " source_us = ?, partition = ? WHERE fileid = ?",
                "iiiiiii", moved_to, (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, source_us,
                (int64_t)at->partition, fileid) > 0)
        return;
    ap_exec(core->ledger,
            "INSERT INTO desired(fileid, storage, partition, parent, name, folder, deleted,"
            " moved_to, epoch, counter, part, source_us) VALUES(?, -1, ?, 0, '', 0, 1, ?, ?, ?, ?,"
            " ?)",
            "iiiiiii", fileid, (int64_t)at->partition, moved_to, (int64_t)seq.epoch, seq.counter,
            (int64_t)seq.part, source_us);
}

/* A fileid that was deleted names another file now: servers of old give the last ids once more
 * after a restart. What its node was shall not become a version of the new one. The same row
 * written again (REPLACE) is itself. */
static bool
comes_back(const struct ap_desired *have, const struct cs3_resource *r)
{
    return have->deleted && have->moved_to == LS_NO_STORAGE && r->head.kind == CS3_UPSERT &&
           (have->parent != r->parent || have->folder != r->folder ||
            !ls_str_is(r->name, have->name));
}

/* In a ledger made of its mirror: its node is of this life, or of a later one, already. */
static bool
is_past_life(struct ap_core *core, const struct cs3_resource *r)
{
    return ap_is_newer(core,
                       ap_query(core->ledger,
                                "SELECT epoch, counter, part FROM life WHERE fileid = ?", "i",
                                r->fileid),
                       r->head.seq);
}

void
ap_take_resource(struct ap_core *core, const struct ap_origin *at, const struct cs3_resource *r)
{
    struct ap_desired have;
    bool known, moved;

    if (ap_take_storage_mark(core, at, r) || ap_take_mark(core, at, &r->head, (int)r->what))
        return;
    if (too_long(r->name, 1001) || too_long(r->etag, 168) || too_long(r->sha1, 41) ||
        too_long(r->md5, 33) || too_long(r->adler32, 9) || too_long(r->mimetype, 256)) {
        ap_take_too_long(core, at, r->fileid);
        return;
    }
    if (r->what == CS3_TRASH_INFO) {
        take_trash_info(core, at, r);
        return;
    }
    known = ap_desired_get(core->ledger, r->fileid, &have);
    if (known && ls_seq_cmp(have.seq, r->head.seq) >= 0) {
        ap_superseded(core);
        return;
    }
    moved = !known || have.deleted || r->head.kind == CS3_DELETE || have.parent != r->parent ||
            !ls_str_is(r->name, have.name);
    if (known && comes_back(&have, r) && !is_past_life(core, r))
        ap_node_leave(core, r->fileid);
    if (r->head.kind == CS3_DELETE)
        node_delete(core, at, r->fileid, r->head.seq, r->moved_to, r->head.source_ts_us);
    else
        node_upsert(core, at, r);
    ap_astray_take(core, r, known ? &have : NULL);
    if (moved)
        ap_version_take(core, r);
    open_node(core, at, r->fileid, r->head.kind == CS3_DELETE && known ? have.storage : r->storage,
              r->head.source_ts_us);
    if (r->head.kind == CS3_UPSERT)
        hold_for_versions(core, at, r, known && !have.deleted ? &have : NULL);
    if (known && moved && (have.folder || r->folder)) {
        content_again(core, r->storage);
        loops_again(core, r->fileid);
        ap_shares_below_row(core, r->fileid);
    }
}

/* ---- spaces */

void
ap_take_space(struct ap_core *core, const struct ap_origin *at, const struct cs3_space *r)
{
    struct ls_seq seq = r->head.seq;
    bool deleted = r->head.kind == CS3_DELETE;

    if (ap_take_mark(core, at, &r->head, 0))
        return;
    if (too_long(r->owner, 256)) {
        ap_take_too_long(core, at, r->storage);
        return;
    }
    if (ap_is_newer(core,
                    ap_query(core->ledger,
                             "SELECT epoch, counter, part FROM space WHERE storage = ?"
                             " AND epoch IS NOT NULL",
                             "i", r->storage),
                    seq)) {
        ap_superseded(core);
        return;
    }
    ap_exec(core->ledger, "INSERT OR IGNORE INTO space(storage) VALUES(?)", "i", r->storage);
    /* A deleted storage keeps what was known: its rows' deletions come later. */
    if (deleted)
        ap_exec(core->ledger,
                "UPDATE space SET deleted = 1, epoch = ?, counter = ?, part = ? WHERE storage = ?",
                "iiii", (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, r->storage);
    else
        ap_exec(core->ledger,
                "UPDATE space SET deleted = 0, known = 1, type = ?, source_id = ?, owner = ?,"
                " reason = ?, epoch = ?, counter = ?, part = ? WHERE storage = ?",
                "itttiiii", (int64_t)r->type, &r->source_id, &r->owner, &r->reason,
                (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, r->storage);
    ap_work_record(core->ledger, (struct ap_key){AP_SPACE, r->storage}, AP_LANE_SPACES,
                   r->head.source_ts_us, ls_now_ms());
    ap_wake(core->ledger, (struct ap_key){AP_SPACE, r->storage});
}

/* ---- shares */

void
ap_share_details_drop(struct ap_core *core, int64_t share)
{
    ap_exec(core->ledger, "DELETE FROM secret WHERE share = ?", "i", share);
    ap_exec(core->ledger, "DELETE FROM share_bits WHERE share = ?", "i", share);
}

void
ap_take_share(struct ap_core *core, const struct ap_origin *at, const struct cs3_share *r)
{
    struct ls_seq seq = r->head.seq;
    int64_t at_ms = ready_at(core, r->head.source_ts_us);

    if (ap_take_remote_share(core, at, r) || ap_take_mark(core, at, &r->head, 0))
        return;
    if (too_long(r->owner, 256) || too_long(r->creator, 256) || too_long(r->grantee, 256) ||
        too_long(r->mount_point, 2600) || too_long(r->label, 512) || too_long(r->token, 128) ||
        too_long(r->password_hash, 256)) {
        ap_take_too_long(core, at, r->id);
        return;
    }
    if (ap_is_newer(core,
                    ap_query(core->ledger, "SELECT epoch, counter, part FROM share WHERE id = ?",
                             "i", r->id),
                    seq)) {
        ap_superseded(core);
        return;
    }
    ap_share_touch(core, r->id, at_ms); /* what it belonged to until now */
    ap_exec(core->ledger, "INSERT OR IGNORE INTO share(id) VALUES(?)", "i", r->id);
    if (r->head.kind == CS3_DELETE)
        ap_exec(core->ledger,
                "UPDATE share SET deleted = 1, epoch = ?, counter = ?, part = ? WHERE id = ?",
                "iiii", (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, r->id);
    else
        ap_exec(core->ledger,
                "UPDATE share SET deleted = 0, type = ?, parent = ?, fileid = ?, folder = ?,"
                " owner = ?, creator = ?, grantee = ?, permissions = ?, stime = ?, state = ?,"
                " mount = ?, expires = ?, has_password = ?, label = ?, epoch = ?, counter = ?,"
                " part = ? WHERE id = ?",
                "iiiitttiiitiitiiii", (int64_t)r->type, r->parent, r->fileid, (int64_t)r->folder,
                &r->owner, &r->creator, &r->grantee, r->permissions, r->stime, (int64_t)r->state,
                &r->mount_point, r->expires, (int64_t)r->has_password, &r->label,
                (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, r->id);
    ap_share_details_drop(core, r->id);
    if (r->head.kind != CS3_DELETE)
        ap_exec(core->ledger,
                "INSERT OR REPLACE INTO share_bits(share, bits, download) VALUES(?, ?, ?)", "iii",
                r->id, r->source_permissions, (int64_t)r->download);
    if (r->head.kind != CS3_DELETE && (r->token.n || r->password_hash.n))
        ap_exec(core->ledger, "INSERT INTO secret(share, token, hash) VALUES(?, ?, ?)", "itt",
                r->id, &r->token, &r->password_hash);
    ap_work_record(core->ledger, (struct ap_key){AP_SHARE, r->id}, AP_LANE_SHARES,
                   r->head.source_ts_us, at_ms);
    ap_share_touch(core, r->id, at_ms);
}

/* ---- tombstones, brackets, sweeps, heartbeats */

void
ap_take_tombstone(struct ap_core *core, const struct ap_origin *at, struct ls_str key,
                  struct ls_seq seq)
{
    char text[32], *end;
    struct ap_desired row;
    int64_t id;

    /* Follows a delete with the same seq; alone it is what compaction left of that. Only files are
     * known by key alone. */
    if (strcmp(at->topic, RESOURCE) != 0 || key.n == 0 || key.n >= sizeof(text) || key.p[0] == 't')
        return;
    snprintf(text, sizeof(text), "%.*s", (int)key.n, key.p);
    id = strtoll(text, &end, 10);
    if (*end || !ap_desired_get(core->ledger, id, &row) || ls_seq_cmp(row.seq, seq) >= 0)
        return;
    node_delete(core, at, id, seq, LS_NO_STORAGE, row.source_us);
    ap_work_open(core->ledger, (struct ap_key){AP_NODE, id}, row.storage, ls_now_ms());
    ap_wake(core->ledger, (struct ap_key){AP_NODE, id});
}

#define OLDER " (epoch < ?1 OR (epoch = ?1 AND counter < ?2))"

/* Does the sweep of a partition take more of some storage than may go without a word? */
static int64_t
sweep_excess(struct ap_core *core, int32_t partition, struct ls_seq begin)
{
    return ap_number(core->ledger, 0,
                     "SELECT max(gone) FROM (SELECT count(*) AS total, sum" OLDER
                     " AS gone FROM desired WHERE partition = ?3 AND deleted = 0 GROUP BY storage)"
                     " WHERE gone > ?4 AND gone * 100 > total * ?5",
                     "iiiii", (int64_t)begin.epoch, begin.counter, (int64_t)partition,
                     core->options.sweep_max_items, (int64_t)core->options.sweep_max_percent);
}

static int64_t
sweep_excess_shares(struct ap_core *core, struct ls_seq begin)
{
    return ap_number(core->ledger, 0,
                     "SELECT gone FROM (SELECT count(*) AS total, sum" OLDER
                     " AS gone FROM share WHERE deleted = 0)"
                     " WHERE gone > ?3 AND gone * 100 > total * ?4",
                     "iiii", (int64_t)begin.epoch, begin.counter, core->options.sweep_max_items,
                     (int64_t)core->options.sweep_max_percent);
}

static int64_t
sweep_resources(struct ap_core *core, int32_t partition, struct ls_seq begin)
{
    /* Also those that are half moved away: their other half never came. */
    ap_exec(core->ledger,
            AP_WORK_OPEN
            "1, fileid, storage, 0, ?4, ?4 * 1000, 0, 0, 0 FROM desired"
            " WHERE partition = ?3 AND (deleted = 0 OR moved_to <> ?5) AND" OLDER AP_WAITING_AGAIN,
            "iiiii", (int64_t)begin.epoch, begin.counter, (int64_t)partition, ls_now_ms(),
            LS_NO_STORAGE);
    return ap_exec(core->ledger,
                   "UPDATE desired SET deleted = 1, moved_to = ?4, epoch = ?1, counter = ?2,"
                   " part = 0 WHERE partition = ?3 AND (deleted = 0 OR moved_to <> ?4) AND" OLDER,
                   "iiii", (int64_t)begin.epoch, begin.counter, (int64_t)partition, LS_NO_STORAGE);
}

static int64_t
sweep_shares(struct ap_core *core, struct ls_seq begin)
{
    int64_t ids[256], swept = 0;
    int n;

    do {
        sqlite3_stmt *s =
            ap_query(core->ledger, "SELECT id FROM share WHERE deleted = 0 AND" OLDER " LIMIT 256",
                     "ii", (int64_t)begin.epoch, begin.counter);
        for (n = 0; n < 256 && ap_step(core->ledger, s); n++)
            ids[n] = sqlite3_column_int64(s, 0);
        ap_done(s);
        for (int i = 0; i < n; i++) {
            ap_exec(core->ledger,
                    "UPDATE share SET deleted = 1, epoch = ?, counter = ?, part = 0 WHERE id = ?",
                    "iii", (int64_t)begin.epoch, begin.counter, ids[i]);
            ap_share_details_drop(core, ids[i]);
            ap_share_touch(core, ids[i], ls_now_ms());
            ap_work_open(core->ledger, (struct ap_key){AP_SHARE, ids[i]}, AP_LANE_SHARES,
                         ls_now_ms());
        }
        swept += n;
    } while (n == 256);
    return swept;
}

static int64_t
sweep_trash_infos(struct ap_core *core, int32_t partition, struct ls_seq begin)
{
    return ap_exec(
        core->ledger,
        "UPDATE trashinfo SET deleted = 1 WHERE deleted = 0 AND partition = ?3 AND" OLDER, "iii",
        (int64_t)begin.epoch, begin.counter, (int64_t)partition);
}

/*
 * Done, or left waiting for a word. A bracket speaks for what its table has become, no more: the
 * tables are read one by one upstream, so those that share a topic with it may not have been read
 * as far. `part` says which (see bracket_part).
 */
static void
sweep(struct ap_core *core, const char *topic, int32_t part, struct ls_seq begin)
{
    bool people = strcmp(topic, "cs3.person") == 0, shares = strcmp(topic, "cs3.share") == 0;
    int64_t gone = 0, excess = 0;
    /* An older end once more: nobody knows whether it had its word, and the bracket is the newer
     * one's, which may wait for one. */
    bool older = ap_number(core->ledger, 0,
                           "SELECT 1 FROM bracket WHERE topic = ? AND partition = ?"
                           " AND (epoch, counter) > (?, ?)",
                           "siii", topic, (int64_t)part, (int64_t)begin.epoch, begin.counter) == 1;
    /* The same end once more (its records come again): it had its word, or needed none. */
    bool again = ap_number(core->ledger, 0,
                           "SELECT 1 FROM bracket WHERE topic = ? AND partition = ? AND state = 2"
                           " AND epoch = ? AND counter = ?",
                           "siii", topic, (int64_t)part, (int64_t)begin.epoch, begin.counter) == 1;

    if (again)
        excess = 0;
    else if (strcmp(topic, RESOURCE) == 0)
        excess = sweep_excess(core, part, begin);
    else if (people)
        excess = ap_people_excess(core, (enum cs3_person_type)part, begin);
    else if (shares)
        excess = sweep_excess_shares(core, begin);
    if (excess > 0 && older)
        return; /* the newer end takes them, too */
    if (excess > 0) {
        ap_exec(core->ledger,
                "UPDATE bracket SET state = 3, items = ?, epoch = ?, counter = ? WHERE topic = ?"
                " AND partition = ?",
                "iiisi", excess, (int64_t)begin.epoch, begin.counter, topic, (int64_t)part);
        ls_log(LS_WARN, "sweep-waiting", LS_S("topic", topic), LS_I("partition", part),
               LS_I("items", excess),
               LS_S("option", "apply.sweep_max_percent, apply.sweep_max_items"));
        return;
    }
    if (strcmp(topic, RESOURCE) == 0)
        gone = sweep_resources(core, part, begin);
    else if (strcmp(topic, TRASH) == 0)
        gone = sweep_trash_infos(core, part, begin);
    else if (people)
        gone = ap_people_sweep(core, (enum cs3_person_type)part, begin);
    else if (strcmp(topic, "cs3.annotation") == 0)
        gone = ap_annotations_sweep(core, (enum cs3_annotation_type)part, begin);
    else if (shares)
        gone = sweep_shares(core, begin) + ap_remote_shares_sweep(core, CS3_SHARE_FEDERATED, begin);
    else if (strcmp(topic, AP_BRACKET_RECEIVED) == 0)
        gone = ap_remote_shares_sweep(core, CS3_SHARE_RECEIVED, begin);
    else if (strcmp(topic, AP_BRACKET_TRUSTED) == 0)
        gone = ap_remote_shares_sweep(core, CS3_SHARE_TRUSTED, begin);
    else
        gone = ap_exec(
            core->ledger,
            "UPDATE space SET deleted = 1 WHERE deleted = 0 AND epoch IS NOT NULL AND" OLDER, "ii",
            (int64_t)begin.epoch, begin.counter);
    if (!older)
        ap_exec(core->ledger,
                "UPDATE bracket SET state = 2, ended = 1, items = 0 WHERE topic = ?"
                " AND partition = ?",
                "si", topic, (int64_t)part);
    ap_count(core->ledger, "swept", gone);
    if (gone > 0)
        ls_log(LS_INFO, "sweep", LS_S("topic", topic), LS_I("partition", part),
               LS_I("items", gone));
}

void
ap_sweep_waiting(struct ap_core *core)
{
    struct {
        char topic[32];
        int32_t partition;
        struct ls_seq begin;
    } waiting[256];
    int n = 0;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT topic, partition, epoch, counter FROM bracket"
                               " WHERE state = 3 LIMIT 256",
                               NULL);

    for (; n < 256 && ap_step(core->ledger, s); n++) {
        ap_text(s, 0, waiting[n].topic, sizeof(waiting[n].topic));
        waiting[n].partition = sqlite3_column_int(s, 1);
        waiting[n].begin = (struct ls_seq){sqlite3_column_int(s, 2), sqlite3_column_int64(s, 3), 0};
    }
    ap_done(s);
    for (int i = 0; i < n; i++)
        sweep(core, waiting[i].topic, waiting[i].partition, waiting[i].begin);
    ap_sweep_storages_waiting(core);
}

/* It never goes back, unless capture's clock was set back behind what it had said. */
static void
heartbeat(struct ap_core *core, const struct ap_origin *at, const struct cs3_head *head)
{
    ap_exec(core->ledger,
            "INSERT INTO offset(topic, partition, next, read_us) VALUES(?1, ?2, 0, ?3)"
            " ON CONFLICT(topic, partition) DO UPDATE SET read_us ="
            " CASE WHEN ?4 > 0 AND read_us > ?4 THEN ?3 ELSE max(read_us, ?3) END",
            "siii", at->topic, (int64_t)at->partition, head->source_ts_us, head->capture_ts_us);
}

/* Where a bracket is kept: that of a partition of cs3.resource with it, any other with what it
 * covers, for its topic has one partition. */
static int32_t
bracket_part(const struct ap_origin *at, int sort)
{
    return strcmp(at->topic, RESOURCE) == 0 ? at->partition : sort;
}

static const char *
bracket_topic(const struct ap_origin *at, int sort)
{
    return strcmp(at->topic, RESOURCE) == 0 && sort == CS3_TRASH_INFO ? TRASH : at->topic;
}

bool
ap_take_mark(struct ap_core *core, const struct ap_origin *at, const struct cs3_head *head,
             int sort)
{
    const char *topic = bracket_topic(at, sort);
    int32_t part = bracket_part(at, sort);

    switch (head->kind) {
    case CS3_HEARTBEAT:
        heartbeat(core, at, head);
        return true;
    case CS3_BEGIN:
        ap_exec(core->ledger,
                "INSERT INTO bracket(topic, partition, state, epoch, counter)"
                " VALUES(?1, ?2, 1, ?3, ?4) ON CONFLICT(topic, partition) DO UPDATE SET"
                " state = 1, epoch = ?3, counter = ?4 WHERE (epoch, counter) < (?3, ?4)",
                "siii", topic, (int64_t)part, (int64_t)head->seq.epoch, head->seq.counter);
        if (strcmp(topic, RESOURCE) == 0)
            ap_storage_marks_end(core, at->partition, head->seq);
        return true;
    case CS3_END:
        /* Read once more from the start it finds nothing older that is still there. */
        ap_exec(core->ledger,
                "INSERT INTO bracket(topic, partition, state, epoch, counter)"
                " VALUES(?, ?, 1, ?, ?) ON CONFLICT(topic, partition) DO NOTHING",
                "siii", topic, (int64_t)part, (int64_t)head->begin.epoch, head->begin.counter);
        sweep(core, topic, part, head->begin);
        ap_exec(core->ledger, "UPDATE bracket SET ended = 1 WHERE topic = ? AND partition = ?",
                "si", topic, (int64_t)part);
        if (strcmp(at->topic, RESOURCE) == 0 && !is_gated(core, at->partition) &&
            under_way(core, at->partition, LS_NO_STORAGE).kind == AP_NONE)
            ap_wake(core->ledger, (struct ap_key){AP_PARTITION, at->partition});
        return true;
    case CS3_UPSERT:
    case CS3_DELETE:
        return false;
    }
    return true;
}

/* ---- messages */

static int
decode(const struct ap_origin *at, struct ls_arena *arena, const struct cs3_type **ret_type,
       void **ret, struct ls_err *err)
{
    *ret_type = cs3_type_of(at->topic);
    if (!*ret_type) {
        ls_fail_cause(err, LS_ERR_POISON, EINVAL, "unknown-topic", "there are no records of '%s'",
                      at->topic);
        return -1;
    }
    return cs3_decode(*ret_type, at->value, arena, ret, err);
}

int
ap_head_read(const struct ap_origin *at, struct ls_arena *arena, struct cs3_head *ret,
             struct ls_err *err)
{
    const struct cs3_type *type;
    void *record = NULL;

    if (decode(at, arena, &type, &record, err) < 0)
        return -1;
    *ret = *(const struct cs3_head *)record; /* what each of them begins with */
    return 0;
}

int
ap_take_value(struct ap_core *core, const struct ap_origin *at, struct ls_arena *arena,
              struct ls_err *err)
{
    const struct cs3_type *type;
    void *record = NULL;

    if (decode(at, arena, &type, &record, err) < 0)
        return -1;
    ap_latency_record(core->latency, record); /* each begins with its head */
    if (type == &cs3_resource_type)
        ap_take_resource(core, at, record);
    else if (type == &cs3_space_type_)
        ap_take_space(core, at, record);
    else if (type == &cs3_person_type_)
        ap_take_person(core, at, record);
    else if (type == &cs3_annotation_type_)
        ap_take_annotation(core, at, record);
    else
        ap_take_share(core, at, record);
    ap_latency_record(core->latency, NULL);
    return 0;
}

int
ap_take_message(struct ap_core *core, const struct ls_message *message, const char *topic,
                struct ls_arena *arena, struct ls_err *err)
{
    struct ap_origin at = {topic, message->partition, message->offset, message->value};
    struct ls_err why = {0};
    struct ls_seq seq;
    const struct ls_str *header;

    if (!message->value.p) {
        header = ls_message_header(message, "seq");
        if (header && ls_seq_parse(*header, &seq) == 0)
            ap_take_tombstone(core, &at, message->key, seq);
    } else if (ap_take_value(core, &at, arena, &why) < 0) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        ap_take_malformed(core, &at, message->key, message->value, &why);
    }
    ap_exec(core->ledger,
            "INSERT INTO offset(topic, partition, next) VALUES(?1, ?2, ?3)"
            " ON CONFLICT(topic, partition) DO UPDATE SET next = ?3",
            "sii", topic, (int64_t)message->partition, message->offset + 1);
    return 0;
}
