/*
 * How long a change takes from ownCloud to the target.
 *
 * Measured from the source's commit where the source tells that in microseconds (MySQL 8), else
 * from when capture received the row, until the ledger knows that the target has it. Rows of a
 * snapshot are not measured: theirs is no moment at which somebody did something.
 */
#ifndef AP_LATENCY_H
#define AP_LATENCY_H

#include "apply/ledger/ledger.h"
#include "common/records.h"

enum ap_clock { AP_CLOCK_SOURCE, AP_CLOCK_CAPTURE };
extern const char *const ap_clock_names[2];

typedef void ap_latency_fn(void *arg, enum ap_clock clock, double seconds);
struct ap_latency;
struct ap_latency *ap_latency_new(ap_latency_fn *each, void *arg); /* NULL: no memory */
void ap_latency_free(struct ap_latency *latency);
/* With a NULL latency these do nothing. The head of the record that is being taken in; NULL: none,
 * or not one to be measured. */
void ap_latency_record(struct ap_latency *latency, const struct cs3_head *head);
/* It is about this entity; `open`: an older record of it is not done either, and counts. */
void ap_latency_begin(struct ap_latency *latency, struct ap_key key, bool open);
/* The entity is done; `reached`: the target has what the record said. */
void ap_latency_end(struct ap_latency *latency, struct ap_key key, bool reached);

#endif
