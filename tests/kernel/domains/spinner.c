/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: counts for ever, and keeps values of its own in every SIMD register, in FPCR and in its thread register
 * while it does; counts how often they were not what it had put there. Its number is the last letter of its name.
 */
#include "shares.h"
#include "say.h"

#define EVERY "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

uintptr_t shares_base;
uintptr_t uart_base;

void init(void)
{
    unsigned last = 0;
    while (last < MICROKIT_PD_NAME_LENGTH - 1 && microkit_name[last + 1]) {
        last++;
    }
    unsigned number = (unsigned)(microkit_name[last] - 'a') % SPINNERS;
    volatile struct shares *shares = (volatile struct shares *)shares_base;
    uint64_t seed = 0x1111111111111111u * (number + 1);
    uint64_t rounding = (uint64_t)(number + 1) << 22; /* FPCR.RMode */
    __asm__ volatile("msr fpcr, %0\n\tmsr tpidr_el0, %1" ::"r"(rounding), "r"(seed));
    __asm__ volatile("mov x9, %0\n\t.irp r, " EVERY "\n\tdup v\\r\\().2d, x9\n\tadd x9, x9, #1\n\t.endr" ::"r"(seed)
                     : "x9");
    for (;;) {
        uint64_t bad;
        /* Differences of the registers' two halves, gathered without touching them. */
        __asm__ volatile("mov %0, xzr\n\tmov x10, %1\n\t"
                         ".irp r, " EVERY "\n\t"
                         "mov x9, v\\r\\().d[0]\n\teor x9, x9, x10\n\torr %0, %0, x9\n\t"
                         "mov x9, v\\r\\().d[1]\n\teor x9, x9, x10\n\torr %0, %0, x9\n\t"
                         "add x10, x10, #1\n\t"
                         ".endr\n\t"
                         "mrs x9, tpidr_el0\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mrs x9, fpcr\n\teor x9, x9, %2\n\torr %0, %0, x9\n\t"
                         : "=&r"(bad)
                         : "r"(seed), "r"(rounding)
                         : "x9", "x10");
        if (bad) {
            shares->spinner[number].fpu_errors++;
        }
        shares->spinner[number].count++;
    }
}

void notified(microkit_channel ch)
{
    (void)ch;
}
