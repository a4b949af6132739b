/*
 * Places in the binlog files: which is first.
 */
#include "capture/source/coords.h"
#include <string.h>

int
cap_coords_cmp(const struct cap_coords *a, const struct cap_coords *b)
{
    size_t la = strlen(a->file), lb = strlen(b->file);
    int r;

    /* numbers are padded with zeros, and one digit more is later */
    if (la != lb)
        return la < lb ? -1 : 1;
    r = strcmp(a->file, b->file);
    if (r)
        return r;
    return a->pos < b->pos ? -1 : a->pos > b->pos;
}
