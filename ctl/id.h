/*
 * Where a file of ownCloud went, from the ledger's mirror.
 */
#ifndef CTL_ID_H
#define CTL_ID_H

#include "common/buf.h"
#include "ctl/ctl.h"
#include <jansson.h>
#include <stdint.h>

/* The nodes of one file: rows of the mirror are given in the order of the topic. */
struct ctl_id;
struct ctl_id *ctl_id_new(int64_t fileid); /* NULL: out of memory */
void ctl_id_free(struct ctl_id *id);
int ctl_id_row(struct ctl_id *id, struct ls_str key, struct ls_str value, struct ls_err *err);
/* An array of objects: fileid, state ("live", "trash", "old"), owner, space, node, path. */
json_t *ctl_id_places(struct ctl_id *id);

int ctl_id(const struct ls_config *config, int64_t fileid, const struct ctl_flags *flags,
           FILE *out);

#endif
