/*
 * Signals, back-off, and what systemd hears.
 *
 * What can go wrong: a signal that arrives between a look at the flag and the
 * sleep would be slept through. So the handler also writes to an eventfd that
 * is never read empty again: whoever sleeps polls it, in every thread, now and
 * later. A daemon that hangs in a clean stop is ended by the second signal.
 */
#include "common/run.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define ALIVE_MS 1000         /* between two words to the watchdog */
#define CLOCK_BACK_US 1000000 /* less is soon made up for, or a machine that was busy between */
#define SLICE_MS 30000        /* of a long sleep: the watchdog is fed between two */

static atomic_int stopping;
static int stop_fd = -1;
static pthread_once_t stop_once = PTHREAD_ONCE_INIT;

static void
stop_fd_make(void)
{
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd < 0)
        abort(); /* no descriptor left at start-up: nothing else would work either */
}

static void
stop_raise(void)
{
    const uint64_t one = 1;
    int saved = errno;

    atomic_store(&stopping, 1);
    if (write(stop_fd, &one, sizeof(one)) < 0) {
        /* The counter is full, so it is readable already. */
    }
    errno = saved;
}

static void
on_signal(int sig)
{
    if (atomic_load(&stopping))
        _exit(128 + sig);
    stop_raise();
}

void
ls_run_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    pthread_once(&stop_once, stop_fd_make);
    sigemptyset(&stop.sa_mask);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool
ls_run_stopping(void)
{
    return atomic_load(&stopping) != 0;
}

void
ls_run_stop(void)
{
    pthread_once(&stop_once, stop_fd_make);
    stop_raise();
}

void
ls_run_sleep_ms(int64_t ms)
{
    int64_t until = ls_mono_ms() + ms;

    pthread_once(&stop_once, stop_fd_make);
    while (ms > 0 && !ls_run_stopping()) {
        struct pollfd p = {.fd = stop_fd, .events = POLLIN};

        /* who waits for a server is not stuck; a worker that sleeps says nothing of the loop */
        if (gettid() == getpid())
            ls_run_notify_alive();
        poll(&p, 1, (int)(ms > SLICE_MS ? SLICE_MS : ms));
        ms = until - ls_mono_ms();
    }
}

void
ls_run_notify_ready(void)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&told))
        sd_notify(0, "READY=1");
}

void
ls_run_notify_alive(void)
{
    static _Atomic int64_t next;
    int64_t now = ls_mono_ms();

    if (now < atomic_load(&next))
        return;
    atomic_store(&next, now + ALIVE_MS);
    sd_notify(0, "WATCHDOG=1");
}

void
ls_run_notify_state(const char *state)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char last[160];

    pthread_mutex_lock(&lock);
    if (strncmp(last, state, sizeof(last) - 1) != 0) {
        snprintf(last, sizeof(last), "%s", state);
        sd_notifyf(0, "STATUS=%.*s", (int)strcspn(last, "\n"), last);
    }
    pthread_mutex_unlock(&lock);
}

int64_t
ls_clock_back_us(int64_t *ahead_us)
{
    int64_t ahead = ls_now_us() - ls_mono_ms() * 1000, back = *ahead_us - ahead;
    bool first = *ahead_us == 0;

    *ahead_us = ahead;
    return !first && back > CLOCK_BACK_US ? back : 0;
}

int64_t
ls_clock_moment_us(int64_t us, int64_t now_us, int64_t back_us)
{
    if (us <= now_us)
        return us;
    return us - back_us < now_us ? us - back_us : now_us;
}

struct timespec
ls_mono_after(int64_t ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

int64_t
ls_backoff_next_ms(struct ls_backoff *backoff)
{
    int64_t ceiling = backoff->first_ms;

    for (unsigned i = 0; i < backoff->attempt && ceiling < backoff->max_ms; i++)
        ceiling *= 2;
    if (ceiling > backoff->max_ms)
        ceiling = backoff->max_ms;
    if (ceiling < backoff->max_ms)
        backoff->attempt++;
    if (ceiling <= 0)
        return 0;
    if (ceiling >= UINT32_MAX)
        ceiling = UINT32_MAX - 1;
    return (int64_t)arc4random_uniform((uint32_t)ceiling + 1);
}

void
ls_backoff_reset(struct ls_backoff *backoff)
{
    backoff->attempt = 0;
}
