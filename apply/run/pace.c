/*
 * The limit of calls in flight.
 *
 * It falls by half when the target asks for less (429, 503), and by and by when answers come at
 * more than twice the time that they usually take at this target; otherwise it grows, slowly, as
 * long as it is what holds calls back, up to what is configured.
 *
 * What can go wrong: the wrong yardstick. The shortest time ever seen is none: with more in flight
 * oCIS does more although each call takes several times as long, and a limit that kept calls at
 * their shortest would do a third of what is possible. So calls are compared with what their kind
 * usually takes, a mean over some hundreds of them: a target that gets slower (its users are at
 * work, its disk is busy) is given time, and one that stays slower is not starved for ever. A mean
 * that is too high, learnt in a bad hour, falls faster than it rises.
 *
 * The window: who is far behind loses little by waiting a moment, and what comes in that moment
 * saves calls.
 */
#include "apply/run/pace.h"
#include <math.h>
#include <string.h>

#define TOLERATED 2.0 /* times the usual */
#define WINDOW 10     /* answers, at least, between two looks */
#define RISE 600.0    /* answers over which the usual time rises, and falls */
#define FALL 150.0
#define WIDER_US 10000000 /* behind: the window once more */
#define LATEST 10.0       /* one answer counts as so many times the usual at most */

void
ap_pace_init(struct ap_pace *pace, int most)
{
    memset(pace, 0, sizeof(*pace));
    pace->most = most < 1 ? 1 : most;
    pace->limit = pace->most;
}

int
ap_pace_limit(const struct ap_pace *pace)
{
    return (int)pace->limit;
}

int
ap_pace_spare(int limit)
{
    return limit / 8;
}

static void
set(struct ap_pace *pace, double limit)
{
    pace->limit = limit < 1 ? 1 : limit > pace->most ? pace->most : limit;
    pace->slower = 0;
    pace->n = 0;
    pace->full = false;
}

void
ap_pace_answer(struct ap_pace *pace, int kind, int64_t took_us, bool full)
{
    double took = took_us > 0 ? (double)took_us : 1, usual, over, wanted;

    if (kind < 0 || kind >= AP_PACE_KINDS)
        return;
    usual = pace->kinds[kind].n > 0 ? pace->kinds[kind].usual_us : took;
    over = fmin(took / usual, LATEST);
    over = fmax(over, 1 / LATEST);
    pace->kinds[kind].n++;
    took = usual * over; /* one that hung for a minute says no more than one of ten times */
    pace->kinds[kind].usual_us =
        usual + (took - usual) / fmin((double)pace->kinds[kind].n, took > usual ? RISE : FALL);
    pace->slower += over;
    pace->full = pace->full || full;
    if (++pace->n < WINDOW || pace->n < ap_pace_limit(pace))
        return;
    over = pace->slower / pace->n;
    wanted = pace->limit * fmax(0.5, fmin(1, TOLERATED / over));
    if (pace->full || over > TOLERATED)
        wanted += sqrt(pace->limit);
    set(pace, over > TOLERATED ? fmin(pace->limit, 0.5 * (pace->limit + wanted))
                               : pace->limit + 0.25 * (wanted - pace->limit));
}

void
ap_pace_slow_down(struct ap_pace *pace)
{
    set(pace, pace->limit / 2);
}

int64_t
ap_window_ms(int64_t window_ms, int64_t behind_us)
{
    int64_t more = behind_us > 0 ? behind_us / WIDER_US : 0;

    return window_ms * (1 + (more < 4 ? more : 4));
}
