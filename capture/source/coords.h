/*
 * A place in the binlog files of one server.
 */
#ifndef CAP_COORDS_H
#define CAP_COORDS_H

#include <stdint.h>

struct cap_coords {
    char file[512]; /* "" not known yet */
    uint64_t pos;
};
/* <0, 0, >0; by the number at the end of the file names, then by position. */
int cap_coords_cmp(const struct cap_coords *a, const struct cap_coords *b);

#endif
