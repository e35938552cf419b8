/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one instruction that enters the kernel, and the registers it takes along.
 *
 * The host simulator has a header of this name in which entering the kernel is a call (qemu/simulator/include).
 */
#pragma once

#include <sel4/constants.h>
#include <sel4/types.h>

/* In and out: every register that a call may use. */
struct sel4_frame {
    seL4_Word x0, info, mr[4], reply, x8;
};

static inline void sel4_trap(seL4_Syscall_ID number, struct sel4_frame *f)
{
    register seL4_Word x0 __asm__("x0") = f->x0;
    register seL4_Word x1 __asm__("x1") = f->info;
    register seL4_Word x2 __asm__("x2") = f->mr[0];
    register seL4_Word x3 __asm__("x3") = f->mr[1];
    register seL4_Word x4 __asm__("x4") = f->mr[2];
    register seL4_Word x5 __asm__("x5") = f->mr[3];
    register seL4_Word x6 __asm__("x6") = f->reply;
    register seL4_Word x7 __asm__("x7") = (seL4_Word)number;
    register seL4_Word x8 __asm__("x8") = f->x8;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5)
                     : "r"(x6), "r"(x7), "r"(x8)
                     : "memory");
    f->x0 = x0;
    f->info = x1;
    f->mr[0] = x2;
    f->mr[1] = x3;
    f->mr[2] = x4;
    f->mr[3] = x5;
}
