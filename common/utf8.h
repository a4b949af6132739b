/*
 * UTF-8 as untrusted input, and its way into JSON text.
 */
#ifndef LS_UTF8_H
#define LS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed sequence at `s` (1 to 4); 0 when there is none. Overlong forms,
 * surrogates and what is above U+10FFFF are not well-formed. */
size_t ls_utf8_len(const char *s, size_t n);
bool ls_utf8_valid(const char *s, size_t n);

/* Takes one character from *s (n bytes are left, n > 0) and writes it into `out` as it stands
 * inside a JSON string, U+FFFD for a byte that is no UTF-8; returns the bytes written. */
#define LS_JSON_PIECE 8
size_t ls_json_piece(const char **s, size_t *n, char out[LS_JSON_PIECE]);

#endif
