/*
 * GTID states as text and as numbers.
 *
 * A state has one GTID for each replication domain; a source with more than CAP_GTID_DOMAINS of
 * them is refused rather than followed in part. Text comes from the server or from the position
 * topic: neither is trusted, so numbers are read strictly (digits only, no overflow).
 */
#include "capture/gtid.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Digits at *p up to `end`, at most `max`. */
static int
number(const char **p, const char *end, uint64_t max, uint64_t *ret)
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

int
cap_gtid_parse(struct ls_str text, struct cap_gtid *ret)
{
    const char *p = text.p, *end = p ? p + text.n : p;
    uint64_t domain, server, seq;

    if (!p || number(&p, end, UINT32_MAX, &domain) < 0 || p == end || *p++ != '-' ||
        number(&p, end, UINT32_MAX, &server) < 0 || p == end || *p++ != '-' ||
        number(&p, end, UINT64_MAX, &seq) < 0 || p != end)
        return -1;
    *ret = (struct cap_gtid){(uint32_t)domain, (uint32_t)server, seq};
    return 0;
}

void
cap_gtid_print(struct cap_gtid gtid, char out[CAP_GTID_TEXT])
{
    (void)snprintf(out, CAP_GTID_TEXT, "%" PRIu32 "-%" PRIu32 "-%" PRIu64, gtid.domain, gtid.server,
                   gtid.seq);
}

static bool
blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
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
        struct cap_gtid gtid;
        const char *q = stop;
        while (p < q && blank(*p))
            p++;
        while (q > p && blank(q[-1]))
            q--;
        if (cap_gtid_parse((struct ls_str){p, (size_t)(q - p)}, &gtid) < 0)
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid", "not a list of GTIDs: %.*s",
                                 (int)(text.n > 100 ? 100 : text.n), text.p);
        if (cap_gtid_set_add(&set, gtid, NULL, err) < 0)
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
    for (size_t i = 0; i < set->n; i++) {
        char one[CAP_GTID_TEXT];
        cap_gtid_print(set->last[i], one);
        n += (size_t)snprintf(out + n, CAP_GTID_SET_TEXT - n, "%s%s", i ? "," : "", one);
    }
}

int
cap_gtid_set_add(struct cap_gtid_set *set, struct cap_gtid gtid, bool *ret_gap, struct ls_err *err)
{
    bool gap = false;
    size_t i;

    for (i = 0; i < set->n && set->last[i].domain != gtid.domain; i++)
        ;
    if (i == CAP_GTID_DOMAINS)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "gtid",
                             "more than %d replication domains are not supported",
                             CAP_GTID_DOMAINS);
    if (i == set->n)
        set->n++;
    else
        gap = gtid.seq != set->last[i].seq + 1;
    set->last[i] = gtid;
    if (ret_gap)
        *ret_gap = gap;
    return 0;
}
