/* SPDX-License-Identifier: Apache-2.0 */
/* Making an instance out of a module's bytes: ee_load and ee_start; the layout stands in runtime.h. */
#include "compact.h"
#include "error.h"
#include "handlers.h"
#include "operations.h"

EE_COMPACT

/* Where handlers begin, and the two stubs (EE_EXIT_CODE, EE_LAZY_CODE); false: handler words cannot reach them all. */
static bool place_handlers(struct ee_instance *in)
{
    uintptr_t low = (uintptr_t)EE_FIRST_HANDLER, high = (uintptr_t)EE_LAST_HANDLER;
#if defined(EE_HANDLERS_APART)
    for (uint32_t i = 0; i < EE_HANDLER_COUNT; i++) {
        uintptr_t at = ee_handler_address(i);
        low = at < low ? at : low;
        high = at > high ? at : high;
    }
#endif
    in->handlers = (const uint8_t *)low;
    uint16_t exit = ee_handler_word(in, EE_DO_exit), lazy = ee_handler_word(in, EE_DO_lazy);
    memcpy(in->stubs + EE_EXIT_CODE, &exit, EE_HANDLER_BYTES);
    memcpy(in->stubs + EE_LAZY_CODE, &lazy, EE_HANDLER_BYTES);
    return (high - low) >> EE_HANDLER_SHIFT <= UINT16_MAX;
}

static bool place_spaces(struct ee_instance *in)
{
    const struct ee_module *m = in->module;
    struct ee_arena *arena = &in->arena;
    in->functions = EE_ARENA_NEW(arena, m->function_count, struct ee_func);
    in->references = EE_ARENA_NEW(arena, m->imported_functions, struct ee_func *);
    in->hosts = EE_ARENA_NEW(arena, m->imported_functions, struct ee_host_function);
    in->tables = EE_ARENA_NEW(arena, m->table_count, struct ee_table_cell *);
    in->globals = EE_ARENA_NEW(arena, m->global_count, struct ee_global_cell *);
    in->element_dropped = EE_ARENA_NEW(arena, m->element_count, uint8_t);
    in->data_dropped = EE_ARENA_NEW(arena, m->data_count, uint8_t);
    if (!in->functions || !in->references || !in->hosts || !in->tables || !in->globals || !in->element_dropped ||
        !in->data_dropped)
        return false;
    for (uint32_t i = 0; i < m->function_count; i++) {
        in->functions[i] = (struct ee_func){.owner = in, .code = EE_LAZY_CODE, .type = ee_function_type(m, i)->canonical};
        in->untranslated += m->functions[i].body.end - m->functions[i].body.begin;
    }
    return true;
}

static bool place_globals(struct ee_instance *in)
{
    uint32_t imported = in->module->imported_globals;
    in->own_globals = EE_ARENA_NEW(&in->arena, in->module->global_count - imported, struct ee_global_cell);
    if (in->own_globals == NULL)
        return false;
    for (uint32_t i = imported; i < in->module->global_count; i++) {
        in->globals[i] = &in->own_globals[i - imported];
        if (!ee_constant(in, in->module->globals[i].init, in->globals[i]->value))
            return false;
    }
    return true;
}

static bool place_tables(struct ee_instance *in)
{
    for (uint32_t i = in->module->imported_tables; i < in->module->table_count; i++) {
        const struct ee_table *declared = &in->module->tables[i];
        struct ee_table_cell *table = EE_ARENA_NEW(&in->arena, 1, struct ee_table_cell);
        if (table == NULL)
            return false;
        table->owner = in;
        table->type = declared->type;
        table->max = declared->limits.max;
        table->has_max = declared->limits.has_max;
        table->elements = EE_ARENA_NEW(&in->arena, declared->limits.min, uint64_t);
        if (table->elements == NULL)
            return false;
        table->size = table->capacity = declared->limits.min;
        in->tables[i] = table;
    }
    in->table = in->module->table_count != 0 ? in->tables[0] : &in->no_table;
    return true;
}

static bool place_stack(struct ee_instance *in)
{
    if (in->stack_size == 0) {
        size_t share = (in->arena.limit - in->arena.used) / EE_STACK_SHARE;
        in->stack_size = share < EE_LEAST_STACK_SIZE ? EE_LEAST_STACK_SIZE
                         : share > EE_MOST_STACK_SIZE ? EE_MOST_STACK_SIZE
                                                      : share & ~(size_t)15;
    }
    size_t size = (in->stack_size + 15) & ~(size_t)15;
    in->stack_base = ee_arena_alloc(&in->arena, size + EE_STACK_RED_ZONE, 16);
    if (in->stack_base == NULL)
        return false;
    in->stack_limit = in->stack_base + size;
    in->top = in->stack_base;
    return true;
}

static enum ee_status place_memory(struct ee_instance *in, struct ee_error *error)
{
    in->memory = &in->own_memory;
    in->own_memory.owner = in;
    in->own_memory.base = ee_arena_end(in);
    if (in->module->memory_count == 0 || in->module->imported_memories != 0)
        return EE_OK;
    const struct ee_limits *limits = &in->module->memory;
    uint64_t size = (uint64_t)limits->min << in->module->page_shift;
    if (size > in->arena_size || !ee_arena_set_limit(&in->arena, in->arena_size - (size_t)size) ||
        (in->max_pages != 0 && size > (uint64_t)in->max_pages * EE_PAGE_SIZE)) {
        ee_error_begin(error, EE_NO_MEMORY, EE_NO_INDEX, EE_NO_INDEX);
        ee_error_text(error, "arena too small for ");
        ee_error_number(error, size);
        ee_error_text(error, " bytes of linear memory: at least ");
        ee_error_number(error, size + in->arena.used);
        ee_error_text(error, " bytes needed, ");
        ee_error_number(error, in->arena_size);
        ee_error_text(error, " given");
        return EE_NO_MEMORY;
    }
    in->own_memory.base -= size;
    in->own_memory.size = size;
    in->own_memory.pages = limits->min;
    in->own_memory.page_shift = in->module->page_shift;
    in->own_memory.max = limits->max;
    in->own_memory.has_max = limits->has_max;
    memset(in->own_memory.base, 0, (size_t)size);
    return EE_OK;
}

enum ee_status ee_load(const uint8_t *bytes, size_t size, const struct ee_config *config, struct ee_instance **instance,
                       struct ee_error *error)
{
    *instance = NULL;
    ee_error_begin(error, EE_OK, EE_NO_INDEX, EE_NO_INDEX);
    if (config->arena == NULL || ((uintptr_t)config->arena & 4095) != 0 || (config->arena_size & 4095) != 0)
        return ee_fail(error, EE_MISUSE, EE_NO_INDEX, EE_NO_INDEX, "the arena is not aligned to 4096 bytes");
    struct ee_arena arena;
    ee_arena_init(&arena, config->arena, config->arena_size);
    struct ee_instance *in = EE_ARENA_NEW(&arena, 1, struct ee_instance);
    if (in == NULL)
        return ee_fail_memory(error, &arena, "the instance");
    in->arena = arena;
    in->arena_size = config->arena_size;
    in->max_pages = config->max_pages;
    in->stack_size = config->stack_size;
    in->metered = config->metered;
    ee_set_fuel(in, config->fuel);
    if (!place_handlers(in))
        return ee_fail(error, EE_MISUSE, EE_NO_INDEX, EE_NO_INDEX, "this build's handlers lie too far apart");

    enum ee_status status = ee_decode(bytes, size, &in->arena, &in->module, error);
    if (status == EE_OK)
        status = ee_validate(in->module, &in->arena, error);
    if (status != EE_OK)
        return status;
    if (!place_spaces(in))
        return ee_fail_memory(error, &in->arena, "functions and tables");
    status = place_memory(in, error);
    if (status == EE_OK)
        status = ee_link(in, config, error);
    if (status != EE_OK)
        return status;
    if (!place_globals(in))
        return ee_fail_memory(error, &in->arena, "globals");
    if (!place_tables(in))
        return ee_fail_memory(error, &in->arena, "tables");
    if (!place_stack(in))
        return ee_fail_memory(error, &in->arena, "the stack");
    *instance = in;
    return EE_OK;
}

static enum ee_trap start_elements(struct ee_instance *in)
{
    for (uint32_t i = 0; i < in->module->element_count; i++) {
        const struct ee_element_segment *element = &in->module->elements[i];
        if (element->mode == EE_SEGMENT_PASSIVE)
            continue;
        if (element->mode == EE_SEGMENT_ACTIVE) {
            uint64_t offset[2];
            if (!ee_constant(in, element->offset, offset))
                return EE_TRAP_NO_MEMORY;
            uint64_t operands[3] = {offset[0], 0, element->count};
            enum ee_trap trap = ee_table_init(in, operands, i, element->table);
            if (trap != EE_TRAP_NONE)
                return trap;
        }
        in->element_dropped[i] = 1;
    }
    return EE_TRAP_NONE;
}

static enum ee_trap start_data(struct ee_instance *in)
{
    for (uint32_t i = 0; i < in->module->data_count; i++) {
        const struct ee_data_segment *data = &in->module->data[i];
        if (data->mode != EE_SEGMENT_ACTIVE)
            continue;
        uint64_t offset[2];
        if (!ee_constant(in, data->offset, offset))
            return EE_TRAP_NO_MEMORY;
        uint64_t operands[3] = {offset[0], 0, data->bytes.end - data->bytes.begin};
        enum ee_trap trap = ee_memory_init(in, operands, i);
        if (trap != EE_TRAP_NONE)
            return trap;
        in->data_dropped[i] = 1;
    }
    return EE_TRAP_NONE;
}

enum ee_status ee_start(struct ee_instance *in, struct ee_error *error)
{
    in->trap_pc = NULL;
    enum ee_trap trap = start_elements(in);
    if (trap == EE_TRAP_NONE)
        trap = start_data(in);
    in->trap = trap;
    if (trap == EE_TRAP_NONE && in->module->start != EE_NO_INDEX)
        trap = ee_invoke(in, NULL, in->module->start, NULL, NULL);
    if (trap == EE_TRAP_NONE)
        return EE_OK;
    return ee_fail(error, EE_TRAPPED, EE_NO_INDEX, EE_NO_INDEX, ee_trap_text(trap));
}

uint8_t *ee_memory(const struct ee_instance *in, uint64_t *size_bytes)
{
    *size_bytes = in->memory->size;
    return in->module->memory_count != 0 ? in->memory->base : NULL;
}

void *ee_memory_at(const struct ee_instance *in, uint64_t address, uint64_t size)
{
    const struct ee_memory_cell *memory = in->memory;
    if (in->module->memory_count == 0 || address > memory->size || size > memory->size - address)
        return NULL;
    return memory->base + address;
}

uint32_t ee_export(const struct ee_instance *in, enum ee_extern_kind kind, const char *name, size_t name_size)
{
    const struct ee_module *m = in->module;
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct ee_export_entry *e = &m->exports[i];
        if (e->kind == kind && e->name.end - e->name.begin == name_size &&
            memcmp(ee_at(m, e->name.begin), name, name_size) == 0)
            return e->index;
    }
    return EE_NO_INDEX;
}

void ee_set_fuel(struct ee_instance *in, uint64_t fuel) { in->fuel = fuel > INT64_MAX ? INT64_MAX : (int64_t)fuel; }

uint64_t ee_fuel(const struct ee_instance *in) { return in->fuel < 0 ? 0 : (uint64_t)in->fuel; }

void ee_instance_usage(const struct ee_instance *in, struct ee_usage *usage)
{
    *usage = (struct ee_usage){.bookkeeping_bytes = in->arena.peak > in->arena.used ? in->arena.peak : in->arena.used,
                               .memory_bytes = in->own_memory.size,
                               .code_bytes = in->code_bytes,
                               .stack_bytes = in->stack_size};
}

EE_COMPACT_END
