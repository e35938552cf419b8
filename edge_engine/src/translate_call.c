/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls and returns. A callee's frame begins at its first argument, in the caller's operand stack; one result comes
 * back in an accumulator, several lie where the arguments began.
 */
#include "compact.h"
#include "translate.h"

EE_COMPACT

static uint32_t function_offset(const struct ee_translator *t, uint32_t index)
{
    return (uint32_t)((const uint8_t *)&t->in->functions[index] - (const uint8_t *)t->in);
}

/* Arguments into their own slots, side by side, and off the stack; returns the first one's slot. */
static uint32_t arguments(struct ee_translator *t, const struct ee_functype *type)
{
    ee_settle_top(t, type->param_count);
    for (uint32_t i = 0; i < type->param_count; i++)
        ee_take(t);
    return t->next_slot;
}

static void results(struct ee_translator *t, const struct ee_functype *type)
{
    const uint8_t *types = ee_at(t->module, type->results);
    ee_forget_accumulators(t);
    if (type->result_count == 1)
        ee_push_acc(t, types[0], false);
    else
        for (uint32_t i = 0; i < type->result_count; i++)
            ee_push_slot(t, types[i], EE_NO_SLOT);
}

static void spill_both(struct ee_translator *t)
{
    ee_spill(t, EE_CLASS_INT);
    ee_spill(t, EE_CLASS_FLOAT);
}

static void call(struct ee_translator *t, uint32_t index)
{
    const struct ee_functype *type = ee_function_type(t->module, index);
    uint32_t base = arguments(t, type);
    spill_both(t);
    if (index < t->module->imported_functions)
        EE_DO(t, EE_DO_call_import, index, EE_SLOT(base));
    else
        EE_DO(t, EE_DO_call, function_offset(t, index), EE_SLOT(base));
    results(t, type);
}

static void call_indirect(struct ee_translator *t)
{
    const struct ee_functype *type = &t->module->types[t->instruction.index];
    struct ee_entry index = ee_take(t);
    uint32_t table = t->instruction.index2;
    if (index.place == EE_AT_CONST)
        ee_in_slot(t, &index);
    uint32_t base = arguments(t, type);
    spill_both(t);
    if (ee_in_acc(t, &index))
        EE_DO(t, EE_DO_call_indirect_a, type->canonical, table, EE_SLOT(base));
    else
        EE_DO(t, EE_DO_call_indirect_s, EE_SLOT(index.slot), type->canonical, table, EE_SLOT(base));
    results(t, type);
}

static void return_call(struct ee_translator *t, uint32_t index)
{
    const struct ee_functype *type = ee_function_type(t->module, index);
    if (index < t->module->imported_functions) { /* whoever is called there uses none of this stack's frames */
        call(t, index);
        ee_return_values(t);
        return;
    }
    uint32_t base = arguments(t, type);
    EE_DO(t, EE_DO_return_call, function_offset(t, index), EE_SLOT(t->return_slot), EE_SLOT(base),
          EE_SLOT(type->param_slots));
}

static void return_call_indirect(struct ee_translator *t)
{
    const struct ee_functype *type = &t->module->types[t->instruction.index];
    struct ee_entry index = ee_take(t);
    if (index.place == EE_AT_CONST)
        ee_in_slot(t, &index);
    uint32_t base = arguments(t, type);
    ee_load_entry(t, &index);
    EE_DO(t, EE_DO_return_call_indirect, type->canonical, t->instruction.index2, EE_SLOT(t->return_slot), EE_SLOT(base),
          EE_SLOT(type->param_slots));
}

bool ee_translate_call(struct ee_translator *t)
{
    switch (t->instruction.op) {
    case EE_OP_CALL:
        call(t, t->instruction.index);
        return true;
    case EE_OP_CALL_INDIRECT:
        call_indirect(t);
        return true;
    case EE_OP_RETURN_CALL:
        return_call(t, t->instruction.index);
        break;
    case EE_OP_RETURN_CALL_INDIRECT:
        return_call_indirect(t);
        break;
    default:
        return false;
    }
    t->reachable = false;
    t->skipped = 0;
    return true;
}

void ee_return_values(struct ee_translator *t)
{
    uint32_t count = t->type->result_count;
    if (count > 1) {
        ee_settle_top(t, count);
        EE_DO(t, EE_DO_return_many, EE_SLOT(t->return_slot), EE_SLOT(t->stack[t->height - count].own),
              EE_SLOT(t->type->result_slots));
        return;
    }
    if (count == 1) {
        struct ee_entry e = t->stack[t->height - 1];
        if (e.place != EE_AT_ACC) /* nobody needs what else may live there */
            t->acc[ee_class(e.type)].entry = EE_NO_ENTRY;
        ee_load_entry(t, &e);
    }
    EE_DO(t, EE_DO_return, EE_SLOT(t->return_slot));
}

EE_COMPACT_END
