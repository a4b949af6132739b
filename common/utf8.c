/*
 * UTF-8, byte by byte, and JSON's escapes.
 *
 * The source's columns may hold any bytes, so every sequence is checked as
 * RFC 3629 has it before it goes where only UTF-8 may go.
 */
#include "common/utf8.h"
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t
ls_utf8_len(const char *s, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)s;
    uint32_t c;
    size_t len;

    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || n < len)
        return 0;
    c = u[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return len;
}

/* How many bytes at the front are ASCII, by eights: most text is little else. */
static size_t
ascii_length(const char *s, size_t n)
{
    size_t i = 0;
    uint64_t eight;

    for (; n - i >= sizeof(eight); i += sizeof(eight)) {
        memcpy(&eight, s + i, sizeof(eight));
        eight = le64toh(eight) & UINT64_C(0x8080808080808080);
        if (eight)
            return i + (size_t)__builtin_ctzll(eight) / 8;
    }
    while (i < n && !(s[i] & 0x80))
        i++;
    return i;
}

/* The last eight overlap those in front of them. */
static bool
is_ascii(const char *s, size_t n)
{
    uint64_t eight, all = 0;

    if (n < sizeof(eight)) {
        for (size_t i = 0; i < n; i++)
            all |= (unsigned char)s[i];
        return !(all & 0x80);
    }
    for (size_t i = 0; i + sizeof(eight) < n; i += sizeof(eight)) {
        memcpy(&eight, s + i, sizeof(eight));
        all |= eight;
    }
    memcpy(&eight, s + n - sizeof(eight), sizeof(eight));
    return !((all | eight) & UINT64_C(0x8080808080808080));
}

bool
ls_utf8_valid(const char *s, size_t n)
{
    if (is_ascii(s, n))
        return true;
    while (n > 0) {
        size_t len = ascii_length(s, n);

        if (len == 0)
            len = ls_utf8_len(s, n);
        if (len == 0)
            return false;
        s += len;
        n -= len;
    }
    return true;
}

size_t
ls_json_piece(const char **s, size_t *n, char out[LS_JSON_PIECE])
{
    static const char escaped[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    static const char replacement[] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */
    size_t len = ls_utf8_len(*s, *n);
    const char *e;
    size_t ret;

    if (len == 0) {
        memcpy(out, replacement, 3);
        len = 1;
        ret = 3;
    } else if (len == 1 && **s && (e = strchr(escaped, **s))) {
        out[0] = '\\';
        out[1] = letters[e - escaped];
        ret = 2;
    } else if (len == 1 && ((unsigned char)**s < 0x20 || **s == 0x7f)) {
        ret = (size_t)snprintf(out, LS_JSON_PIECE, "\\u%04x", (unsigned char)**s);
    } else {
        memcpy(out, *s, len);
        ret = len;
    }
    *s += len;
    *n -= len;
    return ret;
}
