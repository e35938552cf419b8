/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: commits one fault after the other. Before each it notes in shared memory where it will fault and where
 * it wants to go on; the parent restarts it there with its registers as they were.
 */
#include "faults.h"
#include "say.h"

uintptr_t uart_base;
uintptr_t notes_base;
uintptr_t hole_base;      /* 64 KiB mapped rw, nothing for 8 GiB and more behind */
uintptr_t read_only_base; /* mapped r */
uintptr_t code_base;      /* mapped rx here, rw in the parent */
uintptr_t uncached_base;  /* mapped rw, not cached */
uintptr_t forbidden_base; /* mapped with no rights at all */

/*
 * Runs one instruction that faults. x19 must come through; x0 goes in and out. The note of the faulting address is
 * taken from %[address] itself.
 */
#define STEP(number, how, instruction)                                                                                  \
    do {                                                                                                               \
        volatile struct notes *notes = (volatile struct notes *)notes_base;                                            \
        notes->step = (number);                                                                                        \
        notes->mode = (how);                                                                                           \
        register uint64_t x0 __asm__("x0") = address;                                                                  \
        register uint64_t x1 __asm__("x1") = (uint64_t)notes;                                                          \
        register uint64_t x7 __asm__("x7") = number_in_x7;                                                             \
        register uint64_t x19 __asm__("x19") = 0x1234567890abcdefu;                                                    \
        __asm__ volatile("adr x2, 1f\n\tstr x2, [x1, #8]\n\tstr x0, [x1, #16]\n\tadr x2, 2f\n\tstr x2, [x1, #24]\n\t"   \
                         "1: " instruction "\n\t2:\n\t"                                                                \
                         : "+r"(x0), "+r"(x1), "+r"(x7), "+r"(x19)                                                     \
                         :                                                                                             \
                         : "x2", "x3", "x4", "x5", "x6", "x8", "x30", "memory");                                       \
        after = x0;                                                                                                    \
        if (x19 != 0x1234567890abcdefu) {                                                                              \
            say("child: x19 is gone\n");                                                                               \
        }                                                                                                              \
    } while (0)

_Static_assert(__builtin_offsetof(struct notes, expected_pc) == 8, "STEP");
_Static_assert(__builtin_offsetof(struct notes, expected_address) == 16, "STEP");
_Static_assert(__builtin_offsetof(struct notes, next_pc) == 24, "STEP");

static uint8_t plain_data[64] __attribute__((aligned(64)));

static void memory_faults(void)
{
    uint64_t number_in_x7 = 0;
    uint64_t after = 0;
    uint64_t address = 0x10;
    STEP(1, MODE_RESTART, "ldr x3, [x0]");
    address = 0x50000000;
    STEP(2, MODE_RESTART, "str x3, [x0]");
    address = read_only_base + 8;
    STEP(3, MODE_RESTART, "ldr x3, [x0]"); /* allowed: no line of the parent */
    STEP(4, MODE_RESTART, "str x3, [x0]");
    address = hole_base;
    STEP(5, MODE_RESTART, "str x3, [x0]"); /* allowed */
    address = hole_base + 0x10000;
    STEP(6, MODE_RESTART, "ldr x3, [x0]");
    address = hole_base + 0x10000 + (8ul << 30);
    STEP(7, MODE_RESTART, "ldrb w3, [x0]");
    STEP(8, MODE_RESTART, "str q0, [x0]");
    address = uncached_base;
    STEP(9, MODE_RESTART, "str x3, [x0]"); /* allowed */
    address = 1ul << 40;
    STEP(10, MODE_RESTART, "ldr x3, [x0]");
    address = ~0xffful;
    STEP(11, MODE_RESTART, "ldr x3, [x0]");
    address = (1ul << 40) - 0x40000; /* below the stack */
    STEP(12, MODE_RESTART, "str x3, [x0]");
    address = (uint64_t)memory_faults;
    STEP(13, MODE_RESTART, "str x3, [x0]"); /* own code */
    address = code_base;
    STEP(14, MODE_RESTART, "str x3, [x0]"); /* mapped rx */
    address = (uint64_t)__sel4_ipc_buffer + 4096;
    STEP(15, MODE_RESTART, "ldr x3, [x0]");
    address = forbidden_base;
    STEP(16, MODE_RESTART, "ldr x3, [x0]");
    (void)after;
}

static void jumps(void)
{
    uint64_t number_in_x7 = 0;
    uint64_t after = 0;
    uint64_t address = 0x60000000;
    STEP(20, MODE_RESTART, "str x0, [x1, #8]\n\tbr x0");
    address = (uint64_t)plain_data;
    STEP(21, MODE_RESTART, "str x0, [x1, #8]\n\tbr x0");
    address = hole_base;
    STEP(22, MODE_RESTART, "str x0, [x1, #8]\n\tbr x0");
    address = (uint64_t)__sel4_ipc_buffer;
    STEP(23, MODE_RESTART, "str x0, [x1, #8]\n\tbr x0");
    address = 1ul << 40;
    STEP(24, MODE_RESTART, "str x0, [x1, #8]\n\tbr x0");
    address = (uint64_t)memory_faults + 2;
    STEP(25, MODE_RESTART, "str x0, [x1, #8]\n\tbr x0"); /* misaligned */
    (void)after;
}

static void instructions(void)
{
    uint64_t number_in_x7 = 0;
    uint64_t after = 0;
    uint64_t address = 0;
    STEP(30, MODE_RESTART, ".inst 0x00000000");
    STEP(31, MODE_RESTART, "brk #7");
    STEP(32, MODE_RESTART, "mrs x3, cntvct_el0");
    STEP(33, MODE_RESTART, "mrs x3, midr_el1");
    STEP(34, MODE_RESTART, "msr daifset, #2");
    STEP(35, MODE_RESTART, "hvc #0");
    STEP(36, MODE_RESTART, "smc #0");
    STEP(37, MODE_RESTART, "tlbi vmalle1");
    STEP(38, MODE_RESTART, "eret");
    address = (uint64_t)plain_data;
    STEP(39, MODE_RESTART, "dc zva, x0");
    STEP(40, MODE_RESTART, "dc cvau, x0\n\tdc civac, x0\n\tic ivau, x0\n\tdsb ish\n\tisb"); /* allowed */
    STEP(41, MODE_RESTART, "mrs x3, ctr_el0\n\tmrs x3, cntfrq_el0\n\tmrs x3, cntp_tval_el0"); /* allowed */
    address = (uint64_t)plain_data + 3;
    STEP(42, MODE_RESTART, "ldxr x3, [x0]");
    STEP(43, MODE_RESTART, "ldr x3, [x0]"); /* misaligned: allowed */
    address = 0;
    STEP(44, MODE_REPLY_NEXT, ".inst 0x00000000"); /* the parent's answer skips it */
    say("child: back from the answered exception\n");
    (void)after;
}

static void system_calls(void)
{
    uint64_t after = 0;
    uint64_t address = 0x55;
    uint64_t number_in_x7 = 100;
    STEP(50, MODE_RESTART, "svc #0");
    number_in_x7 = 0;
    STEP(51, MODE_RESTART, "svc #0");
    number_in_x7 = (uint64_t)-100;
    STEP(52, MODE_RESTART, "svc #9");
    number_in_x7 = 0x1000000000;
    STEP(53, MODE_REPLY_NEXT, "svc #0");
    say("child: answered call gave");
    say_value("x0", after);
    say("\n");

    address = 1ul << 20; /* no such slot */
    number_in_x7 = (uint64_t)seL4_SysSend;
    STEP(60, MODE_RESTART, "mov x1, #0\n\tsvc #0");
    number_in_x7 = (uint64_t)seL4_SysNBSend;
    STEP(61, MODE_RESTART, "mov x1, #0\n\tsvc #0");
    number_in_x7 = (uint64_t)seL4_SysCall;
    STEP(62, MODE_RESTART, "mov x1, #0\n\tsvc #0");
    number_in_x7 = (uint64_t)seL4_SysWait;
    STEP(63, MODE_RESTART, "svc #0");
    number_in_x7 = (uint64_t)seL4_SysNBWait;
    STEP(64, MODE_RESTART, "svc #0");
    address = 300; /* empty slot */
    number_in_x7 = (uint64_t)seL4_SysSend;
    STEP(65, MODE_RESTART, "mov x1, #0\n\tsvc #0");
    number_in_x7 = (uint64_t)seL4_SysWait;
    STEP(66, MODE_RESTART, "svc #0");
    number_in_x7 = (uint64_t)seL4_SysRecv;
    STEP(67, MODE_RESTART, "mov x6, #4\n\tsvc #0");
    address = 4; /* a reply object is nothing to wait on */
    STEP(68, MODE_RESTART, "mov x6, #4\n\tsvc #0");
    address = BASE_OUTPUT_NOTIFICATION_CAP; /* the parent's notification, bound to the parent */
    number_in_x7 = (uint64_t)seL4_SysWait;
    STEP(69, MODE_RESTART, "svc #0");
    say("child: call on an empty slot:");
    seL4_MessageInfo_t info = seL4_Call(300, seL4_MessageInfo_new(5, 0, 0, 0));
    say_value("label", seL4_MessageInfo_get_label(info));
    say_value("length", seL4_MessageInfo_get_length(info));
    say("\n");
    info = seL4_Call(4, seL4_MessageInfo_new(5, 0, 0, 0));
    say("child: call on the reply object:");
    say_value("label", seL4_MessageInfo_get_label(info));
    say_value("length", seL4_MessageInfo_get_length(info));
    say("\n");
    (void)after;
}

static void spin(void)
{
    volatile struct notes *notes = (volatile struct notes *)notes_base;
    notes->step = 90;
    uint64_t after = 0;
    register uint64_t x0 __asm__("x0") = after;
    register uint64_t x1 __asm__("x1") = (uint64_t)notes;
    __asm__ volatile("adr x2, 2f\n\tstr x2, [x1, #24]" : "+r"(x0), "+r"(x1)::"x2", "memory");
    microkit_notify(0);
    x1 = (uint64_t)notes;
    __asm__ volatile("1: ldr x0, [x1, #40]\n\tadd x0, x0, #1\n\tstr x0, [x1, #40]\n\tb 1b\n\t2:"
                     : "+r"(x0), "+r"(x1)::"x2", "memory");
    say("child: out of the loop\n");
}
_Static_assert(__builtin_offsetof(struct notes, spins) == 40, "spin");

void init(void)
{
    say("child: up\n");
    memory_faults();
    jumps();
    instructions();
    system_calls();
    spin();
    say("child: done\n-- end\n");
}

void notified(microkit_channel ch)
{
    (void)ch;
}
