/* SPDX-License-Identifier: Apache-2.0 */
/* Sections that fill the index spaces: imports, functions, tables, memories, globals; then exports and start. */
#include "compact.h"
#include "decode.h"

EE_COMPACT

/* Reads one import. In the counting pass its description goes to scratch records. */
static enum ee_status decode_import(struct ee_decoder *d, struct ee_import_entry *entry, uint32_t *type,
                                    struct ee_table *table, struct ee_global *global)
{
    struct ee_range *names[2] = {&entry->module, &entry->field};
    for (int i = 0; i < 2; i++) {
        struct ee_name name;
        if (!ee_read_name(&d->r, &name))
            return ee_decode_malformed(d);
        names[i]->begin = (uint32_t)((const uint8_t *)name.bytes - d->module->bytes);
        names[i]->end = names[i]->begin + name.size;
    }
    if (!ee_read_u8(&d->r, &entry->kind))
        return ee_decode_malformed(d);
    switch (entry->kind) {
    case EE_EXTERN_FUNC:
        if (!ee_read_u32(&d->r, type))
            return ee_decode_malformed(d);
        return EE_OK;
    case EE_EXTERN_TABLE: return ee_decode_table_type(d, table);
    case EE_EXTERN_MEMORY: return ee_decode_memory_type(d);
    case EE_EXTERN_GLOBAL: return ee_decode_global_type(d, global);
    case 4:
        d->r.p--;
        return ee_decode_fail(d, EE_UNSUPPORTED, "an imported tag: the exception handling proposal is not supported");
    default: d->r.p--; return ee_decode_fail(d, EE_MALFORMED, "malformed import kind");
    }
}

/* Adds what a section announces; the count is checked against the section's bytes when it is decoded, and here. */
static enum ee_status add_announced(struct ee_decoder *d, enum ee_section id, uint32_t entry_size, uint32_t *total)
{
    if (!d->present[id])
        return EE_OK;
    uint32_t count;
    d->r.p = d->module->bytes + d->sections[id].begin;
    d->r.end = d->module->bytes + d->sections[id].end;
    EE_TRY(ee_decode_count(d, entry_size, &count));
    *total += count; /* no overflow: both parts are less than the module's size */
    return EE_OK;
}

static enum ee_status count_imports(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t *counts[] = {&m->imported_functions, &m->imported_tables, &m->imported_memories, &m->imported_globals};
    if (!d->present[EE_SECTION_IMPORT])
        return EE_OK;
    d->r.p = m->bytes + d->sections[EE_SECTION_IMPORT].begin;
    d->r.end = m->bytes + d->sections[EE_SECTION_IMPORT].end;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 4, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct ee_import_entry entry;
        uint32_t type;
        struct ee_table table;
        struct ee_global global;
        EE_TRY(decode_import(d, &entry, &type, &table, &global));
        ++*counts[entry.kind];
    }
    d->memories = 0;
    return EE_OK;
}

enum ee_status ee_decode_spaces(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    EE_TRY(count_imports(d));
    m->function_count = m->imported_functions;
    m->table_count = m->imported_tables;
    m->global_count = m->imported_globals;
    EE_TRY(add_announced(d, EE_SECTION_FUNCTION, 1, &m->function_count));
    EE_TRY(add_announced(d, EE_SECTION_TABLE, 3, &m->table_count));
    EE_TRY(add_announced(d, EE_SECTION_GLOBAL, 3, &m->global_count));
    m->functions = EE_ARENA_NEW(d->arena, m->function_count, struct ee_function);
    if (m->functions == NULL)
        return ee_fail_memory(d->error, d->arena, "functions");
    m->tables = EE_ARENA_NEW(d->arena, m->table_count, struct ee_table);
    if (m->tables == NULL)
        return ee_fail_memory(d->error, d->arena, "table types");
    m->globals = EE_ARENA_NEW(d->arena, m->global_count, struct ee_global);
    if (m->globals == NULL)
        return ee_fail_memory(d->error, d->arena, "global types");
    return EE_OK;
}

enum ee_status ee_decode_imports(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count, functions = 0, scratch_type;
    struct ee_table scratch_table;
    struct ee_global scratch_global;
    EE_TRY(ee_decode_count(d, 4, &count));
    m->imports = EE_ARENA_NEW(d->arena, count, struct ee_import_entry);
    if (m->imports == NULL)
        return ee_fail_memory(d->error, d->arena, "imports");
    for (m->import_count = 0; m->import_count < count; m->import_count++) {
        struct ee_import_entry *entry = &m->imports[m->import_count];
        EE_TRY(decode_import(d, entry, functions < m->imported_functions ? &m->functions[functions].type : &scratch_type,
                             d->next_table < m->imported_tables ? &m->tables[d->next_table] : &scratch_table,
                             d->next_global < m->imported_globals ? &m->globals[d->next_global] : &scratch_global));
        switch (entry->kind) {
        case EE_EXTERN_FUNC: entry->index = functions++; break;
        case EE_EXTERN_TABLE: entry->index = d->next_table++; break;
        case EE_EXTERN_GLOBAL: entry->index = d->next_global++; break;
        default: entry->index = 0; break;
        }
    }
    m->memory_count = d->memories;
    return EE_OK;
}

enum ee_status ee_decode_functions(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 1, &count));
    for (uint32_t i = m->imported_functions; i < m->function_count; i++)
        if (!ee_read_u32(&d->r, &m->functions[i].type))
            return ee_decode_malformed(d);
    return EE_OK;
}

enum ee_status ee_decode_tables(struct ee_decoder *d)
{
    uint32_t count;
    EE_TRY(ee_decode_count(d, 3, &count));
    while (d->next_table < d->module->table_count)
        EE_TRY(ee_decode_table_type(d, &d->module->tables[d->next_table++]));
    return EE_OK;
}

enum ee_status ee_decode_memories(struct ee_decoder *d)
{
    uint32_t count;
    EE_TRY(ee_decode_count(d, 2, &count));
    for (uint32_t i = 0; i < count; i++)
        EE_TRY(ee_decode_memory_type(d));
    d->module->memory_count = d->memories;
    return EE_OK;
}

enum ee_status ee_decode_globals(struct ee_decoder *d)
{
    uint32_t count;
    EE_TRY(ee_decode_count(d, 3, &count));
    while (d->next_global < d->module->global_count) {
        struct ee_global *global = &d->module->globals[d->next_global++];
        EE_TRY(ee_decode_global_type(d, global));
        EE_TRY(ee_decode_expression(d, &global->init));
    }
    return EE_OK;
}

enum ee_status ee_decode_exports(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 3, &count));
    m->exports = EE_ARENA_NEW(d->arena, count, struct ee_export_entry);
    if (m->exports == NULL)
        return ee_fail_memory(d->error, d->arena, "exports");
    for (m->export_count = 0; m->export_count < count; m->export_count++) {
        struct ee_export_entry *entry = &m->exports[m->export_count];
        struct ee_name name;
        if (!ee_read_name(&d->r, &name) || !ee_read_u8(&d->r, &entry->kind))
            return ee_decode_malformed(d);
        if (entry->kind > EE_EXTERN_GLOBAL) {
            d->r.p--;
            if (entry->kind == 4)
                return ee_decode_fail(d, EE_UNSUPPORTED,
                                      "an exported tag: the exception handling proposal is not supported");
            return ee_decode_fail(d, EE_MALFORMED, "malformed export kind");
        }
        if (!ee_read_u32(&d->r, &entry->index))
            return ee_decode_malformed(d);
        entry->name.begin = (uint32_t)((const uint8_t *)name.bytes - m->bytes);
        entry->name.end = entry->name.begin + name.size;
    }
    return EE_OK;
}

enum ee_status ee_decode_start(struct ee_decoder *d)
{
    if (!ee_read_u32(&d->r, &d->module->start))
        return ee_decode_malformed(d);
    /* The one value that the field cannot hold is also one that no module can have. */
    if (d->module->start == EE_NO_INDEX)
        return ee_decode_fail(d, EE_INVALID, "unknown function in the start section");
    return EE_OK;
}

EE_COMPACT_END
