/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into modules and instances; contract in inspect.h. */
#include "inspect.h"

#include "../src/runtime.h"

enum ee_status ee_check_module(const uint8_t *bytes, size_t size, void *arena, size_t arena_size,
                               struct ee_check *check, struct ee_error *error)
{
    struct ee_arena scratch;
    struct ee_module *module;
    ee_arena_init(&scratch, arena, arena_size);
    enum ee_status status = ee_decode(bytes, size, &scratch, &module, error);
    if (status == EE_OK)
        status = ee_validate(module, &scratch, error);
    if (status != EE_OK)
        return status;
    *check = (struct ee_check){
        .module = module,
        .functions = module->function_count,
        .imports = module->import_count,
        .exports = module->export_count,
        .tables = module->table_count,
        .memories = module->memory_count,
        .globals = module->global_count,
        .features = module->features,
        .decoded_bytes = scratch.used,
        .peak_bytes = scratch.peak,
    };
    return EE_OK;
}

bool ee_inspect_export(const struct ee_instance *instance, uint32_t n, struct ee_name *name, enum ee_extern_kind *kind,
                       uint32_t *index)
{
    return ee_inspect_module_export(instance->module, n, name, kind, index);
}

bool ee_inspect_module_export(const struct ee_module *m, uint32_t n, struct ee_name *name, enum ee_extern_kind *kind,
                              uint32_t *index)
{
    if (n >= m->export_count)
        return false;
    const struct ee_export_entry *export = &m->exports[n];
    *name = (struct ee_name){(const char *)ee_at(m, export->name.begin), export->name.end - export->name.begin};
    *kind = (enum ee_extern_kind)export->kind;
    *index = export->index;
    return true;
}

bool ee_inspect_function(const struct ee_instance *instance, uint32_t index, struct ee_import_request *type)
{
    const struct ee_module *m = instance->module;
    if (index >= m->function_count)
        return false;
    const struct ee_functype *found = ee_function_type(m, index);
    *type = (struct ee_import_request){
        .kind = EE_EXTERN_FUNC,
        .params = ee_at(m, found->params),
        .results = ee_at(m, found->results),
        .param_count = found->param_count,
        .result_count = found->result_count,
    };
    return true;
}

bool ee_inspect_global(const struct ee_instance *instance, uint32_t index, uint8_t *type, uint64_t value[2])
{
    if (index >= instance->module->global_count)
        return false;
    *type = instance->module->globals[index].type;
    memcpy(value, instance->globals[index]->value, 2 * sizeof *value);
    return true;
}

static struct ee_name name_at(const struct ee_module *m, struct ee_range range)
{
    return (struct ee_name){(const char *)ee_at(m, range.begin), range.end - range.begin};
}

static void describe_limits(struct ee_described *thing, const struct ee_limits *limits)
{
    thing->min = limits->min;
    thing->max = limits->max;
    thing->has_max = limits->has_max;
}

bool ee_inspect_thing(const struct ee_module *m, enum ee_extern_kind kind, uint32_t index, struct ee_described *thing)
{
    const uint32_t counts[] = {m->function_count, m->table_count, m->memory_count, m->global_count};
    *thing = (struct ee_described){.kind = kind, .index = index};
    if ((uint32_t)kind >= sizeof counts / sizeof *counts || index >= counts[kind])
        return false;
    switch (kind) {
    case EE_EXTERN_FUNC: {
        const struct ee_functype *type = ee_function_type(m, index);
        thing->params = ee_at(m, type->params);
        thing->results = ee_at(m, type->results);
        thing->param_count = type->param_count;
        thing->result_count = type->result_count;
        break;
    }
    case EE_EXTERN_TABLE:
        thing->type = m->tables[index].type;
        describe_limits(thing, &m->tables[index].limits);
        break;
    case EE_EXTERN_MEMORY:
        thing->page_bytes = 1u << m->page_shift;
        describe_limits(thing, &m->memory);
        break;
    default:
        thing->type = m->globals[index].type;
        thing->is_mutable = m->globals[index].is_mutable;
        break;
    }
    return true;
}

bool ee_inspect_import(const struct ee_module *m, uint32_t n, struct ee_described *import)
{
    if (n >= m->import_count)
        return false;
    const struct ee_import_entry *entry = &m->imports[n];
    if (!ee_inspect_thing(m, (enum ee_extern_kind)entry->kind, entry->index, import))
        return false;
    import->module = name_at(m, entry->module);
    import->field = name_at(m, entry->field);
    return true;
}
