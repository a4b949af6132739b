/*
 * What the mappings share: columns as values, keys, heads.
 *
 * A column may be ABSENT (an older release does not have it, or only keys of a deleted row are
 * carried), NULL, or of another type than expected (a number in a text column). Each of these has
 * a plain answer here, so that no mapping reads a value without looking at its kind.
 */
#include "transform/map.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const tf_topic_names[TF_TOPICS] = {"resource", "space", "person", "share",
                                               "annotation"};

const struct ls_value *
tf_value(const struct ls_envelope *e, int column)
{
    if (e->has_after && e->after[column].kind != LS_V_ABSENT)
        return &e->after[column];
    if (e->has_before && (!e->has_after || e->op == LS_OP_DELETE))
        return &e->before[column];
    return &e->after[column];
}

static int64_t
parse_int(struct ls_str s, int64_t fallback)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    int64_t n;

    if (negative)
        s = (struct ls_str){s.p + 1, s.n - 1};
    if (!ls_str_digits(s, &n))
        return fallback;
    return negative ? -n : n;
}

int64_t
tf_int(const struct ls_envelope *e, int column, int64_t fallback)
{
    const struct ls_value *v = tf_value(e, column);

    if (v->kind == LS_V_INT)
        return v->i;
    if (v->kind == LS_V_TEXT)
        return parse_int(v->s, fallback);
    return fallback;
}

struct ls_str
tf_text(const struct ls_envelope *e, int column)
{
    const struct ls_value *v = tf_value(e, column);

    if (v->kind != LS_V_TEXT)
        return LS_STR_NULL;
    return v->s.p ? v->s : LS_STR("");
}

struct ls_str
tf_or_null(struct ls_str s)
{
    return s.n ? s : LS_STR_NULL;
}

struct cs3_head
tf_head(const struct ls_envelope *e, enum cs3_kind kind)
{
    return (struct cs3_head){
        .kind = kind,
        .seq = e->seq,
        .begin = e->begin,
        .source_ts_us = e->source_ts_us,
        .capture_ts_us = e->capture_ts_us,
        .snapshot = e->op == LS_OP_READ,
    };
}

void *
tf_alloc(struct ls_arena *arena, size_t size, struct ls_err *err)
{
    void *p = ls_arena_alloc(arena, size);

    if (!p)
        ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "the arena of one record is full");
    return p;
}

int
tf_key(struct ls_arena *arena, const char *prefix, struct ls_str key, struct ls_str *ret,
       struct ls_err *err)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = strlen(prefix);
    char *out = tf_alloc(arena, n + 3 * key.n + 1, err);

    if (!out)
        return -1;
    for (size_t i = 0; i < n; i++)
        out[i] = prefix[i];
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];

        if (c == '/' || c == '%') {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = c;
        }
    }
    *ret = (struct ls_str){out, n};
    return 0;
}

int
tf_key_int(struct ls_arena *arena, const char *prefix, int64_t number, struct ls_str *ret,
           struct ls_err *err)
{
    size_t n = strlen(prefix);
    char *out = tf_alloc(arena, n + LS_DIGITS + 1, err);

    if (!out)
        return -1;
    memcpy(out, prefix, n);
    *ret = (struct ls_str){out, n + ls_digits_put(number, out + n)};
    return 0;
}

int64_t
tf_mtime(int64_t mtime)
{
    return mtime > CS3_MTIME_MAX ? CS3_MTIME_MAX : mtime < CS3_MTIME_MIN ? CS3_MTIME_MIN : mtime;
}

void
tf_warn(struct tf_result *result, const char *word)
{
    if (result->n_warnings < TF_MAX_WARNINGS)
        result->warnings[result->n_warnings++] = word;
}

void
tf_emit(struct tf_result *result, enum tf_topic topic, int32_t partition, struct ls_str key,
        const void *record)
{
    assert(result->n < TF_MAX_EMITS);
    result->emits[result->n++] = (struct tf_emit){topic, partition, key, record, true};
}

static const struct cs3_type *const cs3_types[TF_TOPICS] = {
    [TF_RESOURCE] = &cs3_resource_type,      [TF_SPACE] = &cs3_space_type_,
    [TF_PERSON] = &cs3_person_type_,         [TF_SHARE] = &cs3_share_type_,
    [TF_ANNOTATION] = &cs3_annotation_type_,
};

int
tf_encode(const struct tf_result *result, struct ls_buf *buf, struct ls_str values[TF_MAX_EMITS],
          struct ls_err *err)
{
    size_t ends[TF_MAX_EMITS], start = 0;

    ls_buf_clear(buf);
    for (size_t i = 0; i < result->n; i++) {
        const struct tf_emit *emit = &result->emits[i];

        if (emit->record && cs3_encode(cs3_types[emit->topic], emit->record, buf, err) < 0)
            return -1;
        ends[i] = buf->n;
    }
    /* Only now: the buffer moves while it grows. */
    for (size_t i = 0; i < result->n; i++) {
        values[i] = result->emits[i].record
                        ? (struct ls_str){(const char *)buf->p + start, ends[i] - start}
                        : LS_STR_NULL;
        start = ends[i];
    }
    return 0;
}
