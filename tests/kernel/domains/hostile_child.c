/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: tries something forbidden in every round; the parent starts it again at `attack`. */
#include "hostile.h"
#include "say.h"

uintptr_t orders_base;
static const uintptr_t secret_base = 0x3100000; /* mapped in the parent, not here */

enum { PARENT = 1 };

void attack(void);

static uint64_t random_state;

static uint64_t random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 17;
}

static void raw_call(uint64_t number)
{
    register uint64_t x0 __asm__("x0") = random() % 3 ? random() % 512 : random() << 20;
    register uint64_t x1 __asm__("x1") = random();
    register uint64_t x2 __asm__("x2") = random();
    register uint64_t x3 __asm__("x3") = random();
    register uint64_t x4 __asm__("x4") = random();
    register uint64_t x5 __asm__("x5") = random();
    register uint64_t x6 __asm__("x6") = random() % 16;
    register uint64_t x7 __asm__("x7") = number;
    register uint64_t x8 __asm__("x8") = random() % 512;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7), "+r"(x8)::"memory");
}

__attribute__((noinline)) static uint64_t deep(uint64_t n)
{
    volatile uint64_t room[128];
    room[n % 128] = n;
    return n == UINT64_MAX ? 0 : deep(n + 1) + room[(n + 1) % 128];
}

__attribute__((used)) static void attack_body(void)
{
    volatile struct orders *orders = (volatile struct orders *)orders_base;
    uint64_t round = orders->round;
    random_state = round * 77u;
    switch (round % ATTACKS) {
    case 0:
        *(volatile uint64_t *)secret_base = 0;
        break;
    case 1:
        ((void (*)(void))(uintptr_t)orders)();
        break;
    case 2:
        for (;;) {
            microkit_notify(PARENT);
        }
    case 3:
        for (;;) { /* unknown calls: the first one ends the round */
            raw_call(random());
        }
    case 4:
        for (;;) { /* known sending calls with wild arguments */
            raw_call((uint64_t)-5 - random() % 2);
        }
    case 5:
        for (;;) {
            raw_call((uint64_t)seL4_SysCall);
        }
    case 6:
        for (;;) {
            raw_call((uint64_t)seL4_SysRecv);
        }
    case 7:
        for (;;) {
            raw_call((uint64_t)seL4_SysReplyRecv - random() % 3);
        }
    case 8:
        __asm__ volatile("mrs x0, ttbr0_el1" ::: "x0");
        break;
    case 9:
        (void)deep(round);
        break;
    case 10:
        *(volatile uint64_t *)0xffffff8040080000u = 0;
        break;
    default:
        __asm__ volatile("mov x0, #0\n\tmov sp, x0\n\tstr x0, [sp, #-16]!" ::: "x0");
        break;
    }
    for (;;) {
    }
}

/* A stack of its own each time: the last round may have left sp anywhere. */
__attribute__((naked)) void attack(void)
{
    __asm__ volatile("mov x0, #0x10000000000\n\tmov sp, x0\n\tb attack_body");
}

void init(void)
{
    ((volatile struct orders *)orders_base)->entry = (uint64_t)attack;
    attack();
}

void notified(microkit_channel ch)
{
    (void)ch;
}
