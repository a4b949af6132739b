/*
 * XA in the binlog: a transaction that ends with XA PREPARE, and much later, perhaps never, one
 * that says XA COMMIT or XA ROLLBACK with the same xid.
 *
 * Between the two the rows are not there, so they are not published; when they are committed they
 * are there without events. What can go wrong: a commit whose prepare was in front of where the
 * stream began, or so long ago that it is forgotten: then nobody knows what it touched, and it
 * counts as if it had touched our tables. A hash of 64 bits stands for the xid; two xids with one
 * hash would cost a snapshot that was not needed.
 */
#include "capture/binlog/xa.h"
#include "capture/binlog/cursor.h"
#include "capture/binlog/gtid_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
take_word(struct ls_str *s, const char *word)
{
    size_t n = strlen(word);

    while (s->n > 0 && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n')) {
        s->p++;
        s->n--;
    }
    if (s->n < n || strncasecmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

/* X'...' into the xid's data, at most 64 bytes. */
static bool
take_hex(struct ls_str *s, struct cap_xid *xid, size_t at, uint8_t *ret_n)
{
    size_t n = 0;

    if (!take_word(s, "X'"))
        return false;
    while (s->n >= 2 && *s->p != '\'') {
        int high = cap_hex_digit(s->p[0]), low = cap_hex_digit(s->p[1]);
        if (high < 0 || low < 0 || n == CAP_XID_DATA / 2)
            return false;
        xid->data[at + n++] = (uint8_t)(high << 4 | low);
        s->p += 2;
        s->n -= 2;
    }
    *ret_n = (uint8_t)n;
    return take_word(s, "'");
}

static bool
take_xid(struct ls_str s, struct cap_xid *ret)
{
    struct cap_xid xid = {0};
    uint64_t format;
    const char *end;

    if (!take_hex(&s, &xid, 0, &xid.n_gtrid) || !take_word(&s, ",") ||
        !take_hex(&s, &xid, xid.n_gtrid, &xid.n_bqual) || !take_word(&s, ","))
        return false;
    (void)take_word(&s, ""); /* blanks */
    end = s.p + s.n;
    if (cap_gtid_number(&s.p, end, UINT32_MAX, &format) < 0 || s.p != end)
        return false;
    xid.format = (uint32_t)format;
    *ret = xid;
    return true;
}

enum cap_xa_verb
cap_xa_look(struct ls_str text, struct cap_xid *ret, bool *ret_known)
{
    static const struct {
        const char *word;
        enum cap_xa_verb verb;
    } verbs[] = {{"START ", CAP_XA_START},
                 {"BEGIN ", CAP_XA_START},
                 {"COMMIT ", CAP_XA_COMMIT},
                 {"ROLLBACK ", CAP_XA_ROLLBACK}};

    *ret_known = false;
    if (!take_word(&text, "XA "))
        return CAP_XA_NONE;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (take_word(&text, verbs[i].word)) {
            *ret_known = take_xid(text, ret);
            return verbs[i].verb;
        }
    return CAP_XA_OTHER;
}

int
cap_xa_decode(const struct cap_event *event, struct cap_xid *ret, bool *ret_one_phase,
              struct ls_err *err)
{
    struct cursor c = cur_of(event->body, event->n);
    struct cap_xid xid = {0};
    bool one_phase = cur_u8(&c) != 0;
    uint32_t n_gtrid, n_bqual;
    const uint8_t *data;

    xid.format = cur_u32(&c);
    n_gtrid = cur_u32(&c);
    n_bqual = cur_u32(&c);
    if (n_gtrid > CAP_XID_DATA / 2 || n_bqual > CAP_XID_DATA / 2)
        c.failed = true;
    data = cur_take(&c, (uint64_t)n_gtrid + n_bqual);
    if (!data || c.failed)
        return ls_fail_cause(err, LS_ERR_FATAL, event->type, "binlog-format",
                             "the XA PREPARE that ends at %u is broken", event->next_pos);
    xid.n_gtrid = (uint8_t)n_gtrid;
    xid.n_bqual = (uint8_t)n_bqual;
    memcpy(xid.data, data, n_gtrid + n_bqual);
    *ret = xid;
    *ret_one_phase = one_phase;
    return 0;
}

static uint64_t
fnv(uint64_t hash, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 0x100000001b3ULL;
    return hash;
}

static uint64_t
hash_of(const struct cap_xid *xid)
{
    uint8_t head[6] = {(uint8_t)xid->format,
                       (uint8_t)(xid->format >> 8),
                       (uint8_t)(xid->format >> 16),
                       (uint8_t)(xid->format >> 24),
                       xid->n_gtrid,
                       xid->n_bqual};
    uint64_t hash = fnv(0xcbf29ce484222325ULL, head, sizeof(head));

    return fnv(hash, xid->data, (size_t)xid->n_gtrid + xid->n_bqual);
}

static void
take_out(struct cap_xa_open *open, size_t i)
{
    memmove(&open->xids[i], &open->xids[i + 1], (open->n - i - 1) * sizeof(open->xids[0]));
    open->n--;
}

bool
cap_xa_forget(struct cap_xa_open *open, const struct cap_xid *xid)
{
    uint64_t hash = hash_of(xid);

    for (size_t i = 0; i < open->n; i++)
        if (open->xids[i].hash == hash) {
            bool watched = open->xids[i].watched;
            take_out(open, i);
            return watched;
        }
    return true;
}

void
cap_xa_remember(struct cap_xa_open *open, const struct cap_xid *xid, bool watched)
{
    (void)cap_xa_forget(open, xid);
    if (open->n == CAP_XA_OPEN)
        take_out(open, 0);
    open->xids[open->n].hash = hash_of(xid);
    open->xids[open->n++].watched = watched;
}

void
cap_xa_open_print(const struct cap_xa_open *open, char out[CAP_XA_OPEN_TEXT])
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < open->n; i++)
        n += (size_t)snprintf(out + n, CAP_XA_OPEN_TEXT - n, "%s%016" PRIx64 "%s", i ? "," : "",
                              open->xids[i].hash, open->xids[i].watched ? ":w" : "");
}

int
cap_xa_open_parse(struct ls_str text, struct cap_xa_open *ret)
{
    struct cap_xa_open open = {0};

    while (text.n > 0) {
        uint64_t hash = 0;
        if (open.n > 0 && !take_word(&text, ","))
            return -1;
        if (open.n == CAP_XA_OPEN || text.n < 16)
            return -1;
        for (int i = 0; i < 16; i++) {
            int digit = cap_hex_digit(text.p[i]);
            if (digit < 0)
                return -1;
            hash = hash << 4 | (uint64_t)digit;
        }
        text.p += 16;
        text.n -= 16;
        open.xids[open.n].hash = hash;
        open.xids[open.n++].watched = take_word(&text, ":w");
    }
    *ret = open;
    return 0;
}
