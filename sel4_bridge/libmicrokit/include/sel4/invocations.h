/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invocations of kernel objects that our PDs hold capabilities to: TCBs of children and interrupt handlers.
 *
 * Each is a seL4_Call whose label names the method (constants.h); the answer's label is a seL4_Error.
 */
#pragma once

#include <sel4/syscalls.h>

/* Suspends too when `suspend_source`. Writes all of *regs; words beyond `count` are zero. */
static inline seL4_Error seL4_TCB_ReadRegisters(seL4_TCB tcb, seL4_Bool suspend_source, seL4_Uint8 arch_flags,
                                                seL4_Word count, seL4_UserContext *regs)
{
    seL4_Word *words = (seL4_Word *)regs;
    seL4_SetMR(0, (seL4_Word)(suspend_source & 1) | (seL4_Word)arch_flags << 8);
    seL4_SetMR(1, count);
    seL4_MessageInfo_t answer = seL4_Call(tcb, seL4_MessageInfo_new(TCBReadRegisters, 0, 0, 2));
    seL4_Word length = seL4_MessageInfo_get_length(answer);
    for (seL4_Word i = 0; i < sizeof(*regs) / sizeof(seL4_Word); i++) {
        words[i] = i < length ? seL4_GetMR((int)i) : 0;
    }
    return (seL4_Error)seL4_MessageInfo_get_label(answer);
}

/* Writes the first `count` words of *regs into the thread; runs it from there when `resume_target`. */
static inline seL4_Error seL4_TCB_WriteRegisters(seL4_TCB tcb, seL4_Bool resume_target, seL4_Uint8 arch_flags,
                                                 seL4_Word count, const seL4_UserContext *regs)
{
    const seL4_Word *words = (const seL4_Word *)regs;
    const seL4_Word all = sizeof(*regs) / sizeof(seL4_Word);
    seL4_SetMR(0, (seL4_Word)(resume_target & 1) | (seL4_Word)arch_flags << 8);
    seL4_SetMR(1, count);
    for (seL4_Word i = 0; i < all; i++) {
        seL4_SetMR((int)i + 2, words[i]);
    }
    return (seL4_Error)seL4_MessageInfo_get_label(seL4_Call(tcb, seL4_MessageInfo_new(TCBWriteRegisters, 0, 0, all + 2)));
}

static inline seL4_Error seL4_TCB_Suspend(seL4_TCB tcb)
{
    return (seL4_Error)seL4_MessageInfo_get_label(seL4_Call(tcb, seL4_MessageInfo_new(TCBSuspend, 0, 0, 0)));
}

static inline seL4_Error seL4_TCB_Resume(seL4_TCB tcb)
{
    return (seL4_Error)seL4_MessageInfo_get_label(seL4_Call(tcb, seL4_MessageInfo_new(TCBResume, 0, 0, 0)));
}

/* At most the maximum controlled priority of `authority`, whose capability travels in the IPC buffer. */
static inline seL4_Error seL4_TCB_SetPriority(seL4_TCB tcb, seL4_TCB authority, seL4_Word priority)
{
    seL4_SetCap(0, authority);
    seL4_SetMR(0, priority);
    return (seL4_Error)seL4_MessageInfo_get_label(seL4_Call(tcb, seL4_MessageInfo_new(TCBSetPriority, 0, 1, 1)));
}

static inline seL4_Error seL4_IRQHandler_Ack(seL4_IRQHandler irq)
{
    return (seL4_Error)seL4_MessageInfo_get_label(seL4_Call(irq, seL4_MessageInfo_new(IRQAckIRQ, 0, 0, 0)));
}
