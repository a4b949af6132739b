/*
 * Avro's parsing canonical form and CRC-64-AVRO.
 *
 * Two programs must agree on a schema's fingerprint to the bit, however its
 * file is indented or documented; so names are made full, everything that does
 * not matter to reading is dropped, and the order of keys is fixed (Avro
 * specification, "Parsing Canonical Form for Schemas"). What can go wrong: a
 * schema from a topic is not ours, so its depth is bounded.
 */
#include "common/schema.h"
#include "common/utf8.h"
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>

#define DEPTH_MAX 24
#define NAME_MAX_BYTES 256

static const char *const primitives[] = {"null",  "boolean", "int",   "long",
                                         "float", "double",  "bytes", "string"};

static int canonical_put(json_t *schema, const char *space, int depth, struct ls_buf *out);

static bool
is_primitive(const char *name)
{
    for (size_t i = 0; i < sizeof(primitives) / sizeof(*primitives); i++) {
        if (strcmp(name, primitives[i]) == 0)
            return true;
    }
    return false;
}

static void
put_text(struct ls_buf *out, const char *s)
{
    ls_buf_append(out, s, strlen(s));
}

static void
put_quoted(struct ls_buf *out, const char *s)
{
    char piece[LS_JSON_PIECE];
    size_t n = strlen(s);

    put_text(out, "\"");
    while (n > 0)
        ls_buf_append(out, piece, ls_json_piece(&s, &n, piece));
    put_text(out, "\"");
}

static int
full_name(const char *name, const char *space, char out[NAME_MAX_BYTES])
{
    int n;

    if (strchr(name, '.') || !*space)
        n = snprintf(out, NAME_MAX_BYTES, "%s", name);
    else
        n = snprintf(out, NAME_MAX_BYTES, "%s.%s", space, name);
    return n < NAME_MAX_BYTES ? 0 : -1;
}

static int
put_fields(json_t *fields, const char *space, int depth, struct ls_buf *out)
{
    size_t i;
    json_t *field;

    if (!json_is_array(fields))
        return -1;
    put_text(out, ",\"fields\":[");
    json_array_foreach(fields, i, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));

        if (!name)
            return -1;
        put_text(out, i ? ",{\"name\":" : "{\"name\":");
        put_quoted(out, name);
        put_text(out, ",\"type\":");
        if (canonical_put(json_object_get(field, "type"), space, depth, out) < 0)
            return -1;
        put_text(out, "}");
    }
    put_text(out, "]");
    return 0;
}

/* record, error, enum and fixed. */
static int
put_named(json_t *schema, const char *type, const char *space, int depth, struct ls_buf *out)
{
    const char *name = json_string_value(json_object_get(schema, "name"));
    const char *own = json_string_value(json_object_get(schema, "namespace"));
    char full[NAME_MAX_BYTES], inner[NAME_MAX_BYTES];
    char *dot;
    json_t *symbols, *symbol;
    size_t i;

    if (!name || full_name(name, own ? own : space, full) < 0)
        return -1;
    memcpy(inner, full, sizeof(inner));
    dot = strrchr(inner, '.');
    *(dot ? dot : inner) = '\0';
    put_text(out, "{\"name\":");
    put_quoted(out, full);
    put_text(out, ",\"type\":");
    put_quoted(out, type);
    if (strcmp(type, "record") == 0 || strcmp(type, "error") == 0) {
        if (put_fields(json_object_get(schema, "fields"), inner, depth, out) < 0)
            return -1;
    } else if (strcmp(type, "enum") == 0) {
        symbols = json_object_get(schema, "symbols");
        if (!json_is_array(symbols))
            return -1;
        put_text(out, ",\"symbols\":[");
        json_array_foreach(symbols, i, symbol)
        {
            if (!json_is_string(symbol))
                return -1;
            put_text(out, i ? "," : "");
            put_quoted(out, json_string_value(symbol));
        }
        put_text(out, "]");
    } else {
        ls_buf_printf(out, ",\"size\":%" JSON_INTEGER_FORMAT,
                      json_integer_value(json_object_get(schema, "size")));
    }
    put_text(out, "}");
    return 0;
}

static int
put_union(json_t *branches, const char *space, int depth, struct ls_buf *out)
{
    size_t i;
    json_t *branch;

    put_text(out, "[");
    json_array_foreach(branches, i, branch)
    {
        put_text(out, i ? "," : "");
        if (canonical_put(branch, space, depth, out) < 0)
            return -1;
    }
    put_text(out, "]");
    return 0;
}

static int
put_reference(const char *name, const char *space, struct ls_buf *out)
{
    char full[NAME_MAX_BYTES];

    if (is_primitive(name)) {
        put_quoted(out, name);
        return 0;
    }
    if (full_name(name, space, full) < 0)
        return -1;
    put_quoted(out, full);
    return 0;
}

static int
canonical_put(json_t *schema, const char *space, int depth, struct ls_buf *out)
{
    json_t *type = json_is_object(schema) ? json_object_get(schema, "type") : NULL;
    const char *word = json_string_value(type);

    if (depth > DEPTH_MAX)
        return -1;
    if (json_is_string(schema))
        return put_reference(json_string_value(schema), space, out);
    if (json_is_array(schema))
        return put_union(schema, space, depth + 1, out);
    if (type && !word) /* {"type": {...}} is the inner schema */
        return canonical_put(type, space, depth + 1, out);
    if (!word)
        return -1;
    if (is_primitive(word))
        return put_reference(word, space, out);
    if (strcmp(word, "array") == 0 || strcmp(word, "map") == 0) {
        const char *inner = *word == 'a' ? "items" : "values";

        ls_buf_printf(out, "{\"type\":\"%s\",\"%s\":", word, inner);
        if (canonical_put(json_object_get(schema, inner), space, depth + 1, out) < 0)
            return -1;
        put_text(out, "}");
        return 0;
    }
    if (strcmp(word, "record") == 0 || strcmp(word, "error") == 0 || strcmp(word, "enum") == 0 ||
        strcmp(word, "fixed") == 0)
        return put_named(schema, word, space, depth + 1, out);
    return put_reference(word, space, out);
}

int
schema_canonical(const char *json, size_t n, struct ls_buf *out, struct ls_err *err)
{
    json_error_t why;
    json_t *schema = json_loadb(json, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    int r;

    if (!schema)
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "malformed-schema",
                             "a schema is no JSON: %.100s", why.text);
    r = canonical_put(schema, "", 0, out);
    json_decref(schema);
    if (r < 0 || out->failed)
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "malformed-schema",
                             "a schema is no Avro schema");
    return 0;
}

#define CRC_EMPTY UINT64_C(0xc15d213aa4d7a795)

static uint64_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
crc_table_make(void)
{
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t fp = i;

        for (int bit = 0; bit < 8; bit++)
            fp = (fp >> 1) ^ (fp & 1 ? CRC_EMPTY : 0);
        crc_table[i] = fp;
    }
}

uint64_t
schema_crc64(const void *p, size_t n)
{
    const unsigned char *u = p;
    uint64_t fp = CRC_EMPTY;

    pthread_once(&crc_once, crc_table_make);
    while (n-- > 0)
        fp = (fp >> 8) ^ crc_table[(fp ^ *u++) & 0xff];
    return fp;
}
