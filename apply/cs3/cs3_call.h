/*
 * What the parts of cs3 share: one call with its token, its status, its metrics.
 */
#ifndef AP_CS3_CALL_H
#define AP_CS3_CALL_H

#include "apply/cs3/cs3.h"
#include "cs3/storage.pb-c.h"
#include <protobuf-c/protobuf-c.h>

enum cs3_service { CS3_AT_GATEWAY, CS3_AT_PROVIDER, CS3_AT_PROVIDER_SPACES, CS3_AT_SHARING };

/*
 * One call: packs `req`, signs in as `as` (NULL: no token), renews a refused token once, unpacks
 * a reply of type `type` (NULL: only its status counts) and turns its status into err.
 * *ret (may be NULL with type NULL) is freed with protobuf_c_message_free_unpacked(ret, NULL).
 */
int cs3_call(struct cs3_client *client, enum cs3_service service, const char *method,
             const char *as, const ProtobufCMessage *req, const ProtobufCMessageDescriptor *type,
             ProtobufCMessage **ret, struct ls_err *err);

/* Who `as` is, for requests that name a user whole. */
struct cs3_user {
    char id[AP_ID_SIZE], idp[256];
};
int cs3_user_of(struct cs3_client *client, const char *as, struct cs3_user *ret,
                struct ls_err *err);

/* A reference on the stack; `path` holds "./name". */
struct cs3_ref {
    Cs3__Reference ref;
    Cs3__ResourceId id;
    char path[4200];
};
int cs3_ref_fill(struct cs3_ref *ref, const struct cs3_place *place, struct ls_err *err);

/* protobuf-c's requests have no const, but packing only reads them. */
static inline char *
cs3_borrow(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {s};

    return u.out;
}

/* "" for NULL: fields of a reply that are not there. */
static inline const char *
cs3_text(const char *s)
{
    return s ? s : "";
}

void cs3_permissions_fill(Cs3__ResourcePermissions *out, int64_t permissions);
int64_t cs3_permissions_of(const Cs3__ResourcePermissions *permissions);
void cs3_info_of(const Cs3__ResourceInfo *in, struct cs3_info *out);

#endif
