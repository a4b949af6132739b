/*
 * The life of a daemon: signals, clocks, back-off.
 */
#ifndef LS_RUN_H
#define LS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* SIGTERM and SIGINT ask for a clean stop; SIGPIPE is ignored. A second signal exits at once. */
void ls_run_signals(void);
bool ls_run_stopping(void);
void ls_run_stop(void); /* the same, asked for from inside */
/* Sleeps, but not past a stop. */
void ls_run_sleep_ms(int64_t ms);
/*
 * What systemd is told where it is there (Type=notify); nothing elsewhere. Ready: once, when the
 * stage works, or when it waits for a server for the first time: a wrong option ends before that.
 * Alive: feeds the watchdog, at most once a second; a main thread in ls_run_sleep_ms is alive. The
 * state is one line for `systemctl status`, sent when it changes.
 */
void ls_run_notify_ready(void);
void ls_run_notify_alive(void);
void ls_run_notify_state(const char *state);

int64_t ls_now_us(void);  /* wall clock, microseconds since 1970 */
int64_t ls_mono_ms(void); /* monotonic */
static inline int64_t
ls_now_ms(void)
{
    return ls_now_us() / 1000;
}
/* By how much the wall's clock was set back since the last look; 0: not, or by less than a second.
 * *ahead_us is the caller's to keep, 0 before the first look. */
int64_t ls_clock_back_us(int64_t *ahead_us);
/* A moment of a clock that was set back by `back_us`: the same one, where it lies in the future. */
int64_t ls_clock_moment_us(int64_t us, int64_t now_us, int64_t back_us);
/* The moment after so many ms on CLOCK_MONOTONIC, for a condition's timed wait. */
struct timespec ls_mono_after(int64_t ms);

/* Exponential with full jitter: 0 .. min(max, first * 2^attempt). */
struct ls_backoff {
    int64_t first_ms, max_ms;
    unsigned attempt;
};
int64_t ls_backoff_next_ms(struct ls_backoff *backoff);
void ls_backoff_reset(struct ls_backoff *backoff);

#endif
