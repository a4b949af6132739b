/*
 * How many calls may be in flight: follows what the target's answers say. And for how long records
 * of one entity are gathered. Pure; one thread.
 */
#ifndef AP_PACE_H
#define AP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define AP_PACE_KINDS 8

struct ap_pace {
    double limit;
    int most;
    struct {
        double usual_us; /* of its answers, over some hundreds */
        int64_t n;
    } kinds[AP_PACE_KINDS];
    /* of the answers since the limit was looked at last: how much longer than usual they took */
    double slower;
    int n;
    bool full; /* the limit was reached meanwhile */
};

void ap_pace_init(struct ap_pace *pace, int most);
int ap_pace_limit(const struct ap_pace *pace); /* 1 to most */
/* Places beyond a limit, for lanes that have no call out: one in eight, rounded down. */
int ap_pace_spare(int limit);
/* A call of that kind (below AP_PACE_KINDS) was answered well. `full`: as many as may be are out.
 */
void ap_pace_answer(struct ap_pace *pace, int kind, int64_t took_us, bool full);
/* The target asked for less. */
void ap_pace_slow_down(struct ap_pace *pace);
/* `window_ms`, and the more the further a record is behind its source, up to five times as much. */
int64_t ap_window_ms(int64_t window_ms, int64_t behind_us);

#endif
