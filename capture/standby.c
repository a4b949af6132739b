/*
 * The standby: a capture that was fenced by a newer one watches it, and takes over when it is gone.
 *
 * The active one commits its position at least once a second, with its heartbeats, while it follows
 * the source. So the sign of its life is the end of the position topic. When that has stood still
 * for capture.standby_ms, the standby connects, which fences whoever is left.
 *
 * What can go wrong: two captures that fence each other in turns while something else is broken,
 * so that neither gets anywhere. Therefore
 *  - time counts only while Kafka answers: behind an outage the wait begins again, and the active
 *    one, which tries again at shorter times, is first;
 *  - time counts only while the source answers the standby, half the wait at least: behind an
 * outage of the source too the active one is first;
 *  - if the other one takes over again soon after, the trouble lies elsewhere: the wait is doubled
 *    each time, up to 32 times. It is the first again behind a good while in office.
 * A source that only the active one cannot reach is a reason to take over: that is the second host.
 */
#include "capture/standby.h"
#include "capture/source/connect.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"

#define LOOK_MS 1000
#define PATIENCE_TIMES 32
#define OFFICE_TIMES 10 /* waits that are a good while in office */
#define SOURCE_S 5

struct watch {
    const struct ls_config *config;
    const char *topic;
    struct ls_consumer *consumer;
    int64_t end;       /* of the position topic; -1: not known */
    int64_t still_ms;  /* since when it has not moved */
    int64_t source_ms; /* since when the source answers; -1: it does not, or was not asked */
};

/* Looks whether the position has moved; a Kafka that does not answer counts as if it had. */
static void
look_at_position(struct watch *w)
{
    int64_t first, end = -1;
    struct ls_err err = {0};

    if ((!w->consumer && ls_consumer_new(w->config, NULL, &w->consumer, &err) < 0) ||
        ls_consumer_bounds(w->consumer, w->topic, 0, &first, &end, &err) < 0) {
        ls_log_err(LS_WARN, "standby-kafka", &err);
        end = -1;
    }
    if (end < 0 || end != w->end) {
        w->end = end;
        w->still_ms = ls_mono_ms();
        w->source_ms = -1;
    }
}

static void
look_at_source(struct watch *w)
{
    MYSQL *mysql = NULL;
    struct ls_err err = {0};
    int64_t asked_ms = ls_mono_ms();

    if (cap_connect_within(w->config, SOURCE_S, &mysql, &err) == 0 &&
        cap_query(mysql, "SELECT 1", &err) == 0) {
        if (w->source_ms < 0)
            w->source_ms = asked_ms;
    } else {
        ls_log_err(LS_WARN, "standby-source", &err);
        w->source_ms = -1;
    }
    if (mysql)
        mysql_close(mysql);
}

static bool
is_gone(struct watch *w, int64_t patience_ms)
{
    int64_t now;

    look_at_position(w);
    if (w->end < 0 || ls_mono_ms() - w->still_ms < patience_ms / 2)
        return false;
    look_at_source(w);
    look_at_position(w); /* that may have taken its time */
    now = ls_mono_ms();
    return w->end >= 0 && w->source_ms >= 0 && now - w->still_ms >= patience_ms &&
           now - w->source_ms >= patience_ms / 2;
}

/* How long to wait this time. */
static void
be_patient(struct cap_standby *s, int64_t least_ms)
{
    int64_t in_office = ls_mono_ms() - s->over_ms;

    if (s->patience_ms == 0 || in_office >= s->patience_ms * OFFICE_TIMES)
        s->patience_ms = least_ms;
    else if (s->patience_ms < least_ms * PATIENCE_TIMES)
        s->patience_ms *= 2;
}

void
cap_standby_wait(struct cap_standby *standby, const struct ls_config *config,
                 void (*tell)(void *arg), void *arg)
{
    struct watch w = {.config = config,
                      .topic = ls_config_topic(config, "position"),
                      .end = -1,
                      .still_ms = ls_mono_ms(),
                      .source_ms = -1};

    be_patient(standby, ls_config_int(config, "capture", "standby_ms"));
    ls_log(LS_WARN, "standby", LS_S("why", "another capture has taken over"),
           LS_I("patience_ms", standby->patience_ms));
    while (!ls_run_stopping()) {
        tell(arg);
        if (is_gone(&w, standby->patience_ms)) {
            ls_log(LS_WARN, "take-over", LS_S("why", "the position has stood still"),
                   LS_I("ms", ls_mono_ms() - w.still_ms));
            break;
        }
        ls_run_sleep_ms(standby->patience_ms / 8 < LOOK_MS ? standby->patience_ms / 8 : LOOK_MS);
    }
    ls_consumer_free(w.consumer);
    standby->over_ms = ls_mono_ms();
}
