/*
 * End-to-end latencies, from the heads of the records and the ledger's word that they are done.
 *
 * The times are kept in memory only, for entities that are open: after a restart those that were
 * open are not measured (the lag shows them), and beyond a bound no more are taken. What can go
 * wrong: two clocks. The source's and capture's may differ from ours; below zero is zero.
 */
#include "apply/latency.h"
#include "common/run.h"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ENTRIES_MAX 100000

const char *const ap_clock_names[2] = {
    [AP_CLOCK_SOURCE] = "source", [AP_CLOCK_CAPTURE] = "capture"};

struct id {
    int64_t kind, id;
};

struct entry {
    struct id id;
    int64_t from_us;
    enum ap_clock clock;
    UT_hash_handle hh;
};

struct ap_latency {
    ap_latency_fn *each;
    void *arg;
    struct entry *open;
    int64_t from_us; /* of the record that is being taken in; 0: none */
    enum ap_clock clock;
};

struct ap_latency *
ap_latency_new(ap_latency_fn *each, void *arg)
{
    struct ap_latency *latency = calloc(1, sizeof(*latency));

    if (latency) {
        latency->each = each;
        latency->arg = arg;
    }
    return latency;
}

static void
drop(struct ap_latency *latency, struct entry *entry)
{
    HASH_DEL(latency->open, entry);
    free(entry);
}

void
ap_latency_free(struct ap_latency *latency)
{
    struct entry *entry, *next;

    if (!latency)
        return;
    HASH_ITER(hh, latency->open, entry, next)
    drop(latency, entry);
    free(latency);
}

/* A binlog's own times are whole seconds: those say too little. */
void
ap_latency_record(struct ap_latency *latency, const struct cs3_head *head)
{
    if (!latency)
        return;
    latency->from_us = 0;
    if (!head || head->snapshot)
        return;
    latency->clock = head->source_ts_us % 1000000 != 0 ? AP_CLOCK_SOURCE : AP_CLOCK_CAPTURE;
    latency->from_us = latency->clock == AP_CLOCK_SOURCE ? head->source_ts_us : head->capture_ts_us;
}

static struct entry *
find(const struct ap_latency *latency, struct ap_key key)
{
    struct id id = {(int64_t)key.kind, key.id};
    struct entry *entry = NULL;

    HASH_FIND(hh, latency->open, &id, sizeof(id), entry);
    return entry;
}

void
ap_latency_begin(struct ap_latency *latency, struct ap_key key, bool open)
{
    struct entry *entry;

    if (!latency)
        return;
    entry = find(latency, key);
    if (open)
        return;
    if (latency->from_us <= 0) {
        if (entry)
            drop(latency, entry);
        return;
    }
    if (!entry) {
        if (HASH_COUNT(latency->open) >= ENTRIES_MAX || !(entry = calloc(1, sizeof(*entry))))
            return;
        entry->id = (struct id){(int64_t)key.kind, key.id};
        HASH_ADD(hh, latency->open, id, sizeof(entry->id), entry);
    }
    entry->from_us = latency->from_us;
    entry->clock = latency->clock;
}

void
ap_latency_end(struct ap_latency *latency, struct ap_key key, bool reached)
{
    struct entry *entry = latency ? find(latency, key) : NULL;
    int64_t took;

    if (!entry)
        return;
    took = ls_now_us() - entry->from_us;
    if (reached)
        latency->each(latency->arg, entry->clock, took > 0 ? (double)took / 1e6 : 0);
    drop(latency, entry);
}
