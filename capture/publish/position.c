/*
 * The position record: JSON both ways.
 *
 * It is written in the same Kafka transaction as the rows it covers, so it is never ahead of them
 * or behind. What can go wrong: a record of another program version (unknown members are ignored,
 * missing counters are zero, missing coordinates are fatal); a position topic that was lost. In
 * that case the numbers would begin again and apply would take everything for old: so a beginning
 * gets an epoch from the clock, seconds since 2020, and the epoch is compared before the counter.
 */
#include "capture/publish/position.h"
#include "common/run.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define EPOCH_BEGIN 1577836800LL /* 2020-01-01 */

const char *const cap_filter_names[CAP_FILTER_COUNT] = {
    [CAP_FILTER_UNWATCHED_COLUMNS] = "unwatched-columns",
    [CAP_FILTER_PREFERENCES] = "preferences",
    [CAP_FILTER_XA] = "xa",
};
const char *const cap_dead_names[CAP_DEAD_COUNT] = {
    [CAP_DEAD_UTF8] = "invalid-utf8",
    [CAP_DEAD_NUMBER] = "number-range",
    [CAP_DEAD_TOO_LARGE] = "too-large",
    [CAP_DEAD_OTHER] = "other",
};
const char *const cap_phase_names[CAP_SNAPSHOT_PHASES] = {
    [CAP_SNAPSHOT_NONE] = "none",           [CAP_SNAPSHOT_RUNNING] = "running",
    [CAP_SNAPSHOT_DONE] = "done",           [CAP_SNAPSHOT_PAUSED] = "paused",
    [CAP_SNAPSHOT_CANCELLED] = "cancelled",
};

static int64_t
sum(const int64_t *p, int n)
{
    int64_t total = 0;

    for (int i = 0; i < n; i++)
        total += p[i];
    return total;
}

int64_t
cap_counters_dead(const struct cap_counters *c)
{
    return sum(c->dead, CAP_DEAD_COUNT);
}

int64_t
cap_counters_filtered(const struct cap_counters *c)
{
    return sum(c->filtered, CAP_FILTER_COUNT);
}

bool
cap_position_in_part(const struct cap_position *p)
{
    return p->row > 0 || p->n_parts > 0;
}

void
cap_position_forget_parts(struct cap_position *p)
{
    p->row = 0;
    p->row_gtid[0] = '\0';
    p->n_parts = 0;
}

int64_t
cap_counters_balance(const struct cap_counters *c)
{
    return c->watched - c->published - cap_counters_filtered(c) - cap_counters_dead(c);
}

void
cap_position_first(struct cap_position *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->epoch = (int32_t)(ls_now_us() / 1000000 - EPOCH_BEGIN);
}

static json_t *
chosen_json(const struct cap_snapshot_state *s)
{
    json_t *storages = json_array(), *users = json_array();

    for (int i = 0; i < s->chosen.n_storages; i++)
        json_array_append_new(storages, json_integer(s->chosen.storages[i]));
    for (int i = 0; i < s->chosen.n_users; i++)
        json_array_append_new(users, json_string(s->chosen.users[i]));
    return json_pack("{s:o, s:o, s:i, s:b}", "storages", storages, "users", users, "at", s->storage,
                     "begun", s->begun);
}

static json_t *
snapshot_json(const struct cap_snapshot_state *s)
{
    char begin[64];
    json_t *key = json_array(), *root;

    (void)ls_seq_print(s->begin, begin, sizeof(begin));
    for (int i = 0; i < s->n_key; i++)
        json_array_append_new(key, json_string(s->key[i]));
    root = json_pack("{s:s, s:s, s:i, s:o, s:I, s:I, s:I, s:I}", "state", cap_phase_names[s->phase],
                     "begin", begin, "step", s->step, "key", key, "rows", (json_int_t)s->rows,
                     "estimate", (json_int_t)s->estimate, "started_us", (json_int_t)s->started_us,
                     "ended_us", (json_int_t)s->ended_us);
    if (s->chosen.n_storages > 0)
        json_object_set_new(root, "chosen", chosen_json(s));
    return root;
}

json_t *
cap_answers_json(const struct cap_control_state *c)
{
    json_t *answers = json_array();

    for (int i = 0; i < c->n_answers; i++) {
        const struct cap_answer *a = &c->answers[i];
        json_array_append_new(answers,
                              json_pack("{s:s, s:s, s:b, s:s, s:s, s:I}", "id", a->id, "command",
                                        a->command, "accepted", a->accepted, "cause", a->cause,
                                        "why", a->why, "time_us", (json_int_t)a->time_us));
    }
    return answers;
}

static json_t *
counters_json(const struct cap_counters *c)
{
    json_t *filtered = json_object(), *tables = json_object(), *dead = json_object();

    for (int i = 0; i < CAP_FILTER_COUNT; i++)
        json_object_set_new(filtered, cap_filter_names[i], json_integer(c->filtered[i]));
    for (int i = 0; i < CAP_DEAD_COUNT; i++)
        json_object_set_new(dead, cap_dead_names[i], json_integer(c->dead[i]));
    for (int i = 0; i < LS_T_COUNT; i++)
        if (c->tables[i])
            json_object_set_new(tables, ls_tables[i].name, json_integer(c->tables[i]));
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I}", "watched", (json_int_t)c->watched,
                     "published", (json_int_t)c->published, "dead", dead, "filtered", filtered,
                     "tables", tables, "gtid_gaps", (json_int_t)c->gtid_gaps, "repeated",
                     (json_int_t)c->repeated, "snapshots", (json_int_t)c->snapshots);
}

static json_t *
parts_json(const struct cap_position *p)
{
    json_t *parts = json_array();

    for (size_t i = 0; i < p->n_parts; i++)
        json_array_append_new(parts, json_pack("{s:s, s:I}", "gtid", p->parts[i].gtid, "row",
                                               (json_int_t)p->parts[i].row));
    return parts;
}

char *
cap_position_print(const struct cap_position *p, const char *source)
{
    char gtids[CAP_GTID_SET_TEXT], xa[CAP_XA_OPEN_TEXT];
    json_t *root;
    char *text = NULL;

    cap_gtid_set_print(&p->gtids, gtids);
    cap_xa_open_print(&p->xa, xa);
    root =
        json_pack("{s:i, s:s, s:{s:i, s:I}, s:s, s:s, s:I, s:I, s:s, s:o, s:s, s:I, s:b, s:o, "
                  "s:o}",
                  "version", 1, "source", source, "seq", "epoch", p->epoch, "counter",
                  (json_int_t)p->counter, "gtid", gtids, "file", p->file, "pos", (json_int_t)p->pos,
                  "row", (json_int_t)p->row, "row_gtid", p->row_gtid, "parts", parts_json(p), "xa",
                  xa, "ts_us", (json_int_t)p->ts_us, "lost", p->lost, "snapshot",
                  snapshot_json(&p->snapshot), "counters", counters_json(&p->counters));
    if (root)
        json_object_set_new(
            root, "server",
            json_pack("{s:I, s:s}", "id", (json_int_t)p->server_id, "uuid", p->server_uuid));
    if (root && p->whole)
        json_object_set_new(root, "gtid_whole", json_true());
    if (root && p->control.next > 0)
        json_object_set_new(root, "control",
                            json_pack("{s:I, s:o, s:o}", "next", (json_int_t)p->control.next,
                                      "seen", ls_control_seen_json(&p->control.seen), "answers",
                                      cap_answers_json(&p->control)));
    if (root)
        text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static int64_t
integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static int
take_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text || strlen(text) >= size)
        return -1;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int
parse_chosen(const json_t *root, struct cap_snapshot_state *ret)
{
    const json_t *storages = json_object_get(root, "storages"),
                 *users = json_object_get(root, "users");

    if (!root)
        return 0;
    if (json_array_size(storages) == 0 || json_array_size(storages) > CAP_CHOSEN_STORAGES ||
        json_array_size(users) > CAP_CHOSEN_USERS)
        return -1;
    for (size_t i = 0; i < json_array_size(storages); i++)
        ret->chosen.storages[i] = json_integer_value(json_array_get(storages, i));
    ret->chosen.n_storages = (int)json_array_size(storages);
    for (size_t i = 0; i < json_array_size(users); i++) {
        const char *text = json_string_value(json_array_get(users, i));
        if (!text || strlen(text) >= CAP_USER_TEXT)
            return -1;
        memcpy(ret->chosen.users[i], text, strlen(text) + 1);
    }
    ret->chosen.n_users = (int)json_array_size(users);
    ret->storage = (int)integer(root, "at");
    ret->begun = json_is_true(json_object_get(root, "begun"));
    return ret->storage < 0 || ret->storage > ret->chosen.n_storages ? -1 : 0;
}

static int
parse_snapshot(const json_t *root, struct cap_snapshot_state *ret)
{
    const char *state = json_string_value(json_object_get(root, "state")),
               *begin = json_string_value(json_object_get(root, "begin"));
    const json_t *key = json_object_get(root, "key");

    if (!root)
        return 0;
    if (!state || !begin || ls_seq_parse(ls_str_of(begin), &ret->begin) < 0 ||
        parse_chosen(json_object_get(root, "chosen"), ret) < 0)
        return -1;
    for (int i = 0; i < CAP_SNAPSHOT_PHASES; i++)
        if (!strcmp(state, cap_phase_names[i]))
            ret->phase = (enum cap_snapshot_phase)i;
    ret->step = (int)integer(root, "step");
    if (ret->step < 0 || ret->step > LS_T_COUNT || json_array_size(key) > CAP_KEY_COLUMNS)
        return -1;
    for (size_t i = 0; i < json_array_size(key); i++) {
        const char *text = json_string_value(json_array_get(key, i));
        if (!text || strlen(text) >= CAP_KEY_TEXT)
            return -1;
        memcpy(ret->key[i], text, strlen(text) + 1);
        ret->n_key++;
    }
    ret->rows = integer(root, "rows");
    ret->estimate = integer(root, "estimate");
    ret->started_us = integer(root, "started_us");
    ret->ended_us = integer(root, "ended_us");
    return 0;
}

/* Both are not there in the records of older versions. */
static int
parse_parts(const json_t *root, struct cap_position *ret)
{
    const json_t *parts = json_object_get(root, "parts");
    const char *xa = json_string_value(json_object_get(root, "xa"));

    if (json_array_size(parts) > CAP_PARTS ||
        (xa && cap_xa_open_parse(ls_str_of(xa), &ret->xa) < 0))
        return -1;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        struct cap_part *part = &ret->parts[ret->n_parts++];
        const json_t *one = json_array_get(parts, i);
        const char *gtid = json_string_value(json_object_get(one, "gtid"));
        struct cap_gtid parsed;
        part->row = integer(one, "row");
        if (!gtid || cap_gtid_parse(ls_str_of(gtid), &parsed) < 0 || part->row <= 0)
            return -1;
        cap_gtid_print(&parsed, part->gtid);
    }
    return 0;
}

static int
parse_control(const json_t *root, struct cap_control_state *ret)
{
    const json_t *answers = json_object_get(root, "answers");

    if (!root)
        return 0;
    ret->next = integer(root, "next");
    if (ret->next < 0 || ls_control_seen_parse(json_object_get(root, "seen"), &ret->seen) < 0 ||
        json_array_size(answers) > CAP_ANSWERS)
        return -1;
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const json_t *from = json_array_get(answers, i);
        struct cap_answer *a = &ret->answers[i];
        if (take_text(from, "id", a->id, sizeof(a->id)) < 0 ||
            take_text(from, "command", a->command, sizeof(a->command)) < 0 ||
            take_text(from, "cause", a->cause, sizeof(a->cause)) < 0 ||
            take_text(from, "why", a->why, sizeof(a->why)) < 0)
            return -1;
        a->accepted = json_is_true(json_object_get(from, "accepted"));
        a->time_us = integer(from, "time_us");
        ret->n_answers++;
    }
    return 0;
}

static void
parse_counters(const json_t *root, struct cap_counters *ret)
{
    const json_t *filtered = json_object_get(root, "filtered"),
                 *tables = json_object_get(root, "tables"), *dead = json_object_get(root, "dead");

    ret->watched = integer(root, "watched");
    ret->published = integer(root, "published");
    ret->gtid_gaps = integer(root, "gtid_gaps");
    ret->repeated = integer(root, "repeated");
    ret->snapshots = integer(root, "snapshots");
    for (int i = 0; i < CAP_DEAD_COUNT; i++)
        ret->dead[i] = integer(dead, cap_dead_names[i]);
    for (int i = 0; i < CAP_FILTER_COUNT; i++)
        ret->filtered[i] = integer(filtered, cap_filter_names[i]);
    for (int i = 0; i < LS_T_COUNT; i++)
        ret->tables[i] = integer(tables, ls_tables[i].name);
}

int
cap_position_parse(struct ls_str json, struct cap_position *ret, struct ls_err *err)
{
    json_t *root = json_loadb(json.p ? json.p : "", json.n, 0, NULL);
    const json_t *seq = json_object_get(root, "seq"), *server = json_object_get(root, "server");
    const char *uuid = json_string_value(json_object_get(server, "uuid"));
    const char *gtid = json_string_value(json_object_get(root, "gtid")),
               *file = json_string_value(json_object_get(root, "file")),
               *row_gtid = json_string_value(json_object_get(root, "row_gtid"));
    struct cap_position p = {0};
    int r = -1;

    p.epoch = (int32_t)integer(seq, "epoch");
    p.counter = integer(seq, "counter");
    p.pos = (uint64_t)integer(root, "pos");
    p.row = integer(root, "row");
    p.ts_us = integer(root, "ts_us");
    p.lost = json_is_true(json_object_get(root, "lost"));
    p.whole = json_is_true(json_object_get(root, "gtid_whole"));
    if (!seq || !gtid || !file || strlen(file) >= sizeof(p.file) || p.epoch <= 0 || p.row < 0 ||
        (row_gtid && strlen(row_gtid) >= sizeof(p.row_gtid)) ||
        parse_snapshot(json_object_get(root, "snapshot"), &p.snapshot) < 0 ||
        parse_parts(root, &p) < 0 ||
        parse_control(json_object_get(root, "control"), &p.control) < 0) {
        (void)ls_fail_cause(err, LS_ERR_FATAL, 0, "position",
                            "the record in the position topic cannot be read: %.*s",
                            (int)(json.n > 120 ? 120 : json.n), json.p ? json.p : "");
        goto out;
    }
    memcpy(p.file, file, strlen(file) + 1);
    p.server_id = (uint32_t)integer(server, "id");
    (void)snprintf(p.server_uuid, sizeof(p.server_uuid), "%s", uuid ? uuid : "");
    (void)snprintf(p.row_gtid, sizeof(p.row_gtid), "%s", row_gtid ? row_gtid : "");
    if (cap_gtid_set_parse(ls_str_of(gtid), &p.gtids, err) < 0)
        goto out;
    parse_counters(json_object_get(root, "counters"), &p.counters);
    *ret = p;
    r = 0;
out:
    json_decref(root);
    return r;
}
