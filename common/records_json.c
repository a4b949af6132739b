/*
 * Records as JSON: the field tables walked once more.
 *
 * What can go wrong: a secret that is shown. In rows the table of columns says which they are, and
 * a link's password is one although other shares have a name in that column; in desired states they
 * are listed here, by name. Text that is no UTF-8 is shown as such, not left out.
 */
#include "common/records_json.h"
#include "common/fields.h"
#include "common/records_parts.h"
#include <stdio.h>

#define SHARE_TYPE_LINK 3

static const char *const secret_fields[] = {"token", "password_hash", "shared_secret"};

static bool
is_secret(const char *name)
{
    for (size_t i = 0; i < sizeof(secret_fields) / sizeof(*secret_fields); i++)
        if (strcmp(name, secret_fields[i]) == 0)
            return true;
    return false;
}

static json_t *
text_json(struct ls_str s, bool mask)
{
    json_t *text;

    if (!s.p)
        return json_null();
    if (mask && s.n)
        return json_string(LS_MASKED);
    text = json_stringn(s.p, s.n);
    return text ? text : json_sprintf("(%zu bytes that are no UTF-8)", s.n);
}

static const char *
symbol_of(const struct rec_field *field, int value)
{
    for (size_t i = 0; i < field->n_symbols; i++)
        if (field->symbols[i].value == value)
            return field->symbols[i].name;
    return "?";
}

json_t *
cs3_json(const struct cs3_type *type, const void *record, bool secrets)
{
    json_t *object = json_object(), *value;

    for (size_t i = 0; object && i < type->rec.n_fields; i++) {
        const struct rec_field *f = &type->rec.fields[i];
        const char *at = (const char *)record + f->offset;
        int64_t n = f->kind == REC_INT    ? *(const int32_t *)(const void *)at
                    : f->kind == REC_LONG ? *(const int64_t *)(const void *)at
                                          : 0;

        switch (f->kind) {
        case REC_INT:
        case REC_LONG:
            value = json_integer(n);
            break;
        case REC_OPT_LONG:
            n = *(const int64_t *)(const void *)at;
            value = n == LS_NO_STORAGE ? json_null() : json_integer(n);
            break;
        case REC_BOOL:
            value = json_boolean(*(const bool *)(const void *)at);
            break;
        case REC_ENUM:
            value = json_string(symbol_of(f, *(const int *)(const void *)at));
            break;
        default:
            value =
                text_json(*(const struct ls_str *)(const void *)at, !secrets && is_secret(f->name));
            break;
        }
        if (json_object_set_new(object, f->name, value) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* A value that is not known to be another type's may be a password's hash. */
static bool
may_be_link(const struct ls_envelope *e)
{
    const struct ls_value *type =
        e->has_after ? &e->after[SH_SHARE_TYPE] : &e->before[SH_SHARE_TYPE];

    return type->kind != LS_V_INT || type->i == SHARE_TYPE_LINK;
}

static json_t *
row_json(const struct ls_envelope *e, const struct ls_value *values, bool secrets)
{
    json_t *row = json_object();

    for (size_t i = 0; row && i < e->table->n_columns; i++) {
        const struct ls_column *column = &e->table->columns[i];
        const struct ls_value *v = &values[i];
        bool mask = !secrets && (column->secret == LS_SECRET ||
                                 (column->secret == LS_SECRET_LINK && may_be_link(e)));

        if (v->kind == LS_V_ABSENT)
            continue;
        if (json_object_set_new(row, column->name,
                                v->kind == LS_V_NULL  ? json_null()
                                : v->kind == LS_V_INT ? json_integer(v->i)
                                                      : text_json(v->s, mask)) < 0) {
            json_decref(row);
            return NULL;
        }
    }
    return row;
}

json_t *
ls_envelope_json(const struct ls_envelope *e, bool secrets)
{
    char op[2] = {(char)e->op, '\0'}, seq[64];

    ls_seq_print(e->seq, seq, sizeof(seq));
    json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:I}", "table", e->table->name,
                               "op", op, "seq", seq, "source_ts_us", (json_int_t)e->source_ts_us,
                               "gtid", text_json(e->gtid, false), "file", text_json(e->file, false),
                               "server", text_json(e->server, false), "pos", (json_int_t)e->pos);
    if (object && e->has_before)
        json_object_set_new(object, "before", row_json(e, e->before, secrets));
    if (object && e->has_after)
        json_object_set_new(object, "after", row_json(e, e->after, secrets));
    return object;
}
