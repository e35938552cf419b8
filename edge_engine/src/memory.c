/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear memory (core spec 4.4.7): growing and the bulk instructions.
 *
 * Memory ends at its owner's arena's end; growing moves the contents and the base down into the arena's free part.
 * Bulk instructions check their whole range before they write (core spec 4.4.7.10 ff.), with 64-bit arithmetic.
 */
#include "compact.h"
#include "runtime.h"

EE_COMPACT

bool ee_charge(struct ee_instance *in, uint64_t units)
{
    if (!in->metered)
        return true;
    in->fuel -= (int64_t)(units / 16 + 1);
    return in->fuel >= 0;
}

/*
 * What growing leaves for functions that were not called yet: their translation, about twice their size, and scratch
 * memory; but never more than an eighth of the arena. A program that takes all the memory it can get still runs.
 */
static uint64_t reserve(const struct ee_instance *owner)
{
    const struct ee_module *m = owner->module;
    uint64_t scratch = 8192 + (uint64_t)m->max_local_slots * 8 + (uint64_t)m->max_stack_slots * 16;
    uint64_t wish = owner->untranslated == 0 ? 0 : (uint64_t)owner->untranslated * 9 / 4 + scratch;
    uint64_t most = owner->arena_size / 8;
    return wish < most ? wish : most;
}

uint32_t ee_memory_grow(struct ee_instance *in, uint32_t pages)
{
    struct ee_memory_cell *memory = in->memory;
    uint32_t before = memory->pages;
    uint64_t after = (uint64_t)before + pages;
    struct ee_instance *owner = memory->owner;
    uint64_t size = after << memory->page_shift;
    if (after > memory->max || (owner->max_pages != 0 && size > (uint64_t)owner->max_pages * EE_PAGE_SIZE))
        return UINT32_MAX;
    if (pages == 0)
        return before;
    uint64_t room = owner->arena_size - owner->arena.used, kept = reserve(owner);
    if (kept > room || size > room - kept || !ee_charge(in, size))
        return UINT32_MAX; /* without fuel the next check traps */
    if (!ee_arena_set_limit(&owner->arena, owner->arena_size - (size_t)size))
        return UINT32_MAX;
    uint8_t *base = ee_arena_end(owner) - size;
    memmove(base, memory->base, memory->size);
    memset(base + memory->size, 0, size - memory->size);
    memory->base = base;
    memory->size = size;
    memory->pages = (uint32_t)after;
    return before;
}

static bool inside(uint64_t at, uint64_t count, uint64_t size) { return at + count <= size; }

enum ee_trap ee_memory_copy(struct ee_instance *in, const uint64_t *operands)
{
    uint64_t to = (uint32_t)operands[0], from = (uint32_t)operands[1], count = (uint32_t)operands[2];
    if (!inside(to, count, in->memory->size) || !inside(from, count, in->memory->size))
        return EE_TRAP_OOB_MEMORY;
    if (!ee_charge(in, count))
        return EE_TRAP_FUEL_EXHAUSTED;
    memmove(in->memory->base + to, in->memory->base + from, count);
    return EE_TRAP_NONE;
}

enum ee_trap ee_memory_fill(struct ee_instance *in, const uint64_t *operands)
{
    uint64_t to = (uint32_t)operands[0], count = (uint32_t)operands[2];
    if (!inside(to, count, in->memory->size))
        return EE_TRAP_OOB_MEMORY;
    if (!ee_charge(in, count))
        return EE_TRAP_FUEL_EXHAUSTED;
    memset(in->memory->base + to, (int)(operands[1] & 0xff), count);
    return EE_TRAP_NONE;
}

enum ee_trap ee_memory_init(struct ee_instance *in, const uint64_t *operands, uint32_t segment)
{
    const struct ee_data_segment *data = &in->module->data[segment];
    uint64_t to = (uint32_t)operands[0], from = (uint32_t)operands[1], count = (uint32_t)operands[2];
    uint64_t size = in->data_dropped[segment] ? 0 : data->bytes.end - data->bytes.begin;
    if (!inside(from, count, size) || !inside(to, count, in->memory->size))
        return EE_TRAP_OOB_MEMORY;
    if (!ee_charge(in, count))
        return EE_TRAP_FUEL_EXHAUSTED;
    memmove(in->memory->base + to, ee_at(in->module, data->bytes.begin) + from, count);
    return EE_TRAP_NONE;
}

EE_COMPACT_END
