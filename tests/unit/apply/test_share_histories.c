/*
 * Random histories of shares, links, groups, members and accounts beside those of files, with lost
 * answers and kills: at the end the target has what the source has, exactly, nobody was acted for
 * who is disabled, and nothing is said of a share that is not there.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "tests/unit/clock.h"
#include "world.h"

enum { ROWS = 4000, GROUPS = 2, MOUNTS = 3 };

struct share_row {
    int64_t id, fileid, parent, permissions;
    enum cs3_share_type type;
    enum cs3_share_state state;
    bool deleted;
    char owner[16], grantee[16], mount[16];
};

struct record {
    bool person;
    struct cs3_person p;
    struct cs3_share s;
    char name[16], group[16];
    struct share_row row;
};

/* The source beside its files. */
static struct {
    struct share_row rows[ROWS];
    int n_rows;
    struct record records[2][4 * ROWS]; /* shares, people */
    int n_records[2], next[2];
    bool enabled[MODEL_USERS + 1], group[GROUPS], member[GROUPS][MODEL_USERS + 1];
    int acted_off, no_share;
    bool over_api; /* with kills: what is made then may be there twice, or stay */
} src;

static const char *const group_names[GROUPS] = {"g", "h"};
static const char *const mounts[MOUNTS] = {"/x", "/y", "/z"};

/* ---- a target that is as strict as oCIS */

static void
act_as(struct fake_target *f, const char *uid)
{
    char what[160];

    snprintf(what, sizeof(what), "user U%s", uid);
    if (fake_said(f, what, true))
        return;
    src.acted_off++;
    if (getenv("LOCKSTEP_TRACE"))
        print_message("%s is disabled and acts\n", uid);
}

static struct fake_received *
received_find(struct fake_target *f, int share, const char *uid)
{
    for (int i = 0; i < f->n_received; i++)
        if (f->received[i].used && f->received[i].share == share &&
            strcmp(f->received[i].uid, uid) == 0)
            return &f->received[i];
    return NULL;
}

static int
share_of(struct fake_target *f, int node, bool group, const char *grantee)
{
    for (int i = 0; i < f->n_shares; i++)
        if (f->shares[i].used && !f->shares[i].link && f->shares[i].node == node &&
            f->shares[i].group == group && strcmp(f->shares[i].grantee, grantee) == 0)
            return i;
    return -1;
}

/* An exact writer writes the recipient's state with a user's new share, where he has none. */
static int
set_share(struct ap_writer *w, const struct ap_share_want *want, char share_id[AP_ID_SIZE],
          bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    int r, i;

    act_as(f, want->space->owner);
    act_as(f, want->sharer);
    r = fake_share_set(w, want, share_id, doubtful, err);
    i = share_of(f, fake_index(f, want->node_id), want->group, want->grantee_id);
    if (!w->exact || want->group || i < 0 || received_find(f, i, want->grantee_id + 1))
        return r;
    struct fake_received *made = &f->received[f->n_received++];
    *made = (struct fake_received){.used = true, .share = i, .state = want->state};
    snprintf(made->uid, sizeof(made->uid), "%s", want->grantee_id + 1);
    snprintf(made->mount, sizeof(made->mount), "%s", want->mount_point);
    if (r == 0 && want->ret_received)
        *want->ret_received = true;
    return r;
}

static int
remove_share(struct ap_writer *w, const struct ap_space *space, const char *sharer,
             const char *share_id, bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    int i = fake_share_index(f, share_id), r;

    act_as(f, space->owner);
    r = fake_share_remove(w, space, sharer, share_id, doubtful, err);
    for (int k = 0; i >= 0 && !f->shares[i].used && k < f->n_received; k++)
        if (f->received[k].share == i)
            f->received[k].used = false;
    return r;
}

static int
set_received(struct ap_writer *w, const char *recipient, const char *share_id,
             enum cs3_share_state state, const char *mount_point, bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    int i = fake_share_index(f, share_id);

    act_as(f, recipient);
    if (i < 0 || !f->shares[i].used) {
        src.no_share++;
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "gone", "no such share");
    }
    return fake_received_set(w, recipient, share_id, state, mount_point, doubtful, err);
}

static int
set_link(struct ap_writer *w, const struct ap_link_want *want, char link_id[AP_ID_SIZE],
         bool doubtful, struct ls_err *err)
{
    struct fake_target *f = fake_of(w);
    int r;

    act_as(f, want->space->owner);
    act_as(f, want->sharer);
    for (int i = 0; w->exact && !link_id[0] && i < f->n_shares; i++)
        if (f->shares[i].used && f->shares[i].link && f->shares[i].row == want->row)
            snprintf(link_id, AP_ID_SIZE, "s%d", i); /* its id there is the row's number */
    r = fake_link_set(w, want, link_id, doubtful, err);
    if (r == 0) /* it goes with its file */
        f->shares[atoi(link_id + 1)].node = fake_index(f, want->node_id);
    return r;
}

static int
remove_link(struct ap_writer *w, const struct ap_space *space, const char *sharer,
            const char *link_id, bool doubtful, struct ls_err *err)
{
    if (!w->exact) /* which signs in as nobody */
        act_as(fake_of(w), space->owner);
    return fake_share_remove(w, space, sharer, link_id, doubtful, err);
}

static struct ap_writer_ops strict_ops;

static void
strict(struct world *w, bool exact)
{
    strict_ops = *w->target.writer.ops;
    strict_ops.share_set = set_share;
    strict_ops.share_remove = remove_share;
    strict_ops.received_set = set_received;
    strict_ops.link_set = set_link;
    strict_ops.link_remove = remove_link;
    w->target.writer.ops = &strict_ops;
    w->target.writer.exact = exact;
}

/* ---- what happens at the source */

static void
emit_share(struct world *w, const struct share_row *row)
{
    struct record *r = &src.records[0][src.n_records[0]++];

    assert_true(src.n_records[0] < 4 * ROWS);
    r->row = *row;
    r->s = (struct cs3_share){
        .head = {.kind = row->deleted ? CS3_DELETE : CS3_UPSERT, .seq = {1, ++w->model.counter, 0}},
        .id = row->id,
        .type = row->type,
        .parent = row->parent,
        .fileid = row->fileid,
        .folder = true,
        .owner = ls_str_of(r->row.owner),
        .creator = ls_str_of(r->row.owner),
        .grantee = ls_str_of(r->row.grantee),
        .permissions = row->permissions,
        .stime = row->id,
        .state = row->state,
        .mount_point = ls_str_of(r->row.mount)};
}

static void
emit_person(struct world *w, enum cs3_person_type type, const char *uid, const char *gid,
            enum cs3_kind kind, bool enabled)
{
    struct record *r = &src.records[1][src.n_records[1]++];

    assert_true(src.n_records[1] < 4 * ROWS);
    snprintf(r->name, sizeof(r->name), "%s", uid);
    snprintf(r->group, sizeof(r->group), "%s", gid);
    r->p = (struct cs3_person){.head = {.kind = kind, .seq = {2, ++w->model.counter, 0}},
                               .type = type,
                               .uid = ls_str_of(r->name),
                               .gid = ls_str_of(r->group),
                               .display_name = ls_str_of(r->name),
                               .enabled = enabled};
}

static bool
give_more(struct world *w, int topic)
{
    struct record *r = &src.records[topic][src.next[topic]];

    if (src.next[topic] == src.n_records[topic])
        return false;
    src.next[topic]++;
    if (topic == 1)
        ap_take_person(w->core, &person_origin, &r->p);
    else
        ap_take_share(w->core, &share_origin, &r->s);
    return true;
}

static void
row_delete(struct world *w, struct share_row *row)
{
    if (row->deleted)
        return;
    row->deleted = true;
    emit_share(w, row);
    for (int i = 0; row->type == CS3_SHARE_GROUP && i < src.n_rows; i++)
        if (src.rows[i].type == CS3_SHARE_MEMBER && src.rows[i].parent == row->id)
            row_delete(w, &src.rows[i]);
}

/* Rows of files that are gone go with them. */
static void
orphans_delete(struct world *w)
{
    for (int i = 0; i < src.n_rows; i++)
        if (!src.rows[i].deleted && model_row(&w->model, src.rows[i].fileid)->deleted)
            row_delete(w, &src.rows[i]);
}

static struct share_row *
row_pick(enum cs3_share_type type)
{
    for (int n = 0; src.n_rows > 0 && n < 30; n++) {
        struct share_row *row = &src.rows[random() % src.n_rows];
        if (!row->deleted && ((int)type < 0 || row->type == type))
            return row;
    }
    return NULL;
}

static void
row_look(struct share_row *row)
{
    static const enum cs3_share_state states[] = {CS3_SHARE_ACCEPTED, CS3_SHARE_ACCEPTED,
                                                  CS3_SHARE_PENDING, CS3_SHARE_REJECTED};

    row->permissions = row->type == CS3_SHARE_MEMBER ? 1 : 1 + random() % 7;
    row->state = states[random() % 4];
    snprintf(row->mount, sizeof(row->mount), "%s", mounts[random() % MOUNTS]);
}

static struct share_row *
row_new(enum cs3_share_type type, const struct model_row *file, const char *grantee)
{
    struct share_row *row = &src.rows[src.n_rows++];

    assert_true(src.n_rows < ROWS);
    *row = (struct share_row){.id = src.n_rows, .type = type, .fileid = file->fileid};
    snprintf(row->owner, sizeof(row->owner), "u%d", (int)file->storage);
    snprintf(row->grantee, sizeof(row->grantee), "%s", grantee);
    row_look(row);
    return row;
}

static void
act_on_people(struct world *w)
{
    int g = (int)(random() % GROUPS), u = 1 + (int)(random() % MODEL_USERS);
    char uid[16];

    snprintf(uid, sizeof(uid), "u%d", u);
    switch (random() % 4) {
    case 0: /* a group comes or goes */
        if (src.group[g] && (random() % 3 != 0 || src.over_api))
            return;
        src.group[g] = !src.group[g];
        for (int i = 0; !src.group[g] && i < src.n_rows; i++)
            if (src.rows[i].type == CS3_SHARE_GROUP &&
                strcmp(src.rows[i].grantee, group_names[g]) == 0)
                row_delete(w, &src.rows[i]);
        for (int m = 1; !src.group[g] && m <= MODEL_USERS; m++) {
            char who[16];
            snprintf(who, sizeof(who), "u%d", m);
            if (src.member[g][m])
                emit_person(w, CS3_MEMBER, who, group_names[g], CS3_DELETE, true);
            src.member[g][m] = false;
        }
        emit_person(w, CS3_GROUP, "", group_names[g], src.group[g] ? CS3_UPSERT : CS3_DELETE, true);
        break;
    case 1:
        src.enabled[u] = !src.enabled[u];
        emit_person(w, CS3_USER, uid, "", CS3_UPSERT, src.enabled[u]);
        break;
    default:
        if (!src.group[g])
            return;
        src.member[g][u] = !src.member[g][u];
        emit_person(w, CS3_MEMBER, uid, group_names[g], src.member[g][u] ? CS3_UPSERT : CS3_DELETE,
                    true);
    }
}

static void
act_on_shares(struct world *w)
{
    struct model_row *file = model_pick(&w->model, false, false);
    int g = (int)(random() % GROUPS), u = 1 + (int)(random() % MODEL_USERS);
    struct share_row *row;
    char uid[16];

    snprintf(uid, sizeof(uid), "u%d", u);
    switch (random() % 8) {
    case 0:
    case 1:
        if (!file || file->storage == u)
            return;
        emit_share(w, row_new(CS3_SHARE_USER, file, uid));
        break;
    case 2:
        if (!file || !src.group[g])
            return;
        emit_share(w, row_new(CS3_SHARE_GROUP, file, group_names[g]));
        break;
    case 3: /* what a member makes of it */
        row = row_pick(CS3_SHARE_GROUP);
        if (!row || !src.member[strcmp(row->grantee, "g") != 0][u] || strcmp(row->owner, uid) == 0)
            return;
        for (int i = 0; i < src.n_rows; i++)
            if (!src.rows[i].deleted && src.rows[i].type == CS3_SHARE_MEMBER &&
                src.rows[i].parent == row->id && strcmp(src.rows[i].grantee, uid) == 0) {
                row_look(&src.rows[i]);
                emit_share(w, &src.rows[i]);
                return;
            }
        file = model_row(&w->model, row->fileid);
        u = (int)row->id;
        row = row_new(CS3_SHARE_MEMBER, file, uid);
        row->parent = u;
        emit_share(w, row);
        break;
    case 4:
        if (file && !src.over_api)
            emit_share(w, row_new(CS3_SHARE_LINK, file, ""));
        break;
    case 5:
    case 6:
        row = row_pick((enum cs3_share_type) - 1);
        if (!row)
            return;
        row_look(row);
        emit_share(w, row);
        break;
    default:
        row = row_pick((enum cs3_share_type) - 1);
        if (row)
            row_delete(w, row);
    }
}

/* ---- what shall be */

static bool
counts(const struct share_row *row, int64_t fileid, enum cs3_share_type type, const char *grantee)
{
    return !row->deleted && row->fileid == fileid && row->type == type &&
           strcmp(row->grantee, grantee) == 0 &&
           (type != CS3_SHARE_USER || strcmp(row->owner, grantee) != 0);
}

static int
rank_of(enum cs3_share_state state)
{
    return state == CS3_SHARE_ACCEPTED ? 0 : state == CS3_SHARE_PENDING ? 1 : 2;
}

/* As `member` sees it; NULL: as such. False: there is none. */
static bool
fold(int64_t fileid, enum cs3_share_type type, const char *grantee, const char *member,
     struct share_row *ret)
{
    int best = 3;

    for (int i = 0; i < src.n_rows; i++) {
        struct share_row row = src.rows[i];
        if (!counts(&row, fileid, type, grantee))
            continue;
        for (int k = 0; k < src.n_rows; k++) {
            const struct share_row *m = &src.rows[k];
            if (m->deleted || m->type != CS3_SHARE_MEMBER || m->parent != row.id)
                continue;
            if (member && strcmp(m->grantee, member) == 0) {
                row.state = m->state;
                memcpy(row.mount, m->mount, sizeof(row.mount));
            } else if (!member && type == CS3_SHARE_GROUP && m->state == CS3_SHARE_ACCEPTED) {
                row.state = CS3_SHARE_ACCEPTED;
            }
        }
        if (member && strcmp(row.owner, member) == 0)
            row.state = CS3_SHARE_REJECTED;
        if (rank_of(row.state) < best) {
            best = rank_of(row.state);
            *ret = row;
        } else if (rank_of(row.state) == best) {
            ret->permissions |= row.permissions;
        }
    }
    return best < 3;
}

static int
node_index(struct world *w, int64_t fileid)
{
    struct ap_applied node;

    return ap_node_of(w->ledger, fileid, &node) ? atoi(node.target + 1) : 0;
}

static int
check_received(struct world *w, int share, const struct share_row *want, const char *uid)
{
    const struct fake_received *r = received_find(&w->target, share, uid);

    if (r && r->state == want->state && strcmp(r->mount, want->mount) == 0)
        return 0;
    print_error("share %d of file %lld: %s has %d %s, not %d %s\n", share, (long long)want->fileid,
                uid, r ? (int)r->state : -1, r ? r->mount : "", (int)want->state, want->mount);
    return 1;
}

static int
check_grant(struct world *w, const struct model_row *file, enum cs3_share_type type,
            const char *grantee, const char *target, int *n)
{
    struct share_row want;
    char owner[16], uid[16];
    int bad = 0, i, g = strcmp(grantee, "g") != 0;

    snprintf(owner, sizeof(owner), "u%d", (int)file->storage);
    if (!fold(file->fileid, type, grantee, NULL, &want) || strcmp(owner, grantee) == 0)
        return 0;
    ++*n;
    i = share_of(&w->target, node_index(w, file->fileid), type == CS3_SHARE_GROUP, target);
    if (i < 0 || w->target.shares[i].permissions != want.permissions) {
        print_error("file %lld for %s: %lld, not %lld\n", (long long)file->fileid, target,
                    i < 0 ? -1 : (long long)w->target.shares[i].permissions,
                    (long long)want.permissions);
        return 1;
    }
    if (type == CS3_SHARE_USER)
        return check_received(w, i, &want, grantee);
    for (int u = 1; u <= MODEL_USERS; u++) {
        snprintf(uid, sizeof(uid), "u%d", u);
        if (src.member[g][u] && strcmp(uid, owner) != 0 &&
            fold(file->fileid, type, grantee, uid, &want))
            bad += check_received(w, i, &want, uid);
    }
    return bad;
}

static int
check_people(struct world *w)
{
    char what[64], id[AP_ID_SIZE] = "";
    int bad = 0;

    for (int u = 1; u <= MODEL_USERS; u++) {
        snprintf(what, sizeof(what), "user Uu%d", u);
        if (fake_said(&w->target, what, true) != src.enabled[u] && ++bad)
            print_error("%s is %s\n", what, src.enabled[u] ? "disabled" : "enabled");
        for (int g = 0; g < GROUPS; g++) {
            sqlite3_stmt *s = ap_query(w->ledger,
                                       "SELECT target FROM person WHERE type = 1"
                                       " AND gid = ? AND target IS NOT NULL",
                                       "s", group_names[g]);
            if (!ap_step(w->ledger, s)) {
                bad += src.group[g];
                continue;
            }
            ap_text(s, 0, id, sizeof(id));
            ap_done(s);
            snprintf(what, sizeof(what), "member %.20s Uu%d", id, u);
            if (src.group[g] && fake_said(&w->target, what, false) != src.member[g][u] && ++bad)
                print_error("%s is %s\n", what, src.member[g][u] ? "none" : "one");
        }
    }
    return bad;
}

static int
check_links(struct world *w, int *n)
{
    int bad = 0;

    for (int i = 0; i < src.n_rows; i++) {
        const struct share_row *row = &src.rows[i];
        int found = 0;
        if (row->deleted || row->type != CS3_SHARE_LINK)
            continue;
        ++*n;
        for (int k = 0; k < w->target.n_shares; k++) {
            const struct fake_share *s = &w->target.shares[k];
            found += s->used && s->link && s->row == row->id &&
                     s->node == node_index(w, row->fileid) && s->permissions == row->permissions;
        }
        if (found != 1 && ++bad)
            print_error("link %lld is there %d times\n", (long long)row->id, found);
    }
    return bad;
}

static void
assert_same_shares(struct world *w)
{
    int n = 0, have = 0, bad = check_people(w) + check_links(w, &n);
    char name[64];

    for (int i = 0; i < w->model.n_rows; i++) {
        const struct model_row *file = &w->model.rows[i];
        if (file->deleted)
            continue;
        for (int u = 1; u <= MODEL_USERS; u++) {
            snprintf(name, sizeof(name), "Uu%d", u);
            bad += check_grant(w, file, CS3_SHARE_USER, name + 1, name, &n);
        }
        for (int g = 0; g < GROUPS; g++) {
            sqlite3_stmt *s = ap_query(w->ledger,
                                       "SELECT target FROM person WHERE type = 1"
                                       " AND gid = ? AND target IS NOT NULL",
                                       "s", group_names[g]);
            if (!ap_step(w->ledger, s))
                continue;
            ap_text(s, 0, name, sizeof(name));
            ap_done(s);
            bad += check_grant(w, file, CS3_SHARE_GROUP, group_names[g], name, &n);
        }
    }
    for (int i = 0; i < w->target.n_shares; i++)
        have += w->target.shares[i].used && w->target.nodes[w->target.shares[i].node].used;
    if (have != n && ++bad)
        print_error("%d shares and links, not %d\n", have, n);
    for (int i = 0; have != n && i < w->target.n_shares; i++) {
        const struct fake_share *s = &w->target.shares[i];
        if (s->used && w->target.nodes[s->node].used)
            print_error("  share %d of row %lld: node %d %s\n", i, (long long)s->row, s->node,
                        s->link ? "link" : s->grantee);
    }
    assert_int_equal(bad, 0);
}

static bool
is_somebody(struct world *w, const char *target)
{
    return ap_number(w->ledger, 0, "SELECT 1 FROM person WHERE target = ? AND deleted = 0", "s",
                     target) == 1;
}

/* Nobody can open what is no longer shared with him. */
static void
assert_no_grant_left(struct world *w)
{
    struct fake_target *f = &w->target;
    int bad = 0;

    for (int i = 0; i < f->n_shares; i++) {
        const struct fake_share *s = &f->shares[i];
        if (!s->grant_left || !f->nodes[s->node].used || fake_in_trash(f, s->node) ||
            !is_somebody(w, s->grantee) || share_of(f, s->node, s->group, s->grantee) >= 0)
            continue;
        print_error("share %d of node %d is gone, and still open to %s\n", i, s->node, s->grantee);
        bad++;
    }
    assert_int_equal(bad, 0);
}

/* ---- histories */

static void
start(struct world *w, unsigned seed, bool exact)
{
    srandom(seed);
    memset(&src, 0, sizeof(src));
    start_world(w);
    strict(w, exact);
    for (int u = 1; u <= MODEL_USERS; u++)
        src.enabled[u] = true;
}

static void
round_of_all(struct world *w, int records)
{
    ledger_begin(w->ledger);
    for (int i = 0; i < records; i++)
        give_more(w, (int)(random() % 2));
    ledger_commit(w->ledger);
    round_once(w, records);
}

/* A ledger made anew takes them all before its first call. */
static void
give_all(struct world *w)
{
    memset(src.next, 0, sizeof(src.next));
    while (give_more(w, 1) || give_more(w, 0))
        ;
}

/* What is in the trash comes out of it, so that its shares are to be there. */
static void
restore_all(struct world *w)
{
    char name[32];

    for (int i = 0; i < w->model.n_rows; i++) {
        struct model_row *row = &w->model.rows[i];
        if (row->deleted || row->parent != w->model.trash[row->storage])
            continue;
        snprintf(name, sizeof(name), "back %d", i);
        model_move(&w->model, row, row->storage, w->model.files[row->storage], name);
    }
}

static void
end(struct world *w)
{
    int64_t open;

    for (int n = 0;; n++) {
        if (n == 20000) {
            print_open(w);
            fail_msg("it does not end");
        }
        round_of_all(w, 50);
        run_some(w, 1000);
        clock_pass_us(n % 10 == 0 ? 1000000 : 500);
        open = ap_number(w->ledger, -1, "SELECT count(*) FROM work", NULL);
        if (given_all(w) && src.next[0] == src.n_records[0] && src.next[1] == src.n_records[1] &&
            open == 0 && w->core->n_jobs == 0)
            break;
    }
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
history(struct world *w, unsigned seed, bool exact, bool kills, bool trouble, bool losses)
{
    start(w, seed, exact);
    if (losses)
        mirror_begin(w);
    w->others = give_all;
    src.over_api = kills && !exact;
    if (trouble)
        trouble_target(w);
    for (int n = 0, actions = 60 + (int)(random() % 150); n < actions; n++) {
        int what = (int)(random() % 10);
        if (what < 4)
            model_act(&w->model);
        else if (what < 6)
            act_on_people(w);
        else
            act_on_shares(w);
        orphans_delete(w);
        if (random() % 3 == 0) {
            round_of_all(w, (int)(random() % 12));
            run_some(w, (int)(random() % 6));
        }
        if (kills && random() % 15 == 0)
            kill_world(w);
        if (losses && random() % 15 == 0)
            lose_host(w);
    }
    restore_all(w);
    end(w);
}

static void
histories(int n, bool exact, bool kills, bool trouble, bool losses, unsigned first)
{
    static struct world w;
    unsigned seed = first + (unsigned)env_number("LOCKSTEP_SEED", 0);

    n = env_number("LOCKSTEP_HISTORIES", n);
    for (int i = 0; i < n; i++, seed++) {
        if (getenv("LOCKSTEP_SEED"))
            print_message("seed %u\n", seed);
        history(&w, seed, exact, kills, trouble, losses);
        assert_equal_trees(&w);
        assert_same_shares(&w);
        assert_no_grant_left(&w);
        assert_int_equal(src.acted_off, 0);
        assert_int_equal(src.no_share, 0);
        stop_world(&w);
    }
}

static void
any_history_of_shares_ends_with_the_same_shares(void **state)
{
    (void)state;
    histories(10, true, false, false, false, 1000);
    histories(10, false, false, false, false, 2000);
}

static void
lost_answers_change_no_share_in_the_end(void **state)
{
    (void)state;
    histories(10, true, false, true, false, 3000);
    histories(10, false, false, true, false, 4000);
}

static void
kills_at_any_moment_change_no_share_in_the_end(void **state)
{
    (void)state;
    histories(10, true, true, true, false, 5000);
    histories(10, false, true, true, false, 6000);
}

static void
a_ledger_made_of_its_mirror_changes_no_share_in_the_end(void **state)
{
    (void)state;
    histories(10, true, true, true, true, 7000);
    histories(10, false, true, true, true, 8000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ledger_made_of_its_mirror_changes_no_share_in_the_end),
        cmocka_unit_test(any_history_of_shares_ends_with_the_same_shares),
        cmocka_unit_test(lost_answers_change_no_share_in_the_end),
        cmocka_unit_test(kills_at_any_moment_change_no_share_in_the_end),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
