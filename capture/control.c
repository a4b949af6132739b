/*
 * The control topic, read beside the stream.
 *
 * How far it was read, which ids were taken and the last answers stand in the position, which is
 * committed in one Kafka transaction with what a command did: so a command is taken once, also over
 * a kill, and its answer is not lost. What can go wrong: the topic cannot be read (it is tried
 * again; capture goes on, commands wait); it was made anew and ends before our offset (read from
 * its beginning: ids and ages keep old commands out); records of strangers (counted and logged,
 * never looked into).
 */
#include "capture/control.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include "common/utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGE "capture"
#define AGAIN_MS 5000
#define REFUSED_AT_ONCE 100 /* records that are passed over in one call */

const char *const cap_control_names[CAP_CONTROL_COUNTS] = {
    [CAP_CONTROL_ACCEPTED] = "accepted",
    [CAP_CONTROL_REFUSED] = "refused",
    [CAP_CONTROL_UNSIGNED] = "unsigned",
    [CAP_CONTROL_WRONG_SIGNATURE] = "wrong-signature",
    [CAP_CONTROL_MALFORMED] = "malformed-command",
    [CAP_CONTROL_STALE] = "stale",
    [CAP_CONTROL_REPEATED] = "repeated",
};

struct cap_control {
    const struct ls_config *config;
    struct ls_str key; /* null: off */
    const char *prefix;
    int64_t max_age_s;
    struct ls_consumer *consumer; /* NULL: to be made */
    int64_t again_ms;             /* not before */
    int64_t next;                 /* behind the record that was given out last */
    int64_t counts[CAP_CONTROL_COUNTS];
};

int
cap_control_new(const struct ls_config *config, struct cap_control **ret, struct ls_err *err)
{
    struct cap_control *c = calloc(1, sizeof(*c));

    if (!c)
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory");
    c->config = config;
    c->prefix = ls_config_str(config, "lockstep", "prefix");
    c->max_age_s = ls_config_int(config, "control", "max_age_s");
    if (ls_control_key(config, &c->key, err) < 0) {
        free(c);
        return -1;
    }
    if (!c->key.p)
        ls_log(LS_INFO, "commands-off", LS_S("why", "control.key is not set"));
    *ret = c;
    return 0;
}

void
cap_control_free(struct cap_control *c)
{
    if (!c)
        return;
    ls_consumer_free(c->consumer);
    free(c);
}

bool
cap_control_on(const struct cap_control *c)
{
    return c->key.p != NULL;
}

const int64_t *
cap_control_counts(const struct cap_control *c)
{
    return c->counts;
}

void
cap_control_restart(struct cap_control *c)
{
    ls_consumer_free(c->consumer);
    c->consumer = NULL;
}

static int
open_topic(struct cap_control *c, struct cap_control_state *state, struct ls_err *err)
{
    struct ls_partition part = {ls_config_topic(c->config, LS_CONTROL_TOPIC), 0, 0};
    struct ls_consumer *consumer = NULL;
    int64_t first, end;

    if (ls_consumer_new(c->config, NULL, &consumer, err) < 0)
        return -1;
    if (ls_consumer_bounds(consumer, part.topic, 0, &first, &end, err) < 0)
        goto fail;
    part.offset = state->next < first || state->next > end ? first : state->next;
    if (ls_consumer_assign(consumer, &part, 1, err) < 0)
        goto fail;
    state->next = part.offset;
    c->consumer = consumer;
    return 0;
fail:
    ls_consumer_free(consumer);
    return -1;
}

static void
give_up_for_now(struct cap_control *c, const struct ls_err *why)
{
    ls_log_err(LS_WARN, "control", why);
    cap_control_restart(c);
    c->again_ms = ls_mono_ms() + AGAIN_MS;
}

static void
count(struct cap_control *c, const char *cause)
{
    enum cap_control_count which = CAP_CONTROL_REFUSED;

    for (int i = 0; i < CAP_CONTROL_COUNTS; i++)
        if (!strcmp(cause, cap_control_names[i]))
            which = (enum cap_control_count)i;
    c->counts[which]++;
}

/* Whether the record is a command that may be carried out. One that is signed but stale is
 * answered, for whoever sent it waits, and it may be his clock. */
static bool
take_record(struct cap_control *c, struct cap_control_state *state,
            const struct ls_message *message, struct ls_command *ret)
{
    struct ls_command command;
    struct ls_err why = {0};

    if (!ls_str_is(message->key, STAGE))
        return false;
    if (ls_control_read(c->key, ls_str_of(c->prefix), message->value,
                        ls_message_header(message, LS_CONTROL_SIGNATURE), &command, &why) < 0) {
        count(c, why.cause);
        ls_log_err(LS_WARN, "command-refused", &why);
        return false;
    }
    if (strcmp(command.stage, STAGE) != 0) { /* moved to our key by somebody */
        ls_command_free(&command);
        count(c, cap_control_names[CAP_CONTROL_MALFORMED]);
        return false;
    }
    if (ls_control_check(&state->seen, &command, ls_now_us(), c->max_age_s, &why) == 0) {
        *ret = command;
        return true;
    }
    if (!strcmp(why.cause, "stale")) {
        cap_control_answer(c, state, &command, &why);
    } else {
        count(c, why.cause);
        ls_log_err(LS_WARN, "command-refused", &why);
    }
    ls_command_free(&command);
    return false;
}

int
cap_control_next(struct cap_control *c, struct cap_control_state *state, struct ls_command *ret)
{
    struct ls_message *message = NULL;
    struct ls_err why = {0};

    ls_control_forget(&state->seen, ls_now_us(), c->max_age_s);
    if (!c->key.p || (!c->consumer && ls_mono_ms() < c->again_ms))
        return 0;
    if (!c->consumer && open_topic(c, state, &why) < 0) {
        give_up_for_now(c, &why);
        return 0;
    }
    for (int i = 0; i < REFUSED_AT_ONCE; i++) {
        bool taken;

        if (ls_consumer_poll(c->consumer, 0, &message, &why) < 0) {
            give_up_for_now(c, &why);
            return 0;
        }
        if (!message)
            return 0;
        c->next = message->offset + 1;
        taken = take_record(c, state, message, ret);
        ls_message_free(message);
        if (taken)
            return 1;
        state->next = c->next;
    }
    return 0;
}

/* Copies what fits, whole characters only: it goes into JSON. */
static void
copy_text(char *out, size_t size, const char *text)
{
    size_t n = 0, one;

    while (text[n] && (one = ls_utf8_len(text + n, strlen(text + n))) > 0 && n + one < size)
        n += one;
    memcpy(out, text, n);
    out[n] = '\0';
}

void
cap_control_answer(struct cap_control *c, struct cap_control_state *state,
                   const struct ls_command *command, const struct ls_err *why)
{
    struct cap_answer *a;

    if (state->n_answers == CAP_ANSWERS) {
        memmove(state->answers, state->answers + 1, (CAP_ANSWERS - 1) * sizeof(state->answers[0]));
        state->n_answers--;
    }
    a = &state->answers[state->n_answers++];
    memset(a, 0, sizeof(*a));
    memcpy(a->id, command->id, sizeof(a->id));
    copy_text(a->command, sizeof(a->command), command->name);
    a->accepted = !why;
    a->time_us = ls_now_us();
    if (why) {
        copy_text(a->cause, sizeof(a->cause), why->cause);
        copy_text(a->why, sizeof(a->why), why->msg);
    }
    count(c, why ? why->cause : cap_control_names[CAP_CONTROL_ACCEPTED]);
    ls_log(why ? LS_WARN : LS_INFO, why ? "command-refused" : "command-accepted", LS_S("id", a->id),
           LS_S("command", a->command), LS_S("cause", a->cause), LS_S("why", a->why));
    /* a stale one cannot come back, and its time may be any */
    if (!why || strcmp(why->cause, "stale") != 0)
        ls_control_note(&state->seen, command);
    state->next = c->next;
}
