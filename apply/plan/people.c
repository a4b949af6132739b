/*
 * Users, groups, members, and the spaces of users: their next call.
 *
 * A user who is disabled cannot be acted for, so he is enabled while anything of his is open, and
 * disabled again (or for the first time) when nothing is: that holds for those disabled at the
 * source, and for those deleted there when people.on_delete says "disable". Whoever is named before
 * his record came (as owner, grantee, member) gets an empty row to wait on.
 *
 * With people.match_by = ldap-uuid a user of ownCloud's LDAP is looked for by the id that its
 * mapping gives him, however he is called, and is the directory's: he is never made, renamed,
 * enabled or disabled. Whoever's mapping has not come waits for it. Once found, he is known by the
 * target's id; the writer is told of each who he is. When his mapping names another id he is that
 * one: all of his is looked at anew (reconcile.c). A group with a mapping is found in the same
 * way when something is shared with it, and is as little made, removed or given members. Where its
 * mapping goes, or names another id, the group is another one or none: what was shared with it is
 * taken away, and shared with the one that it is then.
 *
 * A quota is the space's, set with the user's calls. ownCloud lets stay what is beyond a quota, and
 * refuses only what comes; here all comes again, so where the target finds a space full the limit
 * is lifted until everything is in.
 */
#include "apply/core.h"
#include "apply/plan/reconcile.h"
#include "common/log.h"
#include "common/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISABLING 2 /* as applied_enabled */

struct person {
    int64_t id;
    enum cs3_person_type type;
    char uid[256], gid[256], target[AP_ID_SIZE], display_name[512], applied_name[512];
    char mail[512], applied_mail[512], home[4096], quota[64];
    char directory_uuid[256]; /* of a directory's, as the mapping has it */
    bool known, enabled, deleted, applied, applied_enabled;
    bool disabling; /* it was sent to the target, and nobody may act as him any more */
    bool ldap;      /* the directory's: nothing of it is changed at the target */
    bool mapped;    /* ... and there is a mapping */
};

/* Whom the tables of groups do not name is the directory's as well: none such is made here, so none
 * is removed. */
static void
mapping_get(struct ap_core *core, struct person *p)
{
    bool group = p->type == CS3_GROUP;
    sqlite3_stmt *s =
        group
            ? ap_query(core->ledger,
                       "SELECT directory_uuid, deleted FROM ldap_group WHERE name = ?", "s", p->gid)
            : ap_query(core->ledger, "SELECT directory_uuid, deleted FROM ldap WHERE name = ?", "s",
                       p->uid);

    p->mapped = false;
    if (ap_step(core->ledger, s)) {
        ap_text(s, 0, p->directory_uuid, sizeof(p->directory_uuid));
        p->mapped = sqlite3_column_int(s, 1) == 0;
        ap_done(s);
    }
    if (group)
        p->ldap = p->mapped || !p->known ||
                  (p->target[0] && strcasecmp(p->target, p->directory_uuid) == 0);
}

static bool
person_get(struct ap_core *core, int64_t id, struct person *ret)
{
    sqlite3_stmt *s = ap_query(
        core->ledger,
        "SELECT type, uid, gid, target, display_name, applied_name,"
        " epoch IS NOT NULL, enabled, coalesce(deleted, 1), applied,"
        " applied_enabled, mail, home, quota,"
        " " LS_SQL_OF_LDAP("backend") ", address FROM person"
                                      " LEFT JOIN mailed ON mailed.person = id WHERE id = ?",
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
    ret->applied_enabled = sqlite3_column_int(s, 10) == 1;
    ret->disabling = sqlite3_column_int(s, 10) == DISABLING;
    ap_text(s, 11, ret->mail, sizeof(ret->mail));
    ap_text(s, 12, ret->home, sizeof(ret->home));
    ap_text(s, 13, ret->quota, sizeof(ret->quota));
    ret->ldap = core->options.match_ldap && ret->type == CS3_USER && sqlite3_column_int(s, 14) != 0;
    ap_text(s, 15, ret->applied_mail, sizeof(ret->applied_mail));
    ret->directory_uuid[0] = '\0';
    ret->mapped = false;
    ap_done(s);
    if (ret->ldap || (core->options.match_ldap && ret->type == CS3_GROUP))
        mapping_get(core, ret);
    return true;
}

static void
person_into_job(const struct person *p, struct ap_job *job)
{
    memcpy(job->uid, p->uid, sizeof(job->uid));
    memcpy(job->gid, p->gid, sizeof(job->gid));
    memcpy(job->display_name, p->display_name, sizeof(job->display_name));
    memcpy(job->mail, p->mail, sizeof(job->mail));
    job->keep_mail = p->target[0] && strcmp(p->mail, p->applied_mail) == 0;
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
    next->cause = p->known || p->mapped ? "person" : "grantee";
    next->on = (struct ap_key){AP_PERSON, p->id};
}

static void
call(struct ap_next *next, enum ap_call what)
{
    next->verdict = AP_CALL;
    next->op.call = what;
}

/* A call is out that was planned for him to make. */
static bool
is_acting(const struct ap_core *core, const char *uid)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (core->jobs[i]->call >= AP_SHARE_SET && strcmp(core->jobs[i]->sharer, uid) == 0)
            return true;
    return false;
}

/* Something is open that only he can do; what is in trouble of its own has time, but not what waits
 * for him to be enabled. */
static bool
is_busy(struct ap_core *core, const char *uid)
{
    return is_acting(core, uid) ||
           ap_number(core->ledger, 0,
                     "SELECT 1 FROM space s JOIN work w ON w.storage = s.storage WHERE s.owner = ?1"
                     " AND (w.trouble = 0 OR w.state = 2 OR w.cause = 'owner-disabled')"
                     " AND w.kind IN (1, 2, 6, 8) UNION ALL"
                     " SELECT 1 FROM received r JOIN work w ON w.kind = 7 AND w.id = r.id"
                     " WHERE r.uid = ?1 AND (w.trouble = 0 OR w.state = 2 OR"
                     " w.cause = 'owner-disabled') UNION ALL"
                     " SELECT 1 FROM space s JOIN reconcile c ON c.kind = 3 AND c.id = s.storage"
                     " WHERE s.owner = ?1 AND c.state = 0 UNION ALL"
                     " SELECT 1 FROM space WHERE owner = ?1 AND known = 1 AND type = 0"
                     " AND ready = 0 AND deleted = 0 LIMIT 1",
                     "s", uid) == 1;
}

/* ---- quotas */

#define NEVER_SET INT64_MIN
#define QUOTA_UNKNOWN ((int64_t)-2) /* given, and no answer yet */
#define NO_NAME "\001"              /* the same of a name */

/* False for a text that says nothing. */
static bool
quota_read(const struct ap_core *core, const char *text, int64_t *ret)
{
    char *end;
    long long n;

    *ret = core->options.default_quota > 0 ? core->options.default_quota : -1;
    if (!*text)
        return false;
    if (strcmp(text, "default") == 0)
        return true;
    *ret = -1;
    if (strcmp(text, "none") == 0)
        return true;
    n = strtoll(text, &end, 10);
    if (*end || n < 0)
        return false;
    *ret = n;
    return true;
}

/* What ownCloud checks stands in oc_accounts; the preference counts where that says nothing. */
static int64_t
quota_of(struct ap_core *core, const struct person *p)
{
    char text[64] = "";
    int64_t bytes;

    if (quota_read(core, p->quota, &bytes))
        return bytes;
    sqlite3_stmt *s = ap_query(core->ledger,
                               "SELECT quota FROM person WHERE type = 5 AND uid = ?"
                               " AND deleted = 0",
                               "s", p->uid);
    if (ap_step(core->ledger, s)) {
        ap_text(s, 0, text, sizeof(text));
        ap_done(s);
    }
    quota_read(core, text, &bytes);
    return bytes;
}

/* Files wait for room; one that is being tried again, too. */
static bool
is_full(struct ap_core *core, int64_t storage)
{
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM work WHERE state IN (0, 2) AND storage = ? AND kind = 1"
                     " AND cause = 'quota' LIMIT 1",
                     "i", storage) == 1;
}

/* True when the user's space has not the limit that it shall have; the call then. A space that was
 * never given one keeps what the target gave it. */
static bool
quota_next(struct ap_core *core, const struct person *p, struct ap_next *next, struct ap_job *job)
{
    int64_t storage, want = quota_of(core, p), have;
    struct ap_space_row space;
    bool lifted;

    storage = ap_number(core->ledger, 0,
                        "SELECT storage FROM space WHERE owner = ? AND type = 0 AND ready = 1"
                        " AND coalesce(deleted, 0) = 0 ORDER BY storage LIMIT 1",
                        "s", p->uid);
    if (storage == 0 || !ap_space_get(core->ledger, storage, &space))
        return false;
    have = ap_number(core->ledger, NEVER_SET, "SELECT bytes FROM quota WHERE storage = ?", "i",
                     storage);
    if (have == NEVER_SET && want < 0)
        return false;
    lifted = want >= 0 && (is_full(core, storage) || (have == -1 && is_busy(core, p->uid)));
    job->space = space.target;
    job->quota_storage = storage;
    job->quota_bytes = lifted ? -1 : want;
    if (have != job->quota_bytes) {
        call(next, AP_SPACE_QUOTA);
    } else if (lifted) {
        next->verdict = AP_LATER;
        next->cause = "over-quota";
    }
    return next->verdict != AP_EQUAL;
}

/* Before the call, of which the answer may be lost. */
static void
quota_given(struct ap_core *core, const struct ap_job *job)
{
    ap_exec(core->ledger, "INSERT OR REPLACE INTO quota(storage, bytes) VALUES(?, ?)", "ii",
            job->quota_storage, QUOTA_UNKNOWN);
}

void
ap_space_full(struct ap_core *core, int64_t storage)
{
    struct ap_space_row space;

    if (ap_space_get(core->ledger, storage, &space) && space.owner[0])
        ap_work_open(core->ledger,
                     (struct ap_key){AP_PERSON, ap_person_find(core, CS3_USER, space.owner, "")},
                     AP_LANE_PEOPLE, ls_now_ms());
}

/* A quota of the preferences: done with its user. */
static void
preference_next(struct ap_core *core, const struct person *p, struct ap_next *next,
                struct ap_job *job)
{
    struct person user = {0};

    person_get(core, ap_person_find(core, CS3_USER, p->uid, ""), &user);
    if (!user.target[0] || user.deleted || !quota_next(core, &user, next, job))
        return;
    wait_person(next, &user);
    next->cause = "person";
}

/* ---- users of the directory */

bool
ap_person_is_ldap(struct ap_core *core, int64_t id)
{
    struct person p;

    return core->options.match_ldap && person_get(core, id, &p) && p.ldap;
}

bool
ap_person_is_mapped(struct ap_core *core, int64_t id)
{
    struct person p;

    return core->options.match_ldap && person_get(core, id, &p) && p.mapped;
}

void
ap_person_match(struct ap_core *core, int64_t id)
{
    struct ls_err err = {0};
    struct person p;

    if (!core->options.match_ldap || !core->writer->ops->user_match || !person_get(core, id, &p) ||
        p.type != CS3_USER)
        return;
    if (core->writer->ops->user_match(core->writer, p.uid,
                                      p.ldap    ? p.target
                                      : p.known ? NULL
                                                : "",
                                      &err) < 0) {
        err.kind = LS_ERR_FATAL; /* he could be taken for somebody else */
        core->fatal = err;
    }
}

void
ap_people_match(struct ap_core *core)
{
    int64_t ids[64], last = 0;
    int n = core->options.match_ldap ? 1 : 0;

    while (n > 0) {
        sqlite3_stmt *s = ap_query(core->ledger,
                                   "SELECT id FROM person WHERE type = 0 AND id > ? ORDER BY id"
                                   " LIMIT 64",
                                   "i", last);
        for (n = 0; n < 64 && ap_step(core->ledger, s); n++)
            ids[n] = sqlite3_column_int64(s, 0);
        if (n == 64)
            ap_done(s);
        for (int i = 0; i < n; i++)
            ap_person_match(core, ids[i]);
        last = n > 0 ? ids[n - 1] : last;
    }
}

/* Found by another id than the mapping has now. (The target may write the same one otherwise.) */
static bool
is_mapped_anew(const struct person *p)
{
    return p->target[0] && p->mapped && strcasecmp(p->target, p->directory_uuid) != 0 &&
           strcasecmp(p->applied_name, p->directory_uuid) != 0;
}

/* Found by the mapping's id, or waited for. */
static void
directory_look(const struct person *p, struct ap_next *next, struct ap_job *job)
{
    if (p->mapped && p->directory_uuid[0]) {
        memcpy(job->directory_uuid, p->directory_uuid, sizeof(job->directory_uuid));
        call(next, p->type == CS3_GROUP ? AP_GROUP_ENSURE : AP_USER_ENSURE);
    } else {
        next->verdict = AP_WAIT;
        next->cause = "unmapped";
    }
}

static void
directory_user_next(struct ap_core *core, const struct person *p, struct ap_next *next,
                    struct ap_job *job)
{
    if (p->deleted)
        return;
    if (is_mapped_anew(p)) {
        ls_log(LS_WARN, "user-mapped-anew", LS_S("user", p->uid), LS_S("was", p->target),
               LS_S("is", p->directory_uuid));
        ap_user_forget(core, p->id, p->uid);
        directory_look(p, next, job);
    } else if (!p->target[0]) {
        directory_look(p, next, job);
    } else if (quota_next(core, p, next, job) && next->verdict == AP_CALL) {
        quota_given(core, job);
    }
}

/* ownCloud shows the uid of who has no name. Who never had one keeps what the target calls him. */
static const char *
name_wanted(const struct person *p)
{
    bool had = p->applied_name[0] && strcmp(p->applied_name, NO_NAME) != 0;

    return p->display_name[0] || !had ? p->display_name : p->uid;
}

/* A deleted user of whom the target has made somebody else: oCIS takes "Ann" and "ann" for one.
 * Whether he is enabled is the living one's to say. */
static bool
is_on(struct ap_core *core, const struct person *p)
{
    int64_t heir = p->deleted && p->target[0]
                       ? ap_number(core->ledger, -1,
                                   "SELECT coalesce(enabled, 0) FROM person WHERE target = ?"
                                   " AND id <> ? AND type = 0 AND deleted = 0",
                                   "si", p->target, p->id)
                       : -1;

    return heir >= 0 ? heir != 0 : p->enabled && !(p->deleted && core->options.disable_deleted);
}

/* Of two calls that are out for one account, nobody knows which one came last. */
static bool
is_being_enabled(const struct ap_core *core, const struct person *p)
{
    for (int i = 0; i < core->n_jobs; i++)
        if (core->jobs[i]->call == AP_USER_ENABLE && core->jobs[i]->who.id != p->id &&
            strcmp(core->jobs[i]->person_id, p->target) == 0)
            return true;
    return false;
}

/* What is planned while it is on its way finds him disabled. */
static void
enable_next(struct ap_core *core, const struct person *p, struct ap_next *next,
            const struct ap_job *job)
{
    if (is_being_enabled(core, p)) {
        next->verdict = AP_LATER;
        next->cause = "drain";
        return;
    }
    if (!job->enabled && p->applied_enabled)
        ap_exec(core->ledger, "UPDATE person SET applied_enabled = ? WHERE id = ?", "ii",
                (int64_t)DISABLING, p->id);
    call(next, AP_USER_ENABLE);
}

/* Which call it was that nobody saw the answer of, the ledger does not say. So the name and the
 * quota are forgotten before they are given; whether he is enabled others go by, so that is kept,
 * and said again before all else. */
static void
user_next(struct ap_core *core, const struct person *p, bool doubt, struct ap_next *next,
          struct ap_job *job)
{
    const char *name = name_wanted(p);
    bool busy, on;

    if (p->ldap) {
        directory_user_next(core, p, next, job);
        return;
    }
    if (p->deleted && !p->target[0])
        return;
    busy = is_busy(core, p->uid);
    on = is_on(core, p);
    job->enabled = busy || on;
    if (p->target[0] && doubt) {
        enable_next(core, p, next, job);
    } else if (!p->target[0] ||
               (!p->deleted && (strcmp(name, p->applied_name) != 0 || !job->keep_mail))) {
        job->enabled = true;
        snprintf(job->display_name, sizeof(job->display_name), "%s", name);
        ap_exec(core->ledger, "UPDATE person SET applied_name = ? WHERE id = ?", "si", NO_NAME,
                p->id);
        call(next, AP_USER_ENSURE);
    } else if (job->enabled != p->applied_enabled || p->disabling) {
        enable_next(core, p, next, job);
    } else if (busy && !on) {
        next->verdict = AP_LATER;
        next->cause = "drain";
    } else if (!p->deleted && quota_next(core, p, next, job) && next->verdict == AP_CALL) {
        quota_given(core, job);
    }
}

/* Nobody is a member of it any more. What was shared with it stays on record, by the target's id
 * of the share, to be removed with its rows or before it is shared anew. */
static void
group_gone(struct ap_core *core, const char *gid)
{
    ap_exec(core->ledger, "UPDATE person SET applied = 0 WHERE type = 2 AND gid = ?", "s", gid);
    ap_exec(core->ledger, "UPDATE grants SET permissions = ? WHERE type = 1 AND grantee = ?", "is",
            AP_OTHER_GRANTEE, gid);
}

/* What was shared with it is given anew, or taken away. */
static void
group_grants_open(struct ap_core *core, const char *gid)
{
    ap_exec(core->ledger,
            AP_WORK_OPEN "6, id, storage, 0, ?2, ?2 * 1000, 0, 0, 0 FROM grants WHERE type = 1"
                         " AND grantee = ?1 AND share_id <> ''" AP_UNLESS_OPEN,
            "si", gid, ls_now_ms());
}

static void
directory_group_next(struct ap_core *core, const struct person *p, struct ap_next *next,
                     struct ap_job *job)
{
    bool there = p->target[0] != '\0';

    if (there && (!p->mapped || is_mapped_anew(p))) {
        ap_exec(core->ledger, "UPDATE person SET target = NULL WHERE id = ?", "i", p->id);
        group_gone(core, p->gid);
        group_grants_open(core, p->gid);
        job->group_id[0] = '\0';
        there = false;
    }
    if (!there && p->mapped)
        directory_look(p, next, job);
}

/* A group that may have been removed already is looked for, and made again. */
static void
group_next(struct ap_core *core, const struct person *p, bool doubt, struct ap_next *next,
           struct ap_job *job)
{
    if (p->ldap)
        directory_group_next(core, p, next, job);
    else if (p->deleted && p->target[0])
        call(next, AP_GROUP_REMOVE);
    else if (!p->deleted && (!p->target[0] || doubt))
        call(next, AP_GROUP_ENSURE);
}

static void
member_next(struct ap_core *core, const struct person *p, bool doubt, struct ap_next *next,
            struct ap_job *job)
{
    struct person user = {0}, group = {0};

    person_get(core, ap_person_find(core, CS3_USER, p->uid, ""), &user);
    person_get(core, ap_person_find(core, CS3_GROUP, "", p->gid), &group);
    if (group.mapped ||                       /* who is in it, the directory says */
        (!doubt && p->deleted != p->applied)) /* gone and not there, or wanted and there */
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
        user_next(core, &p, work->doubt, next, job);
    else if (p.type == CS3_MEMBER)
        member_next(core, &p, work->doubt, next, job);
    else if (p.type == CS3_QUOTA)
        preference_next(core, &p, next, job);
    else
        group_next(core, &p, work->doubt, next, job);
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
    memcpy(job->person_id, p.target, sizeof(job->person_id));
    call(next, AP_SPACE_ENSURE);
}

/* Who shall be in it comes into it anew. */
static void
members_open(struct ap_core *core, const char *gid)
{
    ap_exec(core->ledger,
            AP_WORK_OPEN "4, id, ?2, 0, ?3, ?3 * 1000, 0, 0, 0 FROM person WHERE type = 2"
                         " AND gid = ?1 AND deleted = 0" AP_UNLESS_OPEN,
            "sii", gid, (int64_t)AP_LANE_PEOPLE, ls_now_ms());
}

/* Another group than it was. It was removed, and its answer lost; or what is for the new one had
 * come before the answer, and had been given to the old one. */
static void
group_made(struct ap_core *core, const struct ap_job *job)
{
    if (strcmp(job->group_id, job->person.id) == 0)
        return;
    if (job->group_id[0])
        group_gone(core, job->gid);
    members_open(core, job->gid);
    group_grants_open(core, job->gid);
}

/* Who or what the call was for may have become another one while it was out: then it is made once
 * more, for that one. */
static bool
is_still(struct ap_core *core, const char *kind, const char *name, const char *target)
{
    return ap_number(core->ledger, 0, "SELECT 1 FROM person WHERE key = ? || ? AND target = ?",
                     "sss", kind, name, target) == 1;
}

/* Who was somebody else until now is enabled or not as that one was. */
static void
user_taken_over(struct ap_core *core, const struct ap_job *job)
{
    int64_t was = ap_number(core->ledger, -1,
                            "SELECT min(applied_enabled = 1) FROM person WHERE target = ?"
                            " AND id <> ? AND type = 0",
                            "si", job->person.id, job->who.id);

    if (was >= 0)
        ap_exec(core->ledger, "UPDATE person SET applied_enabled = ? WHERE id = ?", "ii", was,
                job->who.id);
}

/* One of a directory has the address that stands there. */
static void
user_mailed(struct ap_core *core, const struct ap_job *job)
{
    if (!job->keep_mail && !job->directory_uuid[0])
        ap_exec(core->ledger, "INSERT OR REPLACE INTO mailed(person, address) VALUES(?, ?)", "is",
                job->who.id, job->mail);
}

void
ap_people_settled(struct ap_core *core, const struct ap_job *job)
{
    bool enabled;

    switch (job->call) {
    case AP_USER_ENSURE:
    case AP_GROUP_ENSURE:
        if (job->call == AP_GROUP_ENSURE)
            group_made(core, job);
        ap_exec(core->ledger, "UPDATE person SET target = ?, applied_name = ? WHERE id = ?", "ssi",
                job->person.id, job->directory_uuid[0] ? job->directory_uuid : job->display_name,
                job->who.id);
        if (job->call == AP_USER_ENSURE) {
            user_taken_over(core, job);
            ap_person_match(core, job->who.id);
            user_mailed(core, job);
        }
        break;
    case AP_USER_ENABLE:
        ap_exec(core->ledger,
                "UPDATE person SET applied_enabled = ?1 WHERE id = ?2"
                " OR (target = ?3 AND type = 0)",
                "iis", (int64_t)job->enabled, job->who.id, job->person_id);
        break;
    case AP_GROUP_REMOVE:
        ap_removed_keep(core, job->who, job->group_id, LS_NO_STORAGE, false);
        ap_exec(core->ledger, "UPDATE person SET target = NULL WHERE id = ?", "i", job->who.id);
        group_gone(core, job->gid);
        break;
    case AP_MEMBER_SET:
        enabled = job->enabled && is_still(core, "u:", job->uid, job->person_id) &&
                  is_still(core, "g:", job->gid, job->group_id);
        ap_exec(core->ledger, "UPDATE person SET applied = ? WHERE id = ?", "ii", (int64_t)enabled,
                job->who.id);
        if (enabled)
            ap_member_touch(core, job->uid, job->gid);
        break;
    case AP_SPACE_ENSURE:
        if (!is_still(core, "u:", job->uid, job->person_id))
            break;
        ap_exec(core->ledger,
                "UPDATE space SET storage_id = ?, space_id = ?, root_id = ?, ready = 1"
                " WHERE storage = ?",
                "sssi", job->made.storage_id, job->made.space_id, job->made.root_id, job->who.id);
        ap_exec(core->ledger, "DELETE FROM quota WHERE storage = ?", "i", job->who.id);
        ap_work_open(core->ledger,
                     (struct ap_key){AP_PERSON, ap_person_find(core, CS3_USER, job->uid, "")},
                     AP_LANE_PEOPLE, ls_now_ms());
        break;
    case AP_SPACE_QUOTA:
        ap_exec(core->ledger, "INSERT OR REPLACE INTO quota(storage, bytes) VALUES(?, ?)", "ii",
                job->quota_storage, job->quota_bytes);
        /* and so the preference's row, which waits for it, is applied, too */
        ap_exec(core->ledger,
                "UPDATE work SET did = 1 WHERE kind = 4 AND id = (SELECT id FROM person"
                " WHERE key = 'q:' || ?)",
                "s", job->uid);
        break;
    default:
        break;
    }
}
