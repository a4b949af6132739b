/*
 * uthash's macros as cppcheck can follow them: what they assign, not how. It is not given the
 * system's headers, and takes the real HASH_ITER for a use of what was never set.
 */
#define UT_hash_handle void *
#define HASH_ITER(hh, head, el, tmp) for ((el) = (head), (tmp) = 0; (el); (el) = (tmp))
#define HASH_FIND(hh, head, key, n, out) ((out) = found((head), (key), (n)))
#define HASH_FIND_STR(head, key, out) ((out) = found((head), (key), 0))
#define HASH_FIND_PTR(head, key, out) ((out) = found((head), (key), 0))
#define HASH_FIND_INT(head, key, out) ((out) = found((head), (key), 0))
#define HASH_ADD(hh, head, field, n, add) ((head) = added((head), (add)))
#define HASH_ADD_KEYPTR(hh, head, key, n, add) ((head) = added((head), (add)))
#define HASH_ADD_STR(head, field, add) ((head) = added((head), (add)))
#define HASH_DELETE(hh, head, el) removed((head), (el))
#define HASH_DEL(head, el) removed((head), (el))
#define HASH_CLEAR(hh, head) ((head) = 0)
#define HASH_COUNT(head) counted(head)
#define HASH_SORT(head, cmp) sorted((head), (cmp))
