/*
 * The range of a replay: by offset, by time, or by GTID.
 *
 * Records of the stream carry their transaction's GTID in the header `gtid`, from capture through
 * transform. What can go wrong: a GTID that the topic does not have. It may have touched nothing
 * that goes into this topic, what it wrote may have been replaced by newer records (compaction), it
 * may lie before the first snapshot, or be of a domain that nobody has: the notes say which of
 * these can be, with what there is instead. What looks like a day is one, whatever GTIDs look like.
 */
#include "ctl/replay/replay.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NONE                                                                                       \
    (struct replay_bound)                                                                          \
    {                                                                                              \
        .offset = -1, .ms = -1                                                                     \
    }

/* "2026-11-22", which strptime alone sees in "0-1-10" too. */
static bool
like_a_day(const char *text)
{
    static const char form[] = "dddd-dd-dd";
    size_t i;

    for (i = 0; form[i]; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return text[i] == '\0' || text[i] == 'T';
}

static bool
parse_time(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    const char *end;

    if (!like_a_day(text))
        return false;
    end = strptime(text, strchr(text, 'T') ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d", &tm);
    if (!end || *end)
        return false;
    *ret_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

bool
replay_bound_parse(const char *text, struct replay_bound *ret)
{
    char *end;

    errno = 0;
    long long offset = strtoll(text, &end, 10);
    *ret = NONE;
    if (*text && !*end && !errno && offset >= 0) {
        ret->offset = offset;
        return true;
    }
    if (parse_time(text, &ret->ms))
        return true;
    if (strncmp(text, "gtid:", 5) == 0)
        text += 5;
    else if (like_a_day(text))
        return false; /* a day that there is not: nobody means a GTID */
    ret->by_gtid = cap_gtid_parse(ls_str_of(text), &ret->gtid) == 0;
    return ret->by_gtid;
}

const char *
replay_range_wrong(const struct replay_args *a)
{
    if (a->from.by_gtid && a->to.by_gtid && !cap_gtid_same_source(&a->from.gtid, &a->to.gtid))
        return "--from and --to are GTIDs of two domains or servers: their numbers say nothing of "
               "each other";
    if (a->from.by_gtid && a->to.by_gtid && a->from.gtid.seq >= a->to.gtid.seq)
        return "--to is the first GTID that is out: nothing lies between the two";
    return NULL;
}

/* The GTID whose domain or uuid the range is about. */
static const struct cap_gtid *
asked_for(const struct replay_args *a)
{
    return a->from.by_gtid ? &a->from.gtid : a->to.by_gtid ? &a->to.gtid : NULL;
}

static void
note_other(struct replay_seen *seen, const struct cap_gtid *gtid)
{
    size_t i = 0;

    while (i < seen->n_others && !cap_gtid_same_source(&seen->others[i], gtid))
        i++;
    if (i == REPLAY_SOURCES)
        return;
    if (i == seen->n_others)
        seen->others[seen->n_others++] = *gtid;
    else if (gtid->seq > seen->others[i].seq)
        seen->others[i] = *gtid;
}

static void
note_seen(const struct replay_args *a, struct replay_seen *seen, const struct cap_gtid *gtid)
{
    if (seen->n == 0 || gtid->seq < seen->first.seq)
        seen->first = *gtid;
    if (seen->n == 0 || gtid->seq > seen->last.seq)
        seen->last = *gtid;
    seen->n++;
    if (a->from.by_gtid && gtid->seq >= a->from.gtid.seq &&
        (!seen->has_after_from || gtid->seq < seen->after_from.seq)) {
        seen->after_from = *gtid;
        seen->has_after_from = true;
    }
    if (a->to.by_gtid && gtid->seq < a->to.gtid.seq &&
        (!seen->has_before_to || gtid->seq > seen->before_to.seq)) {
        seen->before_to = *gtid;
        seen->has_before_to = true;
    }
}

static bool
gtid_in_range(const struct replay_args *a, const struct ls_message *m, struct replay_seen *seen)
{
    const struct cap_gtid *asked = asked_for(a);
    const struct ls_str *text = ls_message_header(m, "gtid");
    struct cap_gtid gtid;

    if (!asked)
        return true;
    if (!text || cap_gtid_parse(*text, &gtid) < 0) {
        seen->without++;
        return false;
    }
    if (!cap_gtid_same_source(asked, &gtid)) {
        note_other(seen, &gtid);
        return false;
    }
    note_seen(a, seen, &gtid);
    return (!a->from.by_gtid || gtid.seq >= a->from.gtid.seq) &&
           (!a->to.by_gtid || gtid.seq < a->to.gtid.seq);
}

bool
replay_in_range(const struct replay_args *a, const struct ls_message *m, struct replay_seen *seen)
{
    if (!m->key.n || m->key.p[0] == '!') /* brackets and heartbeats are about no entity */
        return false;
    return gtid_in_range(a, m, seen) && (a->from.offset < 0 || m->offset >= a->from.offset) &&
           (a->from.ms < 0 || m->timestamp_ms >= a->from.ms) &&
           (a->to.offset < 0 || m->offset < a->to.offset) &&
           (a->to.ms < 0 || m->timestamp_ms < a->to.ms) &&
           (!a->entity || ls_str_is(m->key, a->entity));
}

/* ---- what is to be known of it */

#define WHY_NOT                                                                                    \
    "it changed nothing that goes there, newer records have replaced its own, or a snapshot "      \
    "brought them"

static void __attribute__((format(printf, 2, 3))) add(json_t *notes, const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(notes, json_string(text));
}

static void
note_nothing(const struct replay_args *a, const struct replay_seen *seen, json_t *notes)
{
    char text[CAP_GTID_TEXT], list[REPLAY_SOURCES * (CAP_GTID_TEXT + 2)] = "";
    size_t n = 0;

    for (size_t i = 0; i < seen->n_others; i++) {
        cap_gtid_print(&seen->others[i], text);
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", text);
    }
    cap_gtid_print(asked_for(a), text);
    add(notes, "%s: %s has no record of its %s; %s%s", text, a->topic,
        asked_for(a)->flavour == CAP_MARIADB ? "domain" : "server",
        n ? "the last of others: " : "no record there has a GTID", list);
}

static void
note_from(const struct replay_args *a, const struct replay_seen *seen, json_t *notes)
{
    char from[CAP_GTID_TEXT], text[CAP_GTID_TEXT];

    cap_gtid_print(&a->from.gtid, from);
    if (!seen->has_after_from) {
        cap_gtid_print(&seen->last, text);
        add(notes, "%s and what came after it is not in %s, which ends with %s", from, a->topic,
            text);
    } else if (seen->after_from.seq != a->from.gtid.seq) {
        cap_gtid_print(&seen->after_from, text);
        add(notes, "%s is not in %s (" WHY_NOT "); the first after it there is %s", from, a->topic,
            text);
    }
}

static void
note_to(const struct replay_args *a, const struct replay_seen *seen, json_t *notes)
{
    char to[CAP_GTID_TEXT], text[CAP_GTID_TEXT];

    cap_gtid_print(&a->to.gtid, to);
    if (!seen->has_before_to) {
        cap_gtid_print(&seen->first, text);
        add(notes, "nothing in %s is before %s: it begins with %s", a->topic, to, text);
    } else if (seen->last.seq < a->to.gtid.seq) {
        cap_gtid_print(&seen->last, text);
        add(notes, "%s is not in %s, which ends with %s", to, a->topic, text);
    }
}

json_t *
replay_range_notes(const struct replay_args *a, const struct replay_seen *seen)
{
    json_t *notes = json_array();

    if (!asked_for(a))
        return notes;
    if (seen->n == 0) {
        note_nothing(a, seen, notes);
    } else {
        if (a->from.by_gtid)
            note_from(a, seen, notes);
        if (a->to.by_gtid)
            note_to(a, seen, notes);
        if (a->from.by_gtid && a->to.by_gtid && seen->has_after_from && seen->has_before_to &&
            seen->after_from.seq >= a->to.gtid.seq)
            add(notes, "%s has nothing between the two", a->topic);
    }
    if (seen->without > 0)
        add(notes,
            "%zu records have no GTID (of snapshots, or of a source without) and are in no "
            "such range",
            seen->without);
    return notes;
}
