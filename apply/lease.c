/*
 * The lease, one for the process: it is asked for at the very places where bytes leave for the
 * target, from any thread.
 *
 * What can go wrong: the process, or its whole machine, sleeps, and goes on as if nothing had
 * happened. So two clocks must agree that the time is not over: one that goes on while the machine
 * is suspended, and the wall's, for a virtual machine whose clocks all stood still and which is
 * then told the time. A wall clock that is put forward ends the lease early, which costs a moment.
 */
#include "apply/lease.h"
#include <stdatomic.h>
#include <time.h>

static atomic_llong boot_until = INT64_MAX, wall_until = INT64_MAX;

static int64_t
clock_ms(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct ap_instant
ap_lease_now(void)
{
    return (struct ap_instant){clock_ms(CLOCK_BOOTTIME), clock_ms(CLOCK_REALTIME)};
}

void
ap_lease_extend(struct ap_instant from, int64_t ms)
{
    atomic_store(&boot_until, from.boot_ms + ms);
    atomic_store(&wall_until, from.wall_ms + ms);
}

void
ap_lease_end(void)
{
    atomic_store(&boot_until, 0);
}

void
ap_lease_forget(void)
{
    atomic_store(&boot_until, INT64_MAX);
    atomic_store(&wall_until, INT64_MAX);
}

bool
ap_lease_held(void)
{
    struct ap_instant now;
    int64_t until = atomic_load(&boot_until);

    if (until == INT64_MAX)
        return true;
    now = ap_lease_now();
    return now.boot_ms < until && now.wall_ms < atomic_load(&wall_until);
}
