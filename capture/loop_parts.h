/*
 * What loop.c, prepare.c and follow.c share: one capture's state. Theirs alone.
 */
#ifndef CAP_LOOP_PARTS_H
#define CAP_LOOP_PARTS_H

#include "capture/control.h"
#include "capture/publish/publish.h"
#include "capture/snapshot/snapshot.h"
#include "capture/source/session.h"
#include "capture/standby.h"
#include "capture/status.h"
#include "capture/stream/headroom.h"
#include "capture/stream/schema.h"
#include "capture/stream/stream.h"
#include "common/run.h"

struct capture {
    const struct ls_config *config;
    struct cap_schema *schema;
    struct cap_publisher *publisher;
    struct cap_stream *stream;
    struct cap_snapshot *snapshot;
    struct cap_session *session;
    struct cap_status *status;
    struct cap_control *control;
    struct cap_headroom *headroom;
    struct ls_backoff backoff;
    bool new_snapshot;   /* asked for by option, not yet begun */
    bool may_skip;       /* --snapshot was given: a purged position may be left behind */
    bool followed;       /* the source was fit once: what it lacks now may come back */
    bool columns_asked;  /* since the dump began */
    size_t refused;      /* hosts that said no, one after the other */
    bool served;         /* the host in use gave packets since it was connected to */
    bool publisher_lost; /* its transaction failed: connect again before anything else */
    bool doubtful;       /* Kafka refused something: not ready until it has taken something */
    bool active;         /* was, or is: not so a start or the end of a wait, which take over */
    bool topics;         /* they are there, and their limits known */
    bool registered;     /* our schemas, with the registry: once is enough */
    struct cap_standby standby;
    int64_t ready_ms, ready_until;
    int64_t now_ms; /* as of the last look */
    int64_t commit_ms, status_ms;
    int64_t parts_ms; /* since when transactions in part are waited for, or were asked for */
    int64_t ahead_us, back_us; /* this machine's clock before the monotonic one; was set back by */
    int64_t tick_ms, control_ms, read_us, last_progress_us, last_counter, reconnects;
};

/* loop.c: the status document and metrics, as of now. */
void cap_tell(struct capture *c);
/* Looks whether the clock was set back: what was read up to is told by it. */
void cap_clock_follow(struct capture *c);

/* prepare.c */
int cap_make_topics(struct capture *c, struct ls_err *err);
/* The source's settings and tables, as they are now. */
int cap_look_at_source(struct capture *c, struct ls_err *err);
/* What the publisher shall keep beside the position. */
int cap_keep_columns(struct capture *c, struct ls_err *err);
/* The columns where the stream is, at `at`; `wanted` NULL: as many as can be had. */
int cap_learn_columns(struct capture *c, const struct cap_coords *at, const struct ls_table *wanted,
                      struct ls_err *err);
/* Everything that must be there before packets can flow. */
int cap_prepare(struct capture *c, struct ls_err *err);

/* follow.c: follows the source until a stop (0) or a failure. */
int cap_follow(struct capture *c, struct ls_err *err);

#endif
