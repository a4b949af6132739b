/*
 * Questions about row images that decide what becomes of a row.
 *
 * What can go wrong here goes wrong silently, so it is kept apart and without I/O: a change called
 * "none" is a change lost (so the comparison is made on the values as the source has them, not on
 * masked ones), a mask forgotten is a password hash in Kafka.
 */
#include "capture/publish/images.h"
#include "common/utf8.h"
#include <string.h>

enum { SHARE_TYPE_LINK = 3, SHARE_TYPE_FEDERATED = 6, SHARE_TYPE_FEDERATED_GROUP = 7 };

static bool
same(const struct ls_value *a, const struct ls_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == LS_V_INT)
        return a->i == b->i;
    return a->kind != LS_V_TEXT ||
           (a->s.n == b->s.n && (a->s.n == 0 || !memcmp(a->s.p, b->s.p, a->s.n)));
}

_Static_assert(LS_MAX_COLUMNS <= 32, "a bit for each column");

uint32_t
cap_image_changes(const struct ls_table *table, const struct ls_value *before,
                  const struct ls_value *after)
{
    uint32_t changes = 0;

    for (size_t i = 0; i < table->n_columns; i++)
        if (!same(&before[i], &after[i]))
            changes |= UINT32_C(1) << i;
    return changes;
}

bool
cap_image_key_changes(const struct ls_table *table, uint32_t changes)
{
    for (size_t i = 0; i < table->n_columns && table->columns[i].key; i++)
        if (changes >> i & 1)
            return true;
    return false;
}

bool
cap_preference_watched(const struct cap_image *image)
{
    return image && image->values[PF_APPID].kind == LS_V_TEXT &&
           ls_str_is(image->values[PF_APPID].s, "files") &&
           image->values[PF_CONFIGKEY].kind == LS_V_TEXT &&
           ls_str_is(image->values[PF_CONFIGKEY].s, "quota");
}

bool
cap_image_may_hide(const struct ls_table *table)
{
    if (table->id == LS_T_SHARE)
        return true;
    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].secret == LS_SECRET_LINK)
            return true;
    return false;
}

void
cap_image_mask(const struct ls_table *table, struct ls_value *values)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].secret != LS_SECRET_LINK || values[i].kind != LS_V_TEXT)
            continue;
        /* of a share that is no link the same column names the recipient */
        if (values[SH_SHARE_TYPE].kind == LS_V_INT && values[SH_SHARE_TYPE].i != SHARE_TYPE_LINK)
            continue;
        if (values[i].s.n > 0)
            values[i].s = LS_STR(LS_MASKED);
    }
}

void
cap_image_hide_token(const struct ls_table *table, struct ls_value *values, bool links,
                     bool federated)
{
    const struct ls_value *type = &values[SH_SHARE_TYPE];
    bool shown = links && federated;

    if (table->id != LS_T_SHARE)
        return;
    if (type->kind == LS_V_INT)
        shown = type->i == SHARE_TYPE_FEDERATED || type->i == SHARE_TYPE_FEDERATED_GROUP ? federated
                                                                                         : links;
    if (!shown)
        values[SH_TOKEN] = (struct ls_value){.kind = LS_V_ABSENT};
}

bool
cap_image_has_place(const struct ls_table *table, const struct ls_value *values)
{
    for (size_t i = 0; i < table->n_columns && table->columns[i].key; i++)
        if (values[i].kind == LS_V_ABSENT)
            return false;
    return !table->by_storage || values[FC_STORAGE].kind == LS_V_INT;
}

static bool
is_odd(const struct ls_value *value)
{
    return value->kind == LS_V_TEXT && !ls_utf8_valid(value->s.p, value->s.n);
}

void
cap_image_take_changed(const struct ls_table *table, uint32_t changes, const struct ls_value *from,
                       struct ls_value *to)
{
    size_t i = 0;

    for (; i < table->n_columns && table->columns[i].key; i++)
        to[i] = from[i];
    for (; i < table->n_columns; i++) {
        if (changes >> i & 1 && !is_odd(&from[i]))
            to[i] = from[i];
        else
            to[i].kind = LS_V_ABSENT;
    }
}

static int
fail_text(const struct ls_table *table, size_t column, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, "invalid-utf8",
                         "%s.%s holds bytes that are not UTF-8", table->name,
                         table->columns[column].name);
}

int
cap_image_check_keys(const struct ls_table *table, const struct ls_value *values,
                     struct ls_err *err)
{
    for (size_t i = 0; i < table->n_columns && table->columns[i].key; i++)
        if (is_odd(&values[i]))
            return fail_text(table, i, err);
    return 0;
}

int
cap_image_check_text(const struct ls_table *table, const struct ls_value *values,
                     struct ls_err *err)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (is_odd(&values[i]))
            return fail_text(table, i, err);
    return 0;
}

static int
escape_text(struct ls_str *s, struct ls_arena *arena)
{
    static const char hex[] = "0123456789abcdef";
    char *out = ls_arena_alloc(arena, s->n * 4 + 1);
    size_t n = 0;

    if (!out)
        return -1;
    for (size_t i = 0; i < s->n;) {
        size_t len = ls_utf8_len(s->p + i, s->n - i);
        if (len == 0) {
            unsigned char byte = (unsigned char)s->p[i++];
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[byte >> 4];
            out[n++] = hex[byte & 15];
            continue;
        }
        memcpy(out + n, s->p + i, len);
        n += len;
        i += len;
    }
    *s = (struct ls_str){out, n};
    return 0;
}

int
cap_image_escape(const struct ls_table *table, struct ls_value *values, struct ls_arena *arena)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (is_odd(&values[i]) && escape_text(&values[i].s, arena) < 0)
            return -1;
    return 0;
}

void
cap_image_keys_only(const struct ls_table *table, struct ls_value *before, struct ls_value *after)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (!table->columns[i].key)
            before[i].kind = after[i].kind = LS_V_ABSENT;
}
