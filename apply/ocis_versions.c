/*
 * Old contents of a node, as the target lists them.
 *
 * oCIS names a revision by the time of what was written over, to the nanosecond; it lists its size
 * and the seconds, and no checksum. ownCloud has one version of a file and second at most, so
 * second and size tell one from the others. Who asks is the owner of the space: nobody else may.
 */
#include "apply/ocis_api.h"

struct search {
    int64_t mtime, size;
    bool found;
};

static int
compare(void *arg, const struct cs3_version_info *version)
{
    struct search *s = arg;

    s->found = version->mtime == s->mtime && (s->size < 0 || version->size == s->size);
    return s->found;
}

int
ap_ocis_revision_find(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                      int64_t mtime, int64_t size, bool *ret, struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(space, node_id, NULL);
    struct search search = {mtime > CS3_MTIME_MAX   ? CS3_MTIME_MAX
                            : mtime < CS3_MTIME_MIN ? CS3_MTIME_MIN
                                                    : mtime,
                            size, false};

    if (cs3_list_versions(ap_ocis_of(w)->cs3, space->owner, &node, compare, &search, err) < 0)
        return -1;
    *ret = search.found;
    return 0;
}
