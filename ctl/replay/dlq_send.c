/*
 * `lockstep dlq retry|drop`: letters sent again, or given up.
 *
 * Each letter is one signed record on <p>.replay that names it, in the order of the letters; what a
 * letter of apply is about apply knows itself (unless it could not be read), what one of transform
 * is about goes with its bytes. What can go wrong: letters that cannot be retried from here (of
 * capture: the row was never in Kafka; too large: its bytes are not in the letter).
 */
#include "common/log.h"
#include "common/records.h"
#include "common/run.h"
#include "ctl/replay/dlq.h"
#include "ctl/replay/resend.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sending {
    struct resend *resend;
    const struct dlq_args *args;
    struct ls_arena *arena;
    bool drop, all;
    size_t sent, left;
};

bool
dlq_can_retry(const struct letter *l)
{
    bool apply = !strcmp(l->stage, "apply");

    if (!apply && strcmp(l->stage, "transform") != 0)
        return false;
    /* a letter of apply about an entity needs no bytes */
    return (apply && l->at_offset < 0) || l->bytes > 0;
}

/* A file's letter goes the way of its storage. */
static int64_t
partition_of(const struct sending *s, const struct letter *l)
{
    json_t *record;
    char user[8];
    int64_t storage = LS_NO_STORAGE;

    if (l->at_partition >= 0 || strcmp(l->topic, "cs3.resource") != 0)
        return l->at_partition < 0 ? 0 : l->at_partition;
    record = letter_record_json(l->topic, l->value, false, s->arena);
    letter_user(l->topic, record, user, sizeof user, &storage);
    json_decref(record);
    ls_arena_reset(s->arena);
    return storage == LS_NO_STORAGE
               ? 0
               : ls_partition_of_storage(storage, resend_partitions(s->resend));
}

static int
send_one(void *arg, const struct letter *l, struct ls_err *err)
{
    struct sending *s = arg;
    char name[48], origin[96] = "";
    struct ls_err why = {0};
    bool entity = !strcmp(l->stage, "apply") && l->at_offset < 0;

    if (!s->args->all && s->args->filter.n_ids == 0 && l->state > LETTER_RETRIED)
        return 0;
    if (l->state == LETTER_DROPPED || (s->drop ? false : !dlq_can_retry(l))) {
        s->left++;
        return 0;
    }
    snprintf(name, sizeof name, "%d/%" PRId64, l->partition, l->offset);
    if (!entity && !strcmp(l->stage, "apply"))
        snprintf(origin, sizeof origin, "%s/%d/%" PRId64, l->topic, l->at_partition, l->at_offset);
    if (resend_send(s->resend,
                    (struct ls_replay){.topic = ls_str_of(l->topic),
                                       .key = l->key,
                                       .value = entity || s->drop ? LS_STR("") : l->value,
                                       .seq = ls_str_of(l->seq),
                                       .letter = ls_str_of(name),
                                       .origin = ls_str_of(origin),
                                       .drop = ls_str_of(s->drop ? s->args->reason : "")},
                    partition_of(s, l), &why) < 0) {
        if (why.kind != LS_ERR_POISON) {
            *err = why;
            return -1;
        }
        s->left++;
        return 0;
    }
    s->sent++;
    return 0;
}

/* Those whose cause ends so. */
static size_t
chosen(const struct letters *letters, const struct dlq_args *args, const char *cause)
{
    size_t n = 0, end = strlen(cause);

    for (size_t i = 0; i < letters->n; i++) {
        const struct letter *l = &letters->letter[i];
        size_t len = l->cause ? strlen(l->cause) : 0;

        n += letter_matches(&args->filter, l) && l->state != LETTER_DROPPED &&
             (args->all || args->filter.n_ids > 0 || l->state <= LETTER_RETRIED) && len >= end &&
             (end == 0 || strcmp(l->cause + len - end, cause) == 0);
    }
    return n;
}

/* A letter that is dropped is given up; one about what somebody has changed in oCIS lets the source
 * win over him. */
static bool
may_send(const struct letters *letters, const struct dlq_args *args, bool drop)
{
    size_t n = chosen(letters, args, drop ? "" : "-at-target");
    char question[160];

    if (n == 0)
        return true;
    if (drop)
        snprintf(question, sizeof question, "Drop %zu letters for good?", n);
    else
        snprintf(question, sizeof question,
                 "%zu of them are about what somebody has changed in oCIS: shall the source win?",
                 n);
    return ctl_confirm(question, args->yes);
}

static void
say(const struct sending *s, const struct ctl_flags *flags, FILE *out)
{
    const char *what = s->drop ? "dropped" : "retried";

    if (flags->json) {
        json_t *json = json_pack("{s:s, s:I, s:I}", "run", resend_run(s->resend), what,
                                 (json_int_t)s->sent, "left", (json_int_t)s->left);
        json_dumpf(json, out, JSON_SORT_KEYS | JSON_INDENT(2));
        fputc('\n', out);
        json_decref(json);
        return;
    }
    fprintf(out, "%zu letters %s, run %s\n", s->sent, what, resend_run(s->resend));
    if (s->left > 0)
        fprintf(out,
                "%zu left: dropped already, of capture, or without their bytes (a snapshot of the "
                "user brings their rows again)\n",
                s->left);
}

int
dlq_send(const struct ls_config *config, const struct letters *letters, const struct dlq_args *args,
         const struct ctl_flags *flags, FILE *out)
{
    struct sending s = {.args = args, .drop = !strcmp(args->action, "drop")};
    struct ls_err err = {0};
    size_t absent;
    int status = LS_EXIT_KAFKA;

    if (resend_open(config, &s.resend, &err) < 0)
        return resend_refused(&err);
    if (!may_send(letters, args, s.drop)) {
        status = LS_EXIT_USAGE;
        goto out;
    }
    s.arena = ls_arena_new(64u << 20);
    if (!s.arena || letters_each(config, letters, &args->filter, send_one, &s, &err) < 0 ||
        resend_flush(s.resend, &err) < 0) {
        ls_log_err(LS_ERROR, "dlq", &err);
        goto out;
    }
    say(&s, flags, out);
    absent = letters_absent(letters, &args->filter);
    if (absent > 0)
        fprintf(stderr, "lockstep: %zu of these letters are not there\n", absent);
    status = s.sent > 0 && s.left + absent == 0 ? LS_EXIT_OK : LS_EXIT_DIFFERENT;
out:
    ls_arena_free(s.arena);
    resend_free(s.resend);
    return status;
}
