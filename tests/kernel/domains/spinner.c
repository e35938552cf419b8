/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: counts for ever, and keeps values of its own in every SIMD register, in FPCR and in its thread register
 * while it does; counts how often they were not what it had put there. Its number is the last letter of its name.
 */
#include "shares.h"
#include "say.h"

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
    __asm__ volatile("dup v0.2d, %0\n\tdup v1.2d, %0\n\tdup v15.2d, %0\n\tdup v16.2d, %0\n\tdup v31.2d, %0" ::"r"(seed)
                     : "v0", "v1", "v15", "v16", "v31");
    for (;;) {
        uint64_t bad;
        /* Differences of the five registers' two halves, gathered without touching them. */
        __asm__ volatile("mov %0, xzr\n\t"
                         "mov x9, v0.d[0]\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mov x9, v1.d[1]\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mov x9, v15.d[0]\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mov x9, v16.d[1]\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mov x9, v31.d[0]\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mrs x9, tpidr_el0\n\teor x9, x9, %1\n\torr %0, %0, x9\n\t"
                         "mrs x9, fpcr\n\teor x9, x9, %2\n\torr %0, %0, x9\n\t"
                         : "=&r"(bad)
                         : "r"(seed), "r"(rounding)
                         : "x9");
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
