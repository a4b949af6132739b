/*
 * A consistent view of the source's tables, and where in its binlog that lies.
 */
#ifndef CAP_VIEW_H
#define CAP_VIEW_H

#include "capture/coords.h"
#include "capture/server.h"
#include "common/config.h"
#include "common/err.h"
#include <mysql.h>

struct cap_view;
struct cap_view *cap_view_new(const struct ls_config *config); /* NULL: no memory */
void cap_view_free(struct cap_view *view);
/* Gives the connection up; the next call makes a new one. */
void cap_view_drop(struct cap_view *view);

/*
 * Opens a view at or behind `at`, to where the stream has taken everything in. Returns 1 and its
 * place; 0 when the engine does not show yet what the binlog holds: ask again later.
 */
int cap_view_open(struct cap_view *view, const struct cap_coords *at, struct cap_coords *ret,
                  struct ls_err *err);
int cap_view_close(struct cap_view *view, struct ls_err *err);

/* The connection, made where there is none; borrowed until the drop. */
int cap_view_connection(struct cap_view *view, MYSQL **ret, struct ls_err *err);

#endif
