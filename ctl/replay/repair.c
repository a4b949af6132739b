/*
 * Repair: what verify finds, sent through the replay topic to be compared with the target itself.
 *
 * The comparison is verify's, so nothing of what apply believes is taken for granted; what the
 * stream still carries is left to it. The accounts and spaces of those of whom something differs go
 * first, then files by the number of their row, then shares. What somebody has changed at the
 * target is overwritten by that, so it asks before. What the target alone has is named and left:
 * nobody but a person knows whose it is.
 *
 * What can go wrong: a side that cannot be read (nothing is sent); one thing that could not be
 * compared (it is named, nothing is sent of it, and the exit status is verify's); a row that the
 * topics do not have (a snapshot brings it: said); what is mended only after the next comparison,
 * because it hung on what was missing.
 */
#include "ctl/replay/repair.h"
#include "common/log.h"
#include "ctl/ctl.h"
#include "ctl/lines.h"
#include "ctl/replay/letters.h"
#include "ctl/replay/replay.h"
#include "ctl/replay/resend.h"
#include "ctl/replay/whose.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ARENA_CAP (64u << 20)

/* ---- the plan */

struct item {
    UT_hash_handle hh;
    bool found;  /* in the topics */
    char name[]; /* "<topic> <key>", "user <uid>" */
};
struct repair_plan {
    struct item *items;
    struct repair_counts counts;
};

static bool
item_add(struct repair_plan *plan, const char *kind, const char *key)
{
    size_t n = strlen(kind) + 1 + strlen(key);
    struct item *item = calloc(1, sizeof(*item) + n + 1), *old = NULL;

    if (!item)
        return false;
    snprintf(item->name, n + 1, "%s %s", kind, key);
    HASH_FIND(hh, plan->items, item->name, n, old);
    if (old)
        free(item);
    else
        HASH_ADD(hh, plan->items, name[0], n, item);
    return true;
}

static bool
number_add(struct repair_plan *plan, const char *topic, int64_t id)
{
    char key[24];

    snprintf(key, sizeof key, "%" PRId64, id);
    return item_add(plan, topic, key);
}

#define SHARES_OF "shares-of"

static bool
difference_add(struct repair_plan *plan, const struct verify_difference *d)
{
    bool of_share = d->kind == VD_SHARE || d->kind == VD_LINK;

    if (d->when == VW_CARRIED || d->when == VW_UNSEEN) {
        (*(d->when == VW_CARRIED ? &plan->counts.carried : &plan->counts.unseen))++;
        return true;
    }
    if (d->kind != VD_USER && (of_share ? d->share : d->fileid) == 0) {
        plan->counts.foreign++;
        return true;
    }
    plan->counts.again++;
    /* several rows may reach him there, and the difference names one of them */
    if (d->kind == VD_SHARE && !number_add(plan, SHARES_OF, d->fileid))
        return false;
    return (!*d->user || item_add(plan, "user", d->user)) &&
           (!*d->owner || item_add(plan, "user", d->owner)) &&
           (d->kind == VD_USER || (of_share ? number_add(plan, "cs3.share", d->share)
                                            : number_add(plan, "cs3.resource", d->fileid)));
}

struct repair_plan *
repair_plan_new(const struct verify_list *differences)
{
    struct repair_plan *plan = calloc(1, sizeof(*plan));

    for (size_t i = 0; plan && i < differences->n; i++)
        if (!difference_add(plan, differences->each[i])) {
            repair_plan_free(plan);
            plan = NULL;
        }
    return plan;
}

void
repair_plan_free(struct repair_plan *plan)
{
    struct item *item, *next;

    if (!plan)
        return;
    item = plan->items;
    HASH_CLEAR(hh, plan->items);
    for (; item; item = next) {
        next = item->hh.next;
        free(item);
    }
    free(plan);
}

static struct item *
item_of(const struct repair_plan *plan, const char *topic, struct ls_str key)
{
    char name[2048];
    struct item *item = NULL;
    int n = snprintf(name, sizeof name, "%s %.*s", topic, (int)key.n, key.p ? key.p : "");

    if (n > 0 && (size_t)n < sizeof name)
        HASH_FIND(hh, plan->items, name, (size_t)n, item);
    return item;
}

bool
repair_plan_has(const struct repair_plan *plan, const char *topic, struct ls_str key)
{
    return item_of(plan, topic, key) != NULL;
}

bool
repair_plan_has_user(const struct repair_plan *plan, const char *user)
{
    return repair_plan_has(plan, "user", ls_str_of(user));
}

bool
repair_plan_has_shares_of(const struct repair_plan *plan, int64_t fileid)
{
    char key[24];

    snprintf(key, sizeof key, "%" PRId64, fileid);
    return repair_plan_has(plan, SHARES_OF, ls_str_of(key));
}

void
repair_plan_found(struct repair_plan *plan, const char *topic, struct ls_str key)
{
    struct item *item = item_of(plan, topic, key);

    if (item)
        item->found = true;
}

size_t
repair_plan_absent(const struct repair_plan *plan)
{
    size_t n = 0;

    for (const struct item *item = plan->items; item; item = item->hh.next)
        n += !item->found && strncmp(item->name, SHARES_OF " ", sizeof SHARES_OF) != 0;
    return n;
}

struct repair_counts
repair_plan_counts(const struct repair_plan *plan)
{
    return plan->counts;
}

/* ---- arguments */

int
ctl_repair_arguments(int argc, char **argv, struct repair_args *ret, const char **ret_why)
{
    struct repair_args args = {0};
    int n = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dry-run") == 0)
            args.dry_run = true;
        else if (strcmp(argv[i], "--yes") == 0)
            args.yes = true;
        else
            argv[n++] = argv[i];
    }
    argv[n] = NULL;
    n = ctl_verify_arguments(n, argv, &args.verify, ret_why);
    if (n < 0)
        return -1;
    if (args.verify.sample > 0 || args.verify.resume || args.verify.html)
        *ret_why = "repair takes of verify's options --user, --group, --all, --deep and --wait";
    else if (!args.verify.all && json_array_size(args.verify.users) == 0 &&
             json_array_size(args.verify.groups) == 0)
        *ret_why = "repair whom? --user U, --group G or --all";
    else {
        *ret = args;
        return n;
    }
    verify_args_free(&args.verify);
    return -1;
}

void
repair_args_free(struct repair_args *args)
{
    verify_args_free(&args->verify);
}

/* ---- the command */

struct choosing {
    struct repair_plan *plan;
    const char *topic;
    struct whose *whose;
    struct ls_arena *arena;
};

/* A share of something of which some share differs. */
static int
is_beside(struct choosing *c, const struct ls_message *m, struct ls_err *err)
{
    json_t *record = NULL;
    struct ls_err why = {0};
    int beside;

    if (letter_record_read(c->topic, m->value, false, c->arena, &record, &why) < 0 &&
        why.kind != LS_ERR_POISON) {
        *err = why;
        beside = -1;
    } else {
        beside = repair_plan_has_shares_of(c->plan,
                                           json_integer_value(json_object_get(record, "fileid")));
    }
    json_decref(record);
    ls_arena_reset(c->arena);
    return beside;
}

/* A deletion is no record of what the source has. */
static int
is_chosen(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct choosing *c = arg;
    bool person = strcmp(c->topic, "cs3.person") == 0;
    char user[256];

    if (!m->key.n || m->key.p[0] == '!') /* brackets and heartbeats are about no entity */
        return false;
    if (repair_plan_has(c->plan, c->topic, m->key)) {
        if (m->value.p)
            repair_plan_found(c->plan, c->topic, m->key);
        return true;
    }
    if (strcmp(c->topic, "cs3.share") == 0)
        return is_beside(c, m, err);
    if (!person && strcmp(c->topic, "cs3.space") != 0)
        return false;
    if (whose_record(c->whose, c->topic, m->key, m->value, user, sizeof user, err) < 0)
        return -1;
    if (person && m->value.p && m->key.p[0] == 'u') /* an account */
        repair_plan_found(c->plan, "user", ls_str_of(user));
    return repair_plan_has_user(c->plan, user);
}

static int
send_all(const struct ls_config *config, struct repair_plan *plan, struct resend *resend,
         struct replay_done *done, struct ls_err *err)
{
    static const char *const topics[] = {"cs3.person", "cs3.space", "cs3.resource", "cs3.share"};
    static const char *const left[] = {"cs3.person, cs3.space, cs3.resource and cs3.share",
                                       "cs3.space, cs3.resource and cs3.share",
                                       "cs3.resource and cs3.share", "cs3.share"};
    struct choosing choosing = {.plan = plan, .arena = ls_arena_new(ARENA_CAP)};
    int r = choosing.arena ? whose_new(config, &choosing.whose, err)
                           : ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    size_t at = 0;

    for (size_t i = 0; r == 0 && i < sizeof topics / sizeof topics[0]; i++) {
        choosing.topic = topics[i];
        r = replay_again(config, &(struct replay_choice){topics[i], true, is_chosen, &choosing},
                         resend, done, err);
        at = i;
    }
    if (r == 0 && resend)
        r = resend_flush(resend, err);
    if (r < 0 && resend)
        replay_unsent(left[at], done, err);
    done->unread = whose_unread(choosing.whose);
    whose_free(choosing.whose);
    ls_arena_free(choosing.arena);
    return r;
}

static void
name_differences(const struct verify *verify, FILE *out)
{
    char user[300], place[4200];

    for (size_t i = 0; i < verify->differences.n; i++) {
        const struct verify_difference *d = verify->differences.each[i];
        bool of_share = d->kind == VD_SHARE || d->kind == VD_LINK;
        const char *word = d->when == VW_CARRIED  ? "on its way"
                           : d->when == VW_UNSEEN ? "unseen"
                           : d->kind != VD_USER && (of_share ? d->share : d->fileid) == 0 ? "left"
                                                                                          : "again";

        fprintf(out, "%-10s  %s: %s  %s\n", word, ctl_plain(d->user, user, sizeof user), d->what,
                ctl_plain(d->place, place, sizeof place));
    }
}

static void
say(const struct verify *verify, const struct repair_counts *n, const struct replay_done *done,
    size_t absent, const struct resend *resend, const char *why, const struct ctl_flags *flags,
    bool dry_run, FILE *out)
{
    json_int_t left = (json_int_t)n->foreign + (json_int_t)done->left;
    json_int_t different = (json_int_t)verify->differences.n - (json_int_t)n->unseen;

    if (flags->json) {
        json_t *json =
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "different", different,
                      "again", (json_int_t)n->again, "carried", (json_int_t)n->carried, "unseen",
                      (json_int_t)n->unseen, "left", left, "absent", (json_int_t)absent, "entities",
                      (json_int_t)done->entities, "sent", (json_int_t)done->sent, "unread",
                      (json_int_t)done->unread, "dry_run", dry_run);
        if (resend)
            json_object_set_new(json, "run", json_string(resend_run(resend)));
        json_dumpf(json, out, JSON_SORT_KEYS | JSON_INDENT(2));
        fputc('\n', out);
        json_decref(json);
        return;
    }
    name_differences(verify, out);
    if (*why)
        fprintf(out, "what the stream still carries could not be told apart: %s\n", why);
    fprintf(out,
            "%" JSON_INTEGER_FORMAT
            " different: %zu to be done again, %zu on their way, %zu at the target alone\n",
            different, n->again, n->carried, n->foreign);
    if (n->unseen > 0)
        fprintf(out, "%zu times something could not be compared: once more when it can be\n",
                n->unseen);
    if (done->left > 0)
        fprintf(out, "%zu left: too large to be sent again\n", done->left);
    if (done->unread > 0)
        fprintf(out, "%zu accounts or spaces can never be read, so nobody knows whose they are\n",
                done->unread);
    if (absent > 0)
        fprintf(out,
                "%zu are in no record of the topics: `lockstep snapshot start --user U` reads them "
                "again at the source (--all: accounts and groups, too)\n",
                absent);
    if (resend)
        fprintf(out,
                "%zu sent with the accounts and spaces they are in, run %s; verify again when "
                "`lockstep lag` says that apply is done\n",
                done->sent, resend_run(resend));
    else if (n->again > 0)
        fprintf(out, "nothing was sent; it would be %zu with the accounts and spaces they are in\n",
                done->entities);
}

/* Asks, opens what is sent with; *ret stays NULL when there is nothing to send. */
static int
may_send(const struct ls_config *config, const struct repair_args *args, size_t again,
         struct resend **ret)
{
    char question[200];
    struct ls_err err = {0};

    if (args->dry_run || again == 0)
        return LS_EXIT_OK;
    snprintf(question, sizeof question,
             "Make %zu as ownCloud has them, whatever somebody has changed in oCIS?", again);
    if (!ctl_confirm(question, args->yes))
        return LS_EXIT_USAGE;
    return resend_open(config, ret, &err) < 0 ? resend_refused(&err) : LS_EXIT_OK;
}

int
ctl_repair(const struct ls_config *config, const struct repair_args *args,
           const struct ctl_flags *flags, FILE *out)
{
    struct repair_plan *plan = NULL;
    struct repair_counts n = {0};
    struct replay_done done = {0};
    struct resend *resend = NULL;
    struct verify verify;
    struct ls_err err = {0};
    size_t absent;
    char why[200];
    int status;

    ls_schemas_attach(config);
    if (verify_look(config, &args->verify, &verify, why, sizeof why, &status, &err) < 0)
        goto out;
    status = LS_EXIT_FAILURE;
    plan = repair_plan_new(&verify.differences);
    if (!plan) {
        ls_fail(&err, LS_ERR_FATAL, 0, "out of memory");
        goto out;
    }
    n = repair_plan_counts(plan);
    status = may_send(config, args, n.again, &resend);
    if (status != LS_EXIT_OK)
        goto out;
    status = LS_EXIT_KAFKA;
    if (n.again > 0 && send_all(config, plan, resend, &done, &err) < 0)
        goto out;
    absent = n.again > 0 ? repair_plan_absent(plan) : 0;
    say(&verify, &n, &done, absent, resend, why, flags, args->dry_run, out);
    status = n.foreign + done.left + absent > 0 || (args->dry_run && n.again > 0)
                 ? LS_EXIT_DIFFERENT
             : n.unseen > 0 ? LS_EXIT_UNSEEN
                            : LS_EXIT_OK;
out:
    if (err.kind != LS_ERR_NONE)
        ls_log_err(LS_ERROR, "repair", &err);
    repair_plan_free(plan);
    resend_free(resend);
    verify_close(&verify);
    return status;
}
