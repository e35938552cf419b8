/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constant expressions (core spec 3.3.10), with the additions of the extended-const proposal (integer add, sub, mul).
 * Only imported immutable globals may be read, as in 2.0.
 */
#include "compact.h"
#include "validate.h"

EE_COMPACT

static enum ee_status constant_instruction(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    uint32_t index = v->i.index;
    switch (v->i.op) {
    case EE_OP_I32_CONST: return ee_type_push(v, EE_I32);
    case EE_OP_I64_CONST: return ee_type_push(v, EE_I64);
    case EE_OP_F32_CONST: return ee_type_push(v, EE_F32);
    case EE_OP_F64_CONST: return ee_type_push(v, EE_F64);
    case EE_OP_V128_CONST: return ee_type_push(v, EE_V128);
    case EE_OP_REF_NULL: return ee_type_push(v, (uint8_t)index);
    case EE_OP_REF_FUNC:
        if (index >= m->function_count)
            return ee_invalid_index(v, "function", index, m->function_count);
        v->declared[index / 8] = (uint8_t)(v->declared[index / 8] | 1u << index % 8);
        return ee_type_push(v, EE_FUNCREF);
    case EE_OP_GLOBAL_GET:
        if (index >= m->imported_globals)
            return ee_invalid_index(v, "global (only imported ones may be read here)", index, m->imported_globals);
        if (m->globals[index].is_mutable)
            return ee_invalid(v, "constant expression required: the global is mutable");
        return ee_type_push(v, m->globals[index].type);
    case EE_OP_I32_ADD:
    case EE_OP_I32_SUB:
    case EE_OP_I32_MUL:
        EE_TRY(ee_type_pop(v, EE_I32));
        EE_TRY(ee_type_pop(v, EE_I32));
        return ee_type_push(v, EE_I32);
    case EE_OP_I64_ADD:
    case EE_OP_I64_SUB:
    case EE_OP_I64_MUL:
        EE_TRY(ee_type_pop(v, EE_I64));
        EE_TRY(ee_type_pop(v, EE_I64));
        return ee_type_push(v, EE_I64);
    default: return ee_invalid(v, "constant expression required");
    }
}

static enum ee_status one_expression(struct ee_validator *v, uint8_t type)
{
    ee_stack_reset(v);
    EE_TRY(ee_frame_push(v, EE_OP_BLOCK, &(struct ee_frame){0}));
    for (;;) {
        if (!ee_read_instruction(&v->r, &v->i))
            return ee_invalid_bytes(v);
        if (v->i.op == EE_OP_END)
            break;
        EE_TRY(constant_instruction(v));
    }
    EE_TRY(ee_type_pop(v, type));
    return v->height == 0 ? EE_OK : ee_invalid(v, "type mismatch: expected one value, found more");
}

enum ee_status ee_validate_constants(struct ee_validator *v, const struct ee_range *range, uint32_t count, uint8_t type)
{
    v->r = (struct ee_reader){.p = ee_at(v->module, range->begin), .end = ee_at(v->module, range->end)};
    v->function = EE_NO_INDEX;
    for (uint32_t n = 0; n < count; n++)
        EE_TRY(one_expression(v, type));
    return EE_OK;
}

enum ee_status ee_validate_constant(struct ee_validator *v, const struct ee_range *range, uint8_t type)
{
    return ee_validate_constants(v, range, 1, type);
}

EE_COMPACT_END
