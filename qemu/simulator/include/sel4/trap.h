/* SPDX-License-Identifier: Apache-2.0 */
/* Entering the kernel, in the host simulator: a call (kernel.c). Takes the place of libmicrokit's header of this name. */
#pragma once

#include <sel4/constants.h>
#include <sel4/types.h>

/* In and out: every register that a call may use. */
struct sel4_frame {
    seL4_Word x0, info, mr[4], reply, x8;
};

void sel4_trap(seL4_Syscall_ID number, struct sel4_frame *f);
