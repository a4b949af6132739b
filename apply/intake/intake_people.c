/*
 * Records of cs3.person into the ledger.
 *
 * Users, groups, members and quotas are open entities: something is done for them. LDAP mappings
 * are kept to find users and groups by (people.match_by), else counted as left, as local accounts
 * are: no interface of oCIS takes a password's hash. The hash itself is not kept, the topic has it.
 * What can go wrong: two rows of different tables that name one user must never be one row here, so
 * each type has keys or a table of its own; and a sweep must not reach beyond its table.
 */
#include "apply/core.h"
#include "common/run.h"
#include <stdio.h>

static bool
too_long(struct ls_str s, size_t room)
{
    return s.p && s.n >= room;
}

static void
person_key(const struct cs3_person *r, char *out, size_t size)
{
    struct ls_str a = r->type == CS3_USER || r->type == CS3_QUOTA ? r->uid : r->gid, b = r->uid;

    if (r->type == CS3_MEMBER) /* a NUL cannot stand in either name; 1 stands for it */
        snprintf(out, size, "m:%.*s\001%.*s", (int)a.n, a.p ? a.p : "", (int)b.n, b.p ? b.p : "");
    else
        snprintf(out, size, "%c:%.*s",
                 r->type == CS3_USER    ? 'u'
                 : r->type == CS3_QUOTA ? 'q'
                                        : 'g',
                 (int)a.n, a.p ? a.p : "");
}

/* ---- kept only */

static void
take_credential(struct ap_core *core, const struct cs3_person *r)
{
    struct ls_seq seq = r->head.seq;

    if (ap_is_newer(core,
                    ap_query(core->ledger,
                             "SELECT epoch, counter, part FROM credential WHERE uid = ?", "t",
                             &r->uid),
                    seq)) {
        ap_superseded(core);
        return;
    }
    ap_exec(core->ledger,
            "INSERT OR REPLACE INTO credential(uid, display_name, algorithm, reset, epoch, counter,"
            " part, deleted) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            "tttiiiii", &r->uid, &r->display_name, &r->password_algorithm,
            (int64_t)r->password_reset, (int64_t)seq.epoch, seq.counter, (int64_t)seq.part,
            (int64_t)(r->head.kind == CS3_DELETE));
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, "left:credential", 1);
}

/* The ledger's tables of mappings: of users and of groups, who may have the same names. */
#define OF_GROUPS(type) ((type) == CS3_LDAP_GROUP)
#define MAPPING_SQL(type, before, after)                                                           \
    (OF_GROUPS(type) ? before " ldap_group" after : before " ldap" after)

static void
take_ldap(struct ap_core *core, const struct cs3_person *r)
{
    struct ls_str name = OF_GROUPS(r->type) ? r->gid : r->uid;
    struct ls_seq seq = r->head.seq;
    int64_t id;

    if (ap_is_newer(
            core,
            ap_query(core->ledger,
                     MAPPING_SQL(r->type, "SELECT epoch, counter, part FROM", " WHERE name = ?"),
                     "t", &name),
            seq)) {
        ap_superseded(core);
        return;
    }
    /* a deletion names no id; what was found by the last one is known by it still */
    ap_exec(core->ledger,
            MAPPING_SQL(r->type, "INSERT INTO",
                        "(name, dn, directory_uuid, epoch, counter, part, deleted)"
                        " VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET"
                        " dn = excluded.dn, epoch = excluded.epoch, counter = excluded.counter,"
                        " part = excluded.part, deleted = excluded.deleted, directory_uuid ="
                        " CASE excluded.deleted WHEN 0 THEN excluded.directory_uuid"
                        " ELSE directory_uuid END"),
            "tttiiii", &name, &r->dn, &r->directory_uuid, (int64_t)seq.epoch, seq.counter,
            (int64_t)seq.part, (int64_t)(r->head.kind == CS3_DELETE));
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, core->options.match_ldap ? "applied" : "left:ldap", 1);
    id = core->options.match_ldap
             ? ap_number(core->ledger, 0, "SELECT id FROM person WHERE key = ? || ?", "st",
                         OF_GROUPS(r->type) ? "g:" : "u:", &name)
             : 0;
    if (id) { /* somebody may have waited for it */
        ap_work_open(core->ledger, (struct ap_key){AP_PERSON, id}, AP_LANE_PEOPLE, ls_now_ms());
        ap_wake(core->ledger, (struct ap_key){AP_PERSON, id});
    }
}

/* ---- people */

/* As people.c reads it; null for a text that says nothing. */
static struct ls_str
quota_text(const struct cs3_person *r, char *out, size_t size)
{
    if (r->quota_kind == CS3_QUOTA_UNSET)
        return LS_STR_NULL;
    if (r->quota_kind == CS3_QUOTA_BYTES)
        snprintf(out, size, "%lld", (long long)r->quota_bytes);
    else
        snprintf(out, size, "%s", r->quota_kind == CS3_QUOTA_NONE ? "none" : "default");
    return ls_str_of(out);
}

static void
person_upsert(struct ap_core *core, const struct cs3_person *r, const char *key)
{
    struct ls_seq seq = r->head.seq;
    char text[32], uid[256], gid[256];
    struct ls_str quota = quota_text(r, text, sizeof(text));
    /* a member again before he was taken out: what came meanwhile was not given to him */
    bool again = r->type == CS3_MEMBER &&
                 ap_number(core->ledger, 0,
                           "SELECT 1 FROM person WHERE key = ? AND deleted = 1 AND applied = 1"
                           " AND epoch IS NOT NULL",
                           "s", key) == 1;

    ap_exec(core->ledger,
            "UPDATE person SET deleted = 0, display_name = ?, mail = ?, home = ?, backend = ?,"
            " quota = ?, enabled = ?, epoch = ?, counter = ?, part = ? WHERE key = ?",
            "tttttiiiis", &r->display_name, &r->mail, &r->home, &r->backend, &quota,
            (int64_t)r->enabled, (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, key);
    if (again) {
        snprintf(uid, sizeof(uid), "%.*s", (int)r->uid.n, r->uid.p ? r->uid.p : "");
        snprintf(gid, sizeof(gid), "%.*s", (int)r->gid.n, r->gid.p ? r->gid.p : "");
        ap_member_touch(core, uid, gid);
    }
}

void
ap_take_person(struct ap_core *core, const struct ap_origin *at, const struct cs3_person *r)
{
    struct ls_seq seq = r->head.seq;
    char key[600];
    int64_t id;

    if (ap_take_mark(core, at, &r->head, (int)r->type))
        return;
    if (r->type == CS3_CREDENTIAL) {
        take_credential(core, r);
        return;
    }
    if (r->type == CS3_LDAP || r->type == CS3_LDAP_GROUP) {
        take_ldap(core, r);
        return;
    }
    if (too_long(r->uid, 256) || too_long(r->gid, 256) || too_long(r->display_name, 512) ||
        too_long(r->mail, 512) || too_long(r->home, 4096)) {
        ap_take_too_long(core, at, 0);
        return;
    }
    person_key(r, key, sizeof(key));
    if (ap_is_newer(core,
                    ap_query(core->ledger, "SELECT epoch, counter, part FROM person WHERE key = ?",
                             "s", key),
                    seq)) {
        ap_superseded(core);
        return;
    }
    ap_exec(
        core->ledger,
        "INSERT INTO person(key, type, uid, gid) VALUES(?, ?, ?, ?) ON CONFLICT(key) DO NOTHING",
        "sitt", key, (int64_t)r->type, &r->uid, &r->gid);
    if (r->head.kind == CS3_DELETE)
        ap_exec(core->ledger,
                "UPDATE person SET deleted = 1, epoch = ?, counter = ?, part = ? WHERE key = ?",
                "iiis", (int64_t)seq.epoch, seq.counter, (int64_t)seq.part, key);
    else
        person_upsert(core, r, key);
    id = ap_number(core->ledger, 0, "SELECT id FROM person WHERE key = ?", "s", key);
    if (r->type == CS3_USER)
        ap_person_match(core, id);
    ap_work_record(core->ledger, (struct ap_key){AP_PERSON, id}, AP_LANE_PEOPLE,
                   r->head.source_ts_us, ls_now_ms());
    ap_wake(core->ledger, (struct ap_key){AP_PERSON, id});
}

/* ---- sweeps */

#define SWEPT " SET deleted = 1, epoch = ?1, counter = ?2, part = 0"
#define TOO_MANY " WHERE gone > ?3 AND gone * 100 > total * ?4"
#define OLDER " (epoch < ?1 OR (epoch = ?1 AND counter < ?2))"

int64_t
ap_people_excess(struct ap_core *core, enum cs3_person_type type, struct ls_seq begin)
{
    bool shares = OF_GROUPS(type) && core->options.match_ldap; /* hang on them */

    /* of those that are only kept nothing is at the target that could be lost */
    return ap_number(core->ledger, 0,
                     shares ? "SELECT gone FROM (SELECT count(*) AS total, sum" OLDER
                              " AS gone FROM ldap_group WHERE deleted = 0 AND ?5 >= 0)" TOO_MANY
                            : "SELECT gone FROM (SELECT count(*) AS total, sum" OLDER
                              " AS gone FROM person WHERE deleted = 0 AND epoch IS NOT NULL"
                              " AND type = ?5)" TOO_MANY,
                     "iiiii", (int64_t)begin.epoch, begin.counter, core->options.sweep_max_items,
                     (int64_t)core->options.sweep_max_percent, (int64_t)type);
}

int64_t
ap_people_sweep(struct ap_core *core, enum cs3_person_type type, struct ls_seq begin)
{
    if (type == CS3_CREDENTIAL)
        return ap_exec(core->ledger, "UPDATE credential" SWEPT " WHERE deleted = 0 AND" OLDER, "ii",
                       (int64_t)begin.epoch, begin.counter);
    if (OF_GROUPS(type) && core->options.match_ldap)
        ap_exec(core->ledger,
                AP_WORK_OPEN "4, id, ?4, 0, ?3, ?3 * 1000, 0, 0, 0 FROM person WHERE type = 1"
                             " AND gid IN (SELECT name FROM ldap_group WHERE deleted = 0"
                             " AND" OLDER ")" AP_WAITING_AGAIN,
                "iiii", (int64_t)begin.epoch, begin.counter, ls_now_ms(), (int64_t)AP_LANE_PEOPLE);
    if (type == CS3_LDAP || OF_GROUPS(type))
        return ap_exec(core->ledger,
                       MAPPING_SQL(type, "UPDATE", SWEPT " WHERE deleted = 0 AND" OLDER), "ii",
                       (int64_t)begin.epoch, begin.counter);
    ap_exec(core->ledger,
            AP_WORK_OPEN "4, id, ?4, 0, ?3, ?3 * 1000, 0, 0, 0 FROM person"
                         " WHERE deleted = 0 AND type = ?5 AND" OLDER AP_WAITING_AGAIN,
            "iiiii", (int64_t)begin.epoch, begin.counter, ls_now_ms(), (int64_t)AP_LANE_PEOPLE,
            (int64_t)type);
    return ap_exec(core->ledger, "UPDATE person" SWEPT " WHERE deleted = 0 AND type = ?3 AND" OLDER,
                   "iii", (int64_t)begin.epoch, begin.counter, (int64_t)type);
}
