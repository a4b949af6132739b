/*
 * Users, groups, members, and the spaces of users: their next call.
 *
 * A user who is disabled cannot be acted for, so he is enabled while anything of his is open, and
 * disabled again (or for the first time) when nothing is: that holds for those disabled at the
 * source, and for those deleted there when people.on_delete says "disable". Whoever is named before
 * his record came (as owner, grantee, member) gets an empty row to wait on.
 */
#include "apply/core.h"
#include "common/run.h"
#include <stdio.h>
#include <string.h>

struct person {
    int64_t id;
    enum cs3_person_type type;
    char uid[256], gid[256], target[AP_ID_SIZE], display_name[512], applied_name[512];
    char mail[512], home[4096], quota[64];
    bool known, enabled, deleted, applied, applied_enabled;
};

static bool
person_get(struct ap_core *core, int64_t id, struct person *ret)
{
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT type, uid, gid, target, display_name, applied_name,"
                               " epoch IS NOT NULL, enabled, coalesce(deleted, 1), applied,"
                               " applied_enabled, mail, home, quota FROM person WHERE id = ?",
                               "i", id);
    if (!ap_step(core->ledger, s))
        return false;
    ret->id = id;
    ret->type = (enum cs3_person_type)sqlite3_column_int(s, 0);
    ap_text(s, 1, ret->uid, sizeof(ret->uid));
    ap_text(s, 2, ret->gid, sizeof(ret->gid));
    ap_text(s, 3, ret->target, sizeof(ret->target));
    ap_text(s, 4, ret->display_name, sizeof(ret->display_name));
    ap_text(s, 5, ret->applied_name, sizeof(ret->applied_name));
    ret->known = sqlite3_column_int(s, 6) != 0;
    ret->enabled = sqlite3_column_int(s, 7) != 0;
    ret->deleted = sqlite3_column_int(s, 8) != 0;
    ret->applied = sqlite3_column_int(s, 9) != 0;
    ret->applied_enabled = sqlite3_column_int(s, 10) != 0;
    ap_text(s, 11, ret->mail, sizeof(ret->mail));
    ap_text(s, 12, ret->home, sizeof(ret->home));
    ap_text(s, 13, ret->quota, sizeof(ret->quota));
    ap_done(s);
    return true;
}

static void
person_into_job(const struct person *p, struct ap_job *job)
{
    memcpy(job->uid, p->uid, sizeof(job->uid));
    memcpy(job->gid, p->gid, sizeof(job->gid));
    memcpy(job->display_name, p->display_name, sizeof(job->display_name));
    memcpy(job->mail, p->mail, sizeof(job->mail));
    memcpy(job->user_home, p->home, sizeof(job->user_home));
    memcpy(job->quota, p->quota, sizeof(job->quota));
    memcpy(job->person_id, p->target, sizeof(job->person_id));
    memcpy(job->group_id, p->target, sizeof(job->group_id));
    job->enabled = true;
}

int64_t
ap_person_find(struct ap_core *core, enum cs3_person_type type, const char *uid, const char *gid)
{
    char key[600];

    if (type == CS3_MEMBER)
        snprintf(key, sizeof(key), "m:%s\001%s", gid, uid);
    else
        snprintf(key, sizeof(key), "%c:%s", type == CS3_USER ? 'u' : 'g',
                 type == CS3_USER ? uid : gid);
    ap_exec(core->ledger,
            "INSERT INTO person(key, type, uid, gid, deleted) VALUES(?, ?, ?, ?, 1)"
            " ON CONFLICT(key) DO NOTHING",
            "siss", key, (int64_t)type, uid, gid);
    return ap_number(core->ledger, 0, "SELECT id FROM person WHERE key = ?", "s", key);
}

static void
wait_person(struct ap_next *next, const struct person *p)
{
    next->verdict = AP_WAIT;
    next->cause = p->known ? "person" : "grantee";
    next->on = (struct ap_key){AP_PERSON, p->id};
}

static void
call(struct ap_next *next, enum ap_call what)
{
    next->verdict = AP_CALL;
    next->op.call = what;
}

/* Something is open that only he can do. */
static bool
is_busy(struct ap_core *core, const char *uid)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM space s JOIN work w ON w.storage = s.storage"
                     " WHERE s.owner = ?1 AND w.trouble = 0 AND w.kind IN (1, 2, 6, 8) UNION ALL"
                     " SELECT 1 FROM received r JOIN work w ON w.kind = 7 AND w.id = r.id"
                     " WHERE r.uid = ?1 AND w.trouble = 0 UNION ALL"
                     " SELECT 1 FROM space WHERE owner = ?1 AND known = 1 AND type = 0"
                     " AND ready = 0 AND deleted = 0 LIMIT 1",
                     "s", uid) == 1;
}

static void
user_next(struct ap_core *core, const struct person *p, struct ap_next *next, struct ap_job *job)
{
    bool busy, on = p->enabled && !(p->deleted && core->options.disable_deleted);

    if (p->deleted && !p->target[0])
        return;
    if (!p->target[0] || (!p->deleted && strcmp(p->display_name, p->applied_name) != 0)) {
        call(next, AP_USER_ENSURE);
        return;
    }
    busy = is_busy(core, p->uid);
    job->enabled = busy || on;
    if (job->enabled != p->applied_enabled) {
        call(next, AP_USER_ENABLE);
    } else if (busy && !on) {
        next->verdict = AP_LATER;
        next->cause = "drain";
    }
}

static void
member_next(struct ap_core *core, const struct person *p, struct ap_next *next, struct ap_job *job)
{
    struct person user = {0}, group = {0};

    person_get(core, ap_person_find(core, CS3_USER, p->uid, ""), &user);
    person_get(core, ap_person_find(core, CS3_GROUP, "", p->gid), &group);
    if (p->deleted != p->applied) /* both: gone and not there, or wanted and there */
        return;
    if (p->deleted && (!user.target[0] || !group.target[0]))
        return;
    if (!user.target[0] || !group.target[0]) {
        wait_person(next, user.target[0] ? &group : &user);
        return;
    }
    memcpy(job->person_id, user.target, sizeof(user.target));
    memcpy(job->group_id, group.target, sizeof(group.target));
    job->enabled = !p->deleted;
    call(next, AP_MEMBER_SET);
}

void
ap_person_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
               struct ap_job *job)
{
    struct person p;

    if (!person_get(core, work->key.id, &p))
        return;
    person_into_job(&p, job);
    if (p.type == CS3_USER)
        user_next(core, &p, next, job);
    else if (p.type == CS3_MEMBER)
        member_next(core, &p, next, job);
    else if (p.deleted && p.target[0])
        call(next, AP_GROUP_REMOVE);
    else if (!p.deleted && !p.target[0])
        call(next, AP_GROUP_ENSURE);
}

void
ap_space_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
              struct ap_job *job)
{
    struct ap_space_row space;
    struct person p = {0};

    if (!ap_space_get(core->ledger, work->key.id, &space) || space.ready || !space.known ||
        space.type != CS3_SPACE_PERSONAL)
        return;
    if (ap_number(core->ledger, 0, "SELECT deleted FROM space WHERE storage = ?", "i",
                  space.storage) == 1)
        return;
    person_get(core, ap_person_find(core, CS3_USER, space.owner, ""), &p);
    if (!p.target[0]) {
        wait_person(next, &p);
        return;
    }
    if (!p.applied_enabled) {
        wait_person(next, &p);
        next->cause = "owner-disabled";
        return;
    }
    memcpy(job->uid, space.owner, sizeof(job->uid));
    call(next, AP_SPACE_ENSURE);
}

void
ap_people_settled(struct ap_core *core, const struct ap_job *job)
{
    switch (job->call) {
    case AP_USER_ENSURE:
    case AP_GROUP_ENSURE:
        ap_exec(core->ledger, "UPDATE person SET target = ?, applied_name = ? WHERE id = ?", "ssi",
                job->person.id, job->display_name, job->who.id);
        break;
    case AP_USER_ENABLE:
        ap_exec(core->ledger, "UPDATE person SET applied_enabled = ? WHERE id = ?", "ii",
                (int64_t)job->enabled, job->who.id);
        break;
    case AP_GROUP_REMOVE:
        ap_exec(core->ledger, "UPDATE person SET target = NULL WHERE id = ?", "i", job->who.id);
        ap_exec(core->ledger, "UPDATE person SET applied = 0 WHERE type = 2 AND gid = ?", "s",
                job->gid);
        ap_exec(core->ledger, "UPDATE grants SET share_id = '' WHERE type = 1 AND grantee = ?", "s",
                job->gid);
        break;
    case AP_MEMBER_SET:
        ap_exec(core->ledger, "UPDATE person SET applied = ? WHERE id = ?", "ii",
                (int64_t)job->enabled, job->who.id);
        if (job->enabled)
            ap_member_touch(core, job->uid, job->gid);
        break;
    case AP_SPACE_ENSURE:
        ap_exec(core->ledger,
                "UPDATE space SET storage_id = ?, space_id = ?, root_id = ?, ready = 1"
                " WHERE storage = ?",
                "sssi", job->made.storage_id, job->made.space_id, job->made.root_id, job->who.id);
        break;
    default:
        break;
    }
}
