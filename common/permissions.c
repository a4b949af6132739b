/*
 * oC10's permission bits as CS3 permissions.
 *
 * Bit by bit, never the nearest role; where the bits are those of a role of oCIS the result is
 * exactly that role's set, because oCIS reads roles back from the sets. Resharing (16) has no
 * counterpart: oCIS 7 lets only who manages a space share on.
 *
 * What can go wrong: granting more than was given. So a file never gets create or delete, purging
 * the trash is in no set, and who may look but not download (secure view) gets nothing that would
 * bring him the content: reading alone is then oCIS's role "secure viewer".
 */
#include "common/records.h"

enum { OC_READ = 1, OC_UPDATE = 2, OC_CREATE = 4, OC_DELETE = 8 };

#define SECURE_READ (CS3_PERM_STAT | CS3_PERM_GET_PATH | CS3_PERM_LIST_CONTAINER)
#define DOWNLOAD (CS3_PERM_GET_QUOTA | CS3_PERM_INITIATE_FILE_DOWNLOAD | CS3_PERM_LIST_RECYCLE)

/* What each set of bits adds; all bits of a row must be there. */
static const struct {
    int64_t bits;
    bool folders_only;
    int64_t adds;
} permissions[] = {
    {OC_READ, false, SECURE_READ | DOWNLOAD},
    {OC_UPDATE, false, CS3_PERM_INITIATE_FILE_UPLOAD | CS3_PERM_RESTORE_RECYCLE_ITEM},
    {OC_CREATE, true,
     CS3_PERM_STAT | CS3_PERM_GET_PATH | CS3_PERM_CREATE_CONTAINER | CS3_PERM_INITIATE_FILE_UPLOAD},
    {OC_DELETE, true, CS3_PERM_DELETE},
    /* A rename takes something away here and makes it there. */
    {OC_UPDATE | OC_CREATE | OC_DELETE, true, CS3_PERM_MOVE},
};

int64_t
cs3_permissions(int64_t bits, bool folder, bool download)
{
    int64_t ret = 0;

    for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
        if ((bits & permissions[i].bits) == permissions[i].bits &&
            (folder || !permissions[i].folders_only))
            ret |= permissions[i].adds;
    }
    return download ? ret : ret & ~(int64_t)DOWNLOAD;
}
