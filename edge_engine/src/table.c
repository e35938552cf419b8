/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables (core spec 4.4.6). Elements are references of 8 bytes in the owner's arena; a table that outgrows its place
 * gets a larger one, and the old place is lost to the arena, so places grow by half.
 */
#include "compact.h"
#include "reader.h"
#include "runtime.h"

EE_COMPACT

bool ee_table_reserve(struct ee_table_cell *table, uint32_t size)
{
    if (size <= table->capacity)
        return true;
    uint64_t wish = (uint64_t)table->capacity + table->capacity / 2;
    if (table->has_max && wish > table->max)
        wish = table->max;
    uint32_t capacity = wish > size && wish <= UINT32_MAX ? (uint32_t)wish : size;
    struct ee_arena *arena = &table->owner->arena;
    uint64_t *elements = ee_arena_alloc(arena, (size_t)capacity * 8, 8);
    if (elements == NULL && capacity != size) {
        capacity = size;
        elements = ee_arena_alloc(arena, (size_t)capacity * 8, 8);
    }
    if (elements == NULL)
        return false;
    memmove(elements, table->elements, (size_t)table->size * 8);
    table->elements = elements;
    table->capacity = capacity;
    return true;
}

static bool inside(uint64_t at, uint64_t count, uint64_t size) { return at + count <= size; }

enum ee_trap ee_table_get(struct ee_instance *in, uint64_t *operands, uint32_t index)
{
    const struct ee_table_cell *table = in->tables[index];
    uint32_t at = (uint32_t)operands[0];
    if (at >= table->size)
        return EE_TRAP_OOB_TABLE;
    operands[0] = table->elements[at];
    return EE_TRAP_NONE;
}

enum ee_trap ee_table_set(struct ee_instance *in, const uint64_t *operands, uint32_t index)
{
    const struct ee_table_cell *table = in->tables[index];
    uint32_t at = (uint32_t)operands[0];
    if (at >= table->size)
        return EE_TRAP_OOB_TABLE;
    table->elements[at] = operands[1];
    return EE_TRAP_NONE;
}

uint32_t ee_table_grow(struct ee_instance *in, const uint64_t *operands, uint32_t index)
{
    struct ee_table_cell *table = in->tables[index];
    uint32_t before = table->size;
    uint64_t after = (uint64_t)before + (uint32_t)operands[1];
    bool moves = after > table->capacity;
    if (after > table->max || !ee_table_reserve(table, (uint32_t)after))
        return UINT32_MAX;
    if (!ee_charge(in, moves ? after : after - before))
        return UINT32_MAX; /* the next check traps */
    for (uint32_t i = before; i < after; i++)
        table->elements[i] = operands[0];
    table->size = (uint32_t)after;
    return before;
}

enum ee_trap ee_table_fill(struct ee_instance *in, const uint64_t *operands, uint32_t index)
{
    const struct ee_table_cell *table = in->tables[index];
    uint64_t to = (uint32_t)operands[0], count = (uint32_t)operands[2];
    if (!inside(to, count, table->size))
        return EE_TRAP_OOB_TABLE;
    if (!ee_charge(in, count))
        return EE_TRAP_FUEL_EXHAUSTED;
    for (uint64_t i = 0; i < count; i++)
        table->elements[to + i] = operands[1];
    return EE_TRAP_NONE;
}

enum ee_trap ee_table_copy(struct ee_instance *in, const uint64_t *operands, uint32_t to_table, uint32_t from_table)
{
    const struct ee_table_cell *target = in->tables[to_table], *source = in->tables[from_table];
    uint64_t to = (uint32_t)operands[0], from = (uint32_t)operands[1], count = (uint32_t)operands[2];
    if (!inside(to, count, target->size) || !inside(from, count, source->size))
        return EE_TRAP_OOB_TABLE;
    if (!ee_charge(in, count))
        return EE_TRAP_FUEL_EXHAUSTED;
    if (count != 0)
        memmove(target->elements + to, source->elements + from, count * 8);
    return EE_TRAP_NONE;
}

/* Element segments are read from where they lie: items before `from` are passed over. */
enum ee_trap ee_table_init(struct ee_instance *in, const uint64_t *operands, uint32_t segment, uint32_t index)
{
    const struct ee_table_cell *table = in->tables[index];
    const struct ee_element_segment *element = &in->module->elements[segment];
    uint64_t to = (uint32_t)operands[0], from = (uint32_t)operands[1], count = (uint32_t)operands[2];
    uint64_t size = in->element_dropped[segment] ? 0 : element->count;
    if (!inside(from, count, size) || !inside(to, count, table->size))
        return EE_TRAP_OOB_TABLE;
    if (!ee_charge(in, from + count))
        return EE_TRAP_FUEL_EXHAUSTED;
    struct ee_reader r = {.p = ee_at(in->module, element->items.begin), .end = ee_at(in->module, element->items.end)};
    for (uint64_t i = 0; i < from + count; i++) {
        uint64_t value[2];
        if (element->is_expressions) {
            if (!ee_constant_item(in, &r, value))
                return EE_TRAP_NO_MEMORY;
        } else {
            uint32_t function;
            if (!ee_read_u32(&r, &function))
                return EE_TRAP_NO_MEMORY;
            value[0] = (uint64_t)(uintptr_t)ee_reference(in, function);
        }
        if (i >= from)
            table->elements[to + i - from] = value[0];
    }
    return EE_TRAP_NONE;
}

EE_COMPACT_END
