/*
 * Drift: what somebody changed at the target after apply had left it there.
 *
 * With apply.drift = stop a call is told what its node is taken to be (struct ap_expect of
 * writer.h), from the ledger's row; a writer that finds something else does nothing and says so.
 * The entity is then a dead letter, until the source changes it again, or somebody says by
 * `lockstep dlq retry` that the source wins for this one. With source-wins calls are told nothing.
 */
#ifndef AP_DRIFT_H
#define AP_DRIFT_H

#include "apply/core.h"

/* Of one node below a folder; the sum of all says what is below it. Folders: "" and 0. */
uint64_t ap_drift_mark(const char *id, const char *parent_id, const char *name, const char *sha1,
                       int64_t size);

/* What the job's node is taken to be, from the ledger, into job->was. When it is planned. */
void ap_drift_fill(struct ap_core *core, struct ap_job *job);
/* The same as the writer takes it; NULL: nothing is expected. Borrows from the job. */
const struct ap_expect *ap_drift_expect(struct ap_job *job, struct ap_expect *room);

/* What a version's put has found is the file's: a letter for the file. */
void ap_drift_of_file(struct ap_core *core, const struct ap_job *job);
/* A call was answered "deleted-at-target": the ledger learns who is in the trash. True: that is
 * somebody else than the job's entity, who is a dead letter now and will be waited for. */
bool ap_drift_trashed(struct ap_core *core, const struct ap_job *job);
/* The ledger's note of when its own call put the node into the trash; 0: none. */
void ap_drift_deleted_at(struct ap_core *core, int64_t node, int64_t at);

/* The source wins for this one until it is done, dead again, or has a new record. */
void ap_drift_allow(struct ap_core *core, struct ap_key key);
/* The cause of a dead letter that is drift, for whoever hangs on it; else left alone. */
void ap_drift_cause_of(struct ap_core *core, struct ap_key dead, char *cause, size_t size);
bool ap_drift_is_cause(const char *cause);

#endif
