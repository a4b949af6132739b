/*
 * Memory of one batch: allocated piece by piece, given back at once.
 */
#ifndef LS_ARENA_H
#define LS_ARENA_H

#include <stddef.h>

struct ls_arena;

/* `cap` bytes is the most the arena will ever hold. NULL when memory is out. */
struct ls_arena *ls_arena_new(size_t cap);
void ls_arena_free(struct ls_arena *arena); /* NULL is fine */

/* Zeroed, aligned for any type; NULL beyond the cap. Lives until the reset. */
void *ls_arena_alloc(struct ls_arena *arena, size_t size);
/* Copies `len` bytes and adds a NUL. NULL beyond the cap. */
char *ls_arena_strndup(struct ls_arena *arena, const char *s, size_t len);
char *ls_arena_printf(struct ls_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Everything allocated so far is gone; blocks are kept for the next batch. */
void ls_arena_reset(struct ls_arena *arena);
size_t ls_arena_used(const struct ls_arena *arena);

#endif
