/*
 * Character sets of columns.
 *
 * A table map names a collation by its number; the numbers are fixed for ever, each server only
 * knows more or fewer of them. MariaDB has a second form of many (without padding) 1024 above, and
 * from 2048 on blocks of 256 for the newer Unicode rules. What can go wrong: a number that is not
 * here would be taken for another character set, so everything that is not listed is OTHER, which
 * the layout refuses by name.
 *
 * What MySQL and MariaDB call latin1 is cp1252, but with the five bytes that cp1252 leaves
 * undefined (81 8D 8F 90 9D) passed through as the control characters of the same number.
 */
#include "capture/binlog/charset.h"
#include <string.h>

static const struct {
    uint16_t first, last;
    enum cap_charset charset;
} collations[] = {
    {5, 5, CAP_CHARSET_LATIN1},       {8, 8, CAP_CHARSET_LATIN1},
    {11, 11, CAP_CHARSET_UTF8},       {15, 15, CAP_CHARSET_LATIN1},
    {31, 31, CAP_CHARSET_LATIN1},     {33, 33, CAP_CHARSET_UTF8},
    {45, 46, CAP_CHARSET_UTF8},       {47, 49, CAP_CHARSET_LATIN1},
    {63, 63, CAP_CHARSET_BINARY},     {65, 65, CAP_CHARSET_UTF8},
    {76, 76, CAP_CHARSET_UTF8},       {83, 83, CAP_CHARSET_UTF8},
    {94, 94, CAP_CHARSET_LATIN1},     {192, 215, CAP_CHARSET_UTF8},
    {223, 247, CAP_CHARSET_UTF8},     {255, 323, CAP_CHARSET_UTF8},
    {576, 578, CAP_CHARSET_UTF8},     {608, 610, CAP_CHARSET_UTF8},
    {1032, 1032, CAP_CHARSET_LATIN1}, {1035, 1035, CAP_CHARSET_UTF8},
    {1057, 1057, CAP_CHARSET_UTF8},   {1069, 1070, CAP_CHARSET_UTF8},
    {1071, 1071, CAP_CHARSET_LATIN1}, {1089, 1089, CAP_CHARSET_UTF8},
    {1107, 1107, CAP_CHARSET_UTF8},   {1216, 1216, CAP_CHARSET_UTF8},
    {1238, 1238, CAP_CHARSET_UTF8},   {1248, 1248, CAP_CHARSET_UTF8},
    {1270, 1270, CAP_CHARSET_UTF8},   {2048, 2559, CAP_CHARSET_UTF8},
};

enum cap_charset
cap_charset_of_collation(uint64_t id)
{
    for (size_t i = 0; i < sizeof(collations) / sizeof(collations[0]); i++)
        if (id >= collations[i].first && id <= collations[i].last)
            return collations[i].charset;
    return CAP_CHARSET_OTHER;
}

enum cap_charset
cap_charset_of_name(const char *name)
{
    static const char *const utf8[] = {"utf8", "utf8mb3", "utf8mb4", "ascii", NULL};

    if (!*name)
        return CAP_CHARSET_UNTOLD;
    for (size_t i = 0; utf8[i]; i++)
        if (!strcmp(name, utf8[i]))
            return CAP_CHARSET_UTF8;
    if (!strcmp(name, "binary"))
        return CAP_CHARSET_BINARY;
    return strcmp(name, "latin1") ? CAP_CHARSET_OTHER : CAP_CHARSET_LATIN1;
}

/* What cp1252 has in the place of the control characters from 80 to 9F. */
static const uint16_t upper_controls[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

size_t
cap_latin1_to_utf8(const uint8_t *p, size_t n, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned c = p[i];
        if (c >= 0x80 && c < 0xa0)
            c = upper_controls[c - 0x80];
        if (c < 0x80) {
            out[at++] = (char)c;
            continue;
        }
        if (c < 0x800) {
            out[at++] = (char)(0xc0 | c >> 6);
        } else {
            out[at++] = (char)(0xe0 | c >> 12);
            out[at++] = (char)(0x80 | (c >> 6 & 63));
        }
        out[at++] = (char)(0x80 | (c & 63));
    }
    return at;
}
