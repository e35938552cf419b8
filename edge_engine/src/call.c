/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls across the edge of translated code: from the host, to host functions, and to other instances.
 *
 * Only these use the machine's stack, and only nested (a host function that calls back, instances that call each
 * other), so EE_MAX_NESTING bounds it. Each nested call's frames begin where the caller's frames end (in->top).
 */
#include "compact.h"
#include "error.h"
#include "interpret.h"
#include "native.h"

EE_COMPACT

static bool fits(const struct ee_instance *in, const uint8_t *at, size_t bytes)
{
    return at <= in->stack_limit && bytes <= (size_t)(in->stack_limit - at);
}

static enum ee_trap call_host(struct ee_instance *in, uint32_t index, uint64_t *slots)
{
    const struct ee_functype *type = ee_function_type(in->module, index);
    uint64_t *results = slots + type->param_slots;
    size_t bytes = (size_t)(type->param_slots + type->result_slots) * 8;
    if (!fits(in, (const uint8_t *)slots, bytes))
        return EE_TRAP_STACK_EXHAUSTED;
    uint8_t *top = in->top;
    in->top = (uint8_t *)slots + bytes;
    const struct ee_host_function *host = &in->hosts[index];
    enum ee_trap trap = host->function(in, host->context, slots, results);
    in->top = top;
    memmove(slots, results, (size_t)type->result_slots * 8);
    return trap;
}

/* NOLINTBEGIN(misc-no-recursion): ee_invoke counts, each instance is entered EE_MAX_NESTING times at most. */
enum ee_trap ee_call_outside(struct ee_instance *in, struct ee_func *function, uint64_t *slots)
{
    struct ee_instance *owner = function->owner;
    uint32_t index = ee_func_index(function);
    const struct ee_functype *type = ee_function_type(owner->module, index);
    if (owner == in)
        return call_host(in, index, slots);
    size_t most = type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
    if (!fits(in, (const uint8_t *)slots, most * 8))
        return EE_TRAP_STACK_EXHAUSTED;
    uint8_t *top = in->top;
    in->top = (uint8_t *)slots + most * 8;
    enum ee_trap trap = ee_invoke(owner, in, index, slots, slots);
    in->top = top;
    return trap;
}

static void collect(const struct ee_instance *in, const struct ee_functype *type, const uint8_t *frame, uint64_t *results)
{
    uint8_t result = type->result_count == 1 ? *ee_at(in->module, type->results) : 0;
    if (result == 0)
        memmove(results, frame, (size_t)type->result_slots * 8);
    else if (result == EE_V128)
        memcpy(results, in->result_float, 16);
    else if (result == EE_F64)
        results[0] = in->result_float[0];
    else if (result == EE_F32)
        results[0] = (uint32_t)in->result_float[0];
    else
        results[0] = result == EE_I32 ? (uint32_t)in->result_int : in->result_int;
}

static enum ee_trap run(struct ee_instance *in, struct ee_func *function, const struct ee_functype *type,
                        uint8_t *frame, uint64_t *results)
{
    if (function->native != NULL) {
        uint32_t most = type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
        in->top = frame + (size_t)most * 8;
        ee_native_enter(in, function, (uint64_t *)(void *)frame, NULL, NULL);
        memmove(results, frame, (size_t)type->result_slots * 8);
        return EE_TRAP_NONE;
    }
    if (function->code == EE_LAZY_CODE) {
        enum ee_trap trap = ee_translate(in, function);
        if (trap != EE_TRAP_NONE)
            return trap;
    }
    enum ee_trap trap = ee_interpret(in, ee_code(in, function->code), frame);
    if (trap == EE_TRAP_NONE && type->result_slots != 0)
        collect(in, type, frame, results);
    return trap;
}

/* An import that is exported again. */
static enum ee_trap pass_on(struct ee_instance *in, struct ee_func *function, const struct ee_functype *type,
                            uint8_t *frame, uint64_t *results)
{
    enum ee_trap trap = ee_call_outside(in, function, (uint64_t *)(void *)frame);
    if (trap == EE_TRAP_NONE && type->result_slots != 0)
        memmove(results, frame, (size_t)type->result_slots * 8);
    return trap;
}

enum ee_trap ee_invoke(struct ee_instance *in, struct ee_instance *caller, uint32_t index, const uint64_t *args,
                       uint64_t *results)
{
    const struct ee_functype *type = ee_function_type(in->module, index);
    struct ee_func *function = ee_reference(in, index);
    size_t slots = type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
    struct ee_activation *activation = (struct ee_activation *)(((uintptr_t)in->top + 15) & ~(uintptr_t)15);
    uint8_t *frame = (uint8_t *)(activation + 1);
    in->trap = EE_TRAP_STACK_EXHAUSTED;
    in->trap_pc = NULL;
    in->trace_depth = 0;
    if (in->depth >= EE_MAX_NESTING || !fits(in, (uint8_t *)activation, sizeof *activation + slots * 8))
        return in->trap;
    *activation = (struct ee_activation){.previous = in->activation,
                                         .top = in->top,
                                         .caller = caller,
                                         .native_limit = in->native_limit,
                                         .crossing = in->crossing,
                                         .native_frame = caller != NULL ? caller->native_call : NULL};
    if (caller != NULL)
        caller->native_call = NULL;
    in->crossing = NULL;
    if (in->native_limit == NULL && caller != NULL)
        in->native_limit = caller->native_limit; /* they share the machine's stack */
    in->activation = activation;
    in->depth++;
    if (type->param_slots != 0)
        memmove(frame, args, (size_t)type->param_slots * 8);
    enum ee_trap trap = ee_is_imported(in, index) ? pass_on(in, function, type, frame, results)
                                                  : run(in, function, type, frame, results);
    in->depth--;
    in->native_limit = activation->native_limit;
    in->crossing = activation->crossing;
    in->activation = activation->previous;
    in->top = activation->top;
    in->trap = trap;
    return trap;
}
/* NOLINTEND(misc-no-recursion) */

enum ee_status ee_call(struct ee_instance *in, uint32_t index, const uint64_t *args, uint32_t arg_slots,
                       uint64_t *results, uint32_t result_slots)
{
    if (index >= in->module->function_count)
        return EE_MISUSE;
    const struct ee_functype *type = ee_function_type(in->module, index);
    if (arg_slots != type->param_slots || result_slots != type->result_slots)
        return EE_MISUSE;
    return ee_invoke(in, NULL, index, args, results) == EE_TRAP_NONE ? EE_OK : EE_TRAPPED;
}

EE_COMPACT_END
