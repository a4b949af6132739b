/*
 * The stream's state between events: files, places, and who takes which event.
 *
 * A transaction begins with a GTID event (or BEGIN) and ends with XID or COMMIT (stream_group.c);
 * the position moves only there. Inside, the ordinal of the watched row (stream_rows.c) says how
 * far it was published, because another server may cut the same transaction into other events.
 *
 * What can go wrong, and what is done: an event of an unknown kind may carry rows (FATAL); a
 * statement names a watched table (FATAL, the rows it changed are not in the binlog); a rotate that
 * does not lead to the file that comes next, or an event that begins before the end of the last
 * one: the chain of files is broken (FATAL). Events in MySQL's transaction payload have no place of
 * their own: they stand where the payload ends.
 */
#include "capture/stream/stream.h"
#include "capture/stream/stream_parts.h"
#include "common/log.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNPACKED_CAP ((size_t)1 << 30)
#define PAYLOAD_COMMIT_MS 1000

struct cap_stream *
cap_stream_new(struct cap_schema *schema, struct cap_publisher *publisher)
{
    struct cap_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->schema = schema;
    s->publisher = publisher;
    ls_buf_init(&s->scratch, UNPACKED_CAP);
    s->payload = cap_payload_new(UNPACKED_CAP);
    if (!s->payload) {
        cap_stream_free(s);
        return NULL;
    }
    return s;
}

void
cap_stream_free(struct cap_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < CAP_LAYOUTS; i++)
        cap_layout_clear(&s->layouts[i]);
    cap_payload_free(s->payload);
    ls_buf_free(&s->scratch);
    free(s);
}

void
cap_stream_restart(struct cap_stream *s)
{
    const struct cap_position *position = cap_publisher_position(s->publisher);

    s->checksum = false;
    s->at = (struct cap_coords){"", 0};
    s->at_exact = false;
    s->pass_until = 0;
    s->rotate_to[0] = '\0';
    s->in_group = s->standalone = s->has_gtid = s->anonymous = s->repeated = s->xa = false;
    s->group_rows = 0;
    s->group_ts_us = position->ts_us; /* of an end without a begin */
    s->whole_gtids = position->whole;
    s->payload_of = s->inner = NULL;
    cap_group_expect_parts(s);
    /* what was read behind the position may have been thrown away with its Kafka transaction */
    s->read_us = position->ts_us < ls_now_us() ? position->ts_us : ls_now_us();
    cap_rows_forget_maps(s);
}

void
cap_stream_pass(struct cap_stream *s, uint64_t until)
{
    s->pass_until = until;
}

int
cap_stream_fail(const struct cap_stream *s, struct ls_err *err, const char *cause, const char *what)
{
    char gtid[CAP_GTID_TEXT] = "none";

    if (s->has_gtid)
        cap_gtid_print(&s->gtid, gtid);
    return ls_fail_cause(err, LS_ERR_FATAL, 0, cause, "%s (%.100s:%" PRIu64 ", GTID %s)", what,
                         s->at.file, s->at.pos, gtid);
}

/* Files may be larger than the 32 bits of a position. */
static int
advance(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    uint64_t end;

    if (event->next_pos == 0 || event->flags & CAP_FLAG_ARTIFICIAL || event->type == CAP_EV_FORMAT)
        return 0;
    end = (s->at.pos & ~(uint64_t)UINT32_MAX) | event->next_pos;
    if (end < s->at.pos && s->at.pos - end > UINT32_MAX / 2)
        end += (uint64_t)UINT32_MAX + 1;
    if (event->type != CAP_EV_HEARTBEAT && end < s->at.pos)
        return cap_stream_fail(s, err, "binlog-chain",
                               "an event ends before the one in front of it");
    s->at.pos = end;
    return 0;
}

static int
fail_pass(const struct cap_stream *s, struct ls_err *err)
{
    return cap_stream_fail(s, err, "diverged",
                           "the file no longer holds the place of our position");
}

/* The event at hand was taken before; the one that ends at the position is the last such. */
static int
pass_over(struct cap_stream *s, struct ls_err *err)
{
    if (s->at.pos > s->pass_until)
        return fail_pass(s, err);
    if (s->at.pos == s->pass_until)
        s->pass_until = 0;
    return 0;
}

static int
take_rotate(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(s->publisher);
    struct ls_str file;
    uint64_t pos;

    if (cap_decode_rotate(event, &file, &pos, err) < 0)
        return -1;
    if (s->pass_until > 0 && !ls_str_is(file, position->file))
        return fail_pass(s, err);
    if (event->flags & CAP_FLAG_ARTIFICIAL || event->timestamp == 0) {
        if (s->rotate_to[0] && !ls_str_is(file, s->rotate_to))
            return cap_stream_fail(s, err, "binlog-chain", "the next file is not the one it names");
        s->rotate_to[0] = '\0';
    } else {
        (void)snprintf(s->rotate_to, sizeof(s->rotate_to), "%.*s", (int)file.n, file.p);
    }
    (void)snprintf(s->at.file, sizeof(s->at.file), "%.*s", (int)file.n, file.p);
    s->at.pos = pos;
    /* asked for by GTID, the source begins at the head of the file and leaves out what we have */
    if ((position->gtids.n == 0 && !position->whole) ||
        (pos == position->pos && ls_str_is(file, position->file)))
        s->at_exact = true;
    cap_rows_forget_maps(s);
    return 0;
}

static int
take_format(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    if (cap_decode_format(event, &s->checksum, err) < 0)
        return -1;
    /* a server that crashed leaves half a transaction at a file's end */
    if (s->in_group)
        cap_group_drop(s);
    cap_rows_forget_maps(s);
    return 0;
}

/* Whether something that was published in part has still to come. */
static bool
waits_for_part(const struct cap_stream *s)
{
    return s->skip > 0 || cap_publisher_position(s->publisher)->n_parts > 0;
}

static int
take_heartbeat(struct cap_stream *s, const struct cap_event *event, int64_t idle_us,
               struct ls_err *err)
{
    const struct cap_gtid_set *gtids = &cap_publisher_position(s->publisher)->gtids;
    struct cap_coords old = s->at;
    struct ls_str file;
    uint64_t pos;

    if (cap_decode_heartbeat(event, &file, &pos, err) < 0)
        return -1;
    if (s->pass_until > 0) /* it has no more than this */
        return idle_us > 0 ? fail_pass(s, err) : 0;
    if (file.n > 0 && pos > 0) {
        if (event->type == CAP_EV_HEARTBEAT && ls_str_is(file, s->at.file))
            pos |= s->at.pos & ~(uint64_t)UINT32_MAX;
        (void)snprintf(s->at.file, sizeof(s->at.file), "%.*s", (int)file.n, file.p);
        s->at.pos = pos;
        s->at_exact = true;
    }
    /* it leaves only when the source has nothing more to send; one that nobody waited for may have
     * lain somewhere since, with events behind it. MySQL also sends some, each at another place,
     * while it passes over transactions that we have. */
    if (gtids->n > 0 && gtids->flavour == CAP_MYSQL && cap_coords_cmp(&old, &s->at) != 0)
        idle_us = 0;
    /* it has nothing more, also not the rest that is waited for */
    if (!s->in_group && waits_for_part(s) && idle_us > 0)
        cap_group_lose_parts(s);
    if (!s->in_group && !waits_for_part(s) && idle_us > s->read_us && !s->stale)
        s->read_us = idle_us;
    return 0;
}

/* Events that may stand in a transaction, also in a payload. */
static int
take_in_group(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    if (cap_event_is_rows(event->type))
        return cap_rows_take(s, event, err);
    switch (event->type) {
    case CAP_EV_QUERY:
    case CAP_EV_QUERY_COMPRESSED:
    case CAP_EV_EXECUTE_LOAD:
        return cap_group_query(s, event, err);
    case CAP_EV_TABLE_MAP:
        return cap_rows_take_map(s, event, err);
    case CAP_EV_XID:
        return cap_group_end(s, err);
    case CAP_EV_XA_PREPARE:
        return cap_group_xa_prepare(s, event, err);
    case CAP_EV_INCIDENT:
        return cap_stream_fail(s, err, "incident",
                               "the source says that events are missing here (incident): skip it "
                               "there, then take a new snapshot");
    default:
        return cap_stream_fail(s, err, "binlog-format", "an event where it cannot be");
    }
}

static int
unknown_type(const struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    char what[80];

    (void)snprintf(what, sizeof(what), "an event of the unknown type %u may carry rows",
                   event->type);
    return cap_stream_fail(s, err, "event-type", what);
}

static int
take_inner(struct cap_stream *s, struct ls_err *err)
{
    struct cap_event event;

    if (cap_event_parse(s->inner, s->n_inner, false, &event, err) < 0)
        return -1;
    switch (cap_event_classify(event.type, event.flags)) {
    case CAP_CLASS_UNKNOWN:
        return unknown_type(s, &event, err);
    case CAP_CLASS_IGNORABLE:
        return 0;
    default:
        return take_in_group(s, &event, err);
    }
}

/* Given again after CAP_COLUMNS_WANTED, it goes on with the event that asked for it. */
static int
take_payload(struct cap_stream *s, const struct cap_event *event, struct ls_err *err)
{
    int r = 1;

    if (s->payload_of != event->body) {
        if (cap_payload_open(s->payload, event, err) < 0)
            return -1;
        s->payload_of = event->body;
        s->inner = NULL;
    }
    for (;;) {
        if (!s->inner)
            r = cap_payload_next(s->payload, &s->inner, &s->n_inner, err);
        if (r <= 0)
            break;
        if (take_inner(s, err) < 0)
            return -1;
        s->inner = NULL;
        /* nobody else sees to the clock while a long one is taken */
        if (cap_publisher_age_ms(s->publisher, ls_mono_ms()) >= PAYLOAD_COMMIT_MS) {
            if (cap_publisher_commit(s->publisher, err) < 0)
                return -1;
            ls_run_notify_alive();
        }
    }
    s->payload_of = s->inner = NULL;
    return r;
}

int
cap_stream_take(struct cap_stream *s, const struct cap_packet *packet, struct ls_err *err)
{
    struct cap_event event;

    if (cap_event_parse(packet->p, packet->n, s->checksum, &event, err) < 0)
        return -1;
    s->events++;
    s->bytes += (int64_t)packet->n;
    s->received_us = packet->received_us;
    switch (cap_event_classify(event.type, event.flags)) {
    case CAP_CLASS_UNKNOWN:
        return unknown_type(s, &event, err);
    case CAP_CLASS_IGNORABLE:
        return advance(s, &event, err);
    case CAP_CLASS_KNOWN:
        break;
    }
    if (event.type == CAP_EV_HEARTBEAT || event.type == CAP_EV_HEARTBEAT_V2)
        return take_heartbeat(s, &event, packet->idle_us, err);
    if (event.type == CAP_EV_ROTATE)
        return take_rotate(s, &event, err);
    if (event.type == CAP_EV_FORMAT)
        return take_format(s, &event, err);
    if (advance(s, &event, err) < 0)
        return -1;
    if (s->pass_until > 0)
        return pass_over(s, err);
    switch (event.type) {
    case CAP_EV_GTID:
    case CAP_EV_GTID_MYSQL:
    case CAP_EV_GTID_ANONYMOUS:
        return cap_group_gtid(s, &event, err);
    case CAP_EV_GTID_TAGGED:
        return cap_stream_fail(s, err, "gtid-tagged",
                               "tagged GTIDs (uuid:tag:number) are not supported: the source must "
                               "not use tags in gtid_next");
    case CAP_EV_PREVIOUS_GTIDS:
        return cap_group_previous_gtids(s, &event, err);
    case CAP_EV_PAYLOAD:
        return take_payload(s, &event, err);
    default:
        return take_in_group(s, &event, err);
    }
}

void
cap_stream_source_has(struct cap_stream *s, const struct cap_gtid_set *all)
{
    const struct cap_position *position = cap_publisher_position(s->publisher);
    struct cap_gtid gtid;

    for (size_t i = position->n_parts; i-- > 0;)
        if (cap_gtid_parse(ls_str_of(position->parts[i].gtid), &gtid) < 0 ||
            !cap_gtid_set_has(all, &gtid))
            cap_group_lose_part(s, i);
}

void
cap_stream_source_is_stale(struct cap_stream *s, bool stale)
{
    s->stale = stale;
}

bool
cap_stream_at_boundary(const struct cap_stream *s)
{
    return !s->in_group && !waits_for_part(s);
}

const struct cap_coords *
cap_stream_coords(const struct cap_stream *s)
{
    static const struct cap_coords nowhere;

    return s->at_exact && s->pass_until == 0 ? &s->at : &nowhere;
}

const struct cap_coords *
cap_stream_at(const struct cap_stream *s)
{
    return &s->at;
}

const struct ls_table *
cap_stream_wants(const struct cap_stream *s)
{
    return s->wants;
}

int64_t
cap_stream_groups(const struct cap_stream *s)
{
    return s->groups;
}

int64_t
cap_stream_read_us(const struct cap_stream *s)
{
    return s->read_us;
}

void
cap_stream_clock(struct cap_stream *s, int64_t now_us, int64_t back_us)
{
    s->read_us = ls_clock_moment_us(s->read_us, now_us, back_us);
}

int64_t
cap_stream_events(const struct cap_stream *s)
{
    return s->events;
}

int64_t
cap_stream_bytes(const struct cap_stream *s)
{
    return s->bytes;
}

int64_t
cap_stream_rows(const struct cap_stream *s)
{
    return s->rows;
}
