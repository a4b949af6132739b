/*
 * Row envelopes: schemas/oc10/<table>.avsc.
 *
 * The head is a field table like the cs3 records'; the two rows are column-wise
 * with a bitmap each, because absent (not carried, or unknown to an old server)
 * is not NULL. A bit's number is the column's place in the WRITER's row schema.
 * What can go wrong: a column holds another type than its table says; text is
 * made of a number (old servers), anything else is POISON, never a guess.
 */
#include "common/fields.h"
#include "common/records.h"
#include "common/records_parts.h"
#include "common/schema.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const struct rec_symbol ops[] = {
    {"c", LS_OP_CREATE}, {"u", LS_OP_UPDATE}, {"d", LS_OP_DELETE},    {"r", LS_OP_READ},
    {"b", LS_OP_BEGIN},  {"e", LS_OP_END},    {"h", LS_OP_HEARTBEAT},
};

#define E(field) offsetof(struct ls_envelope, field)

static const struct rec_field head[] = {
    {"op", REC_ENUM, E(op), true, 0, ops, sizeof(ops) / sizeof(*ops)},
    {"seq_epoch", REC_INT, E(seq.epoch), true, 0, NULL, 0},
    {"seq_counter", REC_LONG, E(seq.counter), true, 0, NULL, 0},
    {"part", REC_INT, E(seq.part), true, 0, NULL, 0},
    {"begin_epoch", REC_INT, E(begin.epoch), false, 0, NULL, 0},
    {"begin_counter", REC_LONG, E(begin.counter), false, 0, NULL, 0},
    {"begin_part", REC_INT, E(begin.part), false, 0, NULL, 0},
    {"source_ts_us", REC_LONG, E(source_ts_us), false, 0, NULL, 0},
    {"capture_ts_us", REC_LONG, E(capture_ts_us), false, 0, NULL, 0},
    {"server", REC_STR, E(server), false, 0, NULL, 0},
    {"gtid", REC_STR, E(gtid), false, 0, NULL, 0},
    {"file", REC_STR, E(file), false, 0, NULL, 0},
    {"pos", REC_LONG, E(pos), false, 0, NULL, 0},
    {"row", REC_INT, E(row), false, 0, NULL, 0},
    {"moved_from", REC_OPT_LONG, E(moved_from), false, 0, NULL, 0},
    {"moved_to", REC_OPT_LONG, E(moved_to), false, 0, NULL, 0},
    {"storage", REC_OPT_LONG, E(storage), false, 0, NULL, 0},
};

static struct {
    char schema[64], record[64];
    const struct schema_head *schema_head;
    struct rec_type type;
} kinds[LS_T_COUNT];
static pthread_once_t kinds_once = PTHREAD_ONCE_INIT;

/* "group_user" -> "GroupUserEnvelope" */
static void
record_name(const char *table, char *out, size_t size)
{
    bool up = true;
    size_t n = 0;

    for (; *table; table++) {
        if (*table == '_') {
            up = true;
            continue;
        }
        if (n + 1 < size)
            out[n++] = (char)(up ? toupper((unsigned char)*table) : *table);
        up = false;
    }
    snprintf(out + n, size - n, "Envelope");
}

static void
kinds_make(void)
{
    for (size_t i = 0; i < LS_T_COUNT; i++) {
        snprintf(kinds[i].schema, sizeof(kinds[i].schema), "oc10/%s", ls_tables[i].name);
        record_name(ls_tables[i].name, kinds[i].record, sizeof(kinds[i].record));
        kinds[i].schema_head = schema_head_of(kinds[i].schema);
        kinds[i].type =
            (struct rec_type){kinds[i].schema, kinds[i].record, sizeof(struct ls_envelope), head,
                              sizeof(head) / sizeof(*head)};
    }
}

const struct rec_type *
envelope_type(enum ls_table_id id)
{
    pthread_once(&kinds_once, kinds_make);
    return &kinds[id].type;
}

/* ---- writing */

#define COLUMN_BYTES 24 /* branch, length and the longest number as text */

/* The most that the row takes, and which columns it has. */
static size_t
row_bound(const struct ls_table *table, const struct ls_value *values, int64_t *ret_bits)
{
    size_t n = 1 + COLUMN_BYTES * table->n_columns;
    int64_t bits = 0;

    for (size_t i = 0; i < table->n_columns; i++) {
        if (values[i].kind == LS_V_TEXT)
            n += values[i].s.n;
        bits |= (int64_t)(values[i].kind != LS_V_ABSENT) << i;
    }
    *ret_bits = bits;
    return n;
}

static uint8_t *
put_opt_storage(uint8_t *o, int64_t storage)
{
    *o++ = storage == LS_NO_STORAGE ? 0 : 2;
    return storage == LS_NO_STORAGE ? o : rec_put_long(o, storage);
}

static uint8_t *
put_text(uint8_t *o, struct ls_str s)
{
    return rec_put_str(o, s.p ? s : LS_STR(""));
}

static size_t
head_bound(const struct ls_envelope *e)
{
    return sizeof(head) / sizeof(*head) * (1 + REC_LONG_MAX) + e->server.n + e->gtid.n + e->file.n;
}

/* As rec_put with the table `head`, which costs thrice as much; a unit test compares. */
static uint8_t *
put_head(uint8_t *o, const struct ls_envelope *e)
{
    size_t op = 0;

    while (op < sizeof(ops) / sizeof(*ops) && ops[op].value != (int)e->op)
        op++;
    if (op == sizeof(ops) / sizeof(*ops))
        return NULL;
    o = rec_put_long(o, (int64_t)op);
    o = rec_put_long(o, e->seq.epoch);
    o = rec_put_long(o, e->seq.counter);
    o = rec_put_long(o, e->seq.part);
    o = rec_put_long(o, e->begin.epoch);
    o = rec_put_long(o, e->begin.counter);
    o = rec_put_long(o, e->begin.part);
    o = rec_put_long(o, e->source_ts_us);
    o = rec_put_long(o, e->capture_ts_us);
    o = put_text(o, e->server);
    o = put_text(o, e->gtid);
    o = put_text(o, e->file);
    o = rec_put_long(o, e->pos);
    o = rec_put_long(o, e->row);
    o = put_opt_storage(o, e->moved_from);
    o = put_opt_storage(o, e->moved_to);
    return put_opt_storage(o, e->storage);
}

static uint8_t *
put_column(uint8_t *o, const struct ls_column *column, const struct ls_value *v)
{
    char digits[24];

    if (v->kind == LS_V_ABSENT || v->kind == LS_V_NULL) {
        *o++ = 0;
        return o;
    }
    *o++ = 2;
    if (v->kind == LS_V_TEXT)
        return column->type == LS_V_TEXT ? rec_put_str(o, v->s) : NULL;
    if (column->type == LS_V_INT)
        return rec_put_long(o, v->i);
    snprintf(digits, sizeof(digits), "%" PRId64, v->i);
    return rec_put_str(o, ls_str_of(digits));
}

static uint8_t *
put_row(uint8_t *o, const struct ls_table *table, bool has, const struct ls_value *values)
{
    *o++ = has ? 2 : 0;
    for (size_t i = 0; has && o && i < table->n_columns; i++)
        o = put_column(o, &table->columns[i], &values[i]);
    return o;
}

int
ls_envelope_encode(const struct ls_envelope *envelope, struct ls_buf *out, struct ls_err *err)
{
    const struct ls_table *t = envelope->table;
    size_t start = out->n;
    size_t bound = REC_HEADER + head_bound(envelope) + 22; /* bitmaps, branches */
    int64_t before = 0, after = 0;
    uint8_t *o;

    pthread_once(&kinds_once, kinds_make);
    if (envelope->has_before)
        bound += row_bound(t, envelope->before, &before);
    if (envelope->has_after)
        bound += row_bound(t, envelope->after, &after);
    o = ls_buf_room(out, bound);
    if (!o)
        return ls_fail_cause(err, LS_ERR_POISON, EMSGSIZE, "too-large",
                             "a row of %s is too large for its buffer", t->name);
    o = rec_put_header(o, kinds[t->id].schema_head);
    o = put_head(o, envelope);
    if (o) {
        o = rec_put_long(o, before);
        o = rec_put_long(o, after);
        o = put_row(o, t, envelope->has_before, envelope->before);
    }
    if (o)
        o = put_row(o, t, envelope->has_after, envelope->after);
    if (!o) {
        out->n = start;
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "column-type",
                             "a column of %s holds another type than its table says", t->name);
    }
    out->n = (size_t)(o - out->p);
    return 0;
}

/* ---- reading */

int
ls_envelope_decode(const struct ls_table *table, struct ls_str value, struct ls_arena *arena,
                   struct ls_envelope **ret, struct ls_err *err)
{
    struct ls_envelope *e = ls_arena_alloc(arena, sizeof(*e));
    struct rec_plan *plan = NULL;

    if (!e)
        return ls_fail_cause(err, LS_ERR_RETRY, ENOMEM, "batch-memory",
                             "the records of one batch do not fit into its memory");
    if (rec_open(envelope_type(table->id), value, &plan, err) < 0 ||
        rec_take(plan, arena, e, err) < 0 ||
        rec_take_row(plan, "before", "before_present", table, arena, &e->has_before, e->before,
                     err) < 0 ||
        rec_take_row(plan, "after", "after_present", table, arena, &e->has_after, e->after, err) <
            0)
        return -1;
    e->table = table;
    *ret = e;
    return 0;
}

/* ---- the key */

/* `out` has room for thrice the text, or for the digits of a number. */
static size_t
key_text(const struct ls_value *v, char *out)
{
    static const char slash[] = {'%', '2', 'F'}, percent[] = {'%', '2', '5'};
    size_t used = 0;

    if (v->kind == LS_V_INT)
        return ls_digits_put(v->i, out);
    for (size_t i = 0; i < v->s.n; i++) {
        char c = v->s.p[i];

        if (c == '/' || c == '%') {
            memcpy(out + used, c == '/' ? slash : percent, 3);
            used += 3;
        } else {
            out[used++] = c;
        }
    }
    return used;
}

int
ls_envelope_key(const struct ls_envelope *envelope, struct ls_arena *arena, struct ls_str *ret,
                struct ls_err *err)
{
    const struct ls_table *t = envelope->table;
    const struct ls_value *row = envelope->has_after ? envelope->after : envelope->before;
    size_t n = 0, used = 0;
    char *key;

    for (size_t i = 0; i < t->n_columns && t->columns[i].key; i++) {
        if ((!envelope->has_after && !envelope->has_before) ||
            (row[i].kind != LS_V_INT && row[i].kind != LS_V_TEXT))
            return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "no-key",
                                 "a row of %s has no value in its key column %s", t->name,
                                 t->columns[i].name);
        n += 1 + (row[i].kind == LS_V_INT ? LS_DIGITS : 3 * row[i].s.n);
    }
    key = ls_arena_alloc(arena, n);
    if (!key)
        return ls_fail_cause(err, LS_ERR_RETRY, ENOMEM, "batch-memory",
                             "the records of one batch do not fit into its memory");
    for (size_t i = 0; i < t->n_columns && t->columns[i].key; i++) {
        if (i > 0)
            key[used++] = '/';
        used += key_text(&row[i], key + used);
    }
    *ret = (struct ls_str){key, used};
    return 0;
}
