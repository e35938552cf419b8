/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native code of a module: what the engine and generated code (edge_engine/aot) agree on. Format: docs/native.md.
 *
 * A function is a C function f(struct ee_instance *, parameters...); a trampoline of its type passes 8-byte slots. Code
 * is position independent, holds no addresses of the engine and calls it through in->helpers. It reads the instance's
 * fields directly, so a section names the layout it was made for (EE_NATIVE_ABI) and is refused by any other engine.
 *
 * Traps: an undefined instruction that carries enum ee_trap (EE_NATIVE_PENDING: it is in in->trap already), or a fault
 * in the guard. Whoever catches it leaves the stack that faulted and calls ee_native_fault.
 */
#pragma once

#include "../include/ee_native_format.h"
#include "runtime.h"

enum { EE_NATIVE_PENDING = 0x7f }; /* code of an undefined instruction: the trap is in in->trap already */

/* What generated code calls. Slots and operands as in runtime.h; none returns after a trap. */
struct ee_native_helpers {
    void (*call)(struct ee_instance *in, uint32_t function, uint64_t *slots);
    void (*call_indirect)(struct ee_instance *in, uint32_t at, uint32_t type, uint32_t table, uint64_t *slots);
    uint32_t (*memory_grow)(struct ee_instance *in, uint32_t pages);
    void (*memory_copy)(struct ee_instance *in, const uint64_t *operands);
    void (*memory_fill)(struct ee_instance *in, const uint64_t *operands);
    void (*memory_init)(struct ee_instance *in, const uint64_t *operands, uint32_t segment);
    void (*data_drop)(struct ee_instance *in, uint32_t segment);
    void (*table_get)(struct ee_instance *in, uint64_t *operands, uint32_t table);
    void (*table_set)(struct ee_instance *in, const uint64_t *operands, uint32_t table);
    uint32_t (*table_grow)(struct ee_instance *in, const uint64_t *operands, uint32_t table);
    void (*table_fill)(struct ee_instance *in, const uint64_t *operands, uint32_t table);
    void (*table_copy)(struct ee_instance *in, const uint64_t *operands, uint32_t to, uint32_t from);
    void (*table_init)(struct ee_instance *in, const uint64_t *operands, uint32_t segment, uint32_t table);
    void (*elem_drop)(struct ee_instance *in, uint32_t segment);
    uint64_t (*ref_func)(struct ee_instance *in, uint32_t function);
};

/* Changes whenever generated code would read a field at another place. */
#define EE_NATIVE_MIX(hash, field) ((hash) * 31u + (uint32_t)offsetof(struct ee_instance, field))
#define EE_NATIVE_ABI                                                                                                  \
    EE_NATIVE_MIX(EE_NATIVE_MIX(EE_NATIVE_MIX(EE_NATIVE_MIX(EE_NATIVE_MIX(EE_NATIVE_MIX(EE_NATIVE_MIX(EE_NATIVE_MIX(   \
        (uint32_t)(sizeof(struct ee_func) * 7 + sizeof(struct ee_native_helpers)), own_memory), memory), table),       \
        tables), globals), own_globals), helpers), native_limit) * 31u + (uint32_t)offsetof(struct ee_instance, fuel)

#if defined(__x86_64__)
#define EE_NATIVE_TARGET EE_NATIVE_X86_64
#else
#define EE_NATIVE_TARGET EE_NATIVE_AARCH64
#endif

/*
 * Calls a function that has native code: arguments at slots, then the results.
 * `back` and `fp`: as in struct ee_crossing.
 */
void ee_native_enter(struct ee_instance *in, const struct ee_func *function, uint64_t *slots, const uint8_t *back,
                     uint8_t *fp);

/* Whose native code contains pc; EE_NO_INDEX: nobody's, or a trampoline's. */
uint32_t ee_native_function(const struct ee_instance *in, uint64_t pc);
