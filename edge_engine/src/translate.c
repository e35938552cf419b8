/* SPDX-License-Identifier: Apache-2.0 */
/* Translation of a function: scratch memory, locals and the walk over the body. See translate.h. */
#include "compact.h"
#include "translate.h"

EE_COMPACT

static void *take(uint8_t **top, size_t size)
{
    *top -= (size + 15) & ~(size_t)15;
    return *top;
}

/* Scratch memory at the high end of the free part; false if it does not fit. */
static bool place_scratch(struct ee_translator *t, const struct ee_function *function)
{
    struct ee_arena *arena = &t->in->arena;
    size_t locals = t->local_slots, entries = (size_t)function->stack_slots + 1;
    size_t wanted = locals * (sizeof(struct ee_local) + sizeof(uint16_t)) + entries * sizeof(struct ee_entry) +
                    sizeof(struct ee_block) + (size_t)4 * 16 + 1024;
    if (wanted > arena->limit - arena->used)
        return false;
    uint8_t *top = arena->base + (arena->limit & ~(size_t)15);
    t->locals = take(&top, locals * sizeof(struct ee_local));
    t->local_of_slot = take(&top, locals * sizeof(uint16_t));
    t->stack = take(&top, entries * sizeof(struct ee_entry));
    t->blocks = take(&top, sizeof(struct ee_block));
    t->code = arena->base + ((arena->used + 3) & ~(size_t)3);
    t->room = t->dry ? UINT32_MAX : (uint32_t)((uint8_t *)t->blocks - t->code);
    return true;
}

static void add_local(struct ee_translator *t, uint32_t *index, uint32_t *slot, uint8_t type)
{
    t->locals[*index] = (struct ee_local){.slot = (uint16_t)*slot, .type = type};
    t->local_of_slot[*slot] = (uint16_t)*index;
    *slot += ee_valtype_slots(type);
    ++*index;
}

static bool place_locals(struct ee_translator *t)
{
    uint32_t index = 0, slot = 0;
    const uint8_t *params = ee_at(t->module, t->type->params);
    for (uint32_t i = 0; i < t->type->param_count; i++)
        add_local(t, &index, &slot, params[i]);
    t->return_slot = slot++;
    uint32_t left = EE_LOCALS_BEGIN;
    struct ee_local_run run;
    while (ee_read_local_run(&t->reader, &left, &run))
        for (uint32_t i = 0; i < run.count; i++)
            add_local(t, &index, &slot, run.type);
    return left == 0;
}

static void walk(struct ee_translator *t)
{
    while (t->depth != 0 && !t->full) {
        if (!ee_read_instruction(&t->reader, &t->instruction)) {
            t->full = true; /* a validated body ends with its last `end` */
            return;
        }
        uint16_t op = t->instruction.op;
        t->source = (uint32_t)(t->instruction.at - t->module->bytes);
        ee_block_at(t, t->metered)->cost++;
        if (!t->reachable) {
            if (op == EE_OP_BLOCK || op == EE_OP_LOOP || op == EE_OP_IF) {
                t->skipped++;
                continue;
            }
            if (op == EE_OP_END && t->skipped != 0) {
                t->skipped--;
                continue;
            }
            if (op != EE_OP_END && (op != EE_OP_ELSE || t->skipped != 0))
                continue;
        }
        if (!ee_translate_control(t) && !ee_translate_call(t) && !ee_translate_value(t))
            t->full = true;
    }
}

/* Translates `index` with *t's dry, wanted and found as given. */
static enum ee_trap translate(struct ee_translator *t, struct ee_instance *in, uint32_t index)
{
    const struct ee_module *module = in->module;
    const struct ee_function *function = &module->functions[index];
    t->in = in;
    t->module = module;
    t->type = ee_function_type(module, index);
    t->local_slots = function->local_slots + 1;
    uint32_t frame = t->local_slots + function->stack_slots;
    if (frame > EE_MAX_FRAME_SLOTS)
        return EE_TRAP_STACK_EXHAUSTED;
    if (!place_scratch(t, function))
        return EE_TRAP_NO_MEMORY;
    t->reader = (struct ee_reader){.p = ee_at(module, function->body.begin), .end = ee_at(module, function->body.end)};
    if (!place_locals(t))
        return EE_TRAP_NO_MEMORY;
    t->next_slot = t->local_slots;
    t->source = function->body.begin;
    t->reachable = true;
    ee_forget_accumulators(t);
    if (in->functions[index].native != NULL) {
        EE_DO(t, EE_DO_native, index);
        ee_flush(t);
        return t->full ? EE_TRAP_NO_MEMORY : EE_TRAP_NONE;
    }
    uint32_t cleared = t->local_slots - 1 - t->return_slot;
    if (cleared != 0)
        EE_DO(t, EE_DO_enter, EE_SLOT(frame), EE_SLOT(t->return_slot), cleared);
    else
        EE_DO(t, EE_DO_enter_0, EE_SLOT(frame), EE_SLOT(t->return_slot));
    struct ee_block_type type = {ee_at(module, t->type->params), ee_at(module, t->type->results), 0,
                                 t->type->result_count};
    if (ee_open_block(t, EE_BLOCK_BODY, type))
        walk(t);
    return t->full ? EE_TRAP_NO_MEMORY : EE_TRAP_NONE;
}

enum ee_trap ee_translate(struct ee_instance *in, struct ee_func *function)
{
    struct ee_translator t = {.in = in};
    enum ee_trap trap = translate(&t, in, ee_func_index(function));
    if (trap != EE_TRAP_NONE)
        return trap;
    uint8_t *code = ee_arena_alloc(&in->arena, t.position, 4);
    if (code == NULL)
        return EE_TRAP_NO_MEMORY;
    const struct ee_range *body = &in->module->functions[ee_func_index(function)].body;
    if (function->code == EE_LAZY_CODE)
        in->untranslated -= body->end - body->begin;
    in->code_bytes += t.position;
    function->code = (uint32_t)(code - (uint8_t *)in);
    return EE_TRAP_NONE;
}

uint32_t ee_source_offset(struct ee_instance *in, struct ee_func *function, const uint8_t *code, bool is_access)
{
    struct ee_translator t = {.in = in,
                              .dry = true,
                              .is_access = is_access,
                              .found = EE_NO_INDEX,
                              .wanted = (uint32_t)(code - ee_code(in, function->code))};
    (void)translate(&t, in, ee_func_index(function));
    return t.found;
}

EE_COMPACT_END
