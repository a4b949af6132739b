/*
 * What comes packed: MySQL's transaction payloads, MariaDB's compressed rows and statements.
 *
 * Input: a byte (1: events end with a CRC), then one event.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/binlog/payload.h"
#include "capture/binlog/types.h"

#define CAP ((size_t)1 << 20)

static void
payload(const struct cap_event *event)
{
    struct cap_payload *payload = cap_payload_new(CAP);
    struct ls_err err = {0};
    const uint8_t *p;
    size_t n;
    int k = -1;

    PROMISE(payload);
    /* twice, because it is used again for the next transaction, also after a failure */
    for (int i = 0; i < 2; i++) {
        if (cap_payload_open(payload, event, &err) < 0)
            continue;
        while ((k = cap_payload_next(payload, &p, &n, &err)) == 1) {
            struct cap_event inner;
            PROMISE(n >= CAP_EVENT_HEADER && n <= CAP);
            PROMISE(cap_event_parse(p, n, false, &inner, &err) == 0);
            fuzz_read(p, n);
        }
    }
    if (k < 0)
        (void)fuzz_failed(&err);
    cap_payload_free(payload);
}

static void
rows(const struct cap_event *event)
{
    static struct cap_layout layout;
    static const struct ls_table table = {.name = "fuzzed"};
    struct cap_rows rows = {0};
    struct ls_buf scratch;
    struct ls_err err = {0};
    struct cursor c;

    ls_buf_init(&scratch, CAP);
    if (cap_rows_head(event, &rows, &err) < 0)
        goto out;
    c = cur_of(rows.body, rows.n);
    layout.table = &table;
    layout.n_columns = (uint32_t)cur_lenenc(&c);
    if (layout.n_columns <= CAP_MAX_SOURCE_COLUMNS &&
        cap_rows_open(&rows, &layout, &scratch, &err) == 0) {
        PROMISE(rows.p <= rows.end);
        PROMISE(fuzz_inside(rows.p, (size_t)(rows.end - rows.p),
                            rows.compressed ? scratch.p : event->body,
                            rows.compressed ? scratch.n : event->n));
        fuzz_read(rows.p, (size_t)(rows.end - rows.p));
    }
out:
    if (err.kind)
        (void)fuzz_failed(&err);
    ls_buf_free(&scratch);
}

static void
query(const struct cap_event *event)
{
    struct ls_buf scratch;
    struct cap_query query;
    struct ls_err err = {0};

    ls_buf_init(&scratch, CAP);
    if (cap_decode_query(event, &scratch, &query, &err) < 0)
        (void)fuzz_failed(&err);
    else
        PROMISE(fuzz_inside(query.text.p, query.text.n, scratch.p, scratch.n));
    ls_buf_free(&scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_event event;
    size_t at = 1;
    uint8_t *p;

    if (size < 1 || !(p = fuzz_next_event(data, size, &at, data[0] & 1, &event)))
        return 0;
    if (event.type == CAP_EV_PAYLOAD)
        payload(&event);
    else if (event.type == CAP_EV_QUERY_COMPRESSED)
        query(&event);
    else if (cap_event_is_rows(event.type))
        rows(&event);
    free(p);
    return 0;
}
