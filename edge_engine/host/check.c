/* SPDX-License-Identifier: Apache-2.0 */
/* Decode and validate only; contract in check.h. */
#include "check.h"

#include "../src/module.h"

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
