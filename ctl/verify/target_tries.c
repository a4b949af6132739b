/*
 * When a call is made again.
 *
 * A comparison takes hours, and a target is restarted within them: one that has answered and is
 * away is waited for. What it refuses for one thing alone is tried a few times.
 */
#include "common/log.h"
#include "common/run.h"
#include "ctl/verify/target_room.h"
#include <string.h>

#define AWAY_MS 120000
#define SAY_MS 30000

bool
target_is_away(struct target *target, const struct ls_err *err)
{
    bool signed_in;

    if (strcmp(err->cause, "target-down") == 0 || strcmp(err->cause, "timeout") == 0 ||
        strcmp(err->cause, "slow-down") == 0)
        return true;
    pthread_mutex_lock(&target->away_lock);
    signed_in = target->signed_in;
    pthread_mutex_unlock(&target->away_lock);
    return signed_in && strcmp(err->cause, "sign-in") == 0;
}

bool
target_is_there(struct target *target, struct ls_err *err)
{
    struct ls_err why = {0};

    if (cs3_ping(target->cs3, &why) == 0)
        return true;
    *err = why;
    return false;
}

static void
say_away(struct target *target, const struct ls_err *err)
{
    int64_t now = ls_mono_ms();
    bool say;

    pthread_mutex_lock(&target->away_lock);
    say = target->said_ms == 0 || now - target->said_ms >= SAY_MS;
    if (say)
        target->said_ms = now;
    pthread_mutex_unlock(&target->away_lock);
    if (say)
        ls_log_err(LS_WARN, "target-away", err);
}

/* What ran out of time again and again is this one thing's trouble when the target answers. */
static bool
give_up_away(struct target *target, struct ls_err *err)
{
    if (strcmp(err->cause, "timeout") == 0)
        (void)target_is_there(target, err);
    return false;
}

bool
target_once_more(struct target *target, struct ls_err *err, struct target_tries *tries)
{
    bool gone = strcmp(err->cause, "gone") == 0, there = true;

    if (err->kind != LS_ERR_RETRY || strcmp(err->cause, "no-user") == 0)
        return false;
    /* a gateway says both also while the services behind it are away */
    if (gone || strcmp(err->cause, "internal") == 0)
        there = target_is_there(target, err);
    if (gone && there)
        return false;
    if (target_is_away(target, err)) {
        if (tries->away_ms == 0)
            tries->away_ms = ls_mono_ms();
        else if (ls_mono_ms() - tries->away_ms >= AWAY_MS)
            return give_up_away(target, err);
        else if (ls_mono_ms() - tries->away_ms >= 2000)
            say_away(target, err);
        tries->n = 0;
        ls_run_sleep_ms(500);
        return !ls_run_stopping();
    }
    tries->away_ms = 0;
    if (++tries->n > TARGET_TRIES || strcmp(err->cause, "sign-in") == 0)
        return false;
    ls_run_sleep_ms(100LL << tries->n);
    return !ls_run_stopping();
}
