/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports (core spec 4.5.3): asks the resolver for each, checks the type of what comes from another instance, and
 * fills the instance's index spaces. What a host function computes is the host's word.
 */
#include "compact.h"
#include "error.h"
#include "runtime.h"

EE_COMPACT

static struct ee_name name_at(const struct ee_module *module, struct ee_range range)
{
    return (struct ee_name){(const char *)ee_at(module, range.begin), range.end - range.begin};
}

static enum ee_status refuse(const struct ee_instance *in, const struct ee_import_entry *entry, struct ee_error *error,
                             const char *why)
{
    struct ee_name module = name_at(in->module, entry->module), field = name_at(in->module, entry->field);
    ee_error_begin(error, EE_UNLINKABLE, entry->module.begin, EE_NO_INDEX);
    ee_error_text(error, why);
    ee_error_text(error, ": ");
    ee_error_name(error, module.bytes, module.size);
    ee_error_text(error, ".");
    ee_error_name(error, field.bytes, field.size);
    return EE_UNLINKABLE;
}

static bool limits_match(uint32_t actual_min, bool has_max, uint32_t actual_max, const struct ee_limits *wanted)
{
    return actual_min >= wanted->min && (!wanted->has_max || (has_max && actual_max <= wanted->max));
}

static bool link_function(struct ee_instance *in, uint32_t index, const struct ee_import *import)
{
    struct ee_func *own = &in->functions[index];
    in->references[index] = own;
    if (import->function != NULL) {
        in->hosts[index] = (struct ee_host_function){import->function, import->context};
        return true;
    }
    const struct ee_instance *other = import->instance;
    if (other == NULL || import->index >= other->module->function_count)
        return false;
    in->references[index] = ee_reference(other, import->index);
    return ee_functype_equal(in->module, ee_function_type(in->module, index), other->module,
                             ee_function_type(other->module, import->index));
}

static bool link_table(struct ee_instance *in, uint32_t index, const struct ee_import *import)
{
    const struct ee_table *wanted = &in->module->tables[index];
    if (import->instance == NULL || import->index >= import->instance->module->table_count)
        return false;
    struct ee_table_cell *table = import->instance->tables[import->index];
    in->tables[index] = table;
    return table->type == wanted->type && limits_match(table->size, table->has_max, table->max, &wanted->limits);
}

static bool link_memory(struct ee_instance *in, const struct ee_import *import)
{
    if (import->instance == NULL || import->index >= import->instance->module->memory_count)
        return false;
    struct ee_memory_cell *memory = import->instance->memory;
    in->memory = memory;
    return memory->page_shift == in->module->page_shift &&
           limits_match(memory->pages, memory->has_max, memory->max, &in->module->memory);
}

static bool link_global(struct ee_instance *in, uint32_t index, const struct ee_import *import)
{
    const struct ee_global *wanted = &in->module->globals[index];
    if (import->instance == NULL || import->index >= import->instance->module->global_count)
        return false;
    const struct ee_global *global = &import->instance->module->globals[import->index];
    in->globals[index] = import->instance->globals[import->index];
    return global->type == wanted->type && global->is_mutable == wanted->is_mutable;
}

static bool link_one(struct ee_instance *in, const struct ee_import_entry *entry, const struct ee_import *import)
{
    switch (entry->kind) {
    case EE_EXTERN_FUNC:
        return link_function(in, entry->index, import);
    case EE_EXTERN_TABLE:
        return link_table(in, entry->index, import);
    case EE_EXTERN_MEMORY:
        return link_memory(in, import);
    default:
        return link_global(in, entry->index, import);
    }
}

enum ee_status ee_link(struct ee_instance *in, const struct ee_config *config, struct ee_error *error)
{
    for (uint32_t i = 0; i < in->module->import_count; i++) {
        const struct ee_import_entry *entry = &in->module->imports[i];
        struct ee_import_request request = {.module = name_at(in->module, entry->module),
                                            .field = name_at(in->module, entry->field),
                                            .kind = (enum ee_extern_kind)entry->kind};
        if (entry->kind == EE_EXTERN_FUNC) {
            const struct ee_functype *type = ee_function_type(in->module, entry->index);
            request.params = ee_at(in->module, type->params);
            request.results = ee_at(in->module, type->results);
            request.param_count = type->param_count;
            request.result_count = type->result_count;
        }
        struct ee_import import = {0};
        if (config->resolver == NULL || !config->resolver(config->resolver_context, &request, &import))
            return refuse(in, entry, error, "unknown import");
        if (!link_one(in, entry, &import))
            return refuse(in, entry, error, "incompatible import type");
    }
    return EE_OK;
}

EE_COMPACT_END
