/*
 * What status and lag make of the stages' documents: a JSON object "<stage>/<instance>" ->
 * document.
 */
#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include "common/config.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A stage speaks once a second. */
#define CTL_STALE_US (10 * 1000000LL)

/* Adds to each document what the reader knows better: `silent` (its last word is older than ten
 * seconds), `replaced_by` (that another of its stage speaks then), `ahead_us` (its last word is
 * from so long after now that its age cannot be told), `age_us` of that word, `true_lag_us`, which
 * keeps rising when a stage has stopped; and what is told in one number: `applied`,
 * `parked_records`, `progress_age_us` (null: no progress since the start). A silent capture's
 * `lag_records` and `lag_bytes` become null: not known. */
void ctl_status_enrich(json_t *stages, int64_t now_us);
/* For lag, after enrich: `lag_records` of transform and apply become what their groups have not
 * read (-1: not known), of apply with what is open, and `lag_bytes` by it. */
void ctl_lag_enrich(json_t *stages, int64_t transform, int64_t apply);
/* The documents of <p>.status, enriched. */
int ctl_status_load(const struct ls_config *config, json_t **ret_stages, struct ls_err *err);
/* "ready", "NOT READY", "SILENT", "CLOCK". */
const char *ctl_status_state(const json_t *document);
/* Of what a document has under `parked`: it waits for something; else it is merely at work. */
bool ctl_status_is_parked(const char *cause);
/* "<title>3 content-missing, 1 orphan" of an object under `parked`, `dead` or a user's `causes`;
 * nothing, and false, when there is none. */
bool ctl_status_causes(const char *title, json_t *causes, FILE *out);
/* status_print.c: the tables, of enriched documents; for lag after ctl_lag_enrich. */
void ctl_status_print(json_t *stages, FILE *out);
void ctl_lag_print(json_t *stages, FILE *out);
/* The users of apply's document who wait longest, or the one; `out` gets a table. */
void ctl_lag_users(json_t *stages, const char *only, int64_t now_us, FILE *out);
/* The sweeps of apply's documents that wait, and what they would delete. */
void ctl_sweeps_print(json_t *stages, FILE *out);
/* The next stage that nobody works as, those that stand by aside; NULL: no more. `at` begins at 0.
 */
const char *ctl_status_missing(json_t *stages, size_t *at);
/* LS_EXIT_OK when there is each stage, and all speak or were replaced, are ready and in balance;
 * else LS_EXIT_DIFFERENT. After enrich. */
int ctl_status_verdict(json_t *stages);
/* The same after ctl_lag_enrich; LS_EXIT_KAFKA when it could not be told how many records wait. */
int ctl_lag_verdict(json_t *stages);

#endif
