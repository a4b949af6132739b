/*
 * A schema registry with Confluent's API: ids for what we write, schemas for what we read.
 *
 * Everything here does nothing unless registry.url is set.
 */
#ifndef LS_REGISTRY_H
#define LS_REGISTRY_H

#include "common/config.h"
#include "common/err.h"

/*
 * For capture ("oc10/") and transform ("cs3/"), before their first record: finds each compiled-in
 * schema of that name under the subject `<topic>-value`, or registers it there. What is encoded
 * from then on carries the registry's ids.
 * RETRY while the registry is away or answers what is no answer. FATAL, with the registry's words:
 * cause "registry-incompatible" (the subject's rule refuses our schema), "registry-auth",
 * "registry".
 */
int ls_registry_register(const struct ls_config *config, const char *names, struct ls_err *err);

/*
 * What that would meet, of all our schemas; nothing is registered. How many there are, and how many
 * of them the registry knows; *ret_all 0: none is wanted. Of the others the subject's rule is
 * asked: "registry-incompatible" as above.
 */
int ls_registry_check(const struct ls_config *config, size_t *ret_all, size_t *ret_known,
                      struct ls_err *err);

/* Decoding asks the registry for the ids that it does not know, each once; while it is away that is
 * RETRY after a minute. The config is borrowed for the process's life. */
void ls_registry_attach(const struct ls_config *config);

#endif
