/* In the place of common/clock.c. */
#include "clock.h"
#include "common/run.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

enum { LOOK_US = 10 };

static atomic_bool held;
static _Atomic int64_t passed_us; /* of the held clocks, since they are */
static _Atomic int64_t back_us;   /* of the wall's alone */

static int64_t
machine_us(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
clock_hold(void)
{
    atomic_store(&passed_us, 0);
    atomic_store(&back_us, 0);
    atomic_store(&held, true);
}

void
clock_release(void)
{
    atomic_store(&held, false);
}

void
clock_pass_us(int64_t us)
{
    if (atomic_load(&held))
        atomic_fetch_add(&passed_us, us);
    else
        usleep((useconds_t)us);
}

void
clock_set_back_us(int64_t us)
{
    atomic_fetch_add(&back_us, us);
}

/* Held, both begin at the same moment in every run. */
int64_t
ls_now_us(void)
{
    return atomic_load(&held) ? INT64_C(1780000000000000) + atomic_fetch_add(&passed_us, LOOK_US) -
                                    atomic_load(&back_us)
                              : machine_us(CLOCK_REALTIME);
}

int64_t
ls_mono_ms(void)
{
    return atomic_load(&held) ? (INT64_C(1000000000) + atomic_fetch_add(&passed_us, LOOK_US)) / 1000
                              : machine_us(CLOCK_MONOTONIC) / 1000;
}
