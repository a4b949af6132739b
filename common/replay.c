/*
 * <p>.replay: what a record of it says, and who may say it.
 *
 * What can go wrong: a record that nobody with the key has sent, or whose headers were exchanged
 * for another record's: all of it is signed, each part by its own digest so that no two can be
 * parted otherwise. One that somebody copies: into another partition it has no signature, in its
 * own its number has been there. One that comes late: refused from the age on that the topic keeps.
 */
#include "common/replay.h"
#include "common/records.h"
#include "common/utf8.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS 14
#define RUN_MAX 200
#define NUMBER_MAX (INT64_MAX / 64) /* transform counts on from it */
#define DIGEST 32

struct ls_str
ls_topic_short(struct ls_str prefix, struct ls_str topic)
{
    if (topic.n > prefix.n + 1 && memcmp(topic.p, prefix.p, prefix.n) == 0 &&
        topic.p[prefix.n] == '.')
        return (struct ls_str){topic.p + prefix.n + 1, topic.n - prefix.n - 1};
    return topic;
}

static int
mac_of(struct ls_str key, struct ls_str prefix, const struct ls_replay *r, struct ls_str time,
       struct ls_str n_text, char out[LS_CONTROL_HEX])
{
    char partition[16];
    const struct ls_str parts[PARTS] = {
        prefix,
        r->topic,
        r->key,
        r->value,
        r->seq,
        r->run,
        r->letter,
        r->origin,
        r->drop,
        r->by,
        r->reconcile ? LS_STR("1") : LS_STR(""),
        time,
        n_text,
        {partition, (size_t)snprintf(partition, sizeof(partition), "%d", (int)r->partition)}};
    uint8_t text[PARTS * DIGEST], mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    for (size_t i = 0; i < PARTS; i++)
        if (!EVP_Digest(parts[i].p ? parts[i].p : "", parts[i].n, text + i * DIGEST, &n,
                        EVP_sha256(), NULL) ||
            n != DIGEST)
            return -1;
    if (!HMAC(EVP_sha256(), key.p, (int)key.n, text, sizeof(text), mac, &n) ||
        n * 2 + 1 != LS_CONTROL_HEX)
        return -1;
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", mac[i]);
    return 0;
}

static void
header_put(struct ls_replay_signed *s, const char *name, struct ls_str value)
{
    if (value.p && value.n)
        s->headers[s->n++] = (struct ls_header){name, value};
}

int
ls_replay_sign(struct ls_str key, struct ls_str prefix, const struct ls_replay *replay,
               struct ls_replay_signed *ret, struct ls_err *err)
{
    ret->n = 0;
    snprintf(ret->time, sizeof(ret->time), "%lld", (long long)replay->time_us);
    snprintf(ret->number, sizeof(ret->number), "%lld", (long long)replay->n);
    if (mac_of(key, prefix, replay, ls_str_of(ret->time), ls_str_of(ret->number), ret->mac) < 0)
        return ls_fail(err, LS_ERR_FATAL, 0, "a record cannot be signed");
    header_put(ret, "topic", replay->topic);
    header_put(ret, "seq", replay->seq);
    header_put(ret, "run", replay->run);
    header_put(ret, "n", ls_str_of(ret->number));
    header_put(ret, "letter", replay->letter);
    header_put(ret, "origin", replay->origin);
    header_put(ret, "drop", replay->drop);
    header_put(ret, "by", replay->by);
    header_put(ret, "reconcile", replay->reconcile ? LS_STR("1") : LS_STR_NULL);
    header_put(ret, "time", ls_str_of(ret->time));
    header_put(ret, "mac", ls_str_of(ret->mac));
    return 0;
}

static struct ls_str
header_of(const struct ls_message *message, const char *name)
{
    const struct ls_str *value = ls_message_header(message, name);

    return value && value->p ? *value : LS_STR_NULL;
}

int
ls_replay_read(struct ls_str key, struct ls_str prefix, const struct ls_message *message,
               int64_t now_us, int64_t max_ahead_s, struct ls_replay *ret, struct ls_err *err)
{
    struct ls_str mac = header_of(message, "mac"), time = header_of(message, "time"),
                  number = header_of(message, "n");
    struct ls_replay r = {.topic = header_of(message, "topic"),
                          .key = message->key,
                          .value = message->value,
                          .seq = header_of(message, "seq"),
                          .run = header_of(message, "run"),
                          .letter = header_of(message, "letter"),
                          .origin = header_of(message, "origin"),
                          .drop = header_of(message, "drop"),
                          .by = header_of(message, "by"),
                          .partition = message->partition,
                          .reconcile = ls_str_is(header_of(message, "reconcile"), "1")};
    char want[LS_CONTROL_HEX];
    struct ls_seq seq;

    if (!mac.n)
        return ls_fail_cause(err, LS_ERR_POISON, EACCES, "unsigned", "the record is not signed");
    if (mac_of(key, prefix, &r, time, number, want) < 0 || mac.n != LS_CONTROL_HEX - 1 ||
        CRYPTO_memcmp(want, mac.p, LS_CONTROL_HEX - 1) != 0)
        return ls_fail_cause(err, LS_ERR_POISON, EACCES, "wrong-signature",
                             "the record was not signed with control.key, or for another prefix or "
                             "partition");
    if (!r.topic.n || !r.key.n || !r.run.n || r.run.n > RUN_MAX ||
        !ls_str_digits(time, &r.time_us) || !ls_str_digits(number, &r.n) || r.n < 1 ||
        r.n > NUMBER_MAX || (r.seq.n && ls_seq_parse(r.seq, &seq) < 0))
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "malformed-replay",
                             "the record has no topic, key, run, number or time");
    if (r.time_us / 1000000 + LS_REPLAY_MAX_AGE_S < now_us / 1000000 ||
        r.time_us / 1000000 - max_ahead_s > now_us / 1000000)
        return ls_fail_cause(err, LS_ERR_POISON, ETIME, "stale",
                             "the record is older than the topic keeps, or of the future");
    *ret = r;
    return 0;
}

bool
ls_replay_once(struct ls_replay_taken *known, int64_t n, int64_t offset)
{
    bool later = offset > known->offset;

    if (n <= (later ? known->n : known->again))
        return false;
    known->again = n;
    if (later) {
        known->n = n;
        known->offset = offset;
    }
    return true;
}

/* ---- the word that a letter was given up */

static int
put_text(json_t *document, const char *name, struct ls_str text)
{
    char *copy;
    int r;

    if (!text.p || ls_utf8_valid(text.p, text.n))
        return json_object_set_new(document, name, json_stringn(text.p ? text.p : "", text.n));
    copy = malloc(text.n);
    if (!copy)
        return -1;
    for (size_t i = 0; i < text.n; i++)
        copy[i] = (unsigned char)text.p[i] < 0x80 ? text.p[i] : '?';
    r = json_object_set_new(document, name, json_stringn(copy, text.n));
    free(copy);
    return r;
}

char *
ls_replay_drop_text(const struct ls_replay *replay)
{
    json_t *document = json_object();
    char *text = NULL;

    if (document && put_text(document, "letter", replay->letter) == 0 &&
        put_text(document, "reason", replay->drop) == 0 &&
        put_text(document, "by", replay->by) == 0 && put_text(document, "run", replay->run) == 0 &&
        json_object_set_new(document, "time_us", json_integer(replay->time_us)) == 0)
        text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

static struct ls_str
text_of(const json_t *document, const char *name)
{
    const json_t *text = json_object_get(document, name);

    return json_is_string(text) ? (struct ls_str){json_string_value(text), json_string_length(text)}
                                : LS_STR_NULL;
}

bool
ls_replay_drop_parse(struct ls_str text, struct ls_replay *ret, json_t **ret_json)
{
    json_t *document = text.p ? json_loadb(text.p, text.n, 0, NULL) : NULL;

    *ret = (struct ls_replay){.letter = text_of(document, "letter"),
                              .drop = text_of(document, "reason"),
                              .by = text_of(document, "by"),
                              .run = text_of(document, "run"),
                              .time_us = json_integer_value(json_object_get(document, "time_us"))};
    *ret_json = document;
    return ret->letter.n > 0 && ret->drop.n > 0;
}
