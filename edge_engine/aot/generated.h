/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What generated C is written in: types, memory, traps. See generate.py, which writes the rest.
 *
 * mem is a local copy of linear memory's base; the guard behind the memory is the bounds check. Accesses are volatile:
 * a load whose value nobody uses must trap too, and nothing may move across one that traps. WN_FUEL is defined for code
 * that counts fuel. Contains no data that would need relocation.
 */
#pragma once

#include "../src/native.h"
#include "../src/numeric.h"
#include "../src/vector.h"

typedef uint16_t ee_u16u __attribute__((aligned(1)));
typedef uint32_t ee_u32u __attribute__((aligned(1)));
typedef uint64_t ee_u64u __attribute__((aligned(1)));
typedef int16_t ee_i16u __attribute__((aligned(1)));
typedef int32_t ee_i32u __attribute__((aligned(1)));
typedef int64_t ee_i64u __attribute__((aligned(1)));
typedef float ee_f32u __attribute__((aligned(1)));
typedef double ee_f64u __attribute__((aligned(1)));
typedef ee_f64x2 ee_vecu __attribute__((aligned(1)));

/* Never inlined: backtraces name every function that the interpreter's would. */
#define FUNCTION __attribute__((noinline))
#define INSTANCE struct ee_instance *restrict in

#if defined(__x86_64__)
#define WN_TRAP(number) \
    do { \
        __asm__ volatile("ud1l %c0(%%eax), %%eax" : : "i"(number) : "memory"); \
        __builtin_unreachable(); \
    } while (0)
#else
#define WN_TRAP(number) \
    do { \
        __asm__ volatile("udf #%c0" : : "i"(number) : "memory"); \
        __builtin_unreachable(); \
    } while (0)
#endif
#define EE_TRAP(name, at) WN_TRAP(EE_TRAP_##name)
#define EE_KEEP_PC() (void)0
#define EE_CHECK(address, bytes, at) (void)0

#define LOAD(type, address) (*(const volatile type *)(mem + (address)))
#define STORE(type, address, value) (*(volatile type *)(mem + (address)) = (type)(value))

/* Of a function that calls others: the machine's stack has room. */
#define WN_STACK() \
    do { \
        if (__builtin_expect((const uint8_t *)__builtin_frame_address(0) < in->native_limit, 0)) \
            WN_TRAP(EE_TRAP_STACK_EXHAUSTED); \
    } while (0)

#define WN_CHARGE(units) \
    do { \
        if (__builtin_expect((in->fuel -= (units)) < 0, 0)) \
            WN_TRAP(EE_TRAP_FUEL_EXHAUSTED); \
    } while (0)

/* The native function of that type at a place of a table, or NULL: call_indirect in the engine does it, or traps. */
static inline const void *wn_target(const struct ee_instance *in, const struct ee_table_cell *table, uint32_t at,
                                    uint32_t type)
{
    if (__builtin_expect(at < table->size, 1)) {
        const struct ee_func *f = (const struct ee_func *)(uintptr_t)table->elements[at];
        if (__builtin_expect(f != NULL && f->type == type && f->owner == in, 1))
            return f->native;
    }
    return NULL;
}

/* The operands of vector operations (operations_simd.py). */
#define SV(x) (x)
#define S32(x) (x)
#define S64(x) (x)
#define SF32(x) (x)
#define SF64(x) (x)
#define U16(x) (x)
#define U32(x) (x)
#define SET_FA32(x) (fresult = (x))
#define SET_FA64(x) (dresult = (x))
