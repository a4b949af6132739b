/*
 * A ledger made anew of the target: what is wanted is looked for where it would be made.
 */
#ifndef AP_SOUGHT_H
#define AP_SOUGHT_H

#include "apply/core.h"

/* All records are in, nothing was called: what they want is to be looked for. In a transaction. */
void ap_sought_begin(struct ap_core *core);
/* So many are still to be looked for. */
int64_t ap_sought_open(struct ap_ledger *ledger);
/* Nothing more can be found before other records come. */
bool ap_sought_rests(struct ap_core *core);

/* converge.c has answered *next for a node: true when it is looked for first, or waits for that. */
bool ap_sought_next(struct ap_core *core, const struct ap_work *work, struct ap_next *next,
                    struct ap_job *job);
/* The same of an old content that would make the node of its file. */
void ap_sought_version(struct ap_core *core, const struct ap_work *work, struct ap_next *next);
void ap_sought_settled(struct ap_core *core, const struct ap_job *job);
/* A link that is to be made, by a writer that does not keep ids; and there is one, or none. */
void ap_sought_link(struct ap_core *core, int64_t share, const char *node_id, struct ap_job *job);
void ap_sought_link_done(struct ap_core *core, int64_t share);
/* It came out of the trash: what is in it has ids now. */
void ap_sought_below(struct ap_core *core, int64_t top);

#endif
