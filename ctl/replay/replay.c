/*
 * Replay: the range selects entities, the latest record of each is sent again.
 *
 * The topic is read twice, without a group (nobody's offsets move): once to see which entities have
 * a record in the range and where their latest one is, once to send that. So what is sent never
 * goes back behind what came later, and the memory needed is that of the keys. What can go wrong:
 * records that come in between (newer; apply has taken them already); compaction in between (a
 * record that is gone was not the latest).
 */
#include "ctl/replay/replay.h"
#include "common/log.h"
#include "common/records.h"
#include "common/run.h"
#include "ctl/replay/letters.h"
#include "ctl/replay/resend.h"
#include "ctl/replay/whose.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

static const char *const topics[] = {"cs3.resource", "cs3.space", "cs3.person", "cs3.share",
                                     "cs3.annotation"};

#define WANTS(option) option " wants an offset, a time or a GTID"

static bool
is_topic(const char *name)
{
    for (size_t i = 0; name && i < sizeof topics / sizeof topics[0]; i++)
        if (!strcmp(name, topics[i]))
            return true;
    return false;
}

int
ctl_replay_arguments(int argc, char **argv, struct replay_args *ret, const char **ret_why)
{
    struct replay_args a = {.from = {.offset = -1, .ms = -1}, .to = {.offset = -1, .ms = -1}};
    const char *why = NULL, *value;
    int n = 1;

    for (int i = 1; i < argc && !why; i++) {
        if ((value = ctl_option(argc, argv, &i, "--topic")))
            a.topic = value;
        else if ((value = ctl_option(argc, argv, &i, "--user")))
            a.user = value;
        else if ((value = ctl_option(argc, argv, &i, "--entity")))
            a.entity = value;
        else if ((value = ctl_option(argc, argv, &i, "--from")))
            why = replay_bound_parse(value, &a.from) ? NULL : WANTS("--from");
        else if ((value = ctl_option(argc, argv, &i, "--to")))
            why = replay_bound_parse(value, &a.to) ? NULL : WANTS("--to");
        else if ((value = ctl_option(argc, argv, &i, "--rate"))) {
            char *end;
            a.rate = strtoll(value, &end, 10);
            if (!*value || *end || a.rate < 1)
                why = "--rate wants records a second";
        } else if (!strcmp(argv[i], "--dry-run"))
            a.dry_run = true;
        else if (!strcmp(argv[i], "--reconcile"))
            a.reconcile = true;
        else if (!strcmp(argv[i], "--yes"))
            a.yes = true;
        else
            argv[n++] = argv[i];
    }
    if (!why && !is_topic(a.topic))
        why = "--topic wants cs3.resource, cs3.space, cs3.person, cs3.share or cs3.annotation";
    else if (!why && ((a.user && !*a.user) || (a.entity && !*a.entity)))
        why = "--user wants a name, --entity the key of a record";
    if (!why)
        why = replay_range_wrong(&a);
    if (why) {
        *ret_why = why;
        return -1;
    }
    argv[n] = NULL;
    *ret = a;
    return n;
}

/* ---- the two readings */

/* One entity in one partition; what moves between storages is in two. */
struct entity {
    int64_t latest;
    UT_hash_handle hh;
    char name[]; /* "<partition> <key>" */
};

struct run {
    const struct replay_choice *choice;
    struct resend *resend;
    struct entity *entities;
    struct replay_done *done;
};

static size_t
name_of(const struct ls_message *m, char *out, size_t size)
{
    int n = snprintf(out, size, "%d %.*s", m->partition, (int)m->key.n, m->key.p ? m->key.p : "");

    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static int
look(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct run *r = arg;
    struct entity *e = NULL;
    char name[2048];
    size_t n = name_of(m, name, sizeof name);
    int chosen;

    if (n == 0)
        return 0;
    HASH_FIND(hh, r->entities, name, n, e);
    chosen = r->choice->chosen(r->choice->arg, m, err);
    if (chosen < 0)
        return -1;
    r->done->records += (size_t)chosen;
    if (!e && chosen) {
        e = calloc(1, sizeof(*e) + n + 1);
        if (!e)
            return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
        memcpy(e->name, name, n);
        HASH_ADD(hh, r->entities, name[0], n, e);
    }
    if (e)
        e->latest = m->offset;
    return 0;
}

static int
give(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct run *r = arg;
    const struct ls_str *seq = ls_message_header(m, "seq");
    struct entity *e = NULL;
    struct ls_err why = {0};
    char name[2048];
    size_t n = name_of(m, name, sizeof name);

    if (ls_run_stopping())
        return ls_fail(err, LS_ERR_RETRY, EINTR, "interrupted");
    if (n == 0)
        return 0;
    HASH_FIND(hh, r->entities, name, n, e);
    if (!e || e->latest != m->offset)
        return 0;
    if (resend_send(r->resend,
                    (struct ls_replay){.topic = ls_str_of(r->choice->topic),
                                       .key = m->key,
                                       .value = m->value,
                                       .seq = seq ? *seq : LS_STR_NULL,
                                       .reconcile = r->choice->reconcile},
                    m->partition, &why) < 0) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        r->done->left++;
        return 0;
    }
    r->done->sent++;
    return 0;
}

void
replay_unsent(const char *topics_left, const struct replay_done *done, struct ls_err *err)
{
    struct ls_err why = *err;

    ls_fail_cause(err, why.kind, why.code, why.cause,
                  "%.140s; %zu records went out before that, the others of %s did not", why.msg,
                  done->sent, topics_left);
}

int
replay_again(const struct ls_config *config, const struct replay_choice *choice,
             struct resend *resend, struct replay_done *done, struct ls_err *err)
{
    struct run r = {.choice = choice, .resend = resend, .done = done};
    struct entity *e, *next;
    int status = ctl_topic_read(config, choice->topic, look, &r, err);

    done->entities += HASH_COUNT(r.entities);
    if (status == 0 && resend && r.entities)
        status = ctl_topic_read(config, choice->topic, give, &r, err);
    e = r.entities;
    HASH_CLEAR(hh, r.entities);
    for (; e; e = next) {
        next = e->hh.next;
        free(e);
    }
    return status;
}

/* ---- the command */

struct range {
    const struct replay_args *args;
    struct whose *whose;
    struct replay_seen seen;
};

static int
is_chosen(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct range *r = arg;
    char user[256];

    if (!replay_in_range(r->args, m, &r->seen))
        return 0;
    if (!r->args->user)
        return 1;
    if (whose_record(r->whose, r->args->topic, m->key, m->value, user, sizeof user, err) < 0)
        return -1;
    return strcmp(user, r->args->user) == 0;
}

/* Something of the topic was asked for, not all that it may have. */
static bool
is_part(const struct replay_args *a)
{
    return a->user || a->entity || a->from.offset >= 0 || a->from.ms >= 0 || a->from.by_gtid ||
           a->to.offset >= 0 || a->to.ms >= 0 || a->to.by_gtid;
}

static void
say(const struct replay_args *args, const struct replay_done *done, const struct resend *resend,
    json_t *notes, bool as_json, FILE *out)
{
    json_t *note;
    size_t i;

    if (as_json) {
        json_t *json =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "topic", args->topic, "records",
                      (json_int_t)done->records, "entities", (json_int_t)done->entities, "sent",
                      (json_int_t)done->sent, "left", (json_int_t)done->left, "unread",
                      (json_int_t)done->unread, "dry_run", args->dry_run);
        if (resend)
            json_object_set_new(json, "run", json_string(resend_run(resend)));
        if (json_array_size(notes) > 0)
            json_object_set(json, "notes", notes);
        json_dumpf(json, out, JSON_SORT_KEYS | JSON_INDENT(2));
        fputc('\n', out);
        json_decref(json);
        return;
    }
    fprintf(out, "%s: %zu records in the range, of %zu entities\n", args->topic, done->records,
            done->entities);
    json_array_foreach(notes, i, note)
    {
        fprintf(out, "  %s\n", json_string_value(note));
    }
    if (done->records == 0 && is_part(args))
        fputs("nothing in the topic is what was asked for\n", out);
    if (args->dry_run)
        fputs("dry run: nothing was sent\n", out);
    else
        fprintf(out, "%zu sent, run %s\n", done->sent, resend_run(resend));
    if (done->left > 0)
        fprintf(out, "%zu left: too large to be sent again\n", done->left);
    if (done->unread > 0)
        fprintf(out, "%zu can never be read, so nobody knows whose they are: not sent\n",
                done->unread);
}

/* To compare with the target is to write over what somebody has changed there: so it asks, for
 * which the topic is read once more. An exit status. */
static int
may_reconcile(const struct ls_config *config, const struct replay_choice *choice,
              struct range *range)
{
    const struct replay_args *args = range->args;
    struct replay_done counted = {0};
    char question[200];
    struct ls_err err = {0};

    if (!args->reconcile || args->dry_run || args->yes)
        return LS_EXIT_OK;
    if (replay_again(config, choice, NULL, &counted, &err) < 0) {
        ls_log_err(LS_ERROR, "replay", &err);
        return LS_EXIT_KAFKA;
    }
    range->seen = (struct replay_seen){0};
    snprintf(question, sizeof question,
             "Compare %zu of %s with oCIS, and make them as ownCloud has them, whatever somebody "
             "has changed there?",
             counted.entities, args->topic);
    return counted.entities == 0 || ctl_confirm(question, false) ? LS_EXIT_OK : LS_EXIT_USAGE;
}

int
ctl_replay(const struct ls_config *config, const struct replay_args *args,
           const struct ctl_flags *flags, FILE *out)
{
    struct range range = {.args = args};
    struct replay_choice choice = {args->topic, args->reconcile, is_chosen, &range};
    struct replay_done done = {0};
    struct resend *resend = NULL;
    struct ls_err err = {0};
    size_t spaces, before;
    int status = LS_EXIT_OK;

    ls_schemas_attach(config);
    if (!args->dry_run && resend_open(config, &resend, &err) < 0)
        return resend_refused(&err);
    if (resend)
        resend_rate(resend, args->rate);
    if (args->user && whose_new(config, &range.whose, &err) < 0) {
        replay_unsent(args->topic, &done, &err);
        ls_log_err(LS_ERROR, "replay", &err);
        status = LS_EXIT_KAFKA;
        goto out;
    }
    spaces = whose_unread(range.whose);
    status = may_reconcile(config, &choice, &range);
    before = whose_unread(range.whose); /* it has read the topic, too */
    if (status != LS_EXIT_OK)
        goto out;
    if (replay_again(config, &choice, resend, &done, &err) < 0 ||
        (resend && resend_flush(resend, &err) < 0)) {
        if (resend)
            replay_unsent(args->topic, &done, &err);
        ls_log_err(LS_ERROR, "replay", &err);
        status = LS_EXIT_KAFKA;
    } else {
        json_t *notes = replay_range_notes(args, &range.seen);
        done.unread = spaces + whose_unread(range.whose) - before;
        say(args, &done, resend, notes, flags->json, out);
        json_decref(notes);
        if (done.left > 0 || (done.records == 0 && is_part(args)))
            status = LS_EXIT_DIFFERENT;
    }
out:
    whose_free(range.whose);
    resend_free(resend);
    return status;
}
