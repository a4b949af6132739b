/*
 * A world of apply's core: a source in memory (source_model.h), the ledger in a file, a target in
 * memory (fake_target.h), and what stands between them: records in any order that Kafka allows,
 * rounds of planning and calls, the mirror, a process that dies. Every step asserts that it
 * succeeds. LOCKSTEP_TRACE=1 prints each call. cmocka.h comes before.
 */
#ifndef LOCKSTEP_TESTS_APPLY_WORLD_H
#define LOCKSTEP_TESTS_APPLY_WORLD_H

#include "fake_target.h"
#include "source_model.h"
#include "steps.h"

struct world {
    struct fake_target target;
    struct model model;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128];             /* of the ledger */
    int next[MODEL_PARTITIONS]; /* record to be delivered */
    int64_t seq;                /* of the last record of a person or a space */
    sqlite3 *mirror;            /* of the ledger, or NULL: nothing is sent before it stands there */
    int64_t mirrored;
    void (*others)(struct world *w); /* gives all records of topics that are not the model's */
};

/* MODEL_USERS users with an empty space each; one thread has one world at a time. */
void start_world(struct world *w);
void stop_world(struct world *w);
/* The same ledger and target with a new core, as a new process has it. */
void open_world(struct world *w);
void close_world(struct world *w);

/* ---- records, in a transaction that is open */
static const struct ap_origin person_origin = {.topic = "cs3.person"},
                              space_origin = {.topic = "cs3.space"},
                              share_origin = {.topic = "cs3.share"};
void give_person(struct world *w, enum cs3_person_type type, const char *uid, const char *gid,
                 enum cs3_kind kind);
void give_space(struct world *w, int64_t storage, const char *owner, enum cs3_kind kind);
/* The next one of the model in this partition; false: it has no more. */
bool give_next(struct world *w, int32_t partition);
bool given_all(struct world *w);
/* A snapshot's begin or end of the whole table; `from` is the begin's seq. */
void give_mark(struct world *w, int32_t partition, enum cs3_kind kind, struct ls_seq seq,
               struct ls_seq from);

/* ---- steps */
/* An empty first snapshot, so that the next one is a later one. */
void give_first_snapshot(struct world *w);
/* At most this many calls that were planned. */
void run_some(struct world *w, int most);
/* Settles, delivers at most this many records, plans and sends. */
void round_once(struct world *w, int records);
/* n rounds with their calls, and a little time for timers between them. */
void rounds(struct world *w, int n);
/* Everything delivered and done; what stays open is parked for a reason (`parked` many). */
void finish(struct world *w, int64_t parked);
/* From now on calls and answers are lost, and the target is busy or down now and then. */
void trouble_target(struct world *w);
/* The process dies: calls that were sent have happened or not. */
void kill_world(struct world *w);

/* ---- the mirror: a table of keys and values */
void mirror_begin(struct world *w);
void mirror_follow(struct world *w);
/* The ledger is gone, and what the mirror did not have; another host makes it anew. */
void lose_host(struct world *w);

/* ---- both sides */
/* A new file in the model, with content and a record. */
struct model_row *add_file(struct world *w, int64_t storage, int64_t parent, const char *name);
/* Is a node of that name at the target? 1 live, 2 in the trash. */
int target_has(struct world *w, const char *name);

/* Nodes as lines: space, path, trash, kind, content, time. The caller frees `line`, which has room
 * for MODEL_ROWS. */
struct lines {
    char (*line)[1400];
    int n;
};
int line_compare(const void *a, const void *b); /* for qsort and bsearch */
void line_of_row(struct model *m, const struct model_row *row, struct lines *l);
void lines_of_model(struct model *m, struct lines *l);
void lines_of_target(struct fake_target *f, struct lines *l);
void assert_equal_trees(struct world *w);
/* Everything once more from the start: nothing is called. */
void assert_replay_is_silent(struct world *w);

void print_open(struct world *w);
/* LOCKSTEP_HISTORIES and the like. */
int env_number(const char *name, int fallback);

#endif
