/*
 * A ledger that takes in people and annotations, and a target in memory, for the tests of both.
 */
#ifndef PEOPLE_WORLD_H
#define PEOPLE_WORLD_H

#include "apply/core.h"
#include "common/run.h"
#include "fake_target.h"
#include "steps.h"
#include "tests/unit/clock.h"
#include <unistd.h>

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

struct world {
    struct fake_target target;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128];
    int64_t seq;
};

static const struct ap_options options = {
    .drift_stop = true,
    .workers = 4,
    .retry_first_ms = 1,
    .retry_max_ms = 2,
    .content_tries = 3,
    .content_margin_us = 1000,
    .sweep_max_percent = 100,
    .sweep_max_items = 1000,
    .disable_deleted = true,
};
static const struct ap_origin people = {.topic = "cs3.person"}, notes = {.topic = "cs3.annotation"},
                              spaces = {.topic = "cs3.space"}, files = {.topic = "cs3.resource"};

static inline int
setup(void **state)
{
    static int n;
    struct world *w = calloc(1, sizeof(*w));
    struct ls_err err = {0};

    clock_hold();
    fake_init(&w->target);
    snprintf(w->path, sizeof(w->path), "%s/apply-people-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    if (ap_ledger_open(w->path, &w->ledger, &err) < 0 ||
        ap_core_new(w->ledger, &w->target.writer, NULL, &options, &w->core, &err) < 0)
        return -1;
    ledger_begin(w->ledger);
    *state = w;
    return 0;
}

static inline int
teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct world *w = *state;
    char name[160];

    ledger_commit(w->ledger);
    ap_core_free(w->core);
    ap_ledger_close(w->ledger);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", w->path, ends[i]);
        unlink(name);
    }
    fake_free(&w->target);
    free(w);
    clock_release();
    return 0;
}

/* Everything that can be done is done; the transaction of the test goes on. */
static inline void
run(struct world *w)
{
    struct ap_job *job;

    for (int round = 0; round < 50; round++) {
        ap_settle(w->core);
        ap_plan(w->core);
        ledger_commit(w->ledger);
        ap_send(w->core);
        while ((job = ap_job_next(w->core)) != NULL) {
            ap_job_run(&w->target.writer, job);
            ap_job_back(w->core, job);
        }
        clock_pass_us(200);
        ledger_begin(w->ledger);
    }
}

static inline void
give(struct world *w, struct cs3_person p)
{
    if (p.head.kind != CS3_END && p.head.seq.counter == 0)
        p.head.seq = (struct ls_seq){1, ++w->seq, 0};
    ap_take_person(w->core, &people, &p);
}

static inline void
give_note(struct world *w, struct cs3_annotation a)
{
    if (a.head.kind != CS3_END && a.head.seq.counter == 0)
        a.head.seq = (struct ls_seq){1, ++w->seq, 0};
    ap_take_annotation(w->core, &notes, &a);
}

static inline int64_t
counted(struct world *w, const char *name)
{
    return ap_counted(w->ledger, name);
}

static inline struct cs3_person
user(const char *uid)
{
    return (struct cs3_person){
        .type = CS3_USER, .uid = ls_str_of(uid), .display_name = ls_str_of(uid), .enabled = true};
}

#endif
