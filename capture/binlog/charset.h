/*
 * Character sets of columns, and their way to UTF-8.
 */
#ifndef CAP_CHARSET_H
#define CAP_CHARSET_H

#include <stddef.h>
#include <stdint.h>

enum cap_charset {
    CAP_CHARSET_UNTOLD, /* nobody said */
    CAP_CHARSET_UTF8,   /* utf8mb3, utf8mb4, ascii: as it is */
    CAP_CHARSET_BINARY, /* no text, or text that we take for UTF-8 */
    CAP_CHARSET_LATIN1,
    CAP_CHARSET_OTHER, /* cannot be followed */
};

/* By the number of a collation, as table maps have it. */
enum cap_charset cap_charset_of_collation(uint64_t id);
/* By the name that information_schema has; "" (a column without text) is UNTOLD. */
enum cap_charset cap_charset_of_name(const char *name);

/* `out` has room for 3 * n bytes; returns how many were written. */
size_t cap_latin1_to_utf8(const uint8_t *p, size_t n, char *out);

#endif
