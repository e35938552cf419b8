/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured control: blocks become labels and branches. Values that cross a label are in their own slots, which are
 * the same from every side; see translate.h for the state at labels.
 */
#include "compact.h"
#include "translate.h"

EE_COMPACT

static struct ee_block *current(struct ee_translator *t) { return ee_block_at(t, t->depth - 1); }

static uint32_t slots_of(const uint8_t *types, uint32_t count)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < count; i++)
        slots += ee_valtype_slots(types[i]);
    return slots;
}

/* A charge for the instructions of a loop's round or of a body, whose number is known at its end. */
static void charge(struct ee_translator *t, struct ee_block *block)
{
    if (!t->in->metered)
        return;
    EE_DO(t, EE_DO_fuel, 0);
    ee_flush(t);
    block->fuel = t->position - 4;
}

static void finish_charge(struct ee_translator *t, struct ee_block *block)
{
    t->metered = block->outer;
    if (t->in->metered && !t->dry && !t->full)
        memcpy(t->code + block->fuel, &block->cost, 4);
}

bool ee_open_block(struct ee_translator *t, uint8_t kind, struct ee_block_type type)
{
    uint8_t *at = (uint8_t *)(t->blocks - t->depth);
    const uint8_t *least = t->in->arena.base + t->in->arena.used + (t->dry ? 0 : t->position) + 1024;
    if (at < least) {
        t->full = true;
        return false;
    }
    if (!t->dry)
        t->room = (uint32_t)(at - t->code);
    struct ee_block *block = ee_block_at(t, t->depth++);
    *block = (struct ee_block){.type = type,
                               .kind = kind,
                               .height = t->height - type.param_count,
                               .base = t->next_slot - slots_of(type.params, type.param_count),
                               .label = EE_NO_INDEX,
                               .else_label = EE_NO_INDEX,
                               .outer = t->metered};
    if (kind == EE_BLOCK_LOOP) {
        ee_flush(t);
        block->label = t->position;
    }
    if (kind == EE_BLOCK_LOOP || kind == EE_BLOCK_BODY) {
        t->metered = t->depth - 1;
        charge(t, block);
    }
    return true;
}

/* Everything above the block's height goes; then these entries are in their own slots. */
static void restart_stack(struct ee_translator *t, const struct ee_block *block, const uint8_t *types, uint32_t count)
{
    while (t->height > block->height)
        ee_take(t);
    t->next_slot = block->base;
    for (uint32_t i = 0; i < count; i++)
        ee_push_slot(t, types[i], EE_NO_SLOT);
    ee_forget_accumulators(t);
}

static void begin_else(struct ee_translator *t)
{
    struct ee_block *block = current(t);
    if (t->reachable) {
        ee_settle_top(t, block->type.result_count);
        EE_DO(t, EE_DO_br, t->depth - 1);
        block->is_target = true;
    }
    ee_flush(t);
    ee_patch(t, block->else_label, t->position);
    block->else_label = EE_NO_INDEX;
    block->kind = EE_BLOCK_ELSE;
    restart_stack(t, block, block->type.params, block->type.param_count);
    t->reachable = true;
}

static void end_block(struct ee_translator *t)
{
    struct ee_block *block = current(t);
    if (block->kind == EE_BLOCK_BODY) {
        if (t->reachable)
            ee_return_values(t);
        ee_flush(t);
        finish_charge(t, block);
    } else if (block->kind == EE_BLOCK_LOOP) {
        ee_flush(t);
        finish_charge(t, block);
    } else if (block->is_target || block->kind == EE_BLOCK_IF) {
        if (t->reachable)
            ee_settle_top(t, block->type.result_count);
        ee_flush(t);
        if (block->kind == EE_BLOCK_IF)
            ee_patch(t, block->else_label, t->position);
        ee_patch_chain(t, block->label, t->position);
        restart_stack(t, block, block->type.results, block->type.result_count);
        t->reachable = true;
    }
    t->depth--;
    if (!t->dry && t->depth != 0)
        t->room = (uint32_t)((uint8_t *)current(t) - t->code);
}

static uint32_t arity(const struct ee_block *block)
{
    return block->kind == EE_BLOCK_LOOP ? block->type.param_count : block->type.result_count;
}

/* Slot of the lowest of the top `count` entries. */
static uint32_t top_slot(const struct ee_translator *t, uint32_t count)
{
    return count == 0 ? t->next_slot : t->stack[t->height - count].own;
}

/* Ascending: a value's own slot is never below its destination, so no source is overwritten before it is read. */
static void move_values(struct ee_translator *t, uint32_t count, uint32_t base)
{
    for (uint32_t i = t->height - count; i < t->height; i++) {
        struct ee_entry e = t->stack[i];
        ee_store_entry(t, &e, base);
        base += ee_valtype_slots(e.type);
    }
}

/* Leaves for a block, from where control does not come back; the values stay on the stack. */
static void leave(struct ee_translator *t, uint32_t number)
{
    struct ee_block *block = ee_block_at(t, number);
    if (block->kind == EE_BLOCK_BODY) {
        ee_return_values(t);
        return;
    }
    move_values(t, arity(block), block->base);
    block->is_target = true;
    EE_DO(t, EE_DO_br, number);
}

static bool is_direct(const struct ee_translator *t, const struct ee_block *block)
{
    return block->kind != EE_BLOCK_BODY && (arity(block) == 0 || top_slot(t, arity(block)) == block->base);
}

/*
 * Branches if the condition, which was popped, is what `when` says. If nobody else knows the accumulator's value it is
 * given up, so that a comparison fused with the branch need not produce it.
 */
static void conditional(struct ee_translator *t, struct ee_entry *condition, bool when, uint64_t label)
{
    struct ee_accumulator *acc = &t->acc[EE_CLASS_INT];
    uint32_t slot;
    if (condition->place == EE_AT_CONST) {
        ee_load_entry(t, condition);
        condition->place = EE_AT_ACC;
    } else if (condition->place == EE_AT_ACC && acc->home == EE_NO_SLOT && ee_is_last(t, acc->producer) &&
               ee_take_eqz(t, &slot)) {
        when = !when;
        condition->slot = (uint16_t)slot;
        condition->place = slot == EE_NO_SLOT ? EE_AT_ACC : EE_AT_SLOT;
        acc->producer = EE_NO_PRODUCER;
    }
    if (!ee_in_acc(t, condition)) {
        EE_DO(t, (uint16_t)(when ? EE_DO_br_if_s : EE_DO_br_unless_s), EE_SLOT(condition->slot), label);
    } else if (acc->home != EE_NO_SLOT) {
        EE_DO(t, (uint16_t)(when ? EE_DO_br_if_a : EE_DO_br_unless_a), label);
    } else {
        EE_DO(t, (uint16_t)(when ? EE_DO_br_if_d : EE_DO_br_unless_d), label);
        acc->producer = EE_NO_PRODUCER;
    }
}

static void br_if(struct ee_translator *t, uint32_t number)
{
    struct ee_block *block = ee_block_at(t, number);
    struct ee_entry condition = ee_take(t);
    ee_settle_top(t, arity(block));
    if (is_direct(t, block)) {
        block->is_target = true;
        conditional(t, &condition, true, number);
        return;
    }
    ee_spill(t, EE_CLASS_INT);
    ee_spill(t, EE_CLASS_FLOAT);
    conditional(t, &condition, false, EE_LABEL_PRIVATE);
    ee_flush(t);
    uint32_t over = t->position - 4;
    struct ee_accumulator saved[EE_CLASSES] = {t->acc[0], t->acc[1]};
    leave(t, number);
    ee_flush(t);
    t->acc[0] = saved[0];
    t->acc[1] = saved[1];
    ee_patch(t, over, t->position);
}

/* Entries that cannot branch directly lead to stubs behind the table. */
static void br_table(struct ee_translator *t)
{
    uint32_t count = t->instruction.index;
    struct ee_entry index = ee_take(t);
    struct ee_reader labels = {.p = t->instruction.bytes, .end = t->reader.end};
    uint32_t depth;
    for (uint32_t i = 0; i <= count; i++)
        if (!ee_read_u32(&labels, &depth))
            return;
    ee_settle_top(t, arity(ee_block_at(t, t->depth - 1 - depth)));
    ee_load_entry(t, &index);
    EE_DO(t, EE_DO_br_table_a, count);
    ee_flush(t);
    if ((uint64_t)count * 4 + 1024 > t->room - t->position)
        t->full = true;
    if (t->full)
        return;
    uint32_t entries = t->position;
    labels.p = t->instruction.bytes;
    for (uint32_t i = 0; i <= count && ee_read_u32(&labels, &depth); i++) {
        uint32_t number = t->depth - 1 - depth;
        struct ee_block *block = ee_block_at(t, number);
        bool direct = is_direct(t, block);
        block->is_target |= direct;
        ee_write_label(t, direct ? number : EE_LABEL_PRIVATE);
    }
    labels.p = t->instruction.bytes;
    uint32_t last = EE_NO_INDEX, stub = 0;
    for (uint32_t i = 0; i <= count && ee_read_u32(&labels, &depth); i++) {
        uint32_t number = t->depth - 1 - depth;
        if (is_direct(t, ee_block_at(t, number)))
            continue;
        if (number != last) {
            stub = t->position;
            last = number;
            ee_forget_accumulators(t);
            leave(t, number);
            ee_flush(t);
        }
        ee_patch(t, entries + 4 * i, stub);
    }
}

bool ee_translate_control(struct ee_translator *t)
{
    const struct ee_instruction *i = &t->instruction;
    struct ee_block_type type;
    struct ee_entry condition;
    if (i->op <= EE_OP_RETURN_CALL_INDIRECT) /* control flow of any kind */
        ee_resolve(t, t->height - t->settled);
    switch (i->op) {
    case EE_OP_BLOCK:
        ee_settle_block(t);
        ee_open_block(t, EE_BLOCK_BLOCK, ee_block_type(t->module, i));
        return true;
    case EE_OP_LOOP:
        type = ee_block_type(t->module, i);
        ee_settle_block(t);
        ee_settle_top(t, type.param_count);
        ee_forget_accumulators(t);
        ee_open_block(t, EE_BLOCK_LOOP, type);
        return true;
    case EE_OP_IF:
        type = ee_block_type(t->module, i);
        condition = ee_take(t);
        ee_settle_block(t);
        ee_settle_top(t, type.param_count);
        conditional(t, &condition, false, EE_LABEL_PRIVATE);
        ee_flush(t);
        if (ee_open_block(t, EE_BLOCK_IF, type))
            current(t)->else_label = t->position - 4;
        return true;
    case EE_OP_ELSE:
        begin_else(t);
        return true;
    case EE_OP_END:
        end_block(t);
        return true;
    case EE_OP_BR:
        leave(t, t->depth - 1 - i->index);
        break;
    case EE_OP_BR_IF:
        br_if(t, t->depth - 1 - i->index);
        return true;
    case EE_OP_BR_TABLE:
        br_table(t);
        break;
    case EE_OP_RETURN:
        ee_return_values(t);
        break;
    case EE_OP_UNREACHABLE:
        EE_DO0(t, EE_DO_unreachable);
        break;
    default:
        return false;
    }
    t->reachable = false;
    t->skipped = 0;
    return true;
}

EE_COMPACT_END
