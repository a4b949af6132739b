/*
 * The content of a file, read from ownCloud's data directory or from its bucket (objects.h), and
 * checked while it is read.
 *
 * A path is a home folder and a relative path below it; it is opened with openat2,
 * RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, and must be a regular file. The row's checksums are
 * computed on the way; the last piece is handed out only after they agree, so that a mismatch
 * cuts the upload off before the target has all of it. Without a checksum in the row, size and
 * mtime before and after must agree with each other and with the row's; but a row's mtime that a
 * file system or an archive may have clamped (before 1970, after 2038-01-19) is not compared. Of an
 * object without a checksum only the size is: its time is when it was written, not the row's.
 */
#ifndef AP_BLOBS_H
#define AP_BLOBS_H

#include "apply/content/objects.h"
#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ap_blob_want {
    const char *home;                 /* absolute, already mapped: /srv/oc10/data/alice */
    const char *relative;             /* files/Photos/a.jpg, files_trashbin/files/a.jpg.d17... */
    int64_t size;                     /* of the row; -1 unknown */
    int64_t mtime;                    /* of the row; INT64_MIN unknown */
    const char *sha1, *md5, *adler32; /* lower-case hex; NULL: the row has none */
    struct ap_objects *objects;       /* NULL: it is a file; else `object` instead of a path */
    int64_t object;                   /* the row's fileid */
    bool anew; /* the same bytes with another time are another content, and uploaded once more */
};

struct ap_blob;
/* RETRY content-missing (with code EISDIR: a folder is in its place) / content-mismatch (size,
 * mtime) / content-unreadable / content-away (the whole data directory, or nothing can be opened
 * now); POISON outside-home / not-a-file; of an object also RETRY bucket-*. */
int ap_blob_open(const struct ap_blob_want *want, struct ap_blob **ret, struct ls_err *err);
int64_t ap_blob_size(const struct ap_blob *blob);
/* Up to n bytes; 0 at the end; -1 with RETRY content-mismatch / content-changed /
 * content-unreadable / content-away / bucket-*. */
ssize_t ap_blob_read(struct ap_blob *blob, void *p, size_t n, struct ls_err *err);
/* After the last read: the SHA1 of all that was read, lower-case hex. */
const char *ap_blob_sha1(const struct ap_blob *blob);
void ap_blob_close(struct ap_blob *blob); /* NULL is fine */
/* It says nothing of the file, however often it is said. */
bool ap_content_is_away(const char *cause);

/* oc_accounts.home -> the local folder, by the longest matching prefix of [map]; unchanged when
 * none matches. Empty home: [data] root + "/" + uid. FATAL data when neither is there. */
int ap_home_map(const struct ls_config *config, const char *home, const char *uid, char *out,
                size_t size, struct ls_err *err);

#endif
