/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine code that a hostile module would bring along: each function stands where a compiled `_start` would, and tries
 * something that native code has no business with. Compiled and linked as a module's code is, see native_sections.py,
 * which writes hostile_seed. What finds itself alive at its end goes on for ever: the watchdog's to stop.
 */
#include <stddef.h>
#include <stdint.h>

#include "sb_control.h"
#include "sb_layout.h"

struct ee_instance;

/* seL4 system calls (libsel4, syscall.h) and the first capability of each kind (microkit.h). */
enum { SYS_CALL = -1, SYS_SEND = -5, SYS_NB_SEND = -6, SYS_YIELD = -11, FIRST_NOTIFICATION = 10, FIRST_ENDPOINT = 74 };

#define ATTACKS(X)                                                                                                    \
    X(read_anywhere) X(write_anywhere) X(write_code) X(jump_anywhere) X(jump_into_data) X(spoil_control)              \
    X(spoil_variables) X(spoil_instance) X(spoil_stack) X(lose_stack) X(recurse) X(spin) X(wait_for_ever)             \
    X(system_calls) X(known_calls) X(signal_all) X(system_registers) X(silence_timer) X(other_exceptions) X(undefined) X(false_trap)    \
    X(false_report) X(message_wasi)

extern const volatile uint64_t hostile_seed;
const volatile uint64_t hostile_seed __attribute__((used)) = 1;

static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 16;
}

static uintptr_t place(uint64_t *state)
{
    const uintptr_t at[] = {
        0,
        0x200000u + draw(state) % 0x100000u,  /* the engine's own program */
        0x9000000u,                           /* the UART, as the board has it */
        SB_ENGINE_CONTROL_VADDR + draw(state) % (2 * SB_CONTROL_SIZE),
        SB_ENGINE_IO_VADDR + draw(state) % (2 * SB_IO_SIZE),
        SB_ENGINE_MODULE_VADDR + draw(state) % (2 * SB_MODULE_SIZE),
        SB_ENGINE_CODE_VADDR + draw(state) % (2 * SB_CODE_SIZE),
        SB_ENGINE_STACK_VADDR - draw(state) % SB_NATIVE_STACK_HOLE,
        SB_ENGINE_ARENA_VADDR + SB_ARENA_SIZE + draw(state),
        SB_ENGINE_ARENA_VADDR + draw(state) % SB_ARENA_SIZE,
        UINT64_C(0xffffff8040000000) + draw(state), /* where kernels live */
        UINT64_C(0x7fffffe000) + draw(state) % 0x4000,
        draw(state),
        draw(state) << 16,
        ~UINT64_C(7),
    };
    return at[draw(state) % (sizeof at / sizeof at[0])];
}

static void call(uint64_t *state, int64_t number)
{
    register uint64_t x0 __asm__("x0") = draw(state) % 3 ? draw(state) % 512 : draw(state) << 20;
    register uint64_t x1 __asm__("x1") = draw(state) % 2 ? draw(state) : draw(state) % 16 << 12 | draw(state) % 8;
    register uint64_t x2 __asm__("x2") = draw(state);
    register uint64_t x3 __asm__("x3") = draw(state);
    register uint64_t x4 __asm__("x4") = draw(state);
    register uint64_t x5 __asm__("x5") = draw(state);
    register uint64_t x6 __asm__("x6") = draw(state) % 16;
    register uint64_t x7 __asm__("x7") = (uint64_t)number;
    register uint64_t x8 __asm__("x8") = draw(state) % 512;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7), "+r"(x8)::"memory");
}

static void fill(uint64_t *state, uintptr_t at, size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        *(volatile uint64_t *)(at + i) = draw(state) % 4 ? draw(state) : 0;
    }
}

static void read_anywhere(uint64_t *state)
{
    (void)*(volatile uint8_t *)place(state);
}

static void write_anywhere(uint64_t *state)
{
    *(volatile uint8_t *)place(state) = (uint8_t)draw(state);
}

static void write_code(uint64_t *state)
{
    *(volatile uint32_t *)(SB_ENGINE_CODE_VADDR + draw(state) % SB_CODE_SIZE / 4 * 4) = 0xd65f03c0u;
}

static void jump_anywhere(uint64_t *state)
{
    ((void (*)(uint64_t))place(state))(draw(state));
}

static void jump_into_data(uint64_t *state)
{
    const uintptr_t at[] = {SB_ENGINE_ARENA_VADDR + SB_ARENA_SIZE - 4096, SB_ENGINE_IO_VADDR, SB_ENGINE_CONTROL_VADDR + 64,
                            SB_ENGINE_STACK_VADDR};
    uintptr_t chosen = at[draw(state) % 4];
    *(volatile uint32_t *)chosen = 0xd65f03c0u; /* would come back, if it ran */
    ((void (*)(void))chosen)();
}

static void spoil_control(uint64_t *state)
{
    fill(state, SB_ENGINE_CONTROL_VADDR, SB_CONTROL_SIZE);
    if (draw(state) % 2) {
        __asm__ volatile("udf #1");
    }
}

/* Where the engine's variables may be: whichever page can be written. */
static void spoil_variables(uint64_t *state)
{
    for (int i = 0; i < 4096; i++) {
        *(volatile uint64_t *)(0x200000u + 0x40000u + draw(state) % 0x20000u / 8 * 8) = draw(state);
    }
}

static void spoil_instance(uint64_t *state)
{
    fill(state, SB_ENGINE_ARENA_VADDR, 65536);
    if (draw(state) % 2) {
        __asm__ volatile("udf #2");
    }
}

static void spoil_stack(uint64_t *state)
{
    uint64_t here;
    for (uintptr_t at = (uintptr_t)&here; at < SB_ENGINE_STACK_VADDR + SB_NATIVE_STACK_SIZE; at += 8) {
        *(volatile uint64_t *)at = draw(state) << draw(state) % 24;
    }
}

static void lose_stack(uint64_t *state)
{
    uintptr_t at = place(state) & ~(uintptr_t)15;
    __asm__ volatile("mov sp, %0\n\tmov x29, %0\n\tstp x0, x1, [sp, #-16]!\n\tudf #3" ::"r"(at) : "memory");
}

static __attribute__((noinline)) uint64_t deeper(uint64_t *state)
{
    volatile uint64_t frame[64];
    frame[draw(state) % 64] = 1;
    return deeper(state) + frame[0];
}

static void recurse(uint64_t *state)
{
    (void)deeper(state);
}

static void spin(uint64_t *state)
{
    for (;;) {
        (void)draw(state);
        __asm__ volatile("");
    }
}

static void wait_for_ever(uint64_t *state)
{
    for (;;) {
        if (draw(state) % 2) {
            __asm__ volatile("wfi");
        } else {
            __asm__ volatile("wfe");
        }
    }
}

static void system_calls(uint64_t *state)
{
    for (int i = 0; i < 32; i++) {
        call(state, draw(state) % 2 ? -(int64_t)(draw(state) % 64) : (int64_t)draw(state));
    }
}

static void known_calls(uint64_t *state)
{
    for (int i = 0; i < 200; i++) {
        call(state, SYS_CALL - (int64_t)(draw(state) % (uint64_t)(SYS_CALL - SYS_YIELD + 1)));
    }
}

static void signal_all(uint64_t *state)
{
    for (int i = 0; i < 2000; i++) {
        register uint64_t x0 __asm__("x0") = FIRST_NOTIFICATION + draw(state) % 64;
        register uint64_t x1 __asm__("x1") = 0;
        register int64_t x7 __asm__("x7") = draw(state) % 2 ? SYS_SEND : SYS_NB_SEND;
        __asm__ volatile("svc #0" : "+r"(x0), "+r"(x1) : "r"(x7) : "memory", "x2", "x3", "x4", "x5", "x6");
    }
}

static void system_registers(uint64_t *state)
{
    switch (draw(state) % 7) {
    case 0:
        __asm__ volatile("mrs x9, ttbr0_el1" ::: "x9");
        break;
    case 1:
        __asm__ volatile("msr vbar_el1, xzr");
        break;
    case 2:
        __asm__ volatile("msr daifset, #15");
        break;
    case 3:
        __asm__ volatile("mrs x9, cntvct_el0" ::: "x9");
        break;
    case 4:
        __asm__ volatile("tlbi vmalle1");
        break;
    case 5:
        __asm__ volatile("msr tpidr_el0, xzr\n\tmsr cntp_ctl_el0, xzr");
        break;
    default:
        __asm__ volatile("dc ivac, %0" ::"r"(place(state)) : "memory");
        break;
    }
}

/* The device's timer, for as long as it is let: it must not keep the watchdog from its work. */
static void silence_timer(uint64_t *state)
{
    for (;;) {
        __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(draw(state)), "r"(draw(state) % 4));
    }
}

static void other_exceptions(uint64_t *state)
{
    switch (draw(state) % 5) {
    case 0:
        __asm__ volatile("brk #1");
        break;
    case 1:
        __asm__ volatile("hvc #0");
        break;
    case 2:
        __asm__ volatile("smc #0");
        break;
    case 3:
        __asm__ volatile("hlt #0");
        break;
    default:
        ((void (*)(void))(SB_ENGINE_CODE_VADDR + 2))();
        break;
    }
}

static void undefined(uint64_t *state)
{
    static const uint32_t words[] = {0x00000000u, 0x0000ffffu, 0xffffffffu, 0x0000007fu, 0x00000064u};
    (void)state;
    ((void (*)(void))words)(); /* constants lie beside the code */
}

/* The engine's own way of saying that a trap is recorded already, with an instance of our making. */
static void false_trap(uint64_t *state)
{
    register uint64_t x0 __asm__("x0") = draw(state) % 2 ? SB_ENGINE_ARENA_VADDR : place(state);
    __asm__ volatile("mov x29, %1\n\tudf #127" ::"r"(x0), "r"(place(state)) : "memory");
}

/* Says that it has ended, in every way, and goes on. */
static void false_report(uint64_t *state)
{
    for (int i = 0; i < 100; i++) {
        volatile struct sb_control *page = (volatile struct sb_control *)SB_ENGINE_CONTROL_VADDR;
        fill(state, (uintptr_t)&page->state, 64);
        page->state = (uint32_t)(draw(state) % 6);
        page->done_generation = page->generation;
        register uint64_t x0 __asm__("x0") = FIRST_NOTIFICATION + SB_CH_ENGINE_SUPERVISOR;
        register uint64_t x1 __asm__("x1") = 0;
        register int64_t x7 __asm__("x7") = SYS_NB_SEND;
        __asm__ volatile("svc #0" : "+r"(x0), "+r"(x1) : "r"(x7) : "memory", "x2", "x3", "x4", "x5", "x6");
    }
}

static void message_wasi(uint64_t *state)
{
    for (int i = 0; i < 500; i++) {
        fill(state, SB_ENGINE_IO_VADDR, 64);
        register uint64_t x0 __asm__("x0") = FIRST_ENDPOINT + SB_CH_ENGINE_WASI;
        register uint64_t x1 __asm__("x1") = draw(state) % 64 << 12 | draw(state) % 8;
        register uint64_t x2 __asm__("x2") = draw(state) % 3 ? draw(state) % 8 : draw(state) << 20;
        register uint64_t x3 __asm__("x3") = draw(state) % 3 ? draw(state) % 70000 : draw(state) << 20;
        register uint64_t x4 __asm__("x4") = draw(state) % 70000;
        register uint64_t x5 __asm__("x5") = draw(state) % 70000;
        register int64_t x7 __asm__("x7") = SYS_CALL;
        __asm__ volatile("svc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5) : "r"(x7) : "memory", "x6");
    }
}

#define X(name)                                             \
    void hostile_##name(struct ee_instance *instance);      \
    void hostile_##name(struct ee_instance *instance)       \
    {                                                       \
        uint64_t state = hostile_seed;                      \
        (void)instance;                                     \
        name(&state);                                       \
        for (;;) {                                          \
            __asm__ volatile("");                           \
        }                                                   \
    }
ATTACKS(X)
#undef X

/* A trampoline of type () -> (). */
void hostile_enter(struct ee_instance *instance, void (*body)(struct ee_instance *), uint64_t *slots);
void hostile_enter(struct ee_instance *instance, void (*body)(struct ee_instance *), uint64_t *slots)
{
    (void)slots;
    body(instance);
}
