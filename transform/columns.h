/*
 * What happens to each column of ownCloud 10: one table, from which docs/columns.md is printed.
 *
 * It names every column of the watched tables (common/tables.c) and those beside them that are left
 * at the source. Unit tests hold it against common/tables.c, against the schemas of the records and
 * against ownCloud's own tables.
 */
#ifndef TF_COLUMNS_H
#define TF_COLUMNS_H

#include <stdio.h>

/* What becomes of a value in oCIS, by the writer that apply uses. */
enum tf_fate {
    TF_KEEP,        /* is the same in oCIS */
    TF_APPROXIMATE, /* as near as this writer can; the note says how */
    TF_LOSE,        /* is in the record, but this writer has no place for it */
    TF_NOT_CARRIED, /* in no record */
    TF_FATES
};
extern const char *const tf_fate_names[TF_FATES];

struct tf_column {
    const char *table;  /* without prefix: "filecache" */
    const char *column; /* "fileid" */
    const char *record; /* "resource": schemas/cs3/resource.avsc; NULL: in no record */
    const char *fields; /* "storage moved_from": what of it comes from this column; NULL: none */
    enum tf_fate api;   /* with the writer ocis-api */
    enum tf_fate store; /* ... ocis-store */
    const char *note;   /* "" where there is nothing to say */
};
extern const struct tf_column tf_columns[]; /* table by table; ends with table NULL */

/* The page docs/columns.md. */
void tf_columns_print(FILE *out);

#endif
