/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the generated handlers are made of.
 *
 * Translated code is a sequence of instructions: a 16-bit handler word, then operands, packed. A handler ends by a tail call of the next one, so the machine's stack never grows. Its arguments are
 * the interpreter's registers:
 *
 *   pc   the instruction        fp   the frame: parameters, return address, locals, operand stack; 8-byte slots
 *   mem  linear memory's base   in   the instance      acc, fa   the accumulators      hb   the lowest handler
 *
 * pc and fp are the first two arguments (rdi, rsi; x0, x1) and still hold the instruction's own values at every access
 * to linear memory (EE_KEEP_PC): that is how a fault finds its instruction. An i32 in acc or in a slot has undefined
 * upper bits. A call leaves its one result in acc or fa, several in the frame.
 */
#pragma once

#include "numeric.h"
#include "runtime.h"
#include "vector.h"

typedef uint16_t ee_u16u __attribute__((aligned(1)));
typedef uint32_t ee_u32u __attribute__((aligned(1)));
typedef int32_t ee_i32u __attribute__((aligned(1)));
typedef uint64_t ee_u64u __attribute__((aligned(1)));
typedef int16_t ee_i16u __attribute__((aligned(1)));
typedef int64_t ee_i64u __attribute__((aligned(1)));
typedef float ee_f32u __attribute__((aligned(1)));
typedef double ee_f64u __attribute__((aligned(1)));
typedef ee_f64x2 ee_vecu __attribute__((aligned(1)));

#define EE_ARGS                                                                                                     \
    const uint8_t *pc, uint8_t *fp, uint8_t *mem, struct ee_instance *in, uint64_t acc, const uint8_t *hb, ee_f64x2 fa
#define EE_PASS(pc_) (pc_), fp, mem, in, acc, hb, fa
#define EE_MUSTTAIL __attribute__((musttail))

typedef enum ee_trap (*ee_handler)(EE_ARGS);

/*
 * A handler word is the handler's distance from the lowest one, in units of its alignment: 16 bits reach 256 KiB where
 * every instruction has 4 bytes, so that alignment costs nothing, and 512 KiB elsewhere. Code with sanitizers is longer.
 */
#define EE_HANDLER_BYTES 2
#if defined(__SANITIZE_ADDRESS__) || (defined(__has_feature) && __has_feature(address_sanitizer))
#define EE_HANDLER_SHIFT 7
#elif defined(__aarch64__)
#define EE_HANDLER_SHIFT 2
#else
#define EE_HANDLER_SHIFT 3
#endif
#if defined(__aarch64__)
#define EE_HANDLER_ALIGNMENT (1 << EE_HANDLER_SHIFT)
#else
#define EE_HANDLER_ALIGNMENT (2 << EE_HANDLER_SHIFT)
#endif
#define EE_HANDLER __attribute__((aligned(EE_HANDLER_ALIGNMENT), visibility("hidden"))) enum ee_trap
/* The first one begins a page: the others' places in pages depend on it (bench/layout.py). */
#define EE_FIRST_HANDLER_ALIGNED __attribute__((aligned(4096))) EE_HANDLER
typedef uint16_t ee_word __attribute__((aligned(1)));
#define EE_HANDLER_AT(p) ((ee_handler)(uintptr_t)(hb + ((uint64_t)*(const ee_word *)(p) << EE_HANDLER_SHIFT)))

#define EE_GO(p)                                   \
    do {                                           \
        const uint8_t *go_ = (p);                  \
        EE_MUSTTAIL return EE_HANDLER_AT(go_)(EE_PASS(go_)); \
    } while (0)
#define EE_BRANCH(offset) EE_GO(pc + (offset) + I32(offset))

/* Operands, by their distance from pc. */
#define U16(offset) (*(const ee_u16u *)(pc + (offset)))
#define I16(offset) (*(const ee_i16u *)(pc + (offset)))
#define U32(offset) (*(const ee_u32u *)(pc + (offset)))
#define I32(offset) (*(const ee_i32u *)(pc + (offset)))
#define U64(offset) (*(const ee_u64u *)(pc + (offset)))
#define KF32(offset) (*(const ee_f32u *)(pc + (offset)))
#define KF64(offset) (*(const ee_f64u *)(pc + (offset)))

/* Slots named by an operand. */
#define SLOT(offset) (fp + U16(offset))
#define S32(offset) (*(uint32_t *)SLOT(offset))
#define S64(offset) (*(uint64_t *)SLOT(offset))
#define SF32(offset) (*(float *)SLOT(offset))
#define SF64(offset) (*(double *)SLOT(offset))
#define SV(offset) (*(ee_vecu *)SLOT(offset))

/*
 * Windows: eight bytes of an instruction read at once, perhaps beyond its end, and pieces of them (generate.py). Under an
 * emulator each load costs far more than taking a piece out of a register, and on a small processor as much. Elsewhere
 * there are none. WWORD is the next handler's word; EE_LATE has it taken out of its window only when floating point is
 * computed: QEMU calls functions of its own for that, and kernels of floating point took up to a quarter longer.
 */
#if defined(__aarch64__)
#define EE_OPERANDS(n, offset)                     \
    uint64_t w##n = *(const ee_u64u *)(pc + (offset)); \
    __asm__("" : "+r"(w##n), "+r"(pc))
#define WWORD(w, at, offset)                                                        \
    ({                                                                              \
        uint64_t word_;                                                             \
        __asm__("ubfx %0, %1, %2, #16" : "=r"(word_) : "r"(w), "i"(8 * (at)));      \
        word_;                                                                      \
    })
#define EE_LATE(w) __asm__("" : "+r"(w), "+w"(fa))
#define WU16(w, at, offset) ((uint16_t)((w) >> (8 * (at))))
#define WI16(w, at, offset) ((int16_t)((w) >> (8 * (at))))
#define WU32(w, at, offset) ((uint32_t)((w) >> (8 * (at))))
#define WI32(w, at, offset) ((int32_t)((w) >> (8 * (at))))
#else
#define EE_OPERANDS(n, offset) (void)0
#define WWORD(w, at, offset) U16(offset)
#define EE_LATE(w) (void)0
#define WU16(w, at, offset) U16(offset)
#define WI16(w, at, offset) I16(offset)
#define WU32(w, at, offset) U32(offset)
#define WI32(w, at, offset) I32(offset)
#endif
#define WSLOT(w, at, offset) (fp + WU16(w, at, offset))
#define WS32(w, at, offset) (*(uint32_t *)WSLOT(w, at, offset))
#define WS64(w, at, offset) (*(uint64_t *)WSLOT(w, at, offset))
#define WSF32(w, at, offset) (*(float *)WSLOT(w, at, offset))
#define WSF64(w, at, offset) (*(double *)WSLOT(w, at, offset))
#define WSV(w, at, offset) (*(ee_vecu *)WSLOT(w, at, offset))

#define WEE_BRANCH(w, at, offset) EE_GO(pc + (offset) + WI32(w, at, offset))

/* The next instruction, its handler's word already read. */
#define EE_GO_ON(size, word)                                                                                       \
    do {                                                                                                           \
        ee_handler go_ = (ee_handler)(uintptr_t)(hb + ((uint64_t)(word) << EE_HANDLER_SHIFT));                      \
        const uint8_t *next_ = pc + (size);                                                                        \
        EE_MUSTTAIL return go_(EE_PASS(next_));                                                                    \
    } while (0)

/* The floating-point accumulator's low lane. */
#define FA64 (fa[0])
#define FA32 (((ee_f32x4)fa)[0])
/* What the other lanes hold afterwards is nobody's concern; saying so saves an instruction. */
#define SET_FA64(x)                                        \
    do {                                                   \
        ee_f64x2 any_ = {(x)};                             \
        fa = __builtin_shufflevector(any_, any_, 0, -1);   \
    } while (0)
#define SET_FA32(x)                                                           \
    do {                                                                      \
        ee_f32x4 any_ = {(x)};                                                \
        fa = (ee_f64x2)__builtin_shufflevector(any_, any_, 0, -1, -1, -1);    \
    } while (0)

#define EE_FORGET_ACC() __asm__("" : "=r"(acc))

/* In a loop of few rounds: the compiler is not to make it longer code for many. */
#define EE_ONE_BY_ONE(pointer) __asm__ volatile("" : "+r"(pointer))

/* After an access that may fault: pc must not have been advanced before it. */
#define EE_KEEP_PC() __asm__ volatile("" : "+r"(pc) : : "memory")

/* Linear memory. Without explicit checks the unmapped guard behind it is the bounds check. */
#if defined(EE_EXPLICIT_CHECKS)
#define EE_CHECK(address, bytes, at)                                         \
    do {                                                                     \
        if (__builtin_expect((address) + (bytes) > in->memory->size, 0))     \
            EE_TRAP(OOB_MEMORY, at);                                         \
    } while (0)
#else
#define EE_CHECK(address, size, at) (void)0
#endif

#define EE_TRAP(name, at) EE_MUSTTAIL return ee_raise_##name(EE_PASS(pc + (at)))
#define EE_TRAP_VALUE(value, at)                       \
    do {                                               \
        acc = (uint64_t)(value);                       \
        EE_MUSTTAIL return ee_raise(EE_PASS(pc + (at))); \
    } while (0)

#define EE_X(name, text) enum ee_trap ee_raise_##name(EE_ARGS);
EE_TRAPS(EE_X)
#undef EE_X
enum ee_trap ee_raise(EE_ARGS); /* the trap is in acc */

/* Too long to be parts of superinstructions: interpret.c. pc stands at the operands. */
enum ee_trap ee_call_import(EE_ARGS);          /* function, distance */
enum ee_trap ee_call_indirect_slow(EE_ARGS);   /* acc: table index; type, table, distance */
enum ee_trap ee_return_call(EE_ARGS);          /* function, return address's slot, first argument's slot, bytes */
enum ee_trap ee_return_call_indirect(EE_ARGS); /* acc: table index; type, table, and as above */
enum ee_trap ee_lazy(EE_ARGS);
enum ee_trap ee_exit(EE_ARGS);
enum ee_trap ee_native(EE_ARGS); /* all there is of a function with native code: its index */

/* Calls a translated function of this instance through table 0; everything else is the slow path's. */
#define EE_CALL_INDIRECT(at)                                                                                         \
    do {                                                                                                             \
        const struct ee_table_cell *table_ = in->table;                                                              \
        if (__builtin_expect((uint32_t)acc < table_->size && U32((at) + 4) == 0, 1)) {                               \
            const struct ee_func *f_ = (const struct ee_func *)(uintptr_t)table_->elements[(uint32_t)acc];           \
            if (__builtin_expect(f_ != NULL && f_->owner == in && f_->type == U32(at) && f_->code != EE_LAZY_CODE, 1)) { \
                fp += U16((at) + 8);                                                                                 \
                acc = (uint64_t)(uintptr_t)(pc + (at) + 10);                                                         \
                EE_GO(ee_code(in, f_->code));                                                                        \
            }                                                                                                        \
        }                                                                                                            \
        EE_MUSTTAIL return ee_call_indirect_slow(EE_PASS(pc + (at)));                                                \
    } while (0)

/* Enters translated code: returns EE_TRAP_NONE when the frame at fp has returned. */
enum ee_trap ee_interpret(struct ee_instance *in, const uint8_t *pc, uint8_t *fp);

