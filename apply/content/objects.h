/*
 * ownCloud's primary object storage: one S3 bucket, with an object for each file (files_primary_s3
 * calls it urn:oid:<fileid>), read piece by piece.
 *
 * Requests are signed (AWS signature version 4). Thread-safe: an open object belongs to one thread,
 * the bucket to all.
 *
 * Errors, all RETRY:
 *   "content-missing"     no such object
 *   "content-unreadable"  this object cannot be read though the bucket answers
 *   "content-changed"     another content took its place while it was read
 *   "bucket-down"         no connection, no answer, 5xx: trouble of all objects
 *   "bucket-slow"         503, 429; code = ms or 0
 *   "bucket-refused"      keys, region, name, clock or certificate are not right
 */
#ifndef AP_OBJECTS_H
#define AP_OBJECTS_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ap_objects;
/* By [data] s3_*; *ret is NULL when no endpoint is set. FATAL "option": one is wrong or missing. */
int ap_objects_new(const struct ls_config *config, struct ap_objects **ret, struct ls_err *err);
void ap_objects_free(struct ap_objects *objects); /* NULL is fine */
/* Does the bucket answer us? It is asked for a list of one object. */
int ap_objects_check(struct ap_objects *objects, struct ls_err *err);
/* Are the files of this storage objects? `id` is that of oc_storages: "object::user:<uid>", or the
 * md5 of a long one. */
bool ap_objects_hold(const char *id, const char *uid);
/* An error of the bucket, not of one object. */
bool ap_is_bucket_cause(const char *cause);

struct ap_object;
/* Returns when the object's size is known. */
int ap_object_open(struct ap_objects *objects, int64_t fileid, struct ap_object **ret,
                   struct ls_err *err);
int64_t ap_object_size(const struct ap_object *object);
/* 1 to n bytes, 0 at the end. A connection that breaks is followed by another one, which goes on
 * where it broke, with the same content only. */
ssize_t ap_object_read(struct ap_object *object, void *p, size_t n, struct ls_err *err);
void ap_object_close(struct ap_object *object); /* NULL is fine */

#endif
