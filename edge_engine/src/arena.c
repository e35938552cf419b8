/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocation in the arena; contract in arena.h. */
#include "compact.h"
#include "arena.h"

#include "bytes.h"

EE_COMPACT

void ee_arena_init(struct ee_arena *arena, void *base, size_t limit)
{
    *arena = (struct ee_arena){.base = base, .limit = limit};
}

void *ee_arena_alloc(struct ee_arena *arena, size_t size, size_t align)
{
    uintptr_t next = (uintptr_t)arena->base + arena->used;
    size_t padding = (size_t)(-next & (align - 1));
    size_t room = arena->limit - arena->used;
    if (padding > room || size > room - padding) {
        size_t most = SIZE_MAX - arena->used - padding;
        arena->wanted = size > most ? SIZE_MAX : arena->used + padding + size;
        return NULL;
    }
    void *result = arena->base + arena->used + padding;
    arena->used += padding + size;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return result;
}

void *ee_arena_array(struct ee_arena *arena, size_t count, size_t size, size_t align)
{
    if (size != 0 && count > SIZE_MAX / size) {
        arena->wanted = SIZE_MAX;
        return NULL;
    }
    void *result = ee_arena_alloc(arena, count * size, align);
    if (result != NULL)
        memset(result, 0, count * size);
    return result;
}

bool ee_arena_set_limit(struct ee_arena *arena, size_t limit)
{
    if (limit < arena->used)
        return false;
    arena->limit = limit;
    return true;
}

EE_COMPACT_END
