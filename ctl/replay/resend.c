/*
 * The sending half of <p>.replay.
 *
 * What can go wrong: no key (nothing is done, and said so: a record without a signature is refused
 * by every reader); Kafka away in the middle (what was sent stays sent, and does no harm when the
 * command is given again, as another run); the topic not there (made, as the daemons make it).
 */
#include "ctl/replay/resend.h"
#include "common/kafka.h"
#include "common/run.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_MS 60000

struct resend {
    const struct ls_config *config;
    struct ls_producer *producer;
    struct ls_str key, prefix;
    const char *topic;
    char run[LS_CONTROL_ID];
    char by[160];
    int partitions;
    int64_t rate, sent, began_ms;
};

/* For whoever asks later; nobody is let in by it. */
static void
name_caller(char *out, size_t size)
{
    const struct passwd *user = getpwuid(getuid());
    const char *name = getenv("SUDO_USER");
    char host[80];

    if (gethostname(host, sizeof(host)) < 0)
        host[0] = '\0';
    host[sizeof(host) - 1] = '\0';
    if (!name || !*name || getuid() != 0)
        name = user ? user->pw_name : "?";
    snprintf(out, size, "%.64s@%s", name, host);
}

int
resend_open(const struct ls_config *config, struct resend **ret, struct ls_err *err)
{
    struct resend *r = calloc(1, sizeof(*r));
    struct ls_command command = {0};
    struct ls_topic_spec spec;

    if (!r)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    r->config = config;
    r->prefix = ls_str_of(ls_config_str(config, "lockstep", "prefix"));
    r->topic = ls_config_topic(config, LS_REPLAY_TOPIC);
    r->partitions = (int)ls_config_int(config, "lockstep", "partitions");
    if (ls_control_key(config, &r->key, err) < 0)
        goto fail;
    if (!r->key.p) {
        ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "control-key",
                      "records sent again are signed: set control.key_file, here and for transform "
                      "and apply");
        goto fail;
    }
    spec = (struct ls_topic_spec){r->topic, r->partitions, LS_KEPT_14_DAYS};
    /* a command's id is one that nobody can guess */
    if (ls_command_new("replay", "replay", json_object(), &command, err) < 0 ||
        ls_topics_ensure(config, &spec, 1, err) < 0 ||
        ls_producer_new(config, NULL, &r->producer, err) < 0)
        goto fail;
    memcpy(r->run, command.id, sizeof(r->run));
    name_caller(r->by, sizeof(r->by));
    ls_command_free(&command);
    r->began_ms = ls_mono_ms();
    *ret = r;
    return 0;
fail:
    ls_command_free(&command);
    resend_free(r);
    return -1;
}

int
resend_refused(const struct ls_err *err)
{
    fprintf(stderr, "lockstep: %s\n", err->msg);
    return strcmp(err->cause, "control-key") == 0 ? LS_EXIT_USAGE : LS_EXIT_KAFKA;
}

void
resend_free(struct resend *r)
{
    if (!r)
        return;
    ls_producer_free(r->producer);
    free(r);
}

const char *
resend_run(const struct resend *r)
{
    return r->run;
}

int
resend_partitions(const struct resend *r)
{
    return r->partitions;
}

void
resend_rate(struct resend *r, int64_t rate)
{
    r->rate = rate;
}

static void
wait_turn(const struct resend *r)
{
    int64_t at = r->rate > 0 ? r->began_ms + r->sent * 1000 / r->rate : 0;

    while (!ls_run_stopping() && at > ls_mono_ms())
        ls_run_sleep_ms(at - ls_mono_ms() > 100 ? 100 : at - ls_mono_ms());
}

int
resend_send(struct resend *r, struct ls_replay replay, int64_t partition, struct ls_err *err)
{
    struct ls_replay_signed headers;

    wait_turn(r);
    replay.run = ls_str_of(r->run);
    replay.n = r->sent + 1;
    replay.partition = partition < 0 ? 0 : (int32_t)(partition % r->partitions);
    replay.by = replay.letter.n ? ls_str_of(r->by) : LS_STR_NULL;
    replay.time_us = ls_now_us();
    if (!replay.value.p)
        replay.value = LS_STR("");
    if (ls_replay_sign(r->key, r->prefix, &replay, &headers, err) < 0 ||
        ls_producer_send(r->producer, r->topic, replay.partition, replay.key, replay.value,
                         headers.headers, headers.n, err) < 0)
        return -1;
    r->sent++;
    return 0;
}

int
resend_flush(struct resend *r, struct ls_err *err)
{
    return ls_producer_flush(r->producer, FLUSH_MS, err);
}
