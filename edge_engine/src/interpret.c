/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that are written by hand: entry and exit, traps, calls that leave the fast path. See interpret.h. */
#include "compact.h"
#include "interpret.h"
#include "native.h"

EE_COMPACT

enum ee_trap ee_interpret(struct ee_instance *in, const uint8_t *pc, uint8_t *fp)
{
    const uint8_t *hb = in->handlers;
    ee_f64x2 fa = {0, 0};
    uint64_t back = (uint64_t)(uintptr_t)ee_code(in, EE_EXIT_CODE);
    return EE_HANDLER_AT(pc)(pc, fp, in->memory->base, in, back, hb, fa);
}

enum ee_trap ee_exit(EE_ARGS)
{
    (void)pc, (void)fp, (void)mem, (void)hb;
    in->result_int = acc;
    memcpy(in->result_float, &fa, 16);
    return EE_TRAP_NONE;
}

enum ee_trap ee_raise(EE_ARGS)
{
    (void)mem, (void)hb, (void)fa;
    in->trap = (enum ee_trap)acc;
    in->trap_pc = pc;
    in->trap_fp = fp;
    return (enum ee_trap)acc;
}

#define EE_X(name, text)                       \
    enum ee_trap ee_raise_##name(EE_ARGS)      \
    {                                          \
        acc = EE_TRAP_##name;                  \
        EE_MUSTTAIL return ee_raise(EE_PASS(pc)); \
    }
EE_TRAPS(EE_X)
#undef EE_X

/* Here by a direct call, whose operands (function, distance) stand before the return address in acc. */
enum ee_trap ee_lazy(EE_ARGS)
{
    const uint8_t *back = (const uint8_t *)(uintptr_t)acc;
    struct ee_func *function = (struct ee_func *)(void *)((uint8_t *)in + *(const ee_u32u *)(back - 6));
    enum ee_trap trap = ee_translate(in, function);
    if (trap != EE_TRAP_NONE) {
        acc = trap;
        fp -= *(const ee_u16u *)(back - 2);
        EE_MUSTTAIL return ee_raise(EE_PASS(back - 6));
    }
    pc = ee_code(in, function->code);
    EE_GO(pc);
}

/* Results from outside lie in slots; a single one also belongs into its accumulator. */
static inline ee_f64x2 vector_at(const uint8_t *slots)
{
    return *(const ee_vecu *)slots;
}

enum ee_trap ee_call_import(EE_ARGS)
{
    uint64_t *slots = (uint64_t *)(void *)SLOT(4);
    enum ee_trap trap = ee_call_outside(in, in->references[U32(0)], slots);
    if (trap != EE_TRAP_NONE)
        EE_TRAP_VALUE(trap, 0);
    mem = in->memory->base;
    acc = slots[0];
    fa = vector_at((const uint8_t *)slots);
    EE_GO(pc + 6);
}

/* The function that an indirect call means, or the trap. */
static enum ee_trap resolve(struct ee_instance *in, uint32_t at, uint32_t type, uint32_t table_index,
                            struct ee_func **function)
{
    const struct ee_table_cell *table = in->tables[table_index];
    if (at >= table->size)
        return EE_TRAP_UNDEFINED_ELEMENT;
    struct ee_func *f = (struct ee_func *)(uintptr_t)table->elements[at];
    if (f == NULL)
        return EE_TRAP_UNINITIALIZED_ELEMENT;
    struct ee_instance *owner = f->owner;
    if (owner == in ? f->type != type
                    : !ee_functype_equal(in->module, &in->module->types[type], owner->module,
                                         ee_function_type(owner->module, ee_func_index(f))))
        return EE_TRAP_INDIRECT_TYPE;
    *function = f;
    return EE_TRAP_NONE;
}

static bool is_own_code(const struct ee_instance *in, const struct ee_func *f)
{
    return f->owner == in && !ee_is_imported(in, ee_func_index(f));
}

enum ee_trap ee_call_indirect_slow(EE_ARGS)
{
    struct ee_func *f;
    enum ee_trap trap = resolve(in, (uint32_t)acc, U32(0), U32(4), &f);
    if (trap == EE_TRAP_NONE && is_own_code(in, f)) {
        trap = f->code == EE_LAZY_CODE ? ee_translate(in, f) : EE_TRAP_NONE;
        if (trap == EE_TRAP_NONE) {
            fp += U16(8);
            acc = (uint64_t)(uintptr_t)(pc + 10);
            pc = ee_code(in, f->code);
            EE_GO(pc);
        }
    } else if (trap == EE_TRAP_NONE) {
        uint64_t *slots = (uint64_t *)(void *)SLOT(8);
        trap = ee_call_outside(in, f, slots);
        if (trap == EE_TRAP_NONE) {
            mem = in->memory->base;
            acc = slots[0];
            fa = vector_at((const uint8_t *)slots);
            EE_GO(pc + 10);
        }
    }
    EE_TRAP_VALUE(trap, 0);
}

enum ee_trap ee_return_call(EE_ARGS)
{
    struct ee_func *f = (struct ee_func *)(void *)((uint8_t *)in + U32(0));
    if (f->code == EE_LAZY_CODE) {
        enum ee_trap trap = ee_translate(in, f);
        if (trap != EE_TRAP_NONE)
            EE_TRAP_VALUE(trap, 0);
    }
    acc = S64(4);
    memmove(fp, SLOT(6), U32(8));
    pc = ee_code(in, f->code);
    EE_GO(pc);
}

enum ee_trap ee_return_call_indirect(EE_ARGS)
{
    struct ee_func *f;
    enum ee_trap trap = resolve(in, (uint32_t)acc, U32(0), U32(4), &f);
    if (trap == EE_TRAP_NONE && is_own_code(in, f)) {
        trap = f->code == EE_LAZY_CODE ? ee_translate(in, f) : EE_TRAP_NONE;
        if (trap == EE_TRAP_NONE) {
            acc = S64(8);
            memmove(fp, SLOT(10), U32(12));
            pc = ee_code(in, f->code);
            EE_GO(pc);
        }
    } else if (trap == EE_TRAP_NONE) {
        uint64_t *slots = (uint64_t *)(void *)SLOT(10);
        const struct ee_functype *type = ee_function_type(f->owner->module, ee_func_index(f));
        trap = ee_call_outside(in, f, slots);
        if (trap == EE_TRAP_NONE) {
            mem = in->memory->base;
            acc = slots[0];
            fa = vector_at((const uint8_t *)slots);
            const uint8_t *back = *(const uint8_t **)SLOT(8);
            memmove(fp, slots, (size_t)type->result_slots * 8);
            fp -= *(const ee_u16u *)(back - 2);
            pc = back;
            EE_GO(pc);
        }
    }
    EE_TRAP_VALUE(trap, 0);
}

enum ee_trap ee_native(EE_ARGS)
{
    const struct ee_func *f = &in->functions[U32(0)];
    const struct ee_functype *type = &in->module->types[f->type];
    const uint8_t *back = (const uint8_t *)(uintptr_t)acc;
    uint32_t most = type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
    uint8_t *top = in->top, *end = fp + (size_t)most * 8;
    if (end > in->stack_limit)
        EE_TRAP(STACK_EXHAUSTED, 0);
    in->top = end;
    ee_native_enter(in, f, (uint64_t *)(void *)fp, back, fp);
    in->top = top;
    mem = in->memory->base;
    acc = type->result_slots != 0 ? *(const uint64_t *)(const void *)fp : 0;
    if (type->result_slots != 0)
        fa = vector_at(fp);
    fp -= *(const ee_u16u *)(back - 2);
    EE_GO(back);
}

EE_COMPACT_END
