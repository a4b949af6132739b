/*
 * People and their spaces, for the writer `ocis-api`.
 *
 * A user is found by name and made where people.mode says so. A disabled user cannot be
 * impersonated, yet his files go on living at the source (shares into them, the trash's expiry):
 * for a sign-in he is enabled for a moment, and nobody else may change him meanwhile. His token
 * then lasts for hours. In mode `match` accounts, groups and members are the admin's business:
 * nothing is changed at Graph. The account that signs in there is never changed in any mode: it
 * may be in the source, too, and whoever disabled it would have locked us out.
 *
 * A user or group of a directory (people.match_by) is found by the id that it has there, in any
 * mode, and is the directory's: not made, renamed, enabled or given members.
 *
 * oCIS gives a role to whoever signs in for the first time, and a space to nobody without one. So
 * that files can come before their owner does, who has none gets that role here, in any mode: a
 * directory's user, and one of ours, too: Graph gives it after it has made him, unless its caller
 * has gone by then.
 */
#include "apply/ocis/ocis_api.h"
#include "common/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *
text_of(struct ls_str s)
{
    return s.p ? strndup(s.p, s.n) : strdup("");
}

/* Graph takes ASCII addresses only; whoever has none gets one that leads nowhere. */
static void
mail_make(const struct ap_ocis *ocis, const char *uid, const char *mail, char *out, size_t size)
{
    size_t n;

    if (*mail) {
        snprintf(out, size, "%s", mail);
        return;
    }
    snprintf(out, size, "%.60s", uid);
    for (char *p = out; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '-' || *p == '_'))
            *p = '-';
    n = strlen(out);
    snprintf(out + n, size - n, "@%s", ocis->mail_domain);
}

static int
user_make(struct ap_ocis *ocis, const char *uid, const char *display_name, const char *mail,
          struct ap_graph_user *ret, struct ls_err *err)
{
    struct ls_err why = {0};
    char address[512];

    mail_make(ocis, uid, mail, address, sizeof(address));
    if (ap_graph_user_create(ocis->graph, uid, *display_name ? display_name : uid, address, ret,
                             &why) == 0)
        return 0;
    if (ap_cause_is(&why, "taken") || ap_cause_is(&why, "timeout")) /* made meanwhile, or just so */
        return ap_graph_user_get(ocis->graph, uid, ret, err);
    if (err)
        *err = why;
    return -1;
}

/* What of somebody who is there shall be otherwise. The target does not tell his address, so where
 * one is named it is given. */
static int
user_change(struct ap_ocis *ocis, const struct ap_graph_user *user, const char *uid,
            const char *name, const char *mail, struct ls_err *err)
{
    bool renamed = *name && strcmp(name, user->display_name) != 0;
    char address[512];

    if (!ocis->create_people || strcmp(uid, ocis->graph_user) == 0)
        return 0;
    if (mail)
        mail_make(ocis, uid, mail, address, sizeof(address));
    return ap_graph_user_update(ocis->graph, user->id, renamed ? name : NULL, mail ? address : NULL,
                                err);
}

static int
directory_find(struct ap_ocis *ocis, const struct cs3_person *person, struct ap_person_id *ret,
               struct ls_err *err)
{
    char *id = text_of(person->directory_uuid);
    struct ap_graph_user user;
    int r;

    if (!id)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    r = person->type == CS3_GROUP ? ap_graph_group_by_id(ocis->graph, id, user.id, err)
                                  : ap_graph_user_by_id(ocis->graph, id, &user, err);
    if (r == 0)
        memcpy(ret->id, user.id, sizeof(ret->id));
    free(id);
    return r;
}

int
ap_ocis_user_match(struct ap_writer *w, const char *uid, const char *id, struct ls_err *err)
{
    return cs3_match_set(ap_ocis_of(w)->cs3, uid,
                         !id   ? CS3_BY_NAME
                         : *id ? CS3_BY_ID
                               : CS3_NOBODY,
                         id, err);
}

int
ap_ocis_user_ensure(struct ap_writer *w, const struct cs3_person *person, struct ap_person_id *ret,
                    struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    char *uid = text_of(person->uid), *name = text_of(person->display_name);
    char *mail = text_of(person->mail);
    struct ap_graph_user user;
    struct ls_err why = {0};
    int r = -1;

    if (person->directory_uuid.p) {
        r = directory_find(ocis, person, ret, err);
        goto out;
    }
    if (!uid || !name || !mail) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    r = ap_graph_user_get(ocis->graph, uid, &user, &why);
    if (r < 0 && ap_cause_is(&why, "grantee-missing") && ocis->create_people)
        r = user_make(ocis, uid, name, mail, &user, err);
    else if (r < 0 && err)
        *err = why;
    else if (r == 0)
        r = user_change(ocis, &user, uid, name, person->mail.p ? mail : NULL, err);
    if (r == 0)
        snprintf(ret->id, sizeof(ret->id), "%s", user.id);
out:
    free(uid);
    free(name);
    free(mail);
    return r;
}

int
ap_ocis_user_enable(struct ap_writer *w, const char *user_id, bool enabled, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    int r;

    if (!ocis->create_people || !strcmp(user_id, ocis->graph_user_id))
        return 0;
    pthread_mutex_lock(&ocis->people);
    r = ap_graph_user_enable(ocis->graph, user_id, enabled, err);
    pthread_mutex_unlock(&ocis->people);
    return r;
}

/* Holds the mutex from a successful begin to the end. */
int
ap_ocis_no_user(void *arg, const char *as, bool begin)
{
    struct ap_ocis *ocis = arg;
    struct ap_graph_user user;
    struct ls_err err = {0};
    int r;

    if (begin) {
        if (!strncmp(as, "userid:", 7) || !strcmp(as, ocis->graph_user))
            return -1;
        pthread_mutex_lock(&ocis->people);
        r = ap_graph_user_of(ocis->graph, as, &user, &err);
        if (r == 0)
            r = user.enabled ? -1 : ap_graph_user_enable(ocis->graph, user.id, true, &err);
        if (r < 0)
            pthread_mutex_unlock(&ocis->people);
        return r;
    }
    for (int try = 0; try < 3; try++) {
        r = ap_graph_user_of(ocis->graph, as, &user, &err);
        if (r == 0)
            r = ap_graph_user_enable(ocis->graph, user.id, false, &err);
        if (r == 0)
            break;
    }
    if (r < 0)
        ls_log_err(LS_ERROR, "user-left-enabled", &err);
    pthread_mutex_unlock(&ocis->people);
    return r;
}

/* ---- groups */
int
ap_ocis_group_ensure(struct ap_writer *w, const struct cs3_person *group, struct ap_person_id *ret,
                     struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    struct ls_err why = {0};
    char id[AP_ID_SIZE], *gid;
    int r = -1;

    if (group->directory_uuid.p)
        return directory_find(ocis, group, ret, err);
    gid = text_of(group->gid);
    if (!gid)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    if (ap_graph_group_get(ocis->graph, gid, id, &why) < 0) {
        if (!ap_cause_is(&why, "grantee-missing") || !ocis->create_people)
            goto out;
        why = (struct ls_err){0};
        if (ap_graph_group_create(ocis->graph, gid, id, &why) < 0) {
            if (!ap_cause_is(&why, "taken") && !ap_cause_is(&why, "timeout"))
                goto out;
            if (ap_graph_group_get(ocis->graph, gid, id, &why) < 0)
                goto out;
        }
    }
    snprintf(ret->id, sizeof(ret->id), "%s", id);
    r = 0;
out:
    if (r < 0 && err)
        *err = why;
    free(gid);
    return r;
}

int
ap_ocis_group_remove(struct ap_writer *w, const char *group_id, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);

    if (!ocis->create_people)
        return 0;
    if (ap_graph_group_remove(ocis->graph, group_id, err) < 0)
        return -1;
    cs3_token_forget(ocis->cs3, NULL);
    return 0;
}

int
ap_ocis_member_set(struct ap_writer *w, const char *group_id, const char *user_id, bool member,
                   struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);

    if (!ocis->create_people)
        return 0;
    if (ap_graph_member_set(ocis->graph, group_id, user_id, member, err) < 0)
        return -1;
    cs3_token_forget(ocis->cs3, user_id); /* his groups stand in it */
    return 0;
}

/* ---- spaces */
static int
role_give(struct ap_ocis *ocis, const char *uid, struct ls_err *err)
{
    struct ap_graph_user user;
    bool had_none = false;

    if (ap_graph_user_of(ocis->graph, uid, &user, err) < 0 ||
        ap_graph_role_give(ocis->graph, user.id, &had_none, err) < 0)
        return -1;
    if (had_none)
        ls_log(LS_INFO, "role-given", LS_S("user", uid));
    cs3_token_forget(ocis->cs3, user.id);
    return 0;
}

/* oCIS answers OK for a home that was there before only while its gateway remembers having made it
 * (five minutes, and until it is started again); then it says so. */
static int
home_call(struct ap_ocis *ocis, const char *uid, struct ls_err *err)
{
    struct ls_err why = {0};

    if (cs3_create_home(ocis->cs3, uid, &why) == 0 || ap_cause_is(&why, "taken"))
        return 0;
    if (err)
        *err = why;
    return -1;
}

static int
home_make(struct ap_ocis *ocis, const char *uid, struct ls_err *err)
{
    struct ls_err why = {0};
    int r = home_call(ocis, uid, &why);

    if (r < 0 && ap_cause_is(&why, "denied")) {
        why = (struct ls_err){0};
        r = role_give(ocis, uid, &why);
        if (r == 0)
            r = home_call(ocis, uid, &why);
        /* The role is not known everywhere yet, or gives no space, or nobody can say while oCIS
         * starts; or an admin has to give it. */
        if (r < 0 && (ap_cause_is(&why, "denied") || why.kind == LS_ERR_POISON ||
                      ap_cause_is(&why, "graph-refused"))) {
            why.kind = LS_ERR_RETRY;
            snprintf(why.cause, sizeof(why.cause), "no-role");
        }
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

int
ap_ocis_space_ensure(struct ap_writer *w, const char *uid, struct ap_space *ret, struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);

    if (home_make(ocis, uid, err) < 0 || cs3_personal_space(ocis->cs3, uid, ret, err) < 0)
        return -1;
    if (ocis->storage_id)
        snprintf(ret->storage_id, sizeof(ret->storage_id), "%s", ocis->storage_id);
    return 0;
}

/* The target takes 0 for no limit, so the smallest quota is one byte. */
int
ap_ocis_space_quota(struct ap_writer *w, const struct ap_space *space, int64_t bytes,
                    struct ls_err *err)
{
    struct ap_ocis *ocis = ap_ocis_of(w);
    char drive[2 * AP_ID_SIZE + 2];

    if (!ocis->create_people)
        return 0;
    snprintf(drive, sizeof(drive), "%s$%s", space->storage_id, space->space_id);
    if (ap_graph_drive_quota(ocis->graph, drive, bytes < 0 ? 0 : bytes == 0 ? 1 : bytes, err) == 0)
        return 0;
    /* nothing of the user's own is wrong, and it can be mended */
    if (err->kind == LS_ERR_POISON || ap_cause_is(err, "graph-refused")) {
        err->kind = LS_ERR_RETRY;
        snprintf(err->cause, sizeof(err->cause), "quota-refused");
    }
    return -1;
}
