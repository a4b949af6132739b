/*
 * Old contents of a node: which there are, and one made the content again.
 *
 * oCIS names a revision by the time of what was written over, to the nanosecond; it lists its size
 * and the seconds, and no checksum. ownCloud has one version of a file and second at most, so
 * second and size tell one from the others. Who asks is the owner of the space: nobody else may.
 *
 * What can go wrong: restoring takes the revision out of the list and gives the content the
 * server's time, so who was cut off between that and the right time finds no revision, but its
 * content; of two revisions of one second and size the wrong one may be taken, which its checksum
 * shows afterwards.
 */
#include "apply/ocis/ocis_api.h"
#include <stdio.h>
#include <string.h>

struct search {
    int64_t mtime, size;
    bool found;
    char key[256];
};

static int64_t
in_range(int64_t mtime)
{
    return mtime > CS3_MTIME_MAX ? CS3_MTIME_MAX : mtime < CS3_MTIME_MIN ? CS3_MTIME_MIN : mtime;
}

static int
compare(void *arg, const struct cs3_version_info *version)
{
    struct search *s = arg;

    s->found = version->mtime == s->mtime && (s->size < 0 || version->size == s->size) &&
               strlen(version->key) < sizeof(s->key);
    if (s->found)
        snprintf(s->key, sizeof(s->key), "%s", version->key);
    return s->found;
}

/* A walk that `compare` ended has found it; that is no error. */
static int
search(struct ap_writer *w, const struct ap_space *space, const char *node_id, struct search *s,
       struct ls_err *err)
{
    struct cs3_place node = cs3_place_of(space, node_id, NULL);

    return cs3_list_versions(ap_ocis_of(w)->cs3, space->owner, &node, compare, s, err) < 0 ? -1 : 0;
}

int
ap_ocis_revision_find(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                      int64_t mtime, int64_t size, bool *ret, struct ls_err *err)
{
    struct search s = {.mtime = in_range(mtime), .size = size};

    if (search(w, space, node_id, &s, err) < 0)
        return -1;
    *ret = s.found;
    return 0;
}

static bool
may_be(const char *want, const char *is)
{
    return !want[0] || !is[0] || strcmp(want, is) == 0;
}

static int
look(struct ap_writer *w, const struct ap_space *space, const char *node_id, struct cs3_info *ret,
     struct ls_err *err)
{
    int there = ap_look(ap_ocis_of(w), space, node_id, NULL, ret, err);

    if (there == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "gone", "the node is not there");
    if (there > 0 && ret->processing)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_TOO_EARLY, "busy",
                             "the target still processes an upload to this node");
    return there < 0 ? -1 : 0;
}

int
ap_ocis_revision_restore(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                         int64_t mtime, uint32_t mtime_ns, int64_t size, const char *sha1,
                         const char *sha1_now, bool *ret_done, struct ap_node *ret,
                         struct ls_err *err)
{
    struct cs3_client *cs3 = ap_ocis_of(w)->cs3;
    struct cs3_place node = cs3_place_of(space, node_id, NULL);
    struct search s = {.mtime = in_range(mtime), .size = size};
    struct cs3_info info;
    struct ls_err why = {0};

    *ret_done = false;
    if (search(w, space, node_id, &s, err) < 0 || look(w, space, node_id, &info, err) < 0)
        return -1;
    if (s.found) {
        if (!may_be(sha1_now, info.sha1))
            return 0; /* somebody was here: the upload's own look decides */
        if (cs3_restore_version(cs3, space->owner, &node, s.key, &why) < 0) {
            if (why.kind == LS_ERR_POISON) /* it may not: then it is uploaded */
                return 0;
            if (err)
                *err = why;
            return ap_unknown(err);
        }
    } else if (!sha1[0] || strcmp(sha1, info.sha1) != 0) {
        return 0;
    }
    if (cs3_set_mtime(cs3, space->owner, &node, mtime, mtime_ns, err) < 0 ||
        look(w, space, node_id, &info, err) < 0)
        return ap_unknown(err);
    if (!may_be(sha1, info.sha1) || (size >= 0 && size != info.size))
        return 0;
    ap_node_fill(ret, &info);
    *ret_done = true;
    return 0;
}
