/*
 * The types behind records.h, for common/ and its tests.
 */
#ifndef LS_RECORDS_PARTS_H
#define LS_RECORDS_PARTS_H

#include "common/fields.h"
#include "common/records.h"

struct cs3_type {
    struct rec_type rec;
};

/* The head of the envelopes of a table; before, after and their bitmaps stand apart. */
const struct rec_type *envelope_type(enum ls_table_id id);

#endif
