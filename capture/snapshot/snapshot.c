/*
 * The snapshot as a part of the stream.
 *
 * The stream has been read up to Q. A second connection opens a consistent view, which lies at
 * position P >= Q, reads one chunk into memory and closes it. The stream goes on to P; there the
 * chunk's rows are what the tables hold at this very place of the stream, and are emitted between
 * two transactions. So a row's records are in the order of its states, whoever writes meanwhile.
 * MySQL tells a P only that is behind all of the view; there the chunk forgets the rows that the
 * stream brings up to P (view.c).
 * While the stream is behind, the chunk waits for it and no other is read.
 *
 * A snapshot is of everything, with brackets in every partition, or of chosen storages: those are
 * walked one after the other, each between brackets of its own, so that the sweep at its end knows
 * of nothing else. Rows of the chosen users in oc_files_trash and oc_share are read again without
 * brackets: there nothing is swept.
 *
 * What can go wrong: a kill: the position record holds the table and the last key, so the next
 * process goes on behind it under the same begin. A failover or DDL between chunks does no harm,
 * each chunk stands alone. A snapshot that is cancelled, or that another one takes the place of,
 * leaves its begin without an end: nothing is swept for it.
 */
#include "capture/snapshot/snapshot.h"
#include "capture/snapshot/chunk.h"
#include "capture/snapshot/select.h"
#include "capture/snapshot/view.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Storages and people first, so that what depends on them finds them. A step's number stands in
 * the position topic: who is new comes last. */
static const enum ls_table_id all_steps[LS_T_COUNT] = {
    LS_T_STORAGES,
    LS_T_MIMETYPES,
    LS_T_ACCOUNTS,
    LS_T_USERS,
    LS_T_GROUPS,
    LS_T_GROUP_USER,
    LS_T_LDAP_USER_MAPPING,
    LS_T_PREFERENCES,
    LS_T_TRUSTED_SERVERS,
    LS_T_SHARE_EXTERNAL,
    LS_T_PROPERTIES,
    LS_T_VCATEGORY,
    LS_T_VCATEGORY_TO_OBJECT,
    LS_T_FILES_TRASH,
    LS_T_FILECACHE,
    LS_T_SHARE,
    LS_T_LDAP_GROUP_MAPPING,
    LS_T_SYSTEMTAG,
    LS_T_SYSTEMTAG_MAPPING,
};
static const enum ls_table_id chosen_steps[] = {LS_T_FILES_TRASH, LS_T_FILECACHE, LS_T_SHARE};

struct cap_snapshot {
    struct cap_schema *schema;
    struct cap_publisher *publisher;
    struct cap_view *view;
    struct cap_chunk *chunk;
    struct cap_place place; /* P of the chunk */
    int64_t place_us;
    int64_t groups; /* transactions that had ended when the stream was last seen before P */
};

static cap_row_fn on_row;

struct cap_snapshot *
cap_snapshot_new(const struct ls_config *config, struct cap_schema *schema,
                 struct cap_publisher *publisher)
{
    struct cap_snapshot *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->schema = schema;
    s->publisher = publisher;
    s->view = cap_view_new(config);
    s->chunk = cap_chunk_new(schema, ls_config_int(config, "capture", "snapshot_chunk"));
    if (!s->view || !s->chunk) {
        cap_snapshot_free(s);
        return NULL;
    }
    cap_publisher_watch(publisher, on_row, s);
    return s;
}

void
cap_snapshot_drop(struct cap_snapshot *s)
{
    cap_chunk_drop(s->chunk);
    cap_view_drop(s->view);
}

void
cap_snapshot_free(struct cap_snapshot *s)
{
    if (!s)
        return;
    cap_publisher_watch(s->publisher, NULL, NULL);
    cap_chunk_free(s->chunk);
    cap_view_free(s->view);
    free(s);
}

/* ---- what there is to do */

static bool
of_chosen(const struct cap_snapshot_state *state)
{
    return state->chosen.n_storages > 0;
}

/* The table of the step, NULL behind the last one. */
static const struct ls_table *
table_of(const struct cap_snapshot_state *state)
{
    size_t n = of_chosen(state) ? sizeof(chosen_steps) / sizeof(chosen_steps[0]) : LS_T_COUNT;

    if ((size_t)state->step >= n)
        return NULL;
    return &ls_tables[of_chosen(state) ? chosen_steps[state->step] : all_steps[state->step]];
}

/* The next table that has something to be read. */
static const struct ls_table *
next_table(struct cap_snapshot *s, struct cap_snapshot_state *state)
{
    const struct ls_table *table;

    for (; (table = table_of(state)); state->step++) {
        bool nobody = of_chosen(state) && !table->by_storage && state->chosen.n_users == 0;
        bool through =
            of_chosen(state) && table->by_storage && state->storage == state->chosen.n_storages;
        /* an app that is not there has no columns */
        if (!nobody && !through && cap_schema_table(s->schema, table->id)->n > 0)
            break;
    }
    return table;
}

const char *
cap_snapshot_table(const struct cap_position *position)
{
    const struct cap_snapshot_state *state = &position->snapshot;
    const struct ls_table *table = table_of(state);

    if (state->phase != CAP_SNAPSHOT_RUNNING && state->phase != CAP_SNAPSHOT_PAUSED)
        return "";
    return table ? table->name : "";
}

const char *
cap_snapshot_method(const struct cap_snapshot *s)
{
    return cap_view_method_names[cap_view_method_of(s->view)];
}

int
cap_snapshot_wait_ms(const struct cap_snapshot *s)
{
    return cap_chunk_held(s->chunk) ? 0 : cap_view_wait_ms(s->view);
}

bool
cap_snapshot_waits(const struct cap_snapshot *s)
{
    return cap_chunk_held(s->chunk);
}

bool
cap_snapshot_covers_all(const struct cap_position *position)
{
    enum cap_snapshot_phase phase = position->snapshot.phase;

    return (phase == CAP_SNAPSHOT_RUNNING || phase == CAP_SNAPSHOT_PAUSED) &&
           !of_chosen(&position->snapshot);
}

void
cap_snapshot_go_on(struct cap_position *position)
{
    if (position->snapshot.phase != CAP_SNAPSHOT_PAUSED)
        return;
    position->snapshot.phase = CAP_SNAPSHOT_RUNNING;
    ls_log(LS_WARN, "snapshot-resumed",
           LS_S("why", "a snapshot was asked for at the start, and this one was paused"));
}

/* ---- begin, end, commands */

static void
begin_state(struct cap_snapshot *s, const struct cap_selection *chosen, int64_t estimate)
{
    struct cap_snapshot_state *state = &cap_publisher_position(s->publisher)->snapshot;

    cap_snapshot_drop(s);
    memset(state, 0, sizeof(*state));
    state->phase = CAP_SNAPSHOT_RUNNING;
    state->started_us = ls_now_us();
    state->estimate = estimate;
    if (chosen)
        state->chosen = *chosen;
    ls_log(LS_INFO, "snapshot-begin", LS_I("estimate", estimate),
           LS_I("storages", state->chosen.n_storages), LS_I("users", state->chosen.n_users));
}

int
cap_snapshot_begin(struct cap_snapshot *s, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(s->publisher);
    struct ls_seq begin;
    int64_t estimate = 0;

    if (cap_publish_begin(s->publisher, LS_NO_STORAGE, &begin, err) < 0)
        return -1;
    for (size_t i = 0; i < LS_T_COUNT; i++)
        estimate += cap_schema_table(s->schema, (enum ls_table_id)i)->estimate;
    begin_state(s, NULL, estimate);
    position->snapshot.begin = begin;
    position->lost = false;
    return 0;
}

static int
finish(struct cap_snapshot *s, struct cap_snapshot_state *state, struct ls_err *err)
{
    if (!of_chosen(state) && cap_publish_end(s->publisher, LS_NO_STORAGE, state->begin, err) < 0)
        return -1;
    state->phase = CAP_SNAPSHOT_DONE;
    state->ended_us = ls_now_us();
    state->n_key = 0;
    cap_publisher_position(s->publisher)->counters.snapshots++;
    ls_log(LS_INFO, "snapshot-end", LS_I("rows", state->rows),
           LS_D("seconds", (double)(state->ended_us - state->started_us) / 1e6));
    cap_snapshot_drop(s);
    return 0;
}

static int
start(struct cap_snapshot *s, const json_t *args, struct ls_err *err)
{
    struct cap_selection *chosen = calloc(1, sizeof(*chosen));
    int64_t estimate = 0;
    MYSQL *mysql;
    int r = -1;

    if (!chosen)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "no memory for a selection");
    if (cap_view_connection(s->view, &mysql, err) < 0)
        goto out;
    if (cap_select(mysql, cap_schema_names(s->schema), args, chosen, &estimate, err) < 0)
        goto out;
    /* it does not read the small tables, without which folders are files and storages nobody's */
    if (chosen->n_storages > 0 && cap_publisher_position(s->publisher)->counters.snapshots == 0) {
        (void)ls_fail_cause(err, LS_ERR_POISON, ENOENT, "no-snapshot",
                            "no snapshot of everything has ended yet: take that one first");
        goto out;
    }
    r = 0;
    if (chosen->n_storages > 0)
        begin_state(s, chosen, estimate);
    else
        r = cap_snapshot_begin(s, err);
out:
    free(chosen);
    return r;
}

static int
refuse_state(const struct cap_snapshot_state *state, const char *cause, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_POISON, EBUSY, cause, "the snapshot is: %s",
                         cap_phase_names[state->phase]);
}

int
cap_snapshot_command(struct cap_snapshot *s, const struct ls_command *command, struct ls_err *err)
{
    struct cap_snapshot_state *state = &cap_publisher_position(s->publisher)->snapshot;
    bool running = state->phase == CAP_SNAPSHOT_RUNNING,
         paused = state->phase == CAP_SNAPSHOT_PAUSED;

    if (!strcmp(command->name, "snapshot-start"))
        return running || paused ? refuse_state(state, "busy", err) : start(s, command->args, err);
    if (json_object_size(command->args) > 0)
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "arguments", "%s has no arguments",
                             command->name);
    if (!strcmp(command->name, "snapshot-pause")) {
        if (!running)
            return refuse_state(state, "not-running", err);
        state->phase = CAP_SNAPSHOT_PAUSED;
    } else if (!strcmp(command->name, "snapshot-resume")) {
        if (!paused)
            return refuse_state(state, "not-paused", err);
        state->phase = CAP_SNAPSHOT_RUNNING;
    } else if (!strcmp(command->name, "snapshot-cancel")) {
        if (!running && !paused)
            return refuse_state(state, "not-running", err);
        state->phase = CAP_SNAPSHOT_CANCELLED;
        state->ended_us = ls_now_us();
        state->n_key = 0;
        ls_log(LS_WARN, "snapshot-cancelled", LS_I("rows", state->rows),
               LS_S("why", "what it was to repair stays as it is until another one ends"));
    } else {
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "unknown-command",
                             "capture has no command %s", command->name);
    }
    cap_snapshot_drop(s);
    return 0;
}

/* ---- chunks */

/* One name may stand for several servers, and places in the binlog are one's own. */
static int
check_server(const struct cap_snapshot *s, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(s->publisher);
    const struct cap_server *server = cap_view_server(s->view);

    if (position->server_id == 0 ||
        cap_server_is(server, position->server_id, position->server_uuid))
        return 0;
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "source",
                         "another server answers (server_id %" PRIu32 ") than the one that the "
                         "binlog comes from (%" PRIu32 ")",
                         server->server_id, position->server_id);
}

/* A view at or behind the stream's place, and the next chunk from it. */
static int
read_chunk(struct cap_snapshot *s, const struct ls_table *table,
           const struct cap_snapshot_state *state, const struct cap_stream *stream,
           struct ls_err *err)
{
    struct cap_walk walk = {table, of_chosen(state) ? &state->chosen : NULL};
    MYSQL *mysql;
    int r;

    if (cap_view_wait_ms(s->view) > 0)
        return 0;
    if (cap_view_connection(s->view, &mysql, err) < 0) {
        if (strcmp(err->cause, CAP_VIEW_NOT_NOW) != 0)
            return -1;
        ls_log_err(LS_WARN, "snapshot-waits", err);
        *err = (struct ls_err){0};
        return 0;
    }
    if (check_server(s, err) < 0)
        return -1;
    r = cap_view_open(s->view, cap_stream_coords(stream),
                      &cap_publisher_position(s->publisher)->gtids, &s->place, err);
    if (r <= 0)
        return r; /* at the next boundary again */
    s->place_us = ls_now_us();
    s->groups = cap_stream_groups(stream);
    if (cap_chunk_read(s->chunk, mysql, &walk, state, err) < 0 ||
        (!s->place.exact && cap_chunk_watch(s->chunk, err) < 0))
        return -1;
    return cap_view_close(s->view, err);
}

/* The walk of a table, or of a storage in it, is through. */
static int
end_walk(struct cap_snapshot *s, const struct ls_table *table, struct cap_snapshot_state *state,
         struct ls_err *err)
{
    state->n_key = 0;
    if (!of_chosen(state) || !table->by_storage) {
        state->step++;
        ls_log(LS_INFO, "snapshot-table", LS_S("table", table->name), LS_I("rows", state->rows));
        return 0;
    }
    if (cap_publish_end(s->publisher, state->chosen.storages[state->storage], state->begin, err) <
        0)
        return -1;
    ls_log(LS_INFO, "snapshot-storage", LS_I("storage", state->chosen.storages[state->storage]),
           LS_I("rows", state->rows));
    state->storage++;
    state->begun = false;
    return 0;
}

static int
emit_chunk(struct cap_snapshot *s, const struct ls_table *table, struct cap_snapshot_state *state,
           struct ls_err *err)
{
    struct cap_origin origin = {
        .ts_us = s->place_us, .received_us = s->place_us, .gtid = "", .file = "", .snapshot = true};
    const struct cap_image *row;

    while ((row = cap_chunk_next(s->chunk))) {
        if (!cap_chunk_is_touched(s->chunk)) {
            if (cap_publish_row(s->publisher, &origin, table, NULL, row, err) < 0)
                return -1;
            state->rows++;
        }
        if (cap_chunk_keep(s->chunk, state, err) < 0)
            return -1;
        /* each row moved the key: the transaction may end at any of them */
        if (cap_publisher_full(s->publisher) && cap_publisher_commit(s->publisher, err) < 0)
            return -1;
    }
    cap_chunk_drop(s->chunk);
    return cap_chunk_is_last(s->chunk) ? end_walk(s, table, state, err) : 0;
}

/* Whether the stream stands at the chunk's place. When that is exact and a transaction took it from
 * before the place to behind it, the chunk may be older than rows that are published: it is thrown
 * away. One that is watched knows which rows those are. */
static bool
arrived(struct cap_snapshot *s, const struct cap_stream *stream, bool *ret_busy)
{
    int r = cap_coords_cmp(cap_stream_coords(stream), &s->place.coords);

    if (r < 0) {
        s->groups = cap_stream_groups(stream);
        return false;
    }
    if (r == 0 || !s->place.exact || s->groups == cap_stream_groups(stream))
        return true;
    ls_log(LS_DEBUG, "snapshot-chunk-passed", LS_S("file", s->place.coords.file),
           LS_I("pos", s->place.coords.pos));
    cap_chunk_drop(s->chunk);
    *ret_busy = true; /* it is read again */
    return false;
}

static void
on_row(void *arg, const struct ls_envelope *envelope)
{
    cap_chunk_touch(((struct cap_snapshot *)arg)->chunk, envelope);
}

int
cap_snapshot_step(struct cap_snapshot *s, const struct cap_stream *stream, bool *ret_busy,
                  struct ls_err *err)
{
    struct cap_snapshot_state *state = &cap_publisher_position(s->publisher)->snapshot;
    const struct ls_table *table;

    *ret_busy = false;
    if (state->phase != CAP_SNAPSHOT_RUNNING || !cap_stream_coords(stream)->file[0])
        return 0;
    table = next_table(s, state);
    if (!table)
        return finish(s, state, err);
    if (of_chosen(state) && table->by_storage && !state->begun) {
        if (cap_publish_begin(s->publisher, state->chosen.storages[state->storage], &state->begin,
                              err) < 0)
            return -1;
        state->begun = true;
    }
    if (!cap_chunk_held(s->chunk) && read_chunk(s, table, state, stream, err) < 0) {
        cap_snapshot_drop(s);
        return -1;
    }
    if (!cap_chunk_held(s->chunk) || !arrived(s, stream, ret_busy))
        return 0;
    *ret_busy = true;
    return emit_chunk(s, table, state, err);
}
