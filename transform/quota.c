/*
 * ownCloud 10's quota texts: "5 GB", "none", "default", "1073741824", "0 B", "1.5k".
 *
 * The one place that reads them, in ownCloud's own way (its computerFileSize): a number with or
 * without a unit of base 1024, whatever the case, with anything or nothing in between. "5 GiB" is
 * five bytes there, so it is here. What can go wrong: a text that ownCloud itself cannot read. It
 * says nothing here, and the row gets a warning.
 */
#include "transform/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 64 /* the column has 32 characters, the one of oc_preferences has no end */

static bool
is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number that `s` begins with, 0 without one; where it ends. */
static double
number_of(const char *s, const char **ret_end)
{
    const char *from = s + strspn(s, " \t\n\v\f\r"), *p = from, *digits;
    char text[LONGEST + 1];
    size_t n;

    p += *p == '-' || *p == '+';
    digits = p;
    p += strspn(p, "0123456789");
    n = (size_t)(p - digits);
    if (*p == '.') {
        size_t fraction = strspn(p + 1, "0123456789");

        n += fraction;
        p += n > 0 ? fraction + 1 : 0;
    }
    *ret_end = s;
    if (n == 0)
        return 0;
    if (*p == 'e') {
        const char *exponent = p + 1 + (p[1] == '-' || p[1] == '+');

        if (is_digit(*exponent))
            p = exponent + strspn(exponent, "0123456789");
    }
    /* a copy: strtod must not see what we do not take for a number, "0x5" or "1e" */
    n = (size_t)(p - from);
    memcpy(text, from, n);
    text[n] = '\0';
    *ret_end = p;
    return strtod(text, NULL);
}

/* 0: no unit. */
static double
unit_of(const char *s, size_t n)
{
    static const char letters[] = "kmgtp";
    const char *letter;
    double unit = 1024;
    bool bytes;

    n -= n > 0 && s[n - 1] == '\n';
    bytes = n > 0 && s[n - 1] == 'b';
    n -= bytes;
    letter = n > 0 ? memchr(letters, s[n - 1], sizeof(letters) - 1) : NULL;
    if (!letter)
        return bytes ? 1 : 0;
    for (; letter > letters; letter--)
        unit *= 1024;
    return unit;
}

bool
tf_quota_parse(struct ls_str text, enum cs3_quota *ret_kind, int64_t *ret_bytes)
{
    char low[LONGEST + 1];
    const char *end;
    double bytes, unit;

    *ret_kind = CS3_QUOTA_UNSET;
    *ret_bytes = 0;
    if (text.n == 0)
        return true;
    if (ls_str_is(text, "default") || ls_str_is(text, "none")) {
        *ret_kind = text.p[0] == 'd' ? CS3_QUOTA_DEFAULT : CS3_QUOTA_NONE;
        return true;
    }
    if (text.n > LONGEST || memchr(text.p, '\0', text.n))
        return false;
    for (size_t i = 0; i < text.n; i++)
        low[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] - 'A' + 'a' : text.p[i]);
    low[text.n] = '\0';
    bytes = number_of(low, &end);
    while (end > low && is_blank(*end))
        end++;
    unit = end > low && *end == '\0' ? 1 : unit_of(low, text.n);
    if (unit == 0)
        return false;
    bytes = round(bytes * unit);
    if (bytes < 0 || bytes >= 0x1p63) { /* ownCloud checks none of these */
        *ret_kind = CS3_QUOTA_NONE;
        return true;
    }
    *ret_kind = CS3_QUOTA_BYTES;
    *ret_bytes = (int64_t)bytes;
    return true;
}
