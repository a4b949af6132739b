/*
 * A consistent view of the source's tables, and where in its binlog that lies.
 */
#ifndef CAP_VIEW_H
#define CAP_VIEW_H

#include "capture/source/coords.h"
#include "capture/source/server.h"
#include "common/config.h"
#include "common/err.h"
#include <mysql.h>

/* How the place is found. */
enum cap_view_method {
    CAP_VIEW_NONE,
    CAP_VIEW_BINLOG_SNAPSHOT, /* MariaDB tells it */
    CAP_VIEW_GTID,            /* MySQL: no lock, by what gtid_executed holds */
    CAP_VIEW_WATERMARK,       /* MySQL without GTIDs: a small write of ours */
    CAP_VIEW_LOCK,            /* MySQL without GTIDs: FLUSH TABLES WITH READ LOCK, for moments */
    CAP_VIEW_METHODS
};
extern const char *const cap_view_method_names[CAP_VIEW_METHODS];

#define CAP_VIEW_NOT_NOW "source-not-now"

struct cap_place {
    struct cap_coords coords;
    /* The view is what the tables hold at this place. Else it is that for all rows but those that
     * the stream brings between the place where the view was asked for and this one. */
    bool exact;
};

struct cap_view;
struct cap_view *cap_view_new(const struct ls_config *config); /* NULL: no memory */
void cap_view_free(struct cap_view *view);
/* Gives the connection up; the next call makes a new one. */
void cap_view_drop(struct cap_view *view);

/*
 * Opens a view that shows all that the stream has taken in, up to `at` and `gtids`. Returns 1 and
 * its place; 0 when the source does not show that yet, or is not to be locked now: ask again later.
 * FATAL cause "source-grants" or "source-settings" when the method asked for is not allowed.
 */
int cap_view_open(struct cap_view *view, const struct cap_coords *at,
                  const struct cap_gtid_set *gtids, struct cap_place *ret, struct ls_err *err);
/* How long it is to be asked no more after a 0, or a CAP_VIEW_NOT_NOW. */
int cap_view_wait_ms(const struct cap_view *view);
int cap_view_close(struct cap_view *view, struct ls_err *err);
/* Where the connection leads to; there is one. */
const struct cap_server *cap_view_server(const struct cap_view *view);
enum cap_view_method cap_view_method_of(const struct cap_view *view); /* NONE: not known yet */

/* The connection, made where there is none; borrowed until the drop. RETRY cause CAP_VIEW_NOT_NOW:
 * the source answers and refuses the method, for a reason that may pass. */
int cap_view_connection(struct cap_view *view, MYSQL **ret, struct ls_err *err);

#endif
