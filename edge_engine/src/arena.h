/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bookkeeping half of an instance's arena: a bump allocator that grows up from the bottom.
 *
 * Contract: the arena's memory belongs to the caller of ee_load. Allocations are never freed one by one; scratch memory
 * is given back by releasing to a mark taken before. The limit is where linear memory begins (or the arena's end).
 * Does not clear memory. Not thread-safe: one thread per instance.
 */
#pragma once

#include "../include/edge_engine.h"

struct ee_arena {
    uint8_t *base;
    size_t used;  /* bytes from base */
    size_t peak;  /* high-water mark of used, bytes */
    size_t limit; /* bytes from base that allocation may reach */
    size_t wanted; /* bytes from base that the last refused allocation would have reached; 0: none was refused */
};

void ee_arena_init(struct ee_arena *arena, void *base, size_t limit);

/* size bytes aligned to align (a power of two, <= 4096), uninitialised; NULL if they don't fit. size 0: a valid address. */
EE_MUST_CHECK void *ee_arena_alloc(struct ee_arena *arena, size_t size, size_t align);

/* count elements of size bytes each, zeroed; NULL if they don't fit or the product overflows. */
EE_MUST_CHECK void *ee_arena_array(struct ee_arena *arena, size_t count, size_t size, size_t align);

/* As ee_arena_array for a type. */
#define EE_ARENA_NEW(arena, count, type) ((type *)ee_arena_array((arena), (count), sizeof(type), _Alignof(type)))

/* Moves the limit; false (and no change) if what is in use reaches beyond it. */
EE_MUST_CHECK bool ee_arena_set_limit(struct ee_arena *arena, size_t limit);

static inline size_t ee_arena_mark(const struct ee_arena *arena) { return arena->used; }
static inline void ee_arena_release(struct ee_arena *arena, size_t mark) { arena->used = mark; }
