/*
 * Where things are in the two trees: the class of a row, the top of a trashed node; and names of
 * trash items, and the times that tell contents apart. No I/O.
 *
 * A row's place is its parents and names, never its path. Only a child of a home's ROOT row is
 * special by its name: the row of `files` may move into another home and is an ordinary folder
 * there. Chains that end nowhere, in a ring or in a file are answers, not errors: a scan that finds
 * a file where a folder was turns that folder's row into the file's, and leaves the rows below it.
 */
#include "apply/plan/converge.h"
#include <stdio.h>
#include <string.h>

/* ---- names and times */

int64_t
ap_trash_name(const char *name, char *base, size_t size)
{
    const char *dot = strrchr(name, '.');
    int64_t t = 0;

    if (!dot || dot == name || dot[1] != 'd' || !dot[2] || strlen(dot) > 16)
        return 0;
    for (const char *p = dot + 2; *p; p++) {
        if (*p < '0' || *p > '9')
            return 0;
        t = t * 10 + (*p - '0');
    }
    if (base)
        snprintf(base, size, "%.*s", (int)(dot - name), name);
    return t;
}

uint32_t
ap_mtime_ns(const char *etag, const char *sha1)
{
    uint64_t h = 14695981039346656037ULL;

    for (const char *p = *etag ? etag : sha1; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211ULL;
    h ^= h >> 29;
    return (uint32_t)(100000000 + h % 900000000);
}

/* ---- the desired tree */

void
ap_place_find(const struct ap_view *view, const struct ap_desired *row, struct ap_place *ret)
{
    /* the three rows nearest to the root, as the walk goes up: chain[0] is the root's child */
    struct {
        int64_t id;
        char name[24];
    } near[3] = {{0}}, now;
    struct ap_desired up;
    int64_t parent = row->parent, depth = 0;

    *ret = (struct ap_place){.storage = row->storage};
    now.id = row->fileid;
    snprintf(now.name, sizeof(now.name), "%.23s", row->name);
    while (parent != -1) {
        memmove(&near[1], &near[0], 2 * sizeof(near[0]));
        memcpy(&near[0], &now, sizeof(now));
        depth++;
        if (depth > AP_MAX_DEPTH || parent == row->fileid) {
            ret->class = AP_CLASS_LOOP;
            return;
        }
        if (!view->desired(view->arg, parent, &up) || up.deleted || !up.folder) {
            ret->class = AP_CLASS_ORPHAN;
            ret->broken = parent;
            if (view->desired(view->arg, parent, &up) && up.deleted && up.moved_to != LS_NO_STORAGE)
                ret->class = AP_CLASS_MOVING;
            return;
        }
        ret->storage = up.storage;
        now.id = up.fileid;
        snprintf(now.name, sizeof(now.name), "%.23s", up.name);
        parent = up.parent;
    }
    if (depth == 0) {
        ret->class = AP_CLASS_FIXED;
    } else if (strcmp(near[0].name, "files") == 0) {
        ret->class = depth == 1 ? AP_CLASS_FIXED : AP_CLASS_LIVE;
        ret->files = near[0].id;
    } else if (strcmp(near[0].name, "files_versions") == 0) {
        ret->class = AP_CLASS_VERSION;
    } else if (strcmp(near[0].name, "files_trashbin") != 0) {
        ret->class = AP_CLASS_OTHER;
    } else if (depth == 1 || strcmp(near[1].name, "files") == 0) {
        ret->class = depth <= 2 ? AP_CLASS_FIXED : AP_CLASS_TRASH;
        ret->top = near[2].id;
    } else {
        ret->class = strcmp(near[1].name, "versions") == 0 ? AP_CLASS_VERSION : AP_CLASS_OTHER;
    }
}

/* ---- the applied tree */

int64_t
ap_applied_top(const struct ap_view *view, const struct ap_applied *node, char *relative,
               size_t size)
{
    struct ap_applied up = *node;
    size_t at = size - 1;

    relative[at] = '\0';
    for (int depth = 0; depth < AP_MAX_DEPTH; depth++) {
        if (up.parent == AP_ROOT)
            return AP_ROOT;
        if (up.parent == AP_TRASHED) {
            memmove(relative, relative + at, size - at);
            return up.id;
        }
        size_t n = strlen(up.name);
        if (n + 1 > at)
            return AP_BROKEN;
        if (relative[at])
            relative[--at] = '/';
        at -= n;
        memcpy(relative + at, up.name, n);
        if (!view->node(view->arg, up.parent, &up))
            return AP_BROKEN;
    }
    return AP_BROKEN;
}
