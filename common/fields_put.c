/*
 * Writing records: Avro's binary encoding put straight into the buffer.
 *
 * This is capture's hot path: a generic writer would cost more than reading the
 * row from the binlog. So the caller asks for the most a record may take, and
 * the bytes are put without a check each. What can go wrong: the table here and
 * the .avsc drift apart; unit tests hold them against each other, and the bytes
 * against avro-c's.
 */
#include "common/fields.h"
#include "common/records.h"
#include "common/schema.h"
#include <string.h>

uint8_t *
rec_put_single_object(uint8_t *o, uint64_t fingerprint)
{
    *o++ = 0xc3;
    *o++ = 0x01;
    for (int i = 0; i < 8; i++)
        *o++ = (uint8_t)(fingerprint >> (8 * i));
    return o;
}

uint8_t *
rec_put_header(uint8_t *o, const struct schema_head *head)
{
    memcpy(o, head->bytes, head->n);
    return o + head->n;
}

static const void *
at(const void *record, const struct rec_field *f)
{
    return (const char *)record + f->offset;
}

size_t
rec_bound(const struct rec_type *type, const void *record)
{
    size_t n = 0;

    for (size_t i = 0; i < type->n_fields; i++) {
        const struct rec_field *f = &type->fields[i];

        n += 1 + REC_LONG_MAX;
        if (f->kind == REC_STR || f->kind == REC_OPT_STR)
            n += ((const struct ls_str *)at(record, f))->n;
    }
    return n;
}

static uint8_t *
put_enum(uint8_t *o, const struct rec_field *f, const void *p)
{
    int value;

    memcpy(&value, p, sizeof(value));
    for (size_t i = 0; i < f->n_symbols; i++) {
        if (f->symbols[i].value == value)
            return rec_put_long(o, (int64_t)i);
    }
    return NULL;
}

uint8_t *
rec_put(uint8_t *o, const struct rec_type *type, const void *record)
{
    for (size_t i = 0; i < type->n_fields && o; i++) {
        const struct rec_field *f = &type->fields[i];
        const void *p = at(record, f);
        struct ls_str s;
        int64_t v;

        switch (f->kind) {
        case REC_INT:
            o = rec_put_long(o, *(const int32_t *)p);
            break;
        case REC_LONG:
            o = rec_put_long(o, *(const int64_t *)p);
            break;
        case REC_BOOL:
            *o++ = *(const bool *)p;
            break;
        case REC_STR:
        case REC_OPT_STR:
            s = *(const struct ls_str *)p;
            if (!s.p)
                s.n = 0;
            if (f->kind == REC_OPT_STR)
                *o++ = s.p ? 2 : 0;
            if (f->kind == REC_STR || s.p)
                o = rec_put_str(o, s);
            break;
        case REC_OPT_LONG:
            v = *(const int64_t *)p;
            *o++ = v == LS_NO_STORAGE ? 0 : 2;
            if (v != LS_NO_STORAGE)
                o = rec_put_long(o, v);
            break;
        case REC_ENUM:
            o = put_enum(o, f, p);
            break;
        }
    }
    return o;
}
