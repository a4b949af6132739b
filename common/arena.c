/*
 * An arena: a chain of blocks, filled from the front, emptied at once.
 *
 * The cap counts the blocks, not the pieces in them, so it bounds what the
 * process really holds. Blocks stay after a reset; one that is too small for a
 * large piece would then use up the cap for nothing, so before giving up the
 * unused blocks behind the current one are freed. A piece that does not fit
 * returns NULL, never a smaller one.
 */
#include "common/arena.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
};

struct ls_arena {
    struct block *first, *current;
    size_t cap, held, used;
};

struct ls_arena *
ls_arena_new(size_t cap)
{
    struct ls_arena *arena = calloc(1, sizeof(*arena));

    if (arena)
        arena->cap = cap;
    return arena;
}

static void
blocks_free(struct ls_arena *arena, struct block *b)
{
    while (b) {
        struct block *next = b->next;

        arena->held -= b->size;
        free(b);
        b = next;
    }
}

void
ls_arena_free(struct ls_arena *arena)
{
    if (!arena)
        return;
    blocks_free(arena, arena->first);
    free(arena);
}

/* Links a new block that holds `size` behind the current one. */
static struct block *
block_add(struct ls_arena *arena, size_t size)
{
    size_t want = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct block *b;

    if (want > arena->cap - arena->held) {
        struct block **rest = arena->current ? &arena->current->next : &arena->first;

        blocks_free(arena, *rest);
        *rest = NULL;
        if (want > arena->cap - arena->held)
            want = arena->cap - arena->held;
        if (want < size)
            return NULL;
    }
    b = malloc(sizeof(*b) + want);
    if (!b)
        return NULL;
    b->size = want;
    b->used = 0;
    if (arena->current) {
        b->next = arena->current->next;
        arena->current->next = b;
    } else {
        b->next = arena->first;
        arena->first = b;
    }
    arena->held += want;
    return b;
}

static void *
take(struct ls_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct block *b;
    void *p;

    if (size > arena->cap || size > SIZE_MAX - align)
        return NULL;
    size = (size + align - 1) / align * align;
    if (size == 0)
        size = align; /* two pieces never share an address */
    b = arena->current;
    if (!b || b->size - b->used < size) {
        b = b ? b->next : arena->first;
        if (!b || b->size < size)
            b = block_add(arena, size);
        if (!b)
            return NULL;
        b->used = 0;
        arena->current = b;
    }
    p = b->bytes + b->used;
    b->used += size;
    arena->used += size;
    return p;
}

void *
ls_arena_alloc(struct ls_arena *arena, size_t size)
{
    void *p = take(arena, size);

    if (p)
        memset(p, 0, size);
    return p;
}

char *
ls_arena_strndup(struct ls_arena *arena, const char *s, size_t len)
{
    char *p = len < SIZE_MAX ? take(arena, len + 1) : NULL;

    if (!p)
        return NULL;
    if (len)
        memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *
ls_arena_printf(struct ls_arena *arena, const char *fmt, ...)
{
    va_list ap;
    char *p = NULL;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0)
        p = take(arena, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void
ls_arena_reset(struct ls_arena *arena)
{
    arena->current = NULL;
    arena->used = 0;
}

size_t
ls_arena_used(const struct ls_arena *arena)
{
    return arena->used;
}
