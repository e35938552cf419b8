/* SPDX-License-Identifier: Apache-2.0 */
/* Function names for people: the name section (core spec 7.4.1), else an export's name. Contract in module.h. */
#include "compact.h"
#include "module.h"
#include "reader.h"

EE_COMPACT

static bool from_name_section(const struct ee_module *m, uint32_t function, struct ee_name *name)
{
    struct ee_reader r = {.p = ee_at(m, m->function_names.begin), .end = ee_at(m, m->function_names.end)};
    uint32_t count, index;
    if (r.p == r.end || !ee_read_u32(&r, &count))
        return false;
    for (uint32_t n = 0; n < count; n++) { /* ends with the bytes, whatever the count says */
        struct ee_name found;
        if (!ee_read_u32(&r, &index) || !ee_read_name(&r, &found))
            return false;
        if (index == function) {
            *name = found;
            return true;
        }
        if (index > function) /* in ascending order */
            return false;
    }
    return false;
}

bool ee_function_name(const struct ee_module *module, uint32_t function, struct ee_name *name)
{
    if (from_name_section(module, function, name))
        return true;
    for (uint32_t n = 0; n < module->export_count; n++) {
        const struct ee_export_entry *export = &module->exports[n];
        if (export->kind == EE_EXTERN_FUNC && export->index == function) {
            *name = (struct ee_name){(const char *)ee_at(module, export->name.begin),
                                     export->name.end - export->name.begin};
            return true;
        }
    }
    return false;
}

EE_COMPACT_END
