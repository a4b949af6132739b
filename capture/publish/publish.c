/*
 * From row images to records.
 *
 * Everything that is sent gets the next number of one sequence, and everything, also the position
 * that holds that number, goes in one Kafka transaction: after a crash the numbers go on where
 * readers of committed records saw them end, in a higher epoch. What can go wrong:
 *  - a transaction fails or its outcome is unknown: the caller connects again, which fences us off,
 *    reads the position back and repeats from there;
 *  - a row that can never be sent: it alone goes to the dead letters, in the same transaction;
 *  - a change that touches none of our columns (oc_accounts.last_login is 99 % of that table's
 *    traffic): filtered and counted, never silently dropped.
 *
 * A row that changes its storage changes its partition: a delete there and an upsert here, with the
 * same counter, so that the two halves can be told to belong together.
 */
#include "capture/publish/images.h"
#include "capture/publish/publish_parts.h"
#include "capture/publish/resume.h"
#include "common/log.h"
#include "common/records.h"
#include "common/run.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORD_CAP ((size_t)64 << 20)
#define AT_ONCE_MS 1 /* behind a commit */
#define ARENA_CAP ((size_t)256 << 20)
#define ALL_COLUMNS UINT32_MAX

int
cap_publisher_new(const struct ls_config *config, struct cap_publisher **ret, struct ls_err *err)
{
    struct cap_publisher *p = calloc(1, sizeof(*p));

    if (!p || !(p->arena = ls_arena_new(ARENA_CAP))) {
        free(p);
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory");
    }
    p->config = config;
    ls_buf_init(&p->value, RECORD_CAP);
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        char suffix[64];
        (void)snprintf(suffix, sizeof(suffix), "oc10.oc_%s", ls_tables[i].name);
        p->topics[i] = ls_config_topic(config, suffix);
    }
    p->position_topic = ls_config_topic(config, "position");
    p->dlq_topic = ls_config_topic(config, "dlq");
    (void)snprintf(p->source, sizeof(p->source), "%.255s:%" PRId64,
                   ls_config_str(config, "source", "host"),
                   ls_config_int(config, "source", "port"));
    (void)snprintf(p->transactional_id, sizeof(p->transactional_id), "%.240s-capture",
                   ls_config_str(config, "lockstep", "prefix"));
    p->partitions = (int)ls_config_int(config, "lockstep", "partitions");
    p->full_before = ls_config_bool(config, "capture", "full_before");
    p->link_secrets = ls_config_bool(config, "capture", "link_secrets");
    p->federation_secrets = ls_config_bool(config, "capture", "federation_secrets");
    for (size_t i = 0; i < LS_T_COUNT; i++)
        p->hides[i] = cap_image_may_hide(&ls_tables[i]);
    p->commit_ms = ls_config_int(config, "capture", "commit_ms");
    p->commit_rows = ls_config_int(config, "capture", "commit_rows");
    *ret = p;
    return 0;
}

void
cap_publisher_free(struct cap_publisher *p)
{
    if (!p)
        return;
    if (p->open)
        (void)ls_producer_abort(p->producer, NULL);
    ls_producer_free(p->producer);
    ls_buf_free(&p->value);
    ls_arena_free(p->arena);
    free(p->columns);
    free(p);
}

int
cap_publisher_open(struct cap_publisher *p, struct ls_err *err)
{
    int64_t now_ms;

    if (p->open)
        return 0;
    now_ms = ls_mono_ms();
    if (ls_producer_begin(p->producer, err) < 0)
        return -1;
    p->open = true;
    p->open_since_ms = p->waited_since_ms = now_ms;
    /* what is there at once came while we were committing, and has waited for that */
    if (now_ms - p->committed_ms <= AT_ONCE_MS)
        p->waited_since_ms = p->commit_begun_ms;
    p->open_rows = 0;
    return 0;
}

void
cap_publisher_drop(struct cap_publisher *p)
{
    if (p->open)
        (void)ls_producer_abort(p->producer, NULL);
    p->open = false;
    ls_producer_free(p->producer);
    p->producer = NULL;
}

int
cap_publisher_overtaken(struct cap_publisher *p, bool *ret, struct ls_err *err)
{
    bool last = false;

    if (cap_resume_is_last(p->config, &last, err) < 0)
        return -1;
    *ret = !last;
    return 0;
}

int
cap_publisher_connect(struct cap_publisher *p, bool *ret_found, struct ls_err *err)
{
    int32_t given = p->now.epoch, in_topics = 0;
    struct cap_position *read;
    char *columns = NULL;
    bool found;
    int r = -1;

    cap_publisher_drop(p);
    read = calloc(1, sizeof(*read));
    if (!read)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory");
    /* the id first: from here on nobody else can move the position that is read next */
    if (ls_producer_new(p->config, p->transactional_id, &p->producer, err) < 0 ||
        cap_resume_position(p->config, p->producer, read, &columns, &found, err) < 0)
        goto out;
    if (!found) {
        free(columns); /* of a position that is lost */
        columns = NULL;
        cap_position_first(read);
        if (cap_resume_epoch(p->config, &in_topics, err) < 0)
            goto out;
    }
    /* numbers behind this position may have been given before, and be thought of as seen */
    if (given < in_topics)
        given = in_topics;
    p->now = *read;
    p->now.epoch += found;
    if (p->now.epoch <= given)
        p->now.epoch = given + 1;
    p->heartbeat_us = p->heartbeat_kept_us;
    p->beats = 0;
    free(p->columns);
    p->columns = columns;
    columns = NULL;
    p->columns_changed = false;
    *ret_found = found;
    r = 0;
out:
    free(columns);
    free(read);
    return r;
}

const char *
cap_publisher_columns(const struct cap_publisher *p)
{
    return p->columns;
}

void
cap_publisher_set_columns(struct cap_publisher *p, char *json)
{
    free(p->columns);
    p->columns = json;
    p->columns_changed = true;
}

struct cap_position *
cap_publisher_position(struct cap_publisher *p)
{
    return &p->now;
}

static void
now_text(char out[32])
{
    time_t t = (time_t)(ls_now_us() / 1000000);
    struct tm tm;

    (void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

static enum cap_dead
dead_cause(const char *cause)
{
    for (int i = 0; i < CAP_DEAD_COUNT; i++)
        if (!strcmp(cause, cap_dead_names[i]))
            return (enum cap_dead)i;
    return CAP_DEAD_OTHER;
}

/* The record as far as it can be sent at all, with why in the headers. */
static int
send_dead(struct cap_publisher *p, const struct ls_envelope *envelope, int32_t partition,
          const struct ls_err *why, struct ls_err *err)
{
    char seq[64], part[16], time_now[32], offset[600];
    struct ls_envelope *printable = ls_arena_alloc(p->arena, sizeof(*printable));
    struct ls_str key = LS_STR(""), value = LS_STR("");
    const char *cause = why->cause[0] ? why->cause : "poison";
    struct ls_err ignored = {0}, failure;

    if (!printable)
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory for a dead letter");
    *printable = *envelope;
    /* a value that was too large once would be so again: then the key has to do */
    if (!strcmp(cause, "too-large"))
        cap_image_keys_only(envelope->table, printable->before, printable->after);
    if ((printable->has_before &&
         cap_image_escape(envelope->table, printable->before, p->arena) < 0) ||
        (printable->has_after && cap_image_escape(envelope->table, printable->after, p->arena) < 0))
        return ls_fail(err, LS_ERR_FATAL, 0, "no memory for a dead letter");
    (void)ls_envelope_key(printable, p->arena, &key, &ignored);
    ls_buf_clear(&p->value);
    if (ls_envelope_encode(printable, &p->value, &ignored) == 0)
        value = (struct ls_str){(const char *)p->value.p, p->value.n};
    (void)ls_seq_print(envelope->seq, seq, sizeof(seq));
    (void)snprintf(part, sizeof(part), "%" PRId32, partition);
    (void)snprintf(offset, sizeof(offset), "%.*s:%" PRId64 "/%" PRId32, (int)envelope->file.n,
                   envelope->file.p ? envelope->file.p : "", envelope->pos, envelope->row);
    now_text(time_now);
    struct ls_header headers[] = {
        {"stage", LS_STR("capture")},     {"cause", ls_str_of(cause)},
        {"message", ls_str_of(why->msg)}, {"attempts", LS_STR("1")},
        {"seq", ls_str_of(seq)},          {"topic", ls_str_of(p->topics[envelope->table->id])},
        {"partition", ls_str_of(part)},   {"offset", ls_str_of(offset)},
        {"time", ls_str_of(time_now)},
    };
    while (ls_producer_send(p->producer, p->dlq_topic, 0, key, value, headers,
                            sizeof(headers) / sizeof(headers[0]), &failure) < 0) {
        /* escaped, it is larger than it was */
        if (failure.kind != LS_ERR_POISON || value.n == 0) {
            if (err)
                *err = failure;
            return -1;
        }
        value = LS_STR("");
    }
    p->now.counters.dead[dead_cause(cause)]++;
    ls_log(LS_WARN, "dead-letter", LS_S("table", envelope->table->name), LS_S("cause", cause),
           LS_S("why", why->msg), LS_S("seq", seq), LS_S("at", offset));
    return 0;
}

/* A delete's record is followed by a tombstone, so that compaction may forget the key one day. */
static int
send_tombstone(struct cap_publisher *p, const struct ls_envelope *envelope, int32_t partition,
               struct ls_str key, struct ls_err *err)
{
    char seq[64];
    struct ls_header headers[] = {{"seq", LS_STR_NULL}, {"gtid", envelope->gtid}};

    (void)ls_seq_print(envelope->seq, seq, sizeof(seq));
    headers[0].value = ls_str_of(seq);
    return ls_producer_send(p->producer, p->topics[envelope->table->id], partition, key,
                            LS_STR_NULL, headers, envelope->gtid.n ? 2 : 1, err);
}

void
cap_publisher_watch(struct cap_publisher *p, cap_row_fn *each, void *arg)
{
    p->each = each;
    p->each_arg = arg;
}

static void
tell_row(struct cap_publisher *p, const struct ls_envelope *envelope)
{
    if (p->each && envelope->op != LS_OP_READ)
        p->each(p->each_arg, envelope);
}

static int
send_envelope(struct cap_publisher *p, const struct ls_envelope *envelope, struct ls_err *err)
{
    const struct ls_value *image = envelope->has_after ? envelope->after : envelope->before;
    struct ls_err why = {0};
    struct ls_str key;
    int32_t partition = 0;

    p->now.counters.watched++;
    p->now.counters.tables[envelope->table->id]++;
    tell_row(p, envelope);
    if (cap_publisher_open(p, err) < 0)
        return -1;
    if (envelope->table->by_storage)
        partition = ls_partition_of_storage(image[FC_STORAGE].i, p->partitions);
    ls_buf_clear(&p->value);
    if ((envelope->has_before &&
         cap_image_check_keys(envelope->table, envelope->before, &why) < 0) ||
        (envelope->has_after && cap_image_check_text(envelope->table, envelope->after, &why) < 0) ||
        ls_envelope_encode(envelope, &p->value, &why) < 0 ||
        ls_envelope_key(envelope, p->arena, &key, &why) < 0 ||
        ls_producer_send(p->producer, p->topics[envelope->table->id], partition, key,
                         (struct ls_str){(const char *)p->value.p, p->value.n}, NULL, 0,
                         &why) < 0) {
        if (why.kind == LS_ERR_POISON)
            return send_dead(p, envelope, partition, &why, err);
        if (err)
            *err = why;
        return -1;
    }
    p->open_rows++;
    p->rows++;
    p->now.counters.published++;
    if (envelope->op == LS_OP_DELETE)
        return send_tombstone(p, envelope, partition, key, err);
    return 0;
}

static void
filtered(struct cap_publisher *p, const struct ls_table *table, enum cap_filter why)
{
    p->now.counters.watched++;
    p->now.counters.tables[table->id]++;
    p->now.counters.filtered[why]++;
}

/* The head that all envelopes of a row share. The images are not touched: an envelope is large, and
 * nobody looks at an image that it does not have. */
static void
envelope_init(const struct cap_publisher *p, const struct cap_origin *origin,
              const struct ls_table *table, struct ls_envelope *e)
{
    e->seq = e->begin = (struct ls_seq){0};
    e->has_before = e->has_after = false;
    e->table = table;
    e->source_ts_us = origin->ts_us;
    e->capture_ts_us = origin->received_us;
    e->server = ls_str_of(p->source);
    e->gtid = ls_str_of(origin->gtid);
    e->file = ls_str_of(origin->file);
    e->pos = (int64_t)origin->pos;
    e->row = origin->row > INT32_MAX ? INT32_MAX : (int32_t)origin->row;
    e->moved_from = e->moved_to = e->storage = LS_NO_STORAGE;
}

static void
hide_secrets(const struct cap_publisher *p, const struct ls_table *table, struct ls_value *values)
{
    if (!p->link_secrets)
        cap_image_mask(table, values);
    cap_image_hide_token(table, values, p->link_secrets, p->federation_secrets);
}

/* `changes`: the columns to carry besides the keys. What was there once and cannot be sent is left
 * out: it is no reason to lose what is there now. */
static void
put_before(const struct cap_publisher *p, struct ls_envelope *e, const struct cap_image *before,
           uint32_t changes)
{
    const struct ls_value *values = before->values;

    e->has_before = true;
    if (p->hides[e->table->id]) {
        memcpy(e->before, values, sizeof(e->before[0]) * e->table->n_columns);
        hide_secrets(p, e->table, e->before);
        values = e->before;
    }
    cap_image_take_changed(e->table, changes, values, e->before);
}

static void
put_after(const struct cap_publisher *p, struct ls_envelope *e, const struct cap_image *after)
{
    e->has_after = true;
    memcpy(e->after, after->values, sizeof(e->after[0]) * e->table->n_columns);
    if (p->hides[e->table->id])
        hide_secrets(p, e->table, e->after);
}

static int
publish_update(struct cap_publisher *p, struct ls_envelope *e, const struct cap_image *before,
               const struct cap_image *after, uint32_t changes, struct ls_err *err)
{
    bool rekeyed = cap_image_key_changes(e->table, changes);
    bool moved = !rekeyed && e->table->by_storage &&
                 before->values[FC_STORAGE].i != after->values[FC_STORAGE].i;

    if (rekeyed || moved) {
        struct ls_envelope *gone = ls_arena_alloc(p->arena, sizeof(*gone));
        if (!gone)
            return ls_fail(err, LS_ERR_FATAL, 0, "no memory for a row");
        *gone = *e;
        gone->op = LS_OP_DELETE;
        gone->seq = cap_publisher_next(p);
        put_before(p, gone, before, ALL_COLUMNS);
        /* a half that will be a dead letter does not arrive: nobody shall wait for it */
        if (moved && cap_image_check_text(e->table, after->values, NULL) == 0)
            gone->moved_to = after->values[FC_STORAGE].i;
        if (send_envelope(p, gone, err) < 0)
            return -1;
        e->seq = gone->seq;
        e->seq.part = 1;
    }
    if (!moved)
        e->seq = cap_publisher_next(p);
    else
        e->moved_from = before->values[FC_STORAGE].i;
    e->op = rekeyed ? LS_OP_CREATE : LS_OP_UPDATE;
    put_after(p, e, after);
    if (!rekeyed)
        put_before(p, e, before, p->full_before ? ALL_COLUMNS : changes);
    return send_envelope(p, e, err);
}

static int
publish_poison(struct cap_publisher *p, struct ls_envelope *e, const struct cap_image *before,
               const struct cap_image *after, struct ls_err *err)
{
    const struct cap_image *bad = after && after->poison ? after : before;
    struct ls_err why = {0};

    e->seq = cap_publisher_next(p);
    e->op = !after ? LS_OP_DELETE : before ? LS_OP_UPDATE : LS_OP_CREATE;
    if (before)
        put_before(p, e, before, ALL_COLUMNS);
    if (after)
        put_after(p, e, after);
    p->now.counters.watched++;
    p->now.counters.tables[e->table->id]++;
    tell_row(p, e);
    (void)ls_fail_cause(&why, LS_ERR_POISON, 0, "number-range",
                        "%s.%s holds a number above 9223372036854775807", e->table->name,
                        e->table->columns[bad->poison_column].name);
    return cap_publisher_open(p, err) < 0 ? -1 : send_dead(p, e, 0, &why, err);
}

int
cap_publish_row(struct cap_publisher *p, const struct cap_origin *origin,
                const struct ls_table *table, const struct cap_image *before,
                const struct cap_image *after, struct ls_err *err)
{
    struct ls_envelope *e = &p->envelope;
    uint32_t changes = ALL_COLUMNS;

    if (table->id == LS_T_PREFERENCES && !cap_preference_watched(before) &&
        !cap_preference_watched(after)) {
        filtered(p, table, CAP_FILTER_PREFERENCES);
        return 0;
    }
    if (before && after)
        changes = cap_image_changes(table, before->values, after->values);
    if (changes == 0) {
        filtered(p, table, CAP_FILTER_UNWATCHED_COLUMNS);
        return 0;
    }
    ls_arena_reset(p->arena);
    envelope_init(p, origin, table, e);
    if ((after && after->poison) ||
        (before && before->poison && !cap_image_has_place(table, before->values)))
        return publish_poison(p, e, before, after, err);
    if (before && after)
        return publish_update(p, e, before, after, changes, err);
    e->seq = cap_publisher_next(p);
    if (!before && !after)
        return ls_fail(err, LS_ERR_FATAL, 0, "a row without an image");
    if (after) {
        e->op = origin->snapshot ? LS_OP_READ : LS_OP_CREATE;
        put_after(p, e, after);
    } else {
        e->op = LS_OP_DELETE;
        put_before(p, e, before, ALL_COLUMNS);
    }
    return send_envelope(p, e, err);
}

bool
cap_publisher_full(const struct cap_publisher *p)
{
    return p->open && p->open_rows >= p->commit_rows;
}

int64_t
cap_publisher_age_ms(const struct cap_publisher *p, int64_t now_ms)
{
    return p->open ? now_ms - p->open_since_ms : 0;
}

int64_t
cap_publisher_waited_ms(const struct cap_publisher *p, int64_t now_ms)
{
    return p->open ? now_ms - p->waited_since_ms : 0;
}

int
cap_publisher_wait_ms(const struct cap_publisher *p)
{
    int64_t left;

    if (!p->open)
        return -1;
    left = p->commit_ms - (ls_mono_ms() - p->waited_since_ms);
    return left < 0 ? 0 : (int)left;
}

int
cap_publisher_commit(struct cap_publisher *p, struct ls_err *err)
{
    int64_t begun_ms = ls_mono_ms();
    char *json;
    int r;

    if (!p->open)
        return 0;
    json = cap_position_print(&p->now, p->source);
    if (!json)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory for the position");
    r = ls_producer_send(p->producer, p->position_topic, 0, LS_STR(CAP_POSITION_KEY),
                         ls_str_of(json), NULL, 0, err);
    free(json);
    if (r == 0 && p->columns_changed)
        r = ls_producer_send(p->producer, p->position_topic, 0, LS_STR(CAP_COLUMNS_KEY),
                             ls_str_of(p->columns), NULL, 0, err);
    if (r < 0 || ls_producer_commit(p->producer, err) < 0)
        return -1;
    p->columns_changed = false;
    p->open = false;
    p->heartbeat_kept_us = p->heartbeat_us;
    p->commit_begun_ms = begun_ms;
    p->committed_ms = ls_mono_ms();
    p->commits++;
    return 0;
}

int
cap_publisher_keep(struct cap_publisher *p, struct ls_err *err)
{
    return cap_publisher_open(p, err) < 0 ? -1 : cap_publisher_commit(p, err);
}

int64_t
cap_publisher_in_flight(const struct cap_publisher *p)
{
    return p->open ? p->open_rows : 0;
}

int64_t
cap_publisher_commits(const struct cap_publisher *p)
{
    return p->commits;
}

int64_t
cap_publisher_rows(const struct cap_publisher *p)
{
    return p->rows;
}
