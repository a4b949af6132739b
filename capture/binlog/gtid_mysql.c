/*
 * MySQL's GTID sets: numbers from 1 on for each server's uuid, as intervals.
 *
 * All intervals lie in one array, those of the first uuid first, ascending and apart from each
 * other (5-7 and 8-9 are 5-9), so that a set prints as the server prints it and the usual case, the
 * next number of the same uuid, makes an interval one longer. What can go wrong: more uuids or
 * intervals than fit (a replica that commits out of order leaves many gaps for a moment; hundreds
 * of them are no moment), and tags, which 8.3 and later put between uuid and number: a tagged GTID
 * is numbered for itself, so to leave the tag away would mistake one transaction for another.
 */
#include "capture/binlog/cursor.h"
#include "capture/binlog/gtid.h"
#include "capture/binlog/gtid_parts.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int
cap_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool
dash_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

int
cap_uuid_parse(struct ls_str text, uint8_t ret[CAP_UUID_BYTES])
{
    uint8_t uuid[CAP_UUID_BYTES];
    size_t n = 0;

    if (text.n != CAP_UUID_TEXT)
        return -1;
    for (size_t i = 0; i < CAP_UUID_TEXT;) {
        int high, low;
        if (dash_at(i)) {
            if (text.p[i++] != '-')
                return -1;
            continue;
        }
        high = cap_hex_digit(text.p[i]);
        low = cap_hex_digit(text.p[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        uuid[n++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    memcpy(ret, uuid, sizeof(uuid));
    return 0;
}

void
cap_uuid_print(const uint8_t uuid[CAP_UUID_BYTES], char out[CAP_UUID_TEXT + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t i = 0; i < CAP_UUID_BYTES; i++) {
        if (dash_at(n))
            out[n++] = '-';
        out[n++] = digits[uuid[i] >> 4];
        out[n++] = digits[uuid[i] & 15];
    }
    out[n] = '\0';
}

/* The uuid's place, and where its intervals begin. False: not there, *ret_i is where it would be.
 */
static bool
find(const struct cap_gtid_set *set, const uint8_t uuid[CAP_UUID_BYTES], size_t *ret_i,
     size_t *ret_begin)
{
    size_t i = 0, begin = 0;
    int r = -1;

    while (i < set->n && (r = memcmp(set->uuids[i], uuid, CAP_UUID_BYTES)) < 0)
        begin += set->counts[i++];
    *ret_i = i;
    *ret_begin = begin;
    return i < set->n && r == 0;
}

static size_t
total(const struct cap_gtid_set *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        n += set->counts[i];
    return n;
}

static void
insert_uuid(struct cap_gtid_set *set, size_t i, const uint8_t uuid[CAP_UUID_BYTES])
{
    memmove(set->uuids[i + 1], set->uuids[i], (set->n - i) * CAP_UUID_BYTES);
    memmove(&set->counts[i + 1], &set->counts[i], (set->n - i) * sizeof(set->counts[0]));
    memcpy(set->uuids[i], uuid, CAP_UUID_BYTES);
    set->counts[i] = 0;
    set->n++;
}

int
cap_mysql_add(struct cap_gtid_set *set, const uint8_t uuid[CAP_UUID_BYTES],
              struct cap_gtid_interval interval, bool *ret_gap, struct ls_err *err)
{
    size_t i, begin, a, b, end, all = set->n > 0 ? total(set) : 0;
    struct cap_gtid_interval *v = set->intervals;
    bool known;

    if (set->n == 0)
        set->flavour = CAP_MYSQL;
    known = find(set, uuid, &i, &begin);
    if (!known && set->n == CAP_GTID_UUIDS)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid-set",
                             "GTIDs of more than %d servers are not supported", CAP_GTID_UUIDS);
    /* a..b: the intervals that it touches */
    end = begin + (known ? set->counts[i] : 0U);
    for (a = end; a > begin && v[a - 1].last + 1 >= interval.first;)
        a--;
    for (b = a; b < end && v[b].first <= interval.last + 1;)
        b++;
    if (a == b && all == CAP_GTID_INTERVALS)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid-set",
                             "a set of more than %d intervals of GTIDs is not supported",
                             CAP_GTID_INTERVALS);
    if (ret_gap)
        *ret_gap = interval.first > 1 && (a == b || v[a].first > interval.last);
    if (!known)
        insert_uuid(set, i, uuid);
    if (a < b) {
        if (v[a].first < interval.first)
            interval.first = v[a].first;
        if (v[b - 1].last > interval.last)
            interval.last = v[b - 1].last;
    }
    memmove(&v[a + 1], &v[b], (all - b) * sizeof(v[0]));
    v[a] = interval;
    set->counts[i] = (uint16_t)(set->counts[i] + 1 - (b - a));
    return 0;
}

bool
cap_mysql_has(const struct cap_gtid_set *set, const uint8_t uuid[CAP_UUID_BYTES],
              struct cap_gtid_interval interval)
{
    size_t i, begin;

    if (!find(set, uuid, &i, &begin))
        return false;
    for (size_t k = begin + set->counts[i]; k > begin; k--)
        if (set->intervals[k - 1].first <= interval.first)
            return set->intervals[k - 1].last >= interval.last;
    return false;
}

bool
cap_mysql_contains(const struct cap_gtid_set *set, const struct cap_gtid_set *part)
{
    size_t k = 0;

    for (size_t i = 0; i < part->n; i++)
        for (size_t end = k + part->counts[i]; k < end; k++)
            if (!cap_mysql_has(set, part->uuids[i], part->intervals[k]))
                return false;
    return true;
}

/* One interval without what `b` has of it. */
static int
minus_interval(const uint8_t uuid[CAP_UUID_BYTES], struct cap_gtid_interval left,
               const struct cap_gtid_set *b, struct cap_gtid_set *set, struct ls_err *err)
{
    size_t i, begin, end;

    end = find(b, uuid, &i, &begin) ? begin + b->counts[i] : begin;
    for (size_t k = begin; k < end && left.first <= left.last; k++) {
        struct cap_gtid_interval cut = b->intervals[k];
        if (cut.last < left.first || cut.first > left.last)
            continue;
        if (cut.first > left.first &&
            cap_mysql_add(set, uuid, (struct cap_gtid_interval){left.first, cut.first - 1}, NULL,
                          err) < 0)
            return -1;
        left.first = cut.last + 1;
    }
    return left.first <= left.last ? cap_mysql_add(set, uuid, left, NULL, err) : 0;
}

int
cap_mysql_minus(const struct cap_gtid_set *a, const struct cap_gtid_set *b,
                struct cap_gtid_set *set, struct ls_err *err)
{
    size_t k = 0;

    for (size_t i = 0; i < a->n; i++)
        for (size_t end = k + a->counts[i]; k < end; k++)
            if (minus_interval(a->uuids[i], a->intervals[k], b, set, err) < 0)
                return -1;
    return 0;
}

int
cap_mysql_unite(struct cap_gtid_set *set, const struct cap_gtid_set *from, struct ls_err *err)
{
    size_t k = 0;

    for (size_t i = 0; i < from->n; i++)
        for (size_t end = k + from->counts[i]; k < end; k++)
            if (cap_mysql_add(set, from->uuids[i], from->intervals[k], NULL, err) < 0)
                return -1;
    return 0;
}

static int
not_a_set(struct ls_str text, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid", "not a GTID set of MySQL: %.*s",
                         (int)(text.n > 100 ? 100 : text.n), text.p);
}

static int
tagged(struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid-tagged",
                         "tagged GTIDs (uuid:tag:number, MySQL 8.3 and later) are not supported: "
                         "the source must not use tags in gtid_next");
}

int
cap_mysql_parse_source(struct cap_gtid_set *set, struct ls_str text, struct ls_err *err)
{
    const char *p = text.p + CAP_UUID_TEXT, *end = text.p + text.n;
    uint8_t uuid[CAP_UUID_BYTES];

    if (set->n > 0 && set->flavour != CAP_MYSQL)
        return not_a_set(text, err);
    if (text.n <= CAP_UUID_TEXT ||
        cap_uuid_parse((struct ls_str){text.p, CAP_UUID_TEXT}, uuid) < 0 || *p != ':')
        return not_a_set(text, err);
    while (p < end) {
        struct cap_gtid_interval v;
        if (*p++ != ':')
            return not_a_set(text, err);
        if (p < end && (isalpha((unsigned char)*p) || *p == '_'))
            return tagged(err);
        if (cap_gtid_number(&p, end, CAP_GTID_MAX_NUMBER, &v.first) < 0 || v.first == 0)
            return not_a_set(text, err);
        v.last = v.first;
        if (p < end && *p == '-') {
            p++;
            if (cap_gtid_number(&p, end, CAP_GTID_MAX_NUMBER, &v.last) < 0 || v.last < v.first)
                return not_a_set(text, err);
        }
        if (cap_mysql_add(set, uuid, v, NULL, err) < 0)
            return -1;
    }
    return 0;
}

void
cap_mysql_print(const struct cap_gtid_set *set, char out[CAP_GTID_SET_TEXT])
{
    size_t n = 0, k = 0;

    for (size_t i = 0; i < set->n; i++) {
        char uuid[CAP_UUID_TEXT + 1];
        cap_uuid_print(set->uuids[i], uuid);
        n += (size_t)snprintf(out + n, CAP_GTID_SET_TEXT - n, "%s%s", i ? "," : "", uuid);
        for (size_t end = k + set->counts[i]; k < end; k++) {
            const struct cap_gtid_interval *v = &set->intervals[k];
            n += (size_t)snprintf(out + n, CAP_GTID_SET_TEXT - n, ":%" PRIu64, v->first);
            if (v->last > v->first)
                n += (size_t)snprintf(out + n, CAP_GTID_SET_TEXT - n, "-%" PRIu64, v->last);
        }
    }
}

static void
append_le64(struct ls_buf *out, uint64_t v)
{
    uint8_t p[8];

    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
    (void)ls_buf_append(out, p, sizeof(p));
}

int
cap_gtid_set_encode(const struct cap_gtid_set *set, struct ls_buf *out)
{
    size_t n = set->flavour == CAP_MYSQL ? set->n : 0, k = 0;

    append_le64(out, n);
    for (size_t i = 0; i < n; i++) {
        (void)ls_buf_append(out, set->uuids[i], CAP_UUID_BYTES);
        append_le64(out, set->counts[i]);
        for (size_t end = k + set->counts[i]; k < end; k++) {
            append_le64(out, set->intervals[k].first);
            append_le64(out, set->intervals[k].last + 1); /* there the end is not in it */
        }
    }
    return out->failed ? -1 : 0;
}

int
cap_gtid_set_decode(const uint8_t *p, size_t n, struct cap_gtid_set *ret, struct ls_err *err)
{
    struct cursor c = cur_of(p, n);
    struct cap_gtid_set set = {.flavour = CAP_MYSQL};
    uint64_t uuids = cur_u64(&c);

    if (uuids >> 56) /* the form with tags says so in the last byte */
        return tagged(err);
    for (uint64_t i = 0; i < uuids && !c.failed; i++) {
        const uint8_t *uuid = cur_take(&c, CAP_UUID_BYTES);
        uint64_t intervals = cur_u64(&c);
        for (uint64_t k = 0; k < intervals; k++) {
            uint64_t first = cur_u64(&c), end = cur_u64(&c);
            if (c.failed || first == 0 || end <= first || end > CAP_GTID_MAX_NUMBER + 1) {
                c.failed = true;
                break;
            }
            if (cap_mysql_add(&set, uuid, (struct cap_gtid_interval){first, end - 1}, NULL, err) <
                0)
                return -1;
        }
    }
    if (c.failed || cur_left(&c) > 0)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "binlog-format", "a GTID set is broken");
    *ret = set;
    return 0;
}
