/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test build of the engine's domain that turns against the rest of the device: a "module" that is a struct order
 * makes it try one forbidden thing after the other, of the kind ordered, until something stops it. Other modules run
 * as ever. Linked with --wrap=sb_run; never part of an image that ships.
 *
 * An attack that finds itself alive at its end goes on for ever: nothing here gives up by itself. When the supervisor
 * starts the same order again, it behaves and exits, and reports the ms since the attack began as bookkeeping bytes.
 */
#include "attack.h"

#include <microkit.h>
#include <string.h>

#include "run.h"
#include "sb_layout.h"
#include "sb_wasi_calls.h"

extern uintptr_t sb_arena_vaddr, sb_module_vaddr, sb_control_vaddr, sb_io_vaddr;

void __real_sb_run(struct sb_run *run);
void __wrap_sb_run(struct sb_run *run);

static uint64_t state;

static uint64_t draw(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return state >> 20;
}

/* Addresses that are nobody's, or somebody else's: devices, the kernel, neighbours' regions, the arena's hole. */
static uintptr_t outside(void)
{
    const uintptr_t at[] = {
        0,
        0x09000000u,                        /* the UART, as the board has it */
        sb_control_vaddr + SB_CONTROL_SIZE, /* the hole behind a region */
        sb_io_vaddr + SB_IO_SIZE,
        sb_io_vaddr + 0x1000000u,
        sb_arena_vaddr + SB_ARENA_SIZE,
        sb_arena_vaddr + SB_ARENA_SIZE + (UINT64_C(8) << 30),
        sb_arena_vaddr - 1,
        UINT64_C(0xffffff8040000000), /* where kernels live */
        ~UINT64_C(7),
    };
    return at[draw() % (sizeof at / sizeof at[0])];
}

static void raw_call(uint64_t number)
{
    register uint64_t x0 __asm__("x0") = draw() % 3 ? draw() % 512 : draw() << 20;
    register uint64_t x1 __asm__("x1") = draw();
    register uint64_t x2 __asm__("x2") = draw();
    register uint64_t x3 __asm__("x3") = draw();
    register uint64_t x4 __asm__("x4") = draw();
    register uint64_t x5 __asm__("x5") = draw();
    register uint64_t x6 __asm__("x6") = draw() % 16;
    register uint64_t x7 __asm__("x7") = number;
    register uint64_t x8 __asm__("x8") = draw() % 512;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7), "+r"(x8)::"memory");
}

static void jump(uintptr_t to)
{
    ((void (*)(void))to)();
}

static void read_outside(void)
{
    (void)*(volatile uint8_t *)outside();
}

static void write_outside(void)
{
    *(volatile uint8_t *)outside() = (uint8_t)draw();
}

static void write_read_only(void)
{
    *(volatile uint8_t *)(sb_module_vaddr + draw() % SB_MODULE_SIZE) = (uint8_t)draw();
}

static void jump_into_arena(void)
{
    static const uint32_t ret = 0xd65f03c0; /* would come back, if it ran */
    memcpy((void *)sb_arena_vaddr, &ret, sizeof ret);
    jump(sb_arena_vaddr);
}

static void jump_into_shared(void)
{
    jump(draw() % 2 ? sb_io_vaddr : sb_control_vaddr);
}

static void jump_into_module(void)
{
    jump(sb_module_vaddr);
}

static void system_register(void)
{
    switch (draw() % 4) {
    case 0:
        __asm__ volatile("mrs x9, ttbr0_el1" ::: "x9");
        break;
    case 1:
        __asm__ volatile("msr vbar_el1, xzr");
        break;
    case 2:
        __asm__ volatile("mrs x9, cntvct_el0" ::: "x9");
        break;
    default:
        __asm__ volatile("msr daifset, #15");
        break;
    }
}

static void undefined(void)
{
    if (draw() % 2) {
        __asm__ volatile("udf #7");
    } else {
        __asm__ volatile("hvc #0");
    }
}

static void unknown_calls(void)
{
    raw_call(draw() % 2 ? draw() : draw() % 64);
}

/* Send, NBSend, Call: to whatever capability there is, with whatever label. */
static void calls_by_number(void)
{
    static const int64_t known[] = {seL4_SysCall, seL4_SysSend, seL4_SysNBSend, seL4_SysYield};
    raw_call((uint64_t)known[draw() % 4]);
}

static void receive_for_others(void)
{
    static const int64_t known[] = {seL4_SysRecv, seL4_SysNBRecv, seL4_SysWait, seL4_SysNBWait};
    raw_call((uint64_t)known[draw() % 4]);
}

static void reply_to_nobody(void)
{
    static const int64_t known[] = {seL4_SysReplyRecv, seL4_SysNBSendRecv, seL4_SysNBSendWait};
    raw_call((uint64_t)known[draw() % 3]);
}

__attribute__((noinline)) static uint64_t deep_from(uint64_t n)
{
    volatile uint64_t room[128];
    room[n % 128] = n;
    return n == UINT64_MAX ? 0 : deep_from(n + 1) + room[(n + 1) % 128];
}

/* Down through everything below this stack, the domain's own variables included. */
static void deep_stack(void)
{
    (void)deep_from(0);
}

static void wild_stack(void)
{
    __asm__ volatile("mov x9, %0\n\tmov sp, x9\n\tstr x9, [sp, #-16]!" ::"r"(outside() & ~UINT64_C(15)) : "x9");
}

static void own_code(void)
{
    *(volatile uint32_t *)(uintptr_t)&own_code = 0;
}

static void claim(uint32_t what)
{
    struct sb_control *page = (struct sb_control *)sb_control_vaddr;
    memset(page->text, (int)draw(), sizeof page->text);
    memset(page->backtrace, (int)draw(), sizeof page->backtrace);
    page->exit_code = (uint32_t)draw() | 1u; /* a failure */
    page->memory_bytes = draw() << 20;
    page->bookkeeping_bytes = draw() << 20;
    page->calls = draw();
    page->done_generation = page->generation;
    __atomic_store_n(&page->state, what, __ATOMIC_RELEASE);
    microkit_notify(SB_CH_ENGINE_SUPERVISOR);
}

/* "I have exited", and go on all the same. */
static void lie_and_go_on(void)
{
    claim(SB_ENGINE_EXITED);
}

static void trap_and_go_on(void)
{
    claim(SB_ENGINE_TRAPPED);
}

static void random_messages(void)
{
    uint8_t *io = (uint8_t *)sb_io_vaddr;
    for (int i = 0; i < 256; i++) {
        io[draw() % SB_IO_SIZE] = (uint8_t)draw();
    }
    uint16_t count = (uint16_t)(draw() % 121);
    for (uint16_t word = 0; word < count; word++) {
        microkit_mr_set((uint8_t)word, draw() % 3 ? draw() % 70000 : draw() << 22);
    }
    uint64_t label = draw() % 8 == 0 ? draw() >> 12 : SB_WASI_LABEL_BASE + draw() % (SB_WASI_CALLS + 2);
    (void)microkit_ppcall(SB_CH_ENGINE_WASI, microkit_msginfo_new(label, count));
}

static void flood(void)
{
    microkit_notify(draw() % 2 ? SB_CH_ENGINE_SUPERVISOR : SB_CH_ENGINE_WASI);
}

static void spin(void)
{
}

#define X(name) name,
static void (*const attacks[])(void) = {ATTACKS(X)};
#undef X

/* Survives a restart, unlike this domain's variables: the arena is the one memory that nobody clears. */
struct memory {
    uint64_t seed; /* of the last attack */
    uint64_t began; /* ticks */
};

static uint64_t ticks(void)
{
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value)::"memory");
    return value;
}

void __wrap_sb_run(struct sb_run *run)
{
    struct memory *memory = (struct memory *)(sb_arena_vaddr + SB_ARENA_SIZE / 2); /* no attack of ours goes there */
    struct order order;
    if (run->module_size != sizeof order || memcmp(run->module, "ATTACK\0", 8) != 0) {
        __real_sb_run(run);
        return;
    }
    memcpy(&order, run->module, sizeof order);
    run->state = SB_ENGINE_EXITED;
    run->exit_code = 0;
    run->trap = EE_TRAP_NONE;
    run->text[0] = run->backtrace[0] = 0;
    memset(&run->usage, 0, sizeof run->usage);
    if (order.seed == memory->seed) { /* started again after its attack: it behaves, and tells how long that took */
        uint64_t hz;
        __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
        memory->seed = 0;
        run->usage.bookkeeping_bytes = (size_t)((ticks() - memory->began) * 1000 / hz);
        return;
    }
    memory->seed = order.seed;
    memory->began = ticks();
    state = order.seed;
    for (;;) {
        attacks[order.attack % (sizeof attacks / sizeof attacks[0])]();
    }
}
