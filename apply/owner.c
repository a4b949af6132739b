/*
 * The signs of life of the one that applies, and waiting until there are none.
 *
 * What can go wrong: Kafka is away for both; then time does not count, or a standby that comes back
 * to it a moment earlier would take over from one that is well. A sign that cannot be read counts
 * as one of life.
 */
#include "apply/owner.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LOOK_MS 1000

static void
text_get(const json_t *object, const char *key, char *out, size_t size)
{
    const char *s = json_string_value(json_object_get(object, key));

    snprintf(out, size, "%s", s ? s : "");
}

bool
ap_owner_parse(struct ls_str text, struct ap_owner *ret)
{
    json_t *object = text.p ? json_loadb(text.p, text.n, 0, NULL) : NULL;

    memset(ret, 0, sizeof(*ret));
    text_get(object, "lineage", ret->lineage, sizeof(ret->lineage));
    text_get(object, "instance", ret->instance, sizeof(ret->instance));
    ret->beat = json_integer_value(json_object_get(object, "beat"));
    ret->changed = json_integer_value(json_object_get(object, "changed"));
    ret->whole = json_is_true(json_object_get(object, "whole"));
    ret->released = json_is_true(json_object_get(object, "released"));
    ret->there = ret->lineage[0] != '\0';
    json_decref(object);
    return ret->there;
}

char *
ap_owner_text(const struct ap_owner *owner)
{
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:I, s:b, s:b, s:I}", "lineage", owner->lineage, "instance",
                  owner->instance, "beat", (json_int_t)owner->beat, "changed",
                  (json_int_t)owner->changed, "whole", (int)owner->whole, "released",
                  (int)owner->released, "time_us", (json_int_t)ls_now_us());
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

static int
each_sign(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct ap_owner owner;

    (void)err;
    if (ap_owner_parse(message->value, &owner))
        *(struct ap_owner *)arg = owner;
    return 0;
}

int
ap_owner_read(const struct ls_config *config, struct ap_owner *ret, struct ls_err *err)
{
    memset(ret, 0, sizeof(*ret));
    return ls_topic_read(config, ls_config_topic(config, "applier"), each_sign, ret, err);
}

void
ap_owner_new_lineage(char out[40])
{
    unsigned char bytes[12] = {0};

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        memcpy(bytes, &(int64_t){ls_now_us()}, sizeof(int64_t));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int64_t
end_of_signs(const struct ls_config *config, struct ls_consumer **consumer)
{
    struct ls_err err = {0};
    int64_t first, end;

    if ((!*consumer && ls_consumer_new(config, NULL, consumer, &err) < 0) ||
        ls_consumer_bounds(*consumer, ls_config_topic(config, "applier"), 0, &first, &end, &err) <
            0) {
        ls_log_err(LS_WARN, "standby-kafka", &err);
        return -1;
    }
    return end;
}

void
ap_owner_wait(const struct ls_config *config, int64_t ms, void (*tell)(void *arg), void *arg)
{
    struct ls_consumer *consumer = NULL;
    struct ls_err ignored = {0};
    struct ap_owner owner;
    int64_t end = -1, now, still_ms = ls_mono_ms();
    uint16_t more = 0; /* of several that wait, one is the first */

    if (getrandom(&more, sizeof(more), 0) == (ssize_t)sizeof(more))
        ms += ms * more / 65536 / 2;

    while (!ls_run_stopping()) {
        tell(arg);
        now = end_of_signs(config, &consumer);
        if (now < 0 || now != end) {
            still_ms = ls_mono_ms();
            if (now >= 0 && ap_owner_read(config, &owner, &ignored) == 0 && owner.released)
                break;
        } else if (ls_mono_ms() - still_ms >= ms) {
            break;
        }
        end = now;
        ls_run_sleep_ms(ms / 8 < LOOK_MS ? ms / 8 : LOOK_MS);
    }
    ls_consumer_free(consumer);
}
