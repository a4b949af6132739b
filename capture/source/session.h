/*
 * The connection to the source that the binlog comes through.
 */
#ifndef CAP_SESSION_H
#define CAP_SESSION_H

#include "capture/binlog/gtid.h"
#include "capture/source/readahead.h"
#include "capture/source/server.h"
#include "common/config.h"
#include "common/err.h"
#include <stddef.h>
#include <stdint.h>

/*
 * Where a dump begins: by GTID when the set is not empty, or whole, and the server has them, else
 * by file and position, which mean something on one server only.
 */
struct cap_start {
    struct cap_gtid_set gtids;
    bool whole;     /* MySQL: the set is empty because nothing was there */
    char file[512]; /* "" not known */
    uint64_t pos;
    uint32_t server_id; /* whose file and position; 0 not known */
    char uuid[40];      /* "" not known */
};

struct cap_session;
/*
 * Connects and asks for the binlog; a thread reads ahead from then on.
 *
 * RETRY cause "source-behind": another server than before, which does not have all that was taken;
 * "source-file": it lists the file that was read last, and cannot open it.
 * FATAL cause "diverged": it never will, for it is the same one, or has other transactions in that
 * place; "source-server": file and position, or GTIDs, of another server that mean nothing here.
 */
int cap_session_open(const struct ls_config *config, const struct cap_start *start,
                     struct cap_session **ret, struct ls_err *err);
void cap_session_close(struct cap_session *session); /* NULL is fine */
/* The server that it is on; valid until the session is closed. */
const struct cap_server *cap_session_server(const struct cap_session *session);
/* An offset that the dump command has no room for: the dump begins at the file's head, for
 * cap_stream_pass; 0: it begins where it was asked to. */
uint64_t cap_session_passes(const struct cap_session *session);
/*
 * 1 and a packet, 0 when none came within timeout_ms. What was read before a failure is given
 * first. RETRY: connection lost, silent for three heartbeats, server stopping. FATAL cause
 * "purged": the position is no longer in the source's binlogs; "source-server-id": the source ended
 * the dump for another replica with our id.
 */
int cap_session_next(struct cap_session *session, int timeout_ms, struct cap_packet *ret,
                     struct ls_err *err);
/* Whether the next packet is there without a lock or a wait. */
bool cap_session_at_hand(const struct cap_session *session);
/* Whether a good deal more was read already: what is at hand is not the source's last word. */
bool cap_session_has_more(struct cap_session *session);

#endif
