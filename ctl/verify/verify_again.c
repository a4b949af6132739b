/*
 * Tells real differences from what the stream still carries.
 *
 * While both sides are in use, a change is for some moments at the source and not yet at the
 * target, or already at the target although the source was read before it. So what differs is
 * looked at once more, but not before the stream has passed the moment of the comparison. The
 * markers are the heartbeats, which run through the whole pipe behind each change, in every
 * partition: with the time of the source's last event, or when it was idle with that of capture's
 * host. A moment that is later than the comparison by the source's clock, by capture's and by ours
 * is one that no change the comparison saw lies behind. Apply says up to which moment all is done
 * in all partitions, and since when something is open that only follows. A difference that is there
 * again, the same, while its side of the source has not changed, is real. What is new is younger
 * than the marker, and is looked at a third time, and so on, as long as may be waited.
 *
 * What could not be compared (VW_UNSEEN) is tried again by each look, and stays what it is; what is
 * found of one of whom something could not be was perhaps there before, so that it counts.
 *
 * Of Lockstep's own state only that time is believed; what is equal is what was compared. What can
 * go wrong: no apply, or it stands still, or a side that cannot be read again: then nothing can be
 * told apart, and every difference counts. What was found in hours is not thrown away for that; and
 * Kafka's trouble that passes costs nothing but of the time to wait.
 */
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include "ctl/status.h"
#include "ctl/verify/verify.h"
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 300
#define SILENCE_MS 30000 /* behind Kafka's trouble a stage is back within ten seconds of it */

/* ---- how far the stream is */

static int64_t
number(const json_t *document, const char *key)
{
    return json_integer_value(json_object_get(document, key));
}

/* A heartbeat of an idle source has the time of capture's host: the marker must not lie before what
 * that clock said after the comparison. The first document that is seen may be older than it. */
static void
take_clock(json_t *stages, struct verify_passing *p)
{
    const char *key;
    json_t *document;
    int64_t newest = 0;

    json_object_foreach(stages, key, document)
    {
        if (strncmp(key, "capture/", 8) == 0 &&
            !json_is_true(json_object_get(document, "silent")) &&
            number(document, "time_us") > newest)
            newest = number(document, "time_us");
    }
    if (p->clocked || newest == 0 || newest == p->capture_us)
        return;
    p->clocked = p->capture_us != 0;
    p->capture_us = newest;
    if (p->clocked && newest > p->marker_us)
        p->marker_us = newest;
}

/* What follows from the records that are done, as a deletion that a move left, is work without a
 * record: all of it was open by then. */
static bool
rests(const json_t *document, const struct verify_passing *p)
{
    int64_t rest = number(document, "rest_us");

    return number(document, "counted_us") < p->passed_us || (rest != 0 && rest <= p->passed_us);
}

/* Who could not reach Kafka looks as one who is gone: 0 until it has lasted, then -1. */
static int
nobody_speaks(struct verify_passing *p, int64_t now_ms)
{
    if (p->silent_ms == 0)
        p->silent_ms = now_ms;
    return now_ms - p->silent_ms < SILENCE_MS ? 0 : -1;
}

int
verify_stream_passed(json_t *stages, struct verify_passing *p, int64_t now_ms, char *why,
                     size_t size)
{
    const char *key, *text;
    json_t *document;
    size_t n = 0, silent = 0;
    int64_t latest = 0;

    why[0] = 0;
    take_clock(stages, p);
    json_object_foreach(stages, key, document)
    {
        int64_t reached = number(document, "reached_us");

        if (strncmp(key, "apply/", 6) != 0)
            continue;
        if (json_is_true(json_object_get(document, "silent"))) {
            silent++;
            continue;
        }
        n++;
        if (number(document, "time_us") > latest)
            latest = number(document, "time_us");
        text = json_string_value(json_object_get(document, "why"));
        if (text && *text)
            snprintf(why, size, "apply is not ready: %s", text);
        else if (reached == 0)
            snprintf(why, size, "apply has not heard of each partition yet");
        else if (reached < p->marker_us)
            snprintf(why, size, "apply is %.1f s behind the comparison",
                     (double)(p->marker_us - reached) / 1e6);
        else if (p->passed_us != 0 && rests(document, p))
            snprintf(why, size, "apply is at what follows from the last changes");
    }
    if (n == 0) {
        snprintf(why, size, silent ? "apply is silent" : "no apply has written a status");
        return nobody_speaks(p, now_ms);
    }
    p->silent_ms = 0;
    if (!why[0] && !p->clocked)
        snprintf(why, size, p->capture_us ? "capture has not told its time since" : "no capture");
    if (why[0])
        return 0;
    if (p->passed_us != 0)
        return 1;
    p->passed_us = latest;
    return verify_stream_passed(stages, p, now_ms, why, size);
}

/* 1, 0 or -1 as above. */
static int
wait_passed(const struct verify *verify, int64_t until_ms, char *why, size_t size)
{
    struct verify_passing passing = {.marker_us = verify->marker_us};
    int r;

    do {
        json_t *stages = NULL;
        struct ls_err err = {0};

        if (ctl_status_load(verify->config, &stages, &err) == 0) {
            r = verify_stream_passed(stages, &passing, ls_mono_ms(), why, size);
            json_decref(stages);
        } else {
            snprintf(why, size, "%s", err.msg);
            passing.silent_ms = 0;
            r = err.kind == LS_ERR_RETRY ? 0 : -1;
        }
        if (r != 0)
            return r;
        ls_run_sleep_ms(LOOK_MS);
    } while (ls_mono_ms() < until_ms && !ls_run_stopping());
    return 0;
}

/* ---- another look */

/* The ids of nodes whose trees are not walked this time. A node that went to another home has
 * another one there. */
static void
give_ids(const struct verify *from, struct verify *to)
{
    struct side_node *node, *same;

    for (node = from->side->nodes; node; node = node->hh.next) {
        struct side_user *a, *b;

        same = node->target_id ? side_node_by_id(to->side, node->fileid) : NULL;
        if (!same)
            continue;
        a = side_owner(from->side, node, NULL);
        b = side_owner(to->side, same, NULL);
        if (a && b && strcmp(a->uid, b->uid) == 0 && !verify_user_of(to, b)->picked)
            same->target_id = side_printf(to->side, "%s", node->target_id);
    }
}

static int
by_all(const void *a, const void *b)
{
    const struct verify_difference *x = *(const struct verify_difference *const *)a;
    const struct verify_difference *y = *(const struct verify_difference *const *)b;
    int r = strcmp(x->user, y->user);

    if (r == 0)
        r = strcmp(x->place, y->place);
    return r;
}

static bool
was_unseen(const struct verify *verify, const char *uid)
{
    struct side_user *user = NULL;

    HASH_FIND_STR(verify->side->users, uid, user);
    return user && verify_user_of((struct verify *)verify, user)->count[VC_UNSEEN] > 0;
}

/* Marks those of the second list that are in the first one. Both are sorted. */
static void
tell_apart(const struct verify *verify, const struct verify_list *second)
{
    const struct verify_list *first = &verify->differences;
    size_t from = 0;

    for (size_t i = 0; i < second->n; i++) {
        struct verify_difference *d = second->each[i];

        if (d->when == VW_UNSEEN)
            continue;
        d->when = was_unseen(verify, d->user) ? VW_UNKNOWN : VW_CARRIED;
        while (from < first->n && by_all(&first->each[from], &d) < 0)
            from++;
        for (size_t k = from; k < first->n && by_all(&first->each[k], &d) == 0; k++)
            if (verify_same(first->each[k], d))
                d->when = VW_REAL;
    }
}

/* Whose file it is that is shared with one who has a difference: when it is gone by now it is in
 * nobody else's tree. Who was not asked for stands beside. */
static void
pick_owner(const struct verify *verify, struct verify *next, const char *uid)
{
    struct side_user *before = NULL, *now = NULL;

    (void)verify_pick(next, uid);
    HASH_FIND_STR(verify->side->users, uid, before);
    HASH_FIND_STR(next->side->users, uid, now);
    if (before && now && !verify_user_of((struct verify *)verify, before)->picked)
        verify_user_of(next, now)->beside = true;
}

/* Those who have differences, as a list of users of the other comparison, and those to whom
 * something is shared that differed, so that this was not compared. One who is not there any more
 * has none: what he left at the target is nobody's at the source. */
static void
pick_again(const struct verify *verify, struct verify *next)
{
    for (size_t i = 0; i < next->n_users; i++)
        next->users[i].picked = false;
    next->some = true;
    for (size_t i = 0; i < verify->differences.n; i++) {
        (void)verify_pick(next, verify->differences.each[i]->user);
        pick_owner(verify, next, verify->differences.each[i]->owner);
    }
    for (size_t i = 0; i < verify->n_users; i++)
        if (verify->users[i].left[VL_NODE_DIFFERS] > 0)
            (void)verify_pick(next, verify->users[i].user->uid);
}

/* What the new look says of a user stands in place of the old. */
static void
take_over(struct verify *verify, const struct verify *next)
{
    for (size_t i = 0; i < verify->n_users; i++) {
        struct verify_user *user = &verify->users[i], *seen;
        struct side_user *there = NULL;

        HASH_FIND_STR(next->side->users, user->user->uid, there);
        seen = there ? verify_user_of((struct verify *)next, there) : NULL;
        if (!there)
            user->count[VC_DIFFERENT] = user->count[VC_UNSEEN] = 0;
        if (!seen || !seen->picked || seen->beside)
            continue;
        user->signs_in = seen->signs_in;
        user->n_read = seen->n_read;
        user->read_bytes = seen->read_bytes;
        memcpy(user->count, seen->count, sizeof user->count);
        memcpy(user->not_kept, seen->not_kept, sizeof user->not_kept);
        memcpy(user->left, seen->left, sizeof user->left);
    }
}

/* What is nobody's cannot be looked at again by user: it stays as it is. */
static int
keep_nobodys(const struct verify_list *from, struct verify_list *to)
{
    for (size_t i = 0; i < from->n; i++)
        if (!*from->each[i]->user && verify_list_add(to, from->each[i]) < 0)
            return -1;
    return 0;
}

static int
look_again(struct verify *verify, struct ls_err *err)
{
    struct verify next = {0};
    int status, r = -1;

    if (verify_open(verify->config, &next, &status, err) < 0)
        goto out;
    next.deep = verify->deep;
    next.sample = verify->sample;
    next.seed = verify->seed;
    pick_again(verify, &next);
    give_ids(verify, &next);
    if (verify_compare(&next, err) < 0)
        goto out;
    tell_apart(verify, &next.differences);
    if (keep_nobodys(&verify->differences, &next.differences) < 0) {
        ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
        goto out;
    }
    verify_list_sort(&next.differences);
    take_over(verify, &next);
    verify_list_free(&verify->differences);
    verify->differences = next.differences;
    next.differences = (struct verify_list){0};
    verify->marker_us = next.marker_us;
    r = 0;
out:
    verify_close(&next);
    return r;
}

/* Something of somebody's on which another look could tell more. */
static bool
is_open(const struct verify *verify)
{
    for (size_t i = 0; i < verify->differences.n; i++) {
        const struct verify_difference *d = verify->differences.each[i];
        if (d->when != VW_REAL && d->when != VW_UNSEEN && *d->user)
            return true;
    }
    return false;
}

void
verify_again(struct verify *verify, int wait_s, char *why, size_t size)
{
    int64_t until = ls_mono_ms() + (int64_t)wait_s * 1000;
    bool failed = false;

    why[0] = 0;
    do {
        struct ls_err err = {0};

        if (!failed && wait_passed(verify, until, why, size) <= 0)
            return;
        failed = look_again(verify, &err) < 0;
        if (failed) {
            ls_log_err(LS_WARN, "verify-again", &err);
            snprintf(why, size, "a side could not be read again: %s", err.msg);
            ls_run_sleep_ms(1000);
        } else {
            why[0] = 0;
        }
    } while ((failed || is_open(verify)) && ls_mono_ms() < until && !ls_run_stopping());
}
