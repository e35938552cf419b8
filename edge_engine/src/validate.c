/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation of a module's parts outside of function bodies (core spec 3.4), then of each body. Contract in module.h.
 */
#include "compact.h"
#include "validate.h"

#include "limits.h"
#include "sort.h"

EE_COMPACT

static enum ee_status invalid_at(struct ee_validator *v, uint32_t offset, uint32_t function, const char *text)
{
    return ee_fail(v->error, EE_INVALID, offset, function, text);
}

static enum ee_status unknown_at(struct ee_validator *v, uint32_t offset, uint32_t function, const char *what,
                                 uint32_t index, uint32_t count)
{
    ee_error_begin(v->error, EE_INVALID, offset, function);
    return ee_unknown(v->error, what, index, count);
}

static void declare(struct ee_validator *v, uint32_t function)
{
    v->declared[function / 8] = (uint8_t)(v->declared[function / 8] | 1u << function % 8);
}

static enum ee_status check_functions(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    uint32_t function = 0;
    for (uint32_t n = 0; n < m->import_count; n++) {
        const struct ee_import_entry *import = &m->imports[n];
        if (import->kind != EE_EXTERN_FUNC)
            continue;
        if (m->functions[function].type >= m->type_count)
            return unknown_at(v, import->field.end, function, "type of an import", m->functions[function].type,
                              m->type_count);
        function++;
    }
    for (; function < m->function_count; function++)
        if (m->functions[function].type >= m->type_count)
            return unknown_at(v, m->functions[function].body.begin, function, "type", m->functions[function].type,
                              m->type_count);
    return EE_OK;
}

static enum ee_status check_limits(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    for (uint32_t n = 0; n < m->table_count; n++)
        if (m->tables[n].limits.min > m->tables[n].limits.max)
            return invalid_at(v, EE_NO_INDEX, EE_NO_INDEX, "a table's size minimum must not be greater than maximum");
    if (m->memory_count == 0)
        return EE_OK;
    if (m->page_shift != 0 && m->page_shift != 16) {
        ee_error_begin(v->error, EE_INVALID, EE_NO_INDEX, EE_NO_INDEX);
        ee_error_text(v->error, "invalid custom page size: expected 2^0 or 2^16 bytes, found 2^");
        ee_error_number(v->error, m->page_shift);
        return EE_INVALID;
    }
    if (m->page_shift == 16 && (m->memory.min > EE_MAX_PAGES || m->memory.max > EE_MAX_PAGES))
        return invalid_at(v, EE_NO_INDEX, EE_NO_INDEX, "memory size must be at most 65536 pages (4GiB)");
    if (m->memory.min > m->memory.max)
        return invalid_at(v, EE_NO_INDEX, EE_NO_INDEX, "the memory's size minimum must not be greater than maximum");
    return EE_OK;
}

static enum ee_status check_globals(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    for (uint32_t n = m->imported_globals; n < m->global_count; n++)
        EE_TRY(ee_validate_constant(v, &m->globals[n].init, m->globals[n].type));
    return EE_OK;
}

static int compare_exports(const struct ee_module *m, uint32_t a, uint32_t b)
{
    const struct ee_range *x = &m->exports[a].name, *y = &m->exports[b].name;
    return ee_compare_bytes(m->bytes + x->begin, x->end - x->begin, m->bytes + y->begin, y->end - y->begin);
}

static enum ee_status check_export_names(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    size_t mark = ee_arena_mark(v->arena);
    uint32_t *order = EE_ARENA_NEW(v->arena, m->export_count, uint32_t);
    if (order == NULL)
        return ee_fail_memory(v->error, v->arena, "comparing export names");
    for (uint32_t n = 0; n < m->export_count; n++)
        order[n] = n;
    ee_sort(m, order, m->export_count, compare_exports);
    for (uint32_t n = 1; n < m->export_count; n++)
        if (compare_exports(m, order[n - 1], order[n]) == 0) {
            const struct ee_range *name = &m->exports[order[n]].name;
            ee_error_begin(v->error, EE_INVALID, name->begin, EE_NO_INDEX);
            ee_error_text(v->error, "duplicate export name ");
            ee_error_name(v->error, m->bytes + name->begin, name->end - name->begin);
            return EE_INVALID;
        }
    ee_arena_release(v->arena, mark);
    return EE_OK;
}

static enum ee_status check_exports(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    for (uint32_t n = 0; n < m->export_count; n++) {
        static const char *const kinds[] = {"function in an export", "table in an export", "memory in an export",
                                            "global in an export"};
        const uint32_t counts[] = {m->function_count, m->table_count, m->memory_count, m->global_count};
        const struct ee_export_entry *export = &m->exports[n];
        if (export->index >= counts[export->kind])
            return unknown_at(v, export->name.end, EE_NO_INDEX, kinds[export->kind], export->index,
                              counts[export->kind]);
        if (export->kind == EE_EXTERN_FUNC)
            declare(v, export->index);
    }
    return check_export_names(v);
}

static enum ee_status check_start(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    if (m->start == EE_NO_INDEX)
        return EE_OK;
    if (m->start >= m->function_count)
        return unknown_at(v, EE_NO_INDEX, EE_NO_INDEX, "function in the start section", m->start, m->function_count);
    const struct ee_functype *type = ee_function_type(m, m->start);
    if (type->param_count != 0 || type->result_count != 0)
        return invalid_at(v, EE_NO_INDEX, m->start, "start function: expected no parameters and no results");
    return EE_OK;
}

static enum ee_status check_element_items(struct ee_validator *v, const struct ee_element_segment *segment)
{
    const struct ee_module *m = v->module;
    if (segment->is_expressions)
        return ee_validate_constants(v, &segment->items, segment->count, segment->type);
    struct ee_reader r = {.p = ee_at(m, segment->items.begin), .end = ee_at(m, segment->items.end)};
    for (uint32_t n = 0; n < segment->count; n++) {
        uint32_t function, at = (uint32_t)(r.p - m->bytes);
        if (!ee_read_u32(&r, &function))
            return ee_fail(v->error, EE_MALFORMED, at, EE_NO_INDEX, r.problem);
        if (function >= m->function_count)
            return unknown_at(v, at, EE_NO_INDEX, "function in an element segment", function, m->function_count);
        declare(v, function);
    }
    return EE_OK;
}

static enum ee_status check_elements(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    for (uint32_t n = 0; n < m->element_count; n++) {
        const struct ee_element_segment *segment = &m->elements[n];
        EE_TRY(check_element_items(v, segment));
        if (segment->mode != EE_SEGMENT_ACTIVE)
            continue;
        if (segment->table >= m->table_count)
            return unknown_at(v, segment->offset.begin, EE_NO_INDEX, "table in an element segment", segment->table,
                              m->table_count);
        if (m->tables[segment->table].type != segment->type) {
            ee_error_begin(v->error, EE_INVALID, segment->offset.begin, EE_NO_INDEX);
            ee_error_text(v->error, "element segment: type mismatch: expected ");
            ee_error_text(v->error, ee_valtype_text(m->tables[segment->table].type));
            ee_error_text(v->error, ", found ");
            ee_error_text(v->error, ee_valtype_text(segment->type));
            return EE_INVALID;
        }
        EE_TRY(ee_validate_constant(v, &segment->offset, EE_I32));
    }
    return EE_OK;
}

static enum ee_status check_data(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    for (uint32_t n = 0; n < m->data_count; n++) {
        const struct ee_data_segment *segment = &m->data[n];
        if (segment->mode != EE_SEGMENT_ACTIVE)
            continue;
        if (m->memory_count == 0)
            return unknown_at(v, segment->offset.begin, EE_NO_INDEX, "memory in a data segment", 0, 0);
        EE_TRY(ee_validate_constant(v, &segment->offset, EE_I32));
    }
    return EE_OK;
}

static enum ee_status check_all(struct ee_validator *v)
{
    struct ee_module *m = v->module;
    EE_TRY(check_functions(v));
    EE_TRY(check_limits(v));
    EE_TRY(check_globals(v));
    EE_TRY(check_exports(v));
    EE_TRY(check_start(v));
    EE_TRY(check_elements(v));
    EE_TRY(check_data(v));
    for (uint32_t n = m->imported_functions; n < m->function_count; n++)
        EE_TRY(ee_validate_function(v, n));
    return EE_OK;
}

/* Types outside of bodies that need SIMD (those of functions were noted by the decoder). */
static void note_simd(struct ee_module *m)
{
    for (uint32_t n = 0; n < m->global_count; n++)
        if (m->globals[n].type == EE_V128 && m->simd_offset == EE_NO_INDEX)
            m->simd_offset = n < m->imported_globals ? 0 : m->globals[n].init.begin;
}

/*
 * Bodies are read and checked in one go, so a fault of types may have been found before a fault of form further on. The
 * format comes first (core spec, chapter 5): such a module is malformed, and that is what *error says.
 */
static bool is_malformed(struct ee_validator *v)
{
    for (uint32_t n = v->module->imported_functions; n < v->module->function_count; n++)
        if (ee_read_function(v, n) == EE_MALFORMED)
            return true;
    return false;
}

enum ee_status ee_validate(struct ee_module *module, struct ee_arena *arena, struct ee_error *error)
{
    size_t mark = ee_arena_mark(arena);
    struct ee_validator v = {.module = module, .arena = arena, .error = error, .i = {.at = module->bytes}};
    v.declared = EE_ARENA_NEW(arena, module->function_count / 8 + 1, uint8_t);
    if (v.declared == NULL)
        return ee_fail_memory(error, arena, "the set of declared functions");
    note_simd(module);
    enum ee_status status = check_all(&v);
    if (status == EE_INVALID && is_malformed(&v))
        status = EE_MALFORMED;
    ee_arena_release(arena, mark);
    return status;
}

EE_COMPACT_END
