/*
 * All that must be there before packets can flow: topics, the source's settings, our place in
 * Kafka, a connection to the source that stands there.
 *
 * The order at a start matters: the transactional id first (it fences another capture), then the
 * position, for only then nobody else moves it. What can go wrong is sorted by those who are asked;
 * what becomes of it is loop.c's.
 */
#include "capture/loop_parts.h"
#include "capture/source/connect.h"
#include "capture/stream/columns.h"
#include "capture/stream/place.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/records.h"
#include "common/registry.h"
#include <stdio.h>
#include <string.h>

#define TOPICS (LS_T_COUNT + 5)

int
cap_make_topics(struct capture *c, struct ls_err *err)
{
    struct ls_topic_spec specs[TOPICS];
    int partitions = (int)ls_config_int(c->config, "lockstep", "partitions");
    size_t n = 0;

    for (size_t i = 0; i < LS_T_COUNT; i++) {
        char suffix[64];
        (void)snprintf(suffix, sizeof(suffix), "oc10.oc_%s", ls_tables[i].name);
        specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, suffix),
                                            ls_tables[i].by_storage ? partitions : 1, LS_KEPT_LAST};
    }
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "position"), 1, LS_KEPT_STATE};
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "schemas"), 1, LS_KEPT_LAST};
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "status"), 1, LS_KEPT_STATE};
    specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, "dlq"), 1, false};
    if (cap_control_on(c->control))
        specs[n++] = (struct ls_topic_spec){ls_config_topic(c->config, LS_CONTROL_TOPIC), 1,
                                            LS_KEPT_14_DAYS};
    if (ls_topics_ensure(c->config, specs, n, err) < 0)
        return -1;
    /* before the first record, so that whoever reads one can read it */
    if (ls_schemas_publish(c->config, err) < 0)
        return -1;
    /* when the limits are asked for again the ids are known, also while the registry is away */
    if (c->registered)
        return 0;
    if (ls_registry_register(c->config, "oc10/", err) < 0)
        return -1;
    c->registered = true;
    return 0;
}

int
cap_look_at_source(struct capture *c, struct ls_err *err)
{
    struct cap_server server;
    MYSQL *mysql = NULL;
    int r;

    if (cap_connect(c->config, &mysql, err) < 0)
        return -1;
    r = cap_server_look(mysql, &server, err);
    if (r == 0)
        r = cap_server_check(mysql, &server, c->config, err);
    if (r == 0)
        r = cap_schema_load(c->schema, mysql, err);
    mysql_close(mysql);
    return r;
}

int
cap_keep_columns(struct capture *c, struct ls_err *err)
{
    char *json;

    if (!cap_schema_changed(c->schema))
        return 0;
    json = cap_schema_print(c->schema);
    if (!json)
        return ls_fail(err, LS_ERR_RETRY, 0, "no memory for the columns");
    cap_publisher_set_columns(c->publisher, json);
    return 0;
}

/* The columns where the stream is; NULL: as many as can be had. */
int
cap_learn_columns(struct capture *c, const struct cap_coords *at, const struct ls_table *wanted,
                  struct ls_err *err)
{
    MYSQL *mysql = NULL;
    int r;

    /* it may take its time, and the broker has not all of it */
    if (cap_publisher_commit(c->publisher, err) < 0 || cap_connect(c->config, &mysql, err) < 0)
        return -1;
    r = cap_columns_learn(c->schema, mysql, cap_session_server(c->session), at, wanted, err);
    mysql_close(mysql);
    return r < 0 ? r : cap_keep_columns(c, err);
}

/* A first start has no position: it begins where the source is now. */
static int
begin_first(struct capture *c, struct ls_err *err)
{
    const char *mode = ls_config_str(c->config, "capture", "snapshot");

    if (cap_place_take(c->config, cap_publisher_position(c->publisher), err) < 0)
        return -1;
    if (strcmp(mode, "never") != 0) {
        c->new_snapshot = true;
        return 0;
    }
    ls_log(LS_WARN, "no-snapshot",
           LS_S("why", "there is no position and capture.snapshot=never: the stream begins now"));
    return 0;
}

/* To connect again is to fence whoever has taken over while Kafka was away for us: he is to keep
 * what he has. */
static int
stay_behind(struct capture *c, struct ls_err *err)
{
    bool overtaken = false;

    if (c->active && cap_publisher_overtaken(c->publisher, &overtaken, err) < 0)
        return -1;
    return overtaken ? ls_fail_cause(err, LS_ERR_FATAL, 0, "fenced",
                                     "another capture has taken over in the meantime")
                     : 0;
}

/* Producer, position, and a snapshot where one is due; committed as the first thing. */
static int
connect_publisher(struct capture *c, struct ls_err *err)
{
    struct cap_position *position = cap_publisher_position(c->publisher);
    char gtids[CAP_GTID_SET_TEXT];
    bool found;

    c->publisher_lost = true;
    cap_control_restart(c->control);
    if (stay_behind(c, err) < 0 || cap_publisher_connect(c->publisher, &found, err) < 0)
        return -1;
    c->active = true;
    if (cap_schema_parse(c->schema, cap_publisher_columns(c->publisher), err) < 0)
        return -1;
    if (!found && begin_first(c, err) < 0)
        return -1;
    if (c->new_snapshot && cap_snapshot_covers_all(position)) {
        cap_snapshot_go_on(position);
        c->new_snapshot = false; /* it goes on where it was */
    }
    if (c->new_snapshot && !cap_position_in_part(position)) {
        if (cap_snapshot_begin(c->snapshot, err) < 0)
            return -1;
        c->new_snapshot = false;
    }
    if (cap_publisher_keep(c->publisher, err) < 0)
        return -1;
    c->publisher_lost = false;
    cap_gtid_set_print(&position->gtids, gtids);
    ls_log(LS_INFO, "position", LS_S("gtid", gtids), LS_S("file", position->file),
           LS_I("pos", position->pos), LS_I("row", position->row), LS_I("epoch", position->epoch),
           LS_I("counter", position->counter),
           LS_S("snapshot", cap_phase_names[position->snapshot.phase]));
    return 0;
}

static int
connect_session(struct capture *c, struct ls_err *err)
{
    const struct cap_position *position = cap_publisher_position(c->publisher);
    struct cap_start start = {.gtids = position->gtids,
                              .whole = position->whole,
                              .pos = position->pos,
                              .server_id = position->server_id};

    memcpy(start.file, position->file, sizeof(start.file));
    memcpy(start.uuid, position->server_uuid, sizeof(start.uuid));
    cap_snapshot_drop(c->snapshot);
    cap_stream_restart(c->stream);
    c->columns_asked = false;
    c->parts_ms = ls_mono_ms();
    if (cap_session_open(c->config, &start, &c->session, err) < 0)
        return -1;
    cap_stream_pass(c->stream, cap_session_passes(c->session));
    if (!cap_place_come(cap_publisher_position(c->publisher), cap_session_server(c->session)))
        return 0;
    /* its tables may differ in what rows do not tell, and its settings from what was looked at */
    cap_schema_forget(c->schema, UINT32_MAX);
    return cap_look_at_source(c, err);
}

int
cap_prepare(struct capture *c, struct ls_err *err)
{
    if (cap_schema_stale(c->schema) && cap_look_at_source(c, err) < 0)
        return -1;
    if (c->publisher_lost && connect_publisher(c, err) < 0)
        return -1;
    return connect_session(c, err);
}
