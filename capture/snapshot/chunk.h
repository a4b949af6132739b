/*
 * A chunk: the next rows of a table behind a key, in memory.
 */
#ifndef CAP_CHUNK_H
#define CAP_CHUNK_H

#include "capture/publish/position.h"
#include "capture/stream/schema.h"
#include "common/buf.h"
#include "common/err.h"
#include <mysql.h>

/* Which rows. */
struct cap_walk {
    const struct ls_table *table;
    /* NULL: all. Else of oc_filecache the storage that the state is at, in the order of path_hash;
     * of other tables the rows of the chosen users, in the order of their keys. */
    const struct cap_selection *chosen;
};

struct cap_chunk;
/* `schema` is borrowed. NULL without memory. */
struct cap_chunk *cap_chunk_new(struct cap_schema *schema, int64_t rows);
void cap_chunk_free(struct cap_chunk *chunk);
void cap_chunk_drop(struct cap_chunk *chunk); /* the rows */
bool cap_chunk_held(const struct cap_chunk *chunk);

/* Reads the rows behind the state's key. */
int cap_chunk_read(struct cap_chunk *chunk, MYSQL *mysql, const struct cap_walk *walk,
                   const struct cap_snapshot_state *state, struct ls_err *err);
/* The next row, with the same values and text as the stream would give; NULL behind the last one.
 */
const struct cap_image *cap_chunk_next(struct cap_chunk *chunk);
/* That row is published: its key goes into the state. FATAL cause "snapshot-key" for a key that
 * cannot be walked. */
int cap_chunk_keep(struct cap_chunk *chunk, struct cap_snapshot_state *state, struct ls_err *err);
/*
 * From here on rows that cap_chunk_touch names are no longer the chunk's: the stream has published
 * them behind the view. Of the row that was given out last cap_chunk_is_touched says so.
 */
int cap_chunk_watch(struct cap_chunk *chunk, struct ls_err *err);
void cap_chunk_touch(struct cap_chunk *chunk, const struct ls_envelope *envelope);
bool cap_chunk_is_touched(const struct cap_chunk *chunk);
/* Whether the walk's end was in it. */
bool cap_chunk_is_last(const struct cap_chunk *chunk);

/* The statement, for tests and people who EXPLAIN it; borrowed until the next call. NULL without
 * memory. `mysql` escapes text. */
const char *cap_chunk_sql(struct cap_chunk *chunk, MYSQL *mysql, const struct cap_walk *walk,
                          const struct cap_snapshot_state *state);

#endif
