/*
 * Headers, and the small events that steer the stream: format description, rotate, heartbeat, GTID,
 * previous GTIDs, XA PREPARE.
 *
 * Input: a byte (1: events end with a CRC), then one event. It is parsed as it stands, then once
 * more with length and CRC mended, so that the decoders behind them get their turn.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/binlog/xa.h"

static void
decode(const struct cap_event *event)
{
    struct ls_err err = {0};
    struct ls_str file = {0};
    struct cap_gtid_event gtid;
    struct cap_gtid_set set;
    struct cap_xid xid;
    uint64_t pos;
    bool flag;
    int r = 0;

    switch (event->type) {
    case CAP_EV_FORMAT:
        r = cap_decode_format(event, &flag, &err);
        break;
    case CAP_EV_ROTATE:
        r = cap_decode_rotate(event, &file, &pos, &err);
        PROMISE(r < 0 || (file.n > 0 && file.n < 512));
        break;
    case CAP_EV_HEARTBEAT:
    case CAP_EV_HEARTBEAT_V2:
        r = cap_decode_heartbeat(event, &file, &pos, &err);
        PROMISE(r < 0 || file.n < 512);
        break;
    case CAP_EV_GTID:
    case CAP_EV_GTID_MYSQL:
    case CAP_EV_GTID_ANONYMOUS:
        r = cap_decode_gtid(event, &gtid, &err);
        PROMISE(r < 0 || (gtid.gtid.flavour == CAP_MARIADB) == (event->type == CAP_EV_GTID));
        PROMISE(r < 0 || gtid.anonymous == (event->type == CAP_EV_GTID_ANONYMOUS));
        break;
    case CAP_EV_PREVIOUS_GTIDS:
        r = cap_decode_previous_gtids(event, &set, &err);
        PROMISE(r < 0 || (set.n <= CAP_GTID_UUIDS && set.flavour == CAP_MYSQL));
        break;
    case CAP_EV_XA_PREPARE:
        r = cap_xa_decode(event, &xid, &flag, &err);
        PROMISE(r < 0 || xid.n_gtrid + xid.n_bqual <= CAP_XID_DATA);
        break;
    default:
        break;
    }
    if (r < 0)
        (void)fuzz_failed(&err);
    else if (file.n > 0)
        PROMISE(fuzz_inside(file.p, file.n, event->body, event->n));
}

static void
parse(const uint8_t *p, size_t n, bool checksum)
{
    struct ls_err err = {0};
    struct cap_event event;

    if (cap_event_parse(p, n, checksum, &event, &err) < 0) {
        (void)fuzz_failed(&err);
        return;
    }
    PROMISE(event.size == n);
    PROMISE(fuzz_inside(event.body, event.n, p, n));
    PROMISE(event.n + CAP_EVENT_HEADER == n || event.n + CAP_EVENT_HEADER + 4 == n);
    (void)cap_event_classify(event.type, event.flags);
    decode(&event);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool checksum = size > 0 && data[0] & 1;
    uint8_t *copy;

    if (size < 1)
        return 0;
    copy = fuzz_copy(data + 1, size - 1);
    parse(copy, size - 1, checksum);
    fuzz_mend(copy, size - 1, checksum);
    parse(copy, size - 1, checksum);
    free(copy);
    return 0;
}
