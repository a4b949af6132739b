/*
 * Dead letters of this stage, taken up again.
 *
 * A row comes back with its bytes; what it maps to goes into <p>.replay and never into the
 * compacted topics, where the last offset would beat the higher seq of a newer row. What can go
 * wrong: the row is as wrong as before (it becomes a dead letter once more, with its own topic in
 * the header); a record that nobody with the key has sent.
 */
#include "transform/replay.h"
#include "common/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ls_table *
tf_replay_table(const struct ls_message *message)
{
    static const char rows[] = "oc10.oc_";
    const struct ls_str *topic = ls_message_header(message, "topic");

    if (!topic || topic->n < sizeof(rows) || memcmp(topic->p, rows, sizeof(rows) - 1) != 0)
        return NULL;
    return ls_table_by_name(topic->p + sizeof(rows) - 1, topic->n - sizeof(rows) + 1);
}

int
tf_replay_send(const struct tf_replay_guard *guard, const struct ls_replay *asked,
               const struct tf_result *result, const struct ls_str *values,
               struct ls_producer *producer, struct ls_err *err)
{
    char topic[64], run[256];

    for (size_t i = 0; i < result->n; i++) {
        const struct tf_emit *emit = &result->emits[i];
        struct ls_replay_signed headers;
        struct ls_replay r = {.topic = {topic, 0},
                              .key = emit->key,
                              .value = values[i],
                              .reconcile = asked->reconcile,
                              .time_us = ls_now_us()};

        if (!emit->record || !values[i].n)
            continue;
        snprintf(run, sizeof(run), "%.*s/%d", (int)asked->run.n, asked->run.p,
                 (int)asked->partition);
        r.run = ls_str_of(run);
        r.n = asked->n * TF_MAX_EMITS + (int64_t)i;
        r.partition = emit->partition < 0 ? 0 : emit->partition;
        r.topic.n = (size_t)snprintf(topic, sizeof(topic), "cs3.%s", tf_topic_names[emit->topic]);
        if (ls_replay_sign(guard->key, guard->prefix, &r, &headers, err) < 0 ||
            ls_producer_send(producer, guard->topic, r.partition, r.key, r.value, headers.headers,
                             headers.n, err) < 0)
            return -1;
    }
    return 0;
}

int
tf_replay_dropped(const struct ls_replay *asked, struct ls_producer *producer, const char *dlq,
                  struct ls_err *err)
{
    const struct ls_header headers[] = {{"stage", LS_STR("transform")},
                                        {"topic", asked->topic},
                                        {"state", LS_STR(LS_LETTER_DROPPED)}};
    char *text;
    int r;

    if (!asked->letter.n)
        return 0;
    text = ls_replay_drop_text(asked);
    if (!text)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory");
    r = ls_producer_send(producer, dlq, 0, asked->key, ls_str_of(text), headers,
                         sizeof(headers) / sizeof(headers[0]), err);
    free(text);
    return r;
}
