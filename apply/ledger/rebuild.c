/*
 * A ledger made anew, on another host: what was done from its mirror, what is wanted from the
 * topics. With the mirror lost, too, what was done is looked for at the target (sought.c), when
 * somebody has said so: an empty ledger where apply has worked before is else refused.
 *
 * What can go wrong: it is not finished (a crash, a stop). The mark `rebuilding` stands in such a
 * ledger until its end, and one with the mark is put aside and begun again; the mirror is not
 * touched meanwhile. Nothing is called before all records that are in the topics have been taken
 * in, because only the last of them says what is wanted.
 */
#include "apply/ledger/mirror.h"
#include "apply/ledger/mirror_rows.h"
#include "apply/plan/sought.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE 5000 /* records in one transaction of the ledger */
#define ARENA_CAP (16u << 20)

struct rebuild {
    struct ap_ledger *ledger;
    struct ap_core *core;
    struct ls_arena *arena;
    const char *topic; /* without prefix */
    int64_t n;
};

int
ap_ledger_put_aside(const char *path, struct ls_err *err)
{
    char to[4200], from[4200];
    static const char *const beside[] = {"-wal", "-shm"};

    snprintf(to, sizeof(to), "%s.old", path);
    if (rename(path, to) < 0 && errno != ENOENT)
        return ls_fail_cause(err, LS_ERR_FATAL, errno, "ledger",
                             "cannot put the ledger %s aside: %s", path, strerror(errno));
    for (size_t i = 0; i < 2; i++) { /* closed in order there are none */
        snprintf(to, sizeof(to), "%s.old%s", path, beside[i]);
        snprintf(from, sizeof(from), "%s%s", path, beside[i]);
        if (rename(from, to) < 0 && errno == ENOENT)
            unlink(to);
    }
    ls_log(LS_WARN, "ledger-put-aside", LS_S("path", path));
    return 0;
}

static int
piece(struct rebuild *r, struct ls_err *err)
{
    if (++r->n % PIECE != 0)
        return 0;
    ls_run_notify_alive();
    if (ap_ledger_commit(r->ledger, err) < 0)
        return -1;
    return ap_ledger_begin(r->ledger, err);
}

static int
each_row(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct rebuild *r = arg;
    struct ls_err bad = {0};

    if (ap_mirror_restore(r->ledger, message->key, message->value, &bad) < 0) {
        *err = bad;
        err->kind = LS_ERR_FATAL; /* to leave a row out is to do something twice */
        return -1;
    }
    return piece(r, err);
}

/* ---- lost? */

bool
ap_ledger_is_new(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0, "SELECT 1 FROM meta WHERE key = 'rebuilding'", NULL) == 1 ||
           ap_number(ledger, 0,
                     "SELECT 1 FROM offset UNION ALL SELECT 1 FROM meta WHERE key = 'lineage'"
                     " LIMIT 1",
                     NULL) == 0;
}

/* Has an apply of this prefix ever taken in a record? */
static int
worked_before(const struct ls_config *config, bool *ret, struct ls_err *err)
{
    static const char *const topics[] = {"cs3.person", "cs3.space", "cs3.share"};
    int32_t partitions = (int32_t)ls_config_int(config, "lockstep", "partitions");
    struct ls_partition *parts = calloc((size_t)partitions + 3, sizeof(*parts));
    char group[256];
    int r;

    *ret = false;
    if (!parts)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    for (int i = 0; i < 3; i++)
        parts[i].topic = ls_config_topic(config, topics[i]);
    for (int32_t p = 0; p < partitions; p++)
        parts[3 + p] = (struct ls_partition){ls_config_topic(config, "cs3.resource"), p, 0};
    snprintf(group, sizeof(group), "%s-apply", ls_config_str(config, "lockstep", "prefix"));
    r = ls_group_offsets(config, group, parts, (size_t)partitions + 3, err);
    for (int32_t i = 0; r == 0 && i < partitions + 3; i++)
        *ret = *ret || parts[i].offset > 0;
    free(parts);
    return r;
}

int
ap_ledger_lost(const struct ls_config *config, struct ap_ledger *ledger, bool signs,
               enum ap_if_lost what, bool *ret, struct ls_err *err)
{
    bool before = signs;

    *ret = false;
    if (what == AP_LOST_FIRST_DAY || !ap_ledger_is_new(ledger))
        return 0;
    if (!before && worked_before(config, &before, err) < 0)
        return -1;
    *ret = before;
    if (!before || what == AP_LOST_REBUILD)
        return 0;
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "ledger-lost",
                         "the ledger %s is empty, and so is its mirror, but apply has worked"
                         " before: bring the ledger back, or let it be made of what is at the"
                         " target (apply.rebuild, docs/runbooks/ledger-lost.md)",
                         ls_config_str(config, "apply", "ledger"));
}

/* ---- from the mirror */

/* It has a name from the first moment: the signs of who works with it are his own to the next who
 * starts with it. */
static int
rebuild_begin(struct ap_ledger *ledger, struct ap_mirror *mirror, struct ls_err *err)
{
    if (ap_ledger_begin(ledger, err) < 0)
        return -1;
    ap_exec(ledger, "INSERT OR REPLACE INTO meta(key, value) VALUES('rebuilding', '1')", NULL);
    ap_mirror_name(mirror, ledger);
    return ap_ledger_commit(ledger, err);
}

int
ap_rebuild_rows(const struct ls_config *config, struct ap_ledger *ledger, struct ap_mirror *mirror,
                struct ls_err *err)
{
    struct rebuild r = {.ledger = ledger};

    ls_log(LS_WARN, "rebuild", LS_S("from", ls_config_topic(config, "ledger")));
    if (rebuild_begin(ledger, mirror, err) < 0 || ap_ledger_begin(ledger, err) < 0)
        return -1;
    if (ls_topic_read(config, ls_config_topic(config, "ledger"), each_row, &r, err) < 0)
        return -1;
    ap_mirror_restored(ledger);
    if (ap_ledger_commit(ledger, err) < 0)
        return -1;
    ls_log(LS_INFO, "rebuild-rows", LS_I("read", r.n),
           LS_I("nodes", ap_number(ledger, 0, "SELECT count(*) FROM node", NULL)));
    return 0;
}

int
ap_rebuild_without_rows(struct ap_ledger *ledger, struct ap_mirror *mirror, struct ls_err *err)
{
    ls_log(LS_WARN, "rebuild", LS_S("from", "the target"));
    return rebuild_begin(ledger, mirror, err);
}

bool
ap_is_from_target(struct ap_ledger *ledger)
{
    return ap_number(ledger, 0, "SELECT 1 FROM meta WHERE key = 'from-target'", NULL) == 1;
}

static int
each_record(void *arg, const struct ls_message *message, struct ls_err *err)
{
    struct rebuild *r = arg;
    int result = ap_take_message(r->core, message, r->topic, r->arena, err);

    ls_arena_reset(r->arena);
    return result < 0 ? -1 : piece(r, err);
}

int
ap_rebuild_records(const struct ls_config *config, struct ap_core *core, const char *const *topics,
                   size_t n, bool sought, struct ls_err *err)
{
    struct rebuild r = {.ledger = core->ledger, .core = core, .arena = ls_arena_new(ARENA_CAP)};
    int result = -1;

    if (!r.arena)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    if (ap_ledger_begin(core->ledger, err) < 0)
        goto out;
    for (size_t i = 0; i < n; i++) {
        r.topic = topics[i];
        if (ls_topic_read(config, ls_config_topic(config, topics[i]), each_record, &r, err) < 0)
            goto out;
    }
    ap_mirror_caught_up(core->ledger);
    if (sought) {
        ap_sought_begin(core);
        ap_exec(core->ledger, "INSERT OR REPLACE INTO meta(key, value) VALUES('from-target', '1')",
                NULL);
    }
    ap_exec(core->ledger, "DELETE FROM meta WHERE key = 'rebuilding'", NULL);
    result = ap_ledger_commit(core->ledger, err);
    ls_log(LS_INFO, "rebuilt", LS_I("records", r.n), LS_I("sought", ap_sought_open(core->ledger)),
           /* they were deleted at the source longer ago than the topics reach back */
           LS_I("nodes_without_record",
                ap_number(core->ledger, 0,
                          "SELECT count(*) FROM node WHERE leftover = 0 AND fileid NOT IN"
                          " (SELECT fileid FROM desired)",
                          NULL)));
out:
    ls_arena_free(r.arena);
    return result;
}
