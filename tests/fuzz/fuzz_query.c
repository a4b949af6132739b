/*
 * Statements: the query event, and what sqltext.c and xa.c see in its text.
 *
 * Input: a byte (1: events end with a CRC, 2: the input behind it is a text, not an event,
 * 4: ansi_quotes, 8: no_backslash).
 *
 * Beside memory: case and a comment in front do not change what a statement is, and whatever stands
 * behind DELETE FROM a watched table, that table is seen.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/binlog/xa.h"
#include <ctype.h>

#define TEXT_MAX 4096

static const struct cap_sql_names names = {"owncloud", "oc_"};
static const struct ls_str ours = {"owncloud", 8};

static bool
same(struct cap_sql a, struct cap_sql b)
{
    return a.kind == b.kind && a.watched == b.watched && a.tables == b.tables;
}

/* `front` and the text in memory of their own. */
static struct ls_str
behind(const char *front, struct ls_str text)
{
    size_t n = strlen(front);
    char *p = malloc(n + text.n + 1);

    PROMISE(p);
    memcpy(p, front, n);
    if (text.n)
        memcpy(p + n, text.p, text.n);
    return (struct ls_str){p, n + text.n};
}

static void
look(struct ls_str text, struct ls_str db, struct cap_sql_mode mode)
{
    struct cap_sql sql = cap_sql_look(text, db, mode, &names);
    struct ls_str other;
    struct cap_xid xid;
    bool known;

    PROMISE(sql.watched == (sql.tables != 0));
    PROMISE(sql.tables >> LS_T_COUNT == 0);
    if (cap_xa_look(text, &xid, &known) == CAP_XA_NONE)
        PROMISE(!known);
    PROMISE(!known || xid.n_gtrid + xid.n_bqual <= CAP_XID_DATA);
    if (text.n > TEXT_MAX)
        return;

    other = behind(" # oc_share\n/* oc_share */ -- oc_share\n", text);
    PROMISE(same(sql, cap_sql_look(other, db, mode, &names)));
    free((char *)other.p);

    other = behind("DELETE FROM `oc_share` ", text);
    sql = cap_sql_look(other, ours, mode, &names);
    PROMISE(sql.kind == CAP_SQL_DML && sql.tables & 1U << LS_T_SHARE);
    free((char *)other.p);

    /* the M of an executable comment is not a letter of a word */
    if (text.n == 0 || memmem(text.p, text.n, "/*m", 3))
        return;
    sql = cap_sql_look(text, db, mode, &names);
    other = behind("", text);
    for (size_t i = 0; i < other.n; i++)
        ((char *)other.p)[i] = (char)toupper((unsigned char)text.p[i]);
    PROMISE(same(sql, cap_sql_look(other, db, mode, &names)));
    free((char *)other.p);
}

static void
event_of(const uint8_t *data, size_t size, struct cap_sql_mode mode)
{
    struct cap_query query;
    struct cap_event event;
    struct ls_buf scratch;
    struct ls_err err = {0};
    size_t at = 1;
    uint8_t *p = fuzz_next_event(data, size, &at, data[0] & 1, &event);

    if (!p)
        return;
    ls_buf_init(&scratch, (size_t)1 << 20);
    if (cap_decode_query(&event, &scratch, &query, &err) < 0) {
        (void)fuzz_failed(&err);
    } else {
        bool packed = event.type == CAP_EV_QUERY_COMPRESSED;
        PROMISE(fuzz_inside(query.db.p, query.db.n, event.body, event.n));
        PROMISE(fuzz_inside(query.text.p, query.text.n, packed ? scratch.p : event.body,
                            packed ? scratch.n : event.n));
        look(query.text, query.db, query.mode);
        look(query.text, query.db, mode);
    }
    ls_buf_free(&scratch);
    free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_sql_mode mode;
    uint8_t *copy;

    if (size < 1)
        return 0;
    mode = (struct cap_sql_mode){data[0] & 4, data[0] & 8};
    if (!(data[0] & 2)) {
        event_of(data, size, mode);
        return 0;
    }
    copy = fuzz_copy(data + 1, size - 1);
    look((struct ls_str){(const char *)copy, size - 1}, ours, mode);
    free(copy);
    return 0;
}
