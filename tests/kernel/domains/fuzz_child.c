/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: makes random system calls on the capabilities of a domain that has one of each kind: a child's TCB, an
 * interrupt, a channel to call and one to notify. The parent starts it again, with another seed, at every fault and
 * after a few milliseconds.
 */
#include "hostile.h"
#include "say.h"

uintptr_t orders_base;

void attack(void);

static uint64_t state;

static uint64_t random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t random_cap(void)
{
    static const uint16_t slots[] = {0, 1, 1, 3, 4, 4, 11, 74, 75, 76, 140, 202, 202, 203, 500};
    return random() % 16 == 0 ? random() : slots[random() % (sizeof(slots) / sizeof(slots[0]))];
}

static uint64_t random_tag(void)
{
    static const uint8_t labels[] = {0, 1, 2, 3, 3, 4, 9, 12, 13, 13, 16, 26, 27, 31, 36, 39, 60};
    uint64_t label = random() % 8 == 0 ? random() >> 12 : labels[random() % sizeof(labels)];
    return label << 12 | (random() % 8 == 0 ? random() & 0xfff : random() % 41);
}

/* Mostly calls that come back; sometimes one that waits; now and then one that isn't there. */
static uint64_t random_number(void)
{
    static const int8_t usual[] = {seL4_SysCall, seL4_SysCall, seL4_SysSend, seL4_SysNBSend};
    if (random() % 64 == 0) {
        return random();
    }
    int64_t number = random() % 16 == 0 ? -1 - (int64_t)(random() % 11) : usual[random() % 4];
    return (uint64_t)number;
}

__attribute__((used)) static void attack_body(void)
{
    volatile struct orders *orders = (volatile struct orders *)orders_base;
    state = (orders->round + 1) * 0x9e3779b97f4a7c15u;
    for (;;) {
        for (int i = 0; i < 40; i++) {
            seL4_SetMR(i, random() % 4 == 0 ? random() : random() % 40);
        }
        register uint64_t x0 __asm__("x0") = random_cap();
        register uint64_t x1 __asm__("x1") = random_tag();
        register uint64_t x2 __asm__("x2") = random() % 3;
        register uint64_t x3 __asm__("x3") = random() % 40;
        register uint64_t x4 __asm__("x4") = random();
        register uint64_t x5 __asm__("x5") = random();
        register uint64_t x6 __asm__("x6") = random() % 4 ? 4 : random_cap();
        register uint64_t x7 __asm__("x7") = random_number();
        register uint64_t x8 __asm__("x8") = random_cap();
        __asm__ volatile("svc #0"
                         : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7), "+r"(x8)::"memory");
    }
}

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
