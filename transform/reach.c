/*
 * Reach and snapshot progress, each with the value of the last commit beside the present one.
 *
 * Only rows and heartbeats say how far the source was read; a bracket is stamped when capture makes
 * it, which may be long after what lies before it in the stream. They never go back, but with
 * capture's clock.
 *
 * What can go wrong: claiming too much. cs3.resource also gets oc_files_trash, cs3.person,
 * cs3.share and cs3.annotation get the tables below that name theirs as `main`; a heartbeat of the
 * main table that is carried on while one of these still waits to be read would call that part in
 * step. So it carries the earliest of their times, as far as this instance holds them, and none
 * goes on before each of them has been heard of: capture sends the heartbeats of all of them in one
 * transaction.
 */
#include "transform/reach.h"

#include <stdlib.h>

struct state {
    bool seen;   /* anything */
    bool beaten; /* a heartbeat */
    bool open, ended;
    int64_t source_ts_us; /* until something is seen: when the partition was assigned */
};

struct mark {
    bool held;
    struct state now, kept;
};

/* The tables that carry heartbeats. */
static const struct {
    enum ls_table_id table;
    bool lesser;
    enum ls_table_id main; /* lesser: the table whose heartbeats also speak for it */
} tables[] = {
    {LS_T_FILECACHE, false, LS_T_FILECACHE},       {LS_T_SHARE, false, LS_T_SHARE},
    {LS_T_STORAGES, false, LS_T_STORAGES},         {LS_T_ACCOUNTS, false, LS_T_ACCOUNTS},
    {LS_T_FILES_TRASH, true, LS_T_FILECACHE},      {LS_T_GROUPS, true, LS_T_ACCOUNTS},
    {LS_T_GROUP_USER, true, LS_T_ACCOUNTS},        {LS_T_USERS, true, LS_T_ACCOUNTS},
    {LS_T_LDAP_USER_MAPPING, true, LS_T_ACCOUNTS}, {LS_T_PREFERENCES, true, LS_T_ACCOUNTS},
    {LS_T_VCATEGORY, false, LS_T_VCATEGORY},       {LS_T_VCATEGORY_TO_OBJECT, true, LS_T_VCATEGORY},
    {LS_T_PROPERTIES, true, LS_T_VCATEGORY},       {LS_T_SHARE_EXTERNAL, true, LS_T_SHARE},
    {LS_T_TRUSTED_SERVERS, true, LS_T_SHARE},      {LS_T_LDAP_GROUP_MAPPING, true, LS_T_ACCOUNTS},
    {LS_T_SYSTEMTAG, true, LS_T_VCATEGORY},        {LS_T_SYSTEMTAG_MAPPING, true, LS_T_VCATEGORY},
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

struct tf_reach {
    int partitions;
    int64_t rows, rows_kept;
    struct mark *marks[TABLES];
};

static int
partitions_of(const struct tf_reach *reach, size_t t)
{
    return ls_tables[tables[t].table].by_storage ? reach->partitions : 1;
}

struct tf_reach *
tf_reach_new(int partitions)
{
    struct tf_reach *reach = calloc(1, sizeof(*reach));

    if (!reach)
        return NULL;
    reach->partitions = partitions;
    for (size_t t = 0; t < TABLES; t++) {
        reach->marks[t] = calloc((size_t)partitions_of(reach, t), sizeof(struct mark));
        if (!reach->marks[t]) {
            tf_reach_free(reach);
            return NULL;
        }
    }
    return reach;
}

void
tf_reach_free(struct tf_reach *reach)
{
    if (!reach)
        return;
    for (size_t t = 0; t < TABLES; t++)
        free(reach->marks[t]);
    free(reach);
}

static struct mark *
mark_of(struct tf_reach *reach, enum ls_table_id table, int32_t partition)
{
    for (size_t t = 0; t < TABLES; t++) {
        if (tables[t].table == table && partition >= 0 && partition < partitions_of(reach, t))
            return &reach->marks[t][partition];
    }
    return NULL;
}

void
tf_reach_hold(struct tf_reach *reach, enum ls_table_id table, int32_t partition, bool held,
              int64_t now_us)
{
    struct mark *m = mark_of(reach, table, partition);

    if (!m)
        return;
    *m = (struct mark){.held = held, .now.source_ts_us = now_us};
    m->kept = m->now;
}

/* Capture's clock was set back behind what it had said: it says now how far that is by its clock.
 */
static bool
was_set_back(const struct state *state, const struct ls_envelope *e)
{
    return e->op == LS_OP_HEARTBEAT && e->capture_ts_us > 0 &&
           state->source_ts_us > e->capture_ts_us;
}

void
tf_reach_note(struct tf_reach *reach, const struct ls_envelope *e, int32_t partition)
{
    struct mark *m = mark_of(reach, e->table->id, partition);

    if (e->op == LS_OP_READ && e->table->id == LS_T_FILECACHE)
        reach->rows++;
    if (!m)
        return;
    /* one storage's own bracket says nothing of the partition */
    if ((e->op == LS_OP_BEGIN || e->op == LS_OP_END) && e->storage != LS_NO_STORAGE)
        return;
    if (e->op == LS_OP_BEGIN) {
        m->now.open = true;
        m->now.ended = false;
    } else if (e->op == LS_OP_END) {
        m->now.open = false;
        m->now.ended = true;
    } else if (e->source_ts_us > 0 && (!m->now.seen || e->source_ts_us > m->now.source_ts_us ||
                                       was_set_back(&m->now, e))) {
        m->now.source_ts_us = e->source_ts_us;
        m->now.seen = true;
    }
    if (e->op == LS_OP_HEARTBEAT)
        m->now.beaten = true;
}

void
tf_reach_keep(struct tf_reach *reach)
{
    reach->rows_kept = reach->rows;
    for (size_t t = 0; t < TABLES; t++) {
        for (int i = 0; i < partitions_of(reach, t); i++)
            reach->marks[t][i].kept = reach->marks[t][i].now;
    }
}

void
tf_reach_undo(struct tf_reach *reach)
{
    reach->rows = reach->rows_kept;
    for (size_t t = 0; t < TABLES; t++) {
        for (int i = 0; i < partitions_of(reach, t); i++)
            reach->marks[t][i].now = reach->marks[t][i].kept;
    }
}

int64_t
tf_reach_limit(const struct tf_reach *reach, const struct ls_envelope *heartbeat)
{
    int64_t limit = heartbeat->source_ts_us;

    for (size_t t = 0; t < TABLES; t++) {
        const struct mark *m = reach->marks[t]; /* the lesser tables have one partition */

        if (!tables[t].lesser || tables[t].main != heartbeat->table->id || !m->held)
            continue;
        if (!m->now.beaten)
            return 0;
        if (m->now.source_ts_us < limit)
            limit = m->now.source_ts_us;
    }
    return limit;
}

int64_t
tf_reach_oldest(const struct tf_reach *reach)
{
    int64_t oldest = 0;

    for (size_t t = 0; t < TABLES; t++) {
        for (int i = 0; i < partitions_of(reach, t); i++) {
            const struct mark *m = &reach->marks[t][i];

            if (m->held && (oldest == 0 || m->kept.source_ts_us < oldest))
                oldest = m->kept.source_ts_us;
        }
    }
    return oldest;
}

void
tf_reach_snapshot(const struct tf_reach *reach, int *ret_open, bool *ret_done, int64_t *ret_rows)
{
    int open = 0, ended = 0;

    for (int i = 0; i < reach->partitions; i++) {
        open += reach->marks[0][i].kept.open; /* oc_filecache is the first */
        ended += reach->marks[0][i].kept.ended;
    }
    *ret_open = open;
    *ret_done = open == 0 && ended > 0;
    *ret_rows = reach->rows_kept;
}
