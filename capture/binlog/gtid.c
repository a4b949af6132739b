/*
 * GTIDs as text and as numbers: what both flavours share, and MariaDB's half.
 *
 * MariaDB's state has one GTID for each replication domain. Text comes from the server or from the
 * position topic: neither is trusted, so numbers are read strictly (digits only, no overflow) and
 * the form decides the flavour: a colon is MySQL's. What can go wrong: too many domains, a set of
 * one flavour that is given a GTID of the other (the source behind the same name is another kind
 * of server now).
 */
#include "capture/binlog/gtid.h"
#include "capture/binlog/gtid_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int
cap_gtid_number(const char **p, const char *end, uint64_t max, uint64_t *ret)
{
    const char *s = *p;
    uint64_t v = 0;

    while (s < end && *s >= '0' && *s <= '9') {
        uint64_t digit = (uint64_t)(*s - '0');
        if (v > (max - digit) / 10)
            return -1;
        v = v * 10 + digit;
        s++;
    }
    if (s == *p)
        return -1;
    *p = s;
    *ret = v;
    return 0;
}

static int
parse_mysql(struct ls_str text, struct cap_gtid *ret)
{
    struct cap_gtid gtid = {.flavour = CAP_MYSQL};
    const char *p = text.p + CAP_UUID_TEXT, *end = text.p + text.n;

    if (cap_uuid_parse((struct ls_str){text.p, CAP_UUID_TEXT}, gtid.uuid) < 0 || *p++ != ':' ||
        cap_gtid_number(&p, end, CAP_GTID_MAX_NUMBER, &gtid.seq) < 0 || p != end || gtid.seq == 0)
        return -1;
    *ret = gtid;
    return 0;
}

int
cap_gtid_parse(struct ls_str text, struct cap_gtid *ret)
{
    const char *p = text.p, *end = p ? p + text.n : p;
    uint64_t domain, server, seq;

    if (text.p && text.n > CAP_UUID_TEXT && text.p[CAP_UUID_TEXT] == ':')
        return parse_mysql(text, ret);
    if (!p || cap_gtid_number(&p, end, UINT32_MAX, &domain) < 0 || p == end || *p++ != '-' ||
        cap_gtid_number(&p, end, UINT32_MAX, &server) < 0 || p == end || *p++ != '-' ||
        cap_gtid_number(&p, end, UINT64_MAX, &seq) < 0 || p != end)
        return -1;
    *ret = (struct cap_gtid){.domain = (uint32_t)domain, .server = (uint32_t)server, .seq = seq};
    return 0;
}

static char *
put_number(char *out, uint64_t v)
{
    char digits[20];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n > 0)
        *out++ = digits[--n];
    return out;
}

/* By hand: every transaction has one, and printf takes longer than all else about it. */
void
cap_gtid_print(const struct cap_gtid *gtid, char out[CAP_GTID_TEXT])
{
    if (gtid->flavour == CAP_MARIADB) {
        out = put_number(out, gtid->domain);
        *out++ = '-';
        out = put_number(out, gtid->server);
        *out++ = '-';
    } else {
        cap_uuid_print(gtid->uuid, out);
        out += CAP_UUID_TEXT;
        *out++ = ':';
    }
    *put_number(out, gtid->seq) = '\0';
}

bool
cap_gtid_same_source(const struct cap_gtid *a, const struct cap_gtid *b)
{
    if (a->flavour != b->flavour)
        return false;
    return a->flavour == CAP_MARIADB ? a->domain == b->domain
                                     : !memcmp(a->uuid, b->uuid, CAP_UUID_BYTES);
}

bool
cap_gtid_equal(const struct cap_gtid *a, const struct cap_gtid *b)
{
    return cap_gtid_same_source(a, b) && a->seq == b->seq && a->server == b->server;
}

static bool
blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* One item of a list: a GTID, or a uuid with its intervals. */
static int
parse_item(struct cap_gtid_set *set, struct ls_str item, struct ls_err *err)
{
    struct cap_gtid gtid;

    if (memchr(item.p, ':', item.n))
        return cap_mysql_parse_source(set, item, err);
    if (cap_gtid_parse(item, &gtid) < 0)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid", "not a GTID: %.*s",
                             (int)(item.n > 100 ? 100 : item.n), item.p);
    return cap_gtid_set_add(set, &gtid, NULL, err);
}

int
cap_gtid_set_parse(struct ls_str text, struct cap_gtid_set *ret, struct ls_err *err)
{
    const char *p = text.p, *end = p ? p + text.n : p;
    struct cap_gtid_set set = {0};

    while (p < end && blank(*p))
        p++;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        const char *q = stop;
        while (p < q && blank(*p))
            p++;
        while (q > p && blank(q[-1]))
            q--;
        if (parse_item(&set, (struct ls_str){p, (size_t)(q - p)}, err) < 0)
            return -1;
        p = comma ? comma + 1 : end;
    }
    *ret = set;
    return 0;
}

void
cap_gtid_set_print(const struct cap_gtid_set *set, char out[CAP_GTID_SET_TEXT])
{
    size_t n = 0;

    out[0] = '\0';
    if (set->n > 0 && set->flavour == CAP_MYSQL) {
        cap_mysql_print(set, out);
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        char one[CAP_GTID_TEXT];
        cap_gtid_print(&set->last[i], one);
        n += (size_t)snprintf(out + n, CAP_GTID_SET_TEXT - n, "%s%s", i ? "," : "", one);
    }
}

/* The domain's place in the set; set->n when it has none. */
static size_t
find_domain(const struct cap_gtid_set *set, uint32_t domain)
{
    size_t i = 0;

    while (i < set->n && set->last[i].domain != domain)
        i++;
    return i;
}

static int
wrong_flavour(const struct cap_gtid_set *set, struct ls_err *err)
{
    const char *names[] = {"MariaDB", "MySQL"};
    bool mysql = set->flavour == CAP_MYSQL;

    return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid-set",
                         "a GTID of %s behind a position of %s: this is another kind of server",
                         names[!mysql], names[mysql]);
}

int
cap_gtid_set_add(struct cap_gtid_set *set, const struct cap_gtid *gtid, bool *ret_gap,
                 struct ls_err *err)
{
    bool gap = false;
    size_t i;

    if (set->n > 0 && set->flavour != gtid->flavour)
        return wrong_flavour(set, err);
    if (gtid->flavour == CAP_MYSQL)
        return cap_mysql_add(set, gtid->uuid, (struct cap_gtid_interval){gtid->seq, gtid->seq},
                             ret_gap, err);
    i = find_domain(set, gtid->domain);
    if (i == CAP_GTID_DOMAINS)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid-set",
                             "more than %d replication domains are not supported",
                             CAP_GTID_DOMAINS);
    if (i == set->n) {
        set->flavour = CAP_MARIADB;
        set->n++;
    } else {
        gap = gtid->seq != set->last[i].seq + 1;
    }
    set->last[i] = *gtid;
    if (ret_gap)
        *ret_gap = gap;
    return 0;
}

bool
cap_gtid_set_has(const struct cap_gtid_set *set, const struct cap_gtid *gtid)
{
    size_t i;

    if (set->n == 0 || set->flavour != gtid->flavour)
        return false;
    if (set->flavour == CAP_MYSQL)
        return cap_mysql_has(set, gtid->uuid, (struct cap_gtid_interval){gtid->seq, gtid->seq});
    i = find_domain(set, gtid->domain);
    return i < set->n && set->last[i].seq >= gtid->seq;
}

bool
cap_gtid_set_contains(const struct cap_gtid_set *set, const struct cap_gtid_set *part)
{
    if (part->n == 0)
        return true;
    if (set->n == 0 || set->flavour != part->flavour)
        return false;
    if (set->flavour == CAP_MYSQL)
        return cap_mysql_contains(set, part);
    for (size_t i = 0; i < part->n; i++)
        if (!cap_gtid_set_has(set, &part->last[i]))
            return false;
    return true;
}

int
cap_gtid_set_minus(const struct cap_gtid_set *a, const struct cap_gtid_set *b,
                   struct cap_gtid_set *ret, struct ls_err *err)
{
    struct cap_gtid_set set = {.flavour = a->flavour};

    if (b->n == 0 || a->n == 0 || a->flavour != b->flavour) {
        *ret = *a;
        return 0;
    }
    if (a->flavour == CAP_MYSQL && cap_mysql_minus(a, b, &set, err) < 0)
        return -1;
    for (size_t i = 0; a->flavour == CAP_MARIADB && i < a->n; i++)
        if (!cap_gtid_set_has(b, &a->last[i]))
            set.last[set.n++] = a->last[i];
    *ret = set;
    return 0;
}

int
cap_gtid_set_unite(struct cap_gtid_set *set, const struct cap_gtid_set *from, struct ls_err *err)
{
    struct cap_gtid_set all = *set;

    if (set->n == 0 || from->n == 0) {
        if (set->n == 0)
            *set = *from;
        return 0;
    }
    if (set->flavour != from->flavour)
        return wrong_flavour(set, err);
    if (set->flavour == CAP_MYSQL && cap_mysql_unite(&all, from, err) < 0)
        return -1;
    for (size_t i = 0; set->flavour == CAP_MARIADB && i < from->n; i++)
        if (!cap_gtid_set_has(&all, &from->last[i]) &&
            cap_gtid_set_add(&all, &from->last[i], NULL, err) < 0)
            return -1;
    *set = all;
    return 0;
}
