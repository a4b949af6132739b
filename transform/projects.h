/*
 * Which storages are project spaces: the section [spaces] of the configuration.
 */
#ifndef TF_PROJECTS_H
#define TF_PROJECTS_H

#include "common/buf.h"
#include "common/config.h"

struct tf_projects;
struct tf_project {
    struct ls_str name, owner; /* borrowed from the list */
};

/* Reads the section. FATAL when memory is out. */
int tf_projects_new(const struct ls_config *config, struct tf_projects **ret, struct ls_err *err);
void tf_projects_free(struct tf_projects *projects); /* NULL is fine */
/* Appends one: `storage` is an oc_storages.id in which '*' stands for any text. */
int tf_projects_add(struct tf_projects *projects, const char *name, const char *owner,
                    const char *storage);
/* The first whose pattern is this id's; of an md5 only when the pattern is that md5. `projects` may
 * be NULL: none. */
bool tf_projects_find(const struct tf_projects *projects, struct ls_str id, bool md5,
                      struct tf_project *ret);

#endif
