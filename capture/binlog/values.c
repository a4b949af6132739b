/*
 * Values of watched columns: from the bytes of a row image, and from the text of a SELECT.
 *
 * Both ways must give the same, for a row that a snapshot reads and a row that the stream brings
 * must be equal bytes in Kafka. Where the server offers more than one text, the rule is here: times
 * without their fraction, numbers without ZEROFILL's zeros, BIT as a number, YEAR 0000 as 0. What
 * can go wrong: a number that int64 cannot hold (ABSENT, the row becomes a dead letter), and bytes
 * that are no value of their type, which only a broken event has.
 */
#include "capture/binlog/types.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIGITS 24
#define DECIMAL_TEXT 80 /* 65 digits, sign, point, a zero in front */

static uint64_t
big_endian(const uint8_t *p, uint64_t n)
{
    uint64_t v = 0;

    for (uint64_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static uint64_t
little_endian(const uint8_t *p, uint64_t n)
{
    uint64_t v = 0;

    for (uint64_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t
power10(unsigned n)
{
    uint64_t v = 1;

    while (n--)
        v *= 10;
    return v;
}

static void
put_unsigned(uint64_t v, enum ls_value_kind kind, char *digits, struct ls_value *ret)
{
    if (kind == LS_V_TEXT) {
        int n = snprintf(digits, DIGITS, "%llu", (unsigned long long)v);
        ret->s = (struct ls_str){digits, (size_t)n};
    } else if (v > INT64_MAX) {
        kind = LS_V_ABSENT;
    }
    ret->i = (int64_t)v;
    ret->kind = kind;
}

static void
put_signed(int64_t v, enum ls_value_kind kind, char *digits, struct ls_value *ret)
{
    if (kind == LS_V_TEXT) {
        int n = snprintf(digits, DIGITS, "%lld", (long long)v);
        ret->s = (struct ls_str){digits, (size_t)n};
    }
    ret->i = v;
    ret->kind = kind;
}

static void
put_date(unsigned year, unsigned month, unsigned day, char *digits, struct ls_value *ret)
{
    int n = snprintf(digits, DIGITS, "%04u-%02u-%02u", year % 10000, month % 100, day % 100);

    *ret = (struct ls_value){LS_V_TEXT, 0, {digits, (size_t)n}};
}

static void
put_datetime(unsigned year, unsigned month, unsigned day, uint64_t hour, uint64_t minute,
             uint64_t second, char *digits, struct ls_value *ret)
{
    int n =
        snprintf(digits, DIGITS, "%04u-%02u-%02u %02u:%02u:%02u", year % 10000, month % 100,
                 day % 100, (unsigned)hour % 100, (unsigned)minute % 100, (unsigned)second % 100);

    *ret = (struct ls_value){LS_V_TEXT, 0, {digits, (size_t)n}};
}

static void
put_time(bool negative, uint64_t hour, uint64_t minute, uint64_t second, char *digits,
         struct ls_value *ret)
{
    int n = snprintf(digits, DIGITS, "%s%02u:%02u:%02u", negative ? "-" : "",
                     (unsigned)hour % 10000, (unsigned)minute % 100, (unsigned)second % 100);

    *ret = (struct ls_value){LS_V_TEXT, 0, {digits, (size_t)n}};
}

static void
put_timestamp(uint64_t seconds, char *digits, struct ls_value *ret)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (seconds == 0 || !gmtime_r(&t, &tm))
        put_datetime(0, 0, 0, 0, 0, 0, digits, ret);
    else
        put_datetime((unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday,
                     (unsigned)tm.tm_hour, (unsigned)tm.tm_min, (unsigned)tm.tm_sec, digits, ret);
}

/* year*13+month 17, day 5, hour 5, minute 6, second 6 bits. */
static void
put_packed(uint64_t v, char *digits, struct ls_value *ret)
{
    uint64_t ym = v >> 22;

    put_datetime((unsigned)(ym / 13), (unsigned)(ym % 13), v >> 17 & 31, v >> 12 & 31, v >> 6 & 63,
                 v & 63, digits, ret);
}

/* MariaDB's DATETIME(n) of before 5.6: one number, of mixed radix. */
static void
put_datetime_hires(uint64_t v, unsigned decimals, char *digits, struct ls_value *ret)
{
    uint64_t second, minute, hour, day, ym;

    v /= power10(decimals);
    second = v % 60, v /= 60;
    minute = v % 60, v /= 60;
    hour = v % 24, v /= 24;
    day = v % 32, ym = v / 32;
    put_datetime((unsigned)(ym / 13), (unsigned)(ym % 13), (unsigned)day, hour, minute, second,
                 digits, ret);
}

/* The same for TIME(n), moved so that nothing is negative. */
static void
put_time_hires(uint64_t v, unsigned decimals, char *digits, struct ls_value *ret)
{
    int64_t zero = (int64_t)(3020400 * power10(decimals)), t = (int64_t)v - zero;
    uint64_t s = (uint64_t)(t < 0 ? -t : t) / power10(decimals);

    put_time(t < 0, s / 3600, s / 60 % 60, s % 60, digits, ret);
}

/* Sign, hour 10, minute 6, second 6 bits, then the fraction; negative ones as a complement of all.
 */
static void
put_time2(const uint8_t *p, uint64_t n, char *digits, struct ls_value *ret)
{
    unsigned fraction = 8 * (unsigned)(n - 3);
    int64_t t = (int64_t)big_endian(p, n) - ((int64_t)0x800000 << fraction);
    uint64_t hms = (uint64_t)(t < 0 ? -t : t) >> fraction;

    put_time(t < 0, hms >> 12 & 1023, hms >> 6 & 63, hms & 63, digits, ret);
}

static void
temporal(const struct cap_column *column, const uint8_t *p, uint64_t n, char *digits,
         struct ls_value *ret)
{
    bool hires = column->decimals > 0;
    int64_t t;
    uint64_t v;

    switch (column->type) {
    case CAP_T_DATE:
    case CAP_T_NEWDATE:
        v = little_endian(p, n);
        put_date((unsigned)(v >> 9), v >> 5 & 15, v & 31, digits, ret);
        return;
    case CAP_T_TIME:
        if (hires) {
            put_time_hires(big_endian(p, n), column->decimals, digits, ret);
            return;
        }
        t = cap_signed_value(p, n);
        v = (uint64_t)(t < 0 ? -t : t);
        put_time(t < 0, v / 10000, v / 100 % 100, v % 100, digits, ret);
        return;
    case CAP_T_TIME2:
        put_time2(p, n, digits, ret);
        return;
    case CAP_T_DATETIME:
        if (hires) {
            put_datetime_hires(big_endian(p, n), column->decimals, digits, ret);
            return;
        }
        v = little_endian(p, n);
        put_datetime((unsigned)(v / 10000000000 % 10000), (unsigned)(v / 100000000 % 100),
                     (unsigned)(v / 1000000 % 100), v / 10000 % 100, v / 100 % 100, v % 100, digits,
                     ret);
        return;
    case CAP_T_DATETIME2:
        put_packed(big_endian(p, 5) & 0x7fffffffffULL, digits, ret);
        return;
    case CAP_T_TIMESTAMP:
        put_timestamp(hires ? big_endian(p, 4) : little_endian(p, 4), digits, ret);
        return;
    default: /* TIMESTAMP2 */
        put_timestamp(big_endian(p, 4), digits, ret);
        return;
    }
}

/* Digits of a packed group; a broken one has too many. */
static size_t
put_group(char *out, uint64_t v, unsigned width)
{
    return (size_t)snprintf(out, width + 1, "%0*llu", (int)width,
                            (unsigned long long)(v % power10(width)));
}

static size_t
decimal_text(const struct cap_column *column, const uint8_t *bytes, uint64_t n, char *out)
{
    static const uint8_t odd[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
    unsigned scale = column->meta & 0xff, whole = (unsigned)(column->meta >> 8) - scale;
    bool negative = !(bytes[0] & 0x80);
    uint8_t plain[32]; /* 65 digits take 30 */
    const uint8_t *p = plain;
    char digits[DECIMAL_TEXT];
    size_t at = 0, used = 0, zeros = 0;

    for (uint64_t i = 0; i < n; i++)
        plain[i] = (uint8_t)(bytes[i] ^ (negative ? 0xff : 0) ^ (i ? 0 : 0x80));
    /* the odd digits are the first ones of the whole part and the last ones of the fraction */
    if (whole % 9)
        used += put_group(digits, big_endian(p, odd[whole % 9]), whole % 9);
    p += odd[whole % 9];
    for (unsigned i = 0; i < whole / 9; i++, p += 4)
        used += put_group(digits + used, big_endian(p, 4), 9);
    while (zeros < used && digits[zeros] == '0')
        zeros++;
    if (negative)
        out[at++] = '-';
    if (zeros == used)
        out[at++] = '0';
    memcpy(out + at, digits + zeros, used - zeros);
    at += used - zeros;
    if (scale == 0)
        return at;
    out[at++] = '.';
    for (unsigned i = 0; i < scale / 9; i++, p += 4)
        at += put_group(out + at, big_endian(p, 4), 9);
    if (scale % 9)
        at += put_group(out + at, big_endian(p, odd[scale % 9]), scale % 9);
    return at;
}

static void
put_number_text(const char *text, struct ls_value *ret)
{
    errno = 0;
    ret->i = strtoll(text, NULL, 10);
    ret->kind = errno == ERANGE ? LS_V_ABSENT : LS_V_INT;
}

static int
decimal(const struct cap_column *column, enum ls_value_kind kind, const uint8_t *p, uint64_t n,
        struct ls_arena *texts, struct ls_value *ret)
{
    char *text = n > 0 && n <= 32 ? ls_arena_alloc(texts, DECIMAL_TEXT) : NULL;
    size_t len;

    if (!text)
        return -1;
    len = decimal_text(column, p, n, text);
    text[len] = '\0';
    if (kind == LS_V_INT)
        put_number_text(text, ret);
    else
        *ret = (struct ls_value){LS_V_TEXT, 0, {text, len}};
    return 0;
}

static int
set_text(const struct cap_labels *labels, uint64_t bits, struct ls_arena *texts,
         struct ls_value *ret)
{
    size_t n = 0, at = 0;
    char *out;

    if (labels->n < 64 && bits >> labels->n)
        return -1;
    for (size_t i = 0; i < labels->n && i < 64; i++)
        n += bits >> i & 1 ? labels->names[i].n + 1 : 0;
    out = ls_arena_alloc(texts, n + 1);
    if (!out)
        return -1;
    for (size_t i = 0; i < labels->n && i < 64; i++) {
        if (!(bits >> i & 1))
            continue;
        if (at)
            out[at++] = ',';
        memcpy(out + at, labels->names[i].p, labels->names[i].n);
        at += labels->names[i].n;
    }
    *ret = (struct ls_value){LS_V_TEXT, 0, {out, at}};
    return 0;
}

static int
bytes(const struct cap_column *column, const uint8_t *p, uint64_t n, struct ls_arena *texts,
      struct ls_value *ret)
{
    char *out;

    *ret = (struct ls_value){LS_V_TEXT, 0, {(const char *)p, (size_t)n}};
    if (column->charset != CAP_CHARSET_LATIN1)
        return 0;
    out = ls_arena_alloc(texts, (size_t)n * 3 + 1);
    if (!out)
        return -1;
    ret->s = (struct ls_str){out, cap_latin1_to_utf8(p, (size_t)n, out)};
    return 0;
}

int
cap_value_make(const struct cap_column *column, enum ls_value_kind kind, const uint8_t *p,
               uint64_t n, char *digits, struct ls_arena *texts, struct ls_value *ret)
{
    uint64_t v;

    switch (column->type) {
    case CAP_T_TINY:
    case CAP_T_SHORT:
    case CAP_T_LONG:
    case CAP_T_LONGLONG:
    case CAP_T_INT24:
        if (column->is_unsigned)
            put_unsigned(little_endian(p, n), kind, digits, ret);
        else
            put_signed(cap_signed_value(p, n), kind, digits, ret);
        return 0;
    case CAP_T_YEAR:
        put_unsigned(p[0] ? p[0] + 1900U : 0, kind, digits, ret);
        return 0;
    case CAP_T_BIT:
        put_unsigned(big_endian(p, n), kind, digits, ret);
        return 0;
    case CAP_T_NEWDECIMAL:
        return decimal(column, kind, p, n, texts, ret);
    case CAP_T_ENUM:
        v = little_endian(p, n);
        if (v > column->labels->n)
            return -1;
        *ret = (struct ls_value){LS_V_TEXT, 0, v ? column->labels->names[v - 1] : LS_STR("")};
        return 0;
    case CAP_T_SET:
        return n <= 8 ? set_text(column->labels, little_endian(p, n), texts, ret) : -1;
    case CAP_T_DATE:
    case CAP_T_NEWDATE:
    case CAP_T_TIME:
    case CAP_T_TIME2:
    case CAP_T_DATETIME:
    case CAP_T_DATETIME2:
    case CAP_T_TIMESTAMP:
    case CAP_T_TIMESTAMP2:
        temporal(column, p, n, digits, ret);
        return 0;
    default:
        return bytes(column, p, n, texts, ret);
    }
}

void
cap_value_select(const MYSQL_FIELD *field, enum ls_value_kind kind, const char *text,
                 unsigned long n, char *digits, struct ls_value *ret)
{
    const char *dot;

    *ret = (struct ls_value){.kind = LS_V_NULL};
    if (!text)
        return;
    if (field->type == MYSQL_TYPE_BIT) {
        put_unsigned(n <= 8 ? big_endian((const uint8_t *)text, n) : 0, kind, digits, ret);
        return;
    }
    if (kind == LS_V_INT) {
        put_number_text(text, ret);
        return;
    }
    *ret = (struct ls_value){LS_V_TEXT, 0, {text, n}};
    switch (field->type) {
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        dot = memchr(text, '.', n);
        if (dot)
            ret->s.n = (size_t)(dot - text);
        return;
    case MYSQL_TYPE_YEAR:
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_NEWDECIMAL:
        while (ret->s.n > 1 && ret->s.p[0] == '0' && ret->s.p[1] >= '0' && ret->s.p[1] <= '9')
            ret->s.p++, ret->s.n--;
        return;
    default:
        return;
    }
}
