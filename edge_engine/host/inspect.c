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
    const struct ee_module *m = instance->module;
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
