/*
 * Days in ownCloud's time zone.
 *
 * A DATETIME has no zone; PHP wrote it in the server's. What can go wrong: days that are 23 or 25
 * hours long (so the end of the day is asked from the zone, not added), a zone that this machine
 * does not know (libc would quietly take UTC, so it is looked up first), dates that are none, above
 * all the one of zeros, which must not become "never".
 */
#include "transform/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The end of the year 9999 in UTC; west of it that year is longer, and oCIS cannot write a later
 * one. */
#define LAST_SECOND INT64_C(253402300799)
/* oC10 compares it with today, in PHP as in its daily job: such a share has expired. */
#define LONG_OVER 1

static int
offset_parse(const char *s, int32_t *ret)
{
    int h, m, end = 0;

    if ((s[0] != '+' && s[0] != '-') || strspn(s + 1, "0123456789:") != strlen(s + 1))
        return -1;
    if ((sscanf(s + 1, "%2d:%2d%n", &h, &m, &end) != 2 &&
         sscanf(s + 1, "%2d%2d%n", &h, &m, &end) != 2) ||
        s[1 + end] != '\0' || h > 14 || m > 59)
        return -1;
    *ret = (h * 3600 + m * 60) * (s[0] == '-' ? -1 : 1);
    return 0;
}

int
tf_zone_set(const char *name, struct tf_zone *ret, struct ls_err *err)
{
    char path[256];
    int32_t offset;

    if (!name || strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0) {
        *ret = (struct tf_zone){false, 0};
        return 0;
    }
    if (offset_parse(name, &offset) == 0) {
        *ret = (struct tf_zone){false, offset};
        return 0;
    }
    if (strstr(name, "..") || name[0] == '/' ||
        snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name) >= (int)sizeof(path) ||
        access(path, R_OK) < 0 || setenv("TZ", name, 1) < 0)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "config",
                             "source.time_zone: no time zone of that name here (is the package "
                             "tzdata installed?)");
    tzset();
    *ret = (struct tf_zone){true, 0};
    return 0;
}

static bool
digits(const char *s, size_t n, int *ret)
{
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *ret = *ret * 10 + (s[i] - '0');
    }
    return true;
}

int
tf_zone_end_of_day(const struct tf_zone *zone, struct ls_str text, int64_t *ret, struct ls_err *err)
{
    struct tm tm = {.tm_hour = 23, .tm_min = 59, .tm_sec = 59, .tm_isdst = -1}, check;
    int y, m, d;
    time_t t;

    if (text.n < 10 || (text.n > 10 && text.p[10] != ' ' && text.p[10] != 'T') ||
        text.p[4] != '-' || text.p[7] != '-' || !digits(text.p, 4, &y) ||
        !digits(text.p + 5, 2, &m) || !digits(text.p + 8, 2, &d))
        goto wrong;
    if (y == 0 && m == 0 && d == 0) {
        *ret = LONG_OVER;
        return 0;
    }
    tm.tm_year = y - 1900;
    tm.tm_mon = m - 1;
    tm.tm_mday = d;
    check = tm;
    /* 31 February would silently become 3 March. */
    timegm(&check);
    if (m < 1 || d < 1 || check.tm_mon != m - 1 || check.tm_mday != d)
        goto wrong;
    t = zone->named ? mktime(&tm) : timegm(&tm) - zone->offset_s;
    *ret = (int64_t)t < LAST_SECOND ? (int64_t)t : LAST_SECOND;
    return 0;
wrong:
    return ls_fail_cause(err, LS_ERR_POISON, 0, "expiration", "the expiration is not a date");
}
