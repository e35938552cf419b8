/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constant expressions (core spec 3.3.10, with the arithmetic of extended constants), of validated code.
 *
 * Most have one instruction. The depth of the others is bounded by their size; beyond a few values the stack lies in
 * the arena's free part.
 */
#include "compact.h"
#include "instruction.h"
#include "runtime.h"

EE_COMPACT

enum { NEAR_DEPTH = 8 };

static uint64_t compute(uint16_t op, uint64_t a, uint64_t b)
{
    switch (op) {
    case EE_OP_I32_ADD:
        return (uint32_t)(a + b);
    case EE_OP_I32_SUB:
        return (uint32_t)(a - b);
    case EE_OP_I32_MUL:
        return (uint32_t)(a * b);
    case EE_OP_I64_ADD:
        return a + b;
    case EE_OP_I64_SUB:
        return a - b;
    default:
        return a * b;
    }
}

/* One value; false for the instructions that combine two. */
static bool produce(const struct ee_instance *in, const struct ee_instruction *i, uint64_t value[2])
{
    value[1] = 0;
    switch (i->op) {
    case EE_OP_I32_CONST:
    case EE_OP_I64_CONST:
    case EE_OP_F32_CONST:
    case EE_OP_F64_CONST:
        value[0] = i->value;
        return true;
    case EE_OP_V128_CONST:
        memcpy(value, i->bytes, 16);
        return true;
    case EE_OP_REF_NULL:
        value[0] = 0;
        return true;
    case EE_OP_REF_FUNC:
        value[0] = (uint64_t)(uintptr_t)ee_reference(in, i->index);
        return true;
    case EE_OP_GLOBAL_GET:
        value[0] = in->globals[i->index]->value[0];
        value[1] = in->globals[i->index]->value[1];
        return true;
    default:
        return false;
    }
}

bool ee_constant_item(struct ee_instance *in, struct ee_reader *r, uint64_t value[2])
{
    uint64_t near[NEAR_DEPTH][2];
    uint64_t(*stack)[2] = near;
    uint32_t height = 0, room = NEAR_DEPTH;
    size_t mark = ee_arena_mark(&in->arena);
    struct ee_instruction i;
    bool ok = true;
    while (ok && (ok = ee_read_instruction(r, &i)) && i.op != EE_OP_END) {
        if (height == room) { /* a value takes at least two bytes of code */
            uint32_t most = height + ee_left(r) / 2 + 1;
            uint64_t(*far)[2] = ee_arena_alloc(&in->arena, (size_t)most * 16, 8);
            ok = far != NULL;
            if (ok) {
                memcpy(far, stack, (size_t)height * 16);
                stack = far;
                room = most;
            }
        }
        if (ok && produce(in, &i, stack[height])) {
            height++;
        } else if (ok) {
            height--;
            /* NOLINTNEXTLINE(clang-analyzer-security.ArrayBound): validated, so that two values are there */
            stack[height - 1][0] = compute(i.op, stack[height - 1][0], stack[height][0]);
        }
    }
    if (ok)
        memcpy(value, stack[0], 16);
    ee_arena_release(&in->arena, mark);
    return ok;
}

bool ee_constant(struct ee_instance *in, struct ee_range range, uint64_t value[2])
{
    struct ee_reader r = {.p = ee_at(in->module, range.begin), .end = ee_at(in->module, range.end)};
    return ee_constant_item(in, &r, value);
}

EE_COMPACT_END
