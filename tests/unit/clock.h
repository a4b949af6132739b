/*
 * The clocks of common/run.h as a test drives them, for programs that are linked with clock.c. They
 * are the machine's until clock_hold(): then time passes by clock_pass_us() alone, and by 10 us at
 * each look, so that whoever waits for a moment in a loop meets it. What a seed did is then done
 * again by the same seed, however busy the machine is.
 */
#ifndef LOCKSTEP_TESTS_CLOCK_H
#define LOCKSTEP_TESTS_CLOCK_H

#include <stdint.h>

/* From a fixed moment on. */
void clock_hold(void);
void clock_release(void);
/* Held: moves the clocks. Else: sleeps. */
void clock_pass_us(int64_t us);

/* Held: the wall's clock alone is put back. */
void clock_set_back_us(int64_t us);

#endif
