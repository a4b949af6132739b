/*
 * oc_share.attributes: what a share says beside its bits.
 *
 * oC10 writes a JSON list of triples, [["permissions","download",false]]. Only that one has a
 * counterpart in oCIS (secure view); all others stay opaque text. What can go wrong: text that is
 * no such list, or cut off. oC10 then sees no attributes at all, so neither do we, but it is
 * counted. Of a triple that comes twice the last one counts.
 */
#include "transform/map.h"

#include <jansson.h>
#include <string.h>

/* A zero letter in a text, a number of any size: of one triple they must not hide another one. */
#define AS_PHP_READS (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL)

static bool
is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && json_string_length(value) == strlen(word) &&
           strcmp(json_string_value(value), word) == 0;
}

static enum cs3_download
download_of(const json_t *enabled, bool *ret_odd)
{
    if (json_is_true(enabled))
        return CS3_DOWNLOAD_ALLOWED;
    /* what PHP takes for false is a denial there, too */
    if (json_is_false(enabled) || (json_is_number(enabled) && json_number_value(enabled) == 0))
        return CS3_DOWNLOAD_DENIED;
    if (!json_is_null(enabled))
        *ret_odd = true;
    return CS3_DOWNLOAD_UNSET;
}

enum cs3_download
tf_download(struct ls_str attributes, bool *ret_odd)
{
    enum cs3_download ret = CS3_DOWNLOAD_UNSET;
    json_t *list, *triple;
    size_t i;

    *ret_odd = false;
    if (!attributes.p || attributes.n == 0)
        return ret;
    list = json_loadb(attributes.p, attributes.n, AS_PHP_READS, NULL);
    *ret_odd = !json_is_array(list);
    json_array_foreach(list, i, triple)
    {
        const json_t *enabled = json_array_get(triple, 2);

        if (!enabled || json_array_size(triple) != 3)
            *ret_odd = true;
        else if (is_word(json_array_get(triple, 0), "permissions") &&
                 is_word(json_array_get(triple, 1), "download"))
            ret = download_of(enabled, ret_odd);
    }
    json_decref(list);
    return ret;
}
