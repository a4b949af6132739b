/*
 * MySQL's transaction payload: the events of a transaction in one event, with zstd or plain.
 */
#ifndef CAP_PAYLOAD_H
#define CAP_PAYLOAD_H

#include "capture/binlog/decode.h"

struct cap_payload;
/* `cap`: the most that one event inside may need. NULL without memory. */
struct cap_payload *cap_payload_new(size_t cap);
void cap_payload_free(struct cap_payload *payload);

/* Begins with the first event of this payload; the bytes of `event` are borrowed until its end. */
int cap_payload_open(struct cap_payload *payload, const struct cap_event *event,
                     struct ls_err *err);
/*
 * 1 and the bytes of the next event (without a checksum, valid until the next call), 0 at the end.
 * Memory is that of one event, however large the payload is. FATAL, cause "binlog-format", when the
 * content is not as long as it says; cause "event-too-large" for an event above the cap.
 */
int cap_payload_next(struct cap_payload *payload, const uint8_t **ret, size_t *ret_n,
                     struct ls_err *err);

#endif
