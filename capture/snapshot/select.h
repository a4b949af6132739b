/*
 * What a command chooses: everything, or storages and users of the source.
 */
#ifndef CAP_SELECT_H
#define CAP_SELECT_H

#include "capture/binlog/sqltext.h"
#include "capture/publish/position.h"
#include <jansson.h>
#include <mysql.h>

/*
 * The arguments of snapshot-start: {"all": true}, or "storages" (numbers) and "users" (names), or
 * both. Looks up in the source which storages there are and which are the users'. No storages in
 * *ret: everything. *ret_estimate: rows of oc_filecache in them, as the server guesses.
 * POISON: "arguments", "too-many", "unknown-user", "unknown-storage" (each naming what), "no-index"
 * (the source's oc_filecache cannot be walked by storage).
 */
int cap_select(MYSQL *mysql, const struct cap_sql_names *names, const json_t *args,
               struct cap_selection *ret, int64_t *ret_estimate, struct ls_err *err);

#endif
