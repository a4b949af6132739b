/*
 * The position and the server it belongs to.
 *
 * GTIDs mean the same on every server of a replication; a file and an offset mean something on one
 * only, and on another they could even be a valid place, a wrong one. So the position says whose
 * they are, and forgets them when the stream goes on elsewhere.
 */
#include "capture/stream/place.h"
#include "capture/source/connect.h"
#include "capture/source/hosts.h"
#include "common/log.h"
#include <string.h>

static void
set_server(struct cap_position *position, const struct cap_server *server)
{
    position->server_id = server->server_id;
    memcpy(position->server_uuid, server->uuid, sizeof(position->server_uuid));
}

int
cap_place_take(const struct ls_config *config, struct cap_position *position, struct ls_err *err)
{
    struct cap_server server = {0};
    struct cap_coords place = {"", 0};
    struct cap_gtid_set gtids = {0};
    MYSQL *mysql = NULL;
    int r;

    if (cap_connect(config, &mysql, err) < 0)
        return -1;
    r = cap_server_look(mysql, &server, err);
    if (r == 0)
        r = cap_server_place(mysql, &server, &place, &gtids, err);
    mysql_close(mysql);
    if (r < 0)
        return -1;
    memcpy(position->file, place.file, sizeof(position->file));
    position->pos = place.pos;
    position->gtids = gtids;
    position->whole = server.flavour == CAP_MYSQL && server.gtid && gtids.n == 0;
    cap_position_forget_parts(position);
    /* an xid may be used again, and one that is not known counts as ours */
    memset(&position->xa, 0, sizeof(position->xa));
    set_server(position, &server);
    return 0;
}

bool
cap_place_come(struct cap_position *position, const struct cap_server *server)
{
    bool other = position->server_id != 0;

    if (cap_server_is(server, position->server_id, position->server_uuid))
        return false;
    if (other) {
        ls_log(LS_WARN, "source-changed", LS_S("host", server->host), LS_I("port", server->port),
               LS_I("server_id", server->server_id), LS_I("server_id_before", position->server_id),
               LS_I("row", position->row));
        position->file[0] = '\0';
        position->pos = 0;
    }
    set_server(position, server);
    return other;
}

bool
cap_place_is_gone(const struct ls_config *config, bool may_skip, const struct ls_err *err)
{
    static const char *const causes[] = {"purged", "diverged", "source-server", "source-behind",
                                         NULL};

    for (size_t i = 0; causes[i]; i++)
        if (!strcmp(err->cause, causes[i]))
            return err->kind == LS_ERR_FATAL || (may_skip && cap_hosts_left(config) == 0);
    return false;
}
